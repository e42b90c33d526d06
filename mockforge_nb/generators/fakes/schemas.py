"""Values that fit a JSON Schema, draft 2020-12, 2019-09 or draft-07.

A schema is made into nodes that draw its values. What its keywords say is brought together first, those of ``$ref``
and ``allOf`` among them, so that a value is right by construction; a choice (``anyOf``, ``oneOf``, ``if``) is a node
for each branch, with all that holds beside it. Only where that is not enough, as for ``not``, the values are checked
by the `jsonschema` library and drawn again.
"""

from __future__ import annotations

import random
from collections.abc import Iterable, Mapping, Sequence
from types import MappingProxyType
from typing import Any, Final

from mockforge_nb.generators.forms import to_bytes

from .containers import Modelled
from .document import TYPES, ContradictionError, Document, Source, escaped
from .models import Model
from .nodes import NULL, Branches, Checked, Loop, Never, Node, Picked, settle
from .shapes import Shapes, first_of
from .values import Maker, Providers

_IMPLIED: Final = {
    "object": "properties required additionalProperties patternProperties propertyNames minProperties maxProperties "
    "dependentRequired dependentSchemas dependencies unevaluatedProperties",
    "array": "items prefixItems additionalItems contains minItems maxItems uniqueItems unevaluatedItems",
    "string": "pattern format minLength maxLength contentEncoding contentMediaType contentSchema",
    "number": "minimum maximum exclusiveMinimum exclusiveMaximum multipleOf",
}
"""What a schema without a type is of, by its keywords."""

_CHECKED: Final = frozenset({
    "not", "contains", "patternProperties", "propertyNames", "unevaluatedProperties", "unevaluatedItems", "maxContains",
})  # fmt: skip
"""Keywords for which values are checked."""

_TRIALS: Final = 20
"""How many values are made at once of a new schema: what cannot be made shows before anything is served."""

_ENOUGH: Final = 200_000
"""How many bytes of them are enough: a large value has tried most of its schema."""

Options = list[tuple[Source, ...]]


class Schema:
    """A JSON Schema that values are made of.

    Args:
        schema: The schema.
        where: What errors call it.
        models: Models of pydantic that values must fit too, by the pointers to their schemas.

    Raises:
        OptionError: It is no sound schema.
    """

    def __init__(self, schema: Any, where: str, models: Mapping[str, Model] = MappingProxyType({})) -> None:
        self._document, self._models = Document(schema, where), models

    def maker(self, rng: random.Random, providers: Providers) -> Maker:
        """Return what draws values.

        Args:
            rng: Where they are drawn from, and nothing else.
            providers: The methods of Faker's providers, which draw from `rng` too.

        Raises:
            OptionError: The schema contradicts itself.
        """
        root = _Builder(self._document, self._models, rng, providers).build()
        return lambda: root.draw(0)

    def check(self, rng: random.Random, providers: Providers) -> None:
        """Make some values.

        Raises:
            OptionError: The schema contradicts itself.
            GeneratorError: There are values that fit, but they are not found.
        """
        make = self.maker(rng, providers)
        size = 0
        for _ in range(_TRIALS):
            size += len(to_bytes(make()))
            if size > _ENOUGH:
                return


