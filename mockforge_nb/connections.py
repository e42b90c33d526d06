"""Connections as the user holds them, in a cell and in a handler, and the checks of what the user says to them."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Generator, Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Generic, Protocol, TypeVar

from .core.closecodes import check_close
from .core.events import Event, Pushed
from .core.message import Message, encoded
from .core.record import ConnectionRecord
from .core.units import seconds
from .errors import ConnectionClosedError, OptionError, ProtocolError
from .frames import connections_frame
from .traffic import Traffic
from .upstreams import Upstream

if TYPE_CHECKING:
    import pandas as pd
    from websockets.datastructures import Headers

    from .core.identity import Identity
    from .wire.listener import Listener

T = TypeVar("T")
R_co = TypeVar("R_co", covariant=True)


class Owner(Protocol):
    """The server that connections belong to."""

    traffic: Traffic
    listener: Listener

    def call(self, function: Callable[..., T], *args: Any) -> T:
        """Run a function on the loop's thread."""
        ...


class Wire(Protocol):
    """A connection as its driver has it: the server's own, or a simulated one."""

    @property
    def record(self) -> ConnectionRecord | None:
        """What is known of it."""
        ...

    @property
    def who(self) -> Identity:
        """What its session knows of it."""
        ...

    @property
    def state(self) -> dict[str, Any]:
        """Its state, also once it is closed."""
        ...

    @property
    def open(self) -> bool:
        """Whether messages can be sent."""
        ...

    @property
    def full(self) -> bool:
        """Whether as much waits for the peer as may."""
        ...

    def tell(self, event: Event) -> bool:
        """Tell its session something; return whether it is open."""
        ...

    def close(self, code: int, reason: str = "") -> None:
        """Begin the closing handshake after what was sent before."""
        ...

    def abort(self) -> None:
        """End the TCP connection without a close frame."""
        ...


@dataclass(frozen=True, slots=True)
class Request:
    """The handshake's request, as handlers and sources read it.

    Attributes:
        path: The path; `params`: what its route's parameters stand for.
        query: What followed the ``?``, a name's last value each.
        headers: The headers; their names in any case.
    """

    path: str
    params: Mapping[str, str]
    query: Mapping[str, str]
    headers: Headers


class Done(Generic[R_co]):
    """Something that is done already; ``await`` it to wait until it has had its effect.

    What that is, and what awaiting it returns, is said by who returns it.
    """

    __slots__ = ("_loop", "_wait")

    def __init__(self, loop: asyncio.AbstractEventLoop | None, wait: Callable[[], Awaitable[R_co]]) -> None:
        self._loop = loop
        self._wait = wait

    def __await__(self) -> Generator[Any, None, R_co]:
        if self._loop is None or asyncio.get_running_loop() is self._loop:
            return self._wait().__await__()

        async def wait() -> R_co:
            return await self._wait()

        return asyncio.wrap_future(asyncio.run_coroutine_threadsafe(wait(), self._loop)).__await__()

    def __repr__(self) -> str:
        return "<done>"

    def _ipython_display_(self) -> None:
        """Show nothing at the end of a cell, as there is nothing to see."""


class Reached(int):
    """How many connections something reached; a coroutine may ``await`` it, and others have their turn."""

    def __await__(self) -> Generator[Any, None, int]:
        yield from asyncio.sleep(0).__await__()
        return int(self)


