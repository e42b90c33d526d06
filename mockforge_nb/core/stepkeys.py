"""One line of a replay file: its keys to a Step and back."""

from __future__ import annotations

import base64
import binascii
import json
import math
from collections.abc import Callable, Mapping
from typing import Any, Literal, TypeVar

from mockforge_nb.errors import OptionError, Problem, TemplateError, nearest

from .match import Pattern, any_message, exact, pattern, subset
from .program import Assertion, Branch, Payload, Step
from .template import JsonTemplate, TextTemplate

T = TypeVar("T")

KEYS = {
    "ts": "a number of milliseconds from 0 on",
    "dir": '"out" or "in"',
    "text": "a text",
    "json": "any JSON value",
    "binary": 'base64 in a text (or true beside "text")',
    "template": "true or false",
    "connection": "a connection's number, from 1",
    "waitFor": "a regular expression or JSONPath",
    "match": '"regex", "exact", "json" or "any"',
    "timeout_ms": "a number of milliseconds from 0 on",
    "on_timeout": '"fail", "close" or the id of a step',
    "step_id": "a text",
    "on_match": 'a list of {"pattern": …, "goto_step": …}',
    "branches": "an object of patterns or words and ids of steps",
    "next_step": "the id of a step",
    "assertions": 'a list of {"pattern": …, "expected": …, "description": …}',
    "close": "true or false",
    "code": "a close code: 1000-1003, 1007-1014 or 3000-4999",
    "reason": "a text of at most 123 bytes",
    "error": "true or false",
    "repeat": "how often it is sent in all, from 1 on, or true: without end",
    "every_ms": "a number of milliseconds greater than 0",
}
"""The keys of a step, and what each takes."""

SPELLINGS = {
    "wait_for": "waitFor",
    "timeoutMs": "timeout_ms",
    "onTimeout": "on_timeout",
    "stepId": "step_id",
    "onMatch": "on_match",
    "nextStep": "next_step",
    "everyMs": "every_ms",
}
"""Other spellings that are read."""

INTERACTIVE = ("response", "condition", "state", "set")
"""Keys of interactive lines, which are rules beside the steps."""

PAYLOADS = ("text", "json", "binary")
MATCHES = ("regex", "exact", "json", "any")


def may_close(code: object) -> bool:
    """Return whether a close frame may carry `code`, RFC 6455 §7.4."""
    return _whole(code, 0) and (code in (1000, 1001, 1002, 1003, *range(1007, 1015)) or 3000 <= int(str(code)) < 5000)


def _whole(value: object, least: int) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= least


def is_time(value: object) -> bool:
    """Return whether `value` is a finite number of milliseconds from 0 on."""
    number = isinstance(value, (int, float)) and not isinstance(value, bool)
    return number and 0 <= value < math.inf and value < 1e15  # type: ignore[operator]  # a number, as just said


def shown(value: object) -> str:
    """Return a value as it stands in a file, shortened."""
    try:
        text = json.dumps(value, ensure_ascii=False)
    except (TypeError, ValueError, RecursionError):
        text = repr(value)
    return text if len(text) <= 60 else text[:57] + "..."


