"""One TCP connection: RFC 6455 by `websockets`' sans-I/O protocol, what to say by a Session."""

from __future__ import annotations

import asyncio
import os
from contextlib import suppress
from time import monotonic
from typing import TYPE_CHECKING, Any, cast

from mockforge_nb.core.events import (
    Await,
    Burst,
    Came,
    Close,
    Closed,
    Closing,
    Command,
    Deliver,
    Drop,
    Event,
    Failed,
    Halt,
    Heard,
    Next,
    Opened,
    Paused,
    Raw,
    Reading,
    Received,
    Resumed,
    Run,
    Runs,
    Send,
    SendAll,
    Untaken,
    WakeAt,
    Woke,
)
from mockforge_nb.core.identity import Identity
from mockforge_nb.core.journal import Journal
from mockforge_nb.core.log import HANDSHAKE, IN, OUT
from mockforge_nb.core.message import ABORT, CLOSE, PING, PONG, Message
from mockforge_nb.core.program import head
from mockforge_nb.core.record import ConnectionRecord
from mockforge_nb.core.session import Session
from mockforge_nb.errors import ConnectionClosedError

from .deadline import Deadline
from .frames import FrameReader
from .handshake import Handshake, refused
from .inbox import Inbox
from .request import Asked
from .sockets import reset_on_close
from .tasks import Tasks, no_exit
from .waits import Waits

if TYPE_CHECKING:
    from mockforge_nb.core.routes import Route

    from .listener import Listener

VIEWED_READ = 16_384
"""From which size on what was read is not copied before it is looked at."""

SENDS_PER_TURN = 64
"""After how many awaited sends others have their turn, though the client takes all."""


