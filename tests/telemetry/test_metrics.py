"""Metrics of real connections, held against the traffic."""

from __future__ import annotations

import threading
import urllib.request
from collections.abc import Callable
from typing import Any
from urllib.error import HTTPError

import pandas as pd
import pytest
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from prometheus_client.parser import text_string_to_metric_families
from websockets.exceptions import ConnectionClosed, InvalidStatus

from mockforge_nb import Mock, MockServer, OptionError
from mockforge_nb.telemetry import names
from mockforge_nb.telemetry.tally import MOST_VALUES
from tests.conftest import Scripts


def value(frame: pd.DataFrame, metric: str, column: str = "value", **of: str) -> float:
    """One number of a metrics frame."""
    found = frame[frame["metric"] == metric]
    for name, wanted in of.items():
        found = found[found[name] == wanted]
    assert len(found) == 1, found
    return float(found[column].iloc[0])


def talk(server: MockServer, path: str | None = None, messages: int = 3) -> None:
    with server.client(path) as client:
        for number in range(messages):
            client.send("x" * (number + 1))
            client.recv()


def closed(server: MockServer, count: int) -> None:
    """Wait until so many connections have ended."""
    while (server.connections.df["closed"].notna()).sum() < count:
        threading.Event().wait(0.002)


def test_they_are_what_the_traffic_says() -> None:
    mock = Mock().metrics().route("/a/{x}", Mock().echo()).route("/b", Mock().echo("> "))
    with mock.serve(port=0) as server:
        for path in ("/a/1", "/a/2", "/b"):
            talk(server, path)
        with pytest.raises(InvalidStatus):
            server.client("/nowhere")
        closed(server, 3)
        with server.client("/b"):
            frame = server.metrics.df
            assert value(frame, names.OPEN, path="/b") == 1
        said = server.traffic.df[server.traffic.df["opcode"].isin(["text", "binary"])]
        for route, paths in (("/a/{x}", ["/a/1", "/a/2"]), ("/b", ["/b"])):
            for way in ("in", "out"):
                rows = said[said["path"].isin(paths) & (said["direction"] == way)]
                of = {"path": route, "direction": way}
                assert value(frame, names.MESSAGES, **of) == len(rows)
                assert value(frame, names.BYTES, **of) == rows["size"].sum()
                assert value(frame, names.MESSAGE_SIZE, "count", **of) == len(rows)
                assert value(frame, names.MESSAGE_SIZE, "max", **of) == rows["size"].max()
        assert value(frame, names.CONNECTIONS, path="/a/{x}") == 2
        assert value(frame, names.CONNECTIONS, path="/b") == 2
        assert value(frame, names.OPEN, path="/a/{x}") == 0
        assert value(frame, names.REFUSED) == 1


def test_bursts_are_counted() -> None:
    rows = [{"n": n} for n in range(MOST_VALUES + 500)]
    with Mock().metrics().replay(rows, speed="max").serve(port=0) as server:
        for _ in range(2):
            with server.client() as client:
                for _ in rows:
                    client.recv()
        frame = server.metrics.df
        of = {"path": "/ws", "direction": "out"}
        assert value(frame, names.MESSAGES, **of) == 2 * len(rows)
        assert value(frame, names.BYTES, **of) == server.connections.df["bytes_out"].sum()
        # A histogram takes its values one by one; of more it gets as many, evenly.
        assert value(frame, names.MESSAGE_SIZE, "count", **of) == MOST_VALUES


def test_delays_faults_errors_and_lateness() -> None:
    def reply(message: Any) -> str:
        raise ValueError("no answer")

    script = [{"text": text, "ts": 10 * n} for n, text in enumerate("abc")]
    mock = Mock().metrics().seed(2).latency((20, 40)).fault("drop", only="b").replay(script).when("x", reply)
    server = mock.serve(port=0)
    with server.client() as client:
        assert [client.recv(), client.recv()] == ["a", "c"]
        client.send("x")
        with pytest.raises(ConnectionClosed):
            client.recv()
    frame = server.metrics.df
    delays = server.traffic.df["delay_ms"].dropna() / 1000
    assert value(frame, names.INJECTED_DELAY, "count") == len(delays)
    assert value(frame, names.INJECTED_DELAY, "max") == pytest.approx(delays.max())
    assert value(frame, names.FAULTS, of="drop") == 1
    assert value(frame, names.ERRORS, of="ValueError") == 1
    assert value(frame, names.LATENESS, "count") == 3  # each step was taken by itself
    assert value(frame, names.LATENESS, "min") >= 0
    server.stop()


def test_a_replay_without_times_is_never_late() -> None:
    with Mock().metrics().replay(list("abc"), speed="max").serve(port=0) as server:
        with server.client() as client:
            assert [client.recv() for _ in range(3)] == list("abc")
        assert names.LATENESS not in set(server.metrics.df["metric"])


