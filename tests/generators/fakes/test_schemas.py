import base64
import json
import random
from typing import Any

import jsonschema
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mockforge_nb.errors import GeneratorError, OptionError
from mockforge_nb.generators.fakes.document import is_schema, suspect
from mockforge_nb.generators.fakes.providers import make_generator, provider_names
from mockforge_nb.generators.fakes.schemas import Schema


def made(schema: Any, n: int = 30, seed: int = 1) -> list[Any]:
    rng = random.Random(seed)
    make = Schema(schema, "schema").maker(rng, provider_names(make_generator("en_US", (), rng)))
    return [make() for _ in range(n)]


def valid(schema: Any, n: int = 30, kind: Any = jsonschema.Draft202012Validator) -> list[Any]:
    """Values of a schema, each of which was checked."""
    values = made(schema, n)
    for value in values:
        kind(schema).validate(value)
        json.dumps(value, allow_nan=False)
    return values


def error_of(schema: Any, kind: type[Exception] = OptionError) -> str:
    rng = random.Random(1)
    with pytest.raises(kind) as caught:
        Schema(schema, "schema").check(rng, provider_names(make_generator("en_US", (), rng)))
    return str(caught.value)


# Any schema that does not contradict itself.

NAMES = st.sampled_from(["a", "b", "email", "userName", "age", "x-1", "ids"])
WHOLE = st.integers(-50, 50)
SOME = st.integers(0, 6)


@st.composite
def numbers(draw: st.DrawFn) -> dict[str, Any]:
    kind = draw(st.sampled_from(["integer", "number"]))
    schema: dict[str, Any] = {"type": kind}
    low = draw(WHOLE if kind == "integer" else st.one_of(WHOLE, st.floats(-1e9, 1e9, allow_nan=False)))
    if draw(st.booleans()):
        schema[draw(st.sampled_from(["minimum", "exclusiveMinimum"]))] = low
    if draw(st.booleans()):
        schema[draw(st.sampled_from(["maximum", "exclusiveMaximum"]))] = low + draw(st.integers(25, 200))
    if draw(st.booleans()):
        schema["multipleOf"] = draw(st.sampled_from([1, 2, 7, 0.5, 0.25, 2.5, 0.1, 0.01]))
    return schema


@st.composite
def texts(draw: st.DrawFn) -> dict[str, Any]:
    schema: dict[str, Any] = {"type": "string"}
    low = draw(SOME)
    if draw(st.booleans()):
        schema["minLength"] = low
    if draw(st.booleans()):
        schema["maxLength"] = low + draw(SOME)
    extra = draw(st.sampled_from([None, "pattern", "format"]))
    if extra == "pattern":
        schema["pattern"] = draw(st.sampled_from(["^[a-z0-9]*$", "[A-Z]?", "^.*$", r"^\w*"]))
    if extra == "format" and len(schema) == 1:
        schema["format"] = draw(st.sampled_from(["date-time", "email", "uuid", "ipv4", "uri", "unheard-of"]))
    return schema


PLAIN = st.one_of(
    numbers(),
    texts(),
    st.sampled_from([True, {}, {"type": "null"}, {"type": "boolean"}, {"type": ["string", "null", "integer"]}]),
    st.lists(st.one_of(st.none(), WHOLE, st.text(max_size=3)), min_size=1, max_size=3).map(lambda each: {"enum": each}),
    st.one_of(WHOLE, st.just([1, {"a": None}])).map(lambda each: {"const": each}),
)


