"""Durations as people write them: ``5``, ``"250ms"``, ``"10s"``, ``timedelta(seconds=3)``."""

from __future__ import annotations

import math
import re
from datetime import UTC, date, datetime, timedelta

from mockforge_nb.errors import OptionError

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
UNITS = {"ms": 0.001, "s": 1.0, "m": 60.0, "min": 60.0, "h": 3600.0, "d": 86400.0}
_DURATION = re.compile(r"\s*(\d+(?:\.\d+)?|\.\d+)\s*([a-z]+)\s*", re.IGNORECASE)
VALID = 'a number, "250ms", "10s", "5m", "2h", "1d" or a timedelta'


def seconds(value: object, where: str, *, bare: float = 1.0) -> float:
    """Return a duration in seconds.

    Args:
        value: A number, a text with a unit, or a timedelta.
        where: The call and argument, for the error.
        bare: What one of a number without a unit is, in seconds (0.001 where numbers are milliseconds).

    Raises:
        OptionError: It is no duration, not finite, or less than nothing.
    """
    result = math.nan
    if isinstance(value, timedelta):
        result = value.total_seconds()
    elif isinstance(value, str):
        found = _DURATION.fullmatch(value)
        if found and found[2].lower() in UNITS:
            result = float(found[1]) * UNITS[found[2].lower()]
    elif not isinstance(value, bool):
        result = number(value) * bare
    if not 0 <= result < math.inf:
        raise OptionError(where, value, "is no duration", f"valid: {VALID}, not negative")
    return result


def number(value: object) -> float:
    """Return `value` as a float, or NaN if it is not a number (a bool and a text are not)."""
    if isinstance(value, (bool, str, bytes)):
        return math.nan
    try:
        return float(value)  # type: ignore[arg-type]  # numpy scalars and the like have __float__
    except (TypeError, ValueError, OverflowError):
        return math.nan


def epoch_ns(value: object, where: str) -> int:
    """Return an instant, a text in ISO 8601 or a datetime, as ns since 1970; without a zone it is UTC.

    Raises:
        OptionError: It is none.
    """
    valid = 'valid: "2024-01-15T10:30:00Z" or a datetime'
    try:
        moment = datetime.fromisoformat(value) if isinstance(value, str) else value
    except ValueError:
        raise OptionError(where, value, "is no time", valid) from None
    if isinstance(moment, date) and not isinstance(moment, datetime):
        moment = datetime(moment.year, moment.month, moment.day, tzinfo=UTC)
    if not isinstance(moment, datetime) or moment != moment:
        raise OptionError(where, value, "is no time", valid)
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=UTC)
    return (moment - EPOCH) // timedelta(microseconds=1) * 1000


def iso_ns(instant: int) -> str:
    """Return an instant (UTC ns since 1970) in ISO 8601, to the second."""
    return (EPOCH + timedelta(seconds=instant // 1_000_000_000)).strftime("%Y-%m-%dT%H:%M:%SZ")


def human(duration: float) -> str:
    """Return a duration in seconds as people say it: ``250 ms``, ``12.5 s``, ``2 days``, ``10.2 years``."""
    scales = ((1, "ms", 0.001), (120, "s", 1), (7200, "min", 60), (172_800, "h", 3600), (63_072_000, "days", 86_400))
    unit, size = next(((unit, size) for below, unit, size in scales if duration < below), ("years", 31_557_600))
    return f"{duration / size:,.3g} {unit}" if duration / size < 1000 else f"{duration / size:,.0f} {unit}"


SIZES = {"b": 1, "kb": 1000, "mb": 1000**2, "gb": 1000**3, "kib": 2**10, "mib": 2**20, "gib": 2**30}


def size(value: object, where: str) -> int:
    """Return a number of bytes: ``64``, ``"10kB"`` (1000 bytes each), ``"1MiB"``.

    Raises:
        OptionError: It is none.
    """
    result = math.nan
    if isinstance(value, str):
        found = _DURATION.fullmatch(value)
        if found and found[2].lower() in SIZES:
            result = float(found[1]) * SIZES[found[2].lower()]
    elif not isinstance(value, bool):
        result = number(value)
    if not 0 <= result < 2**40 or result != int(result):
        raise OptionError(where, value, "is no number of bytes", 'valid: 64, "10kB", "1MiB"')
    return int(result)
