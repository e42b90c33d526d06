from __future__ import annotations

import pickle
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from vega_datasets import data

from mockforge_nb import LatencyProfile, Mock, OptionError, Script, ScriptError, TemplateError
from mockforge_nb.core.plan import Replay
from mockforge_nb.core.routes import PathPattern

STEPS = [{"ts": 0, "text": "a"}, {"ts": 100, "text": "b"}]


WS = PathPattern.parse("/ws", "")


def played(mock: Mock) -> Replay:
    ((_, plan),) = mock._plans(WS)
    assert isinstance(plan.behaviour, Replay)
    return plan.behaviour


def payloads(mock: Mock) -> list[bytes]:
    return list(played(mock).program.payloads(0, 2))


def test_every_method_returns_a_new_mock_and_changes_nothing() -> None:
    first = Mock()
    second = first.latency("slow")
    assert second is not first
    assert first == Mock()
    assert second.latency("fast") == Mock().latency("fast")
    with pytest.raises(AttributeError):
        first._seed = 5  # type: ignore[misc]  # wrong on purpose


def test_mocks_compare_by_value_and_tables_and_callables_only_as_themselves() -> None:
    table = data.stocks()
    assert Mock().replay(STEPS).seed(1) == Mock().seed(1).replay(list(STEPS))
    assert Mock().replay(STEPS) != Mock().replay(STEPS, speed=2)
    assert Mock().replay(table) == Mock().replay(table)
    assert Mock().replay(table) != Mock().replay(table.copy())
    assert Mock().replay(table, template=str) == Mock().replay(table, template=str)
    assert Mock().replay(table, template=lambda row: "x") != Mock().replay(table, template=lambda row: "x")
    assert Mock() != Mock().echo()
    with pytest.raises(TypeError, match="unhashable"):
        hash(Mock())


def test_a_mock_shows_what_was_said() -> None:
    mock = Mock().replay(STEPS).latency((50, 200)).seed(3).clock("2024-01-15T10:30:00Z")
    assert (
        repr(mock)
        == "Mock().replay(<list>, 2 steps in 100 ms).latency(50-200 ms).seed(3).clock('2024-01-15T10:30:00+00:00')"
    )
    assert repr(Mock().echo(prefix="> ")) == "Mock().echo(prefix='> ')"


def test_a_mock_travels_to_another_process() -> None:
    mock = Mock().latency("slow").replay(data.stocks(), time="date", speed="max")
    copy = pickle.loads(pickle.dumps(mock))
    assert repr(copy) == repr(mock)
    assert payloads(copy) == payloads(mock)


@pytest.mark.parametrize("second", [lambda m: m.echo(), lambda m: m.replay(STEPS)])
def test_a_second_behaviour_is_an_error_that_names_the_first(second: Any) -> None:
    with pytest.raises(OptionError, match=r"already has replay\(\), and a mock has one behaviour"):
        second(Mock().replay(STEPS))


@pytest.mark.parametrize(
    ("call", "text"),
    [
        (lambda m: m.latency("slwo"), "latency(): 'slwo' is no latency; valid: 'fast', 'normal', 'slow'"),
        (lambda m: m.echo(prefix=5), "echo(prefix=): 5 is not a text"),
        (lambda m: m.seed("x"), "seed(): 'x' is no whole number"),
        (lambda m: m.seed(True), "seed(): True is no whole number"),
        (lambda m: m.clock("yesterday"), "clock(): 'yesterday' is no time; valid"),
        (lambda m: m.clock(5), "clock(): 5 is no time"),
        (lambda m: m.limits(message_bytes=0), "limits(message_bytes=): 0 is no number greater than 0"),
        (
            lambda m: m.replay(STEPS, speed="fast"),
            "replay(speed=): 'fast' is neither a number greater than 0 nor \"max\"",
        ),
        (lambda m: m.replay(STEPS, speed=0), "replay(speed=): 0 is neither"),
        (lambda m: m.replay(STEPS, loop=0), "replay(loop=): 0 is neither True nor False nor a number of rounds"),
        (
            lambda m: m.replay(STEPS, then="stop"),
            "replay(then=): 'stop' is not one of the valid values (valid: 'hold', 'close')",
        ),
        (lambda m: m.replay(STEPS, shared="yes"), "replay(shared=): 'yes' is neither True nor False"),
        (lambda m: m.replay(STEPS, speed="max", shared=True), 'has no play-head under speed="max"'),
        (lambda m: m.replay(STEPS, duration="60s", speed=2), "and speed=2 say the same thing"),
        (lambda m: m.replay(["a", "b"], duration="60s"), "has no times to fit"),
        (lambda m: m.replay([{"text": "a", "waitFor": "x"}], shared=True), "no script that waits"),
        (lambda m: m.replay(STEPS, time="date"), "date"),
        (lambda m: m.replay(5), "replay(): 5 is a int, which cannot be played; valid: a path"),
        (lambda m: m.replay(pd.Series([1], name="x")), "is a Series; give a table: series.to_frame()"),
        (lambda m: m.replay("x.jsonl", rate=5), "replay(rate=): 5 goes with a table, not with a file"),
        (lambda m: m.replay(data.stocks(), rate=-1), "replay(rate=): -1 is no number of messages a second"),
    ],
)
def test_a_wrong_argument_is_an_error_at_the_call_that_names_it(call: Any, text: str) -> None:
    with pytest.raises(ValueError) as caught:  # noqa: PT011  # the text is compared below
        call(Mock())
    assert text in str(caught.value)


