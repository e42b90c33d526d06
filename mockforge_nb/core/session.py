"""One connection of a Plan: it is told what happened and when, and answers with commands."""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import partial
from random import Random
from typing import Any

from mockforge_nb.errors import ExpectationError, ExpectationTimeoutError

from .conditions import Line
from .events import (
    NAN,
    Burst,
    Close,
    Closed,
    Command,
    Drop,
    Event,
    Failed,
    Opened,
    Paused,
    Pushed,
    Reading,
    Received,
    Resumed,
    Send,
    Updated,
    WakeAt,
    Woke,
)
from .message import Message, to_json
from .plan import Echo, Plan, PlayHead, Replay
from .player import Player, Run, TimedOut
from .program import BLOCK_BYTES, Assertion, Payload, Step
from .template import Context, JsonTemplate, stream

TURN_MESSAGES = 256
"""How many messages that are not framed beforehand one turn handles, before others have theirs."""

MESSAGE_COST = BLOCK_BYTES // TURN_MESSAGES
"""What such a message counts against its turn, beside its bytes."""

LINE_MESSAGES = 16_384
"""How many of a script's messages may be on their way at once; the script's times are kept all the same."""


@dataclass(frozen=True, slots=True)
class Identity:
    """Who a session is: what its random numbers and its templates depend on.

    Attributes:
        seed: The server's seed.
        path: The path it was opened at.
        number: The connection's number on that path, from 1.
        params: The path's parameters; `query` and `headers`: the handshake's.
        epoch_ns: The UTC time (ns) at which the driver's clock stood at 0.
    """

    seed: int
    path: str = "/ws"
    number: int = 1
    params: Mapping[str, str] = field(default_factory=dict)
    query: Mapping[str, str] = field(default_factory=dict)
    headers: Mapping[str, str] = field(default_factory=dict)
    epoch_ns: int = 0

    def stream(self, purpose: str) -> Random:
        """Return the random numbers of one purpose: neither timing nor another connection moves them."""
        return stream(self.seed, self.path, self.number, purpose)


