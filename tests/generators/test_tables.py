import datetime as dt
import json
import math
import re
import subprocess
import sys
from collections import namedtuple
from decimal import Decimal
from enum import Enum
from typing import Any
from uuid import UUID

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from vega_datasets import local_data

from mockforge_nb.core.message import BINARY, TEXT
from mockforge_nb.core.program import Program
from mockforge_nb.errors import MockForgeError, OptionError, ScriptError, TemplateError
from mockforge_nb.generators.tables import program_from_frame, program_from_rows
from mockforge_nb.sources import is_frame

UTC = dt.UTC


def sent(program: Program) -> list[bytes]:
    return list(program.payloads(0, len(program)))


def objects(program: Program) -> list[Any]:
    return [json.loads(each) for each in sent(program)]


def column(values: Any, **options: Any) -> list[Any]:
    """What a column of these values becomes."""
    return [row["v"] for row in objects(program_from_frame(pd.DataFrame({"v": values}), **options))]


def due(times: Any, **options: Any) -> list[float]:
    return list(program_from_frame(pd.DataFrame({"t": times}), time="t", **options).at)


def instants(*texts: str) -> pd.DatetimeIndex:
    return pd.DatetimeIndex(np.array(texts, "M8[us]"))


def error_of(kind: type[MockForgeError], *args: Any, **options: Any) -> str:
    call = program_from_rows if isinstance(args[0], list) else program_from_frame
    with pytest.raises(kind) as caught:
        call(*args, **options)
    return str(caught.value)


ABC = pd.DataFrame({"t": [3, 1, 2], "v": ["a", "b", "c"]})


# Real tables.


def test_stocks_by_date() -> None:
    stocks = local_data.stocks()
    program = program_from_frame(stocks, time="date")
    assert len(program) == len(stocks) == 560
    assert sent(program)[0] == b'{"symbol":"MSFT","date":"2000-01-01T00:00:00Z","price":39.81}'
    assert program.at[0] == 0
    assert program.at[-1] == (stocks["date"].max() - stocks["date"].min()) / pd.Timedelta("1ms")
    # Five symbols a month: the sort is stable, so each month has them in the order of the table.
    assert [row["symbol"] for row in objects(program)[:4]] == ["MSFT", "AMZN", "IBM", "AAPL"]
    assert program.plain
    assert program.opcode(3) == TEXT


OLD_PANDAS = pytest.mark.filterwarnings("ignore:The 'convert_dates' keyword")  # vega_datasets reads its JSON with it
REAL = ["airports", "cars", "seattle_weather", "iowa_electricity", "la_riots", "us_employment"]


@OLD_PANDAS
@pytest.mark.parametrize("name", REAL)
def test_real_tables_arrive_whole(name: str) -> None:
    table = getattr(local_data, name)()
    got = objects(program_from_frame(table))
    assert len(got) == len(table)
    expected = json.loads(table.to_json(orient="records", date_format="iso", double_precision=15))
    for row, want in zip(got, expected, strict=True):
        assert list(row) == list(want)
        for key, value in want.items():
            if isinstance(value, float):
                assert row[key] == pytest.approx(value, abs=1e-14)
            elif pd.api.types.is_datetime64_any_dtype(table[key]) and value is not None:
                assert pd.Timestamp(row[key]) == pd.Timestamp(value, tz="UTC")
                assert row[key].endswith("T00:00:00Z")
            else:
                assert row[key] == value
                assert type(row[key]) is type(value)


@OLD_PANDAS
def test_cars_keep_their_gaps_as_null() -> None:
    cars = local_data.cars()
    got = objects(program_from_frame(cars, columns=["Name", "Horsepower", "Cylinders"]))
    assert sum(row["Horsepower"] is None for row in got) == cars["Horsepower"].isna().sum() > 0
    assert (
        sent(program_from_frame(cars, columns=["Cylinders", "Horsepower"]))[0] == b'{"Cylinders":8,"Horsepower":130.0}'
    )


# The JSON forms.


class Colour(Enum):
    RED = "red"
    PAIR = (1, 2)


