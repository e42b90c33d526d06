"""How long a message is on its way: the original's profiles, measured values, or a function."""

from __future__ import annotations

import random
from array import array
from collections.abc import Callable, Iterable, Mapping
from dataclasses import KW_ONLY, dataclass, field, replace
from functools import partial, update_wrapper
from typing import Any, Concatenate, Final, Generic, Literal, ParamSpec, Protocol, get_args, overload

from mockforge_nb.errors import OptionError

from .message import Message
from .rules import Call
from .units import number, seconds

P = ParamSpec("P")
Distribution = Literal["fixed", "normal", "pareto"]


class Delays(Protocol):
    """What draws a delay for each message."""

    def draw(self, rng: random.Random, message: Message | None = None, tag: str | None = None) -> float:
        """Return the delay in ms of a message, whose step or rule is called `tag`."""
        ...

    def describe(self) -> str:
        """Return it in a few words."""
        ...


MOST_MS: Final = 1e12
"""The longest delay, some thirty years: times can still be told to the microsecond."""


class _OfEither(Generic[P]):
    """A method that makes a profile of another; called of the class, of one whose `base_ms` comes first."""

    def __init__(self, method: Callable[Concatenate[LatencyProfile, P], LatencyProfile]) -> None:
        self._method = method
        update_wrapper(self, method)  # type: ignore[arg-type]  # it is what __get__ returns that is called

    @overload
    def __get__(self, profile: None, owner: type) -> Callable[Concatenate[float, P], LatencyProfile]: ...

    @overload
    def __get__(self, profile: LatencyProfile, owner: type) -> Callable[P, LatencyProfile]: ...

    def __get__(self, profile: LatencyProfile | None, owner: type) -> Callable[..., LatencyProfile]:
        if profile is not None:
            return partial(self._method, profile)

        def make(base_ms: float, *args: P.args, **kwargs: P.kwargs) -> LatencyProfile:
            return self._method(LatencyProfile(base_ms), *args, **kwargs)

        return make


