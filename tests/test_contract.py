"""`Script.play_against`: does a real server still say what was recorded of it?"""

from __future__ import annotations

import asyncio
import json
import socket
import ssl
import threading
from collections.abc import Iterator
from http import HTTPStatus
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import trustme

from mockforge_nb import ExpectationError, Message, Mock, OptionError, Script, ScriptError, UnreachableError
from mockforge_nb.contract import Verdicts
from mockforge_nb.pytest_plugin import WsMock

from .conftest import PATIENCE, Scripts
from .wire.upstreams import Upstream, with_aiohttp, with_websockets

SOON = 0.3
"""A timeout of what never comes."""


@pytest.fixture
def upstreams() -> Iterator[list[Upstream]]:
    """Servers that are stopped in the end."""
    running: list[Upstream] = []
    yield running
    for one in running:
        one.stop()


@pytest.fixture
def run(upstreams: list[Upstream]) -> Any:
    """Run a handler under the `websockets` library and return its URL."""

    def start(handler: Any, **options: Any) -> str:
        upstreams.append(with_websockets(handler, **options))
        return upstreams[-1].url

    return start


def shop(**changes: Any) -> Any:
    """A server that greets, answers by what it is asked, and closes on `bye`."""

    async def handle(ws: Any) -> None:
        await ws.send(json.dumps({"hello": "shop", "v": changes.get("v", 1)}))
        async for text in ws:
            if text == "bye":
                if "abort" in changes:
                    ws.transport.abort()
                await ws.close(changes.get("code", 4000), changes.get("reason", "bye"))
                return
            asked = json.loads(text)
            ws.seen.append(asked)
            if asked["op"] in changes.get("silent", ()):
                continue
            if "before" in changes:
                await ws.send(json.dumps({"notice": changes["before"]}))
            await ws.send(json.dumps({"re": asked["op"], "price": changes.get("price", 5)}))
            if asked["op"] == changes.get("leaves"):
                await ws.close(1011, "oh")

    return handle


ASKED = [
    {"ts": 1, "json": {"hello": "shop", "v": 1}},
    {"ts": 2, "dir": "in", "json": {"op": "buy"}, "match": "json"},
    {"ts": 3, "json": {"re": "buy", "price": 5}},
    {"ts": 4, "dir": "in", "json": {"op": "sell"}, "match": "json"},
    {"ts": 5, "json": {"re": "sell", "price": 5}},
]
BYE = [
    {"ts": 6, "dir": "in", "text": "bye", "match": "exact"},
    {"ts": 7, "close": True, "code": 4000, "reason": "bye"},
]
SHOP = Script.of([*ASKED, *BYE])
OPEN = Script.of(ASKED)


def words(verdicts: Verdicts) -> list[str]:
    return list(verdicts.df["verdict"])


def test_a_recording_of_a_server_plays_against_it(ws_mock: WsMock, run: Any, tmp_path: Path) -> None:
    url = run(shop())
    path = tmp_path / "shop.jsonl"
    proxy = ws_mock(Mock().proxy(url, record=path))
    with proxy.client() as client:
        client.recv(PATIENCE)
        for op in ("buy", "sell"):
            client.send({"op": op})
            client.recv(PATIENCE)
        client.send("bye")
        assert client.drain() == []
    proxy.stop()
    recording = Script.load(path)
    verdicts = recording.play_against(url, timeout=PATIENCE)
    assert words(verdicts) == ["ok", "sent", "ok", "sent", "ok", "sent", "ok"]
    assert verdicts.ok
    assert verdicts
    assert verdicts.counts == {"sent": 3, "ok": 4}
    assert repr(verdicts) == f"<Verdicts {path}, 3 sent, 4 ok>"
    verdicts.raise_for_failures()
    assert verdicts.failures.empty
    # The mock that replays it says the same, in another thread of this process.
    assert recording.play_against(ws_mock(Mock().replay(recording)).url, speed="max", timeout=PATIENCE)


def test_a_server_of_another_library(upstreams: list[Upstream]) -> None:
    async def handle(ws: Any) -> None:
        await ws.send_str('{"hello": "shop", "v": 1, "new": [1]}')
        for _ in range(2):
            asked = await ws.receive_json()
            await ws.send_json({"re": asked["op"], "price": 5})
        await ws.receive_str()
        await ws.close(code=4000, message=b"bye")

    upstreams.append(with_aiohttp(handle))
    assert SHOP.play_against(upstreams[0].url + "/any", timeout=PATIENCE).ok


