"""Every example of a docstring and of the site's pages runs, and the README's blocks say what there is to say."""

from __future__ import annotations

import ast
import doctest
import importlib
import inspect
import pkgutil
import re
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pandas as pd
import pytest

import mockforge_nb
from mockforge_nb import connections, feeds, fields, ws

from .conftest import ROOT

FLAGS = doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE
NEEDS = {"FromModel.from_llm": "pydantic_ai"}
"""What an example needs that is an extra's."""

WITHOUT_EXAMPLE = {
    "MockServer.call": "of use to this package alone",
    "MockServer.check_rest": "what the end of a with block calls",
    "MockServer.halt": "what stop calls",
    "Script.made": "what the generators call",
    "Script.stream": "what Mock.replay calls",
}
CLASSES = [
    mockforge_nb.Mock,
    mockforge_nb.Script,
    mockforge_nb.MockServer,
    mockforge_nb.Traffic,
    connections.Connection,
]
CLASSES += [mockforge_nb.LatencyProfile, mockforge_nb.TableModel]
PAGES = sorted(page for page in Path(ROOT, "docs").rglob("*.md") if ">>>" in page.read_text(encoding="utf-8"))


def modules() -> Iterator[ModuleType]:
    yield mockforge_nb
    for found in pkgutil.walk_packages(mockforge_nb.__path__, "mockforge_nb."):
        if not found.name.endswith("__main__"):  # which runs as it is imported
            yield importlib.import_module(found.name)


def names() -> dict[str, Any]:
    """Return what an example may use without an import of its own."""
    found = {name: getattr(mockforge_nb, name) for name in mockforge_nb.__all__}
    return found | {name: getattr(ws, name) for name in ws.__all__} | {"pd": pd}


def collected() -> dict[str, doctest.DocTest]:
    finder = doctest.DocTestFinder(exclude_empty=True)
    tests = [test for module in modules() for test in finder.find(module) if test.examples]
    parser = doctest.DocTestParser()
    for page in PAGES:
        # A page's code ends with its fence, which is no output.
        text = "".join(re.findall(r"^```pycon\n(.*?)^```", page.read_text(encoding="utf-8"), re.DOTALL | re.MULTILINE))
        tests.append(parser.get_doctest(text, {}, page.name, str(page), 0))
    return {test.name: test for test in tests}


EXAMPLES = collected()


@pytest.mark.parametrize("name", EXAMPLES)
def test_an_example_runs(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, no_environment: None, nothing_left: None
) -> None:
    monkeypatch.chdir(tmp_path)
    for ending, package in NEEDS.items():
        if name.endswith(ending):
            pytest.importorskip(package)
    test = EXAMPLES[name]
    test.globs = names()
    told: list[str] = []
    doctest.DocTestRunner(optionflags=FLAGS).run(test, out=told.append, clear_globs=True)
    assert not told, "".join(told)


def test_every_example_is_collected() -> None:
    """Doctest finds what it can import; the source has all that is written."""
    written = {
        (module.__file__, node.name)
        for module in modules()
        for node in ast.walk(ast.parse(inspect.getsource(module)))
        if isinstance(node, (ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef))
        and ">>>" in (ast.get_docstring(node) or "")
    }
    found = {(test.filename, name.rpartition(".")[2]) for name, test in EXAMPLES.items()}
    assert len(written) > 100
    assert written - found == set()


@pytest.mark.parametrize("cls", CLASSES, ids=lambda cls: cls.__name__)
def test_each_public_word_has_an_example(cls: type) -> None:
    said = {
        f"{cls.__name__}.{name}": inspect.getdoc(value) for name, value in inspect.getmembers(cls) if name[0] != "_"
    }
    without = {name for name, doc in said.items() if doc and ">>>" not in doc}
    assert without == {name for name in WITHOUT_EXAMPLE if name.startswith(f"{cls.__name__}.")}


@pytest.mark.parametrize("module", [feeds, fields], ids=lambda module: module.__name__)
def test_each_function_of_a_public_module_has_an_example(module: ModuleType) -> None:
    assert [name for name in module.__all__ if ">>>" not in (inspect.getdoc(getattr(module, name)) or "")] == []


def test_each_public_class_and_function_has_an_example() -> None:
    public = {name: getattr(mockforge_nb, name) for name in mockforge_nb.__all__} | {
        n: getattr(ws, n) for n in ws.__all__
    }
    things = {name: thing for name, thing in public.items() if inspect.isclass(thing) or inspect.isfunction(thing)}
    assert [name for name, thing in things.items() if ">>>" not in (thing.__doc__ or "")] == []
