"""The one background thread that runs an event loop for all servers of this process."""

from __future__ import annotations

import asyncio
import os
import threading
from collections.abc import Awaitable, Callable
from concurrent.futures import Future
from typing import Any, Protocol, TypeVar

import anyio
from anyio.from_thread import BlockingPortal

from mockforge_nb.errors import ProtocolError

T = TypeVar("T")

try:
    import uvloop  # noqa: F401  # anyio loads it by name; here it is asked whether it is there

    UVLOOP = True
except ImportError:
    UVLOOP = False


class Loop(Protocol):
    """What drives servers from whichever thread asks for something.

    Attributes:
        failures: Exceptions that no server could be told of.
    """

    failures: list[Exception]

    def call(self, function: Callable[..., T], *args: Any) -> T:
        """Run a function on the loop and return its result."""
        ...

    def run(self, function: Callable[..., Awaitable[T]], *args: Any) -> T:
        """Run a coroutine function on the loop and return its result."""
        ...

    def on_loop(self) -> bool:
        """Return whether this runs on the loop."""
        ...


class LoopThread:
    """A daemon thread that runs an event loop until `close`.

    It is not anyio's `start_blocking_portal`: that is a generator, and one that is collected in a forked child
    waits for a thread which the child does not have.

    Attributes:
        failures: Exceptions that no server could be told of, which the loop would print into some notebook cell.
    """

    def __init__(self) -> None:
        self.failures: list[Exception] = []
        started: Future[BlockingPortal] = Future()

        async def main() -> None:
            self._asyncio = asyncio.get_running_loop()
            self._asyncio.set_exception_handler(self._keep)
            async with BlockingPortal() as portal:
                started.set_result(portal)
                await portal.sleep_until_stopped()

        def run() -> None:
            try:
                anyio.run(main, backend_options={"use_uvloop": UVLOOP})
            except BaseException as error:  # noqa: BLE001  # handed to the thread that waits for the start
                if not started.done():
                    started.set_exception(error)

        self._thread = threading.Thread(target=run, name="mockforge_nb", daemon=True)
        self._thread.start()
        self._portal = started.result()

    def _keep(self, loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        self.failures.append(context.get("exception") or RuntimeError(context["message"]))

    def call(self, function: Callable[..., T], *args: Any) -> T:
        """Run a function on the loop and return its result."""
        return self._portal.call(function, *args)

    def run(self, function: Callable[..., Awaitable[T]], *args: Any) -> T:
        """Run a coroutine function on the loop and return its result."""
        return self._portal.call(function, *args)

    def on_loop(self) -> bool:
        """Return whether this is the loop's own thread."""
        return threading.current_thread() is self._thread

    def responds(self, timeout: float) -> bool:
        """Return whether the loop does something new within `timeout` (s); an author's callable may hold it."""
        responded = threading.Event()
        try:
            self._asyncio.call_soon_threadsafe(responded.set)  # the portal's own calls would wait for the loop
        except RuntimeError:  # it is closed
            return False
        return responded.wait(timeout)

    def close(self) -> None:
        """Stop the loop and wait for its thread, two seconds at most."""
        self._portal.start_task_soon(self._portal.stop, True)
        self._thread.join(2)


_lock = threading.Lock()
_loop: LoopThread | None = None


def loop_thread() -> LoopThread:
    """Return the process's loop thread; the first call starts it.

    Raises:
        ProtocolError: This is that thread: a callable of the mock's asks for a server.
    """
    global _loop
    if _loop is not None and _loop.on_loop():
        raise ProtocolError("a server cannot be started by what runs on a server's own event loop")
    with _lock:
        if _loop is None:
            _loop = LoopThread()
        return _loop


def stuck(timeout: float) -> bool:
    """Return whether there is a loop thread that does nothing new within `timeout` (s)."""
    loop = _loop
    return loop is not None and not loop.responds(timeout)


def close_loop() -> None:
    """Stop the loop thread, if there is one."""
    global _loop
    with _lock:
        loop, _loop = _loop, None
    if loop is not None:
        loop.close()


def _forget() -> None:
    """In a forked child the thread is not there: the next call starts another."""
    global _loop, _lock
    _loop, _lock = None, threading.Lock()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget)
