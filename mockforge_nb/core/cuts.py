"""What of a table one connection is played: the rows of its keys, from a point on, moved in time, in windows.

A table's program is made once; what connections are played of it are views of that, so that a thousand of them cost
little more than one. Those who are played the same share its frames.
"""

from __future__ import annotations

from array import array
from bisect import bisect_left, bisect_right
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any, TypeAlias, overload
from weakref import WeakValueDictionary

from .program import KEPT_BYTES, Program, StepSource

if TYPE_CHECKING:
    from .keys import Ints, Keys
    from .subscribing import Subscription

MS: int = 1_000_000
"""How many ns a ms has."""


class Chosen:
    """Rows of a table in the order in which they are played: first a snapshot's, then the others.

    Args:
        heads: The rows of the snapshot.
        rows: The others, in order.
    """

    def __init__(self, heads: Ints, rows: Ints) -> None:
        self.heads, self.rows = heads, rows

    def __len__(self) -> int:
        return len(self.heads) + len(self.rows)

    def __getitem__(self, part: slice) -> Ints:
        import numpy as np

        first, last, _ = part.indices(len(self))
        split = len(self.heads)
        if first >= split:
            return self.rows[first - split : last - split]
        if last <= split:
            return self.heads[first:last]
        return np.concatenate([self.heads[first:last], self.rows[: last - split]])

    def one(self, index: int) -> int:
        """Return one row."""
        split = len(self.heads)
        return int(self.heads[index] if index < split else self.rows[index - split])


Make: TypeAlias = Callable[["Chosen | None", "Ints | None", int], StepSource]
"""Makes steps of the chosen rows (None: all), one of each from bound to bound (None: of each row), their times moved
by so many ns."""


class _At(Sequence[float]):
    """When chosen rows are due, or the lists that they are sent in."""

    def __init__(self, at: Sequence[float], chosen: Chosen, head: float, lists: Lists | None) -> None:
        self._at, self._chosen, self._head, self._lists = at, chosen, head, lists

    def __len__(self) -> int:
        return len(self._chosen if self._lists is None else self._lists.due)

    @overload
    def __getitem__(self, index: int) -> float: ...

    @overload
    def __getitem__(self, index: slice) -> Sequence[float]: ...

    def __getitem__(self, index: int | slice) -> float | Sequence[float]:
        if isinstance(index, slice):
            return array("d", (self[i] for i in range(len(self))[index]))
        if self._lists is not None:
            return float(self._lists.due[index])
        index = range(len(self))[index]
        return self._head if index < len(self._chosen.heads) else self._at[self._chosen.one(index)]


@dataclass(frozen=True, slots=True, eq=False)
class Lists:
    """Rows that are sent together: list ``i`` has those from ``bounds[i]`` to before ``bounds[i + 1]``.

    Attributes:
        bounds: Where they begin, and at the end how many rows there are.
        due: When each is due: at the end of its window (ms).
    """

    bounds: Ints
    due: Any

    @classmethod
    def of(cls, at: Any, window: float, heads: int = 0, head: float = 0.0) -> Lists:
        """Return the lists of rows by the windows in which they are due, behind one of `heads` that is due at `head`.

        Args:
            at: When the rows are due (ms), in order.
            window: How long a window is (ms); one begins at 0.
            heads: How many rows come before those.
            head: When they are due (ms).
        """
        import numpy as np

        number = np.floor(np.asarray(at, dtype=np.float64) / window)
        (new,) = np.nonzero(np.diff(number, prepend=-1.0))
        begins, due = new + heads, (number[new] + 1) * window
        if heads:
            begins, due = np.concatenate([[0], begins]), np.concatenate([[head], due])
        return cls(np.append(begins, heads + len(number)), due)


