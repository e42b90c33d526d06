"""What an author may say of a proxy, and is told where it is wrong."""

from __future__ import annotations

import pickle
import ssl
from pathlib import Path
from typing import Any

import pytest

from mockforge_nb import Mock, OptionError, Script, ScriptError
from mockforge_nb.ws import WsProxyConfig

URL = "wss://feed.example.com/v1"


async def unmatched(message: object) -> object:
    return message


CASSETTE = {"record": "a.jsonl", "record_mode": "once"}


def told(call: Any, *parts: str) -> None:
    with pytest.raises((OptionError, ScriptError)) as caught:
        call()
    for part in parts:
        assert part in str(caught.value)


@pytest.mark.parametrize(
    ("upstream", "parts"),
    [
        ("https://feed.example.com/v1", ("valid: wss://feed.example.com/v1",)),
        ("http://a", ("valid: ws://a",)),
        ("feed.example.com", ("is no URL of a WebSocket server", "wss://feed.example.com/v1")),
        ("ws://", ("has no host",)),
        ("ws://a/#x", ("has a fragment",)),
        ("ws://a:port", ("is no URL",)),
        (7, ("is no URL",)),
        (lambda a, b: "", ("takes (a, b)", "(request)")),
        (WsProxyConfig(), ("is no upstream",)),
        (WsProxyConfig(upstream_url="http://a"), ("valid: ws://a",)),
        (WsProxyConfig(URL, passthrough_by_default=False), ("relays nothing, as there are no rules",)),
        (WsProxyConfig(upstream_url=URL, rules=[("/a",)]), ("no pair",)),  # type: ignore[list-item]  # on purpose
        (WsProxyConfig(upstream_url=URL, rules=[("/a", URL + "/{x}")]), ("names {x}",)),
    ],
)
def test_what_is_no_upstream(upstream: Any, parts: tuple[str, ...]) -> None:
    told(lambda: Mock().proxy(upstream), *parts)


@pytest.mark.parametrize(
    ("options", "parts"),
    [
        ({"transform": 7}, ("proxy(transform=)", "is no function of a message")),
        ({"transform": {"up": str}}, ("'up'", "valid: 'in', 'out'")),
        ({"transform": {"in": 7}}, ("is no function",)),
        ({"transform": lambda a, b, c: a}, ("takes (a, b, c)",)),
        ({"only": "("}, ("proxy(only=)",)),
        ({"headers": ["a"]}, ("is no dict",)),
        ({"headers": {"a b": "c"}}, ("is no name of a header",)),
        ({"headers": {"a": "b\r\nc"}}, ("is no value of the header 'a'",)),
        ({"headers": {"Sec-WebSocket-Key": "a"}}, ("belongs to the handshake itself",)),
        ({"headers": {"host": "a"}}, ("belongs to the handshake itself",)),
        ({"ssl": "nowhere.pem"}, ("nowhere.pem", "has no certificates that can be read")),
        ({"ssl": 7}, ("valid: a file of trusted certificates",)),
        ({"compression": 1}, ("is neither True nor False",)),
        ({"timeout": 0}, ("is no time greater than 0",)),
        ({"timeout": "soon"}, ("proxy(timeout=)",)),
        ({"redact": ["$.token"]}, ("proxy(redact=)", "give record=, too")),
        ({"record": "feed.txt"}, ("proxy(record=)", "does not end in .jsonl")),
        ({"record": "feed.har", "record_mode": "new_episodes"}, ("proxy(record=)", "does not end in .jsonl")),
        ({"record": "feed.jsonl", "redact": "$.a"}, ("proxy(redact=)",)),
        ({"record": 5}, ("proxy(record=)", "is no path of a file")),
        ({**CASSETTE, "match": unmatched}, ("proxy(match=)", "a function of the message")),
        ({**CASSETTE, "ignore": {"$.a": 1}}, ("is no list of JSONPaths",)),
        ({**CASSETTE, "ignore": [5]}, ("5 is no JSONPath; valid: a text",)),
        ({"record_mode": "once"}, ("proxy(record_mode=)", "give record=, too")),
        ({"record": "a.jsonl", "record_mode": "onec"}, ("did you mean 'once'?", "'new_episodes'")),
        ({"record": "a.jsonl", "speed": 2}, ("proxy(speed=)", 'record_mode="once"')),
        ({**CASSETTE, "speed": 0}, ("proxy(speed=)", 'nor "max"')),
        ({**CASSETTE, "match": "fuzzy"}, ("proxy(match=)", "equal")),
        ({**CASSETTE, "ignore": "$.id"}, ("proxy(ignore=)", "is no list of JSONPaths")),
        ({**CASSETTE, "ignore": ["$.["]}, ("proxy(ignore=)", "is no JSONPath")),
        ({**CASSETTE, "ignore": ["$.id"], "match": "order"}, ("proxy(ignore=)", "which compare messages")),
        ({**CASSETTE, "carry": {"$.id": 7}}, ("proxy(carry=)", "7 is no JSONPath")),
        ({**CASSETTE, "rebase": "$.ts"}, ("proxy(rebase=)",)),
        ({**CASSETTE, "allow_playback_repeats": 1}, ("proxy(allow_playback_repeats=)",)),
        ({"fallback": "nowhere.jsonl"}, ("nowhere.jsonl", "there is no such file")),
        ({"fallback": 7}, ("which cannot be played",)),
        ({"fallback": Script().send("a").when("b", "c")}, ("proxy(fallback=)", "has interactive lines")),
    ],
)
def test_wrong_arguments(options: dict[str, Any], parts: tuple[str, ...]) -> None:
    told(lambda: Mock().proxy(URL, **options), *parts)


