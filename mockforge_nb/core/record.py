"""What is known of one connection."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .program import Program

Range = tuple["Program | None", int, int]


@dataclass(slots=True, eq=False)
class ConnectionRecord:
    """One connection, open or closed, as the traffic of one log names it.

    Attributes:
        number: From 1; 0: a handshake that was refused.
        path: The request's path; empty: there was none.
        route: The pattern of the path, as the mock was told it; empty: nothing is there.
        query: The request's query, without the question mark.
        headers: The request's headers, as name and value.
        subprotocols: The subprotocols that the client asked for.
        subprotocol: The one that was selected.
        remote: The peer's host and port.
        opened_ns: When the handshake was done, in nanoseconds since the epoch.
        closed_ns: When it ended; None: it is open.
        close_code: RFC 6455 §7.4's code, 1006 without a close frame; None: it is open.
        close_reason: The close frame's reason.
        tape: The number of the recorded connection that a cassette plays to it; 0: none.
        trace_id: The trace that its spans belong to.
        messages_in: How many text and binary rows the log took from the client.
        messages_out: How many it took to the client, those that a fault dropped among them.
        bytes_in: The payload bytes of `messages_in`.
    """

    number: int
    path: str = ""
    query: str = ""
    headers: tuple[tuple[str, str], ...] = ()
    subprotocols: tuple[str, ...] = ()
    subprotocol: str | None = None
    remote: str = ""
    opened_ns: int = 0
    closed_ns: int | None = None
    close_code: int | None = None
    close_reason: str = ""
    tape: int = 0
    trace_id: str | None = None
    route: str = ""
    messages_in: int = 0
    messages_out: int = 0
    bytes_in: int = 0
    _sent: int = field(default=0, init=False, repr=False)
    _origin: int = field(default=-1, init=False, repr=False)
    _range: Range = field(default=(None, 0, 0), init=False, repr=False)
    _ranges: dict[Range, int] = field(default_factory=dict, init=False, repr=False)
    _weighed: dict[Range, int] = field(default_factory=dict, init=False, repr=False)

    @property
    def bytes_out(self) -> int:
        """The payload bytes of `messages_out`; what bursts sent is added up here, not while they are sent."""
        total = self._sent
        for key, times in [*self._ranges.copy().items(), (self._range, 1)]:
            program, first, last = key
            size = self._weighed.get(key)
            if size is None:
                size = sum(map(len, program.payloads(first, last))) if program is not None else 0
                if key in self._ranges:
                    self._weighed[key] = size
            total += size * times
        return total

    def _burst(self, program: Program, first: int, last: int) -> None:
        self.messages_out += last - first
        before, start, end = self._range
        if before is program and end == first and end - start < 65_536:
            self._range = (program, start, last)
            return
        # Rounds of a loop are the same ranges again: a count, not an entry each.
        if before is not None:
            self._ranges[self._range] = self._ranges.get(self._range, 0) + 1
        self._range = (program, first, last)
