"""Accept connections on a port and drive a Session for each."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import os
import socket
import time
from collections import Counter, deque
from collections.abc import Callable, Sequence
from concurrent.futures import Future, InvalidStateError
from contextlib import suppress
from dataclasses import dataclass, field
from time import monotonic
from typing import TYPE_CHECKING, Any, Literal

from mockforge_nb.core.events import Changed, Event, Failed, Received, Updated
from mockforge_nb.core.identity import Identity
from mockforge_nb.core.journal import Tap
from mockforge_nb.core.knock import Knock, knock
from mockforge_nb.core.log import Log
from mockforge_nb.core.message import Message
from mockforge_nb.core.plan import Plan, Relay
from mockforge_nb.core.rooms import Rooms
from mockforge_nb.core.routes import Route, Routes
from mockforge_nb.core.watch import Tracer
from mockforge_nb.errors import AuthorError, BindError

from .connection import Connection
from .courtesy import Courtesy
from .deadline import CLOSE_SECONDS
from .door import Door
from .handshake import Handshake, refused
from .page import Page
from .secured import tell_failures
from .timers import Timers
from .upstream import Upstream

if TYPE_CHECKING:
    import ssl

BACKLOG = 4096
FREE_PORT_TRIES = 10
READ_BYTES = 2**18
"""How much is read at once; one buffer for all connections, as what came is looked at before the next read."""
STOP_SECONDS = 0.5
"""How long the peers have to answer the closing handshake when the server stops."""
KEPT_UNTAKEN = 100
"""How many of the messages that nobody took are kept."""


def bind(host: str, port: int) -> list[socket.socket]:
    """Return listening sockets for every address of `host`; port 0: one free port for all.

    Raises:
        BindError: The port is held, not allowed, or the host has no address here.
    """
    try:
        found = socket.getaddrinfo(host or None, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    except (socket.gaierror, UnicodeError) as error:
        raise BindError(host, port, f"{host!r} is no host of this machine ({error})") from error
    addresses = [(family, address) for family, _, _, _, address in dict.fromkeys(found)]
    tries = 1 if port else FREE_PORT_TRIES
    while True:
        tries -= 1
        try:
            return _listen(addresses, port)
        except OSError as error:
            if tries and error.errno == errno.EADDRINUSE:
                continue  # the port that was free at one address is held at another
            raise BindError(host, port, _way_out(host, error)) from error


def _listen(addresses: Sequence[tuple[int, Any]], port: int) -> list[socket.socket]:
    """Listen at each address that this machine has; raise the first's OSError if it has none of them."""
    sockets: list[socket.socket] = []
    missing: OSError | None = None
    try:
        for family, address in addresses:
            try:
                one = socket.socket(family, socket.SOCK_STREAM)
            except OSError as error:
                missing = missing or error
                continue
            sockets.append(one)
            if os.name == "posix":  # elsewhere it lets two programs have one port
                one.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            if family == socket.AF_INET6:
                one.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
            chosen = port or (sockets[0].getsockname()[1] if len(sockets) > 1 else 0)
            try:
                one.bind((address[0], chosen, *address[2:]))
            except OSError as error:
                # "localhost" is ::1 too, in containers also where there is no IPv6.
                if error.errno != errno.EADDRNOTAVAIL:
                    raise
                missing = missing or error
                sockets.pop().close()
                continue
            one.listen(BACKLOG)
            one.setblocking(False)
        if missing is not None and not sockets:
            raise missing
    except OSError:
        for one in sockets:
            one.close()
        raise
    return sockets


def _way_out(host: str, error: OSError) -> str:
    """Return why an address cannot be had, and what else can."""
    ways = {
        errno.EADDRINUSE: "another program holds it; serve on another port, or on any free one with port=0",
        errno.EACCES: "ports below 1024 need privileges; serve on a higher one, or on any free one with port=0",
        errno.EADDRNOTAVAIL: f"{host!r} is no address of this machine; '127.0.0.1' is, or '0.0.0.0' for all",
    }
    return ways.get(error.errno or 0, str(error))


