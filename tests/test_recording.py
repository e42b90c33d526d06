"""Recordings: what crossed the wire as a replay file, and back."""

from __future__ import annotations

import base64
import json
import os
import pickle
import stat
import subprocess
import sys
import tempfile
import textwrap
import time
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from jsonpath import compile as compile_path

from mockforge_nb import Message, Mock, MockServer, OptionError, RecordingError, Script, ScriptError
from mockforge_nb.core.log import IN, OUT
from mockforge_nb.core.message import ABORT, BINARY, CLOSE, PING, TEXT
from mockforge_nb.core.recording import REDACTED, header, line_of, written
from mockforge_nb.formats.lines import write
from mockforge_nb.pytest_plugin import WsMock

from .wire.upstreams import echo, with_websockets

PATIENCE = 20
TALK = [
    {"text": "hello {{randInt 1000 9999}}"},
    {"dir": "in", "text": "."},
    {"ts": 20, "json": {"user": "ada", "password": "lovelace"}},
    {"ts": 30, "binary": "AP8="},
    {"ts": 40, "close": True, "code": 4000, "reason": "bye"},
]


def talk(server: Any) -> list[Any]:
    with server.client() as client:
        first = client.recv(PATIENCE)
        client.send({"x": [1, None]})
        return [first, *client.drain(), client.close_code]


def lines(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text().splitlines()]


def test_a_recording_is_a_replay_file_that_says_the_same_again(ws_mock: WsMock, tmp_path: Path) -> None:
    path = tmp_path / "feed.jsonl"
    server = ws_mock(Mock().seed(1).replay(TALK).record(path))
    said = talk(server)
    server.stop()
    first, head, *rest = lines(path)
    assert first == {
        "mockforge": 1, "url": server.url, "started": first["started"], "recorded": "mock", "templates": False,
    }  # fmt: skip
    assert head == {"connection": 1, "opened": head["opened"], "path": "/ws"}
    assert Script.load(path).recorded.opened == head["opened"] >= first["started"]
    assert [{k: v for k, v in line.items() if k != "ts"} for line in rest] == [
        {"connection": 1, "text": said[0]},
        {"dir": "in", "connection": 1, "json": {"x": [1, None]}, "match": "json"},
        {"connection": 1, "json": {"user": "ada", "password": "lovelace"}},
        {"connection": 1, "binary": "AP8="},
        {"connection": 1, "close": True, "code": 4000, "reason": "bye"},
    ]
    times = [line["ts"] for line in rest]
    assert times == sorted(times)
    assert times[2] >= 20
    assert talk(ws_mock(Mock().replay(path, speed=10))) == said


def test_only_its_owner_may_read_it_and_secrets_are_not_in_it(ws_mock: WsMock, tmp_path: Path) -> None:
    path = tmp_path / "feed.jsonl"
    server = ws_mock(Mock().replay(TALK).record(path, redact=["$..password", "$.x[0]"]))
    with server.client(additional_headers={"Authorization": "Bearer secret", "Cookie": "a=secret"}) as client:
        client.recv(PATIENCE)
        client.send({"x": [1, None]})
        client.drain()
    server.stop()
    text = path.read_text()
    assert "lovelace" not in text
    assert "secret" not in text
    assert [line.get("json") for line in lines(path)[3:5]] == [
        {"x": [REDACTED, None]}, {"user": "ada", "password": REDACTED},
    ]  # fmt: skip
    assert lines(path)[3]["match"] == "any"
    assert stat.S_IMODE(os.stat(path).st_mode) == 0o600


def test_several_connections_are_told_apart(ws_mock: WsMock, tmp_path: Path) -> None:
    path = tmp_path / "feed.jsonl"
    server = ws_mock(Mock().seed(1).replay(TALK).record(path))
    said = [talk(server), talk(server)]
    server.stop()
    assert said[0] != said[1]
    assert talk(ws_mock(Mock().replay(Script.load(path, connection=2)))) == said[1]
    with pytest.warns(UserWarning, match=r"has 2 connections; this is connection 1: choose"):
        script = Script.load(path)
    assert script.steps[0].payload is not None
    assert script.steps[0].payload.value == said[0][0]
    with pytest.raises(ScriptError, match="there is no connection 3; it has 1, 2"):
        Script.load(path, connection=3)
    with pytest.raises(OptionError, match=r"load\(connection=\)"):
        Script.load(path, connection=0)


