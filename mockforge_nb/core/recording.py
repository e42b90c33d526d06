"""A recording: traffic as a replay file, line by line as it comes."""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from .jsonl import HEADER_VERSION
from .log import IN
from .message import ABORT, BINARY, CLOSE, TEXT, Message, to_json
from .record import ConnectionRecord
from .recorded import Recorded

REDACTED: Final = "***"


def header(url: str, started: str, how: str) -> dict[str, Any]:
    """Return the first line of a recording: where, when (RFC 3339) and how it was recorded."""
    return {
        "mockforge": HEADER_VERSION,
        "url": url,
        "started": started,
        "recorded": how,
        "templates": False,
    }


def head_of(record: ConnectionRecord, number: int | None = None) -> dict[str, Any]:
    """Return the line that says what is known of a connection; its query, which may be secret, is not in it.

    `number` is its number in the recording, where that is another one.
    """
    opened = rfc3339(record.opened_ns)
    about = Recorded(
        connection=number or record.number, opened=opened, path=record.path, subprotocol=record.subprotocol
    )
    return about.line()


def rfc3339(time_ns: int) -> str:
    """Return a time (UTC ns) as RFC 3339 writes it, with milliseconds."""
    moment = datetime.fromtimestamp(time_ns // 1_000_000_000, UTC) + timedelta(milliseconds=time_ns // 1_000_000 % 1000)
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")


class Lines:
    """Makes the lines of a recording, row by row.

    How the server answers a client's close is no script's doing and has no line.

    Args:
        redact: JSONPaths (compiled) of what must not be recorded.
    """

    def __init__(self, redact: Sequence[Any] = ()) -> None:
        self._redact = redact
        self._left: set[int] = set()  # connections that their client has closed

    def line(
        self,
        ts_ms: float,
        connection: int,
        direction: int,
        opcode: int,
        payload: bytes,
        close: tuple[int, str] | None = None,
    ) -> dict[str, Any] | None:
        """Return the line of the next row; arguments and result are those of `line_of`."""
        if opcode in (CLOSE, ABORT):
            if opcode == CLOSE and direction == IN:
                self._left.add(connection)
            if connection in self._left:
                return None
        return line_of(ts_ms, connection, direction, opcode, payload, close, self._redact)


def line_of(
    ts_ms: float,
    connection: int,
    direction: int,
    opcode: int,
    payload: bytes,
    close: tuple[int, str] | None = None,
    redact: Sequence[Any] = (),
) -> dict[str, Any] | None:
    """Return the line of one row of the traffic.

    Args:
        ts_ms: The time since the connection was opened.
        connection: Its number.
        direction: ``IN`` or ``OUT``.
        opcode: RFC 6455's, or ``ABORT``.
        payload: The payload.
        close: A close's code and reason.
        redact: JSONPaths (compiled) of what must not be recorded.

    Returns:
        The line's keys; None: a script has no words for it (handshakes, pings, pongs, how the client ended).
    """
    keys: dict[str, Any] = {"ts": round(ts_ms, 3)}
    if direction == IN:
        keys["dir"] = "in"
    keys["connection"] = connection
    if opcode in (TEXT, BINARY):
        said, hidden, structured = _payload(opcode, payload, redact)
        if direction == IN:
            # What was hidden cannot be asked for again; JSON is the same however it is written.
            keys["match"] = "any" if hidden else "json" if structured else "exact"
        return keys | said
    if direction == IN:
        return None
    if opcode == CLOSE and close is not None:
        # 1005 and 1006 stand for no code and no frame (RFC 6455 §7.4.1).
        return keys | {"close": True} | ({} if close[0] in (1005, 1006) else {"code": close[0], "reason": close[1]})
    return keys | {"error": True} if opcode == ABORT else None


def without(message: Message, redact: Sequence[Any]) -> Message:
    """Return a message with what must not be recorded hidden, for who shows it."""
    keys = _payload(message.opcode, message.payload, redact)[0] if redact else {}
    if "json" in keys:
        return Message(to_json(keys["json"]).encode(), message.opcode)
    return Message(keys["text"].encode(), message.opcode) if "text" in keys else message


def _payload(opcode: int, payload: bytes, redact: Sequence[Any]) -> tuple[dict[str, Any], bool, bool]:
    """Return a payload so that it is sent again as it was and people can read it.

    And whether something in it is hidden, and whether it is a JSON object or list.
    """
    try:
        text = "" if opcode == BINARY else payload.decode()
    except UnicodeDecodeError:
        opcode = BINARY
    if opcode == BINARY:
        hidden_json = _binary_json(payload, redact) if redact else None
        made = payload if hidden_json is None else hidden_json
        return {"binary": base64.b64encode(made).decode()}, hidden_json is not None, False
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        return {"text": text}, False, False
    hidden = False
    for path in redact:
        for node in list(path.finditer(value)):
            hidden = True
            value = _hidden(value, node.parts)
    structured = isinstance(value, (dict, list))
    if structured and (hidden or _same(value, text)):
        return {"json": value}, hidden, True
    return {"text": REDACTED if hidden else text}, hidden, structured


def _binary_json(payload: bytes, redact: Sequence[Any]) -> bytes | None:
    """Return a binary message that is JSON with parts of it hidden; None: nothing in it is to be."""
    try:
        text = payload.decode()
    except UnicodeDecodeError:
        return None
    keys, hidden, _ = _payload(TEXT, text.encode(), redact)
    return None if not hidden else (to_json(keys["json"]) if "json" in keys else str(keys["text"])).encode()


def _same(value: Any, text: str) -> bool:
    """Return whether a JSON value is written as `text` again."""
    try:
        return to_json(value) == text
    except (TypeError, ValueError, RecursionError):
        return False


def _hidden(value: Any, parts: Sequence[Any]) -> Any:
    """Return a JSON value with a part of it, or the whole, hidden."""
    if not parts:
        return REDACTED
    inner = value
    for part in parts[:-1]:
        if not isinstance(inner, (dict, list)):
            return value  # an outer part is hidden already
        inner = inner[part]
    if isinstance(inner, (dict, list)):
        inner[parts[-1]] = REDACTED
    return value


def written(line: Mapping[str, Any]) -> str:
    """Return a line's text, its line end with it."""
    return json.dumps(line, ensure_ascii=False) + "\n"
