"""What a connection gets of a table: its keys' rows, a snapshot, moved times, windows, subscriptions."""

from __future__ import annotations

import datetime as dt
import json
import tracemalloc
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from vega_datasets import data

from mockforge_nb import Message, Mock, OptionError, Script, ScriptError, TemplateError
from mockforge_nb.core.events import Opened, Received, Send
from mockforge_nb.core.identity import Identity
from mockforge_nb.core.routes import PathPattern
from mockforge_nb.core.session import Session
from mockforge_nb.generators import arrow

DF = pd.DataFrame(
    {
        "at": pd.to_datetime("2024-01-01") + pd.to_timedelta([0, 0, 1, 2, 2, 3, 5], unit="s"),
        "symbol": list("ABABCAC"),
        "price": [1, 2, 3, 4, 5, 6, 7],
    }
)
SUB = ("$.op == 'subscribe'", "$.symbols[*]")
UNSUB = ("$.op == 'unsubscribe'", "$.symbols[*]")


def heard(mock: Mock, says: Iterable[tuple[float, Any]] = (), path: str = "/ws", until: str = "60s") -> list[Any]:
    """Return what a client hears: the seconds, and each message (JSON as its value)."""
    rows = mock.clock("2026-01-01").simulate(list(says), until=until, path=path).df
    out = rows[(rows.direction == "out") & (rows.opcode == "text")]
    return [(at, json.loads(text)) for at, text in zip(out.elapsed.tolist(), out.text.tolist(), strict=True)]


def prices(found: list[Any]) -> list[Any]:
    """Return the seconds and the prices of rows, or of lists of rows."""
    return [(at, [r["price"] for r in m] if isinstance(m, list) else m["price"]) for at, m in found]


# By key


def test_each_path_gets_the_rows_of_its_key_at_the_tables_times() -> None:
    mock = Mock().route("/prices/{symbol}", Mock().replay(DF, time="at", by="symbol"))
    assert prices(heard(mock, path="/prices/A")) == [(0, 1), (1, 3), (3, 6)]
    assert prices(heard(mock, path="/prices/C")) == [(2, 5), (5, 7)]
    rows = mock.simulate(path="/prices/C").df
    assert rows.step.dropna().tolist() == [4, 6], "steps are rows of the table"


def test_a_key_that_the_table_does_not_have_is_no_path() -> None:
    mock = Mock().route("/prices/{symbol}", Mock().replay(DF, time="at", by="symbol"))
    with pytest.raises(OptionError, match=r"<DataFrame> has no rows with symbol 'a'; it has 'A', 'B', 'C'"):
        mock.simulate(path="/prices/a")
    stocks = Mock().route("/{symbol}", Mock().replay(data.stocks(), by="symbol"))
    with pytest.raises(OptionError, match=r"no rows with symbol 'GOOGL'; did you mean 'GOOG'\?"):
        stocks.simulate(path="/GOOGL")


def test_numbers_dates_and_categories_are_keys_as_json_writes_them() -> None:
    table = pd.DataFrame({"id": [7, 8, 7], "day": pd.to_datetime(["2024-01-01", "2024-01-02", "2024-01-01"])})
    table["kind"] = pd.Categorical(["x", "y", "x"])
    table["ok"] = [True, False, True]
    for by, key in (("id", "7"), ("day", "2024-01-01T00:00:00Z"), ("kind", "x"), ("ok", "true")):
        mock = Mock().route(f"/{{{by}}}", Mock().replay(table, by=by))
        assert len(heard(mock, path=f"/{key}")) == 2, by
    floats = pd.DataFrame({"id": [7.0, None, 7.5]})
    assert len(heard(Mock().route("/{id}", Mock().replay(floats, by="id")), path="/7.5")) == 1


def test_keys_and_times_may_be_levels_of_the_index() -> None:
    mock = Mock().route("/{symbol}", Mock().replay(DF.set_index(["at", "symbol"]), time="at", by="symbol"))
    assert heard(mock, path="/C") == [
        (2, {"at": "2024-01-01T00:00:02Z", "symbol": "C", "price": 5}),
        (5, {"at": "2024-01-01T00:00:05Z", "symbol": "C", "price": 7}),
    ]


