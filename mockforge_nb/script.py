"""Script: what a mock plays, made from a file, a table or a list."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from .core.jsonl import looks_like_step, parse, program_of
from .core.program import Program, Step
from .core.units import human
from .errors import OptionError, ScriptError, ScriptFileNotFoundError

SUFFIXES = (".jsonl", ".ndjson")
"""The kinds of file that are read."""


class Script:
    """Steps in order, each with its time; made by `load`, `parse`, `from_frame` or `of`, and never changed.

    Attributes:
        program: The steps as a session plays them.
    """

    __slots__ = ("program",)

    def __init__(self, program: Program) -> None:
        self.program = program

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> Script:
        """Read a replay file, JSON Lines with one step a line.

        Raises:
            FileNotFoundError: There is no such file; the error is a ScriptError too.
            ScriptError: Every problem of the file, each as ``path:line: problem``.
        """
        where = Path(path)
        if where.suffix.lower() not in SUFFIXES:
            raise ScriptError(
                str(path),
                f"a file of the kind {where.suffix or 'without a suffix'!r} is not read (readable: "
                f"{', '.join(SUFFIXES)}); read a table with pandas and give the DataFrame",
            )
        try:
            text = where.read_text(encoding="utf-8-sig")
        except FileNotFoundError:
            raise ScriptFileNotFoundError(str(path), f"there is no such file in {Path.cwd()}") from None
        except UnicodeDecodeError as error:
            line = error.object[: error.start].count(b"\n") + 1
            raise ScriptError(
                str(path), f"line {line} is not UTF-8 (byte {error.start}: {error.reason}); save the file as UTF-8"
            ) from error
        except OSError as error:
            raise ScriptError(str(path), f"it cannot be read: {error.strerror}") from error
        return cls(parse(text, str(path)))

    @classmethod
    def parse(cls, text: str, name: str = "<text>") -> Script:
        """Read a replay file's text, for instance from a cell; errors call it `name`.

        Raises:
            ScriptError: Every problem of the text, each with its line.
        """
        return cls(parse(text, name))

    @classmethod
    def from_frame(
        cls,
        df: Any,
        *,
        time: str | None = None,
        unit: str | None = None,
        rate: float | None = None,
        columns: Sequence[str] | None = None,
        template: str | Callable[[dict[str, Any]], str | bytes | dict[str, Any]] | None = None,
    ) -> Script:
        """Make one message of each row of a table.

        Args:
            df: A DataFrame, or anything with ``__arrow_c_stream__`` (polars, pyarrow, DuckDB).
            time: The column of the times: datetimes, timedeltas or numbers (s).
            unit: The unit of a numeric time column, as in `pandas.to_datetime`.
            rate: Messages a second, without a time column.
            columns: The columns that are sent; all, unless said.
            template: How a row becomes a message: a text with ``{{row.name}}``, or a function of the row as a dict
                that returns text, bytes or a dict; unless said, a JSON object.

        Raises:
            OptionError: An argument that does not fit the table.
            ScriptError: A row that cannot be sent, or times that cannot be used.
        """
        from .generators.tables import program_from_frame

        return cls(program_from_frame(_frame(df), time=time, unit=unit, rate=rate, columns=columns, template=template))

    @classmethod
    def of(cls, source: object, *, rows: bool | None = None, **options: Any) -> Script:
        """Make a script of whatever `Mock.replay` takes.

        Args:
            source: A Script, a path, a table, or a list of dicts or texts.
            rows: Whether a list's dicts are rows; unless said, they are steps if each looks like one.
            options: Those of `from_frame`, for tables and lists of rows.

        Raises:
            OptionError: It is none of these, or an option does not go with it.
            ScriptError: It cannot be played.
        """
        given = {name: value for name, value in options.items() if value is not None}

        def no_options(what: str) -> None:
            if given or rows is not None:
                name = next(iter(given), "rows")
                raise OptionError(f"replay({name}=)", given.get(name, rows), f"goes with a table, not with {what}")

        if isinstance(source, Script):
            no_options("a Script")
            return source
        if isinstance(source, (str, os.PathLike)):
            no_options("a file")
            return cls.load(source)
        if isinstance(source, (list, tuple)):
            from .generators.tables import program_from_rows

            steps = bool(source) and all(isinstance(each, dict) and looks_like_step(each) for each in source)
            if rows is None and not given and steps:
                return cls(program_of(source, "<list>"))
            if rows is False:
                no_options("steps") if given else None
                return cls(program_of(source, "<list>"))
            return cls(program_from_rows(list(source), **given))
        if _is_table(source):
            if rows is False:
                raise OptionError("replay(rows=)", rows, "goes with a list; a table's rows are messages")
            return cls.from_frame(source, **given)
        raise OptionError(
            "replay()",
            source,
            f"is a {type(source).__name__}, which cannot be played",
            "valid: a path to a .jsonl file, a Script, a DataFrame or other table, a list of dicts or texts",
        )

    def __len__(self) -> int:
        return len(self.program)

    def __getitem__(self, index: int) -> Step:
        return self.program.steps[range(len(self))[index]]

    def __repr__(self) -> str:
        return f"<Script {self.program.name}, {self.summary()}>"

    def summary(self) -> str:
        """Return how many steps there are and how long they last."""
        count = len(self.program)
        last = self.program.at[-1] / 1000
        return f"{count:,} step{'s' if count != 1 else ''}" + (f" in {human(last)}" if last else "")

    def _repr_html_(self) -> str:
        from .notebook.display import script_html

        return script_html(self)


def _is_table(source: object) -> bool:
    from .generators.tables import is_frame

    return is_frame(source) or hasattr(source, "__arrow_c_stream__")


def _frame(source: Any) -> Any:
    """Return `source` as a pandas DataFrame."""
    from .generators.tables import is_frame

    if is_frame(source):
        return source
    import pandas as pd

    if isinstance(source, pd.Series):
        raise OptionError("replay()", source.name, "is a Series", "give a table: series.to_frame()")
    return pd.DataFrame.from_arrow(source)  # type: ignore[attr-defined]  # new in pandas 3
