"""HTML for notebooks: escaped, self-contained, without scripts, readable in light and dark themes."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from html import escape
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import pandas as pd

    from mockforge_nb.core.program import Step
    from mockforge_nb.mock import Mock
    from mockforge_nb.script import Script
    from mockforge_nb.server import _Server
    from mockforge_nb.traffic import Traffic

SHOWN_ROWS = 10
SHOWN_TEXT = 100

_CELL = "text-align:left;vertical-align:top;padding:2px 12px 2px 0"


def shorten(text: str, most: int = SHOWN_TEXT) -> str:
    """Return `text` with an ellipsis for what is over `most` characters."""
    return text if len(text) <= most else text[: most - 1] + "…"


def table(head: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """Return an HTML table; every cell is escaped and shortened."""
    names = "".join(f'<th style="{_CELL}">{escape(name)}</th>' for name in head)
    body = "".join(
        "<tr>" + "".join(f'<td style="{_CELL}">{escape(shorten(str(cell)))}</td>' for cell in row) + "</tr>"
        for row in rows
    )
    return f"<table><thead><tr>{names}</tr></thead><tbody>{body}</tbody></table>"


def titled(title: str, *parts: str) -> str:
    """Return a heading line and what belongs to it."""
    return f"<div><div><strong>{escape(title)}</strong></div>{''.join(parts)}</div>"


def mock_html(mock: Mock) -> str:
    """Return a mock's words, one a line."""
    first, *words = mock.words()
    return titled(first, "".join(f"<div><code>.{escape(word)}</code></div>" for word in words))


def script_html(script: Script) -> str:
    """Return the first steps of a script with their times, and a line on which each stands at its time."""
    shown = [script[index] for index in range(min(SHOWN_ROWS, len(script)))]
    rows = [(index, f"{script.program.at[index]:,.6g}", step.dir, _what(step)) for index, step in enumerate(shown)]
    more = len(script) - len(shown)
    rest = f"<div>… and {more:,} more</div>" if more else ""
    return titled(repr(script)[1:-1], _time_line(script), table(("step", "at (ms)", "dir", "message"), rows), rest)


def _what(step: Step) -> str:
    payload = step.payload
    if payload is None:
        text = "(any message)" if step.dir == "in" else ""
    elif payload.template is not None:
        text = payload.template.source if isinstance(payload.value, str) else str(payload.value)
    else:
        text = repr(payload.value) if payload.kind == "binary" else payload.literal().decode()
    return f"{text}  (after {step.wait_for!r})" if step.wait_for is not None else text


def _time_line(script: Script) -> str:
    """Return a bar on which up to 200 steps are ticks."""
    at, last = script.program.at, script.program.at[-1]
    if not last:
        return ""
    every = max(1, len(at) // 200)
    ticks = "".join(f'<rect x="{at[i] / last * 996:.0f}" width="3" height="12"/>' for i in range(0, len(at), every))
    return (
        f'<svg viewBox="0 0 1000 14" preserveAspectRatio="none" width="100%" height="14" role="img" '
        f'aria-label="{len(at)} steps over {last / 1000:,.6g} s">'
        f'<rect y="6" width="1000" height="1" fill="currentColor"/>'
        f'<g fill="currentColor" opacity="0.6">{ticks}</g></svg>'
    )


def frame_html(df: pd.DataFrame, title: str) -> str:
    """Return a DataFrame's last rows under a title; every cell is escaped."""
    shown = df.tail(SHOWN_ROWS)
    columns = [name for name in shown.columns if len(df) == 0 or shown[name].notna().any()]
    rest = f"<div>the last {len(shown)} of {len(df):,} rows</div>" if len(df) > len(shown) else ""
    rows = zip(*(map(_cell, shown[name].tolist()) for name in columns), strict=True)
    return titled(title, table(columns, rows), rest)


def _cell(value: Any) -> str:
    if isinstance(value, (str, bytes, dict, list, tuple)):
        return str(value)
    return "" if str(value) in ("None", "nan", "<NA>", "NaT") else str(value)


def traffic_html(traffic: Traffic) -> str:
    """Return the last messages."""
    return frame_html(traffic.df, repr(traffic)[1:-1])


def server_html(server: _Server) -> str:
    """Return where a server is, what it does, what went wrong, and its last messages."""
    rows = [("mock", repr(server.mock)), ("seed", server.seed)]
    rows += [("error", f"{type(error).__name__}: {error}") for error in server.errors[:SHOWN_ROWS]]
    return titled(
        repr(server)[1:-1], table(("", ""), rows), traffic_html(server.traffic) if len(server.traffic) else ""
    )
