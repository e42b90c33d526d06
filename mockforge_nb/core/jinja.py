"""Jinja for the templates that need it: in its sandbox, over the same tokens, and with errors for their authors."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection
from functools import cache, partial
from typing import Any, Final

from mockforge_nb.errors import TemplateError, nearest

from .context import Context
from .message import to_json
from .syntax import Part, check_column
from .tokens import (
    BARE,
    HELPERS,
    KNOWN,
    ROOTS,
    Maker,
    MissingError,
    State,
    call_named,
    jsonable,
    member,
    spelled,
    to_text,
)


def compile_jinja(
    source: str, parts: list[Part], code: str, names: Collection[str], columns: Collection[str] | None
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
                check_column(source, name, columns)
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


def _syntax_problem(error: Exception, parts: list[Part], names: Collection[str]) -> str:
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
