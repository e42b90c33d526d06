"""The traffic: the message log as a DataFrame, and selections of it."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, TypeAlias, cast

from .core.compare import paths
from .core.log import Log
from .core.recording import header, rfc3339, written
from .core.units import number, seconds
from .errors import OptionError
from .frames import DIRECTIONS, OPCODES, log_frame

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt
    import pandas as pd

    from .script import Script

    Array: TypeAlias = npt.NDArray[Any]

Direction = Literal["in", "out"]
Opcode = Literal["handshake", "text", "binary", "ping", "pong", "close", "abort"]
When: TypeAlias = "str | float | date | datetime | timedelta | np.datetime64"

_UNIT = re.compile(r"\s*[\d.]+\s*[a-zA-Z]+\s*")


class Traffic:
    """Every message in and out, with handshakes, pings, pongs and closes; a view that follows the log.

    A selection (`select`) goes on following; a slice (``traffic[-5:]``) is those rows and no others.

    Args:
        log: The log that it shows.
        rows: The absolute numbers of the rows that it is of; None: all that come.
        where: What its rows must fulfil.

    Example:
        >>> traffic = Mock().echo().simulate([(1, "a"), (2, "b")])
        >>> traffic, traffic[-1:].df["text"].tolist()
        (<Traffic 4 messages, 1 connection>, ['b'])
    """

    def __init__(self, log: Log, *, rows: range | Array | None = None, where: tuple[_Where, ...] = ()) -> None:
        self._log = log
        self._rows = rows
        self._where = where

    @property
    def df(self) -> pd.DataFrame:
        """The rows as a DataFrame of one's own: a change to it shows nowhere else.

        Columns: `time` (UTC, ns), `elapsed` (seconds since the server started), `connection`, `path`, `direction`,
        `opcode`, `text` (of text and handshakes), `data` (bytes, of binary, ping and pong), `size` (of the payload,
        in bytes), `step`, `rule`, `due_ms`, `delay_ms`, `fault`, `close_code`, `close_reason`, `trace_id`. What
        does not apply is null, as are a text and data that `limits(log_bytes=)` has forgotten. The index has the
        row's number since the last `clear()`.

        A story's event that left late because it was not written in time has ``starved`` in `fault`, too.

        With a proxy there are two more: `relay`, what became of a row (``forwarded``, ``changed``, ``dropped``;
        ``injected``: the other side never said it; ``answered``: by a rule; ``replayed``: by a cassette, or in the
        place of an upstream that is down), and `original`, the text or bytes that
        came where something else was passed on. `text` and `data` are what was passed on; of a row that was dropped
        or answered, what came.

        Example:
            >>> traffic = Mock().echo().simulate([(1, "hi")])
            >>> traffic.df[["direction", "opcode", "text"]].values.tolist()
            [['in', 'handshake', 'GET /ws 101 Switching Protocols'], ['in', 'text', 'hi'], ['out', 'text', '...
        """
        return self._frame()[0]

    def select(
        self,
        *,
        connection: int | Iterable[int] | None = None,
        path: str | Iterable[str] | None = None,
        direction: Direction | None = None,
        opcode: Opcode | Iterable[Opcode] | None = None,
        start: When | None = None,
        end: When | None = None,
    ) -> Traffic:
        """Return the traffic of which all that is given is true.

        Args:
            connection: A connection's number, or several; 0: handshakes that were refused.
            path: A path, or several.
            direction: ``"in"`` or ``"out"``.
            opcode: ``handshake``, ``text``, ``binary``, ``ping``, ``pong``, ``close`` or ``abort``, or several.
            start: The first time that belongs to it: a timestamp (naive: UTC), or seconds since the server started,
                also as ``"10s"`` or a timedelta.
            end: The first time that does not, in the same words.

        Raises:
            OptionError: An argument is none of these.

        Example:
            >>> traffic = Mock().echo().simulate([(1, "a"), (2, "b"), (3, "c")])
            >>> traffic.select(direction="in", opcode="text", start=2, end="3s").df["text"].tolist()
            ['b']
        """
        where = list(self._where)
        if connection is not None:
            numbers = [connection] if not isinstance(connection, Iterable) else list(connection)
            for one in numbers:
                if isinstance(one, (str, bool)) or not float(number(one)).is_integer() or one < 0:
                    raise OptionError("select(connection=)", one, "is no connection's number", "valid: 0, 1, 2, …")
            where.append(_Where("connection", "in", [int(one) for one in numbers]))
        for column, given, valid in (("direction", direction, DIRECTIONS), ("opcode", opcode, OPCODES)):
            if given is not None:
                names: list[Any] = [given] if isinstance(given, str) or not isinstance(given, Iterable) else [*given]
                for name in names:
                    if name not in valid:
                        raise OptionError(f"select({column}=)", name, valid=valid)
                where.append(_Where(column, "in", names))
        if path is not None:
            paths = [path] if isinstance(path, str) or not isinstance(path, Iterable) else list(path)
            for one_path in paths:
                if not isinstance(one_path, str):
                    raise OptionError("select(path=)", one_path, "is no path", 'valid: a text such as "/ws"')
            where.append(_Where("path", "in", paths))
        if start is not None:
            where.append(_Where.of_time(start, "select(start=)", ">="))
        if end is not None:
            where.append(_Where.of_time(end, "select(end=)", "<"))
        return Traffic(self._log, rows=self._rows, where=tuple(where))

    def script(self, connection: int | None = None, *, redact: Sequence[str] = ()) -> Script:
        """Return what one connection said and heard as a script, which may be edited, saved and played.

        Args:
            connection: Its number; the first of this traffic unless given.
            redact: JSONPaths of what is not to be in it, as in `Mock.record`.

        Raises:
            OptionError: There is no such connection in it, or it said and heard nothing.
            RecordingError: Messages have left memory (`limits(log_bytes=)`).

        Example:
            >>> traffic = Mock().echo().simulate([(1, "hi")])
            >>> traffic.script(connection=1)
            <Script <connection 1>, 2 steps in 1 s>
        """
        from .script import Script

        frame = self.df
        numbers = sorted(int(number) for number in frame["connection"].unique() if number > 0)
        wanted = connection if connection is not None else numbers[0] if numbers else None
        if wanted not in numbers:
            raise OptionError("script(connection=)", connection, "is not in this traffic", f"it has {numbers}")
        first, lines = self._recording(frame[frame["connection"] == wanted], paths(redact, "script(redact=)"))
        if not lines:
            raise OptionError("script(connection=)", wanted, "said and heard nothing")
        return Script.parse("".join(map(written, [first, *lines])), f"<connection {wanted}>")

    def save(self, path: str | os.PathLike[str], *, redact: Sequence[str] = ()) -> None:
        """Write the messages to a replay file, in which each line has its connection's number.

        Only its owner may read the file. A ``.parquet`` or ``.csv`` file has a row in place of each line; a ``.har``
        is what Chrome's network panel imports. What is there is overwritten.

        Args:
            path: The file.
            redact: JSONPaths of what is not written, as in `Mock.record`.

        Raises:
            OptionError: The path ends in none of these, nor in ``.jsonl`` or ``.ndjson``.
            RecordingError: Messages have left memory (`limits(log_bytes=)`); nothing is written.

        Example:
            >>> Mock().echo().simulate([(1, "hi")]).save("feed.jsonl")
            >>> Script.load("feed.jsonl", connection=1)
            <Script feed.jsonl, 2 steps in 1 s>
        """
        from .formats.lines import WRITTEN, write

        where = Path(path)
        if where.suffix.lower() not in WRITTEN:
            raise OptionError("save()", str(path), f"does not end in {', '.join(WRITTEN[:-1])} or {WRITTEN[-1]}")
        write(where, *self._recording(self.df, paths(redact, "save(redact=)")))

    def _recording(self, frame: pd.DataFrame, redact: Sequence[Any]) -> tuple[dict[str, Any], list[dict[str, Any]]]:
        """Return the header line and the lines of a recording."""
        from .recordings import lines_of

        records = {each.number: each for each in self._log.connections}
        return header(self._log.url, rfc3339(self._log.started_ns), "traffic"), lines_of(frame, records, redact)

    def clear(self) -> None:
        """Drop all rows; the connections stay, with their counts.

        Raises:
            OptionError: This is a part of the traffic; only the whole can be cleared.

        Example:
            >>> traffic = Mock().echo().simulate([(1, "hi")])
            >>> traffic.clear()
            >>> len(traffic)
            0
        """
        if self._rows is not None or self._where:
            raise OptionError("clear()", self, "is a part of the traffic", "clear the whole: server.traffic.clear()")
        self._log.clear()

    def __len__(self) -> int:
        return len(self._log) if self._rows is None and not self._where else len(self.df)

    def __getitem__(self, key: slice) -> Traffic:
        """Return the traffic of a slice of the rows; it stays with these rows."""
        if not isinstance(key, slice):
            raise TypeError(f"traffic is sliced, as in traffic[-5:]; not {key!r}: traffic.df.iloc[…] is one row")
        if self._rows is None and not self._where:
            rows = self._log.rows
            return Traffic(self._log, rows=range(rows.base, rows.base + rows.count)[key])
        frame, base = self._frame()
        return Traffic(self._log, rows=frame.index.to_numpy()[key] + base)

    def __repr__(self) -> str:
        frame = self.df
        messages = int(frame["opcode"].isin(["text", "binary"]).sum())
        numbers = frame["connection"]
        return f"<Traffic {_count(messages, 'message')}, {_count(numbers[numbers > 0].nunique(), 'connection')}>"

    def _repr_html_(self) -> str:
        from .notebook.display import traffic_html

        return traffic_html(self)

    def _frame(self) -> tuple[pd.DataFrame, int]:
        """Return the frame, and the absolute number of the row that its index calls 0."""
        import numpy as np

        rows = self._log.rows
        frame, base = log_frame(self._log, rows), rows.base
        if isinstance(self._rows, range) and self._rows.step == 1:
            frame = frame.iloc[max(0, self._rows.start - base) : max(0, self._rows.stop - base)]
        elif self._rows is not None:
            wanted = np.asarray(self._rows, np.int64) - base
            frame = frame.iloc[wanted[(wanted >= 0) & (wanted < len(frame))]]
        if self._where:
            kept = np.ones(len(frame), bool)
            for condition in self._where:
                kept &= condition.holds(frame)
            frame = frame[kept]
        return frame, base


@dataclass(frozen=True, slots=True)
class _Where:
    """A condition on one column."""

    column: str
    relation: Literal["in", ">=", "<"]
    value: Any

    @classmethod
    def of_time(cls, value: object, where: str, relation: Literal[">=", "<"]) -> _Where:
        import numpy as np
        import pandas as pd

        if isinstance(value, timedelta) or (isinstance(value, str) and _UNIT.fullmatch(value)):
            return cls("elapsed", relation, seconds(value, where))
        if isinstance(value, (str, date, np.datetime64)):
            try:
                time = pd.to_datetime(value, utc=True)  # naive is UTC
                if isinstance(time, pd.Timestamp):  # not NaT
                    return cls("time", relation, time)
            except ValueError:
                pass
        elif (elapsed := number(value)) == elapsed:
            return cls("elapsed", relation, elapsed)
        valid = "valid: a timestamp (naive: UTC), or seconds since the server started"
        raise OptionError(where, value, "is no time", valid)

    def holds(self, frame: pd.DataFrame) -> Array:
        column = frame[self.column]
        if self.relation == "in":
            found = column.isin(self.value)
        else:
            found = column >= self.value if self.relation == ">=" else column < self.value
        return cast("Array", found.to_numpy(bool))


def _count(n: int, noun: str) -> str:
    return f"{n:,} {noun}{'' if n == 1 else 's'}"
