"""Streams: what a source gives, at its rate, and how it ends."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from mockforge_nb import Mock, close
from mockforge_nb.core.events import Close, Closed, Failed, Halt, Next, Raised, Returned, Send

from .playbook import Playbook, of
from .test_rules import book


def given(played: Playbook) -> Playbook:
    """Answer all that was asked of a source, as a driver does, until it asks for nothing."""
    answered = 0
    while answered < len(asked := of(played.commands, Next)):
        one = asked[answered]
        answered += 1
        try:
            items = [next(one.source) for _ in range(1)]
        except StopIteration:
            played.tell(Raised(one.key, StopAsyncIteration()))
        else:
            played.tell(Returned(one.key, items))
    return played


def test_a_list_is_sent_at_its_rate_from_the_beginning_for_each_connection() -> None:
    mock = Mock().stream(["a", {"b": 1}, b"\xff", [1, 2]], rate=10)
    for number in (1, 2):
        played = book(mock, number=number, at=5).until(6)
        assert [at for at, _ in played.sent] == [5000, 5100, 5200, 5300]
        assert [(send.opcode, send.payload) for send in of(played.commands, Send)] == [
            (1, b"a"), (1, b'{"b":1}'), (2, b"\xff"), (1, b"[1,2]"),
        ]  # fmt: skip
        assert [(row.step, row.due_ms) for row in of(played.commands, Send)] == [(0, 0), (1, 100), (2, 200), (3, 300)]


def test_a_generator_is_asked_by_the_driver_and_never_twice_at_once() -> None:
    def numbers() -> Iterator[int]:
        yield from range(3)

    played = book(Mock().stream(numbers))
    assert len(of(played.commands, Next)) == 1
    played.until(3).receive("nobody takes this")
    assert len(of(played.commands, Next)) == 1
    assert given(played).texts() == ["0", "1", "2"]


def test_a_source_that_falls_behind_goes_on_from_there_without_a_burst() -> None:
    def slow() -> Iterator[str]:
        yield from "abc"

    played = book(Mock().stream(slow, rate=10))
    (asked,) = of(played.commands, Next)
    played.until(5)
    played.tell(Returned(asked.key, ["a"]))
    asked = of(played.commands, Next)[-1]
    played.tell(Returned(asked.key, ["b"]))
    assert played.sent == [(5000, "a")]
    played.until(5.1)
    assert played.sent == [(5000, "a"), (5100, "b")]


def test_then_close_and_a_close_among_the_items() -> None:
    assert book(Mock().stream(["a"], then="close")).until(1).closed == 1000
    assert book(Mock().stream(["a"])).until(1).closed is None
    played = book(Mock().stream(["a", close(4000, "x"), "never"])).until(1)
    assert played.texts() == ["a"]
    assert of(played.commands, Close) == [Close(4000, "x")]


def test_what_a_stream_gives_is_no_template() -> None:
    assert book(Mock().stream(["{{uuid}}"])).until(1).texts() == ["{{uuid}}"]


@pytest.mark.parametrize("item", [object(), {1, 2}, float])
def test_an_item_that_cannot_be_sent_is_kept_and_closes(item: Any) -> None:
    played = book(Mock().stream(["a", item, "b"])).until(1)
    assert played.texts() == ["a"]
    assert len(of(played.commands, Failed)) == 1
    assert played.closed == 1011


def test_what_a_source_raises_is_kept_and_closes() -> None:
    def broken() -> Iterator[str]:
        yield "a"
        raise ZeroDivisionError

    played = book(Mock().stream(broken))
    (asked,) = of(played.commands, Next)
    played.tell(Returned(asked.key, ["a"])).tell(Raised(asked.key, ZeroDivisionError()))
    assert played.texts() == ["a"]
    assert [type(each.error) for each in of(played.commands, Failed)] == [ZeroDivisionError]
    assert played.closed == 1011


def test_a_stream_is_told_to_end_when_its_connection_does() -> None:
    def endless() -> Iterator[str]:
        while True:
            yield "x"

    played = book(Mock().stream(endless))
    (asked,) = of(played.commands, Next)
    played.tell(Closed())
    assert [halt.source for halt in of(played.commands, Halt)] == [asked.source]
    assert played.tell(Returned(asked.key, ["late"])).texts() == []


def test_rules_answer_beside_a_stream() -> None:
    played = book(Mock().stream(["a", "b"], rate=1).when("x", "y")).until(0.5).receive("x", "z").until(2)
    assert played.texts() == ["a", "y", "b"]
