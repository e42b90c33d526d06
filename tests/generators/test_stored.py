"""Tables that come as Arrow batches: in memory or, where they are large, from disk, they play the same."""

from __future__ import annotations

import datetime as dt
import gc
import json
import os
import subprocess
import sys
import textwrap
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from vega_datasets import data

from mockforge_nb import Mock, OptionError, Script, ScriptError
from mockforge_nb.core.routes import PathPattern
from mockforge_nb.generators import arrow, stored
from mockforge_nb.pytest_plugin import WsMock

STOCKS = data.stocks().sort_values("date", kind="stable").reset_index(drop=True)


@pytest.fixture
def large(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let every table be too large for memory, and its parts be small."""
    monkeypatch.setattr(arrow, "IN_MEMORY", -1)
    monkeypatch.setattr(stored, "PART_ROWS", 7)
    monkeypatch.setattr(stored, "TIMES_PART", 5)


def said(script: Script) -> list[bytes]:
    return list(script.program.payloads(0, len(script)))


def stream(table: pa.Table, rows: int = 3) -> pa.RecordBatchReader:
    return pa.RecordBatchReader.from_batches(table.schema, table.to_batches(max_chunksize=rows))


@pytest.mark.parametrize("suffix", arrow.OPENERS)
def test_files_of_each_kind_play_as_the_table_that_they_hold(tmp_path: Path, suffix: str, ws_mock: WsMock) -> None:
    path = tmp_path / f"stocks{suffix}"
    table = pa.Table.from_pandas(STOCKS, preserve_index=False)
    if suffix == ".parquet":
        pq.write_table(table, path)
    elif suffix in (".csv", ".tsv"):
        STOCKS.to_csv(path, index=False, sep="," if suffix == ".csv" else "\t")
    elif suffix == ".feather":
        STOCKS.to_feather(path)
    else:
        with pa.ipc.new_stream(path, table.schema) as writer:
            writer.write_table(table)
    wanted = Script.from_frame(STOCKS, columns=["symbol", "price"], time="date")
    loaded = Script.load(path, columns=["symbol", "price"], time="date")
    assert said(loaded) == said(wanted)
    assert list(loaded.program.at) == list(wanted.program.at)
    server = ws_mock(Mock().replay(path, columns=["symbol", "price"], speed="max", then="close"))
    with server.client() as client:
        assert [json.loads(text)["symbol"] for text in client.drain()] == STOCKS.symbol.tolist()


def test_a_folder_of_parquet_files_is_one_table(tmp_path: Path) -> None:
    for number, half in enumerate((STOCKS[:200], STOCKS[200:])):
        half.to_parquet(tmp_path / f"part-{number}.parquet")
    assert said(Script.load(tmp_path)) == said(Script.from_frame(STOCKS))


def test_whole_numbers_and_booleans_stay_such_where_there_are_gaps() -> None:
    table = pa.table({"n": pa.array([1, None, 2**60]), "ok": pa.array([True, None, False]), "x": [1.0, 2.5, None]})
    assert said(Script.from_frame(table)) == [
        b'{"n":1,"ok":true,"x":1.0}', b'{"n":null,"ok":null,"x":2.5}', b'{"n":1152921504606846976,"ok":false,"x":null}',
    ]  # fmt: skip


@pytest.mark.usefixtures("large")
@pytest.mark.parametrize(
    "options",
    [
        {},
        {"time": "date"},
        {"rate": 20},
        {"columns": ["price", "date"]},
        {"template": "{{row.symbol}}={{row.price}}"},
        {"template": lambda row: {"s": row["symbol"], "day": row["date"].day}},
        {"template": "the same each time"},
    ],
    ids=str,
)
def test_a_stored_table_plays_as_one_in_memory(options: dict[str, Any], ws_mock: WsMock) -> None:
    wanted = Script.from_frame(STOCKS, **options)
    found = Script.from_frame(stream(pa.Table.from_pandas(STOCKS, preserve_index=False)), **options)
    assert isinstance(getattr(found.program.steps, "_rows", found.program.steps), stored.StoredRows)
    assert list(found.program.at) == list(wanted.program.at)
    assert found.program.period == wanted.program.period
    if not isinstance(options.get("template"), str):
        assert said(found) == said(wanted)
        assert [found[i].payload for i in (0, 6, 7, 559)] == [wanted[i].payload for i in (0, 6, 7, 559)]
    server = ws_mock(Mock().replay(found, speed="max", then="close"))
    peer = ws_mock(Mock().replay(wanted, speed="max", then="close"))
    with server.client() as one, peer.client() as other:
        assert one.drain() == other.drain()
    assert server.traffic.df.text.tolist()[1:-1] == peer.traffic.df.text.tolist()[1:-1]


@pytest.mark.usefixtures("large")
def test_a_stored_table_is_played_by_its_times_shared_and_in_a_loop() -> None:
    table = pa.table({"t": pa.array([0, 100, 250, 250, 900], pa.duration("ms")), "i": range(5)})
    mock = Mock().replay(Script.from_frame(stream(table, 2), time="t", columns=["i"]), loop=True, shared=True)
    df = mock.simulate(until="2.4s").select(direction="out").df
    assert [json.loads(text)["i"] for text in df.text] == [0, 1, 2, 3, 4, 0, 1, 2, 3, 4, 0, 1]
    assert df.elapsed.round(3).tolist() == [0, 0.1, 0.25, 0.25, 0.9, 1.125, 1.225, 1.375, 1.375, 2.025, 2.25, 2.35]


@pytest.mark.usefixtures("large")
def test_instants_have_as_many_digits_in_each_part() -> None:
    day = dt.datetime(2024, 1, 15, tzinfo=dt.UTC)
    table = pa.table({"at": [day, day, day + dt.timedelta(milliseconds=5)], "n": [1, 2, 3]})
    texts = said(Script.from_frame(stream(table, 1)))
    assert [json.loads(text)["at"] for text in texts] == [
        "2024-01-15T00:00:00.000Z", "2024-01-15T00:00:00.000Z", "2024-01-15T00:00:00.005Z",
    ]  # fmt: skip


INSTANTS = st.lists(st.integers(0, 2**40), min_size=2, max_size=40).map(sorted)


@pytest.mark.usefixtures("large")
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=60, deadline=None)
@given(INSTANTS, st.integers(1, 9), st.sampled_from(["int64", "float64", "timestamp[us, tz=UTC]", "duration[ms]"]))
@example([0, 576460752305], 1, "duration[ms]")
def test_times_from_disk_are_those_from_memory(values: list[int], rows: int, kind: str) -> None:
    numbers: pa.Array = pa.array(values, pa.int64())
    types = {"timestamp[us, tz=UTC]": pa.timestamp("us", "UTC"), "duration[ms]": pa.duration("ms")}
    column = numbers.cast(types[kind]) if kind in types else numbers.cast(kind)
    table = pa.table({"t": column})
    wanted = Script.from_frame(arrow.to_frame(table), time="t").program
    found = Script.from_frame(stream(table, rows), time="t").program
    assert list(found.at) == list(wanted.at)
    assert list(found.at[1:-1]) == list(wanted.at[1:-1])
    assert found.at[-1] == wanted.at[-1]
    assert found.period == wanted.period


@pytest.mark.usefixtures("large")
@pytest.mark.parametrize(
    ("columns", "options", "problem"),
    [
        ({"t": [1.0, 3.0, 2.0]}, {"time": "t"}, "'t' goes back in row 2; a table of this size is played as it stands"),
        ({"t": [1.0, None, 2.0]}, {"time": "t"}, "'t' has no time in row 1"),
        ({"t": [1.0, float("inf")]}, {"time": "t"}, "'t' is infinite in row 1"),
        ({"t": [-1.0, 1.0]}, {"time": "t"}, "'t' is negative in row 0"),
        ({"raw": [b"x"]}, {}, "has no JSON form"),
        ({"t": [1.0]}, {"time": "tt"}, "is no column"),
        ({"t": [1.0]}, {"columns": ["x"]}, "is no column"),
        ({"t": [1.0]}, {"template": "{{row.x}}"}, "x"),
    ],
    ids=str,
)
def test_what_is_wrong_with_a_stored_table_names_the_place(
    columns: dict[str, Any], options: dict[str, Any], problem: str
) -> None:
    with pytest.raises((OptionError, ScriptError, ValueError)) as caught:
        Script.from_frame(stream(pa.table(columns), 1), **options)
    assert problem in str(caught.value)


@pytest.mark.parametrize("suffix", [".parquet", ".feather", ".arrow", ".csv"])
def test_a_broken_file_is_one_clear_error(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"broken{suffix}"
    path.write_bytes(b"" if suffix == ".csv" else b"\x00garbage")
    with pytest.raises(ScriptError, match=rf"broken\{suffix}: it cannot be read: "):
        Script.load(path)
    with pytest.raises(FileNotFoundError, match="there is no such file"):
        Script.load(tmp_path / f"none{suffix}")


def test_a_csv_whose_types_change_is_told_with_its_name(tmp_path: Path) -> None:
    path = tmp_path / "odd.csv"
    path.write_text("n\n" + "1\n" * 600_000 + "x\n")
    with pytest.raises(ScriptError, match=r"odd\.csv: it cannot be read: .*conversion error to int64"):
        Script.load(path)


def test_a_table_of_steps_is_steps_in_a_file_too(tmp_path: Path) -> None:
    script = Script().send("a {{uuid}}", id="first").wait("^x$").send("b", after=0.5)
    script.to_frame().to_parquet(tmp_path / "steps.parquet")
    assert Script.load(tmp_path / "steps.parquet") == script


@pytest.mark.usefixtures("large")
def test_the_temporary_files_go_with_the_script() -> None:
    def handles() -> Iterator[str]:
        for handle in Path("/proc/self/fd").iterdir():
            try:
                target = os.readlink(handle)
            except OSError:
                continue
            if "(deleted)" in target:
                yield target

    if not Path("/proc/self/fd").exists():
        pytest.skip("no /proc here")
    gc.collect()  # what other tests left
    before = len(list(handles()))
    script = Script.from_frame(stream(pa.table({"t": [1.0, 2.0]})), time="t")
    assert len(list(handles())) == before + 2
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        del script
        gc.collect()
    assert len(list(handles())) == before


@pytest.mark.skipif(sys.platform != "linux", reason="the memory of a process as Linux tells it")
def test_a_parquet_file_larger_than_the_log_is_played_in_bounded_memory(tmp_path: Path) -> None:
    code = textwrap.dedent(
        """
        import sys
        import numpy as np, pyarrow as pa, pyarrow.parquet as pq
        rng = np.random.default_rng(1)
        path, rows = sys.argv[1], 400_000
        schema = pa.schema([("t", pa.timestamp("us")), *((name, pa.float64()) for name in "abcdefgh")])
        with pq.ParquetWriter(path, schema, compression="none") as writer:
            for part in range(10):
                times = pa.array(np.arange(part * rows, (part + 1) * rows) * 1000).cast(pa.timestamp("us"))
                writer.write_table(pa.table([times, *(pa.array(rng.random(rows)) for _ in "abcdefgh")], schema=schema))
        """
    )
    path = tmp_path / "large.parquet"
    subprocess.run([sys.executable, "-c", code, str(path)], check=True)
    assert path.stat().st_size > 256 * 2**20
    play = textwrap.dedent(
        """
        import asyncio, sys
        from mockforge_nb import Mock

        server = Mock().replay(sys.argv[1], time="t", speed="max", then="close").serve(port=0)

        async def drain():
            reader, writer = await asyncio.open_connection("127.0.0.1", server.port, limit=2**20)
            writer.write(b"GET /ws HTTP/1.1\\r\\nHost: x\\r\\nUpgrade: websocket\\r\\nConnection: Upgrade\\r\\n"
                b"Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\\r\\nSec-WebSocket-Version: 13\\r\\n\\r\\n")
            total, last = 0, b""
            while (data := await reader.read(2**18)):
                total, last = total + len(data), (last + data)[-4:]
                if last == b"\\x88\\x02\\x03\\xe8":
                    break
            writer.close()
            return total

        total = asyncio.run(drain())
        server.stop()
        (row,) = server.connections.df.to_dict("records")
        # Not getrusage: its maximum has the memory of the process that this one was forked from.
        with open("/proc/self/status") as status:
            peak = next(line.split()[1] for line in status if line.startswith("VmHWM"))
        print(row["messages_out"], total, int(peak) // 1024)
        """
    )
    ran = subprocess.run(
        [sys.executable, "-c", play, str(path)], check=True, capture_output=True, text=True, timeout=300
    )
    messages, total, peak = map(int, ran.stdout.split())
    assert messages == 4_000_000
    assert total > 600 * 2**20
    assert peak < 300


def test_a_pickled_mock_reads_its_file_again(tmp_path: Path) -> None:
    import pickle

    STOCKS.to_parquet(tmp_path / "stocks.parquet")
    mock = Mock().replay(tmp_path / "stocks.parquet", time="date", speed="max")
    again = pickle.loads(pickle.dumps(mock))
    assert again == mock
    assert again._plans(PathPattern.parse("/ws", ""))
    assert isinstance(pd.read_parquet(tmp_path / "stocks.parquet"), pd.DataFrame)
