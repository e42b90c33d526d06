import datetime as dt
import json
import random
import subprocess
import sys
from collections import Counter, OrderedDict
from dataclasses import dataclass
from decimal import Decimal
from enum import Enum
from itertools import islice, pairwise
from types import ModuleType
from typing import Any

import pytest
from faker import Generator
from faker.providers import BaseProvider, DynamicProvider

from mockforge_nb import fields
from mockforge_nb.core.template import Slot
from mockforge_nb.errors import GeneratorError, OptionError
from mockforge_nb.generators.fakes.fake import FakeRows
from mockforge_nb.generators.fakes.providers import TODAY, make_generator
from mockforge_nb.generators.forms import to_bytes

ORDER: Any = {
    "user": "name", "mail": "email", "amount": ("pyfloat", {"min_value": 1, "max_value": 99}), "at": "{{now}}",
    "tags": ["word", "word"], "account": fields.recurring(fields.unique("iban"), 3), "price": fields.walk(),
    "note": fields.maybe("sentence"), "id": fields.counter(),
}  # fmt: skip


def made(schema: Any, n: int = 50, seed: int = 1, **options: Any) -> list[Any]:
    return list(islice(FakeRows(schema, seed=seed, **options), n))


def column(field: Any, n: int = 50, **options: Any) -> list[Any]:
    """What a field of a message is."""
    return [row["v"] for row in made({"v": field}, n, **options)]


def error_of(schema: Any, **options: Any) -> str:
    with pytest.raises(OptionError) as caught:
        FakeRows(schema, **{"seed": 1, **options})
    return str(caught.value)


class Side(Enum):
    BUY = "buy"
    SELL = "sell"


class Desk(BaseProvider):
    def desk(self, floor: int = 1) -> str:
        return f"{floor}-{self.random_int(1, 9)}"


# Forms.


def test_a_text_is_a_provider_and_a_tuple_gives_it_arguments() -> None:
    assert all(isinstance(each, str) and each for each in column("name"))
    assert set(column(("pyint", {"min_value": 3, "max_value": 4}))) == {3, 4}
    assert set(column(("pyint", [3, 4]))) == set(column(("pyint", (3, 4)))) == {3, 4}
    assert all("@" in each for each in column(("email",)))


def test_fields_nest() -> None:
    row = made({"a": {"b": [{"c": "word"}, {"d": 1}]}}, 1)[0]
    assert isinstance(row["a"]["b"][0].pop("c"), str)
    assert row == {"a": {"b": [{}, {"d": 1}]}}


def test_a_list_is_its_entries_or_a_range_of_lengths() -> None:
    assert {len(each) for each in column(["word", "word", "word"])} == {3}
    assert {len(each) for each in column(["word", (1, 3)])} == {1, 2, 3}
    assert column([], 1) == [[]]


def test_what_is_no_text_is_a_constant() -> None:
    day = dt.date(2026, 5, 1)
    row = {"a": 1, "b": 1.5, "c": True, "d": None, "e": Side.BUY, "f": Decimal("1.20"), "g": day}
    assert made(row, 2) == [row, row]


def test_a_function_is_called_without_or_with_the_generator() -> None:
    assert column(lambda: 7, 2) == [7, 7]
    assert column(lambda fake: fake.pyint(3, 3), 2) == [3, 3]
    assert column(lambda fake=5: fake, 1) == [5]

    def draw(fake: Generator) -> int:
        return fake.random.randrange(100)

    assert column(draw) == column(draw)


def test_an_enum_class_is_one_of_its_values() -> None:
    assert set(column(Side)) == {"buy", "sell"}


def test_types_and_schemas_are_fields_too() -> None:
    @dataclass
    class Point:
        x: int
        y: float | None

    row = made({"p": Point, "q": {"type": "string", "maxLength": 3}, "r": int, "s": list[bool]}, 1)[0]
    assert set(row["p"]) == {"x", "y"}
    assert len(row["q"]) <= 3
    assert type(row["r"]) is int
    assert all(type(each) is bool for each in row["s"])
    assert set(made(Point, 1)[0]) == {"x", "y"}


