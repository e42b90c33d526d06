"""The message log: packed rows and payloads in chunks, made for the thread that appends to them.

One thread appends (the server's loop, or the simulation); any thread reads, at any time, without a lock. That is
safe under the GIL by three rules: a payload is stored before its row, so whoever copies the rows first finds every
payload; a chunk that is full becomes immutable; and a row buffer that still grows is only ever copied, never
exported (a `memoryview` of it would make the next append raise BufferError in the loop).

A row is `ROW_BYTES` wide. A burst, a range of a program's steps, is one row too: it is spelled out by who reads.
DataFrames are made of all this in `mockforge_nb.traffic`.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Sequence
from struct import Struct
from typing import TYPE_CHECKING, Any, Final, TypeAlias

from .events import NAN
from .message import BINARY, TEXT, Message
from .record import ConnectionRecord

if TYPE_CHECKING:
    from .program import Program

IN: Final = 0
OUT: Final = 1

HANDSHAKE: Final = 16
"""A row that is no frame, as is `ABORT`; the wire's opcodes have four bits (RFC 6455 §5.2)."""

BURST: Final = 255
"""Marks a row that stands for a range: `step` is its first step, `size` how many, `rule` the program's index."""

FIELDS: Final = (
    ("time", "q"),  # ns since the epoch
    ("elapsed", "q"),  # ns since the server started
    ("due", "d"),  # ms; a burst's is start + at * scale: this is the start
    ("delay", "d"),  # ms; a burst's scale
    ("origin", "i"),  # index into Log.origins
    ("step", "i"),
    ("rule", "i"),
    ("extra", "i"),  # index into Rows.extras; -1: none
    ("direction", "H"),
    ("opcode", "H"),
    ("size", "I"),
)
"""A row's fields and their `struct` codes, little-endian and aligned as they stand."""

_ROW = Struct("<" + "".join(code for _, code in FIELDS))
ROW_BYTES: Final = _ROW.size
_HEAD = Struct(_ROW.format[:-1])
_SIZE = Struct("<I")
_SCAN = Struct("<q24xi4xiiHHI")
_pack, _pack_head, _pack_size = _ROW.pack, _HEAD.pack, _SIZE.pack

_CHUNK_BYTES = 2**20
_MIN_CHUNK_BYTES = 16_384
_LARGE = 1024
"""From which size on, on average, payloads are kept as they are."""
_ROW_COST = 128
"""What a row takes of its chunk beside its payload: it bounds a chunk to some 8,000 rows."""
_STEP_COST = 32
"""The same for a burst's step, which takes room only once it is spelled out."""
_BATCH = 1024
FORWARDED: Final = "forwarded"
CHANGED: Final = "changed"
DROPPED: Final = "dropped"
INJECTED: Final = "injected"
ANSWERED: Final = "answered"
REPLAYED: Final = "replayed"
"""What a proxy does with a message: passes it on as it came or not, keeps it back, adds it, answers by itself, plays
what was recorded (or takes it for what was).
"""
_MOST_REFUSED = 10_000
"""How many paths of refused handshakes are told apart."""


Extra: TypeAlias = tuple[str | None, tuple[int, str] | None, str | None]
"""A row's faults, its close, and what a proxy did with it."""


class Chunk:
    """Neighbouring rows and their payloads.

    Attributes:
        first: The number of its first row, from the log's last `clear()`.
        rows: The packed rows: a bytearray while it grows, bytes once it is full.
        payloads: One a row: a list while it grows, joined or a tuple once it is full, None once they are forgotten.
        size: How many bytes they have; 0: it grows.
        originals: What came in place of what a proxy passed on, by the row's number in this chunk; None: forgotten.
        bursts: For each burst, the number in this chunk of the row after it and the packed row after it.
    """

    __slots__ = ("bursts", "first", "kept", "originals", "payloads", "rows", "size")

    def __init__(self, first: int) -> None:
        self.first = first
        self.rows: bytearray | bytes = bytearray()
        self.payloads: list[bytes] | tuple[bytes, ...] | bytes | None = []
        self.originals: dict[int, str | bytes] | None = None
        self.bursts: list[tuple[int, int]] = []
        self.kept = self.size = 0

    def seal(self) -> int:
        """Make it immutable; return how many bytes its payloads have.

        Small ones are joined, as each would take 33 bytes of its own. Large ones stay as they are: what an echo or a
        broadcast sent is then one object in several rows, and copying them would cost more than the rest of the log.
        """
        payloads = self.payloads
        assert isinstance(payloads, list)
        self.kept = len(payloads) - payloads.count(b"")
        self.size = sum(map(len, payloads))
        large = self.size > _LARGE * len(payloads)
        if self.originals:
            self.size += sum(map(len, self.originals.values()))
        self.payloads = tuple(payloads) if large else b"".join(payloads)
        self.rows = bytes(self.rows)
        return self.size

    def snapshot(self) -> tuple[bytes, bytes | None]:
        """Return the packed rows and at least their payloads, joined; None: forgotten. For any thread."""
        rows = bytes(self.rows)
        payloads = self.payloads
        # A copy, because join() does not bear a list that grows.
        if isinstance(payloads, list):
            payloads = payloads.copy()
        return rows, payloads if payloads is None or isinstance(payloads, bytes) else b"".join(payloads)

    def packed_index(self, row: int) -> tuple[int, int]:
        """Return where row number `row` of this chunk is packed, and the number of the first row packed there."""
        index = bisect_right(self.bursts, (row, 2**62))
        after, at = self.bursts[index - 1] if index else (0, 0)
        packed = at + row - after
        if index < len(self.bursts):
            packed = min(packed, self.bursts[index][1] - 1)
            if packed == self.bursts[index][1] - 1:
                return packed, after + packed - at
        return packed, row


