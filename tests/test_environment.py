"""Mock.from_env: the variables, and one wrong value of each."""

from __future__ import annotations

import pickle
import re
import warnings
from pathlib import Path

import pytest

from mockforge_nb import BindError, Mock, OptionError, ScriptError
from mockforge_nb.pytest_plugin import WsMock

FILE = "MOCKFORGE_WS_REPLAY_FILE"
EXPAND = "MOCKFORGE_RESPONSE_TEMPLATE_EXPAND"
PORT = "MOCKFORGE_WS_PORT"
HOST = "MOCKFORGE_WS_HOST"
UPSTREAM = "MOCKFORGE_WS_PROXY_UPSTREAM_URL"

pytestmark = pytest.mark.usefixtures("no_environment", "nothing_left")


@pytest.fixture
def file(tmp_path: Path) -> str:
    path = tmp_path / "replay.jsonl"
    path.write_text('{"text": "{{randInt 7 7}}"}\n')
    return str(path)


def first(mock: Mock, ws_mock: WsMock) -> object:
    with ws_mock(mock).client() as client:
        client.send("hello")
        return client.recv()


def test_with_no_variable_it_echoes(ws_mock: WsMock) -> None:
    assert first(Mock.from_env(), ws_mock) == "hello"


@pytest.mark.parametrize("value", ["1", "true", "True", "TRUE"])
def test_templates_are_expanded(ws_mock: WsMock, file: str, value: str) -> None:
    assert first(Mock.from_env({FILE: file, EXPAND: value}), ws_mock) == "7"


@pytest.mark.parametrize("value", ["", "0", "false", "False"])
def test_templates_are_not_expanded(ws_mock: WsMock, file: str, value: str) -> None:
    assert first(Mock.from_env({FILE: file, EXPAND: value}), ws_mock) == "{{randInt 7 7}}"


def test_templates_are_not_expanded_unless_it_is_said(ws_mock: WsMock, file: str) -> None:
    assert first(Mock.from_env({FILE: file}), ws_mock) == "{{randInt 7 7}}"


@pytest.mark.parametrize("value", ["yes", "on", "2", " true"])
def test_what_is_neither_on_nor_off_is_an_error(value: str) -> None:
    with pytest.raises(OptionError, match=re.escape(f"{EXPAND}: {value!r} says neither on nor off; valid: '1'")):
        Mock.from_env({EXPAND: value})


def test_an_upstream_is_relayed_to(ws_mock: WsMock) -> None:
    upstream = ws_mock(Mock().echo("upstream: "))
    assert first(Mock.from_env({UPSTREAM: upstream.url}), ws_mock) == "upstream: hello"


def test_what_is_no_upstream_is_an_error() -> None:
    with pytest.raises(OptionError, match=f"{UPSTREAM}: 'https://a' .*valid: wss://a"):
        Mock.from_env({UPSTREAM: "https://a"})


def test_an_upstream_and_a_replay_file_are_an_error(file: str) -> None:
    with pytest.raises(OptionError, match=f"{FILE}: '.*' and {UPSTREAM} say two things .*unset one"):
        Mock.from_env({UPSTREAM: "ws://a", FILE: file})


def test_a_missing_replay_file_is_an_error_that_names_variable_and_path() -> None:
    with pytest.raises(FileNotFoundError, match=f"no/such.jsonl: there is no such file .*; {FILE} names it"):
        Mock.from_env({FILE: "no/such.jsonl"})


def test_a_name_that_is_too_long_for_a_file_is_one_that_is_not_there() -> None:
    for name in ("a" * 5000, "a" * 5000 + ".jsonl", "\0", "\0.jsonl"):
        with pytest.raises(ScriptError, match=r"it cannot be read: |there is no such file"):
            Mock.from_env({FILE: name})


@pytest.mark.parametrize("name", ["replay", "replay.txt", "replay.log", "replay.json"])
def test_a_replay_file_of_no_kind_is_json_lines(tmp_path: Path, ws_mock: WsMock, name: str) -> None:
    path = tmp_path / name
    path.write_text('{"text": "played"}\n')
    assert first(Mock.from_env({FILE: str(path)}), ws_mock) == "played"
    path.write_bytes(b'{"text": "\xff"}\n')
    with pytest.raises(ScriptError, match="is no text of JSON Lines"):
        Mock.from_env({FILE: str(path)})
    path.unlink()
    with pytest.raises(FileNotFoundError, match=f"{name}: there is no such file .*; {FILE} names it"):
        Mock.from_env({FILE: str(path)})


def test_a_warning_of_the_file_is_on_the_line_that_reads_it_and_says_what_a_file_can_say(tmp_path: Path) -> None:
    path = tmp_path / "replay.jsonl"
    path.write_text('{"ts": 10, "text": "a"}\n{"ts": 5, "text": "b"}\n')
    with pytest.warns(UserWarning, match=r'in a file \{"mockforge": 1, "timing": "delay"\} first') as caught:
        Mock.from_env({FILE: str(path)})
    assert caught[0].filename == __file__
    path.write_text('{"mockforge": 1, "timing": "delay"}\n' + path.read_text())
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        Mock.from_env({FILE: str(path)})


def test_the_secrets_of_an_upstream_are_not_shown() -> None:
    with pytest.raises(OptionError) as caught:
        Mock.from_env({UPSTREAM: "htp://user:secret@a/x?token=abc"})
    assert UPSTREAM in str(caught.value)
    assert "secret" not in str(caught.value) + repr(caught.value.value)
    assert "abc" not in str(caught.value)


