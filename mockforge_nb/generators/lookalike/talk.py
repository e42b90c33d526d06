"""More like this traffic: which message follows which, after how long, and what is in it.

Messages are of kinds: by a key that tells them apart (``type``, ``event``, ``op``), or by their shape, or, of texts,
by all but their digits. Kinds follow each other as in a Markov chain of the first order. What is in the messages of a
kind is a table of their values, whose rows follow each other, see `lookalike`.
"""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from random import Random
from typing import TYPE_CHECKING, Any, Final, TypeAlias

from mockforge_nb.errors import GeneratorError, OptionError

from .columns import Fields

if TYPE_CHECKING:
    import pandas as pd

Said: TypeAlias = tuple[float, str, Any]
"""When (ms from the start), whose (``"in"``: the client's, or ``"out"``), and what: a JSON value, a text or bytes."""

KNOWN_KEYS: Final = ("type", "event", "op", "action", "kind", "method", "channel", "e", "T", "msg", "cmd", "topic")
"""What the key that tells messages apart is often called."""

MOST_KINDS: Final = 64
"""How many values a key may have that tells messages apart. Of more sketches of texts, or shapes, all are one kind."""


@dataclass(frozen=True, slots=True)
class Kind:
    """A kind of message.

    Attributes:
        direction: Who says it.
        label: What it is, such as ``type=trade``.
    """

    direction: str
    label: str

    def __str__(self) -> str:
        return f"{self.direction} {self.label}" if self.direction else self.label


BEGIN: Final = Kind("", "begin")
END: Final = Kind("", "end")


class TalkModel:
    """Learns conversations and goes on talking like one side of them.

    What remains: which kind of message begins, follows which, and ends; the pauses between each two kinds; the keys
    of a kind's messages and their order, which of them are optional, and their values, see `TableModel`: prices walk
    on, sequence numbers grow. Lists and what is rare are drawn whole, and so are binary messages. Instants, as texts or
    epochs, that are the messages' own follow the time at which a message is due, as far from it as in the source, and
    templates (`core.template.Slot`) stay what they are.

    What does not remain is what joins messages: each kind's values are made by themselves. A reply names no message
    that was sent, people speak who never joined, and a total is not the sum of what came before; a client that checks
    such things needs a script, or a feed.

    Args:
        seed: Used where `messages` is given none.
    """

    def __init__(self, *, seed: int = 0) -> None:
        self._seed = _seed(seed, "TalkModel(seed=)")
        self._next: dict[Kind, list[tuple[Kind, list[float]]]] = {}
        self._fields: dict[Kind, Fields] = {}
        self._merged: frozenset[str] = frozenset()
        self.key: str | None = None
        """The key that tells messages apart; None: their shape does."""

    def __repr__(self) -> str:
        return f"<TalkModel of {len(self._fields)} kinds of messages>" if self._next else "<TalkModel unfitted>"

    def fit(self, conversations: Iterable[Iterable[Said]]) -> TalkModel:
        """Learn conversations, and return this model.

        Args:
            conversations: What was said on each connection, in order.

        Raises:
            OptionError: Something is no such message.
            GeneratorError: Nobody said anything.
        """
        talks = [[_checked(said, i, j) for j, said in enumerate(talk)] for i, talk in enumerate(conversations)]
        if not any(talks):
            raise GeneratorError("there is no message in these conversations, so nothing can be like them")
        self.key = _key([value for talk in talks for _, _, value in talk if isinstance(value, dict)])
        self._merged = frozenset(_too_many(talks, self.key))
        pauses: defaultdict[Kind, defaultdict[Kind, list[float]]] = defaultdict(lambda: defaultdict(list))
        said: defaultdict[Kind, list[tuple[int, float, Any]]] = defaultdict(list)
        for number, talk in enumerate(talks):
            if not talk:
                continue
            last, at = BEGIN, 0.0
            for ms, direction, value in talk:
                kind = Kind(direction, self._label(value))
                # Two clocks may disagree a little on what was first.
                pauses[last][kind].append(max(ms - at, 0.0))
                last, at = kind, ms
                if direction == "out":
                    said[kind].append((number, ms, value))
            pauses[last][END].append(0.0)
        self._next = {kind: list(after.items()) for kind, after in pauses.items()}
        self._fields = {kind: Fields.of(each) for kind, each in said.items()}
        return self

    def messages(self, seed: int | None = None, *, endless: bool = False) -> Iterator[tuple[float, Any]]:
        """Return what is said, and when (ms from the start), until the conversation ends.

        What the other side said decides what may follow, and when, but is not said.

        Args:
            seed: Used instead of the model's.
            endless: Whether the conversation begins anew where it would end; values go on.

        Raises:
            GeneratorError: The model has learned nothing, or no message of this side.
        """
        chosen = self._seed if seed is None else _seed(seed, "messages(seed)")
        self._known()
        if not self._fields:
            raise GeneratorError('no message of these conversations is "out", so there is nothing to say')
        return self._talk(chosen, endless)

    def transitions(self) -> pd.DataFrame:
        """Return how often which kind follows which, and the median pause between them (ms).

        Columns: `from`, `to`, `share` (of all that follows `from`), `count`, `gap_ms`.

        Raises:
            GeneratorError: The model has learned nothing.
        """
        import numpy as np
        import pandas as pd

        self._known()
        rows = []
        for kind, after in self._next.items():
            count = sum(len(pauses) for _, pauses in after)
            for then, pauses in after:
                rows.append((str(kind), str(then), len(pauses) / count, len(pauses), float(np.median(pauses))))
        return pd.DataFrame(rows, columns=["from", "to", "share", "count", "gap_ms"])

    def _label(self, value: Any) -> str:
        label = _label(value, self.key)
        return label[0] if label[0] in self._merged else " ".join(label)

    def _known(self) -> None:
        if not self._next:
            raise GeneratorError("this TalkModel has learned no conversation yet; call fit(conversations) first")

    def _talk(self, seed: int, endless: bool) -> Iterator[tuple[float, Any]]:
        # Each kind has chance of its own, so that a kind more does not change what the others say.
        rng = Random(seed)
        values = {
            kind: fields.values(Random(f"{seed} {kind}").getrandbits(62)) for kind, fields in self._fields.items()
        }
        weights = {kind: [len(pauses) for _, pauses in after] for kind, after in self._next.items()}
        last, now = BEGIN, 0.0
        while True:
            last, pauses = rng.choices(self._next[last], weights[last])[0]
            now += rng.choice(pauses)
            if last == END:
                if not endless:
                    return
                last = BEGIN
            elif last in values:
                yield now, next(values[last])(now)


