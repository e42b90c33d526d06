"""Tables that are cut to each connection, through real sockets."""

from __future__ import annotations

import json
import threading
from typing import Any

import pandas as pd
import pytest
from vega_datasets import data
from websockets.exceptions import InvalidStatus
from websockets.sync.client import connect

from mockforge_nb import Mock, Script, feeds
from mockforge_nb.server import MockServer

STOCKS = data.stocks()
SYMBOLS = sorted(STOCKS.symbol.unique())


def all_of(url: str, says: object = None) -> list[Any]:
    """Return the JSON messages that a client hears until the server closes."""
    with connect(url, proxy=None) as socket:
        if says is not None:
            socket.send(json.dumps(says))
        return [json.loads(message) for message in socket]


def test_each_path_gets_its_rows_and_others_are_not_found() -> None:
    replay = Mock().replay(STOCKS, by="symbol", speed="max", then="close", columns=["symbol", "price"])
    with Mock().route("/prices/{symbol}", replay).serve(port=0) as server:
        for symbol in SYMBOLS:
            found = all_of(server.url_for(f"/prices/{symbol}"))
            assert [each["price"] for each in found] == STOCKS.price[STOCKS.symbol == symbol].tolist()
        with pytest.raises(InvalidStatus, match="404") as refused:
            all_of(server.url_for("/prices/MSFTT"))
        assert b"has no rows with symbol 'MSFTT'; did you mean 'MSFT'?" in (refused.value.response.body or b"")
        steps = server.traffic.df[lambda df: df.path == "/prices/IBM"].step.dropna()
        assert steps.tolist() == STOCKS.index[STOCKS.symbol == "IBM"].tolist()


def test_connections_hear_only_what_they_asked_for() -> None:
    ack = {"type": "subscriptions", "symbols": "{{state.subscribed}}"}
    mock = Mock().replay(STOCKS, by="symbol", subscribe="$.symbols[*]", ack=ack, speed="max", then="close")
    with mock.serve(port=0) as server:
        for asked in (["IBM"], ["AAPL", "GOOG"], SYMBOLS):
            first, *rest = all_of(server.url, {"symbols": asked})
            assert first == {"type": "subscriptions", "symbols": asked}
            assert [each["symbol"] for each in rest] == STOCKS.symbol[STOCKS.symbol.isin(asked)].tolist()
        assert server.errors == []


def test_an_ack_may_say_which_keys_are_unknown() -> None:
    ack = {"symbols": "{{state.subscribed}}", "unknown": "{{state.unknown}}"}
    mock = Mock().replay(STOCKS, by="symbol", subscribe="$.symbols[*]", ack=ack, speed="max", then="close")
    with mock.serve(port=0) as server:
        first, *rest = all_of(server.url, {"symbols": ["IBM", "IBN", "AAPLE", "IBN"]})
        assert first == {"symbols": ["IBM"], "unknown": ["IBN", "AAPLE"]}
        assert {each["symbol"] for each in rest} == {"IBM"}
        assert all_of(server.url, {"symbols": ["*"]})[0]["unknown"] == []


def test_many_subscribe_at_once_and_change_their_minds() -> None:
    table = pd.DataFrame({"k": [f"k{i % 50}" for i in range(20_000)], "i": range(20_000)})
    replay = Mock().replay(table, by="k", subscribe="$.on[*]", unsubscribe="$.off[*]", ack="ok", rate=20_000, loop=True)
    heard: dict[int, set[str]] = {}

    def client(number: int, server: MockServer) -> None:
        mine = {f"k{number}", f"k{number + 10}"}
        with connect(server.url, proxy=None) as socket:
            socket.send(json.dumps({"on": [f"k{number}", "k49"]}))
            assert socket.recv() == "ok"
            socket.send(json.dumps({"off": ["k49"], "on": []}))
            socket.send(json.dumps({"on": [f"k{number + 10}"]}))
            answers = 0
            keys: set[str] = set()
            while answers < 2 or keys != mine:
                message = socket.recv(timeout=30)
                if message == "ok":
                    answers, keys = answers + 1, set()
                else:
                    keys.add(json.loads(message)["k"])
            heard[number] = keys

    with replay.serve(port=0) as server:
        threads = [threading.Thread(target=client, args=(number, server)) for number in range(8)]
        for each in threads:
            each.start()
        for each in threads:
            each.join()
        assert heard == {n: {f"k{n}", f"k{n + 10}"} for n in range(8)}
        assert server.errors == []


def test_who_joins_a_shared_replay_late_gets_the_snapshot_and_then_the_updates() -> None:
    table = pd.DataFrame({"k": ["a", "b", "a", "b", "a"], "i": range(5), "t": [0.0, 0.0, 0.05, 0.1, 1.0]})
    mock = Mock().replay(table, time="t", by="k", snapshot=True, shared=True, then="close")
    with mock.serve(port=0) as server, connect(server.url, proxy=None) as early:
        first = [json.loads(early.recv(timeout=30))["i"] for _ in range(4)]
        late = [each["i"] for each in all_of(server.url)]
        assert first + [json.loads(message)["i"] for message in early] == [0, 1, 2, 3, 4]
        # It came after row 3, perhaps after row 4, too.
        assert late in ([2, 3, 4], [3, 4])


def test_times_are_those_at_which_a_connection_began() -> None:
    table = pd.DataFrame({"at": pd.to_datetime(["2001-01-01T00:00:00.00", "2001-01-01T00:00:00.05"])})
    with Mock().replay(table, time="at", rebase="now", then="close").serve(port=0) as server:
        before = pd.Timestamp.now("UTC").floor("ms")
        first, second = (pd.Timestamp(each["at"]) for each in all_of(server.url))
        assert before <= first <= pd.Timestamp.now("UTC")
        assert second - first == pd.Timedelta("50ms")


def test_an_endless_script_is_played_to_each_from_the_beginning_and_shared_from_now() -> None:
    script = feeds.trades(rate=200, seed=1, start="2026-01-01")
    wanted = [json.loads(step.payload.literal()) for step in script[:20] if step.payload]
    with Mock().replay(script).serve(port=0) as server:
        for _ in range(2):
            with connect(server.url, proxy=None) as socket:
                assert [json.loads(socket.recv(timeout=30)) for _ in range(20)] == wanted
    with Mock().replay(script, shared=True).serve(port=0) as server, connect(server.url, proxy=None) as early:
        for _ in range(20):
            early.recv(timeout=30)
        with connect(server.url, proxy=None) as late:
            assert json.loads(late.recv(timeout=30)) not in wanted


def test_an_endless_script_goes_as_fast_as_it_is_read() -> None:
    script = Script.from_faker({"n": "pyint"}, n=None, seed=3)
    with Mock().replay(script).serve(port=0) as server, connect(server.url, proxy=None) as socket:
        found = [json.loads(socket.recv(timeout=30)) for _ in range(2000)]
    assert found == [step.payload.value for step in script[:2000] if step.payload]
