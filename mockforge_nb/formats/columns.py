"""The lines of a replay file as columns and back: what Parquet, Arrow and CSV files of them have in common."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final

from mockforge_nb.core.message import to_json

if TYPE_CHECKING:
    import pyarrow as pa

KINDS: Final = {
    "ts": "float64",  # ms
    "dir": "string",
    "connection": "int32",
    "match": "string",
    "text": "large_string",
    "json": "json",
    "binary": "large_binary",  # as it was sent
    "template": "bool_",
    "close": "bool_",
    "code": "int32",
    "reason": "string",
    "error": "bool_",
    "opened": "string",
    "path": "string",
    "url": "string",
    "subprotocol": "string",
    "step_id": "string",
    "waitFor": "string",
    "timeout_ms": "float64",
    "on_timeout": "string",
    "on_match": "json",
    "branches": "json",
    "next_step": "string",
    "assertions": "json",
    "repeat": "json",
    "every_ms": "float64",
    "response": "json",
    "condition": "string",
    "state": "string",
    "set": "json",
    "times": "int32",
    "after": "string",
    "scope": "string",
}
"""The keys of a line, and what a column of them holds: an Arrow type, or JSON as compact text."""

RECORDED: Final = (
    "ts", "dir", "connection", "match", "text", "json", "binary", "close", "code", "reason", "error", "opened", "path",
    "url", "subprotocol",
)  # fmt: skip
"""The keys that a recording's lines have."""


def used(lines: Iterable[Mapping[str, Any]]) -> tuple[str, ...]:
    """Return the keys that lines have, in the order of the columns."""
    there = {key for line in lines for key in line}
    return tuple(key for key in KINDS if key in there)


def schema(names: Sequence[str], metadata: Mapping[bytes, bytes] | None = None) -> pa.Schema:
    """Return the Arrow schema of columns."""
    import pyarrow as pa

    types = {"json": "large_string"}
    fields = [(name, getattr(pa, types.get(KINDS[name], KINDS[name]))()) for name in names]
    return pa.schema(fields, metadata=metadata)


def table(lines: Sequence[Mapping[str, Any]], schema: pa.Schema) -> pa.Table:
    """Return lines as a table: a row a line, without a value where a line has no such key."""
    import pyarrow as pa

    columns = [[_cell(line, name) for line in lines] for name in schema.names]
    arrays = [pa.array(cells, field.type) for field, cells in zip(schema, columns, strict=True)]
    return pa.Table.from_arrays(arrays, schema=schema)


def _cell(line: Mapping[str, Any], name: str) -> Any:
    value = line.get(name)
    if name == "dir" and "opened" not in line:
        return value or "out"
    if KINDS[name] == "json":
        return to_json(value) if name in line else None
    return base64.b64decode(value) if name == "binary" and isinstance(value, str) else value


def lines_of(batch: pa.RecordBatch) -> Iterator[dict[str, Any]]:
    """Return the lines of a batch of rows; a cell that cannot be read stays as it is, for who reads the line."""
    for row in batch.to_pylist():
        cells = {key: cell for key, cell in row.items() if cell is not None and (key, cell) != ("dir", "out")}
        yield {key: _value(key, cell) for key, cell in cells.items()}


def _value(key: str, cell: Any) -> Any:
    if KINDS.get(key) == "json" and isinstance(cell, str):
        try:
            return json.loads(cell)
        except ValueError:
            return cell
    if isinstance(cell, bytes):
        return base64.b64encode(cell).decode()
    return cell


def as_text(line: Mapping[str, Any]) -> dict[str, str | None]:
    """Return a line's cells as a CSV file has them."""
    cells: dict[str, str | None] = {}
    for key, value in line.items():
        kind = KINDS[key]
        plain = kind in ("string", "large_string", "large_binary") and isinstance(value, str)
        cells[key] = value if plain else to_json(value)
    return cells


def of_text(row: Mapping[str, str | None]) -> dict[str, Any]:
    """Return the line of a CSV file's row; a cell that cannot be read stays a text, for who reads the line."""
    line: dict[str, Any] = {}
    for key, cell in row.items():
        if cell is None or (key, cell) == ("dir", "out"):
            continue
        kind = KINDS.get(key, "string")
        if kind in ("string", "large_string", "large_binary"):
            line[key] = cell
            continue
        try:
            # As pandas and spreadsheets write them, too: True, 12.0.
            line[key] = json.loads(cell.lower() if kind == "bool_" else cell)
            if kind == "int32" and isinstance(line[key], float) and line[key].is_integer():
                line[key] = int(line[key])
        except (ValueError, RecursionError):
            line[key] = cell
    return line