Point = namedtuple("Point", "x y")
ID = UUID(int=5)
INSTANT = dt.datetime(2024, 1, 15, 10, 30)
CEST = dt.timezone(dt.timedelta(hours=2))
FORMS: dict[str, tuple[Any, list[Any]]] = {
    "int": ([1, -2], [1, -2]),
    "uint64": (np.array([2**64 - 1], "u8"), [2**64 - 1]),
    "int8": (np.array([-128], "i1"), [-128]),
    "big-endian": (np.array([1, 2], ">i4"), [1, 2]),
    "Int64": (pd.array([1, None], "Int64"), [1, None]),
    "beyond 64 bits": ([10**30, -1], [10**30, -1]),
    "float": ([1.5, np.nan, np.inf, -np.inf], [1.5, None, None, None]),
    "float32": (np.array([0.1, np.nan], "f4"), [0.1, None]),
    "longdouble": (np.array([0.5], np.longdouble), [0.5]),
    "Float64": (pd.array([1.5, None], "Float64"), [1.5, None]),
    "bool": ([True, False], [True, False]),
    "boolean": (pd.array([True, None], "boolean"), [True, None]),
    "sparse": (pd.arrays.SparseArray([0, 7]), [0, 7]),
    "sparse strings": (pd.Series(["a", None], dtype=object).astype(pd.SparseDtype("object")), ["a", None]),
    "str": (['é"\\\n\x00,%s', None, ""], ['é"\\\n\x00,%s', None, ""]),
    "line breaks and commas": (['",\n  "', "a,b"], ['",\n  "', "a,b"]),
    "string": (pd.array(["x", None], "string"), ["x", None]),
    "object strings": (pd.Series(["x", None, np.nan, pd.NA], dtype=object), ["x", None, None, None]),
    "lone surrogate": (pd.Series(["\ud800é", 1], dtype=object), ["\ud800é", 1]),
    "seconds": (instants("2024-01-15T10:30:00", "NaT"), ["2024-01-15T10:30:00Z", None]),
    "ms": (
        pd.to_datetime(["2024-01-15T10:30:00.050", "1969-12-31T23:59:59.999"]),
        ["2024-01-15T10:30:00.050Z", "1969-12-31T23:59:59.999Z"],
    ),
    "us": (pd.to_datetime(["2024-01-15T10:30:00.000001"]), ["2024-01-15T10:30:00.000001Z"]),
    "ns": (pd.to_datetime([1], unit="ns"), ["1970-01-01T00:00:00.000000001Z"]),
    "digits as needed": (
        pd.to_datetime(["2024-01-15", "2024-01-15T10:30:00.5"], format="ISO8601"),
        ["2024-01-15T00:00:00.000Z", "2024-01-15T10:30:00.500Z"],
    ),
    "far": (instants("0001-01-01", "9999-12-31"), ["0001-01-01T00:00:00Z", "9999-12-31T00:00:00Z"]),
    "UTC": (pd.to_datetime(["2024-01-15"], utc=True), ["2024-01-15T00:00:00Z"]),
    "zone": (
        instants("2024-01-15", "NaT", "2024-07-15").tz_localize("Europe/Berlin"),
        ["2024-01-15T00:00:00+01:00", None, "2024-07-15T00:00:00+02:00"],
    ),
    "west and odd": (
        pd.to_datetime(["2024-01-15", "1880-01-01"]).tz_localize("America/New_York"),
        ["2024-01-15T00:00:00-05:00", "1880-01-01T00:00:00-04:56:02"],
    ),
    "mixed zones": (
        [INSTANT, INSTANT.replace(tzinfo=UTC), INSTANT.replace(tzinfo=CEST, microsecond=5000), pd.NaT],
        ["2024-01-15T10:30:00.000Z", "2024-01-15T10:30:00.000Z", "2024-01-15T10:30:00.005+02:00", None],
    ),
    "ns beside datetime": (
        pd.Series([INSTANT, pd.Timestamp(1, unit="ns"), None], dtype=object),
        ["2024-01-15T10:30:00.000000000Z", "1970-01-01T00:00:00.000000001Z", None],
    ),
    "date": ([dt.date(2024, 1, 15), None], ["2024-01-15", None]),
    "time": ([dt.time(10, 30), dt.time(1, 2, 3, 4)], ["10:30:00", "01:02:03.000004"]),
    "timedelta": (pd.to_timedelta(["90s", None, "-1.5s"]), [90.0, None, -1.5]),
    "category": (pd.Categorical(["a", None, "a"]), ["a", None, "a"]),
    "category of ints": (pd.Categorical([3, None, 4]), [3, None, 4]),
    "category of times": (pd.Categorical(pd.to_datetime(["2024-01-15"])), ["2024-01-15T00:00:00Z"]),
    "category of objects": (pd.Categorical([dt.date(2024, 1, 15), Decimal(1), None]), ["2024-01-15", "1", None]),
    "Decimal": (
        [Decimal("1.10"), Decimal("NaN"), Decimal(10) ** 30],
        ["1.10", None, "1.000000000000000000000000000E+30"],
    ),
    "UUID": ([ID, None], [str(ID), None]),
    "Enum": ([Colour.RED, Colour.PAIR], ["red", [1, 2]]),
    "numpy scalars": (
        pd.Series(
            [np.int8(3), np.float32(0.1), np.bool_(True), np.str_("a"), np.datetime64("NaT", "ns")], dtype=object
        ),
        [3, 0.1, True, "a", None],
    ),
    "numpy arrays": (
        [np.array([1.5, np.nan]), np.array([[1], [2]]), np.array(7), np.array(["2024-01-15"], "M8[D]")],
        [[1.5, None], [[1], [2]], 7, ["2024-01-15T00:00:00Z"]],
    ),
    "nested": (
        [{"a": [INSTANT, math.nan, (1, Decimal("1.0"))], "b": {"c": pd.NA}}, [pd.NaT, dt.timedelta(seconds=2), {}]],
        [{"a": ["2024-01-15T10:30:00Z", None, [1, "1.0"]], "b": {"c": None}}, [None, 2.0, {}]],
    ),
    "deep": ([json.loads("[" * 300 + "]" * 300)], [json.loads("[" * 300 + "]" * 300)]),
    "nested, the long way": (
        [{1: 10**30, None: "\ud800", False: [math.inf, Colour.PAIR], dt.date(2024, 1, 15): Point(ID, np.float64(2))}],
        [{"1": 10**30, "null": "\ud800", "false": [None, [1, 2]], "2024-01-15": [str(ID), 2.0]}],
    ),
    "Period": (pd.period_range("2024-01", periods=2, freq="M"), ["2024-01", "2024-02"]),
    "Interval": (pd.interval_range(0, 2), ["(0, 1]", "(1, 2]"]),
    "arrow int": (pd.Series([2**62, None], dtype="int64[pyarrow]"), [2**62, None]),
    "arrow bool": (pd.Series([True, None], dtype="bool[pyarrow]"), [True, None]),
    "arrow float": (pd.Series([1.5, None], dtype="double[pyarrow]"), [1.5, None]),
    "arrow string": (pd.Series(["a", None], dtype=pd.ArrowDtype(pa.string())), ["a", None]),
    "arrow list": (pd.Series([[1, 2], None], dtype=pd.ArrowDtype(pa.list_(pa.int64()))), [[1, 2], None]),
    "arrow struct": (pd.Series([{"a": 1}], dtype=pd.ArrowDtype(pa.struct([("a", pa.int8())]))), [{"a": 1}]),
    "arrow decimal": (pd.Series([Decimal("1.10")], dtype=pd.ArrowDtype(pa.decimal128(5, 2))), ["1.10"]),
    "arrow date": (pd.Series([dt.date(2024, 1, 15), None], dtype=pd.ArrowDtype(pa.date32())), ["2024-01-15", None]),
    "arrow time": (
        pd.Series([INSTANT.replace(tzinfo=UTC), None], dtype=pd.ArrowDtype(pa.timestamp("us", "Europe/Berlin"))),
        ["2024-01-15T11:30:00+01:00", None],
    ),
}


