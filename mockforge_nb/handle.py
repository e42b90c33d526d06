"""What every handle of a running mock can do, and how a mock is started."""

from __future__ import annotations

import dataclasses
import os
import secrets
import threading
import warnings
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any, ClassVar, Literal, TypeVar

from . import environment, registry
from .connections import Connection, Connections, check_room, pushed
from .core.closecodes import check_close
from .core.log import Log
from .core.match import pattern as compile_pattern
from .core.message import Message
from .core.plan import Recording, Relay
from .core.recording import header, rfc3339
from .core.routes import PathPattern, Routes
from .errors import (
    AuthorError,
    BindError,
    ExpectationError,
    ExpectationTimeoutError,
    OptionError,
    ProtocolError,
    RecordingError,
    raise_first,
)
from .live import Live
from .network import NetworkWords, conditions_of
from .registry import Origin
from .telemetry.collected import Spans
from .telemetry.measured import Metrics
from .tls import Tls
from .traffic import Traffic
from .wire.listener import Listener, Waiter
from .wire.portal import Loop, loop_thread
from .wire.recorder import Recorder
from .words import Word

if TYPE_CHECKING:
    import ssl

    import pandas as pd

    from .core.events import Pushed
    from .mock import Mock
    from .telemetry.telemetry import Telemetry

T = TypeVar("T")

RUNNING = ("end", "finish")
OF_THE_SERVER = ("_trace", "_metrics", "_tls")
"""What of a mock holds as long as its server runs."""


