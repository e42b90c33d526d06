"""How long a TCP connection may take for what is expected of it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from time import monotonic

CLOSE_SECONDS = 1.0
"""How long a peer has to end the TCP connection after the closing handshake, once it has taken what was sent."""

STALLS = 10
"""How many times `CLOSE_SECONDS` a peer may take nothing of what was sent before the close."""


class Deadline:
    """The one timer of a connection: for its handshake, and then for its end.

    Args:
        loop: The event loop.
        transport: The connection's.
    """

    __slots__ = ("_handle", "_lingers", "_loop", "_stalls", "_transport", "_unsent")

    def __init__(self, loop: asyncio.AbstractEventLoop, transport: asyncio.Transport) -> None:
        self._loop = loop
        self._transport = transport
        self._handle: asyncio.TimerHandle | None = None
        self._lingers = 0.0
        self._unsent = self._stalls = 0

    def after(self, seconds: float, function: Callable[[], None]) -> None:
        """Call a function in so many seconds, in place of what was to be called."""
        self.cancel()
        self._handle = self._loop.call_later(seconds, function)

    def cancel(self) -> None:
        """Wait for nothing any more."""
        if self._handle is not None:
            self._handle.cancel()
            self._handle = None

    def end(self, abort: Callable[[], None]) -> None:
        """Give the peer time to take what was sent and to end the TCP connection, and then end it."""
        self._unsent, self._stalls = self._transport.get_write_buffer_size(), 0
        self.after(CLOSE_SECONDS, lambda: self._overdue(abort))

    def linger(self, seconds: float) -> None:
        """Let the end take so much longer."""
        self._lingers = monotonic() + seconds

    def _overdue(self, abort: Callable[[], None]) -> None:
        unsent = self._transport.get_write_buffer_size()
        self._stalls = self._stalls + 1 if unsent == self._unsent else 0
        self._unsent = unsent
        if self._stalls >= (STALLS if unsent else 1) and monotonic() >= self._lingers:
            abort()
        else:
            self.after(CLOSE_SECONDS, lambda: self._overdue(abort))
