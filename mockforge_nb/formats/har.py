"""HAR files (HTTP Archive 1.2) with the WebSocket messages that browsers and proxies add to them.

No specification has these: Chrome's ``_webSocketMessages`` is what all others write, each with a time of its own.
"""

from __future__ import annotations

import base64
import binascii
import codecs
import json
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit, urlunsplit

from mockforge_nb.core.closecodes import may_close, may_say
from mockforge_nb.core.line import shown
from mockforge_nb.core.log import IN, OUT
from mockforge_nb.core.message import ABORT, BINARY, CLOSE, TEXT
from mockforge_nb.core.moved import LEAST, time_of
from mockforge_nb.core.recorded import Recorded, path_of, shown_url
from mockforge_nb.core.recording import Lines, header, rfc3339
from mockforge_nb.errors import Problem, ScriptError

MESSAGES: Final = "_webSocketMessages"
CONTINUATION: Final = 0
ERROR: Final = -1
WAYS: Final = {"send": IN, "sent": IN, "receive": OUT, "received": OUT}


def lines(path: Path, *, strict: bool = True) -> tuple[list[dict[str, Any]], str]:
    """Read the WebSocket connections of a HAR file as the lines of a replay file.

    Args:
        path: The file.
        strict: Whether a file that was cut off is an error.

    Returns:
        The lines, and where the file was cut off; empty: it was not.

    Raises:
        ScriptError: It is no HAR, or has no WebSocket messages, or all that is wrong with those.
    """
    value, cut = _json(path, strict=strict)
    log = value.get("log") if isinstance(value, dict) else None
    entries = log.get("entries") if isinstance(log, dict) else None
    if not isinstance(entries, list):
        raise ScriptError(str(path), "it is no HAR: it has no list log.entries")
    problems: list[Problem] = []
    found: list[dict[str, Any]] = [header("", "", "har")]
    number = 0
    for index, entry in enumerate(entries):
        if isinstance(entry, dict) and _is_websocket(entry):
            number += 1
            found += _Connection(entry, number, f"log.entries[{index}]", problems).lines(cut=bool(cut))
    if not number:
        problem = f"there is no WebSocket in it: none of its {len(entries)} entries is one"
        way = "a browser exports those that were opened while its network panel was"
        raise ScriptError(str(path), f"{problem}; {way}")
    if problems:
        raise ScriptError(str(path), problems)
    if len(found) == 1:
        problem = f"nothing was said in it: it has {number} WebSocket connections without {MESSAGES!r}"
        raise ScriptError(str(path), f"{problem}; Chrome, Playwright and mitmproxy export messages, Firefox does not")
    return found, cut


def _json(path: Path, *, strict: bool) -> tuple[Any, str]:
    """Return what a file holds, and where it was cut off."""
    data = path.read_bytes()
    try:
        text = data.decode("utf-16" if data[:2] in (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE) else "utf-8-sig")
        return json.loads(text), ""
    except (ValueError, RecursionError) as error:
        if strict:
            why = str(error) if isinstance(error, ValueError) else "nested too deeply"
            way = "if it was cut off, strict=False reads what stands before"
            raise ScriptError(str(path), f"it is no HAR: no JSON ({why}); {way}") from error
    from jiter import from_json

    try:
        # What was cut in the middle of a character ends before it.
        text = codecs.getincrementaldecoder("utf-8-sig")().decode(data.rstrip(b"\0"))
        return from_json(text.encode(), partial_mode=True), f"after {len(text):,} characters"
    except (ValueError, RecursionError) as error:
        raise ScriptError(str(path), f"it is no HAR, nor the beginning of one: {error}") from error


def _is_websocket(entry: Mapping[str, Any]) -> bool:
    """Return whether an entry is a WebSocket's; Firefox marks it by nothing but its URL."""
    request = entry.get("request")
    url = request.get("url") if isinstance(request, dict) else None
    by_url = isinstance(url, str) and url.lower().startswith(("ws://", "wss://"))
    return by_url or MESSAGES in entry or entry.get("_resourceType") == "websocket"


