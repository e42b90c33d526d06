"""The site that `make docs` builds: without a warning, with an entry for each public name, and no link into nothing."""

from __future__ import annotations

import inspect
import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

import pytest

import mockforge_nb
from mockforge_nb import connections, errors, feeds, fields, pytest_plugin, server, tracing, ws
from mockforge_nb.telemetry.collected import Spans
from mockforge_nb.telemetry.measured import Metrics

from .conftest import PATIENCE, ROOT

pytest.importorskip("mkdocs", reason="the documentation's packages are not installed: pip install --group docs")

LOADED = {"script": "src", "img": "src", "link": "href", "iframe": "src", "source": "src"}
"""What a browser fetches by itself, and where it says what."""

CLASSES = {
    "mockforge_nb.Mock": mockforge_nb.Mock,
    "mockforge_nb.Script": mockforge_nb.Script,
    "mockforge_nb.MockServer": mockforge_nb.MockServer,
    "mockforge_nb.Traffic": mockforge_nb.Traffic,
    "mockforge_nb.Message": mockforge_nb.Message,
    "mockforge_nb.LatencyProfile": mockforge_nb.LatencyProfile,
    "mockforge_nb.TableModel": mockforge_nb.TableModel,
    "mockforge_nb.connections.Connection": connections.Connection,
    "mockforge_nb.server.AsyncMockServer": server.AsyncMockServer,
    "mockforge_nb.telemetry.collected.Spans": Spans,
    "mockforge_nb.telemetry.measured.Metrics": Metrics,
    "mockforge_nb.ws.AiEventGenerator": ws.AiEventGenerator,
}
ENTRIES = [
    *(
        f"mockforge_nb.{'errors.' if hasattr(errors, name) else ''}{name}"
        for name in mockforge_nb.__all__
        if name != "__version__"
    ),
    *(f"{module.__name__}.{name}" for module in (feeds, fields, tracing, ws) for name in module.__all__),
    f"{pytest_plugin.__name__}.ws_mock",
]


