"""The opening handshake (RFC 6455 §4.2): whom a listener lets in, and what the others are told."""

from __future__ import annotations

from http import HTTPStatus
from time import monotonic
from typing import TYPE_CHECKING, Any

from websockets.http11 import Request
from websockets.server import ServerProtocol

from mockforge_nb.core.identity import Identity
from mockforge_nb.core.log import HANDSHAKE, IN
from mockforge_nb.core.record import ConnectionRecord

if TYPE_CHECKING:
    from mockforge_nb.core.plan import Plan
    from mockforge_nb.core.routes import Route

    from .listener import Listener

END = b"\r\n\r\n"
TLS_HANDSHAKE = 0x16
"""The first byte of a TLS connection (RFC 8446 §5.1)."""


class Handshake:
    """Reads a request and answers it by `protocol`.

    Attributes:
        request: The request, once it is whole and one of HTTP.
        route: Whose plan the connection will follow, and `params`, its path's parameters; None: there is none.
        refused: Why there is no connection, in a line for the traffic; empty: it is not refused.
    """

    __slots__ = ("_listener", "_protocol", "_tail", "params", "refused", "request", "route")

    def __init__(self, protocol: ServerProtocol, listener: Listener) -> None:
        self._protocol = protocol
        self._listener = listener
        self._tail: bytes | None = None  # the last bytes that came; None: nothing did
        self.request: Request | None = None
        self.route: Route | None = None
        self.params: dict[str, str] = {}
        self.refused = ""

    def receive(self, data: bytes) -> bytes:
        """Take what belongs to the request, and answer it once it is whole; return what follows it.

        The protocol is given no byte behind the request: it would answer a frame before the handshake.
        """
        if self.refused:
            return b""
        if self._tail is None and data[0] == TLS_HANDSHAKE:
            self._refuse(HTTPStatus.BAD_REQUEST, "a TLS handshake; this port speaks ws://, not wss://")
            return b""
        tail = self._tail or b""
        found = (tail + data).find(END)
        end = len(data) if found < 0 else found + len(END) - len(tail)
        self._tail = (tail + data)[-3:]
        self._protocol.receive_data(data[:end])
        for event in self._protocol.events_received():
            if isinstance(event, Request):
                self.request = event
                self._answer(event)
        self._failed()
        return b"" if self.refused else data[end:]

    def end(self) -> None:
        """Take note that the peer sends no more."""
        if not self.refused:
            self._protocol.receive_eof()
            self._failed()

    def _failed(self) -> None:
        """Take note of a request that the protocol could not read."""
        failure = self._protocol.handshake_exc
        if failure is None or self.refused:
            return
        self.refused = str(failure.__cause__ or failure)
        if self._protocol.writes and not self._protocol.writes[0] and not self._protocol.reader.eof:
            # It ends the connection without a word.
            text = f"This is no WebSocket handshake: {self.refused}.\n"
            self._protocol.writes.insert(0, self._protocol.reject(HTTPStatus.BAD_REQUEST, text).serialize())

    def _answer(self, request: Request) -> None:
        path = request.path.partition("?")[0]
        listener = self._listener
        found = listener.routes.find(path)
        if found is None:
            self._refuse(HTTPStatus.NOT_FOUND, listener.routes.missing(path))
            return
        self.route, self.params = found
        response = self._protocol.accept(request)
        if response.status_code == 101 and listener.full():
            busy = f"This mock takes {listener.most} connections, and they are open."
            self._refuse(HTTPStatus.SERVICE_UNAVAILABLE, busy)
            return
        self._protocol.send_response(response)
        if response.status_code != 101:
            self.refused = f"{request.method} {request.path} {response.status_code} {response.reason_phrase}"

    def _refuse(self, status: HTTPStatus, text: str) -> None:
        self._protocol.send_response(self._protocol.reject(status, f"{text}\n"))
        asked = self.request
        self.refused = text if asked is None else f"{asked.method} {asked.path} {status.value} {status.phrase}"

    def late(self) -> None:
        """Take note that the request did not come in time."""
        self.refused = self.refused or "no handshake in time"

    # Who was let in

    @property
    def path(self) -> str:
        """The request's path; empty: there was none."""
        return self.request.path.partition("?")[0] if self.request is not None else ""

    def record(self, peer: tuple[Any, ...]) -> ConnectionRecord:
        """Return the log's entry of the connection."""
        assert self.request is not None
        headers = self.request.headers
        host, port = peer[:2]
        return ConnectionRecord(
            number=self._listener.next_number(),
            path=self.path,
            query=self.request.path.partition("?")[2],
            headers=tuple(headers.raw_items()),
            subprotocols=tuple(p.strip() for v in headers.get_all("Sec-WebSocket-Protocol") for p in v.split(",")),
            subprotocol=self._protocol.subprotocol,
            remote=f"[{host}]:{port}" if ":" in host else f"{host}:{port}",
        )

    def identity(self, record: ConnectionRecord, plan: Plan) -> Identity:
        """Return what the session's random numbers and templates depend on."""
        return Identity(
            seed=self._listener.seed if plan.seed is None else plan.seed,
            path=record.path,
            number=self._listener.next_on_path(record.path),
            params=self.params,
            query=record.query,
            headers=record.headers,
            epoch_ns=self._listener.epoch_ns,
        )


def refused(listener: Listener, path: str, why: str) -> None:
    """Log a handshake that did not become a connection."""
    now = monotonic()
    clock = listener.clock_ns
    time = listener.epoch_ns + int(now * 1e9) if clock is None else clock
    record = ConnectionRecord(0, path, opened_ns=time)
    listener.log.add(time, listener.elapsed_ns(now), record, IN, HANDSHAKE, why.encode(errors="replace"))
