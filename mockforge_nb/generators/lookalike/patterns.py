"""New texts that look like those of a source: the same signs between the words, numbers and codes of each place.

A text is cut into runs of letters and digits, and what stands between these. Texts with the same signs between are of
one form, and what a place of a form has decides what is drawn for it: words are the source's; numbers lie between the
least and the largest; codes (letters and digits mixed, or letters always as many) are new ones, sign by sign. Where
this makes hardly any new text, and where words make sentences, the source's are drawn whole. Texts that count, and
instants, are not cut.
"""

from __future__ import annotations

import math
import re
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from random import Random
from typing import Final, TypeAlias

from mockforge_nb.core.moved import moved, time_of

MANY: Final = 20
"""From how many codes on a sign of a code has its own letters; fewer share those of all."""

ROOM: Final = 2
"""How many times as many texts a form must be able to have as the source has, so that new ones are made."""

DENSE: Final = 2
"""Numbers of which at least one in so many is there count, even if they are not in order."""

LONG: Final = 6
"""From how many letters on words that all have as many are codes."""

_RUN: Final = re.compile(r"([^\W_]+)")
_PART: Final = re.compile(r"[0-9]+|[^0-9]+")

Choices: TypeAlias = Sequence[str] | range
"""What may stand at a place: texts, or numbers."""

Piece: TypeAlias = tuple[Choices, int]
"""What may stand at a place, and how many digits a number has at least."""


@dataclass(frozen=True, slots=True)
class Place:
    """What the texts of a form have at one place.

    Attributes:
        words: What may stand there; empty: it is a code, or has parts.
        width: How many digits a number has at least.
        at: The signs of a code by their place in it and class, where many show them.
        pooled: These by class.
        parts: The places of its letters and digits, if these alternate in the same way in all.
    """

    words: Choices = ()
    width: int = 0
    at: dict[tuple[int, str], str] = field(default_factory=dict)
    pooled: dict[str, str] = field(default_factory=dict)
    parts: tuple[Place, ...] = ()

    @classmethod
    def learned(cls, runs: Sequence[str]) -> Place:
        """Learn from what the texts have there."""
        if len({*runs}) == 1:
            return cls(runs[:1])
        sizes = {*map(len, runs)}
        if all(run.isascii() and run.isdigit() and len(run) <= 15 for run in runs):
            if len(sizes) == 1 or not any(run[0] == "0" and len(run) > 1 for run in runs):
                numbers = [*map(int, runs)]
                return cls(range(min(numbers), max(numbers) + 1), min(sizes))
        elif all(run.isalpha() for run in runs):
            words = tuple(sorted({*runs}))
            if len(sizes) > 1 or min(sizes) < LONG or 2 * len(words) < len(runs):
                return cls(words)
        else:
            cut = [_PART.findall(run) for run in runs]
            kinds = {tuple(part[0] in "0123456789" for part in each) for each in cut}
            if len(kinds) == 1 and len(cut[0]) > 1:
                return cls(parts=tuple(cls.learned(part) for part in zip(*cut, strict=True)))
        counts: defaultdict[tuple[int, str], Counter[str]] = defaultdict(Counter)
        pooled: defaultdict[str, set[str]] = defaultdict(set)
        for run in runs:
            for place, sign in enumerate(run):
                counts[place, _class(sign)][sign] += 1
                pooled[_class(sign)].add(sign)
        at = {key: "".join(sorted(seen)) for key, seen in counts.items() if seen.total() >= MANY}
        return cls(at=at, pooled={kind: "".join(sorted(seen)) for kind, seen in pooled.items()})

    def pieces(self, run: str) -> list[Piece]:
        """Return what may stand there in a text that looks like one with this."""
        if self.parts:
            cut = _PART.findall(run)
            return [piece for part, own in zip(self.parts, cut, strict=True) for piece in part.pieces(own)]
        if self.words:
            return [(self.words, self.width)]
        return [(self.at.get((i, _class(sign)), self.pooled[_class(sign)]), 0) for i, sign in enumerate(run)]

    def form(self, run: str) -> str:
        """Return what tells texts apart that are numbered by themselves: the classes of a code."""
        if self.parts:
            return "".join(part.form(own) for part, own in zip(self.parts, _PART.findall(run), strict=True))
        return "" if self.words else "".join(map(_class, run))


