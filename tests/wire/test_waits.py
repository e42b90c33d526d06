"""Waiting for clients and their messages."""

from __future__ import annotations

import threading
import time

import pytest

from mockforge_nb import ExpectationError, ExpectationTimeoutError, Mock
from mockforge_nb.errors import MockForgeError
from mockforge_nb.pytest_plugin import WsMock

from .raw import eventually, still_echoes

MIB = 2**20


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
    with pytest.raises(TimeoutError, match=r"1 connection to ws://.* did not come within 0.01 s; 0 came"):
        server.wait_connected(timeout="10ms")
    with server.client() as client:
        client.send("hullo")
        assert client.recv() == "hullo"
        with pytest.raises(ExpectationTimeoutError, match=r"'hello' did not come[^$]*hullo"):
            server.wait_for("hello", timeout=0.01)
        with pytest.raises(AssertionError, match=r"2 x a message .* 1 did"):
            server.wait_for("hullo", n=2, timeout=0.01)
        with pytest.raises(ExpectationTimeoutError, match=r"2 connections .* 1 came"):
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
