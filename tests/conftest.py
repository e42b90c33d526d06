"""What the tests of ports, processes, kernels and plugins share."""

from __future__ import annotations

import os
import random
import socket
import subprocess
import sys
import textwrap
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

import mockforge_nb

pytest_plugins = ["pytester"]

PATIENCE = 60
"""Seconds that a busy machine may take for anything."""

ROOT = str(Path(mockforge_nb.__file__).parents[1])
"""Where child processes find the package that is tested."""


def held(port: int, host: str = "127.0.0.1") -> bool:
    """Whether a socket listens on `port`; connections that are still ending do not count."""
    with socket.socket() as one:
        one.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            one.bind((host, port))
        except OSError:
            return True
    return False


@pytest.fixture
def free_port() -> int:
    """A port that nobody holds, below those that the system hands out by itself."""
    return next(port for port in iter(lambda: random.randrange(20_000, 32_000), 0) if not held(port))


@pytest.fixture
def no_environment(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    """No variable of ours is set."""
    for name in list(os.environ):
        if name.startswith("MOCKFORGE_"):
            monkeypatch.delenv(name)
    return monkeypatch


@pytest.fixture
def nothing_left() -> Iterator[None]:
    """Fail a test that leaves a server behind, and stop it."""
    from mockforge_nb import registry

    yield
    left = list(registry.running.values())
    registry.stop_all()
    assert not left


@dataclass(frozen=True)
class Ran:
    """How a script ended."""

    code: int
    out: str
    err: str


class Scripts:
    """Runs Python scripts in processes of their own, with warnings as errors."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.processes: list[subprocess.Popen[str]] = []

    def start(self, code: str, *options: str, **env: str) -> subprocess.Popen[str]:
        path = self.folder / f"script{len(self.processes)}.py"
        path.write_text(textwrap.dedent(code))
        kept = {k: v for k, v in os.environ.items() if not k.startswith(("MOCKFORGE_", "PYTHON", "COV_"))}
        process = subprocess.Popen(
            [sys.executable, "-W", "error", *options, str(path)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env={**kept, "PYTHONPATH": ROOT, **env},
            cwd=self.folder,
        )
        self.processes.append(process)
        return process

    def finish(self, process: subprocess.Popen[str]) -> Ran:
        out, err = process.communicate(timeout=PATIENCE)
        return Ran(process.returncode, out, err)

    def __call__(self, code: str, *options: str, **env: str) -> Ran:
        return self.finish(self.start(code, *options, **env))


@pytest.fixture
def script(tmp_path: Path) -> Iterator[Scripts]:
    """Run scripts in processes of their own."""
    scripts = Scripts(tmp_path)
    yield scripts
    for process in scripts.processes:
        if process.poll() is None:
            process.kill()
        process.communicate()
