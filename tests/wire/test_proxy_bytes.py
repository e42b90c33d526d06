"""Whatever bytes an upstream or a client sends, cut anywhere: the other side gets what it would have got directly."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from itertools import pairwise

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from websockets.frames import Opcode
from websockets.protocol import CLIENT, OPEN, SERVER, Protocol, Side
from websockets.utils import accept_key

from mockforge_nb import Mock, MockServer, stop_all
from mockforge_nb.wire.request import SILENT

from .raw import BINARY, CLOSE, CONT, PING, PONG, TEXT, Raw, close_frame, frame, request

Said = list[tuple[int, bytes]]
MOST = 2000


class Real:
    """A server that does the handshake, sends what it is given in pieces, and keeps what comes."""

    def __init__(self) -> None:
        self.listening = socket.create_server(("127.0.0.1", 0))
        self.port = self.listening.getsockname()[1]
        self.pieces: list[bytes] = []
        self.speaks = False
        self.came = b""
        self.over = threading.Event()
        threading.Thread(target=self._serve, daemon=True).start()

    def _serve(self) -> None:
        while True:
            try:
                one, _ = self.listening.accept()
            except OSError:
                return
            with one:
                one.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                asked = b""
                while b"\r\n\r\n" not in asked:
                    asked += one.recv(65_536)
                head, _, self.came = asked.partition(b"\r\n\r\n")
                key = next(
                    line.split(b": ")[1] for line in head.split(b"\r\n") if line.startswith(b"Sec-WebSocket-Key")
                )
                answer = (
                    "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
                    f"Sec-WebSocket-Accept: {accept_key(key.decode())}\r\n\r\n"
                )
                one.sendall(answer.encode() + (self.pieces[0] if self.pieces else b""))
                try:
                    for piece in self.pieces[1:]:
                        one.sendall(piece)
                    if self.speaks:
                        one.shutdown(socket.SHUT_WR)
                    while data := one.recv(65_536):
                        self.came += data
                        if any(kind == CLOSE for kind, _ in read(self.came, SERVER)[0]):
                            break
                except OSError:
                    pass
            self.over.set()


@pytest.fixture(scope="module")
def real() -> Iterator[Real]:
    real = Real()
    yield real
    real.listening.close()


@pytest.fixture(scope="module")
def server(real: Real) -> Iterator[MockServer]:
    with (
        Mock().proxy(f"ws://127.0.0.1:{real.port}").limits(message_bytes=MOST, log_bytes=2**20).serve(port=0) as server
    ):
        yield server
    stop_all()


def read(data: bytes, side: Side) -> tuple[Said, bool]:
    """Return the messages, pings and pongs that an end of a connection reads, and whether all of it was in order."""
    protocol = Protocol(side, state=OPEN, max_size=MOST, logger=SILENT)
    found: Said = []
    joined, kind = b"", Opcode.TEXT
    protocol.receive_data(data)
    for one in protocol.events_received():
        if one.opcode in (Opcode.TEXT, Opcode.BINARY, Opcode.CONT):  # type: ignore[union-attr]  # a frame
            if one.opcode is not Opcode.CONT:  # type: ignore[union-attr]
                joined, kind = b"", one.opcode  # type: ignore[union-attr]
            joined += one.data  # type: ignore[union-attr]
            if one.fin:  # type: ignore[union-attr]
                found.append((kind.value, joined))
        else:
            found.append((one.opcode.value, bytes(one.data)))  # type: ignore[union-attr]
    return found, protocol.parser_exc is None


def pieces(masked: bool) -> st.SearchStrategy[list[bytes]]:
    texts = st.text(max_size=40).map(str.encode) | st.sampled_from([b"x" * n for n in (125, 126, 1100, MOST)])
    one = st.one_of(
        texts.map(lambda text: frame(TEXT, text, masked=masked)),
        texts.map(lambda text: frame(TEXT, text, masked=masked)),
        st.binary(max_size=200).map(lambda data: frame(BINARY, data, masked=masked)),
        st.binary(max_size=50).map(lambda data: frame(PING, data, masked=masked)),
        st.binary(max_size=50).map(lambda data: frame(PONG, data, masked=masked)),
        texts.map(
            lambda text: (
                frame(BINARY, text[:3], fin=False, masked=masked)
                + frame(PING, b"between", masked=masked)
                + frame(CONT, text[3:], masked=masked)
            )
        ),
        st.sampled_from([b"\x83\x00", b"\x82\xff\x00", frame(BINARY, b"x" * (MOST + 1), masked=masked)]),
        st.binary(max_size=12),
        st.sampled_from([(1000, b"bye"), (4000, b"")]).map(
            lambda end: frame(CLOSE, end[0].to_bytes(2, "big") + end[1], masked=masked)
        ),
    )
    whole = st.lists(one, min_size=1, max_size=8).map(b"".join)
    return st.tuples(whole, st.lists(st.integers(0, 10_000), max_size=4)).map(lambda each: cut(*each))


def cut(stream: bytes, places: list[int]) -> list[bytes]:
    at = sorted({place % (len(stream) + 1) for place in places} | {0, len(stream)})
    return [stream[a:b] for a, b in pairwise(at)]


def is_text(one: tuple[int, bytes]) -> bool:
    try:
        return one[0] != TEXT or bool(one[1].decode() or True)
    except UnicodeDecodeError:
        return False


def before_bad_text(said: Said) -> tuple[Said, bool]:
    """Return what comes before a text that is not UTF-8, which ends a connection (RFC 6455 §8.1)."""
    bad = next((index for index, one in enumerate(said) if not is_text(one)), None)
    return (said, True) if bad is None else (said[:bad], False)


slow = settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


@slow
@given(pieces(masked=False))
def test_what_an_upstream_sends(real: Real, server: MockServer, stream: list[bytes]) -> None:
    real.pieces, real.speaks = stream, True
    directly, fine = read(b"".join(stream), CLIENT)
    expected, good = before_bad_text(directly)
    said = [one for one in expected if one[0] != CLOSE]
    ends = [one for one in expected if one[0] == CLOSE]
    got: Said = []
    with Raw(server).open() as client:
        try:
            while True:
                got.append(client.frame())
                if got[-1][0] == CLOSE:
                    client.send(frame(CLOSE, got[-1][1]))
        except (AssertionError, ConnectionError):
            pass
    assert [one for one in got if one[0] != CLOSE] == said
    if ends:
        assert got[-1] == ends[0]
    elif not (fine and good):
        assert (got[-1][0], got[-1][1][:2]) == (CLOSE, (1014).to_bytes(2, "big"))
    assert server.errors == []


@slow
@given(pieces(masked=True))
def test_what_a_client_sends(real: Real, server: MockServer, stream: list[bytes]) -> None:
    real.pieces, real.speaks = [], False
    real.over.clear()
    whole = b"".join(stream)
    read_directly, fine = read(whole, SERVER)
    expected, good = before_bad_text(read_directly)
    with Raw(server) as client:
        client.send(request())
        assert client.head().startswith(b"HTTP/1.1 101 ")
        try:
            for piece in stream:
                client.send(piece)
            if fine and good and not any(kind == CLOSE for kind, _ in expected):
                # Behind it, so that what is not whole is told apart from what is lost.
                client.send(close_frame(1000))
            client.finish()
            client.rest()
        except OSError:  # it is closed already
            pass
    assert real.over.wait(20)
    came, _ = read(real.came, SERVER)
    want = [one for one in expected if one[0] != CLOSE]
    assert [one for one in came if one[0] != CLOSE][: len(want)] == want
    assert server.errors == []
