"""A real browser as the client: headless Chromium, driven through its DevTools protocol."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from mockforge_nb import Mock, Script

Evaluate = Callable[..., Any]


TALK = """
const socket = new WebSocket(url);
socket.binaryType = "arraybuffer";
const seen = [];
return await new Promise(resolve => {
  socket.onopen = () => says.forEach(each => socket.send(Array.isArray(each) ? new Uint8Array(each) : each));
  socket.onmessage = event => {
    seen.push(typeof event.data === "string" ? event.data : [...new Uint8Array(event.data)]);
    if (seen.length === count) socket.close(4001, "enough");
  };
  socket.onclose = event => resolve({seen, code: event.code, reason: event.reason, clean: event.wasClean});
});
"""


def test_a_browser_gets_its_messages_back(ws_mock: Any, evaluate: Evaluate) -> None:
    server = ws_mock(Mock().echo())
    says = ["hello", "ä€😀", [0, 255, 1], "x" * 100_000]
    talk = evaluate(TALK, url=server.url, says=says, count=4)
    assert talk == {"seen": says, "code": 4001, "reason": "enough", "clean": True}
    df = server.traffic.df
    assert list(df[df.opcode == "close"].close_code) == [4001, 4001]
    assert "Chrome" in server.connections[0].headers["User-Agent"]


def test_a_browser_plays_a_script_with_a_wait_and_a_close(ws_mock: Any, evaluate: Evaluate) -> None:
    script = (
        '{"ts": 0, "text": "who?"}\n{"json": {"hello": "{{message}}"}, "waitFor": "^A"}\n{"close": true, "code": 4002}'
    )
    server = ws_mock(Mock().replay(Script.parse(script)).latency((20, 60)).seed(1))
    talk = evaluate(TALK, url=server.url, says=["Ada"], count=-1)
    assert talk == {"seen": ["who?", '{"hello":"Ada"}'], "code": 4002, "reason": "", "clean": True}


def test_a_browser_is_told_of_an_abort_and_of_an_unknown_path(ws_mock: Any, evaluate: Evaluate) -> None:
    server = ws_mock(Mock().replay([{"ts": 50, "text": "last", "error": True}]))
    talk = evaluate(TALK, url=server.url, says=[], count=-1)
    assert (talk["seen"], talk["code"], talk["clean"]) == (["last"], 1006, False)
    assert evaluate(TALK, url=server.url_for("/nowhere"), says=[], count=-1)["code"] == 1006
    assert "404" in server.traffic.df.text.iloc[-1]


@pytest.mark.parametrize(
    ("fault", "options", "seen"),
    [
        ("slicer", {"size": 3}, ["zero", "ünö"]),
        ("bad_frame", {"how": "rsv", "after": 1}, ["zero"]),
        ("bad_frame", {"how": "masked", "after": 1}, ["zero"]),
        ("bad_frame", {"how": "control", "after": 1}, ["zero"]),
        ("invalid_utf8", {"after": 1}, ["zero"]),
        ("reset_peer", {"after": 1}, ["zero"]),
        ("wrong_accept", {}, []),
        ("missing_upgrade", {}, []),
        ("wrong_subprotocol", {}, []),
        ("reject", {"status": 503}, []),
    ],
)
def test_a_browser_on_a_bad_day(
    ws_mock: Any, evaluate: Evaluate, fault: str, options: dict[str, Any], seen: list[str]
) -> None:
    server = ws_mock(Mock().replay(["zero", "ünö"], rate=100, then="close").fault(fault, **options))
    talk = evaluate(TALK, url=server.url, says=[], count=-1)
    assert talk["seen"] == seen
    assert (talk["code"], talk["clean"]) == ((1000, True) if fault == "slicer" else (1006, False))
    assert fault in set(server.traffic.df["fault"].dropna())


@pytest.mark.parametrize("compressed", [False, True])
def test_a_browser_cannot_tell_a_proxy(ws_mock: Any, evaluate: Evaluate, compressed: bool) -> None:
    real = ws_mock(Mock().echo().compression(compressed))
    server = ws_mock(Mock().proxy(real.url, compression=compressed).compression(compressed))
    says = ["hello", "ä€😀", [0, 255, 1], "x" * 100_000]
    talks = [evaluate(TALK, url=each.url, says=says, count=4) for each in (real, server)]
    assert talks[0] == talks[1] == {"seen": says, "code": 4001, "reason": "enough", "clean": True}
    assert ("permessage-deflate" in server.connections[0].upstream.headers.get("Sec-WebSocket-Extensions", "")) == (
        compressed
    )