def test_rows_without_a_key_belong_to_nobody() -> None:
    table = DF.assign(symbol=pd.Series(["A", None, "A", None, "C", "A", "C"]))
    mock = Mock().route("/{symbol}", Mock().replay(table, time="at", by="symbol"))
    assert prices(heard(mock, path="/A")) == [(0, 1), (1, 3), (3, 6)]
    with pytest.raises(ScriptError, match=r"'symbol' \(by=\) is empty in every row"):
        Script.from_frame(table.assign(symbol=None), by="symbol")


def test_a_table_with_keys_that_nothing_chooses_is_an_error() -> None:
    with pytest.raises(OptionError, match=r"the path's \{symbol\}, and '/ws' has no such parameter.*subscribe="):
        Mock().replay(DF, by="symbol").simulate()
    with pytest.raises(OptionError, match="rename the column"):
        Mock().replay(DF.rename(columns={"symbol": "the symbol"}), by="the symbol").simulate()


def test_templates_see_the_rows_of_the_key() -> None:
    text = Mock().replay(DF, time="at", by="symbol", template='["{{row.symbol}}",{{row.price}},"{{path.symbol}}"]')
    assert heard(Mock().route("/{symbol}", text), path="/C") == [(2, ["C", 5, "C"]), (5, ["C", 7, "C"])]
    function = Mock().replay(DF, time="at", by="symbol", template=lambda row: {"p": row["price"]})
    assert heard(Mock().route("/{symbol}", function), path="/C") == [(2, {"p": 5}), (5, {"p": 7})]


def test_lists_of_rows_have_keys_too() -> None:
    rows: list[dict[str, Any]] = [{"symbol": "A", "price": 1}, {"price": 2}, {"symbol": "A", "price": 3}]
    mock = Mock().route("/{symbol}", Mock().replay(rows, rate=1, by="symbol"))
    assert heard(mock, path="/A") == [(0, rows[0]), (2, rows[2])]
    with pytest.raises(OptionError, match="'symbl' is no key of any row; did you mean 'symbol'"):
        Script.of(rows, by="symbl")


# Snapshots


def test_a_snapshot_comes_first_and_no_row_twice() -> None:
    mock = Mock().replay(DF, time="at", by="symbol", snapshot=True)
    assert prices(heard(mock)) == [(0, 1), (0, 2), (0, 5), (1, 3), (2, 4), (3, 6), (5, 7)]


@pytest.mark.parametrize(
    "until", ["2s", 2, dt.timedelta(seconds=2), "2024-01-01T00:00:02Z", pd.Timestamp(2024, 1, 1, 0, 0, 2)]
)
def test_what_is_before_a_time_is_what_the_snapshot_is_of(until: Any) -> None:
    mock = Mock().replay(DF, time="at", by="symbol", snapshot=until)
    assert prices(heard(mock)) == [(0, 3), (0, 4), (0, 5), (1, 6), (3, 7)]


def test_without_times_the_snapshot_is_the_last_row_of_each_key() -> None:
    assert prices(heard(Mock().replay(DF, by="symbol", snapshot=True))) == [(0, 4), (0, 6), (0, 7)]


def test_a_snapshot_may_be_said_in_another_form() -> None:
    template: dict[str, Any] = {
        "snapshot": '{"type":"snapshot","price":{{row.price}}}',
        "update": lambda row: {"type": "update", **row},
    }
    found = heard(Mock().replay(DF, time="at", by="symbol", snapshot="2s", template=template))
    assert [(at, each["type"], each["price"]) for at, each in found] == [
        (0, "snapshot", 3), (0, "snapshot", 4), (0, "snapshot", 5), (1, "update", 6), (3, "update", 7),
    ]  # fmt: skip


def test_a_key_that_is_asked_for_late_begins_with_the_snapshot_of_then() -> None:
    book = Mock().replay(DF, time="at", by="symbol", subscribe=SUB, snapshot=True)
    late = heard(book, [(1, {"op": "subscribe", "symbols": ["A"]}), (3.5, {"op": "subscribe", "symbols": ["B", "C"]})])
    assert prices(late) == [(1, 1), (2, 3), (3.5, 4), (3.5, 5), (4, 6), (6, 7)]


# Times that move


def test_times_are_moved_to_now_with_their_gaps() -> None:
    found = heard(Mock().replay(DF, time="at", rebase="now", speed=2))
    assert [(at, each["at"]) for at, each in found[:4]] == [
        (0, "2026-01-01T00:00:00.000Z"), (0, "2026-01-01T00:00:00.000Z"),
        (0.5, "2026-01-01T00:00:01.000Z"), (1, "2026-01-01T00:00:02.000Z"),
    ]  # fmt: skip


