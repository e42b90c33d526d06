"""The examples of the original's page, in Python, through real sockets."""

from __future__ import annotations

import asyncio
import json
import os
import pickle
import re
import signal
import subprocess
import sys
import textwrap
import time
import uuid
from collections import Counter
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from websockets.exceptions import InvalidStatus
from websockets.sync.client import connect

from mockforge_nb import Mock, OptionError, TemplateError, ws
from mockforge_nb.pytest_plugin import WsMock
from mockforge_nb.server import MockServer
from mockforge_nb.tracing import create_ws_connection_span
from mockforge_nb.ws import (
    DEFAULT_PATH,
    DEFAULT_PORT,
    AiEventGenerator,
    FaultConfig,
    LatencyInjector,
    LatencyProfile,
    ReplayAugmentationConfig,
    WebSocketAiConfig,
    WsProxyConfig,
    WsProxyHandler,
    expand_tokens,
    router,
    router_with_latency,
    router_with_proxy,
    start_with_latency,
    stock_market_scenario,
)

from .authors import Scripted
from .conftest import PATIENCE, ROOT, held
from .test_narratives import rest, sent

pytestmark = pytest.mark.usefixtures("no_environment", "nothing_left")

REPLAY = r"""
{"ts":0,"dir":"out","text":"HELLO {{uuid}}","waitFor":"^CLIENT_READY$"}
{"ts":10,"dir":"out","text":"{\"type\":\"welcome\",\"sessionId\":\"{{uuid}}\"}"}
{"ts":20,"dir":"out","text":"{\"data\":{{randInt 1 100}}}","waitFor":"^ACK$"}
"""


@pytest.fixture
def upstream(ws_mock: WsMock) -> MockServer:
    """A real server in place of the page's wss://echo.websocket.org."""
    return ws_mock(Mock().echo("upstream: "), path="/up")


def said(server: MockServer, *texts: str, path: str | None = None) -> list[Any]:
    """Say texts to a server, one after the other, and return what it answers to each."""
    answers = []
    with server.client(path) as client:
        for text in texts:
            client.send(text)
            answers.append(client.recv())
    return answers


# Core functions


def test_router(ws_mock: WsMock) -> None:
    server = ws_mock(router())
    assert server.path == DEFAULT_PATH == "/ws"
    with server.client() as client:
        client.send("hello")
        assert client.recv() == "hello"
        client.send(b"\x00\xff")
        assert client.recv() == b"\x00\xff"


def test_router_with_latency(ws_mock: WsMock) -> None:
    latency = LatencyProfile.slow()
    injector = LatencyInjector(latency, FaultConfig())
    server = ws_mock(router_with_latency(injector))
    began = time.monotonic()
    assert said(server, "hello") == ["hello"]
    assert time.monotonic() - began >= 0.3
    assert sent(server)["delay_ms"].between(300, 800).all()


def test_an_injector_that_is_switched_off_delays_and_refuses_nothing() -> None:
    injector = LatencyInjector(LatencyProfile.slow(), FaultConfig(1.0), enabled=False)
    assert router_with_latency(injector) == router()


def test_router_with_proxy(ws_mock: WsMock, upstream: MockServer) -> None:
    proxy_config = WsProxyConfig(upstream_url=upstream.url, should_proxy=True)
    server = ws_mock(router_with_proxy(WsProxyHandler(proxy_config)))
    assert said(server, "hello") == ["upstream: hello"]
    assert said(server, "hello", path="/ws/below/it") == ["upstream: hello"]


# Server functions


def test_start_with_latency(free_port: int) -> None:
    async def main() -> None:
        server = await start_with_latency(free_port, LatencyProfile.normal())
        try:
            assert server.url == f"ws://127.0.0.1:{free_port}/ws"
            async with await server.client() as client:
                await client.send("hello")
                assert await client.recv() == "hello"
            assert sent(server)["delay_ms"].between(50, 200).all()
        finally:
            await server.stop()

    asyncio.run(main())


def test_start_with_latency_without_one_stops_at_the_end_of_a_block(free_port: int) -> None:
    async def main() -> None:
        async with start_with_latency(free_port) as server, await server.client() as client:
            await client.send("hello")
            assert await client.recv() == "hello"
            assert sent(server)["delay_ms"].isna().all()

    asyncio.run(main())
    assert not held(free_port)


