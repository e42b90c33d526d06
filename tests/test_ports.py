"""Which port a server gets, who may have it, and that it is free again."""

from __future__ import annotations

import os
import socket
import threading
import time
import warnings
from collections.abc import Iterator
from pathlib import Path

import pytest

from mockforge_nb import BindError, Mock, OptionError, ProtocolError, TemplateError, stop_all

from .conftest import PATIENCE, Scripts, held

pytestmark = pytest.mark.usefixtures("nothing_left", "no_environment")


@pytest.fixture
def foreign() -> Iterator[int]:
    """A port that a socket of another program holds."""
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        one.listen()
        yield one.getsockname()[1]


def descriptors() -> int:
    return len(os.listdir("/proc/self/fd"))


# Which port


def test_the_environment_moves_the_default_port_and_host(no_environment: pytest.MonkeyPatch, free_port: int) -> None:
    no_environment.setenv("MOCKFORGE_WS_PORT", str(free_port))
    no_environment.setenv("MOCKFORGE_WS_HOST", "localhost")
    with Mock().serve() as server:
        assert server.url == f"ws://localhost:{free_port}/ws"
        with server.client() as client:
            client.send("over localhost")
            assert client.recv() == "over localhost"


def test_what_is_given_goes_before_the_environment(no_environment: pytest.MonkeyPatch, free_port: int) -> None:
    no_environment.setenv("MOCKFORGE_WS_PORT", "not a port, and not asked for")
    no_environment.setenv("MOCKFORGE_WS_HOST", "no.such.host.invalid")
    with Mock().serve(host="127.0.0.1", port=free_port) as server:
        assert server.port == free_port


@pytest.mark.parametrize("value", ["", "abc", "-1", "65536", "3001.5", "80 80"])
def test_a_broken_port_in_the_environment_is_an_error_that_names_the_variable(
    no_environment: pytest.MonkeyPatch, value: str
) -> None:
    no_environment.setenv("MOCKFORGE_WS_PORT", value)
    with pytest.raises(OptionError, match=f"MOCKFORGE_WS_PORT: '?{value}'? is no port; valid: 1 to 65535"):
        Mock().serve()


@pytest.mark.parametrize("value", ["no.such.host.invalid", "a b"])
def test_a_broken_host_in_the_environment_is_an_error_that_shows_it(
    no_environment: pytest.MonkeyPatch, value: str
) -> None:
    no_environment.setenv("MOCKFORGE_WS_HOST", value)
    with pytest.raises(BindError, match=f"{value!r} is no host of this machine"):
        Mock().serve(port=0)


def test_a_broken_host_in_the_environment_is_an_error_that_names_the_variable(
    no_environment: pytest.MonkeyPatch,
) -> None:
    no_environment.setenv("MOCKFORGE_WS_HOST", "no.such.host.invalid")
    with pytest.raises(BindError) as caught:
        Mock().serve(port=0)
    assert "MOCKFORGE_WS_HOST" in str(caught.value)


def test_an_empty_host_in_the_environment_does_not_open_the_server_to_the_network(
    no_environment: pytest.MonkeyPatch,
) -> None:
    no_environment.setenv("MOCKFORGE_WS_HOST", "")
    with Mock().serve(port=0) as server:
        assert {one.getsockname()[0] for one in server.listener.listening} == {"127.0.0.1"}


@pytest.mark.parametrize("port", [-1, 65_536, 10**9, 3001.0, "3001", True, "a", b"1"])
def test_what_is_no_port_is_refused_at_the_call(port: object) -> None:
    with pytest.raises(OptionError, match=r"serve\(port=\)") as caught:
        Mock().serve(port=port)  # type: ignore[arg-type]
    assert repr(port) in str(caught.value)
    assert "0 for any free port" in str(caught.value)


@pytest.mark.skipif(os.geteuid() == 0, reason="root may bind any port")
def test_a_privileged_port_says_which_ones_are_not() -> None:
    with pytest.raises(BindError, match=r"ports below 1024 need privileges.*port=0"):
        Mock().serve(port=1)


def test_an_address_of_another_machine_says_so() -> None:
    with pytest.raises(BindError, match=r"'192\.0\.2\.1' is no address of this machine"):
        Mock().serve(host="192.0.2.1", port=0)


@pytest.mark.parametrize("path", ["", "ws", "/a?b", "/a#b", "/a b", None, 3])
def test_a_path_that_is_none_starts_nothing(path: object) -> None:
    with pytest.raises(OptionError, match=r"serve\(path=\)"):
        Mock().serve(port=0, path=path)  # type: ignore[arg-type]


# Who may have it


def test_a_port_that_somebody_else_holds_is_an_error_that_names_port_0(foreign: int) -> None:
    for replace in (False, True):
        with pytest.raises(BindError, match=rf"127\.0\.0\.1:{foreign}: another program holds it.*port=0") as caught:
            Mock().serve(port=foreign, replace=replace)
        assert isinstance(caught.value, OSError)
        assert (caught.value.host, caught.value.port) == ("127.0.0.1", foreign)


def test_a_port_that_was_refused_can_be_had_once_it_is_free(free_port: int) -> None:
    with socket.socket() as one:
        one.bind(("127.0.0.1", free_port))
        one.listen()
        with pytest.raises(BindError):
            Mock().serve(port=free_port)
    with Mock().serve(port=free_port) as server:
        assert server.running


