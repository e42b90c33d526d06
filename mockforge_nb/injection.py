"""MockForge's own names for a network's latency and failures: words of a Mock, said together."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from .core.latency import latency
from .core.message import to_json
from .core.units import number
from .errors import OptionError

if TYPE_CHECKING:
    from .mock import Mock

STATUS_CODES: Final = (500, 502, 503, 504)
"""The statuses of failures unless others are given; the original's."""
DEFAULT_STATUS: Final = 500
"""The status where the list of them is empty; the original's."""


@dataclass(frozen=True, slots=True)
class FaultConfig:
    """How often a handshake fails, and what the client is answered then.

    A WebSocket has one HTTP request, its handshake, so this is what strikes it. What may strike messages is
    `Mock.fault`.

    Attributes:
        failure_rate: How likely a handshake is refused, from 0 to 1.
        status_codes: The HTTP statuses (400 to 599) of refusals, each as likely as the others; 500 if there is none.
        error_responses: JSON values by names of yours, one of which is the refusal's body, each as likely as the
            others; none: the body is empty.

    Raises:
        OptionError: A value that is none of these; the original holds rates between 0 and 1 without a word.
    """

    failure_rate: float = 0.0
    status_codes: Sequence[int] = STATUS_CODES
    error_responses: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if not 0 <= number(self.failure_rate) <= 1:
            raise OptionError("FaultConfig(failure_rate=)", self.failure_rate, "is no number from 0 to 1")
        where = "FaultConfig(status_codes=)"
        codes: object = self.status_codes
        if isinstance(codes, (str, bytes)) or not isinstance(codes, Sequence):
            raise OptionError(where, codes, "is no list of HTTP statuses")
        for code in codes:
            if isinstance(code, bool) or not isinstance(code, int) or not 400 <= code <= 599:
                raise OptionError(where, code, "is no HTTP status of a failure, from 400 to 599")
        if not isinstance(self.error_responses, Mapping):
            raise OptionError("FaultConfig(error_responses=)", self.error_responses, "is no dict of JSON values")
        for name in self.error_responses:
            self._body(name)

    def _body(self, name: str) -> str:
        try:
            return to_json(self.error_responses[name])
        except (TypeError, ValueError) as error:
            where = f"FaultConfig(error_responses=): {name!r}"
            raise OptionError(where, self.error_responses[name], f"has no JSON form: {error}") from None

    def applied(self, mock: Mock) -> Mock:
        """Return a mock whose handshakes fail like this."""
        if not self.failure_rate:
            return mock
        json = {"Content-Type": "application/json"}
        bodies = [(self._body(name), json) for name in self.error_responses] or [("", {})]
        ways = [(status, *body) for status in self.status_codes or (DEFAULT_STATUS,) for body in bodies]
        left = len(ways) / self.failure_rate
        for status, text, headers in ways:
            # Tried one after the other, each must take its share of the handshakes that those before it left.
            mock = mock.reject(status, text, headers, probability=min(1.0, 1 / left))
            left -= 1
        return mock


@dataclass(frozen=True, slots=True)
class LatencyInjector:
    """A latency and failures, for `router_with_latency`.

    Attributes:
        latency_profile: How long each message to the client is on its way: a `LatencyProfile`, or whatever
            `Mock.latency` takes.
        fault_config: Which handshakes fail; unless given, none.
        enabled: Whether any of this happens.

    Raises:
        OptionError: A value that is none of these.
    """

    latency_profile: object
    fault_config: FaultConfig | None = None
    enabled: bool = field(default=True, kw_only=True)

    def __post_init__(self) -> None:
        latency(self.latency_profile, "LatencyInjector(latency_profile=)")
        faults: object = self.fault_config
        if faults is not None and not isinstance(faults, FaultConfig):
            raise OptionError("LatencyInjector(fault_config=)", faults, "is no FaultConfig", "FaultConfig(0.1)")
        if not isinstance(self.enabled, bool):
            raise OptionError("LatencyInjector(enabled=)", self.enabled, "is neither True nor False")

    def applied(self, mock: Mock) -> Mock:
        """Return a mock under this latency and these failures."""
        if not self.enabled:
            return mock
        mock = mock.latency(self.latency_profile)
        return mock if self.fault_config is None else self.fault_config.applied(mock)
