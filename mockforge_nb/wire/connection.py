"""One TCP connection: RFC 6455 by `websockets`' sans-I/O protocol, what to say by a Session."""

from __future__ import annotations

import asyncio
import logging
import os
from http import HTTPStatus
from time import monotonic
from typing import TYPE_CHECKING, cast
from urllib.parse import parse_qsl, urlsplit

from websockets.frames import Frame, Opcode
from websockets.http11 import Request
from websockets.protocol import OPEN
from websockets.server import ServerProtocol

from mockforge_nb.core.events import (
    Burst,
    Close,
    Closed,
    Command,
    Drop,
    Event,
    Failed,
    Opened,
    Paused,
    Reading,
    Received,
    Resumed,
    Send,
    WakeAt,
    Woke,
)
from mockforge_nb.core.log import ABORT, HANDSHAKE, IN, OUT, ConnectionRecord
from mockforge_nb.core.message import BINARY, CLOSE, PING, PONG, TEXT, Message
from mockforge_nb.core.program import frame
from mockforge_nb.core.session import Identity, Session

if TYPE_CHECKING:
    from .listener import Listener

CLOSE_SECONDS = 1.0
"""How long a peer has to end the TCP connection after the closing handshake."""

# Frames and handshakes are rows of the traffic; a library's log on stderr would land in some notebook cell.
_SILENT = logging.getLogger("mockforge_nb.wire")
_SILENT.addHandler(logging.NullHandler())
_SILENT.propagate = False
_SILENT.setLevel(logging.CRITICAL)


