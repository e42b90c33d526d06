"""Stories: which events there are, when each is due, and what the traffic says of late ones."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import islice
from typing import Any

import pytest

from mockforge_nb.core.events import Failed, Halt, Next, Raised, Returned, Send
from mockforge_nb.core.narrative import COUNTERS, Condition, Course, Moment, Pace, Told, told
from mockforge_nb.core.plan import Plan, Shared, Stream
from mockforge_nb.core.template import TextTemplate
from mockforge_nb.errors import GeneratorError

from .playbook import Playbook, of


def condition(expression: str, kind: Any, value: Any = None) -> Condition:
    return Condition("test", TextTemplate.condition(expression, names=COUNTERS), kind, value)


def times(course: Course, most: int = 50) -> list[float]:
    return [moment.ms for moment in islice(course.moments(), most)]


# Which events there are


def test_so_many_events_at_their_rate() -> None:
    assert times(Course("x", rate=4, most=3)) == [0, 250, 500]
    assert times(Course("x", rate=None, most=3)) == [0, 0, 0]


def test_a_time_based_story_ends_before_its_time_is_up() -> None:
    assert times(Course("x", rate=3, lasts_ms=1000)) == pytest.approx([0, 1000 / 3, 2000 / 3])
    assert times(Course("x", rate=2, lasts_ms=600_000), most=2000)[-1] == 599_500


def test_a_story_of_messages_that_are_there_has_their_times_from_the_first_on() -> None:
    assert times(Course("x", rate=None, at=[500, 700, 2500])) == [0, 200, 2000]
    assert times(Course("x", rate=10, at=[500, 700, 2500])) == [0, 100, 200]


def test_a_story_without_a_number_goes_on() -> None:
    assert len(times(Course("x"), most=500)) == 500


@pytest.mark.parametrize("name", COUNTERS)
def test_each_name_counts_the_events_so_far(name: str) -> None:
    assert len(times(Course("x", conditions=(condition(f"{name} >= 4", "stop"),)))) == 4


def test_a_condition_based_story_has_an_event_for_each_condition_that_generates_one_and_ends_where_none_does() -> None:
    one = condition("count < 3", "generate_event")
    assert len(times(Course("x", conditions=(one,), conditional=True))) == 3
    both = (one, condition("count == 0", "generate_event"))
    assert times(Course("x", rate=1, conditions=both, conditional=True)) == [0, 1000, 2000]
    assert times(Course("x", rate=1, most=2, conditions=both, conditional=True)) == [0, 1000]


def test_a_changed_rate_counts_from_the_event_before() -> None:
    conditions = (condition("count >= 3", "change_rate", 10.0),)
    assert times(Course("x", rate=1, most=6, conditions=conditions)) == [0, 1000, 2000, 2100, 2200, 2300]
    assert times(Course("x", rate=None, at=[0, 5, 900, 9000, 9001], conditions=conditions)) == [0, 5, 900, 1000, 1100]


def test_a_stop_before_another_action_ends_the_story_at_once() -> None:
    conditions = (condition("count == 2", "stop"), condition("true", "generate_event"))
    assert len(times(Course("x", conditions=conditions, conditional=True))) == 2


def test_a_story_goes_on_with_another_narrative() -> None:
    conditions = (condition("sequence >= 2", "transition_scenario", "crash"),)
    moments = list(Course("calm", most=4, conditions=conditions).moments())
    assert [moment.narrative for moment in moments] == ["calm", "calm", "crash", "crash"]
    assert [moment.number for moment in moments] == [0, 1, 2, 3]


def test_a_condition_that_fails_names_itself() -> None:
    with pytest.raises(GeneratorError, match=r"condition 'test' failed after 0 events.*zero"):
        times(Course("x", conditions=(condition("1 / count > 2", "stop"),)))


# What is sent


@pytest.mark.parametrize("event", [object(), float("nan"), {"a": {1, 2}}, "\ud800"])
@pytest.mark.parametrize("envelope", [None, "tick"])
def test_an_event_without_a_json_form_is_an_error_with_its_number(event: Any, envelope: str | None) -> None:
    with pytest.raises(GeneratorError, match="event 3 of the story has no JSON form"):
        told(Moment(2, 0.0, "x"), event, envelope)


# When it is sent


class Events:
    """A story's events as the driver has them: asked for one by one, and told when the test says so."""

    def __init__(self, pace: Pace | None = None) -> None:
        self.pace = pace or Pace()

    def __aiter__(self) -> Events:
        return self

    async def __anext__(self) -> Any:
        raise AssertionError("the test answers")


class Story:
    """Connections that are told a story, whose events the test hands over."""

    def __init__(self, ms: Sequence[float], *, envelope: str | None = None, clock_ns: int | None = None) -> None:
        moments = [Moment(number, each, "x") for number, each in enumerate(ms)]
        self.events = [told(each, f"e{each.number}", envelope) for each in moments]
        self.source = Events()
        self.plan = Plan(Stream(lambda _: self.source, paced=True, then="close"), clock_ns=clock_ns)

    def book(self, at: float = 0, **options: Any) -> Playbook:
        return Playbook(self.plan, at=at, **options).open()

    def hand(self, played: Playbook, number: int, *, waited: bool = True) -> None:
        asked = of(played.commands, Next)
        assert asked[-1].most == 1
        one = self.events[number]
        one.waited = waited
        played.tell(Returned(asked[-1].key, [one]))


