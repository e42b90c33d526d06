"""The traffic as a DataFrame: dtypes, order, selections, and what a user's changes must not reach."""

from __future__ import annotations

import sys
import threading
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pandas.testing import assert_frame_equal

from mockforge_nb import Mock
from mockforge_nb.core.log import HANDSHAKE, IN, OUT, Log
from mockforge_nb.core.message import ABORT, BINARY, CLOSE, PING, PONG, TEXT
from mockforge_nb.core.program import Payload, Program, Step
from mockforge_nb.core.record import ConnectionRecord
from mockforge_nb.errors import OptionError
from mockforge_nb.frames import DIRECTIONS, OPCODES, connections_frame
from mockforge_nb.traffic import Traffic

NAN = float("nan")
T0 = 1_700_000_000_000_000_000
NAMES = {
    HANDSHAKE: "handshake",
    TEXT: "text",
    BINARY: "binary",
    PING: "ping",
    PONG: "pong",
    CLOSE: "close",
    ABORT: "abort",
}


def strings(values: list[Any]) -> pd.Series[Any]:
    return pd.Series(values, dtype="str")


def category(values: list[Any], names: list[str]) -> pd.Categorical:
    return pd.Categorical(values, categories=pd.Index(names, dtype="str"))


def expected(rows: list[dict[str, Any]], paths: list[str]) -> pd.DataFrame:
    """The naive way: a dict a row."""

    def column(name: str, none: Any = None) -> list[Any]:
        return [row.get(name, none) for row in rows]

    return pd.DataFrame(
        {
            "time": pd.Series(pd.to_datetime(column("time"), utc=True)).astype("datetime64[ns, UTC]"),
            "elapsed": pd.Series([ns / 1e9 for ns in column("elapsed")], dtype="float64"),
            "connection": pd.Series(column("connection"), dtype="int64"),
            "path": category(column("path"), paths),
            "direction": category(column("direction"), [*DIRECTIONS]),
            "opcode": category(column("opcode"), [*OPCODES]),
            "text": strings(column("text")),
            "data": pd.Series(column("data"), dtype="object"),
            "size": pd.Series(column("size"), dtype="int64"),
            "step": pd.Series(column("step"), dtype="Int64"),
            "rule": pd.Series(column("rule"), dtype="Int64"),
            "due_ms": pd.Series(column("due_ms", NAN), dtype="float64"),
            "delay_ms": pd.Series(column("delay_ms", NAN), dtype="float64"),
            "fault": strings(column("fault")),
            "close_code": pd.Series(column("close_code"), dtype="Int64"),
            "close_reason": strings(column("close_reason")),
            "trace_id": strings(column("trace_id")),
        }
    )


def script(*payloads: str | bytes) -> Program:
    return Program.of(
        [
            Step(payload=Payload("text", p) if isinstance(p, str) else Payload("binary", p), ts=2.5 * i)
            for i, p in enumerate(payloads)
        ]
    )


SCRIPT = script("a", "bb", b"\xff", "", "ünï", b"", "long " * 20)
OTHER = script("x", "yy")


def opened(log: Log, number: int = 1, path: str = "/ws", **options: Any) -> ConnectionRecord:
    record = ConnectionRecord(number, path, **options)
    log.open(record)
    return record


def session() -> Log:
    """Two connections, one refused handshake, every kind of row."""
    log = Log()
    one, two = opened(log, trace_id="t1"), opened(log, 2, "/prices")
    log.add(T0, 0, one, IN, HANDSHAKE, b"GET /ws 101 Switching Protocols")
    log.add(T0 + 1, 10**9, one, IN, TEXT, "hé".encode())
    log.add(T0 + 2, 2 * 10**9, two, OUT, BINARY, b"\x00\xff", 3, 1, 12.5, 2.5, "corrupt,slicer")
    log.add(T0 + 3, 3 * 10**9, one, IN, PING, b"p")
    log.add(T0 + 4, 4 * 10**9, one, OUT, PONG, b"p")
    log.add(T0 + 5, 5 * 10**9, ConnectionRecord(0, "/no"), IN, HANDSHAKE, b"GET /no 404 Not Found")
    log.add(T0 + 6, 6 * 10**9, one, OUT, CLOSE, b"\x03\xe9bye", close=(1001, "bye"))
    log.add(T0 + 7, 7 * 10**9, two, IN, ABORT, b"")
    log.add(T0 + 8, 8 * 10**9, None, IN, HANDSHAKE, b"no handshake in time")
    return log


