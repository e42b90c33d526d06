"""The network's conditions: what happens to a message between the session and the wire."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Literal, get_args

from mockforge_nb.errors import OptionError

from .units import number, seconds

Distribution = Literal["fixed", "normal", "pareto"]


@dataclass(frozen=True, slots=True, kw_only=True)
class LatencyProfile:
    """How long a message is on its way, in milliseconds.

    `fixed` draws evenly from ``base_ms ± jitter_ms``; `normal` from a normal distribution around `base_ms` with
    `std_dev_ms`; `pareto` from a Pareto distribution whose least value is `base_ms` and whose tail is the longer
    the smaller `pareto_shape`. What was drawn is then held between `min_ms` and `max_ms`.

    Raises:
        OptionError: A value that is no number of milliseconds, or bounds that contradict each other.
    """

    base_ms: float = 50.0
    jitter_ms: float = 0.0
    distribution: Distribution = "fixed"
    std_dev_ms: float | None = None
    pareto_shape: float | None = None
    min_ms: float = 0.0
    max_ms: float | None = None

    def __post_init__(self) -> None:
        if self.distribution not in get_args(Distribution):
            raise OptionError("LatencyProfile(distribution=)", self.distribution, valid=get_args(Distribution))
        for name in ("base_ms", "jitter_ms", "std_dev_ms", "pareto_shape", "min_ms", "max_ms"):
            value = getattr(self, name)
            if value is None and name in ("std_dev_ms", "pareto_shape", "max_ms"):
                continue
            if not 0 <= number(value) < float("inf"):
                raise OptionError(f"LatencyProfile({name}=)", value, "is no finite number from 0 on")
        if self.pareto_shape is not None and self.pareto_shape <= 0:
            raise OptionError("LatencyProfile(pareto_shape=)", self.pareto_shape, "is not greater than 0")
        if self.max_ms is not None and self.max_ms < self.min_ms:
            raise OptionError("LatencyProfile(max_ms=)", self.max_ms, f"is less than min_ms={self.min_ms}")

    @classmethod
    def fast(cls) -> LatencyProfile:
        """10-50 ms."""
        return cls.between(10, 50)

    @classmethod
    def normal(cls) -> LatencyProfile:
        """50-200 ms."""
        return cls.between(50, 200)

    @classmethod
    def slow(cls) -> LatencyProfile:
        """300-800 ms."""
        return cls.between(300, 800)

    @classmethod
    def between(cls, low_ms: float, high_ms: float) -> LatencyProfile:
        """Evenly from `low_ms` to `high_ms`."""
        middle, jitter = (low_ms + high_ms) / 2, (high_ms - low_ms) / 2
        return cls(base_ms=middle, jitter_ms=jitter, min_ms=low_ms, max_ms=high_ms)

    def with_normal_distribution(self, std_dev_ms: float) -> LatencyProfile:
        """Return the profile with a normal distribution around `base_ms`."""
        return replace(self, distribution="normal", std_dev_ms=std_dev_ms)

    def with_pareto_distribution(self, shape: float) -> LatencyProfile:
        """Return the profile with a Pareto distribution from `base_ms` on."""
        return replace(self, distribution="pareto", pareto_shape=shape)

    def describe(self) -> str:
        """Return the profile in a few words."""
        if self.distribution == "normal":
            deviation = self.jitter_ms if self.std_dev_ms is None else self.std_dev_ms
            text = f"normal {self.base_ms:g} ± {deviation:g} ms"
        elif self.distribution == "pareto":
            text = f"Pareto from {self.base_ms:g} ms, shape {self.pareto_shape or 2.0:g}"
        elif self.jitter_ms:
            text = f"{max(0.0, self.base_ms - self.jitter_ms):g}-{self.base_ms + self.jitter_ms:g} ms"
        else:
            text = f"{self.base_ms:g} ms"
        return text

    def draw(self, rng: random.Random) -> float:
        """Return one latency in ms, to the microsecond."""
        if self.distribution == "normal":
            deviation = self.jitter_ms if self.std_dev_ms is None else self.std_dev_ms
            drawn = rng.gauss(self.base_ms, deviation)
        elif self.distribution == "pareto":
            drawn = self.base_ms * rng.paretovariate(self.pareto_shape or 2.0)
        else:
            drawn = self.base_ms + self.jitter_ms * (2 * rng.random() - 1)
        drawn = round(drawn, 3)
        if self.max_ms is not None:
            drawn = min(drawn, self.max_ms)
        return max(drawn, self.min_ms)


PROFILES = {"fast": LatencyProfile.fast, "normal": LatencyProfile.normal, "slow": LatencyProfile.slow}


def latency(value: object, where: str = "latency()") -> LatencyProfile:
    """Return the profile that `value` stands for.

    Args:
        value: ``fast``, ``normal`` or ``slow``; ms; a text such as ``"250ms"`` or a timedelta; a pair of these, the
            lowest and the highest; a LatencyProfile.
        where: The call, for the error.

    Raises:
        OptionError: It is none of these.
    """
    if isinstance(value, LatencyProfile):
        return value
    if isinstance(value, str) and value in PROFILES:
        return PROFILES[value]()
    hint = "valid: 'fast', 'normal', 'slow', a number of ms, \"250ms\", a pair (low, high) or a LatencyProfile"
    try:
        if isinstance(value, (tuple, list)) and len(value) == 2:
            low, high = (seconds(each, where, bare=0.001) * 1000 for each in value)
            if low > high:
                raise OptionError(where, value, f"goes down: the low end {low:g} ms is more than {high:g} ms")
            return LatencyProfile.between(low, high)
        return LatencyProfile(base_ms=seconds(value, where, bare=0.001) * 1000)
    except OptionError as error:
        if "goes down" in error.problem:
            raise
        raise OptionError(where, value, "is no latency", hint) from None


class Line:
    """One direction of the network: messages enter when they are due and leave later, in the same order.

    Each draws its own delay and leaves at ``max(due + delay, the one before it)``, so ten messages that are due at
    once arrive within one latency, not after ten.
    """

    __slots__ = ("_draw", "last")

    def __init__(self, profile: LatencyProfile, rng: Callable[[], random.Random]) -> None:
        source: random.Random | None = None

        def draw() -> float:
            nonlocal source
            source = source or rng()
            return profile.draw(source)

        self._draw = draw
        self.last = 0.0

    def admit(self, due: float) -> tuple[float, float]:
        """Return when a message that is due at `due` (s) leaves (s), and the delay that it drew (ms)."""
        delay = self._draw()
        self.last = max(self.last, due + delay / 1000)
        return self.last, delay
