from __future__ import annotations

import json
import re
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mockforge_nb.core import jsonpath as jsonpath_module
from mockforge_nb.core.match import ANY, Match, Pattern, any_message, exact, jsonpath, pattern, subset
from mockforge_nb.core.message import BINARY, TEXT, Message
from mockforge_nb.errors import OptionError


def says(text: str) -> Message:
    return Message(text.encode())


def sends(value: object) -> Message:
    return says(json.dumps(value))


def takes(of: Pattern, *messages: Message) -> list[bool]:
    return [of.match(message) is not None for message in messages]


def found(of: Pattern, message: Message) -> Match:
    result = of.match(message)
    assert result is not None
    return result


# Regular expressions


def test_a_text_is_a_regular_expression_that_is_searched() -> None:
    assert takes(pattern("SUB"), says("please SUBSCRIBE"), says("sub")) == [True, False]
    assert takes(pattern("^ACK$"), says("ACK"), says("ACK\n"), says("NACK")) == [True, False, False]
    assert takes(pattern("$"), says("anything")) == [True]


def test_groups_by_number_and_name() -> None:
    got = found(pattern(r"(?P<verb>\w+) (?P<what>[\wé]+)( now)?"), says("SUBSCRIBE é"))
    assert (got[0], got[1], got[2], got[3]) == ("SUBSCRIBE é", "SUBSCRIBE", "é", None)
    assert (got["verb"], got.get("what"), got.get("nobody"), got.get(9, "-")) == ("SUBSCRIBE", "é", None, "-")
    assert got.names == {"verb": "SUBSCRIBE", "what": "é"}


def test_a_regular_expression_never_takes_a_binary_message() -> None:
    assert pattern(".*").match(Message(b"ACK", BINARY)) is None


@pytest.mark.parametrize("source", ["(?=a)b", r"(a)\1", "(", r"a\Z", "a++", "\ud800", "x{1001}"])
def test_what_re2_refuses_is_an_option_error(source: str) -> None:
    with pytest.raises(OptionError) as caught:
        pattern(source, where="when()")
    assert str(caught.value).startswith("when(): ")


def test_the_refusal_names_the_reason_and_the_way_out(capfd: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(OptionError, match=r"refused by RE2: invalid perl operator: \(\?=.*predicate"):
        pattern("(?=a)b")
    assert capfd.readouterr() == ("", "")


def test_a_compiled_pattern_is_translated_with_its_flags() -> None:
    assert takes(pattern(re.compile("a.b$", re.I | re.S | re.M)), says("xA\nB\nc")) == [True]
    assert takes(pattern(re.compile("a.b")), says("A\nB")) == [False]
    with pytest.raises(OptionError, match="VERBOSE"):
        pattern(re.compile("a", re.VERBOSE))
    with pytest.raises(OptionError, match="bytes"):
        pattern(re.compile(b"a"))


def test_nested_quantifiers_do_not_hang() -> None:
    evil = says(json.dumps({"p": "a" * 5000 + "!"}))
    assert takes(pattern("(a+)+$"), evil) == [False]
    assert takes(pattern("$[?match(@, '(a+)+')]"), evil) == [False]


# JSONPath


PING = {"type": "ping", "n": 3, "on": True, "items": [{"p": 5, "k": "x"}, {"p": 1}], "max": 2, "price": "$x == 1"}


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("$.type", "ping"),
        ("$['n']", 3),
        ("$.items[1].p", 1),
        ("$..p", 5),
        ("$.items[?@.p > $.max]", {"p": 5, "k": "x"}),
        ("$.items[?search(@.k, '^x')].p", 5),
        ("$.type == 'ping'", "ping"),
        ('$.type:"ping"', "ping"),
        (r"$.type:\"ping\"", "ping"),
        (r"$.type == \"ping\"", "ping"),
        ("$.type : 'ping'", "ping"),
        ("$.n:3", 3),
        ("$.n == 3.0", 3),
        ("$.n >= 3", 3),
        ("$.n != 4", 3),
        ("$.n <> 4", 3),
        ("$.n < 3.5 && $.on == true", 3),
        ("$.n == 9 || ($.type == 'ping' && !$.nope)", 3),
        ("$.price == '$x == 1'", "$x == 1"),
        ("$.on == true && count($.items[?@.p > $.max]) == 1", True),
        ("$['type'] == 'ping'", "ping"),
    ],
)
def test_paths_and_comparisons_that_hold(path: str, value: object) -> None:
    assert found(pattern(path), sends(PING)).value == value