class Server(NetworkWords[Live]):
    """What the blocking and the awaitable handle have in common.

    Attributes:
        mock: The mock that is served.
        host: Where it listens.
        port: The port there.
        path: The path of the mock.
        seed: The seed of its random numbers, drawn if the mock has none.
        traffic: Every message, in and out.
        spans: The spans of its connections and of what else is in their traces, once they have ended; see `Mock.trace`.
        metrics: Its metrics; see `Mock.metrics`.
        connections: Every connection, open and closed.
        ca: With `Mock.tls`, the certificates (PEM) by which a client trusts it; None: it serves ``ws://``.
    """

    host: str
    port: int

    _again: ClassVar = "serve the mock again"

    def __init__(
        self,
        mock: Mock,
        routes: Routes,
        root: PathPattern,
        host: str,
        port: int,
        started: Origin,
        loop: Loop,
    ) -> None:
        seed = mock._seed
        self.mock = mock
        self.seed: int = secrets.randbits(32) if seed is None else seed
        self.path = routes.first.path.text
        self._root = root
        self._routes = routes  # without what is said to the network while it runs
        self._live: list[Word] = []
        self._told: list[Exception] = []  # what check() raised
        self._downs = 0  # how many say that it is down
        secured: Tls | None = None if mock._tls is None else mock._tls.made
        self._tls = secured
        self.ca: str | None = None
        context: ssl.SSLContext | None = None
        if secured is not None:
            context, self.ca = secured.context(host)
        limits = mock._limits
        log = Log(int(limits["log_bytes"])) if "log_bytes" in limits else Log()
        self.listener = Listener(
            routes,
            self.seed,
            log,
            lambda wire: Connection(self, wire),
            clock_ns=mock._clock_ns,
            handshake_seconds=float(limits.get("handshake_seconds", 10)),
            most=int(limits["connections"]) if "connections" in limits else None,
            tls=context,
        )
        self._loop = loop
        self._pid = os.getpid()
        self.origin = started
        self._stopped = False
        self._over = threading.Event()  # set once it is stopped, or is to be
        self._failures = len(loop.failures)
        self.traffic = Traffic(log)
        self.connections = Connections(self)
        self.spans, self.metrics = Spans(), Metrics()
        self._telemetry = self._observe(mock, routes)
        try:
            self._open(host, port)
        except BaseException:
            if self._telemetry is not None:
                self._telemetry.close()
            raise
        if self._telemetry is not None:
            self._telemetry.move(*self._address, secure=secured is not None)
        self._upstreams = [route.plan.behaviour.upstream for route in routes if isinstance(route.plan.behaviour, Relay)]
        log.url = (self._upstreams[0].url if self._upstreams else "") or self._place
        self._recorders: dict[str, Recorder] = {}
        try:
            self._record(routes)
        except (RecordingError, OptionError):
            self._end(1001)
            self._flush()
            raise

    def _open(self, host: str, port: int) -> None:
        """Begin to serve."""
        self.host, self.port = host, self._loop.run(self.listener.start, host, port)

    def _end(self, code: int) -> None:
        """Serve no more."""
        self._loop.run(self.listener.stop, code)

    def _admit(self, where: str, mock: Mock, routes: Routes) -> None:
        """Raise OptionError if something of these plans cannot be served here: of a server of our own, all can."""

    def _record(self, routes: Routes) -> None:
        """Begin the recordings that plans ask for and that are not there yet.

        Raises:
            RecordingError: A file cannot be written, or is no recording.
            OptionError: Two plans want one file in two ways.
        """
        wanted: dict[str, Recording] = {}
        for route in routes:
            for one in route.plan.recordings:
                other = wanted.setdefault(one.path, one)
                if other is not one and (other.upstream or other.append or one.upstream or one.append):
                    raise OptionError(
                        "record", one.path, "is the recording of two paths", "give each a file of its own"
                    )
        for path, one in wanted.items():
            if path not in self._recorders:
                url = next((each.url for each in self._upstreams if each.url), "") or self._place
                first = header(url, rfc3339(self.listener.log.started_ns), "proxy" if self._upstreams else "mock")
                self._recorders[path] = Recorder(one, first)
                self.listener.taps[path] = self._recorders[path].tap

    def _observe(self, mock: Mock, routes: Routes) -> Telemetry | None:
        """Begin to trace and to measure, if the mock says so: before the first client comes."""
        tracing, measuring = (None if word is None else word.made for word in (mock._trace, mock._metrics))
        if tracing is None and measuring is None:
            return None
        from .telemetry.telemetry import Telemetry

        # What a mock does is a part of the seed: an upstream and its proxy may have one seed, and share a trace.
        does = " ".join(f"{route.path.text} {type(route.plan.behaviour).__name__}" for route in routes)
        seed = None if mock._seed is None else f"{mock._seed} {does}"
        made = Telemetry(self.listener, tracing, measuring, seed)
        self.spans, self.metrics = made.spans, made.metrics
        return made

    def call(self, function: Callable[..., T], *args: Any) -> T:
        """Run a function on the loop's thread, from whichever thread this is."""
        self._must_run()
        return function(*args) if self._loop.on_loop() else self._loop.call(function, *args)

    def _must_run(self) -> None:
        """Raise ProtocolError if it is stopped, or runs in another process."""
        if self._pid != os.getpid():
            raise ProtocolError(f"{self!r} runs in the process that started it ({self._pid}), not in this fork of it")
        if self._stopped:
            raise ProtocolError(f"{self!r} is stopped; {self._again}")

    # Where it is

    @property
    def url(self) -> str:
        """The URL to connect to: that of the first path that is served.

        Example:
            >>> with Mock().serve(port=0, path="/feed") as server:
            ...     server.url == f"ws://127.0.0.1:{server.port}/feed"
            True
        """
        return self.url_for(self.path)

    @property
    def _place(self) -> str:
        """Where it is, for people."""
        return self.url

    @property
    def _address(self) -> tuple[str, int]:
        """Where it listens; 0: it is not known yet."""
        return self.host, self.port

    def url_for(self, path: str) -> str:
        """Return the URL of a path on this server, which may have a query; nothing need be served there.

        Raises:
            OptionError: It is no path.

        Example:
            >>> mock = Mock().route("/prices/{symbol}", Mock().echo())
            >>> with mock.serve(port=0) as server:
            ...     server.url_for("/prices/AAPL") == f"ws://127.0.0.1:{server.port}/prices/AAPL"
            True
        """
        if not isinstance(path, str) or not path.startswith("/"):
            raise OptionError("url_for()", path, "is no path", "valid: a text that begins with '/'")
        host = {"0.0.0.0": "127.0.0.1", "::": "::1", "": "127.0.0.1"}.get(self.host, self.host)
        scheme = "ws" if self._tls is None else "wss"
        return f"{scheme}://{f'[{host}]' if ':' in host else host}:{self.port}{path}"

    @property
    def running(self) -> bool:
        """Whether it listens.

        Example:
            >>> with Mock().serve(port=0) as server:
            ...     server.running
            True
            >>> server.running
            False
        """
        return not self._stopped

    @property
    def errors(self) -> list[Exception]:
        """What went wrong by the author's doing while it served, oldest first; this package's own failures last.

        Example:
            >>> server = Mock().when("^half$", lambda message: 1 / 0).serve(port=0)
            >>> with server.client() as client:
            ...     client.send("half")
            ...     client.drain()
            []
            >>> server.errors
            [ZeroDivisionError('division by zero')]
            >>> server.stop()
        """
        return [each.error for each in self._all_errors()]

    def _all_errors(self) -> list[AuthorError]:
        own = [AuthorError(error) for error in self._loop.failures[self._failures :]]
        own += [AuthorError(each.error) for each in self._recorders.values() if each.error is not None]
        return [*self.listener.errors, *own]

    @property
    def state(self) -> dict[str, Any]:
        """The state that all connections share, which templates read as ``server``.

        Example:
            >>> mock = Mock().when("^hit$", None, scope="server", set={"hits": "{{(server.hits or 0) + 1}}"})
            >>> with mock.serve(port=0) as server, server.client() as client:
            ...     client.send("hit")
            ...     client.close()
            ...     server.state
            {'hits': 1}
        """
        return self.listener.routes.state

    @property
    def rooms(self) -> dict[str, list[Connection]]:
        """The rooms that somebody is in, and who.

        Example:
            >>> async def chat(conn):
            ...     await conn.join("lobby")
            ...     await conn.send("welcome")
            ...     await conn.recv()
            >>> with Mock().handle(chat).serve(port=0) as server, server.client() as client:
            ...     client.recv(), list(server.rooms)
            ('welcome', ['lobby'])
        """
        rooms = self.listener.rooms
        return {name: [wire.handle for wire in rooms.members(name)] for name in rooms.names()}

    @property
    def rules(self) -> pd.DataFrame:
        """A row a rule, in the order in which they are tried: path, rule, name, pattern, and how many it `took`.

        Example:
            >>> with Mock().when("^HELP$", "?", name="help").serve(port=0) as server, server.client() as client:
            ...     client.send("HELP")
            ...     client.recv()
            ...     server.rules[["name", "pattern", "took"]].values.tolist()
            '?'
            [['help', '^HELP$', 1]]
        """
        return rules_frame(self.listener.routes)

    def _trusting(self, options: dict[str, Any]) -> dict[str, Any]:
        """Return a client's options, by which it trusts this server unless they say whom it trusts."""
        if self._tls is None or self.ca is None or "ssl" in options:
            return options
        return {**options, "ssl": self._tls.trust(self.ca)}

    # What it does

    def send(self, data: object, room: str | None = None) -> int:
        """Send text, bytes, or anything else as JSON to every open connection, or to those in a room.

        Returns:
            How many it reached.

        Warns:
            UserWarning: It reached none, or some read so slowly that they were left out (``limits(queue_bytes=)``).

        Raises:
            OptionError: `data` has no JSON form, or `room` is no text.

        Example:
            >>> with Mock().serve(port=0) as server, server.client() as client:
            ...     server.send({"type": "tick"})
            ...     client.recv()
            1
            '{"type":"tick"}'
        """
        event = pushed(data, "send()")
        if room is not None:
            check_room(room, "send(room=)")
        reached, slow = self._push(event, room)
        if slow:
            warnings.warn(f"{slow} of {reached + slow} connections read too slowly and were left out", stacklevel=2)
        elif not reached:
            who = f"nobody is connected to {self._place}" if room is None else f"nobody is in the room {room!r}"
            warnings.warn(f"{who}: nothing was sent", stacklevel=2)
        return reached

    def _push(self, event: Pushed, room: str | None) -> tuple[int, int]:
        """Send to connections; return how many it reached, and how many are too slow."""
        return self.call(self.listener.push, event, room)

    def close(self, code: int = 1000, reason: str = "") -> None:
        """Begin the closing handshake on every connection, after what is on its way to it, and go on serving.

        It does not wait for the peers.

        Raises:
            OptionError: A code or reason that RFC 6455 §7.4 does not allow in a close frame.

        Example:
            >>> with Mock().serve(port=0) as server, server.client() as client:
            ...     server.close(1012, "restart")
            ...     client.drain(), client.close_code, client.close_reason
            ([], 1012, 'restart')
        """
        check_close(code, reason)
        self.call(self.listener.close, code, reason)

    def abort(self) -> None:
        """End every TCP connection without a close frame, and go on serving.

        Example:
            >>> with Mock().serve(port=0) as server, server.client() as client:
            ...     server.abort()
            ...     client.drain(), int(client.close_code)
            ([], 1006)
        """
        self.call(self.listener.abort)

    def update(self, mock: Mock, *, running: Literal["end", "finish"] = "end") -> None:
        """Let another mock take over, on the connections that are open and on new ones; their state is kept.

        Rules, latency and limits of messages are the new ones at once. The log, seed, clock, port, certificate, and
        what traces and measures stay. A connection whose path the new mock does not serve is closed with 1001.

        Args:
            mock: The mock.
            running: ``"end"``: scripts, streams and handlers that run end now, and the new behaviour begins.
                ``"finish"``: they go on to their end, and the new behaviour begins then.

        Raises:
            OptionError: It is no Mock, `running` is none of these, or it is to be traced, measured or secured, and in
                another way than the one that is served.

        Example:
            >>> with Mock().echo().serve(port=0) as server, server.client() as client:
            ...     server.update(Mock().when("^hi$", "hello"))
            ...     client.send("hi")
            ...     client.recv()
            'hello'
        """
        if not isinstance(mock, type(self.mock)):
            raise OptionError("update()", mock, f"is a {type(mock).__name__}, not a mockforge_nb.Mock")
        if running not in RUNNING:
            raise OptionError("update(running=)", running, valid=RUNNING)
        for name in OF_THE_SERVER:
            word, mine = getattr(mock, name), getattr(self.mock, name)
            if word is not None and word != mine:
                raise OptionError("update()", word, "is said when a mock is served", "serve() the new mock")
        self._must_run()
        routes = Routes(mock._plans(self._root), self.state)
        self._admit("update()", mock, routes)
        self._record(routes)
        self._routes = routes
        self.call(self.listener.update, self._under(), running)
        mock = dataclasses.replace(mock, **{name: getattr(self.mock, name) for name in OF_THE_SERVER})
        self.mock, self.path = mock, self._routes.first.path.text

    # The network

    def _under(self, *more: Word) -> Routes:
        """Return the routes with what was said to the network while it runs, and `more`."""
        live = [*self._live, *more]
        return self._routes.under(lambda conditions: conditions_of(live, conditions)) if live else self._routes

    def _says(self, word: Word) -> Live:
        routes = self._under(word)
        self._admit(f"{word.call}()", self.mock, routes)
        self.call(self.listener.change, routes)
        self._live.append(word)

        def undo() -> None:
            if not any(each is word for each in self._live):
                return
            self._live[:] = [each for each in self._live if each is not word]
            if self.running:
                self.call(self.listener.change, self._under())

        return Live(repr(word), undo)

    @property
    def live(self) -> list[str]:
        """What was said to the network while it runs, and holds.

        Example:
            >>> with Mock().serve(port=0) as server:
            ...     with server.latency("slow"):
            ...         server.live
            ...     server.live
            ['latency(300-800 ms)']
            []
        """
        return [repr(word) for word in self._live]

    def down(self) -> Live:
        """Let the server be away: connections that are there end without a close frame, and new ones are refused.

        Its port is free meanwhile; coming back it listens on it again.

        Example:
            >>> with Mock().serve(port=0) as server:
            ...     with server.down():
            ...         try:
            ...             server.client()
            ...         except OSError:
            ...             print("nobody listens")
            ...     server.client().close()
            nobody listens
        """
        self._run(self.listener.down)
        self._downs += 1

        def undo() -> None:
            self._downs -= 1
            if self.running and not self._downs:
                self._run(self.listener.up, self.host, self.port)

        return Live("down()", undo)

    def _run(self, function: Callable[..., Awaitable[T]], *args: Any) -> T:
        """Run a coroutine function on the loop's thread."""
        if self._loop.on_loop():
            raise ProtocolError(f"{self!r} cannot wait for this on its own event loop")
        self._must_run()
        return self._loop.run(function, *args)

    def check(self, *, strict: bool = False) -> None:
        """Raise the first thing that went wrong by the author's doing; the others are its notes.

        Args:
            strict: Whether it is also wrong that nobody took a message, that a rule took none, or that what a cassette
                has of its client was not said.

        Example:
            >>> server = Mock().when("^HELP$", "?").serve(port=0)
            >>> try:
            ...     server.check(strict=True)
            ... except ExpectationError as error:
            ...     print(error)
            the rule '^HELP$' at /ws took no message
            >>> server.stop()
        """
        failed = self._all_errors()
        self._told = [each.error for each in failed]
        if strict:
            failed += unused(self.listener)
        raise_first(failed)

    def check_rest(self) -> None:
        """Raise what `check` did not raise yet: for the end of a `with` block or of a test, which may expect errors."""
        raise_first([each for each in self._all_errors() if not any(each.error is told for told in self._told)])

    def halt(self, code: int = 1001) -> None:
        """Free the port and close all connections, half a second at most; stopping twice is fine."""
        if self._stopped or self._pid != os.getpid():
            return
        if self._loop.on_loop():
            # Before the lock is asked for: whoever holds it may wait for this very loop.
            raise ProtocolError(f"{self!r} cannot be stopped from its own event loop, where templates are rendered")
        with registry.lock:
            if registry.running.get(self.port) is not self:
                return  # another thread was faster
            del registry.running[self.port]
            self._stopped = True
        try:
            self._end(code)
            self._flush()
        finally:
            self._over.set()

    def _flush(self) -> None:
        """Let recordings be whole, and export what is left of spans and metrics."""
        for recorder in self._recorders.values():
            recorder.close()
        if self._telemetry is not None:
            self._telemetry.close()

    def _leave(self, error: BaseException | None) -> None:
        """End a `with` block: stop, and raise what went wrong unless the body already raised."""
        self.halt()
        if error is None:
            self.check_rest()

    # What is waited for

    def _message_waiter(self, wanted: object, count: int) -> Waiter:
        matcher = None if wanted is None else compile_pattern(wanted, where="wait_for()")

        def take(message: Message) -> Message | None:
            found = matcher.match(message) if matcher is not None else None
            if matcher is not None and found is None:
                return None
            return Message(
                message.payload, message.opcode, connection=message.connection, time=message.time, match=found
            )

        waiter = Waiter(take, count)
        self.call(self.listener.wait_for_messages, waiter, 0)
        return waiter

    def _connection_waiter(self, count: int) -> Waiter:
        waiter = Waiter(lambda wire: wire.handle, count)
        self.call(self.listener.wait_for_connections, waiter)
        return waiter

    def _no_message(self, waiter: Waiter, wanted: object, count: int, timeout: float | None) -> ExpectationError:
        came = self.listener.log.messages(0)
        shown = "".join(f"\n  connection {m.connection}: {m!r}" for m in came[-5:])
        what = "a message" if wanted is None else f"a message that matches {wanted!r}"
        text = f"{what if count == 1 else f'{count} x {what}'} did not come within {timeout:g} s"
        if waiter.found:
            text += f"; {len(waiter.found)} did"
        text += f"; what came ({len(came)}, the last {min(5, len(came))} shown):{shown}" if came else "; nothing came"
        return ExpectationTimeoutError(text)

    def _no_connection(self, waiter: Waiter, count: int, timeout: float | None) -> ExpectationError:
        return ExpectationTimeoutError(
            f"{count} connection{'s' if count > 1 else ''} to {self._place} did not come within {timeout:g} s; "
            f"{len(waiter.found)} came"
        )

    def _stopped_waiting(self) -> ExpectationError:
        return ExpectationError(f"{self!r} was stopped before what was waited for came")

    # How it shows itself

    def __repr__(self) -> str:
        if self._stopped:
            return f"<{type(self).__name__} {self._place}, stopped>"
        count = sum(wire.open for wire in list(self.listener.connections))
        text = f"{count} connection{'s' if count != 1 else ''}"
        if errors := self.errors:
            text += f", {len(errors)} error{'s' if len(errors) != 1 else ''}, the first: {_line(errors[0])}"
        return f"<{type(self).__name__} {self._place}, {text}>"

    def _repr_html_(self) -> str:
        from .notebook.display import server_html

        return server_html(self)

    def __reduce__(self) -> str | tuple[Any, ...]:
        raise TypeError(f"{self!r} cannot be pickled: it belongs to its process; send its url there instead")


