"""Servers in whole processes: their end, forks, spawned children, threads and event loops."""

from __future__ import annotations

import asyncio
import gc
import multiprocessing
import os
import pickle
import signal
import sys
import threading
import time
from collections.abc import Callable
from typing import Any

import pandas as pd
import pytest

from mockforge_nb import ExpectationError, ExpectationTimeoutError, Mock, MockServer, ProtocolError, registry, stop_all
from mockforge_nb.core.routes import PathPattern
from mockforge_nb.wire.portal import loop_thread

from .conftest import PATIENCE, Scripts, held

forks = pytest.mark.skipif(not hasattr(os, "fork"), reason="no os.fork here")
# Python 3.12 and later warn of every fork of a process that has threads; ours is one whose child is looked after.
allowed = pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")
FORK_WARNING = "-Wignore:This process:DeprecationWarning"


# The end of a script


ENDS = {
    "its last line": ("", 0, ""),
    "an exception": ("raise RuntimeError('mine')", 1, "RuntimeError: mine\n"),
    "sys.exit": ("import sys; sys.exit(3)", 3, ""),
    "sys.exit while a thread waits": ("thread.start(); import sys, time; time.sleep(.1); sys.exit(4)", 4, ""),
}


@pytest.mark.parametrize("end", ENDS)
def test_a_script_with_a_connected_client_ends_at_once_and_silently_by(end: str, script: Scripts) -> None:
    code, status, last = ENDS[end]
    begun = time.monotonic()
    ran = script(
        f"""
        import threading
        from mockforge_nb import ExpectationError, Mock
        server = Mock().echo().serve(port=0)
        client = server.client()
        client.send("hi")
        print(client.recv())
        def wait():
            try:
                server.wait_for("never", timeout=None)
            except ExpectationError:
                pass
        thread = threading.Thread(target=wait, daemon=True)
        {code}
        """
    )
    assert (ran.code, ran.out) == (status, "hi\n"), ran.err
    assert ran.err.endswith(last)
    assert ran.err.startswith("Traceback") if last else not ran.err
    assert time.monotonic() - begun < PATIENCE / 2


def test_a_script_ends_though_a_callable_of_its_author_never_returns(script: Scripts) -> None:
    ran = script(
        """
        import time
        from mockforge_nb import Mock
        called = []
        def forever():
            called.append(1)
            time.sleep(3600)
        server = Mock().replay([{"text": "{{forever()}}", "ts": 200}]).templates(forever=forever).serve(port=0)
        client = server.client()
        while not called:
            time.sleep(.01)
        print("ends")
        """
    )
    assert (ran.code, ran.out, ran.err) == (0, "ends\n", "")


def test_a_callable_that_stops_its_server_while_another_replaces_it_blocks_nobody(script: Scripts) -> None:
    ran = script(
        """
        import faulthandler, threading, time
        from mockforge_nb import Mock
        faulthandler.dump_traceback_later(30, exit=True)
        inside = threading.Event()
        def stop():
            inside.set()
            time.sleep(.3)
            server.stop()
        server = Mock().replay([{"text": "{{stop()}}", "ts": 200}]).templates(stop=stop).serve(port=0)
        client = server.client()
        inside.wait()
        Mock().serve(port=server.port, replace=True)
        """
    )
    assert (ran.code, ran.out, ran.err) == (0, "", "")


def test_garbage_from_clients_and_failing_templates_print_nothing(script: Scripts) -> None:
    ran = script(
        """
        import os, socket, time
        from mockforge_nb import Mock
        server = Mock().replay([{"text": "{{boom()}}"}]).templates(boom=lambda: 1 / 0).serve(port=0)
        for garbage in (b"", b"\\x00" * 5000, os.urandom(5000), b"GET / HTTP/1.1\\r\\n\\r\\n", b"X /ws HTTP/9\\n"):
            with socket.create_connection(("127.0.0.1", server.port)) as one:
                one.sendall(garbage)
        client = server.client()
        client.connection.socket.sendall(b"\\xff" * 999)
        client.drain(60)
        while not server.errors:
            time.sleep(.01)
        server.stop()
        """
    )
    assert (ran.code, ran.out, ran.err) == (0, "", "")


