"""Makes the recordings of this folder, with the tools that people record with.

It is run by hand, from the root of the repository, and no test needs it::

    pip install websockets playwright mitmproxy     # playwright without its browsers
    apt-get install chromium
    python -m tests.formats.recordings.make [--mitmdump PATH] [NAME ...]

Every tool sees the same talk with a small server: a page and some JSON over plain HTTP, a WebSocket at ``/chat`` that
the server closes with 4001, and one at ``/other`` that the client closes with 1000.

- ``mitmproxy.flow`` and ``mitmproxy.har``: mitmdump as a reverse proxy before both servers, with ``-w`` and ``--set
  hardump=``; the client is `websockets`.
- ``playwright.har``: Playwright with ``record_har_path``, in Chromium.
- ``chrome.har``: what "Export HAR" of Chromium's own developer tools saves.

``firefox.har`` was saved by hand, with "Save All As HAR" of Firefox 153: it has the connections and no messages, which
Firefox shows and does not export.
"""

from __future__ import annotations

import argparse
import json
import shutil
import signal
import socket
import subprocess
import tempfile
import threading
import time
import urllib.request
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from importlib import import_module
from pathlib import Path
from typing import Any

from websockets.exceptions import ConnectionClosed
from websockets.sync.client import connect
from websockets.sync.server import ServerConnection, serve
from websockets.typing import Subprotocol

from tests.browser.chromium import CHROMIUM, FLAGS, chromium
from tests.browser.devtools import DevTools

HERE = Path(__file__).parent
HOST = "127.0.0.1"
CHAT = Subprotocol("chat")
PATIENCE = 60

PAGE = b"""<!doctype html><meta charset="utf-8"><title>talk</title><link rel="icon" href="data:,"><p>A page that talks.
"""

TALK = """
const data = await (await fetch("/data.json")).json();
const chat = new WebSocket(url + "/chat", ["chat"]);
chat.binaryType = "arraybuffer";
const says = [JSON.stringify({id: 1, op: "ask"}), new Uint8Array([0, 255, 1]), "ä€😀", "bye"];
await new Promise(resolve => {
  chat.onmessage = () => chat.send(says.shift());
  chat.onclose = resolve;
});
const other = new WebSocket(url + "/other");
await new Promise(resolve => {
  const says = [JSON.stringify({id: 2, op: "ask"})];
  other.onmessage = () => says.length ? other.send(says.shift()) : other.close(1000, "done");
  other.onclose = resolve;
});
return data;
"""


def answer(connection: ServerConnection) -> None:
    """Welcome, answer what is asked, and close when told bye."""
    with suppress(ConnectionClosed):
        connection.send("welcome")
        for message in connection:
            if isinstance(message, bytes):
                connection.send(message[::-1])
            elif message == "bye":
                connection.close(4001, "enough")
            elif message.startswith("{"):
                connection.send(json.dumps({"id": json.loads(message)["id"], "ok": True}, separators=(",", ":")))
            else:
                connection.send("ä€😀")


def chosen(connection: ServerConnection, offered: Sequence[Subprotocol]) -> Subprotocol | None:
    """Choose "chat" if it is offered."""
    return CHAT if CHAT in offered else None


class Files(BaseHTTPRequestHandler):
    """A page, and some JSON."""

    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:  # the name is http.server's
        """Answer."""
        is_data = self.path == "/data.json"
        body = b'{"users":["Ada","Grace"]}' if is_data else PAGE
        self.send_response(200)
        self.send_header("Content-Type", "application/json" if is_data else "text/html; charset=utf-8")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: Any) -> None:  # the name is http.server's
        """Print nothing."""


@dataclass(frozen=True)
class Servers:
    """Where the two servers are."""

    files: int
    talks: int


@contextmanager
def running() -> Iterator[Servers]:
    """Serve."""
    with ExitStack() as stack:
        files = stack.enter_context(ThreadingHTTPServer((HOST, 0), Files))
        talks = stack.enter_context(serve(answer, HOST, 0, select_subprotocol=chosen))
        for server in (files, talks):
            threading.Thread(target=server.serve_forever, daemon=True).start()
            stack.callback(server.shutdown)
        yield Servers(files.server_address[1], talks.socket.getsockname()[1])


