"""`validate`, `convert`, `show` and `generate`."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from mockforge_nb import Script, feeds
from tests.cli.conftest import Run

BAD = "".join(f'{{"ts": -1, "text": "{n}"}}\n' for n in range(12)) + '{"text": \n'
RECORDING = """\
{"mockforge": 1, "url": "ws://x/ws", "started": "2026-01-01T00:00:00Z", "recorded": "mock", "templates": false}
{"connection": 1, "opened": "2026-01-01T00:00:00Z", "path": "/a"}
{"connection": 2, "opened": "2026-01-01T00:00:01Z", "path": "/b"}
{"ts": 0, "connection": 1, "text": "one"}
{"ts": 5, "dir": "in", "connection": 2, "match": "exact", "text": "two"}
{"ts": 1500, "connection": 2, "json": {"n": 3}}
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "good.jsonl").write_text('{"ts": 0, "text": "hi"}\n{"ts": 500, "text": "ho"}\n')
    (tmp_path / "bad.jsonl").write_text(BAD)
    (tmp_path / "rec.jsonl").write_text(RECORDING)
    (tmp_path / "ticks.csv").write_text("at,price\n0,1.5\n1,2.5\n2,3\n")
    return tmp_path


@pytest.mark.usefixtures("folder")
class TestValidate:
    def test_all_problems_of_all_files_each_with_its_place(self, run: Run) -> None:
        ran = run("validate", "good.jsonl", "bad.jsonl", "nowhere.jsonl", "rec.jsonl")
        assert ran.code == 1
        lines = ran.out.splitlines()
        assert lines[0] == "good.jsonl: ok, 2 steps in 500 ms"
        assert [line.split(": ")[0] for line in lines[1:14]] == [f"bad.jsonl:{n}" for n in range(1, 14)]
        assert lines[14].startswith("nowhere.jsonl: there is no such file")
        assert lines[15:] == ["rec.jsonl: ok, 2 connections"]

    def test_json(self, run: Run) -> None:
        ran = run("validate", "--json", "good.jsonl", "bad.jsonl")
        good, bad = ran.json()
        assert (ran.code, good["ok"], bad["ok"]) == (1, True, False)
        assert [each["line"] for each in bad["problems"]] == list(range(1, 14))

    def test_good_files_are_exit_code_0_with_their_warnings(self, run: Run, folder: Path) -> None:
        (folder / "dead.jsonl").write_text(
            '{"text": "a", "next_step": "end"}\n{"text": "b"}\n{"text": "c", "step_id": "end"}\n'
        )
        ran = run("validate", "dead.jsonl")
        assert ran.code == 0
        assert "dead.jsonl: warning: no way through" in ran.out
        assert ran.err == ""


@pytest.mark.usefixtures("folder")
class TestConvert:
    def test_a_table_to_a_replay_file_and_on(self, run: Run, folder: Path) -> None:
        assert run("convert", "ticks.csv", "t.jsonl", "--time", "at", "--template", "{{row.price}}").code == 0
        assert run("convert", "t.jsonl", "t.parquet").out == "t.parquet: 3 steps in 2 s\n"
        assert [step.ts for step in Script.load(folder / "t.parquet").steps] == [0, 1000, 2000]

    def test_nothing_is_overwritten_without_force(self, run: Run, folder: Path) -> None:
        ran = run("convert", "ticks.csv", "good.jsonl", "--rate", "1")
        assert (ran.code, "--force" in ran.err) == (2, True)
        assert "hi" in (folder / "good.jsonl").read_text()
        assert run("convert", "ticks.csv", "good.jsonl", "--rate", "1", "--force").code == 0
        assert "hi" not in (folder / "good.jsonl").read_text()
        assert run("convert", "good.jsonl", "good.jsonl", "--force").code == 2

    def test_a_recording_keeps_its_connections(self, run: Run, folder: Path) -> None:
        assert run("convert", "rec.jsonl", "rec.parquet").out == "rec.parquet: 2 connections\n"
        assert run("validate", "rec.parquet").out == "rec.parquet: ok, 2 connections\n"
        assert run("convert", "rec.jsonl", "two.jsonl", "--connection", "2").code == 0
        assert Script.load(folder / "two.jsonl").recorded.path == "/b"

    def test_a_kind_that_is_not_written(self, run: Run) -> None:
        ran = run("convert", "good.jsonl", "good.xml")
        assert (ran.code, ".parquet" in ran.err) == (1, True)


