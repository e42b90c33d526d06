"""``validate``, ``convert`` and ``show``: replay files, recordings and tables as files."""

from __future__ import annotations

import math
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from . import targets
from .say import Failed, console, printable, say, say_json, told

if TYPE_CHECKING:
    from mockforge_nb.core.program import Step
    from mockforge_nb.errors import Problem
    from mockforge_nb.script import Script

WIDE: Final = 200
"""How much of a message is shown."""

TIME = Annotated[str | None, typer.Option(metavar="COLUMN", help="A table's column of times.")]
UNIT = Annotated[str | None, typer.Option(help="The unit of a numeric time column: s, ms, us, ns.")]
RATE = Annotated[float | None, typer.Option(help="Messages a second, for a table without times.")]
COLUMNS = Annotated[list[str] | None, typer.Option("--column", help="A table's column to send; again for more.")]
TEMPLATE = Annotated[str | None, typer.Option(help="What a row is sent as: '{{row.price}}'.")]
CONNECTION = Annotated[int | None, typer.Option(help="Which connection of a recording.")]
FORCE = Annotated[bool, typer.Option("--force", "-f", help="Write over a file that is there.")]
JSON = Annotated[bool, typer.Option("--json", help="The result as JSON.")]


@dataclass(frozen=True, slots=True)
class Report:
    """What is wrong with a file, and what is in it if nothing is."""

    file: str
    problems: tuple[Problem, ...] = ()
    warnings: tuple[str, ...] = ()
    summary: str = ""

    def as_json(self) -> dict[str, Any]:
        """Return it for machines."""
        problems = [{"line": each.line or None, "problem": each.text} for each in self.problems]
        found = {"file": self.file, "ok": not problems, "problems": problems, "warnings": [*self.warnings]}
        return found | {"summary": self.summary or None}

    def lines(self) -> Iterator[str]:
        """Yield it for people, and for editors that jump to ``path:line``."""
        for each in self.problems:
            yield f"{self.file}:{each.line}: {each.text}" if each.line else f"{self.file}: {each.text}"
        for text in self.warnings:
            yield f"{self.file}: warning: {text}"
        if not self.problems:
            yield f"{self.file}: ok, {self.summary}"


def validate(
    # Typer would end at the first file that may not be read.
    files: Annotated[list[Path], typer.Argument(help="Replay files, recordings, tables.", readable=False)],
    as_json: JSON = False,
) -> None:
    """Check files; every problem is a line PATH:LINE: PROBLEM, and the exit code is 1 if there is one."""
    reports = [_checked(path) for path in files]
    if as_json:
        say_json([each.as_json() for each in reports], indent=2)
    else:
        for each in reports:
            for line in each.lines():
                say(printable(line))
    if any(each.problems for each in reports):
        raise Failed


def _checked(path: Path) -> Report:
    from mockforge_nb.errors import Problem, ScriptError
    from mockforge_nb.script import Script

    with _warned() as said:
        try:
            script = Script.load(path).validate()
            several = _connections(path, said)
        except ScriptError as error:
            return Report(str(path), error.problems, tuple(said))
        except (OSError, ValueError) as error:
            return Report(str(path), (Problem(0, told(error)),), tuple(said))
    summary = script.summary() if several < 2 else f"{several:,} connections"
    return Report(str(path), (), tuple(said), summary)


def _connections(path: Path, said: list[str]) -> int:
    """Return how many connections of a recording said or heard something; 0: it is none.

    Raises:
        ScriptError: One cannot be played.
    """
    from mockforge_nb.formats.lines import holds_lines
    from mockforge_nb.sources import connections_of

    if not holds_lines(path):
        return 0
    # That there are several is no fault of the file.
    said[:] = [each for each in said if "connections; this is connection" not in each]
    return sum(each.recorded.connection > 0 for each in connections_of(path))


@contextmanager
def _warned() -> Iterator[list[str]]:
    """Keep the warnings of a block, as texts."""
    said: list[str] = []

    def keep(message: Warning | str, category: type[Warning], *_: object, **__: object) -> None:
        if issubclass(category, UserWarning):
            said.append(str(message))

    with warnings.catch_warnings():
        warnings.simplefilter("always")
        warnings.showwarning = keep
        yield said


def convert(
    source: Annotated[Path, typer.Argument(metavar="FROM", help="A replay file, a recording, a table.")],
    target: Annotated[Path, typer.Argument(metavar="TO", help="A file .jsonl, .ndjson, .parquet, .csv or .har.")],
    time: TIME = None,
    unit: UNIT = None,
    rate: RATE = None,
    columns: COLUMNS = None,
    template: TEMPLATE = None,
    connection: CONNECTION = None,
    force: FORCE = False,
) -> None:
    """Write a file as another kind; of a recording all its connections, unless one is named."""
    from mockforge_nb.formats import lines

    targets.new(target, "TO", force=force, reads=str(source))
    options = table_options(time, unit, rate, columns, template)
    if connection is None and not options and target.suffix.lower() in lines.WRITTEN:
        with _warned() as said:
            several = source.exists() and _connections(source, said)
        if several > 1:
            entries = [entry for _, entry in lines.read(source).entries]
            header = entries.pop(0) if "mockforge" in entries[0] else {}
            lines.write(target, header, entries)
            return say(f"{target}: {several:,} connections")
    script = load(source, connection=connection, **options)
    script.save(target)
    return say(f"{target}: {script.summary()}")


