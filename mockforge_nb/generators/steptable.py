"""Steps as a table that a person can edit in pandas, and back."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from mockforge_nb.core.jsonl import keys_of_line
from mockforge_nb.core.message import to_json

if TYPE_CHECKING:
    import pandas as pd

    from mockforge_nb.core.program import Step
    from mockforge_nb.core.rules import Rule

FIRST = ("step_id", "ts", "dir", "text", "json", "binary")
MILLISECONDS = ("ts", "timeout_ms", "every_ms")
WHOLE = ("code", "repeat", "connection", "times")


def frame_of(lines: Iterable[Step | Rule]) -> pd.DataFrame:
    """Return a table with a row a step or rule, and a column a key that is used; an empty cell is no key.

    Raises:
        ValueError: A step or rule holds Python code, which a table cannot hold.
    """
    import pandas as pd

    rows = [keys_of_line(line) for line in lines]
    for row in rows:
        if "json" in row and row["json"] is None:
            # An empty cell is no payload, so the message null is its text here.
            row["text"] = to_json(row.pop("json"))
    used = dict.fromkeys(key for row in rows for key in row)
    names = [*(name for name in FIRST if name in used), *(name for name in used if name not in FIRST)]
    columns: dict[str, Any] = {}
    for name in names:
        cells = [row.get(name, pd.NA) for row in rows]
        columns[name] = pd.array(cells, dtype="Float64") if name in MILLISECONDS else pd.Series(cells, dtype=object)
    return pd.DataFrame(columns)


def entries_of(table: pd.DataFrame) -> list[dict[str, Any]]:
    """Return a table of steps as dicts with a replay file's keys, without the cells that are empty."""
    import pandas as pd

    entries = []
    for row in table.to_dict("records"):
        entry: dict[str, Any] = {}
        for key, value in row.items():
            if value is None or value is pd.NA or value is pd.NaT or (isinstance(value, float) and value != value):
                continue
            # A column of whole numbers with empty cells is one of floats in pandas.
            whole = key in WHOLE and isinstance(value, float) and value.is_integer()
            entry[str(key)] = int(value) if whole else value.item() if hasattr(value, "item") else value
        entries.append(entry)
    return entries
