"""The pytest fixture `ws_mock`: serve mocks in a test, stopped and checked after it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, Protocol

import pytest

if TYPE_CHECKING:
    from .mock import Mock
    from .server import MockServer


class WsMock(Protocol):
    """Serves a mock on a free port; options are those of `Mock.serve`."""

    def __call__(self, mock: Mock, /, **options: Any) -> MockServer:
        """Return the running server."""
        ...


@pytest.fixture
def ws_mock() -> Iterator[WsMock]:
    """Serve mocks in a test, as in ``server = ws_mock(Mock().echo())``.

    Each is served on a free port (unless ``port=`` is given), stopped after the test, and then checked: what went
    wrong by its author's doing fails the test.
    """
    from .mock import Mock

    servers: list[MockServer] = []

    def factory(mock: object, /, **options: Any) -> MockServer:
        if not isinstance(mock, Mock):
            kind = type(mock)
            hint = "; the test imports unittest.mock's" if kind.__module__ == "unittest.mock" else ""
            raise TypeError(
                f"ws_mock() serves a mockforge_nb.Mock, not a {kind.__module__}.{kind.__qualname__}{hint}: "
                "write `from mockforge_nb import Mock` and ws_mock(Mock().echo())"
            )
        server = mock.serve(**{"port": 0, **options})
        servers.append(server)
        return server

    yield factory
    for server in servers:
        server.stop()
    for server in servers:
        server.check()
