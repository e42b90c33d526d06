"""The way between a relayed connection and its upstream."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Sequence
from time import monotonic
from typing import TYPE_CHECKING

from websockets.frames import Close

from mockforge_nb.core.compare import Comparison
from mockforge_nb.core.events import Forward, HangUp, Hung, Joined, Leaving, Pass, Received, Runs, Spoke
from mockforge_nb.core.journal import Tap
from mockforge_nb.core.log import DROPPED, FORWARDED, HANDSHAKE, IN, OUT
from mockforge_nb.core.message import ABORT, CLOSE, PING, PONG, Message
from mockforge_nb.core.plan import Relay

from .dial import Refused, dial
from .upstream import BAD_GATEWAY, Upstream

if TYPE_CHECKING:
    from .connection import Connection

LIKE = Comparison("types")
"""How a greeting is known: it may tell another time, or another session."""

ANSWER_SECONDS = 10.0
"""How long an upstream has to answer the client's close frame, before it is answered without it."""


class Bridge:
    """Passes on what either side says.

    What is passed on as it came leaves in the bytes that it came in: a client's frames are masked already.

    Args:
        connection: The client's.
        upstream: The upstream that was dialed before the handshake was answered.
        dialed: Whether it was; with no upstream it was found then that the connection is not relayed.

    Attributes:
        upstream: The upstream; None: there is none yet, or there will be none.
        used: Whether it was told to dial.
        passing: Whether the session has nothing to say about what passes, and nothing is compressed.
    """

    __slots__ = (
        "_connection", "_deaf", "_dialed", "_dialing", "_greeted", "_left", "_runs", "_taken", "_tap", "passing",
        "upstream", "used",
    )  # fmt: skip

    def __init__(self, connection: Connection, upstream: Upstream | None = None, *, dialed: bool = False) -> None:
        self._connection = connection
        self.upstream = upstream
        self.used = self.passing = False
        self._deaf = False  # whether another behaviour took over, which knows of no upstream
        self._dialed = dialed
        self._dialing: asyncio.Task[Upstream | None] | None = None
        self._runs: Runs | None = None  # what the upstream just said, and in which bytes
        self._taken: bytes | bytearray | memoryview = b""
        self._tap: Tap | None = None
        self._greeted: deque[Message] = deque()  # what the client has heard already of what the upstream says first
        self._left = False  # whether the connection to the upstream ends by our doing

    # What the session says

    def dial(self, relay: Relay, greeted: Sequence[Message] = ()) -> None:
        """Connect to the upstream, unless that was done; the session is told what came of it."""
        self._greeted.extend(greeted)
        self._tap = self._connection.listener.tap(self._connection.route.plan, upstream=True)
        self.used = self._connection.frames.relayed = True
        if self._dialed:
            self._joined(self.upstream)
            return
        connection = self._connection
        most = connection.route.plan.message_bytes
        watch = connection.watch
        self._dialing = connection.listener.loop.create_task(
            dial(connection.listener, relay, connection.who, most, watch),
            name="mockforge_nb dial",
            context=None if watch is None else watch.context,
        )
        self._dialing.add_done_callback(self._answered)

    def _answered(self, dialing: asyncio.Task[Upstream | None]) -> None:
        self._dialing = None
        if dialing.cancelled():
            return
        try:
            self._joined(dialing.result())
        except Refused as error:
            self.hung(BAD_GATEWAY, str(error)[:120])
        self._connection.flush()

    def _joined(self, upstream: Upstream | None) -> None:
        self.upstream = upstream
        if upstream is not None:
            self._record(IN, HANDSHAKE, b"")
            upstream.attach(self)
        else:
            self._leave()
        self._connection.ask(Joined(relayed=upstream is not None))

    def _leave(self) -> None:
        """Let pings and the client's close frame be answered without an upstream."""
        self._deaf = True
        self._connection.bridge, self._connection.frames.relayed = None, False

    def _record(self, way: int, opcode: int, payload: bytes, close: tuple[int, str] | None = None) -> None:
        """Record something that the upstream said or was told."""
        session = self._connection.session
        if self._tap is not None and session is not None:
            self._tap(self._connection.record, session.time_ns(monotonic()), way, opcode, payload, close)

    def _record_all(self, way: int, runs: Runs) -> None:
        for opcode, payloads in runs if self._tap is not None else ():
            for payload in payloads:
                self._record(way, opcode, payload)

    def carry_out(self, command: Forward | HangUp | Pass) -> None:
        """Do with the upstream what the session says."""
        if isinstance(command, Forward):
            if self.upstream is not None:
                self._record_all(IN, command.runs)
                taken = self._connection.frames.taken if command.runs is self._connection.read else b""
                self.upstream.forward(command.runs, taken)
        elif isinstance(command, Pass):
            plain = self.upstream is not None and not (self.upstream.deflates or self._connection.deflates)
            self.passing = command.on and plain
        elif command.code is not None:
            self._hang_up(command.code, command.reason)
            if self._connection.frames.last == b"":
                self._leave()  # another behaviour takes over
        else:
            self._end()

    def _end(self) -> None:
        """End the connection to the upstream as the client's ends."""
        connection = self._connection
        protocol = connection.frames.protocol
        closed = None if protocol is None else protocol.close_rcvd or protocol.close_sent
        if closed is None or connection.aborted:
            self._hang_up(1006)
        else:
            self._hang_up(int(closed.code), closed.reason)

    def _hang_up(self, code: int, reason: str = "") -> None:
        self.passing, self._left = False, True
        if self._dialing is not None:
            self._dialing.cancel()
        if self.upstream is not None:
            self.upstream.close(code, reason)

    # What the client says

    def pass_on(self, data: bytes | memoryview) -> None:
        """Pass on what was read of the client, in the bytes that it came in."""
        connection = self._connection
        frames, listener = connection.frames, connection.listener
        runs = frames.ordinary(data)
        if runs:
            now = monotonic()
            listener.courtesy.turn(now)
            time = connection.journal.all(now, IN, runs, FORWARDED)
            self._record_all(IN, runs)
            self.upstream.write(frames.taken)  # type: ignore[union-attr]  # it passes: there is one
            if listener.waiting:
                listener.arrived(Received(runs, connection.record.number, time))
        if frames.more:
            connection.go_on()

    def heard(self, opcode: int, data: bytes) -> None:
        """Pass on a ping, a pong or the client's end, which the upstream answers."""
        connection = self._connection
        session = connection.session
        if session is None:
            return
        if opcode == CLOSE:
            close = Close.parse(data)
            connection.left(int(close.code), close.reason)
            # What the upstream says before its answer is still for the client (RFC 6455 §5.5.1).
            connection.deadline.after(ANSWER_SECONDS, connection.confirm)
            connection.ask(Leaving(int(close.code), close.reason))
            return
        ours = opcode == PONG and connection.waits.pinged_with(data)
        fault = session.network.unanswered() if session.network is not None and opcode == PING else None
        passed = not ours and fault is None
        relay = None if ours else FORWARDED if passed else DROPPED
        time = connection.journal.add(monotonic(), IN, opcode, data, fault=fault, relay=relay)
        connection.noticed(opcode, data, time)
        if passed and self.upstream is not None:
            self.upstream.signal(opcode, data)

    def gone(self) -> None:
        """Take note that the client is gone, and end what is still there without it."""
        self.passing = False
        if self._dialing is not None:
            self._dialing.cancel()
        if self.upstream is not None:
            if self.upstream.open:
                self.upstream.drop()
            self.upstream.read(on=True)

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

    # What the upstream says

    def pass_back(self, runs: Runs, taken: bytes | bytearray | memoryview) -> None:
        """Pass on what was read of the upstream, in the bytes that it came in."""
        connection = self._connection
        now = monotonic()
        connection.listener.courtesy.turn(now)
        connection.journal.all(now, OUT, runs, FORWARDED)
        self._record_all(OUT, runs)
        if connection.out or connection.lost:
            connection.out.append(bytes(taken))
        else:
            connection.transport.write(taken if type(taken) is bytes else bytes(taken))

    def spoke(self, runs: Runs, taken: bytes | bytearray | memoryview) -> None:
        """Take messages, and the bytes that they came in; no bytes: as fragments or compressed."""
        if not self._deaf:
            if self._greeted:
                runs, taken = self._new(runs), b""
            self._record_all(OUT, runs)
            self._runs, self._taken = runs, taken
            self._connection.ask(Spoke(runs))
            self._runs, self._taken = None, b""

    def _new(self, runs: Runs) -> Runs:
        """Return the upstream's messages without those that greet a client whom a cassette has greeted."""
        found: Runs = []
        for opcode, payloads in runs:
            for payload in payloads:
                if self._greets(Message(payload, opcode)):
                    self._connection.journal.all(monotonic(), OUT, [(opcode, [payload])], DROPPED)
                else:
                    found.append((opcode, [payload]))
        return found

    def _greets(self, message: Message) -> bool:
        while self._greeted:
            if not LIKE.differences(self._greeted.popleft(), message):
                return True
        return False

    def taken_for(self, runs: Runs) -> bytes:
        """Return the upstream's own bytes, if these are the messages that it just sent in frames of their own."""
        return bytes(self._taken) if runs is self._runs else b""

    def signalled(self, opcode: int, data: bytes) -> None:
        """Take a ping or a pong."""
        connection = self._connection
        if connection.open and not self._deaf:
            protocol = connection.frames.library()
            (protocol.send_ping if opcode == PING else protocol.send_pong)(data)
            network = connection.session.network if connection.session is not None else None
            fault = None if network is None else network.out.silent  # under which nothing gets through
            relay = FORWARDED if fault is None else DROPPED
            connection.journal.add(monotonic(), OUT, opcode, data, fault=fault, relay=relay)
            connection.collect()

    def hung(self, code: int, reason: str) -> None:
        """Take note of the upstream's end, of which there is one."""
        self.passing = False
        if not self._deaf:
            if not (self._left or self._connection.lost):
                self._record(OUT, ABORT if code == 1006 else CLOSE, b"", (code, reason))
            self._connection.ask(Hung(code, reason))

    def pace(self) -> None:
        """Read from either side only as long as the other takes what it is sent."""
        self._connection.pace()

    def flush(self) -> None:
        """Write what these have led to."""
        self.write()
        self._connection.flush()
