"""A connection's spans: one from its handshake to its end, and under it one a message.

They are made where the traffic's rows are written, so that both say the same.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from contextvars import Context as Variables
from contextvars import Token, copy_context
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from opentelemetry import trace
from opentelemetry.context import Context, attach, detach
from opentelemetry.propagate import extract, get_global_textmap, inject
from opentelemetry.trace import Span, SpanKind, Status, StatusCode

from mockforge_nb.core.events import NAN, Burst, Noted, Runs, Send
from mockforge_nb.core.journal import Journal, Tap
from mockforge_nb.core.log import FORWARDED, IN, OUT, Log
from mockforge_nb.core.message import TEXT

from . import names

if TYPE_CHECKING:
    from opentelemetry.util.types import AttributeValue

    from mockforge_nb.core.record import ConnectionRecord
    from mockforge_nb.core.session import Session

BURST = 8
"""How many messages of one read or one write have spans of their own; more are a burst."""

ABNORMAL = {1002, 1003, 1006, 1007, 1008, 1009, 1010, 1011, 1014, 1015}
"""The close codes (RFC 6455 §7.4) by which a connection's span is an error."""

WAYS = ("in", "out")


class ServerTracer:
    """Makes the spans of one server's connections.

    Args:
        tracer: OpenTelemetry's.
        sample: Which share of the messages has spans, from 0 to 1.
        bursts: Whether messages of a burst have spans, too.
        knows: Told of each connection's span, and of its number once there is one.

    Attributes:
        address, port, scheme: Where the server is, once that is known; ``ws`` or ``wss``.
    """

    def __init__(
        self,
        tracer: trace.Tracer,
        *,
        sample: float = 1.0,
        bursts: bool = False,
        knows: Callable[[trace.SpanContext, int | None], None] | None = None,
    ) -> None:
        self.tracer = tracer
        self.sample, self.bursts = sample, bursts
        self.address, self.port, self.scheme = "", 0, "ws"
        self._knows = knows

    def begins(
        self, path: str, headers: Sequence[tuple[str, str]], route: str | None, peer: tuple[str, int]
    ) -> ConnectionSpan:
        """Begin a connection's span, under the client's if its handshake names one."""
        where: dict[str, AttributeValue] = {names.SERVER_ADDRESS: self.address, names.SERVER_PORT: self.port}
        where |= {names.CLIENT_ADDRESS: peer[0], names.CLIENT_PORT: peer[1], names.SCHEME: self.scheme}
        made = ConnectionSpan(self, *connection_span(self.tracer, path, headers, route, where))
        self.tell(made.span, None)
        return made

    def tell(self, span: Span, number: int | None) -> None:
        """Tell who collects of a connection's span."""
        found = span.get_span_context()
        if found.is_valid and self._knows is not None:
            self._knows(found, number)


def connection_span(
    tracer: trace.Tracer,
    path: str,
    headers: Iterable[tuple[str, str]],
    route: str | None,
    where: Mapping[str, AttributeValue],
) -> tuple[Span, Context]:
    """Begin the span of a connection.

    Args:
        tracer: OpenTelemetry's.
        path: The path that the handshake asks for.
        headers: Its headers; one of W3C Trace Context (``traceparent``, §3) says what the span is under.
        route: The pattern of the path; None: nothing is there.
        where: More attributes.

    Returns:
        The span, and the context that the handshake came with.
    """
    carrier: dict[str, str] = {}
    for name, value in headers:
        known = carrier.get(name.lower())
        carrier[name.lower()] = value if known is None else f"{known},{value}"
    attributes: dict[str, AttributeValue] = {
        names.METHOD: "GET",
        names.SCHEME: "ws",
        names.PATH: path,
        names.PROTOCOL: "websocket",
        names.PROTOCOL_VERSION: carrier.get("sec-websocket-version", "13"),
        names.TRANSPORT: "tcp",
        **where,
    }
    if route is not None:
        attributes[names.ROUTE] = route
    if "user-agent" in carrier:
        attributes[names.USER_AGENT] = carrier["user-agent"]
    # Not what holds on this thread: that may be a span that was there when the server was started.
    parent = extract(carrier, Context())
    # Without a route a stranger's path would be a name of its own.
    name = names.CONNECTION_SPAN.format(route or "").rstrip()
    return tracer.start_span(name, parent, SpanKind.SERVER, attributes), parent


