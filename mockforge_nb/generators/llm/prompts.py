"""What a model is told."""

from __future__ import annotations

from typing import Final

from .story import compact
from .wishes import Wishes

VERSION: Final = 1
"""Counted up when what is told changes: cached answers are to what was told before."""

INSTRUCTIONS: Final = (
    "You write the events of a simulated data stream, one after the other, as JSON. Write realistic values, "
    "each event different from those before it, in the order in which they happen."
)


def prompt(wishes: Wishes, first: int, count: int, told: str, *, small: bool = False) -> str:
    """Return what is asked for.

    Args:
        wishes: The story and its events.
        first: The number of the first event that is asked for, from 0.
        count: How many are.
        told: What happened so far; empty: nothing, or it is not to be told.
        small: Whether the model is so small that it writes down the numbers it is told instead of an event's.
    """
    parts = [f"The story: {wishes.narrative}"]
    if wishes.event_type is not None:
        parts.append(f"Each event is of the type {compact(wishes.event_type)}.")
    shown = wishes.examples[: 1 if small else None]
    if shown:
        parts.append("Events look like these, with other values:\n" + "\n".join(map(compact, shown)))
    if told:
        parts.append(told)
    if small:
        parts.append(f"Write the {'next' if told else 'first'} {'event' if count == 1 else 'events'} of the story.")
        return "\n\n".join(parts)
    last = first + count
    which = f"event {last}" if count == 1 else f"the events {first + 1} to {last}"
    whole = "" if wishes.total is None else f" of {wishes.total}"
    when = ""
    if wishes.rate is not None:
        times = [f"{number / wishes.rate:g}" for number in (first, last - 1)]
        when = f" It happens {times[0]} s" if count == 1 else f" They happen from {times[0]} s to {times[1]} s"
        when += " after the story's beginning."
    then = " They go on from there." if told else ""
    parts.append(f"Write {which}{whole}, {count} in all.{when}{then}")
    return "\n\n".join(parts)


def again_prompt(problem: str, count: int) -> str:
    """Return what is said to an answer that is of no use."""
    many = "event" if count == 1 else f"{count} events"
    return f"This cannot be used: {problem}. Write the {many} again, as JSON alone, without that mistake."
