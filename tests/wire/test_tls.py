"""wss:// through real sockets, on both event loops."""

from __future__ import annotations

import pickle
import socket
import ssl
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import trustme
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.sync.client import connect

from mockforge_nb import Mock, OptionError, registry
from mockforge_nb.wire import portal
from tests.conftest import PATIENCE


@pytest.fixture(params=["uvloop", "asyncio"], autouse=True)
def loop(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    if request.param == "uvloop" and not portal.UVLOOP:
        pytest.skip("there is no uvloop here")
    registry.stop_all()
    portal.close_loop()
    monkeypatch.setattr(portal, "UVLOOP", request.param == "uvloop")
    yield
    registry.stop_all()
    portal.close_loop()


@pytest.fixture
def files(tmp_path: Path) -> tuple[Path, Path]:
    issued = trustme.CA().issue_cert("feed.example.com")
    certificate, key = tmp_path / "cert.pem", tmp_path / "key.pem"
    for blob in issued.cert_chain_pems:
        blob.write_to_path(certificate, append=True)
    issued.private_key_pem.write_to_path(key)
    return certificate, key


def test_a_client_that_has_the_authority_of_the_server_trusts_it_and_no_other_does() -> None:
    with Mock().tls().echo().serve(port=0) as server:
        assert server.url == f"wss://127.0.0.1:{server.port}/ws"
        assert server.ca is not None
        trust = ssl.create_default_context(cadata=server.ca)
        for host in ("127.0.0.1", "localhost"):
            with connect(f"wss://{host}:{server.port}/ws", ssl=trust, proxy=None, legacy=True) as client:
                client.send("é" * 100_000)
                assert client.recv(PATIENCE) == "é" * 100_000
        with pytest.raises(ssl.SSLCertVerificationError):
            connect(server.url, proxy=None, legacy=True)
        assert [each.state for each in server.connections] == [{}, {}]


def test_a_replay_its_recording_and_its_own_client(tmp_path: Path) -> None:
    rows = [{"n": n, "pad": "x" * 1000} for n in range(2000)]
    mock = Mock().tls().replay(rows, rate=1e6, then="close").record(tmp_path / "feed.jsonl")
    with mock.serve(port=0) as server, server.client() as client:
        assert len(list(client)) == 2000
        assert client.close_code == 1000
    assert len((tmp_path / "feed.jsonl").read_text().splitlines()) == 2003


@pytest.mark.parametrize("fault", ["abort", "reset_peer"])
def test_an_abort_is_no_close_frame(fault: str) -> None:
    with Mock().tls().echo().fault(fault, after=1).serve(port=0) as server, server.client() as client:
        client.send("one")
        assert client.recv(PATIENCE) == "one"
        with pytest.raises(ConnectionClosed):  # noqa: PT012  # it may be gone before the second is said
            client.send("two")
            client.recv(PATIENCE)
        assert client.close_code == 1006


def test_a_proxy_in_front_of_it() -> None:
    with Mock().tls().echo(prefix="> ").serve(port=0) as upstream:
        assert upstream.ca is not None
        trust = ssl.create_default_context(cadata=upstream.ca)
        mock = Mock().tls().proxy(upstream.url, ssl=trust)
        with mock.serve(port=0) as server, server.client() as client:
            client.send("hi")
            assert client.recv(PATIENCE) == "> hi"


def test_who_speaks_no_tls_disturbs_nobody() -> None:
    with Mock().tls().echo().limits(handshake_seconds=0.5).serve(port=0) as server:
        for said in (b"GET /ws HTTP/1.1\r\nHost: x\r\n\r\n", b"\x16\x03\x01\x00\x05junk!", b""):
            with socket.create_connection(("127.0.0.1", server.port), PATIENCE) as plain:
                plain.sendall(said)
                while plain_data := _read(plain):
                    assert not plain_data.startswith(b"HTTP/1.1 101")
        with server.client() as client:
            client.send("hi")
            assert client.recv(PATIENCE) == "hi"
        server.check()


def _read(one: socket.socket) -> bytes:
    try:
        return one.recv(4096)
    except ConnectionError:
        return b""


def test_a_refused_handshake_ends_at_once() -> None:
    with Mock().tls().reject(503, "later").serve(port=0) as server:
        with pytest.raises(InvalidStatus) as caught:
            server.client()
        assert caught.value.response.body == b"later"


def test_a_certificate_of_the_users(files: tuple[Path, Path], tmp_path: Path) -> None:
    both = tmp_path / "both.pem"
    both.write_text(files[0].read_text() + files[1].read_text())
    for mock in (Mock().tls(*files), Mock().tls(both)):
        with mock.echo().serve(port=0) as server, server.client() as client:
            client.send("hi")
            assert client.recv(PATIENCE) == "hi"
            assert server.ca is not None
            assert "PRIVATE" not in server.ca


def test_a_wrong_certificate_is_an_error_at_the_call(files: tuple[Path, Path], tmp_path: Path) -> None:
    other, garbage, locked = tmp_path / "other.pem", tmp_path / "garbage.pem", tmp_path / "locked.pem"
    trustme.CA().issue_cert("a").private_key_pem.write_to_path(other)
    garbage.write_text("hello")
    broken, der = tmp_path / "broken.pem", tmp_path / "der.crt"
    broken.write_text("-----BEGIN CERTIFICATE-----\naGVsbG8=\n-----END CERTIFICATE-----\n")
    der.write_bytes(ssl.PEM_cert_to_DER_cert(files[0].read_text().partition("\n\n")[0]))
    from cryptography.hazmat.primitives import serialization as form

    key = form.load_pem_private_key(files[1].read_bytes(), None)
    secret = form.BestAvailableEncryption(b"secret")
    locked.write_bytes(key.private_bytes(form.Encoding.PEM, form.PrivateFormat.PKCS8, secret))
    certificate = files[0]
    wrong = [
        (("nowhere.pem",), {}, r"tls\(certificate=\): 'nowhere.pem' cannot be read: No such file"),
        ((garbage,), {}, r"garbage.pem' is no PEM file; valid"),
        ((broken, files[1]), {}, r"tls\(certificate=\): '.*broken.pem' cannot be used"),
        ((der,), {}, r"der.crt' is no PEM file; openssl x509 -inform der"),
        (("cert.pem\0",), {}, r"cannot be read: embedded null byte"),
        ((certificate,), {}, r"cert.pem' has no private key in it"),
        ((certificate, other), {}, r"other.pem' is not the key of the certificate"),
        ((certificate, locked), {}, r"tls\(password=\): None is missing"),
        ((certificate, locked), {"password": "wrong"}, r"locked.pem' cannot be decrypted"),
        ((5,), {}, r"tls\(certificate=\): 5 is no path"),
        ((None, other), {}, r"tls\(certificate=\): None is missing"),
    ]
    for arguments, options, text in wrong:
        with pytest.raises(OptionError, match=text):
            Mock().tls(*arguments, **options)  # type: ignore[arg-type]
    said = Mock().tls(certificate, locked, password="secret")
    assert "secret" not in repr(said)
    assert pickle.loads(pickle.dumps(said)) == said


def test_without_trustme_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    from mockforge_nb import tls

    tls._authority.cache_clear()
    tls._issued.cache_clear()
    monkeypatch.setitem(sys.modules, "trustme", None)
    with pytest.raises(OptionError, match=r"pip install 'mockforge_nb\[tls\]'"):
        Mock().tls()


def test_it_is_of_the_whole_server() -> None:
    with pytest.raises(OptionError, match="of the whole server"):
        Mock().route("/a", Mock().tls()).serve(port=0)
    with Mock().echo().serve(port=0) as server, pytest.raises(OptionError, match="when a mock is served"):
        server.update(Mock().tls())


def test_an_asgi_server_has_its_own() -> None:
    with pytest.raises(OptionError, match=r"asgi\(\): 'tls\(\)' is the ASGI server's"):
        Mock().tls().asgi()


def test_a_comment_in_any_encoding_is_no_part_of_a_pem_file(files: tuple[Path, Path]) -> None:
    certificate, key = files
    certificate.write_bytes("# für é\n".encode() + b"# f\xfcr\n" + certificate.read_bytes())
    with Mock().echo().tls(certificate, key).serve(port=0) as server, server.client() as client:
        client.send("hi")
        assert client.recv() == "hi"


def test_a_tls_handshake_that_fails_is_a_row_of_the_traffic() -> None:
    with Mock().echo().tls().serve(port=0) as server:
        for said in (b"GET / HTTP/1.1\r\n\r\n", b"\0" * 100):
            with socket.create_connection(("127.0.0.1", server.port)) as plain:
                plain.sendall(said)
                assert plain.recv(1) == b""
        with pytest.raises(ssl.SSLCertVerificationError):
            connect(server.url, proxy=None, legacy=True)
        with server.client() as client:
            client.send("hi")
            client.recv()
        texts = server.traffic.df["text"].tolist()
        assert texts[:3] == ["tls: http request", "tls: wrong version number", "tls: tlsv1 alert unknown ca"]
        assert server.traffic.df["connection"].tolist()[:3] == [0, 0, 0]
