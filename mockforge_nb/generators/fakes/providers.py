"""Generators of Faker that a seed settles wholly: their own random numbers, a fixed today, and weights added up once.

Faker's own `Faker` proxy looks every name up anew and shares its random numbers; a `faker.Generator` made here is as
fast as its providers. Two of their habits are changed on the instances that are made here, and nowhere else: they
read the clock, so that the same seed would say something else tomorrow; and they add up the weights of a thousand
names for every name. What is left are the few providers of a locale that ask the clock past the provider of times
(personal numbers with a birthday in some, such as `ssn` of sv_SE; passports of en_US).
"""

from __future__ import annotations

import locale as pylocale
import random
from collections import OrderedDict
from collections.abc import Callable, Iterable, Sequence
from datetime import UTC, date, datetime, timedelta, tzinfo
from functools import cache
from itertools import accumulate
from types import ModuleType
from typing import TYPE_CHECKING, Any, Final

from mockforge_nb.errors import OptionError, nearest

if TYPE_CHECKING:
    from faker import Generator
    from faker.providers import BaseProvider

TODAY: Final = datetime(2026, 7, 1, tzinfo=UTC)
"""What providers that count from now count from."""


def check_locales(locale: str | Iterable[str] | None) -> tuple[str, ...]:
    """Return Faker's names of the locales.

    Raises:
        OptionError: One is none of Faker's.
    """
    from faker.config import AVAILABLE_LOCALES, DEFAULT_LOCALE

    if locale is None:
        return (DEFAULT_LOCALE,)
    wanted: list[Any] = [locale] if isinstance(locale, str) or not isinstance(locale, Iterable) else list(locale)
    if not wanted:
        raise OptionError("from_faker(locale=)", locale, "is empty", "leave it out for en_US")
    found: list[str] = []
    for each in wanted:
        if not isinstance(each, str):
            raise OptionError("from_faker(locale=)", each, "is no name of a locale", "such as 'de_DE'")
        name = pylocale.normalize(each.replace("-", "_")).split(".")[0]
        if name not in AVAILABLE_LOCALES:
            close = nearest(name, sorted(AVAILABLE_LOCALES))
            raise OptionError("from_faker(locale=)", each, f"is no locale of Faker{close}")
        found.append(name)
    return tuple(found)


def check_providers(providers: object) -> tuple[Any, ...]:
    """Return the user's providers; modules are replaced by the `Provider` that they have.

    Raises:
        OptionError: One is none.
    """
    from faker.providers import BaseProvider, DynamicProvider

    valid = "a BaseProvider subclass, a module with a Provider, or a DynamicProvider"
    if not isinstance(providers, (list, tuple)):
        raise OptionError("from_faker(providers=)", providers, "is no list", f"its entries: {valid}")
    found: list[Any] = []
    for each in providers:
        provider = getattr(each, "Provider", None) if isinstance(each, ModuleType) else each
        is_class = isinstance(provider, type) and issubclass(provider, BaseProvider)
        if not is_class and not isinstance(provider, DynamicProvider):
            raise OptionError("from_faker(providers=)", each, "is no provider of Faker", f"valid: {valid}")
        found.append(provider)
    return tuple(found)


def make_generator(locale: str, providers: Sequence[Any], rng: random.Random) -> Generator:
    """Return a generator of Faker.

    Args:
        locale: As `check_locales` returned it.
        providers: As `check_providers` returned them.
        rng: Where it draws from.
    """
    from faker import Factory
    from faker.providers.date_time import Provider as DateTime

    generator = Factory.create(locale)
    generator.random = rng
    for provider in providers:
        generator.add_provider(provider if isinstance(provider, type) else _again(provider, generator))
    for known in list(generator.providers):
        if isinstance(known, DateTime):
            dated = _dated(type(known))(generator)  # type: ignore[arg-type]  # a class has a hash
            dated.__dict__.update(vars(known))  # that it draws by weight, its name, its language
            generator.add_provider(dated)
    quick: dict[int, _Weighted] = {}
    for known in generator.providers:
        known.random_elements = _quick(known, rng, quick)  # type: ignore[method-assign]
    return generator


def provider_names(generator: Generator) -> dict[str, Callable[..., Any]]:
    """Return the methods of a generator's providers by name."""
    return {name: f for name, f in vars(generator).items() if not name.startswith("_") and callable(f)}


