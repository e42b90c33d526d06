from __future__ import annotations

import statistics
from dataclasses import replace
from datetime import timedelta
from random import Random
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mockforge_nb.core.conditions import Conditions, Delay, LatencyProfile, latency
from mockforge_nb.core.events import Send
from mockforge_nb.core.identity import Identity
from mockforge_nb.core.link import Link, Memory
from mockforge_nb.core.message import TEXT
from mockforge_nb.core.units import seconds
from mockforge_nb.errors import OptionError


@pytest.mark.parametrize(("name", "low", "high"), [("fast", 10, 50), ("normal", 50, 200), ("slow", 300, 800)])
def test_the_named_profiles_draw_evenly_from_their_range(name: str, low: float, high: float) -> None:
    rng = Random(1)
    drawn = [latency(name).draw(rng) for _ in range(5000)]
    assert low <= min(drawn) < low + (high - low) * 0.01
    assert high - (high - low) * 0.01 < max(drawn) <= high
    assert statistics.mean(drawn) == pytest.approx((low + high) / 2, rel=0.02)


@pytest.mark.parametrize(
    ("value", "base", "jitter"),
    [
        (250, 250, 0),
        (0, 0, 0),
        (1.5, 1.5, 0),
        ("1s", 1000, 0),
        (timedelta(seconds=2), 2000, 0),
        ((50, 200), 125, 75),
        (["50ms", "0.2s"], 125, 75),
    ],
)
def test_a_latency_is_said_in_many_ways(value: object, base: float, jitter: float) -> None:
    profile = latency(value)
    assert isinstance(profile, LatencyProfile)
    assert (profile.base_ms, profile.jitter_ms) == (base, jitter)


@pytest.mark.parametrize(
    "value", ["slwo", -1, float("nan"), float("inf"), True, None, (1, 2, 3), (5,), "5 parsecs", {}]
)
def test_what_is_no_latency_is_an_error_that_names_it_and_the_valid_ones(value: object) -> None:
    with pytest.raises(OptionError) as caught:
        latency(value)
    assert repr(value) in str(caught.value)
    assert "'fast', 'normal', 'slow'" in str(caught.value)


def test_a_range_that_goes_down_says_so() -> None:
    with pytest.raises(OptionError, match="goes down: the low end 200 ms is more than 50 ms"):
        latency((200, 50))


def test_normal_and_pareto_distributions_have_their_shape() -> None:
    rng = Random(2)
    normal = LatencyProfile(base_ms=500).with_normal_distribution(20)
    drawn = [normal.draw(rng) for _ in range(4000)]
    assert statistics.mean(drawn) == pytest.approx(500, rel=0.01)
    assert statistics.stdev(drawn) == pytest.approx(20, rel=0.1)
    pareto = LatencyProfile(base_ms=100).with_pareto_distribution(3.0)
    drawn = [pareto.draw(rng) for _ in range(4000)]
    assert min(drawn) >= 100
    assert statistics.median(drawn) == pytest.approx(100 * 2 ** (1 / 3), rel=0.03)


@given(
    st.builds(
        LatencyProfile,
        base_ms=st.floats(0, 1e4),
        jitter_ms=st.floats(0, 1e4),
        distribution=st.sampled_from(["fixed", "normal", "pareto"]),
        std_dev_ms=st.none() | st.floats(0, 1e4),
        pareto_shape=st.none() | st.floats(0.1, 10),
        min_ms=st.floats(0, 50),
        max_ms=st.none() | st.floats(50, 1e4),
    ),
    st.integers(),
)
def test_what_is_drawn_stays_between_the_bounds(profile: LatencyProfile, seed: int) -> None:
    drawn = profile.draw(Random(seed))
    assert profile.min_ms <= drawn
    assert profile.max_ms is None or drawn <= profile.max_ms