class Reader:
    """Makes the Step of one entry; what is wrong is added to `problems`.

    Args:
        line: The entry's line, or its number in a list; from 1.
        problems: Where problems go.
        expand: Whether its payload is a template where it does not say.
    """

    def __init__(self, line: int, problems: list[Problem], *, expand: bool = True) -> None:
        self._line = line
        self._problems = problems
        self._expand = expand
        self._keys: dict[str, Any] = {}

    def _wrong(self, text: str) -> None:
        self._problems.append(Problem(self._line, text))

    def _check(self, key: str, good: Callable[[Any], bool], default: T) -> T:
        """Return the value of a key, or `default` if it is not there or not right."""
        if key not in self._keys:
            return default
        value: T = self._keys[key]
        if good(value):
            return value
        self._wrong(f'"{key}": {shown(value)} is not {KEYS[key]}')
        return default

    def _try(self, make: Callable[[], T]) -> T | None:
        """Return what `make` makes; a refusal becomes a problem of the line."""
        try:
            return make()
        except (OptionError, TemplateError) as error:
            self._wrong(str(error))
            return None

    def step(self, entry: object) -> Step | None:
        """Return the step, or None if anything is wrong with it."""
        count = len(self._problems)
        if not isinstance(entry, Mapping):
            self._wrong(f"a step is a JSON object, not {shown(entry)}")
            return None
        self._read_keys(entry)
        if len(self._problems) > count:
            return None
        step = self._step()
        return step if len(self._problems) == count else None

    def _read_keys(self, entry: Mapping[Any, Any]) -> None:
        for key, value in entry.items():
            name = SPELLINGS.get(key, key)
            if name in INTERACTIVE:
                self._wrong(f"{key!r} makes this an interactive line, which is not a step and is not played yet")
            elif name not in KEYS:
                known = [*KEYS, *SPELLINGS]
                self._wrong(f"unknown key {key!r}{nearest(key, known)} (known: {', '.join(KEYS)})")
            elif name in self._keys:
                self._wrong(f"{key!r} and {name!r} are the same key")
            else:
                self._keys[name] = value

    def _step(self) -> Step:
        keys = self._keys
        direction: Literal["out", "in"] = keys.get("dir", "out")
        if direction not in ("out", "in"):
            self._wrong(f'"dir": {shown(direction)} is not {KEYS["dir"]}{nearest(direction, ("out", "in"))}')
            direction = "out"
        ts = self._check("ts", is_time, None)
        self._check("connection", lambda value: _whole(value, 1), 1)
        payload = self._payload(expand=direction == "out")
        how, match, wait_for = self._expected(direction, payload)
        waits = direction == "in" or "waitFor" in keys
        for key in ("timeout_ms", "on_timeout", "assertions"):
            if key in keys and not waits:
                self._wrong(f'"{key}" belongs to a step that waits: one with "waitFor" or "dir": "in"')
        code, reason, error = self._end()
        every, repeat = self._repetition(direction, ends=code is not None or error)
        if direction == "out" and code is None and not error and not self._does_something():
            self._wrong(f'nothing to do: a step has one of {", ".join(map(repr, PAYLOADS))}, or "close"')
        return Step(
            ts=None if ts is None else float(ts),
            dir=direction,
            payload=payload,
            wait_for=wait_for,
            match=match,
            how=how,
            timeout_ms=self._check("timeout_ms", is_time, None),
            on_timeout=self._check("on_timeout", lambda value: isinstance(value, str), "fail"),
            step_id=self._check("step_id", lambda value: isinstance(value, str) and value != "", None),
            branches=self._branches(),
            next_step=self._check("next_step", lambda value: isinstance(value, str), None),
            assertions=self._assertions(),
            close=code,
            reason=reason,
            error=error,
            repeat=repeat,
            every_ms=every,
            line=self._line,
        )

    def _does_something(self) -> bool:
        """Whether a step sends, waits or jumps."""
        return any(key in self._keys for key in (*PAYLOADS, "waitFor", "next_step", "on_match", "branches"))

    def _payload(self, *, expand: bool) -> Payload | None:
        keys = self._keys
        expand = self._check("template", lambda value: isinstance(value, bool), self._expand) and expand
        given = [key for key in PAYLOADS if key in keys and not (key == "binary" and isinstance(keys[key], bool))]
        if len(given) > 1:
            self._wrong(f"more than one payload: {' and '.join(map(repr, given))}")
            return None
        if keys.get("binary") is True and given != ["text"]:
            self._wrong('"binary": true says that "text" is base64, and there is no "text"')
            return None
        if not given:
            return None
        kind, value = given[0], keys[given[0]]
        if kind == "binary" or keys.get("binary") is True:
            return self._binary(kind, value)
        if kind == "text" and not isinstance(value, str):
            self._wrong(f'"text": {shown(value)} is not a text; for a JSON value say "json"')
            return None
        try:
            (value if kind == "text" else json.dumps(value, ensure_ascii=False, allow_nan=False)).encode()
        except UnicodeEncodeError:
            self._wrong(f'"{kind}": a lone surrogate such as \\ud800 is no character and cannot be sent')
            return None
        except (TypeError, ValueError, RecursionError) as error:
            self._wrong(f'"json": {error}')
            return None
        template: JsonTemplate | TextTemplate | None = None
        if expand and kind == "text":
            template = self._try(lambda: TextTemplate.parse(value))
        elif expand:
            template = self._try(lambda: JsonTemplate.parse(value))
        kept: Literal["text", "json"] = "text" if kind == "text" else "json"
        return Payload(kept, value, None if template is None or template.literal else template)

    def _binary(self, key: str, value: object) -> Payload | None:
        if isinstance(value, (bytes, bytearray, memoryview)):
            return Payload("binary", bytes(value))
        try:
            if not isinstance(value, str):
                raise ValueError("not a text")
            return Payload("binary", base64.b64decode(value, validate=True))
        except (ValueError, binascii.Error) as error:
            self._wrong(f'"{key}": {shown(value)} is no base64: {error}')
            return None

    def _expected(
        self, direction: str, payload: Payload | None
    ) -> tuple[Literal["regex", "exact", "json", "any"], Pattern | None, Pattern | None]:
        keys = self._keys
        if direction == "out":
            if "match" in keys:
                self._wrong('"match" belongs to a step with "dir": "in"; to wait before sending, say "waitFor"')
            wait_for = self._try(lambda: pattern(keys["waitFor"], where='"waitFor"')) if "waitFor" in keys else None
            return "any", None, wait_for
        if "waitFor" in keys:
            self._wrong('"waitFor" belongs to a step that is sent; a step with "dir": "in" waits by itself')
        default = "any" if payload is None else {"text": "regex", "json": "json", "binary": "exact"}[payload.kind]
        how: Literal["regex", "exact", "json", "any"] = keys.get("match", default)
        if how not in MATCHES:
            self._wrong(f'"match": {shown(how)} is not {KEYS["match"]}{nearest(how, MATCHES)}')
            return "any", None, None
        if payload is None or how == "any":
            return "any", any_message(), None
        if how == "exact" and payload.kind != "json":
            return how, exact(payload.value), None
        if how == "json" and payload.kind != "binary":
            try:
                wanted = payload.value if payload.kind == "json" else json.loads(payload.value)
            except (ValueError, RecursionError) as error:
                self._wrong(f'"match": "json", but its text is no JSON: {error}')
                return how, None, None
            return how, self._try(lambda: subset(wanted, where='"json"')), None
        if how == "regex" and payload.kind == "text":
            return how, self._try(lambda: pattern(payload.value, where='"text"')), None
        self._wrong(f'"match": "{how}" does not go with "{payload.kind}"')
        return how, None, None

    def _end(self) -> tuple[int | None, str, bool]:
        """Return the close code (None: no close), the reason, and whether it ends without a close frame."""
        keys = self._keys
        close = self._check("close", lambda value: isinstance(value, bool), False)
        error = self._check("error", lambda value: isinstance(value, bool), False)
        for key in ("code", "reason"):
            if key in keys and not close:
                self._wrong(f'"{key}" goes with "close": true')
        if close and error:
            self._wrong('"close" sends a close frame and "error" ends without one; say one of them')
        code = self._check("code", may_close, 1000)
        reason = self._check(
            "reason", lambda value: isinstance(value, str) and len(value.encode(errors="replace")) < 124, ""
        )
        return (code if close else None), reason, error

    def _repetition(self, direction: str, *, ends: bool) -> tuple[float | None, int | None]:
        keys = self._keys
        if "repeat" not in keys and "every_ms" not in keys:
            return None, 1
        if direction == "in" or not any(key in keys for key in PAYLOADS):
            self._wrong('"repeat" and "every_ms" belong to a step that sends something')
        if ends:
            self._wrong('"repeat" and "every_ms" do not go with the end of the connection')
        if "every_ms" not in keys:
            self._wrong('"repeat" wants "every_ms" beside it, the time between two')
        every = self._check("every_ms", lambda value: is_time(value) and value > 0, 1.0)
        repeat = self._check("repeat", lambda value: value is True or _whole(value, 1), True)
        return float(every), None if repeat is True else int(repeat)

    def _branches(self) -> tuple[Branch, ...]:
        found: list[Branch] = []
        on_match: list[Any] = self._check("on_match", lambda value: isinstance(value, list), [])
        for number, each in enumerate(on_match, 1):
            fields = self._fields(f'"on_match" entry {number}', each, ("pattern", "goto_step"), 2)
            if fields is None:
                continue
            if not isinstance(fields["goto_step"], str):
                self._wrong(f'"on_match" entry {number}: "goto_step": {shown(fields["goto_step"])} is no id of a step')
                continue
            compiled = self._try(lambda source=fields["pattern"]: pattern(source, where='"on_match"'))  # type: ignore[misc]
            if compiled is not None:
                found.append(Branch(compiled, fields["goto_step"]))
        branches: Mapping[Any, Any] = self._check("branches", lambda value: isinstance(value, Mapping), {})
        for word, goto in branches.items():
            if not isinstance(goto, str) or not isinstance(word, str):
                self._wrong(f'"branches": {shown(word)}: {shown(goto)} is no id of a step')
                continue
            compiled = self._try(lambda source=word: pattern(source, where='"branches"'))  # type: ignore[misc]
            if compiled is not None:
                found.append(Branch(compiled, goto, word))
        return tuple(found)

    def _assertions(self) -> tuple[Assertion, ...]:
        found: list[Assertion] = []
        entries: list[Any] = self._check("assertions", lambda value: isinstance(value, list), [])
        for number, each in enumerate(entries, 1):
            fields = self._fields(f'"assertions" entry {number}', each, ("pattern", "expected", "description"), 1)
            if fields is None:
                continue
            description = fields.get("description", "")
            if not isinstance(description, str):
                self._wrong(f'"assertions" entry {number}: "description": {shown(description)} is not a text')
                continue
            compiled = self._try(lambda source=fields["pattern"]: pattern(source, where='"assertions"'))  # type: ignore[misc]
            if compiled is not None:
                found.append(Assertion(compiled, fields.get("expected", True), description))
        return tuple(found)

    def _fields(self, where: str, each: object, known: tuple[str, ...], needed: int) -> Mapping[str, Any] | None:
        """Return an entry of a list if it is an object with these keys, of which the first `needed` must be there."""
        if not isinstance(each, Mapping):
            self._wrong(f"{where}: {shown(each)} is no object with {', '.join(map(repr, known))}")
            return None
        for key in each:
            if key not in known:
                self._wrong(f"{where}: unknown key {key!r}{nearest(key, known)} (known: {', '.join(known)})")
                return None
        missing = [key for key in known[:needed] if key not in each]
        if missing:
            self._wrong(f"{where}: {missing[0]!r} is missing")
            return None
        return each


