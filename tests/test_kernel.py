"""Servers in a real Jupyter kernel, driven as JupyterLab and nbclient drive it."""

from __future__ import annotations

import os
import re
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from queue import Empty
from typing import Any

import pytest
from jupyter_client.manager import KernelManager

from .conftest import PATIENCE, ROOT, held


@dataclass
class Ran:
    """What a cell did."""

    error: str = ""
    trace: str = ""
    printed: str = ""
    value: dict[str, str] = field(default_factory=dict)


class Notebook:
    """A kernel, and cells that run in it."""

    def __init__(self) -> None:
        self.manager = KernelManager(kernel_name="python3")
        kept = {name: value for name, value in os.environ.items() if not name.startswith("MOCKFORGE_")}
        self.manager.start_kernel(env={**kept, "PYTHONPATH": ROOT, "PYTHONWARNINGS": ""})
        self.client: Any = self.manager.client()
        self.client.start_channels()
        self.client.wait_for_ready(timeout=PATIENCE)
        self.printed = ""
        """All that any cell, or nobody, printed."""
        self.run("from mockforge_nb import *; import gc, socket, time")

    def start(self, code: str, cell: str | None = None) -> str:
        """Run a cell as JupyterLab does, which says its id, or as nbclient does, which does not."""
        content = {"code": code, "silent": False, "store_history": True, "user_expressions": {}, "allow_stdin": False}
        metadata = {} if cell is None else {"cellId": cell, "deletedCells": [], "trusted": True}
        message = self.client.session.msg("execute_request", content, metadata=metadata)
        self.client.shell_channel.send(message)
        return str(message["header"]["msg_id"])

    def finish(self, request: str) -> Ran:
        ran = Ran()
        while True:
            message = self.client.get_iopub_msg(timeout=PATIENCE)
            kind, content = message["msg_type"], message["content"]
            if kind == "stream":
                ran.printed += content["text"]
                self.printed += content["text"]
            if message["parent_header"].get("msg_id") != request:
                continue
            if kind == "error":
                ran.error = f"{content['ename']}: {content['evalue']}"
                ran.trace = re.sub(r"\x1b\[[0-9;]*m", "", "\n".join(content["traceback"]))
            elif kind == "execute_result":
                ran.value = content["data"]
            elif kind == "status" and content["execution_state"] == "idle":
                return ran

    def run(self, code: str, cell: str | None = None) -> Ran:
        return self.finish(self.start(code, cell))

    def value(self, code: str, cell: str | None = None) -> str:
        """Run a cell that must not fail; return the repr of its last line."""
        ran = self.run(code, cell)
        assert not ran.error, ran.trace
        return ran.value.get("text/plain", "")

    def stray(self) -> str:
        """Return what was printed outside of any cell until now."""
        try:
            while True:
                message = self.client.get_iopub_msg(timeout=0.2)
                if message["msg_type"] == "stream":
                    self.printed += message["content"]["text"]
        except Empty:
            return self.printed

    def restart(self) -> None:
        self.manager.restart_kernel(now=False)
        self.client.wait_for_ready(timeout=PATIENCE)

    def shutdown(self) -> None:
        self.client.stop_channels()
        if self.manager.has_kernel:
            self.manager.shutdown_kernel()
        self.manager.context.destroy(linger=0)


@pytest.fixture(scope="module")
def kernel() -> Iterator[Notebook]:
    notebook = Notebook()
    yield notebook
    notebook.shutdown()


@pytest.fixture
def notebook(kernel: Notebook) -> Iterator[Notebook]:
    kernel.printed = ""
    yield kernel
    kernel.run("stop_all()")


@pytest.fixture
def port(free_port: int) -> int:
    return free_port


# Which cell a server belongs to


@pytest.mark.parametrize("cells", [("a", "a", "a"), (None, None, None)], ids=["JupyterLab", "nbclient"])
def test_a_cell_that_runs_again_replaces_its_server_and_keeps_the_url(
    notebook: Notebook, port: int, cells: tuple[str | None, ...]
) -> None:
    urls = {notebook.value(f"server = Mock().echo().serve(port={port}); server.url", cell) for cell in cells}
    assert urls == {f"'ws://127.0.0.1:{port}/ws'"}
    assert notebook.value("server.client().send('x'); server.wait_for('x').text") == "'x'"


