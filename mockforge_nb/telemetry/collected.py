"""The spans of a server's traces in memory, as a DataFrame and as a waterfall."""

from __future__ import annotations

from collections import deque
from threading import Lock
from typing import TYPE_CHECKING, Any, Final

from mockforge_nb.errors import OptionError

from . import names

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes
    from opentelemetry.sdk.trace import ReadableSpan
    from opentelemetry.trace import SpanContext

MOST_SPANS: Final = 20_000
"""How many spans are kept; the oldest leave first."""
MOST_TRACES: Final = 100_000
COLUMNS: Final = (
    "name", "kind", "start", "end", "duration_ms", "connection", "direction", "status", "trace_id", "span_id",
    "parent_id", "attributes", "events", "events_dropped",
)  # fmt: skip
MOST_BARS: Final = 200
UNTRACED: Final = "the mock is not traced: Mock().trace()"


class Spans:
    """The spans that have ended in the traces of a server's connections: its own, and others of this process there.

    Attributes:
        why: Why there are none; empty: they are collected.

    Example:
        >>> with Mock().serve(port=0) as server:
        ...     server.spans
        <Spans: none, as the mock is not traced: Mock().trace()>
    """

    def __init__(self, why: str = UNTRACED) -> None:
        self.why = why
        self._ended: deque[ReadableSpan] = deque(maxlen=MOST_SPANS)
        self._traces: dict[int, dict[int, int | None]] = {}  # by their traces, the connections' spans and numbers
        self._lock = Lock()
        self._forgotten = 0

    def knows(self, connection: SpanContext, number: int | None = None) -> None:
        """Collect the spans of a connection's trace from now on; it has its number once its handshake is done."""
        with self._lock:
            self._traces.setdefault(connection.trace_id, {})[connection.span_id] = number
            if len(self._traces) > MOST_TRACES:
                del self._traces[next(iter(self._traces))]

    def take(self, span: ReadableSpan) -> None:
        """Keep a span that has ended, if it is of one of the traces; for any thread."""
        if span.context is not None and span.context.trace_id in self._traces:
            self._forgotten += len(self._ended) == MOST_SPANS
            self._ended.append(span)

    def clear(self) -> None:
        """Forget the spans that have ended; those of connections that are open come with their end."""
        self._ended.clear()
        self._forgotten = 0

    def __len__(self) -> int:
        return len(self._ended)

    @property
    def df(self) -> pd.DataFrame:
        """A row a span that has ended, by their starts; a connection's comes with its end.

        Columns: `name`, `kind` (``server``: a connection; ``client``: one to an upstream; ``internal``), `start` and
        `end` (UTC, ns, the real time also under a clock), `duration_ms`, `connection` and `direction` (as in the
        traffic; null on spans of other servers and of clients), `status` (``unset``, ``ok``, ``error``), `trace_id`
        (as in ``traffic.df``), `span_id`, `parent_id` (null: it has none), `attributes` (a dict), `events` (a list of
        dicts: `name`, `time`, and the attributes), `events_dropped` (how many more there were than the provider keeps:
        10,000 a span if it is the server's own, else 128 unless it says otherwise).

        Example:
            >>> with Mock().trace(sample=0).serve(port=0) as server:
            ...     server.client().close()
            >>> server.spans.df[["name", "kind", "status"]].values.tolist()
            [['WS /ws', 'server', 'unset']]
        """
        import pandas as pd

        ended = sorted(self._ended.copy(), key=lambda span: span.start_time or 0)
        known = {(span.context.trace_id, span.context.span_id): span for span in ended if span.context is not None}
        rows = [_row(span, self._connection(span, known)) for span in ended]
        frame = pd.DataFrame(rows, columns=list(COLUMNS))
        times = {name: pd.to_datetime(frame[name].astype("int64"), utc=True) for name in ("start", "end")}
        texts = {
            name: frame[name].astype("str")
            for name in ("name", "kind", "direction", "status", "trace_id", "span_id", "parent_id")
        }
        return frame.assign(**times, **texts, connection=frame["connection"].astype("Int64"))

    def _connection(self, span: ReadableSpan, known: dict[tuple[int, int], ReadableSpan]) -> Any:
        """Return the number of the server's connection that a span belongs to; None: to none."""
        above: ReadableSpan | None = span
        seen = set()  # a client may say anything of what its spans are under
        while above is not None and above.context is not None and above.context.span_id not in seen:
            trace, own = above.context.trace_id, above.context.span_id
            ours = self._traces.get(trace, {})
            if own in ours:
                return ours[own]
            if above.kind.name == "SERVER" or above.parent is None:
                return None
            if above.parent.span_id in ours:  # whose connection may still be open
                return ours[above.parent.span_id]
            seen.add(own)
            above = known.get((trace, above.parent.span_id))
        return None

    def plot(self, connection: int | None = None, *, most: int = 60) -> Axes:
        """Draw the spans as a waterfall: a bar a span, under the span that it belongs to, and a mark an event.

        Args:
            connection: The number of the connection whose trace is drawn; all are unless given.
            most: How many bars are drawn at most, the first ones.

        Raises:
            OptionError: There are no spans, or none of this connection.
        """
        if isinstance(most, bool) or not isinstance(most, int) or not 0 < most <= MOST_BARS:
            raise OptionError("plot(most=)", most, "is no number of bars", f"valid: 1 to {MOST_BARS}")
        frame = self.df
        if connection is not None:
            if isinstance(connection, bool) or not isinstance(connection, int) or connection < 1:
                raise OptionError("plot(connection=)", connection, "is no connection's number", "valid: 1, 2, 3, …")
            traces = frame.loc[frame["connection"] == connection, "trace_id"].unique()
            frame = frame[frame["trace_id"].isin(traces)]
        if frame.empty:
            valid = self.why or "a connection's spans are there once it has ended, unless its trace is not sampled"
            where, what = ("plot()", self) if connection is None else ("plot(connection=)", connection)
            raise OptionError(where, what, "has no spans", valid)
        return _waterfall(frame, most)

    def __repr__(self) -> str:
        if self.why:
            return f"<Spans: none, as {self.why}>"
        count = len(self)
        older = f", {self._forgotten:,} older ones are forgotten" if self._forgotten else ""
        return f"<Spans {count:,} span{'' if count == 1 else 's'}{older}>"

    def _repr_html_(self) -> str:
        if self.why or not len(self):
            from html import escape

            return f"<code>{escape(repr(self))}</code>"
        shown = ["name", "kind", "connection", "start", "duration_ms", "status", "trace_id", "span_id", "parent_id"]
        html: str = self.df[shown]._repr_html_()  # type: ignore[operator]  # pandas-stubs lacks it
        return html


