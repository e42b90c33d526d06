"""Cassettes over real sockets: record a real server once, then do without it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web
from websockets.exceptions import ConnectionClosed, InvalidStatus

from mockforge_nb import (
    ExpectationError,
    Message,
    Mock,
    MockServer,
    NotRecordedError,
    OptionError,
    RecordingError,
    Script,
    ScriptError,
)
from mockforge_nb.pytest_plugin import WsMock

from .raw import eventually
from .upstreams import Started, with_aiohttp, with_websockets

PATIENCE = 20
NOBODY = "ws://127.0.0.1:9/feed"  # the discard port, at which nobody listens


async def answering(ws: Any) -> None:
    """Greet, and answer each JSON message with its id; keep what was said."""
    if isinstance(ws, web.WebSocketResponse):
        await ws.send_str("welcome")
        async for message in ws:
            await ws.send_str(json.dumps({"re": json.loads(message.data)}))
        return
    await ws.send("welcome")
    async for message in ws:
        ws.seen.append(message)
        said = json.loads(message)
        await ws.send(json.dumps({"id": said["id"], "did": said["op"]}))
        await ws.send(b"\x00" + said["op"].encode())


def ask(server: MockServer, *says: dict[str, Any], path: str | None = None) -> list[Any]:
    """Say something, and return what came."""
    with server.client(path) as client:
        heard: list[Any] = [client.recv(PATIENCE)]
        for each in says:
            client.send(each)
            heard += [client.recv(PATIENCE), client.recv(PATIENCE)]
        return heard


def relays(server: MockServer) -> list[tuple[str, Any]]:
    rows = server.traffic.select(opcode=["text", "binary"]).df
    return [(str(row.direction), row.relay) for row in rows.itertuples()]


def lines(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text().splitlines()]


def test_once_records_the_first_time_and_needs_no_server_from_then_on(ws_mock: WsMock, tmp_path: Path) -> None:
    path = tmp_path / "feed.jsonl"
    real = with_websockets(answering)
    mock = Mock().proxy(real.url, record=path, record_mode="once", ignore=["$.id"])
    server = ws_mock(mock)
    first = ask(server, {"id": 1, "op": "a"}, {"id": 2, "op": "b"})
    server.stop()
    real.stop()
    before = path.read_bytes()
    again = ws_mock(mock)
    assert ask(again, {"id": 1, "op": "a"}, {"id": 2, "op": "b"}) == first
    assert set(relays(again)) == {("in", "replayed"), ("out", "replayed")}
    again.stop()
    other = ws_mock(mock)
    # In another order, with other ids.
    heard = ask(other, {"id": "x", "op": "b"}, {"id": "y", "op": "a"})
    assert [json.loads(heard[1]), json.loads(heard[3])] == [{"id": "x", "did": "b"}, {"id": "y", "did": "a"}]
    assert heard[2::2] == [b"\x00b", b"\x00a"]
    other.stop()
    assert path.read_bytes() == before


@pytest.mark.parametrize("kind", ["feed.jsonl", "feed.parquet"])
def test_new_episodes_adds_what_is_missing_and_plays_the_rest(
    ws_mock: WsMock, started: Started, tmp_path: Path, kind: str
) -> None:
    path = tmp_path / kind
    real = started(with_websockets(answering))
    mock = Mock().proxy(real.url, record=path, record_mode="new_episodes")
    for says, went in [("a", "a"), ("ab", "b"), ("ba", "")]:
        del real.seen[:]
        server = ws_mock(mock)
        heard = ask(server, *({"id": 1, "op": op} for op in says))
        assert heard[2::2] == [b"\x00" + op.encode() for op in says]
        assert [json.loads(each)["op"] for each in real.seen] == list(went)
        server.stop()
    script = Script.load(path)
    assert [step.payload.value["op"] for step in script if step.dir == "in" and step.payload is not None] == ["a", "b"]
    times = [step.ts for step in script]
    assert times == sorted(times, key=lambda ts: ts or 0.0)
    # A second connection was never recorded, and now is.
    server = ws_mock(mock)
    for _ in range(2):
        ask(server, {"id": 1, "op": "a"})
    server.stop()
    assert len(Script.load(path, connection=2)) > 0


@pytest.mark.parametrize("kind", ["feed.jsonl", "feed.parquet"])
def test_a_recording_that_was_cut_off_is_played_as_far_as_it_goes_and_gone_on_with(
    ws_mock: WsMock, started: Started, tmp_path: Path, kind: str
) -> None:
    real = started(with_websockets(answering))
    path = tmp_path / kind
    mock = Mock().proxy(real.url, record=path, record_mode="new_episodes")
    server = ws_mock(mock)
    ask(server, {"id": 1, "op": "a"})
    server.stop()
    # As a killed process leaves it behind.
    lined = tmp_path / "whole.jsonl"
    Script.load(path).save(lined)
    left = tmp_path / "feed.parquet.jsonl" if kind.endswith("parquet") else path
    left.write_text('{"mockforge": 1, "recorded": "proxy", "templates": false}\n' + lined.read_text() + '{"ts": 9, "te')
    if left is not path:
        path.write_bytes(path.read_bytes()[:-20])
    with pytest.warns(UserWarning, match=rf"{kind} was cut off in line \d+; what stands before it is played"):
        server = ws_mock(mock)
    del real.seen[:]
    ask(server, {"id": 1, "op": "a"}, {"id": 1, "op": "b"})
    server.stop()
    assert [json.loads(each)["op"] for each in real.seen] == ["b"]
    assert [
        json.loads(step.payload.literal())["op"] for step in Script.load(path) if step.dir == "in" and step.payload
    ] == ["a", "b"]


def test_none_plays_and_records_nothing(ws_mock: WsMock, tmp_path: Path) -> None:
    path = tmp_path / "feed.jsonl"
    with pytest.raises(RecordingError, match=r'feed\.jsonl is not there, or nothing is in it.*record_mode="once"'):
        Mock().proxy(NOBODY, record=path, record_mode="none").serve(port=0)
    assert not path.exists()
    path.write_text('{"text": "by hand"}\n{"dir": "in", "text": "x", "match": "exact"}\n{"text": "y"}\n')
    server = ws_mock(Mock().proxy(NOBODY, record=path, record_mode="none"))
    with server.client() as client:
        assert client.recv(PATIENCE) == "by hand"
        client.send("x")
        assert client.recv(PATIENCE) == "y"
    path.write_text('{"text": "{{uuid}}"}\n{"text": 7}\n')
    with pytest.raises(ScriptError, match=r'feed\.jsonl:2: "text": 7 is not a text'):
        Mock().proxy(NOBODY, record=path, record_mode="none").serve(port=0)


def test_a_miss_is_told_and_the_server_lives(tmp_path: Path) -> None:
    path = tmp_path / "feed.jsonl"
    path.write_text('{"dir": "in", "json": {"op": "a", "n": 1}, "match": "json"}\n{"json": {"ok": true}}\n')
    mock = Mock().proxy(NOBODY, record=path, record_mode="none", allow_playback_repeats=True)
    server = mock.serve(port=0)
    try:
        with server.client() as client:
            client.send({"op": "a", "n": 2})
            with pytest.raises(ConnectionClosed):
                client.recv(PATIENCE)
            assert (client.close_code, client.close_reason) == (1011, "not recorded")
        with server.client() as client:
            client.send({"n": 1, "op": "a"})
            assert client.recv(PATIENCE) == '{"ok":true}'
        with pytest.raises(NotRecordedError) as raised:
            server.check()
        assert raised.value.nearest == '{"op":"a","n":1}'
        assert "$.n: recorded 1, got 2" in str(raised.value)
        assert [relay for way, relay in relays(server) if way == "in"] == ["dropped", "replayed"]
        assert "recorded messages were not said" not in str(raised.value.__notes__)
    finally:
        server.stop()


def test_what_is_hidden_is_in_no_error_and_what_was_not_said_is_told(tmp_path: Path) -> None:
    path = tmp_path / "feed.jsonl"
    path.write_text(
        '{"dir": "in", "json": {"token": "***", "n": 1}, "match": "any"}\n{"json": {"ok": true}}\n'
        '{"dir": "in", "text": "more", "match": "exact"}\n'
    )
    mock = Mock().proxy(NOBODY, record=path, record_mode="none", redact=["$.token"])
    with mock.serve(port=0) as server, server.client() as client:
        client.send({"token": "s3cret", "n": 1})
        assert client.recv(PATIENCE) == '{"ok":true}'
        with pytest.raises(ExpectationError, match="1 recorded messages were not said: <Message 'more'>"):
            server.check(strict=True)
        client.send({"token": "s3cret", "n": 2})
        client.drain()
        with pytest.raises(NotRecordedError) as raised:
            server.check()
    assert "s3cret" not in str(raised.value)
    assert "$.n: recorded 1, got 2" in str(raised.value)


def test_a_connection_that_was_not_recorded_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "feed.jsonl"
    path.write_text('{"text": "only once"}\n')
    server = Mock().proxy(NOBODY, record=path, record_mode="none").serve(port=0)
    try:
        with server.client() as client:
            assert client.recv(PATIENCE) == "only once"
        with pytest.raises(InvalidStatus) as refused:
            server.client()
        assert refused.value.response.status_code == 502
        assert b"connection 2 at /ws was not recorded" in (refused.value.response.body or b"")
        with pytest.raises(NotRecordedError, match="connection 2 at /ws was not recorded; it has 1 there"):
            server.check()
    finally:
        server.stop()


@pytest.mark.parametrize("library", ["websockets", "aiohttp"])
def test_connections_at_several_paths_find_their_own(ws_mock: WsMock, tmp_path: Path, library: str) -> None:
    path = tmp_path / "feed.jsonl"

    async def symbol(ws: Any) -> None:
        if isinstance(ws, web.WebSocketResponse):
            await ws.send_str(real.seen[-1].path)
            await ws.receive()
        else:
            await ws.send(ws.request.path)
            await ws.wait_closed()

    real = (with_websockets if library == "websockets" else with_aiohttp)(symbol)
    try:
        mock = Mock().route(
            "/prices/{symbol}", Mock().proxy(real.url + "/{symbol}", record=path, record_mode="once", speed="max")
        )
        server = ws_mock(mock)
        assert [ask(server, path=f"/prices/{name}") for name in ("ibm", "aapl")] == [["/ibm"], ["/aapl"]]
        server.stop()
    finally:
        real.stop()
    again = ws_mock(mock)
    assert [ask(again, path=f"/prices/{name}") for name in ("aapl", "ibm")] == [["/aapl"], ["/ibm"]]


def test_each_route_may_have_its_own_cassette(ws_mock: WsMock, started: Started, tmp_path: Path) -> None:
    real = started(with_websockets(answering))
    mock = Mock().record(tmp_path / "all.jsonl").route("/echo", Mock().echo())
    for name in ("a", "b"):
        file = tmp_path / f"{name}.jsonl"
        mock = mock.route(f"/{name}", Mock().proxy(real.url, record=file, record_mode="once"))
    server = ws_mock(mock)
    ask(server, {"id": 1, "op": "x"}, path="/a")
    ask(server, {"id": 1, "op": "y"}, path="/b")
    with server.client("/echo") as client:
        client.send("z")
        client.recv(PATIENCE)
    server.stop()
    ops = {
        name: [line["json"].get("op") for line in lines(tmp_path / name) if line.get("dir") == "in" and "json" in line]
        for name in ("a.jsonl", "b.jsonl", "all.jsonl")
    }
    assert ops == {"a.jsonl": ["x"], "b.jsonl": ["y"], "all.jsonl": ["x", "y"]}
    assert lines(tmp_path / "all.jsonl")[-1]["text"] == "z"
    twice = Mock().route("/a", Mock().proxy(real.url, record=tmp_path / "c.jsonl"))
    twice = twice.route("/b", Mock().proxy(real.url, record=tmp_path / "c.jsonl"))
    with pytest.raises(OptionError, match="is the recording of two paths"):
        twice.serve(port=0)


def test_the_recorded_subprotocol_is_selected_again(ws_mock: WsMock, tmp_path: Path) -> None:
    path = tmp_path / "feed.jsonl"
    real = with_websockets(answering, subprotocols=["chat"])
    mock = Mock().proxy(real.url, record=path, record_mode="once", allow_playback_repeats=True)
    server = ws_mock(mock)
    with server.client(subprotocols=["other", "chat"]) as client:
        assert (client.recv(PATIENCE), client.subprotocol) == ("welcome", "chat")
    server.stop()
    real.stop()
    for played in (mock, Mock().replay(path), Mock().proxy(NOBODY, fallback=path)):
        server = ws_mock(played)
        for offered, selected in ((["other", "chat"], "chat"), (["other"], None), (None, None)):
            with server.client(subprotocols=offered) as client:
                assert (client.recv(PATIENCE), client.subprotocol) == ("welcome", selected)
        assert list(server.connections.df["subprotocol"].fillna("")) == ["chat", "", ""]


def test_rules_transforms_and_the_network_are_those_of_a_proxy(ws_mock: WsMock, tmp_path: Path) -> None:
    path = tmp_path / "feed.jsonl"
    path.write_text('{"dir": "in", "text": "X", "match": "exact"}\n{"text": "y"}\n')

    async def louder(message: Message) -> str:
        return str(message.text).upper()

    mock = Mock().proxy(NOBODY, record=path, record_mode="none", transform=louder, only="^[xz]$")
    server = ws_mock(mock.when("^rule$", "ruled").otherwise("other").latency(5))
    with server.client() as client:
        for said, heard in (("rule", "ruled"), ("elsewhere", "other"), ("x", "Y")):
            client.send(said)
            assert client.recv(PATIENCE) == heard
        assert client.connection.ping().wait(PATIENCE)
    df = server.traffic.select(opcode="text").df
    assert list(df["relay"]) == ["answered", "answered", "answered", "answered", "changed", "changed"]
    assert list(df.loc[df["direction"] == "out", "delay_ms"]) == [5, 5, 5]


def test_the_second_run_is_as_the_first(ws_mock: WsMock, tmp_path: Path) -> None:
    path = tmp_path / "feed.jsonl"

    async def counts(ws: Any) -> None:
        async for message in ws:
            for n in range(20):
                await ws.send(f"{message} {n}")

    real = with_websockets(counts)
    mock = Mock().seed(3).proxy(real.url, record=path, record_mode="once", transform={"out": lambda m: f"<{m.text}>"})
    mock = mock.when("^rule$", "ruled").fault("drop", probability=0.5).fault("duplicate", probability=0.3)
    heard = []
    for run in range(2):
        server = ws_mock(mock)
        with server.client() as client:
            for said in ("rule", "a", "b"):
                client.send(said)
            heard.append(client.drain())
        server.stop()
        if not run:
            real.stop()
    assert heard[0] == heard[1] != []
    # It holds what the real server was told and said, and nothing of what was made of that.
    assert {line["text"] for line in lines(path) if line.get("dir") == "in"} == {"a", "b"}
    assert {line["text"] for line in lines(path) if "text" in line and line.get("dir") != "in"} == {
        f"{said} {n}" for said in "ab" for n in range(20)
    }


def test_two_servers_do_not_record_to_one_file(ws_mock: WsMock, started: Started, tmp_path: Path) -> None:
    real = started(with_websockets(answering))
    mock = Mock().proxy(real.url, record=tmp_path / "feed.jsonl")
    server = ws_mock(mock)
    with pytest.raises(RecordingError, match="is being recorded by another server of this process; stop that first"):
        mock.serve(port=0)
    server.stop()
    ws_mock(mock)


def test_times_and_ids_are_those_of_now(ws_mock: WsMock, tmp_path: Path) -> None:
    path = tmp_path / "feed.jsonl"
    path.write_text(
        '{"mockforge": 1, "templates": false}\n'
        '{"connection": 1, "opened": "2024-01-15T10:30:00Z", "path": "/ws"}\n'
        '{"connection": 1, "ts": 100, "dir": "in", "json": {"id": 1, "at": 1705314600100}, "match": "json"}\n'
        '{"connection": 1, "ts": 250, "json": {"id": 1, "at": "2024-01-15T10:30:00.250Z"}}\n'
    )
    cassette = {"record": path, "record_mode": "none", "ignore": ["$.id", "$.at"], "rebase": ["$.at"]}
    mock = Mock().proxy(NOBODY, **cassette).clock("2030-01-01T00:00:00Z")  # type: ignore[arg-type]  # as they are
    with ws_mock(mock).client() as client:
        client.send({"id": "mine", "at": 5})
        assert json.loads(client.recv(PATIENCE)) == {"id": "mine", "at": "2030-01-01T00:00:00.250Z"}
    with pytest.raises(OptionError, match=r"nowhere.* finds no time in what the server says"):
        ws_mock(Mock().proxy(NOBODY, record=path, record_mode="none", rebase=["$.nowhere"]))


def test_another_mock_may_take_over_from_a_cassette_and_it_from_another(ws_mock: WsMock, tmp_path: Path) -> None:
    path = tmp_path / "feed.jsonl"
    path.write_text('{"text": "hello"}\n{"dir": "in", "text": "x", "match": "exact"}\n{"text": "y"}\n')
    mock = Mock().proxy(NOBODY, record=path, record_mode="none")
    server = ws_mock(Mock().echo())
    with server.client() as client:
        server.wait_connected()
        server.update(mock)
        assert client.recv(PATIENCE) == "hello"
        client.send("x")
        assert client.recv(PATIENCE) == "y"
        server.update(Mock().echo(prefix="> "), running="finish")
        client.send("z")
        assert client.recv(PATIENCE) == "> z"


def test_an_update_may_begin_a_recording(ws_mock: WsMock, tmp_path: Path) -> None:
    path = tmp_path / "later.jsonl"
    server = ws_mock(Mock().echo())
    with server.client() as client:
        client.send("before")
        client.recv(PATIENCE)
        server.update(Mock().echo().record(path))
        client.send("after")
        client.recv(PATIENCE)
    server.stop()
    assert [line["text"] for line in lines(path) if "text" in line] == ["after", "after"]


def test_it_is_simulated_without_a_network(tmp_path: Path) -> None:
    path = tmp_path / "feed.jsonl"
    path.write_text('{"ts": 1000, "text": "a"}\n{"ts": 5000, "dir": "in", "text": "x", "match": "exact"}\n'
                    '{"ts": 5500, "text": "y"}\n')  # fmt: skip
    traffic = Mock().proxy(NOBODY, record=path, record_mode="none").simulate([(60, "x")])
    df = traffic.select(opcode="text").df
    assert list(zip(df["elapsed"], df["text"], df["relay"], strict=True)) == [
        (1.0, "a", "replayed"), (60.0, "x", "replayed"), (60.5, "y", "replayed"),
    ]  # fmt: skip
    with pytest.raises(NotRecordedError, match="the nearest that was recorded is <Message 'x'>"):
        Mock().proxy(NOBODY, record=path, record_mode="none").simulate([(60, "z")])


# The upstream is down


@pytest.mark.parametrize("how", ["nobody", "503", "silent"])
def test_a_fallback_is_played_and_not_recorded(ws_mock: WsMock, tmp_path: Path, how: str) -> None:
    path = tmp_path / "feed.jsonl"
    ill = {"503": Mock().reject(503, "deploying"), "silent": Mock().fault("slow_handshake", delay=60)}
    url = NOBODY if how == "nobody" else ws_mock(ill[how]).url
    script = [{"text": "we are down"}, {"ts": 5, "json": {"n": 1}}]
    mock = Mock().proxy(url, record=path, fallback=script, timeout=0.3 if how == "silent" else 10)
    server = ws_mock(mock)
    with server.client() as client:
        assert [client.recv(PATIENCE), client.recv(PATIENCE)] == ["we are down", '{"n":1}']
        assert client.connection.ping().wait(PATIENCE)
        client.close(4000, "enough")
        assert client.close_code == 4000
    why = str(server.traffic.df.loc[0, "text"])
    assert why.startswith("GET /ws 101 Switching Protocols: the upstream ws://127.0.0.1:")
    assert {relay for way, relay in relays(server) if way == "out"} == {"replayed"}
    server.stop()
    assert [line for line in lines(path) if "text" in line or "json" in line] == []


def test_a_fallback_takes_over_where_the_upstream_dies(ws_mock: WsMock) -> None:
    real = ws_mock(Mock().replay(Script().send("live").wait("die").abort()))
    server = ws_mock(Mock().proxy(real.url, fallback=["and", "on"]))
    with server.client() as client:
        assert client.recv(PATIENCE) == "live"
        client.send("die")
        assert [client.recv(PATIENCE), client.recv(PATIENCE)] == ["and", "on"]
        assert client.connection.ping().wait(PATIENCE)
        client.close()
        assert client.close_code == 1000
    eventually(lambda: not server.connections[0].open)
    assert [relay for way, relay in relays(server) if way == "out"] == ["forwarded", "replayed", "replayed"]


def test_an_upstream_s_own_word_is_its_own(ws_mock: WsMock) -> None:
    refusing = ws_mock(Mock().echo().reject(401, "no"))
    with pytest.raises(InvalidStatus):
        ws_mock(Mock().proxy(refusing.url, fallback=["x"])).client()
    closing = ws_mock(Mock().replay([{"close": True, "code": 4001}]))
    with ws_mock(Mock().proxy(closing.url, fallback=["x"])).client() as client:
        assert client.drain() == []
        assert client.close_code == 4001
