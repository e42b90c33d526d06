"""JSON Schemas on their way to a model: of an answer, bounded for a small one, and read off examples."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any, Final

MOST_CHARACTERS: Final = 40
MOST_ITEMS: Final = 3

FORMATS: Final = ("date-time", "date", "time", "duration", "email", "hostname", "ipv4", "ipv6", "uuid")
"""The formats that providers know; others are said to be an error by some."""

_SMALL_FORMATS: Final = ("date-time", "date", "time", "uuid")
"""The formats that end by themselves in the grammar of a local model."""

_INSIDE: Final = ("properties", "$defs", "definitions", "patternProperties")
_LISTS: Final = ("anyOf", "oneOf", "allOf", "prefixItems")
_ONE: Final = ("items", "additionalProperties", "not", "if", "then", "else", "contains", "propertyNames")

Change = Callable[[dict[str, Any]], Any]


def _walked(schema: Any, change: Change) -> Any:
    """Return a schema with each schema within it changed, the innermost first."""
    if not isinstance(schema, dict):
        return schema
    found = dict(schema)
    for key, value in schema.items():
        if key in _INSIDE and isinstance(value, dict):
            found[key] = {name: _walked(each, change) for name, each in value.items()}
        elif key in (*_LISTS, *_ONE) and isinstance(value, list):
            found[key] = [_walked(each, change) for each in value]
        elif key in _ONE:
            found[key] = _walked(value, change)
    return change(found)


def answer_schema(event: Mapping[str, Any] | bool, count: int) -> dict[str, Any]:
    """Return the schema of an answer: ``{"events": […]}``, so many of them.

    References within the event's schema come to stand in the whole's ``$defs``, where every provider finds them.

    Args:
        event: The schema of one event.
        count: How many events are asked for.
    """
    definitions: dict[str, Any] = {}
    names: dict[str, str] = {}

    def hoisted(node: dict[str, Any]) -> dict[str, Any]:
        found = {key: value for key, value in node.items() if key not in ("$defs", "definitions", "$schema", "$id")}
        if found.get("format") not in FORMATS:
            found.pop("format", None)
        ref = found.get("$ref")
        if isinstance(ref, str):
            found["$ref"] = f"#/$defs/{named(ref)}"
        return found

    def named(ref: str) -> str:
        if ref not in names:
            base = "".join(each if each.isalnum() else "_" for each in ref.rpartition("/")[2].lstrip("#")) or "event"
            name = base
            while name in definitions:
                name += "_"
            names[ref] = name
            definitions[name] = {}  # it may contain itself
            definitions[name] = _walked(_at(event, ref), hoisted)
        return names[ref]

    items = _walked(event, hoisted)
    listed = {"type": "array", "items": items, "minItems": count, "maxItems": count}
    whole = {"type": "object", "properties": {"events": listed}, "required": ["events"], "additionalProperties": False}
    return {**whole, "$defs": definitions} if definitions else whole


def _at(schema: Any, ref: str) -> Any:
    """Return the part of a schema that a sound reference names: a JSON pointer, an anchor, an id."""
    pointer = ref.removeprefix("#")
    if ref.startswith("#") and (not pointer or pointer.startswith("/")):
        found = schema
        for token in pointer.split("/")[1:]:
            key = token.replace("~1", "/").replace("~0", "~")
            found = found[int(key)] if isinstance(found, list) else found[key]
        return found
    matches: list[Any] = []

    def look(node: dict[str, Any]) -> dict[str, Any]:
        if pointer in (node.get("$anchor"), node.get("$dynamicAnchor")) or node.get("$id") == ref:
            matches.append(node)
        return node

    _walked(schema, look)
    return matches[0] if matches else True


def bounded(schema: Any) -> Any:
    """Return a schema under which every answer ends soon: texts, lists and objects have bounds.

    A small model that may write on writes on. What it writes fits the schema that this is made of, but for patterns
    that its grammar does not know, which are left out; the answer is checked by the whole schema anyway.
    """
    return _walked(schema, _bounded)


def _bounded(node: dict[str, Any]) -> dict[str, Any]:
    found = dict(node)
    if any(key in found for key in ("enum", "const", "$ref", "anyOf", "oneOf", "allOf")):
        return found
    pattern = found.get("pattern")
    if isinstance(pattern, str) and not (pattern.startswith("^") and pattern.endswith("$") and "(?" not in pattern):
        del found["pattern"]
    kinds = found.get("type")
    kinds = kinds if isinstance(kinds, list) else [kinds]
    if kinds == [None]:
        if "properties" in found:
            kinds = ["object"]
        elif "items" in found:
            kinds = ["array"]
        elif not set(found) - {"title", "description", "default"}:
            return {**found, "type": "string", "maxLength": MOST_CHARACTERS}
    if "string" in kinds and "pattern" not in found and found.get("format") not in _SMALL_FORMATS:
        found.setdefault("maxLength", max(MOST_CHARACTERS, found.get("minLength", 0)))
    if "array" in kinds:
        found.setdefault("maxItems", max(MOST_ITEMS, found.get("minItems", 0), len(found.get("prefixItems", ()))))
        found.setdefault("items", {"type": "string", "maxLength": MOST_CHARACTERS})
    if "object" in kinds and not isinstance(found.get("additionalProperties"), dict):
        if not found.get("properties") and not found.get("patternProperties"):
            found["properties"] = {"text": {"type": "string", "maxLength": MOST_CHARACTERS}}
        found["additionalProperties"] = False
    return found


def few_values(schema: Any) -> bool:
    """Return whether a schema has so few values that they come again: its leaves are all constants and choices."""
    if not isinstance(schema, dict):
        return schema is False
    if "const" in schema or "enum" in schema or schema.get("type") in ("boolean", "null"):
        return True
    groups = [schema[key] for key in ("anyOf", "oneOf") if key in schema]
    if groups:
        return all(few_values(each) for group in groups for each in group)
    properties = schema.get("properties")
    if schema.get("type", "object") == "object" and isinstance(properties, dict):
        return schema.get("additionalProperties") is False and all(map(few_values, properties.values()))
    return False


# Examples.


def schema_of_examples(values: Sequence[Any]) -> dict[str, Any]:
    """Return the schema of JSON values like some examples.

    A key that some objects lack is optional; what is whole everywhere is an integer; texts that are all RFC 3339
    instants have that format.
    """
    kinds: dict[str, list[Any]] = {}
    for value in values:
        kinds.setdefault(_kind(value), []).append(value)
    if "integer" in kinds and "number" in kinds:
        del kinds["integer"]
    options = [_of_kind(kind, found) for kind, found in kinds.items()]
    if not options:
        return {}
    if len(options) == 1:
        return options[0]
    if len(options) == 2 and {"type": "null"} in options:
        other = next(each for each in options if each != {"type": "null"})
        return {**other, "type": [other["type"], "null"]}
    return {"anyOf": options}


def _kind(value: Any) -> str:
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "boolean"
    if isinstance(value, (int, float)):
        return "integer" if isinstance(value, int) else "number"
    return "string" if isinstance(value, str) else "array" if isinstance(value, list) else "object"


def _of_kind(kind: str, values: Sequence[Any]) -> dict[str, Any]:
    if kind == "object":
        keys = dict.fromkeys(key for value in values for key in value)
        properties = {key: schema_of_examples([value[key] for value in values if key in value]) for key in keys}
        required = [key for key in keys if all(key in value for value in values)]
        return {"type": "object", "properties": properties, "required": required, "additionalProperties": False}
    if kind == "array":
        return {"type": "array", "items": schema_of_examples([each for value in values for each in value])}
    if kind == "string" and _instants(values):
        return {"type": "string", "format": "date-time"}
    return {"type": kind}


def _instants(values: Iterable[str]) -> bool:
    for value in values:
        try:
            if len(value) < len("2026-01-01T00:00:00") or datetime.fromisoformat(value).tzinfo is None:
                return False
        except ValueError:
            return False
    return True
