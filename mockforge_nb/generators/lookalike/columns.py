"""What is in the messages of one kind: their values as a table, and messages of its rows again."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any, Final, TypeAlias

from mockforge_nb.core.template import Slot

from .model import TableModel
from .moments import Moment

if TYPE_CHECKING:
    import numpy.typing as npt
    import pandas as pd

    Array: TypeAlias = npt.NDArray[Any]

Route: TypeAlias = tuple[str, ...]
"""The keys that lead to a value."""

Form: TypeAlias = tuple[Route, ...]
"""Where a message has values, in the order of its keys."""

_DECIMAL: Final = re.compile(r"-?\d{1,12}\.(\d{1,12})")
"""A number that is sent as a text, as prices are that must not be rounded."""

_ABSENT: Final = object()


@dataclass(frozen=True, slots=True)
class Leaf:
    """One value of the messages of a kind, wherever they have it.

    Attributes:
        digits: With how many decimal digits a number is sent as a text; -1: it is no such text.
        whole: Whether a number that is whole is sent without a point.
        slots: Which texts are templates.
        moment: How an instant is written, and whether it follows the time of the message; None: it is no instant.
    """

    digits: int = -1
    whole: bool = False
    slots: frozenset[str] = frozenset()
    moment: Moment | None = None

    def sent(self, value: Any, now: float) -> Any:
        """Return a value of the table as it is in a message that is due at `now` (ms)."""
        import pandas as pd

        if value is pd.NA or value is None or value != value:
            return None
        if self.moment is not None:
            return self.moment.written(value, now)
        if self.slots and value in self.slots:
            return Slot(value)
        if self.digits >= 0:
            return f"{value:.{self.digits}f}"
        return int(value) if self.whole and isinstance(value, float) and value.is_integer() else value


@dataclass(frozen=True, slots=True)
class Fields:
    """The values of the messages of a kind.

    Attributes:
        forms: Where the messages have values.
        leaves: These values.
        model: What makes rows of them; the first column is the number of the form.
    """

    forms: tuple[Form, ...]
    leaves: dict[Route, Leaf]
    model: TableModel

    @classmethod
    def of(cls, messages: Sequence[tuple[int, float, Any]]) -> Fields:
        """Learn from messages of one kind, in order: the numbers of their conversations, when (ms), and what."""
        import numpy as np
        import pandas as pd

        rows = [dict(_flat(value)) for _, _, value in messages]
        due = [(number, ms) for number, ms, _ in messages]
        forms = {form: number for number, form in enumerate(dict.fromkeys(map(tuple, rows)))}
        columns: list[pd.Series[Any]] = [pd.Series([forms[tuple(row)] for row in rows], dtype="int64")]
        leaves: dict[Route, Leaf] = {}
        for route in dict.fromkeys(route for form in forms for route in form):
            leaves[route], column = _column([row.get(route, _ABSENT) for row in rows], due)
            columns.append(column)
        frame = pd.concat(columns, axis=1, keys=map(str, range(len(columns))))
        series = np.array([number for number, _ in due])
        model = TableModel(by=_key(frame, series))
        return cls(tuple(forms), leaves, model._fit(frame, series))

    def values(self, seed: int) -> Iterator[Callable[[float], Any]]:
        """Yield messages without end, each a function of the time at which it is due (ms)."""
        for rows in self.model.batches(64, seed=seed):
            columns = [rows.iloc[:, place].astype(object).tolist() for place in range(rows.shape[1])]
            for number, *row in zip(*columns, strict=True):
                yield partial(self._message, self.forms[number], dict(zip(self.leaves, row, strict=True)))

    def _message(self, form: Form, row: dict[Route, Any], now: float) -> Any:
        return _message((route, self.leaves[route].sent(row[route], now)) for route in form)


def _flat(value: Any, route: Route = ()) -> Iterator[tuple[Route, Any]]:
    """Yield the values of nested dicts; an empty dict is a value itself."""
    if isinstance(value, dict) and value:
        for key, each in value.items():
            yield from _flat(each, (*route, key))
    else:
        yield route, value


def _message(values: Iterator[tuple[Route, Any]]) -> Any:
    result: dict[str, Any] = {}
    for route, value in values:
        if not route:
            return value
        inside = result
        for key in route[:-1]:
            inside = inside.setdefault(key, {})
        inside[route[-1]] = value
    return result


def _column(values: list[Any], due: Sequence[tuple[int, float]]) -> tuple[Leaf, pd.Series[Any]]:
    """Return values as a column of the narrowest type, and how they are sent.

    Args:
        values: The values, one of each message.
        due: The conversation of each message, and when it was due there (ms).
    """
    import pandas as pd

    present = [value for value in values if value is not _ABSENT and value is not None]
    plain = [None if value is _ABSENT else value for value in values]
    types = {type(value) for value in present}
    if Slot in types and types <= {str, Slot}:
        # A category, which is drawn whole: a template is not to be changed.
        slots = frozenset(str(value) for value in present if type(value) is Slot)
        return Leaf(slots=slots), pd.Series([value and str(value) for value in plain], dtype="category")
    found = Moment.learned(plain, due)
    if found is not None:
        return Leaf(moment=found[0]), pd.Series(found[1], dtype="Int64")
    if types == {bool}:
        return Leaf(), pd.Series(plain, dtype="boolean")
    if types == {int} and max(map(abs, present)) < 2**62:
        return Leaf(), pd.Series(plain, dtype="Int64")
    if types in ({float}, {int, float}) and all(abs(value) < 2**53 for value in present):
        return Leaf(whole=int in types), pd.Series(plain, dtype="float64")
    if types == {str}:
        matches = [_DECIMAL.fullmatch(value) for value in present]
        digits = {len(match[1]) if match else -1 for match in matches}
        if len(digits) == 1 and -1 not in digits and all(len(value) <= 16 for value in present):
            numbers = [None if value is None else float(value) for value in plain]
            return Leaf(digits=digits.pop()), pd.Series(numbers, dtype="float64")
        return Leaf(), pd.Series(plain, dtype=object)
    column = pd.Series([None] * len(plain), dtype=object)
    for place, value in enumerate(plain):
        column.iat[place] = value
    return Leaf(), column


def _key(frame: pd.DataFrame, series: Array) -> str | None:
    """Return the column of texts whose values each have numbers that walk, as a symbol's price does; None: none has."""
    import numpy as np

    numbers = [frame.iloc[:, i].to_numpy(float, na_value=np.nan) for i in _numeric(frame)]
    if len(frame) < 16 or not numbers:
        return None
    best, found = 0.6 * sum(_roughness(values, series) for values in numbers), None
    for place in range(1, frame.shape[1]):
        column = frame.iloc[:, place]
        if column.dtype != object or not all(isinstance(value, str) for value in column):
            continue
        codes, distinct = column.factorize()
        if not 2 <= len(distinct) <= len(frame) // 8:
            continue
        rough = sum(_roughness(values, series * len(distinct) + codes) for values in numbers)
        if rough < best:
            best, found = rough, str(frame.columns[place])
    return found


def _numeric(frame: pd.DataFrame) -> list[int]:
    return [i for i in range(1, frame.shape[1]) if frame.dtypes.iloc[i].kind in "if"]


def _roughness(values: Array, series: Array) -> float:
    """Return by which share of its spread a number moves from row to row in its series, typically; 2 at most."""
    import numpy as np

    order = np.argsort(series, kind="stable")
    ranked = values[order].argsort().argsort().astype(float)
    ranked[np.isnan(values[order])] = np.nan
    moved = np.abs(np.diff(ranked))[np.diff(series[order]) == 0]
    moved, spread = moved[~np.isnan(moved)], np.nanstd(ranked) if (~np.isnan(ranked)).any() else 0.0
    return min(float(np.median(moved)) / float(spread), 2.0) if len(moved) and spread else 2.0