class _Builder(Shapes):
    """Brings the keywords of a schema together, and the nodes of its types into a graph."""

    def __init__(
        self, document: Document, models: Mapping[str, Model], rng: random.Random, providers: Providers
    ) -> None:
        super().__init__(document, rng, providers)
        self._models = models
        self._known: dict[tuple[Any, ...], Node] = {}
        self._building: dict[tuple[Any, ...], Loop | None] = {}

    def build(self) -> Node:
        root = self._node((self._document.root,))
        settle(self._nodes)
        if root.height == float("inf"):
            culprit = next((n for n in self._nodes if isinstance(n, Loop) and n.height == root.height), root)
            raise ContradictionError(
                self._document.place(culprit.pointer), getattr(culprit, "schema", self._document.root.schema),
                "requires itself without end",
                "make a property on the way optional, let it be null, or let a list be empty",
            )  # fmt: skip
        return root

    # Bringing together.

    def _node(self, sources: Sequence[Source], settled: frozenset[str] = frozenset(), name: str = "") -> Node:
        """Return the node of values that satisfy all sources.

        Args:
            sources: What holds of the values.
            settled: The choices that were made already, and the models that will be asked.
            name: What the property is called.
        """
        key = (*sorted({source.pointer for source in sources}), settled, name)
        if key in self._known:
            return self._known[key]
        if key in self._building:
            loop = self._building[key]
            if loop is None:
                loop = self._building[key] = self._add(Loop(*reversed(sources[0])))
            return loop
        self._building[key] = None
        try:
            node = self._modelled(sources, settled, name) if self._models else self._built(sources, settled, name)
        except ContradictionError:
            loop = self._building.pop(key)
            if loop is not None:
                loop.inner = self._add(Never(loop.pointer))  # what was made within it may be kept for elsewhere
            raise
        loop = self._building.pop(key)
        if loop is not None:
            loop.inner = node
            node = loop
        self._known[key] = node
        return node

    def _built(self, sources: Sequence[Source], settled: frozenset[str], name: str) -> Node:
        parts = self._document.gather(sources)
        for part in parts:
            if part.schema is False:
                raise self._contradiction(part.pointer, False, "is a schema that no value fits", "leave it out")
        parts = [part for part in parts if isinstance(part.schema, dict)]
        pointer = parts[0].pointer if parts else "#"
        values = first_of(parts, "enum", "const")
        if values is not None:
            return self._picked(sources, *values)
        for part in parts:
            for keyword, path, options in self._choices(part, settled):
                node = self._branches(path, options, sources, settled | {path}, name)
                return self._checked(node, sources) if keyword != "anyOf" else node
        node = self._typed(parts, pointer, name)
        dependent = any("dependentRequired" in p.schema or "dependencies" in p.schema for p in parts)
        patterns = {p.schema["pattern"] for p in parts if "pattern" in p.schema}
        limited = dependent and any("maxProperties" in p.schema for p in parts)
        if limited or len(patterns) > 1 or any(not _CHECKED.isdisjoint(part.schema) for part in parts):
            return self._checked(node, sources)
        return node

    def _checked(self, node: Node, sources: Sequence[Source]) -> Node:
        held = tuple(sources)
        place = self._document.place(node.pointer)
        return self._add(Checked(node.pointer, node, lambda value: self._document.fits(value, held), place))

    def _modelled(self, sources: Sequence[Source], settled: frozenset[str], name: str) -> Node:
        """Return the node of values that the models of these sources take too."""
        pointers = {part.pointer for part in self._document.gather(sources)} & self._models.keys() - settled
        node = self._built(sources, settled | pointers, name)
        for pointer in sorted(pointers):
            node = self._add(Modelled(node.pointer, node, self._models[pointer], self._document.place(pointer)))
        return node

    def _choices(self, part: Source, settled: frozenset[str]) -> Iterable[tuple[str, str, Options]]:
        """Find the choices that a part leaves: the keyword, the pointer, and what holds of each branch."""
        schema, pointer = part
        for keyword in ("anyOf", "oneOf"):
            path = f"{pointer}/{keyword}"
            if keyword in schema and path not in settled:
                yield keyword, path, [(Source(each, f"{path}/{i}"),) for i, each in enumerate(schema[keyword])]
        path = f"{pointer}/if"
        if "if" in schema and path not in settled and ("then" in schema or "else" in schema):
            then = (Source(schema["if"], path), Source(schema.get("then", True), f"{pointer}/then"))
            yield "if", path, [then, (Source(schema.get("else", True), f"{pointer}/else"),)]
        for keyword in ("dependentSchemas", "dependencies"):
            for name, each in schema.get(keyword, {}).items():
                path = f"{pointer}/{keyword}/{escaped(name)}"
                if isinstance(each, (dict, bool)) and path not in settled:
                    there = Source({"required": [name]}, f"{path}#with")
                    gone = Source({"properties": {name: False}}, f"{path}#without")
                    yield keyword, path, [(there, Source(each, path)), (gone,)]

    def _branches(
        self, path: str, options: Options, sources: Sequence[Source], settled: frozenset[str], name: str
    ) -> Node:
        nodes: list[Node] = []
        weights: list[float] = []
        nulls = [len(option) == 1 and _is_null(option[0].schema) for option in options]
        first: ContradictionError | None = None
        for option, null in zip(options, nulls, strict=True):
            try:
                node = self._node((*sources, *option), settled, name)
            except ContradictionError as error:
                first = first or error
                continue
            nodes.append(node)
            weights.append(NULL if null else (1 - NULL * any(nulls)) / max(1, len(nulls) - sum(nulls)))
        if not nodes:
            assert first is not None
            raise first
        return self._add(Branches(path, self._rng, nodes, weights))

    def _picked(self, sources: Sequence[Source], part: Source, keyword: str) -> Node:
        given = part.schema[keyword] if keyword == "enum" else [part.schema[keyword]]
        values = [value for value in given if self._document.fits(value, sources)]
        if not values:
            raise self._contradiction(
                f"{part.pointer}/{keyword}", part.schema[keyword], "has no value that fits the other keywords",
                "change it or them",
            )  # fmt: skip
        return self._add(Picked(part.pointer, self._rng, values))

    # Types.

    def _typed(self, parts: list[Source], pointer: str, name: str) -> Node:
        kinds = self._kinds(parts, name)
        nodes: list[Node] = []
        weights: list[float] = []
        first: ContradictionError | None = None
        for kind in kinds:
            try:
                node = self._of_kind(kind, parts, pointer, name)
            except ContradictionError as error:
                first = first or error
                continue
            nodes.append(node)
            weights.append(NULL if kind == "null" else 1)
        if not nodes:
            assert first is not None
            raise first
        if len(nodes) == 1:
            return nodes[0]
        return self._add(Branches(pointer, self._rng, nodes, weights))

    def _kinds(self, parts: list[Source], name: str) -> list[str]:
        given = [(part.schema["type"], part.pointer) for part in parts if "type" in part.schema]
        if not given:
            words = {word for part in parts for word in part.schema}
            implied = [kind for kind, found in _IMPLIED.items() if not words.isdisjoint(found.split())]
            return implied or (["string"] if name else ["string", "integer", "boolean"])
        allowed = set(TYPES)
        for kind, _ in given:
            each = {kind} if isinstance(kind, str) else set(kind)
            allowed &= each | ({"integer"} if "number" in each else set())
        if not allowed:
            said = " and ".join(f"{kind!r} ({pointer})" for kind, pointer in given)
            raise self._contradiction(
                f"{given[0][1]}/type", given[0][0], f"has nothing in common with the rest: {said}"
            )
        if "number" in allowed:
            allowed.discard("integer")
        return [kind for kind in TYPES if kind in allowed]


def _is_null(schema: Any) -> bool:
    return isinstance(schema, dict) and schema.get("type") == "null"
