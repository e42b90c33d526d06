"""Mock.narrate: stories over real sockets, and what is wrong with an argument."""

from __future__ import annotations

import asyncio
import json
import pickle
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from websockets.exceptions import ConnectionClosed

from mockforge_nb import GeneratorError, Mock, OptionError, Script
from mockforge_nb.pytest_plugin import WsMock
from mockforge_nb.wire.client import Client
from mockforge_nb.ws import (
    EventCondition,
    ReplayAugmentationConfig,
    WebSocketAiConfig,
    change_rate,
    transition_scenario,
)

from .authors import Scripted, Stuck
from .conftest import PATIENCE


def rest(client: Client) -> list[Any]:
    """Return all that comes until the connection is closed."""
    found = []
    try:
        while True:
            found.append(client.recv(PATIENCE))
    except ConnectionClosed:
        return found


def numbers(client: Client) -> list[int]:
    return [json.loads(each)["n"] for each in rest(client)]


def eventually(check: Callable[[], object]) -> None:
    until = time.monotonic() + PATIENCE
    while not check():
        assert time.monotonic() < until, "it did not come true"
        time.sleep(0.005)


def sent(server: Any) -> Any:
    return server.traffic.df.query("direction == 'out' and opcode == 'text'")


# Over sockets


def test_a_client_is_told_a_story_at_its_rate_from_the_first_event_on(ws_mock: WsMock) -> None:
    author = Scripted(seconds=0.01)
    server = ws_mock(Mock().narrate("a chat", events=5, rate=20, batch=2, author=author, then="close"))
    with server.client() as client:
        assert numbers(client) == [0, 1, 2, 3, 4]
        assert client.close_code == 1000
    found = sent(server)
    assert found.due_ms.tolist() == [0, 50, 100, 150, 200]
    assert found.step.tolist() == [0, 1, 2, 3, 4]
    assert author.narratives == ["a chat"]
    assert author.asked == [2, 2, 1]


def test_what_was_not_written_in_time_is_starved_in_the_traffic(ws_mock: WsMock) -> None:
    author = Scripted(seconds=0.6, slow_from=2)
    server = ws_mock(Mock().narrate("x", events=4, rate=5, batch=1, author=author, then="close"))
    with server.client() as client:
        assert numbers(client) == [0, 1, 2, 3]
    found = sent(server)
    assert found.fault.fillna("").tolist() == ["", "", "starved", "starved"]
    assert found.due_ms.tolist() == [0, 200, 400, 600]


def test_a_slow_author_holds_up_no_other_connection(ws_mock: WsMock) -> None:
    def make(narrative: str) -> Scripted:
        time.sleep(0.2)
        return Scripted("late")

    server = ws_mock(Mock().route("/story", Mock().narrate("x", events=1, author=make)).route("/echo", Mock().echo()))
    with server.client("/story") as told, server.client("/echo") as client:
        client.send("quick")
        assert client.recv(PATIENCE) == "quick"
        assert sent(server).text.tolist() == ["quick"]
        assert told.recv(PATIENCE) == "late"


def test_each_connection_is_told_the_story_anew_or_all_are_told_one(ws_mock: WsMock) -> None:
    authors: list[Scripted] = []

    def make(narrative: str) -> Scripted:
        authors.append(Scripted())
        return authors[-1]

    anew = ws_mock(Mock().narrate("x", events=3, rate=50, author=make, then="close"))
    with anew.client() as one, anew.client() as two:
        assert numbers(one) == numbers(two) == [0, 1, 2]
    assert len(authors) == 2

    authors.clear()
    shared = ws_mock(Mock().narrate("x", events=6, rate=4, author=make, then="close", shared=True))
    with shared.client() as one:
        first = [json.loads(one.recv(PATIENCE))["n"], json.loads(one.recv(PATIENCE))["n"]]
        with shared.client() as two:
            late = numbers(two)
        assert first + numbers(one) == [0, 1, 2, 3, 4, 5]
    assert late == [*range(late[0], 6)]
    assert late[0] >= 2
    assert len(authors) == 1
    assert authors[0].wrote == 6


