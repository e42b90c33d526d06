"""One connection's way through a stream: when the next item is due, and what it is."""

from __future__ import annotations

from collections import deque
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from typing import Any, Final

from .events import Close, Drop
from .narrative import STARVED, Dated, Pace, Paced, Told
from .plan import Stream
from .program import Payload
from .rules import Answer, Connected, one_message

AT_ONCE: Final = 64
"""How many items of a stream without a rate are asked for together."""

_QUICK: Final = frozenset(map(type, map(iter, ([], (), range(0), "", {}, {}.values(), {}.items(), set(), deque()))))
"""Iterators that run nobody's code; all others may take their time, so that the driver asks them."""


@dataclass(frozen=True, slots=True)
class Poured:
    """An item that is due.

    Attributes:
        answer: What is sent.
        index: Its number, from 0.
        due: When it was due (s).
        script_ms: The stream's time (ms).
        fault: What the traffic says of it; None: nothing.
    """

    answer: Answer | Dated
    index: int
    due: float
    script_ms: float
    fault: str | None = None


class Feed:
    """Takes items from a source at its rate, or at the times that come with them.

    With a rate, item ``i`` is due ``i / rate`` after the start; a source that falls behind by more than one
    interval goes on from there, so that what was late does not come as a burst. A story's events are due as its
    `Pace` says.

    Args:
        stream: What is streamed.
        now: The driver's time (s).
        connection: The connection that it is for; None: there is none.
        began: When it began (s): what was due before `now` is past.

    Attributes:
        source: What is iterated.
        done: Whether nothing is left.
    """

    def __init__(self, stream: Stream, now: float, connection: Connected | None, began: float | None = None) -> None:
        self.source = stream.open(connection)
        self._timed, self._scale = stream.timed, 1 / stream.speed
        self._entered, self._began = now, now if began is None else began
        self._pace: Pace | None = None
        if stream.paced:
            assert isinstance(self.source, Paced)
            self._pace = self.source.pace
        self._rate = stream.rate
        self._interval = 1 / stream.rate if stream.rate is not None else 0.0
        self._quick = type(self.source) in _QUICK
        self._asked = self._ended = False
        self._ready: deque[Any] = deque()
        self._index = 0
        self._due = now

    @property
    def done(self) -> bool:  # noqa: D102  # described by the class
        return self._ended and not self._ready

    def wants(self) -> tuple[Iterator[Any] | AsyncIterator[Any], int] | None:
        """Return the source and how many items the driver has to ask it for; it is not said twice."""
        if self._ended or self._asked or self._ready or self._quick:
            return None
        self._asked = True
        return self.source, 1 if self._interval or self._pace is not None else AT_ONCE

    def come(self, items: list[Any], now: float) -> None:
        """Take items that were asked for."""
        self._asked = False
        self._ready += items
        if self._pace is not None:
            for told in items:
                self._pace.set(told, now)
            return
        if self._timed:
            while self._ready and self._due_of(self._ready[0]) < self._entered:
                self._ready.popleft()
                self._index += 1
            return
        if self._due < now - self._interval or not self._interval:
            self._due = now

    def end(self) -> None:
        """Take note that the source has ended."""
        self._ended = True

    def due(self) -> float | None:
        """Return when there is something to do (s); None: not before the source says something, or never."""
        if self._timed:
            return self._due_of(self._ready[0]) if self._ready else None
        if self._pace is not None:
            told: Told | None = self._ready[0] if self._ready else None
            return None if told is None else told.due
        return self._due if self._ready or (self._quick and not self._ended) else None

    def _due_of(self, item: tuple[float, Payload]) -> float:
        return self._began + item[0] * self._scale / 1000

    def take(self, now: float) -> Poured | None:
        """Return what is due at `now`; None: nothing is, or the source has ended.

        Raises:
            OptionError: An item cannot be sent.
        """
        if self._timed:
            return self._take_timed(now)
        if self._pace is not None:
            return self._take_told(now, self._pace)
        if self._due > now:
            return None
        if self._quick and not self._ready and not self._ended:
            self._ready.extend(self._next())
        if not self._ready:
            return None
        item = self._ready.popleft()
        answer: Answer = item if isinstance(item, (Close, Drop)) else one_message(item, "stream()")
        script_ms = self._index * 1000 / self._rate if self._rate is not None else 0.0
        poured = Poured(answer, self._index, self._due, script_ms)
        self._index += 1
        self._due += self._interval
        if not self._interval or self._due < now - self._interval:
            self._due = now
        return poured

    def _take_timed(self, now: float) -> Poured | None:
        if not self._ready or (due := self._due_of(self._ready[0])) > now:
            return None
        ms, payload = self._ready.popleft()
        self._index += 1
        return Poured(payload, self._index - 1, due, ms * self._scale)

    def _take_told(self, now: float, pace: Pace) -> Poured | None:
        if not self._ready:
            return None
        told: Told = self._ready[0]
        due = pace.set(told, now)
        if due > now:
            return None
        self._ready.popleft()
        pace.tell(told)
        return Poured(told.answer, told.number, due, told.ms, STARVED if told.starved else None)

    def _next(self) -> Iterator[Any]:
        assert isinstance(self.source, Iterator)
        try:
            yield next(self.source)
        except StopIteration:
            self.end()
