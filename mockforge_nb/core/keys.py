"""The rows of a table by their keys: which ones have a key, and which one is a key's latest."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Collection, Sequence
from functools import lru_cache
from typing import TYPE_CHECKING, Any, TypeAlias

from mockforge_nb.errors import nearest

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    Ints: TypeAlias = npt.NDArray[np.integer[Any]]

ALL = "*"
"""What stands for every key, unless there is one of this name."""


class Keys:
    """The key of each row.

    Args:
        name: The column that has them.
        texts: The keys, as a message writes them, in the order in which they first appear.
        codes: For each row, which of `texts` it has; -1: none.
    """

    def __init__(self, name: str, texts: Sequence[str], codes: Ints) -> None:
        import numpy as np

        self.name = name
        self.texts = tuple(texts)
        self._numbers = {text: number for number, text in enumerate(self.texts)}
        self._codes = codes
        order = np.argsort(codes, kind="stable")
        self._order = order.astype(np.int32) if len(order) < 2**31 else order
        self._starts: list[int] = np.searchsorted(codes[order], np.arange(len(self.texts) + 1)).tolist()
        self._several = lru_cache(8)(self._merged)

    def __contains__(self, key: object) -> bool:
        return isinstance(key, str) and self.find(key) is not None

    def find(self, asked: str) -> str | None:
        """Return the key that was asked for, also where a whole number is written as ``1.0``; None: there is none."""
        if asked in self._numbers:
            return asked
        whole, point, rest = asked.partition(".")
        return whole if point and rest.strip("0") == "" and whole in self._numbers else None

    def known(self, asked: Collection[str]) -> tuple[str, ...]:
        """Return those of the keys that were asked for which there are, in that order; `ALL` is all of them."""
        if ALL in asked and ALL not in self._numbers:
            return self.texts
        return tuple(dict.fromkeys(key for key in map(self.find, asked) if key is not None))

    def lacking(self, asked: Collection[str]) -> list[str]:
        """Return those of the keys that were asked for which there are not, in that order, each once."""
        return [key for key in dict.fromkeys(asked) if key != ALL and self.find(key) is None]

    def nearest(self, key: str) -> str:
        """Return the words with which a message about a key that is not there names the nearest."""
        meant = nearest(key, self.texts)
        if meant or len(self.texts) > 20:
            return meant or f"; it has {len(self.texts):,} others"
        return f"; it has {', '.join(map(repr, self.texts))}"

    def _of(self, key: str) -> Ints:
        number = self._numbers[key]
        return self._order[self._starts[number] : self._starts[number + 1]]

    def rows(self, keys: frozenset[str]) -> Ints:
        """Return the rows that have one of some keys, in order; nobody may write to them."""
        return self._of(next(iter(keys))) if len(keys) == 1 else self._several(keys)

    def _merged(self, keys: frozenset[str]) -> Ints:
        import numpy as np

        rows = np.flatnonzero(self._mask(keys)[self._codes])
        return rows.astype(self._order.dtype, copy=False)

    def among(self, rows: Ints, keys: frozenset[str]) -> Ints:
        """Return those of some rows that have one of some keys."""
        return rows[self._mask(keys)[self._codes[rows]]] if len(rows) else rows

    def _mask(self, keys: frozenset[str]) -> Any:
        import numpy as np

        mine = np.zeros(len(self.texts) + 1, dtype=bool)  # the last is that of rows without a key
        mine[[self._numbers[key] for key in keys]] = True
        return mine

    def latest(self, key: str, before: int) -> int:
        """Return the last row of a key before row `before`; the key's first row if there is none."""
        rows = self._of(key)
        return int(rows[max(0, bisect_left(rows, before) - 1)])
