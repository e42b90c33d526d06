"""The README's Python: it can be parsed, and what it names and calls is there, with these arguments."""

from __future__ import annotations

import ast
import inspect
import re
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

import mockforge_nb
from mockforge_nb import connections, live, sweep, upstreams, ws
from mockforge_nb.contract import Verdicts
from mockforge_nb.generators.lookalike.report import Report
from mockforge_nb.wire.client import Client

from .conftest import ROOT

TEXT = Path(ROOT, "README.md").read_text(encoding="utf-8")
BLOCKS = {
    TEXT.count("\n", 0, found.start()) + 2: found[1]
    for found in re.finditer(r"^```python\n(.*?)^```", TEXT, re.M | re.S)
}
TOP = {name: getattr(mockforge_nb, name) for name in mockforge_nb.__all__}


class Is:
    """A value of which only the class is known."""

    def __init__(self, cls: type) -> None:
        self.cls = cls


CLASSES: dict[str, type] = {
    cls.__name__: cls
    for cls in (
        *(value for value in TOP.values() if isinstance(value, type)),
        connections.Connection,
        connections.Connections,
        upstreams.Upstream,
        live.Live,
        sweep.Sweep,
        Verdicts,
        Report,
        Client,
    )
}
KNOWN: dict[str, Any] = {
    **TOP,
    **{name: getattr(ws, name) for name in ws.__all__},
    "server": Is(mockforge_nb.MockServer),
    "conn": Is(connections.Connection),
    "client": Is(Client),
    "script": Is(mockforge_nb.Script),
    "message": Is(mockforge_nb.Message),
}
"""What the README's blocks share: they go on from each other."""


def meaning(node: ast.expr) -> Any:
    """Return what an expression is as far as its names tell: a class, a function, a module, `Is`; None: unknown.

    Raises:
        AttributeError: It names what is not there.
        TypeError: It calls with arguments that are not taken.
    """
    if isinstance(node, ast.Name):
        return KNOWN.get(node.id)
    if isinstance(node, ast.Await):
        return meaning(node.value)
    if isinstance(node, ast.Attribute):
        owner = meaning(node.value)
        if owner is None:
            return None
        cls = owner.cls if isinstance(owner, Is) else owner
        if isinstance(owner, Is) and node.attr not in dir(cls) and node.attr in _attributes(cls):
            named = CLASSES.get(node.attr.capitalize())  # .traffic is a Traffic, .connections are Connections
            return None if named is None else Is(named)
        value = inspect.getattr_static(cls, node.attr) if not isinstance(cls, ModuleType) else getattr(cls, node.attr)
        if isinstance(value, property):
            return _returned(value.fget, cls)
        return _Bound(getattr(cls, node.attr), cls, isinstance(owner, Is) and not isinstance(value, classmethod))
    if isinstance(node, ast.Call):
        called = meaning(node.func)
        if isinstance(called, _Bound):
            _fits(called.function, node, 1 if called.of_instance else 0)
            return _returned(called.function, called.cls)
        if isinstance(called, type):
            _fits(called, node, 0)
            return Is(called)
        if inspect.isfunction(called):
            _fits(called, node, 0)
    return None


class _Bound:
    def __init__(self, function: Any, cls: Any, of_instance: bool) -> None:
        self.function, self.cls, self.of_instance = function, cls, of_instance


def _attributes(cls: type) -> set[str]:
    """Return the names that a class's instances get by assignment."""
    source = "".join(inspect.getsource(each) for each in cls.__mro__ if each.__module__.startswith("mockforge_nb"))
    return set(re.findall(r"self\.(\w+)(?:: [^=\n]+)? =", source)) | set(re.findall(r"self\.(\w+), self\.", source))


def _returned(function: Any, cls: Any) -> Any:
    said = str(inspect.signature(function).return_annotation).removesuffix(" | None")
    if said in ("Self", "R") and isinstance(cls, type):
        return Is(cls)
    return Is(CLASSES[said]) if said in CLASSES else None


def _fits(function: Any, call: ast.Call, first: int) -> None:
    if any(isinstance(each, ast.Starred) for each in call.args) or any(each.arg is None for each in call.keywords):
        return
    given = [None] * (first + len(call.args))
    inspect.signature(function).bind(*given, **{str(each.arg): None for each in call.keywords})


def calls(block: str) -> Iterator[ast.expr]:
    for node in ast.walk(ast.parse(block)):
        if isinstance(node, (ast.Call, ast.Attribute)):
            yield node


def test_there_are_blocks() -> None:
    assert len(BLOCKS) > 10


@pytest.mark.parametrize("line", BLOCKS)
def test_a_block_can_be_compiled(line: int) -> None:
    compile(BLOCKS[line], f"README.md:{line}", "exec", flags=ast.PyCF_ALLOW_TOP_LEVEL_AWAIT)


@pytest.mark.parametrize("line", BLOCKS)
def test_what_a_block_imports_is_there(line: int) -> None:
    for node in ast.walk(ast.parse(BLOCKS[line])):
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("mockforge_nb"):
            module = ws if node.module == "mockforge_nb.ws" else mockforge_nb
            assert [name.name for name in node.names if not hasattr(module, name.name)] == []


@pytest.mark.parametrize("line", BLOCKS)
def test_what_a_block_calls_is_there_and_takes_its_arguments(line: int) -> None:
    for node in calls(BLOCKS[line]):
        try:
            meaning(node)
        except (AttributeError, TypeError) as error:
            pytest.fail(f"README.md:{line + node.lineno - 1}: {ast.unparse(node)}: {error}")


@pytest.mark.parametrize(
    "wrong",
    [
        "Mock().echoo()",
        "Mock().replay(df, tme='at')",
        "Mock().serve().traffic.slect(connection=1)",
        "server.wait_connected().sennd('x')",
        "feeds.trade()",
        "fields.choice()",
        "Script.from_faker({}, seeed=1)",
        "TableModel(tme='date')",
    ],
)
def test_a_wrong_call_would_be_found(wrong: str) -> None:
    with pytest.raises((AttributeError, TypeError)):
        list(map(meaning, calls(wrong)))


def test_the_words_of_the_table_are_those_of_mock() -> None:
    table = TEXT[TEXT.index("| method | meaning |") : TEXT.index("### Replay a table")]
    words = set(re.findall(r"`\.(\w+)\(", table))
    assert {name for name in words if not hasattr(mockforge_nb.Mock, name)} == set()
