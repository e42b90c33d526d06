"""HAR files of other tools to scripts, and recordings to HAR files."""

from __future__ import annotations

import base64
import json
import warnings
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mockforge_nb import Mock, OptionError, Script, ScriptError
from mockforge_nb.core.program import Step
from mockforge_nb.pytest_plugin import WsMock

PATIENCE = 20
STARTED = "2024-01-15T10:30:00.000Z"
AT = 1_705_314_600.0


def message(kind: str, data: str | bytes, time: Any = AT, opcode: int | None = None, **more: Any) -> dict[str, Any]:
    text = base64.b64encode(data).decode() if isinstance(data, bytes) else data
    known = 2 if isinstance(data, bytes) else 1
    return {"type": kind, "time": time, "opcode": known if opcode is None else opcode, "data": text, **more}


def entry(*messages: Any, url: Any = "wss://feed.example/v1?token=s3cret", **more: Any) -> dict[str, Any]:
    made = {
        "startedDateTime": STARTED, "time": 100, "_resourceType": "websocket",
        "request": {"method": "GET", "url": url, "headers": []},
        "response": {"status": 101, "headers": [{"name": "sec-websocket-protocol", "value": "chat"}]},
        "_webSocketMessages": list(messages),
    }  # fmt: skip
    return made | more


def har(*entries: Any) -> dict[str, Any]:
    page = {"startedDateTime": STARTED, "request": {"url": "https://feed.example/"}, "response": {"status": 200}}
    return {"log": {"version": "1.2", "creator": {"name": "x"}, "entries": [page, *entries]}}


def loaded(tmp_path: Path, value: Any, **options: Any) -> Script:
    path = tmp_path / "session.har"
    path.write_text(json.dumps(value) if not isinstance(value, str) else value, encoding="utf-8")
    return Script.load(path, **options)


def said(script: Script) -> list[tuple[Any, ...]]:
    """What each step is: its direction, time in ms, and payload or end."""
    return [(step.dir, step.ts, what(step)) for step in script]


def what(step: Step) -> Any:
    """What a step says, or how it ends the connection."""
    if step.payload is not None:
        return step.payload.value
    return "abort" if step.error else (step.close, step.reason)


def test_messages_become_steps_with_their_times_and_the_connection_is_known(tmp_path: Path) -> None:
    script = loaded(
        tmp_path,
        har(entry(
            message("receive", "welcome {{uuid}}", AT + 0.1), message("send", '{"op":1}', AT + 0.5),
            message("receive", b"\x00\xff", AT + 0.75), message("send", "bye", AT + 1),
        )),
    )  # fmt: skip
    assert said(script) == [
        ("out", 100, "welcome {{uuid}}"), ("in", 500, {"op": 1}), ("out", 750, b"\x00\xff"), ("in", 1000, "bye"),
    ]  # fmt: skip
    assert [step.how for step in script if step.dir == "in"] == ["json", "exact"]
    about = script.recorded
    assert (about.connection, about.opened, about.path, about.subprotocol) == (1, STARTED, "/v1", "chat")
    assert "s3cret" not in repr(script) + script.text()


@pytest.mark.parametrize(
    ("times", "expected"),
    [
        ([AT, AT + 1.5, AT + 2], [0, 1500, 2000]),  # Chrome, mitmproxy
        ([AT * 1000, AT * 1000 + 1500, AT * 1000 + 2000], [0, 1500, 2000]),  # Playwright
        ([AT * 1000, -1, AT * 1000 + 2000], [0, 0, 2000]),
        ([None, None, AT + 3], [0, 0, 3000]),
        ([AT + 2, AT + 1, AT + 3], [2000, 2000, 3000]),  # it never goes back
        (["1705314600.5", "2024-01-15T10:30:01Z", int(AT + 2) * 1_000_000], [500, 1000, 2000]),
        ([0.25, 0.5, 4], [250, 500, 4000]),  # seconds from the start
        ([AT - 5, AT + 1, AT + 2], [0, 6000, 7000]),  # the time of the start is wrong
    ],
)
def test_both_units_of_time_and_none(tmp_path: Path, times: list[Any], expected: list[float]) -> None:
    script = loaded(tmp_path, har(entry(*(message("receive", "x", time) for time in times))))
    assert [step.ts for step in script] == pytest.approx(expected, abs=0.01)
    for one in ("startedDateTime", "request", "response"):
        damaged = entry(*(message("receive", "x", time) for time in times), **{one: None})
        assert len(loaded(tmp_path, har(damaged))) == 3


