"""What a Mock is told about its answers: arguments, how it compares and shows itself, what serve() finds."""

from __future__ import annotations

import pickle
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any

import pytest

from mockforge_nb import ANY, Mock, OptionError, Script, TemplateError, close
from mockforge_nb.errors import MockForgeError

anything: Any = Mock
"""A Mock that mypy lets have wrong arguments."""


async def handler(conn: object) -> None: ...


def answer(message: object) -> str:
    return "x"


async def slow(message: object) -> str:
    return "x"


def numbers() -> Iterator[int]:
    yield from range(3)


async def later() -> AsyncIterator[int]:
    yield 1


@pytest.mark.parametrize(
    ("call", "problem"),
    [
        (lambda: anything().when(reply="b"), "nothing says which messages"),
        (lambda: anything().when("a"), "when(reply=)"),
        (lambda: anything().when("a", "b", json={}), "pattern and json= are given"),
        (lambda: anything().when({"op": 1}, "b"), "when(json={…})"),
        (lambda: anything().when("(", "b"), "RE2"),
        (lambda: anything().when("$.[", "b"), "JSONPath"),
        (lambda: anything().when(7, "b"), "7"),
        (lambda: anything().when("a", "b", times=0), "when(times=)"),
        (lambda: anything().when("a", "b", times=True), "when(times=)"),
        (lambda: anything().when("a", "b", times=2, once=True), "two different things"),
        (lambda: anything().when("a", "b", once=1), "when(once=)"),
        (lambda: anything().when("a", "b", after=3), "when(after=)"),
        (lambda: anything().when("a", "b", scope="all"), "valid: 'connection', 'server'"),
        (lambda: anything().when("a", "b", set=["x"]), "when(set=)"),
        (lambda: anything().when("a", "b", set={"a b": 1}), "when(set=)"),
        (lambda: anything().when("a", "b", set={"a": object()}), "when(set=)"),
        (lambda: anything().when("a", "b", name=""), "when(name=)"),
        (lambda: anything().when("a", object()), "when(reply=)"),
        (lambda: anything().when("a", lambda x, y, z: 1), "takes (x, y, z)"),
        (lambda: anything().when("a", Script().when("x", "y")), "has rules of its own"),
        (lambda: anything().otherwise(object()), "otherwise()"),
        (lambda: close(1005), "1005"),
        (lambda: close(1000, "x" * 124), "123"),
        (lambda: anything().handle(answer), "async def"),
        (lambda: anything().handle(7), "async def"),
        (lambda: anything().stream(7), "stream()"),
        (lambda: anything().stream(numbers, rate=0), "stream(rate=)"),
        (lambda: anything().stream(numbers, then="stop"), "valid: 'hold', 'close'"),
        (lambda: anything().route("prices", Mock()), "begins with '/'"),
        (lambda: anything().route("/prices", Mock), "not a Mock"),
        (lambda: anything().echo().handle(handler), "already has echo()"),
        (lambda: anything().stream(numbers).echo(), "already has stream()"),
    ],
)
def test_a_wrong_argument_is_an_error_at_the_call_that_names_it(call: Callable[[], object], problem: str) -> None:
    with pytest.raises(OptionError) as raised:
        call()
    assert problem in str(raised.value)


@pytest.mark.parametrize("text", ["{{randInt 1}}", "{{nope", "{% if x %}"])
def test_a_template_that_cannot_be_parsed_is_an_error_at_the_call(text: str) -> None:
    calls: list[Callable[[], Mock]] = [
        lambda: Mock().when("a", text),
        lambda: Mock().when("a", {"x": [text]}),
        lambda: Mock().when("a", None, set={"x": text}),
        lambda: Mock().otherwise(text),
    ]
    for call in calls:
        with pytest.raises(TemplateError):
            call()


@pytest.mark.parametrize(
    ("mock", "problem"),
    [
        (Mock().when("a", "{{price}}"), "no variable 'price' is known"),
        (Mock().when("a", "b", condition="stat.x"), "no variable 'stat' is known; did you mean 'state'?"),
        (Mock().when("a", "b", set={"x": "{{y}}"}), "no variable 'y' is known"),
        (Mock().otherwise("{{z}}"), "no variable 'z' is known"),
        (Mock().when("a", Script().send("{{w}}")), "no variable 'w' is known"),
        (Mock().route("/x", Mock().when("a", "{{price}}")), "no variable 'price' is known"),
        (Mock().when("a", "b", name="hello").when("c", "d", after="helo"), "did you mean 'hello'?"),
        (Mock().when(answer, "b").when("c", "d", after="x"), "'c'"),
        (Mock().echo().otherwise("x"), "never comes to it"),
        (Mock().route("/a", Mock()).route("/a", Mock()), "takes the same paths as '/a'"),
        (Mock().echo().route("/ws", Mock()), "takes the same paths as '/ws'"),
        (Mock().route("/a", Mock().limits(log_bytes=2**20)), "is a limit of the whole server"),
    ],
)
def test_what_is_wrong_with_the_whole_is_said_when_it_is_served_or_simulated(mock: Mock, problem: str) -> None:
    for run in (lambda: mock.serve(port=0), lambda: mock.simulate(path="/x" if mock._routes else "/ws")):
        with pytest.raises(MockForgeError) as raised:
            run()
        assert problem in str(raised.value)


