"""What is done to a connection's socket itself."""

from __future__ import annotations

import os
import socket
import struct


def reset_on_close(descriptor: int) -> None:
    """Let the end of a TCP connection be a reset (RST): what was not sent is thrown away.

    Args:
        descriptor: The socket's; the event loop's object for it may have no setsockopt.
    """
    one = socket.socket(fileno=os.dup(descriptor))
    with one:
        one.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
