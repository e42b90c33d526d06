"""The page that Prometheus reads."""

from __future__ import annotations

from collections.abc import Callable

from opentelemetry.exporter.prometheus import PrometheusMetricReader
from prometheus_client import CollectorRegistry
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4, generate_latest


def page() -> tuple[PrometheusMetricReader, Callable[[], tuple[str, bytes]]]:
    """Return a reader for a meter provider, and what makes the page of its metrics alone.

    The registry is the page's own: that of the process would have other servers' metrics, too.
    """
    registry = CollectorRegistry()
    reader = PrometheusMetricReader(disable_target_info=True, scope_info_enabled=False, registry=registry)
    return reader, lambda: (CONTENT_TYPE_PLAIN_0_0_4, generate_latest(registry))
