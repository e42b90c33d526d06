"""The two ways to make rows: independent of each other, or along a path through the source's."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from random import Random
from typing import TYPE_CHECKING, Any, Final, TypeAlias

from .causes import Missing, Order, binned, told_by_rare
from .clock import Beside, Clock
from .copula import Copula, determined, sorted_by_numbers
from .marginals import Column, Grid, Pool, Steps, Texts
from .numeric import digits_of, numbers_of, restored
from .seasons import STRONG, Phased, Phases, days_missing, seasons
from .walks import Levels, Path, Walk, counting, tied, walking

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt
    import pandas as pd

    Array: TypeAlias = npt.NDArray[Any]

Part: TypeAlias = dict[int, Any]
"""Some rows: the values of each column by its number, and the number of rows at -1."""

FIRST_ROWS: Final = 64
MOST_ROWS: Final = 8192
"""How many rows are made at once: first few, since few may be all that is wanted, then more and more."""

FOLLOWED: Final = 16
"""Up to how many walks are looked at for one that another goes with."""


class Independent:
    """Rows that know nothing of each other.

    Where texts that hardly come again tell what else is in their rows, these are the source's, their numbers a little
    beside.

    Args:
        columns: The columns' models by their numbers.
        source: The source's rows.
    """

    def __init__(self, columns: Mapping[int, Column], source: pd.DataFrame) -> None:
        self._count = len(source)
        self._columns: dict[int, Column] = dict(columns)
        self._order = Order(source, [i for i, each in columns.items() if isinstance(each, (Pool, Grid))])
        self._whole = told_by_rare(columns)
        if not self._whole:
            self._relate(columns)

    def _relate(self, columns: Mapping[int, Column]) -> None:
        """Find how the columns go together."""
        pools = {place: each for place, each in columns.items() if isinstance(each, Pool) and len(each.edges) > 2}
        self._parents = determined(pools)
        free = {
            place: each
            for place, each in columns.items()
            if place not in self._parents and (isinstance(each, Grid) or (isinstance(each, Pool) and each.coarse))
        }
        self._columns |= sorted_by_numbers(free)
        self._missing = Missing({i: each for i, each in self._columns.items() if i not in self._parents}, self._count)
        self._copula = Copula.fitted({place: self._columns[place] for place in free})  # type: ignore[misc]  # not Texts
        self._told: dict[int, Array] = {}
        for place, parent in self._parents.items():
            child, other = self._columns[place], self._columns[parent]
            assert isinstance(child, Pool)
            assert isinstance(other, Pool)
            self._told[place] = child.told_by(other)

    def parts(self, rng: np.random.Generator) -> Iterator[Part]:
        """Yield rows without end."""
        running = Running(self._columns, rng)
        for size in _sizes():
            # What is missing together in the source is so here: each row lacks what one of the source does.
            rows = rng.integers(self._count, size=size)
            part: Part = {-1: size}
            if self._whole:
                for place, column in self._columns.items():
                    if isinstance(column, (Pool, Grid)):
                        part[place] = beside(column, rows, rng)
                    else:
                        part[place] = running.on(place, rows)
            else:
                self._draw(part, rows, running, rng)
            self._order.kept(part)
            yield part

    def _draw(self, part: Part, rows: Array, running: Running, rng: np.random.Generator) -> None:
        """Draw rows of which each has gaps as one of the source, or as those with the same cause."""
        import numpy as np

        size = len(rows)
        places = self._copula.places(size, rng)
        codes: dict[int, Array] = {}
        caused: dict[int, Array] = {}
        for cause in dict.fromkeys(self._missing.causes.values()):
            column = self._columns[cause]
            assert isinstance(column, (Pool, Grid))
            if cause not in places:
                places[cause] = rng.random(size)
            caused[cause] = self._missing.rows(cause, binned(column, places[cause], column.missing[rows]), rng)
        for place, column in self._columns.items():
            if place in self._parents:
                continue
            lacking = caused[self._missing.causes[place]] if place in self._missing.causes else rows
            missing = column.missing[lacking]
            if isinstance(column, Pool):
                u = places[place] if place in places else rng.random(size)
                codes[place] = np.where(missing, -1, column.coded(u))
                part[place] = column.taken(codes[place])
            elif isinstance(column, Grid):
                u = places[place] if place in places else rng.random(size)
                part[place] = column.at(u, missing)
            else:
                part[place] = running.on(place, lacking)
        for place, parent in self._parents.items():
            child = self._columns[place]
            assert isinstance(child, Pool)
            part[place] = child.taken(self._told[place][codes[parent]])


class Following:
    """Rows along a path through the source's.

    Args:
        columns: The columns' models by their numbers.
        source: The source's rows, in the order of their times.
        clock: Their times; None: they have none.
        keys: The key of each row, from 0.
        series: What is one series, by row, whatever the key.
        fixed: The number of the column of the keys, which never walks.
    """

    def __init__(
        self,
        columns: Mapping[int, Column],
        source: pd.DataFrame,
        clock: Clock | None,
        keys: Array,
        series: Array,
        fixed: int | None,
    ) -> None:
        import numpy as np
        import pandas as pd

        self._clock, self._keys, self._whole = clock, keys, series
        self._series = pd.factorize(keys * (int(series.max()) + 1) + series)[0]
        self._bounds = clock.bounds if clock is not None else np.arange(len(source) + 1)
        self._seconds = None if clock is None else clock.seconds
        self._periods: set[str] = set()
        if self._seconds is not None and days_missing(self._seconds):
            self._periods.add("week")
        self._alone: dict[int, tuple[Walk, Array]] = {}
        self._shared: set[int] = set()  # what counts on whatever the key
        self.columns: dict[int, Column | Walk | Beside] = {
            place: each if place == fixed else self._moving(place, each, source.iloc[:, place])
            for place, each in columns.items()
        }
        self._alone.clear()  # its values are the source's
        self._order = Order(source, [i for i, each in self.columns.items() if isinstance(each, (Pool, Grid))])

    def _moving(self, place: int, column: Column, values: pd.Series[Any]) -> Column | Walk | Beside:
        import numpy as np

        dtype: Any = values.dtype
        found = numbers_of(values) if column.kind in ("number", "time") else None
        if found is None:
            return column
        numbers, missing = found
        if column.kind == "time":
            return (self._clock and self._clock.beside(numbers, missing, dtype)) or column
        season = self._season(numbers, missing)
        self._periods |= season.keys()
        if isinstance(column, Steps) or (numbers.dtype == np.uint64 and numbers.max() > 2**62):
            return column
        numbers = numbers.astype(np.int64) if numbers.dtype == np.uint64 else numbers
        digits = digits_of(numbers[~missing], dtype) if numbers.dtype.kind == "f" else None
        count = counting(numbers, dtype, missing, np.zeros_like(self._keys), self._whole, digits)
        if count is not None:
            self._shared.add(place)
            return count
        count = counting(numbers, dtype, missing, self._keys, self._series, digits)
        if count is not None:
            return count
        if max(season.values(), default=0.0) >= STRONG:
            return column
        walk = walking(numbers, dtype, missing, self._keys, self._series, digits)
        if walk is None:
            return column
        walk = tied(walk, numbers, self._alone, self._keys)
        if walk.leader < 0 and len(self._alone) < FOLLOWED:
            self._alone[place] = (walk, numbers)
        return walk

    def _season(self, numbers: Array, missing: Array) -> dict[str, float]:
        """Return the periods that tell a number, as far as it is above its key's mean."""
        import numpy as np

        if self._seconds is None or missing.all() or not np.isfinite(numbers[~missing]).all():
            return {}
        scale = float(np.abs(numbers[~missing].astype(np.float64)).max()) or 1.0
        values = np.where(missing, np.nan, numbers.astype(np.float64) / scale)
        own = self._keys[~missing]
        mean = np.bincount(own, values[~missing]) / np.maximum(np.bincount(own), 1)
        return seasons(self._seconds, values - np.append(mean, 0.0)[np.minimum(self._keys, len(mean))])

    def parts(self, rng: np.random.Generator, start: Any, time: int | None) -> Iterator[Part]:
        """Yield rows without end.

        Args:
            rng: Chance.
            start: The first row's time, as the clock has it.
            time: The number of the column of the times.

        Raises:
            GeneratorError: The times can go no further.
        """
        import numpy as np

        path = Path(self._bounds)
        running = Running(self.columns, rng)
        walks = {place: each for place, each in self.columns.items() if isinstance(each, Walk)}
        shared = Levels({place: each for place, each in walks.items() if place in self._shared})
        levels = Levels({place: each for place, each in walks.items() if place not in self._shared})
        now, first = start, True
        phases = None
        if self._seconds is not None and self._periods:
            phases = Phases(self._seconds[self._bounds[:-1]], tuple(sorted(self._periods)))
        for size in _sizes():
            phased = None
            if phases is not None and self._clock is not None:
                phased = Phased(phases, self._clock.gaps, self._clock.local(now), first=first)
            ticks = path.ticks(size, rng, phased)
            rows, lengths = path.rows(ticks)
            part: Part = {-1: len(rows)}
            at: Array | None = None
            if self._clock is not None and time is not None:
                times = self._clock.on(now, ticks, first=first)
                now, first = times[-1], False
                at = np.repeat(times, lengths)
                part[time] = self._clock.column(at)
            moved = levels.on(rows, self._keys[rows]) | shared.on(rows, np.zeros(len(rows), np.int64))
            for place, level in moved.items():
                part[place] = restored(level, walks[place].missing[rows], walks[place].dtype)
            for place, column in self.columns.items():
                if isinstance(column, (Pool, Grid)):
                    part[place] = beside(column, rows, rng)
                elif isinstance(column, Beside) and at is not None:
                    part[place] = restored(at + column.by[rows], column.missing[rows], column.dtype)
                elif isinstance(column, (Steps, Texts)):
                    part[place] = running.on(place, rows)
            self._order.kept(part)
            yield part


