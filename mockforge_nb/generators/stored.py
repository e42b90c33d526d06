"""Tables that are too large for memory: stored in a temporary file, a part of which is read when it is played."""

from __future__ import annotations

from array import array
from bisect import bisect_right
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Final

from mockforge_nb.core.message import TEXT
from mockforge_nb.core.program import Program, Step
from mockforge_nb.core.times import Even, Times

from .cutting import Cutting, KeyColumn, Template, check_template, cut_program
from .layout import Layout
from .scratch import Scratch
from .sources import Messages, Rows
from .times import Clock, check

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt
    import pandas as pd
    import pyarrow as pa

    Order = npt.NDArray[np.integer[Any]]

PART_ROWS: Final = 8192
PART_BYTES: Final = 2**20
"""About how much a part has."""

KEPT_PARTS: Final = 4
"""How many parts are kept as they were last read."""

TIMES_PART: Final = 4096


def program_from_batches(
    batches: Iterable[pa.RecordBatch],
    to_frame: Callable[[Any], pd.DataFrame],
    *,
    time: str | None = None,
    unit: str | None = None,
    rate: float | None = None,
    columns: Sequence[str] | None = None,
    template: Template | None = None,
    cutting: Cutting = Cutting(),  # noqa: B008  # it never changes
    names: Collection[str] = (),
    name: str,
) -> Program:
    """Make one message of each row of a table that comes in batches; arguments and errors as `program_from_frame`.

    The rows stay in their order. A function as `template` is called when a row is played.

    Raises:
        ScriptError: Its times are not in order, besides what is wrong with any table.
    """
    check(time, unit, rate)
    check_template(template)
    cutting.check(template)
    file = _File()
    layout: Layout | None = None
    clock: Clock | None = None
    keys = KeyColumn(cutting.by, name) if cutting.by is not None else None
    ends: tuple[int, int] | None = None
    for part in _parts(batches):
        frame = _numbered(to_frame(part), file.count)
        if layout is None:
            layout = Layout(
                frame, time=time, unit=unit, columns=columns, template=template, cutting=cutting, script=name
            )
            layout.rows(frame.head(1))  # what has no JSON form is told here
            clock = Clock(unit, name, layout.reference) if time is not None else None
        if clock is not None:
            clock.add(layout.times(frame))
        if keys is not None:
            keys.add(layout.keys(frame))
        layout.measure(frame)
        if cutting.cuts:
            own = layout.instants(frame)
            ends = own if ends is None or own is None else (min(ends[0], own[0]), max(ends[1], own[1]))
        file.add(part)
    assert layout is not None  # what is larger than memory has rows
    rows = StoredRows(file, to_frame, layout)
    recipe = layout.recipe(layout.material(rows, rows.moved, rows.dicts, ends), names)
    known = None if keys is None else keys.keys
    if rate is not None:
        period = file.count * 1000.0 / rate
        return cut_program(recipe, cutting, at=Even(file.count, 1000.0 / rate), period=period, keys=known)
    if clock is not None:
        clock.check(str(time))
    at: Sequence[float] = Even(file.count, 0.0) if clock is None else StoredTimes(clock)
    return cut_program(recipe, cutting, at=at, period=at[-1] + at[-1] / max(1, file.count - 1), keys=known)


def _numbered(frame: pd.DataFrame, first: int) -> pd.DataFrame:
    """Return a part whose rows are numbered as in the whole, for errors; other labels stay."""
    import pandas as pd

    if isinstance(frame.index, pd.RangeIndex):
        frame.index = pd.RangeIndex(first, first + len(frame))
    return frame