def test_clearing_the_traffic_takes_nothing_from_them() -> None:
    with Mock().metrics().serve(port=0) as server:
        for _ in range(3):
            talk(server)
            server.traffic.clear()
            assert len(server.metrics.df) > 0
        talk(server)
        assert value(server.metrics.df, names.MESSAGES, direction="in") == 12
        assert value(server.metrics.df, names.MESSAGE_SIZE, "count", direction="in") == 12


def test_clearing_it_again_and_again_takes_nothing_from_them() -> None:
    with Mock().metrics().serve(port=0) as server:
        for _ in range(3):
            talk(server)
            server.traffic.clear()  # without a look between
        talk(server)
        assert value(server.metrics.df, names.MESSAGES, direction="in") == 12
        assert value(server.metrics.df, names.MESSAGE_SIZE, "count", direction="out") == 12


def test_a_histogram_has_the_smallest_and_the_largest() -> None:
    texts = ["x" * 10] * (3 * MOST_VALUES)
    texts[4321], texts[23_456] = "x", "x" * 100_000
    with Mock().metrics().replay(texts, speed="max").serve(port=0) as server:
        with server.client() as client:
            for _ in texts:
                client.recv()
        frame = server.metrics.df
        assert (value(frame, names.MESSAGE_SIZE, "min"), value(frame, names.MESSAGE_SIZE, "max")) == (1, 100_000)


def test_a_provider_that_collects_while_servers_come_and_go() -> None:
    reader = InMemoryMetricReader()
    provider = MeterProvider([reader])
    over = threading.Event()

    def collect() -> None:
        while not over.is_set():
            reader.get_metrics_data()

    thread = threading.Thread(target=collect)
    thread.start()
    try:
        for _ in range(10):
            with Mock().metrics(provider).serve(port=0) as server:
                talk(server, messages=1)
    finally:
        over.set()
        thread.join()
    data = reader.get_metrics_data()
    assert data is not None
    for scope in data.resource_metrics[0].scope_metrics:
        for metric in scope.metrics:
            if metric.name == names.MESSAGES:
                assert sum(int(getattr(point, "value", 0)) for point in metric.data.data_points) == 20


def test_they_stay_when_the_server_stops() -> None:
    server = Mock().metrics().serve(port=0)
    talk(server)
    server.stop()
    frame = server.metrics.df
    assert value(frame, names.MESSAGES, direction="in") == 3
    assert value(frame, names.OPEN) == 0
    assert repr(server.metrics).startswith("<Metrics ")
    assert "<table" in server.metrics._repr_html_()


def test_a_provider_goes_on_with_the_next_server_of_a_port(free_port: int) -> None:
    reader = InMemoryMetricReader()
    provider = MeterProvider([reader])
    for _ in range(2):
        with Mock().metrics(provider).serve(port=free_port) as server:
            talk(server)
    data = reader.get_metrics_data()
    assert data is not None
    points: dict[str, list[Any]] = {
        metric.name: list(metric.data.data_points)
        for resource in data.resource_metrics
        for scope in resource.scope_metrics
        for metric in scope.metrics
    }
    assert [point.value for point in points[names.MESSAGES] if point.attributes[names.DIRECTION] == "in"] == [6]
    assert [point.count for point in points[names.MESSAGE_SIZE]] == [6, 6]
    assert [point.value for point in points[names.CONNECTIONS]] == [2]
    assert [point.value for point in points[names.OPEN]] == [0]
    assert points[names.MESSAGES][0].attributes[names.SERVER_PORT] == free_port


def test_the_global_provider(script: Scripts) -> None:
    ran = script(
        """
        from opentelemetry import metrics
        from opentelemetry.sdk.metrics import MeterProvider
        from opentelemetry.sdk.metrics.export import InMemoryMetricReader
        from mockforge_nb import Mock
        reader = InMemoryMetricReader()
        metrics.set_meter_provider(MeterProvider([reader]))
        with Mock().metrics().serve(port=0) as server:
            with server.client() as client:
                client.send("x")
                client.recv()
            found = reader.get_metrics_data().resource_metrics[0].scope_metrics[0]
            print(found.scope.name, "websocket.messages" in [metric.name for metric in found.metrics])
        """
    )
    assert (ran.out, ran.err) == ("mockforge_nb True\n", "")


# Prometheus


def scraped(url: str) -> dict[tuple[str, str], float]:
    with urllib.request.urlopen(url.replace("ws://", "http://")) as page:
        assert page.headers["Content-Type"].startswith("text/plain; version=0.0.4")
        text = page.read().decode()
    return {
        (sample.name, sample.labels.get("websocket_direction", "")): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
        if sample.labels.get("le", "+Inf") == "+Inf"
    }


