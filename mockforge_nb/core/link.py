"""One direction of one connection's network: what happens to each message, and when it arrives."""

from __future__ import annotations

import random
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from functools import partial
from typing import TYPE_CHECKING, Any, Final, TypeAlias

from .conditions import Conditions, Way
from .damage import changed, forbidden, sliced
from .events import Close, Command, Drop, Failed, Raw, Send
from .faults import Fault
from .latency import Computed
from .message import Message
from .program import frame

if TYPE_CHECKING:
    from .identity import Identity

Crossing: TypeAlias = Send | Raw | Close | Drop
"""What crosses a link: a message, a piece of one, or the connection's end."""

LOST: Final[tuple[bytes, ...]] = ()
"""What is written of a message that is lost."""


@dataclass(slots=True)
class Count:
    """What a fault has seen and done: of one connection, or of all."""

    messages: int = 0
    bytes: int = 0
    struck: int = 0


class Memory:
    """What outlives the links of one connection: random numbers go on where they were.

    Attributes:
        counts: What faults of the whole server have seen and done.
    """

    __slots__ = ("_streams", "counts")

    def __init__(self, counts: dict[object, Count]) -> None:
        self.counts = counts
        self._streams: dict[str, random.Random] = {}

    def stream(self, who: Identity, purpose: str) -> random.Random:
        """Return the random numbers of one purpose."""
        rng = self._streams.get(purpose)
        if rng is None:
            rng = self._streams[purpose] = who.stream(purpose)
        return rng


@dataclass(slots=True, eq=False)
class Active:
    """A fault on one connection."""

    fault: Fault
    draw: Callable[[], random.Random]
    began: float
    own: Count = field(default_factory=Count)
    over: bool = False  # whether an end or a state was drawn, and came or not
    on: bool = False  # whether a state came
    left: int = 0  # how many bytes `limit_data` lets through still
    _rng: random.Random | None = None

    @property
    def rng(self) -> random.Random:
        """Its random numbers; made on first use."""
        if self._rng is None:
            self._rng = self.draw()
        return self._rng

    def reached(self, now: float) -> bool:
        """Return whether what passes before it is past."""
        after = self.fault.after
        if after is None:
            return True
        if after.what == "seconds":
            return now >= self.began + after.value - 1e-9
        return (self.own.messages if after.what == "messages" else self.own.bytes) >= after.value

    def strikes(self) -> bool:
        """Return whether it strikes now, and count it."""
        fault = self.fault
        if fault.times is not None and self.own.struck >= fault.times:
            return False
        if fault.probability < 1 and self.rng.random() >= fault.probability:
            return False
        self.own.struck += 1
        return True