@dataclass(frozen=True, slots=True)
class TextPattern:
    """What texts that are all different have in common.

    Attributes:
        texts: The source's; each is the form of some that are made.
        places: Of each form (the signs between), what its places have.
    """

    texts: tuple[str, ...]
    places: dict[tuple[str, ...], list[Place]]

    @classmethod
    def of_texts(cls, texts: Sequence[str]) -> TextPattern:
        """Learn from texts, of which there are some."""
        forms: defaultdict[tuple[str, ...], list[list[str]]] = defaultdict(list)
        for text in texts:
            cut = _RUN.split(text)
            forms[tuple(cut[::2])].append(cut[1::2])
        places = {form: [*map(Place.learned, zip(*runs, strict=True))] for form, runs in forms.items()}
        return cls(tuple(texts), places)

    def made(self, rng: Random) -> Iterator[str]:
        """Yield texts without end.

        None is the source's, and none comes twice before all of its form are used up; but those that are drawn whole
        are the source's.
        """
        return _counted(self.texts, rng) or _instants(self.texts, rng) or self._drawn(rng)

    def _drawn(self, rng: Random) -> Iterator[str]:
        # The texts of a form are numbered, and the numbers run through all in large steps: so none need be remembered.
        known = frozenset(self.texts)
        forms = [*map(self._form, self.texts)]
        counts = Counter(forms)
        running: dict[tuple[str, ...], Iterator[str]] = {}
        while True:
            number = rng.randrange(len(self.texts))
            text, form = self.texts[number], forms[number]
            if form not in running:
                pieces = self._pieces(text)
                size = math.prod(len(choices) for choices, _ in pieces)
                new = size >= ROOM * counts[form] and not _is_sentence(text)
                running[form] = _numbered(pieces, size, known, rng) if new else iter(())
            yield next(running[form], text)

    def _form(self, text: str) -> tuple[str, ...]:
        cut = _RUN.split(text)
        places = self.places[tuple(cut[::2])]
        return (*cut[::2], *(place.form(run) for place, run in zip(places, cut[1::2], strict=True)))

    def _pieces(self, text: str) -> list[Piece]:
        cut = _RUN.split(text)
        pieces: list[Piece] = [(cut[:1], 0)]
        for place, run, sign in zip(self.places[tuple(cut[::2])], cut[1::2], cut[2::2], strict=True):
            pieces += [*place.pieces(run), ([sign], 0)]
        return pieces


def _numbered(pieces: list[Piece], size: int, known: frozenset[str], rng: Random) -> Iterator[str]:
    """Yield the texts of a form, and again."""
    step = rng.randrange(1, size + 1)
    while math.gcd(step, size) != 1:
        step += 1
    number = rng.randrange(size)
    while True:
        left, inner = number, []
        for choices, digits in pieces:
            left, place = divmod(left, len(choices))
            inner.append(f"{choices[place]:0{digits}d}" if isinstance(choices, range) else choices[place])
        made = "".join(map(str, inner))
        if made not in known:
            yield made
        number = (number + step) % size


def _counted(texts: Sequence[str], rng: Random) -> Iterator[str] | None:
    """Return how texts go on that count; None: they do not."""
    prefix = _common(texts).rstrip("0123456789")
    suffix = _common([text[len(prefix) :][::-1] for text in texts])[::-1].lstrip("0123456789")
    inner = [text[len(prefix) : len(text) - len(suffix)] for text in texts]
    if len(texts) < 2 or not all(each.isascii() and each.isdigit() for each in inner):
        return None
    numbers = [*map(int, inner)]
    steps = [two - one for one, two in pairwise(numbers)]
    if min(steps) <= 0:
        if max(numbers) - min(numbers) > DENSE * len(numbers):
            return None
        steps = [1]

    def on() -> Iterator[str]:
        number, width = max(numbers), min(map(len, inner))
        while True:
            number += steps[rng.randrange(len(steps))]
            yield f"{prefix}{number:0{width}d}{suffix}"

    return on()


def _instants(texts: Sequence[str], rng: Random) -> Iterator[str] | None:
    """Return more of texts that are instants, as ISO 8601 has them: between them, or after; None: they are none."""
    found = [time_of(text) for text in texts]
    times = [time for time in found if time is not None]
    if len(times) < max(len(texts), 2):
        return None
    gaps = [two - one for one, two in pairwise(times)]

    def on() -> Iterator[str]:
        ranked, now = sorted(times), times[-1]
        while True:
            place = rng.randrange(len(gaps))
            if min(gaps) > 0:
                now += gaps[place]
                yield moved(texts[place], now - times[place])
            else:
                then = rng.randint(ranked[place], ranked[place + 1])
                yield moved(texts[place], then - times[place])

    return on()


def _common(texts: Sequence[str]) -> str:
    """Return what all texts begin with."""
    first, last = min(texts), max(texts)
    return first[: next((i for i, (a, b) in enumerate(zip(first, last, strict=False)) if a != b), len(first))]


def _is_sentence(text: str) -> bool:
    """Return whether a text has words with a space between them."""
    return sum(each.isalpha() for each in re.split(r"[\s,.;:!?]+", text) if each) > 1 and " " in text


def _class(sign: str) -> str:
    if sign.isdecimal():
        return "0"
    if sign.isupper():
        return "A"
    if sign.islower():
        return "a"
    return "x"
