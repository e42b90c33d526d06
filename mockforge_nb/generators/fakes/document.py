"""A JSON Schema as a document: whether it is one, whether it is sound, what its references mean.

A part of a schema is a `Source`, the raw schema and the JSON pointer to it. What holds of a value is a tuple of
sources, all of which it must satisfy; `Document.gather` follows ``$ref`` and ``allOf`` until nothing is left but
keywords.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Final, NamedTuple
from urllib.parse import unquote

from mockforge_nb.errors import OptionError, nearest

TYPES: Final = ("null", "boolean", "integer", "number", "string", "array", "object")
WITH_SCHEMAS: Final = frozenset(["properties", "patternProperties", "$defs", "definitions", "dependentSchemas"])
"""Keywords whose value maps names to schemas."""
WITH_LISTS: Final = frozenset(["allOf", "anyOf", "oneOf", "prefixItems"])
WITH_SCHEMA: Final = frozenset({
    "additionalProperties", "unevaluatedProperties", "propertyNames", "items", "additionalItems", "unevaluatedItems",
    "contains", "not", "if", "then", "else",
})  # fmt: skip
_OTHERS: Final = frozenset({
    "$schema", "$id", "$anchor", "$ref", "$dynamicRef", "$dynamicAnchor", "$comment", "$vocabulary",
    "$recursiveRef", "$recursiveAnchor", "type", "enum",
    "const", "title", "description", "default", "examples", "example", "deprecated", "readOnly", "writeOnly", "format",
    "contentEncoding", "contentMediaType", "contentSchema", "minimum", "maximum", "exclusiveMinimum",
    "exclusiveMaximum", "multipleOf", "minLength", "maxLength", "pattern", "minItems", "maxItems", "uniqueItems",
    "minContains", "maxContains", "required", "minProperties", "maxProperties", "dependentRequired", "dependencies",
    "discriminator", "nullable",
})  # fmt: skip
KEYWORDS: Final = WITH_SCHEMAS | WITH_LISTS | WITH_SCHEMA | _OTHERS


_REFS: Final = ("$ref", "$dynamicRef", "$recursiveRef")
"""Keywords that refer to a schema; within one document the dynamic ones refer to what they say."""


class Source(NamedTuple):
    """A part of a schema and where it is.

    Attributes:
        schema: A dict, or a bool.
        pointer: The JSON pointer to it, which also tells it from all other parts.
    """

    schema: Any
    pointer: str


class ContradictionError(OptionError):
    """A schema that no value fits, or none that can be made."""


def is_schema(value: Mapping[Any, Any]) -> bool:
    """Return whether a dict is a JSON Schema, and not a dict of fields that happens to have such names."""
    if isinstance(value.get("$schema"), str):
        return True
    properties = value.get("properties")
    if isinstance(properties, dict) and all(map(_like_schema, properties.values())):
        kind = value.get("type", "object")
        return _is_type(kind) or not [key for key in value if not _is_keyword(key)]
    if not all(map(_is_keyword, value)):
        return False
    if "type" in value:
        return _is_type(value["type"])
    if isinstance(value.get("$ref"), str):
        return value["$ref"].startswith("#") or "/" in value["$ref"]
    groups = [value[key] for key in ("anyOf", "oneOf", "allOf") if key in value]
    if groups:
        return all(isinstance(group, list) and group and all(map(_like_schema, group)) for group in groups)
    return isinstance(value.get("enum"), list)


_NUMBERS: Final = frozenset({
    "minLength", "maxLength", "minItems", "maxItems", "minProperties", "maxProperties", "minContains", "maxContains",
    "multipleOf", "exclusiveMinimum", "exclusiveMaximum",
})  # fmt: skip
_SPOKEN: Final = frozenset({"not", "if", "then", "else"})


def suspect(fields: Mapping[Any, Any]) -> tuple[str, str] | None:
    """Find what makes a dict of fields look like a JSON Schema that is none, for a keyword that is wrong or missing.

    Args:
        fields: What is no schema by `is_schema`.

    Returns:
        A key and what is wrong with it; None: nobody meant a schema.
    """
    telling = next((key for key, value in fields.items() if _telling(key, value)), None)
    alone = "const" in fields and all(map(_is_keyword, fields))
    if telling is None and alone and (fields["const"] is None or isinstance(fields["const"], (dict, list, int, float))):
        telling = "const"
    if telling is not None:
        kind = fields.get("type")
        named = isinstance(kind, str) and kind not in TYPES
        why = f" ({kind!r} is no type of it{nearest(kind, TYPES)})" if named else ""
        return telling, f"is a keyword of JSON Schema, but the whole is read as fields{why}"
    if "type" in fields and _is_type(fields["type"]):
        # Of the types only "boolean" is a provider of Faker too, so beside it a field may well be called `item`.
        words = sorted(word for word in KEYWORDS if fields["type"] != "boolean" or word.lower() != word)
        for key in fields:
            close = difflib.get_close_matches(str(key), words, n=1, cutoff=0.8)
            if close and not _is_keyword(key):
                return str(key), f"is no keyword of JSON Schema; did you mean {close[0]!r}?"
    return None


def _telling(key: Any, value: Any) -> bool:
    """Return whether a keyword that no field would have as its name has such a value as schemas give it."""
    if key in _NUMBERS:
        return isinstance(value, (int, float)) and not isinstance(value, bool)
    if key == "uniqueItems":
        return isinstance(value, bool)
    if key == "$ref":
        return isinstance(value, str) and "/" in value
    if key in WITH_LISTS:
        return isinstance(value, list) and bool(value) and all(map(_like_schema, value))
    if key in ("patternProperties", "$defs", "dependentSchemas"):
        return isinstance(value, dict)
    named = key in _SPOKEN or (key in WITH_SCHEMA and key.lower() != key)
    return named and _like_schema(value)


def _is_type(kind: Any) -> bool:
    kinds = kind if isinstance(kind, list) and kind else [kind]
    return all(isinstance(each, str) and each in TYPES for each in kinds)


def _is_keyword(key: Any) -> bool:
    return isinstance(key, str) and (key in KEYWORDS or key.startswith("x-"))


def _like_schema(value: Any) -> bool:
    return isinstance(value, bool) or (isinstance(value, dict) and all(map(_is_keyword, value)))


def escaped(token: str) -> str:
    """Return a name as a JSON pointer has it (RFC 6901 §3)."""
    return token.replace("~", "~0").replace("/", "~1")


class Document:
    """A whole JSON Schema, checked.

    Args:
        schema: The schema: draft 2020-12, 2019-09 or draft-07.
        where: What errors call it, before the pointer.

    Attributes:
        root: The whole.

    Raises:
        OptionError: It is no sound schema, or refers to what it does not have.
    """

    def __init__(self, schema: Any, where: str) -> None:
        self._where = where
        self.root = Source(schema, "#")
        self._named: dict[str, Source] = {}
        for source in self._walk(self.root):
            self._check_types(source)
            if isinstance(source.schema, dict):
                for keyword in ("$id", "$anchor", "$dynamicAnchor"):
                    name = source.schema.get(keyword)
                    if isinstance(name, str):
                        self._named.setdefault(name if keyword == "$id" else f"#{name}", source)
        self._validator = self._checked(schema)
        done: set[str] = set()
        for source in self._walk(self.root):
            self._check_refs(source, done, ())

    @property
    def validator(self) -> Any:
        """What checks whole values, a validator of jsonschema."""
        return self._validator

    def place(self, pointer: str) -> str:
        """Return what errors call a part of the schema."""
        return f"{self._where} {pointer}"

    def fits(self, value: Any, sources: Iterable[Source]) -> bool:
        """Return whether a value satisfies parts of the schema."""
        return all(self._validator.evolve(schema=source.schema).is_valid(value) for source in sources)

    def gather(self, sources: Iterable[Source]) -> list[Source]:
        """Return the sources and all that they require by reference and by ``allOf``, each once."""
        found: dict[str, Source] = {}
        waiting = list(sources)
        while waiting:
            source = waiting.pop(0)
            if source.pointer in found:
                continue
            found[source.pointer] = source
            if not isinstance(source.schema, dict):
                continue
            for keyword in _REFS:
                if keyword in source.schema:
                    waiting.append(self._resolve(source.schema[keyword], source.pointer))
            waiting += [
                Source(each, f"{source.pointer}/allOf/{number}")
                for number, each in enumerate(source.schema.get("allOf", ()))
            ]
        return list(found.values())

    def _resolve(self, ref: str, pointer: str) -> Source:
        if ref in ("#", self.root.schema.get("$id")):
            return self.root
        known = self._named.get(ref) or self._named.get(ref.removesuffix("#"))
        if known is not None:
            return known
        base, _, fragment = ref.partition("#")
        start = self.root if not base else self._named.get(base)
        found = start
        for token in fragment.split("/")[1:] if found is not None and fragment.startswith("/") else ():
            assert found is not None
            name = unquote(token).replace("~1", "/").replace("~0", "~")
            inner: Any = None
            if isinstance(found.schema, dict):
                inner = found.schema.get(name)
            elif isinstance(found.schema, list) and name.isdecimal() and int(name) < len(found.schema):
                inner = found.schema[int(name)]
            if inner is None:
                found = None
                break
            found = Source(inner, f"{found.pointer}/{escaped(name)}")
        if found is None or not isinstance(found.schema, (dict, bool)) or (found is start and fragment):
            raise self._dangling(ref, pointer)
        return found

    def _dangling(self, ref: str, pointer: str) -> OptionError:
        root = self.root.schema
        valid = [f"#/{key}/{escaped(name)}" for key in ("$defs", "definitions") for name in root.get(key, {})]
        if not ref.startswith("#"):
            return OptionError(
                self.place(f"{pointer}/$ref"), ref, "is not in this schema, and nothing is fetched", "put it into $defs"
            )
        return OptionError(self.place(f"{pointer}/$ref"), ref, "refers to nothing", valid)

    def _walk(self, source: Source) -> Iterator[Source]:
        yield source
        if not isinstance(source.schema, dict):
            return
        for key, value in source.schema.items():
            inner: Iterable[tuple[str, Any]] = ()
            if key in WITH_SCHEMAS or key == "dependencies":
                inner = (
                    [(f"/{escaped(str(name))}", each) for name, each in value.items()]
                    if isinstance(value, dict)
                    else ()
                )
            elif key in WITH_LISTS or (key == "items" and isinstance(value, list)):
                inner = [(f"/{number}", each) for number, each in enumerate(value)] if isinstance(value, list) else ()
            elif key in WITH_SCHEMA:
                inner = [("", value)]
            for path, each in inner:
                if isinstance(each, (dict, bool)):
                    yield from self._walk(Source(each, f"{source.pointer}/{key}{path}"))

    def _check_types(self, source: Source) -> None:
        kinds = source.schema.get("type", ()) if isinstance(source.schema, dict) else ()
        for kind in kinds if isinstance(kinds, (list, tuple)) else (kinds,):
            if kind not in TYPES:
                raise OptionError(self.place(f"{source.pointer}/type"), kind, "is no type of JSON Schema", TYPES)

    def _check_refs(self, source: Source, done: set[str], above: tuple[str, ...]) -> None:
        """Follow the references of a part, and those of all that holds of the same value, until one comes back."""
        if not isinstance(source.schema, dict) or source.pointer in done:
            return
        above = (*above, source.pointer)
        for keyword in _REFS:
            if keyword in source.schema:
                ref = source.schema[keyword]
                target = self._resolve(ref, source.pointer)
                if target.pointer in above:
                    problem, way = (
                        "refers to a schema that it is itself a part of",
                        "refer to it from a property or an item",
                    )
                    raise OptionError(self.place(f"{source.pointer}/{keyword}"), ref, problem, way)
                self._check_refs(target, done, above)
        for keyword in ("allOf", "anyOf", "oneOf"):
            for number, each in enumerate(source.schema.get(keyword, ())):
                self._check_refs(Source(each, f"{source.pointer}/{keyword}/{number}"), done, above)
        for keyword in ("not", "if", "then", "else"):
            if keyword in source.schema:
                self._check_refs(Source(source.schema[keyword], f"{source.pointer}/{keyword}"), done, above)
        done.add(source.pointer)

    def _checked(self, schema: Any) -> Any:
        """Return a validator for the draft that the schema is of."""
        import jsonschema

        named = jsonschema.validators.validator_for(schema, default=None)
        if named in (jsonschema.Draft3Validator, jsonschema.Draft4Validator):
            raise OptionError(
                self.place("#/$schema"),
                schema["$schema"],
                "is a draft that is too old",
                "write it as draft-07 or 2020-12",
            )
        errors: list[Any] = []
        for kind in (named,) if named else (jsonschema.Draft202012Validator, jsonschema.Draft7Validator):
            error = jsonschema.exceptions.best_match(kind(kind.META_SCHEMA).iter_errors(schema))
            if error is None:
                return kind(schema)
            errors.append(error)
        first = errors[0]
        pointer = "".join(f"/{escaped(str(token))}" for token in first.absolute_path)
        raise OptionError(self.place(f"#{pointer}"), first.instance, f"is no sound schema: {first.message}")
