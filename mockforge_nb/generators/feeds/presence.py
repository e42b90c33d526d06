"""Who is there: sessions that begin, pause and end, heartbeats, and cursors that move over a document."""

from __future__ import annotations

import math
import random
from collections import OrderedDict
from dataclasses import dataclass
from typing import ClassVar, Final

from .common import (
    AT,
    Agenda,
    Events,
    Feed,
    Message,
    Person,
    Rhythm,
    Weighted,
    around,
    check_count,
    check_flag,
    check_locale,
    check_rate,
    people,
)

NEXT: Final = {
    "offline": (1.2, Weighted(("online",), (1,))),
    "online": (1.0, Weighted(("away", "busy", "offline"), (40, 25, 35))),
    "away": (0.5, Weighted(("back", "offline"), (75, 25))),
    "busy": (0.7, Weighted(("back", "offline"), (90, 10))),
}
"""How long each state lasts in the median, against each other, and what follows."""
DEVICES: Final = Weighted(("desktop", "mobile", "web", "tablet"), (35, 35, 25, 5))
WIDTH, HEIGHT = 1280, 720
FRAME_MS: Final = 60.0
"""How often a cursor that moves says where it is (ms), if the rate allows it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Presence(Feed):
    """Who is online, away, busy or offline.

    ``online`` begins a session, ``away`` and ``busy`` pause it, ``back`` goes on with it and ``offline`` ends it. How
    long they last follows from the rate and the number of users, about five messages a user and session.

    Attributes:
        users: How many there are.
        rate: Messages a second, of all users and kinds together.
        heartbeats: Whether those who are there say so in turn: about 4 of 10 messages, cursors aside.
        cursors: Whether cursors move over a document of 1280 x 720: 85 of 100 messages, while anybody is there.
        locale: Where names come from.
    """

    name: ClassVar[str] = "presence"
    types: ClassVar[tuple[str, ...]] = ("online", "away", "busy", "back", "offline", "heartbeat", "cursor")

    users: int = 30
    rate: float = 2.0
    heartbeats: bool = False
    cursors: bool = False
    locale: str = "en_US"

    def __post_init__(self) -> None:
        check_count("presence(users=)", self.users)
        check_rate("presence(rate=)", self.rate)
        check_flag("presence(heartbeats=)", self.heartbeats)
        check_flag("presence(cursors=)", self.cursors)
        check_locale("presence(locale=)", self.locale)

    def _run(self, rng: random.Random) -> Events:
        site = _Site(people(rng, self.users, self.locale, "u"), self.rate, rng)
        rhythm = Rhythm(rng, self.rate, burst=0.3 if self.cursors else 0.6, memory=0.7)
        while True:
            ms = rhythm.next()
            says = site.cursor(ms) if self.cursors and rng.random() < 0.85 else None
            if says is None and self.heartbeats and rng.random() < 0.4:
                says = site.heartbeat(ms)
            yield ms, says or site.change(ms)


@dataclass(slots=True, eq=False)
class _Session:
    """A user's session, or what is known of a user without one."""

    who: Person
    state: str = "offline"
    id: str = ""
    device: str = ""
    began: float = 0.0
    since: float = 0.0
    cursor: _Cursor | None = None
    place: tuple[float, float] | None = None
    """Where the cursor stopped."""


@dataclass(slots=True)
class _Cursor:
    """A movement from a place to another, along an arc, as a hand makes it: slow, fast, slow."""

    x: float
    y: float
    dx: float
    dy: float
    bend: float
    start: float
    last: float

    def at(self, ms: float) -> tuple[float, float]:
        """Return where it is at a time (ms); at its end once it is over."""
        u = min(1.0, max(0.0, (ms - self.start) / (self.last - self.start)))
        way = u * u * u * (10 + u * (6 * u - 15))  # the least jerk
        side = self.bend * math.sin(math.pi * way)
        return self.x + self.dx * way - self.dy * side, self.y + self.dy * way + self.dx * side


