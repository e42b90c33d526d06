"""A client that can do what a proper one never would, and what the socket tests share."""

from __future__ import annotations

import contextlib
import socket
import struct
import time
from collections.abc import Callable
from types import TracebackType
from typing import Self

import pandas as pd

from mockforge_nb import MockServer

CONT, TEXT, BINARY, CLOSE, PING, PONG = 0, 1, 2, 8, 9, 10
PATIENCE = 20
"""Seconds that a busy machine may take for anything."""

MASK = b"\x37\xfa\x21\x3d"


def request(path: str = "/ws", *headers: str, method: str = "GET", version: str = "HTTP/1.1") -> bytes:
    """Return a valid opening handshake, but for what is given."""
    lines = [
        f"{method} {path} {version}",
        "Host: localhost",
        "Upgrade: websocket",
        "Connection: Upgrade",
        "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",
        "Sec-WebSocket-Version: 13",
        *headers,
    ]
    return "\r\n".join([*lines, "", ""]).encode()


def frame(opcode: int, payload: bytes = b"", *, fin: bool = True, rsv: int = 0, masked: bool = True) -> bytes:
    """Return one frame as a client sends it."""
    size = len(payload)
    head = bytes(((0x80 if fin else 0) | rsv << 4 | opcode,))
    bit = 0x80 if masked else 0
    if size < 126:
        head += bytes((bit | size,))
    elif size < 65_536:
        head += bytes((bit | 126,)) + size.to_bytes(2, "big")
    else:
        head += bytes((bit | 127,)) + size.to_bytes(8, "big")
    if not masked:
        return head + payload
    key = (MASK * (size // 4 + 1))[:size]
    return head + MASK + (int.from_bytes(payload, "big") ^ int.from_bytes(key, "big")).to_bytes(size, "big")


def close_frame(code: int, reason: bytes = b"") -> bytes:
    """Return a client's close frame."""
    return frame(CLOSE, code.to_bytes(2, "big") + reason)


class Raw:
    """A TCP connection to a server, or to a port; every read gives up after `PATIENCE`."""

    def __init__(self, server: MockServer | int, *, receive_bytes: int | None = None) -> None:
        self.socket = socket.socket()
        if receive_bytes is not None:
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_bytes)
        self.socket.settimeout(PATIENCE)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.socket.connect(("127.0.0.1", server if isinstance(server, int) else server.port))
        self._buffer = bytearray()

    def open(self, path: str = "/ws", then: bytes = b"") -> Self:
        """Do the handshake, and send `then` in the same segment."""
        self.send(request(path) + then)
        assert self.head().startswith(b"HTTP/1.1 101 ")
        return self

    def send(self, data: bytes) -> None:
        self.socket.sendall(data)

    def head(self) -> bytes:
        """Return the response's status line and headers."""
        while (end := self._buffer.find(b"\r\n\r\n")) < 0:
            assert self._more(), bytes(self._buffer)
        return self._take(end + 4)

    def frame(self) -> tuple[int, bytes]:
        """Return the next frame's opcode and payload."""
        self._until(2)
        first, size = self._buffer[:2]
        assert first & 0x80, "a server's message comes in one frame"
        assert size < 128, "a server's frames are not masked"
        start = 2
        if size > 125:
            start = 4 if size == 126 else 10
            self._until(start)
            size = int.from_bytes(self._buffer[2:start], "big")
        self._until(start + size)
        return first & 15, self._take(start + size)[start:]

    def closed(self) -> tuple[int, str]:
        """Return the code and reason of the close frame, which is the next frame and the last."""
        opcode, payload = self.frame()
        assert opcode == CLOSE, (opcode, payload[:100])
        assert self.rest() == b""
        return (int.from_bytes(payload[:2], "big") if payload else 1005), payload[2:].decode()

    def rest(self) -> bytes:
        """Return all that comes until the server ends the connection."""
        while self._more():
            pass
        return self._take(len(self._buffer))

    def gone(self) -> bool:
        """Wait until the server has ended the connection, however it did."""
        with contextlib.suppress(ConnectionError):
            self.rest()
        return True

    def reset(self) -> None:
        """End the connection with a RST."""
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.socket.close()

    def finish(self) -> None:
        """Send a FIN; reading goes on."""
        self.socket.shutdown(socket.SHUT_WR)

    def _more(self) -> bool:
        data = self.socket.recv(1 << 18)
        self._buffer += data
        return bool(data)

    def _until(self, size: int) -> None:
        while len(self._buffer) < size:
            assert self._more(), f"the connection ended after {bytes(self._buffer)!r}"

    def _take(self, size: int) -> bytes:
        taken = bytes(self._buffer[:size])
        del self._buffer[:size]
        return taken

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.socket.close()


def still_echoes(server: MockServer) -> bool:
    """Return whether another client is served, and the server knows of nothing wrong."""
    with Raw(server).open() as other:
        other.send(frame(TEXT, b"still there?"))
        assert other.frame() == (TEXT, b"still there?")
        other.send(close_frame(1000))
        assert other.closed() == (1000, "")
    server.check()
    return True


def eventually(what: Callable[[], object]) -> None:
    """Wait until `what` is true."""
    end = time.monotonic() + PATIENCE
    while not what():
        assert time.monotonic() < end, f"never came true: {what()!r}"
        time.sleep(0.005)


def ended(server: MockServer, number: int = 1) -> None:
    """Wait until a connection is over, in the server's own view."""
    eventually(lambda: server.connections.df["close_code"].notna().sum() >= number)


def rows(server: MockServer, connection: int = 1, *columns: str) -> list[tuple[object, ...]]:
    """Return a connection's rows; without columns: direction, opcode and close code, 0 for none."""
    frame_of = server.traffic.select(connection=connection).df
    wanted = columns or ("direction", "opcode", "close_code")
    shown: pd.DataFrame = frame_of[list(wanted)].astype(object)
    shown = shown.where(shown.notna(), 0)
    return [tuple(row) for row in shown.itertuples(index=False)]


def refusals(server: MockServer) -> list[str]:
    """Return the traffic's lines on refused handshakes."""
    found = server.traffic.select(connection=0).df
    assert set(found["opcode"]) <= {"handshake"}
    return [str(text) for text in found["text"]]
