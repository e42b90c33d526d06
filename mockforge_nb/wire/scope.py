"""What an ASGI server says: the scope of a handshake, and a client's messages."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, MutableMapping
from typing import Any, TypeAlias
from urllib.parse import quote, unquote_to_bytes

from mockforge_nb.core.message import BINARY, TEXT
from mockforge_nb.core.program import head
from mockforge_nb.errors import ProtocolError

from .request import Asked

Scope: TypeAlias = MutableMapping[str, Any]
Event: TypeAlias = MutableMapping[str, Any]
Receive: TypeAlias = Callable[[], Awaitable[Event]]
Send: TypeAlias = Callable[[Event], Awaitable[None]]

UNMASKED = b"\x00\x00\x00\x00"
"""A masking key that leaves a payload as it is: the frame is read by our own connection."""

_SAFE = "!$&'()*+,;=:@/~-._"


def path_of(scope: Scope) -> tuple[str, bool]:
    """Return a request's path from where the application is mounted on, percent-encoded, and whether it is mounted.

    Raises:
        ProtocolError: The scope has none.
    """
    root, path = (scope.get("root_path") or "").rstrip("/"), scope.get("path")
    if not isinstance(path, str):
        raise ProtocolError(f"scope['path'] is {path!r}: no text")
    raw: bytes = scope.get("raw_path") or b""
    raw = raw.partition(b"?")[0]
    inside = bool(root) and (path == root or path.startswith(f"{root}/"))
    rest = path[len(root) :] if inside else path
    # What was sent tells a slash from an encoded one; a middleware that changes the path may have left it behind.
    parts = raw.split(b"/")
    taken = root.count("/") + 1 if inside else 1
    sent = b"".join(b"/" + part for part in parts[taken:])
    if unquote_to_bytes(sent).decode(errors="replace") == rest:
        return sent.decode("ascii", errors="replace"), bool(root)
    return quote(rest, safe=_SAFE), bool(root)


def asked_of(scope: Scope, path: str) -> Asked:
    """Return what a handshake asks for at a path; the headers are the client's own.

    Raises:
        ProtocolError: The scope is not as ASGI has it.
    """
    query = _text(scope.get("query_string") or b"", "query_string")
    headers = []
    for pair in scope.get("headers") or ():
        if not isinstance(pair, (tuple, list)) or len(pair) != 2:
            raise ProtocolError(f"scope['headers'] has {pair!r}: no pair of a name and a value")
        name, value = (_text(each, "headers") for each in pair)
        if not name.startswith(":"):
            headers.append((name, value))
    offered = scope.get("subprotocols") or ()
    if offered and all(name.lower() != "sec-websocket-protocol" for name, _ in headers):
        headers.append(("Sec-WebSocket-Protocol", ", ".join(offered)))
    return Asked(f"{path}?{query}" if query else path, tuple(headers))


def _text(value: object, where: str) -> str:
    if not isinstance(value, (bytes, bytearray, memoryview)):
        raise ProtocolError(f"scope[{where!r}] has {value!r}: no bytes")
    return bytes(value).decode("latin-1")


def place_of(scope: Scope) -> str | None:
    """Return the URL of where the application is, without a path of its own; None: it has none, or nobody says.

    The server's own root path (``uvicorn --root-path``) is what a proxy in front of it takes away: it is no part of it.
    """
    host, port = scope.get("server") or ("", None)
    if port is None:  # a Unix socket, or a descriptor
        return None
    root = scope.get("root_path") or ""
    before = scope.get("app_root_path", root) or ""  # Starlette's, which adds its mounts to the other
    mounted = root[len(before) :] if root.startswith(before) else root
    scheme = "wss" if secure(scope) else "ws"
    return f"{scheme}://{f'[{host}]' if ':' in host else host}:{port}" + quote(mounted.rstrip("/"), safe=_SAFE)


def secure(scope: Scope) -> bool:
    """Return whether a request came over TLS."""
    return scope.get("scheme") in ("wss", "https")


def frame(opcode: int, payload: bytes) -> bytes:
    """Return a whole frame as a client sends it."""
    opening = head(opcode, len(payload))
    return bytes((opening[0], opening[1] | 0x80)) + opening[2:] + UNMASKED + payload


def heard(event: object) -> bytes:
    """Return the frame of a message that a client sent.

    Raises:
        ProtocolError: It is no message.
    """
    if isinstance(event, Mapping) and event.get("type") == "websocket.receive":
        text, data = event.get("text"), event.get("bytes")
        if isinstance(text, str):
            try:
                return frame(TEXT, text.encode())
            except UnicodeEncodeError:
                raise ProtocolError(f"receive() gave {_short(text)}: a text that UTF-8 cannot have") from None
        if text is None and isinstance(data, (bytes, bytearray, memoryview)):
            return frame(BINARY, bytes(data))
    raise ProtocolError(f"receive() gave {_short(event)}: neither text nor bytes")


def _short(what: object) -> str:
    text = repr(what)
    return text if len(text) <= 200 else text[:199] + "…"
