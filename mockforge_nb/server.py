"""MockServer, the blocking handle of a running mock, and its twin whose waits are coroutines."""

from __future__ import annotations

import asyncio
import signal
import threading
from collections.abc import Callable, Coroutine, Generator, Iterator, Mapping
from concurrent.futures import CancelledError, Future
from contextlib import contextmanager, suppress
from functools import partial
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self, overload

from .connections import Connection, how_many, time_limit
from .core.message import Message
from .errors import ExpectationError, ProtocolError
from .registry import origin
from .wire.client import AsyncClient, Client, open_async
from .wire.listener import Waiter

if TYPE_CHECKING:
    from .mock import Mock

from .handle import Server, start


class MockServer(Server):
    """A running mock; every call may come from any thread and blocks no longer than it says.

    As a context manager it stops at the block's end and raises what went wrong by the author's doing.

    Example:
        >>> with Mock().echo().serve(port=0) as server, server.client() as client:
        ...     client.send("hi")
        ...     client.recv(), server.wait_for("hi")
        ('hi', <Message 'hi'>)
    """

    def wait_connected(self, n: int = 1, timeout: float | str | None = 10) -> Connection:
        """Wait until `n` connections are open, and return the newest.

        Raises:
            ExpectationTimeoutError: They did not come within `timeout` (s; None: wait without end).

        Example:
            >>> with Mock().serve(port=0) as server, server.client():
            ...     server.wait_connected().number
            1
        """
        limit = time_limit(timeout)
        self._may_wait("wait_connected")
        waiter = self._connection_waiter(how_many(n, "wait_connected(n=)"))
        newest: Connection = self._result(waiter, limit, lambda: self._no_connection(waiter, n, limit))[-1]
        return newest

    @overload
    def wait_for(self, pattern: object = None, n: None = None, timeout: float | str | None = 10) -> Message: ...

    @overload
    def wait_for(self, pattern: object = None, n: int = ..., timeout: float | str | None = 10) -> list[Message]: ...

    def wait_for(
        self, pattern: object = None, n: int | None = None, timeout: float | str | None = 10
    ) -> Message | list[Message]:
        """Wait for a client's message; those that came since the start, or since ``traffic.clear()``, count.

        Args:
            pattern: A regular expression, a JSONPath (``$.op == 'subscribe'``), a function; None: any message.
            n: How many; without it the message itself is returned, with it a list.
            timeout: Seconds; None: wait without end.

        Raises:
            ExpectationTimeoutError: It did not come in time; the error shows what came instead.
            OptionError: A pattern that cannot be used.

        Example:
            >>> with Mock().serve(port=0) as server, server.client() as client:
            ...     client.send({"op": "subscribe", "symbol": "AAPL"})
            ...     server.wait_for("$.op == 'subscribe'").json["symbol"]
            'AAPL'
        """
        limit = time_limit(timeout)
        self._may_wait("wait_for")
        count = 1 if n is None else how_many(n, "wait_for(n=)")
        waiter = self._message_waiter(pattern, count)
        found = self._result(waiter, limit, lambda: self._no_message(waiter, pattern, count, limit))
        return found[0] if n is None else found

    def _may_wait(self, name: str) -> None:
        if self._loop.on_loop():
            way = f"await asyncio.to_thread(server.{name}, …)"
            raise ProtocolError(f"a wait on the server's own event loop would never end; {way}")

    def _result(self, waiter: Waiter, timeout: float | None, late: Callable[[], ExpectationError]) -> list[Any]:
        try:
            # The main thread waits on a lock here, which Ctrl-C interrupts; the server's thread knows nothing of it.
            return waiter.future.result(timeout)
        except TimeoutError:
            if waiter.future.done():  # just as the time ran out
                return waiter.future.result()
            raise late() from None
        except CancelledError:
            raise self._stopped_waiting() from None
        finally:
            waiter.future.cancel()

    def client(self, path: str | None = None, **options: Any) -> Client:
        """Connect a blocking client to the server, or to another of its paths.

        Args:
            path: The path; the mock's own unless given.
            options: Passed on to `websockets.sync.client.connect`: ``additional_headers``, ``subprotocols``, …

        Raises:
            ProtocolError: This runs on the server's own event loop, which could not answer it.

        Example:
            >>> with Mock().serve(port=0) as server, server.client(subprotocols=["v1"]) as client:
            ...     client.send(b"abc")
            ...     client.recv()
            b'abc'
        """
        if self._loop.on_loop():
            raise ProtocolError("a blocking client on the server's own event loop gets no answer; await aclient()")
        return Client(self.url if path is None else self.url_for(path), **self._trusting(options))

    async def aclient(self, path: str | None = None, **options: Any) -> AsyncClient:
        """Connect a client for coroutines; arguments as for `client`.

        Example:
            >>> import asyncio
            >>> async def talk(server):
            ...     async with await server.aclient() as client:
            ...         await client.send("hi")
            ...         return await client.recv()
            >>> with Mock().serve(port=0) as server:
            ...     asyncio.run(talk(server))
            'hi'
        """
        return await open_async(self.url if path is None else self.url_for(path), **self._trusting(options))

    def serve_forever(self) -> None:
        """Wait until the server is stopped, from another thread or by Ctrl-C, which stops it and raises nothing.

        A server goes on in the background, so a script without a wait ends at once, and the server with it.

        Example:
            >>> import threading
            >>> server = Mock().echo().serve(port=0)
            >>> threading.Timer(0.01, server.stop).start()
            >>> server.serve_forever()
            >>> server.running
            False
        """
        if self._loop.on_loop():
            raise ProtocolError("a wait on the server's own event loop would never end")
        try:
            self._over.wait()
        except KeyboardInterrupt:
            self.stop()

    def stop(self) -> None:
        """Free the port and close all connections with 1001; half a second at most; stopping twice is fine.

        Example:
            >>> server = Mock().serve(port=0)
            >>> server.stop()
            >>> server.running
            False
        """
        self.halt()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._leave(error)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await asyncio.to_thread(self.halt)
        self._leave(error)