def free_port() -> int:
    """Return a port that nobody holds."""
    with socket.socket() as one:
        one.bind((HOST, 0))
        port: int = one.getsockname()[1]
        return port


def listening(port: int, process: subprocess.Popen[bytes]) -> None:
    """Return when something listens."""
    until = time.monotonic() + PATIENCE
    while True:
        try:
            socket.create_connection((HOST, port), timeout=1).close()
            return
        except OSError:
            assert process.poll() is None, "it ended before it listened"
            assert time.monotonic() < until, "it did not listen within a minute"
            time.sleep(0.05)


def talk(files: int, talks: int) -> None:
    """Be a client like the page is."""
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    for path in ("/", "/data.json"):
        opener.open(f"http://{HOST}:{files}{path}", timeout=PATIENCE).read()
    with connect(f"ws://{HOST}:{talks}/chat", subprotocols=[CHAT], proxy=None) as chat:
        says: list[str | bytes] = [json.dumps({"id": 1, "op": "ask"}, separators=(",", ":")), b"\x00\xff\x01", "ä€😀"]
        for each in [*says, "bye"]:
            chat.recv(timeout=PATIENCE)
            chat.send(each)
        with suppress(ConnectionClosed):
            chat.recv(timeout=PATIENCE)
        assert chat.close_code == 4001
    with connect(f"ws://{HOST}:{talks}/other", proxy=None) as other:
        other.recv(timeout=PATIENCE)
        other.send(json.dumps({"id": 2, "op": "ask"}, separators=(",", ":")))
        other.recv(timeout=PATIENCE)
        other.close(1000, "done")


def mitmproxy(servers: Servers, mitmdump: str) -> None:
    """Record with mitmdump."""
    ports = free_port(), free_port()
    flow, har = HERE / "mitmproxy.flow", HERE / "mitmproxy.har"
    command: list[str] = [mitmdump, "-q", "--listen-host", HOST, "-w", str(flow), "--set", f"hardump={har}"]
    for port, real in zip(ports, (servers.files, servers.talks), strict=True):
        command += ["--mode", f"reverse:http://{HOST}:{real}@{port}"]
    with tempfile.TemporaryDirectory() as folder:
        flow.unlink(missing_ok=True)
        process = subprocess.Popen([*command, "--set", f"confdir={folder}"])
        try:
            for port in ports:
                listening(port, process)
            talk(*ports)
            process.send_signal(signal.SIGINT)  # only a stop in good order writes the HAR
            process.wait(PATIENCE)
        finally:
            process.kill()
            process.wait()


def playwright(servers: Servers) -> None:
    """Record with Playwright."""
    # Not among what the tests need, so imported by name.
    api: Any = import_module("playwright.sync_api")
    with api.sync_playwright() as tool:
        browser = tool.chromium.launch(executable_path=CHROMIUM, headless=True, args=FLAGS[1:-2])
        context = browser.new_context(record_har_path=HERE / "playwright.har")
        page = context.new_page()
        page.goto(f"http://{HOST}:{servers.files}/")
        page.evaluate(f"async url => {{ {TALK} }}", f"ws://{HOST}:{servers.talks}")
        context.close()
        browser.close()


def chrome(servers: Servers) -> None:
    """Record with Chromium's developer tools."""
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as profile, chromium(Path(profile)) as browser:
        page = browser.open()
        tools = DevTools(page)
        page.go(f"http://{HOST}:{servers.files}/")
        page.evaluate(TALK, url=f"ws://{HOST}:{servers.talks}")
        har = tools.exported(sanitize=True)
    (HERE / "chrome.har").write_text(json.dumps(har, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")


def main() -> None:
    """Make what is named, or all."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", metavar="NAME", help="mitmproxy, playwright or chrome; all by default")
    parser.add_argument("--mitmdump", default=shutil.which("mitmdump"), help="where mitmdump is, if not on the PATH")
    options = parser.parse_args()
    names = options.names or ["mitmproxy", "playwright", "chrome"]
    with running() as servers:
        if "mitmproxy" in names:
            if options.mitmdump is None:
                parser.error("no mitmdump on the PATH")
            mitmproxy(servers, options.mitmdump)
        if "playwright" in names:
            playwright(servers)
        if "chrome" in names:
            chrome(servers)


if __name__ == "__main__":
    main()
