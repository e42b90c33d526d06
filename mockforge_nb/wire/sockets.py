"""What is done to a connection's socket itself."""

from __future__ import annotations

import asyncio
import os
import socket
import struct
from contextlib import suppress


def reset_on_close(descriptor: int) -> None:
    """Let the end of a TCP connection be a reset (RST): what was not sent is thrown away.

    Args:
        descriptor: The socket's; the event loop's object for it may have no setsockopt.
    """
    one = socket.socket(fileno=os.dup(descriptor))
    with one:
        one.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))


def peer_of(transport: asyncio.BaseTransport) -> tuple[str, int]:
    """Return the peer's address and port; empty where it has none."""
    host, port = (transport.get_extra_info("peername") or ("", 0))[:2]
    return host, port


def give_back(transport: asyncio.Transport) -> None:
    """In a forked child: give a socket's descriptor back without a word to the peer, who is the parent's."""
    facade = transport.get_extra_info("socket")
    own = getattr(facade, "_sock", None)  # asyncio's: it would close the number again when it is collected
    number = own.detach() if own is not None else facade.fileno() if facade is not None else -1
    if number != -1:
        with suppress(OSError):
            os.close(number)
