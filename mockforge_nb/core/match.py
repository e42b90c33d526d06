"""Patterns: which client messages a rule, a wait or an assertion takes.

Authors write patterns and strangers write messages, so everything here that looks at a message is linear in its
size and raises for none: RE2 instead of `re`, also inside of JSONPath's ``match()`` and ``search()``.
"""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable
from typing import Any, Final

from mockforge_nb.errors import OptionError

from .jsonpath import jsonpath
from .message import BINARY, NOT_JSON, TEXT, Message
from .pattern import ANY, Match, Pattern, compile_re2, fits, text_of

__all__ = ["ANY", "Match", "Pattern", "any_message", "exact", "jsonpath", "pattern", "subset"]

_TYPES: Final = (str, int, float, bool, list, dict, type(None))


def pattern(source: object, *, where: str = "pattern") -> Pattern:
    r"""Return the pattern that `source` means.

    Args:
        source: A text that begins with ``$.`` or ``$[`` is a JSONPath (RFC 9535): it matches where it finds at
            least one value, or where the comparison that it ends in holds (``$.type == 'ping'``, ``$.n >= 3 &&
            !$.off``, ``$.type:"ping"``; as in the RFC, ``!=`` holds also where there is no value). Any other text
            is a regular expression of RE2, searched for in text messages: ``$`` is the end of the text only, ``\d``
            and ``\w`` are ASCII. A compiled ``re.Pattern`` is translated to it, bytes match the binary message
            that equals them, and a callable is a predicate over the `Message`.
        where: What an error calls the argument.

    Raises:
        OptionError: It is none of these, or RE2 or JSONPath refuses it.
    """
    if isinstance(source, Pattern):
        return source
    if isinstance(source, str):
        return jsonpath(source, where=where) if source.startswith(("$.", "$[")) else _Regex(source, where)
    if isinstance(source, re.Pattern):
        return _Regex(_re2_source(source, where), where)
    if isinstance(source, bytes | bytearray):
        return _Exact(bytes(source))
    if source is ANY or source is any:  # the built-in, which takes no message, reads as the wildcard that it is not
        return any_message()
    if callable(source) and not isinstance(source, type) and not inspect.iscoroutinefunction(source):
        return _Predicate(source)
    raise OptionError(
        where,
        source,
        "is no pattern",
        "use a regular expression, a JSONPath ('$.type'), bytes, re.compile(…), ANY or a predicate over the"
        " message (a plain function, not a coroutine); json={…} takes a JSON subset",
    )


def exact(value: object, *, where: str = "exact") -> Pattern:
    """Return the pattern of one value: a text, bytes (a binary message), or JSON that is equal as a whole.

    Raises:
        OptionError: It is no value of JSON.
    """
    if isinstance(value, str | bytes):
        return _Exact(value)
    _check(value, value, where, wild=False)
    return _Json(value, whole=True)


def subset(value: object, *, where: str = "json") -> Pattern:
    """Return the pattern of all JSON messages that have at least what `value` has.

    Dicts may have more keys, lists are compared element by element. ``1`` is ``1.0`` and neither is ``True``.
    `ANY` stands for any value, a type (``str int float bool list dict``) for any value of it (``float`` for any
    number, as JSON's writers leave out a ``.0``), ``re.compile(…)`` for any string in which it is found.

    Raises:
        OptionError: Something in it is neither JSON nor one of these.
    """
    _check(value, value, where, wild=True)
    return _Json(_with_re2(value, where), whole=False)


def any_message() -> Pattern:
    """Return the pattern of every message, text and binary."""
    return _Everything("ANY", None)


class _Everything(Pattern):
    __slots__ = ()

    def keys(self) -> dict[str, Any] | None:
        return {"match": "any"}

    def match(self, message: Message) -> Match | None:
        return Match((text_of(message),))


class _Exact(Pattern):
    __slots__ = ("_opcode", "_payload")

    def __init__(self, value: str | bytes) -> None:
        super().__init__(repr(value), value)
        # A lone surrogate has no UTF-8: what it becomes here is in no text message (RFC 6455 §8.1).
        self._payload = value if isinstance(value, bytes) else value.encode(errors="surrogatepass")
        self._opcode = BINARY if isinstance(value, bytes) else TEXT

    def keys(self) -> dict[str, Any] | None:
        text = self._payload.decode(errors="replace")
        return {"binary": self._payload} if self._opcode == BINARY else {"text": text, "match": "exact"}

    def match(self, message: Message) -> Match | None:
        if message.opcode != self._opcode or message.payload != self._payload:
            return None
        return Match((text_of(message),))