def test_a_cell_that_was_edited_replaces_its_server(notebook: Notebook, port: int) -> None:
    notebook.value(f"old = Mock().echo().serve(port={port})", "a")
    assert (
        notebook.value(f"new = Mock().echo('> ').serve(port={port})\nold.running, new.running", "a") == "(False, True)"
    )


def test_a_cell_that_runs_again_closes_the_connections_of_its_old_server(notebook: Notebook, port: int) -> None:
    cell = f"server = Mock().echo().serve(port={port})"
    notebook.value(cell, "a")
    notebook.value("client = server.client()", "b")
    notebook.value(cell, "a")
    assert notebook.value("client.drain(60), client.close_code", "b") == "([], 1001)"


def test_a_cell_is_known_under_magics_functions_and_scripts(notebook: Notebook, port: int) -> None:
    serve = f"server = Mock().serve(port={port})"
    for code in (f"%%time\n{serve}", f"def begin():\n    global server\n    {serve}\nbegin()"):
        for cell in ("a", None):
            notebook.value("stop_all()", "z")
            for _ in range(2):
                assert not notebook.run(code, cell).error
    # Two cells that differ only below a magic's line are two cells, also where nobody says which they are.
    assert "BindError" in notebook.run(f"%%time\n{serve}  # another").error


def test_two_cells_never_take_each_others_port_without_a_word(notebook: Notebook, port: int) -> None:
    serve = f"server = Mock().echo().serve(port={port})"
    notebook.value(serve, "a")
    for code, cell in ((serve, "b"), (serve + " ", None)):
        error = notebook.run(code, cell).error
        assert re.match(
            rf"BindError: cannot serve on 127\.0\.0\.1:{port}: <MockServer ws://127\.0\.0\.1:{port}/ws, 0 connections> "
            r"of this process, started at cell \[\d+\], holds it",
            error,
        )
        assert "replace=True" in error
        assert "port=0" in error
        assert ".stop()" in error
    assert notebook.value("server.running") == "True"
    assert notebook.value(f"other = Mock().echo().serve(port={port}, replace=True); server.running", "b") == "False"
    # The port is the other cell's now.
    assert "BindError" in notebook.run(serve, "a").error


def test_two_servers_on_one_port_in_one_run_of_a_cell_are_an_error(notebook: Notebook, port: int) -> None:
    twice = f"first = Mock().serve(port={port})\nsecond = Mock().serve(port={port})"
    for cell in ("a", "a", None):
        ran = notebook.run(twice, cell)
        assert "in this same run of it, holds it" in ran.error
        notebook.value("stop_all()", "z")


def test_a_callback_that_runs_later_does_not_replace(notebook: Notebook, port: int) -> None:
    notebook.value(f"server = Mock().serve(port={port})", "a")
    ran = notebook.run(
        f"import threading\nfailed = []\ndef later():\n    try:\n        Mock().serve(port={port})\n"
        "    except BindError as error:\n        failed.append(str(error))\n"
        "thread = threading.Thread(target=later); thread.start(); thread.join(); len(failed)",
        "a",
    )
    assert ran.value.get("text/plain") == "1", ran


# Inside the kernel's event loop


def test_a_blocking_client_works_in_the_cell_that_serves(notebook: Notebook) -> None:
    code = """
import asyncio
asyncio.get_running_loop()  # the kernel's: this cell is a coroutine
server = Mock().echo().serve(port=0)
with server.client() as client:
    client.send("a")
    got = client.recv()
await asyncio.sleep(0)
got"""
    assert notebook.value(code) == "'a'"