def test_the_traffic_of_a_connection_becomes_a_script(ws_mock: WsMock, tmp_path: Path) -> None:
    server = ws_mock(Mock().seed(1).replay(TALK))
    said = [talk(server), talk(server)]
    script = server.traffic.script(connection=2)
    assert talk(ws_mock(Mock().replay(script))) == said[1]
    server.traffic.save(tmp_path / "all.jsonl")
    assert lines(tmp_path / "all.jsonl")[0]["recorded"] == "traffic"
    assert talk(ws_mock(Mock().replay(Script.load(tmp_path / "all.jsonl", connection=1)))) == said[0]
    with pytest.raises(OptionError, match=r"is not in this traffic; it has \[1, 2\]"):
        server.traffic.script(connection=3)
    with pytest.raises(OptionError, match=r"does not end in \.jsonl"):
        server.traffic.save(tmp_path / "all.txt")


def test_messages_that_left_memory_are_not_left_out_silently(tmp_path: Path) -> None:
    traffic = Mock().replay(["x" * 1000] * 200, rate=100).limits(log_bytes=20_000)
    with traffic.latency(1).serve(port=0) as server, server.client() as client:
        client.drain()
        with pytest.raises(RecordingError, match=r"messages have left memory: raise limits\(log_bytes=\)"):
            server.traffic.script()
        with pytest.raises(RecordingError):
            server.traffic.save(tmp_path / "x.jsonl")
    assert not (tmp_path / "x.jsonl").exists()


def test_what_is_to_be_hidden_is_hidden_wherever_it_stands(ws_mock: WsMock, tmp_path: Path) -> None:
    path = tmp_path / "feed.jsonl"
    server = ws_mock(Mock().echo().record(path, redact=["$..token"]))
    with server.client() as client:
        for said in ({"token": "s3cret", "n": 1}, b'{"token": "s3cret", "n": 2}', b"\xff"):
            client.send(said)
            client.recv(PATIENCE)
    server.traffic.save(tmp_path / "saved.csv", redact=["$..token"])
    script = server.traffic.script(redact=["$..token"])
    script.save(tmp_path / "script.jsonl")
    server.stop()
    secret = base64.b64encode(b'"s3cret"')[:8]
    for file in (path, tmp_path / "saved.csv", tmp_path / "script.jsonl"):
        data = file.read_bytes()
        assert b"s3cret" not in data
        assert secret not in data
        assert stat.S_IMODE(os.stat(file).st_mode) == 0o600
        assert [json.loads(step.payload.literal())["n"] for step in list(Script.load(file))[:4] if step.payload] == [
            1,
            1,
            2,
            2,
        ]


def test_what_a_fault_lost_is_not_in_a_recording_and_what_it_changed_is(ws_mock: WsMock, tmp_path: Path) -> None:
    path = tmp_path / "feed.jsonl"
    mock = Mock().replay(["a", "b", "c"], rate=100, then="close").fault("drop", only="b")
    server = ws_mock(mock.fault("corrupt", only="c", how=lambda text: text * 2).record(path))
    with server.client() as client:
        assert client.drain() == ["a", "cc"]
    assert server.traffic.script().to_frame()["text"].dropna().tolist() == ["a", "cc"]
    server.stop()
    assert [line["text"] for line in lines(path) if "text" in line] == ["a", "cc"]


@pytest.mark.parametrize("fault", ["reset_peer", "abort", "close", "limit_data"])
def test_the_message_that_an_end_took_is_in_neither_recording(ws_mock: WsMock, tmp_path: Path, fault: str) -> None:
    path = tmp_path / "feed.jsonl"
    options = {"size": 4} if fault == "limit_data" else {"only": "b"}
    server = ws_mock(Mock().replay(["a", "b", "c"], rate=100).fault(fault, **options).record(path))
    with server.client() as client:
        client.drain()
    server.traffic.save(tmp_path / "saved.jsonl")
    server.stop()
    for recording in (path, tmp_path / "saved.jsonl"):
        assert [line["text"] for line in lines(recording) if "text" in line] == ["a"]
    assert stat.S_IMODE(os.stat(tmp_path / "saved.jsonl").st_mode) == 0o600


def test_a_burst_of_a_table_is_spelled_out(ws_mock: WsMock, tmp_path: Path) -> None:
    path = tmp_path / "feed.jsonl"
    server = ws_mock(Mock().replay([{"n": n} for n in range(3000)], speed="max", then="close").record(path))
    with server.client() as client:
        assert len(client.drain()) == 3000
    server.stop()
    assert [line["json"]["n"] for line in lines(path)[2:-1]] == list(range(3000))


