"""What the tests of the wire share."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from .upstreams import Started, Upstream


@pytest.fixture
def started() -> Iterator[Started]:
    """Stop upstreams at the end of the test."""
    running: list[Upstream] = []

    def start(upstream: Upstream) -> Upstream:
        running.append(upstream)
        return upstream

    yield start
    for each in running:
        each.stop()