class Connection:
    """One connection, open or closed; the same object in a cell, in a handler and in a rule's function.

    What it is told (`send`, `ping`, `close`, `join`, `leave`, `broadcast`) is done at once and from any thread. In a
    coroutine ``await`` may stand before it, and waits for the effect.

    Attributes:
        number: Its number, from 1.
        path: The path it was opened at.
        headers: The handshake's headers; their names in any case.
        request: The handshake's path, parameters, query and headers.

    Example:
        >>> with Mock().serve(port=0) as server, server.client("/ws?token=7") as client:
        ...     conn = server.wait_connected()
        ...     conn, conn.request.query
        (<Connection 1 /ws, open>, {'token': '7'})
    """

    def __init__(self, server: Owner, wire: Wire) -> None:
        self._server = server
        self._wire = wire
        self._pings = 0

    @property
    def _record(self) -> ConnectionRecord:
        record = self._wire.record
        assert record is not None
        return record

    @property
    def number(self) -> int:  # noqa: D102  # described by the class
        return self._record.number

    @property
    def path(self) -> str:  # noqa: D102
        return self._record.path

    @property
    def headers(self) -> Headers:  # noqa: D102
        from websockets.datastructures import Headers

        return Headers(self._record.headers)

    @property
    def request(self) -> Request:  # noqa: D102
        who = self._wire.who
        return Request(self.path, who.params, who.asked, self.headers)

    @property
    def open(self) -> bool:
        """Whether messages can be sent.

        Example:
            >>> with Mock().serve(port=0) as server:
            ...     with server.client():
            ...         conn = server.wait_connected()
            ...         conn.open
            True
            >>> conn.open
            False
        """
        return self._wire.open

    @property
    def upstream(self) -> Upstream | None:
        """The real server that a proxy relays it to; None: it is not relayed, or not any more.

        Example:
            >>> real = Mock().echo().serve(port=0)
            >>> with Mock().proxy(real.url).serve(port=0) as server, server.client() as client:
            ...     server.wait_connected().upstream.send("to the real server")
            ...     client.recv()
            'to the real server'
            >>> real.stop()
        """
        bridge = getattr(self._wire, "bridge", None)
        if bridge is None or bridge.upstream is None:
            return None
        return Upstream(self._server, self._wire, bridge.upstream)

    @property
    def state(self) -> dict[str, Any]:
        """The state of its session, which templates read as ``state``.

        Example:
            >>> mock = Mock().when("^hi$", "hello", set={"greeted": True})
            >>> with mock.serve(port=0) as server, server.client() as client:
            ...     client.send("hi")
            ...     client.recv(), server.connections[0].state
            ('hello', {'greeted': True})
        """
        return self._wire.state

    @property
    def traffic(self) -> Traffic:
        """Its own messages.

        Example:
            >>> with Mock().echo().serve(port=0) as server, server.client() as client:
            ...     client.send("hi")
            ...     client.recv(), server.connections[0].traffic.select(opcode="text")
            ('hi', <Traffic 2 messages, 1 connection>)
        """
        return self._server.traffic.select(connection=self.number)

    # What it is told

    def send(self, data: object) -> Done[None]:
        """Send text, bytes, or anything else as JSON, under the mock's conditions.

        Returns:
            What may be awaited: until the client takes more.

        Raises:
            ConnectionClosedError: The connection is closed.
            ProtocolError: The client reads so slowly that too much waits for it.
            OptionError: `data` has no JSON form.

        Example:
            >>> with Mock().serve(port=0) as server, server.client() as client:
            ...     server.wait_connected().send({"type": "tick"})
            ...     client.recv()
            <done>
            '{"type":"tick"}'
        """
        return self._push(pushed(data, "send()"))

    def _push(self, event: Pushed) -> Done[None]:
        """Send a message that is made already; what it returns and raises are as of `send`."""
        if self._wire.full:
            raise ProtocolError(
                f"connection {self.number} reads too slowly: more than limits(queue_bytes=) waits for it; "
                "in a coroutine, `await conn.send(…)` waits until it has read"
            )
        if not self._server.call(self._wire.tell, event):
            raise self._closed()
        return self._done(lambda wire: wire.drained())

    def ping(self, data: bytes | str | None = None) -> Done[float]:
        """Send a ping (RFC 6455 §5.5.2).

        Args:
            data: Its payload of at most 125 bytes; unless given, one that no other ping of the connection has.

        Returns:
            What may be awaited: until the pong has come; it returns the seconds that it took.

        Raises:
            ConnectionClosedError: The connection is closed, also while the pong is waited for.
            OptionError: A payload that is no bytes or text, or too long.

        Example:
            >>> async def patient(conn):
            ...     await conn.send({"answered": await conn.ping() >= 0})
            >>> with Mock().handle(patient).serve(port=0) as server, server.client() as client:
            ...     client.recv()
            '{"answered":true}'
        """
        self._pings += 1
        payload = self._pings.to_bytes(4, "big") if data is None else data.encode() if isinstance(data, str) else data
        if not isinstance(payload, bytes) or len(payload) > 125:
            raise OptionError("ping()", data, "is neither bytes nor a text, or longer than 125 bytes")
        waiting = self._server.call(self._listened("ping()").ping, payload)
        if waiting is None:
            raise self._closed()

        async def pong(_: Any) -> float:
            try:
                return float(await asyncio.shield(waiting))
            except asyncio.CancelledError:
                if waiting.cancelled():
                    raise self._closed() from None
                raise

        return self._done(pong)

    def close(self, code: int = 1000, reason: str = "") -> Done[None]:
        """Begin the closing handshake, after what was sent before; on a closed connection it does nothing.

        Returns:
            What may be awaited: until the connection has ended.

        Raises:
            OptionError: A code or reason that RFC 6455 §7.4 does not allow in a close frame.

        Example:
            >>> with Mock().serve(port=0) as server, server.client() as client:
            ...     server.wait_connected().close(4000, "enough")
            ...     client.drain(), client.close_code
            <done>
            ([], 4000)
        """
        check_close(code, reason)
        self._server.call(self._wire.close, code, reason)
        return self._done(lambda wire: wire.ended())

    def abort(self) -> None:
        """End the TCP connection without a close frame.

        Example:
            >>> with Mock().serve(port=0) as server, server.client() as client:
            ...     server.wait_connected().abort()
            ...     client.drain(), int(client.close_code)
            ([], 1006)
        """
        self._server.call(self._wire.abort)

    async def wait_closed(self) -> None:
        """Return once the connection has ended, whoever ended it.

        Raises:
            ProtocolError: It is a simulated one.

        Example:
            >>> async def farewell(conn):
            ...     await conn.send("leave when you like")
            ...     await conn.wait_closed()
            >>> with Mock().handle(farewell).serve(port=0) as server, server.client() as client:
            ...     client.recv()
            'leave when you like'
        """
        wire = self._listened("wait_closed()")
        await Done(self._server.listener.loop, wire.ended)

    def _time_ns(self, now: float, script_ms: float) -> int:
        """Return the UTC time (ns) of what is sent at `now`: the real one, or under a clock that of `script_ms`."""
        session = self._listened("a story").session
        if session is None:
            raise self._closed()
        return int(session.time_ns(now, script_ms))

    def _closed(self) -> ConnectionClosedError:
        return ConnectionClosedError(f"connection {self.number} is closed ({self._record.close_code or 'closing'})")

    def _done(self, wait: Callable[[Any], Awaitable[T]]) -> Done[T]:
        return Done(getattr(self._server.listener, "loop", None), lambda: wait(self._wire))

    def _listened(self, call: str) -> Any:
        """Return the wire of a server; there is none in a simulation, where no event loop runs."""
        if not hasattr(self._wire, "inbox"):
            raise ProtocolError(f"{call} needs a server; simulate() has no event loop")
        return self._wire

    # Rooms

    @property
    def rooms(self) -> list[str]:
        """The rooms it is in.

        Example:
            >>> async def chat(conn):
            ...     await conn.join("lobby")
            ...     await conn.send(conn.rooms)
            >>> with Mock().handle(chat).serve(port=0) as server, server.client() as client:
            ...     client.recv()
            '["lobby"]'
        """
        return self._server.listener.rooms.of(self._wire)  # type: ignore[arg-type]  # a server's wires or simulated

    def join(self, room: str) -> Done[None]:
        """Enter a room, which is there as long as somebody is in it; the connection's end leaves it.

        Raises:
            OptionError: `room` is no text.
            ConnectionClosedError: The connection is closed.

        Example:
            >>> with Mock().serve(port=0) as server, server.client() as client:
            ...     server.wait_connected().join("lobby")
            ...     server.send("to the lobby", room="lobby")
            ...     client.recv()
            <done>
            1
            'to the lobby'
        """
        check_room(room, "join()")
        if not self.open:
            raise self._closed()
        self._server.call(self._server.listener.rooms.join, self._wire, room)
        return self._done(_nothing)

    def leave(self, room: str) -> Done[None]:
        """Leave a room; does nothing if it is not in it.

        Example:
            >>> with Mock().serve(port=0) as server, server.client() as client:
            ...     conn = server.wait_connected()
            ...     conn.join("lobby"), conn.leave("lobby"), conn.rooms
            (<done>, <done>, [])
        """
        check_room(room, "leave()")
        self._server.call(self._server.listener.rooms.leave, self._wire, room)
        return self._done(_nothing)

    def broadcast(self, room: str, data: object, *, me: bool = True) -> Reached:
        """Send text, bytes, or anything else as JSON to all connections in a room.

        Those that read so slowly that too much waits for them are left out.

        Args:
            room: The room; this connection need not be in it.
            data: What is sent.
            me: Whether this connection gets it, too, if it is in the room.

        Returns:
            How many it reached.

        Raises:
            OptionError: `room` is no text, or `data` has no JSON form.

        Example:
            >>> async def chat(conn):
            ...     await conn.join("lobby")
            ...     async for message in conn:
            ...         conn.broadcast("lobby", f"{conn.number}: {message.text}")
            >>> with Mock().handle(chat).serve(port=0) as server, server.client() as client:
            ...     client.send("hi")
            ...     client.recv()
            '1: hi'
        """
        check_room(room, "broadcast()")
        event = pushed(data, "broadcast()")
        return Reached(self._server.call(self._server.listener.push, event, room, None if me else self._wire)[0])

    # What a handler reads

    async def recv(self) -> Message:
        """Return the client's next message that no rule took; for handlers.

        Raises:
            ConnectionClosedError: The connection is closed, and all that came was read.
            ProtocolError: This is no handler, see `.handle()`; other code waits with ``server.wait_for``.

        Example:
            >>> async def greet(conn):
            ...     await conn.send("Who?")
            ...     await conn.send(f"Hello, {(await conn.recv()).text}.")
            >>> with Mock().handle(greet).serve(port=0) as server, server.client() as client:
            ...     client.send("Ann")
            ...     [client.recv(), client.recv()]
            ['Who?', 'Hello, Ann.']
        """
        message: Message | None = await self._inbox("recv()").get()
        if message is None:
            raise self._closed()
        return message

    async def __aiter__(self) -> AsyncIterator[Message]:
        """Iterate over the client's messages that no rule took, until the connection is closed; for handlers."""
        inbox = self._inbox("async for")
        while (message := await inbox.get()) is not None:
            yield message

    async def events(self) -> AsyncIterator[Message]:
        """Iterate over messages, pings, pongs and the connection's end; for handlers.

        The `kind` of each is ``text``, ``binary``, ``ping``, ``pong``, ``close`` (with `code` and `reason`) or
        ``abort``. Pings are answered and closes are confirmed whether this is read or not (RFC 6455 §5.5).

        Example:
            >>> seen = []
            >>> async def watch(conn):
            ...     async for event in conn.events():
            ...         seen.append(event)
            >>> with Mock().handle(watch).serve(port=0) as server:
            ...     with server.client() as client:
            ...         client.send("hi")
            >>> seen
            [<Message 'hi'>, <Message close 1000>]
        """
        inbox = self._inbox("events()")
        inbox.watched = True
        while (event := await inbox.get(events=True)) is not None:
            yield event

    def _inbox(self, call: str) -> Any:
        inbox = self._listened(call).inbox
        if inbox is None:
            raise ProtocolError(f"{call} reads what a handler gets, and {self!r} has none; see Mock.handle()")
        if asyncio.get_running_loop() is not self._server.listener.loop:
            raise ProtocolError(f"{call} belongs into the handler; elsewhere server.wait_for() waits for messages")
        return inbox

    def __repr__(self) -> str:
        state = "open" if self.open else f"closed ({self._record.close_code or 'closing'})"
        return f"<Connection {self.number} {self.path}, {state}>"


