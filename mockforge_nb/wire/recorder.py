"""Writes a recording as it comes, on a thread of its own, so that no disk holds up the loop."""

from __future__ import annotations

import os
import threading
from collections.abc import Sequence
from pathlib import Path
from queue import SimpleQueue
from typing import Any, Final

from mockforge_nb.core.record import ConnectionRecord
from mockforge_nb.core.recording import line_of, written
from mockforge_nb.errors import RecordingError

GATHER_SECONDS: Final = 0.05
"""How long lines are gathered before they are written; a process that is killed loses no more."""


class Recorder:
    """A recording file that grows.

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
        self._redact = redact
        self._rows: SimpleQueue[tuple[Any, ...] | None] = SimpleQueue()
        try:
            if path.exists() and not _replaceable(path):
                raise RecordingError(f"{path} is there and is no recording; move it, or record to another file")
            descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
            os.chmod(path, 0o600)
        except OSError as error:
            raise RecordingError(f"{path} cannot be written: {error.strerror}") from error
        self._file = os.fdopen(descriptor, "w", encoding="utf-8", newline="\n")
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
        self._rows.put(((time_ns - record.opened_ns) / 1e6, record.number, direction, opcode, payload, close))

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

    def _write(self, row: tuple[Any, ...]) -> None:
        ts_ms, connection, direction, opcode, payload, close = row
        line = line_of(ts_ms, connection, direction, opcode, payload, close, self._redact)
        if line is not None:
            self._file.write(written(line))


def _replaceable(path: Path) -> bool:
    """Return whether a file is empty or a recording, which may be made anew."""
    with path.open("rb") as file:
        first = file.readline(4096)
    return not first or (first.startswith(b'{"mockforge":') and b'"recorded":' in first)
