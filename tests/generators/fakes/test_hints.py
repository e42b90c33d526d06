import datetime as dt
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from enum import Enum
from itertools import islice
from typing import Annotated, Any, Literal, NamedTuple, NewType, NotRequired, Optional, Required, TypedDict
from uuid import UUID

import annotated_types as at
import pytest
from pydantic import AwareDatetime, BaseModel, Field, TypeAdapter
from pydantic.dataclasses import dataclass as pydantic_dataclass

from mockforge_nb.errors import OptionError
from mockforge_nb.generators.fakes.fake import FakeRows
from mockforge_nb.generators.fakes.hints import schema_of

UserId = NewType("UserId", int)


class Side(Enum):
    BUY = "buy"
    SELL = "sell"


class Level(NamedTuple):
    price: Annotated[Decimal, "as written"]
    size: Annotated[int, at.Interval(ge=1, lt=10)]


class Tag(TypedDict):
    text: str


class Order(Tag, total=False):
    id: Required[UserId]
    kind: Literal["limit", "market", 3]
    note: str


class Note(TypedDict):
    text: str
    author: NotRequired[str]


@dataclass
class Tree:
    name: Annotated[str, at.Len(3, 8)]
    children: "list[Tree]"
    parent: "Tree | None" = None


@dataclass
class Everything:
    text: str
    data: bytes
    flags: set[bool]
    pair: tuple[int, str]
    more: tuple[float, ...]
    empty: tuple[()]
    nothing: None
    anything: Any
    table: dict[str, Level]
    sides: Mapping[Side, int]
    maybe: Optional[int]  # noqa: UP045  # the old spelling is a hint too
    at: dt.datetime
    day: dt.date
    clock: dt.time
    span: dt.timedelta
    key: UUID
    order: Order
    bounded: Annotated[Sequence[Annotated[float, Field(gt=0, le=1)]], Field(min_length=2, max_length=3)]
    code: Annotated[str, Field(pattern="^[A-Z]{3}$")]
    few: Annotated[int, at.MultipleOf(5), at.Ge(1), at.Le(10)]
    big: Annotated[int | None, at.Ge(5)]


def made(hint: Any, n: int = 60) -> list[Any]:
    return list(islice(FakeRows(hint, seed=1), n))


def test_every_hint_has_its_values() -> None:
    for row in made(Everything):
        assert list(row) == list(Everything.__annotations__)
        assert isinstance(row["text"], str)
        assert len(row["flags"]) == len(set(row["flags"]))
        assert [type(each) for each in row["pair"]] == [int, str]
        assert row["empty"] == []
        assert row["nothing"] is None
        assert all(Decimal(each["price"]) >= 0 and 1 <= each["size"] < 10 for each in row["table"].values())
        assert set(row["sides"]) <= {"buy", "sell"}
        assert dt.datetime.fromisoformat(row["at"]).tzinfo
        assert dt.date.fromisoformat(row["day"]) <= dt.date(2030, 1, 1)
        assert dt.time.fromisoformat(row["clock"]).tzinfo
        assert UUID(row["key"]).version == 4
        assert {"text", "id"} <= set(row["order"]) <= {"text", "id", "kind", "note"}
        assert row["order"].get("kind", 3) in ("limit", "market", 3)
        assert 2 <= len(row["bounded"]) <= 3
        assert all(0 < each <= 1 for each in row["bounded"])
        assert len(row["code"]) == 3
        assert row["few"] in (5, 10)
        assert row["big"] is None or row["big"] >= 5
    assert {row["maybe"] is None for row in made(Everything)} == {True, False}


def test_a_type_may_contain_itself() -> None:
    def depth(tree: dict[str, Any]) -> int:
        kids = [*tree["children"], *([tree["parent"]] if tree["parent"] else [])]
        assert 3 <= len(tree["name"]) <= 8
        return 1 + max(map(depth, kids), default=0)

    depths = {depth(tree) for tree in made(Tree)}
    assert min(depths) == 1 or min(depths) < max(depths)
    assert max(depths) <= 8


