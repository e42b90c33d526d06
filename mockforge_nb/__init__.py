"""A WebSocket mock that is programmed from a notebook.

    from mockforge_nb import Mock

    server = Mock().latency("slow").replay(df, time="timestamp").serve()
    server.traffic.df

`Mock` describes a server, `Mock.serve` runs it on a background event loop, and everything that crosses the wire
comes back as a pandas DataFrame.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

from .errors import (
    BindError,
    ConnectionClosedError,
    ExpectationError,
    ExpectationTimeoutError,
    GeneratorError,
    MockForgeError,
    ModelError,
    NotRecordedError,
    OptionError,
    ProtocolError,
    ProxyError,
    RecordingError,
    ScriptError,
    TemplateError,
    UnreachableError,
)

if TYPE_CHECKING:
    from . import feeds, fields
    from .core.conditions import LatencyProfile
    from .core.match import ANY
    from .core.message import Message
    from .generators.lookalike.model import TableModel
    from .mock import Mock
    from .registry import stop_all
    from .rules import close
    from .script import Script
    from .server import MockServer
    from .traffic import Traffic

__version__ = "0.1.0"

__all__ = [
    "ANY",
    "BindError",
    "ConnectionClosedError",
    "ExpectationError",
    "ExpectationTimeoutError",
    "GeneratorError",
    "LatencyProfile",
    "Message",
    "Mock",
    "MockForgeError",
    "MockServer",
    "ModelError",
    "NotRecordedError",
    "OptionError",
    "ProtocolError",
    "ProxyError",
    "RecordingError",
    "Script",
    "ScriptError",
    "TableModel",
    "TemplateError",
    "Traffic",
    "UnreachableError",
    "__version__",
    "close",
    "feeds",
    "fields",
    "stop_all",
]

# Loaded when they are first used (PEP 562), so that the package's own import is quick.
_LAZY = {
    "ANY": "core.match",
    "LatencyProfile": "core.conditions",
    "Message": "core.message",
    "Mock": "mock",
    "MockServer": "server",
    "Script": "script",
    "TableModel": "generators.lookalike.model",
    "Traffic": "traffic",
    "close": "rules",
    "stop_all": "registry",
}


def __getattr__(name: str) -> object:
    if name in ("feeds", "fields"):
        return import_module(f".{name}", __name__)
    if name not in _LAZY:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = globals()[name] = getattr(import_module(f".{_LAZY[name]}", __name__), name)
    return value


def __dir__() -> list[str]:
    return sorted(__all__)
