"""Templates: parsed once, rendered for each message.

A template of plain tokens (``{{uuid}}``, ``{{randInt 1 6}}``, ``{{message.id}}``) becomes a list of functions; one
with an expression, a filter or a statement becomes Jinja's, in its sandbox. Jinja never sees the author's text but
what is put together here: literals as constants, and the original's spelling as calls of the same functions. So
both ways give the same, and Jinja is loaded only where it is needed.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterator
from functools import cache, partial
from typing import Any, Final, Literal, NamedTuple

from mockforge_nb.errors import TemplateError, nearest

from .program import to_json
from .tokens import (
    BARE,
    DASHED,
    HELPERS,
    KNOWN,
    ROOTS,
    CallError,
    Context,
    Maker,
    MissingError,
    State,
    call_named,
    jsonable,
    member,
    plain,
    spelled,
    stream,
    to_text,
)

__all__ = ["KNOWN", "Context", "JsonTemplate", "TextTemplate", "stream"]


class _Part(NamedTuple):
    """A piece of a template: literal text, ``{{an expression}}`` or ``{% a statement %}``."""

    kind: Literal["text", "expr", "stmt"]
    body: str


class TextTemplate:
    """A text with tokens.

    Attributes:
        source: The text.
        literal: Whether it has no tokens and renders to itself.
        variables: The names that it reads and that neither templates nor the user's `names` have.
        numbered: Whether it has a ``{{seq}}``.
    """

    __slots__ = ("_make", "literal", "numbered", "source", "variables")

    def __init__(self, source: str, make: Maker, variables: frozenset[str], *, literal: bool, numbered: bool) -> None:
        self.source, self.variables, self.literal, self.numbered = source, variables, literal, numbered
        self._make = make

    @classmethod
    def parse(
        cls,
        source: str,
        *,
        names: Collection[str] = (),
        columns: Collection[str] | None = None,
        _force_jinja: bool = False,
    ) -> TextTemplate:
        """Parse a template.

        Args:
            source: The text.
            names: The user's functions and values, which ``.templates()`` gives.
            columns: The columns that ``{{row.name}}`` may read; None: any.

        Raises:
            TemplateError: It cannot be parsed; the text names the token and the nearest right one.
        """
        parts = list(_split(source))
        if not source or parts == [_Part("text", source)]:
            return cls(source, lambda _: source, frozenset(), literal=True, numbered=False)
        pieces = [_piece(source, part, names, columns) for part in parts]
        makers = [make for _, make in pieces if make is not None]
        if len(makers) == len(parts) and not _force_jinja:
            made = makers[0] if len(makers) == 1 and callable(makers[0]) else partial(_join, tuple(makers))
            return cls(source, made, frozenset(), literal=False, numbered=BARE["seq"] in makers)
        make, reads = _jinja(source, parts, "".join(code for code, _ in pieces), names, columns)
        unknown = reads - KNOWN - frozenset(names)
        return cls(source, make, unknown, literal=False, numbered="seq" in reads)

    @classmethod
    def condition(cls, source: str, *, names: Collection[str] = ()) -> TextTemplate:
        """Parse an expression, with or without its braces, whose `value` is True or False.

        A name of the state that was never set is false in it.

        Raises:
            TemplateError: As `parse`.
        """
        text = source.strip()
        inner = text[2:-2] if text.startswith("{{") and text.endswith("}}") else text
        text = "{{ true if (" + inner + ") else false }}"
        try:
            if not inner.strip() or len(list(_split(text))) != 1:
                raise TemplateError(source, "is not one expression")
            made = cls.parse(text, names=names)
        except TemplateError as error:
            raise TemplateError(source, error.problem) from None
        made.source = source
        return made

    def render(self, ctx: Context) -> str:
        """Return the text.

        Raises:
            TemplateError: A name that it reads is not there, or a function of the user raised.
        """
        return str(_counted(self.numbered, ctx, lambda: self.evaluate(ctx, to_text)))

    def value(self, ctx: Context) -> Any:
        """Return the value of a template that is one expression, with its type; of any other, its text.

        Raises:
            TemplateError: As `render`.
        """
        return _counted(self.numbered, ctx, lambda: self.evaluate(ctx))

    def evaluate(self, ctx: Context, finish: Callable[[Any], Any] | None = None) -> Any:
        """Return the value, finished, without counting the message; for templates made of templates."""
        try:
            value = self._make(ctx)
            return value if finish is None else finish(value)
        except TemplateError:
            raise
        except Exception as error:
            told = isinstance(error, MissingError | CallError) or type(error).__module__.startswith("jinja2")
            raise TemplateError(self.source, str(error) if told else f"{type(error).__name__}: {error}") from error

    def __eq__(self, other: object) -> bool:
        return self.source == other.source if isinstance(other, TextTemplate) else NotImplemented

    def __hash__(self) -> int:
        return hash(self.source)

    def __repr__(self) -> str:
        return f"<TextTemplate {self.source!r}>"


class JsonTemplate:
    """A JSON value whose texts, its keys among them, are templates; a text that is one expression keeps its type.

    Attributes:
        source: The value.
        literal: Whether nothing in it has tokens.
        variables: As in `TextTemplate`.
    """

    __slots__ = ("_make", "_numbered", "literal", "source", "variables")

    def __init__(self, source: Any, make: Maker, leaves: list[TextTemplate]) -> None:
        self.source, self._make = source, make
        self._numbered = any(leaf.numbered for leaf in leaves)
        self.literal = not leaves
        self.variables: frozenset[str] = frozenset().union(*(leaf.variables for leaf in leaves))

    @classmethod
    def parse(cls, value: Any, *, names: Collection[str] = (), columns: Collection[str] | None = None) -> JsonTemplate:
        """Parse the templates in a JSON value; arguments and errors as in `TextTemplate.parse`."""
        leaves: list[TextTemplate] = []
        try:
            make = _json(value, lambda text: TextTemplate.parse(text, names=names, columns=columns), leaves)
        except RecursionError:
            raise TemplateError("{…}", "the value is nested too deeply") from None
        return cls(value, make, leaves)

    def render(self, ctx: Context) -> Any:
        """Return the JSON value.

        Raises:
            TemplateError: As `TextTemplate.render`; it names the text in the value that it came from.
        """
        return _counted(self._numbered, ctx, lambda: self._make(ctx))

    def __eq__(self, other: object) -> bool:
        return bool(self.source == other.source) if isinstance(other, JsonTemplate) else NotImplemented

    __hash__ = None  # type: ignore[assignment]  # a JSON value has none

    def __repr__(self) -> str:
        return f"<JsonTemplate {self.source!r}>"


def _counted(numbered: bool, ctx: Context, make: Callable[[], Any]) -> Any:
    """Make a message; if it has a ``{{seq}}`` it is the next, unless it comes to nothing."""
    ctx.seq += numbered
    try:
        return make()
    except TemplateError:
        ctx.seq -= numbered
        raise


def _join(makers: tuple[str | Maker, ...], ctx: Context) -> str:
    return "".join([part if isinstance(part, str) else to_text(part(ctx)) for part in makers])


def _json(value: Any, parse: Callable[[str], TextTemplate], leaves: list[TextTemplate]) -> Maker:
    """Return what makes the value, and add the templates in it to `leaves`."""
    before = len(leaves)
    if isinstance(value, str):
        leaf = parse(value)
        if not leaf.literal:
            leaves.append(leaf)
            return lambda ctx: leaf.evaluate(ctx, jsonable)
    elif isinstance(value, dict):
        pairs = [(_json(key, parse, leaves), _json(one, parse, leaves)) for key, one in value.items()]
        if len(leaves) > before:
            return lambda ctx: {to_text(key(ctx)): one(ctx) for key, one in pairs}
    elif isinstance(value, list | tuple):
        makers = [_json(one, parse, leaves) for one in value]
        if len(leaves) > before:
            return lambda ctx: [make(ctx) for make in makers]
    return lambda _: value


# Taking a text apart

_OPEN: Final = re.compile(r"\{[{%#]")
_ENDRAW: Final = re.compile(r"\{%([-+]?)\s*endraw\s*([-+]?)%\}")
_STRING: Final = r""""(?:[^"\\]|\\.)*"|'(?:[^'\\]|\\.)*'"""
_INSIDE: Final = re.compile(rf"{_STRING}|[(\[{{]|[)\]}}]|%\}}", re.DOTALL)
_CLOSE: Final = {"{{": "}}", "{%": "%}", "{#": "#}"}


