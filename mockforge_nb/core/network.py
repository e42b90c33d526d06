"""One connection's network: both directions, what time alone brings, and what has become of the connection."""

from __future__ import annotations

from collections import deque
from dataclasses import replace
from typing import TYPE_CHECKING

from .conditions import Conditions
from .events import Close, Command, Drop, Send
from .faults import SILENT
from .link import LOST, Active, Count, Crossing, Link, Memory, ending

if TYPE_CHECKING:
    from .identity import Identity


class Network:
    """What messages cross between a session and its peer.

    Attributes:
        out: The way to the peer.
        into: The way from the peer.
        arriving: Messages from the peer that are on their way, and when each arrives (s).
        waiting: How many bytes these have.
        held: Whether nothing more is taken from the peer, as too many are.

    Args:
        conditions: What holds.
        who: The connection.
        counts: What faults of the whole server have seen and done.
        opened: When the connection was opened (s of the driver's clock).
    """

    __slots__ = (
        "_conditions", "_cut_at", "_memory", "_next_phase", "_opened", "_phase", "_who", "arriving", "held", "into",
        "out", "waiting",
    )  # fmt: skip

    def __init__(self, conditions: Conditions, who: Identity, counts: dict[object, Count], opened: float) -> None:
        self._who, self._opened = who, opened
        self._memory = Memory(counts)
        self._cut_at: float | None = None
        self._conditions = conditions
        self._phase, self._next_phase = conditions.at(0.0)
        self.arriving: deque[tuple[float, Send]] = deque()
        self.waiting = 0
        self.held = False
        now = conditions.during(self._phase)
        self.out = Link(now, "out", who, self._memory, opened, self._begins)
        self.into = Link(now, "in", who, self._memory, opened, self._begins)

    def change(self, conditions: Conditions, now: float) -> None:
        """Let other conditions hold from `now` on; faults that were there go on with what they have seen."""
        self._conditions = conditions
        self._enter(now)

    def _enter(self, now: float) -> None:
        self._phase, self._next_phase = self._conditions.at(now - self._opened)
        holds = self._conditions.during(self._phase)
        self.out = Link(holds, "out", self._who, self._memory, now, self._begins, self.out)
        self.into = Link(holds, "in", self._who, self._memory, now, self._begins, self.into)
        self._hush()

    def _begins(self, one: Active, now: float) -> None:
        """Take note of a state of the connection."""
        if one.fault.options.get("timeout"):
            self._cut_at = now + one.fault.options["timeout"]
        self._hush()

    @property
    def busy(self) -> bool:
        """Whether it holds messages back, or something of before is still to come."""
        return bool(self.arriving or self.out.holds or self.into.holds or self.held or self._cut_at is not None)

    @property
    def coming(self) -> bool:
        """Whether messages of the peer are on their way."""
        return bool(self.arriving or self.into.holds)

    # What time brings

    def due(self) -> float | None:
        """Return when something happens without a message (s); None: never."""
        times = [
            self.out.due(),
            self.into.due(),
            self.arriving[0][0] if self.arriving else None,
            self._cut_at,
            None if self._next_phase is None else self._opened + self._next_phase,
        ]
        return min((time for time in times if time is not None), default=None)

    def turn(self, now: float) -> tuple[list[Close | Drop], list[tuple[float, Crossing]]]:
        """Let time come to `now`; return the ends of the connection that it brings, and messages that come late."""
        if self._next_phase is not None and now >= self._opened + self._next_phase:
            self._enter(now)
        ends = [ending(fault) for fault in (*self.out.turn(now), *self.into.turn(now))]
        if self._cut_at is not None and now >= self._cut_at:
            self._cut_at = None
            ends.append(Drop(fault="timeout"))
        for leaves, command in self.into.late(now):
            self._arrive(leaves, command)
        return ends, self.out.late(now)

    def _hush(self) -> None:
        """Let nothing through where a fault says so."""
        out = next((one.fault for one in self.out.active if one.on and one.fault.name in SILENT), None)
        into = next((one.fault for one in self.into.active if one.on and one.fault.name in SILENT), None)
        both = out if out is not None and out.direction == "both" else None
        self.out.silent = None if out is None else out.name
        self.into.silent = into.name if into is not None else both.name if both is not None else None

    # What comes from the peer

    def come(self, message: Send, now: float, out: list[Command]) -> tuple[list[Send], list[Close | Drop]]:
        """Let a message of the peer enter; return its rows for the log, and the ends that it brings."""
        rows: list[Send] = []
        ends: list[Close | Drop] = []
        crossing = self.into.admit(message, now, None, out)
        if not crossing:  # it is held back
            rows.append(replace(message, fault="reorder"))
        for leaves, command in crossing:
            if isinstance(command, (Close, Drop)):
                ends.append(command)
                continue
            self._arrive(leaves, command)
            if isinstance(command, Send) and "reorder" not in (command.fault or ""):  # that has its row
                rows.append(command)
        return rows, ends

    def _arrive(self, leaves: float, command: Crossing) -> None:
        if isinstance(command, Send) and command.wire != LOST:
            self.arriving.append((leaves, command))
            self.waiting += len(command.payload)

    def arrived(self, now: float) -> list[Send]:
        """Return the messages of the peer that have arrived by `now`."""
        found = []
        while self.arriving and self.arriving[0][0] <= now:
            message = self.arriving.popleft()[1]
            self.waiting -= len(message.payload)
            found.append(message)
        return found

    # What has become of the connection

    def unanswered(self) -> str | None:
        """Return the fault by which a ping of the peer's is not answered; None: it is."""
        if self.out.silent is not None or self.into.silent is not None:
            return self.out.silent or self.into.silent
        return next((one.fault.name for one in self.into.active if one.on and one.fault.name == "no_pong"), None)

    def slow_close(self) -> float:
        """Return how long TCP outlives the closing handshake (s)."""
        slow = [one.fault.options["delay"] for one in self.out.active if one.on and one.fault.name == "slow_close"]
        return float(max(slow, default=0.0))
