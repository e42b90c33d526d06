"""The tracing functions of MockForge's page."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, ClassVar

import numpy as np
import pytest
from opentelemetry import trace
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import use_span
from websockets.datastructures import Headers
from websockets.exceptions import ConnectionClosed
from websockets.http11 import Request

from mockforge_nb import Mock, OptionError
from mockforge_nb.tracing import (
    create_ws_connection_span,
    create_ws_message_span,
    record_ws_connection_success,
    record_ws_error,
    record_ws_message_success,
)

PARENT = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"


class Kept(InMemorySpanExporter):
    """The spans that ended, and the provider they are of."""

    def __init__(self) -> None:
        super().__init__()
        self.provider = TracerProvider()
        self.provider.add_span_processor(SimpleSpanProcessor(self))


@pytest.fixture
def kept() -> Iterator[Kept]:
    one = Kept()
    yield one
    one.provider.shutdown()


def test_the_pages_handler(kept: Kept) -> None:
    """Tracing Integration: a connection's span, under it one for each message."""

    async def traced_ws_handler(conn: Any) -> None:
        span = create_ws_connection_span(conn, tracer_provider=kept.provider)
        record_ws_connection_success(span)
        with use_span(span, end_on_exit=True):
            async for message in conn:
                text = message.text
                with use_span(
                    create_ws_message_span(len(text), "in", tracer_provider=kept.provider), end_on_exit=True
                ) as message_span:
                    await conn.send(text)
                    record_ws_message_success(message_span, len(text))

    with Mock().handle(traced_ws_handler).serve(port=0) as server:
        with server.client(additional_headers={"traceparent": PARENT}) as client:
            for text in ("a", "bc"):
                client.send(text)
                assert client.recv() == text
            client.close()
        server.connections[0].traffic  # noqa: B018  # the connection is there still, also once it is closed
    first, second, outer = kept.get_finished_spans()
    assert [span.name for span in (outer, first, second)] == ["WS /ws", "message in", "message in"]
    assert outer.parent is not None
    assert outer.context is not None
    assert trace.format_span_id(outer.parent.span_id) == PARENT[36:52]
    assert {span.parent and span.parent.span_id for span in (first, second)} == {outer.context.span_id}
    attributes = dict(outer.attributes or {})
    assert attributes["http.response.status_code"] == 101
    assert attributes["url.path"] == "/ws"
    assert [(span.attributes or {})["websocket.message.size"] for span in (first, second)] == [1, 2]
    assert {span.status.status_code.name for span in (outer, first, second)} == {"UNSET"}


@pytest.mark.parametrize(
    "request_",
    [
        Request("/live?key=1", Headers({"traceparent": PARENT, "User-Agent": "me"})),
        {"type": "websocket", "path": "/live", "headers": [(b"traceparent", PARENT.encode()), (b"user-agent", b"me")]},
    ],
)
def test_requests_of_others(kept: Kept, request_: Any) -> None:
    create_ws_connection_span(request_, tracer_provider=kept.provider).end()
    (span,) = kept.get_finished_spans()
    attributes = dict(span.attributes or {})
    assert attributes["url.path"] == "/live"
    assert attributes["user_agent.original"] == "me"
    assert span.context is not None
    assert trace.format_trace_id(span.context.trace_id) == PARENT[3:35]


def test_errors(kept: Kept) -> None:
    for error in (ValueError("no"), "the peer is gone"):
        span = create_ws_message_span(3, "out", tracer_provider=kept.provider)
        record_ws_error(span, error)
        span.end()
    raised, said = kept.get_finished_spans()
    assert (raised.status.status_code.name, raised.status.description) == ("ERROR", "no")
    assert (said.status.status_code.name, said.status.description) == ("ERROR", "the peer is gone")
    assert [event.name for span in (raised, said) for event in span.events] == ["exception", "exception"]
    assert [(span.attributes or {})["error.type"] for span in (raised, said)] == ["ValueError", "_OTHER"]


