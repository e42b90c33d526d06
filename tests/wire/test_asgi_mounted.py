"""What an ASGI application cannot do and says so, and a mock that is mounted in other applications."""

from __future__ import annotations

import asyncio
import json
import urllib.error
import urllib.request
from typing import Any

import pandas as pd
import pytest
from fastapi import FastAPI
from starlette.applications import Starlette
from starlette.routing import Mount, WebSocketRoute
from starlette.testclient import TestClient, WebSocketDenialResponse
from starlette.websockets import WebSocketDisconnect
from websockets.sync.client import connect

from mockforge_nb import Mock
from mockforge_nb.asgi import REFUSED, MockApp
from mockforge_nb.core.faults import FAULTS
from mockforge_nb.errors import OptionError, ProtocolError
from mockforge_nb.wire.scope import path_of

from .hosts import HOSTS, Driven, drain, hosted, refusal
from .raw import PATIENCE

COLUMNS = ("connection", "path", "direction", "opcode", "text", "data", "size", "step", "rule", "due_ms", "delay_ms",
           "fault", "close_code", "close_reason")  # fmt: skip
"""What of the traffic is the same for the same conversation, whoever holds the socket."""

pytestmark = pytest.mark.filterwarnings("ignore:remove second argument of ws_handler")  # uvicorn's oldest way

# What cannot be


def test_every_fault_works_or_is_refused() -> None:
    for name in FAULTS:
        mock = Mock().fault(name)
        if name in REFUSED:
            with pytest.raises(OptionError, match=rf"asgi\(\): '{name}' .*serve\(\)"):
                mock.asgi()
        else:
            assert isinstance(mock.asgi(), MockApp)
    assert f"``{' '.join(REFUSED)}``" in " ".join(str(Mock.asgi.__doc__).split())


@pytest.mark.parametrize(
    ("mock", "names"),
    [
        (Mock().compression(), "compression"),
        (Mock().limits(handshake_seconds=1), "handshake_seconds=1"),
        (Mock().preset("train"), "half_open"),
        (Mock().preset("flaky_wifi"), "reset_peer"),
        (Mock().route("/a", Mock().phases([(1, Mock().fault("no_pong"))])), "no_pong"),
    ],
)
def test_what_is_the_servers_is_refused_before_and_later(mock: Mock, names: str) -> None:
    with pytest.raises(OptionError, match=rf"asgi\(\): .*{names}"):
        mock.asgi()
    app = Mock().asgi()
    with pytest.raises(OptionError, match=rf"update\(\): .*{names}"):
        app.update(mock)
    assert app.mock == Mock()


def test_live_words_that_cannot_be_change_nothing() -> None:
    app = Mock().asgi()
    with pytest.raises(OptionError, match=r"fault\(\): 'slicer' .*whole messages"):
        app.fault("slicer")
    with pytest.raises(OptionError, match=r"preset\(\): 'half_open'"):
        app.preset("train")
    assert app.live == []
    with pytest.raises(ProtocolError, match=r"down\(\): .*\.reject\(503\)"):
        app.down()
    with pytest.raises(AttributeError, match="the ASGI server's"):
        app.port  # noqa: B018
    with pytest.raises(ProtocolError, match="first request"):
        app.url  # noqa: B018
    assert repr(app) == "<MockApp /ws, 0 connections>"
    assert "/ws" in app._repr_html_()


def test_a_ping_cannot_be_sent() -> None:
    app = Mock().asgi()
    with hosted(app) as url, connect(f"{url}/ws"), pytest.raises(ProtocolError, match="pings are the ASGI server's"):
        app.wait_connected(timeout=PATIENCE).ping()


def test_plain_http_is_told_what_this_is() -> None:
    app = Mock().route("/a", Mock()).route("/b", Mock()).asgi()
    with hosted(app) as url:
        for path, status, text in (("/a", 426, "connect to /a with"), ("/c", 404, "serves /a, /b")):
            with pytest.raises(urllib.error.HTTPError, match=str(status)) as answered:
                urllib.request.urlopen(url.replace("ws", "http", 1) + path)
            with answered.value as response:
                assert text in response.read().decode()


def test_trio_is_told_what_runs_it() -> None:
    app = Mock().asgi()

    async def nothing() -> Any:
        return {"type": "lifespan.startup"}

    coroutine = app({"type": "lifespan"}, nothing, nothing)  # type: ignore[arg-type]
    with pytest.raises(ProtocolError, match="runs on asyncio"):
        coroutine.send(None)  # as a loop would that is not asyncio's


# Mounted


def get(url: str) -> object:
    with connect(url) as client:
        client.send("hi")
        return client.recv(PATIENCE)


