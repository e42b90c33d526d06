"""Which plan is at which path."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from copy import copy
from dataclasses import dataclass, field, replace
from typing import Any, Final
from urllib.parse import unquote

from mockforge_nb.errors import OptionError, nearest

from .conditions import Conditions
from .plan import Plan, Replay, Shared

_PARAMETER: Final = re.compile(r"\{([A-Za-z_]\w*)(:path)?\}")


@dataclass(frozen=True, slots=True)
class PathPattern:
    """A path whose segments may be parameters: ``/prices/{symbol}``; the last may be the rest: ``/files/{name:path}``.

    Attributes:
        text: As it was written.
        segments: For each segment the literal (decoded), or None for a parameter.
        names: The parameters, in order.
        rest: Whether the last parameter takes all segments that are left, at least one.
    """

    text: str
    segments: tuple[str | None, ...]
    names: tuple[str, ...]
    rest: bool = False

    @classmethod
    def parse(cls, text: object, where: str) -> PathPattern:
        """Return the pattern that `text` writes.

        Raises:
            OptionError: It is no path, a parameter is no whole segment, or two have one name.
        """
        # What is between braces is told of below.
        marks = set(re.sub(r"{.*?}", "", text)) & set("?# ") if isinstance(text, str) else set()
        if not isinstance(text, str) or not text.startswith("/") or marks:
            raise OptionError(where, text, "is no path", "valid: a text that begins with '/', such as '/ws'")
        segments: list[str | None] = []
        names: list[str] = []
        rest = False
        for raw in text[1:].split("/"):
            found = _PARAMETER.fullmatch(raw)
            if rest or (found is None and ("{" in raw or "}" in raw)):
                valid = (
                    "a parameter is a whole segment, one word, '/prices/{symbol}'; only the last may be '{name:path}'"
                )
                raise OptionError(where, text, f"has the segment {raw!r}", valid)
            if found is None:
                segments.append(unquote(raw))
                continue
            if found[1] in names:
                raise OptionError(where, text, f"has two parameters {found[1]!r}")
            segments.append(None)
            names.append(found[1])
            rest = found[2] is not None
        return cls(text, tuple(segments), tuple(names), rest)

    @property
    def shape(self) -> tuple[object, ...]:
        """What two patterns have in common that take the same paths."""
        return (*self.segments, self.rest)

    @property
    def rank(self) -> tuple[object, ...]:
        """What patterns are tried by: literals before parameters, from the left, and the rest of a path last."""
        return (self.rest, tuple(segment is None for segment in self.segments))

    def match(self, path: str) -> dict[str, str] | None:
        """Return the parameters (decoded) of a request's path; None: it does not match."""
        parts = path[1:].split("/")
        count = len(self.segments)
        if len(parts) != count and not (self.rest and len(parts) > count):
            return None
        if self.rest:
            parts = [*parts[: count - 1], "/".join(parts[count - 1 :])]
        values: list[str] = []
        for segment, part in zip(self.segments, parts, strict=True):
            decoded = unquote(part)
            if segment is None and decoded:
                values.append(decoded)
            elif segment != decoded:
                return None
        return dict(zip(self.names, values, strict=True))


@dataclass(frozen=True, slots=True)
class Route:
    """A plan at a path, and what its connections have in common."""

    path: PathPattern
    plan: Plan
    shared: Shared = field(default_factory=Shared)

    def lacks(self, params: Mapping[str, str]) -> str | None:
        """Return what a path's parameters ask for that is not there, in words; None: all is there."""
        behaviour = self.plan.behaviour
        return behaviour.lacks(params) if isinstance(behaviour, Replay) else None

    def under(self, conditions: Conditions) -> Route:
        """Return the route with another network."""
        return replace(self, plan=replace(self.plan, conditions=conditions))


class Routes:
    """The plans of a server by their paths.

    Attributes:
        state: The server's state, which all plans share.

    Raises:
        OptionError: Two plans are at one path.
    """

    def __init__(self, plans: Sequence[tuple[PathPattern, Plan]], state: dict[str, Any] | None = None) -> None:
        self.state: dict[str, Any] = {} if state is None else state
        seen: dict[tuple[object, ...], str] = {}
        for path, _ in plans:
            if path.shape in seen:
                problem = f"takes the same paths as {seen[path.shape]!r}, which has a mock already"
                raise OptionError("route()", path.text, problem)
            seen[path.shape] = path.text
        self._take([Route(path, plan, Shared(state=self.state)) for path, plan in plans])

    def _take(self, routes: list[Route]) -> None:
        self._all = routes
        self._ranked = sorted(self._all, key=lambda route: route.path.rank)
        self._fixed: Mapping[str, Route] = {route.path.text: route for route in self._all if not route.path.names}

    def under(self, change: Callable[[Conditions], Conditions]) -> Routes:
        """Return the routes with what `change` makes of each one's network; what their connections share stays."""
        made = copy(self)
        made._take([route.under(change(route.plan.conditions)) for route in self._all])
        return made

    def __iter__(self) -> Iterator[Route]:
        return iter(self._all)

    @property
    def first(self) -> Route:
        """The plan that was named first."""
        return self._all[0]

    def find(self, path: str) -> tuple[Route, dict[str, str]] | None:
        """Return the route that takes a request's path, and the path's parameters; None: there is none."""
        route = self._fixed.get(path)
        if route is not None:
            return route, {}
        for route in self._ranked:
            params = route.path.match(path)
            if params is not None:
                return None if route.lacks(params) else (route, params)
        return None

    def missing(self, path: str) -> str:
        """Return what somebody is told who asks for a path that is not there."""
        for route in self._ranked:
            params = route.path.match(path)
            lacks = None if params is None else route.lacks(params)
            if lacks is not None:
                return lacks
        paths = [route.path.text for route in self._all]
        meant = nearest(path, paths) if len(paths) > 1 else ""
        return f"There is nothing at {path}; this mock serves {', '.join(paths)}{meant or '.'}"
