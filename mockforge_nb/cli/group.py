"""A group of commands whose help comes at once."""

from __future__ import annotations

from typing import Any

from typer.core import TyperGroup


class Group(TyperGroup):
    """Typer's group, but for what its ``--help`` is unless given.

    That is None, for whose conversion to False Typer would load pydantic, before the help of every command in it.
    """

    def get_help_option(self, ctx: Any) -> Any:
        """Return the option that shows the help."""
        option = super().get_help_option(ctx)
        if option is not None:
            option.default = False
        return option
