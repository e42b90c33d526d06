"""What a model is asked for: a story, what one event looks like, and whether an answer is that."""

from __future__ import annotations

import copy
import hashlib
import json
import math
import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from mockforge_nb.core.units import number
from mockforge_nb.errors import GeneratorError, OptionError
from mockforge_nb.generators.fakes.document import Document, is_schema
from mockforge_nb.generators.fakes.hints import is_type, schema_of
from mockforge_nb.generators.fakes.models import own_schema
from mockforge_nb.generators.forms import NoJSONError, article, to_bytes

from .schemas import few_values, schema_of_examples

SHOWN_EXAMPLES: Final = 5
_LEARNED_ROWS: Final = 200
_DEEPEST: Final = 64
_VALID: Final = (
    "valid: a pydantic model, a dataclass, a TypedDict or other type, a JSON Schema, an example dict or a list of "
    "them, a DataFrame, None"
)

FREE: Final[Mapping[str, Any]] = {
    "type": "object",
    "properties": {"type": {"type": "string"}, "text": {"type": "string"}},
    "required": ["type", "text"],
    "additionalProperties": False,
}
"""What an event looks like unless said: a kind, and free text."""


@dataclass(frozen=True, slots=True, eq=False)
class Wishes:
    """What is asked for.

    Attributes:
        narrative: The story that the events tell.
        schema: The JSON Schema of one event.
        examples: Some events, as JSON values.
        event_type: What each event is called; None: nothing.
        rate: Events a second; None: that is not said.
        total: How many events the whole story has; None: it goes on.
        repeats: Whether an event may come again as it was.
    """

    narrative: str
    schema: dict[str, Any]
    examples: tuple[Any, ...] = ()
    event_type: str | None = None
    rate: float | None = None
    total: int | None = None
    repeats: bool = False
    _validator: Any = field(default=None, repr=False)
    _own: Any = field(default=None, repr=False)

    @classmethod
    def of(
        cls,
        narrative: str,
        *,
        schema: Any = None,
        event_type: str | None = None,
        rate: float | None = None,
        total: int | None = None,
        repeats: bool = False,
        call: str = "from_llm",
    ) -> Wishes:
        """Return what is asked for; arguments are those of `Script.from_llm`.

        Args:
            narrative: The story.
            schema: What one event looks like, in any of its forms.
            event_type: What each event is called.
            rate: Events a second.
            total: How many events the whole story has; None: it goes on.
            repeats: Whether an event may come again as it was; one of few possible values always may.
            call: What errors call the call.

        Raises:
            OptionError: A wrong argument, or a schema that no event fits.
        """
        if not isinstance(narrative, str) or not narrative.strip():
            raise OptionError(f"{call}(narrative)", narrative, "is no story", "say in words what happens")
        if event_type is not None and (not isinstance(event_type, str) or not event_type):
            raise OptionError(f"{call}(event_type=)", event_type, "is no name of an event", "such as 'trade'")
        if rate is not None and not 1e-290 < number(rate) < 1e290:
            raise OptionError(f"{call}(rate=)", rate, "is no number of messages a second greater than 0")
        where = f"{call}(schema=)"
        found, examples, own = _read(schema, where)
        if schema is None and event_type is not None:
            found["properties"]["type"] = {"const": event_type}
        document = Document(found, where)
        _check(found, where)
        return cls(
            narrative.strip(), found, examples, event_type, None if rate is None else float(rate), total,
            bool(repeats) or few_values(found), document.validator, own,
        )  # fmt: skip

    @property
    def schema_hash(self) -> str:
        """What tells its schema from others."""
        return hashlib.blake2b(_canonical(self.schema), digest_size=8).hexdigest()

    def keys(self) -> dict[str, Any]:
        """Return as JSON all that decides what is written."""
        names = ("narrative", "schema", "examples", "event_type", "rate", "total", "repeats")
        return {name: getattr(self, name) for name in names}

    def problem(self, event: Any) -> str:
        """Return what is wrong with an event, at any length; empty: nothing."""
        import jsonschema

        odd = _oddity(event)
        if odd:
            return f"event: {odd}"
        error = jsonschema.exceptions.best_match(self._validator.iter_errors(event))
        if error is not None:
            place = "".join(f"[{each!r}]" for each in error.absolute_path)
            return f"event{place}: {error.message}"
        if self._own is None:
            return ""
        # A pydantic model may ask for more than its schema says.
        import pydantic

        try:
            self._own(json.dumps(event))
        except pydantic.ValidationError as wrong:
            first = wrong.errors(include_url=False, include_input=False)[0]
            place = "".join(f"[{each!r}]" for each in first["loc"])
            return f"event{place}: {first['msg']}"
        return ""


