from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mockforge_nb.core.conditions import LatencyProfile
from mockforge_nb.core.events import (
    Burst,
    Closed,
    Failed,
    Paused,
    Reading,
    Received,
    Resumed,
    Send,
    WakeAt,
    Woke,
)
from mockforge_nb.core.jsonl import parse
from mockforge_nb.core.message import BINARY, TEXT
from mockforge_nb.core.plan import Echo, Plan, Replay, Shared
from mockforge_nb.core.program import BLOCK_BYTES, Payload, Program, Step

from .playbook import Playbook, late, of


def program(*at: float | tuple[float, str]) -> Program:
    """A program of literal steps at these times (ms), each saying its number, or the text that is given."""
    steps = []
    for index, each in enumerate(at):
        ts, text = each if isinstance(each, tuple) else (each, str(index))
        steps.append(Step(ts=ts, payload=Payload("text", text)))
    return Program.of(steps)


def script(text: str) -> Program:
    return Program.of(parse(text, "test.jsonl")[0])


# Echo


def test_echo_answers_a_read_with_its_messages_in_order() -> None:
    book = Playbook(Plan(Echo())).open().receive("a", "b", "ä")
    assert book.sent == [(0, "a"), (0, "b"), (0, "ä")]


def test_echo_keeps_the_opcode_and_puts_the_prefix_before_text_and_bytes() -> None:
    book = Playbook(Plan(Echo("> "))).open()
    book.tell(Received([(BINARY, [b"\xff\x00"]), (TEXT, [b"t"])]))
    assert [(s.opcode, s.payload) for s in of(book.commands, Send)] == [(2, b"> \xff\x00"), (1, b"> t")]


def test_nothing_is_sent_before_the_handshake_or_after_the_close() -> None:
    book = Playbook(Plan(Echo())).receive("early")
    book.open().tell(Closed())
    book.receive("late").push("late")
    assert book.commands == []


# Replay: times


def test_a_replay_sends_each_step_at_its_time_from_the_opening_on() -> None:
    book = Playbook(Plan(Replay(program(0, 10, 20))), at=5).open().until(6)
    assert book.sent == [(5000, "0"), (5010, "1"), (5020, "2")]


def test_speed_divides_the_times() -> None:
    book = Playbook(Plan(Replay(program(0, 10, 20), speed=10))).open().until(1)
    assert book.sent == [(0, "0"), (1, "1"), (2, "2")]


def test_max_speed_sends_all_at_once() -> None:
    book = Playbook(Plan(Replay(program(0, 10, 20), speed=float("inf")))).open()
    assert book.sent == [(0, "0"), (0, "1"), (0, "2")]
    assert len(of(book.commands, Burst)) == 1


def test_a_step_without_time_follows_the_one_before_it_and_an_earlier_time_is_at_once() -> None:
    steps = [Step(ts=ts, payload=Payload("text", str(ts))) for ts in (10, None, 5, 8)]
    book = Playbook(Plan(Replay(Program.of(steps)))).open().until(1)
    assert book.sent == [(10, "10"), (10, "None"), (10, "5"), (13, "8")]


def test_steps_that_a_late_wake_finds_due_leave_as_one_burst() -> None:
    book = Playbook(Plan(Replay(program(0, 1, 2, 3, 50)))).open()
    book.now = 0.010
    book.tell(Woke())
    assert [(b.first, b.last) for b in of(book.commands, Burst)] == [(0, 1), (1, 4)]
    assert book.wake == pytest.approx(0.050)


def test_a_wake_that_comes_too_early_sends_nothing_and_asks_again() -> None:
    book = Playbook(Plan(Replay(program(100)))).open()
    book.now = 0.0999
    book.tell(Woke())
    assert book.sent == []
    assert book.wake == pytest.approx(0.1)


def test_a_loop_begins_again_after_its_period_that_many_times() -> None:
    book = Playbook(Plan(Replay(program(0, 10), rounds=3))).open().until(1)
    assert book.sent == [(0, "0"), (10, "1"), (10, "0"), (20, "1"), (20, "0"), (30, "1")]
    assert book.closed is None


def test_a_loop_without_end_and_without_time_yields_after_each_turn() -> None:
    book = Playbook(Plan(Replay(program((0, "x" * 1000)), rounds=None))).open()
    sent = sum(len(text) for text in book.texts())
    assert BLOCK_BYTES / 2 < sent < 2 * BLOCK_BYTES
    assert book.wake is not None
    assert book.wake <= book.now


def test_then_close_closes_after_the_last_step() -> None:
    book = Playbook(Plan(Replay(program(0, 10), then="close"))).open()
    assert book.closed is None
    assert book.until(1).closed == 1000


