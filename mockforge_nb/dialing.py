"""What an author says of a server to connect to, checked: its URL, the handshake's headers, and whom TLS trusts."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from typing import Any, Final
from urllib.parse import urlsplit

from .core.recorded import shown_url
from .errors import OptionError

_TOKEN: Final = re.compile(r"[!#$%&'*+\-.^_`|~0-9A-Za-z]+")
_OURS: Final = ("host", "connection", "upgrade")

VALID_URL: Final = "valid: 'wss://feed.example.com/v1'"


def url_of(url: object, where: str, valid: str = VALID_URL) -> str:
    """Return the URL of a WebSocket server if it is one.

    Raises:
        OptionError: It is none.
    """
    if not isinstance(url, str):
        raise OptionError(where, url, "is no URL", valid)
    try:
        parts = urlsplit(url)
        parts.port  # noqa: B018  # raises if it is none
    except ValueError as error:
        raise OptionError(where, "…", f"is no URL: {error}", valid) from None  # it may hold a password
    if parts.scheme not in ("ws", "wss"):
        meant = {"http": "ws", "https": "wss"}.get(parts.scheme)
        hint = f"valid: {meant}://{shown_url(url).partition('://')[2]}" if meant else valid
        raise OptionError(where, shown_url(url), "is no URL of a WebSocket server", hint)
    if not parts.hostname or parts.fragment:
        raise OptionError(where, shown_url(url), "has no host" if not parts.hostname else "has a fragment", valid)
    return url


def is_token(text: str) -> bool:
    """Return whether a text is a token of HTTP (RFC 9110 §5.6.2): a header's name, or a subprotocol."""
    return _TOKEN.fullmatch(text) is not None


def headers_of(headers: object, where: str, *, removable: bool = True) -> tuple[tuple[str, str | None], ...]:
    """Return the names and values of headers that a handshake is to have.

    Args:
        headers: A dict; None: none.
        where: The call and argument, for the error.
        removable: Whether the value None takes a header out that would be there.

    Raises:
        OptionError: One cannot be sent, or belongs to the handshake itself.
    """
    if headers is None:
        return ()
    out = "; None takes a header out" if removable else ""
    if not isinstance(headers, Mapping):
        what = type(headers).__name__
        raise OptionError(where, what, f"is no dict of header names and their values{out}")
    for name, value in headers.items():
        if not isinstance(name, str) or not is_token(name):
            raise OptionError(where, name, "is no name of a header")
        if name.lower() in _OURS or name.lower().startswith("sec-websocket-"):
            raise OptionError(where, name, "belongs to the handshake itself (RFC 6455 §4.1)")
        if value is None and removable:
            continue
        if not isinstance(value, str) or any(mark in value for mark in "\r\n\0"):
            valid = "valid: a text, or None" if removable else "valid: a text"
            raise OptionError(where, "***", f"is no value of the header {name!r}", valid)
    return tuple(headers.items())


def tls_of(ssl: object, where: str) -> Any:
    """Return what ``ssl=`` says, once it is known that it can be used: a context, False, or None for the usual trust.

    Raises:
        OptionError: It cannot.
    """
    valid = "valid: a file of trusted certificates, an ssl.SSLContext, False: verify nothing"
    if ssl is None or ssl is True:
        return None
    import ssl as tls

    if ssl is False or isinstance(ssl, tls.SSLContext):
        return ssl
    if not isinstance(ssl, (str, os.PathLike)):
        raise OptionError(where, ssl, "is neither", valid)
    try:
        return tls.create_default_context(cafile=os.fspath(ssl))
    except OSError as error:  # ssl.SSLError is one
        raise OptionError(where, str(ssl), f"has no certificates that can be read: {error}", valid) from None
