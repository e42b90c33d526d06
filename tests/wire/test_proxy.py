"""A proxy in front of servers of other libraries, over real sockets."""

from __future__ import annotations

import asyncio
import contextlib
import shutil
import socket
import ssl
import subprocess
import threading
import time
from pathlib import Path
from typing import Any

import aiohttp
import pytest
import trustme
import websockets
from aiohttp import web
from websockets.exceptions import InvalidStatus
from websockets.sync.client import connect

from mockforge_nb import ANY, Message, Mock, MockServer, ProxyError
from mockforge_nb.pytest_plugin import WsMock
from mockforge_nb.ws import WsProxyConfig

from .raw import (
    BINARY,
    CLOSE,
    CONT,
    PING,
    PONG,
    TEXT,
    Raw,
    close_frame,
    ended,
    eventually,
    frame,
    refusals,
    request,
    rows,
)
from .upstreams import Started, echo, with_aiohttp, with_websockets


@pytest.fixture(scope="module")
def authority() -> trustme.CA:
    return trustme.CA()


def server_side(authority: trustme.CA) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1").configure_cert(context)
    return context


async def until_closed(ws: Any) -> None:
    """Keep the code that the connection is closed with."""
    await ws.wait_closed()
    ws.seen.append(ws.close_code)


def fates(server: MockServer, connection: int = 1) -> list[tuple[object, ...]]:
    """What became of messages: direction, text, what became of it, and what came in its place."""
    found = server.traffic.select(connection=connection, opcode=["text", "binary"]).df
    found["text"] = found["text"].where(found["opcode"] == "text", found["data"])
    found = found.astype(object).where(found.notna(), None)
    return [tuple(row) for row in found[["direction", "text", "relay", "original"]].itertuples(index=False)]


# What passes


@pytest.mark.parametrize("library", ["websockets", "aiohttp"])
@pytest.mark.parametrize("secure", [False, True])
def test_text_binary_ping_pong_and_close_pass(
    ws_mock: WsMock, started: Started, authority: trustme.CA, library: str, secure: bool
) -> None:
    make = with_websockets if library == "websockets" else with_aiohttp
    upstream = started(make(echo, server_side(authority) if secure else None))
    trust = ssl.create_default_context()
    authority.configure_trust(trust)
    server = ws_mock(Mock().proxy(upstream.url + "/feed", ssl=trust if secure else None))
    with server.client() as client:
        client.send("zwölf")
        assert client.recv() == "zwölf"
        client.send(b"\x00" * 70_000)
        assert client.recv() == b"\x00" * 70_000
        client.send("")
        assert client.recv() == ""
        assert client.connection.ping(b"beat").wait(20)
        client.close(4001, "enough")
        # As the upstream answers it: aiohttp does not echo the code.
        answered = (4001, "enough") if library == "websockets" else (1000, "")
        assert (client.close_code, client.close_reason) == answered
    ended(server)
    kinds = [(way, kind) for way, kind, _ in rows(server)]
    assert kinds[-4:] == [("in", "ping"), ("out", "pong"), ("in", "close"), ("out", "close")]
    assert set(server.traffic.df["relay"]) == {"forwarded"}
    assert server.connections.df.loc[0, "close_code"] == 4001


def test_what_became_of_a_message_is_known_under_latency_too(ws_mock: WsMock, started: Started) -> None:
    upstream = started(with_websockets(echo))
    mock = Mock().proxy(upstream.url, transform={"out": lambda message: f"<{message.text}>"})
    server = ws_mock(mock.latency(1).latency(1, direction="in").when("^rule$", "ruled"))
    with server.client() as client:
        for said, heard in (("a", "<a>"), ("rule", "ruled")):
            client.send(said)
            assert client.recv() == heard
    assert fates(server) == [
        ("in", "a", "forwarded", None), ("out", "<a>", "changed", "a"),
        ("in", "rule", "answered", None), ("out", "ruled", "answered", None),
    ]  # fmt: skip


def test_clients_that_vanish_are_nobody_s_error(ws_mock: WsMock, started: Started) -> None:
    upstream = started(with_websockets(echo))
    server = ws_mock(Mock().proxy(upstream.url))

    async def vanish() -> None:
        ws = await websockets.connect(server.url, proxy=None)
        await ws.send("x" * 1000)
        ws.transport.abort()

    async def many() -> None:
        await asyncio.gather(*(vanish() for _ in range(20)))

    for _ in range(3):
        asyncio.run(many())
    eventually(lambda: not any(each.open for each in server.connections))
    server.check()


