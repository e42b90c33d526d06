"""A plain iterator on a thread of its own: it may sleep, wait for a queue or query a database."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from queue import SimpleQueue
from time import monotonic
from typing import Any

GATHER_SECONDS = 0.005
"""How long items are gathered before those that came are told."""


class Pump:
    """Asks an iterator for its items, all on the same thread, as some belong to the thread that made them.

    The thread is not one of a pool, whose threads would keep the process from its end.

    Args:
        source: The iterator.
    """

    def __init__(self, source: Iterator[Any]) -> None:
        self._source = source
        self._asked: SimpleQueue[tuple[int, asyncio.Future[list[Any]]] | None] = SimpleQueue()
        self._thread: threading.Thread | None = None
        self._error: BaseException | None = None  # what it ended with, told once the items before it were
        self._loop = asyncio.get_running_loop()

    async def ask(self, most: int) -> list[Any]:
        """Return at least one item and at most `most`.

        Raises:
            StopAsyncIteration: There is none left.
            Exception: What the iterator raised.
        """
        if self._error is not None:
            raise self._error
        if self._thread is None:
            self._thread = threading.Thread(target=self._work, name="mockforge_nb source", daemon=True)
            self._thread.start()
        future: asyncio.Future[list[Any]] = self._loop.create_future()
        self._asked.put((most, future))
        items = await future
        if not items and self._error is not None:
            raise self._error
        return items

    def close(self) -> None:
        """Let a generator run its ``finally`` blocks on its thread, once nothing runs in it any more."""
        if self._thread is not None:
            self._asked.put(None)

    def _work(self) -> None:
        while (job := self._asked.get()) is not None:
            items, error = self._gather(job[0])
            try:
                self._loop.call_soon_threadsafe(self._settle, job[1], items, error)
            except RuntimeError:  # the loop is closed
                return
            if error is not None:
                return
        close = getattr(self._source, "close", None)
        if close is not None:
            close()

    def _gather(self, most: int) -> tuple[list[Any], BaseException | None]:
        items: list[Any] = []
        until = monotonic() + GATHER_SECONDS
        try:
            while len(items) < most:
                items.append(next(self._source))
                if monotonic() > until:
                    break
        except StopIteration:
            return items, StopAsyncIteration()
        except BaseException as error:  # noqa: BLE001  # the author's, raised where it was asked for
            return items, error
        return items, None

    def _settle(self, future: asyncio.Future[list[Any]], items: list[Any], error: BaseException | None) -> None:
        self._error = error
        if not future.done():
            future.set_result(items)
