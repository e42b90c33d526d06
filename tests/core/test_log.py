"""The log as its writer and its readers see it, without pandas."""

from __future__ import annotations

import subprocess
import sys
import threading
from collections.abc import Iterator
from struct import Struct
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mockforge_nb.core.log import BURST, FIELDS, HANDSHAKE, IN, OUT, ROW_BYTES, Chunk, Log
from mockforge_nb.core.message import ABORT, BINARY, CLOSE, PING, TEXT, Message
from mockforge_nb.core.program import Payload, Program, Step
from mockforge_nb.core.record import ConnectionRecord


def program(*texts: str) -> Program:
    return Program.of([Step(payload=Payload("text", text), ts=10.0 * i) for i, text in enumerate(texts)])


def opened(log: Log, number: int = 1, path: str = "/ws") -> ConnectionRecord:
    record = ConnectionRecord(number, path)
    log.open(record)
    return record


def texts(messages: list[Message]) -> list[bytes]:
    return [message.payload for message in messages]


def test_no_heavy_import() -> None:
    heavy = "pandas numpy pyarrow asyncio"
    code = f"import sys, mockforge_nb.core.log; print(*[m for m in '{heavy}'.split() if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == []


def test_a_row_is_packed_as_its_fields_say() -> None:
    log = Log()
    first, second = opened(log), opened(log, 2)
    log.add(5, 6, first, IN, TEXT, b"abc")
    log.add(7, 8, second, OUT, CLOSE, b"", 3, 4, 1.5, 2.5, "drop", (1001, "bye"))
    row = Struct("<" + "".join(code for _, code in FIELDS))
    assert row.size == ROW_BYTES
    packed, payloads = log.rows.chunk.snapshot()
    one, two = (dict(zip([name for name, _ in FIELDS], values, strict=True)) for values in row.iter_unpack(packed))
    assert (one["time"], one["elapsed"], one["direction"], one["opcode"], one["size"]) == (5, 6, IN, TEXT, 3)
    assert (one["step"], one["rule"], one["extra"]) == (-1, -1, -1)
    assert one["due"] != one["due"]
    assert one["delay"] != one["delay"]
    assert (two["step"], two["rule"], two["due"], two["delay"]) == (3, 4, 1.5, 2.5)
    assert log.origins[two["origin"]] is second
    assert log.rows.extras[two["extra"]] == ("drop", (1001, "bye"), None)
    assert payloads == b"abc"


def test_bookkeeping_beside_the_payload_is_under_200_bytes() -> None:
    log = Log()
    record = opened(log)
    for i in range(20_000):
        log.add(i, i, record, IN, TEXT, b"")
    assert sum(sys.getsizeof(chunk.rows) for chunk in log.rows.chunks) / 20_000 < 100
    assert all(isinstance(chunk.payloads, bytes) for chunk in log.rows.chunks[:-1])


def test_counters_count_messages_and_their_bytes() -> None:
    log = Log()
    record = opened(log)
    log.add(1, 1, record, IN, HANDSHAKE, b"GET /ws 101 Switching Protocols")
    log.add(1, 1, record, IN, TEXT, b"abc")
    log.add(1, 1, record, OUT, BINARY, b"defg")
    log.add(1, 1, record, IN, PING, b"p")
    log.add(1, 1, record, OUT, CLOSE, b"", close=(1000, ""))
    log.add_many(1, 1, record, IN, TEXT, [b"1", b"22", b""])
    log.add_many(1, 1, record, OUT, TEXT, [b"333"])
    log.add_many(1, 1, record, OUT, PING, [b"333"])
    assert (record.messages_in, record.bytes_in, record.messages_out, record.bytes_out) == (4, 6, 2, 7)
    script = program("a", "bb", "ccc", "dddd")
    for _ in range(3):
        log.add_burst(1, 1, record, script, 0, 2)
        log.add_burst(1, 1, record, script, 2, 4)
    log.add_burst(1, 1, record, script, 1, 1)
    assert record.messages_out == 2 + 12
    assert record.bytes_out == record.bytes_out == 7 + 30
    log.add_burst(1, 1, record, program("xx"), 0, 1)
    assert record.bytes_out == 39
    assert len(log) == 10 + 12 + 1


def test_messages_are_the_clients_with_number_and_time() -> None:
    log = Log()
    record = opened(log, 7)
    log.add(1, 1, record, IN, HANDSHAKE, b"GET /ws 101 Switching Protocols")
    log.add(2, 1, record, IN, TEXT, b"hi")
    log.add(3, 1, record, OUT, TEXT, b"hi")
    log.add(4, 1, record, IN, BINARY, b"\xff")
    log.add(5, 1, record, IN, ABORT, b"")
    found = log.messages()
    assert found == ["hi", b"\xff"]
    assert [(m.connection, m.time, m.opcode) for m in found] == [(7, 2, TEXT), (7, 4, BINARY)]


def test_position_goes_on_over_clear() -> None:
    log = Log()
    record = opened(log)
    log.add(1, 1, record, IN, TEXT, b"a")
    here = log.position
    log.add(1, 1, record, IN, TEXT, b"b")
    assert texts(log.messages(here)) == [b"b"]
    assert texts(log.messages(0, here)) == [b"a"]
    log.clear()
    assert (len(log), log.position, log.messages()) == (0, 2, [])
    log.add(1, 1, record, IN, TEXT, b"c")
    assert texts(log.messages(here)) == [b"c"]
    assert log.messages(log.position) == []
    assert log.messages(2, 2) == []
    assert log.connections == [record]
    assert record.messages_in == 3


