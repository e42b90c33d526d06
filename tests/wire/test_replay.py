"""Replays over real sockets: in order, and never early."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from vega_datasets import data
from websockets.exceptions import ConnectionClosedOK

from mockforge_nb import Mock, MockServer
from mockforge_nb.pytest_plugin import WsMock

from .raw import ended, rows

MIB = 2**20


def opened_at(server: MockServer, connection: int) -> float:
    """Return when a connection's script began, on the clock that the client has too."""
    wire = server.listener.connections[connection - 1]
    assert wire.record is not None
    return (wire.record.opened_ns - server.listener.epoch_ns) / 1e9


def received(server: MockServer) -> list[tuple[float, str]]:
    """Return what a new client gets until the server closes, with the times."""
    got = []
    with server.client() as client:
        try:
            while True:
                got.append((0.0, str(client.recv(30))))
                got[-1] = (time.monotonic(), got[-1][1])
        except ConnectionClosedOK:
            return got


def test_a_real_table_with_latency_comes_in_order_and_never_early(ws_mock: WsMock) -> None:
    prices = data.stocks()
    server = ws_mock(Mock().seed(1).latency((5, 60)).replay(prices, time="date", duration="1s", then="close"))
    got = received(server)
    ended(server)
    wanted = prices.sort_values("date", kind="stable")
    assert [json.loads(text)["price"] for _, text in got] == wanted["price"].to_list()
    assert [json.loads(text)["symbol"] for _, text in got] == wanted["symbol"].to_list()
    out = server.traffic.select(direction="out", opcode="text").df
    assert len(out) == len(got) == 560
    assert out["delay_ms"].between(5, 60).all()
    start = opened_at(server, 1)
    due = start + out["due_ms"] / 1000
    assert all(now >= when - 1e-6 for (now, _), when in zip(got, due, strict=True))
    days = wanted["date"] - wanted["date"].iloc[0]
    asked = (days / days.iloc[-1] * 1000).to_numpy() + out["delay_ms"].to_numpy()
    assert abs(out["due_ms"].to_numpy() - asked).max() < 1e-3
    logged = (out["time"] - pd.Timestamp(server.connections.df["opened"].iloc[0])) / pd.Timedelta("1ms")
    assert (logged - out["due_ms"] > -1e-3).all()
    assert rows(server)[-2:] == [("out", "close", 1000), ("in", "close", 1000)]


def test_messages_due_at_once_arrive_within_one_latency(ws_mock: WsMock) -> None:
    server = ws_mock(Mock().latency((20, 200)).replay([f"{n}" for n in range(100)], speed="max", then="close"))
    assert [text for _, text in received(server)] == [str(n) for n in range(100)]
    out = server.traffic.select(direction="out", opcode="text").df
    assert out["due_ms"].max() <= 200


@pytest.mark.parametrize("options", [{"rate": 200}, {"rate": 20, "speed": 10}, {"rate": 1, "duration": "95ms"}])
def test_rate_speed_and_duration_space_the_messages(ws_mock: WsMock, options: dict[str, Any]) -> None:
    server = ws_mock(Mock().replay([f"{n}" for n in range(20)], then="close", **options))
    got = received(server)
    start = opened_at(server, 1)
    assert [text for _, text in got] == [str(n) for n in range(20)]
    assert all(now - start >= n * 0.005 - 1e-6 for n, (now, _) in enumerate(got))
    assert server.traffic.select(opcode="text").df["due_ms"].to_list() == pytest.approx([n * 5 for n in range(20)])


def test_a_delay_in_a_file_is_never_shorter_than_asked(ws_mock: WsMock, tmp_path: Path) -> None:
    path = tmp_path / "feed.jsonl"
    path.write_text("".join(json.dumps({"ts": ts, "text": str(ts)}) + "\n" for ts in (0, 1, 17, 33, 34, 80)))
    server = ws_mock(Mock().replay(str(path), then="close"))
    for connection in range(1, 6):
        got = received(server)
        start = opened_at(server, connection)
        assert [text for _, text in got] == ["0", "1", "17", "33", "34", "80"]
        assert all(now - start >= int(text) / 1000 for now, text in got)


def test_loop_plays_it_that_many_times(ws_mock: WsMock) -> None:
    server = ws_mock(Mock().replay(["a", "b"], rate=500, loop=2, then="close"))
    assert [text for _, text in received(server)] == ["a", "b", "a", "b"]
    assert server.traffic.select(opcode="text").df["due_ms"].to_list() == pytest.approx([0, 2, 4, 6])


def test_without_then_the_connection_stays_open(ws_mock: WsMock) -> None:
    server = ws_mock(Mock().replay(["a"]))
    with server.client() as client:
        assert client.recv() == "a"
        assert server.send("pushed") == 1
        assert client.recv() == "pushed"
        assert server.connections[0].open


def test_who_joins_a_shared_replay_late_gets_what_is_not_past(ws_mock: WsMock) -> None:
    steps = [{"ts": n * 40, "text": str(n)} for n in range(12)]
    server = ws_mock(Mock().replay(steps, shared=True, then="close"))
    with server.client() as first:
        early = [first.recv() for _ in range(3)]
        late = received(server)
        early += first.drain()
    assert early == [str(n) for n in range(12)]
    assert [text for _, text in late] == early[len(early) - len(late) :]
    assert len(late) < 12


def test_a_step_waits_for_its_client(ws_mock: WsMock) -> None:
    server = ws_mock(Mock().replay([{"text": "go on", "waitFor": "^ACK$"}, {"text": "done"}], then="close"))
    with server.client() as client:
        client.send("NACK")
        client.send("ACK")
        assert client.recv() == "go on"
        assert client.recv() == "done"


def test_templates_under_a_seed_and_a_clock_are_the_same_on_every_run(ws_mock: WsMock) -> None:
    text = "{{uuid}} {{now}} {{now+1h}} {{randInt 1 1000}}"
    steps = [{"ts": ts, "text": text} for ts in (0, 5, 10)]
    mock = Mock().replay(steps, then="close").latency((1, 20)).seed(42).clock("2024-01-15T10:30:00Z")
    runs = []
    for _ in range(2):
        server = ws_mock(mock)
        texts = [[text for _, text in received(server)] for _ in range(2)]
        ended(server, 2)
        out = server.traffic.select(direction="out", opcode="text").df
        runs.append((texts, out[["time", "due_ms", "delay_ms"]].to_dict("list")))
    assert runs[0] == runs[1]
    (first, second), _ = runs[0]
    assert first[0].split()[1:3] == ["2024-01-15T10:30:00.000Z", "2024-01-15T11:30:00.000Z"]
    assert first[1].split()[1] == "2024-01-15T10:30:00.005Z"
    assert first != second
