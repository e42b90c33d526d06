"""What draws the values of a JSON Schema: a graph of nodes, as schemas may contain themselves.

A node's height is how many levels its smallest value has. Where values have gone through themselves `DEPTH` times,
every choice is for what is lowest, so that each value ends; what has no height can never be finished.
"""

from __future__ import annotations

import copy
import math
import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Final

from mockforge_nb.errors import GeneratorError

from .values import TRIES, Maker

DEPTH: Final = 3
OPTIONAL: Final = 0.8
"""How often a property that is not required is there."""
NULL: Final = 0.2
"""How often a value is null that may be something else."""


class Node:
    """What draws values.

    Args:
        pointer: The JSON pointer to the schema.

    Attributes:
        height: How many levels its smallest value has; infinite: it never ends, or this is not known yet.
        loops: Whether its values may contain values of the same schema.
    """

    def __init__(self, pointer: str) -> None:
        self.pointer = pointer
        self.height = math.inf
        self.loops = False

    def parts(self) -> Sequence[Node]:
        """Return the nodes that it draws from."""
        return ()

    def measured(self) -> float:
        """Return its height, by the heights of its parts."""
        return 0

    def draw(self, depth: int) -> Any:
        """Return a value; `depth` is how often it is inside a value of a schema that contains itself."""
        raise NotImplementedError


def settle(nodes: Sequence[Node]) -> None:
    """Find the heights and the loops of nodes."""
    changed = True
    while changed:
        changed = False
        for node in nodes:
            height = node.measured()
            loops = isinstance(node, Loop) or any(part.loops for part in node.parts())
            if height != node.height or loops != node.loops:
                node.height, node.loops, changed = height, loops, True


class Leaf(Node):
    """A value without parts.

    Args:
        pointer: As of all nodes.
        make: What makes it.
    """

    def __init__(self, pointer: str, make: Maker) -> None:
        super().__init__(pointer)
        self._make = make

    def draw(self, depth: int) -> Any:
        """Return one."""
        return self._make()


class Never(Node):
    """A schema that no value fits: its height stays infinite, so that no choice is for it."""

    def measured(self) -> float:
        """Return no height."""
        return math.inf


class Picked(Node):
    """One of several values."""

    def __init__(self, pointer: str, rng: random.Random, values: Sequence[Any]) -> None:
        super().__init__(pointer)
        self._rng, self._values = rng, values

    def draw(self, depth: int) -> Any:
        """Return one of them, as a copy: a message is its owner's."""
        value = self._rng.choice(self._values)
        return copy.deepcopy(value) if isinstance(value, (dict, list)) else value


class Loop(Node):
    """A schema that contains itself.

    Args:
        pointer: As of all nodes.
        schema: The schema, for errors.

    Attributes:
        inner: What draws its values; set when it is made.
    """

    inner: Node

    def __init__(self, pointer: str, schema: Any) -> None:
        super().__init__(pointer)
        self.schema = schema

    def parts(self) -> Sequence[Node]:
        """Return the one."""
        return (self.inner,)

    def measured(self) -> float:
        """Return the height of the schema."""
        return self.inner.height

    def draw(self, depth: int) -> Any:
        """Return a value of the schema, one level deeper."""
        return self.inner.draw(depth + 1)


class Branches(Node):
    """One of several schemas."""

    def __init__(self, pointer: str, rng: random.Random, options: Sequence[Node], weights: Sequence[float]) -> None:
        super().__init__(pointer)
        self._rng, self._options, self._weights = rng, options, weights

    def parts(self) -> Sequence[Node]:
        """Return all of them."""
        return self._options

    def measured(self) -> float:
        """Return the height of the lowest."""
        return 1 + min(option.height for option in self._options)

    def draw(self, depth: int) -> Any:
        """Return a value of one of them; of the lowest when it is time to end."""
        if depth >= DEPTH and self.loops:
            return min(self._options, key=lambda option: option.height).draw(depth)
        weights = [w if o.height < math.inf else 0 for o, w in zip(self._options, self._weights, strict=True)]
        return self._rng.choices(self._options, weights)[0].draw(depth)


