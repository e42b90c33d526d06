"""Presence: sessions begin before they end, and last as long as they say."""

from __future__ import annotations

import itertools
import math
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mockforge_nb.errors import OptionError
from mockforge_nb.generators.feeds import Presence

AFTER = {
    "offline": {"online"},
    "online": {"away", "busy", "offline"},
    "away": {"back", "offline"},
    "busy": {"back", "offline"},
}


def check(feed: Presence, seed: int, count: int) -> list[tuple[float, dict[str, Any]]]:
    """Return events, of which each is one that may follow those before it."""
    events = list(itertools.islice(feed.events(seed), count))
    states: dict[str, str] = {}
    began: dict[str, tuple[str, str, float]] = {}
    ended: set[str] = set()
    since: dict[str, float] = {}
    for ms, message in events:
        who, kind, session = message["user"]["id"], message["type"], message["session"]
        state = states.get(who, "offline")
        if kind == "online":
            assert session not in began
            began[session] = who, message["device"], ms
        assert began[session][0] == who
        assert session not in ended
        if kind == "heartbeat":
            assert message["state"] == state != "offline"
            assert message["up_s"] == pytest.approx((ms - began[session][2]) / 1000, abs=0.002)
            continue
        if kind == "cursor":
            assert state == "online"
            assert 0 <= message["x"] <= 1280
            assert 0 <= message["y"] <= 720
            continue
        assert kind in AFTER[state]
        assert message["device"] == began[session][1]
        if kind == "offline":
            assert message["duration_s"] == pytest.approx((ms - began[session][2]) / 1000, abs=0.002)
            ended.add(session)
        if kind == "back":
            assert message["after"] == state
            assert message["duration_s"] == pytest.approx((ms - since[who]) / 1000, abs=0.002)
        states[who], since[who] = "online" if kind == "back" else kind, ms
    assert len(states) <= feed.users
    return events


@pytest.mark.parametrize("seed", [1, 2, 3])
@pytest.mark.parametrize("more", [False, True])
def test_a_long_run_has_legal_sessions(seed: int, more: bool) -> None:
    check(Presence(heartbeats=more, cursors=more), seed, 20_000)


@settings(max_examples=30)
@given(
    seed=st.integers(),
    users=st.integers(1, 60),
    rate=st.floats(0.001, 1e5),
    heartbeats=st.booleans(),
    cursors=st.booleans(),
)
def test_any_options_make_legal_sessions(seed: int, users: int, rate: float, heartbeats: bool, cursors: bool) -> None:
    check(Presence(users=users, rate=rate, heartbeats=heartbeats, cursors=cursors), seed, 400)


def test_everybody_comes_again_in_other_sessions() -> None:
    online = [message for _, message in check(Presence(), 1, 5000) if message["type"] == "online"]
    assert len({message["user"]["id"] for message in online}) == 30
    assert len({message["session"] for message in online}) == len(online) > 300


def test_heartbeats_come_in_turn() -> None:
    last: dict[str, int] = {}
    gaps = []
    beats = [m["session"] for _, m in check(Presence(heartbeats=True), 1, 5000) if m["type"] == "heartbeat"]
    for number, session in enumerate(beats):
        if session in last:
            gaps.append(number - last[session])
        last[session] = number
    assert len(gaps) > 300
    assert max(gaps) <= 30  # nobody is heard twice before all who are there were heard once


def test_cursors_move_smoothly() -> None:
    paths: dict[str, list[tuple[float, float, float]]] = {}
    for ms, message in check(Presence(cursors=True, rate=40), 1, 20_000):
        if message["type"] == "cursor":
            paths.setdefault(message["session"], []).append((ms, message["x"], message["y"]))
    steps, turns = [], []
    for path in paths.values():
        for (t0, x0, y0), (_, x1, y1), (t2, x2, y2) in zip(path, path[1:], path[2:], strict=False):
            if t2 - t0 > 300:
                continue
            first, then = (x1 - x0, y1 - y0), (x2 - x1, y2 - y1)
            steps.append(math.hypot(*first))
            if min(math.hypot(*first), math.hypot(*then)) > 2:
                angle = math.atan2(first[0] * then[1] - first[1] * then[0], first[0] * then[0] + first[1] * then[1])
                turns.append(abs(angle))
    assert len(steps) > 2000
    assert max(steps) < 250  # no jump
    assert sorted(turns)[len(turns) // 2] < 0.15  # straight on, mostly
    assert sorted(steps)[len(steps) // 2] > 1


@pytest.mark.parametrize(
    ("options", "problem"),
    [
        ({"users": -1}, r"users=\): -1 is out of bounds"),
        ({"heartbeats": 30}, r"heartbeats=\): 30 is no switch; valid: True or False"),
        ({"cursors": None}, r"cursors=\): None is no switch"),
    ],
)
def test_wrong_options(options: Any, problem: str) -> None:
    with pytest.raises(OptionError, match=r"presence\(" + problem):
        Presence(**options)