def test_a_template_is_left_and_told() -> None:
    rows = FakeRows({"at": "{{now}}", "in": [{"x": "{% if a %}"}], "c": fields.const("{{x}}"), "n": "name"}, seed=1)
    row = next(iter(rows))
    assert rows.templates == {"at": "{{now}}", "in[0].x": "{% if a %}"}
    assert row["at"] == "{{now}}"
    assert type(row["at"]) is type(row["in"][0]["x"]) is Slot
    assert type(row["c"]) is type(row["n"]) is str
    assert json.loads(to_bytes(row))["at"] == "{{now}}"


def test_a_format_of_faker_is_left_too() -> None:
    assert column("{{first_name}} {{last_name}}", 1) == ["{{first_name}} {{last_name}}"]


# Words.


def test_const_names_no_provider_and_is_not_shared() -> None:
    assert column(fields.const("name"), 1) == ["name"]
    first, second = column(fields.const([1]), 2)
    first.append(2)
    assert second == [1]


def test_choice_draws_by_weight() -> None:
    counts = Counter(column(fields.choice({"name": 3, "b": 1, "c": 0}), 2000))
    assert set(counts) == {"name", "b"}
    assert 2.5 < counts["name"] / counts["b"] < 3.6
    assert {type(each) for each in column(fields.choice([None, fields.counter()]))} == {type(None), int}


def test_maybe_leaves_out_or_is_null() -> None:
    rows = made({"a": fields.maybe("word"), "b": fields.maybe(1, 0), "c": fields.maybe(1, 1)}, 2000)
    assert 0.45 < sum("a" in row for row in rows) / 2000 < 0.55
    assert all("b" not in row and row["c"] == 1 for row in rows)
    assert set(column(fields.maybe(1, null=True))) == {1, None}
    assert {tuple(each) for each in column([fields.maybe(1), 2])} == {(2,), (1, 2)}
    assert {len(each) for each in column(fields.many(fields.maybe(1), 2, 2))} == {0, 1, 2}
    assert set(made(fields.maybe(1, null=True))) == {1, None}


def test_unique_never_repeats_and_says_when_it_runs_out() -> None:
    assert sorted(column(fields.unique(("pyint", [1, 9])), 9)) == list(range(1, 10))
    rows = iter(FakeRows({"a": {"b": fields.unique(("pyint", [1, 3]))}}, seed=1, name="orders"))
    assert {row["a"]["b"] for row in islice(rows, 3)} == {1, 2, 3}
    with pytest.raises(GeneratorError, match=r"orders: field a\.b: 1000 draws .* has had 3 different ones"):
        next(rows)


def test_recurring_draws_from_a_pool() -> None:
    assert len(set(column(fields.recurring(fields.unique("iban"), 3), 200))) == 3
    first, second = column(fields.recurring({"a": 1}, 1), 2)
    first["a"] = 2
    assert second == {"a": 1}


def test_walk_goes_by_small_steps_within_its_bounds() -> None:
    values = column(fields.walk(5, 1, low=4, high=6, digits=1), 1000)
    assert values[0] == 5
    assert all(4 <= value <= 6 and round(value, 1) == value for value in values)
    assert all(abs(b - a) < 1.11 for a, b in pairwise(values))
    assert {min(values), max(values)} == {4, 6}
    assert {type(each) for each in column(fields.walk(5, 3, digits=0))} == {int}


def test_a_walk_has_one_type_and_never_runs_out_of_numbers() -> None:
    assert {type(each) for each in column(fields.walk(0, 1, 0, 1))} == {float}
    assert len(set(column(fields.walk(0.123, 0.01, 0.123, 0.129, digits=3)))) > 3
    assert all(abs(each) <= 1e307 for each in column(fields.walk(-1e300, 1e300), 1000))


def test_walk_that_is_slower_than_its_digits_still_moves() -> None:
    assert len(set(column(fields.walk(5, 0.001), 20_000))) > 1


def test_counter_counts() -> None:
    assert column(fields.counter(), 3) == [1, 2, 3]
    assert column(fields.counter(10, -5), 3) == [10, 5, 0]


# Locales and providers.


def test_a_locale_or_several_of_which_each_message_draws_one() -> None:
    german, american = {"country": "current_country", "n": fields.counter()}, made("current_country", 1)
    rows = made(german, 100, locale=["de_DE", "en-US"])
    assert {row["country"] for row in rows} == {"Germany", *american}
    assert [row["n"] for row in rows] == list(range(1, 101))