class AsyncMockServer(Server):
    """A running mock whose waits are coroutines, from `Mock.serve_async`; the rest is as on MockServer.

    Example:
        >>> import asyncio
        >>> async def talk():
        ...     async with Mock().serve_async(port=0) as server, await server.client() as client:
        ...         await client.send("hi")
        ...         return await server.wait_for("^h")
        >>> asyncio.run(talk())
        <Message 'hi'>
    """

    async def wait_connected(self, n: int = 1, timeout: float | str | None = 10) -> Connection:
        """Wait until `n` connections are open, and return the newest; errors as on MockServer."""
        limit = time_limit(timeout)
        waiter = self._connection_waiter(how_many(n, "wait_connected(n=)"))
        newest: Connection = (await self._result(waiter, limit, lambda: self._no_connection(waiter, n, limit)))[-1]
        return newest

    @overload
    async def wait_for(self, pattern: object = None, n: None = None, timeout: float | str | None = 10) -> Message: ...

    @overload
    async def wait_for(
        self, pattern: object = None, n: int = ..., timeout: float | str | None = 10
    ) -> list[Message]: ...

    async def wait_for(
        self, pattern: object = None, n: int | None = None, timeout: float | str | None = 10
    ) -> Message | list[Message]:
        """Wait for a client's message; arguments and errors as on MockServer."""
        limit = time_limit(timeout)
        count = 1 if n is None else how_many(n, "wait_for(n=)")
        waiter = self._message_waiter(pattern, count)
        found = await self._result(waiter, limit, lambda: self._no_message(waiter, pattern, count, limit))
        return found[0] if n is None else found

    async def _result(self, waiter: Waiter, timeout: float | None, late: Callable[[], ExpectationError]) -> list[Any]:
        future: Future[list[Any]] = waiter.future
        try:
            # Shielded, because a cancelled wait must not look like a stopped server.
            return await asyncio.wait_for(asyncio.shield(asyncio.wrap_future(future)), timeout)
        except TimeoutError:
            if future.done() and not future.cancelled():  # just as the time ran out
                return future.result()
            raise late() from None
        except asyncio.CancelledError:
            if future.cancelled():
                raise self._stopped_waiting() from None
            raise
        finally:
            future.cancel()

    async def client(self, path: str | None = None, **options: Any) -> AsyncClient:
        """Connect a client for coroutines; arguments as for `MockServer.client`."""
        return await open_async(self.url if path is None else self.url_for(path), **self._trusting(options))

    aclient = client
    """The same as `client`, under its name on MockServer."""

    async def serve_forever(self) -> None:
        """Wait until the server is stopped, by `stop` or by Ctrl-C, which stops it and raises nothing.

        Who cancels the wait stops the server, too.

        Example:
            >>> import asyncio
            >>> async def main():
            ...     server = await Mock().echo().serve_async(port=0)
            ...     asyncio.get_running_loop().call_later(0.01, server.halt)
            ...     await server.serve_forever()
            ...     return server.running
            >>> asyncio.run(main())
            False
        """
        with _on_interrupt(self._over.set):
            try:
                await asyncio.to_thread(self._over.wait)
            finally:
                self._over.set()  # a thread that waits would keep the event loop from its end
                await self.stop()

    async def stop(self) -> None:
        """Free the port and close all connections with 1001; half a second at most; stopping twice is fine."""
        await asyncio.to_thread(self.halt)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.stop()
        self._leave(error)