def test_start_with_latency_has_the_page_s_port(no_environment: pytest.MonkeyPatch, free_port: int) -> None:
    async def main() -> int:
        async with start_with_latency(latency="fast") as server:
            return server.port

    assert DEFAULT_PORT == 3001
    no_environment.setenv("MOCKFORGE_WS_PORT", str(free_port))
    assert asyncio.run(main()) == free_port


def test_start_with_latency_is_a_coroutine_to_who_takes_one(free_port: int) -> None:
    server = asyncio.run(start_with_latency(free_port, "fast"))
    assert server.port == free_port
    server.halt()

    async def main() -> None:
        async with await asyncio.create_task(start_with_latency(0)) as other:
            assert other.running

    asyncio.run(main())
    assert not server.running


def test_a_server_that_nobody_awaits_says_so() -> None:
    starting = start_with_latency(0)
    assert repr(starting) == "<a server that is not started: await it, or enter it with `async with`>"
    with pytest.warns(RuntimeWarning, match=r"serve_async\(\).* was never awaited"):
        del starting


def test_a_server_is_started_once() -> None:
    async def main() -> None:
        starting = start_with_latency(0)
        async with await starting:
            with pytest.raises(RuntimeError, match="already awaited"):
                await starting

    asyncio.run(main())


@pytest.mark.parametrize(
    "text",
    [
        "server = router().serve(port=0); print(server.url, flush=True); server.serve_forever()",
        """
        async def main():
            server = await start_with_latency(0)
            print(server.url, flush=True)
            await server.serve_forever()
        asyncio.run(main())
        """,
    ],
)
def test_a_script_waits_until_it_is_interrupted(text: str) -> None:
    program = "import asyncio\nfrom mockforge_nb.ws import *\n" + textwrap.dedent(text) + "\nprint('after', flush=True)"
    environ = {**os.environ, "PYTHONPATH": ROOT}
    with subprocess.Popen(
        [sys.executable, "-c", program], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environ
    ) as script:
        assert script.stdout is not None
        url = script.stdout.readline().strip()
        with connect(url, proxy=None) as client:
            client.send("hello")
            assert client.recv(PATIENCE) == "hello"
        script.send_signal(signal.SIGINT)
        said_, wrong = script.communicate(timeout=PATIENCE)
    assert (said_, wrong, script.returncode) == ("after\n", "", 0)


def test_who_cancels_the_wait_of_a_server_stops_it() -> None:
    async def main() -> None:
        server = await start_with_latency(0)
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(server.serve_forever(), 0.05)
        assert not server.running
        await server.serve_forever()  # of one that is stopped there is nothing to wait for

    asyncio.run(main())


def test_tracing_is_where_the_original_has_it() -> None:
    assert ws.create_ws_connection_span is create_ws_connection_span
    with pytest.raises(AttributeError, match="has no attribute 'create_ws_span'"):
        ws.create_ws_span  # noqa: B018


# Events by a language model; more of them in test_eventstreams.py


def story(tell: Callable[[Any], Awaitable[object]], ws_mock: WsMock) -> list[Any]:
    """Return the events that a handler tells."""

    async def handle_ai_events(socket: Any) -> None:
        await tell(socket)

    with ws_mock(Mock().handle(handle_ai_events)).client() as client:
        events = list(map(json.loads, rest(client)))
        assert client.close_code == 1000
    return events


def test_stream_events(ws_mock: WsMock) -> None:
    config = ReplayAugmentationConfig(narrative="Simulate stock market trading", event_count=100, event_rate=1000)
    generator = AiEventGenerator(config, author=Scripted())
    events = story(lambda socket: generator.stream_events(socket, 100), ws_mock)
    assert [event["data"]["n"] for event in events] == [*range(100)]


def test_stream_events_with_rate(ws_mock: WsMock) -> None:
    config = ReplayAugmentationConfig(
        narrative="Simulate a live chat conversation with multiple users", event_count=3, provider="openai"
    )
    generator = AiEventGenerator(config, author=Scripted())
    began = time.monotonic()
    events = story(lambda socket: generator.stream_events_with_rate(socket, None, 2.0), ws_mock)
    assert [event["sequence"] for event in events] == [1, 2, 3]
    assert time.monotonic() - began >= 1.0  # two gaps of half a second