@pytest.mark.parametrize("name", FORMS)
def test_json_form(name: str) -> None:
    values, expected = FORMS[name]
    got = column(values)
    assert got == expected
    assert list(map(type, got)) == list(map(type, expected))


def test_floats_stay_floats() -> None:
    assert sent(program_from_frame(pd.DataFrame({"v": [1.0, 1e300]})))[0] == b'{"v":1.0}'


def test_the_values_are_valid_utf8_whatever_the_table_has() -> None:
    frame = pd.DataFrame([["\udfff"], [2]], columns=pd.Index(["\ud800 %s"], dtype=object))
    assert sent(program_from_frame(frame))[0] == rb'{"\ud800 %s":"\udfff"}'
    with pd.option_context("mode.string_storage", "python"):
        frame = pd.DataFrame({"v": pd.Series(["\ud800", "b", None], dtype="str")})
    assert sent(program_from_frame(frame)) == [rb'{"v":"\ud800"}', b'{"v":"b"}', b'{"v":null}']


def test_labels_that_are_no_texts() -> None:
    frame = pd.DataFrame([[1, 2, 3]], columns=[0, 2.5, pd.Timestamp("2024-01-15")])
    assert objects(program_from_frame(frame)) == [{"0": 1, "2.5": 2, "2024-01-15 00:00:00": 3}]
    assert objects(program_from_frame(frame, columns=[0])) == [{"0": 1}]  # type: ignore[list-item]  # labels do as well


def test_a_multiindex_of_columns_is_joined() -> None:
    frame = ABC.groupby("v", as_index=False).agg({"t": ["min", "max"]})
    assert objects(program_from_frame(frame))[0] == {"v": "a", "t.min": 3, "t.max": 3}


# What has no JSON form.


class Thing:
    pass


def circle() -> list[Any]:
    circular: list[Any] = []
    circular.append(circular)
    return circular


NO_FORM: dict[str, tuple[Any, str]] = {
    "bytes": (b"x", "bytes has no JSON form"),
    "set": ({1}, "a set has no JSON form"),
    "nested": ([{"a": {1}}], "a set (in a list) has no JSON form"),
    "complex": (1j, "a complex has no JSON form"),
    "object": (Thing(), "a Thing has no JSON form"),
    "circle": (circle(), "a list that contains itself has no JSON form"),
    "tuple key": ({(1, 2): 3}, "a dict with a tuple as a key has no JSON form"),
    "one key twice": ({1: 2, "1": 3}, "a dict with two keys that are written the same has no JSON form"),
    "endless int": ([10**5000], "a value that cannot be written"),
    "numpy complex": (np.complex64(1), "a complex64 has no JSON form"),
    "far year": (pd.Timestamp("9999-12-31").as_unit("s") + pd.Timedelta(days=9), "no year beyond 9999"),
}


@pytest.mark.parametrize("name", NO_FORM)
def test_no_json_form(name: str) -> None:
    value, expected = NO_FORM[name]
    frame = pd.DataFrame({"ok": [1, 2, 3], "raw": pd.Series([None, value, value], dtype=object)})
    text = error_of(ScriptError, frame.set_axis(["r1", "r2", "r3"]))
    assert expected in text
    assert text.startswith("<DataFrame>: column 'raw', rows r2, r3: ")
    assert "template=" in text
    assert ("base64" if name == "bytes" else "df['raw'].astype(str)") in text
    assert error_of(ScriptError, [{"ok": 1}, {"raw": value}]).startswith("<list>: 'raw' of row 1 has no JSON form: ")


def test_arrow_binary_has_no_json_form() -> None:
    frame = pd.DataFrame({"raw": pd.Series([b"x"], dtype=pd.ArrowDtype(pa.binary()))})
    assert "column 'raw', row 0: bytes has no JSON form" in error_of(ScriptError, frame)
    assert program_from_frame(frame, template=lambda row: row["raw"]).opcode(0) == BINARY


def test_a_nest_without_end() -> None:
    value: Any = 0
    for _ in range(100_000):
        value = [value]
    assert "nested too deeply" in error_of(ScriptError, pd.DataFrame({"raw": [value]}))
    while value:
        value = value.pop()  # not all at once, which some Pythons do not survive