def test_fragments_and_control_frames_between_them_pass(ws_mock: WsMock, started: Started) -> None:
    upstream = started(with_websockets(echo))
    with Raw(ws_mock(Mock().proxy(upstream.url))).open() as client:
        client.send(
            frame(TEXT, b"in ", fin=False) + frame(PING, b"now") + frame(CONT, b"parts") + frame(BINARY, b"whole")
        )
        assert [client.frame() for _ in range(3)] == [(PONG, b"now"), (TEXT, b"in parts"), (BINARY, b"whole")]
        client.send(frame(PONG, b"unasked") + frame(TEXT, b"!"))
        assert client.frame() == (TEXT, b"!")


def test_the_upstream_s_pings_and_fragments_pass(ws_mock: WsMock, started: Started) -> None:
    async def talk(ws: Any) -> None:
        await ws.send(["in ", "parts"])
        ws.seen.append(await (await ws.ping(b"beat")))
        await ws.close(4002, "done")

    upstream = started(with_websockets(talk))
    server = ws_mock(Mock().proxy(upstream.url))
    with Raw(server).open() as client:
        assert [client.frame(), client.frame()] == [(TEXT, b"in parts"), (PING, b"beat")]
        client.send(frame(PONG, b"beat"))
        assert client.frame() == (CLOSE, b"\x0f\xa2done")
        assert upstream.seen[0] > 0
        client.send(close_frame(4002))
        assert client.gone()
    ended(server)
    assert rows(server)[1:] == [
        ("out", "text", 0), ("out", "ping", 0), ("in", "pong", 0), ("out", "close", 4002), ("in", "close", 4002),
    ]  # fmt: skip


@pytest.mark.parametrize("code", [1000, 1001, 1011, 3000, 4999])
def test_the_upstream_s_close_code_and_reason_pass(ws_mock: WsMock, started: Started, code: int) -> None:
    async def talk(ws: Any) -> None:
        await ws.close(code, "because ü")

    server = ws_mock(Mock().proxy(started(with_websockets(talk)).url))
    with Raw(server).open() as client:
        assert client.frame() == (CLOSE, code.to_bytes(2, "big") + "because ü".encode())


@pytest.mark.parametrize("frames", [frame(CLOSE), close_frame(1000), close_frame(4000, b"bye")])
def test_the_client_s_close_is_answered_by_the_upstream(ws_mock: WsMock, started: Started, frames: bytes) -> None:
    upstream = started(with_websockets(until_closed))
    with Raw(ws_mock(Mock().proxy(upstream.url))).open() as client:
        client.send(frames)
        assert client.frame() == (CLOSE, client_payload(frames))
        assert client.gone()
    eventually(lambda: upstream.seen)
    payload = client_payload(frames)
    assert upstream.seen == [int.from_bytes(payload[:2], "big") if payload else 1005]


def client_payload(masked: bytes) -> bytes:
    """The payload of a small masked frame."""
    return bytes(each ^ masked[2 + index % 4] for index, each in enumerate(masked[6:]))


def test_what_the_upstream_says_after_the_client_s_close_still_comes(ws_mock: WsMock, started: Started) -> None:
    async def talk(ws: web.WebSocketResponse) -> None:
        async for message in ws:
            await asyncio.sleep(0.2)
            await ws.send_str(f"{message.data}!")

    upstream = started(with_aiohttp(talk))
    with Raw(ws_mock(Mock().proxy(upstream.url))).open() as client:
        client.send(frame(TEXT, b"last words") + close_frame(1000))
        assert [client.frame(), client.frame()] == [(TEXT, b"last words!"), (CLOSE, b"\x03\xe8")]


def test_nothing_is_lost_when_the_upstream_closes_in_mid_stream(ws_mock: WsMock, started: Started) -> None:
    async def talk(ws: Any) -> None:
        for number in range(2000):
            await ws.send(f"{number} " + "x" * 2000)
        await ws.close(1001, "all said")

    server = ws_mock(Mock().proxy(started(with_websockets(talk)).url))
    with connect(server.url, proxy=None, compression=None) as client:
        time.sleep(0.3)  # so that it must wait for who reads
        numbers = [int(str(message).split()[0]) for message in client]
        assert numbers == list(range(2000))
        assert (client.close_code, client.close_reason) == (1001, "all said")


