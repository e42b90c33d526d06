"""`Script.preview`: what a connection would get first."""

from __future__ import annotations

import pandas as pd
import pytest

from mockforge_nb import OptionError, Script, TemplateError, feeds

DF = pd.DataFrame({"t": [0.0, 0.5, 1.0], "k": ["a", "b", "a"], "v": [1, 2, 3]})


def test_a_table_with_its_times_and_sizes() -> None:
    found = Script.from_frame(DF, time="t").preview(2)
    assert list(found.columns) == ["at", "size", "message"]
    assert found["at"].tolist() == [0, 0.5]
    assert found.message.tolist() == ['{"t":0.0,"k":"a","v":1}', '{"t":0.5,"k":"b","v":2}']
    assert found["size"].tolist() == [23, 23]
    assert len(Script.from_frame(DF).preview()) == 3


def test_templates_are_rendered_and_binary_messages_shown() -> None:
    assert Script().send("{{randInt 3 3}}").send(b"\xff").preview().message.tolist() == ["3", b"\xff"]


def test_it_stops_where_a_script_waits() -> None:
    assert Script().send("a").wait("x").send("b").preview().message.tolist() == ["a"]


def test_the_rows_of_one_key_or_of_all() -> None:
    script = Script.from_frame(DF, time="t", by="k", subscribe="$.k", template="{{row.k}}{{row.v}}")
    assert script.preview().message.tolist() == ["a1", "b2", "a3"]
    assert script.preview(key="a").message.tolist() == ["a1", "a3"]
    with pytest.raises(OptionError, match=r"preview\(key=\): 'c' is no k of the table; it has 'a', 'b'"):
        script.preview(key="c")


def test_a_script_without_end() -> None:
    assert len(feeds.chat(seed=1).preview(4)) == 4


def test_wide_messages_are_shown() -> None:
    shown = Script().send("x" * 90).preview()
    assert "x" * 90 in repr(shown)
    assert "x" * 90 in (shown._repr_html_() or "")


@pytest.mark.parametrize("n", [0, -1, 2.5, "3", True])
def test_wrong_numbers(n: object) -> None:
    with pytest.raises(OptionError, match=r"preview\(n=\).*is no number from 1 on"):
        Script().send("a").preview(n)  # type: ignore[arg-type]
    with pytest.raises(OptionError, match="goes with a table and by="):
        Script().send("a").preview(key="a")


def test_what_a_template_raises_is_told() -> None:
    with pytest.raises(TemplateError, match="there is no 'nothing'"):
        Script().send("{{state.nothing.at_all}}").preview()
