"""Times in tables: the column that says when a row is due, and how an instant is written in JSON."""

from __future__ import annotations

import math
import re
from array import array
from datetime import date, datetime, timedelta
from datetime import time as time_of_day
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from mockforge_nb.errors import OptionError, Problem, ScriptError

from .scratch import Scratch

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt
    import pandas as pd

    Ints = npt.NDArray[np.int64]
    Floats = npt.NDArray[np.float64]
    Mask = npt.NDArray[np.bool_]

# A unit in ms, as (times, divided by): .001 is no exact float, but x / 1000 is as exact as it can be.
UNITS = {
    "W": (604_800_000, 1),
    "D": (86_400_000, 1),
    "h": (3_600_000, 1),
    "m": (60_000, 1),
    "s": (1000, 1),
    "ms": (1, 1),
    "us": (1, 1000),
    "ns": (1, 1_000_000),
}
EPOCHS = ((1e17, "ns"), (1e14, "us"), (1e11, "ms"), (1e8, "s"))
"""From which size on a number is no offset but a time since 1970, and in what: 1e8 s is March 1973."""

_ISO = re.compile(r"\s*\d{4}-?\d\d")
_NUMERIC = re.compile(r"\s*[+-]?[\d.]+\s*")


def offsets(column: pd.Series[Any], unit: str | None, script: str, ref: str) -> Floats:
    """Return when each row is due, in ms from the script's start.

    Datetimes, and numbers so large that they count from 1970, become offsets from the earliest; timedeltas and
    other numbers (seconds, unless `unit` says otherwise) are offsets already.

    Args:
        column: The times, named and indexed as errors shall name them.
        unit: What numbers are in, as in ``pd.to_datetime``; None: seconds, or by size what they can only be.
        script: What errors call the script.
        ref: How the user reaches the column in Python, for the way out.

    Raises:
        OptionError: `unit` for a column that holds no numbers.
        ScriptError: Times that are missing, infinite, negative, or no times.
    """
    import numpy as np

    times = _checked(column, unit, script, ref)
    offset = _offset_ms(times, unit)
    for wrong, what, hint in (
        (~np.isfinite(offset), "is infinite", "give these rows a time, or drop them"),
        (offset < 0, "is negative", f"count from the earliest: {ref} - {ref}.min()"),
    ):
        if wrong.any():
            raise ScriptError(script, f"{column.name!r} {what} in {listed(column.index, wrong)}; {hint}")
    return offset


def _checked(column: pd.Series[Any], unit: str | None, script: str, ref: str) -> npt.NDArray[Any]:
    """Return times without gaps as datetimes (UTC), timedeltas, ints or floats."""
    missing = column.isna().to_numpy(dtype=bool)
    if missing.any():
        hint = "drop these rows or fill their times (dropna, interpolate)"
        raise ScriptError(script, f"{column.name!r} has no time in {listed(column.index, missing)}; {hint}")
    numbers = OptionError("unit", unit, f"is for a column of numbers, and {column.name!r} has {column.dtype} values")
    try:
        times = _settled(column, script, ref)
    except ScriptError as error:
        if unit is None:
            raise
        raise numbers from error
    if unit is not None and times.dtype.kind not in "iuf":
        raise numbers
    return times


def _offset_ms(times: npt.NDArray[Any], unit: str | None) -> Floats:
    """Return times, as `_checked` returns them, as ms from the script's start."""
    import numpy as np

    kind = times.dtype.kind
    if kind == "M":
        return _scaled(_since_first(times.view(np.int64)), np.datetime_data(times.dtype)[0])
    if kind == "m":
        return _scaled(times.view(np.int64), np.datetime_data(times.dtype)[0])
    known, from_first = _meaning(max(abs(float(times.max())), abs(float(times.min()))), unit)
    return _scaled(_since_first(times) if from_first else times, known)


