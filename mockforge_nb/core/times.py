"""Times of a program's steps that are not in a list, but made when they are asked for."""

from __future__ import annotations

from abc import abstractmethod
from array import array
from collections.abc import Sequence
from typing import overload


class Times(Sequence[float]):
    """When steps are due (ms), in order."""

    @abstractmethod
    def one(self, index: int) -> float:
        """Return the time of a step; `index` is from 0 to before the length."""

    def some(self, part: slice) -> Sequence[float]:
        """Return the times of several steps."""
        return array("d", map(self.one, range(len(self))[part]))

    @overload
    def __getitem__(self, index: int) -> float: ...

    @overload
    def __getitem__(self, index: slice) -> Sequence[float]: ...

    def __getitem__(self, index: int | slice) -> float | Sequence[float]:
        return self.some(index) if isinstance(index, slice) else self.one(range(len(self))[index])


class Even(Times):
    """Times at a rate: step ``i`` is due at ``i * gap`` ms."""

    def __init__(self, count: int, gap: float) -> None:
        self._count, self._gap = count, gap

    def __len__(self) -> int:
        return self._count

    def one(self, index: int) -> float:  # noqa: D102  # described by the class
        return index * self._gap


class Scaled(Times):
    """Times divided by a factor."""

    def __init__(self, at: Sequence[float], factor: float) -> None:
        self._at, self._factor = at, factor

    def __len__(self) -> int:
        return len(self._at)

    def one(self, index: int) -> float:  # noqa: D102  # described by the class
        return self._at[index] / self._factor
