"""One connection of a Plan: it is told what happened and when, and answers with commands."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from typing import Any

from mockforge_nb.errors import ExpectationError, TemplateError

from .answers import Answers, Asked
from .conditions import Conditions
from .cuts import View
from .deck import Deck
from .events import (
    NAN,
    NETWORK,
    Came,
    Changed,
    Close,
    Closed,
    Closing,
    Command,
    Deliver,
    Drop,
    Event,
    Failed,
    Forward,
    Halt,
    HangUp,
    Heard,
    Hung,
    Injected,
    Joined,
    Leaving,
    Next,
    Opened,
    Pass,
    Paused,
    Pushed,
    Raised,
    Reading,
    Received,
    Resumed,
    Returned,
    Run,
    Send,
    SendAll,
    Spoke,
    Untaken,
    Updated,
    WakeAt,
    Woke,
)
from .feed import Feed
from .identity import Identity
from .link import LOST
from .log import ANSWERED, DROPPED, FORWARDED, INJECTED, REPLAYED
from .message import Message
from .network import Network
from .outbox import Outbox
from .plan import Echo, Handle, Plan, Relay, Replay, Shared, Stream
from .player import Player
from .program import BLOCK_BYTES
from .relaying import NOT_RECORDED, Relaying
from .relaying import Asked as Transformed
from .rules import Connected
from .speech import Speech
from .stage import Stage
from .subscribing import Subscriber


@dataclass(frozen=True, slots=True, eq=False)
class _Handling:
    """A run of the author's handler."""

    plan: Plan = field(repr=False)


