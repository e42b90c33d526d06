"""The mock that the options of `serve` describe."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from mockforge_nb.errors import OptionError

from . import words

if TYPE_CHECKING:
    from mockforge_nb.mock import Mock

SOURCES: Final = ("FILE", "--echo", "--proxy URL", "--faker SCHEMA", "--feed NAME", "--llm NARRATIVE")
OF_TABLES: Final = ("time", "unit", "by", "template", "columns", "rebase")
OF_REPLAYS: Final = ("speed", "duration", "loop", "shared", "then", "timing")

SCRIPTS: Final = ("file", "faker", "feed")
GOES_WITH: Final[Mapping[str, tuple[str, ...]]] = {
    **dict.fromkeys(OF_TABLES, ("file",)),
    **dict.fromkeys(OF_REPLAYS, SCRIPTS),
    **dict.fromkeys(("shared", "then", "rate"), (*SCRIPTS, "llm")),
    "number": ("faker", "feed", "llm"),
    "model": ("llm",),
    "connection": ("file",),
    "header": ("proxy",),
    "insecure": ("proxy",),
}
"""The options that say how something is served, and with what they go."""
SPELLED: Final = {"file": "FILE", "columns": "--column"}


@dataclass(frozen=True, slots=True)
class Wanted:
    """What the command line says of a mock.

    Attributes:
        sources: What it does, by the name of its option: `file`, `echo`, `proxy`, `faker`, `feed`, `llm`.
        playing: How a script is played: options of `Mock.replay`, None where nothing was said.
        network: `latency`, `bandwidth`, `preset`, and a list of `fault`.
        secured: `certificate`, `key` and `password`; None: it is served without TLS.
        record: Where it is recorded to.
        redact: JSONPaths of what is not recorded.
        seed, clock, rate, n, model, connection: As in the library.
        templates: Whether templates are expanded.
        prometheus: Whether metrics are shown at ``/metrics``.
        otlp: Where spans and metrics are sent to.
        headers: What is added to a proxy's handshake.
        verify: Whom a proxy trusts: a file; False: anybody; None: the usual.
    """

    sources: Mapping[str, Any]
    playing: Mapping[str, Any] = field(default_factory=dict)
    network: Mapping[str, Any] = field(default_factory=dict)
    secured: Mapping[str, Any] | None = None
    record: str | None = None
    redact: tuple[str, ...] = ()
    seed: int | None = None
    clock: str | None = None
    rate: float | None = None
    n: int | None = None
    model: str | None = None
    connection: int | None = None
    templates: bool = True
    prometheus: bool = False
    otlp: str | None = None
    headers: Mapping[str, str] | None = None
    verify: Any = None

    def mock(self) -> Mock:
        """Return the mock.

        Raises:
            OptionError: Options that are wrong or do not go together.
            ScriptError: A file that cannot be played.
        """
        mock = self._under(self._behaving())
        if self.seed is not None:
            mock = mock.seed(self.seed)
        if self.clock is not None:
            mock = mock.clock(self.clock)
        if not self.templates:
            mock = mock.templates(False)
        if self.secured is not None:
            mock = mock.tls(**self.secured)
        if self.otlp is not None:
            mock = mock.trace(otlp=self.otlp)
        if self.otlp is not None or self.prometheus:
            mock = mock.metrics(prometheus=self.prometheus, otlp=self.otlp)
        if self.record is not None and "proxy" not in self.sources:
            mock = mock.record(self.record, redact=self.redact)
        return mock

    def _behaving(self) -> Mock:
        from mockforge_nb import environment
        from mockforge_nb.mock import Mock

        said = list(self.sources)
        if not said and (environment.replay_file() or environment.upstream()):
            self._check("", "what the environment says")
            return Mock.from_env()
        if len(said) != 1:
            problem = "say nothing of what is served" if not said else "are two things to serve"
            given = " and ".join(_spelled(name) for name in said) or "the options"
            raise OptionError("serve", given, problem, f"one of: {', '.join(SOURCES)}")
        name, value = next(iter(self.sources.items()))
        self._check(name, _spelled(name))
        if name == "file":
            return self._file(str(value))
        if name == "faker":
            return Mock().replay(self._faker(value), **self._said(OF_REPLAYS))
        if name == "feed":
            script = words.feed(value, rate=self.rate, seed=self.seed, n=self.n)
            return Mock().replay(script, **self._said(OF_REPLAYS))
        if name == "llm":
            return Mock().narrate(
                value,
                events=self.n or 100,
                rate=1.0 if self.rate is None else self.rate,
                model=self.model or "local",
                seed=1 if self.seed is None else self.seed,
                **self._said(("shared", "then")),
            )
        if name == "echo":
            return Mock().echo()
        return Mock().proxy(value, record=self.record, redact=self.redact, headers=self.headers, ssl=self.verify)

    def _faker(self, text: str) -> object:
        from mockforge_nb.script import Script

        rate = 1.0 if self.rate is None else self.rate
        return Script.from_faker(words.schema(text), n=self.n, rate=rate, seed=self.seed)

    def _file(self, path: str) -> Mock:
        from mockforge_nb.mock import Mock

        source: object = path
        if self.connection is not None:
            from mockforge_nb.script import Script

            for name in OF_TABLES:
                if self.playing.get(name) is not None:
                    problem = "does not go with --connection, as a recording is no table"
                    raise OptionError(_spelled(name), self.playing[name], problem)
            source = script = Script.load(path, connection=self.connection)
            if not script.recorded.opened and not script.recorded.url:
                raise OptionError("--connection", self.connection, f"goes with a recording, which {path} is not")
        return Mock().replay(source, rate=self.rate, **self._said((*OF_TABLES, *OF_REPLAYS)))

    def _said(self, names: tuple[str, ...]) -> dict[str, Any]:
        return {name: value for name, value in self.playing.items() if name in names and value is not None}

    def _check(self, source: str, what: str) -> None:
        """Raise OptionError if something is said that does not go with what is served."""
        said = {
            **self.playing,
            "rate": self.rate,
            "number": self.n,
            "model": self.model,
            "connection": self.connection,
            "header": "…" if self.headers else None,  # a secret, as they are
            "insecure": self.verify is False,
        }
        for name, value in said.items():
            if value is not None and value is not False and source not in GOES_WITH[name]:
                way = f"it goes with {', '.join(map(_spelled, GOES_WITH[name]))}"
                raise OptionError(_spelled(name), value, f"does not go with {what}", way)
        if self.redact and self.record is None:
            raise OptionError("--redact", self.redact[0], "is of a recording, and there is none", "--record FILE")

    def _under(self, mock: Mock) -> Mock:
        said = self.network
        if said.get("preset") is not None:
            mock = mock.preset(said["preset"])
        if said.get("latency") is not None:
            mock = mock.latency(words.latency(said["latency"]))
        if said.get("bandwidth") is not None:
            mock = mock.bandwidth(words.number(said["bandwidth"]))
        for text in said.get("fault") or ():
            name, options = words.fault(text)
            try:
                mock = mock.fault(name, **options)
            except (OptionError, TypeError) as error:
                raise OptionError("--fault", text, f"cannot be: {error}", f"write {words.FAULT}") from None
        return mock


def _spelled(name: str) -> str:
    return SPELLED.get(name, f"--{name}")
