"""Who waits for something of one connection: for room to send more, for its end, for a pong."""

from __future__ import annotations

import asyncio


class Waits:
    """The futures of those who wait.

    Args:
        loop: The event loop.
    """

    __slots__ = ("_loop", "_pings", "_room")

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._room: list[asyncio.Future[None]] = []
        self._pings: dict[bytes, tuple[float, asyncio.Future[float]]] = {}

    async def change(self) -> None:
        """Return once more can be sent or the connection has ended; who waits looks again which."""
        waiting: asyncio.Future[None] = self._loop.create_future()
        self._room.append(waiting)
        await waiting

    def changed(self) -> None:
        """Wake those who wait for a change."""
        room, self._room = self._room, []
        for waiting in room:
            if not waiting.done():
                waiting.set_result(None)

    def pinged(self, payload: bytes, now: float) -> asyncio.Future[float]:
        """Return what will have the time from `now` (s) to the pong."""
        waiting: asyncio.Future[float] = self._loop.create_future()
        self._pings[payload] = (now, waiting)
        return waiting

    def pinged_with(self, payload: bytes) -> bool:
        """Return whether somebody waits for the pong with this payload."""
        return payload in self._pings

    def ponged(self, payload: bytes, now: float) -> None:
        """Take note of a pong, which answers all pings before its own, too (RFC 6455 §5.5.3)."""
        if payload not in self._pings:
            return
        for sent in list(self._pings):
            began, waiting = self._pings.pop(sent)
            if not waiting.done():
                waiting.set_result(now - began)
            if sent == payload:
                break

    def ended(self) -> None:
        """Wake those who wait for a change, and let nobody wait for a pong."""
        self.changed()
        pings, self._pings = self._pings, {}
        for _, waiting in pings.values():
            waiting.cancel()
