"""A chat: people join rooms, talk to each other in bursts, reply, react, and leave again."""

from __future__ import annotations

import random
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar, Final

from .common import (
    AT,
    Events,
    Feed,
    Message,
    Person,
    Rhythm,
    check_count,
    check_locale,
    check_rate,
    check_texts,
    people,
)
from .phrases import EMOJI, English, Foreign, speech

MOST_IN_ROOM: Final = 60
"""How many a room holds when it is full; of the users never more than 60 %, so that some can join."""
RECENT: Final = 30
"""How many messages of a room are remembered, to reply and react to."""
EMOJI_DRAWN: Final = EMOJI[:1] * 5 + EMOJI[:4] * 2 + EMOJI
"""Thumbs up is the most common by far."""


BREATH_MS: Final = 1500.0
"""How long somebody waits before the next message, as a rule."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Chat(Feed):
    """What is said and done in the rooms of a chat.

    Who is to write, type, react or leave has joined the room before, and replies and reactions are to messages that
    were said in it.

    Attributes:
        users: How many people there are.
        rooms: What the rooms are called.
        rate: Messages a second, of all rooms and kinds together.
        locale: Where names come from, and in what people write: English, or Faker's words of the language at random.
    """

    name: ClassVar[str] = "chat"
    types: ClassVar[tuple[str, ...]] = ("join", "leave", "message", "typing", "reaction")

    users: int = 25
    rooms: Sequence[str] = ("general", "random", "dev", "help")
    rate: float = 2.0
    locale: str = "en_US"

    def __post_init__(self) -> None:
        check_count("chat(users=)", self.users)
        object.__setattr__(self, "rooms", check_texts("chat(rooms=)", self.rooms))
        check_rate("chat(rate=)", self.rate)
        check_locale("chat(locale=)", self.locale)

    def _run(self, rng: random.Random) -> Events:
        users = people(rng, self.users, self.locale, "u")
        words = speech(rng, self.locale)
        rooms = [_Room(name, users, words, rng) for name in self.rooms]
        rhythm = Rhythm(rng, self.rate, burst=0.5)
        number = rng.randrange(10_000, 90_000)
        # A few rooms of the first names have most of the talk.
        while True:
            hot = rooms[int(len(rooms) * rng.random() ** 1.5)]
            hot.new_topic()
            length = 3 + int(rng.expovariate(1 / 14))
            for _ in range(length):
                room = hot if rng.random() < 0.9 else rng.choice(rooms)
                ms = rhythm.next(0.4)
                number += 1
                yield ms, room.next(ms, number)
            rhythm.next(0.6 * length)  # what the talk was quicker than the rate, the silence after it is slower


@dataclass(frozen=True, slots=True)
class _Said:
    id: str
    author: int


class _Room:
    """Who is in a room, who types, and what was said last; people are numbers, the most talkative first."""

    def __init__(self, name: str, users: list[Person], words: English | Foreign, rng: random.Random) -> None:
        self._name, self._users, self._words, self._rng = name, users, words, rng
        self._full = max(1, min(MOST_IN_ROOM, round(0.6 * len(users))))
        self._members: list[int] = []
        self._inside: set[int] = set()  # the members again, to ask whether one is; never iterated
        self._typing: dict[int, float] = {}
        self._said: deque[_Said] = deque(maxlen=RECENT)
        self._topic = 0
        self._last_ms = 0.0

    def new_topic(self) -> None:
        """Let people talk of something else."""
        self._topic = self._rng.randrange(self._words.topics)

    def next(self, ms: float, number: int) -> Message:
        """Say what happens at a time; `number` is that of a message, should it be one."""
        rng, members = self._rng, self._members
        few = len(members) < 0.4 * self._full
        drawn = rng.random()
        if not members or (len(members) < self._full and drawn < (0.4 if few else 0.035)):
            return self._join()
        if not few and 0.035 <= drawn < 0.06:
            return self._leave()
        for user, ready in self._typing.items():
            if ready <= ms:
                del self._typing[user]
                self._last_ms = ms
                return self._message(user, number)
            break  # the first began first; the others have time
        drawn = rng.random()
        who = self._next_speaker(ms)
        if drawn < 0.16 and self._said:
            to = self._said[-1 - int(len(self._said) * rng.random() ** 3)]
            if to.author != who:
                return self._reaction(who, to)
        if drawn < 0.5 and who not in self._typing:
            self._typing[who] = ms + 800.0 + rng.expovariate(1 / 2500.0)
            return {"type": "typing", "room": self._name, "user": self._user(who), "at": AT}
        if who in self._typing:  # everybody types
            who = next(iter(self._typing))
            del self._typing[who]
        self._last_ms = ms
        return self._message(who, number)

    def _next_speaker(self, ms: float) -> int:
        """Return who does the next thing: nobody who types, or has written just now, unless there is nobody else."""
        rng, members = self._rng, self._members
        who = 0
        for _ in range(6):
            who = min(rng.choice(members) for _ in range(3))  # the first of the users talk most
            quick = self._said and self._said[-1].author == who and ms - self._last_ms < BREATH_MS
            if who not in self._typing and not quick:
                break
        return who

    def _join(self) -> Message:
        rng, count = self._rng, len(self._users)
        who = rng.randrange(count)
        while who in self._inside:
            who = rng.randrange(count)
        self._members.append(who)
        self._inside.add(who)
        user = self._user(who) | {"handle": self._users[who].handle}
        return {"type": "join", "room": self._name, "user": user, "members": len(self._members), "at": AT}

    def _leave(self) -> Message:
        members = self._members
        place = self._rng.randrange(len(members))
        who, members[place] = members[place], members[-1]
        members.pop()
        self._inside.discard(who)
        self._typing.pop(who, None)
        return {"type": "leave", "room": self._name, "user": self._user(who), "members": len(members), "at": AT}

    def _message(self, who: int, number: int) -> Message:
        rng, said = self._rng, self._said
        says: Message = {"type": "message", "id": f"m{number}", "room": self._name, "user": self._user(who)}
        to = said[-1 - int(min(8, len(said)) * rng.random() ** 2)] if said and rng.random() < 0.3 else None
        refers = to is not None
        if to is None and said and rng.random() < 0.35:
            to = said[-1]  # an answer all the same: everybody sees to what
        if to is not None and to.author != who:
            other = self._users[to.author]
            says["text"] = self._words.answer(self._topic, other.name.split()[0], other.handle)
            if refers:
                says["reply_to"] = to.id
        else:
            says["text"] = self._words.say(self._topic)
        said.append(_Said(f"m{number}", who))
        says["at"] = AT
        return says

    def _reaction(self, who: int, to: _Said) -> Message:
        says = {"type": "reaction", "room": self._name, "user": self._user(who), "message_id": to.id}
        return says | {"emoji": self._rng.choice(EMOJI_DRAWN), "at": AT}

    def _user(self, who: int) -> Message:
        user = self._users[who]
        return {"id": user.id, "name": user.name}
