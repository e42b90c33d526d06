"""From a table, or a list of rows, to a script: one message a row, due by a time column or at a rate.

A table's rows become JSON when a session asks for them, a block at a time and column by column: orjson writes a
whole column of numbers, instants or texts in one call, the result is cut into one text a value, and a row is one
``%`` of a form over them. So a million rows cost nothing until they are played, and then about 1 µs each. Only
columns of Python objects are written at once: they alone can hold what has no JSON form, which is an error at the
call, and what the user may change later.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from typing import TYPE_CHECKING, Any

from mockforge_nb.core.keys import Keys
from mockforge_nb.core.program import Program
from mockforge_nb.errors import OptionError, ScriptError

from .cutting import Cutting, KeyColumn, Material, Template, check_template, cut_program, forms_of
from .forms import article
from .layout import Layout, check_columns, recipe_of, valid_names
from .messages import message, shaped
from .sources import Messages, Rows, Shape
from .times import check, in_order, listed, offsets, schedule

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt
    import pandas as pd

    from .endless import Items

    Order = npt.NDArray[np.integer[Any]]


def program_from_frame(
    df: pd.DataFrame,
    *,
    time: str | None = None,
    unit: str | None = None,
    rate: float | None = None,
    columns: Sequence[str] | None = None,
    template: Template | None = None,
    cutting: Cutting = Cutting(),  # noqa: B008  # it never changes
    names: Collection[str] = (),
    name: str = "<DataFrame>",
) -> Program:
    """Make one message of each row of a table.

    Args:
        df: The table; what its owner does to it later does not show.
        time: The column, or the level of the index, that says when a row is due: datetimes count from the earliest;
            timedeltas and numbers (s) from the start; numbers too large for that are times since 1970.
        unit: What a numeric `time` is in, as in ``pd.to_datetime``.
        rate: Messages a second, without `time`. Without either all are due at once.
        columns: The columns that a message has, in this order; all unless said, `time` among them.
        template: A text with ``{{row.name}}``, or a function of the row as a dict (timestamps as ``pd.Timestamp``,
            gaps as None) that returns text, bytes, a dict or a list; a JSON object unless said. One for each of
            ``{"snapshot": …, "update": …}``. With windows it is of a list of rows: ``{{rows}}``.
        cutting: Which rows go to whom, and when.
        names: The user's own template functions and values.
        name: What errors call the script.

    Raises:
        OptionError: An argument that does not fit the table.
        ScriptError: A row that has no JSON form, times that are none, a table without rows.
        TemplateError: The template cannot be parsed.
    """
    check(time, unit, rate)
    check_template(template)
    cutting.check(template)
    if not len(df):
        raise ScriptError(name, "the table has no rows")
    frame = df.copy(deep=False)
    layout = Layout(frame, time=time, unit=unit, columns=columns, template=template, cutting=cutting, script=name)
    ms = order = None
    if time is not None:
        ms, order = in_order(offsets(layout.times(frame), unit, name, layout.reference))
    at, period = schedule(len(frame), ms, rate)
    keys = None
    if cutting.by is not None:
        column = KeyColumn(cutting.by, name)
        values = layout.keys(frame)
        column.add(values if order is None else values.iloc[order])
        keys = column.keys
    rows = layout.rows(frame, order)

    def dicts(chosen: Order, shift_ns: int) -> list[tuple[Any, dict[str, Any]]]:
        return layout.dicts(frame, chosen if order is None else order[chosen], shift_ns)

    moved = rows.moved if isinstance(rows, Rows) else None
    ends = layout.instants(frame) if cutting.cuts else None
    recipe = layout.recipe(layout.material(rows, moved, dicts, ends), names)
    return cut_program(recipe, cutting, at=at, period=period, keys=keys)


def program_from_rows(
    rows: Sequence[Any],
    *,
    time: str | None = None,
    unit: str | None = None,
    rate: float | None = None,
    columns: Sequence[str] | None = None,
    template: Template | None = None,
    cutting: Cutting = Cutting(),  # noqa: B008  # it never changes
    names: Collection[str] = (),
    name: str = "<list>",
) -> Program:
    """Make one message of each entry of a list: a dict is a JSON object, a str a text, bytes a binary message.

    Args:
        rows: The entries. A dict is sent with its own keys, in its own order.
        time: The key that says when a dict is due; as `program_from_frame` reads a column.
        unit: What a numeric `time` is in.
        rate: Messages a second, without `time`.
        columns: The keys that are sent, in this order; a dict that lacks one is sent without it.
        template: As for `program_from_frame`; the function gets the dict as it is.
        cutting: As for `program_from_frame`, but times are not moved.
        names: The user's own template functions and values.
        name: What errors call the script.

    Raises:
        OptionError: An argument that does not fit the list.
        ScriptError: An entry that cannot be sent, times that are none, an empty list.
        TemplateError: The template cannot be parsed.
    """
    check(time, unit, rate)
    check_template(template)
    cutting.check(template)
    if cutting.rebase is not None:
        raise OptionError("rebase=", cutting.rebase, "is for the columns of a table", "make it one: pd.DataFrame(rows)")
    if not len(rows):
        raise ScriptError(name, "the list has no rows")
    other = next((i for i, row in enumerate(rows) if not isinstance(row, dict)), None)
    options = {"time": time, "columns": columns, "template": template, "by": cutting.by, "batch": cutting.batch}
    for option, value in options.items():
        if value is not None and other is not None:
            raise OptionError(option, value, f"is for rows that are dicts, and row {other} is {article(rows[other])}")
    known = dict.fromkeys(key for row in rows if isinstance(row, dict) for key in row)
    if columns is not None:
        check_columns(columns)
    for option, wanted in [*(("columns", each) for each in columns or ()), ("by", cutting.by)]:
        if wanted is not None and wanted not in list(known):
            raise OptionError(option, wanted, "is no key of any row", valid_names(map(str, known), wanted))
    ms, played = None, list(range(len(rows)))
    if time is not None:
        ms, order = in_order(_row_times(rows, time, unit, known, name))
        played = played if order is None else order.tolist()
    at, period = schedule(len(rows), ms, rate)
    keys = _row_keys([rows[i].get(cutting.by) for i in played], cutting.by, name) if cutting.by is not None else None
    sent = list(known) if columns is None else list(columns)
    kept = rows if columns is None else [{key: row[key] for key in sent if key in row} for row in rows]
    late = cutting.batch is not None or len(forms_of(template)) > 1
    if callable(template) and not late:
        source, template = shaped(((i, dict(kept[i])) for i in played), template, name), None
    else:
        source = Messages()
        for i in played:
            source.add(*message(kept[i], f"row {i}", name))

    def dicts(chosen: Order, shift_ns: int) -> list[tuple[Any, dict[str, Any]]]:
        return [(played[i], dict(kept[played[i]])) for i in chosen.tolist()]

    material = Material(rows=source, dicts=dicts if any(map(callable, forms_of(template))) else None)
    recipe = recipe_of(material, template, list(map(str, sent)), cutting, names, name)
    return cut_program(recipe, cutting, at=at, period=period, keys=keys)


def messages_of(
    frames: Iterable[pd.DataFrame],
    name: str,
    gap: float,
    *,
    time: str | None = None,
    columns: Sequence[str] | None = None,
    template: Shape | None = None,
) -> Items:
    """Yield the messages of tables that follow each other, with their times (ms).

    Args:
        frames: The tables, of the same columns.
        name: What errors call the script.
        gap: How long after each row the next is due, without `time` (ms).
        time: The column of the times.
        columns: The columns that are sent.
        template: The function that makes a message of a row.

    Raises:
        OptionError, ScriptError: As `program_from_frame`.
    """
    import orjson
    import pandas as pd

    check_template(template)
    layout: Layout | None = None
    first: pd.Series[Any] | None = None
    count = 0
    for frame in frames:
        if layout is None:
            layout = Layout(frame, time=time, columns=columns, template=template, cutting=Cutting(), script=name)
            layout.measure(frame)
        rows = layout.rows(frame)
        at: Any = [(count + place) * gap for place in range(len(frame))]
        if time is not None:
            due = layout.times(frame)
            first = due[:1] if first is None else first
            at = offsets(pd.concat([first, due]), None, name, layout.reference)[1:].tolist()
        count += len(frame)
        if isinstance(rows, Rows):
            yield from zip(at, map(orjson.Fragment, rows.payloads(0, len(rows))), strict=True)
        else:
            steps = (rows[place] for place in range(len(rows)))
            yield from ((ms, step.payload.value) for ms, step in zip(at, steps, strict=True) if step.payload)


def _row_keys(values: list[Any], by: str, script: str) -> Keys:
    import pandas as pd

    column = KeyColumn(by, script)
    column.add(pd.Series(values, dtype=object).infer_objects())
    return column.keys


def _row_times(
    rows: Sequence[dict[Any, Any]], time: str, unit: str | None, keys: Collection[Any], script: str
) -> npt.NDArray[np.float64]:
    import pandas as pd

    if time not in list(keys):  # a list takes also what cannot be hashed
        raise OptionError("time", time, "is no key of any row", valid_names(map(str, keys), time))
    lacking = pd.Series([time not in row for row in rows])
    if lacking.any():
        where = listed(lacking.index, lacking.to_numpy())
        raise ScriptError(script, f"{time!r} is missing in {where} (counted from 0); every row needs its time")
    times = pd.Series([row[time] for row in rows], dtype=object, name=time).infer_objects()
    return offsets(times, unit, script, f"pd.Series([row[{time!r}] for row in rows])")