@pytest.mark.parametrize(("prometheus", "path"), [(True, "/metrics"), ("/of/mine", "/of/mine")])
def test_prometheus_reads_them(prometheus: bool | str, path: str) -> None:
    with Mock().metrics(prometheus=prometheus).serve(port=0) as server:
        talk(server)
        read = scraped(server.url_for(path))
        assert read["websocket_messages_total", "in"] == 3
        assert read["websocket_bytes_total", "in"] == 6
        assert read["websocket_message_size_bytes_count", "out"] == 3
        talk(server)
        assert scraped(server.url_for(path))["websocket_messages_total", "in"] == 6
        rows = len(server.traffic.df)
        scraped(server.url_for(path))
        assert len(server.traffic.df) == rows  # who reads them is no traffic
        with pytest.raises(InvalidStatus):
            server.client(path)


def test_what_else_is_asked_of_the_page() -> None:
    with Mock().metrics(prometheus=True).serve(port=0) as server:
        talk(server)
        url = server.url_for("/metrics").replace("ws://", "http://")
        with urllib.request.urlopen(urllib.request.Request(url, method="HEAD")) as page:
            assert int(page.headers["Content-Length"]) > 0
            assert page.read() == b""
        with pytest.raises(HTTPError, match="405") as refused:
            urllib.request.urlopen(urllib.request.Request(url, method="DELETE"))
        assert refused.value.headers["Allow"] == "GET, HEAD"
        refused.value.close()


def test_there_is_no_page_unless_asked_for() -> None:
    with Mock().metrics().serve(port=0) as server, pytest.raises(HTTPError, match="404"):
        urllib.request.urlopen(server.url_for("/metrics").replace("ws://", "http://"))


def test_a_mock_at_the_pages_path_is_served_too() -> None:
    with Mock().metrics(prometheus=True).route("/metrics", Mock().echo()).serve(port=0) as server:
        talk(server)
        assert scraped(server.url_for("/metrics"))["websocket_messages_total", "in"] == 3


def test_two_servers_have_pages_of_their_own() -> None:
    mock = Mock().metrics(prometheus=True)
    with mock.serve(port=0) as one, mock.serve(port=0) as other:
        talk(one)
        assert scraped(one.url_for("/metrics"))["websocket_messages_total", "in"] == 3
        assert ("websocket_messages_total", "in") not in scraped(other.url_for("/metrics"))


def test_a_page_that_cannot_be_made_is_an_error_of_the_servers() -> None:
    server = Mock().metrics(prometheus=True).serve(port=0)

    def page() -> tuple[str, bytes]:
        raise ValueError("no page")

    server.listener.pages["/metrics"] = page
    with pytest.raises(HTTPError, match="500"):
        urllib.request.urlopen(server.url_for("/metrics").replace("ws://", "http://"))
    server.stop()
    assert [str(error) for error in server.errors] == ["no page"]


@pytest.mark.parametrize(
    ("say", "problem"),
    [
        (lambda: Mock().metrics(3), r"metrics\(meter_provider=\): 3 is no meter provider"),  # type: ignore[arg-type]
        (lambda: Mock().metrics(prometheus="metrics"), r"metrics\(prometheus=\): 'metrics' is no path"),
        (lambda: Mock().metrics(otlp=4318), r"metrics\(otlp=\): 4318 is no URL"),  # type: ignore[arg-type]
        (lambda: Mock().metrics(MeterProvider), r"metrics\(meter_provider=\): .*is no meter provider"),  # type: ignore[arg-type]
        (lambda: Mock().metrics(prometheus="/a b"), r"metrics\(prometheus=\): '/a b' is no path"),
        (lambda: Mock().metrics(prometheus="/{x}"), r"metrics\(prometheus=\): '/{x}' is no path"),
        (lambda: Mock().metrics(otlp="http://[::1"), r"metrics\(otlp=\): 'http://\[::1' is no URL"),
        (lambda: Mock().metrics(otlp="http://localhost:99999"), r"metrics\(otlp=\): .* is no URL"),
        (lambda: Mock().metrics(otlp="http://:4318"), r"metrics\(otlp=\): .* is no URL"),
        (lambda: Mock().metrics(otlp="http://a/?x=1"), r"metrics\(otlp=\): .* is no URL"),
        (lambda: Mock().metrics(otlp=""), r"metrics\(otlp=\): '' is no URL"),
        (lambda: Mock().metrics(MeterProvider(), otlp=True), r"metrics\(otlp=\): True goes with no provider"),
        (lambda: Mock().route("/a", Mock().metrics()).serve(port=0), r"metrics\(\).*is of the whole server"),
    ],
)
def test_wrong_arguments(say: Callable[[], Any], problem: str) -> None:
    with pytest.raises(OptionError, match=problem):
        say()
