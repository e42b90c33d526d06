"""The servers that are compared: NAME echo|push PORT SIZE COUNT; push answers any message with COUNT of SIZE bytes."""

from __future__ import annotations

import asyncio
import sys
import threading
from typing import Any


def websockets(push: bool, port: int, text: str, count: int) -> None:
    """Serve with `websockets`, compression off."""
    from websockets.asyncio.server import ServerConnection, serve

    async def handler(connection: ServerConnection) -> None:
        async for message in connection:
            if push:
                for _ in range(count):
                    await connection.send(text)
            else:
                await connection.send(message)

    async def main() -> None:
        async with serve(handler, "127.0.0.1", port, compression=None) as server:
            await server.serve_forever()

    asyncio.run(main())


def aiohttp(push: bool, port: int, text: str, count: int) -> None:
    """Serve with aiohttp on uvloop, compression off."""
    import uvloop
    from aiohttp import web

    async def handler(request: web.Request) -> web.WebSocketResponse:
        socket = web.WebSocketResponse(compress=False)
        await socket.prepare(request)
        async for message in socket:
            if push:
                for _ in range(count):
                    await socket.send_str(text)
            else:
                await socket.send_str(message.data)
        return socket

    app = web.Application()
    app.router.add_get("/ws", handler)
    web.run_app(app, host="127.0.0.1", port=port, print=None, loop=uvloop.new_event_loop())


def picows(push: bool, port: int, text: str, count: int) -> None:
    """Serve with picows on uvloop."""
    import uvloop
    from picows import WSListener, WSMsgType, WSUpgradeRequest, ws_create_server

    data = text.encode()

    class Echo(WSListener):
        def on_ws_frame(self, transport: Any, frame: Any) -> None:
            transport.send(WSMsgType.TEXT, frame.get_payload_as_bytes())

    class Push(WSListener):
        def on_ws_frame(self, transport: Any, frame: Any) -> None:
            for _ in range(count):
                transport.send(WSMsgType.TEXT, data)

    async def main() -> None:
        def listener(request: WSUpgradeRequest) -> WSListener:
            return Push() if push else Echo()

        server = await ws_create_server(listener, "127.0.0.1", port)
        await server.serve_forever()

    uvloop.run(main())


def mockforge_nb(push: bool, port: int, text: str, count: int) -> None:
    """Serve with this package, the traffic log on."""
    from mockforge_nb import Mock

    steps = [{"dir": "in", "match": "any"}, *[{"text": text}] * count]
    mock = Mock().replay(steps, speed="max") if push else Mock().echo()
    with mock.serve(port=port):
        threading.Event().wait()


if __name__ == "__main__":
    name, axis = sys.argv[1:3]
    port, size, count = map(int, sys.argv[3:6])
    serve = {"websockets": websockets, "aiohttp": aiohttp, "picows": picows, "mockforge_nb": mockforge_nb}[name]
    serve(axis == "push", port, "x" * size, count)