@dataclass(frozen=True, slots=True)
class LatencyProfile:
    """How long a message is on its way, in milliseconds.

    `fixed` draws evenly from ``base_ms ± jitter_ms``; `normal` from a normal distribution around `base_ms` with
    `std_dev_ms`, a fifth of `base_ms` unless given; `pareto` from a Pareto distribution whose least value is `base_ms`
    and whose tail is the longer the smaller `pareto_shape`, 2 unless given. What was drawn is then held between
    `min_ms` and `max_ms`. `tag_overrides` are fixed delays (ms) of messages by their tag: the `step_id` of their step,
    or the name of the rule that they answer by. The original's default is ``LatencyProfile(50, 20)``; here a profile
    without `jitter_ms` has none.

    Raises:
        OptionError: A value that is no number of milliseconds, or bounds that contradict each other.

    Example:
        >>> Mock().latency(LatencyProfile(base_ms=40, jitter_ms=10, tag_overrides={"heavy": 900}))
        Mock().latency(30-50 ms, heavy 900 ms)
    """

    base_ms: float = 50.0
    jitter_ms: float = 0.0
    _: KW_ONLY
    distribution: Distribution = "fixed"
    std_dev_ms: float | None = None
    pareto_shape: float | None = None
    min_ms: float = 0.0
    max_ms: float | None = None
    tag_overrides: Mapping[str, float] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.distribution not in get_args(Distribution):
            raise OptionError("LatencyProfile(distribution=)", self.distribution, valid=get_args(Distribution))
        for name in ("base_ms", "jitter_ms", "std_dev_ms", "pareto_shape", "min_ms", "max_ms"):
            value = getattr(self, name)
            if value is None and name in ("std_dev_ms", "pareto_shape", "max_ms"):
                continue
            if not 0 <= number(value) <= MOST_MS:
                raise OptionError(f"LatencyProfile({name}=)", value, f"is no number from 0 to {MOST_MS:g}")
        if self.pareto_shape is not None and self.pareto_shape <= 0:
            raise OptionError("LatencyProfile(pareto_shape=)", self.pareto_shape, "is not greater than 0")
        if self.max_ms is not None and self.max_ms < self.min_ms:
            raise OptionError("LatencyProfile(max_ms=)", self.max_ms, f"is less than min_ms={self.min_ms}")
        tags = self.tag_overrides
        if not isinstance(tags, Mapping) or not all(
            isinstance(tag, str) and 0 <= number(ms) <= MOST_MS for tag, ms in tags.items()
        ):
            raise OptionError(
                "LatencyProfile(tag_overrides=)", tags, f"is no dict of tags and ms from 0 to {MOST_MS:g}"
            )
        object.__setattr__(self, "tag_overrides", dict(tags))  # who holds the dict may change it

    @classmethod
    def fast(cls) -> LatencyProfile:
        """10-50 ms.

        Example:
            >>> LatencyProfile.fast().describe()
            '10-50 ms'
        """
        return cls.between(10, 50)

    @classmethod
    def normal(cls) -> LatencyProfile:
        """50-200 ms.

        Example:
            >>> LatencyProfile.normal().describe()
            '50-200 ms'
        """
        return cls.between(50, 200)

    @classmethod
    def slow(cls) -> LatencyProfile:
        """300-800 ms.

        Example:
            >>> LatencyProfile.slow().describe()
            '300-800 ms'
        """
        return cls.between(300, 800)

    @classmethod
    def between(cls, low_ms: float, high_ms: float) -> LatencyProfile:
        """Evenly from `low_ms` to `high_ms`.

        Raises:
            OptionError: They are no numbers of milliseconds, or go down.

        Example:
            >>> LatencyProfile.between(5, 20).describe()
            '5-20 ms'
        """
        where = "LatencyProfile.between()"
        for each in (low_ms, high_ms):
            if not 0 <= number(each) <= MOST_MS:
                raise OptionError(where, each, f"is no number of ms from 0 to {MOST_MS:g}")
        if low_ms > high_ms:
            raise OptionError(where, (low_ms, high_ms), "goes down", f"between({high_ms}, {low_ms})")
        middle, jitter = (low_ms + high_ms) / 2, (high_ms - low_ms) / 2
        return cls(base_ms=middle, jitter_ms=jitter, min_ms=low_ms, max_ms=high_ms)

    @_OfEither
    def with_normal_distribution(self, std_dev_ms: float) -> LatencyProfile:
        """Return the profile with a normal distribution around `base_ms`.

        Called of the class it makes one, as in the original: ``LatencyProfile.with_normal_distribution(250, 75)``.

        Example:
            >>> LatencyProfile(base_ms=80).with_normal_distribution(15).describe()
            'normal 80 ± 15 ms'
        """
        return replace(self, distribution="normal", std_dev_ms=std_dev_ms)

    @_OfEither
    def with_pareto_distribution(self, shape: float) -> LatencyProfile:
        """Return the profile with a Pareto distribution from `base_ms` on; of the class as `with_normal_distribution`.

        Example:
            >>> LatencyProfile(base_ms=20, max_ms=2000).with_pareto_distribution(1.5).describe()
            'Pareto from 20 ms, shape 1.5'
        """
        return replace(self, distribution="pareto", pareto_shape=shape)

    def with_min_ms(self, min_ms: float) -> LatencyProfile:
        """Return the profile with a least delay.

        Example:
            >>> LatencyProfile.with_normal_distribution(250, 75).with_min_ms(100).min_ms
            100
        """
        return replace(self, min_ms=min_ms)

    def with_max_ms(self, max_ms: float) -> LatencyProfile:
        """Return the profile with a longest delay.

        Example:
            >>> LatencyProfile.with_pareto_distribution(20, 1.5).with_max_ms(500).max_ms
            500
        """
        return replace(self, max_ms=max_ms)

    def with_tag_override(self, tag: str, latency_ms: float) -> LatencyProfile:
        """Return the profile with a fixed delay of the messages of a tag.

        Example:
            >>> LatencyProfile(40, 10).with_tag_override("heavy", 900).describe()
            '30-50 ms, heavy 900 ms'
        """
        return replace(self, tag_overrides={**self.tag_overrides, tag: latency_ms})

    @property
    def _deviation(self) -> float:
        return self.base_ms * 0.2 if self.std_dev_ms is None else self.std_dev_ms

    def describe(self) -> str:
        """Return the profile in a few words.

        Example:
            >>> LatencyProfile(base_ms=40, jitter_ms=10).describe()
            '30-50 ms'
        """
        if self.distribution == "normal":
            text = f"normal {self.base_ms:g} ± {self._deviation:g} ms"
        elif self.distribution == "pareto":
            text = f"Pareto from {self.base_ms:g} ms, shape {self.pareto_shape or 2.0:g}"
        elif self.jitter_ms:
            text = f"{max(0.0, self.base_ms - self.jitter_ms):g}-{self.base_ms + self.jitter_ms:g} ms"
        else:
            text = f"{self.base_ms:g} ms"
        return text + "".join(f", {tag} {ms:g} ms" for tag, ms in self.tag_overrides.items())

    def draw(self, rng: random.Random, message: Message | None = None, tag: str | None = None) -> float:
        """Return one latency in ms, to the microsecond; `tag` is what `tag_overrides` knows the message by.

        Example:
            >>> import random
            >>> 10 <= LatencyProfile.fast().draw(random.Random(1)) <= 50
            True
        """
        if tag is not None and tag in self.tag_overrides:
            return float(self.tag_overrides[tag])
        if self.distribution == "normal":
            drawn = rng.gauss(self.base_ms, self._deviation)
        elif self.distribution == "pareto":
            try:
                drawn = self.base_ms * rng.paretovariate(self.pareto_shape or 2.0)
            except OverflowError:  # so long a tail has no number
                drawn = MOST_MS if self.base_ms else 0.0
        else:
            drawn = self.base_ms + self.jitter_ms * (2 * rng.random() - 1)
        return max(min(round(drawn, 3), MOST_MS if self.max_ms is None else self.max_ms), self.min_ms)


