from __future__ import annotations

import json
from pathlib import Path
from typing import Any, cast

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from vega_datasets import data

from mockforge_nb import Mock, OptionError, Script, ScriptError

BY_HAND = (
    Script()
    .send({"type": "hello", "id": "{{uuid}}"}, id="top")
    .wait("^ACK$", timeout=5, on_timeout="late", branches={"again": "top"})
    .send("tick {{seq}}", after=0.1, repeat=3, every="50ms")
    .send(b"\x00\xff", after="1s")
    .close(1012, "restart")
    .send("{{not a template", id="late", template=False)
    .goto("top")
)


def texts(script: Script) -> list[object]:
    return [step.payload.value if step.payload else None for step in script.steps]


# By hand


def test_a_script_by_hand_has_its_times_and_ids() -> None:
    assert len(BY_HAND) == 6
    assert [step.ts for step in BY_HAND.steps] == [0, 0, 100, 1100, 1100, 1100]
    assert BY_HAND.steps[1].timeout_ms == 5000
    assert BY_HAND.steps[5].next_step == "top"
    assert len(Script()) == 0


def test_a_script_by_hand_is_played_over_a_socket(ws_mock: Any) -> None:
    script = (
        Script().send("hello").wait({"op": "ack"}).send("{{json '$.id'}}").wait(lambda m: m.text == "x").close(4001)
    )
    server = ws_mock(Mock().replay(script))
    with server.client() as client:
        assert client.recv() == "hello"
        client.send({"op": "nack", "id": 1})
        client.send({"op": "ack", "id": 7, "more": True})
        assert client.recv() == "7"
        client.send("x")
        assert client.drain() == []
        assert client.close_code == 4001


@pytest.mark.parametrize(
    ("make", "problem"),
    [
        (lambda: Script().send("{{randInt 1}}"), "<script>:1: template '{{randInt 1}}'"),
        (lambda: Script().send(cast("Any", {1, 2})), '<script>:1: "json": Object of type set'),
        (lambda: Script().wait("("), "wait(): '(' is refused by RE2"),
        (lambda: Script().close(1005), '"code": 1005 is not a close code'),
        (lambda: Script().goto("x"), "goto('x') follows a step, and there is none yet"),
        (lambda: Mock().replay(Script().send("a").goto("x")), "<script>:1: no step has the id 'x'"),
        (lambda: Mock().replay(Script()), "<script>: there are neither steps nor rules in it"),
    ],
)
def test_what_cannot_be_said_by_hand_is_an_error_at_once_or_at_replay(make: Any, problem: str) -> None:
    with pytest.raises((ScriptError, OptionError)) as caught:
        make()
    assert problem in str(caught.value)


# Files


def test_saving_and_loading_gives_the_same_script(tmp_path: Path) -> None:
    BY_HAND.save(tmp_path / "script.jsonl")
    again = Script.load(tmp_path / "script.jsonl")
    assert again == BY_HAND
    assert again.text() == BY_HAND.text()


def test_a_file_with_delays_says_so_in_its_header() -> None:
    script = Script.parse('{"ts": 50, "text": "a"}\n{"ts": 20, "text": "b"}', timing="delay")
    assert script.duration == 0.07
    again = Script.parse(script.text())
    assert again == script
    assert again.duration == 0.07


def test_a_pattern_that_is_python_code_cannot_be_written(tmp_path: Path) -> None:
    script = Script().send("a").wait(lambda m: True).send("b").wait({"x": int})
    with pytest.raises(ScriptError, match=r"<script>:2: .* is Python code, which a file cannot hold"):
        script.save(tmp_path / "script.jsonl")
    assert not (tmp_path / "script.jsonl").exists()
    with pytest.raises(ScriptError, match=r"a file of the kind '\.txt' is not written"):
        BY_HAND.save(tmp_path / "script.txt")


