"""Mocks that answer, over real sockets."""

from __future__ import annotations

import asyncio
import json
import threading
import time
import traceback
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from queue import SimpleQueue
from typing import Any

import pytest
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.sync.client import connect

from mockforge_nb import ANY, ConnectionClosedError, Message, Mock, OptionError, ProtocolError, Script, close
from mockforge_nb.connections import Connection
from mockforge_nb.pytest_plugin import WsMock
from mockforge_nb.wire.client import Client

from .raw import PATIENCE, eventually

SCRIPTS = Path(__file__).parents[2] / "notebooks" / "scripts"


def ask(client: Client, *says: object) -> list[Any]:
    """Say each and return the answers, one each."""
    answers = []
    for each in says:
        client.send(each)
        answers.append(client.recv(10))
    return answers


def ended(client: Client) -> tuple[int, str]:
    """Return the code and reason with which the server closes; nothing else may come."""
    with pytest.raises(ConnectionClosed) as caught:
        client.recv(10)
    frame = caught.value.rcvd
    assert frame is not None
    return frame.code, frame.reason


def rest(client: Client) -> list[Any]:
    """Return all that comes until the server closes."""
    found = []
    try:
        while True:
            found.append(client.recv(10))
    except ConnectionClosed:
        return found


# Rules


def test_rules_of_each_kind_answer_and_the_rest_goes_to_the_behaviour(ws_mock: WsMock) -> None:
    server = ws_mock(
        Mock()
        .echo(prefix="echo ")
        .when("^HELP$", "HELP, TIME, QUIT")
        .when("$.type == 'subscribe'", {"type": "ack", "id": "{{json '$.id'}}"})
        .when(json={"op": "ping"}, reply={"op": "pong"})
        .when(exact=b"\x00\x01", reply=b"\xff")
        .when("^many$", ["one", {"two": 2}, b"three"])
        .when(lambda message: message.text is not None and len(message.text) > 100, "too long")
        .when("^hush$", None)
        .when("^QUIT$", ["bye", close(4000, "as you wish")])
    )
    with server.client() as client:
        assert ask(client, "HELP", {"type": "subscribe", "id": 7}, {"op": "ping", "n": 1}, b"\x00\x01", "x" * 101) == [
            "HELP, TIME, QUIT", '{"type":"ack","id":7}', '{"op":"pong"}', b"\xff", "too long",
        ]  # fmt: skip
        assert [*ask(client, "many"), client.recv(10), client.recv(10)] == ["one", '{"two":2}', b"three"]
        client.send("hush")
        assert ask(client, "HELP me") == ["echo HELP me"]
        assert ask(client, "QUIT") == ["bye"]
        assert ended(client) == (4000, "as you wish")
    assert server.rules.took.tolist() == [1, 1, 1, 1, 1, 1, 1, 1]
    sent = server.traffic.df.query("direction == 'out' and opcode in ('text', 'binary')")
    assert sent.rule.fillna(-1).tolist() == [0, 1, 2, 3, 5, 4, 4, 4, -1, 7]


def test_a_function_answers_with_what_it_returns_and_knows_the_message_and_the_connection(ws_mock: WsMock) -> None:
    seen: list[Message] = []

    def plain(message: Message, conn: Connection) -> object:
        seen.append(message)
        conn.state["asked"] = conn.state.get("asked", 0) + 1
        assert message.match is not None
        return {"number": conn.number, "asked": conn.state["asked"], "word": message.match[1], "{{": "literal"}

    async def slow(message: Message) -> str:
        await asyncio.sleep(0.05)
        return f"slow {message.text}"

    server = ws_mock(Mock().when(r"^say (\w+)", plain).when("^slow", slow).when("^now", lambda: "now").otherwise("?"))
    with server.client() as client:
        assert json.loads(ask(client, "say hello")[0]) == {"number": 1, "asked": 1, "word": "hello", "{{": "literal"}
        client.send("slow")
        # What takes its time holds up nothing else of the connection.
        assert ask(client, "now") == ["now"]
        assert client.recv(10) == "slow slow"
        assert ask(client, "never heard of") == ["?"]
    (message,) = seen
    assert (message.text, message.data, message.connection) == ("say hello", None, 1)
    assert abs(message.time / 1e9 - time.time()) < 60


