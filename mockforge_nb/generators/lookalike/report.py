"""How alike a source and a sample are, column by column, in numbers and drawn."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, Final, TypeAlias

import pandas as pd  # noqa: TID253  # reached only by TableModel.report(), whose result is a DataFrame

from mockforge_nb.errors import GeneratorError

from .clock import as_times
from .copula import MOST, correlations
from .numeric import gaps_of, numbers_of, present, words_of
from .plots import COLORS, draw, short
from .seasons import explained, seasons, seconds_of

if TYPE_CHECKING:
    import numpy.typing as npt

    Array: TypeAlias = npt.NDArray[Any]

MEASURED: Final = ("missing", "distinct", "mean", "std", "q05", "q50", "q95", "gap", "change", "lag1", "season")
"""What is measured of the source, and in a column with ``_sample`` behind of the sample."""

SHOWN: Final = 12
"""Up to how many columns are drawn, the first."""

PAIRED: Final = 16
"""With up to how many other categories one is compared."""

_NAMES: Final = ("source", "sample")


class Report(pd.DataFrame):
    """A row for each column of a source; a DataFrame that draws source and sample beside each other.

    Columns: `kind` and `dtype`; `distance`, from 0 (the same) to 1 (nothing in common): of numbers and instants the
    largest difference of the cumulative distributions (Kolmogorov and Smirnov), of all else the total variation; it
    is that of the gaps for the time, and of the lengths for texts that are all different. Then of source and sample
    each, the latter with ``_sample`` behind: `missing` (share), `distinct`, `mean`, `std`, `q05`, `q50`, `q95` (of
    numbers), `gap` (of the time: the median between two that differ), `change` (of a walk: the median of how much it
    moves from row to row of its key, by share of itself), `lag1` (with a time or a key: the correlation of a number
    with the one before of its key), `season` (with a time: which share of a number's spread the time of the day, the
    week or the year tells, and `period` is which of them tells most). Last `pairs`, of a category: the share of the
    sample's rows whose value goes with that of another category in the source, too; the least over the others.

    Example:
        >>> model = TableModel().fit(pd.DataFrame({"side": ["buy", "sell"] * 50}))
        >>> model.report()[["kind", "missing"]].values.tolist()
        [['category', 0.0]]
    """

    _metadata = ["source", "sampled", "kinds"]  # noqa: RUF012  # pandas' own way, which copies these
    source: pd.DataFrame
    sampled: pd.DataFrame
    kinds: tuple[str, ...]

    @property
    def _constructor(self) -> Callable[..., Report]:
        return Report

    def __repr__(self) -> str:
        options = ("display.max_columns", None, "display.width", 120, "display.max_colwidth", 30)
        with pd.option_context(*options):
            return super().__repr__()

    def _repr_html_(self) -> str | None:
        with pd.option_context("display.max_columns", None):
            html = super()._repr_html_()  # type: ignore[misc]  # pandas-stubs do not have it
        return html if html is None else str(html)

    @property
    def correlation_gap(self) -> float:
        """The largest difference between source and sample of the rank correlation of two columns of numbers.

        Of walks, that of their moves is meant. NaN: there are no two such columns among the first 256.
        """
        return float(self.attrs["correlation_gap"])

    def plot(self) -> npt.NDArray[Any]:  # type: ignore[override]
        """Draw the distributions of up to 12 columns: numbers as histograms, all else as bars, the time by its gaps.

        Returns:
            The axes, row by row; their `figure` is all of it.

        Raises:
            GeneratorError: matplotlib is not installed.
        """
        try:
            from matplotlib import pyplot as plt
            from matplotlib.patches import Patch
        except ImportError as error:
            raise GeneratorError("plot() needs matplotlib: pip install 'mockforge_nb[notebook]'") from error
        shown = min(len(self.kinds), SHOWN)
        across = max(min(shown, 3), 1)
        down = max(-(-shown // across), 1)
        size = (4.6 * across, 3.1 * down + 0.5)
        figure, grid = plt.subplots(down, across, figsize=size, layout="constrained", squeeze=False)
        for place, axes in enumerate(grid.flat):
            if place >= shown:
                axes.set_axis_off()
                continue
            both = [frame.iloc[:, place] for frame in (self.source, self.sampled)]
            axes.set_title(f"{short(self.source.columns[place], 30)} ({self.kinds[place]})", fontsize=10)
            draw(axes, both, self.kinds[place])
        rest = f", the first {shown} of {len(self.kinds)} columns" if shown < len(self.kinds) else ""
        figure.suptitle(f"{len(self.source)} rows of the source, {len(self.sampled)} of the sample{rest}", fontsize=11)
        handles = [Patch(color=color) for color in COLORS]
        figure.legend(handles, _NAMES, loc="outside lower center", ncols=2, frameon=False)
        return grid


def likeness(
    source: pd.DataFrame, sample: pd.DataFrame, time: int | None, by: int | None, kinds: Sequence[str]
) -> Report:
    """Compare a source and a sample.

    Args:
        source: The source.
        sample: The sample, with the same columns.
        time: The number of the column of the times.
        by: The number of the column of the keys.
        kinds: What each column is.
    """
    if time is not None:
        source, sample = (_timed(frame, time) for frame in (source, sample))
    shown = tuple("clock" if place == time else kind for place, kind in enumerate(kinds))
    rows = []
    for place, kind in enumerate(shown):
        one, other = source.iloc[:, place], sample.iloc[:, place]
        row: dict[str, Any] = {"kind": kind, "dtype": str(one.dtype), "distance": _distance(one, other, kind)}
        measured = [_measured(frame, place, kind, by) for frame in (source, sample)]
        for name in MEASURED:
            row[name], row[f"{name}_sample"] = (each.get(name) for each in measured)
        if time is not None or by is not None:
            row["lag1"], row["lag1_sample"] = (_lag(frame, place, by) for frame in (source, sample))
        if time is not None:
            row["period"], row["season"], row["season_sample"] = _season(source, sample, place, time)
        row["pairs"] = _pairs(source, sample, place, shown)
        rows.append(row)
    names = [f"{name}{end}" for name in MEASURED for end in ("", "_sample")]
    made = Report(rows, index=source.columns, columns=["kind", "dtype", "distance", *names, "period", "pairs"])
    for name in names[:14]:
        made[name] = made[name].astype("float64")
    for name in (*names[16:], "pairs"):
        made[name] = made[name].astype("float64")
    made.source, made.sampled, made.kinds = source, sample, shown
    made.attrs["correlation_gap"] = _correlation_gap(source, sample, by, shown)
    return made


def _timed(frame: pd.DataFrame, time: int) -> pd.DataFrame:
    """Return a table whose column of times is of a type of pandas."""
    columns = [frame.iloc[:, place] for place in range(frame.shape[1])]
    columns[time] = as_times(columns[time])
    made = pd.concat(columns, axis=1)
    made.columns = frame.columns
    return made


def _measured(frame: pd.DataFrame, place: int, kind: str, by: int | None) -> dict[str, Any]:
    import numpy as np

    column = frame.iloc[:, place]
    found: dict[str, Any] = {}
    if len(column):
        found["missing"] = float(column.isna().mean())
    found["distinct"] = len(set(words_of(column)))
    if kind == "clock":
        gaps = gaps_of(column)
        gaps = gaps[gaps > 0]
        if len(gaps):
            middle = float(np.median(gaps))
            unit: Any = column.dt.unit if column.dtype.kind in "mM" else None
            found["gap"] = middle if unit is None else pd.Timedelta(round(middle), unit=unit)
        return found
    if not _is_number(column):
        return found
    values = present(column).astype(np.float64)
    finite = values[np.isfinite(values)]
    if len(finite):
        # Made smaller first, so that the sum of the largest floats is one, too.
        scale = max(float(np.abs(finite).max()), 1e-300)
        found["mean"], found["std"] = float((finite / scale).mean()) * scale, float((finite / scale).std()) * scale
        for name, share in (("q05", 0.05), ("q50", 0.5), ("q95", 0.95)):
            found[name] = float(np.quantile(finite, share, method="nearest"))
    if kind == "walk":
        moves = _moves(frame, place, by)
        moves = moves[~np.isnan(moves)]
        if len(moves):
            found["change"] = float(np.median(np.abs(moves)))
    return found


def _distance(one: pd.Series[Any], other: pd.Series[Any], kind: str) -> float:
    """Return how unlike two columns are, from 0 to 1; NaN: one has no values."""
    import numpy as np

    if kind == "clock":
        return _steepest(gaps_of(one), gaps_of(other))
    if kind == "text":
        return _steepest(*(np.array([len(text) for text in each.dropna()]) for each in (one, other)))
    if numbers_of(one) is not None and one.dtype.kind != "b":
        return _steepest(present(one), present(other))
    shares = [pd.Series(words_of(each), dtype=object).value_counts(normalize=True) for each in (one, other)]
    if not all(map(len, shares)):
        return float("nan")
    return float(shares[0].sub(shares[1], fill_value=0.0).abs().sum() / 2)


def _steepest(one: Array, other: Array) -> float:
    """Return the largest difference of two cumulative distributions."""
    import numpy as np

    if not len(one) or not len(other):
        return float("nan")
    at = np.concatenate([one, other])
    shares = [np.searchsorted(np.sort(each), at, side="right") / len(each) for each in (one, other)]
    return float(np.abs(shares[0] - shares[1]).max())


def _correlation_gap(source: pd.DataFrame, sample: pd.DataFrame, by: int | None, kinds: Sequence[str]) -> float:
    import numpy as np

    places = [i for i, kind in enumerate(kinds) if kind in ("number", "walk") and _is_number(source.iloc[:, i])]
    places = places[:MOST]
    if len(places) < 2 or not len(sample):
        return float("nan")
    both = []
    for frame in (source, sample):
        columns = [
            _moves(frame, i, by) if kinds[i] == "walk" else frame.iloc[:, i].to_numpy(np.float64, na_value=np.nan)
            for i in places
        ]
        both.append(correlations(pd.DataFrame(dict(enumerate(columns))).rank().to_numpy()))
    return float(np.abs(both[0] - both[1]).max())


def _moves(frame: pd.DataFrame, place: int, by: int | None) -> Array:
    """Return by which share of itself a number moves from the row before of its key; NaN: there is none."""
    import numpy as np

    values = pd.Series(frame.iloc[:, place].to_numpy(np.float64, na_value=np.nan))
    before = values.shift() if by is None else values.groupby(pd.factorize(frame.iloc[:, by])[0]).shift()
    return ((values - before) / before.abs().where(before != 0)).to_numpy()


def _lag(frame: pd.DataFrame, place: int, by: int | None) -> float | None:
    """Return the correlation of a number with the one before of its key; None: there is none."""
    import numpy as np

    if not _is_number(frame.iloc[:, place]):
        return None
    values = pd.Series(frame.iloc[:, place].to_numpy(np.float64, na_value=np.nan))
    values = values.where(np.isfinite(values))
    values = values / max(float(values.abs().max()), 1e-300) if values.notna().any() else values
    keys = np.zeros(len(frame), np.int64) if by is None else pd.factorize(frame.iloc[:, by])[0]
    groups = values.groupby(keys)
    centred = values - groups.transform("mean")
    both = np.column_stack([centred, centred.groupby(keys).shift()])
    both = both[~np.isnan(both).any(axis=1)]
    return float(correlations(both)[0, 1]) if len(both) > 2 and np.ptp(both, axis=0).all() else None


def _season(
    source: pd.DataFrame, sample: pd.DataFrame, place: int, time: int
) -> tuple[str | None, float | None, float | None]:
    """Return the period that tells most about a number, and how much in source and sample; None: none does."""
    import numpy as np

    seconds = [seconds_of(frame.iloc[:, time]) for frame in (source, sample)]
    one, other = seconds
    if one is None or other is None or not _is_number(source.iloc[:, place]):
        return None, None, None
    values = [frame.iloc[:, place].to_numpy(np.float64, na_value=np.nan) for frame in (source, sample)]
    found = seasons(one, values[0])
    if not found:
        return None, None, None
    period = max(found, key=found.__getitem__)
    return period, found[period], explained(other, values[1], period)


def _pairs(source: pd.DataFrame, sample: pd.DataFrame, place: int, kinds: Sequence[str]) -> float | None:
    """Return in which share of a sample's rows a category goes with another as in the source; None: there is none."""
    if kinds[place] != "category" or not len(sample):
        return None
    others = [i for i, kind in enumerate(kinds) if i != place and kind == "category"][:PAIRED]
    own = [frame.iloc[:, place].astype(str).tolist() for frame in (source, sample)]
    shares = []
    for other in others:
        both = [frame.iloc[:, other].astype(str).tolist() for frame in (source, sample)]
        known = set(zip(own[0], both[0], strict=True))
        shares.append(sum(pair in known for pair in zip(own[1], both[1], strict=True)) / len(sample))
    return min(shares, default=None)


def _is_number(column: pd.Series[Any]) -> bool:
    return column.dtype.kind in "iuf" and numbers_of(column) is not None
