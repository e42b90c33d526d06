"""Scripts as a session plays them: steps in order, each with its time and its payload."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property, lru_cache
from itertools import accumulate
from typing import TYPE_CHECKING, Any, Literal, Protocol

from .message import BINARY, TEXT, to_json

if TYPE_CHECKING:
    from .cuts import Cut, Cuts
    from .match import Pattern
    from .template import JsonTemplate, TextTemplate

BLOCK_BYTES = 65_536
"""About how many bytes leave as one write, and so how long one connection may hold up the others."""

BLOCK_STEPS = 512
"""At most how many steps are framed together."""

ON_TIMEOUT = ("fail", "close")
"""What may follow a wait in vain, beside a jump."""

KEPT_BYTES = 32 * 2**20
"""How many bytes of frames a program keeps for its next connection."""


@dataclass(frozen=True, slots=True)
class Payload:
    """What a step sends, or expects.

    Attributes:
        kind: ``text``, ``json`` (a value, sent as text) or ``binary``.
        value: The str, JSON value or bytes, as it was written.
        template: The parsed template of a payload with tokens; None: literal.
        row: The table's row that ``{{row.name}}`` reads, for templates over a table.
    """

    kind: Literal["text", "json", "binary"]
    value: Any
    template: TextTemplate | JsonTemplate | None = None
    row: dict[str, Any] | None = None

    @property
    def opcode(self) -> int:
        """The opcode that it is sent with."""
        return BINARY if self.kind == "binary" else TEXT

    def literal(self) -> bytes:
        """The bytes of a payload without a template."""
        if self.kind == "binary":
            return bytes(self.value)
        text = self.value if self.kind == "text" else to_json(self.value)
        return str(text).encode()


@dataclass(frozen=True, slots=True)
class Branch:
    """A conditional jump: to the step `goto`, if the message that ended the wait matches.

    `word` is the plain word that a ``branches`` key was written as; None: an ``on_match`` entry.
    """

    pattern: Pattern
    goto: str
    word: str | None = None


@dataclass(frozen=True, slots=True)
class Assertion:
    """What a client's message must be like.

    `expected` True: the pattern matches, False: it does not, anything else: what it finds equals this.
    """

    pattern: Pattern
    expected: Any = True
    description: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """One entry of a script.

    Attributes:
        ts: Milliseconds from the script's start; None: right after the step before.
        dir: ``out``: sent to the client. ``in``: expected from the client.
        payload: What is sent, or for ``in`` what is expected; None: nothing.
        wait_for: Before it is sent, a client message must match.
        match: For ``in``: what the client message must match.
        how: For ``in``: how its payload is compared.
        timeout_ms: How long it waits; None: without end.
        on_timeout: What follows a wait in vain: ``fail``, ``close``, or the id of the step to go on with.
        step_id: What jumps call it.
        branches: Jumps that are tried in order once it was sent; else `next_step`; else the step behind it.
        next_step: The id of the step to go on with.
        assertions: What the message that it waited for must be like.
        close: The close code to close with after it; None: it does not close.
        reason: The close's reason.
        error: Whether the TCP connection ends after it, without a close frame.
        repeat: How often it is sent in all, every `every_ms`, beside the steps behind it; None: without end.
        every_ms: The time between two of these; None: it is sent once.
        sets: Names of the state that are set once it was sent, and the templates of their values.
        state: The word of the state that becomes true then, and the one before it false; None: none.
        scope: Whose state that is.
        line: The line of the file it came from, from 1; 0: from no file.

    Example:
        >>> Script().send("hi", after=0.5, id="greeting")[0].step_id
        'greeting'
    """

    ts: float | None = None
    dir: Literal["out", "in"] = "out"
    payload: Payload | None = None
    wait_for: Pattern | None = None
    match: Pattern | None = None
    how: Literal["regex", "exact", "json", "any"] = "any"
    timeout_ms: float | None = None
    on_timeout: str = "fail"
    step_id: str | None = None
    branches: tuple[Branch, ...] = ()
    next_step: str | None = None
    assertions: tuple[Assertion, ...] = ()
    close: int | None = None
    reason: str = ""
    error: bool = False
    repeat: int | None = 1
    every_ms: float | None = None
    sets: Mapping[str, JsonTemplate] = field(default_factory=dict)
    state: str | None = None
    scope: Literal["connection", "server"] = "connection"
    line: int = 0

    @property
    def waits(self) -> bool:
        """Whether a client message must come before the script goes on."""
        return self.wait_for is not None or self.dir == "in"

    @property
    def expected(self) -> Pattern | None:
        """What the message that it waits for must match; None: anything does."""
        return self.match if self.dir == "in" else self.wait_for

    @property
    def ends(self) -> bool:
        """Whether the connection ends after it."""
        return self.close is not None or self.error

    @property
    def targets(self) -> tuple[str, ...]:
        """The ids of the steps that it may jump to."""
        jumps = [branch.goto for branch in self.branches]
        if self.next_step is not None:
            jumps.append(self.next_step)
        if self.on_timeout not in ON_TIMEOUT:
            jumps.append(self.on_timeout)
        return tuple(jumps)

    @property
    def plain(self) -> bool:
        """Whether it only sends bytes that are the same for every connection, and the script goes straight on."""
        return self.payload is not None and self.payload.template is None and self.speaks

    @property
    def speaks(self) -> bool:
        """Whether it only sends something, and the script goes straight on."""
        return (
            self.payload is not None
            and not self.waits
            and not self.ends
            and not self.assertions
            and not self.branches
            and self.next_step is None
            and self.every_ms is None
            and not self.sets
            and self.state is None
        )


class StepSource(Protocol):
    """Where a Program's steps come from: a tuple, or a table whose rows become steps when asked for."""

    def __len__(self) -> int: ...

    def __getitem__(self, index: int, /) -> Step: ...


