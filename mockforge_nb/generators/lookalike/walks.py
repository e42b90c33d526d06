"""Rows that follow each other: a path through the ticks of a source, and numbers that walk along it.

The rows of one time are a tick. A sample goes through the source's ticks in blocks: some ticks in a row, then a jump
(the stationary bootstrap of Politis and Romano, 1994); where the time of the day, the week or the year tells something,
it goes to a tick of a like time. A tick gives the gap before it, whose rows it has, and by how much each number that
walks has moved: so bursts, the order of the keys, calm and wild times, and numbers that move together remain, and the
levels are new ones.
"""

from __future__ import annotations

from bisect import bisect_right
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final, TypeAlias

from .marginals import FEW
from .numeric import kept, rounded
from .seasons import Phased

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    Array: TypeAlias = npt.NDArray[Any]

SMOOTH: Final = 0.2
"""A number walks if it moves from one row to the next by less than this share of how widely it spreads."""

PERHAPS: Final = 0.6
"""Up to this share it walks if it is not drawn back to its mean, as the weather is."""

DRAWN_BACK: Final = -3.2
"""Below which t it is: of the regression of its moves on its levels (Dickey and Fuller, 1979), for one series."""

TIED: Final = 0.3
"""A number goes with another if their distance spreads by less than this share of itself."""

WIDER: Final = 0.25
"""By which share of its range a walk may leave it, on either side."""


