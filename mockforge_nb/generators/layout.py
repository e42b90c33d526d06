"""What of a table is sent, and which columns say when and to whom: found in the table, or in the first part of it."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, Any

from mockforge_nb.errors import OptionError, ScriptError, nearest

from .cutting import Cutting, Material, Recipe, Said, Template, forms_of
from .forms import Writer, column_writer
from .instants import Epochs, digits_of, moved_epochs, shifted
from .messages import shaped
from .sources import Messages, Rows, Table
from .times import UNITS, as_instants, epoch_unit, span_ns

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt
    import pandas as pd

    Order = npt.NDArray[np.integer[Any]]


OF_LEVELS = ("time", "by")
"""The options that may name a level of the index."""


class Layout:
    """What of a table is sent, and how.

    Args:
        frame: The table, or its first rows.
        time, unit, columns, template: As `program_from_frame` has them.
        cutting: To whom it is sent.
        script: What errors call the script.

    Attributes:
        reference: How a user reaches the column of the times in Python.

    Raises:
        OptionError, ScriptError: As `program_from_frame`.
    """

    def __init__(
        self,
        frame: pd.DataFrame,
        *,
        time: str | None,
        unit: str | None = None,
        columns: Sequence[str] | None,
        template: Template | None,
        cutting: Cutting,
        script: str,
    ) -> None:
        table = _Columns(frame, script)
        self._template, self._script, self._cutting, self._unit = template, script, cutting, unit
        self._due = table.find("time", time) if time is not None else None
        self._key = table.find("by", cutting.by) if cutting.by is not None else None
        self._levels = table.levels
        self._chosen = table.chosen(columns)
        self._names = [table.names[number] for number in self._chosen]
        self._digits: dict[int, int] = {}
        self.reference = table.reference(self._due) if self._due is not None else ""

    @property
    def _function(self) -> Callable[[Any], Any] | None:
        """The function that makes messages of rows as they are, whoever they go to."""
        called = callable(self._template) and self._cutting.batch is None and self._cutting.rebase is None
        return self._template if called else None  # type: ignore[return-value]  # a mapping is not callable

    @property
    def shaped(self) -> bool:
        """Whether `rows` are what a function made."""
        return self._function is not None

    @property
    def _late(self) -> bool:
        """Whether functions are called when a message is due."""
        return self._function is None and any(map(callable, forms_of(self._template)))

    def _columns(self, frame: pd.DataFrame) -> _Columns:
        return _Columns(frame, self._script, self._levels)

    def times(self, frame: pd.DataFrame) -> pd.Series[Any]:
        """Return the column of the times."""
        assert self._due is not None
        return self._columns(frame).column(self._due)

    def keys(self, frame: pd.DataFrame) -> pd.Series[Any]:
        """Return the column of the keys."""
        assert self._key is not None
        return self._columns(frame).column(self._key)

    def instants(self, frame: pd.DataFrame) -> tuple[int, int] | None:
        """Return the earliest and the latest (UTC ns) of the times, or else of the first column of instants."""
        table = self._columns(frame)
        if self._due is not None:
            found = span_ns(table.column(self._due), self._unit, self._script, self.reference)
            if found is not None:
                return found
        for number in self._chosen:
            column = as_instants(table.column(number), text=False)
            if column.dtype.kind == "M" and column.notna().any():
                return span_ns(column.dropna(), None, self._script, "")
        return None

    def span_ms(self, ends: tuple[int, int] | None, count: int) -> float:
        """Return how far the instants go in a round, with a mean gap at its end, where no row is due by them."""
        if ends is None or self._due is not None:
            return 0.0
        span = (ends[1] - ends[0]) / 1e6
        return span + span / (count - 1) if count > 1 else 0.0

    def measure(self, frame: pd.DataFrame) -> None:
        """Take note of how many digits the instants of a part need, so that all parts have as many."""
        table = self._columns(frame)
        for number in self._chosen:
            column = table.column(number)
            if column.dtype.kind == "M" and not self.shaped:
                self._digits[number] = max(self._digits.get(number, 0), digits_of(column))

    def _sent(self, frame: pd.DataFrame) -> dict[str, pd.Series[Any]]:
        """Return the columns that are sent; those whose times move as what can be moved."""
        table = self._columns(frame)
        sent = {table.names[number]: table.column(number) for number in self._chosen}
        if self._cutting.rebase is not None:
            due = None if self._due is None else table.names[self._due]
            sent = {name: as_instants(column, text=name == due) for name, column in sent.items()}
        return sent

    def _per_ms(self, frame: pd.DataFrame) -> tuple[str, float] | None:
        """Return the column of epochs that moves, and how many of its units a ms has; None: there is none."""
        if self._cutting.rebase is None or self._due is None:
            return None
        table = self._columns(frame)
        unit = epoch_unit(table.column(self._due), self._unit)
        return None if unit is None else (table.names[self._due], UNITS[unit][1] / UNITS[unit][0])

    def rows(self, frame: pd.DataFrame, order: Order | None = None) -> Rows | Messages:
        """Return the rows of a table, or of a part of it, as messages."""
        columns = self._sent(frame)
        if self._function is not None:
            return shaped(_python_rows(columns, order), self._function, self._script)
        writers: dict[str, Writer] = {}
        epochs = self._per_ms(frame)
        for number, (name, column) in zip(self._chosen, columns.items(), strict=True):
            writer = column_writer(column, self._script, self._digits.get(number, 0))
            if epochs is not None and name == epochs[0]:
                writer = Epochs(writer, column.to_numpy(), epochs[1])
            writers[name] = writer
        return Rows(frame, writers, order)

    def dicts(self, frame: pd.DataFrame, rows: Order, shift_ns: int) -> list[tuple[Any, dict[str, Any]]]:
        """Return some rows as Python's own values, each with its label, their times moved by so many ns."""
        import pandas as pd

        part = frame.iloc[rows]
        columns = self._sent(part)
        if shift_ns:
            epochs = self._per_ms(part)
            for name, column in columns.items():
                if column.dtype.kind == "M":
                    moved = shifted(pd.DatetimeIndex(column), shift_ns)
                    columns[name] = pd.Series(moved, index=column.index, name=name)
                elif epochs is not None and name == epochs[0]:
                    columns[name] = pd.Series(
                        moved_epochs(column.to_numpy(), epochs[1], shift_ns // 1_000_000), column.index, name=name
                    )
        return list(_python_rows(columns, None))

    def material(
        self,
        rows: Table,
        moved: Callable[[int], Table] | None,
        dicts: Callable[[Order, int], list[tuple[Any, dict[str, Any]]]],
        ends: tuple[int, int] | None,
    ) -> Material:
        """Return the rows as messages are made of them; `ends` are those of `instants`."""
        moved = moved if self._cutting.rebase is not None else None
        first, span = None if ends is None else ends[0], self.span_ms(ends, len(rows))
        return Material(rows=rows, moved=moved, dicts=dicts if self._late else None, first_ns=first, span_ms=span)

    def recipe(self, material: Material, names: Collection[str]) -> Recipe:
        """Return what makes messages of them.

        Raises:
            TemplateError: A template cannot be parsed.
        """
        return recipe_of(material, self._template if not self.shaped else None, self._names, self._cutting, names,
                         self._script)  # fmt: skip


def recipe_of(
    material: Material,
    template: Template | None,
    columns: list[str],
    cutting: Cutting,
    names: Collection[str],
    script: str,
) -> Recipe:
    """Return what makes messages of rows; arguments as `program_from_frame` has them.

    Raises:
        TemplateError: A template cannot be parsed.
    """
    known = columns if cutting.batch is None else None  # a list has no columns
    update, *more = [Said.of(form, names, known) for form in forms_of(template)]
    return Recipe(material=material, script=script, update=update, snapshot=more[0] if more else update)


def valid_names(names: Iterable[str], wrong: object) -> Sequence[str] | str:
    """Return the right names, for an error; of many only how many there are, and the nearest."""
    valid = list(names)
    if len(valid) <= 40:
        return valid
    return f"{len(valid)} others are valid{nearest(wrong, valid)}"


def check_columns(columns: Sequence[str]) -> None:
    """Raise OptionError unless `columns` is a list of different names."""
    if isinstance(columns, str):
        raise OptionError("columns", columns, "is one text", f"valid: a list, such as [{columns!r}]")
    if not isinstance(columns, Collection):
        raise OptionError("columns", columns, "is no list of names")
    if not len(columns):
        raise OptionError("columns", columns, "chooses nothing", "valid: at least one name; all without columns=")
    seen: set[str] = set()
    for each in map(_text, columns):
        if each in seen:
            raise OptionError("columns", columns, f"names {each!r} twice")
        seen.add(each)


class _Columns:
    """A table's columns under the names that its messages use; levels of the index may be among them."""

    def __init__(self, frame: pd.DataFrame, script: str, levels: Sequence[str] = ()) -> None:
        self.frame, self.script = frame, script
        self._columns = [_text(label) for label in frame.columns]
        self.levels: list[str] = []
        self.names = self._columns
        self._found: dict[str, list[int]] = {}
        for number, each in enumerate(self._columns):
            self._found.setdefault(each, []).append(number)
        for level in levels:
            self._level(level)

    def _level(self, level: str) -> int:
        """Return the number of a level of the index, which is less than 0: its name is that far from the end."""
        if level not in self.levels:
            self.levels.append(level)
            self.names = [*self._columns, *map(_text, reversed(self.levels))]
        return -1 - self.levels.index(level)

    def find(self, option: str, wanted: Any) -> int:
        """Return the number of the column `wanted`; that of a level of the index is less than 0."""
        found = self._found.get(_text(wanted), [])
        if len(found) > 1:
            labels = ", ".join(repr(self.frame.columns[i]) for i in found)
            raise ScriptError(self.script, f"{option}={wanted!r} is {len(found)} columns: {labels}; rename all but one")
        if found:
            return found[0]
        levels = [each for each in self.frame.index.names if each is not None]
        if option in OF_LEVELS and wanted in levels:
            return self._level(wanted)
        problem = "is no column"
        if option == "time" and not levels and self.frame.index.dtype.kind in "mM":
            problem += f" (the index has times but no name; give it one: df.rename_axis({wanted!r}))"
        valid = [*self._columns, *(map(str, levels) if option in OF_LEVELS else ())]
        raise OptionError(option, wanted, problem, valid_names(valid, wanted))

    def chosen(self, columns: Sequence[str] | None) -> list[int]:
        """Return the numbers of the columns that a message has; levels that say something of it are among them."""
        own = {_text(level): -1 - place for place, level in enumerate(self.levels)}
        if columns is not None:
            check_columns(columns)
            return [own[_text(each)] if _text(each) in own else self.find("columns", each) for each in columns]
        if not len(self.frame.columns):
            raise ScriptError(self.script, "the table has no columns")
        numbers = [*sorted(own.values(), key=self._place), *range(len(self.frame.columns))]
        first: dict[str, int] = {}
        for number in numbers:
            other = first.setdefault(self.names[number], number)
            if other != number:
                labels = f"{self._label(other)!r} and {self._label(number)!r}"
                raise ScriptError(
                    self.script, f"two columns are called {self.names[number]!r} in a message: {labels}; rename one"
                )
        return numbers

    def _label(self, number: int) -> object:
        return self.levels[-1 - number] if number < 0 else self.frame.columns[number]

    def _place(self, number: int) -> int:
        return list(self.frame.index.names).index(self._label(number))

    def column(self, number: int) -> pd.Series[Any]:
        """Return a column, named as in the messages."""
        import pandas as pd

        if number >= 0:
            return self.frame.iloc[:, number].rename(self.names[number])
        values = self.frame.index.get_level_values(self.levels[-1 - number])
        return pd.Series(values, index=self.frame.index, name=self.names[number])

    def reference(self, number: int) -> str:
        """Return how a user reaches a column."""
        if number < 0:
            return f"df.index.get_level_values({self.levels[-1 - number]!r})"
        return f"df[{self.frame.columns[number]!r}]"


def _text(label: object) -> str:
    # The parts of a MultiIndex; df.columns of a groupby().agg() has empty ones beside the keys.
    return ".".join(str(part) for part in label if part != "") if isinstance(label, tuple) else str(label)


def _python_rows(columns: dict[str, pd.Series[Any]], order: Order | None) -> Iterator[tuple[Any, dict[str, Any]]]:
    """Yield each row's label and its values as Python's own, gaps as None; not all of a table at once."""
    import numpy as np
    import pandas as pd

    sparse = pd.SparseDtype
    dense = [pd.Series(np.asarray(c), c.index) if isinstance(c.dtype, sparse) else c for c in columns.values()]
    index = dense[0].index
    for first in range(0, len(index), 1024):
        rows = slice(first, first + 1024) if order is None else order[first : first + 1024]
        lists = []
        for column in dense:
            part = column.iloc[rows]
            values, gaps = part.astype(object).tolist(), part.isna().to_numpy(dtype=bool)
            lists.append([None if gap else value for value, gap in zip(values, gaps, strict=True)])
        for label, *values in zip(index[rows], *lists, strict=True):
            yield label, dict(zip(columns, values, strict=True))
