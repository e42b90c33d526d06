"""Scripts that nobody wrote: `Script.from_faker`, `Script.like`, `feeds`."""

from __future__ import annotations

import dataclasses
import inspect
import json
import subprocess
import sys
from itertools import pairwise
from pathlib import Path
from typing import Any, TypedDict

import numpy as np
import pandas as pd
import pyarrow as pa
import pydantic
import pytest
from vega_datasets import data

from mockforge_nb import GeneratorError, Mock, OptionError, Script, ScriptError, TableModel, feeds, fields
from mockforge_nb.errors import ScriptFileNotFoundError
from mockforge_nb.generators.feeds import FEEDS

STOCKS = data.stocks()
SCHEMA = {
    "user": "name", "mail": "email", "amount": ("pyfloat", {"min_value": 1, "max_value": 99}), "at": "{{now}}",
    "tags": ["word", "word"],
}  # fmt: skip


def values(script: Script) -> list[Any]:
    return [step.payload.value for step in script if step.payload is not None]


# Faker


def test_messages_of_a_schema_at_a_rate() -> None:
    script = Script.from_faker(SCHEMA, n=100, rate=5, locale="de_DE", seed=1)
    assert (len(script), script.duration) == (100, 19.8)
    assert repr(script) == "<Script <faker, seed 1>, 100 steps in 19.8 s>"
    rows = Mock().clock("2026-01-01").replay(script).simulate().df
    found = [json.loads(text) for text in rows.text[1:]]
    assert all(list(each) == list(SCHEMA) for each in found)
    assert all(1 <= each["amount"] <= 99 and "@" in each["mail"] and len(each["tags"]) == 2 for each in found)
    assert [each["at"] for each in found[:2]] == ["2026-01-01T00:00:00.000Z", "2026-01-01T00:00:00.200Z"]
    assert len({each["user"] for each in found}) > 90