class ConnectionSpan:
    """The span of one handshake and of the connection that comes of it; `mockforge_nb.core.watch.Watch`."""

    def __init__(self, tracer: ServerTracer, span: Span, parent: Context) -> None:
        self.tracer = tracer
        self.span = span
        self.within: Context = trace.set_span_in_context(span, parent)
        self.coming: list[Span] = []  # of messages that came and are handled now
        self._tokens: list[Token[Context]] = []

    @property
    def trace_id(self) -> str | None:
        """The trace's id, 32 hex digits; None: nothing is traced."""
        found = self.span.get_span_context()
        return trace.format_trace_id(found.trace_id) if found.is_valid else None

    @property
    def context(self) -> Variables:
        """A context in which the connection's span is the current one."""
        variables = copy_context()
        variables.run(attach, self.within)
        return variables

    def __enter__(self) -> None:
        self._tokens.append(attach(self.within))

    def __exit__(self, *raised: object) -> None:
        detach(self._tokens.pop())

    # The handshake

    def refused(self, status: int, why: str, fault: str | None) -> None:
        """End the span of a handshake that no connection came of."""
        if status:
            self.span.set_attribute(names.STATUS, status)
        self.struck(fault)
        if status >= 500 or not status:
            self.span.set_attribute(names.ERROR_TYPE, str(status or "no answer"))
            self.span.set_status(Status(StatusCode.ERROR, why))
        self.span.end()

    def dials(self, url: str) -> UpstreamSpan:
        """Begin the span of a connection to an upstream."""
        parts = urlsplit(url)
        span = self.tracer.tracer.start_span(
            names.CONNECTION_SPAN.format(parts.netloc),
            context=self.within,
            kind=SpanKind.CLIENT,
            attributes={
                names.URL: url,
                names.PROTOCOL: "websocket",
                names.SERVER_ADDRESS: parts.hostname or "",
                names.SERVER_PORT: parts.port or 0,
            },
        )
        return UpstreamSpan(span, trace.set_span_in_context(span, self.within))

    def opened(self, log: Log, record: ConnectionRecord, session: Session, started: float, tap: Tap | None) -> Journal:
        """Return what writes the rows of the connection and makes its messages' spans."""
        span = self.span
        span.set_attribute(names.STATUS, 101)
        span.set_attribute(names.CONNECTION, record.number)
        self.tracer.tell(span, record.number)
        if record.subprotocol is not None:
            span.set_attribute(names.SUBPROTOCOL, record.subprotocol)
        return TracedJournal(self, log, record, session, started, tap)

    # What happens on it

    def handled(self) -> None:
        """End the spans of the messages that came last."""
        for each in self.coming:
            each.end()
        self.coming.clear()

    def noted(self, what: Noted) -> None:
        """Add an event of a script."""
        attributes: dict[str, AttributeValue] = {names.STEP: what.step, names.DETAIL: what.detail}
        if what.rule >= 0:
            attributes[names.RULE] = what.rule
        self.span.add_event(what.what, attributes)

    def failed(self, error: Exception) -> None:
        """Take note of an error of the author's, which ``server.errors`` has, too."""
        self.span.record_exception(error)
        self.span.set_attribute(names.ERROR_TYPE, type(error).__name__)
        self.span.set_status(Status(StatusCode.ERROR, str(error)))

    def struck(self, fault: str | None, attributes: Mapping[str, AttributeValue] | None = None) -> None:
        """Add an event of the faults that struck, if any did."""
        if fault:
            self.span.add_event(names.FAULT_EVENT, {names.FAULT: fault, **(attributes or {})})

    def closed(self, record: ConnectionRecord) -> None:
        """End the span with its connection."""
        span = self.span
        self.handled()
        if record.close_code is not None:
            span.set_attribute(names.CLOSE_CODE, record.close_code)
            if record.close_code in ABNORMAL:
                span.set_attribute(names.ERROR_TYPE, str(record.close_code))
                span.set_status(Status(StatusCode.ERROR, record.close_reason or f"closed with {record.close_code}"))
        if record.close_reason:
            span.set_attribute(names.CLOSE_REASON, record.close_reason)
        span.set_attributes(
            {
                names.MESSAGES_IN: record.messages_in,
                names.MESSAGES_OUT: record.messages_out,
            }
        )
        span.end()


class UpstreamSpan:
    """The span of a connection to an upstream; `mockforge_nb.core.watch.Dialing`.

    Attributes:
        headers: The headers that hang the upstream's spans under it.
        fields: The names of such headers, for what the client said in them.
    """

    def __init__(self, span: Span, within: Context) -> None:
        self._span = span
        carrier: dict[str, str] = {}
        inject(carrier, within)
        self.headers: Mapping[str, str] = carrier
        self.fields: Collection[str] = {field.lower() for field in get_global_textmap().fields}

    def answered(self) -> None:
        """Take note that the handshake is done."""
        self._span.set_attribute(names.STATUS, 101)

    def ended(self, error: BaseException | None = None) -> None:
        """End the span, if it has not ended."""
        if not self._span.is_recording():
            return
        if error is not None:
            self._span.set_attribute(names.ERROR_TYPE, type(error).__name__)
            self._span.set_status(Status(StatusCode.ERROR, str(error)))
        self._span.end()


