"""The same sessions without sockets, in virtual time: at once, and the same on every run."""

from __future__ import annotations

import heapq
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import count

from mockforge_nb.errors import OptionError

from .events import Burst, Close, Closed, Command, Drop, Event, Failed, Opened, Received, Send, WakeAt, Woke
from .journal import Journal
from .log import ABORT, HANDSHAKE, IN, OUT, Log
from .message import Message
from .plan import Plan, PlayHead, Replay
from .record import ConnectionRecord
from .session import Identity, Session

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

    Attributes:
        log: What would have crossed the wire.
        failed: What went wrong by the author's doing, with its connection and step.
    """

    def __init__(self, plan: Plan, path: str, seed: int) -> None:
        self.log = Log()
        self.failed: list[tuple[Exception, int, int]] = []
        self._plan = plan
        self._path = path
        self._seed = seed
        self._head = PlayHead()
        self._ahead: list[tuple[float, int, _Peer, Event | Said]] = []
        self._order = count()
        self.log.started_ns = plan.clock_ns or 0

    def run(self, says: Sequence[Said], until: float, connections: int = 1) -> None:
        """Let `connections` clients connect at once, each saying the same, and time pass `until` (s).

        Raises:
            OptionError: The script lets no time pass.
        """
        for number in range(1, connections + 1):
            self._connect(number, says)
        behaviour = self._plan.behaviour
        steps = len(behaviour.program) * (behaviour.rounds or 1) if isinstance(behaviour, Replay) else 0
        most = MOST_TURNS + (steps + len(says)) * connections
        last, turns = -1.0, 0
        while self._ahead and self._ahead[0][0] <= until:
            now, _, peer, what = heapq.heappop(self._ahead)
            turns = turns + 1 if now == last else 0
            last = now
            if turns > most:
                raise OptionError("simulate()", until, f"is never reached: at {now:g} s the script lets no time pass")
            if isinstance(what, Said):
                self._say(peer, what, now)
            elif peer.wake == now:
                peer.wake = None
                self._tell(peer, what, now)

    def _connect(self, number: int, says: Sequence[Said]) -> None:
        record = ConnectionRecord(number, self._path, remote=f"simulated:{number}", opened_ns=self.log.started_ns)
        session = Session(self._plan, Identity(self._seed, self._path, number), self._head)
        peer = _Peer(Journal(self.log, record, session, 0.0))
        self.log.open(record)
        peer.journal.add(0.0, IN, HANDSHAKE, f"GET {self._path} 101 Switching Protocols".encode())
        for each in says:
            heapq.heappush(self._ahead, (each.at, next(self._order), peer, each))
        self._tell(peer, Opened(), 0.0)

    def _say(self, peer: _Peer, said: Said, now: float) -> None:
        if peer.closed:
            return
        if said.payload is None:
            peer.journal.close(now, IN, 1000, "")
            peer.journal.close(now, OUT, 1000, "")
            self._end(peer, now, 1000, "")
            return
        time = peer.journal.add(now, IN, said.opcode, said.payload)
        number = peer.journal.record.number
        self._tell(peer, Received([Message(said.payload, said.opcode, connection=number, time=time)]), now)

    def _tell(self, peer: _Peer, event: Event, now: float) -> None:
        for command in peer.journal.session.handle(event, now):
            self._carry_out(peer, command, now)

    def _carry_out(self, peer: _Peer, command: Command, now: float) -> None:
        if isinstance(command, Failed):
            self.failed.append((command.error, peer.journal.record.number, command.step))
        elif peer.closed:
            return
        elif isinstance(command, WakeAt):
            peer.wake = max(now, command.time)
            heapq.heappush(self._ahead, (peer.wake, next(self._order), peer, Woke()))
        elif isinstance(command, Send):
            peer.journal.sent(now, command)
        elif isinstance(command, Burst):
            peer.journal.burst(now, command)
        elif isinstance(command, Close):
            peer.journal.close(now, OUT, command.code, command.reason)
            peer.journal.close(now, IN, command.code, command.reason)
            self._end(peer, now, command.code, command.reason)
        elif isinstance(command, Drop):
            peer.journal.add(now, OUT, ABORT)
            self._end(peer, now, 1006, "")

    def _end(self, peer: _Peer, now: float, code: int, reason: str) -> None:
        peer.closed = True
        record = peer.journal.record
        record.close_code, record.close_reason = code, reason
        record.closed_ns = peer.journal.session.time_ns(now)
        peer.journal.session.handle(Closed(), now)


class _Peer:
    """A simulated connection: its journal, and when its session wants to be woken."""

    def __init__(self, journal: Journal) -> None:
        self.journal = journal
        self.wake: float | None = None
        self.closed = False
