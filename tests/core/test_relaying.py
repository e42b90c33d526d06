"""What a proxy's session does: event in, commands out."""

from __future__ import annotations

from collections.abc import Awaitable
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mockforge_nb import Message, Mock, close
from mockforge_nb.core.events import (
    LANES,
    Await,
    Came,
    Close,
    Dial,
    Drop,
    Failed,
    Forward,
    HangUp,
    Heard,
    Hung,
    Injected,
    Joined,
    Leaving,
    Pass,
    Pushed,
    Raised,
    Reading,
    Received,
    Returned,
    Send,
    SendAll,
    Spoke,
)
from mockforge_nb.core.message import TEXT
from mockforge_nb.core.relaying import MOST_WAITING
from mockforge_nb.core.routes import PathPattern

from .playbook import Playbook

URL = "ws://upstream.example"


def book(mock: Mock, *, joined: bool = True) -> Playbook:
    (_, plan), *_ = mock._plans(PathPattern.parse("/ws", "test"))
    found = Playbook(plan).open()
    assert [type(one) for one in found.commands] == [Dial]
    found.commands.clear()
    if joined:
        found.tell(Joined())
    return found


def runs(*texts: str) -> list[tuple[int, list[bytes]]]:
    return [(TEXT, [text.encode() for text in texts])]


def said(commands: list[Any]) -> list[tuple[str, str, str | None]]:
    """What left: to the upstream (`up`), to the client (`down`); and the rows of what came (`row`)."""
    found: list[tuple[str, str, str | None]] = []
    for one in commands:
        if isinstance(one, (Forward, SendAll)):
            way = "up" if isinstance(one, Forward) else "down"
            relay = None if isinstance(one, Forward) else one.relay
            found += [(way, each.decode(), relay) for _, payloads in one.runs for each in payloads]
        elif isinstance(one, Send):
            found.append(("down" if one.wire is None else "lost", one.payload.decode(), one.relay))
        elif isinstance(one, Came):
            was = "" if one.message.original is None else f" ({one.message.original.text})"
            found.append(("row", one.message.payload.decode() + was, one.message.relay))
    return found


def test_what_comes_from_either_side_is_passed_on_in_one_command() -> None:
    playbook = book(Mock().proxy(URL))
    assert playbook.commands == [Pass(on=True)]
    playbook.tell(Received(runs("a", "b"))).tell(Spoke(runs("c")))
    assert said(playbook.commands) == [("up", "a", None), ("up", "b", None), ("down", "c", "forwarded")]


def test_what_the_client_says_before_the_upstream_is_there_waits() -> None:
    playbook = book(Mock().proxy(URL), joined=False)
    playbook.tell(Received(runs("a"))).tell(Leaving(1000))
    assert playbook.commands == []
    playbook.tell(Joined())
    assert said(playbook.commands) == [("row", "a", "forwarded"), ("up", "a", None)]
    assert playbook.commands[-2:] == [HangUp(1000), Pass(on=True)] or HangUp(1000) in playbook.commands


def test_a_connection_that_is_not_relayed_is_answered_here() -> None:
    playbook = book(Mock().proxy(URL).when("^a$", "A").otherwise("echo"), joined=False)
    playbook.tell(Joined(relayed=False)).receive("a", "b")
    assert [text for _, text in playbook.sent] == ["A", "b"]


def test_rules_answer_and_the_rest_goes_upstream() -> None:
    playbook = book(Mock().proxy(URL).when("^a$", "A"))
    playbook.receive("a", "b")
    assert said(playbook.commands) == [
        ("row", "a", "answered"),
        ("down", "A", None),
        ("row", "b", "forwarded"),
        ("up", "b", None),
    ]
    assert sum(isinstance(one, Heard) for one in playbook.commands) == 2


