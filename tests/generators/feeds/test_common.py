"""What holds for every feed: its rate, its order, its memory, and that a seed makes the same feed everywhere."""

from __future__ import annotations

import hashlib
import itertools
import json
import random
import subprocess
import sys
import tracemalloc
from collections import Counter
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mockforge_nb.errors import OptionError
from mockforge_nb.generators.feeds import AT, FEEDS, Chat, Feed, Iot, Logs, Orders, Presence, Trades, common

VARIANTS: list[Feed] = [
    *(feed() for feed in FEEDS),
    Trades(quotes=False, symbols={"X": 5.0}),
    Chat(users=1, rooms=["a"], locale="de_DE"),
    Iot(day=600, rate=50, metrics=["power", "pressure"], devices=3),
    Orders(pace=2, rate=40, currency="USD"),
    Presence(heartbeats=True),
    Presence(heartbeats=True, cursors=True, rate=50),
    Logs(debug=False, incidents=60, errors=0.1, services=["orders"]),
]

DIGEST = """
import hashlib, itertools, json
from mockforge_nb.generators.feeds import FEEDS
for feed in FEEDS:
    print(hashlib.sha256(json.dumps(list(itertools.islice(feed().events(7), 1500))).encode()).hexdigest())
"""

every = pytest.mark.parametrize("feed", VARIANTS, ids=repr)


def first(feed: Feed, count: int, seed: int = 1) -> list[tuple[float, dict[str, Any]]]:
    return list(itertools.islice(feed.events(seed), count))


@every
def test_messages_are_json_with_a_type_and_a_place_for_the_time(feed: Feed) -> None:
    for _, message in first(feed, 20_000):
        assert message["type"] in feed.types
        assert message["at"] == AT
        assert json.loads(json.dumps(message, allow_nan=False)) == message


@every
def test_everything_that_a_feed_may_say_is_said(feed: Feed) -> None:
    said = {message["type"] for _, message in first(feed, 20_000)}
    silent = set()
    if isinstance(feed, Presence):
        silent = {kind for kind, on in (("heartbeat", feed.heartbeats), ("cursor", feed.cursors)) if not on}
    if isinstance(feed, Trades) and not feed.quotes:
        silent = {"quote"}
    if isinstance(feed, Chat) and feed.users == 1:
        silent = {"reaction"}
    assert said == set(feed.types) - silent


@every
@pytest.mark.parametrize("seed", [1, 2, 3])
def test_the_time_never_goes_back(feed: Feed, seed: int) -> None:
    times = [ms for ms, _ in first(feed, 20_000, seed)]
    assert times[0] >= 0
    assert all(earlier <= later for earlier, later in itertools.pairwise(times))
    assert len(set(times)) > 0.3 * len(times)  # no heaps at one instant


@every
def test_the_rate_holds(feed: Feed) -> None:
    rate = feed.rate  # type: ignore[attr-defined]  # all have one
    for seed in (1, 2):
        *_, (ms, _) = itertools.islice(feed.events(seed), 60_000)
        assert 60_000 / (ms / 1000) == pytest.approx(rate, rel=0.05)


@every
def test_a_seed_makes_the_same_feed_and_another_seed_another(feed: Feed) -> None:
    assert first(feed, 500, 4) == first(feed, 500, 4) != first(feed, 500, 5)


@every
def test_each_iterator_has_a_state_of_its_own(feed: Feed) -> None:
    alone = first(feed, 400)
    one, other = feed.events(1), feed.events(1)
    for event in alone:
        assert next(one) == event == next(other)
        event[1].clear()  # what is done to a message shows in no other
    assert first(feed, 400) != alone


def test_the_same_in_another_process_whose_hashes_differ() -> None:
    env = {"PYTHONHASHSEED": "12345", "PYTHONPATH": ":".join(filter(None, sys.path)), "TZ": "Asia/Tokyo"}
    done = subprocess.run([sys.executable, "-c", DIGEST], env=env, capture_output=True, text=True, check=True)
    here = [hashlib.sha256(json.dumps(first(feed(), 1500, 7)).encode()).hexdigest() for feed in FEEDS]
    assert done.stdout.split() == here


