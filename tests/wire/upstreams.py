"""Servers of other libraries that a proxy stands in front of, each on a loop and a thread of its own."""

from __future__ import annotations

import asyncio
import ssl
import threading
from collections.abc import Awaitable, Callable
from typing import Any

import aiohttp
from aiohttp import web
from websockets.asyncio.server import ServerConnection, serve

Handler = Callable[[Any], Awaitable[object]]

Started = Callable[["Upstream"], "Upstream"]
"""The fixture `started`: stops an upstream at the end of the test."""


class Upstream:
    """A running server.

    Attributes:
        url: Where it is.
        seen: What its handlers keep for the test.
    """

    def __init__(self, start: Callable[[Upstream], Awaitable[int]], *, scheme: str = "ws") -> None:
        self.seen: list[Any] = []
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._thread.start()
        self.closing: list[Callable[[], Awaitable[object]]] = []

        async def begin() -> int:
            return await start(self)

        self.port = asyncio.run_coroutine_threadsafe(begin(), self._loop).result(20)
        self.url = f"{scheme}://127.0.0.1:{self.port}"

    def stop(self) -> None:
        async def end() -> None:
            for close in self.closing:
                await close()
            rest = [task for task in asyncio.all_tasks() if task is not asyncio.current_task()]
            for task in rest:
                task.cancel()
            await asyncio.gather(*rest, return_exceptions=True)

        asyncio.run_coroutine_threadsafe(end(), self._loop).result(20)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(20)
        self._loop.close()


def with_websockets(handler: Handler, tls: ssl.SSLContext | None = None, **options: Any) -> Upstream:
    """Run a handler under the `websockets` library; it may keep things in ``ws.seen``."""

    async def start(upstream: Upstream) -> int:
        async def handle(ws: ServerConnection) -> None:
            ws.seen = upstream.seen  # type: ignore[attr-defined]  # for the handler
            await handler(ws)

        options.setdefault("compression", None)
        server = await serve(handle, "127.0.0.1", 0, ssl=tls, close_timeout=1, **options)

        async def close() -> None:
            server.close()
            await server.wait_closed()

        upstream.closing.append(close)
        return int(server.sockets[0].getsockname()[1])

    return Upstream(start, scheme="wss" if tls is not None else "ws")


def with_aiohttp(handler: Handler, tls: ssl.SSLContext | None = None, *, compress: bool = True) -> Upstream:
    """Run a handler of a prepared `aiohttp.web.WebSocketResponse` under aiohttp."""

    async def start(upstream: Upstream) -> int:
        async def handle(request: web.Request) -> web.WebSocketResponse:
            upstream.seen.append(request)
            ws = web.WebSocketResponse(compress=compress, autoping=True)
            await ws.prepare(request)
            await handler(ws)
            return ws

        app = web.Application()
        app.router.add_get("/{tail:.*}", handle)
        runner = web.AppRunner(app, shutdown_timeout=1)
        await runner.setup()
        site = web.TCPSite(runner, "127.0.0.1", 0, ssl_context=tls)
        await site.start()
        upstream.closing.append(runner.cleanup)
        assert site._server is not None
        return int(site._server.sockets[0].getsockname()[1])  # type: ignore[attr-defined]

    return Upstream(start, scheme="wss" if tls is not None else "ws")


async def echo(ws: Any) -> None:
    """Send each message back, under either library."""
    if isinstance(ws, web.WebSocketResponse):
        async for message in ws:
            if message.type is aiohttp.WSMsgType.TEXT:
                await ws.send_str(message.data)
            elif message.type is aiohttp.WSMsgType.BINARY:
                await ws.send_bytes(message.data)
    else:
        async for message in ws:
            await ws.send(message)
