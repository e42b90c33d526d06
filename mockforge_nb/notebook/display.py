"""HTML for notebooks: escaped, self-contained, without scripts, readable in light and dark themes."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from html import escape
from typing import TYPE_CHECKING, Any

from mockforge_nb.core.events import Close, Drop
from mockforge_nb.core.program import Program
from mockforge_nb.core.units import human
from mockforge_nb.core.verdicts import where

if TYPE_CHECKING:
    import pandas as pd

    from mockforge_nb.contract import Verdicts
    from mockforge_nb.core.program import Step
    from mockforge_nb.core.rules import Rule
    from mockforge_nb.handle import Server
    from mockforge_nb.mock import Mock
    from mockforge_nb.script import Script
    from mockforge_nb.traffic import Traffic

SHOWN_ROWS = 10
SHOWN_TEXT = 100

# Grey and red that read on white and on black; sizes and fonts are the notebook's own where nothing is said.
_LINE = "border:0;border-bottom:1px solid rgba(128,128,128,.35)"
_CELL = f"text-align:left;vertical-align:top;padding:3px 14px 3px 0;background:none;{_LINE}"
_NUMBER = f"{_CELL};text-align:right;font-variant-numeric:tabular-nums;white-space:nowrap"
_WORD = f"{_CELL};white-space:nowrap"
_LONG = f"{_CELL};font-family:monospace;max-width:44em;white-space:normal;overflow-wrap:anywhere"
_DIM = "opacity:.65"
_BAD = "color:#d64541"
_TABLE = "border-collapse:collapse;border:0;margin:4px 0;font-size:90%"

_LONG_COLUMNS = frozenset({"text", "data"})
_HIDDEN = frozenset({"headers"})
_AMOUNTS = frozenset({"size", "messages_in", "messages_out", "bytes_in", "bytes_out"})
_ORDER = ("time", "elapsed", "connection", "path", "direction", "opcode", "text", "data")
"""What is read first stands first, and `size` and the rest after it."""

# Control characters, lone surrogates, and what is invisible or turns the direction of what follows (Trojan Source);
# not the joiners U+200C and U+200D, which scripts and emoji need.
_INVISIBLE = re.compile(
    "[\x00-\x1f\x7f-\x9f\u00ad\u061c\u180e\u200b\u200e\u200f\u2028-\u202e\u2060-\u206f\ufeff\ufff9-\ufffb\ud800-\udfff]"
)


def shorten(text: str, most: int = SHOWN_TEXT) -> str:
    """Return `text` with an ellipsis for what is over `most` characters."""
    return text if len(text) <= most else text[: most - 1] + "…"


def visible(text: str) -> str:
    r"""Return `text` with what cannot be seen spelled out as in Python (``\n``, ``\x1b``, ``\u202e``)."""
    return _INVISIBLE.sub(lambda found: ascii(found[0])[1:-1], text)


def safe(value: object, most: int = SHOWN_TEXT) -> str:
    """Return a value as HTML text of at most `most` characters."""
    if isinstance(value, (str, bytes, bytearray)):  # what is cut off need not be converted
        value = value[: most + 1]
    return escape(visible(shorten(str(value), most)))


def table(
    head: Sequence[str],
    rows: Iterable[Sequence[object]],
    styles: Sequence[str] | None = None,
    most: int = SHOWN_TEXT,
) -> str:
    """Return an HTML table; every cell is escaped and shortened to `most`. Without any head there is no head line."""
    styles = styles or [_WORD] * len(head)
    names = "".join(
        f'<th style="{_WORD if style is _LONG else style}"><span style="{_DIM}">{safe(name)}</span></th>'
        for name, style in zip(head, styles, strict=True)
    )
    body = "".join(
        "<tr>"
        + "".join(f'<td style="{style}">{safe(cell, most)}</td>' for cell, style in zip(row, styles, strict=True))
        # Jupyter stripes the rows in a grey that is made for one theme.
        + "</tr>"
        for row in rows
    )
    top = f"<thead><tr>{names}</tr></thead>" if any(head) else ""
    return f'<table style="{_TABLE}">{top}<tbody>{body}</tbody></table>'


def titled(title: str, *parts: str, color: str = "") -> str:
    """Return a heading line, of which the first word stands out, and what belongs to it.

    Args:
        title: The heading as plain text, or a repr in its angle brackets.
        parts: HTML.
        color: Of a dot before the heading; none unless given.
    """
    first, _, rest = title.removeprefix("<").removesuffix(">").partition(" ")
    dot = f'<span style="color:{color}">●</span> ' if color else ""
    line = f'{dot}<strong>{safe(first)}</strong> <span style="{_DIM}">{safe(rest, 300)}</span>'
    return f"<div><div>{line}</div>{''.join(parts)}</div>"


def dim(text: str) -> str:
    """Return a line that does not ask for attention."""
    return f'<div style="{_DIM};font-size:90%">{safe(text, 300)}</div>'


def mock_html(mock: Mock) -> str:
    """Return a mock's words, one a line."""
    first, *words = mock.words()
    lines = "".join(f'<div style="padding-left:1.5em"><code>.{safe(word, 300)}</code></div>' for word in words)
    return titled(first, lines or dim("sends each message back"))


