"""Trades are at the bid or the ask, on the grid of prices, and walk as a market's do."""

from __future__ import annotations

import itertools
from collections import Counter
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mockforge_nb.errors import OptionError
from mockforge_nb.generators.feeds import Trades


def check(feed: Trades, seed: int, count: int) -> list[tuple[float, dict[str, Any]]]:
    """Return events, of which each is one that may follow those before it."""
    events = list(itertools.islice(feed.events(seed), count))
    quoted: dict[str, dict[str, Any]] = {}
    traded: dict[str, int] = {}
    for _, message in events:
        symbol = message["symbol"]
        assert symbol in feed.symbols
        if message["type"] == "quote":
            assert 0 < message["bid"] < message["ask"]
            prices, sizes = [message["bid"], message["ask"]], [message["bid_size"], message["ask_size"]]
            quoted[symbol] = message
        else:
            prices, sizes = [message["price"]], [message["size"]]
            assert message["trade_id"] > traded.get(symbol, 0)
            traded[symbol] = message["trade_id"]
            if feed.quotes:
                assert message["price"] == quoted[symbol]["ask" if message["side"] == "buy" else "bid"]
        for price in prices:
            assert price / feed.tick == pytest.approx(round(price / feed.tick), rel=1e-9)
        assert all(size > 0 and size % feed.lot == 0 for size in sizes)
    return events


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_a_long_run_is_a_market(seed: int) -> None:
    check(Trades(), seed, 20_000)


@settings(max_examples=30)
@given(
    seed=st.integers(),
    symbols=st.lists(st.text(min_size=1), min_size=1, max_size=5, unique=True),
    tick=st.sampled_from([0.01, 0.05, 0.25, 0.125, 0.0001, 0.5]),
    lot=st.integers(1, 1000),
    rate=st.floats(0.001, 1e5),
    quotes=st.booleans(),
)
def test_any_options_make_a_market(
    seed: int, symbols: list[str], tick: float, lot: int, rate: float, quotes: bool
) -> None:
    check(Trades(symbols=symbols, tick=tick, lot=lot, rate=rate, quotes=quotes), seed, 150)


def test_a_coarse_tick() -> None:
    check(Trades(symbols={"HOUSE": 400_000}, tick=2500, lot=1), 1, 3000)


def test_a_price_begins_where_it_is_told_or_known() -> None:
    told = next(iter(Trades(symbols={"MINE": 42.0}).events(1)))[1]
    known = next(iter(Trades(symbols=["AAPL"]).events(1)))[1]
    assert told["bid"] == pytest.approx(42, rel=0.001)
    assert known["bid"] == pytest.approx(228, rel=0.001)


def test_a_few_symbols_do_most_of_it() -> None:
    feed = Trades()
    counts = Counter(message["symbol"] for _, message in check(feed, 1, 20_000))
    assert [symbol for symbol, _ in counts.most_common(3)] == list(feed.symbols)[:3]
    assert counts["AAPL"] > 5 * counts["GOOGL"]


def mids(seed: int, step_s: float) -> tuple[np.ndarray[Any, Any], np.ndarray[Any, Any]]:
    """Return the returns of one symbol over equal times, and the mean spread in each."""
    events = itertools.islice(Trades(symbols=["AAPL"]).events(seed), 60_000)
    quotes = [event for event in events if event[1]["type"] == "quote"]
    times = np.array([ms / 1000 for ms, _ in quotes])
    bids = np.array([message["bid"] for _, message in quotes])
    asks = np.array([message["ask"] for _, message in quotes])
    grid = np.searchsorted(times, np.arange(times[0] + step_s, times[-1], step_s)) - 1
    returns = np.diff(np.log((bids + asks) / 2)[grid])
    return returns, np.array([(asks - bids)[a : b + 1].mean() for a, b in itertools.pairwise(grid)])


def lagged(values: np.ndarray[Any, Any], lag: int) -> float:
    return float(np.corrcoef(values[:-lag], values[lag:])[0, 1])


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_returns_are_fat_tailed_hardly_correlated_and_restless_by_turns(seed: int) -> None:
    returns, spreads = mids(seed, 10.0)
    scaled = (returns - returns.mean()) / returns.std()
    assert (scaled**4).mean() > 4.0  # a normal distribution has 3
    assert abs(lagged(returns, 1)) < 0.15
    assert lagged(abs(returns), 1) > 0.15
    assert lagged(abs(returns), 4) > 0.05
    assert 5e-5 < returns.std() < 1e-3  # a day of 6.5 hours: 0.2 % to 5 %
    assert np.corrcoef(spreads, abs(returns))[0, 1] > 0.2
    assert 0.01 <= spreads.mean() < 0.04


def test_a_feed_that_runs_for_months_stays_in_sight_of_its_price() -> None:
    prices = [m["price"] for _, m in check(Trades(symbols=["KO"], rate=0.01, quotes=False), 1, 50_000)]
    assert 62.5 / 3 < min(prices) < max(prices) < 62.5 * 3


@pytest.mark.parametrize(
    ("options", "problem"),
    [
        ({"symbols": "AAPL"}, r"symbols=\): 'AAPL' is one text; give a list: \['AAPL'\]"),
        ({"symbols": []}, r"symbols=\): \[\] is no list of texts"),
        ({"symbols": ["A", "A"]}, r"symbols=\)\[1\]: 'A' is there twice"),
        ({"symbols": [5]}, r"symbols=\)\[0\]: 5 is no text"),
        ({"symbols": {"A": -1}}, r"symbols=\)\['A'\]: -1 is out of bounds"),
        ({"tick": 0}, r"tick=\): 0 is out of bounds"),
        ({"tick": 50, "symbols": ["KO"]}, r"tick=\): 50 is too coarse for the price of 'KO', 62.5"),
        ({"lot": 1.5}, r"lot=\): 1.5 is out of bounds; valid: a whole number"),
        ({"quotes": 1}, r"quotes=\): 1 is no switch"),
    ],
)
def test_wrong_options(options: Any, problem: str) -> None:
    with pytest.raises(OptionError, match=r"trades\(" + problem):
        Trades(**options)
