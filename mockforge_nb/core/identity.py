"""Who a session is: what its random numbers and its templates depend on."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from random import Random
from urllib.parse import parse_qsl

from .context import stream


@dataclass(frozen=True, slots=True)
class Identity:
    """A connection as its session sees it.

    Attributes:
        seed: The server's seed.
        path: The path it was opened at.
        number: The connection's number on that path, from 1.
        params: The path's parameters.
        query: What followed the request's ``?``.
        headers: The request's headers, as name and value.
        epoch_ns: The UTC time (ns) at which the driver's clock stood at 0.
    """

    seed: int
    path: str = "/ws"
    number: int = 1
    params: Mapping[str, str] = field(default_factory=dict)
    query: str = ""
    headers: tuple[tuple[str, str], ...] = ()
    epoch_ns: int = 0

    @property
    def asked(self) -> dict[str, str]:
        """The query's names and their values, a name's last; made anew each time, as few connections need it."""
        return dict(parse_qsl(self.query, keep_blank_values=True))

    def stream(self, purpose: str) -> Random:
        """Return the random numbers of one purpose: neither timing nor another connection moves them."""
        return stream(self.seed, self.path, self.number, purpose)
