"""Scripts and recordings as CSV, Parquet and Arrow files."""

from __future__ import annotations

import json
import warnings
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mockforge_nb import Mock, Script, ScriptError, close
from mockforge_nb.formats.lines import write
from mockforge_nb.pytest_plugin import WsMock

SUFFIXES = [".jsonl", ".parquet", ".csv"]

EVERYTHING = (
    Script()
    .send({"type": "hello", "id": "{{uuid}}"}, id="start")
    .wait("^A(CK)$", timeout=5, on_timeout="end", branches={"STOP": "end", "^x": "start"})
    .send("007").send("").send("NA").send("null").send(" a,\"b\"\r\n\tc ").send("{{now}}", template=False)
    .send(b"\x00\xff").send(None).send(7.5).send("tick", every=1.5, repeat=3).send("ö€😀", after=0.25)
    .goto("end").close(4001, "bye")
)  # fmt: skip
EVERYTHING = EVERYTHING[:-1] + Script().send("end", id="end").close(4001, "bye")
EVERYTHING = EVERYTHING.when("^HELP$", ["a", {"b": 1}], set={"n": "{{(state.n or 0) + 1}}"}, times=2, name="help")
EVERYTHING = EVERYTHING.when("$.op == 'quit'", close(1000), after="help", scope="server")


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_a_script_is_the_same_again(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"all{suffix}"
    EVERYTHING.save(path)
    assert Script.load(path) == EVERYTHING
    EVERYTHING.save(path)  # over what is there
    assert Script.load(path) == EVERYTHING


@pytest.mark.parametrize("suffix", SUFFIXES)
@pytest.mark.parametrize("seconds", [0, 2.5])
def test_pauses_stay_pauses(tmp_path: Path, suffix: str, seconds: float) -> None:
    script = Script.parse(f'{{"ts": {seconds * 1000}, "text": "a"}}\n{{"ts": 5, "text": "b"}}', timing="delay")
    path = tmp_path / f"x{suffix}"
    if suffix == ".csv":
        with pytest.raises(ScriptError, match=r'a \.csv has no line that says timing="delay"'):
            script.save(path)
        return
    script.save(path)
    assert Script.load(path) == script


@pytest.mark.parametrize("suffix", [*SUFFIXES, ".har"])
def test_what_was_recorded_stays_known(ws_mock: WsMock, tmp_path: Path, suffix: str) -> None:
    server = ws_mock(Mock().replay(["{{uuid}}", "b"], rate=100).templates(False))
    with server.client("/ws?token=s3cret") as client:
        client.drain(0.2)
    path = tmp_path / f"feed{suffix}"
    server.traffic.save(path)
    script = Script.load(path)
    assert [step.payload.value for step in script if step.payload is not None] == [
        '{"text":"{{uuid}}"}', '{"text":"b"}'] or [
        step.payload.value for step in script if step.payload is not None] == ["{{uuid}}", "b"]  # fmt: skip
    assert all(step.payload.template is None for step in script if step.payload is not None)
    assert (script.recorded.path, script.recorded.connection) == ("/ws", 1)
    assert script.recorded.opened.endswith("Z")
    assert b"s3cret" not in path.read_bytes()
    script.save(tmp_path / f"again{suffix}")
    assert Script.load(tmp_path / f"again{suffix}") == script
    assert Script.load(tmp_path / f"again{suffix}").recorded.path == "/ws"


def test_an_arrow_file_that_was_made_of_a_recording(tmp_path: Path) -> None:
    EVERYTHING.save(tmp_path / "x.parquet")
    table = pq.read_table(tmp_path / "x.parquet")
    for suffix in (".arrow", ".feather"):
        with pa.OSFile(str(tmp_path / f"x{suffix}"), "wb") as file, pa.ipc.new_file(file, table.schema) as writer:
            writer.write_table(table)
        assert Script.load(tmp_path / f"x{suffix}") == EVERYTHING


def test_a_csv_that_pandas_wrote(tmp_path: Path) -> None:
    steps = pd.DataFrame({"ts": [0, 10.0], "text": ["007", "b"], "close": [None, True], "code": [None, 4001]})
    steps.to_csv(tmp_path / "x.csv", index=False)
    script = Script.load(tmp_path / "x.csv")
    assert [step.payload.value for step in script if step.payload is not None] == ["007", "b"]
    assert (script.steps[1].close, script.steps[1].ts) == (4001, 10)


def test_a_table_that_is_none_is_a_table(tmp_path: Path) -> None:
    (tmp_path / "x.csv").write_text("text,url\nhello,http://x\n")
    (tmp_path / "y.tsv").write_text("text\tjson\n007\t\n\t[1]\n")
    assert [step.payload.value for step in Script.load(tmp_path / "x.csv") if step.payload] == [
        {"text": "hello", "url": "http://x"}
    ]
    assert [step.payload.value for step in Script.load(tmp_path / "y.tsv") if step.payload] == ["007", [1]]
    assert len(Script.load(tmp_path / "y.tsv", rows=True)) == 2
    assert len(Script.load(tmp_path / "y.tsv", columns=["text"])) == 2


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("ts,text\nsoon,a\n", 'x.csv:2: "ts": "soon" is not a number of milliseconds'),
        ("text,json\na,\n,{no\n", '"json"'),
        ("text,close\na,perhaps\n", 'x.csv:2: "close": "perhaps" is not true or false'),
        ("text,binary\n,no base64\n", 'x.csv:2: "binary": "no base64" is no base64'),
        ("text,json\n", "there is nothing in it"),
        ("text,text\na,b\n", "two columns are called 'text'"),
    ],
)
def test_what_is_wrong_is_told_with_its_row(tmp_path: Path, text: str, problem: str) -> None:
    (tmp_path / "x.csv").write_text(text)
    if problem == '"json"':
        assert Script.load(tmp_path / "x.csv").steps[1].payload is not None  # a text is a JSON value
        return
    with pytest.raises(ScriptError) as raised:
        Script.load(tmp_path / "x.csv")
    assert problem in str(raised.value)


