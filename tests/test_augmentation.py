"""MockForge's descriptions of streams of events: what goes with what."""

from __future__ import annotations

from typing import Any

import pytest

from mockforge_nb import Mock, OptionError, Script
from mockforge_nb.core.narrative import COUNTERS
from mockforge_nb.narratives import Narrated, narrated
from mockforge_nb.ws import (
    AiEventGenerator,
    ConditionAction,
    EventCondition,
    ReplayAugmentationConfig,
    WebSocketAiConfig,
    change_rate,
    chat_messages_scenario,
    iot_sensor_scenario,
    stock_market_scenario,
    transition_scenario,
)

from .authors import Scripted


def told(config: ReplayAugmentationConfig | WebSocketAiConfig) -> Narrated:
    made = Mock().narrate(config, author=Scripted())._behaviour
    assert made is not None
    assert isinstance(made.made, Narrated)
    return made.made


def test_what_is_unless_said_is_as_mockforge_has_it() -> None:
    config = ReplayAugmentationConfig(narrative="x")
    course = told(config).tale.course
    assert (course.most, course.rate, course.lasts_ms, course.conditional) == (10, 1.0, None, False)
    assert told(config).tale.envelope == "event"
    assert told(config).tale.evolve
    switch = WebSocketAiConfig(enabled=True, replay=ReplayAugmentationConfig(narrative="x", event_count=500))
    assert told(switch).tale.course.most == 100
    assert not WebSocketAiConfig().is_enabled
    assert not WebSocketAiConfig(enabled=True).is_enabled
    assert not WebSocketAiConfig(replay=config).is_enabled
    assert switch.is_enabled


@pytest.mark.parametrize(
    ("fields", "mode"),
    [
        ({"narrative": "x"}, "generated"),
        ({"narrative": "x", "replay": ["a"]}, "augmented"),
        ({"replay": ["a"]}, "static"),
        ({"replay": ["a"], "narrative": "x", "mode": "static"}, "static"),
    ],
)
def test_the_mode_is_what_fits(fields: dict[str, Any], mode: str) -> None:
    assert ReplayAugmentationConfig(**fields).resolved_mode() == mode


CONDITION = EventCondition("go", "count < 3", "generate_event")


@pytest.mark.parametrize(
    ("fields", "problem"),
    [
        ({}, r"\(replay=\): None is missing, and the mode is static"),
        ({"mode": "made up"}, r"\(mode=\): 'made up' is not .*'static', 'augmented', 'generated'"),
        ({"mode": "generated"}, r"\(narrative=\): None tells nothing"),
        ({"narrative": " "}, r"\(narrative=\): ' ' tells nothing"),
        ({"narrative": "x", "mode": "augmented"}, r"\(replay=\): None is missing, and the mode is augmented"),
        ({"narrative": "x", "mode": "generated", "replay": ["a"]}, "plays no replay="),
        ({"narrative": "x", "replay": [b"\xff"]}, "has a binary message"),
        ({"narrative": "x", "replay": Script().wait("go").send("a")}, "waits for its client"),
        ({"replay": ["a"], "event_rate": 3}, r"\(event_rate=\): 3 goes with events that a model writes"),
        ({"narrative": "x", "strategy": "timed"}, r"\(strategy=\): 'timed' is not .*did you mean 'time_based'"),
        ({"narrative": "x", "strategy": "time_based"}, r"\(duration_secs=\): None is missing"),
        ({"narrative": "x", "duration_secs": 0}, r"\(duration_secs=\): 0 is no number greater than 0"),
        ({"narrative": "x", "event_rate": -1}, r"\(event_rate=\): -1 is no number greater than 0"),
        ({"narrative": "x", "event_count": 0}, r"\(event_count=\): 0 is no number of events"),
        ({"narrative": "x", "strategy": "condition_based"}, r"\(conditions=\): \(\) are missing"),
        (
            {"narrative": "x", "conditions": [CONDITION]},
            'each has its time; give strategy="condition',
        ),
        ({"narrative": "x", "conditions": ["stop"]}, "is no EventCondition"),
        ({"narrative": "x", "conditions": [{"name": "x"}]}, "is no EventCondition"),
        (
            {"narrative": "x", "strategy": "condition", "conditions": [EventCondition("s", "true", "stop")]},
            "none that generates an event",
        ),
        ({"narrative": "x", "conditions": 5}, r"\(conditions=\): 5 is no list of EventConditions"),
        ({"narrative": "x", "provider": 5}, r"\(provider=\): 5 is no text; valid: 'local', 'openai'"),
        ({"narrative": "x", "strategy": ["x"]}, r"\(strategy=\): \['x'\] .*valid: 'time_based'"),
    ],
)
def test_what_does_not_fit_is_said_with_its_field(fields: dict[str, Any], problem: str) -> None:
    with pytest.raises(OptionError, match=f"ReplayAugmentationConfig.*{problem}"):
        Mock().narrate(ReplayAugmentationConfig(**fields), author=Scripted())