@pytest.mark.parametrize("feed", FEEDS)
def test_memory_is_bounded_however_long_it_runs(feed: Callable[[], Feed]) -> None:
    events = feed().events(1)
    for _ in itertools.islice(events, 20_000):  # its pools are full
        pass
    tracemalloc.start()
    try:
        for _ in itertools.islice(events, 60_000):
            pass
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 600_000  # 10 bytes an event


@pytest.mark.parametrize("feed", FEEDS)
@pytest.mark.parametrize("seed", [None, "1", 1.0, True])
def test_a_seed_that_is_no_whole_number(feed: Callable[[], Feed], seed: Any) -> None:
    with pytest.raises(OptionError, match=r"\(seed=\): .* is no whole number"):
        feed().events(seed)


@pytest.mark.parametrize("feed", FEEDS)
@pytest.mark.parametrize("rate", [0, -1, float("nan"), float("inf"), "10", True, None])
def test_a_rate_that_is_none(feed: Callable[..., Feed], rate: Any) -> None:
    with pytest.raises(OptionError, match=r"\(rate=\): .* is no number of messages a second; valid: "):
        feed(rate=rate)


def test_a_locale_that_faker_does_not_know() -> None:
    with pytest.raises(OptionError, match=r"chat\(locale=\): 'de-DE' is no locale .*; did you mean 'de_DE'"):
        Chat(locale="de-DE")
    with pytest.raises(OptionError, match=r"orders\(locale=\): \['de_DE'\] is no locale"):
        Orders(locale=["de_DE"])  # type: ignore[arg-type]  # what is tested


@given(
    seed=st.integers(),
    rate=st.floats(0.01, 1e4),
    burst=st.floats(0, 1),
    memory=st.floats(0, 0.95),
    smooth=st.integers(1, 50),
)
def test_a_rhythm_goes_on_at_any_rate(seed: int, rate: float, burst: float, memory: float, smooth: int) -> None:
    rhythm = common.Rhythm(random.Random(seed), rate, burst=burst, memory=memory, smooth=smooth)
    times = [rhythm.next() for _ in range(50)]
    assert times == sorted(times)
    assert times[-1] > 0


def test_a_rhythm_comes_in_waves_and_a_poisson_process_does_not() -> None:
    def dispersion(burst: float) -> float:
        rhythm = common.Rhythm(random.Random(3), 10.0, burst=burst)
        counts = Counter(int(rhythm.next() / 2000) for _ in range(40_000))
        numbers = [counts[second] for second in range(max(counts))]
        mean = sum(numbers) / len(numbers)
        return sum((each - mean) ** 2 for each in numbers) / len(numbers) / mean

    assert dispersion(0.0) == pytest.approx(1.0, abs=0.1)
    assert dispersion(0.7) > 2.0


@given(st.lists(st.tuples(st.floats(0, 1e6), st.integers())))
def test_an_agenda_is_in_order_of_time_and_then_of_addition(entries: list[tuple[float, int]]) -> None:
    agenda: common.Agenda[int] = common.Agenda()
    for ms, item in entries:
        agenda.add(ms, item)
    assert [agenda.pop() for _ in range(len(agenda))] == sorted(entries, key=lambda entry: entry[0])
    assert agenda.due() == float("inf")


def test_a_weighted_choice_comes_as_often_as_its_weight() -> None:
    choice, rng = common.Weighted("abc", (1, 2, 7)), random.Random(1)
    counts = Counter(choice.pick(rng) for _ in range(20_000))
    assert [counts[each] / 20_000 for each in "abc"] == pytest.approx([0.1, 0.2, 0.7], abs=0.01)


def test_people_differ_in_ids_and_handles() -> None:
    crowd = common.people(random.Random(1), 3000, "en_US", "u")
    assert len({each.id for each in crowd}) == len({each.handle for each in crowd}) == 3000