def test_nothing_is_lost_when_the_client_closes_in_mid_stream(ws_mock: WsMock, started: Started) -> None:
    async def talk(ws: Any) -> None:
        async for message in ws:
            ws.seen.append(int(message.split()[0]))
            if len(ws.seen) % 500 == 1:
                await asyncio.sleep(0.05)

    upstream = started(with_websockets(talk))
    server = ws_mock(Mock().proxy(upstream.url))
    with connect(server.url, proxy=None, compression=None) as client:
        for number in range(2000):
            client.send(f"{number} " + "x" * 2000)
    eventually(lambda: len(upstream.seen) == 2000)
    assert upstream.seen == list(range(2000))


@pytest.mark.parametrize("slow", ["client", "upstream"])
def test_who_reads_slowly_slows_down_who_sends(ws_mock: WsMock, started: Started, slow: str) -> None:
    """Only so much is taken from a side as the other one reads: the rest waits at its sender."""
    go, payload = asyncio.Event(), "x" * 50_000

    async def talk(ws: Any) -> None:
        if slow == "client":
            for _ in range(1000):
                await ws.send(payload)
        else:
            while not go.is_set():
                await asyncio.sleep(0.01)
            async for _ in ws:
                ws.seen.append(1)

    upstream = started(with_websockets(talk, max_queue=1))
    server = ws_mock(Mock().proxy(upstream.url))

    def stands_still() -> int:
        """Wait until no more passes."""
        before = -1
        while len(server.traffic) != before:
            before = len(server.traffic)
            time.sleep(0.5)
        return before

    if slow == "client":
        with Raw(server, receive_bytes=4096).open() as client:
            assert stands_still() < 600
            got = sum(client.frame() == (TEXT, payload.encode()) for _ in range(1000))
        assert got == 1000
    else:
        with Raw(server).open() as client:
            client.socket.settimeout(1)
            sent = 0
            with contextlib.suppress(TimeoutError):
                while sent < 1000:
                    client.send(frame(BINARY, payload.encode()))
                    sent += 1
            assert sent < 990
            go.set()
            eventually(lambda: len(upstream.seen) >= sent - 1)


def test_both_ends_are_lost_when_one_is(ws_mock: WsMock, started: Started) -> None:
    async def talk(ws: Any) -> None:
        message = await ws.recv()
        if message == "cut":
            ws.transport.abort()
        else:
            try:
                await ws.recv()
            except websockets.ConnectionClosed as error:
                ws.seen.append(error.rcvd)

    upstream = started(with_websockets(talk))
    server = ws_mock(Mock().proxy(upstream.url))
    with Raw(server).open() as client:
        client.send(frame(TEXT, b"cut"))
        assert client.rest() == b""
    with Raw(server).open() as client:
        client.send(frame(TEXT, b"wait"))
        eventually(lambda: len(server.traffic.select(connection=2)) == 2)
        client.reset()
    eventually(lambda: upstream.seen == [None])
    ended(server, 2)
    assert list(server.connections.df["close_code"]) == [1006, 1006]
    assert rows(server)[-1] == ("out", "abort", 0)
    assert rows(server, 2)[-1] == ("in", "abort", 0)


# The handshake