def test_years_of_five_digits() -> None:
    frame = pd.DataFrame({"v": np.array(["2024-01-15", "10001-01-01"], "M8[s]")})
    assert "column 'v', row 1: RFC 3339 has the years 0-9999" in error_of(ScriptError, frame)


# Which columns.


def test_columns_chooses_and_orders() -> None:
    program = program_from_frame(ABC, time="t", columns=["v"])
    assert sent(program) == [b'{"v":"b"}', b'{"v":"c"}', b'{"v":"a"}']
    assert sent(program_from_frame(ABC, columns=["v", "t"]))[0] == b'{"v":"a","t":3}'


@pytest.mark.parametrize(
    ("columns", "expected"),
    [
        (["w"], "columns: 'w' is no column (valid: 't', 'v')"),
        (["tt"], "columns: 'tt' is no column; did you mean 't'? (valid: 't', 'v')"),
        ([], "columns: [] chooses nothing; valid: at least one name"),
        (5, "columns: 5 is no list of names"),
        ("v", "columns: 'v' is one text; valid: a list, such as ['v']"),
        (["v", "t", "v"], "columns: ['v', 't', 'v'] names 'v' twice"),
    ],
)
def test_wrong_columns(columns: Any, expected: str) -> None:
    assert error_of(OptionError, ABC, columns=columns).startswith(expected)


def test_columns_of_one_name() -> None:
    frame = pd.DataFrame([[1, 2, 3]], columns=["a", "a", "b"])
    assert "two columns are called 'a' in a message: 'a' and 'a'" in error_of(ScriptError, frame)
    assert "columns='a' is 2 columns" in error_of(ScriptError, frame, columns=["a"])
    assert "time='a' is 2 columns" in error_of(ScriptError, frame, time="a")
    assert objects(program_from_frame(frame, columns=["b"])) == [{"b": 3}]
    mixed = pd.DataFrame([[1, 2]], columns=[1, "1"])
    assert "two columns are called '1' in a message: 1 and '1'; rename one" in error_of(ScriptError, mixed)


def test_ten_thousand_columns() -> None:
    frame = pd.DataFrame(np.arange(30_000).reshape(3, -1), columns=[f"c{i}" for i in range(10_000)])
    got = objects(program_from_frame(frame, columns=list(frame.columns[::-1])))
    assert next(iter(got[0].items())) == ("c9999", 9999)
    assert got[2]["c0"] == 20_000
    text = error_of(OptionError, frame, time="c10000")
    assert "10000 others are valid; did you mean 'c1000" in text
    assert len(text) < 200


def test_tables_without_rows_or_columns() -> None:
    assert error_of(ScriptError, pd.DataFrame()) == "<DataFrame>: the table has no rows"
    assert error_of(ScriptError, ABC[:0], time="t", name="x.csv") == "x.csv: the table has no rows"
    assert error_of(ScriptError, ABC[[]]) == "<DataFrame>: the table has no columns"


# When rows are due.

DAY = 86_400_000.0
TIMES: dict[str, tuple[Any, list[float]]] = {
    "seconds": ([5, 6], [5000, 6000]),
    "float seconds": ([0.5, 1.25], [500, 1250]),
    "small ints": (np.array([0, 250], "u1"), [0, 250_000]),
    "Int64": (pd.array([1, 2], "Int64"), [1000, 2000]),
    "Decimal": ([Decimal("1.5"), 2], [1500, 2000]),
    "epoch s": ([1_700_000_000, 1_700_000_001], [0, 1000]),
    "epoch float s": ([1.7e9, 1.7e9 + 0.5], [0, 500]),
    "epoch ms": ([1_700_000_000_000, 1_700_000_000_250], [0, 250]),
    "epoch us": ([1_700_000_000_000_000, 1_700_000_000_000_250], [0, 0.25]),
    "epoch ns": ([1_700_000_000_000_000_000, 1_700_000_000_000_000_250], [0, 0.00025]),
    "before 1970": ([-1_700_000_000, -1_699_999_999], [0, 1000]),
    "large spread": ([-(2**62), 2**62], [0, 2**63 / 1e6]),
    "datetime": (pd.to_datetime(["2024-01-15", "2024-01-16"]), [0, DAY]),
    "ns": (pd.to_datetime([0, 1_500_000], unit="ns"), [0, 1.5]),
    "zone": (pd.to_datetime(["2024-03-31", "2024-04-01"]).tz_localize("Europe/Berlin"), [0, DAY - 3_600_000]),
    "mixed zones": ([INSTANT.replace(tzinfo=CEST), INSTANT], [0, 7_200_000]),
    "dates": ([dt.date(2024, 1, 15), dt.date(2024, 1, 16)], [0, DAY]),
    "texts": (["2024-01-15T10:30:00+02:00", "2024-01-15 10:30"], [0, 7_200_000]),
    "objects and texts": ([INSTANT, "2024-01-15T10:30:01Z", np.datetime64("2024-01-15T10:30:02")], [0, 1000, 2000]),
    "timedelta": (pd.to_timedelta(["1s", "2500ms"]), [1000, 2500]),
    "timedelta objects": (pd.Series([dt.timedelta(seconds=1), pd.Timedelta("2s")], dtype=object), [1000, 2000]),
    "category": (pd.Categorical(["2024-01-15", "2024-01-16"]), [0, DAY]),
    "category of ints": (pd.Categorical([2, 4]), [2000, 4000]),
    "period": (pd.period_range("2024-01-15", periods=2, freq="D"), [0, DAY]),
    "sparse": (pd.arrays.SparseArray([0, 1]), [0, 1000]),
    "arrow": (
        pd.Series(pd.to_datetime(["2024-01-15", "2024-01-16"]), dtype="timestamp[us, tz=UTC][pyarrow]"),
        [0, DAY],
    ),
    "arrow float": (pd.Series([0.5, 1.5], dtype="double[pyarrow]"), [500, 1500]),
}