class Link:
    """What one direction does to the messages that enter it, in their order.

    Each message draws its own delay and leaves at ``max(due + delay, the one before it)``, so that ten messages that
    are due at once arrive within one latency, not after ten.

    Args:
        conditions: What holds.
        direction: Which way it goes.
        who: The connection, for its random numbers.
        memory: What outlives the links.
        began: When the connection was opened (s of the driver's clock).
        begins: Told of a state of the connection that begins, and when.
        before: The link that it takes the place of: what left it last, and what its faults have seen, stay.
    """

    def __init__(
        self,
        conditions: Conditions,
        direction: Way,
        who: Identity,
        memory: Memory,
        began: float,
        begins: Callable[[Active, float], None],
        before: Link | None = None,
    ) -> None:
        self.silent: str | None = None
        self.last: float = before.last if before is not None else 0.0
        self._sent: float = before._sent if before is not None else 0.0  # when the line is free again
        self._delays = [each for each in conditions.delays if each.direction == direction]
        self._delays.sort(key=lambda each: each.only is None)
        self._reads = any(each.only is not None or isinstance(each.delays, Computed) for each in self._delays)
        self._purpose = "latency" if direction == "out" else "latency in"
        self._bandwidth = next((each for each in conditions.bandwidths if each.direction == direction), None)
        self._who = who
        self._memory = memory
        self._begins = begins
        # How many overtake it still, until when it waits for them, what it is, and when it could leave.
        self._held: deque[list[Any]] = before._held if before is not None else deque()
        known = {each.fault: each for each in before.active} if before is not None else {}
        named: dict[str, int] = {}
        self.active: list[Active] = []
        for fault in conditions.faults:
            if fault.kind.group == "handshake":
                continue
            number = named[fault.name] = named.get(fault.name, 0) + 1
            # A state of both directions is one state.
            both = fault.direction == "both" and (fault.kind.group != "state" or direction == "out")
            if not both and fault.direction != direction:
                continue
            one = known.get(fault)
            if one is None:
                one = Active(fault, partial(memory.stream, who, f"fault {fault.name} {number} {direction}"), began)
                if fault.scope == "server":
                    one.own = memory.counts.setdefault((fault, direction), Count())
            self.active.append(one)

    @property
    def holds(self) -> bool:
        """Whether a message waits to be overtaken."""
        return bool(self._held)

    # What time alone brings

    def due(self) -> float | None:
        """Return when something happens here though no message comes (s); None: never."""
        times = [entry[1] for entry in self._held]
        for one in self.active:
            after = one.fault.after
            if after is not None and after.what == "seconds" and not one.over and one.fault.kind.group != "message":
                times.append(one.began + after.value)
        return min(times, default=None)

    def turn(self, now: float) -> list[Fault]:
        """Let the states begin whose time has come, each once; return the ends that have come."""
        ends = []
        for one in self.active:
            kind = one.fault.kind.group
            if one.over or kind == "message" or (kind == "end" and one.fault.after is None) or not one.reached(now):
                continue
            one.over = True
            if not one.strikes():
                continue
            if kind == "end":
                ends.append(one.fault)
            else:
                one.on = True
                one.left = one.fault.options.get("size", 0)
                self._begins(one, now)
        return ends

    def late(self, now: float) -> list[tuple[float, Crossing]]:
        """Return the messages that were held back until now."""
        found: list[tuple[float, Crossing]] = []
        for entry in [entry for entry in self._held if entry[1] <= now]:
            self._held.remove(entry)
            found.append(self._leave(entry[2], max(entry[1], entry[3])))
        return found

    # What enters

    def end(self, command: Close | Drop, due: float) -> list[tuple[float, Crossing]]:
        """Let the connection's end cross, behind all that was sent before; nothing overtakes it."""
        found = [self._leave(entry[2], max(due, entry[3])) for entry in self._held]
        self._held.clear()
        if self.silent is not None and command.fault is None:
            return found
        return [*found, self._leave(command, due)]

    def admit(self, send: Send, due: float, tag: str | None, out: list[Command]) -> list[tuple[float, Crossing]]:
        """Return what becomes of a message that is due at `due` (s), and when it leaves.

        Args:
            send: The message.
            due: When it is due.
            tag: What latency profiles may know it by.
            out: Where errors of the author's functions go.
        """
        try:
            return self._admit(send, due, tag)
        except Exception as error:  # noqa: BLE001  # of a predicate, a latency or a corrupting function of the author's
            out.append(Failed(error, send.step, send.rule))
            return [self._leave(send, due)]

    def _admit(self, send: Send, due: float, tag: str | None) -> list[tuple[float, Crossing]]:
        if self.silent is not None:
            return [self._leave(_lost(send, self.silent), due)]
        if not self.active and not self._held:
            return self._struck(send, due, tag, [])
        message = Message(send.payload, send.opcode)
        struck: list[Active] = []
        end: Active | None = None
        for one in self.active:
            fault = one.fault
            if fault.only is not None and fault.only.match(message) is None:
                continue
            ready = one.reached(due)
            one.own.messages += 1
            one.own.bytes += len(send.payload)
            if not ready or one.over:
                continue
            group = fault.kind.group
            if group == "message" and one.strikes():
                struck.append(one)
            elif group == "end" and fault.after is None and one.strikes():
                end = one
                break
        if end is not None:
            return [self._leave(_lost(send, end.fault.name), due), *self.end(ending(end.fault), due)]
        overtaken = list(self._held)
        found = self._struck(send, due, tag, struck)
        crossed = any(isinstance(command, Send) and command.wire != LOST for _, command in found)
        for entry in overtaken if crossed else ():
            entry[0] -= 1
            if entry[0] <= 0:
                self._held.remove(entry)
                found.append(self._leave(entry[2], max(found[-1][0], entry[3])))
        limit = next((one for one in self.active if one.on and one.fault.name == "limit_data"), None)
        if limit is not None:
            found = self._limited(found, limit)
        for fault in self.turn(due):  # what was the last message before it
            found += self.end(ending(fault), due)
        return found

    def _limited(self, found: list[tuple[float, Crossing]], limit: Active) -> list[tuple[float, Crossing]]:
        """Return what of these still fits, the last of them cut, and then the end."""
        through: list[tuple[float, Crossing]] = []
        for leaves, command in found:
            if isinstance(command, Send):
                wire = command.wire if command.wire is not None else (frame(command.opcode, command.payload),)
                data = b"".join(wire)
            else:
                data = command.frames if isinstance(command, Raw) else b""
            if len(data) <= limit.left:
                limit.left -= len(data)
                through.append((leaves, command))
                continue
            name = limit.fault.name
            if isinstance(command, Send):
                through.append((leaves, replace(command, wire=(data[: limit.left],), fault=_named(command, name))))
            elif isinstance(command, Raw):
                through.append((leaves, Raw(data[: limit.left])))
            return [*through, self._leave(Drop(fault=name), leaves)]
        return through

    def _struck(self, send: Send, due: float, tag: str | None, struck: list[Active]) -> list[tuple[float, Crossing]]:
        """Return what faults make of a message, one after the other."""
        delay, copies, held, cut = self._delay(send, tag), 1, None, None
        names = [] if send.fault is None else [send.fault]  # what is said of it already
        for one in struck:
            name, options = one.fault.name, one.fault.options
            names.append(name)
            if name == "drop":
                return [self._leave(replace(send, wire=LOST, fault=",".join(names)), due)]
            if name == "duplicate":
                copies *= options["copies"]
            elif name == "flood":
                copies *= options["count"]
            elif name == "latency":
                drawn = options["delay"] + options["jitter"] * (2 * one.rng.random() - 1)
                delay += round(1000 * max(0.0, drawn), 3)
            elif name == "reorder":
                held = one
            elif name == "slicer":
                cut = one
            elif name == "bad_frame":
                send = replace(send, wire=(forbidden(options["how"], send),))
            else:
                send = changed(name, options, send, one.rng)
        delay = round(delay + self._transmission(send, due), 3)
        if delay and any(one.on and one.fault.name == "bandwidth" for one in self.active):
            names.append("bandwidth")
        if delay or names or self._delays or self._bandwidth is not None:
            due_ms, delay_ms = send.due_ms, send.delay_ms
            if delay or self._delays or self._bandwidth is not None:
                due_ms, delay_ms = due_ms + delay, delay
            # Not replace(): this is what every message under latency costs.
            fault = ",".join(names) or None
            send = Send(
                send.opcode, send.payload, send.step, due_ms, delay_ms, send.rule, fault, send.wire, send.relay,
                send.original,
            )  # fmt: skip
        if held is not None:
            self._held.append([held.fault.options["by"], due + held.fault.options["within"], send, due + delay / 1000])
            return []
        leaves = due + delay / 1000
        if cut is not None:
            return self._sliced(send, leaves, cut) * copies
        return [self._leave(send, leaves) for _ in range(copies)]

    def _delay(self, send: Send, tag: str | None) -> float:
        """Return the latency of a message in ms."""
        if not self._delays:
            return 0.0
        message = Message(send.payload, send.opcode) if self._reads else None
        for each in self._delays:
            if each.only is None or each.only.match(message) is not None:  # type: ignore[arg-type]  # it reads
                return each.delays.draw(self._memory.stream(self._who, self._purpose), message, tag)
        return 0.0

    def _transmission(self, send: Send, due: float) -> float:
        """Return how long the line takes for a message, in ms, and let the next ones wait for it."""
        if self._bandwidth is None and not self.active:
            return 0.0
        rates: list[float] = [
            one.fault.options["rate"] * 1000 for one in self.active if one.on and one.fault.name == "bandwidth"
        ]
        burst = 0
        if self._bandwidth is not None:
            rates.append(self._bandwidth.rate)
            burst = self._bandwidth.burst
        if not rates:
            return 0.0
        rate = min(rates)
        self._sent = max(self._sent, due) + len(send.payload) / rate
        ready = self._sent - burst / rate
        self.last = max(self.last, ready)
        return 1000 * min(len(send.payload) / float(rate), max(0.0, ready - due))

    def _leave(self, command: Any, leaves: float) -> tuple[float, Crossing]:
        self.last = max(self.last, leaves)
        return self.last, command

    def _sliced(self, send: Send, leaves: float, one: Active) -> list[tuple[float, Crossing]]:
        """Return a message in fragments (RFC 6455 §5.4), the first of which has its row."""
        options = one.fault.options
        frames = sliced(send, options, one.rng)
        found = [self._leave(replace(send, wire=(frames[0],)), leaves)]
        for index, rest in enumerate(frames[1:], 1):
            found.append(self._leave(Raw(rest), leaves + index * options["delay"]))
        return found


def ending(fault: Fault) -> Close | Drop:
    """Return how a fault ends a connection."""
    if fault.name == "close":
        return Close(fault.options["code"], fault.options["reason"], fault.name)
    return Drop(reset=fault.name == "reset_peer", fault=fault.name)


def _lost(send: Send, name: str) -> Send:
    return replace(send, wire=LOST, fault=_named(send, name))


def _named(send: Send, name: str) -> str:
    """Return the names of what struck a message, with what is said of it already."""
    return name if send.fault is None else f"{send.fault},{name}"
