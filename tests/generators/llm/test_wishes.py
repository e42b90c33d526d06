"""What is asked for: every form of a schema, and what an event must be."""

from __future__ import annotations

import dataclasses
from typing import Any, Literal, TypedDict

import pandas as pd
import pyarrow as pa
import pydantic
import pytest

from mockforge_nb import OptionError
from mockforge_nb.generators.llm.wishes import Wishes


@dataclasses.dataclass
class Leg:
    symbol: str
    side: Literal["buy", "sell"]


class Row(TypedDict):
    symbol: str
    side: str


class Quote(pydantic.BaseModel):
    symbol: str
    bid: float
    ask: float

    @pydantic.model_validator(mode="after")
    def _crossed(self) -> Quote:
        if self.bid >= self.ask:
            raise ValueError("bid is not below ask")
        return self


LEG = {"symbol": "AAPL", "side": "buy"}
FRAME = pd.DataFrame({"symbol": ["AAPL", "MSFT", "GOOG"] * 3, "side": pd.Categorical(["buy", "sell", "buy"] * 3)})
SCHEMA = {
    "type": "object", "properties": {"symbol": {"type": "string"}, "side": {"type": "string"}},
    "required": ["symbol", "side"],
}  # fmt: skip


def wishes(schema: Any = None, **options: Any) -> Wishes:
    return Wishes.of("a story", schema=schema, **options)


@pytest.mark.parametrize(
    "schema",
    [Leg, Row, SCHEMA, LEG, [LEG, {"symbol": "B", "side": "sell"}], FRAME, pa.Table.from_pandas(FRAME)],
    ids=["dataclass", "TypedDict", "JSON Schema", "example", "examples", "DataFrame", "Arrow"],
)
def test_every_form_of_a_schema_says_what_an_event_is(schema: Any) -> None:
    found = wishes(schema)
    assert found.problem(LEG) == ""
    assert "event['symbol']: 5 is not of type 'string'" in found.problem({"symbol": 5, "side": "buy"})
    assert "'side' is a required property" in found.problem({"symbol": "A"})
    assert found.problem("AAPL")


def test_a_pydantic_model_is_asked_itself() -> None:
    found = wishes(Quote)
    assert found.problem({"symbol": "A", "bid": 1, "ask": 2}) == ""
    assert found.problem({"symbol": "A", "bid": 2, "ask": 1}) == "event: Value error, bid is not below ask"
    assert wishes(pydantic.TypeAdapter(Quote)).problem({"symbol": "A", "bid": 2, "ask": 1})


def test_examples_are_a_few_from_the_whole_length() -> None:
    assert wishes([{"i": number} for number in range(101)]).examples == tuple({"i": i} for i in (0, 25, 50, 75, 100))
    assert wishes(FRAME).examples[0] == {"symbol": "AAPL", "side": "buy"}
    assert wishes(SCHEMA).examples == ()


def test_a_column_of_categories_has_only_those() -> None:
    found = wishes(FRAME)
    assert found.schema["properties"]["side"] == {"enum": ["buy", "sell"]}
    assert found.problem({"symbol": "A", "side": "hold"})
    gap = pd.DataFrame({"side": pd.Categorical(["buy", None])})
    assert wishes(gap).problem({"side": None}) == ""


def test_half_a_character_is_none() -> None:
    assert "half a character" in wishes(SCHEMA).problem({"symbol": "\ud800", "side": "buy"})


def test_instants_of_a_table_are_texts() -> None:
    frame = pd.DataFrame({"at": pd.date_range("2026", periods=2, tz="UTC"), "x": [1, 2]})
    assert wishes(frame).schema["properties"]["at"] == {"type": "string", "format": "date-time"}


def test_without_a_schema_an_event_is_a_kind_and_free_text() -> None:
    assert wishes().problem({"type": "chat", "text": "hello"}) == ""
    assert wishes().problem({"text": "hello"})
    typed = wishes(event_type="chat")
    assert typed.problem({"type": "chat", "text": "hello"}) == ""
    assert typed.problem({"type": "talk", "text": "hello"})
    assert wishes().problem({"type": "talk", "text": "hello"}) == ""


@pytest.mark.parametrize(
    ("schema", "problem"),
    [
        ({"type": "integer", "minimum": 5, "maximum": 1}, "no number between"),
        ({"type": "object", "properties": {"a": False}, "required": ["a"]}, "forbidden"),
        ({"type": "object", "properties": {"a": {"type": "intiger"}}}, "intiger"),
        ({"$ref": "#/$defs/none"}, "none"),
        ([], "no example"),
        ([{}], "no example"),
        ([LEG, 3], r"schema=\)\[1\]"),
        ({"x": {1, 2}}, "no JSON form"),
        (3, "does not say what an event looks like"),
        ("trade", "does not say what an event looks like"),
        (lambda: 3, "does not say what an event looks like"),
        (pd.DataFrame({"a": []}), "no rows"),
    ],
)
def test_a_schema_that_says_nothing_or_cannot_be_met_is_an_error(schema: Any, problem: str) -> None:
    with pytest.raises(OptionError, match=rf"from_llm\(schema=\)[\s\S]*{problem}|from_llm\({problem}"):
        wishes(schema)


@pytest.mark.parametrize(
    ("options", "name"),
    [({"narrative": " "}, "narrative"), ({"narrative": 3}, "narrative"), ({"event_type": ""}, "event_type="),
     ({"rate": 0}, "rate="), ({"rate": "fast"}, "rate=")],
)  # fmt: skip
def test_other_wrong_arguments_are_named(options: dict[str, Any], name: str) -> None:
    arguments = {"narrative": "a story", **options}
    with pytest.raises(OptionError, match=rf"from_llm\({name}\)"):
        Wishes.of(arguments.pop("narrative"), **arguments)


def test_a_users_schema_is_not_kept_by_reference() -> None:
    mine = {"type": "object", "properties": {"a": {"type": "integer"}}}
    found = wishes(mine)
    mine["properties"]["a"]["type"] = "string"  # type: ignore[index]  # a dict of dicts
    assert found.problem({"a": 1}) == ""
    assert found.schema["properties"]["a"]["type"] == "integer"


def test_the_hash_is_of_the_schema_alone() -> None:
    assert wishes(SCHEMA).schema_hash == Wishes.of("another", schema=dict(reversed(SCHEMA.items()))).schema_hash
    assert wishes(SCHEMA).schema_hash != wishes(Leg).schema_hash
