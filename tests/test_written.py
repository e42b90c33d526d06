"""`Script.from_llm`: a story becomes a script, is kept, goes on, and says what it is."""

from __future__ import annotations

import asyncio
import json
import signal
import sys
from pathlib import Path
from typing import Any

import pytest

from mockforge_nb import GeneratorError, ModelError, OptionError, Script

from .conftest import Scripts
from .generators.llm.models import STORY, Asked, Request, Trade, counting, in_turn, trades


def story(asked: Asked, **options: Any) -> Script:
    given = {"n": 5, "schema": Trade, "batch": 2, **options}
    return Script.from_llm(STORY, model=asked.model, **given)


def values(script: Script) -> list[Any]:
    return [step.payload.value for step in script if step.payload is not None]


def test_a_story_becomes_a_script_at_its_rate() -> None:
    script = story(counting(), rate=2)
    assert values(script) == trades(0, 5)
    assert [step.ts for step in script] == [0, 500, 1000, 1500, 2000]
    assert script.written is not None
    assert script.written.usage.requests == 3
    assert repr(script).startswith("<Script <story>, 5 steps in 2 s, written by function:told, seed 1, 3 requests, ")
    assert story(counting()).duration == 0.0


def test_it_says_what_it_is_wherever_it_goes(tmp_path: Path) -> None:
    script = story(counting(), seed=4)
    for other in (script.speed(2), script[:2], script.filter(bool), script.when("a", "b"), Script.of(script)):
        assert other.written == script.written
    for name in ("script.jsonl", "script.parquet"):
        script.save(tmp_path / name)
        loaded = Script.load(tmp_path / name)
        assert loaded.written == script.written
        assert values(loaded) == trades(0, 5)
    script.save(tmp_path / "script.csv")
    assert values(Script.load(tmp_path / "script.csv")) == trades(0, 5)
    assert Script().written is None
    assert Script.parse('{"text": "a"}').written is None


def test_an_envelope_has_type_timestamp_sequence_and_data() -> None:
    script = story(counting(), envelope=True, event_type="trade", n=2, rate=1)
    rows = [json.loads(text) for text in script.preview(clock="2026-01-01T00:00:00Z")["message"]]
    assert rows == [
        {"type": "trade", "timestamp": f"2026-01-01T00:00:0{number}.000Z", "sequence": number, "data": event}
        for number, event in enumerate(trades(0, 2))
    ]
    own = story(in_turn([{"type": "talk", "text": "{{uuid}}"}]), n=1, envelope=True, schema=None)
    row = json.loads(own.preview()["message"][0])
    assert (row["type"], row["data"]["text"]) == ("talk", "{{uuid}}")


def test_what_a_model_writes_is_no_template() -> None:
    script = story(in_turn([{"symbol": "{{uuid}}", "price": 1}]), n=1)
    assert json.loads(script.preview()["message"][0])["symbol"] == "{{uuid}}"


def test_the_same_call_again_asks_no_model(tmp_path: Path) -> None:
    asked = counting()
    first = story(asked, cache=tmp_path)
    again = story(asked, cache=tmp_path)
    assert len(asked.requests) == 3
    assert values(again) == values(first)
    assert again.written is not None
    assert first.written is not None
    assert (first.written.cached, again.written.cached) == (False, True)
    assert again.written.path == first.written.path == str(next(tmp_path.iterdir()))
    assert repr(again) == "<Script <story>, 5 steps, written by function:told, seed 1, from the cache>"
    story(asked, cache=tmp_path, seed=2)
    assert len(asked.requests) == 6


