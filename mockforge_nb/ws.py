"""MockForge's own names, over what `mockforge_nb` has.

A router is a `Mock`: ``router().serve(port=3001)`` runs it, and each word of a Mock can follow.
"""

from __future__ import annotations

import secrets
import time
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import date, datetime
from importlib import import_module
from typing import TYPE_CHECKING, Any, Final

from . import environment
from .augmentation import (
    ConditionAction,
    EventCondition,
    EventStrategy,
    ReplayAugmentationConfig,
    ReplayMode,
    WebSocketAiConfig,
    change_rate,
    chat_messages_scenario,
    iot_sensor_scenario,
    stock_market_scenario,
    transition_scenario,
)
from .core.context import Context
from .core.latency import LatencyProfile
from .core.latency import latency as check_latency
from .core.template import KNOWN, TextTemplate
from .core.units import epoch_ns
from .described import described
from .environment import DEFAULT_PATH, DEFAULT_PORT
from .errors import OptionError, TemplateError, joined, nearest
from .eventstreams import AiEventGenerator
from .injection import FaultConfig, LatencyInjector
from .mock import Mock
from .proxies import WsProxyConfig, url_of

if TYPE_CHECKING:
    from .server import Starting

__all__ = [
    "DEFAULT_PATH",
    "DEFAULT_PORT",
    "AiEventGenerator",
    "ConditionAction",
    "EventCondition",
    "EventStrategy",
    "FaultConfig",
    "LatencyInjector",
    "LatencyProfile",
    "ReplayAugmentationConfig",
    "ReplayMode",
    "WebSocketAiConfig",
    "WsProxyConfig",
    "WsProxyHandler",
    "change_rate",
    "chat_messages_scenario",
    "expand_tokens",
    "iot_sensor_scenario",
    "router",
    "router_with_latency",
    "router_with_proxy",
    "start_with_latency",
    "stock_market_scenario",
    "transition_scenario",
]


_TRACING: Final = (
    "create_ws_connection_span",
    "create_ws_message_span",
    "record_ws_connection_success",
    "record_ws_error",
    "record_ws_message_success",
)
"""What is in the original's root and here in `mockforge_nb.tracing`, which imports OpenTelemetry."""


