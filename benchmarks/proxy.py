"""What a round trip through a proxy costs: mockforge_nb with its log on, beside relays of other libraries.

    python benchmarks/proxy.py [--quick]

Each relay is a process of its own on one CPU, as is the echo server behind all of them; the load is on another. A cost
is CPU of the relay alone, user and system, of all its threads, for a message there and back. Rounds are interleaved; a
figure is the median of its rounds, and a ratio the median of the rounds' ratios to the relay that one writes with
`websockets` on both sides. "TCP" passes bytes on without a look at them: what any proxy in Python pays at least.
"""

from __future__ import annotations

import argparse
import asyncio
import importlib.util
import os
import platform
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from contextlib import ExitStack
from importlib.metadata import version
from typing import Any, cast

import run
from run import KIB16, _echo, _round_trip, markdown
from servers import MOST, TEXT, ready

NAMES = ("websockets", "aiohttp", "TCP", "mockforge_nb")
MOST_TRIES = 15


def _once_full(server: run.Server, scale: run.Scale) -> float:
    """Measure large messages once the relay's memory does not grow any more: a log that is full forgets the oldest."""
    work = _echo(KIB16, 1, 8)
    for _ in range(MOST_TRIES):
        before = server.memory()
        cost = work(server, scale)
        if server.memory() - before < 4096:
            break
    return cost


AXES: tuple[tuple[str, Callable[[run.Server, run.Scale], float], str], ...] = (
    ("128 B, 1 in flight", _echo(TEXT, 1, 1), "µs CPU"),
    ("128 B, 1 x 64 in flight", _echo(TEXT, 1, 64), "µs CPU"),
    ("128 B, 50 x 8 in flight", _echo(TEXT, 50, 8), "µs CPU"),
    ("16 KiB, 1 x 8 in flight, while the log fills", _echo(KIB16, 1, 8), "µs CPU"),
    ("16 KiB, 1 x 8 in flight, once it is full", _once_full, "µs CPU"),
    ("128 B, 1 in flight, p50", _round_trip, "µs"),
)


def websockets(port: int) -> None:
    """Relay with `websockets` on asyncio, compression off."""
    from websockets.asyncio.client import connect
    from websockets.asyncio.server import ServerConnection, serve

    async def pump(source: Any, sink: Any) -> None:
        async for message in source:
            await sink.send(message)

    async def relay(client: ServerConnection) -> None:
        url = f"ws://127.0.0.1:{port}/ws"
        async with connect(url, compression=None, max_size=MOST, proxy=None) as upstream:
            pumps = [asyncio.create_task(pump(client, upstream)), asyncio.create_task(pump(upstream, client))]
            await asyncio.wait(pumps, return_when=asyncio.FIRST_COMPLETED)
            for each in pumps:
                each.cancel()

    async def main() -> None:
        async with serve(relay, "127.0.0.1", 0, compression=None, max_size=MOST) as server:
            ready(next(iter(server.sockets)).getsockname()[1])
            await server.serve_forever()

    asyncio.run(main())


def aiohttp(port: int) -> None:
    """Relay with aiohttp on uvloop, compression off."""
    import uvloop
    from aiohttp import ClientSession, web

    async def pump(source: Any, sink: Any) -> None:
        async for message in source:
            await sink.send_str(message.data)

    async def relay(request: web.Request) -> web.WebSocketResponse:
        client = web.WebSocketResponse(compress=False, max_msg_size=MOST)
        await client.prepare(request)
        async with (
            ClientSession() as session,
            session.ws_connect(f"http://127.0.0.1:{port}/ws", max_msg_size=MOST) as upstream,
        ):
            pumps = [asyncio.create_task(pump(client, upstream)), asyncio.create_task(pump(upstream, client))]
            await asyncio.wait(pumps, return_when=asyncio.FIRST_COMPLETED)
            for each in pumps:
                each.cancel()
        return client

    async def main() -> None:
        app = web.Application()
        app.router.add_get("/ws", relay)
        runner = web.AppRunner(app, access_log=None)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        ready(runner.addresses[0][1])
        await asyncio.Event().wait()

    uvloop.run(main())


