"""The certificate that a mock is served with over ``wss://``: the user's, or one that is made for this machine."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from .errors import OptionError

if TYPE_CHECKING:
    from ssl import SSLContext

LOCAL: Final = ("localhost", "127.0.0.1", "::1")
"""The names that a certificate of ours is always good for."""
ANYWHERE: Final = ("", "0.0.0.0", "::")
"""Hosts that are no names that a client could ask for."""

_CERTIFICATES: Final = re.compile(r"-----BEGIN CERTIFICATE-----.+?-----END CERTIFICATE-----", re.DOTALL)

_WAYS: Final = (
    "openssl x509 -inform der -in … makes one of a certificate in DER, openssl pkcs12 -nodes -in … of a .p12 or .pfx"
)
"""DER and PKCS #12 both begin as any ASN.1 does."""


@dataclass(frozen=True, slots=True)
class Tls:
    """Which certificate a mock is served with.

    Attributes:
        certificate: A PEM file of the certificate and those that lead to its root; None: one is made.
        key: A PEM file of its private key; None: that is in `certificate`, too.
        password: What the key is encrypted with; None: it is not.
    """

    certificate: str | None = None
    key: str | None = None
    password: str | bytes | None = None

    def context(self, host: str) -> tuple[SSLContext, str]:
        """Return what a server that listens at `host` needs, and the certificates (PEM) by which it is trusted.

        Raises:
            OptionError: A file that cannot be used, or no package to make a certificate with.
        """
        import ssl

        made = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        made.set_alpn_protocols(["http/1.1"])  # RFC 6455 is an upgrade of HTTP/1.1
        # No tickets: a client that reads on one thread while it writes on another (websockets' blocking one) now and
        # then hung when they came with its handshake, as OpenSSL's connections are not made for two threads.
        made.num_tickets = 0
        if self.certificate is None:
            return made, _issue(made, host)
        text = _read(self.certificate, "tls(certificate=)")
        found = _CERTIFICATES.findall(text)
        if not found:
            raise OptionError("tls(certificate=)", self.certificate, "has no certificate in it", "valid: a PEM file")
        key = text if self.key is None else _read(self.key, "tls(key=)")
        if "PRIVATE KEY-----" not in key:
            where, file = ("tls(certificate=)", self.certificate) if self.key is None else ("tls(key=)", self.key)
            raise OptionError(where, file, "has no private key in it", "valid: key= names a PEM file that has")
        if "ENCRYPTED" in key and self.password is None:
            raise OptionError("tls(password=)", None, "is missing, as the private key is encrypted")
        for each in found:
            try:
                ssl.create_default_context(cadata=each)
            except (ssl.SSLError, ValueError) as error:
                raise OptionError("tls(certificate=)", self.certificate, _why(error, encrypted=False)) from None
        try:
            # A password that is never asked for at the terminal: nobody may sit there.
            made.load_cert_chain(self.certificate, self.key, self.password or "")
        except (ssl.SSLError, ValueError) as error:
            raise OptionError(
                "tls(key=)", self.key or self.certificate, _why(error, encrypted="ENCRYPTED" in key)
            ) from None
        return made, "\n".join(found) + "\n"

    def trust(self, certificates: str) -> SSLContext:
        """Return what a client on this machine needs to trust the server with these certificates."""
        import ssl

        context = ssl.create_default_context(cadata=certificates)
        if self.certificate is not None:
            # It may be for another name than the one that it is reached by here, and its root need not be in the file.
            context.check_hostname = False
            context.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN
        return context


def tls(certificate: object, key: object, password: object) -> Tls:
    """Return what `Mock.tls` says, once it is known that it can be used.

    Raises:
        OptionError: It cannot.
    """
    files = [_path(certificate, "tls(certificate=)"), _path(key, "tls(key=)")]
    if password is not None and not isinstance(password, (str, bytes)):
        raise OptionError("tls(password=)", type(password).__name__, "is no text")
    if certificate is None and (key is not None or password is not None):
        raise OptionError("tls(certificate=)", None, "is missing, and a key alone is not enough")
    made = Tls(files[0], files[1], password)
    made.context("localhost")
    return made


def _path(value: object, where: str) -> str | None:
    if value is None:
        return None
    if not isinstance(value, (str, os.PathLike)):
        raise OptionError(where, value, "is no path of a file")
    return str(os.fspath(value))


def _read(path: str, where: str) -> str:
    try:
        data = Path(path).read_bytes()
    except (OSError, ValueError) as error:  # ValueError: there is a NUL in its name
        raise OptionError(where, path, f"cannot be read: {getattr(error, 'strerror', None) or error}") from None
    if b"-----BEGIN " not in data:
        raise OptionError(where, path, "is no PEM file", _WAYS if data[:1] == b"\x30" else "valid: a PEM file")
    return data.decode(errors="replace")  # what stands between its blocks is a comment, in any encoding


def _why(error: Exception, *, encrypted: bool) -> str:
    """Return why OpenSSL does not take a certificate or a key, in words."""
    reason = getattr(error, "reason", None) or str(error)
    known = {
        "KEY_VALUES_MISMATCH": "is not the key of the certificate",
        "EE_KEY_TOO_SMALL": "is too short a key to be trusted today",
    }
    if encrypted and str(reason) not in known:
        return "cannot be decrypted with this password"
    return known.get(str(reason), f"cannot be used: {str(reason).replace('_', ' ').lower()}")


@cache
def _authority() -> Any:
    """Return the authority of this process, so that who trusts one of its servers trusts the next."""
    try:
        import trustme
    except ImportError:
        way = "pip install 'mockforge_nb[tls]' (or name a certificate of yours)"
        raise OptionError("tls()", None, "needs the package trustme to make a certificate", way) from None
    return trustme.CA(organization_name="mockforge_nb")


@cache
def _issued(host: str) -> Any:
    names = LOCAL if host in (*LOCAL, *ANYWHERE) else (*LOCAL, host)
    return _authority().issue_cert(*names)


def _issue(context: SSLContext, host: str) -> str:
    """Give a context a certificate for `host`; return the authority's."""
    _issued(host).configure_cert(context)
    certificate: bytes = _authority().cert_pem.bytes()
    return certificate.decode()
