"""Faults of the network as raw sockets and real clients see them."""

from __future__ import annotations

import errno
import json
import socket
import time
from typing import Any

import pytest
from websockets.exceptions import ConnectionClosed, InvalidHandshake, InvalidMessage, InvalidStatus
from websockets.sync.client import connect

from mockforge_nb import LatencyProfile, Mock, MockServer
from mockforge_nb.connections import Connection
from mockforge_nb.pytest_plugin import WsMock

from .raw import BINARY, CLOSE, CONT, PATIENCE, PING, PONG, TEXT, Raw, close_frame, ended, eventually, frame, rows

STEPS = [{"text": f"message {index}"} for index in range(6)]


def faults(server: MockServer, number: int = 1) -> list[tuple[Any, ...]]:
    """The rows that a fault struck: direction, opcode, text, fault."""
    return [row for row in rows(server, number, "direction", "opcode", "text", "fault") if row[3]]


def said(server: MockServer, path: str = "/ws") -> list[object]:
    """All that a real client reads until nothing comes."""
    with server.client(path) as client:
        return list(client.drain())


# Messages


def test_a_dropped_message_never_arrives_and_has_its_row(ws_mock: WsMock) -> None:
    server = ws_mock(Mock().replay(STEPS, then="close").fault("drop", only="[24]$"))
    assert said(server) == [f"message {index}" for index in (0, 1, 3, 5)]
    assert faults(server) == [("out", "text", "message 2", "drop"), ("out", "text", "message 4", "drop")]


def test_messages_come_twice_in_another_order_changed_or_blown_up(ws_mock: WsMock) -> None:
    mock = (
        Mock()
        .seed(1)
        .replay(STEPS, then="close")
        .fault("duplicate", only="0$")
        .fault("reorder", only="1$", by=2)
        .fault("corrupt", only="4$", how=lambda text: text.upper())
        .fault("oversize", only="5$", size=2000)
    )
    server = ws_mock(mock)
    got = said(server)
    assert got[:6] == ["message 0", "message 0", "message 2", "message 3", "message 1", "MESSAGE 4"]
    assert len(got[6]) == 2000  # type: ignore[arg-type]
    names = [row[3] for row in faults(server)]
    assert names == ["duplicate", "duplicate", "reorder", "corrupt", "oversize"]


def test_what_a_client_says_is_lost_doubled_and_reordered_as_well(ws_mock: WsMock) -> None:
    mock = (
        Mock()
        .echo()
        .fault("drop", direction="in", only="lost")
        .fault("duplicate", direction="in", only="twice", copies=3)
        .fault("reorder", direction="in", only="late", within=60)
    )
    server = ws_mock(mock)
    with Raw(server).open() as peer:
        for text in (b"late", b"lost", b"twice"):
            peer.send(frame(TEXT, text))
        assert [peer.frame()[1] for _ in range(4)] == [b"twice", b"twice", b"twice", b"late"]
    eventually(lambda: len(faults(server)) == 5)
    assert sorted({row[2:] for row in faults(server)}) == [
        ("late", "reorder"), ("lost", "drop"), ("twice", "duplicate"),
    ]  # fmt: skip


def test_a_message_that_is_held_back_comes_late_if_none_overtakes_it(ws_mock: WsMock) -> None:
    server = ws_mock(Mock().replay(STEPS[:1]).fault("reorder", within="50ms"))
    with server.client() as client:
        assert client.recv(PATIENCE) == "message 0"


def test_slices_are_fragments_that_a_real_client_joins(ws_mock: WsMock) -> None:
    server = ws_mock(Mock().replay([{"text": "ä" * 50}], then="close").fault("slicer", size=7, delay="1ms"))
    with Raw(server).open() as peer:
        data = peer.rest()
    opcodes, payload, at = [], b"", 0
    while data[at] & 15 != CLOSE:
        size = data[at + 1]
        opcodes.append((data[at] & 15, bool(data[at] & 0x80)))
        payload += data[at + 2 : at + 2 + size]
        at += 2 + size
    assert payload.decode() == "ä" * 50
    assert opcodes == [(TEXT, False), *[(CONT, False)] * 13, (CONT, True)]
    assert said(server) == ["ä" * 50]


