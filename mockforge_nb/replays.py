"""What an author says of a replay, checked, to a Replay of the core."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from .core.plan import Replay, Silent, Stream
from .core.program import Program
from .core.units import human, number, seconds
from .errors import OptionError
from .script import Script
from .warned import warn

THEN = ("hold", "close")
DAY_MS = 86_400_000
TABLE = (
    "time", "unit", "rate", "columns", "template", "rows",
    "by", "snapshot", "rebase", "batch", "subscribe", "unsubscribe", "ack",
)  # fmt: skip
"""The options that go with a table or a list of rows."""


@dataclass(frozen=True, slots=True)
class Played:
    """A script, and how it is played: not at all if it has rules alone."""

    script: Script
    behaviour: Replay | Silent | Stream

    def describe(self) -> str:
        """Return what is played, and how long it lasts as it is played."""
        if isinstance(self.behaviour, Stream):
            return f"{self.script.name}, {self.script.summary()}"
        name = self.script.program.name
        if isinstance(self.behaviour, Silent):
            return f"{name}, {self.script.summary()}"
        speed = self.behaviour.speed
        if math.isinf(speed):
            return f"{name}, {self.script.counted()} as fast as they are read"
        lasts = self.script.duration / speed
        return f"{name}, {self.script.counted()}" + (f" in {human(lasts)}" if lasts else "")


def played(source: object, options: Mapping[str, Any]) -> Played:
    """Return the replay of a source; options, errors and warnings are those of `Mock.replay`, which calls this."""
    speed, duration, shared, then = (options[name] for name in ("speed", "duration", "shared", "then"))
    check_then(then, "replay(then=)")
    for name in ("shared", "rows"):
        if options[name] is not None and not isinstance(options[name], bool):
            raise OptionError(f"replay({name}=)", options[name], "is neither True nor False")
    if options["rate"] is not None and not 0 < number(options["rate"]) < math.inf:
        raise OptionError("replay(rate=)", options["rate"], "is no number of messages a second greater than 0")
    of_table = {name: options[name] for name in TABLE}
    script = Script.of(source, timing=options["timing"], **of_table).validate()
    if script.endless:
        return _endless(script, options)
    program = script.program
    rounds = _rounds(options["loop"])
    factor = _speed(speed, duration, script.duration * 1000)
    if not len(program):
        if rounds != 1 or shared or then != "hold":
            raise OptionError("replay()", source, "has rules alone", "loop=, shared= and then= go with steps")
        return Played(script, Silent())
    if shared and math.isinf(factor):
        raise OptionError("replay(shared=)", shared, 'has no play-head under speed="max"', "give a speed or rate")
    if shared and (program.last_wait >= 0 or program.jumps):
        raise OptionError("replay(shared=)", shared, "goes with no script that waits for its client or jumps")
    if math.isinf(factor) and any(step.every_ms and step.repeat is None for step in program.hand_written):
        raise OptionError("replay(speed=)", speed, "leaves a step that repeats without end no pause")
    _warn(program, factor)
    return Played(script, Replay(program, factor, rounds, shared, then))


def _endless(script: Script, options: Mapping[str, Any]) -> Played:
    """Return the replay of a script without end, whose messages are made while it is played."""
    for name, unset in (("loop", False), ("duration", None), ("then", "hold")):
        if options[name] != unset:
            raise OptionError(
                f"replay({name}=)", options[name], "goes with a script that ends, and this one has no end"
            )
    factor = _speed(options["speed"], None, 0)
    shared = bool(options["shared"])
    if shared and math.isinf(factor):
        raise OptionError("replay(shared=)", shared, 'has no play-head under speed="max"', "give a speed")
    return Played(script, script.stream(factor, shared=shared))


def check_then(then: object, where: str) -> None:
    """Raise OptionError unless `then` says what follows the last message."""
    if then not in THEN:
        raise OptionError(where, then, valid=THEN)


def _warn(program: Program, factor: float) -> None:
    """Warn, on the line that calls `Mock.replay`, of what is right and hardly meant."""
    back = program.backwards
    if back is not None:
        step = program.steps[back]
        place = f"{program.name}:{step.line}" if step.line else f"step {back}"
        warn(
            f"{place}: ts={step.ts:g} is before the step before it, so it is sent at once; if ts is the pause "
            'before each step, say timing="delay", or in a file {"mockforge": 1, "timing": "delay"} first'
        )
    lasts = program.duration / factor
    if lasts > DAY_MS:
        warn(f"this replay lasts {human(lasts / 1000)}; duration='60s' fits it to a minute, speed= divides it")


def _speed(speed: object, duration: object, last_ms: float) -> float:
    """Return what times are divided by; infinite for "max"."""
    if speed == "max" and isinstance(speed, str):
        factor = math.inf
    else:
        factor = number(speed)
        if not 0 < factor < math.inf:
            raise OptionError("replay(speed=)", speed, 'is neither a number greater than 0 nor "max"')
    if duration is None:
        return factor
    if factor != 1.0:
        raise OptionError("replay(duration=)", duration, f"and speed={speed!r} say the same thing; give one of them")
    wanted = seconds(duration, "replay(duration=)")
    if last_ms == 0:
        raise OptionError("replay(duration=)", duration, "has no times to fit", "give time= or rate=")
    return last_ms / 1000 / wanted if wanted else math.inf


def _rounds(loop: object) -> int | None:
    if isinstance(loop, bool):
        return None if loop else 1
    if not isinstance(loop, int) or loop < 1:
        raise OptionError("replay(loop=)", loop, "is neither True nor False nor a number of rounds from 1 on")
    return loop
