"""What the network does to messages, without a socket: each fault, when it strikes, and what stays true of all."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from mockforge_nb import LatencyProfile, Mock, OptionError
from mockforge_nb.core.events import Burst, Came, Changed, Close, Closing, Drop, Failed, Heard, Raw, Send
from mockforge_nb.core.faults import FAULTS
from mockforge_nb.core.identity import Identity
from mockforge_nb.core.knock import knock
from mockforge_nb.core.link import LOST
from mockforge_nb.core.plan import Plan, Shared
from mockforge_nb.core.routes import PathPattern
from mockforge_nb.errors import MockForgeError

from .playbook import Playbook, of

TICKS = Mock().replay([{"n": index} for index in range(10)], rate=10)


def plan(mock: Mock) -> Plan:
    return mock._plans(PathPattern.parse("/ws", "test"))[0][1]


def play(mock: Mock, seconds: float = 5, **options: Any) -> Playbook:
    return Playbook(plan(mock), **options).open().until(seconds)


def through(played: Playbook) -> list[str]:
    """What arrives, in its order."""
    return [row.payload.decode() for row in played.rows if isinstance(row, Send) and row.wire != LOST]


def struck(played: Playbook) -> list[tuple[str, str | None]]:
    """What a fault struck."""
    return [
        (row.payload.decode(errors="replace"), row.fault)
        for row in played.rows
        if isinstance(row, Send) and row.fault is not None
    ]


def ticks(*numbers: int) -> list[str]:
    return [f'{{"n":{number}}}' for number in numbers]


# When a fault strikes


@pytest.mark.parametrize(
    ("options", "lost"),
    [
        ({}, range(10)),
        ({"only": "[37]"}, [3, 7]),
        ({"only": "$.n == 4"}, [4]),
        ({"after": 7}, [7, 8, 9]),
        ({"after": "28B"}, [4, 5, 6, 7, 8, 9]),
        ({"after": "0.75s"}, [8, 9]),
        ({"times": 2}, [0, 1]),
        ({"after": 3, "times": 1}, [3]),
        ({"only": "[3579]", "after": 2, "times": 1}, [7]),
        ({"probability": 0}, []),
    ],
)
def test_only_after_times_and_probability_say_which_messages(options: dict[str, Any], lost: Any) -> None:
    played = play(TICKS.fault("drop", **options))
    assert [text for text, _ in struck(played)] == ticks(*lost)
    assert through(played) == ticks(*(n for n in range(10) if n not in lost))


def test_a_probability_is_a_share_and_the_same_under_a_seed() -> None:
    mock = Mock().replay([str(n) for n in range(5000)], rate=1000).fault("drop", probability=0.1)
    first, again, other = (struck(play(mock, 10, seed=seed)) for seed in (1, 1, 2))
    assert first == again != other
    assert 400 < len(first) < 600
    assert struck(play(mock, 10, number=2)) != first


def test_one_fault_does_not_move_the_random_numbers_of_another() -> None:
    alone = play(TICKS.fault("drop", probability=0.5))
    beside = play(TICKS.latency("slow").fault("duplicate", probability=0).fault("drop", probability=0.5))
    assert [text for text, name in struck(beside) if name == "drop"] == [text for text, _ in struck(alone)]


def test_times_of_the_server_count_all_connections() -> None:
    mock, shared = TICKS.fault("drop", times=3, scope="server"), Shared()
    books = [play(mock, number=number, shared=shared) for number in (1, 2)]
    assert [len(struck(each)) for each in books] == [3, 0]


def test_faults_strike_one_after_the_other_and_all_have_their_name() -> None:
    played = play(TICKS.fault("duplicate", only="3").fault("latency", only="3", delay="1s").fault("drop", only="4"), 3)
    assert struck(played)[:1] == [(ticks(4)[0], "drop")] or struck(played)[0][1] == "duplicate,latency"
    assert [name for _, name in struck(played)] == ["duplicate,latency", "duplicate,latency", "drop"]
    assert through(played) == ticks(0, 1, 2, 3, 3, 5, 6, 7, 8, 9)


# What each does


def test_duplicate_and_flood() -> None:
    assert through(play(TICKS.fault("duplicate", only="1", copies=3))) == ticks(0, 1, 1, 1, *range(2, 10))
    assert len(through(play(TICKS.fault("flood", only="1", count=50)))) == 59


@pytest.mark.parametrize(("by", "order"), [(1, [0, 2, 1, 3]), (2, [0, 2, 3, 1]), (99, [0, 2, 3, 4])])
def test_reorder_lets_so_many_overtake(by: int, order: list[int]) -> None:
    assert through(play(TICKS.fault("reorder", only="1", by=by, within="60s")))[:4] == ticks(*order)


def test_what_was_held_back_comes_late_or_before_the_end() -> None:
    late = play(TICKS.fault("reorder", only="9", within="0.5s"))
    assert late.sent[-1:] == [(1400, ticks(9)[0])]
    mock = Mock().replay([{"n": 0}, {"n": 1}], rate=1, then="close").fault("reorder", only="1", within="60s")
    closed = play(mock)
    assert through(closed) == ticks(0, 1)
    assert closed.closed == 1000


def test_corrupt_changes_a_bit_the_end_or_what_a_function_says() -> None:
    texts = [f"message {n}" for n in range(50)]
    mock = Mock().replay(texts, rate=100)
    flipped = through(play(mock.fault("corrupt")))
    for before, after in zip(texts, flipped, strict=True):
        bits = int.from_bytes(before.encode(), "big") ^ int.from_bytes(after.encode(), "big")
        assert (len(before), bits.bit_count()) == (len(after.encode()), 1)
    cut = through(play(mock.fault("corrupt", how="truncate")))
    assert all(before.startswith(after) and before != after for before, after in zip(texts, cut, strict=True))
    assert through(play(mock.fault("corrupt", how=lambda text: text[::-1]))) == [text[::-1] for text in texts]


def test_a_corrupting_function_that_raises_is_the_author_s_and_the_message_goes_through() -> None:
    played = play(TICKS.fault("corrupt", only="3", how=lambda payload: 1 / 0))
    assert [type(each.error) for each in of(played.commands, Failed)] == [ZeroDivisionError]
    assert through(played) == ticks(*range(10))


def test_slices_keep_their_distance_and_what_follows_waits() -> None:
    mock = Mock().replay(["x" * 10, "y"], rate=1000).fault("slicer", size=3, delay="10ms", times=1)
    played = play(mock)
    raw = of(played.commands, Raw)
    assert [one.frames[2:] for one in raw] == [b"xxx", b"xxx", b"x"]
    assert [one.frames[0] for one in raw] == [0, 0, 0x80]
    assert played.rows[0].wire == (b"\x01\x03xxx",)  # type: ignore[union-attr]
    assert played.sent == [(0, "x" * 10), (30, "y")]


def test_invalid_utf8_and_oversize() -> None:
    invalid = play(TICKS.fault("invalid_utf8", times=1)).rows[0]
    assert isinstance(invalid, Send)
    with pytest.raises(UnicodeDecodeError):
        invalid.payload.decode()
    assert len(through(play(TICKS.fault("oversize", size="1kB", times=1)))[0]) == 1000


@pytest.mark.parametrize(
    ("fault", "ends"),
    [
        ({"name": "close", "code": 1012, "reason": "x"}, Close(1012, "x", "close")),
        ({"name": "abort"}, Drop(fault="abort")),
        ({"name": "reset_peer"}, Drop(reset=True, fault="reset_peer")),
    ],
)
@pytest.mark.parametrize(
    ("when", "arrived", "at"), [({"after": 2}, 2, 100), ({"after": "0.25s"}, 3, 250), ({"only": "4"}, 4, 400)]
)
def test_the_end_comes_when_it_says(
    fault: dict[str, Any], ends: Close | Drop, when: dict[str, Any], arrived: int, at: float
) -> None:
    played = Playbook(plan(TICKS.fault(**fault, **when))).open()
    while not of(played.commands, Close) + of(played.commands, Drop):
        assert played.wake is not None
        played.until(played.wake)
    assert of(played.commands, Close) + of(played.commands, Drop) == [ends]
    assert round(played.now * 1000, 6) == at
    assert through(played) == ticks(*range(arrived))


@pytest.mark.parametrize("direction", ["both", "out", "in"])
def test_half_open_lets_nothing_through_its_way(direction: Any) -> None:
    played = Playbook(plan(Mock().echo().fault("half_open", direction=direction))).open().receive("a")
    heard, came = of(played.commands, Heard), of(played.commands, Came)
    assert len(came) == 1
    assert bool(heard) is (direction == "out")
    assert through(played) == []
    played.tell(Closing(1000))
    assert (played.closed is None) is (direction != "in")


def test_a_timeout_ends_tcp_after_its_time_and_never_if_that_is_0() -> None:
    assert of(play(TICKS.fault("timeout", timeout=2), 1.9).commands, Drop) == []
    assert of(play(TICKS.fault("timeout", timeout=2), 2.1).commands, Drop) == [Drop(fault="timeout")]
    assert of(play(TICKS.fault("timeout"), 9999).commands, Drop) == []


def test_limit_data_cuts_a_frame_and_ends() -> None:
    played = play(TICKS.fault("limit_data", size=20))
    assert [row.wire for row in played.rows[2:]] == [(b"\x81\x07",)]  # type: ignore[union-attr]
    assert of(played.commands, Drop) == [Drop(fault="limit_data")]


# Latency and bandwidth


@pytest.mark.parametrize(
    ("profile", "distribution"),
    [
        (LatencyProfile.between(100, 300), stats.uniform(100, 200)),
        (LatencyProfile(base_ms=500).with_normal_distribution(40), stats.norm(500, 40)),
        (LatencyProfile(base_ms=20).with_pareto_distribution(3.0), stats.pareto(3.0, scale=20)),
    ],
)
@pytest.mark.parametrize("seed", [1, 2, 3])
def test_what_is_injected_has_the_distribution_that_was_asked_for(
    profile: LatencyProfile, distribution: Any, seed: int
) -> None:
    mock = Mock().replay([""] * 2000, rate=1).latency(profile).seed(seed)
    delays = mock.simulate(until="1h").df["delay_ms"].dropna()
    assert len(delays) == 2000
    assert stats.kstest(delays, distribution.cdf).pvalue > 0.01
    assert stats.kstest(delays, stats.uniform(50, 300).cdf).pvalue < 1e-6  # it can fail


def test_measured_delays_are_drawn_as_often_as_they_were_measured() -> None:
    measured = pd.Series(np.random.default_rng(1).gamma(2, 30, 5000))
    delays = Mock().replay([""] * 3000, rate=1).latency(measured).simulate(until="1h").df["delay_ms"].dropna()
    assert stats.ks_2samp(delays, measured).pvalue > 0.01
    assert set(delays) <= set(measured.round(3))


def test_latency_does_not_slow_down_and_keeps_the_order() -> None:
    played = play(Mock().replay([str(n) for n in range(1000)], rate=1000).latency((0, 500)), 9)
    assert through(played) == [str(n) for n in range(1000)]
    assert played.sent[-1][0] < 1500.001


@pytest.mark.parametrize(
    ("burst", "times"), [(0, [100, 200, 300, 400]), (100, [0, 100, 200, 300]), (250, [0, 0, 50, 150])]
)
def test_bandwidth_is_a_bucket(burst: int, times: list[float]) -> None:
    mock = Mock().replay(["x" * 100] * 4, speed="max").bandwidth(1000, burst=burst)
    assert [at for at, _ in play(mock).sent] == times


def test_bandwidth_idles_do_not_save_up_more_than_the_burst() -> None:
    mock = Mock().replay([{"ts": 0, "text": "x" * 100}, {"ts": 5000, "text": "y" * 100}]).bandwidth("1kB")
    assert [at for at, _ in play(mock, 9).sent] == [100, 5100]


def test_toxiproxy_s_bandwidth_is_in_kb_of_1000_bytes() -> None:
    mock = Mock().replay(["x" * 1000] * 3, speed="max").fault("bandwidth", rate=10)
    played = play(mock)
    assert [at for at, _ in played.sent] == [100, 200, 300]
    assert {name for _, name in struck(played)} == {"bandwidth"}


def test_toxiproxy_s_latency_does_not_add_up() -> None:
    # Each arrives its latency after it was sent, not after the one before it.
    mock = Mock().replay(["a", "b", "c"], speed="max").fault("latency", delay="1s")
    assert [at for at, _ in play(mock).sent] == [1000, 1000, 1000]


def test_toxiproxy_s_jitter_is_even_around_the_latency() -> None:
    mock = Mock().replay([""] * 2000, rate=1).fault("latency", delay="100ms", jitter="20ms")
    delays = mock.simulate(until="1h").df["delay_ms"].dropna()
    assert stats.kstest(delays, stats.uniform(80, 40).cdf).pvalue > 0.01


def test_toxiproxy_s_slices_vary_around_their_size() -> None:
    played = play(Mock().replay(["x" * 6000]).fault("slicer", size=60, variation=20))
    sizes = [len(one.frames) - 2 for one in of(played.commands, Raw)][:-1]
    assert 40 <= min(sizes) < 45 < 75 < max(sizes) <= 80
    assert np.mean(sizes) == pytest.approx(60, abs=5)


def test_toxiproxy_s_toxicity_is_drawn_once_a_connection() -> None:
    mock = TICKS.fault("half_open", probability=0.5)
    silent = [len(through(play(mock, number=number))) for number in range(1, 101)]
    assert set(silent) == {0, 10}
    assert 30 < silent.count(0) < 70


# What comes


def test_what_comes_is_heard_after_its_delay_and_logged_when_it_comes() -> None:
    played = Playbook(plan(Mock().echo().latency(100, direction="in").latency(50))).open().receive("a")
    (came,) = of(played.commands, Came)
    assert came.message.delay_ms == 100
    assert played.until(0.099).sent == []
    assert of(played.until(0.1).commands, Heard) != []
    assert played.until(1).sent == [(150, "a")]


def test_what_was_lost_is_neither_heard_nor_waited_for() -> None:
    mock = Mock().replay([{"dir": "in", "text": "go"}, {"text": "gone"}]).fault("drop", direction="in", times=1)
    played = Playbook(plan(mock)).open().receive("go")
    assert played.texts() == []
    assert played.receive("go").texts() == ["gone"]


# Conditions that change


def test_phases_take_turns_and_their_faults_come_to_the_others() -> None:
    phases: list[tuple[Any, Mock | str]] = [(0.2, Mock()), ("300ms", Mock().fault("drop"))]
    assert through(play(TICKS.phases(phases))) == ticks(0, 1, 5, 6, 7, 8, 9)
    assert through(play(TICKS.phases(phases, loop=True))) == ticks(0, 1, 5, 6)


def test_a_latency_of_a_phase_takes_the_place_of_the_other() -> None:
    mock = TICKS.latency(10).phases([(0.15, Mock().latency(1000)), (9, Mock())])
    assert [at for at, _ in play(mock).sent][:4] == [1000, 1100, 1100, 1100]


def test_what_was_seen_stays_over_a_change() -> None:
    mock = TICKS.fault("drop", after=3)
    played = Playbook(plan(mock)).open().until(0.15)
    played.tell(Changed(plan(mock.latency(1)).conditions)).until(5)
    assert len(struck(played)) == 7


def test_a_change_lets_what_is_on_its_way_arrive_in_its_order() -> None:
    played = Playbook(plan(TICKS.latency(1000))).open().until(0.25)
    played.tell(Changed(plan(TICKS).conditions)).until(5)
    assert through(played) == ticks(*range(10))


def test_bursts_come_back_once_the_bad_minute_is_over() -> None:
    mock = Mock().replay([str(n) for n in range(100)], rate=100)
    played = Playbook(plan(mock)).open().until(0.2)
    played.tell(Changed(plan(mock.fault("drop", probability=0)).conditions)).until(0.4)
    bursts = len(of(played.commands, Burst))
    played.tell(Changed(plan(mock).conditions)).until(5)
    assert len(of(played.commands, Burst)) > bursts
    assert played.texts() == [str(n) for n in range(100)]


def test_random_numbers_go_on_from_one_bad_minute_to_the_next() -> None:
    mock = Mock().replay([str(n) for n in range(200)], rate=100)
    bad = plan(mock.fault("drop", probability=0.5)).conditions
    played = Playbook(plan(mock)).open()
    for at in (0, 1):
        played.tell(Changed(bad)).until(at + 0.495)
        played.tell(Changed(plan(mock).conditions)).until(at + 0.995)
    lost = [int(text) for text, _ in struck(played)]
    first, second = ({n % 100 for n in lost if n // 100 == round_} for round_ in (0, 1))
    assert first
    assert second
    assert first != second


def test_a_connection_without_conditions_may_get_them() -> None:
    played = Playbook(plan(TICKS)).open().until(0.25)
    played.tell(Changed(plan(TICKS.fault("drop")).conditions)).until(0.55)
    played.tell(Changed(plan(TICKS).conditions)).until(5)
    assert [text for text, _ in struck(played)] == ticks(3, 4, 5)


# Handshakes


def test_attempts_are_delayed_one_by_one_and_refused_so_many_times() -> None:
    conditions = plan(Mock().connect_delay([6, 3, 0]).reject(503, after=1, times=2)).conditions
    counts: dict[object, Any] = {}
    knocks = [knock(conditions, Identity(1, "/ws", number), counts) for number in range(1, 6)]
    assert [each.wait for each in knocks] == [6, 3, 0, 0, 0]
    assert [each.names for each in knocks] == [(), ("reject",), ("reject",), (), ()]


def test_refusals_by_chance_are_the_same_under_a_seed() -> None:
    conditions = plan(Mock().fault("wrong_accept", probability=0.3)).conditions

    def drawn(seed: int) -> list[tuple[str, ...]]:
        return [knock(conditions, Identity(seed, "/ws", number), {}).names for number in range(1, 200)]

    assert drawn(1) == drawn(1) != drawn(2)
    assert 35 < sum(map(bool, drawn(1))) < 85


# What is wrong

ANYTHING: Any = Mock()


@pytest.mark.parametrize(
    ("call", "problem"),
    [
        (lambda m: m.fault("dorp"), "did you mean 'drop'?"),
        (lambda m: m.fault(7), "is no fault"),
        (lambda m: m.fault("drop", probability=1.5), "is no number from 0 to 1"),
        (lambda m: m.fault("drop", probability=True), "is no number from 0 to 1"),
        (lambda m: m.fault("drop", direction="up"), "valid: 'out', 'in', 'both'"),
        (lambda m: m.fault("slicer", direction="in"), "fault('slicer', direction=)"),
        (lambda m: m.fault("drop", only="("), "fault(only=)"),
        (lambda m: m.fault("drop", after="soon"), 'valid: 3 (messages), "10kB", "5s"'),
        (lambda m: m.fault("drop", after=-1), "fault(after=)"),
        (lambda m: m.fault("drop", after=2.5), "fault(after=)"),
        (lambda m: m.fault("drop", times=0), "fault(times=)"),
        (lambda m: m.fault("drop", scope="all"), "valid: 'connection', 'server'"),
        (lambda m: m.fault("drop", size=3), "takes nothing besides"),
        (lambda m: m.fault("slicer", siz=3), "did you mean 'size'?"),
        (lambda m: m.fault("slicer", size="10 apples"), "is no number of bytes"),
        (lambda m: m.fault("close", code=1005), "1005"),
        (lambda m: m.fault("corrupt", how="byte"), "fault('corrupt', how=)"),
        (lambda m: m.fault("bad_frame", how="rvs"), "did you mean 'rsv'?"),
        (lambda m: m.fault("bandwidth", rate=0), "KB"),
        (lambda m: m.fault("reject", only="x"), "strikes handshakes"),
        (lambda m: m.reject(101), "HTTP status"),
        (lambda m: m.reject(503, headers={"a": "b\r\nc"}), "line end"),
        (lambda m: m.reject(204, "b"), "fault('reject', body=): 'b' is a body, and a response of status 204 has none"),
        (lambda m: m.fault("reject", status=304, body="b"), "a response of status 304 has none"),
        (lambda m: m.bandwidth("5g"), "valid: '56k'"),
        (lambda m: m.bandwidth(0), "bandwidth()"),
        (lambda m: m.bandwidth("3g", direction="both"), "bandwidth(direction=)"),
        (lambda m: m.latency(5, direction="up"), "latency(direction=)"),
        (lambda m: m.latency([1, -2, 3]), "at 1 of the measured values"),
        (lambda m: m.latency(pd.Series([], dtype=float)), "no values"),
        (lambda m: m.latency(lambda a, b: 1), "takes (a, b)"),
        (lambda m: m.connect_delay([]), "has no delay"),
        (lambda m: m.connect_delay("soon"), "is no duration"),
        (lambda m: m.phases([]), "has no phase"),
        (lambda m: m.phases([5]), "at 0"),
        (lambda m: m.phases([(0, Mock())]), "lasts no time"),
        (lambda m: m.phases([(1, "tran")]), "is no preset"),
        (lambda m: m.phases([(1, Mock().echo())]), "does more than change the network"),
        (lambda m: m.phases([(1, Mock().reject())]), "handshakes of its own"),
        (lambda m: m.preset("bus"), "valid: 'train'"),
    ],
)
def test_a_wrong_argument_names_itself_and_the_way_out(call: Callable[[Any], object], problem: str) -> None:
    with pytest.raises(OptionError) as raised:
        call(ANYTHING)
    assert problem in str(raised.value)


def test_a_latency_function_that_returns_nonsense_is_the_author_s_error() -> None:
    played = play(TICKS.latency(lambda message: "soon"))
    assert "returned nan" in str(of(played.commands, Failed)[0].error)
    assert through(played) == ticks(*range(10))


# What stays true whatever is asked for

NAMES = sorted(name for name, kind in FAULTS.items() if kind.group in ("message", "end", "state"))
FAULT = st.fixed_dictionaries(
    {"name": st.sampled_from(NAMES)},
    optional={
        "probability": st.sampled_from([0.0, 0.3, 1.0]),
        "direction": st.sampled_from(["in", "out", "both"]),
        "only": st.sampled_from(["1", "[02468]", "$.n > 3"]),
        "after": st.sampled_from([0, 2, "20B", "0.3s"]),
        "times": st.integers(1, 3),
        "scope": st.sampled_from(["connection", "server"]),
    },
)


SMALL = {"flood": {"count": 5}, "oversize": {"size": 50}}


@settings(max_examples=300, deadline=None)
@given(st.lists(FAULT, max_size=4), st.booleans(), st.booleans(), st.integers(0, 5), st.data())
def test_every_message_has_a_row_in_order_and_none_leaves_early(
    faults: list[dict[str, Any]], slow: bool, narrow: bool, seed: int, data: st.DataObject
) -> None:
    mock = TICKS.when("^c", "answer {{message}}")
    for fault in faults:
        try:
            mock = mock.fault(**fault | SMALL.get(fault["name"], {}))
        except MockForgeError:  # a direction that it cannot have
            continue
    if slow:
        mock = mock.latency((0, 200)).latency((0, 100), direction="in")
    if narrow:
        mock = mock.bandwidth(200, burst=20)
    client = [(at / 10, f"c{at}") for at in data.draw(st.lists(st.integers(0, 12), max_size=4))]
    once, again = (mock.seed(seed).simulate(client, until=60).df for _ in range(2))
    pd.testing.assert_frame_equal(once, again)
    assert once["elapsed"].is_monotonic_increasing
    out = once[(once.direction == "out") & once.step.notna()]
    assert (out.elapsed * 1000 - out.due_ms > -0.01).all()
    ended = once.opcode.isin(["close", "abort"]).any()
    seen = set(out.step.dropna())
    assert ended or seen == set(range(10))
    lost_or_changed = out[out.fault.isna()]
    assert all(re.fullmatch(r'\{"n":\d\}', text) for text in lost_or_changed.text)
    if not any("reorder" in str(name) for name in once.fault.dropna()):
        assert out.step.dropna().is_monotonic_increasing


def test_bursts_are_sent_where_nothing_happens_to_them() -> None:
    assert of(play(TICKS).commands, Burst)
    assert of(play(TICKS.reject(times=1)).commands, Burst)
    assert not of(play(TICKS.fault("drop")).commands, Burst)
