"""`mockforge-nb serve`, with real clients."""

from __future__ import annotations

import json
import os
import pty
import shlex
import signal
import ssl
import stat
import subprocess
import time
import urllib.request
from pathlib import Path

import pytest
import trustme
from cryptography.hazmat.primitives import serialization as form
from websockets.sync.client import connect

from mockforge_nb.cli.ending import Ending
from mockforge_nb.cli.live import foreground
from mockforge_nb.cli.say import prepare
from tests.cli.conftest import COMMAND, Run, Start, environment
from tests.conftest import PATIENCE

TICKS = "at,symbol,price\n0,A,1.5\n1,B,2.5\n2,A,3\n"


def test_a_table_is_played_and_summed_up(start: Start, tmp_path: Path) -> None:
    (tmp_path / "ticks.csv").write_text(TICKS)
    serving = start("serve", "ticks.csv", "--time", "at", "--speed", "max", "--then", "close", "--port", "0")
    with connect(serving.url(), proxy=None, legacy=True) as client:
        assert [json.loads(each)["price"] for each in client] == [1.5, 2.5, 3.0]
    serving.line("connection 1 closed 1000: 0 in, 3 out")
    ran = serving.end()
    assert ran.code == 0
    assert ran.err == ""
    assert "1 connection in " in ran.out
    assert "sent     3 messages, 99 B" in ran.out
    assert "errors   none" in ran.out


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_it_with_the_recording_whole(start: Start, tmp_path: Path, number: signal.Signals) -> None:
    serving = start("serve", "--echo", "--port", "0", "--record", "r.jsonl")
    with connect(serving.url(), proxy=None, legacy=True) as client:
        client.send("hi")
        assert client.recv(PATIENCE) == "hi"
        ran = serving.end(number)
    assert ran.code == 0
    assert "received 1 message, 2 B" in ran.out
    lines = [json.loads(line) for line in (tmp_path / "r.jsonl").read_text().splitlines()]
    assert [line.get("text") for line in lines if "text" in line] == ["hi", "hi"]
    assert stat.S_IMODE((tmp_path / "r.jsonl").stat().st_mode) == 0o600


def test_json_lines_end_with_the_summary(start: Start) -> None:
    serving = start("serve", "--echo", "--port", "0", "--json", "--fault", "drop:1,only=^lost$", "--for", "30s")
    url = json.loads(serving.line("listening"))["url"]
    with connect(url, proxy=None, legacy=True) as client:
        for text in ("lost", "é"):
            client.send(text)
        assert client.recv(PATIENCE) == "é"
    serving.line('"closed"')
    events = [json.loads(line) for line in serving.end().out.splitlines()]
    assert [each["event"] for each in events] == ["listening", "opened", "closed", "summary"]
    said = events[-1]
    assert (said["messages_in"], said["messages_out"], said["faults"], said["errors"]) == (2, 1, {"drop": 1}, [])


def test_prometheus_reads_it(start: Start) -> None:
    server = start("serve", "--echo", "--port", "0", "--prometheus")
    url = server.url()
    with connect(url, proxy=None, legacy=True) as client:
        client.send("x")
        client.recv()
    page = urllib.request.urlopen(url.replace("ws://", "http://").replace("/ws", "/metrics")).read().decode()
    assert "websocket_messages_total" in page
    assert server.end().code == 0


def test_an_error_of_the_authors_is_exit_code_1(start: Start, tmp_path: Path) -> None:
    (tmp_path / "s.jsonl").write_text('{"text": "{{ 1 / 0 }}"}\n')
    serving = start("serve", "s.jsonl", "--port", "0")
    with connect(serving.url(), proxy=None, legacy=True):
        serving.line("error: ")
    ran = serving.end()
    assert ran.code == 1
    assert "errors   1" in ran.out


def test_it_ends_by_itself_after_a_time(run: Run) -> None:
    ran = run("serve", "--feed", "trades", "--port", "0", "--for", "0.3", "--quiet")
    assert ran.code == 0
    assert ran.out.startswith("listening on ws://127.0.0.1:")


