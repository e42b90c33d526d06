"""Whatever comes, cut anywhere: the fast path answers and logs what the plain one does.

The fast path reads ordinary frames here; the plain one leaves every frame to `websockets`, one at a time. Both run
in a real server, over a transport that keeps what is written.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mockforge_nb import Mock, MockServer, stop_all
from mockforge_nb.wire.connection import Connection
from mockforge_nb.wire.door import Door
from mockforge_nb.wire.frames import FrameReader

from .raw import BINARY, CLOSE, CONT, PING, PONG, TEXT, close_frame, frame, request

MOST = 2000


class Kept(asyncio.Transport):
    """A transport without a socket: it keeps what is written, and closes once told."""

    def __init__(self) -> None:
        super().__init__({"peername": ("127.0.0.1", 1)})
        self.written = b""
        self.ended = False
        self.protocol: asyncio.BaseProtocol | None = None

    def set_protocol(self, protocol: asyncio.BaseProtocol) -> None:
        self.protocol = protocol

    def write(self, data: Any) -> None:
        self.written += bytes(data)

    def is_closing(self) -> bool:
        return self.ended

    def can_write_eof(self) -> bool:
        return True

    def write_eof(self) -> None:
        self.ended = True

    def close(self) -> None:
        self.ended = True

    abort = close

    def pause_reading(self) -> None: ...

    def resume_reading(self) -> None: ...

    def get_write_buffer_size(self) -> int:
        return 0


class Plain(FrameReader):
    """Reads nothing itself."""

    __slots__ = ()

    def ordinary(self, data: Any = b"") -> list[Any]:
        self._keep()
        return []


@pytest.fixture(scope="module")
def server() -> Iterator[MockServer]:
    # As small as the log's bound may be, so that its chunks are sealed on the way.
    with Mock().limits(message_bytes=MOST, log_bytes=2**20).serve(port=0) as server:
        yield server
    stop_all()


def played(server: MockServer, reader: type[FrameReader], pieces: list[bytes]) -> tuple[bytes, list[Any], list[Any]]:
    """Return what a connection is sent, and its log: what came and what left, each in its order."""

    def play() -> tuple[bytes, int]:
        door, transport = Door(server.listener), Kept()
        door.connection_made(transport)
        give(door, request())
        connection = transport.protocol
        assert isinstance(connection, Connection)
        connection.frames = reader(MOST)
        head = len(transport.written)
        for piece in pieces:
            give(connection, piece)
        if not transport.ended:
            connection.eof_received()
        connection.connection_lost(None)
        return transport.written[head:], connection.record.number

    written, number = server.call(play)
    rows = server.connections[-1].traffic.df
    assert set(rows["connection"]) == {number}
    columns = ["direction", "opcode", "text", "data", "size", "close_code", "close_reason"]
    rows = rows[columns].astype(object).where(rows[columns].notna(), None)
    came, left = (rows[rows["direction"] == way].values.tolist() for way in ("in", "out"))
    return written, came, left


def give(connection: asyncio.BufferedProtocol, data: bytes) -> None:
    """Let the transport have read `data`."""
    buffer = memoryview(connection.get_buffer(len(data)))
    buffer[: len(data)] = data
    connection.buffer_updated(len(data))


TEXTS = st.text(max_size=40).map(str.encode) | st.sampled_from([b"x" * size for size in (125, 126, 127, 1100, MOST)])
PIECES = st.one_of(
    TEXTS.map(lambda text: frame(TEXT, text)),
    TEXTS.map(lambda text: frame(TEXT, text)),
    st.binary(max_size=200).map(lambda data: frame(BINARY, data)),
    st.binary(max_size=20).map(lambda data: frame(TEXT, data)),
    TEXTS.map(lambda text: frame(TEXT, text[:3], fin=False) + frame(CONT, text[3:6], fin=False) + frame(CONT)),
    st.builds(
        frame,
        st.sampled_from([CONT, TEXT, BINARY, CLOSE, PING, PONG, 3, 11]),
        st.binary(max_size=130),
        fin=st.booleans(),
        rsv=st.sampled_from([0, 0, 0, 4, 1]),
        masked=st.sampled_from([True, True, True, False]),
    ),
    st.sampled_from([close_frame(1000, b"bye"), frame(CLOSE), frame(BINARY, b"x" * (MOST + 1)), b"\x82\xff\x00"]),
    st.binary(max_size=20),
)


@settings(max_examples=400, deadline=None)
@given(st.lists(PIECES, max_size=12), st.data())
def test_the_fast_path_answers_and_logs_what_the_plain_path_does(
    server: MockServer, pieces: list[bytes], data: st.DataObject
) -> None:
    stream = b"".join(pieces)

    def cut() -> list[bytes]:
        places = sorted(data.draw(st.lists(st.integers(0, len(stream)), max_size=8)))
        return [stream[a:b] for a, b in zip([0, *places], [*places, len(stream)], strict=True) if a < b]

    plain = played(server, Plain, cut())
    assert played(server, FrameReader, cut()) == plain
    assert played(server, FrameReader, [stream] if stream else []) == plain


def test_every_cut_of_a_long_stream_is_the_same(server: MockServer) -> None:
    stream = b"".join(
        [
            frame(TEXT, b"one"),
            frame(BINARY, b"\x00" * 130),
            frame(PING, b"p"),
            frame(TEXT, "zwölf".encode(), fin=False),
            frame(PONG),
            frame(CONT, b"!"),
            frame(TEXT, b"x" * 1500),
            frame(TEXT, b"last"),
            close_frame(4000, b"enough"),
            frame(TEXT, b"after the end"),
        ]
    )
    plain = played(server, Plain, [stream])
    assert b"last" in plain[0]
    for place in range(1, len(stream), 7):
        assert played(server, FrameReader, [stream[:place], stream[place:]]) == plain
    assert played(server, FrameReader, [stream[i : i + 1] for i in range(len(stream))]) == plain
