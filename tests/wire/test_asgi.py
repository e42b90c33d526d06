"""A mock as an ASGI application, under real servers, as real clients see it."""

from __future__ import annotations

import asyncio
import socket
import threading
import time
from collections.abc import Callable
from typing import Any

import aiohttp
import pandas as pd
import pytest
from websockets.sync.client import ClientConnection, connect

from mockforge_nb import Mock, Script
from mockforge_nb.connections import Connection
from mockforge_nb.errors import ProtocolError
from mockforge_nb.pytest_plugin import WsMock

from .hosts import HOSTS, Driven, drain, hosted, refusal
from .raw import PATIENCE, TEXT, Raw, ended, eventually, rows
from .upstreams import Started, with_websockets

COLUMNS = ("connection", "path", "direction", "opcode", "text", "data", "size", "step", "rule", "due_ms", "delay_ms",
           "fault", "close_code", "close_reason")  # fmt: skip
"""What of the traffic is the same for the same conversation, whoever holds the socket."""

pytestmark = pytest.mark.filterwarnings("ignore:remove second argument of ws_handler")  # uvicorn's oldest way

every_host = pytest.mark.parametrize("by", HOSTS)


# The same as under serve()


def script() -> Script:
    return (
        Script()
        .send({"type": "hello", "at": "{{now}}"})
        .send("late {{randInt 1 1000}}", after=0.02)
        .wait("^ACK$", timeout=PATIENCE)
        .send(b"\x00\x01", after=0.01)
        .close(4003, "done")
    )


async def chat(conn: Connection) -> None:
    async for message in conn:
        await conn.send(f"{len(message.payload)}")


def say(*said: str | bytes, close: tuple[int, str] | None = None) -> Callable[[ClientConnection], Any]:
    """A client that says something, hears as many answers, and leaves or waits for the end."""

    def client(connection: ClientConnection) -> Any:
        got = []
        for one in said:
            connection.send(one)
            got.append(connection.recv(PATIENCE))
        if close is not None:
            connection.close(*close)
            return got
        return got, drain(connection)

    return client


def acknowledges(connection: ClientConnection) -> Any:
    connection.send("ACK")
    return drain(connection)


def too_large(connection: ClientConnection) -> Any:
    connection.send("x" * 1001)
    return drain(connection)


CONVERSATIONS: dict[str, tuple[Mock, Callable[[ClientConnection], Any]]] = {
    "echo": (Mock().echo("> "), say("a", b"\x00", "ä" * 40_000, "", close=(4001, "bye"))),
    "latency": (Mock().latency((1, 30)).latency((1, 5), direction="in").echo(), say("a", "b", "c", close=(1000, ""))),
    "script": (Mock().latency((1, 5)).replay(script()), acknowledges),
    "handler": (Mock().handle(chat), say("four", b"two", close=(1000, ""))),
    "rules": (
        Mock().when("^add (\\d+)$", "{{match.1}}", set={"n": "{{(state.n or 0) + 1}}"}).when("n", "{{state.n}}"),
        say("add 7", "add 8", "n", close=(1001, "")),
    ),
    "faults": (
        Mock()
        .replay([{"text": f"message {index}"} for index in range(8)], then="close")
        .fault("drop", only="1$")
        .fault("duplicate", only="2$")
        .fault("reorder", only="3$", by=2)
        .fault("corrupt", only="6$")
        .fault("oversize", only="7$", size=100_000),
        drain,
    ),
    "close fault": (Mock().echo().fault("close", code=1012, reason="again", after=2), say("1", "2")),
    "a message too large": (
        Mock().limits(message_bytes=1000).echo(),
        too_large,
    ),
}


def log(served: Any, url: str, client: Callable[[ClientConnection], Any]) -> tuple[Any, pd.DataFrame]:
    with connect(url) as connection:
        heard = client(connection)
    ended(served)
    return heard, served.traffic.df[list(COLUMNS)]


