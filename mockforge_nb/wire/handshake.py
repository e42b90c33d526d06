"""The opening handshake (RFC 6455 §4.2): whom a listener lets in, and what the others are told."""

from __future__ import annotations

from collections.abc import Generator, Sequence
from email.utils import formatdate
from http import HTTPStatus
from http.client import responses
from time import monotonic
from typing import TYPE_CHECKING, Any

from websockets.datastructures import Headers
from websockets.extensions.permessage_deflate import ServerPerMessageDeflateFactory
from websockets.http11 import Request, Response
from websockets.server import ServerProtocol
from websockets.utils import accept_key

from mockforge_nb.core.events import NAN
from mockforge_nb.core.faults import BODILESS
from mockforge_nb.core.identity import Identity
from mockforge_nb.core.log import HANDSHAKE, IN
from mockforge_nb.core.record import ConnectionRecord

from .page import Page
from .request import END, SILENT, Asked, ordinary

if TYPE_CHECKING:
    from mockforge_nb.core.plan import Plan
    from mockforge_nb.core.routes import Route
    from mockforge_nb.core.watch import Watch

    from .listener import Listener

TLS_HANDSHAKE = 0x16
"""The first byte of a TLS connection (RFC 8446 §5.1)."""
LET_IN = b"HTTP/1.1 101 Switching Protocols\r\n\r\n"
"""The answer to who was let in already, as far as it is ours to make."""


class Judged(ServerProtocol):
    """Of a handshake that somebody else has read, and found good: frames are what is left to read."""

    def parse(self) -> Generator[None]:  # noqa: D102
        yield from super(ServerProtocol, self).parse()

    def process_request(self, request: Request) -> tuple[str, str | None, str | None]:  # noqa: D102
        return accept_key("the server's own"), None, None