def _split(source: str) -> Iterator[_Part]:
    """Yield the parts of a text; comments are gone, ``{% raw %}`` is text, and ``{{-`` has taken its blanks."""
    at, strip = 0, False
    while found := _OPEN.search(source, at):
        text, begin = source[at : found.start()], found.end()
        text = text.lstrip() if strip else text
        text = text.rstrip() if source.startswith("-", begin) else text
        if text:
            yield _Part("text", text)
        begin += source.startswith(("-", "+"), begin)
        end = _end(source, begin, found)
        strip = end > begin and source[end - 1] == "-"
        body, at = source[begin : end - strip].strip(), end + 2
        if found.group() == "{{":
            yield _Part("expr", body)
        elif found.group() == "{%" and body == "raw":
            close = _ENDRAW.search(source, at)
            if close is None:
                raise TemplateError(source, "{% raw %} has no {% endraw %}")
            text = source[at : close.start()]
            text = text.lstrip() if strip else text
            if text := text.rstrip() if close[1] == "-" else text:
                yield _Part("text", text)
            at, strip = close.end(), close[2] == "-"
        elif found.group() == "{%":
            yield _Part("stmt", body.removesuffix("+"))
    if text := source[at:].lstrip() if strip else source[at:]:
        yield _Part("text", text)


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


