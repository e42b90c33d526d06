"""MockForge's own names for events by a language model: what is told, and what happens to the story."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Final, Literal, TypeAlias, cast

from .core.narrative import COUNTERS, Condition
from .core.template import TextTemplate
from .core.units import number
from .errors import OptionError, TemplateError, nearest

ReplayMode: TypeAlias = Literal["static", "augmented", "generated"]
"""Who writes the events: nobody, as they are those of a script; a model, on top of a script; a model alone."""

EventStrategy: TypeAlias = Literal["time_based", "count_based", "condition_based"]
"""When a stream of events ends."""

Kind: TypeAlias = Literal["generate_event", "stop", "change_rate", "transition_scenario"]

MODES: Final = ("static", "augmented", "generated")
STRATEGIES: Final = ("time_based", "count_based", "condition_based")
KINDS: Final = ("generate_event", "stop", "change_rate", "transition_scenario")
ACTIONS: Final = '"generate_event", "stop", change_rate(5) or transition_scenario("…")'
_SPELLINGS: Final = {"time": "time_based", "count": "count_based", "condition": "condition_based"} | {
    "conditional_based": "condition_based"
}
_TYPES: Final = ("string", "number", "integer", "boolean", "object", "array", "null")
NOT_PICKLED: Final = (
    "a story with api_key= cannot be pickled: the key would stand there for all to read; leave it out and set the "
    "environment variable of the provider's key, or say the story in the other process"
)
DEFAULT_COUNT: Final = 10
"""How many events a count-based story has unless its count is given."""
DEFAULT_MODELS: Final = {
    "openai": "gpt-5-mini",
    "anthropic": "claude-haiku-4-5",
    "google": "gemini-2.5-flash",
    "ollama": "llama3.2",
}
"""The model of a provider that is named alone."""


def in_range(value: object) -> bool:
    """Return whether a value is a number greater than 0 by which times can be told: 1000 / value is one, too."""
    return 1e-290 < number(value) < 1e290


def check_switch(value: object, where: str) -> None:
    """Raise OptionError if a value is neither True nor False: "false" of a file would be true."""
    if not isinstance(value, bool):
        raise OptionError(where, value, "is neither True nor False")


@dataclass(frozen=True, slots=True)
class ConditionAction:
    """What happens once a condition is true; made by `change_rate`, `transition_scenario`, or of a plain word.

    Attributes:
        kind: ``generate_event``: an event is written; ``stop``: the story ends; ``change_rate``; or
            ``transition_scenario``.
        value: The new rate (events a second), or the narrative that the story goes on with.

    Example:
        >>> ConditionAction.of({"change_rate": 5}, "here") == change_rate(5)
        True
    """

    kind: Kind
    value: float | str | None = None

    @classmethod
    def of(cls, given: object, where: str) -> ConditionAction:
        """Return the action that is meant.

        Args:
            given: One, its word, or as in MockForge's files a dict of one word: ``{"change_rate": 5}``.
            where: What errors call it.

        Raises:
            OptionError: It is none.
        """
        action = given
        if isinstance(given, str):
            action = cls(cast(Kind, given))
        elif isinstance(given, Mapping) and len(given) == 1:
            ((kind, value),) = given.items()
            action = cls(kind, value)
        if not isinstance(action, ConditionAction):
            raise OptionError(where, given, "is no action", f"valid: {ACTIONS}")
        if action.kind not in KINDS:
            raise OptionError(where, given, f"is no action{nearest(action.kind, KINDS)}", f"valid: {ACTIONS}")
        if action.kind == "change_rate":
            if not in_range(action.value):
                raise OptionError(where, given, "has no number of events a second greater than 0", "change_rate(5)")
            return cls(action.kind, float(cast(float, action.value)))
        if action.kind == "transition_scenario":
            if not isinstance(action.value, str) or not action.value.strip():
                raise OptionError(where, given, "has no narrative to go on with", 'transition_scenario("A crash…")')
        elif action.value is not None:
            raise OptionError(where, given, f"has a value, and {action.kind} takes none", f"valid: {ACTIONS}")
        return action


def change_rate(rate: float) -> ConditionAction:
    """Return the action after which there are so many events a second.

    Example:
        >>> change_rate(5)
        ConditionAction(kind='change_rate', value=5.0)
    """
    return ConditionAction.of(ConditionAction("change_rate", rate), "change_rate()")


def transition_scenario(narrative: str) -> ConditionAction:
    """Return the action after which the story goes on with another narrative.

    Example:
        >>> transition_scenario("A flash crash").value
        'A flash crash'
    """
    return ConditionAction.of(ConditionAction("transition_scenario", narrative), "transition_scenario()")


@dataclass(frozen=True, slots=True)
class EventCondition:
    """Something that happens once an expression is true; it is looked at before each event.

    Attributes:
        name: What errors call it.
        expression: What must be true, as in a template: ``"count >= 10"``. It may read `count`, `sequence` and
            `events_generated`, which are all how many events there were. Powers (``**``) are refused; what else it
            computes has no limit.
        action: What happens: ``"generate_event"``, ``"stop"``, ``change_rate(5)`` or ``transition_scenario("…")``.

    Example:
        >>> EventCondition("crash", "count >= 60", transition_scenario("A flash crash")).parsed().name
        'crash'
    """

    name: str
    expression: str
    action: ConditionAction | str | Mapping[str, Any]

    def parsed(self) -> Condition:
        """Return the condition of a story.

        Raises:
            OptionError: The expression cannot be parsed, has a power or reads other names, or the action is none.
        """
        where = f"EventCondition({self.name!r})"
        if not isinstance(self.expression, str):
            raise OptionError(f"{where}.expression", self.expression, "is no text", 'such as "count >= 10"')
        if "**" in self.expression:
            # A power of counters may take hours and cannot be interrupted.
            raise OptionError(f"{where}.expression", self.expression, "has a power (**)", 'such as "count >= 10"')
        try:
            expression = TextTemplate.condition(self.expression, names=COUNTERS)
        except TemplateError as error:
            raise OptionError(f"{where}.expression", self.expression, f"is no expression: {error.problem}") from error
        unknown = sorted(expression.variables - set(COUNTERS))
        if unknown:
            problem = f"reads {unknown[0]!r}{nearest(unknown[0], COUNTERS)}"
            raise OptionError(f"{where}.expression", self.expression, problem, f"valid: {', '.join(COUNTERS)}")
        action = ConditionAction.of(self.action, f"{where}.action")
        return Condition(str(self.name), expression, action.kind, action.value)


@dataclass(frozen=True, kw_only=True)
class ReplayAugmentationConfig:
    """MockForge's description of a stream of events, for `Mock.narrate` and `AiEventGenerator`.

    Attributes:
        narrative: What the events tell.
        provider: Who has the model: ``"openai"``, ``"anthropic"``, ``"google"``, ``"ollama"``, ``"local"`` (unless
            it is given), or provider and model in one (``"openai:gpt-5-mini"``).
        model: The provider's model; a usual one unless it is given.
        base_url: Where the provider is, if it is any OpenAI-compatible address.
        api_key: The provider's key; it is shown nowhere, and a config that has one cannot be pickled.
        mode: ``"generated"``: the model writes all events; ``"augmented"``: it enriches and varies those of
            `replay`; ``"static"``: `replay` is played as it is. Unless given it is what fits to `narrative` and
            `replay`.
        replay: Of a static or augmented stream, the script: as in `Mock.replay`.
        event_type: The `type` of the events' envelope.
        event_schema: The JSON Schema of an event's data; or names and their types, ``{"price": "number"}``; or
            whatever else `Mock.narrate` takes as its schema.
        strategy: When it ends: ``"count_based"``: after `event_count` events; ``"time_based"``: after
            `duration_secs`; ``"condition_based"``: there is an event for each ``generate_event`` of `conditions`
            that is true, and it ends where none is.
        duration_secs: How long a time-based stream lasts (s).
        event_count: How many events there are, whatever the strategy; of a count-based stream 10, or all of
            `replay`, unless given.
        event_rate: Events a second; unless given 1, or of an augmented stream the times of `replay`.
        conditions: What is looked at before each event, in order: `EventCondition`s, or dicts of their fields.
        progressive_evolution: Whether each event follows from those before it.

    Example:
        >>> config = ReplayAugmentationConfig(narrative="a calm market", event_schema={"price": "number"})
        >>> config.resolved_mode(), config.resolved_model(), config.schema()["required"]
        ('generated', 'local', ['price'])
    """

    narrative: str | None = None
    provider: str | None = None
    model: Any = None
    base_url: str | None = None
    api_key: str | None = field(default=None, repr=False)
    mode: ReplayMode | None = None
    replay: Any = None
    event_type: str = "event"
    event_schema: Any = None
    strategy: EventStrategy | str = "count_based"
    duration_secs: float | None = None
    event_count: int | None = None
    event_rate: float | None = None
    conditions: Sequence[EventCondition | Mapping[str, Any]] = ()
    progressive_evolution: bool = True

    def __getstate__(self) -> dict[str, Any]:
        if self.api_key is not None:
            raise TypeError(NOT_PICKLED)
        return vars(self)

    def resolved_mode(self) -> ReplayMode:
        """Return the mode, which goes with `narrative` and `replay`, once they are what they must be.

        Raises:
            OptionError: It does not.
        """
        where = "ReplayAugmentationConfig(mode=)"
        mode = self.mode
        if not isinstance(self.event_type, str) or not self.event_type:
            raise OptionError("ReplayAugmentationConfig(event_type=)", self.event_type, "is no text")
        check_switch(self.progressive_evolution, "ReplayAugmentationConfig(progressive_evolution=)")
        if mode is None:
            mode = "static" if self.narrative is None else "generated" if self.replay is None else "augmented"
        if mode not in MODES:
            raise OptionError(where, mode, valid=MODES)
        if mode != "static" and (not isinstance(self.narrative, str) or not self.narrative.strip()):
            way = 'narrative="Simulate a live chat conversation"'
            raise OptionError("ReplayAugmentationConfig(narrative=)", self.narrative, f"tells nothing ({mode})", way)
        if mode == "generated" and self.replay is not None:
            raise OptionError(where, mode, "plays no replay=", 'mode="augmented" varies its messages')
        if mode != "generated" and self.replay is None:
            way = "replay=script, or narrative= for events that a model writes"
            raise OptionError("ReplayAugmentationConfig(replay=)", None, f"is missing, and the mode is {mode}", way)
        return mode

    def resolved_strategy(self) -> EventStrategy:
        """Return the strategy, which goes with what it needs.

        Raises:
            OptionError: It does not.
        """
        name = "ReplayAugmentationConfig"
        given: object = self.strategy
        strategy = _SPELLINGS.get(given, given) if isinstance(given, str) else None
        if strategy not in STRATEGIES:
            raise OptionError(f"{name}(strategy=)", given, valid=STRATEGIES)
        for option in ("duration_secs", "event_rate"):
            value = getattr(self, option)
            if value is not None and not in_range(value):
                raise OptionError(f"{name}({option}=)", value, "is no number greater than 0")
        count = self.event_count
        if count is not None and (isinstance(count, bool) or not isinstance(count, int) or count < 1):
            raise OptionError(f"{name}(event_count=)", count, "is no number of events from 1 on")
        if strategy == "time_based" and self.duration_secs is None:
            raise OptionError(f"{name}(duration_secs=)", None, "is missing, and the strategy is time_based")
        if strategy == "condition_based" and not self.conditions:
            raise OptionError(f"{name}(conditions=)", self.conditions, "are missing, and the strategy is based on them")
        return cast(EventStrategy, strategy)

    def parsed_conditions(self, strategy: EventStrategy) -> tuple[Condition, ...]:
        """Return the conditions.

        Raises:
            OptionError: One is none, or can never do what it says.
        """
        where = "ReplayAugmentationConfig(conditions=)"
        given: object = self.conditions
        if not isinstance(given, Sequence) or isinstance(given, (str, bytes)):
            raise OptionError(
                where, given, "is no list of EventConditions", "[EventCondition(name, expression, action)]"
            )
        parsed = tuple(_condition(each, where).parsed() for each in given)
        for one in parsed:
            if one.kind == "generate_event" and strategy != "condition_based":
                problem = f"generates an event, and under {strategy} each has its time"
                raise OptionError(where, one.name, problem, 'give strategy="condition_based"')
        if strategy == "condition_based" and all(one.kind != "generate_event" for one in parsed):
            raise OptionError(where, [one.name for one in parsed], "have none that generates an event")
        return parsed

    def schema(self) -> Any:
        """Return the schema of an event's data; names and their types become a JSON Schema."""
        given = self.event_schema
        if not isinstance(given, Mapping) or not given:
            return given
        if not all(isinstance(kind, str) and kind in _TYPES for kind in given.values()) or set(given) == {"type"}:
            return given
        properties = {name: {"type": kind} for name, kind in given.items()}
        return {"type": "object", "properties": properties, "required": [*given], "additionalProperties": False}

    def resolved_model(self) -> Any:
        """Return the model as `Mock.narrate` takes it.

        Raises:
            OptionError: The provider is none.
        """
        provider: object = self.provider
        if provider is not None and not isinstance(provider, str):
            valid = f"valid: 'local', {', '.join(map(repr, DEFAULT_MODELS))}"
            raise OptionError("ReplayAugmentationConfig(provider=)", provider, "is no text", valid)
        if self.model is not None and not isinstance(self.model, str):
            return self.model
        if self.provider is None:
            return self.model or "local"
        if self.provider == "local" or ":" in self.provider:
            return self.provider
        model = self.model or DEFAULT_MODELS.get(self.provider)
        return f"{self.provider}:{model}" if model else self.provider


