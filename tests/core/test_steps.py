"""What steps can do beside sending: wait with a limit, jump, assert, repeat, end the connection."""

from __future__ import annotations

import pytest

from mockforge_nb.core.conditions import LatencyProfile
from mockforge_nb.core.events import Close, Drop, Failed, Late, Noted, Send, Woke
from mockforge_nb.core.jsonl import parse
from mockforge_nb.core.plan import Plan, Replay
from mockforge_nb.core.program import Program
from mockforge_nb.errors import ExpectationError, ExpectationTimeoutError, ScriptError

from .playbook import Playbook, late, of

LOGIN = """
{"step_id": "ask", "text": "login?"}
{"step_id": "in", "dir": "in", "branches": {"^admin$": "admin", "guest": "guest"}, "next_step": "ask"}
{"step_id": "admin", "text": "welcome, admin", "next_step": "end"}
{"step_id": "guest", "text": "welcome, guest {{message}}"}
{"step_id": "end", "text": "bye", "close": true, "code": 4000, "reason": "done"}
"""


def play(text: str, *, speed: float = 1.0, latency: LatencyProfile | None = None, delays: bool = False) -> Playbook:
    program = Program.of(parse(text, "test.jsonl")[0], delays=delays)
    return Playbook(Plan(Replay(program, speed), conditions=late(latency))).open()


# What is noted for who traces


def noted(*says: str, noting: bool = True) -> Playbook:
    program = Program.of(parse(LOGIN, "test.jsonl")[0], delays=False)
    book = Playbook(Plan(Replay(program)), noting=noting).open()
    for text in says:
        book.receive(text)
    return book


def test_waits_and_branches_are_noted_in_their_order() -> None:
    assert of(noted("nobody", "admin").commands, Noted) == [
        Noted("wait", 1, detail="ANY"),
        Noted("matched", 1, detail="ANY"),
        Noted("branch", 1, detail="ask"),
        Noted("wait", 1, detail="ANY"),
        Noted("matched", 1, detail="ANY"),
        Noted("branch", 1, detail="admin"),
        Noted("branch", 2, detail="end"),
    ]


def test_nothing_is_noted_unless_somebody_asks() -> None:
    asked, unasked = noted("admin"), noted("admin", noting=False)
    assert asked.texts() == unasked.texts()
    assert not [each for each in unasked.commands if isinstance(each, (Noted, Late))]


def test_how_late_steps_are_is_noted() -> None:
    program = Program.of(parse('{"text": "a"}\n{"ts": 100, "text": "b"}', "test.jsonl")[0], delays=False)
    for speed, seconds in ((1.0, [0.0, 0.15]), (float("inf"), [])):
        book = Playbook(Plan(Replay(program, speed)), noting=True).open()
        book.now = 0.25
        book.tell(Woke())
        assert [round(each.seconds, 9) for each in of(book.commands, Late)] == seconds


# Branches


def test_branches_are_tried_in_order_against_the_message_that_ended_the_wait() -> None:
    book = play(LOGIN).receive("admin")
    assert book.texts() == ["login?", "welcome, admin", "bye"]
    assert of(book.commands, Close) == [Close(4000, "done")]
    assert play(LOGIN).receive("a guest").texts() == ["login?", "welcome, guest a guest", "bye"]


def test_without_a_match_the_script_goes_to_the_next_step() -> None:
    book = play(LOGIN).receive("nobody", "nothing").receive("admin")
    assert book.texts() == ["login?", "login?", "login?", "welcome, admin", "bye"]


def test_on_match_comes_before_branches() -> None:
    book = play(
        '{"text": "q", "waitFor": ".", "on_match": [{"pattern": "x", "goto_step": "b"}], "branches": {"x": "a"}}\n'
        '{"step_id": "a", "text": "A", "next_step": "c"}\n{"step_id": "b", "text": "B"}\n{"step_id": "c", "text": "C"}'
    ).receive("x")
    assert book.texts() == ["q", "B", "C"]


