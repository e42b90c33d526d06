"""What a model's answer holds: the events that are as asked for, and what is wrong with the first that is not."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

Problem = Callable[[Any], str]
Again = Callable[[Any], bool]

_BESIDE: Final = 10
"""How many events more than were asked for are looked at: as many may repeat what was written before."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What was read of an answer.

    Attributes:
        events: The events before the first that is wrong.
        problem: What is wrong with that, or with the whole; empty: nothing.
        repeated: How many events were left out that came before.
    """

    events: tuple[Any, ...] = ()
    problem: str = ""
    repeated: int = 0


def read(text: str, problem: Problem, again: Again, most: int, *, cut: bool = False) -> Answer:
    """Read an answer, as far as it may hold what was asked for: a model may run on.

    Args:
        text: The answer.
        problem: Says what is wrong with an event.
        again: Says whether an event came before; those it is asked about have come, too.
        most: How many events were asked for.
        cut: Whether it ended because it became too long.
    """
    bare = _without_prose(text)
    if not bare:
        return Answer(problem="the answer is empty")
    try:
        value, _ = json.JSONDecoder().raw_decode(bare)  # what follows is prose, too
    except (ValueError, RecursionError) as error:
        if not cut:
            reason = error.msg if isinstance(error, json.JSONDecodeError) else str(error) or "nested too deeply"
            return Answer(problem=f"the answer is no JSON ({reason})")
        value = _whole_part(bare)
        listed = _listed(value) or []
        # The last event may lack what was cut off: an optional field, the end of a text.
        found = _checked(listed[:-1], problem, again, most)
        return Answer(found.events, found.problem or "the answer was cut off before it was whole", found.repeated)
    events = _listed(value)
    if events is None:
        return Answer(problem='the answer has no list "events"')
    if not events:
        return Answer(problem='the list "events" of the answer is empty')
    return _checked(events, problem, again, most)


def _checked(events: list[Any], problem: Problem, again: Again, most: int) -> Answer:
    kept: list[Any] = []
    repeated = 0
    for number, event in enumerate(events[: most + _BESIDE], 1):
        if len(kept) == most:
            break
        wrong = problem(event)
        if wrong:
            return Answer(tuple(kept), f"event {number} of the answer is not as it should be: {wrong}", repeated)
        if again(event):
            repeated += 1
        else:
            kept.append(event)
    wrong = "" if kept or not repeated else "the answer says again what was written before"
    return Answer(tuple(kept), wrong, repeated)


def _listed(value: Any) -> list[Any] | None:
    listed = value.get("events") if isinstance(value, dict) else value
    return listed if isinstance(listed, list) else None


def _without_prose(text: str) -> str:
    """Return an answer from its JSON on: models without a schema put words and a fence of Markdown before it."""
    bare = text.strip()
    if bare.startswith(("{", "[")):
        return bare
    start = re.compile(r"[\[{]").search(bare, max(0, bare.find("```")))
    return bare[start.start() :] if start else bare


def _whole_part(text: str) -> Any:
    import jiter

    try:
        return jiter.from_json(text.encode(), partial_mode=True)
    except ValueError:
        return None
