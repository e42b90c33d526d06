"""Values that one side says anew in each connection, put where the other said the recorded ones again."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from .compare import NOTHING, Parts, at, found, paths, replaced
from .message import NOT_JSON, Message, to_json


def carried(given: object, where: str) -> tuple[tuple[Any, Any], ...]:
    """Return pairs of compiled JSONPaths: where one side says a value, and where the other says it again.

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
    """What one side said in place of recorded values.

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

    def put(self, value: Any) -> tuple[Any, set[Parts]]:
        """Return a JSON value of the other side's with these in place of the recorded ones, and where they are.

        It is the very same if nothing changes.
        """
        made, places = value, set[Parts]()
        for index, (_, target) in enumerate(self._pairs if self._said else ()):
            for parts in found((target,), value):
                was = at(value, parts)
                new = self._said.get((index, to_json(was)), NOTHING)
                if new is NOTHING or at(made, parts) is NOTHING:
                    continue
                places.add(parts)
                if to_json(new) != to_json(was):
                    made = replaced(made, parts, new)
        return made, places

    @property
    def sources(self) -> tuple[Any, ...]:
        """The JSONPaths of what the server says."""
        return tuple(source for source, _ in self._pairs)