def test_what_succeeded_can_still_fail(kept: Kept) -> None:
    connection = create_ws_connection_span(Request("/", Headers()), tracer_provider=kept.provider)
    record_ws_connection_success(connection)
    message = create_ws_message_span(3, "in", tracer_provider=kept.provider)
    record_ws_message_success(message, 3)
    for span in (connection, message):
        record_ws_error(span, "boom")
        span.end()
    assert [(span.status.status_code.name, span.status.description) for span in kept.get_finished_spans()] == [
        ("ERROR", "boom")
    ] * 2


def test_a_handlers_connection_is_called_by_its_route(kept: Kept) -> None:
    async def handle(conn: Any) -> None:
        create_ws_connection_span(conn, tracer_provider=kept.provider).end()

    with (
        Mock().route("/prices/{symbol}", Mock().handle(handle)).serve(port=0) as server,
        server.client("/prices/A") as client,
        pytest.raises(ConnectionClosed),
    ):
        client.recv()
    (span,) = kept.get_finished_spans()
    attributes = dict(span.attributes or {})
    assert (span.name, attributes["http.route"]) == ("WS /prices/{symbol}", "/prices/{symbol}")
    assert attributes["url.path"] == "/prices/A"


def test_a_strangers_path_is_no_name(kept: Kept) -> None:
    create_ws_connection_span(Request("/prices/A", Headers()), tracer_provider=kept.provider).end()
    (span,) = kept.get_finished_spans()
    assert (span.name, "http.route" in (span.attributes or {})) == ("WS", False)


def test_a_request_may_be_a_mapping_of_something_else(kept: Kept) -> None:
    class AiohttpRequest(dict[str, Any]):
        path = "/live"
        headers: ClassVar = Headers({"User-Agent": "me"})

    create_ws_connection_span(AiohttpRequest(user=7), tracer_provider=kept.provider).end()
    (span,) = kept.get_finished_spans()
    assert (span.attributes or {})["user_agent.original"] == "me"


def test_a_size_may_be_one_of_numpys(kept: Kept) -> None:
    span = create_ws_message_span(np.int64(5), "in", tracer_provider=kept.provider)  # type: ignore[arg-type]
    record_ws_message_success(span, np.int64(6))  # type: ignore[arg-type]
    span.end()
    assert (kept.get_finished_spans()[0].attributes or {})["websocket.message.size"] == 6


def test_without_a_provider_they_do_nothing() -> None:
    async def handle(conn: Any) -> None:
        with use_span(create_ws_connection_span(conn), end_on_exit=True) as span:
            record_ws_connection_success(span)
            await conn.send("x")

    with Mock().handle(handle).serve(port=0) as server, server.client() as client:
        assert client.recv() == "x"
        with pytest.raises(ConnectionClosed):
            client.recv()


def test_wrong_arguments() -> None:
    with pytest.raises(OptionError, match=r"create_ws_connection_span\(request\): .*has no path or no headers"):
        create_ws_connection_span(object())  # type: ignore[arg-type]
    for headers in (5, "ab", [1], {1: "a"}, [("a", "b", "c")], [("a", 1)]):
        with pytest.raises(OptionError, match=r"request\)\.headers: .* are no headers"):
            create_ws_connection_span({"path": "/a", "headers": headers})
    for record in (record_ws_connection_success, lambda s: record_ws_message_success(s, 1)):
        with pytest.raises(OptionError, match=r"\(span\): None is no span; valid: what create_ws_connection_span"):
            record(None)  # type: ignore[arg-type]
    with pytest.raises(OptionError, match=r"record_ws_error\(span\): None is no span"):
        record_ws_error(None, "boom")  # type: ignore[arg-type]
    with pytest.raises(OptionError, match=r"create_ws_message_span\(message_size\): -1 is no number of bytes"):
        create_ws_message_span(-1, "in")
    with pytest.raises(OptionError, match=r"create_ws_message_span\(direction\): 'up'"):
        create_ws_message_span(1, "up")  # type: ignore[arg-type]
    with pytest.raises(OptionError, match=r"record_ws_message_success\(message_size\): '1'"):
        record_ws_message_success(create_ws_message_span(1, "in"), "1")  # type: ignore[arg-type]
