"""Clients of other libraries."""

from __future__ import annotations

import asyncio
import shutil
import subprocess

import aiohttp
import pytest
import websockets

from mockforge_nb import Mock
from mockforge_nb.pytest_plugin import WsMock

from .raw import ended, rows

MIB = 2**20


@pytest.mark.parametrize("compression", [None, "deflate"])
def test_the_websockets_library_is_served(ws_mock: WsMock, compression: str | None) -> None:
    server = ws_mock(Mock().echo())

    async def talk() -> None:
        async with websockets.connect(server.url, compression=compression, proxy=None) as client:
            await client.send("ä" * 1000)
            assert await client.recv() == "ä" * 1000
            await (await client.ping(b"beat"))
            await client.send([b"in ", b"parts"])
            assert await client.recv() == b"in parts"
            assert client.protocol.extensions == []

    asyncio.run(talk())
    ended(server)
    assert rows(server)[-2:] == [("in", "close", 1000), ("out", "close", 1000)]
    assert [kind for _, kind, _ in rows(server)].count("pong") == 1


def test_aiohttp_is_served(ws_mock: WsMock) -> None:
    server = ws_mock(Mock().echo())

    async def talk() -> None:
        async with aiohttp.ClientSession() as session:
            async with session.ws_connect(server.url, compress=15) as client:
                await client.send_str("ä")
                assert await client.receive_str() == "ä"
                await client.send_bytes(b"\x00" * 70_000)
                assert await client.receive_bytes() == b"\x00" * 70_000
                await client.ping(b"beat")
                await client.send_str("")
                assert await client.receive_str() == ""
            async with session.get(server.url.replace("ws:", "http:")) as page:
                assert page.status == 426

    asyncio.run(talk())
    ended(server)
    assert rows(server)[-6:-4] == [("in", "ping", 0), ("out", "pong", 0)]


NODE = """
const socket = new WebSocket(process.argv[1]);
socket.onopen = () => socket.send("from node");
socket.onmessage = (event) => { console.log(event.data); socket.close(4000, "bye"); };
socket.onclose = (event) => console.log(event.code, event.reason, event.wasClean);
"""


def _node_version() -> int:
    node = shutil.which("node")
    if node is None:
        return 0
    return int(subprocess.run([node, "--version"], capture_output=True, text=True, check=True).stdout[1:].split(".")[0])


@pytest.mark.skipif(_node_version() < 22, reason="there is no node 22 or later, which has a WebSocket of its own")
def test_node_is_served(ws_mock: WsMock) -> None:
    server = ws_mock(Mock().echo())
    ran = subprocess.run(["node", "-e", NODE, server.url], capture_output=True, text=True, timeout=60, check=True)
    assert ran.stdout.split("\n") == ["from node", "4000 bye true", ""]
