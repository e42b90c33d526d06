"""One browser for all tests of this folder."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from .chromium import CHROMIUM, Chromium, chromium
from .devtools import DevTools


@pytest.fixture(scope="package")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Chromium]:
    """A running Chromium."""
    if CHROMIUM is None:
        pytest.skip("no Chromium on this machine: apt-get install chromium")
    with chromium(tmp_path_factory.mktemp("chromium")) as running:
        yield running


@pytest.fixture(scope="module")
def evaluate(browser: Chromium) -> Iterator[Callable[..., Any]]:
    """Run JavaScript in a page and return what its promise resolves to."""
    tab = browser.open()
    yield tab.evaluate
    tab.close()


@pytest.fixture
def devtools(browser: Chromium) -> Iterator[DevTools]:
    """Chrome's developer tools, opened on an empty page."""
    page = browser.open()
    tools = DevTools(page)
    yield tools
    tools.close()
    page.close()