@pytest.mark.parametrize(
    "path",
    ["$.nope", "$.type == 'pong'", "$.n > 3", "$.n == true", "$.on == 1", "$.type < 3", "$.nope == null", "$.items:5"],
)
def test_paths_and_comparisons_that_do_not_hold(path: str) -> None:
    assert pattern(path).match(sends(PING)) is None


def test_not_equal_holds_where_there_is_nothing() -> None:
    assert takes(pattern("$.n != 4"), sends({}), sends([]), sends("a"), says("no JSON")) == [True, True, True, False]


def test_a_message_that_is_a_json_text_is_not_parsed_again() -> None:
    assert takes(pattern("$.a"), sends('{"a": 1}'), sends("{")) == [False, False]
    assert takes(pattern("$[0]"), sends('{"a": 1}'), sends("{")) == [False, False]


def test_json_in_a_binary_message_is_read() -> None:
    assert takes(pattern("$.a"), Message(b'{"a":1}', BINARY), Message(b"\xff\xfe", BINARY)) == [True, False]


def test_a_bad_path_names_the_problem_and_the_column() -> None:
    with pytest.raises(OptionError, match=r"waitFor: .* unexpected 'ping' near column 11; write a text in quotes"):
        pattern("$.type == ping", where="waitFor")
    with pytest.raises(OptionError, match=r"unexpected token 'b' near column 5$"):
        pattern("$.a b")


def test_deeply_nested_messages_match_or_not_but_never_raise() -> None:
    deep = says('{"a":' * 900 + "1" + "}" * 900)
    deeper = says('{"a":' * 100_000)
    for source in ("$.a", "$..b", "$.a == $.a", "$..a"):
        pattern(source).match(deep)
        assert pattern(source).match(deeper) is None
    assert takes(subset({"a": {"a": dict}}), deep, deeper) == [True, False]
    same: Any = 1
    for _ in range(900):
        same = {"a": same}
    exact({"a": {"a": 1}}).match(deep)