def _checked(said: Any, talk: int, place: int) -> Said:
    where = f"conversation {talk}, message {place}"
    if not isinstance(said, Sequence) or isinstance(said, (str, bytes)) or len(said) != 3:
        raise OptionError(where, said, "is no message", "valid: (ms, direction, value)")
    ms, direction, value = said
    if isinstance(ms, bool) or not isinstance(ms, (int, float)) or not abs(ms) < float("inf"):
        raise OptionError(where, ms, "is no time in ms")
    if direction not in ("in", "out"):
        raise OptionError(f"{where}, direction", direction, valid=("in", "out"))
    if isinstance(value, (bytearray, memoryview)):
        value = bytes(value)
    return float(ms), direction, value


def _label(value: Any, key: str | None) -> tuple[str, ...]:
    """Return what sort of message a value is, and which of the sort."""
    if isinstance(value, bytes):
        return ("binary",)
    if isinstance(value, str):
        sketch = re.sub(r"\d+", "#", value)
        return "text", sketch if len(sketch) <= 60 else sketch[:59] + "…"
    if isinstance(value, dict):
        if key is not None and isinstance(value.get(key), str):
            return (f"{key}={value[key]}",)
        return "object", f"{{{', '.join(sorted(map(str, value)))}}}"
    return ("list" if isinstance(value, (list, tuple)) else type(value).__name__,)


def _too_many(talks: Sequence[Sequence[Said]], key: str | None) -> Iterator[str]:
    """Yield the sorts of messages that are of more than `MOST_KINDS`."""
    kinds = {_label(value, key) for talk in talks for _, _, value in talk}
    for sort in ("text", "object"):
        if sum(kind[0] == sort for kind in kinds) > MOST_KINDS:
            yield sort


def _key(messages: Sequence[Mapping[str, Any]]) -> str | None:
    """Return the key whose value tells most about the shape of a message; None: none tells anything.

    A key must be of few texts, and in a third of the messages at least. One that tells nothing, since all have one
    shape, is taken if it has a known name.
    """
    values: defaultdict[str, list[tuple[str, Any]]] = defaultdict(list)
    shapes: list[Any] = [frozenset(message) for message in messages]
    for message, shape in zip(messages, shapes, strict=True):
        for key, value in message.items():
            if isinstance(value, str):
                values[key].append((value, shape))
    whole = _surprise(Counter(shapes))
    best: tuple[float, bool, int] = (0.0, False, 0)
    found = None
    for key, pairs in values.items():
        kinds = len({value for value, _ in pairs})
        if len(pairs) * 3 < len(messages) or kinds > min(MOST_KINDS, max(2, len(pairs) // 2)):
            continue
        split: defaultdict[Any, Counter[Any]] = defaultdict(Counter)
        for message, shape in zip(messages, shapes, strict=True):
            value = message.get(key)
            split[value if isinstance(value, str) else None][shape] += 1
        left = sum(_surprise(each) * each.total() for each in split.values()) / len(messages)
        score = (round(whole - left, 6), key in KNOWN_KEYS, -kinds)
        if score > best and (score[0] > 0.05 or key in KNOWN_KEYS):
            best, found = score, key
    return found


def _surprise(counts: Counter[Any]) -> float:
    """Return the entropy of what was counted, in bits."""
    from math import log2

    total = counts.total()
    return -sum(count / total * log2(count / total) for count in counts.values())


def _seed(seed: Any, where: str) -> int:
    if isinstance(seed, bool) or not isinstance(seed, int) or seed < 0:
        raise OptionError(where, seed, "is no whole number from 0 on")
    return seed
