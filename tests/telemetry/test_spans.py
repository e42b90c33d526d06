"""Spans of real connections, through real sockets."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from typing import Any

import pandas as pd
import pytest
from opentelemetry import trace
from opentelemetry.baggage import get_baggage, set_baggage
from opentelemetry.propagate import inject
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.sampling import ALWAYS_OFF
from websockets.exceptions import ConnectionClosed, InvalidStatus

from mockforge_nb import Mock, MockServer, OptionError, Script
from mockforge_nb.telemetry import names
from tests.conftest import PATIENCE, Scripts


def ended(server: MockServer, count: int = 1, kind: str = "server") -> pd.DataFrame:
    """Wait until so many connections' spans have ended; return all spans."""
    until = time.monotonic() + PATIENCE
    while time.monotonic() < until:
        frame = server.spans.df
        if (frame["kind"] == kind).sum() >= count:
            return frame
        time.sleep(0.005)
    raise AssertionError(f"{count} spans did not end: {server.spans.df}")


def connection(frame: pd.DataFrame, number: int = 1) -> Any:
    """The row of one connection's span."""
    found = frame[(frame["kind"] == "server") & (frame["connection"] == number)]
    assert len(found) == 1
    return found.iloc[0]


def events(frame: pd.DataFrame, name: str) -> list[dict[str, Any]]:
    return [each for each in connection(frame)["events"] if each["name"] == name]


def test_a_connection_and_its_messages() -> None:
    with Mock().trace().echo().serve(port=0) as server:
        with server.client() as client:
            for text in ("one", "three"):
                client.send(text)
                assert client.recv() == text
        frame = ended(server)
        assert frame["name"].tolist() == ["WS /ws", "message in", "message out", "message in", "message out"]
        assert frame["connection"].tolist() == [1] * 5
        mine, messages = connection(frame), frame[frame["kind"] == "internal"]
        assert mine["attributes"] == mine["attributes"] | {
            "http.request.method": "GET",
            "http.response.status_code": 101,
            "http.route": "/ws",
            "url.path": "/ws",
            "url.scheme": "ws",
            "network.protocol.name": "websocket",
            "network.protocol.version": "13",
            "server.address": "127.0.0.1",
            "server.port": server.port,
            "client.address": "127.0.0.1",
            "websocket.connection": 1,
            "websocket.close.code": 1000,
            "websocket.messages.in": 2,
            "websocket.messages.out": 2,
        }
        assert (messages["parent_id"] == mine["span_id"]).all()
        assert pd.isna(mine["parent_id"])
        assert [each[names.SIZE] for each in messages["attributes"]] == [3, 3, 5, 5]
        assert (messages["start"] >= mine["start"]).all()
        assert (messages["end"] <= mine["end"]).all()
        assert mine["status"] == "unset"


def test_the_traffic_is_joined_by_its_trace() -> None:
    with Mock().trace().echo().serve(port=0) as server:
        for _ in range(2):
            with server.client() as client:
                client.send("x")
                client.recv()
        frame = ended(server, 2)
        joined = server.traffic.df.merge(frame[frame["kind"] == "server"], on="trace_id", suffixes=("", "_span"))
        assert len(joined) == len(server.traffic.df)
        assert (joined["connection"] == joined["connection_span"]).all()
        assert frame["trace_id"].nunique() == 2
        assert set(server.traffic.df["trace_id"]) == set(frame["trace_id"])


def test_it_hangs_under_the_clients_span() -> None:
    provider = TracerProvider()
    heard = []

    async def handle(conn: Any) -> None:
        heard.append(get_baggage("team"))
        with provider.get_tracer("mine").start_as_current_span("mine"):
            await conn.send("x")

    with Mock().trace(provider).handle(handle).serve(port=0) as server:
        with provider.get_tracer("client").start_as_current_span("a client") as span:
            headers: dict[str, str] = {}
            inject(headers, set_baggage("team", "red"))
            inject(headers)
            headers["baggage"] = "team=red"
            with server.client(additional_headers=headers) as client:
                assert client.recv() == "x"
                with pytest.raises(ConnectionClosed):
                    client.recv()
        frame = ended(server)
        outer = frame[frame["name"] == "a client"].iloc[0]
        mine = connection(frame)
        assert outer["span_id"] == trace.format_span_id(span.get_span_context().span_id)
        assert (mine["trace_id"], mine["parent_id"]) == (outer["trace_id"], outer["span_id"])
        own = frame[frame["name"] == "mine"].iloc[0]
        assert (own["parent_id"], own["connection"]) == (mine["span_id"], 1)
        assert pd.isna(outer["connection"])
        assert heard == ["red"]


