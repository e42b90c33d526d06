"""What a Session is told, and what it answers.

Events go in with the time at which they happened; commands come out and are carried out by a driver (the
listener, the simulation). Times are seconds of the driver's monotonic clock.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, TypeAlias

if TYPE_CHECKING:
    from .message import Message
    from .plan import Plan, PlayHead
    from .program import Program

NAN = float("nan")


@dataclass(frozen=True, slots=True)
class Opened:
    """The handshake is done; the connection carries messages from now on."""


@dataclass(frozen=True, slots=True)
class Received:
    """One read's worth of whole messages, in the order of the wire."""

    messages: list[Message]


@dataclass(frozen=True, slots=True)
class Woke:
    """A time that was asked for with `WakeAt` has come."""


@dataclass(frozen=True, slots=True)
class Paused:
    """The peer reads slower than the session writes: send nothing until `Resumed`."""


@dataclass(frozen=True, slots=True)
class Resumed:
    """The peer reads again."""


@dataclass(frozen=True, slots=True)
class Pushed:
    """The user sends a message from outside the plan."""

    opcode: int
    payload: bytes


@dataclass(frozen=True, slots=True)
class Updated:
    """Another plan takes over on this connection, and `head` is its play-head."""

    plan: Plan
    head: PlayHead


@dataclass(frozen=True, slots=True)
class Closed:
    """The connection is closing or gone; nothing can be sent any more."""


Event: TypeAlias = Opened | Received | Woke | Paused | Resumed | Pushed | Updated | Closed


@dataclass(frozen=True, slots=True)
class Send:
    """Send one message.

    Attributes:
        opcode: ``TEXT`` or ``BINARY``.
        payload: The payload in bytes.
        step: The script's step that it came from, from 0; -1: from no step.
        due_ms: The script's time plus the injected delay, in ms; NaN: the message came from no step.
        delay_ms: The injected delay as drawn, in ms; NaN: none.
    """

    opcode: int
    payload: bytes
    step: int = -1
    due_ms: float = NAN
    delay_ms: float = NAN


@dataclass(frozen=True, slots=True)
class Burst:
    """Send the program's steps from `first` to before `last`: literal, due, and framed beforehand.

    Step ``i`` has the script's time ``start_ms + program.at[i] * scale``.
    """

    program: Program
    first: int
    last: int
    frames: bytes | memoryview = field(repr=False)
    start_ms: float = 0.0
    scale: float = 1.0


@dataclass(frozen=True, slots=True)
class WakeAt:
    """Send `Woke` at `time`, never earlier; it replaces the time asked for before."""

    time: float


@dataclass(frozen=True, slots=True)
class Reading:
    """Stop (`on` False) or go on taking messages from the peer: what waits to be sent is at its bound."""

    on: bool


@dataclass(frozen=True, slots=True)
class Close:
    """Begin the closing handshake (RFC 6455 §7.1.2) after what was sent before."""

    code: int = 1000
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Drop:
    """End the TCP connection without a close frame."""


@dataclass(frozen=True, slots=True)
class Failed:
    """The author's doing went wrong at a step; keep it, and go on."""

    error: Exception
    step: int = -1


Command: TypeAlias = Send | Burst | WakeAt | Reading | Close | Drop | Failed
