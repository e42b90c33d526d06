"""Find a connection's upstream and connect to it: the handshake that passes between client and upstream."""

from __future__ import annotations

import asyncio
import inspect
import ssl
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, cast

from websockets.client import ClientProtocol
from websockets.datastructures import Headers
from websockets.exceptions import InvalidStatus
from websockets.extensions.permessage_deflate import ClientPerMessageDeflateFactory
from websockets.http11 import Response
from websockets.uri import WebSocketURI, parse_uri

from mockforge_nb.core.events import Failed

from .request import SILENT, Asked
from .upstream import Upstream, passed_on

if TYPE_CHECKING:
    from mockforge_nb.core.identity import Identity
    from mockforge_nb.core.plan import Relay
    from mockforge_nb.core.plan import Upstream as Wanted
    from mockforge_nb.core.watch import Dialing, Watch

    from .listener import Listener


AWAY = (HTTPStatus.BAD_GATEWAY, HTTPStatus.SERVICE_UNAVAILABLE, HTTPStatus.GATEWAY_TIMEOUT)
"""What an upstream answers, or somebody before it, that is down."""


class Refused(Exception):  # noqa: N818  # what happened, and no failure of ours
    """There is no connection to the upstream.

    Attributes:
        response: What a client is told whose handshake waits for it.
        down: Whether the upstream is not there, or says so itself.
    """

    def __init__(self, response: Response, why: str, *, down: bool = False) -> None:
        self.response, self.down = response, down
        super().__init__(why)

    @classmethod
    def of(cls, status: HTTPStatus, why: str, *, down: bool = False) -> Refused:
        """Return a refusal of our own."""
        body = f"{why}\n".encode()
        headers = Headers({"Content-Type": "text/plain; charset=utf-8", "Content-Length": str(len(body))})
        headers["Connection"] = "close"
        return cls(Response(status.value, status.phrase, headers, body), why, down=down)

    @classmethod
    def by(cls, url: str, response: Response) -> Refused:
        """Return a refusal of the upstream's, which the client is told as it was said."""
        status = response.status_code
        why = f"the upstream {url} answered {status} {response.reason_phrase}".rstrip()
        if status < 300:  # for a client it would be no refusal
            return cls.of(HTTPStatus.BAD_GATEWAY, f"{why}, not 101: it is no WebSocket server")
        body = bytes(response.body or b"")
        headers = Headers([(name, value) for name, value in passed_on([*response.headers.raw_items()])])
        headers["Content-Length"] = str(len(body))
        headers["Connection"] = "close"
        return cls(Response(status, response.reason_phrase, headers, body), why, down=status in AWAY)


async def dial(
    listener: Listener, relay: Relay, who: Identity, most: int, watch: Watch | None = None
) -> Upstream | None:
    """Connect to the upstream of a relay.

    Args:
        listener: Whose connection it is for.
        relay: The relay.
        who: Who asks for it.
        most: The largest message that is taken from it, in bytes.
        watch: Who traces the connection; None: nobody does.

    Returns:
        The upstream, from which nothing is read before `Upstream.attach`; None: this connection is not relayed.

    Raises:
        Refused: There is none.
    """
    wanted = relay.upstream
    try:
        found = wanted.find(who)
        url = await found if inspect.isawaitable(found) else found
        if url is None:
            return None
        uri = parse_uri(url)
    except Exception as error:  # the author's, kept for check()
        listener.failed(Failed(error))
        if watch is not None:
            watch.failed(error)
        raise Refused.of(HTTPStatus.INTERNAL_SERVER_ERROR, "no upstream was found: see server.errors") from error
    shown = f"{'wss' if uri.secure else 'ws'}://{uri.host}:{uri.port}{uri.path}"
    if watch is None:
        return await _dial(listener, wanted, uri, shown, who, most, None)
    dialing = watch.dials(shown)
    try:
        upstream = await _dial(listener, wanted, uri, shown, who, most, dialing)
    except (Refused, asyncio.CancelledError) as error:
        dialing.ended(error)
        raise
    dialing.answered()
    return upstream


async def _dial(
    listener: Listener,
    wanted: Wanted,
    uri: WebSocketURI,
    shown: str,
    who: Identity,
    most: int,
    dialing: Dialing | None,
) -> Upstream:
    """Connect to an upstream."""
    upstream: Upstream | None = None
    try:
        async with asyncio.timeout(wanted.seconds):
            upstream = await _connect(listener, wanted, uri, who, most, dialing)
            await upstream.answered
            return upstream
    except TimeoutError as error:
        why = f"the upstream {shown} did not answer within {wanted.seconds:g} s"
        raise Refused.of(HTTPStatus.GATEWAY_TIMEOUT, why, down=True) from error
    except InvalidStatus as error:
        raise Refused.by(shown, error.response) from error
    except ssl.SSLCertVerificationError as error:
        why = f"the certificate of {shown} is not trusted: {error.verify_message}; see proxy(ssl=)"
        raise Refused.of(HTTPStatus.BAD_GATEWAY, why) from error
    except Exception as error:  # of the system, of TLS or of the handshake
        why = f"the upstream {shown} cannot be reached: {_reason(error)}"
        raise Refused.of(HTTPStatus.BAD_GATEWAY, why, down=True) from error
    finally:
        if upstream is not None and (upstream.answered.cancelled() or not _well(upstream.answered)):
            upstream.abort()


def _well(answered: asyncio.Future[Response]) -> bool:
    return answered.done() and answered.exception() is None


def _reason(error: BaseException) -> str:
    return str(error.__cause__ or error) or type(error).__name__


async def _connect(
    listener: Listener, wanted: Wanted, uri: WebSocketURI, who: Identity, most: int, dialing: Dialing | None
) -> Upstream:
    protocol = ClientProtocol(
        uri,
        extensions=[ClientPerMessageDeflateFactory(client_max_window_bits=True)] if wanted.compression else None,
        subprotocols=cast(Any, Asked(who.path, who.headers).subprotocols) or None,
        max_size=most,
        logger=SILENT,
    )
    request = protocol.connect()
    given = {name.lower() for name in request.headers}
    own = {name.lower(): value for name, value in wanted.headers}
    passed = passed_on(who.headers)
    if dialing is not None:  # its span stands where the client's stood
        passed = [(name, value) for name, value in passed if name.lower() not in dialing.fields]
        passed += dialing.headers.items()
    for name, value in passed:
        if name.lower() not in own and name.lower() not in given:
            request.headers[name] = value
    for name, said in wanted.headers:
        if name in request.headers:
            del request.headers[name]
        if said is not None:
            request.headers[name] = said
    if who.query:
        mark = "&" if "?" in request.path else "?"
        request.path += mark + who.query
    context = _tls(wanted.tls) if uri.secure else None
    _, made = await listener.loop.create_connection(
        lambda: Upstream(listener, f"{'wss' if uri.secure else 'ws'}://{uri.host}:{uri.port}{request.path}",
                         protocol, request.serialize(), most),
        uri.host,
        uri.port,
        ssl=context,
        server_hostname=uri.host if context is not None else None,
    )  # fmt: skip
    made.dialing = dialing
    made.begin()
    return made


def _tls(said: Any) -> ssl.SSLContext:
    """Return the TLS settings that ``proxy(ssl=)`` stands for."""
    if isinstance(said, ssl.SSLContext):
        return said
    context = ssl.create_default_context(cafile=said or None)
    if said is False:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    return context