def test_a_shared_story_waits_for_the_next_one_who_listens(ws_mock: WsMock) -> None:
    author = Scripted()
    server = ws_mock(Mock().narrate("x", events=None, rate=200, batch=2, author=author, shared=True))
    with server.client() as client:
        for number in range(3):
            assert json.loads(client.recv(PATIENCE))["n"] == number
    eventually(lambda: not server.connections[0].open)
    told = len(sent(server))
    with server.client() as client:
        assert json.loads(client.recv(PATIENCE))["n"] == told
    assert sent(server).fault.isna().all()


def test_no_tokens_are_spent_for_a_client_that_is_gone(ws_mock: WsMock) -> None:
    author = Stuck(2)
    server = ws_mock(Mock().narrate("x", events=None, rate=None, author=author))
    with server.client() as client:
        client.recv(PATIENCE)
        client.recv(PATIENCE)
        eventually(lambda: author.open == 1)
    eventually(lambda: author.open == 0)
    assert author.wrote == 2


def test_an_author_that_cannot_go_on_is_an_error_of_the_server_and_closes_with_1011(ws_mock: WsMock) -> None:
    author = Scripted("a", "b", GeneratorError("the model answered prose: 'Sure! …'"))
    server = ws_mock(Mock().narrate("x", rate=100, author=author))
    with server.client() as client:
        assert rest(client) == ["a", "b"]
        assert (client.close_code, client.close_reason) == (1011, "the mock failed")
    (error,) = server.errors
    assert isinstance(error, GeneratorError)
    with pytest.raises(GeneratorError, match="answered prose"):
        server.check()


def test_a_shared_story_s_error_is_told_to_all_and_tried_again_for_the_next(ws_mock: WsMock) -> None:
    author = Scripted("a", GeneratorError("timed out"), "b")
    author.seconds, author.slow_from = 0.1, 1
    server = ws_mock(Mock().narrate("x", events=2, rate=None, author=author, shared=True, then="close"))
    with server.client() as one, server.client() as two:
        assert rest(one) == ["a"]
        rest(two)
        assert (one.close_code, two.close_code) == (1011, 1011)
    with server.client() as three:
        assert rest(three) == ["b"]
    assert len(server.errors) == 2
    with pytest.raises(GeneratorError, match="timed out"):
        server.check()


def test_an_event_without_a_json_form_closes_after_those_before_it(ws_mock: WsMock) -> None:
    server = ws_mock(Mock().narrate("x", rate=100, author=Scripted("a", {1, 2})))
    with server.client() as client:
        assert rest(client) == ["a"]
    with pytest.raises(GeneratorError, match="event 2 of the story has no JSON form"):
        server.check()


def test_an_update_and_a_stop_end_the_writing(ws_mock: WsMock) -> None:
    author = Stuck(1)
    server = ws_mock(Mock().narrate("x", events=None, author=author, rate=None))
    with server.client() as client:
        client.recv(PATIENCE)
        eventually(lambda: author.open == 1)
        server.update(Mock().echo())
        client.send("marker")
        assert client.recv(PATIENCE) == "marker"
        eventually(lambda: author.open == 0)
        again = Stuck(0)
        server.update(Mock().narrate("y", author=again))
        eventually(lambda: again.open == 1)
        server.stop()
    assert again.open == 0
    assert server.errors == []


def test_an_update_to_the_same_mock_begins_the_story_anew(ws_mock: WsMock) -> None:
    mock = Mock().narrate("x", events=None, rate=100, shared=True, author=lambda _: Scripted())
    server = ws_mock(mock)
    with server.client() as client:
        client.recv(PATIENCE)
        client.recv(PATIENCE)
        server.update(mock)
        eventually(lambda: sent(server).step.tolist().count(0) == 2)


def test_rules_answer_beside_a_story_and_conditions_of_the_network_hold(ws_mock: WsMock) -> None:
    mock = Mock().narrate("x", events=2, rate=100, author=Scripted()).when("ping", "pong").latency(20)
    server = ws_mock(mock)
    with server.client() as client:
        client.send("ping")
        assert {client.recv(PATIENCE) for _ in range(3)} == {"pong", '{"n":0}', '{"n":1}'}
    assert sent(server).query("step >= 0").due_ms.tolist() == [20, 30]


