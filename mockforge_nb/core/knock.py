"""What the network does to a handshake."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from .conditions import Conditions
from .link import Count

if TYPE_CHECKING:
    from .identity import Identity


@dataclass(frozen=True, slots=True)
class Knock:
    """What becomes of one handshake.

    Attributes:
        wait: How long its answer takes (s).
        faults: The faults that strike it, with what they take.
    """

    wait: float
    faults: tuple[tuple[str, Any], ...]

    @property
    def names(self) -> tuple[str, ...]:
        """The faults' names."""
        return tuple(name for name, _ in self.faults)


def knock(conditions: Conditions, who: Identity, counts: dict[object, Count]) -> Knock:
    """Return what becomes of a handshake.

    Args:
        conditions: What holds.
        who: The path, and as its number which attempt at it this is, from 1.
        counts: What faults of the path have seen and done; one that strikes is counted.
    """
    delays = conditions.connect_delay
    wait = delays[min(who.number, len(delays)) - 1] if delays else 0.0
    struck = []
    for index, fault in enumerate(conditions.knocks):
        count = counts.setdefault((fault, "handshake"), Count())
        count.messages += 1
        if fault.after is not None and count.messages <= fault.after.value:
            continue
        if fault.times is not None and count.struck >= fault.times:
            continue
        if fault.probability < 1 and who.stream(f"fault {fault.name} {index}").random() >= fault.probability:
            continue
        count.struck += 1
        struck.append((fault.name, fault.options))
        if fault.name == "slow_handshake":
            wait += fault.options["delay"]
        if fault.name == "reject":
            break
    return Knock(wait, tuple(struck))
