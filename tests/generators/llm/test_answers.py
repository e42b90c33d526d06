"""What is read of an answer, whatever a model says."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mockforge_nb.generators.llm.answers import Answer, read


def odd(event: Any) -> str:
    return "" if isinstance(event, int) and event % 2 else "it is not odd"


def never(*_: Any) -> bool:
    return False


@pytest.mark.parametrize(
    ("text", "events", "problem"),
    [
        ('{"events": [1, 3]}', (1, 3), ""),
        ("[1, 3]", (1, 3), ""),
        ('```\n{"events": [1]}\n```', (1,), ""),
        ('Sure!\n```json\n{"events": [1, 3]}\n```\nEnjoy [them]!', (1, 3), ""),
        ("Sure [as asked]:\n```\n[1]\n```", (1,), ""),
        ('Here you are: {"events": [1]}. Enjoy!', (1,), ""),
        ('Sure [as asked]: {"events": [1]}', (), "the answer is no JSON"),
        ('{"events": [1, 2, 3]}', (1,), "event 2 of the answer is not as it should be: it is not odd"),
        ("", (), "the answer is empty"),
        ("  \n", (), "the answer is empty"),
        ("Here you are:", (), "the answer is no JSON (Expecting value)"),
        ('{"events": [1, 3', (), "the answer is no JSON (Expecting ',' delimiter)"),
        ('{"events": [1, NaN]}', (1,), "event 2 of the answer is not as it should be: it is not odd"),
        ('{"events": []}', (), 'the list "events" of the answer is empty'),
        ('{"events": 1}', (), 'the answer has no list "events"'),
        ('{"event": [1]}', (), 'the answer has no list "events"'),
        ("1", (), 'the answer has no list "events"'),
        ("[" * 100_000, (), "the answer is no JSON"),
    ],
)
def test_the_events_before_the_first_wrong_one_and_what_is_wrong(text: str, events: Any, problem: str) -> None:
    found = read(text, odd, never, 9)
    assert found.events == events
    assert found.problem.startswith(problem)
    assert bool(found.problem) == bool(problem)


def test_what_came_before_is_left_out_and_counted() -> None:
    came = [1]

    def again(event: Any) -> bool:
        came.append(event)
        return event in came[:-1]

    assert read("[1, 3, 3, 5]", odd, again, 4) == Answer((3, 5), "", 2)
    assert read("[1, 1]", odd, again, 4) == Answer((), "the answer says again what was written before", 2)


def test_of_an_answer_that_runs_on_no_more_is_looked_at_than_may_be_of_use() -> None:
    looked: list[int] = []

    def problem(event: Any) -> str:
        looked.append(event)
        return ""

    text = json.dumps([*range(2000)])
    assert read(text, problem, never, 5) == Answer((0, 1, 2, 3, 4))
    assert looked == [0, 1, 2, 3, 4]
    # What came before does not count, as long as it ends.
    assert read(text, problem, lambda event: event < 8, 5) == Answer((8, 9, 10, 11, 12), "", 8)
    assert read(text, problem, lambda _: True, 5).repeated == 15


def test_of_a_cut_answer_the_last_event_does_not_count() -> None:
    found = read('{"events": [1, 3, 5', odd, never, 9, cut=True)
    assert found == Answer((1, 3), "the answer was cut off before it was whole")
    assert read("Once upon", odd, never, 9, cut=True).events == ()
    # It was whole by chance.
    assert read("[1, 3]", odd, never, 9, cut=True) == Answer((1, 3))


@given(st.lists(st.integers()), st.integers(0, 200))
def test_wherever_an_answer_is_cut_only_whole_events_are_kept(events: list[int], length: int) -> None:
    text = json.dumps({"events": events})[:length]
    found = read(text, lambda event: "" if isinstance(event, int) else "no number", never, 999, cut=True)
    assert list(found.events) == events[: len(found.events)]


@given(st.text())
def test_no_text_is_too_odd(text: str) -> None:
    found = read(text, lambda _: "no event", never, 9)
    assert found.problem
    assert found.events == ()