def test_a_script_is_played_from_its_answer_on_beside_the_rules(ws_mock: WsMock) -> None:
    feed = Script().send("first").send("second", after=0.02).wait("^go$").send("third {{message}}")
    server = ws_mock(Mock().when("^feed$", feed).when("^ping$", "pong"))
    with server.client() as client:
        assert [*ask(client, "feed"), client.recv(10)] == ["first", "second"]
        assert ask(client, "ping", "go") == ["pong", "third go"]


def test_times_once_after_and_state_over_a_socket(ws_mock: WsMock) -> None:
    server = ws_mock(
        Mock()
        .when("^first$", "just once", once=True, name="opening")
        .when("^then$", "after it", after="opening")
        .when("^up$", "{{(state.n or 0) + 1}}", set={"n": "{{(state.n or 0) + 1}}"}, times=2)
        .when("^total$", "{{(server.n or 0) + 1}}", set={"n": "{{(server.n or 0) + 1}}"}, scope="server")
        .when("^open$", "opened", state="unlocked")
        .when("^door$", "it is open", condition="state.unlocked")
        .otherwise("no")
    )
    with server.client() as one, server.client() as two:
        assert ask(one, "then", "first", "first", "then") == ["no", "just once", "no", "after it"]
        assert ask(one, "up", "up", "up") == ["1", "2", "no"]
        assert ask(one, "total", "door", "open", "door") == ["1", "no", "opened", "it is open"]
        assert ask(two, "then", "up", "total", "door") == ["no", "1", "2", "no"]
        assert server.state == {"n": 2}
        assert server.connections[0].state == {"n": 2, "unlocked": True}
        assert server.connections[1].state == {"n": 1}


@pytest.mark.parametrize(
    ("reply", "answer"), [("echo", "x"), ({"no": "{{message}}"}, '{"no":"x"}'), (lambda m: m.text * 2, "xx")]
)
def test_otherwise_answers_what_nobody_takes(ws_mock: WsMock, reply: Any, answer: str) -> None:
    server = ws_mock(Mock().when("^known$", "yes").otherwise(reply))
    with server.client() as client:
        assert ask(client, "known", "x") == ["yes", answer]


def test_what_nobody_takes_is_an_error_for_check_if_asked_for() -> None:
    with Mock().when("^known$", "yes").otherwise("error").serve(port=0) as server:
        with server.client() as client:
            client.send("unknown")
            assert ask(client, "known") == ["yes"]
        with pytest.raises(AssertionError, match="nobody took <Message 'unknown'>"):
            server.check()


def test_check_can_be_strict_about_untaken_messages_and_unused_rules() -> None:
    with Mock().when("^used$", "yes").when("^unused$", "no").serve(port=0) as server:
        with server.client() as client:
            client.send("unknown")
            assert ask(client, "used") == ["yes"]
        server.check()
        with pytest.raises(AssertionError, match="nobody took <Message 'unknown'>") as caught:
            server.check(strict=True)
        assert any("the rule '^unused$' at /ws took no message" in note for note in caught.value.__notes__)


# Files alone


def test_the_survey_is_a_file_alone(ws_mock: WsMock) -> None:
    server = ws_mock(Mock().replay(SCRIPTS / "survey.jsonl"))
    for votes, score in ((1, 4), (2, 5)):
        with server.client() as client:
            assert client.recv(10) == "Hello! What is your name?"
            assert ask(client, "Ada") == ["Welcome, Ada. How do you like this mock, from 1 to 5?"]
            assert ask(client, "nine") == ["A number from 1 to 5, please, not nine."]
            assert ask(client, str(score)) == ["Thank you, Ada."]
            assert json.loads(client.recv(10)) == {"votes": votes, "sum": 4 if votes == 1 else 9}
            assert ended(client) == (1000, "")


def test_the_login_is_a_file_alone(ws_mock: WsMock) -> None:
    server = ws_mock(Mock().replay(SCRIPTS / "login.jsonl"))
    right, wrong = {"op": "login", "user": "ada", "password": "lovelace"}, {"op": "login", "user": "eve"}
    with server.client() as ada, server.client() as eve:
        assert ada.recv(10) == eve.recv(10) == '{"event":"welcome","please":"log in"}'
        assert ask(ada, {"op": "balance"}) == ['{"error":"log in first"}']
        assert json.loads(ask(ada, right)[0])["ok"] is True
        assert ask(ada, {"op": "balance"}) == ['{"user":"ada","balance":1815}']
        assert ask(ada, {"op": "logout"}, {"op": "balance"}) == ['{"ok":true}', '{"error":"log in first"}']
        assert [json.loads(text)["left"] for text in ask(eve, wrong, wrong, wrong)] == [2, 1, 0]
        assert ended(eve) == (4003, "too many attempts")


