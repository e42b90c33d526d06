"""What a notebook shows: escaped, self-contained, well-formed, and quick however much there is."""

from __future__ import annotations

import re
import time
from collections.abc import Callable
from html.parser import HTMLParser
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mockforge_nb import ANY, Mock, Script, Traffic, close
from mockforge_nb.core.log import HANDSHAKE, IN, OUT, Log
from mockforge_nb.core.message import BINARY, TEXT
from mockforge_nb.core.record import ConnectionRecord
from mockforge_nb.notebook.display import SHOWN_ROWS, frame_html, safe, shorten, table, titled, visible

from .conftest import PATIENCE

HOSTILE = (
    "<script>alert(1)</script>",
    "\"'><img src=x onerror=alert(1)>",
    "</td></table></div>&lt;b&gt;&amp;",
    "a\x00b\x1b[31mred\x07\r\n\ttab",
    "\u202eevil\u2066\u200b\ufeff",
    "<!-- --><style>*{display:none}</style>",
    "javascript:alert(1) http://example.com/x.css",
    "x" * 1_000_000,
    "&" * 500,
    "ünï©ødé 👩\u200d🔬 میخواهم",
)

T0 = 1_700_000_000_000_000_000
ALLOWED = {"div", "span", "strong", "code", "table", "thead", "tbody", "tr", "th", "td", "svg", "g", "rect"}
INVISIBLE = re.compile("[\x00-\x1f\x7f-\x9f\u200b\u200e\u200f\u2028-\u202e\u2060-\u206f\ufeff\ud800-\udfff]")


class Page(HTMLParser):
    """Reads HTML as a browser does, and fails where a browser would have to guess."""

    def __init__(self, html: str) -> None:
        super().__init__(convert_charrefs=True)
        self.open: list[str] = []
        self.text = ""
        self.rows = 0
        self.feed(html)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.handle_startendtag(tag, attrs)
        self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        assert tag in ALLOWED, f"<{tag}> is none of ours"
        for name, value in attrs:
            assert not name.startswith("on")
            assert name not in ("href", "src", "class", "id")
            assert "url(" not in (value or "")
        self.rows += tag == "tr"

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text += data

    def handle_comment(self, data: str) -> None:
        raise AssertionError(f"a comment: {data}")

    def handle_decl(self, decl: str) -> None:
        raise AssertionError(f"a declaration: {decl}")

    handle_pi = unknown_decl = handle_comment


def page(html: str) -> Page:
    """Return what is shown, if it is fit to be shown."""
    assert not INVISIBLE.search(html)
    html.encode()  # as the kernel does to send it: no lone surrogates
    return Page(html)


# The parts


@given(st.text(alphabet=st.characters(categories=None)))
def test_any_text_is_escaped_visible_and_not_too_long(text: str) -> None:
    shown = safe(text)
    assert not set("<>\"'") & set(shown)
    assert page(table((text, "b"), [(text, text)]) + titled(text, f"<div>{shown}</div>", color="red"))


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("plain", "plain"),
        ("a\nb\tc", r"a\nb\tc"),
        ("\x1b[0m\x00", r"\x1b[0m\x00"),
        ("\u202eevil", r"\u202eevil"),
        ("\ud800", r"\ud800"),
        ("👩\u200d🔬", "👩\u200d🔬"),
        (r"\n", r"\n"),
    ],
)
def test_what_cannot_be_seen_is_spelled_out(text: str, shown: str) -> None:
    assert visible(text) == shown


def test_long_texts_end_in_an_ellipsis() -> None:
    assert shorten("x" * 100) == "x" * 100
    assert shorten("x" * 101) == "x" * 99 + "…"
    assert safe(b"x" * 10**7) == "b&#x27;" + "x" * 97 + "…"


# What the package shows


def log_of(payloads: list[bytes], opcode: int = TEXT) -> Log:
    log = Log()
    log.started_ns = T0
    record = ConnectionRecord(number=1, path="/ws", opened_ns=T0)
    log.open(record)
    log.add(T0, 0, record, IN, HANDSHAKE, b"GET /ws 101 Switching Protocols")
    for number, payload in enumerate(payloads, 1):
        log.add(T0 + number, number, record, number % 2, opcode, payload)
    return log


@pytest.mark.parametrize("text", HOSTILE, ids=range(len(HOSTILE)))
def test_hostile_texts_are_shown_as_texts(text: str) -> None:
    shown = visible(shorten(text, 50)).rstrip("…")
    for html in (
        Traffic(log_of([text.encode()]))._repr_html_(),
        Mock().echo(text)._repr_html_(),
        Mock().replay([text])._repr_html_(),
        Script.of([text])._repr_html_(),
        Script.of([{"a": text}])._repr_html_(),
        Script.parse('{"text": "x"}', name=text)._repr_html_(),
    ):
        seen = page(html)
        assert len(html) < 20_000
        assert seen.text
    assert shown in page(Traffic(log_of([text.encode()]))._repr_html_()).text