def test_a_server_that_changed_is_told_by_its_differences(run: Any) -> None:
    verdicts = SHOP.play_against(run(shop(price=6, v=1)), timeout=PATIENCE)
    assert not verdicts
    assert repr(verdicts) == (
        "<Verdicts <list>, 3 sent, 2 ok, 2 differs>\n"
        "step 2 (line 3): differs\n"
        '  recorded {"re":"buy","price":5}\n'
        '  got      {"re": "buy", "price": 6}\n'
        "  $.price: recorded 5, got 6\n"
        "step 4 (line 5): differs\n"
        '  recorded {"re":"sell","price":5}\n'
        '  got      {"re": "sell", "price": 6}\n'
        "  $.price: recorded 5, got 6"
    )
    with pytest.raises(ExpectationError) as caught:
        verdicts.raise_for_failures()
    first, _, rest = str(caught.value).partition("\n")
    assert first == f"{verdicts.url} is not as <list> recorded it: 3 sent, 2 ok, 2 differs"
    assert rest == repr(verdicts).partition("\n")[2]
    assert list(verdicts.failures["step"]) == [2, 4]
    assert SHOP.play_against(run(shop(price=6)), ignore=["$.price"], timeout=PATIENCE)
    assert SHOP.play_against(run(shop(price=6)), match="types", timeout=PATIENCE)
    assert not SHOP.play_against(run(shop(price="6")), match="types", timeout=PATIENCE)
    assert SHOP.play_against(run(shop(price=6)), match=lambda one: one.json.get("re"), timeout=PATIENCE)


def test_the_table(run: Any) -> None:
    df = SHOP.play_against(run(shop(before="sale")), timeout=PATIENCE).df
    assert list(df.columns) == [
        "step", "line", "ts_ms", "elapsed", "direction", "verdict", "recorded", "received", "differences",
    ]  # fmt: skip
    assert list(df["verdict"]) == ["ok", "sent", "unexpected", "ok", "sent", "unexpected", "ok", "sent", "ok"]
    assert list(df["direction"]) == ["out", "in", "out", "out", "in", "out", "out", "in", "out"]
    assert df["step"].tolist() == [0, 1, pd.NA, 2, 3, pd.NA, 4, 5, 6]
    assert df["ts_ms"].dropna().tolist() == [1, 2, 3, 4, 5, 6, 7]
    assert df["elapsed"].is_monotonic_increasing
    assert df["received"][1] == '{"op":"buy"}'
    assert df["received"][2] == '{"notice": "sale"}'
    assert df["recorded"][8] == df["received"][8] == "close 4000 bye"


def test_more_than_was_recorded(run: Any) -> None:
    url = run(shop(before="sale"))
    verdicts = SHOP.play_against(url, timeout=PATIENCE)
    assert verdicts.counts == {"sent": 3, "ok": 4, "unexpected": 2}
    assert 'after step 1: unexpected\n  got      {"notice": "sale"}' in repr(verdicts)
    loose = SHOP.play_against(url, extra=True, timeout=PATIENCE)
    assert loose
    assert loose.counts == verdicts.counts


def test_what_was_not_recorded_does_not_count_for_what_was(run: Any) -> None:
    async def handle(ws: Any) -> None:
        for _ in range(5):
            await ws.send("beat")
        await asyncio.sleep(SOON)
        await ws.send("hello")
        asked = await ws.recv()
        await ws.send("beat")
        await asyncio.sleep(SOON)
        await ws.send(f"you said {asked}")
        await ws.wait_closed()

    script = Script.of([{"text": "hello"}, {"dir": "in", "text": "hi", "match": "exact"}, {"text": "you said hi"}])
    for order in (True, False):
        verdicts = script.play_against(run(handle), extra=True, order=order, timeout=PATIENCE)
        assert verdicts
        assert [word for word in words(verdicts) if word != "unexpected"] == ["ok", "sent", "ok"]
        df = verdicts.df.set_index("step")
        assert df["elapsed"][1] >= df["elapsed"][0]


