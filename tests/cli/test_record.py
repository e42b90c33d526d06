"""`record` and `play`, against real servers."""

from __future__ import annotations

import json
import stat
import subprocess
from pathlib import Path

import pytest
from websockets.sync.client import connect

from mockforge_nb import Mock, MockServer, Script
from mockforge_nb.pytest_plugin import WsMock
from tests.cli.conftest import COMMAND, Run, Start, environment
from tests.conftest import PATIENCE


@pytest.fixture
def echo(ws_mock: WsMock) -> MockServer:
    return ws_mock(Mock().echo(prefix="> "))


def test_what_is_said_and_heard_is_a_replay_file(run: Run, echo: MockServer, tmp_path: Path) -> None:
    ran = run(
        "record", echo.url + "?token=secret", "-o", "r.jsonl", "--send", "one", "--send", '{"op": "two"}',
        "--count", "2", "--header", "Authorization: Bearer secret",
    )  # fmt: skip
    assert ran.code == 0, ran.err
    assert "received 2 messages" in ran.out
    assert echo.connections[0].headers["Authorization"] == "Bearer secret"
    file = tmp_path / "r.jsonl"
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert "secret" not in file.read_text() + ran.out + ran.err
    said = [(step.dir, step.payload.value) for step in Script.load(file).steps if step.payload is not None]
    two = '{"op": "two"}'
    assert sorted(said) == [("in", "one"), ("in", two), ("out", "> one"), ("out", "> " + two)]
    assert run("record", echo.url, "-o", "r.jsonl", "--count", "1").code == 2  # it is there already
    assert run("play", "r.jsonl", echo.url).code == 0


def test_lines_of_the_standard_input_and_a_time(run: Run, echo: MockServer) -> None:
    ran = run("record", echo.url, "-o", "r.jsonl", "--stdin", "--count", "2", "--json", stdin="a\n\nb\n")
    assert (ran.code, ran.json()["received"], ran.json()["sent"]) == (0, 2, 2)
    ran = run("record", echo.url, "-o", "s.jsonl", "--for", "0.2")
    assert (ran.code, "received 0 messages" in ran.out) == (0, True)


def test_it_ends_with_the_server_or_a_signal(run: Run, start: Start, ws_mock: WsMock, tmp_path: Path) -> None:
    ran = run("record", ws_mock(Mock().replay(["a", "b"], rate=1000, then="close")).url, "-o", "r.jsonl")
    assert "the server closed it (1000)" in ran.out
    assert '"close": true' in (tmp_path / "r.jsonl").read_text()
    server = ws_mock(Mock().replay(["a"], rate=1000))
    recording = start("record", server.url, "-o", "s.jsonl")
    server.wait_connected(timeout=PATIENCE)
    while '"text": "a"' not in ((tmp_path / "s.jsonl").read_text() if (tmp_path / "s.jsonl").exists() else ""):
        assert recording.process.poll() is None
    ran = recording.end()
    assert (ran.code, "received 1 message" in ran.out) == (0, True)


def test_as_a_proxy_it_records_a_client_of_yours(start: Start, echo: MockServer, tmp_path: Path) -> None:
    proxy = start("record", echo.url, "-o", "r.jsonl", "--listen", "0")
    with connect(proxy.url(), proxy=None, legacy=True) as client:
        client.send("hi")
        assert client.recv(PATIENCE) == "> hi"
    assert proxy.end().code == 0
    assert '"> hi"' in (tmp_path / "r.jsonl").read_text()


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (["http://x"], 2, "valid: ws://x"),
        (["ws://127.0.0.1:1/"], 1, "cannot connect to ws://127.0.0.1:1/"),
        (["ws://x", "-o", "r.har"], 2, "-o: 'r.har' does not end in .jsonl"),
        (["ws://x", "--listen", "0", "--send", "a"], 2, "--send: ['a'] does not go with --listen"),
        (["ws://x", "--path", "/a"], 2, "--path: '/a' goes with --listen"),
        (["ws://x", "--send", "\udcff"], 2, "is no UTF-8"),
        (["ws://x", "--subprotocol", "a b"], 2, "--subprotocol: 'a b' is no token"),
        (["ws://x", "--header", "secret"], 2, "--header: '…' is not written NAME: VALUE"),
    ],
)
def test_what_cannot_be(run: Run, tmp_path: Path, arguments: list[str], code: int, said: str) -> None:
    ran = run("record", *arguments)
    assert (ran.code, said in ran.err) == (code, True), ran.err
    assert list(tmp_path.iterdir()) == []


def test_play_says_what_differs(run: Run, echo: MockServer, ws_mock: WsMock) -> None:
    assert run("record", echo.url, "-o", "r.jsonl", "--send", "one", "--count", "1").code == 0
    other = ws_mock(Mock().echo(prefix="< ")).url
    ran = run("play", "r.jsonl", other, "--timeout", "2")
    assert ran.code == 1
    assert "not as r.jsonl recorded it: 1 sent, 1 differs" in ran.out
    assert "recorded > one" in ran.out
    said = run("play", "r.jsonl", other, "--json").json()
    assert (said["ok"], said["counts"]) == (False, {"sent": 1, "differs": 1})
    assert json.dumps(said["verdicts"][1]["received"]) == '"< one"'
    assert run("play", "r.jsonl", other, "--match", "equals").code == 2


def test_a_line_that_is_no_text_is_named(echo: MockServer, tmp_path: Path) -> None:
    command = [*COMMAND, "record", echo.url, "-o", "r.jsonl", "--stdin", "--for", "20"]
    ran = subprocess.run(
        command,
        cwd=tmp_path,
        env=environment(),
        input=b"a\n\xff\xfe\n",
        capture_output=True,
        timeout=PATIENCE,
        check=False,
    )
    assert ran.returncode == 1
    assert ran.stderr.decode().splitlines()[1:] == [
        "error: line 2 of the standard input is no UTF-8, which a text message is"
    ]
