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
from typing import TYPE_CHECKING, Any, TypeAlias
from weakref import WeakValueDictionary

from .program import KEPT_BYTES, Program, StepSource
from .times import Scaled, Times

if TYPE_CHECKING:
    from .keys import Ints, Keys
    from .subscribing import Subscription

MS: int = 1_000_000
"""How many ns a ms has."""


class Chosen:
    """Rows of a table in the order in which they are played: first a snapshot's, then the others.

    Args:
        heads: The rows of the snapshot.
        rows: The others, in order: a view of what others are played too.
        early: Which of these are left out, in order, as the snapshot has them.
    """

    def __init__(self, heads: Ints, rows: Ints, early: Ints) -> None:
        import numpy as np

        self.heads, self.rows, self.early = heads, rows, early
        # For each row that is left out, which one of those that are left comes behind it.
        self._gaps = np.searchsorted(rows, early) - np.arange(len(early))

    def __len__(self) -> int:
        return len(self.heads) + len(self.rows) - len(self.early)

    def __getitem__(self, part: slice) -> Ints:
        import numpy as np

        first, last, _ = part.indices(len(self))
        split = len(self.heads)
        rows = self._rest(max(first - split, 0), max(last - split, 0))
        return rows if first >= split else np.concatenate([self.heads[first:last], rows])

    def _rest(self, first: int, last: int) -> Ints:
        import numpy as np

        if not len(self.early):
            return self.rows[first:last]
        places = np.arange(first, last)
        rest: Ints = self.rows[places + np.searchsorted(self._gaps, places, side="right")]
        return rest

    def one(self, index: int) -> int:
        """Return one row."""
        place = index - len(self.heads)
        if place < 0:
            return int(self.heads[index])
        return int(self.rows[place + bisect_right(self._gaps, place)] if len(self.early) else self.rows[place])

    def parts(self) -> tuple[Chosen, Chosen]:
        """Return the snapshot's rows, and the others, by themselves."""
        none = self.heads[:0]
        return Chosen(self.heads, self.rows[:0], none), Chosen(none, self.rows, self.early)

    def all(self, first: int = 0) -> tuple[Ints, Ints]:
        """Return the rows from place `first` on: what is left of the snapshot's, and of the others."""
        split = len(self.heads)
        return self.heads[min(first, split) :], self._rest(max(first - split, 0), len(self) - split)


Make: TypeAlias = Callable[["Chosen | None", "Ints | None", int], StepSource]
"""Makes steps of the chosen rows (None: all), one of each from bound to bound (None: of each row), their times moved
by so many ns."""


class _At(Times):
    """When chosen rows are due, or the lists that they are sent in."""

    def __init__(self, at: Sequence[float], chosen: Chosen, head: float, lists: Lists | None) -> None:
        self._at, self._chosen, self._head, self._lists = at, chosen, head, lists

    def __len__(self) -> int:
        return len(self._chosen if self._lists is None else self._lists.due)

    def one(self, index: int) -> float:
        """Return one time."""
        if self._lists is not None:
            return float(self._lists.due[index])
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


@dataclass(frozen=True, eq=False)
class Cut:
    """What one connection, or several, are played of a table.

    Attributes:
        chosen: The rows.
        at: When each is due, or each list of them (ms).
        lists: Which are sent as one list; None: each is sent by itself.
    """

    chosen: Chosen
    at: Sequence[float]
    lists: Lists | None = None

    def place(self, index: int) -> int:
        """Return the place in `chosen` of the first row of step `index`."""
        return index if self.lists is None else int(self.lists.bounds[index])


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
    _cut: WeakValueDictionary[object, Cut] = field(default_factory=WeakValueDictionary, repr=False)

    def scaled(self, factor: float) -> Cuts:
        """Return the same with its times divided by `factor`."""
        return replace(
            self,
            at=Scaled(self.at, factor),
            period=self.period / factor,
            begin=self.begin / factor,
            window=None if self.window is None else self.window / factor,
            _live=WeakValueDictionary(),
            _cut=WeakValueDictionary(),
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
        among = self.keys.texts if self.keys is not None and keys is None else tuple(keys or ())

        def chosen() -> Chosen:
            heads = self.latest(among if self.snapshot else (), first)
            return Chosen(heads, self.all_rows(keys, first), heads[heads >= first])

        return self._shared((keys, first, head if self.snapshot else 0.0), chosen, head, shift_ns)

    def round(self, keys: frozenset[str] | None, shift_ns: int) -> Program:
        """Return what a connection is played in a later round: the rows of its keys from the beginning."""
        none = self.latest((), 0)
        return self._shared((keys, None), lambda: Chosen(none, self.all_rows(keys), none), 0.0, shift_ns)

    def _shared(self, key: object, chosen: Callable[[], Chosen], head: float, shift_ns: int) -> Program:
        """Return a program that is made once for all who are played it now; what it has, once whatever their times."""
        program = self._live.get((key, shift_ns))
        if program is None:
            cut = self._cut.get(key)
            if cut is None:
                cut = self._cut[key] = self.cut(chosen(), head)
            program = self._live[key, shift_ns] = self.program(cut, shift_ns, shared=head in (0.0, self.begin))
        return program

    def cut(self, chosen: Chosen, head: float) -> Cut:
        """Return chosen rows with their times, those of a snapshot at `head` (ms)."""
        lists = None
        if self.window is not None:
            lists = Lists.of(self._due[chosen.all()[1]], self.window, len(chosen.heads), head)
        return Cut(chosen, _At(self.at, chosen, head, lists), lists)

    def program(self, cut: Cut, shift_ns: int, *, shared: bool) -> Program:
        """Return the program of what was cut; its times are the table's."""
        return Program(
            self.make(cut.chosen, None if cut.lists is None else cut.lists.bounds, shift_ns),
            cut.at,
            self.period,
            self.name,
            self.plain,
            cut=cut,
            # The frames of what one connection alone is played are not worth keeping.
            keep=KEPT_BYTES if shared and not shift_ns else 0,
        )

    @cached_property
    def _due(self) -> Any:
        import numpy as np

        return np.frombuffer(self.at) if isinstance(self.at, array) else np.asarray(self.at[0 : self.count])


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
        assert program.cut is not None
        self.keys = keys
        first = cuts.entry(head)
        old, new = before & keys, keys - before
        chosen = program.cut.chosen
        place = program.cut.place(index)
        heads = cuts.latest(tuple(new) if cuts.snapshot else (), first)
        early = np.sort(np.concatenate([cuts.keys.among(chosen.early, old), heads]))
        early = early[early >= first]
        split = len(chosen.heads)
        sent_on = place > split and chosen.one(place - 1) >= first  # what is due at this very moment is on its way
        late = place < len(chosen) and (place < split or chosen.one(place) < first)
        if sent_on or late:
            left_heads, left = chosen.all(place)
            rows = np.sort(np.concatenate([cuts.keys.among(left, old), cuts.all_rows(new, first)]))
            early = heads[heads >= first]
            heads = np.concatenate([cuts.keys.among(left_heads, old), heads])
        else:
            rows = cuts.all_rows(keys, first)  # nearly always; it is a view
        cut = cuts.cut(Chosen(heads, rows, early), head)
        return cuts.program(cut, cuts.shift_ns(self._base_ns, number), shared=False)
