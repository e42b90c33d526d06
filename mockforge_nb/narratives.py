"""What an author says of a story that is told while it is written, checked: for `Mock.narrate`."""

from __future__ import annotations

import json
import time
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final, Literal

from .augmentation import (
    DEFAULT_COUNT,
    EventStrategy,
    ReplayAugmentationConfig,
    WebSocketAiConfig,
    check_switch,
    in_range,
)
from .core.context import Context
from .core.message import TEXT, to_json
from .core.narrative import Author, Course, MakeAuthor, Moment, Told, told
from .core.plan import Silent, Stream
from .core.rules import Call
from .errors import GeneratorError, OptionError
from .replays import Played, check_then, played
from .script import Script

Then = Literal["hold", "close"]

SAID_BY_CONFIG: Final[Mapping[str, object]] = {
    "events": 100, "rate": 1.0, "schema": None, "model": "local", "event_type": None, "envelope": False,
    "evolve": True, "base_url": None, "api_key": None,
}  # fmt: skip
"""The options that a config has itself, and what they are unless said."""

OF_MODEL: Final = ("seed", "temperature", "repeats", "retries", "timeout")
BATCH, LOCAL_BATCH = 10, 2
SHOWN_BEFORE = 3
"""How many of the last events an author is shown who goes on with somebody else's story."""


@dataclass(frozen=True, slots=True, eq=False)
class Tale:
    """A story that is told: which events it has, what their authors are asked, and how they are sent.

    Attributes:
        course: Which events it has.
        batch: How many are written ahead.
        envelope: The type that an event's envelope says; None: it has none.
        evolve: Whether who takes over is told what happened before.
        base: The messages that it varies, JSON values; None: there are none.
    """

    course: Course
    batch: int
    envelope: str | None = None
    evolve: bool = True
    base: tuple[Any, ...] | None = None

    @property
    def anew(self) -> bool:
        """Whether each batch has an author of its own, who is shown the messages that it varies."""
        return self.base is not None

    def moments(self) -> Iterator[Moment]:
        """Return the events that there are."""
        return self.course.moments()

    def prompt(self, moments: list[Moment], before: list[Any]) -> str:
        """Return what is said to who is to write these events, after those that were written last."""
        parts = [moments[0].narrative]
        if self.base is not None:
            varied = "\n".join(to_json(self.base[each.number]) for each in moments)
            parts.append(
                "Enrich and vary these events so that they fit the scenario: for each one of them, in this order, "
                f"one event. What you do not name stays as it is.\n{varied}"
            )
        if before and self.evolve:
            shown = "\n".join(map(_shortly, before[-SHOWN_BEFORE:]))
            parts.append(f"The story goes on from what happened before. The last events were:\n{shown}")
        return "\n\n".join(parts)

    def finish(self, moment: Moment, event: Any) -> tuple[Told, Any]:
        """Return what is sent for a written event, and the event: of a message that is varied, with what it keeps.

        Raises:
            GeneratorError: It cannot be sent.
        """
        if self.base is not None:
            kept = self.base[moment.number]
            if isinstance(kept, Mapping) and isinstance(event, Mapping):
                event = {**kept, **event}
        return told(moment, event, self.envelope), event


def _shortly(event: Any) -> str:
    text = json.dumps(event, ensure_ascii=False, default=str)
    return text if len(text) <= 300 else text[:299] + "…"


@dataclass(frozen=True, slots=True, eq=False)
class Narrated:
    """A story, who writes it, and to whom it is told.

    Attributes:
        tale: The story.
        author: Makes who writes it.
        shared: Whether all connections are told one story.
        then: What follows its last event.
    """

    tale: Tale
    author: MakeAuthor
    shared: bool = False
    then: Then = "hold"

    def now(self) -> Stream:
        """Return what is served: a story that begins anew."""
        from .wire.telling import Telling

        if not self.shared:
            return Stream(lambda _: Telling(self.tale, self.author).listen(), then=self.then, paced=True)
        telling = Telling(self.tale, self.author)
        return Stream(lambda _: telling.listen(), then=self.then, paced=True)


def narrated(narrative: object, options: Mapping[str, Any]) -> Narrated | Played | Silent:
    """Return what `Mock.narrate` says; options, errors and warnings are those of it."""
    then, shared = options["then"], options["shared"]
    check_then(then, "narrate(then=)")
    for name in ("shared", "envelope", "evolve", "repeats"):
        check_switch(options[name], f"narrate({name}=)")
    if not isinstance(narrative, (ReplayAugmentationConfig, WebSocketAiConfig)):
        return Narrated(*_told_by_options(narrative, options), shared, then)
    for name, unsaid in SAID_BY_CONFIG.items():
        if options[name] != unsaid or type(options[name]) is not type(unsaid):
            shown = "***" if name == "api_key" else options[name]
            raise OptionError(f"narrate({name}=)", shown, "is what a config says itself", "give it to the config")
    most: int | None = None
    if isinstance(narrative, WebSocketAiConfig):
        if not narrative.is_enabled:
            return Silent()
        most = _count(narrative.max_events, "WebSocketAiConfig(max_events=)")
        narrative = narrative.merged()
    if narrative.resolved_mode() == "static":
        return _static(narrative, most, shared=shared, then=then)
    return Narrated(*of_config(narrative, most, options, "narrate"), shared, then)


