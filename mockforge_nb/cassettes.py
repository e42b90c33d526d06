"""What an author says of a proxy that records and plays, to what the core is given when the mock is served."""

from __future__ import annotations

import inspect
import math
import os
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any, Final, Literal, get_args

from .core.carry import carried
from .core.cassette import Cassette, Tape, tape_of
from .core.compare import Comparison, paths
from .core.message import NOT_JSON, Message
from .core.moved import time_of
from .core.plan import Recording, Relay, Replay
from .core.recorded import shown_url, ws_url
from .core.units import number
from .errors import OptionError, RecordingError, ScriptFileNotFoundError
from .proxies import relay
from .recordings import suffix_problem
from .script import Script
from .sources import connections_of

Mode = Literal["all", "once", "new_episodes", "none"]
MODES: Final = get_args(Mode)
MATCHES: Final = ("order", "equal", "json")

OF_CASSETTES: Final[Mapping[str, object]] = {
    "match": "equal", "ignore": (), "carry": None, "rebase": (), "allow_playback_repeats": False, "speed": 1.0,
}  # fmt: skip
"""What goes with a mode that plays, and what it is unless it is said."""


@dataclass(frozen=True, slots=True, eq=False)
class Proxied:
    """A relay, the file that it is recorded to, and how that is played.

    Attributes:
        relay: The relay to the live server.
        path: The file; None: nothing is recorded.
        mode: What is played, and what is recorded.
        redact: The compiled JSONPaths of what is not recorded.
        cassette: How it is played: a cassette without tapes.
        subprotocol: The subprotocol of what is played where the upstream is down.
    """

    relay: Relay
    path: str | None = None
    mode: Mode = "all"
    redact: tuple[Any, ...] = ()
    cassette: Cassette | None = None
    subprotocol: str | None = None

    def now(self) -> tuple[Relay, tuple[Recording, ...]]:
        """Return the relay and what is recorded, by what is in the file now.

        Raises:
            RecordingError: Nothing is recorded there, and nothing may be.
            ScriptError: It cannot be read or played.
            OptionError: A time that is to be moved is nowhere in it.
        """
        if self.path is None:
            return self.relay, ()
        kept = Recording(self.path, self.redact, upstream=True)
        if self.cassette is None:
            return self.relay, (kept,)
        tapes = self._tapes()
        if tapes is None:
            if self.mode == "none":
                problem = f'{self.path} is not there, or nothing is in it, and record_mode="none" records nothing'
                raise RecordingError(f'{problem}; record_mode="once" records it the first time')
            problem = suffix_problem(self.path)
            if problem:
                raise OptionError("proxy(record=)", self.path, problem)
            return self.relay, (kept,)
        live = self.mode == "new_episodes"
        cassette = replace(self.cassette, name=self.path, tapes=tapes, live=live, redact=self.redact)
        self._check(cassette)
        return replace(self.relay, cassette=cassette), (replace(kept, append=True),) if live else ()

    def _tapes(self) -> tuple[Tape, ...] | None:
        """Return what was recorded; None: nothing was."""
        assert self.path is not None
        assert self.cassette is not None
        where = Path(self.path)
        try:
            if where.is_file() and not where.stat().st_size:
                return None
            scripts = connections_of(where)
        except ScriptFileNotFoundError:
            return None
        url = self.relay.upstream.url
        of_upstream = [each for each in scripts if url and ws_url(shown_url(each.recorded.url)) == url]
        match = self.cassette.match
        key = match if callable(match) else None
        ignore = self.cassette.comparison.ignore
        try:
            return tuple(
                tape_of(index, each.recorded, each.steps, self.path, key, self.cassette.carry, ignore)
                for index, each in enumerate(of_upstream or scripts)
            ) or None  # fmt: skip
        except (RecordingError, ValueError):
            raise
        except Exception as error:
            problem = f"raised {type(error).__name__} for a message of {self.path}: {error}"
            raise OptionError("proxy(match=)", match, problem, "it is asked for each recorded message, too") from error

    def _check(self, cassette: Cassette) -> None:
        """See that each path that is to be rebased finds a time."""
        for path in cassette.rebase:
            if not any(map(partial(_has_time, path), cassette.tapes)):
                raise OptionError(
                    "proxy(rebase=)", str(path), f"finds no time in what the server says in {cassette.name}"
                )


