"""The tracing functions of MockForge's WebSocket module, for handlers and servers that are written by hand.

A mock needs none of them: `mockforge_nb.Mock.trace` makes all of these spans by itself. Each takes part in whatever
OpenTelemetry is set up to do in the process; without a tracer provider the spans are no-ops.

Example:
    >>> from opentelemetry.trace import use_span
    >>> async def handle(conn):
    ...     with use_span(create_ws_connection_span(conn), end_on_exit=True) as connection:
    ...         record_ws_connection_success(connection)
    ...         async for message in conn:
    ...             with use_span(create_ws_message_span(len(message.payload), "in"), end_on_exit=True) as span:
    ...                 record_ws_message_success(span, len(message.payload))
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any, Literal, Protocol

from opentelemetry import trace
from opentelemetry.trace import Span, Status, StatusCode

from .errors import OptionError
from .telemetry import names
from .telemetry.spans import connection_span

if TYPE_CHECKING:
    from opentelemetry.trace import TracerProvider

__all__ = [
    "create_ws_connection_span",
    "create_ws_message_span",
    "record_ws_connection_success",
    "record_ws_error",
    "record_ws_message_success",
]


class Requested(Protocol):
    """What has the path and headers of a handshake, such as a `Connection` of a handler."""

    @property
    def path(self) -> str:
        """The path that was asked for."""
        ...

    @property
    def headers(self) -> Any:
        """The headers: a mapping, or pairs."""
        ...


def create_ws_connection_span(
    request: Requested | Mapping[str, Any], *, tracer_provider: TracerProvider | None = None
) -> Span:
    """Begin the span of a WebSocket connection.

    It is under the client's span if the handshake names one (W3C Trace Context §3). Of the attributes of the spans
    that `Mock.trace` makes it has those that a request knows, so no addresses and ports. A mock's connection has a
    route (``/prices/{symbol}``), by which its span is called; another request has none. Who made the span ends it:
    ``with use_span(span, end_on_exit=True)``.

    Args:
        request: The handshake's request: the connection in a handler of a mock, a request of `websockets`, of aiohttp
            or of Starlette, or an ASGI scope.
        tracer_provider: OpenTelemetry's; the global one unless given.

    Raises:
        OptionError: It has no path, or no headers.
    """
    from .connections import Connection

    where = "create_ws_connection_span(request)"
    path, headers = _of(request, "path"), _of(request, "headers")
    if not isinstance(path, str) or headers is None:
        valid = "valid: what has both, such as a handler's connection, a websockets Request or an ASGI scope"
        raise OptionError(where, request, "has no path or no headers", valid)
    try:
        pairs = [(_text(name), _text(value)) for name, value in _pairs(headers)]
    except (TypeError, ValueError):
        valid = "valid: a mapping of names to values, or pairs of them"
        raise OptionError(f"{where}.headers", headers, "are no headers", valid) from None
    route = request._record.route if isinstance(request, Connection) else None
    tracer = trace.get_tracer(names.SCOPE, tracer_provider=tracer_provider)
    return connection_span(tracer, path.partition("?")[0], pairs, route, {})[0]


def _of(request: object, name: str) -> Any:
    """Return what a request calls so: a request of aiohttp or Starlette is a mapping, too, but not of what it has."""
    found = getattr(request, name, None)
    return request.get(name) if found is None and isinstance(request, Mapping) else found


def _pairs(headers: Any) -> Iterable[Any]:
    """Return headers as pairs, whoever holds them."""
    items = headers.raw_items() if hasattr(headers, "raw_items") else headers
    if isinstance(items, (str, bytes)):
        raise TypeError("a text is no pairs")
    return items.items() if isinstance(items, Mapping) else items


def _text(value: object) -> str:
    if not isinstance(value, (str, bytes)):
        raise TypeError("neither text nor bytes")
    return value.decode("latin-1") if isinstance(value, bytes) else value


def create_ws_message_span(
    message_size: int, direction: Literal["in", "out"], *, tracer_provider: TracerProvider | None = None
) -> Span:
    """Begin the span of a message, under the span that is the current one.

    Args:
        message_size: The size of the message in bytes.
        direction: ``"in"``: it comes from the client; ``"out"``: it goes to it.
        tracer_provider: OpenTelemetry's; the global one unless given.

    Raises:
        OptionError: A size below 0, or another direction.
    """
    size = _size(message_size, "create_ws_message_span(message_size)")
    if direction not in ("in", "out"):
        raise OptionError("create_ws_message_span(direction)", direction, valid=("in", "out"))
    tracer = trace.get_tracer(names.SCOPE, tracer_provider=tracer_provider)
    attributes = {names.DIRECTION: direction, names.SIZE: size}
    return tracer.start_span(names.MESSAGE_SPAN.format(direction), attributes=attributes)


def record_ws_connection_success(span: Span) -> None:
    """Take note that the connection is there: its handshake was answered with 101 (RFC 6455 §4.2.2).

    The span's status stays unset, as that of `Mock.trace`: OpenTelemetry holds OK for final, and what goes wrong later
    would be lost.

    Raises:
        OptionError: It is no span.
    """
    _check_span(span, "record_ws_connection_success(span)")
    span.set_attribute(names.STATUS, 101)


def record_ws_message_success(span: Span, message_size: int) -> None:
    """Take note that a message was dealt with; the span's status stays unset, so that a later error counts.

    Args:
        span: The message's span.
        message_size: The size of what was made of it, in bytes.

    Raises:
        OptionError: It is no span, or a size below 0.
    """
    _check_span(span, "record_ws_message_success(span)")
    span.set_attribute(names.SIZE, _size(message_size, "record_ws_message_success(message_size)"))


def record_ws_error(span: Span, error: str | BaseException) -> None:
    """Take note of an error: the span's status says what it is, and one of its events has it.

    Args:
        span: The connection's or the message's span.
        error: The exception, or what happened in words.

    Raises:
        OptionError: It is no span.
    """
    _check_span(span, "record_ws_error(span)")
    if isinstance(error, BaseException):
        span.record_exception(error)
        span.set_attribute(names.ERROR_TYPE, type(error).__name__)
    else:
        span.add_event("exception", {"exception.message": str(error)})
        span.set_attribute(names.ERROR_TYPE, "_OTHER")
    span.set_status(Status(StatusCode.ERROR, str(error)))


def _check_span(span: object, where: str) -> None:
    if not isinstance(span, Span):
        valid = "valid: what create_ws_connection_span or create_ws_message_span returned"
        raise OptionError(where, span, "is no span", valid)


def _size(size: object, where: str) -> int:
    """Return a number of bytes; one of NumPy's is one, but no attribute of a span."""
    if isinstance(size, bool) or not hasattr(size, "__index__") or size.__index__() < 0:
        raise OptionError(where, size, "is no number of bytes", "valid: 0 or more")
    return int(size.__index__())
