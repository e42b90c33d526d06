"""One connection's rows of the traffic."""

from __future__ import annotations

from time import monotonic
from typing import TYPE_CHECKING

from mockforge_nb.core.events import Burst, Send
from mockforge_nb.core.log import HANDSHAKE, IN, OUT, ConnectionRecord
from mockforge_nb.core.message import CLOSE
from mockforge_nb.core.session import Session

if TYPE_CHECKING:
    from .listener import Listener


class Journal:
    """Adds rows to the listener's log, with the time of the connection's session."""

    __slots__ = ("_listener", "_log", "record", "session")

    def __init__(self, listener: Listener, record: ConnectionRecord, session: Session) -> None:
        self._listener = listener
        self._log = listener.log
        self.record = record
        self.session = session

    def add(self, direction: int, opcode: int, payload: bytes = b"", close: tuple[int, str] | None = None) -> int:
        """Log a frame that no step sent, a handshake or an end; return its time."""
        now = monotonic()
        time = self.session.time_ns(now)
        self._log.add(time, self._listener.elapsed_ns(now), self.record, direction, opcode, payload, close=close)
        return time

    def close(self, direction: int, code: int, reason: str) -> None:
        """Log a close frame."""
        # 1005 stands for a close frame without a code, RFC 6455 §7.1.5.
        payload = b"" if code == 1005 else code.to_bytes(2, "big") + reason.encode()
        self.add(direction, CLOSE, payload, (code, reason))

    def sent(self, one: Send) -> None:
        """Log a message that leaves."""
        now = monotonic()
        self._log.add(
            self.session.time_ns(now, one.due_ms),
            self._listener.elapsed_ns(now),
            self.record,
            OUT,
            one.opcode,
            one.payload,
            one.step,
            -1,
            one.due_ms,
            one.delay_ms,
        )

    def burst(self, one: Burst) -> None:
        """Log a run of steps that leave together."""
        now = monotonic()
        self._log.add_burst(
            self.session.time_ns(now),
            self._listener.elapsed_ns(now),
            self.record,
            one.program,
            one.first,
            one.last,
            one.scale,
            one.start_ms,
        )


def refused(listener: Listener, path: str, why: str) -> None:
    """Log a handshake that did not become a connection."""
    now = monotonic()
    clock = listener.plan.clock_ns
    time = listener.epoch_ns + int(now * 1e9) if clock is None else clock
    record = ConnectionRecord(0, path, opened_ns=time)
    listener.log.add(time, listener.elapsed_ns(now), record, IN, HANDSHAKE, why.encode(errors="replace"))