def _settled(column: pd.Series[Any], script: str, ref: str) -> npt.NDArray[Any]:
    """Return times without gaps as a numpy array of datetimes (UTC), timedeltas, ints or floats."""
    import numpy as np
    import pandas as pd

    dtype: Any = column.dtype
    if isinstance(dtype, pd.ArrowDtype):
        column = from_arrow(column)
    elif isinstance(dtype, (pd.CategoricalDtype, pd.SparseDtype)):
        column = pd.Series(np.asarray(column), index=column.index, name=column.name)
    elif isinstance(dtype, pd.PeriodDtype):
        column = column.dt.to_timestamp()
    dtype = column.dtype
    if isinstance(dtype, pd.DatetimeTZDtype):
        column = column.dt.tz_convert("UTC").dt.tz_localize(None)
    if dtype.kind in "iufmM":
        found: npt.NDArray[Any] = np.asarray(column, dtype=getattr(dtype, "numpy_dtype", None))
        return found
    if dtype.kind == "O":
        return _of_objects(column, script, ref)
    raise _refusal(column, np.ones(len(column), dtype=bool), script, "choose another column, or rate=")


def _of_objects(column: pd.Series[Any], script: str, ref: str) -> npt.NDArray[Any]:
    """Return Python objects and texts as an array of datetimes, timedeltas or numbers."""
    import numpy as np
    import pandas as pd

    values = column.tolist()
    if all(isinstance(value, (timedelta, np.timedelta64)) for value in values):
        return np.asarray(pd.to_timedelta(column))
    if all(_is_number(value) for value in values):
        whole = all(isinstance(value, (int, np.integer)) for value in values)
        try:
            return np.array(values, dtype=np.int64 if whole else np.float64)
        except OverflowError:
            return np.array([float(f"{value}") for value in values])  # too large for a float is infinite
    wrong = np.fromiter((not _is_instant(value) for value in values), dtype=bool, count=len(values))
    if not wrong.any():
        # UTC: a text or object without a zone is taken for UTC, as it is written in the messages.
        times = pd.to_datetime(column.astype(object), utc=True, format="ISO8601", errors="coerce")
        wrong = times.isna().to_numpy()
        if not wrong.any():
            return np.asarray(times.dt.tz_localize(None))
    way = f"convert it first: pd.to_datetime({ref}, format=...)"
    first = column[wrong].iloc[0]
    if isinstance(first, str) and _NUMERIC.fullmatch(first):
        way = f"convert it first: pd.to_numeric({ref}), or pd.to_datetime({ref}, format=...) for dates without dashes"
    elif isinstance(first, str) and ":" in first:
        way += f", or pd.to_timedelta({ref}) for durations"
    elif isinstance(first, time_of_day):
        way = f"convert it first: pd.to_timedelta({ref}.astype(str)) counts from midnight"
    raise _refusal(column, wrong, script, way)


def _is_instant(value: object) -> bool:
    # Not any text that pandas would take: "now" is one, and "1999" is as likely a number.
    if isinstance(value, str):
        return _ISO.match(value) is not None and not _NUMERIC.fullmatch(value)
    return isinstance(value, date) or getattr(getattr(value, "dtype", None), "kind", "") == "M"


def _is_number(value: object) -> bool:
    import numpy as np

    return isinstance(value, (int, float, Decimal, np.integer, np.floating)) and not isinstance(value, bool)


def _refusal(column: pd.Series[Any], wrong: Mask, script: str, way: str) -> ScriptError:
    bad = column[wrong]
    problems = [
        Problem(0, f"{column.name!r} is no time in row {label!s}: {value!r:.80}")
        for label, value in zip(bad.index[:3], bad.iloc[:3], strict=True)
    ]
    last = f"{len(bad)} of {len(column)} rows ({column.dtype}) are no time; {way}"
    return ScriptError(script, [*problems, Problem(0, last)])


def _meaning(peak: float, unit: str | None) -> tuple[str, bool]:
    """Return what numbers of which `peak` is the largest are in, and whether they count from 1970."""
    known = unit
    if known is None:
        known = next((name for bound, name in EPOCHS if bound <= peak < math.inf), "s")
    times, divided = UNITS[known]
    return known, 1e8 <= peak * times / divided / 1000 < math.inf if unit else 1e8 <= peak < math.inf


