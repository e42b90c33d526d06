"""How a table's messages are cut to each connection, and how its rows become messages: the author's words, checked."""

from __future__ import annotations

import inspect
import json
import re
from array import array
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from typing import TYPE_CHECKING, Any, TypeAlias

from mockforge_nb.core.cuts import Chosen, Cuts, Lists
from mockforge_nb.core.keys import Keys
from mockforge_nb.core.program import Program, StepSource
from mockforge_nb.core.units import epoch_ns, iso_ns, seconds
from mockforge_nb.errors import OptionError, ScriptError

from .forms import NoJSONError, to_bytes
from .messages import make_message
from .sources import Behind, Picked, RowSource, Shape, Shaped, Table, Templated
from .sources import Lists as ListSource

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    from mockforge_nb.core.subscribing import Subscription
    from mockforge_nb.core.template import JsonTemplate, TextTemplate

    Order = npt.NDArray[np.integer[Any]]

Template: TypeAlias = "str | Shape | Mapping[str, Any]"
"""What a row is sent as; a snapshot's rows may be sent as something else than the updates."""

PARTS = ("snapshot", "update")


@dataclass(frozen=True, slots=True)
class Cutting:
    """What an author says of which rows go to whom, and when.

    Attributes:
        by: The column of the keys.
        snapshot: Whether the latest row of each key comes first; a time: what the table has until then is what it is
            of.
        rebase: Where the table's times are moved to: ``"now"`` or an instant.
        batch: How long the windows are whose rows are sent as one list.
        subscription: How a connection asks for keys.
    """

    by: Any = None
    snapshot: object = None
    rebase: object = None
    batch: object = None
    subscription: Subscription | None = None

    @property
    def snapshots(self) -> bool:
        """Whether there is a snapshot."""
        return self.snapshot is not None and self.snapshot is not False

    @property
    def _from_a_time(self) -> bool:
        return self.snapshots and self.snapshot is not True

    @property
    def cuts(self) -> bool:
        """Whether not every connection is played the same, or not from the table's first row on."""
        return bool(self.by is not None or self.rebase is not None)

    @property
    def window(self) -> float | None:
        """How long a window is, in ms."""
        if self.batch is None:
            return None
        window = seconds(self.batch, "batch=") * 1000
        if not 1e-3 <= window <= 1e12:
            raise OptionError("batch=", self.batch, "is no window of time", 'valid: "1s", "250ms", a number of seconds')
        return window

    @property
    def to_ns(self) -> int | None:
        """The instant that the table's times are moved to (UTC ns); None: now, or nowhere."""
        return None if self.rebase in (None, "now") else epoch_ns(self.rebase, "rebase=")

    def check(self, template: object) -> None:
        """Raise OptionError unless all that is said goes together."""
        if self.by is not None and not isinstance(self.by, str):
            shown = ".".join(map(str, self.by)) if isinstance(self.by, tuple) else str(self.by)
            raise OptionError("by=", self.by, "is no text", f"valid: a column's name in a message, such as {shown!r}")
        if self._from_a_time and not isinstance(self.snapshot, (str, date, timedelta, int, float)):
            raise OptionError("snapshot=", self.snapshot, "is neither True nor a time", SNAPSHOT)
        if self.subscription is not None and self.by is None:
            raise OptionError("by=", None, "is missing, and subscribe= needs keys", "such as by='symbol'")
        if self.snapshots and self.by is None:
            raise OptionError("snapshot=", self.snapshot, "is of the latest row of each key", "say by='symbol'")
        _ = self.window  # is one
        if self.rebase is not None and not isinstance(self.rebase, (str, date)):
            raise OptionError("rebase=", self.rebase, "is no instant", REBASE)
        if self.rebase is not None and self.rebase != "now":
            try:
                epoch_ns(self.rebase, "rebase=")
            except OptionError:
                raise OptionError("rebase=", self.rebase, "is no instant", REBASE) from None
        if len(forms_of(template)) > 1 and not self.snapshots:
            raise OptionError("template=", template, "has two forms, and there is no snapshot", "say snapshot=True")

    def begin(self, first_ns: int | None, last: float) -> float:
        """Return where the play-head begins, in ms.

        Args:
            first_ns: The instant of the table's first row (UTC ns); None: it has no instants.
            last: When its last row is due (ms).

        Raises:
            OptionError: It is no time of the table.
        """
        if not self._from_a_time:
            return 0.0
        try:
            begin = seconds(self.snapshot, "snapshot=") * 1000
        except OptionError:
            if not isinstance(self.snapshot, (str, date)):
                raise
            try:
                instant = epoch_ns(self.snapshot, "snapshot=")
            except OptionError:
                raise OptionError("snapshot=", self.snapshot, "is neither True nor a time", SNAPSHOT) from None
            if first_ns is None:
                problem = "is an instant, and the rows are due at offsets from the start"
                raise OptionError("snapshot=", self.snapshot, problem, 'say how long after the start: "10s"') from None
            begin = (instant - first_ns) / 1e6
        if not 0 <= begin <= last:
            span = f"valid: from 0 to {last / 1000:g} s after the first row"
            if first_ns is not None:
                ends = (iso_ns(first_ns), iso_ns(first_ns + round(last * 1e6)))
                span = f"valid: from {ends[0]} to {ends[1]}, or {span.removeprefix('valid: ')}"
            raise OptionError("snapshot=", self.snapshot, "is not within the table's times", span)
        return begin


