"""The command line as it is installed: the package alone, with its entry point."""

from __future__ import annotations

import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

from tests.cli.conftest import environment
from tests.conftest import ROOT

PROJECT = Path(ROOT) / "pyproject.toml"


def test_the_entry_point_is_there() -> None:
    project = tomllib.loads(PROJECT.read_text("utf-8"))["project"]
    module, _, function = project["scripts"]["mockforge-nb"].partition(":")
    assert callable(getattr(__import__(module, fromlist=[function]), function))
    needed = {requirement.split()[0] for requirement in project["dependencies"]}
    assert {"typer", "rich"} <= needed


def test_it_needs_nothing_but_the_package(tmp_path: Path) -> None:
    # What a wheel holds: the folder of the package, without the checkout around it.
    shutil.copytree(Path(ROOT) / "mockforge_nb", tmp_path / "site" / "mockforge_nb")
    env = environment(PYTHONPATH=str(tmp_path / "site"))
    command = [sys.executable, "-m", "mockforge_nb", "generate", "feed", "iot", "-n", "2", "--seed", "1"]
    ran = subprocess.run(command, cwd=tmp_path, env=env, capture_output=True, text=True, check=True)
    assert len(ran.stdout.splitlines()) == 2
    where = [sys.executable, "-m", "mockforge_nb", "doctor", "--json"]
    assert str(tmp_path / "site") in subprocess.run(where, cwd=tmp_path, env=env, capture_output=True, text=True).stdout
