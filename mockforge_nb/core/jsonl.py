"""JSON Lines to a Program: the replay file, one step a line, with every problem of a file in one error."""

from __future__ import annotations

import base64
import binascii
import json
import math
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any

from mockforge_nb.errors import OptionError, Problem, ScriptError, TemplateError, nearest

from .match import Pattern, any_message, exact, pattern, subset
from .program import Payload, Program, Step
from .template import JsonTemplate, TextTemplate

KEYS = {
    "ts": "a number of milliseconds from 0 on",
    "dir": '"out" or "in"',
    "text": "a text",
    "json": "any JSON value",
    "binary": 'base64 in a text (or true beside "text")',
    "waitFor": "a regular expression or JSONPath",
    "match": '"regex", "exact", "json" or "any"',
    "template": "true or false",
}
"""The keys of a step, and what each takes."""

SPELLINGS = {"wait_for": "waitFor"}
"""Other spellings that are read."""

PAYLOADS = ("text", "json", "binary")
MATCHES = ("regex", "exact", "json", "any")


def parse(text: str, path: str, *, expand: bool = True, names: Collection[str] = ()) -> Program:
    """Read a replay file.

    Args:
        text: The whole file.
        path: What errors call it.
        expand: Whether payloads are templates; otherwise they are sent as they stand.
        names: The user's own template functions and values.

    Raises:
        ScriptError: All that is wrong with it, each with its line; nothing is half loaded.
    """
    problems: list[Problem] = []
    steps: list[Step] = []
    first = True
    # Not splitlines(): a JSON text may hold U+2028 and other line ends of Unicode.
    for line, raw in enumerate(text.removeprefix("\ufeff").split("\n"), 1):
        stripped = raw.strip()
        if not stripped or stripped.startswith(("//", "#")):
            continue
        try:
            entry = json.loads(stripped, object_pairs_hook=_unique, parse_constant=_no_constant)
        except json.JSONDecodeError as error:
            column = error.colno + len(raw) - len(raw.lstrip())
            problems.append(Problem(line, f"no JSON: {error.msg} at column {column}"))
            continue
        except (ValueError, RecursionError) as error:
            problems.append(Problem(line, f"no JSON: {error or 'nested too deeply'}"))
            continue
        if first and isinstance(entry, dict) and "mockforge" in entry:
            if entry["mockforge"] != 1:
                problems.append(Problem(line, f'"mockforge": {entry["mockforge"]!r} is no known version (1)'))
        else:
            step = step_from(entry, line, problems, expand=expand, names=names)
            if step is not None:
                steps.append(step)
        first = False
    if not steps and not problems:
        problems.append(Problem(0, 'there are no steps in it; a step is a line such as {"ts": 0, "text": "hello"}'))
    if problems:
        raise ScriptError(path, problems)
    return Program.of(steps, path)


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    entry = dict(pairs)
    if len(entry) < len(pairs):
        seen: set[str] = set()
        twice = next(key for key, _ in pairs if key in seen or seen.add(key))  # type: ignore[func-returns-value]
        raise ValueError(f"the key {twice!r} stands there twice")
    return entry


def _no_constant(name: str) -> Any:
    raise ValueError(f"{name} is no JSON; write null")


def looks_like_step(entry: Mapping[Any, Any]) -> bool:
    """Return whether a dict is a step, not a row: only keys of a step, and something to send or to wait for."""
    return all(SPELLINGS.get(key, key) in KEYS for key in entry) and any(key in entry for key in (*PAYLOADS, "dir"))


def step_from(
    entry: object, line: int, problems: list[Problem], *, expand: bool = True, names: Collection[str] = ()
) -> Step | None:
    """Return the step that `entry` describes, or None after adding what is wrong with it to `problems`."""
    count = len(problems)

    def wrong(text: str) -> None:
        problems.append(Problem(line, text))

    if not isinstance(entry, Mapping):
        wrong(f"a step is a JSON object, not {_shown(entry)}")
        return None
    keys: dict[str, Any] = {}
    for key, value in entry.items():
        name = SPELLINGS.get(key, key)
        if name not in KEYS:
            wrong(f"unknown key {key!r}{nearest(key, [*KEYS, *SPELLINGS])} (known: {', '.join(KEYS)})")
        elif name in keys:
            wrong(f"{key!r} and {name!r} are the same key")
        else:
            keys[name] = value
    if len(problems) > count:
        return None

    direction = keys.get("dir", "out")
    if direction not in ("out", "in"):
        wrong(f'"dir": {_shown(direction)} is not {KEYS["dir"]}{nearest(direction, ("out", "in"))}')
    if not _is_time(keys.get("ts", 0)):
        wrong(f'"ts": {_shown(keys["ts"])} is not {KEYS["ts"]}')
    expand_this = keys.get("template", expand)
    if not isinstance(expand_this, bool):
        wrong(f'"template": {_shown(expand_this)} is not {KEYS["template"]}')
        expand_this = False
    wait_for = None
    if "waitFor" in keys:
        if direction == "in":
            wrong('"waitFor" belongs to a step that is sent; a step with "dir": "in" waits by itself')
        wait_for = _checked(lambda: pattern(keys["waitFor"], where='"waitFor"'), wrong)
    payload = _payload(keys, expand_this and direction != "in", names, wrong)
    match = None
    if direction == "in":
        match = _matcher(keys, payload, wrong)
    elif "match" in keys:
        wrong('"match" belongs to a step with "dir": "in"; to wait before sending, say "waitFor"')
    elif payload is None and not any(key in keys for key in PAYLOADS):
        wrong(f"nothing to send: a step has one of {', '.join(map(repr, PAYLOADS))}")
    if len(problems) > count:
        return None
    ts = keys.get("ts")
    return Step(
        ts=None if ts is None else float(ts), dir=direction, payload=payload, wait_for=wait_for, match=match, line=line
    )