@pytest.mark.parametrize(
    ("expression", "action", "problem"),
    [
        ("cuont > 3", "stop", "reads 'cuont'; did you mean 'count'"),
        ("count >", "stop", "is no expression"),
        ("", "stop", "is no expression"),
        (5, "stop", "is no text"),
        ("10**(10**9) > count", "stop", r"has a power \(\*\*\)"),
        ("__import__('os')", "stop", "__import__"),
        ("count", "halt", r"'halt' is no action.*change_rate\(5\)"),
        ("count", "generate_events", "did you mean 'generate_event'"),
        ("count", 7, "is no action"),
        ("count", {"change_rate": 0}, "no number of events a second"),
        ("count", "change_rate", "no number of events a second"),
        ("count", {"transition_scenario": " "}, "no narrative to go on with"),
        ("count", {"stop": 1}, "takes none"),
        ("count", {"stop": None, "change_rate": 1}, "is no action"),
    ],
)
def test_a_condition_that_is_none_is_named(expression: Any, action: Any, problem: str) -> None:
    config = ReplayAugmentationConfig(narrative="x", conditions=[EventCondition("late", expression, action)])
    with pytest.raises(OptionError, match=rf"EventCondition\('late'\)\..*{problem}"):
        Mock().narrate(config, author=Scripted())


def test_the_spellings_of_actions_are_the_same() -> None:
    assert ConditionAction.of({"change_rate": 5}, "x") == change_rate(5) == ConditionAction("change_rate", 5.0)
    assert ConditionAction.of({"transition_scenario": "a"}, "x") == transition_scenario("a")
    assert ConditionAction.of({"stop": None}, "x") == ConditionAction.of("stop", "x")
    with pytest.raises(OptionError, match=r"change_rate\(\)"):
        change_rate(-1)
    with pytest.raises(OptionError, match=r"transition_scenario\(\)"):
        transition_scenario("")
    assert set(COUNTERS) == {"count", "sequence", "events_generated"}


@pytest.mark.parametrize("strategy", ["condition_based", "conditional_based", "condition"])
def test_the_spellings_of_a_strategy_are_the_same(strategy: str) -> None:
    config = ReplayAugmentationConfig(narrative="x", strategy=strategy, conditions=[CONDITION])
    assert told(config).tale.course.conditional


@pytest.mark.parametrize(
    ("fields", "model"),
    [
        ({}, "local"),
        ({"provider": "local"}, "local"),
        ({"provider": "openai"}, "openai:gpt-5-mini"),
        ({"provider": "ollama", "model": "qwen3"}, "ollama:qwen3"),
        ({"provider": "anthropic:claude-x"}, "anthropic:claude-x"),
        ({"model": "openai:gpt-x"}, "openai:gpt-x"),
    ],
)
def test_provider_and_model(fields: dict[str, Any], model: str) -> None:
    assert ReplayAugmentationConfig(narrative="x", **fields).resolved_model() == model


def test_names_and_their_types_become_a_schema_and_a_schema_stays() -> None:
    short = ReplayAugmentationConfig(narrative="x", event_schema={"symbol": "string", "price": "number"}).schema()
    assert short == {
        "type": "object",
        "properties": {"symbol": {"type": "string"}, "price": {"type": "number"}},
        "required": ["symbol", "price"],
        "additionalProperties": False,
    }
    for schema in ({"type": "object"}, {"type": "string"}, {"symbol": "EUR"}, None):
        assert ReplayAugmentationConfig(narrative="x", event_schema=schema).schema() == schema


