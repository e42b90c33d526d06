"""A WebSocket of an ASGI server as the transport of a `Door` and its `Connection`, which take it for a client's TCP.

The server's half of the protocol is the ASGI server's own: it makes the handshake, frames, pings and the closing
handshake. So this plays the client: it asks to be let in as the scope says, puts messages into frames and takes them
out again, and confirms a close frame once the server has taken it. Sessions, deadlines, log and relays see no
difference.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from websockets.exceptions import ProtocolError as FrameError
from websockets.frames import Close

from mockforge_nb.core.events import Failed
from mockforge_nb.core.message import CLOSE, PING, PONG, TEXT
from mockforge_nb.errors import ProtocolError

from .connection import Connection
from .door import Door
from .frames import FrameReader
from .request import END, Asked
from .scope import Event, Receive, Scope, Send, frame, heard

if TYPE_CHECKING:
    from .listener import Listener

HIGH_WATER = 65_536
LOW_WATER = 16_384
"""From how many bytes on that the server has not taken the session waits, and until how many; as asyncio's sockets."""

PER_TURN = 64
"""After how many messages others have their turn, though the server takes, or has, all of them."""

UNBOUNDED = 2**62
"""The largest message of ours: what a session says is bounded by what it is told to say."""

MOST_HELD = 2**20
"""How many bytes are taken from the server though the connection is paused: it says that a client left only behind
what the client said before."""
HELD_EACH = 64
"""For how many bytes a message counts there besides its own."""
HELD_SECONDS = 60.0
"""How long a client is waited for of which that much is held, and nothing is taken: its end could not be heard. uvicorn
gives up after 40 s, as it reads no pong either."""

RESPONSE = "websocket.http.response"
"""The extension by which a handshake is refused with any response; without it it is a 403."""

_OWN_HEADERS = frozenset({
    "upgrade", "connection", "date", "server", "content-length", "transfer-encoding", "sec-websocket-accept",
    "sec-websocket-extensions", "sec-websocket-protocol",
})  # fmt: skip
"""The headers of a response that are the server's to make."""


def _close_payload(code: object, reason: object) -> bytes | None:
    """Return what a close frame says; None: there was none (RFC 6455 §7.1.5)."""
    if code == 1005:
        return b""
    if not isinstance(code, int):
        return None
    try:
        close = Close(code, str(reason or ""))
        close.check()
        return close.serialize()
    except FrameError:
        return None


