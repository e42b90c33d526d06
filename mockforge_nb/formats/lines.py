"""The lines of a replay file, from files of every kind and to them."""

from __future__ import annotations

import codecs
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final, NamedTuple

from mockforge_nb.core.jsonl import entries, looks_like_step
from mockforge_nb.core.recording import written
from mockforge_nb.errors import Problem, ScriptError

from . import csvlines, flows, har, parquet
from .private import private

JSONL: Final = (".jsonl", ".ndjson")
FLOWS: Final = (".flow", ".flows", ".mitm", ".dump")
READ: Final = (*JSONL, ".har", *FLOWS)
"""The kinds of files that hold nothing but scripts and recordings."""

CUT: Final = "if the file was cut off, strict=False reads what stands before"

WRITTEN: Final = (*JSONL, ".har", ".parquet", ".csv")


class Read(NamedTuple):
    """What a file holds.

    Attributes:
        entries: Its lines, each with its number.
        problems: What is wrong with it, once the entries were read.
        cut: Where it was cut off; empty: it was not.
    """

    entries: Iterable[tuple[int, Any]]
    problems: list[Problem]
    cut: str = ""


def holds_lines(path: Path) -> bool:
    """Return whether a file holds a script or a recording, and no other table."""
    suffix = path.suffix.lower()
    if suffix in READ:
        return True
    if path.is_dir():
        return False
    if suffix in csvlines.MARKS:
        return looks_like_step(csvlines.names(path))
    return parquet.is_recording(path)


def salvaged(path: Path) -> Read:
    """Read a recording as far as it can be read, also one that a killed process left behind.

    Raises:
        ScriptError: It cannot be read, or holds something else.
    """
    beside = parquet.beside(path)
    if path.suffix.lower() == ".parquet" and beside.exists() and not parquet.is_recording(path):
        path = beside
    if not holds_lines(path):
        raise ScriptError(str(path), "it is a table, and no recording; replay() plays tables")
    return read(path, strict=False)


def read(path: Path, *, strict: bool = True) -> Read:
    """Read a file that holds a script or a recording.

    Args:
        path: The file.
        strict: Whether an end that was cut off is an error; otherwise what stands before it is read.

    Raises:
        ScriptError: It cannot be read.
    """
    suffix = path.suffix.lower()
    try:
        if suffix in JSONL:
            return _jsonl(path, strict=strict)
        if suffix == ".har":
            found, cut = har.lines(path, strict=strict)
        elif suffix in FLOWS:
            found, cut = flows.lines(path, strict=strict)
        elif suffix in csvlines.MARKS:
            found, cut = csvlines.lines(path, strict=strict)
            return Read(enumerate(found, 2), [], cut)  # the first row of the file is its names
        else:
            return Read(enumerate(parquet.lines(path)), [])
    except OSError as error:
        raise ScriptError(str(path), f"it cannot be read: {error.strerror or error}") from error
    return Read(enumerate(found, 1), [], cut)


def _jsonl(path: Path, *, strict: bool) -> Read:
    data = path.read_bytes()
    problems: list[Problem] = []
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = error.object[: error.start].count(b"\n") + 1
        if strict or b"\n" in data[error.start :]:
            way = CUT if error.end >= len(data) else "save the file as UTF-8"
            problem = f"not UTF-8 (byte {error.start} of the file: {error.reason}); {way}"
            raise ScriptError(str(path), [Problem(line, problem)]) from error
        text = codecs.getincrementaldecoder("utf-8-sig")("ignore").decode(data)
    if strict:
        return Read(entries(text, problems, way=CUT), problems)
    # What a crash leaves behind at the end of a file.
    found = [*entries(text.rstrip("\0"), problems)]
    last = max((line for line, _ in found), default=0)
    # What is broken before the last good line was not cut off, and stays an error.
    cut = min((each.line for each in problems if each.line > last), default=0)
    return Read(found, [each for each in problems if each.line < last], f"in line {cut}" if cut else "")


def write(path: Path, header: Mapping[str, Any], lines: Sequence[Mapping[str, Any]], *, shared: bool = False) -> None:
    """Write a script or a recording, which only its owner may read.

    Args:
        path: The file, with one of the suffixes `WRITTEN`.
        header: The header line; empty: there is none.
        lines: The other lines.
        shared: Whether others may read it after all, as any other file.
    """
    suffix = path.suffix.lower()
    if suffix == ".parquet":
        parquet.write(path, header or {"mockforge": 1}, lines, shared=shared)
    elif suffix in csvlines.MARKS:
        csvlines.write(path, lines, literal=header.get("templates") is False, shared=shared)
    else:
        first = [header] if header else []
        text = har.text_of([*first, *lines]) if suffix == ".har" else "".join(map(written, [*first, *lines]))
        with private(path, shared=shared) as file:
            file.write(text.encode())