@dataclass(frozen=True, slots=True)
class Measured:
    """Delays drawn from measured values (ms), each as often as it was measured."""

    values: array[float]

    def draw(self, rng: random.Random, message: Message | None = None, tag: str | None = None) -> float:
        """Return one of the values."""
        return round(self.values[rng.randrange(len(self.values))], 3)

    def describe(self) -> str:
        """Return them in a few words."""
        return f"{len(self.values):,} measured, {min(self.values):g}-{max(self.values):g} ms"


@dataclass(frozen=True, slots=True)
class Computed:
    """Delays that a function of the message returns, in ms."""

    function: Callable[..., Any]

    def draw(self, rng: random.Random, message: Message | None = None, tag: str | None = None) -> float:
        """Return what the function returns.

        Raises:
            OptionError: That is no number of ms.
        """
        drawn = number(Call.of(self.function, "latency()", "message")(message))
        if not 0 <= drawn < float("inf"):
            raise OptionError("latency()", self.function, f"returned {drawn:g}, which is no number of ms from 0 on")
        return round(drawn, 3)

    def describe(self) -> str:
        """Return its name."""
        return getattr(self.function, "__name__", type(self.function).__name__)


PROFILES = {"fast": LatencyProfile.fast, "normal": LatencyProfile.normal, "slow": LatencyProfile.slow}


def latency(value: object, where: str = "latency()") -> Delays:
    """Return the delays that `value` stands for.

    Args:
        value: ``fast``, ``normal`` or ``slow``; ms; a text such as ``"250ms"`` or a timedelta; a pair of these, the
            lowest and the highest; a LatencyProfile; measured ms, as a Series or other column of numbers; a function
            of the message that returns ms.
        where: The call, for the error.

    Raises:
        OptionError: It is none of these.
    """
    if isinstance(value, (LatencyProfile, Measured, Computed)):
        return value
    if isinstance(value, str) and value in PROFILES:
        return PROFILES[value]()
    if callable(value) and not isinstance(value, type):
        if getattr(value, "__self__", None) is LatencyProfile:
            raise OptionError(
                where, value, "is not called", f"valid: {getattr(value, '__qualname__', 'LatencyProfile.normal')}()"
            )
        Call.of(value, where, "message")
        return Computed(value)
    hint = (
        "valid: 'fast', 'normal', 'slow', a number of ms, \"250ms\", a pair (low, high), a LatencyProfile, a Series"
        " or a function"
    )
    if hasattr(value, "__len__") and not isinstance(value, (str, bytes, tuple)) and not _is_pair(value):
        return _measured(value, where, hint)
    try:
        if _is_pair(value):
            low, high = (seconds(each, where, bare=0.001) * 1000 for each in value)  # type: ignore[attr-defined]
            if low > high:
                raise OptionError(where, value, f"goes down: the low end {low:g} ms is more than {high:g} ms")
            return LatencyProfile.between(low, high)
        return LatencyProfile(base_ms=seconds(value, where, bare=0.001) * 1000)
    except OptionError as error:
        if "goes down" in error.problem:
            raise
        raise OptionError(where, value, "is no latency", hint) from None


def _is_pair(value: object) -> bool:
    return isinstance(value, (tuple, list)) and len(value) == 2


def _measured(value: Any, where: str, hint: str) -> Measured:
    """Return the delays of measured values."""
    if isinstance(value, (Mapping, set, frozenset)) or not isinstance(value, Iterable):
        raise OptionError(where, value, "is no latency", hint)
    values = array("d", map(number, value))
    wrong = next((index for index, one in enumerate(values) if not 0 <= one < float("inf")), None)
    if wrong is not None:
        shown = list(value)[wrong]
        raise OptionError(where, shown, f"at {wrong} of the measured values is no number of ms from 0 on", hint)
    if not values:
        raise OptionError(where, value, "has no values to draw from", hint)
    return Measured(values)
