"""Values that a server says anew in each connection, put where the client said the recorded ones."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from .compare import NOTHING, at, found, paths, replaced
from .message import NOT_JSON, Message, to_json


def carried(given: object, where: str) -> tuple[tuple[Any, Any], ...]:
    """Return pairs of compiled JSONPaths: where the server says a value, and where the client says it again.

    Args:
        given: A list of JSONPaths, the same for both, or a dict of them.
        where: The call and argument, for the error.

    Raises:
        OptionError: It is neither.
    """
    if isinstance(given, Mapping):
        return tuple(zip(paths([*given], where), paths([*given.values()], where), strict=True))
    return tuple((path, path) for path in paths(given, where))


class Carry:
    """What a server said in place of recorded values.

    Args:
        pairs: The JSONPaths, as of `carried`.
    """

    def __init__(self, pairs: tuple[tuple[Any, Any], ...]) -> None:
        self._pairs = pairs
        self._said: dict[tuple[int, str], Any] = {}

    def learn(self, recorded: Message, got: Message) -> None:
        """Keep what a message says in place of a recorded one."""
        want, value = recorded.parsed(), got.parsed()
        if want is NOT_JSON or value is NOT_JSON:
            return  # only JSON has paths
        for index, (source, _) in enumerate(self._pairs):
            for parts in found((source,), want):
                new = at(value, parts)
                if new is not NOTHING:
                    self._said[index, to_json(at(want, parts))] = new

    def put(self, message: Message) -> Message:
        """Return a client's message with what the server said in place of the recorded values."""
        value = message.parsed()
        if value is NOT_JSON:
            return message
        made = value
        for index, (_, target) in enumerate(self._pairs):
            for parts in found((target,), value):
                new = self._said.get((index, to_json(at(value, parts))), NOTHING)
                if new is not NOTHING and at(made, parts) is not NOTHING:
                    made = replaced(made, parts, new)
        return message if made is value else Message(to_json(made).encode(), message.opcode)

    @property
    def sources(self) -> tuple[Any, ...]:
        """The JSONPaths of what the server says."""
        return tuple(source for source, _ in self._pairs)
