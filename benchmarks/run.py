"""What a message costs a server: mockforge_nb with its log on, beside its peers, in one interleaved run.

    python benchmarks/run.py [--quick] [--plot FILE]

Each server is a process of its own on one CPU, the load on another. A cost is CPU of the server, user and system, of
all its threads: that hardly depends on what else the machine does, as rates would. Rounds are interleaved; a figure
is the median of its rounds, and a ratio the median of the rounds' ratios to plain `websockets` (asyncio, compression
off). Whatever is measured is printed.
"""

from __future__ import annotations

import argparse
import importlib.util
import os
import platform
import resource
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

import load
from servers import TEXT

NAMES: tuple[str, ...] = ("websockets", "aiohttp", "picows", "mockforge_nb")
STEPS = {"echo": 0, "push": 100_000, "template": 5_000}
"""How long mockforge_nb's scripts are; a script plays to its end."""

PUSHED = {"websockets": 20_000, "aiohttp": 20_000, "picows": 100_000, "mockforge_nb": STEPS["push"]}
"""How many messages are pushed to a single connection: about what keeps each server busy for as long."""

PUSHED_50 = {"websockets": 800, "aiohttp": 800, "picows": 4_000, "mockforge_nb": STEPS["push"]}
KIB16 = "x" * 2**14
WARM_CONNECTIONS = 20


@dataclass(frozen=True)
class Scale:
    """How much is measured."""

    rounds: int
    seconds: float
    idle_rounds: int
    connections: int


FULL = Scale(rounds=5, seconds=0.4, idle_rounds=5, connections=1000)
QUICK = Scale(rounds=1, seconds=0.1, idle_rounds=1, connections=300)


class Server:
    """One server in a process of its own; it ends with the `with` block."""

    def __init__(self, name: str, axis: str, cpu: int) -> None:
        self.name = name
        script = str(Path(__file__).with_name("servers.py"))
        count = ROWS[name] if axis == "table" else STEPS[axis]
        argv = [sys.executable, script, name, axis, str(count), str(cpu)]
        self._process = subprocess.Popen(argv, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True)
        self.port = self.began = 0

    def ready(self) -> None:
        """Wait until it listens."""
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line.replace(" ", "").strip().isdigit():
            raise SystemExit(f"{self.name} did not come up: {line!r}")
        self.port, self.began = map(int, line.split())

    def cpu(self) -> int:
        """Return the CPU time of all its threads, in ns."""
        tasks = Path(f"/proc/{self._process.pid}/task").iterdir()
        return sum(int((task / "schedstat").read_text().split()[0]) for task in tasks)

    def memory(self) -> int:
        """Return its resident memory, in KiB."""
        status = Path(f"/proc/{self._process.pid}/status").read_text()
        return next(int(line.split()[1]) for line in status.splitlines() if line.startswith("VmRSS"))

    def settle(self) -> None:
        """Wait until it does nothing, a few seconds at most."""
        for _ in range(200):
            before = self.cpu()
            time.sleep(0.02)
            if self.cpu() - before < 500_000:
                return

    def __enter__(self) -> Server:
        return self

    def __exit__(self, *_: object) -> None:
        self._process.terminate()
        try:
            self._process.wait(3)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        assert self._process.stdout is not None
        self._process.stdout.close()


@dataclass(frozen=True)
class Axis:
    """One line of the table: which server it needs, and what is done to it."""

    title: str
    unit: str
    server: str
    measure: Callable[[Server, Scale], float]


def _cost(server: Server, connections: int, work: Callable[[list[load.Peer]], int]) -> float:
    """Return the server's CPU per message, in µs, over connections that are open already."""
    peers = [load.Peer(server.port) for _ in range(connections)]
    try:
        server.settle()
        before = server.cpu()
        count = work(peers)
        return (server.cpu() - before) / count / 1000
    finally:
        for peer in peers:
            load.hang_up(peer.socket)
        server.settle()


def _echo(text: str, connections: int, depth: int) -> Callable[[Server, Scale], float]:
    payload = text.encode()
    return lambda server, scale: _cost(
        server, connections, lambda peers: load.echo(peers, payload, depth, scale.seconds)
    )


def _push(counts: dict[str, int], connections: int) -> Callable[[Server, Scale], float]:
    payload = TEXT.encode()
    return lambda server, _: _cost(server, connections, lambda peers: load.push(peers, payload, counts[server.name]))


def _template(server: Server, _: Scale) -> float:
    return _cost(server, 1, lambda peers: load.push_rendered(peers[0], STEPS["template"]))


