"""The pytest fixture `ws_mock`: serve mocks in a test, stopped and checked after it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
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
    """Serve mocks in a test, stop them after it, and check them.

    ``server = ws_mock(Mock().echo())`` is served on a free port unless ``port=`` is given. What went wrong by its
    author's doing fails the test, unless ``server.check()`` raised it there: a test may expect it.
    """
    from .mock import Mock

    servers: list[MockServer] = []

    def factory(mock: object, /, **options: Any) -> MockServer:
        if not isinstance(mock, Mock):
            raise TypeError(f"ws_mock() serves a mockforge_nb.Mock, not {_what(mock)}; {_WAY_OUT}")
        server = mock.serve(**{"port": 0, **options})
        servers.append(server)
        return server

    yield factory
    with ExitStack() as stack:
        for server in servers:
            stack.callback(server.stop)
    _check(servers)


_WAY_OUT = "write `from mockforge_nb import Mock` and ws_mock(Mock().echo())"


def _what(thing: object) -> str:
    kind = thing if isinstance(thing, type) else type(thing)
    name = kind.__qualname__ if kind.__module__ == "builtins" else f"{kind.__module__}.{kind.__qualname__}"
    what = f"the class {name} itself" if isinstance(thing, type) else f"a {name}"
    return what + " (the test imports unittest.mock's)" if kind.__module__ == "unittest.mock" else what


def _check(servers: list[MockServer]) -> None:
    """Raise the first error of all servers; what the others have are its notes."""
    first: Exception | None = None
    for server in servers:
        try:
            server.check_rest()
        except Exception as error:  # noqa: BLE001  # whatever the author's code raised; it is raised below
            if first is None:
                first = error
            else:
                first.add_note(f"also, on {server.url}: {type(error).__name__}: {error}")
    if first is not None:
        raise first
