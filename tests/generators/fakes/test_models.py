import datetime as dt
import json
from dataclasses import dataclass
from itertools import islice
from typing import Annotated, Any

import pydantic
import pytest
from pydantic import BaseModel, Field, TypeAdapter, create_model
from pydantic.dataclasses import dataclass as pydantic_dataclass

from mockforge_nb.errors import GeneratorError
from mockforge_nb.generators.fakes.fake import FakeRows


def made(schema: Any, n: int = 100) -> list[Any]:
    return list(islice(FakeRows(schema, seed=1), n))


@pytest.mark.parametrize(
    "kind",
    [
        dt.datetime, pydantic.NaiveDatetime, pydantic.AwareDatetime, pydantic.PastDatetime, pydantic.FutureDatetime,
        dt.date, pydantic.PastDate, pydantic.FutureDate, Annotated[dt.date, Field(gt=dt.date(2026, 1, 1))],
        Annotated[dt.date, Field(ge=dt.date(9999, 1, 1))], Annotated[dt.date, Field(le=dt.date(1, 5, 1))],
        Annotated[dt.datetime, Field(lt=dt.datetime(1999, 1, 1, tzinfo=dt.timezone(dt.timedelta(hours=5))))],
        Annotated[pydantic.NaiveDatetime, Field(gt=dt.datetime(2022, 1, 1), lt=dt.datetime(2022, 1, 2))],
        Annotated[dt.time, Field(gt=dt.time(5))], pydantic.AnyUrl, pydantic.HttpUrl, pydantic.AnyWebsocketUrl,
        pydantic.FileUrl, pydantic.PostgresDsn, pydantic.RedisDsn, pydantic.Json, pydantic.Json[list[int]],
        pydantic.Base64Str, pydantic.Base64Bytes, pydantic.Base64UrlStr, pydantic.ByteSize, pydantic.UUID1,
        pydantic.UUID3, pydantic.UUID5, pydantic.IPvAnyNetwork, pydantic.SecretStr,
    ],
    ids=str,
)  # fmt: skip
def test_a_model_takes_every_message(kind: Any) -> None:
    model = create_model("Model", value=(kind, ...), maybe=(kind | None, None))
    rows = made(model)
    for row in rows:
        model.model_validate_json(json.dumps(row))
    assert len({json.dumps(row) for row in rows}) > 20


class Order(BaseModel):
    size: int = Field(ge=0, le=9)
    start: int = Field(ge=0, le=100)
    end: int = Field(ge=0, le=100)

    @pydantic.field_validator("size")
    @classmethod
    def even(cls, size: int) -> int:
        if size % 2:
            raise ValueError("is odd")
        return size

    @pydantic.model_validator(mode="after")
    def ordered(self) -> "Order":
        if self.start > self.end:
            raise ValueError("ends before it starts")
        return self


def test_what_the_users_own_validators_ask_for() -> None:
    rows = made(Order)
    assert {row["size"] for row in rows} <= {0, 2, 4, 6, 8}
    assert all(row["start"] <= row["end"] for row in rows)
    assert rows == made(Order)


def test_many_fields_that_are_often_wrong_are_each_drawn_again() -> None:
    even = Annotated[int, pydantic.AfterValidator(lambda value: Order.even(value))]
    model = create_model("Model", **{f"f{i}": (even, ...) for i in range(16)})  # type: ignore[call-overload]
    assert all(each % 2 == 0 for row in made(model) for each in row.values())


def test_models_within_other_types() -> None:
    @dataclass
    class Book:
        first: Order
        more: list[Order]
        last: Order | None

    for row in made(Book) + made({"a": {"first": Order, "more": [Order, (0, 3)], "last": list[Order | int]}}):
        book = row.get("a", row)
        last = book["last"] if isinstance(book["last"], list) else [book["last"]]
        for each in [book["first"], *book["more"], *last]:
            if isinstance(each, dict):
                Order.model_validate_json(json.dumps(each))


def test_adapters_and_dataclasses_validate_too() -> None:
    even = Annotated[int, Field(ge=0, le=9), pydantic.AfterValidator(lambda value: Order.even(value))]

    @pydantic_dataclass
    class Point:
        x: even
        at: pydantic.NaiveDatetime

    rows = made(Point)
    assert {row["x"] for row in rows} == {0, 2, 4, 6, 8}
    assert not any(row["at"].endswith("Z") for row in rows)
    assert set(made(TypeAdapter(even))) == {0, 2, 4, 6, 8}


@pytest.mark.parametrize(
    ("kind", "problem"),
    [
        (pydantic.FilePath, "field inner.value: Path does not point to a file"),
        (Annotated[dt.timedelta, Field(gt=dt.timedelta(days=99))], "field inner.value: Input should be greater than"),
    ],
)
def test_what_never_fits_is_told_at_the_call_and_names_the_field(kind: Any, problem: str) -> None:
    inner = create_model("Inner", value=(kind, ...), odd=(Annotated[int, pydantic.AfterValidator(Order.even)], 0))
    with pytest.raises(GeneratorError) as caught:
        FakeRows({"a": create_model("Outer", inner=(inner, ...))}, seed=1)
    text = str(caught.value)
    assert text.startswith("field a: schema #: 200 draws gave no value that fits; Outer takes none of them; ")
    assert problem in text
    assert text.endswith("give a dict of fields in its place, with a word or a function for 'inner.value'")
