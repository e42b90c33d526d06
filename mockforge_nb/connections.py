"""Connections as the user holds them, and the checks of what the user says to them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

from .core.events import Pushed
from .core.message import encoded
from .core.record import ConnectionRecord
from .core.stepkeys import may_close
from .core.units import seconds
from .errors import OptionError, ProtocolError
from .frames import connections_frame
from .traffic import Traffic
from .wire.connection import Connection as Wire
from .wire.listener import Listener

if TYPE_CHECKING:
    import pandas as pd
    from websockets.datastructures import Headers

T = TypeVar("T")


class Owner(Protocol):
    """The server that connections belong to."""

    traffic: Traffic
    listener: Listener

    def call(self, function: Callable[..., T], *args: Any) -> T:
        """Run a function on the loop's thread."""
        ...


class Connection:
    """One connection, open or closed.

    Attributes:
        number: Its number, from 1.
        path: The path it was opened at; `query`: what followed the ``?``.
        headers: The handshake's headers; their names in any case.
    """

    def __init__(self, server: Owner, wire: Wire) -> None:
        self._server = server
        self._wire = wire

    @property
    def _record(self) -> ConnectionRecord:
        record = self._wire.record
        assert record is not None
        return record

    @property
    def number(self) -> int:  # noqa: D102  # described by the class
        return self._record.number

    @property
    def path(self) -> str:  # noqa: D102
        return self._record.path

    @property
    def query(self) -> str:  # noqa: D102
        return self._record.query

    @property
    def headers(self) -> Headers:  # noqa: D102
        from websockets.datastructures import Headers

        return Headers(self._record.headers)

    @property
    def open(self) -> bool:
        """Whether messages can be sent."""
        return self._wire.open

    @property
    def state(self) -> dict[str, Any]:
        """The state of its session, which templates read as ``state``."""
        session = self._wire.session
        assert session is not None
        return session.state

    @property
    def traffic(self) -> Traffic:
        """Its own messages."""
        return self._server.traffic.select(connection=self.number)

    def send(self, data: object) -> None:
        """Send text, bytes, or anything else as JSON, under the mock's conditions.

        Raises:
            ProtocolError: The connection is closed, or the client reads so slowly that too much waits for it.
            OptionError: `data` has no JSON form.
        """
        if self._wire.full:
            raise ProtocolError(
                f"connection {self.number} reads too slowly: more than limits(queue_bytes=) waits for it"
            )
        if not self._server.call(self._wire.tell, pushed(data, "send()")):
            raise ProtocolError(f"connection {self.number} is closed ({self._record.close_code or 'closing'})")

    def close(self, code: int = 1000, reason: str = "") -> None:
        """Begin the closing handshake; does not wait for the peer.

        Raises:
            OptionError: A code or reason that RFC 6455 §7.4 does not allow in a close frame.
        """
        check_close(code, reason)
        self._server.call(self._wire.close, code, reason)

    def abort(self) -> None:
        """End the TCP connection without a close frame."""
        self._server.call(self._wire.abort)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Connection) and self._wire is other._wire

    def __hash__(self) -> int:
        return hash(id(self._wire))

    def __repr__(self) -> str:
        state = "open" if self.open else f"closed ({self._record.close_code or 'closing'})"
        return f"<Connection {self.number} {self.path}, {state}>"


class Connections:
    """The connections of a server, open and closed, in the order in which they came."""

    def __init__(self, server: Owner) -> None:
        self._server = server

    def _all(self) -> list[Connection]:
        return [Connection(self._server, wire) for wire in list(self._server.listener.connections)]

    def __len__(self) -> int:
        return len(self._server.listener.connections)

    def __getitem__(self, index: int) -> Connection:
        return Connection(self._server, self._server.listener.connections[index])

    def __iter__(self) -> Iterator[Connection]:
        return iter(self._all())

    @property
    def df(self) -> pd.DataFrame:
        """A row a connection: number, path, handshake, times, close code, and how much went either way."""
        return connections_frame(self._server.listener.log)

    def __repr__(self) -> str:
        still = sum(connection.open for connection in self)
        return f"<Connections {len(self)}, {still} open>"

    def _repr_html_(self) -> str:
        from .notebook.display import frame_html

        return frame_html(self.df, repr(self))


# What the user says, checked


def check_path(path: object, where: str) -> None:
    """Raise OptionError unless `path` is a path without query."""
    if not isinstance(path, str) or not path.startswith("/") or "?" in path or "#" in path or " " in path:
        raise OptionError(where, path, "is no path", "valid: a text that begins with '/', such as '/ws'")


def check_close(code: object, reason: object) -> None:
    """Raise OptionError unless code and reason may stand in a close frame, RFC 6455 §7.4."""
    if not may_close(code):
        raise OptionError(
            "close(code=)", code, "may not stand in a close frame", "valid: 1000-1003, 1007-1014, 3000-4999"
        )
    if not isinstance(reason, str) or len(reason.encode()) > 123:
        raise OptionError("close(reason=)", reason, "is no text of at most 123 bytes in UTF-8")


def how_many(n: object, where: str) -> int:
    """Return `n` if it is a number from 1 on; otherwise raise OptionError."""
    if isinstance(n, bool) or not isinstance(n, int) or n < 1:
        raise OptionError(where, n, "is no number from 1 on")
    return n


def time_limit(timeout: object) -> float | None:
    """Return a timeout in seconds; None: without end."""
    return None if timeout is None else seconds(timeout, "timeout=")


def pushed(data: object, where: str) -> Pushed:
    """Return the event for what the user sends; raise OptionError if it has no form on the wire."""
    return Pushed(*encoded(data, where))