@pytest.mark.usefixtures("folder")
class TestShow:
    def test_a_recording(self, run: Run) -> None:
        ran = run("show", "rec.jsonl", "--connection", "2", COLUMNS="100")
        assert ran.code == 0
        assert "/a" in ran.out
        assert '{"n": 3}' in ran.out

    def test_json_and_the_head(self, run: Run) -> None:
        said = run("show", "ticks.csv", "--time", "at", "--head", "1", "--json").json()
        assert (said["steps"], said["seconds"]) == (3, 2.0)
        assert said["messages"] == [{"ms": 0.0, "dir": "out", "message": {"at": 0, "price": 1.5}}]

    def test_it_may_be_narrow_and_without_utf8(self, run: Run, folder: Path) -> None:
        (folder / "é.jsonl").write_text('{"text": "→ é"}\n', "utf-8")
        for command in (["show", "é.jsonl"], ["show", "é.jsonl", "--json"], ["validate", "é.jsonl"], ["serve", "-h"]):
            ran = run(*command, COLUMNS="20", PYTHONIOENCODING="ascii", NO_COLOR="1")
            assert ran.code == 0
            assert ran.out.isascii()


class TestGenerate:
    def test_a_seed_says_the_same_as_the_library(self, run: Run) -> None:
        start = "2024-01-15T10:30:00Z"
        ran = run("generate", "feed", "trades", "-n", "5", "--seed", "1", "--rate", "20", "--start", start)
        assert ran.out == feeds.trades(5, seed=1, rate=20, start=start).text()

    def test_faker_by_pairs_json_and_a_file(self, run: Run, tmp_path: Path) -> None:
        schema = {"id": "uuid4", "n": ["pyint", {"max_value": 9}], "tags": ["word", [1, 2]]}
        (tmp_path / "schema.json").write_text(json.dumps(schema))
        by_file = run("generate", "faker", "schema.json", "-n", "3", "--seed", "7").out
        assert by_file == run("generate", "faker", json.dumps(schema), "-n", "3", "--seed", "7").out
        for line in by_file.splitlines():
            said = json.loads(line)["json"]
            assert 0 <= said["n"] <= 9
            assert 1 <= len(said["tags"]) <= 2
        pairs = run("generate", "faker", "id=uuid4,name=name", "-n", "2", "--rate", "5").out.splitlines()
        assert [json.loads(line)["ts"] for line in pairs] == [0, 200]

    def test_tables_and_what_is_like_them_go_to_a_file(self, run: Run, folder: Path) -> None:
        assert run("generate", "table", "ticks.csv", "--time", "at", "-n", "2", "-o", "t.jsonl").out == ""
        assert len(Script.load(folder / "t.jsonl")) == 2
        assert run("generate", "like", "ticks.csv", "-n", "7", "--seed", "1", "-o", "l.jsonl").code == 0
        assert len(Script.load(folder / "l.jsonl")) == 7
        assert run("generate", "like", "ticks.csv", "-o", "l.jsonl").code == 2

    def test_no_model_is_an_error_in_a_line(self, run: Run) -> None:
        ran = run("generate", "llm", "a calm market", "--model", "nobody:nothing")
        assert ran.code in (1, 2)
        assert ran.err.startswith("error: ")


def test_who_reads_the_output_may_go(tmp_path: Path) -> None:
    import subprocess

    from tests.cli.conftest import COMMAND, environment

    command = [*COMMAND, "generate", "feed", "trades", "-n", "20000"]
    with subprocess.Popen(command, env=environment(), stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        os.read(process.stdout.fileno(), 10)
        process.stdout.close()
        assert process.stderr.read() == b""


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="there are no named pipes")
def test_a_pipe_is_not_waited_for(run: Run, tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "p.jsonl")
    (tmp_path / "f.jsonl").write_text('{"text": "hi"}\n')
    ran = run("validate", "p.jsonl", "f.jsonl")
    assert ran.code == 1
    assert ran.out.splitlines()[0].startswith("p.jsonl: is no regular file")
    assert ran.out.splitlines()[1].startswith("f.jsonl: ok")
    assert run("show", "p.jsonl").code == 1


def test_a_message_does_nothing_to_the_terminal(run: Run, tmp_path: Path) -> None:
    (tmp_path / "f.jsonl").write_text(json.dumps({"text": "a\x1b[2Jb"}) + "\n")
    assert r"a\x1b[2Jb" in run("show", "f.jsonl").out
