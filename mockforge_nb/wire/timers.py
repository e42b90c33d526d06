"""Wake many connections with one timer of the event loop."""

from __future__ import annotations

import asyncio
import heapq
from collections.abc import Callable
from itertools import count
from time import monotonic
from typing import Protocol

LEAST = 256
"""How many entries a heap may have before the first look for those that no longer count."""


class Wakeable(Protocol):
    """What can be woken: it keeps the time that it asked for last; None: it asked for none."""

    wake_at: float | None

    def wake(self) -> None:
        """Do what is due."""


class Timers:
    """One heap and one `call_later`; an entry whose time is no longer the one asked for is passed over.

    The loop's timers may fire early (uvloop rounds to milliseconds): the clock decides, never the timer.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop, clock: Callable[[], float] = monotonic) -> None:
        self._loop = loop
        self._clock = clock
        self._heap: list[tuple[float, int, Wakeable]] = []
        self._most = LEAST
        self._number = count()
        self._handle: asyncio.TimerHandle | None = None
        self._armed = float("inf")

    def at(self, time: float, what: Wakeable) -> None:
        """Wake `what` at `time` (s), in place of the time that it asked for before."""
        if what.wake_at == time:
            return
        what.wake_at = time
        heapq.heappush(self._heap, (time, next(self._number), what))
        if len(self._heap) > self._most:
            self._compact()
        if time < self._armed:
            self._arm(time)

    def _compact(self) -> None:
        """Throw out the entries that no longer count, so that times asked for again and again pile up nothing."""
        asked = {id(what): (time, number, what) for time, number, what in self._heap if what.wake_at == time}
        self._heap = list(asked.values())
        heapq.heapify(self._heap)
        self._most = max(LEAST, 2 * len(self._heap))

    def _arm(self, time: float) -> None:
        if self._handle is not None:
            self._handle.cancel()
        self._armed = time
        # Half a millisecond more, so that rounding does not fire it just before the time.
        left = time - self._clock()
        self._handle = self._loop.call_later(left + 0.0005 if left > 0 else 0, self._fire)

    def _fire(self) -> None:
        self._handle = None
        self._armed = float("inf")
        now = self._clock()
        due = []
        while self._heap and self._heap[0][0] <= now:
            time, _, what = heapq.heappop(self._heap)
            if what.wake_at == time:
                what.wake_at = None
                due.append(what)
        for what in due:
            try:
                what.wake()
            except Exception as error:  # noqa: BLE001  # one's failure must not keep the others asleep
                self._loop.call_exception_handler({"message": f"{what!r} failed on waking", "exception": error})
        if self._heap and self._heap[0][0] < self._armed:
            self._arm(self._heap[0][0])

    def close(self) -> None:
        """Wake nothing any more."""
        self._heap.clear()
        if self._handle is not None:
            self._handle.cancel()
