"""The arguments of `Mock.trace` and `Mock.metrics`; knows nothing of OpenTelemetry."""

from __future__ import annotations

import re
from dataclasses import dataclass
from importlib.util import find_spec
from typing import Any
from urllib.parse import urlsplit

from mockforge_nb.core.units import number
from mockforge_nb.errors import OptionError

METRICS_PATH = "/metrics"
_PAGE = re.compile(r"/[^\s?#{}\x00-\x20\x7f-\U0010ffff]*")


@dataclass(frozen=True, slots=True, eq=False)
class Tracing:
    """How a server is traced.

    Attributes:
        provider: OpenTelemetry's tracer provider; None: the global one or, where nobody set it, one of the server's.
        sample: Which share of the messages has spans.
        bursts: Whether those of a burst have, too.
        otlp: Where spans are exported to: a URL, "": where OpenTelemetry's variables say; None: nowhere.
    """

    provider: Any = None
    sample: float = 1.0
    bursts: bool = False
    otlp: str | None = None


@dataclass(frozen=True, slots=True, eq=False)
class Measuring:
    """How a server is measured.

    Attributes:
        provider: OpenTelemetry's meter provider; None: the global one, if somebody set it.
        prometheus: The path at which Prometheus reads; None: nowhere.
        otlp: As in `Tracing`.
    """

    provider: Any = None
    prometheus: str | None = None
    otlp: str | None = None


def tracing(tracer_provider: Any, sample: float, bursts: bool, otlp: object) -> Tracing:
    """Return what `Mock.trace` was told; arguments and errors are its own."""
    _check_provider(tracer_provider, "get_tracer", "trace(tracer_provider=)", "tracer")
    if not 0 <= number(sample) <= 1:
        raise OptionError("trace(sample=)", sample, "is no share of the messages", "valid: 0 (none) to 1 (all)")
    if not isinstance(bursts, bool):
        raise OptionError("trace(bursts=)", bursts, "is neither True nor False")
    return Tracing(tracer_provider, float(sample), bursts, _otlp(otlp, tracer_provider, "trace"))


def measuring(meter_provider: Any, prometheus: object, otlp: object) -> Measuring:
    """Return what `Mock.metrics` was told; arguments and errors are its own."""
    _check_provider(meter_provider, "get_meter", "metrics(meter_provider=)", "meter")
    path = METRICS_PATH if prometheus is True else None if prometheus is False else prometheus
    if path is not None and not (isinstance(path, str) and _PAGE.fullmatch(path)):
        valid = f"valid: True for {METRICS_PATH!r}, or another path that begins with '/'"
        raise OptionError("metrics(prometheus=)", prometheus, "is no path", valid)
    if path is not None and not _installed("opentelemetry.exporter.prometheus"):
        lacks = "needs opentelemetry-exporter-prometheus, which is not installed"
        raise OptionError("metrics(prometheus=)", prometheus, lacks, "pip install 'mockforge_nb[prometheus]'")
    return Measuring(meter_provider, path, _otlp(otlp, meter_provider, "metrics"))


def _check_provider(provider: Any, method: str, where: str, kind: str) -> None:
    if provider is not None and (isinstance(provider, type) or not callable(getattr(provider, method, None))):
        valid = (
            f"valid: a {kind} provider, such as opentelemetry.sdk's {kind.capitalize()}Provider; None: the global one"
        )
        raise OptionError(where, provider, f"is no {kind} provider of OpenTelemetry", valid)


def _otlp(value: object, provider: Any, word: str) -> str | None:
    """Return the URL of an OTLP receiver; "": OpenTelemetry's variables say it."""
    if value is None or value is False:
        return None
    where = f"{word}(otlp=)"
    url = "" if value is True else value
    if not isinstance(url, str) or not (value is True or _receives(url)):
        valid = 'valid: a URL such as "http://localhost:4318"; True: OTEL_EXPORTER_OTLP_ENDPOINT or that one'
        raise OptionError(where, value, "is no URL of an OTLP receiver", valid)
    if provider is not None:
        raise OptionError(where, value, "goes with no provider", "give the provider its exporter, or leave it out here")
    if not _installed("opentelemetry.exporter.otlp.proto.http"):
        lacks = "needs opentelemetry-exporter-otlp-proto-http, which is not installed"
        raise OptionError(where, value, lacks, "pip install 'mockforge_nb[otlp]'")
    return re.sub(r"(/v1/(traces|metrics))?/*$", "", url)


def _receives(url: str) -> bool:
    """Return whether a URL may be that of an OTLP receiver."""
    try:
        parts = urlsplit(url)
        port = parts.port  # which may be no number
    except ValueError:
        return False
    plain = not (parts.query or parts.fragment or re.search(r"\s", url)) and port != 0
    return plain and parts.scheme in ("http", "https") and bool(parts.hostname)


def _installed(name: str) -> bool:
    try:
        return find_spec(name) is not None
    except ModuleNotFoundError:
        return False