def test_over_tls_with_the_authority_in_a_file(start: Start, tmp_path: Path) -> None:
    serving = start("serve", "--faker", "id=uuid4", "-n", "1", "--tls", "--ca", "ca.pem", "--port", "0")
    url = serving.url()
    assert url.startswith("wss://")
    trust = ssl.create_default_context(cafile=str(tmp_path / "ca.pem"))
    with connect(url, ssl=trust, proxy=None, legacy=True) as client:
        assert list(json.loads(client.recv(PATIENCE))) == ["id"]
    assert serving.end().code == 0


def test_a_proxy_records_its_upstream(start: Start, tmp_path: Path) -> None:
    upstream = start("serve", "--echo", "--port", "0")
    proxy = start("serve", "--proxy", upstream.url(), "--record", "feed.jsonl", "--port", "0")
    with connect(proxy.url(), proxy=None, legacy=True) as client:
        client.send("hi")
        assert client.recv(PATIENCE) == "hi"
    assert proxy.end().code == 0
    assert '"recorded": "proxy"' in (tmp_path / "feed.jsonl").read_text()


def test_the_live_view_on_a_terminal(tmp_path: Path) -> None:
    primary, secondary = pty.openpty()
    env = environment(TERM="xterm", COLUMNS="60", LINES="30")
    command = [*COMMAND, "serve", "--echo", "--port", "0"]
    process = subprocess.Popen(command, cwd=tmp_path, env=env, stdin=secondary, stdout=secondary, stderr=secondary)
    os.close(secondary)
    seen = ""

    def until(wanted: str) -> None:
        nonlocal seen
        deadline = time.monotonic() + PATIENCE
        while wanted not in seen:
            assert time.monotonic() < deadline, seen
            try:
                seen += os.read(primary, 65_536).decode(errors="replace")
            except OSError:  # Linux says so once the other side is closed
                assert wanted in seen, seen
                return

    try:
        until("Ctrl-C ends it")
        url = next(word for word in seen.replace("\x1b", " ").split() if "ws://" in word)
        url = "ws://" + url.partition("ws://")[2]
        with connect(url, proxy=None, legacy=True) as client:
            client.send("hi")
            client.recv(PATIENCE)
            until("1 open, 1 in all")
            until("2 B")
        process.send_signal(signal.SIGINT)
        until("errors   none")
        assert process.wait(PATIENCE) == 0
    finally:
        if process.poll() is None:
            process.kill()
            process.wait()
        os.close(primary)


def test_a_second_signal_ends_it_at_once_unless_it_is_the_first_s_echo(monkeypatch: pytest.MonkeyPatch) -> None:
    now, said = [100.0], [""]
    monkeypatch.setattr("mockforge_nb.cli.ending.time.monotonic", lambda: now[0])
    monkeypatch.setattr("mockforge_nb.cli.ending.os._exit", lambda code: said.append(f"exit {code}"))
    monkeypatch.setattr("mockforge_nb.cli.ending.os.write", lambda where, data: said.append(f"{where} {data!r}"))
    with Ending() as ending:
        ending.parting = b"cursor"
        signal.raise_signal(signal.SIGINT)
        now[0] += 0.1
        signal.raise_signal(signal.SIGINT)
        assert (ending.over(), said) == (True, [""])
        now[0] += 0.3
        signal.raise_signal(signal.SIGTERM)
    prepare()  # no hurry any more
    assert said == ["", "1 b'cursor'", "exit 143"]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--ecco"], "--echo"),
        ([], "say nothing of what is served; one of: FILE, --echo"),
        (["--echo", "--feed", "iot"], "--echo and --feed"),
        (["--echo", "--fault", "drp"], "did you mean 'drop'?"),
        (["--echo", "--fault", "drop:0.1,x"], "--fault: 'drop:0.1,x' has 'x' in it, which is no option"),
        (["--echo", "--fault", "close:after=3,cod=1012"], "did you mean 'code'?"),
        (["--echo", "--latency", "slwo"], "--latency: 'slwo' is no latency"),
        (["--echo", "--speed", "10"], "--speed: 10 does not go with --echo"),
        (["--echo", "--port", "70000"], "--port: 70000 is no port"),
        (["--faker", "id=uuid5x"], "uuid5x"),
        (["--faker", "nowhere.json"], "--faker: 'nowhere.json' is no file that is there"),
        (["--feed", "trads"], "did you mean 'trades'?"),
        (["--echo", "--cert", "nowhere.pem"], "--cert: 'nowhere.pem' cannot be read"),
        (["--echo", "--ca", "ca.pem"], "--ca: 'ca.pem' goes with --tls"),
        (["--echo", "--rate", "5"], "--rate: 5.0 does not go with --echo; it goes with FILE, --faker"),
        (["--echo", "-n", "5"], "--number: 5 does not go with --echo"),
        (["--echo", "--model", "x"], "it goes with --llm"),
        (["--echo", "--header", "A: secret"], "--header: '…' does not go with --echo; it goes with --proxy"),
        (["--echo", "--insecure"], "--insecure: True does not go with --echo"),
        (["--echo", "--connection", "2"], "it goes with FILE"),
        (["--echo", "--redact", "$.x"], "is of a recording, and there is none; --record FILE"),
        (["--echo", "--record", "nowhere/x.jsonl"], "--record: 'nowhere/x.jsonl' is in no folder that is there"),
        (["--echo", "--fault", "drop:0.1,probability=0.2"], "says 'probability' twice"),
        (["--echo", "--tls", "--ca", "."], "--ca: '.' is a folder"),
        (["--port", "abc"], "--port: 'abc': Input should be a valid integer"),
        ([""], "'': a file's name is empty"),
        (["nowhere.jsonl"], "nowhere.jsonl: there is no such file"),
        (["--proxy", "http://x"], "--proxy: 'http://x' is no URL of a WebSocket server; valid: ws://x"),
    ],
)
def test_wrong_use_is_exit_code_2_and_names_the_way_out(run: Run, arguments: list[str], said: str) -> None:
    ran = run("serve", *arguments, COLUMNS="200")
    assert ran.code == 2
    assert ran.out == ""
    assert said in ran.err
    assert len(ran.err.splitlines()) == 1