def test_an_empty_log_has_real_dtypes() -> None:
    frame = Traffic(Log()).df
    assert_frame_equal(frame, expected([], []))
    assert {name: str(dtype) for name, dtype in frame.dtypes.items()} == {
        "time": "datetime64[ns, UTC]",
        "elapsed": "float64",
        "connection": "int64",
        "path": "category",
        "direction": "category",
        "opcode": "category",
        "text": "str",
        "data": "object",
        "size": "int64",
        "step": "Int64",
        "rule": "Int64",
        "due_ms": "float64",
        "delay_ms": "float64",
        "fault": "str",
        "close_code": "Int64",
        "close_reason": "str",
        "trace_id": "str",
    }


def test_every_kind_of_row() -> None:
    frame = Traffic(session()).df
    assert_frame_equal(frame.iloc[:0], expected([], ["/ws", "/prices", "/no"]))
    assert frame["time"].iloc[0] == pd.Timestamp(T0, tz="UTC")
    assert frame["elapsed"].tolist() == [float(i) for i in range(9)]
    assert frame["connection"].tolist() == [1, 1, 2, 1, 1, 0, 1, 2, 0]
    assert frame["path"].tolist()[:8] == ["/ws", "/ws", "/prices", "/ws", "/ws", "/no", "/ws", "/prices"]
    assert frame["path"].isna().tolist() == [False] * 8 + [True]
    assert " ".join(frame["opcode"]) == "handshake text binary ping pong handshake close abort handshake"
    assert " ".join(frame["direction"]) == "in in out in out in out in in"
    texts = [None if pd.isna(text) else text for text in frame["text"]]
    assert texts[:2] == ["GET /ws 101 Switching Protocols", "hé"]
    assert texts[2:] == [None, None, None, "GET /no 404 Not Found", None, None, "no handshake in time"]
    assert frame["data"].tolist() == [None, None, b"\x00\xff", b"p", b"p", None, None, None, None]
    assert frame["size"].tolist() == [31, 3, 2, 1, 1, 21, 5, 0, 20]
    third = frame.iloc[2]
    assert (third["step"], third["rule"], third["due_ms"], third["delay_ms"]) == (3, 1, 12.5, 2.5)
    assert third["fault"] == "corrupt,slicer"
    assert frame["fault"].notna().sum() == frame["step"].notna().sum() == frame["due_ms"].notna().sum() == 1
    assert frame["close_code"].dropna().to_dict() == {6: 1001}
    assert frame["close_reason"].dropna().to_dict() == {6: "bye"}
    assert frame["trace_id"].dropna().to_dict() == dict.fromkeys([0, 1, 3, 4, 6], "t1")


def test_text_that_is_no_utf8_is_replaced() -> None:
    log = Log()
    record = opened(log)
    log.add(T0, 0, record, IN, TEXT, b"\xff!")
    log.add(T0, 0, record, IN, BINARY, b"\xff")
    assert Traffic(log).df["text"].tolist()[0] == "\ufffd!"


def test_bursts_and_adds_come_in_order() -> None:
    log = Log()
    record = opened(log)
    log.add(T0, 0, record, IN, TEXT, b"before")
    log.add_burst(T0 + 1, 5, record, SCRIPT, 1, 4, 2.0, 100.0)
    log.add(T0 + 2, 6, record, IN, TEXT, b"after")
    frame = Traffic(log).df
    assert frame["step"].tolist() == [pd.NA, 1, 2, 3, pd.NA]
    assert frame["due_ms"].tolist()[1:4] == [105.0, 110.0, 115.0]
    assert frame["text"].tolist()[0] == "before"
    assert frame["text"].tolist()[1] == "bb"
    assert frame["text"].tolist()[3:] == ["", "after"]
    assert frame["data"].tolist() == [None, None, b"\xff", None, None]
    assert frame["size"].tolist() == [6, 2, 1, 0, 5]
    assert frame["direction"].tolist() == ["in", "out", "out", "out", "in"]
    assert frame["rule"].isna().all()
    assert frame["delay_ms"].isna().all()


