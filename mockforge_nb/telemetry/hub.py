"""What a tracer provider tells those who collect its spans in memory."""

from __future__ import annotations

from threading import Lock
from typing import TYPE_CHECKING, Any
from weakref import WeakKeyDictionary, WeakSet

from opentelemetry.sdk.trace import ReadableSpan, SpanProcessor

if TYPE_CHECKING:
    from .collected import Spans


class Hub(SpanProcessor):
    """Tells all who collect; a provider has one for ever, as a span processor cannot be taken out again."""

    def __init__(self) -> None:
        self._everybody: WeakSet[Spans] = WeakSet()
        self._lock = Lock()

    def add(self, spans: Spans) -> None:
        """Tell `spans` of what ends from now on, as long as somebody holds it."""
        with self._lock:
            everybody = WeakSet(self._everybody)
            everybody.add(spans)
            self._everybody = everybody  # a new one, as another thread may be walking through it

    def on_end(self, span: ReadableSpan) -> None:
        """Tell of a span that has ended."""
        for each in self._everybody:
            each.take(span)


_hubs: WeakKeyDictionary[Any, Hub] = WeakKeyDictionary()
_lock = Lock()


def collect(spans: Spans, provider: Any) -> None:
    """Let `spans` have those of a provider; one that is not the SDK's has none to show."""
    if not hasattr(provider, "add_span_processor"):
        spans.why = f"{type(provider).__name__} is no tracer provider of opentelemetry.sdk"
        return
    with _lock:
        hub = _hubs.get(provider)
        if hub is None:
            hub = _hubs[provider] = Hub()
            provider.add_span_processor(hub)
    hub.add(spans)