class Checked(Node):
    """A schema whose values cannot be made right by construction: they are drawn until one is right."""

    def __init__(self, pointer: str, inner: Node, fits: Callable[[Any], bool], place: str) -> None:
        super().__init__(pointer)
        self._inner, self._fits, self._place = inner, fits, place

    def parts(self) -> Sequence[Node]:
        """Return the one that is drawn from."""
        return (self._inner,)

    def measured(self) -> float:
        """Return its height."""
        return self._inner.height

    def draw(self, depth: int) -> Any:
        """Return a value that fits.

        Raises:
            GeneratorError: None was found.
        """
        for _ in range(TRIES):
            value = self._inner.draw(depth)
            if self._fits(value):
                return value
        raise GeneratorError(
            f"{self._place}: {TRIES} draws gave no value that fits; its keywords contradict each other, or leave so "
            f"little that it is better said by enum (the last draw was {value!r})"
        )


@dataclass(frozen=True, slots=True)
class Items:
    """What an array consists of.

    Attributes:
        prefix: The nodes of its first items.
        rest: The node of all others; None: there are none.
        low: How many there are at least.
        high: How many there are at most.
        unique: Whether no two are the same.
        special: A node of which there are `times` among the others; None: no such.
        times: How many.
    """

    prefix: tuple[Node, ...]
    rest: Node | None
    low: int
    high: int
    unique: bool = False
    special: Node | None = None
    times: int = 0


class Array(Node):
    """A list of values."""

    def __init__(self, pointer: str, rng: random.Random, items: Items, place: str) -> None:
        super().__init__(pointer)
        self._rng, self._items, self._place = rng, items, place

    def parts(self) -> Sequence[Node]:
        """Return the nodes of all positions."""
        items = self._items
        return (*items.prefix, *(node for node in (items.rest, items.special) if node is not None))

    def measured(self) -> float:
        """Return one more than the height of what it must have."""
        items = self._items
        needed = list(items.prefix[: items.low])
        if items.rest is not None and items.low > len(items.prefix):
            needed.append(items.rest)
        if items.special is not None:
            needed.append(items.special)
        return 1 + max((node.height for node in needed), default=0)

    def draw(self, depth: int) -> list[Any]:
        """Return a list.

        Raises:
            GeneratorError: There are not enough different items.
        """
        items = self._items
        length = items.low if depth >= DEPTH and self.loops else self._rng.randint(items.low, items.high)
        first = len(items.prefix)
        places = range(first, length)
        special = set(self._rng.sample(places, min(items.times, len(places)))) if items.special is not None else set()
        result: list[Any] = []
        seen: set[Any] = set()
        for position in range(length):
            node = items.special if position in special else items.prefix[position] if position < first else items.rest
            assert node is not None
            if node.height == math.inf:
                break  # only optional ones: the height of what must be there is known to end
            for _ in range(TRIES):
                value = node.draw(depth)
                key = _key(value) if items.unique else None
                if not items.unique or key not in seen:
                    break
            else:
                if position < items.low:
                    raise GeneratorError(
                        f"{self._place}: {TRIES} draws gave no {position + 1} different items; lower minItems, or "
                        "allow more values"
                    )
                break
            seen.add(key)
            result.append(value)
        return result


def _key(value: Any) -> Any:
    """Return what is the same for equal JSON values: 1 is 1.0, and not true."""
    if isinstance(value, bool):
        return ("bool", value)
    if isinstance(value, list):
        return ("list", *map(_key, value))
    if isinstance(value, dict):
        return ("dict", *((name, _key(each)) for name, each in sorted(value.items())))
    return value


@dataclass(frozen=True, slots=True)
class Extra:
    """Properties that a schema has no names for.

    Attributes:
        key: What draws a name.
        node: What draws the value.
    """

    key: Maker
    node: Node


