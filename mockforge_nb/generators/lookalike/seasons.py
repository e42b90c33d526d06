"""Times that come again: the hour of the day, the day of the week, the time of the year."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, TypeAlias

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt
    import pandas as pd

    Array: TypeAlias = npt.NDArray[Any]

HOUR: Final = 3_600.0
DAY: Final = 86_400.0
YEAR: Final = 365.2425 * DAY

PERIODS: Final = {"day": (DAY, 24), "week": (7 * DAY, 7), "year": (YEAR, 24)}
"""How long each period is (s), and into how many parts it is cut to see what comes again."""

SEEN: Final = 0.2
"""From which share of its spread on, told by the parts of a period, a number has this season."""

STRONG: Final = 0.5
"""From which share on it is the season that makes a number move, so that it does not walk."""

NEAR: Final = {"day": HOUR / 2, "week": DAY / 2, "year": 10 * DAY}
"""How far (s) in its period a tick may be from where the clock stands."""

_TRIED: Final = 2048
"""Of how many ticks at most one is chosen for a jump."""


def seconds_of(column: pd.Series[Any]) -> Array | None:
    """Return instants as seconds since 1970 where they are, NaN where there is none; None: they are no instants."""
    import numpy as np

    if column.dtype.kind != "M" or not hasattr(column, "dt"):
        return None
    local = column.dt.tz_localize(None).dt.as_unit("ms")
    found: Array = np.where(column.isna(), np.nan, local.to_numpy().view(np.int64) / 1000)
    return found


def explained(seconds: Array, values: Array, period: str) -> float:
    """Return which share of a number's spread the parts of a period tell: those of every other one, of the rest.

    A walk, too, has means that differ from part to part, but other ones in each period.

    Args:
        seconds: Since 1970, local.
        values: The number; NaN: missing.
        period: A key of `PERIODS`.
    """
    import numpy as np

    length, parts = PERIODS[period]
    there = np.isfinite(values) & np.isfinite(seconds)
    seconds, values = seconds[there], values[there]
    if len(values) < 2 * parts or np.ptp(seconds) < 2 * length or not np.ptp(values):
        return 0.0
    part = np.minimum(((seconds % length) / length * parts).astype(np.int64), parts - 1)
    half = (seconds // length).astype(np.int64) % 2
    values = values / float(np.abs(values).max())
    values = values - values.mean()
    whole = float((values**2).sum())
    if not whole:  # so little that it is lost
        return 0.0
    left = 0.0
    for one in (0, 1):
        own, other = half == one, half != one
        count = np.bincount(part[other], minlength=parts)
        mean = np.bincount(part[other], values[other], parts) / np.maximum(count, 1)
        left += float(((values[own] - mean[part[own]]) ** 2).sum())
    return max(0.0, round(1 - left / whole, 6))


def seasons(seconds: Array, values: Array) -> dict[str, float]:
    """Return the periods that tell a number, and which share of its spread."""
    found = {period: explained(seconds, values, period) for period in PERIODS}
    return {period: share for period, share in found.items() if share >= SEEN}


@dataclass(frozen=True, slots=True)
class Phases:
    """Where in periods that matter the ticks of a source are.

    Attributes:
        seconds: The ticks' times since 1970, local (s).
        periods: The periods that matter.
    """

    seconds: Array
    periods: tuple[str, ...]

    def near(self, then: Array, ticks: Array) -> Array:
        """Return which of some ticks are where in the periods the clock would stand (s); at least one is."""
        import numpy as np

        apart = np.zeros(len(ticks))
        for period in self.periods:
            length = PERIODS[period][0]
            if period == "week":  # whole days: a Friday is not a Saturday, however near
                gap = (then // DAY - self.seconds[ticks] // DAY) % 7 != 0
                apart = np.maximum(apart, np.where(gap, 100.0, 0.0))
                continue
            gap = (then - self.seconds[ticks]) % length
            apart = np.maximum(apart, np.minimum(gap, length - gap) / NEAR[period])
        found: Array = np.flatnonzero(apart <= max(1.0, float(apart.min())))
        return found

    def jump(self, now: float, gaps: Array, rng: np.random.Generator) -> int:
        """Return a tick that is where in the periods the clock stands after its gap (s)."""
        import numpy as np

        count = len(self.seconds)
        ticks = np.arange(count) if count <= _TRIED else rng.integers(count, size=_TRIED)
        near = self.near(now + gaps[ticks], ticks)
        return int(ticks[near[int(rng.integers(len(near)))]])


class Phased:
    """Where the clock stands on a path.

    Args:
        phases: Where the ticks are.
        gaps: How long after the tick before each tick is (s).
        now: The time (s).
        first: Whether the next tick is the first of all, which is at `now`.
    """

    def __init__(self, phases: Phases, gaps: Array, now: float, *, first: bool) -> None:
        self._phases, self._gaps, self._now, self._first = phases, gaps, now, first

    def jump(self, rng: np.random.Generator) -> int:
        """Return the tick of a jump."""
        return self._phases.jump(self._now, 0.0 * self._gaps if self._first else self._gaps, rng)

    def on(self, ticks: Array) -> None:
        """Go on by ticks."""
        self._now += float(self._gaps[ticks[1:] if self._first else ticks].sum())
        self._first = False


def days_missing(seconds: Array) -> bool:
    """Return whether times of two weeks or more leave out days of the week."""
    import numpy as np

    return len(seconds) >= 10 and float(np.ptp(seconds)) >= 14 * DAY and len(np.unique(seconds // DAY % 7)) < 7
