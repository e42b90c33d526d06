"""One connection's way through a program: what is due, what is waited for, and what follows."""

from __future__ import annotations

import heapq
from bisect import bisect_left
from collections import deque
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from .events import Command, Noted
from .message import Message
from .plan import Replay, Shared

if TYPE_CHECKING:
    from .context import Context
    from .cuts import View
    from .pattern import Match
    from .program import Program

INBOX_MESSAGES = 1024
"""How many messages of a client queue for a script that does not wait yet; the oldest are discarded first."""


@dataclass(frozen=True, slots=True)
class Run:
    """Steps that are due, from `first` to before `last`: one step, or several that are plain.

    `due` (s) and `script_ms` are the first step's; `again`: it is a repetition of a step that was played before.
    """

    first: int
    last: int
    due: float
    script_ms: float
    again: bool = False


@dataclass(frozen=True, slots=True)
class TimedOut:
    """Step `index` waited in vain; `heard` is what came last and did not match."""

    index: int
    heard: Message | None


@dataclass(order=True, slots=True)
class _Repeat:
    """A step that is sent again: when next, which, and how often still (None: without end)."""

    due: float
    index: int
    script_ms: float
    left: int | None


class Player:
    """Plays a program from the moment it is made.

    A step is due its time less the time of the step before it, after that step was due; after a wait, after the
    match. So waiting does not count, and the later steps keep their distance. Both times of a step, the driver's
    (s) and the script's (ms, the same on every run), are linear in its time in the program and are anchored at the
    round's start, at each wait and at each jump: no rounding error adds up, however the steps were cut into runs.

    Attributes:
        index: The next step.
        round: How many rounds are over.
        done: Whether the last round is over; repetitions may still be due.
        message: The client's message that ended the last wait.
        match: What the wait's pattern found in it; None: there was no pattern.
        start_ms: The script's time (ms) at which the program's time 0 stands, or would stand.
        scale: What the program's times are multiplied by.
        shared: Whether all connections have one play-head.
        rule: The rule that it answers by; -1: none.
        context: What its templates read; None: what those of the connection's own script read.
        notes: Where it notes its waits and branches; None: nobody asked.
    """

    def __init__(self, replay: Replay, now: float, shared: Shared, view: View | None = None) -> None:
        self.program = replay.program
        self._view = view  # what of the program this connection is played; None: all of it
        self.shared = replay.shared
        self.rule = -1
        self.context: Context | None = None
        self.notes: list[Command] | None = None
        self.index = 0
        self.round = 0
        self.done = not len(replay.program)
        self.message: Message | None = None
        self.match: Match | None = None
        self.scale = 1 / replay.speed
        self.start_ms = 0.0
        self._origin = now  # the driver's time at which the program's time 0 stands, or would stand
        self._rounds = replay.rounds
        self._inbox: deque[Message] = deque(maxlen=INBOX_MESSAGES)
        self._last_wait = self.program.last_wait
        self._waits = self._last_wait >= 0
        self._matched = False
        self._since: float | None = None  # when the wait began
        self._heard: Message | None = None
        self._repeats: list[_Repeat] = []
        if view is not None:
            self._enter(view, now, shared)
        elif replay.shared:
            self._join(now, shared)

    @classmethod
    def answering(
        cls, program: Program, now: float, script_ms: float, rule: int, message: Message | None, match: Match | None
    ) -> Player:
        """Return the player of a script that answers `message` by a rule, and begins at `now` (s)."""
        player = cls(Replay(program), now, Shared())
        player.rule, player.message, player.match = rule, message, match
        player.start_ms = script_ms
        return player

    @property
    def over(self) -> bool:
        """Whether nothing is left but what repeats without end."""
        return self.done and all(each.left is None for each in self._repeats)

    @property
    def finished(self) -> bool:
        """Whether nothing is left."""
        return self.done and not self._repeats

    @property
    def listens(self) -> bool:
        """Whether it may still wait for a client's message."""
        if not self._waits or self.done:
            return False
        return self.index <= self._last_wait or (self._rounds is None or self.round + 1 < self._rounds)

    # Times

    def script_ms(self, index: int) -> float:
        """Return the script's time of step `index` of this round: its time without waiting, by the speed."""
        return self.start_ms + self.program.at[index] * self.scale

    def due_of(self, index: int) -> float:
        """Return the driver's time (s) at which step `index` of this round is due."""
        return self._origin + self.program.at[index] * self.scale / 1000

    def due(self) -> float | None:
        """Return when there is something to do (s); None: not before the client says something, or never."""
        repeat = self._repeats[0].due if self._repeats else None
        if self.done:
            return repeat
        if self._waits and not self._matched and (step := self.program.steps[self.index]).waits:
            if step.timeout_ms is None or self._since is None:
                return repeat
            main = self._since + step.timeout_ms / 1000
        else:
            main = self.due_of(self.index)
        return main if repeat is None else min(main, repeat)

    def _elapsed(self, now: float) -> float:
        """Return the program's time (ms) at the driver's time `now`; never for an infinite speed."""
        return (now - self._origin) * 1000 / self.scale

    def _rebase(self, index: int, due: float, script_ms: float) -> None:
        """Let the time of step `index` of the program stand at `due` (s) and `script_ms`."""
        at = self.program.at[index] if index >= 0 else 0.0
        self._origin = due - at * self.scale / 1000
        self.start_ms = script_ms - at * self.scale

    # Waiting

    def receive(self, message: Message) -> None:
        """Keep a client's message for the waits of the script."""
        if self.listens:
            self._inbox.append(message)

    def _wait(self, now: float) -> bool:
        """Return whether the next step may go on: the first queued message that matches ends its wait."""
        step = self.program.steps[self.index]
        if self._matched or not step.waits:
            return True
        pattern = step.expected
        if self._since is None:
            self._since, self._heard = now, None
            self._note("wait", self.index, "" if pattern is None else str(pattern.source))
        while self._inbox and not self._matched:
            message = self._inbox.popleft()
            found = None if pattern is None else pattern.match(message)
            if pattern is None or found is not None:
                self.message, self.match, self._matched = message, found, True
                self._note("matched", self.index, "" if pattern is None else str(pattern.source))
                # An expected message takes no time of its own: the step stands where it came.
                before = self.index - 1
                script = self.script_ms(before) if before >= 0 else self.start_ms
                self._rebase(self.index if step.dir == "in" else before, now, script)
            else:
                self._heard = message
        return self._matched

    # Going on

    def take(self, now: float, *, most: int, framed: bool = False, together: bool = True) -> Run | TimedOut | None:
        """Return what is due at `now`, and go on behind it; None: nothing is.

        Args:
            now: The driver's time (s).
            most: How many steps are taken at most.
            framed: Whether plain steps may be as many as one write should have, instead.
            together: Whether plain steps of different times may leave in one run.
        """
        waiting = not self.done and self._waits and not self._wait(now)
        if self._repeats and self._repeats[0].due <= now:
            behind = self.done or waiting or self._repeats[0].due <= self.due_of(self.index)
            if behind:
                return self._repeat()
        if self.done:
            return None
        if waiting:
            return self._time_out(now)
        first = self.index
        due, script_ms = self.due_of(first), self.script_ms(first)
        if due > now:
            return None
        plain = self.program.plain or (step := self.program.steps[first]).plain
        if not plain and not step.speaks:
            last = first + 1
            self._begin_repeating(first, due, script_ms)
        else:
            if plain and framed:
                last = self.program.fitting(first)
            else:
                last = self.program.neighbours(first, most)
            if self._repeats:
                last = first + 1
            elif plain and not together:
                last = self.program.due_end(first, last, self.program.at[first])
            elif self.scale > 0:
                last = max(first + 1, self.program.due_end(first, last, self._elapsed(now)))
        self.leave(last)
        return Run(first, last, due, script_ms)

    def leave(self, index: int) -> None:
        """Go on at step `index`, whatever was taken."""
        self.index, self._matched, self._since = index, False, None

    def _time_out(self, now: float) -> TimedOut | None:
        step = self.program.steps[self.index]
        if step.timeout_ms is None or self._since is None or now < self._since + step.timeout_ms / 1000:
            return None
        index = self.index
        self._note("timeout", index, step.on_timeout)
        if step.on_timeout in self.program.ids:
            before = max(0, index - 1)
            self._jump(before, self.program.ids[step.on_timeout], now, self.script_ms(before) if index else 0.0)
        else:
            self.done = True
        return TimedOut(index, self._heard)

    def _begin_repeating(self, index: int, due: float, script_ms: float) -> None:
        step = self.program.steps[index]
        self._repeats = [each for each in self._repeats if each.index != index]
        if step.every_ms is not None and step.repeat != 1:
            every = step.every_ms * self.scale
            left = None if step.repeat is None else step.repeat - 1
            self._repeats.append(_Repeat(due + every / 1000, index, script_ms + every, left))
        heapq.heapify(self._repeats)

    def _repeat(self) -> Run:
        each = self._repeats[0]
        run = Run(each.index, each.index + 1, each.due, each.script_ms, again=True)
        left = None if each.left is None else each.left - 1
        if left == 0:
            heapq.heappop(self._repeats)
        else:
            every = (self.program.steps[each.index].every_ms or 0.0) * self.scale
            again = _Repeat(each.due + every / 1000, each.index, each.script_ms + every, left)
            heapq.heapreplace(self._repeats, again)
        return run

    def follow(self, index: int) -> None:
        """Go on behind step `index`, which was played: by its branches, to its next step, or to the one behind it."""
        step = self.program.steps[index]
        if step.ends:
            self.done = True
            return
        target = step.next_step
        if self.message is not None:
            for branch in step.branches:
                if branch.pattern.match(self.message) is not None:
                    target = branch.goto
                    break
        if target is not None:
            self._note("branch", index, target)
            self._jump(index, self.program.ids[target], self.due_of(index), self.script_ms(index))

    def _note(self, what: Literal["wait", "matched", "timeout", "branch"], index: int, detail: str) -> None:
        if self.notes is not None:
            self.notes.append(Noted(what, self.program.number(index), self.rule, detail))

    def _jump(self, before: int, target: int, due: float, script_ms: float) -> None:
        gap = self.program.gap(before, target) * self.scale
        self._rebase(target, due + gap / 1000, script_ms + gap)
        self.leave(target)

    def turn(self) -> None:
        """Begin the next round once the last step of this one was taken, or end."""
        if self.index == len(self.program) and not self.done:
            self._next_round()

    def _next_round(self) -> None:
        self.round += 1
        if self._rounds is not None and self.round >= self._rounds:
            self.done = True
            return
        self.index = 0
        self._origin += self.program.period * self.scale / 1000
        self.start_ms += self.program.period * self.scale
        if self._view is not None:
            self.program = self._view.round(self.round)
            self.done = not len(self.program)

    def _join(self, now: float, shared: Shared) -> None:
        """Enter a replay that others already watch: the next step is the first that is not yet past."""
        self._origin = shared.since(now, shared=True)
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

    # A table of which a connection gets a part

    def _enter(self, view: View, now: float, shared: Shared) -> None:
        """Begin where the play-head stands: at the beginning, or where that of all connections is."""
        cuts = view.cuts
        began = shared.since(now, shared=self.shared)
        self._origin = began - cuts.begin * self.scale / 1000
        self.start_ms = -cuts.begin * self.scale
        head = cuts.begin
        if began < now:
            head = self._elapsed(now)
            rounds = int(head // cuts.period) if cuts.period > 0 else 0
            rounds = rounds if self._rounds is None else min(rounds, self._rounds - 1)
            head -= rounds * cuts.period
            self._turn_rounds(rounds)
        self._take_up(view.enter(head, self.round))

    def change(self, keys: frozenset[str], now: float) -> None:
        """Go on with the rows of other keys: of new ones from where the play-head stands."""
        view = self._view
        assert view is not None
        if self._rounds is not None:
            self.round = min(self.round, self._rounds - 1)  # the last one was over
        head = view.cuts.begin
        if self.scale > 0 and view.cuts.timed:
            head = self._elapsed(now)
            if head < 0 and self.round:
                # What it had of this round was over, and the next one has not begun: others are still in this one.
                self._turn_rounds(-1)
                self.program = view.round(self.round)
                self.index = len(self.program)
                head = self._elapsed(now)
        self._take_up(view.change(keys, self.program, self.index, max(0.0, head), self.round))

    def _take_up(self, program: Program) -> None:
        """Play a program from its beginning, or the next round's if there is nothing in it."""
        self.program, self.index, self.done = program, 0, False
        self._last_wait, self._waits = -1, False
        if not len(program):
            self._next_round()

    def _turn_rounds(self, count: int) -> None:
        self.round += count
        self._origin += count * self.program.period * self.scale / 1000
        self.start_ms += count * self.program.period * self.scale