@pytest.mark.parametrize("name", TIMES)
def test_time_column(name: str) -> None:
    values, expected = TIMES[name]
    assert due(values) == expected
    assert due(pd.Series(values)[::-1]) == expected


@pytest.mark.parametrize(
    ("unit", "expected"),
    [("D", 2 * DAY), ("h", 7_200_000), ("m", 120_000), ("s", 2000), ("ms", 2), ("us", 0.002), ("ns", 0.000002)],
)
def test_unit(unit: str, expected: float) -> None:
    assert due([0, 2], unit=unit) == [0, expected]


def test_unit_of_epoch_times() -> None:
    assert due([19_000, 19_001], unit="D") == [0, DAY]
    assert due([1_700_000_000, 1_700_000_001], unit="ms") == [1_700_000_000, 1_700_000_001]  # 20 days, no epoch
    assert due([1_700_000_000_000, 1_700_000_000_001], unit="ms") == [0, 1]


def test_rows_are_sorted_stably() -> None:
    frame = pd.DataFrame({"t": [2, 1, 2, 1], "v": list("abcd")})
    program = program_from_frame(frame, time="t")
    assert [row["v"] for row in objects(program)] == ["b", "d", "a", "c"]
    assert list(program.at) == [1000, 1000, 2000, 2000]


def test_a_level_of_the_index_is_a_column_in_front() -> None:
    frame = ABC.set_index("t")
    program = program_from_frame(frame, time="t")
    assert sent(program) == [b'{"t":1,"v":"b"}', b'{"t":2,"v":"c"}', b'{"t":3,"v":"a"}']
    levels = ABC.assign(n=[7, 8, 9]).set_index(["v", "t"])
    assert sent(program_from_frame(levels, time="t"))[0] == b'{"t":1,"n":8}'
    assert sent(program_from_frame(levels, time="t", columns=["n", "t"]))[0] == b'{"n":8,"t":1}'
    assert sent(program_from_frame(levels, time="t", columns=["n"]))[0] == b'{"n":8}'
    negative = ABC.assign(t=[-1, 0, 1]).set_index("t")
    assert "df.index.get_level_values('t')" in error_of(ScriptError, negative, time="t")


@pytest.mark.parametrize(
    ("times", "expected"),
    [
        ([1, None, 3.0], "'t' has no time in row 1; drop these rows"),
        (pd.array([1, None, 3], "Int64"), "'t' has no time in row 1;"),
        (instants("2024", "NaT", "NaT"), "'t' has no time in rows 1, 2;"),
        ([1, math.inf, 3], "'t' is infinite in row 1;"),
        ([1, 10**400, 3], "'t' is infinite in row 1;"),
        ([1, -1, 3], "'t' is negative in row 1; count from the earliest: df['t'] - df['t'].min()"),
        (pd.to_timedelta([1, -1, 3], unit="s"), "'t' is negative in row 1;"),
        ([True, False, True], "'t' is no time in row 0: True"),
        ([True, 1, 2], "'t' is no time in row 0: True"),
        (["2024-01-15", "soon", "now"], "'t' is no time in row 1: 'soon'\n<DataFrame>: 't' is no time in row 2: 'now'"),
        (["2024-01-15", "soon", "now"], "2 of 3 rows (str) are no time; convert it first: pd.to_datetime(df['t'], "),
        (["2024-13-45"] * 3, "3 of 3 rows (str) are no time"),
        (["1", "2", "3"], "pd.to_numeric(df['t'])"),
        (["20240115", "20240116", "20240117"], "pd.to_numeric(df['t']), or pd.to_datetime(df['t'], format=...)"),
        (["10:30", "10:31", "10:32"], "pd.to_timedelta(df['t'])"),
        ([dt.time(1), dt.time(2), dt.time(3)], "pd.to_timedelta(df['t'].astype(str))"),
        ([1j, 2j, 3j], "(complex128) are no time; choose another column"),
        ([[1], [2], [3]], "'t' is no time in row 0: [1]"),
    ],
)
def test_times_that_are_none(times: Any, expected: str) -> None:
    assert expected in error_of(ScriptError, ABC.assign(t=times), time="t")


def test_many_missing_times_are_counted() -> None:
    frame = pd.DataFrame({"t": [None] * 25 + [1.0]}, index=[f"r{i}" for i in range(26)])
    text = error_of(ScriptError, frame, time="t")
    assert "in rows r0, r1, r2, r3, r4, r5, r6, r7, r8, r9, … (25 rows in all);" in text


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({"time": "tt"}, "time: 'tt' is no column; did you mean 't'? (valid: 't', 'v')"),
        ({"unit": "ms"}, "unit: 'ms' says what the numbers of time= are in, and there is no time="),
        ({"time": "t", "unit": "sec"}, "unit: 'sec' is no unit of time (valid: 'W', "),
        ({"time": "t", "unit": 5}, "unit: 5 is no unit of time (valid: 'W', 'D', 'h', "),
        ({"time": "v", "unit": "ms"}, "unit: 'ms' is for a column of numbers, and 'v' has str values"),
        ({"time": "t", "rate": 5}, "rate: 5 and time='t' both say when a row is due; give one of them"),
        ({"rate": 0}, "rate: 0 is no number of messages a second; valid: a finite number above 0"),
        ({"rate": -1}, "rate: -1 is no number"),
        ({"rate": True}, "rate: True is no number"),
        ({"rate": "5"}, "rate: '5' is no number"),
        ({"rate": math.nan}, "rate: nan is no number"),
        ({"rate": math.inf}, "rate: inf is no number"),
        ({"template": 5}, "template: 5 is neither a text nor a function of a row"),
    ],
)
def test_wrong_options(options: dict[str, Any], expected: str) -> None:
    assert error_of(OptionError, ABC, **options).startswith(expected)


