"""The author's coroutines and slow iterators that run for one connection."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import suppress
from inspect import isawaitable
from typing import Any

from mockforge_nb.core.events import Event, Raised, Returned
from mockforge_nb.errors import ConnectionClosedError


class Tasks:
    """Runs them on the loop, and tells the session what they return or raise.

    Args:
        loop: The loop.
        tell: Tells the connection's session.
    """

    __slots__ = ("_loop", "_running", "_tell")

    def __init__(self, loop: asyncio.AbstractEventLoop, tell: Callable[[Event], object]) -> None:
        self._loop = loop
        self._tell = tell
        self._running: dict[object, asyncio.Task[None]] = {}

    def wait_for(self, awaitable: Awaitable[Any], key: object) -> None:
        """Await what a function of the author's returned."""
        self._start(_awaited(awaitable), key)

    def run(self, function: Callable[..., Any], connection: object, key: object) -> None:
        """Run the author's handler."""
        self._start(_handled(function, connection), key)

    def ask(self, source: Iterator[Any] | AsyncIterator[Any], key: object) -> None:
        """Ask a source for its next item."""
        self._start(ask(source), key)

    def _start(self, coroutine: Any, key: object) -> None:
        task = self._running[key] = self._loop.create_task(self._watched(coroutine, key))
        task.add_done_callback(lambda _: self._running.pop(key, None) if self._running.get(key) is task else None)

    async def _watched(self, coroutine: Any, key: object) -> None:
        try:
            value = await coroutine
        except Exception as error:  # noqa: BLE001  # whatever it is, it is the author's
            self._running.pop(key, None)
            self._tell(Raised(key, error))
        else:
            self._running.pop(key, None)
            self._tell(Returned(key, value))

    def halt(self, key: object, source: Iterator[Any] | AsyncIterator[Any] | None) -> None:
        """Cancel what runs for `key`, then let the source close itself."""
        task = self._running.pop(key, None)
        if task is not None:
            task.cancel()
        if source is not None:
            closing = self._loop.create_task(_close(source, task))
            self._running[closing] = closing
            closing.add_done_callback(lambda _: self._running.pop(closing, None))

    async def cancel(self, seconds: float) -> None:
        """Cancel whatever still runs, and give it so long to end."""
        tasks = list(self._running.values())
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks, timeout=seconds)

    def __len__(self) -> int:
        return len(self._running)


async def _awaited(awaitable: Awaitable[Any]) -> Any:
    return await awaitable


async def _handled(function: Callable[..., Any], connection: Any) -> None:
    try:
        made = function(connection)
        if isawaitable(made):
            await made
    except ConnectionClosedError:
        # That the peer is gone is no error of the author's: the traffic shows it.
        if connection.open:
            raise


async def ask(source: Iterator[Any] | AsyncIterator[Any]) -> Any:
    """Return a source's next item: a plain one's is asked for on a thread, as it may take its time.

    Raises:
        StopAsyncIteration: The source has ended, of whichever kind it is.
    """
    return await (anext(source) if isinstance(source, AsyncIterator) else _next(source))


async def _next(source: Iterator[Any]) -> Any:
    # Not a thread of a pool: those would keep the process from its end.
    loop = asyncio.get_running_loop()
    future: asyncio.Future[Any] = loop.create_future()

    def settle(item: Any, error: Exception | None) -> None:
        if future.done():
            return
        if error is None:
            future.set_result(item)
        else:
            future.set_exception(error)

    def work() -> None:
        item: Any = None
        error: Exception | None = None
        try:
            item = next(source)
        except StopIteration:
            error = StopAsyncIteration()
        except Exception as raised:  # noqa: BLE001  # the author's, handed on
            error = raised
        with suppress(RuntimeError):  # the loop is closed
            loop.call_soon_threadsafe(settle, item, error)

    threading.Thread(target=work, name="mockforge_nb source", daemon=True).start()
    return await future


async def _close(source: Any, task: asyncio.Task[None] | None) -> None:
    """Let a generator run its `finally` blocks, once nothing runs in it any more."""
    if task is not None:
        await asyncio.wait([task])
    close = getattr(source, "aclose", None) or getattr(source, "close", None)
    if close is None:
        return
    made = close()
    if isawaitable(made):
        await made