def _piece(
    source: str, part: _Part, names: Collection[str], columns: Collection[str] | None
) -> tuple[str, str | Maker | None]:
    """Return a part as Jinja is to read it, and its text or what makes its value if it needs no Jinja."""
    if part.kind == "text":
        return f"{{{{ {_constant(part.body)} }}}}", part.body
    if part.kind == "stmt":
        return f"{{% {_translate(source, part.body)} %}}", None
    code, make = _expression(source, part.body, names)
    if make is not None and code.startswith("row."):
        _check_column(source, code.split(".")[1], columns)
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


def _check_column(source: str, name: str, columns: Collection[str] | None) -> None:
    if columns is not None and name not in (known := list(map(str, columns))):
        raise TemplateError(source, f"{{{{row.{name}}}}}: the table has no column {name!r}{nearest(name, known)}")


# Jinja


def _jinja(
    source: str, parts: list[_Part], code: str, names: Collection[str], columns: Collection[str] | None
) -> tuple[Maker, frozenset[str]]:
    """Return what makes the value of a template by Jinja, and the names that it reads."""
    from jinja2 import meta, nodes

    environment = _environment()
    try:
        tree = environment.parse(code)
        others = (nodes.Include, nodes.Import, nodes.FromImport, nodes.Extends, nodes.ScopedEvalContextModifier)
        if other := tree.find(others):
            raise TemplateError(source, f"{type(other).__name__.lower()} has no meaning here: a template is one text")
        reads = frozenset(meta.find_undeclared_variables(tree)) - environment.globals.keys()
        for node in tree.find_all((nodes.Getattr, nodes.Getitem)) if "row" in reads else ():
            name = node.attr if isinstance(node, nodes.Getattr) else getattr(node.arg, "value", None)
            if isinstance(node.node, nodes.Name) and node.node.name == "row" and isinstance(name, str):
                _check_column(source, name, columns)
        tree = environment.prepare(tree, reads - ROOTS.keys() - HELPERS.keys())
        single = len(parts) == 1 and parts[0].kind == "expr"
        if single:
            (output,) = tree.body
            (value,) = output.nodes
            tree = nodes.Template([nodes.Assign(nodes.Name("result", "store"), value, lineno=1)], lineno=1)
            tree.set_environment(environment)
        template = environment.from_string(tree)
    except TemplateError:
        raise
    except Exception as error:
        raise TemplateError(source, _syntax_problem(error, parts, names)) from error
    return partial(_run, template, reads, single), reads


def _syntax_problem(error: Exception, parts: list[_Part], names: Collection[str]) -> str:
    known = [*KNOWN, *names]
    others = f" (there are {', '.join(HELPERS)})"
    for body in (part.body for part in parts if part.kind == "expr"):
        call = spelled(body)
        if call is not None and call.args and call.name not in known:
            return f"{{{{{body}}}}}: there is no helper {call.name!r}{nearest(call.name, known) or others}"
    text = str(error) or type(error).__name__
    if missing := re.match(r"No (filter|test) named '(.*?)'", text):
        registered = getattr(_environment(), missing[1] + "s")
        return f"there is no {missing[1]} {missing[2]!r}{nearest(missing[2], registered)}"
    for name, helper in HELPERS.items():
        if any(re.search(rf"\b{name}\s+[^\s|]", part.body) for part in parts if part.kind != "text"):
            return f"{text}; {helper.usage} stands alone, in a larger expression write {name}(…)"
    return text