@every_host
@pytest.mark.parametrize("name", CONVERSATIONS)
def test_a_conversation_and_its_log_are_those_of_serve(name: str, by: str, ws_mock: WsMock) -> None:
    mock, client = CONVERSATIONS[name]
    mock = mock.seed(42).clock("2024-01-15T10:30:00Z")
    server, app = ws_mock(mock), mock.asgi()
    expected, of_serve = log(server, server.url, client)
    with hosted(app, by) as url:
        heard, of_asgi = log(app, f"{url}/ws", client)
    app.check()
    assert heard == expected
    if by == "hypercorn" and name in ("echo", "latency", "handler", "rules"):
        # It tells an application that a client left, but not how.
        ends = of_serve["opcode"] == "close"
        of_serve = of_serve[~ends]
        assert of_asgi["opcode"].iloc[-1] == "abort"
        of_asgi = of_asgi.iloc[:-1]
    pd.testing.assert_frame_equal(of_asgi.reset_index(drop=True), of_serve.reset_index(drop=True))


def test_the_handshake_is_logged_as_the_client_made_it() -> None:
    app = Mock().route("/prices/{symbol}", Mock().when(".", "{{path.symbol}} {{query.k}}")).asgi()
    headers = {"X-Token": "grüße".encode().decode("latin-1")}
    with (
        hosted(app) as url,
        connect(f"{url}/prices/a%2Fb%20c?k=v", additional_headers=headers, subprotocols=["x", "y"]) as client,  # type: ignore[list-item]
    ):
        client.send("?")
        assert client.recv(PATIENCE) == "a/b c v"
        assert app.connections[0].headers["x-token"] == headers["X-Token"]
    row = app.connections.df.iloc[0]
    assert (row["path"], row["query"], list(row["subprotocols"])) == ("/prices/a%2Fb%20c", "k=v", ["x", "y"])
    assert str(row["remote"]).startswith("127.0.0.1:")


# What the handle can do


@every_host
def test_the_handle_works_from_another_thread_and_on_the_loop(by: str) -> None:
    async def handler(conn: Connection) -> None:
        conn.join("room")
        async for message in conn:
            conn.state["n"] = message.payload
            app.send("from the loop", room="room")
            with pytest.raises(ProtocolError, match="would never end"):
                app.wait_for()

    app = Mock().handle(handler).asgi()
    with pytest.warns(UserWarning, match="nobody is connected to /ws"):
        assert app.send("too early") == 0
    with hosted(app, by) as url, connect(f"{url}/ws") as client:
        conn = app.wait_connected(timeout=PATIENCE)
        client.send("one")
        assert app.wait_for("^o", timeout=PATIENCE).text == "one"
        assert client.recv(PATIENCE) == "from the loop"
        assert app.rooms == {"room": [conn]}
        assert app.send({"a": 1}) == 1
        assert client.recv(PATIENCE) == '{"a":1}'
        assert conn.state == {"n": b"one"}
        assert app.url == f"{url}/ws"
        conn.close(4005, "you")
        assert drain(client) == ([], 4005, "you")
    app.check()


def test_a_wait_that_began_before_the_server_ends_with_its_first_connection() -> None:
    app = Mock().asgi()
    found: list[Connection] = []
    waiting = threading.Thread(target=lambda: found.append(app.wait_connected(timeout=PATIENCE)))
    waiting.start()
    with hosted(app) as url, connect(f"{url}/ws"):
        waiting.join(PATIENCE)
        assert found == [app.connections[0]]


def test_conditions_and_mocks_change_while_it_serves() -> None:
    app = Mock().echo().asgi()
    with hosted(app) as url, connect(f"{url}/ws") as client:
        with app.fault("drop", only="lost"):
            client.send("lost")
            client.send("kept")
            assert client.recv(PATIENCE) == "kept"
        app.update(Mock().echo("new "))
        client.send("a")
        assert client.recv(PATIENCE) == "new a"
        with app.reject(503, "later\n"):
            assert refusal(f"{url}/ws") == (503, "later\n")


def test_errors_of_the_author_are_kept_and_the_client_gets_1011() -> None:
    async def handler(conn: Connection) -> None:
        raise ZeroDivisionError("on purpose")

    app = Mock().handle(handler).asgi()
    with hosted(app) as url, connect(f"{url}/ws") as client:
        assert drain(client)[1] == 1011
    assert [str(error) for error in app.errors] == ["on purpose"]
    with pytest.raises(ZeroDivisionError):
        app.check()


def test_a_text_that_a_fault_makes_no_utf8_is_the_authors_error() -> None:
    app = Mock().echo().fault("corrupt", how=lambda text: b"\xff").asgi()
    with hosted(app) as url, connect(f"{url}/ws") as client:
        client.send("a")
        assert drain(client) == ([], 1011, "the mock failed")
    with pytest.raises(ProtocolError, match="ASGI application cannot send this"):
        app.check()