class _Predicate(Pattern):
    __slots__ = ("_function",)

    def __init__(self, function: Callable[[Message], object]) -> None:
        super().__init__(getattr(function, "__qualname__", type(function).__qualname__), function)
        self._function = function

    def match(self, message: Message) -> Match | None:
        return Match((text_of(message),)) if self._function(message) else None


class _Regex(Pattern):
    __slots__ = ("_names", "_regex")

    in_files = True

    def __init__(self, source: str, where: str) -> None:
        super().__init__(repr(source), source)
        self._regex = compile_re2(source, where)
        names = self._regex.groupindex
        self._names: dict[str, int] = {name.decode(): index for name, index in names.items()}

    def match(self, message: Message) -> Match | None:
        if message.opcode != TEXT:
            return None
        found = self._regex.search(message.payload)
        if found is None:
            return None
        groups = tuple(
            None if group is None else group.decode(errors="replace") for group in (found.group(0), *found.groups())
        )
        return Match(groups, {name: groups[index] for name, index in self._names.items()})


def _re2_source(compiled: re.Pattern[Any], where: str) -> str:
    if isinstance(compiled.pattern, bytes):
        raise OptionError(where, compiled, "is over bytes", "use a predicate: lambda message: … message.data")
    flags = compiled.flags & ~(re.UNICODE | re.ASCII)  # RE2's classes are ASCII, its text is Unicode
    kept = {re.IGNORECASE: "i", re.MULTILINE: "m", re.DOTALL: "s"}
    if left := flags & ~(re.IGNORECASE | re.MULTILINE | re.DOTALL):
        raise OptionError(where, compiled, f"has a flag that RE2 has not ({re.RegexFlag(left)!r})", "use i, m, s")
    letters = "".join(letter for flag, letter in kept.items() if flags & flag)
    return f"(?{letters}){compiled.pattern}" if letters else str(compiled.pattern)


class _Json(Pattern):
    __slots__ = ("_want", "_whole")

    def __init__(self, want: object, *, whole: bool) -> None:
        super().__init__(repr(want), (want, whole))
        self._want, self._whole = want, whole

    def keys(self) -> dict[str, Any] | None:
        return None if self._whole or _wild(self._want) else {"json": self._want}

    def match(self, message: Message) -> Match | None:
        value = message.parsed()
        try:
            if value is NOT_JSON or not fits(self._want, value, whole=self._whole):
                return None
        except RecursionError:  # both sides are nested too deeply
            return None
        return Match((text_of(message),), value=value)


def _check(value: object, root: object, where: str, *, wild: bool) -> None:
    if value is None or isinstance(value, str | int | float):
        return
    if isinstance(value, dict) and all(isinstance(key, str) for key in value):
        for one in value.values():
            _check(one, root, where, wild=wild)
    elif isinstance(value, list | tuple):
        for one in value:
            _check(one, root, where, wild=wild)
    elif not wild or not (value is ANY or value in _TYPES or isinstance(value, re.Pattern)):
        valid = "use dicts with text keys, lists, texts, numbers, True, False and None"
        if wild:
            valid += "; ANY, re.compile(…) and the types str, int, float, bool, list, dict stand for many values"
        raise OptionError(where, root, f"holds {value!r}, which no JSON message has", valid)


def _wild(value: object) -> bool:
    """Return whether a subset holds what JSON cannot write."""
    if isinstance(value, dict):
        return any(map(_wild, value.values()))
    return any(map(_wild, value)) if isinstance(value, list | tuple) else not _is_json(value)


def _is_json(value: object) -> bool:
    return value is None or (isinstance(value, str | int | float) and value == value)


def _with_re2(value: Any, where: str) -> Any:
    if isinstance(value, dict):
        return {key: _with_re2(one, where) for key, one in value.items()}
    if isinstance(value, list | tuple):
        return [_with_re2(one, where) for one in value]
    return pattern(value, where=where) if isinstance(value, re.Pattern) else value
