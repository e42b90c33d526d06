"""What peers do wrong: it is a row of the traffic, and the server goes on."""

from __future__ import annotations

import socket
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from itertools import pairwise

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mockforge_nb import Mock, MockServer
from mockforge_nb.pytest_plugin import WsMock

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
    still_echoes,
)

TLS_HELLO = bytes.fromhex("16030100c8010000c40303") + bytes(range(189))


@pytest.fixture(autouse=True)
def _nothing_is_printed(capfd: pytest.CaptureFixture[str]) -> Iterator[None]:
    yield
    assert capfd.readouterr() == ("", "")


@pytest.fixture
def server(ws_mock: WsMock) -> MockServer:
    return ws_mock(Mock().echo().limits(message_bytes=1000))


# No WebSocket at all


def test_a_plain_http_get_is_told_that_a_websocket_client_is_needed(server: MockServer) -> None:
    with Raw(server) as client:
        client.send(b"GET /ws HTTP/1.1\r\nHost: localhost\r\n\r\n")
        assert client.head().startswith(b"HTTP/1.1 426 ")
        assert b"You need a WebSocket client" in client.rest()
    assert refusals(server) == ["GET /ws 426 Upgrade Required"]
    assert still_echoes(server)


def test_a_refused_client_that_does_not_hang_up_has_one_row_and_is_hung_up_on(server: MockServer) -> None:
    with Raw(server) as client:
        client.send(b"GET /elsewhere HTTP/1.1\r\nHost: localhost\r\n\r\n")
        assert b"There is nothing at /elsewhere; this mock serves /ws." in client.rest()
        eventually(lambda: not server.listener.sockets)
    assert refusals(server) == ["GET /elsewhere 404 Not Found"]
    assert still_echoes(server)


@pytest.mark.parametrize(
    ("sent", "status"),
    [
        (request(method="POST"), b"405"),
        (request(version="HTTP/1.0"), b"505"),
        (request().replace(b"Version: 13", b"Version: 8"), b"400"),
        (request().replace(b"dGhlIHNhbXBsZSBub25jZQ==", b"short"), b"400"),
        (request("/" + "x" * 9000), b"414"),
        (request("/ws", "X-Big: " + "x" * 9000), b"431"),
        (request("/ws", *(f"X-{n}: {n}" for n in range(200))), b"431"),
        (b"hello\r\n\r\n", b"400"),
        (b"\r\n\r\n", b"400"),
        (b"GET /ws HTTP/1.1\nHost: bare\n\n", b"400"),
        (b"GET /w\xc3\xa4hrung HTTP/1.1\r\n\r\n", b"400"),
        (request("//["), b"404"),
        (request("http://[/ws"), b"404"),
        (b"\x00" * 10_000, b"414"),
        (TLS_HELLO, b"400"),
    ],
)
def test_what_is_no_handshake_is_refused_with_a_status_and_a_row(
    server: MockServer, sent: bytes, status: bytes
) -> None:
    with Raw(server) as client:
        client.send(sent)
        assert client.head().startswith(b"HTTP/1.1 " + status)
        assert client.gone()
    assert len(refusals(server)) == 1
    assert refusals(server)[0]
    assert len(server.connections) == 0
    assert still_echoes(server)


def test_a_tls_hello_is_answered_at_once_and_named_in_the_traffic(server: MockServer) -> None:
    with Raw(server) as client:
        client.send(TLS_HELLO)
        assert client.gone()
    assert refusals(server) == ["a TLS handshake; this port speaks ws://, not wss://"]


def test_a_client_that_says_nothing_is_hung_up_on_after_handshake_seconds(ws_mock: WsMock) -> None:
    server = ws_mock(Mock().limits(handshake_seconds=0.2))
    with Raw(server) as silent, Raw(server) as slow:
        began = time.monotonic()
        slow.send(request()[:-2])
        assert silent.gone()
        assert slow.gone()
        assert time.monotonic() - began >= 0.19
    assert refusals(server) == ["no handshake in time"] * 2
    assert still_echoes(server)


