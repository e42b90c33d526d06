"""From a table, or a list of rows, to a script: one message a row, due by a time column or at a rate.

A table's rows become JSON when a session asks for them, a block at a time and column by column: orjson writes a
whole column of numbers, instants or texts in one call, the result is cut into one text a value, and a row is one
``%`` of a form over them. So a million rows cost nothing until they are played, and then about 1 µs each. Only
columns of Python objects are written at once: they alone can hold what has no JSON form, which is an error at the
call, and what the user may change later.
"""

from __future__ import annotations

import inspect
import json
import math
import sys
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from datetime import time as time_of_day
from decimal import Decimal
from enum import Enum
from typing import TYPE_CHECKING, Any, Final, Literal, TypeAlias
from uuid import UUID

import orjson

from mockforge_nb.core.message import BINARY, TEXT
from mockforge_nb.core.program import Payload, Program, Step, StepSource
from mockforge_nb.errors import OptionError, ScriptError, nearest

from .times import check, from_arrow, in_order, least_digits, listed, offsets, schedule, writer, written

if TYPE_CHECKING:
    from typing import TypeGuard

    import numpy as np
    import numpy.typing as npt
    import pandas as pd

    from mockforge_nb.core.template import TextTemplate

    Order = npt.NDArray[np.intp]

Kind: TypeAlias = Literal["text", "json", "binary"]
Shape: TypeAlias = Callable[[dict[str, Any]], Any]
"""A function of a row, as a dict of Python values, that returns a message."""

Writer: TypeAlias = Callable[[Any], list[bytes]]
"""A column: given a slice or an array of positions it returns the JSON texts of these values."""

_CHUNK: Final = 64
"""How many rows are made when one is asked for: the next ones are asked for next."""

_CHUNK_BYTES: Final = 2**20
"""From which size on a chunk is not kept."""


def is_frame(obj: object) -> TypeGuard[pd.DataFrame]:
    """Return whether `obj` is a pandas DataFrame, without importing pandas: if it is not loaded, nothing is one."""
    frame = getattr(sys.modules.get("pandas"), "DataFrame", None)
    return frame is not None and isinstance(obj, frame)


# The JSON forms of values.

_LINES: Final = orjson.OPT_INDENT_2 | orjson.OPT_PASSTHROUGH_DATETIME | orjson.OPT_PASSTHROUGH_DATACLASS
_COMPACT: Final = orjson.OPT_PASSTHROUGH_DATETIME | orjson.OPT_PASSTHROUGH_DATACLASS
_FLAT: Final = frozenset({str, int, float, bool, type(None), Decimal, UUID, date, time_of_day, timedelta})
"""Types whose JSON is always on one line."""


class NoJSONError(TypeError):
    """A value that has no JSON form, and what it is."""


def to_bytes(value: Any) -> bytes:
    r"""Return a value as compact JSON.

    Lone surrogates are written as ``\ud800``, as JSON.stringify of ECMAScript does: valid UTF-8, and nothing lost.

    Raises:
        NoJSONError: It has no JSON form.
    """
    try:
        # Copied: orjson's own results are shrunk from 1 KiB in place, and many that are kept cost malloc 2-9 us each.
        return bytes(memoryview(orjson.dumps(value, default=_form, option=_COMPACT)))
    except TypeError:
        pass  # ints beyond 64 bits, keys that are no texts, lone surrogates: the long way; or no JSON at all
    try:
        text = json.dumps(_plain(value, ()), ensure_ascii=False, separators=(",", ":"), allow_nan=False)
    except RecursionError:
        raise NoJSONError("a value that contains itself, or is nested too deeply") from None
    except ValueError as error:  # an int of more digits than Python converts, a year of more than RFC 3339 has
        raise NoJSONError(f"a value that cannot be written ({error})") from None
    return text.encode("utf-8", "backslashreplace")


def _a(value: object) -> str:
    name = type(value).__name__
    return name if name == "bytes" else f"{'an' if name[0].lower() in 'aeiou' else 'a'} {name}"


def _all_to_bytes(values: list[Any]) -> list[bytes]:
    """Return the JSON of values of `_FLAT` types and their gaps: in one call, cut at the line breaks in between."""
    if not values:
        return []
    try:
        return orjson.dumps(values, default=_form, option=_LINES)[4:-2].split(b",\n  ")
    except TypeError:
        return [to_bytes(value) for value in values]


