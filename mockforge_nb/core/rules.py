"""Rules: what is answered when a client's message matches, whatever else a connection does."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol, TypeAlias

from mockforge_nb.errors import OptionError

from .context import Context
from .events import Close, Drop
from .message import Message, encoded
from .pattern import Match, Pattern
from .program import Payload, Program
from .template import JsonTemplate, TextTemplate

SCOPES = ("connection", "server")


class Connected(Protocol):
    """The connection that a function of the author's is given; `mockforge_nb.connections` has it."""

    @property
    def number(self) -> int:
        """Its number, from 1."""
        ...


@dataclass(frozen=True, slots=True)
class Call:
    """A function of the author's that makes the answer.

    Attributes:
        function: Plain or a coroutine function.
        arguments: How many it takes: the message, and the connection.
    """

    function: Callable[..., Any]
    arguments: int = 2

    @classmethod
    def of(cls, function: Callable[..., Any], where: str, *offered: str) -> Call:
        """Return the call of a function that takes the first of what is `offered`, or all.

        A parameter with a default keeps it: ``lambda message, each=each: …`` is how a loop's variable is kept.

        Raises:
            OptionError: It wants more arguments, or keyword-only ones.
        """
        try:
            signature = inspect.signature(function)
        except (TypeError, ValueError):  # what is written in C may not tell
            return cls(function, 1)
        parameters = signature.parameters.values()
        positional = [each for each in parameters if each.kind in (each.POSITIONAL_ONLY, each.POSITIONAL_OR_KEYWORD)]
        any_number = any(each.kind is each.VAR_POSITIONAL for each in parameters)
        count = len(offered) if any_number else sum(each.default is each.empty for each in positional)
        named = any(each.kind is each.KEYWORD_ONLY and each.default is each.empty for each in parameters)
        if count <= len(offered) and not named:
            return cls(function, count)
        raise OptionError(where, function, f"takes {signature}", f"it is given ({', '.join(offered)}), or less of it")

    def __call__(self, *offered: Any) -> Any:
        """Return what the function returns, an awaitable for a coroutine function."""
        return self.function(*offered[: self.arguments])


Answer: TypeAlias = Payload | Program | Close | Drop | Call
"""One thing that is said: a message, a script played from there, the connection's end, or what a function returns."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """What to answer, and when.

    Attributes:
        pattern: Which messages it takes.
        answers: What is said, in order; nothing: the message is taken and not answered.
        condition: An expression that must be true; None: none.
        sets: Names of the state, and the templates of their values.
        state: The word of the state that becomes true, and the one before it false; None: none.
        times: How many messages it takes; None: any number.
        after: The name of a rule that must have taken a message before; None: none.
        scope: Whose `times`, `after` and state these are: each connection's, or the server's.
        name: What `after` calls it.
        line: The line of the file it came from, from 1; 0: from no file.
    """

    pattern: Pattern
    answers: tuple[Answer, ...] = ()
    condition: TextTemplate | None = None
    sets: Mapping[str, JsonTemplate] = field(default_factory=dict)
    state: str | None = None
    times: int | None = None
    after: str | None = None
    scope: Literal["connection", "server"] = "connection"
    name: str | None = None
    line: int = 0

    @property
    def title(self) -> str:
        """What errors and tables call it."""
        return self.name if self.name is not None else self.pattern.source

    @property
    def takes(self) -> str:
        """Its pattern as it was written, or as errors write it."""
        return self.pattern.written or self.pattern.source

    @property
    def names(self) -> tuple[str, ...]:
        """What `after` may call it: its name, or its pattern as it was written."""
        if self.name is not None:
            return (self.name,)
        written = self.pattern.written
        return () if written is None else (written,)

    @property
    def variables(self) -> frozenset[str]:
        """The template variables that it uses and that are not built in."""
        used = [template.variables for template in self.sets.values()]
        if self.condition is not None:
            used.append(self.condition.variables)
        return variables(self.answers).union(*used)

    def holds(self, context: Context) -> bool:
        """Return whether its condition is true.

        Raises:
            TemplateError: The condition cannot be told.
        """
        return self.condition is None or bool(self.condition.value(context))


def variables(answers: tuple[Answer, ...]) -> frozenset[str]:
    """Return the template variables that answers use and that are not built in."""
    used = [answer.template.variables for answer in answers if isinstance(answer, Payload) and answer.template]
    used += [answer.variables for answer in answers if isinstance(answer, Program)]
    return frozenset().union(*used)


def said(value: object, where: str) -> tuple[Answer, ...]:
    """Return what a function of the author's returned as answers: its texts are sent as they stand.

    Args:
        value: Text, bytes, a `Script`, ``close(…)``, a list of these, None for nothing; anything else is sent as JSON.
        where: What an error calls the function.

    Raises:
        OptionError: It cannot be sent.
    """
    if value is None:
        return ()
    if isinstance(value, (list, tuple)):
        return tuple(answer for each in value for answer in said(each, where))
    if isinstance(value, (Close, Drop)):
        return (value,)
    program = getattr(value, "program", None)
    if isinstance(program, Program):
        return (program,)
    return (one_message(value, where),)


def one_message(value: object, where: str) -> Payload:
    """Return the message that `value` is sent as: text, bytes, or anything else as JSON text.

    Raises:
        OptionError: It has no JSON form.
    """
    opcode, payload = encoded(value, where)
    return Payload("text", payload.decode()) if opcode == 1 else Payload("binary", payload)


@dataclass(slots=True)
class Taken:
    """Which rules took how many messages, by their index: of one connection, or in all."""

    counts: dict[int, int] = field(default_factory=dict)

    def note(self, index: int) -> None:
        """Count one."""
        self.counts[index] = self.counts.get(index, 0) + 1


class Rules:
    """A plan's rules in order; they hold nothing of a connection."""

    __slots__ = ("_names", "all")

    def __init__(self, rules: tuple[Rule, ...] = ()) -> None:
        self.all = rules
        self._names: dict[str, list[int]] = {}
        for index, rule in enumerate(rules):
            for name in rule.names:
                self._names.setdefault(name, []).append(index)

    def __bool__(self) -> bool:
        return bool(self.all)

    def find(
        self, message: Message, own: Taken, shared: Taken, context: Callable[[int, Message, Match], Context]
    ) -> tuple[int, Match] | None:
        """Return the first rule that takes a message, and what its pattern found; None: none does.

        Args:
            message: The client's message.
            own: What the connection's rules took so far.
            shared: The same of all connections.
            context: What makes the context of a rule's templates.
        """
        for index, rule in enumerate(self.all):
            taken = own if rule.scope == "connection" else shared
            if rule.times is not None and taken.counts.get(index, 0) >= rule.times:
                continue
            if rule.after is not None and not any(taken.counts.get(i) for i in self._names.get(rule.after, ())):
                continue
            match = rule.pattern.match(message)
            if match is not None and (rule.condition is None or rule.holds(context(index, message, match))):
                return index, match
        return None