def test_the_ready_scenarios_are_mockforge_s() -> None:
    stock, chat, iot = stock_market_scenario(), chat_messages_scenario(), iot_sensor_scenario()
    assert [each.event_type for each in (stock, chat, iot)] == ["market_tick", "chat_message", "sensor_reading"]
    assert [each.event_rate for each in (stock, chat, iot)] == [2.0, 0.5, 1.0]
    assert sum(1 for _ in told(stock).tale.moments()) == 1200
    assert sum(1 for _ in told(chat).tale.moments()) == 50
    assert sum(1 for _ in told(iot).tale.moments()) == 100
    assert set(iot.schema()["required"]) == {"sensor_id", "temperature", "humidity", "occupancy", "timestamp"}
    assert stock_market_scenario(provider="ollama", event_rate=5).resolved_model() == "ollama:llama3.2"


def test_a_key_is_in_no_repr_and_no_error() -> None:
    config = ReplayAugmentationConfig(narrative="x", provider="openai", api_key="sk-very-secret", event_count=-1)
    switch = WebSocketAiConfig(enabled=True, replay=config)
    assert "very-secret" not in repr(config) + repr(switch)
    with pytest.raises(OptionError) as caught:
        Mock().narrate(switch, author=Scripted())
    assert "very-secret" not in str(caught.value)
    good = ReplayAugmentationConfig(narrative="x", api_key="sk-very-secret")
    assert "very-secret" not in repr(Mock().narrate(good, author=Scripted()))
    assert "very-secret" not in repr(AiEventGenerator(good, author=Scripted()))


def test_a_static_stream_whose_script_has_no_messages_before_its_time_is_up_is_cut() -> None:
    script = Script().send("a").send("b", after=1).send("c", after=1)
    config = ReplayAugmentationConfig(replay=script, strategy="time", duration_secs=1.5)
    options = {"then": "hold", "shared": False, "envelope": False, "evolve": True, "repeats": True}
    made = narrated(config, {**options, "events": 100, "rate": 1.0, "schema": None, "model": "local",
                             "event_type": None, "base_url": None, "api_key": None})  # fmt: skip
    assert len(made.script) == 2  # type: ignore[union-attr]


@pytest.mark.parametrize("wrong", ["false", 1, None])
def test_switches_are_true_or_false(wrong: Any) -> None:
    config = ReplayAugmentationConfig(narrative="x")
    with pytest.raises(OptionError, match=r"WebSocketAiConfig\(enabled=\): .* is neither True nor False"):
        Mock().narrate(WebSocketAiConfig(enabled=wrong, replay=config), author=Scripted())
    config = ReplayAugmentationConfig(narrative="x", progressive_evolution=wrong)
    with pytest.raises(OptionError, match=r"\(progressive_evolution=\): .* is neither True nor False"):
        Mock().narrate(config, author=Scripted())


def test_a_switch_that_tells_nothing_says_what_it_lacks() -> None:
    with pytest.warns(UserWarning, match="as this config has no replay="):
        Mock().narrate(WebSocketAiConfig(enabled=True))
    with pytest.warns(UserWarning, match="as this config is not enabled"):
        Mock().narrate(WebSocketAiConfig(replay=ReplayAugmentationConfig(narrative="x")))


@pytest.mark.parametrize("rate", [5e-324, 1e-300, 1e300])
def test_a_rate_is_one_by_which_times_can_be_told(rate: float) -> None:
    with pytest.raises(OptionError, match=r"narrate\(rate=\): .* is no number"):
        Mock().narrate("x", rate=rate, author=Scripted())
    for config in (
        ReplayAugmentationConfig(narrative="x", event_rate=rate),
        ReplayAugmentationConfig(narrative="x", duration_secs=rate),
        WebSocketAiConfig(enabled=True, replay=ReplayAugmentationConfig(narrative="x"), event_rate=rate),
    ):
        with pytest.raises(OptionError, match="is no number"):
            Mock().narrate(config, author=Scripted())
    with pytest.raises(OptionError, match="no number of events"):
        change_rate(rate)
