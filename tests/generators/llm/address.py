"""A real server that speaks OpenAI's API, as far as it is needed, and remembers what it was asked."""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from aiohttp import web

Reply = Callable[[dict[str, Any], int], tuple[int, Any]]


@dataclass
class Address:
    """The server.

    Attributes:
        url: Its base URL.
        bodies: The bodies of the requests.
        headers: Their headers, the names in lower case.
    """

    reply: Reply
    url: str = ""
    bodies: list[dict[str, Any]] = field(default_factory=list)
    headers: list[dict[str, str]] = field(default_factory=list)

    async def answer(self, request: web.Request) -> web.Response:
        self.headers.append({name.lower(): value for name, value in request.headers.items()})
        self.bodies.append(await request.json())
        status, said = self.reply(self.bodies[-1], len(self.bodies) - 1)
        if isinstance(said, str):
            return web.Response(status=status, text=said, content_type="text/html")
        return web.json_response(said, status=status)


def completion(events: Any, **choice: Any) -> dict[str, Any]:
    """Return a completion whose answer is these events, or a text."""
    text = events if isinstance(events, str) else json.dumps({"events": events})
    message = {"role": "assistant", "content": text, **choice.pop("message", {})}
    return {
        "id": "1", "object": "chat.completion", "created": 1, "model": "mine",
        "choices": [{"index": 0, "finish_reason": "stop", "message": message, **choice}],
        "usage": {"prompt_tokens": 7, "completion_tokens": 5, "total_tokens": 12},
    }  # fmt: skip


@contextmanager
def served(reply: Reply) -> Iterator[Address]:
    """Serve on a free port, on a thread of its own."""
    address = Address(reply)
    ready, ended = threading.Event(), asyncio.Event()
    loops: list[asyncio.AbstractEventLoop] = []

    async def serve() -> None:
        app = web.Application()
        app.router.add_post("/v1/chat/completions", address.answer)
        runner = web.AppRunner(app, shutdown_timeout=0.1)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        address.url = f"http://127.0.0.1:{runner.addresses[0][1]}/v1"
        loops.append(asyncio.get_running_loop())
        ready.set()
        await ended.wait()
        await runner.cleanup()

    thread = threading.Thread(target=lambda: asyncio.run(serve()))
    thread.start()
    assert ready.wait(30)
    try:
        yield address
    finally:
        loops[0].call_soon_threadsafe(ended.set)
        thread.join()