def test_a_file_without_certificates_is_told(tmp_path: Path) -> None:
    (tmp_path / "ca.pem").write_text("nothing")
    told(lambda: Mock().proxy(URL, ssl=tmp_path / "ca.pem"), "ca.pem", "has no certificates that can be read")


def test_one_behaviour() -> None:
    told(lambda: Mock().echo().proxy(URL), "already has echo()")
    told(lambda: Mock().proxy(URL).echo(), "already has proxy()")
    told(lambda: Mock().compression(1), "compression()")  # type: ignore[arg-type]  # on purpose


def test_a_parameter_that_the_path_does_not_have_is_told_when_it_is_served() -> None:
    told(lambda: Mock().proxy(URL + "/{symbol}").serve(port=0), "names {symbol}", "'/ws' has no such parameter")


def test_it_cannot_be_simulated() -> None:
    told(lambda: Mock().proxy(URL).simulate(), "simulate()", "no event loop for a proxy", "serve() has one")


def test_it_is_a_word_like_the_others() -> None:
    assert Mock().proxy(URL, headers={"A": "1"}) == Mock().proxy(URL, headers={"A": "1"})
    assert Mock().proxy(URL, headers={"A": "1"}) != Mock().proxy(URL, headers={"A": "2"})
    mock = Mock().proxy(URL, only="^a", compression=True).compression()
    assert pickle.loads(pickle.dumps(mock)) == mock
    assert repr(mock) == f"Mock().proxy({URL!r}, only='^a', compression=True).compression()"
    assert repr(Mock().proxy(URL, record="a.jsonl")) == f"Mock().proxy({URL!r}, record='a.jsonl')"
    cassette = Mock().proxy(URL, record="a.jsonl", record_mode="none", ignore=["$.id"], fallback=["down"])
    assert pickle.loads(pickle.dumps(cassette)) == cassette
    assert "record_mode='none', ignore=['$.id'], fallback=['down'])" in repr(cassette)
    config = WsProxyConfig(upstream_url=URL)
    assert Mock().proxy(config) == Mock().proxy(config)


def test_no_secret_is_shown() -> None:
    mock = Mock().proxy("wss://ada:lovelace@a.example/x?token=s3cret", headers={"Authorization": "s3cret", "B": None})
    shown = repr(mock) + mock._repr_html_()
    assert "proxy('wss://a.example/x', headers={'Authorization': '***', 'B': None})" in repr(mock)
    assert "s3cret" not in shown
    assert "lovelace" not in shown


@pytest.mark.parametrize(
    "url", ["htp://ada:s3cret@h/?t=s3cret", "ws://ada:s3cret@h:99999/?t=s3cret", "ws://ada:s3cret@h/#x"]
)
def test_no_secret_is_in_an_error(url: str) -> None:
    for call in (lambda: Mock().proxy(url), lambda: Script().send("a").play_against(url)):
        with pytest.raises(OptionError) as caught:
            call()
        assert "s3cret" not in str(caught.value)
    for headers in ({"A": "s3cret\r\n"}, {"A": b"s3cret"}, [("A", "s3cret")]):
        with pytest.raises(OptionError) as caught:
            Mock().proxy(URL, headers=headers)  # type: ignore[arg-type]  # wrong, as is to be told
        assert "s3cret" not in str(caught.value)


def test_whom_to_trust_may_be_said_in_four_ways(tmp_path: Path) -> None:
    import trustme

    trustme.CA().cert_pem.write_to_path(tmp_path / "ca.pem")
    for said in (None, True, False, tmp_path / "ca.pem", str(tmp_path / "ca.pem"), ssl.create_default_context()):
        Mock().proxy(URL, ssl=said)
