"""A cassette: recorded connections as exchanges, and which of them a client's message is taken for."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, Literal, TypeAlias

from mockforge_nb.errors import ExpectationError, NotRecordedError, Problem, ScriptError

from .compare import Comparison, at, found
from .line import shown
from .message import NOT_JSON, TEXT, Message, to_json
from .pattern import Pattern
from .program import Program, Step
from .recorded import Recorded
from .recording import REDACTED, without
from .sketch import NO_FACTS, Sketch, sketch

Key: TypeAlias = Callable[[Message], Any]

MOST_NEAR: Final = 500
"""Among how many recorded messages the nearest is sought: the server's other connections wait meanwhile."""

PLAYS: Final = "a cassette plays messages alone; replay() plays scripts"


@dataclass(frozen=True, slots=True, eq=False)
class Exchange:
    """A client's message, and what the server said before the client's next one.

    Attributes:
        message: What was recorded of the client; None: it has said nothing yet.
        pattern: What a message must match in its place, where the recording says so; None: it is compared.
        at: When it came, in ms from the opening of the connection.
        step: The step that it is; -1: none.
        steps: The steps of the server's.
        key: What a key function gives for the message.
        sketch: What of the message is quickly compared.
    """

    message: Message | None
    pattern: Pattern | None
    at: float
    step: int
    steps: tuple[int, ...]
    key: Any = None
    sketch: Sketch = NO_FACTS


@dataclass(frozen=True, slots=True, eq=False)
class Tape:
    """A recorded connection.

    Attributes:
        number: Which of the cassette's tapes it is, from 0.
        recorded: What is known of it.
        program: Its steps.
        exchanges: What was said; the first begins with the connection.
    """

    number: int
    recorded: Recorded
    program: Program
    exchanges: tuple[Exchange, ...]


@dataclass(slots=True)
class Played:
    """What of a cassette the connections of a server have had.

    Attributes:
        claimed: How many connections were opened at each path.
        counts: How often each exchange was played, by the numbers of the tape and the exchange.
        left: For each tape that was asked, its exchanges that were not played yet, in order.
    """

    claimed: dict[str, int] = field(default_factory=dict)
    counts: dict[tuple[int, int], int] = field(default_factory=dict)
    left: dict[int, dict[int, None]] = field(default_factory=dict)

    def of(self, tape: Tape) -> dict[int, None]:
        """Return the exchanges of a tape that were not played yet."""
        left = self.left.get(tape.number)
        if left is None:
            left = self.left[tape.number] = dict.fromkeys(range(1, len(tape.exchanges)))
        return left

    def note(self, tape: Tape, index: int) -> None:
        """Count an exchange as played."""
        self.of(tape).pop(index, None)
        key = (tape.number, index)
        self.counts[key] = self.counts.get(key, 0) + 1