def test_all_opcodes(tmp_path: Path) -> None:
    close = (4001).to_bytes(2, "big") + b"enough"
    script = loaded(
        tmp_path,
        har(entry(
            message("receive", "in ", opcode=1), message("send", "aside"), message("receive", "parts", opcode=0),
            message("receive", b"\x00"), message("receive", b"\x01", opcode=0),
            message("send", b"beat", opcode=9), message("receive", b"beat", opcode=10),
            {"type": "receive", "data": "no opcode, no time"},
            message("receive", close, opcode=8), message("send", close, opcode=8),
        )),
    )  # fmt: skip
    assert [(way, it) for way, _, it in said(script)] == [
        ("out", "in parts"), ("in", "aside"), ("out", b"\x00\x01"), ("out", "no opcode, no time"),
        ("out", (4001, "enough")),
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("last", "end"),
    [
        ([message("receive", "", opcode=8, code=1001, reason="away")], [("out", (1001, "away"))]),
        ([message("receive", "1000", opcode=8)], [("out", (1000, ""))]),
        ([message("receive", "", opcode=8)], [("out", (1000, ""))]),
        ([message("receive", "not base64!", opcode=8)], [("out", (1000, ""))]),
        ([message("send", "", opcode=8), message("receive", "", opcode=8)], []),  # the client's own
        ([message("error", "net::ERR_CONNECTION_RESET", opcode=-1)], [("out", "abort")]),
        ([message("error", "survived", opcode=-1), message("receive", "b")], [("out", "b")]),
    ],
)
def test_how_a_connection_ends(tmp_path: Path, last: list[Any], end: list[Any]) -> None:
    script = loaded(tmp_path, har(entry(message("receive", "a"), *last)))
    assert [(way, it) for way, _, it in said(script)][1:] == end


def test_a_start_without_a_zone_is_not_believed_and_a_refused_connection_said_nothing(tmp_path: Path) -> None:
    told = entry(
        message("receive", "a", AT), message("receive", "b", AT + 1), startedDateTime="2024-01-15T12:30:00.000"
    )
    refused = entry(message("error", "net::ERR_BLOCKED", 6242.31, opcode=-1), response={"status": 0})
    script = loaded(tmp_path, har(refused, told))
    assert [step.ts for step in script] == [0, 1000]
    assert (script.recorded.connection, script.recorded.opened) == (2, STARTED)


def test_several_connections_are_chosen_by_number_or_url(tmp_path: Path) -> None:
    value = har(
        entry(url="wss://silent.example/"),
        entry(message("receive", "one"), url="wss://feed.example/v1?a=1"),
        entry(message("receive", "two"), url="https://feed.example/v2", response={"status": 200}),
    )
    with pytest.warns(UserWarning, match="has 2 connections; this is connection 2: choose with .*connection= or url="):
        assert said(loaded(tmp_path, value))[0][2] == "one"
    assert said(loaded(tmp_path, value, connection=3))[0][2] == "two"
    assert said(loaded(tmp_path, value, url="https://feed.example/v2"))[0][2] == "two"
    assert said(loaded(tmp_path, value, url="/v1"))[0][2] == "one"
    with pytest.raises(OptionError) as raised:
        loaded(tmp_path, value, url="wss://other.example")
    assert "it has wss://feed.example/v1, https://feed.example/v2" in str(raised.value)
    with pytest.raises(ScriptError, match="there is no connection 1; it has 2, 3"):
        loaded(tmp_path, value, connection=1)
    with pytest.raises(OptionError, match="say the same twice"):
        loaded(tmp_path, value, connection=2, url="v1")
    with pytest.raises(OptionError, match="is no URL, nor a part of one"):
        loaded(tmp_path, value, url=7)
    (tmp_path / "x.jsonl").write_text('{"text": "a"}\n')
    with pytest.raises(OptionError, match="goes with a recording that has URLs"):
        Script.load(tmp_path / "x.jsonl", url="a")


