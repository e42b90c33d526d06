"""What comes in, cut into frames (RFC 6455 §5.2): the ordinary ones are read here, the others by `websockets`."""

from __future__ import annotations

import codecs

from websockets.frames import Frame, Opcode
from websockets.protocol import OPEN, SERVER, Protocol

from mockforge_nb.core.events import Runs
from mockforge_nb.core.message import BINARY, TEXT

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

_utf8 = codecs.getincrementaldecoder("utf-8")


class FrameReader:
    """Hands out what came, in the order of the wire.

    Nearly every frame is a whole, masked, uncompressed message, which takes a few operations to read. Whatever else
    comes (control frames, fragments, anything malformed) is for `websockets`, the authority on the protocol. It is
    given one whole frame at a time, so that what it answers stands between the right messages.

    Args:
        most: The largest message, in bytes.
        protocol: Who reads the frames that are not ordinary; None: it is made when there are some.
    """

    __slots__ = ("_buffer", "_decoder", "_fresh", "_joined", "_most", "_need", "_opcode", "protocol")

    def __init__(self, most: int, protocol: Protocol | None = None) -> None:
        self.protocol = protocol
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
            self.protocol = Protocol(SERVER, state=OPEN, max_size=self._most, logger=SILENT)
        return self.protocol

    @property
    def open(self) -> bool:
        """Whether no close frame came or went."""
        return self.protocol is None or self.protocol.state is OPEN

    @property
    def ended(self) -> bool:
        """Whether nothing more is read."""
        return self.protocol is not None and self.protocol.eof_sent

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

    def ordinary(self) -> Runs:
        """Take the ordinary messages at the front; the text is valid UTF-8.

        What just came is read where it lies; only what is left of it is copied to what is kept.
        """
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
        while end - at >= 6:
            opening, size = buffer[at], buffer[at + 1] - 128
            start = at + 6
            if (opening != WHOLE_TEXT and opening != WHOLE_BINARY) or size < 0:
                break
            if size > 125:
                start += 2 if size == 126 else 8
                if start > end:
                    break
                size = int.from_bytes(buffer[at + 2 : start - 4], "big")
            stop = start + size
            if stop > end or size > self._most:
                break
            # A slice copies; of a large payload that costs more than a view of it.
            payload = apply_mask(
                buffer[start:stop] if size < VIEWED else memoryview(buffer)[start:stop],
                bytes(buffer[start - 4 : start]),
            )
            if opening == WHOLE_TEXT and not payload.isascii() and not _is_utf8(payload):
                break
            if opening != last:
                last, payloads = opening, []
                found.append((opening & 15, payloads))
            payloads.append(payload)
            at = stop
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
        protocol = self.library()
        if data[0] & 15 == Opcode.CLOSE:
            # It may stand between fragments (RFC 6455 §5.4), which the protocol takes for an error.
            protocol.current_size = None
        protocol.receive_data(data)
        frames = (one for one in protocol.events_received() if isinstance(one, Frame))
        return [whole for one in frames if (whole := self._join(one)) is not None]

    def _whole(self) -> bytes | None:
        """Take the frame at the front; None: it is not whole.

        One whose header is malformed never will be: the protocol is given all there is, and fails on it.
        """
        buffer = self._buffer
        end = len(buffer)
        if end < max(2, self._need):
            return None
        size = buffer[1] & 127
        header = 6 if size < 126 else 8 if size == 126 else 14
        if buffer[0] & 15 not in OPCODES or buffer[1] < 128:
            return self.rest()
        if size > 125:
            if end < header - 4:
                return None
            size = int.from_bytes(buffer[2 : header - 4], "big")
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