def _oddity(event: Any) -> str:
    """Return what an event has that cannot be sent or kept, whatever its schema allows; empty: nothing."""
    level = [event]
    for _ in range(_DEEPEST):
        below: list[Any] = []
        for value in level:
            if isinstance(value, dict):
                below += [*value, *value.values()]
            elif isinstance(value, list):
                below += value
            elif isinstance(value, str):
                if not value.isascii() and any("\ud800" <= each <= "\udfff" for each in value):
                    return "it has half a character (a lone surrogate)"
            elif value is not None and not math.isfinite(number(value) if not isinstance(value, bool) else 0):
                return "it has a number that is too large, or none (NaN, Infinity)"
        if not below:
            return ""
        level = below
    return f"it is nested deeper than {_DEEPEST} levels"


def _canonical(value: Any) -> bytes:
    return json.dumps(value, sort_keys=True, ensure_ascii=False, separators=(",", ":")).encode()


def _read(schema: Any, where: str) -> tuple[dict[str, Any], tuple[Any, ...], Any]:
    """Return the JSON Schema, the examples, and the function that checks an event's JSON beyond that, or None."""
    if schema is None:
        return copy.deepcopy(dict(FREE)), (), None
    own = own_schema(schema, where)
    if own is not None:
        return own.schema, (), own.take
    if is_type(schema):
        return schema_of(schema, where).schema, (), None
    if isinstance(schema, Mapping):
        if is_schema(schema):
            return copy.deepcopy(dict(schema)), (), None
        return _of_examples([schema], where)
    if hasattr(schema, "__arrow_c_stream__") or hasattr(schema, "__dataframe__"):
        return _of_table(schema, where)
    if isinstance(schema, Sequence) and not isinstance(schema, (str, bytes)):
        return _of_examples(schema, where)
    raise OptionError(where, schema, f"is {article(schema)}, which does not say what an event looks like", _VALID)


def _of_examples(examples: Sequence[Any], where: str) -> tuple[dict[str, Any], tuple[Any, ...], None]:
    if not examples or not any(examples):
        raise OptionError(where, examples, "has no example in it", _VALID)
    values = []
    for place, example in enumerate(examples):
        if not isinstance(example, Mapping):
            raise OptionError(f"{where}[{place}]", example, "is no dict", _VALID)
        try:
            values.append(json.loads(to_bytes(dict(example))))
        except NoJSONError as error:
            raise OptionError(f"{where}[{place}]", example, f"has no JSON form: {error}", _VALID) from None
    return schema_of_examples(values), tuple(_spread(values)), None


def _of_table(table: Any, where: str) -> tuple[dict[str, Any], tuple[Any, ...], None]:
    """Return the schema of a table's rows, and some of them; a column of categories has only those."""
    import pandas as pd

    from mockforge_nb.generators.arrow import ArrowTable
    from mockforge_nb.generators.tables import program_from_frame

    frame = table if isinstance(table, pd.DataFrame) else ArrowTable.stream(table).frame()
    if not len(frame) or not len(frame.columns):
        raise OptionError(where, "the table", "has no rows", _VALID)
    learned = frame.iloc[[*_spread(range(len(frame)), _LEARNED_ROWS)]]
    program = program_from_frame(learned, name=where)
    values = [program.steps[place].payload.value for place in range(len(learned))]  # type: ignore[union-attr]
    schema = schema_of_examples(values)
    for name in frame.columns:
        dtype = frame[name].dtype
        if isinstance(dtype, pd.CategoricalDtype) and len(dtype.categories):
            gap = [None] if frame[name].isna().any() else []
            schema["properties"][str(name)] = {"enum": [*json.loads(to_bytes(dtype.categories.tolist())), *gap]}
    return schema, tuple(_spread(values)), None


def _spread(values: Sequence[Any], most: int = SHOWN_EXAMPLES) -> Sequence[Any]:
    """Return some values from the whole length."""
    if len(values) <= most:
        return values
    return [values[place * (len(values) - 1) // (most - 1)] for place in range(most)]


def _check(schema: dict[str, Any], where: str) -> None:
    """Raise OptionError if no value fits a schema: no model would ever write one."""
    from mockforge_nb.generators.fakes.providers import make_generator, provider_names
    from mockforge_nb.generators.fakes.schemas import Schema

    rng = random.Random(1)
    try:
        Schema(schema, where).check(rng, provider_names(make_generator("en_US", (), rng)))
    except GeneratorError:
        return  # values that fit are hard to find by chance: a model may find them
