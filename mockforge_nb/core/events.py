"""What a Session is told, and what it answers.

Events go in with the time at which they happened; commands come out and are carried out by a driver (the
listener, the simulation). Times are seconds of the driver's monotonic clock.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

from .message import Message

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping

    from .cassette import Tape
    from .conditions import Conditions
    from .plan import Plan, Relay, Shared
    from .program import Program

NAN = float("nan")

OUTBOX, NETWORK, LANES = 1, 2, 4
"""Where messages may wait: to be sent, on the network, for a proxy's `transform`."""


@dataclass(frozen=True, slots=True)
class Opened:
    """The handshake is done; the connection carries messages from now on.

    Attributes:
        tape: What of the plan's cassette is this connection's; None: nothing.
        down: Whether its upstream is down.
    """

    tape: Tape | None = None
    down: bool = False


Runs: TypeAlias = list[tuple[int, list[bytes]]]
"""Messages in their order: opcodes, each with the payloads that follow one another under it."""


class Received:
    """One read's worth of whole messages, in the order of the wire.

    Attributes:
        runs: The messages.
    """

    __slots__ = ("_connection", "_messages", "_time", "runs")

    def __init__(self, runs: Runs, connection: int = 0, time: int = 0) -> None:
        self.runs = runs
        self._connection, self._time = connection, time
        self._messages: list[Message] | None = None

    @property
    def messages(self) -> list[Message]:
        """The same one by one; made when somebody asks, as an echo does not."""
        if self._messages is None:
            who, time = self._connection, self._time
            self._messages = [
                Message(payload, opcode, connection=who, time=time)
                for opcode, payloads in self.runs
                for payload in payloads
            ]
        return self._messages


class Spoke(Received):
    """One read's worth of whole messages of the upstream's."""

    __slots__ = ()


@dataclass(frozen=True, slots=True)
class Joined:
    """The upstream is there, or it was found that this connection is not relayed."""

    relayed: bool = True


@dataclass(frozen=True, slots=True)
class Hung:
    """The upstream has ended: its close frame came (1005: without a code), or, 1006, none did."""

    code: int
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Leaving:
    """The client of a relayed connection has sent a close frame, and waits for what is still to come."""

    code: int
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Injected:
    """The user sends a message to the upstream."""

    opcode: int
    payload: bytes


@dataclass(frozen=True, slots=True)
class Woke:
    """A time that was asked for with `WakeAt` has come."""


@dataclass(frozen=True, slots=True)
class Paused:
    """The peer reads slower than the session writes: send nothing until `Resumed`."""


@dataclass(frozen=True, slots=True)
class Resumed:
    """The peer reads again."""


@dataclass(frozen=True, slots=True)
class Pushed:
    """The user sends a message from outside the plan; of a story's event, what the traffic says of it."""

    opcode: int
    payload: bytes
    step: int = -1
    due_ms: float = NAN
    fault: str | None = None


@dataclass(frozen=True, slots=True)
class Closing:
    """The user closes the connection from outside the plan, after what was sent before."""

    code: int = 1000
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Returned:
    """What a function of the author's returned that was awaited, for the `Await` with this `key`."""

    key: object
    value: Any


@dataclass(frozen=True, slots=True)
class Raised:
    """What a function of the author's raised that was awaited, for the `Await` with this `key`."""

    key: object
    error: Exception


@dataclass(frozen=True, slots=True)
class Updated:
    """Another plan takes over on this connection.

    Attributes:
        plan: The plan; `shared` is what its connections have in common.
        params: The parameters that its path finds in the connection's.
        running: Whether what runs ends now, or the new behaviour waits for its end.
    """

    plan: Plan
    shared: Shared
    params: Mapping[str, str] = field(default_factory=dict)
    running: Literal["end", "finish"] = "end"


@dataclass(frozen=True, slots=True)
class Closed:
    """The connection is closing or gone; nothing can be sent any more."""


@dataclass(frozen=True, slots=True)
class Changed:
    """The network has other conditions from now on."""

    conditions: Conditions


Event: TypeAlias = (
    Opened | Received | Woke | Paused | Resumed | Pushed | Closing | Returned | Raised | Updated | Changed | Closed
    | Spoke | Joined | Hung | Leaving | Injected
)  # fmt: skip


@dataclass(slots=True)
class Send:
    """Send one message.

    Attributes:
        opcode: ``TEXT`` or ``BINARY``.
        payload: The payload in bytes.
        step: The script's step (a stream's item) that it came from, from 0; -1: from no step.
        rule: The rule that it answers by, from 0; -1: none.
        due_ms: The script's time plus the injected delay, in ms; NaN: the message came from no step.
        delay_ms: The injected delay as drawn, in ms; NaN: none.
        fault: The names of the faults that struck it, joined by commas; None: none did.
        wire: What is written in place of its frame; nothing: it is lost; None: its frame.
        relay: What a proxy did: ``forwarded changed dropped injected answered``; None: there is none.
        original: What came, where a proxy passed on something else.
    """

    opcode: int
    payload: bytes
    step: int = -1
    due_ms: float = NAN
    delay_ms: float = NAN
    rule: int = -1
    fault: str | None = None
    wire: tuple[bytes, ...] | None = None
    relay: str | None = None
    original: Message | None = None


