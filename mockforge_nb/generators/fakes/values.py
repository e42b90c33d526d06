"""The numbers and texts of a JSON Schema: within their bounds by construction, and realistic where a name says how.

A date is drawn from a fixed range, not from around today, so that a seed means the same on any day.
"""

from __future__ import annotations

import base64
import json
import math
import random
import re
import string
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from fractions import Fraction
from functools import partial
from typing import Any, Final, TypeAlias
from uuid import UUID

from mockforge_nb.errors import GeneratorError

from .names import NUMBERS, PROVIDERS, by_name

Maker: TypeAlias = Callable[[], Any]
Providers: TypeAlias = Mapping[str, Callable[..., Any]]

TRIES: Final = 200
"""How often a value that cannot be made by construction is drawn again."""

_FIRST: Final = datetime(2020, 1, 1)
_SPAN: Final = timedelta(days=3650)
_HUGE: Final = 10**300


@dataclass(frozen=True, slots=True)
class Range:
    """The numbers between two bounds.

    Attributes:
        low, high: The bounds; None: there is none.
        low_open, high_open: Whether a bound itself is not in the range.
        multiple: What they are all multiples of; None: anything.
        whole: Whether they are all integers.
    """

    low: float | None = None
    high: float | None = None
    low_open: bool = False
    high_open: bool = False
    multiple: Fraction | None = None
    whole: bool = False

    def __contains__(self, value: float) -> bool:
        above = self.low is None or (value > self.low if self.low_open else value >= self.low)
        return above and (self.high is None or (value < self.high if self.high_open else value <= self.high))


_CUT: Final = frozenset({"sentence", "paragraph", "word", "name", "address", "company", "city", "job", "slug"})
"""What may be cut where it is too long, and still be one."""


# Numbers.


def numbers(rng: random.Random, allowed: Range, name: str = "") -> Maker:
    """Return what draws numbers.

    Args:
        rng: Where they are drawn from.
        allowed: What they may be.
        name: What the property is called, for the range where `allowed` leaves one.

    Raises:
        ValueError: There are none.
    """
    low, high = _narrowed(allowed, by_name(name, NUMBERS))
    if allowed.whole or allowed.multiple is not None or max(abs(low), abs(high)) > _HUGE:
        unit = _lcm(allowed.multiple or Fraction(1), Fraction(1)) if allowed.whole else allowed.multiple or Fraction(1)
        return _multiples(rng, allowed, unit, low, high)
    start, end = float(low), float(high)
    width = end - start
    digits = 2 if width >= 1 else min(300, 3 - math.floor(math.log10(width))) if width > 0 else 0
    ends = (start, end, start / 2 + end / 2, math.nextafter(start, math.inf), math.nextafter(end, -math.inf))
    certain = next((value for value in ends if value in allowed), None)
    if certain is None:
        raise ValueError("there is no number between")

    def draw() -> float:
        for trial in range(20):
            share = rng.random()
            value = start * (1 - share) + end * share
            value = round(value, digits) if trial < 10 else value
            if value in allowed:
                return value
        return certain

    return draw


def _narrowed(allowed: Range, wished: tuple[float, float] | None) -> tuple[float, float]:
    """Return the bounds to draw between: the allowed ones, and where they leave a choice what is wished."""
    low, high = allowed.low, allowed.high
    for bound in (low, high):
        if isinstance(bound, float) and not math.isfinite(bound):
            raise ValueError(f"{bound} is no bound")
    if low is not None and high is not None and low > high:
        raise ValueError("there is no number between")
    if wished is not None:
        first = wished[0] if low is None else max(low, wished[0])
        last = wished[1] if high is None else min(high, wished[1])
        if first < last and (allowed.multiple is None or last - first >= 100 * allowed.multiple):
            return first, last
    room = 1000 if allowed.multiple is None else 1000 * max(1, math.ceil(allowed.multiple))
    if low is None:
        low = 0 if high is None or high > 0 else high - room
    return low, low + room if high is None else high


