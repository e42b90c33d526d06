"""Files that only their owner may read."""

from __future__ import annotations

import os
from pathlib import Path
from typing import BinaryIO


def private(path: Path, *, shared: bool = False) -> BinaryIO:
    """Open a file for writing that only its owner may read, also if it was there; what was in it is gone.

    Args:
        path: The file.
        shared: Whether others may read it after all, as any other file.

    Raises:
        OSError: It cannot be written.
    """
    if shared:
        return path.open("wb")
    file = os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb")
    os.chmod(path, 0o600)
    return file
