"""One line of a replay file to a Step and back."""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping
from typing import Any, Literal

from mockforge_nb.errors import nearest

from .line import KEYS, PAYLOADS, Line, is_time, shown, whole
from .match import Pattern, any_message, pattern
from .program import Assertion, Branch, Payload, Step
from .template import JsonTemplate


def step_of(line: Line) -> Step:
    """Return the step of a line whose keys were read; what is wrong is among the line's problems."""
    keys = line.keys
    direction: Literal["out", "in"] = keys.get("dir", "out")
    if direction not in ("out", "in"):
        line.wrong(f'"dir": {shown(direction)} is not {KEYS["dir"]}{nearest(direction, ("out", "in"))}')
        direction = "out"
    ts = line.check("ts", is_time, None)
    line.check("connection", lambda value: whole(value, 1), 1)
    payload = line.payload(expand=direction == "out")
    how, match, wait_for = line.expected(direction, payload)
    waits = direction == "in" or "waitFor" in keys
    for key in ("timeout_ms", "on_timeout", "assertions"):
        if key in keys and not waits:
            line.wrong(f'"{key}" belongs to a step that waits: one with "waitFor" or "dir": "in"')
    code, reason, error = line.end()
    every, repeat = _repetition(line, direction, ends=code is not None or error)
    if direction == "out" and code is None and not error and not _does_something(line):
        line.wrong(f'nothing to do: a step has one of {", ".join(map(repr, PAYLOADS))}, or "close"')
    sets, (word, scope) = line.sets(), line.state()
    return Step(
        ts=None if ts is None else float(ts),
        dir=direction,
        payload=payload,
        wait_for=wait_for,
        match=match,
        how=how,
        timeout_ms=line.check("timeout_ms", is_time, None),
        on_timeout=line.check("on_timeout", lambda value: isinstance(value, str), "fail"),
        step_id=line.check("step_id", lambda value: isinstance(value, str) and value != "", None),
        branches=_branches(line),
        next_step=line.check("next_step", lambda value: isinstance(value, str), None),
        assertions=_assertions(line),
        close=code,
        reason=reason,
        error=error,
        repeat=repeat,
        every_ms=every,
        sets=sets,
        state=word,
        scope=scope,
        line=line.number,
    )


def _does_something(line: Line) -> bool:
    """Whether a step sends, waits, sets or jumps."""
    return any(key in line.keys for key in (*PAYLOADS, "waitFor", "next_step", "on_match", "branches", "set", "state"))


def _repetition(line: Line, direction: str, *, ends: bool) -> tuple[float | None, int | None]:
    keys = line.keys
    if "repeat" not in keys and "every_ms" not in keys:
        return None, 1
    if direction == "in" or not any(key in keys for key in PAYLOADS):
        line.wrong('"repeat" and "every_ms" belong to a step that sends something')
    if ends:
        line.wrong('"repeat" and "every_ms" do not go with the end of the connection')
    if "every_ms" not in keys:
        line.wrong('"repeat" wants "every_ms" beside it, the time between two')
    every = line.check("every_ms", lambda value: is_time(value) and value > 0, 1.0)
    repeat = line.check("repeat", lambda value: value is True or whole(value, 1), True)
    return float(every), None if repeat is True else int(repeat)


def _branches(line: Line) -> tuple[Branch, ...]:
    found: list[Branch] = []
    on_match: list[Any] = line.check("on_match", lambda value: isinstance(value, list), [])
    for number, each in enumerate(on_match, 1):
        fields = line.fields(f'"on_match" entry {number}', each, ("pattern", "goto_step"), 2)
        if fields is None:
            continue
        if not isinstance(fields["goto_step"], str):
            line.wrong(f'"on_match" entry {number}: "goto_step": {shown(fields["goto_step"])} is no id of a step')
            continue
        compiled = line.attempt(lambda source=fields["pattern"]: pattern(source, where='"on_match"'))  # type: ignore[misc]
        if compiled is not None:
            found.append(Branch(compiled, fields["goto_step"]))
    branches: Mapping[Any, Any] = line.check("branches", lambda value: isinstance(value, Mapping), {})
    for word, goto in branches.items():
        if not isinstance(goto, str) or not isinstance(word, str):
            line.wrong(f'"branches": {shown(word)}: {shown(goto)} is no id of a step')
            continue
        compiled = line.attempt(lambda source=word: pattern(source, where='"branches"'))  # type: ignore[misc]
        if compiled is not None:
            found.append(Branch(compiled, goto, word))
    return tuple(found)


