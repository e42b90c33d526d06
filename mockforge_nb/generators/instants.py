"""How instants are written in JSON: RFC 3339, of which isoformat is a part."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt
    import pandas as pd

    Ints = npt.NDArray[np.int64]
    Mask = npt.NDArray[np.bool_]

_NOT_A_TIME = -(2**63)  # the int that NaT is
_UTC = frozenset({"UTC", "Etc/UTC", "UCT", "Etc/UCT", "Zulu", "Etc/Zulu", "tzutc()"})


def fraction_digits(ticks: Ints, unit: str) -> int:
    """Return the least of 0, 3, 6, 9 digits that writes all of a column's instants (NaT is none) exactly."""
    import numpy as np

    digits = {"s": 0, "ms": 3, "us": 6, "ns": 9}[unit]
    known = ticks[ticks != _NOT_A_TIME]
    while digits and not (known % np.int64(1000)).any():
        digits -= 3
        known = known // 1000
    return digits


def digits_of(column: pd.Series[Any]) -> int:
    """Return how many digits of a second a column of instants needs."""
    import pandas as pd

    values = pd.DatetimeIndex(column)
    return fraction_digits(values.asi8, values.unit)


def least_digits(value: datetime) -> int:
    """Return the least of 0, 3, 6, 9 digits that writes one instant exactly."""
    if getattr(value, "nanosecond", 0):
        return 9
    return 0 if not value.microsecond else 6 if value.microsecond % 1000 else 3


def written(value: datetime, digits: int) -> str:
    """Return an instant as RFC 3339 text: without a zone it is UTC, and UTC is ``Z``.

    Raises:
        ValueError: Its year has more than four digits (RFC 3339 §5.6).
    """
    if digits == 9 and not hasattr(value, "nanosecond"):
        import pandas as pd

        value = pd.Timestamp(value)
    if value.year > 9999:
        raise ValueError("RFC 3339 has no year beyond 9999")
    end = ""
    if value.utcoffset() is None or str(value.tzinfo) in _UTC:
        value, end = value.replace(tzinfo=None), "Z"
    spec = {0: "seconds", 3: "milliseconds", 6: "microseconds", 9: "nanoseconds"}[digits]
    return value.isoformat(timespec=spec) + end


_FIRST_MS, _LAST_MS = -62_135_596_800_000, 253_370_764_800_000
"""The years 1 and 9999 begin, in ms since 1970."""


class Instants:
    """A column of instants, which writes some of them as JSON texts.

    Args:
        values: The column.
        digits: How many digits of a second they have.
        shift_ns: How far they are moved: by whole ms.
    """

    def __init__(self, values: pd.DatetimeIndex, digits: int, shift_ns: int = 0) -> None:
        self._values, self._digits, self._shift_ns = values, digits, shift_ns
        self._plain = values.tz is None or str(values.tz) in _UTC

    @classmethod
    def of(cls, values: pd.DatetimeIndex, refuse: Callable[[Mask], None], least: int = 0) -> Instants:
        """Return the column.

        Args:
            values: The column.
            refuse: Called with the rows whose year RFC 3339 cannot write (§5.6: four digits).
            least: How many digits of a second they have at least, of 0, 3, 6 and 9.
        """
        import numpy as np

        if values.unit != "ns":
            # A day is kept free at both ends for what the zone adds.
            naive = np.asarray(values.tz_localize(None) if values.tz is None else values.tz_convert(None))
            far = ~np.isnat(naive) & ((naive < np.datetime64("0000-01-01")) | (naive >= np.datetime64("10000-01-01")))
            if far.any():
                refuse(far)
        return cls(values, max(least, fraction_digits(values.asi8, values.unit)))

    def moved(self, ns: int) -> Instants:
        """Return the column with its instants moved by so many ns, with ms at least."""
        return Instants(self._values, max(3, self._digits), self._shift_ns + ns)

    def __call__(self, rows: Any) -> list[bytes]:
        """Return the JSON texts of some values."""
        part = self._values[rows]
        return _written_all(shifted(part, self._shift_ns) if self._shift_ns else part, self._digits, self._plain)