class Session:
    """What one connection does, as ``(event, now) -> commands``; it neither waits nor talks.

    Messages on their way (under latency, or while the peer reads slowly) wait in `_queue`, in the order in which
    they leave. A turn sends about 64 KiB and then asks to be woken at once, so that no session holds up the others.
    """

    def __init__(self, plan: Plan, who: Identity, head: PlayHead | None = None) -> None:
        self.plan = plan
        self.who = who
        self._head = head or PlayHead()
        self._player: Player | None = None
        self._line: Line | None = None
        self._queue: deque[tuple[float, Send | Close | Drop]] = deque()
        self._queued = 0
        self._context: Context | None = None
        self._script_ms = 0.0
        self._wake: float | None = None
        self.state: dict[str, Any] = {}
        self._open = self._paused = self._held = self._ended = False
        self._configure(plan)

    def _configure(self, plan: Plan) -> None:
        self.plan = plan
        self._context = None
        profile = plan.latency
        self._line = Line(profile, partial(self.who.stream, "latency")) if profile else None
        if self._line and self._queue:
            self._line.last = self._queue[-1][0]

    def time_ns(self, now: float, due_ms: float = NAN) -> int:
        """Return the UTC time (ns) of a log row: the real one, or under a clock the script's."""
        clock = self.plan.clock_ns
        if clock is None:
            return self.who.epoch_ns + int(now * 1e9)
        return clock + int((self._script_ms if due_ms != due_ms else due_ms) * 1e6)

    def handle(self, event: Event, now: float) -> list[Command]:
        """Return what is to be done after `event`, which happened at `now` (s of the driver's clock)."""
        out: list[Command] = []
        kind = type(event)
        if kind is Closed:
            self._open = False
            self._player = None
            self._queue.clear()
        elif kind is Opened:
            self._open = True
            self._start(now)
        if not self._open:
            return out
        if kind is Woke:
            self._wake = None
        elif isinstance(event, Received):
            self._receive(event.messages, now, out)
        elif isinstance(event, Pushed):
            self._offer(Send(event.opcode, event.payload), now, out)
        elif isinstance(event, Updated):
            self._head = event.head
            self._configure(event.plan)
            self._start(now)
        elif kind is Paused:
            self._paused = True
        elif kind is Resumed:
            self._paused = False
        self._turn(now, out)
        return out

    def _start(self, now: float) -> None:
        behaviour = self.plan.behaviour
        self._ended = False
        self._player = Player(behaviour, now, self._head) if isinstance(behaviour, Replay) else None

    def _receive(self, messages: list[Message], now: float, out: list[Command]) -> None:
        behaviour = self.plan.behaviour
        if isinstance(behaviour, Echo):
            prefix = behaviour.prefix.encode()
            for message in messages:
                payload = prefix + message.payload if prefix else message.payload
                self._offer(Send(message.opcode, payload), now, out)
        elif self._player is not None:
            for message in messages:
                self._player.receive(message)

    # What leaves

    def _offer(self, command: Send | Close | Drop, due: float, out: list[Command]) -> None:
        """Put a message that is due at `due` on its way: straight out, or into the queue."""
        if self._line is None and not self._queue and not self._paused:
            out.append(command)
            return
        leaves = max(due, self._queue[-1][0]) if self._queue else due
        if self._line is not None and isinstance(command, Send):
            leaves, delay = self._line.admit(due)
            due_ms = command.due_ms + delay
            command = Send(command.opcode, command.payload, command.step, due_ms, delay)
        elif self._line is not None:
            leaves = max(leaves, self._line.last)
        self._queue.append((leaves, command))
        if isinstance(command, Send):
            self._queued += len(command.payload)
            if not self._held and self._queued > self.plan.queue_bytes:
                self._held = True
                out.append(Reading(on=False))

    def _turn(self, now: float, out: list[Command]) -> None:
        """Send what is due, up to a turn's worth, and ask to be woken for the rest."""
        if self._paused:
            return
        budget = BLOCK_BYTES
        while budget > 0:
            budget -= self._leave(now, budget, out)
            played = self._play(now, out)
            if not played:
                break
            budget -= played
        due = self._queue[0][0] if self._queue else None
        player = self._player
        if player is not None and self._room():
            step_due = player.due()
            if step_due is not None and (due is None or step_due < due):
                due = step_due
        if due is not None and due != self._wake:
            self._wake = due
            out.append(WakeAt(due))

    def _leave(self, now: float, budget: int, out: list[Command]) -> int:
        """Send from the queue what leaves by `now`; return the bytes."""
        sent = 0
        queue = self._queue
        while queue and queue[0][0] <= now and sent < budget:
            command = queue.popleft()[1]
            out.append(command)
            if isinstance(command, Send):
                size = len(command.payload)
                self._queued -= size
                sent += size + MESSAGE_COST
        if self._held and self._queued <= self.plan.queue_bytes // 2:
            self._held = False
            out.append(Reading(on=True))
        return sent

    @property
    def full(self) -> bool:
        """Whether as much waits for the peer as may; who pushes more must be told."""
        return self._queued > self.plan.queue_bytes

    def _room(self) -> bool:
        return len(self._queue) < LINE_MESSAGES and self._queued < self.plan.queue_bytes // 2

    def _play(self, now: float, out: list[Command]) -> int:
        """Take the script's next run and put it on its way; return about how many bytes it was, 0 for none."""
        player = self._player
        if player is None:
            return 0
        direct = self._line is None and not self._queue
        if not direct and not self._room():
            return 0
        clocked = self.plan.clock_ns is not None
        run = player.take(now, most=None if direct else TURN_MESSAGES, together=not clocked)
        if run is None:
            return 0
        if isinstance(run, TimedOut):
            size = self._timed_out(run, player, now, out)
        elif not player.program.plain and not (step := player.program.steps[run.first]).plain:
            size = self._step(step, run, player, now, out)
        else:
            size = self._plain(run, player, out, direct=direct)
        player.turn()
        if player.over and not self._ended:
            self._ended = True
            if isinstance(self.plan.behaviour, Replay) and self.plan.behaviour.then == "close":
                self._offer(Close(1000), now, out)
        return size

    def _plain(self, run: Run, player: Player, out: list[Command], *, direct: bool) -> int:
        """Send steps that are the same for every connection, framed beforehand where nothing delays them."""
        program = player.program
        self._script_ms = player.script_ms(run.last - 1)
        if direct:
            frames = program.block(run.first).slice(run.first, run.last)
            out.append(Burst(program, run.first, run.last, frames, player.start_ms, player.scale))
            return max(len(frames), MESSAGE_COST)
        size = 0
        for index in range(run.first, run.last):
            payload = program.payload(index)
            size += len(payload) + MESSAGE_COST
            send = Send(program.opcode(index), payload, index, player.script_ms(index))
            self._offer(send, player.due_of(index), out)
        return size

    def _step(self, step: Step, run: Run, player: Player, now: float, out: list[Command]) -> int:
        """Do all that one step says; return about how many bytes it sent."""
        index, size = run.first, MESSAGE_COST
        self._script_ms = run.script_ms
        if step.dir == "out" and step.payload is not None:
            try:
                payload = step.payload
                literal = payload.template is None or not self.plan.expand
                data = payload.literal() if literal else self._render(payload, run, player, now)
                self._offer(Send(payload.opcode, data, index, run.script_ms), run.due, out)
                size += len(data)
            except Exception as error:  # noqa: BLE001  # whatever a user's function raises is the author's error
                out.append(Failed(error, index))
        if run.again:
            return size
        try:
            for assertion in step.assertions:
                self._assert(assertion, player.message, index, out)
            player.follow(index)
        except Exception as error:  # noqa: BLE001  # a predicate is the author's too; the script goes straight on
            out.append(Failed(error, index))
        if step.ends:
            self._ended = True
            self._offer(Drop() if step.error else Close(step.close or 1000, step.reason), run.due, out)
        return size

    def _assert(self, assertion: Assertion, message: Message | None, index: int, out: list[Command]) -> None:
        """Check the message that the step waited for; what does not hold is kept for `server.check()`."""
        found = None if message is None else assertion.pattern.match(message)
        wanted = assertion.expected
        if isinstance(wanted, bool):
            holds = (found is not None) is wanted
            problem = f"{'does not match' if wanted else 'matches'} {assertion.pattern.source}"
        else:
            got = None if found is None else found.value if found.value is not None else found.get(1, found[0])
            holds = found is not None and got == wanted
            problem = f"{assertion.pattern.source} gives {got!r}, not {wanted!r}"
        if not holds:
            title = f"{assertion.description}: " if assertion.description else ""
            out.append(Failed(ExpectationError(f"{title}{message!r} {problem}"), index))

    def _timed_out(self, wait: TimedOut, player: Player, now: float, out: list[Command]) -> int:
        step = player.program.steps[wait.index]
        if step.on_timeout == "fail":
            wanted = f"a message that matches {step.expected.source}" if step.expected is not None else "a message"
            heard = f"; the last that came was {wait.heard!r}" if wait.heard is not None else "; nothing came"
            text = f"step {step.step_id or wait.index}: {wanted} did not come within {step.timeout_ms:g} ms{heard}"
            out.append(Failed(ExpectationTimeoutError(text), wait.index))
        elif step.on_timeout == "close":
            self._ended = True
            self._offer(Close(1000, "timed out"), now, out)
        return MESSAGE_COST

    def _render(self, payload: Payload, run: Run, player: Player, now: float) -> bytes:
        assert payload.template is not None
        behaviour = self.plan.behaviour
        if isinstance(behaviour, Replay) and behaviour.shared:
            # All who watch one play-head read the same text, also who joined late.
            key = f"template {player.round} {run.first} {run.script_ms}"
            context = self._make_context(Identity(self.who.seed, self.who.path, 0), key)
        else:
            context = self._context = self._context or self._make_context(self.who, "template")
        clock = self.plan.clock_ns
        if clock is None:
            context.now_ns = self.who.epoch_ns + int(now * 1e9)
        else:
            context.now_ns = clock + int(run.script_ms * 1e6)
        context.message, context.match, context.row = player.message, player.match, payload.row
        context.state = self.state
        if isinstance(payload.template, JsonTemplate):
            text = to_json(payload.template.render(context))
        else:
            text = payload.template.render(context)
        # A client's JSON may hold half a character ("\ud800"), which has no form in UTF-8.
        return text.encode(errors="replace")

    def _make_context(self, who: Identity, purpose: str) -> Context:
        return Context(
            key=(who.seed, who.path, who.number, purpose),
            path=dict(who.params),
            query=dict(who.query),
            headers=dict(who.headers),
            connection=who.number,
            names=self.plan.names,
        )