def killed_once_there_are(count: int, code: str, path: Path, lines_in: Path) -> None:
    """Run code that records to `path` in a process of its own, and kill it once so many lines are there."""
    process = subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(code), str(path)], stdout=subprocess.PIPE, text=True
    )
    try:
        assert process.stdout is not None
        assert process.stdout.readline() == "said\n"
        until = time.monotonic() + PATIENCE
        while len(lines_in.read_text().splitlines()) < count and time.monotonic() < until:
            time.sleep(0.02)
    finally:
        process.kill()
        process.wait()
        if process.stdout is not None:
            process.stdout.close()


def test_a_process_that_is_killed_loses_no_more_than_a_moment(tmp_path: Path) -> None:
    path = tmp_path / "feed.jsonl"
    code = """
        import sys, threading
        from mockforge_nb import Mock
        server = Mock().echo().record(sys.argv[1]).serve(port=0)
        with server.client() as client:
            for n in range(50):
                client.send(str(n))
                client.recv()
            print("said", flush=True)
            threading.Event().wait()
    """
    killed_once_there_are(102, code, path, path)
    assert len(Script.load(path)) == 100


def test_a_file_that_is_no_recording_is_never_overwritten(tmp_path: Path) -> None:
    mine = tmp_path / "mine.jsonl"
    mine.write_text('{"text": "by hand"}\n')
    with pytest.raises(RecordingError, match="is there and is no recording"):
        Mock().record(mine).serve(port=0)
    assert mine.read_text() == '{"text": "by hand"}\n'
    with pytest.raises(RecordingError, match="cannot be written"):
        Mock().record(tmp_path / "nowhere" / "x.jsonl").serve(port=0)
    again = tmp_path / "again.jsonl"
    for text in ("first", "second"):
        with Mock().replay([text], then="close").record(again).serve(port=0) as server, server.client() as client:
            client.drain()
    assert [line["text"] for line in lines(again) if "text" in line] == ["second"]


def test_a_parquet_recording_is_played_like_the_other(ws_mock: WsMock, tmp_path: Path) -> None:
    path = tmp_path / "feed.parquet"
    mock = Mock().seed(1).replay([*TALK[:2], {"text": "no {json"}, *TALK[2:]])
    server = ws_mock(mock.record(path, redact=["$..password"]))
    said = talk(server)
    assert (tmp_path / "feed.parquet.jsonl").exists()
    server.stop()
    assert not (tmp_path / "feed.parquet.jsonl").exists()
    assert stat.S_IMODE(os.stat(path).st_mode) == 0o600
    frame = pd.read_parquet(path)
    assert list(frame["path"].dropna()) == ["/ws"]
    assert list(frame["dir"].dropna()) == ["out", "in", "out", "out", "out", "out"]
    assert frame.loc[5, "binary"] == b"\x00\xff"
    assert "lovelace" not in str(frame)
    again = talk(ws_mock(Mock().replay(path, speed=10)))
    assert again == [said[0], "no {json", '{"user":"ada","password":"***"}', b"\x00\xff", 4000]
    saved = tmp_path / "saved.parquet"
    server.traffic.save(saved)
    assert talk(ws_mock(Mock().replay(Script.load(saved, connection=1)))) == said
    with pytest.raises(OptionError, match="goes with a table"):
        Script.load(path, template="x")
    assert len(Script.load(path, rows=True, columns=["dir", "text"])) == 7  # as a table like any other


def test_a_parquet_recording_that_was_cut_off_has_its_lines_beside_it(tmp_path: Path) -> None:
    path = tmp_path / "feed.parquet"
    code = """
        import sys, threading
        from mockforge_nb import Mock
        server = Mock().echo().record(sys.argv[1]).serve(port=0)
        with server.client() as client:
            client.send("a")
            client.recv()
            print("said", flush=True)
            threading.Event().wait()
    """
    beside = tmp_path / "feed.parquet.jsonl"
    killed_once_there_are(4, code, path, beside)
    with pytest.raises(ScriptError, match=r"was cut off before the file was whole; load what came: .*parquet\.jsonl"):
        Script.load(path)
    assert len(Script.load(beside)) == 2
    with Mock().replay(["b"], then="close").record(path).serve(port=0) as server, server.client() as client:
        client.drain()
    assert [step.payload.value for step in Script.load(path).steps if step.payload is not None] == ["b"]