@pytest.mark.parametrize(
    ("value", "problem"),
    [
        ("", "it is no HAR: no JSON (Expecting value"),
        ("{}", "it is no HAR: it has no list log.entries"),
        ("[1]", "it is no HAR"),
        ({"log": {"entries": {}}}, "no list log.entries"),
        (har(), "there is no WebSocket in it: none of its 1 entries is one; a browser exports those that were opened"),
        (har(entry(), entry()), "it has 2 WebSocket connections without '_webSocketMessages'; Chrome, Playwright and"),
        (har(entry(message("up", "x"))), 'log.entries[1]._webSocketMessages[0].type: "up" is neither "send" nor'),
        (har(entry(message("send", "x", opcode=3))), "_webSocketMessages[0].opcode: 3 is no opcode of RFC 6455"),
        (har(entry(message("send", "no base64", opcode=2))), '[0].data: "no base64" is no base64'),
        (har(entry({**message("send", "x"), "data": ["x"]})), '[0].data: ["x"] is not a text'),
        (har(entry(message("receive", "x\ud800"))), "[0].data: "),
        (har(entry(7)), "_webSocketMessages[0]: 7 is no object"),
        (har(entry(_webSocketMessages="x")), "_webSocketMessages: \"x\" is no list"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_told_with_its_place(tmp_path: Path, value: Any, problem: str) -> None:
    with pytest.raises(ScriptError) as raised:
        loaded(tmp_path, value)
    assert "session.har: " in str(raised.value)
    assert problem in str(raised.value)


def test_an_error_can_be_printed_and_strict_is_true_or_false(tmp_path: Path) -> None:
    with pytest.raises(ScriptError) as raised:
        loaded(tmp_path, har(entry(message("receive", "x\ud800"))))
    assert str(raised.value).encode()
    with pytest.raises(OptionError, match=r"load\(strict=\): 'no' is neither True nor False"):
        loaded(tmp_path, har(entry(message("receive", "x"))), strict="no")


def test_everything_that_is_wrong_is_told_at_once(tmp_path: Path) -> None:
    with pytest.raises(ScriptError) as raised:
        loaded(tmp_path, har(entry(*(message("up", "x") for _ in range(12)))))
    assert len(raised.value.problems) == 12
    assert str(raised.value).endswith("… and 2 more problems")


WHOLE = har(
    entry(message("receive", "a"), message("send", "bä"), message("receive", b"c"), message("receive", "d" * 20))
)


@pytest.mark.parametrize("compact", [False, True])
def test_a_cut_file_is_read_up_to_the_cut(tmp_path: Path, compact: bool) -> None:
    data = json.dumps(WHOLE, ensure_ascii=False, separators=(",", ":") if compact else None).encode()
    path = tmp_path / "cut.har"
    path.write_bytes(data)
    whole = said(Script.load(path))
    seen: set[int] = set()
    for end in range(0, len(data), 3):
        path.write_bytes(data[:end])
        with pytest.raises(ScriptError, match="strict=False reads what stands before"):
            Script.load(path)
        with warnings.catch_warnings(record=True) as warned:
            warnings.simplefilter("always")
            try:
                script = Script.load(path, strict=False)
            except ScriptError:
                assert not seen  # only as long as nothing was said
                continue
        assert f"cut.har was cut off after {len(data[:end].decode(errors='ignore')):,} characters" in str(
            warned[0].message
        )
        seen.add(len(script))
        assert said(script) == whole[: len(script)]
    assert seen == {1, 2, 3, 4}
    path.write_bytes(data)
    assert said(Script.load(path, strict=False)) == whole


JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-2, 12) | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=6,
)
SHAPES = st.builds(
    lambda messages, more: har(entry(*messages, **more)),
    st.lists(
        st.fixed_dictionaries(
            {"type": st.sampled_from(["send", "receive", "error"]) | JSON, "data": st.text(max_size=9) | JSON},
            optional={"time": JSON | st.floats(1e8, 1e20), "opcode": st.integers(-1, 16) | JSON, "code": JSON},
        )
        | JSON,
        max_size=4,
    ),
    st.dictionaries(
        st.sampled_from(["startedDateTime", "request", "response", "_webSocketMessages"]), JSON, max_size=2
    ),
)


@settings(deadline=None, max_examples=300)
@given(SHAPES.map(lambda value: json.dumps(value).encode()) | JSON.map(lambda v: json.dumps(v).encode()) | st.binary(),
       st.integers(0, 4000), st.booleans())  # fmt: skip
def test_whatever_a_file_holds_it_loads_or_is_one_clear_error(
    tmp_path_factory: pytest.TempPathFactory, data: bytes, end: int, strict: bool
) -> None:
    path = tmp_path_factory.getbasetemp() / "any.har"
    path.write_bytes(data[:end])
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)
            script = Script.load(path, strict=strict)
    except ScriptError:
        return
    assert len(script)
    times = [step.ts or 0.0 for step in script]
    assert times == sorted(times)


