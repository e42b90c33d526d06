"""What a script is made of: a replay file, a text, a table, a list of rows or steps."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, NamedTuple, get_args

from .core.jsonl import Parsed, assemble, each_connection, lines_of, looks_like_step, parse, unreachable
from .core.origin import Origin
from .core.program import Program
from .core.recorded import is_head, recorded_of, shown_url, ws_url
from .errors import OptionError, ScriptError, ScriptFileNotFoundError
from .warned import warn

if TYPE_CHECKING:
    from .formats.lines import Read
    from .generators.endless import Endless

Timing = Literal["offset", "delay"]
Shape = str | Callable[[Any], str | bytes | dict[str, Any] | list[Any]]
Template = Shape | Mapping[str, Any]

TABLES = (".parquet", ".feather", ".arrow", ".csv", ".tsv")
"""The kinds of files with tables."""


class Made(NamedTuple):
    """Steps and rules, or the program of a table's rows.

    Attributes:
        name: What errors call the script.
        lines: The steps and rules; None: it is a table.
        program: The program of a table's rows; None: it is none.
        delays: Whether `ts` is the pause before each step.
        endless: Messages without end; None: it is none.
        written: Which model wrote them, and what for; None: none did.
    """

    name: str
    lines: Parsed | None = None
    program: Program | None = None
    delays: bool = False
    endless: Endless | None = None
    written: Origin | None = None

    def timed(self, timing: object) -> Made:
        """Return the same with `ts` as `timing` says.

        Raises:
            OptionError: It is no timing, or does not go with a table.
        """
        if not is_delay(timing) or self.delays:
            return self
        if self.lines is None:
            raise OptionError("replay(timing=)", "delay", "goes with steps and their ts, not with a table's rows")
        return self._replace(delays=True)


def from_file(
    path: str | os.PathLike[str],
    timing: object,
    options: Mapping[str, Any],
    connection: object = None,
    url: object = None,
    *,
    strict: bool = True,
) -> Made:
    """Read a file; arguments, errors and warnings are those of `Script.load`, which calls this."""
    from .formats import lines

    if not isinstance(strict, bool):
        raise OptionError("load(strict=)", strict, "is neither True nor False")
    where = _regular(path)
    table = os.path.isdir(where) or where.suffix.lower() in TABLES
    if not table:
        check_suffix(where, (*lines.READ, *TABLES), "read")
        only_for_tables(options, "a file")
    if not os.path.exists(where):  # Path.exists() raises for a name that is too long to be one
        raise ScriptFileNotFoundError(str(path), f"there is no such file in {Path.cwd()}")
    options = {name: value for name, value in options.items() if value is not None}
    if not table or (options.get("rows") is not True and lines.holds_lines(where)):
        asked = {name: value for name, value in options.items() if name != "rows"}
        if where.suffix.lower() not in (".csv", ".tsv") or not asked:
            only_for_tables(asked, "a recording")
            return _from_lines(lines.read(where, strict=strict), str(path), timing, connection, url)
    beside = Path(f"{where}.jsonl")
    if where.suffix.lower() == ".parquet" and beside.exists():
        if not strict:
            return from_file(beside, timing, options, connection, url, strict=False)
        problem = f"its recording was cut off before the file was whole; load what came: {beside}"
        raise ScriptError(str(path), problem)
    for name, value in (("connection", connection), ("url", url)):
        if value is not None:
            raise OptionError(f"load({name}=)", value, "goes with a recording, not with a table")
    from .generators.arrow import ArrowTable

    return _from_table(ArrowTable.file(path), options).timed(timing)


def _from_lines(read: Read, name: str, timing: object, connection: object, url: object) -> Made:
    """Make a script of what a file holds; arguments, errors and warnings are those of `Script.load`."""
    entries = read.entries
    if url is not None:
        entries = [*entries]
        connection = _at_url(entries, name, url, connection)
    if read.cut:
        warn(f"{name} was cut off {read.cut}; what stands before it was read")
    return _made(lambda number: assemble(entries, name, read.problems, connection=number), name, timing, connection)


def _at_url(entries: Sequence[tuple[int, Any]], name: str, url: object, connection: object) -> int:
    """Return the number of the connection with a URL, or one that has `url` in it."""
    if not isinstance(url, str) or not url or connection is not None:
        problem = "is no URL, nor a part of one" if connection is None else "and connection= say the same twice"
        raise OptionError("load(url=)", url, problem)
    spoke = {entry.get("connection") for _, entry in entries if isinstance(entry, dict) and not is_head(entry)}
    heads = [recorded_of(entry, {}, line, []) for line, entry in entries if is_head(entry)]
    urls = {each.connection: each.url for each in heads if each.url and each.connection in spoke}
    if not urls:
        raise OptionError("load(url=)", url, f"goes with a recording that has URLs, and {name} has none")
    found = [number for number, one in urls.items() if url in (one, ws_url(one))]
    found = found or [number for number, one in urls.items() if url in one or url in ws_url(one)]
    if not found:
        known = ", ".join(dict.fromkeys(map(shown_url, urls.values())))
        raise OptionError("load(url=)", url, f"is no URL of {name}", f"it has {known}")
    return found[0]


def from_text(text: str, name: str, timing: object, connection: object = None) -> Made:
    """Read a replay file's text; arguments, errors and warnings are those of `Script.parse`, which calls this."""
    return _made(lambda number: parse(text, name, connection=number), name, timing, connection)


