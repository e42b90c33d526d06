"""Python's types as JSON Schema: dataclasses, TypedDicts, NamedTuples, and what stands in their hints.

Models of pydantic say their own schema; `annotated_types` is not imported either, its words are known by their
attributes.
"""

from __future__ import annotations

import collections.abc as abc
import dataclasses
import datetime as dt
import math
import types
import typing
from decimal import Decimal
from enum import Enum
from pathlib import Path
from typing import Any, Final, NamedTuple
from uuid import UUID

from mockforge_nb.errors import OptionError

from .document import escaped
from .models import Model, own_schema

_PLAIN: Final[dict[Any, dict[str, Any]]] = {
    str: {"type": "string"},
    int: {"type": "integer"},
    float: {"type": "number"},
    bool: {"type": "boolean"},
    None: {"type": "null"},
    type(None): {"type": "null"},
    bytes: {"type": "string", "format": "byte"},
    dt.datetime: {"type": "string", "format": "date-time"},
    dt.date: {"type": "string", "format": "date"},
    dt.time: {"type": "string", "format": "time"},
    dt.timedelta: {"type": "string", "format": "duration"},
    UUID: {"type": "string", "format": "uuid"},
    Decimal: {"type": "string", "format": "decimal"},
    Path: {"type": "string", "format": "path"},
    Any: {},
    object: {},
}
_LISTS: Final = (list, abc.Sequence, abc.MutableSequence, abc.Iterable, abc.Collection)
_SETS: Final = (set, frozenset, abc.Set, abc.MutableSet)
_DICTS: Final = (dict, abc.Mapping, abc.MutableMapping)
_BOUNDS: Final = {
    "ge": "minimum",
    "gt": "exclusiveMinimum",
    "le": "maximum",
    "lt": "exclusiveMaximum",
    "multiple_of": "multipleOf",
    "pattern": "pattern",
}
"""The words of `annotated_types` and pydantic for keywords."""


def is_type(value: object) -> bool:
    """Return whether a value is a type, or a type hint such as ``list[int]`` or ``str | None``."""
    known = isinstance(value, (type, types.UnionType, typing.NewType, typing.TypeVar))
    return known or typing.get_origin(value) is not None or value is Any


class Typed(NamedTuple):
    """What a type says of its values.

    Attributes:
        schema: Its JSON Schema.
        models: The models of pydantic within it, by the JSON pointers to their schemas.
    """

    schema: dict[str, Any]
    models: dict[str, Model]


def schema_of(hint: Any, where: str) -> Typed:
    """Return the JSON Schema of a type hint, and of which models it is made.

    A NamedTuple is an object of its fields here, and a `Decimal` a text, as it is written to messages.

    Args:
        hint: A type, or what may stand for one in an annotation.
        where: What errors call it.

    Raises:
        OptionError: It, or a hint within it, has no values with a JSON form.
    """
    own = own_schema(hint, where)
    if own is not None:
        return Typed(own.schema, {"#": own})
    converter = _Converter()
    schema = converter.convert(hint, where)
    if converter.definitions:
        schema = {**schema, "$defs": converter.definitions}
    return Typed(schema, converter.models)