def test_stop_closes_with_1001_and_refuses_from_then_on() -> None:
    app = Mock().asgi()
    with hosted(app) as url, connect(f"{url}/ws") as client:
        app.wait_connected(timeout=PATIENCE)
        app.stop()
        assert drain(client)[1] == 1001
        assert refusal(f"{url}/ws") == (503, "This mock is stopped.\n")
        with pytest.raises(ProtocolError, match="is stopped"):
            app.send("a")


@every_host
def test_the_servers_end_is_the_connections(by: str) -> None:
    app = Mock().asgi()
    with hosted(app, by) as url:

        def client() -> None:
            with connect(f"{url}/ws") as connection:
                drain(connection)

        threading.Thread(target=client).start()
        app.wait_connected(timeout=PATIENCE)
    assert not app.connections[0].open
    assert not app.listener.sockets


def test_lifespan_shutdown_closes_with_1001_and_it_may_begin_again() -> None:
    app = Mock().asgi()

    async def main() -> None:
        for _ in range(2):
            life = Driven(app, type="lifespan")
            assert await life.tell("lifespan.startup") == {"type": "lifespan.startup.complete"}
            one = Driven(app)
            assert (await one.tell("websocket.connect"))["type"] == "websocket.accept"
            assert await life.tell("lifespan.shutdown") == {"type": "lifespan.shutdown.complete"}
            assert one.said.get_nowait() == {"type": "websocket.close", "code": 1001, "reason": ""}
            await asyncio.gather(one.task, life.task)

    asyncio.run(main())
    asyncio.run(main())
    assert [rows(app, number)[-2:] for number in range(1, 5)] == [[("out", "close", 1001), ("in", "close", 1001)]] * 4


def test_an_application_that_its_server_cancels_leaves_nothing_behind() -> None:
    app = Mock().replay([{"ts": 60_000, "text": "late"}]).asgi()

    async def main() -> None:
        one = Driven(app)
        await one.tell("websocket.connect")
        one.task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await one.task
        assert len(asyncio.all_tasks()) == 1

    asyncio.run(main())
    assert not app.listener.sockets
    assert rows(app)[-1] == ("in", "abort", 0)


def test_no_more_is_taken_from_the_server_than_the_session_takes() -> None:
    read = asyncio.Event()

    async def handler(conn: Connection) -> None:
        await read.wait()
        async for _ in conn:
            pass

    async def main() -> None:
        one = Driven(Mock().handle(handler).asgi())
        assert (await one.tell("websocket.connect"))["type"] == "websocket.accept"
        for _ in range(5000):
            one.coming.put_nowait({"type": "websocket.receive", "text": "x" * 960})
        left = -1
        while left != one.coming.qsize():
            left = one.coming.qsize()
            await asyncio.sleep(0.2)
        assert 2900 < left < 3000  # 1024 wait for a handler, and as many are held
        read.set()
        async with asyncio.timeout(PATIENCE):
            while one.coming.qsize():
                await asyncio.sleep(0.01)
        one.coming.put_nowait({"type": "websocket.disconnect", "code": 1000})
        await one.task

    asyncio.run(main())


def test_what_a_server_raises_is_raised_to_it_unless_it_says_that_the_client_is_gone() -> None:
    app = Mock().asgi()

    async def main(error: Exception) -> None:
        async def send(event: Any) -> None:
            if event["type"] == "websocket.send":
                raise error

        coming: asyncio.Queue[Any] = asyncio.Queue()
        coming.put_nowait({"type": "websocket.connect"})
        coming.put_nowait({"type": "websocket.receive", "text": "a"})
        scope = {"type": "websocket", "path": "/ws", "query_string": b"", "headers": []}
        await asyncio.wait_for(app(scope, coming.get, send), PATIENCE)

    asyncio.run(main(BrokenPipeError()))
    with pytest.raises(ZeroDivisionError):
        asyncio.run(main(ZeroDivisionError()))
    assert not app.listener.sockets


# How it ends


@pytest.mark.parametrize(("by", "code"), [*((by, 1006) for by in HOSTS[:3]), ("hypercorn", 1011)])
@pytest.mark.parametrize("mock", [Mock().echo().fault("abort"), Mock().when(".", Script.parse('{"error": true}'))])
def test_an_abort_ends_tcp_where_the_server_lets_it(by: str, code: int, mock: Mock) -> None:
    app = mock.asgi()
    with hosted(app, by) as url, connect(f"{url}/ws") as client:
        client.send("a")
        assert drain(client)[:2] == ([], code)
        assert rows(app)[-1] == ("out", "abort", 0)


