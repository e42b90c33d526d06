"""What a server said against what was recorded: a verdict a step."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import islice
from typing import Any, Final, Literal, TypeAlias, get_args

from .alignment import AHEAD, Pair, in_any_order, in_order
from .compare import NOTHING, Comparison, Difference, masked
from .half import Awaited, Ended, Half, Said, end_text
from .message import Message
from .sketch import NO_FACTS, Index, Sketch, sketch

Word: TypeAlias = Literal["sent", "skipped", "unsent", "received", "ok", "differs", "missing", "unexpected"]
WORDS: Final = get_args(Word)
WRONG: Final = ("unsent", "differs", "missing", "unexpected")
"""The words for what is not as recorded."""

Key: TypeAlias = Callable[[Message], object]


@dataclass(frozen=True, slots=True)
class Got:
    """A message that was sent or came, and when, in seconds from the connection's start."""

    message: Message | None
    elapsed: float


@dataclass(frozen=True, slots=True)
class End:
    """How the server ended the connection, and when.

    Attributes:
        code: The close code; 1006: without a close frame.
        reason: The reason.
        elapsed: When, in seconds from the connection's start.
    """

    code: int
    reason: str
    elapsed: float

    def __str__(self) -> str:
        return end_text(self.code, self.reason)


@dataclass(slots=True)
class Played:
    """What happened when the client's half was played.

    Attributes:
        came: The server's messages, in order.
        sent: What was sent for each step; without a message: on purpose nothing.
        end: How the server ended the connection; None: it did not.
        subprotocol: The subprotocol that it selected.
    """

    came: list[Got] = field(default_factory=list)
    sent: dict[int, Got] = field(default_factory=dict)
    end: End | None = None
    subprotocol: str | None = None


@dataclass(frozen=True, slots=True)
class Verdict:
    """One step, or one thing of the server's that stands for none.

    Attributes:
        word: The verdict.
        direction: ``in``: ours, ``out``: the server's.
        step: The step, from 0; None: none.
        line: The line of the file that it stands on; 0: none.
        ts_ms: When it was due in the recording.
        elapsed: When it was sent or came, in seconds; None: never.
        recorded: What was recorded; None: nothing.
        got: What was sent or came; None: nothing.
        differences: What differs.
        failed: Whether the server is not as it was recorded.
    """

    word: Word
    direction: Literal["in", "out"]
    step: int | None = None
    line: int = 0
    ts_ms: float | None = None
    elapsed: float | None = None
    recorded: str | bytes | None = None
    got: str | bytes | None = None
    differences: tuple[str, ...] = ()
    failed: bool = False


