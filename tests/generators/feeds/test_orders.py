"""Orders live in the legal order, and their sums are right to the cent."""

from __future__ import annotations

import itertools
from collections import Counter
from decimal import Decimal
from statistics import median
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mockforge_nb.errors import OptionError
from mockforge_nb.generators.feeds import Orders

AFTER: dict[str, set[str]] = {
    "": {"order_created"},
    "order_created": {"payment_authorized", "payment_failed"},
    "payment_failed": {"payment_authorized", "payment_failed", "order_cancelled"},
    "payment_authorized": {"order_packed", "order_cancelled"},
    "order_packed": {"order_shipped"},
    "order_shipped": {"order_delivered"},
    "order_delivered": {"order_returned"},
    "order_cancelled": set(),
    "order_returned": set(),
}


def exact(number: float) -> Decimal:
    value = Decimal(str(number))
    assert value == round(value, 2)
    return value


def check(feed: Orders, seed: int, count: int) -> list[tuple[float, dict[str, Any]]]:
    """Return events, of which each is one that may follow those before it."""
    events = list(itertools.islice(feed.events(seed), count))
    orders: dict[str, dict[str, Any]] = {}
    state: Counter[str] = Counter()
    last: dict[str, str] = {}
    for _, message in events:
        order, kind = message["order_id"], message["type"]
        assert kind in AFTER[last.get(order, "")]
        last[order] = kind
        if kind == "order_created":
            lines = message["items"]
            assert len({line["sku"] for line in lines}) == len(lines) > 0
            assert sum(exact(line["price"]) * line["qty"] for line in lines) == exact(message["total"]) > 0
            assert message["currency"] == feed.currency
            orders[order] = message
        elif "amount" in message:
            state[order] += 1
            assert message["attempt"] == state[order]
            assert message["amount"] == orders[order]["total"]
        elif kind == "order_returned":
            returned = [line for line in orders[order]["items"] if line["sku"] in message["skus"]]
            assert sum(exact(line["price"]) * line["qty"] for line in returned) == exact(message["refund"]) > 0
    return events


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_a_long_run_of_a_shop(seed: int) -> None:
    check(Orders(), seed, 20_000)


@settings(max_examples=30)
@given(
    seed=st.integers(),
    rate=st.floats(0.001, 1000),
    pace=st.floats(0.001, 200),
    customers=st.integers(1, 30),
    products=st.integers(1, 160),
)
def test_any_options_make_a_shop(seed: int, rate: float, pace: float, customers: int, products: int) -> None:
    check(Orders(rate=rate, pace=pace, customers=customers, products=products), seed, 200)


@pytest.mark.parametrize("pace", [5.0, 60.0])
def test_an_order_takes_as_long_as_the_pace_says(pace: float) -> None:
    created: dict[str, float] = {}
    taken = []
    for ms, message in itertools.islice(Orders(pace=pace).events(1), 20_000):
        if message["type"] == "order_created":
            created[message["order_id"]] = ms
        elif message["type"] == "order_delivered":
            taken.append((ms - created[message["order_id"]]) / 1000)
    assert median(taken) == pytest.approx(pace, rel=0.05)


def test_customers_come_again_and_few_order_most() -> None:
    created = [m for _, m in check(Orders(), 1, 20_000) if m["type"] == "order_created"]
    names: dict[str, str] = {}
    for message in created:
        who = message["customer"]
        assert names.setdefault(who["id"], who["name"]) == who["name"]
    counts = [count for _, count in Counter(message["customer"]["id"] for message in created).most_common()]
    assert sum(counts[:20]) > 0.3 * len(created)
    assert len(counts) > 150


def test_a_product_has_one_name_and_price() -> None:
    prices: dict[str, tuple[str, float]] = {}
    for _, message in check(Orders(products=10), 1, 5000):
        for line in message.get("items", ()):
            shown = (line["name"], line["price"])
            assert prices.setdefault(line["sku"], shown) == shown
    assert len(prices) == 10


def test_a_retry_may_succeed_and_a_cancellation_says_why() -> None:
    events = [message for _, message in check(Orders(), 2, 20_000)]
    assert any(m["type"] == "payment_authorized" and m["attempt"] > 1 for m in events)
    reasons = {message["reason"] for message in events if message["type"] == "order_cancelled"}
    assert reasons == {"payment_failed", "customer_request", "out_of_stock"}


@pytest.mark.parametrize(
    ("options", "problem"),
    [
        ({"pace": 0}, r"pace=\): 0 is out of bounds"),
        (
            {"pace": 86_400.0, "rate": 100},
            r"pace=\): 86400.0 is too much at 100 messages.*valid: at most 2000",
        ),
        ({"customers": 0}, r"customers=\): 0 is out of bounds; valid: a whole number from 1 to 10,000"),
        ({"products": 161}, r"products=\): 161 is out of bounds"),
        ({"currency": "euro"}, r"currency=\): 'euro' is no currency"),
    ],
)
def test_wrong_options(options: Any, problem: str) -> None:
    with pytest.raises(OptionError, match=r"orders\(" + problem):
        Orders(**options)