@pytest.mark.parametrize(("otherwise", "fate"), [(None, "dropped"), ("no", "answered"), ("error", "dropped")])
def test_only_what_matches_goes_upstream(otherwise: str | None, fate: str) -> None:
    mock = Mock().proxy(URL, only="^up")
    playbook = book(mock if otherwise is None else mock.otherwise(otherwise))
    playbook.receive("up 1", "here")
    assert said(playbook.commands)[:3] == [("row", "up 1", "forwarded"), ("up", "up 1", None), ("row", "here", fate)]
    assert [text for _, text in playbook.sent] == (["no"] if otherwise == "no" else [])


def each_way(message: Message) -> Any:
    """What it does is in the message."""
    text = str(message.text)
    return {
        "same": message,
        "equal": "equal",
        "change": "changed",
        "drop": None,
        "empty": [],
        "more": [message, "more"],
        "before": ["before", message],
        "two": ["one", {"two": 2}],
        "bytes": b"\x00",
        "end": close(4000, "enough"),
    }.get(text, message)


@pytest.mark.parametrize(
    ("text", "rows", "left"),
    [
        ("same", [("same", "forwarded")], ["same"]),
        ("equal", [("equal", "forwarded")], ["equal"]),
        ("change", [("changed (change)", "changed")], ["changed"]),
        ("drop", [("drop", "dropped")], []),
        ("empty", [("empty", "dropped")], []),
        ("more", [("more", "forwarded"), ("more", "injected")], ["more", "more"]),
        ("before", [("before", "injected"), ("before", "forwarded")], ["before", "before"]),
        ("two", [("one (two)", "changed"), ('{"two":2}', "injected")], ["one", '{"two":2}']),
        ("bytes", [("\x00 (bytes)", "changed")], ["\x00"]),
    ],
)
def test_what_a_transform_may_make_of_a_message(text: str, rows: list[tuple[str, str]], left: list[str]) -> None:
    playbook = book(Mock().proxy(URL, transform=each_way))
    playbook.tell(Received(runs(text)))
    found = said(playbook.commands)
    assert [(shown, relay) for kind, shown, relay in found if kind == "row"] == rows
    assert [shown for kind, shown, _ in found if kind == "up"] == left
    playbook.commands.clear()
    playbook.tell(Spoke(runs(text)))
    found = said(playbook.commands)
    assert [shown for kind, shown, _ in found if kind == "down"] == left
    assert [relay for _, _, relay in found] == [relay for _, relay in rows]
    originals = [one.original.text for one in playbook.commands if isinstance(one, Send) and one.original is not None]
    assert originals == ([text] if rows[0][1] == "changed" else [])


def test_a_transform_may_end_the_connection() -> None:
    playbook = book(Mock().proxy(URL, transform={"out": each_way}))
    playbook.tell(Received(runs("end")))
    assert said(playbook.commands)[-1] == ("up", "end", None)
    playbook.tell(Spoke(runs("end")))
    assert playbook.closed == 4000


def test_each_direction_may_have_its_own() -> None:
    mock = Mock().proxy(URL, transform={"in": lambda m: f"{m.direction} {m.text}", "out": lambda m, conn: m.direction})
    playbook = book(mock)
    playbook.tell(Received(runs("a"))).tell(Spoke(runs("b")))
    assert said(playbook.commands) == [("row", "in a (a)", "changed"), ("up", "in a", None), ("down", "out", "changed")]


@pytest.mark.parametrize("bad", [{1, 2}, object()])
def test_what_a_transform_returns_must_have_a_form(bad: object) -> None:
    playbook = book(Mock().proxy(URL, transform=lambda m: bad))
    playbook.tell(Received(runs("a")))
    assert playbook.closed == 1011
    (failed,) = (one for one in playbook.commands if isinstance(one, Failed))
    assert "proxy(transform=)" in str(failed.error)


async def later(message: Message) -> str:
    return f"{message.text}!"


def awaited(playbook: Playbook) -> list[Await]:
    found = [one for one in playbook.commands if isinstance(one, Await)]
    for one in found:
        ended: Awaitable[Any] = one.awaitable
        ended.close()  # type: ignore[attr-defined]  # nobody runs it here
    return found


