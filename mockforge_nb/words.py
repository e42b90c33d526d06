"""What is said to a Mock, kept as it was said: for comparing, for other processes, and for its repr."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from .augmentation import NOT_PICKLED, ReplayAugmentationConfig, WebSocketAiConfig
from .core.events import Close
from .core.recorded import shown_url
from .script import Script

PLAIN = (str, bytes, int, float, timedelta, os.PathLike, Script, Close, type(None))
CONFIGS = (ReplayAugmentationConfig, WebSocketAiConfig)
SHOWN = 40
DEFAULTS: tuple[tuple[str, object], ...] = (
    ("scope", "connection"), ("then", "hold"), ("prefix", ""), ("direction", "out"), ("probability", 1.0), ("burst", 0),
    ("body", ""), ("headers", {}), ("redact", []), ("redact", ()), ("timeout", 10), ("record_mode", "all"),
    ("match", "equal"), ("ignore", ()), ("rebase", ()), ("speed", 1.0), ("sample", 1.0),
)  # fmt: skip
UNNAMED = (
    "pattern", "reply", "function", "source", "value", "name", "status", "delays", "phases", "path", "upstream",
    "narrative",
)  # fmt: skip


@dataclass(frozen=True, eq=False)
class Word:
    """A call of a method of Mock, and what it made.

    Attributes:
        call: The method.
        arguments: Its arguments by name.
        made: What the core is given for it.
    """

    call: str
    arguments: Mapping[str, object]
    made: Any

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Word):
            return NotImplemented
        return self.call == other.call and same(dict(self.arguments), dict(other.arguments))

    __hash__ = None  # type: ignore[assignment]  # a table has none

    def __repr__(self) -> str:
        """Write the call; arguments that were left out, or are what they are anyway, are not shown."""
        said = {name: value for name, value in self.arguments.items() if value is not None and value is not ...}
        if self.call == "proxy":
            said = without_secrets(said)
        elif self.call == "narrate":
            said = told(said)
        elif self.call == "tls" and "password" in said:
            said["password"] = "***"
        elif self.call in ("trace", "metrics"):
            # A provider's own repr has an address.
            said = {name: type(value) if name.endswith("provider") else value for name, value in said.items()}
        texts = []
        for name, value in said.items():
            if value is False or (name, value) in DEFAULTS:
                continue
            named = (
                name not in UNNAMED
                or (self.call == "when" and name == "name")
                or (name == "reply" and said.get("pattern") is None and self.call == "when")
            )
            describe = getattr(self.made[2].delays, "describe", None) if self.call == "latency" else None
            text = describe() if describe is not None and name == "value" else shown(value)
            texts.append(f"{name}={text}" if named else text)
        return f"{self.call}({', '.join(texts)})"

    def __reduce__(self) -> tuple[Any, ...]:
        if self.arguments.get("api_key") is not None:
            raise TypeError(NOT_PICKLED)
        # What was made has compiled patterns and templates; in another process it is made again.
        return _said_again, (self.call, dict(self.arguments))


def _said_again(call: str, arguments: dict[str, Any]) -> Word:
    from .mock import Mock

    mock: Mock = getattr(Mock(), call)(**arguments)
    return next(
        word
        for word in (
            mock._behaviour,
            mock._otherwise,
            *mock._rules,
            *mock._network,
            mock._record,
            mock._trace,
            mock._metrics,
            mock._tls,
        )
        if word is not None
    )


def same(a: object, b: object) -> bool:
    """Tables and callables equal only themselves; texts, numbers, paths, scripts and what holds them go by value."""
    if a is b:
        return True
    if isinstance(a, Mapping) and isinstance(b, Mapping):
        return a.keys() == b.keys() and all(same(a[key], b[key]) for key in a)
    if isinstance(a, (list, tuple)) and isinstance(b, (list, tuple)):
        return len(a) == len(b) and all(map(same, a, b))
    if isinstance(a, CONFIGS) and type(a) is type(b):
        return same(vars(a), vars(b))
    # True is 1 and 1 is 1.0 to Python, but not in a JSON message.
    plain = isinstance(a, PLAIN) and isinstance(b, PLAIN) and isinstance(a, bool) is isinstance(b, bool)
    return plain and bool(a == b)


def without_secrets(said: Mapping[str, object]) -> dict[str, object]:
    """Return a proxy's arguments as they may be shown: a notebook's output is read by others."""
    found = dict(said)
    if isinstance(found["upstream"], str):
        found["upstream"] = shown_url(found["upstream"])
    headers = found.get("headers")
    if isinstance(headers, Mapping):
        found["headers"] = {name: None if value is None else "***" for name, value in headers.items()}
    return found


def told(said: Mapping[str, object]) -> dict[str, object]:
    """Return a story's arguments as they may be shown: what was said, and no key."""
    found = {name: value for name, value in said.items() if (name, value) not in _UNTOLD}
    narrative = said.get("narrative")
    config = narrative.replay if isinstance(narrative, WebSocketAiConfig) else narrative
    if isinstance(config, ReplayAugmentationConfig) and config.narrative:  # it says both itself
        itself = {"narrative": config.narrative, "events": config.event_count, "model": config.resolved_model()}
        found |= {name: value for name, value in itself.items() if value is not None}
        if config.event_count is None:
            del found["events"]
    if hasattr(found.get("schema"), "columns"):
        found["schema"] = type(found["schema"])  # a table's rows would fill the line
    return found | {"api_key": "***"} if "api_key" in found else found


_UNTOLD = (("rate", 1.0), ("seed", 1), ("temperature", 0.0), ("evolve", True),
           ("timeout", 60), ("retries", 3), ("repeats", True))  # fmt: skip


def shown(value: object) -> str:
    """Return an argument as a person would write it, shortened."""
    text = _written(value)
    return text if len(text) <= SHOWN else text[: SHOWN - 1] + "…"


def _written(value: object) -> str:
    if isinstance(value, Close):
        return f"close({value.code}{f', {value.reason!r}' if value.reason else ''})"
    if isinstance(value, list):
        return f"[{', '.join(map(_written, value))}]"
    name = getattr(value, "__name__", None)
    return name if callable(value) and isinstance(name, str) else repr(value)
