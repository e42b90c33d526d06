"""What is seen of a mock that is served: events, counts, a live view, the summary."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any, Final

from mockforge_nb.core.units import human

from .say import counted, printable, sized

if TYPE_CHECKING:
    from rich.console import RenderableType

    from mockforge_nb.core.record import ConnectionRecord
    from mockforge_nb.server import MockServer

RATE_SECONDS: Final = 2.0
"""Over how long a rate is taken: less jumps, more is late."""


@dataclass(frozen=True, slots=True)
class Counts:
    """What has crossed the wire.

    Attributes:
        seconds: Since the start.
        connections, open, refused: How many were and are, and how many handshakes were refused.
        messages_in, messages_out, bytes_in, bytes_out: From the clients and to them.
        faults: How often each struck.
        errors: What went wrong by the author's doing.
    """

    seconds: float = 0.0
    connections: int = 0
    open: int = 0
    refused: int = 0
    messages_in: int = 0
    messages_out: int = 0
    bytes_in: int = 0
    bytes_out: int = 0
    faults: Mapping[str, int] = field(default_factory=dict)
    errors: tuple[str, ...] = ()

    def as_json(self) -> dict[str, Any]:
        """Return it for machines."""
        return asdict(self) | {"seconds": round(self.seconds, 3), "errors": list(self.errors)}

    def lines(self) -> Iterator[str]:
        """Yield the summary for people."""
        refused = f", {counted(self.refused, 'handshake')} refused" if self.refused else ""
        yield f"{counted(self.connections, 'connection')} in {human(self.seconds)}{refused}"
        yield f"received {counted(self.messages_in, 'message')}, {sized(self.bytes_in)}"
        yield f"sent     {counted(self.messages_out, 'message')}, {sized(self.bytes_out)}"
        yield "faults   " + (", ".join(f"{name} {count:,}" for name, count in self.faults.items()) or "none")
        yield "errors   " + (f"{len(self.errors):,}" if self.errors else "none")
        for error in self.errors[:10]:
            yield f"  {printable(error)}"
        if len(self.errors) > 10:
            yield f"  … and {len(self.errors) - 10:,} more"


class Watch:
    """Looks at a server now and then, from the thread of the command."""

    def __init__(self, server: MockServer) -> None:
        from mockforge_nb.telemetry.tally import Tally

        self.server = server
        self._tally = Tally(server.listener.log)
        self._began = time.monotonic()
        self._seen = 0
        self._open: dict[int, ConnectionRecord] = {}
        self._errors = 0
        self._past: deque[Counts] = deque(maxlen=64)
        self.last = Counts()

    def look(self) -> Counts:
        """Count what has come; connections as of the last `news`."""
        self._tally.count()
        ways = {"in": [0, 0], "out": [0, 0]}
        for place, counts in enumerate((self._tally.messages, self._tally.bytes)):
            for (_, way), count in counts.items():
                ways[way][place] += count
        faults: dict[str, int] = {}
        for (_, name), count in self._tally.faults.items():
            faults[name] = faults.get(name, 0) + count
        records = self.server.listener.log.connections
        self._past.append(self.last)
        self.last = Counts(
            seconds=time.monotonic() - self._began,
            connections=len(records),
            open=len(self._open),
            refused=self._tally.refused.total(),
            messages_in=ways["in"][0],
            bytes_in=ways["in"][1],
            messages_out=ways["out"][0],
            bytes_out=ways["out"][1],
            faults=dict(sorted(faults.items())),
            errors=tuple(" ".join(str(each).split()) or type(each).__name__ for each in self.server.errors),
        )
        return self.last

    def news(self) -> Iterator[dict[str, Any]]:
        """Yield what happened since the last time: connections that came and went, and errors."""
        records = self.server.listener.log.connections
        for record in records[self._seen : len(records)]:
            self._seen += 1
            self._open[record.number] = record
            yield {"event": "opened", "connection": record.number, "path": record.path, "remote": record.remote}
        for number, record in list(self._open.items()):
            if record.closed_ns is not None:
                del self._open[number]
                yield {
                    "event": "closed",
                    "connection": number,
                    "code": record.close_code,
                    "reason": record.close_reason,
                    "messages_in": record.messages_in,
                    "messages_out": record.messages_out,
                }
        errors = self.server.errors
        for error in errors[self._errors :]:
            yield {"event": "error", "error": " ".join(str(error).split()) or type(error).__name__}
        self._errors = len(errors)

    def rates(self) -> tuple[float, float, float, float]:
        """Return messages and bytes a second: in, and out."""
        now = self.last
        then = next((each for each in self._past if now.seconds - each.seconds <= RATE_SECONDS), now)
        passed = now.seconds - then.seconds
        if passed <= 0:
            return 0.0, 0.0, 0.0, 0.0
        names = ("messages_in", "bytes_in", "messages_out", "bytes_out")
        a, b, c, d = ((getattr(now, name) - getattr(then, name)) / passed for name in names)
        return a, b, c, d

    def view(self) -> RenderableType:
        """Return what a terminal shows while it runs."""
        from rich import box
        from rich.panel import Panel
        from rich.table import Table
        from rich.text import Text

        counts = self.last
        in_messages, in_bytes, out_messages, out_bytes = self.rates()
        flow = Table(box=None, pad_edge=False, expand=False)
        for name in ("", "messages", "a second", "bytes", "a second"):
            flow.add_column(Text(name), justify="right" if name else "left", style="" if name else "dim")
        flow.add_row(
            "received", f"{counts.messages_in:,}", f"{in_messages:,.0f}", sized(counts.bytes_in), sized(in_bytes)
        )
        flow.add_row(
            "sent", f"{counts.messages_out:,}", f"{out_messages:,.0f}", sized(counts.bytes_out), sized(out_bytes)
        )
        rows = Table.grid(padding=(0, 2))
        rows.add_column(style="dim", no_wrap=True)
        rows.add_column()
        rows.add_row("runs", Text(printable(repr(self.server.mock))))
        rows.add_row("at", Text(self.server.url))  # the title is cut off where the terminal is narrow
        rows.add_row("seed", str(self.server.seed))
        rows.add_row("for", human(counts.seconds))
        open_ = f"{counts.open:,} open, {counts.connections:,} in all"
        rows.add_row("connections", open_ + (f", {counts.refused:,} refused" if counts.refused else ""))
        rows.add_row("traffic", flow)
        rows.add_row("faults", Text(", ".join(f"{k} {v:,}" for k, v in counts.faults.items()) or "none"))
        last = f"{len(counts.errors):,}, the last: {counts.errors[-1]}" if counts.errors else "none"
        rows.add_row("errors", Text(printable(last), style="red" if counts.errors else ""))
        return Panel(rows, title=Text(self.server.url, style="bold"), subtitle="Ctrl-C ends it", box=box.ROUNDED)


def line_of(event: Mapping[str, Any]) -> str:
    """Return an event as a line for people, in which what a client said is shown and does nothing."""
    return printable(_line_of(event))


def _line_of(event: Mapping[str, Any]) -> str:
    kind = event["event"]
    if kind == "opened":
        return f"connection {event['connection']} opened {event['path']} from {event['remote']}"
    if kind == "closed":
        reason = f" {event['reason']}" if event["reason"] else ""
        said = f"{event['messages_in']:,} in, {event['messages_out']:,} out"
        return f"connection {event['connection']} closed {event['code']}{reason}: {said}"
    return f"error: {event['error']}"
