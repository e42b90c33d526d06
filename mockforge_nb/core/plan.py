"""What a Session needs to know of a Mock: a Mock without the words that it was said in."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, TypeAlias

from .cassette import Cassette, Played
from .conditions import NONE, Conditions
from .link import Count
from .pattern import Pattern
from .program import Program
from .rules import Answer, Call, Connected, Rules, Taken, variables


@dataclass(frozen=True, slots=True)
class Echo:
    """Send each message back as it came, after `prefix`."""

    prefix: str = ""


@dataclass(frozen=True, slots=True)
class Silent:
    """Say nothing: what a mock does that has rules alone."""


@dataclass(frozen=True, slots=True)
class Replay:
    """Play a program to each connection.

    Attributes:
        program: What is played.
        speed: What the script's times are divided by; infinite: as fast as the client reads.
        rounds: How often it is played; None: without end.
        shared: One play-head for all connections, in place of one for each.
        then: What follows the last step.
    """

    program: Program
    speed: float = 1.0
    rounds: int | None = 1
    shared: bool = False
    then: Literal["hold", "close"] = "hold"

    def lacks(self, params: Mapping[str, str]) -> str | None:
        """Return what somebody is told whose path names a key that the table does not have; None: it has it."""
        cuts = self.program.cuts
        keys = None if cuts is None or cuts.subscription is not None else cuts.keys
        key = None if keys is None else params.get(keys.name)
        if keys is None or key is None or key in keys:
            return None
        said = f"{self.program.name} has no rows with {keys.name} {key!r}{keys.nearest(key)}"
        return said if said.endswith("?") else f"{said}."


@dataclass(frozen=True, slots=True)
class Stream:
    """Send what a source gives to each connection.

    Attributes:
        open: Returns what is iterated for a connection.
        rate: How many messages a second; None: as fast as they come and the client reads.
        then: What follows the last item.
        timed: Whether each item is a pair of its time, in ms from the start, and a `Payload`; then there is no rate.
        speed: What these times are divided by; infinite: as fast as the client reads.
        shared: Whether who joins late enters where the others are, in place of at the beginning.
        variables: The template variables that its payloads use and that are not built in.
        paced: Whether it is a story: each item is a `Told` and what is iterated is `Paced`; then there is no rate.
    """

    open: Callable[[Connected | None], Iterator[Any] | AsyncIterator[Any]]
    rate: float | None = None
    then: Literal["hold", "close"] = "hold"
    timed: bool = False
    speed: float = 1.0
    shared: bool = False
    variables: frozenset[str] = frozenset()
    paced: bool = False


@dataclass(frozen=True, slots=True)
class Handle:
    """Run the author's coroutine function for each connection, which ends when it returns."""

    function: Callable[..., Any]


@dataclass(frozen=True, slots=True)
class Upstream:
    """The real server behind a proxy, and how it is reached; for the driver.

    Attributes:
        find: Returns the URL for a connection's request, or an awaitable of it; None: the connection is not relayed.
        headers: What is added to the client's headers or, None, taken out of them.
        tls: What ``ssl=`` says: None: certificates are verified.
        compression: Whether permessage-deflate (RFC 7692) is offered.
        seconds: How long the upstream may take for its handshake.
        names: The path parameters that its URL names.
        url: Its URL without secrets, for a recording; empty: a function finds it.
    """

    find: Callable[[Any], Any]
    headers: tuple[tuple[str, str | None], ...] = ()
    tls: Any = None
    compression: bool = False
    seconds: float = 10.0
    names: tuple[str, ...] = ()
    url: str = ""


@dataclass(frozen=True, slots=True)
class Relay:
    """Pass each connection's messages on to a connection of its own to an upstream, and back.

    Attributes:
        upstream: The real server.
        only: Which of the client's messages are passed on; None: all that no rule takes.
        into: What is made of the client's messages; None: nothing.
        out: What is made of the upstream's.
        cassette: What answers in the upstream's place; None: nothing does.
        fallback: What is played to a connection whose upstream is down; None: it ends as the upstream's did.
    """

    upstream: Upstream
    only: Pattern | None = None
    into: Call | None = None
    out: Call | None = None
    cassette: Cassette | None = None
    fallback: Replay | None = None