def test_keys_that_are_not_required_may_lack() -> None:
    assert {tuple(sorted(row)) for row in made(Note)} == {("text",), ("author", "text")}


def test_hints_alone() -> None:
    assert schema_of(str | None, "x").schema == {"anyOf": [{"type": "string"}, {"type": "null"}]}
    assert schema_of(UserId, "x").schema == {"type": "integer"}
    assert schema_of(Annotated[str, at.MinLen(2)], "x").schema == {"type": "string", "minLength": 2}
    assert schema_of(Annotated[dict[str, int], at.MaxLen(2)], "x").schema["maxProperties"] == 2


class Address(BaseModel):
    city: str
    postcode: str = Field(pattern=r"^\d{5}$")


class Customer(BaseModel):
    id: int = Field(alias="customerId", ge=1)
    name: str = Field(min_length=2, max_length=12)
    score: float = Field(gt=0, lt=1)
    amount: Decimal = Field(max_digits=6, decimal_places=2)
    ratio: Annotated[float, Field(multiple_of=0.25, le=4)]
    address: Address
    friends: list["Customer"] = []
    side: Side
    at: AwareDatetime
    span: dt.timedelta
    key: UUID
    tags: set[str] = Field(max_length=4)
    either: Address | int | None = None
    kind: Literal["a", "b"] = "a"
    table: dict[str, Address]


def test_a_model_of_pydantic_takes_its_messages() -> None:
    rows = made(Customer, 100)
    for row in rows:
        Customer.model_validate(row)
    assert {"friends" in row for row in rows} == {True, False}


def test_models_within_other_types_keep_their_definitions_apart() -> None:
    class Inner(BaseModel):
        class Address(BaseModel):
            street: int

        address: Address

    @dataclass
    class Outer:
        customer: Customer
        inner: list[Inner]

    for row in made(Outer):
        Customer.model_validate(row["customer"])
        assert all(type(each["address"]["street"]) is int for each in row["inner"])


def test_a_model_that_has_no_schema() -> None:
    class Odd(BaseModel):
        call: Callable[[], int]

    with pytest.raises(OptionError, match=r"schema: .*Odd has no JSON Schema: .*; leave out what is not data"):
        made(Odd)


def test_adapters_and_dataclasses_of_pydantic() -> None:
    @pydantic_dataclass
    class Point:
        x: Annotated[int, Field(ge=3, le=4)]

    assert {row["x"] for row in made(Point)} == {3, 4}
    assert {len(row) for row in made(TypeAdapter(Annotated[list[int], Field(min_length=1, max_length=2)]))} == {1, 2}


@pytest.mark.parametrize(
    ("hint", "text"),
    [
        (list[complex], "schema[0]: complex is no type that messages are made of; valid: str, int"),
        (dict[int, str], "schema: int is the type of keys, which are texts in JSON; use dict[str, …]"),
        (Annotated[dt.date, at.Ge(dt.date(2026, 1, 1))], "is a bound that JSON Schema cannot say"),
        (Annotated[float, at.Ge(float("inf"))], "schema: inf is no bound; leave it out"),
    ],
)
def test_a_hint_without_values(hint: Any, text: str) -> None:
    with pytest.raises(OptionError) as caught:
        schema_of(hint, "schema")
    assert text in str(caught.value)


def test_a_class_that_must_contain_itself_and_one_whose_hint_names_nothing() -> None:
    Endless = TypedDict("Endless", {"next": "Endless"})  # type: ignore[misc]  # noqa: UP013
    Endless.__annotations__["next"] = Endless
    with pytest.raises(OptionError, match="requires itself without end"):
        made(Endless)

    @dataclass
    class Broken:
        x: "Nowhere"  # type: ignore[name-defined]  # noqa: F821

    with pytest.raises(OptionError, match="has a hint that names nothing: name 'Nowhere' is not defined"):
        made(Broken)
