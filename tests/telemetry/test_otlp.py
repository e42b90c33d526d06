"""OTLP over HTTP, to a receiver that reads it by OpenTelemetry's own protocol definitions."""

from __future__ import annotations

import gzip
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import (
    ExportMetricsServiceRequest,
    ExportMetricsServiceResponse,
)
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (
    ExportTraceServiceRequest,
    ExportTraceServiceResponse,
)
from websockets.sync.client import connect

from mockforge_nb import Mock
from tests.wire.hosts import hosted


class Receiver:
    """Takes what OTLP/HTTP posts to ``/v1/traces`` and ``/v1/metrics``."""

    def __init__(self) -> None:
        self.spans: list[Any] = []
        self.metrics: list[Any] = []
        self.services: set[str] = set()
        receiver = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                if self.headers.get("Content-Encoding") == "gzip":
                    body = gzip.decompress(body)
                assert self.headers["Content-Type"] == "application/x-protobuf"
                answer = receiver.take(self.path, body).SerializeToString()
                self.send_response(200)
                self.send_header("Content-Type", "application/x-protobuf")
                self.send_header("Content-Length", str(len(answer)))
                self.end_headers()
                self.wfile.write(answer)

            def log_message(self, format: str, *args: object) -> None:
                """Say nothing."""

        self.http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.http.server_port}"
        self._thread = threading.Thread(target=self.http.serve_forever, args=(0.02,))
        self._thread.start()

    def take(self, path: str, body: bytes) -> Any:
        if path == "/v1/traces":
            traces = ExportTraceServiceRequest.FromString(body)
            for resource in traces.resource_spans:
                self._serves(resource.resource)
                self.spans += [span for scope in resource.scope_spans for span in scope.spans]
            return ExportTraceServiceResponse()
        assert path == "/v1/metrics"
        measured = ExportMetricsServiceRequest.FromString(body)
        for resource in measured.resource_metrics:
            self._serves(resource.resource)
            self.metrics += [metric for scope in resource.scope_metrics for metric in scope.metrics]
        return ExportMetricsServiceResponse()

    def _serves(self, resource: Any) -> None:
        self.services |= {each.value.string_value for each in resource.attributes if each.key == "service.name"}

    def stop(self) -> None:
        self.http.shutdown()
        self._thread.join()
        self.http.server_close()


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    one = Receiver()
    yield one
    one.stop()


@pytest.fixture(autouse=True)
def no_variables(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("OTEL_SERVICE_NAME", raising=False)


def test_spans_and_metrics_arrive(receiver: Receiver) -> None:
    mock = Mock().trace(otlp=receiver.url).metrics(otlp=f"{receiver.url}/").echo()
    with mock.serve(port=0) as server, server.client() as client:
        client.send("x")
        assert client.recv() == "x"
    assert sorted(span.name for span in receiver.spans) == ["WS /ws", "message in", "message out"]
    ids = {span.name: span.span_id.hex() for span in receiver.spans}
    assert {span.parent_span_id.hex() for span in receiver.spans} == {"", ids["WS /ws"]}
    assert {span.trace_id.hex() for span in receiver.spans} == set(server.traffic.df["trace_id"])
    counted = next(metric for metric in receiver.metrics if metric.name == "websocket.messages")
    assert sorted(point.as_int for point in counted.sum.data_points) == [1, 1]
    assert receiver.services == {"mockforge_nb"}


def test_they_arrive_when_an_asgi_server_ends_and_after_it_begins_again(receiver: Receiver) -> None:
    app = Mock().trace(otlp=receiver.url).metrics(otlp=receiver.url).echo().asgi()
    for run in (1, 2):
        with hosted(app) as url, connect(f"{url}/ws") as client:
            client.send("x")
            assert client.recv() == "x"
        assert sorted(span.name for span in receiver.spans) == sorted(["WS /ws", "message in", "message out"] * run)
        counted = [metric for metric in receiver.metrics if metric.name == "websocket.messages"][-1]
        assert sorted(point.as_int for point in counted.sum.data_points) == [run, run]
    app.stop()


def test_where_opentelemetrys_variables_say(receiver: Receiver, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", receiver.url)
    monkeypatch.setenv("OTEL_SERVICE_NAME", "a feed")
    with Mock().trace(otlp=True).serve(port=0) as server, server.client():
        pass
    assert [span.name for span in receiver.spans] == ["WS /ws"]
    assert receiver.services == {"a feed"}


def test_a_receiver_that_is_away_keeps_no_server_from_stopping(free_port: int) -> None:
    server = Mock().trace(otlp=f"http://127.0.0.1:{free_port}").serve(port=0)
    with server.client() as client:
        client.send("x")
        assert client.recv() == "x"
    server.stop()
    assert not server.running
    assert len(server.spans) == 3
    server.check()
