"""One connection's way through a program: what is due, what is waited for, and when."""

from __future__ import annotations

from bisect import bisect_left
from collections import deque
from dataclasses import dataclass
from typing import TYPE_CHECKING

from .message import Message

if TYPE_CHECKING:
    from .match import Match
    from .plan import PlayHead, Replay

INBOX_MESSAGES = 1024
"""How many messages of a client queue for a script that does not wait yet; the oldest are discarded first."""


@dataclass(frozen=True, slots=True)
class Run:
    """Steps that are due: from `first` to before `last`; one step, unless all are plain."""

    first: int
    last: int


class Player:
    """Plays a program from the moment it is made.

    A step is due its time less the time of the step before it, after that step was due; after a wait, after the
    match. So waiting does not count, and the later steps keep their distance. Both times of a step, the driver's
    (s) and the script's (ms, the same on every run), are linear in its time in the program and are anchored at the
    round's start and at each wait: no rounding error adds up, however the steps were cut into runs.

    Attributes:
        index: The next step.
        round: How many rounds are over.
        done: Whether the last round is over.
        message: The client's message that ended the last wait.
        start_ms: The script's time (ms) at which the program's time 0 stands, or would stand.
        scale: What the program's times are multiplied by.
        match: What the wait's pattern found in it; None: there was no pattern.
    """

    def __init__(self, replay: Replay, now: float, head: PlayHead) -> None:
        self.program = replay.program
        self.index = 0
        self.round = 0
        self.done = not len(replay.program)
        self.message: Message | None = None
        self.match: Match | None = None
        self.scale = 1 / replay.speed
        self._rounds = replay.rounds
        self._inbox: deque[Message] = deque(maxlen=INBOX_MESSAGES)
        self._waits = self.program.waits
        self._matched = False
        self._origin = now  # the driver's time at which the program's time 0 stands, or would stand
        self.start_ms = 0.0
        if replay.shared:
            self._join(now, head)

    def _join(self, now: float, head: PlayHead) -> None:
        """Enter a replay that others already watch: the next step is the first that is not yet past."""
        if head.began is None:
            head.began = now
        self._origin = head.began
        self.index = bisect_left(self.program.at, self._elapsed(now))
        period = self.program.period * self.scale
        while self.index == len(self.program) and not self.done:
            if period > 0 and self._rounds != 1:
                behind = int((now - self._origin) * 1000 // period)
                rounds = behind if self._rounds is None else min(behind, self._rounds - 1 - self.round)
                skip = max(0, rounds - 1)
                self.round += skip
                self._origin += skip * period / 1000
                self.start_ms += skip * period
            self._next_round()
            self.index = bisect_left(self.program.at, self._elapsed(now))

    def _elapsed(self, now: float) -> float:
        """Return the program's time (ms) at the driver's time `now`; never for an infinite speed."""
        return (now - self._origin) * 1000 / self.scale

    def _next_round(self) -> None:
        self.round += 1
        if self._rounds is not None and self.round >= self._rounds:
            self.done = True
            return
        self.index = 0
        self._origin += self.program.period * self.scale / 1000
        self.start_ms += self.program.period * self.scale

    def script_ms(self, index: int) -> float:
        """Return the script's time of step `index` of this round: its time without waiting, by the speed."""
        return self.start_ms + self.program.at[index] * self.scale

    def due_of(self, index: int) -> float:
        """Return the driver's time (s) at which step `index` of this round is due."""
        return self._origin + self.program.at[index] * self.scale / 1000

    def due(self) -> float | None:
        """Return when the next step is due (s); None: it waits for the client, or there is none."""
        if self.done or (self._waits and not self._matched and self.program.steps[self.index].waits):
            return None
        return self.due_of(self.index)

    def receive(self, message: Message) -> None:
        """Keep a client's message for the waits of the script."""
        if self._waits and not self.done:
            self._inbox.append(message)

    def _wait(self, now: float) -> bool:
        """Return whether the next step may go on: the first queued message that matches ends its wait."""
        step = self.program.steps[self.index]
        if self._matched or not step.waits:
            return True
        pattern = step.expected
        while self._inbox and not self._matched:
            message = self._inbox.popleft()
            found = None if pattern is None else pattern.match(message)
            if pattern is None or found is not None:
                self.message, self.match, self._matched = message, found, True
                self._rebase(now)
        return self._matched

    def _rebase(self, now: float) -> None:
        """Let the time go on at `now`, from where the step before the next one stands.

        An expected message takes no time of its own: it stands where it came.
        """
        step = self.program.steps[self.index]
        here = self.index if step.dir == "in" else self.index - 1
        at = self.program.at[here] if here >= 0 else 0.0
        script = self.script_ms(self.index - 1) if self.index else self.start_ms
        self._origin = now - at * self.scale / 1000
        self.start_ms = script - at * self.scale

    def take(self, now: float, *, most: int, together: bool = True) -> Run | None:
        """Return the next steps that are due at `now`, and go on behind them; None: nothing is.

        Args:
            now: The driver's time (s).
            most: How many steps are taken at most.
            together: Whether plain steps of different times may leave in one run.
        """
        if self.done or (self._waits and not self._wait(now)) or self.due_of(self.index) > now:
            return None
        first = self.index
        if not (self.program.plain or self.program.steps[first].plain):
            last = first + 1
        else:
            last = min(self.program.block_of(first)[1], first + most)
            if not together:
                last = self.program.due_end(first, last, self.program.at[first])
            elif self.scale > 0:
                last = max(first + 1, self.program.due_end(first, last, self._elapsed(now)))
        self._matched = False
        self.index = last
        return Run(first, last)

    def turn(self) -> bool:
        """Begin the next round once the last step of this one was taken; return whether that was the last round."""
        if self.index == len(self.program):
            self._next_round()
        return self.done