@given(
    st.lists(st.floats(0, 1000), min_size=1, max_size=40), st.floats(0.1, 50), st.lists(st.floats(0, 2), max_size=20)
)
def test_no_step_ever_leaves_early_and_all_leave_in_order(at: list[float], speed: float, wakes: list[float]) -> None:
    plan = Plan(Replay(program(*sorted(at)), speed=speed))
    book = Playbook(plan).open()
    for moment in sorted(wakes):
        book.now = moment
        book.tell(Woke())
    book.until(max([book.now, 1100 / speed]))
    assert book.texts() == [str(i) for i in range(len(at))]
    for (sent, _), due in zip(book.sent, sorted(at), strict=True):
        assert sent >= due / speed - 1e-6


# Replay: waits


def test_the_original_s_example_waits_for_what_it_says() -> None:
    plan = Plan(
        Replay(
            script(
                '{"ts":0,"dir":"out","text":"HELLO {{uuid}}","waitFor":"^CLIENT_READY$"}\n'
                '{"ts":10,"dir":"out","text":"{\\"type\\":\\"welcome\\"}"}\n'
                '{"ts":20,"dir":"out","text":"{\\"data\\":{{randInt 1 1}}}","waitFor":"^ACK$"}\n'
            )
        )
    )
    book = Playbook(plan).open().until(1)
    assert book.sent == []
    book.receive("CLIENT_READY?").until(2).receive("CLIENT_READY").until(3)
    assert [(t, s[:6]) for t, s in book.sent] == [(2000, "HELLO "), (2010, '{"type')]
    book.receive("ACK").until(4)
    assert book.sent[2:] == [(3010, '{"data":1}')]


def test_messages_queue_for_the_waits_and_a_wait_takes_the_first_that_matches() -> None:
    book = Playbook(Plan(Replay(script('{"text":"1","waitFor":"a"}\n{"text":"2","waitFor":"b"}')))).open()
    book.receive("x", "b0", "a", "y", "b1")
    assert book.texts() == ["1", "2"]


def test_an_expected_message_lets_the_script_go_on() -> None:
    book = Playbook(Plan(Replay(script('{"dir":"in","text":"^go$"}\n{"ts":30,"text":"went"}')))).open().until(1)
    book.receive("stop").until(2).receive("go").until(3)
    assert book.sent == [(2030, "went")]


def test_the_script_s_time_does_not_count_the_waiting() -> None:
    book = Playbook(Plan(Replay(script('{"ts":5,"text":"a","waitFor":"."}\n{"ts":7,"text":"{{seq}}"}')))).open()
    book.until(10).receive("x").until(11)
    sends = book.rows
    first, second = sends
    assert isinstance(first, Burst | Send)
    assert isinstance(second, Send)
    assert second.due_ms == 7
    assert book.sent == [(10_005, "a"), (10_007, "1")]


# Latency


def test_ten_messages_due_at_once_arrive_within_one_latency() -> None:
    plan = Plan(Replay(program(*[0] * 10)), conditions=late(LatencyProfile.slow()))
    book = Playbook(plan).open().until(5)
    times = [at for at, _ in book.sent]
    assert book.texts() == [str(i) for i in range(10)]
    assert times == sorted(times)
    assert times[0] >= 300
    assert times[-1] <= 800


def test_each_message_leaves_at_its_time_plus_its_delay_or_right_behind_the_one_before() -> None:
    book = (
        Playbook(Plan(Replay(program(0, 50, 100, 900)), conditions=late(LatencyProfile.between(0, 200))))
        .open()
        .until(5)
    )
    sends = of(book.commands, Send)
    leaves = 0.0
    for (sent, _), send, due in zip(book.sent, sends, (0, 50, 100, 900), strict=True):
        assert send.due_ms == pytest.approx(due + send.delay_ms)
        leaves = max(leaves, due + send.delay_ms)
        assert sent == pytest.approx(leaves)


def test_latency_is_the_same_under_a_seed_and_each_connection_has_its_own() -> None:
    plan = Plan(Replay(program(*range(5))), conditions=late(LatencyProfile.slow()))

    def delays(seed: int, number: int) -> list[float]:
        return [s.delay_ms for s in of(Playbook(plan, seed=seed, number=number).open().until(5).commands, Send)]

    assert delays(1, 1) == delays(1, 1)
    assert delays(1, 1) != delays(1, 2)
    assert delays(1, 1) != delays(2, 1)


def test_an_echo_under_latency_keeps_the_order_and_a_push_stands_behind_it() -> None:
    book = (
        Playbook(Plan(Echo(), conditions=late(LatencyProfile.between(10, 100))), seed=3)
        .open()
        .receive("a", "b")
        .push("c")
        .until(1)
    )
    assert book.texts() == ["a", "b", "c"]


def test_a_fast_replay_under_latency_is_not_slowed_by_it() -> None:
    plan = Plan(Replay(program(*range(5000))), conditions=late(LatencyProfile.between(400, 500)))
    book = Playbook(plan).open().until(20)
    assert len(book.sent) == 5000
    for sent, text in book.sent:
        assert 400 <= sent - int(text) <= 500


