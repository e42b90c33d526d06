"""What a Session needs to know of a Mock: a Mock without the words that it was said in."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, TypeAlias

from .conditions import LatencyProfile
from .program import Program


@dataclass(frozen=True, slots=True)
class Echo:
    """Send each message back as it came, after `prefix`."""

    prefix: str = ""


@dataclass(frozen=True, slots=True)
class Replay:
    """Play a program to each connection.

    Attributes:
        program: What is played.
        speed: What the script's times are divided by; infinite: as fast as the client reads.
        rounds: How often it is played; None: without end.
        shared: One play-head for all connections, in place of one for each.
        then: What follows the last step.
    """

    program: Program
    speed: float = 1.0
    rounds: int | None = 1
    shared: bool = False
    then: Literal["hold", "close"] = "hold"


Behaviour: TypeAlias = Echo | Replay


@dataclass(frozen=True, slots=True)
class Plan:
    """A behaviour under conditions.

    Attributes:
        behaviour: What a connection does.
        latency: The outgoing messages' latency; None: none.
        clock_ns: Where ``{{now}}`` and the traffic's time start (UTC ns); None: at the real time.
        expand: Whether templates are expanded.
        names: The user's own template functions and values.
        message_bytes: The largest message that is taken from a client.
        queue_bytes: How much may wait to be sent on one connection before nothing more is read from it.
    """

    behaviour: Behaviour
    latency: LatencyProfile | None = None
    clock_ns: int | None = None
    expand: bool = True
    names: Mapping[str, Any] = field(default_factory=dict)
    message_bytes: int = 64 * 2**20
    queue_bytes: int = 16 * 2**20


@dataclass(slots=True)
class PlayHead:
    """Where a shared replay stands: when it began, on the driver's clock (s); None: not yet.

    It begins with the first connection, so that a client that the next cell starts misses nothing.
    """

    began: float | None = None