@pytest.mark.parametrize(
    ("options", "problem"),
    [
        ({"base_ms": -1}, "LatencyProfile(base_ms=): -1"),
        ({"distribution": "norml"}, "did you mean 'normal'?"),
        ({"pareto_shape": 0}, "is not greater than 0"),
        ({"min_ms": 10, "max_ms": 5}, "is less than min_ms=10"),
        ({"jitter_ms": "5"}, "is no number from 0 to 1e+12"),
        ({"base_ms": 1e308}, "is no number from 0 to 1e+12"),
        ({"std_dev_ms": 1e308}, "is no number from 0 to 1e+12"),
        ({"tag_overrides": {"a": 1e308}}, "is no dict of tags and ms from 0 to 1e+12"),
    ],
)
def test_a_profile_that_makes_no_sense_is_refused(options: dict[str, object], problem: str) -> None:
    with pytest.raises(OptionError) as caught:
        LatencyProfile(**options)  # type: ignore[arg-type]  # wrong on purpose
    assert problem in str(caught.value)


@pytest.mark.parametrize(
    ("low", "high", "problem"),
    [
        ("10ms", "20ms", "'10ms' is no number of ms"),
        (None, 5, "None is no number of ms"),
        (800, 300, "(800, 300) goes down; between(300, 800)"),
    ],
)
def test_a_range_that_is_none_is_refused_as_it_was_written(low: Any, high: Any, problem: str) -> None:
    with pytest.raises(OptionError) as caught:
        LatencyProfile.between(low, high)
    assert str(caught.value).startswith(f"LatencyProfile.between(): {problem}")


def test_a_normal_distribution_without_a_deviation_has_a_fifth() -> None:
    profile = LatencyProfile(base_ms=100, distribution="normal")
    assert profile.describe() == "normal 100 ± 20 ms"
    assert statistics.stdev(profile.draw(Random(seed)) for seed in range(2000)) == pytest.approx(20, rel=0.1)


def test_a_tail_beyond_all_numbers_is_the_longest_delay() -> None:
    profile = LatencyProfile(base_ms=1, distribution="pareto", pareto_shape=1e-3)
    drawn = [profile.draw(Random(seed)) for seed in range(50)]
    assert max(drawn) == 1e12
    assert replace(profile, max_ms=500).draw(Random(drawn.index(1e12))) == 500
    assert replace(profile, base_ms=0).draw(Random(drawn.index(1e12))) == 0


def test_the_builders_of_the_original() -> None:
    profile = LatencyProfile.with_normal_distribution(250, 75.0).with_min_ms(100).with_max_ms(500)
    assert profile == LatencyProfile(250, distribution="normal", std_dev_ms=75.0, min_ms=100, max_ms=500)
    assert LatencyProfile.with_pareto_distribution(20, 1.5) == LatencyProfile(20).with_pareto_distribution(1.5)
    assert LatencyProfile.with_normal_distribution(base_ms=9, std_dev_ms=1).base_ms == 9  # type: ignore[call-arg]
    tagged = LatencyProfile(100, 25).with_tag_override("slow", 500).with_tag_override("fast", 10)
    assert tagged == LatencyProfile(base_ms=100, jitter_ms=25, tag_overrides={"slow": 500, "fast": 10})


def test_a_profile_is_that_which_was_checked() -> None:
    tags: dict[str, float] = {"a": 5}
    profile = LatencyProfile(tag_overrides=tags)
    tags["b"] = -1
    assert profile.tag_overrides == {"a": 5}


@given(st.lists(st.tuples(st.floats(0, 10), st.floats(0, 5)), min_size=1, max_size=50))
def test_a_line_keeps_the_order_and_never_lets_a_message_out_early(gaps: list[tuple[float, float]]) -> None:
    conditions = Conditions(delays=(Delay(LatencyProfile.between(0, 1000)),))
    link = Link(conditions, "out", Identity(7), Memory({}), 0.0, lambda *_: None)
    now, before = 0.0, 0.0
    for gap, _ in gaps:
        now += gap
        ((leaves, sent),) = link.admit(Send(TEXT, b"x"), now, None, [])
        assert isinstance(sent, Send)
        delay = sent.delay_ms
        assert leaves >= now + delay / 1000 - 1e-9
        assert leaves == pytest.approx(max(before, now + delay / 1000))
        before = leaves


def test_durations() -> None:
    assert [seconds(v, "x") for v in (2, "250ms", "1.5 s", "2m", "1h", "1d", timedelta(hours=1))] == [
        2,
        0.25,
        1.5,
        120,
        3600,
        86400,
        3600,
    ]
    for wrong in (-1, "soon", "5", None, True, float("nan"), "-5s", timedelta(seconds=-1)):
        with pytest.raises(OptionError, match="is no duration"):
            seconds(wrong, "timeout=")