def test_times_go_on_in_each_round() -> None:
    found = heard(Mock().replay(DF[["at"]][:3], time="at", rebase="now", loop=3))
    assert [each["at"][17:-1] for _, each in found] == [
        "00.000", "00.000", "01.000", "01.500", "01.500", "02.500", "03.000", "03.000", "04.000"
    ]  # fmt: skip


def test_all_instants_move_and_nothing_else() -> None:
    table = pd.DataFrame(
        {
            "at": ["2024-01-01T00:00:00Z", "2024-01-01T00:00:01+01:00"],
            "zoned": pd.to_datetime(pd.Series(["2024-01-01", None])).dt.tz_localize("Europe/Berlin"),
            "python": [dt.datetime(2024, 1, 1, 1, tzinfo=dt.UTC), None],
            "text": ["2024-01-01", "x"],
            "n": [1, 2],
        }
    )
    first, second = (
        each for _, each in heard(Mock().replay(table, time="at", rebase="2025-01-01T00:00:00Z"), until="2h")
    )
    # The second row is the earlier one: its zone is an hour ahead.
    assert first == {"at": "2025-01-01T00:00:00.000Z", "zoned": None, "python": None, "text": "x", "n": 2}
    assert second["at"] == "2025-01-01T00:59:59.000Z"
    assert second["zoned"] == "2025-01-01T00:59:59.000+01:00"
    assert (second["python"], second["text"], second["n"]) == ("2025-01-01T01:59:59.000Z", "2024-01-01", 1)


@pytest.mark.parametrize(
    ("values", "unit", "moved"),
    [
        ([1_700_000_000, 1_700_000_002], None, [1_767_225_600, 1_767_225_602]),
        ([1_700_000_000_123, 1_700_000_000_623], None, [1_767_225_600_000, 1_767_225_600_500]),
        ([1_700_000_000.25, 1_700_000_000.75], "s", [1_767_225_600.25, 1_767_225_600.75]),
    ],
)
def test_numbers_since_1970_move_too(values: list[float], unit: str | None, moved: list[float]) -> None:
    for template in (None, lambda row: row):
        mock = Mock().replay(pd.DataFrame({"t": values}), time="t", unit=unit, rebase="now", template=template)
        found = [each["t"] for _, each in heard(mock)]
        assert [round(a - b, 3) for a, b in zip(found, moved, strict=True)] == [0, 0]


def test_functions_and_templates_are_given_moved_times() -> None:
    function = Mock().replay(DF, time="at", rebase="now", template=lambda row: {"year": row["at"].year})
    assert heard(function)[0] == (0, {"year": 2026})
    text = Mock().replay(DF, time="at", rebase="now", template='"{{row.at}}"')
    assert heard(text)[2] == (1, "2026-01-01T00:00:01.000Z")


def test_instants_go_on_in_each_round_also_at_a_rate() -> None:
    table = pd.DataFrame({"day": pd.to_datetime(["2024-01-01", "2024-01-03"])})
    found = heard(Mock().replay(table, rate=1, rebase="2026-01-01", loop=2))
    assert [m["day"][:10] for _, m in found] == ["2026-01-01", "2026-01-03", "2026-01-05", "2026-01-07"]


def test_a_dict_is_a_template_whose_values_keep_their_types() -> None:
    mock = Mock().replay(DF[:1], template={"type": "tick", "p": "{{row.price}}", "s": "{{row.symbol}}!"})
    assert heard(mock) == [(0, {"type": "tick", "p": 1, "s": "A!"})]
    lists = Mock().replay(DF, batch="1s", template={"data": "{{rows}}"})
    assert [len(m["data"]) for _, m in heard(lists)] == [7]
    assert heard(Mock().replay(DF[:1], template={"plain": True})) == [(0, {"plain": True})]


def test_what_cannot_be_moved_is_told() -> None:
    with pytest.raises(OptionError, match="rebase=: 'now' moves instants, and the table has none"):
        Script.from_frame(DF[["price"]], rate=1, rebase="now")
    with pytest.raises(OptionError, match=r"rebase=: 'soon' is no instant; valid: \"now\""):
        Script.from_frame(DF, time="at", rebase="soon")
    with pytest.raises(OptionError, match=r"pd.DataFrame\(rows\)"):
        Script.of([{"a": 1}], rebase="now")