def _condition(given: object, where: str) -> EventCondition:
    if isinstance(given, EventCondition):
        return given
    fields = ("name", "expression", "action")
    if not isinstance(given, Mapping) or set(given) != set(fields):
        raise OptionError(where, given, "is no EventCondition", "EventCondition(name, expression, action)")
    return EventCondition(**given)


@dataclass(frozen=True, kw_only=True)
class WebSocketAiConfig:
    """MockForge's switch of these features, for `Mock.narrate`.

    Attributes:
        enabled: Whether events are told; otherwise the mock is silent where no rule answers.
        replay: What is told.
        max_events: How many events there are at most; None: any number.
        event_rate: Events a second, in place of the stream's own rate.

    Example:
        >>> WebSocketAiConfig(enabled=True, replay=chat_messages_scenario(), event_rate=5).merged().event_rate
        5
    """

    enabled: bool = False
    replay: ReplayAugmentationConfig | None = None
    max_events: int | None = 100
    event_rate: float | None = None

    @property
    def is_enabled(self) -> bool:
        """Whether events are told: it is enabled, and there are some.

        Raises:
            OptionError: `enabled` is neither True nor False.
        """
        check_switch(self.enabled, "WebSocketAiConfig(enabled=)")
        return self.enabled and self.replay is not None

    def merged(self) -> ReplayAugmentationConfig:
        """Return the description of what is told, with its rate from here.

        Raises:
            OptionError: There is none, or it is no description.
        """
        if not isinstance(self.replay, ReplayAugmentationConfig):
            way = "replay=ReplayAugmentationConfig(narrative=…)"
            raise OptionError("WebSocketAiConfig(replay=)", self.replay, "says nothing that is told", way)
        return self.replay if self.event_rate is None else replace(self.replay, event_rate=self.event_rate)