def test_a_recording_is_kept_until_there_is_another(ws_mock: WsMock, tmp_path: Path) -> None:
    for path in (tmp_path / "feed.jsonl", tmp_path / "feed.parquet"):
        server = ws_mock(Mock().replay(["first"], then="close").record(path))
        with server.client() as client:
            client.drain()
        server.stop()
        before = path.read_bytes()
        ws_mock(Mock().replay(["second"]).record(path)).stop()
        assert path.read_bytes() == before
        assert not (tmp_path / "feed.parquet.jsonl").exists()


def test_a_script_of_one_s_own_is_never_overwritten(tmp_path: Path) -> None:
    for path in (tmp_path / "mine.parquet", tmp_path / "mine.jsonl"):
        Script().send("by hand").save(path)
        with pytest.raises(RecordingError, match="is there and is no recording"):
            Mock().record(path).serve(port=0)
        assert len(Script.load(path)) == 1


def test_a_table_of_one_s_own_is_never_overwritten(tmp_path: Path) -> None:
    path = tmp_path / "mine.parquet"
    pd.DataFrame({"a": [1]}).to_parquet(path)
    with pytest.raises(RecordingError, match="is there and is no recording"):
        Mock().record(path).serve(port=0)
    assert list(pd.read_parquet(path)["a"]) == [1]


def test_what_a_proxy_relayed_is_played_without_it(ws_mock: WsMock, tmp_path: Path) -> None:
    path = tmp_path / "feed.jsonl"
    real = ws_mock(Mock().replay([{"dir": "in", "json": {"op": "subscribe"}, "match": "json"}, *TALK[2:]]))
    url = real.url.replace("ws://", "ws://user:pass@") + "?token=secret"
    proxy = ws_mock(Mock().proxy(url, record=path, redact=["$..password"], transform={"in": unchanged}))

    def talk_to(server: MockServer) -> list[Any]:
        with server.client(additional_headers={"Authorization": "Bearer secret", "Cookie": "a=secret"}) as client:
            client.send({"op": "subscribe", "id": 7})
            return [*client.drain(), client.close_code]

    said = talk_to(proxy)
    script = proxy.traffic.script(connection=1)
    proxy.stop()
    real.stop()
    assert said == ['{"user":"ada","password":"lovelace"}', b"\x00\xff", 4000]
    assert talk_to(ws_mock(Mock().replay(script))) == said
    assert talk_to(ws_mock(Mock().replay(path))) == ['{"user":"ada","password":"***"}', *said[1:]]
    text = path.read_text()
    assert [word for word in ("secret", "pass@", "lovelace") if word in text] == []
    assert (lines(path)[0]["recorded"], lines(path)[0]["url"]) == ("proxy", real.url)


async def unchanged(message: Message) -> Message:
    """Awaited, though it changes nothing."""
    return message


def test_a_recording_has_what_the_client_said_and_heard_whatever_was_made_of_it(
    ws_mock: WsMock, tmp_path: Path
) -> None:
    path = tmp_path / "feed.jsonl"
    real = ws_mock(Mock().echo())

    def changed(message: Message) -> object:
        return None if message.text == "quiet" else [f"<{message.text}>", "and more"]

    ours = tmp_path / "ours.jsonl"
    mock = Mock().proxy(real.url, record=path, transform=changed).when("rule", "local").record(ours)
    proxy = ws_mock(mock)
    with proxy.client() as client:
        client.send("a")
        heard = [client.recv(PATIENCE) for _ in range(4)]
        client.send("quiet")
        client.send("rule")
        heard.append(client.recv(PATIENCE))
    proxy.traffic.save(tmp_path / "saved.jsonl")
    proxy.stop()
    for file in (ours, tmp_path / "saved.jsonl"):
        found = [(line.get("dir", "out"), line["text"]) for line in lines(file)[1:] if "text" in line]
        assert [text for way, text in found if way == "in"] == ["a", "quiet", "rule"]
        assert [text for way, text in found if way == "out"] == heard
    # A proxy's own has what the real server was told and said.
    told = [line["text"] for line in lines(path) if line.get("dir") == "in"]
    said = [line["text"] for line in lines(path) if "text" in line and "dir" not in line]
    assert told == said == ["<a>", "and more"]