def test_a_message_whose_pattern_raises_goes_nowhere() -> None:
    def bad(message: Message) -> bool:
        raise ValueError("no")

    for mock in (Mock().proxy(URL, only=bad), Mock().proxy(URL).when(bad, "x")):
        playbook = book(mock)
        playbook.tell(Received(runs("a", "b")))
        assert said(playbook.commands) == [("row", "a", "dropped"), ("row", "b", "dropped")]
        assert playbook.closed == 1011


def test_an_awaited_transform_keeps_the_order() -> None:
    playbook = book(Mock().proxy(URL, transform={"in": later}))
    playbook.tell(Received(runs("a", "b"))).tell(Leaving(4000, "done"))
    (first,) = awaited(playbook)
    assert said(playbook.commands) == []
    playbook.commands.clear()
    playbook.tell(Returned(first.key, "a!"))
    assert said(playbook.commands) == [("row", "a! (a)", "changed"), ("up", "a!", None)]
    (second,) = awaited(playbook)
    playbook.tell(Returned(second.key, None))
    assert said(playbook.commands)[-1] == ("row", "b", "dropped")
    assert HangUp(4000, "done") in playbook.commands


def test_what_waits_for_an_awaited_transform_is_bounded_by_not_reading() -> None:
    playbook = book(Mock().proxy(URL, transform={"out": later}))
    playbook.tell(Spoke(runs(*map(str, range(MOST_WAITING + 2)))))
    assert Reading(on=False, why=LANES) in playbook.commands
    for turn in range(MOST_WAITING):
        playbook_awaited = awaited(playbook)
        playbook.commands.clear()
        playbook.tell(Returned(playbook_awaited[-1].key, f"{turn}!"))
        if Reading(on=True, why=LANES) in playbook.commands:
            break
    else:
        pytest.fail("it never reads again")
    awaited(playbook)
    assert [text for _, text in playbook.sent] == [f"{each}!" for each in range(turn + 1)]


def test_what_an_awaited_transform_raises_ends_the_connection() -> None:
    playbook = book(Mock().proxy(URL, transform={"in": later}))
    playbook.tell(Received(runs("a", "b")))
    (first,) = awaited(playbook)
    playbook.tell(Raised(first.key, ValueError("no")))
    assert playbook.closed == 1011
    assert [str(one.error) for one in playbook.commands if isinstance(one, Failed)] == ["no"]


@pytest.mark.parametrize("code", [1000, 1005, 4001])
def test_the_upstream_s_end_is_the_client_s(code: int) -> None:
    playbook = book(Mock().proxy(URL))
    playbook.tell(Spoke(runs("last"))).tell(Hung(code, ""))
    assert [text for _, text in playbook.sent] == ["last"]
    assert Close(code, "", relay="forwarded") in playbook.commands


def test_an_upstream_that_ends_without_a_close_frame_ends_the_client_so() -> None:
    playbook = book(Mock().proxy(URL)).tell(Hung(1006))
    assert Drop(relay="forwarded") in playbook.commands


def test_the_upstream_s_end_stands_behind_what_latency_holds_back() -> None:
    playbook = book(Mock().proxy(URL).latency(100))
    playbook.tell(Spoke(runs("a"))).tell(Hung(4000))
    assert playbook.closed is None
    playbook.until(1)
    assert playbook.sent == [(100.0, "a")]
    assert playbook.closed == 4000


def test_the_client_s_end_stands_behind_what_latency_holds_back() -> None:
    playbook = book(Mock().proxy(URL).latency(100, direction="in"))
    playbook.tell(Received(runs("a"))).tell(Leaving(4000))
    assert HangUp(4000) not in playbook.commands
    playbook.until(1)
    order = [one for one in playbook.commands if isinstance(one, (Forward, HangUp))]
    assert order == [Forward(runs("a")), HangUp(4000)]
    (row,) = (one.message for one in playbook.commands if isinstance(one, Came))
    assert (row.relay, row.delay_ms) == ("forwarded", 100)