def test_the_cache_of_the_user_is_used_unless_said_but_not_for_tests(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("mockforge_nb.generators.llm.frozen.default_folder", lambda: tmp_path)
    asked = counting()
    story(asked)
    story(asked, cache=False)
    assert not [*tmp_path.iterdir()]


def fails_after(batches: int, answer: Any) -> Asked:
    return Asked(lambda request, number: trades(number * 2, request.count) if number < batches else answer)


def test_an_error_has_what_was_written_and_the_same_call_goes_on(tmp_path: Path) -> None:
    with pytest.raises(ModelError) as caught:
        story(fails_after(2, "Sorry."), cache=tmp_path, retries=1)
    error = caught.value
    assert error.events == tuple(trades(0, 4))
    assert error.written == 4
    assert error.kept in str(error)
    assert "its answer was 'Sorry.'" in str(error)
    assert values(Script.load(error.kept)) == trades(0, 4)
    asked = Asked(lambda request, _: trades(4, request.count))
    script = story(asked, cache=tmp_path)
    assert values(script) == trades(0, 5)
    assert len(asked.requests) == 1
    assert "So far 4 events" in asked.requests[0].prompts[0]
    assert not Path(error.kept).exists()
    assert script.written is not None
    assert script.written.usage.requests == 2 + 2 + 1  # the answers of prose cost as much as the others


def test_a_model_that_raises_a_cancellation_of_its_own_makes_no_shorter_script(tmp_path: Path) -> None:
    def answer(request: Request, number: int) -> Any:
        if number:
            raise asyncio.CancelledError
        return trades(0, request.count)

    with pytest.raises(GeneratorError, match="cancelled from within"):
        story(Asked(answer), cache=tmp_path)
    assert [each.name.endswith(".part.jsonl") for each in tmp_path.iterdir()] == [True]


def test_without_a_cache_an_error_has_the_events_too() -> None:
    with pytest.raises(ModelError) as caught:
        story(fails_after(1, "Sorry."), cache=False, retries=0)
    assert caught.value.events == tuple(trades(0, 2))
    assert caught.value.kept == ""


def test_nothing_half_is_taken_for_whole(tmp_path: Path) -> None:
    for _ in range(2):
        with pytest.raises(ModelError):
            story(fails_after(1, '{"events": [{"symbol": "A", "price"'), cache=tmp_path, retries=0)
    assert [each.name.endswith(".part.jsonl") for each in tmp_path.iterdir()] == [True]


def test_it_works_where_a_loop_runs() -> None:
    async def cell() -> Script:
        return story(counting())

    assert values(asyncio.run(cell())) == trades(0, 5)


def test_a_bar_shows_how_far_it_is(capsys: pytest.CaptureFixture[str]) -> None:
    story(counting(), progress=True)
    err = capsys.readouterr().err
    assert "function:told: 100%" in err
    assert "5/5" in err
    assert "tokens in" in err
    story(counting(), progress=False)
    story(counting())
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize(
    "options",
    [{"n": 0}, {"n": None}, {"n": 2.5}, {"n": True}, {"rate": 0}, {"schema": 3}, {"envelope": 1}, {"evolve": "no"},
     {"repeats": None}, {"progress": "yes"}, {"cache": 3}, {"seed": "x"}, {"temperature": 3}, {"timeout": 0}],
)  # fmt: skip
def test_a_wrong_argument_is_named_before_anything_is_asked(options: dict[str, Any]) -> None:
    asked = counting()
    with pytest.raises(OptionError, match=rf"from_llm\({next(iter(options))}=\)"):
        story(asked, **options)
    assert asked.requests == []


def test_a_missing_key_is_said_before_anything_is_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    with pytest.raises(OptionError, match="OPENAI_API_KEY"):
        Script.from_llm(STORY, model="openai:gpt-5-mini", cache=tmp_path)
    assert not [*tmp_path.iterdir()]


CELL = """
import asyncio, json, sys
from pydantic_ai.messages import ModelResponse, TextPart
from pydantic_ai.models.function import FunctionModel
from mockforge_nb import Script

made = 0

async def answer(messages, info):
    global made
    if made == 4 and "hang" in sys.argv:
        print("waiting", flush=True)
        await asyncio.Event().wait()
    made += 2
    events = [{"price": made - 2 + START}, {"price": made - 1 + START}]
    return ModelResponse([TextPart(json.dumps({"events": events}))])

START = 0 if "hang" in sys.argv else 4
model = FunctionModel(answer, model_name="told")
try:
    script = Script.from_llm("prices", n=6, batch=2, schema={"price": 1}, model=model, cache="cache")
    print([step.payload.value["price"] for step in script], made)
except KeyboardInterrupt as error:
    print("interrupted", *error.__notes__)
"""


@pytest.mark.skipif(sys.platform == "win32", reason="no SIGINT for a child there")
def test_an_interruption_ends_it_and_the_next_run_goes_on(script: Scripts) -> None:
    process = script.start("import sys; sys.argv.append('hang')\n" + CELL)
    assert process.stdout is not None
    assert process.stdout.readline() == "waiting\n"
    process.send_signal(signal.SIGINT)
    ran = script.finish(process)
    assert ran.out.startswith("interrupted 4 events are kept in cache")
    assert "the same call goes on from there" in ran.out
    assert ran.err == ""
    again = script(CELL)
    assert (again.out, again.err) == ("[0, 1, 2, 3, 4, 5] 2\n", "")


FULL = """
import resource
resource.setrlimit(resource.RLIMIT_FSIZE, (700, resource.RLIM_INFINITY))
import json
from pydantic_ai.messages import ModelResponse, TextPart
from pydantic_ai.models.function import FunctionModel
from mockforge_nb import GeneratorError, Script

made = 0

async def answer(messages, info):
    global made
    made += 1
    return ModelResponse([TextPart(json.dumps({"events": [{"price": made}]}))])

try:
    Script.from_llm("prices", n=50, schema={"price": 1}, model=FunctionModel(answer), cache="cache")
except GeneratorError as error:
    print(error)
"""


@pytest.mark.skipif(sys.platform == "win32", reason="no such limit there")
def test_a_disk_that_is_full_is_said_once(script: Scripts) -> None:
    ran = script(FULL)
    assert "part.jsonl cannot be written: [Errno 27] File too large; give another cache=" in ran.out
    assert ran.err == ""