def test_what_functions_of_the_author_trace_is_under_the_connection() -> None:
    provider = TracerProvider()
    tracer = provider.get_tracer("mine")

    def reply(message: Any) -> str:
        with tracer.start_as_current_span("a reply"):
            return "yes"

    async def slow(message: Any) -> str:
        with tracer.start_as_current_span("a slow reply"):
            return "later"

    mock = Mock().trace(provider).when("^a$", reply).when("^b$", slow)
    with mock.serve(port=0) as server:
        with server.client() as client:
            client.send("a")
            assert client.recv() == "yes"
            client.send("b")
            assert client.recv() == "later"
        frame = ended(server)
        own = frame[frame["name"].isin(["a reply", "a slow reply"])]
        assert own["parent_id"].tolist() == [connection(frame)["span_id"]] * 2


def test_what_streams_and_upstreams_trace_is_under_the_connection(no_environment: pytest.MonkeyPatch) -> None:
    provider = TracerProvider()
    tracer = provider.get_tracer("mine")

    def source() -> Iterator[str]:
        with tracer.start_as_current_span("a source"):
            yield "x"

    with Mock().echo().serve(port=0) as real:

        def find(request: Any) -> str:
            with tracer.start_as_current_span("an upstream"):
                return real.url

        routes = Mock().route("/a", Mock().stream(source, then="close")).route("/b", Mock().proxy(find))
        with routes.trace(provider).serve(port=0) as server:
            with server.client("/a") as client:
                assert client.recv() == "x"
                with pytest.raises(ConnectionClosed):
                    client.recv()
            with server.client("/b"):
                pass
            frame = ended(server, 2)
            own = frame[frame["name"].isin(["a source", "an upstream"])]
            assert own["connection"].tolist() == [1, 2]


def test_an_error_of_who_finds_the_upstream_is_told() -> None:
    def find(request: Any) -> str:
        raise ValueError("no upstream")

    server = Mock().trace().proxy(find).serve(port=0)
    with pytest.raises(InvalidStatus):
        server.client()
    frame = ended(server)
    server.stop()
    assert [event["exception.message"] for event in frame["events"].iloc[0]] == ["no upstream"]


def test_a_span_that_was_current_when_it_was_served_is_nobodys_parent() -> None:
    provider = TracerProvider()
    with (
        provider.get_tracer("mine").start_as_current_span("the notebook"),
        Mock().trace(provider).serve(port=0) as server,
    ):
        with server.client():
            pass
        assert pd.isna(connection(ended(server))["parent_id"])


def test_a_proxy_passes_the_trace_on() -> None:
    provider = TracerProvider()
    with (
        Mock().trace(provider).echo().serve(port=0) as upstream,
        Mock().trace(provider).proxy(upstream.url).serve(port=0) as server,
    ):
        with (
            provider.get_tracer("client").start_as_current_span("a client"),
            server.client(additional_headers=_headers()) as client,
        ):
            client.send("x")
            assert client.recv() == "x"
        frame = ended(upstream, 2)
        chain = frame[frame["name"].str.startswith("WS") | (frame["name"] == "a client")]
        assert chain["name"].tolist() == ["a client", "WS /ws", f"WS 127.0.0.1:{upstream.port}", "WS /ws"]
        assert chain["kind"].tolist() == ["internal", "server", "client", "server"]
        assert chain["parent_id"].tolist()[1:] == chain["span_id"].tolist()[:-1]
        assert chain["trace_id"].nunique() == 1
        assert chain["attributes"].iloc[2]["http.response.status_code"] == 101
        relayed = frame[frame["name"].str.startswith("message") & (frame["parent_id"] == chain["span_id"].iloc[1])]
        assert [each["websocket.relay"] for each in relayed["attributes"]] == ["forwarded", "forwarded"]


def _headers() -> dict[str, str]:
    headers: dict[str, str] = {}
    inject(headers)
    return headers


