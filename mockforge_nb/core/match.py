"""Patterns: which client messages a rule, a wait or an assertion takes.

Authors write patterns and strangers write messages, so everything here that looks at a message is linear in its
size and raises for none: RE2 instead of `re`, also inside of JSONPath's ``match()`` and ``search()``.
"""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cache
from typing import Any, Final, Literal

from mockforge_nb.errors import OptionError

from .message import BINARY, NOT_JSON, TEXT, Message


class _Any:
    """The wildcard of a JSON subset."""

    def __repr__(self) -> str:
        return "ANY"


ANY: Final = _Any()
"""In a JSON subset: any value, as long as there is one. As a pattern: any message."""

_TYPES: Final = (str, int, float, bool, list, dict, type(None))


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


class Pattern:
    """What a message is held against.

    Attributes:
        source: How errors and reprs write it.
    """

    __slots__ = ("_key", "source")

    def __init__(self, source: str, key: object) -> None:
        self.source = source
        self._key = key

    def match(self, message: Message) -> Match | None:
        """Return what was found, or None; it raises for no message.

        Only a predicate's own exception comes through: it is the author's.
        """
        raise NotImplementedError

    def __eq__(self, other: object) -> bool:
        return type(self) is type(other) and isinstance(other, Pattern) and bool(self._key == other._key)

    __hash__ = None  # type: ignore[assignment]  # what it is made of (a dict, a list) may have no hash

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.source}>"


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
    if source is ANY:
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


def jsonpath(text: str, *, where: str = "pattern") -> Pattern:
    """Return the pattern of a JSONPath, with or without a comparison; see `pattern`.

    It reads JSON in binary messages too, for clients that send their encoder's bytes.

    Raises:
        OptionError: It is no JSONPath; the text names the column, from 1.
    """
    path, comparison = _translate(text)
    simple = _SIMPLE.fullmatch(comparison or path)
    if simple:
        return _SimplePath(text, simple)
    return _JsonPath(text, path, comparison, where)


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

    def match(self, message: Message) -> Match | None:
        return Match((_text(message),))


class _Exact(Pattern):
    __slots__ = ("_opcode", "_payload")

    def __init__(self, value: str | bytes) -> None:
        super().__init__(repr(value), value)
        # A lone surrogate has no UTF-8: what it becomes here is in no text message (RFC 6455 §8.1).
        self._payload = value if isinstance(value, bytes) else value.encode(errors="surrogatepass")
        self._opcode = BINARY if isinstance(value, bytes) else TEXT

    def match(self, message: Message) -> Match | None:
        if message.opcode != self._opcode or message.payload != self._payload:
            return None
        return Match((_text(message),))


class _Predicate(Pattern):
    __slots__ = ("_function",)

    def __init__(self, function: Callable[[Message], object]) -> None:
        super().__init__(getattr(function, "__qualname__", type(function).__qualname__), function)
        self._function = function

    def match(self, message: Message) -> Match | None:
        return Match((_text(message),)) if self._function(message) else None


class _Regex(Pattern):
    __slots__ = ("_names", "_regex")

    def __init__(self, source: str, where: str) -> None:
        super().__init__(repr(source), source)
        self._regex = _re2(source, where)
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


def _re2(source: str, where: str) -> Any:
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


def _re2_source(compiled: re.Pattern[Any], where: str) -> str:
    if isinstance(compiled.pattern, bytes):
        raise OptionError(where, compiled, "is over bytes", "use a predicate: lambda message: … message.data")
    flags = compiled.flags & ~(re.UNICODE | re.ASCII)  # RE2's classes are ASCII, its text is Unicode
    kept = {re.IGNORECASE: "i", re.MULTILINE: "m", re.DOTALL: "s"}
    if left := flags & ~(re.IGNORECASE | re.MULTILINE | re.DOTALL):
        raise OptionError(where, compiled, f"has a flag that RE2 has not ({re.RegexFlag(left)!r})", "use i, m, s")
    letters = "".join(letter for flag, letter in kept.items() if flags & flag)
    return f"(?{letters}){compiled.pattern}" if letters else str(compiled.pattern)


# JSONPath. A library path is run over a list that holds the message, with `$` written `$[0]`: so a comparison is
# a filter over one element, `$` means the message inside of nested filters too, and a message that is a plain
# string is not taken for JSON text once more.

_PIECES: Final = re.compile(
    r"""\\"(?P<dq>.*?)\\" | \\'(?P<sq>.*?)\\' | "(?:[^"\\]|\\.)*" | '(?:[^'\\]|\\.)*'"""
    r"""| (?P<open>[\[(]) | (?P<close>[\])]) | (?P<op>==|!=|<=|>=|<>|<|>|&&|\|\||:) | (?P<root>\$) | .""",
    re.DOTALL | re.VERBOSE,
)
_SIMPLE: Final = re.compile(
    r"""\$(?P<keys>(?:\.[A-Za-z_][A-Za-z0-9_]*)+)"""
    r"""(?:\s*==\s*(?P<literal>"[^"\\]*"|'[^'\\]*'|-?(?:0|[1-9][0-9]{0,15})(?:\.[0-9]{1,15})?|true|false|null))?"""
)
_OPS: Final = {":": "==", "<>": "!="}


