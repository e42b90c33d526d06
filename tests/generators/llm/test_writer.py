"""The writer: batches, what goes along, what is asked for again, and what ends it."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest
from pydantic_ai.messages import ModelResponse, TextPart
from pydantic_ai.usage import RequestUsage

from mockforge_nb import ModelError, OptionError
from mockforge_nb.generators.llm.wishes import Wishes
from mockforge_nb.generators.llm.writer import Writer

from .models import STORY, Asked, Request, all_of, counting, in_turn, run, trades, writer


def test_events_come_in_batches_and_the_schema_of_each_answer_goes_along() -> None:
    asked = counting()
    assert run(writer(asked, batch=4), 10) == trades(0, 10)
    assert [each.count for each in asked.requests] == [4, 4, 2]
    shape = asked.requests[0].schema["properties"]["events"]
    assert (shape["minItems"], shape["maxItems"]) == (4, 4)
    assert asked.requests[0].schema["$defs"]["Trade"]["required"] == ["symbol", "price"]


def test_the_story_so_far_goes_along_and_the_times_are_said() -> None:
    asked = counting()
    run(writer(asked, batch=5, total=10, rate=2), 10)
    first, second = (each.prompts[0] for each in asked.requests)
    assert STORY in first
    assert "So far" not in first
    assert "the events 1 to 5 of 10" in first
    assert "from 0 s to 2 s" in first
    assert "So far 5 events were written" in second
    assert '{"symbol": "AAPL", "price": 4}' in second
    assert "the events 6 to 10 of 10" in second
    assert "from 2.5 s to 4.5 s" in second


def test_without_evolve_each_batch_is_asked_alone() -> None:
    asked = counting()
    run(writer(asked, batch=5, evolve=False), 10)
    assert not any("So far" in text for each in asked.requests for text in each.prompts)


def test_what_is_told_does_not_grow_with_the_story() -> None:
    asked = counting()
    run(writer(asked, batch=20), 400)
    assert len(asked.requests[-1].prompts[0]) < len(asked.requests[1].prompts[0]) + 40


def test_it_goes_on_where_it_stopped() -> None:
    asked = counting()
    one = writer(asked, batch=4)

    async def twice() -> tuple[list[Any], list[Any]]:
        return await all_of(one, 3), await all_of(one, 3)

    assert asyncio.run(twice()) == (trades(0, 3), trades(3, 3))
    assert "So far 3 events" in asked.requests[1].prompts[0]
    assert one.written == 6


def test_it_goes_on_behind_events_that_were_written_before() -> None:
    asked = Asked(lambda request, _: trades(50, request.count))
    one = writer(asked, batch=5, total=8)
    one.resume(trades(0, 5))
    assert run(one, 3) == trades(50, 3)
    assert "the events 6 to 8 of 8" in asked.requests[0].prompts[0]


def test_an_answer_of_fewer_events_is_made_up_for_and_more_are_left_out() -> None:
    made = iter(range(100))

    def answer(request: Request, number: int) -> list[dict[str, Any]]:
        return [{"symbol": "A", "price": next(made)} for _ in range(request.count + (-2 if number == 0 else 3))]

    one = writer(Asked(answer), batch=4)
    events = run(one, 5)
    assert len(events) == 5
    assert [each["price"] for each in events] == [0, 1, 2, 3, 4]


# What is wrong is asked for again.


def test_a_bad_event_is_asked_for_again_with_what_is_wrong_and_the_good_ones_before_it_are_kept() -> None:
    asked = in_turn([*trades(0, 2), {"symbol": "AAPL", "price": "much"}, *trades(3, 1)], trades(2, 2))
    assert run(writer(asked, batch=4), 4) == trades(0, 4)
    again = asked.requests[1]
    assert "event['price']: 'much' is not of type 'number'" in again.prompts[-1]
    assert "So far 2 events" not in asked.requests[0].prompts[0]
    assert json.dumps(trades(1, 1)[0]) in again.prompts[0]
    assert again.count == 2


@pytest.mark.parametrize(
    ("odd", "problem"),
    [("1e999", "too large"), ("-1e999", "too large"), ("NaN", "NaN"), ("Infinity", "too large"),
     ("1" + "0" * 400, "too large"), ("[" * 900 + "]" * 900, "nested deeper than 64"), ('{"\\ud800": 1}', "half")],
)  # fmt: skip
def test_what_no_json_can_hold_is_asked_for_again(odd: str, problem: str) -> None:
    asked = in_turn('{"events": [{"p": 1}, {"p": ' + odd + "}]}", [{"p": 2}])
    schema = {"type": "object", "properties": {"p": {}}, "required": ["p"]}
    assert run(writer(asked, schema=schema, batch=2), 2) == [{"p": 1}, {"p": 2}]
    assert problem in asked.requests[1].prompts[0]


def test_prose_is_asked_for_again_and_is_shown_to_the_model() -> None:
    asked = in_turn("Sure! Here is a story.", trades(0, 2))
    assert run(writer(asked, batch=2), 2) == trades(0, 2)
    assert "This cannot be used: the answer is no JSON" in asked.requests[1].prompts[-1]
    assert len(asked.requests[1].prompts) == 2


def test_a_fence_around_the_answer_is_no_mistake() -> None:
    asked = in_turn("```json\n" + json.dumps({"events": trades(0, 2)}) + "\n```")
    assert run(writer(asked, batch=2), 2) == trades(0, 2)
    assert len(asked.requests) == 1


def test_a_model_that_answers_prose_is_an_error_that_shows_it_and_says_what_was_written() -> None:
    asked = Asked(lambda request, number: trades(0, 2) if number == 0 else "I would rather " + "talk " * 200)
    one = writer(asked, batch=2, retries=2)
    got: list[Any] = []

    async def write() -> None:
        async for event in one.write(6):
            got.append(event)  # what came before the error counts

    with pytest.raises(ModelError, match="asked 3 times, the last time the answer is no JSON") as caught:
        asyncio.run(write())
    error = caught.value
    assert got == trades(0, 2)
    assert error.written == 2
    assert "its answer was 'I would rather talk" in str(error)
    assert len(str(error)) < 700
    assert error.answer.startswith("I would rather")
    assert len(asked.requests) == 1 + 3
    assert "retries=" in str(error)


def test_good_events_before_a_bad_one_that_never_gets_better_are_not_lost() -> None:
    asked = Asked(lambda _, number: [*trades(0, 3), {"symbol": 1}] if number == 0 else [{"symbol": 1}])
    one = writer(asked, batch=5, retries=1)
    got: list[Any] = []

    async def write() -> None:
        async for event in one.write(5):
            got.append(event)  # what came before the error counts

    with pytest.raises(ModelError, match="event 1 of the answer"):
        asyncio.run(write())
    assert got == trades(0, 3)


def cut(events: list[Any], keep: float = 0.8) -> ModelResponse:
    text = json.dumps({"events": events})
    return ModelResponse([TextPart(text[: int(len(text) * keep)])], finish_reason="length")


def test_of_an_answer_that_was_cut_the_whole_events_are_kept() -> None:
    asked = in_turn(cut(trades(0, 6)), trades(4, 2), trades(100, 6))
    events = run(writer(asked, batch=6), 6)
    assert events == trades(0, 6)
    assert [each.count for each in asked.requests] == [6, 2]


def test_after_a_cut_answer_fewer_events_are_asked_for() -> None:
    asked = Asked(lambda request, number: cut(trades(0, 1), 0.5) if number < 2 else trades(number * 10, request.count))
    assert len(run(writer(asked, batch=8), 8)) == 8
    assert [each.count for each in asked.requests][:3] == [8, 4, 2]


def test_answers_that_are_always_cut_are_an_error() -> None:
    asked = in_turn(cut(trades(0, 1), 0.5))
    with pytest.raises(ModelError, match=r"cut off before it was whole.*fewer or shorter fields"):
        run(writer(asked, batch=4), 4)


def test_an_event_that_came_before_is_noticed_and_more_freedom_is_given() -> None:
    asked = in_turn(trades(0, 2), trades(0, 2), trades(1, 3))
    assert run(writer(asked, batch=2, seed=7), 4) == trades(0, 4)
    temperatures = [each.settings["temperature"] for each in asked.requests]
    assert temperatures == [0.0, 0.0, 0.5]
    assert asked.requests[1].settings["seed"] != asked.requests[2].settings["seed"]
    assert "says again what was written before" in asked.requests[2].prompts[0]


def test_a_model_that_only_repeats_itself_is_an_error() -> None:
    asked = in_turn(trades(0, 2))
    with pytest.raises(ModelError, match=r"says again what was written before.*repeats=True") as caught:
        run(writer(asked, batch=2, retries=2), 4)
    assert caught.value.written == 2
    assert len(asked.requests) == 4


def test_events_of_few_values_may_repeat() -> None:
    asked = in_turn([{"side": "buy"}, {"side": "sell"}])
    schema = {
        "type": "object", "properties": {"side": {"enum": ["buy", "sell"]}}, "required": ["side"],
        "additionalProperties": False,
    }  # fmt: skip
    assert len(run(writer(asked, schema=schema, batch=2), 6)) == 6
    asked = in_turn(trades(0, 2))
    wishes = Wishes.of(STORY, schema={"a": 1.5}, repeats=True)
    assert len(run(Writer(wishes, in_turn([{"a": 1.0}]).model, batch=1), 3)) == 3


# What ends it at once.


def test_a_refusal_is_not_asked_again() -> None:
    refusal = ModelResponse([], finish_reason="content_filter", provider_details={"refusal": "I will not crash it."})
    asked = in_turn(refusal)
    with pytest.raises(ModelError, match=r"told.*refuses to write this; its answer was 'I will not crash it.'"):
        run(writer(asked), 2)
    assert len(asked.requests) == 1


def test_a_time_out_names_itself() -> None:
    async def never() -> str:
        await asyncio.Event().wait()
        return ""

    asked = Asked(lambda *_: never())
    with pytest.raises(ModelError, match=r"no answer came in 0\.05 s .*raise timeout="):
        run(writer(asked, timeout="50ms"), 2)


def test_an_error_of_the_users_own_model_is_raised_as_it_is() -> None:
    def answer(*_: Any) -> Any:
        raise LookupError("no line")

    with pytest.raises(LookupError, match="no line"):
        run(writer(Asked(answer)), 2)


# How much.


def test_usage_adds_up_and_unknown_prices_are_not_known() -> None:
    def answer(request: Request, number: int) -> ModelResponse:
        text = json.dumps({"events": trades(number * 2, request.count)})
        return ModelResponse([TextPart(text)], usage=RequestUsage(input_tokens=100, output_tokens=10))

    one = writer(Asked(answer), batch=2)
    run(one, 6)
    assert (one.usage.requests, one.usage.input_tokens, one.usage.output_tokens) == (3, 300, 30)
    assert one.usage.cost is None


def test_several_requests_are_under_way_and_the_order_stays() -> None:
    under_way = most = 0
    gate = 0

    def answer(request: Request, number: int) -> Any:
        async def slow() -> Any:
            nonlocal under_way, most, gate
            under_way += 1
            most = max(most, under_way)
            # The later ones are done first.
            for _ in range(20 - number):
                await asyncio.sleep(0)
            under_way -= 1
            return trades(number * 2, request.count)

        return slow()

    asked = Asked(answer)
    one = writer(asked, batch=2, concurrency=3, evolve=False)
    assert run(one, 12) == trades(0, 12)
    assert most == 3
    assert [each.prompts[0].rpartition("Write ")[2].partition(",")[0] for each in asked.requests][:3] == [
        "the events 1 to 2", "the events 3 to 4", "the events 5 to 6",
    ]  # fmt: skip


def test_two_that_were_asked_at_the_same_time_and_say_the_same_are_told_apart() -> None:
    asked = Asked(lambda request, number: trades(0 if number < 2 else number * 2, request.count))
    one = writer(asked, batch=2, concurrency=2, evolve=False)
    events = run(one, 6)
    assert len({each["price"] for each in events}) == 6


def test_those_under_way_are_cancelled_when_it_is_left() -> None:
    cancelled: list[int] = []

    def answer(request: Request, number: int) -> Any:
        async def slow() -> Any:
            if number == 0:
                return trades(0, 1)
            try:
                await asyncio.Event().wait()
            except asyncio.CancelledError:
                cancelled.append(number)
                raise

        return slow()

    async def leave() -> None:
        came = writer(Asked(answer), batch=1, concurrency=3, evolve=False).write(5)
        assert [await anext(came)] == trades(0, 1)
        await asyncio.sleep(0)
        await came.aclose()  # type: ignore[attr-defined]  # it is a generator

    asyncio.run(leave())
    assert sorted(cancelled) == [1, 2]


def test_requests_are_begun_at_their_rate(monkeypatch: pytest.MonkeyPatch) -> None:
    from mockforge_nb.generators.llm import pace

    waited: list[float] = []

    async def sleep(seconds: float) -> None:
        waited.append(round(seconds, 1))

    monkeypatch.setattr("mockforge_nb.generators.llm.pace.asyncio.sleep", sleep)
    monkeypatch.setattr(asyncio.BaseEventLoop, "time", lambda _: 1000.0)

    async def three() -> None:
        one = pace.Pace(30, "x")
        for _ in range(3):
            await one.wait()

    asyncio.run(three())
    assert waited == [0.0, 2.0, 4.0]


@pytest.mark.parametrize(
    ("option", "value"),
    [
        ("seed", 1.5), ("seed", True), ("temperature", -1), ("temperature", "hot"), ("batch", 0), ("retries", -1),
        ("timeout", 0), ("timeout", "soon"), ("concurrency", 0), ("requests_per_minute", 0),
    ],
)  # fmt: skip
def test_wrong_arguments_are_named(option: str, value: Any) -> None:
    with pytest.raises(OptionError, match=rf"from_llm\({option}=\)"):
        writer(counting(), **{option: value})
