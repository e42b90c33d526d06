"""A server's metrics: OpenTelemetry's instruments over what its log adds up to."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from threading import Lock, RLock
from typing import TYPE_CHECKING, Any, Final, Protocol, TypeAlias
from weakref import WeakKeyDictionary

from opentelemetry.metrics import CallbackOptions, Histogram, Meter, MeterProvider, Observation

from . import names
from .tally import Tally

if TYPE_CHECKING:
    from mockforge_nb.core.log import Log

SECONDS: Final = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
BYTES: Final = (16, 64, 128, 256, 512, 1024, 4096, 16_384, 65_536, 262_144, 1_048_576, 16_777_216)
"""The buckets of the histograms, in the units of the semantic conventions (s, By)."""

Key: TypeAlias = tuple[tuple[str, Any], ...]
"""The attributes of one value."""

COUNTERS: Final = (
    (names.CONNECTIONS, "{connection}", "Connections since the start."),
    (names.REFUSED, "{handshake}", "Handshakes that no connection came of."),
    (names.MESSAGES, "{message}", "Text and binary messages."),
    (names.BYTES, "By", "Payload bytes of text and binary messages."),
    (names.FAULTS, "{fault}", "Faults of the network that struck."),
    (names.ERRORS, "{error}", "What went wrong by the doing of the mock's author."),
)
HISTOGRAMS: Final = (
    (names.MESSAGE_SIZE, "By", "Payload bytes of a message.", BYTES),
    (names.INJECTED_DELAY, "s", "The delay that a message was given.", SECONDS),
    (
        names.LATENESS,
        "s",
        "How long after it was due the first step was taken of those that a script took at once.",
        SECONDS,
    ),
)

_lock = RLock()
"""Held by who counts: several providers may collect at once, each on a thread of its own."""


_making = Lock()
"""Held by who makes a provider's instruments."""


class Measured(Protocol):
    """The server that is measured."""

    @property
    def log(self) -> Log:
        """Its traffic."""
        ...

    def failures(self) -> Counter[str]:
        """Return how often each type of error was the author's."""
        ...

    def late_steps(self) -> list[tuple[str, float]]:
        """Return by how much (s) steps of scripts were late since the last time, and at which path."""
        ...


class ServerMetrics:
    """The numbers of one server, for each of the meter providers that want them.

    Nothing is counted while a message passes: the log is added up when a provider collects.

    Args:
        server: What is measured.
        providers: OpenTelemetry's meter providers.
    """

    def __init__(self, server: Measured, providers: Sequence[MeterProvider]) -> None:
        self._server = server
        self._tally = Tally(server.log)
        self._where: dict[str, Any] = {}
        self._instruments = [_instruments(provider) for provider in providers]
        with _lock:
            for each in self._instruments:
                each.servers.append(self)
        server.log.counted = self._count_now

    def move(self, address: str, port: int) -> None:
        """Take note of where the server is, once it is known."""
        self._where = {names.SERVER_ADDRESS: address, names.SERVER_PORT: port}

    def _count_now(self) -> None:
        with _lock:
            self.count()

    def count(self) -> None:
        """Add up what is new, and tell the histograms."""
        for (route, way), new in self._tally.count().items():
            of = {names.ROUTE: route, names.DIRECTION: way}
            self._record(names.MESSAGE_SIZE, new.sizes, of)
            self._record(names.INJECTED_DELAY, new.delays, of)
        for route, seconds in self._server.late_steps():
            self._record(names.LATENESS, [seconds], {names.ROUTE: route})

    def _record(self, name: str, values: Sequence[float], of: Mapping[str, str]) -> None:
        attributes: dict[str, Any] = {**self._where, **of}
        for each in self._instruments:
            histogram = each.histograms[name]
            for value in values:
                histogram.record(value, attributes)

    def values(self, name: str) -> Counter[Key]:
        """Return a metric's values by their attributes."""
        tally = self._tally
        if name == names.MESSAGES:
            return self._named(tally.messages, names.ROUTE, names.DIRECTION)
        if name == names.BYTES:
            return self._named(tally.bytes, names.ROUTE, names.DIRECTION)
        if name == names.FAULTS:
            return self._named(tally.faults, names.ROUTE, names.FAULT)
        if name == names.REFUSED:
            return self._named(tally.refused, names.ROUTE)
        if name == names.ERRORS:
            return self._named(self._server.failures(), names.ERROR_TYPE)
        routes = Counter(record.route for record in self._server.log.connections[:])
        if name == names.OPEN:
            shut = Counter(each.route for each in self._server.log.connections[:] if each.closed_ns is not None)
            # Who counts what is open wants to see that nothing is.
            routes = Counter({route: count - shut[route] for route, count in routes.items()})
        return self._named(routes, names.ROUTE)

    def _named(self, values: Counter[Any], *keys: str) -> Counter[Key]:
        where = tuple(self._where.items())
        pairs = ((of if isinstance(of, tuple) else (of,), value) for of, value in values.copy().items())
        return Counter({where + tuple(zip(keys, of, strict=True)): value for of, value in pairs})

    def close(self) -> None:
        """Count for the last time; the providers keep the numbers, and nothing of the server."""
        with _lock:
            self.count()
            for each in self._instruments:
                each.ends(self)
            self._server.log.counted = None


class Instruments:
    """The instruments of one provider, for all servers: no instrument can be taken out of a provider again.

    Attributes:
        servers: The servers that run.
        histograms: By their names.
    """

    def __init__(self, meter: Meter) -> None:
        self.servers: list[ServerMetrics] = []
        self._ended: dict[str, Counter[Key]] = {
            name: Counter() for name in (names.OPEN, *(each[0] for each in COUNTERS))
        }
        for name, unit, description in COUNTERS:
            meter.create_observable_counter(name, [self._observed(name)], unit, description)
        meter.create_observable_up_down_counter(
            names.OPEN, [self._observed(names.OPEN)], "{connection}", "Connections that are open."
        )
        self.histograms: dict[str, Histogram] = {
            name: meter.create_histogram(name, unit, description, explicit_bucket_boundaries_advisory=list(buckets))
            for name, unit, description, buckets in HISTOGRAMS
        }

    def _observed(self, name: str) -> Callable[[CallbackOptions], list[Observation]]:
        def observe(_: CallbackOptions) -> list[Observation]:
            with _lock:
                # A server that takes the place of one on the same port goes on with its numbers.
                total = Counter(self._ended[name])
                for server in self.servers:
                    server.count()
                    total.update(server.values(name))
            return [Observation(value, dict(key)) for key, value in total.items()]

        return observe

    def ends(self, server: ServerMetrics) -> None:
        """Keep the last numbers of a server."""
        self.servers.remove(server)
        for name, total in self._ended.items():
            values = server.values(name)
            if name == names.OPEN:
                values = Counter(dict.fromkeys(values, 0))  # as whoever pushes values on would keep the last one
            total.update(values)


_known: WeakKeyDictionary[MeterProvider, Instruments] = WeakKeyDictionary()


def _instruments(provider: MeterProvider) -> Instruments:
    # Not under the lock of who counts: who collects holds the provider's own, and waits for that one.
    with _making:
        found = _known.get(provider)
        if found is None:
            found = _known[provider] = Instruments(provider.get_meter(names.SCOPE))
        return found
