"""What the ready feeds share: the rhythm of their messages, an agenda, weighted choices, people and checks."""

from __future__ import annotations

import heapq
import math
import random
import re
from abc import ABC, abstractmethod
from bisect import bisect
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from itertools import accumulate
from typing import Any, ClassVar, Final, Generic, TypeAlias, TypeVar

from mockforge_nb.errors import OptionError, nearest

AT: Final = "{{now}}"
"""What stands in a message where its own time goes; whoever plays the feed fills it in."""

Message: TypeAlias = dict[str, Any]
Events: TypeAlias = Iterator[tuple[float, Message]]
"""When each message is due (ms since the start, never less than the one before), and the message; endless."""

MOST_PEOPLE: Final = 10_000

T = TypeVar("T")


class Feed(ABC):
    """A feed's options, and what it says."""

    __slots__ = ()

    name: ClassVar[str]
    types: ClassVar[tuple[str, ...]]

    def events(self, seed: int) -> Events:
        """Return a new run of the feed: endless, and the same for the same seed.

        Raises:
            OptionError: The seed is no whole number.
        """
        return self._run(chance(self.name, seed))

    @abstractmethod
    def _run(self, rng: random.Random) -> Events:
        """Return a run that draws from `rng`."""


class Rhythm:
    """When things happen: gaps at random that come in waves, of which the mean is exactly the rate.

    A gap is exponential times a lognormal factor of mean 1 that remembers the one before, as in the ACD models of
    trading: short gaps follow short ones, and the mean does not move.

    Args:
        rng: Where chance comes from.
        rate: Messages a second.
        burst: How much the factor varies: the standard deviation of its logarithm; 0: a Poisson process.
        memory: How much of the factor's logarithm is kept from gap to gap, from 0 to below 1.
        smooth: Over how many gaps the number of messages is averaged, so that much at once is more a second.

    Attributes:
        now: The time (ms).
    """

    __slots__ = ("_burst", "_memory", "_messages", "_ms", "_rng", "_shift", "_smooth", "_step", "_wave", "now")

    def __init__(
        self, rng: random.Random, rate: float, *, burst: float = 0.6, memory: float = 0.85, smooth: int = 1
    ) -> None:
        self.now = 0.0
        self._rng, self._ms, self._burst, self._memory, self._smooth = rng, 1000.0 / rate, burst, memory, smooth
        self._step = burst * math.sqrt(1 - memory * memory)
        self._shift = burst * burst / 2
        self._wave = rng.gauss(0.0, burst)
        self._messages: float | None = None

    def next(self, messages: float = 1.0) -> float:
        """Advance the time to when the next thing happens, and return it (ms, to the microsecond).

        Args:
            messages: How many messages the gap stands for: those of the thing that happened before it.
        """
        if self._smooth > 1:
            self._messages = messages = (
                messages if self._messages is None else self._messages + (messages - self._messages) / self._smooth
            )
        self._wave = self._wave * self._memory + self._rng.gauss(0.0, self._step)
        factor = math.exp(self._wave - self._shift)
        self.now += self._rng.expovariate(1.0) * factor * messages * self._ms
        return round(self.now, 3)


class Agenda(Generic[T]):
    """What is still to come, in the order of its time; of two at once the one that was added first."""

    __slots__ = ("_added", "_heap")

    def __init__(self) -> None:
        self._heap: list[tuple[float, int, T]] = []
        self._added = 0

    def __len__(self) -> int:
        return len(self._heap)

    def add(self, ms: float, item: T) -> None:
        """Note what comes at a time."""
        self._added += 1
        heapq.heappush(self._heap, (ms, self._added, item))

    def due(self) -> float:
        """Return the time of the first; infinity: there is none."""
        return self._heap[0][0] if self._heap else math.inf

    def pop(self) -> tuple[float, T]:
        """Take out the first."""
        ms, _, item = heapq.heappop(self._heap)
        return ms, item


class Weighted(Generic[T]):
    """A choice of which some are likelier than others."""

    __slots__ = ("_items", "_last", "_sums")

    def __init__(self, items: Sequence[T], weights: Sequence[float]) -> None:
        self._items, self._sums, self._last = list(items), list(accumulate(weights)), len(items) - 1

    def pick(self, rng: random.Random) -> T:
        """Return one of them."""
        return self._items[bisect(self._sums, rng.random() * self._sums[-1], 0, self._last)]


def zipf(count: int, power: float = 1.0) -> list[float]:
    """Return weights as Zipf found them: the second is a half of the first, the third a third."""
    return [1.0 / rank**power for rank in range(1, count + 1)]


def around(rng: random.Random, median: float, spread: float) -> float:
    """Return a lognormal number: `median` is its median, `spread` the standard deviation of its logarithm."""
    return median * math.exp(rng.gauss(0.0, spread))