class _Connection:
    """One entry, read to lines; what is wrong with it is added to `problems`.

    Args:
        entry: The entry.
        number: The connection's number.
        place: What errors call it.
        problems: Where problems go.
    """

    def __init__(self, entry: Mapping[str, Any], number: int, place: str, problems: list[Problem]) -> None:
        self._entry, self._number, self._place, self._problems = entry, number, place, problems

    def lines(self, *, cut: bool) -> Iterator[dict[str, Any]]:
        """Return the connection's lines; `cut`: a last message that is not whole is left out."""
        given = self._entry.get(MESSAGES) or []
        if not isinstance(given, list):
            self._wrong(MESSAGES, f"{shown(given)} is no list")
            return
        if cut and len(given) > 1 and isinstance(given[-1], dict) and isinstance(given[-2], dict):
            given = given[:-1] if given[-2].keys() - given[-1].keys() else given
        elif cut and given and (not isinstance(given[-1], dict) or "data" not in given[-1]):
            given = given[:-1]
        messages = [self._message(index, each) for index, each in enumerate(given)]
        made = _joined([each for each in messages if each is not None])
        yield from self._timed(made)

    def _wrong(self, where: str, what: str) -> None:
        # Half a character, which JSON may hold, could not be printed.
        text = f"{self._place}.{where}: {what}".encode(errors="backslashreplace").decode()
        self._problems.append(Problem(0, text))

    def _message(self, index: int, given: object) -> _Message | None:
        where = f"{MESSAGES}[{index}]"
        if not isinstance(given, dict):
            self._wrong(where, f"{shown(given)} is no object")
            return None
        kind, opcode, data = given.get("type"), given.get("opcode", TEXT), given.get("data")
        opcode = TEXT if opcode is None else opcode
        if opcode == ERROR or kind == "error":
            return _Message(_time(given.get("time")), OUT, ABORT, b"")
        if not isinstance(kind, str) or kind not in WAYS:
            self._wrong(f"{where}.type", f'{shown(kind)} is neither "send" nor "receive"')
            return None
        if isinstance(opcode, bool) or not isinstance(opcode, (int, float)) or opcode not in (0, 1, 2, *range(8, 11)):
            self._wrong(f"{where}.opcode", f"{shown(opcode)} is no opcode of RFC 6455 §5.2")
            return None
        if not isinstance(data, str) and data is not None:
            self._wrong(f"{where}.data", f"{shown(data)} is not a text")
            return None
        payload = self._payload(where, int(opcode), data or "", given)
        if payload is None:
            return None
        return _Message(_time(given.get("time")), WAYS[kind], int(opcode), payload)

    def _payload(self, where: str, opcode: int, data: str, given: Mapping[str, Any]) -> bytes | None:
        if opcode == CLOSE:
            return _close(data, given)
        if opcode not in (TEXT, BINARY, CONTINUATION):
            return b""  # a script has no words for pings and pongs
        try:
            if opcode == BINARY:
                return base64.b64decode(data, validate=True)
            return data.encode()
        except (ValueError, binascii.Error) as error:
            what = "is no base64" if opcode == BINARY else "has half a character"
            self._wrong(f"{where}.data", f"{shown(data)} {what}: {error}")
            return None

    def _timed(self, messages: list[_Message]) -> Iterator[dict[str, Any]]:
        entry = self._entry
        request, response = entry.get("request"), entry.get("response")
        url = request.get("url") if isinstance(request, dict) else ""
        url = url if isinstance(url, str) else ""
        known = [each.time for each in messages if isinstance(each.time, int)]
        opened = _began(entry.get("startedDateTime"), known)
        if all(each.opcode == ABORT for each in messages):
            return  # it was refused, or nothing was said
        yield Recorded(
            connection=self._number,
            opened="" if opened is None or not 0 <= opened < 2**63 else rfc3339(opened),
            path=path_of(url),
            url=url,
            subprotocol=_subprotocol(response),
        ).line()
        recording = Lines()
        ts = 0.0
        for index, each in enumerate(messages):
            if isinstance(each.time, int) and opened is not None:
                ts = max(ts, (each.time - opened) / 1e6)
            elif isinstance(each.time, float):  # seconds from the start
                ts = max(ts, each.time * 1000)
            if each.opcode == ABORT and index < len(messages) - 1:
                continue  # an error that was survived
            close = _code(each.payload) if each.opcode == CLOSE else None
            line = recording.line(ts, self._number, each.way, each.opcode, each.payload, close)
            if line is not None:
                yield line


def _began(started: object, known: Sequence[int]) -> int | None:
    """Return when a connection was opened (UTC ns); None: that is not known."""
    began = time_of(started)
    first = known[0] if known else None
    # A time without a zone may be that of any, and one behind the first message is wrong.
    certain = isinstance(started, str) and re.search(r"(Z|[+-]\d\d:?\d\d)$", started) is not None
    return first if first is not None and (began is None or not certain or began > first) else began


class _Message:
    """A message: its time (UTC ns; a float: seconds from the start; None: unknown), direction, opcode and payload."""

    __slots__ = ("opcode", "payload", "time", "way")

    def __init__(self, time: int | float | None, way: int, opcode: int, payload: bytes) -> None:
        self.time, self.way, self.opcode, self.payload = time, way, opcode, payload


def _joined(messages: Iterable[_Message]) -> list[_Message]:
    """Return whole messages: fragments (RFC 6455 §5.4) stand behind the message that they go on with."""
    whole: list[_Message] = []
    last: dict[int, _Message] = {}
    for each in messages:
        if each.opcode == CONTINUATION:
            before = last.get(each.way)
            if before is not None:
                payload = each.payload
                if before.opcode == BINARY:
                    with suppress(ValueError, binascii.Error):  # some tools write all fragments as text
                        payload = base64.b64decode(payload, validate=True)
                before.payload += payload
                continue
            each.opcode = TEXT
        if each.opcode in (TEXT, BINARY):
            last[each.way] = each
        whole.append(each)
    return whole