class Session:
    """What one connection does, as ``(event, now) -> commands``; it neither waits nor talks.

    A message is shown to the rules first, then to the scripts that answer by one and wait for the client, then to
    the plan's behaviour. A turn sends about 64 KiB and then asks to be woken at once, so that no session holds up
    the others.

    Args:
        plan: What it does.
        who: The connection.
        shared: What it has in common with the plan's other connections.
        connection: What functions of the author's are given for the connection; None: there is none.
        noting: Whether it notes what no message shows: waits, branches, and what is late.

    Attributes:
        plan, who: As given.
        speech: Its words, and its time.
        network: What its messages cross; None: nothing happens to them.
    """

    __slots__ = (
        "_answers", "_asleep", "_connection", "_ended", "_fallen", "_feed", "_handling", "_later", "_next",
        "_open", "_out", "_outbox", "_passing", "_player", "_relaying", "_shared", "_stage", "_subscriber", "_wake",
        "network", "plan", "speech", "who",
    )  # fmt: skip  # ten thousand of them may be open

    def __init__(
        self,
        plan: Plan,
        who: Identity,
        shared: Shared | None = None,
        connection: Connected | None = None,
        *,
        noting: bool = False,
    ) -> None:
        self.who = who
        self._connection = connection
        self._shared = shared or Shared()
        self._outbox = Outbox()
        self.speech = Speech(plan, who, self._shared)
        self._stage = Stage(self._outbox, self.speech, noting=noting)
        self._answers = Answers(self._outbox, self.speech, connection)
        self._answers.configure(plan, self._shared)
        self._player: Player | None = None  # the replay's
        self._subscriber: Subscriber | None = None
        self._feed: Feed | None = None
        self._handling: _Handling | None = None
        self._relaying: Relaying | None = None
        self._wake: float | None = None
        self._next = False  # whether a new behaviour waits for the end of the one that runs
        self._open = self._ended = self._passing = False
        self._fallen = False  # whether something stands in for an upstream that is down
        self._out: list[Command] | None = None  # while an event is handled: what is answered
        self._later: list[Event] = []
        self.plan = plan
        self.network: Network | None = None
        self._asleep: Network | None = None
        self._outbox.configure(plan.queue_bytes, None)

    @property
    def state(self) -> dict[str, Any]:
        """The connection's state, which templates and functions of the author's read and set."""
        return self.speech.state

    @property
    def relays(self) -> str | None:
        """What becomes of messages that are passed on as they come; None: there is no upstream."""
        return None if self._relaying is None else FORWARDED

    @property
    def says(self) -> str | None:
        """What is said of messages that the session says by itself; None: no upstream could have said them."""
        return REPLAYED if self._fallen else ANSWERED if self._relaying is not None else None

    @property
    def tells(self) -> bool:
        """Whether it tells itself what came (`Came`, `Heard`): the network or a proxy decides what becomes of it."""
        return self.network is not None or (self._relaying is not None and not self._passes)

    @property
    def _passes(self) -> bool:
        """Whether all that the client says is passed on as it comes."""
        assert self._relaying is not None
        return (
            self._relaying.plain and not (self.plan.rules or self._answers.players or self._next) and self._outbox.open
        )

    @property
    def full(self) -> bool:
        """Whether as much waits for the peer as may; who pushes more must be told."""
        return self._outbox.full

    def time_ns(self, now: float, due_ms: float = NAN) -> int:
        """Return the UTC time (ns) of a log row: the real one, or under a clock the script's."""
        return self.speech.time_ns(now, self.speech.script_ms if due_ms != due_ms else due_ms)

    def handle(self, event: Event, now: float) -> list[Command]:
        """Return what is to be done after `event`, which happened at `now` (s of the driver's clock)."""
        if self._out is not None:
            # A function of the author's, called by this very session, says something.
            if isinstance(event, Pushed):
                self._push(event, now, self._out)
            else:
                self._later.append(event)
            return []
        out: list[Command] = []
        self._out = out
        try:
            self._handle(event, now, out)
            while self._later:
                self._handle(self._later.pop(0), now, out)
            if self._relaying is not None or self._passing:
                self._pass(out)
        finally:
            self._out = None
        return out

    def _handle(self, event: Event, now: float, out: list[Command]) -> None:
        kind = type(event)
        if kind is Received and self._open:
            if self.network is not None:
                self._come(event, now, out)  # type: ignore[arg-type]  # as was just asked, at half the price
            else:
                self._receive(event, now, out)  # type: ignore[arg-type]
            if not self._rests:
                self._turn(now, out)
            return
        if kind is Closed:
            self._open = False
            self._outbox.clear()
            self._end_all(out, handler=False)
        elif isinstance(event, Opened):
            self._open = True
            self._connect(self.plan.conditions, now)
            self._start(now, out, event)
        if not self._open:
            return
        if kind is Woke:
            self._wake = None
        elif isinstance(event, Pushed):
            self._push(event, now, out)
        elif isinstance(event, Returned):
            self._returned(event.key, event.value, now, out)
        elif isinstance(event, Raised):
            self._raised(event.key, event.error, now, out)
        elif isinstance(event, Closing):
            self._outbox.close(Close(event.code, event.reason), now, out)
        elif isinstance(event, Updated):
            self._update(event, now, out)
        elif isinstance(event, Changed):
            self._connect(event.conditions, now)
        elif isinstance(event, (Spoke, Joined, Hung, Leaving, Injected)):
            self._relay(event, now, out)
        elif kind is Paused:
            self._outbox.paused = True
        elif kind is Resumed:
            self._outbox.paused = False
        self._turn(now, out)

    # What it does by itself

    def _start(self, now: float, out: list[Command], opened: Opened | None = None) -> None:
        """Begin what the plan's connections do; without `opened` another plan has taken over."""
        behaviour = self.plan.behaviour
        self._ended = self._next = self._fallen = False
        self._relaying = None  # a cassette that has nothing more to say
        if isinstance(behaviour, Replay):
            self._begin_replay(behaviour, now)
        elif isinstance(behaviour, Stream):
            try:
                self._feed = Feed(behaviour, now, self._connection, self._shared.since(now, shared=behaviour.shared))
            except Exception as error:  # noqa: BLE001  # the author's
                self._outbox.fail(error, now, out)
        elif isinstance(behaviour, Handle):
            self._handling = _Handling(self.plan)
            out.append(Run(behaviour.function, self._handling))
        elif isinstance(behaviour, Relay):
            self._begin_relaying(behaviour, now, out, opened)

    def _begin_relaying(self, relay: Relay, now: float, out: list[Command], opened: Opened | None) -> None:
        """Begin with the cassette's tape, or with the upstream, or with what is played where that is down."""
        played, cassette = self._shared.played, relay.cassette
        if opened is not None and opened.down and relay.fallback is not None:
            self._fall_back(relay.fallback, now)
            return
        self._relaying = Relaying(relay, self._outbox, self._connection, self._answered, self._leave_over)
        tape = opened.tape if opened is not None else None
        if opened is None and cassette is not None:
            tape = cassette.claim(self.who.path, played)
        if cassette is not None and tape is not None:
            self._relaying.plays_to(Deck(cassette, tape, played, self.speech, now))
        elif cassette is not None and not cassette.live:
            out.append(Failed(cassette.no_tape(self.who.path, played)))
            self._outbox.close(NOT_RECORDED, now, out)
        else:
            self._relaying.dial(out)

    def _begin_replay(self, replay: Replay, now: float) -> None:
        """Play a program, or of a table what the connection's path says, or what it will ask for."""
        cuts = replay.program.cuts
        self._player = self._subscriber = None
        if cuts is None:
            self._player = Player(replay, now, self._shared)
        elif cuts.subscription is not None:
            self._subscriber = Subscriber(replay, cuts, cuts.subscription, self._shared)
            self.speech.state |= {"subscribed": [], "unknown": []}
        else:
            key = None if cuts.keys is None else self.who.params.get(cuts.keys.name)
            keys = None if key is None or cuts.keys is None else frozenset(cuts.keys.known([key]))
            self._player = Player(replay, now, self._shared, View(cuts, keys, self._began_ns(replay, now)))

    def _began_ns(self, replay: Replay, now: float) -> int:
        """Return the UTC time (ns) at which a replay that is begun now began: for all connections, if it is shared."""
        return self.speech.time_ns(self._shared.since(now, shared=replay.shared), 0.0)

    def _subscribe(self, message: Message, now: float, out: list[Command]) -> bool:
        """Let a message say which keys the connection wants; return whether it is about that.

        Raises:
            Exception: What a template or a function of the author's raised.
        """
        subscriber = self._subscriber
        if subscriber is None:
            return False
        heard = subscriber.hear(message)
        if heard is None:
            return False
        self.speech.state |= {"subscribed": [*subscriber.keys], "unknown": heard.unknown}
        self._answers.acknowledge(subscriber.subscription.ack, message, heard.match, now, out)
        return True

    def _fall_back(self, replay: Replay, now: float) -> None:
        """Play what stands in for an upstream that is down."""
        self._begin_replay(replay, now)
        self._fallen = True

    def _end_all(self, out: list[Command], *, handler: bool) -> None:
        """End what runs; a handler may be left to see the connection's end for itself."""
        self._player = self._subscriber = None
        self._answers.players.clear()
        if self._feed is not None:
            out.append(Halt(self._feed, self._feed.source))
            self._feed = None
        if self._relaying is not None:
            # Another behaviour takes over, or the connection ends, and the upstream's as that did.
            out.append(HangUp(1001) if self._open else HangUp())
            self._relaying = None
        if self._handling is not None and handler:
            out.append(Halt(self._handling))
            self._handling = None

    def _update(self, event: Updated, now: float, out: list[Command]) -> None:
        self.plan, self._shared = event.plan, event.shared
        self.who = replace(self.who, params=event.params)
        self._answers.configure(event.plan, event.shared)
        self._connect(event.plan.conditions, now)
        self.speech.configure(event.plan, self.who, event.shared)
        if event.running == "end":
            self._end_all(out, handler=True)
        else:
            for player in (*self._answers.players, *([self._player] if self._player else [])):
                player.rule, player.context = -1, player.context or self.speech.context("template before")
        self._next = True

    @property
    def _rests(self) -> bool:
        """Whether nothing runs, waits or is on its way, so that a turn would do nothing."""
        return (
            self._player is None
            and self._feed is None
            and self.network is None
            and not (self._answers.players or self._next or self._wake)
            and not (self._subscriber is not None and self._subscriber.changed)
            and self._outbox.direct
            and not (self._relaying is not None and self._relaying.plays)
        )

    def _idle(self) -> bool:
        player = self._player
        relays = self._relaying is not None and not self._relaying.rests
        nothing = self._feed is None and self._handling is None and not relays
        return nothing and (player is None or player.over)

    # The network

    def _connect(self, conditions: Conditions, now: float) -> None:
        """Let the network have these conditions from now on."""
        network = self.network or self._asleep
        if network is not None:
            network.change(conditions, now)
        elif conditions.crossing:
            network = Network(conditions, self.who, self._shared.struck, now)
        # One in which nothing happens is kept aside: its random numbers go on where they were.
        awake = network is not None and (conditions.crossing or network.busy)
        self.network, self._asleep = (network, None) if awake else (None, network)
        self._outbox.configure(self.plan.queue_bytes, self.network.out if self.network is not None else None)

    def _weather(self, now: float, out: list[Command]) -> None:
        """Let the network's time come to `now`, and hear what has arrived by then."""
        network = self.network
        assert network is not None
        ends, late = network.turn(now)
        self._outbox.link = network.out
        self._outbox.queue(list(late), out)
        for end in ends:
            self._strike(end, now, out)
        arrived = network.arrived(now)
        if network.held and network.waiting <= self.plan.queue_bytes // 2:
            network.held = False
            out.append(Reading(on=True, why=NETWORK))
        if self._relaying is not None:
            for message in arrived:
                self._relaying.hear(message, now, self.time_ns(now), out)
            self._relaying.leave(network, now, out)
        elif arrived:
            runs = [(message.opcode, [message.payload]) for message in arrived]
            received = Received(runs, self._connection.number if self._connection else 0, self.time_ns(now))
            out.append(Heard(received))
            self._receive(received, now, out)

    def _come(self, event: Received, now: float, out: list[Command]) -> None:
        """Let messages enter the network; those that it does not delay are heard at once."""
        assert self.network is not None
        for opcode, payloads in event.runs:
            for payload in payloads:
                rows, ends = self.network.come(Send(opcode, payload), now, out)
                if self._relaying is not None:
                    # The others have theirs once it is known what becomes of them.
                    rows = [replace(row, relay=DROPPED) for row in rows if row.wire == LOST]
                out.extend(map(Came, rows))
                for end in ends:
                    self._strike(end, now, out)
        if not self.network.held and self.network.waiting > self.plan.queue_bytes:
            self.network.held = True
            out.append(Reading(on=False, why=NETWORK))

    def _strike(self, end: Close | Drop, now: float, out: list[Command]) -> None:
        """End the connection by a fault: a close frame stands behind what is on its way, all else is cut off."""
        if isinstance(end, Close):
            self._outbox.close(end, now, out)
        elif not any(isinstance(command, Drop) for command in out):
            self._outbox.clear()
            self._outbox.ending = True
            out.append(end)

    # What comes in

    def _receive(self, event: Received, now: float, out: list[Command]) -> None:
        behaviour = self.plan.behaviour
        if self._relaying is not None:
            if self._passes:
                out.append(Forward(event.runs))
                return
            for opcode, payloads in event.runs:
                for payload in payloads:
                    self._relaying.hear(Send(opcode, payload), now, self.time_ns(now), out)
            return
        if isinstance(behaviour, Echo) and not (self.plan.rules or self._answers.players or self._next):
            if self._outbox.direct and not self._outbox.ending and not behaviour.prefix:
                out.append(SendAll(event.runs))
            else:
                self._echo(event.messages, behaviour.prefix, now, out)
            return
        for message in event.messages:
            if self._outbox.ending:
                return
            try:
                if not self._answers.answer(message, now, out):
                    self._behave(message, now, out)
            except TemplateError as error:
                out.append(Failed(error))
            except Exception as error:  # noqa: BLE001  # of a predicate or function of the author's
                self._outbox.fail(error, now, out)

    def _echo(self, messages: list[Message], prefix: str, now: float, out: list[Command]) -> None:
        before = prefix.encode()
        for message in messages:
            payload = before + message.payload if before else message.payload
            self._outbox.offer(Send(message.opcode, payload), now, out)

    def _behave(self, message: Message, now: float, out: list[Command]) -> None:
        """Show a message that no rule took to what runs, or do with it what is done with the others."""
        behaviour = self.plan.behaviour
        if self._listened(message, now, out) or self._subscribe(message, now, out):
            return
        if self._handling is not None:
            out.append(Deliver(message))
        elif isinstance(behaviour, Echo) and not self._next:
            self._echo([message], behaviour.prefix, now, out)
        else:
            self._leave_over(message, now, out)

    def _leave_over(self, message: Message, now: float, out: list[Command]) -> bool:
        """Do with a message that nothing takes what is done with those; return whether it is answered."""
        if self.plan.otherwise == "echo":
            self._echo([message], "", now, out)
        elif self.plan.otherwise == "error":
            out.append(Failed(ExpectationError(f"nobody took {message!r}")))
        elif self.plan.otherwise:
            self._answers.answer_otherwise(self.plan.otherwise, message, now, out)
        else:
            out.append(Untaken(message))
        return bool(self.plan.otherwise) and self.plan.otherwise != "error"

    def _listened(self, message: Message, now: float, out: list[Command]) -> bool:
        """Show a message to a script that waits for one; return whether one did."""
        players = [*reversed(self._answers.players), *([self._player] if self._player else [])]
        listening = next((player for player in players if player.listens), None)
        if listening is None:
            return False
        listening.receive(message)
        # Before the next message, as if that came with another read: it may be for somebody else.
        self._turn(now, out)
        return True

    # A proxy

    def _relay(self, event: Joined | Hung | Leaving | Injected | Spoke, now: float, out: list[Command]) -> None:
        """Take note of what happened to the upstream, or of what is said to it beside the client's messages."""
        relaying = self._relaying
        if relaying is None:
            return
        if isinstance(event, Spoke):
            relaying.spoke(event, now, out)
        elif isinstance(event, Hung):
            relaying.hung(event, now, out)
            self._hung(now, out)
        elif isinstance(event, Leaving):
            relaying.leaving = event
            relaying.leave(self.network, now, out)
        elif isinstance(event, Injected):
            relaying.inject(event.opcode, event.payload, out)
        elif event.relayed:
            relaying.joined(now, out)
        else:
            self._relaying = None

    def _pass(self, out: list[Command]) -> None:
        """Say whether there is nothing to say about what passes."""
        relaying = self._relaying
        on = (
            relaying is not None and self.network is None and self._passes
            and relaying.plain_out and self._outbox.direct
        )  # fmt: skip
        if on is not self._passing:
            self._passing = on
            out.append(Pass(on))

    def _hung(self, now: float, out: list[Command]) -> None:
        """End the connection as the upstream ended its own, once all that it said before is on its way."""
        ended = self._relaying.ended if self._relaying is not None else None
        if ended is None:
            return
        assert self._relaying is not None
        played = self._relaying.deck is not None and not self._relaying.dialed
        fallback = None if played else self._relaying.relay.fallback
        relay = REPLAYED if played else FORWARDED
        self._relaying = None
        if self._next:
            out.append(HangUp(1001))  # another behaviour has waited for this
        elif fallback is not None and ended.code in DOWN:
            out.append(HangUp(1001))
            self._fall_back(fallback, now)
        else:
            how = Drop(relay=relay) if ended.code == 1006 else Close(ended.code, ended.reason, relay=relay)
            self._outbox.close(how, now, out)

    def _answered(self, message: Message, now: float, out: list[Command]) -> bool:
        """Let the rules and the scripts that wait have a message; return whether one took it."""
        return self._answers.answer(message, now, out) or self._listened(message, now, out)

    # Functions of the author's

    def _returned(self, key: object, value: Any, now: float, out: list[Command]) -> None:
        if isinstance(key, Asked):
            self._answers.returned(key, value, now, out)
        elif isinstance(key, Transformed):
            if self._relaying is not None:
                self._relaying.returned(key, value, now, out)
                self._hung(now, out)
        elif key is self._feed and self._feed is not None:
            self._feed.come(value, now)
        elif key is self._handling:
            self._handling = None
            if not self._next:
                self._outbox.close(Close(1000), now, out)

    def _raised(self, key: object, error: Exception, now: float, out: list[Command]) -> None:
        if key is self._feed and self._feed is not None and isinstance(error, StopAsyncIteration):
            self._feed.end()
        elif isinstance(key, Asked):
            self._outbox.fail(error, now, out, key.rule)
        elif isinstance(key, Transformed):
            if self._relaying is not None:
                self._relaying.fail(error, now, out)
        elif key is self._feed:
            self._feed = None
            self._outbox.fail(error, now, out)
        elif key is self._handling:
            self._handling = None
            self._outbox.fail(error, now, out)

    # What leaves

    def _push(self, event: Pushed, now: float, out: list[Command]) -> None:
        if not self._outbox.ending:
            relay = None if self._relaying is None else INJECTED
            send = Send(event.opcode, event.payload, event.step, event.due_ms, fault=event.fault, relay=relay)
            self._outbox.offer(send, now, out)

    def _turn(self, now: float, out: list[Command]) -> None:
        """Send what is due, up to a turn's worth, and ask to be woken for the rest."""
        if self.network is not None:
            self._weather(now, out)
        subscriber = self._subscriber
        if subscriber is not None and subscriber.changed:
            self._player = subscriber.play(self._player, now, self._began_ns(subscriber.replay, now))
        if self._outbox.paused:
            return
        budget = BLOCK_BYTES
        while budget > 0:
            budget -= self._outbox.leave(now, budget, out)
            if self._outbox.ending:
                break
            played = self._play(now, out) or self._pour(now, out) or self._roll(now, budget, out)
            if self._next and self._idle():
                self._start(now, out)
            elif not played:
                break
            budget -= played
        self._ask(now, out)

    def _ask(self, now: float, out: list[Command]) -> None:
        """Ask to be woken when there is something to do, and for a stream's next item."""
        due = self._outbox.due
        if self.network is not None:
            due = min((time for time in (due, self.network.due()) if time is not None), default=None)
        if not self._outbox.ending and self._outbox.room:
            for player in self._players():
                step_due = player.due()
                if step_due is not None and (due is None or step_due < due):
                    due = step_due
            if self._relaying is not None:
                rolls = self._relaying.due()
                if rolls is not None and (due is None or rolls < due):
                    due = max(now, rolls)
            if self._feed is not None:
                wanted = self._feed.wants()
                if wanted is not None:
                    out.append(Next(wanted[0], self._feed, wanted[1]))
                item_due = self._feed.due()
                if item_due is not None and (due is None or item_due < due):
                    due = item_due
        if due is not None and due != self._wake:
            self._wake = due
            out.append(WakeAt(due))

    def _roll(self, now: float, budget: int, out: list[Command]) -> int:
        """Let the cassette say what is due; return about how many bytes it was, 0 for none."""
        if self._relaying is None or self._relaying.deck is None:
            return 0
        rolled = self._relaying.roll(now, budget, out)
        self._hung(now, out)
        return rolled

    def _players(self) -> Iterator[Player]:
        if self._player is not None:
            yield self._player
        yield from self._answers.players

    def _play(self, now: float, out: list[Command]) -> int:
        """Let the script whose next step is due first play on; return about how many bytes it was, 0 for none."""
        clocked = self.plan.clock_ns is not None
        if not self._answers.players:
            return self._play_one(self._player, now, out, clocked=clocked) if self._player is not None else 0
        for player in sorted(self._players(), key=lambda each: NEVER if (due := each.due()) is None else due):
            played = self._play_one(player, now, out, clocked=clocked)
            if played:
                return played
        return 0

    def _play_one(self, player: Player, now: float, out: list[Command], *, clocked: bool) -> int:
        played = self._stage.play(player, now, out, clocked=clocked)
        if player is not self._player:
            if player.finished:
                self._answers.players.remove(player)
        elif played and player.over and not self._ended:
            self._ended = True
            self._behaved(now, out)
        return played

    def _behaved(self, now: float, out: list[Command]) -> None:
        """The script or stream is at its end."""
        behaviour = self.plan.behaviour
        if self._fallen and isinstance(behaviour, Relay):
            behaviour = behaviour.fallback or behaviour
        if not self._next and isinstance(behaviour, (Replay, Stream)) and behaviour.then == "close":
            self._outbox.close(Close(1000), now, out)

    def _pour(self, now: float, out: list[Command]) -> int:
        """Send the stream's next item if it is due; return about how many bytes it was, 0 for none."""
        feed = self._feed
        if feed is None or not self._outbox.room:
            return 0
        try:
            poured = feed.take(now)
        except Exception as error:  # noqa: BLE001  # the author's source
            self._feed = None
            self._outbox.fail(error, now, out)
            return 0
        if poured is None:
            if feed.done:
                self._feed = None
                self._behaved(now, out)
            return 0
        return self._stage.pour(poured, now, out)


NEVER = float("inf")

DOWN = (1006, 1014)
"""How a connection to an upstream ends that is down: without a close frame, or it could not be had at all."""