def test_unit_with_datetimes() -> None:
    frame = pd.DataFrame({"t": pd.to_datetime(["2024-01-15"])})
    assert "has datetime64[us] values" in error_of(OptionError, frame, time="t", unit="ms")


def test_an_index_of_times_without_a_name() -> None:
    frame = ABC.set_axis(pd.date_range("2024-01-15", periods=3))
    assert "df.rename_axis('when')" in error_of(OptionError, frame, time="when")


def test_rate_and_period() -> None:
    program = program_from_frame(ABC, rate=4)
    assert list(program.at) == [0, 250, 500]
    assert program.period == 750
    assert (list(program_from_frame(ABC).at), program_from_frame(ABC).period) == ([0, 0, 0], 0)
    assert program_from_frame(ABC, time="t").period == 3000 + 1500
    assert program_from_frame(ABC[:1], time="t").period == 0
    assert program_from_frame(ABC[:1], rate=4).period == 250


# Templates.


def test_a_text_template_is_rendered_later() -> None:
    frame = ABC.assign(when=instants("2024-01-15", "NaT", "2024-01-16"))
    program = program_from_frame(frame, time="t", template="{{row.v}} at {{row.when}}")
    payload = program.steps[2].payload
    assert not program.plain
    assert payload is not None
    assert payload.template is not None
    assert payload.kind == "text"
    assert payload.row == {"t": 3, "v": "a", "when": "2024-01-15T00:00:00Z"}
    assert not program.steps[0].plain


def test_a_text_without_tokens_is_plain() -> None:
    program = program_from_frame(ABC, template="hi")
    assert program.plain
    assert sent(program) == [b"hi"] * 3


def test_wrong_templates() -> None:
    assert "'w'" in error_of(TemplateError, ABC, template="{{row.w}}")
    assert "'v'" in error_of(TemplateError, ABC, template="{{row.v}}", columns=["t"])
    with pytest.raises(TemplateError):
        program_from_rows([{"a": 1}], template="{{")


def test_a_function_gets_python_values_in_the_order_of_play() -> None:
    frame = pd.DataFrame(
        {
            "t": pd.to_datetime(["2024-01-16", "2024-01-15"]),
            "i": pd.array([1, None], "Int64"),
            "f": [math.nan, 1.5],
            "s": ["x", None],
            "c": pd.Categorical([3, 3]),
            "o": [{"a": [1]}, None],
            "z": pd.arrays.SparseArray([1, 0]),
        }
    )
    rows: list[dict[str, Any]] = []
    program_from_frame(frame, time="t", template=lambda row: rows.append(row) or "x")  # type: ignore[func-returns-value]
    assert rows == [
        {"t": pd.Timestamp("2024-01-15"), "i": None, "f": 1.5, "s": None, "c": 3, "o": None, "z": 0},
        {"t": pd.Timestamp("2024-01-16"), "i": 1, "f": None, "s": "x", "c": 3, "o": {"a": [1]}, "z": 1},
    ]
    assert type(rows[1]["i"]) is int


def test_what_a_function_may_return() -> None:
    made: list[Any] = ["é", b"\xff", {"at": pd.Timestamp("2024-01-15"), "n": math.nan}, [1, None]]
    frame = pd.DataFrame({"i": range(4)})
    program = program_from_frame(frame, template=lambda row: made[row["i"]])
    payloads = [program.steps[i].payload for i in range(4)]
    assert [p.kind for p in payloads if p] == ["text", "binary", "json", "json"]
    assert sent(program) == ["é".encode(), b"\xff", b'{"at":"2024-01-15T00:00:00Z","n":null}', b"[1,null]"]
    assert [program.opcode(i) for i in range(4)] == [TEXT, BINARY, TEXT, TEXT]
    assert [p.literal() for p in payloads if p] == sent(program)
    assert program.plain


@pytest.mark.parametrize(
    ("template", "expected"),
    [
        (lambda row: None, "template returned a NoneType (does it return at all?) in row r1; valid: str, bytes,"),
        (lambda row: 5, "template returned an int in row r1; valid: str, bytes, a dict or a list"),
        (lambda row: row["nope"], "template failed in row r1: KeyError: 'nope'"),
        (lambda row: {"a": {1}}, "'a' of what template returned in row r1 has no JSON form: a set"),
        (lambda row: "\ud800", "what template returned in row r1 is no text that UTF-8 can carry"),
    ],
)
def test_a_function_that_goes_wrong(template: Any, expected: str) -> None:
    assert expected in error_of(ScriptError, ABC.set_axis(["r1", "r2", "r3"]), template=template)


