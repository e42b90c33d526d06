"""What all commands have in common: help, version, errors, doctor."""

from __future__ import annotations

import json
import os
import re
import shlex
import socket
import subprocess
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

from mockforge_nb import Script, __version__
from mockforge_nb.cli import main, words
from mockforge_nb.cli.app import app
from mockforge_nb.cli.doctor import holder
from mockforge_nb.cli.say import printable
from mockforge_nb.errors import OptionError
from mockforge_nb.generators.endless import written
from tests.cli.conftest import Run, environment

COMMANDS = (
    ["serve"], ["record"], ["validate"], ["convert"], ["show"], ["play"], ["demo"], ["doctor"], ["generate"],
    *(["generate", name] for name in ("table", "faker", "llm", "like", "feed")),
)  # fmt: skip
HEAVY = (
    "IPython", "anyio", "asyncio", "faker", "jinja2", "numpy", "opentelemetry", "pandas", "pyarrow", "pydantic", "re2",
    "trustme", "uvloop", "websockets", "mockforge_nb.mock", "mockforge_nb.script",
)  # fmt: skip


@pytest.mark.parametrize("command", [[], *COMMANDS])
def test_every_help_has_an_example_or_lists_the_commands(command: list[str]) -> None:
    for flag in ("-h", "--help"):
        ran = CliRunner().invoke(app, [*command, flag], env={"COLUMNS": "200", "TERM": "dumb"})
        assert ran.exit_code == 0
        assert (f"mockforge-nb {' '.join(command)}" if command else "validate") in ran.output


@pytest.mark.parametrize("command", ["--help", "serve --help", "generate feed --help", "--version", "serve --ecco"])
def test_help_loads_nothing_heavy(command: str) -> None:
    code = (
        "import sys\nfrom mockforge_nb.cli import main\n"
        f"main({command.split()!r})\n"
        f"print([name for name in {HEAVY!r} if name in sys.modules], file=sys.stderr)"
    )
    ran = subprocess.run([sys.executable, "-c", code], env=environment(), capture_output=True, text=True, check=True)
    assert ran.stderr.splitlines()[-1] == "[]"


def test_version(run: Run) -> None:
    assert run("--version").out == f"mockforge-nb {__version__}\n"


def test_a_traceback_is_shown_to_who_asks(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "mockforge_nb", "--debug", "show", "nowhere.jsonl"]
    ran = subprocess.run(command, cwd=tmp_path, env=environment(), capture_output=True, text=True, check=False)
    assert ran.returncode == 2
    assert "Traceback" in ran.stderr
    assert ran.stderr.splitlines()[-1].startswith("error: nowhere.jsonl: there is no such file")


def test_a_wrong_command_has_the_nearest_one(run: Run) -> None:
    ran = run("serv")
    assert (ran.code, "Did you mean 'serve'?" in ran.err) == (2, True)


class TestDoctor:
    def test_all_is_well(self, run: Run, free_port: int) -> None:
        ran = run("doctor", "--port", str(free_port))
        assert ran.code == 0, ran.out
        assert f"port {free_port}" in ran.out
        assert re.search(r"^ok +pandas +\d", ran.out, re.MULTILINE)
        assert re.search(r"^(ok|note) +\[llm\] ", ran.out, re.MULTILINE)

    def test_a_held_port_and_wrong_variables(self, run: Run) -> None:
        with socket.socket() as one:
            one.bind(("127.0.0.1", 0))
            one.listen()
            port = one.getsockname()[1]
            ran = run("doctor", "--json", "--port", str(port), MOCKFORGE_WS_PORT="x", MOCKFORGE_WS_HOTS="y")
            if sys.platform == "linux":
                assert str(os.getpid()) in str(holder(port))
        found = {each["what"]: each for each in ran.json()}
        assert ran.code == 1
        assert found[f"port {port}"]["word"] == "broken"
        assert "'x' is no port" in found["MOCKFORGE_WS_PORT"]["text"]
        assert found["MOCKFORGE_WS_HOTS"]["text"].endswith("did you mean 'MOCKFORGE_WS_HOST'?")
        assert "'y'" not in found["MOCKFORGE_WS_HOTS"]["text"]

    def test_a_package_that_cannot_be_imported(self, run: Run, tmp_path: Path, free_port: int) -> None:
        (tmp_path / "jiter.py").write_text("raise ImportError('no wheel for this machine')")
        path = os.pathsep.join([str(tmp_path), environment()["PYTHONPATH"]])
        ran = run("doctor", "--port", str(free_port), PYTHONPATH=path)
        assert ran.code == 1
        assert "cannot be imported: ImportError: no wheel for this machine" in ran.out