def _multiples(rng: random.Random, allowed: Range, unit: Fraction, low: float, high: float) -> Maker:
    first, last = math.ceil(Fraction(low) / unit), math.floor(Fraction(high) / unit)
    while first <= last and _exact(first * unit) not in allowed:
        first += 1
    while first <= last and _exact(last * unit) not in allowed:
        last -= 1
    if first > last:
        raise ValueError(f"there is no {'integer' if unit == 1 else f'multiple of {_exact(unit)}'} between")
    step = float(unit)

    def draw() -> float:
        value: float = 0
        for _ in range(TRIES):
            value = _exact(rng.randint(first, last) * unit)
            # Validators divide as floats do: 0.07 / 0.01 is no whole number to them, so it is not drawn.
            if isinstance(value, int) or (value / step).is_integer():
                return value
        return value

    return draw


def _exact(value: Fraction) -> float:
    return int(value) if value.denominator == 1 else float(value)


def _lcm(a: Fraction, b: Fraction) -> Fraction:
    common = math.lcm(a.denominator, b.denominator)
    return Fraction(math.lcm(int(a * common), int(b * common)), common)


def common_multiple(values: list[float]) -> Fraction | None:
    """Return what is a multiple of all these numbers; None: there are none."""
    found: Fraction | None = None
    for value in values:
        exact = Fraction(str(value))
        found = exact if found is None else _lcm(found, exact)
    return found


# Texts.


def texts(
    rng: random.Random, providers: Providers, low: int, high: int | None, name: str = "", examples: Sequence[str] = ()
) -> Maker:
    """Return what draws texts of a length, such as a property of this name has; else one of the examples."""
    said = by_name(name, PROVIDERS)
    if said is None and examples:
        return lambda: rng.choice(examples)
    wanted = said or "word"
    draw: Maker = (
        _formats(rng, providers, Limits())[wanted[1:]] if wanted[0] == "@" else providers.get(wanted, providers["word"])
    )
    word = providers["word"]

    def fitted() -> str:
        text = str(draw())
        if len(text) >= low and (high is None or len(text) <= high):
            return text
        if len(text) < low:
            text = text if wanted in _CUT else ""
            words = [text] if text else []
            length = len(text)
            while length < low:
                words.append(word())
                length += len(words[-1]) + 1
            text = " ".join(words)
            text += "s" * (low - len(text))
        elif wanted not in _CUT:
            most = low if high is None else min(high, low + 12)
            text = "".join(rng.choices(string.ascii_lowercase, k=rng.randint(max(low, min(3, most)), most)))
        text = text if high is None else text[:high]
        return text[:-1] + "s" if text.endswith(" ") else text

    return fitted


@dataclass(frozen=True, slots=True)
class Limits:
    """What a text of a format is held to.

    Attributes:
        low: The least length.
        high: The greatest; None: any.
        earliest, latest: The bounds of a date or an instant, as ISO 8601 in UTC; empty: there is none.
        schemes: The schemes that a URL may have; empty: any.
    """

    low: int = 0
    high: int | None = None
    earliest: str = ""
    latest: str = ""
    schemes: tuple[str, ...] = ()

    def span(self) -> tuple[datetime, int]:
        """Return the first instant that is drawn, and how many seconds there are from it on."""
        first, last = (datetime.fromisoformat(text) if text else None for text in (self.earliest, self.latest))
        if first is None:
            near = last is None or last >= _FIRST + _SPAN / 10
            first = _FIRST if last is None or near else max(last, datetime.min + _SPAN) - _SPAN
        if last is None:
            last = min(max(_FIRST, first), datetime.max - _SPAN) + _SPAN
        return first, max(0, int((last - first).total_seconds())) + 1


def formatted(rng: random.Random, providers: Providers, name: str, limits: Limits) -> Maker | None:
    """Return what draws texts of a format of JSON Schema, of OpenAPI or of pydantic; None: it is not known.

    Such a text is never cut; it is drawn again until its length fits.
    """
    low, high = limits.low, limits.high
    draw = _formats(rng, providers, limits).get(name)
    if draw is None or (not low and high is None):
        return draw

    def fitted() -> str:
        for _ in range(TRIES):
            text: str = draw()
            if len(text) >= low and (high is None or len(text) <= high):
                return text
        length = f"{low} to {high} characters" if high is not None else f"{low} characters or more"
        raise GeneratorError(f"{TRIES} draws gave no {name} of {length}; change minLength, maxLength or the format")

    return fitted


