"""Scripts whose messages are made up: by Faker, like a table, like traffic."""

from __future__ import annotations

import json
import os
import random
from abc import abstractmethod
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import islice
from types import EllipsisType
from typing import TYPE_CHECKING, Any, Self

from .core.program import Step
from .core.units import number
from .errors import OptionError
from .sources import TABLES, Made, Template, from_frame, is_frame

if TYPE_CHECKING:
    from .generators.endless import Endless, Items
    from .generators.lookalike.talk import Said


class Generated:
    """The ways to make a script of messages that nobody wrote."""

    __slots__ = ()

    @classmethod
    @abstractmethod
    def _of(cls, made: Made) -> Self:
        """Return the script of what was made."""

    @classmethod
    def made(cls, endless: Endless, n: int | None) -> Self:
        """Return a script of so many messages, or one without end."""
        if n is None:
            return cls._of(Made(endless.name, endless=endless))
        return cls._of(Made(endless.name, program=endless.program(n)))

    @classmethod
    def from_faker(
        cls,
        schema: Any,
        *,
        n: int | None = 100,
        rate: float | None = None,
        locale: str | Sequence[str] | None = None,
        seed: int | None = None,
        providers: Sequence[Any] = (),
    ) -> Self:
        """Make messages of a schema, with Faker: the same ones for the same seed.

        What a provider counts from today (``past_date``, ``date_of_birth``, ``date_this_month``) it counts from 1 July
        2026 here, so that a seed says the same on any day.

        Args:
            schema: A dict, nested at will, of fields: the name of a provider (``"email"``); one with its arguments
                (``("pyint", {"max_value": 9})``); a list, ``["word", "word"]``, or with a range of lengths ``["word",
                (1, 5)]``; a text with ``{{…}}``, which is a template that is expanded when the message is sent; a
                number, True, False or None as it stands; a function, which may take the Faker generator, and is called
                once before the first message, to try it; a word of `mockforge_nb.fields` (``fields.choice(["buy",
                "sell"])``, ``fields.const("trade")``). Or a pydantic model, a dataclass, a TypedDict, or a JSON
                Schema, of which each message is a valid value: a model is asked itself.
            n: How many messages; None: without end, made while they are played.
            rate: Messages a second; all are due at once unless given.
            locale: Faker's, such as ``"de_DE"``, or a list, of which each message draws one.
            seed: What settles the values; one is drawn, and shown, unless given.
            providers: Faker providers of your own: classes, modules, `DynamicProvider`s.

        Raises:
            OptionError: A wrong argument, an unknown provider (with the nearest one), a field that has no JSON form.
            GeneratorError: A schema that nothing fits, or ``unique`` values that run out.
        """
        from .generators.endless import Endless
        from .generators.fakes.fake import FakeRows

        check_n(n, "from_faker(n=)")
        gap = 0.0 if rate is None else 1000.0 / _rate(rate, "from_faker(rate=)")
        seed = check_seed(seed, "from_faker(seed=)")
        name = f"<faker, seed {seed}>"
        rows = FakeRows(schema, locale=locale, seed=seed, providers=providers, name=name)

        def items() -> Items:
            return ((index * gap, value) for index, value in enumerate(rows))

        return cls.made(Endless.of(name, items, rows.templates.values()), n)

    @classmethod
    def like(
        cls,
        source: Any,
        *,
        n: int | EllipsisType | None = ...,
        time: str | None = None,
        by: str | None = None,
        columns: Sequence[str] | None = None,
        rate: float | None = None,
        template: Template | None = None,
        seed: int | None = None,
    ) -> Self:
        """Make more messages like those of a table, or of traffic.

        A table is learned by a `TableModel`, whose `report` says how like it the new rows are: types, shares,
        quantiles, correlations, gaps, and walks of what walks. Of traffic it is learned which kind of message follows
        which, after how long, and what is in each kind.

        Args:
            source: A DataFrame or other table, the path of one; a `Traffic`, a `Script` or the path of a recording.
            n: How many messages; as many as the source has unless given. None: without end.
            time: A table's column of times: the new rows have such gaps.
            by: The column whose values each have a series of their own, such as a symbol.
            columns: The columns that are sent.
            rate: Messages a second, for a table without `time`.
            template: What a row is sent as, as in `Script.from_frame`.
            seed: What settles the messages; one is drawn, and shown, unless given.

        Raises:
            OptionError: A wrong argument, or one that goes with tables only.
            GeneratorError: The source has nothing to learn from.
            ScriptError: It cannot be read.
        """
        if not isinstance(n, EllipsisType):
            check_n(n, "like(n=)")
        seed = check_seed(seed, "like(seed=)")
        options = {"time": time, "by": by, "columns": columns, "rate": rate, "template": template}
        found = _read(source)
        if hasattr(found, "df") or hasattr(found, "play_against"):
            for option, value in options.items():
                if value is not None:
                    raise OptionError(f"like({option}=)", value, "goes with a table, not with messages")
            said = _conversations(found)
            if isinstance(n, EllipsisType):
                n = sum(direction == "out" for each in said for _, direction, _ in each)
            return cls.made(_talk(said, seed), n)
        return cls._like_table(found, n, options, seed)

    @classmethod
    def _like_table(cls, source: Any, n: int | EllipsisType | None, options: Mapping[str, Any], seed: int) -> Self:
        from .generators.lookalike.model import TableModel

        time, by, rate = options["time"], options["by"], options["rate"]
        model = TableModel(time=time, by=by, seed=seed).fit(source)
        name = f"<like {type(source).__name__}, seed {seed}>"
        sent = {key: options[key] for key in ("time", "columns", "rate", "template") if options[key] is not None}
        if n is not None:
            made = from_frame(model.sample(model.rows if isinstance(n, EllipsisType) else n), {**sent, "rows": True})
            if made.program is not None:
                made.program.name = name
            return cls._of(made._replace(name=name))
        from .generators.endless import Endless
        from .generators.tables import messages_of

        if callable(options["template"]) or options["template"] is None:
            gap = 0.0 if sent.pop("rate", None) is None else 1000.0 / _rate(rate, "like(rate=)")
            return cls.made(Endless.of(name, lambda: messages_of(model.batches(), name, gap, **sent)), None)
        raise OptionError(
            "like(template=)", options["template"], "is a text, which an endless script has no place for",
            "give a function of the row",
        )  # fmt: skip