class Rig:
    """A log, and the naive list of what it should show."""

    def __init__(self, log_bytes: int = 2**28) -> None:
        self.log = Log(log_bytes)
        self.traffic = Traffic(self.log)
        self.rows: list[dict[str, Any]] = []
        self.records = [opened(self.log, 1, "/ws", trace_id="t"), opened(self.log, 2, "/b"), opened(self.log, 3, "/ws")]
        self.now = 0

    def add(self, which: int, direction: int, opcode: int, payload: bytes, **more: Any) -> None:
        self.now += 1
        record = self.records[which]
        self.log.add(T0 + self.now, self.now, record, direction, opcode, payload, **more)
        self._expect(record, direction, opcode, payload, **more)

    def burst(self, which: int, program: Program, first: int, last: int, scale: float, base: float) -> None:
        self.now += 1
        record = self.records[which]
        self.log.add_burst(T0 + self.now, self.now, record, program, first, last, scale, base)
        for step, payload in enumerate(program.payloads(first, last), first):
            due = program.at[step] * scale + base
            self._expect(record, OUT, program.opcode(step), payload, step=step, due_ms=due)

    def many(self, which: int, payloads: list[bytes]) -> None:
        self.now += 1
        self.log.add_many(T0 + self.now, self.now, self.records[which], IN, TEXT, payloads)
        for payload in payloads:
            self._expect(self.records[which], IN, TEXT, payload)

    def clear(self) -> None:
        self.traffic.clear()
        self.rows.clear()

    def _expect(self, record: ConnectionRecord, direction: int, opcode: int, payload: bytes, **more: Any) -> None:
        close = more.pop("close", None)
        row = {"time": T0 + self.now, "elapsed": self.now, "connection": record.number, "path": record.path, **more}
        row |= {"direction": DIRECTIONS[direction], "opcode": NAMES[opcode], "size": len(payload)}
        row |= {"trace_id": record.trace_id}
        if opcode in (TEXT, HANDSHAKE):
            row["text"] = payload.decode()
        elif opcode in (BINARY, PING, PONG):
            row["data"] = payload
        if close is not None:
            row["close_code"], row["close_reason"] = close
        self.rows.append(row)

    def check(self) -> None:
        assert len(self.traffic) == len(self.rows)
        assert_frame_equal(self.traffic.df, expected(self.rows, ["/ws", "/b"]))


def operations() -> st.SearchStrategy[tuple[Any, ...]]:
    who = st.integers(0, 2)
    words = st.sampled_from([b"", b"a", "ünï".encode(), b"x" * 3000])
    step = st.integers(0, 2**31 - 1)
    ms = st.floats(0, 1e6)
    more = st.fixed_dictionaries(
        {}, optional={"step": step, "rule": step, "due_ms": ms, "delay_ms": ms, "fault": st.sampled_from(["drop", "é"])}
    )
    add = st.tuples(st.just("add"), who, st.sampled_from([IN, OUT]), st.sampled_from([*NAMES]), words, more)
    closed = st.tuples(st.just("close"), who, st.integers(1000, 4999), st.sampled_from(["", "bye"]))
    bounds = st.tuples(st.integers(0, 7), st.integers(0, 7)).map(sorted)
    burst = st.tuples(st.just("burst"), who, st.just(SCRIPT), bounds, ms, ms)
    other = st.tuples(st.just("burst"), who, st.just(OTHER), st.just([0, 2]), ms, ms)
    many = st.tuples(st.just("many"), who, st.lists(words, max_size=8))
    ends = st.sampled_from([("clear",), ("check",), ("seal",)])
    return st.one_of(add, closed, burst, other, many, ends)


@settings(deadline=None)
@given(st.lists(operations(), max_size=25))
def test_any_mix_is_what_the_naive_list_says(plan: list[tuple[Any, ...]]) -> None:
    rig = Rig()
    for name, *given_ in plan:
        if name == "add":
            *plain, more = given_
            rig.add(*plain, **more)
        elif name == "close":
            which, code, reason = given_
            rig.add(which, OUT, CLOSE, b"", close=(code, reason))
        elif name == "burst":
            which, program, (first, last), scale, base = given_
            rig.burst(which, program, first, last, scale, base)
        elif name == "many":
            rig.many(*given_)
        elif name == "seal":
            rig.log.rows.seal()
        elif name == "clear":
            rig.clear()
        else:
            rig.check()
    rig.check()
    rig.check()


def test_many_chunks_converted_bit_by_bit() -> None:
    rig = Rig()
    for i in range(30):
        for j in range(300):
            rig.add(j % 3, IN, BINARY if (i + j) % 97 == 0 else TEXT, b"%0500d" % (i * 300 + j))
        rig.burst(0, SCRIPT, 0, 7, 1.0, 0.0)
        if i % 7 == 0:
            rig.check()
    assert len(rig.log.rows.chunks) > 5
    rig.check()


