"""What mockforge_nb holds and how soon it is there: figures that need no peer beside them.

    python benchmarks/scale.py [NAME]

Each is measured in a process of its own; the load is in this one.
"""

from __future__ import annotations

import json
import os
import resource
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import ExitStack
from typing import Any

import load

IDLE = 10_000
TICKERS, A_SECOND, SECONDS = 2_000, 10, 5
LOGGED = 1_000_000


def importing() -> dict[str, Any]:
    """Measure the import, which this process has not done yet."""
    began = time.perf_counter()
    from mockforge_nb import Mock, Script  # noqa: F401

    return {"import of Mock and Script, ms": (time.perf_counter() - began) * 1000}


def serving() -> dict[str, Any]:
    """Measure the second `serve()`."""
    from mockforge_nb import Mock

    Mock().serve(port=0).stop()
    began = time.perf_counter()
    server = Mock().serve(port=0)
    taken = time.perf_counter() - began
    server.stop()
    return {"second serve(), ms": taken * 1000}


def logging() -> dict[str, Any]:
    """Measure a DataFrame of a million rows, the same again, and what a row costs the memory."""
    import pandas  # noqa: F401  # whose import is not the log's

    from mockforge_nb.core.log import IN, Log
    from mockforge_nb.core.message import TEXT
    from mockforge_nb.core.record import ConnectionRecord
    from mockforge_nb.traffic import Traffic

    log, record, payload = Log(), ConnectionRecord(1, "/ws"), b'{"type":"tick"}'
    log.open(record)
    before = _resident()
    for number in range(LOGGED):
        log.add(number, number, record, IN, TEXT, payload)
    held = _resident() - before
    times = []
    for _ in range(2):
        began = time.perf_counter()
        rows = len(Traffic(log).df)
        times.append((time.perf_counter() - began) * 1000)
    assert rows == LOGGED
    return {
        f"DataFrame of {LOGGED:,} messages, ms": times[0],
        "the same again, ms": times[1],
        "log, B a message beside its payload": held / LOGGED - len(payload),
    }


def _resident() -> int:
    with open("/proc/self/statm", encoding="ascii") as file:
        return int(file.read().split()[1]) * resource.getpagesize()


def idling(port: int) -> dict[str, Any]:
    """Hold many idle connections, and see that each still answers."""
    with ExitStack() as held:
        ones = [held.enter_context(load.connect(port)) for _ in range(IDLE)]
        ask, answer = load.text_frame(b"still there?", load.MASK), load.text_frame(b"still there?")
        for one in ones:
            one.sendall(ask)
        answered = sum(one.recv(100) == answer for one in ones)
    return {"idle connections that were held and answered": answered}


def ticking(port: int) -> dict[str, Any]:
    """Let many connections watch a replay each; the server tells how late it was."""
    with ExitStack() as held:
        ones = [load.join(port) for _ in range(TICKERS)]
        deadline = time.monotonic() + SECONDS + 30
        came = 0
        for one, stream in ones:
            held.enter_context(one)
            while stream.count(b"tick") < A_SECOND * SECONDS and time.monotonic() < deadline:
                stream += one.recv(2**16)
            came += stream.count(b"tick")
    assert came == TICKERS * A_SECOND * SECONDS, f"{came} messages came"
    return {}


def _serve(name: str) -> None:
    """Serve for `idling` or `ticking` until the input ends; then print what there is to tell."""
    from mockforge_nb import Mock

    mock = Mock()
    if name == "ticking":
        mock = mock.replay(["tick"] * (A_SECOND * SECONDS), rate=A_SECOND)
    server = mock.serve(port=0)
    print(server.port, flush=True)
    sys.stdin.read()
    told: dict[str, Any] = {}
    if name == "ticking":
        df = server.traffic.df
        began = df[df.opcode == "handshake"].groupby("connection", observed=True).elapsed.first()
        sent = df[df.step.notna()]
        late = (sent.elapsed - sent.connection.map(began)).astype(float) * 1000 - sent.due_ms
        told = {
            f"{TICKERS:,} connections, {A_SECOND} messages/s each: late, ms at p50": late.median(),
            "the same at p99": late.quantile(0.99),
            "messages that were early": int((late < 0).sum()),
        }
    server.stop()
    print(json.dumps(told), flush=True)


ALONE: dict[str, Callable[[], dict[str, Any]]] = {"importing": importing, "serving": serving, "logging": logging}
LOADED: dict[str, Callable[[int], dict[str, Any]]] = {"idling": idling, "ticking": ticking}


def main() -> None:
    """Measure all, or what is named, and print a table."""
    most = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    if sys.argv[1:2] == ["--serve"]:
        _serve(sys.argv[2])
        return
    if sys.argv[1:2] == ["--alone"]:
        print(json.dumps(ALONE[sys.argv[2]]()))
        return
    chosen = sys.argv[1:] or [*ALONE, *LOADED]
    found: dict[str, Any] = {}
    for name in chosen:
        if name in ALONE:
            ran = subprocess.run([sys.executable, __file__, "--alone", name], check=True, stdout=subprocess.PIPE)
            found |= json.loads(ran.stdout)
            continue
        if name == "idling" and most < IDLE + 100:
            print(f"{name}: left out, as a process may have {most} open files (ulimit -n)")
            continue
        argv = [sys.executable, __file__, "--serve", name]
        with subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as server:
            assert server.stdout is not None
            found |= LOADED[name](int(server.stdout.readline()))
            found |= json.loads(server.communicate()[0])
    print(f"\n| {os.cpu_count()} CPUs | |\n|---|---|")
    for title, value in found.items():
        print(f"| {title} | {value:,.3g} |" if isinstance(value, float) else f"| {title} | {value:,} |")


if __name__ == "__main__":
    main()
