from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mockforge_nb.core.jsonl import lines_of, looks_like_step, parse
from mockforge_nb.core.line import KEYS, RULE_KEYS
from mockforge_nb.core.message import BINARY, Message
from mockforge_nb.core.program import Program, Step
from mockforge_nb.errors import ScriptError


def steps(text: str) -> list[Step]:
    return list(parse(text, "feed.jsonl")[0])


def loaded(text: str) -> Program:
    return Program.of(parse(text, "x")[0])


def problems(text: str) -> list[str]:
    with pytest.raises(ScriptError) as caught:
        parse(text, "feed.jsonl")
    return str(caught.value).split("\n")


def test_blank_lines_comments_a_mark_of_order_and_windows_line_ends_are_read() -> None:
    text = '\ufeff// one\r\n\r\n# two\r\n {"ts": 1, "text": "a"} \r\n{"text": "b"}\r\n'
    assert [(s.ts, s.payload.value if s.payload else None, s.line) for s in steps(text)] == [
        (1, "a", 4),
        (None, "b", 5),
    ]


def test_a_line_end_of_unicode_inside_a_text_is_text() -> None:
    (step,) = steps('{"text": "a\u2028b\x85c"}')
    assert step.payload is not None
    assert step.payload.value == "a\u2028b\x85c"


def test_json_and_binary_payloads() -> None:
    program = loaded('{"json": {"a": [1, null, "ä"]}}\n{"binary": "AP8="}\n{"text": "AP8=", "binary": true}')
    assert list(program.payloads(0, 3)) == ['{"a":[1,null,"ä"]}'.encode(), b"\x00\xff", b"\x00\xff"]
    assert [program.opcode(i) for i in range(3)] == [1, 2, 2]


def test_a_header_line_of_a_recording_is_no_step() -> None:
    assert len(parse('{"mockforge": 1, "url": "ws://x"}\n{"text": "a"}', "x")[0]) == 1
    assert problems('{"mockforge": 7}\n{"text": "a"}') == ['feed.jsonl:1: "mockforge": 7 is no known version (1)']


def test_template_false_sends_the_text_as_it_stands() -> None:
    (step,) = steps('{"text": "{{uuid}}", "template": false}')
    assert step.plain


def test_expected_messages_are_compared_as_match_says() -> None:
    cases: list[tuple[str, str, bool]] = [
        ('{"dir":"in","text":"^a"}', "abc", True),
        ('{"dir":"in","text":"a.c","match":"exact"}', "abc", False),
        ('{"dir":"in","text":"{\\"a\\":1}","match":"json"}', '{"b":2,"a":1}', True),
        ('{"dir":"in","json":{"a":{"b":1}}}', '{"a":{"b":1,"c":2}}', True),
        ('{"dir":"in","json":{"a":1}}', "no json", False),
        ('{"dir":"in"}', "whatever", True),
        ('{"dir":"in","text":"x","match":"any"}', "whatever", True),
    ]
    for line, message, matches in cases:
        (step,) = steps(line)
        assert step.expected is not None
        assert (step.expected.match(Message(message.encode())) is not None) is matches, line
    (step,) = steps('{"dir":"in","binary":"AP8="}')
    assert step.expected is not None
    assert step.expected.match(Message(b"\x00\xff", BINARY)) is not None