@pytest.mark.parametrize(
    ("name", "options", "code"),
    [
        ("bad_frame", {"how": "rsv"}, 1002),
        ("bad_frame", {"how": "opcode"}, 1002),
        ("bad_frame", {"how": "masked"}, 1002),
        ("bad_frame", {"how": "control"}, 1002),
        ("bad_frame", {"how": "length"}, 1002),
        ("invalid_utf8", {}, 1007),
        ("oversize", {"size": 2**20 + 1}, 1009),
    ],
)
def test_a_strict_client_closes_with_the_code_that_rfc_6455_has_for_it(
    ws_mock: WsMock, name: str, options: dict[str, Any], code: int
) -> None:
    server = ws_mock(Mock().replay([{"text": "hello"}]).fault(name, **options))
    with connect(server.url, proxy=None, compression=None, max_size=2**20) as client:
        with pytest.raises(ConnectionClosed) as closed:
            client.recv(timeout=PATIENCE)
        assert closed.value.sent is not None
        # websockets reads a length over 2**63 as one that is too large
        assert closed.value.sent.code in ((1002, 1009) if options.get("how") == "length" else (code,))
    assert faults(server)[0][3] == name


def test_a_flood_is_as_many_messages_as_it_says(ws_mock: WsMock) -> None:
    server = ws_mock(Mock().replay(STEPS[:1], then="close").fault("flood", count=5000))
    assert said(server) == ["message 0"] * 5000


async def doubled(conn: Connection) -> None:
    async for message in conn:
        await conn.send(f"{message.text}{message.text}")


@pytest.mark.parametrize(
    ("mock", "got"),
    [
        (Mock().handle(doubled), ["kepkep", "endend"]),
        (Mock().echo(), ["kep", "end"]),
        (Mock().when("(.*)", ["1 {{match.1}}", "2 {{match.1}}"]), ["1 kep", "2 kep", "1 end", "2 end"]),
        (Mock().stream(iter(["out", "lost", "end"])), ["out", "end"]),
    ],
)
def test_the_network_is_in_front_of_any_behaviour(ws_mock: WsMock, mock: Mock, got: list[str]) -> None:
    network = mock.fault("drop", only="^lost").fault("drop", only="^lost", direction="in")
    server = ws_mock(network.latency((1, 5)).latency((1, 5), direction="in"))
    with server.client() as client:
        for text in ("kep", "lost", "end"):
            client.send(text)
        assert [client.recv(PATIENCE) for _ in got] == got
    assert "drop" in {row[3] for row in faults(server)}
    delayed = server.traffic.df.query("opcode == 'text' and fault.isna()")
    assert delayed.delay_ms.between(1, 5).all()


# The connection's end


def test_a_close_comes_right_behind_the_last_message_before_it(ws_mock: WsMock) -> None:
    server = ws_mock(Mock().replay(STEPS).fault("close", after=3, code=1012, reason="deploy"))
    with Raw(server).open() as peer:
        assert [peer.frame()[1].decode() for _ in range(3)] == ["message 0", "message 1", "message 2"]
        assert peer.frame() == (CLOSE, (1012).to_bytes(2, "big") + b"deploy")
        peer.send(close_frame(1012))
    ended(server)
    assert rows(server, 1, "opcode", "fault", "close_code")[-2:] == [("close", "close", 1012), ("close", 0, 1012)]


def test_an_abort_is_a_fin_without_a_close_frame(ws_mock: WsMock) -> None:
    server = ws_mock(Mock().replay(STEPS).fault("abort", after="20B"))
    with Raw(server).open() as peer:
        data = peer.rest()
    assert data.endswith(b"message 2")
    assert data[-11] == 0x81
    ended(server)
    assert rows(server, 1, "opcode", "fault")[-1] == ("abort", "abort")