def _run(template: Any, reads: frozenset[str], single: bool, ctx: Context) -> Any:
    environment = _environment()
    values: dict[str, Any] = {_CONTEXT: ctx}
    for name in reads:
        if name in ROOTS:
            values[name] = environment.soft(ROOTS[name])(ctx)
        elif name in BARE:
            values[name] = partial(BARE[name], ctx)
        elif name in HELPERS:
            values[name] = partial(environment.soft(HELPERS[name].call), ctx)
        elif name in ctx.names:
            value = ctx.names[name]
            values[name] = partial(call_named, name, value) if callable(value) else value
    if not single:
        return template.render(values)
    context = template.new_context(values)
    for _ in template.root_render_func(context):
        pass
    return environment.defined(context.vars["result"])


_CONTEXT: Final = "the context"
"""Where filters find the `Context`: no name that a template can write."""


@cache
def _environment() -> Any:
    """Return Jinja's sandbox, changed where its ways would surprise: see the methods."""
    from jinja2 import StrictUndefined, Undefined, nodes, pass_context
    from jinja2.sandbox import ImmutableSandboxedEnvironment
    from jinja2.visitor import NodeTransformer

    class Unset(StrictUndefined):
        """A name of the state that was never set: an error in a text, false in a condition."""

        __slots__ = ()

        def __bool__(self) -> bool:  # type: ignore[override]  # Jinja's own raises
            return False

    class Preparer(NodeTransformer):
        """Calls what is used bare (``{{uuid}}``), and joins with ``~`` what is written as elsewhere."""

        def __init__(self, bare: Collection[str]) -> None:
            self.bare = bare

        def visit_Name(self, node: nodes.Name) -> nodes.Node:  # noqa: N802  # Jinja's form
            return self._call("called", node) if node.ctx == "load" and node.name in self.bare else node

        def visit_Call(self, node: nodes.Call) -> nodes.Node:  # noqa: N802
            callee = node.node
            if isinstance(callee, nodes.Name):
                node.node = nodes.Const(None)
            self.generic_visit(node)
            if isinstance(callee, nodes.Name):
                node.node = callee
            return node

        def visit_Concat(self, node: nodes.Concat) -> nodes.Node:  # noqa: N802
            self.generic_visit(node)
            node.nodes = [self._call("text", one) for one in node.nodes]
            return node

        def _call(self, name: str, argument: nodes.Expr) -> nodes.Call:
            function = nodes.EnvironmentAttribute(name)
            return nodes.Call(function, [argument], [], None, None, lineno=argument.lineno)

    class Environment(ImmutableSandboxedEnvironment):
        text = staticmethod(to_text)

        def getattr(self, obj: Any, attribute: str) -> Any:
            """Read data before methods."""
            try:
                return member(obj, attribute)
            except MissingError as error:
                found = super().getattr(obj, attribute)
                if not isinstance(found, Undefined) or attribute.startswith("_"):
                    return found
                return (Unset if isinstance(obj, State) else StrictUndefined)(str(error), name=attribute)

        def getitem(self, obj: Any, argument: Any) -> Any:
            """Read ``match.1`` and ``message.0``, and say what is there instead of what is not."""
            if not isinstance(argument, str | int) or (isinstance(argument, int) and not isinstance(obj, dict)):
                return super().getitem(obj, argument)
            return self.getattr(obj, argument)  # type: ignore[arg-type]

        def prepare(self, tree: nodes.Template, bare: Collection[str]) -> nodes.Template:
            Preparer(bare).visit(tree)
            tree.set_environment(self)
            return tree

        @staticmethod
        def called(value: Any) -> Any:
            return value() if callable(value) and not isinstance(value, Undefined) else value

        @staticmethod
        def defined(value: Any) -> Any:
            if isinstance(value, Undefined):
                str(value)  # raises, naming it
            return value

        @staticmethod
        def soft(function: Callable[..., Any]) -> Callable[..., Any]:
            """Return `function` with an undefined value for what is missing, so that ``default`` works."""

            def call(*args: Any) -> Any:
                try:
                    return function(*args)
                except MissingError as error:
                    return StrictUndefined(str(error))

            return call

    @pass_context
    def drawn(context: Any, values: Any) -> Any:
        return context[_CONTEXT].rng.choice(values)

    environment = Environment(undefined=StrictUndefined, autoescape=False, keep_trailing_newline=True, finalize=to_text)
    environment.globals["null"] = None
    del environment.globals["lipsum"]  # it and Jinja's `random` draw from the global generator
    environment.filters["random"] = drawn
    environment.filters["tojson"] = lambda value: to_json(jsonable(value))
    return environment
