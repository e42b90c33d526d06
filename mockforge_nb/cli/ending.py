"""Until when a command runs that ends with Ctrl-C."""

from __future__ import annotations

import os
import signal
import time
from queue import Empty, SimpleQueue
from types import FrameType, TracebackType
from typing import Any, Final, Literal, Self

SIGNALS: Final = tuple(
    getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGBREAK") if hasattr(signal, name)
)  # SIGBREAK: Windows' Ctrl-Break

Why = Literal["signal", "time", "done"]


class Ending:
    """Takes the signals that end a command, as long as its block runs; a second one ends the process at once.

    Args:
        seconds: After how long it ends anyway; None: never.
    """

    def __init__(self, seconds: float | None = None) -> None:
        # A queue of C: its put may interrupt its get, as a signal's handler does.
        self._queue: SimpleQueue[Why] = SimpleQueue()
        self._until = None if seconds is None else time.monotonic() + seconds
        self._before: list[Any] = []
        self.why: Why | None = None

    def __enter__(self) -> Self:
        self._before = [signal.signal(number, self._signalled) for number in SIGNALS]
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for number, before in zip(SIGNALS, self._before, strict=True):
            signal.signal(number, before)

    def _signalled(self, number: int, frame: FrameType | None) -> None:
        if self.why is not None:
            os._exit(128 + number)
        self.why = "signal"
        self._queue.put("signal")

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
