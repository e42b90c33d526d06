"""What draws the values of a JSON Schema: a graph of nodes, as schemas may contain themselves.

A node's height is how many levels its smallest value has. Where values have gone through themselves `DEPTH` times,
every choice is for what is lowest, so that each value ends; what has no height can never be finished.
"""

from __future__ import annotations

import copy
import math
import random
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from typing import Any, Final, NoReturn

from mockforge_nb.errors import GeneratorError

from .values import TRIES, Maker

DEPTH: Final = 3
OPTIONAL: Final = 0.8
"""How often a property that is not required is there."""
NULL: Final = 0.2
"""How often a value is null that may be something else."""


class Node(ABC):
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

    @abstractmethod
    def draw(self, depth: int) -> Any:
        """Return a value; `depth` is how often it is inside a value of a schema that contains itself."""


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

    def draw(self, depth: int) -> NoReturn:
        """Fail: who draws from it has overlooked its height."""
        raise AssertionError(f"{self.pointer}: there is no value")


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


class Wrapping(Node):
    """Values that another node draws, as far as they are right.

    Args:
        pointer: As `Node` has it.
        inner: The other node.
    """

    def __init__(self, pointer: str, inner: Node) -> None:
        super().__init__(pointer)
        self._inner = inner

    def parts(self) -> Sequence[Node]:
        """Return the one that is drawn from."""
        return (self._inner,)

    def measured(self) -> float:
        """Return its height."""
        return self._inner.height


class Checked(Wrapping):
    """A schema whose values cannot be made right by construction: they are drawn until one is right.

    Args:
        pointer: As of all nodes.
        inner: The node that is drawn from.
        fits: Whether a value is right.
        place: What errors call the schema.
    """

    def __init__(self, pointer: str, inner: Node, fits: Callable[[Any], bool], place: str) -> None:
        super().__init__(pointer, inner)
        self._fits, self._place = fits, place

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


class Encoded(Node):
    """A text with a value of another schema in it."""

    def __init__(self, pointer: str, inner: Node, encode: Callable[[Any], str]) -> None:
        super().__init__(pointer)
        self._inner, self._encode = inner, encode

    def parts(self) -> Sequence[Node]:
        """Return the node of the value."""
        return (self._inner,)

    def measured(self) -> float:
        """Return one more than the height of the value."""
        return 1 + self._inner.height

    def draw(self, depth: int) -> str:
        """Return the text of a value."""
        return self._encode(self._inner.draw(depth))