def test_a_broken_replay_file_is_an_error_that_names_line_and_variable(tmp_path: Path) -> None:
    path = tmp_path / "replay.jsonl"
    path.write_text('{"text": "fine"}\n{"txt": "not"}\n')
    with pytest.raises(ScriptError, match=r"replay.jsonl:2: unknown key 'txt'") as caught:
        Mock.from_env({FILE: str(path)})
    assert any(FILE in note for note in caught.value.__notes__)


def test_a_broken_template_is_an_error_though_it_is_not_expanded(tmp_path: Path) -> None:
    path = tmp_path / "replay.jsonl"
    path.write_text('{"text": "{{#each}}"}\n')
    with pytest.raises(ScriptError, match=r"replay.jsonl:1: template") as caught:
        Mock.from_env({FILE: str(path)})
    assert any('"template": false' in note for note in caught.value.__notes__)
    path.write_text('{"text": "{{#each}}", "template": false}\n')
    assert Mock.from_env({FILE: str(path)}).simulate().df["text"].tolist()[-1] == "{{#each}}"


def test_the_process_s_host_and_port_are_read_when_it_is_served(
    no_environment: pytest.MonkeyPatch, free_port: int
) -> None:
    mock = Mock.from_env()
    no_environment.setenv(PORT, str(free_port))
    no_environment.setenv(HOST, "localhost")
    with mock.serve() as server:
        assert server.url == f"ws://localhost:{free_port}/ws"


def test_given_variables_say_where_it_is_served(no_environment: pytest.MonkeyPatch, free_port: int) -> None:
    no_environment.setenv(PORT, "not this one")
    mock = pickle.loads(pickle.dumps(Mock.from_env({PORT: str(free_port), HOST: "localhost"})))
    assert (
        repr(mock.echo(">"))
        == f"Mock.from_env({{'{HOST}': 'localhost', '{PORT}': '{free_port}'}}).echo(prefix='>').templates(False)"
    )
    with mock.serve() as server:
        assert server.url == f"ws://localhost:{free_port}/ws"
    with mock.serve(host="127.0.0.1", port=0) as server:
        assert server.host == "127.0.0.1"
        assert server.port != free_port


@pytest.mark.parametrize("value", ["", "abc", "-1", "65536", "²", "٣٠٠١", "9" * 5000])
def test_what_is_no_port_is_an_error(value: str) -> None:
    with pytest.raises(OptionError, match=f"{PORT}: '?{value[:150]}.*'? is no port; valid: 1 to 65535"):
        Mock.from_env({PORT: value})


def test_what_is_no_host_is_an_error_that_names_the_variable() -> None:
    with pytest.raises(BindError, match=rf"'no.such.host.invalid' .*\(from {HOST}\)"):
        Mock.from_env({HOST: "no.such.host.invalid"}).serve(port=0)


def test_variables_are_a_mapping_of_texts() -> None:
    with pytest.raises(OptionError, match="is no mapping of variables"):
        Mock.from_env(["a"])  # type: ignore[arg-type]  # on purpose
    with pytest.raises(OptionError, match=f"{PORT}: 4000 is no text"):
        Mock.from_env({PORT: 4000})  # type: ignore[dict-item]  # on purpose
    with pytest.warns(UserWarning, match="MOCKFORGE_WS_PRT is not read"):
        Mock.from_env({1: "a", "MOCKFORGE_WS_PRT": "1"})  # type: ignore[dict-item]  # on purpose


@pytest.mark.parametrize(
    ("name", "meant"),
    [
        ("MOCKFORGE_WS_REPLAYFILE", FILE),
        ("MOCKFORGE_WS_REPLAY", FILE),
        ("MOCKFORGE_REPLAY_FILE", FILE),
        ("MOCKFORGE_WEBSOCKET_REPLAY_FILE", FILE),
        ("MOCKFORGE_WS_UPSTREAM_URL", UPSTREAM),
        ("MOCKFORGE_WS_PROT", PORT),
        ("MOCKFORGE_RESPONSE_TEMPLATES_EXPAND", EXPAND),
        ("MOCKFORGE_TEMPLATE_EXPAND", EXPAND),
    ],
)
def test_a_variable_that_is_nearly_one_is_warned_of_where_it_is_read(name: str, meant: str) -> None:
    with pytest.warns(UserWarning, match=f"{name} is not read; did you mean {meant}") as caught:
        Mock.from_env({name: "1"})
    assert caught[0].filename == __file__


@pytest.mark.parametrize(
    "name",
    [
        "MOCKFORGE_WS_ENABLED", "MOCKFORGE_WS_PATH", "MOCKFORGE_WS_BIND", "MOCKFORGE_WS_HOTRELOAD",
        "MOCKFORGE_WS_CONNECTION_TIMEOUT_SECS", "MOCKFORGE_WS_MAX_CONNECTIONS", "MOCKFORGE_WS_MAX_MESSAGE_SIZE",
        "MOCKFORGE_WS_PING_INTERVAL", "MOCKFORGE_HTTP_PORT", "MOCKFORGE_TCP_PORT", "MOCKFORGE_HTTP_HOST",
        "MOCKFORGE_REPLAY_ENABLED", "MOCKFORGE_RESPONSE_VALIDATION", "PATH",
    ],
)  # fmt: skip
def test_other_variables_of_the_original_are_not_warned_of(name: str) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert Mock.from_env({name: "1"}) == Mock.from_env({})
