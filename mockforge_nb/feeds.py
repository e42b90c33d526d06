"""Ready feeds that look like real ones: trades, a chat, sensors, a shop's orders, presence, logs.

    from mockforge_nb import Mock, feeds

    server = Mock().replay(feeds.trades(symbols=["AAPL", "MSFT"], rate=20, seed=1)).serve()

Each is a `Script` without end, made while it is played, or of `n` messages. Under the same seed it says the same, to
each connection from the beginning; ``replay(…, shared=True)`` lets who joins late enter where the others are.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from .core.template import Slot
from .core.units import epoch_ns
from .errors import OptionError
from .generated import check_n, check_seed
from .script import Script

if TYPE_CHECKING:
    from .generators.feeds.common import Feed

__all__ = ["chat", "iot", "logs", "orders", "presence", "trades"]

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def trades(
    n: int | None = None,
    *,
    symbols: Sequence[str] | Mapping[str, float] = ("AAPL", "NVDA", "TSLA", "MSFT", "AMZN", "META", "AMD", "GOOGL"),
    rate: float = 10.0,
    quotes: bool = True,
    tick: float = 0.01,
    lot: int = 100,
    seed: int | None = None,
    start: str | datetime | None = None,
) -> Script:
    """Return trades and quotes of a market, in which prices walk, and are restless in turns.

    ``{"type": "quote", "symbol": "AAPL", "bid": 187.2, "ask": 187.22, "bid_size": 300, …}`` and ``{"type": "trade",
    "price": 187.22, "size": 100, "side": "buy", "trade_id": 41207, …}``, at the bid or the ask of the moment.

    Args:
        n: How many messages; None: without end.
        symbols: What is traded, the most active first; a dict says at which price each begins.
        rate: Messages a second in the mean, of all symbols together.
        quotes: Whether quotes are sent too, about two for each trade.
        tick: The least step of a price.
        lot: The least step of a size.
        seed: What settles all of it; one is drawn, and shown, unless given.
        start: When it begins, for the times in the messages; unless given, each message has the time at which it is
            due.

    Raises:
        OptionError: A wrong argument.

    Example:
        >>> sorted({step.payload.value["type"] for step in feeds.trades(100, symbols={"AAPL": 190}, seed=1)})
        ['quote', 'trade']
    """
    from .generators.feeds import Trades

    return _script(Trades(symbols=symbols, rate=rate, quotes=quotes, tick=tick, lot=lot), n, seed, start)


def chat(
    n: int | None = None,
    *,
    users: int = 25,
    rooms: Sequence[str] = ("general", "random", "dev", "help"),
    rate: float = 2.0,
    locale: str = "en_US",
    seed: int | None = None,
    start: str | datetime | None = None,
) -> Script:
    """Return what is said and done in the rooms of a chat: ``join leave message typing reaction``.

    Who writes has joined before; replies and reactions are to messages that were said in that room.

    Args:
        n: How many messages; None: without end.
        users: How many people there are.
        rooms: What the rooms are called.
        rate: Messages a second in the mean, of all rooms and kinds together.
        locale: Faker's, where names come from, and in what people write: English, or words of the language at random.
        seed: As in `trades`.
        start: As in `trades`.

    Raises:
        OptionError: A wrong argument.

    Example:
        >>> next(iter(feeds.chat(seed=1, start="2026-01-01"))).payload.value["type"]
        'join'
    """
    from .generators.feeds import Chat

    return _script(Chat(users=users, rooms=rooms, rate=rate, locale=locale), n, seed, start)


def iot(
    n: int | None = None,
    *,
    devices: int = 12,
    metrics: Sequence[str] = ("temperature", "humidity", "co2", "power"),
    rate: float = 5.0,
    start_hour: float | None = None,
    day: float = 86_400.0,
    seed: int | None = None,
    start: str | datetime | None = None,
) -> Script:
    """Return what devices report: ``reading status alert``, with daily courses, batteries, outages and stuck sensors.

    Args:
        n: How many messages; None: without end.
        devices: How many there are.
        metrics: What is measured.
        rate: Messages a second in the mean, of all devices together.
        start_hour: The hour of the day at which it begins, from 0 to 24; that of `start`, or 8, unless given.
        day: How long a day takes (s): fewer than 86,400 show its course in a short time.
        seed: As in `trades`.
        start: As in `trades`.

    Raises:
        OptionError: A wrong argument.

    Example:
        >>> feeds.iot(50, devices=2, metrics=["temperature"], seed=1)
        <Script <iot, seed 1>, 50 steps in 9.06 s>
    """
    from .generators.feeds import Iot

    if start_hour is None:
        start_hour = 8.0 if start is None else epoch_ns(start, "iot(start=)") / 3.6e12 % 24
    feed = Iot(devices=devices, metrics=metrics, rate=rate, start_hour=start_hour, day=day)
    return _script(feed, n, seed, start)


def orders(
    n: int | None = None,
    *,
    rate: float = 5.0,
    pace: float = 30.0,
    customers: int = 200,
    products: int = 60,
    currency: str = "EUR",
    locale: str = "en_US",
    seed: int | None = None,
    start: str | datetime | None = None,
) -> Script:
    """Return the orders of a shop, from ``order_created`` over payment, packing and shipping to their end.

    It begins with an empty shop, so that the rate is reached when the first orders are delivered, after `pace`.

    Args:
        n: How many messages; None: without end.
        rate: Messages a second in the mean, of all orders together.
        pace: How long an order takes from its creation to its delivery: the median (s).
        customers: How many there are; few of them order most.
        products: How many the catalogue has.
        currency: Three letters; all prices are in it.
        locale: Faker's, where the customers' names come from.
        seed: As in `trades`.
        start: As in `trades`.

    Raises:
        OptionError: A wrong argument.

    Example:
        >>> sorted({step.payload.value["type"] for step in feeds.orders(20, seed=1)})
        ['order_created', 'order_packed', 'order_shipped', 'payment_authorized', 'payment_failed']
    """
    from .generators.feeds import Orders

    feed = Orders(rate=rate, pace=pace, customers=customers, products=products, currency=currency, locale=locale)
    return _script(feed, n, seed, start)


def presence(
    n: int | None = None,
    *,
    users: int = 30,
    rate: float = 2.0,
    heartbeats: bool = False,
    cursors: bool = False,
    locale: str = "en_US",
    seed: int | None = None,
    start: str | datetime | None = None,
) -> Script:
    """Return who is there: sessions that begin and end, ``online away busy back offline``, cursors that move.

    Args:
        n: How many messages; None: without end.
        users: How many there are.
        rate: Messages a second in the mean, of all users and kinds together.
        heartbeats: Whether those who are there say so in turn.
        cursors: Whether cursors move over a document of 1280 x 720.
        locale: Faker's, where names come from.
        seed: As in `trades`.
        start: As in `trades`.

    Raises:
        OptionError: A wrong argument.

    Example:
        >>> sorted({step.payload.value["type"] for step in feeds.presence(100, seed=1)})
        ['away', 'back', 'busy', 'offline', 'online']
    """
    from .generators.feeds import Presence

    feed = Presence(users=users, rate=rate, heartbeats=heartbeats, cursors=cursors, locale=locale)
    return _script(feed, n, seed, start)


def logs(
    n: int | None = None,
    *,
    services: Sequence[str] | None = None,
    hosts: int = 2,
    rate: float = 10.0,
    errors: float = 0.01,
    incidents: float = 300.0,
    debug: bool = True,
    seed: int | None = None,
    start: str | datetime | None = None,
) -> Script:
    """Return the log lines of a gateway and the services behind it: all lines of a request have its ``trace_id``.

    Args:
        n: How many lines; None: without end.
        services: Which there are behind the gateway; all unless given.
        hosts: On how many hosts each runs.
        rate: Lines a second in the mean, of all services together.
        errors: The share of requests that fail while all is well.
        incidents: How long until the next time that a service fails or is slow: the mean (s); 0: never.
        debug: Whether there are lines of the level DEBUG too.
        seed: As in `trades`.
        start: As in `trades`.

    Raises:
        OptionError: A wrong argument.

    Example:
        >>> sorted(next(iter(feeds.logs(seed=1))).payload.value)
        ['at', 'host', 'level', 'logger', 'msg', 'service', 'trace_id', 'type', 'user']
    """
    from .generators.feeds import Logs
    from .generators.feeds.logs import SERVICES

    chosen = SERVICES if services is None else services
    feed = Logs(services=chosen, hosts=hosts, rate=rate, errors=errors, incidents=incidents, debug=debug)
    return _script(feed, n, seed, start)


def _script(feed: Feed, n: int | None, seed: object, start: object) -> Script:
    from .generators.endless import Endless
    from .generators.feeds.common import AT

    where = f"{feed.name}()"
    check_n(n, where.replace("()", "(n=)"))
    known = check_seed(seed, where.replace("()", "(seed=)"))
    at = where.replace("()", "(start=)")
    began = None if start is None else _EPOCH + timedelta(microseconds=epoch_ns(start, at) // 1000)
    if began is not None and began.year > 9990:
        raise OptionError(at, start, "leaves no years for the feed", "valid: before the year 9990")
    slot = Slot(AT)

    def items() -> Iterator[tuple[float, Any]]:
        for ms, event in feed.events(known):
            for key, value in event.items():
                if value is AT:
                    event[key] = slot if began is None else _written(began, ms)
            yield ms, event

    return Script.made(Endless.of(f"<{feed.name}, seed {known}>", items, [AT] if began is None else []), n)


def _written(began: datetime, ms: float) -> str:
    return (began + timedelta(milliseconds=ms)).isoformat(timespec="milliseconds").replace("+00:00", "Z")