def _translate(text: str) -> tuple[str, str]:
    """Return the path that `text` begins with, and the whole in RFC 9535's spelling if it is a comparison.

    The original's ``$.type:"ping"``, its quotes escaped or not, is ``$.type == "ping"``.
    """
    out: list[str] = []
    depth, head = 0, -1
    for piece in _PIECES.finditer(text):
        quoted, op = piece.group(), piece["op"]
        if piece["dq"] is not None or piece["sq"] is not None:
            quoted = f'"{piece["dq"]}"' if piece["dq"] is not None else f"'{piece['sq']}'"
        depth += (piece["open"] is not None) - (piece["close"] is not None)
        if op and depth == 0:
            head = len(out) if head < 0 else head
            quoted = f" {_OPS[op]} " if op == ":" else _OPS.get(op, op)
        elif op == "<>":
            quoted = "!="
        out.append(quoted)
    return ("".join(out), "") if head < 0 else ("".join(out[:head]).strip(), "".join(out))


def _rooted(text: str) -> str:
    return _PIECES.sub(lambda piece: "$[0]" if piece["root"] else piece.group(), text)


class _JsonPath(Pattern):
    __slots__ = ("_path", "_test")

    def __init__(self, source: str, path: str, comparison: str, where: str) -> None:
        super().__init__(repr(source), source)
        self._test = self._compile(source, f"$[?{_rooted(comparison)}]", where) if comparison else None
        self._path = self._compile(source, _rooted(path), where)

    def _compile(self, source: str, text: str, where: str) -> Any:
        from jsonpath import JSONPathError

        try:
            return _jsonpath_environment().compile(text)
        except (JSONPathError, RecursionError) as error:
            problem = str(getattr(error, "message", "it is nested too deeply"))
            token = getattr(error, "token", None)
            if token is not None and token.index >= 0:
                before = text[: token.index].replace("$[0]", "$").removeprefix("$[?")
                problem += f" near column {len(before) + 1}"
            valid = "write a text in quotes: $.type == 'ping'" if text.startswith("$[?") else ""
        raise OptionError(where, source, f"is no JSONPath (RFC 9535): {problem}", valid)

    def match(self, message: Message) -> Match | None:
        value = message.parsed()
        if value is NOT_JSON:
            return None
        from jsonpath import JSONPathError

        try:
            if self._test is not None and self._test.match([value]) is None:
                return None
            found = self._path.match([value])
        except (JSONPathError, RecursionError):  # the message is nested too deeply to look through
            return None
        if found is None:
            return Match((_text(message),)) if self._test is not None else None
        return Match((_text(message),), value=found.obj)


class _SimplePath(Pattern):
    """``$.a.b`` and ``$.a.b == literal``, which nearly all paths are, in a twentieth of the library's time."""

    __slots__ = ("_keys", "_want")

    def __init__(self, source: str, simple: re.Match[str]) -> None:
        super().__init__(repr(source), source)
        import json

        literal = simple["literal"]
        self._keys = simple["keys"][1:].split(".")
        self._want: Any = ANY
        if literal:
            self._want = literal[1:-1] if literal[0] in "'\"" else json.loads(literal)

    def match(self, message: Message) -> Match | None:
        value = message.parsed()
        for key in self._keys:
            if type(value) is not dict or key not in value:
                return None
            value = value[key]
        if self._want is not ANY and not _fits(self._want, value, whole=True):
            return None
        return Match((_text(message),), value=value)


@cache
def _jsonpath_environment() -> Any:
    from jsonpath import JSONPathEnvironment
    from jsonpath.function_extensions import ExpressionType, FilterFunction

    class Regex(FilterFunction):
        """RFC 9535 §2.4.6 and §2.4.7 by RE2: the library's own may take exponential time over a stranger's message."""

        arg_types = [ExpressionType.VALUE, ExpressionType.VALUE]  # noqa: RUF012  # the library's own form
        return_type = ExpressionType.LOGICAL

        def __init__(self, how: Literal["search", "fullmatch"]) -> None:
            self.how = how

        def __call__(self, value: object, regex: object) -> bool:
            if not isinstance(value, str) or not isinstance(regex, str):
                return False
            try:
                compiled = _re2(regex, "")
            except OptionError:
                return False  # as the RFC has it: a bad pattern is no match
            return getattr(compiled, self.how)(value.encode(errors="surrogatepass")) is not None

    # Filter caching is for long documents; over one message it costs twice what it saves.
    environment = JSONPathEnvironment(strict=True, filter_caching=False)
    environment.function_extensions["match"] = Regex("fullmatch")
    environment.function_extensions["search"] = Regex("search")
    return environment


class _Json(Pattern):
    __slots__ = ("_want", "_whole")

    def __init__(self, want: object, *, whole: bool) -> None:
        super().__init__(repr(want), (want, whole))
        self._want, self._whole = want, whole

    def match(self, message: Message) -> Match | None:
        value = message.parsed()
        try:
            if value is NOT_JSON or not _fits(self._want, value, whole=self._whole):
                return None
        except RecursionError:  # both sides are nested too deeply
            return None
        return Match((_text(message),), value=value)


def _fits(want: Any, got: Any, *, whole: bool) -> bool:
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
            and all(key in got and _fits(value, got[key], whole=whole) for key, value in want.items())
        )
    if isinstance(want, list | tuple):
        return (
            isinstance(got, list)
            and len(want) == len(got)
            and all(_fits(one, other, whole=whole) for one, other in zip(want, got, strict=True))
        )
    return isinstance(want, bool) is isinstance(got, bool) and bool(want == got)


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


def _with_re2(value: Any, where: str) -> Any:
    if isinstance(value, dict):
        return {key: _with_re2(one, where) for key, one in value.items()}
    if isinstance(value, list | tuple):
        return [_with_re2(one, where) for one in value]
    return pattern(value, where=where) if isinstance(value, re.Pattern) else value


def _text(message: Message) -> str | None:
    return message.payload.decode(errors="replace") if message.opcode == TEXT else None
