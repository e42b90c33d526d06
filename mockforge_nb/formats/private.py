"""Files that only their owner may read."""

from __future__ import annotations

import os
from pathlib import Path
from typing import BinaryIO


def private(path: Path) -> BinaryIO:
    """Open a file for writing that only its owner may read, also if it was there; what was in it is gone.

    Raises:
        OSError: It cannot be written.
    """
    file = os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb")
    os.chmod(path, 0o600)
    return file