@pytest.mark.parametrize("early", [False, True])
def test_forgotten_payloads_are_null_whenever_the_frame_was_made(early: bool) -> None:
    rig = Rig(log_bytes=200_000)
    for i in range(900):
        if i % 60 == 0:
            rig.burst(0, SCRIPT, 0, 4, 1.0, 0.0)
        rig.add(i % 3, OUT if i % 5 else IN, TEXT if i % 2 else BINARY, b"%01000d" % i)
        if early and i % 130 == 0:
            rig.traffic.df  # noqa: B018  # its cache must not keep what the log forgets
    left = rig.log.forgotten
    assert 600 < left < 900
    for row in rig.rows:
        if "step" not in row and left:
            row["text"] = row["data"] = None
            left -= 1
    rig.check()


def test_a_change_to_one_frame_shows_in_no_other() -> None:
    log = session()
    traffic = Traffic(log)
    whole = traffic.df.copy()
    for turn in range(2):
        mine = traffic.df
        mine.loc[0, "size"] = -1
        mine.loc[:, "elapsed"] = 0.5
        mine.loc[0, "time"] = pd.Timestamp("2000-01-01", tz="UTC")
        mine.loc[0, "text"] = "mine"
        mine.loc[0, "step"] = 99
        mine.loc[0, "path"] = "/no"
        mine.loc[0, "data"] = b"mine"
        mine["due_ms"] += 1
        mine["new"] = 1
        mine.index.name = mine.columns.name = "mine"
        mine.attrs["mine"] = 1
        part = traffic[1:3].df
        part.loc[1, "size"] = -1
        assert_frame_equal(traffic.df, whole)
        assert traffic.df.attrs == {}
        assert traffic.df.index.name is None
        assert traffic.df.columns.name is None
        if not turn:
            # An old frame stays what it was, and stays its owner's, after the log went on.
            kept = traffic.df
            log.add(T0 + 9, 9 * 10**9, log.connections[0], IN, TEXT, b"more")
            assert len(traffic.df) == 10
            assert_frame_equal(kept, whole)
            kept.loc[:, "size"] = -2
            kept.loc[:, "step"] = -2
            whole = pd.concat([whole, traffic.df.iloc[[9]]])
            assert_frame_equal(traffic.df, whole)


def test_nothing_new_is_not_converted_again(monkeypatch: pytest.MonkeyPatch) -> None:
    log = session()
    traffic = Traffic(log)
    first = traffic.df
    monkeypatch.setattr("mockforge_nb.frames._convert", None)
    assert_frame_equal(traffic.df, first)
    assert np.shares_memory(traffic.df["size"].to_numpy(), first["size"].to_numpy())
    assert len(Traffic(log).select(connection=2).df) == 2


def test_clear_drops_rows_and_keeps_connections() -> None:
    log = session()
    traffic = Traffic(log)
    tail = traffic[-2:]
    assert len(tail) == 2
    traffic.clear()
    assert len(traffic) == len(traffic.df) == len(tail) == 0
    assert len(connections_frame(log)) == 2
    log.add(T0, 0, log.connections[0], IN, TEXT, b"again")
    assert traffic.df["text"].tolist() == ["again"]
    assert len(tail) == 0
    with pytest.raises(OptionError, match=r"server\.traffic\.clear"):
        tail.clear()
    with pytest.raises(OptionError, match="part of the traffic"):
        traffic.select(connection=1).clear()


def test_slices() -> None:
    log = session()
    traffic = Traffic(log)
    whole = traffic.df
    for key in (slice(2, 4), slice(-3, None), slice(None, None, 2), slice(None, None, -1), slice(5, 2), slice(50, 60)):
        part = traffic[key]
        assert_frame_equal(part.df, whole.iloc[key])
        assert len(part) == len(whole.iloc[key])
    assert_frame_equal(traffic[2:8][1:3].df, whole.iloc[3:5])
    assert_frame_equal(traffic.select(direction="in")[-2:].df, whole[whole["direction"] == "in"].iloc[-2:])
    tail = traffic[-2:]
    log.add(T0, 0, log.connections[0], IN, TEXT, b"more")
    assert_frame_equal(tail.df, whole.iloc[-2:])
    with pytest.raises(TypeError, match=r"traffic\.df\.iloc"):
        traffic[3]  # type: ignore[index]


