"""A real client in two words, so that a tutorial or a test needs no other library."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from types import TracebackType
from typing import Any, Generic, Self, TypeVar

from websockets.asyncio.client import ClientConnection as AsyncConnection
from websockets.asyncio.client import connect as connect_async
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import ClientConnection, connect

from mockforge_nb.core.message import to_json
from mockforge_nb.errors import ExpectationTimeoutError

C = TypeVar("C", ClientConnection, AsyncConnection)

QUIET_SECONDS = 1.0
"""How long nothing must come before `drain` returns; longer than any latency of the built-in profiles."""

# The library's default close timeout is 10 s, which a peer that does not answer would cost. Proxy variables are
# for the network outside; a server on this machine is reached directly.
OPTIONS: dict[str, Any] = {"proxy": None, "max_size": None, "close_timeout": 1}


def wire_form(data: object) -> str | bytes:
    """Return what is sent for `data`: text and bytes as they are, anything else as JSON text."""
    if isinstance(data, (bytes, bytearray, memoryview)):
        return bytes(data)
    return data if isinstance(data, str) else to_json(data)


def _nothing(url: str, timeout: float | None) -> ExpectationTimeoutError:
    return ExpectationTimeoutError(f"nothing came from {url} within {timeout:g} s")


class _Facts(Generic[C]):
    """What both clients know of their connection."""

    url: str
    connection: C

    @property
    def close_code(self) -> int | None:
        """The close code; None while the connection is open, 1006 if it ended without a close frame."""
        return self.connection.protocol.close_code

    @property
    def close_reason(self) -> str | None:
        """The close reason; None while the connection is open."""
        return self.connection.protocol.close_reason

    @property
    def subprotocol(self) -> str | None:
        """The subprotocol that the server selected."""
        return self.connection.subprotocol

    def __repr__(self) -> str:
        code = self.close_code
        return f"<{type(self).__name__} {self.url}, {'open' if code is None else f'closed ({code})'}>"


class Client(_Facts[ClientConnection]):
    """A blocking client: the `websockets` library's, which is `connection`.

    Args:
        url: Where to connect.
        options: Passed on to `websockets.sync.client.connect` (``additional_headers``, ``subprotocols``, …).

    Example:
        >>> with Mock().echo().serve(port=0) as server, server.client() as client:
        ...     client.send({"op": "ping"})
        ...     client.recv()
        '{"op":"ping"}'
    """

    def __init__(self, url: str, **options: Any) -> None:
        self.url = url
        self.connection = connect(url, legacy=True, **{**OPTIONS, **options})

    def send(self, data: object) -> None:
        """Send text, bytes, or anything else as JSON."""
        self.connection.send(wire_form(data))

    def recv(self, timeout: float | None = 10) -> str | bytes:
        """Return the next message.

        Raises:
            ExpectationTimeoutError: Nothing came within `timeout` seconds (None: wait without end); a TimeoutError.
            websockets.ConnectionClosed: The connection is closed.
        """
        try:
            return self.connection.recv(timeout)
        except TimeoutError:
            raise _nothing(self.url, timeout) from None

    def drain(self, quiet: float = QUIET_SECONDS) -> list[str | bytes]:
        """Return the messages that come until nothing came for `quiet` seconds or the connection is closed.

        Example:
            >>> mock = Mock().replay(["a", "b"], then="close")
            >>> with mock.serve(port=0) as server, server.client() as client:
            ...     client.drain(), client.close_code
            (['a', 'b'], 1000)
        """
        messages: list[str | bytes] = []
        try:
            while True:
                messages.append(self.connection.recv(quiet))
        except (TimeoutError, ConnectionClosed):
            return messages

    def __iter__(self) -> Iterator[str | bytes]:
        return iter(self.connection)

    def close(self, code: int = 1000, reason: str = "") -> None:
        """Close the connection; does nothing if it is closed."""
        self.connection.close(code, reason)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


class AsyncClient(_Facts[AsyncConnection]):
    """A client for coroutines: the `websockets` library's, which is `connection`; made by `aclient`.

    Example:
        >>> import asyncio
        >>> async def talk(server):
        ...     async with await server.aclient() as client:
        ...         await client.send({"op": "ping"})
        ...         return await client.recv()
        >>> with Mock().echo().serve(port=0) as server:
        ...     asyncio.run(talk(server))
        '{"op":"ping"}'
    """

    def __init__(self, url: str, connection: AsyncConnection) -> None:
        self.url = url
        self.connection = connection

    async def send(self, data: object) -> None:
        """Send text, bytes, or anything else as JSON."""
        await self.connection.send(wire_form(data))

    async def recv(self, timeout: float | None = 10) -> str | bytes:
        """Return the next message.

        Raises:
            ExpectationTimeoutError: Nothing came within `timeout` seconds (None: wait without end); a TimeoutError.
            websockets.ConnectionClosed: The connection is closed.
        """
        try:
            async with asyncio.timeout(timeout):
                return await self.connection.recv()
        except TimeoutError:
            raise _nothing(self.url, timeout) from None

    async def drain(self, quiet: float = QUIET_SECONDS) -> list[str | bytes]:
        """Return the messages that come until nothing came for `quiet` seconds or the connection is closed."""
        messages: list[str | bytes] = []
        try:
            while True:
                async with asyncio.timeout(quiet):
                    messages.append(await self.connection.recv())
        except (TimeoutError, ConnectionClosed):
            return messages

    def __aiter__(self) -> AsyncIterator[str | bytes]:
        return aiter(self.connection)

    async def close(self, code: int = 1000, reason: str = "") -> None:
        """Close the connection; does nothing if it is closed."""
        await self.connection.close(code, reason)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()


async def open_async(url: str, **options: Any) -> AsyncClient:
    """Connect; options are those of `websockets.asyncio.client.connect`."""
    return AsyncClient(url, await connect_async(url, **{**OPTIONS, **options}))
