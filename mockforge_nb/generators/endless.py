"""Messages that are made up: without end while they are played, or so many of them as a script."""

from __future__ import annotations

from array import array
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass, replace
from itertools import islice
from typing import TYPE_CHECKING, Any, TypeAlias

import orjson

from mockforge_nb.core.message import BINARY, TEXT
from mockforge_nb.core.plan import Stream
from mockforge_nb.core.program import Payload, Program, Step
from mockforge_nb.core.template import Slot, TextTemplate, pieced
from mockforge_nb.errors import GeneratorError

from .forms import NoJSONError, form, to_bytes
from .sources import Written

if TYPE_CHECKING:
    from mockforge_nb.core.rules import Connected

Items: TypeAlias = Iterator[tuple[float, Any]]
"""Messages with their times (ms from the start): text, bytes, or anything else as JSON, a template in it a `Slot`."""


@dataclass(frozen=True, slots=True, eq=False)
class Endless:
    """Messages without end, the same ones each time that they are begun.

    Attributes:
        name: What errors call them.
        open: Begins them.
        slots: The parsed templates of the texts of all slots.
        scale: What their times are multiplied by.
    """

    name: str
    open: Callable[[], Items]
    slots: dict[str, TextTemplate]
    scale: float = 1.0

    @classmethod
    def of(
        cls, name: str, open_: Callable[[], Items], slots: Collection[str] = (), names: Collection[str] = ()
    ) -> Endless:
        """Return the messages.

        Args:
            name: What errors call them.
            open_: Begins them.
            slots: The texts of all slots that they may have.
            names: The user's own template functions and values.

        Raises:
            TemplateError: A slot cannot be parsed.
        """
        return cls(name, open_, {text: TextTemplate.parse(text, names=names) for text in slots})

    def scaled(self, factor: float) -> Endless:
        """Return the same with its times divided by `factor`."""
        return replace(self, scale=self.scale / factor)

    def _written(self) -> Iterator[tuple[float, bytes, int]]:
        """Yield times, payloads with their slots, and opcodes.

        Raises:
            GeneratorError: A message has no JSON form.
        """
        for number, (ms, value) in enumerate(self.open()):
            if isinstance(value, bytes):
                yield ms * self.scale, value, BINARY
                continue
            try:
                data = value.encode() if type(value) is str else written(value)
            except (NoJSONError, UnicodeEncodeError) as error:
                raise GeneratorError(f"{self.name}: message {number} has no JSON form: {error}") from error
            yield ms * self.scale, data, TEXT

    def payloads(self, connection: Connected | None = None) -> Iterator[tuple[float, Payload]]:
        """Yield times and messages, from the beginning.

        Raises:
            GeneratorError: One has no JSON form.
        """
        return ((ms, payload_of(data, opcode, self.slots)) for ms, data, opcode in self._written())

    def stream(self, speed: float, *, shared: bool) -> Stream:
        """Return what a connection is played."""
        variables = frozenset().union(*(each.variables for each in self.slots.values()))
        return Stream(self.payloads, timed=True, speed=speed, shared=shared, variables=variables)

    def program(self, count: int, first: int = 0) -> Program:
        """Return the first messages as a script.

        Args:
            count: How many.
            first: How many are left out before them; their times count from the first one's that is left.

        Raises:
            GeneratorError: There are not as many.
        """
        at, made = array("d"), Made(self.slots)
        for ms, data, opcode in islice(self._written(), first, first + count):
            at.append(ms)
            made.add(data, opcode)
        if len(made) < count:
            raise GeneratorError(f"{self.name} ended after {first + len(made)} messages of {first + count}")
        if first and at:
            at = array("d", (ms - at[0] for ms in at))
        period = at[-1] + at[-1] / (count - 1) if count > 1 else 0.0
        return Program(made, at, period, self.name, plain=not made.slotted)


class Made:
    """Messages that were made before, each written but for its slots.

    Attributes:
        slotted: Whether any has a slot.
        opcode: The opcode of all; None: they differ.
    """

    def __init__(self, slots: dict[str, TextTemplate]) -> None:
        self._slots = slots
        self._data: list[bytes] = []
        self._binary: set[int] = set()
        self.slotted = False

    def add(self, data: bytes, opcode: int) -> None:
        """Append a message."""
        if opcode == BINARY:
            self._binary.add(len(self._data))
        elif not self.slotted and b"\0" in data:
            self.slotted = True
        self._data.append(data)

    @property
    def opcode(self) -> int | None:  # noqa: D102  # described by the class
        return None if self._binary else TEXT

    def __len__(self) -> int:
        return len(self._data)

    def payloads(self, first: int, last: int) -> list[bytes]:
        """Return the payloads of plain messages from `first` to before `last`."""
        return self._data[first:last]

    def payload(self, index: int) -> bytes:
        """Return one payload."""
        return self._data[index]

    def __getitem__(self, index: int) -> Step:
        index = range(len(self))[index]
        opcode = BINARY if index in self._binary else TEXT
        return Step(payload=payload_of(self._data[index], opcode, self._slots))


def payload_of(data: bytes, opcode: int, slots: dict[str, TextTemplate]) -> Payload:
    """Return a message that is written but for its slots."""
    if opcode == BINARY:
        return Payload("binary", data)
    if b"\0" in data and slots:
        template = pieced(data, slots)
        return Payload("json", orjson.loads(template.source), template)
    try:
        return Written("json", orjson.loads(data), data=data)
    except orjson.JSONDecodeError:
        return Payload("text", data.decode())


def written(value: Any) -> bytes:
    """Return a JSON value as text, each slot's text between two NULs.

    Raises:
        NoJSONError: It has no JSON form.
    """
    try:
        return orjson.dumps(value, default=_form, option=_SLOTTED)
    except TypeError:  # half a character, an int beyond 64 bits, keys that are no texts: the long way
        if _slotted(value):
            raise NoJSONError("beside a template it has half a character, or a number beyond 64 bits") from None
        return to_bytes(value)


def _slotted(value: Any) -> bool:
    parts = value.values() if isinstance(value, dict) else value if isinstance(value, (list, tuple)) else ()
    return isinstance(value, Slot) or any(map(_slotted, parts))


_SLOTTED = orjson.OPT_PASSTHROUGH_SUBCLASS | orjson.OPT_PASSTHROUGH_DATETIME | orjson.OPT_PASSTHROUGH_DATACLASS


def _form(value: Any) -> Any:
    """Return a value that orjson does not know, or would not tell from its base class, as one that it knows."""
    if isinstance(value, Slot):
        return orjson.Fragment(b"\0" + value.encode() + b"\0")
    bases: tuple[type[Any], ...] = (str, int, dict, list)
    for base in bases:
        if isinstance(value, base):
            return base(value)
    return form(value)