def script_html(script: Script) -> str:
    """Return the first steps of a script with their times, a line on which each stands at its time, and its rules."""
    if script.endless:
        part = script[:SHOWN_ROWS]
        return titled(repr(script), _steps_table(part, SHOWN_ROWS), dim("… and so on, without end"))
    more = len(script) - SHOWN_ROWS
    rest = dim(f"… and {more:,} more") if more > 0 else ""
    return titled(repr(script), _time_line(script), _steps_table(script, SHOWN_ROWS), rest, _rules_table(script.rules))


def _steps_table(script: Script, count: int) -> str:
    """Return the first steps of a script, with their times."""
    at = script.program.at
    shown = [script[index] for index in range(min(count, len(script)))]
    rows = [(index, human(at[index] / 1000), step.dir, _what(step)) for index, step in enumerate(shown)]
    return table(("step", "at", "dir", "message"), rows, (_NUMBER, _NUMBER, _WORD, _LONG)) if rows else ""


def preview_html(frame: pd.DataFrame) -> str:
    """Return the first messages of a script, or of them the columns that are left."""
    styles = {"message": _LONG}
    names = tuple(map(str, frame.columns))
    shown = frame.head(100)
    rows = [[f"{cell:.3f}" if isinstance(cell, float) else cell for cell in row] for row in shown.itertuples()]
    more = len(frame) - len(shown)
    html = table(("", *names), rows, (_NUMBER, *(styles.get(name, _NUMBER) for name in names)), most=400)
    return html + (dim(f"… and {more:,} more") if more else "")


def _rules_table(rules: Sequence[Rule]) -> str:
    """Return the first rules: what each takes, on which condition, what it answers, and what it sets."""
    if not rules:
        return ""
    rows = [
        (index, rule.name or rule.takes, rule.condition.source if rule.condition else "", _answers(rule), _sets(rule))
        for index, rule in enumerate(rules[:SHOWN_ROWS])
    ]
    more = len(rules) - len(rows)
    head = ("rule", "takes", "if", "answers", "sets")
    shown = table(head, rows, (_NUMBER, _LONG, _LONG, _LONG, _LONG))
    return shown + (dim(f"… and {more:,} more") if more else "")


def _answers(rule: Rule) -> str:
    """Return what a rule answers, as a person would write it."""
    texts = []
    for answer in rule.answers:
        value = getattr(answer, "value", None)
        name = getattr(getattr(answer, "function", None), "__name__", None)
        if isinstance(answer, Close):
            texts.append(f"close {answer.code} {answer.reason}".strip())
        elif isinstance(answer, Drop):
            texts.append("abort")
        elif isinstance(answer, Program):
            texts.append(f"a script of {len(answer):,} steps")
        else:
            texts.append(f"{name}()" if name else value if isinstance(value, str) else repr(value))
    return " · ".join(texts)


def _sets(rule: Rule) -> str:
    """Return what a rule sets of the state."""
    texts = [f"{name} = {template.source}" for name, template in rule.sets.items()]
    texts += [rule.state] if rule.state is not None else []
    return ", ".join(texts) + (" (server)" if texts and rule.scope == "server" else "")


def _what(step: Step) -> str:
    payload = step.payload
    if payload is None:
        text = "(any message)" if step.dir == "in" else ""
    elif payload.template is not None:
        text = payload.template.source if isinstance(payload.value, str) else str(payload.value)
    elif payload.kind == "binary" and isinstance(payload.value, bytes):
        text = repr(payload.value[: SHOWN_TEXT + 1])
    else:
        text = payload.literal().decode(errors="replace")
    return f"(after {step.wait_for.source}) {text}" if step.wait_for is not None else text