def test_what_does_not_come_is_missing_and_the_rest_is_said_nevertheless(run: Any) -> None:
    verdicts = SHOP.play_against(run(shop(silent=["buy"])), timeout=SOON)
    assert words(verdicts) == ["ok", "sent", "missing", "sent", "ok", "sent", "ok"]
    assert repr(verdicts).endswith('step 2 (line 3): missing\n  recorded {"re":"buy","price":5}')
    assert words(OPEN.play_against(run(shop(silent=["sell"])), timeout=SOON))[-1] == "missing"


def test_a_message_too_many_does_not_stand_for_the_last_one(run: Any) -> None:
    async def handle(ws: Any) -> None:
        for text in ("a", "x", "b"):
            await ws.send(text)
        await asyncio.sleep(0.05)
        await ws.send("c")
        await ws.wait_closed()

    verdicts = Script.of(["a", "b", "c"]).play_against(run(handle), timeout=PATIENCE)
    assert words(verdicts) == ["ok", "unexpected", "ok", "ok"]


def test_what_comes_until_the_close_counts(run: Any) -> None:
    async def handle(ws: Any) -> None:
        for text in ("b", "a", "a"):
            await ws.send(text)
        await ws.wait_closed()

    script = Script.of(["a", "b"])
    assert words(script.play_against(run(handle), timeout=PATIENCE, order=False)) == ["ok", "ok", "unexpected"]


def test_an_early_end(run: Any) -> None:
    # A message may be on its way to a server that is about to leave, so the first behind its end may have been sent.
    late = ("sent", "unsent")
    verdicts = SHOP.play_against(run(shop(leaves="buy")), timeout=PATIENCE)
    said = words(verdicts)
    assert (said[:3], said[4:]) == (["ok", "sent", "ok"], ["missing", "unsent", "differs"])
    assert said[3] in late
    assert verdicts.df["differences"][5] == "the connection had ended: close 1011 oh"
    verdicts = OPEN.play_against(run(shop(leaves="buy")), timeout=PATIENCE)
    said = words(verdicts)
    assert (said[:3], said[4:]) == (["ok", "sent", "ok"], ["missing", "unexpected"])
    assert said[3] in late
    assert verdicts.df["received"].tolist()[-1] == "close 1011 oh"


def test_a_server_that_closes_at_once(run: Any) -> None:
    async def handle(ws: Any) -> None:
        await ws.close(1013, "busy")

    url = run(handle)
    script = Script.of([{"dir": "in", "text": "a", "match": "exact"}, {"text": "b"}])
    for _ in range(20):
        verdicts = script.play_against(url, timeout=PATIENCE)
        assert words(verdicts)[1:] == ["missing", "unexpected"]
        assert verdicts.df["received"].tolist()[-1] == "close 1013 busy"


def test_how_it_closes(run: Any) -> None:
    verdicts = SHOP.play_against(run(shop(code=1011, reason="bye")), timeout=PATIENCE)
    assert repr(verdicts).partition("\n")[2] == (
        "step 6 (line 7): differs\n  recorded close 4000 bye\n  got      close 1011 bye\n"
        "  code: recorded 4000, got 1011"
    )
    assert words(SHOP.play_against(run(shop(reason="so long")), timeout=PATIENCE))[-1] == "differs"
    assert words(SHOP.play_against(run(shop(abort=True)), timeout=PATIENCE))[-1] == "differs"
    aborted = Script.of([*ASKED, BYE[0], {"error": True}], rows=False)
    assert aborted.play_against(run(shop(abort=True)), timeout=PATIENCE)

    async def stays(ws: Any) -> None:
        await ws.send("a")
        await ws.wait_closed()
        ws.seen.append(ws.close_code)

    url = run(stays)
    assert words(Script.of([{"text": "a"}, {"close": True}]).play_against(url, timeout=SOON)) == ["ok", "missing"]
    assert Script.of(["a"]).play_against(url, timeout=PATIENCE)


def test_we_close_with_1000(upstreams: list[Upstream]) -> None:
    closed = threading.Event()

    async def handle(ws: Any) -> None:
        await ws.wait_closed()
        ws.seen.append(ws.close_code)
        closed.set()

    upstreams.append(with_websockets(handle))
    assert Script().play_against(upstreams[0].url)
    assert closed.wait(PATIENCE)
    assert upstreams[0].seen == [1000]


