"""What MkDocs is told beside its configuration: pages that are kept elsewhere, and links of names to their entry."""

from __future__ import annotations

import re
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING, Final

import commands
from mkdocs.plugins import event_priority
from mkdocs.structure.files import File

import mockforge_nb
from mockforge_nb import errors, ws

if TYPE_CHECKING:
    from mkdocs.config.defaults import MkDocsConfig
    from mkdocs.structure.files import Files
    from mkdocs.structure.pages import Page

ROOT: Final = Path(__file__).resolve().parents[1]
PAGES: Final = {"guide.md": "README.md", "changelog.md": "CHANGELOG.md"}
"""Pages that are files of the repository's top."""

MOVED: Final = {"](docs/images/": "](images/", "](CHANGELOG.md": "](changelog.md", "# mockforge_nb\n": "# Guide\n"}
"""What of these files reads otherwise on the site: where links lead, and the title that the first page has, too."""

_LINK = re.compile(r"\]\(((?:mockforge_nb|notebooks|benchmarks|tests)/[^)#]+)")
"""A link to another file of the repository, which is then on the site, too."""

NAMES: Final = {
    **{name: f"mockforge_nb.ws.{name}" for name in ws.__all__},
    **{name: f"mockforge_nb.{name}" for name in mockforge_nb.__all__ if not name.startswith("_")},
    **{name: f"mockforge_nb.errors.{name}" for name in dir(errors) if name.endswith("Error")},
    **{name: f"mockforge_nb.connections.{name}" for name in ("Connection", "Connections", "Request")},
    "AsyncMockServer": "mockforge_nb.server.AsyncMockServer",
    "Metrics": "mockforge_nb.telemetry.measured.Metrics",
    "MockApp": "mockforge_nb.asgi.MockApp",
    "Spans": "mockforge_nb.telemetry.collected.Spans",
    "Live": "mockforge_nb.live.Live",
    "Sweep": "mockforge_nb.sweep.Sweep",
    "Verdicts": "mockforge_nb.contract.Verdicts",
    "Upstream": "mockforge_nb.upstreams.Upstream",
}
"""What texts call things, and what the reference does."""

_CODE = re.compile(
    r'<h\d id="(?P<entry>mockforge_nb[\w.]*)"|<a [^>]*>.*?</a>|<pre.*?</pre>|<b><code>.*?</code></b>'
    r"|<code>(?P<name>[\w.]+)(?P<called>\(\))?</code>",
    re.DOTALL,
)
_CELL = re.compile(r"<td[^>]*><code>\..*?</td>")
_WORD = re.compile(r"<code>(\.(\w+)\([^<]*)</code>")
_HEADING = re.compile(
    r'(<h\d id="mockforge_nb\.(?:[a-z_]+\.)*([A-Z]\w*|feeds|fields)\.\w+" class="doc doc-heading">'
    r".*?doc-object-name[^>]*>)",
    re.DOTALL,
)
_LOADED = re.compile(
    r"<script\b[^>]*https:[^>]*></script>|<script\b[^>]*>(?:(?!</script>).)*\bimport\((?:(?!</script>).)*</script>",
    re.DOTALL,
)
_OUTSIDE = re.compile(r"https://[^\"'\s]+/(?:resize-observer-polyfill|mermaid@[^\"'\s]+)")


def on_config(config: MkDocsConfig) -> None:
    """List the notebooks, whichever there are."""
    for entry in config.nav or ():
        if "Notebooks" in entry:
            entry["Notebooks"] = [f"notebooks/{path.name}" for path in sorted((ROOT / "notebooks").glob("*.ipynb"))]


@event_priority(100)  # before the plugin of the notebooks looks for them
def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the pages that are kept elsewhere."""
    names = {path.relative_to(ROOT).as_posix() for path in (ROOT / "notebooks").glob("*.ipynb")}
    for name, source in PAGES.items():
        text = (ROOT / source).read_text(encoding="utf-8")
        for there, here in MOVED.items():
            text = text.replace(there, here, 1 if there.startswith("#") else -1)
        files.append(File.generated(config, name, content=text))
        names.update(name for name in _LINK.findall(text) if (ROOT / name).is_file())
    files.append(File.generated(config, "reference/cli.md", content=commands.page()))
    for name in sorted(names):
        files.append(File(name, str(ROOT), config.site_dir, config.use_directory_urls))
    return files


def on_page_markdown(markdown: str, page: Page, config: MkDocsConfig, files: Files) -> None:
    """Let the search find what is in the reference before where it is used."""
    if page.file.src_uri.startswith("reference/"):
        # First of all in the entries of Mock: every page has its name.
        page.meta["search"] = {"boost": 40 if page.file.src_uri.endswith("/mock.md") else 8}


def on_page_content(html: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Let names in the text lead to their entry in the reference: `Mock.replay`, and the words of the guide's table."""
    if page.file.src_uri.endswith(".ipynb"):
        # Formulas and diagrams, of which they have none, would be drawn by scripts of other hosts.
        return _LOADED.sub("", html)
    # A method's heading has its class, and a function's its module, which a reader who searches writes, too.
    html = _HEADING.sub(r"\1\2.", html)
    html = _CELL.sub(lambda cell: _WORD.sub(_word, cell[0]), html)
    return _Names(html).linked()


def on_post_build(config: MkDocsConfig) -> None:
    """Take out of the theme's script what it would load from another host for old browsers and for diagrams."""
    for path in (Path(config.site_dir) / "assets" / "javascripts").glob("bundle.*.js"):
        path.write_text(_OUTSIDE.sub("", path.read_text(encoding="utf-8")), encoding="utf-8")
    for path in Path(config.site_dir).rglob("*.map"):
        path.unlink()  # for the theme's makers; they name other hosts, too


def _word(found: re.Match[str]) -> str:
    text, name = found.groups()
    return _link(f"mockforge_nb.Mock.{name}", text) if hasattr(mockforge_nb.Mock, name) else found[0]


class _Names:
    """The names in a page's text, which mean what they mean where they stand: in Connection, `close` is its own.

    Args:
        html: The page.
    """

    def __init__(self, html: str) -> None:
        self._html = html
        self._entries = {found["entry"] for found in _CODE.finditer(html) if found["entry"]}
        self._owner = ""

    def linked(self) -> str:
        """Return the page with links to what its names mean."""
        return _CODE.sub(self._named, self._html)

    def _named(self, found: re.Match[str]) -> str:
        if found["entry"]:
            self._owner = found["entry"]
        path = self._path(found["name"]) if found["name"] else None
        return found[0] if path is None else _link(path, f"{found['name']}{found['called'] or ''}")

    def _path(self, name: str) -> str | None:
        """Return what the reference calls a name, if it is a public one."""
        for owner in (self._owner, self._owner.rpartition(".")[0]):
            if f"{owner}.{name}" in self._entries:
                return f"{owner}.{name}"
        first, _, rest = name.removeprefix("mockforge_nb.").partition(".")
        path = NAMES.get(first)
        return f"{path}.{rest}" if path and rest else path


def _link(path: str, text: str) -> str:
    # Where there is no such entry the plugin leaves the text as it is.
    return f'<autoref identifier="{escape(path)}" optional><code>{text}</code></autoref>'
