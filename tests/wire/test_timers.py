"""One heap for all connections' times: nobody is woken early, twice, or forgotten."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from time import monotonic
from typing import Any

from mockforge_nb.wire.timers import LEAST, Timers


class Loop:
    """An event loop whose time a test sets; its timers fire when told, also early."""

    def __init__(self) -> None:
        self.now = 100.0
        self.calls: list[tuple[float, Callable[[], None]]] = []
        self.problems: list[dict[str, Any]] = []

    def call_later(self, delay: float, function: Callable[[], None]) -> Loop:
        self.calls = [(self.now + delay, function)]  # Timers has one at a time
        return self

    def cancel(self) -> None:
        self.calls = []

    def call_exception_handler(self, context: dict[str, Any]) -> None:
        self.problems.append(context)

    def clock(self) -> float:
        return self.now

    def fire(self, at: float) -> None:
        """Let the timer fire at `at`, as if it were time."""
        self.now = at
        (call,), self.calls = self.calls, []
        call[1]()


class Sleeper:
    def __init__(self, loop: Loop, fails: bool = False) -> None:
        self.wake_at: float | None = None
        self.woken: list[float] = []
        self._loop, self._fails = loop, fails

    def wake(self) -> None:
        self.woken.append(self._loop.now)
        if self._fails:
            raise RuntimeError("on waking")


def made() -> tuple[Loop, Timers]:
    loop = Loop()
    return loop, Timers(loop, clock=loop.clock)  # type: ignore[arg-type]  # what it uses of a loop


def test_each_is_woken_at_its_time_in_the_order_of_the_times() -> None:
    loop, timers = made()
    a, b, c = Sleeper(loop), Sleeper(loop), Sleeper(loop)
    timers.at(102, a)
    timers.at(101, b)
    timers.at(102, c)
    assert loop.calls[0][0] >= 101
    loop.fire(101)
    assert (a.woken, b.woken, c.woken) == ([], [101], [])
    assert loop.calls[0][0] >= 102
    loop.fire(102.5)
    assert (a.woken, b.woken, c.woken) == ([102.5], [101], [102.5])
    assert loop.calls == []


def test_a_timer_that_fires_early_wakes_nobody_and_is_set_again() -> None:
    loop, timers = made()
    a = Sleeper(loop)
    timers.at(101, a)
    loop.fire(100.9999)
    assert a.woken == []
    loop.fire(101)
    assert a.woken == [101]


def test_a_later_time_replaces_an_earlier_one_and_the_other_way_round() -> None:
    loop, timers = made()
    a, b = Sleeper(loop), Sleeper(loop)
    timers.at(101, a)
    timers.at(103, a)
    timers.at(103, b)
    timers.at(102, b)
    loop.fire(101.5)
    assert a.woken == b.woken == []
    loop.fire(102)
    assert (a.woken, b.woken) == ([], [102])
    loop.fire(103)
    assert (a.woken, b.woken) == ([103], [102])


def test_who_asks_for_the_same_time_twice_is_woken_once() -> None:
    loop, timers = made()
    a = Sleeper(loop)
    for time in (103.0, 101.0, 103.0, 103.0):
        timers.at(time, a)
    loop.fire(101)
    assert a.woken == []
    loop.fire(103)
    assert a.woken == [103]
    assert loop.calls == []


def test_who_no_longer_wants_to_be_woken_is_not() -> None:
    loop, timers = made()
    a = Sleeper(loop)
    timers.at(101, a)
    a.wake_at = None
    loop.fire(101)
    assert a.woken == []


def test_who_fails_on_waking_keeps_nobody_else_asleep() -> None:
    loop, timers = made()
    bad, good, late = Sleeper(loop, fails=True), Sleeper(loop), Sleeper(loop)
    timers.at(101, bad)
    timers.at(101, good)
    timers.at(102, late)
    loop.fire(101)
    assert good.woken == [101]
    assert [str(problem["exception"]) for problem in loop.problems] == ["on waking"]
    loop.fire(102)
    assert late.woken == [102]


def test_a_time_far_off_that_is_asked_for_again_and_again_piles_nothing_up() -> None:
    loop, timers = made()
    a = Sleeper(loop)
    for n in range(20 * LEAST):
        timers.at(5000, a)
        timers.at(100 + n / 1000, a)
        loop.fire(100 + n / 1000)
    assert len(a.woken) == 20 * LEAST
    assert len(timers._heap) <= LEAST + 1
    timers.at(5000, a)
    a.woken.clear()
    loop.fire(5000)
    assert a.woken == [5000]


def test_more_sleepers_than_the_least_heap_are_all_woken() -> None:
    loop, timers = made()
    sleepers = [Sleeper(loop) for _ in range(5 * LEAST)]
    for n, each in enumerate(sleepers):
        timers.at(200 - n % 7, each)
    loop.fire(200)
    assert all(each.woken == [200] for each in sleepers)


def test_after_close_nobody_is_woken() -> None:
    loop, timers = made()
    timers.at(101, Sleeper(loop))
    timers.close()
    assert loop.calls == []


def test_a_real_loop_never_wakes_early() -> None:
    asked: list[tuple[float, float]] = []

    class Real:
        wake_at: float | None = None

        def __init__(self, due: float) -> None:
            self.due = due

        def wake(self) -> None:
            asked.append((self.due, monotonic()))

    async def main() -> None:
        timers = Timers(asyncio.get_running_loop())
        start = monotonic()
        for n in range(500):
            due = start + (n * 7 % 100) / 1000
            timers.at(due, Real(due))
        while len(asked) < 500:
            await asyncio.sleep(0.01)
        timers.close()

    asyncio.run(main())
    assert all(woken >= due for due, woken in asked)
    assert [due for due, _ in asked] == sorted(due for due, _ in asked)