Behaviour: TypeAlias = Echo | Silent | Replay | Stream | Handle | Relay


@dataclass(frozen=True, slots=True, eq=False)
class Recording:
    """A file that what crosses the wire is recorded to; for the driver.

    Attributes:
        path: The file.
        redact: The compiled JSONPaths of what is not recorded.
        upstream: Whether only what an upstream said, and was told, is recorded.
        append: Whether it goes on behind what is there.
    """

    path: str
    redact: tuple[Any, ...] = ()
    upstream: bool = False
    append: bool = False


@dataclass(frozen=True, slots=True)
class Plan:
    """A behaviour under conditions, with rules in front of it.

    Attributes:
        behaviour: What a connection does.
        rules: What is answered before the behaviour is told of a message.
        otherwise: What a message gets that neither a rule nor the behaviour takes: answers, its echo, or an error
            for `check()`; nothing: it is ignored.
        conditions: What the network does to messages.
        clock_ns: Where ``{{now}}`` and the traffic's time start (UTC ns); None: at the real time.
        expand: Whether templates are expanded.
        names: The user's own template functions and values.
        message_bytes: The largest message that is taken from a client.
        queue_bytes: How much may wait to be sent on one connection before nothing more is read from it.
        compression: Whether clients that offer permessage-deflate (RFC 7692) get it.
        seed: The seed of the plan's own random numbers; None: the server's.
        recordings: Where its connections are recorded to.
        subprotocol: The subprotocol that is selected if a client offers it; None: none is.
    """

    behaviour: Behaviour
    rules: Rules = field(default_factory=Rules)
    otherwise: tuple[Answer, ...] | Literal["echo", "error"] = ()
    conditions: Conditions = NONE
    clock_ns: int | None = None
    expand: bool = True
    names: Mapping[str, Any] = field(default_factory=dict)
    message_bytes: int = 64 * 2**20
    queue_bytes: int = 16 * 2**20
    compression: bool = False
    seed: int | None = None
    recordings: tuple[Recording, ...] = ()
    subprotocol: str | None = None

    @property
    def variables(self) -> frozenset[str]:
        """The template variables that it uses and that are not built in."""
        used = [rule.variables for rule in self.rules.all]
        if isinstance(self.behaviour, Replay):
            used.append(self.behaviour.program.variables)
        elif isinstance(self.behaviour, Stream):
            used.append(self.behaviour.variables)
        elif isinstance(self.behaviour, Relay) and self.behaviour.fallback is not None:
            used.append(self.behaviour.fallback.program.variables)
        if isinstance(self.otherwise, tuple):
            used.append(variables(self.otherwise))
        return frozenset().union(*used)


@dataclass(slots=True)
class Shared:
    """What the connections of one plan have in common.

    Attributes:
        began: When a shared replay began, on the driver's clock (s); None: not yet. It begins with the first
            connection, so that a client that the next cell starts misses nothing.
        taken: How many messages each rule took.
        state: The server's state, which templates read as ``server``; one for all plans of a server.
        word: The `state` word of rules with the scope ``server`` that is true now.
        struck: What faults with the scope ``server`` have seen and done.
        played: What of a cassette was played.
    """

    began: float | None = None
    taken: Taken = field(default_factory=Taken)
    state: dict[str, Any] = field(default_factory=dict)
    word: str | None = None
    struck: dict[object, Count] = field(default_factory=dict)
    played: Played = field(default_factory=Played)

    def since(self, now: float, *, shared: bool) -> float:
        """Return when what a connection begins at `now` began: with the first connection, if it is shared."""
        if not shared:
            return now
        if self.began is None:
            self.began = now
        return self.began