def test_the_switch_of_ai_features(ws_mock: WsMock) -> None:
    replay = stock_market_scenario(event_rate=100)
    config = WebSocketAiConfig(enabled=True, replay=replay, max_events=2)
    server = ws_mock(Mock().narrate(config, author=Scripted({"symbol": "A"}, {"symbol": "B"}), then="close"))
    with server.client() as client:
        assert [json.loads(event)["data"]["symbol"] for event in rest(client)] == ["A", "B"]


# Tokens


def test_expand_tokens() -> None:
    text = "Hello {{uuid}} at {{now}}"
    hello, found, at, now = expand_tokens(text).split()
    assert (hello, at) == ("Hello", "at")
    assert uuid.UUID(found).version == 4
    assert abs(datetime.fromisoformat(now) - datetime.now(UTC)) < timedelta(seconds=PATIENCE)


def test_each_token_of_the_page() -> None:
    text = "{{now}} {{now+1m}} {{now+1h}}"
    assert expand_tokens(text, now="2024-01-15T10:30:00Z").split() == [
        "2024-01-15T10:30:00.000Z",
        "2024-01-15T10:31:00.000Z",
        "2024-01-15T11:30:00.000Z",
    ]
    drawn = {int(expand_tokens("{{randInt 1 3}}", seed=seed)) for seed in range(50)}
    assert drawn == {1, 2, 3}
    first, second = expand_tokens("{{uuid}} {{uuid}}").split()
    assert first != second


def test_expand_tokens_with_a_seed_says_the_same() -> None:
    text = "{{uuid}} {{randInt 1 1000000}} {{faker 'name'}} {{price}}"
    assert expand_tokens(text, seed=7, price=3) == expand_tokens(text, seed=7, price=3)
    assert expand_tokens(text, seed=7, price=3) != expand_tokens(text, seed=8, price=3)


@pytest.mark.parametrize(
    ("text", "part"),
    [
        ("{{uid}}", "did you mean 'uuid'? to keep the braces write {% raw %}"),
        ("{{randInt 1}}", "write {{randInt 1 100}}"),
        ("{{now+1}}", "has no unit"),
        ("{{uuid", "is not closed"),
        ("{{message}}", "no client message"),
    ],
)
def test_a_wrong_token_is_an_error(text: str, part: str) -> None:
    with pytest.raises(TemplateError, match=re.escape(part)):
        expand_tokens(text)


def test_braces_that_are_no_token_stay() -> None:
    assert expand_tokens("{% raw %}{{name}}{% endraw %}") == "{{name}}"


# The longer examples


def test_basic_server(free_port: int) -> None:
    app = router()
    with app.serve(host="127.0.0.1", port=free_port) as server:
        assert said(server, "hello") == ["hello"]


def test_server_with_latency_simulation(free_port: int) -> None:
    async def main() -> list[float]:
        async with start_with_latency(free_port, LatencyProfile.normal()) as server:
            async with await server.client() as client:
                for number in range(5):
                    await client.send(str(number))
                assert [await client.recv() for _ in range(5)] == ["0", "1", "2", "3", "4"]
            return list(sent(server)["delay_ms"])

    delays = asyncio.run(main())
    assert len(set(delays)) > 1
    assert all(50 <= delay <= 200 for delay in delays)


def test_proxy_server(free_port: int, upstream: MockServer) -> None:
    proxy_config = WsProxyConfig(upstream_url=upstream.url, should_proxy=True, message_transform=None)
    app = router_with_proxy(WsProxyHandler(proxy_config))
    with app.serve(host="127.0.0.1", port=free_port) as server:
        assert said(server, "a", "b") == ["upstream: a", "upstream: b"]
        assert server.traffic.df["relay"].eq("forwarded").any()