def test_providers_are_classes_modules_and_dynamic_ones() -> None:
    module = ModuleType("community")
    module.Provider = Desk  # type: ignore[attr-defined]
    pet = DynamicProvider(provider_name="pet", elements=["cat", "dog"])
    for providers in ([Desk], [module]):
        assert all(each.startswith("4-") for each in column(("desk", {"floor": 4}), providers=providers))
    assert set(column("pet", providers=[pet])) == {"cat", "dog"}
    assert column("pet", providers=[pet]) == column("pet", providers=[pet])


def test_times_count_from_a_fixed_day() -> None:
    dates = "date_of_birth date_between date_this_year date_this_decade date_this_century past_date".split()  # noqa: SIM905
    for name in dates:
        assert all(each <= TODAY.date() for each in column(name)), name
    for name in ("date_time", "date_time_between", "date_time_this_year", "date_time_this_month", "past_datetime"):
        assert all(each <= TODAY.replace(tzinfo=None) for each in column(name)), name
    days = (dt.timedelta(1), dt.timedelta(30))
    for name in ("future_date", "date_this_month"):
        assert all(abs(each - TODAY.date()) <= days[1] for each in column(name)), name
    ages = column(("date_of_birth", {"minimum_age": 30, "maximum_age": 31}))
    assert {(TODAY.date() - each).days // 365.2425 for each in ages} == {30, 31}
    assert set(column(("date_time_between", {"start_date": "now", "end_date": "now"}))) == {TODAY.replace(tzinfo=None)}


def test_the_weights_that_are_added_up_once_are_fakers_own() -> None:
    from faker import Factory

    class Weather(BaseProvider):
        def weather(self, by_weight: bool | None = None) -> str:
            return str(self.random_elements(OrderedDict(sun=9, rain=1), length=1, use_weighting=by_weight)[0])

        def heavy(self) -> str:
            return self.weather(True)

    own, ours = Factory.create("de_DE"), make_generator("de_DE", [Weather], random.Random(3))
    own.add_provider(Weather)
    own.random = random.Random(3)
    for name in ("name", "address", "email", "job", "user_agent", "text", "weather", "heavy"):
        assert [getattr(ours, name)() for _ in range(20)] == [getattr(own, name)() for _ in range(20)]


# A seed.


def test_the_same_seed_makes_the_same_messages() -> None:
    rows = FakeRows(ORDER, seed=7, locale="de_DE")
    assert list(islice(rows, 30)) == list(islice(rows, 30)) == made(ORDER, 30, 7, locale="de_DE")
    assert made(ORDER, 30, 8, locale="de_DE") != made(ORDER, 30, 7, locale="de_DE")


def test_iterators_do_not_disturb_each_other() -> None:
    rows = FakeRows(ORDER, seed=7)
    random.seed(1)
    alone = list(islice(rows, 20))
    first, second, seen = iter(rows), iter(rows), []
    for _ in range(20):
        seen.append(next(first))
        next(second)
        random.random()
    assert seen == alone


def test_what_its_owner_does_to_the_schema_later_does_not_show() -> None:
    spec: dict[str, Any] = {"type": "integer", "maximum": 5}
    keywords = {"max_value": 5}
    schema = {"a": spec, "b": ("pyint", keywords)}
    rows = FakeRows(schema, seed=1)
    before = list(islice(rows, 20))
    spec["maximum"], keywords["max_value"], schema["c"] = 10**9, 10**9, {}
    assert list(islice(rows, 20)) == before


def test_another_process_makes_the_same() -> None:
    schema = """{"n": "name", "p": {"type": "string", "pattern": "^[^a-f]{5}[\\\\W]$"}, "d": "date_time",
        "j": {"type": "object", "properties": {"a": {}, "b": {"enum": [1, 2]}}, "minProperties": 4}}"""
    code = (
        "from itertools import islice; from mockforge_nb.generators.fakes.fake import FakeRows;"
        f"print([*islice(FakeRows({schema}, seed=3), 10)])"
    )
    outputs = {
        subprocess.run(
            [sys.executable, "-c", code], env={"PYTHONHASHSEED": str(i), "PYTHONPATH": ":".join(sys.path), "TZ": zone},
            capture_output=True, text=True, check=True,
        ).stdout
        for i, zone in enumerate(["UTC", "Asia/Tokyo"])
    }  # fmt: skip
    assert outputs == {f"{made(eval(schema), 10, 3)}\n"}


# Errors.


@pytest.mark.parametrize(
    ("schema", "text"),
    [
        (
            {"user": {"address": [{"zip": "postcod"}]}},
            "field user.address[0].zip: 'postcod' is no provider of Faker for en_US; did you mean 'postcode'? "
            "a constant text is fields.const('postcod')",
        ),
        ("nme", "schema: 'nme' is no provider of Faker for en_US; did you mean 'name'?"),
        ({"type": "object", "name": "name"}, "field type: 'object' is no provider of Faker"),
        (
            {"a": ("pyint", {"max_vale": 3})},
            "did you mean 'max_value'? it is pyint(min_value=0, max_value=9999, step=1)",
        ),
        (
            {"a": ("pyint", {"min_value": 9, "max_value": 1})},
            "field a: ('pyint', {'min_value': 9, 'max_value': 1}) raises",
        ),
        ({"a": ("word", "x")}, "field a: ('word', 'x') is no provider with its arguments; write"),
        ({"a": ["word", (5, 1)]}, "field a: (5, 1) is no range of lengths; such as"),
        ({"a": "pyset"}, "field a: 'pyset' makes a set, which has no JSON form; use another provider"),
        ({"a": {1, 2}}, "field a: {1, 2} is a set, which has no JSON form; a field is a provider's name"),
        ({"a": float("nan")}, "field a: nan has no JSON form; use None"),
        ({"a": {2: "word"}}, "field a: 2 is a key that is no text; write '2'"),
        ({"a": lambda: object()}, "makes an object, which has no JSON form"),
        ({"a": lambda: 1 / 0}, "raises ZeroDivisionError: division by zero; see the traceback above"),
        ({"a": lambda x, y: 1}, "needs the arguments x, y; it gets none, or one: the generator of Faker"),
        ({"a": fields.unique(fields.maybe("word"))}, "field a: 'maybe' is not within a dict or a list"),
        (
            fields.maybe("word"),
            "schema: 'maybe' is not within a dict or a list, so it cannot be left out; write maybe(…",
        ),
        ({"a": fields.many(fields.choice([fields.unique("wrd")]), 1, 2)}, "field a[*]: 'wrd' is no provider"),
        ({"a": Enum("Nothing", {})}, "field a: Nothing is an Enum without members; give it at least one"),
        (
            {"a": {"type": "text", "minLength": 3}},
            "field a: 'minLength' is a keyword of JSON Schema, but the whole is read as fields ('text' is no type of "
            "it); \"$schema\" makes a schema of it, and a field that is called so is {'minLength': fields.const(…)}",
        ),
        (
            {"type": "string", "minLenght": 3},
            "'minLenght' is no keyword of JSON Schema; did you mean 'minLength'?",
        ),
        ({"type": "integer", "maximun": 5}, "'maximun' is no keyword of JSON Schema; did you mean 'maximum'?"),
        ({"const": {"a": 1}}, "schema: 'const' is a keyword of JSON Schema"),
        ({"x": {"not": {}}}, "field x: 'not' is a keyword of JSON Schema"),
        ({"if": {"type": "string"}, "else": False}, "schema: 'if' is a keyword of JSON Schema"),
        ({"a": complex}, "field a: complex is no type that messages are made of; valid: str, int"),
        ({"a": {"type": "integer", "minimum": 3, "maximum": 1}}, "field a: schema #: {'minimum': 3, 'maximum': 1}"),
    ],
)
def test_a_field_that_cannot_be_is_an_error_that_names_it(schema: Any, text: str) -> None:
    assert text in error_of(schema)


def test_a_coroutine_function_is_no_field() -> None:
    async def later() -> int:
        return 1

    assert "later is a coroutine function; use a plain one" in error_of({"a": later})


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"locale": "de_DF"}, "from_faker(locale=): 'de_DF' is no locale of Faker; did you mean 'de_DE'?"),
        ({"locale": []}, "from_faker(locale=): [] is empty; leave it out for en_US"),
        ({"locale": ["de_DE", 3]}, "from_faker(locale=): 3 is no name of a locale; such as 'de_DE'"),
        ({"seed": "x"}, "from_faker(seed=): 'x' is no whole number"),
        ({"seed": True}, "from_faker(seed=): True is no whole number"),
        ({"providers": [int]}, "from_faker(providers=): int is no provider of Faker; valid: a BaseProvider subclass"),
        ({"providers": Desk}, "is no list; its entries: a BaseProvider subclass"),
    ],
)
def test_a_wrong_option_is_an_error_that_names_it(options: dict[str, Any], text: str) -> None:
    assert text in error_of({"a": "word"}, **options)


