"""What the words of `mockforge_nb.fields` say, as data; `fake` makes values of them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, TypeAlias


@dataclass(frozen=True, slots=True)
class Const:
    """Always the same value, a text that names a provider among them.

    Attributes:
        value: The value.
    """

    value: Any


@dataclass(frozen=True, slots=True)
class Choice:
    """One of several values.

    Attributes:
        values: The values.
        weights: How likely each is, as they compare; None: all the same.
    """

    values: tuple[Any, ...]
    weights: tuple[float, ...] | None = None


@dataclass(frozen=True, slots=True)
class Maybe:
    """A field that is not always there.

    Attributes:
        field: What is there.
        probability: How often, 0 to 1.
        null: Whether the key is null otherwise, and not left out.
    """

    field: Any
    probability: float = 0.5
    null: bool = False


@dataclass(frozen=True, slots=True)
class Unique:
    """A field no value of which comes twice.

    Attributes:
        field: What makes the values.
    """

    field: Any


@dataclass(frozen=True, slots=True)
class Many:
    """A list of any length of a range.

    Attributes:
        field: What makes its entries.
        low: The least length.
        high: The greatest.
    """

    field: Any
    low: int
    high: int


@dataclass(frozen=True, slots=True)
class Recurring:
    """A few values that come again and again.

    Attributes:
        field: What makes them.
        size: How many there are.
    """

    field: Any
    size: int = 10


@dataclass(frozen=True, slots=True)
class Walk:
    """A number that goes up and down by a little from message to message.

    Attributes:
        start: The first.
        step: By how much at most the next one differs.
        low: The least; None: there is none.
        high: The greatest; None: there is none.
        digits: How many digits after the point it has.
    """

    start: float = 100.0
    step: float = 1.0
    low: float | None = None
    high: float | None = None
    digits: int = 2


@dataclass(frozen=True, slots=True)
class Counter:
    """A number that counts the messages.

    Attributes:
        start: The first.
        step: By how much the next one is greater.
    """

    start: int = 1
    step: int = 1


Word: TypeAlias = Const | Choice | Maybe | Unique | Many | Recurring | Walk | Counter