@pytest.mark.parametrize("text", HOSTILE, ids=range(len(HOSTILE)))
def test_a_server_shows_what_clients_say_and_errors_tell_as_texts(text: str) -> None:
    def fails() -> str:
        raise ValueError(text)

    mock = Mock().replay([{"text": "{{fails()}}", "waitFor": "."}]).templates(fails=fails)
    server = mock.serve(port=0)
    with server.client(additional_headers={"X-Odd": re.sub(r"[^\x20-\x7e]", "", text)[:200]}) as client:
        client.send(text)
        client.send(text.encode())
        deadline = time.monotonic() + PATIENCE
        while not server.errors and time.monotonic() < deadline:
            time.sleep(0.01)
        client.close(4000, text.encode()[:20].decode(errors="ignore"))
    html = server._repr_html_()
    assert "TemplateError: template '{{fails()}}'" in page(html).text
    page(server.connections._repr_html_())
    page(server.traffic._repr_html_())
    server.stop()
    assert "stopped" in page(server._repr_html_()).text
    assert len(html) < 30_000


def test_empty_ones_say_that_they_are() -> None:
    with Mock().serve(port=0) as server:
        assert "0 messages" in repr(server.traffic)
        assert "nothing came or went yet" in page(server.traffic._repr_html_()).text
        assert "nothing yet" in page(server.connections._repr_html_()).text
        assert page(server._repr_html_()).text.startswith(f"● MockServer {server.url}, 0 connections")
    assert page(Mock()._repr_html_()).text == "Mock() sends each message back"


def test_a_mock_shows_its_words_and_a_script_its_steps() -> None:
    text = page(Mock().latency("slow").seed(3).replay(["a"], rate=1)._repr_html_()).text
    for word in (".replay(", ".latency(300-800 ms)", ".seed(3)"):
        assert word in text
    steps = (
        '{"ts": 0, "text": "{{uuid}}"}\n{"ts": 1500, "binary": "AAE="}\n{"ts": 9e6, "json": {"a": 1}, "waitFor": "^b"}'
    )
    text = page(Script.parse(steps)._repr_html_()).text
    for word in ("{{uuid}}", r"b'\x00\x01'", '{"a":1}', "after '^b'", "1.5 s"):
        assert word in text


def test_a_wide_frame_shows_the_columns_that_say_something() -> None:
    html = Traffic(log_of([b"a", b"b"]))._repr_html_()
    text = page(html).text
    for column in ("time (2023-11-14 UTC)", "connection", "direction", "text", "size"):
        assert column in text
    for column in ("close_code", "close_reason", "fault", "rule", "trace_id", "data"):
        assert column not in text
    assert "b'\\x00'" in page(Traffic(log_of([b"\0"], BINARY))._repr_html_()).text


# However much there is


def quickest(function: Callable[[], Any]) -> float:
    """The CPU seconds of the quickest of five runs; a busy machine does not count."""
    times = []
    for _ in range(5):
        begun = time.thread_time()
        function()
        times.append(time.thread_time() - begun)
    return min(times)


def test_a_million_rows_cost_no_more_to_show_than_their_frame_and_show_the_last() -> None:
    log = Log()
    log.started_ns = T0
    record = ConnectionRecord(number=1, path="/ws", opened_ns=T0)
    log.open(record)
    for number in range(1_000_000):
        log.add(T0 + number, number, record, OUT, TEXT, b"%d" % number)
    traffic = Traffic(log)
    df = traffic.df  # converted once
    shown = page(traffic._repr_html_())
    assert shown.rows == SHOWN_ROWS + 1
    assert "999999" in shown.text
    assert f"the last {SHOWN_ROWS} of 1,000,000 rows" in shown.text
    assert quickest(lambda: frame_html(df, "x")) < 0.1
    assert quickest(traffic._repr_html_) < 0.5


def test_a_script_of_many_steps_is_shown_at_once() -> None:
    script = Script.of([{"a": number} for number in range(20_000)], rate=100)
    shown = page(script._repr_html_())
    assert shown.rows == SHOWN_ROWS + 1
    assert "… and 19,990 more" in shown.text
    assert len(script._repr_html_()) < 30_000
    assert quickest(script._repr_html_) < 0.1


def test_the_rules_of_a_script_are_shown_escaped_with_what_they_take_answer_and_set() -> None:
    script = (
        Script()
        .when("^<b>$", ["<i>", {"a": 1}, close(4000, "enough")], condition="state.x", set={"n": "{{1 + 1}}"})
        .when(ANY, len, scope="server", state="said", name="the rest")
        .when("^play$", Script().send("a").send("b"))
        .when("^out$", Script().abort())
    )
    html = script._repr_html_()
    for text in (
        "0 steps and 4 rules",
        ">^&lt;b&gt;$<",
        "state.x",
        "&lt;i&gt; · {&#x27;a&#x27;: 1} · close 4000 enough",
        "n = {{1 + 1}}",
        "the rest",
        "len()",
        "said (server)",
        "a script of 2 steps",
    ):
        assert text in html
    assert "<b>" not in html
