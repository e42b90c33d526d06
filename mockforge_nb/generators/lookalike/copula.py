"""How columns go together: a Gaussian copula.

Each column's values are places in its own distribution, and the places of a row come from correlated normal numbers.
These are made so that the rank correlations of what is drawn are the source's. What comes again (categories, few
numbers) is a range of places, which weakens them, so they are found by trying.
"""

from __future__ import annotations

import functools
from collections.abc import Mapping
from dataclasses import dataclass
from statistics import NormalDist
from typing import TYPE_CHECKING, Any, Final, TypeAlias

from .marginals import Grid, Pool

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    Array: TypeAlias = npt.NDArray[Any]

MOST: Final = 256
"""How many columns are correlated, the first of a table; the others are drawn independently."""

_ROWS: Final = 50_000
"""Of how many rows, at equal distances, the correlations are found."""

_TRIED: Final = 4096
_ROUNDS: Final = 4


@dataclass(frozen=True, slots=True)
class Copula:
    """Correlated places from 0 to 1, a column each.

    Attributes:
        columns: The numbers of the columns.
        factor: What makes independent normal numbers correlated ones (the Cholesky factor).
    """

    columns: tuple[int, ...]
    factor: Array

    @classmethod
    def fitted(cls, columns: Mapping[int, Pool | Grid]) -> Copula:
        """Find how columns of one table are correlated.

        Args:
            columns: Their models by their numbers.
        """
        import numpy as np

        some = dict(list(columns.items())[:MOST])
        if not some:
            return cls((), np.zeros((0, 0)))
        scores = np.column_stack([_scores(column) for column in some.values()])
        wanted = correlations(scores)
        bins = [column if isinstance(column, Pool) else None for column in some.values()]
        # Exact where nothing comes again (Pearson, 1907).
        matrix = _positive(2 * np.sin(np.pi / 6 * wanted))
        if any(bins):
            # Made exactly uncorrelated, so that few rows do as well as many.
            tried = np.random.default_rng(0).standard_normal((max(_TRIED, 4 * len(some)), len(some)))
            tried -= tried.mean(axis=0)
            tried = np.linalg.solve(np.linalg.cholesky(tried.T @ tried / len(tried)), tried.T).T
            for _ in range(_ROUNDS):
                drawn = tried @ np.linalg.cholesky(matrix).T
                got = np.column_stack([_binned(drawn[:, i], each) for i, each in enumerate(bins)])
                matrix = _positive(matrix + wanted - correlations(got))
        # The last digits differ from one machine to another.
        return cls(tuple(some), np.round(np.linalg.cholesky(matrix), 9))

    def places(self, count: int, rng: np.random.Generator) -> dict[int, Array]:
        """Return places for so many rows, by the numbers of the columns."""
        import numpy as np

        normal = np.round(rng.standard_normal((count, len(self.columns))) @ self.factor.T, 9)
        return {number: cdf(normal[:, i]) for i, number in enumerate(self.columns)}


def sorted_by_numbers(columns: Mapping[int, Pool | Grid]) -> dict[int, Pool | Grid]:
    """Return columns whose categories have the order in which a number grows, so that both can be correlated.

    The number is the one that the categories tell most about (by the correlation ratio); where there is none, the
    most frequent category comes first.
    """
    import numpy as np

    some = dict(list(columns.items())[:MOST])
    numbers = [_scores(each) for each in some.values() if isinstance(each, Grid) or each.ordered][:32]
    result = dict(columns)
    for place, column in some.items():
        if not isinstance(column, Pool) or column.ordered:
            continue
        rank, best = -np.diff(column.edges), 0.0
        codes = _thinned(column.codes)
        for scores in numbers:
            both = (codes >= 0) & ~np.isnan(scores)
            count = np.bincount(codes[both], minlength=len(rank))
            mean = np.bincount(codes[both], scores[both], len(rank)) / np.maximum(count, 1)
            whole = scores[both].mean() if both.any() else 0.0
            told = float((count * (mean - whole) ** 2).sum() / max(((scores[both] - whole) ** 2).sum(), 1e-12))
            if told > best:
                rank, best = mean, told
        result[place] = column.reordered(rank)
    return result


def determined(columns: Mapping[int, Pool]) -> dict[int, int]:
    """Return which columns follow from another, as a name from a symbol, and from which.

    Args:
        columns: The columns whose values come again; up to `MOST` are looked at, each against 64 others.
    """
    # One with more values can determine one with fewer; of two that determine each other, the first does.
    order = sorted(list(columns)[:MOST], key=lambda place: (-len(columns[place].edges), place))
    result: dict[int, int] = {}
    free: list[int] = []
    for place in order:
        parent = next((other for other in free[:64] if _follows(columns[place], columns[other])), None)
        if parent is None:
            free.append(place)
        else:
            result[place] = parent
    return result


def _follows(child: Pool, parent: Pool) -> bool:
    import numpy as np

    # Values that hardly come again would determine anything.
    if 2 * len(parent.edges) > len(parent.codes):
        return False
    # A look at a few rows spares most pairs the whole.
    told, some = child.told_by(parent), slice(0, 1000)
    if not np.array_equal(told[parent.codes[some]], child.codes[some]):
        return False
    return np.array_equal(told[parent.codes], child.codes)


def correlations(scores: Array) -> Array:
    """Return the correlation matrix of columns, each pair over the rows where neither is NaN; 0 where there is none."""
    import numpy as np

    there = ~np.isnan(scores)
    flags = there.astype(np.float64)
    count = np.maximum(there.sum(axis=0), 1)
    centred = np.where(there, scores - np.where(there, scores, 0.0).sum(axis=0) / count, 0.0)
    product = centred.T @ centred
    squares = (centred**2).T @ flags
    scale = np.sqrt(squares * squares.T)
    found = np.divide(product, scale, out=np.zeros_like(product), where=scale > 1e-12)
    np.fill_diagonal(found, 1.0)
    clipped: Array = np.clip(found, -1.0, 1.0)
    return clipped


def _positive(matrix: Array) -> Array:
    """Return the nearest matrix that is one of correlations, up to a little."""
    import numpy as np

    values, vectors = np.linalg.eigh((matrix + matrix.T) / 2)
    made = (vectors * np.maximum(values, 1e-6)) @ vectors.T
    scale = np.sqrt(np.diag(made))
    result: Array = made / np.outer(scale, scale)
    return result


def _scores(column: Pool | Grid) -> Array:
    """Return the cumulative shares at a column's rows; NaN: missing."""
    import numpy as np

    if isinstance(column, Grid):
        return (_thinned(column.ranks) + 0.5) / len(column.steps)
    codes = _thinned(column.codes)
    return np.append(column.middle(), np.nan)[codes]


def _thinned(rows: Array) -> Array:
    return rows[:: -(-len(rows) // _ROWS)] if len(rows) else rows


def _binned(normal: Array, column: Pool | None) -> Array:
    u = cdf(normal)
    return u if column is None else column.middle()[column.coded(u)]


@functools.cache
def _normal() -> tuple[Array, Array]:
    """Return points of the normal distribution, and which share of it is below each."""
    import numpy as np

    points = np.linspace(-7, 7, 7001)
    return points, np.array([NormalDist().cdf(point) for point in points.tolist()])


def cdf(points: Array) -> Array:
    """Return the share of a normal distribution that is below each point."""
    import numpy as np

    found: Array = np.interp(points, *_normal())
    return found