def test_a_proxy_that_gets_other_upstreams() -> None:
    provider = TracerProvider()
    mock = Mock().trace(provider)
    with (
        mock.echo().serve(port=0) as first,
        mock.echo("> ").serve(port=0) as second,
        mock.proxy(first.url).serve(port=0) as server,
    ):
        with server.client() as client:
            client.send("x")
            assert client.recv() == "x"
            server.update(Mock().proxy(second.url))
            client.send("x")
            assert client.recv() == "> x"
        frame = ended(server, 3)
        dialed = frame[frame["kind"] == "client"]
        assert dialed["name"].tolist() == [f"WS 127.0.0.1:{first.port}", f"WS 127.0.0.1:{second.port}"]
        mine = frame[frame["kind"] == "server"]
        assert set(mine["parent_id"].dropna()) == set(dialed["span_id"])
        # Of the spans of one trace those of the server's own connections have its numbers.
        assert mine["connection"].notna().sum() == 1
        assert dialed["connection"].tolist() == [1, 1]


def test_what_a_client_says_wrongly_of_its_trace_goes_no_further() -> None:
    bad = {"traceparent": "00-nonsense", "tracestate": "k=v", "baggage": "team=red"}
    with (
        Mock().trace().echo().serve(port=0) as upstream,
        Mock().trace().proxy(upstream.url).serve(port=0) as server,
    ):
        with server.client(additional_headers=bad):
            pass
        headers = upstream.connections[0].headers
        assert headers["traceparent"].startswith("00-")
        assert headers["traceparent"] != bad["traceparent"]
        assert "tracestate" not in headers
        assert headers["baggage"] == "team=red"


def test_a_proxy_that_is_not_traced_passes_the_clients_headers_on() -> None:
    parent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
    with Mock().trace().echo().serve(port=0) as upstream, Mock().proxy(upstream.url).serve(port=0) as server:
        with server.client(additional_headers={"traceparent": parent}):
            pass
        mine = connection(ended(upstream))
        assert (mine["trace_id"], mine["parent_id"]) == (parent[3:35], parent[36:52])


def test_an_upstream_that_is_away(free_port: int) -> None:
    with Mock().trace().proxy(f"ws://127.0.0.1:{free_port}").serve(port=0) as server:
        with pytest.raises(InvalidStatus):
            server.client()
        frame = ended(server, kind="client")
        assert frame["status"].tolist() == ["error", "error"]
        assert frame["attributes"].iloc[0]["http.response.status_code"] == 502
        assert frame["attributes"].iloc[1]["error.type"] == "Refused"


# What happens on a connection


def test_faults_are_events() -> None:
    mock = (
        Mock().trace().seed(1).fault("drop", only="b").fault("close", after=4, code=1012).replay(["a", "b", "c", "d"])
    )
    with mock.serve(port=0) as server:
        with server.client() as client:
            assert [client.recv() for _ in range(3)] == ["a", "c", "d"]
            with pytest.raises(ConnectionClosed):
                client.recv()
        frame = ended(server)
        struck = events(frame, "fault")
        assert (struck[0][names.FAULT], struck[0][names.STEP]) == ("drop", 1)
        assert struck[-1][names.FAULT] == "close"
        dropped = frame[[each.get(names.FAULT) == "drop" for each in frame["attributes"]]]
        assert dropped["name"].tolist() == ["message out"]


def test_waits_branches_and_timeouts_are_events() -> None:
    script = Script.parse(
        """
        {"text": "ready?", "step_id": "ask"}
        {"dir": "in", "branches": {"^no$": "ask", "^yes$": "go"}}
        {"text": "go", "step_id": "go"}
        {"dir": "in", "timeout_ms": 1, "on_timeout": "end"}
        {"text": "late", "step_id": "end", "close": true}
        """
    )
    with Mock().trace().replay(script).serve(port=0) as server:
        with server.client() as client:
            assert client.recv() == "ready?"
            client.send("no")
            assert client.recv() == "ready?"
            client.send("yes")
            assert [client.recv(), client.recv()] == ["go", "late"]
        frame = ended(server)
        told = [(each["name"], each[names.STEP], each[names.DETAIL]) for each in connection(frame)["events"]]
        assert told == [
            ("wait", 1, "ANY"),
            ("matched", 1, "ANY"),
            ("branch", 1, "ask"),
            ("wait", 1, "ANY"),
            ("matched", 1, "ANY"),
            ("branch", 1, "go"),
            ("wait", 3, "ANY"),
            ("timeout", 3, "end"),
        ]