def test_a_second_server_on_a_port_is_an_error_that_names_the_first_and_the_ways_out() -> None:
    with Mock().serve(port=0) as server:
        with pytest.raises(BindError) as caught:
            Mock().serve(port=server.port)
        text = str(caught.value)
        assert f"<MockServer {server.url}, 0 connections>" in text
        assert f"{Path(__file__).name}:" in text
        assert ".stop()" in text
        assert "replace=True" in text
        assert "port=0" in text
        assert server.running
        with server.client() as client:
            client.send("still here")
            assert client.recv() == "still here"


def test_replace_takes_the_port_over_and_closes_the_first_servers_connections() -> None:
    first = Mock().echo("1 ").serve(port=0)
    with first.client() as old:
        old.send("a")
        assert old.recv() == "1 a"
        with Mock().echo("2 ").serve(port=first.port, replace=True) as second:
            assert (first.running, second.running) == (False, True)
            assert second.url == first.url
            assert old.drain(quiet=PATIENCE) == []
            assert old.close_code == 1001
            with second.client() as new:
                new.send("a")
                assert new.recv() == "2 a"
            assert len(first.traffic) > 0  # what it saw can still be read
            first.stop()
            assert second.running
            with pytest.raises(ProtocolError, match="is stopped"):
                first.send("x")


def test_replace_without_anything_to_replace_is_fine(free_port: int) -> None:
    with Mock().serve(port=free_port, replace=True) as server:
        assert server.port == free_port


def test_what_runs_on_the_servers_loop_cannot_start_another_and_says_so() -> None:
    def start() -> str:
        return Mock().serve(port=0).url

    server = Mock().replay([{"text": "{{start()}}"}]).templates(start=start).serve(port=0)
    with server.client():
        deadline = time.monotonic() + PATIENCE
        while not server.errors and time.monotonic() < deadline:
            time.sleep(0.01)
    server.stop()
    with pytest.raises(TemplateError, match="a server cannot be started by what runs on a server's own event loop"):
        server.check()


# It is free again


def test_a_port_can_be_had_again_at_once_though_a_client_was_connected(free_port: int) -> None:
    for round_ in range(5):
        server = Mock().echo(f"{round_} ").serve(port=free_port)
        client = server.client()
        client.send("x")
        assert client.recv() == f"{round_} x"
        server.stop()  # the server closes first: its side is the one in TIME_WAIT
        assert not held(free_port)
        client.close()


def test_stopping_waits_no_longer_than_it_says_for_a_peer_that_does_not_answer(free_port: int) -> None:
    server = Mock().serve(port=free_port)
    with socket.create_connection(("127.0.0.1", free_port)) as silent:
        silent.sendall(
            b"GET /ws HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n"
        )
        server.wait_connected()
        server.stop()
        assert not held(free_port)
        server.stop()
        with Mock().serve(port=free_port):
            pass


def test_stop_all_stops_every_server_also_those_whose_handle_is_lost() -> None:
    ports = [Mock().serve(port=0).port for _ in range(3)]
    kept = Mock().serve(port=0)
    with kept.client() as client:
        assert all(held(port) for port in [*ports, kept.port])
        stop_all()
        assert not any(held(port) for port in [*ports, kept.port])
        assert not kept.running
        client.drain(quiet=PATIENCE)
        assert client.close_code == 1001
    stop_all()


def test_fifty_servers_one_after_the_other_leave_no_thread_and_no_descriptor(free_port: int) -> None:
    def cycle(port: int) -> None:
        with Mock().serve(port=port) as server, server.client() as client:
            client.send("x")
            assert client.recv() == "x"

    def settled(wanted: int, count: object) -> int:
        deadline = time.monotonic() + PATIENCE
        while (now := count()) > wanted and time.monotonic() < deadline:  # type: ignore[operator]
            time.sleep(0.01)
        return int(now)

    for port in (free_port, 0):  # what is made once is made
        cycle(port)
    stop_all()
    time.sleep(0.05)
    threads, files = threading.active_count(), descriptors()
    for round_ in range(50):
        cycle(free_port if round_ % 2 else 0)
    assert settled(threads, threading.active_count) <= threads
    assert settled(files, descriptors) <= files


def test_many_threads_that_want_one_port_get_it_once(free_port: int) -> None:
    won, lost = [], []

    def want() -> None:
        try:
            won.append(Mock().serve(port=free_port))
        except BindError as error:
            lost.append(error)

    threads = [threading.Thread(target=want) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(PATIENCE)
    assert (len(won), len(lost)) == (1, 7)
    won[0].stop()


def test_threads_that_replace_each_others_server_leave_one(free_port: int) -> None:
    served = []

    def take() -> None:
        served.append(Mock().serve(port=free_port, replace=True))

    threads = [threading.Thread(target=take) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(PATIENCE)
    assert sum(server.running for server in served) == 1
    stop_all()
    assert not held(free_port)


def test_the_default_port_is_3001_and_the_default_host_this_machine(script: Scripts) -> None:
    # In a process of its own, and only if nobody else holds it.
    if held(3001):
        warnings.warn("port 3001 is held; the default is not tried", stacklevel=1)
        pytest.skip("port 3001 is held")
    ran = script("from mockforge_nb import Mock; print(Mock().serve().url)")
    assert (ran.code, ran.out, ran.err) == (0, "ws://127.0.0.1:3001/ws\n", "")