def test_handshake_seconds_end_with_the_handshake(ws_mock: WsMock) -> None:
    server = ws_mock(Mock().limits(handshake_seconds=0.1))
    with Raw(server).open() as client:
        time.sleep(0.3)
        client.send(frame(TEXT, b"late"))
        assert client.frame() == (TEXT, b"late")


# Handshakes in pieces


def test_a_handshake_may_come_byte_by_byte(server: MockServer) -> None:
    with Raw(server) as client:
        for byte in request():
            client.send(bytes((byte,)))
        assert client.head().startswith(b"HTTP/1.1 101 ")
        client.send(frame(TEXT, b"hi"))
        assert client.frame() == (TEXT, b"hi")


def test_frames_in_the_handshakes_segment_are_answered_after_it(server: MockServer) -> None:
    sent = frame(PING, b"p") + frame(TEXT, b"a") + frame(TEXT, "ä".encode()) + close_frame(4000, b"done")
    with Raw(server).open(then=sent) as client:
        assert [client.frame() for _ in range(3)] == [(PONG, b"p"), (TEXT, b"a"), (TEXT, "ä".encode())]
        assert client.closed() == (4000, "done")
    ended(server)
    assert rows(server) == [
        ("in", "handshake", 0), ("in", "ping", 0), ("out", "pong", 0), ("in", "text", 0), ("in", "text", 0),
        ("out", "text", 0), ("out", "text", 0), ("in", "close", 4000), ("out", "close", 4000),
    ]  # fmt: skip


def test_half_a_frame_in_the_handshakes_segment_waits_for_its_other_half(server: MockServer) -> None:
    whole = frame(TEXT, b"in two halves")
    with Raw(server).open(then=whole[:9]) as client:
        client.send(whole[9:])
        assert client.frame() == (TEXT, b"in two halves")


def test_garbage_in_the_handshakes_segment_closes_with_1002(server: MockServer) -> None:
    with Raw(server).open(then=frame(TEXT, b"bare", masked=False)) as client:
        assert client.closed()[0] == 1002


# Vanishing


@pytest.mark.parametrize("vanish", [Raw.reset, lambda raw: raw.socket.close()], ids=["RST", "FIN"])
@pytest.mark.parametrize("sent", [b"", request()[:20], request()[:-1]], ids=["nothing", "a line", "almost all"])
def test_a_client_may_vanish_in_its_handshake(server: MockServer, sent: bytes, vanish: Callable[[Raw], None]) -> None:
    client = Raw(server)
    client.send(sent)
    eventually(lambda: server.listener.sockets)
    vanish(client)
    eventually(lambda: not server.listener.sockets)
    assert len(refusals(server)) == 1
    assert "ended" in refusals(server)[0] or "closed" in refusals(server)[0]
    assert still_echoes(server)


@pytest.mark.parametrize("vanish", [Raw.reset, lambda raw: raw.socket.close()], ids=["RST", "FIN"])
@pytest.mark.parametrize(
    "sent",
    [b"", frame(TEXT, b"x" * 100)[:50], frame(TEXT, b"x", fin=False), frame(BINARY, b"x" * 500)[:3]],
    ids=["between frames", "in a frame", "between fragments", "in a header"],
)
def test_a_client_that_vanishes_leaves_an_abort_row_and_code_1006(
    server: MockServer, sent: bytes, vanish: Callable[[Raw], None]
) -> None:
    client = Raw(server).open(then=frame(TEXT, b"hi"))
    assert client.frame() == (TEXT, b"hi")
    client.send(sent)
    vanish(client)
    ended(server)
    assert rows(server)[-1] == ("in", "abort", 0)
    assert list(server.connections.df["close_code"]) == [1006]
    assert [kind for _, kind, _ in rows(server)].count("text") == 2
    assert still_echoes(server)


def test_what_was_asked_before_a_fin_is_answered(server: MockServer) -> None:
    with Raw(server).open() as client:
        client.send(frame(TEXT, b"last words"))
        client.finish()
        assert client.frame() == (TEXT, b"last words")
        assert client.rest() == b""
    ended(server)
    assert rows(server)[-1] == ("in", "abort", 0)