def test_the_guessing_game_is_a_file_alone(ws_mock: WsMock) -> None:
    server = ws_mock(Mock().seed(7).replay(SCRIPTS / "guess.jsonl"))
    for _ in range(2):
        with server.client() as client:
            assert "from 1 to 100" in client.recv(10)
            assert ask(client, "fifty") == ["A number, please."]
            low, high, answer = 1, 100, ""
            while not answer.startswith("Right"):
                guess = (low + high) // 2
                (answer,) = ask(client, str(guess))
                low, high = (guess + 1, high) if answer == "Higher." else (low, guess - 1)
            assert ended(client) == (1000, "")
    assert server.state["record"] <= 7


# Handlers


def test_a_handler_reads_messages_writes_and_knows_its_request(ws_mock: WsMock) -> None:
    async def chat(conn: Connection) -> None:
        await conn.send({"path": conn.request.path, "query": conn.request.query, "mine": conn.headers["X-Mine"]})
        async for message in conn:
            conn.state["last"] = message.text
            if message == "bye":
                return
            await conn.send(f"{conn.number}: {message.text}")

    server = ws_mock(Mock().handle(chat).when("^rule$", "taken by a rule"))
    with connect(f"{server.url}?a=1", proxy=None, additional_headers={"x-mine": "yes"}) as raw:
        assert json.loads(raw.recv(10)) == {"path": "/ws", "query": {"a": "1"}, "mine": "yes"}
        for says, answer in (("hello", "1: hello"), ("rule", "taken by a rule")):
            raw.send(says)
            assert raw.recv(10) == answer
        assert server.connections[0].state == {"last": "hello"}
        raw.send("bye")
        with pytest.raises(ConnectionClosed) as caught:
            raw.recv(10)
        assert caught.value.rcvd is not None
        assert caught.value.rcvd.code == 1000


def test_the_connection_of_a_cell_and_of_a_handler_and_of_a_rule_are_one_object(ws_mock: WsMock) -> None:
    seen: list[Connection] = []

    async def handler(conn: Connection) -> None:
        seen.append(conn)
        await conn.recv()

    def who(message: Message, conn: Connection) -> str:
        seen.append(conn)
        return "you"

    server = ws_mock(Mock().handle(handler).when("^who$", who))
    with server.client() as client:
        conn = server.wait_connected()
        assert ask(client, "who") == ["you"]
        assert seen == [conn, conn]
        assert server.connections[0] is conn
        conn.state["set in a cell"] = True
        assert seen[0].state == {"set in a cell": True}


def test_a_handler_sees_pings_pongs_and_the_close_on_request_and_messages_alone_without(ws_mock: WsMock) -> None:
    kinds: list[tuple[str, object]] = []
    told = threading.Event()

    async def watch(conn: Connection) -> None:
        async for event in conn.events():
            kinds.append((event.kind, event.code if event.kind == "close" else event.payload))
        told.set()

    server = ws_mock(Mock().handle(watch))
    with connect(server.url, proxy=None) as raw:
        server.wait_connected()
        raw.ping(b"p").wait(10)
        raw.send("text")
        raw.send(b"data")
        raw.pong(b"q")
        raw.close(4001, "enough")
    assert told.wait(PATIENCE)
    assert kinds == [("ping", b"p"), ("text", b"text"), ("binary", b"data"), ("pong", b"q"), ("close", 4001)]


def test_ping_returns_the_time_of_the_pong(ws_mock: WsMock) -> None:
    times: list[float] = []

    async def handler(conn: Connection) -> None:
        times.append(await conn.ping())
        times.append(await conn.ping(b"mine"))
        await conn.send("done")
        await conn.recv()

    server = ws_mock(Mock().handle(handler))
    with server.client() as client:
        assert client.recv(10) == "done"
    assert len(times) == 2
    assert all(0 < each < 10 for each in times)
    pings = server.traffic.df.query("opcode == 'ping'")
    assert pings.direction.tolist() == ["out", "out"]