def test_a_failing_function_is_the_cause() -> None:
    with pytest.raises(ScriptError) as caught:
        program_from_frame(ABC, template=lambda row: str(1 // 0))
    assert isinstance(caught.value.__cause__, ZeroDivisionError)


def test_a_coroutine_function_is_no_template() -> None:
    async def template(row: dict[str, Any]) -> str:
        return "x"

    assert "is a coroutine function" in error_of(OptionError, ABC, template=template)


# Lists of rows.


def test_rows_are_sent_as_they_are() -> None:
    program = program_from_rows([{"b": 1, "a": math.nan}, "{{literal}}", b"\xff", {"c": [INSTANT]}])
    assert sent(program) == [b'{"b":1,"a":null}', b"{{literal}}", b"\xff", b'{"c":["2024-01-15T10:30:00Z"]}']
    assert [program.opcode(i) for i in range(4)] == [TEXT, TEXT, BINARY, TEXT]
    assert program.plain
    payload = program.steps[0].payload
    assert payload is not None
    assert (payload.kind, payload.value) == ("json", {"b": 1, "a": None})


def test_rows_by_time_and_rate() -> None:
    rows = [{"t": "2024-01-15T00:00:01Z", "v": 2}, {"v": 1, "t": "2024-01-15"}, {"t": "2024-01-16", "v": 3}]
    program = program_from_rows(rows, time="t", columns=["v"])
    assert sent(program) == [b'{"v":1}', b'{"v":2}', b'{"v":3}']
    assert list(program.at) == [0, 1000, DAY]
    assert list(program_from_rows(["a", "b"], rate=2).at) == [0, 500]
    assert list(program_from_rows([{"t": 1}, {"t": 2}], time="t", unit="ms").at) == [1, 2]
    assert list(program_from_rows([{"t": INSTANT}, {"t": INSTANT + dt.timedelta(1)}], time="t").at) == [0, DAY]


def test_rows_that_lack_a_key() -> None:
    rows = [{"a": 1, "b": 2}, {"b": 3}]
    assert sent(program_from_rows(rows, columns=["b", "a"])) == [b'{"b":2,"a":1}', b'{"b":3}']
    assert "'a' is missing in row 1 (counted from 0)" in error_of(ScriptError, rows, time="a")
    assert "time: 'c' is no key of any row (valid: 'a', 'b')" in error_of(OptionError, rows, time="c")
    assert "columns: 'c' is no key of any row" in error_of(OptionError, rows, columns=["c"])
    assert "'a' has no time in row 1;" in error_of(ScriptError, [{"a": 1}, {"a": None}], time="a")


def test_templates_over_rows() -> None:
    program = program_from_rows([{"v": Decimal("1.10")}, {"v": None}], template="{{row.v}}", rate=1)
    payload = program.steps[0].payload
    assert payload is not None
    assert payload.row == {"v": "1.10"}
    assert sent(program_from_rows([{"v": 1}, {"v": 2}], template=lambda row: str(row["v"]))) == [b"1", b"2"]
    first = {"v": {1}}
    assert sent(program_from_rows([first], template=lambda row: str(row.pop("v")))) == [b"{1}"]
    assert first == {"v": {1}}


@pytest.mark.parametrize(
    ("rows", "kind", "options", "expected"),
    [
        ([], ScriptError, {}, "<list>: the list has no rows"),
        ([{"a": 1}, 3], ScriptError, {}, "<list>: row 1 is an int; valid: a dict, a text or bytes"),
        (["a", [1]], ScriptError, {}, "<list>: row 1 is a list; valid: a dict, a text or bytes; json.dumps(row)"),
        (["\ud800"], ScriptError, {}, "<list>: row 0 is no text that UTF-8 can carry"),
        ([{"a": 1}, "x"], OptionError, {"time": "a"}, "time: 'a' is for rows that are dicts, and row 1 is a str"),
        ([b"x"], OptionError, {"columns": ["a"]}, "columns: ['a'] is for rows that are dicts, and row 0 is bytes"),
        (["x"], OptionError, {"template": "{{row.a}}"}, "template: '{{row.a}}' is for rows that are dicts"),
        ([{"a": 1}], OptionError, {"unit": "ms"}, "unit: 'ms' says"),
        ([{"a": 1}], OptionError, {"rate": 0}, "rate: 0 is no number"),
    ],
)
def test_wrong_rows(rows: list[Any], kind: type[MockForgeError], options: dict[str, Any], expected: str) -> None:
    assert error_of(kind, rows, **options).startswith(expected)


# The program is its own.


def test_what_the_caller_does_later_does_not_show() -> None:
    nested = {"a": [1]}
    frame = pd.DataFrame(
        {
            "i": [1, 2],
            "s": ["a", "b"],
            "o": [nested, None],
            "c": pd.Categorical(["x", "y"]),
            "n": pd.array([1, None], "Int64"),
            "d": pd.to_datetime(["2024-01-15", "2024-01-16"]),
            "z": pd.to_datetime(["2024-01-15", "2024-01-16"], utc=True),
        }
    )
    program = program_from_frame(frame)
    templated = program_from_frame(frame, template="{{row.i}}")
    before = sent(program_from_frame(frame.copy()))
    nested["a"].append(2)
    frame.loc[0, "i"] = 99
    frame.loc[0, "s"] = "changed"
    frame.loc[0, "c"] = "y"
    frame.loc[0, "n"] = 99
    frame.loc[0, ["d"]] = pd.Timestamp("1999-01-01")
    frame.loc[0, ["z"]] = pd.Timestamp("1999-01-01", tz="UTC")
    frame["i"] += 5
    del frame["s"]
    assert sent(program) == before
    payload = templated.steps[0].payload
    assert payload is not None
    assert payload.row == json.loads(before[0])

    rows = [{"a": [1]}]
    listed = program_from_rows(rows)
    rows[0]["a"].append(2)
    rows.append({"a": [3]})
    assert sent(listed) == [b'{"a":[1]}']


def test_steps_and_slices_are_the_same_bytes() -> None:
    frame = pd.DataFrame({"f": [1e16, 1e-7, 5e-324, 0.1] * 40, "t": range(160, 0, -1)})
    program = program_from_frame(frame, time="t")
    whole = sent(program)
    for index in (0, 63, 64, 127, 128, 159, 5, -1):
        payload = program.steps[index].payload
        assert payload is not None
        assert payload.literal() == whole[index]
    assert program.block(0).frames.endswith(whole[-1])
    with pytest.raises(IndexError):
        program.steps[160]


def test_huge_rows_are_not_kept() -> None:
    frame = pd.DataFrame({"v": ["x" * 100_000] * 20})
    program = program_from_frame(frame)
    payload = program.steps[19].payload
    assert payload is not None
    assert payload.literal() == program.payloads(19, 20)[0]


def test_is_frame() -> None:
    assert is_frame(ABC)
    assert not is_frame(ABC["v"])
    assert not is_frame([{}])


def test_is_frame_does_not_import_pandas() -> None:
    code = "import sys; from mockforge_nb.generators.tables import *; from mockforge_nb.sources import is_frame\n"
    code += "assert not is_frame([]); "
    code += "program_from_rows([{'a': 1}]); assert not {'pandas', 'numpy'} & set(sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True)


# Any table.

SCALARS = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-(2**70), 2**70),
    st.floats(),
    st.text(max_size=8),
    st.decimals(allow_nan=False, allow_infinity=False),
)
KEYS = st.text(max_size=3)
VALUES = st.recursive(
    SCALARS, lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(KEYS, inner, max_size=3))
)
TYPED: list[tuple[str, st.SearchStrategy[Any]]] = [
    ("int64", st.integers(-(2**63), 2**63 - 1)),
    ("float64", st.floats()),
    ("bool", st.booleans()),
    ("str", st.one_of(st.none(), st.text(st.characters(exclude_categories=["Cs"]), max_size=8))),
    ("Int64", st.one_of(st.none(), st.integers(-(2**63), 2**63 - 1))),
    ("category", st.sampled_from(["a", "b,", '"'])),
    ("object", VALUES),
    ("datetime64[ns]", st.one_of(st.none(), st.datetimes(dt.datetime(1700, 1, 1), dt.datetime(2250, 1, 1)))),
    ("datetime64[us]", st.one_of(st.none(), st.datetimes(dt.datetime(2, 1, 1)))),
    ("datetime64[us, Asia/Kathmandu]", st.datetimes(dt.datetime(1900, 1, 1), dt.datetime(2100, 1, 1))),
]


