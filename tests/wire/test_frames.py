"""Frames that RFC 6455 forbids, and odd ones that it allows."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from mockforge_nb import Mock, MockServer
from mockforge_nb.pytest_plugin import WsMock

from .raw import (
    BINARY,
    CLOSE,
    CONT,
    PING,
    PONG,
    TEXT,
    Raw,
    close_frame,
    ended,
    frame,
    rows,
    still_echoes,
)


@pytest.fixture(autouse=True)
def _nothing_is_printed(capfd: pytest.CaptureFixture[str]) -> Iterator[None]:
    yield
    assert capfd.readouterr() == ("", "")


@pytest.fixture
def server(ws_mock: WsMock) -> MockServer:
    return ws_mock(Mock().echo().limits(message_bytes=1000))


# Frames that RFC 6455 forbids


FORBIDDEN = {
    "an unmasked frame": (frame(TEXT, b"hi", masked=False), 1002),
    "an unmasked control frame": (frame(PING, b"", masked=False), 1002),
    "RSV1": (frame(TEXT, b"hi", rsv=4), 1002),
    "RSV2": (frame(TEXT, b"hi", rsv=2), 1002),
    "RSV3": (frame(BINARY, b"hi", rsv=1), 1002),
    "a reserved data opcode": (frame(3, b"hi"), 1002),
    "a reserved control opcode": (frame(11), 1002),
    "a ping of 126 bytes": (frame(PING, b"x" * 126), 1002),
    "a close frame of 126 bytes": (close_frame(1000, b"x" * 124), 1002),
    "a fragmented ping": (frame(PING, b"x", fin=False), 1002),
    "a continuation of nothing": (frame(CONT, b"x"), 1002),
    "a message in a fragmented one": (frame(TEXT, b"a", fin=False) + frame(TEXT, b"b"), 1002),
    "a close frame of one byte": (frame(CLOSE, b"\x03"), 1002),
    "the close code 999": (close_frame(999), 1002),
    "the close code 1005": (close_frame(1005), 1002),
    "the close code 1006": (close_frame(1006), 1002),
    "the close code 5000": (close_frame(5000), 1002),
    "a close reason that is no UTF-8": (close_frame(1000, b"\xff"), 1007),
    "text that is no UTF-8": (frame(TEXT, b"abc\xffdef"), 1007),
    "text that ends in half a letter": (frame(TEXT, "ä".encode()[:1]), 1007),
    "a surrogate": (frame(TEXT, b"\xed\xa0\x80"), 1007),
    "UTF-8 that a second fragment breaks": (frame(TEXT, "ä".encode()[:1], fin=False) + frame(CONT, b"x"), 1007),
    "UTF-8 that the last fragment leaves open": (
        frame(TEXT, b"a", fin=False) + frame(CONT, "ä".encode()[:1], fin=False) + frame(CONT),
        1007,
    ),
    "a message one byte too long": (frame(BINARY, b"x" * 1001), 1009),
    "the header of an endless message": (b"\x82\xff" + b"\x7f" * 8, 1009),
    "fragments that are too long together": (frame(TEXT, b"x" * 600, fin=False) + frame(CONT, b"x" * 401), 1009),
}


@pytest.mark.parametrize("name", FORBIDDEN)
def test_forbidden_frames_are_answered_with_their_code(server: MockServer, name: str) -> None:
    sent, code = FORBIDDEN[name]
    with Raw(server).open() as client:
        client.send(frame(TEXT, b"good") + sent + frame(TEXT, b"ignored"))
        assert client.frame() == (TEXT, b"good")
        assert client.closed()[0] == code
    ended(server)
    assert rows(server)[:3] == [("in", "handshake", 0), ("in", "text", 0), ("out", "text", 0)]
    assert rows(server)[3:] == [("out", "close", code)]
    assert list(server.connections.df["close_code"]) == [code]
    assert still_echoes(server)


@pytest.mark.parametrize("name", FORBIDDEN)
def test_forbidden_frames_are_answered_alike_when_they_come_byte_by_byte(server: MockServer, name: str) -> None:
    sent, code = FORBIDDEN[name]
    with Raw(server).open() as client:
        try:
            for byte in sent:
                client.send(bytes((byte,)))
        except ConnectionError:
            pytest.skip("the server hung up before all was sent")
        assert client.closed()[0] == code


def test_invalid_utf8_is_noticed_at_the_fragment_that_has_it(server: MockServer) -> None:
    with Raw(server).open() as client:
        client.send(frame(TEXT, b"\xff", fin=False))
        assert client.closed()[0] == 1007


def test_a_client_that_answers_1009_properly_leaves_no_abort_row(server: MockServer) -> None:
    with Raw(server).open() as client:
        client.send(frame(BINARY, b"x" * 5000))
        assert client.frame()[1][:2] == (1009).to_bytes(2, "big")
        client.send(close_frame(1009))
        assert client.rest() == b""
    ended(server)
    assert rows(server) == [("in", "handshake", 0), ("out", "close", 1009)]


# Frames that it allows


def test_control_frames_may_stand_between_fragments(server: MockServer) -> None:
    letter = "€".encode()
    parts = [
        frame(TEXT, letter[:1], fin=False),
        frame(PING, b"one"),
        frame(CONT, letter[1:2], fin=False),
        frame(PONG, b"unasked"),
        frame(CONT, b"", fin=False),
        frame(PING, b"x" * 125),
        frame(CONT, letter[2:]),
    ]
    with Raw(server).open() as client:
        client.send(b"".join(parts))
        assert [client.frame() for _ in range(3)] == [(PONG, b"one"), (PONG, b"x" * 125), (TEXT, letter)]
    ended(server)
    assert rows(server, 1, "direction", "opcode", "size")[1:-1] == [
        ("in", "ping", 3), ("out", "pong", 3), ("in", "pong", 7), ("in", "ping", 125), ("out", "pong", 125),
        ("in", "text", 3), ("out", "text", 3),
    ]  # fmt: skip


def test_a_close_frame_may_stand_between_fragments(server: MockServer) -> None:
    with Raw(server).open() as client:
        client.send(frame(TEXT, b"half", fin=False) + close_frame(1000))
        assert client.closed() == (1000, "")
    ended(server)
    assert rows(server)[1:] == [("in", "close", 1000), ("out", "close", 1000)]


@pytest.mark.parametrize(
    ("sent", "code", "reason"),
    [
        (frame(CLOSE), 1005, ""),
        (close_frame(1000), 1000, ""),
        (close_frame(3000, "tschüß".encode()), 3000, "tschüß"),
        (close_frame(4999, b"x" * 123), 4999, "x" * 123),
    ],
)
def test_a_close_frame_is_echoed_and_has_a_row_each_way(
    server: MockServer, sent: bytes, code: int, reason: str
) -> None:
    with Raw(server).open() as client:
        client.send(sent + frame(TEXT, b"after the end"))
        assert client.closed() == (code, reason)
    ended(server)
    assert rows(server, 1, "direction", "opcode", "close_code", "close_reason")[1:] == [
        ("in", "close", code, reason),
        ("out", "close", code, reason),
    ]
    assert list(server.connections.df["close_code"]) == [code]
    assert still_echoes(server)


def test_ten_thousand_frames_in_one_write_are_answered_in_order(server: MockServer) -> None:
    texts = [b"%d" % number for number in range(10_000)]
    with Raw(server).open() as client:
        client.send(b"".join(frame(TEXT, text) for text in texts))
        assert [client.frame() for _ in texts] == [(TEXT, text) for text in texts]
    assert still_echoes(server)


def test_pings_among_messages_are_answered_in_their_place(server: MockServer) -> None:
    sent = b"".join(frame(TEXT, b"%d" % n) + frame(PING, b"%d" % n) for n in range(500))
    with Raw(server).open() as client:
        client.send(sent)
        got = [client.frame() for _ in range(1000)]
    assert got == [each for n in range(500) for each in ((TEXT, b"%d" % n), (PONG, b"%d" % n))]


def test_a_message_may_have_more_fragments_than_a_library_takes(server: MockServer) -> None:
    with Raw(server).open() as client:
        client.send(
            frame(TEXT, b"", fin=False) + frame(CONT, b"", fin=False) * 100_000 + frame(CONT, b"x", fin=False) * 999
        )
        client.send(frame(CONT, b"y"))
        assert client.frame() == (TEXT, b"x" * 999 + b"y")