def test_what_exceeds_the_data_limit_never_arrives_and_tcp_ends() -> None:
    app = Mock().replay([{"text": "x" * 300}] * 9).fault("limit_data", size=1000).asgi()
    with hosted(app) as url, connect(f"{url}/ws") as client:
        assert drain(client) == (["x" * 300] * 3, 1006, "")
    assert [row[0] for row in rows(app, 1, "fault") if row[0]] == ["limit_data", "limit_data"]


@every_host
def test_a_handshake_takes_its_time_and_has_its_limit(by: str) -> None:
    app = Mock().connect_delay(0.2).limits(connections=1).asgi()
    with hosted(app, by) as url:
        began = time.monotonic()
        with connect(f"{url}/ws"):
            assert time.monotonic() - began >= 0.2
            assert refusal(f"{url}/ws")[0] == 503
    assert rows(app, 1, "opcode", "delay_ms")[0] == ("handshake", 200)


@every_host
def test_a_client_that_just_goes_is_gone(by: str) -> None:
    app = Mock().asgi()
    with hosted(app, by) as url, connect(f"{url}/ws") as client:
        client.socket.shutdown(socket.SHUT_RDWR)
        ended(app)
    assert not app.connections[0].open
    app.check()


@every_host
def test_what_a_slow_client_does_not_read_holds_the_stream_up(by: str) -> None:
    made: list[int] = []

    def endless() -> Any:
        while True:
            made.append(1)
            yield "x" * 10_000

    app = Mock().stream(endless).asgi()
    with hosted(app, by) as url, Raw(int(url.rpartition(":")[2]), receive_bytes=4096).open() as client:
        count = -1

        def stands() -> bool:
            nonlocal count
            before, count = count, len(made)
            time.sleep(0.2)
            return count > 10 and before == count == len(made)

        eventually(stands)
        sent = len(app.traffic)
        for _ in range(sent + 1):  # with what waits in the sockets
            assert client.frame() == (TEXT, b"x" * 10_000)
        eventually(lambda: len(made) > count)
        client.reset()
        ended(app)


def test_a_large_message_and_many_small_ones_come_through() -> None:
    app = Mock().asgi()
    with hosted(app) as url, connect(f"{url}/ws", max_size=None) as client:
        client.send(b"\xfe" * 5_000_000)
        assert client.recv(PATIENCE) == b"\xfe" * 5_000_000
        for index in range(3000):
            client.send(str(index))
        assert [client.recv(PATIENCE) for _ in range(3000)] == [str(index) for index in range(3000)]


def test_aiohttp_is_served_too() -> None:
    app = Mock().echo().asgi()

    async def talk(url: str) -> tuple[str, bytes, int | None]:
        async with aiohttp.ClientSession() as session, session.ws_connect(url) as ws:
            await ws.send_str("a")
            await ws.send_bytes(b"b")
            got = await ws.receive_str(), await ws.receive_bytes()
            await asyncio.to_thread(app.close, 4000, "enough")
            await ws.receive()
            return *got, ws.close_code

    with hosted(app) as url:
        assert asyncio.run(talk(f"{url}/ws")) == ("a", b"b", 4000)


@every_host
def test_a_proxy_relays(by: str, started: Started) -> None:
    async def upstream(ws: Any) -> None:
        await ws.ping()
        async for message in ws:
            await ws.send(f"up {message}")
            if message == "leave":
                await ws.close(4004, "from above")

    real = started(with_websockets(upstream, subprotocols=["v2"]))
    app = Mock().proxy(real.url).asgi()
    with hosted(app, by) as url, connect(f"{url}/ws", subprotocols=["v1", "v2"]) as client:  # type: ignore[list-item]
        assert client.subprotocol == "v2"
        client.send("a")
        assert client.recv(PATIENCE) == "up a"
        client.send("leave")
        assert drain(client) == (["up leave"], 4004, "from above")
    app.check()


def test_an_upstream_that_is_not_there_refuses() -> None:
    app = Mock().proxy("ws://127.0.0.1:1").asgi()
    with hosted(app) as url:
        assert refusal(f"{url}/ws")[0] == 502