@pytest.mark.parametrize("wait", ["server.wait_for(timeout=None)", "server.wait_connected(timeout=None)"])
def test_ctrl_c_ends_a_scripts_wait_at_the_users_line(wait: str, script: Scripts) -> None:
    process = script.start(
        f"""
        from mockforge_nb import Mock
        server = Mock().serve(port=0)
        print("waits", flush=True)
        {wait}
        """
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "waits\n"
    time.sleep(0.2)
    process.send_signal(signal.SIGINT)
    ran = script.finish(process)
    assert ran.code in (-signal.SIGINT, 130)
    assert ran.err.rstrip().endswith("KeyboardInterrupt")
    assert wait in ran.err
    assert "Exception ignored" not in ran.err


# Forks


@forks
def test_a_fork_leaves_the_server_to_its_parent(script: Scripts) -> None:
    ran = script(
        """
        import gc, os, sys
        from mockforge_nb import Mock, stop_all

        server = Mock().echo("parent ").serve(port=0)
        client = server.client()
        client.send("0")
        assert client.recv() == "parent 0"

        def child(end):
            from_child, to_parent = os.pipe()
            from_parent, to_child = os.pipe()
            pid = os.fork()
            if pid:
                return pid, from_child, to_child
            global server
            try:
                server.send("x")
                raise SystemExit("it was sent")
            except Exception as error:
                assert type(error).__name__ == "ProtocolError" and "not in this fork" in str(error), error
            server.stop()
            stop_all()
            with Mock().echo("child ").serve(port=0) as own, own.client() as mine:
                mine.send("1")
                assert mine.recv() == "child 1"
            left = Mock().serve(port=0)  # and one that is never stopped
            os.write(to_parent, b"ready")
            os.read(from_parent, 1)
            del server
            gc.collect()
            if end == "_exit":
                os._exit(0)
            if end == "exit":
                sys.exit(0)
            raise KeyError("the child's own")

        for end in ("_exit", "exit", "raise"):
            pid, from_child, to_child = child(end)
            assert os.read(from_child, 5) == b"ready"
            client.send(end)
            assert client.recv() == f"parent {end}"
            os.write(to_child, b"!")
            assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == (1 if end == "raise" else 0)
            client.send(end)
            assert client.recv() == f"parent {end}"
            assert server.wait_connected().open
        print("done")
        """,
        FORK_WARNING,
    )
    assert (ran.code, ran.out) == (0, "done\n"), ran.err
    assert ran.err.count("Traceback") == 1
    assert ran.err.endswith('KeyError: "the child\'s own"\n')


@forks
def test_a_fork_does_not_hold_the_port_after_the_parent_stopped(script: Scripts) -> None:
    ran = script(
        """
        import os
        from mockforge_nb import BindError, Mock

        server = Mock().serve(port=0)
        with server.client() as client:
            client.send("connected")
            client.recv()
        from_parent, to_child = os.pipe()
        from_child, to_parent = os.pipe()
        pid = os.fork()
        if not pid:
            os.close(to_child)
            os.write(to_parent, b"!")  # it runs, so its copies of the sockets are closed
            os.read(from_parent, 1)
            os._exit(0)
        os.read(from_child, 1)
        server.stop()
        try:
            Mock().serve(port=server.port).stop()
            print("free")
        except BindError as error:
            print(error)
        os.write(to_child, b"!")
        os.waitpid(pid, 0)
        """,
        FORK_WARNING,
    )
    assert (ran.code, ran.out, ran.err) == (0, "free\n", "")


def serve_and_greet(mock: Mock, results: Any) -> None:
    """Serve a mock in a child process; its first two messages are the result."""
    with mock.serve(port=0) as server, server.client() as client:
        results.put((client.recv(), client.recv(), repr(server.mock)))


@allowed
@pytest.mark.parametrize("context", ["fork", "spawn"])
def test_a_mock_is_handed_to_another_process(context: str) -> None:
    if context not in multiprocessing.get_all_start_methods():
        pytest.skip(f"no {context} here")
    with Mock().serve(port=0):  # a fork is one of a process that serves
        kit = multiprocessing.get_context(context)
        rows = pd.DataFrame({"a": [1, 2]})
        mock = Mock().replay(rows, rate=1000, template="{{row.a}}!").latency((1, 2)).seed(3)
        results = kit.Queue()
        child = kit.Process(target=serve_and_greet, args=(mock, results))  # type: ignore[attr-defined]
        child.start()
        try:
            assert results.get(timeout=PATIENCE) == ("1!", "2!", repr(mock))
            child.join(PATIENCE)
            assert child.exitcode == 0
        finally:
            child.kill()
            child.join()
            results.close()
            results.join_thread()


@pytest.mark.parametrize(
    "mock",
    [
        Mock(),
        Mock().echo("> ").latency("slow").seed(7).clock("2024-01-15").limits(connections=2),
        Mock().replay(["a", b"b", {"c": 1}]),
        Mock().replay([{"text": "{{uuid}} {{now+1h}} {{randInt 1 9}} {{message.id}}", "waitFor": "^a"}]),
        Mock().replay([{"text": "x", "waitFor": "$.type == 'ping'"}], speed="max", then="close"),
    ],
    ids=repr,
)
def test_a_mock_pickles(mock: Mock) -> None:
    again = pickle.loads(pickle.dumps(mock))
    assert repr(again) == repr(mock)
    assert again == mock
    again._plans(PathPattern.parse("/ws", ""))


def test_a_server_says_that_it_does_not_pickle() -> None:
    told = pytest.raises(TypeError, match="cannot be pickled: it belongs to its process; send its url there")
    with Mock().serve(port=0) as server, told:
        pickle.dumps(server)


# Threads


def in_thread(function: Callable[[], Any]) -> Any:
    results: list[Any] = []
    thread = threading.Thread(target=lambda: results.append(function()))
    thread.start()
    thread.join(PATIENCE)
    return results[0]


def test_a_server_is_started_used_and_stopped_from_any_thread() -> None:
    server: MockServer = in_thread(lambda: Mock().serve(port=0))
    client = in_thread(server.client)
    in_thread(lambda: client.send("from a thread"))
    assert client.recv() == "from a thread"
    assert in_thread(lambda: server.wait_for("thread").text) == "from a thread"
    assert in_thread(lambda: server.send("to all")) == 1
    assert client.recv() == "to all"
    in_thread(server.stop)
    client.close()
    assert not held(server.port)


def test_a_handle_that_is_lost_stops_nothing() -> None:
    port = Mock().serve(port=0).port
    gc.collect()
    assert held(port)
    stop_all()
    assert not held(port)


def test_a_wait_ends_with_an_error_when_another_thread_stops_the_server() -> None:
    server = Mock().serve(port=0)
    threading.Timer(0.1, server.stop).start()
    with pytest.raises(ExpectationError, match="was stopped before what was waited for came"):
        server.wait_for("never", timeout=None)


# Event loops


def test_a_blocking_server_works_inside_a_running_loop() -> None:
    async def main() -> int:
        server = Mock().echo().serve(port=0)
        async with server, await server.aclient() as client:
            await client.send("a")
            assert await client.recv() == "a"
            with server.client() as blocking:  # would deadlock if the server lived on this loop
                blocking.send("b")
                assert blocking.recv() == "b"
        assert not server.running
        return server.port

    assert not held(asyncio.run(main()))


def test_an_awaited_server_waits_without_blocking_its_loop() -> None:
    async def main() -> None:
        server = await Mock().echo().serve_async(port=0)
        client = await server.client()
        waiting = asyncio.create_task(server.wait_for("late"))
        await asyncio.sleep(0.05)
        assert not waiting.done()
        await client.send("late")
        assert (await waiting).text == "late"
        assert (await server.wait_connected()).number == 1
        with pytest.raises(ExpectationTimeoutError, match=r"'never' did not come within 0\.01 s"):
            await server.wait_for("never", timeout=0.01)
        await client.close()
        await server.stop()
        await server.stop()
        assert not held(server.port)

    asyncio.run(main())


def test_a_cancelled_wait_is_cancelled_and_the_server_goes_on() -> None:
    async def main() -> None:
        async with Mock().echo().serve_async(port=0) as server:
            waiting = asyncio.create_task(server.wait_for("x", timeout=None))
            await asyncio.sleep(0.05)
            waiting.cancel()
            with pytest.raises(asyncio.CancelledError):
                await waiting
            with pytest.raises(TimeoutError) as caught:
                async with asyncio.timeout(0.05):
                    await server.wait_for("x", timeout=None)
            assert not isinstance(caught.value, ExpectationTimeoutError)
            async with await server.client() as client:
                await client.send("x")
                assert (await server.wait_for("x")).text == "x"

    asyncio.run(main())


def test_a_wait_ends_with_an_error_when_the_awaited_server_is_stopped() -> None:
    async def main() -> None:
        server = await Mock().serve_async(port=0)
        waiting = asyncio.create_task(server.wait_for("never", timeout=None))
        await asyncio.sleep(0.05)
        await server.stop()
        with pytest.raises(ExpectationError, match="was stopped before"):
            await waiting

    asyncio.run(main())


def test_a_start_that_is_cancelled_leaves_no_server() -> None:
    async def main() -> None:
        starting = asyncio.create_task(Mock().serve_async(port=0).__aenter__())
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        starting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await starting

    asyncio.run(main())  # waits for the thread that starts it
    try:
        assert not registry.running
    finally:
        stop_all()


def test_a_server_that_its_own_callable_cannot_stop_can_still_be_stopped() -> None:
    servers: list[MockServer] = []
    mock = Mock().replay([{"text": "{{stop()}}", "ts": 50}]).templates(stop=lambda: servers[0].stop())
    server = mock.serve(port=0)
    servers.append(server)
    try:
        with server.client():
            await_errors(server)
        assert "cannot be stopped from its own event loop" in str(server.errors[0])
        server.stop()
        assert not held(server.port)
    finally:
        loop_thread().run(server.listener.stop)


def test_a_pattern_that_is_slower_than_its_timeout_harms_nobody() -> None:
    with Mock().echo().serve(port=0) as server, server.client() as client:
        entered, over = threading.Event(), threading.Event()

        def slow(message: Any) -> bool:
            entered.set()
            return over.wait(PATIENCE)

        sender = threading.Timer(0.1, client.send, ("hello",))
        sender.start()
        with pytest.raises(ExpectationTimeoutError):
            server.wait_for(slow, timeout=1)
        assert entered.is_set()
        over.set()
        loop_thread().call(int)  # the loop is done with the message
        assert [repr(error) for error in server.errors] == []
        assert client.recv() == "hello"


def broken() -> Mock:
    return Mock().replay([{"text": "{{boom()}}"}]).templates(boom=lambda: 1 / 0)


def await_errors(server: Any) -> None:
    deadline = time.monotonic() + PATIENCE
    while not server.errors and time.monotonic() < deadline:
        time.sleep(0.01)


def test_what_the_author_did_wrong_is_raised_on_leaving_and_never_masks_the_bodys_error() -> None:
    async def leave(body: Exception | None, *, awaited: bool) -> None:
        starting = broken().serve_async(port=0) if awaited else broken().serve(port=0)
        async with starting as server, await server.aclient():
            await asyncio.to_thread(await_errors, server)
            if body is not None:
                raise body

    def leave_with(body: Exception | None) -> None:
        with broken().serve(port=0) as server, server.client():
            await_errors(server)
            if body is not None:
                raise body

    ways: list[Callable[[Exception | None], None]] = [
        leave_with,
        lambda body: asyncio.run(leave(body, awaited=True)),
        lambda body: asyncio.run(leave(body, awaited=False)),
    ]
    for way in ways:
        with pytest.raises(LookupError, match="the body's own"):
            way(LookupError("the body's own"))
        with pytest.raises(Exception, match=r"boom\(\) raised ZeroDivisionError") as caught:
            way(None)
        assert "connection 1, step 0" in caught.value.__notes__[0]


def test_a_keyboard_interrupt_in_the_body_stops_the_server() -> None:
    with pytest.raises(KeyboardInterrupt), Mock().serve(port=0) as server:
        raise KeyboardInterrupt
    assert not server.running
    assert not held(server.port)


def test_a_stopped_server_says_so() -> None:
    server = Mock().serve(port=0)
    server.stop()
    for call in (lambda: server.send("x"), server.abort, lambda: server.wait_for(timeout=1), server.close):
        with pytest.raises(ProtocolError, match="is stopped; serve the mock again"):
            call()
    assert "stopped" in repr(server)


if sys.platform == "win32":  # pragma: no cover
    pytestmark = pytest.mark.skip(reason="signals and descriptors are tested where POSIX has them")
