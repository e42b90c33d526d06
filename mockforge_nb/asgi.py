"""MockApp: a mock as an ASGI application, which is its own handle."""

from __future__ import annotations

import asyncio
import os
import weakref
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Final, NoReturn, Self

from .connections import Connection
from .core.routes import PathPattern, Routes
from .errors import OptionError, ProtocolError
from .network import faults_of, preset_with
from .registry import applications, origin
from .server import MockServer
from .wire.asgi import RESPONSE, AsgiTransport
from .wire.borrowed import BorrowedLoop
from .wire.scope import Event, Receive, Scope, Send, asked_of, path_of, place_of, secure

if TYPE_CHECKING:
    from .connections import Done
    from .core.events import Pushed
    from .live import Live
    from .mock import Mock
    from .wire.recorder import Recorder
    from .words import Word

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

STOPPED: Final = "This mock is stopped.\n"
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
    another. Each worker process has an application, a log, and a file that it records to, of its own.

    Recordings are whole, and spans and metrics exported, once it is stopped or the server told it of its own end
    (ASGI's lifespan). A mount is told nothing: ``async with app:`` in the lifespan of the application around it.

    That a client left is heard behind all that it said before. Where a handler reads nothing, up to a megabyte of it is
    held meanwhile; beyond that the client waits, as under `Mock.serve`, and is given up after a minute.

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
        self._server: object = None  # what the server said of where it is
        self._carried: set[AsgiTransport] = set()
        self._whole = False  # whether recordings are to begin again
        self._host_loop = BorrowedLoop()
        super().__init__(mock, routes, root, "", 0, origin(), self._host_loop)
        self.listener.handle = lambda wire: AppConnection(self, wire)
        weakref.finalize(self, _close, self._recorders)
        applications.add(self)

    _again = "Mock.asgi() makes another application"

    def __enter__(self) -> Self:
        """Begin a block at whose end it is stopped.

        Raises:
            ProtocolError: This is a coroutine of the event loop that drives it: ``async with`` can wait there.
        """
        if self._loop.on_loop():
            raise ProtocolError(f"{self!r} runs on this event loop, which `with` would block; use `async with`")
        return self

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
            for fault in faults_of(route.plan.conditions):
                if fault.name in REFUSED:
                    preset = preset_with(fault.name, _said(mock))
                    of = "" if preset is None else f"of preset({preset!r}) "
                    problem = f"{of}is a fault that cannot be: {REFUSED[fault.name]}"
                    raise OptionError(where, fault.name, problem, WAY_OUT)

    def _must_run(self) -> None:
        if not hasattr(self.listener, "loop"):
            self._adopt()
        super()._must_run()

    def _adopt(self) -> None:
        """In a fork: serve by itself what the parent built, and perhaps served."""
        if self._pid != os.getpid() and not self._stopped:
            self.listener.disown()
            self._carried.clear()
            self._record_again()
            self._pid = os.getpid()

    def _record_again(self) -> None:
        for path, recorder in list(self._recorders.items()):
            self._recorders[path] = recorder.again()
            self.listener.taps[path] = self._recorders[path].tap

    def _push(self, event: Pushed, room: str | None) -> tuple[int, int]:
        if self._host_loop.runs:
            return super()._push(event, room)
        self._must_run()
        return 0, 0  # what a loop that stands still is told may never leave

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

    def _leave(self, error: BaseException | None) -> None:
        try:
            super()._leave(error)
        except ProtocolError as problem:
            if error is None:
                raise
            error.add_note(str(problem))

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
            if self._server is not None:
                problem = "its ASGI server is at no TCP port"
                raise ProtocolError(f"{self!r} has no URL: {problem}, but at {self._server!r}")
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
        kind = scope.get("type")
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
            await _refuse(scope, receive, send, STOPPED)
        else:
            asked = asked_of(scope, path or "/")
            transport = AsgiTransport(self.listener, scope, receive, send)
            self._carried.add(transport)
            try:
                await transport.run(asked)
            finally:
                self._carried.discard(transport)

    def _enter(self) -> None:
        """Let the loop that runs this drive the mock, unless it does already."""
        self._adopt()
        other = self._host_loop.take(lambda: bool(self.listener.sockets))
        if other:
            for each in list(self._carried):
                each.forsake()
            self.listener.upstreams.clear()
        if other or self.listener.stopped:
            if self._whole:
                self._record_again()
                self._whole = False
            self._base = self._server = None
            self.listener.attach()

    async def _live_on(self, receive: Receive, send: Send) -> None:
        """Begin and end with the ASGI server."""
        while True:
            event = await receive()
            if event["type"] == "lifespan.startup":
                await send({"type": "lifespan.startup.complete"})
            elif event["type"] == "lifespan.shutdown":
                await self._close_all(1001)
                await asyncio.to_thread(self._make_whole)  # many a server then ends by a signal, and nothing more runs
                await send({"type": "lifespan.shutdown.complete"})
                return

    def _make_whole(self) -> None:
        """Make recordings whole and export what there is, but be ready to begin again."""
        if self._stopped:
            return
        for recorder in self._recorders.values():
            recorder.close()
        self._whole = True
        if self._telemetry is not None:
            self._telemetry.flush()

    def _learn(self, scope: Scope) -> None:
        """Take note of where the application is."""
        if self._server is not None or not scope.get("server"):
            return
        host, port = scope["server"]
        if self._telemetry is not None:
            self._telemetry.move(host, port or 0, secure=secure(scope))
        self._server, self._base = host, place_of(scope)

    async def _explain(self, path: str, scope: Scope, send: Send) -> None:
        """Answer a plain HTTP request."""
        found = self.listener.routes.find(path)
        headers = [PLAIN]
        if path in self.listener.pages and not self._stopped:
            kind, shown = await asyncio.to_thread(self.listener.pages[path])
            await send({"type": "http.response.start", "status": 200, "headers": [(b"content-type", kind.encode())]})
            await send({"type": "http.response.body", "body": shown})
            return
        if self._stopped:
            status, text = 503, STOPPED
        elif found is None:
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


def _said(mock: Mock) -> Iterator[Word]:
    """Return what a mock, and those of its routes, say of the network."""
    yield from mock._network
    for _, routed in mock._routes:
        yield from _said(routed)


def _close(recorders: Mapping[str, Recorder]) -> None:
    """Let recordings be whole, also where the process ends and nobody stopped the application."""
    for recorder in recorders.values():
        recorder.close()