class PlainSource(StepSource, Protocol):
    """A source whose steps are all plain, in bulk: what a table without a template is."""

    opcode: int

    def payloads(self, first: int, last: int) -> Sequence[bytes]:
        """Return the payloads of the steps from `first` to before `last`."""
        ...


@dataclass(frozen=True, slots=True)
class Block:
    """Plain steps that are framed together.

    Attributes:
        first: The first step.
        frames: Their frames, unmasked, one after the other (RFC 6455 §5.2).
        ends: For each step, where its frame ends in `frames`.
    """

    first: int
    frames: bytes
    ends: Sequence[int]

    def slice(self, first: int, last: int) -> bytes | memoryview:
        """Return the frames of the steps from `first` to before `last`, without a copy."""
        start = self.ends[first - self.first - 1] if first > self.first else 0
        end = self.ends[last - self.first - 1]
        return self.frames if end - start == len(self.frames) else memoryview(self.frames)[start:end]


@lru_cache(4096)
def head(opcode: int, size: int) -> bytes:
    """Return the header of a whole unmasked frame (RFC 6455 §5.2)."""
    if size < 126:
        return bytes((0x80 | opcode, size))
    if size < 65_536:
        return bytes((0x80 | opcode, 126)) + size.to_bytes(2, "big")
    return bytes((0x80 | opcode, 127)) + size.to_bytes(8, "big")


def frame(opcode: int, payload: bytes) -> bytes:
    """Return one whole unmasked frame."""
    return head(opcode, len(payload)) + payload


