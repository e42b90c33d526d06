"""Mock: the frozen description of a server, one word a method."""

from __future__ import annotations

import inspect
import math
import os
import warnings
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import date, datetime, timedelta
from typing import TYPE_CHECKING, Any, Literal

from . import environment
from .cassettes import Mode, proxied
from .core.compare import paths
from .core.plan import Echo, Handle, Plan, Recording, Silent
from .core.routes import PathPattern
from .core.rules import Call
from .core.units import EPOCH, epoch_ns, number
from .environment import DEFAULT_PATH
from .errors import OptionError
from .narratives import narrated
from .network import NetworkWords, same_place
from .plans import plans
from .proxies import WsProxyConfig
from .recordings import suffix_problem
from .replays import Played, check_then, played
from .rules import Scope, otherwise, rule
from .sources import Template
from .streams import stream
from .telemetry.options import measuring, tracing
from .tls import tls
from .words import Word

if TYPE_CHECKING:
    from opentelemetry.metrics import MeterProvider
    from opentelemetry.trace import TracerProvider

    from .asgi import MockApp
    from .augmentation import ReplayAugmentationConfig, WebSocketAiConfig
    from .connections import Connection, Request
    from .core.message import Message
    from .core.narrative import MakeAuthor
    from .server import MockServer, Starting
    from .sweep import Sweep
    from .traffic import Traffic


