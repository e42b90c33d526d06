"""What tracing and measuring cost a message, beside the same mock without either.

    python benchmarks/telemetry.py [--quick]

Each server is a process of its own on one CPU, the load is on another. A cost is CPU of the server alone, user and
system, of all its threads, for one message; of what is measured, Prometheus reads the metrics at the end of each round,
and that is a part of the cost. Rounds are interleaved; a figure is the median of its rounds, and a ratio the median of
the rounds' ratios to the mock that is neither traced nor measured. Spans stay in the server's memory.
"""

from __future__ import annotations

import argparse
import os
import platform
import subprocess
import sys
import threading
import time
import urllib.request
from collections.abc import Callable
from contextlib import ExitStack
from importlib.metadata import version
from typing import Any

import load
import run
from run import QUICK, markdown
from servers import MOST, TEXT, ready

PUSHED = 100_000
ROUNDS = 5
SECONDS = 0.4

WAYS: dict[str, Callable[[Any], Any]] = {
    "off": lambda mock: mock,
    "trace(sample=0)": lambda mock: mock.trace(sample=0),
    "trace(sample=.01)": lambda mock: mock.trace(sample=0.01),
    "trace()": lambda mock: mock.trace(),
    "trace(bursts=True)": lambda mock: mock.trace(bursts=True),
    "metrics()": lambda mock: mock.metrics(prometheus=True),
}
AXES: dict[str, tuple[str, Callable[[list[load.Peer]], int]]] = {
    "echo, 128 B, 1 in flight": ("echo", lambda peers: load.echo(peers, TEXT.encode(), 1, SECONDS)),
    "echo, 128 B, 1 x 8 in flight": ("echo", lambda peers: load.echo(peers, TEXT.encode(), 8, SECONDS)),
    "echo, 128 B, 1 x 64 in flight": ("echo", lambda peers: load.echo(peers, TEXT.encode(), 64, SECONDS)),
    "push, 128 B": ("push", lambda peers: load.push(peers, TEXT.encode(), PUSHED)),
}


def serve(way: str, kind: str) -> None:
    """Serve a mock that is traced or measured in one way."""
    from mockforge_nb import Mock

    mock = Mock().limits(message_bytes=MOST)
    if kind == "push":
        mock = mock.replay([{"dir": "in", "match": "any"}, *[{"text": TEXT}] * PUSHED], speed="max")
    ready(WAYS[way](mock).serve(host="127.0.0.1", port=0).port)
    threading.Event().wait()


class Traced(run.Server):
    """A server in a process of its own."""

    def __init__(self, way: str, kind: str, cpu: int) -> None:
        self.name = way
        argv = [sys.executable, __file__, "--serve", way, kind, str(cpu)]
        self._process = subprocess.Popen(argv, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True)
        self.port = self.began = 0


def cost(server: run.Server, work: Callable[[list[load.Peer]], int]) -> float:
    """Return the server's CPU per message, in µs; what is collected in the end is a part of it."""
    peer = load.Peer(server.port)
    server.settle()
    before = server.cpu()
    count = work([peer])
    load.hang_up(peer.socket)
    if server.name == "metrics()":
        urllib.request.urlopen(f"http://127.0.0.1:{server.port}/metrics").read()
    server.settle()
    return (server.cpu() - before) / count / 1000


def measure(cpu: int, rounds: int) -> run.Table:
    """Measure every axis in every way, a round of all ways after the other."""
    names = list(WAYS)
    table: run.Table = {}
    with ExitStack() as running:
        kinds = dict.fromkeys(kind for kind, _ in AXES.values())
        servers = {(way, kind): running.enter_context(Traced(way, kind, cpu)) for way in names for kind in kinds}
        for server in servers.values():
            server.ready()
        for title, (kind, work) in AXES.items():
            found: dict[str, list[float]] = {way: [] for way in names}
            for turn in range(rounds + 1):
                for way in names[turn % len(names) :] + names[: turn % len(names)]:
                    value = cost(servers[way, kind], work)
                    if turn:  # the first round warms up
                        found[way].append(value)
            table[title] = "µs CPU/message", found
            print(f"  {title}", file=sys.stderr)
    return table


def main() -> None:
    """Measure all ways, and print a table."""
    if "--serve" in sys.argv:
        way, kind, cpu = sys.argv[2], sys.argv[3], int(sys.argv[4])
        if cpu >= 0:
            os.sched_setaffinity(0, {cpu})
        serve(way, kind)
        return
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--quick", action="store_true", help="one short round, for a first look")
    given = options.parse_args()
    cpus = sorted(os.sched_getaffinity(0))
    if len(cpus) > 1:
        os.sched_setaffinity(0, {cpus[1]})
    versions = ", ".join(f"{name} {version(name)}" for name in ("mockforge_nb", "opentelemetry-sdk", "uvloop"))
    print(f"{time.strftime('%Y-%m-%d')}, Python {platform.python_version()}, {os.cpu_count()} CPUs; {versions}")
    table = measure(cpus[0] if len(cpus) > 1 else -1, QUICK.rounds if given.quick else ROUNDS)
    run.NAMES = tuple(WAYS)  # the first is what the ratios are to
    print(f"\n{markdown(table, list(WAYS))}\n")
    print("Median of the rounds, and ratios to the mock that is neither traced nor measured, as in run.py.")


if __name__ == "__main__":
    main()
