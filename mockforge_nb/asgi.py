"""MockApp: a mock as an ASGI application, which is its own handle."""

from __future__ import annotations

import asyncio
import os
import weakref
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Final, NoReturn

from .connections import Connection
from .core.conditions import Conditions
from .core.routes import PathPattern, Routes
from .errors import OptionError, ProtocolError
from .registry import origin
from .server import MockServer
from .wire.asgi import RESPONSE, AsgiTransport, Event, Receive, Scope, Send, path_of, request_of
from .wire.borrowed import BorrowedLoop

if TYPE_CHECKING:
    from .connections import Done
    from .live import Live
    from .mock import Mock
    from .wire.recorder import Recorder

FRAMES: Final = "the ASGI server writes the frames, and takes whole messages alone"
HANDSHAKE: Final = "the ASGI server writes the handshake's response"
TCP: Final = "the ASGI server holds the TCP connection"
SIGNALS: Final = "the ASGI server answers pings and close frames by itself"

REFUSED: Final[Mapping[str, str]] = {
    "slicer": FRAMES,
    "invalid_utf8": FRAMES,
    "bad_frame": FRAMES,
    "reset_peer": TCP,
    "slow_close": TCP,
    "timeout": SIGNALS,
    "half_open": SIGNALS,
    "no_pong": SIGNALS,
    "wrong_accept": HANDSHAKE,
    "missing_upgrade": HANDSHAKE,
    "cut_handshake": HANDSHAKE,
    "wrong_subprotocol": HANDSHAKE,
}
"""The faults that no ASGI application can make, and why."""

WAY_OUT: Final = "serve() has a port of its own and can"
PLAIN: Final = (b"content-type", b"text/plain; charset=utf-8")


class AppConnection(Connection):
    """A connection that an ASGI server holds."""

    def ping(self, data: bytes | str | None = None) -> Done[float]:
        """Raise ProtocolError: ASGI has no pings.

        Raises:
            ProtocolError: Always.
        """
        raise ProtocolError(f"ping(): pings are the ASGI server's, an application cannot send any; {WAY_OUT}")