def test_each_connection_has_its_path_and_its_subprotocol(ws_mock: WsMock, tmp_path: Path) -> None:
    path = tmp_path / "feed.jsonl"
    real = with_websockets(echo, select_subprotocol=lambda _, offered: "chat" if "chat" in offered else None)
    try:
        proxy = ws_mock(Mock().route("/{room}", Mock().proxy(real.url)).record(path))
        for offered, room in (["chat"], "/a?token=s3cret"), (None, "/b"):
            with proxy.client(room, subprotocols=offered) as client:
                client.send("a")
                assert client.recv(PATIENCE) == "a"
        proxy.traffic.save(tmp_path / "saved.jsonl")
        proxy.stop()
    finally:
        real.stop()
    for file in (path, tmp_path / "saved.jsonl"):
        about = [Script.load(file, connection=number).recorded for number in (1, 2)]
        assert [(each.path, each.subprotocol) for each in about] == [("/a", "chat"), ("/b", None)]
        assert "s3cret" not in file.read_text()


@pytest.mark.parametrize(
    ("path", "redact", "problem"),
    [
        ("x.txt", (), "does not end in .jsonl"),
        ("x.jsonl", "$.a", "is no list of JSONPaths"),
        ("x.jsonl", ["$.["], "is no JSONPath"),
        ("x.jsonl", [7], "is no JSONPath"),
    ],
)
def test_wrong_arguments(path: str, redact: Any, problem: str) -> None:
    with pytest.raises(OptionError) as raised:
        Mock().record(path, redact=redact)
    assert problem in str(raised.value)


def test_it_is_a_word_like_the_others() -> None:
    assert Mock().record("x.jsonl").record(None) == Mock()
    mock = Mock().record("x.jsonl", redact=["$..p"])
    assert repr(mock) == "Mock().record('x.jsonl', redact=['$..p'])"
    assert pickle.loads(pickle.dumps(mock)) == mock


ROWS = st.one_of(
    st.tuples(st.just(TEXT), st.text(st.characters(exclude_categories=["Cs"]), max_size=30).map(str.encode)),
    st.tuples(st.just(TEXT), st.sampled_from([b'{"a":1}', b'{"a": 1}', b"[1.0,2e3]", b'{"a":1,"a":2}', b"{{uuid}}"])),
    st.tuples(st.just(BINARY), st.binary(max_size=20)),
)


@settings(deadline=None)
@given(st.lists(st.tuples(st.sampled_from([IN, OUT]), ROWS, st.floats(0, 1e6)), min_size=1, max_size=8), st.booleans())
def test_whatever_is_recorded_is_sent_again_as_it_was(rows: list[Any], table: bool) -> None:
    rows = sorted(rows, key=lambda row: float(row[2]))
    kept = [*filter(None, (line_of(ts, 1, way, opcode, payload) for way, (opcode, payload), ts in rows))]
    first = header("", "", "mock")
    if table:
        with tempfile.TemporaryDirectory() as folder:
            write(Path(folder) / "x.parquet", first, kept)
            script = Script.load(Path(folder) / "x.parquet")
    else:
        script = Script.parse("".join(map(written, [first, *kept])))
    for step, (way, (opcode, payload), _) in zip(script.steps, rows, strict=True):
        assert step.payload is not None
        assert step.dir == ("in" if way == IN else "out")
        assert (step.payload.opcode, step.payload.template) == (opcode, None)
        if way == OUT:
            assert step.payload.literal() == payload


@given(
    st.recursive(
        st.none() | st.integers() | st.text(max_size=5),
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from("abp"), inner, max_size=3),
        max_leaves=8,
    )
)
def test_what_is_to_be_hidden_never_gets_out(value: Any) -> None:
    secret = json.dumps({"p": "S3CRET", "q": {"p": ["S3CRET", value]}, "v": value}).encode()
    line = line_of(0, 1, OUT, TEXT, secret, None, [compile_path("$..p"), compile_path("$..p[0]")])
    assert line is not None
    assert "S3CRET" not in json.dumps(line)
    assert line["json"]["p"] == REDACTED


def test_what_a_script_has_no_words_for_has_no_line() -> None:
    assert line_of(0, 1, IN, PING, b"") is None
    assert line_of(0, 1, IN, CLOSE, b"", (1000, "")) is None
    assert line_of(1.23456, 2, OUT, ABORT, b"") == {"ts": 1.235, "connection": 2, "error": True}
    assert line_of(0, 1, OUT, CLOSE, b"", (1005, "")) == {"ts": 0, "connection": 1, "close": True}


def test_the_file_that_is_played_is_not_recorded_to(tmp_path: Path) -> None:
    file = tmp_path / "a.jsonl"
    Script().send("hi").save(file)
    with pytest.raises(OptionError, match="is the file that is played; record to another one"):
        Mock().replay(file).record(tmp_path / "." / "a.jsonl").serve(port=0)
    assert Script.load(file).steps[0].payload is not None