def _form(value: Any) -> Any:
    """Return a value that orjson does not know as one that it knows; its `default`."""
    if isinstance(value, datetime):
        return written(value, least_digits(value)) if value == value else None  # NaT is no equal of itself
    if isinstance(value, (date, time_of_day)):
        return value.isoformat()
    if isinstance(value, timedelta):
        return value.total_seconds()
    if isinstance(value, Decimal):
        return str(value) if value.is_finite() else None
    if isinstance(value, float):
        return float(value)
    if isinstance(value, tuple):
        return list(value)
    if isinstance(value, UUID):
        return str(value)
    known, found = _form_numpy(value)
    if not known:
        raise NoJSONError(_a(value))
    return found


def _form_numpy(value: Any) -> tuple[bool, Any]:
    """Return whether a value is one of numpy's or pandas', and its form; neither is imported for it."""
    np, pd = sys.modules.get("numpy"), sys.modules.get("pandas")
    if np is not None and isinstance(value, np.ndarray):
        return True, value[()] if not value.ndim else list(value)
    if np is not None and isinstance(value, np.generic):
        if value.dtype.kind in "mM":
            import pandas

            return True, (pandas.Timestamp if value.dtype.kind == "M" else pandas.Timedelta)(value)
        if value.dtype.kind == "b":
            return True, bool(value)
        if value.dtype.kind in "iu":
            return True, int(value)
        if value.dtype.kind == "f":
            return True, float(str(value))  # the shortest text of a float32 is .1, not .10000000149011612
    if pd is not None:
        if value is pd.NA:
            return True, None
        if isinstance(value, (pd.Period, pd.Interval)):
            return True, str(value)
    return False, None


def _plain(value: Any, inside: tuple[Any, ...]) -> Any:
    """Return a value as what the json module writes the same way; `inside`: what it is nested in."""
    if isinstance(value, Enum):
        return _plain(value.value, inside)
    if value is None or isinstance(value, (bool, str)):
        return value
    if isinstance(value, int):
        return int(value)
    if isinstance(value, float):
        return float(value) if math.isfinite(value) else None
    if not isinstance(value, (dict, list, tuple)):
        return _plain(_form(value), inside)
    if any(value is outer for outer in inside):
        raise NoJSONError(f"{_a(value)} that contains itself")
    inside = (*inside, value)
    if not isinstance(value, dict):
        return [_plain(each, inside) for each in value]
    result = {_key(key): _plain(each, inside) for key, each in value.items()}
    if len(result) < len(value):
        raise NoJSONError("a dict with two keys that are written the same")
    return result


def _key(key: Any) -> str:
    plain = None if isinstance(key, (dict, list, tuple)) else (_plain(key, ()),)
    if plain is None or isinstance(plain[0], (dict, list)):
        raise NoJSONError(f"a dict with {_a(key)} as a key")
    return plain[0] if isinstance(plain[0], str) else json.dumps(plain[0])


# The columns.


def _writer(column: pd.Series[Any], script: str) -> Writer:
    """Return what writes a column's values; a column of objects is written at once.

    Raises:
        ScriptError: A value has no JSON form.
    """
    import numpy as np
    import pandas as pd

    dtype: Any = column.dtype
    if isinstance(dtype, pd.CategoricalDtype):
        if dtype.categories.dtype.kind == "O" and not isinstance(dtype.categories.dtype, pd.StringDtype):
            return _writer(column.astype(object), script)
        texts = _writer(pd.Series(dtype.categories), script)(slice(None))
        return _looked_up(np.array([*texts, b"null"], dtype=object), column.cat.codes.to_numpy())
    if isinstance(dtype, pd.SparseDtype):
        return _writer(pd.Series(np.asarray(column), index=column.index, name=column.name), script)
    if isinstance(dtype, pd.ArrowDtype) and dtype.kind not in "biuf":
        return _writer(from_arrow(column), script)
    if dtype.kind in "biuf":
        return _numbers(column)
    if dtype.kind == "M":

        def refuse(far: npt.NDArray[np.bool_]) -> None:
            where, way = listed(column.index, far), f"df[{column.name!r}].astype(str)"
            raise ScriptError(script, f"column {column.name!r}, {where}: RFC 3339 has the years 0-9999; use {way}")

        return writer(pd.DatetimeIndex(column), refuse)
    if dtype.kind == "m":
        return _numbers(column.dt.total_seconds())
    if isinstance(dtype, pd.StringDtype):
        strings = column.array
        return lambda rows: _all_to_bytes(strings[rows].tolist())
    return _looked_up(_objects(column, script), None)


