"""What an author says of the network, in the same words to a Mock and to a server that runs."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING, Any, Final, Generic, Literal, TypeVar

from .core.conditions import NONE, Conditions, Delay, Phase, bandwidth
from .core.faults import DIRECTIONS, Fault, fault
from .core.latency import latency
from .core.match import pattern
from .core.pattern import Pattern
from .core.units import seconds
from .errors import OptionError
from .words import Word

if TYPE_CHECKING:
    from .mock import Mock

R = TypeVar("R", covariant=True)


class NetworkWords(Generic[R]):
    """The words of the network's conditions; of a Mock each returns a new Mock, of a server what puts it back."""

    @abstractmethod
    def _says(self, word: Word) -> R:
        """Take over a word."""

    def latency(self, value: object, *, direction: Literal["out", "in"] = "out", only: object = None) -> R:
        """Delay messages, as a network does: each by its own delay, in their order.

        Args:
            value: ``"fast"`` (10-50 ms), ``"normal"`` (50-200 ms), ``"slow"`` (300-800 ms); a number of ms or a text
                such as ``"1s"``; a pair ``(low, high)``; a `LatencyProfile`; measured ms to draw from, as a Series; a
                function of the message that returns ms; None: no latency.
            direction: ``"out"``: to the client; ``"in"``: from it.
            only: Which messages, as the pattern of `when`; others have the latency that is said without it.

        Raises:
            OptionError: An argument that is wrong.

        Example:
            >>> Mock().latency("slow").latency((5, 20), direction="in").latency(900, only="AMZN")
            Mock().latency(300-800 ms).latency(5-20 ms, direction='in').latency(900 ms, only='AMZN')
            >>> with Mock().serve(port=0) as server, server.latency(250):
            ...     server.live
            ['latency(250 ms)']
        """
        way, which = _way(direction, "latency(direction=)"), _pattern(only, "latency(only=)")
        made = None if value is None else Delay(latency(value), way, which)
        arguments = {"value": value, "direction": direction, "only": only}
        return self._says(Word("latency", arguments, (way, which, made)))

    def bandwidth(
        self, value: str | float | None, *, burst: str | int = 0, direction: Literal["out", "in"] = "out"
    ) -> R:
        """Let so many bytes through a second; messages that wait keep their order.

        Args:
            value: Bytes a second, a text such as ``"100kB"``, or ``"56k" "gprs" "edge" "2g" "slow-3g" "3g" "4g" "lte"
                "dsl" "cable"``; None: any number.
            burst: How many bytes may go at once after a pause.
            direction: ``"out"``: to the client; ``"in"``: from it.

        Raises:
            OptionError: An argument that is wrong.

        Example:
            >>> mock = Mock().bandwidth(1000).replay(["x" * 1000, "y"])
            >>> mock.simulate().select(opcode="text").df["elapsed"].round(1).tolist()
            [1.0, 1.0]
        """
        way = _way(direction, "bandwidth(direction=)")
        made = None if value is None else bandwidth(value, burst, way)
        arguments = {"value": value, "burst": burst, "direction": direction}
        return self._says(Word("bandwidth", arguments, (way, made)))

    def fault(
        self,
        name: str,
        *,
        probability: float = 1.0,
        direction: Literal["out", "in", "both"] | None = None,
        only: object = None,
        after: int | str | timedelta | None = None,
        times: int | None = None,
        scope: Literal["connection", "server"] = "connection",
        **options: Any,
    ) -> R:
        """Let something go wrong.

        Args:
            name: A message's: ``drop duplicate reorder corrupt latency slicer invalid_utf8 bad_frame oversize flood``.
                The connection's end: ``close abort reset_peer``. Its state: ``bandwidth limit_data timeout half_open
                slow_close no_pong``. The handshake's: ``reject wrong_accept missing_upgrade slow_handshake
                cut_handshake wrong_subprotocol``.
            probability: How likely it strikes: each message; a state, each connection; each handshake.
            direction: Whose messages it strikes or counts: ``"out"`` (to the client; most faults' own), ``"in"``,
                ``"both"``.
            only: Which messages it strikes or counts, as the pattern of `when`.
            after: What passes before: ``3`` messages, ``"10kB"`` or ``"5s"`` of the connection.
            times: How often it strikes.
            scope: Whether `after` and `times` are each connection's or the ``"server"``'s.
            options: What the fault takes itself, such as ``code=1012`` or ``size=64``.

        Raises:
            OptionError: There is no such fault, or an argument is wrong.

        Example:
            >>> mock = Mock().replay(["a", "b", "c", "d"]).fault("drop", after=1, times=2)
            >>> mock.simulate().select(opcode="text").df[["text", "fault"]].fillna("").values.tolist()
            [['a', ''], ['b', 'drop'], ['c', 'drop'], ['d', '']]
        """
        arguments = {k: v for k, v in locals().items() if k not in ("self", "options", "__class__")} | options
        made = fault(
            name,
            probability=probability,
            direction=direction,
            only=_pattern(only, "fault(only=)"),
            after=after,
            times=times,
            scope=scope,
            options=options,
        )
        return self._says(Word("fault", arguments, made))

    def reject(
        self,
        status: int = 503,
        body: str = "",
        headers: Mapping[str, str] | None = None,
        *,
        probability: float = 1.0,
        after: int | None = None,
        times: int | None = None,
    ) -> R:
        """Answer handshakes with an HTTP response in place of a connection.

        Args:
            status: The HTTP status, from 200 to 599.
            body: The body, a text; statuses 204, 205 and 304 have none.
            headers: Names and values, such as ``{"Retry-After": "2"}``; they take the place of those that are there
                without them (``Content-Type: text/plain``).
            probability: How likely each handshake is refused.
            after: How many handshakes are answered before.
            times: How many are refused.

        Raises:
            OptionError: An argument that is wrong.

        Example:
            >>> with Mock().reject(503, "deploying", times=1).serve(port=0) as server:
            ...     try:
            ...         server.client()
            ...     except Exception as error:
            ...         print(error)
            ...     with server.client() as client:
            ...         client.send("hi")
            ...         client.recv()
            server rejected WebSocket connection: HTTP 503
            'hi'
        """
        options = {"status": status, "body": body, "headers": headers or {}}
        made = fault("reject", probability=probability, after=after, times=times, scope="server", options=options)
        arguments = options | {"probability": probability, "after": after, "times": times}
        return self._says(Word("reject", arguments, made))

    def connect_delay(self, delays: float | str | timedelta | Sequence[float | str | timedelta] | None) -> R:
        """Let the answer to a handshake take its time: ``[6, 3, 0]`` seconds for the first, second, third attempt.

        Args:
            delays: Seconds, ``"250ms"`` or a timedelta; a list: one each attempt at a path, the last holds on.

        Raises:
            OptionError: It is no duration, or an empty list.

        Example:
            >>> Mock().connect_delay(["20ms", 0])
            Mock().connect_delay(['20ms', 0])
        """
        given = [] if delays is None else delays if isinstance(delays, (list, tuple)) else [delays]
        if delays is not None and not given:
            raise OptionError("connect_delay()", delays, "has no delay")
        made = tuple(seconds(each, "connect_delay()") for each in given)
        return self._says(Word("connect_delay", {"delays": delays}, made))

    def phases(self, phases: Iterable[tuple[float | str | timedelta, Mock | str]], *, loop: bool = False) -> R:
        """Let conditions change while a connection is open: ``[("30s", good), ("10s", outage)]``.

        Args:
            phases: How long each holds, and what: a Mock of which the conditions count, or the name of a preset.
                Its latency and bandwidth take the place of those said besides, its faults come to them.
            loop: Whether they begin again; else what is said besides holds after the last.

        Raises:
            OptionError: An argument that is wrong.

        Example:
            >>> outage = Mock().fault("drop")
            >>> mock = Mock().phases([(2, Mock()), (2, outage)]).replay(["a", "b", "c", "d", "e"], rate=1)
            >>> mock.simulate().select(opcode="text").df["fault"].fillna("").tolist()
            ['', '', 'drop', 'drop', '']
        """
        made = []
        listed = list(phases)
        for index, each in enumerate(listed):
            where = f"phases(), at {index}"
            if not isinstance(each, (tuple, list)) or len(each) != 2:
                raise OptionError(where, each, "is no pair of a duration and a Mock")
            holds = seconds(each[0], where)
            if holds <= 0:
                raise OptionError(where, each[0], "lasts no time")
            made.append(Phase(holds, _of_phase(each[1], where)))
        if not made:
            raise OptionError("phases()", listed, "has no phase")
        if not isinstance(loop, bool):
            raise OptionError("phases(loop=)", loop, "is neither True nor False")
        return self._says(Word("phases", {"phases": listed, "loop": loop}, (tuple(made), loop)))

    def preset(self, name: Literal["train", "flaky_wifi", "satellite", "deploy"]) -> R:
        """Take the conditions of a day that people know.

        Args:
            name: ``"train"``: mobile, with tunnels in which nothing comes through; ``"flaky_wifi"``: lost and late
                messages, and now and then a reset; ``"satellite"``: 600 ms and a narrow way up; ``"deploy"``: every
                connection is closed with 1012 after 20 to 40 s, and coming back takes two attempts.

        Raises:
            OptionError: There is none of that name.

        Example:
            >>> traffic = Mock().preset("satellite").simulate([(0, "hi")])
            >>> traffic.select(direction="out", opcode="text").df["elapsed"].gt(1).tolist()
            [True]
        """
        return self._says(Word("preset", {"name": name}, _preset(name, "preset()")))