def test_errors_of_a_file_name_it_and_nothing_is_half_loaded(tmp_path: Path) -> None:
    path = tmp_path / "feed.jsonl"
    path.write_text('{"text": "a"}\n{"txt": "b"}\n')
    with pytest.raises(ScriptError) as caught:
        Mock().replay(path)
    assert str(caught.value).startswith(f"{path}:2: unknown key 'txt'; did you mean 'text'?")
    with pytest.raises(FileNotFoundError, match="there is no such file"):
        Mock().replay(tmp_path / "none.jsonl")
    with pytest.raises(ScriptError, match="there is no such file"):
        Mock().replay(str(tmp_path / "none.jsonl"))
    path.write_bytes(b'{"text": "a"}\n\xff\n')
    with pytest.raises(ScriptError, match=r"feed\.jsonl:2: not UTF-8 "):
        Mock().replay(path)
    with pytest.raises(ScriptError, match=r"a file of the kind '.xlsx' is not read \(read: .jsonl, .ndjson, .har,"):
        Mock().replay("table.xlsx")


def test_a_list_is_steps_if_each_looks_like_one_else_rows() -> None:
    assert Script.of(STEPS).program.at == [0, 100]
    assert list(Script.of([*STEPS, {"text": "c", "user": 1}]).program.payloads(0, 1)) == [b'{"ts":0,"text":"a"}']
    assert list(Script.of(STEPS, rows=True).program.payloads(0, 1)) == [b'{"ts":0,"text":"a"}']
    assert list(Script.of(["a", "b"]).program.payloads(0, 2)) == [b"a", b"b"]
    with pytest.raises(ScriptError, match="unknown key 'user'"):
        Script.of([{"text": "c", "user": 1}], rows=False)
    with pytest.raises(ScriptError):
        Script.of([])


def test_an_unknown_variable_of_a_template_is_an_error_at_serve_with_the_way_out() -> None:
    mock = Mock().replay([{"text": "{{prize}}"}])
    with pytest.raises(TemplateError, match=r"no variable 'prize' is known.*\.templates\(prize=…\)"):
        mock.serve(port=0)
    mock.templates(prize=7)._plans(WS)


def test_duration_fits_the_whole_and_a_replay_of_days_warns() -> None:
    table = data.stocks()
    mock = Mock().replay(table, time="date", duration="60s")
    assert played(mock).program.at[-1] / played(mock).speed == pytest.approx(60_000)
    with pytest.warns(UserWarning, match=r"this replay lasts 10\.2 years; duration='60s' fits it") as caught:
        Mock().replay(table, time="date")
    assert caught[0].filename == __file__


def test_a_clock_takes_texts_datetimes_and_dates() -> None:
    wanted = int(datetime(2024, 1, 15, 10, 30, tzinfo=UTC).timestamp()) * 10**9
    zone = datetime.fromisoformat("2024-01-15T11:30:00+01:00")
    for start in ("2024-01-15T10:30:00Z", "2024-01-15T10:30:00", zone, pd.Timestamp("2024-01-15T10:30:00")):
        assert Mock().clock(start)._clock_ns == wanted
    assert (
        Mock().clock(date(2024, 1, 15))._clock_ns
        == wanted - timedelta(hours=10, minutes=30) // timedelta(seconds=1) * 10**9
    )


def test_a_latency_profile_goes_in_as_it_is() -> None:
    profile = LatencyProfile(base_ms=100).with_pareto_distribution(2.0)
    assert Mock().latency(profile)._plans(WS)[0][1].conditions.delays[0].delays is profile
    assert Mock().latency(profile).latency(None) == Mock()


def test_a_table_of_another_library_is_read_through_arrow() -> None:
    import pyarrow as pa

    script = Script.of(pa.table({"t": [0.0, 0.5], "x": [1, 2]}), time="t")
    assert list(script.program.payloads(0, 2)) == [b'{"t":0.0,"x":1}', b'{"t":0.5,"x":2}']
    assert list(script.program.at) == [0, 500]


def test_a_script_shows_its_steps_and_times() -> None:
    script = Script.parse('{"ts": 0, "text": "<b>"}\n{"ts": 1500, "text": "{{uuid}}", "waitFor": "^GO$"}')
    assert len(script) == 2
    assert repr(script) == "<Script <text>, 2 steps in 1.5 s>"
    assert script[-1].ts == 1500
    assert "&lt;b&gt;" in script._repr_html_()
    with pytest.raises(IndexError):
        script[2]
