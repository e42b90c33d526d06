"""One server of the comparison, in a process of its own: NAME echo|push|template|table COUNT CPU.

It binds 127.0.0.1 port 0, prints the port and the CPU (ns) that it had used before it began to serve, and serves at
/ws until it is ended. A pushing server answers a message that is a number with so many messages; mockforge_nb's script
has a fixed length, COUNT, which any message starts. A table of COUNT rows is sent to whoever connects.
"""

from __future__ import annotations

import asyncio
import json
import os
import random
import sys
import threading
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from uuid import uuid4

began = 0
TEXT = "x" * 128
TEMPLATE = '{"id":"{{uuid}}","n":{{randInt 10 99}},"at":"{{now}}"}'
MOST = 2**24


def table(count: int) -> Any:
    """Return the table whose rows are sent."""
    import numpy as np
    import pandas as pd

    rng = np.random.default_rng(1)
    prices = rng.uniform(90, 110, count).round(2)
    return pd.DataFrame({"i": np.arange(count), "symbol": rng.choice(["AAPL", "MSFT", "IBM"], count), "price": prices})


def used() -> int:
    """Return the CPU time of all threads so far, in ns."""
    return sum(int((task / "schedstat").read_text().split()[0]) for task in Path("/proc/self/task").iterdir())


def same() -> str:
    """Return the text of a push that is always the same."""
    return TEXT


def rendered() -> str:
    """Return what `TEMPLATE` gives, the way a handler would be written by hand."""
    return f'{{"id":"{uuid4()}","n":{random.randint(10, 99)},"at":"{datetime.now(UTC).isoformat()}"}}'


def websockets(make: Callable[[], str] | None, rows: list[dict[str, Any]] | None = None) -> None:
    """Serve with `websockets` on asyncio, compression off."""
    from websockets.asyncio.server import ServerConnection, serve

    async def send_rows(connection: ServerConnection) -> None:
        assert rows is not None
        for row in rows:
            await connection.send(json.dumps(row))

    async def handler(connection: ServerConnection) -> None:
        async for message in connection:
            if make is None:
                await connection.send(message)
                continue
            for _ in range(int(message)):
                await connection.send(make())

    async def main() -> None:
        async with serve(
            handler if rows is None else send_rows, "127.0.0.1", 0, compression=None, max_size=MOST
        ) as server:
            ready(next(iter(server.sockets)).getsockname()[1])
            await server.serve_forever()

    asyncio.run(main())


def aiohttp(make: Callable[[], str] | None) -> None:
    """Serve with aiohttp on uvloop, compression off."""
    import uvloop
    from aiohttp import web

    async def handler(request: web.Request) -> web.WebSocketResponse:
        answer = web.WebSocketResponse(compress=False, max_msg_size=MOST)
        await answer.prepare(request)
        async for message in answer:
            if make is None:
                await answer.send_str(message.data)
                continue
            for _ in range(int(message.data)):
                await answer.send_str(make())
        return answer

    async def main() -> None:
        app = web.Application()
        app.router.add_get("/ws", handler)
        runner = web.AppRunner(app, access_log=None)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        ready(runner.addresses[0][1])
        await asyncio.Event().wait()

    uvloop.run(main())


def picows(make: Callable[[], str] | None) -> None:
    """Serve with picows on uvloop: its frames, no coroutine a message, and a fixed text as bytes made once."""
    import uvloop
    from picows import WSListener, WSMsgType, ws_create_server

    fixed = TEXT.encode() if make is same else None

    class Echo(WSListener):  # type: ignore[misc, unused-ignore]  # untyped where it is not installed
        def on_ws_frame(self, transport: Any, frame: Any) -> None:
            if frame.msg_type == WSMsgType.CLOSE:
                transport.disconnect()
            else:
                transport.send(frame.msg_type, frame.get_payload_as_memoryview())

    class Push(WSListener):  # type: ignore[misc, unused-ignore]
        def on_ws_connected(self, transport: Any) -> None:
            self.writable = asyncio.Event()
            self.writable.set()
            self.task: asyncio.Task[None] | None = None

        def on_ws_disconnected(self, transport: Any) -> None:
            if self.task is not None:
                self.task.cancel()

        def pause_writing(self) -> None:
            self.writable.clear()

        def resume_writing(self) -> None:
            self.writable.set()

        def on_ws_frame(self, transport: Any, frame: Any) -> None:
            if frame.msg_type == WSMsgType.CLOSE:
                transport.disconnect()
            else:
                count = int(frame.get_payload_as_ascii_text())
                self.task = asyncio.get_running_loop().create_task(self.push(transport, count))

        async def push(self, transport: Any, count: int) -> None:
            assert make is not None
            while count:
                await self.writable.wait()
                # A turn's worth, or less if the peer reads no more; then others have theirs.
                for _ in range(min(count, 500)):
                    transport.send(WSMsgType.TEXT, fixed or make().encode())
                    count -= 1
                    if not self.writable.is_set():
                        break
                await asyncio.sleep(0)

    async def main() -> None:
        kind = Echo if make is None else Push
        server = await ws_create_server(lambda _: kind(), "127.0.0.1", 0, max_frame_size=MOST)
        ready(server.sockets[0].getsockname()[1])
        await server.serve_forever()

    uvloop.run(main())


def mockforge_nb(text: str | None, count: int, rows: Any = None) -> None:
    """Serve with this package, its traffic log on as it always is."""
    from mockforge_nb import Mock

    mock = Mock().limits(message_bytes=MOST)
    if rows is not None:
        mock = mock.replay(rows, speed="max", then="close")
    elif text is not None:
        mock = mock.replay([{"dir": "in", "match": "any"}, *[{"text": text}] * count], speed="max")
    server = mock.serve(host="127.0.0.1", port=0)
    ready(int(server.url.split(":")[2].split("/")[0]))
    threading.Event().wait()


def ready(port: int) -> None:
    """Tell who started this where it listens."""
    print(port, began, flush=True)


def main() -> None:
    """Serve what the command line says."""
    global began
    name, axis, count, cpu = sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4])
    if cpu >= 0:
        os.sched_setaffinity(0, {cpu})
    if axis == "table":
        rows = table(count)
        if name == "mockforge_nb":
            import mockforge_nb as _  # noqa: F401  # so that neither pays for its imports

            began = used()
            mockforge_nb(None, count, rows)
        else:
            records = rows.to_dict("records")
            began = used()
            websockets(None, records)
    elif name == "mockforge_nb":
        mockforge_nb({"echo": None, "push": TEXT, "template": TEMPLATE}[axis], count)
    else:
        make: dict[str, Callable[[], str] | None] = {"echo": None, "push": same, "template": rendered}
        {"websockets": websockets, "aiohttp": aiohttp, "picows": picows}[name](make[axis])


if __name__ == "__main__":
    main()