class Sheet(NetworkWords["Sheet"]):
    """Conditions that are no Mock's yet."""

    def __init__(self, conditions: Conditions = NONE) -> None:
        self.conditions = conditions

    def _says(self, word: Word) -> Sheet:
        return Sheet(applied(self.conditions, word))


def applied(conditions: Conditions, word: Word) -> Conditions:
    """Return conditions with one word more: faults come to what is there, everything else takes its place."""
    made: Any = word.made
    if word.call == "latency":
        way, only, new = made
        written = None if only is None else only.written or only
        others = [
            each
            for each in conditions.delays
            if each.direction != way or (None if each.only is None else each.only.written or each.only) != written
        ]
        return replace(conditions, delays=(*others, *([new] if new is not None else [])))
    if word.call == "bandwidth":
        way, new = made
        rates = [each for each in conditions.bandwidths if each.direction != way]
        return replace(conditions, bandwidths=(*rates, *([new] if new is not None else [])))
    if word.call == "connect_delay":
        return replace(conditions, connect_delay=made)
    if word.call == "phases":
        return replace(conditions, phases=made[0], loop=made[1])
    if isinstance(made, Fault):
        return replace(conditions, faults=(*conditions.faults, made))
    preset: Conditions = made
    return replace(
        conditions,
        delays=preset.delays or conditions.delays,
        bandwidths=preset.bandwidths or conditions.bandwidths,
        faults=conditions.faults + preset.faults,
        connect_delay=preset.connect_delay or conditions.connect_delay,
        phases=preset.phases or conditions.phases,
        loop=preset.loop if preset.phases else conditions.loop,
    )


