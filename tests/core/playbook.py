"""Event in, commands out: a session and its clock, without a socket and without a wait."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from mockforge_nb.core.conditions import NONE, Conditions, Delay, LatencyProfile
from mockforge_nb.core.events import (
    Burst,
    Close,
    Command,
    Event,
    Opened,
    Pushed,
    Received,
    Send,
    SendAll,
    Updated,
    WakeAt,
    Woke,
)
from mockforge_nb.core.identity import Identity
from mockforge_nb.core.message import TEXT
from mockforge_nb.core.plan import Plan, Shared
from mockforge_nb.core.session import Session


def late(profile: LatencyProfile | None) -> Conditions:
    """A network whose way out has a latency."""
    return NONE if profile is None else Conditions(delays=(Delay(profile),))


class Playbook:
    """Drives a session as a listener would, in virtual time.

    `sent` has all that left, as (time in ms, text); `closed` the close code.
    """

    def __init__(
        self,
        plan: Plan,
        *,
        seed: int = 1,
        number: int = 1,
        shared: Shared | None = None,
        at: float = 0,
        noting: bool = False,
    ) -> None:
        self.session = Session(plan, Identity(seed, number=number), shared, noting=noting)
        self.now = at
        self.wake: float | None = None
        self.commands: list[Command] = []
        self.sent: list[tuple[float, str]] = []
        self.rows: list[Send | Burst] = []
        self.closed: int | None = None

    def open(self, opened: Opened | None = None) -> Playbook:
        return self.tell(opened or Opened())

    def receive(self, *texts: str) -> Playbook:
        return self.tell(Received([(TEXT, [text.encode() for text in texts])]))

    def push(self, text: str) -> Playbook:
        return self.tell(Pushed(TEXT, text.encode()))

    def update(self, plan: Plan) -> Playbook:
        return self.tell(Updated(plan, Shared()))

    def tell(self, event: Event) -> Playbook:
        if isinstance(event, Woke):
            self.wake = None
        commands = self.session.handle(event, self.now)
        self.commands += commands
        for command in commands:
            if isinstance(command, WakeAt):
                self.wake = command.time
            elif isinstance(command, Close):
                self.closed = command.code
            elif isinstance(command, (Send, SendAll, Burst)):
                self.rows += [*ones(command)] if isinstance(command, SendAll) else [command]
                self.sent += [(round(self.now * 1000, 6), text) for text in texts(command)]
        return self

    def until(self, seconds: float) -> Playbook:
        """Let time pass, waking the session whenever it asked for it."""
        turns = 0
        while self.wake is not None and self.wake <= seconds:
            self.now = max(self.now, self.wake)
            self.tell(Woke())
            turns += 1
            assert turns < 100_000, "the session asks to be woken without end"
        self.now = seconds
        return self

    def texts(self) -> list[str]:
        return [text for _, text in self.sent]


def ones(command: SendAll) -> Iterable[Send]:
    return (Send(opcode, payload) for opcode, payloads in command.runs for payload in payloads)


def texts(command: Send | SendAll | Burst) -> Iterable[str]:
    if isinstance(command, SendAll):
        return [text for one in ones(command) for text in texts(one)]
    if isinstance(command, Send):
        return [command.payload.decode(errors="replace")]
    payloads = command.program.payloads(command.first, command.last)
    assert sum(map(len, payloads)) < len(command.frames)
    return [payload.decode() for payload in payloads]


def of(commands: Iterable[Command], kind: type[Any]) -> list[Any]:
    return [command for command in commands if isinstance(command, kind)]
