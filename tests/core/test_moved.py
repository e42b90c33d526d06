"""Times inside of messages, moved without a change of their form."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mockforge_nb.core.moved import moved, time_of

SECOND = 1_000_000_000


@pytest.mark.parametrize(
    ("before", "after"),
    [
        (1_700_000_000, 1_700_000_090),
        (1_700_000_000.25, 1_700_000_090.25),
        (1_700_000_000_000, 1_700_000_090_000),
        (1_700_000_000_000.5, 1_700_000_090_000.5),
        (1_700_000_000_000_000, 1_700_000_090_000_000),
        (1_700_000_000_000_000_001, 1_700_000_090_000_000_001),
        ("1700000000", "1700000090"),
        ("1700000000.123456", "1700000090.123456"),
        ("1700000000000", "1700000090000"),
        ("2024-01-15T10:30:00Z", "2024-01-15T10:31:30Z"),
        ("2024-01-15T10:30:00.123Z", "2024-01-15T10:31:30.123Z"),
        ("2024-01-15T23:59:59.123456789+05:30", "2024-01-16T00:01:29.123456789+05:30"),
        ("2024-01-15 10:30", "2024-01-15 10:31"),
        ("2024-02-28T23:59:00-0800", "2024-02-29T00:00:30-0800"),
        ("2024-01-15", "2024-01-15"),
        ("1969-12-31T23:59:59Z", "1970-01-01T00:01:29Z"),
        (None, None),
        (True, True),
        (42, 42),
        (12.5, 12.5),
        ("soon", "soon"),
        ("2024-13-45T99:00:00Z", "2024-13-45T99:00:00Z"),
        ([1_700_000_000], [1_700_000_000]),
        (float("nan"), None),
        (1e300, 1e300),
    ],
)
def test_a_time_moves_and_keeps_its_form(before: Any, after: Any) -> None:
    made = moved(before, 90 * SECOND)
    assert made == after or (after is None and made != made)
    assert type(made) is type(before)


@given(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=30)
    | st.datetimes().map(lambda each: each.isoformat()),
    st.integers(-(10**20), 10**20),
)  # fmt: skip
def test_whatever_it_is_it_comes_back_in_its_form(value: Any, shift: int) -> None:
    assert type(moved(value, shift)) is type(value)


@given(st.integers(10**9, 2 * 10**9), st.integers(0, 10**9))
def test_two_times_keep_their_distance(start: int, gap: int) -> None:
    for unit in (1, 1000, 10**6):
        first, second = moved(start * unit, 5 * SECOND), moved((start + gap) * unit, 5 * SECOND)
        assert second - first == gap * unit
    assert time_of(start) == start * SECOND
