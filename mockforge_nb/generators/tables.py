"""From a table, or a list of rows, to a script: one message a row, due by a time column or at a rate.

A table's rows become JSON when a session asks for them, a block at a time and column by column: orjson writes a
whole column of numbers, instants or texts in one call, the result is cut into one text a value, and a row is one
``%`` of a form over them. So a million rows cost nothing until they are played, and then about 1 µs each. Only
columns of Python objects are written at once: they alone can hold what has no JSON form, which is an error at the
call, and what the user may change later.
"""

from __future__ import annotations

import inspect
from collections.abc import Collection, Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, Any

from mockforge_nb.core.program import Program, StepSource
from mockforge_nb.errors import OptionError, ScriptError, nearest

from .forms import NoJSONError, article, column_writer, to_bytes
from .sources import Kind, Messages, Rows, RowSource, Shape, Templated
from .times import check, digits_of, in_order, listed, offsets, schedule

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt
    import pandas as pd

    Order = npt.NDArray[np.intp]


def program_from_frame(
    df: pd.DataFrame,
    *,
    time: str | None = None,
    unit: str | None = None,
    rate: float | None = None,
    columns: Sequence[str] | None = None,
    template: str | Shape | None = None,
    names: Collection[str] = (),
    name: str = "<DataFrame>",
) -> Program:
    """Make one message of each row of a table.

    Args:
        df: The table; what its owner does to it later does not show.
        time: The column, or the level of the index, that says when a row is due: datetimes count from the earliest;
            timedeltas and numbers (s) from the start; numbers too large for that are times since 1970.
        unit: What a numeric `time` is in, as in ``pd.to_datetime``.
        rate: Messages a second, without `time`. Without either all are due at once.
        columns: The columns that a message has, in this order; all unless said, `time` among them.
        template: A text with ``{{row.name}}``, or a function of the row as a dict (timestamps as ``pd.Timestamp``,
            gaps as None) that returns text, bytes, a dict or a list; a JSON object unless said.
        names: The user's own template functions and values.
        name: What errors call the script.

    Raises:
        OptionError: An argument that does not fit the table.
        ScriptError: A row that has no JSON form, times that are none, a table without rows.
        TemplateError: The template cannot be parsed.
    """
    check(time, unit, rate)
    _check_template(template)
    if not len(df):
        raise ScriptError(name, "the table has no rows")
    frame = df.copy(deep=False)
    layout = Layout(frame, time=time, columns=columns, template=template, script=name)
    ms = order = None
    if time is not None:
        ms, order = in_order(offsets(layout.times(frame), unit, name, layout.reference))
    at, period = schedule(len(frame), ms, rate)
    return layout.program(layout.rows(frame, order), at, period, names)


