"""Words for the fields of made-up messages, where the name of a Faker provider does not say enough.

    from mockforge_nb import Script, fields

    Script.from_faker({
        "type": fields.const("trade"),
        "id": fields.counter(),
        "account": fields.recurring("iban", size=20),
        "side": fields.choice({"buy": 3, "sell": 1}),
        "price": fields.walk(start=100, step=0.5, low=1),
        "note": fields.maybe("sentence", probability=0.1),
    })

Wherever a word takes a field, that is anything that stands for one: a provider's name, a dict of fields, a list, a
constant, a function, a type, another word.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Iterable, Mapping
from typing import Any

from .errors import OptionError
from .generators.fakes.words import Choice, Const, Counter, Many, Maybe, Recurring, Unique, Walk

_HUGE = 1e300

__all__ = ["choice", "const", "counter", "many", "maybe", "recurring", "unique", "walk"]


def const(value: Any) -> Const:
    """Say that a field has always this value.

    Args:
        value: Anything with a JSON form. A text is sent as it stands: it names no provider and is no template.

    Example:
        >>> Script.from_faker({"type": fields.const("trade")}, n=1).preview()["message"].tolist()
        ['{"type":"trade"}']
    """
    return Const(value)


def choice(values: Iterable[Any] | Mapping[Any, float], *, weights: Iterable[float] | None = None) -> Choice:
    """Say that a field has one of these values.

    Args:
        values: The values, or a mapping of each to its weight. Texts are texts here; a word among the values is made.
        weights: How likely each value is, as they compare: ``[3, 1]`` is three of one to one of the other.

    Raises:
        OptionError: There are no values, or the weights do not fit them.

    Example:
        >>> script = Script.from_faker({"side": fields.choice({"buy": 3, "sell": 1})}, n=100, seed=1)
        >>> sorted({step.payload.value["side"] for step in script})
        ['buy', 'sell']
    """
    if isinstance(values, Mapping):
        if weights is not None:
            raise OptionError("choice(weights=)", weights, "is said twice", "the mapping has weights already")
        weights = values.values()
    elif isinstance(values, (str, bytes)) or not isinstance(values, Iterable):
        raise OptionError("choice()", values, "is no list of values", f"such as choice([{values!r}])")
    elif isinstance(values, (set, frozenset)):
        raise OptionError("choice()", values, "has no order, so a seed would not settle it", "use a list")
    chosen = tuple(values)
    if not chosen:
        raise OptionError("choice()", values, "is empty", "give at least one value")
    if weights is None:
        return Choice(chosen)
    if isinstance(weights, (str, bytes)) or not isinstance(weights, Iterable):
        raise OptionError("choice(weights=)", weights, "is no list of numbers", f"one for each of the {len(chosen)}")
    numbers = tuple(weights)
    for number in numbers:
        if not _is_number(number) or number < 0:
            raise OptionError("choice(weights=)", number, "is no number from 0 on")
    if len(numbers) != len(chosen):
        raise OptionError("choice(weights=)", list(numbers), f"are {len(numbers)} for {len(chosen)} values")
    if not sum(numbers) or not math.isfinite(sum(numbers)):
        raise OptionError("choice(weights=)", list(numbers), "choose nothing", "at least one is greater than 0")
    return Choice(chosen, numbers)


def maybe(field: Any, probability: float = 0.5, *, null: bool = False) -> Maybe:
    """Say that a key, or an entry of a list, is not always there.

    Args:
        field: What is there.
        probability: How often, 0 to 1.
        null: Whether it is null otherwise, and not left out.

    Raises:
        OptionError: The probability is none.

    Example:
        >>> schema = {"id": fields.counter(), "note": fields.maybe("word", probability=0.1)}
        >>> script = Script.from_faker(schema, n=100, seed=1)
        >>> sum("note" in step.payload.value for step in script) < 50
        True
    """
    if not _is_number(probability) or not 0 <= probability <= 1:
        raise OptionError("maybe(probability=)", probability, "is no number from 0 to 1")
    if not isinstance(null, bool):
        raise OptionError("maybe(null=)", null, "is neither True nor False")
    return Maybe(field, probability, null)


def unique(field: Any) -> Unique:
    """Say that no value of a field comes twice within a script; one that runs out of values is a GeneratorError.

    Args:
        field: What makes the values.

    Example:
        >>> script = Script.from_faker({"n": fields.unique(("pyint", {"min_value": 1, "max_value": 5}))}, n=5, seed=1)
        >>> sorted(step.payload.value["n"] for step in script)
        [1, 2, 3, 4, 5]
    """
    return Unique(field)


def many(field: Any, low: int, high: int) -> Many:
    """Say that a field is a list.

    Args:
        field: What makes its entries.
        low: How many there are at least.
        high: How many at most.

    Raises:
        OptionError: The lengths are none.

    Example:
        >>> script = Script.from_faker({"tags": fields.many("word", 2, 2)}, n=1, seed=1)
        >>> len(script[0].payload.value["tags"])
        2
    """
    for name, value in {"low": low, "high": high}.items():
        if not _is_whole(value) or value < 0:
            raise OptionError(f"many({name}=)", value, "is no whole number from 0 on")
    if low > high:
        raise OptionError("many()", (low, high), "goes from more to less", f"write many(…, {high}, {low})")
    return Many(field, low, high)


def recurring(field: Any, size: int = 10) -> Recurring:
    """Say that a field has few values, which come again and again: the ids of accounts, the names of rooms.

    Args:
        field: What makes the values.
        size: How many are made. Two may be the same unless `field` is ``unique(…)``.

    Raises:
        OptionError: The size is none.

    Example:
        >>> script = Script.from_faker({"account": fields.recurring("iban", size=3)}, n=100, seed=1)
        >>> len({step.payload.value["account"] for step in script}) <= 3
        True
    """
    if not _is_whole(size) or size < 1:
        raise OptionError("recurring(size=)", size, "is no whole number from 1 on")
    return Recurring(field, size)


def walk(
    start: float = 100.0, step: float = 1.0, low: float | None = None, high: float | None = None, *, digits: int = 2
) -> Walk:
    """Say that a field is a number that goes up and down from message to message: a price, a temperature.

    Args:
        start: The first, before it is rounded.
        step: By how much at most the next one differs.
        low: The least; a step that would go below it turns back.
        high: The greatest.
        digits: How many digits after the point it has, 0 to 15; `low` and `high` have no more. With 0 it is an int.

    Raises:
        OptionError: A number is none, or they contradict each other.

    Example:
        >>> script = Script.from_faker({"price": fields.walk(100, step=0.5, low=99, high=101)}, n=100, seed=1)
        >>> all(99 <= step.payload.value["price"] <= 101 for step in script)
        True
    """
    bounds = {name: value for name, value in {"low": low, "high": high}.items() if value is not None}
    for name, value in {"start": start, "step": step, **bounds}.items():
        if not _is_number(value):
            raise OptionError(f"walk({name}=)", value, "is no number")
        if abs(value) > _HUGE:
            raise OptionError(f"walk({name}=)", value, "is too great", f"the limit is {_HUGE:g}")
    if step < 0:
        raise OptionError("walk(step=)", step, "is less than 0", "it goes both ways anyway")
    if not _is_whole(digits) or not 0 <= digits <= 15:
        raise OptionError("walk(digits=)", digits, "is no whole number from 0 to 15")
    for name, value in bounds.items():
        if round(value, digits) != value:
            needed = next((each for each in range(digits, 16) if round(value, each) == value), None)
            way = "round it" if needed is None else f"write digits={needed}"
            raise OptionError(f"walk({name}=)", value, f"has more digits than digits={digits}", way)
    if low is not None and high is not None and low >= high:
        raise OptionError("walk()", (low, high), "has no room", "low is less than high")
    if (low is not None and start < low) or (high is not None and start > high):
        raise OptionError("walk(start=)", start, f"is not within low={low!r} and high={high!r}")
    return Walk(start, step, low, high, digits)


def counter(start: int = 1, step: int = 1) -> Counter:
    """Say that a field counts, as in 1, 2, 3.

    Args:
        start: The first.
        step: By how much the next one is greater; less than 0 counts down.

    Raises:
        OptionError: A number is not whole.

    Example:
        >>> script = Script.from_faker({"id": fields.counter(10, step=-5)}, n=3)
        >>> [step.payload.value["id"] for step in script]
        [10, 5, 0]
    """
    for name, value in {"start": start, "step": step}.items():
        if not _is_whole(value):
            raise OptionError(f"counter({name}=)", value, "is no whole number")
    return Counter(start, step)


def _is_whole(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _is_number(value: object) -> bool:
    return _is_whole(value) or (isinstance(value, float) and math.isfinite(value))


def __dir__() -> Collection[str]:
    return __all__