def test_an_envelope_and_its_type(ws_mock: WsMock) -> None:
    mock = Mock().clock("2024-01-15T10:30:00Z")
    author = Scripted({"p": 1}, "{{uuid}}")
    server = ws_mock(
        mock.narrate("x", events=2, rate=10, author=author, envelope=True, event_type="tick", then="close")
    )
    with server.client() as client:
        assert list(map(json.loads, rest(client))) == [
            {"type": "tick", "timestamp": "2024-01-15T10:30:00.000Z", "sequence": 1, "data": {"p": 1}},
            {"type": "tick", "timestamp": "2024-01-15T10:30:00.100Z", "sequence": 2, "data": "{{uuid}}"},
        ]


# Configs


@pytest.mark.parametrize(
    ("fields", "at"),
    [
        ({"event_count": 3, "event_rate": 20}, [0, 50, 100]),
        ({"strategy": "time_based", "duration_secs": 0.2, "event_rate": 20}, [0, 50, 100, 150]),
        (
            {
                "strategy": "condition_based",
                "event_rate": 20,
                "conditions": [EventCondition("few", "events_generated < 3", "generate_event")],
            },
            [0, 50, 100],
        ),
        (
            {
                "event_rate": 20,
                "conditions": [
                    EventCondition("faster", "count >= 2", change_rate(100)),
                    {"name": "end", "expression": "sequence >= 4", "action": "stop"},
                ],
            },
            [0, 50, 60, 70],
        ),
    ],
    ids=["count", "time", "condition", "rate and stop"],
)
def test_each_strategy_and_the_actions_of_conditions(ws_mock: WsMock, fields: dict[str, Any], at: list[float]) -> None:
    config = ReplayAugmentationConfig(narrative="x", event_type="tick", **fields)
    server = ws_mock(Mock().narrate(config, author=Scripted(), then="close"))
    with server.client() as client:
        events = list(map(json.loads, rest(client)))
    assert [event["data"] for event in events] == [{"n": number} for number in range(len(at))]
    assert [event["sequence"] for event in events] == [*range(1, len(at) + 1)]
    assert {event["type"] for event in events} == {"tick"}
    assert sent(server).due_ms.tolist() == pytest.approx(at)


def test_a_scenario_goes_over_into_another(ws_mock: WsMock) -> None:
    config = ReplayAugmentationConfig(
        narrative="calm",
        event_count=4,
        event_rate=100,
        conditions=[EventCondition("crash", "count >= 2", transition_scenario("crash"))],
        progressive_evolution=False,
    )
    server = ws_mock(Mock().narrate(config, author=lambda about: Scripted(*[about] * 4), then="close"))
    with server.client() as client:
        assert [json.loads(each)["data"] for each in rest(client)] == ["calm", "calm", "crash", "crash"]


def test_an_augmented_stream_varies_a_script_s_messages_at_their_times(ws_mock: WsMock) -> None:
    script = (
        Script().send({"n": "{{randInt 7 7}}", "mood": "calm"}).send('{"n": 8}', after=0.05).send("plain", after=0.05)
    )
    config = ReplayAugmentationConfig(narrative="panic", replay=script)
    author = Scripted({"mood": "panic"}, {"more": True}, "PLAIN")
    server = ws_mock(Mock().narrate(config, author=author, then="close"))
    with server.client() as client:
        data = [json.loads(each)["data"] for each in rest(client)]
    assert data == [{"n": 7, "mood": "panic"}, {"n": 8, "more": True}, "PLAIN"]
    assert sent(server).due_ms.tolist() == [0, 50, 100]
    assert '"mood":"calm"' in author.narratives[0]


def test_a_static_stream_is_played_as_it_is(ws_mock: WsMock) -> None:
    script = Script().wait("^go$").send("{{match.0}} {{randInt 3 3}}").send("b", after=0.01).send("c", after=0.01)
    server = ws_mock(Mock().narrate(ReplayAugmentationConfig(replay=script, event_count=2), then="close"))
    with server.client() as client:
        client.send("go")
        assert rest(client) == ["go 3", "b"]
    lasting = ReplayAugmentationConfig(mode="static", replay=["a", "b"], strategy="time_based", duration_secs=1)
    assert "2 steps" in repr(Mock().narrate(lasting))


