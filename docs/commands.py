"""The page of the command line, made of what the commands say of themselves."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from typer.main import get_command

from mockforge_nb.cli.app import app

HEAD = """# The command line

`mockforge-nb`, or `python -m mockforge_nb`. [The guide](../guide.md#from-the-command-line) shows it at work. Exit
codes: 0 done, also when Ctrl-C ended it; 1 it failed; 2 used in a wrong way.
"""


def page() -> str:
    """Return the page: a section a command, with its arguments, options and examples."""
    return "\n".join([HEAD, *_commands(get_command(app), "mockforge-nb")]) + "\n"


def _commands(command: Any, name: str) -> Iterator[str]:
    for word, one in sorted(getattr(command, "commands", {}).items()):
        called = f"{name} {word}"
        if getattr(one, "commands", None):
            yield f"## {called.removeprefix('mockforge-nb ')}\n\n{one.help or ''}\n"
            yield from _commands(one, called)
            continue
        depth = "###" if name.count(" ") else "##"
        yield f"{depth} {called.removeprefix('mockforge-nb ')}\n"
        yield f"{_text(one.help)}\n"
        yield from _parameters(one)
        examples = [line for line in (one.epilog or "").split("\n\n") if line.startswith("mockforge-nb")]
        if examples:
            yield "\n```console\n" + "\n".join(f"$ {line}" for line in examples) + "\n```\n"


def _parameters(command: Any) -> Iterator[str]:
    rows = []
    for one in command.params:
        if one.param_type_name == "argument":
            names = f"`{one.metavar or one.name.upper()}{'…' if one.nargs == -1 else ''}`"
        else:
            value = "" if one.is_flag else f" {one.metavar or one.name.upper()}"
            names = ", ".join(f"`{each}{value if each.startswith('--') else ''}`" for each in one.opts)
        rows.append(f"| {names} | {_text(one.help)} |")
    if rows:
        yield "\n".join(["| | |", "|---|---|", *rows]) + "\n"


def _text(text: str | None) -> str:
    return (text or "").replace("|", "\\|").replace("{", "&#123;").replace("[", "\\[").strip()
