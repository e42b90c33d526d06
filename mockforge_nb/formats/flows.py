"""The flow files of mitmproxy.

They are read here, not by mitmproxy: a package that also wants an older tornado and cryptography than a notebook has,
and that reads no flow that is newer than itself. The format is a row of tagged netstrings (``4:text;``), the same since
its first version, and a connection's messages have been a list in its flow since version 7.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final

from mockforge_nb.core.closecodes import may_close, may_say
from mockforge_nb.core.log import IN, OUT
from mockforge_nb.core.message import ABORT, CLOSE
from mockforge_nb.core.recorded import Recorded, path_of
from mockforge_nb.core.recording import Lines, header, rfc3339
from mockforge_nb.errors import ScriptError

MOST_DIGITS: Final = 12


class Cut(Exception):  # noqa: N818  # what happened to the file
    """A flow file ends in the middle of a flow."""


def lines(path: Path, *, strict: bool = True) -> tuple[list[dict[str, Any]], str]:
    """Read the WebSocket connections of a flow file as the lines of a replay file.

    Args:
        path: The file.
        strict: Whether a flow that was cut off is an error.

    Returns:
        The lines, and where the file was cut off; empty: it was not.

    Raises:
        ScriptError: It is no flow file, or has no WebSocket messages.
    """
    data = path.read_bytes()
    found: list[dict[str, Any]] = [header("", "", "mitmproxy")]
    count = spoken = at = number = 0
    cut = ""
    while at < len(data):
        count += 1
        try:
            flow, at = _value(data, at, len(data))
        except Cut as error:
            if strict:
                problem = f"flow {count} is cut off; strict=False reads what stands before it"
                raise ScriptError(str(path), problem) from error
            cut = f"in flow {count}"
            break
        except (ValueError, RecursionError) as error:
            raise ScriptError(str(path), f"it is no flow file: {error or 'nested too deeply'} (flow {count})") from None
        socket = flow.get("websocket") if isinstance(flow, dict) else None
        if isinstance(socket, dict):
            spoken += 1
            number += 1
            try:
                found += _connection(flow, socket, number)
            except (TypeError, ValueError, LookupError, AttributeError, OverflowError) as error:
                raise ScriptError(str(path), f"flow {count} is no flow of mitmproxy 7 or newer: {error!r}") from error
    if not spoken:
        raise ScriptError(str(path), f"there is no WebSocket in it: it has {count} flows, none of them with messages")
    return found, cut


def _connection(flow: Mapping[str, Any], socket: Mapping[str, Any], number: int) -> Iterator[dict[str, Any]]:
    request, response = flow["request"], flow.get("response") or {}
    messages = socket["messages"]
    opened = response.get("timestamp_end") or request.get("timestamp_start") or (messages[0][3] if messages else 0.0)
    url = _url(request)
    yield Recorded(
        connection=number,
        opened=rfc3339(int(opened * 1e9)),
        path=path_of(url),
        url=url,
        subprotocol=_header(response, "sec-websocket-protocol"),
    ).line()
    recording = Lines()
    ts = 0.0
    for opcode, from_client, content, time, *more in messages:
        dropped, injected = [*map(bool, more), False, False][:2]
        ts = max(ts, (time - opened) * 1000)
        # A dropped message was said by the client and never heard by it; an injected one the other way round.
        if dropped if not from_client else injected:
            continue
        payload = content.encode() if isinstance(content, str) else content
        line = recording.line(ts, number, IN if from_client else OUT, int(opcode), payload)
        if line is not None:
            yield line
    end = socket.get("timestamp_end")
    if end is None or socket.get("closed_by_client"):
        return
    code, reason = socket.get("close_code") or 1006, socket.get("close_reason") or ""
    ts = max(ts, (end - opened) * 1000)
    if code == 1006 or not (may_close(code) or code == 1005):
        last = recording.line(ts, number, OUT, ABORT, b"")
    else:
        last = recording.line(ts, number, OUT, CLOSE, b"", (code, reason if may_say(reason) else ""))
    if last is not None:
        yield last


def _url(request: Mapping[str, Any]) -> str:
    text = {key: _text(request.get(key) or "") for key in ("scheme", "authority", "host", "path")}
    scheme = {"https": "wss", "http": "ws"}.get(text["scheme"], text["scheme"] or "ws")
    host = text["authority"] or f"{text['host']}:{request.get('port')}"
    return f"{scheme}://{host}{text['path']}"


def _header(response: Mapping[str, Any], wanted: str) -> str | None:
    for name, value in response.get("headers") or ():
        if _text(name).lower() == wanted:
            return _text(value)
    return None


def _text(value: Any) -> str:
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else str(value)


def _value(data: bytes, at: int, most: int) -> tuple[Any, int]:
    """Read one tagged netstring; return its value, and where it ends.

    Raises:
        Cut: It goes on behind `most`.
        ValueError: It is none.
    """
    colon = data.find(b":", at, min(at + MOST_DIGITS + 1, most))
    digits = data[at:colon] if colon >= 0 else data[at : at + MOST_DIGITS]
    if not digits.isdigit():
        if colon < 0 and most == len(data) and not digits.strip(b"0123456789"):
            raise Cut
        raise ValueError(f"no length at byte {at}")
    if colon < 0:
        raise Cut if most == len(data) and len(data) - at < MOST_DIGITS else ValueError(f"no length at byte {at}")
    begin = colon + 1
    end = begin + int(digits)
    if end >= most:
        if most == len(data):
            raise Cut
        raise ValueError(f"what begins at byte {at} is longer than what it stands in")
    return _tagged(data, begin, end, data[end : end + 1]), end + 1


def _tagged(data: bytes, begin: int, end: int, tag: bytes) -> Any:
    body = data[begin:end]
    if tag == b",":
        return body
    if tag == b";":
        return body.decode()
    if tag == b"#":
        return int(body)
    if tag == b"^":
        return float(body)
    if tag == b"!":
        return body == b"true"
    if tag == b"~":
        return None
    if tag not in (b"]", b"}"):
        raise ValueError(f"no tag at byte {end}")
    values = []
    at = begin
    while at < end:
        value, at = _value(data, at, end)
        values.append(value)
    if tag == b"]":
        return values
    if len(values) % 2:
        raise ValueError(f"a key without a value before byte {end}")
    return {_text(key): value for key, value in zip(values[::2], values[1::2], strict=True)}
