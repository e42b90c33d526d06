"""The files that a command writes: nothing that is there is lost unless that is wished."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable
from pathlib import Path
from typing import Final

from mockforge_nb.errors import OptionError

_CERTIFICATE: Final = re.compile(rb"-----BEGIN CERTIFICATE-----[A-Za-z0-9+/=\s]*-----END CERTIFICATE-----")


def new(path: Path, where: str, *, force: bool, reads: str | None = None) -> None:
    """See that a file can be written.

    Args:
        path: The file.
        where: The option that names it.
        force: Whether a file that is there may be lost.
        reads: The file that is read meanwhile, which must not be.

    Raises:
        OptionError: A file is there that would be lost, it is a folder, or there is no such folder.
    """
    _writable(path, where)
    if reads is not None and path.exists() and os.path.exists(reads) and path.samefile(reads):
        raise OptionError(where, str(path), "is what is read", "name another file")
    if path.exists() and not force:
        raise OptionError(where, str(path), "is there already", "--force writes over it")


def authority(path: Path, used: Iterable[str | None]) -> None:
    """See that the certificate of an authority can be written, where nothing but such a one may be.

    Args:
        path: The file.
        used: Files that are read, of the certificate and its key.

    Raises:
        OptionError: Something else is there, it is a folder, or there is no such folder.
    """
    _writable(path, "--ca")
    if not path.exists():
        return
    for each in used:
        if each is not None and os.path.exists(each) and path.samefile(each):
            raise OptionError("--ca", str(path), "is what --cert or --key reads", "name another file")
    try:
        others = not path.is_file() or _CERTIFICATE.sub(b"", path.read_bytes()).strip()
    except OSError as error:
        raise OptionError("--ca", str(path), f"cannot be read: {error.strerror}") from None
    if others:
        problem = "is there and holds something else than certificates, such as a key"
        raise OptionError("--ca", str(path), problem, "name another file")


def _writable(path: Path, where: str) -> None:
    if path.is_dir():
        raise OptionError(where, str(path), "is a folder", "name a file in it")
    if not path.parent.is_dir():
        raise OptionError(where, str(path), "is in no folder that is there", "make that first")
    if not os.access(path if path.exists() else path.parent, os.W_OK):
        raise OptionError(where, str(path), "cannot be written", "name a file where you may write")
