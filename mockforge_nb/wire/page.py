"""A page that a listener shows at a path of its own, beside its WebSockets."""

from __future__ import annotations

from collections.abc import Callable
from http import HTTPStatus
from typing import TypeAlias

from websockets.datastructures import Headers
from websockets.http11 import Response

Page: TypeAlias = Callable[[], tuple[str, bytes]]
"""Returns the content's type and the content; it may take its time, as it is called on another thread."""


def shown(page: Page, method: str) -> bytes:
    """Return the answer to who asks for a page (RFC 9110 §9.3)."""
    if method not in ("GET", "HEAD"):
        status = HTTPStatus.METHOD_NOT_ALLOWED
        refusal = Headers({"Allow": "GET, HEAD", "Content-Length": "0", "Connection": "close"})
        return Response(status, status.phrase, refusal, b"").serialize()
    kind, body = page()
    headers = Headers({"Content-Type": kind, "Content-Length": str(len(body)), "Connection": "close"})
    return Response(HTTPStatus.OK, HTTPStatus.OK.phrase, headers, b"" if method == "HEAD" else body).serialize()