def shifted(values: pd.DatetimeIndex, ns: int) -> pd.DatetimeIndex:
    """Return instants moved by so many ns, which are whole ms.

    What would leave the years that can be written stays where it is: such instants stand for "never" and "always".
    """
    import numpy as np
    import pandas as pd

    exact = values.as_unit("ms") if values.unit == "s" else values
    per_ms = {"ms": 1, "us": 1000, "ns": 1_000_000}[exact.unit]
    first, last = (limit * per_ms for limit in (_FIRST_MS, _LAST_MS))
    if exact.unit == "ns":
        first, last = -(2**63) + 1, 2**63 - 1
    by = ns // 1_000_000 * per_ms
    ticks = exact.asi8
    if not first <= by <= last:  # further than all there is
        return exact
    stays = (ticks > last - max(by, 0)) | (ticks < first - min(by, 0))
    moved = np.where(stays, ticks, ticks + np.where(stays, 0, by))
    made = pd.DatetimeIndex(moved.view(f"M8[{exact.unit}]"))
    return made if exact.tz is None else made.tz_localize("UTC").tz_convert(exact.tz)


class Epochs:
    """A column of numbers that count from 1970.

    Args:
        writer: Writes the numbers.
        values: The column without gaps.
        per_ms: How many of its units a ms has.
        shift_ms: How far they are moved.
    """

    def __init__(self, writer: Callable[[Any], list[bytes]], values: Any, per_ms: float, shift_ms: int = 0) -> None:
        self._writer, self._values, self._per_ms, self._shift_ms = writer, values, per_ms, shift_ms

    def moved(self, ns: int) -> Epochs:
        """Return the column with its times moved by so many ns."""
        return Epochs(self._writer, self._values, self._per_ms, self._shift_ms + ns // 1_000_000)

    def __call__(self, rows: Any) -> list[bytes]:
        """Return the JSON texts of some values."""
        import numpy as np
        import orjson

        part = self._values[rows]
        if not self._shift_ms or not len(part):
            return self._writer(rows)
        moved = moved_epochs(part, self._per_ms, self._shift_ms)
        return orjson.dumps(np.ascontiguousarray(moved), option=orjson.OPT_SERIALIZE_NUMPY)[1:-1].split(b",")


def moved_epochs(values: Any, per_ms: float, ms: int) -> Any:
    """Return times in a unit of which a ms has `per_ms`, moved by so many ms: whole numbers stay whole."""
    import numpy as np

    if values.dtype.kind in "iu":
        return values.astype(np.int64) + (ms * round(per_ms) if per_ms >= 1 else round(ms * per_ms))
    return values.astype(np.float64) + ms * per_ms


def _written_all(values: pd.DatetimeIndex, digits: int, utc: bool) -> list[bytes]:
    # Each text has the same width, so all of them are one matrix of characters that is filled column by column:
    # three times as quick as numpy's datetime_as_string, ten times as isoformat.
    import numpy as np
    import orjson

    if not len(values):
        return []
    missing = np.asarray(values.isna())
    local = values if values.tz is None else values.tz_localize(None)
    ticks = np.where(missing, 0, local.asi8)
    per_second = 1000 ** ("s", "ms", "us", "ns").index(values.unit)
    seconds, fraction = np.divmod(ticks, per_second)
    try:
        text = orjson.dumps(seconds.view("M8[s]"), option=orjson.OPT_SERIALIZE_NUMPY)
    except TypeError:  # orjson's calendar ends a day before the year 9999 does
        parts = np.datetime_as_string(seconds.view("M8[s]")).tolist()
        text = ('["' + '","'.join(parts) + '"]').encode()
    ends = [b'Z"']
    kinds = np.zeros(len(values), dtype=np.int64)
    if not utc:
        shifts, kinds = np.unique((ticks - np.where(missing, 0, values.asi8)) // per_second, return_inverse=True)
        ends = [_offset(int(shift)) for shift in shifts]
    start = 21 + digits if digits else 20
    out = np.zeros((len(values), start + max(map(len, ends))), dtype=np.uint8)
    out[:, :20] = np.frombuffer(text, dtype=np.uint8, offset=1).reshape(len(values), 22)[:, :20]
    if digits:
        out[:, 20] = ord(".")
        fraction = fraction * 10**digits // per_second
        for place in range(digits):
            out[:, start - 1 - place] = ord("0") + fraction % 10
            fraction = fraction // 10
    for kind, end in enumerate(ends):
        out[kinds == kind, start : start + len(end)] = np.frombuffer(end, dtype=np.uint8)
    texts: list[bytes] = out.view(f"S{out.shape[1]}").ravel().tolist()  # what is shorter ends in NULs, which S drops
    for position in np.flatnonzero(missing):
        texts[position] = b"null"
    return texts


def _offset(seconds: int) -> bytes:
    sign, seconds = ("-", -seconds) if seconds < 0 else ("+", seconds)
    hours, rest = divmod(seconds, 3600)
    minutes, rest = divmod(rest, 60)
    return f'{sign}{hours:02}:{minutes:02}{f":{rest:02}" if rest else ""}"'.encode()