def test_a_held_port_is_exit_code_1(start: Start, run: Run) -> None:
    port = start("serve", "--echo", "--port", "0").url().rpartition(":")[2].partition("/")[0]
    ran = run("serve", "--echo", "--port", port)
    assert ran.code == 1
    assert "another program holds it" in ran.err


def test_an_encrypted_key_and_its_password(start: Start, run: Run, tmp_path: Path) -> None:
    issued = trustme.CA().issue_cert("127.0.0.1")
    key = form.load_pem_private_key(issued.private_key_pem.bytes(), None)
    secret = form.BestAvailableEncryption(b"secret")
    (tmp_path / "key.pem").write_bytes(key.private_bytes(form.Encoding.PEM, form.PrivateFormat.PKCS8, secret))
    issued.cert_chain_pems[0].write_to_path(tmp_path / "cert.pem")
    arguments = ("serve", "--echo", "--port", "0", "--cert", "cert.pem", "--key", "key.pem")
    ran = run(*arguments)
    assert (ran.code, "--key-password: None is missing" in ran.err) == (2, True)
    serving = start(*arguments, MOCKFORGE_NB_KEY_PASSWORD="secret")
    assert serving.url().startswith("wss://")
    assert "secret" not in serving.end().out


def test_without_anything_the_environment_says_what(start: Start, tmp_path: Path) -> None:
    (tmp_path / "s.jsonl").write_text('{"text": "hi"}\n')
    serving = start("serve", "--port", "0", MOCKFORGE_WS_REPLAY_FILE="s.jsonl")
    with connect(serving.url(), proxy=None, legacy=True) as client:
        assert client.recv(PATIENCE) == "hi"
    assert serving.end().code == 0


def test_no_file_that_is_there_is_lost(run: Run, tmp_path: Path) -> None:
    issued = trustme.CA().issue_cert("127.0.0.1")
    for name in ("both.pem", "other.pem"):
        issued.private_key_and_cert_chain_pem.write_to_path(tmp_path / name)
    (tmp_path / "f.jsonl").write_text('{"text": "hi"}\n')
    before = {each: each.read_bytes() for each in tmp_path.iterdir()}
    served = ("serve", "--port", "0", "--for", "0.1")
    for arguments, said in [
        (("--echo", "--cert", "both.pem", "--ca", "both.pem"), "'both.pem' is what --cert or --key reads"),
        (("--echo", "--tls", "--ca", "other.pem"), "'other.pem' is there and holds something else than certificates"),
        (("--echo", "--record", "f.jsonl"), "'f.jsonl' is there already; --force writes over it"),
        (("f.jsonl", "--record", "f.jsonl", "--force"), "'f.jsonl' is what is read"),
    ]:
        ran = run(*served, *arguments)
        assert (ran.code, said in ran.err) == (2, True), ran.err
    assert {each: each.read_bytes() for each in tmp_path.iterdir()} == before
    for _ in range(2):
        assert run(*served, "--echo", "--tls", "--ca", "ca.pem", "--record", "r.jsonl", "--force").code == 0


