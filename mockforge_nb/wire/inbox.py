"""What a handler reads of its connection."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable

from mockforge_nb.core.message import BINARY, Message

MOST = 1024
"""How many messages may wait for a handler before nothing more is read from its client."""


class Inbox:
    """The messages that a handler has not read yet, and on request pings, pongs and the connection's end.

    Args:
        hold: Told True when as much waits as may, and False when there is room again.

    Attributes:
        watched: Whether somebody asked for more than messages.
    """

    __slots__ = ("_ended", "_held", "_hold", "_items", "_waiting", "watched")

    def __init__(self, hold: Callable[[bool], None]) -> None:
        self._hold = hold
        self._items: deque[Message] = deque()
        self._waiting: deque[asyncio.Future[None]] = deque()
        self._held = self._ended = False
        self.watched = False

    def put(self, one: Message) -> None:
        """Keep a message, or if somebody watches an event, until it is read."""
        if self._ended or not (self.watched or one.opcode <= BINARY):
            return
        self._items.append(one)
        self._wake()
        if len(self._items) >= MOST and not self._held:
            self._held = True
            self._hold(True)

    def end(self) -> None:
        """Take note that nothing more will come."""
        self._ended = True
        for _ in range(len(self._waiting)):
            self._wake()

    def _wake(self) -> None:
        while self._waiting:
            waiter = self._waiting.popleft()
            if not waiter.done():
                waiter.set_result(None)
                return

    async def get(self, *, events: bool = False) -> Message | None:
        """Return the next message, or with `events` whatever comes next; None: the connection has ended."""
        while True:
            while not self._items:
                if self._ended:
                    return None
                waiter = asyncio.get_running_loop().create_future()
                self._waiting.append(waiter)
                await waiter
            one = self._items.popleft()
            if self._held and len(self._items) <= MOST // 2:
                self._held = False
                self._hold(False)
            if events or one.opcode <= BINARY:
                return one
