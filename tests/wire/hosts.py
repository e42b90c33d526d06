"""ASGI servers, each on a loop and a thread of its own, and what the tests of applications share."""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
import threading
import warnings
from collections.abc import Callable, Iterator
from typing import Any

import hypercorn.asyncio
import hypercorn.config
import pytest
import uvicorn
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.sync.client import ClientConnection, connect

from mockforge_nb.asgi import MockApp

from .raw import PATIENCE, eventually

HOSTS = ("websockets-sansio", "wsproto", "websockets", "hypercorn")
"""uvicorn with each of its WebSocket implementations, and hypercorn."""


@contextlib.contextmanager
def hosted(app: Any, by: str = HOSTS[0], **options: Any) -> Iterator[str]:
    """Run an application; where it is as ``ws://127.0.0.1:…`` without a path."""
    one = socket.socket()
    one.bind(("127.0.0.1", 0))
    one.listen()
    url = f"ws://127.0.0.1:{one.getsockname()[1]}"
    stop, thread = (_hypercorn if by == "hypercorn" else _uvicorn)(app, one, by, options)
    try:
        yield url
    finally:
        stop()
        thread.join(PATIENCE)
        one.close()
    assert not thread.is_alive()


Started = tuple[Callable[[], None], threading.Thread]


def _uvicorn(app: Any, one: socket.socket, by: str, options: dict[str, Any]) -> Started:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # one of them is old, and still used
        config = uvicorn.Config(app, ws=by, log_level="critical", timeout_graceful_shutdown=5, **options)
        config.load()
    server = uvicorn.Server(config)
    thread = threading.Thread(target=lambda: asyncio.run(server.serve(sockets=[one])), daemon=True)
    thread.start()
    eventually(lambda: server.started)

    def stop() -> None:
        server.should_exit = True

    return stop, thread


def _hypercorn(app: Any, one: socket.socket, by: str, options: dict[str, Any]) -> Started:
    config = hypercorn.config.Config()
    config.bind = [f"fd://{os.dup(one.fileno())}"]  # it closes what it is given
    config.errorlog = config.accesslog = None
    config.graceful_timeout = 1
    for name, value in options.items():
        setattr(config, name, value)
    ready = threading.Event()
    kept: list[Any] = []

    async def main() -> None:
        end = asyncio.Event()
        kept.extend((asyncio.get_running_loop(), end))
        ready.set()
        await hypercorn.asyncio.serve(app, config, shutdown_trigger=end.wait)

    thread = threading.Thread(target=lambda: asyncio.run(main()), daemon=True)
    thread.start()
    ready.wait(PATIENCE)

    def stop() -> None:
        kept[0].call_soon_threadsafe(kept[1].set)

    return stop, thread


def drain(client: ClientConnection) -> tuple[list[str | bytes], int, str]:
    """What a client reads until the end, and how it ends."""
    got: list[str | bytes] = []
    while True:
        try:
            got.append(client.recv(PATIENCE))
        except ConnectionClosed as error:
            return got, error.rcvd.code if error.rcvd else 1006, error.rcvd.reason if error.rcvd else ""


def refusal(url: str) -> tuple[int, str]:
    """How a handshake is refused: the HTTP status and the body."""
    with pytest.raises(InvalidStatus) as refused, connect(url):
        pass
    response = refused.value.response
    return response.status_code, bytes(response.body or b"").decode()


class Driven:
    """A connection that the test itself drives, in the place of an ASGI server."""

    def __init__(self, app: MockApp, **scope: Any) -> None:
        self.coming: asyncio.Queue[Any] = asyncio.Queue()
        self.said: asyncio.Queue[Any] = asyncio.Queue()
        given = {"type": "websocket", "path": "/ws", "query_string": b"", "headers": [], "subprotocols": []} | scope
        self.task = asyncio.ensure_future(app(given, self.coming.get, self.said.put))

    async def tell(self, kind: str, **more: Any) -> Any:
        """Tell the application something, and return what it says next."""
        self.coming.put_nowait({"type": kind, **more})
        return await asyncio.wait_for(self.said.get(), PATIENCE)
