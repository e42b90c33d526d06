"""Rules in front of a behaviour: who is answered, with what, and what is remembered."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mockforge_nb import ANY, Mock, Script, close
from mockforge_nb.core.answers import MOST_REPLIES
from mockforge_nb.core.events import (
    Await,
    Close,
    Closed,
    Deliver,
    Failed,
    Pushed,
    Raised,
    Received,
    Returned,
    Run,
    Send,
    Untaken,
    Updated,
)
from mockforge_nb.core.message import BINARY, TEXT, Message
from mockforge_nb.core.plan import Plan, Shared
from mockforge_nb.core.routes import PathPattern
from mockforge_nb.errors import ExpectationError, TemplateError

from .playbook import Playbook, of


def plan(mock: Mock) -> Plan:
    return mock._plans(PathPattern.parse("/ws", "test"))[0][1]


def book(mock: Mock, **options: Any) -> Playbook:
    return Playbook(plan(mock), **options).open()


def answers(mock: Mock, *says: str) -> list[str]:
    return book(mock).receive(*says).texts()


# Which rule takes a message


def test_the_first_rule_that_matches_answers_and_the_behaviour_gets_the_rest() -> None:
    mock = Mock().echo("> ").when("^a", "first").when("^ab", "second").when("b$", "third")
    assert answers(mock, "ab", "xb", "c", "a") == ["first", "third", "> c", "first"]


def test_a_mock_of_rules_alone_is_silent_where_none_matches_and_says_so() -> None:
    played = book(Mock().when("x", "y")).receive("z")
    assert played.sent == []
    assert [each.message.text for each in of(played.commands, Untaken)] == ["z"]


@pytest.mark.parametrize(
    ("pattern", "options", "takes", "leaves"),
    [
        ("^(un)?subscribe$", {}, "subscribe", "subscribes"),
        ("$.type == 'subscribe'", {}, '{"type": "subscribe"}', '{"type": "other"}'),
        ("$[0].id", {}, '[{"id": 0}]', "[{}]"),
        (None, {"json": {"op": "ping"}}, '{"op": "ping", "n": 1}', '{"op": "pong"}'),
        (None, {"exact": "a.c"}, "a.c", "abc"),
        (None, {"exact": {"a": [1, 2]}}, '{"a":[1,2]}', '{"a":[1,2,3]}'),
        (lambda message: len(message.text) > 3, {}, "long enough", "no"),
    ],
)
def test_each_kind_of_pattern(pattern: Any, options: dict[str, Any], takes: str, leaves: str) -> None:
    assert answers(Mock().when(pattern, "taken", **options), takes, leaves) == ["taken"]


def test_a_binary_message_is_taken_by_its_bytes_and_by_any() -> None:
    played = book(Mock().when(b"\x00\xff", "bytes").when(ANY, "any"))
    played.tell(Received([(BINARY, [b"\x00\xff", b"\xff"])]))
    assert played.texts() == ["bytes", "any"]


def test_a_condition_reads_the_state_the_message_and_the_match() -> None:
    mock = (
        Mock()
        .when(r"^add (\d+)$", "ok", condition="match[1]|int < 10", set={"n": "{{(state.n or 0) + match[1]|int}}"})
        .when("^add", "too much")
        .when("^total$", "{{state.n}}", condition="state.n")
        .when("^total$", "nothing yet")
    )
    assert answers(mock, "total", "add 3", "add 30", "add 4", "total") == ["nothing yet", "ok", "too much", "ok", "7"]


# How often, and after which


def test_times_and_once_count_each_connection_by_itself() -> None:
    mock = Mock().when("hi", "first", once=True).when("hi", "again", times=2).otherwise("enough")
    shared = Shared()
    for number in (1, 2):
        assert book(mock, number=number, shared=shared).receive("hi", "hi", "hi", "hi").texts() == [
            "first", "again", "again", "enough",
        ]  # fmt: skip


def test_times_of_the_server_count_all_connections_together() -> None:
    mock = Mock().when("ticket", "yours", times=2, scope="server").otherwise("sold out")
    shared = Shared()
    said = [book(mock, number=number, shared=shared).receive("ticket").texts()[0] for number in (1, 2, 3)]
    assert said == ["yours", "yours", "sold out"]


def test_after_waits_for_another_rule_by_its_name_or_its_pattern() -> None:
    mock = (
        Mock()
        .when("^login$", "welcome", name="in")
        .when("^quit$", "bye", after="in")
        .when("^again$", "once more", after="^quit$")
        .otherwise("log in first")
    )
    assert answers(mock, "again", "quit", "login", "again", "quit", "again") == [
        "log in first", "log in first", "welcome", "log in first", "bye", "once more",
    ]  # fmt: skip


def test_after_a_rule_of_the_server_is_open_to_all_once_anybody_was_taken() -> None:
    mock = Mock().when("open", "opened", scope="server").when("enter", "in", after="open", scope="server")
    shared = Shared()
    second = book(mock, number=2, shared=shared)
    assert second.receive("enter").texts() == []
    book(mock, number=1, shared=shared).receive("open")
    assert second.receive("enter").texts() == ["in"]


# What is answered


def test_every_kind_of_answer_and_a_list_of_them() -> None:
    mock = (
        Mock()
        .when("text", "it was {{message}}")
        .when("json", {"n": "{{1 + 1}}", "said": "{{message}}"})
        .when("bytes", b"\x00\xff")
        .when("list", ["one", {"two": 2}, b"3"])
        .when("nothing", None)
        .when("function", lambda message: f"{message.text}!")
        .when("number", lambda: 7)
        .when("many", lambda message, conn: ["a", None, {"b": 1}])
    )
    played = book(mock).receive("text", "json", "bytes", "list", "nothing", "function", "number", "many")
    assert [(send.opcode, send.payload) for send in of(played.commands, Send)] == [
        (TEXT, b"it was text"),
        (TEXT, b'{"n":2,"said":"json"}'),
        (BINARY, b"\x00\xff"),
        (TEXT, b"one"),
        (TEXT, b'{"two":2}'),
        (BINARY, b"3"),
        (TEXT, b"function!"),
        (TEXT, b"7"),
        (TEXT, b"a"),
        (TEXT, b'{"b":1}'),
    ]
    assert of(played.commands, Untaken) == []


def test_a_reply_of_json_keeps_the_types_of_what_it_quotes() -> None:
    mock = Mock().when("$.id", {"id": "{{message.id}}", "text": "{{message.id}}!", "path": "{{json '$.tags[0]'}}"})
    assert answers(mock, '{"id": 7, "tags": [null]}', '{"id": [1], "tags": [{"a": 1}]}') == [
        '{"id":7,"text":"7!","path":null}',
        '{"id":[1],"text":"[1]!","path":{"a":1}}',
    ]


def test_a_client_s_template_is_never_expanded() -> None:
    assert answers(Mock().when(ANY, "{{message}}"), "{{uuid}}", "{% for x in y %}") == ["{{uuid}}", "{% for x in y %}"]


def test_what_a_function_returns_is_sent_as_it_stands() -> None:
    assert answers(Mock().when(ANY, lambda: "{{now}}"), "?") == ["{{now}}"]


def test_answers_carry_the_number_of_their_rule() -> None:
    played = book(Mock().when("a", "A").when("b", Script().send("B")).otherwise("?")).receive("a", "b", "c").until(1)
    assert [(row.rule, text) for row, text in zip(played.rows, played.texts(), strict=True)] == [
        (0, "A"), (-1, "?"), (1, "B"),
    ]  # fmt: skip


def test_a_close_stands_behind_what_was_said_and_nothing_follows_it() -> None:
    played = book(Mock().when("quit", ["bye", close(4000, "done")]).echo()).receive("a", "quit", "b")
    assert played.texts() == ["a", "bye"]
    assert of(played.commands, Close) == [Close(4000, "done")]
    assert played.receive("c").texts() == ["a", "bye"]


def test_a_script_answers_from_there_and_takes_the_messages_it_waits_for() -> None:
    talk = Script().send("name?").wait("^[A-Z]").send("hello {{message}}").send("later", after=2)
    played = book(Mock().when("^hi$", talk).echo("> "))
    played.until(5).receive("hi", "hm").receive("Ada").until(6)
    assert played.sent == [(5000, "name?"), (5000, "hello Ada")]
    played.receive("more").until(8)
    assert played.sent[2:] == [(6000, "> more"), (7000, "later")]


def test_the_newest_script_that_waits_gets_what_no_rule_takes() -> None:
    first = Script().send("A?").wait(".").send("A {{message}}")
    second = Script().send("B?").wait(".").send("B {{message}}")
    played = book(Mock().when("^a$", first).when("^b$", second)).receive("a", "b", "x", "y")
    assert played.texts() == ["A?", "B?", "B x", "A y"]


def test_a_connection_plays_a_bounded_number_of_scripts() -> None:
    endless = Script.parse('{"text": "tick", "every_ms": 1000, "repeat": true}\n')
    played = book(Mock().when("go", endless))
    for _ in range(MOST_REPLIES + 10):
        played.receive("go")
    before = len(played.sent)
    played.until(1)
    assert len(played.sent) - before == MOST_REPLIES


def test_latency_delays_replies_and_keeps_their_order() -> None:
    played = book(Mock().latency(100).when("a", "A").when("b", ["B", close()])).receive("a", "b")
    assert played.sent == []
    played.until(1)
    assert played.sent == [(100, "A"), (100, "B")]
    assert played.closed == 1000


# State


def test_set_comes_after_the_reply_and_all_values_read_what_was_before() -> None:
    mock = Mock().when(
        "n", "{{state.a or 0}} {{state.b or 0}}", set={"a": "{{(state.b or 0) + 1}}", "b": "{{(state.a or 0) + 10}}"}
    )
    assert answers(mock, "n", "n", "n") == [" ".join(pair) for pair in [("0", "0"), ("1", "10"), ("11", "11")]]


def test_a_set_value_keeps_its_type_and_a_text_stays_one() -> None:
    mock = (
        Mock()
        .when("in", None, set={"n": 1, "f": "{{1.5}}", "l": ["{{message}}", 2], "t": "x{{1}}", "none": None})
        .when(
            "out",
            {"n": "{{state.n}}", "f": "{{state.f}}", "l": "{{state.l}}", "t": "{{state.t}}", "o": "{{state.none}}"},
        )
    )
    assert answers(mock, "in", "out") == ['{"n":1,"f":1.5,"l":["in",2],"t":"x1","o":null}']


def test_a_word_of_the_state_replaces_the_one_before_it() -> None:
    mock = (
        Mock()
        .when("red", None, state="red")
        .when("green", None, state="green")
        .when(r"\?", "{{'red' if state.red else 'green' if state.green else 'off'}}")
    )
    assert answers(mock, "?", "red", "?", "green", "?") == ["off", "red", "green"]


def test_state_is_the_connection_s_and_server_everybody_s() -> None:
    mock = Mock().when("mine", "{{state.n or 0}}", set={"n": "{{(state.n or 0) + 1}}"})
    mock = mock.when("ours", "{{server.n or 0}}", set={"n": "{{(server.n or 0) + 1}}"}, scope="server")
    shared = Shared()
    books = [book(mock, number=number, shared=shared) for number in (1, 2)]
    for each in books * 2:
        each.receive("mine", "ours")
    assert [each.texts() for each in books] == [["0", "0", "1", "2"], ["0", "1", "1", "3"]]
    assert shared.state == {"n": 4}
    assert books[0].session.state == {"n": 2}


# What goes wrong


def test_a_template_that_fails_is_kept_and_the_connection_goes_on() -> None:
    played = book(Mock().when("x", ["{{message.id}}", "never"], set={"n": 1}).echo()).receive("x", "y")
    assert played.texts() == ["y"]
    (failed,) = of(played.commands, Failed)
    assert isinstance(failed.error, TemplateError)
    assert failed.rule == 0
    assert played.session.state == {}


def test_what_a_function_raises_is_kept_and_closes_with_1011() -> None:
    def broken(message: Message) -> str:
        raise ZeroDivisionError(message.text)

    for mock in (Mock().when("x", broken), Mock().when(broken, "reply"), Mock().otherwise(broken)):
        played = book(mock).receive("x", "y")
        (failed,) = of(played.commands, Failed)
        assert isinstance(failed.error, ZeroDivisionError)
        assert played.closed == 1011
        assert played.sent == []


def test_what_cannot_be_sent_is_kept_and_closes() -> None:
    played = book(Mock().when("x", lambda: object())).receive("x")
    (failed,) = of(played.commands, Failed)
    assert "object" in str(failed.error)
    assert played.closed == 1011


@pytest.mark.parametrize(
    ("reply", "sent"), [("ignore", []), (None, []), ("echo", ["hm"]), ("what?", ["what?"]), ({"e": 1}, ['{"e":1}'])]
)
def test_otherwise(reply: Any, sent: list[str]) -> None:
    assert answers(Mock().when("x", "y").otherwise(reply), "hm") == sent


def test_otherwise_error_is_for_check() -> None:
    played = book(Mock().when("x", "y").otherwise("error")).receive("hm")
    (failed,) = of(played.commands, Failed)
    assert isinstance(failed.error, ExpectationError)
    assert "'hm'" in str(failed.error)
    assert played.closed is None


# Functions that take their time, handlers, what calls back


def test_an_async_function_is_awaited_by_the_driver_and_its_result_sent_when_it_comes() -> None:
    async def slow(message: Message) -> str:
        return str(message.text).upper()

    played = book(Mock().when("^slow", slow).echo()).receive("slow", "quick")
    assert played.texts() == ["quick"]
    (wanted,) = of(played.commands, Await)
    wanted.awaitable.close()
    played.tell(Returned(wanted.key, ["SLOW", close()]))
    assert played.texts() == ["quick", "SLOW"]
    assert played.rows[-1].rule == 0
    assert played.closed == 1000


def test_what_an_async_function_raises_closes_and_names_its_rule() -> None:
    async def broken(message: Message) -> None: ...

    played = book(Mock().when("x", "y").when("z", broken)).receive("z")
    (wanted,) = of(played.commands, Await)
    wanted.awaitable.close()
    played.tell(Raised(wanted.key, ValueError("no")))
    (failed,) = of(played.commands, Failed)
    assert failed.rule == 1
    assert played.closed == 1011


def test_a_function_that_pushes_while_it_answers_says_that_first() -> None:
    books: list[Playbook] = []

    def reply(message: Message) -> str:
        books[0].session.handle(Pushed(TEXT, b"aside"), books[0].now)
        return "answer"

    books.append(book(Mock().when("x", reply)))
    assert books[0].receive("x").texts() == ["aside", "answer"]


def test_a_handler_gets_what_no_rule_takes_and_its_end_closes() -> None:
    async def handler(conn: object) -> None: ...

    played = book(Mock().handle(handler).when("^rule", "ruled"))
    (run,) = of(played.commands, Run)
    played.receive("rule", "mine")
    assert played.texts() == ["ruled"]
    assert [each.message.text for each in of(played.commands, Deliver)] == ["mine"]
    played.tell(Returned(run.key, None))
    assert played.closed == 1000


def test_a_handler_that_ends_after_the_connection_says_nothing() -> None:
    async def handler(conn: object) -> None: ...

    played = book(Mock().handle(handler))
    (run,) = of(played.commands, Run)
    played.tell(Closed()).tell(Returned(run.key, None))
    assert played.closed is None


# A new mock for the connections that are there


def test_an_update_counts_anew_and_keeps_the_state() -> None:
    played = book(Mock().when("n", "once", once=True, set={"n": 1})).receive("n", "n")
    played.update(plan(Mock().when("n", "{{state.n}}", once=True).otherwise("spent"))).receive("n", "n")
    assert played.texts() == ["once", "1", "spent"]


def test_an_update_ends_what_runs_or_lets_it_finish() -> None:
    old, new = plan(Mock().replay(["a", "b"], rate=1)), plan(Mock().replay(["c"]))
    ended = Playbook(old).open().tell(Updated(new, Shared())).until(5)
    assert ended.texts() == ["a", "c"]
    finished = Playbook(old).open().tell(Updated(new, Shared(), running="finish")).until(5)
    assert finished.texts() == ["a", "b", "c"]


def test_new_rules_answer_at_once_while_the_old_script_finishes() -> None:
    old, new = plan(Mock().replay(["a", "b"], rate=1)), plan(Mock().when("x", "new").echo())
    played = Playbook(old).open().tell(Updated(new, Shared(), running="finish")).receive("x", "y").until(5).receive("z")
    assert played.texts() == ["a", "new", "b", "z"]


# Properties


RULES: list[tuple[str, Callable[[Mock], Mock]]] = [
    ("a", lambda mock: mock.when("a", "A")),
    ("b", lambda mock: mock.when("b", "B", times=2)),
    ("c", lambda mock: mock.when("c", "C", after="a")),
    ("s", lambda mock: mock.when("s", "{{state.n or 0}}", set={"n": "{{(state.n or 0) + 1}}"})),
]


@given(st.lists(st.sampled_from("abcsx"), max_size=40), st.data())
def test_how_messages_are_cut_into_reads_changes_nothing(says: list[str], data: st.DataObject) -> None:
    mock = Mock().otherwise("?")
    for _, add in RULES:
        mock = add(mock)
    whole = answers(mock, *says) if says else []
    cut = book(mock)
    rest = iter(says)
    while read := list(itertools.islice(rest, data.draw(st.integers(1, 5)))):
        cut.receive(*read)
    assert cut.texts() == whole
    expected, seen, counted = [], {"b": 0, "a": 0}, 0
    for one in says:
        if one == "s":
            expected.append(str(counted))
            counted += 1
        elif one == "a" or (one == "b" and seen["b"] < 2) or (one == "c" and seen["a"]):
            expected.append(one.upper())
        else:
            expected.append("?")
        if one in seen:
            seen[one] += 1
    assert whole == expected


@given(st.lists(st.binary(max_size=30), min_size=1, max_size=10))
def test_no_message_of_a_client_breaks_a_session(payloads: list[bytes]) -> None:
    mock = (
        Mock().when("^(a)", "{{match.1}}").when("$..id", {"id": "{{json '$..id'}}"}).when(json=[1], reply="one").echo()
    )
    played = book(mock)
    for payload in payloads:
        opcode = TEXT if payload.decode(errors="ignore").encode() == payload else BINARY
        played.tell(Received([(opcode, [payload])]))
    assert of(played.commands, Failed) == []
    assert len(played.texts()) == len(payloads)
