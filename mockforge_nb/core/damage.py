"""What faults make of one message: another payload, fragments, or a frame that RFC 6455 forbids."""

from __future__ import annotations

import random
from collections.abc import Mapping
from dataclasses import replace
from typing import Any, Final

from .events import Send
from .message import BINARY, TEXT
from .program import frame, head

UNMASKED: Final = b"\x00\x00\x00\x00"


def sliced(send: Send, options: Mapping[str, Any], rng: random.Random) -> list[bytes]:
    """Return a message as the frames of fragments (RFC 6455 §5.4) of about ``size`` bytes."""
    pieces: list[bytes] = []
    at, data = 0, send.payload
    while at < len(data) or not pieces:
        size = max(1, options["size"] + rng.randint(-options["variation"], options["variation"]))
        pieces.append(data[at : at + size])
        at += size
    frames = [frame(0 if index else send.opcode, piece) for index, piece in enumerate(pieces)]
    return [bytes((one[0] & 0x7F,)) + one[1:] for one in frames[:-1]] + frames[-1:]


def changed(name: str, options: Mapping[str, Any], send: Send, rng: random.Random) -> Send:
    """Return a message whose payload a fault changes."""
    data = send.payload
    if name == "oversize":
        return replace(send, payload=data + b" " * max(0, options["size"] - len(data)))
    if name == "invalid_utf8":
        return replace(send, opcode=TEXT, payload=data + b"\xff\xfe")
    how = options["how"]
    if how == "truncate":
        return replace(send, payload=_cut(data, rng.randrange(len(data) or 1), send.opcode))
    if how == "bit":
        return replace(send, payload=_flipped(data, send.opcode, rng))
    made = how(data.decode() if send.opcode == TEXT else data)
    return replace(send, payload=made.encode() if isinstance(made, str) else bytes(made))


def _cut(data: bytes, at: int, opcode: int) -> bytes:
    """Return the beginning of a payload; of a text, whole characters."""
    cut = data[:at]
    return cut if opcode == BINARY else cut.decode(errors="ignore").encode()


def _flipped(data: bytes, opcode: int, rng: random.Random) -> bytes:
    """Return a payload with one bit flipped; a text stays one (`invalid_utf8` is for what does not)."""
    for _ in range(64):
        if not data:
            break
        changed = bytearray(data)
        changed[rng.randrange(len(data))] ^= 1 << rng.randrange(8)
        try:
            if opcode == TEXT:
                changed.decode()
        except UnicodeDecodeError:
            continue
        return bytes(changed)
    return data


def forbidden(how: str, send: Send) -> bytes:
    """Return a frame that RFC 6455 forbids."""
    data, opcode = send.payload, send.opcode
    whole = frame(opcode, data)
    if how == "rsv":  # §5.2: no extension gives it a meaning
        return bytes((whole[0] | 0x40,)) + whole[1:]
    if how == "opcode":  # §5.2: reserved
        return frame(3, data)
    if how == "masked":  # §5.1: a server must not mask
        opening = head(opcode, len(data))
        return bytes((opening[0], opening[1] | 0x80)) + opening[2:] + UNMASKED + data
    if how == "control":  # §5.5: at most 125 bytes
        return frame(9, data.ljust(126, b" "))
    # §5.2: the most significant bit of a length of 8 bytes must be 0
    return bytes((0x80 | opcode, 127)) + (2**63 + len(data)).to_bytes(8, "big") + data