def test_coroutines_of_a_cell_serve_and_wait(notebook: Notebook) -> None:
    code = """
awaited = await Mock().echo().serve_async(port=0)
async with awaited, await awaited.client() as client:
    await client.send("a")
    one = await client.recv(), (await awaited.wait_for("a")).text
async with Mock().echo().serve_async(port=0) as entered:
    async with await entered.client() as client:
        await client.send("b")
        two = await client.recv()
one, two, awaited.running, entered.running"""
    assert notebook.value(code) == "(('a', 'a'), 'b', False, False)"


@pytest.mark.parametrize("cell", ["a", None])
def test_an_awaited_server_of_a_cell_that_runs_again_is_replaced(
    notebook: Notebook, port: int, cell: str | None
) -> None:
    for _ in range(2):
        assert notebook.value(f"server = await Mock().serve_async(port={port}); server.running", cell) == "True"


# Interrupts


@pytest.mark.parametrize("wait", ["server.wait_for(timeout=None)", "server.wait_connected(timeout=None)"])
def test_an_interrupted_wait_raises_there_and_the_server_lives_on(notebook: Notebook, wait: str) -> None:
    notebook.value("server = Mock().echo().serve(port=0)")
    waiting = notebook.start(f"print('waits')\n{wait}")
    while notebook.client.get_iopub_msg(timeout=PATIENCE)["msg_type"] != "stream":
        pass
    time.sleep(0.2)
    notebook.manager.interrupt_kernel()
    ran = notebook.finish(waiting)
    assert ran.error.startswith("KeyboardInterrupt")
    assert wait in ran.trace
    assert notebook.value("client = server.client(); client.send('x'); client.recv(), server.errors") == "('x', [])"


# What is printed, and what is shown


def test_nothing_is_printed_whatever_clients_send_and_templates_raise(notebook: Notebook) -> None:
    code = """
server = Mock().replay([{"text": "{{boom()}}"}]).templates(boom=lambda: 1 / 0).serve(port=0)
for garbage in (b"", b"\\x00" * 5000, b"\\xff" * 5000, b"GET / HTTP/1.1\\r\\n\\r\\n", b"POST /ws HTTP/9\\r\\n"):
    with socket.create_connection(("127.0.0.1", server.port)) as one:
        one.sendall(garbage)
client = server.client()
client.connection.socket.sendall(b"\\xff" * 999)
_ = client.drain(60)
while not server.errors:
    time.sleep(.01)
server"""
    ran = notebook.run(code)
    assert not ran.error, ran.trace
    assert "1 error, the first: template '{{boom()}}'" in ran.value["text/plain"]
    assert "boom() raised ZeroDivisionError: division by zero" in ran.value["text/plain"]
    assert "boom() raised ZeroDivisionError: division by zero" in ran.value["text/html"]
    assert "<script" not in ran.value["text/html"]
    assert "ZeroDivisionError" in notebook.run("server.check()").error
    assert notebook.stray() == ""


# Lost handles and the end


def test_a_lost_handle_goes_on_serving_and_stop_all_frees_the_port(notebook: Notebook, port: int) -> None:
    notebook.value(f"server = Mock().echo().serve(port={port})\nclient = server.client()\ndel server; gc.collect()")
    assert notebook.value("client.send('still'); client.recv()") == "'still'"
    assert held(port)
    notebook.value("stop_all()")
    assert not held(port)
    assert notebook.value("client.drain(60), client.close_code") == "([], 1001)"


def test_a_kernels_restart_and_end_leave_no_port_held_and_no_process() -> None:
    notebook = Notebook()
    try:
        serve = "from mockforge_nb import *; server = Mock().serve(port=0); client = server.client(); server.port"
        first = int(notebook.value(serve))
        assert held(first)
        notebook.restart()
        assert not held(first)
        second = int(notebook.value(serve))
        pid = int(notebook.value("import os; os.getpid()"))
        # A kernel that is killed in the middle of a wait says no more; the system takes its port back.
        notebook.start("server.wait_for(timeout=None)")
        notebook.manager.shutdown_kernel(now=True)
        assert not held(second)
        with pytest.raises(ProcessLookupError):
            os.kill(pid, 0)
    finally:
        notebook.shutdown()
