"""What a pattern is, what it finds, and what the kinds of patterns share; `match` and `jsonpath` have the kinds."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from mockforge_nb.errors import OptionError

from .message import TEXT, Message


class _Any:
    """The wildcard of a JSON subset."""

    def __repr__(self) -> str:
        return "ANY"

    def __reduce__(self) -> str:
        return "ANY"  # there is one, also in a copy or another process


ANY: Final = _Any()
"""In a JSON subset: any value, as long as there is one. As a pattern: any message."""


@dataclass(frozen=True, slots=True)
class Match:
    """What a pattern found in a message: ``match[1]``, ``match["name"]``.

    Attributes:
        groups: The whole that matched at 0, then the regular expression's groups; None: took no part.
        names: Its named groups.
        value: What a JSON pattern found: a JSONPath's first value, a subset's whole message.
    """

    groups: tuple[str | None, ...] = ()
    names: Mapping[str, str | None] = field(default_factory=dict)
    value: Any = None

    def __getitem__(self, key: int | str) -> Any:
        if isinstance(key, int):
            return self.groups[key]
        return self.value if key == "value" and key not in self.names else self.names[key]

    def get(self, key: int | str, default: Any = None) -> Any:
        """Return the group of that number or name, or `default`."""
        try:
            return self[key]
        except LookupError:
            return default


class Pattern(ABC):
    """What a message is held against.

    Attributes:
        source: How errors and reprs write it.
    """

    __slots__ = ("_key", "source")

    in_files = False

    def __init__(self, source: str, key: object) -> None:
        self.source = source
        self._key = key

    @abstractmethod
    def match(self, message: Message) -> Match | None:
        """Return what was found, or None; it raises for no message.

        Only a predicate's own exception comes through: it is the author's.
        """

    @property
    def written(self) -> str | None:
        """How a file writes it; None: it is Python code, or not a pattern by itself."""
        return str(self._key) if self.in_files else None

    def keys(self) -> dict[str, Any] | None:
        """Return the keys of a line that takes the same messages; None: it is Python code."""
        return {"text": self.written} if self.in_files else None

    def __eq__(self, other: object) -> bool:
        return type(self) is type(other) and isinstance(other, Pattern) and bool(self._key == other._key)

    __hash__ = None  # type: ignore[assignment]  # what it is made of (a dict, a list) may have no hash

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.source}>"


def text_of(message: Message) -> str | None:
    """Return what matched where a message matched as a whole: a text message's text."""
    return message.payload.decode(errors="replace") if message.opcode == TEXT else None


def fits(want: Any, got: Any, *, whole: bool) -> bool:
    """Return whether a JSON value has what is wanted of it: all and no more (`whole`), or at least that."""
    if want is ANY:
        return True
    if isinstance(want, type):
        if isinstance(got, bool):
            return want is bool
        return isinstance(got, int | float) if want is float else isinstance(got, want)
    if isinstance(want, Pattern):
        return isinstance(got, str) and want.match(Message(got.encode(errors="surrogatepass"))) is not None
    if isinstance(want, dict):
        return (
            isinstance(got, dict)
            and (not whole or len(want) == len(got))
            and all(key in got and fits(value, got[key], whole=whole) for key, value in want.items())
        )
    if isinstance(want, list | tuple):
        return (
            isinstance(got, list)
            and len(want) == len(got)
            and all(fits(one, other, whole=whole) for one, other in zip(want, got, strict=True))
        )
    return isinstance(want, bool) is isinstance(got, bool) and bool(want == got)


def compile_re2(source: str, where: str) -> Any:
    """Compile over bytes: a search over str spends most of its time on turning offsets into characters."""
    import re2

    options = re2.Options()
    options.log_errors = False
    try:
        return re2.compile(source.encode(), options)
    except UnicodeEncodeError:
        raise OptionError(where, source, "has a lone surrogate, which no message has") from None
    except re2.error as error:
        reason = error.args[0].decode(errors="replace") if error.args else "no reason given"
        way_out = (
            "RE2 has no look-around, no back-references and no possessive quantifiers, so that no message can"
            r" hang the server; write \z for \Z, and where the pattern needs more use a predicate: lambda message: …"
        )
        raise OptionError(where, source, f"is refused by RE2: {reason}", way_out) from None
