"""What of a message is quickly compared, so that the unlike ones of many need not be compared whole."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from typing import Any, NamedTuple, TypeAlias

from .compare import found
from .message import Message
from .recording import REDACTED

Fact: TypeAlias = tuple[str, tuple[bool, Any]]
"""A key of a JSON object and its plain value; True is 1 to Python, and not in JSON."""


class Sketch(NamedTuple):
    """The plain values at the top of a JSON object.

    Attributes:
        facts: The values by their keys, without those that do not count.
        skipped: The keys that do not count.
    """

    facts: dict[str, tuple[bool, Any]]
    skipped: frozenset[str]

    def may_be(self, got: Sketch) -> bool:
        """Return whether a message may be as this one was recorded; False is certain."""
        return all(got.facts.get(key) == value or key in got.skipped for key, value in self.facts.items())


NO_FACTS = Sketch({}, frozenset())


def sketch(message: Message, ignore: Sequence[Any]) -> Sketch:
    """Return a message's sketch.

    Args:
        message: The message.
        ignore: JSONPaths (compiled) of what does not count.
    """
    value = message.parsed()
    if not isinstance(value, dict):
        return NO_FACTS
    try:
        places = [*found(ignore, value)]
    except RecursionError:  # such a message is compared whole, and is unlike any other
        return NO_FACTS
    skipped = frozenset(value if () in places else (str(parts[0]) for parts in places if len(parts) == 1))
    facts = {
        key: (isinstance(one, bool), one)
        for key, one in value.items()
        if not isinstance(one, (dict, list)) and one != REDACTED and key not in skipped
    }
    return Sketch(facts, skipped)


class Index:
    """Finds the messages that have a fact.

    Args:
        sketches: Theirs.
    """

    def __init__(self, sketches: Sequence[Sketch]) -> None:
        self._having: defaultdict[Fact, list[int]] = defaultdict(list)
        self._open: defaultdict[str, list[int]] = defaultdict(list)
        for j, one in enumerate(sketches):
            for fact in one.facts.items():
                self._having[fact].append(j)
            for key in one.skipped:
                self._open[key].append(j)

    def having(self, recorded: Sketch) -> Sequence[int] | None:
        """Return those that may be as recorded, in order; None: any may be."""
        if not recorded.facts:
            return None
        # Both lists are counted before they are joined: a value that all have makes a long one.
        best = min(
            recorded.facts.items(),
            key=lambda fact: len(self._having.get(fact, ())) + len(self._open.get(fact[0], ())),
        )
        having, open_ = self._having.get(best, []), self._open.get(best[0])
        return sorted({*having, *open_}) if open_ else having