def stock_market_scenario(**changes: Any) -> ReplayAugmentationConfig:
    """Return MockForge's ready scenario of a stock market: ten minutes of ticks, two a second.

    Args:
        changes: Fields that are otherwise, such as ``provider="openai"``.

    Example:
        >>> stock_market_scenario(provider="openai").resolved_model()
        'openai:gpt-5-mini'
    """
    return _ready(
        changes,
        narrative="Live data of a stock market for ten minutes: prices that move as real ones do, volumes that "
        "change, and now and then a burst of volatility.",
        event_type="market_tick",
        event_schema={"symbol": "string", "price": "number", "volume": "number", "timestamp": "string"},
        strategy="time_based",
        duration_secs=600,
        event_rate=2.0,
    )


def chat_messages_scenario(**changes: Any) -> ReplayAugmentationConfig:
    """Return MockForge's ready scenario of a group chat: 50 messages, one in two seconds.

    Args:
        changes: As in `stock_market_scenario`.

    Example:
        >>> chat_messages_scenario().event_count
        50
    """
    return _ready(
        changes,
        narrative="A group chat of three to five people about a project they work on, who answer each other in a "
        "natural rhythm and say what such people say.",
        event_type="chat_message",
        event_schema={"user_id": "string", "message": "string", "timestamp": "string"},
        event_count=50,
        event_rate=0.5,
    )


def iot_sensor_scenario(**changes: Any) -> ReplayAugmentationConfig:
    """Return MockForge's ready scenario of a smart building: 100 readings, one a second.

    Args:
        changes: As in `stock_market_scenario`.

    Example:
        >>> iot_sensor_scenario(event_count=10).event_count
        10
    """
    return _ready(
        changes,
        narrative="Readings of the sensors of a smart building: temperature, humidity and occupancy, which follow "
        "the course of the day.",
        event_type="sensor_reading",
        event_schema={
            "sensor_id": "string",
            "temperature": "number",
            "humidity": "number",
            "occupancy": "number",
            "timestamp": "string",
        },
        event_count=100,
        event_rate=1.0,
    )


def _ready(changes: Mapping[str, Any], **fields: Any) -> ReplayAugmentationConfig:
    return ReplayAugmentationConfig(**{"mode": "generated", **fields, **changes})
