"""A temporary file that is gone with its owner."""

from __future__ import annotations

import tempfile
import threading
import weakref


class Scratch:
    """Bytes on disk: appended once, read from any thread."""

    def __init__(self) -> None:
        self._file = tempfile.TemporaryFile(prefix="mockforge_nb")  # noqa: SIM115  # closed with its owner, below
        self._lock = threading.Lock()
        self.size = 0
        weakref.finalize(self, self._file.close)

    def append(self, data: bytes | memoryview) -> None:
        """Add bytes at the end."""
        with self._lock:
            self._file.seek(self.size)
            self.size += self._file.write(data)

    def read(self, first: int, last: int) -> bytes:
        """Return the bytes from `first` to before `last`."""
        with self._lock:
            self._file.seek(first)
            return self._file.read(last - first)