def _shown(value: object) -> str:
    try:
        text = json.dumps(value, ensure_ascii=False)
    except (TypeError, ValueError, RecursionError):
        text = repr(value)
    return text if len(text) <= 60 else text[:57] + "..."


def _is_time(value: object) -> bool:
    return (
        isinstance(value, (int, float))
        and not isinstance(value, bool)
        and value >= 0
        and ((isinstance(value, int) and value < 1 << 53) or math.isfinite(value))
    )


def _checked(make: Callable[[], Any], wrong: Callable[[str], None]) -> Any:
    """Return what `make` makes; a refusal becomes a problem of the line."""
    try:
        return make()
    except (OptionError, TemplateError) as error:
        wrong(str(error))
        return None


def _payload(
    keys: Mapping[str, Any], expand: bool, names: Collection[str], wrong: Callable[[str], None]
) -> Payload | None:
    given = [key for key in PAYLOADS if key in keys and not (key == "binary" and isinstance(keys[key], bool))]
    if len(given) > 1:
        wrong(f"more than one payload: {' and '.join(map(repr, given))}")
        return None
    if "binary" in keys and keys["binary"] is True and given != ["text"]:
        wrong('"binary": true says that "text" is base64, and there is no "text"')
        return None
    if not given:
        return None
    kind = given[0]
    value = keys[kind]
    if kind == "json":
        if not _utf8(_shown_whole(value)):
            wrong('"json": a lone surrogate such as \\ud800 is no character and cannot be sent')
            return None
        parsed = _checked(lambda: JsonTemplate.parse(value, names=names), wrong) if expand else None
        return Payload("json", value, None if parsed is None or parsed.literal else parsed)
    if kind == "binary" or keys.get("binary") is True:
        if isinstance(value, (bytes, bytearray, memoryview)):
            return Payload("binary", bytes(value))
        try:
            if not isinstance(value, str):
                raise ValueError("not a text")
            return Payload("binary", base64.b64decode(value, validate=True))
        except (ValueError, binascii.Error) as error:
            wrong(f'"{kind}": {_shown(value)} is no base64: {error}')
            return None
    if not isinstance(value, str):
        wrong(f'"text": {_shown(value)} is not a text; for a JSON value say "json"')
        return None
    if not _utf8(value):
        wrong('"text": a lone surrogate such as \\ud800 is no character and cannot be sent')
        return None
    template = _checked(lambda: TextTemplate.parse(value, names=names), wrong) if expand else None
    return Payload("text", value, None if template is None or template.literal else template)


def _shown_whole(value: object) -> str:
    return json.dumps(value, ensure_ascii=False, default=str)


def _utf8(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def _matcher(keys: Mapping[str, Any], payload: Payload | None, wrong: Callable[[str], None]) -> Pattern | None:
    how = keys.get("match", "regex" if payload is None or payload.kind == "text" else "json")
    if how not in MATCHES:
        wrong(f'"match": {_shown(how)} is not {KEYS["match"]}{nearest(how, MATCHES)}')
        return None
    if payload is None or how == "any":
        return any_message()
    if payload.kind == "binary":
        return exact(payload.value)
    if how == "json":
        if payload.kind == "json":
            return subset(payload.value)
        try:
            return subset(json.loads(payload.value))
        except ValueError as error:
            wrong(f'"match": "json", but its text is no JSON: {error}')
            return None
    if payload.kind == "json":
        wrong(f'"match": "{how}" wants a "text"; a "json" value is compared with "match": "json"')
        return None
    if how == "exact":
        return exact(payload.value)
    found: Pattern | None = _checked(lambda: pattern(payload.value, where='"text"'), wrong)
    return found


def program_of(entries: Sequence[object], name: str, *, names: Collection[str] = ()) -> Program:
    """Return the program of a list of steps as dicts.

    Raises:
        ScriptError: All that is wrong with them, each with its number in the list, from 1.
    """
    problems: list[Problem] = []
    steps = [step_from(entry, number, problems, names=names) for number, entry in enumerate(entries, 1)]
    if problems:
        raise ScriptError(name, problems)
    return Program.of([step for step in steps if step is not None], name)