def test_a_provider_that_only_one_of_the_locales_has() -> None:
    assert "is no provider of Faker for de_DE" in error_of({"a": "military_ship"}, locale=["en_US", "de_DE"])


def failing(number: int) -> Any:
    """A function that raises when it is called for the message of that number; it was tried once before."""
    left = iter(range(1, number + 2))
    return lambda: next(left)


def test_a_function_is_tried_once_in_all() -> None:
    for locale in (None, ["en_US", "de_DE", "fr_FR"]):
        numbers = iter(range(1, 10))
        assert column(lambda numbers=numbers: next(numbers), 3, locale=locale) == [2, 3, 4]


@pytest.mark.parametrize(
    ("schema", "place"),
    [
        (lambda: failing(2), "message 2: "),
        (lambda: {"a": {"b": failing(2)}}, "message 2, field a.b: "),
        (lambda: {"a": [1, {"b": fields.maybe(failing(2), 1)}]}, "message 2, field a[1].b: "),
        (lambda: {"a": [1, failing(2)], "b": "name"}, "message 2, field a[1]: "),
        (lambda: {"a": fields.many({"b": [failing(2), (1, 1)]}, 1, 1)}, "message 2, field a[*].b[*]: "),
        (lambda: [1, fields.unique(failing(2))], "message 2, field [1]: "),
    ],
)
def test_an_error_of_a_function_names_the_field_and_the_message(schema: Any, place: str) -> None:
    rows = iter(FakeRows(schema(), seed=1, name="orders"))
    assert len([next(rows), next(rows)]) == 2
    with pytest.raises(GeneratorError) as caught:
        next(rows)
    assert str(caught.value) == f"orders: {place}raises StopIteration: ; see the traceback above"
    assert type(caught.value.__cause__) is StopIteration


