"""What a proxy does with one connection's messages: each direction in its order, whatever is made of them."""

from __future__ import annotations

import inspect
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final, TypeAlias

from mockforge_nb.errors import NotRecordedError, OptionError, TemplateError

from .deck import Deck
from .events import (
    LANES,
    Await,
    Came,
    Close,
    Command,
    Dial,
    Drop,
    Failed,
    Forward,
    HangUp,
    Heard,
    Hung,
    Leaving,
    Reading,
    Received,
    Runs,
    SendAll,
)
from .events import Send as Row
from .log import ANSWERED, CHANGED, DROPPED, FORWARDED, INJECTED, REPLAYED
from .message import Message, encoded
from .network import Network
from .outbox import MESSAGE_COST, Outbox
from .plan import Relay
from .rules import Call, Connected

MOST_WAITING: Final = 1024
"""How many messages may wait in a direction for an awaited `transform`, before nothing more is read."""

NOT_RECORDED: Final = Close(1011, "not recorded")
"""What a client is told whose message a cassette does not have; 1011 as in RFC 6455 §7.4.1."""

Item: TypeAlias = Row | Leaving | Hung
"""A message with what the network did to it, or the end of what comes."""


Local: TypeAlias = Callable[[Message, float, list[Command]], bool]
"""Does something with a client's message here, at a time (s); returns whether that was an answer."""


@dataclass(slots=True, eq=False)
class Asked:
    """A message whose `transform` is awaited: the key of its `Await`."""

    lane: Lane
    row: Row
    message: Message


class Lane:
    """One direction.

    Args:
        direction: ``"in"`` to the upstream, ``"out"`` to the client.
        call: What is made of each message; None: nothing.

    Attributes:
        waiting: What came after a message whose `transform` is awaited, or before the upstream was there.
        asked: That message.
        shut: Whether the upstream it leads to is not there yet.
    """

    __slots__ = ("asked", "call", "direction", "shut", "waiting")

    def __init__(self, direction: str, call: Call | None) -> None:
        self.direction = direction
        self.call = call
        self.waiting: deque[Item] = deque()
        self.asked: Asked | None = None
        self.shut = direction == "in"

    @property
    def free(self) -> bool:
        """Whether what comes now is next."""
        return self.asked is None and not self.shut and not self.waiting