@pytest.mark.parametrize(
    ("line", "problem"),
    [
        ('{"txt": "a"}', "unknown key 'txt'; did you mean 'text'? (known: " + ", ".join(KEYS) + ")"),
        ('{"text": "a", "wait_fro": "b"}', "unknown key 'wait_fro'; did you mean 'wait_for'?"),
        ('{"text": "a", "waitFor": "b", "wait_for": "c"}', "'wait_for' and 'waitFor' are the same key"),
        ('{"ts": -1, "text": "a"}', '"ts": -1 is not a number of milliseconds from 0 on'),
        ('{"ts": "1", "text": "a"}', '"ts": "1" is not a number of milliseconds from 0 on'),
        ('{"ts": true, "text": "a"}', '"ts": true is not a number'),
        ('{"ts": 1e999, "text": "a"}', '"ts": Infinity is not a number'),
        ('{"dir": "outt", "text": "a"}', '"dir": "outt" is not "out" or "in"; did you mean \'out\'?'),
        ('{"text": 5}', '"text": 5 is not a text; for a JSON value say "json"'),
        ('{"text": "a", "json": 1}', "more than one payload: 'text' and 'json'"),
        ('{"ts": 5}', "nothing to do: a step has one of 'text', 'json', 'binary', or \"close\""),
        ('{"binary": "*"}', '"binary": "*" is no base64'),
        ('{"binary": true}', '"binary": true says that "text" is base64, and there is no "text"'),
        ('{"text": "{{uuuid}}x{{randInt 1}}"}', "randInt"),
        ('{"text": "a", "waitFor": "(?=x)"}', "(?=x)"),
        ('{"text": "a", "waitFor": "$.a["}', "$.a["),
        ('{"dir": "in", "text": "(", "match": "regex"}', "("),
        ('{"dir": "in", "text": "a", "match": "fuzzy"}', '"match": "fuzzy" is not'),
        ('{"dir": "in", "text": "{", "match": "json"}', "its text is no JSON"),
        ('{"text": "a", "match": "any"}', '"match" belongs to a step with "dir": "in"'),
        ('{"dir": "in", "waitFor": "a"}', '"waitFor" belongs to a step that is sent'),
        ('{"text": "a" "ts": 1}', "no JSON: Expecting ',' delimiter at column 14"),
        ('  {"text": nul}', "at column 12"),
        ('{"text": "a", "ts": NaN}', "NaN is no JSON"),
        ('{"text": "a", "text": "b"}', "the key 'text' stands there twice"),
        ("[1]", "a step is a JSON object, not [1]"),
        ('{"text": "\\ud800"}', "a lone surrogate"),
        ('{"json": ["\\ud800"]}', "a lone surrogate"),
        ('{"text": "a", "template": 1}', '"template": 1 is not true or false'),
        ("[" * 100_000, "no JSON: "),
    ],
)
def test_a_problem_names_its_place_its_value_and_the_way_out(line: str, problem: str) -> None:
    (message,) = problems('{"text": "fine"}\n' + line)
    assert message.startswith("feed.jsonl:2: ")
    assert problem in message


def test_all_problems_are_told_at_once_and_the_first_ten_are_spelled_out() -> None:
    lines = problems("\n".join(['{"text": "fine"}', *['{"txet": 1}'] * 13]))
    assert len(lines) == 11
    assert lines[0].startswith("feed.jsonl:2: unknown key 'txet'; did you mean 'text'?")
    assert lines[10] == "… and 3 more problems"


def test_a_file_without_steps_is_a_problem() -> None:
    assert problems("// nothing\n")[0].startswith("feed.jsonl: there is nothing in it; a step is a line such as")


def test_steps_from_python_are_numbered_by_their_place() -> None:
    assert [step.ts for step in lines_of([{"text": "a"}, {"binary": b"\x00", "ts": 5}], "<list>").steps] == [None, 5]
    with pytest.raises(ScriptError, match="<list>:2: unknown key 'tesxt'"):
        lines_of([{"text": "a"}, {"tesxt": "b"}], "<list>")


def test_what_looks_like_a_step() -> None:
    assert looks_like_step({"text": "a"})
    assert looks_like_step({"dir": "in", "match": "any"})
    assert not looks_like_step({"text": "a", "user": "b"})
    assert not looks_like_step({"ts": 5})


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=8,
)
keys = st.sampled_from([*KEYS, *RULE_KEYS, "wait_for", "txt"])
values = json_values | st.sampled_from(
    ["out", "in", "{{uuid}}", "{{", "$.a", "$[", "(", "AP8=", "regex", "json", "any"]
)


@given(
    st.text(max_size=200)
    | st.lists(st.dictionaries(keys, values, max_size=5).map(json.dumps), max_size=6).map("\n".join)
)
def test_any_text_either_loads_whole_or_is_one_clear_error(text: str) -> None:
    try:
        steps, rules, _, connections, *_ = parse(text, "any.jsonl")
    except ScriptError as error:
        refused = error
    else:
        lines = [line.strip() for line in text.removeprefix("\ufeff").split("\n")]
        entries: list[Any] = [json.loads(x) for x in lines if x and not x.startswith(("//", "#"))]
        chosen = [x for x in entries if x.get("connection") in (None, *connections[:1])]
        assert len(steps) + len(rules) == len(chosen)
        at = list(Program.of(steps).at)
        assert at == sorted(at)
        return
    assert refused.problems
    assert str(refused).startswith("any.jsonl:")
