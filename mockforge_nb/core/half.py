"""A script from its client's side: what a client says, and what the server says to it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final, TypeAlias

from mockforge_nb.errors import Problem, ScriptError

from .compare import Comparison, Difference, found
from .compare import hidden as hidden_parts
from .message import NOT_JSON, TEXT, Message, to_json
from .program import Payload, Program, Step
from .recording import REDACTED
from .rules import Rule
from .syntax import split
from .template import JsonTemplate, TextTemplate

REPLAYED: Final = 'say which message it was: "match": "exact" or "json"'


@dataclass(frozen=True, slots=True)
class Said:
    """A message that the client sends.

    Attributes:
        step: The script's step, from 0.
        line: The line of the file that it stands on; 0: none.
        at: When it is due, in ms from the script's start.
        gap: How long after the step before it, in ms.
        message: The message.
    """

    step: int
    line: int
    at: float
    gap: float
    message: Message


@dataclass(frozen=True, slots=True)
class Awaited:
    """A message that the server sends; attributes as of `Said`.

    Attributes:
        pieces: Of a text with tokens what stands between them, and None for what tokens may become; None: no tokens.
    """

    step: int
    line: int
    at: float
    message: Message
    pieces: tuple[str | None, ...] | None = None

    def differences(self, got: Message, comparison: Comparison) -> list[Difference]:
        """Return what differs from a message that came; nothing: they are the same."""
        if self.pieces is None:
            return comparison.differences(self.message, got)
        if got.opcode == TEXT and fits(self.pieces, got.payload.decode(errors="replace")):
            return []
        return [Difference("", self.message.plain, got.plain)]


@dataclass(frozen=True, slots=True)
class Ended:
    """The end of the connection by the server; attributes as of `Said`.

    Attributes:
        code: The close code; 1006: it ends without a close frame (RFC 6455 §7.4.1).
        reason: The reason; empty: any.
    """

    step: int
    line: int
    at: float
    code: int
    reason: str = ""

    def differences(self, code: int, reason: str) -> list[Difference]:
        """Return what differs from an end that came."""
        # A recording writes a close without a code as one with 1000.
        same = code == self.code or (self.code == 1000 and code == 1005)
        made = [] if same else [Difference("code", self.code, code)]
        if self.reason and reason != self.reason:
            made.append(Difference("reason", self.reason, reason))
        return made

    def __str__(self) -> str:
        return end_text(self.code, self.reason)


Act: TypeAlias = Said | Awaited | Ended


@dataclass(frozen=True, slots=True)
class Half:
    """A script from its client's side.

    Attributes:
        acts: What happens, in order.
    """

    acts: tuple[Act, ...]

    @property
    def awaited(self) -> list[Awaited]:
        """What the server says."""
        return [act for act in self.acts if isinstance(act, Awaited)]

    @property
    def end(self) -> Ended | None:
        """How the server ends the connection; None: it does not."""
        return next((act for act in self.acts if isinstance(act, Ended)), None)


def half_of(
    program: Program,
    steps: Sequence[Step],
    rules: Sequence[Rule] = (),
    *,
    carried: tuple[tuple[Any, Any], ...] = (),
    hidden: bool = False,
) -> Half:
    """Return the client's side of a script.

    Args:
        program: The script.
        steps: Its steps.
        rules: Its rules.
        carried: Pairs of JSONPaths (compiled) of values that the server says and that the client says again.
        hidden: Whether a client's message may have parts that a recording hid, as something else takes their place.

    Raises:
        ScriptError: All that a client cannot play.
    """
    problems: list[Problem] = []
    acts: list[Act] = []
    ended = False
    for index, step in enumerate(steps):
        wrong = [*_problems(step, ended)]
        gap = program.gap(index - 1, index) if index else program.at[0]
        place = (index, step.line, program.at[index])
        message = _message(step)
        if step.dir == "in" and message is not None and not wrong:
            if not hidden and is_hidden(message, carried, acts):
                wrong.append(f"a part of it is hidden ({REDACTED}): transform= or carry= can put something there")
            acts.append(Said(*place, gap, message))
        elif step.dir == "out" and step.payload is not None:
            acts.append(_awaited(place, step.payload))
        if step.ends:
            ended = True
            acts.append(Ended(*place, 1006 if step.close is None else step.close, step.reason))
        problems += [Problem(step.line or index + 1, text) for text in wrong]
    problems += [Problem(rule.line, "a rule has no time at which it is played") for rule in rules]
    if problems:
        raise ScriptError(program.name, [Problem(each.line, f"cannot be played: {each.text}") for each in problems])
    return Half(tuple(acts))


def _problems(step: Step, ended: bool) -> Iterator[str]:
    """Return why a client cannot play a step."""
    if ended:
        yield "the connection has ended before it"
    if step.wait_for is not None:
        yield f'"waitFor" does not say which message comes; {REPLAYED.replace("say", "write an in step that says")}'
    if step.targets:
        yield "it may jump to another step"
    if step.every_ms is not None:
        yield 'it is sent again ("every_ms"), and how often a client sees depends on the time'
    if step.dir == "in":
        if step.payload is None:
            yield f"any message may come there; {REPLAYED}"
        elif step.how == "regex":
            yield f"{step.payload.value!r} is a regular expression; {REPLAYED}"


def _message(step: Step) -> Message | None:
    payload = step.payload
    return None if payload is None or payload.template is not None else Message(payload.literal(), payload.opcode)


def _awaited(place: tuple[int, int, float], payload: Payload) -> Awaited:
    """Return what a client gets to see; tokens may become anything."""
    template = payload.template
    if template is None:
        return Awaited(*place, Message(payload.literal(), payload.opcode))
    if isinstance(template, JsonTemplate):
        return Awaited(*place, Message(to_json(masked(payload.value)).encode()))
    pieces = pieces_of(template)
    return Awaited(*place, Message(template.source.encode()), pieces)


def masked(value: Any) -> Any:
    """Return a JSON value in which what tokens may become is hidden, and so is as any other."""
    if isinstance(value, str):
        pieces = pieces_of(TextTemplate.parse(value))
        return REDACTED if None in pieces else "".join(piece or "" for piece in pieces)
    if isinstance(value, dict):
        if any(None in pieces_of(TextTemplate.parse(key)) for key in value):
            return REDACTED
        return {masked(key): masked(one) for key, one in value.items()}
    return [masked(one) for one in value] if isinstance(value, (list, tuple)) else value


def pieces_of(template: TextTemplate) -> tuple[str | None, ...]:
    """Return the texts of a template, and None for what stands between them.

    What is between two statements may be there or not, or several times.
    """
    parts = [*split(template.source)]
    statements = [index for index, part in enumerate(parts) if part.kind == "stmt"]
    open_ = range(statements[0], statements[-1] + 1) if statements else range(0)
    pieces: list[str | None] = []
    for index, part in enumerate(parts):
        piece = part.body if part.kind == "text" and index not in open_ else None
        if piece is not None or pieces[-1:] != [None]:
            pieces.append(piece)
    return tuple(pieces)


def fits(pieces: Sequence[str | None], text: str) -> bool:
    """Return whether a text has the pieces in order, with anything where None stands; in linear time."""
    texts = [piece for piece in pieces if piece is not None]
    if None not in pieces:
        return text == "".join(texts)
    start = "" if pieces[0] is None else texts.pop(0)
    end = "" if pieces[-1] is None else texts.pop()
    if not text.startswith(start) or not text.endswith(end) or len(text) < len(start) + len(end):
        return False
    at, stop = len(start), len(text) - len(end)
    for piece in texts:
        at = text.find(piece, at, stop)
        if at < 0:
            return False
        at += len(piece)
    return True


def is_hidden(message: Message, carried: tuple[tuple[Any, Any], ...], before: Sequence[Act]) -> bool:
    """Return whether a recording hid a part of a message that nothing carried takes the place of."""
    value = message.parsed()
    if value is NOT_JSON:
        return message.opcode == TEXT and message.payload == REDACTED.encode()
    filled = {
        parts
        for source, target in carried
        if any(_says_hidden(act, source) for act in before)
        for parts in found((target,), value)
    }
    return any(parts not in filled for parts in hidden_parts(value))


def _says_hidden(act: Act, source: Any) -> bool:
    if not isinstance(act, Awaited) or act.message.parsed() is NOT_JSON:
        return False
    value = act.message.parsed()
    return any(parts in {*hidden_parts(value)} for parts in found((source,), value))


def end_text(code: int, reason: str) -> str:
    """Return how a connection ended, in words."""
    return f"abort {reason}".rstrip() if code == 1006 else f"close {code} {reason}".rstrip()
