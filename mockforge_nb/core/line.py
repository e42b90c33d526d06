"""One line of a replay file as its keys: what steps and interactive lines have in common."""

from __future__ import annotations

import base64
import binascii
import json
import math
from collections.abc import Callable, Mapping
from typing import Any, Literal, TypeVar

from mockforge_nb.errors import OptionError, Problem, TemplateError, nearest

from .closecodes import may_close, may_say
from .match import Pattern, any_message, exact, pattern, subset
from .program import Payload
from .rules import SCOPES
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

RULE_KEYS = {
    "response": "a text, a JSON value, or a list of several messages",
    "condition": "an expression that is true or false, in a text",
    "state": "the name that becomes true, a text",
    "set": "an object of names and values",
    "times": "a number from 1 on",
    "after": "the step_id or the pattern of an interactive line",
    "scope": '"connection" or "server"',
}
"""The keys that only an interactive line has (but `set`, `state` and `scope`, which a step that is sent may have)."""

OF_RULES = (
    *(
        "dir",
        "text",
        "json",
        "binary",
        "template",
        "connection",
        "match",
        "step_id",
        "close",
        "code",
        "reason",
        "error",
    ),
    *RULE_KEYS,
)
"""All keys of an interactive line."""


SETTING = ("set", "state", "scope")

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
"""Any of these on a line with ``"dir": "in"`` makes it interactive: a rule that stays active beside the steps."""

PAYLOADS = ("text", "json", "binary")
MATCHES = ("regex", "exact", "json", "any")


def whole(value: object, least: int) -> bool:
    """Return whether `value` is a whole number from `least` on."""
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


