"""The network's conditions, as a plan has them: latency, bandwidth, faults, and how they change."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Final, Literal, TypeAlias

from mockforge_nb.errors import OptionError

from .faults import Fault
from .latency import Delays, LatencyProfile, latency
from .pattern import Pattern
from .units import number, size

__all__ = ["Bandwidth", "Conditions", "Delay", "LatencyProfile", "Phase", "latency"]

Way: TypeAlias = Literal["in", "out"]


@dataclass(frozen=True, slots=True)
class Delay:
    """A latency of the messages in one direction, or of those that match `only`."""

    delays: Delays
    direction: Way = "out"
    only: Pattern | None = None


@dataclass(frozen=True, slots=True)
class Bandwidth:
    """At most `rate` bytes a second in one direction; `burst` bytes may go at once after a pause."""

    rate: float
    burst: int = 0
    direction: Way = "out"


@dataclass(frozen=True, slots=True)
class Phase:
    """Conditions that hold for `seconds`, in place of latency and bandwidth, and beside the faults, of the rest."""

    seconds: float
    conditions: Conditions


@dataclass(frozen=True, slots=True)
class Conditions:
    """What a network does to messages.

    Attributes:
        delays: Latencies; of those that fit a message the first with `only` counts, then the first without.
        bandwidths: At most one each way.
        faults: What may go wrong, in the order in which it strikes.
        connect_delay: How long the answers to the handshakes take (s), attempt by attempt; the last holds on.
        phases: What holds after what, from the connection's opening; no phase: nothing changes.
        loop: Whether the phases begin again.
    """

    delays: tuple[Delay, ...] = ()
    bandwidths: tuple[Bandwidth, ...] = ()
    faults: tuple[Fault, ...] = ()
    connect_delay: tuple[float, ...] = ()
    phases: tuple[Phase, ...] = field(default_factory=tuple)
    loop: bool = False

    @property
    def knocks(self) -> tuple[Fault, ...]:
        """The faults that strike handshakes."""
        return tuple(fault for fault in self.faults if fault.kind.group == "handshake")

    @property
    def knocking(self) -> bool:
        """Whether anything happens to handshakes."""
        return bool(self.connect_delay or self.knocks)

    @property
    def crossing(self) -> bool:
        """Whether anything happens to what crosses an open connection."""
        return bool(self.delays or self.bandwidths or self.phases or len(self.knocks) < len(self.faults))

    def at(self, seconds: float) -> tuple[int, float | None]:
        """Return which phase holds `seconds` after the opening (-1: none), and when the next begins (None: never)."""
        total = sum(phase.seconds for phase in self.phases)
        if not self.phases or (seconds >= total and not self.loop):
            return -1, None
        rounds = int(seconds // total) if self.loop else 0
        end = rounds * total
        for index, phase in enumerate(self.phases):
            end += phase.seconds
            if seconds < end:
                return index, end
        return 0, end + self.phases[0].seconds  # rounding put it just before the next round

    def during(self, phase: int) -> Conditions:
        """Return what holds in a phase; -1: in none."""
        if phase < 0:
            return replace(self, phases=())
        new = self.phases[phase].conditions
        return replace(
            self,
            delays=new.delays or self.delays,
            bandwidths=new.bandwidths or self.bandwidths,
            faults=self.faults + new.faults,
            phases=(),
        )


NONE: Final = Conditions()

BANDWIDTHS: Final = {
    "56k": 56e3 / 8,
    "gprs": 50e3 / 8,
    "edge": 240e3 / 8,
    "2g": 280e3 / 8,
    "slow-3g": 400e3 / 8,
    "3g": 1.6e6 / 8,
    "dsl": 1.5e6 / 8,
    "4g": 9e6 / 8,
    "cable": 5e6 / 8,
    "lte": 12e6 / 8,
}
"""Bytes a second of what people know, as browsers' developer tools and WebPageTest have them."""


def bandwidth(value: object, burst: object, direction: Way) -> Bandwidth:
    """Return the bandwidth that `value` stands for: a name of `BANDWIDTHS`, bytes a second, or ``"100kB"``.

    Raises:
        OptionError: It is none.
    """
    rate = number(value)
    if isinstance(value, str):
        named = BANDWIDTHS.get(value.lower())
        try:
            rate = float(size(value.removesuffix("/s"), "bandwidth()")) if named is None else named
        except OptionError:
            raise OptionError("bandwidth()", value, valid=tuple(BANDWIDTHS)) from None
    if not 0 < rate < float("inf"):
        raise OptionError("bandwidth()", value, "is no number of bytes a second", 'or a name such as "3g"')
    return Bandwidth(rate, size(burst, "bandwidth(burst=)"), direction)
