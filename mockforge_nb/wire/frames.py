"""What comes in, cut into frames (RFC 6455 §5.2): the ordinary ones are read here, the others by `websockets`."""

from __future__ import annotations

from websockets.protocol import OPEN
from websockets.server import ServerProtocol

from mockforge_nb.core.message import BINARY, TEXT

try:
    from websockets.speedups import apply_mask
except ImportError:  # no C extension for this platform
    from websockets.utils import apply_mask

OPCODES = frozenset((0, 1, 2, 8, 9, 10))
WHOLE_TEXT = 0x80 | TEXT
WHOLE_BINARY = 0x80 | BINARY


class FrameReader:
    """Hands out whole frames, in the order of the wire.

    Nearly every frame is a whole, masked, uncompressed message, which takes a few operations to read. Whatever else
    comes (control frames, fragments, anything malformed) is for `ServerProtocol`, the authority on the protocol. It
    is given one whole frame at a time, so that what it answers stands between the right messages.

    Args:
        protocol: Who reads the frames that are not ordinary.
        most: The largest message, in bytes.
    """

    __slots__ = ("_buffer", "_most", "_need", "_protocol")

    def __init__(self, protocol: ServerProtocol, most: int) -> None:
        self._protocol = protocol
        self._most = most
        self._buffer = bytearray()
        self._need = 0  # how long the buffer is once its first frame is whole, as far as that is known

    def feed(self, data: bytes) -> None:
        """Take what was read from the socket."""
        self._buffer += data

    def ordinary(self) -> list[tuple[int, bytes]]:
        """Take the ordinary messages at the front, as opcode and payload; the text is valid UTF-8."""
        found: list[tuple[int, bytes]] = []
        buffer = self._buffer
        end = len(buffer)
        if end < self._need or self._protocol.state is not OPEN or self._protocol.current_size is not None:
            return found
        at = 0
        with memoryview(buffer) as view:
            while end - at >= 6:
                head, size = buffer[at], buffer[at + 1] - 128
                start = at + 6
                if (head != WHOLE_TEXT and head != WHOLE_BINARY) or size < 0:
                    break
                if size > 125:
                    start += 2 if size == 126 else 8
                    if start > end:
                        break
                    size = int.from_bytes(view[at + 2 : start - 4], "big")
                    if size > self._most:
                        break
                stop = start + size
                if stop > end:
                    break
                payload = apply_mask(view[start:stop], view[start - 4 : start])
                if head == WHOLE_TEXT and not payload.isascii() and not _is_utf8(payload):
                    break
                found.append((head & 15, payload))
                at = stop
        if at:
            del buffer[:at]
            self._need = 0
        return found

    def other(self) -> bytes | None:
        """Take the frame at the front for the protocol; None: it is not whole.

        A frame whose header is malformed never will be: the protocol is given all there is, and fails on it.
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

    def rest(self) -> bytes:
        """Take all there is."""
        rest = bytes(self._buffer)
        self._buffer.clear()
        self._need = 0
        return rest


def _is_utf8(payload: bytes) -> bool:
    try:
        payload.decode()
    except UnicodeDecodeError:
        return False
    return True