def _round_trip(server: Server, scale: Scale) -> float:
    peer = load.Peer(server.port)
    try:
        return statistics.median(load.round_trips(peer, TEXT.encode(), scale.seconds)) * 1e6
    finally:
        load.hang_up(peer.socket)
        server.settle()


AXES = (
    Axis("push, 128 B, 1 connection", "µs CPU/message", "push", _push(PUSHED, 1)),
    Axis("push, 128 B, 50 connections", "µs CPU/message", "push", _push(PUSHED_50, 50)),
    Axis("push, template of 3 tokens", "µs CPU/message", "template", _template),
    Axis("echo, 128 B, 1 x 64 in flight", "µs CPU/message", "echo", _echo(TEXT, 1, 64)),
    Axis("echo, 128 B, 100 x 8 in flight", "µs CPU/message", "echo", _echo(TEXT, 100, 8)),
    Axis("echo, 16 KiB, 100 x 8 in flight", "µs CPU/message", "echo", _echo(KIB16, 100, 8)),
    Axis("round trip p50, 128 B, 1 in flight", "µs", "echo", _round_trip),
)
HANDSHAKE, MEMORY = "handshake", "idle connection"
TABLE = "replay of a table, from serve() to the last row"
ROWS = {"websockets": 200_000, "mockforge_nb": 1_000_000}
"""Only these two: what is compared is a replay with the loop that one writes by hand."""

Table = dict[str, tuple[str, dict[str, list[float]]]]


def idle(name: str, cpu: int, connections: int) -> tuple[float, float]:
    """Return what a handshake costs (µs CPU) and an idle connection holds (KiB), on a fresh server."""
    with ExitStack() as open_ones, Server(name, "echo", cpu) as server:  # the server ends first
        server.ready()
        for _ in range(WARM_CONNECTIONS):
            load.hang_up(load.connect(server.port))
        server.settle()
        cost, memory = server.cpu(), server.memory()
        for _ in range(connections):
            open_ones.enter_context(load.connect(server.port))
        server.settle()
        return (server.cpu() - cost) / connections / 1000, (server.memory() - memory) / connections


def table_cost(name: str, cpu: int) -> float:
    """Return what a row costs (µs CPU) from `serve()` to the last one, on a fresh server."""
    with Server(name, "table", cpu) as server:
        server.ready()
        count = load.read_rows(server.port)
        if count != ROWS[name]:
            raise load.LoadError(f"{count} rows came, not {ROWS[name]}")
        return (server.cpu() - server.began) / count / 1000


def measure(names: list[str], cpu: int, scale: Scale, only: str = "") -> Table:
    """Measure every axis on every server, a round of all servers after the other."""
    table: Table = {}
    chosen = [axis for axis in AXES if only in axis.title]
    with ExitStack() as running:
        kinds = dict.fromkeys(axis.server for axis in chosen)
        servers = {(n, kind): running.enter_context(Server(n, kind, cpu)) for kind in kinds for n in names}
        for server in servers.values():
            server.ready()
        for axis in chosen:
            found: dict[str, list[float]] = {name: [] for name in names}
            for turn in range(scale.rounds + 1):
                for name in _turned(names, turn):
                    value = axis.measure(servers[name, axis.server], scale)
                    if turn:  # the first round warms up
                        found[name].append(value)
            table[axis.title] = axis.unit, found
            print(f"  {axis.title}", file=sys.stderr)
    if only in TABLE:
        rows: dict[str, list[float]] = {name: [] for name in names if name in ROWS}
        for turn in range(scale.idle_rounds):
            for name in _turned(list(rows), turn):
                rows[name].append(table_cost(name, cpu))
        table[TABLE] = "µs CPU/row", rows
        print(f"  {TABLE}", file=sys.stderr)
    if only in HANDSHAKE or only in MEMORY:
        _measure_idle(table, names, cpu, scale)
    return table


def _measure_idle(table: Table, names: list[str], cpu: int, scale: Scale) -> None:
    costs: dict[str, list[float]] = {name: [] for name in names}
    sizes: dict[str, list[float]] = {name: [] for name in names}
    for turn in range(scale.idle_rounds):
        for name in _turned(names, turn):
            cost, size = idle(name, cpu, scale.connections)
            costs[name].append(cost)
            sizes[name].append(size)
    table[HANDSHAKE] = "µs CPU", costs
    table[MEMORY] = "KiB", sizes


def _turned(names: list[str], turn: int) -> list[str]:
    """Return the names in another order each round, so that none is always the first."""
    start = turn % len(names)
    return names[start:] + names[:start]


