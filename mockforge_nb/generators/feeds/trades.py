"""A market's trades and quotes: prices that walk, spreads that breathe, a few symbols that do most of it."""

from __future__ import annotations

import math
import random
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar, Final

from mockforge_nb.errors import OptionError

from .common import (
    AT,
    Events,
    Feed,
    Message,
    Rhythm,
    Weighted,
    around,
    check_count,
    check_flag,
    check_number,
    check_rate,
    check_texts,
    zipf,
)

PRICES: Final = {
    "AAPL": 228.0, "MSFT": 417.0, "NVDA": 136.0, "AMZN": 202.0, "GOOGL": 177.0, "META": 559.0, "TSLA": 338.0,
    "JPM": 248.0, "V": 309.0, "NFLX": 884.0, "AMD": 137.0, "INTC": 24.5, "DIS": 115.0, "KO": 62.5, "BA": 149.0,
    "SPY": 590.0, "QQQ": 503.0, "BTC-USD": 95_000.0, "ETH-USD": 3_350.0,
}  # fmt: skip
"""Where well-known symbols begin; any other begins at a price that its letters make."""

VOLATILITY: Final = 1e-4
"""The standard deviation of a return over a second: about 1.5 % over a trading day."""
RESTLESS_S: Final = 90.0
"""How long volatility remembers (s)."""
HOME_S: Final = 2_000_000.0
"""How slowly a price returns to where it began (s): a feed that runs for months stays plausible."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Trades(Feed):
    """Trades and quotes of a market.

    A trade is at the bid (side ``"sell"``) or at the ask (``"buy"``) of the last quote of its symbol.

    Attributes:
        symbols: What is traded, the most active first; a dict says at which price each begins.
        rate: Messages a second, of all symbols together.
        quotes: Whether quotes are sent too, about two for each trade.
        tick: The least step of a price.
        lot: The least step of a size.
    """

    name: ClassVar[str] = "trades"
    types: ClassVar[tuple[str, ...]] = ("trade", "quote")

    symbols: Sequence[str] | Mapping[str, float] = ("AAPL", "NVDA", "TSLA", "MSFT", "AMZN", "META", "AMD", "GOOGL")
    rate: float = 10.0
    quotes: bool = True
    tick: float = 0.01
    lot: int = 100

    def __post_init__(self) -> None:
        given = self.symbols
        names = check_texts("trades(symbols=)", list(given) if isinstance(given, Mapping) else given)
        check_number("trades(tick=)", self.tick, 1e-8, 1e6)
        object.__setattr__(self, "symbols", dict(given) if isinstance(given, Mapping) else names)
        if isinstance(given, Mapping):
            for symbol, price in given.items():
                check_number(f"trades(symbols=)[{symbol!r}]", price, 10 * self.tick, 1e9)
        elif cheap := [symbol for symbol in names if _first_price(symbol) < 10 * self.tick]:
            problem = f"is too coarse for the price of {cheap[0]!r}, {_first_price(cheap[0]):g}"
            raise OptionError("trades(tick=)", self.tick, problem, "valid: at most a tenth of each price")
        check_rate("trades(rate=)", self.rate)
        check_flag("trades(quotes=)", self.quotes)
        check_count("trades(lot=)", self.lot, 1_000_000)

    def _run(self, rng: random.Random) -> Events:
        given = self.symbols
        prices = given if isinstance(given, Mapping) else {symbol: _first_price(symbol) for symbol in given}
        books = [_Book(symbol, price, self.tick, self.lot, rng) for symbol, price in prices.items()]
        active = Weighted(books, zipf(len(books), 1.1))
        rhythm = Rhythm(rng, self.rate, burst=0.7)
        random_ = rng.random
        while True:
            ms = rhythm.next()
            book = active.pick(rng)
            fresh = book.told
            book.move(ms)
            if self.quotes and (not fresh or random_() < 0.67):
                yield ms, book.quote()
            else:
                if not self.quotes:
                    book.requote()
                yield ms, book.trade()


class _Book:
    """One symbol: its price of the moment, and what was last bid and asked."""

    __slots__ = (
        "_ask", "_ask_size", "_bid", "_bid_size", "_calm", "_digits", "_home", "_id", "_lot", "_mid", "_ms", "_rng",
        "_side", "_tick", "_typical", "symbol", "told",
    )  # fmt: skip

    def __init__(self, symbol: str, price: float, tick: float, lot: int, rng: random.Random) -> None:
        self.symbol, self.told = symbol, False
        self._tick, self._lot, self._rng = tick, lot, rng
        self._digits = max(0, math.ceil(-math.log10(tick) - 1e-9)) + 2 if tick % 1 else 0
        self._mid = self._home = math.log(price)
        self._calm = rng.gauss(0.0, 0.7)  # the logarithm of the volatility, beside its mean
        self._ms = 0.0
        self._side = rng.random() < 0.5
        self._id = rng.randrange(100_000, 900_000)
        self._typical = around(rng, 2.5, 0.3)  # lots in a trade
        self.requote()

    def move(self, ms: float) -> None:
        """Let the price walk until a time (ms)."""
        rng, dt = self._rng, (ms - self._ms) / 1000.0
        self._ms = ms
        keep = math.exp(-dt / RESTLESS_S)
        self._calm = self._calm * keep + rng.gauss(0.0, 0.7 * math.sqrt(1 - keep * keep))
        # A Student's t of 4 degrees, scaled to variance 1: its tails are about those of real returns.
        wide = math.sqrt(rng.gammavariate(2.0, 0.5)) or 1e-3
        shock = max(-6.0, min(6.0, rng.gauss(0.0, 1.0) / wide * 0.7071))
        self._mid += VOLATILITY * math.exp(self._calm - 0.49) * math.sqrt(dt) * shock
        self._mid += (self._home - self._mid) * -math.expm1(-dt / HOME_S)

    def requote(self) -> None:
        """Set the bid and the ask to the price, and sizes at random."""
        rng, tick = self._rng, self._tick
        mid = math.exp(self._mid) / tick
        # A fraction of a basis point, more when the market is restless; to the next tick on either side.
        half = mid * 1.5e-5 * math.exp(0.8 * self._calm) * (0.6 + 0.8 * rng.random())
        self._bid = max(1, math.floor(mid - half))
        self._ask = max(self._bid + 1, math.ceil(mid + half))
        self._bid_size, self._ask_size = self._size(4.0, 0.8), self._size(4.0, 0.8)

    def quote(self) -> Message:
        """Say a new bid and ask."""
        self.told = True
        self.requote()
        return {
            "type": "quote",
            "symbol": self.symbol,
            "bid": self._price(self._bid),
            "ask": self._price(self._ask),
            "bid_size": self._bid_size,
            "ask_size": self._ask_size,
            "at": AT,
        }

    def trade(self) -> Message:
        """Say a trade at the bid or the ask: buyers follow buyers, and push the price a little."""
        rng = self._rng
        if rng.random() < 0.3:
            self._side = not self._side
        self._id += 1 + int(rng.expovariate(0.8))  # those of venues that are not in this feed lie in between
        shown = self._ask_size if self._side else self._bid_size
        size = min(self._size(self._typical, 1.0), shown) if rng.random() < 0.9 else self._size(self._typical, 1.3)
        self._mid += (1 if self._side else -1) * 2e-6 * math.log1p(size / self._lot)
        return {
            "type": "trade",
            "symbol": self.symbol,
            "price": self._price(self._ask if self._side else self._bid),
            "size": size,
            "side": "buy" if self._side else "sell",
            "trade_id": self._id,
            "at": AT,
        }

    def _size(self, lots: float, spread: float) -> int:
        return max(1, round(lots * math.exp(self._rng.gauss(0.0, spread)))) * self._lot

    def _price(self, ticks: int) -> float:
        return round(ticks * self._tick, self._digits)


def _first_price(symbol: str) -> float:
    # A checksum, not hash(): the same in every process.
    return PRICES.get(symbol) or round(8.0 * 60.0 ** (zlib.crc32(symbol.encode()) / 2**32), 2)