def test_a_reset_is_a_reset(ws_mock: WsMock) -> None:
    server = ws_mock(Mock().echo().fault("reset_peer", direction="in", only="^now$"))
    with Raw(server).open() as peer:
        peer.send(frame(TEXT, b"a"))
        assert peer.frame() == (TEXT, b"a")
        peer.send(frame(TEXT, b"now"))
        with pytest.raises(ConnectionResetError) as reset:
            peer.rest()
        assert reset.value.errno == errno.ECONNRESET
    ended(server)
    assert faults(server) == [("in", "text", "now", "reset_peer"), ("out", "abort", 0, "reset_peer")]


# The connection's state


def test_a_half_open_connection_stays_open_and_says_nothing(ws_mock: WsMock) -> None:
    server = ws_mock(Mock().echo().fault("half_open", after=1))
    with Raw(server).open() as peer:
        peer.send(frame(TEXT, b"a"))
        assert peer.frame() == (TEXT, b"a")
        peer.send(frame(TEXT, b"b") + frame(PING, b"?") + close_frame(1000))
        eventually(lambda: any(row[1] == "close" for row in rows(server)))
        peer.socket.settimeout(0.3)
        with pytest.raises(TimeoutError):
            peer.socket.recv(1)
        peer.socket.send(b"\x81\x80mask")  # TCP takes it still
    assert [row[:3] for row in faults(server)] == [("in", "text", "b"), ("out", "pong", 0), ("out", "close", 0)]


def test_a_silence_that_is_over_leaves_no_name_behind(ws_mock: WsMock) -> None:
    server = ws_mock(Mock().echo())
    with Raw(server).open() as peer:
        with server.fault("half_open"):
            peer.send(frame(PING, b"lost"))
            eventually(lambda: faults(server))
        peer.send(frame(PING, b"heard") + close_frame(1000))
        assert peer.frame() == (PONG, b"heard")
        assert peer.closed() == (1000, "")
    ended(server)
    assert faults(server) == [("out", "pong", 0, "half_open")]


def test_a_timeout_drops_all_and_ends_tcp_after_its_time(ws_mock: WsMock) -> None:
    server = ws_mock(Mock().echo().fault("timeout", timeout="100ms"))
    began = time.monotonic()
    with Raw(server).open() as peer:
        peer.send(frame(TEXT, b"a"))
        assert peer.rest() == b""
    assert time.monotonic() - began >= 0.1
    ended(server)
    assert faults(server) == [("in", "text", "a", "timeout"), ("out", "abort", 0, "timeout")]


def test_pings_are_not_answered_while_messages_are(ws_mock: WsMock) -> None:
    server = ws_mock(Mock().echo().fault("no_pong"))
    with Raw(server).open() as peer:
        peer.send(frame(PING, b"?") + frame(TEXT, b"a"))
        assert peer.frame() == (TEXT, b"a")
    assert faults(server) == [("out", "pong", 0, "no_pong")]


def test_tcp_outlives_the_closing_handshake(ws_mock: WsMock) -> None:
    server = ws_mock(Mock().echo().fault("slow_close", delay="200ms"))
    with Raw(server).open() as peer:
        peer.send(close_frame(1000))
        assert peer.frame()[0] == CLOSE
        began = time.monotonic()
        assert peer.rest() == b""
        assert time.monotonic() - began >= 0.19
    ended(server)
    assert faults(server) == [("out", "close", 0, "slow_close")]


def test_data_beyond_the_limit_is_cut_off(ws_mock: WsMock) -> None:
    server = ws_mock(Mock().replay(STEPS).fault("limit_data", size=30))
    with Raw(server).open() as peer:
        data = peer.rest()
    assert len(data) == 30
    assert data.endswith(b"messag")
    assert faults(server)[0][2:] == ("message 2", "limit_data")


def test_bandwidth_lets_so_many_bytes_through_a_second(ws_mock: WsMock) -> None:
    step = {"text": "x" * 1000}
    server = ws_mock(Mock().replay([step] * 5, then="close").bandwidth("20kB"))
    began = time.monotonic()
    assert len(said(server)) == 5
    assert time.monotonic() - began >= 0.25
    sent = server.traffic.df.query("opcode == 'text'")
    assert sent.delay_ms.tolist() == [50] * 5
    opened = server.traffic.df.elapsed.iloc[0]
    assert all(at - opened >= 0.05 * (number + 1) for number, at in enumerate(sent.elapsed))