def beside(column: Pool | Grid, rows: Array, rng: np.random.Generator) -> Any:
    """Return the values of these rows of the source, numbers a little beside so that they are new ones."""
    import numpy as np

    if isinstance(column, Pool):
        return column.taken(column.codes[rows])
    missing = column.missing[rows]
    ranks = np.where(missing, 0.0, column.ranks[rows]) + rng.uniform(-0.5, 1.5, len(rows))
    return column.at(ranks / len(column.steps), missing)


class Running:
    """What goes on from part to part whatever else the rows are: ids, and texts that are all different.

    Args:
        columns: The columns' models by their numbers.
        rng: Chance, of which each column of texts gets its own.
    """

    def __init__(self, columns: Mapping[int, Any], rng: np.random.Generator) -> None:
        self._columns = columns
        self._last: dict[int, Any] = {}
        self._texts = {
            place: column.pattern.made(Random(int(rng.integers(2**62))))
            for place, column in columns.items()
            if isinstance(column, Texts)
        }

    def on(self, place: int, rows: Array) -> Any:
        """Return a column's next values, of which those are missing that are so in these rows."""
        import numpy as np

        column = self._columns[place]
        if isinstance(column, Texts):
            return column.made([next(self._texts[place]) for _ in range(len(rows))], column.missing[rows])
        values, self._last[place] = column.on(self._last.get(place), rows)
        return restored(values, np.zeros(len(rows), bool), column.dtype)


def _sizes() -> Iterator[int]:
    size = FIRST_ROWS
    while True:
        yield size
        size = min(2 * size, MOST_ROWS)
