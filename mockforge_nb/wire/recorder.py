"""Writes a recording as it comes, on a thread of its own, so that no disk holds up the loop."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from io import TextIOWrapper
from pathlib import Path
from queue import SimpleQueue
from typing import Any, Final, TypeAlias

from mockforge_nb.core.record import ConnectionRecord
from mockforge_nb.core.recording import Lines, head_of, written
from mockforge_nb.errors import RecordingError
from mockforge_nb.formats.parquet import ParquetRecording, beside, is_recording
from mockforge_nb.formats.private import private

GATHER_SECONDS: Final = 0.05
"""How long lines are gathered before they are written; a process that is killed loses no more."""

PARQUET: Final = ".parquet"

Row: TypeAlias = tuple[ConnectionRecord, int, int, int, bytes, tuple[int, str] | None]


class Recorder:
    """A recording file that grows.

    A Parquet file can be read only once it is whole: as long as it grows, its lines are in a replay file beside it.

    Args:
        path: The file, which only its owner may read; a recording that is there is replaced.
        first: Its first line.
        redact: JSONPaths (compiled) of what must not be recorded.

    Raises:
        RecordingError: The file is there and is no recording, or cannot be written.
    """

    def __init__(self, path: Path, first: dict[str, Any], redact: Sequence[Any]) -> None:
        self.path = path
        self.error: RecordingError | None = None
        self._made = Lines(redact)
        self._rows: SimpleQueue[Row | None] = SimpleQueue()
        self._known: set[int] = set()  # the connections that have lines
        table = path.suffix.lower() == PARQUET
        self._lines = beside(path) if table else path
        try:
            for each in {path, self._lines}:
                if each.exists() and not _replaceable(each):
                    raise RecordingError(f"{each} is there and is no recording; move it, or record to another file")
            file = private(self._lines)
            self._table = ParquetRecording(path, first) if table else None
        except OSError as error:
            raise RecordingError(f"{path} cannot be written: {error.strerror}") from error
        self._file = TextIOWrapper(file, encoding="utf-8", newline="\n")
        self._file.write(written(first))
        self._file.flush()
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._work, name="mockforge_nb recorder", daemon=True)
        self._thread.start()

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
        """Write what is left, and end."""
        self._rows.put(None)
        self._stop.set()
        self._thread.join(10)

    def _work(self) -> None:
        while (row := self._rows.get()) is not None:
            try:
                self._write(row)
                while not self._rows.empty() and (row := self._rows.get()) is not None:
                    self._write(row)
                self._file.flush()
            except (OSError, ValueError) as error:
                self.error = self.error or RecordingError(f"{self.path} cannot be written: {error}")
            if row is None:
                break
            self._stop.wait(GATHER_SECONDS)
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
        ts_ms = (time_ns - record.opened_ns) / 1e6
        line = self._made.line(ts_ms, record.number, direction, opcode, payload, close)
        if line is None:
            return
        if record.number not in self._known:
            self._known.add(record.number)
            self._add(head_of(record))
        self._add(line)

    def _add(self, line: dict[str, Any]) -> None:
        self._file.write(written(line))
        if self._table is not None:
            self._table.add(line)


def _replaceable(path: Path) -> bool:
    """Return whether a file is empty or a recording, which may be made anew."""
    if path.suffix.lower() == PARQUET:
        # One that was cut off has its lines beside it.
        cut = beside(path)
        return not path.stat().st_size or is_recording(path) or (cut.exists() and _replaceable(cut))
    with path.open("rb") as file:
        first = file.readline(4096)
    return not first or (first.startswith(b'{"mockforge":') and b'"recorded":' in first)