def test_latency_may_be_the_other_way_only_some_messages_and_by_tag(ws_mock: WsMock) -> None:
    mock = (
        Mock()
        .when("^in$", "out", name="reply")
        .when("^tagged$", "tagged", name="slow")
        .latency((20, 30), direction="in")
        .latency(lambda message: len(message.text), only="^out")
        .latency(LatencyProfile(base_ms=5, tag_overrides={"slow": 40}))
    )
    server = ws_mock(mock)
    with server.client() as client:
        for text in ("in", "tagged"):
            client.send(text)
            client.recv(PATIENCE)
    rows_ = server.traffic.df.query("opcode == 'text'")
    came, left = rows_.query("direction == 'in'"), rows_.query("direction == 'out'")
    assert came.delay_ms.between(20, 30).all()
    assert left.delay_ms.tolist() == [3, 40]
    assert (left.elapsed.to_numpy() - came.elapsed.to_numpy() >= came.delay_ms.to_numpy() / 1000).all()


# The handshake


def test_a_rejection_has_its_status_body_and_headers(ws_mock: WsMock) -> None:
    server = ws_mock(Mock().reject(429, "slow down\n", {"Retry-After": "2"}, times=1))
    with pytest.raises(InvalidStatus) as refused:
        connect(server.url, proxy=None)
    response = refused.value.response
    assert (response.status_code, response.body, response.headers["Retry-After"]) == (429, b"slow down\n", "2")
    with server.client() as client:
        client.send("a")
        assert client.recv(PATIENCE) == "a"
    (row,) = server.traffic.select(connection=0).df.to_dict("records")
    assert (row["text"], row["fault"]) == ("GET /ws 429 Too Many Requests", "reject")


@pytest.mark.parametrize("status", [299, 430, 499, 520, 599])
def test_a_rejection_may_have_a_status_that_no_registry_knows(ws_mock: WsMock, status: int) -> None:
    server = ws_mock(Mock().reject(status, "no"))
    with pytest.raises(InvalidStatus) as refused:
        connect(server.url, proxy=None)
    response = refused.value.response
    assert (response.status_code, response.reason_phrase, response.body) == (status, "", b"no")
    (row,) = server.traffic.select(connection=0).df.to_dict("records")
    assert (row["text"], server.errors) == (f"GET /ws {status}", [])


def test_the_headers_of_a_rejection_take_the_place_of_its_own(ws_mock: WsMock) -> None:
    server = ws_mock(Mock().reject(503, "{}", {"content-type": "application/json", "Date": "today"}))
    with pytest.raises(InvalidStatus) as refused:
        connect(server.url, proxy=None)
    headers = refused.value.response.headers
    assert headers.get_all("Content-Type") == ["application/json"]
    assert headers.get_all("Date") == ["today"]
    assert headers["Content-Length"] == "2"


def test_a_rejection_without_a_body_says_nothing_of_one(ws_mock: WsMock) -> None:
    server = ws_mock(Mock().reject(204))
    with pytest.raises(InvalidStatus) as refused:
        connect(server.url, proxy=None)
    headers = refused.value.response.headers
    assert refused.value.response.status_code == 204
    assert not {"content-length", "content-type"} & {name.lower() for name in headers}


@pytest.mark.parametrize(
    ("name", "error"),
    [("wrong_accept", InvalidHandshake), ("missing_upgrade", InvalidHandshake), ("cut_handshake", InvalidMessage)],
)
def test_a_broken_handshake_fails_in_a_real_client(ws_mock: WsMock, name: str, error: type[Exception]) -> None:
    server = ws_mock(Mock().fault(name))
    with pytest.raises(error):
        connect(server.url, proxy=None, open_timeout=PATIENCE)
    (row,) = server.traffic.select(connection=0).df.to_dict("records")
    assert row["fault"] == name


