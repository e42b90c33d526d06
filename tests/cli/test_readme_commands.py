"""README's commands print what README says that they print."""

from __future__ import annotations

import os
import re
import shlex
import signal
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from tests.cli.conftest import environment
from tests.conftest import PATIENCE

README = Path(__file__).parents[2] / "README.md"
PORT = "3001"
"""The port that README speaks of; a test takes a free one."""

BACKGROUND, END = " &", "kill -INT %1"


@dataclass
class Said:
    """A command, and what README says that it prints; ``…`` is anything."""

    command: str
    lines: list[str] = field(default_factory=list)


def blocks(text: str) -> list[list[Said]]:
    """Return the commands of each console block."""
    found = []
    for block in re.findall(r"^```console\n(.*?)^```$", text, re.DOTALL | re.MULTILINE):
        commands: list[Said] = []
        for line in block.splitlines():
            if line.startswith("$ "):
                commands.append(Said(line.removeprefix("$ ")))
            else:
                commands[-1].lines.append(line)
        found.append(commands)
    return found


def compare(said: Said, printed: str) -> None:
    """See that a command printed what is said; where the system chooses a port, any will do."""
    pattern = "\n".join(".*".join(map(re.escape, line.split("…"))) for line in said.lines)
    assert re.fullmatch(pattern, printed.rstrip("\n")), f"$ {said.command}\n{printed}"


class Shell:
    """Runs commands in a folder, one of them in the background."""

    def __init__(self, folder: Path, port: int) -> None:
        self.folder, self.port = folder, str(port)
        shim = folder / "bin" / "mockforge-nb"
        shim.parent.mkdir()
        shim.write_text(f'#!/bin/sh\nexec {shlex.quote(sys.executable)} -m mockforge_nb "$@"\n')
        shim.chmod(0o755)
        path = f"{shim.parent}{os.pathsep}{os.environ['PATH']}"
        self.env = environment(PATH=path, MOCKFORGE_WS_PORT=self.port)
        self.behind: subprocess.Popen[str] | None = None

    def run(self, said: Said) -> None:
        """Run a command, and compare what it prints."""
        command = said.command.replace(PORT, self.port)
        if command == END:
            assert self.behind is not None
            self.behind.send_signal(signal.SIGINT)
            printed = self.behind.communicate(timeout=PATIENCE)[0]
        elif command.endswith(BACKGROUND):
            self.behind = self.begin("exec " + command.removesuffix(BACKGROUND))
            assert self.behind.stdout is not None
            printed = "".join(self.behind.stdout.readline() for _ in said.lines)
        else:
            with self.begin(command) as process:
                printed = process.communicate(timeout=PATIENCE)[0]
        compare(said, printed.replace(self.port, PORT))

    def begin(self, command: str) -> subprocess.Popen[str]:
        """Start a command; what it says to its two outputs comes as on a terminal."""
        return subprocess.Popen(
            ["sh", "-c", command], cwd=self.folder, env=self.env, text=True, encoding="utf-8",
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        )  # fmt: skip

    def end(self) -> None:
        """End what still runs."""
        if self.behind is not None and self.behind.poll() is None:
            self.behind.kill()
            self.behind.communicate()


@pytest.fixture
def shell(tmp_path: Path, free_port: int) -> Iterator[Shell]:
    made = Shell(tmp_path, free_port)
    yield made
    made.end()


FOUND = blocks(README.read_text("utf-8"))


def test_readme_has_commands() -> None:
    assert FOUND
    assert any(said.command.startswith("mockforge-nb") for block in FOUND for said in block)


@pytest.mark.skipif(sys.platform == "win32", reason="README's commands are a shell's")
@pytest.mark.parametrize("block", FOUND, ids=lambda block: block[0].command[:40])
def test_a_block_prints_what_it_says(shell: Shell, block: list[Said]) -> None:
    for said in block:
        shell.run(said)


def test_what_differs_is_told() -> None:
    with pytest.raises(AssertionError, match="two"):
        compare(Said("x", ["one …"]), "two\n")
    compare(Said("x", ["one …", "and [2]"]), "one 1\nand [2]\n")