def test_a_variable_that_templates_gives_is_known_on_every_path() -> None:
    mock = Mock().templates(price=7).route("/x", Mock().when("a", "{{price}}"))
    traffic = mock.simulate([(0, "a")], path="/x")
    assert list(traffic.df.query("direction == 'out' and opcode == 'text'").text) == ["7"]


def test_every_word_returns_a_new_mock_and_rules_accumulate() -> None:
    first = Mock().when("a", "A")
    second = first.when("b", "B")
    assert first != second
    assert len(first._rules) == 1
    assert list(second.words()) == ["Mock()", "when('a', 'A')", "when('b', 'B')"]


def test_mocks_with_equal_rules_are_equal_and_functions_only_themselves() -> None:
    def make() -> Mock:
        return Mock().when("^a$", {"n": [1]}, set={"x": 1}).when(json={"a": 1}, reply=b"x").otherwise("error")

    assert make() == make()
    assert make() != make().when("more", "x")
    assert Mock().when("a", answer) == Mock().when("a", answer)
    assert Mock().when("a", answer) != Mock().when("a", lambda message: "x")
    assert Mock().route("/a", make()) == Mock().route("/a", make())
    assert Mock().handle(handler) == Mock().handle(handler)
    assert Mock().stream(numbers) != Mock().stream(later)


def test_a_mock_with_rules_travels_to_another_process() -> None:
    mock = (
        Mock()
        .when("^a(.)$", ["{{match.1}}", {"n": "{{state.n or 0}}"}, b"x", close()], set={"n": 1}, times=3)
        .when(json={"op": 1}, reply=Script().send("hi"))
        .when(ANY, answer)
        .otherwise({"error": "?"})
        .route("/x/{y}", Mock().stream(numbers))
        .route("/z", Mock().handle(handler))
    )
    again = pickle.loads(pickle.dumps(mock))
    assert repr(again) == repr(mock)
    assert again.simulate([(0, "ab")]).df.equals(mock.simulate([(0, "ab")]).df)


def test_a_mock_shows_its_rules_as_they_were_said() -> None:
    mock = (
        Mock().when("^a$", "A", times=2).when(json={"op": 1}, reply=None).when(answer, close(4000)).otherwise("error")
    )
    assert "when('^a$', 'A', times=2)" in mock.words()
    text = repr(mock.route("/x", Mock().echo()))
    assert "otherwise('error')" in text
    assert "route('/x', Mock().echo())" in text
    assert "0x" not in repr(Mock().when(answer, answer).stream(numbers))
    assert "answer" in repr(Mock().when(answer, answer))


# Simulated


def test_a_simulation_plays_rules_state_and_streams() -> None:
    mock = Mock().stream(["tick"], rate=1).when("n", "{{state.n or 0}}", set={"n": "{{(state.n or 0) + 1}}"})
    rows = mock.simulate([(1.5, "n"), (2, "n"), (3, "x")], until=5).df
    said = rows[(rows.direction == "out") & (rows.opcode == "text")]
    assert [*zip(said.elapsed, said.text, said.rule.fillna(-1), strict=True)] == [
        (0, "tick", -1),
        (1.5, "0", 0),
        (2, "1", 0),
    ]


def test_a_simulation_has_paths_and_their_parameters_and_the_query() -> None:
    mock = Mock().route("/prices/{symbol}", Mock().when(ANY, "{{path.symbol}} {{query.currency}}"))
    rows = mock.simulate([(0, "?")], path="/prices/AAPL?currency=EUR").df
    assert "AAPL EUR" in rows.text.dropna().tolist()
    with pytest.raises(OptionError, match="is no path of this mock"):
        mock.simulate(path="/price")


def test_a_simulation_shares_the_server_s_state_among_connections() -> None:
    mock = Mock().when("n", "{{server.n or 0}}", set={"n": "{{(server.n or 0) + 1}}"}, scope="server")
    rows = mock.simulate([(0, "n")], connections=3).df
    assert rows[rows.direction == "out"].query("opcode == 'text'").text.tolist() == ["0", "1", "2"]


@pytest.mark.parametrize(
    ("mock", "what"),
    [
        (Mock().handle(handler), "a handler"),
        (Mock().when(ANY, slow), "an async function"),
        (Mock().stream(later), "a stream that is asynchronous"),
        (Mock().stream(numbers()), "read only once"),
    ],
)
def test_what_needs_an_event_loop_says_so_in_a_simulation(mock: Mock, what: str) -> None:
    with pytest.raises(OptionError, match="event loop") as raised:
        mock.simulate([(0, "x")])
    assert what in str(raised.value)
    assert "serve()" in str(raised.value)


def test_what_an_author_s_function_raises_comes_out_of_a_simulation() -> None:
    def broken(message: object) -> str:
        raise ZeroDivisionError("no")

    with pytest.raises(ZeroDivisionError) as raised:
        Mock().when("x", broken).simulate([(0, "x")])
    assert "no" in str(raised.value)
    rows = Mock().when("x", broken).simulate([(0, "x"), (1, "y")], check=False).df
    assert 1011 in rows.close_code.dropna().tolist()
