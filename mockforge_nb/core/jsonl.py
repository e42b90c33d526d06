"""The replay file: JSON Lines to steps and rules and back, with every problem of a file in one error."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from mockforge_nb.errors import Problem, ScriptError, nearest

from .line import KEYS, PAYLOADS, RULE_KEYS, SPELLINGS, Line
from .program import ON_TIMEOUT, Program, Step
from .recorded import KEYS as HEAD_KEYS
from .recorded import Recorded, is_head, recorded_of
from .rulekeys import keys_of_rule, rule_of
from .rules import Rule
from .stepkeys import keys_of, step_of

HEADER_VERSION = 1

NOTHING = 'there is nothing in it; a step is {0} such as {{"ts": 0, "text": "hello"}}'


class Parsed(NamedTuple):
    """What a file says.

    Attributes:
        steps: The steps.
        rules: The interactive lines.
        header: A recording's header line, or nothing.
        connections: The numbers of a recording's connections, in the order of the lines.
        recorded: What is known of the recorded connection that the steps are of.
    """

    steps: tuple[Step, ...]
    rules: tuple[Rule, ...]
    header: Mapping[str, Any] = {}
    connections: tuple[int, ...] = ()
    recorded: Recorded = Recorded()


def parse(text: str, path: str, *, expand: bool = True, connection: int | None = None) -> Parsed:
    """Read a replay file; of a recording with several connections, one of them.

    Args:
        text: The whole file.
        path: What errors call it.
        expand: Whether payloads are templates where a line does not say; otherwise they are sent as they stand.
        connection: Which connection's lines are read, beside those that name none; the first that a line names unless
            given.

    Raises:
        ScriptError: All that is wrong with it, each with its line; nothing is half loaded.
    """
    problems: list[Problem] = []
    return assemble(entries(text, problems), path, problems, expand=expand, connection=connection)


def entries(text: str, problems: list[Problem], *, way: str = "") -> Iterator[tuple[int, Any]]:
    """Read a replay file's lines as JSON, each with its number; what is none is added to `problems`.

    `way` is the way out where the last line has no end and is no JSON, as if the file was cut off.
    """
    # Not splitlines(): a JSON text may hold U+2028 and other line ends of Unicode.
    lines = text.removeprefix("\ufeff").split("\n")
    for line, raw in enumerate(lines, 1):
        end = f"; {way}" if way and line == len(lines) > 1 else ""
        stripped = raw.strip()
        if not stripped or stripped.startswith(("//", "#")):
            continue
        try:
            yield line, json.loads(stripped, object_pairs_hook=_unique, parse_constant=_no_constant)
        except json.JSONDecodeError as error:
            column = error.colno + len(raw) - len(raw.lstrip())
            problems.append(Problem(line, f"no JSON: {error.msg} at column {column}{end}"))
        except (ValueError, RecursionError) as error:
            problems.append(Problem(line, f"no JSON: {error or 'nested too deeply'}{end}"))


def assemble(
    entries: Iterable[tuple[int, Any]],
    path: str,
    problems: list[Problem],
    *,
    expand: bool = True,
    connection: int | None = None,
) -> Parsed:
    """Make the steps and rules of a replay file's entries, each with its line; arguments and errors as of `parse`."""
    lines: list[Step | Rule] = []
    header: Mapping[str, Any] = {}
    first = True
    named: dict[int, None] = {}
    heads: dict[int, Recorded] = {}
    for line, entry in entries:
        if first and isinstance(entry, dict) and "mockforge" in entry:
            if entry["mockforge"] != HEADER_VERSION or isinstance(entry["mockforge"], bool):
                shown = json.dumps(entry["mockforge"])
                problems.append(Problem(line, f'"mockforge": {shown} is no known version ({HEADER_VERSION})'))
            header = entry
            expand = expand and entry.get("templates", True) is not False
        elif is_head(entry):
            head = recorded_of(entry, header, line, problems)
            heads[head.connection] = head
        else:
            number = entry.get("connection") if isinstance(entry, dict) else None
            if isinstance(number, int) and not isinstance(number, bool):
                named[number] = None
                connection = number if connection is None else connection
            made = read(entry, line, problems, expand=expand)
            lines += made if number is None or number == connection else ()
        first = False
    if connection is not None and (named or heads) and connection not in named:
        problems.append(Problem(0, f"there is no connection {connection}; it has {', '.join(map(str, sorted(named)))}"))
    if not lines and not problems:
        problems.append(Problem(0, NOTHING.format("a line")))
    only = next(iter(heads.values())) if len(heads) == 1 and connection is None else None
    recorded = only or heads.get(connection or 0) or Recorded.of_header(header, connection or 0)
    checked = _checked(lines, path, problems)
    return checked._replace(header=header, connections=tuple(named), recorded=recorded)


