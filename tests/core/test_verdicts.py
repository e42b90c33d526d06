"""Verdicts: which message stands for which that was recorded, and what differs."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mockforge_nb import Message, Script, ScriptError
from mockforge_nb.core.alignment import in_any_order, in_order
from mockforge_nb.core.carry import Carry, carried
from mockforge_nb.core.compare import Comparison, paths
from mockforge_nb.core.half import Half, Said, fits, half_of
from mockforge_nb.core.message import BINARY
from mockforge_nb.core.sketch import sketch
from mockforge_nb.core.verdicts import End, Got, Judge, Played, Verdict, counts, diff

JSON = Comparison("json")


def half(*steps: dict[str, Any], **options: Any) -> Half:
    script = Script.of([*steps], rows=False)
    return half_of(script.program, script.steps, script.rules, **options)


def message(value: object) -> Message:
    if isinstance(value, bytes):
        return Message(value, BINARY)
    return Message((value if isinstance(value, str) else json.dumps(value)).encode())


def called(acts: Half, *came: object, end: tuple[int, str] | None = None) -> Played:
    """Everything was sent at once, and then all of it came."""
    played = Played([Got(message(one), 1.0 + place) for place, one in enumerate(came)])
    played.sent = {act.step: Got(act.message, 0.0) for act in acts.acts if isinstance(act, Said)}
    played.end = None if end is None else End(*end, 99.0)
    return played


def judged(acts: Half, *came: object, judge: Judge | None = None, end: tuple[int, str] | None = None) -> list[Verdict]:
    return (judge or Judge(JSON)).verdicts(acts, called(acts, *came, end=end))


def words(verdicts: list[Verdict]) -> list[str]:
    return [one.word for one in verdicts]


ABC = half({"json": {"n": 1}}, {"json": {"n": 2}}, {"json": {"n": 3}})


def test_the_same_messages_are_ok() -> None:
    assert words(judged(ABC, {"n": 1}, {"n": 2, "new": True}, {"n": 3})) == ["ok", "ok", "ok"]


@pytest.mark.parametrize(
    ("came", "expected"),
    [
        ([{"n": 1}, {"n": 3}], ["ok", "missing", "ok"]),
        ([{"n": 2}, {"n": 3}], ["missing", "ok", "ok"]),
        ([{"n": 1}, {"n": 2}], ["ok", "ok", "missing"]),
        ([], ["missing", "missing", "missing"]),
        ([{"n": 1}, {"n": 9}, {"n": 2}, {"n": 3}], ["ok", "unexpected", "ok", "ok"]),
        ([{"n": 9}, {"n": 1}, {"n": 2}, {"n": 3}], ["unexpected", "ok", "ok", "ok"]),
        ([{"n": 1}, {"n": 2}, {"n": 3}, {"n": 3}], ["ok", "ok", "ok", "unexpected"]),
        ([{"n": 1}, {"n": 9}, {"n": 3}], ["ok", "differs", "ok"]),
        ([{"n": 1}, {"x": "other"}, {"n": 8}, {"n": 3}], ["ok", "unexpected", "differs", "ok"]),
        ([{"n": 3}, {"n": 1}, {"n": 2}], ["unexpected", "ok", "ok", "missing"]),
    ],
)
def test_one_message_too_many_or_too_few_leaves_the_others_as_they_are(came: list[Any], expected: list[str]) -> None:
    assert words(judged(ABC, *came)) == expected


def test_what_differs_is_told_by_its_path() -> None:
    verdicts = judged(ABC, {"n": 1}, {"n": "two"}, {"n": 3})
    assert verdicts[1].differences == ('$.n: recorded 2, got "two"',)
    assert diff(verdicts) == (
        'step 1 (line 2): differs\n  recorded {"n":2}\n  got      {"n": "two"}\n  $.n: recorded 2, got "two"'
    )


def test_a_diff_says_where_and_stops_after_ten() -> None:
    assert diff(judged(ABC, "hi", {"n": 1}, {"n": 2}, {"n": 3}, b"\x00")) == (
        "before the first step: unexpected\n  got      hi\nafter step 2: unexpected\n  got      b'\\x00'"
    )
    assert diff(judged(ABC, {"n": 1}, {"n": 2})) == 'step 2 (line 3): missing\n  recorded {"n":3}'
    many = diff(judged(half(*[{"text": str(n), "template": False} for n in range(1200)])))
    assert many.endswith("\n… and 1,190 more")
    assert many.count("missing") == 10


def test_any_order_and_more_than_was_recorded() -> None:
    loose = Judge(JSON, order=False)
    assert words(judged(ABC, {"n": 3}, {"n": 1}, {"n": 2}, judge=loose)) == ["ok", "ok", "ok"]
    assert words(judged(ABC, {"n": 3}, {"n": 1}, judge=loose)) == ["ok", "missing", "ok"]
    assert words(judged(ABC, {"n": 3}, {"n": 4}, {"n": 1}, judge=loose)) == ["ok", "differs", "ok"]
    more = judged(ABC, {"n": 1}, "hi", {"n": 2}, {"n": 3}, judge=Judge(JSON, extra=True))
    assert [(one.word, one.failed) for one in more] == [
        ("ok", False), ("unexpected", False), ("ok", False), ("ok", False),
    ]  # fmt: skip


def test_in_any_order_a_message_that_fits_several_is_left_for_the_one_that_needs_it() -> None:
    open_ = half({"json": {}}, {"json": {"a": 1}})
    assert words(judged(open_, {"a": 1, "x": 0}, {"b": 2}, judge=Judge(JSON, order=False))) == ["ok", "ok"]


def test_nothing_is_compared_unless_expected() -> None:
    acts = half({"dir": "in", "text": "hello", "match": "exact"}, {"text": "hi"}, {"close": True, "code": 4000})
    verdicts = judged(acts, "what?", judge=Judge(expect=False), end=(1011, "oh"))
    assert words(verdicts) == ["sent", "received", "received"]
    assert verdicts[-1].got == "close 1011 oh"
    assert not any(one.failed for one in verdicts)


def test_equal_types_and_a_key() -> None:
    tick = half({"json": {"p": 1.5, "s": "AAPL"}})
    assert words(judged(tick, {"p": 1.5, "s": "AAPL", "v": 1}, judge=Judge(Comparison("equal")))) == ["differs"]
    assert words(judged(tick, {"p": 7, "s": "MSFT"}, judge=Judge(Comparison("types")))) == ["ok"]
    assert words(judged(tick, {"p": "7", "s": "MSFT"}, judge=Judge(Comparison("types")))) == ["differs"]
    key = Judge(key=lambda one: one.json["s"])
    assert words(judged(tick, {"s": "AAPL"}, judge=key)) == ["ok"]
    assert judged(tick, {"s": "MSFT"}, judge=key)[0].differences == ('key: recorded "AAPL", got "MSFT"',)


def test_what_is_ignored_or_was_hidden_counts_as_equal() -> None:
    acts = half({"json": {"id": 1, "token": "***", "n": 2}})
    ignoring = Judge(Comparison("json", paths(["$.id"], "x")))
    assert words(judged(acts, {"id": 9, "token": "abc", "n": 2}, judge=ignoring)) == ["ok"]
    assert words(judged(acts, {"id": 9, "token": "abc", "n": 3}, judge=ignoring)) == ["differs"]
    for odd in ('"{bad"', '"text"', "{bad", "7", "null", b"{"):
        assert words(judged(acts, odd, judge=ignoring)) == ["differs"]


def test_tokens_stand_for_anything() -> None:
    acts = half(
        {"json": {"id": "{{uuid}}", "n": 1, "at": ["{{now}}", "x"]}}, {"text": "<{{uuid}}> [a] {{randInt 1 6}}!"}
    )
    assert words(judged(acts, {"id": 7, "n": 1, "at": [0, "x"]}, "<x> [a] 5!")) == ["ok", "ok"]
    assert words(judged(acts, {"id": 7, "n": 2, "at": [0, "x"]}, "<x> [b] 5!")) == ["differs", "differs"]
    for template, text, fit in [
        ("{{uuid}}", "", True), ("a{{uuid}}a", "a", False), ("a{{uuid}}a", "aa", True),
        ("{{uuid}}b{{uuid}}", "abc", True), ("{{uuid}}b{{uuid}}", "aac", False),
        ("{% if message %}a{% endif %}b", "b", True), ("a{{uuid}}b{{uuid}}c", "a-c-b", False),
        ("{% raw %}{{x}}{% endraw %}", "{{x}}", True), ("{% raw %}{{x}}{% endraw %}", "y", False),
    ]:  # fmt: skip
        assert words(judged(half({"text": template}), text)) == ["ok" if fit else "differs"], (template, text)
    assert words(judged(half({"json": {"{{uuid}}": 1}}), {"any": 2})) == ["ok"]
    assert fits(("a",), "a")
    assert not fits(("a",), "ab")


def test_how_the_server_ends_it() -> None:
    closes = half({"text": "a"}, {"close": True, "code": 4000, "reason": "bye"})
    assert words(judged(closes, "a", end=(4000, "bye"))) == ["ok", "ok"]
    assert judged(closes, "a", end=(1011, "oh"))[1].differences == (
        "code: recorded 4000, got 1011",
        'reason: recorded "bye", got "oh"',
    )
    assert words(judged(closes, "a")) == ["ok", "missing"]
    assert diff(judged(closes, "a")) == (
        "step 1 (line 2): missing\n  recorded close 4000 bye\n  the server did not end it"
    )
    assert words(judged(half({"close": True, "code": 4000}), end=(4000, "any"))) == ["ok"]
    assert words(judged(half({"close": True}), end=(1005, ""))) == ["ok"]
    assert words(judged(half({"text": "a", "error": True}), "a", end=(1006, ""))) == ["ok", "ok"]
    assert words(judged(half({"error": True}), end=(1000, ""))) == ["differs"]


def test_an_end_that_was_not_recorded() -> None:
    verdicts = judged(ABC, {"n": 1}, end=(1011, "oh"))
    assert words(verdicts) == ["ok", "missing", "missing", "unexpected"]
    assert verdicts[-1].got == "close 1011 oh"
    assert verdicts[-1].failed
    assert words(judged(ABC, {"n": 1}, {"n": 2}, {"n": 3}, end=(1000, ""))) == ["ok", "ok", "ok"]
    assert words(judged(ABC, {"n": 1}, {"n": 2}, {"n": 3}, end=(1006, ""))) == ["ok", "ok", "ok", "unexpected"]
    late = half({"dir": "in", "text": "hi", "match": "exact"})
    cut = Judge(JSON).verdicts(late, Played(end=End(1011, "oh", 0.1)))
    assert words(cut) == ["unsent", "unexpected"]
    assert cut[0].differences == ("the connection had ended: close 1011 oh",)


def test_what_came_beside_the_script_stands_where_it_came() -> None:
    acts = half(
        {"text": "hello"},
        {"dir": "in", "text": "one", "match": "exact"},
        {"text": "1"},
        {"dir": "in", "text": "two", "match": "exact"},
    )
    call = Played([Got(message("hello"), 0), Got(message("?"), 2), Got(message("1"), 3), Got(message("!"), 4)])
    call.sent = {1: Got(message("one"), 1), 3: Got(message("two"), 5)}
    verdicts = Judge(JSON).verdicts(acts, call)
    assert words(verdicts) == ["ok", "sent", "unexpected", "ok", "unexpected", "sent"]
    assert counts(verdicts) == {"sent": 2, "ok": 2, "unexpected": 2}


def test_the_subprotocol() -> None:
    asked = Judge(JSON, subprotocol="v2")
    assert diff(asked.verdicts(half({"text": "a"}), called(half({"text": "a"}), "a"))) == (
        "handshake: differs\n  recorded subprotocol v2\n  got      no subprotocol\n"
        '  subprotocol: recorded "v2", got null'
    )


def test_what_a_client_cannot_play_is_told_at_once() -> None:
    script = Script.of(
        [
            {"dir": "in", "text": "^A+$"},
            {"dir": "in"},
            {"text": "x", "waitFor": "y"},
            {"text": "x", "step_id": "here", "next_step": "here"},
            {"text": "x", "every_ms": 5, "repeat": 3},
            {"dir": "in", "json": {"t": ["***"]}, "match": "any"},
            {"close": True},
            {"text": "late"},
        ],
        rows=False,
    ).when("ping", "pong")  # fmt: skip
    with pytest.raises(ScriptError) as caught:
        half_of(script.program, script.steps, script.rules)
    said = str(caught.value)
    for part in [
        ":1: cannot be played: '^A+$' is a regular expression", ":2: cannot be played: any message may come there",
        ':3: cannot be played: "waitFor" does not say', ":4: cannot be played: it may jump",
        ':5: cannot be played: it is sent again',
        ":6: cannot be played: a part of it is hidden (***): transform= or carry=",
        ":8: cannot be played: the connection has ended",
        "a rule has no time",
    ]:  # fmt: skip
        assert part in said
    assert len(caught.value.problems) == 8


def test_a_hidden_part_may_be_played_if_something_takes_its_place() -> None:
    steps: list[dict[str, Any]] = [
        {"json": {"session": "***"}, "template": False},
        {"dir": "in", "json": {"resume": {"session": "***"}}, "match": "any"},
    ]
    with pytest.raises(ScriptError):
        half(*steps)
    assert len(half(*steps, hidden=True).acts) == 2
    assert len(half(*steps, carried=carried({"$.session": "$.resume.session"}, "x")).acts) == 2
    with pytest.raises(ScriptError):
        half(*steps, carried=carried(["$.session"], "x"))


def test_a_value_is_carried_where_the_recorded_one_was() -> None:
    carry = Carry(carried(["$.session"], "x"))
    carry.learn(message({"session": "old"}), message({"session": "new", "more": 1}))
    carry.learn(message({"session": 7}), message({"nothing": 1}))
    carry.learn(message("text"), message({"session": "?"}))
    assert carry.put({"session": "old", "x": 1}) == ({"session": "new", "x": 1}, {("session",)})
    same = {"session": "other"}
    assert carry.put(same)[0] is same
    assert carry.put({"session": 7}) == ({"session": 7}, set())
    assert carry.put("old") == ("old", set())
    moved = Carry(carried({"$.s": "$.a.s"}, "x"))
    moved.learn(message({"s": 1}), message({"s": [2]}))
    assert moved.put({"s": 1, "a": {"s": 1}}) == ({"s": 1, "a": {"s": [2]}}, {("a", "s")})
    moved.learn(message({"s": 3}), message({"s": 3}))
    again = {"a": {"s": 3}}
    assert moved.put(again)[0] is again


values = st.recursive(
    st.none() | st.booleans() | st.integers(-2, 2) | st.text("ab{", max_size=3),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from("xyz"), inner, max_size=3),
    max_leaves=6,
)
anything = st.text(max_size=5) | st.binary(max_size=5) | values.map(json.dumps)
judges = st.builds(
    Judge,
    st.builds(
        Comparison,
        st.sampled_from(["equal", "json", "types"]),
        st.sampled_from([(), paths(["$.x", "$..y"], "x"), paths(["$"], "x")]),
    ),
    order=st.booleans(),
    extra=st.booleans(),
)


def acts_of(recorded: list[Any]) -> Half:
    script = Script()
    for one in recorded:
        script = script.send(one, template=False)
    return half_of(script.program, script.steps)


@given(st.lists(anything, max_size=12), judges)
def test_what_comes_as_recorded_is_ok(recorded: list[Any], judge: Judge) -> None:
    acts = acts_of(recorded)
    assert words(judge.verdicts(acts, called(acts, *recorded))) == ["ok"] * len(recorded)


@given(st.lists(anything, min_size=1, max_size=12), st.data(), judges)
def test_one_more_or_less_is_one_verdict(recorded: list[Any], data: Any, judge: Judge) -> None:
    acts = acts_of(recorded)
    place = data.draw(st.integers(0, len(recorded) - 1))
    fewer = judge.verdicts(acts, called(acts, *recorded[:place], *recorded[place + 1 :]))
    assert counts(fewer) == {"missing": 1} | ({"ok": len(recorded) - 1} if len(recorded) > 1 else {})
    more = judge.verdicts(acts, called(acts, *recorded[:place], data.draw(anything), *recorded[place:]))
    assert counts(more) == {"ok": len(recorded), "unexpected": 1}
    assert sum(one.failed for one in more) == (not judge.extra)


@given(st.lists(anything, max_size=8), st.lists(anything, max_size=8), judges)
def test_every_message_has_one_verdict_whatever_comes(recorded: list[Any], came: list[Any], judge: Judge) -> None:
    acts = acts_of(recorded)
    verdicts = judge.verdicts(acts, called(acts, *came))
    assert sum(one.step is not None for one in verdicts) == len(recorded)
    assert sum(one.got is not None for one in verdicts) == len(came)
    assert isinstance(judge.settled(acts, [message(one) for one in came]), bool)
    diff(verdicts)


@given(st.text("abc", max_size=40), st.text("abc", max_size=40))
def test_the_longest_common_sequence_is_found(recorded: str, came: str) -> None:
    pairs = in_order(len(recorded), len(came), lambda i, j: recorded[i] == came[j], lambda i, j: 1.0)
    same = [(i, j) for i, j in pairs if i is not None and j is not None and recorded[i] == came[j]]
    lengths = [[0] * (len(came) + 1) for _ in range(len(recorded) + 1)]
    for i, one in enumerate(recorded):
        for j, other in enumerate(came):
            lengths[i + 1][j + 1] = lengths[i][j] + 1 if one == other else max(lengths[i][j + 1], lengths[i + 1][j])
    assert len(same) >= lengths[-1][-1]
    for side in (0, 1):
        places = [pair[side] for pair in pairs if pair[side] is not None]
        assert places == [*range((len(recorded), len(came))[side])]


@settings(deadline=None, max_examples=10)
@given(st.integers(0, 3000), st.integers(0, 3000), st.integers(0, 20))
def test_long_recordings_take_no_quadratic_time(first: int, second: int, many: int) -> None:
    recorded = list(range(3000))
    came = [*recorded[:first], *[-1] * many, *recorded[first:]]
    came[second : second + many] = []
    compared = 0

    def same(i: int, j: int) -> bool:
        nonlocal compared
        compared += 1
        return recorded[i] == came[j]

    pairs = in_order(len(recorded), len(came), same, lambda i, j: 1.0)
    alike = sum(i is not None and j is not None and recorded[i] == came[j] for i, j in pairs)
    assert alike >= 3000 - 2 * many
    assert compared < 3000 * 100
    any_order = in_any_order(recorded, came[::-1], same, lambda i, j: 1.0)
    assert len(any_order) >= 3000


def test_messages_that_all_differ_take_no_quadratic_time() -> None:
    compared = 0

    def never(i: int, j: int) -> bool:
        nonlocal compared
        compared += 1
        return False

    pairs = in_order(5000, 5000, never, lambda i, j: 1.0)
    assert pairs == [(i, i) for i in range(5000)]
    assert compared < 5000 * 100
    assert len(in_any_order(range(2000), range(5000, 7000), never, lambda i, j: 1.0)) == 2000


@given(anything, anything, st.sampled_from(["equal", "json"]), st.sampled_from(["", "$.x", "$..y", "$", "$.x.y"]))
def test_what_a_sketch_rules_out_differs(recorded: Any, came: Any, how: Any, ignored: str) -> None:
    ignore = paths([ignored] if ignored else [], "x")
    one, other = message(recorded), message(came)
    if one.payload != other.payload and not sketch(one, ignore).may_be(sketch(other, ignore)):
        assert Comparison(how, ignore).differences(one, other)


def test_in_any_order_many_that_are_lost_leave_the_others_as_they_are() -> None:
    rows = [{"n": n, "ts": n} for n in range(1000)]
    script = Script.of(rows)
    acts = half_of(script.program, script.steps)
    came = [{"n": row["n"], "new": 1, "ts": -row["n"]} for row in reversed(rows) if row["n"] % 7]
    judge = Judge(Comparison("json", paths(["$.ts"], "x")), order=False)
    assert counts(judged(acts, *came, judge=judge)) == {"ok": 857, "missing": 143}


def test_a_message_that_is_nested_deeply_is_only_different() -> None:
    deep = "[" * 900 + "]" * 900
    for ignore in ((), paths(["$..x"], "x")):
        judge = Judge(Comparison("json", ignore))
        assert words(judged(ABC, deep, judge=judge)).count("differs") == 1
