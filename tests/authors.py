"""Authors of stories whose pen the test holds."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

from mockforge_nb.errors import GeneratorError


class Scripted:
    """Writes what it is told to, when it may, and remembers what it was asked.

    It makes itself the author of each narrative: ``author=scripted``.

    Attributes:
        events: What it writes, and raises; without end the numbers from 0 unless given.
        asked: The counts it was asked for; `narratives`: what for.
        wrote: How many events it has written.
        open: How many writings are under way.
    """

    def __init__(self, *events: Any, seconds: float = 0.0, slow_from: int = 0) -> None:
        self.events = [*events]
        self.seconds, self.slow_from = seconds, slow_from
        self.asked: list[int] = []
        self.narratives: list[str] = []
        self.wrote = 0
        self.open = 0

    def __call__(self, narrative: str) -> Scripted:
        self.narratives.append(narrative)
        return self

    async def write(self, count: int) -> AsyncIterator[Any]:
        self.asked.append(count)
        self.open += 1
        try:
            for _ in range(count):
                if self.seconds and self.wrote >= self.slow_from:
                    await asyncio.sleep(self.seconds)
                if self.events and self.wrote >= len(self.events):
                    return
                event = self.events[self.wrote] if self.events else {"n": self.wrote}
                self.wrote += 1
                if isinstance(event, BaseException):
                    raise event
                yield event
        finally:
            self.open -= 1


class Stuck(Scripted):
    """Writes so many events, and then nothing more until it is cancelled."""

    def __init__(self, events: int) -> None:
        super().__init__(seconds=3600, slow_from=events)


REFUSED = GeneratorError("the model refused")
