"""An asynchronous iteration from code that waits, wherever a loop runs already: on a thread with its own loop."""

from __future__ import annotations

import asyncio
import queue
import threading
from collections.abc import AsyncIterator, Callable, Generator
from typing import Any, Final, TypeVar

from mockforge_nb.errors import GeneratorError

T = TypeVar("T")

_LOOK: Final = 1.0
"""How often the wait looks up (s): on Windows a wait without end cannot be interrupted."""


def iterate(begin: Callable[[], AsyncIterator[T]]) -> Generator[T, None, None]:
    """Yield what an asynchronous iteration yields; when this is left, that is cancelled and waited for.

    Args:
        begin: Begins it; called on the thread.

    Raises:
        BaseException: What it raises; GeneratorError, if that is a cancellation of its own.
    """
    came: queue.SimpleQueue[tuple[str, Any]] = queue.SimpleQueue()
    started = threading.Event()
    running: list[tuple[asyncio.AbstractEventLoop, asyncio.Task[Any]]] = []

    async def read() -> None:
        task = asyncio.current_task()
        assert task is not None
        running.append((asyncio.get_running_loop(), task))
        started.set()
        async for item in begin():
            came.put(("item", item))

    def run() -> None:
        try:
            asyncio.run(read())
            came.put(("end", None))
        except asyncio.CancelledError:
            # Cancelled by us, nobody reads this; otherwise what came so far would pass for the whole.
            came.put(
                ("error", GeneratorError("the writing was cancelled from within: the model raised CancelledError"))
            )
        except BaseException as error:  # noqa: BLE001  # raised where it is waited for
            came.put(("error", error))
        finally:
            started.set()

    thread = threading.Thread(target=run, name="mockforge_nb writer", daemon=True)
    thread.start()
    try:
        while True:
            try:
                kind, item = came.get(timeout=_LOOK)
            except queue.Empty:
                continue
            if kind == "error":
                raise item
            if kind == "end":
                return
            yield item
    finally:
        started.wait()
        for loop, task in running:
            if thread.is_alive() and not loop.is_closed():
                _cancel(loop, task)
        thread.join()


def _cancel(loop: asyncio.AbstractEventLoop, task: asyncio.Task[Any]) -> None:
    try:
        loop.call_soon_threadsafe(task.cancel)
    except RuntimeError:  # it has ended since
        if not loop.is_closed():
            raise
