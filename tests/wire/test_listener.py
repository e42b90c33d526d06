"""The server over real sockets: echo, push, close, where it is, and its limits."""

from __future__ import annotations

import socket
from typing import Any

import pytest
from websockets.exceptions import ConnectionClosedError, InvalidStatus
from websockets.sync.client import connect

from mockforge_nb import Mock, ProtocolError
from mockforge_nb.errors import BindError, OptionError
from mockforge_nb.pytest_plugin import WsMock

from .raw import BINARY, TEXT, Raw, ended, frame, refusals, rows, still_echoes

MIB = 2**20


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


def test_the_url_is_that_of_the_served_path(ws_mock: WsMock) -> None:
    server = ws_mock(Mock().echo(), path="/prices/live")
    assert server.url == f"ws://127.0.0.1:{server.port}/prices/live" == server.url_for("/prices/live")
    with server.client() as client:
        client.send("x")
        assert client.recv() == "x"
    with pytest.raises(OptionError):
        server.url_for("prices")


def test_a_query_is_kept_and_no_part_of_the_path(ws_mock: WsMock) -> None:
    server = ws_mock(Mock().replay([{"text": "{{query.symbol}} {{headers['x-mine']}}"}]))
    with connect(f"{server.url}?symbol=A%20B&empty=", proxy=None, additional_headers={"X-Mine": "yes"}) as client:
        assert client.recv(20) == "A B yes"
    connection = server.connections[0]
    assert (connection.path, connection.request.query) == ("/ws", {"symbol": "A B", "empty": ""})
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
    with pytest.raises(BindError, match=r"is no (host|address) of this machine"):
        Mock().serve(host=host, port=0)