def _time(value: object) -> int | float | None:
    time = time_of(value)
    if time is not None:
        return time
    small = isinstance(value, (int, float)) and not isinstance(value, bool) and 0 < value < LEAST
    return float(value) if small else None  # type: ignore[arg-type]  # a number, as just said


def _close(data: str, given: Mapping[str, Any]) -> bytes:
    """Return the payload of a close frame, whichever way it is written."""
    code, reason = given.get("code"), given.get("reason")
    if data.isdecimal() and code is None:
        code = int(data)
    elif code is None and data:
        try:
            return base64.b64decode(data, validate=True)
        except (ValueError, binascii.Error):
            return b""
    if isinstance(code, int) and may_close(code):
        return code.to_bytes(2, "big") + (str(reason).encode() if reason and may_say(reason) else b"")
    return b""


def _code(payload: bytes) -> tuple[int, str]:
    """Return the code and reason of a close frame's payload; 1005: it has none that can be sent."""
    code = int.from_bytes(payload[:2], "big") if len(payload) >= 2 else 1005
    reason = payload[2:].decode(errors="replace")
    return (code, reason if may_say(reason) else "") if may_close(code) else (1005, "")


def _subprotocol(response: object) -> str | None:
    headers = response.get("headers") if isinstance(response, dict) else None
    for each in headers if isinstance(headers, list) else ():
        if isinstance(each, dict) and str(each.get("name")).lower() == "sec-websocket-protocol":
            return str(each.get("value")) or None
    return None


# Written


def text_of(lines: Iterable[Mapping[str, Any]]) -> str:
    """Return the HAR of a recording's lines; what it cannot hold is not in them.

    Chrome's own importer shows it. There are no headers in it but the subprotocol, and no query.
    """
    heads: dict[int, Mapping[str, Any]] = {}
    messages: dict[int, list[dict[str, Any]]] = {}
    first: Mapping[str, Any] = {}
    for line in lines:
        if "mockforge" in line:
            first = line
            continue
        number = line.get("connection", 1)
        if "opened" in line:
            heads[number] = line
            messages.setdefault(number, [])
            continue
        opened = _opened(heads.get(number, {}), first)
        messages.setdefault(number, []).extend(_messages(line, opened / 1e9))
    entries = [_entry(heads.get(number, {}), first, found) for number, found in messages.items()]
    creator = {"name": "mockforge_nb", "version": "1"}
    return json.dumps({"log": {"version": "1.2", "creator": creator, "pages": [], "entries": entries}}, indent=1)


def _opened(head: Mapping[str, Any], first: Mapping[str, Any]) -> int:
    return time_of(head.get("opened")) or time_of(first.get("started")) or 0


def _messages(line: Mapping[str, Any], opened: float) -> Iterator[dict[str, Any]]:
    kind = "send" if line.get("dir") == "in" else "receive"
    time = round(opened + line.get("ts", 0.0) / 1000, 6)
    if "binary" in line:
        yield {"type": kind, "time": time, "opcode": BINARY, "data": line["binary"]}
    elif "text" in line or "json" in line:
        text = line["text"] if "text" in line else json.dumps(line["json"], ensure_ascii=False, separators=(",", ":"))
        yield {"type": kind, "time": time, "opcode": TEXT, "data": text}
    if line.get("close"):
        code = line.get("code", 1000)
        payload = b"" if code is None else code.to_bytes(2, "big") + line.get("reason", "").encode()
        yield {"type": kind, "time": time, "opcode": CLOSE, "data": base64.b64encode(payload).decode()}
    elif line.get("error"):
        yield {"type": "error", "time": time, "opcode": ERROR, "data": "The connection ended without a close frame"}


def _entry(head: Mapping[str, Any], first: Mapping[str, Any], messages: list[dict[str, Any]]) -> dict[str, Any]:
    base = urlsplit(shown_url(head.get("url") or first.get("url") or "ws://127.0.0.1:3001/ws"))
    url = urlunsplit((base.scheme, base.netloc, head.get("path") or base.path or "/", "", ""))
    opened = _opened(head, first)
    spoken = head.get("subprotocol")
    headers = [] if spoken is None else [{"name": "Sec-WebSocket-Protocol", "value": spoken}]
    lasts = max(0.0, (messages[-1]["time"] - opened / 1e9) * 1000) if messages else 0.0
    common = {"httpVersion": "HTTP/1.1", "cookies": [], "headersSize": -1, "bodySize": -1}
    return {
        "startedDateTime": rfc3339(opened),
        "time": round(lasts, 3),
        "request": {"method": "GET", "url": url, **common, "headers": headers, "queryString": []},
        "response": {
            "status": 101, "statusText": "Switching Protocols", **common, "headers": headers,
            "content": {"size": 0, "mimeType": "x-unknown"}, "redirectURL": "",
        },
        "cache": {},
        "timings": {"send": 0, "wait": 0, "receive": round(lasts, 3)},
        "_resourceType": "websocket",
        MESSAGES: messages,
    }  # fmt: skip