class _Site:
    """All users: who comes next to change the state, who is there, and whose cursor moves."""

    def __init__(self, users: list[Person], rate: float, rng: random.Random) -> None:
        self._rng = rng
        # Time by which states last, not that of the messages: it is as quick as the rate needs it.
        self._agenda: Agenda[_Session] = Agenda()
        self._there: OrderedDict[str, _Session] = OrderedDict()  # by session, those who were heard of longest ago first
        self._active: list[_Session] = []
        self._moving: list[_Session] = []
        self._movers = max(1, round(rate * 0.85 * FRAME_MS / 1000.0))
        self._frame = self._movers / (rate * 0.85) * 1000.0
        self._turn = 0
        for each in users:
            self._agenda.add(rng.expovariate(1.0), _Session(each))

    def change(self, ms: float) -> Message:
        """Say who changes the state next."""
        rng = self._rng
        due, session = self._agenda.pop()
        before, kind = session.state, NEXT[session.state][1].pick(rng)
        after = "online" if kind == "back" else kind
        seconds = round((ms - session.since) / 1000.0, 3)
        session.state, session.since = after, ms
        self._agenda.add(due + around(rng, NEXT[after][0], 0.8), session)
        if kind == "online":
            session.id = f"s{rng.getrandbits(48):012x}"
            session.device, session.began = DEVICES.pick(rng), ms
            self._there[session.id] = session
        says: Message = {"type": kind, "user": self._user(session), "session": session.id, "device": session.device}
        if kind == "back":
            says |= {"after": before, "duration_s": seconds}
        elif kind == "offline":
            del self._there[session.id]
            says["reason"] = rng.choice(("logout", "closed", "closed", "timeout" if before == "away" else "closed"))
            says["duration_s"] = round((ms - session.began) / 1000.0, 3)
        if before == "online":
            self._active.remove(session)
            if session.cursor is not None:
                session.cursor = None
                self._moving.remove(session)
        if after == "online":
            self._active.append(session)
        says["at"] = AT
        return says

    def heartbeat(self, ms: float) -> Message | None:
        """Say that somebody is still there, of whom that was said longest ago; None: nobody is."""
        if not self._there:
            return None
        name, session = next(iter(self._there.items()))
        self._there.move_to_end(name)
        seconds = round((ms - session.began) / 1000.0, 3)
        user = self._user(session)
        return {"type": "heartbeat", "user": user, "session": name, "state": session.state, "up_s": seconds, "at": AT}

    def cursor(self, ms: float) -> Message | None:
        """Say where the next of the cursors that move has come to; None: nobody is there."""
        rng = self._rng
        if len(self._moving) < min(self._movers, len(self._active)):
            session = rng.choice(self._active)
            if session.cursor is None:
                x, y = session.place or (rng.uniform(0, WIDTH), rng.uniform(0, HEIGHT))
                session.cursor = self._path(x, y, ms)
                self._moving.append(session)
        if not self._moving:
            return None
        self._turn = (self._turn + 1) % len(self._moving)
        session = self._moving[self._turn]
        path = session.cursor
        assert path is not None  # of those that move
        x, y = path.at(ms)
        if ms >= path.last:
            # Most go on to the next place; some stop, and another's turn comes.
            session.cursor = self._path(x, y, ms) if rng.random() < 0.7 else None
            if session.cursor is None:
                del self._moving[self._turn]
        session.place = x, y
        # An arc may leave the page for a moment; what is seen is its edge.
        x, y = round(min(float(WIDTH), max(0.0, x)), 1), round(min(float(HEIGHT), max(0.0, y)), 1)
        return {"type": "cursor", "user": self._user(session), "session": session.id, "x": x, "y": y, "at": AT}

    def _path(self, x: float, y: float, ms: float) -> _Cursor:
        rng = self._rng
        # Mostly near, sometimes across the page.
        angle, far = rng.uniform(0, 2 * math.pi), min(700.0, around(rng, 180.0, 0.7))
        dx, dy = far * math.cos(angle), 0.6 * far * math.sin(angle)
        if not 0 <= x + dx <= WIDTH:
            dx = -dx
        if not 0 <= y + dy <= HEIGHT:
            dy = -dy
        frames = 6 + 0.03 * math.hypot(dx, dy) * rng.uniform(0.7, 1.4)
        return _Cursor(x, y, dx, dy, rng.gauss(0.0, 0.12), ms, ms + frames * self._frame)

    def _user(self, session: _Session) -> Message:
        return {"id": session.who.id, "name": session.who.name}
