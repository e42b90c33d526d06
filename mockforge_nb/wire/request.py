"""The request of a handshake (RFC 6455 §4.1) as the connection's record needs it; ordinary ones are read here."""

from __future__ import annotations

import logging
import re
from base64 import b64decode
from dataclasses import dataclass
from typing import Final

from websockets.utils import accept_key

# Frames and handshakes are rows of the traffic; a library's log on stderr would land in some notebook cell.
SILENT: Final = logging.getLogger("mockforge_nb.wire")
SILENT.addHandler(logging.NullHandler())
SILENT.propagate = False
SILENT.setLevel(logging.CRITICAL)

MOST_BYTES: Final = 8192
MOST_HEADERS: Final = 128
"""What is longer is left to `websockets`, which has such limits, too."""

END: Final = b"\r\n\r\n"
_LINE: Final = re.compile(rb"GET (/[!-~]*) HTTP/1\.1")
_HEADER: Final = re.compile(r"([!#$%&'*+\-.^_`|~0-9A-Za-z]+):[ \t]*([\t -~]*)")
_SPOKEN: Final = ("upgrade", "connection", "sec-websocket-key", "sec-websocket-version")


@dataclass(frozen=True, slots=True)
class Asked:
    """What a client asked for.

    Attributes:
        target: The path and its query, as they were sent.
        headers: Names and values, in their order.
    """

    target: str
    headers: tuple[tuple[str, str], ...]

    @property
    def path(self) -> str:
        """The path without its query."""
        return self.target.partition("?")[0]

    @property
    def subprotocols(self) -> tuple[str, ...]:
        """The subprotocols that the client offers, in its order (RFC 6455 §11.3.4)."""
        offered = [value for name, value in self.headers if name.lower() == "sec-websocket-protocol"]
        return tuple(one.strip() for value in offered for one in value.split(","))


def ordinary(data: bytes) -> tuple[Asked, bytes, int] | None:
    """Read a request that came whole and is just as RFC 6455 §4.1 wants it.

    Returns:
        The request, the answer to it (§4.2.2), and how long it is; None: it is anything else, of which `websockets`
        is the judge.
    """
    end = data.find(END)
    if not 0 < end < MOST_BYTES:
        return None
    first, *lines = data[:end].split(b"\r\n")
    line = _LINE.fullmatch(first)
    if line is None or len(lines) > MOST_HEADERS:
        return None
    headers = []
    spoken: dict[str, str] = {}
    for raw in lines:
        found = _HEADER.fullmatch(raw.decode("latin-1"))
        if found is None:
            return None
        name, value = found[1], found[2].rstrip(" \t")
        headers.append((name, value))
        lower = name.lower()
        if lower in _SPOKEN and spoken.setdefault(lower, value) is not value:
            return None  # it stands there twice
    key = spoken.get("sec-websocket-key", "")
    if (
        spoken.get("upgrade", "").lower() != "websocket"
        or spoken.get("connection", "").lower() not in ("upgrade", "keep-alive, upgrade")
        or spoken.get("sec-websocket-version") != "13"
        or not is_key(key)
    ):
        return None
    # Without a date: a response of the class 1xx need have none (RFC 9110 §6.6.1).
    answer = (
        "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        f"Sec-WebSocket-Accept: {accept_key(key)}\r\n\r\n"
    )
    return Asked(line[1].decode(), tuple(headers)), answer.encode(), end + len(END)


def is_key(key: str) -> bool:
    """Return whether a key is 16 bytes in base64."""
    try:
        return len(key) == 24 and len(b64decode(key, validate=True)) == 16
    except ValueError:
        return False
