"""A table's times: read in order, gone on with by its own gaps, and what other times keep close to them."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING, Any, Final, TypeAlias

from mockforge_nb.core.moved import moved, time_of
from mockforge_nb.errors import GeneratorError, OptionError
from mockforge_nb.generators.times import as_instants, from_arrow

from .marginals import FEW
from .numeric import digits_of, numbers_of, restored, rounded
from .seasons import seconds_of

if TYPE_CHECKING:
    import numpy.typing as npt
    import pandas as pd

    Array: TypeAlias = npt.NDArray[Any]

CLOSE: Final = 0.1
"""Other times go with the clock if their distance from it spreads by less than this share of the whole time."""

_PER_SECOND: Final = {"s": 1.0, "ms": 1e3, "us": 1e6, "ns": 1e9}


@dataclass(frozen=True, slots=True)
class Beside:
    """Times that are never far from the clock's, such as of the receipt of what was sent.

    Attributes:
        dtype: The column's.
        missing: Which rows of the source lack one.
        by: How far each row's is after the clock's.
    """

    dtype: Any
    missing: Array
    by: Array
    kind: str = field(default="time", init=False)


class Clock:
    """The times of a table's rows; those of one time are a tick.

    Times may be Python's instants and dates, or texts as ISO 8601 has them; what is made has their form.

    Args:
        column: The times.
        where: What errors call the argument that chose them.

    Attributes:
        order: The numbers of the rows that have a time, in the order of their times.
        bounds: At which of these each tick begins, and how many they are.
        seconds: The times of these since 1970, where they are (s); None: they are no instants.

    Raises:
        OptionError: They are no times.
    """

    def __init__(self, column: pd.Series[Any], where: str = "time") -> None:
        import numpy as np

        self._where, self._name = where, column.name
        column, self._form = _plain(column)
        self._dtype: Any = column.dtype
        found = numbers_of(column) if self._dtype.kind != "b" else None
        if found is None:
            way = f"valid: instants, durations or numbers; pd.to_datetime(df[{self._name!r}], utc=True) reads texts"
            raise OptionError(where, self._name, f"has no times but {self._dtype}", way)
        values, missing = found
        there = np.flatnonzero(~missing & np.isfinite(values))
        self.order = there[np.argsort(values[there], kind="stable")]
        if values.dtype.kind == "u":
            if len(there) and values[there].max() > np.iinfo(np.int64).max:
                raise OptionError(where, self._name, "has numbers beyond 2**63")
            values = values.astype(np.int64)
        self._times = values[self.order]
        self._digits = digits_of(self._times, self._dtype) if values.dtype.kind == "f" else None
        ticks = np.flatnonzero(np.append(True, self._times[1:] != self._times[:-1])) if len(there) else there
        self.bounds = np.append(ticks, len(there))
        seconds = seconds_of(column.iloc[self.order])
        self.seconds = seconds
        self._calendar = None if seconds is None else _calendar(column.iloc[self.order[ticks]])
        gaps = np.diff(self._times[ticks])
        usual = np.sort(gaps)[len(gaps) // 2] if len(gaps) else values.dtype.type(0)
        self._gaps = np.append(usual, gaps)
        if self._calendar is not None:
            months = np.diff(self._calendar)
            self._months = np.append(np.sort(months)[len(months) // 2], months)

    @property
    def gaps(self) -> Array:
        """How long after the tick before each tick is (s)."""
        import numpy as np

        return self._gaps.astype(np.float64) / _PER_SECOND[_unit(self._dtype)]

    def local(self, now: Any) -> float:
        """Return a time in seconds since 1970 where it is."""
        import numpy as np
        import pandas as pd

        found = seconds_of(pd.Series(restored(np.array([now]), np.zeros(1, bool), self._dtype)))
        assert found is not None
        return float(found[0])

    def start(self, start: Any = None) -> Any:
        """Return a time as the column's numbers; the first one's unless given.

        Raises:
            OptionError: It is none, or none of this column.
        """
        import numpy as np
        import pandas as pd

        if start is None:
            return self._times[0]
        dtype = self._dtype
        try:
            if dtype.kind == "M":
                instant = pd.Timestamp(start)
                zone = getattr(dtype, "tz", None)
                if zone is not None and instant.tz is None:
                    instant = instant.tz_localize(zone)
                if zone is None and instant.tz is not None:
                    raise OptionError("start", start, "has a time zone, and the column has none")
                if pd.isna(instant):
                    raise OptionError("start", start, "is no time")
                return self._times.dtype.type(instant.as_unit(_unit(dtype)).to_datetime64().view(np.int64))
            if dtype.kind == "m":
                return self._times.dtype.type(pd.Timedelta(start).as_unit(_unit(dtype)).to_timedelta64().view(np.int64))
            return self._times.dtype.type(start)
        except OptionError:
            raise
        except (TypeError, ValueError, OverflowError) as error:
            raise OptionError("start", start, f"is no time of the column {self._name!r}, which has {dtype}") from error

    def on(self, now: Any, ticks: Array, *, first: bool) -> Array:
        """Return the times of ticks after `now`, or from it on if they are the first.

        Raises:
            GeneratorError: The column's type has no such late times.
        """
        import numpy as np

        gaps = self._gaps[ticks]
        if first:
            gaps[0] = 0
        small = getattr(self._dtype, "numpy_dtype", self._dtype)
        most = float(np.iinfo(small if small.kind in "iu" else np.int64).max if small.kind != "f" else 1e300)
        if float(now) + float(gaps.astype(np.float64).sum()) >= most:
            way = "begin earlier with start=" + (
                ", or give it a coarser unit: .dt.as_unit('us')" * (small.kind in "mM")
            )
            raise GeneratorError(f"the times of {self._name!r} go on beyond what {self._dtype} can hold; {way}")
        if self._calendar is not None:
            return self._by_months(now, ticks, first=first)
        return rounded(now + np.cumsum(gaps), self._digits)

    def _by_months(self, now: Any, ticks: Array, *, first: bool) -> Array:
        """Return times as far from the month's first or last day as `now` is."""
        import numpy as np

        instant = f"M8[{_unit(self._dtype)}]"
        month = np.array([now]).view(instant).astype("M8[M]")
        # The nearer end of the month is meant: the 31st is no 31st day.
        month += (month + 1).astype(instant) - np.array([now]).view(instant) <= np.timedelta64(3, "D")
        gaps = self._months[ticks]
        if first:
            gaps[0] = 0
        made = (month + np.cumsum(gaps)).astype(instant) + (np.array([now]).view(instant) - month.astype(instant))
        found: Array = made.view(np.int64)
        return found

    def column(self, times: Array) -> Any:
        """Return times as the column has them."""
        import numpy as np
        import pandas as pd

        made = restored(times, np.zeros(len(times), bool), self._dtype)
        if self._form is None:
            return made
        instants = pd.Series(made)
        if isinstance(self._form, str):
            before = time_of(self._form) or 0
            ns = instants.astype("datetime64[ns, UTC]").astype("int64").tolist()
            return np.array([moved(self._form, each - before) for each in ns], dtype=object)
        if isinstance(self._form, datetime):
            return instants.dt.tz_convert(self._form.tzinfo).dt.to_pydatetime()
        return instants.dt.date.to_numpy(dtype=object)

    def beside(self, values: Array, missing: Array, dtype: Any) -> Beside | None:
        """Return other times as what keeps close to these; None: they do not, or have another unit."""
        import numpy as np

        if self._dtype.kind != "M" or _unit(dtype) != _unit(self._dtype) or missing.all():
            return None
        apart = np.where(missing, 0, values - self._times)
        spread = float(np.std(apart[~missing].astype(np.float64)))
        whole = float(self._times[-1]) - float(self._times[0])
        return Beside(dtype, missing, apart) if spread < CLOSE * whole else None