@dataclass(frozen=True, slots=True, eq=False)
class Cassette:
    """A recording that answers in place of the server that was recorded.

    Attributes:
        name: What errors call it.
        tapes: The recorded connections.
        match: How a message is taken for a recorded one: compared, in its place (``order``), or by a key function.
        comparison: How they are compared.
        carry: Pairs of compiled JSONPaths: where a client's message has a value that takes the recorded one's place,
            and where the server's messages have that.
        rebase: The compiled JSONPaths of times in the server's messages.
        repeats: Whether what was played may be played again.
        speed: What the recorded times are divided by.
        live: Whether what was not recorded goes to the upstream.
        redact: The compiled JSONPaths of what no error shows.
    """

    name: str
    tapes: tuple[Tape, ...]
    match: Literal["order", "compare"] | Key = "compare"
    comparison: Comparison = field(default_factory=Comparison)
    carry: tuple[tuple[Any, Any], ...] = ()
    rebase: tuple[Any, ...] = ()
    repeats: bool = False
    speed: float = 1.0
    live: bool = False
    redact: tuple[Any, ...] = ()

    def claim(self, path: str, played: Played) -> Tape | None:
        """Return the tape of the next connection at a path; None: there is none any more."""
        tapes = self._at(path)
        count = played.claimed[path] = played.claimed.get(path, 0) + 1
        if count <= len(tapes) or (self.repeats and tapes):
            return tapes[(count - 1) % len(tapes)]
        return None

    def _at(self, path: str) -> tuple[Tape, ...]:
        """Return the tapes of a path; where all were recorded at one, it may have another name now."""
        found = tuple(tape for tape in self.tapes if tape.recorded.path == path)
        same = len({tape.recorded.path for tape in self.tapes}) == 1
        return found or (self.tapes if same else ())

    def no_tape(self, path: str, played: Played) -> NotRecordedError:
        """Return the error of a connection that was not recorded."""
        count, there = played.claimed.get(path, 0), len(self._at(path))
        paths = ", ".join(dict.fromkeys(tape.recorded.path or "?" for tape in self.tapes))
        has = f"it has {there} there" if there else f"it has connections at {paths}: serve it at one of these paths"
        return NotRecordedError(
            self.name, f"connection {count} at {path} was not recorded; {has}", ways=self._ways(again=bool(there))
        )

    def left_over(self, played: Played) -> ExpectationError | None:
        """Return the error of what was recorded of clients and not said now; None: all of it was."""
        left = [
            one.message
            for tape in self.tapes
            for index, one in enumerate(tape.exchanges)
            if one.message is not None and not played.counts.get((tape.number, index))
        ]
        if not left:
            return None
        shown = ", ".join(map(repr, left[:3])) + (", …" if len(left) > 3 else "")
        return ExpectationError(f"{self.name}: {len(left)} recorded messages were not said: {shown}")

    def _ways(self, *, again: bool = False) -> str:
        """Return the ways out of a miss."""
        repeat = "" if self.repeats or not again else "allow_playback_repeats=True plays what was played once more, "
        return f'{repeat}record_mode="new_episodes" records what is missing, "all" everything anew'

    def find(self, tape: Tape, heard: int, message: Message, played: Played) -> tuple[Tape, int] | None:
        """Return the exchange that a message begins.

        The connection's own tape comes first, then the others; what was not played yet comes before what was.

        Args:
            tape: The connection's own tape.
            heard: How many messages of the client's were taken before.
            message: The message.
            played: What was played.

        Raises:
            Exception: What a key function raised.
        """
        if self.match == "order":
            count = len(tape.exchanges) - 1
            index = heard + 1 if not self.repeats or not count else heard % count + 1
            return (tape, index) if index < len(tape.exchanges) else None
        fits = self._test(message)
        tapes = (tape, *(each for each in self._at(tape.recorded.path) if each is not tape))
        # A pattern would take what is recorded as it was said.
        for wild in (False, True):
            for one in tapes:
                for index in played.of(one):
                    exchange = one.exchanges[index]
                    if (exchange.pattern is not None) is wild and fits(exchange):
                        return one, index
        if not self.repeats:
            return None
        again = [
            (exchange.pattern is not None, played.counts.get((one.number, index), 0), order, index)
            for order, one in enumerate(tapes)
            for index, exchange in enumerate(one.exchanges)
            if exchange.message is not None and fits(exchange)
        ]
        return (tapes[min(again)[2]], min(again)[3]) if again else None

    def _test(self, message: Message) -> Callable[[Exchange], bool]:
        """Return what tells whether a message is taken for that of an exchange."""
        key = self.match(message) if callable(self.match) else None
        quick = NO_FACTS if callable(self.match) else sketch(message, self.comparison.ignore)

        def fits(exchange: Exchange) -> bool:
            if exchange.pattern is not None:
                return exchange.pattern.match(message) is not None
            if callable(self.match):
                return bool(exchange.key == key)
            assert exchange.message is not None
            return exchange.sketch.may_be(quick) and not self.comparison.differences(exchange.message, message)

        return fits

    def missed(self, tape: Tape, message: Message, played: Played) -> NotRecordedError:
        """Return the error of a message that was not recorded: the nearest that was, and what differs."""
        # What was not played yet comes first: it is what could have been meant.
        exchanges = [
            (one.number, index, each)
            for one in (tape, *(other for other in self._at(tape.recorded.path) if other is not tape))
            for index, each in enumerate(one.exchanges)
            if each.message is not None
        ]
        exchanges.sort(key=lambda each: (played.counts.get(each[:2], 0) > 0, each[0] != tape.number))
        message = without(message, self.redact)
        said = f"the client said {message!r}, which was not recorded"
        exchanges = exchanges[:MOST_NEAR]
        if not exchanges:
            return NotRecordedError(self.name, f"{said}; the client said nothing there", ways=self._ways())
        number, index, near = min(exchanges, key=lambda each: self._distance(each[2], message))
        assert near.message is not None
        differ = self.comparison.differences(near.message, message)
        count = played.counts.get((number, index), 0)
        again = bool(count) and (not differ or callable(self.match))
        if again:
            said = f"the client said {message!r} once more: it was recorded {_times(self._like(exchanges, near))}"
        if self.match == "order":
            said = f"the client said {message!r}, and it was recorded with {len(tape.exchanges) - 1} messages"
        return NotRecordedError(self.name, said, near.message, differ, ways=self._ways(again=again))

    def _like(self, exchanges: Iterable[tuple[int, int, Exchange]], near: Exchange) -> int:
        assert near.message is not None
        there = (each.message for _, _, each in exchanges if each.message is not None)
        return sum(not self.comparison.differences(near.message, one) for one in there)

    def _distance(self, exchange: Exchange, message: Message) -> tuple[float, float]:
        """Return how far a recorded message is from one that came: by what differs, then by the letters."""
        recorded = exchange.message
        assert recorded is not None
        differ = self.comparison.differences(recorded, message)
        if not differ:
            return 0.0, 0.0
        both = len(_flat(recorded.payload)) + len(_flat(message.payload))
        common = len(_flat(recorded.payload) & _flat(message.payload))
        whole = any(not each.path for each in differ)
        return (1e9 if whole else float(len(differ))), 1 - 2 * common / max(1, both)


