"""What importing the package costs, loads and shows."""

from __future__ import annotations

import os
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

import mockforge_nb

from .conftest import ROOT, Scripts

HEAVY = {
    *("IPython", "aiohttp", "anyio", "asyncio", "faker", "ipywidgets", "jinja2", "jsonpath", "matplotlib", "numpy"),
    *("opentelemetry", "orjson", "pandas", "pyarrow", "pydantic", "pydantic_ai", "pytest", "re2", "uvloop"),
    "websockets",
}


@pytest.mark.parametrize(
    "code",
    [
        "import mockforge_nb; dir(mockforge_nb)",
        "from mockforge_nb import Mock; repr(Mock().latency('slow').echo('> ').seed(1).limits(connections=1))",
        "from mockforge_nb import *",
    ],
)
def test_nothing_heavy_is_loaded_before_it_is_needed(code: str, script: Scripts) -> None:
    if "*" in code:  # every name, also MockServer, which brings the wire
        ran = script(code + "\nimport sys; print({'pandas', 'pyarrow', 'faker', 'IPython', 'jinja2'} & {*sys.modules})")
        assert (ran.out, ran.err) == ("set()\n", "")
        return
    ran = script(f"{code}\nimport sys; print(sorted({HEAVY!r} & set(sys.modules)))")
    assert (ran.out, ran.err) == ("[]\n", "")


@pytest.mark.skipif(not hasattr(os, "wait4"), reason="no os.wait4 here")
def test_the_import_is_quick() -> None:
    """The goal is 150 ms; CPU seconds, because a busy machine does not count."""

    def seconds(code: str) -> float:
        child = subprocess.Popen([sys.executable, "-c", code], cwd=ROOT)
        _, status, used = os.wait4(child.pid, 0)
        child.returncode = os.waitstatus_to_exitcode(status)
        assert child.returncode == 0
        return used.ru_utime + used.ru_stime

    empty = min(seconds("pass") for _ in range(3))
    assert min(seconds("import mockforge_nb; mockforge_nb.Mock()") for _ in range(5)) - empty < 0.15


def test_every_public_name_is_there_and_listed() -> None:
    assert mockforge_nb.__all__ == sorted(mockforge_nb.__all__)
    assert dir(mockforge_nb) == mockforge_nb.__all__
    for name in mockforge_nb.__all__:
        value = getattr(mockforge_nb, name)
        if name not in ("ANY", "__version__"):
            assert value.__name__.removeprefix("mockforge_nb.") == name
            assert value.__doc__
    errors = [value for value in vars(mockforge_nb.errors).values() if isinstance(value, type)]
    public = {value.__name__ for value in errors if issubclass(value, mockforge_nb.MockForgeError)}
    assert public - set(mockforge_nb.__all__) <= {"ScriptFileNotFoundError"}


def test_a_name_that_is_not_there_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="module 'mockforge_nb' has no attribute 'Moc'"):
        _ = mockforge_nb.Moc
    with pytest.raises(ImportError, match="cannot import name 'Serve'"):
        from mockforge_nb import Serve  # noqa: F401


def test_the_version_is_the_distributions() -> None:
    project = Path(ROOT, "pyproject.toml")
    if not project.exists():
        pytest.skip("installed, not a checkout")
    assert tomllib.loads(project.read_text())["project"]["version"] == mockforge_nb.__version__


def test_types_ship_with_the_package() -> None:
    assert Path(mockforge_nb.__file__).with_name("py.typed").exists()
    project = Path(ROOT, "pyproject.toml")
    if project.exists():
        build = tomllib.loads(project.read_text())["tool"]["hatch"]["build"]["targets"]
        assert build["wheel"] == {"packages": ["mockforge_nb"]}  # the whole folder, with py.typed in it
        assert "mockforge_nb" in build["sdist"]["include"]
