"""The command line in processes of its own."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from queue import Empty, Queue
from typing import Any

import pytest

from tests.conftest import PATIENCE, ROOT

COMMAND = (sys.executable, "-m", "mockforge_nb")


def environment(**more: str) -> dict[str, str]:
    """Return a child's environment, without what is set for this one."""
    ours = ("MOCKFORGE_", "NO_COLOR", "COLUMNS")
    kept = {key: value for key, value in os.environ.items() if not key.startswith(ours)}
    return {**kept, "PYTHONPATH": ROOT, "PYTHONIOENCODING": "utf-8", **more}


@dataclass(frozen=True)
class Ran:
    """How a command ended."""

    code: int
    out: str
    err: str

    def json(self) -> Any:
        """Return what it printed, which is JSON."""
        return json.loads(self.out)


class Running:
    """A command that runs, and what it has printed so far."""

    def __init__(self, arguments: tuple[str, ...], folder: Path, env: dict[str, str]) -> None:
        self.process = subprocess.Popen(
            [*COMMAND, *arguments], cwd=folder, env=env, text=True, encoding="utf-8",
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        )  # fmt: skip
        self._lines: Queue[str] = Queue()
        self.out: list[str] = []
        self._err: list[str] = []
        self._readers = [threading.Thread(target=self._read_out), threading.Thread(target=self._read_err)]
        for each in self._readers:
            each.start()

    def _read_out(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            self._lines.put(line.rstrip("\n"))

    def _read_err(self) -> None:
        assert self.process.stderr is not None
        self._err.extend(self.process.stderr)

    def line(self, wanted: str) -> str:
        """Return the next line with a text in it."""
        while True:
            try:
                line = self._lines.get(timeout=PATIENCE)
            except Empty:
                raise AssertionError(f"{wanted!r} did not come: {self.out} {self._err}") from None
            self.out.append(line)
            if wanted in line:
                return line

    def url(self) -> str:
        """Return where it listens."""
        return self.line("listening on ").removeprefix("listening on ")

    def end(self, number: int | None = signal.SIGINT) -> Ran:
        """End it with a signal, or wait for its own end."""
        if number is not None:
            self.process.send_signal(number)
        code = self.process.wait(PATIENCE)
        for each in self._readers:
            each.join(PATIENCE)
        for pipe in (self.process.stdin, self.process.stdout, self.process.stderr):
            assert pipe is not None
            pipe.close()
        while not self._lines.empty():
            self.out.append(self._lines.get())
        return Ran(code, "\n".join(self.out), "".join(self._err))


Run = Callable[..., Ran]
Start = Callable[..., Running]


@pytest.fixture
def run(tmp_path: Path) -> Run:
    """Run a command to its end, in a folder of the test's own."""

    def run(*arguments: str, stdin: str = "", **env: str) -> Ran:
        done = subprocess.run(
            [*COMMAND, *arguments], cwd=tmp_path, env=environment(**env), input=stdin, capture_output=True, text=True,
            encoding=env.get("PYTHONIOENCODING", "utf-8"), timeout=PATIENCE, check=False,
        )  # fmt: skip
        assert "Traceback" not in done.stderr, done.stderr
        return Ran(done.returncode, done.stdout, done.stderr)

    return run


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    """Start commands, and end them with the test."""
    running: list[Running] = []

    def start(*arguments: str, **env: str) -> Running:
        running.append(Running(arguments, tmp_path, environment(**env)))
        return running[-1]

    yield start
    for each in running:
        if each.process.poll() is None:
            each.process.kill()
            each.end(None)
