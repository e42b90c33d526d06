"""The cache: what decides a result, where it is, and what is left of an interrupted run."""

from __future__ import annotations

import json
import os
import stat
import sys
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from mockforge_nb import GeneratorError, OptionError, Script
from mockforge_nb.core.origin import Origin, Usage
from mockforge_nb.generators.llm.frozen import Cache, default_folder
from mockforge_nb.generators.llm.wishes import Wishes
from mockforge_nb.generators.llm.writer import Writer

from .models import STORY, counting

ORIGIN = Origin("told", STORY, 1, "abc", Usage(3, 10, 20, 0.5))
ODD = [{"a": "{{uuid}}"}, {"a": "\u2028"}, {"a": "\u0000"}, {"a": None, "b": [1.5, True]}, "a text"]


def whole(cache: Cache, events: list[Any], rate: float | None = None) -> Path:
    draft = cache.draft("key", ORIGIN)
    for event in events:
        draft.add(event, rate, ORIGIN.usage)
    return draft.finish(ORIGIN, rate)


def test_a_result_is_found_again_as_it_was(tmp_path: Path) -> None:
    cache = Cache(tmp_path)
    path = whole(cache, ODD, rate=2)
    found = cache.find("key", len(ODD))
    assert found is not None
    assert found.events == ODD
    assert found.origin.cached
    assert found.origin.path == str(path)
    assert found.origin.usage == ORIGIN.usage
    assert [each.name for each in tmp_path.iterdir()] == ["key.jsonl"]
    assert cache.find("other", 5) is None


def test_it_is_a_replay_file_whose_texts_are_no_templates(tmp_path: Path) -> None:
    script = Script.load(whole(Cache(tmp_path), ODD, rate=2))
    assert script.duration == 2.0
    assert [step.payload.value for step in script if step.payload is not None] == ODD
    assert all(step.payload.template is None for step in script if step.payload is not None)
    assert script.written is not None
    assert (script.written.model, script.written.narrative, script.written.seed) == ("told", STORY, 1)
    assert not script.written.cached


@pytest.mark.skipif(sys.platform == "win32", reason="no such permissions there")
def test_only_its_owner_may_read_it(tmp_path: Path) -> None:
    folder = tmp_path / "new" / "cache"
    path = whole(Cache(folder), ODD)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    draft = Cache(folder).draft("other", ORIGIN)
    draft.close()
    assert stat.S_IMODE(Path(draft.kept).stat().st_mode) == 0o600


def test_what_an_interrupted_run_wrote_is_there_for_the_next(tmp_path: Path) -> None:
    cache = Cache(tmp_path)
    draft = cache.draft("key", ORIGIN)
    for event in ODD:
        draft.add(event, None, Usage(2, 7, 5))
    draft.close()
    # It can be played as it is.
    assert len(Script.load(draft.kept)) == len(ODD)
    again = cache.draft("key", ORIGIN)
    assert again.events == ODD
    assert again.usage == Usage(2, 7, 5)
    again.add({"a": 6}, None, Usage(3, 9, 9))
    assert Script.load(again.finish(ORIGIN, None)).steps[-1].payload.value == {"a": 6}  # type: ignore[union-attr]
    assert [each.name for each in tmp_path.iterdir()] == ["key.jsonl"]


@pytest.mark.parametrize("tail", [b'{"ts": 0, "json": {"a": ', b'{"ts": 0, "json": {"a": 1}}', b"\xff", b"// spent {"])
def test_a_line_that_was_cut_off_is_written_again(tail: bytes, tmp_path: Path) -> None:
    cache = Cache(tmp_path)
    draft = cache.draft("key", ORIGIN)
    draft.add({"a": 1}, None, Usage())
    draft.close()
    with open(draft.kept, "ab") as file:
        file.write(tail)
    again = cache.draft("key", ORIGIN)
    assert again.events == [{"a": 1}]
    again.add({"a": 2}, None, Usage())
    again.close()
    with closing(cache.draft("key", ORIGIN)) as third:
        assert third.events == [{"a": 1}, {"a": 2}]


def test_a_part_that_is_not_ours_is_begun_anew(tmp_path: Path) -> None:
    (tmp_path / "key.part.jsonl").write_text("hello\n")
    draft = Cache(tmp_path).draft("key", ORIGIN)
    assert draft.events == []
    draft.add({"a": 1}, None, Usage())
    draft.close()
    assert Script.load(draft.kept).steps[0].payload.value == {"a": 1}  # type: ignore[union-attr]  # it has one


@pytest.mark.skipif(sys.platform == "win32", reason="no such locks there")
def test_two_that_write_the_same_do_not_write_into_one_file(tmp_path: Path) -> None:
    cache = Cache(tmp_path)
    first = cache.draft("key", ORIGIN)
    first.add({"a": 1}, None, Usage())
    second = cache.draft("key", ORIGIN)
    assert (second.events, second.kept) == ([], "")
    second.add({"a": 2}, None, Usage())
    second.finish(ORIGIN, None)
    first.add({"a": 3}, None, Usage())
    first.finish(ORIGIN, None)
    found = cache.find("key", 2)
    assert found is not None
    assert found.events == [{"a": 1}, {"a": 3}]
    assert [each.name for each in tmp_path.iterdir()] == ["key.jsonl"]


