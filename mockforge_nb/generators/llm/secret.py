"""Keys that are never shown."""

from __future__ import annotations

import os
from collections.abc import Iterable
from typing import Final

from mockforge_nb.core.recording import REDACTED

_ENDINGS: Final = ("_API_KEY", "_TOKEN", "_SECRET")
_LEAST, _LEAST_FOUND = 4, 12
"""How long a key is at least that is given, and one that is found: hiding shorter texts would tear words apart."""

UNMISTAKABLE: Final = 16
"""How long a key is that no event says by chance."""


class Secret:
    """A key; its text is had by `reveal` alone."""

    __slots__ = ("_text",)

    def __init__(self, text: str) -> None:
        self._text = text

    def reveal(self) -> str:
        """Return the key, for those that it is meant for."""
        return self._text

    def __repr__(self) -> str:
        return f"Secret({REDACTED!r})"

    __str__ = __repr__

    def __reduce__(self) -> str:
        raise TypeError("a key is not pickled")


class Hider:
    """Hides keys in texts: those given, and what the environment holds under the names of keys.

    A server may say a key again in its error, or a proxy in front of it.

    Args:
        keys: Keys beside those of the environment.
    """

    __slots__ = ("_keys",)

    def __init__(self, keys: Iterable[Secret] = ()) -> None:
        found = {key for key in (each.reveal() for each in keys) if len(key) >= _LEAST}
        for name, value in os.environ.items():
            if name.upper().endswith(_ENDINGS) and len(value) >= _LEAST_FOUND:
                found.add(value)
        self._keys = tuple(map(Secret, sorted(found, key=len, reverse=True)))  # the longest first: one may hold another

    def __call__(self, text: str, least: int = 0) -> str:
        """Return a text without the keys that are at least so long."""
        for key in self._keys:
            if len(key.reveal()) >= least:
                text = text.replace(key.reveal(), REDACTED)
        return text
