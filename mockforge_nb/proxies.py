"""What an author says of a proxy, to a Relay of the core: for `Mock.proxy`."""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable, Mapping
from dataclasses import KW_ONLY, dataclass, fields
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from .augmentation import check_switch
from .core.match import pattern
from .core.plan import Relay, Upstream
from .core.recorded import shown_url
from .core.routes import PathPattern
from .core.rules import Call
from .core.units import seconds
from .dialing import VALID_URL, headers_of, tls_of
from .dialing import url_of as checked_url
from .errors import OptionError, ProxyError

if TYPE_CHECKING:
    from .connections import Request
    from .core.identity import Identity

_PARAMETER = re.compile(r"\{([A-Za-z_]\w*)\}")
DIRECTIONS = ("in", "out")

VALID = f"{VALID_URL}, or a function of the request that returns such a URL or None"


@dataclass(frozen=True)
class WsProxyConfig:
    """MockForge's description of a proxy, for `Mock.proxy`.

    Attributes:
        upstream_url: Where connections go that no rule takes. Its repr and errors have no user, password or query.
        should_proxy: Whether anything is relayed.
        enabled: Another name of the same.
        rules: Pairs of a path pattern (``/prices/{symbol}``, ``/ws/users/*``) and an upstream's URL, which may name
            its parameters; the first that matches is taken.
        message_transform: What is made of each message, as in `Mock.proxy`.
        passthrough_by_default: Whether connections that no rule takes are relayed to `upstream_url`.

    Raises:
        OptionError: A value that is none of these; what is wrong with a URL or a rule is said when it is used.

    Example:
        >>> real = Mock().echo().serve(port=0)
        >>> config = WsProxyConfig(rules=[("/feed", real.url)])
        >>> with Mock().proxy(config).serve(port=0, path="/feed") as server, server.client() as client:
        ...     client.send("hi")
        ...     client.recv()
        'hi'
        >>> real.stop()
    """

    upstream_url: str = ""
    _: KW_ONLY
    should_proxy: bool = True
    enabled: bool | None = None
    rules: tuple[tuple[str, str], ...] | list[tuple[str, str]] = ()
    message_transform: Any = None
    passthrough_by_default: bool = True

    def __post_init__(self) -> None:
        url: object = self.upstream_url
        if not isinstance(url, str):
            raise OptionError("WsProxyConfig(upstream_url=)", url, "is no URL", f"{VALID_URL}; leave it out for none")
        check_switch(self.should_proxy, "WsProxyConfig(should_proxy=)")
        if self.enabled is not None:
            check_switch(self.enabled, "WsProxyConfig(enabled=)")
        check_switch(self.passthrough_by_default, "WsProxyConfig(passthrough_by_default=)")
        rules: object = self.rules
        if not isinstance(rules, (tuple, list)):
            problem = "is no list of pairs of a path pattern and an upstream's URL"
            raise OptionError("WsProxyConfig(rules=)", rules, problem)
        object.__setattr__(self, "rules", tuple(rules))  # who holds the list may change it

    def __repr__(self) -> str:
        said = {each.name: getattr(self, each.name) for each in fields(self)}
        said["upstream_url"] = shown_url(self.upstream_url)
        said["rules"] = tuple(map(_shown_rule, self.rules))
        return f"WsProxyConfig({', '.join(f'{name}={value!r}' for name, value in said.items())})"

    @property
    def relays(self) -> bool:
        """Whether anything is relayed."""
        return self.should_proxy if self.enabled is None else self.enabled

    def finder(self) -> Callable[[Request], str | None]:
        """Return the function of a request that returns its upstream's URL.

        Raises:
            OptionError: It has no upstream, or a rule is none.
        """
        if self.relays:
            rules = [self._rule(one) for one in self.rules]
            default = url_of(self.upstream_url) if self.upstream_url and self.passthrough_by_default else None
            if not rules and default is None and self.upstream_url:
                problem = "relays nothing, as there are no rules"
                raise OptionError(
                    "WsProxyConfig(passthrough_by_default=)", False, problem, "give rules=, or leave it out"
                )
            if not rules and default is None:
                raise OptionError("WsProxyConfig(upstream_url=)", self.upstream_url, "is no upstream", VALID)
        else:
            rules, default = [], None

        def find(request: Request) -> str | None:
            for path, url in rules:
                params = path.match(request.path)
                if params is not None:
                    return filled(url, params)
            return default

        return find

    def _rule(self, given: object) -> tuple[PathPattern, str]:
        where = "WsProxyConfig(rules=)"
        if not isinstance(given, (tuple, list)) or len(given) != 2:
            raise OptionError(where, _shown_rule(given), "is no pair of a path pattern and an upstream's URL")
        text = given[0]
        if isinstance(text, str):  # a segment * is any one, as in the original
            text = "/".join(f"{{_{n}}}" if part == "*" else part for n, part in enumerate(text.split("/")))
        path = PathPattern.parse(text, where)
        url = url_of(given[1], where)
        for name in _PARAMETER.findall(url):
            if name not in path.names:
                raise OptionError(where, _shown_rule(given), f"names {{{name}}}, which is no parameter of its path")
        return path, url


