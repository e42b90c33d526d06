"""What is on its way to the client: under latency, or while the client reads slowly."""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, TypeAlias

from .events import OUTBOX, Close, Command, Drop, Failed, Raw, Reading, Send
from .program import BLOCK_BYTES

if TYPE_CHECKING:
    from .link import Link

TURN_MESSAGES = 256
"""How many messages that are not framed beforehand one turn handles, before others have theirs."""

MESSAGE_COST = BLOCK_BYTES // TURN_MESSAGES
"""What such a message counts against its turn, beside its bytes."""

LINE_MESSAGES = 16_384
"""How many of a script's messages may be on their way at once; the script's times are kept all the same."""

AUTHORS_FAULT = Close(1011, "the mock failed")
"""What a client is told when a function of the mock's author raised; 1011 as in RFC 6455 §7.4.1."""

Leaving: TypeAlias = Send | Raw | Close | Drop

EMPTY: deque[tuple[float, Leaving]] = deque(maxlen=0)
"""What nothing is put into: a deque of its own for each connection that never queues would take 600 bytes."""


class Outbox:
    """Messages in the order in which they leave, each at its time.

    Attributes:
        ending: Whether the end of the connection is on its way: nothing is said after it.
        paused: Whether the client takes nothing now.
        link: The network that messages cross; None: what is said leaves when it is due.
    """

    __slots__ = ("_held", "_most", "_queue", "_queued", "ending", "link", "paused")

    def __init__(self) -> None:
        self.ending = self.paused = False
        self.link: Link | None = None
        self._queue = EMPTY
        self._queued = 0
        self._most = 0
        self._held = False

    def configure(self, most: int, link: Link | None) -> None:
        """Take over a plan's bound (bytes) and its network; what is on its way stays there."""
        self._most = most
        self.link = link
        if link is not None and self._queue:
            link.last = max(link.last, self._queue[-1][0])

    @property
    def direct(self) -> bool:
        """Whether what is said leaves at once."""
        return self.link is None and not self._queue and not self.paused

    @property
    def open(self) -> bool:
        """Whether the end of the connection is not on its way."""
        return not self.ending

    @property
    def full(self) -> bool:
        """Whether as much waits for the client as may; who says more must be told."""
        return self._queued > self._most

    @property
    def room(self) -> bool:
        """Whether a script may go on."""
        return len(self._queue) < LINE_MESSAGES and self._queued < self._most // 2

    @property
    def due(self) -> float | None:
        """When the next message leaves (s); None: none is on its way."""
        return self._queue[0][0] if self._queue else None

    def offer(self, command: Send | Close | Drop, due: float, out: list[Command], tag: str | None = None) -> None:
        """Put a message that is due at `due` on its way: straight out, or into the queue.

        Args:
            command: The message, or the connection's end.
            due: When it is due (s).
            out: Where it goes.
            tag: What latency profiles may know it by.
        """
        if not isinstance(command, Send):
            self.ending = True
        if self.link is None:
            if not self._queue and not self.paused:
                out.append(command)
            else:
                self.queue([(max(due, self._queue[-1][0]) if self._queue else due, command)], out)
        elif isinstance(command, Send):
            self.queue(self.link.admit(command, due, tag, out), out)
        else:
            self.queue(self.link.end(command, due), out)

    def lose(self, send: Send, now: float, out: list[Command]) -> None:
        """Let a message that is not sent have its row where it would have left."""
        send.wire = ()
        if self.direct:
            out.append(send)
        else:
            self.queue([(max(now, self._queue[-1][0]) if self._queue else now, send)], out)

    def close(self, how: Close | Drop, now: float, out: list[Command]) -> None:
        """End the connection, after what was sent before."""
        if self.ending:
            return
        if self.paused:
            # A client that takes nothing would keep the end from coming, too.
            self.leave(float("inf"), float("inf"), out)
            self.paused = False
        self.offer(how, now, out)

    def fail(self, error: Exception, now: float, out: list[Command], rule: int = -1) -> None:
        """Keep what a function of the author's raised, and close the connection."""
        out.append(Failed(error, rule=rule))
        self.close(AUTHORS_FAULT, now, out)

    def queue(self, leaving: list[tuple[float, Leaving]], out: list[Command]) -> None:
        """Put what leaves at known times into the queue."""
        if not self._queue:
            self._queue = deque()
        for leaves, command in leaving:
            self._queue.append((leaves, command))
            if isinstance(command, Send):
                self._queued += _size(command)
            elif not isinstance(command, Raw):
                self.ending = True
        if not self._held and self._queued > self._most:
            self._held = True
            out.append(Reading(on=False, why=OUTBOX))

    def leave(self, now: float, budget: float, out: list[Command]) -> int:
        """Send what leaves by `now`, up to about `budget` bytes; return the bytes."""
        sent = 0
        queue = self._queue
        while queue and queue[0][0] <= now and sent < budget:
            command = queue.popleft()[1]
            out.append(command)
            if isinstance(command, Send):
                size = _size(command)
                self._queued -= size
                sent += size + MESSAGE_COST
        if self._held and self._queued <= self._most // 2:
            self._held = False
            out.append(Reading(on=True, why=OUTBOX))
        return sent

    def clear(self) -> None:
        """Forget what is on its way."""
        self._queue = EMPTY
        self._queued = 0


def _size(send: Send) -> int:
    return len(send.payload) if send.wire is None else sum(map(len, send.wire))