REBASE = 'valid: "now", or one such as "2026-01-31T09:30Z" or a datetime'
SNAPSHOT = 'valid: True, an instant of the time column ("2024-01-31T09:30Z"), or how long after the first row ("10s")'


@dataclass(frozen=True, slots=True)
class Said:
    """What a row, or a list of them, is sent as: JSON, a text, or what a function makes.

    Attributes:
        text: The template's text, or a dict whose texts are templates; None: there is none.
        template: The parsed template; None: the text has no tokens.
        function: The function; None: there is none.
    """

    text: str | Mapping[str, Any] | None = None
    template: TextTemplate | JsonTemplate | None = None
    function: Shape | None = None

    @classmethod
    def of(cls, given: Any, names: Collection[str], columns: list[str] | None) -> Said:
        """Return what one form of a template says; `columns` None: it is of a list of rows.

        Raises:
            OptionError: It reads a row where there is a list of them, or the other way round.
            TemplateError: It cannot be parsed.
        """
        if given is None:
            return cls()
        if not isinstance(given, (str, Mapping)):
            return cls(function=given)
        from mockforge_nb.core.template import JsonTemplate, TextTemplate

        reads = set(re.findall(r"{[{%][^}]*?\b(rows?)\b", given if isinstance(given, str) else json.dumps(given)))
        if columns is None and reads == {"row"}:
            problem = "reads a row, and with batch= it is of a list of them"
            raise OptionError("template", given, problem, "{{rows}}, or {% for row in rows %}")
        if columns is not None and "rows" in reads and "rows" not in names:
            raise OptionError("template", given, "reads {{rows}}, which only batch= makes", "{{row.name}}")
        parsed: TextTemplate | JsonTemplate
        if isinstance(given, str):
            parsed = TextTemplate.parse(given, names=names, columns=columns)
        else:
            parsed = JsonTemplate.parse(given, names=names, columns=columns)
        return cls(given, None if parsed.literal else parsed)

    @property
    def plain(self) -> bool:
        """Whether it is the same bytes for every connection."""
        return self.template is None


def forms_of(template: object) -> list[Any]:
    """Return the forms of a template: of a snapshot and an update, if it says both, or the only one."""
    if isinstance(template, Mapping) and set(template) == set(PARTS):
        return [template["update"], template["snapshot"]]
    return [template]


