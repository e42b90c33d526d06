"""Scripts whose messages are made up: by Faker, like a table, like traffic."""

from __future__ import annotations

import json
import os
import random
from abc import abstractmethod
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import islice
from types import EllipsisType
from typing import TYPE_CHECKING, Any, Final, Self

from .core.program import Payload, Step
from .core.units import number
from .errors import OptionError, ScriptFileNotFoundError
from .sources import TABLES, Made, Template, from_frame, is_frame

if TYPE_CHECKING:
    from .generators.endless import Endless, Items
    from .generators.lookalike.talk import Said


LEARNED: Final = 5000
"""How many messages of a script without end are learned."""


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

        Example:
            >>> schema = {"id": fields.counter(), "side": fields.choice(["buy", "sell"]), "mail": "email"}
            >>> script = Script.from_faker(schema, n=3, rate=2, seed=1)
            >>> [(step.payload.value["id"], sorted(step.payload.value)) for step in script]
            [(1, ['id', 'mail', 'side']), (2, ['id', 'mail', 'side']), (3, ['id', 'mail', 'side'])]
        """
        from .generators.endless import Endless
        from .generators.fakes.fake import FakeRows

        n = check_n(n, "from_faker(n=)")
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
        which, after how long, and what is in each kind; templates stay templates, and the messages' own times follow
        the time at which they are due. What joins messages is not learned: a reply names no message that was sent, who
        speaks may never have joined, and totals do not add up.

        Args:
            source: A DataFrame or other table, the path of one; a `Traffic`, a `Script` or the path of a recording. Of
                a script without end the first 5,000 messages are learned.
            n: How many messages; as many as were learned unless given. None: without end.
            time: A table's column of times: the new rows have such gaps.
            by: The column whose values each have a series of their own, such as a symbol.
            columns: The columns that are sent.
            rate: Messages a second, for a table without `time`.
            template: What a row is sent as, as in `Script.from_frame`.
            seed: What settles the messages; one is drawn, and shown, unless given.

        Raises:
            OptionError: A wrong argument, or one that goes with tables only; a message with a template that is no
                value of a JSON message.
            GeneratorError: The source has nothing to learn from.
            ScriptError: It cannot be read.

        Example:
            >>> df = pd.DataFrame({"side": ["buy", "sell"] * 50, "price": range(100)})
            >>> Script.like(df, n=500, seed=1)
            <Script <like DataFrame, seed 1>, 500 steps>
        """
        if not isinstance(n, EllipsisType):
            n = check_n(n, "like(n=)")
        seed = check_seed(seed, "like(seed=)")
        options = {"time": time, "by": by, "columns": columns, "rate": rate, "template": template}
        found = _read(source)
        if not _is_table(found):
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
        model = TableModel(time=time, by=by, seed=_natural(seed))._named("like").fit(source)
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
        text = isinstance(options["template"], (str, Mapping))
        problem = "is a text, which an endless script has no place for" if text else "is no template"
        raise OptionError("like(template=)", options["template"], problem, "give a function of the row")


def check_n(n: Any, where: str) -> int | None:
    """Return a number of messages, or None; raise OptionError if it is neither."""
    if n is None:
        return None
    if isinstance(n, bool) or not hasattr(n, "__index__") or int(n.__index__()) < 1:
        raise OptionError(where, n, "is no number from 1 on", "valid: a number, or None: without end")
    return int(n.__index__())


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
        if not where.exists():
            raise ScriptFileNotFoundError(str(source), f"there is no such file in {Path.cwd()}")
        if where.is_dir() or (where.suffix.lower() in TABLES and not _holds_lines(where)):
            from .generators.arrow import ArrowTable

            return ArrowTable.file(where).frame()
        return Script.load(source)
    if _is_table(source):
        return source
    if hasattr(source, "traffic"):
        return source.traffic
    if hasattr(source, "df") or hasattr(source, "play_against"):
        return source
    valid = "valid: a DataFrame or other table, a Traffic, a Script, a path"
    raise OptionError("like()", source, f"is a {type(source).__name__}", valid)


def _is_table(source: Any) -> bool:
    # Before anything else: a relation of DuckDB has a `df`, too.
    return is_frame(source) or hasattr(source, "__arrow_c_stream__")


def _natural(seed: int) -> int:
    """Return a seed as one that is not below 0."""
    return seed if seed >= 0 else 2**64 - seed


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
    steps: Iterable[Step] = islice(script, LEARNED) if script.endless else script
    at = None if script.endless else script.program.at
    for index, step in enumerate(steps):
        if step.payload is None:
            continue
        value = step.payload.value
        known = _value(value) if isinstance(value, (str, bytes)) else value
        if step.dir == "out" and step.payload.template is not None:
            known = _slotted(known, step.payload)
        yield (step.ts or 0.0) if at is None else at[index], step.dir, known


def _slotted(value: Any, payload: Payload) -> Any:
    """Return a message with its templates as slots.

    Raises:
        OptionError: Something of it is a template that is no value of a JSON message.
    """
    from .core.template import Slot, TextTemplate

    if payload.row is not None:
        raise OptionError("like()", value, "is a template over a table's rows", "give like() the table")
    if isinstance(value, str):
        raise OptionError(
            "like()", value, "is a text with a template, which cannot be learned", "send it as a value of a JSON object"
        )

    def slotted(part: Any) -> Any:
        if isinstance(part, dict):
            wrong = next((key for key in part if not TextTemplate.parse(str(key)).literal), None)
            if wrong is not None:
                raise OptionError("like()", wrong, "is a key with a template, which cannot be learned", "valid: values")
            return {key: slotted(each) for key, each in part.items()}
        if isinstance(part, (list, tuple)):
            return [slotted(each) for each in part]
        return part if not isinstance(part, str) or TextTemplate.parse(part).literal else Slot(part)

    return slotted(value)


def _slots(value: Any) -> Iterator[str]:
    """Yield the texts of a message's slots."""
    from .core.template import Slot

    if isinstance(value, Slot):
        yield str(value)
    for part in value.values() if isinstance(value, dict) else value if isinstance(value, list) else ():
        yield from _slots(part)


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
    slots = {text for each in said for _, direction, value in each if direction == "out" for text in _slots(value)}
    return Endless.of(
        f"<like traffic, seed {seed}>", lambda: model.messages(_natural(seed), endless=True), sorted(slots)
    )