@pytest.mark.parametrize("expand", ["1", "true", "TRUE"])
def test_replay_mode(no_environment: pytest.MonkeyPatch, tmp_path: Path, ws_mock: WsMock, expand: str) -> None:
    (tmp_path / "replay.jsonl").write_text(REPLAY)
    no_environment.chdir(tmp_path)
    no_environment.setenv("MOCKFORGE_WS_REPLAY_FILE", "./replay.jsonl")
    no_environment.setenv("MOCKFORGE_RESPONSE_TEMPLATE_EXPAND", expand)
    server = ws_mock(router())
    with server.client() as client:
        client.send("not yet")
        client.send("CLIENT_READY")
        hello, session = client.recv().split()
        assert (hello, uuid.UUID(str(session)).version) == ("HELLO", 4)
        welcome = json.loads(client.recv())
        assert welcome["type"] == "welcome"
        assert uuid.UUID(welcome["sessionId"]).version == 4
        client.send("ACK")
        assert 1 <= json.loads(client.recv())["data"] <= 100
    assert sent(server)["due_ms"].diff().iloc[1] == 10


def test_a_warning_is_on_the_line_that_makes_the_mock(no_environment: pytest.MonkeyPatch, tmp_path: Path) -> None:
    file = tmp_path / "replay.jsonl"
    file.write_text('{"ts": 10, "text": "a"}\n{"ts": 5, "text": "b"}\n')
    no_environment.setenv("MOCKFORGE_WS_REPLAY_FILE", str(file))
    no_environment.setenv("MOCKFORGE_WS_PROT", "1")
    for make in (router, lambda: router_with_latency(LatencyInjector()), lambda: start_with_latency(0).close()):
        with pytest.warns(UserWarning, match=r"is not read|is before the step") as caught:
            make()
        assert [each.filename for each in caught] == [__file__] * 2


def test_rules_of_a_router_are_templates_once_that_is_said() -> None:
    app = router().when("^id$", "{{randInt 7 7}}")
    answers = [each.simulate([(0, "id")]).select(direction="out", opcode="text") for each in (app, app.templates())]
    assert [each.df["text"].tolist() for each in answers] == [["{{randInt 7 7}}"], ["7"]]


def test_replay_mode_without_expansion(no_environment: pytest.MonkeyPatch, tmp_path: Path, ws_mock: WsMock) -> None:
    file = tmp_path / "replay.jsonl"
    file.write_text(REPLAY)
    no_environment.setenv("MOCKFORGE_WS_REPLAY_FILE", str(file))
    with ws_mock(router()).client() as client:
        client.send("CLIENT_READY")
        assert client.recv() == "HELLO {{uuid}}"
        assert client.recv() == '{"type":"welcome","sessionId":"{{uuid}}"}'
        client.send("ACK")
        assert client.recv() == '{"data":{{randInt 1 100}}}'


def test_custom_handler(ws_mock: WsMock) -> None:
    async def handle_custom_socket(socket: Any) -> None:
        async for message in socket:
            if message.text is not None:
                await socket.send(f"Echo: {message.text}")

    assert said(ws_mock(Mock().handle(handle_custom_socket)), "a", "b") == ["Echo: a", "Echo: b"]


# What the page does not show


def test_what_is_not_relayed_is_handled_here(
    no_environment: pytest.MonkeyPatch, tmp_path: Path, ws_mock: WsMock
) -> None:
    app = WsProxyHandler(WsProxyConfig(upstream_url="ws://127.0.0.1:1", should_proxy=False))
    assert said(ws_mock(router_with_proxy(app)), "hello") == ["hello"]
    file = tmp_path / "replay.jsonl"
    file.write_text('{"text": "played"}')
    no_environment.setenv("MOCKFORGE_WS_REPLAY_FILE", str(file))
    with ws_mock(router_with_proxy(app)).client() as client:
        assert client.recv() == "played"


def test_rules_of_a_proxy_choose_by_the_path(ws_mock: WsMock, upstream: MockServer) -> None:
    rules = [("/ws/users/*", upstream.url)]
    server = ws_mock(router_with_proxy(WsProxyHandler(WsProxyConfig(rules=rules))))
    assert said(server, "hello", path="/ws/users/7") == ["upstream: hello"]
    assert said(server, "hello", path="/ws/orders/7") == ["hello"]
    assert said(server, "hello") == ["hello"]