def test_the_same_seed_says_the_same_in_every_process() -> None:
    code = (
        "import json; from mockforge_nb import Script; "
        "print(json.dumps([s.payload.value for s in Script.from_faker({'a': 'name', 'b': ['word', (1, 9)]}, seed=7)]))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    script = Script.from_faker({"a": "name", "b": ["word", (1, 9)]}, seed=7)
    assert json.loads(done.stdout) == values(script)
    assert values(Script.from_faker({"a": "name"}, seed=8)) != values(Script.from_faker({"a": "name"}, seed=7))


def test_a_drawn_seed_is_shown_and_makes_it_again() -> None:
    script = Script.from_faker({"n": "pyint"})
    seed = int(script.name.split()[-1].rstrip(">"))
    assert values(Script.from_faker({"n": "pyint"}, seed=seed)) == values(script)


def test_without_end_it_begins_as_the_finite_one() -> None:
    finite, endless = (Script.from_faker(SCHEMA, n=n, rate=10, seed=3) for n in (20, None))
    assert values(endless[:20]) == values(finite)
    mock = Mock().clock("2026-01-01")
    one, two = (mock.replay(each).simulate(until="1.9s").df for each in (finite, endless))
    assert one.text.tolist() == two.text.tolist()


def test_words_for_fields() -> None:
    schema = {
        "type": fields.const("trade"),
        "id": fields.counter(),
        "account": fields.recurring("iban", size=3),
        "side": fields.choice({"buy": 9, "sell": 1}),
        "price": fields.walk(start=100, step=1, low=90),
        "note": fields.maybe("sentence", probability=0.2),
        "key": fields.unique(("pyint", {"max_value": 10_000})),
        "items": fields.many({"sku": "ean8"}, 0, 3),
    }
    found = values(Script.from_faker(schema, n=500, seed=1))
    assert {each["type"] for each in found} == {"trade"}
    assert [each["id"] for each in found] == list(range(1, 501))
    assert len({each["account"] for each in found}) == 3
    assert 0.85 < sum(each["side"] == "buy" for each in found) / 500 < 0.95
    steps = [abs(a["price"] - b["price"]) for a, b in pairwise(found)]
    assert max(steps) < 10
    assert 0.1 < sum("note" in each for each in found) / 500 < 0.3
    assert len({each["key"] for each in found}) == 500
    assert {len(each["items"]) for each in found} == {0, 1, 2, 3}


@dataclasses.dataclass
class Point:
    x: float
    y: float


class Trade(TypedDict):
    symbol: str
    at: Point


class Order(pydantic.BaseModel):
    id: pydantic.UUID4
    quantity: int = pydantic.Field(ge=1, le=9)
    code: str = pydantic.Field(pattern=r"^[A-Z]{3}-\d{4}$")


def test_types_are_schemas() -> None:
    assert all(set(each) == {"x", "y"} for each in values(Script.from_faker(Point, seed=1)))
    assert all(isinstance(each["at"]["x"], float) for each in values(Script.from_faker(Trade, seed=1)))
    for each in values(Script.from_faker(Order, n=50, seed=1)):
        Order.model_validate_json(json.dumps(each))
    schema = {"type": "object", "properties": {"n": {"type": "integer", "minimum": 5, "maximum": 7}}, "required": ["n"]}
    assert {each["n"] for each in values(Script.from_faker(schema, seed=1))} == {5, 6, 7}


@pytest.mark.parametrize(
    ("schema", "options", "problem"),
    [
        ({"a": {"b": ["nmae"]}}, {}, r"a\.b\[0\].*'nmae'.*did you mean 'name'"),
        ({"a": ("pyint", {"max": 3})}, {}, r"a.*pyint"),
        ({"a": "binary"}, {}, r"a.*JSON"),
        ({"a": "name"}, {"n": 0}, r"from_faker\(n=\): 0 is no number from 1 on; valid: a number, or None"),
        ({"a": "name"}, {"rate": 0}, r"from_faker\(rate=\): 0 is no number of messages a second"),
        ({"a": "name"}, {"seed": "x"}, r"from_faker\(seed=\): 'x' is no whole number"),
        ({"a": "name"}, {"locale": "de_DEE"}, r"'de_DEE'.*did you mean 'de_DE'"),
        ({"type": "integer", "minimum": 5, "maximum": 3}, {}, r"minimum.*5.*3|5.*maximum.*3"),
        ({"type": "strnig", "properties": {"a": {}}}, {}, r"'strnig'.*did you mean 'string'"),
    ],
)
def test_what_cannot_be_made_is_told_at_the_call(schema: Any, options: dict[str, Any], problem: str) -> None:
    with pytest.raises(OptionError, match=problem):
        Script.from_faker(schema, **options)


def test_values_that_run_out_are_no_half_script() -> None:
    with pytest.raises(GeneratorError, match="coin"):
        Script.from_faker({"coin": fields.unique(fields.choice(["heads", "tails"]))}, n=3, seed=1)


@pytest.mark.parametrize(
    ("shape", "problem"),
    [
        (lambda made: {"a": [1, {"b": made}]}, r"message 2 has no JSON form: field a\[1\]\.b is an object"),
        (lambda made: made, "message 2 has no JSON form: an object"),
    ],
)
def test_what_has_no_json_form_later_is_told_with_its_place(shape: Any, problem: str) -> None:
    left = iter([0, 1, 2, object()])  # the first is for the trial at the call
    with pytest.raises(GeneratorError, match=problem):
        Script.from_faker(shape(lambda: next(left)), seed=1)


# Like


def test_more_like_a_table() -> None:
    script = Script.like(STOCKS, n=600, time="date", by="symbol", seed=1)
    found = pd.DataFrame(values(script))
    assert list(found.columns) == list(STOCKS.columns)
    assert len(found) == 600
    assert set(found.symbol) == set(STOCKS.symbol)
    assert found.price.gt(0).all()
    assert found.equals(pd.DataFrame(values(Script.like(STOCKS, n=600, time="date", by="symbol", seed=1))))
    assert not found.equals(pd.DataFrame(values(Script.like(STOCKS, n=600, time="date", by="symbol", seed=2))))
    assert len(Script.like(STOCKS, seed=1)) == len(STOCKS)


def test_more_like_a_table_without_end() -> None:
    finite, endless = (Script.like(STOCKS, n=n, time="date", by="symbol", seed=1) for n in (6000, None))
    part = endless[:6000]
    assert values(part) == values(finite)
    assert list(part.program.at) == pytest.approx(list(finite.program.at))
    shaped = Script.like(STOCKS, n=None, rate=10, columns=["symbol"], template=lambda row: row["symbol"], seed=1)
    rows = Mock().replay(shaped).simulate(until="1s").df
    assert set(rows.text[1:]) <= set(STOCKS.symbol)
    assert rows.elapsed[1:].tolist() == [i / 10 for i in range(11)]


def test_a_model_is_public_and_says_how_like_it_is() -> None:
    model = TableModel(time="date", by="symbol", seed=1).fit(STOCKS)
    report = model.report()
    assert list(report.index) == list(STOCKS.columns)
    assert report.loc["price", "mean_sample"] == pytest.approx(report.loc["price", "mean"], rel=0.5)
    assert report.plot().size >= 3
    script = Script.from_frame(model.sample(50), time="date", by="symbol", subscribe="$.s")
    assert script.preview(3, key="IBM").message.str.contains("IBM").all()


def test_tables_of_other_kinds(tmp_path: Path) -> None:
    STOCKS.to_parquet(tmp_path / "stocks.parquet")
    for source in (pa.Table.from_pandas(STOCKS), tmp_path / "stocks.parquet", str(tmp_path / "stocks.parquet")):
        assert set(values(Script.like(source, n=20, seed=1))[0]) == {"symbol", "date", "price"}


def test_more_like_traffic(tmp_path: Path) -> None:
    chat = Mock().replay(feeds.chat(400, rate=20, seed=1, start="2026-01-01")).simulate()
    kinds = {each["type"] for each in values(feeds.chat(400, rate=20, seed=1, start="2026-01-01"))}
    script = Script.like(chat, n=500, seed=2)
    found = values(script)
    assert len(found) == 500
    assert {each["type"] for each in found} <= kinds
    # Nobody says something twice in a row to whom it did not happen before.
    follows = {(a["type"], b["type"]) for a, b in pairwise(found)}
    learned = values(feeds.chat(400, rate=20, seed=1, start="2026-01-01"))
    seen = {(a["type"], b["type"]) for a, b in pairwise(learned)}
    assert len(follows - seen) <= 1, "but where the conversation begins anew"
    chat.save(tmp_path / "chat.jsonl")
    assert values(Script.like(tmp_path / "chat.jsonl", n=30, seed=2))[0]["type"] in kinds
    assert len(Script.like(chat, seed=1)) == 400
    assert {
        each["type"] for each in values(Script.like(Script.load(tmp_path / "chat.jsonl"), n=None, seed=3)[:50])
    } <= kinds


@pytest.mark.parametrize(
    ("source", "options", "problem"),
    [
        (5, {}, r"like\(\): 5 is a int; valid: a DataFrame or other table, a Traffic, a Script, a path"),
        (STOCKS, {"n": 0}, r"like\(n=\): 0 is no number from 1 on"),
        (STOCKS, {"time": "dat"}, r"'dat' is no column;.*did you mean 'date'"),
        (STOCKS, {"by": "symbl"}, r"did you mean 'symbol'"),
        (STOCKS, {"n": None, "template": "{{row.price}}"}, r"like\(template=\): .* give a function of the row"),
        (Script().send("a"), {"time": "t"}, r"like\(time=\): 't' goes with a table, not with messages"),
    ],
)
def test_what_cannot_be_learned_is_told(source: Any, options: dict[str, Any], problem: str) -> None:
    with pytest.raises(OptionError, match=problem):
        Script.like(source, **options)


def test_sources_that_say_nothing() -> None:
    with pytest.raises((GeneratorError, ScriptError)):
        Script.like(Script())
    with pytest.raises((GeneratorError, ScriptError)):
        Script.like(STOCKS[:0])
    with pytest.raises(FileNotFoundError):
        Script.like("no such.jsonl")


@pytest.mark.parametrize(
    "source",
    [
        feeds.trades(50, seed=1),
        feeds.trades(None, seed=1),
        Script.from_faker({"at": "{{now}}"}, seed=1),
        Script().send({"at": "{{now}}"}),
        Script().send('{"at": "{{now}}"}'),
    ],
    ids=["feed", "endless", "faker", "steps", "text"],
)
def test_templates_of_a_script_stay_templates(source: Script) -> None:
    script = Script.like(source, n=20, seed=1)
    rows = Mock().clock("2026-01-01").replay(script).simulate().df
    for text, elapsed in zip(rows.text[1:], rows.elapsed[1:], strict=True):
        at = pd.Timestamp(json.loads(text)["at"]) - pd.Timestamp("2026-01-01T00:00Z")
        assert at.total_seconds() == pytest.approx(elapsed, abs=0.0011)


@pytest.mark.parametrize(
    ("source", "problem"),
    [
        (Script().send("at {{now}}"), "is a text with a template, which cannot be learned"),
        (Script().send({"{{now}}": 1}), "is a key with a template"),
        (Script.from_frame(STOCKS[:9], template="{{row.price}}"), "give like\\(\\) the table"),
        (STOCKS["price"], "'Series' has no columns as a table has; give a table, such as series.to_frame"),
        (pa.chunked_array([[1, 2]]), "'ChunkedArray' has no columns"),
    ],
)
def test_templates_and_tables_that_cannot_be_learned(source: Any, problem: str) -> None:
    with pytest.raises(OptionError, match=problem):
        Script.like(source)


def test_times_in_messages_are_those_at_which_they_are_due() -> None:
    start = pd.Timestamp("2026-01-01T08:00:00Z")
    for feed in (feeds.orders, feeds.chat, feeds.trades):
        script = Script.like(feed(300, seed=2, start=start), n=600, seed=1)
        times = [pd.Timestamp(each["at"]) for each in values(script)]
        assert all(one <= other for one, other in pairwise(times))
        for at, due in zip(times, script.program.at, strict=True):
            assert (at - start).total_seconds() == pytest.approx(due / 1000, abs=0.0021)


def test_like_takes_what_its_siblings_take(tmp_path: Path) -> None:
    for source in (STOCKS, feeds.chat(60, seed=1)):
        script = Script.like(source, n=np.int64(3), seed=-1)  # type: ignore[arg-type]
        assert len(script) == 3
        assert values(script) == values(Script.like(source, n=3, seed=-1))
    assert len(Script.like(feeds.chat(None, seed=1), seed=1)) == 5000
    for name in ("nope.parquet", "nope.csv", "nope.jsonl"):
        with pytest.raises(ScriptFileNotFoundError, match="there is no such file"):
            Script.like(name)
    STOCKS.to_csv(tmp_path / "stocks.csv", index=False)
    found = values(Script.like(tmp_path / "stocks.csv", time="date", by="symbol", n=9, seed=1))
    assert found[0]["date"] == "2000-01-01"
    with pytest.raises(OptionError, match=r"like\(template=\): 5 is no template; give a function"):
        Script.like(STOCKS, n=None, template=5)  # type: ignore[arg-type]
    for option in ("time", "by"):
        with pytest.raises(OptionError, match=rf"like\({option}=\): 'x' is no column"):
            Script.like(STOCKS, **{option: "x"})  # type: ignore[arg-type]
        with pytest.raises(OptionError, match=rf"TableModel\({option}=\): 'x' is no column"):
            TableModel(**{option: "x"}).fit(STOCKS)  # type: ignore[arg-type]
    with pytest.raises(OptionError, match="'list' is no DataFrame"):
        TableModel().fit(STOCKS).report([1])  # type: ignore[arg-type]


def test_a_relation_of_duckdb_is_a_table(tmp_path: Path) -> None:
    duckdb = pytest.importorskip("duckdb")
    STOCKS.to_parquet(tmp_path / "stocks.parquet")
    relation = duckdb.sql(f"select * from '{tmp_path / 'stocks.parquet'}'")
    assert set(values(Script.like(relation, n=5, seed=1))[0]) == set(STOCKS.columns)


# Feeds


@pytest.mark.parametrize("feed", FEEDS, ids=lambda feed: feed.name)
def test_feeds_have_their_options_and_say_what_they_say(feed: Any) -> None:
    function = getattr(feeds, feed.name)
    given = {name: each.default for name, each in inspect.signature(function).parameters.items()}
    ours = {each.name: each.default for each in dataclasses.fields(feed)}
    assert {name: given[name] for name in ours if given[name] is not None or ours[name] is None} == {
        name: default for name, default in ours.items() if given[name] is not None
    }
    assert set(given) == {*ours, "n", "seed", "start"}
    script = function(50, seed=1, start="2026-01-01T09:30:00Z")
    found = values(script)
    assert len(found) == 50
    assert {each["type"] for each in found} <= set(feed.types)
    times = [pd.Timestamp(each["at"]) - pd.Timestamp("2026-01-01T09:30Z") for each in found]
    assert [each.total_seconds() for each in times] == pytest.approx([step.ts / 1000 for step in script], abs=0.001)
    assert values(function(None, seed=1, start="2026-01-01T09:30:00Z")[:50]) == found


def test_sensors_begin_at_the_hour_of_their_start() -> None:
    at_ten, plain = (feeds.iot(200, seed=1, start=start, start_hour=hour) for start, hour in (
        ("2026-01-01T22:00Z", None), ("2026-01-01T00:00Z", 22.0)
    ))  # fmt: skip
    assert [each.get("value") for each in values(at_ten)] == [each.get("value") for each in values(plain)]


def test_money_without_hundredths() -> None:
    assert all(isinstance(each.get("total", 0), int) for each in values(feeds.orders(200, currency="JPY", seed=1)))


def test_who_watches_one_stream_reads_the_same_times() -> None:
    mock = Mock().replay(feeds.trades(rate=200, seed=1), shared=True)
    with mock.serve(port=0) as server, server.client() as one, server.client() as two:
        first = [one.recv() for _ in range(60)]
        second = [two.recv() for _ in range(20)]
    assert set(second) <= set(first)


def test_a_feeds_messages_have_the_time_at_which_they_are_due() -> None:
    rows = Mock().clock("2026-01-01").replay(feeds.trades(seed=1, rate=50), speed=2).simulate(until="2s").df
    found = [json.loads(text) for text in rows.text[1:]]
    assert len(found) > 100
    for each, elapsed in zip(found, rows.elapsed[1:], strict=True):
        at = pd.Timestamp(each["at"]) - pd.Timestamp("2026-01-01T00:00Z")
        assert at.total_seconds() == pytest.approx(elapsed, abs=0.0011)


@pytest.mark.parametrize(
    ("call", "problem"),
    [
        (lambda: feeds.trades(0), r"trades\(n=\): 0 is no number from 1 on"),
        (lambda: feeds.trades(symbols="AAPL"), r"trades\(symbols=\): 'AAPL' is one text; give a list"),
        (lambda: feeds.chat(rate=-1), r"chat\(rate=\): -1"),
        (lambda: feeds.iot(metrics=["temprature"]), r"did you mean 'temperature'"),
        (
            lambda: feeds.logs(seed="x"),  # type: ignore[arg-type]
            r"logs\(seed=\): 'x' is no whole number",
        ),
        (lambda: feeds.orders(start="soon"), r"orders\(start=\): 'soon' is no time"),
    ],
)
def test_wrong_options_of_feeds(call: Any, problem: str) -> None:
    with pytest.raises(OptionError, match=problem):
        call()