def nested(inner: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    @st.composite
    def arrays(draw: st.DrawFn) -> dict[str, Any]:
        schema: dict[str, Any] = {"type": "array"}
        low = draw(st.integers(0, 3))
        if draw(st.booleans()):
            schema["items"] = draw(inner)
        if draw(st.booleans()):
            schema["prefixItems"] = draw(st.lists(inner, min_size=1, max_size=2))
        if draw(st.booleans()):
            schema["minItems"] = low
        if draw(st.booleans()):
            schema["maxItems"] = low + draw(SOME)
        if draw(st.booleans()) and "minItems" not in schema:
            schema["uniqueItems"] = True
        if draw(st.booleans()) and not schema.keys() & {"items", "prefixItems", "maxItems"}:
            schema["contains"] = draw(inner)
        return schema

    @st.composite
    def objects(draw: st.DrawFn) -> dict[str, Any]:
        properties = draw(st.dictionaries(NAMES, inner, max_size=4))
        schema: dict[str, Any] = {"type": "object", "properties": properties}
        names = sorted(properties)
        required = draw(st.lists(st.sampled_from(names), unique=True)) if names else []
        if draw(st.booleans()):
            schema["required"] = required
        if len(names) > 1 and draw(st.booleans()):
            schema["dependentRequired"] = {names[0]: [names[-1]]}
        if draw(st.booleans()):
            schema["additionalProperties"] = draw(st.one_of(st.just(False), inner))
        elif draw(st.booleans()):
            schema["patternProperties"] = {"^z": draw(inner)}
        if draw(st.booleans()):
            open_ = schema.get("additionalProperties", True) is not False
            schema["minProperties"] = draw(st.integers(0, len(names) + 2 * open_))
        return schema

    @st.composite
    def choices(draw: st.DrawFn) -> dict[str, Any]:
        options = draw(st.lists(inner, min_size=1, max_size=3))
        definitions = {"D": draw(inner)}
        return draw(
            st.sampled_from([
                {"anyOf": options},
                {"oneOf": [{"type": "array", "items": options[0]}, {"type": "object"}, {"type": "null"}]},
                {"allOf": [options[0], {"title": "x"}]},
                {"anyOf": [{"type": "integer"}, {"type": "string"}], "allOf": [{"not": {"const": 1}}]},
                {
                    "type": "object",
                    "properties": {"k": {"enum": [1, 2]}},
                    "required": ["k"],
                    "if": {"properties": {"k": {"const": 1}}},
                    "then": {"properties": {"v": options[0]}, "required": ["v"]},
                    "else": {"properties": {"w": options[0]}},
                },
                {"type": "object", "properties": definitions, "dependentSchemas": {"D": {"required": ["w"]}}},
            ])
        )  # fmt: skip

    return st.one_of(arrays(), objects(), choices())


SCHEMAS = st.recursive(PLAIN, nested, max_leaves=8)


@settings(suppress_health_check=[HealthCheck.too_slow], deadline=None)
@given(SCHEMAS, st.integers(0, 9))
def test_every_value_fits(schema: Any, seed: int) -> None:
    validator = jsonschema.Draft202012Validator(schema)
    values = made(schema, 5, seed)
    assert [value for value in values if not validator.is_valid(value)] == []
    assert made(schema, 5, seed) == values


@settings(deadline=None)
@given(st.dictionaries(NAMES, st.one_of(numbers(), texts())))
def test_two_schemas_at_once(properties: dict[str, Any]) -> None:
    left = {"properties": properties, "required": sorted(properties)}
    right = {"properties": {name: {"type": each["type"]} for name, each in properties.items()}, "minProperties": 3}
    valid({"type": "object", "allOf": [left, right]}, 5)


# Keywords, one by one.


@pytest.mark.parametrize(
    "schema",
    [
        True,
        {},
        {"type": "integer", "minimum": 10**20},
        {"type": "number", "minimum": 0.1, "maximum": 0.1},
        {"type": "number", "exclusiveMinimum": 0, "exclusiveMaximum": 5e-324 * 2},
        {"type": "number", "minimum": -1e308, "maximum": 1e308},
        {"type": "number", "minimum": 1e300, "maximum": 10**400},
        {"type": "integer", "multipleOf": 0.5, "minimum": 1, "maximum": 2},
        {"type": "number", "multipleOf": 0.01, "name": "price"},
        {"minimum": 5, "minLength": 3},
        {"type": "string", "minLength": 500},
        {"type": "string", "maxLength": 0},
        {"type": "string", "pattern": "^a", "minLength": 10},
        {"type": "string", "allOf": [{"pattern": "^[ab]+$"}, {"pattern": "a$"}]},
        {"type": "string", "format": "ipv4", "maxLength": 12},
        {"type": "array", "items": {"type": "boolean"}, "uniqueItems": True},
        {"type": "array", "items": {"enum": [1, 1.0, True, "1"]}, "uniqueItems": True, "minItems": 3},
        {"type": "array", "prefixItems": [{"type": "integer"}], "items": False, "minItems": 1},
        {"type": "array", "prefixItems": [{"type": "integer"}, False]},
        {"type": "array", "items": {"type": "integer"}, "contains": {"minimum": 900}, "minContains": 2, "maxItems": 4},
        {"type": "array", "items": {"type": "integer"}, "contains": {"const": 3}, "maxContains": 1},
        {"type": "array", "items": {"type": "integer"}, "contains": {"const": 3}, "minContains": 0},
        {"type": "object", "patternProperties": {"^x-": {"type": "integer"}}, "additionalProperties": False},
        {"type": "object", "patternProperties": {"^a": {"type": "integer"}}, "properties": {"ab": {"minimum": 3}}},
        {
            "properties": {"ab": {"type": "integer"}},
            "required": ["ab"],
            "patternProperties": {"^a": {"maximum": -(10**9)}},
        },
        {"type": "object", "propertyNames": {"pattern": "^[a-c]{2,4}$"}, "minProperties": 4},
        {"type": "object", "properties": {"a": {}, "b": {}, "c": {}}, "maxProperties": 1, "required": ["b"]},
        {"properties": {c: {} for c in "abcd"}, "dependentRequired": {"a": ["b", "e"], "b": ["c"]}, "maxProperties": 4},
        {"properties": {"a": {}, "b": False}, "dependentRequired": {"a": ["b"]}},
        {"type": "object", "properties": {"a": {}, "b": {}}, "minProperties": 1, "not": {"required": ["a", "b"]}},
        {"allOf": [{"properties": {"a": {"type": "integer"}}, "required": ["a"]}], "unevaluatedProperties": False},
        {"oneOf": [{"type": "integer", "multipleOf": 2}, {"type": "integer", "multipleOf": 3}]},
        {"anyOf": [{"type": "string", "minimum": 3}, {"type": "integer", "minimum": 9, "maximum": 3}]},
        {"if": {"type": "integer"}, "then": {"minimum": 500}, "type": ["integer", "string"]},
        {"type": "object", "additionalProperties": {"type": "integer"}},
        {"$ref": "#/$defs/a~1b%20c/items", "$defs": {"a/b c": {"items": {"type": "integer"}}}},
        {"$ref": "#here", "$defs": {"x": {"$anchor": "here", "type": "null"}}},
        {"allOf": [{"$ref": "#/$defs/a"}, {"$ref": "#/$defs/a"}], "$defs": {"a": {"type": "integer"}}},
        {"properties": {"a": {"$ref": "#"}, "b": {"anyOf": [{"$ref": "#"}, {"type": "null"}]}}, "type": "object"},
    ],
)
def test_values_fit(schema: Any) -> None:
    assert len(valid(schema)) == 30


@pytest.mark.parametrize(
    "schema",
    [
        {"type": "array", "items": [{"type": "string"}, {"type": "integer"}], "additionalItems": False, "minItems": 2},
        {"$ref": "#/definitions/a", "definitions": {"a": {"type": "integer"}}},
        {"properties": {"a": {}, "b": {}}, "dependencies": {"a": ["c"], "b": {"required": ["d"]}}, "items": [{}]},
    ],
)
def test_draft_07_needs_no_name(schema: Any) -> None:
    valid(schema, kind=jsonschema.Draft7Validator)
    valid({"$schema": "http://json-schema.org/draft-07/schema#", **schema}, kind=jsonschema.Draft7Validator)


FORMATS = (
    "date-time date time duration email idn-email hostname idn-hostname ipv4 ipv6 uri uri-reference iri iri-reference "
    "uuid uri-template json-pointer relative-json-pointer regex byte"
)


@pytest.mark.parametrize("name", FORMATS.split())
def test_formats(name: str) -> None:
    schema = {"type": "string", "format": name}
    values = made(schema)
    assert len(set(values)) > 5
    jsonschema.Draft202012Validator(
        {"items": schema}, format_checker=jsonschema.Draft202012Validator.FORMAT_CHECKER
    ).validate(values)


def test_draft_2019_refers_to_itself() -> None:
    schema = {
        "$schema": "https://json-schema.org/draft/2019-09/schema",
        "$recursiveAnchor": True,
        "type": "object",
        "properties": {"n": {"type": "integer"}, "kids": {"type": "array", "items": {"$recursiveRef": "#"}}},
        "required": ["n"],
        "additionalProperties": False,
    }
    rows = valid(schema, 100, jsonschema.Draft201909Validator)
    assert any(row.get("kids") for row in rows)


@pytest.mark.parametrize(
    ("name", "pattern"),
    [
        ("date", "^2024-"), ("date", "-02-"), ("email", r"^[a-z]{3,8}@example\.(com|org)$"), ("uri", "^https://"),
        ("date", r"^1999-0[1-9]-1\d$"), ("ipv4", r"^10\.0\.0\.\d{1,3}$"), ("unheard-of", "^[a-c]{3}$"),
    ],
)  # fmt: skip
def test_a_format_beside_a_pattern(name: str, pattern: str) -> None:
    schema = {"type": "string", "format": name, "pattern": pattern}
    checker = jsonschema.Draft202012Validator.FORMAT_CHECKER
    values = valid(schema)
    assert all(checker.conforms(value, name) for value in values)
    assert len(set(values)) > 5


def test_texts_and_numbers_are_realistic_by_their_names() -> None:
    names = ["email", "billingCity", "user_first_name", "website", "id", "created_at", "whatever"]
    row = made({"type": "object", "properties": {name: {"type": "string"} for name in names}, "required": names}, 1)[0]
    assert "@" in row["email"]
    assert row["website"].startswith("http")
    assert row["created_at"].endswith("Z")
    assert len(row["id"]) == 36
    assert row["billingCity"][0].isupper()
    assert row["user_first_name"].isalpha()
    ages = made({"properties": {"age": {"type": "integer"}}, "required": ["age"]})
    assert all(18 <= row["age"] <= 90 for row in ages)
    old = made({"properties": {"age": {"type": "integer", "minimum": 80}}, "required": ["age"]})
    assert all(80 <= row["age"] <= 90 for row in old)
    older = made({"properties": {"age": {"type": "integer", "minimum": 200}}, "required": ["age"]})
    assert all(row["age"] >= 200 for row in older)


def test_a_name_of_a_thing_is_no_persons() -> None:
    names = {name: {"type": "string"} for name in ("productName", "datacontenttype", "customerName")}
    rows = made({"type": "object", "properties": names, "required": list(names)})
    assert not any(" " in row["productName"] for row in rows)
    assert all(" " in row["customerName"] and "/" in row["datacontenttype"] for row in rows)


def test_examples_are_texts_where_a_name_says_nothing() -> None:
    schema = {"type": "string", "examples": ["com.example.created", "x", 3, "com.example.gone"], "minLength": 2}
    assert set(valid(schema)) == {"com.example.created", "com.example.gone"}
    row = made({"properties": {"email": {"type": "string", "examples": ["none"]}}, "required": ["email"]}, 1)[0]
    assert "@" in row["email"]


def test_texts_with_another_content() -> None:
    item = {"type": "object", "properties": {"n": {"type": "integer"}}, "required": ["n"]}
    text = {"type": "string", "contentMediaType": "application/json", "contentSchema": item}
    assert all(type(json.loads(each)["n"]) is int for each in valid(text))
    assert all(
        type(json.loads(base64.b64decode(each))["n"]) is int for each in valid({**text, "contentEncoding": "base64"})
    )
    assert all(base64.b64decode(each, validate=True) for each in valid({"type": "string", "contentEncoding": "base64"}))


def test_a_large_value_is_tried_once() -> None:
    drawn = 0

    def word() -> str:
        nonlocal drawn
        drawn += 1
        return "word"

    rng = random.Random(1)
    providers = {**provider_names(make_generator("en_US", (), rng)), "word": word}
    Schema({"type": "array", "items": {"type": "string"}, "minItems": 50_000}, "schema").check(rng, providers)
    assert 50_000 <= drawn < 51_000


def test_optional_properties_and_null_come_now_and_then() -> None:
    schema = {"properties": {"a": {"anyOf": [{"type": "integer"}, {"type": "null"}]}}}
    rows = made(schema, 2000)
    there = [row["a"] for row in rows if "a" in row]
    assert 0.77 < len(there) / 2000 < 0.83
    assert 0.17 < there.count(None) / len(there) < 0.23


def test_recursion_ends_where_it_may() -> None:
    tree = {
        "$ref": "#/$defs/T",
        "$defs": {
            "T": {
                "type": "object",
                "properties": {
                    "kids": {"type": "array", "items": {"$ref": "#/$defs/T"}},
                    "next": {"anyOf": [{"$ref": "#/$defs/T"}, {"type": "null"}]},
                    "extra": {"$ref": "#/$defs/T"},
                    "endless": {"$ref": "#/$defs/E"},
                },
                "required": ["kids", "next"],
            },
            "E": {"type": "object", "properties": {"e": {"$ref": "#/$defs/E"}}, "required": ["e"]},
        },
    }
    rows = valid(tree)
    assert all("endless" not in row for row in rows)
    assert max(len(json.dumps(row)) for row in rows) < 20_000
    assert any(row["next"] and row["next"]["next"] for row in rows)


def test_a_loop_through_what_two_schemas_forbid_together_is_never_gone() -> None:
    schema = {
        "allOf": [{"$ref": "#/$defs/A"}, {"$ref": "#/$defs/B"}],
        "$defs": {
            "A": {"properties": {"p": {"$ref": "#/$defs/A", "required": ["z"]}, "m": {"$ref": "#/$defs/A"}}},
            "B": {"properties": {"p": {"$ref": "#/$defs/B", "maxProperties": 0}, "m": {"$ref": "#/$defs/B"}}},
            "unused": {"type": "object"},
        },
        "type": "object",
    }
    rows = valid(schema)
    assert {tuple(row) for row in rows} == {(), ("m",)}


def test_a_value_is_its_owners() -> None:
    first, second = made({"const": {"a": [1]}}, 2)
    first["a"].append(2)
    assert second == {"a": [1]}


# Schemas that contradict themselves.


@pytest.mark.parametrize(
    ("schema", "text"),
    [
        (
            {"properties": {"a": {"type": "integer", "minimum": 5, "maximum": 3}}},
            "schema #/properties/a: {'minimum': 5, "
            "'maximum': 3} contradict each other: there is no number between; lower one or raise the other",
        ),
        ({"type": "integer", "exclusiveMinimum": 5, "maximum": 5.5}, "there is no integer between"),
        ({"type": "number", "exclusiveMinimum": 5, "maximum": 5}, "there is no number between"),
        ({"type": "integer", "minimum": 5, "maximum": 7, "multipleOf": 4}, "there is no multiple of 4 between"),
        (
            {"type": "string", "minLength": 5, "maxLength": 3},
            "schema #: {'minLength': 5, 'maxLength': 3} contradict each other; lower minLength or raise maxLength",
        ),
        ({"type": "array", "minItems": 3, "maxItems": 1}, "lower minItems or raise maxItems"),
        ({"type": "array", "items": False, "minItems": 1}, "there can be 0 items at most; lower minItems"),
        ({"type": "object", "minProperties": 3, "maxProperties": 1}, "lower minProperties or raise maxProperties"),
        ({"type": "object", "required": ["a", "b"], "maxProperties": 1}, "raise maxProperties or require less"),
        ({"type": "object", "additionalProperties": False, "minProperties": 1}, "or allow additionalProperties"),
        ({"enum": [1, 2], "type": "string"}, "schema #/enum: [1, 2] has no value that fits the other keywords"),
        ({"const": 1, "minimum": 2}, "schema #/const: 1 has no value that fits the other keywords"),
        (
            {"properties": {"name": {}}, "required": ["nam"], "additionalProperties": False},
            "schema #: 'nam' is required, and forbidden by #/additionalProperties; add it to properties, or take it "
            "out of required; did you mean 'name'?",
        ),
        (
            {"properties": {"a": False}, "required": ["a"]},
            "'a' is required, and forbidden by #/properties/a; add it to properties, or take it out of required",
        ),
        (
            {"allOf": [{"type": "string"}, {"type": "integer"}]},
            "schema #/allOf/0/type: 'string' has nothing in common with "
            "the rest: 'string' (#/allOf/0) and 'integer' (#/allOf/1)",
        ),
        (
            {"properties": {"a": {"type": "strnig"}}},
            "schema #/properties/a/type: 'strnig' is no type of JSON Schema; did you mean 'string'?",
        ),
        (
            {"$ref": "#/$defs/usr", "$defs": {"user": {}}},
            "schema #/$ref: '#/$defs/usr' refers to nothing; did you mean '#/$defs/user'?",
        ),
        (
            {"$ref": "#"},
            "schema #/$ref: '#' refers to a schema that it is itself a part of; refer to it from a property",
        ),
        (
            {"$ref": "#/$defs/a", "$defs": {"a": {"anyOf": [{"type": "null"}, {"not": {"$ref": "#/$defs/a"}}]}}},
            "schema #/$defs/a/anyOf/1/not/$ref: '#/$defs/a' refers to a schema that it is itself a part of",
        ),
        (
            {"items": {"$ref": "http://x/y"}},
            "schema #/items/$ref: 'http://x/y' is not in this schema, and nothing is fetched",
        ),
        (
            {"type": "object", "properties": {"n": {"$ref": "#"}}, "required": ["n"]},
            "requires itself without end; make a property on the way optional",
        ),
        ({"type": "string", "minLength": "x"}, "schema #/minLength: 'x' is no sound schema"),
        (
            {"type": "string", "pattern": "^[a"},
            "schema #/pattern: '^[a' cannot be compiled: unterminated character set",
        ),
        ({"type": "object", "properties": {"a": {}}, "patternProperties": {"(": {}}}, "'(' cannot be compiled"),
        ({"type": "string", "pattern": "^abc$", "maxLength": 2}, "its texts have at least 3 characters"),
        (
            {"anyOf": [False, {"type": "integer", "minimum": 2, "maximum": 1}]},
            "schema #/anyOf/0: False is a schema that no",
        ),
        (False, "schema #: False is a schema that no value fits"),
        (
            {"type": "number", "minimum": float("-inf")},
            "{'minimum': -inf} contradict each other: -inf is no bound",
        ),
        (
            {"$schema": "http://json-schema.org/draft-04/schema#", "exclusiveMinimum": True, "minimum": 3},
            "#/$schema: 'http://json-schema.org/draft-04/schema#' is a draft that is too old; write it as draft-07",
        ),
    ],
)
def test_a_schema_that_contradicts_itself(schema: Any, text: str) -> None:
    assert text in error_of(schema)


@pytest.mark.parametrize(
    ("schema", "text"),
    [
        (
            {"properties": {"a": {"not": {}}}, "required": ["a"]},
            "schema #/properties/a: 200 draws gave no value that fits",
        ),
        (
            {"type": "array", "items": {"type": "boolean"}, "uniqueItems": True, "minItems": 3},
            "gave no 3 different items",
        ),
        (
            {"type": "string", "format": "ipv4", "minLength": 40},
            "schema #: 200 draws gave no ipv4 of 40 characters or more",
        ),
        (
            {"type": "string", "pattern": "^a(?!b)b$"},
            "schema #/pattern: 200 draws gave no text of 0 characters or more",
        ),
        (
            {"type": "string", "format": "date", "pattern": "^1999-"},
            "schema #: 200 draws gave no date that fits the pattern '^1999-'; write the whole text as the pattern",
        ),
        ({"minProperties": 3, "propertyNames": {"enum": ["a", "b"]}, "type": "object"}, "names for 2 properties only"),
    ],
)
def test_a_schema_for_which_no_value_is_found(schema: Any, text: str) -> None:
    assert text in error_of(schema, GeneratorError)


# Schemas and dicts of fields.


@pytest.mark.parametrize(
    "schema",
    [
        {"$schema": "https://json-schema.org/draft/2020-12/schema"},
        {"type": "string"},
        {"type": ["string", "null"], "x-order": 3},
        {"type": "object", "properties": {"type": {"type": "string"}}, "unheard": 1},
        {"properties": {"a": True}},
        {"properties": {"a": {"type": "strnig"}}},
        {"$ref": "#/$defs/a", "$defs": {"a": {}}},
        {"anyOf": [{"type": "string"}, True]},
        {"enum": ["a", "b"]},
    ],
)
def test_a_schema_is_one(schema: dict[str, Any]) -> None:
    assert is_schema(schema)


@pytest.mark.parametrize(
    "fields",
    [
        {},
        {"type": "word", "name": "name"},
        {"type": "object", "name": "name"},
        {"type": "word"},
        {"type": ("pyint", {}), "format": "word"},
        {"properties": "word"},
        {"properties": {"street": "street_name"}},
        {"title": "sentence", "description": "paragraph"},
        {"enum": "word"},
        {"enum": ["word", "word"], "name": "name"},
        {"$ref": "uuid4"},
        {"anyOf": ["word"]},
        {"allOf": []},
        {"items": {"type": "string"}, "name": "name"},
        {"minLength": "pyint", "not": "word", "if": {"a": "word"}, "const": "word"},
    ],
)
def test_a_dict_of_fields_is_none(fields: dict[str, Any]) -> None:
    assert not is_schema(fields)
    assert suspect(fields) is None