def test_select() -> None:
    log = session()
    traffic = Traffic(log)

    def rows(**criteria: Any) -> list[int]:
        return traffic.select(**criteria).df.index.tolist()

    assert rows() == [*range(9)]
    assert rows(connection=2) == [2, 7]
    assert rows(connection=[0, 2]) == [2, 5, 7, 8]
    assert rows(connection=np.int64(2)) == [2, 7]
    assert rows(connection=77) == []
    assert rows(path="/ws", direction="out") == [4, 6]
    assert rows(path=["/no", "/prices"]) == [2, 5, 7]
    assert rows(opcode="close") == [6]
    assert rows(opcode=("ping", "pong")) == [3, 4]
    assert traffic.select(direction="in").select(connection=1).df.index.tolist() == [0, 1, 3]
    assert traffic[1:4].select(connection=1).df.index.tolist() == [1, 3]
    followed = traffic.select(opcode="text")
    log.add(T0, 0, log.connections[0], OUT, TEXT, b"more")
    assert len(followed) == 2


@pytest.mark.parametrize(
    ("start", "end", "found"),
    [
        (3, 5, [3, 4]),
        (3.5, None, [4, 5, 6, 7, 8]),
        ("3s", "4500ms", [3, 4]),
        (timedelta(seconds=7), np.float64(8), [7]),
        (pd.Timestamp(T0 + 3, tz="UTC"), pd.Timestamp(T0 + 5), [3, 4]),
        (pd.Timestamp(T0 + 3, tz="UTC").tz_convert("Asia/Tokyo"), None, [3, 4, 5, 6, 7, 8]),
        ("2023-11-14T22:13:20.000000007Z", None, [7, 8]),
        ("2023-11-14 22:13:20.000000007", None, [7, 8]),
        (date(2023, 11, 14), "2023-11-15", [*range(9)]),
        (datetime(2023, 11, 14, 22, 13, 21), None, []),
        (np.datetime64(T0 + 8, "ns"), datetime(2024, 1, 1, tzinfo=UTC), [8]),
    ],
)
def test_select_by_time(start: Any, end: Any, found: list[int]) -> None:
    assert Traffic(session()).select(start=start, end=end).df.index.tolist() == found


@pytest.mark.parametrize(
    ("criteria", "text"),
    [
        ({"direction": "inn"}, r"select\(direction=\): 'inn'.*did you mean 'in'.*'in', 'out'"),
        ({"direction": 1}, r"select\(direction=\): 1"),
        ({"opcode": "txt"}, "did you mean 'text'.*'handshake', 'text'"),
        ({"opcode": ["text", "nope"]}, "'nope'.*'abort'"),
        ({"connection": "1"}, r"select\(connection=\): '1' is no connection"),
        ({"connection": True}, "True is no connection"),
        ({"connection": [1, -1]}, "-1 is no connection"),
        ({"connection": 1.5}, "1.5 is no connection"),
        ({"connection": None, "path": 3}, "3 is no path"),
        ({"start": "yesterday-ish"}, r"select\(start=\): 'yesterday-ish' is no time.*naive: UTC"),
        ({"end": True}, r"select\(end=\): True is no time"),
        ({"end": NAN}, "nan is no time"),
        ({"start": pd.NaT}, "NaT is no time"),
        ({"start": object()}, "is no time"),
        ({"start": "5 parsecs"}, "is no duration"),
    ],
)
def test_a_wrong_criterion_says_what_is_right(criteria: dict[str, Any], text: str) -> None:
    with pytest.raises(OptionError, match=text):
        Traffic(Log()).select(**criteria)


def test_repr() -> None:
    traffic = Traffic(session())
    assert repr(traffic) == "<Traffic 2 messages, 2 connections>"
    assert repr(traffic.select(connection=2)) == "<Traffic 1 message, 1 connection>"
    assert repr(Traffic(Log())) == "<Traffic 0 messages, 0 connections>"