def load(path: Path, **options: Any) -> Script:
    """Read a file with the options that were given."""
    from mockforge_nb.script import Script

    return Script.load(path, **{name: value for name, value in options.items() if value is not None})


def table_options(
    time: str | None, unit: str | None, rate: float | None, columns: list[str] | None, template: str | None
) -> dict[str, Any]:
    """Return the options of a table that were given."""
    said = {"time": time, "unit": unit, "rate": rate, "columns": columns or None, "template": template}
    return {name: value for name, value in said.items() if value is not None}


def show(
    file: Annotated[Path, typer.Argument(help="A replay file, a recording, a table.")],
    head: Annotated[int, typer.Option("--head", "-n", min=0, help="How many of its messages.")] = 10,
    time: TIME = None,
    unit: UNIT = None,
    rate: RATE = None,
    columns: COLUMNS = None,
    template: TEMPLATE = None,
    connection: CONNECTION = None,
    as_json: JSON = False,
) -> None:
    """Show what is in a file: how much, its connections, its first messages."""
    with _warned() as said:
        script = load(file, connection=connection, **table_options(time, unit, rate, columns, template))
        about = _about(file, script)
        about["connections"] = _listed(file)
    about["warnings"] = [] if about["connections"] and connection is None else said
    rows = [_row(script, index, step) for index, step in enumerate(islice(_steps(script), head))]
    if as_json:
        return say_json(about | {"messages": rows}, indent=2)
    return _print(about, rows, len(script))


def _about(file: Path, script: Script) -> dict[str, Any]:
    recorded = script.recorded
    duration = script.duration
    return {
        "file": str(file),
        "summary": script.summary(),
        "steps": len(script),
        "rules": len(script.rules),
        "seconds": None if math.isinf(duration) else round(duration, 3),
        "url": recorded.url or None,
        "opened": recorded.opened or None,
        "written": None if script.written is None else str(script.written),
    }


def _listed(file: Path) -> list[dict[str, Any]]:
    from mockforge_nb.core.program import Program
    from mockforge_nb.formats.lines import holds_lines
    from mockforge_nb.sources import connections_of

    if not holds_lines(file):
        return []
    return [
        {
            "connection": each.recorded.connection,
            "path": each.recorded.path,
            "opened": each.recorded.opened or None,
            "in": sum(step.dir == "in" for step in each.steps),
            "out": sum(step.dir == "out" and step.payload is not None for step in each.steps),
            "seconds": round(Program.of(each.steps, str(file)).duration / 1000, 3),
        }
        for each in connections_of(file)
        if each.recorded.connection
    ]


def _steps(script: Script) -> Iterator[Step]:
    # Not `iter`: of a table it makes all steps, and one on disk may have any number.
    return (script.program.steps[index] for index in range(len(script)))


def _row(script: Script, index: int, step: Step) -> dict[str, Any]:
    value = None if step.payload is None else step.payload.value
    if isinstance(value, (bytes, bytearray)):
        value = f"{len(value):,} bytes: {bytes(value[:16]).hex(' ')}{' …' if len(value) > 16 else ''}"
    does = {"id": step.step_id, "close": True if step.close else None}
    return {
        "ms": round(script.program.at[index], 3),
        "dir": step.dir,
        **{name: said for name, said in does.items() if said is not None},
        "message": value,
    }


def _print(about: dict[str, Any], rows: list[dict[str, Any]], of: int) -> None:
    import json

    from rich import box
    from rich.table import Table
    from rich.text import Text

    screen = console(highlight=False, safe_box=True)
    for name in ("file", "summary", "url", "opened", "written"):
        if about[name]:
            screen.print(Text(f"{name:8} {printable(about[name])}"), soft_wrap=True)
    for text in about["warnings"]:
        screen.print(Text(f"warning  {printable(text)}", style="yellow"), soft_wrap=True)
    if len(about["connections"]) > 1:
        table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
        for name in about["connections"][0]:
            table.add_column(name, justify="left" if name in ("path", "opened") else "right")
        for each in about["connections"]:
            table.add_row(*(Text("" if value is None else printable(value)) for value in each.values()))
        screen.print(table)
    if not rows:
        return
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    table.add_column("ms", justify="right", no_wrap=True)
    table.add_column("dir", no_wrap=True)
    table.add_column("message", overflow="fold")
    for row in rows:
        value = row["message"]
        text = value if isinstance(value, str) else "" if value is None else json.dumps(value, ensure_ascii=False)
        text = printable(text)
        text += f" [{printable(row['id'])}]" if "id" in row else ""
        text += " (closes)" if "close" in row else ""
        table.add_row(f"{row['ms']:,.10g}", row["dir"], Text(text if len(text) <= WIDE else text[: WIDE - 1] + "…"))
    screen.print(table)
    if len(rows) < of:
        screen.print(f"… and {of - len(rows):,} more")
