"""How the reference reads the package: its examples, and the methods that a class has from another one."""

from __future__ import annotations

import copy
import re
from typing import Any, Final

import griffe

_EXAMPLE: Final = re.compile(r"^Example:$", re.MULTILINE)
_ATTRIBUTES: Final = re.compile(r"^Attributes:\n(?:    .*\n?)+", re.MULTILINE)


class Docstrings(griffe.Extension):
    """Tells the reader of docstrings what it does not find by itself."""

    def on_package(self, *, pkg: griffe.Module, **_: Any) -> None:
        """Change what was read of a package."""
        classes = [*_classes(pkg)]
        _rename(pkg)
        for one in classes:
            _inherit(one)


def _rename(thing: griffe.Object | griffe.Alias) -> None:
    """Call the section `Example:` as the reader does, `Examples:`; one of another name is shown as a remark."""
    if thing.is_alias:
        return
    if thing.docstring is not None:
        thing.docstring.value = _EXAMPLE.sub("Examples:", thing.docstring.value)
    for member in thing.members.values():
        _rename(member)


def _classes(thing: griffe.Object | griffe.Alias) -> Any:
    for member in thing.members.values():
        if not member.is_alias and (member.is_class or member.is_module):
            if member.is_class:
                yield member
            yield from _classes(member)


def _inherit(cls: griffe.Class) -> None:
    """Put what a class inherits behind its own, and write what is generic of it as the class says it is."""
    said = {}
    for base in cls.bases:
        if isinstance(base, griffe.ExprSubscript):
            name = str(base.slice).strip("'\"")
            said["R"] = griffe.ExprName(name, parent=cls.module)
    doc = cls.docstring
    if doc is not None and not _ATTRIBUTES.search(doc.value):
        described = (_ATTRIBUTES.search(each.docstring.value) for each in cls.mro() if each.docstring is not None)
        doc.value += "".join(f"\n\n{found[0]}" for found in [*filter(None, described)][:1])
    for name, alias in cls.inherited_members.items():
        target = alias.final_target
        if name.startswith("_") or not isinstance(target, griffe.Function):
            continue
        member = copy.copy(target)
        member.parent, member.lineno = cls, (cls.endlineno or 0) + (target.lineno or 0)
        member.returns = said.get(str(target.returns), target.returns)
        cls.members[name] = member