class Line:
    """One line's keys, taken one after the other; what is wrong with them is added to `problems`.

    Args:
        number: The line, or the entry's number in a list; from 1.
        problems: Where problems go.
        expand: Whether its texts are templates where it does not say.

    Attributes:
        keys: The keys in their first spelling, and their values.
    """

    def __init__(self, number: int, problems: list[Problem], *, expand: bool = True) -> None:
        self.number = number
        self._problems = problems
        self._expand = expand
        self.keys: dict[str, Any] = {}

    def wrong(self, text: str) -> None:
        """Add a problem of the line."""
        self._problems.append(Problem(self.number, text))

    def check(self, key: str, good: Callable[[Any], bool], default: T) -> T:
        """Return the value of a key, or `default` if it is not there or not right."""
        if key not in self.keys:
            return default
        value: T = self.keys[key]
        if good(value):
            return value
        self.wrong(f'"{key}": {shown(value)} is not {KEYS.get(key) or RULE_KEYS[key]}')
        return default

    def attempt(self, make: Callable[[], T]) -> T | None:
        """Return what `make` makes; a refusal becomes a problem of the line."""
        try:
            return make()
        except (OptionError, TemplateError) as error:
            self.wrong(str(error))
            return None

    def read(self, entry: object) -> bool:
        """Take the keys of an entry; return whether nothing is wrong with them by themselves."""
        if not isinstance(entry, Mapping):
            self.wrong(f"a step is a JSON object, not {shown(entry)}")
            return False
        count = len(self._problems)
        for key, value in entry.items():
            name: Any = SPELLINGS.get(key, key)
            if name in self.keys:
                self.wrong(f"{key!r} and {name!r} are the same key")
            else:
                self.keys[name] = value
        known = OF_RULES if self.interactive else (*KEYS, *SETTING)
        for name in self.keys:
            if name not in known:
                self._unknown(name, known)
        return len(self._problems) == count

    @property
    def interactive(self) -> bool:
        """Whether it is a rule, not a step."""
        return self.keys.get("dir") == "in" and any(key in self.keys for key in INTERACTIVE)

    def _unknown(self, key: object, known: tuple[str, ...]) -> None:
        if self.interactive and key in KEYS:
            self.wrong(f"{key!r} belongs to a step, and this is an interactive line (it has {', '.join(known)})")
        elif self.interactive:
            way = f'a name of the state is set with "set": {{"{key}": …}}'
            self.wrong(f"unknown key {key!r}{nearest(key, known)}; {way} (known: {', '.join(known)})")
        elif key in RULE_KEYS:
            self.wrong(
                f'{key!r} belongs to an interactive line: one with "dir": "in" and a "response", "set" or "state"'
            )
        else:
            spelled = [*KEYS, *RULE_KEYS, *SPELLINGS]
            self.wrong(f"unknown key {key!r}{nearest(key, spelled)} (known: {', '.join(KEYS)})")

    # What steps and rules have both

    def payload(self, *, expand: bool) -> Payload | None:
        """Return what is sent or expected."""
        keys = self.keys
        expand = self.check("template", lambda value: isinstance(value, bool), self._expand) and expand
        given = [key for key in PAYLOADS if key in keys and not (key == "binary" and isinstance(keys[key], bool))]
        if len(given) > 1:
            self.wrong(f"more than one payload: {' and '.join(map(repr, given))}")
            return None
        if keys.get("binary") is True and given != ["text"]:
            self.wrong('"binary": true says that "text" is base64, and there is no "text"')
            return None
        if not given:
            return None
        kind, value = given[0], keys[given[0]]
        if kind == "binary" or keys.get("binary") is True:
            return self._binary(kind, value)
        if kind == "text" and not isinstance(value, str):
            self.wrong(f'"text": {shown(value)} is not a text; for a JSON value say "json"')
            return None
        try:
            (value if kind == "text" else json.dumps(value, ensure_ascii=False, allow_nan=False)).encode()
        except UnicodeEncodeError:
            self.wrong(f'"{kind}": a lone surrogate such as \\ud800 is no character and cannot be sent')
            return None
        except (TypeError, ValueError, RecursionError) as error:
            self.wrong(f'"json": {error}')
            return None
        template: JsonTemplate | TextTemplate | None = None
        if expand and kind == "text":
            template = self.attempt(lambda: TextTemplate.parse(value))
        elif expand:
            template = self.attempt(lambda: JsonTemplate.parse(value))
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
            self.wrong(f'"{key}": {shown(value)} is no base64: {error}')
            return None

    def expected(
        self, direction: str, payload: Payload | None
    ) -> tuple[Literal["regex", "exact", "json", "any"], Pattern | None, Pattern | None]:
        """Return how a payload is compared, what an expected message matches, and what is waited for before a send."""
        keys = self.keys
        if direction == "out":
            if "match" in keys:
                self.wrong('"match" belongs to a step with "dir": "in"; to wait before sending, say "waitFor"')
            wait_for = self.attempt(lambda: pattern(keys["waitFor"], where='"waitFor"')) if "waitFor" in keys else None
            return "any", None, wait_for
        if "waitFor" in keys:
            self.wrong('"waitFor" belongs to a step that is sent; a step with "dir": "in" waits by itself')
        default = "any" if payload is None else {"text": "regex", "json": "json", "binary": "exact"}[payload.kind]
        how: Literal["regex", "exact", "json", "any"] = keys.get("match", default)
        if how not in MATCHES:
            self.wrong(f'"match": {shown(how)} is not {KEYS["match"]}{nearest(how, MATCHES)}')
            return "any", None, None
        if payload is None or how == "any":
            return "any", any_message(), None
        if how == "exact" and payload.kind != "json":
            return how, exact(payload.value), None
        if how == "json" and payload.kind != "binary":
            try:
                wanted = payload.value if payload.kind == "json" else json.loads(payload.value)
            except (ValueError, RecursionError) as error:
                self.wrong(f'"match": "json", but its text is no JSON: {error}')
                return how, None, None
            return how, self.attempt(lambda: subset(wanted, where='"json"')), None
        if how == "regex" and payload.kind == "text":
            return how, self.attempt(lambda: pattern(payload.value, where='"text"')), None
        self.wrong(f'"match": "{how}" does not go with "{payload.kind}"')
        return how, None, None

    def end(self) -> tuple[int | None, str, bool]:
        """Return the close code (None: no close), the reason, and whether it ends without a close frame."""
        keys = self.keys
        close = self.check("close", lambda value: isinstance(value, bool), False)
        error = self.check("error", lambda value: isinstance(value, bool), False)
        for key in ("code", "reason"):
            if key in keys and not close:
                self.wrong(f'"{key}" goes with "close": true')
        if close and error:
            self.wrong('"close" sends a close frame and "error" ends without one; say one of them')
        code = self.check("code", may_close, 1000)
        reason = self.check("reason", may_say, "")
        return (code if close else None), reason, error

    def sets(self) -> dict[str, JsonTemplate]:
        """Return the templates of the values that names of the state are set to."""
        given: Mapping[Any, Any] = self.check("set", lambda value: isinstance(value, Mapping), {})
        found: dict[str, JsonTemplate] = {}
        for name, value in given.items():
            if not isinstance(name, str) or not name.isidentifier():
                self.wrong(f'"set": {shown(name)} is no name: letters, digits and _, not a digit first')
                continue
            template = self.attempt(lambda value=value: JsonTemplate.parse(value))  # type: ignore[misc]
            if template is not None:
                found[name] = template
        return found

    def state(self) -> tuple[str | None, Literal["connection", "server"]]:
        """Return the word of the state that becomes true, and whose state it is."""
        word = self.check("state", lambda value: isinstance(value, str) and value.isidentifier(), None)
        return word, self.check("scope", lambda value: value in SCOPES, "connection")

    def fields(self, where: str, each: object, known: tuple[str, ...], needed: int) -> Mapping[str, Any] | None:
        """Return an entry of a list if it is an object with these keys, of which the first `needed` must be there."""
        if not isinstance(each, Mapping):
            self.wrong(f"{where}: {shown(each)} is no object with {', '.join(map(repr, known))}")
            return None
        for key in each:
            if key not in known:
                self.wrong(f"{where}: unknown key {key!r}{nearest(key, known)} (known: {', '.join(known)})")
                return None
        missing = [key for key in known[:needed] if key not in each]
        if missing:
            self.wrong(f"{where}: {missing[0]!r} is missing")
            return None
        return each