@contextmanager
def _on_interrupt(function: Callable[[], None]) -> Iterator[None]:
    """Call a function on Ctrl-C in place of what would be done; other threads than the main one do not hear it."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGINT, lambda number, frame: function())
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, signal.SIG_DFL if before is None else before)


class Starting(Coroutine[Any, Any, AsyncMockServer]):
    """A server to be: ``await`` it, or enter it with ``async with``; it is a coroutine to whoever takes one."""

    def __init__(self, mock: Mock, where: Mapping[str, Any]) -> None:
        # A real one in it, which warns if nobody awaits it and cannot be awaited twice.
        self._starting = _started(partial(start, AsyncMockServer, mock, origin(), **where))
        self._starting.__qualname__ = "serve_async()"  # type: ignore[attr-defined]  # what the warning calls it
        self._server: AsyncMockServer | None = None

    def __await__(self) -> Generator[Any, None, AsyncMockServer]:
        return self._starting.__await__()

    def send(self, value: Any) -> Any:
        """Go on, as who runs coroutines says."""
        return self._starting.send(value)

    def throw(self, kind: Any, error: Any = None, trace: TracebackType | None = None) -> Any:
        """Raise an error where it waits."""
        return self._starting.throw(kind if error is None else error)

    def close(self) -> None:
        """Give it up."""
        self._starting.close()

    def __repr__(self) -> str:
        return "<a server that is not started: await it, or enter it with `async with`>"

    async def __aenter__(self) -> AsyncMockServer:
        self._server = await self
        return self._server

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        assert self._server is not None
        await self._server.__aexit__(kind, error, trace)


async def _started(begin: Callable[[], AsyncMockServer]) -> AsyncMockServer:
    starting = asyncio.ensure_future(asyncio.to_thread(begin))
    try:
        return await asyncio.shield(starting)
    except asyncio.CancelledError:
        # A thread cannot be cancelled; what it still starts nobody would hold.
        with suppress(Exception):
            await (await starting).stop()
        raise


def serve(mock: Mock, **where: Any) -> MockServer:
    """Start a server; what `Mock.serve` calls."""
    return start(MockServer, mock, origin(), **where)