def _again(provider: Any, generator: Generator) -> BaseProvider:
    """Return a DynamicProvider for a generator: it draws from the one that it was made with, and that is global."""
    found: BaseProvider = type(provider)(
        provider_name=provider.provider_name, elements=list(provider.elements), generator=generator
    )
    return found


_Weighted = tuple[Any, tuple[Any, ...], tuple[float, ...]]


def _quick(provider: BaseProvider, rng: random.Random, known: dict[int, _Weighted]) -> Callable[..., Any]:
    """Return `random_elements` of a provider, which draws the same but adds up the weights of a table only once."""
    slow, weighting = provider.random_elements, provider.__use_weighting__

    def random_elements(
        elements: Any = ("a", "b", "c"),
        length: int | None = None,
        unique: bool = False,
        use_weighting: bool | None = None,
    ) -> Any:
        by_weight = weighting if use_weighting is None else use_weighting
        if not isinstance(elements, OrderedDict) or length is None or unique or not by_weight:
            return slow(elements, length=length, unique=unique, use_weighting=use_weighting)
        found = known.get(id(elements))
        if found is None or found[0] is not elements or len(found[1]) != len(elements):
            found = (elements, tuple(elements), tuple(accumulate(elements.values())))
            if len(known) < 1000:  # a provider may make its tables anew for each call
                known[id(elements)] = found
        return rng.choices(found[1], cum_weights=found[2], k=length)

    return random_elements


@cache
def _dated(base: type[Any]) -> type[Any]:
    """Return a locale's provider of times as one that counts from `TODAY`."""

    class Provider(base):  # type: ignore[misc]
        @classmethod
        def _parse_end_datetime(cls, value: Any) -> int:
            return cls._parse_date_time("now" if value is None else value)

        @classmethod
        def _parse_date_time(cls, value: Any, tzinfo: tzinfo | None = None) -> int:
            if value == "now":
                value = TODAY
            elif isinstance(value, (str, timedelta)):
                value = TODAY + timedelta(seconds=cls._parse_timedelta(value))
            found: int = super()._parse_date_time(value, tzinfo)
            return found

        @classmethod
        def _parse_date(cls, value: Any) -> date:
            if value in ("today", "now"):
                value = TODAY
            elif isinstance(value, (str, timedelta)):
                value = TODAY.date() + timedelta(days=timedelta(seconds=cls._parse_timedelta(value)).days)
            elif isinstance(value, int):
                value = TODAY.date() + timedelta(days=value)
            found: date = super()._parse_date(value)
            return found

        def date_time_between_dates(
            self, datetime_start: Any = None, datetime_end: Any = None, tzinfo: tzinfo | None = None
        ) -> datetime:
            start = "now" if datetime_start is None else datetime_start
            end = "now" if datetime_end is None else datetime_end
            found: datetime = super().date_time_between_dates(start, end, tzinfo)
            return found

        def date_of_birth(self, tzinfo: tzinfo | None = None, minimum_age: int = 0, maximum_age: int = 115) -> date:
            for age in (minimum_age, maximum_age):
                if not isinstance(age, int) or age < 0:
                    raise ValueError(f"{age!r} is no age")
            today = TODAY.date()
            first = today.replace(year=today.year - maximum_age - 1) + timedelta(days=1)
            found: date = self.date_between_dates(first, today.replace(year=today.year - minimum_age))
            return found

    def bounds(unit: str) -> tuple[datetime, datetime]:
        year = TODAY.year
        if unit == "month":
            return TODAY.replace(day=1), (TODAY.replace(day=1) + timedelta(days=31)).replace(day=1)
        years = {"century": 100, "decade": 10, "year": 1}[unit]
        return TODAY.replace(year=year - year % years), TODAY.replace(year=year - year % years + years)

    def instant(unit: str) -> Callable[..., datetime]:
        def this(self: Any, before_now: bool = True, after_now: bool = False, tzinfo: tzinfo | None = None) -> datetime:
            start, end = bounds(unit)
            found: datetime = self.date_time_between_dates(
                start if before_now else TODAY, end if after_now else TODAY, tzinfo
            )
            return found

        return this

    def day(unit: str) -> Callable[..., date]:
        def this(self: Any, before_today: bool = True, after_today: bool = False) -> date:
            start, end = bounds(unit)
            found: date = self.date_between_dates(start if before_today else TODAY, end if after_today else TODAY)
            return found

        return this

    for unit in ("century", "decade", "year", "month"):
        setattr(Provider, f"date_time_this_{unit}", instant(unit))
        setattr(Provider, f"date_this_{unit}", day(unit))
    return Provider