def test_rooms_are_joined_left_and_spoken_to_from_handlers_and_cells(ws_mock: WsMock) -> None:
    async def chat(conn: Connection) -> None:
        await conn.join(conn.request.query["room"])
        await conn.send("joined")
        async for message in conn:
            if message == "leave":
                conn.leave("red")
            else:
                await conn.send(f"reached {conn.broadcast('red', message.text, me=False)}")

    server = ws_mock(Mock().handle(chat))
    with (
        server.client("/ws?room=red") as one,
        server.client("/ws?room=red") as two,
        server.client("/ws?room=blue") as blue,
    ):
        assert [each.recv(10) for each in (one, two, blue)] == ["joined"] * 3
        assert {name: [conn.number for conn in conns] for name, conns in server.rooms.items()} == {
            "red": [1, 2],
            "blue": [3],
        }
        assert ask(one, "hi") == ["reached 1"]
        assert two.recv(10) == "hi"
        assert server.send("from a cell", room="red") == 2
        assert one.recv(10) == two.recv(10) == "from a cell"
        two.send("leave")
        assert ask(blue, "to red") == ["reached 1"]
        assert one.recv(10) == "to red"
        assert server.connections[1].rooms == []
    with pytest.warns(UserWarning, match="nobody is in the room 'green'"):
        assert server.send("x", room="green") == 0


def test_a_handler_closes_and_what_it_does_on_a_closed_connection_is_an_error_that_is_no_ones_fault(
    ws_mock: WsMock,
) -> None:
    after: list[Exception] = []
    told = threading.Event()

    async def handler(conn: Connection) -> None:
        await conn.close(4002, "enough")
        try:
            await conn.send("too late")
        except ConnectionClosedError as error:
            after.append(error)
            told.set()
            raise

    server = ws_mock(Mock().handle(handler))
    with server.client() as client:
        assert ended(client) == (4002, "enough")
    assert told.wait(PATIENCE)
    server.stop()
    assert str(after[0]) == "connection 1 is closed (4002)"
    assert server.errors == []


def test_a_handler_that_only_sends_is_slowed_by_a_client_that_reads_slowly() -> None:
    sent = 0

    async def flood(conn: Connection) -> None:
        nonlocal sent
        while True:
            await conn.send(b"x" * 65_536)
            sent += 1

    with Mock().handle(flood).limits(queue_bytes=2**20).serve(port=0) as server:
        with connect(server.url, proxy=None, max_queue=1) as raw:
            raw.recv(10)
            before = -1
            while sent != before:
                before = sent
                time.sleep(0.2)
            assert sent < 1000
            raw.recv(10)
        assert server.errors == []


def test_what_only_a_handler_can_do_is_a_clear_error_elsewhere(ws_mock: WsMock) -> None:
    server = ws_mock(Mock())
    with server.client():
        conn = server.wait_connected()
        with pytest.raises(ProtocolError, match=r"recv\(\) reads what a handler gets"):
            asyncio.run(conn.recv())


# What raises


async def broken_handler(conn: Connection) -> None:
    await conn.recv()
    raise RuntimeError("the handler's own")


async def broken_async(message: Message) -> None:
    await asyncio.sleep(0)
    raise RuntimeError("the function's own")


def broken(message: Message) -> None:
    raise RuntimeError("the function's own")


def leaving(message: Message) -> None:
    raise SystemExit("the function's own")


async def leaving_handler(conn: Connection) -> None:
    await conn.recv()
    raise SystemExit("the handler's own")


def leaving_stream() -> Iterator[str]:
    yield "one"
    raise SystemExit("the stream's own")


def broken_stream() -> Iterator[str]:
    yield "one"
    raise RuntimeError("the stream's own")


async def broken_async_stream() -> AsyncIterator[str]:
    yield "one"
    raise RuntimeError("the stream's own")


@pytest.mark.parametrize(
    ("mock", "culprit"),
    [
        (Mock().handle(broken_handler), "broken_handler"),
        (Mock().when("boom", broken), "broken"),
        (Mock().when("boom", broken_async), "broken_async"),
        (Mock().when(broken, "never"), "broken"),
        (Mock().stream(broken_stream), "broken_stream"),
        (Mock().stream(broken_async_stream, rate=50), "broken_async_stream"),
        (Mock().otherwise(broken), "broken"),
        (Mock().when("boom", leaving), "leaving"),
        (Mock().handle(leaving_handler), "leaving_handler"),
        (Mock().stream(leaving_stream), "leaving_stream"),
    ],
    ids=lambda value: repr(value) if isinstance(value, Mock) else "",
)
def test_what_a_function_raises_closes_its_connection_alone_and_is_kept_with_its_traceback(
    mock: Mock, culprit: str
) -> None:
    with mock.serve(port=0) as server:
        with server.client() as other, server.client() as client:
            if "stream" in culprit:
                assert other.recv(10) == client.recv(10) == "one"
            else:
                client.send("boom")
            assert ended(client) == (1011, "the mock failed")
            if "stream" not in culprit:
                assert server.connections[0].open
                other.connection.ping().wait(10)
        error = server.errors[0]
        assert "own" in str(error)
        assert f"in {culprit}" in "".join(traceback.format_exception(error))
        assert "connection" in error.__notes__[0]
        with pytest.raises(RuntimeError, match="own"):
            server.check()