def conditions_of(words: Iterable[Word], base: Conditions = NONE) -> Conditions:
    """Return the conditions that words make of others."""
    for word in words:
        base = applied(base, word)
    return base


def same_place(word: Word, other: Word) -> bool:
    """Return whether a word takes the place of another that was said before."""
    if word.call != other.call or word.call in ("fault", "reject", "preset"):
        return False
    if word.call == "phases" or word.call == "connect_delay":
        return True
    return bool(word.made[0] == other.made[0] and word.arguments.get("only") == other.arguments.get("only"))


def _of_phase(holds: object, where: str) -> Conditions:
    if isinstance(holds, str):
        found = _preset(holds, where)
    else:
        words = getattr(holds, "_network", None)
        if words is None:
            raise OptionError(where, holds, "is neither a Mock nor the name of a preset")
        kind: Any = type(holds)
        if holds != kind(_network=words):
            raise OptionError(where, holds, "does more than change the network", "a phase has conditions alone")
        found = conditions_of(words)
    if found.phases or found.connect_delay or found.knocks:
        raise OptionError(where, holds, "has phases or handshakes of its own", "these are said of the whole")
    return found


def _preset(name: object, where: str) -> Conditions:
    if not isinstance(name, str) or name not in PRESETS:
        raise OptionError(where, name, "is no preset", f"valid: {', '.join(map(repr, PRESETS))}")
    return PRESETS[name](Sheet()).conditions


def _train(sheet: Sheet) -> Sheet:
    ride = sheet.latency((60, 250)).bandwidth("3g")
    tunnel = Sheet().fault("half_open").conditions
    open_country = Sheet().latency((40, 120)).bandwidth("4g").conditions
    phases = ((20.0, open_country), (8.0, Conditions()), (6.0, tunnel), (12.0, Conditions()))
    return Sheet(replace(ride.conditions, phases=tuple(Phase(*each) for each in phases), loop=True))


PRESETS: Final[Mapping[str, Callable[[Sheet], Sheet]]] = {
    "train": _train,
    "flaky_wifi": lambda sheet: (
        sheet.latency((5, 60))
        .fault("drop", probability=0.02)
        .fault("latency", probability=0.05, delay=0.8, jitter=0.4)
        .fault("reset_peer", probability=0.002)
    ),
    "satellite": lambda sheet: (
        sheet.latency((560, 640)).latency((560, 640), direction="in").bandwidth("4g").bandwidth("edge", direction="in")
    ),
    "deploy": lambda sheet: (
        sheet.fault("close", code=1012, reason="service restart", after="20s", probability=0.5)
        .fault("close", code=1012, reason="service restart", after="40s")
        .connect_delay([0, 2, 0])
        .fault("reject", status=503, body="deploying\n", headers={"Retry-After": "1"}, after=1, times=1, scope="server")
    ),
}


def _way(direction: object, where: str) -> Literal["in", "out"]:
    if direction == "out":
        return "out"
    if direction == "in":
        return "in"
    raise OptionError(where, direction, valid=DIRECTIONS[:2])


def _pattern(only: object, where: str) -> Pattern | None:
    return None if only is None else pattern(only, where=where)


def faults_of(conditions: Conditions) -> Iterator[Fault]:
    """Return all faults that may come."""
    yield from conditions.faults
    for phase in conditions.phases:
        yield from faults_of(phase.conditions)


def preset_with(name: str, words: Iterable[Word]) -> str | None:
    """Return which preset that was said has a fault of this name; None: the fault itself was said."""
    said: list[Any] = []
    for word in words:
        if word.call == "fault" and word.arguments.get("name") == name:
            return None
        if word.call == "preset":
            said.append(word.arguments["name"])
        elif word.call == "phases":
            listed: Any = word.arguments["phases"]
            said += [holds for _, holds in listed if isinstance(holds, str)]
    return next((one for one in said if any(each.name == name for each in faults_of(_preset(one, "")))), None)