@dataclass(frozen=True, slots=True)
class Raw:
    """Write bytes that belong to the message before them."""

    frames: bytes


@dataclass(slots=True)
class Came:
    """Log a message that came, and what became of it before the session heard it."""

    message: Send


@dataclass(slots=True)
class Heard:
    """Tell those who wait for messages that the session hears these now."""

    received: Received


@dataclass(slots=True)
class SendAll:
    """Send several messages that no step has, at once."""

    runs: Runs
    relay: str | None = None


@dataclass(frozen=True, slots=True)
class Dial:
    """Connect to the upstream, and tell `Joined`, or `Hung` if that fails.

    Attributes:
        relay: Whose upstream.
        greeted: What the client has heard already of what the upstream says first.
    """

    relay: Relay
    greeted: tuple[Message, ...] = ()


@dataclass(slots=True)
class Forward:
    """Send messages to the upstream."""

    runs: Runs


@dataclass(frozen=True, slots=True)
class Pass:
    """Pass on (`on`) what either side says as it comes, and ask no more; or ask again."""

    on: bool


@dataclass(frozen=True, slots=True)
class HangUp:
    """End the connection to the upstream, after what was sent before.

    With no code it ends as the client's does; with 1006 without a close frame.
    """

    code: int | None = None
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Burst:
    """Send the program's steps from `first` to before `last`: literal, due, and framed beforehand.

    Step ``i`` has the script's time ``start_ms + program.at[i] * scale``.
    """

    program: Program
    first: int
    last: int
    frames: bytes | memoryview = field(repr=False)
    start_ms: float = 0.0
    scale: float = 1.0
    rule: int = -1


@dataclass(frozen=True, slots=True)
class WakeAt:
    """Send `Woke` at `time`, never earlier; it replaces the time asked for before."""

    time: float


@dataclass(frozen=True, slots=True)
class Reading:
    """Stop (`on` False) or go on taking messages from the peer: what waits is at its bound.

    Attributes:
        on: Whether they are taken.
        why: Where they wait: ``OUTBOX``, ``NETWORK`` or ``LANES``; it goes on once nothing is too full any more.
    """

    on: bool
    why: int = OUTBOX


@dataclass(frozen=True, slots=True)
class Close:
    """Begin the closing handshake (RFC 6455 §7.1.2) after what was sent before."""

    code: int = 1000
    reason: str = ""
    fault: str | None = None
    relay: str | None = None


@dataclass(frozen=True, slots=True)
class Drop:
    """End the TCP connection without a close frame; `reset`: with a reset (RST), and nothing on its way arrives."""

    reset: bool = False
    fault: str | None = None
    relay: str | None = None


@dataclass(frozen=True, slots=True)
class Failed:
    """The author's doing went wrong at a step or a rule; keep it, and go on."""

    error: Exception
    step: int = -1
    rule: int = -1


@dataclass(frozen=True, slots=True)
class Untaken:
    """Nobody took this message; keep it for who asks."""

    message: Message


@dataclass(frozen=True, slots=True)
class Deliver:
    """Give a message to the running handler."""

    message: Message


@dataclass(frozen=True, slots=True)
class Await:
    """Run what a function of the author's returned, and tell `Returned` or `Raised` with the same `key`."""

    awaitable: Awaitable[Any]
    key: object


@dataclass(frozen=True, slots=True)
class Next:
    """Ask the author's source for its next items, where others wait for nothing while it takes its time.

    They are told as a list, at least one and at most `most`, with `Returned`; what it raises with `Raised`, and so
    its end as StopAsyncIteration, both with the same `key`.
    """

    source: Iterator[Any] | AsyncIterator[Any]
    key: object
    most: int = 1


@dataclass(frozen=True, slots=True)
class Run:
    """Run the author's handler with the connection, and tell `Returned` or `Raised` with the same `key`."""

    function: Callable[..., Any]
    key: object


@dataclass(frozen=True, slots=True)
class Halt:
    """Cancel what runs for `key`, and let the `source` that it asked, if any, close itself."""

    key: object
    source: Iterator[Any] | AsyncIterator[Any] | None = None


@dataclass(frozen=True, slots=True)
class Noted:
    """Note what a script does that no message shows; only where somebody asked for it.

    Attributes:
        what: It begins to wait, what it waited for came, that did not come in time, or it goes on at another step.
        step: The step.
        rule: The rule that the script answers by; -1: none.
        detail: The pattern that is waited for, what follows in vain, or the step that it goes to.
    """

    what: Literal["wait", "matched", "timeout", "branch"]
    step: int
    rule: int = -1
    detail: str = ""


@dataclass(frozen=True, slots=True)
class Late:
    """Note how long (s) after they were due a script's steps were taken; only where somebody asked for it."""

    seconds: float


Command: TypeAlias = (
    Send | SendAll | Burst | Raw | Came | Heard | WakeAt | Reading | Close | Drop | Failed | Untaken | Deliver
    | Await | Next | Run | Halt | Dial | Forward | HangUp | Pass | Noted | Late
)  # fmt: skip