def _shown_rule(given: object) -> object:
    """Return a rule as it may be shown."""
    if not isinstance(given, (tuple, list)):
        return given
    return tuple(shown_url(each) if isinstance(each, str) else each for each in given)


def relay(
    upstream: object,
    *,
    transform: object,
    only: object,
    headers: Mapping[str, str | None] | None,
    ssl: object,
    compression: bool,
    timeout: object,
) -> Relay:
    """Return the relay; arguments and errors are those of `Mock.proxy`."""
    if isinstance(upstream, WsProxyConfig):
        if transform is None:
            transform = upstream.message_transform
        elif upstream.message_transform is not None:
            raise OptionError("proxy(transform=)", transform, "and message_transform= say the same twice")
    into, out = _transforms(transform)
    if not isinstance(compression, bool):
        raise OptionError("proxy(compression=)", compression, "is neither True nor False")
    limit = seconds(timeout, "proxy(timeout=)")
    if not 0 < limit < float("inf"):
        raise OptionError("proxy(timeout=)", timeout, "is no time greater than 0")
    find, names, url = _finder(upstream)
    said, trusted = headers_of(headers, "proxy(headers=)"), tls_of(ssl, "proxy(ssl=)")
    return Relay(
        Upstream(find, said, trusted, compression, limit, names, url),
        None if only is None else pattern(only, where="proxy(only=)"),
        into,
        out,
    )


def url_of(url: object, where: str = "proxy()") -> str:
    """Return an upstream's URL if it is one; it may have parameters in braces.

    Raises:
        OptionError: It is none.
    """
    return checked_url(url, where, VALID)


def filled(url: str, params: Mapping[str, str]) -> str:
    """Return a URL with the values of its parameters."""
    return _PARAMETER.sub(lambda found: quote(params[found[1]], safe="/:@!$&'()*+,;=~-._"), url)


def _finder(upstream: object) -> tuple[Callable[[Identity], Any], tuple[str, ...], str]:
    """Return what finds the URL for a connection, the path parameters that it needs, and the URL without secrets."""
    if isinstance(upstream, WsProxyConfig):
        function: Callable[[Request], Any] = upstream.finder()
        known = shown_url(upstream.upstream_url) if upstream.upstream_url else ""
        return _asking(Call(function, 1)), (), known
    if callable(upstream) and not isinstance(upstream, type):
        return _asking(Call.of(upstream, "proxy()", "request")), (), ""
    url = url_of(upstream)
    names = tuple(_PARAMETER.findall(url))
    return (lambda who: filled(url, who.params) if names else url), names, shown_url(url)


def _asking(call: Call) -> Callable[[Identity], Any]:
    """Return what asks an author's function for a connection's URL, and checks it."""

    def checked(url: object) -> str | None:
        if url is None:
            return None
        try:
            return url_of(url, "proxy()")
        except OptionError as error:
            raise ProxyError(f"the function of proxy() returned no upstream: {error}") from None

    async def later(found: Any) -> str | None:
        return checked(await found)

    def find(who: Identity) -> Any:
        from websockets.datastructures import Headers

        from .connections import Request

        found = call(Request(who.path, who.params, who.asked, Headers(who.headers)))
        return later(found) if inspect.isawaitable(found) else checked(found)

    return find


def _transforms(transform: object) -> tuple[Call | None, Call | None]:
    """Return what is made of the client's messages, and of the upstream's."""
    if transform is None:
        return None, None
    where = "proxy(transform=)"
    if isinstance(transform, Mapping):
        for direction in transform:
            if direction not in DIRECTIONS:
                raise OptionError(where, direction, valid=DIRECTIONS)
        into, out = transform.get("in"), transform.get("out")
    else:
        into = out = transform
    calls = []
    for one in (into, out):
        if one is not None and (not callable(one) or isinstance(one, type)):
            raise OptionError(where, one, "is no function of a message", "or {'in': function, 'out': function}")
        calls.append(None if one is None else Call.of(one, where, "message", "connection"))
    return calls[0], calls[1]
