"""The nodes of a schema's types: numbers, texts, arrays and objects, each by all keywords that hold of it."""

from __future__ import annotations

import base64
import json
import random
import re
from abc import ABC, abstractmethod
from collections.abc import Iterable, Sequence
from typing import Any, Final, TypeVar

from mockforge_nb.errors import GeneratorError, nearest

from .containers import Array, Extra, Items, Object, Properties
from .document import ContradictionError, Document, Source, escaped
from .models import BOUNDS, EARLIEST, LATEST, SCHEMES
from .nodes import Encoded, Leaf, Node
from .regexes import Texts
from .values import Limits, Maker, Providers, Range, both, common_multiple, formatted, numbers, texts

_ENCODED: Final = ("contentMediaType", "contentEncoding", "contentSchema")

AnyNode = TypeVar("AnyNode", bound=Node)


class Shapes(ABC):
    """Makes the nodes of types.

    Args:
        document: What they are of.
        rng: Where values are drawn from.
        providers: Faker's, by name.
    """

    def __init__(self, document: Document, rng: random.Random, providers: Providers) -> None:
        self._document, self._rng, self._providers = document, rng, providers
        self._nodes: list[Node] = []

    @abstractmethod
    def _node(self, sources: Sequence[Source], settled: frozenset[str] = frozenset(), name: str = "") -> Node:
        """Return the node of values that satisfy all sources."""

    def _add(self, node: AnyNode) -> AnyNode:
        self._nodes.append(node)
        return node

    def _contradiction(self, pointer: str, value: object, problem: str, way: str = "") -> ContradictionError:
        return ContradictionError(self._document.place(pointer), value, problem, way)

    def _of_kind(self, kind: str, parts: list[Source], pointer: str, name: str) -> Node:
        match kind:
            case "null":
                return self._leaf(pointer, lambda: None)
            case "boolean":
                return self._leaf(pointer, lambda: self._rng.random() < 0.5)
            case "integer" | "number":
                return self._number(parts, pointer, name, whole=kind == "integer")
            case "string":
                return self._text(parts, pointer, name)
            case "array":
                return self._array(parts, pointer, name)
        return self._object(parts, pointer)

    def _leaf(self, pointer: str, make: Maker) -> Node:
        return self._add(Leaf(pointer, make))

    def _number(self, parts: list[Source], pointer: str, name: str, *, whole: bool) -> Node:
        lows = [(p.schema["minimum"], False) for p in parts if "minimum" in p.schema]
        lows += [(p.schema["exclusiveMinimum"], True) for p in parts if "exclusiveMinimum" in p.schema]
        highs = [(p.schema["maximum"], True) for p in parts if "maximum" in p.schema]
        highs += [(p.schema["exclusiveMaximum"], False) for p in parts if "exclusiveMaximum" in p.schema]
        low, low_open = max(lows, default=(None, False))
        high, high_closed = min(highs, default=(None, True))
        multiple = common_multiple([p.schema["multipleOf"] for p in parts if "multipleOf" in p.schema])
        try:
            return self._leaf(
                pointer,
                numbers(self._rng, Range(low, high, low_open, not high_closed, multiple, whole), name),
            )
        except ValueError as error:
            words = ("minimum", "exclusiveMinimum", "maximum", "exclusiveMaximum", "multipleOf")
            raise self._contradiction(
                pointer, _said(parts, *words), f"contradict each other: {error}", "lower one or raise the other"
            ) from None

    def _bounds(self, parts: list[Source], pointer: str, least: str, most: str) -> tuple[int, int | None]:
        low = max((int(p.schema[least]) for p in parts if least in p.schema), default=0)
        high = min((int(p.schema[most]) for p in parts if most in p.schema), default=None)
        if high is not None and low > high:
            raise self._contradiction(
                pointer, _said(parts, least, most), "contradict each other", f"lower {least} or raise {most}"
            )
        return low, high

    def _text(self, parts: list[Source], pointer: str, name: str) -> Node:
        low, high = self._bounds(parts, pointer, "minLength", "maxLength")
        pattern = first_of(parts, "pattern")
        fitting = self._pattern(pattern[0], "pattern", low, high) if pattern is not None else None
        if fitting is None:
            encoded = self._encoded(parts, pointer)
            if encoded is not None:
                return encoded
        formed = self._formed(parts, pointer, low, high)
        if formed is None:
            examples = [each for part in parts for each in part.schema.get("examples", ()) if isinstance(each, str)]
            known = [each for each in dict.fromkeys(examples) if self._document.fits(each, parts)]
            return self._leaf(pointer, fitting or texts(self._rng, self._providers, low, high, name, known))
        make, format_ = formed
        if pattern is None or fitting is None:
            return self._leaf(pointer, make)
        return self._leaf(pointer, self._placed(both(make, fitting, pattern[0].schema["pattern"], format_), pointer))

    def _formed(self, parts: list[Source], pointer: str, low: int, high: int | None) -> tuple[Maker, str] | None:
        """Return what draws texts of a format, and its name; None: there is none, or it is not known."""
        format_ = first_of(parts, "format")
        if format_ is None:
            return None
        said = {word: each[0].schema[word] for word in BOUNDS if (each := first_of(parts, word)) is not None}
        limits = Limits(low, high, said.get(EARLIEST, ""), said.get(LATEST, ""), tuple(said.get(SCHEMES, ())))
        name = format_[0].schema["format"]
        make = formatted(self._rng, self._providers, name, limits)
        return None if make is None else (self._placed(make, pointer), name)

    def _encoded(self, parts: list[Source], pointer: str) -> Node | None:
        """Return the node of texts with JSON in them, or anything in base64; None: they are plain."""
        said = {word: each[0] for word in _ENCODED if (each := first_of(parts, word)) is not None}
        media, encoding = (said[word].schema[word] if word in said else "" for word in _ENCODED[:2])
        node: Node | None = None
        if media == "application/json":
            part = said.get("contentSchema")
            held = Source({"type": "object"}, f"{pointer}#json")
            if part is not None:
                held = Source(part.schema["contentSchema"], f"{part.pointer}/contentSchema")
            node = self._add(Encoded(pointer, self._node((held,)), json.dumps))
        if encoding in ("base64", "base64url"):
            encode = base64.b64encode if encoding == "base64" else base64.urlsafe_b64encode
            node = node or self._leaf(pointer, self._providers["sentence"])
            node = self._add(Encoded(pointer, node, lambda text: encode(text.encode()).decode()))
        return node

    def _pattern(self, part: Source, keyword: str, low: int, high: int | None) -> Maker:
        return self._texts_of(part.schema[keyword], f"{part.pointer}/{keyword}", low, high)

    def _texts_of(self, pattern: str, pointer: str, low: int = 0, high: int | None = None) -> Maker:
        try:
            found = Texts(pattern, low, high)
        except re.error as error:
            raise self._contradiction(
                pointer, pattern, f"cannot be compiled: {error}", "write it as Python's re understands it"
            ) from None
        except ValueError as error:
            raise self._contradiction(
                pointer, pattern, f"contradicts the length: {error}", "change minLength, maxLength or the pattern"
            ) from None
        return self._placed(lambda: found.draw(self._rng), pointer)

    def _placed(self, make: Maker, pointer: str) -> Maker:
        """Return a maker whose errors say where it is."""

        def placed() -> Any:
            try:
                return make()
            except GeneratorError as error:
                raise GeneratorError(f"{self._document.place(pointer)}: {error}") from None

        return placed

    def _optional(self, sources: Sequence[Source], name: str = "") -> Node | None:
        """Return the node of what need not be there; None: it must not, by ``false`` or as its schemas exclude it."""
        if any(part.schema is False for part in self._document.gather(sources)):
            return None
        try:
            return self._node(sources, name=name)
        except ContradictionError:
            if len(sources) == 1:
                raise  # nobody wrote this to forbid it
            return None

    # Arrays.

    def _array(self, parts: list[Source], pointer: str, name: str) -> Node:
        low, high = self._bounds(parts, pointer, "minItems", "maxItems")
        prefixes: list[list[Source]] = []
        rests: list[Source | None] = []
        for part in parts:
            listed = "items" if isinstance(part.schema.get("items"), list) else "prefixItems"
            given = part.schema.get(listed, [])
            prefixes.append([Source(each, f"{part.pointer}/{listed}/{i}") for i, each in enumerate(given)])
            rest = "additionalItems" if listed == "items" else "items"
            rests.append(Source(part.schema[rest], f"{part.pointer}/{rest}") if rest in part.schema else None)
        most = float("inf") if high is None else high
        singular = name.removesuffix("s")
        nodes: list[Node] = []
        for position in range(max(map(len, prefixes), default=0)):
            here = [p[position] if position < len(p) else rest for p, rest in zip(prefixes, rests, strict=True)]
            node = self._optional([source for source in here if source is not None], singular)
            if node is None:
                most = min(most, position)
                break
            nodes.append(node)
        after = [source for source in rests if source is not None]
        tail = self._optional(after, singular)
        if tail is None:
            most = min(most, len(nodes))
        if most < low:
            raise self._contradiction(
                pointer, _said(parts, "minItems", "items", "prefixItems", "additionalItems"),
                f"contradict each other: there can be {most} items at most", "lower minItems",
            )  # fmt: skip
        special, times = self._contained(parts, after, singular)
        low = max(low, int(min(most, len(nodes) + times)) if times else low)
        room = max(low, len(nodes)) + (3 if tail is not None else 0)
        items = Items(
            prefix=tuple(nodes), rest=tail, low=low, high=int(min(most, room)),
            unique=any(part.schema.get("uniqueItems") for part in parts), special=special, times=times,
        )  # fmt: skip
        return self._add(Array(pointer, self._rng, items, self._document.place(pointer)))

    def _contained(self, parts: list[Source], rest: list[Source], name: str) -> tuple[Node | None, int]:
        part = next((part for part in parts if "contains" in part.schema), None)
        times = int(part.schema.get("minContains", 1)) if part is not None else 0
        if part is None or not times:
            return None, 0
        return self._node((Source(part.schema["contains"], f"{part.pointer}/contains"), *rest), name=name), times

    # Objects.

    def _object(self, parts: list[Source], pointer: str) -> Node:
        low, high = self._bounds(parts, pointer, "minProperties", "maxProperties")
        required = list(dict.fromkeys(name for part in parts for name in part.schema.get("required", ())))
        needs: dict[str, tuple[str, ...]] = {}
        for part in parts:
            for keyword in ("dependentRequired", "dependencies"):
                for name, others in part.schema.get(keyword, {}).items():
                    if isinstance(others, list):
                        needs[name] = (*needs.get(name, ()), *others)
        declared = [name for part in parts for name in part.schema.get("properties", {})]
        named: dict[str, Node] = {}
        for name in dict.fromkeys((*declared, *required, *(other for others in needs.values() for other in others))):
            sources, forbidding = self._sources_of(name, parts)
            node = self._optional(sources, name)
            if node is not None:
                named[name] = node
            elif name in required:
                others = [each for each in declared if each != name]
                raise self._contradiction(
                    pointer, name, f"is required, and forbidden by {forbidding}",
                    f"add it to properties, or take it out of required{nearest(name, others)}",
                )  # fmt: skip
        needs = {name: others for name, others in needs.items() if name in named}
        for name in [name for name, others in needs.items() if not all(other in named for other in others)]:
            del needs[name]
            named.pop(name)
        must = frozenset(required)
        properties = Properties(named, must, needs, low, high, *self._extras(parts, named))
        always = properties.closed(set(must))
        if high is not None and len(always) > high:
            raise self._contradiction(
                pointer, {"required": sorted(always), "maxProperties": high}, "contradict each other",
                "raise maxProperties or require less",
            )  # fmt: skip
        if low > len(named) and not properties.extras:
            raise self._contradiction(
                pointer, {"minProperties": low, "properties": list(named)}, "contradict each other",
                "lower minProperties or allow additionalProperties",
            )  # fmt: skip
        return self._add(Object(pointer, self._rng, properties, self._document.place(pointer)))

    def _sources_of(self, name: str, parts: list[Source]) -> tuple[list[Source], str]:
        """Return what holds of a property, and which of it would forbid it."""
        sources: list[Source] = []
        for schema, pointer in parts:
            before = len(sources)
            if name in schema.get("properties", {}):
                sources.append(Source(schema["properties"][name], f"{pointer}/properties/{escaped(name)}"))
            for pattern, each in schema.get("patternProperties", {}).items():
                if self._matches(pattern, name, pointer):
                    sources.append(Source(each, f"{pointer}/patternProperties/{escaped(pattern)}"))
            if len(sources) == before and "additionalProperties" in schema:
                sources.append(Source(schema["additionalProperties"], f"{pointer}/additionalProperties"))
        return sources, next((s.pointer for s in sources if s.schema is False), "schemas that contradict each other")

    def _matches(self, pattern: str, name: str, pointer: str) -> bool:
        try:
            return re.search(pattern, name) is not None
        except re.error as error:
            raise self._contradiction(
                f"{pointer}/patternProperties", pattern, f"cannot be compiled: {error}",
                "write it as Python's re understands it",
            ) from None  # fmt: skip

    def _extras(self, parts: list[Source], named: dict[str, Node]) -> tuple[tuple[Extra, ...], int]:
        """Return what properties without a name are made of, and how many are made anyway."""
        others: list[Source] = []
        found: list[Extra] = []
        names = [
            Source(p.schema["propertyNames"], f"{p.pointer}/propertyNames")
            for p in parts
            if "propertyNames" in p.schema
        ]
        for schema, pointer in parts:
            for pattern, each in schema.get("patternProperties", {}).items():
                path = f"{pointer}/patternProperties/{escaped(pattern)}"
                node = self._optional([Source(each, path)])
                if node is not None:
                    found.append(Extra(self._texts_of(pattern, path, 1), node))
            if "additionalProperties" in schema:
                others.append(Source(schema["additionalProperties"], f"{pointer}/additionalProperties"))
        rest = self._optional(others)
        if rest is not None:
            key: Maker = self._providers["word"]
            if names:
                text = Source({"type": "string"}, f"{names[0].pointer}#text")
                drawn = self._node((*names, text))
                key = lambda: drawn.draw(0)  # noqa: E731
            found.append(Extra(key, rest))
        mapping = any(s.schema is not False for s in others) or any("patternProperties" in p.schema for p in parts)
        return tuple(found), 3 if mapping and not named else 0


def first_of(parts: Iterable[Source], *keywords: str) -> tuple[Source, str] | None:
    """Return the first part that has one of these keywords, and which."""
    return next(((part, word) for part in parts for word in keywords if word in part.schema), None)


def _said(parts: Iterable[Source], *keywords: str) -> dict[str, Any]:
    """Return what a schema says by these keywords."""
    return {word: part.schema[word] for part in parts for word in keywords if word in part.schema}
