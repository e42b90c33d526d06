"""More like this table: a model of a table's columns, of how they go together, and of how its rows follow each other.

What each column is, `marginals` finds. Rows that follow each other (`time` or `by` is given) come from a path through
the source's, see `walks`; other rows are drawn independently, see `copula`.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any, TypeAlias

from mockforge_nb.errors import GeneratorError, OptionError, nearest

from .clock import Clock
from .drawing import Following, Independent, Part
from .marginals import learned
from .walks import Walk

if TYPE_CHECKING:
    import numpy.typing as npt
    import pandas as pd

    from .report import Report

    Array: TypeAlias = npt.NDArray[Any]


class TableModel:
    """Learns a table and makes rows like its own, without end.

    What remains: columns, order and types; each column's distribution, and how much of it is missing, together with
    what else, and for which values of the column that tells most about it; what goes together; of numbers of one type,
    which is never above another. Without `time` and `by` the rows are independent. Of up to 256 columns (the first of
    numbers and of categories that come again) each pair is as correlated as in the source; what follows from another
    column, as a name from a symbol, still does. Where texts that hardly come again tell what else is in their rows, as
    the names of cities tell the state, no rule can be had of them: each row is then one of the source, drawn at
    random, its numbers a little beside. With `time` or `by` rows are a path through the source's, in blocks: gaps,
    bursts and the order of the keys remain, and numbers that move by little from row to row walk on, each key's from
    its first value, up to a quarter of the source's range beyond it. Rows without a `time` are not learned.

    Where the time of the day, the week or the year tells a fifth of a number's spread, and the source has two of these
    or more, blocks begin where the clock stands in it, so that it remains; a number of which it tells the half does
    not walk. Days of the week that the source leaves out have no rows, and what is always as far from the first or
    the last day of its month stays so. Other calendars (holidays, quarters) and other periods are not learned, nor
    are trends over the years.

    Numbers lie between those of the source and have as many decimal digits. Texts that are all different become
    others of the same pattern: their words are the source's, their numbers lie between the source's at that place, and
    codes are new; texts that count, or are instants in order, go on so; sentences, and texts of which there can hardly
    be others, are drawn whole, and may come again. Whole numbers and instants that only grow, or only fall, go on so.
    Whatever else there is (lists, dicts, mixed objects) is drawn whole. Fewer than eight values show no rule: a table
    of one row has the same id in all that are made.

    Args:
        time: The column that says when a row is: instants, durations or numbers.
        by: The column whose values each have a series of their own, such as a symbol or a sensor.
        columns: The columns that a sample has, in this order; all unless said.
        seed: The same seed makes the same rows; None: others each time.

    Raises:
        OptionError: An argument of the wrong type.

    Example:
        >>> df = pd.DataFrame({"side": ["buy", "sell"] * 50, "price": range(100)})
        >>> model = TableModel(seed=1).fit(df)
        >>> model, model.sample(3).columns.tolist()
        (<TableModel of 100 rows x 2 columns>, ['side', 'price'])
    """

    def __init__(
        self,
        *,
        time: str | None = None,
        by: str | None = None,
        columns: Sequence[str] | None = None,
        seed: int | None = 0,
    ) -> None:
        self._where = "TableModel"
        if isinstance(columns, str):
            raise OptionError("TableModel(columns=)", columns, "is one text", f"valid: a list, such as [{columns!r}]")
        if columns is not None and not len(columns):
            valid = "valid: at least one name; all without columns="
            raise OptionError("TableModel(columns=)", columns, "chooses nothing", valid)
        if time is not None and time == by:
            raise OptionError("TableModel(by=)", by, "is also the column of the times")
        self._time, self._by = time, by
        self._columns = None if columns is None else list(columns)
        self._seed = _seed(seed, "TableModel(seed=)")
        self._fitted: _Fitted | None = None

    def _named(self, where: str) -> TableModel:
        """Return this model, whose errors name the arguments of `where`."""
        self._where = where
        return self

    def __repr__(self) -> str:
        if self._fitted is None:
            return "<TableModel unfitted>"
        rows, columns = self._fitted.source.shape
        return f"<TableModel of {rows} rows x {columns} columns>"

    @property
    def rows(self) -> int:
        """How many rows it has learned.

        Raises:
            GeneratorError: None, as it was not fitted.

        Example:
            >>> TableModel().fit(pd.DataFrame({"price": range(100)})).rows
            100
        """
        return len(self._known().source)

    def fit(self, df: Any) -> TableModel:
        """Learn a table, and return this model.

        Args:
            df: A DataFrame, or anything with ``__arrow_c_stream__`` (polars, pyarrow, DuckDB). It is not copied: what
                is changed in place later may show in the report.

        Raises:
            OptionError: It is no table, or has no such columns, or `time` is no column of times.
            ScriptError: A table that comes as a stream cannot be read.

        Example:
            >>> TableModel().fit(pd.DataFrame({"price": range(100)}))
            <TableModel of 100 rows x 1 columns>
        """
        return self._fit(df)

    def _fit(self, df: Any, series: Array | None = None) -> TableModel:
        """Learn a table of which only rows with one number in `series` follow each other."""
        import pandas as pd

        if not isinstance(df, pd.DataFrame):
            if not hasattr(df, "__arrow_c_stream__"):
                raise OptionError("fit(df)", df, "is no table", "give a DataFrame, or what has __arrow_c_stream__")
            from mockforge_nb.generators.arrow import ArrowTable

            try:
                df = ArrowTable.stream(df).frame()
            except (TypeError, ValueError) as error:  # Arrow's own among them
                problem, way = "has no columns as a table has", "give a table, such as series.to_frame()"
                raise OptionError(f"{self._where}()", type(df).__name__, problem, way) from error
        time = None if self._time is None else _found(df, f"{self._where}(time=)", self._time)
        by = None if self._by is None else _found(df, f"{self._where}(by=)", self._by)
        chosen = [*range(df.shape[1])]
        if self._columns is not None:
            chosen = [_found(df, "TableModel(columns=)", each) for each in self._columns]
        for i, each in enumerate(chosen):
            if self._columns is not None and each in chosen[:i]:
                raise OptionError("TableModel(columns=)", self._columns, f"names {self._columns[i]!r} twice")
        self._fitted = _Fitted(df, time, by, chosen, series, self._where)
        return self

    def sample(self, n: int, *, seed: int | None = None, start: Any = None) -> pd.DataFrame:
        """Return rows: the first of `batches` with the same seed.

        Args:
            n: How many.
            seed: Used instead of the model's.
            start: When the first row is; as in the source unless given.

        Raises:
            GeneratorError: The model has learned nothing, or its times cannot go so far.
            OptionError: `n` is no number of rows, or `start` no time.

        Example:
            >>> model = TableModel().fit(pd.DataFrame({"price": range(100)}))
            >>> model.sample(5, seed=1).equals(model.sample(5, seed=1))
            True
        """
        if isinstance(n, bool) or not hasattr(n, "__index__"):
            raise OptionError("sample(n)", n, "is no whole number")
        count = int(n)
        if count < 0:
            raise OptionError("sample(n)", n, "is below 0")
        fitted = self._known()
        if not count:
            return fitted.shown(fitted.source.iloc[:0])
        tables: list[pd.DataFrame] = []
        have = 0
        parts = self._parts(seed, start)
        while have < count:
            tables.append(next(parts))
            have += len(tables[-1])
        return _joined(tables).iloc[:count]

    def batches(self, size: int = 4096, *, seed: int | None = None, start: Any = None) -> Iterator[pd.DataFrame]:
        """Return tables of rows without end; times and walks go on from one to the next.

        Args:
            size: How many rows each has.
            seed: Used instead of the model's.
            start: When the first row is; as in the source unless given.

        Raises:
            GeneratorError: The model has learned nothing; later: its times cannot go further.
            OptionError: `size` is no number from 1 on, or `start` no time.

        Example:
            >>> model = TableModel().fit(pd.DataFrame({"price": range(100)}))
            >>> len(next(model.batches(1000)))
            1000
        """
        if isinstance(size, bool) or not hasattr(size, "__index__") or int(size) < 1:
            raise OptionError("batches(size)", size, "is no whole number from 1 on")
        return _cut(int(size), self._parts(seed, start))

    def report(self, sample: pd.DataFrame | None = None) -> Report:
        """Compare the source with a sample, column by column; ``.plot()`` of the result draws both.

        Args:
            sample: The sample; unless given, as many rows as the source has, but 100,000 at most.

        Raises:
            GeneratorError: The model has learned nothing.
            OptionError: The sample has other columns.

        Example:
            >>> model = TableModel().fit(pd.DataFrame({"side": ["buy", "sell"] * 50}))
            >>> bool(model.report().loc["side", "distance"] < 0.5)
            True
        """
        from .report import likeness

        fitted = self._known()
        source = fitted.shown(fitted.source)
        if sample is None:
            sample = self.sample(min(len(source), 100_000))
        if not hasattr(sample, "columns") or not hasattr(sample, "iloc"):
            raise OptionError("report(sample)", type(sample).__name__, "is no DataFrame", "give what sample() returned")
        if not source.columns.equals(sample.columns):
            raise OptionError("report(sample)", list(sample.columns), "are other columns than the source's")
        time, by, kinds = fitted.places()
        return likeness(source, sample, time, by, kinds)

    def _known(self) -> _Fitted:
        if self._fitted is None:
            raise GeneratorError("this TableModel has learned no table yet; call fit(df) first")
        return self._fitted

    def _parts(self, seed: int | None, start: Any) -> Iterator[pd.DataFrame]:
        return self._known().parts(self._seed if seed is None else _seed(seed, "seed"), start)


class _Fitted:
    """What was learned of a table.

    Args:
        df: The table.
        time: The number of the column of the times.
        by: The number of the column of the keys.
        chosen: The numbers of the columns that a sample has.
        series: What is one series, by row; None: all rows of a key.
        where: Whose arguments errors name.
    """

    def __init__(
        self, df: pd.DataFrame, time: int | None, by: int | None, chosen: list[int], series: Array | None, where: str
    ) -> None:
        import numpy as np

        self._time, self._by, self._chosen = time, by, chosen
        self._clock = None
        keys = np.zeros(len(df), np.int64) if by is None else _keys(df.iloc[:, by], f"{where}(by=)")
        ordered = time is not None or by is not None or series is not None
        series = np.zeros(len(df), np.int64) if series is None else series
        if time is not None:
            self._clock = Clock(df.iloc[:, time], f"{where}(time=)")
            order = self._clock.order
            df, keys, series = df.iloc[order], keys[order], series[order]
        self.source = df
        columns = {each: learned(df.iloc[:, each]) for each in chosen if each != time}
        self._way: Following | Independent | None = None
        if len(df):
            self._way = Following(columns, df, self._clock, keys, series, by) if ordered else Independent(columns, df)
        self._kinds = {place: each.kind for place, each in columns.items()}
        if isinstance(self._way, Following):
            for place, each in self._way.columns.items():
                self._kinds[place] = "counter" if isinstance(each, Walk) and each.counts else each.kind

    def shown(self, frame: pd.DataFrame) -> pd.DataFrame:
        """Return the columns of a table that a sample has, its rows numbered."""
        return frame.iloc[:, self._chosen].reset_index(drop=True)

    def places(self) -> tuple[int | None, int | None, list[str]]:
        """Return where in a sample the time and the key are, and what each column is."""
        time, by = (self._chosen.index(each) if each in self._chosen else None for each in (self._time, self._by))
        return time, by, [self._kinds.get(each, "time") for each in self._chosen]

    def parts(self, seed: int | None, start: Any) -> Iterator[pd.DataFrame]:
        """Return rows without end; arguments and errors are those of `TableModel.batches`."""
        import numpy as np

        if start is not None and self._clock is None:
            raise OptionError("start", start, "is for a table with times", "say which column they are: time=")
        if self._way is None:
            rows = "no rows with a time" if self._clock is not None else "no rows"
            raise GeneratorError(f"the table that was learned has {rows}, so none can be like them")
        rng = np.random.default_rng(seed)
        if isinstance(self._way, Independent):
            return map(self._table, self._way.parts(rng))
        first = self._clock.start(start) if self._clock is not None else None
        return map(self._table, self._way.parts(rng, first, self._time))

    def _table(self, part: Part) -> pd.DataFrame:
        import pandas as pd

        dtypes = self.source.dtypes
        index = pd.RangeIndex(part[-1])
        # By number, since two columns may have one name; of their own type, since pandas would guess at objects.
        columns = {i: pd.Series(part[each], index, dtype=dtypes.iloc[each]) for i, each in enumerate(self._chosen)}
        made = pd.DataFrame(columns, index)
        made.columns = self.source.columns.take(self._chosen)
        return made


def _joined(tables: list[pd.DataFrame]) -> pd.DataFrame:
    import pandas as pd

    return tables[0] if len(tables) == 1 else pd.concat(tables, ignore_index=True)


def _cut(size: int, tables: Iterator[pd.DataFrame]) -> Iterator[pd.DataFrame]:
    """Yield rows in tables of one size."""
    waiting: list[pd.DataFrame] = []
    have = 0
    for table in tables:
        waiting.append(table)
        have += len(table)
        if have < size:
            continue
        whole, first = _joined(waiting), 0
        while have - first >= size:
            yield whole.iloc[first : first + size].reset_index(drop=True)
            first += size
        waiting, have = [whole.iloc[first:]], have - first


def _seed(seed: Any, where: str) -> int | None:
    if seed is None:
        return None
    if isinstance(seed, bool) or not hasattr(seed, "__index__") or int(seed) < 0:
        raise OptionError(where, seed, "is no whole number from 0 on")
    return int(seed)


def _keys(column: pd.Series[Any], where: str) -> Array:
    """Return the number of each row's key, from 0; rows without one have one of their own.

    Raises:
        OptionError: The values cannot be told apart.
    """
    import numpy as np
    import pandas as pd

    try:
        codes, _ = pd.factorize(column, use_na_sentinel=False)
    except TypeError as error:
        raise OptionError(where, column.name, f"has values that are no keys ({error})") from error
    return codes.astype(np.int64)


def _found(df: pd.DataFrame, option: str, wanted: Any) -> int:
    """Return the number of a column.

    Raises:
        OptionError: There is none, or more than one.
    """
    labels = df.columns.tolist()
    found = [i for i, label in enumerate(labels) if label == wanted]
    found = found or [i for i, label in enumerate(labels) if _text(label) == wanted]
    if len(found) == 1:
        return found[0]
    if found:
        raise OptionError(option, wanted, f"is {len(found)} columns", "rename all but one")
    if wanted in df.index.names and wanted is not None:
        raise OptionError(option, wanted, "is a level of the index", "make it a column: df.reset_index()")
    names = [_text(label) for label in labels]
    if len(names) <= 40:
        raise OptionError(
            option, wanted, "is no column", f"valid: {', '.join(map(repr, names))}" + nearest(wanted, names)
        )
    raise OptionError(option, wanted, "is no column" + nearest(wanted, names))


def _text(label: object) -> str:
    # The parts of a MultiIndex, as the messages of a table name them.
    return ".".join(str(part) for part in label if part != "") if isinstance(label, tuple) else str(label)
