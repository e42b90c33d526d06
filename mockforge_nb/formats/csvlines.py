"""Recordings and scripts as CSV: a row a line of the replay file."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from mockforge_nb.errors import ScriptError

from .columns import as_text, of_text, used
from .private import private

MARKS: Final = {".csv": ",", ".tsv": "\t"}


def write(path: Path, lines: Sequence[Mapping[str, Any]], *, literal: bool = False, shared: bool = False) -> None:
    """Write a recording or script.

    Args:
        path: The file, which only its owner may read.
        lines: The lines.
        literal: Whether they are a recording's, of which nothing is a template: a CSV file has no header line to say
            so.
        shared: Whether others may read it after all.
    """
    import pyarrow as pa
    from pyarrow import csv

    if literal:
        lines = [{**line, "template": False} if _sends(line) else line for line in lines]
    rows = [as_text(line) for line in lines]
    names = used(lines)
    table = pa.table({name: pa.array([row.get(name) for row in rows], pa.string()) for name in names})
    # Every value in quotes: an empty text is not the same as none.
    options = csv.WriteOptions(delimiter=MARKS[path.suffix.lower()], quoting_style="all_valid")
    with private(path, shared=shared) as file:
        csv.write_csv(table, file, options)


def _sends(line: Mapping[str, Any]) -> bool:
    return line.get("dir") != "in" and any(key in line for key in ("text", "json"))


def names(path: Path) -> list[str]:
    """Return the names of a file's columns; none if it cannot be read."""
    import csv

    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            return next(csv.reader(file, delimiter=MARKS[path.suffix.lower()]), [])
    except (OSError, UnicodeDecodeError, csv.Error):
        return []


def lines(path: Path, *, strict: bool = True) -> tuple[list[dict[str, Any]], str]:
    """Read a recording or script.

    Args:
        path: The file.
        strict: Whether a last row that was cut off is an error.

    Returns:
        The lines, and where it was cut off; empty: it was not.

    Raises:
        ScriptError: It cannot be read.
    """
    import pyarrow as pa

    data = path.read_bytes().rstrip(b"\0")
    cut = ""
    try:
        table = _table(data, path)
    except pa.ArrowInvalid as error:
        end = _end(data)
        if strict:
            way = "; if it was cut off, strict=False reads what stands before" if end else ""
            raise ScriptError(str(path), f"it cannot be read: {str(error).splitlines()[0]}{way}") from error
        try:
            table = _table(data[:end], path)
        except pa.ArrowInvalid:
            raise ScriptError(str(path), f"it cannot be read: {str(error).splitlines()[0]}") from error
        cut = f"in the row after row {table.num_rows}"
    return [of_text(row) for row in table.to_pylist()], cut


def _table(data: bytes, path: Path) -> Any:
    import pyarrow as pa
    from pyarrow import csv

    columns = names(path)
    twice = next((name for index, name in enumerate(columns) if name in columns[:index]), None)
    if twice is not None:
        raise ScriptError(str(path), f"two columns are called {twice!r}")
    return csv.read_csv(
        io.BytesIO(data),
        parse_options=csv.ParseOptions(delimiter=MARKS[path.suffix.lower()], newlines_in_values=True),
        convert_options=csv.ConvertOptions(
            column_types=dict.fromkeys(columns, pa.string()),
            null_values=[""],
            strings_can_be_null=True,
            quoted_strings_can_be_null=False,
        ),
        read_options=csv.ReadOptions(use_threads=False, block_size=max(1 << 20, len(data))),
    )


def _end(data: bytes) -> int:
    """Return where the last whole row ends: at the last line end outside of quotes."""
    end, quoted = 0, False
    for index, byte in enumerate(data):
        if byte == 0x22:
            quoted = not quoted
        elif byte == 0x0A and not quoted:
            end = index + 1
    return end
