"""What an author says of recordings, and traffic that becomes one."""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .core.faults import lost
from .core.log import DROPPED, IN, INJECTED, OUT
from .core.message import ABORT, BINARY, CLOSE, TEXT
from .core.recording import Lines, written
from .errors import OptionError, RecordingError
from .formats.private import private

if TYPE_CHECKING:
    import pandas as pd

SUFFIXES = (".jsonl", ".ndjson", ".parquet")
OPCODES = {"text": TEXT, "binary": BINARY, "close": CLOSE, "abort": ABORT}


def redacted(path: str | os.PathLike[str], redact: Sequence[str]) -> tuple[Any, ...]:
    """Return the compiled JSONPaths of `Mock.record`; arguments and errors are its own."""
    from jsonpath import compile as compile_path
    from jsonpath.exceptions import JSONPathError

    if Path(path).suffix.lower() not in SUFFIXES:
        raise OptionError("record(path=)", str(path), f"does not end in {' or '.join(SUFFIXES)}")
    if isinstance(redact, str) or not isinstance(redact, Iterable):
        raise OptionError("record(redact=)", redact, "is no list of JSONPaths", "such as ['$..password']")
    made = []
    for each in redact:
        try:
            made.append(compile_path(each))
        except (JSONPathError, TypeError, AttributeError) as error:
            raise OptionError("record(redact=)", each, f"is no JSONPath: {str(error).splitlines()[0]}") from None
    return tuple(made)


def lines_of(frame: pd.DataFrame, opened: dict[int, pd.Timestamp]) -> list[dict[str, Any]]:
    """Return the lines of a recording of some traffic.

    Args:
        frame: Rows of the traffic.
        opened: When each connection was opened.

    Raises:
        RecordingError: Payloads have left memory (`limits(log_bytes=)`), so that there would be holes.
    """
    wanted = frame[frame["opcode"].isin(list(OPCODES)) & (frame["connection"] > 0)]
    if "relay" in wanted:
        wanted = wanted[~_unheard(wanted)]
    kept = wanted["text"].notna() | wanted["data"].notna() | (wanted["size"] == 0)
    holes = int((~kept & wanted["opcode"].isin(["text", "binary"])).sum())
    if holes:
        raise RecordingError(
            f"{holes:,} messages have left memory: raise limits(log_bytes=), or record(path) while it happens"
        )
    lines = []
    recording = Lines()
    for row in wanted.to_dict("records"):
        if lost(row["fault"] if isinstance(row["fault"], str) else None):
            continue
        ts = (row["time"] - opened[row["connection"]]).total_seconds() * 1000
        reason = row["close_reason"] if isinstance(row["close_reason"], str) else ""
        close = (int(row["close_code"]), reason) if row["opcode"] == "close" else None
        direction = IN if row["direction"] == "in" else OUT
        data: object = row["text"] if row["opcode"] == "text" else row["data"]
        opcode = OPCODES[row["opcode"]]
        if direction == IN and row.get("original") is not None:  # what the client said, not what was made of it
            data = row["original"]
            opcode = TEXT if isinstance(data, str) else BINARY
        payload = data.encode() if isinstance(data, str) else data if isinstance(data, bytes) else b""
        line = recording.line(ts, row["connection"], direction, opcode, payload, close)
        if line is not None:
            lines.append(line)
    return lines


def _unheard(frame: pd.DataFrame) -> pd.Series[bool]:
    """Return which rows of a proxy's traffic the client neither said nor heard."""
    incoming = frame["direction"] == "in"
    return (incoming & (frame["relay"] == INJECTED)) | (~incoming & (frame["relay"] == DROPPED))


def write(path: Path, first: dict[str, Any], lines: Iterable[dict[str, Any]]) -> None:
    """Write a recording; only its owner may read it."""
    if path.suffix.lower() == ".parquet":
        from .formats.parquet import write as write_parquet

        write_parquet(path, first, lines)
        return
    with private(path) as file:
        file.writelines(written(line).encode() for line in [first, *lines])