def test_a_proxy_without_an_upstream_takes_the_variable_s(
    no_environment: pytest.MonkeyPatch, ws_mock: WsMock, upstream: MockServer
) -> None:
    handler = WsProxyHandler(WsProxyConfig())
    with pytest.raises(OptionError, match=r"is no upstream; .* set MOCKFORGE_WS_PROXY_UPSTREAM_URL"):
        router_with_proxy(handler)
    no_environment.setenv("MOCKFORGE_WS_PROXY_UPSTREAM_ULR", upstream.url)
    with (
        pytest.warns(UserWarning, match="did you mean MOCKFORGE_WS_PROXY_UPSTREAM_URL") as caught,
        pytest.raises(OptionError, match="is no upstream"),
    ):
        router_with_proxy(handler)
    assert caught[0].filename == __file__
    no_environment.delenv("MOCKFORGE_WS_PROXY_UPSTREAM_ULR")
    no_environment.setenv("MOCKFORGE_WS_PROXY_UPSTREAM_URL", "htp://bad")
    with pytest.raises(OptionError, match=r"^MOCKFORGE_WS_PROXY_UPSTREAM_URL: 'htp://bad' is no URL of a WebSocket"):
        router_with_proxy(handler)
    no_environment.setenv("MOCKFORGE_WS_PROXY_UPSTREAM_URL", upstream.url)
    assert said(ws_mock(router_with_proxy(handler)), "hello") == ["upstream: hello"]


def test_what_is_said_after_a_proxy_holds_below_it_too(ws_mock: WsMock, upstream: MockServer) -> None:
    app = router_with_proxy(WsProxyHandler(WsProxyConfig(upstream.url))).when("^ping$", "pong")
    server = ws_mock(app, path="/feed")
    for path in ("/feed", "/feed/below/it"):
        assert said(server, "ping", "hello", path=path) == ["pong", "upstream: hello"]
    with pytest.raises(InvalidStatus, match="404"):
        server.client("/ws/x")
    assert repr(app).endswith(".when('^ping$', 'pong').below()")
    assert repr(pickle.loads(pickle.dumps(app))) == repr(app)


def test_a_config_of_a_proxy_shows_no_secrets() -> None:
    url = "wss://user:secret@h/x?token=abc"
    config = WsProxyConfig(url, rules=[("/a", url), ("/b", url + "{x}")])
    shown = [repr(config), repr(WsProxyHandler(config))]
    for given in (config, WsProxyHandler(config)):
        with pytest.raises(OptionError) as caught:
            router_with_proxy(given)  # type: ignore[arg-type]  # on purpose
        shown.append(str(caught.value))
    for text in shown:
        assert "wss://h/x" in text
        assert "secret" not in text
        assert "abc" not in text


@pytest.mark.parametrize("name", ["should_proxy", "enabled", "passthrough_by_default"])
def test_a_switch_of_a_proxy_is_true_or_false(name: str) -> None:
    with pytest.raises(OptionError, match=re.escape(f"WsProxyConfig({name}=): 'false' is neither True nor False")):
        WsProxyConfig("ws://a", **{name: "false"})  # type: ignore[arg-type]  # on purpose


def test_the_rules_of_a_proxy_are_those_that_were_given() -> None:
    rules = [("/a", "ws://a")]
    config = WsProxyConfig(rules=rules)
    rules.append(("/b", "ws://b"))
    assert config.rules == (("/a", "ws://a"),)


def refusals(server: MockServer, attempts: int) -> Counter[tuple[int, str]]:
    """Return how often handshakes were refused, by status and body; 101 are those that were not."""
    found: Counter[tuple[int, str]] = Counter()
    for _ in range(attempts):
        try:
            with server.client():
                found[101, ""] += 1
        except InvalidStatus as error:
            found[error.response.status_code, (error.response.body or b"").decode()] += 1
    return found


def test_faults_refuse_handshakes_with_each_status_and_response(ws_mock: WsMock) -> None:
    faults = FaultConfig(0.5, [500, 503], {"down": {"error": "down"}, "busy": {"error": "busy"}})
    app = router_with_latency(LatencyInjector(LatencyProfile(base_ms=0), faults))
    found = refusals(ws_mock(app.seed(1)), 200)
    bodies = ('{"error":"down"}', '{"error":"busy"}')
    ways = [(status, body) for status in (500, 503) for body in bodies]
    assert set(found) == {(101, ""), *ways}
    # The seed decides, so these are the same on every run: half come through, the others are a fifth to a third each.
    assert 80 <= found[101, ""] <= 120
    assert all(12 <= found[way] <= 38 for way in ways)


