"""The writing of a story: a batch ahead, and only while somebody listens."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any

import pytest

from mockforge_nb.core.narrative import Course, Told
from mockforge_nb.errors import GeneratorError, OptionError
from mockforge_nb.narratives import Tale
from mockforge_nb.wire.telling import MOST_EVENTS, Listening, Telling
from tests.authors import Scripted, Stuck
from tests.conftest import PATIENCE
from tests.core.test_narrative import condition


def run(coroutine: Coroutine[Any, Any, Any]) -> None:
    async def patiently() -> None:
        async with asyncio.timeout(PATIENCE):
            await coroutine
        others = asyncio.all_tasks() - {asyncio.current_task()}
        assert not others, "something is left running"

    asyncio.run(patiently())


def tale(most: int | None = None, *, batch: int = 3, **course: Any) -> Tale:
    return Tale(Course("calm", most=most, **course), batch)


async def settled() -> None:
    """Let everything that can go on do so."""
    for _ in range(50):
        await asyncio.sleep(0)


async def hear(listening: Listening) -> Told:
    """Take the next event, and have it told."""
    one = await anext(listening)
    listening.pace.set(one, 0)
    listening.pace.tell(one)
    return one


def test_the_next_batch_is_begun_while_the_last_one_is_told_and_no_more_than_that() -> None:
    async def telling() -> None:
        author = Scripted()
        listening = Telling(tale(), author).listen()
        await hear(listening)
        await settled()
        assert author.asked == [3, 3]
        assert author.wrote == 6
        for _ in range(2):
            await hear(listening)
        await settled()
        assert author.wrote == 6
        await hear(listening)
        await settled()
        assert author.wrote == 9
        await listening.aclose()

    run(telling())


def test_each_event_is_told_as_it_comes_and_says_whether_it_was_waited_for() -> None:
    async def telling() -> None:
        author = Scripted(seconds=0.001, slow_from=1)
        listening = Telling(tale(4, batch=2), author).listen()
        heard = [await hear(listening)]
        author.seconds = 0
        await settled()
        heard += [one async for one in listening]
        assert [one.number for one in heard] == [0, 1, 2, 3]
        assert heard[0].waited
        assert not heard[3].waited
        assert author.asked == [2, 2]

    run(telling())


def test_nothing_is_written_before_somebody_listens() -> None:
    async def telling() -> None:
        author = Scripted()
        listening = Telling(tale(), author).listen()
        await settled()
        await listening.aclose()
        assert author.narratives == []

    run(telling())


def test_the_writing_stops_when_the_last_one_leaves_and_goes_on_from_there() -> None:
    async def telling() -> None:
        author = Stuck(4)
        story = Telling(tale(8), author)
        first, second = story.listen(), story.listen()
        await hear(first)
        await hear(second)
        await settled()
        assert (author.wrote, author.open) == (4, 1)
        await first.aclose()
        assert author.open == 1  # the other one still listens
        await second.aclose()
        assert author.open == 0
        author.seconds = 0
        third = story.listen()
        heard = [await hear(third)]
        heard += [one async for one in third]
        assert [one.number for one in heard] == [2, 3, 4, 5, 6, 7]
        assert author.wrote == 8
        assert author.asked == [3, 3, 2, 2]  # what was interrupted is asked for again, less what came of it

    run(telling())


def test_who_leaves_while_waiting_for_an_event_ends_the_writing() -> None:
    async def telling() -> None:
        author = Stuck(0)
        listening = Telling(tale(), author).listen()
        waiting = asyncio.ensure_future(anext(listening))
        await settled()
        while not author.open:
            await asyncio.sleep(0.001)
        waiting.cancel()
        await asyncio.wait({waiting})
        assert author.open == 0

    run(telling())


def test_who_comes_while_the_writing_is_being_stopped_has_it_go_on() -> None:
    async def telling() -> None:
        author = Stuck(1)
        story = Telling(tale(2, batch=1), author)
        first = story.listen()
        await hear(first)
        while author.open == 0:
            await asyncio.sleep(0.001)
        leaving = asyncio.ensure_future(first.aclose())
        second = story.listen()
        waiting = asyncio.ensure_future(anext(second))
        author.seconds = 0
        await leaving
        assert (await waiting).number == 1
        await second.aclose()

    run(telling())


def test_those_who_share_a_story_hear_the_same_and_who_comes_late_only_what_follows() -> None:
    async def telling() -> None:
        author = Scripted()
        story = Telling(tale(5, batch=2), author)
        first = story.listen()
        early = [await hear(first), await hear(first)]
        second = story.listen()
        late = [one async for one in second]
        early += [one async for one in first]
        assert [one.number for one in early] == [0, 1, 2, 3, 4]
        assert late == early[2:]
        assert author.wrote == 5
        assert author.narratives == ["calm"]

    run(telling())


def test_what_an_author_raises_comes_after_the_events_before_it_and_is_tried_again_for_the_next_one() -> None:
    async def telling() -> None:
        author = Scripted("a", GeneratorError("refused"), "b", "c")
        story = Telling(tale(3), author)
        listening = story.listen()
        assert (await hear(listening)).number == 0
        with pytest.raises(GeneratorError, match="refused"):
            await hear(listening)
        again = story.listen()
        assert [one.number async for one in again] == [1, 2]

    run(telling())


def test_an_author_that_ends_early_is_an_error_with_what_it_wrote() -> None:
    async def telling() -> None:
        listening = Telling(tale(8), Scripted("a", "b", "c", "d")).listen()
        for _ in range(4):
            await hear(listening)
        with pytest.raises(GeneratorError, match="ended after 4 events: it wrote 1 of the 3 that were asked for"):
            await hear(listening)

    run(telling())


def test_an_author_that_writes_more_than_it_is_asked_for_is_not_read_further() -> None:
    class Eager(Scripted):
        async def write(self, count: int) -> Any:
            async for event in super().write(1000):
                yield event

    async def telling() -> None:
        author = Eager()
        listening = Telling(tale(5), author).listen()
        assert [one.number async for one in listening] == [0, 1, 2, 3, 4]
        assert author.wrote == 5
        assert author.open == 0

    run(telling())


@pytest.mark.parametrize(
    ("author", "kind", "problem"),
    [
        (Scripted(object()), GeneratorError, "event 1 of the story has no JSON form"),
        (Scripted(ZeroDivisionError("its own")), ZeroDivisionError, "its own"),
        (Scripted(SystemExit("leave")), RuntimeError, "cannot end the program"),
    ],
)
def test_what_goes_wrong_in_an_author_is_raised_where_the_events_are_read(
    author: Scripted, kind: type[Exception], problem: str
) -> None:
    async def telling() -> None:
        with pytest.raises(kind, match=problem):
            await hear(Telling(tale(), author).listen())

    run(telling())


def test_an_author_that_raises_a_cancellation_of_its_own_is_an_error() -> None:
    author = Scripted(1, asyncio.CancelledError())

    async def telling() -> None:
        listening = Telling(tale(), author).listen()
        assert (await hear(listening)).number == 0
        with pytest.raises(GeneratorError, match="raised CancelledError, and nobody had cancelled it"):
            await hear(listening)
        await settled()

    run(telling())
    assert len(author.asked) == 1


def test_an_author_that_cannot_be_made_is_an_error() -> None:
    def make(narrative: str) -> Scripted:
        raise OptionError("author()", narrative, "has no author")

    async def telling() -> None:
        with pytest.raises(OptionError, match="'calm' has no author"):
            await hear(Telling(tale(), make).listen())

    run(telling())


def test_an_author_that_returns_a_list_is_told_what_it_must_be() -> None:
    class Plain:
        async def write(self, count: int) -> list[Any]:
            return [1] * count

    async def telling() -> None:
        with pytest.raises(GeneratorError, match=r"write.. of a Plain returned a coroutine; it must be an async gen"):
            await hear(Telling(tale(), lambda _: Plain()).listen())  # type: ignore[arg-type,return-value]

    run(telling())


def test_another_narrative_has_another_author_from_its_first_event_on_who_is_told_what_happened() -> None:
    async def telling() -> None:
        author = Scripted()
        told = tale(6, batch=4, conditions=(condition("count >= 2", "transition_scenario", "crash"),))
        listening = Telling(told, author).listen()
        assert [one.number async for one in listening] == [0, 1, 2, 3, 4, 5]
        assert author.asked == [2, 4]
        calm, crash = author.narratives
        assert calm == "calm"
        assert crash.startswith("crash\n")
        assert '{"n": 0}\n{"n": 1}' in crash

    run(telling())


def test_messages_that_are_there_are_shown_to_the_author_of_each_batch_and_keep_what_it_does_not_name() -> None:
    async def telling() -> None:
        author = Scripted({"b": 2}, {"a": 9}, "text")
        varied = Tale(Course("crash", at=[0, 1, 2]), 2, base=({"a": 0}, {"a": 1}, {"a": 2}), evolve=False)
        listening = Telling(varied, author).listen()
        sent = [one.answer.literal() async for one in listening]  # type: ignore[union-attr]
        assert sent == [b'{"a":0,"b":2}', b'{"a":9}', b"text"]
        assert author.asked == [2, 1]
        assert ['{"a":0}\n{"a":1}' in author.narratives[0], '{"a":2}' in author.narratives[1]] == [True, True]
        assert "before" not in author.narratives[1]

    run(telling())


def test_a_condition_that_fails_is_raised_after_the_events_before_it() -> None:
    async def telling() -> None:
        author = Scripted()
        told = tale(conditions=(condition("1 / (2 - count) > 5", "stop"),))
        story = Telling(told, author)
        listening = story.listen()
        assert [(await hear(listening)).number, (await hear(listening)).number] == [0, 1]
        for _ in range(2):
            with pytest.raises(GeneratorError, match="condition 'test' failed after 2 events"):
                await hear(listening)
            listening = story.listen()
        assert author.wrote == 2

    run(telling())


def test_a_story_that_changes_with_each_event_goes_on_for_long() -> None:
    async def telling() -> None:
        there = condition("count % 2 == 0", "transition_scenario", "there")
        back = condition("count % 2 == 1", "transition_scenario", "back")
        listening = Telling(tale(2000, conditions=(there, back)), Scripted()).listen()
        assert [one.number async for one in listening] == [*range(2000)]

    run(telling())


def test_a_batch_may_be_larger_than_what_is_kept_of_a_story() -> None:
    async def telling() -> None:
        author = Scripted()
        listening = Telling(tale(batch=MOST_EVENTS + 5), author).listen()
        assert (await hear(listening)).number == 0
        await settled()
        assert author.wrote > MOST_EVENTS
        assert (await hear(listening)).number == 1
        await listening.aclose()

    run(telling())


def test_who_falls_too_far_behind_those_who_share_the_story_misses_events() -> None:
    async def telling() -> None:
        story = Telling(tale(batch=1), Scripted())
        slow, quick = story.listen(), story.listen()
        assert (await anext(slow)).number == 0
        for _ in range(MOST_EVENTS + 10):
            await hear(quick)
        assert (await anext(slow)).number > 1
        await slow.aclose()
        await quick.aclose()

    run(telling())


def test_after_a_rest_an_event_is_due_when_somebody_listens_again_and_late_for_nobody() -> None:
    async def telling() -> None:
        author = Stuck(2)
        story = Telling(tale(4, batch=1, rate=10), author)
        first = story.listen()
        pace = first.pace
        one, two = await anext(first), await anext(first)
        assert [pace.set(one, 0), pace.set(two, 0.05)] == [0, 0.1]
        pace.tell(one)
        await first.aclose()
        author.seconds = 0
        second = story.listen()
        assert await anext(second) is two  # it was not told
        assert pace.set(two, 50) == 50
        pace.tell(two)
        await second.aclose()
        third = story.listen()
        three = await anext(third)
        three.waited = True
        assert (pace.set(three, 90), three.starved) == (90, False)
        await third.aclose()

    run(telling())
