"""Mock: the frozen description of a server, one word a method."""

from __future__ import annotations

import math
import os
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime, timedelta
from typing import TYPE_CHECKING, Any, Literal

from .core.conditions import LatencyProfile, latency
from .core.message import encoded
from .core.plan import Echo, Plan, Replay
from .core.units import human, number, seconds
from .errors import OptionError, TemplateError, nearest, raise_first
from .script import Script

if TYPE_CHECKING:
    from .server import MockServer, Starting
    from .traffic import Traffic

THEN = ("hold", "close")
DAY_MS = 86_400_000
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, eq=False)
class Played:
    """A replay as it was asked for; the source tells two apart, where the program cannot."""

    source: object
    options: tuple[tuple[str, object], ...]
    replay: Replay
    script: Script

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Played):
            return NotImplemented
        pairs = zip(self.options, other.options, strict=True)
        return _same(self.source, other.source) and all(a[0] == b[0] and _same(a[1], b[1]) for a, b in pairs)

    __hash__ = None  # type: ignore[assignment]  # a table has none

    def describe(self) -> str:
        """Return what is played, and how long it lasts as it is played."""
        program, speed = self.replay.program, self.replay.speed
        count = f"{len(program):,} step{'s' if len(program) != 1 else ''}"
        if math.isinf(speed):
            return f"{program.name}, {count} as fast as they are read"
        lasts = program.at[-1] / speed / 1000
        return f"{program.name}, {count}" + (f" in {human(lasts)}" if lasts else "")

    def __reduce__(self) -> tuple[Any, ...]:
        # A program has compiled patterns and templates; in another process it is made again of its source.
        return _replayed, (self.source, dict(self.options))


def _replayed(source: object, options: dict[str, Any]) -> Played | None:
    return Mock().replay(source, **options)._played


def _same(a: object, b: object) -> bool:
    """Tables and callables equal only themselves; texts, numbers, paths and lists of them go by value."""
    plain = (str, int, float, timedelta, os.PathLike, list, tuple, type(None))
    return a is b or (isinstance(a, plain) and isinstance(b, plain) and a == b)


