"""What is known of a recorded connection: the line of a recording that says so."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final
from urllib.parse import urlsplit, urlunsplit

from mockforge_nb.errors import Problem, nearest

KEYS: Final = ("connection", "opened", "path", "url", "subprotocol")
"""The keys of such a line."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Recorded:
    """A recorded connection.

    Attributes:
        connection: Its number, from 1; 0: a script that is no recording.
        opened: When it was opened (RFC 3339); empty: that is not known.
        path: The path that the client asked for; empty: that is not known.
        url: The server's URL.
        subprotocol: The subprotocol that the server selected; None: none, or it is not known.
    """

    connection: int = 0
    opened: str = ""
    path: str = ""
    url: str = ""
    subprotocol: str | None = None

    @classmethod
    def of_header(cls, header: Mapping[str, Any], connection: int) -> Recorded:
        """Return what a recording's header line says of a connection that has no line of its own."""
        url, subprotocol = header.get("url"), header.get("subprotocol")
        return cls(
            connection=connection,
            url=url if isinstance(url, str) else "",
            subprotocol=subprotocol if isinstance(subprotocol, str) else None,
        )

    @property
    def opened_ns(self) -> int | None:
        """When it was opened, in nanoseconds since the epoch; None: that is not known."""
        try:
            return int(datetime.fromisoformat(self.opened).timestamp() * 1e6) * 1000
        except ValueError:
            return None

    def line(self) -> dict[str, Any]:
        """Return the line of a recording that says this."""
        keys: dict[str, Any] = {"connection": self.connection, "opened": self.opened}
        keys |= {key: getattr(self, key) for key in ("path", "url") if getattr(self, key)}
        return keys | ({} if self.subprotocol is None else {"subprotocol": self.subprotocol})


def is_head(entry: object) -> bool:
    """Return whether an entry of a replay file says what is known of a connection."""
    return isinstance(entry, dict) and "opened" in entry


def recorded_of(entry: Mapping[str, Any], header: Mapping[str, Any], line: int, problems: list[Problem]) -> Recorded:
    """Return what an entry says of a connection; what is wrong with it is added to `problems`."""
    for key in entry:
        if key not in KEYS:
            problems.append(Problem(line, f"unknown key {key!r}{nearest(key, KEYS)} (known: {', '.join(KEYS)})"))
    number = entry.get("connection")
    if not isinstance(number, int) or isinstance(number, bool) or number < 1:
        problems.append(Problem(line, f'"connection": {number!r} is no number of a connection, from 1'))
        number = 0
    texts = {key: entry.get(key) or "" for key in KEYS[1:]}
    for key, value in texts.items():
        if not isinstance(value, str):
            problems.append(Problem(line, f'"{key}": {value!r} is not a text'))
            texts[key] = ""
    url = texts["url"] or Recorded.of_header(header, number).url
    return Recorded(
        connection=number,
        opened=texts["opened"],
        path=texts["path"] or path_of(url),
        url=url,
        subprotocol=texts["subprotocol"] or None,
    )


def path_of(url: str) -> str:
    """Return the path of a URL, ``/`` if it has none; empty: it is no URL."""
    try:
        parts = urlsplit(url)
    except ValueError:
        return ""
    return (parts.path or "/") if parts.netloc else parts.path


def ws_url(url: str) -> str:
    """Return a URL with the scheme of a WebSocket, for which some tools write that of HTTP."""
    return "ws" + url.removeprefix("http") if url.startswith("http") else url


def shown_url(url: str) -> str:
    """Return a URL without its user, password and query, which may be secrets; what is none as it is."""
    try:
        parts = urlsplit(url)
    except ValueError:
        return ""
    return urlunsplit((parts.scheme, parts.netloc.rpartition("@")[2], parts.path, "", ""))
