"""Patterns of JSONPath (RFC 9535), with or without a comparison.

A library path is run over a list that holds the message, with ``$`` written ``$[0]``: so a comparison is a filter over
one element, ``$`` means the message inside of nested filters too, and a message that is a plain string is not taken
for JSON text once more.
"""

from __future__ import annotations

import json
import re
from functools import cache
from typing import Any, Final, Literal

from mockforge_nb.errors import OptionError

from .message import NOT_JSON, Message
from .pattern import ANY, Match, Pattern, compile_re2, fits, text_of

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


def jsonpath(text: str, *, where: str = "pattern") -> Pattern:
    """Return the pattern of a JSONPath, with or without a comparison; see `match.pattern`.

    It reads JSON in binary messages too, for clients that send their encoder's bytes.

    Raises:
        OptionError: It is no JSONPath; the text names the column, from 1.
    """
    path, comparison = _translate(text)
    simple = _SIMPLE.fullmatch(comparison or path)
    if simple:
        return _SimplePath(text, simple)
    return _JsonPath(text, path, comparison, where)


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

    in_files = True

    def __init__(self, source: str, path: str, comparison: str, where: str) -> None:
        super().__init__(repr(source), source)
        self._test = self._compile(source, f"$[?{_rooted(comparison)}]", where) if comparison else None
        self._path = self._compile(source, _rooted(path), where)

    def _compile(self, source: str, text: str, where: str) -> Any:
        from jsonpath import JSONPathError

        try:
            return _environment().compile(text)
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
            return Match((text_of(message),)) if self._test is not None else None
        return Match((text_of(message),), value=found.obj)


class _SimplePath(Pattern):
    """``$.a.b`` and ``$.a.b == literal``, which nearly all paths are, in a twentieth of the library's time."""

    __slots__ = ("_keys", "_want")

    in_files = True

    def __init__(self, source: str, simple: re.Match[str]) -> None:
        super().__init__(repr(source), source)
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
        if self._want is not ANY and not fits(self._want, value, whole=True):
            return None
        return Match((text_of(message),), value=value)


@cache
def _environment() -> Any:
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
                compiled = compile_re2(regex, "")
            except OptionError:
                return False  # as the RFC has it: a bad pattern is no match
            return getattr(compiled, self.how)(value.encode(errors="surrogatepass")) is not None

    # Filter caching is for long documents; over one message it costs twice what it saves.
    environment = JSONPathEnvironment(strict=True, filter_caching=False)
    environment.function_extensions["match"] = Regex("fullmatch")
    environment.function_extensions["search"] = Regex("search")
    return environment