def test_connections() -> None:
    log = Log()
    types = dict(connections_frame(log).dtypes)
    opened(
        log,
        query="a=1",
        headers=(("Host", "x"), ("Cookie", "a"), ("Cookie", "b")),
        subprotocols=("v1", "v2"),
        subprotocol="v2",
        remote="127.0.0.1:5000",
        opened_ns=T0,
    )
    gone = opened(log, 2, "/b", opened_ns=T0 + 1, closed_ns=T0 + 2, close_code=1000, close_reason="bye")
    log.add(T0, 0, gone, IN, TEXT, b"abc")
    log.add_burst(T0, 0, gone, SCRIPT, 0, 2)
    log.add(T0, 0, ConnectionRecord(0, "/no"), IN, HANDSHAKE, b"GET /no 404 Not Found")
    frame = connections_frame(log)
    assert dict(frame.dtypes) == types
    assert {name: str(dtype) for name, dtype in types.items()} == {
        "connection": "int64",
        "path": "str",
        "query": "str",
        "headers": "object",
        "subprotocols": "object",
        "subprotocol": "str",
        "remote": "str",
        "opened": "datetime64[ns, UTC]",
        "closed": "datetime64[ns, UTC]",
        "close_code": "Int64",
        "close_reason": "str",
        "messages_in": "int64",
        "messages_out": "int64",
        "bytes_in": "int64",
        "bytes_out": "int64",
    }
    one, two = (frame.iloc[i] for i in range(2))
    assert one["headers"] == {"Host": "x", "Cookie": "a, b"}
    assert one["subprotocols"] == ["v1", "v2"]
    assert (one["path"], one["query"], one["subprotocol"], one["remote"]) == ("/ws", "a=1", "v2", "127.0.0.1:5000")
    assert frame["closed"].isna().tolist() == frame["close_code"].isna().tolist() == [True, False]
    assert frame["close_reason"].isna().tolist() == [True, False]
    assert two["opened"] == pd.Timestamp(T0 + 1, tz="UTC")
    assert two["closed"] == pd.Timestamp(T0 + 2, tz="UTC")
    assert (two["close_code"], two["close_reason"], two["messages_in"], two["messages_out"]) == (1000, "bye", 1, 2)
    assert (two["bytes_in"], two["bytes_out"]) == (3, 3)


@pytest.fixture
def restless() -> Iterator[None]:
    """Let the threads take turns a hundred times as often."""
    before = sys.getswitchinterval()
    sys.setswitchinterval(5e-5)
    yield
    sys.setswitchinterval(before)


@pytest.mark.usefixtures("restless")
@pytest.mark.parametrize("clear", [False, True])
def test_converting_while_another_thread_appends(clear: bool) -> None:
    log = Log(log_bytes=2**20)
    record = opened(log)
    traffic = Traffic(log)
    started, ended = threading.Event(), threading.Event()
    failures: list[Any] = []

    def write() -> None:
        started.wait()
        try:
            for number in range(60_000):
                log.add(T0 + number, number, record, IN, TEXT, b"%d" % number * (1 + number % 50), number % 1000)
                if number % 100 == 0:
                    log.add_burst(T0 + number, number, record, OTHER, 0, 2)
        except BaseException as error:  # noqa: BLE001  # handed to the test's own thread
            failures.append(error)
        finally:
            ended.set()

    def read() -> None:
        try:
            before = traffic.df
            turns = 0
            while not ended.is_set():
                frame = traffic.df
                consistent(frame.iloc[-1000:])
                if not clear:
                    assert len(frame) >= len(before)
                    assert frame["time"].iloc[: len(before)].equals(before["time"])
                    assert frame["size"].iloc[: len(before)].equals(before["size"])
                elif turns % 3 == 2:
                    traffic.clear()
                before = frame
                turns += 1
                started.set()
        except BaseException as error:  # noqa: BLE001  # as above
            failures.append(error)
            started.set()

    threads = [threading.Thread(target=write), *(threading.Thread(target=read) for _ in range(2))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []
    frame = traffic.df
    consistent(frame)
    if not clear:
        assert len(frame) == 60_000 + 2 * 600
        assert log.forgotten > 0
        assert frame["text"].isna().sum() == log.forgotten


def consistent(frame: pd.DataFrame) -> None:
    """Check that each row has its own text, and all are in order."""
    number = frame["time"].astype("int64") - T0
    assert number.is_monotonic_increasing
    came = (frame["direction"] == "in").to_numpy()
    assert (frame["step"][came] == number[came] % 1000).all()
    there = came & frame["text"].notna().to_numpy()
    for text, own in zip(frame["text"][there], number[there], strict=True):
        assert text == str(own) * (1 + own % 50)
    burst = frame[~came]
    assert (burst["text"] == burst["step"].map({0: "x", 1: "yy"})).all()


def test_what_a_proxy_did_has_columns_as_soon_as_there_is_one() -> None:
    with Mock().echo().serve(port=0) as server, server.client() as client:
        client.send("a")
        client.recv()
        before = server.traffic.df
        server.update(Mock().proxy(lambda request: None))
        after = server.traffic.df
    assert [*set(after.columns) - set(before.columns)] in (["relay", "original"], ["original", "relay"])
    assert after["relay"].isna().all()
    assert after["original"].isna().all()