def _numbers(column: pd.Series[Any]) -> Writer:
    import numpy as np

    dtype: Any = column.dtype
    nulls: npt.NDArray[np.bool_] | None = None
    if isinstance(dtype, np.dtype):
        values = column.to_numpy()
        if dtype.itemsize > 8 or not dtype.isnative:  # what orjson does not know
            values = values.astype(np.float64 if dtype.itemsize > 8 else dtype.newbyteorder("="))
    else:
        plain: np.dtype[Any] = dtype.numpy_dtype
        values = column.to_numpy(dtype=plain, na_value={"f": np.nan, "b": False}.get(plain.kind, 0))
        nulls = column.isna().to_numpy(dtype=bool) if plain.kind != "f" and column.hasnans else None

    def texts(rows: Any) -> list[bytes]:
        part = np.ascontiguousarray(values[rows])
        if not len(part):
            return []
        found = orjson.dumps(part, option=orjson.OPT_SERIALIZE_NUMPY)[1:-1].split(b",")
        if nulls is not None:
            for position in np.flatnonzero(nulls[rows]):
                found[position] = b"null"
        return found

    return texts


def _looked_up(texts: npt.NDArray[np.object_], codes: npt.NDArray[Any] | None) -> Writer:
    if codes is None:
        return lambda rows: list(texts[rows])
    return lambda rows: list(texts[codes[rows]])


def _objects(column: pd.Series[Any], script: str) -> npt.NDArray[np.object_]:
    """Write a column of objects; its instants with as many digits as the one that needs most."""
    import numpy as np

    values: list[Any] = column.astype(object).tolist()
    if set(map(type, values)) <= _FLAT:
        result = _all_or_none(values)
        if result is not None:
            return result
    digits = max((least_digits(v) for v in values if isinstance(v, datetime) and v == v), default=0)
    texts = np.empty(len(values), dtype=object)
    wrong = np.zeros(len(values), dtype=bool)
    problem = ""
    for position, value in enumerate(values):
        try:
            instant = isinstance(value, datetime) and value == value
            texts[position] = to_bytes(written(value, digits) if instant else value)
        except (NoJSONError, ValueError) as error:
            if not problem:
                culprit = str(error) if isinstance(error, NoJSONError) else f"{_a(value)} ({error})"
                culprit += "" if culprit.startswith(_a(value)) else f" (in {_a(value)})"
                problem = f"{culprit} has no JSON form; {_way_out(column.name, value)}"
            wrong[position] = True
    if wrong.any():
        raise ScriptError(script, f"column {column.name!r}, {listed(column.index, wrong)}: {problem}")
    return texts


def _all_or_none(values: list[Any]) -> npt.NDArray[np.object_] | None:
    import numpy as np

    try:
        return np.array(_all_to_bytes(values), dtype=object)
    except NoJSONError:
        return None


def _way_out(name: object, value: object) -> str:
    shape = "template=a function of the row"
    if isinstance(value, (bytes, bytearray, memoryview)):
        return f"use {shape} (its bytes are a binary message), or base64: df[{name!r}].map(base64.b64encode)"
    return f"use {shape}, or df[{name!r}].astype(str)"


# The sources of steps.


@dataclass(frozen=True, slots=True)
class Written(Payload):
    """A payload whose bytes are made already; `value` is what they say.

    Attributes:
        data: The bytes.
    """

    data: bytes = b""

    def literal(self) -> bytes:
        """The bytes, the same for one step as in bulk."""
        return self.data


class Rows:
    """A table's rows, each one JSON object, made when they are asked for.

    Args:
        frame: What the columns come from: it is held so that pandas copies when its owner writes to it.
        columns: The names, as they are written, and the columns.
        order: Which row is played first, second, …; None: as they stand.
    """

    opcode: int = TEXT

    def __init__(self, frame: pd.DataFrame, columns: dict[str, Writer], order: Order | None) -> None:
        self._frame = frame
        self._writers = tuple(columns.values())
        keys = (to_bytes(name).replace(b"%", b"%%") + b":%b" for name in columns)
        self._form = b"{" + b",".join(keys) + b"}"
        self._order = order
        self._chunk: tuple[int, list[bytes]] = (-1, [])

    def __len__(self) -> int:
        return len(self._frame)

    def payloads(self, first: int, last: int) -> list[bytes]:
        """Return the payloads of the rows from `first` to before `last`."""
        rows = slice(first, last) if self._order is None else self._order[first:last]
        return list(map(self._form.__mod__, zip(*[texts(rows) for texts in self._writers], strict=True)))

    def payload(self, index: int) -> bytes:
        """Return one row's payload; its neighbours are made with it and kept until another's are."""
        number, at = divmod(index, _CHUNK)
        kept, chunk = self._chunk
        if kept != number:
            chunk = self.payloads(number * _CHUNK, min((number + 1) * _CHUNK, len(self)))
            if sum(map(len, chunk)) <= _CHUNK_BYTES:
                self._chunk = (number, chunk)
        return chunk[at]

    def __getitem__(self, index: int) -> Step:
        data = self.payload(range(len(self))[index])
        return Step(payload=Written("json", json.loads(data), data=data))


