"""AiEventGenerator: a handler tells a story to its connection."""

from __future__ import annotations

import json
import re
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from mockforge_nb import GeneratorError, Mock, OptionError, Script
from mockforge_nb.pytest_plugin import WsMock
from mockforge_nb.ws import AiEventGenerator, ReplayAugmentationConfig, WebSocketAiConfig, stock_market_scenario

from .authors import Scripted, Stuck
from .conftest import PATIENCE
from .test_narratives import eventually, rest, sent

CONFIG = ReplayAugmentationConfig(narrative="Simulate stock market trading", event_rate=50)


def handler(tell: Callable[[Any], Awaitable[object]]) -> Mock:
    async def handle(connection: Any) -> None:
        await tell(connection)

    return Mock().handle(handle)


def test_the_page_s_first_example(ws_mock: WsMock) -> None:
    config = ReplayAugmentationConfig(narrative="Simulate stock market trading", event_rate=100)
    generator = AiEventGenerator(config, author=Scripted())
    server = ws_mock(handler(lambda socket: generator.stream_events(socket, 100)))
    with server.client() as client:
        events = list(map(json.loads, rest(client)))
        assert client.close_code == 1000
    assert [event["sequence"] for event in events] == [*range(1, 11)]
    assert [event["data"] for event in events] == [{"n": number} for number in range(10)]
    assert list(events[0]) == ["type", "timestamp", "sequence", "data"]
    assert events[0]["timestamp"].endswith("Z")


def test_the_page_s_example_with_a_rate(ws_mock: WsMock) -> None:
    async def handle_ai_events(socket: Any) -> None:
        config = ReplayAugmentationConfig(
            narrative="Simulate a live chat conversation with multiple users", event_count=5, provider="openai"
        )
        generator = AiEventGenerator(config, author=Scripted())
        told.append(await generator.stream_events_with_rate(socket, None, 20.0))

    told: list[int] = []
    server = ws_mock(Mock().handle(handle_ai_events))
    with server.client() as client:
        assert len(rest(client)) == 5
    assert told == [5]
    found = sent(server)
    assert found.due_ms.tolist() == [0, 50, 100, 150, 200]
    assert found.step.tolist() == [0, 1, 2, 3, 4]


def test_the_page_s_switch(ws_mock: WsMock) -> None:
    config = WebSocketAiConfig(enabled=True, replay=stock_market_scenario(), max_events=3, event_rate=50)
    generator = AiEventGenerator.of(config, author=Scripted({"symbol": "A"}, {"symbol": "B"}, {"symbol": "C"}))
    server = ws_mock(handler(lambda socket: generator.stream_events(socket, config.max_events)))
    with server.client() as client:
        assert [json.loads(each)["type"] for each in rest(client)] == ["market_tick"] * 3
    assert sent(server).due_ms.tolist() == [0, 20, 40]


def test_each_connection_is_told_the_story_from_the_beginning(ws_mock: WsMock) -> None:
    generator = AiEventGenerator(CONFIG, author=lambda _: Scripted())
    server = ws_mock(handler(lambda socket: generator.stream_events(socket, 2)))
    for _ in range(2):
        with server.client() as client:
            assert [json.loads(each)["data"]["n"] for each in rest(client)] == [0, 1]


def test_a_late_event_is_starved(ws_mock: WsMock) -> None:
    generator = AiEventGenerator(CONFIG, author=Scripted(seconds=0.3, slow_from=1), batch=1)
    server = ws_mock(handler(lambda socket: generator.stream_events(socket, 2)))
    with server.client() as client:
        assert len(rest(client)) == 2
    assert sent(server).fault.fillna("").tolist() == ["", "starved"]


def test_the_writing_stops_and_the_handler_returns_when_the_client_leaves(ws_mock: WsMock) -> None:
    author = Stuck(1)
    returned: list[int] = []

    async def tell(socket: Any) -> None:
        returned.append(await AiEventGenerator(CONFIG, author=author).stream_events(socket))

    server = ws_mock(handler(tell))
    with server.client() as client:
        client.recv(PATIENCE)
        eventually(lambda: author.open == 1)
    eventually(lambda: returned == [1])
    assert author.open == 0
    assert server.errors == []


