"""Chrome's own export and import of HAR files, by the developer tools that it brings."""

from __future__ import annotations

import base64
import json
from pathlib import Path
from typing import Any

import pytest

from mockforge_nb import Mock, Script

from .chromium import Chromium
from .devtools import DevTools, Frame
from .test_chromium import TALK

RECORDINGS = Path(__file__).parents[1] / "formats" / "recordings"


def read(name: str) -> dict[str, Any]:
    har: dict[str, Any] = json.loads((RECORDINGS / name).read_text(encoding="utf-8"))
    return har


@pytest.mark.parametrize("name", ["mitmproxy.har", "chrome.har", "playwright.har"])
def test_chrome_imports_a_recording_with_its_frames_in_order(devtools: DevTools, name: str) -> None:
    page, data, chat, other = devtools.imported(read(name))
    assert [each.status for each in (page, data, chat, other)] == [200, 200, 101, 101]
    assert [each.method for each in (page, data, chat, other)] == ["GET"] * 4
    assert [each.type for each in (chat, other)] == ["websocket", "websocket"]
    assert (page.frames, data.frames) == ([], [])
    assert [(each.type, each.opcode, each.text) for each in chat.frames] == [
        ("receive", 1, "welcome"),
        ("send", 1, '{"id":1,"op":"ask"}'),
        ("receive", 1, '{"id":1,"ok":true}'),
        ("send", 2, "AP8B"),
        ("receive", 2, "Af8A"),
        ("send", 1, "ä€😀"),
        ("receive", 1, "ä€😀"),
        ("send", 1, "bye"),
    ]
    assert [each.text for each in other.frames] == ["welcome", '{"id":2,"op":"ask"}', '{"id":2,"ok":true}']
    times = [each.time for each in chat.frames + other.frames]
    assert times == sorted(times)


def test_chrome_exports_what_a_page_said_and_heard(ws_mock: Any, devtools: DevTools) -> None:
    server = ws_mock(Mock().echo())
    says = ["hello", "ä€😀", [0, 255, 1]]
    assert devtools.page.evaluate(TALK, url=server.url, says=says, count=3)["seen"] == says
    har = devtools.exported()
    [entry] = har["log"]["entries"]
    assert (entry["_resourceType"], entry["response"]["status"]) == ("websocket", 101)
    assert entry["request"]["url"].rstrip("/") == server.url.rstrip("/")
    frames = entry["_webSocketMessages"]
    binary = base64.b64encode(bytes([0, 255, 1])).decode()
    for way in ("send", "receive"):
        said = [(each["opcode"], each["data"]) for each in frames if each["type"] == way]
        assert said == [(1, "hello"), (1, "ä€😀"), (2, binary)]
    # It takes back what it gave.
    [again] = devtools.imported(har)
    assert (again.url, again.type) == (entry["request"]["url"], "websocket")
    assert again.frames == [Frame(each["type"], each["opcode"], each["data"], each["time"]) for each in frames]


def test_chrome_exports_every_connection_of_a_page(ws_mock: Any, browser: Chromium, devtools: DevTools) -> None:
    server = ws_mock(Mock().echo().route("/other", Mock().replay(["one", "two"])))
    devtools.page.evaluate(TALK, url=server.url, says=["x"], count=1)
    devtools.page.evaluate(TALK, url=server.url_for("/other"), says=[], count=2)
    # What another page does is none of this one's.
    another = browser.open()
    another.evaluate(TALK, url=server.url, says=["y"], count=1)
    another.close()
    entries = devtools.exported()["log"]["entries"]
    said = [[(each["type"], each["data"]) for each in entry["_webSocketMessages"]] for entry in entries]
    assert said == [[("send", "x"), ("receive", "x")], [("receive", "one"), ("receive", "two")]]


def test_chrome_shows_what_was_saved_and_what_it_exports_is_played_to_it(
    ws_mock: Any, devtools: DevTools, tmp_path: Path
) -> None:
    server = ws_mock(Mock().replay([*BANTER, {"close": True, "code": 4002, "reason": "bye"}]))
    talk = devtools.page.evaluate(TALK, url=server.url, says=["Ada", [1, 255]], count=-1)
    assert (talk["seen"], talk["code"], talk["reason"]) == (["who?", "hello ä", [0, 255]], 4002, "bye")
    server.traffic.save(tmp_path / "ours.har")
    [shown] = devtools.imported(json.loads((tmp_path / "ours.har").read_text()))
    assert (shown.url, shown.method, shown.status, shown.type) == (server.url, "GET", 101, "websocket")
    close = base64.b64encode((4002).to_bytes(2, "big") + b"bye").decode()
    # The browser says both at once, so what it says may stand before or behind an answer.
    for way, expected in (
        ("receive", [(1, "who?"), (1, "hello ä"), (2, "AP8="), (8, close)]), ("send", [(1, "Ada"), (2, "Af8=")]),
    ):  # fmt: skip
        assert [(each.opcode, each.text) for each in shown.frames if each.type == way] == expected
    (tmp_path / "chrome.har").write_text(json.dumps(devtools.exported()))
    for file in ("chrome.har", "ours.har"):
        again = ws_mock(Mock().replay(Script.load(tmp_path / file), then="close"))
        assert devtools.page.evaluate(TALK, url=again.url, says=["Ada", [1, 255]], count=-1)["seen"] == talk["seen"]


BANTER = [
    {"text": "who?"}, {"dir": "in", "text": "Ada", "match": "exact"}, {"text": "hello ä"},
    {"dir": "in", "binary": "Af8=", "match": "exact"}, {"binary": "AP8="},
]  # fmt: skip