def test_a_subprotocol_that_was_not_offered_fails_in_a_real_client(ws_mock: WsMock) -> None:
    server = ws_mock(Mock().fault("wrong_subprotocol", subprotocol="other"))
    with pytest.raises(InvalidHandshake, match="other"):
        connect(server.url, proxy=None, subprotocols=["mine"])  # type: ignore[list-item]  # a NewType of str


def test_the_answer_takes_its_time_attempt_by_attempt(ws_mock: WsMock) -> None:
    server = ws_mock(Mock().echo().connect_delay(["200ms", 0]))
    began = time.monotonic()
    with Raw(server) as peer:
        peer.open(then=frame(TEXT, b"early"))
        assert time.monotonic() - began >= 0.2
        assert peer.frame() == (TEXT, b"early")
    with Raw(server).open(then=frame(BINARY, b"second")) as peer:
        assert peer.frame() == (BINARY, b"second")
    shakes = server.traffic.df.query("opcode == 'handshake'")
    assert shakes.delay_ms.fillna(0).tolist() == [200, 0]


def test_a_client_that_goes_while_its_handshake_waits_leaves_nothing_behind(ws_mock: WsMock) -> None:
    server = ws_mock(Mock().fault("slow_handshake", delay=60))
    with Raw(server) as peer:
        peer.send(b"GET /ws HTTP/1.1\r\nHost: x\r\n")
        peer.send(
            b"Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
            b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
        )
        eventually(lambda: len(server.listener.sockets) == 1)
        peer.reset()
    server.stop()
    assert len(server.connections) == 0
    assert not server.listener.sockets


# Conditions that change


def test_conditions_hold_for_a_block_and_end_in_any_order(ws_mock: WsMock) -> None:
    server = ws_mock(Mock().echo())

    def answers() -> list[object]:
        for text in ("a", "b", "end"):
            client.send(text)
        return list(iter(lambda: client.recv(PATIENCE), "end"))

    with server.client() as client:
        assert answers() == ["a", "b"]
        lost = server.fault("drop", only="a")
        twice = server.fault("duplicate", only="b")
        assert answers() == ["b", "b"]
        lost.end()
        assert answers() == ["a", "b", "b"]
        with server.latency("10ms"):
            assert answers() == ["a", "b", "b"]
        twice.end()
        twice.end()
        assert answers() == ["a", "b"]
        assert repr(lost) == "<fault('drop', only='a'), over>"
    delays = server.traffic.df.query("direction == 'out' and opcode == 'text'").delay_ms
    assert delays.notna().sum() == 4


def test_a_server_that_is_down_refuses_and_comes_back_on_its_port(ws_mock: WsMock) -> None:
    server = ws_mock(Mock().echo())
    with Raw(server).open() as peer, server.down():
        assert peer.gone()
        with server.down():
            pass
        with pytest.raises(ConnectionRefusedError):
            socket.create_connection(("127.0.0.1", server.port), PATIENCE)
    with server.client() as client:
        client.send("back")
        assert client.recv(PATIENCE) == "back"


def test_an_outage_comes_and_goes_by_itself(ws_mock: WsMock) -> None:
    phases: list[tuple[Any, Mock | str]] = [(0.3, Mock()), ("0.4s", Mock().fault("half_open"))]
    ticks = [{"n": index} for index in range(12)]
    server = ws_mock(Mock().replay(ticks, rate=10, then="close").phases(phases))
    got = [json.loads(str(one))["n"] for one in said(server)]
    lost = [json.loads(row[2])["n"] for row in faults(server)]
    assert lost
    assert sorted([*got, *lost]) == list(range(12))
    assert got[:3] == [0, 1, 2]
    assert got[-3:] == [9, 10, 11]


def test_a_pong_and_a_close_are_untouched_by_faults_of_messages(ws_mock: WsMock) -> None:
    server = ws_mock(Mock().echo().fault("drop"))
    with Raw(server).open() as peer:
        peer.send(frame(TEXT, b"a") + frame(PING, b"p") + close_frame(4000))
        assert peer.frame() == (PONG, b"p")
        assert peer.closed() == (4000, "")