@pytest.mark.parametrize(
    ("text", "name", "options"),
    [
        ("drop", "drop", {}),
        ("drop:0.1", "drop", {"probability": 0.1}),
        ("drop:10%,direction=in", "drop", {"probability": 0.1, "direction": "in"}),
        ("close:after=3,code=1012", "close", {"after": 3, "code": 1012}),
        ("close,after=5s", "close", {"after": "5s"}),
        (r"drop:only=a{1\,2}=", "drop", {"only": "a{1,2}="}),
    ],
)
def test_a_fault_as_it_is_written(text: str, name: str, options: dict[str, object]) -> None:
    assert words.fault(text) == (name, options)


@pytest.mark.parametrize("text", ["drop:x", "drop:0.1,0.2", "drop:after=1,"])
def test_a_fault_that_cannot_be_read(text: str) -> None:
    with pytest.raises(OptionError, match="write NAME"):
        words.fault(text)


def test_a_latency_as_it_is_written() -> None:
    said = [words.latency(text) for text in ("slow", "250", "250ms", "50-200", "50 - 200 ms")]
    assert said == ["slow", 250, "250ms", (50.0, 200.0), (50.0, 200.0)]


@pytest.mark.parametrize("text", ["{", "[1]", "id=", "=x", "id=uuid4,id=name", "nowhere"])
def test_a_schema_that_cannot_be_read(text: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(OptionError, match="--faker"):
        words.schema(text)


def test_the_demo_is_the_package_s_own(monkeypatch: pytest.MonkeyPatch) -> None:
    codes = iter([0, 1])
    monkeypatch.setattr("mockforge_nb.demo.main", lambda: next(codes))
    assert main(["demo"]) == 0
    assert main(["demo"]) == 1


def test_an_error_that_nobody_thought_of_is_a_line_and_not_a_traceback(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def broken() -> int:
        raise RuntimeError("oh")

    monkeypatch.setattr("mockforge_nb.demo.main", broken)
    assert main(["demo"]) == 1
    assert capsys.readouterr().err == "error: RuntimeError: oh (MOCKFORGE_NB_DEBUG=1 or --debug shows where)\n"


def test_ctrl_c_while_messages_are_written_is_no_error_of_a_message() -> None:
    class Interrupted(str):
        def __str__(self) -> str:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        written({"a": Interrupted("x")})


def test_ctrl_c_breaks_off_a_command_without_a_traceback(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken() -> int:
        raise KeyboardInterrupt

    monkeypatch.setattr("mockforge_nb.demo.main", broken)
    assert main(["demo"]) == 130


def test_a_replay_file_is_utf_8_whatever_the_terminal_is(run: Run) -> None:
    env = {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}
    ran = run("generate", "faker", "n=name", "-n", "1", "--seed", "1", "--locale", "ja_JP", **env)
    assert ran.code == 0
    assert not json.loads(ran.out)["json"]["n"].isascii()


def test_who_reads_no_further_is_no_error(tmp_path: Path) -> None:
    Script().send("x" * 50_000).save(tmp_path / "f.jsonl")
    for arguments in ("show f.jsonl --json", "generate feed trades -n 5000"):
        command = f"{shlex.join([sys.executable, '-m', 'mockforge_nb'])} {arguments} | head -c 1"
        ran = subprocess.run(
            ["bash", "-o", "pipefail", "-c", command], cwd=tmp_path, env=environment(), capture_output=True, check=False
        )
        assert (ran.returncode, ran.stderr) == (0, b"")


def test_controls_are_written_out() -> None:
    assert printable("a\x1b[2J\n\x9b\u202eé\t", keep="\n") == "a\\x1b[2J\n\\x9b\\u202eé\\t"
