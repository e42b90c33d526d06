"""A TCP connection that asks to be let in; once it is, a `Connection` takes over."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import replace
from http import HTTPStatus
from typing import TYPE_CHECKING, cast

from mockforge_nb.core.events import Failed
from mockforge_nb.core.plan import Relay

from .connection import Connection, Entry
from .deadline import Deadline
from .dial import Refused, dial
from .handshake import Handshake, refused
from .page import Page, shown
from .request import Asked
from .sockets import give_back, peer_of
from .upstream import Upstream

if TYPE_CHECKING:
    from mockforge_nb.core.cassette import Cassette
    from mockforge_nb.core.routes import Route

    from .listener import Listener

MOST_EARLY = 65_536
"""How many bytes of a client that does not wait for the answer are kept before no more are read."""


class Door(asyncio.BufferedProtocol):
    """Reads a handshake and answers it, once the network's delay is over and the upstream, if there is one, is there.

    Attributes:
        entering: Whether the handshake is done but for the answer.
    """

    __slots__ = (
        "_deadline", "_dialing", "_early", "_handshake", "_listener", "_said", "_showing", "_transport", "entering",
    )  # fmt: skip

    open = False
    """Messages cannot be sent yet."""

    def __init__(self, listener: Listener) -> None:
        self._listener = listener
        self._handshake = Handshake(listener)
        self._transport: asyncio.Transport
        self._deadline: Deadline
        self._early = b""  # what came before the answer
        self._dialing: asyncio.Task[Upstream | None] | None = None
        self._showing: asyncio.Future[bytes] | None = None
        self._said = False
        self.entering = False

    # What the transport tells

    def connection_made(self, transport: asyncio.BaseTransport) -> None:  # noqa: D102  # asyncio.BaseProtocol's
        self._transport = cast(asyncio.Transport, transport)  # uvloop's are no subclass of it
        self._listener.sockets.add(self)
        self._deadline = Deadline(self._listener.loop, self._transport)
        if self._listener.stopped:
            self._transport.abort()
        self._deadline.after(self._listener.handshake_seconds, self._late)

    def get_buffer(self, sizehint: int) -> memoryview:  # noqa: D102  # asyncio.BufferedProtocol's
        return self._listener.buffer

    def buffer_updated(self, nbytes: int) -> None:  # noqa: D102
        data = bytes(self._listener.buffer[:nbytes])
        if self.entering:
            self._early += data
            if len(self._early) > MOST_EARLY:
                self._transport.pause_reading()
            return
        self._early = self._handshake.receive(data)
        self._go_on()

    def asks(self, asked: Asked) -> None:
        """Take a request that somebody else has read."""
        self._handshake.take(asked)
        self._go_on()

    def eof_received(self) -> None:  # noqa: D102
        if not self.entering:  # else it does not wait for the answer
            self._handshake.end()
            self._go_on()
        self._deadline.end(self.abort)

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: D102
        self._listener.sockets.discard(self)
        self._deadline.cancel()
        if self._dialing is not None:
            self._dialing.cancel()
        if self._showing is not None:
            self._showing.cancel()
        if not self.entering:
            self._handshake.end()
        self.entering = False
        self._handshake.gone()
        self._refuse()
        self._listener.gone(self)

    # What becomes of it

    def _go_on(self) -> None:
        """Do what is next with a handshake that is whole, or refused."""
        door = self._handshake
        if self._transport.is_closing() or (not door.refused and door.asked is None):
            return
        if door.page is not None:
            self._show(door.page)
            return
        tracer, asked = self._listener.tracer, door.asked
        if tracer is not None and asked is not None and door.watch is None:
            route = None if door.route is None else door.route.path.text
            door.watch = tracer.begins(asked.path, asked.headers, route, peer_of(self._transport))
        if door.wait:
            self.entering = True
            wait, door.wait = door.wait, 0.0
            self._deadline.after(wait, self._go_on)
        elif door.refused:
            self._refuse()
        else:
            assert door.route is not None
            behaviour = door.route.plan.behaviour
            self.entering = True
            self._deadline.cancel()
            if isinstance(behaviour, Relay) and behaviour.cassette is not None:
                self._tape(behaviour, behaviour.cassette, door.route)
            elif isinstance(behaviour, Relay):
                self._dial(behaviour)
            else:
                self._let_in(Entry())

    def _show(self, page: Page) -> None:
        """Answer with a page, made on a thread, as a page about much traffic takes its time."""
        self.entering = self._said = True
        self._deadline.cancel()
        self._showing = self._listener.loop.run_in_executor(None, shown, page, self._handshake.method)
        self._showing.add_done_callback(self._shown)

    def _shown(self, showing: asyncio.Future[bytes]) -> None:
        if showing.cancelled() or self._transport.is_closing():
            return
        error = showing.exception()
        if error is not None:
            self._listener.loop.call_exception_handler({"message": "a page cannot be made", "exception": error})
            why = "This page cannot be made: see the server's errors."
            self._transport.write(Refused.of(HTTPStatus.INTERNAL_SERVER_ERROR, why).response.serialize())
        else:
            self._transport.write(showing.result())
        self._transport.close()
        self._deadline.end(self.abort)

    def _tape(self, relay: Relay, cassette: Cassette, route: Route) -> None:
        """Let in whom the cassette has a tape for; the others get an upstream, or are refused."""
        path, played = self._handshake.path, route.shared.played
        tape = cassette.claim(path, played)
        if tape is not None:
            self._let_in(Entry(tape=tape, subprotocol=tape.recorded.subprotocol))
        elif cassette.live:
            self._dial(relay)
        else:
            error = cassette.no_tape(path, played)
            self._listener.failed(Failed(error))
            refusal = Refused.of(HTTPStatus.BAD_GATEWAY, error.problem)
            self._handshake.refuse(refusal.response, error.problem)
            self._refuse()

    def _dial(self, behaviour: Relay) -> None:
        """Dial the upstream, whose answer is the client's."""
        door = self._handshake
        assert door.route is not None
        self._dialing = self._listener.loop.create_task(
            dial(self._listener, behaviour, door.visitor(), door.route.plan.message_bytes, door.watch),
            context=None if door.watch is None else door.watch.context,
        )
        self._dialing.add_done_callback(self._dialed)

    def _dialed(self, dialing: asyncio.Task[Upstream | None]) -> None:
        """Answer as the upstream did."""
        upstream: Upstream | None = None
        if not dialing.cancelled():
            try:
                upstream = dialing.result()
            except Refused as error:
                route = self._handshake.route
                relay = None if route is None else route.plan.behaviour
                stands_in = error.down and isinstance(relay, Relay) and relay.fallback is not None
                if stands_in and not self._transport.is_closing():
                    self._let_in(Entry(down=str(error)))
                elif not self._handshake.refused:
                    self._handshake.refuse(error.response, str(error))
                    self._refuse()
                return
        if self._transport.is_closing():
            if upstream is not None:
                upstream.drop()
        elif not dialing.cancelled():
            self._let_in(Entry(upstream, subprotocol=None if upstream is None else upstream.subprotocol))

    def _let_in(self, entry: Entry) -> None:
        """Hand the TCP connection over to a `Connection`."""
        listener, door, transport = self._listener, self._handshake, self._transport
        early, self._early = self._early, b""
        if len(early) > MOST_EARLY:
            transport.resume_reading()
        listener.sockets.discard(self)
        entry, more = self._with_subprotocol(entry)
        connection = Connection(listener, transport, self._deadline, door, entry)
        listener.sockets.add(connection)
        self._deadline.cancel()
        transport.set_protocol(connection)
        connection.begin(door.accept(more), early, entry)

    def _with_subprotocol(self, entry: Entry) -> tuple[Entry, Sequence[tuple[str, str]]]:
        """Return the entry with the subprotocol that is selected, and the headers that say so (RFC 6455 §4.2.2)."""
        asked, route = self._handshake.asked, self._handshake.route
        if entry.upstream is not None or asked is None or route is None:
            return entry, () if entry.upstream is None else entry.upstream.response
        wanted = entry.subprotocol or route.plan.subprotocol
        if wanted is None or wanted not in asked.subprotocols:
            return replace(entry, subprotocol=None), ()
        return replace(entry, subprotocol=wanted), (("Sec-WebSocket-Protocol", wanted),)

    def _refuse(self) -> None:
        """Log why there is no connection, and tell the peer, if it is still there."""
        if self._said:
            return
        self._said = True
        door = self._handshake
        refused(self._listener, door)
        self._deadline.cancel()
        if self._transport.is_closing():
            return
        said = [door.answer] if door.answer else door.protocol.data_to_send() if door.protocol is not None else []
        self._transport.write(b"".join(said))
        self._deadline.end(self.abort)
        if b"" in said or door.fault == "cut_handshake":
            if self._transport.can_write_eof():
                self._transport.write_eof()
            else:  # TLS knows no half of a connection
                self._transport.close()

    def _late(self) -> None:
        """End a TCP connection that sent no handshake in time."""
        self._handshake.late()
        self._refuse()
        self.abort()

    def abort(self) -> None:
        """End the TCP connection."""
        self._transport.abort()

    def forget(self) -> None:
        """In a forked child: give the socket's descriptor back without a word to the peer, who is the parent's."""
        give_back(self._transport)