def test_headers_query_and_subprotocol_pass(ws_mock: WsMock, started: Started) -> None:
    async def talk(ws: Any) -> None:
        ws.seen.append(ws.request)
        await ws.send("hello")

    def cookie(connection: Any, request: Any, response: Any) -> None:
        response.headers["Set-Cookie"] = "session=1"
        response.headers["X-From"] = "upstream"

    upstream = started(with_websockets(talk, subprotocols=["graphql-ws", "b"], process_response=cookie))
    mock = Mock().proxy(f"{upstream.url}/v1?key=1", headers={"X-Key": "secret", "User-Agent": None, "X-Old": "new"})
    server = ws_mock(mock)
    headers = {"Origin": "http://a.example", "Cookie": "a=1", "Authorization": "Bearer t", "X-Old": "old",
               "Keep-Alive": "300", "Proxy-Authorization": "x"}  # fmt: skip
    options: Any = {"additional_headers": headers, "subprotocols": ["a", "b"]}
    with server.client("/ws?symbol=A%20B", **options) as client:
        assert client.recv() == "hello"
        assert client.subprotocol == "b"
        assert client.connection.response is not None
        assert client.connection.response.headers["Set-Cookie"] == "session=1"
        upstream_side = server.connections[0].upstream
        assert upstream_side is not None
        assert (upstream_side.subprotocol, upstream_side.headers["X-From"]) == ("b", "upstream")
        assert upstream_side.url == f"{upstream.url}/v1?key=1&symbol=A%20B"
    (request,) = upstream.seen
    assert request.path == "/v1?key=1&symbol=A%20B"
    got = dict(request.headers.raw_items())
    assert {name: got[name] for name in ("Origin", "Cookie", "Authorization", "X-Key", "X-Old")} == {
        "Origin": "http://a.example", "Cookie": "a=1", "Authorization": "Bearer t", "X-Key": "secret", "X-Old": "new",
    }  # fmt: skip
    assert got["Host"] == f"127.0.0.1:{upstream.port}"
    assert not {"User-Agent", "Keep-Alive", "Proxy-Authorization"} & set(got)
    assert server.connections.df.loc[0, "subprotocol"] == "b"


@pytest.mark.parametrize("ours", [False, True])
@pytest.mark.parametrize("theirs", [False, True])
def test_either_side_may_be_compressed(ws_mock: WsMock, started: Started, ours: bool, theirs: bool) -> None:
    upstream = started(with_websockets(echo, compression="deflate"))
    mock = Mock().proxy(upstream.url, compression=theirs)
    server = ws_mock(mock.compression() if ours else mock)
    with connect(server.url, proxy=None) as client:
        assert bool(client.protocol.extensions) is ours
        for text in ("ä" * 2000, "", "x", "ä" * 2000):
            client.send(text)
            assert client.recv() == text
        client.send(b"\x01" * 5000)
        assert client.recv() == b"\x01" * 5000
    wire = server.connections[0].upstream
    assert wire is not None
    assert ("Sec-WebSocket-Extensions" in wire.headers) is theirs


def test_a_refusal_is_the_client_s_with_body_and_headers(ws_mock: WsMock, started: Started) -> None:
    def refuse(connection: Any, request: Any) -> Any:
        status = int(request.path.rpartition("/")[2])
        response = connection.respond(status, f"no {status}")
        response.headers["WWW-Authenticate"] = "Bearer"
        return response

    upstream = started(with_websockets(echo, process_request=refuse))
    server = ws_mock(Mock().route("/{status}", Mock().proxy(f"{upstream.url}/{{status}}")))
    for status, told in ((401, 401), (404, 404), (503, 503), (302, 302), (200, 502)):
        with pytest.raises(InvalidStatus) as caught:
            server.client(f"/{status}", max_size=10)
        response = caught.value.response
        assert response.status_code == told
        if status == told:
            assert response.headers["WWW-Authenticate"] == "Bearer"
            assert response.body == f"no {status}".encode()
        else:
            assert b"it is no WebSocket server" in bytes(response.body or b"")
    assert refusals(server)[0].startswith("GET /401 401 Unauthorized: the upstream ws://127.0.0.1:")


def test_an_upstream_that_is_not_there_is_502(ws_mock: WsMock, free_port: int) -> None:
    server = ws_mock(Mock().proxy(f"ws://127.0.0.1:{free_port}/x"))
    with pytest.raises(InvalidStatus) as caught:
        server.client()
    assert caught.value.response.status_code == 502
    assert f"ws://127.0.0.1:{free_port}/x cannot be reached" in str(caught.value.response.body)
    assert "cannot be reached" in refusals(server)[0]