def test_what_a_function_returns_that_cannot_be_sent_is_kept_and_closes() -> None:
    with Mock().when("x", lambda: {1, 2}).serve(port=0) as server:
        with server.client() as client:
            client.send("x")
            assert ended(client) == (1011, "the mock failed")
        with pytest.raises(OptionError, match=r"the reply: \{1, 2\} cannot be sent"):
            server.check()


# Streams


def counted(conn: Connection) -> Iterator[str]:
    for index in range(3):
        yield f"{conn.number}:{index}"


async def counted_slowly() -> AsyncIterator[dict[str, int]]:
    for index in range(3):
        await asyncio.sleep(0.01)
        yield {"i": index}


def sleeping() -> Iterator[str]:
    for index in range(3):
        time.sleep(0.05)
        yield str(index)


def counter() -> Callable[[], int]:
    items = iter(range(3))
    return lambda: next(items)


@pytest.mark.parametrize(
    ("source", "first", "second"),
    [
        (counted, ["1:0", "1:1", "1:2"], ["2:0", "2:1", "2:2"]),
        (counted_slowly, ['{"i":0}', '{"i":1}', '{"i":2}'], None),
        (sleeping, ["0", "1", "2"], None),
        (["a", {"b": 1}, b"c", None], ["a", '{"b":1}', b"c", "null"], None),
        (range(3), ["0", "1", "2"], None),
        ((str(n) for n in range(3)), ["0", "1", "2"], None),
        (counted_slowly(), ['{"i":0}', '{"i":1}', '{"i":2}'], None),
        (lambda: iter("abc"), ["a", "b", "c"], None),
        (counter(), ["0", "1", "2"], []),
    ],
    ids=["generator", "async generator", "sleeps", "list", "range", "made", "async made", "returns one", "function"],
)
def test_a_stream_gives_each_connection_all_of_its_own(
    ws_mock: WsMock, source: Any, first: list[Any], second: list[Any] | None
) -> None:
    server = ws_mock(Mock().stream(source, then="close"))
    with server.client() as client:
        assert rest(client) == first
    if second != []:
        with server.client() as client:
            assert rest(client) == (first if second is None else second)


def test_a_stream_has_its_rate_and_an_end_of_its_own(ws_mock: WsMock) -> None:
    server = ws_mock(Mock().stream(["a", "b", close(4005, "sold out"), "never"], rate=100))
    with server.client() as client:
        assert [client.recv(10), client.recv(10)] == ["a", "b"]
        assert ended(client) == (4005, "sold out")
    sent = server.traffic.df.query("direction == 'out' and opcode == 'text'")
    assert sent.due_ms.tolist() == [0, 10]
    assert sent.step.tolist() == [0, 1]


def test_a_source_that_sleeps_holds_up_no_other_connection(ws_mock: WsMock) -> None:
    gate = threading.Event()

    def slow() -> Iterator[str]:
        yield "slow"
        assert gate.wait(PATIENCE)
        yield "done"

    server = ws_mock(Mock().route("/slow", Mock().stream(slow)).route("/echo", Mock().echo()))
    with server.client("/slow") as slow_client, server.client("/echo") as client:
        assert slow_client.recv(PATIENCE) == "slow"
        for _ in range(50):
            assert ask(client, "x") == ["x"]
        gate.set()
        assert slow_client.recv(PATIENCE) == "done"


def test_an_item_is_sent_when_it_comes_and_none_is_taken_for_a_client_that_is_gone(ws_mock: WsMock) -> None:
    queue: SimpleQueue[str] = SimpleQueue()
    closed = threading.Event()

    def from_queue() -> Iterator[str]:
        try:
            while True:
                yield queue.get()
        finally:
            closed.set()

    server = ws_mock(Mock().stream(from_queue))
    with server.client() as client:
        for text in ("one", "two", "three"):
            queue.put(text)
            assert client.recv(PATIENCE) == text
    eventually(lambda: not server.connections[0].open)
    queue.put("in vain: it was waited for already")
    assert closed.wait(PATIENCE)
    queue.put("mine")
    assert queue.get() == "mine"


