"""Rooms: named sets of connections that are spoken to together."""

from __future__ import annotations

from collections.abc import Hashable
from typing import Generic, TypeVar

M = TypeVar("M", bound=Hashable)


class Rooms(Generic[M]):
    """Who is in which room, in the order in which they joined; a room is there while somebody is in it."""

    __slots__ = ("_of", "_rooms")

    def __init__(self) -> None:
        self._rooms: dict[str, dict[M, None]] = {}
        self._of: dict[M, dict[str, None]] = {}

    def join(self, member: M, room: str) -> None:
        """Let a member into a room; once is as good as twice."""
        self._rooms.setdefault(room, {})[member] = None
        self._of.setdefault(member, {})[room] = None

    def leave(self, member: M, room: str) -> bool:
        """Let a member out of a room; return whether it was there."""
        members = self._rooms.get(room, {})
        if member not in members:
            return False
        del members[member], self._of[member][room]
        if not members:
            del self._rooms[room]
        if not self._of[member]:
            del self._of[member]
        return True

    def gone(self, member: M) -> None:
        """Let a member out of all rooms."""
        for room in self.of(member):
            self.leave(member, room)

    def members(self, room: str) -> list[M]:
        """Return who is in a room."""
        return list(self._rooms.get(room, ()))

    def of(self, member: M) -> list[str]:
        """Return the rooms that a member is in."""
        return list(self._of.get(member, ()))

    def names(self) -> list[str]:
        """Return the rooms that somebody is in."""
        return list(self._rooms)