@dataclass
class Page(HTMLParser):
    """What of a page links and is linked to.

    Attributes:
        anchors: The ids of its elements.
        links: Where its links lead.
        fetched: What a browser fetches with it.
    """

    text: str
    anchors: set[str] = field(default_factory=set)
    links: set[str] = field(default_factory=set)
    fetched: set[str] = field(default_factory=set)

    def __post_init__(self) -> None:
        super().__init__()
        self.feed(self.text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        said = {name: value for name, value in attrs if value}
        self.anchors.update(said[name] for name in ("id", "name") if name in said)
        if tag == "a" and "href" in said:
            self.links.add(said["href"])
        if tag in LOADED and LOADED[tag] in said and said.get("rel") != "canonical":
            self.fetched.add(said[LOADED[tag]])


@dataclass
class Site:
    """The built site.

    Attributes:
        folder: Where it is.
        output: What was said while it was built.
        pages: Its pages by their paths within the site.
    """

    folder: Path
    output: str
    pages: dict[str, Page]

    def lost(self, name: str, link: str) -> bool:
        """Whether a link or a fetched file of a page is not there; what is on other hosts is not asked for."""
        parts = urlsplit(link)
        if parts.scheme or parts.netloc:
            return False
        # The page for what is not there is shown at any path, so that its links begin at the top.
        start = self.folder if parts.path.startswith("/") else (self.folder / name).parent
        target = start / unquote(parts.path).lstrip("/") if parts.path else self.folder / name
        place = os.path.relpath(target.resolve(), self.folder.resolve())
        if place in self.pages:
            return bool(parts.fragment) and unquote(parts.fragment) not in self.pages[place].anchors
        return not target.is_file()


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Site:
    folder = tmp_path_factory.mktemp("docs") / "site"
    run = subprocess.run(
        [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", str(folder)],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": ROOT, "NO_MKDOCS_2_WARNING": "1"},
        capture_output=True,
        text=True,
        timeout=5 * PATIENCE,
        check=False,
    )
    assert run.returncode == 0, run.stdout + run.stderr
    pages = {path.relative_to(folder).as_posix(): Page(path.read_text()) for path in folder.rglob("*.html")}
    return Site(folder, run.stdout + run.stderr, pages)


def test_it_is_built_without_a_warning(site: Site) -> None:
    assert not re.findall(r"(?m)^(?:WARNING|ERROR).*", site.output)
    assert len(site.pages) > len(list(Path(ROOT, "notebooks").glob("*.ipynb")))


def test_each_public_name_has_an_entry(site: Site) -> None:
    assert [name for name in ENTRIES if name not in _anchors(site)] == []


@pytest.mark.parametrize("path", CLASSES)
def test_each_public_method_has_an_entry_also_where_it_is_inherited(site: Site, path: str) -> None:
    wanted = [f"{path}.{name}" for name in public(CLASSES[path])]
    assert wanted
    assert [name for name in wanted if name not in _anchors(site)] == []


def test_no_private_name_has_an_entry(site: Site) -> None:
    private = [name for name in _anchors(site) if re.match(r"mockforge_nb\.(.*\.)?_", name)]
    assert private == []


def test_every_link_and_anchor_leads_somewhere(site: Site) -> None:
    links = [(name, link) for name, page in site.pages.items() for link in (*page.links, *page.fetched)]
    assert [(name, link) for name, link in links if site.lost(name, link)] == []
    guide = {urlsplit(link).path for link in site.pages["guide.html"].links}
    assert {"notebooks/01_quickstart.html", "notebooks/scripts/guess.jsonl", "changelog.html"} <= guide


def test_a_link_into_nothing_would_be_found(site: Site) -> None:
    assert site.lost("guide.html", "#no-such-anchor")
    assert site.lost("reference/mock.html", "../no/such.html")
    assert not site.lost("reference/mock.html", "../guide.html#answer")


def test_it_needs_no_other_host(site: Site) -> None:
    fetched = [(name, each) for name, page in site.pages.items() for each in page.fetched]
    assert [each for each in fetched if urlsplit(each[1]).netloc] == []
    scripts = [*site.folder.rglob("*.css"), *site.folder.rglob("*.js")]
    loading = re.compile(
        r"""(?:url\(|@import|import\(|src\s*=)\s*["']?https?://[^"')]+|["']https?://[^"'\s<]+(?:\.m?js|polyfill)\b"""
    )
    texts = {path: path.read_text() for path in scripts if path.parent.name != "search"}
    texts |= {site.folder / name: page.text for name, page in site.pages.items()}
    assert {str(path): loading.findall(text) for path, text in texts.items() if loading.search(text)} == {}


@pytest.mark.parametrize("name", ["Mock.replay", "MockServer.wait_for", "Script.send", "Traffic.select"])
def test_the_search_knows_methods_by_their_class(site: Site, name: str) -> None:
    index = json.loads((site.folder / "search" / "search_index.json").read_text())
    found = [each["location"] for each in index["docs"] if each["title"].endswith(name) or f">{name}<" in each["title"]]
    assert any(location.endswith(f"#mockforge_nb.{name}") for location in found)


def test_signatures_have_types_and_no_private_parameters(site: Site) -> None:
    text = re.sub(r"<[^>]+>", "", site.pages["reference/mock.html"].text)
    assert "echo(prefix: str = '') -&gt; Mock" in text.replace("&#39;", "'")
    assert re.search(r"latency\([^)]*direction[^)]*\) -&gt; Mock", text)  # of Mock; of a server: Live
    assert "_behaviour" not in text
    of_server = re.sub(r"<[^>]+>", "", site.pages["reference/server.html"].text)
    assert re.search(r"latency\([^)]*direction[^)]*\) -&gt; Live", of_server)


def test_a_name_in_the_text_leads_to_its_entry_and_in_a_class_to_its_own(site: Site) -> None:
    assert "#mockforge_nb.connections.Connection.close" in site.pages["reference/connection.html"].links
    assert "reference/mock.html#mockforge_nb.Mock.replay" in site.pages["guide.html"].links


def test_a_class_has_the_attributes_that_its_base_describes(site: Site) -> None:
    text = re.sub(r"<[^>]+>", "", site.pages["reference/server.html"].text)
    assert text.count("Every message, in and out.") == len(("MockServer", "AsyncMockServer", "MockApp"))


def test_an_example_is_shown_as_code(site: Site) -> None:
    for name, page in site.pages.items():
        assert "&gt;&gt;&gt;" not in re.sub(r"<pre.*?</pre>", "", page.text, flags=re.DOTALL), name
        assert "<blockquote>\n<blockquote>" not in page.text, name


def public(cls: type) -> Iterator[str]:
    """Return the names of the public methods and properties of a class, those that it inherits from ours, too."""
    for name, value in inspect.getmembers(cls):
        ours = getattr(inspect.unwrap(getattr(value, "fget", None) or value), "__module__", "") or ""
        if not name.startswith("_") and ours.startswith("mockforge_nb") and inspect.getdoc(value):
            yield name


def _anchors(site: Site) -> set[str]:
    return {anchor for page in site.pages.values() for anchor in page.anchors}