def test_a_port_scan_is_no_trouble(server: MockServer) -> None:
    for _ in range(100):
        socket.create_connection(("127.0.0.1", server.port)).close()
    eventually(lambda: len(refusals(server)) == 100)
    assert still_echoes(server)


# A client that does not read


def test_a_client_that_never_reads_takes_bounded_memory_and_gets_all_in_order_once_it_does(ws_mock: WsMock) -> None:
    count, text = 4000, "x" * 10_000
    server = ws_mock(Mock().replay([{"text": f"{n} {text}"} for n in range(count)], speed="max", then="close"))
    with Raw(server, receive_bytes=8192) as client:
        client.send(request())
        eventually(lambda: server.connections and not _moves(server))
        (wire,) = server.listener.connections
        assert wire.transport.get_write_buffer_size() < 2**20
        sent = len(server.traffic)
        assert sent < count
        with server.client() as other:  # others are served meanwhile
            assert str(other.recv()).startswith("0 x")
        time.sleep(1.2)
        assert wire.open
        client.head()
        for number in range(count):
            assert client.frame()[1].startswith(b"%d x" % number)
        assert client.closed() == (1000, "")


def _moves(server: MockServer) -> bool:
    before = len(server.traffic)
    time.sleep(0.1)
    return len(server.traffic) != before


def test_an_echo_is_not_read_faster_than_it_is_taken(ws_mock: WsMock) -> None:
    server = ws_mock(Mock().echo())
    message = frame(BINARY, bytes(100_000))
    with Raw(server, receive_bytes=8192).open() as client:
        client.socket.settimeout(0.5)
        sent = 0
        with suppress(TimeoutError):
            while True:
                sent += client.socket.send(message[sent % len(message) :])
        (wire,) = server.listener.connections
        assert wire.transport.get_write_buffer_size() < 2**20
        assert still_echoes(server)
        whole = sent // len(message)
        client.socket.settimeout(20)
        for _ in range(whole):
            assert client.frame() == (BINARY, bytes(100_000))


def test_a_client_that_neither_reads_nor_closes_is_given_up_by_stop(ws_mock: WsMock) -> None:
    server = ws_mock(Mock().replay(["x" * 100_000] * 1000, speed="max"))
    with Raw(server, receive_bytes=8192) as client:
        client.send(request())
        eventually(lambda: len(server.connections) == 1)
        server.stop()
        assert list(server.connections.df["close_code"]) == [1006]
        assert rows(server)[-2:] == [("out", "close", 1001), ("out", "abort", 0)]


# Any bytes at all


def _bytes_of_frames() -> st.SearchStrategy[bytes]:
    payload = st.one_of(st.binary(max_size=130), st.text(max_size=40).map(str.encode))
    opcode = st.one_of(st.sampled_from([CONT, TEXT, BINARY, CLOSE, PING, PONG]), st.integers(0, 15))
    often = st.sampled_from([True] * 7 + [False])
    one = st.builds(
        lambda o, p, fin, masked, rsv: frame(o, p, fin=fin, masked=masked, rsv=rsv),
        opcode, payload, often, often, st.sampled_from([0] * 12 + [1, 2, 4]),
    )  # fmt: skip
    return st.lists(st.one_of(one, one, one, st.binary(max_size=20)), max_size=8).map(b"".join)


@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(stream=_bytes_of_frames(), cuts=st.lists(st.integers(0, 500), max_size=4), reset=st.booleans())
def test_no_bytes_after_a_handshake_harm_the_server(
    server: MockServer, stream: bytes, cuts: list[int], reset: bool
) -> None:
    before = len(server.connections)
    with Raw(server) as client:
        places = sorted({min(cut, len(stream)) for cut in cuts} | {0, len(stream)})
        try:
            client.send(request())
            for start, end in pairwise(places):
                client.send(stream[start:end])
            if reset:
                client.reset()
            else:
                client.finish()
                client.gone()
        except ConnectionError:
            pass  # it has hung up already, as it may
    ended(server, before + 1)
    assert still_echoes(server)
    ended(server, before + 2)
    last = rows(server, before + 1)[-1]
    assert last[1] in ("abort", "close")
