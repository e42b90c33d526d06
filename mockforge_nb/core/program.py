"""Scripts as a session plays them: steps in order, each with its time and its payload."""

from __future__ import annotations

import json
from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import accumulate
from typing import TYPE_CHECKING, Any, Literal, Protocol

from .message import BINARY, TEXT

if TYPE_CHECKING:
    from .match import Pattern
    from .template import JsonTemplate, TextTemplate

BLOCK_BYTES = 65_536
"""About how many bytes leave as one write, and so how long one connection may hold up the others."""

BLOCK_STEPS = 512
"""At most how many steps are framed together."""

KEPT_BYTES = 64 * 2**20
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


def to_json(value: Any) -> str:
    """Return `value` as compact JSON text; the form of every JSON message that leaves."""
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"), allow_nan=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """One entry of a script.

    Attributes:
        ts: Milliseconds from the script's start; None: right after the step before.
        dir: ``out``: sent to the client. ``in``: expected from the client.
        payload: What is sent, or for ``in`` shown as what is expected; None: nothing.
        wait_for: Before it is sent, a client message must match.
        match: For ``in``: what the client message must match; None: anything does.
        line: The line of the file it came from, from 1; 0: from no file.
    """

    ts: float | None = None
    dir: Literal["out", "in"] = "out"
    payload: Payload | None = None
    wait_for: Pattern | None = None
    match: Pattern | None = None
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
    def plain(self) -> bool:
        """Whether it only sends bytes that are the same for every connection."""
        return not self.waits and self.payload is not None and self.payload.template is None


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


def frame(opcode: int, payload: bytes) -> bytes:
    """Return one whole unmasked frame (RFC 6455 §5.2)."""
    size = len(payload)
    if size < 126:
        return bytes((0x80 | opcode, size)) + payload
    if size < 65_536:
        return bytes((0x80 | opcode, 126)) + size.to_bytes(2, "big") + payload
    return bytes((0x80 | opcode, 127)) + size.to_bytes(8, "big") + payload


@dataclass(eq=False)
class Program:
    """A script, ready to be played by any number of sessions.

    Attributes:
        steps: The steps, in order.
        at: When each is due, in ms from the start: never decreasing (a step that asks for less than the step
            before it has is due with it).
        period: How long one round takes when the program is looped, in ms.
        name: What errors call it: its file or ``<DataFrame>``.
        plain: Whether every step only sends the same bytes to every connection.
    """

    steps: StepSource
    at: Sequence[float]
    period: float
    name: str = "<script>"
    plain: bool = True
    _bounds: list[int] = field(default_factory=list, repr=False)
    _blocks: dict[int, Block] = field(default_factory=dict, repr=False)
    _kept: int = field(default=0, repr=False)

    @classmethod
    def of(cls, steps: Sequence[Step], name: str = "<script>") -> Program:
        """Build a program of steps; a step without `ts` is due with the one before it."""
        at: list[float] = []
        due = previous = 0.0
        for step in steps:
            ts = previous if step.ts is None else step.ts
            due += max(0.0, ts - previous)
            previous = ts
            at.append(due)
        bounds, count, size = [], 0, 0
        for index, step in enumerate(steps):
            # A block holds neighbours that are all plain, or one step that is not.
            if not index or not step.plain or not steps[index - 1].plain or count == BLOCK_STEPS or size >= BLOCK_BYTES:
                bounds.append(index)
                count = size = 0
            count += 1
            if step.plain and step.payload is not None and not isinstance(step.payload.value, (dict, list)):
                size += len(step.payload.literal())
        return cls(tuple(steps), at, due, name, all(step.plain for step in steps), bounds)

    def __len__(self) -> int:
        return len(self.steps)

    @property
    def waits(self) -> bool:
        """Whether any step waits for the client."""
        return not self.plain and any(self.steps[i].waits for i in range(len(self)))

    @property
    def variables(self) -> frozenset[str]:
        """The template variables that the steps use and that are not built in."""
        if self.plain:
            return frozenset()
        # A table's rows share one template.
        steps = self.steps if isinstance(self.steps, tuple) else (self.steps[0],)
        used = [s.payload.template.variables for s in steps if s.payload is not None and s.payload.template is not None]
        return frozenset().union(*used)

    def block_of(self, index: int) -> tuple[int, int]:
        """Return the first step of the block that has step `index`, and the first step after it."""
        if not self._bounds:
            first = index - index % BLOCK_STEPS
            return first, min(first + BLOCK_STEPS, len(self))
        number = bisect_right(self._bounds, index)
        return self._bounds[number - 1], self._bounds[number] if number < len(self._bounds) else len(self)

    def block(self, index: int) -> Block:
        """Return the block of plain step `index`, framed once and kept for the next connection."""
        first, last = self.block_of(index)
        block = self._blocks.get(first)
        if block is None:
            frames = [frame(self.opcode(first + i), p) for i, p in enumerate(self.payloads(first, last))]
            block = Block(first, b"".join(frames), list(accumulate(map(len, frames))))
            if self._kept > KEPT_BYTES:
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