_KEYS = st.sampled_from(["a", "b", "c_1"])
_LITERALS = st.sampled_from(["'x'", '"x"', "1", "-1", "0.5", "true", "false", "null", "''"])
_VALUES = st.recursive(
    st.none() | st.booleans() | st.sampled_from([0, 1, -1, 1.0, 0.5, "x", "", "y"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(_KEYS, inner, max_size=3),
    max_leaves=8,
)


@given(st.lists(_KEYS, min_size=1, max_size=3), st.none() | _LITERALS, _VALUES)
def test_the_short_way_of_simple_paths_is_the_library_s(keys: list[str], literal: str | None, value: object) -> None:
    path = "$." + ".".join(keys)
    text = path if literal is None else f"{path} == {literal}"
    short = jsonpath(text)
    assert type(short).__name__ == "_SimplePath"
    whole = jsonpath_module._JsonPath(text, path, "" if literal is None else text, "")
    assert short.match(sends(value)) == whole.match(sends(value))


# Exact, subset, the rest


def test_exact() -> None:
    assert takes(exact("a"), says("a"), says("ab"), Message(b"a", BINARY)) == [True, False, False]
    assert takes(exact(b"a"), Message(b"a", BINARY), says("a")) == [True, False]
    assert takes(pattern(b"a"), Message(b"a", BINARY), says("a")) == [True, False]
    json_ = exact({"a": [1, None]})
    assert takes(json_, sends({"a": [1.0, None]}), sends({"a": [1, None], "b": 1}), sends({"a": [1]})) == [
        True,
        False,
        False,
    ]
    with pytest.raises(OptionError, match="ANY"):
        exact({"a": ANY})


@pytest.mark.parametrize(
    ("want", "got", "fits"),
    [
        ({"a": 1}, {"a": 1, "b": 2}, True),
        ({"a": {"b": 1}}, {"a": {"b": 1, "c": 2}}, True),
        ({"a": 1}, {"a": 1.0}, True),
        ({"a": 1}, {"a": True}, False),
        ({"a": True}, {"a": 1}, False),
        ({"a": int}, {"a": True}, False),
        ({"a": int}, {"a": 1.5}, False),
        ({"a": float}, {"a": 1}, True),
        ({"a": bool}, {"a": True}, True),
        ({"a": bool}, {"a": 0}, False),
        ({"a": str}, {"a": "x"}, True),
        ({"a": list, "b": dict}, {"a": [1], "b": {}}, True),
        ({"a": type(None)}, {"a": None}, True),
        ({"a": ANY}, {"a": None}, True),
        ({"a": ANY}, {}, False),
        ({"a": None}, {}, False),
        ([1, 2], [1, 2], True),
        ([1, 2], [1, 2, 3], False),
        ([{"a": 1}], [{"a": 1, "b": 2}], True),
        ({"a": re.compile("^x", re.I)}, {"a": "Xy"}, True),
        ({"a": re.compile("^x")}, {"a": 7}, False),
        ({"a": re.compile("x")}, {"a": "\ud800"}, False),
        ("x", "x", True),
        ({}, [], False),
    ],
)
def test_subset(want: object, got: object, fits: bool) -> None:
    assert takes(subset(want), sends(got)) == [fits]


@pytest.mark.parametrize("value", [{1: 2}, {"a": object}, {"a": {1, 2}}, [b"x"], {"a": re.compile("(?=x)")}])
def test_a_subset_of_what_json_has_not(value: object) -> None:
    with pytest.raises(OptionError):
        subset(value)


def test_predicates_see_the_message_and_their_errors_are_their_own() -> None:
    long = pattern(lambda message: len(message.payload) > 3)
    assert takes(long, says("four"), says("two")) == [True, False]
    with pytest.raises(ZeroDivisionError):
        pattern(lambda message: 1 / 0).match(says(""))


async def _coroutine(message: Message) -> bool:
    return True


@pytest.mark.parametrize("source", [5, None, {"a": 1}, dict, _coroutine])
def test_what_is_no_pattern(source: object) -> None:
    with pytest.raises(OptionError, match="is no pattern"):
        pattern(source)


def test_any_message() -> None:
    assert takes(any_message(), says(""), Message(b"\xff", BINARY)) == [True, True]
    assert pattern(ANY) == any_message()
    assert repr(ANY) == "ANY"


def test_patterns_compare_by_kind_and_source() -> None:
    def predicate(message: Message) -> bool:
        return True

    assert pattern("a") == pattern("a") != pattern("b")
    assert pattern("$.a") == jsonpath("$.a")
    assert subset({"a": ANY, "b": re.compile("x")}) == subset({"b": re.compile("x"), "a": ANY})
    assert exact({"a": 1}) != subset({"a": 1})
    assert exact("a") != pattern("a")
    assert pattern(predicate) == pattern(predicate) != pattern(lambda message: True)
    already = pattern("a")
    assert pattern(already) is already


def test_reprs_have_no_addresses() -> None:
    for one in (pattern("a"), pattern("$.a"), subset({"a": ANY}), exact(b"x"), pattern(print), any_message()):
        assert " at 0x" not in repr(one)


# Whatever comes


_PIECES = st.sampled_from(
    [
        "$",
        ".",
        "[",
        "]",
        "(",
        ")",
        "a",
        "'",
        '"',
        "\\",
        "==",
        ":",
        "&&",
        "?",
        "@",
        "*",
        "1",
        " ",
        "|",
        "..",
        "^",
        "+",
        "{",
    ]
)


@given(st.one_of(st.text(), st.lists(_PIECES).map("".join), st.lists(_PIECES).map(lambda some: "$." + "".join(some))))
def test_any_text_is_a_pattern_or_an_option_error(source: str) -> None:
    try:
        made = pattern(source)
    except OptionError:
        return
    assert made == pattern(source)
    for message in (sends(PING), sends([]), says("a"), Message(b"\xff", BINARY)):
        made.match(message)


ALL = [
    pattern(".(a?)"), pattern("$.a"), pattern("$.a == 1"), pattern("$..a"), pattern("$.a < $.b || !$[0]"),
    pattern("$[?search(@, 'a')]"), subset({"a": re.compile("a")}), subset([ANY]), exact({"a": 1}), exact("a"),
    pattern(b"a"), any_message(),
]  # fmt: skip


@given(st.binary() | _VALUES.map(lambda value: json.dumps(value).encode()), st.sampled_from([TEXT, BINARY]))
def test_no_message_raises(payload: bytes, opcode: int) -> None:
    for one in ALL:
        one.match(Message(payload, opcode))
