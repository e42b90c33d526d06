"""The upstream of a relayed connection as the user holds it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from .core.closecodes import check_close
from .core.events import Injected
from .core.message import encoded
from .core.recorded import shown_url
from .errors import ConnectionClosedError

if TYPE_CHECKING:
    from websockets.datastructures import Headers

    from .connections import Owner


class Upstream:
    """What a proxy says to the real server for one connection, beside what its client says.

    Attributes:
        url: Where it is, with the query.
        subprotocol: The subprotocol that it selected; None: none.
        headers: The headers of its response; their names in any case.

    Example:
        >>> real = Mock().echo().serve(port=0)
        >>> with Mock().proxy(real.url).serve(port=0) as server, server.client() as client:
        ...     upstream = server.wait_connected().upstream
        ...     upstream.url == real.url, upstream.open
        (True, True)
        >>> real.stop()
    """

    def __init__(self, server: Owner, wire: Any, upstream: Any) -> None:
        self._server = server
        self._wire = wire
        self._upstream = upstream
        self.url: str = upstream.url
        self.subprotocol: str | None = upstream.subprotocol

    @property
    def headers(self) -> Headers:  # noqa: D102  # described by the class
        from websockets.datastructures import Headers

        return Headers(self._upstream.headers)

    @property
    def open(self) -> bool:
        """Whether messages can be sent."""
        return bool(self._upstream.open)

    def send(self, data: object) -> None:
        """Send text, bytes, or anything else as JSON to the upstream, as if the client had.

        Its row of the traffic says ``injected``.

        Raises:
            ConnectionClosedError: The connection is closed.
            OptionError: `data` has no JSON form.
        """
        event = Injected(*encoded(data, "upstream.send()"))
        if not self.open or not self._server.call(self._wire.tell, event):
            raise ConnectionClosedError(f"the connection to {self.url} is closed")

    def close(self, code: int = 1000, reason: str = "") -> None:
        """Begin the closing handshake with the upstream; the client is told what the upstream answers.

        Raises:
            OptionError: A code or reason that RFC 6455 §7.4 does not allow in a close frame.
        """
        check_close(code, reason)

        def close() -> None:
            self._upstream.close(code, reason)

        self._server.call(close)

    def __repr__(self) -> str:
        return f"<Upstream {shown_url(self.url)}, {'open' if self.open else 'closed'}>"
