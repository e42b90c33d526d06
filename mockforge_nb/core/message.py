"""A client's message as rules, waits, templates and handlers see it."""

from __future__ import annotations

import json
from typing import Any, Final

from mockforge_nb.errors import OptionError

TEXT: Final = 1
BINARY: Final = 2
CLOSE: Final = 8
PING: Final = 9
PONG: Final = 10
"""Opcodes of RFC 6455 §5.2."""

ABORT: Final = 17
"""The end of a TCP connection without a close frame, which is no frame; the wire's opcodes have four bits."""

KINDS: Final = {TEXT: "text", BINARY: "binary", CLOSE: "close", PING: "ping", PONG: "pong", ABORT: "abort"}

NOT_JSON: Final = object()
"""What :meth:`Message.parsed` returns for a message that is no JSON."""


class Message:
    """One whole message, or for ``conn.events()`` a ping, a pong or the end of the connection.

    Attributes:
        payload: The payload in bytes; UTF-8 for text.
        opcode: ``TEXT`` (1) or ``BINARY`` (2), RFC 6455 §5.2; of events also 9 (ping), 10 (pong), 8 (close).
        connection: The connection's number, from 1.
        time: When it was received, in nanoseconds since the epoch (UTC).
        match: What the pattern that took this message found: groups and names; None without a pattern.
        direction: ``"in"``: the client's; ``"out"``: to the client, which a proxy's `transform` sees.

    Example:
        >>> message = Message(b'{"op": "ping"}')
        >>> message.text, message.json["op"], message == '{"op": "ping"}'
        ('{"op": "ping"}', 'ping', True)
    """

    __slots__ = ("_parsed", "connection", "direction", "match", "opcode", "payload", "time")

    def __init__(
        self, payload: bytes, opcode: int = TEXT, *, connection: int = 0, time: int = 0, match: Any = None
    ) -> None:
        self.payload = payload
        self.opcode = opcode
        self.connection = connection
        self.time = time
        self.match = match
        self.direction = "in"
        self._parsed: Any = None

    @property
    def kind(self) -> str:
        """What it is: ``text``, ``binary``, ``ping``, ``pong``, ``close`` or ``abort``, as the traffic calls it."""
        return KINDS[self.opcode]

    @property
    def code(self) -> int | None:
        """Of a ``close`` its code (1005: it has none, RFC 6455 §7.1.5), of an ``abort`` 1006, else None."""
        if self.opcode == CLOSE:
            return int.from_bytes(self.payload[:2], "big") if self.payload else 1005
        return 1006 if self.opcode == ABORT else None

    @property
    def reason(self) -> str | None:
        """Of a ``close`` its reason, else None."""
        return self.payload[2:].decode() if self.opcode == CLOSE else None

    @property
    def text(self) -> str | None:
        """The text, or None for a binary message."""
        return self.payload.decode() if self.opcode == TEXT else None

    @property
    def plain(self) -> str | bytes:
        """The text of a text message, and the bytes of any other."""
        return self.payload.decode(errors="replace") if self.opcode == TEXT else self.payload

    @property
    def data(self) -> bytes | None:
        """The bytes, or None for a text message."""
        return None if self.opcode == TEXT else self.payload

    def matched(self, match: Any) -> Message:
        """Return the same message with what a pattern found in it."""
        message = Message(self.payload, self.opcode, connection=self.connection, time=self.time, match=match)
        message._parsed = self._parsed
        return message

    def parsed(self) -> Any:
        """Return the JSON value, or ``NOT_JSON``; parsed once, never raises."""
        if self._parsed is None:
            try:
                self._parsed = (json.loads(self.payload),)
            except (ValueError, RecursionError):
                self._parsed = (NOT_JSON,)
        return self._parsed[0]

    @property
    def json(self) -> Any:
        """The JSON value of the message.

        Raises:
            ValueError: The message is no JSON.
        """
        value = self.parsed()
        if value is NOT_JSON:
            raise ValueError(f"the message is no JSON: {self!r}")
        return value

    def __eq__(self, other: object) -> bool:
        if isinstance(other, str):
            return self.text == other
        if isinstance(other, bytes):
            return self.data == other
        if isinstance(other, Message):
            return self.opcode == other.opcode and self.payload == other.payload
        return NotImplemented

    __hash__ = None  # type: ignore[assignment]  # equal to plain text and bytes, whose hashes it cannot share

    def __repr__(self) -> str:
        shown = repr(self.text if self.opcode == TEXT else self.payload)
        if self.code is not None:
            shown = f"{self.code} {self.reason}" if self.reason else str(self.code)
        kind = "" if self.opcode <= BINARY else f"{self.kind} "
        return f"<Message {kind}{shown if len(shown) <= 80 else shown[:77] + '...'}>"


def to_json(value: Any) -> str:
    """Return `value` as compact JSON text; the form of every JSON message that leaves."""
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"), allow_nan=False, default=_plain)


def _plain(value: Any) -> Any:
    """Return the JSON value of what numpy and pandas have for one, and times as RFC 3339."""
    for convert in ("tolist", "isoformat"):
        if hasattr(type(value), convert):
            made = getattr(value, convert)()
            return None if made == "NaT" else made
    raise TypeError(f"a {type(value).__name__} has no JSON form")


def encoded(data: object, where: str) -> tuple[int, bytes]:
    """Return the opcode and payload of what a user sends: text, bytes, or anything else as JSON.

    Raises:
        OptionError: It has no JSON form.
    """
    if isinstance(data, (bytes, bytearray, memoryview)):
        return BINARY, bytes(data)
    try:
        return TEXT, (data if isinstance(data, str) else to_json(data)).encode()
    except (TypeError, ValueError, RecursionError) as error:
        valid = "valid: text, bytes, or what has a JSON form"
        raise OptionError(where, data, f"cannot be sent: {error}", valid) from error
