"""Where a program's steps come from when it is made of rows: a table's, ready ones, some of them, templates'."""

from __future__ import annotations

import json
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, Any, Final, Literal, Protocol, TypeAlias

from mockforge_nb.core.message import BINARY, TEXT
from mockforge_nb.core.program import Payload, Step, StepSource

from .forms import Moving, Writer, to_bytes

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt
    import pandas as pd

    from mockforge_nb.core.cuts import Chosen
    from mockforge_nb.core.template import JsonTemplate, TextTemplate

    Order = npt.NDArray[np.integer[Any]]

Kind: TypeAlias = Literal["text", "json", "binary"]
Shape: TypeAlias = Callable[[dict[str, Any]], Any]
"""A function of a row, as a dict of Python values, that returns a message."""

_CHUNK: Final = 64
"""How many rows are made when one is asked for: the next ones are asked for next."""

_CHUNK_BYTES: Final = 2**20
"""From which size on a chunk is not kept."""


@dataclass(frozen=True, slots=True)
class Written(Payload):
    """A payload whose bytes are made already; `value` is what they say.

    Attributes:
        data: The bytes.
    """

    data: bytes = b""

    def literal(self) -> bytes:
        """The bytes, the same for one step as in bulk."""
        return self.data


class _Chunked(ABC):
    """JSON messages that are made when they are asked for, a chunk of neighbours at once."""

    opcode: int | None = TEXT
    _chunk: tuple[int, list[bytes]] = (-1, [])

    @abstractmethod
    def __len__(self) -> int: ...

    @abstractmethod
    def payloads(self, first: int, last: int) -> list[bytes]:
        """Return the payloads from `first` to before `last`."""

    def payload(self, index: int) -> bytes:
        """Return one payload; its neighbours are made with it and kept until another's are."""
        number, at = divmod(index, _CHUNK)
        kept, chunk = self._chunk
        if kept != number:
            chunk = self.payloads(number * _CHUNK, min((number + 1) * _CHUNK, len(self)))
            if sum(map(len, chunk)) <= _CHUNK_BYTES:
                self._chunk = (number, chunk)
        return chunk[at]

    def __getitem__(self, index: int) -> Step:
        data = self.payload(range(len(self))[index])
        return Step(payload=Written("json", json.loads(data), data=data))


class Rows(_Chunked):
    """A table's rows, each one JSON object, made when they are asked for.

    Args:
        frame: What the columns come from: it is held so that pandas copies when its owner writes to it.
        columns: The names, as they are written, and the columns.
        order: Which row is played first, second, …; None: as they stand.
    """

    def __init__(self, frame: pd.DataFrame, columns: dict[str, Writer], order: Order | None) -> None:
        self._frame, self._columns = frame, columns
        self._writers = tuple(columns.values())
        keys = (to_bytes(name).replace(b"%", b"%%") + b":%b" for name in columns)
        self._form = b"{" + b",".join(keys) + b"}"
        self._order = order

    def __len__(self) -> int:
        return len(self._frame)

    def _made(self, rows: Any) -> list[bytes]:
        return list(map(self._form.__mod__, zip(*[texts(rows) for texts in self._writers], strict=True)))

    def payloads(self, first: int, last: int) -> list[bytes]:
        """Return the payloads of the rows from `first` to before `last`."""
        return self._made(slice(first, last) if self._order is None else self._order[first:last])

    def gather(self, rows: Order) -> list[bytes]:
        """Return the payloads of some rows."""
        return self._made(rows if self._order is None else self._order[rows])

    def moved(self, ns: int) -> Rows:
        """Return the rows with their times moved by so many ns."""
        moved = {name: each.moved(ns) if isinstance(each, Moving) else each for name, each in self._columns.items()}
        return Rows(self._frame, moved, self._order)


class Messages:
    """Messages that were made before: a list's rows, or what a function made of a table's."""

    def __init__(self) -> None:
        self._payloads: list[bytes] = []
        self._kinds: list[Kind] = []
        self.opcode: int | None = None

    def add(self, payload: bytes, kind: Kind) -> None:
        """Append a message."""
        opcode = BINARY if kind == "binary" else TEXT
        # None: they differ, and the program asks each step.
        self.opcode = opcode if self.opcode == opcode or not self._payloads else None
        self._payloads.append(payload)
        self._kinds.append(kind)

    def __len__(self) -> int:
        return len(self._payloads)

    def payloads(self, first: int, last: int) -> list[bytes]:
        """Return the payloads from `first` to before `last`."""
        return self._payloads[first:last]

    def payload(self, index: int) -> bytes:
        """Return one payload."""
        return self._payloads[index]

    def gather(self, rows: Order) -> list[bytes]:
        """Return the payloads of some."""
        return [self._payloads[row] for row in rows.tolist()]

    def __getitem__(self, index: int) -> Step:
        data, kind = self._payloads[index], self._kinds[index]
        if kind == "json":
            return Step(payload=Written(kind, json.loads(data), data=data))
        return Step(payload=Payload(kind, data.decode() if kind == "text" else data))


class RowSource(StepSource, Protocol):
    """Steps whose payloads can be had by themselves."""

    opcode: int | None

    def payload(self, index: int) -> bytes:
        """Return one payload."""
        ...

    def payloads(self, first: int, last: int) -> Sequence[bytes]:
        """Return the payloads from `first` to before `last`."""
        ...