async def _nothing(_: object) -> None:
    """Wait for nothing."""


class Connections:
    """The connections of a server, open and closed, in the order in which they came."""

    def __init__(self, server: Owner) -> None:
        self._server = server

    def _all(self) -> list[Connection]:
        return [wire.handle for wire in list(self._server.listener.connections)]

    def __len__(self) -> int:
        return len(self._server.listener.connections)

    def __getitem__(self, index: int) -> Connection:
        connection: Connection = self._server.listener.connections[index].handle
        return connection

    def __iter__(self) -> Iterator[Connection]:
        return iter(self._all())

    @property
    def df(self) -> pd.DataFrame:
        """A row a connection: number, path, handshake, times, close code, and how much went either way.

        Example:
            >>> with Mock().serve(port=0) as server, server.client() as client:
            ...     server.wait_connected()
            ...     server.connections.df[["connection", "path"]].values.tolist()
            <Connection 1 /ws, open>
            [[1, '/ws']]
        """
        return connections_frame(self._server.listener.log)

    def __repr__(self) -> str:
        still = sum(connection.open for connection in self)
        return f"<Connections {len(self)}, {still} open>"

    def _repr_html_(self) -> str:
        from .notebook.display import frame_html

        return frame_html(self.df, repr(self))


# What the user says, checked


def check_room(room: object, where: str) -> None:
    """Raise OptionError unless `room` may be the name of a room."""
    if not isinstance(room, str) or not room:
        raise OptionError(where, room, "is no name of a room; valid: a text")


def how_many(n: object, where: str) -> int:
    """Return `n` if it is a number from 1 on; otherwise raise OptionError."""
    if isinstance(n, bool) or not isinstance(n, int) or n < 1:
        raise OptionError(where, n, "is no number from 1 on")
    return n


def time_limit(timeout: object) -> float | None:
    """Return a timeout in seconds; None: without end."""
    return None if timeout is None else seconds(timeout, "timeout=")


def pushed(data: object, where: str) -> Pushed:
    """Return the event for what the user sends; raise OptionError if it has no form on the wire."""
    return Pushed(*encoded(data, where))