S = TypeVar("S", bound=Server)


def start(
    kind: type[S],
    mock: Mock,
    started: Origin,
    *,
    host: str | None,
    port: int | None,
    path: str,
    replace: bool,
) -> S:
    """Start a server of the mock, and return its handle; arguments and errors are those of `Mock.serve`."""
    root = PathPattern.parse(path, "serve(path=)")
    routes = Routes(mock._plans(root))
    environ = environment.of_process(mock._environ)
    wanted_host = environment.host(environ) if host is None else host
    if not isinstance(wanted_host, str):
        raise OptionError("serve(host=)", host, "is not a text such as '127.0.0.1'")
    wanted = environment.port(environ) if port is None else environment.checked_port(port, "serve(port=)")
    loop = loop_thread()
    with registry.lock:
        registry.free(wanted_host, wanted, started, replace=replace)
        try:
            server = kind(mock, routes, root, wanted_host, wanted, started, loop)
        except BindError as error:
            given = {environment.HOST: host, environment.PORT: port}
            named = [name for name, said in given.items() if said is None and environ.get(name)]
            if not named:
                raise
            problem = f"{error.problem} (from {' and '.join(named)})"
            raise BindError(error.host, error.port, problem) from error.__cause__
        registry.running[server.port] = server
    return server


def unused(listener: Listener) -> list[AuthorError]:
    """Return what nobody took, and what was not used, of a mock of which all was to be."""
    count, kept = listener.not_taken_count, listener.not_taken
    found = [AuthorError(ExpectationError(f"nobody took {message!r}"), message.connection) for message in kept]
    if count > len(kept):
        found.append(AuthorError(ExpectationError(f"nobody took {count - len(kept)} messages more")))
    for route in listener.routes:
        for index, rule in enumerate(route.plan.rules.all):
            if not route.shared.taken.counts.get(index):
                error = ExpectationError(f"the rule {rule.title} at {route.path.text} took no message")
                found.append(AuthorError(error, rule=index))
        behaviour = route.plan.behaviour
        if isinstance(behaviour, Relay) and behaviour.cassette is not None:
            left = behaviour.cassette.left_over(route.shared.played)
            found += [] if left is None else [AuthorError(left)]
    return found


def rules_frame(routes: Routes) -> pd.DataFrame:
    """Return a row a rule; see `Server.rules`."""
    import pandas as pd

    rows = [
        (route.path.text, index, rule.name, rule.takes, route.shared.taken.counts.get(index, 0))
        for route in routes
        for index, rule in enumerate(route.plan.rules.all)
    ]
    return pd.DataFrame(rows, columns=["path", "rule", "name", "pattern", "took"])


def _line(error: Exception) -> str:
    """Return an error's text as one short line."""
    text = " ".join(str(error).split()) or type(error).__name__
    return text if len(text) <= 200 else text[:199] + "…"