def test_an_error_of_a_function_that_fails_by_chance() -> None:
    rows = FakeRows({"a": lambda fake: {"x": 1}[fake.random_element(["x", "x", "x", "zz"])]}, seed=3)
    with pytest.raises(GeneratorError, match=r"message \d+, field a: raises KeyError: 'zz'; see the traceback above"):
        list(islice(rows, 100))


@pytest.mark.parametrize(
    ("make", "text"),
    [
        (lambda inner: {"a": inner}, "schema: dict contains itself; a message has to end"),
        (lambda inner: {"a": [inner]}, "field a[0].b: "),
        (lambda inner: ["word", fields.maybe(inner)], "contains itself"),
    ],
)
def test_a_schema_that_contains_itself(make: Any, text: str) -> None:
    inner: dict[str, Any] = {}
    inner["b"] = inner
    schema = make(inner)
    if text.startswith("schema"):
        schema["a"] = schema
        text = "field a: dict contains itself; a message has to end"
    assert text in error_of(schema)


def test_a_schema_that_is_nested_too_deeply() -> None:
    schema: Any = "word"
    for _ in range(2000):
        schema = {"a": schema}
    assert ".a: dict is nested more than 100 levels deep; flatten it" in error_of(schema)
    schema = {"type": "integer"}
    for _ in range(400):
        schema = {"type": "object", "properties": {"a": schema}, "required": ["a"]}
    text = "field x: schema: dict contains itself as it stands, or is nested too deeply; say by $ref what contains"
    assert text in error_of({"x": schema})
    schema = {"type": "object", "properties": {}}
    schema["properties"]["a"] = schema
    assert text in error_of({"x": schema})
    constant: list[Any] = []
    for _ in range(2000):
        constant = [constant]
    for word in (fields.const(constant), fields.choice([constant])):
        assert "is nested too deeply" in error_of({"x": word})


def test_repr_says_what_it_draws_from() -> None:
    assert repr(FakeRows("name", seed=3, locale="de", name="orders")) == "<FakeRows orders, de_DE, seed=3>"