def _made(read: Callable[[int | None], Parsed], name: str, timing: object, connection: object) -> Made:
    if connection is not None and (isinstance(connection, bool) or not isinstance(connection, int) or connection < 1):
        raise OptionError("load(connection=)", connection, "is no number from 1 on")
    lines = read(connection)
    if connection is None and len(lines.connections) > 1:
        shown = f"{name} has {len(lines.connections)} connections; this is connection {lines.connections[0]}"
        way = "connection=" if not lines.recorded.url else "connection= or url="
        warn(f"{shown}: choose with Script.load(…, {way})")
    missed = [f"{name}:{lines.steps[index].line}" for index in unreachable(lines.steps)]
    if missed:
        shown = ", ".join(missed[:10]) + (f" and {len(missed) - 10} more" if len(missed) > 10 else "")
        warn(f"no way through the script leads to {shown}")
    delays, origin = lines.header.get("timing") == "delay", Origin.of_header(lines.header)
    return Made(name, lines, delays=delays, written=origin).timed(timing)


def connections_of(path: str | os.PathLike[str]) -> list[Parsed]:
    """Read each connection of a recording that said or heard something, or of a script that is none its only one.

    Raises:
        ScriptFileNotFoundError: There is no such file.
        ScriptError: It cannot be read, or is a table.

    Warns:
        UserWarning: It was cut off; what stands before that is read.
    """
    from .formats import lines

    where = _regular(path)
    check_suffix(where, (*lines.READ, *TABLES), "read")
    if not os.path.exists(where):
        raise ScriptFileNotFoundError(str(path), f"there is no such file in {Path.cwd()}")
    read = lines.salvaged(where)
    if read.cut:
        warn(f"{path} was cut off {read.cut}; what stands before it is played")
    return each_connection(read.entries, str(path), read.problems)


OF_CONNECTIONS = ("subscribe", "unsubscribe", "ack")


def _cut(options: Mapping[str, Any]) -> dict[str, Any]:
    """Return the options of a table as its program takes them: what is said of who gets what is one thing there."""
    from .generators.cutting import Cutting
    from .subscriptions import subscription

    kept = dict(options)
    asked = subscription(*(kept.pop(name, None) for name in OF_CONNECTIONS))
    said = {name: _of_numpy(kept.pop(name)) for name in ("by", "snapshot", "rebase", "batch") if name in kept}
    return {**kept, "cutting": Cutting(**said, subscription=asked)}


def _of_numpy(value: Any) -> Any:
    """Return a time of numpy's as pandas' own."""
    kind = getattr(getattr(value, "dtype", None), "kind", "")
    if kind not in ("M", "m"):
        return value
    import pandas as pd

    return pd.Timestamp(value) if kind == "M" else pd.Timedelta(value)