class TracedJournal(Journal):
    """Writes a connection's rows, and makes a span of each message that is to have one."""

    __slots__ = ("_bursts", "_draw", "_share", "_span")

    def __init__(
        self,
        span: ConnectionSpan,
        log: Log,
        record: ConnectionRecord,
        session: Session,
        started: float,
        tap: Tap | None,
    ) -> None:
        super().__init__(log, record, session, started, tap)
        self._span = span
        # What is not recorded by who samples traces costs nothing for its messages.
        self._share = span.tracer.sample if span.span.is_recording() else 0.0
        self._bursts = span.tracer.bursts
        # Drawn by the connection's own seed, a way for each direction: what one says chooses nothing of the other.
        drawn = 0 < self._share < 1
        self._draw = [session.who.stream(f"trace {way}").random for way in WAYS] if drawn else []

    def add(
        self,
        now: float,
        direction: int,
        opcode: int,
        payload: bytes = b"",
        close: tuple[int, str] | None = None,
        fault: str | None = None,
        delay_ms: float = NAN,
        relay: str | None = None,
    ) -> int:
        """Log a frame that no step sent, and add an event of what struck it."""
        self._span.struck(fault, {names.DIRECTION: WAYS[direction]})
        return super().add(now, direction, opcode, payload, close, fault, delay_ms, relay)

    def sent(self, now: float, one: Send, direction: int = OUT) -> None:
        """Log a message that leaves or comes; its span has the time that the network took for it."""
        super().sent(now, one, direction)
        if one.fault is not None:
            self._span.struck(one.fault, {names.DIRECTION: WAYS[direction], names.STEP: one.step})
        if not self._taken(direction):
            return
        attributes = _of(direction, one.opcode, len(one.payload), one.step, one.rule, one.due_ms, one.relay)
        if one.fault is not None:
            attributes[names.FAULT] = one.fault
        took = 0
        if one.delay_ms == one.delay_ms:
            attributes[names.DELAY_MS] = one.delay_ms
            took = int(one.delay_ms * 1e6)
        here = time.time_ns()
        begin, end = (here, here + took) if direction == IN else (here - took, here)
        self._begin(direction, attributes, begin).end(end)

    def all(self, now: float, direction: int, runs: Runs, relay: str | None = None) -> int:
        """Log messages that came or leave together; those that came are handled until `ConnectionSpan.handled`."""
        count = sum(len(payloads) for _, payloads in runs)
        if self._apart(count, direction):
            here = time.time_ns()
            for opcode, payload in ((opcode, one) for opcode, payloads in runs for one in payloads):
                if not self._taken(direction):
                    continue
                span = self._begin(direction, _of(direction, opcode, len(payload), relay=relay), here)
                if direction == IN and relay != FORWARDED:
                    self._span.coming.append(span)
                else:
                    span.end()
        return super().all(now, direction, runs, relay)

    def burst(self, now: float, one: Burst) -> None:
        """Log a run of steps that leave together."""
        super().burst(now, one)
        program, first, last = one.program, one.first, one.last
        if self._apart(last - first, OUT):
            here = time.time_ns()
            for index, payload in enumerate(program.payloads(first, last), first):
                if self._taken(OUT):
                    due = one.start_ms + program.at[index] * one.scale
                    of = _of(OUT, program.opcode(index), len(payload), program.number(index), one.rule, due)
                    self._begin(OUT, of, here).end()

    def _apart(self, count: int, direction: int) -> bool:
        """Return whether messages that come or leave together have spans of their own; a burst is an event."""
        if self._bursts or count <= BURST:
            return self._share > 0
        self._span.span.add_event(names.BURST_EVENT, {names.DIRECTION: WAYS[direction], names.COUNT: count})
        return False

    def _taken(self, direction: int) -> bool:
        """Return whether the next message of a direction is one of those that have a span."""
        return self._draw[direction]() < self._share if self._draw else self._share > 0

    def _begin(self, direction: int, attributes: dict[str, AttributeValue], ns: int) -> Span:
        name = names.MESSAGE_SPAN.format(WAYS[direction])
        return self._span.tracer.tracer.start_span(name, self._span.within, attributes=attributes, start_time=ns)


def _of(
    direction: int,
    opcode: int,
    size: int,
    step: int = -1,
    rule: int = -1,
    due_ms: float = NAN,
    relay: str | None = None,
) -> dict[str, AttributeValue]:
    """Return the attributes of a message; what does not apply is left out, as it is null in the traffic."""
    made: dict[str, AttributeValue] = {
        names.DIRECTION: WAYS[direction],
        names.OPCODE: "text" if opcode == TEXT else "binary",
        names.SIZE: size,
    }
    if step >= 0:
        made[names.STEP] = step
    if rule >= 0:
        made[names.RULE] = rule
    if due_ms == due_ms:
        made[names.DUE_MS] = due_ms
    if relay is not None:
        made[names.RELAY] = relay
    return made