def test_a_file_that_was_changed_is_an_error_that_names_it(tmp_path: Path) -> None:
    cache = Cache(tmp_path)
    path = whole(cache, ODD)
    lines = path.read_text().split("\n")[:-1]
    path.write_text("\n".join(lines[:-1]))
    with pytest.raises(GeneratorError, match=rf"{path} has 4 events in place of 5.*delete it"):
        cache.find("key", 5)
    path.write_text("\n".join(lines[1:]))
    with pytest.raises(GeneratorError, match=r"has no 'narrative' in its first line"):
        cache.find("key", 5)
    path.write_text("{")
    with pytest.raises(GeneratorError, match=rf"{path}:1: no JSON.*delete it"):
        cache.find("key", 5)
    path.write_bytes(b"\xff\n")
    with pytest.raises(GeneratorError, match=rf"{path} cannot be read: 'utf-8'.*delete it"):
        cache.find("key", 5)
    path.unlink()
    path.mkdir()
    with pytest.raises(GeneratorError, match=rf"{path} cannot be read: .*delete it"):
        cache.find("key", 5)


def no_number(event: Any) -> str:
    return "" if isinstance(event, int) else "it is no number"


def test_events_that_were_changed_are_an_error(tmp_path: Path) -> None:
    cache = Cache(tmp_path)
    whole(cache, [1, "two", 3])
    with pytest.raises(GeneratorError, match=r"key.jsonl: event 2 is not as it should be: it is no number; .*delete"):
        cache.find("key", 3, no_number)


@pytest.mark.parametrize(
    "added",
    [b"5\n", b"[]\n", b"null\n", b'"json"\n', b'{"ts": 0}\n', b"\xff\n", b"hello\n", b"[" * 90_000 + b"\n",
     b'{"ts": 0, "json": "two"}\n', b'{"ts": 0, "json": 2}\n' * 5],
)  # fmt: skip
def test_a_part_that_was_changed_is_begun_anew(added: bytes, tmp_path: Path) -> None:
    cache = Cache(tmp_path)
    draft = cache.draft("key", ORIGIN)
    draft.add(1, None, Usage(1, 1, 1))
    draft.close()
    with open(draft.kept, "ab") as file:
        file.write(added)
    with closing(cache.draft("key", ORIGIN, 5, no_number)) as again:
        assert (again.events, again.usage) == ([], Usage())
        again.add(7, None, Usage())
    assert len(Script.load(again.kept)) == 1


def test_a_folder_that_cannot_be_written_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(OptionError, match=r"cache=\).*is a file"):
        Cache.of(tmp_path / "file", "from_llm(cache=)")
    cache = Cache(tmp_path / "file" / "inside")
    with pytest.raises(GeneratorError, match=r"cannot be written.*cache=False"):
        cache.draft("key", ORIGIN)
    for wrong in (3, b"x", ""):
        with pytest.raises(OptionError, match=r"cache=\)"):
            Cache.of(wrong, "from_llm(cache=)")


def key(wishes: dict[str, Any] | None = None, **options: Any) -> str:
    said: dict[str, Any] = {"narrative": STORY, "total": 5, **(wishes or {})}
    return Cache.key(Writer(Wishes.of(said.pop("narrative"), **said), counting().model, **options).keys())


def test_all_that_decides_a_result_is_in_its_key() -> None:
    keys = [
        key(), key(seed=2), key(temperature=0.5), key(batch=3), key(evolve=False), key(concurrency=2),
        key({"narrative": "another"}), key({"total": 6}), key({"rate": 2}), key({"schema": {"a": 1}}),
        key({"schema": {"a": 2}}), key({"event_type": "x"}), key({"repeats": True}),
    ]  # fmt: skip
    assert len(set(keys)) == len(keys)
    assert key() == key(retries=9, timeout=5, requests_per_minute=7)
    json.dumps(keys)


@pytest.mark.skipif(sys.platform in ("win32", "darwin"), reason="they have another folder")
def test_the_default_folder_is_the_users(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert default_folder() == tmp_path / "mockforge_nb" / "written"
    monkeypatch.delenv("XDG_CACHE_HOME")
    assert str(default_folder()).startswith(os.path.expanduser("~"))


def test_a_place_that_is_taken_is_an_error_and_leaves_the_part(tmp_path: Path) -> None:
    cache = Cache(tmp_path)
    draft = cache.draft("key", ORIGIN)
    draft.add(1, None, Usage())
    (tmp_path / "key.jsonl").mkdir()
    with pytest.raises(GeneratorError, match=r"key.jsonl cannot be written: .*; give another cache="):
        draft.finish(ORIGIN, None)
    draft.close()
    assert sorted(each.name for each in tmp_path.iterdir()) == ["key.jsonl", "key.part.jsonl"]