def _has_time(path: Any, tape: Tape) -> bool:
    for step in tape.program.steps if isinstance(tape.program.steps, tuple) else ():
        if step.dir == "out" and step.payload is not None:
            value = Message(step.payload.literal(), step.payload.opcode).parsed()
            if value is not NOT_JSON and any(time_of(node.obj) is not None for node in path.finditer(value)):
                return True
    return False


def proxied(arguments: Mapping[str, Any]) -> Proxied:
    """Return what `Mock.proxy` says; arguments and errors are its own."""
    given = dict(arguments)
    record, redact, mode, fallback = (given.pop(name) for name in ("record", "redact", "record_mode", "fallback"))
    played = {name: given.pop(name) for name in OF_CASSETTES}
    live = relay(**given)
    subprotocol: str | None = None
    if fallback is not None:
        stand_in = _fallback(fallback)
        live, subprotocol = replace(live, fallback=Replay(stand_in.program)), stand_in.recorded.subprotocol
    if mode not in MODES:
        raise OptionError("proxy(record_mode=)", mode, valid=MODES)
    if record is None:
        if mode != "all":
            raise OptionError("proxy(record_mode=)", mode, "says how a recording is used", "give record=, too")
        if redact:
            raise OptionError(
                "proxy(redact=)", redact, "says what is not recorded, and nothing is", "give record=, too"
            )
    cassette: Cassette | None = _cassette(played)
    if mode == "all":
        for name, value in played.items():
            if value != OF_CASSETTES[name]:
                problem = 'goes with a recording that is played: record_mode="once", "new_episodes" or "none"'
                raise OptionError(f"proxy({name}=)", value, problem)
        cassette = None
    if record is None:
        return Proxied(live, subprotocol=subprotocol)
    if not isinstance(record, (str, os.PathLike)):
        raise OptionError("proxy(record=)", record, "is no path of a file")
    path = os.fspath(record)
    problem = suffix_problem(path)
    if problem and mode in ("all", "new_episodes"):
        raise OptionError("proxy(record=)", path, problem)
    return Proxied(live, path, mode, paths(redact, "proxy(redact=)"), cassette, subprotocol)


def _fallback(source: object) -> Script:
    script = Script.of(source).validate()
    if script.rules or not len(script):
        problem = "has interactive lines" if script.rules else "has no steps"
        raise OptionError(
            "proxy(fallback=)", source, problem, "say them with when(), which holds with the upstream too"
        )
    return script


def _cassette(said: Mapping[str, Any]) -> Cassette:
    """Return a cassette without tapes that is played as it is said."""
    match, speed, carry, repeats = (said[name] for name in ("match", "speed", "carry", "allow_playback_repeats"))
    if inspect.iscoroutinefunction(match) or (not callable(match) and match not in MATCHES):
        raise OptionError("proxy(match=)", match, valid=(*MATCHES, "a function of the message"))
    if not isinstance(repeats, bool):
        raise OptionError("proxy(allow_playback_repeats=)", repeats, "is neither True nor False")
    factor = math.inf if isinstance(speed, str) and speed == "max" else number(speed)
    if not factor > 0 or (factor == math.inf and speed != "max"):
        raise OptionError("proxy(speed=)", speed, 'is neither a number greater than 0 nor "max"')
    ignore = paths(said["ignore"], "proxy(ignore=)")
    if ignore and match not in ("equal", "json"):
        raise OptionError("proxy(ignore=)", said["ignore"], 'goes with match="equal" or "json", which compare messages')
    return Cassette(
        name="",
        tapes=(),
        match="order" if match == "order" else match if callable(match) else "compare",
        comparison=Comparison("json" if match == "json" else "equal", ignore),
        # What does not count in a message is carried over, unless something else is said.
        carry=tuple(zip(ignore, ignore, strict=True)) if carry is None else carried(carry, "proxy(carry=)"),
        rebase=paths(said["rebase"], "proxy(rebase=)"),
        repeats=repeats,
        speed=factor,
    )
