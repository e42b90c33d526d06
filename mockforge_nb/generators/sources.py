"""Where a program's steps come from when it is made of rows: a table's, ready ones, templates'."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, Literal, Protocol, TypeAlias

from mockforge_nb.core.message import BINARY, TEXT
from mockforge_nb.core.program import Payload, Step, StepSource

from .forms import Writer, to_bytes

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt
    import pandas as pd

    from mockforge_nb.core.template import TextTemplate

    Order = npt.NDArray[np.intp]

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


class Rows:
    """A table's rows, each one JSON object, made when they are asked for.

    Args:
        frame: What the columns come from: it is held so that pandas copies when its owner writes to it.
        columns: The names, as they are written, and the columns.
        order: Which row is played first, second, …; None: as they stand.
    """

    opcode: int = TEXT

    def __init__(self, frame: pd.DataFrame, columns: dict[str, Writer], order: Order | None) -> None:
        self._frame = frame
        self._writers = tuple(columns.values())
        keys = (to_bytes(name).replace(b"%", b"%%") + b":%b" for name in columns)
        self._form = b"{" + b",".join(keys) + b"}"
        self._order = order
        self._chunk: tuple[int, list[bytes]] = (-1, [])

    def __len__(self) -> int:
        return len(self._frame)

    def payloads(self, first: int, last: int) -> list[bytes]:
        """Return the payloads of the rows from `first` to before `last`."""
        rows = slice(first, last) if self._order is None else self._order[first:last]
        return list(map(self._form.__mod__, zip(*[texts(rows) for texts in self._writers], strict=True)))

    def payload(self, index: int) -> bytes:
        """Return one row's payload; its neighbours are made with it and kept until another's are."""
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

    def __getitem__(self, index: int) -> Step:
        data, kind = self._payloads[index], self._kinds[index]
        if kind == "json":
            return Step(payload=Written(kind, json.loads(data), data=data))
        return Step(payload=Payload(kind, data.decode() if kind == "text" else data))


class RowSource(StepSource, Protocol):
    """Steps whose payloads can be had by themselves."""

    def payload(self, index: int) -> bytes:
        """Return one payload."""
        ...


class Templated:
    """Rows that a text template is rendered over, for each connection anew.

    Args:
        rows: The rows as JSON objects.
        text: The template's text.
        template: The template; None: the text has no tokens and is sent as it stands.
    """

    waits = False

    def __init__(self, rows: RowSource, text: str, template: TextTemplate | None) -> None:
        self._rows, self._text, self._template = rows, text, template

    def __len__(self) -> int:
        return len(self._rows)

    def __getitem__(self, index: int) -> Step:
        row = json.loads(self._rows.payload(range(len(self))[index]))
        return Step(payload=Payload("text", self._text, template=self._template, row=row))
