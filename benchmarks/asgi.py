"""What an echo costs under uvicorn: a mock's ASGI application beside a hand-written Starlette endpoint.

Both are paths of one server in a process of its own, and take turns; the client is the same. A round sends `--count`
messages, `--window` of them on their way at once. Shown are each one's best round and the median of the rounds' ratios.
"""

from __future__ import annotations

import argparse
import asyncio
import multiprocessing
import socket
import statistics
import time

from websockets.asyncio.client import ClientConnection, connect

from mockforge_nb import Mock


def serve(one: socket.socket, ws: str) -> None:
    """Serve both until the process is ended."""
    import uvicorn
    from starlette.applications import Starlette
    from starlette.routing import Mount, WebSocketRoute
    from starlette.websockets import WebSocket, WebSocketDisconnect

    async def echo(websocket: WebSocket) -> None:
        await websocket.accept()
        try:
            while True:
                await websocket.send_text(await websocket.receive_text())
        except WebSocketDisconnect:
            pass

    mock = Mock().echo().limits(log_bytes=10_000_000).asgi()
    app = Starlette(routes=[WebSocketRoute("/by-hand", echo), Mount("/mock", app=mock)])
    config = uvicorn.Config(app, ws=ws, ws_per_message_deflate=False, log_level="critical")
    asyncio.run(uvicorn.Server(config).serve(sockets=[one]))


async def played(client: ClientConnection, count: int, window: int) -> float:
    """Return how many microseconds a message takes."""
    began = time.perf_counter()
    for _ in range(count // window):
        for _ in range(window):
            await client.send("a message of a size that is usual")
        for _ in range(window):
            await client.recv()
    return (time.perf_counter() - began) * 1e6 / (count // window * window)


async def compare(url: str, rounds: int, count: int, window: int) -> str:
    """Return a line of the table."""
    options = {"compression": None, "max_queue": None}
    async with connect(f"{url}/by-hand", **options) as plain, connect(f"{url}/mock/", **options) as mock:  # type: ignore[arg-type]
        await played(plain, count, window)
        await played(mock, count, window)
        pairs = [(await played(plain, count, window), await played(mock, count, window)) for _ in range(rounds)]
    ratio = statistics.median(ours / theirs for theirs, ours in pairs)
    best = min(theirs for theirs, _ in pairs), min(ours for _, ours in pairs)
    return f"{window:>6}  {best[0]:>10.0f} µs  {best[1]:>6.0f} µs  {ratio:>5.2f}"


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--count", type=int, default=4000)
    parser.add_argument("--ws", default="websockets-sansio", help="uvicorn's WebSocket implementation")
    args = parser.parse_args()
    # Of a socket that does not say TCP asyncio would not turn Nagle's algorithm off.
    one = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    one.bind(("127.0.0.1", 0))
    one.listen()
    server = multiprocessing.get_context("spawn").Process(target=serve, args=(one, args.ws), daemon=True)
    server.start()
    try:
        print(f"an echo under uvicorn ({args.ws}), the client's part included")
        print("window     by hand     the mock  ratio")
        for window in (1, 50):
            print(asyncio.run(compare(f"ws://127.0.0.1:{one.getsockname()[1]}", args.rounds, args.count, window)))
    finally:
        server.terminate()
        server.join()
        one.close()


if __name__ == "__main__":
    main()
