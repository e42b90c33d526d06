"""The load: raw sockets and frames that are built beforehand (RFC 6455 §5.2), checked as they come back.

It need not be fast: what counts is the CPU of the server, which is pinned elsewhere. It must be right: every byte
of an echo or a push is compared, and a template's messages are counted and read.
"""

from __future__ import annotations

import json
import selectors
import socket
import time
from collections.abc import Callable

MASK = b"\x37\xfa\x21\x3d"
REQUEST = (
    b"GET /ws HTTP/1.1\r\nHost: 127.0.0.1\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n"
)
ACCEPT = b"s3pPLMBiTxaQ9kYGzzhZRbK+xOo="  # RFC 6455 §1.3
PATIENCE = 30.0
READ_BYTES = 2**18


class LoadError(Exception):
    """A server answered what it must not, or nothing."""


def text_frame(payload: bytes, mask: bytes = b"") -> bytes:
    """Return a text frame: a client's with a mask, a server's without."""
    size, masked = len(payload), 0x80 if mask else 0
    if size < 126:
        head = bytes((0x81, masked | size))
    elif size < 2**16:
        head = bytes((0x81, masked | 126)) + size.to_bytes(2, "big")
    else:
        head = bytes((0x81, masked | 127)) + size.to_bytes(8, "big")
    if mask:
        payload = bytes(byte ^ mask[index % 4] for index, byte in enumerate(payload))
    return head + mask + payload


def connect(port: int) -> socket.socket:
    """Return a socket whose handshake is done; the server says nothing by itself."""
    one, rest = join(port)
    if rest:
        raise LoadError(f"{rest[:40]!r} came, and nothing was asked for")
    return one


def join(port: int) -> tuple[socket.socket, bytes]:
    """Return a socket whose handshake is done, and what came behind it."""
    one = socket.create_connection(("127.0.0.1", port), PATIENCE)
    one.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    one.sendall(REQUEST)
    answer = b""
    while b"\r\n\r\n" not in answer:
        data = one.recv(4096)
        if not data:
            raise LoadError(f"the handshake was ended after {answer!r}")
        answer += data
    head, _, rest = answer.partition(b"\r\n\r\n")
    if b" 101 " not in head or ACCEPT not in head:
        raise LoadError(f"the handshake was answered with {head[:200]!r}")
    return one, rest


def hang_up(one: socket.socket) -> None:
    """Close a connection as RFC 6455 §7 wants it, so that no server logs an error."""
    one.setblocking(True)
    one.settimeout(PATIENCE)
    try:
        one.sendall(b"\x88\x82" + MASK + bytes((0x03 ^ MASK[0], 0xE8 ^ MASK[1])))
        while one.recv(READ_BYTES):
            pass
    except ConnectionError:
        pass  # a reset ends it as well
    finally:
        one.close()


class Peer:
    """One connection of a load: what it has still to send, and how much came."""

    def __init__(self, port: int) -> None:
        self.socket = connect(port)
        self.socket.setblocking(False)
        self.unsent = memoryview(b"")
        self.came = 0

    def send(self, data: bytes) -> bool:
        """Send what the socket takes; return whether that was all."""
        self.unsent = memoryview(bytes(self.unsent) + data) if self.unsent else memoryview(data)
        try:
            while self.unsent:
                self.unsent = self.unsent[self.socket.send(self.unsent) :]
        except BlockingIOError:
            return False
        return True


def _drive(
    peers: list[Peer], first: bytes, came: Callable[[Peer, memoryview], bytes], done: Callable[[], bool]
) -> None:
    """Send `first` on each connection, then for whatever comes what `came` answers, until it is `done`."""
    buffer = bytearray(READ_BYTES)
    view = memoryview(buffer)
    with selectors.DefaultSelector() as selector:

        def say(peer: Peer, data: bytes) -> None:
            events = selectors.EVENT_READ if peer.send(data) else selectors.EVENT_READ | selectors.EVENT_WRITE
            if selector.get_key(peer.socket).events != events:
                selector.modify(peer.socket, events, peer)

        for peer in peers:
            selector.register(peer.socket, selectors.EVENT_READ, peer)
        for peer in peers:
            say(peer, first)
        while not done():
            ready = selector.select(PATIENCE)
            if not ready:
                raise LoadError(f"nothing came for {PATIENCE:g} s")
            for key, events in ready:
                peer, answer = key.data, b""
                if events & selectors.EVENT_READ:
                    size = peer.socket.recv_into(buffer)
                    if not size:
                        raise LoadError("the server ended the connection")
                    answer = came(peer, view[:size])
                if answer or events & selectors.EVENT_WRITE:
                    say(peer, answer)


