"""Messages that are made up: without end while they are played, or so many of them as a script."""

from __future__ import annotations

import json
from array import array
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass, replace
from itertools import islice
from typing import TYPE_CHECKING, Any, TypeAlias

import orjson

from mockforge_nb.core.message import TEXT
from mockforge_nb.core.plan import Stream
from mockforge_nb.core.program import Payload, Program, Step
from mockforge_nb.core.template import Slot, Slots, TextTemplate
from mockforge_nb.errors import GeneratorError

from .forms import NoJSONError, form, to_bytes
from .sources import Kind

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
        slots: The parsed templates of all slots.
        scale: What their times are multiplied by.
    """

    name: str
    open: Callable[[], Items]
    slots: Slots
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
        return cls(name, open_, Slots({text: TextTemplate.parse(text, names=names) for text in slots}))

    def scaled(self, factor: float) -> Endless:
        """Return the same with its times divided by `factor`."""
        return replace(self, scale=self.scale / factor)

    def _written(self) -> Iterator[tuple[float, bytes, Kind]]:
        """Yield times, payloads with their slots, and kinds.

        Raises:
            GeneratorError: A message has no JSON form.
        """
        for number, (ms, value) in enumerate(self.open()):
            if isinstance(value, bytes):
                yield ms * self.scale, value, "binary"
                continue
            try:
                text = type(value) is str
                data = value.encode() if text else written(value)
            except (NoJSONError, UnicodeEncodeError) as error:
                place = _place(value)
                what = f"field {place} is {error}" if place else str(error)
                raise GeneratorError(f"{self.name}: message {number} has no JSON form: {what}") from error
            yield ms * self.scale, data, "text" if text else "json"

    def payloads(self, connection: Connected | None = None) -> Iterator[tuple[float, Payload]]:
        """Yield times and messages, from the beginning.

        Raises:
            GeneratorError: One has no JSON form.
        """
        return ((ms, Ready(data, kind, self.slots)) for ms, data, kind in self._written())

    def stream(self, speed: float, *, shared: bool) -> Stream:
        """Return what a connection is played."""
        return Stream(self.payloads, timed=True, speed=speed, shared=shared, variables=self.slots.variables)

    def program(self, count: int, first: int = 0) -> Program:
        """Return the first messages as a script.

        Args:
            count: How many.
            first: How many are left out before them; their times count from the first one's that is left.

        Raises:
            GeneratorError: There are not as many.
        """
        at, made = array("d"), Made(self.slots)
        for ms, data, kind in islice(self._written(), first, first + count):
            at.append(ms)
            made.add(data, kind)
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

    def __init__(self, slots: Slots) -> None:
        self._slots = slots
        self._last: tuple[int, Step] = (-1, Step())
        self._data: list[bytes] = []
        self._others: dict[int, Kind] = {}  # those that are no JSON
        self.slotted = False

    def add(self, data: bytes, kind: Kind) -> None:
        """Append a message."""
        if kind != "json":
            self._others[len(self._data)] = kind
        elif not self.slotted and b"\0" in data:
            self.slotted = True
        self._data.append(data)

    @property
    def opcode(self) -> int | None:  # noqa: D102  # described by the class
        return None if "binary" in self._others.values() else TEXT

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
        last, step = self._last  # who plays it asks for a step several times
        if last != index:
            step = Step(payload=Ready(self._data[index], self._others.get(index, "json"), self._slots))
            self._last = (index, step)
        return step


class Ready(Payload):
    """A message that is written, but for its slots; what it says is read from that only when somebody asks.

    Args:
        data: The message.
        kind: Its kind.
        slots: The templates of its slots, if it is JSON.
    """

    __slots__ = ("_data", "_slots")

    _data: bytes
    _slots: Slots

    def __init__(self, data: bytes, kind: Kind, slots: Slots) -> None:
        slotted = kind == "json" and bool(slots) and b"\0" in data
        put = object.__setattr__  # it is frozen
        put(self, "kind", kind)
        put(self, "template", slots.template(data) if slotted else None)
        put(self, "row", None)
        put(self, "_data", data)
        put(self, "_slots", slots)

    @property
    def value(self) -> Any:
        """What it says: bytes, a text, or a JSON value with each slot's text."""
        if self.kind == "json":
            return json.loads(self._data if self.template is None else self._slots.source(self._data))
        return self._data if self.kind == "binary" else self._data.decode()

    def literal(self) -> bytes:
        """The bytes of a message without slots."""
        return self._data


def written(value: Any) -> bytes:
    """Return a JSON value as text, each slot's text between two NULs.

    Raises:
        NoJSONError: It has no JSON form.
    """
    try:
        return orjson.dumps(value, default=_form, option=_SLOTTED)
    except TypeError as error:  # half a character, an int beyond 64 bits, keys that are no texts: the long way
        if isinstance(error.__cause__, KeyboardInterrupt):  # orjson makes a TypeError of whatever comes in between
            raise error.__cause__ from None
        if _slotted(value):
            raise NoJSONError("beside a template it has half a character, or a number beyond 64 bits") from None
        return to_bytes(value)


def _place(value: Any, path: str = "", around: tuple[int, ...] = ()) -> str:
    """Return the path of the innermost part of a message that has no JSON form; empty: it is the message itself."""
    parts = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, (list, tuple)) else ()
    for key, each in parts if id(value) not in around else ():
        try:
            to_bytes(each)
        except NoJSONError:
            inner = f"{path}.{key}" if path and isinstance(value, dict) else str(key)
            return _place(each, inner if isinstance(value, dict) else f"{path}[{key}]", (*around, id(value)))
    return path


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