@dataclass(frozen=True, slots=True)
class Judge:
    """Compares what came with what was recorded.

    Attributes:
        comparison: How messages are compared.
        key: What is equal for equal messages, in place of the comparison; None: the comparison decides.
        order: Whether the order counts.
        extra: Whether the server may say more than was recorded.
        expect: Whether anything is compared.
        subprotocol: The subprotocol that must be selected; None: that is not looked at.
    """

    comparison: Comparison = field(default_factory=Comparison)
    key: Key | None = None
    order: bool = True
    extra: bool = False
    expect: bool = True
    subprotocol: str | None = None

    def pairs(self, awaited: Sequence[Awaited], came: Sequence[Message]) -> list[Pair]:
        """Return which message stands for which that was recorded."""
        keys, got_keys = self._keys([one.message for one in awaited]), self._keys(came)
        sketches, got_sketches = self._sketches(awaited, came)

        def differences(i: int, j: int) -> list[Difference]:
            return self._differences(awaited[i], came[j], (keys[i], got_keys[j]))

        def same(i: int, j: int) -> bool:
            if not sketches[i].may_be(got_sketches[j]) and awaited[i].message.payload != came[j].payload:
                return False
            return not differences(i, j)

        def cost(i: int, j: int) -> float:
            found = differences(i, j)
            whole = any(one.path in ("", "$") for one in found)
            # A value that is not there tells another kind of message.
            weight = sum(1 + (one.got is NOTHING) for one in found)
            return 1.0 if whole else weight / (weight + 3)

        if self.order:
            return in_order(len(awaited), len(came), same, cost)
        # What has tokens, or is compared by a key, is not equal because its bytes are.
        plain = self.key is None
        recorded = [
            _bytes(one.message) if plain and one.pieces is None else (place,) for place, one in enumerate(awaited)
        ]
        index = Index(got_sketches)
        return in_any_order(recorded, [_bytes(one) for one in came], same, cost, lambda i: index.having(sketches[i]))

    def settled(self, half: Half, came: Sequence[Message]) -> bool:
        """Return whether nothing more can come that was recorded."""
        if not self.expect:
            return True
        awaited = half.awaited
        for i, j in reversed(self.pairs(awaited, came)):
            if i is not None:
                if j is None or not self.same(awaited[i], came[j]):
                    return False
                if self.order:
                    return True
        return True

    def verdicts(self, half: Half, played: Played) -> list[Verdict]:
        """Return the verdicts in the order of the script; what came beside it stands where it came."""
        awaited = half.awaited
        came = [one.message for one in played.came if one.message is not None]
        pairs = self.pairs(awaited, came) if self.expect else [(None, j) for j in range(len(came))]
        partner = dict(pairs)
        at_step = {i: place for place, i in enumerate(k for k, act in enumerate(half.acts) if isinstance(act, Awaited))}
        rows: list[Verdict] = [*self._handshake(played)]
        stands: dict[int, int] = {}  # which row a message that came has
        for place, act in enumerate(half.acts):
            if isinstance(act, Said):
                rows += self._said(act, played)
            elif isinstance(act, Awaited) and self.expect:
                j = partner.get(at_step[place])
                if j is not None:
                    stands[j] = len(rows)
                rows.append(self._heard(act, None if j is None else played.came[j]))
            elif isinstance(act, Ended) and self.expect:
                rows.append(self._ended(act, played.end))
        beside = sorted(j for i, j in pairs if i is None and j is not None)
        rows = _inserted(rows, stands, [(j, self._beside(played.came[j])) for j in beside])
        return rows + self._early(half, played, rows)

    def _handshake(self, played: Played) -> list[Verdict]:
        if self.subprotocol is None or not self.expect:
            return []
        same = played.subprotocol == self.subprotocol
        shown = _selected(played.subprotocol)
        return [
            Verdict(
                "ok" if same else "differs",
                "out",
                elapsed=0.0,
                recorded=_selected(self.subprotocol),
                got=shown,
                differences=() if same else (str(Difference("subprotocol", self.subprotocol, played.subprotocol)),),
                failed=not same,
            )
        ]

    def _said(self, act: Said, played: Played) -> list[Verdict]:
        sent = played.sent.get(act.step)
        about: dict[str, Any] = {"step": act.step, "line": act.line, "ts_ms": act.at, "recorded": act.message.plain}
        if sent is None:
            why = f"the connection had ended: {played.end}" if played.end is not None else "it was not sent"
            return [Verdict("unsent", "in", **about, differences=(why,), failed=self.expect)]
        if sent.message is None:
            return [Verdict("skipped", "in", **about, elapsed=sent.elapsed)]
        return [Verdict("sent", "in", **about, elapsed=sent.elapsed, got=masked(act.message, sent.message).plain)]

    def _heard(self, act: Awaited, got: Got | None) -> Verdict:
        about: dict[str, Any] = {"step": act.step, "line": act.line, "ts_ms": act.at, "recorded": act.message.plain}
        if got is None or got.message is None:
            return Verdict("missing", "out", **about, failed=True)
        differences = tuple(map(str, self._of(act, got.message)))
        about |= {"elapsed": got.elapsed, "got": masked(act.message, got.message).plain}
        if differences:
            return Verdict("differs", "out", **about, differences=differences, failed=True)
        return Verdict("ok", "out", **about)

    def _ended(self, act: Ended, end: End | None) -> Verdict:
        about: dict[str, Any] = {"step": act.step, "line": act.line, "ts_ms": act.at, "recorded": str(act)}
        if end is None:
            return Verdict("missing", "out", **about, differences=("the server did not end it",), failed=True)
        differences = tuple(map(str, act.differences(end.code, end.reason)))
        about |= {"elapsed": end.elapsed, "got": str(end)}
        if differences:
            return Verdict("differs", "out", **about, differences=differences, failed=True)
        return Verdict("ok", "out", **about)

    def _beside(self, got: Got) -> Verdict:
        said = None if got.message is None else got.message.plain
        if not self.expect:
            return Verdict("received", "out", elapsed=got.elapsed, got=said)
        return Verdict("unexpected", "out", elapsed=got.elapsed, got=said, failed=not self.extra)

    def _early(self, half: Half, played: Played, rows: Sequence[Verdict]) -> list[Verdict]:
        """Return the end of the connection where none was recorded; after the last step it may end well."""
        end = played.end
        if end is None or (half.end is not None and self.expect):
            return []
        if not self.expect:
            return [Verdict("received", "out", elapsed=end.elapsed, got=str(end))]
        last = next((row.word for row in reversed(rows) if row.step is not None), "ok")
        if last not in ("missing", "unsent") and end.code in (1000, 1001, 1005):
            return []
        return [Verdict("unexpected", "out", elapsed=end.elapsed, got=str(end), failed=True)]

    def same(self, act: Awaited, got: Message) -> bool:
        """Return whether a message is as it was recorded."""
        return not self._of(act, got)

    def _of(self, act: Awaited, got: Message) -> list[Difference]:
        recorded, came = self._keys([act.message, got])
        return self._differences(act, got, (recorded, came))

    def _differences(self, act: Awaited, got: Message, keys: tuple[object, object]) -> list[Difference]:
        if self.key is None:
            return act.differences(got, self.comparison)
        return [] if keys[0] == keys[1] else [Difference("key", *keys)]

    def _sketches(self, awaited: Sequence[Awaited], came: Sequence[Message]) -> tuple[list[Sketch], list[Sketch]]:
        if self.key is not None or self.comparison.how == "types":
            return [NO_FACTS] * len(awaited), [NO_FACTS] * len(came)
        ignore = self.comparison.ignore
        recorded = [NO_FACTS if one.pieces is not None else sketch(one.message, ignore) for one in awaited]
        return recorded, [sketch(one, ignore) for one in came]

    def _keys(self, messages: Sequence[Message]) -> list[object]:
        return [None if self.key is None else self.key(one) for one in messages]


