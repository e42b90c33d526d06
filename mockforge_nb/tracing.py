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
from opentelemetry.trace import Status, StatusCode

from .errors import OptionError
from .telemetry import names
from .telemetry.spans import connection_span

if TYPE_CHECKING:
    from opentelemetry.trace import Span, TracerProvider

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

    It is under the client's span if the handshake names one (W3C Trace Context §3), and has the attributes of the
    spans that `Mock.trace` makes. Who made it ends it: ``with use_span(span, end_on_exit=True)``.

    Args:
        request: The handshake's request: the connection in a handler of a mock, a request of `websockets`, or an ASGI
            scope.
        tracer_provider: OpenTelemetry's; the global one unless given.

    Raises:
        OptionError: It has no path or no headers.
    """
    if isinstance(request, Mapping):
        path, headers = request.get("path"), request.get("headers")
    else:
        path, headers = getattr(request, "path", None), getattr(request, "headers", None)
    if not isinstance(path, str) or headers is None:
        valid = "valid: what has both, such as a handler's connection, a websockets Request or an ASGI scope"
        raise OptionError("create_ws_connection_span(request)", request, "has no path or no headers", valid)
    tracer = trace.get_tracer(names.SCOPE, tracer_provider=tracer_provider)
    return connection_span(tracer, path.partition("?")[0], _pairs(headers), path.partition("?")[0], {})[0]


def _pairs(headers: Any) -> Iterable[tuple[str, str]]:
    """Return headers as pairs of texts, whoever holds them."""
    items = headers.raw_items() if hasattr(headers, "raw_items") else headers
    for name, value in items.items() if isinstance(items, Mapping) else items:
        yield _text(name), _text(value)


def _text(value: str | bytes) -> str:
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
    _check_size(message_size, "create_ws_message_span(message_size)")
    if direction not in ("in", "out"):
        raise OptionError("create_ws_message_span(direction)", direction, valid=("in", "out"))
    tracer = trace.get_tracer(names.SCOPE, tracer_provider=tracer_provider)
    attributes = {names.DIRECTION: direction, names.SIZE: message_size}
    return tracer.start_span(names.MESSAGE_SPAN.format(direction), attributes=attributes)


def record_ws_connection_success(span: Span) -> None:
    """Take note that the connection is there: its handshake was answered with 101 (RFC 6455 §4.2.2)."""
    span.set_attribute(names.STATUS, 101)
    span.set_status(Status(StatusCode.OK))


def record_ws_message_success(span: Span, message_size: int) -> None:
    """Take note that a message was dealt with.

    Args:
        span: The message's span.
        message_size: The size of what was made of it, in bytes.

    Raises:
        OptionError: A size below 0.
    """
    _check_size(message_size, "record_ws_message_success(message_size)")
    span.set_attribute(names.SIZE, message_size)
    span.set_status(Status(StatusCode.OK))


def record_ws_error(span: Span, error: str | BaseException) -> None:
    """Take note of an error: the span's status says what it is, and one of its events has it.

    Args:
        span: The connection's or the message's span.
        error: The exception, or what happened in words.
    """
    if isinstance(error, BaseException):
        span.record_exception(error)
        span.set_attribute(names.ERROR_TYPE, type(error).__name__)
    else:
        span.add_event("exception", {"exception.message": str(error)})
        span.set_attribute(names.ERROR_TYPE, "_OTHER")
    span.set_status(Status(StatusCode.ERROR, str(error)))


def _check_size(size: object, where: str) -> None:
    if isinstance(size, bool) or not isinstance(size, int) or size < 0:
        raise OptionError(where, size, "is no number of bytes", "valid: 0 or more")
