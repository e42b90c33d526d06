"""Times inside of messages, moved without a change of their form."""

from __future__ import annotations

import re
from datetime import datetime, timedelta
from typing import Any, Final

_UNITS: Final = ((1e11, 1_000_000_000), (1e14, 1_000_000), (1e17, 1000), (1e20, 1))
"""Below which size a number is an epoch in s, ms, µs or ns, and how many ns its unit has."""

LEAST: Final = 1e8
"""What is less is no epoch: 1973 in seconds."""

_ISO: Final = re.compile(
    r"(?P<day>\d{4}-\d\d-\d\d)(?:(?P<mark>[T ])(?P<clock>\d\d:\d\d(?::\d\d)?)"
    r"(?:\.(?P<part>\d{1,9}))?(?P<zone>Z|[+-]\d\d:?\d\d)?)?"
)
_NUMBER: Final = re.compile(r"\d{9,19}(?:\.\d{1,9})?")
_EPOCH: Final = datetime(1970, 1, 1)


def time_of(value: Any) -> int | None:
    """Return the time (UTC ns) that a JSON value stands for; None: it is none.

    Args:
        value: An epoch in s, ms, µs or ns, told apart by its size, as a number or in a text; or a date, or date and
            time as ISO 8601 writes them (without a zone: UTC).
    """
    if isinstance(value, bool):
        return None
    if isinstance(value, (int, float)):
        unit = _unit(value)
        return None if unit is None else round(value * unit) if isinstance(value, float) else value * unit
    if not isinstance(value, str):
        return None
    if _NUMBER.fullmatch(value):
        return time_of(float(value) if "." in value else int(value))
    found = _ISO.fullmatch(value)
    if found is None:
        return None
    try:
        seconds = (_local(found) - _EPOCH) // timedelta(seconds=1) - _zone(found["zone"])
    except ValueError:
        return None
    return seconds * 1_000_000_000 + int((found["part"] or "0").ljust(9, "0"))


def moved(value: Any, shift_ns: int) -> Any:
    """Return a time moved by so many ns, with the unit, the digits and the zone that it had; what is none as it is."""
    before = time_of(value)
    if before is None:
        return value
    time = before + shift_ns
    if isinstance(value, str) and _NUMBER.fullmatch(value):
        whole, point, part = value.partition(".")
        unit = _unit(int(whole)) or 1
        return f"{time // unit}" + (f".{time % unit * 10 ** len(part) // unit:0{len(part)}d}" if point else "")
    if isinstance(value, str):
        return _written(_ISO.fullmatch(value), time)
    unit = _unit(value) or 1
    if isinstance(value, int):
        return time // unit
    digits = len(repr(value).partition(".")[2]) if "e" not in repr(value) else 0
    return round(time / unit, digits)


def _unit(value: float) -> int | None:
    return next((unit for most, unit in _UNITS if LEAST <= value < most), None)


def _local(found: re.Match[str]) -> datetime:
    clock = found["clock"] or "00:00"
    return datetime.fromisoformat(f"{found['day']}T{clock}")


def _zone(text: str | None) -> int:
    """Return how far a zone is ahead of UTC, in seconds."""
    if text is None or text == "Z":
        return 0
    digits = text.replace(":", "")
    return (1 if text[0] == "+" else -1) * (int(digits[1:3]) * 3600 + int(digits[3:5]) * 60)


def _written(found: re.Match[str] | None, time: int) -> str:
    assert found is not None
    seconds, ns = divmod(time, 1_000_000_000)
    try:
        moment = _EPOCH + timedelta(seconds=seconds + _zone(found["zone"]))
    except OverflowError:
        return found[0]
    if found["clock"] is None:
        return moment.date().isoformat()
    clock = moment.strftime("%H:%M:%S")[: len(found["clock"])]
    part = "" if found["part"] is None else "." + f"{ns:09d}"[: len(found["part"])]
    return f"{moment.date().isoformat()}{found['mark']}{clock}{part}{found['zone'] or ''}"