def each_connection(entries: Iterable[tuple[int, Any]], path: str, problems: list[Problem]) -> list[Parsed]:
    """Make the steps of each connection of a recording that said or heard something; errors as of `parse`.

    A script that is no recording is one connection's. Where nothing is in it there is none.
    """
    common: list[tuple[int, Any]] = []
    own: dict[int, list[tuple[int, Any]]] = {}
    spoke: dict[int, None] = {}
    for line, entry in entries:
        number = entry.get("connection") if isinstance(entry, dict) else None
        if not isinstance(number, int) or isinstance(number, bool):
            common.append((line, entry))
            continue
        own.setdefault(number, []).append((line, entry))
        if not is_head(entry):
            spoke[number] = None
    if not spoke:
        empty = all(isinstance(entry, dict) and "mockforge" in entry for _, entry in common) and not problems
        return [] if empty else [assemble(common, path, problems)]
    # What is wrong with one is said with what is wrong with all.
    found = []
    for number in spoke:
        lines = sorted([*common, *own[number]], key=lambda each: each[0])
        found.append(assemble(lines, path, list(problems), connection=number))
    return found


def read(entry: object, number: int, problems: list[Problem], *, expand: bool = True) -> list[Step | Rule]:
    """Return the step or rule of one line; nothing if something is wrong with it, which is added to `problems`."""
    count = len(problems)
    line = Line(number, problems, expand=expand)
    if not line.read(entry):
        return []
    made = rule_of(line) if line.interactive else step_of(line)
    return [made] if len(problems) == count else []


def lines_of(entries: Sequence[object], name: str) -> Parsed:
    """Return the steps and rules that a list of dicts describes.

    Raises:
        ScriptError: All that is wrong with them, each with its number in the list, from 1.
    """
    problems: list[Problem] = []
    if not entries:
        problems.append(Problem(0, NOTHING.format("a dict")))
    lines = [line for number, entry in enumerate(entries, 1) for line in read(entry, number, problems)]
    return _checked(lines, name, problems)


def _checked(lines: Sequence[Step | Rule], name: str, problems: list[Problem]) -> Parsed:
    steps = tuple(line for line in lines if isinstance(line, Step))
    rules = tuple(line for line in lines if isinstance(line, Rule))
    # What a broken line would have been called is not known, so jumps to it are not wrong for certain.
    if not problems:
        problems = jumps(steps) + _afters(rules)
    if problems:
        raise ScriptError(name, problems)
    return Parsed(steps, rules)


def _afters(rules: Sequence[Rule]) -> list[Problem]:
    """Return which rules come after one that is not there."""
    known = {name for rule in rules for name in rule.names}
    return [
        Problem(
            rule.line or number, f'"after": no interactive line is called {rule.after!r}{nearest(rule.after, known)}'
        )
        for number, rule in enumerate(rules, 1)
        if rule.after is not None and rule.after not in known
    ]


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


def keys_of_lines(lines: Sequence[Step | Rule], name: str) -> list[dict[str, Any]]:
    """Return the lines of a replay file of steps and rules; reading them gives the same.

    Raises:
        ScriptError: A step or rule with Python code, which a file cannot hold.
    """
    made: list[dict[str, Any]] = []
    problems: list[Problem] = []
    for number, line in enumerate(lines, 1):
        try:
            keys = keys_of_line(line)
            json.dumps(keys, allow_nan=False)
            made.append(keys)
        except (TypeError, ValueError) as error:
            problems.append(Problem(line.line or number, str(error)))
    if problems:
        raise ScriptError(name, problems)
    return made


def keys_of_line(line: Step | Rule) -> dict[str, Any]:
    """Return a step or rule as a line of a file has it.

    Raises:
        ValueError: It holds Python code, which a file cannot.
    """
    return keys_of(line) if isinstance(line, Step) else keys_of_rule(line)


def looks_like_step(entry: Mapping[Any, Any] | Collection[Any]) -> bool:
    """Return whether keys are a step's, not a row's: only those of a step, and something to send or to do."""
    known = (*KEYS, *RULE_KEYS, *(HEAD_KEYS if "opened" in entry and "connection" in entry else ()))
    return all(SPELLINGS.get(key, key) in known for key in entry) and any(
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
