"""Recordings and scripts as Parquet or Arrow: a row a line of the replay file, the header line as metadata."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from mockforge_nb.errors import ScriptError

from .columns import RECORDED, lines_of, schema, table, used
from .private import private

HEADER: Final = b"mockforge"
"""Under which name the schema's metadata has the header line."""

ARROW: Final = (".arrow", ".feather")

GROUP_LINES: Final = 65_536
GROUP_BYTES: Final = 32 * 2**20
"""How much is gathered before it is written as a row group."""


class ParquetRecording:
    """A file that lines are added to; it can be read once it is closed.

    Args:
        path: The file, which only its owner may read.
        header: The header line.
        names: The keys that its lines may have.
        shared: Whether others may read it after all.
    """

    def __init__(
        self, path: Path, header: Mapping[str, Any], names: Sequence[str] = RECORDED, *, shared: bool = False
    ) -> None:
        self._header = header
        self._names = names
        self._file = private(path, shared=shared)
        self._writer: Any = None
        self._size = 0
        self._lines: list[Mapping[str, Any]] = []

    def add(self, line: Mapping[str, Any]) -> None:
        """Add a line."""
        self._lines.append(line)
        self._size += sum(len(value) for value in line.values() if isinstance(value, str))
        if len(self._lines) >= GROUP_LINES or self._size >= GROUP_BYTES:
            self._write()

    def close(self) -> None:
        """Write the rest and what makes the file readable."""
        self._write()
        self._writer.close()
        self._file.close()

    def _write(self) -> None:
        import pyarrow.parquet as pq

        made = schema(self._names, {HEADER: json.dumps(self._header, ensure_ascii=False).encode()})
        if self._writer is None:
            self._writer = pq.ParquetWriter(self._file, made, compression="zstd")
        self._writer.write_table(table(self._lines, made))
        self._lines.clear()
        self._size = 0


def beside(path: Path) -> Path:
    """Return the replay file that has a recording's lines as long as its Parquet file is not whole."""
    return path.with_name(path.name + ".jsonl")


def write(path: Path, header: Mapping[str, Any], lines: Sequence[Mapping[str, Any]], *, shared: bool = False) -> None:
    """Write a whole recording or script."""
    recording = ParquetRecording(path, header, used(lines) or RECORDED, shared=shared)
    for line in lines:
        recording.add(line)
    recording.close()


def is_recording(path: Path) -> bool:
    """Return whether a file is a recording or script; False also for what cannot be read as Parquet or Arrow."""
    return _header(path) is not None


def was_recorded(path: Path) -> bool:
    """Return whether a file is a recording, and no script that somebody wrote."""
    return b'"recorded"' in (_header(path) or b"")


def _header(path: Path) -> bytes | None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    if not path.is_file():
        return None
    try:
        if path.suffix.lower() in ARROW:
            with pa.OSFile(str(path)) as file, pa.ipc.open_file(file) as reader:
                metadata = reader.schema.metadata or {}
        else:
            metadata = pq.read_schema(path).metadata or {}
    except (pa.ArrowException, OSError):
        return None
    found: bytes | None = metadata.get(HEADER)
    return found


def lines(path: Path) -> Iterator[dict[str, Any]]:
    """Read a recording or script: its header line, then its lines.

    Raises:
        ScriptError: It cannot be read.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    found = _header(path)
    assert found is not None
    try:
        header = json.loads(found)
        yield header if isinstance(header, dict) else {}
        if path.suffix.lower() in ARROW:
            with pa.OSFile(str(path)) as source, pa.ipc.open_file(source) as reader:
                for index in range(reader.num_record_batches):
                    yield from lines_of(reader.get_batch(index))
        else:
            with pq.ParquetFile(path) as file:
                for batch in file.iter_batches(8192):
                    yield from lines_of(batch)
    except (pa.ArrowException, OSError, ValueError) as error:
        raise ScriptError(str(path), f"it cannot be read: {str(error).splitlines()[0]}") from error
