"""The event loop of an ASGI server, which drives a mock that it runs."""

from __future__ import annotations

import asyncio
import os
import threading
from collections.abc import Awaitable, Callable, Coroutine
from concurrent.futures import CancelledError, Future
from typing import Any, TypeVar, cast

from mockforge_nb.errors import ProtocolError

T = TypeVar("T")

LOOK_SECONDS = 0.5
"""How often somebody who waits for the loop looks whether it still runs."""


class BorrowedLoop:
    """Runs functions on a loop that belongs to somebody else, and may end or be followed by another one.

    As long as there is none, nothing is connected either: functions then run on the thread that asks for them.

    Attributes:
        failures: Exceptions that no server could be told of: none, as the loop's owner is told of them.
    """

    def __init__(self) -> None:
        self.failures: list[Exception] = []
        self._loop: asyncio.AbstractEventLoop | None = None
        self._lock = threading.RLock()
        self._pid = os.getpid()

    @property
    def runs(self) -> bool:
        """Whether there is a loop that runs."""
        return self._loop is not None and self._loop.is_running()

    def take(self, busy: Callable[[], bool]) -> bool:
        """Take the loop that runs this; return whether it is another one than before.

        Args:
            busy: Returns whether the loop of before still has connections.

        Raises:
            ProtocolError: It has, or what runs this is no asyncio loop.
        """
        try:
            running = asyncio.get_running_loop()
        except RuntimeError:
            raise ProtocolError(
                "a mock's ASGI application runs on asyncio, and this server runs it on something else; "
                "use the asyncio or uvloop worker (hypercorn --worker-class asyncio)"
            ) from None
        if self._pid != os.getpid():  # in a fork: the loop of before, and who holds the lock, are the parent's
            self._pid, self._loop, self._lock = os.getpid(), None, threading.RLock()
        with self._lock:
            if self._loop is running:
                return False
            if self.runs and busy():
                raise ProtocolError(
                    "this mock has connections on another event loop, and serves one loop at a time; build one "
                    "application for each, or let them share a loop (`with TestClient(app) as client:`)"
                )
            self._loop = running
            return True

    def call(self, function: Callable[..., T], *args: Any) -> T:
        """Run a function on the loop and return its result."""
        while True:
            result: Future[T] = Future()
            with self._lock:
                # The lock keeps a loop from being taken while this runs here.
                if self._loop is None or not self._loop.is_running():
                    return function(*args)
                self._loop.call_soon_threadsafe(_carry_out, result, function, args)
            while not result.done():
                try:
                    return result.result(LOOK_SECONDS)
                except TimeoutError:
                    if result.done():
                        break
                    if not self.runs and result.cancel():
                        break  # it ended before it came to this
            if not result.cancelled():
                return result.result()

    def run(self, function: Callable[..., Awaitable[T]], *args: Any) -> T:
        """Run a coroutine function on the loop and return its result.

        Raises:
            ProtocolError: No loop runs, or it ended meanwhile.
        """
        loop = self._loop
        if loop is None or not loop.is_running():
            raise ProtocolError("no ASGI server runs this mock now")
        made = cast(Coroutine[Any, Any, T], function(*args))
        running = asyncio.run_coroutine_threadsafe(made, loop)
        while True:
            try:
                return running.result(LOOK_SECONDS)
            except CancelledError:
                raise ProtocolError("the event loop of the ASGI server ended meanwhile") from None
            except TimeoutError:
                if running.done():
                    return running.result()
                if not loop.is_running():
                    made.close()
                    raise ProtocolError("the event loop of the ASGI server ended meanwhile") from None

    def on_loop(self) -> bool:
        """Return whether this runs on the loop."""
        try:
            return asyncio.get_running_loop() is self._loop
        except RuntimeError:
            return False


def _carry_out(result: Future[T], function: Callable[..., T], args: tuple[Any, ...]) -> None:
    if not result.set_running_or_notify_cancel():
        return
    try:
        value = function(*args)
    except Exception as error:  # noqa: BLE001  # it is raised where it was asked for
        result.set_exception(error)
    else:
        result.set_result(value)
