"""JSON Schemas on their way to a model, and those that are read off examples."""

from __future__ import annotations

from typing import Any

import jsonschema
import pytest

from mockforge_nb.generators.llm.schemas import answer_schema, bounded, few_values, schema_of_examples

AGAIN = {"type": "object", "properties": {"a": {"type": "integer"}, "b": {"$ref": "#/properties/a"}}}
INSIDE = {"type": "object", "properties": {"in": {"$ref": "#"}}, "additionalProperties": False}
TREE = {
    "$ref": "#/$defs/Node",
    "$defs": {
        "Node": {
            "type": "object",
            "properties": {"name": {"type": "string"}, "kids": {"type": "array", "items": {"$ref": "#/$defs/Node"}}},
            "required": ["name"],
        }
    },
}
LEAF = {"name": "a", "kids": [{"name": "b", "kids": []}]}


@pytest.mark.parametrize(
    ("schema", "good", "bad"),
    [
        (TREE, LEAF, {"name": "a", "kids": [{"name": 1}]}),
        (AGAIN, {"b": 1}, {"b": "x"}),
        (INSIDE, {"in": {"in": {}}}, {"in": {"x": 1}}),
        ({"$ref": "#/definitions/A", "definitions": {"A": {"type": "integer"}}}, 1, "x"),
        ({"$ref": "#here", "$defs": {"A": {"$anchor": "here", "type": "integer"}}}, 1, "x"),
        ({"anyOf": [{"$ref": "#/$defs/a~1b"}], "$defs": {"a/b": {"type": "integer"}}}, 1, "x"),
    ],
)  # fmt: skip
def test_an_answer_refers_to_what_it_holds_and_takes_what_the_events_schema_takes(
    schema: dict[str, Any], good: Any, bad: Any
) -> None:
    whole = answer_schema(schema, 1)
    jsonschema.Draft202012Validator.check_schema(whole)
    check = jsonschema.Draft202012Validator(whole)
    assert check.is_valid({"events": [good]})
    assert not check.is_valid({"events": [bad]})
    assert not check.is_valid({"events": [good, good]})
    assert all(name.startswith("#/$defs/") for name in _refs(whole))


def _refs(schema: Any) -> list[str]:
    if isinstance(schema, list):
        return [ref for each in schema for ref in _refs(each)]
    if not isinstance(schema, dict):
        return []
    own = [schema["$ref"]] if isinstance(schema.get("$ref"), str) else []
    return own + [ref for each in schema.values() for ref in _refs(each)]


def test_formats_that_no_provider_knows_are_not_sent() -> None:
    event = {"type": "object", "properties": {"a": {"type": "string", "format": "decimal"},
                                              "at": {"type": "string", "format": "date-time"}}}  # fmt: skip
    sent = answer_schema(event, 1)["properties"]["events"]["items"]["properties"]
    assert sent == {"a": {"type": "string"}, "at": {"type": "string", "format": "date-time"}}


def test_bounds_are_put_where_there_are_none() -> None:
    event = {
        "type": "object",
        "properties": {
            "short": {"type": "string", "maxLength": 3},
            "long": {"type": "string"},
            "least": {"type": "string", "minLength": 90},
            "coded": {"type": "string", "pattern": "^[A-Z]{3}$"},
            "loose": {"type": "string", "pattern": "[A-Z]"},
            "list": {"type": "array", "items": {"type": "number"}},
            "any": {},
            "free": {"type": "object"},
            "side": {"enum": ["buy", "sell"]},
        },
    }
    made = bounded(event)["properties"]
    assert made["short"]["maxLength"] == 3
    assert made["long"]["maxLength"] == 40
    assert made["least"]["maxLength"] == 90
    assert made["coded"] == event["properties"]["coded"]  # type: ignore[index]  # a dict of dicts
    assert made["loose"] == {"type": "string", "maxLength": 40}
    assert made["list"]["maxItems"] == 3
    assert made["any"] == {"type": "string", "maxLength": 40}
    assert made["free"]["additionalProperties"] is False
    assert made["side"] == {"enum": ["buy", "sell"]}
    assert bounded(event)["additionalProperties"] is False


def test_what_fits_the_bounds_fits_the_schema() -> None:
    check = jsonschema.Draft202012Validator({"type": "object"})
    assert check.is_valid({"text": "a"})
    assert jsonschema.Draft202012Validator(bounded({"type": "object"})).is_valid({"text": "a"})
    assert not jsonschema.Draft202012Validator(bounded({"type": "object"})).is_valid({"text": "a" * 41})


@pytest.mark.parametrize(
    ("schema", "few"),
    [
        ({"enum": [1, 2]}, True),
        ({"type": "boolean"}, True),
        ({"type": "object", "properties": {"a": {"const": 1}}, "additionalProperties": False}, True),
        ({"type": "object", "properties": {"a": {"const": 1}}}, False),
        ({"type": "object", "properties": {"a": {"type": "integer"}}, "additionalProperties": False}, False),
        ({"anyOf": [{"const": 1}, {"type": "null"}]}, True),
        ({"anyOf": [{"const": 1}, {"type": "string"}]}, False),
        ({"type": "string"}, False),
        (True, False),
    ],
)
def test_whether_values_must_come_again(schema: Any, few: bool) -> None:
    assert few_values(schema) is few


def test_examples_become_a_schema_that_they_fit() -> None:
    examples = [
        {"id": 1, "price": 1, "at": "2026-01-01T00:00:00Z", "tags": ["a"], "note": None, "leg": {"qty": 1}},
        {"id": 2, "price": 1.5, "at": "2026-01-01T00:00:01+01:00", "tags": [], "note": "x", "leg": {}, "extra": True},
    ]
    schema = schema_of_examples(examples)
    check = jsonschema.Draft202012Validator(schema)
    assert all(map(check.is_valid, examples))
    properties = schema["properties"]
    assert properties["id"] == {"type": "integer"}
    assert properties["price"] == {"type": "number"}
    assert properties["at"] == {"type": "string", "format": "date-time"}
    assert properties["note"]["type"] == ["string", "null"]
    assert properties["leg"]["required"] == []
    assert schema["required"] == ["id", "price", "at", "tags", "note", "leg"]
    assert not check.is_valid({**examples[0], "other": 1})


def test_examples_of_several_kinds_are_a_choice() -> None:
    check = jsonschema.Draft202012Validator(schema_of_examples([{"a": 1}, {"a": "x"}, {"a": [1, "y"]}]))
    assert check.is_valid({"a": ["z", 2]})
    assert not check.is_valid({"a": True})