def _row(span: ReadableSpan, number: Any) -> dict[str, Any]:
    attributes = dict(span.attributes or {})
    context, parent = span.context, span.parent
    begin, end = span.start_time or 0, span.end_time or 0
    return {
        "name": span.name,
        "kind": span.kind.name.lower(),
        "start": begin,
        "end": end,
        "duration_ms": (end - begin) / 1e6,
        "connection": number,
        "direction": attributes.get(names.DIRECTION),
        "status": span.status.status_code.name.lower(),
        "trace_id": None if context is None else format(context.trace_id, "032x"),
        "span_id": None if context is None else format(context.span_id, "016x"),
        "parent_id": None if parent is None else format(parent.span_id, "016x"),
        "attributes": attributes,
        "events": [
            {"name": each.name, "time": _utc(each.timestamp), **dict(each.attributes or {})} for each in span.events
        ],
        "events_dropped": span.dropped_events,
    }


def _utc(ns: int) -> pd.Timestamp:
    import pandas as pd

    return pd.Timestamp(ns, unit="ns", tz="UTC")


# The waterfall

_COLOURS: Final = {"server": "#4c78a8", "client": "#f58518", "in": "#54a24b", "out": "#72b7b2", "": "#b0b0b0"}
_MARKS: Final = {
    names.FAULT_EVENT: "#e45756", "exception": "#e45756", names.TIMEOUT_EVENT: "#e45756",
    names.WAIT_EVENT: "#202020", names.MATCHED_EVENT: "#ffffff", names.BURST_EVENT: "#72b7b2",
}  # fmt: skip
_EVENT: Final = "#b279a2"
_MARK: Final[dict[str, Any]] = {"markersize": 5, "markeredgecolor": "#202020", "markeredgewidth": 0.5}