class Path:
    """A way through the ticks of a source.

    Args:
        bounds: At which row each tick begins, and the number of rows.
    """

    def __init__(self, bounds: Array) -> None:
        self._bounds = bounds
        self._count = len(bounds) - 1
        self._block = max(4.0, 2 * self._count ** (1 / 3))
        self._at = -1

    def ticks(self, rows: int, rng: np.random.Generator, phased: Phased | None = None) -> Array:
        """Return the next ticks, about as many as have so many rows, and at least one.

        Args:
            rows: How many.
            rng: Chance.
            phased: Where the clock stands, if a jump is to go to where it stood like that in the source.
        """
        import numpy as np

        count = max(1, rows * self._count // int(self._bounds[-1]))
        jumps = rng.random(count) < 1 / self._block
        jumps[0] |= self._at < 0
        if phased is None:
            to = rng.integers(self._count, size=count)
            here = np.arange(count)
            last = np.maximum.accumulate(np.where(jumps, here, -1))
            ticks: Array = np.where(last >= 0, to[last] + here - last, self._at + 1 + here) % self._count
        else:
            ticks = np.empty(count, np.int64)
            at, begin = self._at + 1, 0
            ends = [*np.flatnonzero(jumps).tolist(), count]
            while begin < count:
                # Behind the source's last tick its first does not follow.
                if jumps[begin] or at >= self._count:
                    at = phased.jump(rng)
                end = min(ends[bisect_right(ends, begin)], begin + self._count - at)
                ticks[begin:end] = np.arange(at, at + end - begin)
                phased.on(ticks[begin:end])
                at, begin = at + end - begin, end
        self._at = int(ticks[-1])
        return ticks

    def rows(self, ticks: Array) -> tuple[Array, Array]:
        """Return the rows of ticks, and how many each has."""
        import numpy as np

        lengths = self._bounds[ticks + 1] - self._bounds[ticks]
        ends = np.cumsum(lengths)
        return np.repeat(self._bounds[ticks] - ends + lengths, lengths) + np.arange(int(ends[-1])), lengths


class Previous:
    """Which row is before each in its own series.

    Args:
        keys: The key of each row, from 0.
        series: What is one series: the same as the keys, or finer.
        missing: Which rows lack the number.
    """

    def __init__(self, keys: Array, series: Array, missing: Array) -> None:
        import numpy as np

        rows = np.flatnonzero(~missing)
        rows = rows[np.argsort(series[rows], kind="stable")]
        same = series[rows[1:]] == series[rows[:-1]]
        self.row, self.before = rows[1:][same], rows[:-1][same]
        self.present = np.flatnonzero(~missing)
        self.keys = keys

    def by(self, values: Array) -> Array:
        """Return by how much each row is above the one before; one that is the first, by the key's median."""
        import numpy as np

        by = np.zeros(len(values), values.dtype)
        by[self.row] = values[self.row] - values[self.before]
        alone = np.zeros(len(values), bool)
        alone[self.present] = True
        alone[self.row] = False
        firsts = np.flatnonzero(alone)
        order = self.row[np.lexsort((by[self.row], self.keys[self.row]))]
        left = np.searchsorted(self.keys[order], self.keys[firsts], "left")
        right = np.searchsorted(self.keys[order], self.keys[firsts], "right")
        some = right > left
        by[firsts[some]] = by[order[(left + right)[some] // 2]]
        return by

    def first(self, values: Array, count: int) -> Array:
        """Return the first value of each key; 0 where there is none."""
        import numpy as np

        first = np.zeros(count, values.dtype)
        first[self.keys[self.present[::-1]]] = values[self.present[::-1]]
        return first


@dataclass(frozen=True, slots=True)
class Walk:
    """A number that moves from row to row.

    Attributes:
        dtype: The column's.
        missing: Which rows of the source lack it.
        by: By how much each row of the source has moved; of logarithms if `relative`.
        first: Where each key begins.
        low, high: Between what each key stays; None: it grows without end, or falls.
        relative: Whether it moves by shares of itself, and so stays positive.
        digits: How many decimal digits it has; None: all.
        leader: The number of the column with which it goes; `by` is then its distance from that. -1: none.
    """

    dtype: Any
    missing: Array
    by: Array
    first: Array
    low: Array | None
    high: Array | None
    relative: bool
    digits: int | None
    leader: int = -1
    kind: str = field(default="walk", init=False)

    @property
    def counts(self) -> bool:
        """Whether it grows without end, or falls."""
        return self.low is None and self.leader < 0

    def value(self, level: Array) -> Array:
        """Return numbers at levels."""
        import numpy as np

        if level.dtype.kind in "iu":
            return kept(level, self.dtype)
        made = np.exp(np.minimum(level, 700.0)) if self.relative else level
        if self.dtype.kind in "iu":
            return kept(np.round(made), self.dtype)
        made = kept(rounded(made, self.digits), self.dtype)
        if self.relative and self.digits is not None:
            made = np.maximum(made, 10.0**-self.digits)
        return made


class Levels:
    """Where the numbers that walk are, for each key.

    Args:
        walks: The walks, by the numbers of their columns.
    """

    def __init__(self, walks: dict[int, Walk]) -> None:
        import numpy as np

        self._walks = walks
        self._at = {place: walk.first.copy() for place, walk in walks.items() if walk.leader < 0}
        self._seen = np.zeros(max((len(walk.first) for walk in walks.values()), default=0), bool)

    def on(self, rows: Array, keys: Array) -> dict[int, Array]:
        """Move on by these rows of the source, of these keys, and return the numbers."""
        import numpy as np

        if not self._walks:
            return {}
        order = np.argsort(keys, kind="stable")
        grouped = keys[order]
        starts = np.flatnonzero(np.diff(grouped, prepend=-1))
        lengths = np.diff(starts, append=len(order))
        found = grouped[starts]
        fresh = starts[~self._seen[found]]
        self._seen[found] = True
        levels: dict[int, Array] = {}
        for place, walk in self._walks.items():
            if walk.leader >= 0:
                levels[place] = levels[walk.leader] + walk.by[rows]
                continue
            by = walk.by[rows][order]
            by[fresh] = 0
            total = np.cumsum(by)
            moved = total + np.repeat(self._at[place][found] - total[starts] + by[starts], lengths)
            if walk.low is not None and walk.high is not None:
                low, high = walk.low[grouped], walk.high[grouped]
                outside = (moved < low) | (moved > high)
                for key in np.unique(grouped[outside]).tolist() if outside.any() else ():
                    own = grouped == key
                    moved[own] = _reflected(float(self._at[place][key]), by[own], walk.low[key], walk.high[key])
            self._at[place][found] = moved[starts + lengths - 1]
            levels[place] = np.empty_like(moved)
            levels[place][order] = moved
        return {place: self._walks[place].value(level) for place, level in levels.items()}


def counting(values: Array, dtype: Any, missing: Array, keys: Array, series: Array, digits: int | None) -> Walk | None:
    """Return how a number counts, up or down and never back, in each series; None: it does not.

    Args:
        values: Its values, in the order of the rows; float64 or int64.
        dtype: The column's.
        missing: Which rows lack it.
        keys: The key of each row, from 0.
        series: What is one series: the same as the keys, or finer.
        digits: How many decimal digits it has.
    """
    steps = Previous(keys, series, missing)
    if not _told(values, steps):
        return None
    moved = values[steps.row] - values[steps.before]
    if not moved.any() or not ((moved >= 0).all() or (moved <= 0).all()):
        return None
    first = steps.first(values, int(keys.max()) + 1)
    return Walk(dtype, missing, steps.by(values), first, None, None, False, digits)


def walking(values: Array, dtype: Any, missing: Array, keys: Array, series: Array, digits: int | None) -> Walk | None:
    """Return how a number walks; None: it does not. Arguments are those of `counting`."""
    import numpy as np

    steps = Previous(keys, series, missing)
    if not _told(values, steps):
        return None
    present, count = values[~missing], int(keys.max()) + 1
    if float(np.abs(present.astype(np.float64)).max()) > 1e15:
        return None
    relative = bool((present > 0).all())
    real = np.log(np.where(missing, 1, values)) if relative else values.astype(np.float64)
    if not _walks(real, steps, keys, missing, count):
        return None
    low, high = _range(real, keys, missing, count)
    by = steps.by(real)
    # Without its drift, which would hold it at one of its bounds in the end.
    count_of = np.maximum(np.bincount(keys[~missing], minlength=count), 1)
    by[~missing] -= (np.bincount(keys[~missing], by[~missing], count) / count_of)[keys[~missing]]
    if not relative and (present >= 0).all():
        low = np.maximum(low, 0.0)
    return Walk(dtype, missing, by, steps.first(real, count), low, high, relative, digits)


def _told(values: Array, steps: Previous) -> bool:
    """Return whether there are enough values to tell, none so large that differences cannot be had."""
    import numpy as np

    present = values[steps.present]
    if len(steps.row) < FEW or len(np.unique(present)) < FEW:
        return False
    return float(np.abs(present.astype(np.float64)).max()) <= (1e100 if values.dtype.kind == "f" else 2.0**61)


def tied(walk: Walk, values: Array, others: dict[int, tuple[Walk, Array]], keys: Array) -> Walk:
    """Return a walk as one that goes with another, as high and low go with open and close; itself if it does not."""
    import numpy as np

    count = int(keys.max()) + 1
    for place, (other, leading) in others.items():
        missing = walk.missing | other.missing
        if other.relative != walk.relative or (walk.missing & ~other.missing).sum() * 10 > (~missing).sum():
            continue
        if other.missing[~walk.missing].any():
            continue
        one, two = (np.log(np.where(missing, 1, each)) if walk.relative else each for each in (values, leading))
        apart = np.where(missing, 0.0, one - two)
        if _spread(apart, keys, missing, count) < TIED * _spread(np.where(missing, 0.0, one), keys, missing, count):
            return Walk(walk.dtype, walk.missing, apart, walk.first, None, None, walk.relative, walk.digits, place)
    return walk


def _walks(levels: Array, steps: Previous, keys: Array, missing: Array, count: int) -> bool:
    import numpy as np

    around = _spread(levels, keys, missing, count)
    moved = levels[steps.row] - levels[steps.before]
    if not around or moved.std() > PERHAPS * around:
        return False
    if moved.std() <= SMOOTH * around:
        return True
    own = keys[~missing]
    mean = np.bincount(own, levels[~missing], count) / np.maximum(np.bincount(own, minlength=count), 1)
    before = levels[steps.before] - mean[keys[steps.before]]
    slope = float((before * moved).sum() / (before**2).sum())
    error = float(np.sqrt(((moved - slope * before) ** 2).mean() / (before**2).sum()))
    series = len(np.unique(own))
    return bool(slope > DRAWN_BACK * error * series**0.5)


def _spread(values: Array, keys: Array, missing: Array, count: int) -> float:
    """Return how widely numbers spread around the mean of their key."""
    import numpy as np

    there, own = values[~missing], keys[~missing]
    mean = np.bincount(own, there, count) / np.maximum(np.bincount(own, minlength=count), 1)
    return float(np.sqrt(np.mean((there - mean[own]) ** 2)))


def _range(values: Array, keys: Array, missing: Array, count: int) -> tuple[Array, Array]:
    import numpy as np

    low, high = np.full(count, np.inf), np.full(count, -np.inf)
    np.minimum.at(low, keys[~missing], values[~missing])
    np.maximum.at(high, keys[~missing], values[~missing])
    low, high = np.where(np.isfinite(low), low, 0.0), np.where(np.isfinite(high), high, 0.0)
    return low - WIDER * (high - low), high + WIDER * (high - low)


def _reflected(level: float, by: Array, low: float, high: float) -> list[float]:
    """Return the levels of a walk that is turned back at two bounds."""
    low, high = float(low), float(high)
    levels = []
    for one in by.tolist():
        level += one
        if level > high:
            level = max(2 * high - level, low)
        elif level < low:
            level = min(2 * low - level, high)
        levels.append(level)
    return levels