def _since_first(values: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """Return the distances from the least value; ints as uint64, where no two are too far apart."""
    import numpy as np

    if values.dtype.kind == "f":
        return values.astype(np.float64) - float(values.min())
    wide = values.astype(np.uint64 if values.dtype.kind == "u" else np.int64, copy=False)
    distances: npt.NDArray[Any] = (wide - wide.min()).view(np.uint64)
    return distances


def _scaled(values: npt.NDArray[Any], unit: str) -> Floats:
    import numpy as np

    times, divided = UNITS[unit]
    if divided > 1 and values.dtype.kind in "iu":
        # The whole part by itself: a float has not the digits for centuries in ns.
        whole, rest = np.divmod(values, values.dtype.type(divided))
        exact: Floats = whole.astype(np.float64) + rest.astype(np.float64) / divided
        return exact
    with np.errstate(over="ignore"):  # too large becomes infinite, which the caller refuses
        scaled: Floats = values.astype(np.float64) * times / divided
    return scaled


def span_ns(column: pd.Series[Any], unit: str | None, script: str, ref: str) -> tuple[int, int] | None:
    """Return the earliest and the latest of a column's instants (UTC ns); None: it has offsets.

    Arguments and errors are those of `offsets`.
    """
    import numpy as np

    times = _checked(column, unit, script, ref)
    if times.dtype.kind == "M":
        ms, divided = UNITS[np.datetime_data(times.dtype)[0]]
        ticks = times.view("i8")
        # Python's ints: ns of far centuries are beyond 64 bits.
        return int(ticks.min()) * ms * 1_000_000 // divided, int(ticks.max()) * ms * 1_000_000 // divided
    if times.dtype.kind == "m":
        return None
    known, from_first = _meaning(max(abs(float(times.max())), abs(float(times.min()))), unit)
    times_ms, divided = UNITS[known]
    if not from_first:
        return None
    return int(times.min()) * times_ms * 1_000_000 // divided, int(times.max()) * times_ms * 1_000_000 // divided


def epoch_unit(column: pd.Series[Any], unit: str | None) -> str | None:
    """Return what the numbers of a column of times count in from 1970; None: they do not, or are no numbers."""
    if column.dtype.kind not in "iuf" or not len(column):
        return None
    known, from_first = _meaning(float(column.abs().max()), unit)
    return known if from_first else None


def as_instants(column: pd.Series[Any], *, text: bool) -> pd.Series[Any]:
    """Return a column of instants as pandas' own, in UTC if they are Python's, or, with `text`, texts; others as is."""
    import pandas as pd

    if column.dtype.kind != "O" or not len(column):
        return column
    values = column.dropna().tolist()
    if not values or not all(isinstance(each, datetime) or (text and _is_instant(each)) for each in values):
        return column
    return pd.to_datetime(column.astype(object), utc=True, format="ISO8601", errors="coerce")


class Clock:
    """When the rows of a table that comes in parts are due: their times are kept in a temporary file.

    Args:
        unit: What numbers are in; None: seconds, or by size what they can only be.
        script: What errors call the script.
        ref: How the user reaches the column in Python, for the way out.
    """

    def __init__(self, unit: str | None, script: str, ref: str) -> None:
        self._unit, self._script, self._ref = unit, script, ref
        self._scratch = Scratch()
        self._dtype: np.dtype[Any] | None = None
        self._first: Any = None
        self._last: Any = None
        self.count = 0

    def add(self, column: pd.Series[Any]) -> None:
        """Take the next rows' times.

        Raises:
            OptionError, ScriptError: As `offsets`, or they are not in order.
        """
        import numpy as np

        times = _checked(column, self._unit, self._script, self._ref)
        kind = times.dtype.kind
        times = times.astype({"M": "M8[ns]", "m": "m8[ns]", "f": "f8"}.get(kind, "i8"))
        self._dtype = self._dtype or times.dtype
        if times.dtype != self._dtype:
            raise ScriptError(
                self._script, f"{column.name!r} has {self._dtype} and, from row {self.count} on, {times.dtype}"
            )
        if not len(times):
            return
        if kind == "f" and not np.isfinite(times).all():
            where = listed(column.index, ~np.isfinite(times))
            raise ScriptError(
                self._script, f"{column.name!r} is infinite in {where}; give these rows a time, or drop them"
            )
        before = np.concatenate([times[:1] if self._last is None else self._last, times[:-1]])
        if (times < before).any():
            where = listed(column.index, times < before)
            way = "a table of this size is played as it stands: sort it by its times first"
            raise ScriptError(self._script, f"{column.name!r} goes back in {where}; {way}")
        self._first = times[:1] if self._first is None else self._first
        self._last = times[-1:].copy()
        self.count += len(times)
        self._scratch.append(times.tobytes())

    def ms(self, first: int, last: int) -> Floats:
        """Return when rows are due, in ms from the script's start."""
        import numpy as np

        assert self._dtype is not None
        times = np.frombuffer(self._scratch.read(8 * first, 8 * min(last, self.count)), dtype=self._dtype)
        kind = self._dtype.kind
        if kind == "M":
            return _scaled((times - self._first).view(np.int64), "ns")
        if kind == "m":
            return _scaled(times.view(np.int64), "ns")
        known, from_first = _meaning(float(max(abs(self._first[0]), abs(self._last[0]))), self._unit)
        return _scaled(times - self._first if from_first else times, known)

    def check(self, name: str) -> None:
        """Raise ScriptError if the first row is due before the start."""
        if self.count and self.ms(0, 1)[0] < 0:
            raise ScriptError(self._script, f"{name!r} is negative in row 0; count from the earliest")


def in_order(ms: Floats) -> tuple[Floats, npt.NDArray[np.intp] | None]:
    """Return times in order, and the permutation that brought them there, stably; None: they were."""
    import numpy as np

    if (ms[1:] >= ms[:-1]).all():
        return ms, None
    order = np.argsort(ms, kind="stable")
    return ms[order], order


def schedule(count: int, ms: Floats | None, rate: float | None) -> tuple[array[float], float]:
    """Return when each row is due, and how long a round is: in a loop the mean gap goes on over the seam (ms)."""
    if rate is not None:
        return array("d", (i * 1000.0 / rate for i in range(count))), count * 1000.0 / rate
    at = array("d", bytes(8 * count) if ms is None else ms.tobytes())
    return at, at[-1] + at[-1] / (count - 1) if count > 1 else 0.0


def listed(index: pd.Index[Any], chosen: Mask) -> str:
    """Return the chosen rows' labels as text: the first ten, and how many there are."""
    labels = index[chosen]
    text = ", ".join(str(label) for label in labels[:10])
    if len(labels) > 10:
        text += f", … ({len(labels)} rows in all)"
    return f"{'row' if len(labels) == 1 else 'rows'} {text}"


def from_arrow(column: pd.Series[Any]) -> pd.Series[Any]:
    """Return a column that Arrow keeps as what pandas itself would keep it as."""
    import pyarrow as pa

    plain: pd.Series[Any] = pa.array(column).to_pandas().set_axis(column.index)
    plain.name = column.name
    return plain


def check(time: object, unit: object, rate: object) -> None:
    """Raise an OptionError unless `time`, `unit` and `rate` are ones that go together."""
    if unit is not None and time is None:
        raise OptionError("unit", unit, "says what the numbers of time= are in, and there is no time=")
    if unit is not None and (not isinstance(unit, str) or unit not in UNITS):
        raise OptionError("unit", unit, "is no unit of time", tuple(UNITS))
    if rate is None:
        return
    if time is not None:
        raise OptionError("rate", rate, f"and time={time!r} both say when a row is due; give one of them")
    # Beyond these bounds a gap between two rows is no number of ms.
    if not isinstance(rate, (int, float)) or isinstance(rate, bool) or not 1e-290 < rate < 1e290:
        raise OptionError("rate", rate, "is no number of messages a second", "valid: a finite number above 0")
