"""Script: what a mock plays and answers, made from a file, a table, a list or by hand."""

from __future__ import annotations

import math
import os
import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Self, overload

from .byhand import ByHand
from .core.cassette import more_than_messages
from .core.jsonl import HEADER_VERSION, Parsed, keys_of_lines, program, unreachable
from .core.origin import Origin
from .core.program import Program, Step
from .core.recorded import Recorded, shown_url
from .core.recording import written
from .core.rules import Rule
from .core.times import Scaled
from .core.units import human, number
from .errors import OptionError, Problem, ScriptError
from .generated import Generated
from .rules import Scope, rule
from .sources import (
    Made,
    Template,
    Timing,
    check_suffix,
    from_file,
    from_frame,
    from_list,
    from_text,
    is_frame,
    only_for_tables,
)
from .written import FromModel

if TYPE_CHECKING:
    from datetime import datetime, timedelta
    from ssl import SSLContext

    import pandas as pd

    from .contract import Match, Verdicts
    from .core.message import Message
    from .core.plan import Stream
    from .generators.endless import Endless
    from .preview import Preview


HAR = "a .har holds messages alone; save the traffic of this script served, or simulated, as one"


class Script(Generated, FromModel, ByHand):
    """Steps in order, each with its time, and rules beside them; never changed: every method returns a new one.

    Made by `load`, `parse`, `from_frame` or `of`, or by hand, beginning with ``Script()``:
    ``Script().send({"type": "hello"}).wait("^ACK$", timeout=5).send("tick", after=0.1).close()``.

    Attributes:
        rules: What is answered to the client whatever the steps do: a file's interactive lines, and `when`.
        recorded: What is known of the connection that was recorded: its number (0: this is no recording), `opened`,
            `path`, `url` and `subprotocol`.
        written: Which model wrote the messages, and what for; None: none did. Its `usage` are requests, tokens and
            cost; `cached` says whether they came from the cache; `path` is the file that keeps them.

    Example:
        >>> script = Script().send({"type": "hello"}).wait("^ACK$", timeout=5).send("tick", after=0.1).close()
        >>> Mock().replay(script).simulate([(1, "ACK")]).df[["elapsed", "direction", "opcode"]].values.tolist()[1:]
        [[0.0, 'out', 'text'], [1.0, 'in', 'text'], [1.1, 'out', 'text'], [1.1, 'out', 'close'], [1.1, '...
    """

    __slots__ = ("_delays", "_endless", "_name", "_program", "_steps", "recorded", "rules", "written")

    def __init__(self) -> None:
        self._name = "<script>"
        self._steps: tuple[Step, ...] | None = ()
        self._delays = False
        self._program: Program | None = None
        self._endless: Endless | None = None
        self.rules: tuple[Rule, ...] = ()
        self.recorded = Recorded()
        self.written: Origin | None = None

    @classmethod
    def _of(cls, made: Made, rules: tuple[Rule, ...] = ()) -> Self:
        """Return the script of what was made; a table's rows, which have no rules, get `rules`."""
        script = cls()
        script._name, script._program, script._delays = made.name, made.program, made.delays
        script._endless, script.written = made.endless, made.written
        script._steps = None if made.lines is None else made.lines.steps
        script.rules = rules if made.lines is None else made.lines.rules
        script.recorded = Recorded() if made.lines is None else made.lines.recorded
        return script

    def _with(self, steps: Iterable[Step]) -> Self:
        """Return a script of other steps with the same rules.

        Raises:
            ScriptError: It is a table that each connection gets a part of.
        """
        self._whole()
        lines = Parsed(tuple(steps), self.rules, recorded=self.recorded)
        return self._of(Made(self._name, lines, delays=self._delays, written=self.written))

    @property
    def name(self) -> str:
        """What errors call it.

        Example:
            >>> Script.parse('{"text": "hi"}', "greeting").name
            'greeting'
        """
        return self._name

    @property
    def endless(self) -> bool:
        """Whether its messages are made while it is played, without end.

        Example:
            >>> feeds.trades(seed=1).endless
            True
        """
        return self._endless is not None

    def stream(self, speed: float, *, shared: bool) -> Stream:
        """Return what a connection is played of a script without end; for `Mock.replay`."""
        assert self._endless is not None
        return self._endless.stream(speed, shared=shared)

    def _whole(self) -> None:
        """Raise ScriptError if each connection gets a part of it, which no list of steps can say."""
        if self._program is not None and self._program.cuts is not None:
            problem = "each connection is played a part of it (by=, snapshot=, rebase=), which steps cannot say"
            raise ScriptError(self._name, f"{problem}; change the table before it becomes a script")

    # Made from files, tables, lists

    @classmethod
    def load(
        cls,
        path: str | os.PathLike[str],
        *,
        timing: Timing = "offset",
        connection: int | None = None,
        url: str | None = None,
        strict: bool = True,
        **options: Any,
    ) -> Script:
        """Read a replay file, a recording of whatever tool, or a table, whose rows are messages.

        A table of more than 32 MiB is played from disk in bounded memory; its rows stay in their order.

        Args:
            path: A replay file, JSON Lines with one step a line (``.jsonl``, ``.ndjson``); a ``.har`` of Chrome,
                Playwright or a proxy (Firefox exports no messages); a flow file of mitmproxy (``.flow``, ``.flows``,
                ``.mitm``, ``.dump``); a recording or a table in ``.parquet``, ``.feather``, ``.arrow``, ``.csv`` or
                ``.tsv``; a folder of Parquet files.
            timing: Whether `ts` counts from the script's start or is the pause before each step.
            connection: Which connection of a recording; the first that said or heard something unless given.
            url: The same by its URL, or a part of it.
            strict: Whether a file that was cut off is an error; otherwise what stands before the cut is read.
            options: Those of `from_frame`, for a table.

        Raises:
            FileNotFoundError: There is no such file; the error is a ScriptError too.
            ScriptError: Every problem of the file, each as ``path:line: problem``.
            OptionError: An option that does not go with the file.

        Warns:
            UserWarning: There are steps that no way through the script leads to; several connections and none was
                chosen; or where the file was cut off.

        Example:
            >>> Script().send("hi").send("there", after=1).save("talk.jsonl")
            >>> Script.load("talk.jsonl")
            <Script talk.jsonl, 2 steps in 1 s>
        """
        return cls._of(from_file(path, timing, options, connection, url, strict=strict))

    @classmethod
    def parse(cls, text: str, name: str = "<text>", *, timing: Timing = "offset") -> Script:
        """Read a replay file's text, for instance from a cell; errors call it `name`.

        Raises:
            ScriptError: Every problem of the text, each with its line.

        Warns:
            UserWarning: There are steps that no way through the script leads to.

        Example:
            >>> script = Script.parse('''
            ... {"text": "Who?"}
            ... {"text": "Hello, {{message}}.", "waitFor": "^[a-z]+$"}
            ... ''')
            >>> Mock().replay(script).simulate([(1, "ann")]).select(direction="out", opcode="text").df["text"].tolist()
            ['Who?', 'Hello, ann.']
        """
        return cls._of(from_text(text, name, timing))

    @classmethod
    def from_frame(
        cls,
        df: Any,
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
    ) -> Script:
        """Make one message of each row of a table, or read back what `to_frame` wrote.

        Args:
            df: A DataFrame, or anything with ``__arrow_c_stream__`` (polars, pyarrow, DuckDB).
            time: The column of the times: datetimes, timedeltas or numbers (s).
            unit: The unit of a numeric time column, as in `pandas.to_datetime`.
            rate: Messages a second, without a time column.
            columns: The columns that are sent; all, unless said.
            template: How a row becomes a message: a text or a dict with ``{{row.name}}``, or a function of the row as
                a dict that returns text, bytes or a dict; unless said, a JSON object. With `batch` it is of a list of
                rows, ``{{rows}}``; with `snapshot` it may be one of each: ``{"snapshot": …, "update": …}``.
            rows: Whether rows are messages (True) or steps (False); unless said, they are steps if all columns are
                keys of steps.
            by: The column of the keys: at a route whose path has a parameter of this name (``/prices/{symbol}``) a
                connection gets the rows of its key; and what the next ones are about.
            snapshot: Whether a connection gets the latest row of each of its keys first, as the play-head stands, and
                then the updates (a key that has no row yet: its first). A time, an instant or how long after the
                first row (``"10s"``): the play-head begins there, and what comes before is what the snapshot is of.
            rebase: Where the table's instants are moved to, with the gaps between them: ``"now"``, when a connection's
                replay begins, or an instant.
            batch: How long the windows are whose rows are sent as one list, at their end: ``"1s"``.
            subscribe: How a client asks for keys, of which it gets nothing otherwise; ``"*"`` are all. The JSONPath of
                the keys in its message, ``"$.symbols[*]"``; a pattern as in `when` and that path,
                ``("$.op == 'subscribe'", "$.symbols[*]")``; or a function of the `Message` that returns the keys, or
                None. The play-head begins with the first of these; ``{{state.subscribed}}`` has those that it asked for
                and the table has, ``{{state.unknown}}`` those that its last message named and the table has not.
            unsubscribe: The same for keys that it gives back.
            ack: What both are answered, as the reply of `when`; ``{{match.value}}`` has the keys that were named.

        Raises:
            OptionError: An argument that does not fit the table.
            ScriptError: A row that cannot be sent, or times that cannot be used.

        Example:
            >>> df = pd.DataFrame({"at": [0.0, 2.5], "price": [7, 8]})
            >>> Script.from_frame(df, time="at", template="{{row.price}} EUR").preview()["message"].tolist()
            ['7 EUR', '8 EUR']
        """
        options = {name: value for name, value in locals().items() if name not in ("cls", "df")}
        return cls._of(from_frame(df, options))

    @classmethod
    def of(cls, source: object, *, rows: bool | None = None, timing: Timing = "offset", **options: Any) -> Script:
        """Make a script of whatever `Mock.replay` takes.

        Args:
            source: A Script, a path, a table, or a list of dicts or texts.
            rows: Whether a list's dicts are rows; unless said, they are steps if each looks like one.
            timing: Whether the steps' `ts` counts from the script's start or is the pause before each step.
            options: Those of `from_frame`, for tables and lists of rows.

        Raises:
            OptionError: It is none of these, or an option does not go with it.
            ScriptError: It cannot be played.

        Example:
            >>> Script.of(["a", "b"], rate=2)
            <Script <list>, 2 steps in 500 ms>
        """
        options = {**options, "rows": rows}
        if isinstance(source, Script):
            only_for_tables(options, "a Script")
            lines = None if source._steps is None else Parsed(source._steps, source.rules, recorded=source.recorded)
            program_ = None if lines else source._program
            made = Made(source._name, lines, program_, source._delays, source._endless, source.written)
            return cls._of(made.timed(timing), source.rules)
        if isinstance(source, (str, os.PathLike)):
            return cls._of(from_file(source, timing, options))
        if isinstance(source, (list, tuple)):
            return cls._of(from_list(source, options).timed(timing))
        if is_frame(source) or hasattr(source, "__arrow_c_stream__"):
            return cls._of(from_frame(source, options).timed(timing))
        raise OptionError(
            "replay()",
            source,
            f"is a {type(source).__name__}, which cannot be played",
            "valid: a path to a .jsonl file or a table, a Script, a DataFrame or other table, a list of dicts or texts",
        )

    def preview(
        self, n: int = 10, *, key: object = None, seed: int = 0, clock: str | datetime | None = None
    ) -> Preview:
        """Return the first messages as a connection would get them now, before anything is served.

        A script that waits for its client is shown up to there; of one that clients subscribe to, all keys.

        Args:
            n: How many messages.
            key: Whose rows, with ``by=``; all unless given.
            seed: The seed of what templates draw.
            clock: Where ``{{now}}`` starts, as in `Mock.clock`; now, unless given.

        Returns:
            A DataFrame with a row a message: `at` (s), `size` (bytes), `message` (text, or bytes of a binary one).

        Raises:
            OptionError: A wrong argument.
            AuthorError: What a template or function of yours raised.

        Example:
            >>> Script.of([{"price": 1}, {"price": 2}], rate=2).preview()
                at  size      message
            0  0.0    11  {"price":1}
            1  0.5    11  {"price":2}
        """
        from .preview import preview

        return preview(self, n, key, seed, clock)

    # Rules beside the steps

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
    ) -> Script:
        """Add a rule beside the steps; arguments and errors are those of `Mock.when`.

        Example:
            >>> Script().send("Who?").when("^HELP$", "Say a name.")
            <Script <script>, 1 step and 1 rule>
        """
        arguments = {key: value for key, value in locals().items() if key != "self"}
        rules = (*self.rules, rule(**arguments))
        if self._steps is None:
            made = Made(self._name, program=self._program, endless=self._endless, written=self.written)
            return Script._of(made, rules)
        lines = Parsed(self._steps, rules, recorded=self.recorded)
        return Script._of(Made(self._name, lines, delays=self._delays, written=self.written))

    # What it holds

    @property
    def steps(self) -> tuple[Step, ...]:
        """The steps; a table's rows become steps here.

        Example:
            >>> [step.ts for step in Script().send("a").send("b", after=0.5).steps]
            [0.0, 500.0]
        """
        if self._steps is not None:
            return self._steps
        table = self.program
        return tuple(replace(table.steps[index], ts=table.at[index]) for index in range(len(table)))

    @property
    def program(self) -> Program:
        """The steps as a session plays them.

        Raises:
            ScriptError: A jump to no step; this is checked when the script is used, so that ids may come later. Or it
                has no end.

        Example:
            >>> Script().send("a").send("b", after=0.5).program.duration
            500.0
        """
        if self._endless is not None:
            raise ScriptError(self._name, "it has no end; script[:100] is a part, and n= makes so many messages")
        if self._program is None:
            assert self._steps is not None
            self._program = Program.of(self._steps, self._name, delays=self._delays)
        return self._program

    @property
    def duration(self) -> float:
        """How long it lasts if nothing waits or jumps, in seconds.

        Example:
            >>> Script().send("a").send("b", after=0.5).duration
            0.5
        """
        if self._endless is not None:
            return math.inf
        return self.program.duration / 1000

    def validate(self) -> Script:
        """Return the script if all its jumps lead somewhere.

        Raises:
            ScriptError: It has no steps, two steps with one id, or a jump to no step.

        Warns:
            UserWarning: There are steps that no way through the script leads to.

        Example:
            >>> try:
            ...     Script().send("a").goto("end").validate()
            ... except ScriptError as error:
            ...     print(error)
            <script>:1: no step has the id 'end'
        """
        if self.endless:
            return self
        if not self:
            raise ScriptError(self._name, "there are neither steps nor rules in it")
        if self._steps is not None:
            program(self._steps, self._name)
            missed = unreachable(self._steps)
            if missed:
                warnings.warn(f"no way through {self._name} leads to the steps {missed[:10]}", stacklevel=2)
        return self

    def __len__(self) -> int:
        return len(self._steps) if self._steps is not None else len(self.program)

    def __bool__(self) -> bool:
        return self.endless or bool(len(self) or self.rules)

    @overload
    def __getitem__(self, index: int) -> Step: ...

    @overload
    def __getitem__(self, index: slice) -> Script: ...

    def __getitem__(self, index: int | slice) -> Step | Script:
        if self._endless is not None:
            return self._part(self._endless, index)
        if isinstance(index, slice):
            return self._with(self.steps[index])
        return self.program.steps[range(len(self))[index]]

    def _part(self, endless: Endless, index: int | slice) -> Step | Script:
        """Return a part of a script without end."""
        first, last = (index.start or 0, index.stop) if isinstance(index, slice) else (index, index + 1)
        if last is None or min(first, last) < 0 or (isinstance(index, slice) and index.step not in (None, 1)):
            raise ScriptError(self._name, "it has no end; a part is counted from its beginning: script[:100]")
        program = endless.program(max(0, last - first), first)
        if isinstance(index, slice):
            return Script._of(Made(self._name, program=program), self.rules)
        return program.steps[0]

    def __iter__(self) -> Iterator[Step]:
        if self._endless is not None:
            return (Step(ts=ms, payload=payload) for ms, payload in self._endless.payloads())
        return iter(self.steps)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Script):
            return NotImplemented
        if self is other:
            return True
        if self._steps is None or other._steps is None:
            same = self._program is other._program and self._endless is other._endless
            return same and self.rules == other.rules
        return self._bare() == other._bare() and self._delays == other._delays

    def _bare(self) -> list[Step | Rule]:
        """Return the steps and rules as they are, wherever they came from."""
        return [*(replace(step, line=0) for step in self.steps), *(replace(rule, line=0) for rule in self.rules)]

    __hash__ = None  # type: ignore[assignment]  # steps may hold dicts and lists

    # Made from another

    def __add__(self, other: Script) -> Script:
        """Return this script with `other` behind it, which begins when this one ends; its rules come last, too.

        Raises:
            OptionError: One counts `ts` from the start and the other from step to step.

        Example:
            >>> (Script().send("a", after=1) + Script().send("b", after=1)).duration
            2.0
        """
        if not isinstance(other, Script):
            return NotImplemented
        self._whole()
        other._whole()
        if self._delays != other._delays and len(self) and len(other):
            raise OptionError("Script + Script", other, "has another timing", "load both with the same timing=")
        behind = other.steps if self._delays or not len(self) else other.shift(self.duration * 1000).steps
        recorded = self.recorded if self else other.recorded
        lines = Parsed((*self.steps, *behind), (*self.rules, *other.rules), recorded=recorded)
        return Script._of(Made(self._name if self else other._name, lines, delays=self._delays or other._delays))

    def speed(self, factor: float) -> Script:
        """Return the script with its times divided by `factor`, timeouts excepted.

        Raises:
            OptionError: It is no number greater than 0.

        Example:
            >>> Script().send("a").send("b", after=10).speed(20).duration
            0.5
        """
        if not 0 < number(factor) < float("inf"):
            raise OptionError("speed()", factor, "is no number greater than 0")

        def timed(step: Step) -> Step:
            ts = None if step.ts is None else step.ts / factor
            every = None if step.every_ms is None else step.every_ms / factor
            return replace(step, ts=ts, every_ms=every)

        if self._endless is not None:
            return Script._of(Made(self._name, endless=self._endless.scaled(factor)), self.rules)
        if self._steps is None:
            table = self.program
            cuts = None if table.cuts is None else table.cuts.scaled(factor)
            faster = replace(table, at=Scaled(table.at, factor), period=table.period / factor, cuts=cuts)
            return Script._of(Made(self._name, program=faster, written=self.written), self.rules)
        return self._with(map(timed, self._steps))

    def shift(self, ms: float) -> Script:
        """Return the script with its times moved by `ms`; a first step without a time gets one.

        Raises:
            OptionError: A step would be due before the start.

        Example:
            >>> Script().send("a").shift(500).steps[0].ts
            500.0
        """
        steps = self.steps
        if number(ms) != number(ms) or (steps and self.program.at[0] + ms < 0):
            raise OptionError(
                "shift()", ms, f"moves the first step, due at {self.program.at[0]:g} ms, before the start"
            )
        moved = [
            replace(step, ts=(step.ts or 0.0) + ms)
            if index == 0 or (step.ts is not None and not self._delays)
            else step
            for index, step in enumerate(steps)
        ]
        return self._with(moved)

    def map(self, function: Callable[[Any], Any]) -> Script:
        """Return the script with each message that is sent put through `function`.

        Args:
            function: From a text, a JSON value or bytes to one of these; of a template it gets the source.

        Raises:
            ScriptError: What it returns cannot be sent.

        Example:
            >>> Script.of([{"price": 1}]).map(lambda row: {**row, "currency": "EUR"}).preview()["message"].tolist()
            ['{"price":1,"currency":"EUR"}']
        """
        return self._with(self._mapped(function))

    def _mapped(self, function: Callable[[Any], Any]) -> Iterator[Step]:
        for number_, step in enumerate(self.steps, 1):
            payload = step.payload
            if payload is None or step.dir == "in":
                yield step
                continue
            value = function(payload.value)
            kind = "text" if isinstance(value, str) else "binary" if isinstance(value, (bytes, bytearray)) else "json"
            entry = {kind: value, "template": payload.template is not None}
            yield replace(step, payload=self._read(entry, step.line or number_).payload)

    def filter(self, function: Callable[[Any], object]) -> Script:
        """Return the script without the messages for which `function` of the text, JSON value or bytes is false.

        Steps that send nothing stay.

        Example:
            >>> script = Script.of([{"price": 1}, {"price": 9}])
            >>> script.filter(lambda row: row["price"] > 5).preview()["message"].tolist()
            ['{"price":9}']
        """
        kept = [s for s in self.steps if s.payload is None or s.dir == "in" or function(s.payload.value)]
        return self._with(kept)

    # Played to a server

    def play_against(
        self,
        url: str,
        *,
        speed: float | Literal["max"] = 1.0,
        expect: bool = True,
        match: Match = "json",
        ignore: Sequence[str] = (),
        order: bool = True,
        extra: bool = False,
        carry: Sequence[str] | Mapping[str, str] = (),
        transform: Callable[[Message], object] | None = None,
        timeout: float | str | timedelta = 10,
        headers: Mapping[str, str] | None = None,
        ssl: SSLContext | str | bool | None = None,
        subprotocols: Sequence[str] | None = None,
    ) -> Verdicts:
        """Send the client's messages of a recording to a real server, and compare what comes back with the recorded.

        Each message is sent its recorded distance after the step before it, once as many messages came as were
        recorded before it (with `extra`: once these came), or `timeout` passed in vain. The server has the time that
        it took in the recording, and `timeout` more. All ends when what was recorded came or the server closes; what
        comes until then counts. Without a recorded close it is we who close, with 1000.

        Args:
            url: The server: ``ws://…`` or ``wss://…``.
            speed: How many times as fast as recorded our messages follow; ``"max"``: at once.
            expect: Whether what comes is compared; otherwise it is only shown.
            match: When a message is as recorded. ``"json"``: it has the recorded values, and may have more.
                ``"equal"``: the same values. ``"types"``: values of the same JSON types. A function of a message:
                what it returns is equal. Tokens of a template and values that a recording hid (``***``) stand for
                anything.
            ignore: JSONPaths of what does not count, such as ``["$.id", "$..ts"]``.
            order: Whether the order counts.
            extra: Whether the server may say more than was recorded.
            carry: JSONPaths of values that the server says anew in each connection, such as ``["$.session"]``: they
                are put where the client said the recorded ones, at the same path, or for a dict at its value's.
            transform: A function of each of our messages, with what is carried in it; it returns what is sent in its
                place: a `Message`, text, bytes, or anything else as JSON; None: it is not sent.
            timeout: How long is waited in vain, in seconds.
            headers: Headers of the handshake.
            ssl: A file of trusted certificates, an ``ssl.SSLContext``, or False: verify nothing.
            subprotocols: Those that are offered; the recorded one unless given.

        Returns:
            The verdicts: true if the server is as recorded; ``.df``, ``.failures``, ``.raise_for_failures()``.

        Raises:
            ScriptError: Steps that no client can play: patterns, waits, jumps, repetitions, rules, hidden parts.
            UnreachableError: The server cannot be reached or refuses the handshake.
            OptionError: A wrong argument.

        Example:
            >>> recorded = Mock().when("^price$", {"price": 7}).simulate([(0, "price")]).script()
            >>> with Mock().when("^price$", {"price": "seven"}).serve(port=0) as server:
            ...     recorded.play_against(server.url).counts
            {'sent': 1, 'differs': 1}
        """
        from .contract import play_against

        self._whole()

        options = {name: value for name, value in locals().items() if name not in ("self", "url", "play_against")}
        return play_against(self, url, **options)

    # Written

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write a replay file; loading it gives the same script.

        Args:
            path: A file that ends in ``.jsonl`` or ``.ndjson``; in ``.parquet`` or ``.csv``, with a row in place of
                each line; or in ``.har``, which holds messages alone.

        Raises:
            ScriptError: A pattern that is Python code, a kind of file that is not written, or more than messages for
                a ``.har``.

        Example:
            >>> Script().send("hi").save("hi.jsonl")
            >>> Script.load("hi.jsonl") == Script().send("hi")
            True
        """
        from .formats.lines import WRITTEN, write

        where = Path(path)
        check_suffix(where, WRITTEN, "written", "to_frame() gives a table that pandas can write")
        if where.suffix.lower() == ".har":
            problems = more_than_messages(self.steps, HAR)
            unknown = [
                each for each in self.steps if each.dir == "in" and (each.how == "regex" or each.payload is None)
            ]
            problems += [Problem(each.line, f"a pattern of what the client says: {HAR}") for each in unknown]
            problems += [Problem(rule.line, f"{rule.title}: an interactive line: {HAR}") for rule in self.rules]
            if problems:
                raise ScriptError(self._name, problems)
        header, lines = self._lines()
        if self._delays and where.suffix.lower() == ".csv":
            raise ScriptError(self._name, 'a .csv has no line that says timing="delay"; save it as .jsonl or .parquet')
        # What was said to a real server may be as secret as the recording was.
        write(where, header, lines, shared=not self.recorded.connection)

    def text(self) -> str:
        """Return what `save` writes.

        Raises:
            ScriptError: A pattern that is Python code, which a file cannot hold.

        Example:
            >>> print(Script().send("hi").close().text())
            {"ts": 0, "text": "hi"}
            {"ts": 0, "close": true}
        """
        header, lines = self._lines()
        return "".join(map(written, [header, *lines] if header else lines))

    def _lines(self) -> tuple[dict[str, Any], list[dict[str, Any]]]:
        """Return the header line of a replay file, or nothing, and its other lines."""
        self._whole()
        header: dict[str, Any] = {"timing": "delay"} if self._delays else {}
        if self.written is not None:
            header |= self.written.header()
        if header:
            header = {"mockforge": HEADER_VERSION, **header}
        about = self.recorded
        # A query may be secret, and a file is passed on.
        head = [replace(about, url=shown_url(about.url)).line()] if about.connection else []
        return header, [*head, *keys_of_lines([*self.steps, *self.rules], self._name)]

    def to_frame(self) -> pd.DataFrame:
        """Return a table with a row a step and a column a key that is used; `from_frame` reads it back.

        Raises:
            ScriptError: A pattern that is Python code, which a table cannot hold.

        Example:
            >>> Script().send("a").send("b", after=0.5).to_frame()[["ts", "text"]].values.tolist()
            [[0.0, 'a'], [500.0, 'b']]
        """
        from .generators.steptable import frame_of

        self._whole()
        try:
            return frame_of([*self.steps, *self.rules])
        except ScriptError:
            raise
        except ValueError as error:
            raise ScriptError(self._name, str(error)) from error

    def __repr__(self) -> str:
        origin = "" if self.written is None else f", {self.written}"
        return f"<Script {self._name}, {self.summary()}{origin}>"

    def summary(self) -> str:
        """Return how many steps and rules there are, and how long the steps last.

        Example:
            >>> Script().send("a").send("b", after=0.5).summary()
            '2 steps in 500 ms'
        """
        return self.counted() + (f" in {human(self.duration)}" if 0 < self.duration < math.inf else "")

    def counted(self) -> str:
        """Return how many steps and rules there are.

        Example:
            >>> Script().send("a").send("b", after=0.5).when("^HELP$", "?").counted()
            '2 steps and 1 rule'
        """
        if self.endless:
            return "messages without end" + (f" and {len(self.rules):,} rules" if self.rules else "")
        counts = [(len(self), "step"), *([(len(self.rules), "rule")] if self.rules else [])]
        return " and ".join(f"{count:,} {what}{'s' if count != 1 else ''}" for count, what in counts)

    def _repr_html_(self) -> str:
        from .notebook.display import script_html

        return script_html(self)
