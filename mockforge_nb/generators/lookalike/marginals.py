"""One column of a table: what its values are, how often each comes, and how to make more of them.

A column is one of four. A `Pool` has values that come again: categories, booleans, few numbers, and whatever can only
be drawn whole. A `Grid` has numbers or instants of which most are different: its quantile function, between whose
steps new values lie. `Texts` are all different and made anew after the pattern of the source's. A `Steps` only ever
grows, or only ever falls: an id, a running number.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final, TypeAlias

from .numeric import digits_of, kept, kind_of, limits_of, numbers_of, restored, rounded
from .patterns import TextPattern

if TYPE_CHECKING:
    import numpy.typing as npt
    import pandas as pd

    Array: TypeAlias = npt.NDArray[Any]

GRID: Final = 16_384
"""Up to how many steps a quantile function has."""

FEW: Final = 8
"""Fewer values than this show no rule: not that all are different, nor that they grow or walk."""

_HASHED: Final = frozenset({"string", "boolean", "integer", "date", "empty"})
"""What a column of objects holds of which equal ones are the same, as `pandas.api.types.infer_dtype` calls it."""


@dataclass(frozen=True, slots=True)
class Pool:
    """Values that come again.

    Attributes:
        kind: What they are, in a word.
        values: Each of them once, in their order, and a missing one last.
        codes: Which of them each row of the source has; -1: it is missing.
        edges: The cumulative shares: value `i` lies between edges `i` and `i + 1`.
        ordered: Whether their order means something.
        coarse: Whether what is like them may be looked for in other columns.
    """

    kind: str
    values: pd.Series[Any]
    codes: Array
    edges: Array
    ordered: bool
    coarse: bool

    @property
    def missing(self) -> Array:
        """Which rows of the source lack a value."""
        return self.codes < 0

    def coded(self, u: Array) -> Array:
        """Return the numbers of the values at cumulative shares from 0 to 1."""
        import numpy as np

        most = max(len(self.edges) - 2, 0)
        found: Array = np.clip(np.searchsorted(self.edges, u, side="right") - 1, 0, most)
        return found

    def taken(self, codes: Array) -> Any:
        """Return the values of these numbers; -1 is a missing one."""
        import numpy as np

        return self.values.array.take(np.where(codes < 0, len(self.values) - 1, codes))

    def middle(self) -> Array:
        """Return the cumulative share in the middle of each value."""
        middle: Array = (self.edges[1:] + self.edges[:-1]) / 2
        return middle

    def told_by(self, other: Pool) -> Array:
        """Return the number of the value that goes with each value of another column; the last: with none."""
        import numpy as np

        told = np.full(len(other.edges), -1)
        told[other.codes] = self.codes
        return told

    def reordered(self, rank: Array) -> Pool:
        """Return the same with the values sorted by `rank`."""
        import numpy as np

        order = np.argsort(rank, kind="stable")
        place = np.empty(len(order) + 1, np.int64)
        place[order] = np.arange(len(order))
        place[-1] = -1
        shares = np.diff(self.edges)[order]
        values = self.values.iloc[[*order.tolist(), len(order)]]
        edges = np.concatenate([[0.0], np.cumsum(shares)])
        return Pool(self.kind, values, place[self.codes], edges, self.ordered, self.coarse)


@dataclass(frozen=True, slots=True)
class Grid:
    """Numbers or instants of which most are different.

    Attributes:
        kind: What they are, in a word.
        dtype: The column's.
        steps: The source's values in order, or some that stand for them: float64 of numbers with a point, int64 or
            uint64 of all others.
        ranks: Where among the steps each row of the source is; NaN: it is missing.
        digits: How many decimal digits the source has; None: all, or it is of whole numbers.
        unit: What whole numbers are a multiple of, counted from the least.
    """

    kind: str
    dtype: Any
    steps: Array
    ranks: Array
    digits: int | None
    unit: int

    @property
    def missing(self) -> Array:
        """Which rows of the source lack a value."""
        import numpy as np

        return np.isnan(self.ranks)

    def at(self, u: Array, missing: Array) -> Any:
        """Return the values at cumulative shares from 0 to 1, and what is missing in between."""
        import numpy as np

        # Each step is the middle of its share, so that the first and the last have theirs.
        place = np.clip(u * len(self.steps) - 0.5, 0, len(self.steps) - 1)
        below = np.minimum(place.astype(np.int64), len(self.steps) - 2)
        part = place - below
        low, high = self.steps[below], self.steps[below + 1]
        if self.steps.dtype.kind == "f":
            return restored(rounded(_between(low, high, part), self.digits), missing, self.dtype)
        # As unsigned, since the difference of two int64 may need 64 bits itself.
        least, wide = self.steps[:1].view(np.uint64), high.view(np.uint64) - low.view(np.uint64)
        inside = np.minimum((wide.astype(np.float64) * part).astype(np.uint64), wide)
        above = low.view(np.uint64) - least + inside
        made: Array = (least + above // np.uint64(self.unit) * np.uint64(self.unit)).view(self.steps.dtype)
        return restored(made, missing, self.dtype)


@dataclass(frozen=True, slots=True)
class Texts:
    """Texts that are all different.

    Attributes:
        pattern: What makes more.
        values: One that is missing, for its type.
        missing: Which rows of the source lack one.
    """

    pattern: TextPattern
    values: pd.Series[Any]
    missing: Array
    kind: str = field(default="text", init=False)

    def made(self, texts: Sequence[str], missing: Array) -> Any:
        """Return texts as a column with gaps."""
        import numpy as np
        import pandas as pd

        found = np.array([*texts], dtype=object)
        if self.values.dtype == object:
            if missing.any():
                found[missing] = self.values.iloc[0]
            return found
        made = pd.Series(found, dtype=self.values.dtype)
        return made.mask(missing) if missing.any() else made


@dataclass(frozen=True, slots=True)
class Steps:
    """Values each of which is above the one before, or each below.

    Attributes:
        kind: What they are, in a word.
        dtype: The column's.
        first: The first of the source.
        by: How much each row of the source is above the one before.
        digits: As a `Grid` has them.
    """

    kind: str
    dtype: Any
    first: Any
    by: Array
    digits: int | None

    @property
    def missing(self) -> Array:
        """Which rows of the source lack a value: none."""
        import numpy as np

        return np.zeros(len(self.by), bool)

    def on(self, last: Any, rows: Array) -> tuple[Array, Any]:
        """Return the values that follow `last` (None: the first of all) by the steps of these rows, and the last.

        Where the type can hold no more, as 8 bits can of 300 ids, they begin again.
        """
        import numpy as np

        by = self.by[rows]
        if last is None:
            last = self.first
            by[:1] = 0
        if by.dtype.kind == "f":
            with np.errstate(over="ignore"):
                made = last + np.cumsum(by)
            made = kept(made, self.dtype)
            return rounded(made, self.digits), made[-1]
        least, most = limits_of(self.dtype)
        if abs(float(last)) + float(np.abs(by.astype(np.float64)).sum()) < min(-float(least), float(most)) - 1:
            made = last + np.cumsum(by)
            return made, made[-1]
        each = []
        for one in by.tolist():
            last = int(last) + one
            last = last if least <= last <= most else int(self.first)
            each.append(last)
        return np.array(each, self.by.dtype), last


Column: TypeAlias = Pool | Grid | Texts | Steps


def learned(column: pd.Series[Any]) -> Column:
    """Return what a column of a table is."""
    import numpy as np
    import pandas as pd

    dtype: Any = column.dtype
    numbers = numbers_of(column)
    if numbers is not None:
        values, missing = numbers
        growing = _steps(column, values, missing)
        if growing is not None:
            return growing
        present = values[~missing]
        codes, distinct = pd.factorize(present, sort=True)
        if len(distinct) >= FEW and len(distinct) * 4 > len(present) and dtype.kind != "b":
            return _grid(column, values, missing)
        whole = np.full(len(values), -1)
        whole[~missing] = codes
        return _pool(column, whole, kind_of(dtype), ordered=True, coarse=True)
    if isinstance(dtype, pd.CategoricalDtype):
        codes = column.cat.codes.to_numpy().astype(np.int64)
        used, inverse = np.unique(codes[codes >= 0], return_inverse=True)
        codes[codes >= 0] = inverse
        return _pool(column, codes, "category", ordered=bool(dtype.ordered), coarse=len(used) * 4 <= len(column))
    texts = isinstance(dtype, pd.StringDtype) or (dtype.kind != "O" and pd.api.types.is_string_dtype(dtype))
    hashed = "string" if texts else ""
    if dtype.kind == "O" and not hashed:
        hashed = pd.api.types.infer_dtype(column, skipna=True)
    missing = column.isna().to_numpy(dtype=bool)
    if hashed not in _HASHED:
        codes = np.full(len(column), -1)
        codes[~missing] = np.arange(int((~missing).sum()))
        return _pool(column, codes, "object" if dtype.kind == "O" else str(dtype), ordered=False, coarse=False)
    codes, distinct = pd.factorize(column.array)
    if hashed == "string" and len(distinct) >= FEW and len(distinct) == int((~missing).sum()):
        gap = column[missing].iloc[:1] if missing.any() else column.iloc[:1]
        return Texts(TextPattern.of_texts(column[~missing].tolist()), gap, missing)
    kind = "boolean" if hashed == "boolean" else "category"
    return _pool(
        column, codes.astype(np.int64), kind, ordered=kind == "boolean", coarse=len(distinct) * 4 <= len(codes)
    )


def _pool(column: pd.Series[Any], codes: Array, kind: str, *, ordered: bool, coarse: bool) -> Pool:
    import numpy as np

    present = codes[codes >= 0]
    _, first = np.unique(codes, return_index=True)
    gaps = np.flatnonzero(codes < 0)[:1]
    places = first[1:] if len(gaps) else first
    counts = np.bincount(present, minlength=len(places)).astype(np.float64)
    edges = np.concatenate([[0.0], np.cumsum(counts / max(len(present), 1))])
    values = column.iloc[np.concatenate([places, gaps if len(gaps) else places[:1]])]
    return Pool(kind, values, codes, edges, ordered, coarse and len(places) > 1)


def _grid(column: pd.Series[Any], values: Array, missing: Array) -> Grid:
    import numpy as np

    present = values[~missing]
    steps = np.sort(present)
    ranks = np.full(len(values), np.nan)
    # The middle of those that are equal.
    left, right = np.searchsorted(steps, present, "left"), np.searchsorted(steps, present, "right")
    ranks[~missing] = (left + right - 1) / 2
    last = len(steps) - 1
    if last >= GRID:
        ranks *= (GRID - 1) / last
        steps = steps[np.linspace(0, last, GRID).round().astype(np.int64)]
    digits, unit = None, 1
    if steps.dtype.kind == "f":
        digits = digits_of(present, column.dtype)
    else:
        unit = int(np.gcd.reduce(present.view(np.uint64) - steps[:1].view(np.uint64))) or 1
    return Grid(kind_of(column.dtype), column.dtype, steps, ranks, digits, unit)


def _steps(column: pd.Series[Any], values: Array, missing: Array) -> Steps | None:
    """Return a column as what only grows, or only falls; None: it does not."""
    import numpy as np

    dtype: Any = column.dtype
    if len(values) < FEW or missing.any() or dtype.kind == "b" or not np.isfinite(values).all():
        return None
    if values.dtype == np.uint64:
        if values.max() > np.iinfo(np.int64).max // 2:
            return None
        values = values.astype(np.int64)
    if not ((values[1:] > values[:-1]).all() or (values[1:] < values[:-1]).all()):
        return None
    if np.abs(values.astype(np.float64)).max() > (1e300 if values.dtype.kind == "f" else 2.0**62):
        return None
    by = np.diff(values, prepend=values[:1])
    by[0] = np.sort(by[1:])[len(by) // 2 - 1]  # one of them, so that it is whole where they are
    digits = digits_of(values, dtype) if values.dtype.kind == "f" else None
    return Steps(kind_of(dtype), dtype, values[0], by, digits)


def _between(low: Array, high: Array, part: Array) -> Array:
    """Return numbers between two; where one is infinite, the nearer one."""
    import numpy as np

    finite = np.isfinite(low) & np.isfinite(high)
    made = np.where(part < 0.5, low, high)
    # Each is made smaller first: the difference of two floats may be too large for one.
    made[finite] = low[finite] * (1 - part[finite]) + high[finite] * part[finite]
    return np.clip(made, low, high)
