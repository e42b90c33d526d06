"""Instants in messages: texts and epochs that follow the time at which a message is due, or go on by themselves."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

from mockforge_nb.core.moved import moved, time_of

CLOSE: Final = 0.1
"""Instants follow the messages' times if their distance from these spreads by less than this share of all the time."""

DAY: Final = 86_400_000_000_000

FEW: Final = 4
"""Fewer numbers than this show no rule."""


@dataclass(frozen=True, slots=True)
class Moment:
    """How the instants of a leaf are written.

    Attributes:
        form: One of the source, whose form, unit, digits and zone all get.
        unit: What its last digit is, in ns; the numbers of the column count in it.
        follows: From where on (ns) the column's numbers and the time of a message count; None: they are from 1970.
    """

    form: Any
    unit: int
    follows: int | None

    @classmethod
    def learned(cls, values: Sequence[Any], due: Sequence[tuple[int, float]]) -> tuple[Moment, list[int | None]] | None:
        """Return how instants are written, and a column of numbers for them; None: they are no instants.

        Numbers, and texts of digits, are such only if they follow the times of their messages: any may be as large.

        Args:
            values: The values; None: there is none.
            due: The conversation of each message, and when it was due there (ms).
        """
        times = [None if value is None else time_of(value) for value in values]
        present = [(time, *due[i]) for i, time in enumerate(times) if time is not None]
        if not present or len(present) != sum(value is not None for value in values):
            return None
        form = max((value for value in values if value is not None), key=lambda value: len(str(value)))
        unit = _unit(form, time_of(form) or 0)
        bases = _bases(present)
        apart = [time - round(ms * 1e6) - bases[talk] for time, talk, ms in present]
        if _close(form, present, apart):
            # What was cut off behind the last digit makes no difference: with it two could change their order.
            if max(apart) - min(apart) <= unit:
                apart = [max(apart)] * len(apart)
            first = bases[present[0][1]]
            around = iter(apart)
            return cls(form, 1, first), [None if time is None else next(around) for time in times]
        if not _is_text(form):
            return None
        if max(abs(time) for time, _, _ in present) // unit >= 2**62:
            return None
        return cls(form, unit, None), [None if time is None else time // unit for time in times]

    def written(self, value: int, now: float) -> Any:
        """Return a number of the column as an instant of a message that is due at `now` (ms)."""
        time = int(value) * self.unit if self.follows is None else self.follows + round(now * 1e6) + int(value)
        return moved(self.form, time - (time_of(self.form) or 0))


def _bases(present: Sequence[tuple[int, int, float]]) -> dict[int, int]:
    """Return how far the instants of each conversation are from its messages' times, typically (ns)."""
    apart: dict[int, list[int]] = {}
    for time, talk, ms in present:
        apart.setdefault(talk, []).append(time - round(ms * 1e6))
    return {talk: sorted(each)[len(each) // 2] for talk, each in apart.items()}


def _close(form: Any, present: Sequence[tuple[int, int, float]], apart: Sequence[int]) -> bool:
    """Return whether instants are never far from their messages' times, but for a constant."""
    spans: dict[int, list[int]] = {}
    for time, talk, _ in present:
        spans.setdefault(talk, []).append(time)
    if _is_day(form):
        return False
    if len(spans) == len(present):  # one in each conversation: a text says what it is, a number may be anything
        return _is_text(form)
    if len(present) < FEW and not _is_text(form):
        return False
    span = max(max(each) - min(each) for each in spans.values())
    spread = (sum(float(each) ** 2 for each in apart) / len(apart)) ** 0.5
    return span > 0 and spread < CLOSE * span


def _is_text(form: Any) -> bool:
    """Return whether an instant is written as ISO 8601 has it."""
    return isinstance(form, str) and not form.replace(".", "").isdigit()


def _is_day(form: Any) -> bool:
    return _is_text(form) and len(form) == len("2026-01-01")


def _unit(form: Any, time: int) -> int:
    """Return what the last digit of an instant's form stands for, in ns."""
    if _is_day(form):
        return DAY
    if _is_text(form):
        clock = form[11:].split("+")[0].split("-")[0].rstrip("Z")
        whole, _, part = clock.partition(".")
        return int(10 ** (9 - len(part)) * (60 if whole.count(":") == 1 else 1))
    digits = len(str(form).partition(".")[2])
    return max(1, round(time / float(form)) // int(10 ** min(digits, 9)))