@dataclass(frozen=True, kw_only=True, repr=False)
class Mock(NetworkWords["Mock"]):
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

        ``MOCKFORGE_WS_REPLAY_FILE`` is a file that is replayed, ``MOCKFORGE_WS_PROXY_UPSTREAM_URL`` a server that is
        relayed to. ``MOCKFORGE_RESPONSE_TEMPLATE_EXPAND`` expands templates if it is ``1`` or ``true``; unlike those
        of ``Mock()`` they are sent as they stand otherwise. ``MOCKFORGE_WS_HOST`` and ``MOCKFORGE_WS_PORT`` are what
        `serve` takes where it is told nothing else. An empty variable is one that is not set, but for the port.

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
        return environment.described(cls(_environ=where), given, relays=True)

    # What a connection does: one of these

    def echo(self, prefix: str = "") -> Mock:
        """Send each message back, text or binary, exactly as it came, after `prefix`.

        Raises:
            OptionError: The mock does something already, or `prefix` is no text.

        Example:
            >>> Mock().echo("> ").simulate([(0, "hi")]).select(direction="out", opcode="text").df["text"].tolist()
            ['> hi']
        """
        if not isinstance(prefix, str):
            raise OptionError("echo(prefix=)", prefix, "is not a text")
        return self._behaving(Word("echo", {"prefix": prefix}, Echo(prefix)))

    def replay(
        self,
        source: object,
        *,
        time: str | None = None,
        unit: str | None = None,
        rate: float | None = None,
        columns: Sequence[str] | None = None,
        template: Template | None = None,
        rows: bool | None = None,
        by: str | None = None,
        snapshot: bool | float | str | datetime | timedelta | None = None,
        rebase: str | datetime | None = None,
        batch: float | str | timedelta | None = None,
        subscribe: object = None,
        unsubscribe: object = None,
        ack: object = None,
        speed: float | Literal["max"] = 1.0,
        duration: float | str | timedelta | None = None,
        loop: bool | int = False,
        shared: bool = False,
        then: Literal["hold", "close"] = "hold",
        timing: Literal["offset", "delay"] = "offset",
    ) -> Mock:
        """Play a script to each connection.

        Args:
            source: A `Script`, a path to a ``.jsonl`` file, a DataFrame or other table, a list of dicts or texts.
            time: A table's column of times: datetimes with or without zone (counted from the earliest), timedeltas
                or numbers of seconds from the script's start; numbers the size of an epoch (s, ms, µs or ns) are
                recognised and counted from the earliest. Rows are sorted by it, stably.
            unit: The unit of a numeric time column, as in `pandas.to_datetime`.
            rate: Messages a second, for a table or list without times.
            columns: The columns that are sent.
            template: What a row is sent as, as in `Script.from_frame`.
            rows: Whether a list's dicts are rows or steps, where it cannot be told from their keys.
            by: The column of a table's keys, of which a connection gets those that its path or `subscribe` says; this
                and the next ones as in `Script.from_frame`.
            snapshot: Whether the latest row of each key comes first.
            rebase: Where the table's instants are moved to: ``"now"``, or one.
            batch: How long the windows are whose rows are sent as one list.
            subscribe: How a client asks for keys.
            unsubscribe: How it gives them back.
            ack: What both are answered.
            speed: What the script's times are divided by; ``"max"``: as fast as the client reads.
            duration: How long the whole shall take, in place of `speed`: seconds, ``"60s"``, a timedelta.
            loop: Play it again, without end or that many times in all. A table's next round begins its mean gap
                after the last row.
            shared: One play-head for all connections, which starts with the first: who joins late enters now.
            then: What follows the last step: ``"hold"`` keeps the connection open, ``"close"`` closes it (1000).
            timing: Whether a step's `ts` counts from the script's start or is the pause before the step.

        Raises:
            OptionError: An argument that is wrong or does not fit the others.
            ScriptError: A source that cannot be played, with everything that is wrong with it.

        Warns:
            UserWarning: It would last over a day, a step's time goes back, or no way leads to a step.

        Example:
            >>> mock = Mock().replay([{"price": 1}, {"price": 2}], rate=10)
            >>> mock.simulate().select(opcode="text").df[["elapsed", "text"]].values.tolist()
            [[0.0, '{"price":1}'], [0.1, '{"price":2}']]
        """
        options = {name: value for name, value in locals().items() if name not in ("self", "source")}
        self._has_no_behaviour("replay")
        return self._behaving(Word("replay", {"source": source, **options}, played(source, options)))

    def stream(self, source: object, *, rate: float | None = None, then: Literal["hold", "close"] = "hold") -> Mock:
        """Send what a Python source gives, to each connection from the beginning.

        What it gives is sent as it stands, when it gives it: text, bytes, anything else as JSON; ``close(…)`` closes
        the connection. A source that takes its time (``time.sleep``, a slow query) holds up nobody else.

        Args:
            source: A generator function, plain or ``async``; a list or other iterable; a function that returns one
                message a call until it raises StopIteration (``async``: StopAsyncIteration), or an iterator. What is
                a function may take the connection. An iterator that can be read only once (a generator, an open
                file) is read once for all; the last 100,000 items are kept for those who come later.
            rate: Messages a second; unless given, as fast as they come and the client reads.
            then: What follows the last: ``"hold"`` keeps the connection open, ``"close"`` closes it (1000).

        Raises:
            OptionError: The mock does something already, or an argument is wrong.

        Example:
            >>> def squares():
            ...     yield from (n * n for n in range(3))
            >>> Mock().stream(squares).simulate().select(opcode="text").df["text"].tolist()
            ['0', '1', '4']
        """
        check_then(then, "stream(then=)")
        arguments = {"source": source, "rate": rate, "then": then}
        self._has_no_behaviour("stream")
        return self._behaving(Word("stream", arguments, stream(source, rate, then)))

    def narrate(
        self,
        narrative: str | ReplayAugmentationConfig | WebSocketAiConfig,
        *,
        events: int | None = 100,
        rate: float | None = 1.0,
        schema: Any = None,
        model: Any = "local",
        event_type: str | None = None,
        envelope: bool = False,
        shared: bool = False,
        then: Literal["hold", "close"] = "hold",
        seed: int = 1,
        temperature: float = 0.0,
        batch: int | None = None,
        evolve: bool = True,
        repeats: bool = True,
        author: MakeAuthor | None = None,
        base_url: str | None = None,
        api_key: str | None = None,
        timeout: float | str | timedelta = 60,
        retries: int = 3,
    ) -> Mock:
        """Tell a story whose events a language model writes while they are sent.

        The next batch is written while the last one is sent, and only while somebody listens: when the last client
        leaves, no more tokens are spent. The rate is kept from the first event on. An event that leaves late because
        it was not written in time has ``starved`` in the traffic's column `fault`, and the next ones keep their
        distance from it; `due_ms` is the same on every run. What the model cannot write is kept in
        ``server.errors`` and closes the connection with 1011, after the events before it.

        Args:
            narrative: What happens, in words: ``"Simulate a live chat conversation with multiple users"``; or
                MockForge's description of it (see `mockforge_nb.ws`), which says `events`, `rate`, `schema`, `model`,
                `event_type`, `evolve`, `base_url` and `api_key` itself, and sends events in envelopes.
            events: How many events there are; None: as long as somebody listens.
            rate: Events a second; None: as fast as they are written.
            schema: What an event is like, as in `Script.from_llm`: a pydantic model, dataclass, TypedDict, JSON
                Schema, an example or a list of them, a DataFrame.
            model: ``"local"``, ``"openai:gpt-5-mini"``, … as in `Script.from_llm`.
            event_type: What each event is called.
            envelope: Whether an event is sent as ``{"type", "timestamp", "sequence", "data"}``, in place of itself.
            shared: Whether all connections are told one story, and who joins late hears it from there on; otherwise
                it is told to each anew.
            then: What follows the last event: ``"hold"`` keeps the connection open, ``"close"`` closes it (1000).
            seed: The model's seed.
            temperature: How freely the model writes, from 0: always the likeliest.
            batch: How many events are asked for at once, and written ahead; 2 of a local model and 10 of others
                unless given.
            evolve: Whether each event follows from what happened before.
            repeats: Whether an event may come again as it was; otherwise the model is asked for another one.
            author: Who writes in the model's place: a function of the narrative that returns an object with
                ``async def write(self, count)``, which yields so many events.
            base_url: The address of the model, if it is any OpenAI-compatible one.
            api_key: Its key; otherwise the provider's environment variable. It is shown and recorded nowhere, and a
                mock that has it cannot be pickled.
            timeout: How long a request may take.
            retries: How often an event that does not fit the schema is asked for again.

        Raises:
            OptionError: The mock does something already, or an argument is wrong.
            GeneratorError: The packages for the model are not installed.

        Warns:
            UserWarning: The config is not enabled or has no replay, so that nothing is told.

        Example:
            >>> class Author:
            ...     def __init__(self, narrative):
            ...         self.narrative = narrative
            ...     async def write(self, count):
            ...         for n in range(count):
            ...             yield {"said": f"{n} of {self.narrative}"}
            >>> mock = Mock().narrate("a tale", events=2, rate=None, author=Author)
            >>> with mock.serve(port=0) as server, server.client() as client:
            ...     [client.recv(), client.recv()]
            ['{"said":"0 of a tale"}', '{"said":"1 of a tale"}']
        """
        arguments = {name: value for name, value in locals().items() if name != "self"}
        self._has_no_behaviour("narrate")
        options = {name: value for name, value in arguments.items() if name != "narrative"}
        made = narrated(narrative, options)
        if isinstance(made, Silent):
            lacks = "has no replay=" if getattr(narrative, "enabled", False) else "is not enabled"
            warnings.warn(
                f"nothing is told, as this config {lacks}: WebSocketAiConfig(enabled=True, replay=…)", stacklevel=2
            )
        return self._behaving(Word("narrate", arguments, made))

    def handle(self, function: Callable[[Connection], Awaitable[object]]) -> Mock:
        """Run your own coroutine for each connection: ``async def chat(conn)``.

        It reads ``async for message in conn`` (messages that no rule took) and writes ``await conn.send(…)``. When
        it returns the connection is closed with 1000; what it raises closes it with 1011 and is kept in
        ``server.errors``.

        Raises:
            OptionError: The mock does something already, or `function` is no coroutine function of one argument.

        Example:
            >>> async def chat(conn):
            ...     async for message in conn:
            ...         await conn.send(message.text.upper())
            >>> with Mock().handle(chat).serve(port=0) as server, server.client() as client:
            ...     client.send("hi")
            ...     client.recv()
            'HI'
        """
        plain = inspect.isfunction(function) and not inspect.iscoroutinefunction(function)
        if not callable(function) or isinstance(function, type) or (plain and function.__name__ != "<lambda>"):
            raise OptionError("handle()", function, "is no coroutine function", "write async def handler(conn): …")
        call = Call.of(function, "handle()", "connection")
        self._has_no_behaviour("handle")
        return self._behaving(Word("handle", {"function": function}, Handle(call)))

    def proxy(
        self,
        upstream: str | WsProxyConfig | Callable[[Request], Any],
        *,
        record: str | os.PathLike[str] | None = None,
        record_mode: Mode = "all",
        redact: Sequence[str] = (),
        match: Literal["equal", "json", "order"] | Callable[[Message], Any] = "equal",
        ignore: Sequence[str] = (),
        carry: Sequence[str] | Mapping[str, str] | None = None,
        rebase: Sequence[str] = (),
        allow_playback_repeats: bool = False,
        speed: float | Literal["max"] = 1.0,
        fallback: object = None,
        transform: Callable[..., Any] | Mapping[str, Callable[..., Any]] | None = None,
        only: object = None,
        headers: Mapping[str, str | None] | None = None,
        ssl: object = None,
        compression: bool = False,
        timeout: float | str | timedelta = 10,
    ) -> Mock:
        """Stand in front of a real server: each connection is relayed to one of its own there.

        Messages, pings, pongs, close codes and reasons, the subprotocol, the query and the headers pass through;
        what the upstream refuses is refused with the same HTTP status, one that cannot be reached is 502, one that
        takes too long 504. Rules of `when` come first, what they take is answered here. The traffic says of each row
        what became of it.

        Args:
            upstream: The URL, ``ws://`` or ``wss://``, which may name parameters of the path
                (``wss://feed.example.com/{symbol}``); or a function, plain or ``async``, of the request (its path,
                params, query and headers) that returns one, or None: that connection is not relayed.
            record: A file that is recorded to what the real server was told and said (`Mock.record` has what the client
                said and heard); with the next argument a cassette, which stands in that server's place: whatever else
                the mock does with messages, it does each time.
            record_mode: ``"all"``: always live, and recorded anew. ``"once"``: live and recorded if nothing is in the
                file yet; from then on the file answers, and the upstream is not needed. ``"new_episodes"``: the file
                answers what it has, the upstream everything else, which is added to it. The upstream hears nothing
                but that, and is not heard when it greets a client whom the file has greeted.
                ``"none"``: the file answers. A message that it does not have is an error for ``server.check()``,
                which names the nearest one, and closes the connection with 1011; a connection that it does not have
                is refused with 502; connections at a path take those that were recorded there, in their order. Other
                tools' recordings (``.har``, …) are taken where nothing is written.
            redact: What of it is not recorded, as in `record`.
            match: Which recorded message a client's is taken for, so that what followed it follows now: one that is
                ``"equal"`` (JSON by its values), ``"json"``: of which it has at least all, the one in its place
                (``"order"``, whatever it says), or one for which a function of the `Message` gives the same. Of
                several it is the first that was not played yet.
            ignore: JSONPaths of what does not count in that, such as ``"$.id"``.
            carry: JSONPaths of what the client's message says in place of the recorded one, and what the recorded
                replies then say too; those of `ignore` unless given. A dict has another path for the replies.
            rebase: JSONPaths of times in the recorded replies that are moved from then to now.
            allow_playback_repeats: Whether a message, or a connection, that was played may be played again.
            speed: What the recorded times are divided by; ``"max"``: no pauses.
            fallback: What is played, as in `replay`, if the upstream is down: it cannot be reached, answers 502, 503
                or 504, or its connection ends without a close frame. It is not recorded.
            transform: What is made of each message: a function, plain or ``async``, of the `Message` (its
                `direction` is ``"in"`` or ``"out"``) and the connection, or one for each direction:
                ``{"out": function}``. It returns the message itself, another, a list of them, or None to drop it.
            only: Which of the client's messages go upstream, a pattern as in `when`; the others get what
                `otherwise` says.
            headers: What is added to the headers of the client's handshake; None takes one out.
            ssl: Whom a ``wss://`` upstream is trusted by: a file of certificates, an `ssl.SSLContext`, or False: it
                is not verified. Unless given, the system's certificates.
            compression: Whether permessage-deflate is offered to the upstream; `compression` is for the clients.
            timeout: How long the upstream may take for its handshake.

        Raises:
            OptionError: The mock does something already, or an argument is wrong.

        Example:
            >>> real = Mock().when("^price$", {"price": 7}).serve(port=0)
            >>> cheaper = Mock().proxy(real.url, transform={"out": lambda message: {"price": 1}})
            >>> with cheaper.serve(port=0) as server, server.client() as client:
            ...     client.send("price")
            ...     client.recv()
            '{"price":1}'
            >>> real.stop()
        """
        arguments = {name: value for name, value in locals().items() if name != "self"}
        self._has_no_behaviour("proxy")
        return self._behaving(Word("proxy", arguments, proxied(arguments)))

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

    # What it answers

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

    # Under what conditions

    def _says(self, word: Word) -> Mock:
        others = [each for each in self._network if not same_place(word, each)]
        gone = word.call in ("latency", "bandwidth", "connect_delay") and next(iter(word.arguments.values())) is None
        return replace(self, _network=(*others, *([] if gone else [word])))

    def seed(self, value: int) -> Mock:
        """Make whatever is random the same in each run, for each connection by its own number.

        Raises:
            OptionError: `value` is no whole number.

        Example:
            >>> dice = Mock().seed(7).when("^roll$", "{{randInt 1 6}}")
            >>> said = [dice.simulate([(0, "roll"), (1, "roll")]).df["text"].tolist() for _ in range(2)]
            >>> said[0] == said[1]
            True
        """
        if isinstance(value, bool) or not hasattr(value, "__index__"):
            raise OptionError("seed()", value, "is no whole number")
        return replace(self, _seed=value.__index__())

    def clock(self, start: str | datetime | date) -> Mock:
        """Let ``{{now}}`` and the traffic's time start at `start` and go on with the script's time.

        Args:
            start: A time in ISO 8601 or a datetime; without a zone it is UTC.

        Raises:
            OptionError: It is no time.

        Example:
            >>> mock = Mock().clock("2024-01-15T10:30:00Z").replay([{"ts": 1500, "text": "{{now}}"}])
            >>> mock.simulate().select(opcode="text").df["text"].tolist()
            ['2024-01-15T10:30:01.500Z']
        """
        return replace(self, _clock_ns=epoch_ns(start, "clock()"))

    def templates(self, on: bool = True, /, **context: Any) -> Mock:
        """Give templates the user's own functions and values: ``.templates(price=lambda: 7)`` for ``{{price}}``.

        Args:
            on: Whether templates are expanded; otherwise a script's texts are sent as they stand.
            context: Names, and what they stand for; a function is called for each message.

        Raises:
            OptionError: `on` is neither True nor False.

        Example:
            >>> mock = Mock().templates(price=lambda: 7).when("^price$", "{{price}} EUR")
            >>> mock.simulate([(0, "price")]).select(direction="out", opcode="text").df["text"].tolist()
            ['7 EUR']
        """
        if not isinstance(on, bool):
            raise OptionError("templates()", on, "is neither True nor False")
        return replace(self, _expand=on, _names={**self._names, **context})

    def limits(
        self,
        *,
        connections: int | None = None,
        message_bytes: int | None = None,
        queue_bytes: int | None = None,
        handshake_seconds: float | None = None,
        log_bytes: int | None = None,
    ) -> Mock:
        """Set bounds; what is not named stays as it is.

        Args:
            connections: How many may be open at once; a further one is refused with 503.
            message_bytes: The largest message that is taken; a larger one closes the connection with 1009.
            queue_bytes: How much may wait to be sent on a connection before nothing more is read from it.
            handshake_seconds: How long a client has to send its handshake.
            log_bytes: How many bytes of payloads the traffic keeps; the oldest leave memory first.

        Raises:
            OptionError: A bound that is no number greater than 0.

        Example:
            >>> with Mock().limits(message_bytes=5).serve(port=0) as server, server.client() as client:
            ...     client.send("too long")
            ...     client.drain(), int(client.close_code)
            ([], 1009)
        """
        given = {name: value for name, value in locals().items() if name != "self" and value is not None}
        for name, value in given.items():
            if not 0 < number(value) < math.inf:
                raise OptionError(f"limits({name}=)", value, "is no number greater than 0")
        return replace(self, _limits={**self._limits, **given})

    def tls(
        self,
        certificate: str | os.PathLike[str] | None = None,
        key: str | os.PathLike[str] | None = None,
        *,
        password: str | bytes | None = None,
    ) -> Mock:
        """Serve ``wss://`` in place of ``ws://``.

        Without a certificate one is made for localhost, 127.0.0.1, ::1 and the host that is served at, by an authority
        that every server of this process shares: ``server.ca`` is its certificate, by which a client of yours trusts
        it. ``server.client()`` does by itself.

        Args:
            certificate: A PEM file of the certificate and those that lead to its root; None: one is made.
            key: A PEM file of its private key; None: it is in `certificate`, too.
            password: What the key is encrypted with. It is shown nowhere.

        Raises:
            OptionError: A file that cannot be used; or none was given, and trustme, which makes certificates, is not
                installed: ``pip install 'mockforge_nb[tls]'``.

        Example:
            >>> with Mock().tls().serve(port=0) as server, server.client() as client:
            ...     client.send(server.url.partition(":")[0])
            ...     client.recv()
            'wss'
        """
        arguments = {"certificate": certificate, "key": key, "password": password}
        return replace(self, _tls=Word("tls", arguments, tls(certificate, key, password)))

    def compression(self, on: bool = True) -> Mock:
        """Compress messages (permessage-deflate, RFC 7692) for clients that offer it; otherwise none are.

        Raises:
            OptionError: `on` is neither True nor False.

        Example:
            >>> server = Mock().compression().serve(port=0)
            >>> with server.client() as client:
            ...     [extension.name for extension in client.connection.protocol.extensions]
            ['permessage-deflate']
            >>> server.stop()
        """
        if not isinstance(on, bool):
            raise OptionError("compression()", on, "is neither True nor False")
        return replace(self, _compression=on)

    def record(self, path: str | os.PathLike[str] | None, *, redact: Sequence[str] = ()) -> Mock:
        """Write what crosses the wire to a replay file, line by line as it comes; `Script.load` plays it again.

        A large one is better a ``.parquet`` file, a row in place of each line. As such a file can be read only once
        it is whole, what comes is also in a replay file beside it (``feed.parquet.jsonl``) until the server stops.

        Only its owner may read the file. A recording that is there is replaced as soon as somebody connects, any other
        file is an error when the mock is served. Handshakes are not in it, so that no cookie or authorization is.

        Args:
            path: The file, which ends in ``.jsonl``, ``.ndjson`` or ``.parquet``; None: nothing is recorded.
            redact: JSONPaths of what must not be recorded, such as ``"$..password"``.

        Raises:
            OptionError: An argument that is wrong.

        Example:
            >>> with Mock().echo().record("feed.jsonl").serve(port=0) as server, server.client() as client:
            ...     client.send("hi")
            ...     client.recv()
            'hi'
            >>> [step.payload.value for step in Script.load("feed.jsonl")]
            ['hi', 'hi']
        """
        if path is None:
            return replace(self, _record=None)
        problem = suffix_problem(path)
        if problem:
            raise OptionError("record(path=)", str(path), problem)
        made = Recording(os.fspath(path), paths(redact, "record(redact=)"))
        return replace(self, _record=Word("record", {"path": os.fspath(path), "redact": [*redact]}, made))

    def trace(
        self,
        tracer_provider: TracerProvider | None = None,
        *,
        sample: float = 1.0,
        bursts: bool = False,
        otlp: str | bool | None = None,
    ) -> Mock:
        """Trace it with OpenTelemetry: a span a connection, from its handshake to its end, and under it one a message.

        A handshake that says where it comes from (``traceparent``, W3C Trace Context) has its spans under the
        client's; a proxy tells its upstream in the same way. Faults, waits and branches are events of the
        connection's span, errors of the author's too; what handlers and functions of the author's trace themselves
        hangs under it. `server.spans` has the spans as a DataFrame and as a waterfall, `trace_id` joins them to the
        traffic. Their names and attributes are listed in `mockforge_nb.telemetry.names`.

        Args:
            tracer_provider: OpenTelemetry's; the global one unless given or, where nobody set that, one of the
                server's own, whose ids are the same on each run under a seed.
            sample: Which share of the messages has spans, evenly: each tenth for 0.1; 0: only connections have.
            bursts: Whether messages have spans that come or leave together, more than eight in one read or write;
                otherwise they are one event of the connection's.
            otlp: Where the spans are exported to (OTLP over HTTP): ``"http://localhost:4318"``, or True for what
                ``OTEL_EXPORTER_OTLP_ENDPOINT`` says.

        Raises:
            OptionError: An argument that is wrong, or the package for OTLP is not installed.

        Example:
            >>> server = Mock().trace().serve(port=0)
            >>> with server.client() as client:
            ...     client.send("hi")
            ...     client.recv()
            'hi'
            >>> server.stop()
            >>> server.spans.df["name"].tolist()
            ['WS /ws', 'message in', 'message out']
        """
        made = tracing(tracer_provider, sample, bursts, otlp)
        arguments = {"tracer_provider": tracer_provider, "sample": sample, "bursts": bursts, "otlp": otlp}
        return replace(self, _trace=Word("trace", arguments, made))

    def metrics(
        self,
        meter_provider: MeterProvider | None = None,
        *,
        prometheus: bool | str = False,
        otlp: str | bool | None = None,
    ) -> Mock:
        """Measure it with OpenTelemetry: connections, messages and bytes, sizes, delays, faults, errors, lateness.

        They are added up from the traffic when somebody collects them, so that no message waits for it; of more than
        10,000 messages between two times the histograms get as many of them, evenly. `server.metrics.df` shows them.

        Args:
            meter_provider: OpenTelemetry's; the global one unless given, if somebody set that.
            prometheus: Whether Prometheus can read them, at ``/metrics`` on the server's own port, or at which path.
            otlp: As in `trace`; once a minute, or as ``OTEL_METRIC_EXPORT_INTERVAL`` says, and at the end.

        Raises:
            OptionError: An argument that is wrong, or a package for it is not installed.

        Example:
            >>> server = Mock().metrics().serve(port=0)
            >>> with server.client() as client:
            ...     client.send("hi")
            ...     client.recv()
            'hi'
            >>> df = server.metrics.df
            >>> df[df["metric"].str.endswith("messages")][["direction", "value"]].values.tolist()
            [['in', 1], ['out', 1]]
            >>> server.stop()
        """
        made = measuring(meter_provider, prometheus, otlp)
        arguments = {"meter_provider": meter_provider, "prometheus": prometheus, "otlp": otlp}
        return replace(self, _metrics=Word("metrics", arguments, made))

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