def from_frame(df: Any, options: Mapping[str, Any]) -> Made:
    """Make messages, or steps, of a table's rows; arguments and errors are those of `Script.from_frame`."""
    if is_frame(df):
        return _from_table(df, options)
    if type(df).__name__ == "Series":
        raise OptionError("from_frame()", df.name, "is a Series", "give a table: series.to_frame()")
    if not hasattr(df, "__arrow_c_stream__"):
        way = ".collect() makes a table of it" if hasattr(df, "collect") else "valid: a DataFrame, a table of Arrow"
        raise OptionError("from_frame()", df, f"is a {type(df).__name__}, and no table", way)
    from .generators.arrow import ArrowTable

    return _from_table(ArrowTable.stream(df), options)


def _from_table(table: Any, options: Mapping[str, Any]) -> Made:
    """Make a script of a DataFrame or `ArrowTable`."""
    given = {name: value for name, value in options.items() if value is not None}
    rows = given.pop("rows", None)
    if rows is False or (rows is None and not given and looks_like_step(list(table.columns))):
        from .generators.steptable import entries_of

        frame, name = (table, "<DataFrame>") if is_frame(table) else (table.frame(), table.name)
        return Made(name, lines_of(entries_of(frame), name))
    if not is_frame(table):
        return _of(table.program(**_cut(given)))
    from .generators.tables import program_from_frame

    return _of(program_from_frame(table, **_cut(given)))


def from_list(entries: Sequence[Any], options: Mapping[str, Any]) -> Made:
    """Make messages, or steps, of a list's entries; options and errors are those of `Script.of`."""
    given = {name: value for name, value in options.items() if value is not None}
    rows = given.pop("rows", None)
    steps = bool(entries) and all(isinstance(each, dict) and looks_like_step(each) for each in entries)
    if rows is False or (rows is None and not given and steps):
        only_for_tables(given, "steps")
        return Made("<list>", lines_of(entries, "<list>"))
    from .generators.tables import program_from_rows

    return _of(program_from_rows(list(entries), **_cut(given)))


def _of(program: Program) -> Made:
    return Made(program.name, program=program)


def is_delay(timing: object) -> bool:
    """Return whether `timing` is ``"delay"``; raise OptionError unless it is one of the two."""
    if timing not in get_args(Timing):
        raise OptionError("replay(timing=)", timing, valid=get_args(Timing))
    return timing == "delay"


def only_for_tables(options: Mapping[str, Any], what: str) -> None:
    """Raise OptionError if an option is given that goes with tables alone."""
    for name, value in options.items():
        if value is not None:
            raise OptionError(f"replay({name}=)", value, f"goes with a table, not with {what}")


def _regular(path: str | os.PathLike[str]) -> Path:
    """Return a path.

    Raises:
        ScriptFileNotFoundError: It is empty.
        ScriptError: It is a pipe or a device, which a read would empty, or wait for.
    """
    where = Path(path)
    if not os.fspath(path):
        raise ScriptFileNotFoundError("''", "a file's name is empty")
    if os.path.exists(where) and not (where.is_file() or where.is_dir()):  # Path.exists() raises for a name too long
        raise ScriptError(str(path), "is no regular file, and it is read more than once; write what it has to a file")
    return where


def check_suffix(path: Path, known: Sequence[str], done: str, way: str = "") -> None:
    """Raise ScriptError unless a file's suffix is `known`."""
    if path.suffix.lower() not in known:
        kind = repr(path.suffix) if path.suffix else "without a suffix"
        problem = f"a file of the kind {kind} is not {done} ({done}: {', '.join(known)})"
        raise ScriptError(str(path), problem + (f"; {way}" if way else ""))


def is_frame(source: object) -> bool:
    """Return whether `source` is a pandas DataFrame, without importing pandas."""
    frame = getattr(sys.modules.get("pandas"), "DataFrame", None)
    return frame is not None and isinstance(source, frame)
