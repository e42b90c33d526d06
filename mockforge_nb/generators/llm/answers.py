"""What a model's answer holds: the events that are as asked for, and what is wrong with the first that is not."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

Problem = Callable[[Any], str]
Again = Callable[[Any, list[Any]], bool]


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


def read(text: str, problem: Problem, again: Again, *, cut: bool = False) -> Answer:
    """Read an answer.

    Args:
        text: The answer.
        problem: Says what is wrong with an event.
        again: Says whether an event came before; it is given those of the same answer, too.
        cut: Whether it ended because it became too long.
    """
    bare = _unfenced(text)
    if not bare:
        return Answer(problem="the answer is empty")
    try:
        value = json.loads(bare, parse_constant=_no_constant)
    except (ValueError, RecursionError) as error:
        if not cut:
            reason = error.msg if isinstance(error, json.JSONDecodeError) else str(error) or "nested too deeply"
            return Answer(problem=f"the answer is no JSON ({reason})")
        value = _whole_part(bare)
        listed = _listed(value) or []
        # The last event may lack what was cut off: an optional field, the end of a text.
        found = _checked(listed[:-1], problem, again)
        return Answer(found.events, found.problem or "the answer was cut off before it was whole", found.repeated)
    events = _listed(value)
    if events is None:
        return Answer(problem='the answer has no list "events"')
    if not events:
        return Answer(problem='the list "events" of the answer is empty')
    return _checked(events, problem, again)


def _checked(events: list[Any], problem: Problem, again: Again) -> Answer:
    kept: list[Any] = []
    repeated = 0
    for number, event in enumerate(events, 1):
        wrong = problem(event)
        if wrong:
            return Answer(tuple(kept), f"event {number} of the answer is not as it should be: {wrong}", repeated)
        if again(event, kept):
            repeated += 1
        else:
            kept.append(event)
    wrong = "" if kept or not repeated else "the answer says again what was written before"
    return Answer(tuple(kept), wrong, repeated)


def _listed(value: Any) -> list[Any] | None:
    listed = value.get("events") if isinstance(value, dict) else value
    return listed if isinstance(listed, list) else None


def _unfenced(text: str) -> str:
    """Return an answer without the fence of Markdown that models without a schema put around JSON."""
    bare = text.strip()
    if bare.startswith("```") and bare.endswith("```") and "\n" in bare:
        bare = bare[bare.index("\n") : -3].strip()
    return bare


def _whole_part(text: str) -> Any:
    import jiter

    try:
        return jiter.from_json(text.encode(), partial_mode=True)
    except ValueError:
        return None


def _no_constant(name: str) -> Any:
    raise ValueError(f"{name} is no JSON")
