"""Plays the client's half of a script to a real server."""

from __future__ import annotations

import ssl
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Any, Final

from websockets.exceptions import ConnectionClosed, InvalidHandshake, InvalidStatus, InvalidURI
from websockets.protocol import State
from websockets.sync.client import ClientConnection, connect

from mockforge_nb.core.half import Awaited, Ended, Half, Said
from mockforge_nb.core.message import BINARY, TEXT, Message
from mockforge_nb.core.verdicts import End, Got, Played
from mockforge_nb.errors import UnreachableError

from .client import OPTIONS, QUIET_SECONDS

Prepare = Callable[[Said, Sequence[Message]], Message | None]
"""What is sent for a step, once these messages came; None: nothing."""

Settled = Callable[[Sequence[Message]], bool]
"""Whether nothing more can come that is waited for."""

Reached = Callable[[Sequence[Message], int], bool]
"""Whether the first of the recorded messages, so many, have come."""

STUCK_SECONDS: Final = 10
"""How long a server may take at least to read what is sent to it."""


def call(
    url: str,
    shown: str,
    half: Half,
    *,
    speed: float,
    timeout: float,
    prepare: Prepare,
    settled: Settled,
    reached: Reached | None = None,
    headers: Sequence[tuple[str, str]] = (),
    tls: Any = None,
    subprotocols: Sequence[str] = (),
) -> Played:
    """Connect to a server, say the client's half, and return what came of it.

    Args:
        url: Where the server is.
        shown: The same without what may be secret.
        half: What is said, and what is waited for.
        speed: How many times as fast as it was recorded; infinite: at once.
        timeout: How long the handshake may take, and what is waited for longer than it took in the recording (s).
        prepare: What is sent for a step.
        settled: Whether nothing more can come.
        reached: Whether so many of the recorded have come; None: as many have come, whichever they are.
        headers: Headers of the handshake.
        tls: A context; False: verify nothing; None: the usual trust.
        subprotocols: Those that are offered.

    Raises:
        UnreachableError: There is no connection.
    """
    connection = connected(url, shown, timeout=timeout, headers=headers, tls=tls, subprotocols=subprotocols)
    return _Caller(connection, half, speed, timeout, prepare, settled, reached).run()


def connected(
    url: str,
    shown: str,
    *,
    timeout: float,
    headers: Sequence[tuple[str, str]] = (),
    tls: Any = None,
    subprotocols: Sequence[str] = (),
) -> ClientConnection:
    """Connect to a server; arguments and errors are those of `call`."""
    options: dict[str, Any] = {**OPTIONS, "max_queue": None, "open_timeout": timeout}
    options |= {"additional_headers": [*headers], "subprotocols": [*subprotocols] or None}
    if url.startswith("wss:"):
        options["ssl"] = tls if isinstance(tls, ssl.SSLContext) else _trust(verify=tls is not False)
    try:
        return connect(url, legacy=True, **options)
    except TimeoutError as error:
        raise UnreachableError(shown, f"it did not answer within {timeout:g} s") from error
    except InvalidStatus as error:
        status, phrase = error.response.status_code, error.response.reason_phrase
        raise UnreachableError(shown, f"it answered {status} {phrase}".rstrip(), status) from error
    except ssl.SSLCertVerificationError as error:
        raise UnreachableError(shown, f"its certificate is not trusted: {error.verify_message}; see ssl=") from error
    except (OSError, EOFError, InvalidHandshake, InvalidURI) as error:
        raise UnreachableError(shown, str(error.__cause__ or error) or type(error).__name__) from error


def _trust(*, verify: bool) -> ssl.SSLContext:
    context = ssl.create_default_context()
    if not verify:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    return context


