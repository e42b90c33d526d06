"""MockForge's own names for a network's latency and failures: words of a Mock, said together."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Final

from .augmentation import check_switch
from .core.latency import LatencyProfile, latency
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

    Example:
        >>> FaultConfig(failure_rate=0.5, status_codes=[503]).applied(Mock())
        Mock().reject(503, probability=0.5)
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
            if isinstance(code, bool) or not hasattr(code, "__index__") or not 400 <= code.__index__() <= 599:
                raise OptionError(where, code, "is no HTTP status of a failure, from 400 to 599")
        given: object = self.error_responses
        if not isinstance(given, Mapping):
            raise OptionError("FaultConfig(error_responses=)", given, "is no dict of JSON values")
        # Who holds the list and the dict may change them.
        object.__setattr__(self, "status_codes", tuple(code.__index__() for code in codes))
        object.__setattr__(self, "error_responses", {name: _json(name, value) for name, value in given.items()})

    def with_status_code(self, status_code: int) -> FaultConfig:
        """Return the same with one status more.

        Example:
            >>> FaultConfig(1.0, [503]).with_status_code(429).status_codes
            (503, 429)
        """
        return replace(self, status_codes=(*self.status_codes, status_code))

    def with_error_response(self, name: str, response: Any) -> FaultConfig:
        """Return the same with one JSON value more, by its name.

        Example:
            >>> FaultConfig(1.0).with_error_response("busy", {"error": "busy"}).error_responses
            {'busy': {'error': 'busy'}}
        """
        return replace(self, error_responses={**self.error_responses, name: response})

    def applied(self, mock: Mock) -> Mock:
        """Return a mock whose handshakes fail like this."""
        if not self.failure_rate:
            return mock
        headers = {"Content-Type": "application/json"}
        bodies = [(to_json(value), headers) for value in self.error_responses.values()] or [("", {})]
        ways = [(status, *body) for status in self.status_codes or (DEFAULT_STATUS,) for body in bodies]
        left = len(ways) / self.failure_rate
        for status, text, more in ways:
            # Tried one after the other, each must take its share of the handshakes that those before it left.
            mock = mock.reject(status, text, more, probability=min(1.0, 1 / left))
            left -= 1
        return mock


def _json(name: object, value: object) -> Any:
    """Return a JSON value that nobody else holds."""
    try:
        return json.loads(to_json(value))
    except (TypeError, ValueError, RecursionError) as error:
        raise OptionError(f"FaultConfig(error_responses=): {name!r}", value, f"has no JSON form: {error}") from None


@dataclass(frozen=True, slots=True)
class LatencyInjector:
    """A latency and failures, for `router_with_latency`.

    Attributes:
        latency_profile: How long each message to the client is on its way: a `LatencyProfile`, or whatever
            `Mock.latency` takes; 50 ± 20 ms unless given, as in the original.
        fault_config: Which handshakes fail; unless given, none.
        enabled: Whether any of this happens, in mocks that are made from now on; the one thing that can be changed.

    Raises:
        OptionError: A value that is none of these.

    Example:
        >>> LatencyInjector(LatencyProfile.slow(), FaultConfig(0.1, status_codes=[503])).applied(Mock())
        Mock().latency(300-800 ms).reject(503, probability=0.1)
    """

    latency_profile: object = LatencyProfile(50, 20)
    fault_config: FaultConfig | None = None
    enabled: bool = field(default=True, kw_only=True)

    def __post_init__(self) -> None:
        latency(self.latency_profile, "LatencyInjector(latency_profile=)")
        faults: object = self.fault_config
        if faults is not None and not isinstance(faults, FaultConfig):
            raise OptionError("LatencyInjector(fault_config=)", faults, "is no FaultConfig", "FaultConfig(0.1)")
        check_switch(self.enabled, "LatencyInjector(enabled=)")

    def set_enabled(self, enabled: bool) -> None:
        """Switch it on or off for the mocks that are made of it from now on; those that are there stay as they are.

        Raises:
            OptionError: It is neither True nor False.

        Example:
            >>> injector = LatencyInjector(LatencyProfile.slow())
            >>> injector.set_enabled(False)
            >>> injector.is_enabled(), injector.applied(Mock())
            (False, Mock())
        """
        check_switch(enabled, "set_enabled()")
        object.__setattr__(self, "enabled", enabled)

    def is_enabled(self) -> bool:
        """Return whether it is switched on.

        Example:
            >>> LatencyInjector().is_enabled()
            True
        """
        return self.enabled

    def applied(self, mock: Mock) -> Mock:
        """Return a mock under this latency and these failures."""
        if not self.enabled:
            return mock
        mock = mock.latency(self.latency_profile)
        return mock if self.fault_config is None else self.fault_config.applied(mock)
