"""Subscriptions: what a connection says of the keys that it wants, and what it is played then."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from mockforge_nb.errors import OptionError

from .compare import at, found
from .cuts import Cuts, View
from .message import NOT_JSON, Message, to_json
from .pattern import Match, Pattern
from .plan import Replay, Shared
from .player import Player
from .rules import Answer, Call


@dataclass(frozen=True, slots=True)
class Keyed:
    """Which of a client's messages name keys, and where.

    Attributes:
        function: A function of the message that returns its keys, or None: it names none; None: the next two say it.
        pattern: What the message must match; None: it is enough that it has keys.
        path: The compiled JSONPath of the keys.
    """

    function: Call | None = None
    pattern: Pattern | None = None
    path: Any = None

    def asked(self, message: Message) -> list[str] | None:
        """Return the keys that a message names; None: it does not name any.

        Raises:
            Exception: What the function raised.
            OptionError: It returned no keys.
        """
        if self.function is not None:
            return self._called(self.function, message)
        value = message.parsed()
        if value is NOT_JSON or (self.pattern is not None and self.pattern.match(message) is None):
            return None
        try:
            keys = [text for parts in found((self.path,), value) for text in key_texts(at(value, parts))]
        except RecursionError:  # nested too deeply to look through
            return None
        return keys or (None if self.pattern is None else [])

    def _called(self, function: Call, message: Message) -> list[str] | None:
        keys = function(message)
        if keys is None:
            return None
        if isinstance(keys, (str, int)) or not isinstance(keys, Iterable):
            keys = [keys]
        return [text for each in keys for text in key_texts(each)]


@dataclass(frozen=True, slots=True)
class Subscription:
    """How a connection says which keys it wants.

    Attributes:
        subscribe: The messages that ask for keys.
        unsubscribe: Those that give them back; None: nothing does.
        ack: What both are answered.
    """

    subscribe: Keyed
    unsubscribe: Keyed | None = None
    ack: tuple[Answer, ...] = ()


@dataclass(frozen=True, slots=True)
class Heard:
    """What a connection asked for.

    Attributes:
        unknown: The keys that it named and the table does not have.
        match: What its answer may read of those that it named.
    """

    unknown: list[str]
    match: Match


@dataclass(slots=True)
class Subscriber:
    """One connection's subscriptions.

    Attributes:
        replay: How the table is played.
        cuts: How it is cut.
        subscription: How keys are asked for.
        shared: What the replay's connections have in common.
        keys: The keys that it wants, in the order in which it asked for them.
        changed: Whether these are not what it is played: that is changed once for all that came with one read.
    """

    replay: Replay
    cuts: Cuts
    subscription: Subscription
    shared: Shared
    keys: dict[str, None] = field(default_factory=dict)
    changed: bool = False
    _view: View | None = None

    def hear(self, message: Message) -> Heard | None:
        """Take note of what a message asks for; None: it asks for nothing.

        Raises:
            Exception: What a function of the author's raised.
        """
        asked = None
        if self.subscription.unsubscribe is not None:
            asked = self.subscription.unsubscribe.asked(message)
        gives_back = asked is not None
        if asked is None:
            asked = self.subscription.subscribe.asked(message)
        if asked is None:
            return None
        assert self.cuts.keys is not None
        known = self.cuts.keys.known(asked)
        for key in known:
            if gives_back:
                self.keys.pop(key, None)
            else:
                self.keys[key] = None
        self.changed = True
        groups = (message.payload.decode(errors="replace"),)
        return Heard(self.cuts.keys.lacking(asked), Match(groups, value=asked))

    def play(self, player: Player | None, now: float, base_ns: int) -> Player | None:
        """Return who plays what the connection wants now: the player that it has, changed, or its first one.

        Args:
            player: The one that it has; None: it did not want anything yet.
            now: The driver's time (s).
            base_ns: The UTC time (ns) at which a play-head that begins now begins.
        """
        self.changed = False
        keys = frozenset(self.keys)
        if player is None or self._view is None:
            if not keys:
                return player
            self._view = View(self.cuts, keys, base_ns)
            return Player(self.replay, now, self.shared, self._view)
        if keys != self._view.keys:
            player.change(keys, now)
        return player


def key_texts(value: Any) -> list[str]:
    """Return what was asked for as keys: a text, or a number as JSON writes it; of a list each of its values.

    Raises:
        OptionError: It is none of these, nor a list of them; for functions of the author's.
    """
    if isinstance(value, str):
        return [value]
    if isinstance(value, float):
        return [str(int(value)) if value.is_integer() else to_json(value)] if math.isfinite(value) else []
    if isinstance(value, (bool, int)):
        return [to_json(value)]
    if isinstance(value, (list, tuple, set, frozenset)):
        return [text for each in value for text in key_texts(each)]
    if value is None or isinstance(value, dict):
        return []
    raise OptionError("subscribe=", value, f"is a {type(value).__name__}, and no key", "a text, a number, a list")
