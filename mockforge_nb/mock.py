"""Mock: the frozen description of a server, one word a method."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from . import environment
from .behaviours import BehaviourWords
from .core.plan import Plan
from .core.routes import PathPattern
from .core.units import EPOCH
from .described import described
from .environment import DEFAULT_PATH
from .errors import OptionError
from .network import NetworkWords, same_place
from .plans import plans
from .replays import Played
from .rules import Scope, otherwise, rule
from .settings import SettingWords
from .words import Word

if TYPE_CHECKING:
    from .asgi import MockApp
    from .server import MockServer, Starting
    from .sweep import Sweep
    from .traffic import Traffic


@dataclass(frozen=True, kw_only=True, repr=False)
class Mock(BehaviourWords["Mock"], SettingWords["Mock"], NetworkWords["Mock"]):
    """A WebSocket server, described; every method returns a new Mock and changes nothing.

    ``Mock()`` alone sends each message back, at ``/ws`` on port 3001; with only rules it is silent where no rule
    takes a message; with only routes there is nothing at ``/ws``.

    Example:
        >>> Mock().latency("slow").echo(prefix="> ")
        Mock().echo(prefix='> ').latency(300-800 ms)
    """

    _behaviour: Word | None = None
    _rules: tuple[Word, ...] = ()
    _otherwise: Word | None = None
    _routes: tuple[tuple[str, Mock], ...] = ()
    _below: bool = False
    _network: tuple[Word, ...] = ()
    _seed: int | None = None
    _clock_ns: int | None = None
    _expand: bool = True
    _names: Mapping[str, Any] = field(default_factory=dict)
    _limits: Mapping[str, float] = field(default_factory=dict)
    _record: Word | None = None
    _trace: Word | None = None
    _metrics: Word | None = None
    _tls: Word | None = None
    _compression: bool = False
    _environ: Mapping[str, str] | None = None  # what from_env() was given; None: the process's own

    __hash__ = None  # type: ignore[assignment]  # it may hold tables

    @classmethod
    def from_env(cls, environ: Mapping[str, str] | None = None) -> Mock:
        """Return what MockForge's environment variables describe; with none of them it echoes.

        ``MOCKFORGE_WS_REPLAY_FILE`` is a file that is replayed, as JSON Lines where its suffix says nothing else, and
        ``MOCKFORGE_WS_PROXY_UPSTREAM_URL`` a server that is relayed to. ``MOCKFORGE_RESPONSE_TEMPLATE_EXPAND`` expands
        templates if it is ``1`` or ``true``; unlike those of ``Mock()`` they are sent as they stand otherwise.
        ``MOCKFORGE_WS_HOST`` and ``MOCKFORGE_WS_PORT`` are what `serve` takes where it is told nothing else. An empty
        variable is one that is not set, but for the port.

        Args:
            environ: The variables, in place of the process's own; `serve` reads its host and port here, too.

        Raises:
            OptionError: A variable cannot be used, or two of them say what the mock does.
            ScriptError: The replay file cannot be played; a missing one is a FileNotFoundError, too.

        Warns:
            UserWarning: A variable is called much like one of these: it is not read.

        Example:
            >>> Mock.from_env({"MOCKFORGE_RESPONSE_TEMPLATE_EXPAND": "1"})
            Mock.from_env({'MOCKFORGE_RESPONSE_TEMPLATE_EXPAND': '1'})
        """
        given = environment.of_process(environ)
        environment.port(given)  # a wrong one is told here, on the line that reads it
        where = None if environ is None else environment.kept(given)
        return described(cls(_environ=where), given, relays=True)

    # What it does, and answers

    def _behaving(self, word: Word) -> Mock:
        self._has_no_behaviour(word.call)
        return replace(self, _behaviour=word)

    def _has_no_behaviour(self, call: str) -> None:
        if self._behaviour is not None:
            raise OptionError(
                f"{call}()",
                self,
                f"already has {self._behaviour.call}(), and a mock has one behaviour",
                "begin a new one with Mock(), or serve both on two paths with route()",
            )

    def when(
        self,
        pattern: object = None,
        reply: object = ...,
        *,
        json: object = None,
        exact: object = None,
        times: int | None = None,
        once: bool = False,
        after: str | None = None,
        set: Mapping[str, Any] | None = None,
        state: str | None = None,
        condition: str | None = None,
        scope: Scope = "connection",
        name: str | None = None,
    ) -> Mock:
        r"""Answer the client's messages that match; rules are tried in order, before the behaviour is told.

        Args:
            pattern: A regular expression, a JSONPath (``$.type == 'subscribe'``), bytes, ``ANY``, or a function of
                the `Message`.
            reply: A text or JSON value, whose texts are templates (``"{{match.1}}"``, ``{"id": "{{json '$.id'}}"}``);
                bytes; a `Script`, played from there; ``close(1000)``; a function of the message and the connection,
                plain or ``async``, whose result is sent as it stands; a list of these, one message each; None: no
                answer.
            json: In place of a pattern: what a JSON message must at least have.
            exact: In place of a pattern: the whole text, bytes or JSON value.
            times: How many messages it takes; without end unless given.
            once: The same as ``times=1``.
            after: The name or pattern of a rule that must have taken a message before.
            set: Names of the state and their new values, which are templates too, and are set after the reply was
                rendered: ``{"score": "{{(state.score or 0) + 1}}"}``.
            state: A word of the state that becomes true, and the one before it false.
            condition: An expression over `state`, `server`, `message` and `match` that must be true.
            scope: Whether `times`, `after` and what is set are each connection's or the ``"server"``'s.
            name: What `after` of other rules calls it.

        Raises:
            OptionError: An argument that is wrong or does not fit the others.
            TemplateError: A text or condition that cannot be parsed.

        Example:
            >>> mock = Mock().when("^add (.*)$", "{{match.1}} it is").when(json={"op": "ping"}, reply={"op": "pong"})
            >>> traffic = mock.simulate([(0, "add tea"), (1, {"op": "ping", "n": 1})])
            >>> traffic.select(direction="out", opcode="text").df["text"].tolist()
            ['tea it is', '{"op":"pong"}']
        """
        given = {key: value for key, value in locals().items() if key != "self"}
        arguments = {key: given[key] for key in ("pattern", "json", "exact")} | given
        return replace(self, _rules=(*self._rules, Word("when", arguments, rule(**arguments))))

    def otherwise(self, reply: object) -> Mock:
        """Say what a message gets that no rule and no behaviour takes.

        Args:
            reply: ``"ignore"``, which is so unless this is said; ``"error"``: an error for ``server.check()``;
                ``"echo"``: the message itself; anything else as in `when`.

        Raises:
            OptionError: It cannot be sent.
            TemplateError: It is no template.

        Example:
            >>> mock = Mock().when("^HELP$", "HELP, QUIT").otherwise("what?")
            >>> mock.simulate([(0, "HALP")]).select(direction="out", opcode="text").df["text"].tolist()
            ['what?']
        """
        return replace(self, _otherwise=Word("otherwise", {"reply": reply}, otherwise(reply)))

    def route(self, path: str, mock: Mock) -> Mock:
        """Serve another mock at a path; the network, seed, clock, templates and limits said here are its own, too.

        Args:
            path: The path; a segment may be a parameter, ``/prices/{symbol}``, which templates read as
                ``{{path.symbol}}``, and the last may take all that is left, ``/files/{name:path}``.
            mock: The mock, which may have routes itself: their paths begin with this one.

        Raises:
            OptionError: It is no path or no Mock. That two mocks are on one path is said when it is served.

        Example:
            >>> mock = Mock().route("/prices/{symbol}", Mock().when("^now$", "{{path.symbol}}: 7"))
            >>> traffic = mock.simulate([(0, "now")], path="/prices/AAPL")
            >>> traffic.select(direction="out", opcode="text").df["text"].tolist()
            ['AAPL: 7']
        """
        PathPattern.parse(path, "route()")
        if not isinstance(mock, Mock):
            raise OptionError(
                "route()", mock, f"is a {type(mock).__name__}, not a Mock", "route('/path', Mock().echo())"
            )
        return replace(self, _routes=(*self._routes, (path, mock)))

    def below(self) -> Mock:
        """Serve the mock at the paths below its own, too: at ``/ws/prices`` as at ``/ws``.

        Whatever is said of the mock holds there. What is left of the path is the parameter ``{{path.path}}``; a path of
        `route` comes first.

        Example:
            >>> mock = Mock().echo().below()
            >>> with mock.serve(port=0) as server, server.client("/ws/prices/AAPL") as client:
            ...     client.send("hi")
            ...     client.recv()
            'hi'
        """
        return replace(self, _below=True)

    # How it is served

    def _with(self, **settings: Any) -> Mock:
        return replace(self, **settings)

    def _says(self, word: Word) -> Mock:
        others = [each for each in self._network if not same_place(word, each)]
        gone = word.call in ("latency", "bandwidth", "connect_delay") and next(iter(word.arguments.values())) is None
        return replace(self, _network=(*others, *([] if gone else [word])))

    # Run it

    def serve(
        self, *, host: str | None = None, port: int | None = None, path: str = DEFAULT_PATH, replace: bool = False
    ) -> MockServer:
        """Run the mock on a background thread; it listens when this returns.

        Args:
            host: The address to listen on; ``MOCKFORGE_WS_HOST`` or ``127.0.0.1`` unless given.
            port: The port; ``MOCKFORGE_WS_PORT`` or 3001 unless given, 0: any free one.
            path: The path of the mock; others answer 404.
            replace: Whether a server of this process that holds the port is stopped first. A notebook cell that
                runs again replaces its own server without it.

        Raises:
            OptionError: A wrong argument, or a template with a variable that nothing defines.
            BindError: The port cannot be had.

        Example:
            >>> server = Mock().echo().serve(port=0)
            >>> server.url.startswith("ws://127.0.0.1:")
            True
            >>> server.stop()
        """
        from .server import serve

        return serve(self, host=host, port=port, path=path, replace=replace)

    def serve_async(
        self, *, host: str | None = None, port: int | None = None, path: str = DEFAULT_PATH, replace: bool = False
    ) -> Starting:
        """Run the mock from a coroutine: ``async with mock.serve_async() as server``, or ``await`` it.

        Arguments and errors are those of `serve`; the handle's waits are coroutines.

        Example:
            >>> import asyncio
            >>> async def talk():
            ...     async with Mock().echo().serve_async(port=0) as server, await server.client() as client:
            ...         await client.send("hi")
            ...         return await client.recv()
            >>> asyncio.run(talk())
            'hi'
        """
        from .server import Starting

        return Starting(self, {"host": host, "port": port, "path": path, "replace": replace})

    def asgi(self, *, path: str = "/ws") -> MockApp:
        """Return the mock as an ASGI application, to be run by uvicorn or hypercorn or mounted in FastAPI or Starlette.

        ``uvicorn.run(Mock().echo().asgi())`` serves ``ws://127.0.0.1:8000/ws``, and ``app.mount("/live",
        Mock().echo().asgi())`` adds ``/live/`` to an application. It is its own handle: ``app.traffic.df``,
        ``app.send(…)``, ``app.wait_for(…)``, ``app.check()`` are as those of `serve`, from whichever thread.

        Args:
            path: The path of the mock, behind the one where it is mounted; there it answers at the mount's root, too.

        Raises:
            OptionError: A wrong argument, a template with a variable that nothing defines, or what only a port of our
                own can do: faults of frames, TCP, pings and handshakes (``slicer invalid_utf8 bad_frame reset_peer
                slow_close timeout half_open no_pong wrong_accept missing_upgrade cut_handshake wrong_subprotocol``),
                `compression`, ``limits(handshake_seconds=)``.

        Example:
            >>> app = Mock().echo().asgi(path="/live")
            >>> app
            <MockApp /live, 0 connections>
            >>> app.stop()
        """
        from .asgi import MockApp

        return MockApp(self, path)

    def simulate(
        self,
        client: Sequence[tuple[float | str | timedelta, object]] = (),
        *,
        until: float | str | timedelta = "10min",
        connections: int = 1,
        path: str = DEFAULT_PATH,
        check: bool = True,
    ) -> Traffic:
        """Play the mock without sockets in virtual time: at once, and the same on every run.

        The sessions are those that `serve` runs. Clients connect at time 0, read at once, and say what they are
        told to. Without a seed it is 0, without a clock time begins with 1970.

        Args:
            client: What each client says, as pairs of a time (s after its handshake) and text, bytes, anything else
                as JSON, or None: it closes the connection.
            until: When the simulation ends.
            connections: How many clients there are.
            path: The path that they connect to, which may have a query.
            check: Whether to raise what went wrong by the author's doing, as ``server.check()`` does.

        Raises:
            OptionError: A wrong argument, a script that lets no time pass, or a mock that needs an event loop: a
                handler, an ``async`` function or a stream that is read only once.

        Example:
            >>> traffic = Mock().echo().latency(300).simulate([(1, "hi")])
            >>> traffic.select(opcode="text").df[["elapsed", "direction", "text"]].values.tolist()
            [[1.0, 'in', 'hi'], [1.3, 'out', 'hi']]
        """
        from .simulated import simulate

        return simulate(self, client, until=until, connections=connections, path=path, check=check)

    def sweep(
        self,
        client: Callable[..., Any],
        *,
        repeat: int = 1,
        timeout: float | str | timedelta = 60,
        progress: bool = True,
        **grid: Iterable[Any],
    ) -> Sweep:
        """Run a client of yours against this mock under each combination of conditions.

        Args:
            client: A function, plain or ``async``, that is given the url (and the server, if it takes two).
            repeat: How often each combination is run, each time with another seed.
            timeout: How long a run may take; more is an error of the run.
            progress: Whether a progress bar is shown.
            grid: Lists of values: ``latency=[0, "slow"]``, ``bandwidth=[None, "3g"]``, or a fault's probabilities
                (``drop=[0, 0.01]``) or arguments (``close=[{"after": 3}]``).

        Returns:
            A DataFrame with a row a run: its parameters, `repeat`, the client's `result` or `error` (the exception),
            `seconds`, `messages_in`, `messages_out`, `struck` (rows with a fault) and `errors` (in server.errors);
            its ``.plot()`` is a heat map.

        Raises:
            OptionError: An argument that is wrong; nothing is run then.

        Example:
            >>> def client(url, server):
            ...     with server.client() as one:
            ...         one.send("hi")
            ...         return one.recv()
            >>> Mock().sweep(client, latency=[0, 10], progress=False)[["latency", "result"]].values.tolist()
            [[0, 'hi'], [10, 'hi']]
        """
        from .sweep import sweep

        return sweep(self, client, repeat=repeat, timeout=timeout, progress=progress, grid=grid)

    def _plans(self, root: PathPattern) -> list[tuple[PathPattern, Plan]]:
        return plans(self, root)

    # How it shows itself

    def words(self) -> list[str]:
        """Return what was said, ``Mock()`` or ``Mock.from_env(…)`` first.

        Example:
            >>> Mock().echo().latency("slow").words()
            ['Mock()', 'echo()', 'latency(300-800 ms)']
        """
        words = ["Mock()" if self._environ is None else f"Mock.from_env({dict(self._environ)!r})"]
        if self._behaviour is not None:
            made = self._behaviour.made
            replayed = isinstance(made, Played)
            words.append(f"{self._behaviour.call}({made.describe()})" if replayed else repr(self._behaviour))
        words += [repr(word) for word in (*self._rules, *([self._otherwise] if self._otherwise is not None else []))]
        words += [f"route({path!r}, {mock!r})" for path, mock in self._routes]
        words += ["below()"] if self._below else []
        words += map(repr, self._network)
        if self._seed is not None:
            words.append(f"seed({self._seed})")
        if self._clock_ns is not None:
            words.append(f"clock({(EPOCH + timedelta(microseconds=self._clock_ns // 1000)).isoformat()!r})")
        if self._names or not self._expand:
            words.append(f"templates({', '.join([*([] if self._expand else ['False']), *self._names])})")
        words += [repr(word) for word in (self._record, self._trace, self._metrics, self._tls) if word is not None]
        if self._compression:
            words.append("compression()")
        if self._limits:
            words.append(f"limits({', '.join(f'{k}={v:,}' for k, v in self._limits.items())})")
        return words

    def __repr__(self) -> str:
        return ".".join(self.words())

    def _repr_html_(self) -> str:
        from .notebook.display import mock_html

        return mock_html(self)