# Windows


def test_the_rows_of_a_window_are_one_list_at_its_end() -> None:
    mock = Mock().replay(DF, time="at", batch="2s")
    assert prices(heard(mock)) == [(2, [1, 2, 3]), (4, [4, 5, 6]), (6, [7])]
    assert prices(heard(Mock().replay(DF, rate=2, batch=1))) == [(1, [1, 2]), (2, [3, 4]), (3, [5, 6]), (4, [7])]


def test_templates_are_given_the_rows_of_a_window() -> None:
    text = Mock().replay(DF, time="at", batch="2s", template='{"n":{{rows|length}},"data":{{rows}}}')
    assert [(each["n"], each["data"][-1]["price"]) for _, each in heard(text)] == [(3, 3), (3, 6), (1, 7)]
    function = Mock().replay(
        DF, time="at", batch="2s", template=lambda rows: {"n": len(rows), "first": rows[0]["price"]}
    )
    assert [each for _, each in heard(function)] == [{"n": 3, "first": 1}, {"n": 3, "first": 4}, {"n": 1, "first": 7}]
    with pytest.raises(ScriptError, match="template failed in row 0: KeyError"):
        Script.from_frame(DF, time="at", batch="2s", template=lambda rows: rows[0]["nothing"])


def test_windows_of_a_key_with_a_snapshot() -> None:
    mock = Mock().replay(DF, time="at", by="symbol", subscribe=SUB, snapshot=True, batch="2s")
    found = heard(mock, [(0, {"op": "subscribe", "symbols": ["A", "C"]})])
    assert prices(found) == [(0, [1, 5]), (2, [3]), (4, [6]), (6, [7])]


def test_lists_have_windows_too() -> None:
    rows = [{"v": value} for value in range(4)]
    assert [m for _, m in heard(Mock().replay(rows, rate=2, batch="1s"))] == [rows[:2], rows[2:]]
    mock = Mock().replay(rows, rate=2, batch="1s", template=lambda part: [row["v"] for row in part])
    assert [m for _, m in heard(mock)] == [[0, 1], [2, 3]]


# Subscriptions


def test_a_connection_gets_only_what_it_asks_for() -> None:
    ack = {"type": "subscriptions", "all": "{{state.subscribed}}", "named": "{{match.value}}", "id": "{{message.id}}"}
    mock = Mock().replay(DF, time="at", by="symbol", subscribe=SUB, unsubscribe=UNSUB, ack=ack)
    found = heard(
        mock,
        [
            (1, {"op": "subscribe", "symbols": ["A"], "id": 1}),
            (2.5, {"op": "subscribe", "symbols": ["B", "C"], "id": 2}),
            (4.5, {"op": "unsubscribe", "symbols": ["A"], "id": 3}),
        ],
    )
    acks = [(at, m["all"], m["named"], m["id"]) for at, m in found if "all" in m]
    assert acks == [(1, ["A"], ["A"], 1), (2.5, ["A", "B", "C"], ["B", "C"], 2), (4.5, ["B", "C"], ["A"], 3)]
    assert prices([(at, m) for at, m in found if "price" in m]) == [(1, 1), (2, 3), (3, 4), (3, 5), (4, 6), (6, 7)]


def test_nothing_comes_before_it_is_asked_for_and_all_for_a_star() -> None:
    mock = Mock().replay(DF, time="at", by="symbol", subscribe="$.symbols")
    assert heard(mock) == []
    assert prices(heard(mock, [(1, {"symbols": "*"})])) == [
        (1 + at, p) for at, p in prices(heard(Mock().replay(DF, time="at")))
    ]
    assert heard(mock, [(1, {"symbols": ["nothing", None, {}]}), (2, "no JSON"), (3, b"\xff")]) == []


def test_keys_may_come_from_a_function_of_the_message() -> None:
    def channels(message: Message) -> list[str] | None:
        value = message.json
        return [each.split("@")[0].upper() for each in value["params"]] if value["method"] == "SUBSCRIBE" else None

    ack = {"result": None, "id": "{{message.id}}"}
    mock = Mock().replay(DF, time="at", by="symbol", subscribe=channels, ack=ack)
    found = heard(mock, [(0, {"method": "SUBSCRIBE", "params": ["c@trade"], "id": 9}), (1, {"method": "LIST"})])
    assert found == [(0, {"result": None, "id": 9}), *[(at, m) for at, m in found[1:]]]
    assert prices(found[1:]) == [(2, 5), (5, 7)]