def ratio(found: dict[str, list[float]], name: str) -> float:
    """Return the median of the rounds' ratios to the reference."""
    return statistics.median(a / b for a, b in zip(found[name], found[NAMES[0]], strict=True))


def markdown(table: Table, names: list[str]) -> str:
    """Return the table: medians, and in brackets the ratios to the reference, lowest and highest of a round."""
    lines = [f"| | unit | {' | '.join(names)} |", "|---" * (len(names) + 2) + "|"]
    for title, (unit, found) in table.items():
        cells = [f"{statistics.median(found[names[0]]):.3g}"]
        for name in names[1:]:
            if name not in found:
                cells.append("")
                continue
            rounds = [a / b for a, b in zip(found[name], found[names[0]], strict=True)]
            spread = f", {min(rounds):.2g} to {max(rounds):.2g}" if len(rounds) > 1 else ""
            cells.append(f"{statistics.median(found[name]):.3g} (**{ratio(found, name):.2g}**{spread})")
        lines.append(f"| {title} | {unit} | {' | '.join(cells)} |")
    return "\n".join(lines)


def plot(table: Table, names: list[str], file: str, caption: str) -> None:
    """Draw the ratios as bars; the scale is logarithmic, because they lie a hundredfold apart."""
    import matplotlib as mpl

    mpl.use("Agg")
    from matplotlib import pyplot as plt

    figure, axes = plt.subplots(figsize=(9, 6), layout="constrained")
    height = 0.8 / (len(names) - 1)
    for index, name in enumerate(names[1:]):
        places = [row + index * height for row in range(len(table))]
        values = [ratio(found, name) if name in found else float("nan") for _, found in table.values()]
        label = f"{name} (log on)" if name == "mockforge_nb" else name
        bars = axes.barh(places, values, height, label=label)
        axes.bar_label(bars, ["" if value != value else f"{value:.2g}" for value in values], padding=2, fontsize=7)
    axes.axvline(1, color="black", linewidth=1)
    axes.set_yticks([row + height * (len(names) - 2) / 2 for row in range(len(table))], list(table))
    axes.set_xscale("log")
    axes.invert_yaxis()
    axes.set_xlabel("cost as a ratio to plain websockets = 1 (logarithmic; less is better)")
    figure.suptitle(caption, fontsize=8)
    figure.legend(loc="outside lower center", ncols=len(names) - 1)
    figure.savefig(file, dpi=120)


def main() -> None:
    """Measure all peers that are installed, and print a table."""
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--quick", action="store_true", help="one short round, for a first look")
    options.add_argument("--plot", metavar="FILE", help="draw the ratios as a bar chart (needs matplotlib)")
    options.add_argument("--only", metavar="TEXT", default="", help="only the axes whose title has this in it")
    options.add_argument("--names", metavar="NAME", nargs="*", default=NAMES, help="only these servers")
    given = options.parse_args()
    if not Path("/proc/self/schedstat").exists():
        raise SystemExit("the costs are read from /proc/PID/task/*/schedstat, which only Linux has")
    names = [name for name in NAMES if name in given.names and importlib.util.find_spec(name)]
    cpus = sorted(os.sched_getaffinity(0))
    if len(cpus) > 1:
        os.sched_setaffinity(0, {cpus[1]})
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    versions = ", ".join(f"{name} {version(name)}" for name in (*names, "uvloop"))
    caption = f"{time.strftime('%Y-%m-%d')}, Python {platform.python_version()}, {os.cpu_count()} CPUs; {versions}"
    print(caption)
    for name in given.names:
        if name not in names:
            print(f"{name} is not installed and so left out (pip install --group bench)")
    if len(cpus) == 1:
        print("only one CPU: servers and load share it, so figures are rougher")
    scale = QUICK if given.quick else FULL
    began, busy = time.monotonic(), os.getloadavg()[0]
    table = measure(names, cpus[0] if len(cpus) > 1 else -1, scale, given.only)
    print(f"\n{markdown(table, names)}\n")
    print(
        f"Median of {scale.rounds} rounds; in brackets the median of the rounds' ratios to websockets, and their range."
        "\nwebsockets runs on asyncio, the others on uvloop; compression off; mockforge_nb logs all of it."
        f"\nThe peers' template is an f-string of uuid4, randint and isoformat; idle: {scale.connections} connections."
        f"\nLoad average {busy:.2f} before; {time.monotonic() - began:.0f} s in all."
    )
    if given.plot:
        plot(table, names, given.plot, caption)


if __name__ == "__main__":
    main()