def check_n(n: object, where: str) -> None:
    """Raise OptionError unless `n` is a number of messages, or None."""
    if n is not None and (isinstance(n, bool) or not isinstance(n, int) or n < 1):
        raise OptionError(where, n, "is no number from 1 on", "valid: a number, or None: without end")


def _rate(rate: object, where: str) -> float:
    if not 1e-290 < number(rate) < 1e290:
        raise OptionError(where, rate, "is no number of messages a second greater than 0")
    return number(rate)


def check_seed(seed: object, where: str) -> int:
    """Return a seed, or one that is drawn; raise OptionError unless it is a whole number or None."""
    if seed is None:
        return random.SystemRandom().randrange(10**6)  # short enough to be typed again
    if isinstance(seed, bool) or not hasattr(seed, "__index__"):
        raise OptionError(where, seed, "is no whole number")
    return int(seed.__index__())


def _read(source: Any) -> Any:
    """Return a table, a Traffic or a Script of what `like` is given."""
    if isinstance(source, (str, os.PathLike)):
        from pathlib import Path

        from .script import Script

        where = Path(source)
        if where.is_dir() or (where.suffix.lower() in TABLES and not _holds_lines(where)):
            from .generators.arrow import ArrowTable

            return ArrowTable.file(where).frame()
        return Script.load(source)
    if is_frame(source) or hasattr(source, "__arrow_c_stream__"):
        return source
    if hasattr(source, "traffic"):
        return source.traffic
    if hasattr(source, "df") or hasattr(source, "play_against"):
        return source
    valid = "valid: a DataFrame or other table, a Traffic, a Script, a path"
    raise OptionError("like()", source, f"is a {type(source).__name__}", valid)


def _holds_lines(where: os.PathLike[str]) -> bool:
    from pathlib import Path

    from .formats import lines

    return Path(where).exists() and lines.holds_lines(Path(where))


def _conversations(source: Any) -> list[list[Said]]:
    """Return what each connection said and heard: times (ms), directions, and messages."""
    if hasattr(source, "play_against"):
        return [[*_of_steps(source)]]
    df = source.df
    rows = df[df["opcode"].isin(["text", "binary"])]
    found: dict[Any, list[Said]] = {}
    columns = (rows[name].tolist() for name in ("connection", "elapsed", "direction", "opcode", "text", "data"))
    for connection, elapsed, direction, opcode, text, data in zip(*columns, strict=True):
        value = _value(text if opcode == "text" else data)
        if value is not None:
            found.setdefault(connection, []).append((elapsed * 1000, direction, value))
    return list(found.values())


def _of_steps(script: Any) -> Iterator[Said]:
    steps: Iterable[Step] = islice(script, 100_000) if script.endless else script
    at = None if script.endless else script.program.at
    for index, step in enumerate(steps):
        if step.payload is not None:
            value = step.payload.value
            known = _value(value) if isinstance(value, (str, bytes)) else value
            yield (step.ts or 0.0) if at is None else at[index], step.dir, known


def _value(payload: Any) -> Any:
    """Return a message as its JSON value, or as it is; None: it was forgotten."""
    if not isinstance(payload, (str, bytes)):
        return None
    if isinstance(payload, bytes):
        return payload
    try:
        value = json.loads(payload)
    except ValueError:
        return payload
    return value if isinstance(value, (dict, list)) else payload


def _talk(said: list[list[Said]], seed: int) -> Endless:
    from .generators.endless import Endless
    from .generators.lookalike.talk import TalkModel

    model = TalkModel().fit(said)
    return Endless.of(f"<like traffic, seed {seed}>", lambda: model.messages(seed, endless=True))