def test_a_generator_is_closed_when_its_client_goes(ws_mock: WsMock) -> None:
    closed: list[str] = []

    async def endless() -> AsyncIterator[str]:
        try:
            while True:
                yield "tick"
                await asyncio.sleep(0.005)
        finally:
            closed.append("closed")

    server = ws_mock(Mock().stream(endless))
    with server.client() as client:
        assert client.recv(10) == "tick"
    server.stop()
    assert closed == ["closed"]


# Routes


def test_routes_have_their_own_mocks_and_parameters_and_an_unknown_path_is_a_404(ws_mock: WsMock) -> None:
    server = ws_mock(
        Mock()
        .route("/prices/{symbol}", Mock().replay([{"json": {"symbol": "{{path.symbol}}"}}]))
        .route("/prices/EUR", Mock().replay(["the euro"]))
        .route("/files/{name:path}", Mock().when(ANY, "{{path.name}}"))
    )
    with server.client("/prices/A%20B?x=1") as client:
        assert client.recv(10) == '{"symbol":"A B"}'
        assert server.connections[0].request.params == {"symbol": "A B"}
    with server.client("/prices/EUR") as client:
        assert client.recv(10) == "the euro"
    with server.client("/files/a/b.txt") as client:
        assert ask(client, "?") == ["a/b.txt"]
    for path in ("/ws", "/prices", "/prices/", "/prices/a/b", "/"):
        with pytest.raises(InvalidStatus) as caught:
            server.client(path)
        assert caught.value.response.status_code == 404
        assert b"this mock serves /prices/{symbol}, /prices/EUR, /files/{name:path}" in caught.value.response.body
    assert set(server.traffic.df.path) >= {"/prices/A%20B", "/prices/EUR", "/files/a/b.txt"}


# Live


def test_an_update_ends_what_runs_and_keeps_the_state(ws_mock: WsMock) -> None:
    old = Mock().replay(["a", "b"], rate=1000, loop=True).when("^set$", "was set", set={"kept": 7})
    server = ws_mock(old)
    with server.client() as client:
        client.send("set")
        while client.recv(10) != "was set":
            pass
        server.update(Mock().when("^get$", "{{state.kept}}").echo())
        client.send("marker")
        while client.recv(10) != "marker":
            pass
        assert ask(client, "get", "still here") == ["7", "still here"]
    assert server.mock.words()[1:] == ["echo()", "when('^get$', '{{state.kept}}')"]


def test_an_update_may_let_what_runs_finish(ws_mock: WsMock) -> None:
    server = ws_mock(Mock().replay([{"text": "old"}, {"text": "last {{message}}", "waitFor": "^on$"}]))
    with server.client() as client:
        assert client.recv(10) == "old"
        server.update(Mock().replay(["new"]).when("^rule$", "of the new mock"), running="finish")
        assert ask(client, "rule") == ["of the new mock"]
        assert [*ask(client, "on"), client.recv(10)] == ["last on", "new"]
        with server.client() as late:
            assert late.recv(10) == "new"


def test_an_update_of_a_handler_cancels_it_or_waits_for_its_end(ws_mock: WsMock) -> None:
    seen: list[str] = []

    async def handler(conn: Connection) -> None:
        try:
            async for message in conn:
                seen.append(str(message.text))
                if message == "end":
                    return
        except asyncio.CancelledError:
            seen.append("cancelled")
            raise

    server = ws_mock(Mock().handle(handler))
    with server.client() as client:
        client.send("one")
        server.wait_for("one")
        server.update(Mock().echo(), running="finish")
        client.send("end")
        server.wait_for("end")
        assert ask(client, "now an echo") == ["now an echo"]
        server.update(Mock().handle(handler))
        client.send("two")
        server.wait_for("two")
        server.update(Mock().echo())
        assert ask(client, "echo") == ["echo"]
    assert seen == ["one", "end", "two", "cancelled"]


def test_a_path_that_an_update_takes_away_is_closed_with_1001(ws_mock: WsMock) -> None:
    both = Mock().route("/a", Mock().echo()).route("/b", Mock().echo())
    server = ws_mock(both)
    with server.client("/a") as a, server.client("/b") as b:
        assert ask(a, "x") + ask(b, "x") == ["x", "x"]
        server.update(Mock().route("/a", Mock().echo("> ")))
        assert ask(a, "x") == ["> x"]
        assert ended(b) == (1001, "this path is not served any more")