@st.composite
def frames(draw: st.DrawFn) -> pd.DataFrame:
    count = draw(st.integers(1, 6))
    names = draw(st.lists(st.text(max_size=4), min_size=1, max_size=5, unique=True))
    columns = {}
    for name in names:
        dtype, values = draw(st.sampled_from(TYPED))
        drawn = draw(st.lists(values, min_size=count, max_size=count))
        if "Kathmandu" in dtype:
            columns[name] = pd.Series(
                pd.to_datetime(drawn).as_unit("us").tz_localize("UTC").tz_convert("Asia/Kathmandu")
            )
        else:
            columns[name] = pd.Series(drawn, dtype=dtype)
    return pd.DataFrame(columns)


def expected(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: expected(each) for key, each in value.items()}
    if isinstance(value, list):
        return [expected(each) for each in value]
    if isinstance(value, Decimal):
        return str(value)
    if value is None or value is pd.NA or value is pd.NaT or (isinstance(value, float) and not math.isfinite(value)):
        return None
    return value


@settings(max_examples=200, deadline=None)
@given(frames(), st.data())
def test_any_table(frame: pd.DataFrame, data: st.DataObject) -> None:
    times = data.draw(st.lists(st.floats(0, 1e6), min_size=len(frame), max_size=len(frame)))
    names = list(frame.columns)
    frame.insert(0, "the time", times)
    program = program_from_frame(frame, time="the time", columns=names)
    assert list(program.at) == sorted(1000 * time for time in times)
    order = sorted(range(len(frame)), key=lambda i: times[i])
    whole = sent(program)
    for row, payload in zip(order, whole, strict=True):
        payload.decode()
        got = json.loads(payload)
        assert list(got) == names
        for name in names:
            value = frame[name].astype(object).iloc[row]
            if isinstance(value, pd.Timestamp):
                text = value.isoformat(timespec="nanoseconds") + ("" if value.tz else "Z")
                assert (
                    re.sub(r"(?<=^.{19})(\.\d+)?", lambda m: (m[0] or ".").ljust(10, "0"), got[name], count=1) == text
                )
            else:
                assert got[name] == expected(value)
                assert type(got[name]) is type(expected(value))
    first = data.draw(st.integers(0, len(frame)))
    last = data.draw(st.integers(first, len(frame)))
    assert program.payloads(first, last) == whole[first:last]
    assert [p.literal() for i in range(len(frame)) if (p := program.steps[i].payload)] == whole


@settings(max_examples=100, deadline=None)
@given(st.lists(st.dictionaries(st.text(max_size=3), VALUES, max_size=3), min_size=1, max_size=5))
def test_any_rows(rows: list[dict[str, Any]]) -> None:
    assert objects(program_from_rows(rows)) == [expected(row) for row in rows]