def test_a_switch_has_its_own_rate_and_number_or_tells_nothing(ws_mock: WsMock) -> None:
    config = WebSocketAiConfig(
        enabled=True, replay=ReplayAugmentationConfig(narrative="x", event_count=50), max_events=2, event_rate=50
    )
    server = ws_mock(Mock().narrate(config, author=Scripted(), then="close"))
    with server.client() as client:
        assert len(rest(client)) == 2
    assert sent(server).due_ms.tolist() == [0, 20]
    with pytest.warns(UserWarning, match=r"WebSocketAiConfig\(enabled=True"):
        off = Mock().narrate(WebSocketAiConfig(replay=config.replay)).when("x", "y")
    server = ws_mock(off)
    with server.client() as client:
        client.send("x")
        assert client.recv(PATIENCE) == "y"
    assert sent(server).text.tolist() == ["y"]


# Arguments


def good(**options: Any) -> Mock:
    return Mock().narrate("x", **{"author": Scripted(), **options})


@pytest.mark.parametrize(
    ("options", "problem"),
    [
        ({"events": 0}, r"narrate\(events=\): 0 is no number"),
        ({"events": True}, "no number"),
        ({"rate": 0}, "events a second greater than 0"),
        ({"rate": "fast"}, "events a second greater than 0"),
        ({"event_type": 3}, "is no text"),
        ({"envelope": 1}, "neither True nor False"),
        ({"shared": "yes"}, "neither True nor False"),
        ({"then": "stop"}, "'hold', 'close'"),
        ({"batch": 0}, r"narrate\(batch=\)"),
        ({"author": "me"}, "makes no author"),
        ({"author": lambda a, b: None}, "takes"),
    ],
)
def test_a_wrong_argument_is_said_at_the_call(options: dict[str, Any], problem: str) -> None:
    with pytest.raises(OptionError, match=problem):
        good(**options)


@pytest.mark.parametrize("narrative", ["", "  ", 5, None])
def test_a_narrative_must_tell_something(narrative: Any) -> None:
    with pytest.raises(OptionError, match="tells nothing"):
        Mock().narrate(narrative, author=Scripted())


def test_a_mock_has_one_behaviour() -> None:
    with pytest.raises(OptionError, match=r"already has narrate\(\)"):
        good().echo()
    with pytest.raises(OptionError, match=r"already has echo\(\)"):
        Mock().echo().narrate("x", author=Scripted())


def test_what_a_config_says_itself_is_not_said_beside_it() -> None:
    config = ReplayAugmentationConfig(narrative="x")
    said: dict[str, Any] = {"rate": 2.0, "events": 5, "envelope": True, "api_key": "sk-very-secret"}
    for name, value in said.items():
        with pytest.raises(OptionError, match=rf"narrate\({name}=\).*config") as caught:
            Mock().narrate(config, author=Scripted(), **{name: value})
        assert "very-secret" not in str(caught.value)


def test_a_function_that_makes_no_author_is_an_error_when_it_is_asked(ws_mock: WsMock) -> None:
    server = ws_mock(Mock().narrate("x", author=lambda _: "prose"))  # type: ignore[arg-type,return-value]
    with server.client() as client:
        assert rest(client) == []
        assert client.close_code == 1011
    with pytest.raises(GeneratorError, match="returned a str, which has no write"):
        server.check()


def test_a_story_cannot_be_simulated_and_says_so() -> None:
    with pytest.raises(OptionError, match="no event loop for a stream that is asynchronous"):
        good().simulate()


