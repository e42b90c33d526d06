"""Tables of the libraries that people have: they play as the same DataFrame does."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import duckdb
import pandas as pd
import polars as pl
import pyarrow as pa
import pyarrow.csv
import pyarrow.dataset
import pyarrow.feather
import pytest
from vega_datasets import data

from mockforge_nb import Mock, Script
from mockforge_nb.generators import arrow

STOCKS = data.stocks()[::7].reset_index(drop=True)
WANTED = [json.loads(message) for message in Script.from_frame(STOCKS, time="date").preview(1000).message]


def folder(table: pa.Table, at: Path) -> Path:
    pyarrow.dataset.write_dataset(table, at / "folder", format="parquet", max_rows_per_file=30, max_rows_per_group=10)
    return at / "folder"


def written(write: Callable[[Any, str], Any], name: str) -> Callable[[pa.Table, Path], Path]:
    def path(table: pa.Table, at: Path) -> Path:
        write(table, str(at / name))
        return at / name

    return path


SOURCES: dict[str, Callable[[pa.Table, Path], Any]] = {
    "polars": lambda table, at: pl.from_arrow(table),
    "polars lazy, collected": lambda table, at: pl.DataFrame(pl.from_arrow(table)).lazy().collect(),
    "duckdb relation": lambda table, at: duckdb.from_arrow(table),
    "duckdb sql": lambda table, at: duckdb.sql("select * from stocks", params=None),
    "pyarrow": lambda table, at: table,
    "pyarrow reader": lambda table, at: table.to_reader(max_chunksize=10),
    "csv": written(pyarrow.csv.write_csv, "stocks.csv"),
    "feather": written(pyarrow.feather.write_feather, "stocks.feather"),
    "folder": folder,
}


@pytest.mark.parametrize("where", ["in memory", "on disk"])
@pytest.mark.parametrize("source", SOURCES)
def test_they_play_as_the_dataframe(source: str, where: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    stocks = STOCKS.sort_values("date", kind="stable")
    if where == "on disk":
        monkeypatch.setattr(arrow, "IN_MEMORY", 0)
    duckdb.register("stocks", stocks)
    table = pa.Table.from_pandas(stocks, preserve_index=False)
    replay = Mock().replay(SOURCES[source](table, tmp_path), time="date", speed="max")
    rows = replay.simulate().df
    found = [json.loads(text) for text in rows[rows.direction == "out"].text]
    key = lambda row: (row["date"], row["symbol"])  # noqa: E731  # rows of one day may come in any order
    assert sorted(found, key=key) == sorted(WANTED, key=key)


def test_sql_by_key_in_windows() -> None:
    duckdb.register("stocks", STOCKS)
    relation = duckdb.sql("select symbol, date, price * 2 as double from stocks where price > 100 order by date")
    replay = Mock().replay(relation, time="date", by="symbol", batch="365d", rebase="2026-01-01", duration="1s")
    mock = Mock().route("/{symbol}", replay)
    rows = mock.simulate(path="/GOOG").df
    found = [row for text in rows[rows.direction == "out"].text for row in json.loads(text)]
    wanted = STOCKS[(STOCKS.symbol == "GOOG") & (STOCKS.price > 100)].sort_values("date")
    assert [row["double"] for row in found] == (wanted.price * 2).tolist()
    gaps = pd.Series([pd.Timestamp(row["date"]) for row in found]).diff()[1:]
    assert gaps.tolist() == wanted.date.diff()[1:].tolist()