def _assertions(line: Line) -> tuple[Assertion, ...]:
    found: list[Assertion] = []
    entries: list[Any] = line.check("assertions", lambda value: isinstance(value, list), [])
    for number, each in enumerate(entries, 1):
        fields = line.fields(f'"assertions" entry {number}', each, ("pattern", "expected", "description"), 1)
        if fields is None:
            continue
        description = fields.get("description", "")
        if not isinstance(description, str):
            line.wrong(f'"assertions" entry {number}: "description": {shown(description)} is not a text')
            continue
        compiled = line.attempt(lambda source=fields["pattern"]: pattern(source, where='"assertions"'))  # type: ignore[misc]
        if compiled is not None:
            found.append(Assertion(compiled, fields.get("expected", True), description))
    return tuple(found)


def written(one: Pattern) -> str:
    """Return what a file says for a pattern."""
    if one.written is None:
        raise ValueError(f"the pattern {one!r} is Python code, which a file cannot hold")
    return one.written


def _short(ms: float) -> float:
    """Return whole milliseconds as a whole number, as people write them."""
    return int(ms) if float(ms).is_integer() else ms


def literal(payload: Payload) -> bool:
    """Return whether a payload that looks like a template is none."""
    text = payload.value if payload.kind == "text" else json.dumps(payload.value) if payload.kind == "json" else ""
    return payload.template is None and any(mark in text for mark in ("{{", "{%", "{#"))


def setting(sets: Mapping[str, JsonTemplate], word: str | None, scope: str) -> dict[str, Any]:
    """Return the keys that set the state."""
    keys: dict[str, Any] = {"set": {name: value.source for name, value in sets.items()}} if sets else {}
    if word is not None:
        keys["state"] = word
    if scope != "connection":
        keys["scope"] = scope
    return keys


def ending(code: int | None, reason: str, error: bool) -> dict[str, Any]:
    """Return the keys that end the connection."""
    if error:
        return {"error": True}
    if code is None:
        return {}
    keys: dict[str, Any] = {"close": True}
    return keys | ({"code": code} if code != 1000 else {}) | ({"reason": reason} if reason else {})


def keys_of(step: Step) -> dict[str, Any]:
    """Return a step as a line of a file has it; reading that gives the same step.

    Raises:
        ValueError: A pattern is Python code, which a file cannot hold.
    """
    keys: dict[str, Any] = {}
    if step.step_id is not None:
        keys["step_id"] = step.step_id
    if step.ts is not None:
        keys["ts"] = _short(step.ts)
    if step.dir == "in":
        keys["dir"] = "in"
    payload = step.payload
    if payload is not None:
        value = payload.value
        keys[payload.kind] = base64.b64encode(value).decode() if payload.kind == "binary" else value
        if step.dir == "out" and literal(payload):
            keys["template"] = False
    if step.dir == "in" and payload is not None:
        keys["match"] = step.how
    elif step.dir == "in" and step.match is not None and step.match != any_message():
        written(step.match)
    if step.wait_for is not None:
        keys["waitFor"] = written(step.wait_for)
    if step.timeout_ms is not None:
        keys["timeout_ms"] = _short(step.timeout_ms)
    if step.on_timeout != "fail":
        keys["on_timeout"] = step.on_timeout
    if step.assertions:
        keys["assertions"] = [
            {
                "pattern": written(a.pattern),
                "expected": a.expected,
                **({"description": a.description} if a.description else {}),
            }
            for a in step.assertions
        ]
    on_match = [{"pattern": written(b.pattern), "goto_step": b.goto} for b in step.branches if b.word is None]
    if on_match:
        keys["on_match"] = on_match
    branches = {b.word: b.goto for b in step.branches if b.word is not None}
    if branches:
        keys["branches"] = branches
    if step.next_step is not None:
        keys["next_step"] = step.next_step
    keys |= setting(step.sets, step.state, step.scope) | ending(step.close, step.reason, step.error)
    if step.every_ms is not None:
        keys["repeat"] = True if step.repeat is None else step.repeat
        keys["every_ms"] = _short(step.every_ms)
    return keys
