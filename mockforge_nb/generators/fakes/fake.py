"""Messages from Faker, from JSON Schemas and from Python's types, each field made anew for every message.

A schema is read once and tried, every field of it, so that nothing is served that cannot be made. To iterate is to bind
what was read to random numbers of its own; so iterators do not disturb each other, and each begins anew.
"""

from __future__ import annotations

import copy
import inspect
import random
from collections.abc import Callable, Iterable, Iterator, Sequence
from enum import Enum
from functools import partial
from itertools import accumulate, count
from typing import TYPE_CHECKING, Any, Final

from mockforge_nb.core.template import Slot
from mockforge_nb.errors import GeneratorError, MockForgeError, OptionError, nearest
from mockforge_nb.generators.forms import NoJSONError, to_bytes

from .document import is_schema, suspect
from .hints import Typed, is_type, schema_of
from .makers import (
    MISSING,
    Bind,
    FieldError,
    Run,
    below,
    counter_of,
    dict_of,
    list_of,
    many_of,
    recurring_of,
    unique_of,
    walk_of,
    where,
)  # fmt: skip
from .models import own_schema
from .providers import check_locales, check_providers, make_generator, provider_names
from .schemas import Schema
from .values import Maker
from .words import Choice, Const, Counter, Many, Maybe, Recurring, Unique, Walk, Word

if TYPE_CHECKING:
    pass

_DEPTH: Final = 100
"""How many fields there may be within each other."""


class FakeRows:
    """Endless messages of one schema, the same ones for the same seed.

    Args:
        schema: What a message is like:

            - a dict of fields, nested at will, or a list: ``["word", "word"]`` is two words, ``["word", (1, 5)]`` is
              one to five;
            - a text is the name of a provider of Faker; ``("pyint", {"max_value": 9})`` and ``("pyint", [0, 9])``
              give it arguments;
            - a text with ``{{`` or ``{%`` is a template, which is left as it is for when the message is sent. Faker's
              own formats are no exception: ``{{faker "first_name"}}`` is how a template asks Faker;
            - a number, a bool or None is that constant, and so is an instant, a Decimal or a UUID;
            - a function is called for each message, with the generator of Faker if it takes an argument. It is called
              once before, as all is tried at the call, and again from the first message on whenever the messages begin
              anew: a function that counts begins with 2, `fields.counter` with 1;
            - an Enum class is one of its values;
            - a word of `mockforge_nb.fields`;
            - a JSON Schema, a pydantic model, a dataclass, a TypedDict, a NamedTuple or a type hint is a value that
              fits it. A dict that looks like a schema, and is none by its keys, is an error; ``"$schema"`` makes it
              one. ``examples`` are the texts where a property's name says nothing. OpenAPI's ``nullable`` is no word of
              JSON Schema, so null is not made of it.
        locale: Faker's locale, or several, of which each message draws one; en_US unless said.
        seed: What settles the values.
        providers: More providers of Faker: classes, modules with a `Provider`, or DynamicProviders.
        name: What errors call the script.

    Attributes:
        templates: The templates by the paths of their fields (``user.tags[0]``). In the messages they are the only
            texts of the type `Slot`; no made-up text or ``const`` is one, whatever it looks like.

    Raises:
        OptionError: An argument, or a field, that cannot be; it names the field's path.
        GeneratorError: A JSON Schema for which no value is found.
    """

    def __init__(
        self,
        schema: Any,
        *,
        locale: str | Iterable[str] | None = None,
        seed: int,
        providers: Sequence[Any] = (),
        name: str = "<faker>",
    ) -> None:
        if not isinstance(seed, int) or isinstance(seed, bool):
            raise OptionError("from_faker(seed=)", seed, "is no whole number")
        self._locales, self._providers = check_locales(locale), check_providers(providers)
        self._seed, self._name = seed, name
        reader = _Reader(name, self._runs())
        self._bind = reader.read(schema, "")
        self.templates: dict[str, str] = reader.templates

    def __repr__(self) -> str:
        """Return what it is and what it draws from."""
        return f"<FakeRows {self._name}, {', '.join(self._locales)}, seed={self._seed}>"

    def __iter__(self) -> Iterator[Any]:
        """Return the messages from the first on.

        Raises:
            GeneratorError: A field has no value any more, or raised; the message's number is from 0 on.
        """
        runs = self._runs()
        makers = [self._bind(run) for run in runs]
        draw = runs[0].rng.choice
        make = makers[0] if len(makers) == 1 else lambda: draw(makers)()
        for number in count():
            try:
                row = make()
            except GeneratorError:
                raise
            except FieldError as failed:
                raise self._failed(number, failed.path, failed.error) from failed.error
            except Exception as error:
                raise self._failed(number, "", error) from error
            yield row

    def _failed(self, number: int, path: str, error: Exception) -> GeneratorError:
        place = f"message {number}" + (f", field {path}" if path else "")
        return GeneratorError(f"{self._name}: {place}: raises {type(error).__name__}: {error}; see the traceback above")

    def _runs(self) -> list[Run]:
        """Return what one iteration draws from, for each locale."""
        rng = random.Random(self._seed)
        states: dict[str, Any] = {}
        generators = [(locale, make_generator(locale, self._providers, rng)) for locale in self._locales]
        return [Run(locale, rng, each, provider_names(each), states) for locale, each in generators]


