"""Models of pydantic: what they say of themselves, and whether they take a value.

Pydantic is the user's and is not imported here. A model's JSON Schema says less than the model asks for: of a date in
the future, of the schemes of a URL it has no word. So pydantic is asked by its own generator of schemas with these
words added, and what still cannot be said, such as the user's own validators, the model decides itself.
"""

from __future__ import annotations

import datetime as dt
import inspect
import sys
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any, Final

from mockforge_nb.errors import OptionError
from mockforge_nb.generators.forms import to_bytes

NAIVE: Final = "naive-date-time"
"""The format of an instant without a zone."""
EARLIEST: Final = "x-mockforge-earliest"
LATEST: Final = "x-mockforge-latest"
"""The bounds of a date or an instant, both of them among its values."""
SCHEMES: Final = "x-mockforge-schemes"
"""The schemes of a URL."""
BOUNDS: Final = (EARLIEST, LATEST, SCHEMES)

_PAST: Final = "2025-01-01"
_FUTURE: Final = "2100-01-01"
"""What is past and what is to come on any day on which this runs: a seed means the same on all of them."""


@dataclass(frozen=True, slots=True)
class Model:
    """A model of pydantic.

    Attributes:
        name: What errors call it.
        schema: Its JSON Schema.
        take: What reads a JSON text, and raises ValueError unless it fits; None: nothing does.
    """

    name: str
    schema: dict[str, Any]
    take: Callable[[bytes], Any] | None

    def fits(self, value: Any) -> bool:
        """Return whether it takes a value in its JSON form, which is what is sent."""
        if self.take is not None:
            try:
                self.take(to_bytes(value))
            except ValueError:
                return False
        return True

    def wrong(self, value: Any) -> set[str]:
        """Return the names of the properties that it does not take; none: it is about the value as a whole."""
        paths = {path for path, _ in self._reasons(value)}
        return set() if () in paths else {str(path[0]) for path in paths}

    def why(self, values: Sequence[Any]) -> str:
        """Return why it takes none of these values: by the field that is wrong most often."""
        reasons = Counter(reason for value in values for reason in sorted(self._reasons(value), key=str))
        (path, problem), _ = reasons.most_common(1)[0]
        field = ".".join(map(str, path))
        place = f"field {field}: " if field else ""
        way = f"a word or a function for {field!r}" if field else "words and functions for what it validates"
        return f"{self.name} takes none of them; {place}{problem}; give a dict of fields in its place, with {way}"

    def _reasons(self, value: Any) -> set[tuple[tuple[str | int, ...], str]]:
        assert self.take is not None
        try:
            self.take(to_bytes(value))
        except ValueError as error:
            errors = getattr(error, "errors", None)
            if errors is None:
                return {((), str(error))}
            return {(each["loc"], each["msg"]) for each in errors()}
        return set()


def own_schema(value: object, where: str) -> Model | None:
    """Return what a pydantic model, a dataclass of pydantic or a TypeAdapter says of itself; None: it is none of them.

    Args:
        value: What may be one.
        where: What errors call it.

    Raises:
        OptionError: It is one, and cannot say its schema.
    """
    named: Any = value
    if isinstance(value, type) and not hasattr(value, "model_json_schema") and "__pydantic_validator__" in vars(value):
        value = sys.modules["pydantic"].TypeAdapter(value)  # a dataclass
    kind = "model_" if isinstance(value, type) else ""
    said = getattr(value, f"{kind}json_schema", None)
    if said is None or not callable(said):
        return None
    try:
        generator = inspect.signature(said).parameters.get("schema_generator")
        known = generator is not None and hasattr(generator.default, "url_schema")
        schema = said(schema_generator=_telling(generator.default)) if generator is not None and known else said()
    except Exception as error:
        reason = str(error).partition("\n")[0]
        raise OptionError(where, named, f"has no JSON Schema: {reason}", "leave out what is not data") from error
    if not isinstance(schema, dict):
        return None
    name = named.__qualname__ if isinstance(named, type) else type(named).__name__
    return Model(name, _numeric(schema), getattr(value, f"{kind}validate_json", None))


def _numeric(value: Any) -> Any:
    """Return pydantic's schema with its Decimals as numbers.

    It calls one a number or any text, but takes only texts that are numbers. A ``float | str`` is spelt the same.
    """
    if isinstance(value, list):
        return [_numeric(each) for each in value]
    if not isinstance(value, dict):
        return value
    options = value.get("anyOf")
    if isinstance(options, list) and any(isinstance(each, dict) and each.get("type") == "number" for each in options):
        kept = [each for each in options if not (isinstance(each, dict) and each.get("type") == "string")]
        value = {**value, "anyOf": kept}
    return {key: _numeric(each) for key, each in value.items()}


@cache
def _telling(base: Any) -> Any:
    """Return a generator of schemas that tells more than its base, which is pydantic's or the user's."""

    class Telling(base):  # type: ignore[misc]
        def date_schema(self, schema: Any) -> Any:
            return _bounded(super().date_schema(schema), schema)

        def datetime_schema(self, schema: Any) -> Any:
            said = _bounded(super().datetime_schema(schema), schema)
            return {**said, "format": NAIVE} if schema.get("tz_constraint") == "naive" else said

        def url_schema(self, schema: Any) -> Any:
            return _schemed(super().url_schema(schema), schema)

        def multi_host_url_schema(self, schema: Any) -> Any:
            return _schemed(super().multi_host_url_schema(schema), schema)

    return Telling


def _bounded(said: dict[str, Any], schema: dict[str, Any]) -> dict[str, Any]:
    """Return what is said of a date or an instant, with its bounds."""
    bounds = {EARLIEST: schema.get("ge", schema.get("gt")), LATEST: schema.get("le", schema.get("lt"))}
    texts = {key: _text(each) for key, each in bounds.items() if isinstance(each, dt.date)}
    match schema.get("now_op"):
        case "past":
            texts[LATEST] = min(texts.get(LATEST, _PAST), _PAST)
        case "future":
            texts[EARLIEST] = max(texts.get(EARLIEST, _FUTURE), _FUTURE)
    return {**said, **texts}


def _text(bound: dt.date) -> str:
    """Return a bound as a text in UTC, where instants are drawn."""
    if isinstance(bound, dt.datetime) and bound.tzinfo is not None:
        bound = bound.astimezone(dt.UTC).replace(tzinfo=None)
    return bound.isoformat()


def _schemed(said: dict[str, Any], schema: dict[str, Any]) -> dict[str, Any]:
    schemes = schema.get("allowed_schemes")
    return {**said, "format": "uri", SCHEMES: list(schemes)} if schemes else said
