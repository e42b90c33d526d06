"""What makes the fields of messages, once a schema was read: bound to random numbers and to what fields remember.

Where a function of the user's fails, the dict or the list around it says which field it was: until then it costs
nothing, as no path is made for what goes well.
"""

from __future__ import annotations

import copy
import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, TypeAlias, TypeVar

from mockforge_nb.errors import GeneratorError
from mockforge_nb.generators.forms import to_bytes

from .values import Maker, Providers
from .words import Counter, Many, Walk

if TYPE_CHECKING:
    from faker import Generator

T = TypeVar("T")

MISSING: Final = object()
"""What a field is that is left out."""

_DRAWS: Final = 1000
"""How often a value is drawn that has not been there yet."""


_FAR: Final = 1e307
"""Where a walk without bounds turns back: beyond are no floats."""


class FieldError(Exception):
    """What a field of the user's raised.

    Args:
        path: The field's path.
        error: What it raised.
    """

    def __init__(self, path: str, error: Exception) -> None:
        super().__init__(path)
        self.path, self.error = path, error


_PASSED: Final = (FieldError, GeneratorError)
"""What says where it was already."""


@dataclass(frozen=True, slots=True)
class Run:
    """What one iteration draws from, in one locale.

    Attributes:
        locale: The locale.
        rng: The random numbers, those of `generator` and of the other locales too.
        generator: Faker's.
        providers: Its providers' methods.
        states: What fields remember, by their paths; all locales share it.
    """

    locale: str
    rng: random.Random
    generator: Generator
    providers: Providers
    states: dict[str, Any]

    def state(self, path: str, make: Callable[[], T]) -> T:
        """Return what the field of a path remembers."""
        found: T = self.states.setdefault(path, make())
        return found


Bind: TypeAlias = Callable[[Run], Maker]
"""A field that was read: given a run it returns what makes its values."""


def where(path: str) -> str:
    """Return what errors call a field."""
    return f"field {path}" if path else "schema"


def below(path: str, key: str) -> str:
    """Return the path of a field within a dict."""
    return f"{path}.{key}" if path else key


def dict_of(binds: Sequence[tuple[str, Bind]], path: str) -> Bind:
    """Return a dict of fields, without those that are left out."""

    def bind(run: Run) -> Maker:
        makers = tuple((key, each(run)) for key, each in binds)

        def made() -> dict[str, Any]:
            result = {}
            key = ""
            try:
                for key, make in makers:
                    value = make()
                    if value is not MISSING:
                        result[key] = value
            except _PASSED:
                raise
            except Exception as error:
                raise FieldError(below(path, key), error) from error
            return result

        return made

    return bind


def list_of(binds: Sequence[Bind], path: str) -> Bind:
    """Return a list of fields, without those that are left out."""

    def bind(run: Run) -> Maker:
        makers = [each(run) for each in binds]

        def made() -> list[Any]:
            result = []
            position = 0
            try:
                for position in range(len(makers)):
                    value = makers[position]()
                    if value is not MISSING:
                        result.append(value)
            except _PASSED:
                raise
            except Exception as error:
                raise FieldError(f"{path}[{position}]", error) from error
            return result

        return made

    return bind


def many_of(inner: Bind, word: Many, path: str) -> Bind:
    """Return a list of any length of a range."""

    def bind(run: Run) -> Maker:
        make, length, low, high = inner(run), run.rng.randint, word.low, word.high

        def made() -> list[Any]:
            try:
                return [value for _ in range(length(low, high)) if (value := make()) is not MISSING]
            except _PASSED:
                raise
            except Exception as error:
                raise FieldError(f"{path}[*]", error) from error

        return made

    return bind


def unique_of(inner: Bind, path: str, name: str) -> Bind:
    """Return a field no value of which comes twice; `name` is what errors call the script."""

    def bind(run: Run) -> Maker:
        make = inner(run)
        seen: set[bytes] = run.state(f"{path} unique", set)

        def unique() -> Any:
            for _ in range(_DRAWS):
                value = make()
                key = to_bytes(value)
                if key not in seen:
                    seen.add(key)
                    return value
            raise GeneratorError(
                f"{name}: {where(path)}: {_DRAWS} draws gave no value that was not there before; it has had "
                f"{len(seen)} different ones: make fewer messages, or give it more values"
            )

        return unique

    return bind


def recurring_of(inner: Bind, size: int, path: str) -> Bind:
    """Return a field of so many values that come again and again."""

    def bind(run: Run) -> Maker:
        make = inner(run)
        pool: list[Any] = run.state(f"{path} recurring", list)

        def recurring() -> Any:
            if not pool:
                pool.extend([make() for _ in range(size)])
            value = run.rng.choice(pool)
            return copy.deepcopy(value) if isinstance(value, (dict, list)) else value

        return recurring

    return bind


def walk_of(word: Walk, path: str) -> Bind:
    """Return a number that goes up and down."""

    def bind(run: Run) -> Maker:
        state: list[float] = run.state(f"{path} walk", lambda: [float(word.start)])
        low = -_FAR if word.low is None else float(word.low)
        high = _FAR if word.high is None else float(word.high)
        digits = word.digits or None  # round() makes an int of a float only so

        def walk() -> float:
            value = state[0]
            after = value + run.rng.uniform(-word.step, word.step)
            after = 2 * low - after if after < low else 2 * high - after if after > high else after
            state[0] = min(max(after, low), high)
            return round(value, digits)

        return walk

    return bind


def counter_of(word: Counter, path: str) -> Bind:
    """Return a number that counts."""

    def bind(run: Run) -> Maker:
        state: list[int] = run.state(f"{path} counter", lambda: [word.start])

        def count() -> int:
            state[0] += word.step
            return state[0] - word.step

        return count

    return bind
