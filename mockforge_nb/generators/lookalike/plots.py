"""A column of a source and of a sample, drawn beside each other."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, TypeAlias

from .numeric import gaps_of, numbers_of, present, words_of

if TYPE_CHECKING:
    import numpy.typing as npt
    import pandas as pd
    from matplotlib.axes import Axes

    Array: TypeAlias = npt.NDArray[Any]

COLORS: Final = ("#4c78a8", "#f58518")
"""The source's and the sample's."""

_BARS: Final = 8


def short(text: object, most: int) -> str:
    """Return a text of so many signs at most."""
    shown = str(text)
    return shown if len(shown) <= most else shown[: most - 1] + "…"


def draw(axes: Axes, both: list[pd.Series[Any]], kind: str) -> None:
    """Draw a column of the source and of the sample."""
    import numpy as np

    axes.tick_params(labelsize=8)
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)
    if kind == "clock":
        unit = both[0].dt.unit if both[0].dtype.kind in "mM" else None
        _cumulative(axes, [gaps_of(each) for each in both], unit)
        return
    if kind == "text":
        _histogram(axes, [np.array([len(text) for text in each.dropna()]) for each in both])
        axes.set_xlabel("length", fontsize=8)
        return
    if numbers_of(both[0]) is None or kind == "boolean" or len(set(words_of(both[0]))) <= _BARS:
        _bars(axes, both)
        return
    dtype = both[0].dtype
    values = [present(each) for each in both]
    if dtype.kind in "mM":
        unit = both[0].dt.unit
        values = [each.view(f"{dtype.kind}8[{unit}]") for each in values]
        if dtype.kind == "m":
            values = [each / np.timedelta64(1, "s") for each in values]
            axes.set_xlabel("s", fontsize=8)
    else:
        values = [each[np.isfinite(each)].astype(np.float64) for each in values]
        together = np.concatenate(values)
        largest = float(np.abs(together).max(initial=0.0))
        # What floats cannot tell apart, or have no range for, has no histogram.
        if largest > 1e300 or (len(together) and np.ptp(together) < 1e3 * np.spacing(largest)):
            _bars(axes, both)
            return
    _histogram(axes, values)


def _histogram(axes: Axes, both: list[Array]) -> None:
    from typing import cast

    import numpy as np
    from matplotlib import dates as untyped
    from matplotlib.ticker import MaxNLocator

    dates = cast(Any, untyped)  # matplotlib has no types for it
    if not all(map(len, both)):
        axes.text(0.5, 0.5, "no values", ha="center", va="center", transform=axes.transAxes)
        return
    instants = both[0].dtype.kind == "M"
    both = [dates.date2num(each) if instants else each.astype(np.float64) for each in both]
    bins = np.histogram_bin_edges(np.concatenate(both), 30)
    for values, color in zip(both, COLORS, strict=True):
        weights = np.full(len(values), 1 / len(values))
        axes.hist(values, bins.tolist(), weights=weights, color=color, alpha=0.55)
    axes.set_ylabel("share", fontsize=8)
    axes.xaxis.set_major_locator(MaxNLocator(5))
    if instants:
        locator = dates.AutoDateLocator(maxticks=6)
        axes.xaxis.set_major_locator(locator)
        axes.xaxis.set_major_formatter(dates.ConciseDateFormatter(locator))


def _cumulative(axes: Axes, both: list[Array], unit: str | None) -> None:
    """Draw which share of gaps is no longer than each."""
    import numpy as np

    scale, named = 1.0, "gap"
    if unit is not None:
        scale = {"s": 1.0, "ms": 1e3, "us": 1e6, "ns": 1e9}[unit]
        longest = max((float(gaps.max()) for gaps in both if len(gaps)), default=0.0)
        for name, seconds in (("days", 86_400.0), ("h", 3600.0), ("s", 1.0), ("ms", 1e-3), ("µs", 1e-6)):
            if longest >= 2 * seconds * scale or name == "µs":
                scale, named = scale * seconds, f"gap in {name}"
                break
    for gaps, color in zip(both, COLORS, strict=True):
        if len(gaps):
            axes.step(np.sort(gaps) / scale, np.arange(1, len(gaps) + 1) / len(gaps), color=color, where="post")
    axes.set_xlabel(named, fontsize=8)
    axes.set_ylabel("share up to it", fontsize=8)
    axes.set_ylim(0, 1.05)
    axes.locator_params(axis="x", nbins=5)


def _bars(axes: Axes, both: list[pd.Series[Any]]) -> None:
    import numpy as np
    import pandas as pd

    words = [pd.Series([str(word) for word in words_of(each)], dtype=object) for each in both]
    shares = [each.value_counts(normalize=True) for each in words]
    names = list(shares[0].index[:_BARS])
    heights = [[float(each.get(name, 0.0)) for name in names] for each in shares]
    if len(shares[0]) > _BARS or len(shares[1].index.difference(names)):
        heights = [[*each, max(0.0, 1 - sum(each))] for each in heights]
        names.append("(others)")
    if len(shares[0]) > 2 * _BARS and sum(heights[0][:_BARS]) < 0.5:
        # A few bars would say nothing of so many.
        known = words[1].isin(shares[0].index)
        text = f"{len(shares[0])} different in the source,\n{len(shares[1])} in the sample;\n"
        text += f"{known.mean():.0%} of its rows have one of the source's" if len(known) else "no rows"
        axes.text(0.5, 0.5, text, ha="center", va="center", transform=axes.transAxes, fontsize=9)
        axes.set_axis_off()
        return
    places = np.arange(len(names))
    for offset, height, color in zip((-0.2, 0.2), heights, COLORS, strict=True):
        axes.barh(places + offset, height, 0.4, color=color)
    axes.set_yticks(places, [short(name, 18) for name in names])
    axes.invert_yaxis()
    axes.set_xlabel("share", fontsize=8)