class Relaying:
    """A connection's relay.

    Args:
        relay: What it does.
        outbox: Where the client's messages leave.
        connection: What `transform` is given for the connection.
        answered: Lets rules and scripts that wait have a message, and returns whether one took it.
        left_over: Does with a message what is done with those that nobody takes; returns whether it is answered.

    Attributes:
        relay: As given.
        leaving: The client's end, while messages of before it are on the network.
        ended: How the upstream ended, once all that it said before is on its way to the client.
        deck: What plays the cassette to it; None: there is none.
        dialed: Whether the upstream was asked for.
    """

    __slots__ = (
        "_answered", "_connection", "_held", "_into", "_joined", "_left_over", "_out", "_outbox", "_unsent", "deck",
        "dialed", "ended", "leaving", "relay",
    )  # fmt: skip

    def __init__(
        self, relay: Relay, outbox: Outbox, connection: Connected | None, answered: Local, left_over: Local
    ) -> None:
        self.relay = relay
        self._outbox = outbox
        self._connection = connection
        self._answered, self._left_over = answered, left_over
        self.leaving: Leaving | None = None
        self._into = Lane("in", relay.into)
        self._out = Lane("out", relay.out)
        self._held = False
        self.ended: Hung | None = None
        self.deck: Deck | None = None
        self.dialed = False
        self._joined = False
        self._unsent: Runs = []  # what an upstream is told once it is there

    @property
    def plain(self) -> bool:
        """Whether the client's messages are passed on as they come, all of them."""
        return self.relay.only is None and self._into.call is None and self.deck is None and self._into.free

    @property
    def rests(self) -> bool:
        """Whether it plays a cassette, which has nothing to say, and no upstream says anything either."""
        return self.deck is not None and not self.plays and not self.dialed

    @property
    def plays(self) -> bool:
        """Whether its cassette has something to say."""
        return self.deck is not None and self.deck.busy

    @property
    def plain_out(self) -> bool:
        """Whether the upstream's are."""
        return self._out.call is None and self._out.free

    # What comes

    def plays_to(self, deck: Deck) -> None:
        """Let a cassette stand in the upstream's place."""
        self.deck, self._into.shut = deck, False

    def dial(self, out: list[Command]) -> None:
        """Ask for the upstream, unless that was done."""
        if not self.dialed:
            self.dialed = True
            out.append(Dial(self.relay, () if self.deck is None else self.deck.greeting))

    def roll(self, now: float, budget: int, out: list[Command]) -> int:
        """Let the cassette say what is due, up to about `budget` bytes; return the bytes, 0 for nothing."""
        size = 0
        while size < budget and self.deck is not None and self._rolls:
            said = self.deck.say(now)
            if said is None:
                break
            self._offer(self._out, said, now, out)
            size += MESSAGE_COST + (len(said.payload) if isinstance(said, Row) else 0)
        return size

    @property
    def _rolls(self) -> bool:
        """Whether what the cassette says can be taken."""
        return self._out.free and self._outbox.room and not self._outbox.ending and self.ended is None

    def due(self) -> float | None:
        """Return when the cassette has something to say (s); None: never, or not before something else happened."""
        return self.deck.due() if self.deck is not None and self._rolls else None

    def joined(self, now: float, out: list[Command]) -> None:
        """Take note that the upstream is there, and pass on what waited for it."""
        self._into.shut, self._joined = False, True
        if self._unsent:
            out.append(Forward(self._unsent))
            self._unsent = []
        self._drain(self._into, now, out)

    def hear(self, came: Row, now: float, time_ns: int, out: list[Command]) -> None:
        """Answer a message of the client's by ourselves, or pass it on.

        Args:
            came: The message, with what the network did to it.
            now: The time (s of the driver's clock).
            time_ns: The same for the traffic (UTC ns).
            out: Where the commands go.
        """
        number = self._connection.number if self._connection is not None else 0
        message = Message(came.payload, came.opcode, connection=number, time=time_ns)
        at, fate = len(out), ANSWERED
        try:
            if self._outbox.ending:
                fate = DROPPED
            elif not self._answered(message, now, out):
                if self.relay.only is not None and self.relay.only.match(message) is None:
                    fate = ANSWERED if self._left_over(message, now, out) else DROPPED
                else:
                    self._offer(self._into, came, now, out)
                    return
        except TemplateError as error:
            fate = DROPPED
            out.append(Failed(error))
        except Exception as error:  # noqa: BLE001  # of a predicate or function of the author's
            fate = DROPPED
            self._outbox.fail(error, now, out)
        row = Row(came.opcode, came.payload, delay_ms=came.delay_ms, fault=came.fault, relay=fate)
        # Its row stands before those of its answers.
        out[at:at] = [Came(row), self.heard(message)]

    def _miss(self, error: NotRecordedError, now: float, out: list[Command]) -> None:
        """Keep that a message was not recorded, and close the connection: its client would wait in vain."""
        out.append(Failed(error))
        self._outbox.close(NOT_RECORDED, now, out)

    def leave(self, network: Network | None, now: float, out: list[Command]) -> None:
        """Let the client's end, if it came, follow its messages, once none of them is on the network any more."""
        leaving = self.leaving
        if leaving is not None and not (network is not None and network.coming):
            self.leaving = None
            self._offer(self._into, leaving, now, out)

    def spoke(self, received: Received, now: float, out: list[Command]) -> None:
        """Pass on what the upstream said."""
        if self.plain_out and self._outbox.direct and not self._outbox.ending:
            out.append(SendAll(received.runs, FORWARDED))
            return
        for opcode, payloads in received.runs:
            for payload in payloads:
                self._offer(self._out, Row(opcode, payload), now, out)

    def hung(self, event: Hung, now: float, out: list[Command]) -> None:
        """Let the upstream's end follow its messages."""
        self._offer(self._out, event, now, out)

    def inject(self, opcode: int, payload: bytes, out: list[Command]) -> None:
        """Say something to the upstream that the client did not."""
        out += (Came(Row(opcode, payload, relay=INJECTED)), Forward([(opcode, [payload])]))

    def returned(self, asked: Asked, value: Any, now: float, out: list[Command]) -> None:
        """Go on with what an awaited `transform` made of a message."""
        lane = asked.lane
        if lane.asked is asked:
            lane.asked = None
            try:
                self._settle(lane, asked.row, asked.message, value, now, out)
            except OptionError as error:
                self.fail(error, now, out)
            self._drain(lane, now, out)

    def fail(self, error: Exception, now: float, out: list[Command]) -> None:
        """End the connection by what a `transform` raised; nothing that waits is passed on."""
        for lane in (self._into, self._out):
            lane.waiting.clear()
            lane.asked = None
        self._outbox.fail(error, now, out)

    # One after the other

    def _offer(self, lane: Lane, item: Item, now: float, out: list[Command]) -> None:
        if lane.free:
            self._pass(lane, item, now, out)
            return
        lane.waiting.append(item)
        if not self._held and len(lane.waiting) >= MOST_WAITING:
            self._held = True
            out.append(Reading(on=False, why=LANES))

    def _drain(self, lane: Lane, now: float, out: list[Command]) -> None:
        while lane.waiting and lane.asked is None:
            self._pass(lane, lane.waiting.popleft(), now, out)
        if self._held and max(len(self._into.waiting), len(self._out.waiting)) <= MOST_WAITING // 2:
            self._held = False
            out.append(Reading(on=True, why=LANES))

    def _pass(self, lane: Lane, item: Item, now: float, out: list[Command]) -> None:
        if isinstance(item, Leaving):
            out.append(HangUp(item.code, item.reason))
        elif isinstance(item, Hung):
            self.ended = item
        elif lane.call is None:
            self._emit(lane, item, FORWARDED, Message(item.payload, item.opcode), now, out)
        else:
            message = Message(item.payload, item.opcode, connection=self._connection.number if self._connection else 0)
            message.direction = lane.direction
            try:
                value = lane.call(message, self._connection)
                if inspect.isawaitable(value):
                    lane.asked = Asked(lane, item, message)
                    out.append(Await(value, lane.asked))
                else:
                    self._settle(lane, item, message, value, now, out)
            except Exception as error:  # noqa: BLE001  # the author's
                self.fail(error, now, out)

    def _settle(self, lane: Lane, row: Row, message: Message, value: Any, now: float, out: list[Command]) -> None:
        """Do with a message what its `transform` says.

        Raises:
            OptionError: That has no form on the wire.
        """
        made = [_message(one) for one in (value if isinstance(value, (list, tuple)) else [value]) if one is not None]
        through = next((one for one in made if one is message), next((one for one in made if one == message), None))
        messages = [one for one in made if isinstance(one, Message)]
        if not messages:
            self._emit(lane, row, DROPPED, message, now, out)
        for one in made:
            if not isinstance(one, Message):
                self._outbox.close(one, now, out)
                return
            if one is through:
                self._emit(lane, row, FORWARDED, one, now, out)
            elif through is None and one is messages[0]:
                self._emit(lane, row, CHANGED, one, now, out, message)
            else:
                self._emit(lane, Row(0, b""), INJECTED, one, now, out)

    def _emit(
        self,
        lane: Lane,
        row: Row,
        fate: str,
        message: Message,
        now: float,
        out: list[Command],
        original: Message | None = None,
    ) -> None:
        """Send a message on, and log what became of it.

        Raises:
            Exception: What a key function of the author's raised.
        """
        error: NotRecordedError | None = None
        taken = False
        if lane is self._out:
            fate = REPLAYED if fate == FORWARDED and row.relay == REPLAYED else fate
        elif self.deck is not None and fate != DROPPED:
            taken = self.deck.take(message, now)
            fate = REPLAYED if taken and fate == FORWARDED else fate
            if not taken and not self.deck.cassette.live:
                fate, error = DROPPED, self.deck.missed(message)
        made = Row(
            message.opcode, message.payload, row.step, row.due_ms, row.delay_ms, fault=row.fault, relay=fate,
            original=original,
        )  # fmt: skip
        if lane is self._out:
            if fate == DROPPED:
                self._outbox.lose(made, now, out)
            else:
                self._outbox.offer(made, now, out)
            return
        out.append(Came(made))
        if fate != INJECTED:
            out.append(self.heard(original or message))
        if error is not None:
            self._miss(error, now, out)
        elif fate != DROPPED and not taken:
            self._tell(message, out)

    def _tell(self, message: Message, out: list[Command]) -> None:
        """Tell the upstream a message, once it is there."""
        runs: Runs = [(message.opcode, [message.payload])]
        if self._joined or self.deck is None:
            out.append(Forward(runs))
        else:
            self.dial(out)
            self._unsent += runs

    def heard(self, message: Message) -> Heard:
        """Return what tells those who wait for messages of one of the client's."""
        number = self._connection.number if self._connection is not None else 0
        return Heard(Received([(message.opcode, [message.payload])], number))


def _message(value: object) -> Message | Close | Drop:
    """Return what a `transform` returned, as a message or the connection's end.

    Raises:
        OptionError: It has no form on the wire.
    """
    if isinstance(value, (Message, Close, Drop)):
        return value
    opcode, payload = encoded(value, "proxy(transform=)")
    return Message(payload, opcode)