@dataclass(eq=False)
class Cuts:
    """How a table's program is cut to a connection.

    Attributes:
        make: Makes the steps.
        count: How many rows the table has.
        at: When each is due (ms), in order.
        period: How long a round is when it is looped (ms).
        span: How far the table's own times go in a round (ms).
        name: What errors call the table.
        plain: Whether every connection is sent the same bytes of a row.
        keys: The rows' keys; None: they have none.
        snapshot: Whether a connection hears the latest row of each of its keys first.
        begin: Where the play-head begins (ms); what is due by then is what the snapshot is of.
        from_ns: The time in the table that stands at `begin` (UTC ns); None: times stay as they are.
        to_ns: What it is moved to; None: to when the connection's first round begins.
        window: How long the windows are whose rows are sent as one list (ms); None: each row is sent by itself.
        subscription: How a connection says which keys it wants; None: its path says it, or it gets all.
    """

    make: Make
    count: int
    at: Sequence[float]
    period: float
    span: float
    name: str
    plain: bool
    keys: Keys | None = None
    snapshot: bool = False
    begin: float = 0.0
    from_ns: int | None = None
    to_ns: int | None = None
    window: float | None = None
    subscription: Subscription | None = None
    _live: WeakValueDictionary[object, Program] = field(default_factory=WeakValueDictionary, repr=False)

    def scaled(self, factor: float) -> Cuts:
        """Return the same with its times divided by `factor`."""
        return replace(
            self,
            at=Scaled(self.at, factor),
            period=self.period / factor,
            begin=self.begin / factor,
            window=None if self.window is None else self.window / factor,
            _live=WeakValueDictionary(),
        )

    def shift_ns(self, base_ns: int, number: int) -> int:
        """Return how far the times of round `number` move if the first began at `base_ns` (UTC): by whole ms."""
        if self.from_ns is None:
            return 0
        to_ns = base_ns if self.to_ns is None else self.to_ns
        return ((to_ns - self.from_ns) // MS + round(number * self.span)) * MS

    @cached_property
    def _every(self) -> Ints:
        import numpy as np

        return np.arange(self.count, dtype=np.int32 if self.count < 2**31 else np.int64)

    @property
    def timed(self) -> bool:
        """Whether its rows are due at different times."""
        return self.count > 0 and self.at[-1] > self.at[0]

    def entry(self, head: float) -> int:
        """Return the first row that is yet to come when the play-head stands at `head` (ms)."""
        return (bisect_right if self.snapshot else bisect_left)(self.at, head)

    def all_rows(self, keys: frozenset[str] | None, first: int = 0) -> Ints:
        """Return the rows of keys (None: all) from row `first` on."""
        import numpy as np

        if keys is None or self.keys is None:
            return self._every[first:]
        rows = self.keys.rows(keys) if keys else np.empty(0, np.int32)
        return rows[bisect_left(rows, first) :] if first else rows

    def latest(self, keys: Sequence[str], first: int) -> Ints:
        """Return the latest row of each key before row `first`, or its first row, in the table's order."""
        import numpy as np

        rows = [self.keys.latest(key, first) for key in keys] if self.keys is not None else []
        return np.array(sorted(rows), dtype=np.int64)

    def entering(self, keys: frozenset[str] | None, head: float, shift_ns: int) -> Program:
        """Return what a connection is played that enters when the play-head stands at `head` (ms)."""
        first = self.entry(head)
        key = (keys, first, head if self.snapshot else 0.0, shift_ns)
        program = self._live.get(key)
        if program is None:
            among = self.keys.texts if self.keys is not None and keys is None else tuple(keys or ())
            heads = self.latest(among, first) if self.snapshot else self.latest((), 0)
            rows = without(self.all_rows(keys, first), heads)
            program = self.program(Chosen(heads, rows), head, shift_ns, shared=head == self.begin)
            self._live[key] = program
        return program

    def round(self, keys: frozenset[str] | None, shift_ns: int) -> Program:
        """Return what a connection is played in a later round: the rows of its keys from the beginning."""
        key = (keys, None, shift_ns)
        program = self._live.get(key)
        if program is None:
            rows = self.all_rows(keys)
            program = self._live[key] = self.program(Chosen(rows[:0], rows), 0.0, shift_ns, shared=True)
        return program

    def program(self, chosen: Chosen, head: float, shift_ns: int, *, shared: bool) -> Program:
        """Return the program of chosen rows; its times are the table's, and those of a snapshot are `head`."""
        import numpy as np

        lists = None
        if self.window is not None:
            if isinstance(self.at, array):
                due = np.frombuffer(self.at)[chosen.rows]
            else:
                due = np.fromiter((self.at[row] for row in chosen.rows.tolist()), np.float64, len(chosen.rows))
            lists = Lists.of(due, self.window, len(chosen.heads), head)
        return Program(
            self.make(chosen, None if lists is None else lists.bounds, shift_ns),
            _At(self.at, chosen, head, lists),
            self.period,
            self.name,
            self.plain,
            chosen=chosen,
            lists=lists,
            # The frames of what one connection alone is played are not worth keeping.
            keep=KEPT_BYTES if shared and not shift_ns else 0,
        )


class Scaled(Sequence[float]):
    """Times divided by a factor, when they are asked for."""

    def __init__(self, at: Sequence[float], factor: float) -> None:
        self._at, self._factor = at, factor

    def __len__(self) -> int:
        return len(self._at)

    @overload
    def __getitem__(self, index: int) -> float: ...

    @overload
    def __getitem__(self, index: slice) -> Sequence[float]: ...

    def __getitem__(self, index: int | slice) -> float | Sequence[float]:
        if isinstance(index, slice):
            return array("d", (each / self._factor for each in self._at[index]))
        return self._at[index] / self._factor


def without(rows: Ints, others: Ints) -> Ints:
    """Return rows in order without `others`."""
    import numpy as np

    return rows[~np.isin(rows, others)] if len(others) else rows


class View:
    """What one connection is played of a table, round by round.

    Args:
        cuts: How the table is cut.
        keys: The keys whose rows it gets; None: all.
        base_ns: The UTC time (ns) at which the first round began.
    """

    def __init__(self, cuts: Cuts, keys: frozenset[str] | None, base_ns: int) -> None:
        self.cuts, self.keys, self._base_ns = cuts, keys, base_ns

    def enter(self, head: float, number: int = 0) -> Program:
        """Return the program of who enters round `number` when the play-head stands at `head` (ms)."""
        return self.cuts.entering(self.keys, head, self.cuts.shift_ns(self._base_ns, number))

    def round(self, number: int) -> Program:
        """Return the program of a later round."""
        return self.cuts.round(self.keys, self.cuts.shift_ns(self._base_ns, number))

    def change(self, keys: frozenset[str], program: Program, index: int, head: float, number: int) -> Program:
        """Return the program of a connection that wants other keys from now on.

        What it was yet to be sent of keys that it keeps it is sent first, or still; new ones begin at the play-head.

        Args:
            keys: The keys that it wants.
            program: What it was played.
            index: The next step of that.
            head: Where the play-head stands (ms).
            number: The number of the round.
        """
        import numpy as np

        cuts, before = self.cuts, self.keys or frozenset()
        assert cuts.keys is not None
        self.keys = keys
        first = cuts.entry(head)
        old, new = before & keys, keys - before
        left = self._left(program, index, old)
        heads = cuts.latest(tuple(new), first) if cuts.snapshot else cuts.latest((), 0)
        if not len(heads) and len(left) == len(left.rows) == len(cuts.all_rows(old, first)):
            rows = cuts.all_rows(keys, first)  # nearly always; it is a view
        else:
            rows = np.union1d(left.rows, without(cuts.all_rows(new, first), heads))
        chosen = Chosen(np.concatenate([left.heads, heads]).astype(np.int64), rows)
        return cuts.program(chosen, head, cuts.shift_ns(self._base_ns, number), shared=False)

    def _left(self, program: Program, index: int, keys: frozenset[str]) -> Chosen:
        """Return what is left of a program from step `index` on of some keys."""
        assert program.chosen is not None
        assert self.cuts.keys is not None
        chosen, among = program.chosen, self.cuts.keys.among
        row = index if program.lists is None else int(program.lists.bounds[index])
        split = len(chosen.heads)
        return Chosen(among(chosen.heads[min(row, split) :], keys), among(chosen.rows[max(0, row - split) :], keys))