def test_a_function_that_returns_no_keys_is_the_authors_error() -> None:
    mock = Mock().replay(DF, time="at", by="symbol", subscribe=lambda message: object())
    with pytest.raises(Exception, match="is a object, and no key"):
        mock.simulate([(0, "x")])


def test_rules_come_before_subscriptions() -> None:
    mock = (
        Mock().when(json={"symbols": ["A"]}, reply='"mine"').replay(DF, time="at", by="symbol", subscribe="$.symbols")
    )
    assert heard(mock, [(0, {"symbols": ["A"]})]) == [(0, "mine")]


def test_all_rows_at_once_for_a_key_that_is_asked_for_late() -> None:
    mock = Mock().replay(DF, by="symbol", subscribe="$.s")
    assert [p for _, p in prices(heard(mock, [(0, {"s": ["A"]}), (1, {"s": ["B"]})]))] == [1, 3, 6, 2, 4]
    fast = Mock().replay(DF, time="at", by="symbol", subscribe="$.s", speed="max", then="close")
    assert prices(heard(fast, [(1, {"s": ["B", "C"]})])) == [(1, 2), (1, 4), (1, 5), (1, 7)]


def test_a_round_that_others_are_still_in_is_joined() -> None:
    mock = Mock().replay(DF, time="at", by="symbol", subscribe="$.s", loop=True)
    period = 5 + 5 / 6
    found = prices(heard(mock, [(0, {"s": ["B"]}), (2.5, {"s": ["A"]})], until="8s"))
    assert found == [
        (0, 2), (2, 4), (3, 6), (pytest.approx(period), 1), (pytest.approx(period), 2),
        (pytest.approx(period + 1), 3), (pytest.approx(period + 2), 4),
    ]  # fmt: skip


class Model:
    """What a connection should hear, said the slow way."""

    def __init__(self, rows: list[tuple[int, str]], snapshot: bool) -> None:
        self.rows, self.snapshot = rows, snapshot
        self.keys: set[str] = set()
        self.began: int | None = None
        self.early: set[int] = set()
        self.said: list[tuple[int, int]] = []

    def hear(self, now: int, on: bool, keys: list[str]) -> None:
        known = {key for _, key in self.rows}
        wanted = [key for key in dict.fromkeys(keys) if key in known]
        if on:
            new = [key for key in wanted if key not in self.keys]
            self.keys |= set(new)
            if new and self.began is None:
                self.began = now
            if self.snapshot and self.began is not None:
                head, heads = now - self.began, []
                for key in new:
                    mine = [i for i, (_, k) in enumerate(self.rows) if k == key]
                    past = [i for i in mine if self.rows[i][0] <= head]
                    heads.append(past[-1] if past else mine[0])
                    if not past:
                        self.early.add(mine[0])
                    # What is due at this very moment is history for who joins.
                    self.early |= {i for i in mine if self.rows[i][0] == head}
                self.said += [(now, i) for i in sorted(heads)]
        else:
            gone = set(wanted) & self.keys
            self.keys -= gone
            self.early -= {i for i, (_, key) in enumerate(self.rows) if key in gone}

    def pass_time(self, now: int) -> None:
        for i, (at, key) in enumerate(self.rows):
            if self.began is not None and at == now - self.began and key in self.keys and i not in self.early:
                self.said.append((now, i))


@settings(max_examples=150, deadline=None)
@given(
    rows=st.lists(st.tuples(st.integers(0, 9), st.sampled_from("ABCD")), min_size=2, max_size=12),
    says=st.lists(
        st.tuples(st.integers(0, 12), st.booleans(), st.lists(st.sampled_from("ABCDE"), min_size=1, max_size=3)),
        max_size=6,
        unique_by=lambda said: said[0],
    ),
    snapshot=st.booleans(),
)
def test_a_connection_hears_what_a_slow_model_says(
    rows: list[tuple[int, str]], says: list[tuple[int, bool, list[str]]], snapshot: bool
) -> None:
    rows = [(0, "A"), *sorted(rows, key=lambda row: row[0]), (10, "B")]  # so that it has times, from 0 on
    table = pd.DataFrame({"t": [float(at) for at, _ in rows], "k": [key for _, key in rows], "i": range(len(rows))})
    says = sorted(says, key=lambda said: said[0])
    mock = Mock().replay(table, time="t", by="k", subscribe="$.on", unsubscribe="$.off", snapshot=snapshot or None)
    found = [(at, m["i"]) for at, m in heard(mock, [(at, {"on" if on else "off": keys}) for at, on, keys in says])]
    model = Model(rows, snapshot)
    for now in range(30):
        for at, on, keys in says:
            if at == now:
                model.hear(now, on, keys)
        model.pass_time(now)
    assert sorted(found) == sorted(model.said)
    assert [at for at, _ in found] == sorted(at for at, _ in found)