def _told_by_options(narrative: object, options: Mapping[str, Any]) -> tuple[Tale, MakeAuthor]:
    if not isinstance(narrative, str) or not narrative.strip():
        raise OptionError("narrate()", narrative, "tells nothing", 'narrate("Simulate a live chat conversation")')
    rate, kind = options["rate"], options["event_type"]
    if rate is not None and not in_range(rate):
        raise OptionError("narrate(rate=)", rate, "is no number of events a second greater than 0")
    if kind is not None and (not isinstance(kind, str) or not kind):
        raise OptionError("narrate(event_type=)", kind, "is no text")
    most = _count(options["events"], "narrate(events=)")
    course = Course(narrative.strip(), None if rate is None else float(rate), most)
    batch = _batch(options["batch"], options["model"], options["author"], "narrate")
    tale = Tale(course, batch, (kind or "event") if options["envelope"] else None, options["evolve"])
    wanted = {name: options[name] for name in ("schema", "model", "evolve", "base_url", "api_key", *OF_MODEL)}
    wanted["event_type"] = _in_event(kind, options["schema"], envelope=options["envelope"])
    return tale, author_of(options["author"], tale, wanted, "narrate")


def of_config(
    config: ReplayAugmentationConfig, most: int | None, options: Mapping[str, Any], call: str
) -> tuple[Tale, MakeAuthor]:
    """Return the story that a config describes, and who writes it.

    Args:
        config: The config.
        most: How many events there are at most, whatever it says; None: any number.
        options: The `author`, `batch` and what goes to the model, as in `Mock.narrate`.
        call: What errors call the call.

    Raises:
        OptionError: Something in it is wrong or does not fit the rest.
    """
    mode, strategy = config.resolved_mode(), config.resolved_strategy()
    conditions = config.parsed_conditions(strategy)
    if mode == "static":
        _check_static(config, strategy)
    at: list[float] | None = None
    base: tuple[Any, ...] | None = None
    if mode != "generated":
        at, base = _messages(config.replay, literal=mode == "static")
    rate = config.event_rate
    if rate is None and at is None:
        rate = 1.0
    count = config.event_count
    if count is None and strategy == "count_based" and at is None:
        count = DEFAULT_COUNT
    course = Course(
        narrative=(config.narrative or "").strip(),
        rate=None if rate is None else float(rate),
        most=min((each for each in (count, most) if each is not None), default=None),
        lasts_ms=float(config.duration_secs or 0) * 1000 if strategy == "time_based" else None,
        conditions=conditions,
        conditional=strategy == "condition_based",
        at=at,
    )
    if mode == "static":
        assert base is not None
        recited = base
        return Tale(course, BATCH), lambda _: Reciting(recited)
    model = config.resolved_model()
    batch = _batch(options["batch"], model, options["author"], call)
    tale = Tale(course, batch, config.event_type, config.progressive_evolution, base)
    schema = config.schema()
    if schema is None and base is not None:
        schema = [each for each in base if isinstance(each, Mapping) and each][:BATCH] or None
    wanted = {
        "schema": schema, "model": model, "evolve": config.progressive_evolution, "base_url": config.base_url,
        "api_key": config.api_key, "event_type": _in_event(config.event_type, schema, envelope=True),
        **{name: options[name] for name in OF_MODEL},
    }  # fmt: skip
    return tale, author_of(options["author"], tale, wanted, call)


def _in_event(kind: str | None, schema: object, *, envelope: bool) -> str | None:
    """Return the type that the model is told; what the envelope says need not stand in the event, too."""
    return None if envelope and schema is None else kind


# Who writes


def author_of(given: object, tale: Tale, wanted: Mapping[str, Any], call: str) -> MakeAuthor:
    """Return what makes who writes a story: what was given, or a language model.

    Args:
        given: A function of the narrative, or of nothing; None: a model is wanted. What it returns is looked at when
            the story is told.
        tale: The story.
        wanted: The model, and what it is told beside the narrative.
        call: What errors call the call.

    Raises:
        OptionError: It is no function, or the model cannot be had as it is wanted.
        GeneratorError: A package is not installed.
    """
    from .generators.llm.wishes import Wishes
    from .generators.llm.writer import Writer

    options = {name: wanted[name] for name in ("seed", "temperature", "retries", "timeout", "evolve")}
    course = tale.course

    def make(narrative: str) -> Writer:
        from .generators.llm.models import Chosen

        wishes = Wishes.of(
            narrative, schema=wanted["schema"], event_type=wanted["event_type"], rate=course.rate, total=course.most,
            repeats=wanted["repeats"], call=call,
        )  # fmt: skip
        chosen = Chosen("local")
        if given is None:
            chosen = Chosen(wanted["model"], base_url=wanted["base_url"], api_key=wanted["api_key"], call=call)
        return Writer(wishes, chosen, batch=tale.batch, call=call, **options)

    if given is not None:
        if not callable(given):
            valid = "valid: a class or function of the narrative that returns what has `async def write(self, count)`"
            raise OptionError(f"{call}(author=)", given, "makes no author", valid)
        asked = Call.of(given, f"{call}(author=)", "narrative")
        make(course.narrative)  # no model is asked, but what a model could not be told is wrong all the same
        return _checked(asked, call)
    # What is wrong is said on the line that asks for it, not once somebody connects.
    make(course.narrative).check()
    return make


