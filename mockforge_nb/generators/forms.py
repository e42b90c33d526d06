"""The JSON forms of a table's values, column by column: orjson writes a whole column, which is cut into values."""

from __future__ import annotations

import json
import math
import sys
from collections.abc import Callable
from datetime import date, datetime, timedelta
from datetime import time as time_of_day
from decimal import Decimal
from enum import Enum
from typing import TYPE_CHECKING, Any, Final, Protocol, TypeAlias, runtime_checkable
from uuid import UUID

import orjson

from mockforge_nb.errors import ScriptError

from .instants import Instants, least_digits, written
from .times import from_arrow, listed

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt
    import pandas as pd

    Order = npt.NDArray[np.intp]

Writer: TypeAlias = Callable[[Any], list[bytes]]
"""A column: given a slice or an array of positions it returns the JSON texts of these values."""


@runtime_checkable
class Moving(Protocol):
    """A column of instants."""

    def __call__(self, rows: Any) -> list[bytes]:
        """Return the JSON texts of some values."""
        ...

    def moved(self, ns: int) -> Writer:
        """Return the column with its instants moved by so many ns."""
        ...


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
        return bytes(memoryview(orjson.dumps(value, default=form, option=_COMPACT)))
    except TypeError:
        pass  # ints beyond 64 bits, keys that are no texts, lone surrogates: the long way; or no JSON at all
    try:
        text = json.dumps(_plain(value, ()), ensure_ascii=False, separators=(",", ":"), allow_nan=False)
    except RecursionError:
        raise NoJSONError("a value that contains itself, or is nested too deeply") from None
    except ValueError as error:  # an int of more digits than Python converts, a year of more than RFC 3339 has
        raise NoJSONError(f"a value that cannot be written ({error})") from None
    return text.encode("utf-8", "backslashreplace")


def article(value: object) -> str:
    """Return what `value` is, in words: ``a set``, ``an ndarray``."""
    name = type(value).__name__
    return name if name == "bytes" else f"{'an' if name[0].lower() in 'aeiou' else 'a'} {name}"


def _all_to_bytes(values: list[Any]) -> list[bytes]:
    """Return the JSON of values of `_FLAT` types and their gaps: in one call, cut at the line breaks in between."""
    if not values:
        return []
    try:
        return orjson.dumps(values, default=form, option=_LINES)[4:-2].split(b",\n  ")
    except TypeError:
        return [to_bytes(value) for value in values]


def form(value: Any) -> Any:
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
        raise NoJSONError(article(value))
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
        return _plain(form(value), inside)
    if any(value is outer for outer in inside):
        raise NoJSONError(f"{article(value)} that contains itself")
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
        raise NoJSONError(f"a dict with {article(key)} as a key")
    return plain[0] if isinstance(plain[0], str) else json.dumps(plain[0])


# The columns.


def column_writer(column: pd.Series[Any], script: str, digits: int = 0) -> Writer:
    """Return what writes a column's values; a column of objects is written at once.

    Args:
        column: The values.
        script: What errors call the script.
        digits: How many digits of a second instants have at least.

    Raises:
        ScriptError: A value has no JSON form.
    """
    import numpy as np
    import pandas as pd

    dtype: Any = column.dtype
    if isinstance(dtype, pd.CategoricalDtype):
        if dtype.categories.dtype.kind == "O" and not isinstance(dtype.categories.dtype, pd.StringDtype):
            return column_writer(column.astype(object), script)
        texts = column_writer(pd.Series(dtype.categories), script)(slice(None))
        return _looked_up(np.array([*texts, b"null"], dtype=object), column.cat.codes.to_numpy())
    if isinstance(dtype, pd.SparseDtype):
        return column_writer(pd.Series(np.asarray(column), index=column.index, name=column.name), script)
    if isinstance(dtype, pd.ArrowDtype) and dtype.kind not in "biuf":
        return column_writer(from_arrow(column), script)
    if dtype.kind in "biuf":
        return _numbers(column)
    if dtype.kind == "M":

        def refuse(far: npt.NDArray[np.bool_]) -> None:
            where, way = listed(column.index, far), f"df[{column.name!r}].astype(str)"
            raise ScriptError(script, f"column {column.name!r}, {where}: RFC 3339 has the years 0-9999; use {way}")

        return Instants.of(pd.DatetimeIndex(column), refuse, digits)
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
                culprit = str(error) if isinstance(error, NoJSONError) else f"{article(value)} ({error})"
                culprit += "" if culprit.startswith(article(value)) else f" (in {article(value)})"
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
