"""The server over real sockets: handshake, echo, replay, push, waits, close, limits."""

from __future__ import annotations

import asyncio
import json
import shutil
import socket
import subprocess
import threading
import time
from pathlib import Path
from typing import Any

import aiohttp
import pandas as pd
import pytest
import websockets
from vega_datasets import data
from websockets.exceptions import ConnectionClosedError, ConnectionClosedOK, InvalidStatus
from websockets.sync.client import connect

from mockforge_nb import ExpectationError, ExpectationTimeoutError, Mock, MockServer, ProtocolError
from mockforge_nb.errors import BindError, MockForgeError, OptionError
from mockforge_nb.pytest_plugin import WsMock

from .raw import BINARY, TEXT, Raw, ended, eventually, frame, refusals, rows, still_echoes

MIB = 2**20


# Echo


@pytest.mark.parametrize("size", [0, 1, 125, 126, 127, 65_535, 65_536, 65_537, 20 * MIB])
def test_text_and_binary_of_any_size_come_back_exactly(ws_mock: WsMock, size: int) -> None:
    server = ws_mock(Mock().echo())
    text = ("ab€" * (size // 5 + 1)).encode()[:size].decode(errors="ignore").ljust(size - 4)
    binary = (bytes(range(256)) * (size // 256 + 1))[:size]
    with server.client() as client:
        client.send(text)
        assert client.recv() == text
        client.send(binary)
        assert client.recv() == binary
    ended(server)
    found = server.traffic.select(opcode=["text", "binary"]).df
    assert list(found["size"]) == [len(text.encode())] * 2 + [size] * 2
    assert list(found["direction"]) == ["in", "out"] * 2


def test_the_prefix_stands_before_text_and_binary(ws_mock: WsMock) -> None:
    server = ws_mock(Mock().echo(prefix="→ "))
    with server.client() as client:
        client.send("a")
        assert client.recv() == "→ a"
        client.send(b"\xff\x00")
        assert client.recv() == "→ ".encode() + b"\xff\x00"


def test_a_message_of_message_bytes_is_taken_and_one_byte_more_closes_with_1009(ws_mock: WsMock) -> None:
    for most in (10, 125, 126, 70_000):
        server = ws_mock(Mock().echo().limits(message_bytes=most))
        with server.client() as client:
            client.send(b"x" * most)
            assert client.recv() == b"x" * most
            client.send("y" * most)
            assert client.recv() == "y" * most
            client.send("y" * (most + 1))
            with pytest.raises(ConnectionClosedError):
                client.recv()
            assert client.connection.protocol.close_rcvd is not None
            assert client.connection.protocol.close_rcvd.code == 1009
        ended(server)
        assert list(server.connections.df["close_code"]) == [1009]


def test_fragments_of_a_client_become_one_message(ws_mock: WsMock) -> None:
    server = ws_mock(Mock().echo())
    with server.client() as client:
        client.connection.send(iter(["a", "ä", "", "€"]))
        assert client.recv() == "aä€"
        client.connection.send(iter([b"1", b"2"]))
        assert client.recv() == b"12"


def test_two_hundred_connections_are_served_at_once(ws_mock: WsMock) -> None:
    server = ws_mock(Mock().echo())
    clients = [Raw(server).open() for _ in range(200)]
    for n, client in enumerate(clients):
        client.send(frame(TEXT, b"text %d" % n) + frame(BINARY, b"binary %d" % n))
    for n, client in reversed(list(enumerate(clients))):
        assert [client.frame(), client.frame()] == [(TEXT, b"text %d" % n), (BINARY, b"binary %d" % n)]
    assert sum(each.open for each in server.connections) == 200
    for client in clients:
        client.socket.close()
    ended(server, 200)
    found = server.traffic.df
    assert found.groupby("connection").size().to_list() == [6] * 200
    assert sorted(server.connections.df.index.to_list() or []) == sorted(set(server.connections.df.index))


# Replay


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


# Pushing and closing


def test_send_reaches_every_open_connection_in_its_form(ws_mock: WsMock) -> None:
    server = ws_mock(Mock().echo())
    with server.client() as one, server.client() as two:
        server.wait_connected(2)
        for pushed, wire in (("t", "t"), (b"b", b"b"), ({"k": [1, None]}, '{"k":[1,null]}')):
            assert server.send(pushed) == 2
            assert one.recv() == two.recv() == wire
        two.close()
        ended(server)
        assert server.send("x") == 1
        with pytest.raises(ProtocolError, match="connection 2 is closed"):
            server.connections[1].send("x")
    ended(server, 2)
    with pytest.warns(UserWarning, match="nobody is connected"):
        assert server.send("x") == 0


def test_each_side_sees_the_others_close_code(ws_mock: WsMock) -> None:
    server = ws_mock(Mock().echo())
    with server.client() as client:
        server.wait_connected().close(4001, "enough")
        assert client.drain() == []
        assert (client.close_code, client.close_reason) == (4001, "enough")
    with server.client() as client:
        client.close(4002, "done")
    with server.client() as client:
        server.connections[2].abort()
        assert client.drain() == []
        assert client.close_code == 1006
    ended(server, 3)
    assert server.connections.df["close_code"].to_list() == [4001, 4002, 1006]
    assert server.connections.df["close_reason"].to_list() == ["enough", "done", ""]
    assert rows(server, 1)[1:] == [("out", "close", 4001), ("in", "close", 4001)]
    assert rows(server, 2)[1:] == [("in", "close", 4002), ("out", "close", 4002)]
    assert rows(server, 3)[1:] == [("out", "abort", 0)]


def test_a_peer_that_does_not_answer_a_close_is_cut_off(ws_mock: WsMock) -> None:
    server = ws_mock(Mock().echo())
    with Raw(server).open() as client:
        server.connections[0].close(1000)
        ended(server)
        assert client.gone()
    assert rows(server)[1:] == [("out", "close", 1000), ("out", "abort", 0)]
    assert still_echoes(server)


def test_stop_closes_with_1001_frees_the_port_and_may_be_called_twice(ws_mock: WsMock) -> None:
    server = ws_mock(Mock().echo())
    with server.client() as client:
        server.wait_connected()
        server.stop()
        server.stop()
        assert client.drain() == []
        assert client.close_code == 1001
    assert not server.running
    with socket.socket() as one:
        one.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        one.bind(("127.0.0.1", server.port))
    with pytest.raises(ProtocolError, match="stopped"):
        server.send("x")
    assert server.traffic.df["opcode"].to_list()[-2:] == ["close", "close"]


def test_update_changes_open_connections_and_new_ones(ws_mock: WsMock) -> None:
    server = ws_mock(Mock().echo())
    with server.client() as client:
        client.send("a")
        assert client.recv() == "a"
        server.update(Mock().echo(prefix="> "))
        client.send("b")
        assert client.recv() == "> b"
        server.update(Mock().replay(["one", "two"]))
        assert [client.recv(), client.recv()] == ["one", "two"]
        with server.client() as other:
            assert other.recv() == "one"
    assert "one" not in server.traffic.select(direction="in").df["text"].to_list()


def test_update_drops_no_message_that_is_on_its_way(ws_mock: WsMock) -> None:
    server = ws_mock(Mock().echo().latency(150))
    with server.client() as client:
        client.send("slow")
        server.wait_for("slow")
        server.update(Mock().echo())
        client.send("fast")
        assert [client.recv(), client.recv()] == ["slow", "fast"]


# Waiting


def test_wait_for_counts_messages_that_came_before(ws_mock: WsMock) -> None:
    server = ws_mock(Mock().echo())
    with server.client() as client:
        for text in ("one", '{"op": "subscribe"}', "three"):
            client.send(text)
        client.drain(0.2)
        assert server.wait_for("^one$").text == "one"
        assert server.wait_for("$.op == 'subscribe'").json == {"op": "subscribe"}
        assert [message.text for message in server.wait_for(n=3)] == ["one", '{"op": "subscribe"}', "three"]
        assert server.wait_for(lambda message: message.text == "three").connection == 1


def test_waits_end_when_what_they_wait_for_comes(ws_mock: WsMock) -> None:
    server = ws_mock(Mock().echo())

    def later() -> None:
        time.sleep(0.05)
        with server.client() as client:
            client.send("no")
            time.sleep(0.05)
            client.send("yes")
            client.drain(0.3)

    thread = threading.Thread(target=later)
    thread.start()
    try:
        assert server.wait_connected(timeout=20).number == 1
        assert server.wait_for("yes", timeout=20).text == "yes"
    finally:
        thread.join()


def test_a_wait_that_ends_in_vain_shows_what_came(ws_mock: WsMock) -> None:
    server = ws_mock(Mock().echo())
    with pytest.raises(ExpectationTimeoutError, match="nothing came"):
        server.wait_for("x", timeout=0.01)
    with pytest.raises(TimeoutError, match="1 connection to ws://.* did not come within 0.01 s; 0 came"):
        server.wait_connected(timeout="10ms")
    with server.client() as client:
        client.send("hullo")
        assert client.recv() == "hullo"
        with pytest.raises(ExpectationTimeoutError, match=r"'hello' did not come[^$]*hullo"):
            server.wait_for("hello", timeout=0.01)
        with pytest.raises(AssertionError, match="2 x a message .* 1 did"):
            server.wait_for("hullo", n=2, timeout=0.01)
        with pytest.raises(ExpectationTimeoutError, match="2 connections .* 1 came"):
            server.wait_connected(2, timeout=0.01)
        with pytest.raises(ExpectationTimeoutError, match="nothing came from ws://"):
            client.recv(0.01)
    assert server.listener.waiting_for_connections == [] or all(
        waiter.future.done() for waiter in server.listener.waiting_for_connections
    )


@pytest.mark.parametrize("wait", ["wait_for", "wait_connected"])
def test_a_wait_ends_with_an_error_when_the_server_stops(ws_mock: WsMock, wait: str) -> None:
    server = ws_mock(Mock().echo())
    errors: list[BaseException] = []

    def waits() -> None:
        try:
            getattr(server, wait)(timeout=20)
        except ExpectationError as error:
            errors.append(error)

    thread = threading.Thread(target=waits)
    thread.start()
    eventually(lambda: server.listener.waiting or server.listener.waiting_for_connections)
    server.stop()
    thread.join()
    assert "was stopped before what was waited for came" in str(errors[0])
    assert not isinstance(errors[0], TimeoutError)


def test_a_predicate_that_raises_fails_the_wait_and_not_the_server(ws_mock: WsMock) -> None:
    server = ws_mock(Mock().echo())
    with server.client() as client:
        client.send("x")
        assert client.recv() == "x"

        def broken(message: object) -> bool:
            raise KeyError("mine")

        with pytest.raises((KeyError, MockForgeError), match="mine"):
            server.wait_for(broken, timeout=5)
    assert still_echoes(server)


# Where it is


def test_the_url_is_that_of_the_served_path(ws_mock: WsMock) -> None:
    server = ws_mock(Mock().echo(), path="/prices/live")
    assert server.url == f"ws://127.0.0.1:{server.port}/prices/live" == server.url_for("/prices/live")
    with server.client() as client:
        client.send("x")
        assert client.recv() == "x"
    with pytest.raises(OptionError):
        server.url_for("prices")


def test_a_query_is_kept_and_no_part_of_the_path(ws_mock: WsMock) -> None:
    server = ws_mock(Mock().replay([{"text": "{{query.symbol}} {{headers.x_mine}}{{headers['x-mine']}}"}]))
    with connect(f"{server.url}?symbol=A%20B&empty=", proxy=None, additional_headers={"X-Mine": "yes"}) as client:
        assert client.recv(20) == "A B yes"
    connection = server.connections[0]
    assert (connection.path, connection.query) == ("/ws", "symbol=A%20B&empty=")
    assert connection.headers["x-mine"] == "yes"


def test_an_unknown_path_is_a_404_that_lists_what_is_served(ws_mock: WsMock) -> None:
    server = ws_mock(Mock().echo())
    for path in ("/", "/ws/", "/wss", "/ws/more"):
        with pytest.raises(InvalidStatus) as caught:
            server.client(path)
        assert caught.value.response.status_code == 404
        assert b"this mock serves /ws." in caught.value.response.body
    assert refusals(server)[1] == "GET /ws/ 404 Not Found"
    assert still_echoes(server)


def test_connections_beyond_the_limit_are_refused_with_503_until_one_is_free(ws_mock: WsMock) -> None:
    server = ws_mock(Mock().echo().limits(connections=1))
    with server.client() as client:
        with pytest.raises(InvalidStatus) as caught:
            server.client()
        assert caught.value.response.status_code == 503
        client.send("still mine")
        assert client.recv() == "still mine"
    ended(server)
    assert refusals(server) == ["GET /ws 503 Service Unavailable"]
    assert still_echoes(server)


def test_a_subprotocol_that_nobody_offers_is_not_selected(ws_mock: WsMock) -> None:
    server = ws_mock(Mock().echo())
    with server.client(subprotocols=["graphql-transport-ws", "chat"]) as client:
        assert client.subprotocol is None
        client.send("x")
        assert client.recv() == "x"
    wire = server.listener.connections[0]
    assert wire.record is not None
    assert wire.record.subprotocols == ("graphql-transport-ws", "chat")


def _has_ipv6() -> bool:
    try:
        with socket.socket(socket.AF_INET6) as one:
            one.bind(("::1", 0))
    except OSError:
        return False
    return True


@pytest.mark.skipif(not _has_ipv6(), reason="this machine has no ::1")
def test_it_serves_ipv6(ws_mock: WsMock) -> None:
    server = ws_mock(Mock().echo(), host="::1")
    assert server.url == f"ws://[::1]:{server.port}/ws"
    with server.client() as client:
        client.send("six")
        assert client.recv() == "six"
    wire = server.listener.connections[0]
    assert wire.record is not None
    assert wire.record.remote.startswith("[::1]:")


def test_it_serves_every_address_of_localhost(ws_mock: WsMock) -> None:
    server = ws_mock(Mock().echo(), host="localhost")
    assert server.url == f"ws://localhost:{server.port}/ws"
    with server.client() as client:
        client.send("home")
        assert client.recv() == "home"
    for one in server.listener.listening:
        socket.create_connection(one.getsockname()[:2], 20).close()


def test_an_address_that_this_machine_lacks_is_passed_over_if_the_host_has_another(
    ws_mock: WsMock, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = [
        (socket.AF_INET6, socket.SOCK_STREAM, 6, "", ("2001:db8::1", 0, 0, 0)),
        (socket.AF_INET, socket.SOCK_STREAM, 6, "", ("127.0.0.1", 0)),
    ]
    real = socket.getaddrinfo

    def resolve(host: Any, *rest: Any, **options: Any) -> Any:
        return found if host == "twofold.example" else real(host, *rest, **options)

    monkeypatch.setattr(socket, "getaddrinfo", resolve)
    server = ws_mock(Mock().echo(), host="twofold.example")
    assert still_echoes(server)


def test_a_port_that_another_program_holds_is_an_error_that_names_port_0() -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]
        with pytest.raises(BindError, match="port=0") as caught:
            Mock().serve(port=port)
        assert isinstance(caught.value, OSError)
        assert (caught.value.host, caught.value.port) == ("127.0.0.1", port)


@pytest.mark.parametrize("host", ["no-such-host.invalid", "203.0.113.7", "a" * 70 + ".example"])
def test_a_host_that_is_not_this_machine_is_an_error_that_says_so(host: str) -> None:
    with pytest.raises(BindError, match="is no (host|address) of this machine"):
        Mock().serve(host=host, port=0)


# Clients of other libraries


@pytest.mark.parametrize("compression", [None, "deflate"])
def test_the_websockets_library_is_served(ws_mock: WsMock, compression: str | None) -> None:
    server = ws_mock(Mock().echo())

    async def talk() -> None:
        async with websockets.connect(server.url, compression=compression, proxy=None) as client:
            await client.send("ä" * 1000)
            assert await client.recv() == "ä" * 1000
            await (await client.ping(b"beat"))
            await client.send([b"in ", b"parts"])
            assert await client.recv() == b"in parts"
            assert client.protocol.extensions == []

    asyncio.run(talk())
    ended(server)
    assert rows(server)[-2:] == [("in", "close", 1000), ("out", "close", 1000)]
    assert [kind for _, kind, _ in rows(server)].count("pong") == 1


def test_aiohttp_is_served(ws_mock: WsMock) -> None:
    server = ws_mock(Mock().echo())

    async def talk() -> None:
        async with aiohttp.ClientSession() as session:
            async with session.ws_connect(server.url, compress=15, heartbeat=0.05) as client:
                await client.send_str("ä")
                assert await client.receive_str() == "ä"
                await client.send_bytes(b"\x00" * 70_000)
                assert await client.receive_bytes() == b"\x00" * 70_000
                with pytest.raises(TimeoutError):
                    await client.receive(timeout=0.2)
            async with session.get(server.url.replace("ws:", "http:")) as page:
                assert page.status == 426

    asyncio.run(talk())
    ended(server)
    kinds = [kind for _, kind, _ in rows(server)]
    assert kinds.count("ping") == kinds.count("pong") > 0


NODE = """
const socket = new WebSocket(process.argv[1]);
socket.onopen = () => socket.send("from node");
socket.onmessage = (event) => { console.log(event.data); socket.close(4000, "bye"); };
socket.onclose = (event) => console.log(event.code, event.reason, event.wasClean);
"""


def _node_version() -> int:
    node = shutil.which("node")
    if node is None:
        return 0
    return int(subprocess.run([node, "--version"], capture_output=True, text=True, check=True).stdout[1:].split(".")[0])


@pytest.mark.skipif(_node_version() < 22, reason="there is no node 22 or later, which has a WebSocket of its own")
def test_node_is_served(ws_mock: WsMock) -> None:
    server = ws_mock(Mock().echo())
    ran = subprocess.run(["node", "-e", NODE, server.url], capture_output=True, text=True, timeout=60, check=True)
    assert ran.stdout.split("\n") == ["from node", "4000 bye true", ""]
