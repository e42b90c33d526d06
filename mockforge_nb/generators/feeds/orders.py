"""A shop's orders: each is paid, packed, shipped and delivered, or fails on the way, in the legal order."""

from __future__ import annotations

import random
from dataclasses import dataclass
from typing import ClassVar, Final

from mockforge_nb.errors import OptionError

from .common import (
    AT,
    Agenda,
    Events,
    Feed,
    Message,
    Person,
    Rhythm,
    Weighted,
    around,
    check_count,
    check_locale,
    check_number,
    check_rate,
    people,
    zipf,
)

MOST_UNDER_WAY: Final = 200_000
"""The largest rate times pace: orders that are under way are in memory, about 2 for 5 of these."""

KINDS: Final = (
    ("Mug", 690, 1900), ("Notebook", 450, 1650), ("T-Shirt", 1490, 3900), ("Backpack", 3900, 12900),
    ("Desk Lamp", 2490, 8900), ("Headphones", 2900, 24900), ("Keyboard", 3900, 17900), ("Water Bottle", 990, 3490),
    ("Cushion", 1290, 3990), ("Sneakers", 4900, 14900), ("Coffee Beans 1 kg", 1390, 2990), ("Phone Case", 790, 2990),
    ("Umbrella", 1190, 4490), ("Blanket", 1990, 7990), ("Charger 65 W", 1990, 5490), ("Board Game", 1490, 5990),
)  # fmt: skip
FINISHES: Final = ("Black", "White", "Oak", "Navy", "Sand", "Forest", "Rose", "Slate", "Copper", "Sky")
CARRIERS: Final = (("DHL", "JD0", 16), ("UPS", "1Z", 16), ("FedEx", "", 12), ("DPD", "0", 13), ("GLS", "", 11))
METHODS: Final = Weighted(("card", "paypal", "invoice", "apple_pay"), (55, 25, 12, 8))
DECLINED: Final = {
    "card": Weighted(("insufficient_funds", "card_declined", "expired_card", "3ds_failed"), (40, 35, 10, 15)),
    "paypal": Weighted(("insufficient_funds", "account_restricted", "payer_cancelled"), (50, 15, 35)),
    "invoice": Weighted(("credit_check_failed", "limit_exceeded"), (70, 30)),
    "apple_pay": Weighted(("insufficient_funds", "card_declined", "payer_cancelled"), (45, 30, 25)),
}
"""Why a payment fails, by its method."""

WHOLE: Final = (
    "BIF", "CLP", "DJF", "GNF", "ISK", "JPY", "KMF", "KRW", "PYG", "RWF", "UGX", "VND", "VUV", "XAF", "XOF", "XPF",
)  # fmt: skip
"""Currencies without a hundredth (ISO 4217)."""

LINES: Final = Weighted((1, 2, 3, 4, 5), (52, 26, 13, 6, 3))
QUANTITIES: Final = Weighted((1, 2, 3, 4, 6), (80, 13, 4, 2, 1))


@dataclass(frozen=True, slots=True, kw_only=True)
class Orders(Feed):
    """Orders of a shop, from their creation to their delivery or their end before it.

    The feed begins with an empty shop, so the full rate is reached when the first orders have been delivered.

    Attributes:
        rate: Messages a second, of all orders together.
        pace: How long an order takes from its creation to its delivery: the median (s).
        customers: How many there are; few of them order most.
        products: How many the catalogue has.
        currency: Three letters; all prices are in it.
        locale: Where the customers' names come from.
    """

    name: ClassVar[str] = "orders"
    types: ClassVar[tuple[str, ...]] = (
        "order_created", "payment_authorized", "payment_failed", "order_packed", "order_shipped", "order_delivered",
        "order_cancelled", "order_returned",
    )  # fmt: skip

    rate: float = 5.0
    pace: float = 30.0
    customers: int = 200
    products: int = 60
    currency: str = "EUR"
    locale: str = "en_US"

    def __post_init__(self) -> None:
        check_rate("orders(rate=)", self.rate)
        check_number("orders(pace=)", self.pace, 0.001, 1e7)
        if self.rate * self.pace > MOST_UNDER_WAY:
            problem = f"is too much at {self.rate:g} messages a second: too many orders would be under way"
            raise OptionError("orders(pace=)", self.pace, problem, f"valid: at most {MOST_UNDER_WAY / self.rate:g}")
        check_count("orders(customers=)", self.customers)
        check_count("orders(products=)", self.products, len(KINDS) * len(FINISHES))
        code = self.currency
        if not isinstance(code, str) or len(code) != 3 or not code.isascii() or not code.isupper():
            raise OptionError("orders(currency=)", code, "is no currency", "valid: a code of ISO 4217, such as 'USD'")
        check_locale("orders(locale=)", self.locale)

    def _run(self, rng: random.Random) -> Events:
        shop = _Shop(self, rng)
        rhythm = Rhythm(rng, self.rate, burst=0.4, memory=0.8, smooth=100)
        agenda: Agenda[_Order] = Agenda()
        created = rhythm.next(6)
        while True:
            if agenda.due() < created:
                ms, order = agenda.pop()
            else:
                ms, order = created, shop.order()
                created = rhythm.next(len(order.life))
            kind, _ = order.life[order.step]
            yield ms, shop.message(order, kind)
            order.step += 1
            if order.step < len(order.life):
                agenda.add(round(ms + order.life[order.step][1], 3), order)


