"""How a mock's ASGI application ends, begins again, and takes a server that does not behave."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import os
import signal
import socket
import subprocess
import sys
import threading
import traceback
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from fastapi import FastAPI
from websockets.sync.client import connect

from mockforge_nb import Mock, stop_all
from mockforge_nb.connections import Connection
from mockforge_nb.errors import OptionError, ProtocolError, RecordingError
from mockforge_nb.formats.lines import read
from mockforge_nb.wire import asgi as wire

from .hosts import HOSTS, Driven, drain, hosted
from .raw import PATIENCE, TEXT, Raw, ended, eventually, frame, rows

pytestmark = pytest.mark.filterwarnings("ignore:remove second argument of ws_handler")  # uvicorn's oldest way

GONE = {"type": "websocket.disconnect", "code": 1000}
SCOPE = {"type": "websocket", "path": "/ws", "query_string": b"", "headers": []}


async def idle(conn: Connection) -> None:
    await asyncio.sleep(3600)


def texts(path: Path) -> list[str]:
    return [line["text"] for _, line in read(path).entries if line.get("dir") != "in" and "text" in line]


def listens(port: int) -> bool:
    with contextlib.suppress(OSError):
        socket.create_connection(("127.0.0.1", port)).close()
        return True
    return False


def visit(url: str) -> None:
    with connect(url):
        pass


# Recordings


@pytest.mark.parametrize("name", ["x.parquet", "x.jsonl"])
def test_a_recording_is_whole_when_a_signal_ends_the_server(name: str, tmp_path: Path) -> None:
    (tmp_path / "feed.py").write_text(f"from mockforge_nb import Mock\nmock = Mock().echo().record({name!r}).asgi()\n")
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        port = one.getsockname()[1]
    command = [sys.executable, "-m", "uvicorn", "feed:mock", "--port", str(port), "--log-level", "critical"]
    environ = os.environ | {"PYTHONPATH": os.pathsep.join([os.getcwd(), os.environ.get("PYTHONPATH", "")])}
    server = subprocess.Popen(command, cwd=tmp_path, env=environ)
    try:
        eventually(lambda: listens(port))
        with connect(f"ws://127.0.0.1:{port}/ws") as client:
            for index in range(300):
                client.send(str(index))
                assert client.recv(PATIENCE) == str(index)
            server.send_signal(signal.SIGTERM)
            server.wait(PATIENCE)
    finally:
        server.kill()
        server.wait()
    assert texts(tmp_path / name) == [str(index) for index in range(300)]


@pytest.mark.parametrize("name", ["x.parquet", "x.jsonl"])
def test_a_recording_goes_on_where_the_server_begins_again(name: str, tmp_path: Path) -> None:
    path = tmp_path / name
    app = Mock().echo().record(path).asgi()
    for index in range(3):
        with hosted(app) as url, connect(f"{url}/ws") as client:
            client.send(str(index))
            client.recv(PATIENCE)
        assert texts(path) == [str(each) for each in range(index + 1)]  # whole each time
    app.stop()
    assert texts(path) == ["0", "1", "2"]
    app.check()
    Mock().record(path).asgi().stop()  # nobody holds it


def test_one_of_two_recordings_that_cannot_go_on_is_an_error_until_it_can(tmp_path: Path) -> None:
    paths = tmp_path / "one.jsonl", tmp_path / "two.jsonl"
    app = Mock().route("/ws", Mock().echo().record(paths[0])).route("/two", Mock().record(paths[1])).asgi()

    async def main() -> None:
        life = Driven(app, type="lifespan")
        await life.tell("lifespan.startup")
        await life.tell("lifespan.shutdown")
        other = Mock().record(paths[1]).asgi()
        for _ in range(2):
            with pytest.raises(RecordingError, match=r"two\.jsonl is being recorded"):
                await Driven(app).task
        other.stop()
        one = Driven(app)
        await one.tell("websocket.connect")
        await one.tell("websocket.receive", text="a")
        one.coming.put_nowait(GONE)
        await one.task

    asyncio.run(main())
    app.stop()
    assert texts(paths[0]) == ["a"]


def test_two_processes_do_not_record_to_one_file(tmp_path: Path) -> None:
    path = tmp_path / "x.jsonl"
    app = Mock().echo().record(path).asgi()
    code = f"from mockforge_nb import Mock\nMock().record({str(path)!r}).asgi()"
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert f"x.jsonl is being recorded by the process {os.getpid()}; let each" in ran.stderr.splitlines()[-1]
    app.stop()
    subprocess.run([sys.executable, "-c", code], check=True)


def test_a_fork_serves_what_its_parent_built_and_served(tmp_path: Path) -> None:
    app, recorded = Mock().echo().asgi(), Mock().record(tmp_path / "x.jsonl").asgi()
    failed = 99

    async def serve() -> None:
        one = Driven(app)
        assert (await one.tell("websocket.connect"))["type"] == "websocket.accept"
        assert (await one.tell("websocket.receive", text="a"))["text"] == "a"
        one.coming.put_nowait(GONE)
        await one.task
        with pytest.raises(RecordingError, match=str(os.getppid())):
            await recorded(dict(SCOPE), one.coming.get, one.said.put)

    def child() -> int:
        # The loop that runs in this thread is the parent's, too: on another one there is none.
        worker = threading.Thread(target=lambda: results.append(asyncio.run(serve())))
        results: list[Any] = []
        worker.start()
        worker.join(PATIENCE)
        return 0 if results == [None] and not app.listener.sockets else failed

    async def main() -> None:
        one = Driven(app)
        await one.tell("websocket.connect")
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)  # Python 3.12's, of every fork beside threads
            pid = os.fork()
        if not pid:
            code = failed
            try:
                code = child()
            except BaseException:  # noqa: BLE001  # it must not run what pytest does next
                traceback.print_exc()
            os._exit(code)
        assert os.waitstatus_to_exitcode((await asyncio.to_thread(os.waitpid, pid, 0))[1]) == 0
        assert (await one.tell("websocket.receive", text="mine"))["text"] == "mine"
        one.coming.put_nowait(GONE)
        await one.task

    asyncio.run(main())
    recorded.stop()


# A client that leaves while nobody reads


@pytest.mark.parametrize("by", HOSTS)
def test_a_client_that_left_unread_keeps_no_server(by: str) -> None:
    app = Mock().handle(idle).asgi()
    with hosted(app, by) as url:
        with Raw(int(url.rpartition(":")[2])).open() as client:
            client.send(frame(TEXT, b"x" * 10) * 1100)
            app.wait_for(n=1024, timeout=PATIENCE)
        ended(app)
    assert not app.listener.sockets


def test_what_a_client_said_before_it_left_is_read_first() -> None:
    heard: list[str | None] = []

    async def slow(conn: Connection) -> None:
        await asyncio.sleep(0.2)
        async for message in conn:
            heard.append(message.text)

    async def main() -> None:
        one = Driven(Mock().handle(slow).asgi())
        await one.tell("websocket.connect")
        for index in range(3000):
            one.coming.put_nowait({"type": "websocket.receive", "text": str(index)})
        one.coming.put_nowait(GONE)
        await one.task
        await asyncio.sleep(0.5)

    asyncio.run(main())
    assert heard == [str(index) for index in range(3000)]


def test_a_client_whose_end_cannot_be_heard_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(wire, "HELD_SECONDS", 0.2)
    app = Mock().handle(idle).asgi()

    async def main() -> None:
        one = Driven(app)
        await one.tell("websocket.connect")
        for _ in range(3000):
            one.coming.put_nowait({"type": "websocket.receive", "text": "x" * 1000})
        await asyncio.wait_for(one.task, PATIENCE)

    asyncio.run(main())
    assert rows(app)[-1] == ("in", "abort", 0)


# Servers that do not behave


def told(*coming: Any, send: Callable[[Any], Any] | None = None, **scope: Any) -> None:
    """Drive an application that echoes with these events; one that is an error is raised."""
    app = Mock().echo().asgi()

    async def main() -> None:
        events = [{"type": "websocket.connect"}, *coming]

        async def receive() -> Any:
            if not events:
                await asyncio.sleep(3600)
            event = events.pop(0)
            if isinstance(event, BaseException):
                raise event
            return event

        async def sends(event: Any) -> None:
            if send is not None:
                await send(event)

        task = asyncio.ensure_future(app(SCOPE | scope, receive, sends))
        done, _ = await asyncio.wait([task], timeout=PATIENCE)
        assert done
        assert not app.listener.sockets
        assert len(asyncio.all_tasks()) == 1
        task.result()

    asyncio.run(main())


@pytest.mark.parametrize("error", [asyncio.CancelledError, GeneratorExit, ZeroDivisionError])
def test_whatever_a_server_raises_ends_the_application_with_it(error: type[BaseException]) -> None:
    async def send(event: Any) -> None:
        if event["type"] == "websocket.send":
            raise error

    with pytest.raises(error):
        told(error())
    with pytest.raises(error):
        told({"type": "websocket.receive", "text": "a"}, send=send)


def test_a_send_that_swallows_a_cancellation_is_not_waited_for_without_end() -> None:
    app = Mock().echo().asgi()

    async def main() -> None:
        swallowed: list[int] = []

        async def send(event: Any) -> None:
            try:
                await asyncio.sleep(3600)
            except asyncio.CancelledError:
                swallowed.append(1)

        coming: asyncio.Queue[Any] = asyncio.Queue()
        coming.put_nowait({"type": "websocket.connect"})
        task = asyncio.ensure_future(app(dict(SCOPE), coming.get, send))
        await asyncio.sleep(0.1)
        task.cancel()
        done, _ = await asyncio.wait([task], timeout=2)
        assert done
        assert swallowed

    asyncio.run(main())


@pytest.mark.parametrize(
    ("event", "says"),
    [
        ({"type": "foo"}, "gave {'type': 'foo'}: neither text nor bytes"),
        ({"type": "websocket.receive"}, "neither text nor bytes"),
        ({"type": "websocket.receive", "text": None, "bytes": None}, "neither text nor bytes"),
        ({"type": "websocket.receive", "text": b"a"}, "neither text nor bytes"),
        ({"type": "websocket.receive", "text": "\ud800"}, r"gave '\\ud800': a text that UTF-8 cannot have"),
        ({}, "gave {}: neither"),
        (None, "gave None: neither"),
    ],
)
def test_what_is_no_message_is_an_error_of_the_server(event: Any, says: str) -> None:
    with pytest.raises(ProtocolError, match=rf"receive\(\) .*{says}"):
        told(event)


@pytest.mark.parametrize(
    ("scope", "says"),
    [
        ({"headers": [("host", "a")]}, r"scope\['headers'\] has 'host': no bytes"),
        ({"headers": [b"host"]}, r"scope\['headers'\] has b'host': no pair"),
        ({"query_string": "a=b"}, r"scope\['query_string'\] has 'a=b': no bytes"),
        ({"path": None}, r"scope\['path'\] is None: no text"),
    ],
)
def test_a_scope_that_is_not_as_asgi_has_it_is_an_error(scope: dict[str, Any], says: str) -> None:
    with pytest.raises(ProtocolError, match=says):
        told(**scope)


def test_what_a_scope_leaves_open_may_be_none() -> None:
    told(GONE, headers=None, root_path=None, subprotocols=None, query_string=None, raw_path=None, extensions=None)
    with pytest.raises(OptionError, match="'websocket'"):
        told(type=None)


@pytest.mark.parametrize("mock", [Mock().echo(), Mock().echo().connect_delay(0.01)])
def test_whom_the_server_let_in_is_not_judged_again(mock: Mock) -> None:
    headers = [(b"upgrade", b"websocket"), (b"sec-websocket-version", b"13")] * 2
    headers += [(b"cookie", b"x" * 9000), *((b"x-%d" % index, b"v") for index in range(140))]
    app = mock.asgi()

    async def main() -> None:
        one = Driven(app, headers=headers, query_string=b"q=" + b"x" * 9000)
        assert (await one.tell("websocket.connect"))["type"] == "websocket.accept"
        assert (await one.tell("websocket.receive", text="a"))["text"] == "a"
        one.coming.put_nowait(GONE)
        await one.task

    asyncio.run(main())
    assert len(app.connections[0].headers["cookie"]) == 9000
    assert len(app.connections.df["query"].iloc[0]) == 9002


# Loops


def test_a_loop_that_ended_without_a_word_takes_its_connections_with_it(caplog: pytest.LogCaptureFixture) -> None:
    app = Mock().handle(idle).limits(connections=1).asgi()
    loops = [asyncio.new_event_loop(), asyncio.new_event_loop()]
    for loop in loops:
        coming: list[Any] = [{"type": "websocket.connect"}]

        async def receive(coming: list[Any] = coming) -> Any:
            return coming.pop() if coming else await asyncio.Event().wait()

        async def send(event: Any, loop: asyncio.AbstractEventLoop = loop) -> None:
            loop.call_soon(loop.stop)

        loop.create_task(app(dict(SCOPE), receive, send))
        loop.run_forever()
        with pytest.warns(UserWarning, match="nobody is connected"):
            assert app.send("x") == 0
        if loop is loops[1]:
            loop.close()

    async def again() -> None:
        one = Driven(app)
        assert (await one.tell("websocket.connect"))["type"] == "websocket.accept"
        one.coming.put_nowait(GONE)
        await one.task

    asyncio.run(again())
    assert [each.open for each in app.connections] == [False] * 3
    assert not app.listener.sockets
    assert [rows(app, number)[-1] for number in (1, 2)] == [("in", "abort", 0)] * 2
    loops[0].run_until_complete(asyncio.sleep(0.1))
    (handler,) = asyncio.all_tasks(loops[0])
    handler.cancel()
    loops[0].run_until_complete(asyncio.wait([handler]))
    loops[0].close()
    gc.collect()  # the tasks of the other one, of which asyncio says that they are destroyed
    assert "is closed" not in caplog.text


def test_the_url_is_that_of_the_last_server() -> None:
    app = Mock().echo().asgi()
    for _ in range(2):
        with hosted(app) as url:
            visit(f"{url}/ws")
            assert app.url == f"{url}/ws"
            with app.client() as client:
                client.send("a")
                assert client.recv(PATIENCE) == "a"


def test_the_url_leads_past_a_proxys_root_path() -> None:
    app = Mock().echo().asgi()
    outer = FastAPI()
    outer.mount("/a b", app)
    with hosted(outer, root_path="/api") as url:
        visit(f"{url}/a%20b/ws")
        assert app.url == f"{url}/a%20b/ws"
        with app.client():
            pass
    alone = Mock().echo().asgi()
    with hosted(alone, root_path="/api") as url:
        visit(f"{url}/ws")
        with alone.client():
            pass


def test_a_unix_socket_has_no_url(tmp_path: Path) -> None:
    app = Mock().echo().asgi()
    path = str(tmp_path / "s")

    async def main() -> None:
        one = Driven(app, server=(path, None))
        await one.tell("websocket.connect")
        one.coming.put_nowait(GONE)
        await one.task

    asyncio.run(main())
    with pytest.raises(ProtocolError, match=f"has no URL: its ASGI server is at no TCP port, but at '{path}'"):
        app.url  # noqa: B018
    assert repr(app) == "<MockApp /ws, 0 connections>"


# What would block the loop


def test_what_would_block_its_own_loop_says_what_does_not() -> None:
    app = Mock().echo().asgi()

    async def main() -> None:
        one = Driven(app, server=("127.0.0.1", 1))
        mine = ValueError("mine")
        with contextlib.suppress(ValueError), app:  # it is on no loop yet
            await one.tell("websocket.connect")
            raise mine
        assert "cannot be stopped from its own event loop" in mine.__notes__[0]
        with pytest.raises(ProtocolError, match="use `async with`"), app:
            pass
        with pytest.raises(ProtocolError, match=r"await aclient\(\)"):
            app.client()
        for wait, name in ((app.wait_for, "wait_for"), (app.wait_connected, "wait_connected")):
            with pytest.raises(ProtocolError, match=rf"would never end; await asyncio.to_thread\(server.{name}, …\)"):
                wait()
        assert app.listener.waiting == app.listener.waiting_for_connections == []
        async with app:
            pass
        await one.task

    asyncio.run(main())
    assert not app.running


# Stopped


def test_stop_all_stops_applications_too() -> None:
    app = Mock().asgi()
    with hosted(app) as url, connect(f"{url}/ws") as client:
        app.wait_connected(timeout=PATIENCE)
        stop_all()
        assert drain(client)[1] == 1001
    assert not app.running


def test_one_that_is_stopped_says_so_to_everybody() -> None:
    app = Mock().asgi()
    with hosted(app) as url:
        app.stop()
        with socket.create_connection(("127.0.0.1", int(url.rpartition(":")[2]))) as plain:
            plain.sendall(b"GET /ws HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
            answer = b"".join(iter(lambda: plain.recv(4096), b""))
    assert answer.startswith(b"HTTP/1.1 503")
    assert answer.endswith(b"This mock is stopped.\n")
    with pytest.raises(ProtocolError, match=r"is stopped; Mock\.asgi\(\) makes another"):
        app.send("a")


@pytest.mark.parametrize(
    ("mock", "says"),
    [
        (Mock().preset("train"), r"'half_open' of preset\('train'\) is a fault that cannot be"),
        (Mock().route("/a", Mock().preset("flaky_wifi")), r"'reset_peer' of preset\('flaky_wifi'\)"),
        (Mock().phases([(1, "flaky_wifi")]), r"'reset_peer' of preset\('flaky_wifi'\)"),
        (Mock().fault("half_open"), "'half_open' is a fault"),
    ],
)
def test_a_presets_fault_is_named_with_its_preset(mock: Mock, says: str) -> None:
    with pytest.raises(OptionError, match=rf"asgi\(\): {says}"):
        mock.asgi()