def test_mounted_in_starlette_its_paths_are_those_behind_the_mount() -> None:
    prices = Mock().echo().route("/prices/{symbol}", Mock().when(".", "{{path.symbol}}"))
    exact = Mock().echo("exact ").asgi(path="/exact")
    app = prices.asgi()
    outer = Starlette(
        routes=[
            WebSocketRoute("/exact", exact),
            Mount("/api", routes=[Mount("/live", app=app)]),
            Mount("", app=Mock().echo("last ").asgi()),
        ]
    )
    with hosted(outer) as url:
        assert get(f"{url}/api/live/") == get(f"{url}/api/live/ws") == "hi"
        assert get(f"{url}/api/live/prices/a%2Fb") == "a/b"
        assert get(f"{url}/exact") == "exact hi"
        assert get(f"{url}/ws") == "last hi"
        assert app.url == f"{url}/api/live/ws"
        assert "serves /ws, /prices/{symbol}" in refusal(f"{url}/api/live/nothing")[1]
    assert list(app.connections.df["path"]) == ["/ws", "/ws", "/prices/a%2Fb"]


@pytest.mark.parametrize(("by", "root"), [*((by, "/behind") for by in HOSTS[:3]), ("hypercorn", "")])
def test_mounted_in_fastapi_under_a_root_path(by: str, root: str) -> None:
    mock = Mock().echo().asgi()
    outer = FastAPI()

    @outer.get("/push")
    async def push() -> int:
        return mock.send("pushed")

    outer.mount("/ws", mock)
    with hosted(outer, by, root_path=root) as url, connect(f"{url}/ws/") as client:
        mock.wait_connected(timeout=PATIENCE)
        with urllib.request.urlopen(url.replace("ws", "http", 1) + "/push") as response:
            assert response.read() == b"1"
        assert client.recv(PATIENCE) == "pushed"


def test_starlettes_test_client_on_one_loop_and_on_several() -> None:
    mock = Mock().replay(pd.DataFrame({"n": [1, 2]}), then="close").asgi()
    outer = Starlette(routes=[Mount("/feed", app=mock)])
    client = TestClient(outer)
    for _ in range(2):
        with client.websocket_connect("/feed/") as ws:
            assert [ws.receive_json(), ws.receive_json()] == [{"n": 1}, {"n": 2}]
            with pytest.raises(WebSocketDisconnect) as closed:
                ws.receive_text()
            assert closed.value.code == 1000
    with pytest.raises(WebSocketDenialResponse) as refused, client.websocket_connect("/feed/other"):
        pass
    assert refused.value.status_code == 404
    with client, client.websocket_connect("/feed/") as one, client.websocket_connect("/feed/") as other:
        assert one.receive_json() == other.receive_json() == {"n": 1}
    assert len(mock.connections) == 4
    mock.check()


def test_two_loops_at_once_are_an_error_that_says_so() -> None:
    app = Mock().asgi()
    with (
        TestClient(app).websocket_connect("/ws"),
        pytest.raises(ProtocolError, match="one loop at a time"),
        TestClient(app).websocket_connect("/ws"),
    ):
        pass


def test_a_server_without_the_response_extension_gets_a_close() -> None:
    async def main() -> Any:
        return await Driven(Mock().asgi(), path="/none").tell("websocket.connect")

    assert asyncio.run(main()) == {"type": "websocket.close", "code": 1000, "reason": ""}


@pytest.mark.parametrize(
    ("scope", "path"),
    [
        ({"path": "/a b", "raw_path": b"/a%20b"}, ("/a%20b", False)),
        ({"path": "/a/b", "raw_path": b"/a%2Fb?q=1"}, ("/a%2Fb", False)),
        ({"path": "/ü"}, ("/%C3%BC", False)),
        ({"path": "/m n/a/b", "raw_path": b"/m%20n/a%2Fb", "root_path": "/m n"}, ("/a%2Fb", True)),
        ({"path": "/m", "raw_path": b"/m", "root_path": "/m"}, ("", True)),
        ({"path": "/m/", "root_path": "/m/"}, ("/", True)),
        ({"path": "/changed/x", "raw_path": b"/m/x", "root_path": "/changed"}, ("/x", True)),
        ({"path": "/rewritten", "raw_path": b"/original", "root_path": ""}, ("/rewritten", False)),
        ({"path": "/mm/a", "raw_path": b"/mm/a", "root_path": "/m"}, ("/mm/a", True)),
    ],
)
def test_a_path_is_what_follows_the_mount_as_it_was_sent(scope: dict[str, Any], path: tuple[str, bool]) -> None:
    assert path_of(scope) == path


# Recordings


def test_a_recording_is_whole_when_the_application_stops(tmp_path: Any) -> None:
    app = Mock().replay([{"text": "a"}, {"text": "b"}], then="close").record(tmp_path / "feed.jsonl").asgi()
    with hosted(app) as url, connect(f"{url}/ws") as client:
        assert drain(client)[0] == ["a", "b"]
    app.stop()
    lines = (tmp_path / "feed.jsonl").read_text().splitlines()
    assert [json.loads(line)["text"] for line in lines if '"text"' in line] == ["a", "b"]
