"""What may go wrong on a network, by name: what each fault takes, and when it strikes."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final, Literal, TypeAlias

from mockforge_nb.errors import OptionError, nearest

from .closecodes import check_close
from .pattern import Pattern
from .rules import SCOPES, Call
from .units import number, seconds, size

Direction: TypeAlias = Literal["in", "out", "both"]
DIRECTIONS: Final = ("in", "out", "both")
Group: TypeAlias = Literal["message", "end", "state", "handshake"]


@dataclass(frozen=True, slots=True)
class After:
    """From when on a fault strikes: so many messages, bytes or seconds (its connection's) are past."""

    what: Literal["messages", "bytes", "seconds"]
    value: float


@dataclass(frozen=True, slots=True, eq=False)
class Fault:
    """A fault as it was asked for; asked for twice it is two, each with what it has seen.

    Attributes:
        name: Its name, one of `FAULTS`.
        direction: Whose messages it strikes, or counts.
        probability: How likely it strikes: each message, or for a `state` each connection.
        only: Which messages it strikes, or counts; None: all.
        after: What passes before; None: nothing.
        times: How often it strikes at most; None: any number.
        scope: Whose `after` and `times` these are: each connection's, or the server's.
        options: What it takes besides, by name.
    """

    name: str
    direction: Direction = "out"
    probability: float = 1.0
    only: Pattern | None = None
    after: After | None = None
    times: int | None = None
    scope: Literal["connection", "server"] = "connection"
    options: Mapping[str, Any] = field(default_factory=dict)

    @property
    def kind(self) -> Kind:
        """What its name stands for."""
        return FAULTS[self.name]


Check: TypeAlias = Callable[[object, str], Any]


@dataclass(frozen=True, slots=True)
class Kind:
    """A fault as such.

    Attributes:
        group: What it strikes: a `message`; the connection, which it `end`s; the connection, whose `state` it is; or
            the `handshake`.
        means: What it does, in a sentence.
        takes: What it takes besides: names, their checks, and what they are unless given.
        directions: Which directions it may have; the first is its own unless said.
    """

    group: Group
    means: str
    takes: Mapping[str, tuple[Check, Any]] = field(default_factory=dict)
    directions: tuple[Direction, ...] = ("out", "in", "both")


def _count(value: object, where: str) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or value < 1:
        raise OptionError(where, value, "is no number from 1 on")
    return value


def _bytes(value: object, where: str) -> int:
    return max(1, size(value, where))


def _rate(value: object, where: str) -> float:
    if not 0 < number(value) < float("inf"):
        raise OptionError(where, value, "is no number of KB (1000 bytes) a second")
    return number(value)


def _code(value: object, where: str) -> int:
    check_close(value, "")
    assert isinstance(value, int)  # as was just checked
    return value


def _text(value: object, where: str) -> str:
    if not isinstance(value, str):
        raise OptionError(where, value, "is not a text")
    return value


def _choice(*valid: str) -> Check:
    def check(value: object, where: str) -> str:
        if value not in valid:
            raise OptionError(where, value, valid=valid)
        return str(value)

    return check


def _how_corrupt(value: object, where: str) -> object:
    if callable(value) and not isinstance(value, type):
        return Call.of(value, where, "payload")
    return _choice("bit", "truncate")(value, where)


def _status(value: object, where: str) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or not 200 <= value <= 599:
        raise OptionError(where, value, "is no HTTP status of a refusal, from 200 to 599")
    return value


def _headers(value: object, where: str) -> tuple[tuple[str, str], ...]:
    pairs = value.items() if isinstance(value, Mapping) else ()
    if not isinstance(value, Mapping) or not all(isinstance(k, str) and isinstance(v, str) for k, v in pairs):
        raise OptionError(where, value, "is no dict of header names and texts")
    if any(c in text for pair in value.items() for text in pair for c in "\r\n"):
        raise OptionError(where, value, "has a line end in a header")
    return tuple(value.items())


_OUT: Final[tuple[Direction, ...]] = ("out",)
_BOTH: Final[tuple[Direction, ...]] = ("both", "out", "in")
_IN: Final[tuple[Direction, ...]] = ("in",)

FAULTS: Final[Mapping[str, Kind]] = {
    # Messages
    "drop": Kind("message", "the message is lost"),
    "duplicate": Kind("message", "it comes more than once", {"copies": (_count, 2)}),
    "reorder": Kind(
        "message",
        "the next messages overtake it; if none comes in time, it comes late",
        {"by": (_count, 1), "within": (seconds, 1.0)},
    ),
    "corrupt": Kind(
        "message",
        "a bit of it is flipped, or its end is cut off, or a function changes it",
        {"how": (_how_corrupt, "bit")},
    ),
    "latency": Kind(
        "message",
        "it takes longer, each message by its own delay",
        {"delay": (seconds, 1.0), "jitter": (seconds, 0.0)},
    ),
    "slicer": Kind(
        "message",
        "it comes in fragments of about `size` bytes, `delay` apart",
        {"size": (_bytes, 64), "variation": (size, 0), "delay": (seconds, 0.0)},
        _OUT,
    ),
    "invalid_utf8": Kind("message", "its text has bytes that are no UTF-8", {}, _OUT),
    "bad_frame": Kind(
        "message",
        "its frame is one that RFC 6455 forbids",
        {"how": (_choice("rsv", "opcode", "masked", "control", "length"), "rsv")},
        _OUT,
    ),
    "oversize": Kind("message", "blanks make it as large as `size`", {"size": (_bytes, 2**21)}, _OUT),
    "flood": Kind("message", "it comes `count` times at once", {"count": (_count, 1000)}, _OUT),
    # The connection's end
    "close": Kind("end", "a close frame", {"code": (_code, 1011), "reason": (_text, "")}),
    "abort": Kind("end", "the TCP connection ends without a close frame"),
    "reset_peer": Kind("end", "the TCP connection is reset (RST)"),
    # The connection's state
    "bandwidth": Kind("state", "at most `rate` KB (1000 bytes) a second", {"rate": (_rate, 10.0)}),
    "limit_data": Kind("state", "after `size` bytes the rest is cut off and TCP ends", {"size": (size, 10_000)}),
    "timeout": Kind(
        "state", "nothing comes through, and TCP ends after `timeout`; 0: never", {"timeout": (seconds, 0.0)}, _BOTH
    ),
    "half_open": Kind("state", "nothing comes through, while TCP lives", {}, _BOTH),
    "slow_close": Kind("state", "TCP ends `delay` after the closing handshake", {"delay": (seconds, 1.0)}, _OUT),
    "no_pong": Kind("state", "pings are not answered", {}, _IN),
    # The handshake
    "reject": Kind(
        "handshake",
        "an HTTP response in place of a connection",
        {"status": (_status, 503), "body": (_text, ""), "headers": (_headers, ())},
        _IN,
    ),
    "wrong_accept": Kind("handshake", "the accept key is wrong", {}, _IN),
    "missing_upgrade": Kind("handshake", "the response has no Upgrade header", {}, _IN),
    "slow_handshake": Kind("handshake", "the response takes `delay`", {"delay": (seconds, 1.0)}, _IN),
    "cut_handshake": Kind("handshake", "TCP ends in the middle of the response", {}, _IN),
    "wrong_subprotocol": Kind(
        "handshake", "a subprotocol that was not offered", {"subprotocol": (_text, "refused")}, _IN
    ),
}  # fmt: skip


SILENT: Final = ("timeout", "half_open")
"""The faults under which nothing comes through."""

LOSING: Final = frozenset({"drop", "limit_data", *SILENT, *(name for name in FAULTS if FAULTS[name].group == "end")})
"""The faults by which a message never arrives, or not whole."""


def lost(names: str | None) -> bool:
    """Return whether a message never arrived that these faults (joined by commas) struck."""
    return names is not None and not LOSING.isdisjoint(names.split(","))


BODILESS: Final = (204, 205, 304)
"""The HTTP statuses whose responses have no body (RFC 9110 §6.4.1, §15.3.6)."""


def fault(
    name: str,
    *,
    probability: float = 1.0,
    direction: Direction | None = None,
    only: Pattern | None = None,
    after: object = None,
    times: int | None = None,
    scope: str = "connection",
    options: Mapping[str, object],
) -> Fault:
    """Return a fault whose arguments are checked; `options` are those that it takes itself.

    Raises:
        OptionError: There is none of that name, or an argument is wrong.
    """
    if not isinstance(name, str) or name not in FAULTS:
        raise OptionError("fault()", name, "is no fault" + nearest(str(name), FAULTS), f"valid: {', '.join(FAULTS)}")
    kind = FAULTS[name]
    if not 0 <= number(probability) <= 1:
        raise OptionError("fault(probability=)", probability, "is no number from 0 to 1")
    if direction is not None and direction not in kind.directions:
        raise OptionError(f"fault({name!r}, direction=)", direction, valid=kind.directions)
    if times is not None:
        _count(times, "fault(times=)")
    if scope not in SCOPES:
        raise OptionError("fault(scope=)", scope, valid=SCOPES)
    for option in options:
        if option not in kind.takes:
            takes = f"takes {', '.join(f'{each}=' for each in kind.takes)}" if kind.takes else "takes nothing besides"
            raise OptionError(f"fault({name!r})", option, "is nothing it takes" + nearest(option, kind.takes), takes)
    if kind.group == "handshake" and (only is not None or (after is not None and not isinstance(after, int))):
        raise OptionError(f"fault({name!r})", name, "strikes handshakes: only= and after= of messages are not theirs")
    checked = {
        option: check(options[option], f"fault({name!r}, {option}=)") if option in options else default
        for option, (check, default) in kind.takes.items()
    }
    if checked.get("body") and checked["status"] in BODILESS:
        problem = f"is a body, and a response of status {checked['status']} has none"
        raise OptionError(f"fault({name!r}, body=)", checked["body"], problem, "give another status, or no body")
    return Fault(
        name=name,
        direction=direction or kind.directions[0],
        probability=float(probability),
        only=only,
        after=_after(after),
        times=times,
        scope=scope,  # type: ignore[arg-type]  # as was checked
        options=checked,
    )


def _after(value: object) -> After | None:
    """Return what passes before: ``3`` messages, ``"10kB"``, or ``"5s"``."""
    if value is None:
        return None
    if isinstance(value, int) and not isinstance(value, bool) and value >= 0:
        return After("messages", value)
    try:
        if isinstance(value, str) and value.strip().lower().endswith("b"):
            return After("bytes", size(value, "fault(after=)"))
        if not isinstance(value, (int, float)):
            return After("seconds", seconds(value, "fault(after=)"))
    except OptionError:
        pass
    raise OptionError("fault(after=)", value, "is nothing that may pass before", 'valid: 3 (messages), "10kB", "5s"')