class Table(RowSource, Protocol):
    """Rows of which some can be had."""

    def gather(self, rows: Order) -> list[bytes]:
        """Return the payloads of some rows."""
        ...


class Picked(_Chunked):
    """Some rows of a table."""

    def __init__(self, table: Table, chosen: Chosen) -> None:
        self._table, self._chosen = table, chosen
        self.opcode = table.opcode

    def __len__(self) -> int:
        return len(self._chosen)

    def payloads(self, first: int, last: int) -> list[bytes]:
        """Return the payloads from `first` to before `last`."""
        return self._table.gather(self._chosen[first:last])

    def __getitem__(self, index: int) -> Step:
        if isinstance(self._table, Messages):  # which may be of any kind
            return self._table[self._chosen.one(range(len(self))[index])]
        return super().__getitem__(index)


class Lists(_Chunked):
    """JSON messages of several rows each.

    Args:
        rows: The rows, as JSON.
        bounds: Where each list begins, and behind the last how many rows there are.
    """

    def __init__(self, rows: RowSource, bounds: Order) -> None:
        self._rows, self._bounds = rows, bounds

    def __len__(self) -> int:
        return len(self._bounds) - 1

    def payloads(self, first: int, last: int) -> list[bytes]:
        """Return the payloads of the lists from `first` to before `last`."""
        bounds = self._bounds[first : last + 1].tolist()
        if len(bounds) < 2:
            return []
        rows = self._rows.payloads(bounds[0], bounds[-1])
        parts = [rows[a - bounds[0] : b - bounds[0]] for a, b in pairwise(bounds)]
        return [b"[" + b",".join(part) + b"]" for part in parts]


class Templated:
    """Rows, or lists of them, that a template is rendered over, for each connection anew.

    Args:
        rows: The rows as JSON objects.
        text: The template's text, or a dict whose texts are templates.
        template: The template; None: the text has no tokens and is sent as it stands.
    """

    waits = False
    opcode: int = TEXT

    def __init__(
        self, rows: RowSource, text: str | Mapping[str, Any], template: TextTemplate | JsonTemplate | None
    ) -> None:
        self._rows, self._text, self._template = rows, text, template
        self._kind: Kind = "text" if isinstance(text, str) else "json"

    def __len__(self) -> int:
        return len(self._rows)

    def payloads(self, first: int, last: int) -> list[bytes]:
        """Return what is sent of a text without tokens."""
        return [Payload(self._kind, self._text).literal()] * (last - first)

    def __getitem__(self, index: int) -> Step:
        row = json.loads(self._rows.payload(range(len(self))[index]))
        return Step(payload=Payload(self._kind, self._text, template=self._template, row=row))


class Shaped:
    """Messages that a function makes of rows, or of lists of them, when they are asked for.

    Args:
        rows: Returns rows, from one to before another, with what errors call them.
        count: How many messages there are.
        bounds: Where each list begins, and behind the last how many rows there are; None: each row is one message.
        make: Makes a message of what errors call a row, and the row or list.
    """

    opcode: int | None = None

    def __init__(
        self,
        rows: Callable[[int, int], list[tuple[Any, dict[str, Any]]]],
        count: int,
        bounds: Order | None,
        make: Callable[[Any, Any], tuple[bytes, Kind]],
    ) -> None:
        self._rows, self._count, self._bounds, self._make = rows, count, bounds, make
        self._chunk: tuple[int, Messages] = (-1, Messages())

    def __len__(self) -> int:
        return self._count

    def _messages(self, first: int, last: int) -> Messages:
        made = Messages()
        if self._bounds is None:
            for label, row in self._rows(first, last):
                made.add(*self._make(label, row))
            return made
        bounds = self._bounds[first : last + 1].tolist()
        rows = self._rows(bounds[0], bounds[-1])
        for begin, end in pairwise(bounds):
            part = rows[begin - bounds[0] : end - bounds[0]]
            made.add(*self._make(part[0][0], [row for _, row in part]))
        return made

    def _at(self, index: int) -> tuple[Messages, int]:
        number, at = divmod(range(self._count)[index], _CHUNK)
        kept, chunk = self._chunk
        if kept != number:
            chunk = self._messages(number * _CHUNK, min((number + 1) * _CHUNK, self._count))
            self._chunk = (number, chunk)
        return chunk, at

    def payloads(self, first: int, last: int) -> list[bytes]:
        """Return the payloads from `first` to before `last`."""
        return [self.payload(index) for index in range(first, last)]

    def payload(self, index: int) -> bytes:
        """Return one payload."""
        chunk, at = self._at(index)
        return chunk.payload(at)

    def __getitem__(self, index: int) -> Step:
        chunk, at = self._at(index)
        return chunk[at]


class Behind:
    """Steps, and behind them others."""

    def __init__(self, first: RowSource | Templated | Shaped, second: RowSource | Templated | Shaped) -> None:
        self._first, self._second = first, second
        self.opcode = first.opcode if first.opcode == second.opcode else None

    def __len__(self) -> int:
        return len(self._first) + len(self._second)

    def payloads(self, first: int, last: int) -> list[bytes]:
        """Return the payloads from `first` to before `last`."""
        split = len(self._first)
        return [
            *self._first.payloads(min(first, split), min(last, split)),
            *self._second.payloads(max(first - split, 0), max(last - split, 0)),
        ]

    def __getitem__(self, index: int) -> Step:
        index = range(len(self))[index]
        split = len(self._first)
        return self._first[index] if index < split else self._second[index - split]