@dataclass(frozen=True, slots=True)
class _Product:
    sku: str
    name: str
    cents: int


@dataclass(slots=True)
class _Order:
    """One order: what is bought, and what happens to it, each with the time since the one before (ms)."""

    number: int
    customer: Person
    items: tuple[tuple[_Product, int], ...]
    method: str
    life: tuple[tuple[str, float], ...]
    step: int = 0
    attempts: int = 0

    @property
    def cents(self) -> int:
        return sum(product.cents * quantity for product, quantity in self.items)


class _Shop:
    """The customers, the catalogue, and how an order goes."""

    def __init__(self, options: Orders, rng: random.Random) -> None:
        self._rng, self._pace, self._currency = rng, options.pace * 1000.0, options.currency
        customers = people(rng, options.customers, options.locale, "c")
        self._customers = Weighted(customers, zipf(len(customers), 0.8))
        catalogue = []
        for number in rng.sample(range(len(KINDS) * len(FINISHES)), options.products):
            (noun, least, most), finish = KINDS[number % len(KINDS)], FINISHES[number // len(KINDS)]
            cents = rng.randrange(least, most + 1) // 100 * 100 + rng.choice((90, 95, 99, 99, 49, 0))
            sku = f"{''.join(noun.split())[:4].upper()}-{finish[:3].upper()}-{number:03d}"
            catalogue.append(_Product(sku, f"{noun} {finish}", cents))
        self._catalogue, self._popular = catalogue, Weighted(range(len(catalogue)), zipf(len(catalogue), 0.7))
        self._number = rng.randrange(100_000, 200_000)

    def order(self) -> _Order:
        """Make an order that somebody has just placed, and decide its life."""
        rng = self._rng
        self._number += 1
        chosen = dict.fromkeys(self._popular.pick(rng) for _ in range(LINES.pick(rng)))
        items = tuple((self._catalogue[each], QUANTITIES.pick(rng)) for each in chosen)
        return _Order(self._number, self._customers.pick(rng), items, METHODS.pick(rng), tuple(self._life()))

    def _money(self, cents: int) -> float:
        return cents if self._currency in WHOLE else cents / 100

    def _life(self) -> list[tuple[str, float]]:
        rng, total = self._rng, around(self._rng, self._pace, 0.35)
        # What paying, packing, shipping and delivering take of the whole.
        parts = [around(rng, share, 0.3) for share in (0.03, 0.30, 0.12, 0.55)]
        pay, pack, ship, deliver = (total * part / sum(parts) for part in parts)
        life = [("order_created", 0.0)]
        while rng.random() < 0.07 * len(life):  # who has failed once fails again more easily
            life.append(("payment_failed", pay))
            if len(life) > 3 or rng.random() < 0.3:
                return [*life, ("order_cancelled", around(rng, 0.1 * total, 0.5))]
        life.append(("payment_authorized", pay))
        if rng.random() < 0.03:
            return [*life, ("order_cancelled", pack * rng.random())]
        life += [("order_packed", pack), ("order_shipped", ship), ("order_delivered", deliver)]
        if rng.random() < 0.08:
            life.append(("order_returned", around(rng, self._pace, 0.4)))
        return life

    def message(self, order: _Order, kind: str) -> Message:
        """Say what has just happened to an order."""
        rng = self._rng
        says: Message = {"type": kind, "order_id": f"ORD-{order.number}"}
        if kind == "order_created":
            who = order.customer
            says["customer"] = {"id": who.id, "name": who.name}
            says["items"] = [
                {"sku": product.sku, "name": product.name, "qty": quantity, "price": self._money(product.cents)}
                for product, quantity in order.items
            ]
            says |= {"total": self._money(order.cents), "currency": self._currency}
        elif kind in {"payment_authorized", "payment_failed"}:
            order.attempts += 1
            says |= {"method": order.method, "attempt": order.attempts}
            says |= {"amount": self._money(order.cents), "currency": self._currency}
            if kind == "payment_failed":
                says["reason"] = DECLINED[order.method].pick(rng)
        elif kind == "order_packed":
            says |= {"warehouse": ("BER-1", "LYS-2", "MAD-1")[order.number % 3], "parcels": 1 + (len(order.items) > 3)}
        elif kind == "order_shipped":
            carrier, prefix, digits = CARRIERS[order.number * 7 % len(CARRIERS)]
            says |= {"carrier": carrier, "tracking": f"{prefix}{rng.randrange(10 ** (digits - 1), 10**digits)}"}
        elif kind == "order_delivered":
            says["left_with"] = rng.choice(("customer", "customer", "customer", "neighbour", "parcel_locker"))
        elif kind == "order_cancelled":
            declined = order.life[order.step - 1][0] == "payment_failed"
            says["reason"] = "payment_failed" if declined else rng.choice(("customer_request", "out_of_stock"))
        else:
            product, quantity = rng.choice(order.items)
            whole = rng.random() < 0.5
            cents = order.cents if whole else product.cents * quantity
            says["reason"] = rng.choice(("does_not_fit", "not_as_described", "damaged", "changed_mind"))
            says["skus"] = [each.sku for each, _ in order.items] if whole else [product.sku]
            says |= {"refund": self._money(cents), "currency": self._currency}
        says["at"] = AT
        return says