def _calendar(ticks: pd.Series[Any]) -> Array | None:
    """Return the months of times that are all as far from their month's first day, or from its last; None: none is."""
    import numpy as np

    zone = getattr(ticks.dtype, "tz", None)
    if len(ticks) < FEW or (zone is not None and str(zone) != "UTC"):
        return None
    instants = ticks.dt.tz_localize(None).to_numpy() if zone is not None else ticks.to_numpy()
    months = instants.astype("M8[M]")
    for step in (0, 1):
        apart = instants - (months + step).astype(instants.dtype)
        if (apart == apart[0]).all() and (step == 0 or -apart[0] <= np.timedelta64(3, "D")):
            found: Array = (months + step).view(np.int64)
            return found
    return None


def as_times(column: pd.Series[Any]) -> pd.Series[Any]:
    """Return a column of Python's instants and dates, of Arrow's, or of texts as pandas' own; others as they are."""
    import pandas as pd

    if isinstance(column.dtype, pd.ArrowDtype):
        column = from_arrow(column)
    made = as_instants(column, text=True)
    # What is no time after all leaves a gap.
    return column if made is not column and made.isna().sum() != column.isna().sum() else made


def _plain(column: pd.Series[Any]) -> tuple[pd.Series[Any], Any]:
    """Return a column of times as pandas' own, and one that shows the form of those that are Python's; else None."""
    import pandas as pd

    dtype: Any = column.dtype
    made = as_times(column)
    if made.dtype.kind not in "Mm" or made is column:
        return column, None
    if isinstance(dtype, pd.ArrowDtype) and dtype.kind in "Mm":
        return made, None
    form = max(column.dropna().tolist(), key=lambda value: len(str(value)))
    return (column, None) if isinstance(form, str) and time_of(form) is None else (made, form)


def _unit(dtype: Any) -> Any:
    import numpy as np

    return np.datetime_data(dtype)[0] if isinstance(dtype, np.dtype) else dtype.unit