class Rows:
    """All rows since the log's last `clear()`, which puts a new one in its place.

    Attributes:
        base: The absolute number of the first row.
        count: How many rows there are, bursts spelled out.
        chunks: The rows; the last chunk grows.
        gone: How many chunks, from the first on, have lost their payloads.
        forgotten: How many rows that had a payload have lost it.
        programs: What bursts point to; `rules`: the rule that each answers by, -1: none.
        extras: Faults, closes and what a proxy did, which few rows have.
        cache: What a reader keeps of the rows it has converted; it goes with them.
    """

    __slots__ = (
        "_bound", "_extra_index", "_held", "_program_index", "_size", "base", "cache", "chunk", "chunks", "count",
        "extras", "forgotten", "gone", "programs", "room", "rules",
    )  # fmt: skip

    def __init__(self, base: int, log_bytes: int) -> None:
        self.base = base
        self.count = 0
        self.chunk = Chunk(0)
        self.chunks = [self.chunk]
        self.gone = 0
        self.forgotten = 0
        self.programs: list[Program] = []
        self.rules: list[int] = []
        self.extras: list[Extra] = []
        self.cache: Any = None
        self._program_index: dict[tuple[Program, int], int] = {}
        self._extra_index: dict[Extra, int] = {}
        self._size = min(_CHUNK_BYTES, max(_MIN_CHUNK_BYTES, log_bytes // 8))
        self._bound = max(0, log_bytes - self._size)
        self._held = 0
        self.room = self._size

    def seal(self) -> None:
        """Begin a new chunk, and forget the oldest payloads beyond the bound."""
        self._held += self.chunk.seal()
        while self._held > self._bound:
            oldest = self.chunks[self.gone]
            self._held -= oldest.size
            self.forgotten += oldest.kept
            oldest.payloads = oldest.originals = None
            self.gone += 1
        chunk = Chunk(self.count)
        self.chunks.append(chunk)
        self.chunk = chunk
        self.room = self._size

    def program_index(self, program: Program, rule: int) -> int:
        """Return the index of `program` where it answers by `rule`."""
        index = self._program_index.get((program, rule))
        if index is None:
            index = self._program_index[program, rule] = len(self.programs)
            # Its rule first: whoever reads the rows on another thread finds both.
            self.rules.append(rule)
            self.programs.append(program)
        return index

    def extra_index(self, fault: str | None, close: tuple[int, str] | None, relay: str | None = None) -> int:
        """Return the index of a fault, a close and what a proxy did."""
        key = (fault, close, relay)
        index = self._extra_index.get(key)
        if index is None:
            index = self._extra_index[key] = len(self.extras)
            self.extras.append(key)
        return index


class Log:
    """What crossed the wire, in order, with each connection that it crossed on.

    Handshakes that were refused have rows too: their `ConnectionRecord` has the number 0 (or there is None) and is
    not in `connections`.

    Args:
        log_bytes: How many bytes of payloads to keep (to within 16 KiB). The oldest leave memory first, some at
            a time; their rows stay, with their sizes. A burst's payloads are its program's and are never forgotten.

    Attributes:
        connections: Each connection since the server started, open or closed.
        started_ns: When the server started, in nanoseconds since the epoch.
        rows: The rows, for who converts them.
        origins: Every record that rows point to: `connections`, refused handshakes, and first what None stands for.
        url: Where all this crossed: a proxy's upstream, else the server itself.
        relays: Whether a proxy's messages are among them, so that the columns `relay` and `original` are there.
        counted: Called before rows are dropped, for who adds them up; None: nobody does.
    """

    def __init__(self, log_bytes: int = 256 * 2**20) -> None:
        self.connections: list[ConnectionRecord] = []
        self.started_ns = 0
        self.url = ""
        self.relays = False
        self.counted: Callable[[], None] | None = None
        self.origins: list[ConnectionRecord] = [ConnectionRecord(0)]
        self._refused: dict[tuple[str, str | None], int] = {}
        self._log_bytes = log_bytes
        self.rows = Rows(0, log_bytes)

    def __len__(self) -> int:
        """Return the number of rows since the last `clear()`, bursts spelled out."""
        return self.rows.count

    def __repr__(self) -> str:
        return f"<Log {len(self)} rows, {len(self.connections)} connections>"

    @property
    def position(self) -> int:
        """The absolute number of the next row; it only grows, also over `clear()`."""
        rows = self.rows
        return rows.base + rows.count

    @property
    def forgotten(self) -> int:
        """How many rows since the last `clear()` have lost their payload to the bound."""
        return self.rows.forgotten

    def open(self, record: ConnectionRecord) -> None:
        """Add a connection."""
        self.connections.append(record)
        self._introduce(record)

    def add(
        self,
        time_ns: int,
        elapsed_ns: int,
        connection: ConnectionRecord | None,
        direction: int,
        opcode: int,
        payload: bytes,
        step: int = -1,
        rule: int = -1,
        due_ms: float = NAN,
        delay_ms: float = NAN,
        fault: str | None = None,
        close: tuple[int, str] | None = None,
        relay: str | None = None,
        original: str | bytes | None = None,
    ) -> None:
        """Append one row; for the one writing thread.

        Args:
            time_ns: Nanoseconds since the epoch.
            elapsed_ns: Nanoseconds since the server started.
            connection: Where it crossed; None or number 0: a refused handshake.
            direction: ``IN`` or ``OUT``.
            opcode: RFC 6455's, or ``HANDSHAKE`` or ``ABORT``.
            payload: The payload; a handshake's is its text.
            step: The script's step, from 0; -1: none.
            rule: The rule's index; -1: none.
            due_ms: The script's time plus the injected delay; NaN: none.
            delay_ms: The injected delay; NaN: none.
            fault: The faults' names, joined by commas.
            close: A close's code and reason.
            relay: What a proxy did with it.
            original: What came, where a proxy passed on something else.
        """
        rows = self.rows
        chunk = rows.chunk
        size = len(payload)
        origin = 0
        if connection is not None:
            origin = connection._origin
            if origin < 0:
                origin = self._introduce(connection)
            if opcode <= BINARY:
                if direction:
                    connection.messages_out += 1
                    connection._sent += size
                else:
                    connection.messages_in += 1
                    connection.bytes_in += size
        plain = fault is None and close is None and relay is None
        extra = -1 if plain else rows.extra_index(fault, close, relay)
        if original is not None:
            if chunk.originals is None:
                chunk.originals = {}
            chunk.originals[rows.count - chunk.first] = original
            rows.room -= len(original)
        chunk.payloads.append(payload)  # type: ignore[union-attr]  # a list until seal(); an assert costs 20 ns
        chunk.rows += _pack(
            time_ns, elapsed_ns, due_ms, delay_ms, origin, step, rule, extra, direction, opcode, size
        )  # fmt: skip
        rows.count += 1
        rows.room -= size + _ROW_COST
        if rows.room < 0:
            rows.seal()

    def add_many(
        self,
        time_ns: int,
        elapsed_ns: int,
        connection: ConnectionRecord,
        direction: int,
        opcode: int,
        payloads: Sequence[bytes],
        relay: str | None = None,
    ) -> None:
        """Append rows that differ only in their payloads, such as one read's messages: a fifth of `add`'s cost."""
        rows = self.rows
        extra = -1 if relay is None else rows.extra_index(None, None, relay)
        origin = connection._origin
        if origin < 0:
            origin = self._introduce(connection)
        if len(payloads) == 1:
            total = len(payloads[0])
            chunk = rows.chunk
            chunk.payloads.append(payloads[0])  # type: ignore[union-attr]  # as in add()
            chunk.rows += _pack(time_ns, elapsed_ns, NAN, NAN, origin, -1, -1, extra, direction, opcode, total)
            rows.count += 1
            rows.room -= total + _ROW_COST
            if rows.room < 0:
                rows.seal()
        else:
            total = self._add_batches(
                _pack_head(time_ns, elapsed_ns, NAN, NAN, origin, -1, -1, extra, direction, opcode), payloads
            )
        if opcode <= BINARY:
            if direction:
                connection.messages_out += len(payloads)
                connection._sent += total
            else:
                connection.messages_in += len(payloads)
                connection.bytes_in += total

    def _add_batches(self, head: bytes, payloads: Sequence[bytes]) -> int:
        """Append rows that begin with the packed `head`; return how many bytes of payload they have."""
        rows = self.rows
        total = 0
        for start in range(0, len(payloads), _BATCH):
            batch = payloads[start : start + _BATCH]
            sizes = [*map(len, batch)]
            size = sum(sizes)
            total += size
            chunk = rows.chunk
            chunk.payloads.extend(batch)  # type: ignore[union-attr]  # as in add()
            chunk.rows += head + head.join(map(_pack_size, sizes))
            rows.count += len(batch)
            rows.room -= size + _ROW_COST * len(batch)
            if rows.room < 0:
                rows.seal()
        return total

    def add_burst(
        self,
        time_ns: int,
        elapsed_ns: int,
        connection: ConnectionRecord,
        program: Program,
        first: int,
        last: int,
        due_ms_scale: float = 1.0,
        due_ms_base: float = 0.0,
        rule: int = -1,
        relay: str | None = None,
    ) -> None:
        """Append the program's plain steps from `first` to before `last` as sent by `rule`, at the cost of one row.

        Step ``i`` was due at ``due_ms_base + program.at[i] * due_ms_scale``.
        """
        if last <= first:
            return
        rows = self.rows
        chunk = rows.chunk
        origin = connection._origin
        if origin < 0:
            origin = self._introduce(connection)
        connection._burst(program, first, last)
        chunk.payloads.append(b"")  # type: ignore[union-attr]  # as in add()
        chunk.rows += _pack(
            time_ns, elapsed_ns, due_ms_base, due_ms_scale, origin, first, rows.program_index(program, rule),
            -1 if relay is None else rows.extra_index(None, None, relay), OUT,
            BURST, last - first,
        )  # fmt: skip
        count = rows.count + last - first
        chunk.bursts.append((count - chunk.first, len(chunk.rows) // ROW_BYTES))
        rows.count = count
        rows.room -= _ROW_COST + _STEP_COST * (last - first)
        if rows.room < 0:
            rows.seal()

    def clear(self) -> None:
        """Drop all rows; the connections and `position` stay. For any thread."""
        if self.counted is not None:
            self.counted()
        old = self.rows
        new = Rows(old.base + old.count, self._log_bytes)
        self.rows = new
        # The writer may have ended a row in between: `position` has been further, and must not go back.
        new.base = max(new.base, old.base + old.count)

    def messages(self, start: int = 0, stop: int | None = None) -> list[Message]:
        """Return the client's messages among the rows from `start` to before `stop`.

        Those whose payload was forgotten are left out. For any thread.

        Args:
            start: The absolute number of a row, as `position` told it.
            stop: The same; None: to the end.
        """
        rows = self.rows
        start = max(0, start - rows.base)
        stop = rows.count if stop is None else min(rows.count, stop - rows.base)
        found: list[Message] = []
        chunks = rows.chunks
        for index in range(bisect_right(chunks, start, key=lambda c: c.first) - 1, len(chunks)):
            chunk = chunks[index]
            if chunk.first >= stop:
                break
            self._scan(rows, chunk, max(0, start - chunk.first), stop - chunk.first, found)
        return found

    def _scan(self, rows: Rows, chunk: Chunk, start: int, stop: int, found: list[Message]) -> None:
        # The payloads first: a list, even of a chunk that is sealed meanwhile, has all that the rows will need.
        payloads, originals = chunk.payloads, chunk.originals
        packed = row = 0
        if isinstance(payloads, list):
            # Who waits asks for the newest rows of the chunk that grows, again and again: copy no others.
            packed, row = chunk.packed_index(start)
        elif payloads is None:
            return
        data = bytes(chunk.rows[packed * ROW_BYTES :])
        offset = 0
        for index, (time, origin, _, extra, direction, opcode, size) in enumerate(_SCAN.iter_unpack(data), packed):
            if row >= stop:
                return
            if opcode == BURST:
                row += size
                continue
            said = row >= start and direction == IN and opcode in (TEXT, BINARY)
            if said and (extra < 0 or rows.extras[extra][2] != INJECTED):
                payload = payloads[offset : offset + size] if isinstance(payloads, bytes) else payloads[index]
                if originals is not None and row in originals:
                    was = originals[row]
                    opcode, payload = (TEXT, was.encode()) if isinstance(was, str) else (BINARY, was)
                found.append(Message(payload, opcode, connection=self.origins[origin].number, time=time))
            offset += size
            row += 1

    def _introduce(self, record: ConnectionRecord) -> int:
        """Give `record` its place in `origins`; refused handshakes on one path share one, however many come."""
        key = (record.path, record.trace_id)
        if record.number == 0 and key in self._refused:
            record._origin = self._refused[key]
        elif record.number == 0 and len(self._refused) >= _MOST_REFUSED:
            record._origin = 0  # somebody tries all paths there are
        elif record._origin < 0:
            record._origin = len(self.origins)
            self.origins.append(record)
            if record.number == 0:
                self._refused[key] = record._origin
        return record._origin