def test_the_step_behind_follows_a_branch_that_does_not_match() -> None:
    book = play('{"text": "q", "waitFor": ".", "branches": {"z": "b"}}\n{"text": "A"}\n{"step_id": "b", "text": "B"}')
    assert book.receive("x").texts() == ["q", "A", "B"]


def test_a_step_that_is_jumped_to_is_due_its_time_less_that_of_the_step_before_it() -> None:
    text = """
    {"step_id": "a", "ts": 0, "text": "a", "waitFor": "."}
    {"ts": 100, "text": "b", "next_step": "d"}
    {"ts": 200, "text": "c"}
    {"step_id": "d", "ts": 350, "text": "d", "next_step": "e"}
    {"ts": 400, "text": "never"}
    {"step_id": "e", "ts": 10, "text": "e", "next_step": "a"}
    """
    book = play(text).until(5).receive("go").until(10)
    assert book.sent == [(5000, "a"), (5100, "b"), (5350, "d"), (5350, "e")]
    book.receive("again").until(20)
    assert book.sent[4:] == [(10_000, "a"), (10_100, "b"), (10_350, "d"), (10_350, "e")]


def test_under_delay_ts_is_the_pause_before_the_step_also_after_a_jump() -> None:
    text = '{"ts": 50, "text": "a"}\n{"step_id": "b", "ts": 20, "text": "b"}\n{"ts": 10, "text": "c", "next_step": "b"}'
    book = play(text, delays=True).until(0.121)
    assert book.sent == [(50, "a"), (70, "b"), (80, "c"), (100, "b"), (110, "c")]


def test_a_script_that_jumps_in_a_circle_without_time_yields_after_each_turn() -> None:
    book = play('{"step_id": "a", "text": "x", "next_step": "a"}')
    assert 1 < len(book.sent) < 1000
    assert book.wake is not None


# Waits with a limit


def test_a_wait_in_vain_is_kept_as_an_error_and_ends_the_script() -> None:
    book = play('{"text": "a"}\n{"text": "b", "waitFor": "^ACK$", "timeout_ms": 500}\n{"text": "c"}')
    book.receive("NACK").until(0.499)
    assert of(book.commands, Failed) == []
    book.until(1).receive("ACK").until(2)
    (failed,) = of(book.commands, Failed)
    assert isinstance(failed.error, ExpectationTimeoutError)
    expected = (
        "step 1: a message that matches '^ACK$' did not come within 500 ms; the last that came was <Message 'NACK'>"
    )
    assert str(failed.error) == expected
    assert book.texts() == ["a"]


def test_a_wait_in_vain_closes_or_goes_to_a_step_as_it_says() -> None:
    book = play('{"text": "a", "waitFor": "x", "timeout_ms": 500, "on_timeout": "close"}').until(1)
    assert of(book.commands, Close) == [Close(1000, "timed out")]
    text = '{"dir": "in", "timeout_ms": 500, "on_timeout": "late"}\n{"text": "b"}\n'
    text += '{"step_id": "late", "ts": 20, "text": "L"}'
    assert play(text).until(1).sent == [(520, "L")]
    assert play(text).until(0.4).receive("x").until(1).texts() == ["b", "L"]


def test_a_match_in_time_forgets_the_limit() -> None:
    text = '{"text": "a", "waitFor": ".", "timeout_ms": 500}\n{"ts": 9000, "text": "b", "waitFor": "."}'
    book = play(text).until(0.4).receive("x").until(5).receive("y").until(20)
    assert book.sent == [(400, "a"), (14_000, "b")]
    assert of(book.commands, Failed) == []


# Assertions


