"""What happened so far, as a model is told."""

from __future__ import annotations

from mockforge_nb.generators.llm.story import REMEMBERED, Story


def story(*events: object) -> Story:
    made = Story()
    for event in events:
        made.add(event)
    return made


def test_it_says_how_many_what_they_had_and_what_the_last_were() -> None:
    told = story(*({"price": number, "side": "buy" if number % 3 else "sell", "ok": True} for number in range(9))).told(
        2
    )
    lines = told.split("\n")
    assert lines[0] == (
        "So far 9 events were written (price from 0 to 8; side buy (6 times), sell (3 times); ok true (9 times)). "
        "The last of them:"
    )
    assert lines[1:] == ['{"price": 7, "side": "buy", "ok": true}', '{"price": 8, "side": "buy", "ok": true}']
    assert story().told() == ""
    assert story({"a": 1}).told() == 'So far 1 event was written. The last of them:\n{"a": 1}'


def test_it_stays_short() -> None:
    long = story(*({f"field{number}": "x" * 5000, "id": f"id {number}"} for number in range(1000)))
    assert len(long.told()) < 4000
    assert "id 12 (" not in long.told()
    assert "1000 events" in long.told()


def test_what_came_lately_is_known_however_its_keys_stand() -> None:
    one = story({"a": 1, "b": [1.5]})
    assert one.again({"b": [1.5], "a": 1})
    assert not one.again({"a": 1, "b": [2]})
    assert story("hello").again("hello")
    assert story(*range(REMEMBERED)).again(0)
    assert not story(*range(REMEMBERED + 1)).again(0)