def test_a_word_shows_what_was_said_but_no_key_and_is_compared_by_value() -> None:
    author = Scripted()
    mock = good(author=author, rate=2.0, api_key="sk-very-secret")
    assert repr(mock).startswith("Mock().narrate('x', events=100, rate=2.0")
    assert "api_key=***" in repr(mock).replace("'", "")
    for shown in (repr(mock), mock._repr_html_(), str(mock.words()), repr(mock._behaviour)):
        assert "very-secret" not in shown
    assert mock == good(author=author, rate=2.0, api_key="sk-very-secret")
    assert mock != good(author=author, rate=3.0, api_key="sk-very-secret")
    assert pickle.loads(pickle.dumps(Mock().narrate("x", author=Scripted))) == Mock().narrate("x", author=Scripted)


def test_configs_are_compared_by_value_and_tables_in_them_equal_only_themselves() -> None:
    import pandas as pd

    author, table = Scripted(), pd.DataFrame({"n": [1]})

    def mock(**fields: Any) -> Mock:
        return Mock().narrate(ReplayAugmentationConfig(narrative="x", **fields), author=author)

    assert mock(event_count=3) == mock(event_count=3)
    assert mock(event_count=3) != mock(event_count=4)
    assert mock(event_schema=table) == mock(event_schema=table)
    assert mock(event_schema=table) != mock(event_schema=table.copy())
    assert repr(Mock().narrate("x", schema=table, author=author)).startswith(
        "Mock().narrate('x', events=100, schema=DataFrame, "
    )


def test_a_word_shows_its_model_and_how_many_events_there_are() -> None:
    author = Scripted()
    assert repr(Mock().narrate("a chat", author=author)).startswith(
        "Mock().narrate('a chat', events=100, model='local'"
    )
    assert "events" not in repr(Mock().narrate("a chat", events=None, author=author))
    config = ReplayAugmentationConfig(narrative="a calm market", event_count=7, provider="openai", model="gpt-5-mini")
    told = "Mock().narrate('a calm market', events=7, model='openai:gpt-5-mini'"
    assert repr(Mock().narrate(config, author=author)).startswith(told)
    switch = WebSocketAiConfig(enabled=True, replay=config)
    assert repr(Mock().narrate(switch, author=author)).startswith(told)


@pytest.fixture
def recorded(tmp_path: Path) -> Path:
    return tmp_path / "story.jsonl"


def test_no_key_is_in_the_traffic_the_handle_or_a_recording(ws_mock: WsMock, recorded: Path) -> None:
    server = ws_mock(
        good(author=Scripted(GeneratorError("no")), api_key="sk-very-secret", then="close").record(recorded)
    )
    with server.client() as client:
        rest(client)
    with pytest.raises(GeneratorError, match="no"):
        server.check()
    server.stop()
    told = [recorded.read_text(), repr(server), server._repr_html_(), server.traffic.df.to_csv(), repr(server.errors)]
    assert not [each for each in told if "very-secret" in each]


def test_a_story_may_be_told_inside_a_running_loop() -> None:
    async def cell() -> list[Any]:
        mock = good(events=2, rate=100, then="close")
        async with mock.serve_async(port=0) as server, await server.client() as client:
            return [await client.recv(PATIENCE), await client.recv(PATIENCE)]

    assert asyncio.run(cell()) == ['{"n":0}', '{"n":1}']


@pytest.mark.parametrize(
    "options",
    [{"seed": 1.5}, {"temperature": 9}, {"timeout": 0}, {"retries": -1}, {"schema": 5}],
)
def test_options_are_checked_whoever_writes(options: dict[str, Any]) -> None:
    with pytest.raises(OptionError, match=rf"narrate\({next(iter(options))}=\)"):
        Mock().narrate("x", **{"author": Scripted(), **options})


def test_an_author_may_want_no_narrative_but_must_write(ws_mock: WsMock) -> None:
    server = ws_mock(Mock().narrate("x", events=2, rate=100, author=lambda: Scripted(), then="close"))  # type: ignore[arg-type,misc]
    with server.client() as client:
        assert len(rest(client)) == 2
    server = ws_mock(Mock().narrate("x", author=lambda: 3))  # type: ignore[arg-type,misc]
    with server.client() as client:
        assert rest(client) == []
    with pytest.raises(GeneratorError, match=r"author=\): the function returned a int, which has no write\(\)"):
        server.check()