def __getattr__(name: str) -> Any:
    if name in _TRACING:
        return getattr(import_module(".tracing", __package__), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


@dataclass(frozen=True, slots=True)
class WsProxyHandler:
    """A proxy, for `router_with_proxy`.

    Attributes:
        config: Where connections are relayed to.

    Raises:
        OptionError: It is no WsProxyConfig.

    Example:
        >>> WsProxyHandler(WsProxyConfig(upstream_url="wss://api.example.com/ws")).config.upstream_url
        'wss://api.example.com/ws'
    """

    config: WsProxyConfig

    def __post_init__(self) -> None:
        config: object = self.config
        if not isinstance(config, WsProxyConfig):
            way = "WsProxyConfig(upstream_url='wss://api.example.com/ws')"
            raise OptionError("WsProxyHandler()", config, "is no WsProxyConfig", way)


def router() -> Mock:
    """Return a mock that replays the file of ``MOCKFORGE_WS_REPLAY_FILE`` or, without one, echoes.

    An echo is the message as it came, text or binary. The original puts ``echo: `` before a text and answers no binary
    message; ``Mock().echo(prefix="echo: ")`` is nearer to that. After the last line of the file the original ends the
    connection, which stays open here; ``Mock().replay(file, then="close")`` ends it, too. The variables are read now,
    where the original reads them, and the file, anew for each connection: so a wrong one is an error here, not a line
    of a log. Unless ``MOCKFORGE_RESPONSE_TEMPLATE_EXPAND`` is on, no template is expanded, also none of a rule that is
    said of the mock afterwards: ``router().templates().when("^id$", "{{uuid}}")``.

    Raises:
        OptionError: A variable cannot be used.
        ScriptError: The replay file cannot be played; a missing one is a FileNotFoundError, too.

    Warns:
        UserWarning: A variable is called much like one that is read.

    Example:
        >>> with router().serve(port=0) as server, server.client() as client:
        ...     client.send("hi")
        ...     client.recv()
        'hi'
    """
    return described(Mock(), environment.of_process(None), relays=False)


def router_with_latency(latency_injector: LatencyInjector) -> Mock:
    """Return `router` on a slow network: each message draws its own delay, and their order stays.

    The original takes the injector and delays nothing.

    Raises:
        OptionError: It is no LatencyInjector; and the errors of `router`.

    Example:
        >>> router_with_latency(LatencyInjector(LatencyProfile.slow(), FaultConfig()))
        Mock().latency(300-800 ms).templates(False)
    """
    injector: object = latency_injector
    if not isinstance(injector, LatencyInjector):
        way = "LatencyInjector(LatencyProfile.slow())"
        raise OptionError("router_with_latency()", injector, "is no LatencyInjector", way)
    return injector.applied(router())


def router_with_proxy(proxy_handler: WsProxyHandler) -> Mock:
    """Return a mock that relays its path, ``/ws``, and the paths below it, as the config of the handler says.

    A connection that is not relayed is echoed; if ``should_proxy`` is False all are handled as by `router`. A config
    without an upstream takes that of ``MOCKFORGE_WS_PROXY_UPSTREAM_URL``.

    Raises:
        OptionError: It is no WsProxyHandler, or its config or the variable cannot be used.

    Warns:
        UserWarning: A variable is called much like one that is read.

    Example:
        >>> config = WsProxyConfig(upstream_url="wss://api.example.com/ws", should_proxy=True)
        >>> mock = router_with_proxy(WsProxyHandler(config))
    """
    handler: object = proxy_handler
    if not isinstance(handler, WsProxyHandler):
        way = "WsProxyHandler(WsProxyConfig(upstream_url='wss://api.example.com/ws'))"
        raise OptionError("router_with_proxy()", handler, "is no WsProxyHandler", way)
    config = handler.config
    if not config.relays:
        mock = router()
    else:
        if not config.upstream_url:
            config = replace(config, upstream_url=_upstream())
        if not config.upstream_url and not config.rules:
            valid = f"give upstream_url= or rules=, or set {environment.UPSTREAM}"
            raise OptionError("router_with_proxy()", config, "is no upstream", valid)
        mock = Mock().proxy(config)
        if not (config.upstream_url and config.passthrough_by_default):
            mock = mock.otherwise("echo")
    return mock.below()


def _upstream() -> str:
    """Return the variable's URL; empty: there is none."""
    environ = environment.of_process(None)
    environment.warn_of_mistyped(environ)
    url = environment.upstream(environ)
    return "" if url is None else url_of(url, environment.UPSTREAM)


def start_with_latency(port: int | None = None, latency: object = None, *, host: str | None = None) -> Starting:
    """Start what `router` describes, on a slow network.

    It listens when the wait is over, and goes on in the background: what comes back is the handle that stops it. The
    original's never returns, and delays nothing. ``async with start_with_latency(…) as server`` stops it by itself.

    Args:
        port: The port; ``MOCKFORGE_WS_PORT`` or 3001 unless given, 0: any free one.
        latency: A `LatencyProfile`, or whatever `Mock.latency` takes; None: no latency.
        host: The address to listen on; ``MOCKFORGE_WS_HOST`` or ``127.0.0.1`` unless given. The original listens on
            ``0.0.0.0``, on which the whole network can reach it.

    A script waits then: ``await server.serve_forever()``.

    Raises:
        OptionError: A wrong argument; and the errors of `router`.
        BindError: The port cannot be had; raised by the wait.

    Example:
        >>> import asyncio
        >>> async def main():
        ...     async with start_with_latency(0, LatencyProfile.normal()) as server:
        ...         return server.mock
        >>> asyncio.run(main())
        Mock().latency(50-200 ms).templates(False)
    """
    if port is not None:
        environment.checked_port(port, "start_with_latency(port)")
    if latency is not None:
        check_latency(latency, "start_with_latency(latency)")
    mock = router()
    if latency is not None:
        mock = mock.latency(latency)
    return mock.serve_async(host=host, port=port)


def expand_tokens(
    text: str, *, seed: int | None = None, now: str | datetime | date | None = None, **context: Any
) -> str:
    """Return a text with its tokens expanded, as a replay file's are.

    ``{{uuid}}``, ``{{now}}``, ``{{now+1m}}``, ``{{now+1h}}``, ``{{randInt min max}}``, and all else that templates of
    a `Mock` know but what they read of a connection. A token that nobody knows is an error, where the original leaves
    it as it is: it would be found by who reads the message, if at all. Braces that are none go between
    ``{% raw %}`` and ``{% endraw %}``. The tokens of the original that are there more than once have one value; here
    each has its own.

    Args:
        text: The text.
        seed: The seed of what is random; unless given, it is drawn.
        now: When ``{{now}}`` is: a time in ISO 8601 or a datetime, without a zone UTC; unless given, now.
        context: Names, and what they stand for, as in `Mock.templates`.

    Raises:
        TemplateError: A token that is not known, or cannot be expanded; the error names it and the nearest right one.
        OptionError: A wrong argument.

    Example:
        >>> expand_tokens("at {{now+1h}}", now="2024-01-15T10:30:00Z")
        'at 2024-01-15T11:30:00.000Z'
    """
    given: object = text
    if not isinstance(given, str):
        raise OptionError("expand_tokens()", given, "is not a text")
    if seed is not None and (isinstance(seed, bool) or not hasattr(seed, "__index__")):
        raise OptionError("expand_tokens(seed=)", seed, "is no whole number")
    template = TextTemplate.parse(text, names=context)
    if unknown := sorted(template.variables):
        problem = f"no token or variable {unknown[0]!r} is known{nearest(unknown[0], [*context, *KNOWN])}"
        raise TemplateError(text, joined(problem, "to keep the braces write {% raw %}…{% endraw %}"))
    names: Mapping[str, Any] = context
    drawn = secrets.randbits(64) if seed is None else seed.__index__()
    at = time.time_ns() if now is None else epoch_ns(now, "expand_tokens(now=)")
    return template.render(Context(now_ns=at, key=(drawn, "", 0, "template"), names=names))