@dataclass(frozen=True, kw_only=True, repr=False)
class Mock:
    """A WebSocket server, described; every method returns a new Mock and changes nothing.

    ``Mock()`` alone sends each message back, at ``/ws`` on port 3001.

    Example:
        >>> Mock().latency("slow").echo(prefix="> ")
        Mock().echo(prefix='> ').latency(300-800 ms)
    """

    _echo: Echo | None = None
    _played: Played | None = None
    _latency: LatencyProfile | None = None
    _seed: int | None = None
    _clock_ns: int | None = None
    _expand: bool = True
    _names: Mapping[str, Any] = field(default_factory=dict)
    _limits: Mapping[str, float] = field(default_factory=dict)

    __hash__ = None  # type: ignore[assignment]  # it may hold tables

    # What a connection does: one of these

    def echo(self, prefix: str = "") -> Mock:
        """Send each message back, text or binary, exactly as it came, after `prefix`.

        Raises:
            OptionError: The mock does something already, or `prefix` is no text.
        """
        self._has_no_behaviour("echo()")
        if not isinstance(prefix, str):
            raise OptionError("echo(prefix=)", prefix, "is not a text")
        return replace(self, _echo=Echo(prefix))

    def replay(
        self,
        source: object,
        *,
        time: str | None = None,
        unit: str | None = None,
        rate: float | None = None,
        columns: Sequence[str] | None = None,
        template: str | Callable[[dict[str, Any]], str | bytes | dict[str, Any]] | None = None,
        rows: bool | None = None,
        speed: float | Literal["max"] = 1.0,
        duration: float | str | timedelta | None = None,
        loop: bool | int = False,
        shared: bool = False,
        then: Literal["hold", "close"] = "hold",
        timing: Literal["offset", "delay"] = "offset",
    ) -> Mock:
        """Play a script to each connection.

        Args:
            source: A `Script`, a path to a ``.jsonl`` file, a DataFrame or other table, a list of dicts or texts.
            time: A table's column of times: datetimes with or without zone (counted from the earliest), timedeltas
                or numbers of seconds from the script's start; numbers the size of an epoch (s, ms, µs or ns) are
                recognised and counted from the earliest. Rows are sorted by it, stably.
            unit: The unit of a numeric time column, as in `pandas.to_datetime`.
            rate: Messages a second, for a table or list without times.
            columns: The columns that are sent.
            template: What a row is sent as: a text with ``{{row.name}}``, or a function of the row as a dict.
            rows: Whether a list's dicts are rows or steps, where it cannot be told from their keys.
            speed: What the script's times are divided by; ``"max"``: as fast as the client reads.
            duration: How long the whole shall take, in place of `speed`: seconds, ``"60s"``, a timedelta.
            loop: Play it again, without end or that many times in all. A table's next round begins its mean gap
                after the last row.
            shared: One play-head for all connections, which starts with the first: who joins late enters now.
            then: What follows the last step: ``"hold"`` keeps the connection open, ``"close"`` closes it (1000).
            timing: Whether a step's `ts` counts from the script's start or is the pause before the step.

        Raises:
            OptionError: An argument that is wrong or does not fit the others.
            ScriptError: A source that cannot be played, with everything that is wrong with it.

        Warns:
            UserWarning: It would last over a day, a step's time goes back, or no way leads to a step.
        """
        self._has_no_behaviour("replay()")
        if then not in THEN:
            raise OptionError("replay(then=)", then, valid=THEN)
        for name, flag in (("shared", shared), *((("rows", rows),) if rows is not None else ())):
            if not isinstance(flag, bool):
                raise OptionError(f"replay({name}=)", flag, "is neither True nor False")
        if rate is not None and not 0 < number(rate) < math.inf:
            raise OptionError("replay(rate=)", rate, "is no number of messages a second greater than 0")
        options = {"time": time, "unit": unit, "rate": rate, "columns": columns, "template": template}
        script = Script.of(source, rows=rows, timing=timing, **options).validate()
        program = script.program
        factor = _speed(speed, duration, program.at[-1])
        if shared and math.isinf(factor):
            raise OptionError("replay(shared=)", shared, 'has no play-head under speed="max"', "give a speed or rate")
        if shared and (program.waits or program.jumps):
            raise OptionError("replay(shared=)", shared, "goes with no script that waits for its client or jumps")
        if math.isinf(factor) and any(step.every_ms and step.repeat is None for step in program.hand_written):
            raise OptionError("replay(speed=)", speed, "leaves a step that repeats without end no pause")
        back = program.backwards
        if back is not None:
            step = program.steps[back]
            place = f"{program.name}:{step.line}" if step.line else f"step {back}"
            warnings.warn(
                f"{place}: ts={step.ts:g} is before the step before it, so it is sent at once; "
                'if ts is the pause before each step, say timing="delay"',
                stacklevel=2,
            )
        lasts = program.at[-1] / factor
        if lasts > DAY_MS:
            warnings.warn(
                f"this replay lasts {human(lasts / 1000)}; duration='60s' fits it to a minute, speed= divides it",
                stacklevel=2,
            )
        played = Replay(program, factor, _rounds(loop), shared, then)
        kept = {
            **options,
            "rows": rows,
            "speed": speed,
            "duration": duration,
            "loop": loop,
            "shared": shared,
            "timing": timing,
        }
        return replace(self, _played=Played(source, (*kept.items(), ("then", then)), played, script))

    def _has_no_behaviour(self, call: str) -> None:
        there = "echo()" if self._echo else "replay()" if self._played else None
        if there:
            raise OptionError(
                call,
                self,
                f"already has {there}, and a mock has one behaviour",
                "begin a new one with Mock(), or serve two on two ports",
            )

    # Under what conditions

    def latency(self, value: object) -> Mock:
        """Delay what is sent, as a network does: each message by its own delay, in their order.

        Args:
            value: ``"fast"`` (10-50 ms), ``"normal"`` (50-200 ms), ``"slow"`` (300-800 ms); a number of ms or a text
                such as ``"1s"``; a pair ``(low, high)``; a `LatencyProfile`; None: no latency.

        Raises:
            OptionError: It is none of these.
        """
        return replace(self, _latency=None if value is None else latency(value))

    def seed(self, value: int) -> Mock:
        """Make whatever is random the same in each run, for each connection by its own number.

        Raises:
            OptionError: `value` is no whole number.
        """
        if isinstance(value, bool) or not hasattr(value, "__index__"):
            raise OptionError("seed()", value, "is no whole number")
        return replace(self, _seed=value.__index__())

    def clock(self, start: str | datetime | date) -> Mock:
        """Let ``{{now}}`` and the traffic's time start at `start` and go on with the script's time.

        Args:
            start: A time in ISO 8601 or a datetime; without a zone it is UTC.

        Raises:
            OptionError: It is no time.
        """
        return replace(self, _clock_ns=_epoch_ns(start))

    def templates(self, on: bool = True, /, **context: Any) -> Mock:
        """Give templates the user's own functions and values: ``.templates(price=lambda: 7)`` for ``{{price}}``.

        Args:
            on: Whether templates are expanded; otherwise a script's texts are sent as they stand.
            context: Names, and what they stand for; a function is called for each message.

        Raises:
            OptionError: `on` is neither True nor False.
        """
        if not isinstance(on, bool):
            raise OptionError("templates()", on, "is neither True nor False")
        return replace(self, _expand=on, _names={**self._names, **context})

    def limits(
        self,
        *,
        connections: int | None = None,
        message_bytes: int | None = None,
        queue_bytes: int | None = None,
        handshake_seconds: float | None = None,
        log_bytes: int | None = None,
    ) -> Mock:
        """Set bounds; what is not named stays as it is.

        Args:
            connections: How many may be open at once; a further one is refused with 503.
            message_bytes: The largest message that is taken; a larger one closes the connection with 1009.
            queue_bytes: How much may wait to be sent on a connection before nothing more is read from it.
            handshake_seconds: How long a client has to send its handshake.
            log_bytes: How many bytes of payloads the traffic keeps; the oldest leave memory first.

        Raises:
            OptionError: A bound that is no number greater than 0.
        """
        given = {name: value for name, value in locals().items() if name != "self" and value is not None}
        for name, value in given.items():
            if not 0 < number(value) < math.inf:
                raise OptionError(f"limits({name}=)", value, "is no number greater than 0")
        return replace(self, _limits={**self._limits, **given})

    # Run it

    def serve(
        self, *, host: str | None = None, port: int | None = None, path: str = "/ws", replace: bool = False
    ) -> MockServer:
        """Run the mock on a background thread; it listens when this returns.

        Args:
            host: The address to listen on; ``MOCKFORGE_WS_HOST`` or ``127.0.0.1`` unless given.
            port: The port; ``MOCKFORGE_WS_PORT`` or 3001 unless given, 0: any free one.
            path: The path of the mock; others answer 404.
            replace: Whether a server of this process that holds the port is stopped first. A notebook cell that
                runs again replaces its own server without it.

        Raises:
            OptionError: A wrong argument, or a template with a variable that nothing defines.
            BindError: The port cannot be had.
        """
        from .server import serve

        return serve(self, self._plan(), host=host, port=port, path=path, replace=replace)

    def serve_async(
        self, *, host: str | None = None, port: int | None = None, path: str = "/ws", replace: bool = False
    ) -> Starting:
        """Run the mock from a coroutine: ``async with mock.serve_async() as server``, or ``await`` it.

        Arguments and errors are those of `serve`; the handle's waits are coroutines.
        """
        from .server import Starting

        return Starting(self, self._plan(), {"host": host, "port": port, "path": path, "replace": replace})

    def simulate(
        self,
        client: Sequence[tuple[float | str | timedelta, object]] = (),
        *,
        until: float | str | timedelta = "10min",
        connections: int = 1,
        path: str = "/ws",
        check: bool = True,
    ) -> Traffic:
        """Play the mock without sockets in virtual time: at once, and the same on every run.

        The sessions are those that `serve` runs. Clients connect at time 0, read at once, and say what they are
        told to. Without a seed it is 0, without a clock time begins with 1970.

        Args:
            client: What each client says, as pairs of a time (s after its handshake) and text, bytes, anything else
                as JSON, or None: it closes the connection.
            until: When the simulation ends.
            connections: How many clients there are.
            path: The path of the mock.
            check: Whether to raise what went wrong by the author's doing, as ``server.check()`` does.

        Raises:
            OptionError: A wrong argument, or a script that lets no time pass.
        """
        from .core.simulation import Said, Simulation
        from .traffic import Traffic

        says = []
        for index, each in enumerate(client):
            if not isinstance(each, (tuple, list)) or len(each) != 2:
                raise OptionError("simulate(client)", each, f"at {index} is no pair of a time and a message")
            at = seconds(each[0], "simulate(client)")
            says.append(Said(at) if each[1] is None else Said(at, *encoded(each[1], "simulate(client)")))
        if isinstance(connections, bool) or not isinstance(connections, int) or connections < 1:
            raise OptionError("simulate(connections=)", connections, "is no number from 1 on")
        simulation = Simulation(self._plan(), path, self._seed or 0)
        simulation.run(says, seconds(until, "simulate(until=)"), connections)
        if check:
            raise_first(simulation.failed)
        return Traffic(simulation.log)

    def _plan(self) -> Plan:
        behaviour: Echo | Replay = self._echo or Echo()
        if self._played:
            behaviour = self._played.replay
            unknown = sorted(behaviour.program.variables - set(self._names))
            if unknown and self._expand:
                from .core.template import KNOWN

                known = [*self._names, *KNOWN]
                raise TemplateError(
                    "{{" + unknown[0] + "}}",
                    f"no variable {unknown[0]!r} is known{nearest(unknown[0], known)}; "
                    f"give it with .templates({unknown[0]}=…)",
                )
        sizes = {k: int(self._limits[k]) for k in ("message_bytes", "queue_bytes") if k in self._limits}
        return Plan(behaviour, self._latency, self._clock_ns, self._expand, dict(self._names), **sizes)

    # How it shows itself

    def words(self) -> list[str]:
        """Return what was said, ``Mock()`` first."""
        words = ["Mock()"]
        if self._echo:
            words.append(f"echo(prefix={self._echo.prefix!r})" if self._echo.prefix else "echo()")
        if self._played:
            words.append(f"replay({self._played.describe()})")
        if self._latency:
            words.append(f"latency({self._latency.describe()})")
        if self._seed is not None:
            words.append(f"seed({self._seed})")
        if self._clock_ns is not None:
            words.append(f"clock({(EPOCH + timedelta(microseconds=self._clock_ns // 1000)).isoformat()!r})")
        if self._names or not self._expand:
            words.append(f"templates({', '.join([*([] if self._expand else ['False']), *self._names])})")
        if self._limits:
            words.append(f"limits({', '.join(f'{k}={v:,}' for k, v in self._limits.items())})")
        return words

    def __repr__(self) -> str:
        return ".".join(self.words())

    def _repr_html_(self) -> str:
        from .notebook.display import mock_html

        return mock_html(self)


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


def _epoch_ns(start: object) -> int:
    problem = 'is no time; valid: "2024-01-15T10:30:00Z" or a datetime'
    try:
        moment = datetime.fromisoformat(start) if isinstance(start, str) else start
    except ValueError:
        raise OptionError("clock()", start, problem) from None
    if isinstance(moment, date) and not isinstance(moment, datetime):
        moment = datetime(moment.year, moment.month, moment.day, tzinfo=UTC)
    if not isinstance(moment, datetime) or moment != moment:
        raise OptionError("clock()", start, problem)
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=UTC)
    return (moment - EPOCH) // timedelta(microseconds=1) * 1000