@dataclass(eq=False)
class Program:
    """A script, ready to be played by any number of sessions.

    Attributes:
        steps: The steps, in order.
        at: When each is due, in ms from the start, if none waits or jumps: never decreasing (a step that asks for
            less than the step before it has is due with it).
        period: How long one round takes when the program is looped, in ms.
        name: What errors call it: its file or ``<DataFrame>``.
        plain: Whether every step only sends the same bytes to every connection.
        ids: Where the steps with an id stand.
        delays: Whether `ts` is the pause before each step, not its time from the start.
        cuts: How it is cut to each connection; None: all are played the same.
        cut: What of a table it is; None: its steps are all there is.
        keep: How many bytes of frames are kept for the next connection.
    """

    steps: StepSource
    at: Sequence[float]
    period: float
    name: str = "<script>"
    plain: bool = True
    ids: Mapping[str, int] = field(default_factory=dict)
    delays: bool = False
    cuts: Cuts | None = None
    cut: Cut | None = None
    keep: int = KEPT_BYTES
    _times: Sequence[float] = field(default=(), repr=False)
    _bounds: list[int] = field(default_factory=list, repr=False)
    _blocks: dict[int, Block] = field(default_factory=dict, repr=False)
    _kept: int = field(default=0, repr=False)
    _block_steps: int = field(default=0, repr=False)

    @classmethod
    def of(cls, steps: Sequence[Step], name: str = "<script>", *, delays: bool = False) -> Program:
        """Build a program of steps; a step without `ts` is due with the one before it."""
        at: list[float] = []
        times: list[float] = []
        due = previous = 0.0
        for step in steps:
            if delays:
                due += step.ts or 0.0
            else:
                ts = previous if step.ts is None else step.ts
                due += max(0.0, ts - previous)
                previous = ts
                times.append(ts)
            at.append(due)
        bounds, count, size = [], 0, 0
        plain, before = True, "other"
        for index, step in enumerate(steps):
            # A block holds neighbours that are all plain, or all only speak, or one step that does more.
            kind = "plain" if step.plain else "speaks" if step.speaks else "other"
            full = count == BLOCK_STEPS or size >= BLOCK_BYTES
            if kind != before or kind == "other" or full:
                bounds.append(index)
                count = size = 0
            before = kind
            count += 1
            if kind != "plain":
                plain = False
            elif step.payload is not None and not isinstance(step.payload.value, (dict, list)):
                size += len(step.payload.literal())
        ids = {step.step_id: index for index, step in enumerate(steps) if step.step_id is not None}
        return cls(tuple(steps), at, due, name, plain, ids, delays, _times=times, _bounds=bounds)

    def gap(self, before: int, after: int) -> float:
        """Return how long after step `before` step `after` is due when it is jumped to, in ms."""
        if self.delays:
            return self.at[after] - (self.at[after - 1] if after else 0.0)
        times = self._times or self.at
        return max(0.0, times[after] - times[before])

    @property
    def backwards(self) -> int | None:
        """The first step whose `ts` is less than that of the step before it; None: there is none."""
        times = self._times
        return next((i for i in range(1, len(times)) if times[i] < times[i - 1]), None)

    def __len__(self) -> int:
        return len(self.steps)

    @property
    def hand_written(self) -> tuple[Step, ...]:
        """The steps if they may do more than send; a table's rows, which may be millions, do not."""
        return self.steps if isinstance(self.steps, tuple) and not self.plain else ()

    @cached_property
    def last_wait(self) -> int:
        """The last step from which on it may wait for the client: with jumps any, so its end; -1: it never waits."""
        steps = self.hand_written
        last = max((index for index, step in enumerate(steps) if step.waits), default=-1)
        return len(steps) - 1 if last >= 0 and self.jumps else last

    @property
    def jumps(self) -> bool:
        """Whether any step may be followed by another than the one behind it."""
        return any(step.targets for step in self.hand_written)

    @property
    def variables(self) -> frozenset[str]:
        """The template variables that the steps use and that are not built in."""
        if self.plain:
            return frozenset()
        # A table's rows share one template.
        steps = self.steps if isinstance(self.steps, tuple) else (self.steps[0],)
        used = [s.payload.template.variables for s in steps if s.payload is not None and s.payload.template is not None]
        used += [template.variables for step in steps for template in step.sets.values()]
        return frozenset().union(*used)

    @property
    def duration(self) -> float:
        """How long it lasts if nothing waits or jumps, in ms."""
        if not len(self):
            return 0.0
        return self.at[-1] - (self.cuts.begin if self.cuts is not None else 0.0)

    def number(self, index: int) -> int:
        """Return what the traffic calls a step: its place in the script, in one that was cut its row in the table."""
        return index if self.cut is None else self.cut.chosen.one(self.cut.place(index))

    def numbers(self, first: int, last: int) -> Any:
        """Return what the traffic calls the steps from `first` to before `last`."""
        if self.cut is None:
            return range(first, last)
        if self.cut.lists is None:
            return self.cut.chosen[first:last]
        return [self.number(index) for index in range(first, last)]

    def tag(self, index: int) -> str | None:
        """Return the id of a step; a table's rows have none."""
        return self.steps[index].step_id if self.ids else None

    def block_of(self, index: int) -> tuple[int, int]:
        """Return the first step of the block that has step `index`, and the first step after it."""
        if not self._bounds:
            size = self._block_steps = self._block_steps or self._sampled()
            first = index - index % size
            return first, min(first + size, len(self))
        number = bisect_right(self._bounds, index)
        return self._bounds[number - 1], self._bounds[number] if number < len(self._bounds) else len(self)

    def neighbours(self, index: int, most: int) -> int:
        """Return the first step behind the neighbours of step `index` that only speak as it does, `most` at most."""
        end = self.block_of(index)[1] if self._bounds else len(self)  # a table's rows share one template
        return min(end, index + most)

    def _sampled(self) -> int:
        """Return how many of a table's rows a block has, by the size of a few: all would have to be made first."""
        count = len(self)
        largest = max(len(self.payloads(i, i + 1)[0]) for i in {0, count // 4, count // 2, 3 * count // 4, count - 1})
        return max(1, min(BLOCK_STEPS, 4 * BLOCK_BYTES // (largest + 14)))

    def fitting(self, index: int) -> int:
        """Return the first step that is too much for one write of plain steps from `index` on; at least one fits."""
        block = self.block(index)
        offset = index - block.first
        begin = block.ends[offset - 1] if offset else 0
        return block.first + max(offset + 1, bisect_right(block.ends, begin + 2 * BLOCK_BYTES))

    def block(self, index: int) -> Block:
        """Return the block of plain step `index`, framed once and kept for the next connection."""
        first, last = self.block_of(index)
        block = self._blocks.get(first)
        if block is None:
            frames = [frame(self.opcode(first + i), p) for i, p in enumerate(self.payloads(first, last))]
            block = Block(first, b"".join(frames), list(accumulate(map(len, frames))))
            if self._kept > self.keep:
                self._blocks.clear()
                self._kept = 0
            self._blocks[first] = block
            self._kept += len(block.frames)
        return block

    def due_end(self, index: int, end: int, ts: float) -> int:
        """Return the first step from `index` to `end` that is due after `ts` (ms)."""
        return bisect_right(self.at, ts, index, end)

    def payloads(self, first: int, last: int) -> Sequence[bytes]:
        """Return the payloads of plain steps from `first` to before `last`."""
        bulk = getattr(self.steps, "payloads", None)
        if bulk is not None:
            rows: Sequence[bytes] = bulk(first, last)
            return rows
        return [payload.literal() for i in range(first, last) if (payload := self.steps[i].payload)]

    def payload(self, index: int) -> bytes:
        """Return the payload of one plain step, from its block."""
        block = self.block(index)
        one = bytes(block.slice(index, index + 1))
        return one[{126: 4, 127: 10}.get(one[1], 2) :]

    def opcode(self, index: int) -> int:
        """Return the opcode of a plain step."""
        bulk = getattr(self.steps, "opcode", None)
        if bulk is not None:
            return int(bulk)
        payload = self.steps[index].payload
        return TEXT if payload is None else payload.opcode
