"""A story that is told: who writes its events, which of them there are, and when each is due."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final, Literal, Protocol, TypeAlias, runtime_checkable

from mockforge_nb.errors import GeneratorError, OptionError

from .context import Context
from .message import to_json
from .program import Payload
from .rules import one_message
from .template import TextTemplate
from .tokens import rfc3339

COUNTERS: Final = ("count", "sequence", "events_generated")
"""The names that a condition may read."""

STARVED: Final = "starved"
"""What the traffic's column `fault` says of an event that was late because it was not written in time."""


class Author(Protocol):
    """Writes the events of one story, and goes on with it each time that it is asked again."""

    def write(self, count: int) -> AsyncIterator[Any]:
        """Write the next events, each a JSON value, text or bytes.

        Args:
            count: How many.

        Raises:
            GeneratorError: It cannot.
        """
        ...


MakeAuthor: TypeAlias = Callable[[str], Author]
"""Returns who writes the events of a narrative."""


# Which events there are


@dataclass(frozen=True, slots=True)
class Condition:
    """Something that happens to a story once an expression is true.

    Attributes:
        name: What errors call it.
        expression: What must be true: an expression over `COUNTERS`.
        kind: What happens.
        value: The new rate (events a second), or the narrative that it goes on with.
    """

    name: str
    expression: TextTemplate
    kind: Literal["generate_event", "stop", "change_rate", "transition_scenario"]
    value: float | str | None = None

    def holds(self, told: int) -> bool:
        """Return whether it is true after so many events.

        Raises:
            GeneratorError: The expression fails.
        """
        try:
            return bool(self.expression.value(Context(names=dict.fromkeys(COUNTERS, told))))
        except Exception as error:
            raise GeneratorError(f"condition {self.name!r} failed after {told} events: {error}") from error


@dataclass(frozen=True, slots=True)
class Moment:
    """An event that is to be written.

    Attributes:
        number: Its number, from 0.
        ms: Its time after the first event (ms), the same on every run.
        narrative: What it is about.
    """

    number: int
    ms: float
    narrative: str


@dataclass(frozen=True, slots=True)
class Course:
    """Which events a story has.

    Attributes:
        narrative: What it is about when it begins.
        rate: How many events a second; None: at the times of `at`, or as fast as they are written.
        most: How many there are at most; None: any number.
        lasts_ms: How long it lasts; None: until there are no more.
        conditions: What is looked at before each event, in order.
        conditional: Whether there is an event only where a condition generates one; it ends where none does, as
            nothing would change any more.
        at: The times (ms) of the events that it varies; None: there are none.
    """

    narrative: str
    rate: float | None = 1.0
    most: int | None = None
    lasts_ms: float | None = None
    conditions: tuple[Condition, ...] = ()
    conditional: bool = False
    at: Sequence[float] | None = None

    def moments(self) -> Iterator[Moment]:
        """Yield the events; each is decided on when it is asked for.

        Raises:
            GeneratorError: A condition fails.
        """
        rate, narrative = self.rate, self.narrative
        told, ms = 0, 0.0
        since, since_ms = 0, 0.0  # the event from which on the rate holds
        while True:
            times = 0 if self.conditional else 1
            for one in self.conditions:
                if not one.holds(told):
                    continue
                if one.kind == "stop":
                    return
                if one.kind == "generate_event":
                    times += 1
                elif one.kind == "transition_scenario":
                    narrative = str(one.value)
                elif one.value != rate:
                    assert isinstance(one.value, float)
                    rate, since, since_ms = one.value, max(0, told - 1), ms
            if not times:
                return
            for _ in range(times):
                if self._over(told):
                    return
                if rate is not None:
                    ms = since_ms + (told - since) * 1000 / rate
                elif self.at is not None:
                    ms = self.at[told] - self.at[0]
                if self.lasts_ms is not None and round(ms, 6) >= self.lasts_ms:
                    return
                yield Moment(told, ms, narrative)
                told += 1

    def _over(self, told: int) -> bool:
        return (self.most is not None and told >= self.most) or (self.at is not None and told >= len(self.at))


# What is sent


@dataclass(frozen=True, slots=True)
class Dated:
    """An event in an envelope that says when it was sent: ``{"type", "timestamp", "sequence", "data"}``.

    Attributes:
        type: The event's type.
        sequence: Its number, from 1.
        data: The event as JSON text.
    """

    type: str
    sequence: int
    data: str

    def at(self, time_ns: int) -> Payload:
        """Return the message at a time (UTC ns)."""
        time = rfc3339(time_ns // 1_000_000)
        head = f'{{"type":{to_json(self.type)},"timestamp":"{time}","sequence":{self.sequence}'
        return Payload("text", f'{head},"data":{self.data}}}')


@dataclass(slots=True, eq=False)
class Told:
    """An event that is written.

    Attributes:
        number: Its number, from 0.
        ms: As in `Moment`.
        answer: What is sent.
        waited: Whether somebody waited for it to be written.
        due: When it is due, on the driver's clock (s); None: that is not known yet.
        starved: Whether it is late because it was not written in time.
    """

    number: int
    ms: float
    answer: Payload | Dated
    waited: bool = False
    due: float | None = None
    starved: bool = False


def told(moment: Moment, event: Any, envelope: str | None) -> Told:
    """Return an event as it is sent.

    Args:
        moment: Which event it is.
        event: What was written.
        envelope: The type that its envelope says; None: it has none.

    Raises:
        GeneratorError: It has no JSON form.
    """
    try:
        if envelope is None:
            return Told(moment.number, moment.ms, one_message(event, "narrate()"))
        data = to_json(event)
        data.encode()  # half a character ("\ud800") has no form on the wire
        return Told(moment.number, moment.ms, Dated(envelope, moment.number + 1, data))
    except (OptionError, TypeError, ValueError, RecursionError) as error:
        problem = f"has no JSON form: {error}; what writes it must give JSON values"
        raise GeneratorError(f"narrate(): event {moment.number + 1} of the story {problem}") from error


class Pace:
    """Keeps the rate of a story from its first event on; one for all connections that are told it together.

    An event that is written later than it is due leaves at once, and the next ones keep their distance from it, so
    that what was late does not come as a burst.

    Attributes:
        told: How many events were told; who comes later begins there.
    """

    __slots__ = ("_due", "_ms", "told")

    def __init__(self) -> None:
        self.told = 0
        self._due: float | None = None
        self._ms = 0.0

    def rest(self) -> None:
        """Take note that nobody listened: the next event is late for nobody."""
        self._due = None

    def set(self, one: Told, now: float) -> float:
        """Return when an event is due that somebody could have at `now` (s); it is decided once, and in order."""
        if one.due is None:
            due = now
            if self._due is not None:
                gap = (one.ms - self._ms) / 1000
                wanted = self._due + gap
                one.starved = one.waited and gap > 0 and now > wanted
                # One that was written in time may still be late, for a client that reads slowly.
                due = now if one.starved or wanted < now - gap else wanted
            one.due, self._due, self._ms = due, due, one.ms
        return one.due

    def tell(self, one: Told) -> None:
        """Take note that an event is told."""
        self.told = max(self.told, one.number + 1)


@runtime_checkable
class Paced(Protocol):
    """What gives the events of a story, at its pace."""

    @property
    def pace(self) -> Pace:
        """What keeps its rate."""
        ...