def check_template(template: object) -> None:
    """Raise OptionError unless `template` is a text, a dict, a function, or one of these for each of `PARTS`."""
    for each in forms_of(template):
        if each is not None and not isinstance(each, (str, Mapping)) and not callable(each):
            raise OptionError("template", each, "is neither a text nor a function of a row, nor a dict of texts")
        if isinstance(each, Mapping):
            try:
                to_bytes(each)
            except NoJSONError as error:
                way = f"valid: a dict of texts with {{{{row.name}}}}, or one function or text for each of {PARTS}"
                raise OptionError("template", template, f"has no JSON form: {error}", way) from None
        if inspect.iscoroutinefunction(each):
            raise OptionError("template", each, "is a coroutine function; a template is a plain one")


Dicts: TypeAlias = Callable[["Order", int], list[tuple[Any, dict[str, Any]]]]
"""Returns some rows as Python's own values, their times moved by so many ns, each with what errors call it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Material:
    """A table's rows as messages are made of them.

    Attributes:
        rows: The rows as messages: JSON objects, or what a function made of them.
        dicts: The rows as Python's own values, for functions that are called when a message is due; None: nothing is
            left for them to do.
        moved: Returns the rows with their times moved by so many ns; None: they have none that move.
        first_ns: The instant of the first row (UTC ns); None: the table has no instants.
        span_ms: How far its instants go in a round (ms), where rows are not due by them; 0: they are.
    """

    rows: Table
    dicts: Dicts | None = None
    moved: Callable[[int], Table] | None = None
    first_ns: int | None = None
    span_ms: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Recipe:
    """Makes steps of a table's rows.

    Attributes:
        material: The rows.
        script: What errors call the script.
        update: What rows are sent as.
        snapshot: What those of a snapshot are sent as.
    """

    material: Material
    script: str
    update: Said = Said()  # it never changes
    snapshot: Said = Said()

    @property
    def plain(self) -> bool:
        """Whether every connection is sent the same bytes of a row."""
        return self.update.plain and self.snapshot.plain

    def __call__(self, chosen: Chosen | None, bounds: Any, shift_ns: int) -> StepSource:
        """Return steps; see `mockforge_nb.core.cuts.Make`."""
        split = 0 if chosen is None else len(chosen.heads)
        if chosen is None or not split or self.snapshot == self.update:
            return self._steps(self.update, chosen, bounds, shift_ns)
        first, second = chosen.parts()
        heads = None if bounds is None else bounds[:2]
        rest = None if bounds is None else bounds[1:] - split
        return Behind(
            self._steps(self.snapshot, first, heads, shift_ns), self._steps(self.update, second, rest, shift_ns)
        )

    def _steps(self, said: Said, chosen: Chosen | None, bounds: Any, shift_ns: int) -> Templated | Shaped | RowSource:
        material = self.material
        if said.function is not None and material.dicts is not None:
            return self._shaped(said.function, material.dicts, chosen, bounds, shift_ns)
        table = material.moved(shift_ns) if shift_ns and material.moved is not None else material.rows
        rows: RowSource = table if chosen is None else Picked(table, chosen)
        if bounds is not None:
            rows = ListSource(rows, bounds)
        return rows if said.text is None else Templated(rows, said.text, said.template)

    def _shaped(self, function: Shape, dicts: Dicts, chosen: Chosen | None, bounds: Any, shift_ns: int) -> Shaped:
        import numpy as np

        def rows(first: int, last: int) -> list[tuple[Any, dict[str, Any]]]:
            return dicts(np.arange(first, last) if chosen is None else chosen[first:last], shift_ns)

        count = len(self.material.rows) if chosen is None else len(chosen)
        made = count if bounds is None else len(bounds) - 1
        return Shaped(rows, made, bounds, lambda label, row: make_message(function, label, row, self.script))


def cut_program(
    recipe: Recipe,
    cutting: Cutting,
    *,
    at: Sequence[float],
    period: float,
    keys: Keys | None,
) -> Program:
    """Return the program of a table's rows.

    Args:
        recipe: What makes messages of them.
        cutting: Which go to whom.
        at: When each is due (ms).
        period: How long a round is when it is looped (ms).
        keys: The rows' keys; None: they have none.

    Raises:
        OptionError: A time that the table does not have.
        ScriptError, TemplateError: The first message cannot be made.
    """
    window, count, name = cutting.window, len(at), recipe.script
    lists = None if window is None else Lists.of(at[0:count], window)
    due: Sequence[float] = at if lists is None else array("d", lists.due.tobytes())
    steps = recipe(None, None if lists is None else lists.bounds, 0)
    period = period if lists is None else max(period, due[-1])
    program = Program(steps, due, period, name, recipe.plain)
    if not recipe.update.plain or recipe.material.dicts is not None:
        _ = program.steps[0]  # what a function raises shows itself here
    if not cutting.cuts:
        return program
    material = recipe.material
    if cutting.rebase is not None and material.first_ns is None:
        problem = "moves instants, and the table has none"
        raise OptionError("rebase=", cutting.rebase, problem, "make a column of them: pd.to_datetime(…)")
    begin = cutting.begin(material.first_ns, at[-1])
    from_ns = None if cutting.rebase is None or material.first_ns is None else material.first_ns + round(begin * 1e6)
    program.cuts = Cuts(
        make=recipe,
        count=count,
        at=at,
        period=period,
        span=recipe.material.span_ms or period,
        name=name,
        plain=recipe.plain,
        keys=keys,
        snapshot=cutting.snapshots,
        begin=begin,
        from_ns=from_ns,
        to_ns=cutting.to_ns,
        window=window,
        subscription=cutting.subscription,
    )
    return program


class KeyColumn:
    """Reads the keys of a table that comes in parts.

    Args:
        name: The column.
        script: What errors call the script.
    """

    def __init__(self, name: str, script: str) -> None:
        self._name, self._script = name, script
        self._found: list[Any] = []
        self._count = 0
        self._codes = array("i")

    def add(self, column: Any) -> None:
        """Take the next rows' keys.

        Raises:
            OptionError: The column has values that are no keys.
        """
        import numpy as np
        import pandas as pd

        try:
            codes, found = pd.factorize(column)
        except TypeError:
            kinds = sorted({type(each).__name__ for each in column})
            problem = f"has values that are no keys ({', '.join(kinds)})"
            raise OptionError("by=", self._name, problem, "choose a column of texts or numbers") from None
        self._codes.frombytes(np.where(codes < 0, -1, codes + self._count).astype(np.int32).tobytes())
        self._found.append(pd.Series(found))
        self._count += len(found)

    @property
    def keys(self) -> Keys:
        """The keys of all rows that were taken, written together as the messages write them.

        Raises:
            ScriptError: No row has one.
        """
        import numpy as np
        import pandas as pd

        from .forms import column_writer

        found = pd.concat(self._found, ignore_index=True).rename(self._name)
        numbers: dict[str, int] = {}
        own = np.full(len(found) + 1, -1, dtype=np.int32)  # the last is that of rows without a key
        for place, text in enumerate(column_writer(found, self._script)(slice(None))):
            key = key_text(text)
            if key is not None:
                own[place] = numbers.setdefault(key, len(numbers))
        if not numbers:
            raise ScriptError(self._script, f"{self._name!r} (by=) is empty in every row")
        return Keys(self._name, list(numbers), own[np.frombuffer(self._codes, dtype=np.int32)])


def key_text(text: bytes) -> str | None:
    """Return a key as it is asked for: a text as it is, a whole number without a point, else as JSON writes it.

    None: it is not there, as a number that is not finite.
    """
    import orjson

    value = orjson.loads(text)
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    return value if value is None or isinstance(value, str) else text.decode()
