"""Events that are written while others are told: a batch ahead, and only as long as somebody listens."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncGenerator, Callable, Iterator
from dataclasses import dataclass
from typing import Any, Protocol

from mockforge_nb.core.narrative import Author, MakeAuthor, Moment, Pace, Told
from mockforge_nb.errors import GeneratorError

from .pump import Pump
from .tasks import no_exit

MOST_EVENTS = 10_000
"""How many events a client may fall behind those that share the story with it; then it misses some."""


class Story(Protocol):
    """What a telling needs to know of a story; `mockforge_nb.narratives` has it."""

    @property
    def batch(self) -> int:
        """How many events are written ahead."""
        ...

    @property
    def anew(self) -> bool:
        """Whether each batch has an author of its own."""
        ...

    def moments(self) -> Iterator[Moment]:
        """Return the events that there are."""
        ...

    def prompt(self, moments: list[Moment], before: list[Any]) -> str:
        """Return what is said to who is to write these events, after those that were written last."""
        ...

    def finish(self, moment: Moment, event: Any) -> tuple[Told, Any]:
        """Return what is sent for a written event, and the event.

        Raises:
            GeneratorError: It cannot be sent.
        """
        ...


@dataclass(slots=True, eq=False)
class _Reader:
    """Somebody who is told the story: the number of the event that comes next, and whether it is waited for."""

    next: int
    waits: bool = False


class Listening:
    """The events for one who listens; `pace` has their times.

    Args:
        events: Gives them.
        pace: As in `Telling`.
    """

    __slots__ = ("_events", "pace")

    def __init__(self, events: AsyncGenerator[Told, None], pace: Pace) -> None:
        self._events = events
        self.pace = pace

    def __aiter__(self) -> Listening:
        return self

    async def __anext__(self) -> Told:
        return await anext(self._events)

    async def aclose(self) -> None:
        """Leave; if nobody else listens, the writing stops."""
        await self._events.aclose()


class Telling:
    """A story that is told to one connection, or to all that share it.

    The next batch is begun as soon as fewer events than a batch wait to be told. When the last who listens leaves,
    the writing stops; who comes then is told what was written and not told, and the story goes on from there.

    Args:
        story: The story.
        author: Makes who writes it.
    """

    def __init__(self, story: Story, author: MakeAuthor) -> None:
        self._story, self._make, self._pace = story, author, Pace()
        self._moments: Iterator[Moment] = story.moments()
        self._ordered: deque[Moment] = deque()  # the batch that is being written
        self._held: Moment | None = None  # the first one of the next batch
        self._broken: Exception | None = None  # why it is not known what comes after the batch
        self._author: Author | None = None
        self._about = ""  # the narrative that they were made for
        self._before: deque[Any] = deque(maxlen=story.batch)  # the last events that were written
        self._kept: deque[Told] = deque(maxlen=MOST_EVENTS + 2 * story.batch)
        self._count = 0  # how many were written
        self._readers: set[_Reader] = set()
        self._changed = asyncio.Event()
        self._writing: asyncio.Task[None] | None = None
        self._ended = False
        self._error: Exception | None = None

    def listen(self) -> Listening:
        """Return the events, from the first that was not told yet.

        It raises what the author raised; who comes when nobody listens has that tried again.
        """
        return Listening(self._read(), self._pace)

    async def _read(self) -> AsyncGenerator[Told, None]:
        reader = _Reader(self._pace.told)
        self._enter(reader)
        try:
            while (one := await self._next(reader)) is not None:
                yield one
        finally:
            await self._leave(reader)

    def _enter(self, reader: _Reader) -> None:
        if not self._readers:
            self._error = None
            self._pace.rest()
            for one in self._kept:
                if one.number >= self._pace.told:
                    one.due = None
        self._readers.add(reader)

    async def _leave(self, reader: _Reader) -> None:
        self._readers.discard(reader)
        writing = self._writing
        if writing is not None and not self._readers:
            writing.cancel()
            await asyncio.wait([writing])  # its author's `finally` blocks have run then

    async def _next(self, reader: _Reader) -> Told | None:
        """Return the next event for a reader; None: the story is over."""
        while True:
            reader.next = max(reader.next, self._count - len(self._kept))
            if reader.next < self._count:
                one = self._kept[reader.next - self._count]
                reader.next += 1
                self._forget()
                self._tell()
                self._write()
                return one
            if self._error is not None:
                raise self._error
            if self._ended:
                return None
            self._write()
            reader.waits = True
            try:
                await self._changed.wait()
            finally:
                reader.waits = False

    def _forget(self) -> None:
        """Keep what somebody may still be told."""
        needed = min(self._pace.told, *(reader.next for reader in self._readers))
        while self._kept and self._kept[0].number < needed:
            self._kept.popleft()

    def _tell(self) -> None:
        """Wake all who wait for something to change."""
        self._changed.set()
        self._changed.clear()

    # Writing

    @property
    def _room(self) -> bool:
        """Whether fewer events than a batch wait for the first of those who listen."""
        return self._count - max((reader.next for reader in self._readers), default=0) < self._story.batch

    def _write(self) -> None:
        """Have the next batch written, unless enough is."""
        if self._writing is None and self._room and not self._ended and self._error is None:
            self._writing = asyncio.get_running_loop().create_task(self._batches())
            self._writing.add_done_callback(self._written)

    def _written(self, _: object) -> None:
        self._writing = None
        if self._readers:
            self._write()  # for who came while the writing was being stopped
        self._tell()

    async def _batches(self) -> None:
        try:
            while self._room and not self._ended:
                await self._batch()
        except Exception as error:  # noqa: BLE001  # its author's, raised for each who listens
            self._error = error
        except (SystemExit, KeyboardInterrupt) as error:
            self._error = no_exit(error)
        except asyncio.CancelledError as error:
            task = asyncio.current_task()
            if task is None or task.cancelling():
                raise
            # Nobody cancelled it: taken for an end of the writing, it would be begun anew without a pause.
            problem = "raised CancelledError, and nobody had cancelled it; it catches that of what it awaits"
            self._error = GeneratorError(f"narrate(): the story's author {problem}")
            self._error.__cause__ = error

    async def _batch(self) -> None:
        """Write a batch, or what is left of the one that was interrupted."""
        if not self._ordered:
            self._order()
        if not self._ordered:
            self._ended = True
            return
        about = self._ordered[0].narrative
        if self._author is None or self._story.anew or about != self._about:
            self._author = await _made(self._make, self._story.prompt([*self._ordered], [*self._before]))
            self._about = about
        wanted = len(self._ordered)
        events = self._author.write(wanted)
        if not hasattr(events, "__aiter__"):
            if hasattr(events, "close"):
                events.close()  # a coroutine, which would warn that nobody awaited it
            problem = f"write() of a {type(self._author).__name__} returned a {type(events).__name__}"
            raise GeneratorError(f"narrate(): {problem}; it must be an async generator, `async def` with `yield`")
        try:
            async for event in events:
                self._add(*self._story.finish(self._ordered[0], event))
                if not self._ordered:
                    return
        finally:
            close: Callable[[], Any] | None = getattr(events, "aclose", None)
            if close is not None:
                await close()
        got = wanted - len(self._ordered)
        raise GeneratorError(
            f"narrate(): the story's author ended after {self._count} events: it wrote {got} of the {wanted} that "
            "were asked for; it raises GeneratorError with the reason if it cannot go on"
        )

    def _order(self) -> None:
        """Take the next batch: events of one narrative, so that one author writes them all."""
        if self._broken is not None:
            raise self._broken
        try:
            while len(self._ordered) < self._story.batch:
                moment = self._held or next(self._moments, None)
                if moment is None:
                    break
                self._held = moment if self._ordered and moment.narrative != self._ordered[0].narrative else None
                if self._held is not None:
                    break
                self._ordered.append(moment)
        except GeneratorError as error:
            self._broken = error
            if not self._ordered:
                raise

    def _add(self, one: Told, event: Any) -> None:
        one.waited = any(reader.waits and reader.next == one.number for reader in self._readers)
        self._ordered.popleft()
        self._before.append(event)
        self._kept.append(one)
        self._count += 1
        self._tell()


async def _made(make: MakeAuthor, prompt: str) -> Author:
    """Return an author, who is made on a thread: that may take a model's start."""
    pump = Pump(map(make, [prompt]))
    try:
        (author,) = await pump.ask(1)
    finally:
        pump.close()
    made: Author = author
    return made
