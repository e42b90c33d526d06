"""Plays a cassette to one connection."""

from __future__ import annotations

import json
from collections import deque
from dataclasses import dataclass
from typing import Any, Final

from mockforge_nb.errors import NotRecordedError

from .carry import Carry
from .cassette import Cassette, Exchange, Played, Tape
from .compare import at, found, replaced
from .events import Close, Command, Drop, Send
from .log import REPLAYED
from .message import NOT_JSON, TEXT, Message, to_json
from .moved import moved, time_of
from .outbox import MESSAGE_COST, Outbox
from .speech import Speech

DAY_NS: Final = 86_400 * 10**9
AT_ONCE: Final = float("-inf")


@dataclass(slots=True)
class _Rolling:
    """An exchange that is played: its next step, and when its time 0 stands on the driver's clock (s)."""

    tape: Tape
    exchange: Exchange
    next: int
    origin: float


class Deck:
    """What a cassette says on one connection.

    Messages leave in the order in which they were recorded, each its recorded time after the client's message. When
    the client says its next one sooner than it did, what is left of what was said before it comes first, at once.

    Args:
        cassette: The cassette.
        tape: The connection's tape.
        played: What was played to all connections.
        outbox: Where messages leave.
        speech: The connection's time.
        now: When the connection was opened (s).
    """

    __slots__ = ("_anchors", "_carry", "_heard", "_outbox", "_played", "_queue", "_speech", "_tape", "cassette")

    def __init__(
        self, cassette: Cassette, tape: Tape, played: Played, outbox: Outbox, speech: Speech, now: float
    ) -> None:
        self.cassette = cassette
        self._tape = tape
        self._played = played
        self._outbox, self._speech = outbox, speech
        self._heard = 0
        self._carry = Carry(cassette.carry)
        self._anchors: dict[int, int] = {}  # by the tape: when it was opened, as its times tell
        self._queue: deque[_Rolling] = deque()
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
        for rolling in self._queue:
            rolling.origin = AT_ONCE
        recorded = tape.exchanges[index].message
        if self.cassette.carry and recorded is not None:
            self._carry.learn(recorded, message)
        self._begin(tape, index, now)
        return True

    def missed(self, message: Message) -> NotRecordedError:
        """Return the error of a message that begins no exchange."""
        return self.cassette.missed(self._tape, message, self._played)

    @property
    def greeting(self) -> list[Message]:
        """What the server said before the client did."""
        first = self._tape.exchanges[0]
        steps = [self._tape.program.steps[index] for index in range(first.first, first.last)]
        return [Message(each.payload.literal(), each.payload.opcode) for each in steps if each.payload is not None]

    def _begin(self, tape: Tape, index: int, now: float) -> None:
        exchange = tape.exchanges[index]
        if exchange.first < exchange.last:
            self._queue.append(_Rolling(tape, exchange, exchange.first, now))

    # What it says

    @property
    def busy(self) -> bool:
        """Whether something is left to say."""
        return bool(self._queue)

    def due(self) -> float | None:
        """Return when the next message is due (s); None: nothing is left."""
        return self._due(self._queue[0]) if self._queue else None

    def _due(self, rolling: _Rolling) -> float:
        after = rolling.tape.program.at[rolling.next] - rolling.exchange.at
        return rolling.origin + max(0.0, after) / self.cassette.speed / 1000

    def play(self, now: float, budget: int, out: list[Command]) -> int:
        """Say what is due, up to about `budget` bytes; return the bytes, 0 for nothing."""
        size = 0
        while self._queue and size < budget and self._outbox.room and not self._outbox.ending:
            rolling = self._queue[0]
            due = self._due(rolling)
            if due > now:
                break
            size += self._say(rolling, now if due == AT_ONCE else due, out)
            rolling.next += 1
            if rolling.next >= rolling.exchange.last:
                self._queue.popleft()
        return size

    def _say(self, rolling: _Rolling, due: float, out: list[Command]) -> int:
        program = rolling.tape.program
        step = program.steps[rolling.next]
        script_ms = program.at[rolling.next] / self.cassette.speed
        self._speech.script_ms = max(self._speech.script_ms, script_ms)
        size = MESSAGE_COST
        if step.payload is not None:
            payload = self._told(rolling, step.payload.literal(), step.payload.opcode, due)
            send = Send(step.payload.opcode, payload, rolling.next, script_ms, relay=REPLAYED)
            self._outbox.offer(send, due, out)
            size += len(payload)
        if step.ends:
            end = Drop(relay=REPLAYED) if step.error else Close(step.close or 1000, step.reason, relay=REPLAYED)
            self._outbox.offer(end, due, out)
        return size

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
        at_ns = int(tape.program.at[rolling.next] * 1e6)
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