class Connection(asyncio.Protocol):
    """Feeds a Session with what comes in and carries out what it answers; all on the loop's thread.

    Attributes:
        record: The connection's entry in the log; None: the handshake is not done.
        wake_at: The time that the session wants to be woken at, for `Timers`.
    """

    def __init__(self, listener: Listener) -> None:
        self.listener = listener
        self.record: ConnectionRecord | None = None
        self.session: Session | None = None
        self.wake_at: float | None = None
        self._transport: asyncio.Transport
        self._protocol = ServerProtocol(max_size=listener.plan.message_bytes, logger=_SILENT)
        self._fragments: list[bytes] = []
        self._fragments_opcode = TEXT
        self._out: list[bytes | memoryview] = []
        self._held = self._write_paused = False
        self._lost = False
        self._aborted = False
        self._deadline: asyncio.TimerHandle | None = None

    @property
    def open(self) -> bool:
        """Whether messages can be sent."""
        return self.session is not None and not self._lost and self._protocol.state is OPEN

    # What the transport tells

    def connection_made(self, transport: asyncio.BaseTransport) -> None:  # noqa: D102  # asyncio.Protocol's
        self._transport = cast(asyncio.Transport, transport)  # uvloop's are no subclass of it
        self.listener.sockets.add(self)
        self._deadline = self.listener.loop.call_later(self.listener.handshake_seconds, self._give_up)

    def data_received(self, data: bytes) -> None:  # noqa: D102
        self._protocol.receive_data(data)
        self._process()

    def eof_received(self) -> None:  # noqa: D102
        self._protocol.receive_eof()
        self._process()

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: D102
        self._lost = True
        self.listener.sockets.discard(self)
        if self._deadline is not None:
            self._deadline.cancel()
        self._protocol.receive_eof()
        if self.record is not None:
            if self._protocol.close_rcvd is None:
                self._row(OUT if self._aborted else IN, ABORT, b"")
            self._end()
            self.record.closed_ns = self._now_ns()
            closed = self._protocol.close_rcvd
            self.record.close_code = 1006 if closed is None else closed.code
            self.record.close_reason = "" if closed is None else closed.reason
        elif self._protocol.state.name == "CONNECTING" and not self._protocol.eof_sent:
            self._refused(None, "connection ended before its handshake")
        self.listener.gone(self)

    def pause_writing(self) -> None:  # noqa: D102
        self._write_paused = True
        self._reading()
        self._tell(Paused())

    def resume_writing(self) -> None:  # noqa: D102
        self._write_paused = False
        self._reading()
        self._tell(Resumed())

    def wake(self) -> None:
        """Tell the session that its time has come."""
        self._tell(Woke())

    # The session

    def _tell(self, event: Event) -> None:
        if self.session is not None and not self._lost:
            self._carry_out(self.session.handle(event, monotonic()))
            self._flush()

    def tell(self, event: Event) -> bool:
        """Tell the session something from outside; return whether the connection is open."""
        if not self.open:
            return False
        self._tell(event)
        return True

    def _carry_out(self, commands: list[Command]) -> None:
        for command in commands:
            kind = type(command)
            if kind is WakeAt:
                self.listener.timers.at(command.time, self)  # type: ignore[union-attr]
            elif isinstance(command, Failed):
                self.listener.failed(command.error, self, command.step)
            elif isinstance(command, Reading):
                self._held = not command.on
                self._reading()
            elif isinstance(command, Drop):
                self.abort()
            elif self._protocol.state is not OPEN:
                continue
            elif isinstance(command, Send):
                self._send(command)
            elif isinstance(command, Burst):
                self._burst(command)
            elif isinstance(command, Close):
                self.close(command.code, command.reason)

    def _send(self, command: Send) -> None:
        assert self.record is not None
        self._out.append(frame(command.opcode, command.payload))
        now = monotonic()
        session = self.session
        assert session is not None
        self.listener.log.add(
            session.time_ns(now, command.due_ms),
            self.listener.elapsed_ns(now),
            self.record,
            OUT,
            command.opcode,
            command.payload,
            command.step,
            -1,
            command.due_ms,
            command.delay_ms,
        )

    def _burst(self, command: Burst) -> None:
        assert self.record is not None
        assert self.session is not None
        self._out.append(command.frames)
        now = monotonic()
        self.listener.log.add_burst(
            self.session.time_ns(now),
            self.listener.elapsed_ns(now),
            self.record,
            command.program,
            command.first,
            command.last,
            command.scale,
            command.start_ms,
        )

    # The protocol

    def _process(self) -> None:
        """Handle what the protocol made of the bytes that came."""
        messages: list[Message] = []
        try:
            for event in self._protocol.events_received():
                if isinstance(event, Request):
                    self._handshake(event)
                elif isinstance(event, Frame):
                    self._frame(event, messages)
        except UnicodeDecodeError as error:
            self._protocol.fail(1007, f"invalid UTF-8 at byte {error.start} of the message")
        if self.session is None and self._protocol.handshake_exc is not None and self.record is None:
            self._refused(None, str(self._protocol.handshake_exc.__cause__ or self._protocol.handshake_exc))
        if messages and self.session is not None:
            self._carry_out(self.session.handle(Received(messages), monotonic()))
        self._flush()
        if messages:
            self.listener.arrived(self, messages)

    def _frame(self, one: Frame, messages: list[Message]) -> None:
        opcode = one.opcode
        if self.record is None:
            return
        if opcode is Opcode.PING:
            self._row(IN, PING, bytes(one.data))
            self._row(OUT, PONG, bytes(one.data))
        elif opcode is Opcode.PONG:
            self._row(IN, PONG, bytes(one.data))
        elif opcode is Opcode.CLOSE:
            received = self._protocol.close_rcvd
            assert received is not None
            self._row(IN, CLOSE, bytes(one.data), (received.code, received.reason))
            if self._protocol.close_rcvd_then_sent:
                self._row(OUT, CLOSE, bytes(one.data), (received.code, received.reason))
            self._end()
        elif opcode is Opcode.CONT or not one.fin:
            if opcode is not Opcode.CONT:
                self._fragments, self._fragments_opcode = [], TEXT if opcode is Opcode.TEXT else BINARY
            self._fragments.append(bytes(one.data))
            if one.fin:
                payload, self._fragments = b"".join(self._fragments), []
                self._message(self._fragments_opcode, payload, messages)
        else:
            self._message(TEXT if opcode is Opcode.TEXT else BINARY, bytes(one.data), messages)

    def _message(self, opcode: int, payload: bytes, messages: list[Message]) -> None:
        assert self.record is not None
        if opcode == TEXT and not payload.isascii():
            payload.decode()  # RFC 6455 §8.1: text that is not UTF-8 fails the connection
        time = self._row(IN, opcode, payload)
        messages.append(Message(payload, opcode, connection=self.record.number, time=time))

    def _handshake(self, request: Request) -> None:
        assert self._deadline is not None
        self._deadline.cancel()
        target = urlsplit(request.path)
        protocol = self._protocol
        if not self.listener.serves(target.path):
            known = ", ".join(self.listener.paths())
            protocol.send_response(
                protocol.reject(HTTPStatus.NOT_FOUND, f"There is nothing at {target.path}; this mock serves {known}.\n")
            )
            self._refused(request, "404 Not Found")
            return
        if self.listener.full():
            busy = f"This mock takes {self.listener.most} connections, and they are open.\n"
            protocol.send_response(protocol.reject(HTTPStatus.SERVICE_UNAVAILABLE, busy))
            self._refused(request, "503 Service Unavailable")
            return
        response = protocol.accept(request)
        protocol.send_response(response)
        if response.status_code != 101:
            self._refused(request, f"{response.status_code} {response.reason_phrase}")
            return
        peer = self._transport.get_extra_info("peername") or ("", 0)
        requested = [p.strip() for v in request.headers.get_all("Sec-WebSocket-Protocol") for p in v.split(",")]
        headers = tuple(request.headers.raw_items())
        self.record = ConnectionRecord(
            number=self.listener.next_number(),
            path=target.path,
            query=target.query,
            headers=headers,
            subprotocols=tuple(requested),
            subprotocol=protocol.subprotocol,
            remote=f"{peer[0]}:{peer[1]}",
            opened_ns=0,
        )
        who = Identity(
            seed=self.listener.seed,
            path=target.path,
            number=self.listener.next_on_path(target.path),
            query=dict(parse_qsl(target.query, keep_blank_values=True)),
            headers={name.lower(): value for name, value in headers},
            epoch_ns=self.listener.epoch_ns,
        )
        self.session = Session(self.listener.plan, who, self.listener.head)
        self.record.opened_ns = self._now_ns()
        self.listener.log.open(self.record)
        self._row(IN, HANDSHAKE, f"GET {request.path} 101 Switching Protocols".encode())
        self._out += protocol.data_to_send()
        self.listener.opened(self)
        self._carry_out(self.session.handle(Opened(), monotonic()))

    def _refused(self, request: Request | None, why: str) -> None:
        """Log a handshake that did not become a connection."""
        asked = f"GET {request.path} " if request is not None else ""
        path = urlsplit(request.path).path if request is not None else ""
        now = monotonic()
        record = ConnectionRecord(number=0, path=path, opened_ns=self.listener.epoch_ns + int(now * 1e9))
        self.listener.log.add(
            record.opened_ns,
            self.listener.elapsed_ns(now),
            record,
            IN,
            HANDSHAKE,
            f"{asked}{why}".encode(errors="replace"),
        )
        if self._deadline is not None:
            self._deadline.cancel()
        self._protocol.handshake_exc = None

    def _give_up(self) -> None:
        """End a TCP connection that sent no handshake, or did not end after the closing one."""
        if self.record is None:
            self._refused(None, "no handshake in time")
        self._transport.abort()

    # What goes out

    def close(self, code: int, reason: str = "") -> None:
        """Begin the closing handshake, RFC 6455 §7.1.2."""
        if not self.open:
            return
        self._protocol.send_close(code, reason)
        closed = self._protocol.close_sent
        assert closed is not None
        self._row(OUT, CLOSE, closed.serialize(), (code, reason))
        self._end()
        self._flush()
        self._expect_end()

    def abort(self) -> None:
        """End the TCP connection without a close frame."""
        self._aborted = True
        self._out.clear()
        self._transport.abort()

    def _end(self) -> None:
        """Let the session end; nothing can be sent any more."""
        if self.session is not None:
            self.session.handle(Closed(), monotonic())
        self.wake_at = None

    def _expect_end(self) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
        self._deadline = self.listener.loop.call_later(CLOSE_SECONDS, self._give_up)

    def _flush(self) -> None:
        """Write what the session and the protocol have to say, as one write."""
        if self._lost:
            return
        out, self._out = self._out, []
        ended = False
        for data in self._protocol.data_to_send():
            if data:
                out.append(data)
            else:
                ended = True
        if out:
            self._transport.write(out[0] if len(out) == 1 else b"".join(out))
        if ended and not self._transport.is_closing():
            if self.record is not None and self._protocol.close_rcvd is None and self._protocol.close_sent:
                # The protocol failed the connection: RFC 6455 §7.1.7.
                failed = self._protocol.close_sent
                self._row(OUT, CLOSE, failed.serialize(), (failed.code, failed.reason))
                self._end()
            self._held = False
            self._reading()
            if self._transport.can_write_eof():
                # Not close(): with unread bytes the kernel would send a reset, which may overtake our close frame.
                self._transport.write_eof()
                self._expect_end()
            else:
                self._transport.close()

    def _reading(self) -> None:
        """Read only while the session takes messages and the peer takes ours."""
        if self._transport.is_closing():
            return
        if (self._held or self._write_paused) and self._protocol.state is OPEN:
            self._transport.pause_reading()
        else:
            self._transport.resume_reading()

    def _now_ns(self) -> int:
        assert self.session is not None
        return self.session.time_ns(monotonic())

    def _row(self, direction: int, opcode: int, payload: bytes, close: tuple[int, str] | None = None) -> int:
        assert self.record is not None
        now = monotonic()
        time = self._now_ns()
        self.listener.log.add(time, self.listener.elapsed_ns(now), self.record, direction, opcode, payload, close=close)
        return time

    def forget(self) -> None:
        """In a forked child: give the socket's descriptor back without a word to the peer, who is the parent's."""
        with_fd = self._transport.get_extra_info("socket")
        if with_fd is not None:
            try:
                os.close(with_fd.fileno())
            except OSError:
                return