class MockApp(MockServer):
    """An ASGI application that serves a mock, and the handle of it: what it is asked is as of `MockServer`.

    It runs under any ASGI server on asyncio, and is mounted in Starlette or FastAPI: its paths then are those behind
    the mount. The mock's own path is also the mount's root, ``app.mount("/live", mock.asgi())`` answers at ``/live/``
    (a Starlette Mount takes no ``/live`` without the slash; ``WebSocketRoute("/live", mock.asgi(path="/live"))`` does).

    It begins with its first connection, on whichever event loop that comes, and may be used on several loops one after
    another. Each worker process has an application, and a log, of its own.

    What differs from `Mock.serve`: the handshake's bytes, frames, pings, compression and TCP are the ASGI server's. An
    abort is a connection whose application returns without a close frame: uvicorn then ends TCP (the client sees
    1006), hypercorn closes with 1011. What a client answers to a close frame is not told to applications; the log has
    it with the code that was sent. How the client left is what the server says: hypercorn always says 1006, uvicorn
    1005 where TCP just ended.

    Example:
        >>> Mock().replay(["a", "b"], rate=1).asgi()
        <MockApp /ws, 0 connections>
    """

    def __init__(self, mock: Mock, path: str) -> None:
        root = PathPattern.parse(path, "asgi(path=)")
        routes = Routes(mock._plans(root))
        self._admit("asgi()", mock, routes)
        self._base: str | None = None
        self._host_loop = BorrowedLoop()
        super().__init__(mock, routes, root, "", 0, origin(), self._host_loop)
        self.listener.handle = lambda wire: AppConnection(self, wire)
        weakref.finalize(self, _close, self._recorders)

    # How it differs from a server with a port of its own

    def _open(self, host: str, port: int) -> None:
        """Do nothing: the ASGI server listens."""

    def _end(self, code: int) -> None:
        if not self._host_loop.runs:
            return
        try:
            self._loop.run(self._close_all, code)
        except ProtocolError:
            if self._host_loop.runs:
                raise
            # The loop ended meanwhile, and with it the connections.

    async def _close_all(self, code: int) -> None:
        if not self.listener.stopped and hasattr(self.listener, "loop"):
            await self.listener.stop(code)

    def _admit(self, where: str, mock: Mock, routes: Routes) -> None:
        if mock._tls is not None:
            raise OptionError(where, "tls()", "is the ASGI server's", "uvicorn --ssl-certfile … --ssl-keyfile …")
        if "handshake_seconds" in mock._limits:
            value = mock._limits["handshake_seconds"]
            raise OptionError(where, f"limits(handshake_seconds={value:g})", f"cannot be: {HANDSHAKE}", WAY_OUT)
        for route in routes:
            if route.plan.compression:
                way = "leave it out; uvicorn and hypercorn compress by themselves"
                raise OptionError(where, "compression()", "is the ASGI server's", way)
            for name in _faults(route.plan.conditions):
                if name in REFUSED:
                    raise OptionError(where, name, f"is a fault that cannot be: {REFUSED[name]}", WAY_OUT)

    def _must_run(self) -> None:
        if not hasattr(self.listener, "loop"):
            self._pid = os.getpid()  # an application that a parent built and its worker serves
        super()._must_run()

    def halt(self, code: int = 1001) -> None:
        """Close all connections, half a second at most, and refuse new ones with 503; stopping twice is fine."""
        if self._stopped or self._pid != os.getpid():
            return
        if self._loop.on_loop():
            raise ProtocolError(
                f"{self!r} cannot be stopped from its own event loop; await asyncio.to_thread(app.stop)"
            )
        self._stopped = True
        self._end(code)
        self._flush()

    def down(self) -> Live:
        """Raise ProtocolError: the port is the ASGI server's.

        Raises:
            ProtocolError: Always.
        """
        raise ProtocolError(
            f"down(): the ASGI server holds the port; .reject(503) and .abort() come close to it, and {WAY_OUT}"
        )

    def __getattr__(self, name: str) -> NoReturn:
        if name in ("host", "port"):
            raise AttributeError(f"an ASGI application has no {name} of its own: it is the ASGI server's")
        raise AttributeError(f"{type(self).__name__!r} has no attribute {name!r}")

    def url_for(self, path: str) -> str:
        """Return the URL of a path of this application, which may have a query.

        Raises:
            OptionError: It is no path.
            ProtocolError: Nobody asked for anything yet: where it is mounted only a request tells.
        """
        if not isinstance(path, str) or not path.startswith("/"):
            raise OptionError("url_for()", path, "is no path", "valid: a text that begins with '/'")
        if self._base is None:
            raise ProtocolError("where an ASGI application is, it learns from its first request; there was none yet")
        return self._base + path

    @property
    def _place(self) -> str:
        return self.path if self._base is None else self.url

    @property
    def _address(self) -> tuple[str, int]:
        return "", 0

    # As an application

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve what an ASGI server asks for (ASGI 3, https://asgi.readthedocs.io).

        Raises:
            ProtocolError: The server does not run on asyncio, or the mock has connections on another loop.
            OptionError: A scope that is neither ``websocket``, ``http`` nor ``lifespan``.
        """
        kind = scope["type"]
        if kind not in ("websocket", "http", "lifespan"):
            raise OptionError("scope['type']", kind, valid=("websocket", "http", "lifespan"))
        if not self._stopped:
            self._enter()
        if kind == "lifespan":
            await self._live_on(receive, send)
            return
        self._learn(scope)
        path, mounted = path_of(scope)
        if mounted and path in ("", "/") and self.listener.routes.find("/") is None and not self._root.names:
            path = self._root.text
        if kind == "http":
            await self._explain(path or "/", scope, send)
        elif self._stopped:
            await _refuse(scope, receive, send, "This mock is stopped.\n")
        else:
            transport = AsgiTransport(self.listener, scope, receive, send)
            await transport.run(request_of(scope, path or "/"))

    def _enter(self) -> None:
        """Let the loop that runs this drive the mock, unless it does already."""
        if self._host_loop.take(lambda: bool(self.listener.sockets)) or self.listener.stopped:
            self._pid = os.getpid()
            self.listener.attach()

    async def _live_on(self, receive: Receive, send: Send) -> None:
        """Begin and end with the ASGI server."""
        while True:
            event = await receive()
            if event["type"] == "lifespan.startup":
                await send({"type": "lifespan.startup.complete"})
            elif event["type"] == "lifespan.shutdown":
                await self._close_all(1001)
                await send({"type": "lifespan.shutdown.complete"})
                return

    def _learn(self, scope: Scope) -> None:
        """Take note of where the application is."""
        if self._base is not None or not scope.get("server"):
            return
        host, port = scope["server"]
        secure = scope.get("scheme") in ("wss", "https")
        if self._telemetry is not None:
            self._telemetry.move(host, port or 0, secure=secure)
        place = f"[{host}]" if ":" in host else host
        self._base = f"{'wss' if secure else 'ws'}://{place}{'' if port is None else f':{port}'}" + scope.get(
            "root_path", ""
        ).rstrip("/")

    async def _explain(self, path: str, scope: Scope, send: Send) -> None:
        """Answer a plain HTTP request."""
        found = self.listener.routes.find(path)
        headers = [PLAIN]
        if path in self.listener.pages:
            kind, shown = await asyncio.to_thread(self.listener.pages[path])
            await send({"type": "http.response.start", "status": 200, "headers": [(b"content-type", kind.encode())]})
            await send({"type": "http.response.body", "body": shown})
            return
        if found is None:
            status, text = 404, f"This is a WebSocket mock. {self.listener.routes.missing(path)}\n"
        else:
            status, text = 426, f"This is a WebSocket mock: connect to {path} with a WebSocket client.\n"
            if scope.get("http_version", "1.1").startswith("1"):  # HTTP/2 has no such header
                headers.append((b"upgrade", b"websocket"))
        body = text.encode(errors="replace")
        headers.append((b"content-length", b"%d" % len(body)))
        await send({"type": "http.response.start", "status": status, "headers": headers})
        await send({"type": "http.response.body", "body": body})


async def _refuse(scope: Scope, receive: Receive, send: Send, text: str) -> None:
    """Refuse a handshake with 503, or 403 where the server lets no application say more."""
    await receive()
    if RESPONSE not in (scope.get("extensions") or {}):
        await send({"type": "websocket.close", "code": 1013})
        return
    body = text.encode()
    start: Event = {"status": 503, "headers": [PLAIN, (b"content-length", b"%d" % len(body))]}
    await send({"type": f"{RESPONSE}.start", **start})
    await send({"type": f"{RESPONSE}.body", "body": body})


def _faults(conditions: Conditions) -> Iterator[str]:
    """Return the names of all faults that may come."""
    for fault in conditions.faults:
        yield fault.name
    for phase in conditions.phases:
        yield from _faults(phase.conditions)


def _close(recorders: Mapping[str, Recorder]) -> None:
    """Let recordings be whole, also where the process ends and nobody stopped the application."""
    for recorder in recorders.values():
        recorder.close()