def test_a_burst_is_one_packed_row() -> None:
    log = Log()
    record = opened(log)
    log.add_burst(1, 1, record, program("a", "b", "c"), 0, 3)
    assert len(log) == 3
    packed, payloads = log.rows.chunk.snapshot()
    assert len(packed) == ROW_BYTES
    assert payloads == b""
    assert BURST > ABORT


@given(st.lists(st.one_of(st.just(0), st.integers(1, 4)), max_size=30), st.data())
def test_messages_between_bursts(plan: list[int], data: st.DataObject) -> None:
    """0 is a message in, n a burst of n rows."""
    log = Log()
    record = opened(log)
    script = program("a", "b", "c", "d")
    rows: list[bytes | None] = []
    for number, what in enumerate(plan):
        if what:
            log.add_burst(1, 1, record, script, 0, what)
            rows += [None] * what
        else:
            log.add(1, 1, record, IN, TEXT, b"%d" % number)
            rows.append(b"%d" % number)
    if data.draw(st.booleans()):
        log.rows.seal()
    start = data.draw(st.integers(0, len(rows)))
    stop = data.draw(st.integers(0, len(rows)))
    assert texts(log.messages(start, stop)) == [row for row in rows[start:stop] if row is not None]
    assert texts(log.messages(start)) == [row for row in rows[start:] if row is not None]


def test_packed_index_within_bursts() -> None:
    chunk = Chunk(0)
    chunk.bursts = [(4, 2), (7, 4)]  # rows: one, burst of three, one, burst of two, then more
    found = [chunk.packed_index(row) for row in range(9)]
    assert found == [(0, 0), (1, 1), (1, 1), (1, 1), (2, 4), (3, 5), (3, 5), (4, 7), (5, 8)]


def test_old_payloads_leave_first() -> None:
    log = Log(log_bytes=100_000)
    record = opened(log)
    log.add_burst(1, 1, record, program("kept"), 0, 1)
    log.add(1, 1, record, IN, TEXT, b"")
    for i in range(1000):
        log.add(1, 1, record, IN, TEXT, b"%01000d" % i)
    assert len(log) == 1002
    assert 850 <= log.forgotten < 1000
    held = sum(len(chunk.payloads or b"") for chunk in log.rows.chunks[:-1])
    assert held + len(log.rows.chunk.snapshot()[1] or b"") <= 100_000
    assert [int(text) for text in texts(log.messages())] == [*range(log.forgotten, 1000)]
    assert record.bytes_in == 1_000_000
    log.clear()
    assert log.forgotten == 0


def test_without_room_only_the_newest_are_there() -> None:
    log = Log(log_bytes=0)
    record = opened(log)
    for i in range(1000):
        log.add(1, 1, record, IN, TEXT, b"%0100d" % i)
    log.add(1, 1, record, IN, BINARY, b"x" * 2**21)
    assert log.forgotten == 1001
    log.add(1, 1, record, IN, TEXT, b"now")
    assert texts(log.messages()) == [b"now"]


def test_add_many_is_many_adds() -> None:
    one, many = Log(), Log()
    a, b = opened(one), opened(many)
    payloads = [b"%d" % i * (i % 7) for i in range(5000)]
    for payload in payloads:
        one.add(1, 2, a, IN, BINARY, payload)
    many.add_many(1, 2, b, IN, BINARY, payloads)
    many.add_many(1, 2, b, IN, BINARY, [])
    assert b"".join(c.snapshot()[0] for c in many.rows.chunks) == b"".join(c.snapshot()[0] for c in one.rows.chunks)
    assert texts(many.messages()) == payloads
    assert len(many) == 5000


def test_refused_handshakes_share_an_origin() -> None:
    log = Log()
    for _ in range(100):
        log.add(1, 1, ConnectionRecord(0, "/no"), IN, HANDSHAKE, b"GET /no 404 Not Found")
    log.add(1, 1, None, IN, HANDSHAKE, b"no handshake in time")
    assert log.connections == []
    assert [record.path for record in log.origins] == ["", "/no"]


def test_repr() -> None:
    log = Log()
    opened(log)
    assert repr(log) == "<Log 0 rows, 1 connections>"


@pytest.fixture
def restless() -> Iterator[None]:
    """Let the threads take turns a hundred times as often."""
    before = sys.getswitchinterval()
    sys.setswitchinterval(5e-5)
    yield
    sys.setswitchinterval(before)


@pytest.mark.usefixtures("restless")
@pytest.mark.parametrize("size", [1, 1000])
def test_reading_while_another_thread_appends(size: int) -> None:
    log = Log(log_bytes=2**20)
    record = opened(log)
    script = program("x", "y")
    failures: list[Any] = []

    def write() -> None:
        try:
            for number in range(20_000):
                log.add(number, 0, record, IN, TEXT, (b"%d " % number).ljust(size))
                if number % 50 == 0:
                    log.add_burst(number, 0, record, script, 0, 2)
                if number % 70 == 0:
                    log.add_many(number, 0, record, OUT, TEXT, [b"out"] * 3)
        except BaseException as error:  # noqa: BLE001  # handed to the test's own thread
            failures.append(error)

    writer = threading.Thread(target=write)
    writer.start()
    position = turns = 0
    last = -1
    alive = True
    while alive:
        alive = writer.is_alive()
        stop = log.position
        for message in log.messages(position, stop):
            number = int(message.payload)
            assert number == message.time
            assert number > last
            last = number
        assert record.bytes_out >= 0
        position = stop
        turns += 1
        if turns % 10 == 0:
            log.clear()
            assert log.position >= position
    writer.join()
    assert failures == []
    assert record.messages_in == 20_000
    assert record.bytes_out == 400 * 2 + 286 * 9