class Progress:
    """How much of what was recorded has come, from a server that may say more than that.

    Args:
        judge: What tells whether a message is as recorded.
        awaited: What was recorded.
    """

    def __init__(self, judge: Judge, awaited: Sequence[Awaited]) -> None:
        self._judge, self._awaited = judge, awaited
        self._left = dict.fromkeys(range(len(awaited)))
        self._seen = 0

    def __call__(self, came: Sequence[Message], count: int) -> bool:
        """Return whether the first of the recorded, so many, have come."""
        for message in came[self._seen :]:
            likely = [i for i in islice(self._left, AHEAD) if i < count]
            found = next((i for i in likely if self._judge.same(self._awaited[i], message)), None)
            if found is not None:
                # In order, those before it will not come any more.
                for i in [i for i in likely if i < found and self._judge.order] + [found]:
                    del self._left[i]
        self._seen = len(came)
        return next(iter(self._left), count) >= count


def counts(verdicts: Sequence[Verdict]) -> Mapping[str, int]:
    """Return how often each verdict was given, those that were."""
    words = [one.word for one in verdicts]
    return {word: words.count(word) for word in WORDS if word in words}


def diff(verdicts: Sequence[Verdict], most: int = 10) -> str:
    """Return the first failures, to be read: where each is, what was recorded and what came."""
    lines: list[str] = []
    wrong = [(place, one) for place, one in enumerate(verdicts) if one.failed]
    for place, one in wrong[:most]:
        lines.append(f"{where(verdicts, place)}: {one.word}")
        if one.recorded is not None:
            lines.append(f"  recorded {_shown(one.recorded)}")
        if one.got is not None:
            lines.append(f"  got      {_shown(one.got)}")
        # Of a whole that differs, both lines say it already.
        lines += [f"  {text}" for text in one.differences if not text.startswith("recorded ")]
    if len(wrong) > most:
        lines.append(f"… and {len(wrong) - most:,} more")
    return "\n".join(lines)


def where(verdicts: Sequence[Verdict], place: int) -> str:
    """Return which step a verdict is about, or after which it came."""
    one = verdicts[place]
    if one.step is not None:
        return f"step {one.step}" + (f" (line {one.line})" if one.line else "")
    before = next((each.step for each in reversed(verdicts[:place]) if each.step is not None), None)
    if one.recorded is not None:
        return "handshake"
    return "before the first step" if before is None else f"after step {before}"


def _inserted(rows: list[Verdict], stands: Mapping[int, int], beside: Sequence[tuple[int, Verdict]]) -> list[Verdict]:
    """Return the rows with those that stand for no step: behind what came and what was sent before them."""
    behind: dict[int, list[Verdict]] = {}
    before = sorted(stands.items(), reverse=True)
    place = -1 if not rows or rows[0].step is not None else 0
    for j, row in beside:
        while before and before[-1][0] < j:
            place = max(place, before.pop()[1])
        while place + 1 < len(rows) and _sent_before(rows[place + 1], row):
            place += 1
        behind.setdefault(place, []).append(row)
    made = behind.get(-1, [])
    for place, row in enumerate(rows):
        made.append(row)
        made += behind.get(place, ())
    return made


def _sent_before(row: Verdict, other: Verdict) -> bool:
    return row.direction == "in" and row.elapsed is not None and row.elapsed <= (other.elapsed or 0.0)


def _bytes(message: Message) -> tuple[int, bytes]:
    return message.opcode, message.payload


def _selected(subprotocol: str | None) -> str:
    return "no subprotocol" if subprotocol is None else f"subprotocol {subprotocol}"


def _shown(value: str | bytes, most: int = 300) -> str:
    text = value if isinstance(value, str) else repr(value[: most + 1])
    return text if len(text) <= most else text[: most - 1] + "…"
