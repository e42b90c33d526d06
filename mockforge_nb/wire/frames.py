"""What comes in, cut into frames (RFC 6455 §5.2): the ordinary ones are read here, the others by `websockets`."""

from __future__ import annotations

import codecs

from websockets.exceptions import ProtocolError
from websockets.frames import Close, Frame, Opcode
from websockets.protocol import CLIENT, OPEN, SERVER, Protocol

from mockforge_nb.core.events import Runs
from mockforge_nb.core.message import BINARY, CLOSE, TEXT

from .request import SILENT

try:
    from websockets.speedups import apply_mask
except ImportError:  # no C extension for this platform
    from websockets.utils import apply_mask

OPCODES = frozenset(Opcode)
VIEWED = 1024
"""From which size on a payload is unmasked through a view."""

WHOLE_TEXT = 0x80 | TEXT
WHOLE_BINARY = 0x80 | BINARY
CONTROL = (0x88, 0x89, 0x8A)
"""How a close frame, a ping and a pong begin."""

_utf8 = codecs.getincrementaldecoder("utf-8")


class FrameReader:
    """Hands out what came, in the order of the wire.

    Nearly every frame is a whole, masked, uncompressed message, which takes a few operations to read. Whatever else
    comes (control frames, fragments, anything malformed) is for `websockets`, the authority on the protocol. It is
    given one whole frame at a time, so that what it answers stands between the right messages.

    Of a connection that is relayed, pings, pongs and the close frame are for the other side to answer: they are handed
    out, and nothing answers them here.

    Args:
        most: The largest message, in bytes.
        protocol: Who reads the frames that are not ordinary; None: it is made when there are some.
        masked: Whether the peer masks its frames, as a client does (RFC 6455 §5.3).

    Attributes:
        protocol: As given, or as made.
        relayed: Whether the connection is relayed.
        taken: Of a relayed one, the bytes of the messages that `ordinary` returned last.
        last: Of a relayed one, the close frame that came, which nobody has answered; nothing is read behind it.
    """

    __slots__ = (
        "_buffer", "_decoder", "_fresh", "_joined", "_marked", "_mask", "_most", "_need", "_opcode", "last",
        "protocol", "relayed", "taken",
    )  # fmt: skip

    def __init__(self, most: int, protocol: Protocol | None = None, *, masked: bool = True) -> None:
        self.protocol = protocol
        self.relayed = False
        self.taken: bytes | bytearray | memoryview = b""
        self.last = b""
        self._mask, self._marked = (4, 128) if masked else (0, 0)
        self._most = most
        self._buffer = bytearray()  # what is kept of earlier reads
        self._fresh: bytes | memoryview = b""  # what just came, if nothing is kept
        self._need = 0  # how long the buffer is once its first frame is whole, as far as that is known
        # Fragments are joined as they come: a list would let empty ones take memory without end.
        self._joined = bytearray()
        self._opcode = Opcode.TEXT
        self._decoder: codecs.IncrementalDecoder | None = None

    def library(self) -> Protocol:
        """Return the protocol, for what is not ordinary; most connections need it at their end alone."""
        if self.protocol is None:
            side = SERVER if self._mask else CLIENT
            self.protocol = Protocol(side, state=OPEN, max_size=self._most, logger=SILENT)
        return self.protocol

    @property
    def open(self) -> bool:
        """Whether no close frame came or went."""
        return self.protocol is None or self.protocol.state is OPEN

    @property
    def ended(self) -> bool:
        """Whether nothing more is read."""
        return (self.protocol is not None and self.protocol.eof_sent) or bool(self.last)

    def feed(self, data: bytes | memoryview) -> None:
        """Take what was read from the socket; `ordinary` or `other` is called before it is overwritten."""
        if self._buffer or self._fresh:
            self._keep()
            self._buffer += data
        else:
            self._fresh = data

    def _keep(self) -> None:
        """Put what was not looked at yet to what is kept."""
        if self._fresh:
            self._buffer += self._fresh
            self._fresh = b""

    @property
    def more(self) -> bool:
        """Whether something is left that `ordinary` did not take."""
        return bool(self._buffer)

    def ordinary(self, data: bytes | memoryview = b"") -> Runs:
        """Take the ordinary messages at the front; the text is valid UTF-8.

        What just came is read where it lies; only what is left of it is copied to what is kept.

        Args:
            data: What is fed first.
        """
        if data:
            if self._buffer or self._fresh:
                self.feed(data)
            else:
                self._fresh = data
        found: Runs = []
        fresh = self._fresh
        buffer: bytes | bytearray | memoryview = fresh or self._buffer
        end = len(buffer)
        protocol = self.protocol
        if end < self._need or (
            protocol is not None and (protocol.state is not OPEN or protocol.current_size is not None)
        ):
            self._keep()
            return found
        at = last = 0
        payloads: list[bytes] = []
        mask, marked = self._mask, self._marked
        header = 2 + mask
        while end - at >= header:
            opening, size = buffer[at], buffer[at + 1] ^ marked
            start = at + header
            if (opening != WHOLE_TEXT and opening != WHOLE_BINARY) or size > 127:
                break
            if size > 125:
                start += 2 if size == 126 else 8
                if start > end:
                    break
                size = int.from_bytes(buffer[at + 2 : start - mask], "big")
            stop = start + size
            if stop > end or size > self._most:
                break
            # A slice copies; of a large payload that costs more than a view of it.
            payload = (
                apply_mask(
                    buffer[start:stop] if size < VIEWED else memoryview(buffer)[start:stop],
                    bytes(buffer[start - 4 : start]),
                )
                if mask
                else bytes(buffer[start:stop] if size < VIEWED else memoryview(buffer)[start:stop])
            )
            if opening == WHOLE_TEXT and not payload.isascii() and not _is_utf8(payload):
                break
            if opening != last:
                last, payloads = opening, []
                found.append((opening & 15, payloads))
            payloads.append(payload)
            at = stop
        if self.relayed and at:
            self.taken = buffer if at == end and fresh else bytes(memoryview(buffer)[:at])
        if fresh:
            self._fresh = b""
            if at < end:
                self._buffer += memoryview(fresh)[at:] if at else fresh
        elif at:
            del self._buffer[:at]
        if at:
            self._need = 0
        return found

    def other(self) -> list[Frame] | None:
        """Let the protocol read the frame at the front; None: it is not whole.

        Returns:
            The control frame or the message that it completes, if it does and the protocol takes it.
        """
        data = self._whole()
        if data is None:
            return None
        if self.relayed and self.open:
            control = self._control(data)
            if control is not None:
                return [control]
        protocol = self.library()
        if data[0] & 15 == Opcode.CLOSE:
            # It may stand between fragments (RFC 6455 §5.4), which the protocol takes for an error.
            protocol.current_size = None
        protocol.receive_data(data)
        frames = (one for one in protocol.events_received() if isinstance(one, Frame))
        return [whole for one in frames if (whole := self._join(one)) is not None]

    def _control(self, data: bytes) -> Frame | None:
        """Return a frame if it is a control frame as RFC 6455 §5.5 wants it, which the other side answers."""
        size = data[1] ^ self._marked
        if data[0] not in CONTROL or size > 125 or len(data) != 2 + self._mask + size:
            return None
        payload = data[2 + self._mask :]
        if self._mask:
            payload = apply_mask(payload, data[2:6])
        if data[0] & 15 == CLOSE:
            try:
                Close.parse(payload)
            except (ProtocolError, UnicodeDecodeError):
                return None
            self.last = data
            self._buffer.clear()
        return Frame(Opcode(data[0] & 15), payload)

    def confirm(self) -> None:
        """Let the protocol have the close frame that came, after all: it answers it unless it sent one itself."""
        last, self.last = self.last, b""
        if last:
            protocol = self.library()
            protocol.current_size = None
            protocol.receive_data(last)
            protocol.events_received()

    def _whole(self) -> bytes | None:
        """Take the frame at the front; None: it is not whole.

        One whose header is malformed never will be: the protocol is given all there is, and fails on it.
        """
        buffer = self._buffer
        end = len(buffer)
        if end < max(2, self._need):
            return None
        size = buffer[1] & 127
        header = 2 + self._mask + (0 if size < 126 else 2 if size == 126 else 8)
        if buffer[0] & 15 not in OPCODES or buffer[1] & 128 != self._marked:
            return self.rest()
        if size > 125:
            if end < header - self._mask:
                return None
            size = int.from_bytes(buffer[2 : header - self._mask], "big")
        if size > self._most:
            return self.rest()
        self._need = header + size
        if end < self._need:
            return None
        whole = bytes(buffer[: self._need])
        del buffer[: self._need]
        self._need = 0
        return whole

    def _join(self, one: Frame) -> Frame | None:
        """Return `one` if it is whole, or the message that it is the last fragment of."""
        if one.opcode.value & 8:
            return one
        if one.opcode is not Opcode.CONT:
            self._opcode = one.opcode
            self._decoder = _utf8() if one.opcode is Opcode.TEXT else None
        if self._decoder is not None:
            try:
                self._decoder.decode(one.data, one.fin)
            except UnicodeDecodeError:
                self.library().fail(1007, "a text message is not valid UTF-8")  # RFC 6455 §8.1
                return None
        self._joined += one.data
        if not one.fin:
            return None
        message = Frame(self._opcode, bytes(self._joined))
        self._joined = bytearray()
        return message

    def rest(self) -> bytes:
        """Take all there is, and forget what was joined."""
        self._keep()
        rest = bytes(self._buffer)
        self._buffer.clear()
        self._joined.clear()
        self._need = 0
        return rest


def _is_utf8(payload: bytes) -> bool:
    try:
        payload.decode()
    except UnicodeDecodeError:
        return False
    return True