def test_latency_is_the_length_of_a_message() -> None:
    with Mock().trace().latency((20, 40)).seed(3).replay(["a", "b"]).serve(port=0) as server:
        with server.client() as client:
            [client.recv() for _ in range(2)]
        frame = ended(server)
        messages = frame[frame["direction"] == "out"].sort_values("connection")
        drawn = server.traffic.df["delay_ms"].dropna()
        assert messages["duration_ms"].round(3).sort_values().tolist() == drawn.round(3).sort_values().tolist()


def test_an_error_of_the_author_is_told() -> None:
    def reply(message: Any) -> str:
        raise ValueError("no answer")

    server = Mock().trace().when("x", reply).serve(port=0)
    with server.client() as client:
        client.send("x")
        with pytest.raises(ConnectionClosed):
            client.recv()
    mine = connection(ended(server))
    server.stop()
    assert mine["status"] == "error"
    assert mine["attributes"]["websocket.close.code"] == 1011
    assert [each["exception.type"] for each in mine["events"] if each["name"] == "exception"] == ["ValueError"]


def test_the_end_without_a_close_frame_is_an_error() -> None:
    with Mock().trace().serve(port=0) as server:
        with server.client():
            server.wait_connected()
            server.abort()
            mine = connection(ended(server))
        assert (mine["status"], mine["attributes"]["error.type"]) == ("error", "1006")


def test_refused_handshakes() -> None:
    mock = Mock().trace().route("/a", Mock().echo()).route("/b", Mock().reject(503))
    with mock.serve(port=0) as server:
        for path in ("/nowhere", "/b"):
            with pytest.raises(InvalidStatus):
                server.client(path)
        frame = ended(server, 2)
        assert frame["name"].tolist() == ["WS", "WS /b"]  # a stranger's path is no name
        assert [each["http.response.status_code"] for each in frame["attributes"]] == [404, 503]
        assert [each["url.path"] for each in frame["attributes"]] == ["/nowhere", "/b"]
        assert frame["status"].tolist() == ["unset", "error"]
        assert [each[names.FAULT] for each in frame["events"].iloc[1]] == ["reject"]
        assert set(server.traffic.df["trace_id"]) == set(frame["trace_id"])


# Which messages


def sampled(sample: float) -> list[Any]:
    """Return the sizes of the messages that have spans, of 300 there and 300 back."""
    with Mock().trace(sample=sample).seed(5).echo().serve(port=0) as server:
        with server.client() as client:
            for number in range(300):
                client.send("x" * (number + 1))
                client.recv()
        frame = ended(server)
        return [(each[names.DIRECTION], each[names.SIZE]) for each in frame["attributes"] if names.DIRECTION in each]


def test_a_share_of_the_messages() -> None:
    assert sampled(0) == []
    assert len(sampled(1)) == 600
    half = sampled(0.5)
    for way in ("in", "out"):
        assert 100 < sum(direction == way for direction, _ in half) < 200
    assert sampled(0.5) == half  # by the seed


def test_a_burst_is_an_event_unless_asked_for() -> None:
    rows = [{"n": n} for n in range(100)]
    for bursts, spans in ((False, 0), (True, 100)):
        with Mock().trace(bursts=bursts).replay(rows, speed="max").serve(port=0) as server:
            with server.client() as client:
                [client.recv() for _ in range(100)]
            frame = ended(server)
            assert (frame["name"] == "message out").sum() == spans
            told = [each[names.COUNT] for each in events(frame, "burst")]
            assert told == ([] if bursts else [100])
            if bursts:
                steps = [each[names.STEP] for each in frame["attributes"] if names.STEP in each]
                assert steps == list(range(100))


def test_over_tls() -> None:
    with Mock().tls().trace().serve(port=0) as server:
        with server.client():
            pass
        assert connection(ended(server))["attributes"]["url.scheme"] == "wss"


def test_what_is_not_sampled_costs_no_spans() -> None:
    with Mock().trace(TracerProvider(sampler=ALWAYS_OFF)).echo().serve(port=0) as server:
        with server.client() as client:
            client.send("x")
            assert client.recv() == "x"
        assert len(server.spans) == 0
        assert server.traffic.df["trace_id"].notna().all()  # it is passed on all the same


