"""A chat: who speaks is there, and what is referred to was said."""

from __future__ import annotations

import itertools
from collections import Counter, defaultdict
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mockforge_nb.errors import OptionError
from mockforge_nb.generators.feeds import Chat
from mockforge_nb.generators.feeds.phrases import REPLIES, SLOTS, TOPICS


def check(feed: Chat, seed: int, count: int) -> list[tuple[float, dict[str, Any]]]:
    """Return events, of which each is one that may follow those before it."""
    events = list(itertools.islice(feed.events(seed), count))
    inside: dict[str, set[str]] = {room: set() for room in feed.rooms}
    said: dict[str, tuple[str, str]] = {}
    names: dict[str, str] = {}
    for _, message in events:
        room, kind, who = message["room"], message["type"], message["user"]["id"]
        assert names.setdefault(who, message["user"]["name"]) == message["user"]["name"]
        if kind == "join":
            assert who not in inside[room]
            inside[room].add(who)
        else:
            assert who in inside[room]
        if kind == "leave":
            inside[room].remove(who)
        if kind in {"join", "leave"}:
            assert message["members"] == len(inside[room])
        if kind == "message":
            assert message["text"].strip()
            assert not set("{}") & set(message["text"])
            assert message["id"] not in said
            if "reply_to" in message:
                assert said[message["reply_to"]][0] == room
                assert said[message["reply_to"]][1] != who
            said[message["id"]] = room, who
        if kind == "reaction":
            assert said[message["message_id"]][0] == room
            assert said[message["message_id"]][1] != who
    assert len(names) <= feed.users
    return events


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_a_long_run_is_a_chat(seed: int) -> None:
    check(Chat(), seed, 20_000)


@settings(max_examples=30)
@given(
    seed=st.integers(),
    users=st.integers(1, 40),
    rooms=st.lists(st.text(min_size=1), min_size=1, max_size=4, unique=True),
    rate=st.floats(0.001, 1e4),
)
def test_any_options_make_a_chat(seed: int, users: int, rooms: list[str], rate: float) -> None:
    check(Chat(users=users, rooms=rooms, rate=rate), seed, 400)


def test_people_come_and_go_and_a_few_talk_most() -> None:
    events = [message for _, message in check(Chat(), 1, 20_000)]
    assert len({message["user"]["id"] for message in events}) == 25
    joined = Counter(m["user"]["id"] for m in events if m["type"] == "join")
    assert min(joined.values()) > 1
    talk = [count for _, count in Counter(m["user"]["id"] for m in events if m["type"] == "message").most_common()]
    assert sum(talk[:5]) > 0.35 * sum(talk)


def test_people_who_type_say_something_soon() -> None:
    typed: dict[tuple[str, str], float] = {}
    waits = []
    for ms, message in check(Chat(), 1, 20_000):
        key = message["room"], message["user"]["id"]
        if message["type"] == "typing":
            assert key not in typed
            typed[key] = ms
        elif message["type"] == "message" and key in typed:
            waits.append(ms - typed.pop(key))
        elif message["type"] == "leave":
            typed.pop(key, None)
    assert len(waits) > 1000
    assert sorted(waits)[len(waits) // 2] < 60_000


def test_a_room_talks_in_bursts() -> None:
    seconds: defaultdict[int, int] = defaultdict(int)
    for ms, _ in check(Chat(), 1, 20_000):
        seconds[int(ms / 5000)] += 1
    counts = [seconds[each] for each in range(max(seconds))]
    mean = sum(counts) / len(counts)
    assert sum((each - mean) ** 2 for each in counts) / len(counts) > 3 * mean  # a Poisson process: 1


def test_texts_differ_and_refer() -> None:
    messages = [m for _, m in check(Chat(), 1, 5000) if m["type"] == "message"]
    assert len({message["text"] for message in messages}) > 300
    assert 0.1 < sum("reply_to" in message for message in messages) / len(messages) < 0.4
    assert Counter(a["text"] == b["text"] for a, b in itertools.pairwise(messages))[True] < 0.01 * len(messages)


def test_another_locale_has_its_names_and_words() -> None:
    english, japanese = (
        " ".join(m["text"] + m["user"]["name"] for _, m in check(Chat(locale=locale), 1, 500) if m["type"] == "message")
        for locale in ("en_US", "ja_JP")
    )
    assert not any("぀" <= letter <= "ヿ" for letter in english)
    assert any("぀" <= letter <= "ヿ" for letter in japanese)


def test_the_phrases_have_only_slots_that_are_filled() -> None:
    known = dict.fromkeys((*SLOTS, "name", "handle"), "x")
    for text in itertools.chain(REPLIES, *TOPICS):
        assert "{" not in text.format(**known)
    assert all("{name" not in text and "{handle" not in text for text in itertools.chain(*TOPICS))
    assert all(len(set(topic)) == len(topic) > 8 for topic in TOPICS)  # else a text that is not repeated is not found


@pytest.mark.parametrize(
    ("options", "problem"),
    [
        ({"users": 0}, r"users=\): 0 is out of bounds; valid: a whole number from 1 to 10,000"),
        ({"users": 10_001}, r"users=\): 10001 is out of bounds"),
        ({"rooms": "general"}, r"rooms=\): 'general' is one text; give a list"),
        ({"rooms": ["a", ""]}, r"rooms=\)\[1\]: '' is no text"),
        ({"locale": "xx_XX"}, r"locale=\): 'xx_XX' is no locale"),
    ],
)
def test_wrong_options(options: Any, problem: str) -> None:
    with pytest.raises(OptionError, match=r"chat\(" + problem):
        Chat(**options)