class _Reader:
    """Reads a schema into what can be bound to random numbers.

    Args:
        name: What errors call the script.
        trial: What every field is tried with.
    """

    def __init__(self, name: str, trial: list[Run]) -> None:
        self._name, self._trial = name, trial
        self._around: list[Any] = []
        self.templates: dict[str, str] = {}

    def read(self, field: Any, path: str, *, optional: bool = False) -> Bind:
        """Read a field; `optional` where it may be left out."""
        if isinstance(field, (Word, dict, list)):
            # Of these only the kind is named: what contains itself cannot be shown.
            if any(each is field for each in self._around):
                raise OptionError(where(path), type(field), "contains itself", "a message has to end")
            if len(self._around) >= _DEPTH:
                raise OptionError(where(path), type(field), f"is nested more than {_DEPTH} levels deep", "flatten it")
            self._around.append(field)
            try:
                return self._nested(field, path, optional)
            finally:
                self._around.pop()
        if isinstance(field, Enum) or field is None or isinstance(field, (bool, int, float)):
            return self._constant(field, path)
        if isinstance(field, str):
            if "{{" in field or "{%" in field:
                self.templates[path] = field
                template = Slot(field)
                return lambda run: lambda: template
            return self._provider(field, (), {}, path)
        if isinstance(field, tuple):
            return self._called(field, path)
        if isinstance(field, type) and issubclass(field, Enum):
            if not len(field):
                raise OptionError(where(path), field, "is an Enum without members", "give it at least one")
            return self._choice(Choice(tuple(each.value for each in field)), path)
        if is_type(field) or own_schema(field, where(path)) is not None:
            return self._schema(schema_of(field, where(path)), path)
        if callable(field):
            return self._function(field, path)
        return self._constant(field, path)

    def _nested(self, field: Word | dict[Any, Any] | list[Any], path: str, optional: bool) -> Bind:
        if isinstance(field, dict):
            return self._schema(Typed(field, {}), path) if is_schema(field) else self._dict(field, path)
        return self._list(field, path) if isinstance(field, list) else self._word(field, path, optional)

    def _tried(self, bind: Bind, path: str, field: object) -> Bind:
        """Return a field after it was tried: a provider in every locale, a function of the user's only once."""
        for run in self._trial[:1] if callable(field) else self._trial:
            try:
                value = bind(run)()
            except Exception as error:
                problem = f"raises {type(error).__name__}: {error}"
                raise OptionError(where(path), field, problem, "see the traceback above") from error
            try:
                to_bytes(value)
            except NoJSONError as error:
                way = "use another provider, or a function that makes a text of it"
                raise OptionError(where(path), field, f"makes {error}, which has no JSON form", way) from None
        return bind

    # Plain fields.

    def _constant(self, value: Any, path: str) -> Bind:
        if isinstance(value, float) and value - value != 0:
            raise OptionError(where(path), value, "has no JSON form", "use None")
        try:
            to_bytes(value)
        except NoJSONError as error:
            way = "a field is a provider's name, a function, a dict, a list, a constant, a type or one of `fields`"
            raise OptionError(where(path), _shown(value), f"is {error}, which has no JSON form", way) from None
        value = copy.deepcopy(value)
        if isinstance(value, (dict, list, tuple)):
            return lambda run: lambda: copy.deepcopy(value)  # a message is its owner's
        return lambda run: lambda: value

    def _provider(self, name: str, args: Sequence[Any], kwargs: dict[str, Any], path: str) -> Bind:
        for run in self._trial:
            if name not in run.providers:
                problem = f"is no provider of Faker for {run.locale}{nearest(name, run.providers)}"
                raise OptionError(where(path), name, problem, f"a constant text is fields.const({name!r})")
            try:
                signature = inspect.signature(run.providers[name])
                signature.bind(*args, **kwargs)
            except TypeError as error:
                unknown = next((key for key in kwargs if key not in signature.parameters), "")
                problem = f"cannot be called with that: {error}{nearest(unknown, signature.parameters)}"
                raise OptionError(
                    where(path), (name, kwargs or list(args)), problem, f"it is {name}{_short(signature)}"
                ) from None
        if not args and not kwargs:
            return self._tried(lambda run: run.providers[name], path, name)
        args, kwargs = copy.deepcopy((tuple(args), kwargs))
        return self._tried(lambda run: partial(run.providers[name], *args, **kwargs), path, (name, kwargs or args))

    def _called(self, field: tuple[Any, ...], path: str) -> Bind:
        match field:
            case (str(name), dict(kwargs)) if all(isinstance(key, str) for key in kwargs):
                return self._provider(name, (), kwargs, path)
            case (str(name), list() | tuple() as args):
                return self._provider(name, args, {}, path)
            case (str(name),):
                return self._provider(name, (), {}, path)
        way = 'write ("pyint", {"max_value": 9}), or ("pyint", [0, 9]); a list of fields is a list'
        raise OptionError(where(path), field, "is no provider with its arguments", way)

    def _function(self, function: Callable[..., Any], path: str) -> Bind:
        if inspect.iscoroutinefunction(function):
            raise OptionError(where(path), function, "is a coroutine function", "use a plain one")
        try:
            parameters = list(inspect.signature(function).parameters.values())
        except ValueError:  # a built-in that does not tell
            parameters = []
        needed = [p for p in parameters if p.default is p.empty and p.kind not in (p.VAR_POSITIONAL, p.VAR_KEYWORD)]
        if len(needed) > 1 or (needed and needed[0].kind is inspect.Parameter.KEYWORD_ONLY):
            names = ", ".join(p.name for p in needed)
            problem = f"needs the arguments {names}"
            raise OptionError(where(path), function, problem, "it gets none, or one: the generator of Faker")
        if not needed:
            return self._tried(lambda run: function, path, function)
        return self._tried(lambda run: partial(function, run.generator), path, function)

    def _schema(self, typed: Typed, path: str) -> Bind:
        place = f"field {path}: schema" if path else "schema"
        try:
            read = Schema(copy.deepcopy(typed.schema), place, typed.models)
            for run in self._trial:
                read.check(run.rng, run.providers)
        except RecursionError:
            way = "say by $ref what contains itself"
            raise OptionError(place, dict, "contains itself as it stands, or is nested too deeply", way) from None
        except MockForgeError:
            raise
        except Exception as error:  # a model's own validator
            raise GeneratorError(f"{place} raises {type(error).__name__}: {error}; see the traceback above") from error
        return lambda run: read.maker(run.rng, run.providers)

    # Fields of fields.

    def _dict(self, fields: dict[Any, Any], path: str) -> Bind:
        for key in fields:
            if not isinstance(key, str):
                raise OptionError(where(path), key, "is a key that is no text", f"write {str(key)!r}")
        wrong = suspect(fields)
        if wrong is not None:
            way = f'"$schema" makes a schema of it, and a field that is called so is {{{wrong[0]!r}: fields.const(…)}}'
            raise OptionError(where(path), *wrong, way)
        binds = [(key, self.read(field, below(path, key), optional=True)) for key, field in fields.items()]
        return dict_of(binds, path)

    def _list(self, fields: list[Any], path: str) -> Bind:
        if len(fields) == 2 and isinstance(fields[1], tuple) and all(type(each) is int for each in fields[1]):
            lengths = fields[1]
            if len(lengths) != 2 or not 0 <= lengths[0] <= lengths[1]:
                problem = "is no range of lengths"
                raise OptionError(where(path), lengths, problem, 'such as ["word", (1, 5)]: one to five words')
            return self._word(Many(fields[0], *lengths), path, optional=False)
        return list_of([self.read(field, f"{path}[{i}]", optional=True) for i, field in enumerate(fields)], path)

    # Words.

    def _word(self, word: Word, path: str, optional: bool) -> Bind:
        match word:
            case Const(value):
                return self._constant(value, path)
            case Choice():
                return self._choice(word, path)
            case Maybe():
                return self._maybe(word, path, optional)
            case Unique(field):
                return unique_of(self.read(field, path), path, self._name)
            case Many(field):
                return many_of(self.read(field, f"{path}[*]", optional=True), word, path)
            case Recurring(field, size):
                return recurring_of(self.read(field, path), size, path)
            case Walk():
                return walk_of(word, path)
            case Counter():
                return counter_of(word, path)

    def _choice(self, word: Choice, path: str) -> Bind:
        binds = [
            self.read(each, path) if isinstance(each, Word) else self._constant(each, path) for each in word.values
        ]
        total = list(accumulate(word.weights)) if word.weights is not None else None

        def bind(run: Run) -> Maker:
            makers = [each(run) for each in binds]
            if total is None:
                return lambda: run.rng.choice(makers)()
            return lambda: run.rng.choices(makers, cum_weights=total)[0]()

        return bind

    def _maybe(self, word: Maybe, path: str, optional: bool) -> Bind:
        if not word.null and not optional:
            problem = "is not within a dict or a list, so it cannot be left out"
            raise OptionError(where(path), "maybe", problem, "write maybe(…, null=True)")
        inner = self.read(word.field, path, optional=optional)
        other = None if word.null else MISSING

        def bind(run: Run) -> Maker:
            make, chance, probability = inner(run), run.rng.random, word.probability
            return lambda: make() if chance() < probability else other

        return bind


def _shown(value: Any) -> Any:
    """Return a value, or only its type if it is too deep to be shown."""
    try:
        repr(value)
    except RecursionError:
        return type(value)
    return value


def _short(signature: inspect.Signature) -> str:
    """Return a signature without its annotations."""
    bare = [p.replace(annotation=p.empty) for p in signature.parameters.values()]
    return str(signature.replace(parameters=bare, return_annotation=signature.empty))