def chance(feed: str, seed: int) -> random.Random:
    """Return what a run of a feed draws from: the same for the same seed, different for each feed.

    Raises:
        OptionError: The seed is no whole number.
    """
    if isinstance(seed, bool) or not isinstance(seed, int):
        raise OptionError(f"{feed}(seed=)", seed, "is no whole number")
    return random.Random(f"{feed} {seed}")


@dataclass(frozen=True, slots=True)
class Person:
    """Somebody who takes part.

    Attributes:
        id: Who it is, in messages.
        name: As it is written.
        handle: As others type it; nobody else has it.
    """

    id: str
    name: str
    handle: str


def people(rng: random.Random, count: int, locale: str, prefix: str) -> list[Person]:
    """Return people with names of the locale; ids are the prefix and a number."""
    faker = fake(rng, locale)
    found, handles = [], set()
    for number in range(count):
        name = faker.name()
        handle = _handle(rng, name)
        if handle in handles:
            handle += str(number)
        while handle in handles:
            handle += "_"
        handles.add(handle)
        found.append(Person(f"{prefix}{1001 + number}", name, handle))
    return found


def _handle(rng: random.Random, name: str) -> str:
    """Return what somebody of this name may be called by others."""
    from faker.decode import unidecode

    words = re.findall("[a-z]{2,}", unidecode(name).lower()) or ["someone"]
    words = [word for word in words if word not in TITLES] or words
    first, last = words[0], words[-1]
    forms = (first, f"{first}.{last}", f"{first[0]}{last}", f"{first}{last[0]}", f"{first}_{rng.randrange(10, 100)}")
    return rng.choice(forms)


TITLES: Final = frozenset(
    ("mr", "mrs", "ms", "miss", "dr", "prof", "md", "phd", "dds", "dvm", "jr", "sr", "ii", "iii", "iv")
)


def fake(rng: random.Random, locale: str) -> Any:
    """Return a Faker generator that draws from `rng`."""
    from faker import Factory

    generator = Factory.create(locale)
    generator.random = rng
    return generator


def check_number(where: str, value: object, least: float, most: float) -> None:
    """Raise an OptionError unless `value` is a number within the bounds."""
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not least <= value <= most:
        raise OptionError(where, value, "is out of bounds", f"valid: a number from {least:g} to {most:,g}")


def check_rate(where: str, value: object) -> None:
    """Raise an OptionError unless `value` is a number of messages a second."""
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not 0.001 <= value <= 100_000:
        raise OptionError(where, value, "is no number of messages a second", "valid: a number from 0.001 to 100,000")


def check_count(where: str, value: object, most: int = MOST_PEOPLE) -> None:
    """Raise an OptionError unless `value` is a whole number from 1 to `most`."""
    if isinstance(value, bool) or not isinstance(value, int) or not 1 <= value <= most:
        raise OptionError(where, value, "is out of bounds", f"valid: a whole number from 1 to {most:,}")


def check_flag(where: str, value: object) -> None:
    """Raise an OptionError unless `value` is True or False."""
    if not isinstance(value, bool):
        raise OptionError(where, value, "is no switch", "valid: True or False")


def check_texts(where: str, values: object, valid: Collection[str] = ()) -> tuple[str, ...]:
    """Return a list of texts as a tuple.

    Args:
        where: The call and the argument.
        values: What the user gave.
        valid: All that there may be; anything, if there are none.

    Raises:
        OptionError: It is no list of texts, it is empty, a text comes twice or is not valid.
    """
    if isinstance(values, str):
        raise OptionError(where, values, "is one text", f"give a list: [{values!r}]")
    if not isinstance(values, Sequence) or not values:
        raise OptionError(where, values, "is no list of texts", "give one text or more")
    for index, each in enumerate(values):
        if not isinstance(each, str) or not each:
            raise OptionError(f"{where}[{index}]", each, "is no text")
        if valid and each not in valid:
            raise OptionError(f"{where}[{index}]", each, valid=tuple(valid))
        if each in values[:index]:
            raise OptionError(f"{where}[{index}]", each, "is there twice", "name each once")
    return tuple(values)


def check_locale(where: str, value: object) -> None:
    """Raise an OptionError unless Faker knows this locale, as ``"de_DE"``."""
    if value == "en_US":
        return  # known without a load of Faker
    from faker.config import AVAILABLE_LOCALES

    if not isinstance(value, str) or value not in AVAILABLE_LOCALES:
        shown = nearest(value, sorted(AVAILABLE_LOCALES)) or "; valid: those of Faker, such as 'en_US' or 'de_DE'"
        raise OptionError(where, value, f"is no locale that Faker knows{shown}")