# Large tables, from disk


@pytest.fixture
def tiny_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(arrow, "IN_MEMORY", 0)
    monkeypatch.setattr("mockforge_nb.generators.stored.PART_ROWS", 3)


@pytest.mark.usefixtures("tiny_memory")
@pytest.mark.parametrize(
    "options",
    [
        {"by": "symbol", "snapshot": "2s"},
        {"by": "symbol", "snapshot": True, "rebase": "now"},
        {"rebase": "now", "batch": "2s"},
        {"by": "symbol", "subscribe": "$.s", "batch": "1s", "template": lambda rows: [row["price"] for row in rows]},
        {"by": "symbol", "subscribe": "$.s", "rebase": "now", "template": '["{{row.at}}",{{row.price}}]'},
        {"by": "symbol", "subscribe": "$.s", "template": lambda row: {"p": row["price"], "at": str(row["at"])}},
        {"rebase": "2025-05-05", "template": lambda row: {"at": str(row["at"])}},
    ],
)
def test_a_table_on_disk_is_cut_as_one_in_memory(options: dict[str, Any], tmp_path: Path) -> None:
    says = [(0.5, {"s": ["C"]}), (2.6, {"s": ["A"]})]
    path = tmp_path / "rows.parquet"
    DF.to_parquet(path)
    stored = heard(Mock().replay(path, time="at", **options), says)
    assert stored == heard(Mock().replay(DF, time="at", **options), says)
    assert stored


def test_other_libraries_tables_have_keys(tmp_path: Path) -> None:
    stocks = data.stocks()
    mock = Mock().route(
        "/{symbol}", Mock().replay(pa.Table.from_pandas(stocks), time="date", by="symbol", duration="1s")
    )
    assert len(heard(mock, path="/GOOG")) == (stocks.symbol == "GOOG").sum()


# Wrong input


@pytest.mark.parametrize(
    ("options", "problem"),
    [
        ({"by": "symbl"}, r"by: 'symbl' is no column; did you mean 'symbol'"),
        ({"by": 3}, r"by=: 3 is no text; valid: a column's name in a message, such as '3'"),
        ({"snapshot": True}, r"snapshot=: True is of the latest row of each key; say by='symbol'"),
        ({"by": "symbol", "snapshot": "yesterday"}, r"snapshot=: 'yesterday' is neither True nor a time"),
        ({"by": "symbol", "snapshot": [1]}, r"snapshot=: \[1\] is neither True nor a time"),
        (
            {"by": "symbol", "snapshot": "99s"},
            r"is not within the table's times; valid: from 2024-01-01T00:00:00Z to ",
        ),
        ({"by": "symbol", "snapshot": "2023-01-01"}, r"is not within the table's times"),
        ({"batch": 0}, r"batch=: 0 is no window of time"),
        ({"batch": 1e300}, r"batch=: 1e\+300 is no window of time"),
        ({"batch": "soon"}, r"batch=: 'soon' is no duration"),
        ({"subscribe": "$.s"}, r"by=: None is missing, and subscribe= needs keys"),
        ({"ack": "ok"}, r"ack=: 'ok' goes with subscribe="),
        (
            {"by": "symbol", "subscribe": "symbols"},
            r"subscribe=: 'symbols' does not say where the keys are; valid: a JSONPath",
        ),
        ({"by": "symbol", "subscribe": "$.["}, r"subscribe=: '\$\.\[' is no JSONPath"),
        ({"by": "symbol", "subscribe": ("$.a", "$.b", "$.c")}, r"is no pattern and a path"),
        (
            {"by": "symbol", "subscribe": "$.s", "unsubscribe": "$.s"},
            r"takes the same messages as subscribe=; tell them apart",
        ),
        ({"template": {"update": "x", "snapshot": "y"}}, r"there is no snapshot; say snapshot=True"),
        (
            {"by": "symbol", "snapshot": True, "template": {"first": str}},
            r"has no JSON form: .*for each of",
        ),
        ({"by": "symbol", "template": 5}, r"template: 5 is neither a text nor a function"),
    ],
)
def test_what_does_not_go_is_told_at_the_call(options: dict[str, Any], problem: str) -> None:
    with pytest.raises(OptionError, match=problem):
        Script.from_frame(DF, time="at", **options)


