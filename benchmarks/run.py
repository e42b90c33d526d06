"""What a message costs the server: mockforge_nb beside its peers, interleaved, in one run.

    python benchmarks/run.py [--rounds 5] [--messages 20000]

Figures are server CPU per message (all threads, user and system), medians over rounds, and the median of the rounds'
ratios to plain `websockets` without compression. Rates would depend on what else the machine does; this hardly does.
"""

from __future__ import annotations

import argparse
import asyncio
import importlib.util
import os
import platform
import socket
import statistics
import subprocess
import sys
import time
from importlib.metadata import version
from pathlib import Path

import psutil

SIZE = 128
SERVERS = ("websockets", "aiohttp", "picows", "mockforge_nb")
AXES = {
    "echo, 1 connection x 64 in flight": ("echo", 1, 64),
    "echo, 50 connections x 8": ("echo", 50, 8),
    "push, 1 connection": ("push", 1, 0),
    "push, 20 connections": ("push", 20, 0),
}
REQUEST = (
    "GET /ws HTTP/1.1\r\nHost: 127.0.0.1\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    "Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\nSec-WebSocket-Version: 13\r\n\r\n"
)
# A client's frame of 128 bytes of text, masked with zeros (RFC 6455 §5.3), and a server's.
CLIENT_FRAME = bytes((0x81, 0x80 | 126)) + SIZE.to_bytes(2, "big") + bytes(4) + b"x" * SIZE
SERVER_FRAME_BYTES = 4 + SIZE


def free_port() -> int:
    """Return a port that is free now."""
    with socket.create_server(("127.0.0.1", 0)) as one:
        return int(one.getsockname()[1])


class Server:
    """One peer in a process of its own."""

    def __init__(self, name: str, axis: str, messages: int) -> None:
        self.name, self.port = name, free_port()
        script = str(Path(__file__).with_name("servers.py"))
        self.process = subprocess.Popen(
            [sys.executable, script, name, axis, str(self.port), str(SIZE), str(messages)], stderr=subprocess.DEVNULL
        )
        until = time.monotonic() + 30
        while True:
            try:
                socket.create_connection(("127.0.0.1", self.port), 1).close()
                return
            except OSError:
                if self.process.poll() is not None or time.monotonic() > until:
                    raise SystemExit(f"{name} did not come up") from None
                time.sleep(0.05)

    def cpu(self) -> float:
        """Return the CPU time that it has used, in seconds."""
        tasks = Path(f"/proc/{self.process.pid}/task")
        if tasks.exists():  # Linux tells nanoseconds; elsewhere it is hundredths of a second
            return sum(int((task / "schedstat").read_text().split()[0]) for task in tasks.iterdir()) / 1e9
        times = psutil.Process(self.process.pid).cpu_times()
        return float(times.user + times.system)

    def stop(self) -> None:
        """End the process."""
        self.process.terminate()
        self.process.wait(10)


async def talk(port: int, axis: str, depth: int, messages: int) -> None:
    """Exchange so many messages on one connection and check that all bytes came."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(REQUEST.encode())
    answer = await reader.readuntil(b"\r\n\r\n")
    assert b" 101 " in answer, answer
    if axis == "push":
        writer.write(CLIENT_FRAME)
        await reader.readexactly(messages * SERVER_FRAME_BYTES)
    else:
        for _ in range(messages // depth):
            writer.write(CLIENT_FRAME * depth)
            await reader.readexactly(depth * SERVER_FRAME_BYTES)
    writer.close()
    await writer.wait_closed()


async def load(port: int, axis: str, connections: int, depth: int, messages: int) -> None:
    """Exchange messages on several connections at once."""
    await asyncio.gather(*(talk(port, axis, depth, messages) for _ in range(connections)))


def measure(server: Server, axis: str, connections: int, depth: int, messages: int) -> float:
    """Return the server's CPU per message, in µs."""
    each = messages if axis == "push" else max(depth, messages // connections)
    before = server.cpu()
    asyncio.run(load(server.port, axis, connections, depth, each))
    return (server.cpu() - before) / (connections * each) * 1e6


def main() -> None:
    """Measure all peers that are installed and print a table."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--rounds", type=int, default=5)
    options.add_argument("--messages", type=int, default=20_000)
    given = options.parse_args()
    names = [name for name in SERVERS if importlib.util.find_spec(name)]
    missing = [name for name in SERVERS if name not in names]
    versions = ", ".join(f"{name} {version(name)}" for name in names)
    print(f"{time.strftime('%Y-%m-%d')}, Python {platform.python_version()}, {os.cpu_count()} CPUs; {versions}")
    if missing:
        print(f"not installed, so left out: {', '.join(missing)}")
    servers = {(name, axis): Server(name, axis, given.messages) for name in names for axis in ("echo", "push")}
    try:
        print(f"\n| server CPU per message of {SIZE} B, µs (ratio) | {' | '.join(names)} |")
        print("|---" * (len(names) + 1) + "|")
        for title, (axis, connections, depth) in AXES.items():
            found: dict[str, list[float]] = {name: [] for name in names}
            for turn in range(given.rounds + 1):
                for name in names[turn % len(names) :] + names[: turn % len(names)]:
                    cost = measure(servers[name, axis], axis, connections, depth, given.messages)
                    if turn:  # the first round warms up
                        found[name].append(cost)
            cells = []
            for name in names:
                ratios = [a / b for a, b in zip(found[name], found[names[0]], strict=True) if b]
                cells.append(f"{statistics.median(found[name]):.3g} ({statistics.median(ratios):.2g})")
            print(f"| {title} | {' | '.join(cells)} |", flush=True)
    finally:
        for server in servers.values():
            server.stop()


if __name__ == "__main__":
    main()
