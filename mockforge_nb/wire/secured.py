"""TLS handshakes that fail, of which asyncio and uvloop tell nobody."""

from __future__ import annotations

import ssl
from collections.abc import Callable


def tell_failures(context: ssl.SSLContext, failed: Callable[[str], None]) -> None:
    """Have a context say why the TLS handshake of one of its connections failed.

    What OpenSSL is not told of, a peer that goes away or is silent, is no failure of its.

    Args:
        context: The context.
        failed: Is told the reason, in words.
    """

    class Told(ssl.SSLObject):
        def do_handshake(self) -> None:
            try:
                super().do_handshake()
            except (ssl.SSLWantReadError, ssl.SSLWantWriteError):
                raise
            except ssl.SSLError as error:
                failed((error.reason or str(error)).replace("_", " ").lower())
                raise

    context.sslobject_class = Told