def test_literal_text_with_braces_stays_literal(tmp_path: Path) -> None:
    script = Script().send("{{uuid}}", template=False)
    assert json.loads(script.text())["template"] is False
    assert list(Script.parse(script.text()).program.payloads(0, 1)) == [b"{{uuid}}"]


times = st.none() | st.integers(0, 10**6) | st.floats(0, 10**6)
patterns = st.sampled_from(["^a$", "$.type", "$.n == 5", "x|y", "(?i)z"])
ids = st.sampled_from(["a", "b", "c"])
plain_text = st.text(st.characters(exclude_characters="{}", exclude_categories=["Cs"]), max_size=12)
payloads: st.SearchStrategy[dict[str, Any]] = st.one_of(
    plain_text.map(lambda text: {"text": text}),
    st.sampled_from([{"text": "{{uuid}} {{now+1m}}"}, {"json": {"id": "{{seq}}", "n": [1, None, 2.5]}}]),
    st.binary(max_size=8).map(lambda raw: {"binary": raw}),
    plain_text.map(lambda text: {"text": "{{" + text, "template": False}),
)
extras: st.SearchStrategy[dict[str, Any]] = st.sampled_from(
    [
        {},
        {"waitFor": "^a$", "timeout_ms": 50.5},
        {"waitFor": "$.n == 5", "on_timeout": "close", "assertions": [{"pattern": "$.n", "expected": {"deep": [1]}}]},
        {"close": True, "code": 4000, "reason": "why"},
        {"error": True},
        {"every_ms": 5, "repeat": 2},
        {"every_ms": 0.5, "repeat": True},
    ]
)


@st.composite
def entries(draw: st.DrawFn) -> list[dict[str, Any]]:
    found = []
    for number in range(draw(st.integers(1, 6))):
        entry: dict[str, Any]
        if draw(st.booleans()):
            entry = {**draw(payloads), **draw(extras), "step_id": f"s{number}"}
        else:
            entry = {
                "dir": "in",
                **draw(st.sampled_from([{}, {"text": "^x"}, {"json": {"a": 1}}, {"text": "x", "match": "exact"}])),
            }
            entry["branches"] = {draw(patterns): "s0x"}
        ts = draw(times)
        found.append(entry if ts is None else {**entry, "ts": ts})
    return [*found, {"step_id": "s0x", "text": "end"}]


@given(entries())
@pytest.mark.filterwarnings("ignore:no way through")
def test_load_save_load_is_the_identity_for_any_script(steps: list[dict[str, Any]]) -> None:
    script = Script.of(steps, rows=False)
    text = script.text()
    again = Script.parse(text)
    assert again == script
    assert again.text() == text
    assert Script.from_frame(script.to_frame()) == script


# Tables


def test_a_script_becomes_a_table_that_can_be_edited_and_read_back() -> None:
    frame = BY_HAND.to_frame()
    assert list(frame.columns[:4]) == ["step_id", "ts", "dir", "text"]
    frame.loc[frame.text == "tick {{seq}}", "text"] = "tock"
    frame = pd.concat([frame, pd.DataFrame([{"ts": 2000.0, "text": "new"}])], ignore_index=True)
    edited = Script.from_frame(frame)
    assert texts(edited)[2] == "tock"
    assert edited.steps[-1].ts == 2000
    assert edited[:2] == BY_HAND[:2]


def test_a_frame_of_steps_is_played_as_steps_and_one_of_rows_as_rows() -> None:
    frame = pd.DataFrame({"ts": [0, 50], "text": ["a", "b"]})
    assert list(Script.of(frame).program.payloads(0, 2)) == [b"a", b"b"]
    assert list(Script.of(frame, rows=True).program.payloads(0, 1)) == [b'{"ts":0,"text":"a"}']
    assert list(Script.of(frame, time="ts").program.payloads(0, 1)) == [b'{"ts":0,"text":"a"}']
    with pytest.raises(ScriptError, match="<DataFrame>:1: unknown key 'symbol'"):
        Script.of(data.stocks(), rows=False)


