"""Give the process's other threads their turn while the loop's thread has much to do."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Final

AFTER: Final = 0.002
"""How long the loop may work on end (s); less than the interpreter lets any thread (5 ms)."""

NAP: Final = 50e-6
"""How long it rests then (s); timers make that about 0.1 ms, 5% of the time."""

BUSY: Final = 0.75
"""Which part of the time it must have worked, to have worked on end."""


class Courtesy:
    """Rests a moment now and then, as long as the loop works on end.

    A loop that reads and writes without a pause lets go of the interpreter's lock at each system call and takes it
    back before another thread wakes up; and each time, the other thread's claim to it (after 5 ms) begins anew. The
    cell that waits for a message of a busy server would wait for seconds.

    Args:
        clock: The time, in s.
        used: The processor time of the calling thread, in s.
        sleep: Lets go of the interpreter's lock for so many seconds.
    """

    __slots__ = ("_clock", "_looked", "_sleep", "_used", "_used_then")

    def __init__(
        self,
        clock: Callable[[], float] = time.monotonic,
        used: Callable[[], float] = time.thread_time,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._clock, self._used, self._sleep = clock, used, sleep
        self._looked = self._used_then = 0.0

    def turn(self, now: float) -> None:
        """Take note that something was done at `now` (s), and rest if it is time; for the loop's thread."""
        if now - self._looked < AFTER:
            return
        used = self._used()
        if used - self._used_then > BUSY * AFTER and used - self._used_then > BUSY * (now - self._looked):
            self._sleep(NAP)
        self._looked, self._used_then = self._clock(), used
