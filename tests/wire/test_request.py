"""Ordinary handshakes are read here, all others by `websockets`: both ways let in the same clients."""

from __future__ import annotations

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from websockets.http11 import Request
from websockets.server import ServerProtocol

from mockforge_nb.wire.request import Asked, ordinary

KEY = "dGhlIHNhbXBsZSBub25jZQ=="
HEADERS = (
    ("Host", "127.0.0.1"),
    ("Upgrade", "websocket"),
    ("Connection", "Upgrade"),
    ("Sec-WebSocket-Key", KEY),
    ("Sec-WebSocket-Version", "13"),
)


def request(target: str = "/ws", headers: tuple[tuple[str, str], ...] = HEADERS, method: str = "GET") -> bytes:
    lines = [f"{method} {target} HTTP/1.1", *(f"{name}: {value}" for name, value in headers), "", ""]
    return "\r\n".join(lines).encode("latin-1")


def judged(data: bytes) -> tuple[Asked, bytes] | None:
    """Return what `websockets` reads and answers to a request that it lets in."""
    protocol = ServerProtocol()
    protocol.receive_data(data)
    for event in protocol.events_received():
        if isinstance(event, Request):
            response = protocol.accept(event)
            if response.status_code == 101:
                del response.headers["Date"]
                return Asked(event.path, tuple(event.headers.raw_items())), response.serialize()
    return None


def test_an_ordinary_request_is_answered_as_the_library_does_and_what_follows_is_left() -> None:
    data = request("/ws?a=1&b=%20")
    read = ordinary(data + b"\x81\x80....")
    assert read is not None
    assert read[:2] == judged(data)
    assert read[2] == len(data)
    assert b"Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n" in read[1]
    assert (read[0].path, read[0].target) == ("/ws", "/ws?a=1&b=%20")


def test_the_subprotocols_that_are_offered_are_read_in_their_order() -> None:
    offers = (("Sec-WebSocket-Protocol", "chat, superchat"), ("sec-websocket-protocol", "x"))
    read = ordinary(request(headers=(*HEADERS, *offers)))
    assert read is not None
    assert read[0].subprotocols == ("chat", "superchat", "x")


@pytest.mark.parametrize(
    "data",
    [
        request()[:-1],
        request(method="POST"),
        request("ws"),
        request("/w s"),
        request("/\u00fc"),
        request().replace(b"HTTP/1.1", b"HTTP/1.0"),
        request().replace(b"\r\n", b"\n"),
        request(headers=HEADERS[:1] + HEADERS[2:]),
        request(headers=(*HEADERS, ("Upgrade", "websocket"))),
        request(headers=(*HEADERS, ("sec-websocket-key", KEY))),
        request(headers=(*HEADERS, ("Bad Name", "x"))),
        request(headers=(*HEADERS, ("Folded", "x\r\n y"))),
        request(headers=(*HEADERS, ("Odd", "\x00"))),
        request(headers=(*HEADERS, ("Odd", "\u00e4"))),
        request(headers=(*HEADERS, ("Long", "x" * 9000))),
        request(headers=(*HEADERS, *(("Many", str(number)) for number in range(200)))),
        request().replace(b"Version: 13", b"Version: 8"),
        request().replace(KEY.encode(), b"short"),
        request().replace(KEY.encode(), b"=" * 24),
        b"\x16\x03\x01",
        b"\r\n\r\n",
    ],
)
def test_whatever_is_odd_is_left_to_the_library(data: bytes) -> None:
    assert ordinary(data) is None


TOKENS = st.text("abcABC-_!", min_size=1, max_size=8)
VALUES = st.text(st.characters(codec="latin-1", exclude_characters="\r\n"), max_size=12) | st.sampled_from(
    ["websocket", "Upgrade", "keep-alive, Upgrade", "upgrade, x", "13", "8", KEY, " padded "]
)
NAMES = TOKENS | st.sampled_from([name for name, _ in HEADERS] + [name.lower() for name, _ in HEADERS])


@settings(suppress_health_check=[HealthCheck.too_slow], max_examples=300)
@given(
    st.text("/abc?=&%20 \u00e4", max_size=12).map(lambda text: "/" + text),
    st.lists(st.tuples(NAMES, VALUES), max_size=4),
    st.integers(0, 5),
)
def test_what_is_read_here_is_what_the_library_reads(target: str, more: list[tuple[str, str]], without: int) -> None:
    headers = HEADERS[:without] + HEADERS[without + 1 :]
    data = request(target, (*headers, *more))
    read = ordinary(data)
    if read is not None:
        assert read[:2] == judged(data)


@given(st.binary(max_size=200))
def test_no_bytes_are_taken_for_a_request_that_the_library_refuses(noise: bytes) -> None:
    for data in (noise, noise + request(), request()[:50] + noise + request()[50:]):
        read = ordinary(data)
        if read is not None:
            assert read[:2] == judged(data[: read[2]])
