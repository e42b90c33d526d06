"""What the reference's reader of docstrings is told: their `Example:` is what it calls `Examples:`."""

from __future__ import annotations

import re
from typing import Any, Final

import griffe

_EXAMPLE: Final = re.compile(r"^Example:$", re.MULTILINE)


class Docstrings(griffe.Extension):
    """Renames the section of the examples, as a section of another name is shown as a remark."""

    def on_package(self, *, pkg: griffe.Module, **_: Any) -> None:
        """Rename it in each docstring of a package."""
        _rename(pkg)


def _rename(thing: griffe.Object | griffe.Alias) -> None:
    if thing.is_alias:
        return
    if thing.docstring is not None:
        thing.docstring.value = _EXAMPLE.sub("Examples:", thing.docstring.value)
    for member in thing.members.values():
        _rename(member)
