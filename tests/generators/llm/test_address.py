"""Any OpenAI-compatible address: what is sent there, and what is made of its answers."""

from __future__ import annotations

import logging
import traceback
from pathlib import Path
from typing import Any

import pytest

from mockforge_nb import ModelError, Script

from .address import completion, served
from .models import STORY, Trade, trades

KEY = "sk-a-very-secret-key"


def asked(url: str, n: int = 2, **options: Any) -> Script:
    given = {"schema": Trade, "cache": False, "api_key": KEY, "retries": 0, **options}
    return Script.from_llm(STORY, n=n, model="mine", base_url=url, **given)


def events(script: Script) -> list[Any]:
    return [step.payload.value for step in script if step.payload is not None]


def test_it_is_asked_for_json_of_the_schema_with_the_key() -> None:
    with served(lambda _, number: (200, completion(trades(number * 2, 2)))) as address:
        script = asked(address.url, n=4, batch=2, seed=5, temperature=0.5, rate=2)
    assert events(script) == trades(0, 4)
    assert script.duration == 1.5
    body = address.bodies[0]
    assert body["model"] == "mine"
    assert (body["seed"], body["temperature"]) == (5, 0.5)
    shape = body["response_format"]
    assert shape["type"] == "json_schema"
    listed = shape["json_schema"]["schema"]["properties"]["events"]
    assert listed["items"] == {"$ref": "#/$defs/Trade"}
    assert STORY in body["messages"][-1]["content"]
    assert [each["authorization"] for each in address.headers] == [f"Bearer {KEY}"] * 2
    assert script.written is not None
    assert (script.written.usage.requests, script.written.usage.input_tokens) == (2, 14)


@pytest.mark.parametrize("model", ["llama3.2:1b", "openai:gpt-5-mini", "openai-chat:gpt-4o", "my/own"])
def test_a_key_of_the_environment_is_not_sent_to_another_address(model: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "sk-for-openai-alone")
    with served(lambda *_: (200, completion(trades(0, 1)))) as address:
        Script.from_llm(STORY, n=1, model=model, base_url=address.url, schema=Trade, cache=False)
    assert "sk-for-openai-alone" not in str(address.headers)
    name = model.partition(":")[2] if model.startswith("openai") else model
    assert address.bodies[0]["model"] == name


@pytest.mark.parametrize(
    ("status", "said", "problem"),
    [
        (401, {"error": {"message": f"Incorrect API key provided: {KEY}"}}, r"could not be asked.*check api_key="),
        (404, {"error": {"message": f"no model for {KEY}"}}, "check the model's name"),
        (400, {"error": {"message": f"the schema is too deep, {KEY}"}}, "simplify the schema"),
        (200, f"<html>{KEY}</html>", "could not be asked"),
        (200, {"object": "chat.completion", "note": KEY}, "could not be asked"),
        (200, completion("no") | {"choices": []}, r"its answer cannot be read \(IndexError"),
        (200, completion("no", finish_reason="stop", message={"refusal": f"I will not, {KEY}"}), "refuses to write"),
        (200, completion(f"Your key is {KEY}"), "no JSON"),
        (200, completion("no", finish_reason="content_filter"), "refuse"),
    ],
)
def test_what_goes_wrong_is_said_without_the_key(
    status: int, said: Any, problem: str, caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
) -> None:
    caplog.set_level(logging.DEBUG)
    with served(lambda *_: (status, said)) as address, pytest.raises(ModelError, match=problem) as caught:
        asked(address.url)
    error = caught.value
    assert error.__context__ is None
    assert address.url in str(error)
    out, err = capfd.readouterr()
    shown = traceback.TracebackException(type(error), error, error.__traceback__, capture_locals=True)
    ours = [each for each in shown.stack if "mockforge_nb/" in each.filename]
    assert ours
    texts = [str(error), repr(error), error.answer, "".join(traceback.format_exception(error))]
    for text in (*texts, caplog.text, out, err, *(str(each.locals) for each in ours)):
        assert KEY not in text


@pytest.mark.parametrize("before", [*range(400, 501, 5)])
def test_no_part_of_a_key_is_left_where_an_error_is_cut(before: int) -> None:
    said = {"error": {"message": "y" * before + KEY + "z" * 200}}
    with served(lambda *_: (401, said)) as address, pytest.raises(ModelError) as caught:
        asked(address.url)
    assert KEY[:5] not in str(caught.value)


def test_a_server_that_is_not_there_is_named() -> None:
    with served(lambda *_: (200, {})) as address:
        url = address.url
    with pytest.raises(ModelError, match=rf"mine at {url}: it could not be asked.*whether the server runs"):
        asked(url)


def test_a_cut_answer_is_read_as_far_as_it_goes() -> None:
    text = '{"events": [{"symbol": "AAPL", "price": 0}, {"symbol": "AA'

    def reply(_: Any, number: int) -> tuple[int, Any]:
        return 200, completion(text, finish_reason="length") if number == 0 else completion(trades(1, 1))

    with served(reply) as address:
        assert events(asked(address.url)) == trades(0, 2)


@pytest.mark.parametrize("key", ["test", "AAPL", "price", "a-longer-key"])
def test_a_short_key_that_is_a_word_of_the_events_leaves_them_as_they_are(key: str) -> None:
    told = [{"symbol": f"AAPL {key} 0", "price": 0}]
    with served(lambda *_: (200, completion(told))) as address:
        assert events(asked(address.url, n=1, api_key=key)) == told
    with (
        served(lambda *_: (200, completion([{"symbol": 1, "price": f"{'y' * 480}{key}{'z' * 90}"}]))) as address,
        pytest.raises(ModelError) as caught,
    ):
        asked(address.url, api_key=key)
    assert key not in caught.value.answer
    assert f"y{key[:2]}" not in str(caught.value)


def test_no_key_is_in_what_is_kept_or_shown(tmp_path: Path) -> None:
    with served(lambda *_: (200, completion([{"symbol": KEY, "price": 1}, *trades(1, 1)]))) as address:
        script = asked(address.url, cache=tmp_path / "cache")
    script.save(tmp_path / "script.jsonl")
    kept = [each for each in tmp_path.rglob("*") if each.is_file()]
    assert len(kept) == 2
    for text in (*(each.read_text() for each in kept), repr(script), script._repr_html_(), str(script.written)):
        assert KEY not in text
        assert "sk-" not in text
    assert "***" in script.text()


def test_the_cached_result_needs_neither_key_nor_server(tmp_path: Path) -> None:
    with served(lambda *_: (200, completion(trades(0, 2)))) as address:
        first = asked(address.url, cache=tmp_path)
        url = address.url
    again = asked(url, cache=tmp_path, api_key=None)
    assert events(again) == events(first)
    assert again.written is not None
    assert again.written.cached
    assert "from the cache" in repr(again)
    assert "from the cache" in again._repr_html_()
    assert again.written.usage == first.written.usage  # type: ignore[union-attr]  # it was written