def _flat(payload: bytes) -> set[bytes]:
    """Return the pairs of letters of a payload's beginning."""
    return {payload[index : index + 2] for index in range(min(len(payload), 2000))}


def _times(count: int) -> str:
    return "once" if count == 1 else f"{count} times"


def tape_of(
    number: int,
    recorded: Recorded,
    steps: Sequence[Step],
    name: str,
    key: Key | None = None,
    carry: tuple[tuple[Any, Any], ...] = (),
    ignore: tuple[Any, ...] = (),
) -> Tape:
    """Return the tape of a recorded connection.

    Args:
        number: Which tape it is, from 0.
        recorded: What is known of the connection.
        steps: What was said.
        name: What errors call the recording.
        key: A key function of the author's.
        carry: Pairs of compiled JSONPaths, by which it is known which message a reply is for.
        ignore: The compiled JSONPaths of what does not count in messages.

    Raises:
        ScriptError: There is more in it than messages and ends.
        Exception: What the key function raised.
    """
    problems = more_than_messages(steps, PLAYS)
    if problems:
        raise ScriptError(name, problems)
    program = Program.of(steps, name)
    return Tape(number, recorded, program, tuple(_exchanges(program, steps, key, carry, ignore)))


def more_than_messages(steps: Sequence[Step], why: str) -> list[Problem]:
    """Return what steps do that is more than to say and hear messages; `why` says what is wrong with that."""
    return [
        Problem(step.line or index, f"{what}: {why}") for index, step in enumerate(steps, 1) for what in _more(step)
    ]


def _more(step: Step) -> Iterator[str]:
    does: dict[str, object] = {
        "waitFor": step.wait_for, "on_match or branches": step.branches, "next_step": step.next_step,
        "assertions": step.assertions, "every_ms": step.every_ms, "set": step.sets, "state": step.state,
    }  # fmt: skip
    for what, there in does.items():
        if there:
            yield f'"{what}"'
    if step.dir == "out" and step.payload is not None and step.payload.template is not None:
        yield f'{shown(step.payload.value)} is a template ("template": false sends it as it stands)'


def _exchanges(
    program: Program,
    steps: Sequence[Step],
    key: Key | None,
    carry: tuple[tuple[Any, Any], ...],
    ignore: tuple[Any, ...],
) -> Iterator[Exchange]:
    begins = [-1, *(index for index, step in enumerate(steps) if step.dir == "in")]
    replies = _replies(steps, begins, carry)
    for begin, said in zip(begins, replies, strict=True):
        if begin < 0:
            yield Exchange(None, None, 0.0, -1, tuple(said))
            continue
        step = steps[begin]
        message = _message(step)
        # What a recording hid is written as "any", and is still known but for what was hidden.
        hidden = step.payload is not None and REDACTED.encode() in message.payload and message.opcode == TEXT
        wild = step.how == "regex" or step.payload is None or (step.how == "any" and not hidden)
        made = key(message) if key is not None and not wild else None
        quick = NO_FACTS if wild or key is not None else sketch(message, ignore)
        yield Exchange(message, step.match if wild else None, program.at[begin], begin, tuple(said), made, quick)


def _replies(steps: Sequence[Step], begins: list[int], carry: tuple[tuple[Any, Any], ...]) -> list[list[int]]:
    """Return for each message of the client's which steps answer it.

    One that has the id of a message answers that; any other the last message before it.
    """
    said: list[list[int]] = [[] for _ in begins]
    asked: dict[tuple[int, str], int] = {}
    exchange = 0
    for index, step in enumerate(steps):
        value = _message(step).parsed() if carry and step.payload is not None else NOT_JSON
        if step.dir == "in":
            exchange += 1
            for number, (source, _) in enumerate(carry if value is not NOT_JSON else ()):
                asked |= {(number, to_json(at(value, parts))): exchange for parts in found((source,), value)}
            continue
        ids = (
            (number, to_json(at(value, parts)))
            for number, (_, target) in enumerate(carry if value is not NOT_JSON else ())
            for parts in found((target,), value)
        )
        said[next((asked[each] for each in ids if each in asked), exchange)].append(index)
    return said


def _message(step: Step) -> Message:
    return Message(b"") if step.payload is None else Message(step.payload.literal(), step.payload.opcode)