class Layout:
    """What of a table is sent, and which column says when: found in the table, or the first part of it.

    Args:
        frame: The table, or its first rows.
        time, columns, template: As `program_from_frame` has them.
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
        columns: Sequence[str] | None,
        template: str | Shape | None,
        script: str,
    ) -> None:
        _check_template(template)
        table = _Table(frame, script)
        self._template, self._script = template, script
        self._due = table.find("time", time) if time is not None else None
        self._level = table.level
        self._chosen = table.chosen(columns, self._due)
        self._names = [table.names[number] for number in self._chosen]
        self._digits: dict[int, int] = {}
        self.reference = table.reference(self._due) if self._due is not None else ""

    @property
    def shaped(self) -> bool:
        """Whether a function makes the messages."""
        return callable(self._template)

    def _table(self, frame: pd.DataFrame) -> _Table:
        return _Table(frame, self._script, self._level)

    def times(self, frame: pd.DataFrame) -> pd.Series[Any]:
        """Return the column of the times."""
        assert self._due is not None
        return self._table(frame).column(self._due)

    def measure(self, frame: pd.DataFrame) -> None:
        """Take note of how many digits the instants of a part need, so that all parts have as many."""
        table = self._table(frame)
        for number in self._chosen:
            column = table.column(number)
            if column.dtype.kind == "M" and not self.shaped:
                self._digits[number] = max(self._digits.get(number, 0), digits_of(column))

    def rows(self, frame: pd.DataFrame, order: Order | None = None) -> Rows | Messages:
        """Return the rows of a table, or of a part of it, as messages."""
        table = self._table(frame)
        columns = {table.names[number]: table.column(number) for number in self._chosen}
        if callable(self._template):
            return _shaped(_python_rows(columns, order), self._template, self._script)
        digits = [self._digits.get(number, 0) for number in self._chosen]
        writers = {
            name: column_writer(column, self._script, least)
            for (name, column), least in zip(columns.items(), digits, strict=True)
        }
        return Rows(frame, writers, order)

    def program(self, rows: RowSource, at: Sequence[float], period: float, names: Collection[str]) -> Program:
        """Return the program of messages that `rows` made."""
        if callable(self._template):
            return Program(rows, at, period, self._script)
        return _program(rows, self._names, self._template, names, at, period, self._script)


def program_from_rows(
    rows: Sequence[Any],
    *,
    time: str | None = None,
    unit: str | None = None,
    rate: float | None = None,
    columns: Sequence[str] | None = None,
    template: str | Shape | None = None,
    names: Collection[str] = (),
    name: str = "<list>",
) -> Program:
    """Make one message of each entry of a list: a dict is a JSON object, a str a text, bytes a binary message.

    Args:
        rows: The entries. A dict is sent with its own keys, in its own order.
        time: The key that says when a dict is due; as `program_from_frame` reads a column.
        unit: What a numeric `time` is in.
        rate: Messages a second, without `time`.
        columns: The keys that are sent, in this order; a dict that lacks one is sent without it.
        template: As for `program_from_frame`; the function gets the dict as it is.
        names: The user's own template functions and values.
        name: What errors call the script.

    Raises:
        OptionError: An argument that does not fit the list.
        ScriptError: An entry that cannot be sent, times that are none, an empty list.
        TemplateError: The template cannot be parsed.
    """
    check(time, unit, rate)
    _check_template(template)
    if not len(rows):
        raise ScriptError(name, "the list has no rows")
    other = next((i for i, row in enumerate(rows) if not isinstance(row, dict)), None)
    for option, value in {"time": time, "columns": columns, "template": template}.items():
        if value is not None and other is not None:
            raise OptionError(option, value, f"is for rows that are dicts, and row {other} is {article(rows[other])}")
    keys = dict.fromkeys(key for row in rows if isinstance(row, dict) for key in row)
    if columns is not None:
        _check_columns(columns)
        for each in columns:
            if each not in list(keys):
                raise OptionError("columns", each, "is no key of any row", _valid(map(str, keys), each))
    ms = None
    played: Sequence[Any] = range(len(rows))
    if time is not None:
        ms, order = in_order(_row_times(rows, time, unit, keys, name))
        played = played if order is None else order.tolist()
    at, period = schedule(len(rows), ms, rate)
    if columns is not None:
        keys = dict.fromkeys(columns)
        rows = [{key: row[key] for key in keys if key in row} for row in rows]
    if callable(template):
        labelled = ((i, dict(rows[i])) for i in played)
        return Program(_shaped(labelled, template, name), at, period, name)
    source = Messages()
    for i in played:
        source.add(*_message(rows[i], f"row {i}", name))
    return _program(source, list(map(str, keys)), template, names, at, period, name)


def _program(
    rows: RowSource,
    columns: list[str],
    template: str | None,
    names: Collection[str],
    at: Sequence[float],
    period: float,
    name: str,
) -> Program:
    source: StepSource = rows
    parsed: TextTemplate | None = None
    if template is not None:
        from mockforge_nb.core.template import TextTemplate

        parsed = TextTemplate.parse(template, names=names, columns=columns)
        parsed = None if parsed.literal else parsed
        source = Templated(rows, template, parsed)
    return Program(source, at, period, name, plain=parsed is None)


def _check_template(template: object) -> None:
    if template is not None and not isinstance(template, str) and not callable(template):
        raise OptionError("template", template, "is neither a text nor a function of a row")
    if inspect.iscoroutinefunction(template):
        raise OptionError("template", template, "is a coroutine function; a template is a plain one")


def _valid(names: Iterable[str], wrong: object) -> Sequence[str] | str:
    valid = list(names)
    if len(valid) <= 40:
        return valid
    return f"{len(valid)} others are valid{nearest(wrong, valid)}"


def _check_columns(columns: Sequence[str]) -> None:
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


class _Table:
    """A table's columns under the names that its messages use; a level of the index may be one of them."""

    def __init__(self, frame: pd.DataFrame, script: str, level: str | None = None) -> None:
        self.frame, self.script = frame, script
        self.names = [_text(label) for label in frame.columns]
        self.level = level
        self._found: dict[str, list[int]] = {}
        for number, each in enumerate(self.names):
            self._found.setdefault(each, []).append(number)
        if level is not None:
            self.names.append(_text(level))  # so that number -1 is its name

    def find(self, option: str, wanted: Any) -> int:
        """Return the number of the column `wanted`, -1 for a level of the index."""
        found = self._found.get(_text(wanted), [])
        if len(found) > 1:
            labels = ", ".join(repr(self.frame.columns[i]) for i in found)
            raise ScriptError(self.script, f"{option}={wanted!r} is {len(found)} columns: {labels}; rename all but one")
        if found:
            return found[0]
        levels = [each for each in self.frame.index.names if each is not None]
        if option == "time" and wanted in levels:
            self.level = wanted
            self.names.append(_text(wanted))
            return -1
        problem = "is no column"
        if option == "time" and not levels and self.frame.index.dtype.kind in "mM":
            problem += f" (the index has times but no name; give it one: df.rename_axis({wanted!r}))"
        valid = [*self.names, *(map(str, levels) if option == "time" else ())]
        raise OptionError(option, wanted, problem, _valid(valid, wanted))

    def chosen(self, columns: Sequence[str] | None, due: int | None) -> list[int]:
        """Return the numbers of the columns that a message has."""
        if columns is not None:
            _check_columns(columns)
            return [
                -1 if due == -1 and _text(each) == self.names[-1] else self.find("columns", each) for each in columns
            ]
        if not len(self.frame.columns):
            raise ScriptError(self.script, "the table has no columns")
        numbers = [-1] * (due == -1) + list(range(len(self.frame.columns)))
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
        return self.level if number == -1 else self.frame.columns[number]

    def column(self, number: int) -> pd.Series[Any]:
        """Return a column, named as in the messages."""
        import pandas as pd

        if number != -1:
            return self.frame.iloc[:, number].rename(self.names[number])
        values = self.frame.index.get_level_values(self.level)  # type: ignore[arg-type]  # set with number -1
        return pd.Series(values, index=self.frame.index, name=self.names[-1])

    def reference(self, number: int) -> str:
        """Return how a user reaches a column."""
        if number == -1:
            return f"df.index.get_level_values({self.level!r})"
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


