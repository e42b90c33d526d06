"""A server's metrics as a DataFrame."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, Final

from . import names

if TYPE_CHECKING:
    import pandas as pd
    from opentelemetry.sdk.metrics.export import InMemoryMetricReader

COLUMNS: Final = ("metric", "path", "direction", "of", "value", "count", "mean", "min", "max", "unit")
UNMEASURED: Final = "the mock is not measured: Mock().metrics()"


class Metrics:
    """The metrics of a server, as they are when somebody asks.

    Args:
        reader: What collects them; None: nobody wanted any.

    Example:
        >>> with Mock().metrics().serve(port=0) as server:
        ...     server.client().close()
        ...     server.metrics.df.columns.tolist()
        ['metric', 'path', 'direction', 'of', 'value', 'count', 'mean', 'min', 'max', 'unit']
    """

    def __init__(self, reader: InMemoryMetricReader | None = None) -> None:
        self._reader = reader
        self._last: list[dict[str, Any]] | None = None

    @property
    def df(self) -> pd.DataFrame:
        """A row a metric and what it is of.

        Columns: `metric`, `path` (as the mock was told it), `direction`, `of` (a fault's name, an error's type),
        `value` (of what is counted), `count`, `mean`, `min` and `max` (of a histogram: sizes in bytes, delays and
        lateness in seconds), `unit`. What does not apply is null.
        """
        import pandas as pd

        rows = self._read()
        frame = pd.DataFrame(rows, columns=list(COLUMNS))
        texts = {name: frame[name].astype("str") for name in ("metric", "path", "direction", "of", "unit")}
        whole = {name: frame[name].astype("Int64") for name in ("value", "count")}
        parts = {name: frame[name].astype("float64") for name in ("mean", "min", "max")}
        frame = frame.assign(**texts, **whole, **parts)
        return frame.sort_values(["metric", "path", "direction", "of"], ignore_index=True)

    def freeze(self) -> None:
        """Keep what there is: the server stops."""
        self._last = self._read()

    def _read(self) -> list[dict[str, Any]]:
        if self._last is not None:
            return self._last
        return [] if self._reader is None else list(_rows(self._reader))

    def __repr__(self) -> str:
        if self._reader is None:
            return f"<Metrics: none, as {UNMEASURED}>"
        return f"<Metrics {len(self._read())} values>"

    def _repr_html_(self) -> str:
        html: str = self.df._repr_html_()  # type: ignore[operator]  # pandas-stubs lacks it
        return html


def _rows(reader: InMemoryMetricReader) -> Iterator[dict[str, Any]]:
    from opentelemetry.sdk.metrics.export import NumberDataPoint

    data = reader.get_metrics_data()
    for resource in data.resource_metrics if data is not None else ():
        for scope in resource.scope_metrics:
            for metric in scope.metrics:
                for point in metric.data.data_points:
                    of = dict(point.attributes or {})
                    row = {
                        "metric": metric.name,
                        "path": of.get(names.ROUTE) or None,
                        "direction": of.get(names.DIRECTION),
                        "of": of.get(names.FAULT) or of.get(names.ERROR_TYPE),
                        "unit": metric.unit,
                    }
                    if not isinstance(point, NumberDataPoint):
                        mean = point.sum / point.count if point.count else None
                        row |= {"count": point.count, "mean": mean, "min": point.min, "max": point.max}
                    else:
                        row["value"] = point.value
                    yield row
