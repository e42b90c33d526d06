"""The replay file: JSON Lines to steps and back, with every problem of a file in one error."""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping, Sequence
from typing import Any

from mockforge_nb.errors import Problem, ScriptError, nearest

from .program import ON_TIMEOUT, Program, Step
from .stepkeys import KEYS, PAYLOADS, SPELLINGS, Reader, keys_of

HEADER_VERSION = 1


def parse(text: str, path: str, *, expand: bool = True) -> tuple[tuple[Step, ...], Mapping[str, Any]]:
    """Read a replay file.

    Args:
        text: The whole file.
        path: What errors call it.
        expand: Whether payloads are templates where a line does not say; otherwise they are sent as they stand.

    Returns:
        The steps, and the header line of a recording; empty: there is none.

    Raises:
        ScriptError: All that is wrong with it, each with its line; nothing is half loaded.
    """
    problems: list[Problem] = []
    steps: list[Step] = []
    header: Mapping[str, Any] = {}
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
            if entry["mockforge"] != HEADER_VERSION or isinstance(entry["mockforge"], bool):
                shown = json.dumps(entry["mockforge"])
                problems.append(Problem(line, f'"mockforge": {shown} is no known version ({HEADER_VERSION})'))
            header = entry
            expand = expand and entry.get("templates", True) is not False
        else:
            step = Reader(line, problems, expand=expand).step(entry)
            if step is not None:
                steps.append(step)
        first = False
    if not steps and not problems:
        problems.append(Problem(0, 'there are no steps in it; a step is a line such as {"ts": 0, "text": "hello"}'))
    return _checked(steps, path, problems), header


def steps_of(entries: Sequence[object], name: str) -> tuple[Step, ...]:
    """Return the steps that a list of dicts describes.

    Raises:
        ScriptError: All that is wrong with them, each with its number in the list, from 1.
    """
    problems: list[Problem] = []
    if not entries:
        problems.append(Problem(0, 'there are no steps in it; a step is a dict such as {"ts": 0, "text": "hello"}'))
    steps = [Reader(number, problems).step(entry) for number, entry in enumerate(entries, 1)]
    return _checked([step for step in steps if step is not None], name, problems)


def _checked(steps: list[Step], name: str, problems: list[Problem]) -> tuple[Step, ...]:
    # What a broken line would have been called is not known, so jumps to it are not wrong for certain.
    if not problems:
        problems = jumps(steps)
    if problems:
        raise ScriptError(name, problems)
    return tuple(steps)


def jumps(steps: Sequence[Step]) -> list[Problem]:
    """Return what is wrong with the ids of steps and with the jumps to them."""
    problems: list[Problem] = []
    ids: dict[str, int] = {}
    for number, step in enumerate(steps, 1):
        place = step.line or number
        if step.step_id in ON_TIMEOUT:
            problems.append(Problem(place, f'"step_id": {step.step_id!r} is a word of "on_timeout"; choose another'))
        elif step.step_id in ids:
            problems.append(
                Problem(place, f'"step_id": {step.step_id!r} is the id of line {ids[step.step_id]} already')
            )
        elif step.step_id is not None:
            ids[step.step_id] = place
    for number, step in enumerate(steps, 1):
        problems += [
            Problem(step.line or number, f"no step has the id {target!r}{nearest(target, ids)}")
            for target in dict.fromkeys(step.targets)
            if target not in ids
        ]
    return problems


def unreachable(steps: Sequence[Step]) -> list[int]:
    """Return the indexes of the steps that no way through the script leads to."""
    ids = {step.step_id: index for index, step in enumerate(steps)}
    seen: set[int] = set()
    ahead = [0] if steps else []
    while ahead:
        index = ahead.pop()
        if index in seen or index >= len(steps):
            continue
        seen.add(index)
        step = steps[index]
        if step.ends:
            ahead += [ids[step.on_timeout]] if step.on_timeout in ids else []
            continue
        ahead += [ids[target] for target in step.targets]
        if step.next_step is None:
            ahead.append(index + 1)
    return [index for index in range(len(steps)) if index not in seen]


def dump(steps: Sequence[Step], name: str, *, header: Mapping[str, Any] | None = None) -> str:
    """Return the replay file of steps; reading it gives the same steps.

    Raises:
        ScriptError: A step with a pattern that is Python code, which a file cannot hold.
    """
    lines = [json.dumps({"mockforge": HEADER_VERSION, **header}, ensure_ascii=False)] if header else []
    problems: list[Problem] = []
    for number, step in enumerate(steps, 1):
        try:
            lines.append(json.dumps(keys_of(step), ensure_ascii=False, allow_nan=False))
        except (TypeError, ValueError) as error:
            problems.append(Problem(step.line or number, str(error)))
    if problems:
        raise ScriptError(name, problems)
    return "".join(line + "\n" for line in lines)


def looks_like_step(entry: Mapping[Any, Any] | Collection[Any]) -> bool:
    """Return whether keys are a step's, not a row's: only those of a step, and something to send or to do."""
    return all(SPELLINGS.get(key, key) in KEYS for key in entry) and any(
        key in entry for key in (*PAYLOADS, "dir", "close")
    )


def program(steps: Sequence[Step], name: str, *, delays: bool = False) -> Program:
    """Return the program of steps whose jumps hold.

    Raises:
        ScriptError: An id that two steps have, or a jump to no step.
    """
    problems = jumps(steps)
    if problems:
        raise ScriptError(name, problems)
    return Program.of(steps, name, delays=delays)


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    entry = dict(pairs)
    if len(entry) < len(pairs):
        keys = [key for key, _ in pairs]
        twice = next(key for index, key in enumerate(keys) if key in keys[:index])
        raise ValueError(f"the key {twice!r} stands there twice")
    return entry


def _no_constant(name: str) -> Any:
    raise ValueError(f"{name} is no JSON; write null")