def test_a_server_that_breaks_the_protocol_is_told(ws_mock: WsMock) -> None:
    server = ws_mock(Mock().replay(["hello"]).fault("invalid_utf8"))
    verdicts = Script.of(["hello"]).play_against(server.url, timeout=PATIENCE)
    assert words(verdicts) == ["missing", "unexpected"]
    assert "abort (1007" in verdicts.df["received"][1]


def session(path: str = "session") -> Any:
    async def handle(ws: Any) -> None:
        number = len(ws.seen) + 100
        await ws.send(json.dumps({"session": number, "n": 1}))
        asked = json.loads(await ws.recv())
        ws.seen.append(asked)
        await ws.send(json.dumps({"resumed": asked.get("resume", asked)[path] == number}))
        await ws.wait_closed()

    return handle


def test_values_of_the_server_are_carried_into_what_is_sent(upstreams: list[Upstream]) -> None:
    upstreams.append(with_websockets(session()))
    url, seen = upstreams[0].url, upstreams[0].seen
    script = Script.of(
        [
            {"json": {"session": 1, "n": 1}},
            {"dir": "in", "json": {"session": 1, "x": 1}, "match": "json"},
            {"json": {"resumed": True}},
        ]
    )
    assert words(script.play_against(url, timeout=PATIENCE)) == ["differs", "sent", "differs"]
    verdicts = script.play_against(url, carry=["$.session"], timeout=PATIENCE)
    assert words(verdicts) == ["ok", "sent", "ok"]
    assert verdicts.df["received"][1] == '{"session":101,"x":1}'
    inner = Script.of([{**script_line} for script_line in (
        {"json": {"session": "***", "n": 1}},
        {"dir": "in", "json": {"resume": {"session": "***"}}, "match": "any"},
        {"json": {"resumed": True}},
    )])  # fmt: skip
    with pytest.raises(ScriptError, match=r"<list>:2: cannot be played: a part of it is hidden"):
        inner.play_against(url)
    assert inner.play_against(url, carry={"$.session": "$.resume.session"}, timeout=PATIENCE)
    assert seen[-1] == {"resume": {"session": 102}}
    told = inner.play_against(url, transform=lambda one: {"resume": {"session": 103}}, timeout=PATIENCE)
    assert words(told) == ["ok", "sent", "ok"]


def test_a_transform_makes_what_is_sent(upstreams: list[Upstream]) -> None:
    async def handle(ws: Any) -> None:
        async for data in ws:
            ws.seen.append(data)
            await ws.send("ok")

    upstreams.append(with_websockets(handle))
    asked = [{"dir": "in", "text": str(n), "match": "exact"} for n in range(5)]
    script = Script.of([line for each in asked for line in (each, {"text": "ok"})][:-1])
    made: list[object] = ["text", b"bytes", {"json": 1}, Message(b"m"), None]
    verdicts = script.play_against(upstreams[0].url, transform=lambda one: made[one.json])
    assert words(verdicts) == ["sent", "ok"] * 4 + ["skipped"]
    assert upstreams[0].seen == ["text", b"bytes", '{"json":1}', "m"]

    def broken(one: Message) -> None:
        raise KeyError("mine")

    with pytest.raises(KeyError, match="mine"):
        script.play_against(upstreams[0].url, transform=broken)
    with pytest.raises(OptionError, match=r"play_against\(transform=\)"):
        script.play_against(upstreams[0].url, transform=lambda one: object())


def test_nothing_is_compared_unless_expected(run: Any) -> None:
    verdicts = SHOP.play_against(run(shop(price=6, code=1011)), expect=False, timeout=PATIENCE)
    assert verdicts
    assert verdicts.counts == {"sent": 3, "received": 4}
    assert words(verdicts) == ["received", "sent", "received", "sent", "received", "sent", "received"]


def test_the_recorded_subprotocol_is_offered_and_must_be_selected(run: Any, tmp_path: Path) -> None:
    path = tmp_path / "feed.jsonl"
    head = {"connection": 1, "opened": "2024-01-01T00:00:00.000Z", "path": "/", "subprotocol": "v2"}
    path.write_text(f"{json.dumps(head)}\n{json.dumps({'connection': 1, 'text': 'a'})}\n")
    script = Script.load(path)

    async def handle(ws: Any) -> None:
        await ws.send("a")
        await ws.wait_closed()

    right = script.play_against(run(handle, subprotocols=["v1", "v2"]), timeout=PATIENCE)
    assert words(right) == ["ok", "ok"]
    verdicts = script.play_against(run(handle), timeout=PATIENCE)
    assert repr(verdicts).partition("\n")[2] == (
        "handshake: differs\n  recorded subprotocol v2\n  got      no subprotocol\n"
        '  subprotocol: recorded "v2", got null'
    )
    url = run(handle, subprotocols=["v1", "v2"])
    assert words(script.play_against(url, subprotocols=["v1"], timeout=PATIENCE)) == ["ok"]
    assert words(script.play_against(url, subprotocols=["v1", "v2"], timeout=PATIENCE)) == ["differs", "ok"]


