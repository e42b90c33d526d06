"""Templates: parsed once, rendered for each message.

A template of plain tokens (``{{uuid}}``, ``{{randInt 1 6}}``, ``{{message.id}}``) becomes a list of functions; one
with an expression, a filter or a statement becomes Jinja's, in its sandbox. Jinja never sees the author's text but
what `syntax` puts together: literals as constants, and the original's spelling as calls of the same functions. So
both ways give the same, and Jinja is loaded only where it is needed.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from functools import partial
from typing import Any

from mockforge_nb.errors import TemplateError

from .context import Context, stream
from .jinja import compile_jinja
from .message import to_json
from .syntax import Part, read_part, split
from .tokens import BARE, KNOWN, CallError, Maker, MissingError, jsonable, to_text

__all__ = ["KNOWN", "Context", "JsonTemplate", "TextTemplate", "stream"]


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
        parts = list(split(source))
        if not source or parts == [Part("text", source)]:
            return cls(source, lambda _: source, frozenset(), literal=True, numbered=False)
        pieces = [read_part(source, part, names, columns) for part in parts]
        makers = [make for _, make in pieces if make is not None]
        if len(makers) == len(parts) and not _force_jinja:
            made = makers[0] if len(makers) == 1 and callable(makers[0]) else partial(_join, tuple(makers))
            return cls(source, made, frozenset(), literal=False, numbered=BARE["seq"] in makers)
        make, reads = compile_jinja(source, parts, "".join(code for code, _ in pieces), names, columns)
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
            if not inner.strip() or len(list(split(text))) != 1:
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
        if self.numbered:
            return str(_counted(ctx, lambda: self.evaluate(ctx, to_text)))
        return str(self.evaluate(ctx, to_text))

    def value(self, ctx: Context) -> Any:
        """Return the value of a template that is one expression, with its type; of any other, its text.

        Raises:
            TemplateError: As `render`.
        """
        return _counted(ctx, lambda: self.evaluate(ctx)) if self.numbered else self.evaluate(ctx)

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


class Slot(str):
    """A template that is one value of a JSON message whose other texts are none."""

    __slots__ = ()


class Slots:
    """The templates of the slots of JSON messages that are written but for these.

    Args:
        templates: The parsed templates by their texts.
    """

    __slots__ = ("_templates", "numbered", "variables")

    def __init__(self, templates: Mapping[str, TextTemplate]) -> None:
        self._templates = templates
        self.variables: frozenset[str] = frozenset().union(*(each.variables for each in templates.values()))
        self.numbered = any(each.numbered for each in templates.values())

    def __bool__(self) -> bool:
        return bool(self._templates)

    def source(self, data: bytes) -> str:
        """Return a message with each slot's text as it was written; in `data` it stands between two NULs.

        No JSON text has a NUL, so that nothing else can be taken for one.
        """
        pieces = data.decode().split("\0")
        pieces[1::2] = map(to_json, pieces[1::2])
        return "".join(pieces)

    def template(self, data: bytes) -> TextTemplate:
        """Return the template of a message."""

        def make(ctx: Context) -> str:
            pieces = data.decode().split("\0")
            for place in range(1, len(pieces), 2):
                pieces[place] = to_json(self._templates[pieces[place]].evaluate(ctx, jsonable))
            return "".join(pieces)

        return TextTemplate("a message's templates", make, self.variables, literal=False, numbered=self.numbered)


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
        return _counted(ctx, lambda: self._make(ctx)) if self._numbered else self._make(ctx)

    def __eq__(self, other: object) -> bool:
        return bool(self.source == other.source) if isinstance(other, JsonTemplate) else NotImplemented

    __hash__ = None  # type: ignore[assignment]  # a JSON value has none

    def __repr__(self) -> str:
        return f"<JsonTemplate {self.source!r}>"


def _counted(ctx: Context, make: Callable[[], Any]) -> Any:
    """Make a message with a ``{{seq}}``: the next, unless it comes to nothing."""
    ctx.seq += 1
    try:
        return make()
    except TemplateError:
        ctx.seq -= 1
        raise


def _join(makers: tuple[str | Maker, ...], ctx: Context) -> str:
    return "".join([part if type(part) is str else to_text(part(ctx)) for part in makers])  # type: ignore[operator]


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
