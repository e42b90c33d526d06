"""The words that say how a mock is served: its chance and time, its limits, and where what happens goes."""

from __future__ import annotations

import math
import os
from abc import abstractmethod
from collections.abc import Mapping, Sequence
from datetime import date, datetime
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from .core.compare import paths
from .core.plan import Recording
from .core.units import epoch_ns, number
from .errors import OptionError
from .recordings import suffix_problem
from .telemetry.options import measuring, tracing
from .tls import tls
from .words import Word

if TYPE_CHECKING:
    from opentelemetry.metrics import MeterProvider
    from opentelemetry.trace import TracerProvider

R = TypeVar("R", covariant=True)


class SettingWords(Generic[R]):
    """The words of how a mock is served; each returns a new Mock."""

    _names: Mapping[str, Any]
    _limits: Mapping[str, float]

    @abstractmethod
    def _with(self, **settings: Any) -> R:
        """Take over settings."""

    def seed(self, value: int) -> R:
        """Make whatever is random the same in each run, for each connection by its own number.

        Raises:
            OptionError: `value` is no whole number.

        Example:
            >>> dice = Mock().seed(7).when("^roll$", "{{randInt 1 6}}")
            >>> said = [dice.simulate([(0, "roll"), (1, "roll")]).df["text"].tolist() for _ in range(2)]
            >>> said[0] == said[1]
            True
        """
        if isinstance(value, bool) or not hasattr(value, "__index__"):
            raise OptionError("seed()", value, "is no whole number")
        return self._with(_seed=value.__index__())

    def clock(self, start: str | datetime | date) -> R:
        """Let ``{{now}}`` and the traffic's time start at `start` and go on with the script's time.

        Args:
            start: A time in ISO 8601 or a datetime; without a zone it is UTC.

        Raises:
            OptionError: It is no time.

        Example:
            >>> mock = Mock().clock("2024-01-15T10:30:00Z").replay([{"ts": 1500, "text": "{{now}}"}])
            >>> mock.simulate().select(opcode="text").df["text"].tolist()
            ['2024-01-15T10:30:01.500Z']
        """
        return self._with(_clock_ns=epoch_ns(start, "clock()"))

    def templates(self, on: bool = True, /, **context: Any) -> R:
        """Give templates the user's own functions and values: ``.templates(price=lambda: 7)`` for ``{{price}}``.

        Args:
            on: Whether templates are expanded; otherwise a script's texts are sent as they stand.
            context: Names, and what they stand for; a function is called for each message.

        Raises:
            OptionError: `on` is neither True nor False.

        Example:
            >>> mock = Mock().templates(price=lambda: 7).when("^price$", "{{price}} EUR")
            >>> mock.simulate([(0, "price")]).select(direction="out", opcode="text").df["text"].tolist()
            ['7 EUR']
        """
        if not isinstance(on, bool):
            raise OptionError("templates()", on, "is neither True nor False")
        return self._with(_expand=on, _names={**self._names, **context})

    def limits(
        self,
        *,
        connections: int | None = None,
        message_bytes: int | None = None,
        queue_bytes: int | None = None,
        handshake_seconds: float | None = None,
        log_bytes: int | None = None,
    ) -> R:
        """Set bounds; what is not named stays as it is.

        Args:
            connections: How many may be open at once; a further one is refused with 503.
            message_bytes: The largest message that is taken; a larger one closes the connection with 1009.
            queue_bytes: How much may wait to be sent on a connection before nothing more is read from it.
            handshake_seconds: How long a client has to send its handshake.
            log_bytes: How many bytes of payloads the traffic keeps; the oldest leave memory first.

        Raises:
            OptionError: A bound that is no number greater than 0.

        Example:
            >>> with Mock().limits(message_bytes=5).serve(port=0) as server, server.client() as client:
            ...     client.send("too long")
            ...     client.drain(), int(client.close_code)
            ([], 1009)
        """
        given = {name: value for name, value in locals().items() if name != "self" and value is not None}
        for name, value in given.items():
            if not 0 < number(value) < math.inf:
                raise OptionError(f"limits({name}=)", value, "is no number greater than 0")
        return self._with(_limits={**self._limits, **given})

    def tls(
        self,
        certificate: str | os.PathLike[str] | None = None,
        key: str | os.PathLike[str] | None = None,
        *,
        password: str | bytes | None = None,
    ) -> R:
        """Serve ``wss://`` in place of ``ws://``.

        Without a certificate one is made for localhost, 127.0.0.1, ::1 and the host that is served at, by an authority
        that every server of this process shares: ``server.ca`` is its certificate, by which a client of yours trusts
        it. ``server.client()`` does by itself. A TLS handshake that fails is a row of the traffic with the reason, as
        far as OpenSSL has one: who connects and goes away, or says nothing in time, leaves none.

        Args:
            certificate: A PEM file of the certificate and those that lead to its root; None: one is made.
            key: A PEM file of its private key; None: it is in `certificate`, too.
            password: What the key is encrypted with. It is shown nowhere.

        Raises:
            OptionError: A file that cannot be used; or none was given, and trustme, which makes certificates, is not
                installed: ``pip install 'mockforge_nb[tls]'``.

        Example:
            >>> with Mock().tls().serve(port=0) as server, server.client() as client:
            ...     client.send(server.url.partition(":")[0])
            ...     client.recv()
            'wss'
        """
        arguments = {"certificate": certificate, "key": key, "password": password}
        return self._with(_tls=Word("tls", arguments, tls(certificate, key, password)))

    def compression(self, on: bool = True) -> R:
        """Compress messages (permessage-deflate, RFC 7692) for clients that offer it; otherwise none are.

        Raises:
            OptionError: `on` is neither True nor False.

        Example:
            >>> server = Mock().compression().serve(port=0)
            >>> with server.client() as client:
            ...     [extension.name for extension in client.connection.protocol.extensions]
            ['permessage-deflate']
            >>> server.stop()
        """
        if not isinstance(on, bool):
            raise OptionError("compression()", on, "is neither True nor False")
        return self._with(_compression=on)

    def record(self, path: str | os.PathLike[str] | None, *, redact: Sequence[str] = ()) -> R:
        """Write what crosses the wire to a replay file, line by line as it comes; `Script.load` plays it again.

        A large one is better a ``.parquet`` file, a row in place of each line. As such a file can be read only once
        it is whole, what comes is also in a replay file beside it (``feed.parquet.jsonl``) until the server stops.

        Only its owner may read the file. A recording that is there is replaced as soon as somebody connects; any other
        file, and the one that the mock itself plays, is an error when the mock is served. So is one that another
        server, or another process, records to: each of several workers needs a file of its own
        (``f"feed-{os.getpid()}.jsonl"``). Handshakes are not in it, so that no cookie or authorization is.

        Args:
            path: The file, which ends in ``.jsonl``, ``.ndjson`` or ``.parquet``; None: nothing is recorded.
            redact: JSONPaths of what must not be recorded, such as ``"$..password"``.

        Raises:
            OptionError: An argument that is wrong.

        Example:
            >>> with Mock().echo().record("feed.jsonl").serve(port=0) as server, server.client() as client:
            ...     client.send("hi")
            ...     client.recv()
            'hi'
            >>> [step.payload.value for step in Script.load("feed.jsonl")]
            ['hi', 'hi']
        """
        if path is None:
            return self._with(_record=None)
        problem = suffix_problem(path)
        if problem:
            raise OptionError("record(path=)", str(path), problem)
        made = Recording(os.fspath(path), paths(redact, "record(redact=)"))
        return self._with(_record=Word("record", {"path": os.fspath(path), "redact": [*redact]}, made))

    def trace(
        self,
        tracer_provider: TracerProvider | None = None,
        *,
        sample: float = 1.0,
        bursts: bool = False,
        otlp: str | bool | None = None,
    ) -> R:
        """Trace it with OpenTelemetry: a span a connection, from its handshake to its end, and under it one a message.

        A handshake that says where it comes from (``traceparent``, W3C Trace Context) has its spans under the
        client's; a proxy tells its upstream in the same way. Faults, waits and branches are events of the
        connection's span, errors of the author's too; what handlers and functions of the author's trace themselves
        hangs under it. `server.spans` has the spans as a DataFrame and as a waterfall, `trace_id` joins them to the
        traffic. Their names and attributes are listed in `mockforge_nb.telemetry.names`.

        Args:
            tracer_provider: OpenTelemetry's; the global one unless given or, where nobody set that, one of the
                server's own, whose ids are the same on each run under a seed.
            sample: Which share of the messages has spans, drawn by each connection's seed; 0: only connections have.
            bursts: Whether messages have spans that come or leave together, more than eight in one read or write;
                otherwise they are one event of the connection's.
            otlp: Where the spans are exported to (OTLP over HTTP): ``"http://localhost:4318"``, or True for what
                ``OTEL_EXPORTER_OTLP_ENDPOINT`` says. The last ones leave when the server stops, which then may take
                two seconds more.

        Raises:
            OptionError: An argument that is wrong, or the package for OTLP is not installed.

        Example:
            >>> server = Mock().trace().serve(port=0)
            >>> with server.client() as client:
            ...     client.send("hi")
            ...     client.recv()
            'hi'
            >>> server.stop()
            >>> server.spans.df["name"].tolist()
            ['WS /ws', 'message in', 'message out']
        """
        made = tracing(tracer_provider, sample, bursts, otlp)
        arguments = {"tracer_provider": tracer_provider, "sample": sample, "bursts": bursts, "otlp": otlp}
        return self._with(_trace=Word("trace", arguments, made))

    def metrics(
        self,
        meter_provider: MeterProvider | None = None,
        *,
        prometheus: bool | str = False,
        otlp: str | bool | None = None,
    ) -> R:
        """Measure it with OpenTelemetry: connections, messages and bytes, sizes, delays, faults, errors, lateness.

        They are added up from the traffic when somebody collects them, so that no message waits for it. Of more than
        10,000 messages between two times the histograms get as many, evenly, the smallest and largest among them: as
        OpenTelemetry takes each value by itself. `server.metrics.df` shows them.

        Args:
            meter_provider: OpenTelemetry's; the global one unless given, if somebody set that.
            prometheus: Whether Prometheus can read them, at ``/metrics`` on the server's own port, or at which path.
            otlp: As in `trace`; once a minute, or as ``OTEL_METRIC_EXPORT_INTERVAL`` says, and at the end.

        Raises:
            OptionError: An argument that is wrong, or a package for it is not installed.

        Example:
            >>> server = Mock().metrics().serve(port=0)
            >>> with server.client() as client:
            ...     client.send("hi")
            ...     client.recv()
            'hi'
            >>> df = server.metrics.df
            >>> df[df["metric"].str.endswith("messages")][["direction", "value"]].values.tolist()
            [['in', 1], ['out', 1]]
            >>> server.stop()
        """
        made = measuring(meter_provider, prometheus, otlp)
        arguments = {"meter_provider": meter_provider, "prometheus": prometheus, "otlp": otlp}
        return self._with(_metrics=Word("metrics", arguments, made))
