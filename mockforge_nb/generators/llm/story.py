"""What has happened so far, short enough to be told with each request."""

from __future__ import annotations

import json
import math
from collections import Counter, deque
from typing import Any, Final

from mockforge_nb.generators.forms import to_bytes

LAST: Final = 6
_MOST_TEXT: Final = 1500
_MOST_KEYS: Final = 12
_MOST_VALUES: Final = 8
_LONGEST_VALUE: Final = 24
REMEMBERED: Final = 64
"""How many events are remembered as they were, to tell one that comes again."""


def compact(event: Any) -> str:
    """Return an event as JSON on one line."""
    return json.dumps(event, ensure_ascii=False)


class Story:
    """The events so far: how many, the last ones, and what their fields were; it does not grow with them.

    Attributes:
        count: How many there were.
    """

    def __init__(self) -> None:
        self.count = 0
        self._last: deque[Any] = deque(maxlen=LAST)
        self._recent: deque[bytes] = deque(maxlen=REMEMBERED)
        self._ranges: dict[str, tuple[float, float]] = {}
        self._words: dict[str, Counter[str]] = {}
        self._various: set[str] = set()  # fields of too many different texts to be counted

    def add(self, event: Any) -> None:
        """Take note of an event."""
        self.count += 1
        self._last.append(event)
        self._recent.append(same(event))
        if not isinstance(event, dict):
            return
        for key, value in event.items():
            if isinstance(value, bool):
                self._count(key, str(value).lower())
            elif isinstance(value, (int, float)) and math.isfinite(value):
                low, high = self._ranges.get(key, (value, value))
                if key in self._ranges or len(self._ranges) < _MOST_KEYS:
                    self._ranges[key] = min(low, value), max(high, value)
            elif isinstance(value, str):
                self._count(key, value)

    def _count(self, key: str, value: str) -> None:
        if key in self._various or (key not in self._words and len(self._words) >= _MOST_KEYS):
            return
        words = self._words.setdefault(key, Counter())
        words[value] += 1
        if len(words) > _MOST_VALUES or len(value) > _LONGEST_VALUE:
            del self._words[key]
            self._various.add(key)

    def again(self, event: Any) -> bool:
        """Return whether an event is one of the last that were written."""
        return same(event) in self._recent

    def told(self, last: int = LAST) -> str:
        """Return what happened so far, for a model.

        Args:
            last: How many of the last events are told as they were.
        """
        if not self.count:
            return ""
        fields = [f"{key} from {low:g} to {high:g}" for key, (low, high) in self._ranges.items()]
        for key, words in self._words.items():
            fields.append(f"{key} " + ", ".join(f"{word} ({count} times)" for word, count in words.most_common()))
        lines: list[str] = []
        for event in reversed(list(self._last)[-last:]):
            line = compact(event)
            if lines and sum(map(len, lines)) + len(line) > _MOST_TEXT:
                break
            lines.insert(0, line if len(line) <= _MOST_TEXT else line[:_MOST_TEXT] + "…")
        what = f"So far {self.count} event{'s were' if self.count != 1 else ' was'} written"
        what += f" ({'; '.join(fields)})" if fields and self.count > len(lines) else ""
        return f"{what}. The last of them:\n" + "\n".join(lines)


def same(event: Any) -> bytes:
    """Return what is equal for equal events, however their keys are ordered."""
    return json.dumps(event, sort_keys=True).encode() if isinstance(event, (dict, list)) else to_bytes(event)
