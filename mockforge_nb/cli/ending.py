"""Until when a command runs that ends with Ctrl-C."""

from __future__ import annotations

import os
import signal
import time
from queue import Empty, SimpleQueue
from types import FrameType, TracebackType
from typing import Any, Final, Literal, Self

from .say import hurry

SIGNALS: Final = tuple(
    getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP", "SIGBREAK") if hasattr(signal, name)
)  # SIGHUP: its terminal was closed; SIGBREAK: Windows' Ctrl-Break

AGAIN_SECONDS: Final = 0.3
"""How soon after a signal another one is taken for the same: keys bounce, and a shell may pass on what we had, too."""
UNREAD_SECONDS: Final = 1.0
"""How long, once it ends, is waited for who should read the output and does not."""

Why = Literal["signal", "time", "done"]


class Ending:
    """Takes the signals that end a command, as long as its block runs; a second one ends the process at once.

    Attributes:
        why: Why it has ended; None: it has not.
        parting: What is written to the terminal before the process ends at once, so that it can be used again.
    """

    def __init__(self) -> None:
        # A queue of C: its put may interrupt its get, as a signal's handler does.
        self._queue: SimpleQueue[Why] = SimpleQueue()
        self._until: float | None = None
        self._signalled_at = 0.0
        self._before: dict[int, Any] = {}
        self.why: Why | None = None
        self.parting = b""

    def __enter__(self) -> Self:
        for number in SIGNALS:
            # nohup has it ignored; that others are is the doing of shells that start us with an ampersand.
            if number != getattr(signal, "SIGHUP", None) or signal.getsignal(number) is not signal.SIG_IGN:
                self._before[number] = signal.signal(number, self._signalled)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for number, before in self._before.items():
            signal.signal(number, before)

    def _signalled(self, number: int, frame: FrameType | None) -> None:
        now = time.monotonic()
        if self.why is None:
            self.why, self._signalled_at = "signal", now
            hurry(UNREAD_SECONDS)
            self._queue.put("signal")
        elif now - self._signalled_at >= AGAIN_SECONDS:
            if self.parting:
                os.write(1, self.parting)
            os._exit(128 + number)

    def after(self, seconds: float | None) -> None:
        """Let it end after a time from now on; None: at no time."""
        self._until = None if seconds is None else time.monotonic() + seconds

    def end(self) -> None:
        """Let it end; any thread may say so."""
        self._queue.put("done")

    def over(self) -> bool:
        """Return whether it has ended, without waiting."""
        return self.wait(0)

    def left(self, most: float) -> float:
        """Return how long may be waited, at most `most` (s)."""
        return most if self._until is None else max(0.0, min(most, self._until - time.monotonic()))

    def wait(self, seconds: float) -> bool:
        """Wait so long for the end; return whether it came."""
        if self.why is not None:
            return True
        try:
            why = self._queue.get(timeout=self.left(seconds))
        except Empty:
            if self._until is None or time.monotonic() < self._until:
                return False
            why = "time"
        self.why = self.why or why
        return True
