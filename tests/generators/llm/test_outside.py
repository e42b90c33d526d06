"""An asynchronous iteration from code that waits."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator
from contextlib import closing

import pytest

from mockforge_nb.generators.llm.outside import iterate

NAME = "mockforge_nb writer"


async def three() -> AsyncIterator[int]:
    for number in range(3):
        await asyncio.sleep(0)
        yield number


def test_it_yields_what_the_iteration_yields() -> None:
    assert list(iterate(three)) == [0, 1, 2]


def test_it_works_where_a_loop_runs_already() -> None:
    async def cell() -> list[int]:
        return list(iterate(three))

    assert asyncio.run(cell()) == [0, 1, 2]


def test_errors_are_raised_behind_what_came_before() -> None:
    async def fails() -> AsyncIterator[int]:
        yield 1
        raise LookupError("gone")

    came = iterate(fails)
    assert next(came) == 1
    with pytest.raises(LookupError, match="gone"):
        next(came)


def test_what_is_left_is_cancelled_and_ends() -> None:
    ended: list[str] = []

    async def endless() -> AsyncIterator[int]:
        try:
            yield 1
            await asyncio.Event().wait()
        finally:
            await asyncio.sleep(0)
            ended.append("cleaned up")

    with closing(iterate(endless)) as came:
        assert next(came) == 1
    assert ended == ["cleaned up"]
    assert NAME not in [each.name for each in threading.enumerate()]
