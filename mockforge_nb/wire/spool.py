"""One iterator for many readers: what it gave is kept, so that each reads all of it at its own pace."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Iterator
from typing import Any

from .pump import Pump

MOST_ITEMS = 100_000
"""How many of the last items are kept; who comes later begins with the oldest of them."""


class Spool:
    """The items of an iterator that can be read only once; its end and what it raises are told to each reader."""

    def __init__(self, source: Iterator[Any] | AsyncIterator[Any]) -> None:
        self._source = source
        self._pump: Pump | None = None
        self._items: deque[Any] = deque(maxlen=MOST_ITEMS)
        self._count = 0
        self._asking: asyncio.Task[Any] | None = None
        self._end: BaseException | None = None

    async def read(self) -> AsyncIterator[Any]:
        """Iterate over the items from the oldest that is kept."""
        position = self._count - len(self._items)
        while True:
            position = max(position, self._count - len(self._items))
            if position < self._count:
                yield self._items[position - self._count]
                position += 1
                continue
            if self._end is None:
                await self._ask()
            elif isinstance(self._end, StopAsyncIteration):
                return
            else:
                raise self._end

    async def _ask(self) -> None:
        """Have the next item asked for, once for all who wait for it; who is cancelled does not end it."""
        if self._asking is None or self._asking.done():
            self._asking = asyncio.get_running_loop().create_task(self._next())
        await asyncio.shield(self._asking)

    async def _next(self) -> None:
        try:
            items = await self._some()
        except Exception as error:  # noqa: BLE001  # the author's, raised for each reader
            self._end = error
        else:
            self._items += items
            self._count += len(items)

    async def _some(self) -> list[Any]:
        if isinstance(self._source, AsyncIterator):
            return [await anext(self._source)]
        if self._pump is None:
            self._pump = Pump(self._source)
        return await self._pump.ask(1)