def test_the_close_after_a_script_waits_for_what_is_on_its_way() -> None:
    book = Playbook(Plan(Replay(program(0), then="close"), conditions=late(LatencyProfile(base_ms=50)))).open()
    book.until(0.049)
    assert book.closed is None
    book.until(0.051)
    assert book.texts() == ["0"]
    assert book.closed == 1000


# A peer that reads slowly


def test_a_paused_session_sends_nothing_and_goes_on_where_it_was() -> None:
    book = Playbook(Plan(Replay(program(*range(10))))).open()
    book.tell(Paused()).until(0.005)
    assert book.texts() == ["0"]
    book.tell(Resumed()).until(1)
    assert book.texts() == [str(i) for i in range(10)]


def test_what_waits_for_a_slow_peer_is_bounded_by_not_reading() -> None:
    plan = Plan(Echo(), queue_bytes=1000)
    book = Playbook(plan).open().tell(Paused()).receive(*["x" * 100] * 11)
    assert of(book.commands, Reading) == [Reading(on=False)]
    book.tell(Resumed())
    assert of(book.commands, Reading)[1:] == [Reading(on=True)]
    assert len(book.sent) == 11


# Templates


def test_a_template_that_fails_is_the_author_s_error_and_the_script_goes_on() -> None:
    book = Playbook(Plan(Replay(script('{"text":"{{message.id}}"}\n{"text":"after"}')))).open()
    (failed,) = of(book.commands, Failed)
    assert failed.step == 0
    assert book.texts() == ["after"]


def test_clock_starts_now_at_its_time_and_moves_it_by_the_script_s() -> None:
    plan = Plan(
        Replay(script('{"ts":0,"text":"{{now}}"}\n{"ts":1500,"text":"{{now}}","waitFor":"."}')), clock_ns=10**18
    )
    book = Playbook(plan, at=77).open().until(100).receive("x").until(200)
    assert book.texts() == ["2001-09-09T01:46:40.000Z", "2001-09-09T01:46:41.500Z"]


def test_random_tokens_do_not_depend_on_timing() -> None:
    plan = Plan(Replay(script('{"ts":0,"text":"{{uuid}}"}\n{"ts":10,"text":"{{randInt 1 1000000}}"}')))
    steady = Playbook(plan).open().until(1)
    late = Playbook(plan).open()
    late.now = 1
    late.tell(Woke())
    assert steady.texts() == late.texts()
    assert Playbook(plan, seed=2).open().until(1).texts() != steady.texts()


# One play-head for all


def test_who_joins_a_shared_replay_late_enters_now() -> None:
    shared = Shared()
    plan = Plan(Replay(program(0, 1000, 2000), shared=True))
    first = Playbook(plan, shared=shared, at=10).open().until(20)
    second = Playbook(plan, shared=shared, at=10.5, number=2).open().until(20)
    assert first.sent == [(10_000, "0"), (11_000, "1"), (12_000, "2")]
    assert second.sent == [(11_000, "1"), (12_000, "2")]


def test_a_shared_loop_is_joined_in_its_round() -> None:
    shared = Shared()
    plan = Plan(Replay(Program(program(0, 10, 20).steps, [0, 10, 20], 30), rounds=None, shared=True))
    Playbook(plan, shared=shared).open()
    late = Playbook(plan, shared=shared, at=0.101, number=2).open().until(0.150)
    assert late.sent == [(110, "2"), (120, "0"), (130, "1"), (140, "2"), (150, "0")]


def test_who_joins_a_shared_replay_after_its_end_gets_nothing() -> None:
    shared = Shared()
    for rounds in (1, 4):
        plan = Plan(Replay(program(0, 10), rounds=rounds, shared=True))
        Playbook(plan, shared=shared).open()
        assert Playbook(plan, shared=shared, at=99).open().until(200).sent == []


def test_all_who_watch_one_play_head_read_the_same_random_text() -> None:
    shared = Shared()
    plan = Plan(Replay(script('{"ts":0,"text":"{{uuid}}"}\n{"ts":1000,"text":"{{uuid}}"}'), shared=True))
    first = Playbook(plan, shared=shared).open().until(2)
    second = Playbook(plan, shared=shared, number=2, at=0.5).open().until(2)
    assert first.texts()[1:] == second.texts()


# Another plan


def test_an_update_begins_the_new_script_and_lets_what_is_on_its_way_arrive() -> None:
    book = Playbook(
        Plan(Replay(program((0, "old"), (5000, "never"))), conditions=late(LatencyProfile(base_ms=100)))
    ).open()
    book.until(0.05).update(Plan(Replay(program((0, "new"))))).until(10)
    assert book.texts() == ["old", "new"]


def test_a_session_asks_to_be_woken_only_when_there_is_something_to_do() -> None:
    assert of(Playbook(Plan(Echo())).open().receive("x").commands, WakeAt) == []
    assert Playbook(Plan(Replay(program(0, 10)))).open().until(1).wake is None