def _checked(make: Callable[[str], Any], call: str) -> MakeAuthor:
    def made(narrative: str) -> Author:
        author = make(narrative)
        if not hasattr(author, "write"):
            problem = f"returned a {type(author).__name__}, which has no write()"
            raise GeneratorError(f"{call}(author=): the function {problem}")
        written_by: Author = author
        return written_by

    return made


class Reciting:
    """The author of a story that is told as it stands.

    Args:
        events: The events.
    """

    def __init__(self, events: tuple[Any, ...]) -> None:
        self._events = iter(events)

    async def write(self, count: int) -> AsyncIterator[Any]:
        """Give the next events."""
        for _, event in zip(range(count), self._events, strict=False):
            yield event


# Arguments


def _count(value: object, where: str) -> int | None:
    if value is None or (isinstance(value, int) and not isinstance(value, bool) and value >= 1):
        return value
    raise OptionError(where, value, "is no number of events from 1 on", "None: as long as somebody listens")


def _batch(value: object, model: object, author: object, call: str) -> int:
    if value is None:
        return LOCAL_BATCH if model == "local" and author is None else BATCH
    if isinstance(value, bool) or not isinstance(value, int) or value < 1:
        raise OptionError(f"{call}(batch=)", value, "is no number of events from 1 on")
    return value


# Messages that are there already


def _script(source: object) -> Script:
    script = Script.of(source).validate()
    if script.endless:
        where = "ReplayAugmentationConfig(replay=)"
        raise OptionError(where, source, "has no end", "a part of it has: script[:100]")
    return script


def _static(config: ReplayAugmentationConfig, most: int | None, *, shared: bool, then: Then) -> Played:
    """Return the replay of a static stream, which is played as it is: with all that its steps and rules say."""
    strategy = config.resolved_strategy()
    _check_static(config, strategy)
    script = _script(config.replay)
    says = [index for index, step in enumerate(script) if step.dir == "out" and step.payload is not None]
    count = min((each for each in (config.event_count, most) if each is not None), default=len(says))
    if strategy == "time_based":
        at = script.program.at
        count = min(count, sum(at[index] - at[says[0]] < float(config.duration_secs or 0) * 1000 for index in says))
    if count < len(says):
        script = script[: says[count - 1] + 1]
    return played(script, {**_REPLAYED, "shared": shared, "then": then})


def _check_static(config: ReplayAugmentationConfig, strategy: EventStrategy) -> None:
    """Raise OptionError if a static stream is to be something else than what it is."""
    config.parsed_conditions(strategy)
    for name, value in (("conditions", config.conditions), ("event_rate", config.event_rate)):
        if value:
            problem = "goes with events that a model writes; a static stream is played as it is, at its own times"
            raise OptionError(f"ReplayAugmentationConfig({name}=)", value, problem)


_REPLAYED: Final[Mapping[str, Any]] = dict.fromkeys(
    ("time", "unit", "rate", "columns", "template", "rows", "by", "snapshot", "rebase", "batch", "subscribe",
     "unsubscribe", "ack", "duration")
) | {"speed": 1.0, "loop": False, "timing": "offset"}  # fmt: skip


def _messages(source: object, *, literal: bool) -> tuple[list[float], tuple[Any, ...]]:
    """Return a script's messages as values, with their times (ms).

    Args:
        source: The script, or what it is made of.
        literal: Whether texts stay texts, and bytes may be among them.

    Raises:
        OptionError: There are none, or one is binary.
    """
    where = "ReplayAugmentationConfig(replay=)"
    script = _script(source)
    context = Context(now_ns=time.time_ns())
    at: list[float] = []
    values: list[Any] = []
    if script.program.last_wait >= 0 or script.program.jumps:
        raise OptionError(where, script, "waits for its client or jumps", "Mock().replay(script) plays that")
    for index, step in enumerate(script):
        payload = step.payload if step.dir == "out" else None
        if payload is None:
            continue
        if payload.opcode != TEXT and not literal:
            raise OptionError(where, script, f"has a binary message (step {index}), which no model can vary")
        context.row = payload.row
        value = payload.value if payload.template is None else payload.template.render(context)
        at.append(script.program.at[index])
        values.append(_value(value) if isinstance(value, str) and not literal else value)
    if not values:
        raise OptionError(where, script, "has no messages")
    return at, tuple(values)


def _value(text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError:
        return text