@dataclass(frozen=True, slots=True)
class Properties:
    """What an object consists of.

    Attributes:
        named: The nodes of the properties that have names.
        required: Those that must be there.
        needs: For a property the others that must be there with it.
        low: How many there are at least.
        high: How many there are at most; None: any number.
        extras: What properties without names are made of; empty: there are none.
        wanted: How many of these there are at most, unless `low` needs more.
    """

    named: dict[str, Node]
    required: frozenset[str]
    needs: dict[str, tuple[str, ...]]
    low: int = 0
    high: int | None = None
    extras: tuple[Extra, ...] = ()
    wanted: int = 0

    def closed(self, names: set[str]) -> set[str]:
        """Return names together with all that they need."""
        waiting = list(names)
        found = set(names)
        while waiting:
            for name in self.needs.get(waiting.pop(), ()):
                if name not in found:
                    found.add(name)
                    waiting.append(name)
        return found


class Object(Node):
    """A dict of values."""

    def __init__(self, pointer: str, rng: random.Random, properties: Properties, place: str) -> None:
        super().__init__(pointer)
        self._rng, self._properties, self._place = rng, properties, place
        self._always = properties.closed(set(properties.required))
        self._optional = [name for name in properties.named if name not in self._always]

    def parts(self) -> Sequence[Node]:
        """Return the nodes of all properties."""
        return (*self._properties.named.values(), *(extra.node for extra in self._properties.extras))

    def measured(self) -> float:
        """Return one more than the height of what it must have."""
        properties = self._properties
        needed = [properties.named[name].height for name in self._always if name in properties.named]
        more = properties.low - len(self._always)
        if more > 0:
            heights = sorted(properties.named[name].height for name in self._optional)
            heights += [extra.node.height for extra in properties.extras] * more
            needed += sorted(heights)[:more]
        return 1 + max(needed, default=0)

    def draw(self, depth: int) -> dict[str, Any]:
        """Return a dict, its properties in the order of the schema.

        Raises:
            GeneratorError: There are not enough names for its properties.
        """
        properties, rng = self._properties, self._rng
        chosen = self._chosen(ending=depth >= DEPTH and self.loops)
        result = {name: node.draw(depth) for name, node in properties.named.items() if name in chosen}
        extras = [extra for extra in properties.extras if extra.node.height < math.inf]
        count = properties.low - len(result)
        if properties.wanted and not (depth >= DEPTH and self.loops):
            most = (
                properties.wanted if properties.high is None else min(properties.wanted, properties.high - len(result))
            )
            count = max(count, rng.randint(min(1, max(most, 0)), max(most, 0)))
        if count > 0 and extras:
            self._add(result, extras, count, depth)
        return result

    def _chosen(self, *, ending: bool) -> set[str]:
        properties, rng = self._properties, self._rng
        possible = [name for name in self._optional if properties.named[name].height < math.inf]
        chosen = set(self._always)
        if not ending:
            chosen |= {name for name in possible if rng.random() < OPTIONAL}
            chosen = properties.closed(chosen)
        missing = [name for name in possible if name not in chosen]
        if len(chosen) < properties.low:
            rng.shuffle(missing)
            missing.sort(key=lambda name: properties.named[name].height if ending else 0)
            while missing and len(chosen) < properties.low:
                chosen = properties.closed(chosen | {missing.pop(0)})
        if properties.high is not None and len(chosen) > properties.high:
            # What others need goes last.
            spare = [name for name in possible if name in chosen]
            rng.shuffle(spare)
            for name in spare:
                if len(chosen) > properties.high and properties.closed(chosen - {name}) == chosen - {name}:
                    chosen.remove(name)
        return chosen

    def _add(self, result: dict[str, Any], extras: list[Extra], count: int, depth: int) -> None:
        for _ in range(TRIES + count):
            extra = self._rng.choice(extras)
            name = str(extra.key())
            if name not in result and name not in self._properties.named:
                result[name] = extra.node.draw(depth)
                count -= 1
            if not count:
                return
        if len(result) < self._properties.low:
            raise GeneratorError(
                f"{self._place}: there are names for {len(result)} properties only; lower minProperties, or allow more"
            )