def test_more_that_is_told() -> None:
    with pytest.raises(OptionError, match="has values that are no keys"):
        Script.from_frame(pd.DataFrame({"k": [{"a": 1}]}), by="k")
    with pytest.raises(TemplateError):
        Script.from_frame(DF, by="symbol", subscribe="$.s", ack="{{nothing here}}")
    with pytest.raises(TemplateError, match="no column 'prise'"):
        Script.from_frame(DF, by="symbol", template="{{row.prise}}")
    with pytest.raises(OptionError, match=r"snapshot=: '2024-01-01' is an instant, and the rows are due at offsets"):
        Script.from_frame(pd.DataFrame({"t": [0, 1], "k": ["a", "b"]}), time="t", by="k", snapshot="2024-01-01")


def test_whole_numbers_are_keys_however_they_are_written() -> None:
    table = pd.DataFrame({"id": [1.0, 2.0, None, 1.0, float("inf")], "i": range(5)})
    mock = Mock().replay(table, by="id", subscribe="$.ids", ack="{{state.subscribed}}")
    for asked in ([1], [1.0], ["1"], ["1.0"]):
        rows = mock.simulate([(0, {"ids": asked})]).df
        assert [json.loads(text) for text in rows[rows.direction == "out"].text] == [
            ["1"], {"id": 1.0, "i": 0}, {"id": 1.0, "i": 3},
        ]  # fmt: skip
    versions = pd.DataFrame({"v": ["1", "1.0"], "i": range(2)})
    assert len(heard(Mock().route("/{v}", Mock().replay(versions, by="v")), path="/1.0")) == 1


@pytest.mark.parametrize("keys", ["[NaN]", "[1e999]", "[" * 900 + "]" * 900, "{}", "null", '[{"a": 1}, null]', "[[]]"])
def test_what_is_no_key_is_nobodys_error(keys: str) -> None:
    mock = Mock().replay(DF, time="at", by="symbol", subscribe=("$.op == 'sub'", "$.s"))
    found = heard(mock, [(0, f'{{"op": "sub", "s": {keys}}}'), (1, {"op": "sub", "s": ["C"]})])
    assert prices(found) == [(3, 5), (6, 7)], "the connection lives, and hears what it asks for later"


def test_instants_that_stand_for_never_stay_and_far_centuries_move() -> None:
    table = pd.DataFrame({"t": np.array(["2024-01-01", "2024-01-02"], "M8[us]")})
    table["until"] = np.array(["9999-12-31", "2024-01-03"], "M8[us]")
    for template in (None, lambda row: {"until": str(row["until"])[:10]}):
        mock = Mock().replay(table, time="t", rebase="2031-01-01", template=template)
        assert [m["until"][:10] for _, m in heard(mock, until="2d")] == ["9999-12-31", "2031-01-03"]
    old = pd.DataFrame({"t": np.array(["1500-01-01", "1500-01-02"], "M8[s]")})
    assert [m["t"] for _, m in heard(Mock().replay(old, time="t", rebase="2030-01-01"), until="2d")] == [
        "2030-01-01T00:00:00.000Z", "2030-01-02T00:00:00.000Z",
    ]  # fmt: skip


@pytest.mark.usefixtures("tiny_memory")
def test_keys_on_disk_are_written_as_their_messages(tmp_path: Path) -> None:
    stamps = pd.to_datetime(["2024-01-01"] * 4 + ["2024-01-01T00:00:00.500"] * 2 + ["2024-01-01"] * 3, format="ISO8601")
    pd.DataFrame({"day": stamps, "i": range(9)}).to_parquet(tmp_path / "days.parquet")
    mock = Mock().route("/{day}", Mock().replay(tmp_path / "days.parquet", by="day"))
    assert [m["i"] for _, m in heard(mock, path="/2024-01-01T00:00:00.000Z")] == [0, 1, 2, 3, 6, 7, 8]


