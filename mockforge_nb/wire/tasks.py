"""The author's coroutines and sources that run for one connection."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Iterator
from contextvars import Context
from inspect import isawaitable
from typing import Any

from mockforge_nb.core.events import Event, Raised, Returned
from mockforge_nb.errors import ConnectionClosedError

from .pump import Pump

GRACE_SECONDS = 0.05
"""How long a handler has to see that its connection is closed, before it is cancelled."""


class Tasks:
    """Runs them on the loop, and tells the session what they return or raise.

    Args:
        loop: The loop.
        tell: Tells the connection's session.
        context: What they run in, each in a copy; None: in a copy of what holds when they begin.
    """

    __slots__ = ("_context", "_loop", "_pumps", "_running", "_tell")

    def __init__(
        self, loop: asyncio.AbstractEventLoop, tell: Callable[[Event], object], context: Context | None = None
    ) -> None:
        self._loop = loop
        self._tell = tell
        self._context = context
        self._running: dict[object, asyncio.Task[None]] = {}
        self._pumps: dict[object, Pump] = {}

    def wait_for(self, awaitable: Awaitable[Any], key: object) -> None:
        """Await what a function of the author's returned."""
        self._start(_awaited(awaitable), key)

    def run(self, function: Callable[..., Any], connection: object, key: object) -> None:
        """Run the author's handler."""
        self._start(_handled(function, connection), key)

    def ask(self, source: Iterator[Any] | AsyncIterator[Any], key: object, most: int) -> None:
        """Ask a source for its next items: a plain one on a thread."""
        if isinstance(source, AsyncIterator):
            self._start(_one(source), key)
            return
        pump = self._pumps.get(key)
        if pump is None:
            pump = self._pumps[key] = Pump(source, self._context)
        self._start(pump.ask(most), key)

    def _start(self, coroutine: Coroutine[Any, Any, Any], key: object) -> None:
        context = self._context.copy() if self._context is not None else None
        task = self._running[key] = self._loop.create_task(self._watched(coroutine, key), context=context)

        def over(_: object) -> None:
            coroutine.close()  # if it was cancelled before it began, it would warn that nobody awaited it
            if self._running.get(key) is task:
                del self._running[key]

        task.add_done_callback(over)

    async def _watched(self, coroutine: Coroutine[Any, Any, Any], key: object) -> None:
        event: Event
        try:
            event = Returned(key, await coroutine)
        except Exception as error:  # noqa: BLE001  # whatever it is, it is the author's
            event = Raised(key, error)
        except (SystemExit, KeyboardInterrupt) as error:
            event = Raised(key, no_exit(error))
        self._running.pop(key, None)
        self._tell(event)

    def halt(self, key: object, source: Iterator[Any] | AsyncIterator[Any] | None) -> None:
        """Cancel what runs for `key`, then let the source close itself."""
        task = self._running.pop(key, None)
        if task is not None:
            task.cancel()
        pump = self._pumps.pop(key, None)
        if pump is not None:
            pump.close()
        elif isinstance(source, AsyncIterator):
            closing = self._loop.create_task(_close(source, task))
            self._running[closing] = closing
            closing.add_done_callback(lambda _: self._running.pop(closing, None))

    async def cancel(self, seconds: float) -> None:
        """Cancel what does not end by itself with its connection, and give it so long to do it."""
        if not self._running:
            return
        _, late = await asyncio.wait(self._running.values(), timeout=GRACE_SECONDS)
        for task in late:
            task.cancel()
        if late:
            await asyncio.wait(late, timeout=seconds)

    def __len__(self) -> int:
        return len(self._running)


async def _awaited(awaitable: Awaitable[Any]) -> Any:
    return await awaitable


async def _one(source: AsyncIterator[Any]) -> list[Any]:
    return [await anext(source)]


async def _handled(function: Callable[..., Any], connection: Any) -> None:
    try:
        made = function(connection)
        if isawaitable(made):
            await made
    except ConnectionClosedError:
        # That the peer is gone is no error of the author's: the traffic shows it.
        if connection.open:
            raise


def no_exit(error: BaseException) -> Exception:
    """Return what is kept of a SystemExit: raised on the loop it would end every server, and not the program."""
    made = RuntimeError(f"a function of the mock raised {error!r}, which cannot end the program from here")
    made.__cause__ = error
    return made


async def _close(source: Any, task: asyncio.Task[None] | None) -> None:
    """Let an asynchronous generator run its ``finally`` blocks, once nothing runs in it any more."""
    if task is not None:
        await asyncio.wait([task])
    if hasattr(source, "aclose"):
        await source.aclose()
