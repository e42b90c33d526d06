"""Logs of a site of several services: requests that leave lines in each, and incidents with errors and retries."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Final

from .common import (
    AT,
    Agenda,
    Events,
    Feed,
    Message,
    Rhythm,
    Weighted,
    around,
    check_count,
    check_flag,
    check_number,
    check_rate,
    check_texts,
    zipf,
)

SERVICES: Final = ("catalog", "search", "orders", "users", "payments", "auth")


@dataclass(frozen=True, slots=True)
class _Endpoint:
    method: str
    path: str
    service: str
    query: str
    calls: str = ""
    """The service that is asked too."""
    ms: float = 40.0
    """How long it takes in the median."""
    share: float = 1.0


ENDPOINTS: Final = (
    _Endpoint("GET", "/api/products", "catalog", "SELECT * FROM products LIMIT 50", "search", 45, 6),
    _Endpoint("GET", "/api/products/{id}", "catalog", "SELECT * FROM products WHERE id = $1", "", 18, 9),
    _Endpoint("GET", "/api/search?q={word}", "search", "MATCH title, body IN products_v3", "catalog", 85, 5),
    _Endpoint("GET", "/api/orders/{id}", "orders", "SELECT * FROM orders WHERE id = $1", "users", 30, 4),
    _Endpoint("POST", "/api/orders", "orders",
              "INSERT INTO orders (user_id, total) VALUES ($1, $2)", "payments", 160, 2),
    _Endpoint("GET", "/api/users/{id}", "users", "SELECT id, name FROM users WHERE id = $1", "auth", 14, 4),
    _Endpoint("PUT", "/api/users/{id}", "users", "UPDATE users SET name = $2 WHERE id = $1", "auth", 35, 1),
    _Endpoint("POST", "/api/payments", "payments",
              "INSERT INTO payments (order_id, cents) VALUES ($1, $2)", "auth", 220, 1),
    _Endpoint("POST", "/api/login", "auth", "SELECT hash FROM credentials WHERE email = $1", "users", 95, 2),
)  # fmt: skip

FAILURES: Final = (
    (500, 0, "OperationalError", "server closed the connection unexpectedly", "app/db.py", "execute"),
    (500, 0, "KeyError", "'discount'", "app/models.py", "from_row"),
    (502, 40, "ConnectionResetError", "[Errno 104] Connection reset by peer", "app/clients.py", "_send"),
    (503, 2000, "PoolTimeout", "no connection after 2.0 s, 20 are in use", "app/db.py", "acquire"),
    (504, 3000, "TimeoutError", "upstream did not answer within 3.0 s", "app/clients.py", "request"),
)
"""The status, how long one waits for it (ms), the exception and its text, and where it is raised."""
REFUSALS: Final = Weighted(((404, "not found"), (401, "token has expired"), (400, "invalid input")), (5, 3, 2))
BACKGROUND: Final = (
    ("DEBUG", "cache", "evicted {n} keys, hit ratio 0.9{d}"),
    ("INFO", "scheduler", "job refresh-index finished, {n} rows"),
    ("DEBUG", "gc", "collected {n} objects in {d} ms"), ("INFO", "health", "ready, {d} of 20 connections in use"),
    ("INFO", "config", "feature flags reloaded, {n} active"), ("WARNING", "memory", "heap at 8{d} % of its limit"),
)  # fmt: skip
WORDS: Final = ("lamp", "mug", "desk", "blue+shirt", "charger", "gift", "sneakers")


@dataclass(frozen=True, slots=True, kw_only=True)
class Logs(Feed):
    """Lines of the logs of a gateway and the services behind it.

    All lines of a request have its trace id; the gateway says first that it came, and last how it ended and how long
    that took.

    Attributes:
        services: Which there are behind the gateway.
        hosts: On how many hosts each runs.
        rate: Lines a second, of all services together.
        errors: The share of requests that fail while all is well.
        incidents: How long until the next time that a service fails or is slow: the mean (s); 0: never.
        debug: Whether there are lines of the level DEBUG too.
    """

    name: ClassVar[str] = "logs"
    types: ClassVar[tuple[str, ...]] = ("log",)

    services: Sequence[str] = SERVICES
    hosts: int = 2
    rate: float = 10.0
    errors: float = 0.01
    incidents: float = 300.0
    debug: bool = True

    def __post_init__(self) -> None:
        object.__setattr__(self, "services", check_texts("logs(services=)", self.services, SERVICES))
        check_count("logs(hosts=)", self.hosts, 1000)
        check_rate("logs(rate=)", self.rate)
        check_number("logs(errors=)", self.errors, 0, 1)
        check_number("logs(incidents=)", self.incidents, 0, 1e9)
        check_flag("logs(debug=)", self.debug)

    def _run(self, rng: random.Random) -> Events:
        site = _Site(self, rng)
        rhythm = Rhythm(rng, self.rate, burst=0.35, memory=0.8, smooth=150)
        agenda: Agenda[Message] = Agenda()
        coming = rhythm.next(5)
        while True:
            while coming <= agenda.due():
                lines = site.lines(coming)
                for ms, line in lines:
                    agenda.add(ms, line)
                coming = rhythm.next(len(lines))
            yield agenda.pop()


class _Request:
    """The lines of one request as they are made: each after a share of its time."""

    def __init__(self, site: _Site, trace: str) -> None:
        self._site, self._trace, self._sum, self.waits = site, trace, 0.0, 0.0
        self._hosts: dict[str, str] = {}  # where it is handled, and stays
        self._lines: list[tuple[float, float, Message, float]] = []

    def say(
        self, share: float, service: str, logger: str, level: str, msg: str, took: bool = False, **more: Any
    ) -> None:
        """Add a line; with `took` it says how long its share was."""
        self._sum += share
        if service not in self._hosts:
            self._hosts[service] = self._site.host(service)
        line = {"type": "log", "at": AT, "level": level, "service": service, "host": self._hosts[service]}
        line |= {"logger": f"{service}.{logger}", "msg": msg, "trace_id": self._trace, **more}
        self._lines.append((self._sum, self.waits, line, share if took else 0.0))

    def wait(self, ms: float) -> None:
        """Let time pass that is no share, but as long as it is."""
        self.waits += ms

    def timed(self, start: float, duration: float, debug: bool) -> list[tuple[float, Message]]:
        """Return the lines and when each is said (ms), the last after the duration, waits among it."""
        scale = (duration - self.waits) / self._sum
        timed = []
        for after, waited, line, share in self._lines:
            if share:
                line["duration_ms"] = round(share * scale, 2)
                line["msg"] = line["msg"].format(ms=line["duration_ms"])
            if debug or line["level"] != "DEBUG":
                timed.append((round(start + waited + after * scale, 3), line))
        return timed


class _Site:
    """The services on their hosts, and what is wrong with them at the moment."""

    def __init__(self, options: Logs, rng: random.Random) -> None:
        self._rng, self._options = rng, options
        self._services = ("gateway", *options.services)
        self._hosts = {
            name: Weighted(
                [f"{name}-{rng.getrandbits(24):06x}" for _ in range(options.hosts)], zipf(options.hosts, 0.3)
            )
            for name in self._services
        }
        known = [each for each in ENDPOINTS if each.service in options.services]
        self._endpoints = Weighted(known, [each.share for each in known])
        self._incident: tuple[str, str] = ("", "")  # the service, and what is wrong: "errors" or "slow"
        self._until = rng.expovariate(1e-3 / options.incidents) if options.incidents else float("inf")

    def host(self, service: str) -> str:
        """Return one of the hosts of a service."""
        return self._hosts[service].pick(self._rng)

    def lines(self, ms: float) -> list[tuple[float, Message]]:
        """Return the lines of what begins at a time (ms): a request, or something of a service's own."""
        self._weather(ms)
        if self._rng.random() < 0.06 and (line := self._background()):
            return [(ms, line)]
        return self._request(ms)

    def _weather(self, ms: float) -> None:
        """Begin or end an incident if it is time: once, however long ago it was, so that rare requests cost no more."""
        if ms < self._until:
            return
        rng, mean = self._rng, self._options.incidents
        if self._incident[0]:
            self._incident = ("", "")
            self._until = ms + rng.expovariate(1e-3 / mean)
        else:
            self._incident = (self._endpoints.pick(rng).service, rng.choice(("errors", "errors", "slow")))
            self._until = ms + around(rng, min(25.0, mean / 6) * 1000.0, 0.5)

    def _background(self) -> Message | None:
        rng = self._rng
        level, logger, text = rng.choice(BACKGROUND)
        if level == "DEBUG" and not self._options.debug:
            return None
        service = rng.choice(self._services)
        msg = text.format(n=int(around(rng, 200, 1.0)), d=rng.randrange(1, 10))
        line = {"type": "log", "at": AT, "level": level, "service": service, "host": self.host(service)}
        return line | {"logger": f"{service}.{logger}", "msg": msg, "trace_id": None}

    def _request(self, ms: float) -> list[tuple[float, Message]]:
        rng, end = self._rng, self._endpoints.pick(self._rng)
        service, calls = end.service, end.calls if end.calls in self._services else ""
        ill, how = self._incident
        ill = ill if ill in (service, calls) else ""
        user, number = rng.randrange(1001, 1400), int(around(rng, 4000, 0.8))
        path = end.path.replace("{id}", str(number)).replace("{word}", rng.choice(WORDS))
        fails = rng.random() < (0.7 if ill and how == "errors" else self._options.errors)
        slow = 7.0 if ill and how == "slow" else 1.0
        duration = around(rng, end.ms, 0.55) * slow
        made = _Request(self, f"{rng.getrandbits(128):032x}")
        made.say(0.0, "gateway", "access", "INFO", f"{end.method} {path}", user=user)
        made.say(0.06, service, "http", "DEBUG", f"handle {end.method} {end.path.partition('?')[0]} for user {user}")
        if not fails and rng.random() < 0.045:
            status, why = REFUSALS.pick(rng)
            made.say(0.5, service, "http", "WARNING", f"{why}: {path}")
        else:
            share, rows = around(rng, 0.35, 0.4), 1 if "$1" in end.query else rng.randrange(5, 50)
            query = end.query.replace("{", "{{").replace("}", "}}")
            slow_query = share > 0.2 and duration > 400
            level = "WARNING" if slow_query else "DEBUG"
            text = f"{'slow query: ' if slow_query else ''}{query} ({rows} row{'s' * (rows > 1)}, {{ms}} ms)"
            made.say(share, service, "db", level, text, took=True, rows=rows)
            if calls:
                tries = self._tries(fails, bool(ill))
                for attempt in range(1, tries + 1):
                    pause = round(around(rng, 50.0 * 2**attempt, 0.15))
                    text = f"call to {calls} failed, retry {attempt} of 3 in {pause} ms"
                    made.say(0.2, service, "client", "WARNING", text, attempt=attempt)
                    made.wait(pause)
                if not (fails and tries):
                    made.say(0.3, calls, "http", "INFO", f"answered {service} for user {user}")
            if fails:
                status = self._failure(made, service, end)
            else:
                status = 201 if end.method == "POST" and "login" not in end.path else 200
        duration = round(duration + made.waits, 1)
        level = "ERROR" if status >= 500 else "WARNING" if status >= 400 else "INFO"
        text = f"{end.method} {path} {status} in {duration} ms"
        made.say(0.15, "gateway", "access", level, text, status=status, duration_ms=duration)
        return made.timed(ms, duration, self._options.debug)

    def _tries(self, fails: bool, ill: bool) -> int:
        rng = self._rng
        if fails and rng.random() < 0.5:
            return 3
        return rng.choice((1, 1, 2)) if rng.random() < (0.3 if ill else 0.008) else 0

    def _failure(self, made: _Request, service: str, end: _Endpoint) -> int:
        status, patience, error, text, file, function = self._rng.choice(FAILURES)
        made.wait(patience)
        handler = f"{end.method.lower()}_{end.path.partition('?')[0].split('/')[2]}"
        stack = (
            "Traceback (most recent call last):\n"
            f'  File "/srv/{service}/app/handlers.py", line {61 + len(end.path)}, in {handler}\n'
            f"    return await self.{service}.run(request)\n"
            f'  File "/srv/{service}/{file}", line {118 + len(text)}, in {function}\n'
            f"{error}: {text}"
        )
        made.say(0.2, service, "http", "ERROR", f"{error}: {text}", error=error, stack=stack)
        return status
