"""Which files are being recorded to: two recorders, of one process or of two, would overwrite each other's lines."""

from __future__ import annotations

import os
import threading
from contextlib import suppress
from pathlib import Path

from mockforge_nb.errors import RecordingError

_held: dict[Path, int] = {}
"""The files of this process, each with the descriptor by which the others find it locked."""
_busy = threading.Lock()


def claim(path: Path) -> bool:
    """Hold a file until `release`, or until this process ends; return whether it was there.

    Where there is no ``flock`` (Windows, some network file systems), other processes are not seen.

    Raises:
        RecordingError: Somebody else holds it, or it cannot be opened.
    """
    with _busy:
        if path.resolve() in _held:
            raise RecordingError(f"{path} is being recorded by another server of this process; stop that first")
        there = path.exists()
        try:
            descriptor = os.open(path, os.O_RDONLY | os.O_CREAT, 0o600)
        except OSError as error:
            raise RecordingError(f"{path} cannot be written: {error.strerror}") from error
        try:
            _lock(path, descriptor)
        except BaseException:
            os.close(descriptor)
            raise
        _held[path.resolve()] = descriptor
        return there


def release(path: Path) -> None:
    """Hold a file no more."""
    with _busy:
        descriptor = _held.pop(path.resolve(), None)
        if descriptor is not None:
            os.close(descriptor)


def _lock(path: Path, descriptor: int) -> None:
    try:
        import fcntl
    except ImportError:
        return
    try:
        # Not lockf(): that lock would be gone as soon as anybody in this process closes the file.
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        raise RecordingError(
            f"{path} is being recorded by {_holder(descriptor)}; let each process record to a file of its own, as "
            f"record(f'{path.stem}-{{os.getpid()}}{path.suffix}')"
        ) from None
    except OSError:
        return  # the file system knows no locks


def _holder(descriptor: int) -> str:
    """Return who holds a file, as far as the system says."""
    end = f":{os.fstat(descriptor).st_ino}"
    with suppress(OSError, ValueError, IndexError), open("/proc/locks", encoding="ascii") as locks:
        for line in locks:
            words = line.split()
            if words[1] == "FLOCK" and words[5].endswith(end):
                return f"the process {int(words[4])}"
    return "another process"


def _forget() -> None:
    """In a forked child: the files are the parent's; the locks would last as long as one of both has them open."""
    global _busy
    _busy = threading.Lock()
    for descriptor in _held.values():
        os.close(descriptor)
    _held.clear()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget)
