"""What an author says of a rule, to a Rule of the core: for `Mock.when`, `Mock.otherwise` and `Script.when`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal, TypeAlias

from .core.closecodes import check_close
from .core.events import Close, Drop
from .core.match import exact as exact_pattern
from .core.match import pattern as any_pattern
from .core.match import subset
from .core.message import TEXT, encoded
from .core.pattern import Pattern
from .core.program import Payload, Program
from .core.rules import SCOPES, Answer, Call, Rule, Rules
from .core.template import JsonTemplate, TextTemplate
from .errors import OptionError, nearest

Scope: TypeAlias = Literal["connection", "server"]
OTHERWISE = ("ignore", "error", "echo")


def close(code: int = 1000, reason: str = "") -> Close:
    """Return the answer that ends a connection.

    For a rule: ``.when("^QUIT$", close(1000))``. A function that answers may return it, and a stream may give it.

    Raises:
        OptionError: A code or reason that RFC 6455 §7.4 does not allow in a close frame.

    Example:
        >>> mock = Mock().when("^QUIT$", close(4000, "as you wish"))
        >>> mock.simulate([(0, "QUIT")]).df["close_code"].dropna().unique().tolist()
        [4000]
    """
    check_close(code, reason)
    return Close(code, reason)


def answers(reply: object, where: str) -> tuple[Answer, ...]:
    """Return what a reply says, in order.

    Args:
        reply: A text or JSON value, both templates; bytes, a `Script`, a function, ``close(…)``; a list of these;
            None: nothing.
        where: What an error calls it.

    Raises:
        OptionError: It cannot be sent.
        TemplateError: It is no template.
    """
    if reply is None:
        return ()
    return tuple(_answer(each, where) for each in (reply if isinstance(reply, (list, tuple)) else [reply]))


def _answer(reply: object, where: str) -> Answer:
    if isinstance(reply, (Close, Drop)):
        return reply
    if getattr(reply, "endless", False):
        raise OptionError(where, reply, "has no end", "a reply may be a part of it: script[:10]")
    program = getattr(reply, "program", None)
    if isinstance(program, Program):
        if getattr(reply, "rules", ()):
            raise OptionError(where, reply, "has rules of its own", "only replay() has those")
        if program.cuts is not None:
            raise OptionError(where, reply, "is cut to each connection (by=, rebase=)", "only replay() does that")
        reply.validate()  # type: ignore[attr-defined]  # a Script, which this module does not know
        return program
    if callable(reply) and not isinstance(reply, type):
        return Call.of(reply, where, "message", "connection")
    opcode, data = encoded(reply, where)
    if isinstance(reply, str):
        text = TextTemplate.parse(reply)
        return Payload("text", reply, None if text.literal else text)
    if opcode != TEXT:
        return Payload("binary", data)
    value = JsonTemplate.parse(reply)
    return Payload("json", reply, None if value.literal else value)


def rule(
    pattern: object,
    reply: object,
    *,
    json: object = None,
    exact: object = None,
    times: int | None = None,
    once: bool = False,
    after: str | None = None,
    set: Mapping[str, Any] | None = None,
    state: str | None = None,
    condition: str | None = None,
    scope: Scope = "connection",
    name: str | None = None,
) -> Rule:
    """Return the rule; arguments and errors are those of `Mock.when`."""
    if not isinstance(once, bool):
        raise OptionError("when(once=)", once, "is neither True nor False")
    if times is not None and (isinstance(times, bool) or not isinstance(times, int) or times < 1):
        raise OptionError("when(times=)", times, "is no number from 1 on")
    if once and times not in (None, 1):
        raise OptionError("when(times=)", times, "and once=True say two different things; give one of them")
    if scope not in SCOPES:
        raise OptionError("when(scope=)", scope, valid=SCOPES)
    for option, value in (("after", after), ("state", state), ("name", name), ("condition", condition)):
        if value is not None and (not isinstance(value, str) or not value):
            raise OptionError(f"when({option}=)", value, "is no text")
    if reply is ... and not set and state is None:
        raise OptionError(
            "when(reply=)", None, "is missing", "give what is answered, or None: the message is swallowed"
        )
    return Rule(
        pattern=_pattern(pattern, json, exact),
        answers=answers(None if reply is ... else reply, "when(reply=)"),
        condition=None if condition is None else TextTemplate.condition(condition),
        sets=sets(set, "when(set=)"),
        state=state,
        times=1 if once else times,
        after=after,
        scope=scope,
        name=name,
    )


def _pattern(pattern: object, json: object, exact: object) -> Pattern:
    """Return the one pattern that is given."""
    given = {"pattern": pattern, "json=": json, "exact=": exact}
    named = [name for name, value in given.items() if value is not None]
    if len(named) != 1:
        what = f"{' and '.join(named)} are given" if named else "nothing says which messages the rule takes"
        raise OptionError("when()", given, what, "give one of: a pattern, json={…}, exact=…; ANY takes every message")
    if json is not None:
        return subset(json, where="when(json=)")
    if exact is not None:
        return exact_pattern(exact, where="when(exact=)")
    if isinstance(pattern, dict):
        raise OptionError("when()", pattern, "is a dict", "a JSON subset is given by its name: when(json={…})")
    return any_pattern(pattern, where="when()")


def sets(given: object, where: str) -> dict[str, JsonTemplate]:
    """Return the templates of the values that names of the state are set to.

    Raises:
        OptionError: It is no dict of names, or a value has no JSON form.
        TemplateError: A value is no template.
    """
    if given is None:
        return {}
    if not isinstance(given, Mapping) or not all(isinstance(key, str) and key.isidentifier() for key in given):
        raise OptionError(where, given, "is no dict of names and values", "such as {'score': '{{state.score + 1}}'}")
    for value in given.values():
        encoded(value, where)
    return {name: JsonTemplate.parse(value) for name, value in given.items()}


def otherwise(reply: object) -> tuple[Answer, ...] | Literal["echo", "error"]:
    """Return what a message gets that nobody takes; arguments and errors are those of `Mock.otherwise`."""
    if reply == "echo" and isinstance(reply, str):
        return "echo"
    if reply == "error" and isinstance(reply, str):
        return "error"
    if reply is None or (reply == "ignore" and isinstance(reply, str)):
        return ()
    return answers(reply, "otherwise()")


def check_names(rules: Rules) -> None:
    """Raise OptionError if a rule comes after one that is not there."""
    known = {name for rule in rules.all for name in rule.names}
    for one in rules.all:
        if one.after is not None and one.after not in known:
            valid = f"valid: {', '.join(map(repr, sorted(known)))}" if known else "give that rule a name= to go after"
            raise OptionError(
                "when(after=)", one.after, f"is no rule's name or pattern{nearest(one.after, known)}", valid
            )