def rows(played: Playbook) -> list[tuple[float, float, str | None]]:
    """When each event left (ms), its time in the story, and what the traffic says of it."""
    found = of(played.commands, Send)
    return [(at, row.due_ms, row.fault) for (at, _), row in zip(played.sent, found, strict=True)]


def test_the_rate_is_kept_from_the_first_event_on_however_long_that_took() -> None:
    story = Story([0, 100, 200])
    played = story.book().until(7)
    story.hand(played, 0)
    played.until(7.05)
    story.hand(played, 1)
    played.until(7.15)
    story.hand(played, 2, waited=False)
    played.until(9)
    assert rows(played) == [(7000, 0, None), (7100, 100, None), (7200, 200, None)]
    assert [row.step for row in of(played.commands, Send)] == [0, 1, 2]


def test_an_event_that_was_not_written_in_time_is_starved_and_the_next_keeps_its_distance() -> None:
    story = Story([0, 100, 200, 300])
    played = story.book()
    story.hand(played, 0)
    played.until(0.35)
    story.hand(played, 1)
    story.hand(played, 2, waited=False)
    played.until(0.5)
    story.hand(played, 3)
    played.until(1)
    assert rows(played) == [(0, 0, None), (350, 100, "starved"), (450, 200, None), (550, 300, None)]


def test_without_a_rate_nothing_is_late() -> None:
    story = Story([0, 0])
    played = story.book()
    story.hand(played, 0)
    played.until(5)
    story.hand(played, 1)
    assert rows(played) == [(0, 0, None), (5000, 0, None)]


def test_what_was_written_in_time_is_not_starved_for_a_client_that_reads_slowly() -> None:
    from mockforge_nb.core.events import Paused, Resumed

    story = Story([0, 100, 200])
    played = story.book()
    story.hand(played, 0)
    played.tell(Paused()).until(3)
    story.hand(played, 1, waited=False)
    played.tell(Resumed())
    story.hand(played, 2, waited=False)
    played.until(4)
    assert rows(played) == [(0, 0, None), (3000, 100, None), (3100, 200, None)]


def test_connections_that_share_a_story_hear_each_event_at_the_same_time() -> None:
    story, shared = Story([0, 100, 200, 300]), Shared()
    first = story.book(shared=shared)
    story.hand(first, 0)
    first.until(0.05)
    story.hand(first, 1)
    second = story.book(at=0.05, shared=shared, number=2)
    story.hand(second, 1)  # the first that was not told yet
    for played in (first, second):
        played.until(0.1)
    first.until(0.25)
    story.hand(first, 2)
    second.until(0.26)
    story.hand(second, 2)
    assert rows(first) == [(0, 0, None), (100, 100, None), (250, 200, "starved")]
    assert rows(second) == [(100, 100, None), (260, 200, "starved")]


def test_an_envelope_has_the_time_at_which_it_is_sent() -> None:
    story = Story([0, 1000], envelope="tick", clock_ns=0)
    played = story.book(at=30)
    story.hand(played, 0)
    story.hand(played, 1, waited=False)
    played.until(40)
    assert played.texts() == [
        '{"type":"tick","timestamp":"1970-01-01T00:00:00.000Z","sequence":1,"data":"e0"}',
        '{"type":"tick","timestamp":"1970-01-01T00:00:01.000Z","sequence":2,"data":"e1"}',
    ]


def test_the_end_of_a_story_and_its_author_s_error() -> None:
    story = Story([0])
    played = story.book()
    story.hand(played, 0)
    key = of(played.commands, Next)[-1].key
    assert played.tell(Raised(key, StopAsyncIteration())).closed == 1000
    broken = story.book(number=2)
    broken.tell(Raised(of(broken.commands, Next)[-1].key, GeneratorError("no more")))
    assert broken.closed == 1011
    assert [str(each.error) for each in of(broken.commands, Failed)] == ["no more"]


def test_an_update_ends_the_telling() -> None:
    story = Story([0, 100])
    played = story.book()
    story.hand(played, 0)
    played.update(Story([0]).plan)
    assert [halt.source for halt in of(played.commands, Halt)] == [story.source]


def test_the_network_s_faults_stand_behind_what_is_said_of_an_event_already() -> None:
    from mockforge_nb import Mock

    from .test_rules import plan

    conditions = plan(Mock().fault("corrupt").latency(50)).conditions
    story = Story([0, 100])
    story.plan = Plan(story.plan.behaviour, conditions=conditions)
    played = story.book()
    story.hand(played, 0)
    played.until(1)
    story.hand(played, 1)
    played.until(2)
    assert [(row.due_ms, row.fault) for row in of(played.commands, Send)] == [
        (50, "corrupt"),
        (150, "starved,corrupt"),
    ]
    for name in ("drop", "half_open"):
        lost = Story([0, 100])
        lost.plan = Plan(lost.plan.behaviour, conditions=plan(Mock().fault(name)).conditions)
        played = lost.book()
        lost.hand(played, 0)
        played.until(1)
        lost.hand(played, 1)
        played.until(2)
        assert [row.fault for row in of(played.commands, Send)] == [name, f"starved,{name}"]


def test_a_pace_that_rested_is_late_for_nobody() -> None:
    pace = Pace()
    first, second, third = (Told(n, n * 100.0, told(Moment(n, 0, "x"), n, None).answer, waited=True) for n in range(3))
    assert pace.set(first, 0) == 0
    pace.rest()
    assert (pace.set(second, 50), second.starved) == (50, False)
    assert (pace.set(third, 60), third.starved) == (60, True)
    assert pace.set(second, 99) == 50
