"""Headless Chromium, driven through its DevTools protocol; nothing here needs pytest or the package."""

from __future__ import annotations

import json
import shutil
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from websockets.sync.client import ClientConnection, connect

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")

FLAGS = [
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-dev-shm-usage",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--remote-debugging-port=0",
    "--remote-allow-origins=devtools://devtools",  # for the developer tools that it brings
]

PATIENCE = 60
"""Seconds that a busy machine may take for anything."""


class Chromium:
    """A running browser.

    Args:
        port: where its DevTools protocol is.
        tools: the connection to the browser itself.
    """

    def __init__(self, port: int, tools: ClientConnection) -> None:
        self.port = port
        self._tools = tools
        self._number = 0

    def ask(self, method: str, session: str | None = None, **params: Any) -> Any:
        """Return the result of a command; an error fails."""
        answer = self.answer(method, session, **params)
        assert "error" not in answer, answer
        return answer["result"]

    def answer(self, method: str, session: str | None = None, **params: Any) -> Any:
        """Return the answer to a command, be it a result or an error."""
        self._number += 1
        message = {"id": self._number, "method": method, "params": params}
        self._tools.send(json.dumps(message if session is None else {**message, "sessionId": session}))
        while True:
            answer = json.loads(self._tools.recv(timeout=PATIENCE))
            if answer.get("id") == self._number:
                return answer

    def open(self, url: str = "about:blank") -> Tab:
        """Return a new tab."""
        target = self.ask("Target.createTarget", url=url)["targetId"]
        return Tab(self, target, self.ask("Target.attachToTarget", targetId=target, flatten=True)["sessionId"])


@dataclass(frozen=True)
class Tab:
    """A page of a browser."""

    browser: Chromium
    target: str
    session: str

    def evaluate(self, script: str, **values: Any) -> Any:
        """Run the body of an async function, with `values` as its constants, and return what it returns."""
        given = "".join(f"const {name} = {json.dumps(value)};" for name, value in values.items())
        body = f"(async () => {{ {given} {script} }})()"
        answer = self.browser.ask(
            "Runtime.evaluate", self.session, expression=body, awaitPromise=True, returnByValue=True
        )
        assert "exceptionDetails" not in answer, answer
        return answer["result"].get("value")

    def go(self, url: str) -> None:
        """Load a page, and return when it is complete."""
        loader = self.browser.ask("Page.navigate", self.session, url=url)
        assert "errorText" not in loader, loader
        self.loaded(url)

    def loaded(self, url: str) -> None:
        """Return when `url` is what is complete here."""
        until = time.monotonic() + PATIENCE
        while not self._is_at(url):
            assert time.monotonic() < until, f"{url} did not load within a minute"
            time.sleep(0.02)

    def _is_at(self, url: str) -> bool:
        script = "document.readyState === 'complete' && location.href"
        answer = self.browser.answer("Runtime.evaluate", self.session, expression=script, returnByValue=True)
        # Between two pages there is nothing that answers.
        return "result" in answer and bool(answer["result"]["result"].get("value") == url)

    def close(self) -> None:
        """Close the page."""
        self.browser.ask("Target.closeTarget", targetId=self.target)


@contextmanager
def chromium(profile: Path) -> Iterator[Chromium]:
    """Run Chromium with an empty folder as its profile."""
    assert CHROMIUM is not None
    with subprocess.Popen(
        [CHROMIUM, *FLAGS, f"--user-data-dir={profile}", "about:blank"],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    ) as process:
        try:
            address = profile / "DevToolsActivePort"
            until = time.monotonic() + PATIENCE
            while not (address.exists() and address.read_text().count("\n")):
                assert process.poll() is None, "Chromium ended before it listened"
                assert time.monotonic() < until, "Chromium did not listen within a minute"
                time.sleep(0.05)
            port, path = address.read_text().split("\n")[:2]
            with connect(f"ws://127.0.0.1:{port}{path}", proxy=None, max_size=None) as tools:
                yield Chromium(int(port), tools)
        finally:
            process.kill()
