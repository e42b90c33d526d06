"""Recordings as Parquet, for large ones: a row a line of the replay file, and the header line as metadata."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from mockforge_nb.core.message import to_json
from mockforge_nb.core.recording import written
from mockforge_nb.errors import ScriptError

from .private import private

if TYPE_CHECKING:
    import pyarrow as pa

HEADER: Final = b"mockforge"
"""Under which name the schema's metadata has the header line."""

GROUP_LINES: Final = 65_536
GROUP_BYTES: Final = 32 * 2**20
"""How much is gathered before it is written as a row group."""

_COLUMNS: Final = {
    "ts": "float64",  # ms
    "dir": "string",
    "connection": "int32",
    "match": "string",
    "text": "large_string",
    "json": "large_string",  # as compact JSON text
    "binary": "large_binary",  # as it was sent
    "close": "bool_",
    "code": "int32",
    "reason": "string",
    "error": "bool_",
}


class ParquetRecording:
    """A file that lines are added to; it can be read once it is closed.

    Args:
        path: The file, which only its owner may read.
        header: The header line; it may be changed until the first row group is written.
    """

    def __init__(self, path: Path, header: Mapping[str, Any]) -> None:
        self.header = header
        self._file = private(path)
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
        import pyarrow as pa
        import pyarrow.parquet as pq

        schema = pa.schema(
            [(name, getattr(pa, kind)()) for name, kind in _COLUMNS.items()],
            metadata={HEADER: json.dumps(self.header, ensure_ascii=False).encode()},
        )
        if self._writer is None:
            self._writer = pq.ParquetWriter(self._file, schema, compression="zstd")
        columns = [[_cell(line, name) for line in self._lines] for name in _COLUMNS]
        arrays = [pa.array(cells, schema.field(name).type) for name, cells in zip(_COLUMNS, columns, strict=True)]
        self._writer.write_table(pa.Table.from_arrays(arrays, schema=schema))
        self._lines.clear()
        self._size = 0


def beside(path: Path) -> Path:
    """Return the replay file that has a recording's lines as long as its Parquet file is not whole."""
    return path.with_name(path.name + ".jsonl")


def write(path: Path, header: Mapping[str, Any], lines: Iterable[Mapping[str, Any]]) -> None:
    """Write a whole recording."""
    recording = ParquetRecording(path, header)
    for line in lines:
        recording.add(line)
    recording.close()


def _cell(line: Mapping[str, Any], name: str) -> Any:
    value = line.get(name)
    if name == "dir":
        return value or "out"
    if name == "json" and "json" in line:
        return to_json(value)
    return base64.b64decode(value) if name == "binary" and value is not None else value


def is_recording(path: Path) -> bool:
    """Return whether a Parquet file is a recording; False also for what cannot be read as Parquet."""
    return _header(path) is not None


def _header(path: Path) -> bytes | None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    if not path.is_file():
        return None
    try:
        metadata = pq.read_schema(path).metadata or {}
    except (pa.ArrowException, OSError):
        return None
    found: bytes | None = metadata.get(HEADER)
    return found


def text_of(path: Path) -> str:
    """Return a recording as the text of a replay file.

    Raises:
        ScriptError: It cannot be read.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    found = _header(path)
    assert found is not None
    texts = [found.decode() + "\n"]
    try:
        with pq.ParquetFile(path) as file:
            for batch in file.iter_batches(8192):
                texts += map(written, _lines(batch))
    except (pa.ArrowException, OSError, UnicodeDecodeError) as error:
        raise ScriptError(str(path), f"it cannot be read: {str(error).splitlines()[0]}") from error
    return "".join(texts)


def _lines(batch: pa.RecordBatch) -> Iterable[dict[str, Any]]:
    for row in batch.to_pylist():
        line = {key: value for key, value in row.items() if value is not None}
        if line.get("dir") == "out":
            del line["dir"]
        if isinstance(line.get("json"), str):
            try:
                line["json"] = json.loads(line["json"])
            except ValueError:
                line["text"] = line.pop("json")
        if isinstance(line.get("binary"), bytes):
            line["binary"] = base64.b64encode(line["binary"]).decode()
        yield line
