"""New texts that look like those of a source: as long, with letters, digits and signs at the same places."""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from random import Random
from typing import Final, TypeAlias

MANY: Final = 20
"""From how many texts on a place has its own letters; fewer share those of all places."""

Classes: TypeAlias = tuple[str, ...]
"""What stands at each place of a text: a class (``A``, ``a``, ``0``, ``x``), or a sign that is of none."""


@dataclass(frozen=True, slots=True)
class TextPattern:
    """What texts that are all different have in common.

    Attributes:
        texts: The source's; each is the form of some that are made.
        prefix: What all begin with.
        suffix: What all end with.
        at: The letters by place after the prefix and class, where many texts show them.
        of: The letters by class.
    """

    texts: tuple[str, ...]
    prefix: str
    suffix: str
    at: dict[tuple[int, str], str]
    of: dict[str, str]

    @classmethod
    def of_texts(cls, texts: Sequence[str]) -> TextPattern:
        """Learn from texts, of which there are some."""
        prefix = _common(texts)
        rest = [text[len(prefix) :] for text in texts]
        suffix = _common([text[::-1] for text in rest])[::-1]
        counts: defaultdict[tuple[int, str], Counter[str]] = defaultdict(Counter)
        pooled: defaultdict[str, set[str]] = defaultdict(set)
        for text in rest:
            inner = text[: len(text) - len(suffix)]
            for place, sign in enumerate(inner):
                kind = _class(sign)
                if len(kind) == 1 and kind in "Aa0x":
                    counts[place, kind][sign] += 1
                    pooled[kind].add(sign)
        at = {key: "".join(sorted(seen)) for key, seen in counts.items() if sum(seen.values()) >= MANY}
        return cls(tuple(texts), prefix, suffix, at, {kind: "".join(sorted(seen)) for kind, seen in pooled.items()})

    def made(self, rng: Random) -> Iterator[str]:
        """Yield texts without end: no two are the same, and none is the source's.

        Those of one form are numbered, and the numbers run through all that the form can be, in large steps: so
        none need be remembered.
        """
        known = frozenset(self.texts)
        forms = {self._form(text) for text in self.texts}
        running: dict[Classes, Iterator[str]] = {}
        while True:
            form = self._form(self.texts[rng.randrange(len(self.texts))])
            if form not in running:
                running[form] = self._numbered(form, forms, rng)
            yield next(text for text in running[form] if text not in known)

    def _form(self, text: str) -> Classes:
        return tuple(map(_class, text[len(self.prefix) : len(text) - len(self.suffix)]))

    def _numbered(self, form: Classes, forms: set[Classes], rng: Random) -> Iterator[str]:
        letters = [self.at.get((place, kind), self.of.get(kind, kind[-1])) for place, kind in enumerate(form)]
        size = math.prod(map(len, letters))
        step = rng.randrange(1, size + 1)
        while math.gcd(step, size) != 1:
            step += 1
        number, turn = rng.randrange(size), 0
        while True:
            # Once all are used up, they become longer, in a form that no other text has.
            tail = f"-{turn}" if turn else ""
            if not turn or (*form, *map(_class, tail)) not in forms:
                for _ in range(size):
                    left, inner = number, []
                    for some in letters:
                        left, place = divmod(left, len(some))
                        inner.append(some[place])
                    yield f"{self.prefix}{''.join(inner)}{tail}{self.suffix}"
                    number = (number + step) % size
            turn += 1


def _common(texts: Sequence[str]) -> str:
    """Return what all texts begin with."""
    first, last = min(texts), max(texts)
    return first[: next((i for i, (a, b) in enumerate(zip(first, last, strict=False)) if a != b), len(first))]


def _class(sign: str) -> str:
    if sign.isdecimal():
        return "0"
    if sign.isupper():
        return "A"
    if sign.islower():
        return "a"
    return "x" if sign.isalpha() else f"={sign}"
