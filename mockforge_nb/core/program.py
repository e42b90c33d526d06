"""Scripts as a session plays them: steps in order, each with its time and its payload."""

from __future__ import annotations

import json
from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal, Protocol

from .message import BINARY, TEXT

if TYPE_CHECKING:
    from .match import Pattern
    from .template import JsonTemplate, TextTemplate

BLOCK_BYTES = 65_536
"""About how many bytes of frames leave as one write, and so how long one connection may hold up the others."""

BLOCK_STEPS = 2048
"""At most how many steps one block frames at once."""


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
    def plain(self) -> bool:
        """Whether it only sends bytes that are the same for every connection."""
        return (
            self.dir == "out"
            and self.payload is not None
            and self.payload.template is None
            and self.wait_for is None
        )


class StepSource(Protocol):
    """Where a Program's steps come from: a tuple, or a table whose rows become steps when they are asked for."""

    def __len__(self) -> int: ...

    def __getitem__(self, index: int, /) -> Step: ...


class PlainSource(StepSource, Protocol):
    """A source whose steps are all plain, in bulk: what a table without a template is."""

    def payloads(self, first: int, last: int) -> Sequence[bytes]:
        """The payloads of the steps from `first` to before `last`."""
        ...

    opcode: int


@dataclass(frozen=True, slots=True)
class Block:
    """Steps that are framed together.

    Attributes:
        first: The first step.
        frames: Their frames, unmasked, one after the other (RFC 6455 §5.2).
        ends: For each step, where its frame ends in `frames`.
    """

    first: int
    frames: bytes
    ends: list[int]


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
    """

    steps: StepSource
    at: Sequence[float]
    period: float
    name: str = "<script>"
    _blocks: dict[int, Block] = field(default_factory=dict, repr=False)
    _plain_end: list[int] = field(default_factory=list, repr=False)

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
        program = cls(tuple(steps), at, due, name)
        ends, end = [0] * len(steps), len(steps)
        for index in range(len(steps) - 1, -1, -1):
            if not steps[index].plain:
                end = index
            ends[index] = end
        program._plain_end = ends
        return program

    def __len__(self) -> int:
        return len(self.steps)

    def plain_end(self, index: int) -> int:
        """Return the first step from `index` on that is not plain; `index` itself, if it is not."""
        return self._plain_end[index] if self._plain_end else len(self)

    def due_end(self, index: int, end: int, ts: float) -> int:
        """Return the first step from `index` to `end` that is due after `ts` (ms)."""
        return bisect_right(self.at, ts, index, end)

    def payloads(self, first: int, last: int) -> Sequence[bytes]:
        """Return the payloads of plain steps; what the log spells a burst out with."""
        bulk = getattr(self.steps, "payloads", None)
        if bulk is not None:
            rows: Sequence[bytes] = bulk(first, last)
            return rows
        return [payload.literal() for i in range(first, last) if (payload := self.steps[i].payload)]

    def opcode(self, index: int) -> int:
        """Return the opcode of a plain step."""
        bulk = getattr(self.steps, "opcode", None)
        if bulk is not None:
            return int(bulk)
        payload = self.steps[index].payload
        return TEXT if payload is None else payload.opcode

    def block(self, index: int) -> Block:
        """Return the block that plain step `index` begins, framed once and kept.

        Blocks begin wherever a session asks, so that they fit the steps that are due; most sessions ask for the
        same ones.
        """
        block = self._blocks.get(index)
        if block is None:
            block = self._blocks[index] = self._frame(index)
        return block

    def _frame(self, first: int) -> Block:
        last = min(self.plain_end(first), first + BLOCK_STEPS)
        frames, ends, size = [], [], 0
        # A table makes its rows in bulk; a few at first, so that one huge row does not bring 2,000 with it.
        stop = first
        while stop < last and size < BLOCK_BYTES:
            start, stop = stop, min(last, stop + (256 if stop > first else 64))
            for offset, payload in enumerate(self.payloads(start, stop)):
                one = frame(self.opcode(start + offset), payload)
                frames.append(one)
                size += len(one)
                ends.append(size)
                if size >= BLOCK_BYTES:
                    break
        return Block(first, b"".join(frames), ends)
