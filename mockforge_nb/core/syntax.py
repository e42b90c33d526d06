"""The syntax of templates: a text is taken apart, and each part becomes a function or Jinja's source."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterator
from functools import partial
from typing import Any, Final, Literal, NamedTuple

from mockforge_nb.errors import TemplateError, nearest

from .context import Context
from .tokens import DASHED, HELPERS, Maker, MissingError, call_named, plain, spelled, to_text


class Part(NamedTuple):
    """A piece of a template: literal text, ``{{an expression}}`` or ``{% a statement %}``."""

    kind: Literal["text", "expr", "stmt"]
    body: str


_OPEN: Final = re.compile(r"\{[{%#]")
_ENDRAW: Final = re.compile(r"\{%([-+]?)\s*endraw\s*([-+]?)%\}")
_STRING: Final = r""""(?:[^"\\]|\\.)*"|'(?:[^'\\]|\\.)*'"""
_INSIDE: Final = re.compile(rf"{_STRING}|[(\[{{]|[)\]}}]|%\}}", re.DOTALL)
_CLOSE: Final = {"{{": "}}", "{%": "%}", "{#": "#}"}


def split(source: str) -> Iterator[Part]:
    """Yield the parts of a text; comments are gone, ``{% raw %}`` is text, and ``{{-`` has taken its blanks."""
    at, strip = 0, False
    while found := _OPEN.search(source, at):
        text, begin = source[at : found.start()], found.end()
        text = text.lstrip() if strip else text
        text = text.rstrip() if source.startswith("-", begin) else text
        if text:
            yield Part("text", text)
        begin += source.startswith(("-", "+"), begin)
        end = _end(source, begin, found)
        strip = end > begin and source[end - 1] == "-"
        body, at = source[begin : end - strip].strip(), end + 2
        if found.group() == "{{":
            yield Part("expr", body)
        elif found.group() == "{%" and body == "raw":
            close = _ENDRAW.search(source, at)
            if close is None:
                raise TemplateError(source, "{% raw %} has no {% endraw %}")
            text = source[at : close.start()]
            text = text.lstrip() if strip else text
            if text := text.rstrip() if close[1] == "-" else text:
                yield Part("text", text)
            at, strip = close.end(), close[2] == "-"
        elif found.group() == "{%":
            yield Part("stmt", body.removesuffix("+"))
    if text := source[at:].lstrip() if strip else source[at:]:
        yield Part("text", text)


def _end(source: str, begin: int, opened: re.Match[str]) -> int:
    """Return where the block closes: outside of quotes and brackets, as Jinja does."""
    close = _CLOSE[opened.group()]
    if close == "#}" and (end := source.find(close, begin)) >= 0:
        return end
    depth = 0
    for piece in _INSIDE.finditer(source, begin):
        if depth == 0 and source.startswith(close, piece.start()):
            return piece.start()
        depth = max(0, depth + (piece.group() in "([{") - (piece.group() in ")]}"))
    raise TemplateError(
        source,
        f"the {opened.group()} at column {opened.start() + 1} is not closed with {close}; to send the braces themselves"
        f" write {{{{ '{opened.group()}' }}}} or put them between {{% raw %}} and {{% endraw %}}",
    )


_TRANSLATED: Final = re.compile(
    rf"{_STRING}|(?<![\w.])(?:(?P<ws>request\.ws\.(?=[A-Za-z_]))"
    r"|now\s*(?P<sign>[+-])\s*(?P<count>[0-9]{1,15})\s*(?P<unit>ms|s|m|h|d|(?=\W|$))(?![\w.]))",
    re.DOTALL,
)
_UNITS: Final = {"ms": 1, "s": 1000, "m": 60_000, "h": 3_600_000, "d": 86_400_000}
_LITERALS: Final = re.compile(rf"(?:\s+(?:{_STRING}|[0-9][0-9.]*))+\s*", re.DOTALL)


def _translate(source: str, body: str) -> str:
    """Return an expression with ``request.ws.`` gone and ``now+1m`` as a call."""

    def one(found: re.Match[str]) -> str:
        if found["ws"]:
            return ""
        if not found["sign"]:
            return found.group()
        if not found["unit"]:
            raise TemplateError(source, f"{found.group()!r} has no unit: write {{{{now+1m}}}} with ms, s, m, h or d")
        return f"now({int(found['sign'] + found['count']) * _UNITS[found['unit']]})"

    return _TRANSLATED.sub(one, body)


def read_part(
    source: str, part: Part, names: Collection[str], columns: Collection[str] | None
) -> tuple[str, str | Maker | None]:
    """Return a part as Jinja is to read it, and its text or what makes its value if it needs no Jinja."""
    if part.kind == "text":
        return f"{{{{ {_constant(part.body)} }}}}", part.body
    if part.kind == "stmt":
        return f"{{% {_translate(source, part.body)} %}}", None
    code, make = _expression(source, part.body, names)
    if make is not None and code.startswith("row."):
        check_column(source, code.split(".")[1], columns)
    return f"{{{{ {code} }}}}", make


def _expression(source: str, body: str, names: Collection[str]) -> tuple[str, Maker | None]:
    call = spelled(body)
    make: Maker | None
    if call is not None and (helper := HELPERS.get(call.name)):
        if problem := helper.problem(call.args):
            way_out = f"write {helper.usage}, or in a larger expression {call.name}(…)"
            raise TemplateError(source, f"{{{{{body}}}}}: {call.name} {problem}; {way_out}")
        make = partial(_helped, helper.call, call.args)
    elif (
        call is not None and call.name in names and _LITERALS.fullmatch(body.removesuffix(call.filters), len(call.name))
    ):
        make = partial(_called, call.name, call.args)
    else:
        code = _translate(source, body)
        return DASHED.sub(r"\1['\2']", code) if DASHED.fullmatch(code) else code, plain(code, names)
    code = f"{call.name}({', '.join(map(_constant, call.args))}){_translate(source, call.filters)}"
    return code, None if call.filters else make


def _helped(function: Callable[..., Any], args: list[Any], ctx: Context) -> Any:
    return function(ctx, *args)


def _called(name: str, args: list[Any], ctx: Context) -> Any:
    if name not in ctx.names:
        raise MissingError(f"{name!r} is undefined")
    return call_named(name, ctx.names[name], *args)


def _constant(value: Any) -> str:
    """Return `value` as Jinja writes it."""
    if isinstance(value, str):
        return "'" + value.encode("unicode_escape").decode().replace("'", "\\'") + "'"
    return "none" if value is None else to_text(value)


def check_column(source: str, name: str, columns: Collection[str] | None) -> None:
    """Refuse a ``{{row.name}}`` whose column the table does not have."""
    if columns is not None and name not in (known := list(map(str, columns))):
        raise TemplateError(source, f"{{{{row.{name}}}}}: the table has no column {name!r}{nearest(name, known)}")
