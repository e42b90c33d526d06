"""Recordings that other tools really made: `recordings/make.py` has how."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from mockforge_nb import Mock, Script, ScriptError
from mockforge_nb.pytest_plugin import WsMock

FOLDER = Path(__file__).parent / "recordings"
FILES = ["chrome.har", "playwright.har", "mitmproxy.har", "mitmproxy.flow"]

CHAT = [
    ("out", "welcome"), ("in", {"id": 1, "op": "ask"}), ("out", {"id": 1, "ok": True}), ("in", b"\x00\xff\x01"),
    ("out", b"\x01\xff\x00"), ("in", "ä€😀"), ("out", "ä€😀"), ("in", "bye"),
]  # fmt: skip


def said(script: Script) -> list[tuple[str, Any]]:
    return [(step.dir, step.payload.value) for step in script if step.payload is not None]


@pytest.mark.parametrize("name", FILES)
def test_each_says_the_same(name: str) -> None:
    chat = Script.load(FOLDER / name, url="/chat")
    assert said(chat) == CHAT
    # Only a flow file has how a connection ended.
    assert [(step.close, step.reason) for step in chat if step.close] == ([(4001, "enough")] if "flow" in name else [])
    assert chat.recorded.subprotocol == "chat"
    times = [step.ts or 0.0 for step in chat]
    assert times == sorted(times)
    assert times[-1] < 60_000
    other = Script.load(FOLDER / name, connection=2)
    assert said(other)[0] == ("out", "welcome")
    assert not any(step.ends for step in other)
    with pytest.warns(UserWarning, match="has 2 connections"):
        assert Script.load(FOLDER / name) == chat


def test_of_firefox_who_exports_no_messages_it_is_told() -> None:
    with pytest.raises(ScriptError) as raised:
        Script.load(FOLDER / "firefox.har")
    assert "nothing was said in it: it has 2 WebSocket connections" in str(raised.value)
    assert "export messages, Firefox does not" in str(raised.value)


@pytest.mark.parametrize("name", FILES)
@pytest.mark.parametrize("cassette", [False, True])
def test_each_is_played(ws_mock: WsMock, name: str, cassette: bool) -> None:
    mock = Mock().replay(Script.load(FOLDER / name, url="/chat"))
    if cassette:
        mock = Mock().route("/chat", Mock().proxy("wss://no.example", record=FOLDER / name, record_mode="none"))
    server = ws_mock(mock)
    with server.client("/chat" if cassette else None, subprotocols=["chat"]) as client:
        heard: list[Any] = [client.recv()]
        for message in ({"op": "ask", "id": 1}, b"\x00\xff\x01", "ä€😀"):
            client.send(message)
            heard.append(client.recv())
        assert heard == ["welcome", '{"id":1,"ok":true}', b"\x01\xff\x00", "ä€😀"]
        client.send("bye")
        if "flow" in name:
            client.drain()
            assert client.close_code == 4001
