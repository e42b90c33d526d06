"""One connection's way through a stream: when the next item is due, and what it is."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from typing import Any

from .events import Close, Drop
from .plan import Stream
from .rules import Answer, Connected, one_message


@dataclass(frozen=True, slots=True)
class Poured:
    """An item that is due: what is sent, its number from 0, when it was due (s), and the stream's time (ms)."""

    answer: Answer
    index: int
    due: float
    script_ms: float


class Feed:
    """Takes items from a source at its rate.

    With a rate, item ``i`` is due ``i / rate`` after the start; a source that falls behind by more than one
    interval goes on from there, so that what was late does not come as a burst.

    Attributes:
        slow: Whether the source takes its time, so that the driver asks it elsewhere; asynchronous ones do.
        done: Whether the source has ended.
        source: What is iterated.
    """

    def __init__(self, stream: Stream, now: float, connection: Connected | None) -> None:
        self._interval = 1 / stream.rate if stream.rate is not None else 0.0
        self.source = stream.open(connection)
        self._asked = False
        self._ready: list[Any] = []
        self._index = 0
        self._due = now
        self.slow = not isinstance(self.source, Iterator)
        self.done = False

    def wants(self) -> Iterator[Any] | AsyncIterator[Any] | None:
        """Return the source if the driver has to ask it for its next item; it is not said twice."""
        if self.done or self._asked or self._ready or not self.slow:
            return None
        self._asked = True
        return self.source

    def come(self, item: Any, now: float) -> None:
        """Take the item that was asked for."""
        self._asked = False
        self._ready.append(item)
        if self._due < now - self._interval or not self._interval:
            self._due = now

    def end(self) -> None:
        """Take note that the source has ended."""
        self.done = True
        self._ready.clear()

    def due(self) -> float | None:
        """Return when there is something to do (s); None: not before the source says something, or never."""
        return self._due if not self.done and (self._ready or not self.slow) else None

    def take(self, now: float) -> Poured | None:
        """Return what is due at `now`; None: nothing is, or the source has ended.

        Raises:
            Exception: What the source raises, or an OptionError: an item cannot be sent.
        """
        if self.done or self._due > now:
            return None
        if self._ready:
            item = self._ready.pop()
        elif isinstance(self.source, Iterator) and not self.slow:
            try:
                item = next(self.source)
            except StopIteration:
                self.end()
                return None
        else:
            return None
        answer: Answer = item if isinstance(item, (Close, Drop)) else one_message(item, "stream()")
        poured = Poured(answer, self._index, self._due, self._index * self._interval * 1000)
        self._index += 1
        if self._interval:
            self._due += self._interval
            if self._due < now - self._interval:
                self._due = now
        else:
            self._due = now
        return poured
