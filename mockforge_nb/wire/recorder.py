"""Writes a recording as it comes, on a thread of its own, so that no disk holds up the loop."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from io import TextIOWrapper
from pathlib import Path
from queue import SimpleQueue
from typing import Any, Final, TypeAlias

from mockforge_nb.core.plan import Recording
from mockforge_nb.core.record import ConnectionRecord
from mockforge_nb.core.recording import Lines, head_of, written
from mockforge_nb.errors import RecordingError
from mockforge_nb.formats.lines import salvaged
from mockforge_nb.formats.parquet import ParquetRecording, beside, was_recorded
from mockforge_nb.formats.private import private

from .claims import claim, release

GATHER_SECONDS: Final = 0.05
"""How long lines are gathered before they are written; a process that is killed loses no more."""

PARQUET: Final = ".parquet"

Row: TypeAlias = tuple[ConnectionRecord, int, int, int, bytes, tuple[int, str] | None]


@dataclass(frozen=True, slots=True)
class _Place:
    """A connection's number in a recording, and which of its times (ms) is which of the traffic's (UTC ns)."""

    number: int
    ts_ms: float
    since_ns: int


class Recorder:
    """A recording file that grows.

    A Parquet file can be read only once it is whole: as long as it grows, its lines are in a replay file beside it.

    Args:
        wanted: What is recorded where. Only the file's owner may read it; a recording that is there is replaced, or
            with `append` gone on with.
        first: Its first line.

    Raises:
        RecordingError: The file is there and is no recording, cannot be written, or is being recorded by others.
    """

    def __init__(self, wanted: Recording, first: dict[str, Any]) -> None:
        self.path = path = Path(wanted.path)
        self._wanted, self._first = wanted, first
        self.error: RecordingError | None = None
        self._made = Lines(wanted.redact)
        self._rows: SimpleQueue[Row | None] = SimpleQueue()
        self._numbers: dict[int, _Place] = {}  # by the connection's number
        table = path.suffix.lower() == PARQUET
        self._lines = beside(path) if table else path
        self._there = [line for _, line in salvaged(path).entries] if wanted.append else [first]
        self._ends = _ends(self._there)
        self._file: TextIOWrapper | None = None
        self._closed = False
        self._pid = os.getpid()  # where its thread is
        self._table: ParquetRecording | None = None
        there = claim(path)
        try:
            self._look()
            # What is there is kept until there is something to put in its place.
            if not there:
                self._begin()
        except BaseException:
            release(path)
            raise
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._work, name="mockforge_nb recorder", daemon=True)
        self._thread.start()

    def _look(self) -> None:
        """See that the files may be written."""
        for each in {self.path, self._lines}:
            try:
                if each.exists() and not _replaceable(each):
                    raise RecordingError(f"{each} is there and is no recording; move it, or record to another file")
            except OSError as error:
                raise RecordingError(f"{self.path} cannot be written: {error.strerror}") from error
            if each.exists() and not os.access(each, os.W_OK):
                raise RecordingError(f"{self.path} cannot be written: Permission denied")

    def _begin(self) -> None:
        """Open the files, and write the lines that are there from the first."""
        try:
            file = private(self._lines)
            self._table = ParquetRecording(self.path, self._there[0]) if self._lines != self.path else None
        except OSError as error:
            raise RecordingError(f"{self.path} cannot be written: {error.strerror}") from error
        self._file = TextIOWrapper(file, encoding="utf-8", newline="\n")
        for line in self._there:
            self._add(line)
        self._file.flush()

    def tap(
        self,
        record: ConnectionRecord,
        time_ns: int,
        direction: int,
        opcode: int,
        payload: bytes,
        close: tuple[int, str] | None,
    ) -> None:
        """Take a row of the traffic; for the loop's thread."""
        self._rows.put((record, time_ns, direction, opcode, payload, close))

    def close(self) -> None:
        """Write what is left, and end; closing twice is fine."""
        if self._closed:
            return
        self._closed = True
        self._rows.put(None)
        self._stop.set()
        self._thread.join(10)
        release(self.path)

    def again(self) -> Recorder:
        """Return a recorder that goes on behind what this one has recorded: itself, unless it is closed or a parent's.

        Raises:
            RecordingError: The file cannot be written any more.
        """
        if not self._closed and self._pid == os.getpid():
            return self
        began = self._file is not None and self.path.exists()
        made = Recorder(replace(self._wanted, append=began or self._wanted.append), self._first)
        made.error = self.error
        return made

    def _work(self) -> None:
        while (row := self._rows.get()) is not None:
            try:
                if self._file is None:
                    self._begin()
                self._write(row)
                while not self._rows.empty() and (row := self._rows.get()) is not None:
                    self._write(row)
                if self._file is not None:
                    self._file.flush()
            except RecordingError as error:
                self.error = self.error or error
            except (OSError, ValueError) as error:
                self.error = self.error or RecordingError(f"{self.path} cannot be written: {error}")
            if row is None:
                break
            self._stop.wait(GATHER_SECONDS)
        if self._file is not None:
            self._file.close()
        self._complete()

    def _complete(self) -> None:
        """Make a Parquet file whole; its lines are needed no more."""
        if self._table is None:
            return
        try:
            self._table.close()
            self._lines.unlink()
        except (OSError, ValueError) as error:
            problem = f"{self.path} cannot be written: {error}; {self._lines} has what was recorded"
            self.error = self.error or RecordingError(problem)

    def _write(self, row: Row) -> None:
        record, time_ns, direction, opcode, payload, close = row
        place = self._numbers.get(record.number)
        if place is None:
            place = self._numbers[record.number] = self._place(record, time_ns)
        ts_ms = place.ts_ms + (time_ns - place.since_ns) / 1e6
        line = self._made.line(ts_ms, place.number, direction, opcode, payload, close)
        if line is not None:
            self._add(line)

    def _place(self, record: ConnectionRecord, time_ns: int) -> _Place:
        """Return where a connection stands in the recording: behind its own tape, or as a new one."""
        if record.tape in self._ends:
            return _Place(record.tape, self._ends[record.tape], time_ns)
        number = max([record.number, *(each + 1 for each in self._ends)]) if self._wanted.append else record.number
        self._ends[number] = 0.0
        self._add(head_of(record, number))
        return _Place(number, 0.0, record.opened_ns)

    def _add(self, line: dict[str, Any]) -> None:
        assert self._file is not None
        self._file.write(written(line))
        if self._table is not None and "mockforge" not in line:
            self._table.add(line)


def _ends(lines: Iterable[Mapping[str, Any]]) -> dict[int, float]:
    """Return the last time (ms) of each connection of a recording."""
    ends: dict[int, float] = {}
    for line in lines:
        number = line.get("connection")
        if isinstance(number, int):
            ends[number] = max(ends.get(number, 0.0), float(line.get("ts", 0.0)))
    return ends


def _replaceable(path: Path) -> bool:
    """Return whether a file is empty or a recording, which may be made anew."""
    if path.suffix.lower() == PARQUET:
        # One that was cut off has its lines beside it.
        cut = beside(path)
        return not path.stat().st_size or was_recorded(path) or (cut.exists() and _replaceable(cut))
    with path.open("rb") as file:
        first = file.readline(4096)
    return not first or (first.startswith(b'{"mockforge":') and b'"recorded":' in first)
