"""A plain iterator on a thread of its own: it may sleep, wait for a queue or query a database."""

from __future__ import annotations

import asyncio
import threading
from collections import deque
from collections.abc import Iterator
from contextvars import Context
from queue import SimpleQueue
from typing import Any


class Pump:
    """Asks an iterator for its items, all on the same thread, as some belong to the thread that made them.

    An item is handed over when it comes, whatever the next one takes; what came meanwhile comes with it. The thread
    is not one of a pool, whose threads would keep the process from its end.

    Args:
        source: The iterator.
        context: What it runs in, a copy; None: an empty one.
    """

    def __init__(self, source: Iterator[Any], context: Context | None = None) -> None:
        self._source = source
        self._context = Context() if context is None else context.copy()
        self._asked: SimpleQueue[int | None] = SimpleQueue()
        self._thread: threading.Thread | None = None
        self._loop = asyncio.get_running_loop()
        self._waiting: asyncio.Future[None] | None = None
        # The thread writes these and then wakes the loop, which reads them.
        self._items: deque[Any] = deque()
        self._error: BaseException | None = None  # what it ended with, told once the items before it were
        self._closed = False
        self._busy = False  # whether it still owes some of what was asked for
        self._told = False  # whether the loop is to be woken already

    async def ask(self, most: int) -> list[Any]:
        """Return at least one item and at most `most`.

        Raises:
            StopAsyncIteration: There is none left.
            Exception: What the iterator raised.
        """
        if self._thread is None:
            self._thread = threading.Thread(
                target=self._context.run, args=(self._work,), name="mockforge_nb source", daemon=True
            )
            self._thread.start()
        while not self._items:
            if self._error is not None:
                raise self._error
            if not self._busy:
                self._busy = True
                self._asked.put(most)
            self._waiting = self._loop.create_future()
            await self._waiting
        return [self._items.popleft() for _ in range(min(most, len(self._items)))]

    def close(self) -> None:
        """Let a generator run its ``finally`` blocks on its thread, once nothing runs in it any more."""
        self._closed = True
        if self._thread is not None:
            self._asked.put(None)

    def _work(self) -> None:
        try:
            while (most := self._asked.get()) is not None:
                self._error = self._gather(most)
                self._busy = False
                self._tell()
                if self._error is not None:
                    return
        except RuntimeError:  # the loop is closed
            return
        close = getattr(self._source, "close", None)
        if close is not None:
            close()

    def _gather(self, most: int) -> BaseException | None:
        for _ in range(most):
            if self._closed:
                break
            try:
                item = next(self._source)
            except StopIteration:
                return StopAsyncIteration()
            except BaseException as error:  # noqa: BLE001  # the author's, raised where it was asked for
                return error
            self._items.append(item)
            self._tell()
        return None

    def _tell(self) -> None:
        if not self._told:
            self._told = True
            self._loop.call_soon_threadsafe(self._wake)

    def _wake(self) -> None:
        self._told = False
        if self._waiting is not None and not self._waiting.done():
            self._waiting.set_result(None)