def test_a_client_that_leaves_between_two_events_ends_it(ws_mock: WsMock) -> None:
    author = Scripted()
    returned: list[int] = []

    async def tell(socket: Any) -> None:
        returned.append(await AiEventGenerator(CONFIG, author=author).stream_events_with_rate(socket, None, 0.001))

    server = ws_mock(handler(tell))
    with server.client() as client:
        client.recv(PATIENCE)
    eventually(lambda: returned == [1])


def test_what_the_author_raises_comes_out_of_the_handler(ws_mock: WsMock) -> None:
    generator = AiEventGenerator(CONFIG, author=Scripted({"n": 0}, GeneratorError("refused")))
    server = ws_mock(handler(generator.stream_events))
    with server.client() as client:
        assert len(rest(client)) == 1
        assert client.close_code == 1011
    with pytest.raises(GeneratorError, match="refused"):
        server.check()


def test_a_static_stream_is_recited_and_an_augmented_one_varied(ws_mock: WsMock) -> None:
    script = Script().send("a {{randInt 2 2}}").send({"b": 1}, after=0.01).send(b"\xff")
    static = AiEventGenerator(ReplayAugmentationConfig(replay=script))
    server = ws_mock(handler(static.stream_events))
    with server.client() as client:
        assert rest(client) == ["a 2", '{"b":1}', b"\xff"]
    varied = ReplayAugmentationConfig(narrative="x", replay=[{"json": {"a": 1}}], event_rate=10)
    server = ws_mock(handler(AiEventGenerator(varied, author=Scripted({"b": 2})).stream_events))
    with server.client() as client:
        assert json.loads(client.recv(PATIENCE))["data"] == {"a": 1, "b": 2}


def test_a_static_stream_that_waits_is_for_a_replay() -> None:
    with pytest.raises(OptionError, match=r"waits for its client or jumps; Mock\(\).replay"):
        AiEventGenerator(ReplayAugmentationConfig(replay=Script().wait("go").send("a")))


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        ((None, 3), r"stream_events\(\): None is a NoneType, not the connection"),
        (("socket",), "is a str, not the connection"),
    ],
)
def test_it_tells_connections_alone(ws_mock: WsMock, arguments: tuple[Any, ...], problem: str) -> None:
    generator = AiEventGenerator(CONFIG, author=Scripted())
    raised: list[str] = []

    async def tell(socket: Any) -> None:
        for asked in (arguments, (socket, 0), (socket, True)):
            with pytest.raises(OptionError) as caught:
                await generator.stream_events(*asked)
            raised.append(str(caught.value))
        for rate in (0, None):
            with pytest.raises(OptionError, match=r"stream_events_with_rate\(events_per_second\): .* is no number"):
                await generator.stream_events_with_rate(socket, None, rate)  # type: ignore[arg-type]

    server = ws_mock(handler(tell))
    with server.client() as client:
        rest(client)
        assert client.close_code == 1000
    assert re.search(problem, raised[0])
    assert ["0 is no number of events" in raised[1], "True is no number of events" in raised[2]] == [True, True]


def test_a_generator_wants_a_config() -> None:
    with pytest.raises(OptionError, match="is no ReplayAugmentationConfig"):
        AiEventGenerator("Simulate")  # type: ignore[arg-type]
    with pytest.raises(OptionError, match=r"AiEventGenerator.of\(config\)"):
        AiEventGenerator(WebSocketAiConfig())  # type: ignore[arg-type]
    with pytest.raises(OptionError, match=r"AiEventGenerator.of\(\): None is no WebSocketAiConfig"):
        AiEventGenerator.of(None)  # type: ignore[arg-type]
    with pytest.raises(OptionError, match="says nothing that is told"):
        AiEventGenerator.of(WebSocketAiConfig(enabled=True))
    assert repr(AiEventGenerator(CONFIG, author=Scripted())) == "<AiEventGenerator generated, count_based>"


def test_a_handler_may_wait_for_the_end_of_its_connection(ws_mock: WsMock) -> None:
    seen: list[bool] = []

    async def wait(socket: Any) -> None:
        seen.append(socket.open)
        await socket.wait_closed()
        seen.append(socket.open)

    server = ws_mock(handler(wait))
    with server.client():
        eventually(lambda: seen == [True])
    eventually(lambda: seen == [True, False])
