"""One open connection: RFC 6455 by `websockets`' sans-I/O protocol, what to say by a Session."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from time import monotonic
from typing import TYPE_CHECKING, Any

from websockets.frames import Frame, Opcode

from mockforge_nb.core.events import (
    Await,
    Burst,
    Came,
    Close,
    Closed,
    Closing,
    Command,
    Deliver,
    Dial,
    Drop,
    Event,
    Failed,
    Forward,
    Halt,
    HangUp,
    Heard,
    Late,
    Next,
    Noted,
    Opened,
    Pass,
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
from mockforge_nb.core.log import FORWARDED, HANDSHAKE, IN, INJECTED, OUT, REPLAYED
from mockforge_nb.core.message import ABORT, CLOSE, PING, PONG, Message
from mockforge_nb.core.plan import Relay
from mockforge_nb.core.program import head
from mockforge_nb.core.session import Session
from mockforge_nb.errors import ConnectionClosedError

from .deadline import Deadline
from .frames import FrameReader
from .inbox import Inbox
from .relay import Bridge
from .sockets import give_back, reset_on_close
from .tasks import Tasks, no_exit
from .waits import Waits

if TYPE_CHECKING:
    from mockforge_nb.core.cassette import Tape
    from mockforge_nb.core.routes import Route

    from .handshake import Handshake
    from .listener import Listener
    from .upstream import Upstream

VIEWED_READ = 16_384
"""From which size on what was read is not copied before it is looked at."""

SENDS_PER_TURN = 64
"""After how many awaited sends others have their turn, though the client takes all."""


@dataclass(frozen=True, slots=True)
class Entry:
    """With what a connection begins.

    Attributes:
        upstream: The upstream that was dialed for it; None: none was.
        tape: What of its plan's cassette it is played.
        down: Why its upstream cannot be had, where something else is played; empty: it can, or there is none.
        subprotocol: The subprotocol that was selected.
    """

    upstream: Upstream | None = None
    tape: Tape | None = None
    down: str = ""
    subprotocol: str | None = None


class Connection(asyncio.BufferedProtocol):
    """Feeds a Session with what comes in and carries out what it answers; all on the loop's thread.

    Attributes:
        record: The connection's entry in the log.
        session: What it says; None: it has ended.
        route: Whose plan it follows.
        bridge: What leads to its upstream; None: it is not relayed.
        handle: The connection as its user holds it, the same in a handler and in another cell.
        inbox: What its handler reads; None: it has none.
        read: Of a relayed connection, the messages that were read last.
        wake_at: The time that the session wants to be woken at, for `Timers`.
        frames, out: What is read, and what is to be written.
        deflates: Whether messages to the client are compressed (RFC 7692).
        transport, deadline, waits: The socket, its one timer, and who waits.
        watch: Who traces it; None: nobody does.
        aborted, lost: Whether we ended the TCP connection, and whether it has ended.
    """

    __slots__ = (
        "_close_in", "_close_out", "_ending", "_failed", "_fault", "_held", "_past", "_relay", "_sends", "_tasks",
        "_unread", "_write_paused", "aborted", "bridge", "deadline", "deflates", "frames", "handle", "inbox",
        "journal", "listener", "lost", "out", "read", "record", "route", "session", "transport", "waits", "wake_at",
        "watch",
    )  # fmt: skip  # ten thousand of them may be open

    def __init__(
        self,
        listener: Listener,
        transport: asyncio.Transport,
        deadline: Deadline,
        door: Handshake,
        entry: Entry,
    ) -> None:
        assert door.route is not None
        self.listener = listener
        self.transport = transport
        self.deadline = deadline
        self.route: Route = door.route
        plan = self.route.plan
        upstream, tape = entry.upstream, entry.tape
        self.record = door.record(transport.get_extra_info("peername") or ("", 0), entry.subprotocol)
        self.record.tape = 0 if tape is None else tape.recorded.connection
        self.frames = FrameReader(plan.message_bytes, door.protocol)
        self.deflates = False
        if door.protocol is not None:
            door.protocol.max_message_size = plan.message_bytes
            self.deflates = bool(door.protocol.extensions)
        self.handle: Any = listener.handle(self)
        who = door.identity(self.record, plan)
        self.session: Session | None = Session(
            plan, who, self.route.shared, self.handle, noting=listener.tracer is not None or listener.late is not None
        )
        self.watch = door.watch
        write = Journal if self.watch is None else self.watch.opened
        self.journal = write(listener.log, self.record, self.session, listener.started, listener.tap(plan))
        self.read: Runs | None = None
        self.bridge: Bridge | None = None
        if isinstance(plan.behaviour, Relay) and tape is None and not entry.down:
            self.bridge = Bridge(self, upstream, dialed=True)
        self.record.opened_ns = self.session.time_ns(monotonic())
        listener.log.open(self.record)
        text = f"GET {door.target} 101 Switching Protocols{f': {entry.down}' if entry.down else ''}".encode()
        relay = FORWARDED if upstream is not None else REPLAYED if tape is not None or entry.down else None
        self.journal.add(monotonic(), IN, HANDSHAKE, text, fault=door.fault, delay_ms=door.delay_ms, relay=relay)
        self.inbox: Inbox | None = None
        self.wake_at: float | None = None
        self._tasks: Tasks | None = None
        self.waits = Waits(listener.loop)
        self._sends = 0
        self.out: list[bytes | memoryview] = []
        self._held = 0  # where too much waits
        self._write_paused = self._unread = False
        self.aborted = self.lost = False
        self._past: tuple[Identity, dict[str, Any]]  # once it is closed
        self._close_in = self._close_out = False  # whether the close frames have their rows
        self._failed = False  # whether we failed the connection, RFC 6455 §7.1.7
        self._fault: str | None = None  # by which it ends
        self._relay: str | None = None  # whether the end that is said is the upstream's
        self._ending = False  # whether nothing comes after what is in `_out`

    @property
    def open(self) -> bool:
        """Whether messages can be sent."""
        return self.session is not None and not (self.lost or self.aborted) and self.frames.open

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

    def begin(self, answer: bytes, early: bytes, entry: Entry) -> None:
        """Answer the handshake, let the session begin, and read what came behind the handshake."""
        self.out.append(answer)
        self.listener.opened(self)
        self._ask(Opened(entry.tape, bool(entry.down)))
        if early:
            self._received(early)
        else:
            self.flush()

    def get_buffer(self, sizehint: int) -> memoryview:  # noqa: D102  # asyncio.BufferedProtocol's
        return self.listener.buffer

    def buffer_updated(self, nbytes: int) -> None:  # noqa: D102
        # A large read stays where it is, and its payloads alone are copied; of a small one a copy is quicker to read.
        view = self.listener.buffer[:nbytes]
        data = view if nbytes > VIEWED_READ else bytes(view)
        bridge = self.bridge
        if bridge is not None and bridge.passing:
            bridge.pass_on(data)
        else:
            self._received(data)

    def _received(self, data: bytes | memoryview) -> None:
        frames = self.frames
        if frames.ended:
            return
        frames.feed(data)
        self.go_on()

    def go_on(self) -> None:
        """Read what was fed, and write what that leads to."""
        self._read()
        self.flush()

    def confirm(self) -> None:
        """Answer the client's close frame, which nobody else did in time."""
        self.frames.confirm()
        self.collect()
        self.flush()
        self.deadline.end(self.abort)

    def eof_received(self) -> None:  # noqa: D102
        frames = self.frames
        if self.bridge is not None:
            self.bridge.passing = False  # nothing more can be written to it
        frames.confirm()
        protocol = frames.library()
        if not protocol.eof_sent:
            protocol.receive_data(frames.rest())
        protocol.receive_eof()
        self.collect()
        self.flush()
        self.deadline.end(self.abort)

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: D102
        self.lost = True
        self.listener.sockets.discard(self)
        self.deadline.cancel()
        self._ended()
        self.waits.changed()
        self._release()
        self.listener.gone(self)

    def _release(self) -> None:
        """Keep nothing of what has ended but what may be asked for: a server of days has many of them."""
        assert self.session is not None
        self._past = (self.session.who, self.session.state)
        self.session = None
        del self.transport, self.frames, self.journal, self.deadline

    def pause_writing(self) -> None:  # noqa: D102
        self._write_paused = True
        self.pace()
        self._tell(Paused())

    def resume_writing(self) -> None:  # noqa: D102
        self._write_paused = False
        self.pace()
        self._tell(Resumed())
        self.waits.changed()

    def wake(self) -> None:
        """Tell the session that its time has come."""
        self._tell(Woke())

    @property
    def takes(self) -> bool:
        """Whether the client takes what it is sent."""
        return not (self._held or self._write_paused)

    # The session

    def tell(self, event: Event) -> bool:
        """Tell the session something from outside; return whether the connection is open."""
        if not self.open:
            return False
        self._tell(event)
        return True

    def _tell(self, event: Event) -> None:
        self.ask(event)
        self.flush()

    def ask(self, event: Event) -> None:
        """Tell the session, if it has not ended; what it says is written by `flush`."""
        if self.session is not None and not self.lost:
            self._ask(event)

    def _ask(self, event: Event) -> None:
        """Tell the session and carry out its answer, all but the writing."""
        assert self.session is not None
        now = monotonic()
        self.listener.courtesy.turn(now)
        try:
            if self.watch is None:
                commands = self.session.handle(event, now)
            else:
                with self.watch:
                    commands = self.session.handle(event, now)
        except (Exception, SystemExit) as error:  # noqa: BLE001  # of the author's function, or ours: for check()
            self._fail(Failed(error if isinstance(error, Exception) else no_exit(error)))
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
            self._fail(command)
        elif isinstance(command, Untaken):
            self.listener.untaken(command.message)
        elif isinstance(command, Came):
            self.journal.sent(now, command.message, IN)
        elif isinstance(command, Heard):
            self.listener.arrived(command.received)
        elif isinstance(command, Reading):
            self._held = self._held & ~command.why if command.on else self._held | command.why
            self.pace()
        elif isinstance(command, (Forward, HangUp, Pass)):
            if self.bridge is not None:
                self.bridge.carry_out(command)
        elif isinstance(command, Dial):
            if self.bridge is None or self.bridge.used:
                self.bridge = Bridge(self)
            self.bridge.dial(command.relay, command.greeted)
        elif isinstance(command, Noted):
            if self.watch is not None:
                self.watch.noted(command)
        elif isinstance(command, Late):
            if self.listener.late is not None:
                self.listener.late.append((self.route.path.text, command.seconds))
        else:
            self._do(command)

    def _fail(self, failure: Failed) -> None:
        self.listener.failed(failure, self.record.number)
        if self.watch is not None:
            self.watch.failed(failure.error)

    def _say(self, command: SendAll | Send | Burst | Raw | Close | Drop, now: float) -> None:
        out = self.out
        if isinstance(command, Send):
            if command.wire is not None:
                out += command.wire
            elif self.deflates:
                self._deflate([(command.opcode, [command.payload])])
            else:
                out += (head(command.opcode, len(command.payload)), command.payload)
            self.journal.sent(now, command)
        elif isinstance(command, SendAll):
            taken = self.bridge.taken_for(command.runs) if self.bridge is not None else b""
            if self.deflates:
                self._deflate(command.runs)
            elif taken:
                out.append(taken)
            else:
                for opcode, payloads in command.runs:
                    for payload in payloads:
                        out += (head(opcode, len(payload)), payload)
            self.journal.all(now, OUT, command.runs, command.relay)
        elif isinstance(command, Burst):
            if self.deflates:
                program = command.program
                for index, payload in enumerate(program.payloads(command.first, command.last), command.first):
                    self._deflate([(program.opcode(index), [payload])])
            else:
                out.append(command.frames)
            self.journal.burst(now, command)
        elif isinstance(command, Raw):
            out.append(command.frames)
        elif isinstance(command, Close):
            self._fault, self._relay = command.fault, command.relay
            self._say_close(command.code, command.reason)
        else:
            self._fault, self._relay = command.fault, command.relay
            self._drop(reset=command.reset)

    def _deflate(self, runs: Runs) -> None:
        """Say messages compressed (RFC 7692)."""
        extensions = self.frames.library().extensions
        for opcode, payloads in runs:
            for payload in payloads:
                self.out.append(Frame(Opcode(opcode), payload).serialize(mask=False, extensions=extensions))

    def _do(self, command: Await | Next | Run | Halt) -> None:
        """Run, ask or cancel something of the author's."""
        if self._tasks is None:
            context = None if self.watch is None else self.watch.context
            self._tasks = Tasks(self.listener.loop, self._tell, context)
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
        self.pace()

    # What comes in

    def _read(self) -> None:
        """Take the frames that came; what they are answered is in `_out`, in their order."""
        frames = self.frames
        while True:
            # Answered before anything else is looked at: that may end the connection, or be answered itself.
            runs = frames.ordinary()
            if runs:
                self._came(runs)
            others = frames.other() if frames.more and not frames.ended else None
            if others is None:
                return
            for one in others:
                opcode, data = one.opcode.value, bytes(one.data)
                if frames.relayed and opcode & 8 and self.bridge is not None:
                    self.bridge.heard(opcode, data)
                    continue
                if opcode in (PING, PONG):
                    time = self.journal.add(monotonic(), IN, opcode, data)
                    self.noticed(opcode, data, time)
                elif opcode != CLOSE:
                    frames.taken = b""
                    self._came([(opcode, [data])])
                if opcode == PING:
                    network = self.session.network if self.session is not None else None
                    fault = network.unanswered() if network is not None else None
                    if fault is not None:
                        frames.library().data_to_send()  # its pong, which is lost
                    self.journal.add(monotonic(), OUT, PONG, data, fault=fault)
            self.collect()

    def left(self, code: int, reason: str) -> None:
        """Log a close frame of the client's that is not answered yet."""
        self._close_in = True
        time = self.journal.close(monotonic(), IN, code, reason, relay=FORWARDED)
        self.noticed(CLOSE, b"" if code == 1005 else code.to_bytes(2, "big") + reason.encode(), time)

    def noticed(self, opcode: int, data: bytes, time: int) -> None:
        """Tell those who care of a ping, a pong or the connection's end."""
        if opcode == PONG:
            self.waits.ponged(data, monotonic())
        if self.inbox is not None:
            self.inbox.put(Message(data, opcode, connection=self.record.number, time=time))

    def _came(self, runs: Runs) -> None:
        """Log messages, tell the session of them, all at once, and then those who wait for one."""
        session = self.session
        if session is None:
            return
        if self.bridge is not None:
            self.read = runs
        if session.tells:
            # The session says when these have come, and what is to be logged of them.
            self._ask(Received(runs))
            return
        time = self.journal.all(monotonic(), IN, runs, session.relays)
        received = Received(runs, self.record.number, time)
        self._ask(received)
        if self.watch is not None:
            self.watch.handled()
        if self.listener.waiting:
            self.listener.arrived(received)

    # What goes out

    def close(self, code: int, reason: str = "") -> None:
        """Begin the closing handshake (RFC 6455 §7.1.2), after what was sent before."""
        self.tell(Closing(code, reason))

    def shut(self, code: int, reason: str = "") -> None:
        """Begin the closing handshake now, whatever is on its way."""
        self._say_close(code, reason)
        self.flush()

    async def drained(self) -> None:
        """Return once more can be sent, and let others have their turn now and then.

        Raises:
            ConnectionClosedError: The connection is closed.
        """
        self._sends += 1
        if self._sends % SENDS_PER_TURN == 0:
            await asyncio.sleep(0)
        while self.open and (self._write_paused or self.full):
            await self.waits.change()
        if not self.open:
            raise ConnectionClosedError(f"connection {self.record.number} is closed")

    async def ended(self) -> None:
        """Return once the TCP connection has ended."""
        while not self.lost:
            await self.waits.change()

    def ping(self, payload: bytes) -> asyncio.Future[float] | None:
        """Send a ping; return what has the time until its pong in seconds; None: the connection is closed."""
        if not self.open:
            return None
        now = monotonic()
        waiting = self.waits.pinged(payload, now)
        self.frames.library().send_ping(payload)
        self.journal.add(now, OUT, PING, payload, relay=INJECTED if self.session and self.session.relays else None)
        self.collect()
        self.flush()
        return waiting

    def _say_close(self, code: int, reason: str) -> None:
        if self.open:
            self.frames.library().send_close(None if code == 1005 else code, reason)
            self.frames.confirm()
            self.collect()
            self.deadline.end(self.abort)

    def abort(self) -> None:
        """End the TCP connection without a close frame, and without what the peer has not taken yet."""
        if self.lost:
            return
        self.aborted = True
        self.out.clear()
        self.transport.abort()

    def _drop(self, *, reset: bool = False) -> None:
        """End the TCP connection without a close frame, after what was sent before; `reset`: with an RST, at once."""
        self.flush()
        self.aborted = True
        if reset:
            reset_on_close(self.transport.get_extra_info("socket").fileno())
            self.transport.abort()
            return
        self.transport.close()
        self.deadline.end(self.abort)

    def collect(self) -> None:
        """Take over what the protocol has to say, and log the close frames."""
        protocol = self.frames.protocol
        if protocol is None:
            return
        network = self.session.network if self.session is not None else None
        silent = network.out.silent if network is not None else None
        for data in protocol.data_to_send():
            if silent is not None:
                continue
            if data:
                self.out.append(data)
            else:
                self._ending = True
        received, sent = protocol.close_rcvd, protocol.close_sent
        if received is not None and not self._close_in:
            self._close_in = True
            time = self.journal.close(monotonic(), IN, received.code, received.reason)
            data = b"" if received.code == 1005 else received.serialize()
            self.noticed(CLOSE, data, time)
        if sent is not None and not self._close_out:
            self._close_out = True
            self._failed = self._ending and received is None
            slow = "slow_close" if network is not None and network.slow_close() else None
            fault = self._fault or silent or slow
            self.journal.close(monotonic(), OUT, sent.code, sent.reason, fault, self._relay)
            self._end()

    def flush(self) -> None:
        """Write what the session and the protocol have to say, as one write."""
        if self.bridge is not None:
            self.bridge.write()
        out, self.out = self.out, []
        if self.lost or self.transport.is_closing():
            return
        if out:
            if len(out) == 1:
                self.transport.write(out[0])
            elif len(out) < 16 and sum(map(len, out)) > VIEWED_READ:
                self.transport.writelines(out)
            else:
                self.transport.write(b"".join(out))
        if self._ending:
            self._ending = False
            network = self.session.network if self.session is not None else None
            lingers = network.slow_close() if network is not None and not self.listener.stopped else 0.0
            if lingers:
                self.deadline.linger(lingers)
                self.listener.loop.call_later(lingers, self._say_no_more)
                return
            self._say_no_more()

    def _say_no_more(self) -> None:
        """End our half of the TCP connection."""
        if not self.lost and not self.transport.is_closing():
            self.pace()
            if self.transport.can_write_eof():
                # Not close(): with unread bytes the kernel would send a reset, which may overtake our close frame.
                self.transport.write_eof()
                self.deadline.end(self.abort)
            else:
                self.transport.close()

    def pace(self) -> None:
        """Read only while the session takes messages and the peer takes ours; and what ends the connection."""
        bridge = self.bridge
        if bridge is not None:
            bridge.read(on=self.takes or self.lost)
        if self.lost or self.transport.is_closing():
            return
        full = self._held or self._write_paused or self._unread or (bridge is not None and bridge.full)
        if self.session is not None and full and self.frames.open:
            self.transport.pause_reading()
        else:
            self.transport.resume_reading()

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
        self.waits.ended()

    def _ended(self) -> None:
        """Log the end of the TCP connection."""
        self.frames.confirm()
        protocol = self.frames.protocol
        closed = None if protocol is None else protocol.close_sent if self._failed else protocol.close_rcvd
        if closed is None:
            way = OUT if self.aborted else IN
            time = self.journal.add(monotonic(), way, ABORT, fault=self._fault, relay=self._relay)
            self.noticed(ABORT, b"", time)
        self._end()
        if self.bridge is not None:
            self.bridge.gone()
        record = self.record
        record.close_code, record.close_reason = (1006, "") if closed is None else (closed.code, closed.reason)
        record.closed_ns = self.journal.session.time_ns(monotonic())
        if self.watch is not None:
            self.watch.closed(record)

    async def cancel(self, seconds: float) -> None:
        """Cancel what still runs of the author's, and give it so long to end."""
        if self._tasks is not None:
            await self._tasks.cancel(seconds)

    def forget(self) -> None:
        """In a forked child: give the socket's descriptor back without a word to the peer, who is the parent's."""
        give_back(self.transport)