def test_what_a_client_says_forges_no_line(start: Start) -> None:
    serving = start("serve", "--echo", "--port", "0")
    with connect(serving.url(), proxy=None, legacy=True) as client:
        client.close(1000, "\x1b[2J\nconnection 9 opened")
    serving.line(r"closed 1000 \x1b[2J\nconnection 9 opened: 0 in")
    assert serving.end().code == 0


def test_a_terminal_that_cannot_be_drawn_on_is_told_the_url(tmp_path: Path) -> None:
    primary, secondary = pty.openpty()
    command = [*COMMAND, "serve", "--echo", "--port", "0", "--for", "0.1"]
    subprocess.run(
        command, cwd=tmp_path, env=environment(TERM="dumb"), stdin=secondary, stdout=secondary, stderr=secondary,
        timeout=PATIENCE, check=True,
    )  # fmt: skip
    os.close(secondary)
    assert "listening on ws://" in os.read(primary, 65_536).decode()
    os.close(primary)


def test_in_the_background_of_a_terminal_it_is_a_line_an_event(monkeypatch: pytest.MonkeyPatch) -> None:
    primary, secondary = pty.openpty()
    stopped = os.getpgrp() + 1
    assert foreground()  # no terminal of ours: nobody else has it
    monkeypatch.setattr("mockforge_nb.cli.live.os.tcgetpgrp", lambda _: stopped, raising=False)
    assert not foreground()
    os.close(primary)
    os.close(secondary)


@pytest.mark.parametrize("closed", ["<&-", ">&-", "2>&-", "<&- >&- 2>&-"])
def test_a_stream_that_is_closed_is_no_error(tmp_path: Path, closed: str) -> None:
    command = f"{shlex.join(COMMAND)} serve --echo --port 0 --for 0.1 {closed}"
    ran = subprocess.run(
        ["sh", "-c", command], cwd=tmp_path, env=environment(), capture_output=True, timeout=PATIENCE, check=False
    )
    assert (ran.returncode, ran.stderr) == (0, b"")


def test_who_reads_no_line_does_not_hold_up_the_end(tmp_path: Path) -> None:
    command = [*COMMAND, "serve", "--echo", "--port", "0", "--json"]
    process = subprocess.Popen(command, cwd=tmp_path, env=environment(), stdout=subprocess.PIPE, pipesize=4096)
    assert process.stdout is not None
    url = json.loads(process.stdout.readline())["url"]
    for _ in range(60):
        with connect(url, proxy=None, legacy=True):
            pass
    process.send_signal(signal.SIGTERM)
    assert process.wait(10) == 0
    process.stdout.close()


def test_a_closed_terminal_ends_it_in_order(start: Start, tmp_path: Path) -> None:
    serving = start("serve", "--echo", "--port", "0", "--record", "r.jsonl")
    with connect(serving.url(), proxy=None, legacy=True) as client:
        client.send("hi")
        client.recv(PATIENCE)
        ran = serving.end(signal.SIGHUP)
    assert (ran.code, "received 1 message" in ran.out) == (0, True)
    assert '"text": "hi"' in (tmp_path / "r.jsonl").read_text()


def test_a_password_of_the_environment_is_no_key(run: Run) -> None:
    ran = run("serve", "--echo", "--tls", "--port", "0", "--for", "0.1", MOCKFORGE_NB_KEY_PASSWORD="x")
    assert (ran.code, ran.err) == (0, "")


def test_a_receiver_of_telemetry_that_is_not_there_is_told_once(start: Start) -> None:
    serving = start("serve", "--echo", "--port", "0", "--otlp", "http://127.0.0.1:1")
    with connect(serving.url(), proxy=None, legacy=True) as client:
        client.send("hi")
        client.recv(PATIENCE)
    ran = serving.end()
    assert (ran.code, len(ran.err.splitlines())) == (0, 1)
    assert ran.err.startswith("warning: --otlp: ")
