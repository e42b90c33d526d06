"""What a server is traced and measured with: the providers that its mock names, or some of its own."""

from __future__ import annotations

import os
import random
from collections import Counter, deque
from collections.abc import Callable
from typing import TYPE_CHECKING, Final, Protocol

from opentelemetry import metrics, trace
from opentelemetry.sdk.environment_variables import OTEL_EXPORTER_OTLP_TIMEOUT, OTEL_SPAN_EVENT_COUNT_LIMIT
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader, MetricReader, PeriodicExportingMetricReader
from opentelemetry.sdk.resources import SERVICE_NAME, Resource
from opentelemetry.sdk.trace import SpanLimits, TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.sdk.trace.id_generator import IdGenerator, RandomIdGenerator

from . import names
from .collected import UNTRACED, Spans
from .hub import collect
from .measured import Metrics
from .metrics import ServerMetrics
from .options import Measuring, Tracing
from .spans import ServerTracer

if TYPE_CHECKING:
    from mockforge_nb.core.log import Log
    from mockforge_nb.core.watch import Tracer
    from mockforge_nb.errors import AuthorError

MOST_LATE: Final = 10_000
"""How many late steps are kept until somebody collects; the oldest leave first."""
EXPORT_SECONDS: Final = 2.0
"""How long an OTLP receiver may take, so that one that is away keeps no server from stopping for longer."""
MOST_EVENTS: Final = 10_000
"""How many events a connection's span may have, where the provider is the server's own; the oldest leave first."""


class Observed(Protocol):
    """The listener of the server that is traced and measured."""

    log: Log
    errors: list[AuthorError]
    tracer: Tracer | None
    late: deque[tuple[str, float]] | None
    pages: dict[str, Callable[[], tuple[str, bytes]]]


class Telemetry:
    """Traces and measures one server.

    Args:
        listener: The server's, which does not listen yet.
        tracing: How it is traced; None: not at all.
        measuring: How it is measured; None: not at all.
        seed: What trace ids are drawn from, where the provider is the server's own and nothing is exported, as what
            collects the spans of many runs would take them for one; None: they are random.

    Attributes:
        spans: Its spans.
        metrics: Its metrics.
    """

    def __init__(
        self,
        listener: Observed,
        tracing: Tracing | None,
        measuring: Measuring | None,
        seed: str | None,
    ) -> None:
        self.spans, self.metrics = Spans(UNTRACED if tracing is None else ""), Metrics()
        self._own: list[TracerProvider | MeterProvider] = []
        self._measures: ServerMetrics | None = None
        self._listener = listener
        if tracing is not None:
            listener.tracer = self._trace(tracing, seed)
        if measuring is not None:
            listener.late = deque(maxlen=MOST_LATE)
            self._measure(measuring)

    def move(self, address: str, port: int, *, secure: bool) -> None:
        """Take note of where the server is, once it is known, and whether it speaks TLS."""
        tracer = self._listener.tracer
        if isinstance(tracer, ServerTracer):
            tracer.address, tracer.port, tracer.scheme = address, port, "wss" if secure else "ws"
        if self._measures is not None:
            self._measures.move(address, port)

    def _trace(self, said: Tracing, seed: str | None) -> ServerTracer:
        provider = said.provider
        if provider is None and said.otlp is None:
            known = trace.get_tracer_provider()
            provider = None if isinstance(known, trace.ProxyTracerProvider) else known
        if provider is None:
            ids = RandomIdGenerator() if seed is None or said.otlp is not None else SeededIds(seed)
            limits = None if os.environ.get(OTEL_SPAN_EVENT_COUNT_LIMIT) else SpanLimits(max_events=MOST_EVENTS)
            own = TracerProvider(resource=_resource(), id_generator=ids, span_limits=limits)
            if said.otlp is not None:
                from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter

                endpoint = f"{said.otlp}/v1/traces" if said.otlp else None
                own.add_span_processor(BatchSpanProcessor(OTLPSpanExporter(endpoint, timeout=_patience())))
            self._own.append(own)
            provider = own
        collect(self.spans, provider)
        return ServerTracer(
            provider.get_tracer(names.SCOPE), sample=said.sample, bursts=said.bursts, knows=self.spans.knows
        )

    def _measure(self, said: Measuring) -> None:
        provider = said.provider
        if provider is None and said.otlp is None:
            known = metrics.get_meter_provider()
            provider = known if isinstance(known, MeterProvider) else None
        reader = InMemoryMetricReader()
        readers: list[MetricReader] = [reader]
        if said.otlp is not None:
            from opentelemetry.exporter.otlp.proto.http.metric_exporter import OTLPMetricExporter

            endpoint = f"{said.otlp}/v1/metrics" if said.otlp else None
            readers.append(PeriodicExportingMetricReader(OTLPMetricExporter(endpoint, timeout=_patience())))
        if said.prometheus is not None:
            from .prometheus import page

            prometheus, self._listener.pages[said.prometheus] = page()
            readers.append(prometheus)
        own = MeterProvider(readers, resource=_resource())
        self._own.append(own)
        self._measures = ServerMetrics(self, [own, *([provider] if provider is not None else [])])
        self.metrics = Metrics(reader)

    # What is measured

    @property
    def log(self) -> Log:
        """The server's traffic."""
        return self._listener.log

    def failures(self) -> Counter[str]:
        """Return how often each type of error was the author's."""
        return Counter(type(each.error).__name__ for each in self._listener.errors[:])

    def late_steps(self) -> list[tuple[str, float]]:
        """Return by how much (s) steps of scripts were late since the last time, and at which path."""
        late, found = self._listener.late, []
        while late:
            found.append(late.popleft())
        return found

    # Its end

    def flush(self) -> None:
        """Export what there is, and go on."""
        for provider in self._own:
            provider.force_flush()

    def close(self) -> None:
        """Export what is left, and let providers of others have the last numbers."""
        self.metrics.freeze()
        if self._measures is not None:
            self._measures.close()
        for provider in self._own:
            provider.shutdown()


class SeededIds(IdGenerator):
    """The same ids on each run, in the order in which spans begin."""

    def __init__(self, seed: str) -> None:
        self._random = random.Random(seed)

    def generate_span_id(self) -> int:
        """Return an id of 64 bits that is not 0 (W3C Trace Context §3.2.2.4)."""
        return self._random.getrandbits(64) or 1

    def generate_trace_id(self) -> int:
        """Return an id of 128 bits that is not 0 (W3C Trace Context §3.2.2.3)."""
        return self._random.getrandbits(128) or 1


def _patience() -> float | None:
    """Return how long an export may take (s); None: as OpenTelemetry's variable says."""
    return None if os.environ.get(OTEL_EXPORTER_OTLP_TIMEOUT) else EXPORT_SECONDS


def _resource() -> Resource:
    return Resource.create({SERVICE_NAME: os.environ.get("OTEL_SERVICE_NAME") or names.SCOPE})