class Handshake:
    """Reads a request and answers it: an ordinary one by itself, any other by `websockets`.

    Attributes:
        protocol: What `websockets` made of it; None: it was ordinary.
        answer: What a refused one is answered where that is not for the protocol to say.
        asked: The request, once it is whole and one of HTTP.
        route: Whose plan the connection will follow, and `params`, its path's parameters; None: there is none.
        refused: Why there is no connection, in a line for the traffic; empty: it is not refused.
        fault: The faults of the network that struck it, joined by commas; None: none did.
        wait: How long the answer takes (s) from now on, and `delay_ms` how long it took (NaN: no time).
        status: HTTP's status of the answer to one that is refused; 0: there is none.
        watch: Who traces it; None: nobody does.
        page: What is asked for in place of a WebSocket, and with which `method`; None: nothing is.
    """

    __slots__ = (
        "_listener", "_response", "_tail", "answer", "asked", "delay_ms", "fault", "method", "page", "params",
        "protocol", "refused", "route", "status", "wait", "watch",
    )  # fmt: skip

    def __init__(self, listener: Listener) -> None:
        self._listener = listener
        self._tail: bytes | None = None  # the last bytes that came; None: nothing did
        self._response: bytes | Response = b""  # what lets the peer in
        self.protocol: ServerProtocol | None = None
        self.answer = b""
        self.asked: Asked | None = None
        self.route: Route | None = None
        self.params: dict[str, str] = {}
        self.refused = ""
        self.fault: str | None = None
        self.wait = 0.0
        self.delay_ms = NAN
        self.status = 0
        self.watch: Watch | None = None
        self.page: Page | None = None
        self.method = "GET"

    def receive(self, data: bytes) -> bytes:
        """Take what belongs to the request, and answer it once it is whole; return what follows it.

        The protocol is given no byte behind the request: it would answer a frame before the handshake.
        """
        if self.refused:
            return b""
        if self._tail is None:
            read = ordinary(data)
            if read is not None and self._let_in(*read[:2]):
                return data[read[2] :]
            if data[0] == TLS_HANDSHAKE:
                self._refuse(HTTPStatus.BAD_REQUEST, "a TLS handshake; this port speaks ws://, not wss://")
                return b""
        tail = self._tail or b""
        found = (tail + data).find(END)
        end = len(data) if found < 0 else found + len(END) - len(tail)
        self._tail = (tail + data)[-3:]
        protocol = self._server()
        protocol.receive_data(data[:end])
        for event in protocol.events_received():
            if isinstance(event, Request):
                self.asked = Asked(event.path, tuple(event.headers.raw_items()))
                self.page = self._listener.pages.get(self.asked.path) if "Upgrade" not in event.headers else None
                self.method = event.method
                if self.page is None:
                    self._answer(protocol, event, self.asked)
        self._failed()
        return b"" if self.refused else data[end:]

    def take(self, asked: Asked) -> None:
        """Answer a request that an ASGI server has read: it may be longer than what is read here, and it is good."""
        if self._let_in(asked, LET_IN):
            return
        self.asked = asked
        self.protocol = protocol = Judged(logger=SILENT)
        headers = Headers()
        for name, value in asked.headers:
            headers[name] = value
        self._answer(protocol, Request(asked.target, headers), asked)

    def _let_in(self, asked: Asked, answer: bytes) -> bool:
        """Answer an ordinary request, if there is a plan and a place for it; return whether there is."""
        found = self._listener.routes.find(asked.path)
        if found is None or self._listener.full() or found[0].plan.conditions.knocking or found[0].plan.compression:
            return False
        self.asked, (self.route, self.params) = asked, found
        self._response = answer
        return True

    def accept(self, more: Sequence[tuple[str, str]] = ()) -> bytes:
        """Return the response that lets the peer in, with more headers."""
        data = self._response
        if isinstance(data, Response):
            assert self.protocol is not None
            self.protocol.send_response(data)
            data = b"".join(self.protocol.data_to_send())
        if more:
            lines = "".join(f"{name}: {value}\r\n" for name, value in more)
            data = data[:-2] + lines.encode(errors="surrogateescape") + data[-2:]
        return data

    def _server(self) -> ServerProtocol:
        """Return the protocol that judges requests."""
        if self.protocol is None:
            self.protocol = ServerProtocol(logger=SILENT)
        return self.protocol

    def end(self) -> None:
        """Take note that the peer sends no more."""
        if not self.refused:
            self._server().receive_eof()
            self._failed()

    def _failed(self) -> None:
        """Take note of a request that the protocol could not read."""
        protocol = self._server()
        failure = protocol.handshake_exc
        if failure is None or self.refused:
            return
        self.refused = str(failure.__cause__ or failure)
        if protocol.writes and not protocol.writes[0] and not protocol.reader.eof:
            # It ends the connection without a word.
            text = f"This is no WebSocket handshake: {self.refused}.\n"
            protocol.writes.insert(0, protocol.reject(HTTPStatus.BAD_REQUEST, text).serialize())

    def _answer(self, protocol: ServerProtocol, request: Request, asked: Asked) -> None:
        listener = self._listener
        found = listener.routes.find(asked.path)
        if found is None:
            self._refuse(HTTPStatus.NOT_FOUND, listener.routes.missing(asked.path))
            return
        self.route, self.params = found
        if self.route.plan.compression:
            protocol.available_extensions = [ServerPerMessageDeflateFactory()]
        response = protocol.accept(request)
        if response.status_code == 101 and listener.full():
            busy = f"This mock takes {listener.most} connections, and they are open."
            self._refuse(HTTPStatus.SERVICE_UNAVAILABLE, busy)
            return
        if response.status_code == 101 and self.route.plan.conditions.knocking:
            response = self._struck(protocol, response, asked, self.route)
        if response.status_code == 101:
            self._response = response
        else:
            protocol.send_response(response)
            self.status = response.status_code
            self.refused = f"{request.method} {request.path} {response.status_code} {response.reason_phrase}".rstrip()
        # It is in the record; the protocol's parser would hold it as long as the connection lives.
        request.headers.clear()

    def _refuse(self, status: HTTPStatus, text: str) -> None:
        protocol = self._server()
        protocol.send_response(protocol.reject(status, f"{text}\n"))
        asked, self.status = self.asked, status.value
        self.refused = text if asked is None else f"GET {asked.target} {status.value} {status.phrase}"

    def refuse(self, response: Response, why: str) -> None:
        """Refuse the peer after all, as the upstream did or because there is none."""
        assert self.asked is not None
        self._server().send_response(response)
        self.status = response.status_code
        self.refused = f"GET {self.asked.target} {response.status_code} {response.reason_phrase}: {why}"

    def _struck(self, protocol: ServerProtocol, response: Response, asked: Asked, route: Route) -> Response:
        """Return what the network makes of the answer that lets a peer in."""
        knock = self._listener.knock(route, asked.path)
        self.wait, self.fault = knock.wait, ",".join(knock.names) or None
        self.delay_ms = knock.wait * 1000 if knock.wait else NAN
        for name, options in knock.faults:
            if name == "reject":
                return rejection(options["status"], options["body"], options["headers"])
            if name == "wrong_subprotocol":
                response.headers["Sec-WebSocket-Protocol"] = options["subprotocol"]
            elif name == "wrong_accept":
                del response.headers["Sec-WebSocket-Accept"]
                response.headers["Sec-WebSocket-Accept"] = accept_key("another key")
            elif name == "missing_upgrade":
                del response.headers["Upgrade"]
        data = response.serialize()
        if "cut_handshake" in knock.names:
            self.answer = data[: len(data) // 2]
        elif "wrong_accept" in knock.names or "missing_upgrade" in knock.names:
            self.answer = data
        if self.answer:
            self.status = response.status_code
            self.refused = f"GET {asked.target} {response.status_code} {response.reason_phrase}"
        return response

    def gone(self) -> None:
        """Take note that the peer has gone, whatever it was to be answered."""
        self.wait = 0.0
        self.refused = self.refused or "gone before it was answered"

    def late(self) -> None:
        """Take note that the request did not come in time."""
        self._server()
        self.refused = self.refused or "no handshake in time"

    # Who was let in

    @property
    def target(self) -> str:
        """The path and query that were asked for."""
        return self.asked.target if self.asked is not None else ""

    def visitor(self) -> Identity:
        """Return who asks, for who finds an upstream for it."""
        asked = self.asked
        assert asked is not None
        query = asked.target.partition("?")[2]
        return Identity(0, asked.path, 0, self.params, query, asked.headers)

    @property
    def path(self) -> str:
        """The request's path; empty: there was none."""
        return self.asked.path if self.asked is not None else ""

    def record(self, peer: tuple[Any, ...], subprotocol: str | None = None) -> ConnectionRecord:
        """Return the log's entry of a connection."""
        asked = self.asked
        assert asked is not None
        host, port = peer[:2]
        return ConnectionRecord(
            number=self._listener.next_number(),
            path=asked.path,
            query=asked.target.partition("?")[2],
            headers=asked.headers,
            subprotocols=asked.subprotocols,
            subprotocol=subprotocol,
            remote=f"[{host}]:{port}" if ":" in host else f"{host}:{port}",
            trace_id=None if self.watch is None else self.watch.trace_id,
            route="" if self.route is None else self.route.path.text,
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


def rejection(status: int, text: str, more: Sequence[tuple[str, str]]) -> Response:
    """Return the answer of a rejection: an author's status, which may be one that no registry knows, and headers.

    A header of the author's takes the place of the one that would be there without it.
    """
    body = text.encode()
    headers = Headers({"Date": formatdate(usegmt=True), "Connection": "close"})
    if status not in BODILESS:  # they have no length (RFC 9110 §8.6)
        headers.update({"Content-Length": str(len(body)), "Content-Type": "text/plain; charset=utf-8"})
    for name, value in more:
        headers.pop(name, None)
        headers[name] = value
    return Response(status, responses.get(status, ""), headers, body)


def refused(listener: Listener, door: Handshake) -> None:
    """Log a handshake that did not become a connection."""
    now = monotonic()
    clock = listener.clock_ns
    time = listener.epoch_ns + int(now * 1e9) if clock is None else clock
    trace_id = None if door.watch is None else door.watch.trace_id
    route = "" if door.route is None else door.route.path.text
    record = ConnectionRecord(0, door.path, opened_ns=time, trace_id=trace_id, route=route)
    text = door.refused.encode(errors="replace")
    elapsed = listener.elapsed_ns(now)
    listener.log.add(time, elapsed, record, IN, HANDSHAKE, text, fault=door.fault, delay_ms=door.delay_ms)
    if door.watch is not None:
        door.watch.refused(door.status, door.refused, door.fault)