def _written(one: Pattern) -> str:
    """Return what a file says for a pattern."""
    if one.written is None:
        raise ValueError(f"the pattern {one!r} is Python code, which a file cannot hold")
    return one.written


def _short(ms: float) -> float:
    """Return whole milliseconds as a whole number, as people write them."""
    return int(ms) if float(ms).is_integer() else ms


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
        text = value if payload.kind == "text" else json.dumps(value) if payload.kind == "json" else ""
        if step.dir == "out" and payload.template is None and any(mark in text for mark in ("{{", "{%", "{#")):
            keys["template"] = False
    if step.dir == "in" and payload is not None:
        keys["match"] = step.how
    elif step.dir == "in" and step.match is not None and step.match != any_message():
        _written(step.match)
    if step.wait_for is not None:
        keys["waitFor"] = _written(step.wait_for)
    if step.timeout_ms is not None:
        keys["timeout_ms"] = _short(step.timeout_ms)
    if step.on_timeout != "fail":
        keys["on_timeout"] = step.on_timeout
    if step.assertions:
        keys["assertions"] = [
            {
                "pattern": _written(a.pattern),
                "expected": a.expected,
                **({"description": a.description} if a.description else {}),
            }
            for a in step.assertions
        ]
    on_match = [{"pattern": _written(b.pattern), "goto_step": b.goto} for b in step.branches if b.word is None]
    if on_match:
        keys["on_match"] = on_match
    branches = {b.word: b.goto for b in step.branches if b.word is not None}
    if branches:
        keys["branches"] = branches
    if step.next_step is not None:
        keys["next_step"] = step.next_step
    if step.close is not None:
        keys["close"] = True
        keys |= {"code": step.close} if step.close != 1000 else {}
        keys |= {"reason": step.reason} if step.reason else {}
    if step.error:
        keys["error"] = True
    if step.every_ms is not None:
        keys["repeat"] = True if step.repeat is None else step.repeat
        keys["every_ms"] = _short(step.every_ms)
    return keys