def test_a_har_is_played_to_a_client(ws_mock: WsMock, tmp_path: Path) -> None:
    (tmp_path / "x.har").write_text(json.dumps(har(entry(
        message("receive", "hello", AT), message("send", '{"op": "a"}', AT + 50),
        message("receive", b"\x01", AT + 50.01),
        message("receive", (4001).to_bytes(2, "big") + b"bye", AT + 50.02, opcode=8),
    ))))  # fmt: skip
    for mock in (
        Mock().replay(tmp_path / "x.har"),
        Mock().proxy("wss://feed.example/v1", record=tmp_path / "x.har", record_mode="none"),
    ):
        with ws_mock(mock).client(subprotocols=["chat"]) as client:
            assert (client.recv(PATIENCE), client.subprotocol) == ("hello", "chat")
            client.send({"op": "a"})
            assert client.recv(PATIENCE) == b"\x01"
            client.drain()
            assert (client.close_code, client.close_reason) == (4001, "bye")


def test_a_cassette_takes_the_connections_of_its_upstream(ws_mock: WsMock, tmp_path: Path) -> None:
    value = har(
        entry(message("receive", "other"), url="https://other.example/v1"),
        entry(message("receive", "ours"), url="https://feed.example/v1?token=x"),
    )
    (tmp_path / "x.har").write_text(json.dumps(value))
    mock = Mock().proxy("wss://feed.example/v1", record=tmp_path / "x.har", record_mode="once")
    with ws_mock(mock).client() as client:
        assert client.recv(PATIENCE) == "ours"


# Written


def test_traffic_is_saved_as_a_har_that_says_the_same_again(ws_mock: WsMock, tmp_path: Path) -> None:
    script = [
        {"text": "hello ä"}, {"dir": "in", "text": "x", "match": "exact"}, {"ts": 20, "json": {"a": [1, None]}},
        {"binary": "AP8="}, {"close": True, "code": 4001, "reason": "bye"},
    ]  # fmt: skip
    server = ws_mock(Mock().replay(script))
    with server.client("/ws?token=s3cret", additional_headers={"Cookie": "s3cret"}) as client:
        client.recv(PATIENCE)
        client.send("x")
        client.drain()
    path = tmp_path / "feed.har"
    server.traffic.save(path)
    text = path.read_text()
    assert "s3cret" not in text
    log = json.loads(text)["log"]
    (one,) = log["entries"]
    assert (one["request"]["url"], one["response"]["status"]) == (server.url, 101)
    assert [(each["type"], each["opcode"]) for each in one["_webSocketMessages"]] == [
        ("receive", 1), ("send", 1), ("receive", 1), ("receive", 2), ("receive", 8),
    ]  # fmt: skip
    again = Script.load(path)
    assert [it for _, _, it in said(again)] == ["hello ä", "x", {"a": [1, None]}, b"\x00\xff", (4001, "bye")]
    first = server.traffic.script()
    assert [step.ts for step in again] == pytest.approx([step.ts for step in first], abs=1.1)  # to the millisecond
    again.save(tmp_path / "again.har")
    assert [what(step) for step in Script.load(tmp_path / "again.har")] == [what(step) for step in again]


@pytest.mark.parametrize(
    ("script", "problem"),
    [
        (Script().send("{{uuid}}"), "is a template"),
        (Script().wait("^a$").send("b"), "a pattern"),
        (Script().send("a", id="x").goto("x"), '"next_step"'),
        (Script().send("a").when("b", "c"), "an interactive line"),
        (Script().send("a", every=1), '"every_ms"'),
    ],
)
def test_a_har_holds_messages_alone(tmp_path: Path, script: Script, problem: str) -> None:
    with pytest.raises(ScriptError) as raised:
        script.save(tmp_path / "x.har")
    assert problem in str(raised.value)
    assert "save the traffic of this script served, or simulated, as one" in str(raised.value)
    assert not (tmp_path / "x.har").exists()
