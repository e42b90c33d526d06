"""Messages without end: the same each time, written once, their templates rendered when they are sent."""

from __future__ import annotations

import json
from collections.abc import Iterator
from decimal import Decimal
from itertools import count, islice
from pathlib import Path
from typing import Any

import pytest

from mockforge_nb import GeneratorError, Mock, OptionError, Script, ScriptError, TemplateError
from mockforge_nb.core.template import Slot
from mockforge_nb.generators.endless import Endless
from mockforge_nb.sources import Made


def numbers() -> Iterator[tuple[float, Any]]:
    return ((500.0 * i, {"i": i}) for i in count())


def script(items: Any = numbers, slots: tuple[str, ...] = ()) -> Script:
    return Script._of(Made("<it>", endless=Endless.of("<it>", items, slots)))


def heard(mock: Mock, until: str = "1s", **options: Any) -> list[tuple[float, str]]:
    rows = mock.clock("2026-01-01").seed(1).simulate(until=until, **options).df
    rows = rows[(rows.direction == "out") & (rows.opcode == "text")]
    return list(zip(rows.elapsed.tolist(), rows.text.tolist(), strict=True))


def test_it_is_played_at_its_times_for_each_connection() -> None:
    assert heard(Mock().replay(script())) == [(0, '{"i":0}'), (0.5, '{"i":1}'), (1, '{"i":2}')]
    assert heard(Mock().replay(script(), speed=2)) == [(i / 4, f'{{"i":{i}}}') for i in range(5)]
    assert heard(Mock().replay(script().speed(4), speed=0.5)) == heard(Mock().replay(script(), speed=2))
    assert len(heard(Mock().replay(script()), connections=3)) == 9


def test_templates_are_rendered_and_nothing_else() -> None:
    def items() -> Iterator[tuple[float, Any]]:
        return ((1000.0 * i, {"at": Slot("{{now}}"), "n": [Slot("{{randInt 5 5}}"), "{{now}}", "\0"]}) for i in count())

    made = script(items, ("{{now}}", "{{randInt 5 5}}"))
    wanted = [{"at": f"2026-01-01T00:00:0{i}.000Z", "n": [5, "{{now}}", "\0"]} for i in range(2)]
    assert [json.loads(text) for _, text in heard(Mock().replay(made))] == wanted
    assert [json.loads(text) for _, text in heard(Mock().replay(made[:2]))] == wanted
    assert [step.payload.value["at"] for step in made[:2] if step.payload] == ["{{now}}", "{{now}}"]


def test_a_template_may_read_what_the_user_gives_and_an_unknown_name_is_told() -> None:
    made = script(lambda: ((0.0 + i, {"p": Slot("{{price}}")}) for i in count()), ("{{price}}",))
    assert heard(Mock().templates(price=7).replay(made[:1])) == [(0, '{"p":7}')]
    with pytest.raises(TemplateError, match="no variable 'price' is known"):
        Mock().replay(made).simulate()
    with pytest.raises(TemplateError):
        script(numbers, ("{{",))


def test_texts_bytes_and_what_only_python_has() -> None:
    values = ["plain", b"\xff\0", [1], {"d": Decimal("1.50"), "t": (1, 2)}, None, 7]
    made = script(lambda: ((0.0, value) for value in values))[:6]
    rows = Mock().replay(made).simulate().df
    rows = rows[rows.direction.eq("out") & rows.opcode.isin(["text", "binary"])]
    assert rows.text.dropna().tolist() == ["plain", "[1]", '{"d":"1.50","t":[1,2]}', "null", "7"]
    assert rows.data.dropna().tolist() == [b"\xff\0"]


def test_what_has_no_json_form_is_told_with_its_place() -> None:
    with pytest.raises(GeneratorError, match="<it>: message 1 has no JSON form: a set"):
        script(lambda: iter([(0.0, 1), (0.0, {1, 2})]))[:2]
    with pytest.raises(GeneratorError, match="beside a template it has half a character"):
        script(lambda: iter([(0.0, [Slot("{{now}}"), "\ud800"])]), ("{{now}}",))[:1]
    with pytest.raises(GeneratorError, match="<it> ended after 2 messages of 3"):
        script(lambda: iter([(0.0, 1), (0.0, 2)]))[:3]


def test_a_part_is_an_ordinary_script(tmp_path: Path) -> None:
    part = script()[1:4]
    assert (len(part), part.duration) == (3, 1)
    assert [step.payload.value for step in part if step.payload] == [{"i": 1}, {"i": 2}, {"i": 3}]
    part.map(lambda value: {**value, "x": 1}).save(tmp_path / "part.jsonl")
    assert Script.load(tmp_path / "part.jsonl")[0].payload == Script().send({"i": 1, "x": 1}, template=False)[0].payload
    first = script()[2].payload
    assert first is not None
    assert first.value == {"i": 2}
    assert [step.ts for step in islice(script(), 3)] == [0, 500, 1000]


def test_what_has_no_end_says_what_it_cannot_do(tmp_path: Path) -> None:
    made = script()
    assert made
    assert made.duration == float("inf")
    assert repr(made) == "<Script <it>, messages without end>"
    assert "and so on, without end" in made._repr_html_()
    for call in (
        lambda: len(made), lambda: made.steps, lambda: made.map(str), lambda: made + made, lambda: made.text(),
        lambda: made.save(tmp_path / "x.jsonl"), lambda: made.to_frame(), lambda: made.shift(1),
    ):  # fmt: skip
        with pytest.raises(ScriptError, match=r"it has no end; script\[:100\] is a part"):
            call()
    for part in (slice(None), slice(-2, None), slice(0, 9, 2), -1):
        with pytest.raises(ScriptError, match="a part is counted from its beginning"):
            made[part]


@pytest.mark.parametrize("options", [{"loop": True}, {"loop": 3}, {"duration": 5}, {"then": "close"}])
def test_a_replay_without_end_cannot_be_said_to_end(options: dict[str, Any]) -> None:
    with pytest.raises(OptionError, match=r"goes with a script that ends, and this one has no end"):
        Mock().replay(script(), **options)


def test_more_that_does_not_go() -> None:
    with pytest.raises(OptionError, match='has no play-head under speed="max"'):
        Mock().replay(script(), speed="max", shared=True)
    with pytest.raises(OptionError, match=r"has no end; a reply may be a part of it: script\[:10\]"):
        Mock().when("x", script())
    with pytest.raises(OptionError, match=r"stream\(\): .* is a Script; .replay\(script\) plays it"):
        Mock().stream(script())
    with pytest.raises(OptionError, match="lets no time pass"):
        Mock().replay(script(), speed="max").simulate()


def test_rules_stay_beside_it() -> None:
    mock = Mock().replay(script().when("^hi$", "hello").speed(2))
    assert (0.1, "hello") in heard(mock, client=[(0.1, "hi")])


def test_an_error_of_the_source_is_the_authors() -> None:
    def broken() -> Iterator[tuple[float, Any]]:
        yield 0.0, 1
        raise ZeroDivisionError("oh")

    rows = Mock().replay(script(broken)).simulate(check=False).df
    assert rows.close_code.dropna().tolist()[0] == 1011