@dataclass(slots=True)
class Waiter:
    """Somebody who waits for `count` things that `take` accepts; those that came are in `found`."""

    take: Callable[[Any], Any]
    count: int
    found: list[Any] = field(default_factory=list)
    future: Future[list[Any]] = field(default_factory=Future)

    def offer(self, what: Any) -> None:
        """Take `what` if it is one, and end the wait with the last."""
        if self.future.done():
            return
        # Whoever waits may give up at any moment, also while the predicate runs.
        with suppress(InvalidStateError):
            try:
                taken = self.take(what)
            except Exception as error:  # noqa: BLE001  # a predicate's error belongs to who waits
                self.future.set_exception(error)
                return
            if taken is not None:
                self.found.append(taken)
                if len(self.found) >= self.count:
                    self.future.set_result(self.found)


class Listener:
    """A port, its plans, its connections and its log; everything but the constructor runs on the loop's thread.

    Args:
        routes: The plans by their paths.
        seed: The seed of random numbers.
        log: Where the traffic goes.
        handle: Makes of a connection what its user holds.
        clock_ns: Where the traffic's time starts (UTC ns); None: at the real time.
        handshake_seconds: How long a client has for its handshake.
        most: How many connections may be open; None: any number.
        tls: What connections are secured with; None: they are not.

    Attributes:
        tracer: Who traces its connections; None: nobody does.
        late: By how much (s) steps of scripts were late, and at which path, for who measures it; None: nobody does.
        pages: What is shown at other paths to who asks for no WebSocket.
    """

    def __init__(
        self,
        routes: Routes,
        seed: int,
        log: Log,
        handle: Callable[[Connection], Any],
        *,
        clock_ns: int | None = None,
        handshake_seconds: float = 10.0,
        most: int | None = None,
        tls: ssl.SSLContext | None = None,
    ) -> None:
        self.seed = seed
        self.log = log
        self.routes = self._take(routes)
        self.handle = handle
        self.clock_ns = clock_ns
        self.handshake_seconds = handshake_seconds
        self.most = most
        self.tls = tls
        self.epoch_ns = time.time_ns() - time.monotonic_ns()
        self.started = monotonic()
        log.started_ns = self.epoch_ns + int(self.started * 1e9) if clock_ns is None else clock_ns
        self.taps: dict[str, Tap] = {}  # by the file of the recording
        self.errors: list[AuthorError] = []
        self.not_taken: list[Message] = []
        self.not_taken_count = 0
        self.rooms: Rooms[Connection] = Rooms()
        self.connections: list[Connection] = []
        self.sockets: set[Door | Connection] = set()
        self.upstreams: set[Upstream] = set()
        self.buffer = memoryview(bytearray(READ_BYTES))
        self.listening: list[socket.socket] = []
        self.waiting: list[Waiter] = []
        self.waiting_for_connections: list[Waiter] = []
        self.stopped = False
        self.loop: asyncio.AbstractEventLoop
        self.timers: Timers
        self.courtesy = Courtesy()
        self.tracer: Tracer | None = None
        self.late: deque[tuple[str, float]] | None = None
        self.pages: dict[str, Page] = {}
        self._servers: list[asyncio.Server] = []
        self._on_path: Counter[str] = Counter()
        self._knocks: Counter[str] = Counter()
        self._emptied: asyncio.Event

    async def start(self, host: str, port: int) -> int:
        """Listen; return the port."""
        self.attach()
        return await self._listen(host, port)

    def attach(self) -> None:
        """Let the loop that runs this drive the connections from now on."""
        self.loop = asyncio.get_running_loop()
        self.timers = Timers(self.loop)
        self._emptied = asyncio.Event()
        self.stopped = False

    async def _listen(self, host: str, port: int) -> int:
        self.listening = bind(host, port)
        secured: dict[str, Any] = {}
        if self.tls is not None:
            tell_failures(self.tls, self._unsecured)
            secured = {
                "ssl": self.tls,
                # A client that does not speak TLS, or says nothing, has no longer than one that does.
                "ssl_handshake_timeout": self.handshake_seconds,
                "ssl_shutdown_timeout": CLOSE_SECONDS,
            }
        for one in self.listening:
            server = await self.loop.create_server(lambda: Door(self), sock=one, backlog=BACKLOG, **secured)
            self._servers.append(server)
        return int(self.listening[0].getsockname()[1])

    def _unsecured(self, why: str) -> None:
        """Log a connection whose TLS handshake failed."""
        door = Handshake(self)
        door.refused = f"tls: {why}"
        refused(self, door)

    async def stop(self, code: int = 1001, reason: str = "") -> None:
        """Free the port, close all connections, and end those that do not answer in time."""
        self.stopped = True
        for server in self._servers:
            server.close()
        for connection in list(self.sockets):
            if isinstance(connection, Door):
                connection.abort()
            elif connection.open:
                connection.shut(code, reason)
        if not await self._empty():
            for each in [*self.sockets, *self.upstreams]:
                each.abort()
            await self._empty()
        await asyncio.gather(*(each.cancel(STOP_SECONDS) for each in self.connections if each.busy))
        self.timers.close()
        for waiter in [*self.waiting, *self.waiting_for_connections]:
            waiter.future.cancel()

    async def _empty(self) -> bool:
        """Wait until no socket is open; return whether that came true in time."""
        if self.sockets or self.upstreams:
            self._emptied.clear()
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._emptied.wait(), STOP_SECONDS)
        return not (self.sockets or self.upstreams)

    def forget(self) -> None:
        """In a forked child: close the descriptors, so that the parent alone holds the port."""
        for one in self.listening:
            # Not close(): uvloop holds a socket that it serves, and would keep the descriptor open.
            if one.fileno() != -1:
                os.close(one.detach())
        for each in [*self.sockets, *self.upstreams]:
            each.forget()

    def disown(self) -> None:
        """In a forked child that serves by itself: the connections are the parent's."""
        self.forget()
        for connection in self.connections:
            connection.lost = True
        self.sockets.clear()
        self.upstreams.clear()

    # What a connection asks and tells

    def tap(self, plan: Plan, *, upstream: bool = False) -> Tap | None:
        """Return what is told of what a plan's connections say and hear, or their upstreams; None: nothing is."""
        wanted = [each.path for each in plan.recordings if each.upstream is upstream]
        taps = [self.taps[path] for path in wanted if path in self.taps]
        if len(taps) < 2:
            return taps[0] if taps else None

        def all_of_them(*row: Any) -> None:
            for tap in taps:
                tap(*row)

        return all_of_them

    def elapsed_ns(self, now: float) -> int:
        """Return the time since the start, in ns."""
        return int((now - self.started) * 1e9)

    def full(self) -> bool:
        """Return whether as many connections are open as may be."""
        if self.most is None or len(self.sockets) <= self.most:  # who asks has a socket, too
            return False
        return sum(each.open or (isinstance(each, Door) and each.entering) for each in self.sockets) >= self.most

    def next_number(self) -> int:
        """Return the number of the next connection, from 1."""
        return len(self.connections) + 1

    def next_on_path(self, path: str) -> int:
        """Return the number of the next connection on `path`, from 1."""
        self._on_path[path] += 1
        return self._on_path[path]

    def knock(self, route: Route, path: str) -> Knock:
        """Return what the network does to the next handshake at a path."""
        self._knocks[path] += 1
        seed = self.seed if route.plan.seed is None else route.plan.seed
        return knock(route.plan.conditions, Identity(seed, path, self._knocks[path]), route.shared.struck)

    def opened(self, connection: Connection) -> None:
        """Take a connection whose handshake is done."""
        self.connections.append(connection)
        self._offer(self.waiting_for_connections, connection)

    def gone(self, one: Door | Connection | Upstream) -> None:
        """Take note that a socket is closed."""
        if isinstance(one, Connection):
            self.rooms.gone(one)
        if not (self.sockets or self.upstreams):
            self._emptied.set()

    def arrived(self, received: Received) -> None:
        """Show messages to those who wait for one."""
        for message in received.messages:
            self._offer(self.waiting, message)

    def _offer(self, waiters: list[Waiter], what: object) -> None:
        for waiter in list(waiters):
            waiter.offer(what)
            if waiter.future.done():
                waiters.remove(waiter)

    def failed(self, failure: Failed, number: int = 0) -> None:
        """Keep an author's error for `check()`; `number` is its connection's, 0: it was not open yet."""
        kept = AuthorError(failure.error, number, failure.step, failure.rule)
        kept.error.__notes__ = [kept.place]
        self.errors.append(kept)

    def untaken(self, message: Message) -> None:
        """Keep a message that nobody took for `check(strict=True)`."""
        self.not_taken_count += 1
        if len(self.not_taken) < KEPT_UNTAKEN:
            self.not_taken.append(message)

    # What the handle asks

    def tell(self, event: Event) -> int:
        """Tell every open connection something; return how many there were."""
        return sum(connection.tell(event) for connection in list(self.connections))

    def push(self, event: Event, room: str | None = None, but: Connection | None = None) -> tuple[int, int]:
        """Send to every open connection, or to those in a room.

        Args:
            event: What is sent.
            room: The room; None: all connections.
            but: Who is left out.

        Returns:
            How many took it, and how many have too much waiting already.
        """
        who = [each for each in (self.connections if room is None else self.rooms.members(room)) if each is not but]
        slow = {connection for connection in who if connection.open and connection.full}
        return sum(connection.tell(event) for connection in who if connection not in slow), len(slow)

    def close(self, code: int, reason: str) -> None:
        """Begin the closing handshake on every connection."""
        for connection in list(self.connections):
            connection.close(code, reason)  # after what is on its way to it

    def abort(self) -> None:
        """End every connection without a close frame."""
        for connection in list(self.connections):
            if connection.open:
                connection.abort()

    def update(self, routes: Routes, running: Literal["end", "finish"]) -> None:
        """Let other plans take over, on the connections that are there and on new ones.

        A connection whose path is not served any more is closed with 1001.
        """
        self.routes = self._take(routes)
        for connection in list(self.connections):
            if not connection.open:
                continue
            found = routes.find(connection.record.path)
            if found is None:
                connection.close(1001, "this path is not served any more")
            else:
                connection.route = found[0]
                connection.journal.tap = self.tap(found[0].plan)
                connection.tell(Updated(found[0].plan, found[0].shared, found[1], running))

    def _take(self, routes: Routes) -> Routes:
        self.log.relays = self.log.relays or any(isinstance(route.plan.behaviour, Relay) for route in routes)
        return routes

    def change(self, routes: Routes) -> None:
        """Let the same plans have other networks, on the connections that are there and on new ones."""
        self.routes = routes
        for connection in list(self.connections):
            if not connection.open:
                continue
            found = routes.find(connection.record.path)
            if found is not None:
                connection.route = found[0]
                connection.tell(Changed(found[0].plan.conditions))

    async def down(self) -> None:
        """Refuse connections, and end those that are there without a word."""
        for server in self._servers:
            server.close()
        self._servers.clear()
        for each in [*self.sockets, *self.upstreams]:
            each.abort()
        await self._empty()

    async def up(self, host: str, port: int) -> None:
        """Listen again."""
        if not self._servers and not self.stopped:
            await self._listen(host, port)

    def wait_for_messages(self, waiter: Waiter, position: int) -> None:
        """Offer `waiter` the client messages that came since `position`, then those that will."""
        for message in self.log.messages(position):
            waiter.offer(message)
        self._wait(waiter, self.waiting)

    def wait_for_connections(self, waiter: Waiter) -> None:
        """Offer `waiter` the connections that are open, then those that will be."""
        for connection in self.connections:
            if connection.open:
                waiter.offer(connection)
        self._wait(waiter, self.waiting_for_connections)

    def _wait(self, waiter: Waiter, waiting: list[Waiter]) -> None:
        if self.stopped:
            waiter.future.cancel()
        elif not waiter.future.done():
            waiting.append(waiter)