def tcp(port: int) -> None:
    """Pass bytes on, on uvloop."""
    import uvloop

    class Half(asyncio.Protocol):
        def __init__(self, other: Half | None = None) -> None:
            self.other = other
            self.early: list[bytes] = []
            self.transport: asyncio.Transport

        def connection_made(self, transport: asyncio.BaseTransport) -> None:
            self.transport = cast(asyncio.Transport, transport)
            if self.other is None:
                self.task = asyncio.get_running_loop().create_task(self.dial())
                return
            for data in self.other.early:
                self.transport.write(data)
            self.other.other = self

        async def dial(self) -> None:
            await asyncio.get_running_loop().create_connection(lambda: Half(self), "127.0.0.1", port)

        def data_received(self, data: bytes) -> None:
            if self.other is None:
                self.early.append(data)
            else:
                self.other.transport.write(data)

        def connection_lost(self, exc: Exception | None) -> None:
            if self.other is not None:
                self.other.transport.close()

    async def main() -> None:
        server = await asyncio.get_running_loop().create_server(Half, "127.0.0.1", 0)
        ready(server.sockets[0].getsockname()[1])
        await server.serve_forever()

    uvloop.run(main())


def mockforge_nb(port: int) -> None:
    """Relay with this package, its traffic log on as it always is."""
    from mockforge_nb import Mock

    server = Mock().proxy(f"ws://127.0.0.1:{port}/ws").limits(message_bytes=MOST).serve(host="127.0.0.1", port=0)
    ready(server.port)
    threading.Event().wait()


RELAYS = {"websockets": websockets, "aiohttp": aiohttp, "TCP": tcp, "mockforge_nb": mockforge_nb}


class Relay(run.Server):
    """A relay in a process of its own."""

    def __init__(self, name: str, upstream: int, cpu: int) -> None:
        self.name = name
        argv = [sys.executable, __file__, "--relay", name, str(upstream), str(cpu)]
        self._process = subprocess.Popen(argv, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True)
        self.port = self.began = 0


def measure(names: list[str], cpu: int, scale: run.Scale) -> run.Table:
    """Measure every axis on every relay, a round of all relays after the other."""
    behind = "picows" if importlib.util.find_spec("picows") else "websockets"
    table: run.Table = {}
    with ExitStack() as running:
        upstream = running.enter_context(run.Server(behind, "echo", cpu))
        upstream.ready()
        relays = {name: running.enter_context(Relay(name, upstream.port, cpu)) for name in names}
        for relay in relays.values():
            relay.ready()
        for title, work, unit in AXES:
            found: dict[str, list[float]] = {name: [] for name in names}
            for turn in range(scale.rounds + 1):
                for name in names[turn % len(names) :] + names[: turn % len(names)]:
                    value = work(relays[name], scale)
                    if turn:  # the first round warms up
                        found[name].append(value)
            table[title] = unit, found
    print(f"The server behind them: {behind}, echoing.")
    return table


def main() -> None:
    """Measure all relays whose library is installed, and print a table."""
    if "--relay" in sys.argv:
        name, upstream, cpu = sys.argv[2], int(sys.argv[3]), int(sys.argv[4])
        if cpu >= 0:
            os.sched_setaffinity(0, {cpu})
        RELAYS[name](upstream)
        return
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--quick", action="store_true", help="one short round, for a first look")
    given = options.parse_args()
    names = [name for name in NAMES if name == "TCP" or importlib.util.find_spec(name)]
    cpus = sorted(os.sched_getaffinity(0))
    if len(cpus) > 1:
        os.sched_setaffinity(0, {cpus[1]})
    versions = ", ".join(f"{name} {version(name)}" for name in (*names, "uvloop") if name != "TCP")
    print(f"{time.strftime('%Y-%m-%d')}, Python {platform.python_version()}, {os.cpu_count()} CPUs; {versions}")
    table = measure(names, cpus[0] if len(cpus) > 1 else -1, run.QUICK if given.quick else run.FULL)
    print(f"\n{markdown(table, names)}\n")
    print("A message there and back; mockforge_nb logs both ways. Median of the rounds, and ratios as in run.py.")


if __name__ == "__main__":
    main()