class _Same:
    """Compares what comes with one frame again and again."""

    def __init__(self, frame: bytes) -> None:
        self.size = len(frame)
        self._expected = memoryview(frame * (READ_BYTES // len(frame) + 2))

    def check(self, peer: Peer, data: memoryview) -> int:
        """Return how many frames `data` completes."""
        offset = peer.came % self.size
        if data != self._expected[offset : offset + len(data)]:
            raise LoadError(f"after {peer.came} bytes came {bytes(data[:40])!r}…, which was not expected")
        peer.came += len(data)
        return (offset + len(data)) // self.size


def echo(peers: list[Peer], payload: bytes, depth: int, seconds: float) -> int:
    """Keep `depth` messages in flight on each connection for a while; return how many came back."""
    ask, same = text_frame(payload, MASK), _Same(text_frame(payload))
    until = time.monotonic() + seconds
    sent, back = depth * len(peers), 0

    def came(peer: Peer, data: memoryview) -> bytes:
        nonlocal sent, back
        count = same.check(peer, data)
        back += count
        if not count or time.monotonic() > until:
            return b""
        sent += count
        return ask * count

    _drive(peers, ask * depth, came, lambda: back == sent)
    return back


def round_trips(peer: Peer, payload: bytes, seconds: float) -> list[float]:
    """Send one message at a time for a while; return how long each took, in s."""
    ask, answer = text_frame(payload, MASK), text_frame(payload)
    one = peer.socket
    one.setblocking(True)
    one.settimeout(PATIENCE)
    until, now, times = time.perf_counter() + seconds, 0.0, []
    while now < until:
        began = time.perf_counter()
        one.sendall(ask)
        data = one.recv(READ_BYTES)
        while len(data) < len(answer) and (more := one.recv(READ_BYTES)):
            data += more
        now = time.perf_counter()
        times.append(now - began)
        if data != answer:
            raise LoadError(f"{data[:40]!r}… came, which was not expected")
    return times


def push(peers: list[Peer], payload: bytes, each: int) -> int:
    """Ask for `each` messages on each connection, read them, and return how many came."""
    same, back = _Same(text_frame(payload)), 0

    def came(peer: Peer, data: memoryview) -> bytes:
        nonlocal back
        back += same.check(peer, data)
        return b""

    _drive(peers, text_frame(str(each).encode(), MASK), came, lambda: back >= each * len(peers))
    _all_of(back, each * len(peers))
    return back


def push_rendered(peer: Peer, each: int) -> int:
    """Ask for `each` messages of JSON, none like another; read them, and return how many came."""
    stream, back, at = bytearray(), 0, 0

    def came(peer: Peer, data: memoryview) -> bytes:
        nonlocal back, at
        stream.extend(data)
        while len(stream) > at + 1 and len(stream) >= (end := at + 2 + stream[at + 1]):
            if stream[at] != 0x81 or stream[at + 1] > 125:
                raise LoadError(f"{bytes(stream[at : at + 40])!r}… came, which is no short text")
            at, back = end, back + 1
        return b""

    _drive([peer], text_frame(str(each).encode(), MASK), came, lambda: back >= each)
    _all_of(back, each)
    messages, at = set(), 0
    while at < len(stream):
        value = json.loads(stream[at + 2 : at + 2 + stream[at + 1]])
        if value.keys() != {"id", "n", "at"} or not 10 <= value["n"] <= 99:
            raise LoadError(f"{value!r} came, which was not expected")
        messages.add(value["id"])
        at += 2 + stream[at + 1]
    _all_of(len(messages), each)
    return back


def read_rows(port: int) -> int:
    """Connect, read messages until the server closes, and return how many came; each is a short text."""
    one, rest = join(port)
    stream, back, at = bytearray(rest), 0, 0
    while data := one.recv(READ_BYTES):
        stream += data
        if stream[-4:-2] == b"\x88\x02":  # the close frame, with its code
            break
    one.close()
    while stream[at] == 0x81:
        at, back = at + 2 + stream[at + 1], back + 1
    if stream[at] != 0x88:
        raise LoadError(f"{bytes(stream[at : at + 40])!r}… came, which is no short text")
    return back


def _all_of(back: int, wanted: int) -> None:
    if back != wanted:
        raise LoadError(f"{back} messages came, not {wanted}")