class _Converter:
    def __init__(self) -> None:
        self.definitions: dict[str, Any] = {}
        self.models: dict[str, Model] = {}
        self._names: dict[type, str] = {}

    def convert(self, hint: Any, where: str) -> dict[str, Any]:
        try:
            plain = _PLAIN.get(hint)
        except TypeError:  # a Literal or an Annotated of what has no hash
            plain = None
        if plain is not None:
            return dict(plain)
        origin, arguments = typing.get_origin(hint), typing.get_args(hint)
        if origin is typing.Annotated:
            return self._annotated(arguments[0], arguments[1:], where)
        if origin in (typing.Required, typing.NotRequired, typing.Final, typing.ClassVar):
            return self.convert(arguments[0], where)
        if getattr(origin, "__name__", "") == "ReadOnly":
            return self.convert(arguments[0], where)
        if origin is typing.Literal:
            return {"enum": [each.value if isinstance(each, Enum) else each for each in arguments]}
        if origin in (typing.Union, types.UnionType):
            return {"anyOf": [self.convert(each, where) for each in arguments]}
        if isinstance(hint, typing.NewType):
            return self.convert(hint.__supertype__, where)
        if hasattr(hint, "__value__"):  # type X = … of Python 3.12
            return self._named(hint, lambda: self.convert(hint.__value__, where))
        if isinstance(hint, typing.TypeVar):
            return self.convert(hint.__bound__ or Any, where)
        container = self._container(hint, origin or hint, arguments, where)
        if container is not None:
            return container
        if isinstance(hint, type):
            return self._class(hint, where)
        raise OptionError(where, hint, "is no type that messages are made of", _WAY)

    def _container(self, hint: Any, kind: Any, arguments: tuple[Any, ...], where: str) -> dict[str, Any] | None:
        if kind is tuple and (arguments or hint is not tuple) and not (len(arguments) == 2 and arguments[1] is ...):
            listed = [self.convert(each, where) for each in arguments]
            prefix = {"prefixItems": listed} if listed else {}
            return {"type": "array", **prefix, "minItems": len(listed), "maxItems": len(listed)}
        if kind in (tuple, *_LISTS, *_SETS):
            items = self.convert(arguments[0], f"{where}[0]") if arguments else {}
            unique = {"uniqueItems": True} if kind in _SETS else {}
            return {"type": "array", "items": items, **unique}
        if kind in _DICTS:
            key, value = arguments or (str, Any)
            names = self.convert(key, where)
            if names.get("type", "string") != "string" and "enum" not in names:
                raise OptionError(where, key, "is the type of keys, which are texts in JSON", "use dict[str, …]")
            constrained = {"propertyNames": names} if names not in ({"type": "string"}, {}) else {}
            return {"type": "object", "additionalProperties": self.convert(value, where), **constrained}
        return None

    def _class(self, cls: type, where: str) -> dict[str, Any]:
        own = own_schema(cls, where)
        if own is not None:
            found = self._named(cls, lambda: self._adopted(own.schema))
            self.models[found["$ref"]] = own
            return found
        if issubclass(cls, Enum):
            return {"enum": [each.value for each in cls]}
        if dataclasses.is_dataclass(cls):
            names = [field.name for field in dataclasses.fields(cls)]
            return self._named(cls, lambda: self._record(cls, names, frozenset(names), where))
        if typing.is_typeddict(cls):
            keys = list(cls.__annotations__)
            inherited = [key for key in typing.get_type_hints(cls) if key not in keys]
            required: frozenset[str] = getattr(cls, "__required_keys__", frozenset())
            return self._named(cls, lambda: self._record(cls, [*inherited, *keys], required, where))
        if issubclass(cls, tuple) and hasattr(cls, "_fields"):
            fields = list(cls._fields)
            return self._named(cls, lambda: self._record(cls, fields, frozenset(fields), where))
        for base in _PLAIN:
            if isinstance(base, type) and base is not object and issubclass(cls, base):
                return dict(_PLAIN[base])
        raise OptionError(where, cls, "is no type that messages are made of", _WAY)

    def _named(self, key: Any, make: abc.Callable[[], dict[str, Any]]) -> dict[str, Any]:
        """Return a reference to a type's schema, which is made once: it may contain itself."""
        if key not in self._names:
            name = key.__name__
            while name in self.definitions:
                name += "_"
            self._names[key] = name
            self.definitions[name] = {}
            self.definitions[name] = make()
        return {"$ref": f"#/$defs/{escaped(self._names[key])}"}

    def _adopted(self, schema: dict[str, Any]) -> dict[str, Any]:
        """Return another library's schema as a part of this one, with its definitions under names of their own."""
        inner = schema.get("$defs", {})
        names: dict[str, str] = {}
        for name in inner:
            names[name] = name
            while names[name] in self.definitions:
                names[name] += "_"
            self.definitions[names[name]] = {}
        for name, each in inner.items():
            self.definitions[names[name]] = _renamed(each, names)
        return typing.cast(
            "dict[str, Any]", _renamed({key: each for key, each in schema.items() if key != "$defs"}, names)
        )

    def _record(self, cls: type, names: list[str], required: frozenset[str], where: str) -> dict[str, Any]:
        try:
            hints = typing.get_type_hints(cls, include_extras=True)
        except NameError as error:
            raise OptionError(
                where, cls, f"has a hint that names nothing: {error}", "define it where the class is defined"
            ) from None
        properties = {name: self.convert(hints.get(name, Any), f"{where}.{name}") for name in names}
        return {
            "type": "object",
            "properties": properties,
            "required": [name for name in names if name in required],
            "additionalProperties": False,
        }

    def _annotated(self, hint: Any, words: tuple[Any, ...], where: str) -> dict[str, Any]:
        schema = self.convert(hint, where)
        said: dict[str, Any] = {}
        waiting = list(words)
        while waiting:
            word = waiting.pop(0)
            if hasattr(word, "metadata"):  # a Field of pydantic
                waiting[:0] = list(word.metadata)
                continue
            if hasattr(word, "__iter__") and not isinstance(word, (str, bytes, dict)):  # Interval, Len: grouped words
                waiting[:0] = list(word)
                continue
            for name, keyword in _BOUNDS.items():
                value = getattr(word, name, None)
                if value is not None and not callable(value):
                    said[keyword] = _plain(getattr(value, "pattern", value), where)
            for name, ending in {"min_length": "min", "max_length": "max"}.items():
                value = getattr(word, name, None)
                if value is not None:
                    said[ending + _measure(schema)] = value
        return {"allOf": [schema], **said} if "$ref" in schema or "anyOf" in schema else {**schema, **said}


def _measure(schema: dict[str, Any]) -> str:
    return {"array": "Items", "object": "Properties"}.get(schema.get("type", "string"), "Length")


def _plain(value: Any, where: str) -> Any:
    if isinstance(value, Decimal):
        return int(value) if value == value.to_integral_value() else float(value)
    if isinstance(value, (dt.date, dt.time, dt.timedelta)):
        raise OptionError(where, value, "is a bound that JSON Schema cannot say", "bound the texts by a pattern")
    if isinstance(value, float) and not math.isfinite(value):
        raise OptionError(where, value, "is no bound", "leave it out")
    return value


def _renamed(value: Any, names: dict[str, str]) -> Any:
    if isinstance(value, list):
        return [_renamed(each, names) for each in value]
    if not isinstance(value, dict):
        return value
    found = {key: _renamed(each, names) for key, each in value.items()}
    ref = found.get("$ref")
    if isinstance(ref, str) and ref.startswith("#/$defs/"):
        name = ref.removeprefix("#/$defs/")
        found["$ref"] = f"#/$defs/{names.get(name, name)}"
    return found


_WAY: Final = "valid: str, int, float, bool, datetime, lists, dicts, dataclasses, TypedDicts, pydantic models, …"
