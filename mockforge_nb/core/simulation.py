"""The same sessions without sockets, in virtual time: at once, and the same on every run."""

from __future__ import annotations

import heapq
import inspect
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import count
from typing import Any, NoReturn

from mockforge_nb.errors import AuthorError, OptionError

from .cassette import Tape
from .events import (
    Await,
    Burst,
    Came,
    Close,
    Closed,
    Closing,
    Command,
    Dial,
    Drop,
    Event,
    Failed,
    Next,
    Opened,
    Raised,
    Received,
    Returned,
    Run,
    Send,
    SendAll,
    WakeAt,
    Woke,
)
from .identity import Identity
from .journal import Journal
from .log import HANDSHAKE, IN, OUT, Log
from .message import ABORT
from .plan import Relay, Replay
from .record import ConnectionRecord
from .rooms import Rooms
from .routes import Route, Routes
from .session import Session

MOST_TURNS = 1000
"""How many turns beyond one for each step may pass at one instant, before a script is given up."""


@dataclass(frozen=True, slots=True)
class Said:
    """What a simulated client does `at` a time (s after the handshake); no payload: it closes the connection."""

    at: float
    opcode: int = 0
    payload: bytes | None = None


class Simulation:
    """Plays a plan to clients that answer at once and say what they are told to.

    Args:
        routes: The plans.
        found: The one that is played, and its path's parameters.
        path: The path that the clients ask for.
        query: Its query.
        seed: The seed of random numbers.

    Attributes:
        log: What would have crossed the wire.
        failed: What went wrong by the author's doing.
        rooms: Who is in which room.
        connect: Makes of a peer what functions of the author's are given.
    """

    def __init__(self, routes: Routes, found: tuple[Route, dict[str, str]], path: str, query: str, seed: int) -> None:
        self.routes = routes
        self.log = Log()
        self.failed: list[AuthorError] = []
        self.rooms: Rooms[Peer] = Rooms()
        self.connections: list[Peer] = []
        self.connect: Callable[[Peer], Any] = lambda peer: None
        self.now = 0.0
        self._route, self._params = found
        self._path, self._query = path, query
        plan = self._route.plan
        self._seed = seed if plan.seed is None else plan.seed
        self._ahead: list[tuple[float, int, Peer, Event | Said]] = []
        self._order = count()
        self.log.started_ns = plan.clock_ns or 0
        self.log.relays = isinstance(plan.behaviour, Relay)

    def run(self, says: Sequence[Said], until: float, connections: int = 1, most: int | None = None) -> None:
        """Let `connections` clients connect at once, each saying the same, and time pass `until` (s).

        Args:
            says: What each says.
            until: When it is over (s).
            connections: How many there are.
            most: How many rows of the log are enough; None: none are.

        Raises:
            OptionError: The script lets no time pass, or the mock needs an event loop.
        """
        for number in range(1, connections + 1):
            self._open(number, says)
        behaviour = self._route.plan.behaviour
        steps = len(behaviour.program) * (behaviour.rounds or 1) if isinstance(behaviour, Replay) else 0
        most_turns = MOST_TURNS + (steps + len(says)) * connections
        last, turns = -1.0, 0
        while self._ahead and self._ahead[0][0] <= until:
            if most is not None and self.log.position >= most:
                return
            self.now, _, peer, what = heapq.heappop(self._ahead)
            turns = turns + 1 if self.now == last else 0
            last = self.now
            if turns > most_turns:
                problem = f"is never reached: at {last:g} s the mock lets no time pass"
                raise OptionError("simulate()", until, problem, "give a stream a rate=, a script a time")
            if isinstance(what, Said):
                self._say(peer, what)
            elif type(what) is not Woke:
                peer.tell(what)
            elif peer.wake == self.now:
                peer.wake = None
                peer.tell(what)

    def _open(self, number: int, says: Sequence[Said]) -> None:
        record = ConnectionRecord(
            number, self._path, self._query, remote=f"simulated:{number}", opened_ns=self.log.started_ns
        )
        peer = Peer(self, record)
        who = Identity(self._seed, self._path, number, self._params, self._query)
        peer.session = Session(self._route.plan, who, self._route.shared, self.connect(peer))
        peer.journal = Journal(self.log, record, peer.session, 0.0)
        self.connections.append(peer)
        self.log.open(record)
        peer.journal.add(0.0, IN, HANDSHAKE, f"GET {self._path} 101 Switching Protocols".encode())
        for each in says:
            heapq.heappush(self._ahead, (each.at, next(self._order), peer, each))
        peer.tell(Opened(self._tape()))

    def _tape(self) -> Tape | None:
        """Return the cassette's tape for the next client."""
        behaviour, shared = self._route.plan.behaviour, self._route.shared
        cassette = behaviour.cassette if isinstance(behaviour, Relay) else None
        return None if cassette is None else cassette.claim(self._path, shared.played)

    def _say(self, peer: Peer, said: Said) -> None:
        if not peer.open:
            return
        if said.payload is None:
            peer.journal.close(self.now, IN, 1000, "")
            peer.journal.close(self.now, OUT, 1000, "")
            self._end(peer, 1000, "")
            return
        runs = [(said.opcode, [said.payload])]
        if peer.session.tells:
            peer.tell(Received(runs))  # the session tells what is to be logged of it
            return
        peer.tell(Received(runs, peer.record.number, peer.journal.all(self.now, IN, runs)))

    def carry_out(self, peer: Peer, command: Command) -> None:
        """Do what a session says."""
        now = self.now
        if isinstance(command, Failed):
            self.failed.append(AuthorError(command.error, peer.record.number, command.step, command.rule))
        elif isinstance(command, (Await, Run, Dial)):
            self._refuse(command)
        elif not peer.open:
            return
        elif isinstance(command, Next):
            self._ask(peer, command)
        elif isinstance(command, WakeAt):
            peer.wake = max(now, command.time)
            heapq.heappush(self._ahead, (peer.wake, next(self._order), peer, Woke()))
        elif isinstance(command, SendAll):
            peer.journal.all(now, OUT, command.runs)
        elif isinstance(command, Send):
            peer.journal.sent(now, command)
        elif isinstance(command, Burst):
            peer.journal.burst(now, command)
        elif isinstance(command, Came):
            peer.journal.sent(now, command.message, IN)
        elif isinstance(command, Close):
            peer.journal.close(now, OUT, command.code, command.reason, command.fault)
            peer.journal.close(now, IN, command.code, command.reason)
            self._end(peer, command.code, command.reason)
        elif isinstance(command, Drop):
            self.ended(peer, command.fault)

    def _ask(self, peer: Peer, asked: Next) -> None:
        """Ask a source for an item; it takes no time here."""
        if not isinstance(asked.source, Iterator):
            self._refuse(asked)
        try:
            answer: Event = Returned(asked.key, [next(asked.source)])
        except StopIteration:
            answer = Raised(asked.key, StopAsyncIteration())
        except Exception as error:  # noqa: BLE001  # the author's
            answer = Raised(asked.key, error)
        # Not at once, from within: a source that lets no time pass would go deeper with each item.
        heapq.heappush(self._ahead, (self.now, next(self._order), peer, answer))

    def _refuse(self, command: Await | Next | Run | Dial) -> NoReturn:
        """Say that what awaits something cannot be simulated."""
        if isinstance(command, Await) and inspect.iscoroutine(command.awaitable):
            command.awaitable.close()
        what = {
            Await: "an async function that answers",
            Next: "a stream that is asynchronous, or an iterator that is read only once",
            Run: "a handler",
            Dial: "a proxy, nor a network",
        }[type(command)]
        problem = f"has no event loop for {what}"
        raise OptionError(
            "simulate()", self._path, problem, "serve() has one; a generator function or a plain one needs none"
        )

    def _end(self, peer: Peer, code: int, reason: str) -> None:
        peer.open = False
        record = peer.record
        record.close_code, record.close_reason = code, reason
        record.closed_ns = peer.session.time_ns(self.now)
        self.rooms.gone(peer)
        peer.session.handle(Closed(), self.now)

    def ended(self, peer: Peer, fault: str | None = None) -> None:
        """End a connection without a close frame."""
        peer.journal.add(self.now, OUT, ABORT, fault=fault)
        self._end(peer, 1006, "")

    # What connections ask of a listener

    def push(self, event: Event, room: str | None = None, but: Peer | None = None) -> tuple[int, int]:
        """Send to every connection, or to those in a room but one; return how many took it, and 0."""
        who = self.connections if room is None else self.rooms.members(room)
        return sum(peer.tell(event) for peer in who if peer is not but), 0


class Peer:
    """A simulated connection.

    Attributes:
        record: What is known of it; `session`: what it says; `journal`: its rows.
        wake: When its session wants to be woken (s); None: not.
        open: Whether it is open.
    """

    full = False
    session: Session
    journal: Journal

    def __init__(self, simulation: Simulation, record: ConnectionRecord) -> None:
        self._simulation = simulation
        self.record = record
        self.wake: float | None = None
        self.open = True

    @property
    def who(self) -> Identity:
        """What its session knows of it."""
        return self.session.who

    @property
    def state(self) -> dict[str, Any]:
        """Its state."""
        return self.session.state

    def tell(self, event: Event) -> bool:
        """Tell the session something; return whether the connection is open."""
        if self.open:
            for command in self.session.handle(event, self._simulation.now):
                self._simulation.carry_out(self, command)
            return True
        return False

    def close(self, code: int, reason: str = "") -> None:
        """Begin the closing handshake after what was sent before."""
        self.tell(Closing(code, reason))

    def abort(self) -> None:
        """End the TCP connection without a close frame."""
        if self.open:
            self._simulation.ended(self)
