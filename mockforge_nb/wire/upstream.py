"""The upstream of a relayed connection: the client's side of RFC 6455, whose frames pass through as they come."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import TYPE_CHECKING, cast

from websockets.client import ClientProtocol
from websockets.exceptions import InvalidMessage
from websockets.frames import Close, Frame, Opcode
from websockets.http11 import Response
from websockets.protocol import OPEN

from mockforge_nb.core.events import Runs
from mockforge_nb.core.message import CLOSE, PING, PONG

from .deadline import Deadline
from .frames import FrameReader
from .request import END
from .sockets import give_back

if TYPE_CHECKING:
    from mockforge_nb.core.watch import Dialing

    from .listener import Listener
    from .relay import Bridge

SWITCHED = b"HTTP/1.1 101"
CLOSE_SECONDS = 10.0
"""How long an upstream may say nothing when it is to answer a close frame."""

MOST_HEAD = 65_536
"""How long a response to a handshake may be, without its body."""

BAD_GATEWAY = 1014
"""The close code for an upstream that cannot be had, from IANA's registry of RFC 6455 §11.7."""


HOP_BY_HOP = frozenset(
    {
        "connection", "content-length", "host", "keep-alive", "proxy-authenticate", "proxy-authorization",
        "proxy-connection", "te", "trailer", "transfer-encoding", "upgrade",
    }
)  # fmt: skip
"""Headers that are between two neighbours alone (RFC 9110 §7.6.1); those of RFC 6455 §11.3 are, too."""


def passed_on(headers: Sequence[tuple[str, str]]) -> list[tuple[str, str]]:
    """Return the headers that are for the one behind the neighbour, too."""
    named = {name.strip().lower() for key, value in headers if key.lower() == "connection" for name in value.split(",")}
    return [
        (name, value)
        for name, value in headers
        if name.lower() not in HOP_BY_HOP | named and not name.lower().startswith("sec-websocket-")
    ]


