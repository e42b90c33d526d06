"""The nodes of what has parts: arrays and objects."""

from __future__ import annotations

import math
import random
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Any

from mockforge_nb.errors import GeneratorError

from .models import Model
from .nodes import DEPTH, OPTIONAL, Node, Wrapping
from .values import TRIES, Maker


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

    def redrawn(self, value: dict[str, Any], names: Collection[str], depth: int) -> dict[str, Any]:
        """Return a dict with the properties of these names made anew."""
        named = self._properties.named
        return {key: named[key].draw(depth) if key in names else each for key, each in value.items()}

    def names(self) -> Collection[str]:
        """Return the names of the properties that have one."""
        return self._properties.named.keys()

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


class Modelled(Wrapping):
    """Values that a model of pydantic takes; what it finds wrong with them is drawn again."""

    def __init__(self, pointer: str, inner: Node, model: Model, place: str) -> None:
        super().__init__(pointer, inner)
        self._model, self._place = model, place

    def draw(self, depth: int) -> Any:
        """Return a value that the model takes.

        Raises:
            GeneratorError: None was found.
        """
        wrong: list[Any] = []
        for trial in range(TRIES):
            # Now and then all is drawn anew: one field may be wrong for what another one is.
            value = self._again(wrong[-1], depth) if trial % 20 else self._inner.draw(depth)
            if self._model.fits(value):
                return value
            wrong.append(value)
        raise GeneratorError(f"{self._place}: {TRIES} draws gave no value that fits; {self._model.why(wrong)}")

    def _again(self, value: Any, depth: int) -> Any:
        names = self._model.wrong(value)
        if isinstance(self._inner, Object) and names and names <= value.keys() & self._inner.names():
            return self._inner.redrawn(value, names, depth)
        return self._inner.draw(depth)