# Where spans come from and go to


def test_the_same_ids_under_a_seed() -> None:
    def ids() -> list[tuple[Any, ...]]:
        with Mock().trace().seed(7).replay(["a", "b"]).serve(port=0) as server:
            with server.client() as client:
                [client.recv() for _ in range(2)]
            frame = ended(server)
            return list(frame[["name", "trace_id", "span_id", "parent_id"]].astype(str).itertuples(index=False))

    assert ids() == ids()


def test_servers_with_one_seed_have_other_ids() -> None:
    with (
        Mock().trace().seed(7).echo().serve(port=0) as upstream,
        Mock().trace().seed(7).proxy(upstream.url).serve(port=0) as server,
    ):
        with server.client():
            pass
        ids = [*ended(upstream)["span_id"], *ended(server)["span_id"]]
        assert len(ids) == len(set(ids))


def test_a_trace_that_is_under_itself() -> None:
    """Who knows the seed knows the first span's id, and may say that it is under that one."""

    def seen() -> Any:
        return connection(ended(server))

    with Mock().trace().seed(7).serve(port=0) as server:
        with server.client():
            pass
        first = seen()
    headers = {"traceparent": f"00-{first['trace_id']}-{first['span_id']}-01"}
    with Mock().trace().seed(7).serve(port=0) as server:
        with server.client(additional_headers=headers):
            pass
        assert seen()["connection"] == 1
        assert len(server.spans.df) == 1


def test_a_span_keeps_ten_thousand_events() -> None:
    with (
        Mock().trace(sample=0).fault("drop", only="b").replay(["b"] * 300 + ["a"], speed="max").serve(port=0) as server
    ):
        with server.client() as client:
            assert client.recv() == "a"
        frame = ended(server)
        assert len(events(frame, "fault")) == 300
        assert frame["events_dropped"].tolist() == [0]


def test_what_cannot_be_traced_leaves_no_server_behind(free_port: int) -> None:
    class Provider(TracerProvider):
        def get_tracer(self, *args: Any, **more: Any) -> Any:
            raise RuntimeError("no tracer")

    with pytest.raises(RuntimeError, match="no tracer"):
        Mock().trace(Provider()).serve(port=free_port)
    with Mock().serve(port=free_port) as server:
        assert server.port == free_port


def test_the_global_provider(script: Scripts) -> None:
    ran = script(
        """
        from opentelemetry import trace
        from opentelemetry.sdk.trace import TracerProvider
        from opentelemetry.sdk.trace.export import SimpleSpanProcessor
        from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
        from mockforge_nb import Mock
        kept = InMemorySpanExporter()
        trace.set_tracer_provider(TracerProvider())
        trace.get_tracer_provider().add_span_processor(SimpleSpanProcessor(kept))
        with Mock().trace().serve(port=0) as server:
            with server.client() as client:
                client.send("x")
                client.recv()
        print(sorted(span.name for span in kept.get_finished_spans()), len(server.spans))
        """
    )
    assert (ran.out, ran.err) == ("['WS /ws', 'message in', 'message out'] 3\n", "")


def test_nothing_of_opentelemetry_for_who_does_not_trace(script: Scripts) -> None:
    ran = script(
        """
        import sys
        from mockforge_nb import Mock
        with Mock().latency(1).replay(["a"]).serve(port=0) as server:
            with server.client() as client:
                client.recv()
            print(server.spans, server.metrics, len(server.spans.df), len(server.metrics.df))
        print([name for name in sys.modules if name.startswith("opentelemetry")])
        """
    )
    assert ran.out == (
        "<Spans: none, as the mock is not traced: Mock().trace()> "
        "<Metrics: none, as the mock is not measured: Mock().metrics()> 0 0\n[]\n"
    )


def test_servers_of_one_provider_have_their_own_spans() -> None:
    provider = TracerProvider()
    with Mock().trace(provider).serve(port=0) as one, Mock().trace(provider).serve(port=0) as other:
        with one.client():
            pass
        assert len(ended(one)) == 1
        assert len(other.spans) == 0
        one.spans.clear()
        assert len(one.spans) == 0
        with other.client():
            pass
        assert len(ended(other)) == 1
        assert len(one.spans) == 0