class _Caller:
    """One connection; all on the caller's thread, beside the library's that reads."""

    def __init__(
        self,
        connection: ClientConnection,
        half: Half,
        speed: float,
        timeout: float,
        prepare: Prepare,
        settled: Settled,
        reached: Reached | None,
    ) -> None:
        self._connection, self._half, self._speed, self._timeout = connection, half, speed, timeout
        self._prepare, self._settled, self._reached = prepare, settled, reached
        self._began = time.monotonic()
        self._messages: list[Message] = []
        self._over = False
        self.played = Played(subprotocol=connection.subprotocol)

    def run(self) -> Played:
        """Play it, close the connection, and take what came until then."""
        try:
            # A server that does not read must not hold up the call for ever; one that has left already does not.
            with suppress(OSError):
                self._connection.socket.settimeout(max(self._timeout, STUCK_SECONDS))
            self._play()
        finally:
            ours = self._connection.protocol.state is State.OPEN
            self._connection.close()
        self._take(lambda: False, float("inf"))
        if not ours or self._connection.protocol.close_rcvd_then_sent:
            self.played.end = self._end()
        return self.played

    def _play(self) -> None:
        since, at = self._now(), 0.0  # when the last of ours was done, and when it was due in the recording
        awaited = 0
        for act in self._half.acts:
            if isinstance(act, Awaited):
                awaited += 1
            elif isinstance(act, Said):
                done = max(since, self._take_until(awaited, self._deadline(since, at, act.at)))
                self._take(lambda: False, done + act.gap / 1000 / self._speed)
                if not self._send(act):
                    return
                since, at = self._now(), act.at
            elif isinstance(act, Ended):
                deadline = self._deadline(since, at, act.at)
                self._take_until(awaited, deadline)
                self._take(lambda: False, deadline)
                return
        self._finish(awaited, self._deadline(since, at, self._half.acts[-1].at if self._half.acts else at))

    def _send(self, act: Said) -> bool:
        """Send a message; False: the connection is closed."""
        if self._over:
            return False
        message = self._prepare(act, self._messages)
        try:
            if message is not None:
                self._connection.send(message.payload, text=message.opcode == TEXT)
        except ConnectionClosed:
            self._take(lambda: False, float("inf"))
            return False
        self.played.sent[act.step] = Got(message, self._now())
        return True

    def _finish(self, awaited: int, deadline: float) -> None:
        """Wait for what was recorded; if as much came and not that, as long as more comes without a long pause."""
        self._take_until(awaited, deadline)
        while not self._over and self._now() < deadline and not self._settled(self._messages):
            count = len(self._messages)
            self._take(lambda: len(self._messages) > count, min(deadline, self._now() + QUIET_SECONDS))  # noqa: B023
            if len(self._messages) == count:
                return
            self._take(lambda: False, self._now() + 0.01)

    def _deadline(self, since: float, at: float, due: float) -> float:
        """Return until when the server may say what it said at `due` in the recording: its pace is its own."""
        return since + max(0.0, due - at) / 1000 + self._timeout

    def _take_until(self, count: int, until: float) -> float:
        """Take what comes until so many of the recorded came; return when the last of them did, or else the time."""
        if self._reached is None:
            self._take(lambda: len(self._messages) >= count, until)
            last = self.played.came[:count][-1:] if len(self._messages) >= count else []
        else:
            reached = self._reached
            self._take(lambda: reached(self._messages, count), until)
            last = self.played.came[-1:] if reached(self._messages, count) else []
        return last[0].elapsed if last else self._now() if count else 0.0

    def _take(self, enough: Callable[[], bool], until: float) -> None:
        """Take what comes until it is enough, a time has come or the connection is closed."""
        while not self._over and not enough():
            left = until - self._now()
            if left <= 0:
                return
            try:
                data = self._connection.recv(None if left == float("inf") else left)
            except TimeoutError:
                return
            except ConnectionClosed:
                self._over = True
                return
            message = Message(data.encode(), TEXT) if isinstance(data, str) else Message(data, BINARY)
            message.direction = "out"
            self._messages.append(message)
            self.played.came.append(Got(message, self._now()))

    def _now(self) -> float:
        return time.monotonic() - self._began

    def _end(self) -> End:
        """Return how the server ended the connection."""
        protocol = self._connection.protocol
        got, sent = protocol.close_rcvd, protocol.close_sent
        if got is not None:
            return End(got.code, got.reason, self._now())
        # What the server sent was against RFC 6455, so it is we who failed the connection.
        why = "" if sent is None else f"({sent.code} {sent.reason})"
        return End(1006, why, self._now())