def test_an_assertion_that_does_not_hold_is_kept_and_the_script_goes_on() -> None:
    book = play(
        '{"dir": "in", "assertions": [{"pattern": "$.type", "description": "has a type"},'
        ' {"pattern": "$.error", "expected": false}, {"pattern": "$.n", "expected": 7}]}\n{"text": "on"}'
    ).receive('{"error": 1, "n": 8}')
    errors = [failed.error for failed in of(book.commands, Failed)]
    assert all(isinstance(error, ExpectationError) for error in errors)
    message = """<Message '{"error": 1, "n": 8}'>"""
    assert [str(error) for error in errors] == [
        f"has a type: {message} does not match '$.type'",
        f"{message} matches '$.error'",
        f"{message} '$.n' gives 8, not 7",
    ]
    assert book.texts() == ["on"]


def test_assertions_that_hold_say_nothing() -> None:
    line = (
        '{"dir": "in", "assertions": [{"pattern": "^n=(.*)$", "expected": "7"}, {"pattern": "x", "expected": false}]}'
    )
    assert of(play(line).receive("n=7").commands, Failed) == []


# Repetitions


def test_a_step_repeats_beside_the_ones_behind_it() -> None:
    book = play('{"text": "tick", "repeat": 3, "every_ms": 100}\n{"ts": 150, "text": "b"}').until(1)
    assert book.sent == [(0, "tick"), (100, "tick"), (150, "b"), (200, "tick")]


def test_a_repetition_without_end_goes_on_after_the_script_and_speed_divides_its_time() -> None:
    book = play('{"ts": 10, "text": "{{seq}}", "every_ms": 100}\n{"ts": 20, "text": "b"}', speed=10).until(0.0315)
    assert book.sent == [(1, "1"), (2, "b"), (11, "2"), (21, "3"), (31, "4")]


def test_then_close_waits_for_the_last_repetition_but_not_for_an_endless_one() -> None:
    for repeat, closed_at in (("3", 0.2), ("true", 0.05)):
        text = f'{{"text": "t", "repeat": {repeat}, "every_ms": 100}}\n{{"ts": 50, "text": "b"}}'
        book = Playbook(Plan(Replay(Program.of(parse(text, "x")[0]), then="close"))).open()
        book.until(closed_at - 0.001)
        assert book.closed is None
        assert book.until(closed_at + 0.001).closed == 1000


def test_a_step_that_is_played_again_begins_its_repetitions_anew() -> None:
    text = '{"step_id": "a", "text": "t", "repeat": 2, "every_ms": 100}\n{"dir": "in", "next_step": "a"}'
    book = play(text).until(0.05).receive("x").until(1)
    assert book.sent == [(0, "t"), (50, "t"), (150, "t")]


def test_a_repetition_does_not_disturb_the_wait_beside_it() -> None:
    text = '{"text": "t", "every_ms": 100}\n{"text": "late", "waitFor": "x", "timeout_ms": 250, "on_timeout": "close"}'
    book = play(text).until(0.4)
    assert [at for at, text in book.sent if text == "t"][:3] == [0, 100, 200]
    assert of(book.commands, Close) == [Close(1000, "timed out")]


# The end of the connection


def test_a_step_may_be_only_a_close_and_what_follows_is_not_played() -> None:
    book = play('{"text": "a"}\n{"ts": 10, "close": true, "code": 1012, "reason": "restart"}').until(1)
    assert of(book.commands, Close) == [Close(1012, "restart")]


def test_an_error_ends_without_a_close_frame_after_what_is_on_its_way() -> None:
    book = play('{"text": "a", "error": true}', latency=LatencyProfile(base_ms=30)).until(1)
    assert [type(each) for each in book.commands if isinstance(each, (Send, Drop))] == [Send, Drop]
    assert of(book.commands, Close) == []


# The original's examples


ORIGINAL_V2 = r"""
{"step_id":"init","ts":0,"dir":"out","text":"HELLO {{uuid}} at {{now+1m}}","wait_for":"^READY$","timeout_ms":5000}
{"step_id":"flow","ts":30,"dir":"in","assertions":[{"pattern":"$.type","expected":true,"description":"typed"}],"on_match":[{"pattern":"$.action:\\\"close\\\"","goto_step":"cleanup"}],"branches":{"close":"cleanup","error":"error_mode"},"next_step":"data"}
{"step_id":"data","ts":40,"dir":"out","text":"{\"type\":\"data\",\"id\":\"{{randInt 100 199}}\"}","wait_for":"$.type"}
{"step_id":"cleanup","ts":85,"dir":"out","text":"goodbye","close":true}
{"step_id":"error_mode","ts":0,"dir":"out","text":"an error"}
"""