def test_headers_and_tls(upstreams: list[Upstream], tmp_path: Path) -> None:
    authority = trustme.CA()
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    authority.issue_cert("127.0.0.1").configure_cert(context)
    trusted = tmp_path / "ca.pem"
    authority.cert_pem.write_to_path(trusted)

    async def handle(ws: Any) -> None:
        ws.seen.append(ws.request.headers["X-Key"])
        await ws.send("a" * 100_000)
        await ws.wait_closed()

    upstreams.append(with_websockets(handle, context))
    url = upstreams[0].url
    script = Script.of(["a" * 100_000])
    mine = ssl.create_default_context(cafile=str(trusted))
    for key, said in (("1", str(trusted)), ("2", mine), ("3", False)):
        assert script.play_against(url, ssl=said, headers={"X-Key": key}, timeout=PATIENCE)
    assert upstreams[0].seen == ["1", "2", "3"]
    with pytest.raises(UnreachableError, match=r"its certificate is not trusted: .*; see ssl="):
        script.play_against(url, timeout=PATIENCE)


def test_a_server_that_cannot_be_reached(ws_mock: WsMock, free_port: int, run: Any) -> None:
    script = Script.of(["a"])
    with pytest.raises(UnreachableError, match=r"cannot connect to ws://127\.0\.0\.1:\d+/x: .*refused") as nobody:
        script.play_against(f"ws://user:secret@127.0.0.1:{free_port}/x?token=secret")
    assert nobody.value.status is None
    assert "secret" not in str(nobody.value)
    assert isinstance(nobody.value, ConnectionError)
    with pytest.raises(UnreachableError, match="it answered 403 Forbidden") as refused:
        script.play_against(ws_mock(Mock().reject(403)).url)
    assert refused.value.status == HTTPStatus.FORBIDDEN
    server = ws_mock(Mock().echo())
    with pytest.raises(UnreachableError):
        script.play_against(server.url.replace("ws://", "wss://"), timeout=PATIENCE)
    with (
        socket.create_server(("127.0.0.1", 0)) as silent,
        pytest.raises(UnreachableError, match=r"it did not answer within 0\.3 s"),
    ):
        script.play_against(f"ws://127.0.0.1:{silent.getsockname()[1]}", timeout=SOON)


async def unmatched(message: Message) -> object:
    return message


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"url": "http://x/a"}, "valid: ws://x/a"),
        ({"url": 5}, "is no URL"),
        ({"speed": 0}, r"play_against\(speed=\): 0"),
        ({"speed": "fast"}, "valid: 1, 10"),
        ({"speed": True}, "is no number"),
        ({"match": "jsn"}, "did you mean 'json'"),
        ({"ignore": "$.id"}, r"play_against\(ignore=\)"),
        ({"ignore": ["$["]}, "is no JSONPath"),
        ({"carry": "$.id"}, r"play_against\(carry=\)"),
        ({"carry": {"$.a": "b["}}, "is no JSONPath"),
        ({"transform": 5}, r"play_against\(transform=\)"),
        ({"transform": lambda a, b, c: a}, "it is given"),
        ({"timeout": 0}, "is no time greater than 0"),
        ({"timeout": "soon"}, "is no duration"),
        ({"headers": {"Host": "x"}}, "belongs to the handshake"),
        ({"headers": {"X": None}}, "valid: a text$"),
        ({"headers": ["X"]}, "is no dict"),
        ({"ssl": 5}, r"play_against\(ssl=\)"),
        ({"ssl": False}, r"play_against\(ssl=\): False does not go with ws://127"),
        ({"subprotocols": "v1"}, "is no list of subprotocols"),
        ({"subprotocols": ["a b"]}, "'a b' is no name of a subprotocol"),
        ({"match": unmatched}, "a function of the message"),
        ({"order": 1}, "is neither True nor False"),
        ({"extra": None}, "is neither True nor False"),
        ({"expect": "yes"}, "is neither True nor False"),
    ],
)
def test_a_wrong_argument_is_told_before_anything_is_sent(options: dict[str, Any], said: str) -> None:
    with pytest.raises(OptionError, match=said):
        SHOP.play_against(**{"url": "ws://127.0.0.1:1", **options})