def test_a_duration_is_of_what_is_played() -> None:
    mock = Mock().replay(DF, time="at", by="symbol", snapshot="2s", duration="1s")
    assert prices(heard(mock))[-1] == (pytest.approx(1), 7)
    assert Script.from_frame(DF, time="at", by="symbol", snapshot="2s").duration == 3


def test_subscriptions_go_on_while_another_mock_waits_for_the_end() -> None:
    old = Mock().replay(DF, time="at", by="symbol", subscribe="$.s", ack="ok", speed=20)
    with old.serve(port=0) as server, server.client() as client:
        client.send({"s": ["A"]})
        assert client.recv() == "ok"
        server.update(Mock().echo(), running="finish")
        client.send({"s": ["C"]})
        answers = [client.recv() for _ in range(6)]
        assert "ok" in answers
        assert sum('"C"' in each for each in answers) == 2
        client.send("echoed")
        assert client.recv() == "echoed"


def test_many_changes_of_one_read_are_one(monkeypatch: pytest.MonkeyPatch) -> None:
    from mockforge_nb.core.cuts import View

    changes: list[object] = []
    change = View.change

    def noted(self: View, keys: frozenset[str], *rest: Any) -> Any:
        changes.append(keys)
        return change(self, keys, *rest)

    monkeypatch.setattr(View, "change", noted)
    mock = Mock().replay(DF, time="at", by="symbol", subscribe="$.on", unsubscribe="$.off", ack="ok")
    [(_, plan)] = mock._plans(PathPattern.parse("/ws", ""))
    session = Session(plan, Identity(1))
    session.handle(Opened(), 0.0)
    session.handle(Received([(1, [b'{"on":["A"]}'])]), 0.0)
    flood = [b'{"off":["A"]}', b'{"on":["A"]}', b'{"on":["B"]}'] * 100
    out = session.handle(Received([(1, flood)]), 0.5)
    assert sum(isinstance(each, Send) for each in out) == 300, "each is acknowledged"
    assert changes == [frozenset("AB")]


def test_a_million_rows_are_seen_by_a_thousand_connections_in_little_memory() -> None:
    count = 200_000
    table = pd.DataFrame({"k": [f"k{i % 500}" for i in range(count)], "i": range(count)})
    table["t"] = pd.Timestamp("2024-01-01") + pd.to_timedelta(range(count), unit="ms")
    mock = Mock().replay(table, time="t", by="k", subscribe="$.s", snapshot=True, rebase="now")
    [(_, plan)] = mock._plans(PathPattern.parse("/ws", ""))
    sessions = []
    tracemalloc.start()
    try:
        for number in range(100):
            session = Session(plan, Identity(1, epoch_ns=number * 1_000_000_007))
            session.handle(Opened(), 0.0)
            session.handle(Received([(1, [b'{"s":"*"}'])]), 0.0)
            sessions.append(session)
        first, _ = tracemalloc.get_traced_memory()
        for number in range(100, 200):
            session = Session(plan, Identity(1, epoch_ns=number * 1_000_000_007))
            session.handle(Opened(), 0.0)
            session.handle(Received([(1, [b'{"s":"*"}'])]), 0.0)
            sessions.append(session)
        second, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert (second - first) / 100 < 400_000, "the frames on their way, not the table"


def test_a_script_that_is_cut_says_what_it_cannot_do(tmp_path: Path) -> None:
    script = Script.from_frame(DF, time="at", by="symbol", subscribe="$.s")
    for change in (
        lambda: script.map(str), lambda: script[:2], lambda: script + script, lambda: Script() + script,
        lambda: script.to_frame(), lambda: script.play_against("ws://127.0.0.1:1"),
        lambda: script.save(tmp_path / "x.jsonl"), lambda: script.shift(5),
    ):  # fmt: skip
        with pytest.raises(ScriptError, match="each connection is played a part of it"):
            change()
    with pytest.raises(OptionError, match="is cut to each connection"):
        Mock().when("x", script)
    assert len(script) == 7
    assert "7 steps in 5 s" in repr(script)


def test_a_faster_script_is_cut_the_same() -> None:
    script = Script.from_frame(DF, time="at", by="symbol", snapshot="2s", batch="2s").speed(2)
    assert prices(heard(Mock().replay(script))) == [(0, [3, 4, 5]), (1, [6]), (2, [7])]