def test_cut_files(tmp_path: Path) -> None:
    rows = [{"text": f'row {n}, "{n}"\nä' + "x" * n} for n in range(5)]
    whole = Script.of(rows, rows=False)
    for suffix in (".csv", ".jsonl"):
        path = tmp_path / f"x{suffix}"
        whole.save(path)
        data = path.read_bytes()
        begin = data.index(b"row 1")
        for end in range(begin, len(data) - 1):
            path.write_bytes(data[:end])
            with pytest.warns(UserWarning, match="was cut off in ") if _broken(path) else nullcontext():
                script = Script.load(path, strict=False)
            assert script == whole[: len(script)] or (suffix == ".csv" and script[:-1] == whole[: len(script) - 1])
            assert len(script) >= 1
        path.write_bytes(data + b"\0\0\0")
        assert Script.load(path, strict=False) == whole
    path = tmp_path / "x.parquet"
    whole.save(path)
    path.write_bytes(path.read_bytes()[:-9])
    for strict in (True, False):
        with pytest.raises(ScriptError, match=r"x\.parquet"):
            Script.load(path, strict=strict)
    (tmp_path / "x.parquet.jsonl").write_text(whole[:2].text() + '{"te')
    with pytest.warns(UserWarning, match=r"x\.parquet\.jsonl was cut off in line 3"):
        assert Script.load(path, strict=False) == whole[:2]


def _broken(path: Path) -> bool:
    try:
        Script.load(path)
    except ScriptError as error:
        return "strict=False" in str(error)
    return False


def test_an_unknown_kind_of_file(tmp_path: Path) -> None:
    (tmp_path / "x.pcap").write_bytes(b"")
    with pytest.raises(ScriptError) as raised:
        Script.load(tmp_path / "x.pcap")
    assert "a file of the kind '.pcap' is not read (read: .jsonl, .ndjson, .har, .flow" in str(raised.value)
    with pytest.raises(ScriptError, match=r"is not written \(written: \.jsonl, \.ndjson, \.har, \.parquet, \.csv\)"):
        Script().send("a").save(tmp_path / "x.txt")


ODD = st.sampled_from(["{{uuid}}", "NaN", '""', "\r", '"\n'])
TEXTS = st.text(st.characters(exclude_categories=["Cs"]), max_size=12) | ODD
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-9, 9) | TEXTS,
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(TEXTS, inner, max_size=2),
    max_leaves=4,
)
TIMES = st.floats(0, 1e6).map(lambda ts: round(ts, 3))
STEPS = st.lists(
    st.one_of(
        st.fixed_dictionaries({"template": st.just(False), "text": TEXTS}, optional={"ts": TIMES}),
        st.fixed_dictionaries({"template": st.just(False), "json": VALUES}, optional={"ts": TIMES}),
        st.fixed_dictionaries({"binary": st.binary(max_size=8)}, optional={"ts": TIMES}),
        st.fixed_dictionaries({"dir": st.just("in"), "text": TEXTS, "match": st.just("exact")}),
    ),
    min_size=1,
    max_size=6,
)


@settings(deadline=None)
@given(STEPS, st.sampled_from(SUFFIXES))
def test_whatever_a_script_says_it_says_again(
    tmp_path_factory: pytest.TempPathFactory, steps: list[dict[str, Any]], suffix: str
) -> None:
    script = Script.of(steps, rows=False)
    path = tmp_path_factory.getbasetemp() / f"any{suffix}"
    script.save(path)
    assert Script.load(path) == script


@settings(deadline=None, max_examples=200)
@given(
    st.binary(max_size=60) | st.text(max_size=60).map(str.encode),
    st.sampled_from([".csv", ".tsv", ".parquet", ".arrow", ".jsonl"]),
    st.booleans(),
)
def test_whatever_a_file_holds_it_loads_or_is_one_clear_error(
    tmp_path_factory: pytest.TempPathFactory, data: bytes, suffix: str, strict: bool
) -> None:
    path = tmp_path_factory.getbasetemp() / f"whatever{suffix}"
    for prefix in (b"", b"ts,text,json\n", b"ts\ttext\n"):
        path.write_bytes(prefix + data)
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", UserWarning)
                Script.load(path, strict=strict)
        except ScriptError:
            continue


def test_a_json_text_is_written_compactly(tmp_path: Path) -> None:
    write(tmp_path / "x.csv", {"templates": False}, [{"json": {"a": [1, "ä"]}}])
    assert (tmp_path / "x.csv").read_text().splitlines()[1] == '"{""a"":[1,""ä""]}","false"'
    assert json.loads('{"a":1}') == {"a": 1}