def test_what_no_client_can_play() -> None:
    with pytest.raises(ScriptError) as caught:
        Script().send("a").wait("^b$").wait().play_against("ws://127.0.0.1:1")
    assert [each.line for each in caught.value.problems] == [2, 3]
    with pytest.raises(ScriptError, match="a rule has no time"):
        Script().when("a", "b").play_against("ws://127.0.0.1:1")


def test_it_waits_as_long_as_the_recording_took_and_the_timeout_more(run: Any) -> None:
    async def handle(ws: Any) -> None:
        await asyncio.sleep(2 * SOON)
        await ws.send("late")
        await ws.wait_closed()

    url = run(handle)
    slow = Script.of([{"ts": 0, "dir": "in", "text": "a", "match": "exact"}, {"ts": 60_000, "text": "late"}])
    assert slow.play_against(url, timeout=SOON)
    gap = Script.of([{"text": "late"}, {"ts": 1, "dir": "in", "text": "a", "match": "exact"}])
    assert gap.play_against(url, timeout=PATIENCE)


def test_times_are_kept_and_divided(upstreams: list[Upstream]) -> None:
    async def handle(ws: Any) -> None:
        async for _ in ws:
            pass

    upstreams.append(with_websockets(handle))
    lines = [{"ts": 300 * n, "dir": "in", "text": str(n), "match": "exact"} for n in range(3)]
    elapsed = Script.of(lines).play_against(upstreams[0].url).df["elapsed"]
    assert all(elapsed.diff().dropna() >= 0.3)
    twice = Script.of(lines).play_against(upstreams[0].url, speed=2).df["elapsed"]
    assert all(twice.diff().dropna() >= 0.15)
    # Days apart, and at once.
    far = [{"ts": 86_400_000 * n, "dir": "in", "text": str(n), "match": "exact"} for n in range(3)]
    assert Script.of(far).play_against(upstreams[0].url, speed="max")


def test_a_long_feed(ws_mock: WsMock) -> None:
    rows = [{"n": n, "price": n * 0.5} for n in range(20_000)]
    feed = Script.of(rows)
    assert feed.play_against(ws_mock(Mock().replay(rows)).url, timeout=PATIENCE).counts == {"ok": 20_000}
    changed = [row for row in rows if row["n"] != 7000]
    verdicts = feed.play_against(ws_mock(Mock().replay([{"n": -1}, *changed], then="close")).url, timeout=PATIENCE)
    assert verdicts.counts == {"ok": 19_999, "missing": 1, "unexpected": 1}


def test_in_a_running_loop(run: Any) -> None:
    async def cell() -> bool:
        return SHOP.play_against(run(shop()), timeout=PATIENCE).ok

    assert asyncio.run(cell())


def test_an_interrupt_ends_it(script: Scripts) -> None:
    ran = script(
        """
        import os, signal, threading
        from mockforge_nb import Mock, Script

        with Mock().replay([{"dir": "in"}]).serve(port=0) as server:
            def strike():
                server.wait_connected(timeout=60)
                os.kill(os.getpid(), signal.SIGINT)

            threading.Thread(target=strike, daemon=True).start()
            try:
                Script.of(["never"]).play_against(server.url, timeout=600)
            except KeyboardInterrupt:
                print("interrupted")
        """
    )
    assert (ran.code, ran.out, ran.err) == (0, "interrupted\n", "")


def test_html_is_escaped_and_shows_failures(run: Any) -> None:
    good = SHOP.play_against(run(shop()), timeout=PATIENCE)
    assert "#d64541" not in good._repr_html_()
    bad = SHOP.play_against(run(shop(price="<b>")), timeout=PATIENCE)
    html = bad._repr_html_()
    assert "<b>" not in html
    assert "&lt;b&gt;" in html
    assert "color:#d64541" in html
    assert "step 2 (line 3)" in html