def test_a_file_of_the_original_s_second_version_plays_as_its_keys_say() -> None:
    book = play(ORIGINAL_V2).until(1).receive("READY").until(2)
    book.receive('{"type": 1, "action": "close"}').until(3)
    assert [text[:6] for _, text in book.sent] == ["HELLO ", "goodby"]
    assert book.closed == 1000
    book = play(ORIGINAL_V2).receive("READY", '{"action": "go"}', '{"type": "x"}').until(3)
    assert [str(f.error).split(":")[0] for f in of(book.commands, Failed)] == ["typed"]
    assert [text[:6] for _, text in book.sent] == ["HELLO ", '{"type', "goodby"]


# What is refused


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        (
            '{"text": "a", "next_step": "endd"}\n{"step_id": "end", "text": "b"}',
            "1: no step has the id 'endd'; did you mean 'end'?",
        ),
        (
            '{"step_id": "a", "text": "x"}\n{"step_id": "a", "text": "y"}',
            "2: \"step_id\": 'a' is the id of line 1 already",
        ),
        ('{"step_id": "close", "text": "x"}', '1: "step_id": \'close\' is a word of "on_timeout"'),
        ('{"text": "a", "timeout_ms": 5}', '"timeout_ms" belongs to a step that waits'),
        ('{"text": "a", "waitFor": "x", "on_timeout": "nowhere"}', "no step has the id 'nowhere'"),
        (
            '{"text": "a", "waitFor": ".", "on_match": [{"pattern": "a", "goto": "x"}]}',
            "entry 1: unknown key 'goto'; did you mean 'goto_step'?",
        ),
        ('{"text": "a", "waitFor": ".", "on_match": [{"pattern": "a"}]}', "entry 1: 'goto_step' is missing"),
        ('{"text": "a", "waitFor": ".", "on_match": [{"pattern": "(", "goto_step": "x"}]}', "on_match"),
        ('{"text": "a", "branches": {"x": 5}}', '"branches": "x": 5 is no id of a step'),
        ('{"text": "a", "branches": []}', '"branches": [] is not an object'),
        ('{"dir": "in", "assertions": ["$.a"]}', '"assertions" entry 1: "$.a" is no object with'),
        ('{"text": "a", "code": 1000}', '"code" goes with "close": true'),
        ('{"close": true, "code": 1005}', '"code": 1005 is not a close code: 1000-1003'),
        ('{"close": true, "reason": "' + "x" * 124 + '"}', '"reason": '),
        ('{"close": true, "error": true}', "say one of them"),
        ('{"text": "a", "repeat": 3}', '"repeat" wants "every_ms" beside it'),
        ('{"text": "a", "repeat": 0, "every_ms": 5}', '"repeat": 0 is not how often it is sent'),
        ('{"text": "a", "every_ms": 0}', '"every_ms": 0 is not a number of milliseconds greater than 0'),
        ('{"dir": "in", "every_ms": 5}', "belong to a step that sends something"),
        ('{"text": "a", "response": "b"}', "'response' belongs to an interactive line: one with"),
        ('{"step_id": "", "text": "x"}', '"step_id": "" is not a text'),
        ('{"ts": 5, "waitFor": "a", "wait_fr": 1}', "unknown key 'wait_fr'; did you mean 'wait_for'?"),
    ],
)
def test_what_a_step_cannot_mean_is_a_problem_of_its_line(text: str, problem: str) -> None:
    with pytest.raises(ScriptError) as caught:
        parse(text, "feed.jsonl")
    assert problem in str(caught.value)
