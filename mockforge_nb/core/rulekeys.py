"""One interactive line of a replay file to a Rule and back."""

from __future__ import annotations

import base64
from typing import Any

from .events import Close, Drop
from .line import Line, whole
from .match import any_message
from .message import to_json
from .program import Payload
from .rules import Answer, Rule
from .stepkeys import ending, literal, setting
from .template import JsonTemplate, TextTemplate


def rule_of(line: Line) -> Rule:
    """Return the rule of a line whose keys were read; what is wrong is among the line's problems."""
    pattern = line.expected("in", line.payload(expand=False))[1]
    code, reason, error = line.end()
    answers = _responses(line)
    if code is not None:
        answers.append(Close(code, reason))
    if error:
        answers.append(Drop())
    sets, (word, scope) = line.sets(), line.state()
    if not answers and not any(key in line.keys for key in ("response", "set", "state")):
        line.wrong('nothing to do: an interactive line has one of "response", "set", "state", "close" or "error"')
    condition: str | None = line.check("condition", lambda value: isinstance(value, str), None)
    return Rule(
        pattern=pattern or any_message(),
        answers=tuple(answers),
        condition=None if condition is None else line.attempt(lambda: TextTemplate.condition(condition)),
        sets=sets,
        state=word,
        times=line.check("times", lambda value: whole(value, 1), None),
        after=line.check("after", lambda value: isinstance(value, str), None),
        scope=scope,
        name=line.check("step_id", lambda value: isinstance(value, str) and value != "", None),
        line=line.number,
    )


def _responses(line: Line) -> list[Answer]:
    """Return the messages of "response": none for null or an empty list, several for a list."""
    value = line.keys.get("response")
    if value is None:
        return []
    expand = line.check("template", lambda value: isinstance(value, bool), True)
    found: list[Answer] = []
    for each in value if isinstance(value, list) else [value]:
        try:
            (each if isinstance(each, str) else to_json(each)).encode()
        except (TypeError, ValueError, RecursionError) as error:
            line.wrong(f'"response": cannot be sent: {error}')
            continue
        template = line.attempt(lambda each=each: _template(each)) if expand else None  # type: ignore[misc]
        used = None if template is None or template.literal else template
        found.append(Payload("text" if isinstance(each, str) else "json", each, used))
    return found


def _template(value: object) -> TextTemplate | JsonTemplate:
    return TextTemplate.parse(value) if isinstance(value, str) else JsonTemplate.parse(value)


def keys_of_rule(rule: Rule) -> dict[str, Any]:
    """Return a rule as a line of a file has it; reading that gives the same rule.

    Raises:
        ValueError: It has Python code, bytes or a script, which an interactive line cannot hold.
    """
    keys: dict[str, Any] = {"step_id": rule.name} if rule.name is not None else {}
    taken = rule.pattern.keys()
    if taken is None:
        raise ValueError(f"the pattern {rule.pattern!r} is Python code, which a file cannot hold")
    if "binary" in taken:
        taken = {"binary": base64.b64encode(taken["binary"]).decode()}
    keys |= {"dir": "in"} | taken
    answers = list(rule.answers)
    last = answers.pop() if answers and isinstance(answers[-1], (Close, Drop)) else None
    messages = [answer for answer in answers if isinstance(answer, Payload) and answer.kind != "binary"]
    if len(messages) < len(answers):
        raise ValueError(f"the rule {rule.title} answers with Python code, bytes or a script, which a file cannot hold")
    said = [message.value for message in messages]
    if said or not (rule.sets or rule.state is not None or last is not None):
        keys["response"] = said[0] if len(said) == 1 and not isinstance(said[0], (list, type(None))) else said
    looks = [literal(message) for message in messages]
    if any(looks):
        if not all(looks[i] or message.template is None for i, message in enumerate(messages)):
            raise ValueError(f"the rule {rule.title} answers with a template and a text that looks like one")
        keys["template"] = False
    if rule.condition is not None:
        keys["condition"] = rule.condition.source
    keys |= setting(rule.sets, rule.state, rule.scope)
    keys |= {name: value for name, value in (("times", rule.times), ("after", rule.after)) if value is not None}
    if isinstance(last, Close):
        keys |= ending(last.code, last.reason, error=False)
    return keys | (ending(None, "", error=True) if isinstance(last, Drop) else {}) | _marked(keys)


def _marked(keys: dict[str, Any]) -> dict[str, Any]:
    """Return what makes a line interactive that only closes: without it, it would be a step."""
    return {} if any(key in keys for key in ("response", "condition", "set", "state")) else {"response": []}