class Connection(asyncio.BufferedProtocol):
    """Feeds a Session with what comes in and carries out what it answers; all on the loop's thread.

    Attributes:
        record: The connection's entry in the log; None: the handshake is not done.
        session: What it says; None: the handshake is not done.
        route: Whose plan it follows; None: the handshake is not done.
        handle: The connection as its user holds it, the same in a handler and in another cell.
        inbox: What its handler reads; None: it has none.
        wake_at: The time that the session wants to be woken at, for `Timers`.
    """

    __slots__ = (
        "_aborted", "_close_in", "_close_out", "_deadline", "_early", "_ending", "_failed", "_fault", "_frames",
        "_handshake", "_held", "_lost", "_out", "_past", "_refused", "_sends", "_tasks", "_transport", "_unread",
        "_waits", "_write_paused", "handle", "inbox", "journal", "listener", "record", "route", "session", "wake_at",
    )  # fmt: skip  # ten thousand of them may be open

    def __init__(self, listener: Listener) -> None:
        self.listener = listener
        self.record: ConnectionRecord | None = None
        self.session: Session | None = None
        self.route: Route | None = None
        self.handle: Any = None
        self.inbox: Inbox | None = None
        self.wake_at: float | None = None
        self._transport: asyncio.Transport
        self._handshake: Handshake | None = Handshake(listener)  # until it is done
        self._frames: FrameReader  # this and the journal: from then on
        self.journal: Journal
        self._tasks: Tasks | None = None
        self._waits = Waits(listener.loop)
        self._sends = 0
        self._refused = False
        self._out: list[bytes | memoryview] = []
        self._held = self._write_paused = self._unread = False
        self._aborted = self._lost = False
        self._past: tuple[Identity, dict[str, Any]]  # once it is closed
        self._close_in = self._close_out = False  # whether the close frames have their rows
        self._failed = False  # whether we failed the connection, RFC 6455 §7.1.7
        self._fault: str | None = None  # by which it ends
        self._early = b""  # what came before the handshake was answered
        self._ending = False  # whether nothing comes after what is in `_out`
        self._deadline: Deadline  # from its beginning on, like the transport

    @property
    def open(self) -> bool:
        """Whether messages can be sent."""
        return self.session is not None and not (self._lost or self._aborted) and self._frames.open

    @property
    def who(self) -> Identity:
        """What its session knows of it."""
        session = self.session
        return session.who if session is not None else self._past[0]

    @property
    def state(self) -> dict[str, Any]:
        """Its state, also once it is closed."""
        session = self.session
        return session.state if session is not None else self._past[1]

    @property
    def full(self) -> bool:
        """Whether as much waits for a peer that reads slowly as may."""
        return self.session is not None and self.session.full

    @property
    def busy(self) -> bool:
        """Whether something of the author's runs for it."""
        return self._tasks is not None and len(self._tasks) > 0

    # What the transport tells

    def connection_made(self, transport: asyncio.BaseTransport) -> None:  # noqa: D102  # asyncio.BaseProtocol's
        self._transport = cast(asyncio.Transport, transport)  # uvloop's are no subclass of it
        self.listener.sockets.add(self)
        if self.listener.stopped:
            self._transport.abort()
        self._deadline = Deadline(self.listener.loop, self._transport)
        self._deadline.after(self.listener.handshake_seconds, self._late)

    def get_buffer(self, sizehint: int) -> memoryview:  # noqa: D102  # asyncio.BufferedProtocol's
        return self.listener.buffer

    def buffer_updated(self, nbytes: int) -> None:  # noqa: D102
        # A large read stays where it is, and its payloads alone are copied; of a small one a copy is quicker to read.
        view = self.listener.buffer[:nbytes]
        self._received(view if nbytes > VIEWED_READ else bytes(view))

    def _received(self, data: bytes | memoryview) -> None:
        if self._handshake is not None:
            data = self._handshake.receive(bytes(data))
            if not self._knocked(self._handshake):
                self._early = data
                return
        if data and not self._frames.ended:
            self._frames.feed(data)
            self._read()
        self._flush()

    def eof_received(self) -> None:  # noqa: D102
        if self._handshake is not None:
            self._handshake.end()
            self._knocked(self._handshake)
        else:
            protocol = self._frames.library()
            if not protocol.eof_sent:
                protocol.receive_data(self._frames.rest())
            protocol.receive_eof()
            self._collect()
        self._flush()
        self._deadline.end(self.abort)

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: D102
        self._lost = True
        self.listener.sockets.discard(self)
        self._deadline.cancel()
        if self._handshake is not None:
            self._handshake.end()
            self._handshake.gone()
            self._knocked(self._handshake)
        elif self.record is not None:
            self._ended(self.record)
            self._waits.changed()
            self._release()
        self.listener.gone(self)

    def _release(self) -> None:
        """Keep nothing of what has ended but what may be asked for: a server of days has many of them."""
        assert self.session is not None
        self._past = (self.session.who, self.session.state)
        self.session = None
        del self._transport, self._frames, self.journal, self._deadline

    def pause_writing(self) -> None:  # noqa: D102
        self._write_paused = True
        self._reading()
        self._tell(Paused())

    def resume_writing(self) -> None:  # noqa: D102
        self._write_paused = False
        self._reading()
        self._tell(Resumed())
        self._waits.changed()

    def wake(self) -> None:
        """Tell the session that its time has come."""
        self._tell(Woke())

    # The session

    def tell(self, event: Event) -> bool:
        """Tell the session something from outside; return whether the connection is open."""
        if not self.open:
            return False
        self._tell(event)
        return True

    def _tell(self, event: Event) -> None:
        if self.session is not None and not self._lost:
            self._ask(event)
            self._flush()

    def _ask(self, event: Event) -> None:
        """Tell the session and carry out its answer, all but the writing."""
        assert self.session is not None
        now = monotonic()
        self.listener.courtesy.turn(now)
        try:
            commands = self.session.handle(event, now)
        except (Exception, SystemExit) as error:  # noqa: BLE001  # of the author's function, or ours: for check()
            self.listener.failed(Failed(error if isinstance(error, Exception) else no_exit(error)), self)
            self._say_close(1011, "the mock failed")
            return
        if commands:
            now = monotonic()
            for command in commands:
                self._carry_out(command, now)

    def _carry_out(self, command: Command, now: float) -> None:
        if isinstance(command, (SendAll, Send, Burst, Raw, Close, Drop)):
            if self.open:
                self._say(command, now)
        elif isinstance(command, WakeAt):
            self.listener.timers.at(command.time, self)
        elif isinstance(command, Deliver):
            if self.inbox is not None:
                self.inbox.put(command.message)
        elif isinstance(command, Failed):
            self.listener.failed(command, self)
        elif isinstance(command, Untaken):
            self.listener.untaken(command.message)
        elif isinstance(command, Came):
            self.journal.sent(now, command.message, IN)
        elif isinstance(command, Heard):
            self.listener.arrived(command.received)
        elif isinstance(command, Reading):
            self._held = not command.on
            self._reading()
        else:
            self._do(command)

    def _say(self, command: SendAll | Send | Burst | Raw | Close | Drop, now: float) -> None:
        out = self._out
        if isinstance(command, Send):
            if command.wire is None:
                out += (head(command.opcode, len(command.payload)), command.payload)
            else:
                out += command.wire
            self.journal.sent(now, command)
        elif isinstance(command, SendAll):
            for opcode, payloads in command.runs:
                for payload in payloads:
                    out += (head(opcode, len(payload)), payload)
            self.journal.all(now, OUT, command.runs)
        elif isinstance(command, Burst):
            out.append(command.frames)
            self.journal.burst(now, command)
        elif isinstance(command, Raw):
            out.append(command.frames)
        elif isinstance(command, Close):
            self._fault = command.fault
            self._say_close(command.code, command.reason)
        else:
            self._fault = command.fault
            self._drop(reset=command.reset)

    def _do(self, command: Await | Next | Run | Halt) -> None:
        """Run, ask or cancel something of the author's."""
        if self._tasks is None:
            self._tasks = Tasks(self.listener.loop, self._tell)
        if isinstance(command, Await):
            self._tasks.wait_for(command.awaitable, command.key)
        elif isinstance(command, Next):
            self._tasks.ask(command.source, command.key, command.most)
        elif isinstance(command, Run):
            self.inbox = Inbox(self._hold)
            self._tasks.run(command.function, self.handle, command.key)
        else:
            self._tasks.halt(command.key, command.source)

    def _hold(self, full: bool) -> None:
        self._unread = full
        self._reading()

    # What comes in

    def _knocked(self, door: Handshake) -> bool:
        """Let the peer in, once the handshake says so, or log why not; return whether that need not wait."""
        if door.wait and (door.refused or door.asked is not None):
            wait, door.wait = door.wait, 0.0
            self._transport.pause_reading()
            self._deadline.after(wait, self._answer)
            return False
        if door.refused and not self._refused:
            self._refused = True
            refused(self.listener, door)
            self._deadline.cancel()
            if door.answer:
                self._out.append(door.answer)
                self._ending = door.fault == "cut_handshake"
                self._deadline.end(self.abort)
        elif door.asked is not None and not door.refused:
            self._deadline.cancel()
            self._let_in(door, door.asked)
        self._collect()
        return True

    def _answer(self) -> None:
        """Answer the handshake, after all."""
        door = self._handshake
        if door is None or self._lost:
            return
        self._transport.resume_reading()
        self._knocked(door)
        early, self._early = self._early, b""
        if early and not door.refused:
            self._frames.feed(early)
            self._read()
        self._flush()

    def _let_in(self, door: Handshake, asked: Asked) -> None:
        assert door.route is not None
        self._handshake = None
        self.record = record = door.record(self._transport.get_extra_info("peername") or ("", 0))
        self.route = route = door.route
        self._frames = FrameReader(route.plan.message_bytes, door.protocol)
        if door.protocol is not None:
            door.protocol.max_message_size = route.plan.message_bytes
        elif door.answer:
            self._out.append(door.answer)
        self.handle = self.listener.handle(self)
        self.session = Session(route.plan, door.identity(record, route.plan), route.shared, self.handle)
        self.journal = Journal(self.listener.log, record, self.session, self.listener.started, self.listener.tap)
        record.opened_ns = self.session.time_ns(monotonic())
        self.listener.log.open(record)
        text = f"GET {asked.target} 101 Switching Protocols".encode()
        self.journal.add(monotonic(), IN, HANDSHAKE, text, fault=door.fault, delay_ms=door.delay_ms)
        self._collect()
        self.listener.opened(self)
        self._ask(Opened())

    def _read(self) -> None:
        """Take the frames that came; what they are answered is in `_out`, in their order."""
        frames = self._frames
        while True:
            # Answered before anything else is looked at: that may end the connection, or be answered itself.
            self._came(frames.ordinary())
            others = frames.other() if frames.more and not frames.ended else None
            if others is None:
                return
            for one in others:
                opcode, data = one.opcode.value, bytes(one.data)
                if opcode in (PING, PONG):
                    time = self.journal.add(monotonic(), IN, opcode, data)
                    self._noticed(opcode, data, time)
                elif opcode != CLOSE:
                    self._came([(opcode, [data])])
                if opcode == PING:
                    network = self.session.network if self.session is not None else None
                    fault = network.unanswered() if network is not None else None
                    if fault is not None:
                        frames.library().data_to_send()  # its pong, which is lost
                    self.journal.add(monotonic(), OUT, PONG, data, fault=fault)
            self._collect()

    def _noticed(self, opcode: int, data: bytes, time: int) -> None:
        """Tell those who care of a ping, a pong or the connection's end."""
        if opcode == PONG:
            self._waits.ponged(data, monotonic())
        if self.inbox is not None:
            self.inbox.put(Message(data, opcode, connection=self.journal.record.number, time=time))

    def _came(self, runs: Runs) -> None:
        """Log messages, tell the session of them, all at once, and then those who wait for one."""
        if runs:
            if self.session is not None and self.session.network is not None:
                # The session tells when these have come through the network, and what is to be logged of them.
                self._ask(Received(runs))
                return
            time = self.journal.all(monotonic(), IN, runs)
            received = Received(runs, self.journal.record.number, time)
            self._ask(received)
            if self.listener.waiting:
                self.listener.arrived(received)

    # What goes out

    def close(self, code: int, reason: str = "") -> None:
        """Begin the closing handshake (RFC 6455 §7.1.2), after what was sent before."""
        self.tell(Closing(code, reason))

    def shut(self, code: int, reason: str = "") -> None:
        """Begin the closing handshake now, whatever is on its way."""
        self._say_close(code, reason)
        self._flush()

    async def drained(self) -> None:
        """Return once more can be sent, and let others have their turn now and then.

        Raises:
            ConnectionClosedError: The connection is closed.
        """
        self._sends += 1
        if self._sends % SENDS_PER_TURN == 0:
            await asyncio.sleep(0)
        while self.open and (self._write_paused or self.full):
            await self._waits.change()
        if not self.open:
            assert self.record is not None
            raise ConnectionClosedError(f"connection {self.record.number} is closed")

    async def ended(self) -> None:
        """Return once the TCP connection has ended."""
        while not self._lost:
            await self._waits.change()

    def ping(self, payload: bytes) -> asyncio.Future[float] | None:
        """Send a ping; return what has the time until its pong in seconds; None: the connection is closed."""
        if not self.open:
            return None
        now = monotonic()
        waiting = self._waits.pinged(payload, now)
        self._frames.library().send_ping(payload)
        self.journal.add(now, OUT, PING, payload)
        self._collect()
        self._flush()
        return waiting

    def _say_close(self, code: int, reason: str) -> None:
        if self.open:
            self._frames.library().send_close(code, reason)
            self._collect()
            self._deadline.end(self.abort)

    def abort(self) -> None:
        """End the TCP connection without a close frame, and without what the peer has not taken yet."""
        if self._lost:
            return
        self._aborted = True
        self._out.clear()
        self._transport.abort()

    def _drop(self, *, reset: bool = False) -> None:
        """End the TCP connection without a close frame, after what was sent before; `reset`: with an RST, at once."""
        self._flush()
        self._aborted = True
        if reset:
            reset_on_close(self._transport.get_extra_info("socket").fileno())
            self._transport.abort()
            return
        self._transport.close()
        self._deadline.end(self.abort)

    def _collect(self) -> None:
        """Take over what the protocol has to say, and log the close frames."""
        protocol = self._frames.protocol if self._handshake is None else self._handshake.protocol
        if protocol is None:
            return
        network = self.session.network if self.session is not None else None
        silent = network.out.silent if network is not None else None
        for data in protocol.data_to_send():
            if silent is not None:
                continue
            if data:
                self._out.append(data)
            else:
                self._ending = True
        received, sent = protocol.close_rcvd, protocol.close_sent
        if received is not None and not self._close_in:
            self._close_in = True
            time = self.journal.close(monotonic(), IN, received.code, received.reason)
            data = b"" if received.code == 1005 else received.serialize()
            self._noticed(CLOSE, data, time)
        if sent is not None and not self._close_out:
            self._close_out = True
            self._failed = self._ending and received is None
            slow = "slow_close" if network is not None and network.slow_close() else None
            self.journal.close(monotonic(), OUT, sent.code, sent.reason, self._fault or silent or slow)
            self._end()

    def _flush(self) -> None:
        """Write what the session and the protocol have to say, as one write."""
        out, self._out = self._out, []
        if self._lost or self._transport.is_closing():
            return
        if out:
            if len(out) == 1:
                self._transport.write(out[0])
            elif len(out) < 16 and sum(map(len, out)) > VIEWED_READ:
                self._transport.writelines(out)
            else:
                self._transport.write(b"".join(out))
        if self._ending:
            self._ending = False
            network = self.session.network if self.session is not None else None
            lingers = network.slow_close() if network is not None and not self.listener.stopped else 0.0
            if lingers:
                self._deadline.linger(lingers)
                self.listener.loop.call_later(lingers, self._hang_up)
                return
            self._hang_up()

    def _hang_up(self) -> None:
        """End our half of the TCP connection: all is said."""
        if not self._lost and not self._transport.is_closing():
            self._reading()
            if self._transport.can_write_eof():
                # Not close(): with unread bytes the kernel would send a reset, which may overtake our close frame.
                self._transport.write_eof()
                self._deadline.end(self.abort)
            else:
                self._transport.close()

    def _reading(self) -> None:
        """Read only while the session takes messages and the peer takes ours; and what ends the connection."""
        if self._lost or self._transport.is_closing():
            return
        if self.session is not None and (self._held or self._write_paused or self._unread) and self._frames.open:
            self._transport.pause_reading()
        else:
            self._transport.resume_reading()

    # Its end

    def _end(self) -> None:
        """Let the session end: nothing can be sent any more."""
        if self.session is not None:
            now = monotonic()
            for command in self.session.handle(Closed(), now):
                self._carry_out(command, now)
        self.wake_at = None
        if self.inbox is not None:
            self.inbox.end()
        self._waits.ended()

    def _ended(self, record: ConnectionRecord) -> None:
        """Log the end of the TCP connection."""
        protocol = self._frames.protocol
        closed = None if protocol is None else protocol.close_sent if self._failed else protocol.close_rcvd
        if closed is None:
            time = self.journal.add(monotonic(), OUT if self._aborted else IN, ABORT, fault=self._fault)
            self._noticed(ABORT, b"", time)
        self._end()
        record.close_code, record.close_reason = (1006, "") if closed is None else (closed.code, closed.reason)
        record.closed_ns = self.journal.session.time_ns(monotonic())

    def _late(self) -> None:
        """End a TCP connection that sent no handshake in time."""
        if self._handshake is not None:
            self._handshake.late()
            self._knocked(self._handshake)
        self._transport.abort()

    async def cancel(self, seconds: float) -> None:
        """Cancel what still runs of the author's, and give it so long to end."""
        if self._tasks is not None:
            await self._tasks.cancel(seconds)

    def forget(self) -> None:
        """In a forked child: give the socket's descriptor back without a word to the peer, who is the parent's."""
        facade = self._transport.get_extra_info("socket")
        own = getattr(facade, "_sock", None)  # asyncio's: it would close the number again when it is collected
        number = own.detach() if own is not None else facade.fileno() if facade is not None else -1
        if number != -1:
            with suppress(OSError):
                os.close(number)
