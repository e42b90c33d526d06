"""The flow files of mitmproxy."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mockforge_nb import Script, ScriptError
from mockforge_nb.formats.flows import lines

AT = 1_705_314_600.0


def tnet(value: Any) -> bytes:
    """Write a value as a tagged netstring."""
    if value is None:
        body, tag = b"", b"~"
    elif isinstance(value, bool):
        body, tag = str(value).lower().encode(), b"!"
    elif isinstance(value, int):
        body, tag = str(value).encode(), b"#"
    elif isinstance(value, float):
        body, tag = repr(value).encode(), b"^"
    elif isinstance(value, str):
        body, tag = value.encode(), b";"
    elif isinstance(value, bytes):
        body, tag = value, b","
    elif isinstance(value, dict):
        body, tag = b"".join(tnet(key) + tnet(one) for key, one in value.items()), b"}"
    else:
        body, tag = b"".join(map(tnet, value)), b"]"
    return b"%d:%s%s" % (len(body), body, tag)


def flow(*messages: Any, **more: Any) -> dict[str, Any]:
    socket = {
        "messages": messages, "closed_by_client": False, "close_code": 4001, "close_reason": "bye",
        "timestamp_end": AT + 9,
    }  # fmt: skip
    return {
        "version": 21, "type": "http", "websocket": socket | more,
        "request": {"host": "feed.example", "port": 443, "scheme": b"https", "authority": b"feed.example",
                    "path": b"/v1?token=s3cret", "timestamp_start": AT, "headers": [[b"Host", b"x"]]},
        "response": {"headers": [[b"Sec-WebSocket-Protocol", b"chat"]], "status_code": 101, "timestamp_end": AT},
    }  # fmt: skip


HTTP = {"version": 21, "type": "http", "websocket": None, "request": {}, "response": {}}
TALK = flow(
    [1, False, b"hello {{uuid}}", AT + 1.0, False, False], [1, True, b'{"op": 1}', AT + 2.0, False, False],
    [2, False, b"\x00\xff", AT + 3.0, False, False],
)  # fmt: skip


def written(tmp_path: Path, *flows: Any, name: str = "x.flow") -> Path:
    path = tmp_path / name
    path.write_bytes(b"".join(map(tnet, flows)))
    return path


def said(script: Script) -> list[Any]:
    return [(step.dir, step.payload.value if step.payload is not None else step.close or "abort") for step in script]


@pytest.mark.parametrize("name", ["x.flow", "x.flows", "x.mitm", "x.dump"])
def test_a_connection_becomes_a_script(tmp_path: Path, name: str) -> None:
    script = Script.load(written(tmp_path, HTTP, TALK, HTTP, name=name))
    assert said(script) == [("out", "hello {{uuid}}"), ("in", '{"op": 1}'), ("out", b"\x00\xff"), ("out", 4001)]
    assert [step.ts for step in script] == [1000, 2000, 3000, 9000]
    assert (script.steps[1].how, script.steps[-1].reason) == ("json", "bye")
    about = script.recorded
    assert (about.url, about.path, about.subprotocol) == ("wss://feed.example/v1?token=s3cret", "/v1", "chat")
    assert about.opened == "2024-01-15T10:30:00.000Z"
    assert "s3cret" not in script.text()


def test_what_was_dropped_or_injected_was_not_heard_or_not_said(tmp_path: Path) -> None:
    messages = [
        [1, way, f"{'in' if way else 'out'} {dropped} {injected}".encode(), AT, dropped, injected]
        for way in (True, False) for dropped in (False, True) for injected in (False, True)
    ]  # fmt: skip
    script = Script.load(written(tmp_path, flow(*messages, closed_by_client=True)))
    assert said(script) == [
        ("in", "in False False"), ("in", "in True False"), ("out", "out False False"), ("out", "out False True"),
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("more", "end"),
    [
        ({"closed_by_client": True}, []),
        ({"timestamp_end": None}, []),  # it was still open
        ({"close_code": 1006}, [("out", "abort")]),
        ({"close_code": None}, [("out", "abort")]),
        ({"close_code": 1005}, [("out", 1000)]),
        ({"close_code": 1001, "close_reason": None}, [("out", 1001)]),
    ],
)
def test_how_it_ended(tmp_path: Path, more: dict[str, Any], end: list[Any]) -> None:
    script = Script.load(written(tmp_path, flow([1, False, b"a", AT, False], **more)))
    assert said(script) == [("out", "a"), *end]


def test_several_connections(tmp_path: Path) -> None:
    other = flow([1, False, b"two", AT, False])
    other["request"]["path"] = b"/v2"
    path = written(tmp_path, TALK, other)
    assert said(Script.load(path, url="/v2"))[0] == ("out", "two")
    with pytest.warns(UserWarning, match="has 2 connections"):
        Script.load(path)


@pytest.mark.parametrize(
    ("data", "problem"),
    [
        (b"", "there is no WebSocket in it: it has 0 flows"),
        (tnet(HTTP), "it has 1 flows, none of them with messages"),
        (b"no flow", "it is no flow file: no length at byte 0 (flow 1)"),
        (b"3:abc?", "it is no flow file: no tag at byte 5 (flow 1)"),
        (tnet(TALK) + b"x", "no length at byte"),
        (b"5:9:a;;}", "is longer than what it stands in"),
        (tnet(flow([1, False])), "is no flow of mitmproxy 7 or newer"),
        (tnet({"websocket": {}}), "flow 1 is no flow of mitmproxy 7 or newer"),
        (tnet(TALK)[:-4], "flow 1 is cut off; strict=False reads what stands before it"),
    ],
)
def test_what_is_wrong_is_told(tmp_path: Path, data: bytes, problem: str) -> None:
    path = tmp_path / "x.flow"
    path.write_bytes(data)
    with pytest.raises(ScriptError) as raised:
        Script.load(path)
    assert problem in str(raised.value)


def test_of_a_cut_file_the_flows_before_the_cut_are_read(tmp_path: Path) -> None:
    path = written(tmp_path, TALK, flow([1, False, b"two", AT, False]))
    data, first = path.read_bytes(), len(tnet(TALK))
    whole = said(Script.load(path, connection=1))
    for end in range(first + 1, len(data), 7):
        path.write_bytes(data[:end])
        with pytest.warns(UserWarning, match="was cut off in flow 2; what stands before it was read"):
            assert said(Script.load(path, strict=False)) == whole
    path.write_bytes(data[: first - 5])
    with pytest.raises(ScriptError, match="there is no WebSocket in it"):
        Script.load(path, strict=False)


TREES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False)
    | st.text(max_size=4)
    | st.binary(max_size=4),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=9), inner, max_size=3),
    max_leaves=8,
)
MESSAGES = st.lists(
    st.lists(TREES, max_size=6)
    | st.tuples(st.sampled_from([1, 2]), st.booleans(), st.binary(max_size=4), st.floats(0, 1e10), st.booleans()),
    max_size=3,
)


@settings(deadline=None, max_examples=200)
@given(
    st.builds(lambda messages, more: tnet(flow(*messages, **more)), MESSAGES,
              st.dictionaries(st.sampled_from(["close_code", "close_reason", "timestamp_end", "messages"]), TREES))
    | TREES.map(tnet) | st.binary(),
    st.integers(0, 2000),
    st.booleans(),
)  # fmt: skip
def test_whatever_a_file_holds_it_loads_or_is_one_clear_error(
    tmp_path_factory: pytest.TempPathFactory, data: bytes, end: int, strict: bool
) -> None:
    path = tmp_path_factory.getbasetemp() / "any.flow"
    path.write_bytes(data[:end])
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)
            Script.load(path, strict=strict)
    except ScriptError:
        return
    assert len(lines(path, strict=strict)[0]) > 1