def test_a_fault_on_the_way_in_is_on_the_row() -> None:
    playbook = book(Mock().proxy(URL).fault("drop", direction="in", times=1))
    playbook.tell(Received(runs("a", "b")))
    found = [(one.message.relay, one.message.fault) for one in playbook.commands if isinstance(one, Came)]
    assert found == [("dropped", "drop"), ("forwarded", None)]


def test_what_the_user_says_is_injected() -> None:
    playbook = book(Mock().proxy(URL))
    playbook.tell(Pushed(TEXT, b"down")).tell(Injected(TEXT, b"up"))
    assert said(playbook.commands) == [("down", "down", "injected"), ("row", "up", "injected"), ("up", "up", None)]


def test_another_behaviour_hangs_up() -> None:
    playbook = book(Mock().proxy(URL))
    (_, plan), *_ = Mock().echo()._plans(PathPattern.parse("/ws", "test"))
    playbook.update(plan)
    assert HangUp(1001) in playbook.commands
    assert Pass(on=False) in playbook.commands
    playbook.receive("a")
    assert playbook.sent == [(0.0, "a")]


def test_rules_that_come_are_asked_from_then_on() -> None:
    playbook = book(Mock().proxy(URL))
    playbook.tell(Received(runs("a")))
    (_, plan), *_ = Mock().proxy(URL).when("a", "A")._plans(PathPattern.parse("/ws", "test"))
    playbook.update(plan)
    playbook.tell(Joined()).receive("a")
    assert [text for _, text in playbook.sent] == ["A"]


EVENTS = st.lists(
    st.one_of(
        st.lists(st.sampled_from(["x", "rule", "drop", "change", "more", "later"]), min_size=1, max_size=4).map(
            lambda texts: ("in", texts)
        ),
        st.lists(st.sampled_from(["x", "drop", "change", "more", "later"]), min_size=1, max_size=4).map(
            lambda texts: ("out", texts)
        ),
        st.just(("done", [])),
    ),
    max_size=20,
)


@settings(max_examples=300, deadline=None)
@given(EVENTS, st.booleans())
def test_nothing_is_lost_or_overtaken(events: list[tuple[str, list[str]]], slow: bool) -> None:
    """Numbered messages come out in their order, whatever is made of them and however long that takes."""

    def transform(message: Message) -> Any:
        word = str(message.text).split()[-1]
        return message if word in ("x", "rule") else later(message) if word == "later" else f"{message.text}!"

    mock = Mock().proxy(URL, transform=transform).when("rule$", "R")
    playbook = book(mock.latency(5) if slow else mock)
    sent: dict[str, list[str]] = {"in": [], "out": []}
    pending: list[Await] = []
    count = 0

    def settle() -> None:
        while pending:
            one = pending.pop(0)
            one.awaitable.close()  # type: ignore[attr-defined]
            seen = len(playbook.commands)
            playbook.tell(Returned(one.key, f"{one.key.message.text}!"))  # type: ignore[attr-defined]
            pending.extend(each for each in playbook.commands[seen:] if isinstance(each, Await))

    for what, words in events:
        if what == "done":
            settle()
            continue
        texts = []
        for word in words:
            count += 1
            texts.append(f"{count} {word}")
        sent[what] += [text for text in texts if not (what == "in" and text.endswith("rule"))]
        seen = len(playbook.commands)
        playbook.tell(Received(runs(*texts)) if what == "in" else Spoke(runs(*texts)))
        pending += [each for each in playbook.commands[seen:] if isinstance(each, Await)]
    settle()
    playbook.until(playbook.now + 1)
    up = [each.decode() for one in playbook.commands if isinstance(one, Forward) for _, ps in one.runs for each in ps]
    down = [text for _, text in playbook.sent if text != "R"]
    assert [text.rstrip("!") for text in up] == sent["in"]
    assert [text.rstrip("!") for text in down] == sent["out"]
