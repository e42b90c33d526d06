"""What templates read of a connection, and the random numbers that they draw on it."""

from __future__ import annotations

import json
import random
from collections.abc import Mapping
from hashlib import blake2b
from typing import TYPE_CHECKING, Any

from .message import Message
from .pattern import Match

if TYPE_CHECKING:
    from faker import Generator


class Context:
    """What a template reads; one for each connection, its fields set anew before each render.

    Attributes:
        now_ns: The time at which ``{{now}}`` stands, in ns since the epoch (UTC).
        key: What the random stream is made from: the arguments of `stream`.
        seq: How many messages with a ``{{seq}}`` were rendered; the renderer counts.
        message: The client's message that is answered.
        match: What the pattern that took it found.
        state: The connection's state.
        server: The server's state.
        path: The parameters of the route's path.
        query: The handshake's query.
        headers: The handshake's headers; a template reads them in any case, and ``_`` for ``-``.
        row: The table's row.
        connection: The connection's number.
        names: The user's functions and values.
    """

    __slots__ = (
        "_faker", "_rng", "connection", "headers", "key", "match", "message", "names", "now_ns", "path", "query",
        "row", "seq", "server", "state",
    )  # fmt: skip

    def __init__(
        self,
        *,
        now_ns: int = 0,
        key: tuple[int, str, int, str] = (0, "", 0, "template"),
        message: Message | None = None,
        match: Match | None = None,
        state: dict[str, Any] | None = None,
        server: dict[str, Any] | None = None,
        path: Mapping[str, str] | None = None,
        query: Mapping[str, str] | None = None,
        headers: Mapping[str, str] | None = None,
        row: Mapping[Any, Any] | None = None,
        connection: int = 0,
        names: Mapping[str, Any] | None = None,
    ) -> None:
        self.now_ns, self.key, self.seq = now_ns, key, 0
        self.message, self.match, self.row = message, match, row
        self.state = {} if state is None else state
        self.server = {} if server is None else server
        self.path, self.query, self.headers = path or {}, query or {}, headers or {}
        self.connection, self.names = connection, names or {}
        self._rng: random.Random | None = None
        self._faker: Generator | None = None

    @property
    def rng(self) -> random.Random:
        """The connection's stream for templates; made on first use, as most connections draw nothing."""
        if self._rng is None:
            self._rng = stream(*self.key)
        return self._rng

    @property
    def faker(self) -> Generator:
        """The connection's generator of Faker, which draws from `rng`; made on first use, as it is slow to make."""
        if self._faker is None:
            self._faker = faker_generator()
        self._faker.random = self.rng
        return self._faker


def stream(seed: int, path: str, connection: int, purpose: str) -> random.Random:
    """Return the random numbers of one purpose on one connection, independent of all others."""
    key = json.dumps([seed, path, connection, purpose]).encode()
    return random.Random(int.from_bytes(blake2b(key, digest_size=16).digest()))


def faker_generator() -> Generator:
    """Return a new generator of Faker, whose attributes are its providers."""
    from faker import Factory

    return Factory.create("en_US")
