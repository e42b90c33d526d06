"""What MkDocs is told beside its configuration: pages that are kept elsewhere, and links of names to their entry."""

from __future__ import annotations

import re
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING, Final

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

SHOWN: Final = ("*.ipynb", "scripts/*.jsonl")
"""What of the notebooks' folder is shown, or linked to."""

NAMES: Final = {
    **{name: f"mockforge_nb.ws.{name}" for name in ws.__all__},
    **{name: f"mockforge_nb.{name}" for name in mockforge_nb.__all__ if not name.startswith("_")},
    **{name: f"mockforge_nb.errors.{name}" for name in dir(errors) if name.endswith("Error")},
    **{name: f"mockforge_nb.connections.{name}" for name in ("Connection", "Connections", "Request")},
    "AsyncMockServer": "mockforge_nb.server.AsyncMockServer",
    "Live": "mockforge_nb.live.Live",
    "Sweep": "mockforge_nb.sweep.Sweep",
    "Verdicts": "mockforge_nb.contract.Verdicts",
    "Upstream": "mockforge_nb.upstreams.Upstream",
}
"""What texts call things, and what the reference does."""

_CODE = re.compile(r"(<a [^>]*>.*?</a>|<h[1-6].*?</h[1-6]>|<pre.*?</pre>)|<code>([\w.]+)(\(\))?</code>", re.DOTALL)
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
_OUTSIDE = re.compile(r"https://unpkg\.com/[^\"']+")


@event_priority(100)  # before the plugin of the notebooks looks for them
def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the pages that are kept elsewhere."""
    for name, source in PAGES.items():
        text = (ROOT / source).read_text(encoding="utf-8")
        for there, here in MOVED.items():
            text = text.replace(there, here, 1 if there.startswith("#") else -1)
        files.append(File.generated(config, name, content=text))
    folder = ROOT / "notebooks"
    for path in sorted(found for pattern in SHOWN for found in folder.glob(pattern)):
        name = path.relative_to(ROOT).as_posix()
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
    return _CODE.sub(_named, html)


def on_post_build(config: MkDocsConfig) -> None:
    """Take out of the theme's script what it would load from another host for old browsers and for diagrams."""
    for path in (Path(config.site_dir) / "assets" / "javascripts").glob("bundle.*.js"):
        path.write_text(_OUTSIDE.sub("", path.read_text(encoding="utf-8")), encoding="utf-8")
    for path in Path(config.site_dir).rglob("*.map"):
        path.unlink()  # for the theme's makers; they name other hosts, too


def _named(found: re.Match[str]) -> str:
    kept, name, called = found.groups()
    path = None if kept else _path(name)
    return found[0] if path is None else _link(path, f"{name}{called or ''}")


def _word(found: re.Match[str]) -> str:
    text, name = found.groups()
    return _link(f"mockforge_nb.Mock.{name}", text) if hasattr(mockforge_nb.Mock, name) else found[0]


def _path(name: str) -> str | None:
    """Return what the reference calls a name, if it is a public one."""
    first, _, rest = name.removeprefix("mockforge_nb.").partition(".")
    path = NAMES.get(first)
    return f"{path}.{rest}" if path and rest else path


def _link(path: str, text: str) -> str:
    # Where there is no such entry the plugin leaves the text as it is.
    return f'<autoref identifier="{escape(path)}" optional><code>{text}</code></autoref>'
