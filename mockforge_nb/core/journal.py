"""One connection's rows of the traffic, the same for real and for simulated ones."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeAlias

from .events import NAN, Burst, Runs, Send
from .faults import lost
from .log import DROPPED, IN, INJECTED, OUT, Log
from .message import CLOSE
from .record import ConnectionRecord
from .session import Session

Tap: TypeAlias = Callable[[ConnectionRecord, int, int, int, bytes, tuple[int, str] | None], None]


class Journal:
    """Adds rows to a log, with the time of the connection's session.

    Args:
        log: Where rows go.
        record: The connection.
        session: Its session.
        started: When the server started, on the driver's clock (s).
        tap: Told of each row that crossed the wire: connection, time (UTC ns), direction, opcode, payload and
            close.
    """

    __slots__ = ("_log", "_started", "record", "session", "tap")

    def __init__(
        self, log: Log, record: ConnectionRecord, session: Session, started: float, tap: Tap | None = None
    ) -> None:
        self._log = log
        self.tap = tap
        self._started = started
        self.record = record
        self.session = session

    def add(
        self,
        now: float,
        direction: int,
        opcode: int,
        payload: bytes = b"",
        close: tuple[int, str] | None = None,
        fault: str | None = None,
        delay_ms: float = NAN,
        relay: str | None = None,
    ) -> int:
        """Log a frame that no step sent, a handshake or an end; return its time (UTC ns)."""
        time = self.session.time_ns(now)
        elapsed = int((now - self._started) * 1e9)
        self._log.add(
            time, elapsed, self.record, direction, opcode, payload, -1, -1, NAN, delay_ms, fault, close, relay
        )
        if self.tap is not None:
            self.tap(self.record, time, direction, opcode, payload, close)
        return time

    def close(
        self, now: float, direction: int, code: int, reason: str, fault: str | None = None, relay: str | None = None
    ) -> int:
        """Log a close frame; return its time (UTC ns)."""
        # 1005 stands for a close frame without a code, RFC 6455 §7.1.5.
        payload = b"" if code == 1005 else code.to_bytes(2, "big") + reason.encode()
        return self.add(now, direction, CLOSE, payload, (code, reason), fault, relay=relay)

    def sent(self, now: float, one: Send, direction: int = OUT) -> None:
        """Log a message that leaves, or comes."""
        time = self.session.time_ns(now, one.due_ms)
        relay = one.relay
        if relay is not None and lost(one.fault):
            relay = DROPPED
        elif relay is None:
            relay = self.session.says  # by a rule, or in the place of an upstream that is down
        if self.tap is not None and not lost(one.fault):
            self._tapped(one, time, direction)
        self._log.add(
            time,
            int((now - self._started) * 1e9),
            self.record,
            direction,
            one.opcode,
            one.payload,
            one.step,
            one.rule,
            one.due_ms,
            one.delay_ms,
            one.fault,
            None,
            relay,
            None if one.original is None else one.original.plain,
        )

    def _tapped(self, one: Send, time: int, direction: int) -> None:
        """Tell the tap what the client said or heard, whatever was made of it for the upstream."""
        assert self.tap is not None
        if direction == IN and one.relay != INJECTED:
            said = one.original or one
            self.tap(self.record, time, IN, said.opcode, said.payload, None)
        elif direction == OUT and one.relay != DROPPED:
            self.tap(self.record, time, OUT, one.opcode, one.payload, None)

    def all(self, now: float, direction: int, runs: Runs, relay: str | None = None) -> int:
        """Log messages that came or leave together and that no step sent; return their time (UTC ns)."""
        speech = self.session.speech
        time = speech.time_ns(now, speech.script_ms)
        elapsed = int((now - self._started) * 1e9)
        for opcode, payloads in runs:
            self._log.add_many(time, elapsed, self.record, direction, opcode, payloads, relay)
            if self.tap is not None:
                for payload in payloads:
                    self.tap(self.record, time, direction, opcode, payload, None)
        return time

    def burst(self, now: float, one: Burst) -> None:
        """Log a run of steps that leave together."""
        time = self.session.time_ns(now)
        if self.tap is not None:
            for index, payload in enumerate(one.program.payloads(one.first, one.last), one.first):
                self.tap(self.record, time, OUT, one.program.opcode(index), payload, None)
        self._log.add_burst(
            time,
            int((now - self._started) * 1e9),
            self.record,
            one.program,
            one.first,
            one.last,
            one.scale,
            one.start_ms,
            one.rule,
            self.session.says,
        )
