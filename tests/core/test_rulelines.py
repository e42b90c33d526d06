"""Interactive lines of a file: every key, what is wrong with it, and the way back to a file."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mockforge_nb import ANY, Mock, Script, close
from mockforge_nb.core.events import Close, Drop
from mockforge_nb.core.rules import Rule
from mockforge_nb.errors import ScriptError

from .test_rules import book


def rules(text: str) -> tuple[Rule, ...]:
    return Script.parse(text).rules


def said(text: str, *says: str) -> list[str]:
    return book(Mock().replay(Script.parse(text))).receive(*says).until(1).texts()


def problem_of(text: str) -> str:
    with pytest.raises(ScriptError) as raised:
        Script.parse(text)
    return str(raised.value)


def test_each_key_of_an_interactive_line() -> None:
    (rule,) = rules(
        '{"dir": "in", "step_id": "go", "text": "^go", "condition": "state.ready", "response": ["a", {"b": 1}],'
        ' "set": {"n": "{{1}}"}, "state": "gone", "scope": "server", "times": 2, "after": "go", "close": true,'
        ' "code": 4001, "reason": "bye"}'
    )
    assert (rule.name, rule.times, rule.after, rule.scope, rule.state, rule.line) == (
        "go", 2, "go", "server", "gone", 1,
    )  # fmt: skip
    assert rule.condition is not None
    assert rule.condition.source == "state.ready"
    assert [getattr(answer, "value", answer) for answer in rule.answers] == ["a", {"b": 1}, Close(4001, "bye")]
    assert list(rule.sets) == ["n"]


def test_a_line_without_a_payload_takes_every_message() -> None:
    assert said('{"dir": "in", "response": "got {{message}}"}', "a", "{}") == ["got a", "got {}"]


@pytest.mark.parametrize(
    ("keys", "takes", "leaves"),
    [
        ({"text": "^a.c$"}, "abc", "abcd"),
        ({"text": "$.op == 'go'"}, '{"op": "go"}', '{"op": "no"}'),
        ({"text": "a.c", "match": "exact"}, "a.c", "abc"),
        ({"json": {"op": "go"}, "match": "json"}, '{"op": "go", "x": 1}', '{"op": "no"}'),
        ({"match": "any"}, "whatever", None),
    ],
)
def test_a_line_s_pattern(keys: dict[str, Any], takes: str, leaves: str | None) -> None:
    line = json.dumps({"dir": "in", "response": "yes"} | keys)
    assert said(line, takes, *([leaves] if leaves is not None else [])) == ["yes"]


def test_rules_stay_active_beside_the_steps_and_never_end_a_wait() -> None:
    text = """
        {"dir": "in", "text": "^HELP$", "response": "ask me"}
        {"text": "name?"}
        {"dir": "in", "text": "."}
        {"text": "hello {{message}}"}
    """
    assert said(text, "HELP", "Ada", "HELP") == ["name?", "ask me", "hello Ada", "ask me"]


def test_an_in_line_that_only_closes_is_a_step_and_with_a_response_a_rule() -> None:
    step = Script.parse('{"dir": "in", "text": "^quit$", "close": true}')
    assert (len(step), len(step.rules)) == (1, 0)
    rule = Script.parse('{"dir": "in", "text": "^quit$", "response": [], "close": true}')
    assert (len(rule), len(rule.rules)) == (0, 1)
    assert rule.rules[0].answers == (Close(1000, ""),)
    assert rules('{"dir": "in", "text": "x", "response": null, "error": true}')[0].answers == (Drop(),)


def test_a_response_without_templates_is_sent_as_it_stands() -> None:
    assert said('{"dir": "in", "response": "{{uuid}}", "template": false}', "x") == ["{{uuid}}"]


@pytest.mark.parametrize(
    ("line", "problem"),
    [
        ('{"dir": "in", "text": "x", "response": "y", "sets": {}}', "unknown key 'sets'; did you mean 'set'?"),
        ('{"dir": "in", "text": "x", "response": "y", "conditon": "1"}', "did you mean 'condition'?"),
        ('{"dir": "in", "text": "x", "respond": "y"}', "did you mean 'response'?"),
        ('{"dir": "in", "text": "(", "response": "y"}', "is refused by RE2"),
        ('{"dir": "in", "text": "$.[", "response": "y"}', "JSONPath"),
        ('{"dir": "in", "text": "x", "response": "{{randInt 1}}"}', "randInt"),
        ('{"dir": "in", "text": "x", "response": "{{nope"}', "{{"),
        ('{"dir": "in", "text": "x", "response": "y", "condition": "state."}', "template 'state.'"),
        ('{"dir": "in", "text": "x", "response": "y", "condition": 7}', '"condition"'),
        ('{"dir": "in", "text": "x", "response": "y", "set": 7}', '"set"'),
        ('{"dir": "in", "text": "x", "response": "y", "set": {"a b": 1}}', "a b"),
        ('{"dir": "in", "text": "x", "response": "y", "set": {"a": "{{"}}', "{{"),
        ('{"dir": "in", "text": "x", "response": "y", "state": 7}', '"state"'),
        ('{"dir": "in", "text": "x", "response": "y", "scope": "all"}', '"scope"'),
        ('{"dir": "in", "text": "x", "response": "y", "times": 0}', '"times"'),
        ('{"dir": "in", "text": "x", "response": "y", "after": 3}', '"after"'),
        ('{"dir": "in", "text": "x", "response": "y", "after": "z"}', "no interactive line is called 'z'"),
        ('{"dir": "in", "text": "x", "response": "y", "close": true, "code": 1005}', "1005"),
        ('{"dir": "in", "text": "x", "condition": "state.a"}', "nothing to do"),
        ('{"dir": "in", "text": "x", "response": "y", "ts": 5}', "'ts' belongs to a step"),
        ('{"dir": "in", "text": "x", "response": "y", "waitFor": "z"}', "'waitFor' belongs to a step"),
        ('{"text": "x", "response": "y"}', '"response"'),
        ('{"dir": "in", "text": "x", "response": "\\ud800"}', '"response"'),
    ],
)
def test_what_is_wrong_names_its_line_and_the_way_out(line: str, problem: str) -> None:
    told = problem_of('{"text": "before"}\n' + line)
    assert "<text>:2: " in told
    assert problem in told


def test_all_problems_of_all_lines_are_one_error() -> None:
    told = problem_of('{"dir": "in", "response": "{{nope", "times": 0}\n{"dir": "in", "sets": 1}')
    assert told.count("<text>:1: ") == 2
    assert told.count("<text>:2: ") >= 1


# There and back


TEXTS = st.text("ab {}$.^*", max_size=6)
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-9, 9) | TEXTS, lambda inner: st.lists(inner, max_size=2), max_leaves=3
)


@st.composite
def lines(draw: st.DrawFn) -> dict[str, Any]:
    keys: dict[str, Any] = {"dir": "in"}
    how = draw(st.sampled_from(["regex", "exact", "json", "any"]))
    keys["match"] = how
    if how == "regex":
        keys["text"] = draw(st.sampled_from(["^a", "b$", "$.x", "$.x == 'y'"]))
    elif how == "exact":
        keys["text"] = draw(TEXTS)
    elif how == "json":
        keys["json"] = {"k": draw(VALUES)}
    optional = {
        "response": st.one_of(VALUES, st.sampled_from(["{{message}}", {"n": "{{1 + 1}}"}, ["a", "{{now}}"], []])),
        "condition": st.sampled_from(["state.a", "message == 'x'", "match[0] and server.n > 3"]),
        "set": st.dictionaries(st.sampled_from(["a", "b"]), st.sampled_from([1, "{{2}}", "x", None, [1]]), min_size=1),
        "state": st.sampled_from(["on", "off"]),
        "scope": st.sampled_from(["connection", "server"]),
        "times": st.integers(1, 3),
        "step_id": st.sampled_from(["one", "two"]),
    }
    for name in draw(st.sets(st.sampled_from(sorted(optional)))):
        keys[name] = draw(optional[name])
    if draw(st.booleans()):
        keys |= {"close": True, "code": draw(st.sampled_from([1000, 4000])), "reason": draw(st.sampled_from(["", "x"]))}
    if draw(st.booleans()) and "response" in keys:
        keys["template"] = False
    return keys


@pytest.mark.filterwarnings("ignore:no way through the script")
@given(st.lists(lines(), min_size=1, max_size=4))
def test_a_script_with_rules_comes_back_from_its_file_as_it_was(entries: list[dict[str, Any]]) -> None:
    try:
        script = Script.parse("\n".join(map(json.dumps, entries)))
    except ScriptError:
        return  # what it does not take is for the tests above
    again = Script.parse(_text(script))
    assert [replace(step, line=0) for step in again.steps] == [replace(step, line=0) for step in script.steps]
    assert [_plain(rule) for rule in again.rules] == [_plain(rule) for rule in script.rules]
    assert _text(again) == _text(script)


def _plain(rule: Rule) -> tuple[Any, ...]:
    """A rule without its line, which moves."""
    return (
        rule.pattern.source, rule.answers, rule.condition, rule.sets, rule.state, rule.times, rule.after,
        rule.scope, rule.name,
    )  # fmt: skip


def _text(script: Script) -> str:
    import tempfile
    from pathlib import Path

    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "script.jsonl"
        script.save(path)
        return path.read_text()


@pytest.mark.parametrize(
    "make",
    [
        lambda: Script().when("x", lambda: "y"),
        lambda: Script().when(lambda message: True, "y"),
        lambda: Script().when("x", b"\x00"),
        lambda: Script().when("x", Script().send("y")),
    ],
)
def test_python_code_bytes_and_scripts_in_a_rule_cannot_be_written(make: Any, tmp_path: Any) -> None:
    with pytest.raises((ScriptError, ValueError), match=r"rule|pattern") as raised:
        make().save(tmp_path / "x.jsonl")
    assert "file" in str(raised.value)
    assert not (tmp_path / "x.jsonl").exists()


def test_rules_by_hand_are_the_rules_of_a_file(tmp_path: Any) -> None:
    made = Script().when("^a$", ["b", {"c": "{{message}}"}], set={"n": 1}).when(ANY, close(4000, "no"), after="^a$")
    made.save(tmp_path / "x.jsonl")
    loaded = Script.load(tmp_path / "x.jsonl")
    assert [_plain(rule) for rule in loaded.rules] == [_plain(rule) for rule in made.rules]
    assert book(Mock().replay(loaded)).receive("x", "a", "x").texts() == ["b", '{"c":"a"}']


def test_a_frame_has_the_rules_too_and_reads_them_back() -> None:
    script = Script.parse('{"text": "hi"}\n{"dir": "in", "text": "^a$", "response": {"n": 1}, "set": {"n": 1}}')
    frame = script.to_frame()
    assert len(frame) == 2
    again = Script.from_frame(frame)
    assert [_plain(rule) for rule in again.rules] == [_plain(rule) for rule in script.rules]
    assert len(again) == 1
