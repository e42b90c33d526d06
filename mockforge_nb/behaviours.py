"""The words that say what a mock does: a behaviour, of which it has one."""

from __future__ import annotations

import inspect
import os
import warnings
from abc import abstractmethod
from collections.abc import Awaitable, Callable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any, Generic, Literal, TypeVar

from .cassettes import Mode, proxied
from .core.plan import Echo, Handle, Silent
from .core.rules import Call
from .errors import OptionError
from .narratives import narrated
from .proxies import WsProxyConfig
from .replays import check_then, played
from .sources import Template
from .streams import stream
from .words import Word

if TYPE_CHECKING:
    from .augmentation import ReplayAugmentationConfig, WebSocketAiConfig
    from .connections import Connection, Request
    from .core.message import Message
    from .core.narrative import MakeAuthor

R = TypeVar("R", covariant=True)


class BehaviourWords(Generic[R]):
    """The words of what a connection does; each returns a new Mock."""

    @abstractmethod
    def _behaving(self, word: Word) -> R:
        """Take over a word, the only one of its kind."""

    @abstractmethod
    def _has_no_behaviour(self, call: str) -> None:
        """Raise OptionError if there is one already."""

    def echo(self, prefix: str = "") -> R:
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
    ) -> R:
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

    def stream(self, source: object, *, rate: float | None = None, then: Literal["hold", "close"] = "hold") -> R:
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
    ) -> R:
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

    def handle(self, function: Callable[[Connection], Awaitable[object]]) -> R:
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
    ) -> R:
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
