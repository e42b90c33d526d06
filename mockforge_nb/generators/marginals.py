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
            made = np.clip(made, np.finfo(np.float64).min, np.finfo(np.float64).max)
            return rounded(made, self.digits), made[-1]
        least, most = _limits(self.dtype)
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
    hashed = "string" if isinstance(dtype, pd.StringDtype) else ""
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


def kind_of(dtype: Any) -> str:
    """Return what a column of numbers, booleans or instants is, in a word."""
    return {"b": "boolean", "M": "time", "m": "duration"}.get(dtype.kind, "number")


def numbers_of(column: pd.Series[Any]) -> tuple[Array, Array] | None:
    """Return a column as float64, int64 or uint64 and which are missing; None: it is not of numbers or instants."""
    import numpy as np
    import pandas as pd

    dtype: Any = column.dtype
    if isinstance(dtype, (pd.CategoricalDtype, pd.SparseDtype)) or dtype.kind not in "biufMm":
        return None
    if isinstance(dtype, pd.ArrowDtype) and dtype.kind in "Mm":
        return None
    missing = column.isna().to_numpy(dtype=bool)
    if dtype.kind in "Mm":
        plain: Array = np.asarray(column.array.asi8)
        return np.where(missing, 0, plain), missing
    wide: Any = {"f": np.float64, "u": np.uint64}.get(dtype.kind, np.int64)
    if not isinstance(dtype, np.dtype):
        return column.to_numpy(dtype=wide, na_value=wide(0)), missing
    found: Array = column.to_numpy().astype(wide)
    return np.where(missing, wide(0), found) if missing.any() else found, missing


def restored(values: Array, missing: Array, dtype: Any) -> Any:
    """Return float64, int64 or uint64 as a column of this type."""
    import numpy as np
    import pandas as pd

    if dtype.kind in "Mm":
        unit = np.datetime_data(dtype)[0] if isinstance(dtype, np.dtype) else dtype.unit
        instants = values.astype(np.int64)
        instants[missing] = np.iinfo(np.int64).min  # what pandas calls NaT
        if isinstance(dtype, pd.DatetimeTZDtype):
            return pd.Series(instants.view(f"M8[{unit}]")).dt.tz_localize("UTC").dt.tz_convert(dtype.tz).array
        return instants.view(f"{dtype.kind}8[{unit}]")
    if isinstance(dtype, np.dtype):
        made = values.astype(dtype)
        if missing.any():
            made[missing] = np.nan
        return made
    column = pd.array(values.astype(dtype.numpy_dtype), dtype=dtype)
    if missing.any():
        column[missing] = pd.NA
    return column


def rounded(values: Array, digits: int | None) -> Array:
    """Return numbers with so many decimal digits."""
    import numpy as np

    return values if digits is None else np.round(values, digits) + 0.0  # no -0.0


def digits_of(values: Array, dtype: Any) -> int | None:
    """Return how many decimal digits numbers have; None: as many as a float can have."""
    import numpy as np

    some = values[np.isfinite(values)]
    some = some[:: max(1, len(some) // 10_000)]
    if not len(some) or np.abs(some).max() >= 1e15:
        return None
    # Of float32 the nearest decimal is meant: 0.1 is 0.10000000149.
    small = dtype.numpy_dtype if hasattr(dtype, "numpy_dtype") else dtype
    for digits in range(13):
        if np.array_equal(np.round(some, digits).astype(small), some.astype(small)):
            return digits
    return None


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


def _limits(dtype: Any) -> tuple[int, int]:
    import numpy as np

    small = getattr(dtype, "numpy_dtype", dtype)
    limits = np.iinfo(small if small.kind in "iu" else np.int64)
    # The least int64 is NaT.
    return int(limits.min) + (small.kind in "mM"), min(int(limits.max), np.iinfo(np.int64).max)


def _between(low: Array, high: Array, part: Array) -> Array:
    """Return numbers between two; where one is infinite, the nearer one."""
    import numpy as np

    finite = np.isfinite(low) & np.isfinite(high)
    made = np.where(part < 0.5, low, high)
    # Each is made smaller first: the difference of two floats may be too large for one.
    made[finite] = low[finite] * (1 - part[finite]) + high[finite] * part[finite]
    return np.clip(made, low, high)
