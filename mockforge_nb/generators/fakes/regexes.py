"""Texts that a regular expression matches, drawn from its parse tree.

The tree is the one of Python's own `re`, so what is understood is what `re` understands. Every draw depends on nothing
but the random numbers: no set is walked through, so that a seed means the same in every process.
"""

from __future__ import annotations

import random
import re
from typing import Any, Final

from mockforge_nb.errors import GeneratorError

PRINTABLE: Final = "".join(map(chr, range(32, 127)))
_WORD: Final = "".join(char for char in PRINTABLE if char.isalnum()) + "_"
_CATEGORIES: Final = {
    "CATEGORY_DIGIT": "0123456789",
    "CATEGORY_NOT_DIGIT": "".join(char for char in PRINTABLE if not char.isdigit()),
    "CATEGORY_SPACE": " \t",
    "CATEGORY_NOT_SPACE": PRINTABLE.replace(" ", ""),
    "CATEGORY_WORD": _WORD,
    "CATEGORY_NOT_WORD": "".join(char for char in PRINTABLE if char not in _WORD),
}
_TRIES: Final = 200
_RANGE: Final = 0x500
"""How many characters of one range are drawn from; the first ones."""


class Texts:
    """Texts that fit a pattern and have a length.

    Args:
        pattern: A regular expression that is searched for, as JSON Schema does, and not matched from the start.
        low: The least length.
        high: The greatest; None: any.

    Raises:
        re.error: The pattern cannot be compiled.
        ValueError: No text that fits it has such a length.
    """

    def __init__(self, pattern: str, low: int = 0, high: int | None = None) -> None:
        import re._parser as parser  # type: ignore[import-not-found]

        self._compiled = re.compile(pattern)
        self._tree = parser.parse(pattern)
        self._low, self._high, self._pattern = low, high, pattern
        least, most = self._tree.getwidth()
        self._least = least
        self._open = not (len(self._tree) and str(self._tree[-1][0]) == "AT")
        if high is not None and least > high:
            raise ValueError(f"its texts have at least {least} characters")
        anchored = not self._open and str(self._tree[0][0]) == "AT"
        if anchored and most < low:
            raise ValueError(f"its texts have at most {most} characters")

    def draw(self, rng: random.Random) -> str:
        """Return one of the texts.

        Raises:
            GeneratorError: None was found.
        """
        room = 8 if self._high is None else min(8, self._high)
        most = self._low + 8 if self._high is None else self._high
        for trial in range(_TRIES):
            # The first draws repeat a little; if their length does not fit, others aim at one that does.
            if trial < 20 and self._low <= self._least + room:
                text = _Draw(rng, room).sequence(self._tree)
            else:
                spare = rng.randint(max(self._low, self._least), max(most, self._least)) - self._least
                text = _Draw(rng, room, spare).sequence(self._tree)
            if len(text) < self._low and self._open:
                text += "".join(rng.choices(_WORD, k=self._low - len(text)))
            fits = len(text) >= self._low and (self._high is None or len(text) <= self._high)
            if fits and self._compiled.search(text):
                return text
        length = (
            f"{self._low} to {self._high} characters" if self._high is not None else f"{self._low} characters or more"
        )
        raise GeneratorError(f"{_TRIES} draws gave no text of {length} that fits the pattern {self._pattern!r}")


class _Draw:
    """One text.

    Args:
        rng: Where it is drawn from.
        extra: How often at most a part is repeated more than it must be.
        spare: By how many characters it is to be longer than the shortest text; None: no matter.
    """

    def __init__(self, rng: random.Random, extra: int, spare: int | None = None) -> None:
        self._rng, self._extra, self._spare = rng, extra, spare
        self._groups: dict[int, str] = {}

    def sequence(self, tree: Any) -> str:
        return "".join(self._one(str(code), value) for code, value in tree)

    def _one(self, code: str, value: Any) -> str:
        match code:
            case "LITERAL":
                return chr(value)
            case "NOT_LITERAL":
                return self._rng.choice(PRINTABLE.replace(chr(value), ""))
            case "ANY":
                return self._rng.choice(PRINTABLE)
            case "IN":
                return self._rng.choice(_members(value))
            case "BRANCH":
                branch = self._rng.choice(value[1])
                self._spend(branch.getwidth()[0] - min(each.getwidth()[0] for each in value[1]))
                return self.sequence(branch)
            case "SUBPATTERN":
                text = self.sequence(value[-1])
                if value[0] is not None:
                    self._groups[value[0]] = text
                return text
            case "GROUPREF":
                return self._groups.get(value, "")
            case "GROUPREF_EXISTS":
                group, yes, no = value
                return self.sequence(yes) if group in self._groups else self.sequence(no or ())
            case "MAX_REPEAT" | "MIN_REPEAT" | "POSSESSIVE_REPEAT":
                low, high, part = value
                times = self._times(low, int(high), part.getwidth()[0])
                return "".join(self.sequence(part) for _ in range(times))
            case "ATOMIC_GROUP":
                return self.sequence(value)
            case "AT" | "ASSERT" | "ASSERT_NOT":
                return ""  # whether it holds shows when the whole text is searched
        raise GeneratorError(f"a pattern with {code} cannot be drawn from; give the texts by enum")

    def _spend(self, characters: int) -> None:
        if self._spare is not None:
            self._spare = max(0, self._spare - characters)

    def _times(self, low: int, high: int, width: int) -> int:
        """Return how often a part is repeated; where there is a length to come to, often as much as it still takes."""
        if self._spare is None:
            return self._rng.randint(low, min(high, low + self._extra))
        # What may be empty is repeated more often than there is room: what is in it takes of it what it will.
        more = min(high - low, self._spare // width if width else 4 * self._spare)
        more = more if self._rng.random() < 0.5 else self._rng.randint(0, more)
        self._spend(more * width)
        return low + more


def _members(parts: list[Any]) -> str:
    """Return the characters of a set such as ``[a-z_]``."""
    negated = str(parts[0][0]) == "NEGATE"
    found: dict[str, None] = {}
    for code, value in parts:
        match str(code):
            case "LITERAL":
                found[chr(value)] = None
            case "RANGE":
                chars = map(chr, range(value[0], min(value[1], value[0] + _RANGE) + 1))
                found.update(dict.fromkeys(char for char in chars if not "\ud800" <= char <= "\udfff"))
            case "CATEGORY":
                found.update(dict.fromkeys(_CATEGORIES[str(value)]))
    if not negated:
        return "".join(found) or " "
    return "".join(char for char in PRINTABLE if char not in found) or "é"