class Upstream(asyncio.BufferedProtocol):
    """A connection to a real server.

    Attributes:
        url: Where it is.
        answered: Done once its handshake is; its result is the response.
        response: The headers of its response that are for the client.
        headers: All headers of its response.
        subprotocol: The one that it selected.
        paused: Whether it does not take what it is sent.
        deflates: Whether messages are compressed (RFC 7692).
        dialing: Who traces it; None: nobody does.
    """

    def __init__(self, listener: Listener, url: str, protocol: ClientProtocol, request: bytes, most: int) -> None:
        self.url = url
        self.answered: asyncio.Future[Response] = listener.loop.create_future()
        self.response: list[tuple[str, str]] = []
        self.headers: tuple[tuple[str, str], ...] = ()
        self.subprotocol: str | None = None
        self.paused = False
        self._listener = listener
        self._protocol = protocol
        self._request = request
        self._frames = FrameReader(most, protocol, masked=False)
        self._frames.relayed = True
        self._head: bytes | None = b""  # of the response, until it is whole
        self._refused = False  # whether that is no 101, so that a body may follow
        self._early = b""  # what came behind it
        self._peer: Bridge | None = None
        self._out: list[bytes] = []
        self.deflates = False
        self.dialing: Dialing | None = None
        self._told = self._lost = self._reads = self._closing = False
        self._transport: asyncio.Transport
        self._deadline: Deadline

    @property
    def open(self) -> bool:
        """Whether messages can be sent."""
        return not self._lost and self._protocol.state is OPEN

    def begin(self) -> None:
        """Count among the listener's connections: one whose dial is cancelled may never be told its end (uvloop)."""
        if not self._lost:
            self._listener.upstreams.add(self)

    # What the transport tells

    def connection_made(self, transport: asyncio.BaseTransport) -> None:  # noqa: D102  # asyncio.BaseProtocol's
        self._transport = cast(asyncio.Transport, transport)
        self._deadline = Deadline(self._listener.loop, self._transport)
        self._transport.write(self._request)

    def get_buffer(self, sizehint: int) -> memoryview:  # noqa: D102  # asyncio.BufferedProtocol's
        return self._listener.buffer

    def buffer_updated(self, nbytes: int) -> None:  # noqa: D102
        data: bytes | memoryview = self._listener.buffer[:nbytes]
        if self._head is not None:
            self._shake(bytes(data))
        elif self._peer is None or not self._reads:
            self._early += data
        elif not self._frames.ended:
            if self._closing:
                self._deadline.after(CLOSE_SECONDS, self.abort)
            frames, peer = self._frames, self._peer
            if nbytes <= 16_384:
                data = bytes(data)
            if peer.passing:
                runs = frames.ordinary(data)
                if runs:
                    peer.pass_back(runs, frames.taken)
                if not frames.more:
                    return
            else:
                frames.feed(data)
            self._read(peer)
            peer.flush()

    def _shake(self, data: bytes) -> None:
        """Read the response, and no byte behind it: that is for who reads frames."""
        head = (self._head or b"") + data
        protocol = self._protocol
        end = head.find(END) + len(END)
        if self._refused or not head.startswith(SWITCHED[: len(head)]):
            self._refused, self._head = True, b""
            protocol.receive_data(head)
        elif end < len(END):
            self._head = head
            if len(head) > MOST_HEAD:
                protocol.handshake_exc = InvalidMessage(f"its response has no end within {MOST_HEAD:,} bytes")
        else:
            self._head = None
            protocol.receive_data(head[:end])
            self._early = head[end:]
            self._transport.pause_reading()
        self._shaken()

    def _shaken(self) -> None:
        protocol = self._protocol
        for event in protocol.events_received():
            if isinstance(event, Response) and protocol.handshake_exc is None:
                self.headers = tuple(event.headers.raw_items())
                self.response = passed_on(self.headers)
                self.subprotocol = protocol.subprotocol
                self.deflates = bool(protocol.extensions)
                if self.subprotocol is not None:
                    self.response.append(("Sec-WebSocket-Protocol", self.subprotocol))
                if not self.answered.done():
                    self.answered.set_result(event)
        if protocol.handshake_exc is not None and not self.answered.done():
            self.answered.set_exception(protocol.handshake_exc)

    def eof_received(self) -> None:  # noqa: D102
        if self._peer is not None or self._head is None:
            return
        self._protocol.receive_eof()
        self._shaken()

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: D102
        self._lost = True
        if self.dialing is not None:
            self.dialing.ended()
        self._listener.upstreams.discard(self)
        self._listener.gone(self)
        self._deadline.cancel()
        if not self.answered.done():
            self.answered.set_exception(exc or ConnectionResetError("the connection ended before its handshake"))
        if self._peer is not None and self._reads:
            self._hung(self._peer, 1006, "")
            self._peer.flush()

    def pause_writing(self) -> None:  # noqa: D102
        self.paused = True
        if self._peer is not None:
            self._peer.pace()

    def resume_writing(self) -> None:  # noqa: D102
        self.paused = False
        if self._peer is not None:
            self._peer.pace()

    # What comes

    def attach(self, peer: Bridge) -> None:
        """Tell `peer` from now on what comes; and what came already, with the next turn of the loop."""
        self._peer = peer
        self._listener.loop.call_soon(self._catch_up)

    def _catch_up(self) -> None:
        peer = self._peer
        assert peer is not None
        early, self._early = self._early, b""
        if early:
            self._frames.feed(early)
            self._read(peer)
        self._reads = True
        if self._lost:
            self._hung(peer, 1006, "")
        peer.pace()
        peer.flush()

    def read(self, *, on: bool) -> None:
        """Take what comes, or leave it where it is."""
        if self._lost or not self._reads or self._transport.is_closing():
            return
        if on:
            self._transport.resume_reading()
        else:
            self._transport.pause_reading()

    def _read(self, peer: Bridge) -> None:
        frames = self._frames
        while True:
            runs = frames.ordinary()
            if runs:
                peer.spoke(runs, frames.taken)
            others = frames.other() if frames.more and not frames.ended else None
            if others is None:
                break
            for one in others:
                opcode, data = one.opcode.value, bytes(one.data)
                if opcode in (PING, PONG):
                    peer.signalled(opcode, data)
                elif opcode == CLOSE:
                    close = Close.parse(data)
                    self._hung(peer, int(close.code), close.reason)
                    frames.confirm()
                else:
                    peer.spoke([(opcode, [data])], b"")
            self._collect()
        sent = self._protocol.close_sent
        if sent is not None and not (self._told or self._closing):
            # It was not our doing: the protocol failed the connection (RFC 6455 §7.1.7).
            self._hung(peer, BAD_GATEWAY, f"the upstream broke the protocol: {sent.code} {sent.reason}"[:120])
            self._deadline.end(self.abort)
        self._collect()

    def _hung(self, peer: Bridge, code: int, reason: str) -> None:
        if not self._told:
            self._told, self._closing = True, False
            if not self._lost:
                self._deadline.end(self.abort)
            peer.hung(code, reason)

    # What goes out

    def forward(self, runs: Runs, taken: bytes | bytearray | memoryview = b"") -> None:
        """Send messages; `taken`: in the frames that the client made of them, which are masked already."""
        if not self.open:
            return
        extensions = self._protocol.extensions
        if taken and not extensions:
            self._out.append(bytes(taken))
            return
        for opcode, payloads in runs:
            for payload in payloads:
                self._out.append(Frame(Opcode(opcode), payload).serialize(mask=True, extensions=extensions))

    def write(self, taken: bytes | bytearray | memoryview) -> None:
        """Send frames of the client's as they came."""
        if self._out or self._lost or self._protocol._state is not OPEN:
            if self.open:
                self._out.append(bytes(taken))
        else:
            self._transport.write(taken if type(taken) is bytes else bytes(taken))

    def signal(self, opcode: int, data: bytes) -> None:
        """Send a ping or a pong."""
        if self.open:
            (self._protocol.send_ping if opcode == PING else self._protocol.send_pong)(data)
            self._collect()

    def close(self, code: int, reason: str = "") -> None:
        """Begin the closing handshake, after what was sent before; 1006: end the connection without one."""
        if code == 1006:
            self.drop()
        elif self.open:
            self._protocol.send_close(None if code == 1005 else code, reason)
            self._collect()
            self.flush()
            self._closing = True
            self._deadline.after(CLOSE_SECONDS, self.abort)

    def _collect(self) -> None:
        self._out += filter(None, self._protocol.data_to_send())

    def flush(self) -> None:
        """Write what was to be sent, as one write."""
        out, self._out = self._out, []
        if out and not self._lost and not self._transport.is_closing():
            self._transport.write(out[0] if len(out) == 1 else b"".join(out))

    def drop(self) -> None:
        """End the TCP connection without a close frame, after what was sent before."""
        if not self._lost:
            self.flush()
            self._transport.close()
            self._deadline.end(self.abort)

    def abort(self) -> None:
        """End the TCP connection at once."""
        if not self._lost:
            self._transport.abort()

    def forget(self) -> None:
        """In a forked child: give the socket's descriptor back without a word to the peer, who is the parent's."""
        give_back(self._transport)
