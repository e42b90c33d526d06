"""The way between a relayed connection and its upstream."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from mockforge_nb.core.events import Hung, Joined, Runs, Spoke
from mockforge_nb.core.plan import Relay

from .upstream import BAD_GATEWAY, Refused, Upstream, dial

if TYPE_CHECKING:
    from .connection import Connection


class Bridge:
    """Passes on what either side says.

    Args:
        connection: The client's.
        upstream: The upstream that was dialed before the handshake was answered.
        dialed: Whether it was; with no upstream it was found then that the connection is not relayed.

    Attributes:
        connection: As given.
        upstream: The upstream; None: there is none yet, or none any more.
    """

    __slots__ = ("_dialed", "_dialing", "_runs", "_taken", "connection", "upstream")

    def __init__(self, connection: Connection, upstream: Upstream | None = None, *, dialed: bool = False) -> None:
        self.upstream = upstream
        self._dialed = dialed
        self._dialing: asyncio.Task[Upstream | None] | None = None
        self.connection = connection
        self._runs: Runs | None = None  # what the upstream just said, and in which bytes
        self._taken: bytes | bytearray | memoryview = b""

    # The upstream's beginning and end

    def dial(self, relay: Relay) -> None:
        """Connect to the upstream, unless that was done; the session is told what came of it."""
        if self._dialed:
            self._dialed = False
            self._joined(self.upstream)
            return
        connection = self.connection
        if self.upstream is not None:
            self.hang_up(1001)
        most = connection.route.plan.message_bytes
        self._dialing = connection.listener.loop.create_task(
            dial(connection.listener, relay, connection.who, most), name="mockforge_nb dial"
        )
        self._dialing.add_done_callback(self._answered)

    def _answered(self, dialing: asyncio.Task[Upstream | None]) -> None:
        if dialing is not self._dialing or dialing.cancelled():
            return
        self._dialing = None
        try:
            self._joined(dialing.result())
        except Refused as error:
            self.connection.ask(Hung(BAD_GATEWAY, str(error)[:120]))
        self.connection.flush()

    def _joined(self, upstream: Upstream | None) -> None:
        self.upstream = upstream
        connection = self.connection
        if upstream is None:
            connection.unrelayed()
        else:
            upstream.attach(self)
        connection.ask(Joined(relayed=upstream is not None))

    def hang_up(self, code: int, reason: str = "") -> None:
        """End the connection to the upstream; 1006: without a close frame."""
        if self._dialing is not None:
            self._dialing.cancel()
            self._dialing = None
        if self.upstream is not None:
            self.upstream.close(code, reason)

    def end(self) -> None:
        """Take note that the client is gone, and end what is still there without it."""
        if self._dialing is not None:
            self._dialing.cancel()
        if self.upstream is not None:
            if self.upstream.open:
                self.upstream.drop()
            self.upstream.read(on=True)

    # To the upstream

    def forward(self, runs: Runs, taken: bytes | bytearray | memoryview) -> None:
        """Send messages; `taken`: the client's own bytes, if these are the messages it just sent."""
        if self.upstream is not None:
            self.upstream.forward(runs, taken if runs is self.connection.read else b"")

    @property
    def plain(self) -> bool:
        """Whether the upstream takes and sends messages uncompressed."""
        return self.upstream is not None and not self.upstream.deflates

    def signal(self, opcode: int, data: bytes) -> None:
        """Send a ping or a pong."""
        if self.upstream is not None:
            self.upstream.signal(opcode, data)

    def write(self) -> None:
        """Write what was said to the upstream."""
        if self.upstream is not None:
            self.upstream.flush()

    @property
    def full(self) -> bool:
        """Whether the upstream does not take what it is sent."""
        return self.upstream is not None and self.upstream.paused and self.upstream.open

    def read(self, *, on: bool) -> None:
        """Take what the upstream says, or leave it where it is."""
        if self.upstream is not None:
            self.upstream.read(on=on)

    # From the upstream

    def spoke(self, runs: Runs, taken: bytes | bytearray | memoryview) -> None:
        """Take messages, and the bytes that they came in; no bytes: as fragments or compressed."""
        self._runs, self._taken = runs, taken
        self.connection.ask(Spoke(runs))
        self._runs, self._taken = None, b""

    def taken_for(self, runs: Runs) -> bytes:
        """Return the upstream's own bytes, if these are the messages that it just sent in frames of their own."""
        return bytes(self._taken) if runs is self._runs else b""

    def signalled(self, opcode: int, data: bytes) -> None:
        """Take a ping or a pong."""
        self.connection.control(opcode, data)

    def hung(self, code: int, reason: str) -> None:
        """Take note of the upstream's end, of which there is one."""
        self.connection.ask(Hung(code, reason))

    def pace(self) -> None:
        """Read from either side only as long as the other takes what it is sent."""
        self.connection.pace()

    def flush(self) -> None:
        """Write what these have led to."""
        self.connection.flush()
