"""What an author says of recordings, and traffic that becomes one."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .core.faults import lost
from .core.log import DROPPED, IN, INJECTED, OUT
from .core.message import ABORT, BINARY, CLOSE, TEXT
from .core.record import ConnectionRecord
from .core.recording import Lines, head_of
from .errors import RecordingError

if TYPE_CHECKING:
    import pandas as pd

SUFFIXES = (".jsonl", ".ndjson", ".parquet")
OPCODES = {"text": TEXT, "binary": BINARY, "close": CLOSE, "abort": ABORT}


def suffix_problem(path: str | os.PathLike[str]) -> str:
    """Return what is wrong with the kind of a file that is to be recorded to; empty: nothing."""
    return (
        "" if Path(path).suffix.lower() in SUFFIXES else f"does not end in {', '.join(SUFFIXES[:-1])} or {SUFFIXES[-1]}"
    )


def lines_of(
    frame: pd.DataFrame, records: Mapping[int, ConnectionRecord], redact: Sequence[Any] = ()
) -> list[dict[str, Any]]:
    """Return the lines of a recording of some traffic.

    Args:
        frame: Rows of the traffic.
        records: What is known of each connection.
        redact: JSONPaths (compiled) of what is left out.

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
    lines: list[dict[str, Any]] = []
    recording = Lines(redact)
    known: set[int] = set()
    for row in wanted.to_dict("records"):
        if lost(row["fault"] if isinstance(row["fault"], str) else None):
            continue
        record = records[row["connection"]]
        ts = (row["time"].value - record.opened_ns) / 1e6
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
            lines += [head_of(record)] if record.number not in known else []
            known.add(record.number)
            lines.append(line)
    return lines


def _unheard(frame: pd.DataFrame) -> pd.Series[bool]:
    """Return which rows of a proxy's traffic the client neither said nor heard."""
    incoming = frame["direction"] == "in"
    return (incoming & (frame["relay"] == INJECTED)) | (~incoming & (frame["relay"] == DROPPED))