def _shaped(rows: Iterable[tuple[Any, dict[str, Any]]], template: Shape, script: str) -> Messages:
    """Make a message of each row with the user's function."""
    messages = Messages()
    for label, row in rows:
        try:
            made = template(row)
        except Exception as error:
            raise ScriptError(script, f"template failed in row {label}: {type(error).__name__}: {error}") from error
        if not isinstance(made, (str, bytes, bytearray, memoryview, dict, list)):
            hint = " (does it return at all?)" if made is None else ""
            way = "valid: str, bytes, a dict or a list"
            raise ScriptError(script, f"template returned {article(made)}{hint} in row {label}; {way}")
        messages.add(*_message(made, f"what template returned in row {label}", script, listed=True))
    return messages


def _message(value: Any, where: str, script: str, *, listed: bool = False) -> tuple[bytes, Kind]:
    """Return a value as a message: its payload and kind."""
    if isinstance(value, str):
        try:
            return value.encode(), "text"
        except UnicodeEncodeError as error:
            raise ScriptError(
                script, f"{where} is no text that UTF-8 can carry ({error.reason}); send its bytes"
            ) from None
    if isinstance(value, (bytes, bytearray, memoryview)):
        return bytes(value), "binary"
    if not isinstance(value, dict) and not (listed and isinstance(value, list)):
        ways = "valid: a dict, a text or bytes; json.dumps(row) makes a text of other JSON"
        raise ScriptError(script, f"{where} is {article(value)}; {ways}")
    try:
        return to_bytes(value), "json"
    except NoJSONError as error:
        inner = next((f"{key!r} of " for key, each in _items(value) if not _has_form(each)), "")
        raise ScriptError(
            script, f"{inner}{where} has no JSON form: {error}; make it a text first, or send bytes"
        ) from None


def _items(value: dict[Any, Any] | list[Any]) -> Iterable[tuple[Any, Any]]:
    return value.items() if isinstance(value, dict) else enumerate(value)


def _has_form(value: Any) -> bool:
    try:
        to_bytes(value)
    except NoJSONError:
        return False
    return True


def _row_times(
    rows: Sequence[dict[Any, Any]], time: str, unit: str | None, keys: Collection[Any], script: str
) -> npt.NDArray[np.float64]:
    import pandas as pd

    if time not in list(keys):  # a list takes also what cannot be hashed
        raise OptionError("time", time, "is no key of any row", _valid(map(str, keys), time))
    lacking = pd.Series([time not in row for row in rows])
    if lacking.any():
        where = listed(lacking.index, lacking.to_numpy())
        raise ScriptError(script, f"{time!r} is missing in {where} (counted from 0); every row needs its time")
    times = pd.Series([row[time] for row in rows], dtype=object, name=time).infer_objects()
    return offsets(times, unit, script, f"pd.Series([row[{time!r}] for row in rows])")
