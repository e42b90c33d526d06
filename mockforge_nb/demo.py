"""The main job on real input: serve a table, read it with a real client, look at the traffic."""

from __future__ import annotations

import sys
import time
from typing import Any

from .mock import Mock

SECONDS = 10


def say(text: str = "", end: str = "\n") -> None:
    """Write a line at once, also where the output is a pipe."""
    sys.stdout.write(text + end)
    sys.stdout.flush()


def progress(done: int, of: int, began: float) -> None:
    """Write how far it is: over itself on a terminal, a line every quarter elsewhere."""
    line = f"  received {done:4} of {of} messages, {time.monotonic() - began:4.1f} s"
    if sys.stdout.isatty():
        say(f"\r{line}", end="" if done < of else "\n")
    elif done % (of // 4) == 0:
        say(line)


def main() -> int:
    """Run the demonstration; return the exit code."""
    try:
        from vega_datasets import data
    except ImportError:
        say("The demonstration plays a table of the package vega_datasets: pip install vega_datasets")
        return 1
    import pandas as pd

    prices: pd.DataFrame = data.stocks()
    mock = Mock().latency("normal").seed(42).replay(prices, time="date", duration=SECONDS)
    years = f"{prices.date.min():%Y} to {prices.date.max():%Y}"
    say(f"A table of {len(prices)} stock prices from {years}, replayed in {SECONDS} s:")
    say(f"  {mock}")
    with mock.serve(port=0) as server:
        say(f"  {server}")
        received: list[Any] = []
        began = time.monotonic()
        with server.client() as client:
            while len(received) < len(prices):
                received.append(client.recv(timeout=30))
                progress(len(received), len(prices), began)
        say(f"\nThe first message, as the client got it:\n  {received[0]}")
        show(server.traffic.df)
    return 0


def show(traffic: Any) -> None:
    """Write the traffic's head, and what can be asked of it."""
    import pandas as pd

    say("\nserver.traffic.df:")
    columns = ["elapsed", "connection", "direction", "opcode", "text", "size", "step", "due_ms", "delay_ms"]
    with pd.option_context("display.width", 200, "display.max_columns", None, "display.max_colwidth", 48):
        say(traffic[columns].head(8).to_string(float_format="{:.3f}".format))
        say(f"… {len(traffic)} rows")
        say("\nIn short:")
        sent = traffic[traffic.step.notna()]
        began = traffic.elapsed[traffic.opcode == "handshake"].iloc[0]
        # A message never overtakes the one before it, so it may leave after its own time; never before.
        late = (sent.elapsed - began) * 1000 - sent.due_ms.cummax()
        delay = sent.delay_ms
        say(f"  messages sent     {len(sent)}, {sent['size'].sum():,} bytes")
        say(f"  injected latency  {delay.min():.0f} to {delay.max():.0f} ms, {delay.mean():.0f} on average")
        say(f"  behind its time   {late.median():.2f} ms at the median; {(late < 0).sum()} were early")


if __name__ == "__main__":
    sys.exit(main())
