"""What rows have to keep together: what is missing with its cause, rare texts with what they tell, and an order."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final, TypeAlias

from .marginals import FEW, Column, Grid, Pool
from .numeric import numbers_of

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt
    import pandas as pd

    Array: TypeAlias = npt.NDArray[Any]

BINS: Final = 16
"""Into how many ranges numbers are put to see what is missing in each."""

MOST: Final = 64
"""Up to how many columns are looked at, the first."""

TOLD: Final = 0.3
"""A rare text tells another column if equal ones agree in it by this share of what lies between chance and always."""


class Missing:
    """Which rows lack what: each column's gaps are drawn given the column that tells most about them.

    Args:
        columns: The columns' models by their numbers.
        count: How many rows the source has.
    """

    def __init__(self, columns: Mapping[int, Column], count: int) -> None:
        import numpy as np

        self._count = count
        gaps = {place: each.missing for place, each in columns.items()}
        some = [place for place, missing in gaps.items() if missing.any() and not missing.all()][:MOST]
        self._bins = {place: _bins(each) for place, each in list(columns.items())[:MOST] if some}
        bins = {place: each for place, each in self._bins.items() if each is not None}
        self.causes: dict[int, int] = {}
        free = dict(bins)
        for place in some:
            told = {other: _told(gaps[place], each) for other, each in free.items() if other != place}
            cause = max(told, key=told.__getitem__, default=None)
            # A cause has none itself, so that its own gaps are known before.
            if cause is not None and told[cause] > 0 and place not in self.causes.values():
                self.causes[place] = cause
                free.pop(place, None)
        self._rows = {
            cause: (np.argsort(bins[cause], kind="stable"), np.sort(bins[cause])) for cause in set(self.causes.values())
        }

    def rows(self, cause: int, bins: Array, rng: np.random.Generator) -> Array:
        """Return rows of the source, whose gaps are taken, with these values of the cause (-1: missing)."""
        import numpy as np

        order, ranked = self._rows[cause]
        left, right = np.searchsorted(ranked, bins, "left"), np.searchsorted(ranked, bins, "right")
        # A value that no row of the source has cannot be: all come from there.
        some = left + (rng.random(len(bins)) * (right - left)).astype(np.int64)
        found: Array = order[np.minimum(some, self._count - 1)]
        return found


def binned(column: Pool | Grid, u: Array, missing: Array) -> Array:
    """Return in which range of a column each place is, as `Missing.rows` wants it; -1: missing."""
    import numpy as np

    found = column.coded(u) if isinstance(column, Pool) else np.minimum((u * BINS).astype(np.int64), BINS - 1)
    return np.where(missing, -1, found)


def _bins(column: Column) -> Array | None:
    import numpy as np

    if isinstance(column, Pool):
        return column.codes if column.coarse and len(column.edges) <= 256 else None
    if not isinstance(column, Grid):
        return None
    u = (np.where(column.missing, 0.0, column.ranks) + 0.5) / len(column.steps)
    return binned(column, u, column.missing)


def _told(missing: Array, bins: Array) -> float:
    """Return how much more a column tells about gaps than chance would: of their likelihood ratio; 0: nothing."""
    import numpy as np

    there = bins >= 0
    if not there.any():
        return 0.0
    own, gaps = bins[there], missing[there].astype(np.float64)
    whole = np.bincount(own)
    lacking = np.bincount(own, gaps, len(whole))[whole > 0]
    whole = whole[whole > 0].astype(np.float64)

    def surprise(part: Array, of: Array) -> float:
        share = np.clip(part / of, 1e-12, 1 - 1e-12)
        return float(-(part * np.log(share) + (of - part) * np.log(1 - share)).sum())

    ratio = 2 * (surprise(lacking.sum(keepdims=True), whole.sum(keepdims=True)) - surprise(lacking, whole))
    free = len(whole) - 1
    return float(max(0.0, round(ratio - free - 4 * (2 * free) ** 0.5 - 10, 6)))


def told_by_rare(columns: Mapping[int, Column]) -> bool:
    """Return whether texts that hardly come again tell what else is in their rows, as a name tells the country.

    No rule can be learned of such: each says it in a row or two. It shows in those that do come again.
    """
    import numpy as np

    some = {place: each for place, each in list(columns.items())[:MOST] if isinstance(each, (Pool, Grid))}
    for place, rare in some.items():
        if not isinstance(rare, Pool) or rare.kind != "category" or rare.coarse or len(rare.edges) <= FEW:
            continue
        order = np.argsort(rare.codes, kind="stable")
        same = (np.diff(rare.codes[order]) == 0) & (rare.codes[order][1:] >= 0)
        one, two = order[:-1][same], order[1:][same]
        for other, column in some.items():
            if other != place and len(one) and _agreement(column, one, two) > max(TOLD, 3 * len(one) ** -0.5):
                return True
    return False


def _agreement(column: Pool | Grid, one: Array, two: Array) -> float:
    """Return how much alike a column is in pairs of rows, from 0 (as any two are) to 1."""
    import numpy as np

    if isinstance(column, Grid):
        apart = np.abs(column.ranks[one] - column.ranks[two])
        apart = apart[~np.isnan(apart)]
        return 1 - 3 * float(apart.mean()) / len(column.steps) if len(apart) else 0.0
    chance = float((np.diff(column.edges) ** 2).sum())
    agree = float((column.codes[one] == column.codes[two]).mean())
    return (agree - chance) / (1 - chance) if chance < 0.999 else 0.0


class Order:
    """Numbers that are never above others in their rows, such as low, open and high, or bid and ask.

    A row that was drawn otherwise gets these numbers from the row of the source whose first one is nearest.

    Args:
        source: The source's rows.
        places: The numbers of the columns that are drawn, each by itself.
    """

    def __init__(self, source: pd.DataFrame, places: list[int]) -> None:
        import numpy as np

        self._groups: list[tuple[list[int], list[tuple[int, int, bool]], pd.DataFrame, Array]] = []
        dtypes = source.dtypes
        found = {}
        for place in places[:MOST]:
            numbers = numbers_of(source.iloc[:, place]) if dtypes.iloc[place].kind != "b" else None
            if numbers is not None and not numbers[1].all():
                found[place] = numbers
        pairs: list[tuple[int, int, bool]] = []
        for a, (low, lacks) in found.items():
            for b, (high, lacking) in found.items():
                both = ~lacks & ~lacking
                if a == b or dtypes.iloc[a] != dtypes.iloc[b] or both.sum() < 2 * FEW:
                    continue
                one, two = low[both], high[both]
                if (one <= two).all() and one.max() >= two.min() and (one < two).any():
                    pairs.append((a, b, bool((one < two).all())))
        while pairs:
            group = set(pairs[0][:2])
            while more := {place for pair in pairs if group & {*pair[:2]} for place in pair[:2]} - group:
                group |= more
            own = [pair for pair in pairs if pair[0] in group]
            pairs = [pair for pair in pairs if pair[0] not in group]
            lowest = own[0][0]
            whole = np.logical_and.reduce([~found[place][1] for place in group])
            rows = np.flatnonzero(whole)
            if len(rows):
                rows = rows[np.argsort(found[lowest][0][rows], kind="stable")]
                # The first of these is the one by which the nearest row is found.
                names = [lowest, *sorted(group - {lowest})]
                self._groups.append((names, own, source.iloc[rows], found[lowest][0][rows]))

    def kept(self, part: dict[int, Any]) -> None:
        """Bring the rows of a part into the order."""
        import numpy as np
        import pandas as pd

        for names, pairs, source, ranked in self._groups:
            columns = {place: pd.Series(part[place]).reset_index(drop=True) for place in names}
            numbers = {place: numbers_of(each) for place, each in columns.items()}
            wrong = np.zeros(part[-1], bool)
            for a, b, strict in pairs:
                one, two = numbers[a], numbers[b]
                assert one is not None
                assert two is not None
                above = one[0] >= two[0] if strict else one[0] > two[0]
                wrong |= above & ~one[1] & ~two[1]
            if not wrong.any():
                continue
            first = numbers[names[0]]
            assert first is not None
            rows = np.minimum(np.searchsorted(ranked, first[0][wrong]), len(ranked) - 1)
            for place, column in columns.items():
                given = source.iloc[rows, place].array
                there = column[wrong].notna().to_numpy(dtype=bool)
                column.iloc[np.flatnonzero(wrong)[there]] = given[there]
                part[place] = column.array
