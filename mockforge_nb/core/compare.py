"""What differs between a message that was recorded and one that came."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, Literal, TypeAlias, get_args

from mockforge_nb.errors import OptionError

from .message import NOT_JSON, TEXT, Message, to_json
from .recording import REDACTED

How: TypeAlias = Literal["equal", "json", "types"]
HOW: Final = get_args(How)

Parts: TypeAlias = tuple[str | int, ...]
"""The keys and indexes that lead to a value of a JSON message."""


class _Nothing:
    def __repr__(self) -> str:
        return "nothing"


NOTHING: Final = _Nothing()
"""Stands for a value that is not there."""


@dataclass(frozen=True, slots=True)
class Difference:
    """One value that is not what was recorded.

    Attributes:
        path: Where it is, as a JSONPath; empty: the whole of a message that is no JSON.
        recorded: What was recorded; `NOTHING`: there was none.
        got: What came; `NOTHING`: it is not there.
    """

    path: str
    recorded: Any
    got: Any

    def __str__(self) -> str:
        where = f"{self.path}: " if self.path else ""
        return f"{where}recorded {_shown(self.recorded)}, got {_shown(self.got)}"


@dataclass(frozen=True, slots=True)
class Comparison:
    """How messages are compared; a value that a recording hid (``***``) is as any other.

    Attributes:
        how: ``equal``: JSON messages by their values, all others by their payload. ``json``: JSON messages may have
            more than was recorded. ``types``: values must be of the same JSON type, lists may have any length.
        ignore: The JSONPaths (compiled) of what does not count.
    """

    how: How = "equal"
    ignore: tuple[Any, ...] = ()

    def differences(self, recorded: Message, got: Message) -> list[Difference]:
        """Return what differs; nothing: they are the same."""
        if recorded.opcode == got.opcode and recorded.payload == got.payload:
            return []
        want, value = recorded.parsed(), got.parsed()
        if want is NOT_JSON or value is NOT_JSON or recorded.opcode != got.opcode:
            hidden = recorded.opcode == got.opcode == TEXT and recorded.payload == REDACTED.encode()
            return [] if hidden else [Difference("", recorded.plain, got.plain)]
        try:
            skip = {parts for one in (want, value) for parts in found(self.ignore, one)}
            return [*self._walk(want, value, (), skip)]
        except RecursionError:
            return [Difference("", recorded.plain, got.plain)]

    def _walk(self, want: Any, got: Any, parts: Parts, skip: set[Parts]) -> Iterator[Difference]:
        if parts in skip or want == REDACTED:
            return
        if isinstance(want, dict) and isinstance(got, dict):
            for key, one in want.items():
                yield from self._walk(one, got.get(key, NOTHING), (*parts, key), skip)
            if self.how == "equal":
                for key in got.keys() - want.keys():
                    yield from self._walk(NOTHING, got[key], (*parts, key), skip)
        elif isinstance(want, list) and isinstance(got, list):
            if self.how == "types":
                wanted = [*want, *want[-1:] * max(0, len(got) - len(want))]
                pairs = [*zip(wanted, got, strict=False)]
            else:
                longest = max(len(want), len(got))
                pairs = [(_at(want, index), _at(got, index)) for index in range(longest)]
            for index, (one, other) in enumerate(pairs):
                yield from self._walk(one, other, (*parts, index), skip)
        elif not self._same(want, got):
            yield Difference(written(parts), want, got)

    def _same(self, want: Any, got: Any) -> bool:
        if want is NOTHING or got is NOTHING:
            return False
        if self.how == "types":
            return kind(want) == kind(got)
        # True is 1 to Python, and not in JSON; 1 is 1.0 in both.
        return isinstance(want, bool) is isinstance(got, bool) and bool(want == got)


def kind(value: Any) -> str:
    """Return the JSON type of a value."""
    names = {bool: "boolean", int: "number", float: "number", str: "string", list: "array", dict: "object"}
    return names.get(type(value), "null")


def paths(given: object, where: str) -> tuple[Any, ...]:
    """Return compiled JSONPaths (RFC 9535).

    Raises:
        OptionError: `given` is no list of them.
    """
    from jsonpath import compile as compile_path
    from jsonpath.exceptions import JSONPathError

    if isinstance(given, (str, Mapping)) or not isinstance(given, Iterable):
        raise OptionError(where, given, "is no list of JSONPaths", "such as ['$.id', '$..password']")
    made = []
    for each in given:
        if not isinstance(each, str):
            raise OptionError(where, each, "is no JSONPath", "valid: a text such as '$.id'")
        try:
            made.append(compile_path(each))
        except (JSONPathError, TypeError, AttributeError) as error:
            raise OptionError(where, each, f"is no JSONPath: {str(error).splitlines()[0]}") from None
    return tuple(made)


def found(compiled: Iterable[Any], value: Any) -> Iterator[Parts]:
    """Return where compiled JSONPaths find something in a JSON value.

    Raises:
        RecursionError: The value is nested too deeply.
    """
    from jsonpath.exceptions import JSONPathRecursionError

    if isinstance(value, str):
        value = None  # the library would read a text as JSON; both have a root and nothing in it
    try:
        for path in compiled:
            for node in path.finditer(value):
                yield tuple(node.parts)
    except JSONPathRecursionError as error:
        raise RecursionError(str(error).splitlines()[0]) from error


def at(value: Any, parts: Sequence[str | int]) -> Any:
    """Return what is at a place of a JSON value; `NOTHING`: nothing is."""
    for part in parts:
        if isinstance(value, dict):
            value = value.get(part, NOTHING)
        elif isinstance(value, list) and isinstance(part, int):
            value = _at(value, part)
        else:
            return NOTHING
    return value


def replaced(value: Any, parts: Sequence[str | int], new: Any) -> Any:
    """Return a JSON value with another at a place that it has; what it was made of stays as it is."""
    if not parts:
        return new
    first, *rest = parts
    copy = value.copy()
    copy[first] = replaced(value[first], rest, new)
    return copy


def masked(recorded: Message, got: Message) -> Message:
    """Return a message with that hidden which a recording hid, for who shows it."""
    want, value = recorded.parsed(), got.parsed()
    if want is NOT_JSON or value is NOT_JSON:
        return recorded if recorded.payload == REDACTED.encode() else got
    made = value
    for parts in hidden(want):
        if at(made, parts) is not NOTHING:
            made = replaced(made, parts, REDACTED)
    return got if made is value else Message(to_json(made).encode(), got.opcode)


def hidden(value: Any, parts: Parts = ()) -> Iterator[Parts]:
    """Return where the hidden parts of a JSON value are."""
    inner: Iterator[tuple[str | int, Any]] = iter(())
    if value == REDACTED:
        yield parts
    elif isinstance(value, dict):
        inner = iter(value.items())
    elif isinstance(value, list):
        inner = iter(enumerate(value))
    for key, one in inner:
        yield from hidden(one, (*parts, key))


def written(parts: Sequence[str | int]) -> str:
    """Return the JSONPath of a place."""
    return "$" + "".join(
        f"[{part}]" if isinstance(part, int) else f".{part}" if part.isidentifier() else f"[{part!r}]" for part in parts
    )


def _at(values: list[Any], index: int) -> Any:
    return values[index] if index < len(values) else NOTHING


def _shown(value: Any, most: int = 80) -> str:
    try:
        text = repr(value) if isinstance(value, (bytes, _Nothing)) else json.dumps(value, ensure_ascii=False)
    except (TypeError, ValueError, RecursionError):
        text = repr(value)
    return text if len(text) <= most else text[: most - 1] + "…"