def test_a_provider_that_is_not_the_sdks_says_why_there_is_nothing() -> None:
    class Provider(trace.NoOpTracerProvider):
        """Somebody else's."""

    with Mock().trace(Provider()).serve(port=0) as server:
        with server.client() as client:
            client.send("x")
            assert client.recv() == "x"
        assert "Provider is no tracer provider of opentelemetry.sdk" in repr(server.spans)
        assert server.traffic.df["trace_id"].isna().all()


def test_it_stays_traced_when_another_mock_takes_over() -> None:
    mock = Mock().trace(sample=1)
    with mock.echo().serve(port=0) as server:
        server.update(Mock().echo("> "))
        server.update(mock.echo("= "))
        with server.client() as client:
            client.send("x")
            assert client.recv() == "= x"
        assert len(ended(server)) == 3
        assert "trace()" in repr(server.mock)
        with pytest.raises(OptionError, match=r"update\(\).*is said when a mock is served"):
            server.update(Mock().trace(sample=0.5))


# How they are shown


def test_the_waterfall() -> None:
    pytest.importorskip("matplotlib")
    from matplotlib import pyplot as plt

    mock = Mock().trace().seed(1).latency(5).fault("drop", only="b").replay(["a", "b", "c"])
    with mock.serve(port=0) as server:
        for _ in range(2):
            with server.client() as client:
                [client.recv() for _ in range(2)]
        ended(server, 2)
        axes = server.spans.plot()
        assert len(axes.get_yticks()) == 8
        assert [text.get_text().rstrip() for text in axes.get_yticklabels()][:2] == ["WS /ws", "  message out"]
        assert len(server.spans.plot(connection=2).get_yticks()) == 4
        assert "the first 3 of 8 spans" in server.spans.plot(most=3).get_title(loc="left")
        with pytest.raises(OptionError, match=r"plot\(connection=\): 3 has no spans"):
            server.spans.plot(connection=3)
        with pytest.raises(OptionError, match=r"plot\(connection=\): True is no connection's number"):
            server.spans.plot(connection=True)
        with pytest.raises(OptionError, match=r"plot\(most=\)"):
            server.spans.plot(most=0)
        plt.close("all")
    with pytest.raises(OptionError, match=r"plot\(\): <Spans: none, as the mock is not traced.* has no spans"):
        server_of(Mock()).spans.plot()


def server_of(mock: Mock) -> MockServer:
    server = mock.serve(port=0)
    server.stop()
    return server


def test_reprs() -> None:
    assert repr(Mock().trace()) == "Mock().trace()"
    assert repr(Mock().trace(TracerProvider(), sample=0.5, bursts=True)) == (
        "Mock().trace(tracer_provider=TracerProvider, sample=0.5, bursts=True)"
    )
    assert Mock().trace() == Mock().trace()
    assert Mock().trace() != Mock().trace(sample=0)
    server = server_of(Mock().trace())
    assert repr(server.spans) == "<Spans 0 spans>"
    assert "Spans" in server.spans._repr_html_()


@pytest.mark.parametrize(
    ("say", "problem"),
    [
        (lambda: Mock().trace(3), r"trace\(tracer_provider=\): 3 is no tracer provider"),  # type: ignore[arg-type]
        (lambda: Mock().trace(TracerProvider), r"trace\(tracer_provider=\): .*is no tracer provider"),  # type: ignore[arg-type]
        (lambda: Mock().trace(sample=2), r"trace\(sample=\): 2 is no share"),
        (lambda: Mock().trace(sample="all"), r"trace\(sample=\): 'all' is no share"),  # type: ignore[arg-type]
        (lambda: Mock().trace(bursts=1), r"trace\(bursts=\): 1 is neither"),  # type: ignore[arg-type]
        (lambda: Mock().trace(otlp="localhost:4318"), r"trace\(otlp=\): 'localhost:4318' is no URL"),
        (lambda: Mock().trace(TracerProvider(), otlp=True), r"trace\(otlp=\): True goes with no provider"),
        (lambda: Mock().route("/a", Mock().trace()).serve(port=0), r"trace\(\).*is of the whole server"),
    ],
)
def test_wrong_arguments(say: Callable[[], Any], problem: str) -> None:
    with pytest.raises(OptionError, match=problem):
        say()