def _parts(batches: Iterable[pa.RecordBatch]) -> Iterator[pa.Table]:
    """Yield the rows of batches, which may be of any size, in parts of about `PART_ROWS` or `PART_BYTES`."""
    import pyarrow as pa

    waiting: list[pa.RecordBatch] = []
    rows = size = 0
    for batch in batches:
        step = max(1, min(PART_ROWS, batch.num_rows * PART_BYTES // max(1, batch.nbytes)))
        for first in range(0, batch.num_rows, step):
            piece = batch.slice(first, step)
            waiting.append(piece)
            rows, size = rows + piece.num_rows, size + piece.nbytes
            if rows >= PART_ROWS or size >= PART_BYTES:
                yield pa.Table.from_batches(waiting)
                waiting, rows, size = [], 0, 0
    if waiting:
        yield pa.Table.from_batches(waiting)


class _File:
    """Parts of a table in a file that is gone with the process, or when nothing refers to it any more.

    Attributes:
        count: How many rows it has.
        starts: For each part, its first row.
    """

    def __init__(self) -> None:
        self._scratch = Scratch()
        self._ends = array("q", [0])
        self.starts = array("q")
        self.count = 0

    def add(self, part: pa.Table) -> None:
        """Append a part."""
        import pyarrow as pa

        sink = pa.BufferOutputStream()
        options = pa.ipc.IpcWriteOptions(compression="lz4")
        with pa.ipc.new_stream(sink, part.schema, options=options) as writer:
            writer.write_table(part)
        self._scratch.append(memoryview(sink.getvalue()))
        self._ends.append(self._scratch.size)
        self.starts.append(self.count)
        self.count += part.num_rows

    def read(self, number: int) -> pa.Table:
        """Return a part."""
        import pyarrow as pa

        return pa.ipc.open_stream(self._scratch.read(self._ends[number], self._ends[number + 1])).read_all()


class StoredRows:
    """The rows of a stored table as a program's steps."""

    def __init__(self, file: _File, to_frame: Callable[[Any], pd.DataFrame], layout: Layout, shift_ns: int = 0) -> None:
        self._file, self._to_frame, self._layout, self._shift_ns = file, to_frame, layout, shift_ns
        self.opcode = None if layout.shaped else TEXT  # None: they may differ, and the program asks each step
        self._part = lru_cache(KEPT_PARTS)(self._read)

    def __len__(self) -> int:
        return self._file.count

    def _read(self, number: int) -> Rows | Messages:
        rows = self._layout.rows(self._frame(number))
        return rows.moved(self._shift_ns) if self._shift_ns and isinstance(rows, Rows) else rows

    def _frame(self, number: int) -> pd.DataFrame:
        return _numbered(self._to_frame(self._file.read(number)), self._file.starts[number])

    def moved(self, ns: int) -> StoredRows:
        """Return the rows with their times moved by so many ns."""
        return StoredRows(self._file, self._to_frame, self._layout, self._shift_ns + ns)

    def _by_part(self, rows: Order) -> Iterator[tuple[int, Order]]:
        """Yield the parts that have some rows, and which of their own rows these are."""
        import numpy as np

        starts = np.frombuffer(self._file.starts, dtype=np.int64)
        parts = np.searchsorted(starts, rows, side="right") - 1
        for own in np.split(np.arange(len(rows)), np.flatnonzero(np.diff(parts)) + 1):
            if len(own):
                number = int(parts[own[0]])
                yield number, rows[own] - starts[number]

    def gather(self, rows: Order) -> list[bytes]:
        """Return the payloads of some rows."""
        return [text for number, own in self._by_part(rows) for text in self._part(number).gather(own)]

    def dicts(self, rows: Order, shift_ns: int) -> list[tuple[Any, dict[str, Any]]]:
        """Return some rows as Python's own values; see `Layout.dicts`."""
        found: list[tuple[Any, dict[str, Any]]] = []
        for number, own in self._by_part(rows):
            found += self._layout.dicts(self._frame(number), own, shift_ns)
        return found

    def _find(self, index: int) -> tuple[Rows | Messages, int]:
        number = bisect_right(self._file.starts, index) - 1
        return self._part(number), self._file.starts[number]

    def payloads(self, first: int, last: int) -> list[bytes]:
        """Return the payloads of the rows from `first` to before `last`."""
        found: list[bytes] = []
        while first < last:
            part, start = self._find(first)
            end = min(last, start + len(part))
            found += part.payloads(first - start, end - start)
            first = end
        return found

    def payload(self, index: int) -> bytes:
        """Return one row's payload."""
        part, start = self._find(index)
        return part.payload(index - start)

    def __getitem__(self, index: int) -> Step:
        at = range(len(self))[index]
        part, start = self._find(at)
        return part[at - start]


class StoredTimes(Times):
    """The times of rows by a column, read from disk a part at a time (ms)."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._part = lru_cache(KEPT_PARTS)(self._read)

    def __len__(self) -> int:
        return self._clock.count

    def _read(self, number: int) -> array[float]:
        return array("d", self._clock.ms(number * TIMES_PART, (number + 1) * TIMES_PART).tobytes())

    def some(self, part: slice) -> Sequence[float]:
        """Return several times, read at once."""
        first, last, step = part.indices(len(self))
        return array("d", self._clock.ms(first, last)[::step].tobytes())

    def one(self, index: int) -> float:
        """Return one time; its neighbours are read with it."""
        number, at = divmod(index, TIMES_PART)
        return self._part(number)[at]