def both(formed: Maker, fitting: Maker, pattern: str, name: str) -> Maker:
    """Return what draws texts that have a format and fit a pattern.

    Args:
        formed: What draws texts of the format; they are taken while there are some that fit.
        fitting: What draws texts that fit the pattern; else those are taken that `jsonschema` finds of the format, or
            any if it does not know the format.
        pattern: The pattern.
        name: The format.
    """
    import jsonschema

    search, has_format = re.compile(pattern).search, jsonschema.FormatChecker().conforms
    seldom = False

    def drawn() -> str:
        nonlocal seldom
        for _ in range(0 if seldom else 10 * TRIES):
            text: str = formed()
            if search(text):
                return text
        seldom = True
        for _ in range(TRIES):
            text = fitting()
            if has_format(text, name):
                return text
        raise GeneratorError(
            f"{TRIES} draws gave no {name} that fits the pattern {pattern!r}; write the whole text as the pattern, or "
            "leave out the format"
        )

    return drawn


def _formats(rng: random.Random, providers: Providers, limits: Limits) -> dict[str, Maker]:
    word = providers["word"]
    first, seconds = limits.span()

    def naive() -> str:
        return (first + timedelta(seconds=rng.randrange(seconds))).isoformat(timespec="seconds")

    def instant() -> str:
        return f"{naive()}Z"

    def duration() -> str:
        days, hours, minutes = rng.randrange(30), rng.randrange(24), rng.randrange(1, 60)
        return f"P{days}DT{hours}H{minutes}M"

    def in_base64() -> str:
        # Of words: there are those who decode it to a text.
        return base64.b64encode(" ".join(word() for _ in range(rng.randint(1, 4))).encode()).decode()

    def uri() -> str:
        return re.sub("^[a-z]+(?=:)", rng.choice(limits.schemes), url()) if limits.schemes else str(url())

    def uuid(version: int = 4) -> str:
        bits = rng.getrandbits(128) & ~(0xF000 << 64 | 0xC000 << 48)
        return str(UUID(int=bits | version << 76 | 0x8000 << 48))

    def json_string() -> str:
        return json.dumps({word(): word()})

    uuids = {f"uuid{version}": partial(uuid, version) for version in range(1, 9)}
    email, url, host = providers["ascii_email"], providers["url"], providers["hostname"]
    ipv4, ipv6 = providers["ipv4"], providers["ipv6"]
    return {
        "date-time": instant, "naive-date-time": naive, "date": lambda: naive()[:10],
        "time": lambda: instant()[11:], "duration": duration,
        "email": email, "idn-email": email, "hostname": host, "idn-hostname": host, "ipv4": ipv4, "ipv6": ipv6,
        "uri": uri, "url": url, "iri": url, "uri-reference": lambda: f"/{word()}/{word()}",
        "iri-reference": lambda: f"/{word()}/{word()}", "uri-template": lambda: f"{url()}{{{word()}}}", "uuid": uuid,
        **uuids, "json-pointer": lambda: f"/{word()}/{rng.randrange(10)}",
        "relative-json-pointer": lambda: f"{rng.randrange(3)}/{word()}", "regex": lambda: f"^{word()}[0-9]+$",
        "byte": in_base64, "binary": in_base64, "base64": in_base64, "base64url": in_base64,
        "password": lambda: "".join(rng.choices(string.ascii_letters + string.digits, k=12)),
        "ipvanyaddress": ipv4, "ipv4interface": ipv4, "ipv4network": ipv4, "ipv6interface": ipv6, "ipv6network": ipv6,
        "ipvanyinterface": ipv4, "ipvanynetwork": ipv4, "path": lambda: f"/{word()}/{word()}",
        "json-string": json_string, "decimal": lambda: f"{rng.randrange(100_000) / 100:.2f}",
    }  # fmt: skip
