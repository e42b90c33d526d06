"""What a server's log adds up to, for metrics: counted when somebody asks, so that no message waits for it."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from threading import Lock
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from mockforge_nb.core.faults import lost
from mockforge_nb.core.log import BURST, FIELDS, HANDSHAKE, ROW_BYTES
from mockforge_nb.core.message import BINARY, TEXT

if TYPE_CHECKING:
    import numpy.typing as npt

    from mockforge_nb.core.log import Log, Rows
    from mockforge_nb.core.program import Program

    Array = npt.NDArray[Any]

MOST_VALUES: Final = 10_000
"""Of how many messages, evenly, one count at most keeps the sizes and delays: a histogram takes them one by one."""
MOST_RANGES: Final = 256
"""Of how many of the bursts that come again the sizes are remembered."""

WAYS: Final = ("in", "out")
_DTYPE: Final = [(name, "<" + code) for name, code in FIELDS]


@dataclass(slots=True)
class Values:
    """What came since the last count, of one path and direction: sizes (bytes) and injected delays (s)."""

    sizes: list[int] = field(default_factory=list)
    delays: list[float] = field(default_factory=list)


class Tally:
    """Counts what a log has had since the server started; any thread may ask, and must before rows are dropped.

    Args:
        log: The log.

    Attributes:
        messages: How many messages crossed the wire, by path (as the mock was told it) and direction; `bytes`: their
            payloads. What a fault lost did not.
        faults: How many rows each fault struck, by path and name.
        refused: How many handshakes were refused, by path.
    """

    def __init__(self, log: Log) -> None:
        self.messages: Counter[tuple[str, str]] = Counter()
        self.bytes: Counter[tuple[str, str]] = Counter()
        self.faults: Counter[tuple[str, str]] = Counter()
        self.refused: Counter[str] = Counter()
        self._log = log
        self._lock = Lock()
        self._rows: Rows = log.rows
        self._chunk = self._offset = 0
        self._ranges: dict[tuple[int, int, int], Array] = {}

    def count(self) -> dict[tuple[str, str], Values]:
        """Count what has come since the last time; return the single values of it."""
        found: dict[tuple[str, str], Values] = {}
        with self._lock:
            while True:
                rows = self._rows
                self._read(rows, found)
                newest = self._log.rows
                if newest is rows:
                    return found
                # The log was cleared: what came just before that has now been read with the old rows.
                self._rows, self._chunk, self._offset = newest, 0, 0
                self._ranges.clear()

    def _read(self, rows: Rows, found: dict[tuple[str, str], Values]) -> None:
        parts = []
        chunks = rows.chunks[:]
        for index in range(self._chunk, len(chunks)):
            # A row buffer that grows is only ever copied.
            part = bytes(chunks[index].rows[self._offset :])
            parts.append(part)
            if index < len(chunks) - 1:
                self._chunk, self._offset = index + 1, 0
            else:
                self._offset += len(part)
        data = b"".join(parts)
        if data:
            assert len(data) % ROW_BYTES == 0
            self._add(rows, np.frombuffer(data, _DTYPE), found)

    def _add(self, rows: Rows, packed: Array, found: dict[tuple[str, str], Values]) -> None:
        origins = self._log.origins[:]
        codes = {route: code for code, route in enumerate(dict.fromkeys(record.route for record in origins))}
        routes = list(codes)
        numbers = np.array([record.number for record in origins])
        ours = np.array([codes[record.route] for record in origins])[packed["origin"]]
        opcode = packed["opcode"]
        self._refuse(routes, packed, ours, numbers)
        self._strike(rows, routes, packed, ours)
        burst = opcode == BURST
        # The last is for index -1: no extra.
        gone = np.array([lost(fault) for fault, _, _ in rows.extras] + [False])
        single = ((opcode == TEXT) | (opcode == BINARY)) & ~gone[packed["extra"]]
        for origin in np.unique(ours[burst | single]).tolist():
            for way, name in enumerate(WAYS):
                mine = (ours == origin) & (packed["direction"] == way)
                some = packed[mine & single]
                sizes = [some["size"].astype(np.int64)]
                sizes += [self._sizes(rows, one) for one in packed[mine & burst]]
                all_sizes = np.concatenate(sizes)
                if not len(all_sizes):
                    continue
                key = (routes[origin], name)
                self.messages[key] += len(all_sizes)
                self.bytes[key] += int(all_sizes.sum())
                delays = some["delay"][~np.isnan(some["delay"])] / 1000
                found[key] = Values(_evenly(all_sizes).tolist(), _evenly(delays).tolist())

    def _sizes(self, rows: Rows, one: Any) -> Array:
        """Return the sizes of a burst's messages."""
        first, count, index = int(one["step"]), int(one["size"]), int(one["rule"])
        sizes = self._ranges.get((index, first, count))
        if sizes is None:
            program: Program = rows.programs[index]
            sizes = np.fromiter(map(len, program.payloads(first, first + count)), np.int64, count)
            if len(self._ranges) >= MOST_RANGES:
                del self._ranges[next(iter(self._ranges))]
            self._ranges[index, first, count] = sizes
        return sizes

    def _refuse(self, routes: list[str], packed: Array, ours: Array, numbers: Array) -> None:
        refused = (packed["opcode"] == HANDSHAKE) & (numbers[packed["origin"]] == 0)
        for origin, count in zip(*np.unique(ours[refused], return_counts=True), strict=True):
            self.refused[routes[origin]] += int(count)

    def _strike(self, rows: Rows, routes: list[str], packed: Array, ours: Array) -> None:
        extra = packed["extra"].astype(np.int64)
        marked = extra >= 0
        pairs, counts = np.unique(np.stack([ours[marked], extra[marked]]), axis=1, return_counts=True)
        for (origin, index), count in zip(pairs.T.tolist(), counts.tolist(), strict=True):
            for fault in (rows.extras[index][0] or "").split(","):
                if fault:
                    self.faults[routes[origin], fault] += count


def _evenly(values: Array) -> Array:
    """Return at most `MOST_VALUES` of the values, evenly, the smallest and the largest among them."""
    if len(values) <= MOST_VALUES:
        return values
    chosen = np.linspace(0, len(values) - 1, MOST_VALUES).astype(np.int64)
    chosen[[MOST_VALUES // 3, 2 * MOST_VALUES // 3]] = values.argmin(), values.argmax()
    return values[chosen]