@pytest.mark.parametrize(
    ("answer", "told"),
    [
        (b"", "cannot be reached"),
        (b"SSH-2.0-OpenSSH\r\n\r\n", "cannot be reached"),
        (b"HTTP/1.1 101 Switching Protocols\r\n\r\n", "cannot be reached"),
        (b"HTTP/1.1 101 " + b"x" * 70_000, "cannot be reached"),
    ],
)
def test_an_upstream_that_answers_something_else_is_502(ws_mock: WsMock, answer: bytes, told: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listening:

        def serve() -> None:
            one, _ = listening.accept()
            with one:
                one.recv(65_536)
                one.sendall(answer)

        thread = threading.Thread(target=serve)
        thread.start()
        server = ws_mock(Mock().proxy(f"ws://127.0.0.1:{listening.getsockname()[1]}"))
        with pytest.raises(InvalidStatus) as caught:
            server.client()
        thread.join()
    assert caught.value.response.status_code == 502
    assert told in str(caught.value.response.body)


def test_an_upstream_that_says_nothing_is_504(ws_mock: WsMock) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        server = ws_mock(Mock().proxy(f"ws://127.0.0.1:{listening.getsockname()[1]}", timeout="100ms"))
        with pytest.raises(InvalidStatus) as caught:
            server.client()
    assert caught.value.response.status_code == 504
    assert "did not answer within 0.1 s" in str(caught.value.response.body)


def test_a_client_that_goes_while_its_upstream_is_dialed_leaves_nothing_behind(ws_mock: WsMock) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        server = ws_mock(Mock().proxy(f"ws://127.0.0.1:{listening.getsockname()[1]}", timeout=60))
        with Raw(server) as client:
            client.send(request())
            dialed, _ = listening.accept()
        with dialed:
            dialed.settimeout(20)
            while dialed.recv(65_536):
                pass
        eventually(lambda: not server.listener.sockets and not server.listener.upstreams)
    assert "gone before it was answered" in refusals(server)[0]


def test_a_certificate_must_be_trusted(
    ws_mock: WsMock, started: Started, authority: trustme.CA, tmp_path: Path
) -> None:
    upstream = started(with_websockets(echo, server_side(authority)))
    with pytest.raises(InvalidStatus) as caught:
        ws_mock(Mock().proxy(upstream.url)).client()
    assert caught.value.response.status_code == 502
    assert "is not trusted" in str(caught.value.response.body)
    assert "proxy(ssl=)" in str(caught.value.response.body)
    authority.cert_pem.write_to_path(tmp_path / "ca.pem")
    for trust in (tmp_path / "ca.pem", str(tmp_path / "ca.pem"), False):
        with ws_mock(Mock().proxy(upstream.url, ssl=trust)).client() as client:
            client.send("a")
            assert client.recv() == "a"


# Which upstream


def test_path_parameters_are_in_the_upstream_s_url(ws_mock: WsMock, started: Started) -> None:
    upstream = started(with_aiohttp(echo))
    mock = Mock().route("/prices/{symbol}", Mock().proxy(f"{upstream.url}/v1/{{symbol}}/live"))
    server = ws_mock(mock.route("/all/{rest:path}", Mock().proxy(f"{upstream.url}/{{rest}}")))
    for path, asked in (("/prices/BRK%2FB", "/v1/BRK/B/live"), ("/prices/a%20b", "/v1/a b/live"), ("/all/x/y", "/x/y")):
        with server.client(path) as client:
            client.send("a")
            assert client.recv() == "a"
        assert upstream.seen.pop().path == asked


def test_a_function_finds_the_upstream_or_none(ws_mock: WsMock, started: Started) -> None:
    upstream = started(with_websockets(echo))

    def find(request: Any) -> str | None:
        return upstream.url if request.query.get("real") else None

    async def later(request: Any) -> str | None:
        await asyncio.sleep(0)
        return find(request)

    for function in (find, later):
        server = ws_mock(Mock().proxy(function).when(ANY, "from here", condition="false").otherwise("from here"))
        with server.client("/ws?real=1") as client:
            client.send("a")
            assert client.recv() == "a"
        with server.client() as client:
            client.send("a")
            assert client.recv() == "from here"
            assert client.connection.ping().wait(20)
        ended(server, 2)
        assert fates(server, 2) == [("in", "a", None, None), ("out", "from here", None, None)]


@pytest.mark.parametrize("bad", [ValueError("no"), "http://a.example", 7])
def test_a_function_that_fails_is_the_author_s_error(ws_mock: WsMock, bad: object) -> None:
    def find(request: Any) -> Any:
        if isinstance(bad, Exception):
            raise bad
        return bad

    server = ws_mock(Mock().proxy(find))
    with pytest.raises(InvalidStatus) as caught:
        server.client()
    assert caught.value.response.status_code == 500
    with pytest.raises(ValueError if isinstance(bad, Exception) else ProxyError, match="no"):
        server.check()


def test_the_original_s_configuration(ws_mock: WsMock, started: Started) -> None:
    one, other = started(with_aiohttp(echo)), started(with_aiohttp(echo))
    config = WsProxyConfig(
        upstream_url=f"{one.url}/default",
        rules=[("/prices/{symbol}", f"{other.url}/{{symbol}}")],
        message_transform=lambda message: f"{message.text}!",
    )
    server = ws_mock(Mock().route("/{rest:path}", Mock().proxy(config)))
    with server.client("/prices/A") as client, server.client("/x") as second:
        client.send("a")
        assert client.recv() == "a!!"
        second.send("b")
        assert second.recv() == "b!!"
    assert [each.path for each in one.seen] == ["/default"]
    assert [each.path for each in other.seen] == ["/A"]
    off = ws_mock(Mock().proxy(WsProxyConfig(upstream_url=one.url, should_proxy=False)).otherwise("echo"))
    with off.client() as client:
        client.send("local")
        assert client.recv() == "local"
    assert len(one.seen) == 1
    kept = ws_mock(Mock().proxy(WsProxyConfig(upstream_url=one.url, passthrough_by_default=False,
                                              rules=[("/a", one.url)])).otherwise("echo"))  # fmt: skip
    with kept.client() as client:
        client.send("local")
        assert client.recv() == "local"
    assert len(one.seen) == 1


# In between


def test_transforms_rules_injections_and_faults_are_in_the_log(ws_mock: WsMock, started: Started) -> None:
    upstream = started(with_websockets(echo))

    async def shout(message: Message) -> object:
        await asyncio.sleep(0)
        return None if message.text == "quiet" else str(message.text).upper()

    mock = Mock().proxy(upstream.url, transform={"out": shout}, only="^(a|quiet|from us)").when("^rule$", "local")
    server = ws_mock(mock)
    with server.client() as client:
        client.send("a")
        assert client.recv() == "A"
        client.send("quiet")
        eventually(lambda: "dropped" in set(server.traffic.df["relay"]))
        client.send("rule")
        assert client.recv() == "local"
        client.send("nobody")
        conn = server.wait_connected()
        assert conn.upstream is not None
        conn.upstream.send("from us")
        assert client.recv() == "FROM US"
        conn.send({"injected": 1})
        assert client.recv() == '{"injected":1}'
        with server.fault("drop", direction="in", times=1):
            client.send("a lost")
            client.send("a there")
            assert client.recv() == "A THERE"
    ended(server)
    assert fates(server) == [
        ("in", "a", "forwarded", None),
        ("out", "A", "changed", "a"),
        ("in", "quiet", "forwarded", None),
        ("out", "quiet", "dropped", None),
        ("in", "rule", "answered", None),
        ("out", "local", "answered", None),
        ("in", "nobody", "dropped", None),
        ("in", "from us", "injected", None),
        ("out", "FROM US", "changed", "from us"),
        ("out", '{"injected":1}', "injected", None),
        ("in", "a lost", "dropped", None),
        ("in", "a there", "forwarded", None),
        ("out", "A THERE", "changed", "a there"),
    ]
    assert server.wait_for("^rule$").text == "rule"


def test_the_client_s_messages_are_waited_for_as_it_said_them(ws_mock: WsMock, started: Started) -> None:
    upstream = started(with_websockets(echo))
    server = ws_mock(Mock().proxy(upstream.url, transform={"in": lambda message: [b"first", message.text.upper()]}))
    with server.client() as client:
        client.send("said")
        assert [client.recv(), client.recv()] == [b"first", "SAID"]
        assert server.wait_for().text == "said"
        assert server.wait_for(n=1) == ["said"]
    assert fates(server)[:2] == [("in", b"first", "changed", "said"), ("in", "SAID", "injected", None)]


def test_conditions_strike_a_real_server(ws_mock: WsMock, started: Started) -> None:
    upstream = started(with_websockets(echo))
    server = ws_mock(
        Mock().proxy(upstream.url).latency(30).latency(20, direction="in").fault("close", after=2, code=1012)
    )
    with server.client() as client:
        client.send("a")
        assert client.recv() == "a"
        client.send("b")
        assert client.recv() == "b"
        with pytest.raises(websockets.ConnectionClosed):
            client.recv()
        assert client.close_code == 1012
    messages = server.traffic.select(opcode="text").df
    assert list(messages["delay_ms"]) == [20, 30, 20, 30]
    eventually(lambda: not server.listener.upstreams)


def test_pings_are_lost_where_nothing_gets_through(ws_mock: WsMock, started: Started) -> None:
    async def talk(ws: Any) -> None:
        async for _ in ws:
            await ws.ping()

    upstream = started(with_websockets(talk))
    server = ws_mock(Mock().proxy(upstream.url))
    with server.client() as client:
        with server.fault("half_open", direction="out"):
            client.send("a")
            eventually(lambda: "ping" in set(server.traffic.df["opcode"]))
        client.send("b")
        eventually(lambda: "pong" in set(server.traffic.df["opcode"]))
    pings = server.traffic.select(opcode="ping").df
    assert list(pings["relay"]) == ["dropped", "forwarded"]
    assert pings["fault"].iloc[0] == "half_open"


def test_a_transform_that_raises_ends_the_connection_and_is_kept(ws_mock: WsMock, started: Started) -> None:
    upstream = started(with_websockets(echo))
    server = ws_mock(Mock().proxy(upstream.url, transform=lambda message: 1 / 0))
    with server.client() as client:
        client.send("a")
        with pytest.raises(websockets.ConnectionClosed):
            client.recv()
        assert client.close_code == 1011
    with pytest.raises(ZeroDivisionError):
        server.check()


def test_an_update_may_bring_a_proxy_and_take_it_away(ws_mock: WsMock, started: Started, free_port: int) -> None:
    async def talk(ws: Any) -> None:
        async for message in ws:
            await ws.send(f"{message} from upstream")
        ws.seen.append(ws.close_code)

    upstream = started(with_websockets(talk))
    server = ws_mock(Mock().echo())
    with server.client() as client:
        client.send("a")
        assert client.recv() == "a"
        server.update(Mock().proxy(upstream.url))
        client.send("b")
        assert client.recv() == "b from upstream"
        server.update(Mock().echo("> "))
        client.send("c")
        assert client.recv() == "> c"
        assert client.connection.ping().wait(20)
        eventually(lambda: upstream.seen == [1001])
        server.update(Mock().proxy(f"ws://127.0.0.1:{free_port}"))
        with pytest.raises(websockets.ConnectionClosed):
            client.recv()
        assert client.close_code == 1014
        assert "cannot be reached" in str(client.close_reason)


def test_another_behaviour_may_wait_for_the_upstream_s_end(ws_mock: WsMock, started: Started) -> None:
    async def talk(ws: Any) -> None:
        async for message in ws:
            if message == "bye":
                return
            await ws.send(message)

    server = ws_mock(Mock().proxy(started(with_websockets(talk)).url))
    with server.client() as client:
        server.update(Mock().echo("> "), running="finish")
        client.send("a")
        assert client.recv() == "a"
        client.send("bye")
        eventually(lambda: server.connections[0].upstream is None)
        client.send("b")
        assert client.recv() == "> b"
        assert client.connection.ping().wait(20)


def test_the_upstream_may_be_closed_from_a_cell(ws_mock: WsMock, started: Started) -> None:
    server = ws_mock(Mock().proxy(started(with_websockets(echo)).url))
    with server.client() as client:
        conn = server.wait_connected()
        assert conn.upstream is not None
        assert repr(conn.upstream).endswith(", open>")
        conn.upstream.close(4003, "our doing")
        with pytest.raises(websockets.ConnectionClosed):
            client.recv()
        assert client.close_code == 4003


def test_stopping_the_server_hangs_up(ws_mock: WsMock, started: Started) -> None:
    upstream = started(with_websockets(until_closed))
    server = ws_mock(Mock().proxy(upstream.url))
    with server.client():
        server.wait_connected()
        server.stop()
    eventually(lambda: upstream.seen == [1001])


def test_an_upstream_that_breaks_the_protocol_is_a_clear_close(ws_mock: WsMock, started: Started) -> None:
    async def talk(ws: Any) -> None:
        await ws.send("fine")
        ws.transport.write(b"\x83\x00")

    server = ws_mock(Mock().proxy(started(with_websockets(talk)).url))
    with Raw(server).open() as client:
        assert client.frame() == (TEXT, b"fine")
        opcode, payload = client.frame()
        assert (opcode, payload[:2]) == (CLOSE, (1014).to_bytes(2, "big"))
        assert b"the upstream broke the protocol: 1002" in payload


def test_a_client_that_breaks_the_protocol_is_closed_and_so_is_the_upstream(ws_mock: WsMock, started: Started) -> None:
    upstream = started(with_websockets(until_closed))
    server = ws_mock(Mock().proxy(upstream.url))
    with Raw(server).open() as client:
        client.send(frame(TEXT, b"fine") + frame(TEXT, b"\xff"))
        assert client.closed()[0] == 1007
    eventually(lambda: upstream.seen == [1007])


# Other people's servers and clients

NODE_SERVER = """
const { WebSocketServer } = require("ws");
const fs = require("fs");
const [cert, key] = process.argv.slice(1).map((path) => fs.readFileSync(path));
const web = cert ? require("https").createServer({ cert, key }) : require("http").createServer();
const server = new WebSocketServer({ server: web, perMessageDeflate: true });
web.listen(0, "127.0.0.1", () => console.log(web.address().port));
server.on("connection", (socket) => {
  socket.on("message", (data, binary) => {
    if (String(data) === "bye") socket.close(4004, "node says bye");
    else socket.send(data, { binary });
  });
});
"""

NODE_CLIENT = """
const WebSocket = require("ws");
const socket = new WebSocket(process.argv[1], { perMessageDeflate: true });
socket.on("open", () => { socket.ping("beat"); socket.send("ä".repeat(5000)); socket.send(Buffer.alloc(70000)); });
const got = [];
socket.on("pong", (data) => console.log("pong", String(data)));
socket.on("message", (data, binary) => { got.push(data.length); if (got.length == 2) socket.send("bye"); });
socket.on("close", (code, reason) => console.log(got.join(), code, String(reason)));
"""


@pytest.fixture(scope="module")
def node(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder in which Node finds the package `ws`."""
    folder = tmp_path_factory.mktemp("node")
    if shutil.which("npm") is None:
        pytest.skip("there is no Node with npm")
    ran = subprocess.run(
        ["npm", "install", "--silent", "--no-audit", "--no-fund", "ws@8"], cwd=folder, capture_output=True, timeout=300
    )
    if ran.returncode:
        pytest.skip(f"npm cannot install ws: {ran.stderr.decode()[-200:]}")
    return folder


@pytest.mark.parametrize("secure", [False, True])
@pytest.mark.parametrize("compressed", [False, True])
def test_node_s_ws_on_both_sides(
    ws_mock: WsMock, node: Path, authority: trustme.CA, tmp_path: Path, compressed: bool, secure: bool
) -> None:
    files = [tmp_path / "cert.pem", tmp_path / "key.pem", tmp_path / "ca.pem"]
    own = authority.issue_cert("127.0.0.1")
    own.cert_chain_pems[0].write_to_path(files[0])
    own.private_key_pem.write_to_path(files[1])
    authority.cert_pem.write_to_path(files[2])
    argv = ["node", "-e", NODE_SERVER, *(map(str, files[:2]) if secure else ())]
    with subprocess.Popen(argv, cwd=node, stdout=subprocess.PIPE, text=True) as upstream:
        try:
            assert upstream.stdout is not None
            url = f"{'wss' if secure else 'ws'}://127.0.0.1:{int(upstream.stdout.readline())}"
            mock = Mock().proxy(url, compression=compressed, ssl=files[2] if secure else None)
            server = ws_mock(mock.compression(compressed))
            ran = subprocess.run(
                ["node", "-e", NODE_CLIENT, server.url],
                cwd=node,
                capture_output=True,
                text=True,
                timeout=60,
                check=True,
            )
        finally:
            upstream.kill()
    assert ran.stdout.split("\n") == ["pong beat", "10000,70000 4004 node says bye", ""]


def test_an_aiohttp_client_is_relayed(ws_mock: WsMock, started: Started) -> None:
    server = ws_mock(Mock().proxy(started(with_websockets(echo)).url).compression())

    async def talk() -> None:
        async with aiohttp.ClientSession() as session, session.ws_connect(server.url, compress=15) as client:
            for size in (10, 70_000):
                await client.send_str("ä" * size)
                assert await client.receive_str() == "ä" * size

    asyncio.run(talk())
