"""What a listener tells of its connections to who traces them."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from contextvars import Context
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from .events import Noted
    from .journal import Journal, Tap
    from .log import Log
    from .record import ConnectionRecord
    from .session import Session


class Dialing(Protocol):
    """Follows a connection to an upstream, from its dial to its end.

    Attributes:
        headers: The headers that tell it of the trace.
        fields: The headers (lower case) of the client's that say such things, and are not passed on.
    """

    headers: Mapping[str, str]
    fields: Collection[str]

    def answered(self) -> None:
        """The handshake is done."""
        ...

    def ended(self, error: BaseException | None = None) -> None:
        """It has ended, or, with an error, cannot be had; it may end twice."""
        ...


class Watch(Protocol):
    """Follows one handshake and the connection that comes of it.

    Entered (``with watch:``), what runs is a part of what is traced; it may be entered again while it is.
    """

    @property
    def trace_id(self) -> str | None:
        """The trace that it belongs to, in hex; None: nothing of it is traced."""
        ...

    @property
    def context(self) -> Context:
        """A context of its own for what the author runs for the connection."""
        ...

    def __enter__(self) -> object: ...

    def __exit__(self, *raised: object) -> None: ...

    def refused(self, status: int, why: str, fault: str | None) -> None:
        """The handshake ended without a connection; `status` is HTTP's, 0: there was no answer."""
        ...

    def dials(self, url: str) -> Dialing:
        """An upstream is dialed."""
        ...

    def opened(self, log: Log, record: ConnectionRecord, session: Session, started: float, tap: Tap | None) -> Journal:
        """The handshake is done; return what writes the connection's rows."""
        ...

    def handled(self) -> None:
        """What came last has been handled."""
        ...

    def noted(self, what: Noted) -> None:
        """A script waits, goes on, or branches."""
        ...

    def failed(self, error: Exception) -> None:
        """The author's doing went wrong."""
        ...

    def closed(self, record: ConnectionRecord) -> None:
        """The connection has ended."""
        ...


class Tracer(Protocol):
    """Follows the handshakes of one server."""

    def begins(
        self,
        path: str,
        headers: Sequence[tuple[str, str]],
        route: str | None,
        peer: tuple[str, int],
    ) -> Watch:
        """A request is whole; `route` is the pattern of its path, None: nothing is there."""
        ...