class AsgiTransport(asyncio.Transport):
    """Carries what a connection says to an ASGI server's `send`, and what its `receive` gives to the connection.

    Args:
        listener: Whose connection it is.
        scope: The server's description of the handshake.
        receive: Returns what comes next.
        send: Takes what is said.
    """

    def __init__(self, listener: Listener, scope: Scope, receive: Receive, send: Send) -> None:
        client = scope.get("client")
        super().__init__({} if client is None else {"peername": tuple(client)})
        self._listener, self._loop = listener, listener.loop
        self._receive, self._send = receive, send
        self._responds = RESPONSE in (scope.get("extensions") or {})
        self._protocol: Any = Door(listener)  # as asyncio's own: it is told by names that base protocols lack
        self._answer = b""  # to the handshake, as far as it was written
        self._frames: FrameReader | None = None  # reads what is said; None: the handshake is not accepted
        self._out: deque[tuple[Event, int]] = deque()
        self._size = 0
        self._work = asyncio.Event()
        self._reads = True
        self._held: deque[bytes] = deque()  # what came while the connection was paused
        self._held_size = 0
        self._room = asyncio.Event()  # whether more may be held
        self._room.set()
        self._paused = False  # whether the connection is to wait
        self._closed = False  # whether a close frame was said, after which nothing is
        self._confirms = b""  # what a client's says that answers it
        self._ending = False  # whether it ends once all was taken
        self._gone = False  # whether nobody takes anything any more
        self._closing = False
        self._over = asyncio.Event()
        self._error: BaseException | None = None

    async def run(self, asked: Asked) -> None:
        """Drive the connection to its end."""
        if (await self._receive())["type"] != "websocket.connect":
            return  # the client is gone already
        self._protocol.connection_made(self)
        self._protocol.asks(asked)
        tasks = [self._loop.create_task(each) for each in (self._reading(), self._writing())]
        for task in tasks:
            task.add_done_callback(self._done)
        try:
            await self._over.wait()
        finally:
            self._lost()  # also where the server cancels this
            if self._loop.is_running():  # else this is what is left of a loop that ended, and nothing can be awaited
                for task in tasks:
                    task.cancel()
                await asyncio.wait(tasks)
        if self._error is not None:
            raise self._error

    def _done(self, task: asyncio.Task[None]) -> None:
        """Take note of how one of them ended: what the server raises, it is told of."""
        if not task.cancelled():
            error = task.exception()
        elif self._over.is_set():
            return  # by us
        else:
            error = asyncio.CancelledError()
        if error is not None:
            if not isinstance(error, OSError):  # as servers say that the client is gone
                self._error = self._error or error
            self._lost()

    # From the server to the connection

    async def _reading(self) -> None:
        received = 0
        while not self._over.is_set():
            if not self._room.is_set():
                try:
                    await asyncio.wait_for(self._room.wait(), HELD_SECONDS)
                except TimeoutError:
                    self._left(1006, None)
                    return
            event = await self._receive()
            if isinstance(event, Mapping) and event.get("type") == "websocket.disconnect":
                self._left(event.get("code", 1005), event.get("reason"))
                return
            self._take(heard(event))
            received += 1
            if received % PER_TURN == 0:
                await asyncio.sleep(0)

    def _take(self, data: bytes) -> None:
        """Let the connection read a message, or hold it where it is paused."""
        if self._reads and not self._held:
            self._feed(data)
            return
        self._held.append(data)
        self._held_size += len(data) + HELD_EACH
        if self._held_size >= MOST_HELD:
            self._room.clear()

    def _give(self, *, all_of_it: bool = False) -> None:
        """Let the connection read what was held."""
        while self._held and (self._reads or all_of_it) and not self._over.is_set():
            data = self._held.popleft()
            self._held_size -= len(data) + HELD_EACH
            self._feed(data)
        if self._held_size < MOST_HELD:
            self._room.set()

    def _feed(self, data: bytes) -> None:
        """Let the connection read; one that is paused has taken the whole message already."""
        buffer = self._listener.buffer
        for at in range(0, len(data), len(buffer)):
            if self._closing:
                return
            piece = data[at : at + len(buffer)]
            buffer[: len(piece)] = piece
            self._protocol.buffer_updated(len(piece))

    def _left(self, code: object, reason: object) -> None:
        """Take note that the client is gone; a connection says by itself that it ends after a close frame."""
        if self._over.is_set() or self._ending:
            return
        self._give(all_of_it=True)  # it was said before
        self._gone = True
        self._out.clear()
        self._size = 0
        payload = _close_payload(code, reason)
        if payload is None or self._frames is None:
            self._lost()
        else:
            self._feed(frame(CLOSE, payload))

    # From the connection to the server

    def write(self, data: bytes | bytearray | memoryview) -> None:  # noqa: D102  # asyncio.WriteTransport's
        if self._closing or self._ending or self._gone or self._closed:
            return
        if self._frames is None:
            self._answer += data
            self._answered()
        else:
            self._say(bytes(data))
        self._work.set()
        if self._size > HIGH_WATER and not self._paused:
            self._paused = True
            self._protocol.pause_writing()

    def _answered(self) -> None:
        """Let the client in, if the answer is that; another one is told when it is whole."""
        first, end, rest = self._answer.partition(END)
        if not end or first.split(b" ", 2)[1] != b"101":
            return
        subprotocol, headers = None, []
        for line in first.split(b"\r\n")[1:]:
            name, _, value = line.partition(b":")
            name, value = name.strip().lower(), value.strip()
            if name == b"sec-websocket-protocol":
                subprotocol = value.decode("latin-1")
            elif name.decode("latin-1") not in _OWN_HEADERS:
                headers.append((name, value))
        self._put({"type": "websocket.accept", "subprotocol": subprotocol, "headers": headers}, 0)
        self._frames, self._answer = FrameReader(UNBOUNDED, masked=False), b""
        if rest:
            self._say(rest)

    def _say(self, data: bytes) -> None:
        """Put messages into the queue, out of the frames that they are in."""
        frames = self._frames
        assert frames is not None
        frames.feed(data)
        while not self._closed:
            for opcode, payloads in frames.ordinary():
                for payload in payloads:
                    self._message(opcode, payload)
            others = frames.other() if frames.more else None
            if others is None:
                return
            for one in others:
                if one.opcode.value == PING:  # the upstream's, of a proxy: whoever is asked answers
                    self._loop.call_soon(self._reply, PONG, bytes(one.data))
                elif one.opcode.value == CLOSE:
                    self._said_close(bytes(one.data))
                elif one.opcode.value != PONG:
                    self._message(one.opcode.value, bytes(one.data))
            protocol = frames.library()
            if protocol.close_sent is not None and protocol.close_rcvd is None:
                self._unsayable(protocol.close_sent.reason)
                return

    def _message(self, opcode: int, payload: bytes) -> None:
        body = {"text": payload.decode()} if opcode == TEXT else {"bytes": payload}
        self._put({"type": "websocket.send", **body}, len(payload) + 2)

    def _said_close(self, payload: bytes) -> None:
        self._closed, self._confirms = True, payload
        close = Close.parse(payload)
        code = 1000 if close.code == 1005 else int(close.code)  # ASGI has no close frame without a code
        self._put({"type": "websocket.close", "code": code, "reason": close.reason}, 2)

    def _unsayable(self, why: str) -> None:
        """Close with an error of the author's: there is something that ASGI has no word for."""
        connection = self._protocol
        assert isinstance(connection, Connection)
        problem = f"an ASGI application cannot send this ({why}); serve() can"
        self._listener.failed(Failed(ProtocolError(problem)), connection.record.number)
        self._frames = FrameReader(UNBOUNDED, masked=False)
        self._loop.call_soon(connection.shut, 1011, "the mock failed")

    def _put(self, event: Event, size: int) -> None:
        self._out.append((event, size))
        self._size += size

    def _reply(self, opcode: int, payload: bytes) -> None:
        """Let the connection read what a client answers by itself."""
        if not (self._gone or self._ending):
            self._feed(frame(opcode, payload))

    async def _writing(self) -> None:
        sent = 0
        while not self._over.is_set():
            if self._out:
                event, size = self._out.popleft()
                await self._send(event)
                self._taken(event, size)
                sent += 1
                if sent % PER_TURN == 0:
                    await asyncio.sleep(0)
            elif self._ending:
                self._end()
            else:
                self._work.clear()
                await self._work.wait()

    def _taken(self, event: Event, size: int) -> None:
        """Go on with what waited for the server to take something."""
        self._size -= size
        if event["type"] == "websocket.close" and self._closed:
            # Whether the client confirmed it is the server's to know, and nobody's to ask.
            self._reply(CLOSE, self._confirms)
        if self._paused and self._size <= LOW_WATER and not self._closing:
            self._paused = False
            self._protocol.resume_writing()

    # The end

    def can_write_eof(self) -> bool:  # noqa: D102  # asyncio.WriteTransport's
        return True

    def write_eof(self) -> None:  # noqa: D102
        if self._ending:
            return
        if self._frames is None and self._answer:
            self._refuse()
        self._ending = True
        if self._gone:
            self._loop.call_soon(self._end)
        self._work.set()

    def close(self) -> None:  # noqa: D102  # asyncio.BaseTransport's
        self.write_eof()
        self._closing = True

    def abort(self) -> None:  # noqa: D102  # asyncio.WriteTransport's
        self._closing = True
        self._out.clear()
        self._loop.call_soon(self._lost)

    def _refuse(self) -> None:
        """Tell the server with which response the handshake is refused."""
        first, _, body = self._answer.partition(END)
        lines = first.split(b"\r\n")
        if not self._responds:
            self._put({"type": "websocket.close", "code": 1000, "reason": ""}, 0)
            return
        pairs = [line.partition(b":") for line in lines[1:]]
        headers = [(name.strip().lower(), value.strip()) for name, _, value in pairs]
        headers = [(name, value) for name, value in headers if name.decode("latin-1") not in _OWN_HEADERS]
        headers.append((b"content-length", b"%d" % len(body)))
        self._put({"type": f"{RESPONSE}.start", "status": int(lines[0].split(b" ", 2)[1]), "headers": headers}, 0)
        self._put({"type": f"{RESPONSE}.body", "body": body}, 0)

    def _end(self) -> None:
        """Let the connection see the client's end, after all that was said."""
        if not self._closing:
            self._protocol.eof_received()
        self._lost()

    def _lost(self) -> None:
        if self._over.is_set():
            return
        self._closing = self._gone = True
        self._out.clear()
        self._held.clear()
        # Who swallows a cancellation finds that it is over.
        for tell in (self._over.set, self._work.set, self._room.set, lambda: self._protocol.connection_lost(None)):
            try:
                tell()
            except RuntimeError:
                if not self._loop.is_closed():
                    raise
                # Who waits on a loop that is closed cannot be woken.

    def forsake(self) -> None:
        """Take note that the loop ended without a word."""
        self._lost()

    # What a transport tells

    def is_closing(self) -> bool:  # noqa: D102  # asyncio.BaseTransport's
        return self._closing

    def set_protocol(self, protocol: asyncio.BaseProtocol) -> None:  # noqa: D102
        self._protocol = protocol

    def get_protocol(self) -> asyncio.BaseProtocol:  # noqa: D102
        protocol: asyncio.BaseProtocol = self._protocol
        return protocol

    def get_write_buffer_size(self) -> int:  # noqa: D102  # asyncio.WriteTransport's
        return self._size

    def pause_reading(self) -> None:  # noqa: D102  # asyncio.ReadTransport's
        self._reads = False

    def resume_reading(self) -> None:  # noqa: D102
        self._reads = True
        if self._held:
            self._loop.call_soon(self._give)  # not now: the connection is at work

    def is_reading(self) -> bool:  # noqa: D102
        return self._reads