def deep() -> object:
    """A value that is too deep for JSON."""
    found: list[object] = []
    for _ in range(100_000):
        found = [found]
    return found


def test_faults_are_those_that_were_checked() -> None:
    codes, body = [500], {"error": "a"}
    faults = FaultConfig(1, codes, {"a": body})
    codes.append(200)
    body["error"] = "b"
    assert (faults.status_codes, faults.error_responses) == ((500,), {"a": {"error": "a"}})
    assert FaultConfig(1, [np.int64(500)]).status_codes == (500,)  # type: ignore[list-item]


def test_the_builders_of_faults_and_injectors() -> None:
    faults = FaultConfig(1.0, ()).with_status_code(404).with_error_response("test", {"error": "t"})
    assert faults == FaultConfig(1.0, [404], {"test": {"error": "t"}})
    injector = LatencyInjector()
    assert (injector.latency_profile, injector.is_enabled()) == (LatencyProfile(50, 20), True)
    injector.set_enabled(False)
    assert router_with_latency(injector) == router()


def test_all_handshakes_may_fail(ws_mock: WsMock) -> None:
    app = router_with_latency(LatencyInjector("fast", FaultConfig(1.0, ())))
    assert refusals(ws_mock(app), 3) == {(500, ""): 3}


@pytest.mark.parametrize(
    ("make", "part"),
    [
        (lambda: FaultConfig(1.5), "FaultConfig(failure_rate=): 1.5 is no number from 0 to 1"),
        (lambda: FaultConfig(0.1, [200]), "200 is no HTTP status of a failure"),
        (lambda: FaultConfig(0.1, error_responses={"a": deep()}), "'a': a list, deep in itself, has no JSON form"),
        (lambda: LatencyInjector().set_enabled(1), "set_enabled(): 1 is neither"),  # type: ignore[arg-type]
        (lambda: FaultConfig(0.1, 503), "503 is no list"),  # type: ignore[arg-type]  # on purpose
        (lambda: FaultConfig(0.1, error_responses={"a": {1, 2}}), "'a': {1, 2} has no JSON form"),
        (lambda: FaultConfig(0.1, error_responses=["a"]), "no dict"),  # type: ignore[arg-type]  # on purpose
        (lambda: LatencyInjector("slwo"), "LatencyInjector(latency_profile=): 'slwo' is no latency"),
        (lambda: LatencyInjector("slow", 0.1), "0.1 is no FaultConfig"),  # type: ignore[arg-type]  # on purpose
        (lambda: LatencyInjector("slow", enabled=1), "neither True nor False"),  # type: ignore[arg-type]  # on purpose
        (lambda: WsProxyConfig(None), "WsProxyConfig(upstream_url=): None is no URL"),  # type: ignore[arg-type]
        (lambda: WsProxyConfig(should_proxy=None), "None is neither"),  # type: ignore[arg-type]  # on purpose
        (lambda: WsProxyConfig(rules=5), "5 is no list of pairs"),  # type: ignore[arg-type]  # on purpose
        (lambda: WsProxyHandler("ws://a"), "is no WsProxyConfig; WsProxyConfig("),  # type: ignore[arg-type]
        (lambda: router_with_proxy(WsProxyConfig()), "is no WsProxyHandler"),  # type: ignore[arg-type]  # on purpose
        (lambda: router_with_latency("slow"), "is no LatencyInjector"),  # type: ignore[arg-type]  # on purpose
        (lambda: start_with_latency(0, "slwo"), "start_with_latency(latency): 'slwo' is no latency"),
        (
            lambda: start_with_latency(0, LatencyProfile.normal),
            "start_with_latency(latency): LatencyProfile.normal is not called; valid: LatencyProfile.normal()",
        ),
        (lambda: start_with_latency("3001"), "start_with_latency(port): '3001' is no port"),  # type: ignore[arg-type]
        (lambda: expand_tokens(7), "expand_tokens(): 7 is not a text"),  # type: ignore[arg-type]  # on purpose
        (lambda: expand_tokens("", seed=0.5), "seed=): 0.5"),  # type: ignore[arg-type]  # on purpose
    ],
)
def test_a_wrong_argument_is_an_error_that_names_it(make: Callable[[], object], part: str) -> None:
    with pytest.raises(OptionError, match=re.escape(part)):
        make()