def test_a_table_s_rows_are_steps_too() -> None:
    script = Script.from_frame(data.stocks().head(5), time="date")
    assert script.steps[1].ts == 31 * 86_400_000
    assert texts(script[:1]) == [{"symbol": "MSFT", "date": "2000-01-01T00:00:00Z", "price": 39.81}]


# Made from another


def test_one_script_behind_another_begins_when_it_ends() -> None:
    first = Script().send("a").send("b", after=1)
    both = first + Script().send("c").send("d", after=0.5)
    assert [step.ts for step in both.steps] == [0, 1000, 1000, 1500]
    assert Script() + first == first
    assert (first + first.shift(250)).duration == 2.25
    with pytest.raises(OptionError, match="has another timing"):
        first + Script.parse('{"text": "x"}', timing="delay")


def test_slices_and_steps() -> None:
    assert texts(BY_HAND[2:4]) == ["tick {{seq}}", b"\x00\xff"]
    assert isinstance(BY_HAND[1:], Script)
    assert [step.step_id for step in BY_HAND if step.step_id] == ["top", "late"]


def test_speed_shift_map_and_filter() -> None:
    script = Script().send({"n": 1}).send("x {{seq}}", after=1, repeat=2, every=1).wait("y").send({"n": 2}, after=1)
    assert [step.ts for step in script.speed(4).steps] == [0, 250, 250, 500]
    assert script.speed(4).steps[1].every_ms == 250
    assert [step.ts for step in script.shift(100).steps] == [100, 1100, 1100, 2100]
    with pytest.raises(OptionError, match="moves the first step, due at 0 ms, before the start"):
        script.shift(-1)
    doubled = script.map(lambda value: {"n": value["n"] * 2} if isinstance(value, dict) else value.upper())
    assert texts(doubled) == [{"n": 2}, "X {{SEQ}}", "y", {"n": 4}]
    assert texts(script.filter(lambda value: isinstance(value, str))) == ["x {{seq}}", "y"]
    table = Script.from_frame(data.stocks(), time="date")
    assert table.speed(2).duration == table.duration / 2
    with pytest.raises(OptionError, match=r"speed\(\): 0 is no number greater than 0"):
        script.speed(0)


def test_steps_that_no_way_leads_to_are_a_warning_with_their_lines() -> None:
    text = '{"text": "a", "close": true}\n{"text": "b"}\n{"text": "c"}'
    with pytest.warns(UserWarning, match="no way through the script leads to feed.jsonl:2, feed.jsonl:3") as caught:
        Script.parse(text, "feed.jsonl")
    assert caught[0].filename == __file__
    with pytest.warns(UserWarning, match="no way through <script> leads to the steps"):
        Script().send("a").goto("x").send("b").send("c", id="x").validate()


def test_a_time_that_goes_back_is_sent_at_once_and_warns_of_the_other_timing() -> None:
    script = Script.parse('{"ts": 50, "text": "a"}\n{"ts": 20, "text": "b"}', "feed.jsonl")
    with pytest.warns(
        UserWarning, match=r'feed\.jsonl:2: ts=20 is before the step before it.*timing="delay"'
    ) as caught:
        mock = Mock().replay(script)
    assert caught[0].filename == __file__
    assert list(mock.simulate().df.due_ms.dropna()) == [50, 50]
    assert list(Mock().replay(script, timing="delay").simulate().df.due_ms.dropna()) == [50, 70]
    with pytest.raises(OptionError, match=r"replay\(timing=\): 'pause' is not one of the valid values"):
        Mock().replay(script, timing="pause")  # type: ignore[arg-type]  # wrong on purpose


def test_a_script_and_its_html_show_steps_and_a_time_line() -> None:
    html = BY_HAND._repr_html_()
    assert "<svg" in html
    assert "tick {{seq}}" in html
    assert repr(BY_HAND) == "<Script <script>, 6 steps in 1.1 s>"