def _waterfall(frame: pd.DataFrame, most: int) -> Axes:
    import pandas as pd
    from matplotlib import pyplot as plt
    from matplotlib.lines import Line2D
    from matplotlib.patches import Patch

    order = _tree(frame)
    rows, left = order[:most], len(order) - most
    begin = frame["start"].min()
    figure, axes = plt.subplots(figsize=(9, 1.2 + 0.24 * len(rows)), layout="constrained")
    whole = (frame["end"].max() - begin) / pd.Timedelta("1ms") or 1.0
    kinds: dict[str, str] = {}
    marks: dict[str, str] = {}
    for line, (index, _) in enumerate(rows):
        row = frame.loc[index]
        kind = row["direction"] if isinstance(row["direction"], str) else row["kind"]
        kind = kind if kind in _COLOURS else ""
        name = {"server": "connection", "client": "upstream or client", "": "other"}.get(kind, f"message {kind}")
        kinds[name] = _COLOURS[kind]
        at = (row["start"] - begin) / pd.Timedelta("1ms")
        # What takes no time at all would not be seen.
        axes.barh(line, max(row["duration_ms"], whole / 400), left=at, height=0.7, color=_COLOURS[kind])
        for number, event in enumerate(row["events"]):
            colour = marks.setdefault(event["name"], _MARKS.get(event["name"], _EVENT))
            # Side by side, as what a script does next is often at the same moment.
            place = line + (number % 3 - 1) * 0.2
            axes.plot((event["time"] - begin) / pd.Timedelta("1ms"), place, "d", color=colour, **_MARK)
    labels = [f"{'  ' * depth}{frame.loc[index, 'name']}" for index, depth in rows]
    labels = [label.ljust(max(map(len, labels))) for label in labels]  # so that the tree is seen
    axes.set_yticks(range(len(rows)), labels, family="monospace", fontsize=8)
    axes.set_ylim(len(rows) - 0.4, -0.6)
    axes.set_xlabel("ms since the first span began")
    if left > 0:
        axes.set_title(f"the first {most} of {len(order):,} spans", fontsize=9, loc="left")
    for side in ("top", "right", "left"):
        axes.spines[side].set_visible(False)
    axes.tick_params(axis="y", length=0)
    handles: list[Any] = [Patch(color=colour, label=name) for name, colour in kinds.items()]
    handles += [
        Line2D([], [], color=colour, marker="d", linestyle="", label=name, **_MARK) for name, colour in marks.items()
    ]
    figure.legend(handles=handles, loc="outside right upper", fontsize=8, frameon=False)
    return axes


def _tree(frame: pd.DataFrame) -> list[tuple[Any, int]]:
    """Return the rows in the order of a tree, each with its depth; whose parent is not there is a root."""
    ids = dict(zip(frame["span_id"], frame.index, strict=True))
    below: dict[Any, list[Any]] = {}
    roots: list[Any] = []
    for index, parent in zip(frame.index, frame["parent_id"], strict=True):
        (below.setdefault(ids[parent], []) if parent in ids else roots).append(index)
    order: list[tuple[Any, int]] = []
    seen = set()
    # What is under itself hangs under no root, and comes last.
    for first in (*roots, *frame.index):
        stack = [(first, 0)]
        while stack:
            index, depth = stack.pop()
            if index not in seen:
                seen.add(index)
                order.append((index, depth))
                stack += [(each, depth + 1) for each in reversed(below.get(index, []))]
    return order
