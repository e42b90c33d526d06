"""Plays a cassette to one connection."""

from __future__ import annotations

import json
from dataclasses import dataclass
from heapq import heappop, heappush
from typing import Any, Final

from mockforge_nb.errors import NotRecordedError

from .carry import Carry
from .cassette import Cassette, Exchange, Played, Tape
from .compare import at, found, replaced
from .events import Hung, Send
from .log import REPLAYED
from .message import NOT_JSON, TEXT, Message, to_json
from .moved import moved, time_of
from .speech import Speech

DAY_NS: Final = 86_400 * 10**9
AT_ONCE: Final = float("-inf")


@dataclass(slots=True)
class _Rolling:
    """An exchange that is played.

    Attributes:
        tape, exchange: Which.
        origin: When the client said its message, on the driver's clock (s).
        round: How often it was played.
        next: How many of its steps were said.
        hurry: The first step that keeps its time; those before are said at once.
    """

    tape: Tape
    exchange: Exchange
    origin: float
    round: int = 1
    next: int = 0
    hurry: int = -1

    @property
    def step(self) -> int:
        """The step that is next."""
        return self.exchange.steps[self.next]


class Deck:
    """What a cassette says on one connection, in the place of the upstream.

    Each message comes its recorded time after the client's message that it answers. When the client says its next one
    sooner than it did, what was recorded before that one comes first, at once.

    Args:
        cassette: The cassette.
        tape: The connection's tape.
        played: What was played to all connections.
        speech: The connection's time.
        now: When the connection was opened (s).
    """

    __slots__ = (
        "_anchors", "_carry", "_count", "_end", "_heard", "_hurried", "_played", "_rolling", "_speech", "_tape",
        "cassette",
    )  # fmt: skip

    def __init__(self, cassette: Cassette, tape: Tape, played: Played, speech: Speech, now: float) -> None:
        self.cassette = cassette
        self._tape = tape
        self._played = played
        self._speech = speech
        self._heard = 0
        self._carry = Carry(cassette.carry)
        self._anchors: dict[int, int] = {}  # by the tape: when it was opened, as its times tell
        self._rolling: list[_Rolling] = []  # a few: what was recorded before the last message of the client's is below
        self._hurried: list[tuple[int, int, int, _Rolling]] = []  # a heap of what is said at once
        self._count = 0
        self._end: Hung | None = None  # the end of the connection that is next
        self._begin(tape, 0, now)

    # What the client says

    def take(self, message: Message, now: float) -> bool:
        """Begin the exchange that a message begins; return whether there is one.

        Raises:
            Exception: What a key function of the author's raised.
        """
        chosen = self.cassette.find(self._tape, self._heard, message, self._played)
        if chosen is None:
            return False
        tape, index = chosen
        self._heard += 1
        self._played.note(tape, index)
        again = self._played.counts[tape.number, index] > 1
        before = len(tape.program) if again else tape.exchanges[index].step
        timed, self._rolling = self._rolling, []
        for rolling in timed:
            if rolling.tape is tape:
                rolling.hurry = max(rolling.hurry, before)
            self._go_on(rolling)
        recorded = tape.exchanges[index].message
        if self.cassette.carry and recorded is not None:
            self._carry.learn(recorded, message)
        self._begin(tape, index, now)
        return True

    def missed(self, message: Message) -> NotRecordedError:
        """Return the error of a message that begins no exchange."""
        return self.cassette.missed(self._tape, message, self._played)

    @property
    def greeting(self) -> tuple[Message, ...]:
        """What the server said before the client did."""
        steps = [self._tape.program.steps[index] for index in self._tape.exchanges[0].steps]
        return tuple(Message(one.payload.literal(), one.payload.opcode) for one in steps if one.payload is not None)

    def _begin(self, tape: Tape, index: int, now: float) -> None:
        exchange = tape.exchanges[index]
        if exchange.steps:
            self._rolling.append(_Rolling(tape, exchange, now, self._played.counts.get((tape.number, index), 1)))

    # What it says

    @property
    def busy(self) -> bool:
        """Whether something is left to say."""
        return bool(self._rolling or self._hurried) or self._end is not None

    def due(self) -> float | None:
        """Return when something is due (s); None: nothing is left."""
        if self._end is not None or self._hurried:
            return AT_ONCE
        return min(map(self._due, self._rolling), default=None)

    def _due(self, rolling: _Rolling) -> float:
        if rolling.step < rolling.hurry:
            return AT_ONCE
        after = rolling.tape.program.at[rolling.step] - rolling.exchange.at
        return rolling.origin + max(0.0, after) / self.cassette.speed / 1000

    def say(self, now: float) -> Send | Hung | None:
        """Return what is due next, and go on behind it; None: nothing is due."""
        if self._end is not None:
            end, self._end = self._end, None
            return end
        while (rolling := self._next(now)) is not None:
            due = self._due(rolling)
            index = rolling.step
            step = rolling.tape.program.steps[index]
            script_ms = rolling.tape.program.at[index] / self.cassette.speed
            self._speech.script_ms = max(self._speech.script_ms, script_ms)
            said: Send | Hung | None = None
            if step.payload is not None:
                payload = self._told(rolling, step.payload.literal(), step.payload.opcode, max(due, rolling.origin))
                said = Send(step.payload.opcode, payload, index, script_ms, relay=REPLAYED)
            if step.ends:
                end = Hung(1006) if step.error else Hung(step.close or 1000, step.reason)
                self._end, said = (end, said) if said is not None else (None, end)
            rolling.next += 1
            if rolling.next < len(rolling.exchange.steps):
                self._go_on(rolling)
            if said is not None:
                return said
        return None

    def _next(self, now: float) -> _Rolling | None:
        """Take the exchange that says something now; None: none does."""
        timed = min(self._rolling, key=self._order, default=None)
        if self._hurried and (timed is None or (AT_ONCE, *self._hurried[0][:2]) < self._order(timed)):
            return heappop(self._hurried)[3]
        if timed is None or self._due(timed) > now:
            return None
        self._rolling.remove(timed)
        return timed

    def _order(self, rolling: _Rolling) -> tuple[float, int, int]:
        return self._due(rolling), rolling.round, rolling.step

    def _go_on(self, rolling: _Rolling) -> None:
        if rolling.exchange.steps[-1] < rolling.hurry:
            self._at_once(rolling)
        else:
            self._rolling.append(rolling)

    def _at_once(self, rolling: _Rolling) -> None:
        self._count += 1
        heappush(self._hurried, (rolling.round, rolling.step, self._count, rolling))

    def _told(self, rolling: _Rolling, payload: bytes, opcode: int, due: float) -> bytes:
        """Return a payload with the client's ids and the times of now."""
        cassette = self.cassette
        if opcode != TEXT or not (cassette.carry or cassette.rebase):
            return payload
        value = before = Message(payload).parsed()
        if value is NOT_JSON:
            return payload
        value, carried = self._carry.put(value)
        for parts in [*found(cassette.rebase, value)]:
            was = at(value, parts)
            time = time_of(was)
            if time is not None and parts not in carried:  # the client's own is of now
                value = replaced(value, parts, moved(was, self._shift(rolling, time, due)))
        return payload if value is before else _written(value, before, payload)

    def _shift(self, rolling: _Rolling, time_ns: int, due: float) -> int:
        """Return how far a message's times move: as far as it is later than it was when it was recorded (ns)."""
        tape = rolling.tape
        at_ns = int(tape.program.at[rolling.step] * 1e6)
        opened = self._anchors.get(tape.number)
        if opened is None:
            opened = tape.recorded.opened_ns
            if opened is None or abs(time_ns - opened - at_ns) > DAY_NS:
                # When it was said is not known, or is not what such times tell: the first is taken for "now".
                opened = time_ns - at_ns
            self._anchors[tape.number] = opened
        return self._speech.time_ns(due, self._speech.script_ms) - (opened + at_ns)


def _written(value: Any, before: Any, payload: bytes) -> bytes:
    """Return a JSON value as a message was written that held `before`: compact, or with spaces as Python writes it."""
    for ascii_only in (False, True):
        if json.dumps(before, ensure_ascii=ascii_only).encode(errors="replace") == payload:
            return json.dumps(value, ensure_ascii=ascii_only).encode(errors="replace")
    return to_json(value).encode(errors="replace")