def _time_line(script: Script) -> str:
    """Return a bar on which up to 200 steps are ticks."""
    at = script.program.at
    last = at[-1] if len(at) else 0
    if not last:
        return ""
    every = max(1, len(at) // 200)
    ticks = "".join(f'<rect x="{at[i] / last * 997:.0f}" width="3" height="14"/>' for i in range(0, len(at), every))
    return (
        f'<svg viewBox="0 0 1000 14" preserveAspectRatio="none" style="display:block;width:100%;max-width:60em;'
        f'height:14px;margin:4px 0" role="img" aria-label="{len(at)} steps in {human(last / 1000)}">'
        f'<rect y="6.5" width="1000" height="1" fill="currentColor" opacity="0.4"/>'
        f'<g fill="currentColor" opacity="0.6">{ticks}</g></svg>'
    )


def frame_html(df: pd.DataFrame, title: str, nothing: str = "nothing yet") -> str:
    """Return a DataFrame's last rows under a title; every cell is escaped.

    Columns that hold nothing in these rows are left out.
    """
    if not len(df):
        return titled(title, dim(nothing))
    from pandas.api.types import is_datetime64_any_dtype, is_numeric_dtype

    shown = df.tail(SHOWN_ROWS)
    names = [name for name in shown.columns if name not in _HIDDEN and _says_something(shown[name])]
    names.sort(key=lambda name: _ORDER.index(name) if name in _ORDER else len(_ORDER))
    columns, styles, head = [], [], []
    for name in names:
        values, kind, called, style = shown[name].tolist(), shown[name].dtype, str(name), _WORD
        if is_datetime64_any_dtype(kind):
            texts, day = _times(values)
            called += f" ({day}UTC)"
        elif is_numeric_dtype(kind) and kind.kind != "b":
            texts, style = [_number(value, name in _AMOUNTS) for value in values], _NUMBER
        else:
            texts, style = [_cell(value) for value in values], _LONG if name in _LONG_COLUMNS else _WORD
        columns.append(texts)
        styles.append(style)
        head.append(called)
    rows = zip(*columns, strict=True)
    rest = dim(f"the last {len(shown)} of {len(df):,} rows") if len(df) > len(shown) else ""
    return titled(title, f'<div style="overflow-x:auto">{table(head, rows, styles)}</div>', rest)


def _says_something(column: pd.Series[Any]) -> bool:
    return any(not _missing(value) and value not in ("", [], {}) for value in column.tolist())


def _missing(value: Any) -> bool:
    return not isinstance(value, (str, bytes, dict, list, tuple)) and str(value) in ("None", "nan", "<NA>", "NaT")


def _cell(value: Any) -> str:
    if isinstance(value, bytes):
        return repr(value[: SHOWN_TEXT + 1])
    if isinstance(value, dict):
        return ", ".join(f"{key}: {one}" for key, one in value.items())
    if isinstance(value, (list, tuple)):
        return ", ".join(map(str, value))
    return "" if _missing(value) else str(value)


def _number(value: Any, amount: bool) -> str:
    if _missing(value):
        return ""
    if isinstance(value, float):
        return f"{value:,.4f}".rstrip("0").rstrip(".")
    return f"{value:,}" if amount else str(value)


def _times(values: Sequence[Any]) -> tuple[list[str], str]:
    """Return times to the millisecond, and the day if it is one for all."""
    days = {f"{value:%Y-%m-%d} " for value in values if not _missing(value)}
    day = days.pop() if len(days) == 1 else ""
    form = "%H:%M:%S.%f" if day else "%Y-%m-%d %H:%M:%S.%f"
    return ["" if _missing(value) else value.strftime(form)[:-3] for value in values], day


def traffic_html(traffic: Traffic) -> str:
    """Return the last messages."""
    return frame_html(traffic.df, repr(traffic), "nothing came or went yet")


def server_html(server: Server) -> str:
    """Return where a server is, what it does, what went wrong, and its last messages."""
    rows = [("mock", repr(server.mock)), ("seed", server.seed)]
    if server.live:
        rows.append(("live", ", ".join(server.live)))
    errors = server.errors
    wrong = "".join(
        f'<div style="{_BAD}">{safe(type(error).__name__)}: {safe(error, 300)}</div>' for error in errors[:SHOWN_ROWS]
    )
    if len(errors) > SHOWN_ROWS:
        wrong += dim(f"and {len(errors) - SHOWN_ROWS:,} more, in server.errors")
    count = sum(connection.open for connection in server.connections)
    what = f"{count} connection{'' if count == 1 else 's'}" if server.running else "stopped"
    return titled(
        f"{type(server).__name__} {server._place}, {what}",
        wrong,
        table(("", ""), rows, (_WORD, _LONG)),
        traffic_html(server.traffic) if len(server.traffic) else "",
        color=("#d64541" if errors else "#2e9e5b") if server.running else "#888888",
    )


def verdicts_html(verdicts: Verdicts) -> str:
    """Return where a server is not as it was recorded, or the first verdicts if it is."""
    rows = [(place, one) for place, one in enumerate(verdicts.verdicts) if one.failed or verdicts.ok]
    cells = [
        (where(verdicts.verdicts, place), one.word, _said(one.recorded), _said(one.got), "; ".join(one.differences))
        for place, one in rows[:SHOWN_ROWS]
    ]
    word = _WORD if verdicts.ok else f"{_WORD};{_BAD}"
    styles = (_WORD, word, _LONG, _LONG, _LONG)
    shown = table(("where", "verdict", "recorded", "received", "differences"), cells, styles) if cells else ""
    rest = dim(f"… and {len(rows) - SHOWN_ROWS:,} more, in .df") if len(rows) > SHOWN_ROWS else ""
    color = "#2e9e5b" if verdicts.ok else "#d64541"
    return titled(repr(verdicts).partition("\n")[0], shown, rest, color=color)


def _said(value: str | bytes | None) -> str:
    return "" if value is None else _cell(value)