class Messages:
    """Messages that were made before: a list's rows, or what a function made of a table's."""

    def __init__(self) -> None:
        self._payloads: list[bytes] = []
        self._kinds: list[Kind] = []
        self.opcode: int | None = None

    def add(self, payload: bytes, kind: Kind) -> None:
        """Append a message."""
        opcode = BINARY if kind == "binary" else TEXT
        # None: they differ, and the program asks each step.
        self.opcode = opcode if self.opcode == opcode or not self._payloads else None
        self._payloads.append(payload)
        self._kinds.append(kind)

    def __len__(self) -> int:
        return len(self._payloads)

    def payloads(self, first: int, last: int) -> list[bytes]:
        """Return the payloads from `first` to before `last`."""
        return self._payloads[first:last]

    def payload(self, index: int) -> bytes:
        """Return one payload."""
        return self._payloads[index]

    def __getitem__(self, index: int) -> Step:
        data, kind = self._payloads[index], self._kinds[index]
        if kind == "json":
            return Step(payload=Written(kind, json.loads(data), data=data))
        return Step(payload=Payload(kind, data.decode() if kind == "text" else data))


class Templated:
    """Rows that a text template is rendered over, for each connection anew.

    Args:
        rows: The rows as JSON objects.
        text: The template's text.
        template: The template; None: the text has no tokens and is sent as it stands.
    """

    waits = False

    def __init__(self, rows: Rows | Messages, text: str, template: TextTemplate | None) -> None:
        self._rows, self._text, self._template = rows, text, template

    def __len__(self) -> int:
        return len(self._rows)

    def __getitem__(self, index: int) -> Step:
        row = json.loads(self._rows.payload(range(len(self))[index]))
        return Step(payload=Payload("text", self._text, template=self._template, row=row))


# From a table, from a list.


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
    table = _Table(frame, name)
    due = table.find("time", time) if time is not None else None
    chosen = table.chosen(columns, due)
    ms = order = None
    if due is not None:
        ms, order = in_order(offsets(table.column(due), unit, name, table.reference(due)))
    at, period = schedule(len(frame), ms, rate)
    if callable(template):
        rows = _python_rows({table.names[i]: table.column(i) for i in chosen}, order)
        return Program(_shaped(rows, template, name), at, period, name)
    plain = Rows(frame, {table.names[i]: _writer(table.column(i), name) for i in chosen}, order)
    return _program(plain, [table.names[i] for i in chosen], template, names, at, period, name)


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
            raise OptionError(option, value, f"is for rows that are dicts, and row {other} is {_a(rows[other])}")
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
    rows: Rows | Messages,
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

    def __init__(self, frame: pd.DataFrame, script: str) -> None:
        self.frame, self.script = frame, script
        self.names = [_text(label) for label in frame.columns]
        self._level: str | None = None
        self._found: dict[str, list[int]] = {}
        for number, each in enumerate(self.names):
            self._found.setdefault(each, []).append(number)

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
            self._level = wanted
            self.names.append(_text(wanted))  # so that number -1 is its name
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
        return self._level if number == -1 else self.frame.columns[number]

    def column(self, number: int) -> pd.Series[Any]:
        """Return a column, named as in the messages."""
        import pandas as pd

        if number != -1:
            return self.frame.iloc[:, number].rename(self.names[number])
        values = self.frame.index.get_level_values(self._level)  # type: ignore[arg-type]  # set with number -1
        return pd.Series(values, index=self.frame.index, name=self.names[-1])

    def reference(self, number: int) -> str:
        """Return how a user reaches a column."""
        if number == -1:
            return f"df.index.get_level_values({self._level!r})"
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
            raise ScriptError(script, f"template returned {_a(made)}{hint} in row {label}; {way}")
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
        raise ScriptError(script, f"{where} is {_a(value)}; {ways}")
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
