"""Which server of this process holds which port, and which notebook cell asked for it."""

from __future__ import annotations

import atexit
import os
import sys
import threading
from dataclasses import dataclass
from types import FrameType
from typing import Any, Protocol

from .errors import BindError
from .wire.listener import Listener
from .wire.portal import close_loop

PACKAGE = __name__.partition(".")[0]


@dataclass(frozen=True, slots=True)
class Origin:
    """Where a call came from.

    Attributes:
        place: For people: ``cell [3]`` or ``feed.py:12``.
        cell: What stays the same when a notebook cell runs again; None outside of notebooks.
        execution: What differs from run to run of a cell.
    """

    place: str
    cell: str | None = None
    execution: str | None = None

    def reruns(self, other: Origin) -> bool:
        """Return whether this is a later run of the cell that `other` came from."""
        return self.cell is not None and self.cell == other.cell and self.execution != other.execution


def origin() -> Origin:
    """Return where the user's call into this package came from."""
    frame: FrameType | None = sys._getframe(1)
    outermost = user = None
    while frame is not None:
        name = frame.f_globals.get("__name__", "")
        if user is None and name.partition(".")[0] != PACKAGE:
            user = frame
        if frame.f_code.co_name in ("<module>", "<cell line: 1>") and name == "__main__":
            outermost = outermost or frame
        frame = frame.f_back
    place = f"{user.f_code.co_filename}:{user.f_lineno}" if user else "somewhere"
    shell = _shell()
    if shell is None or outermost is None:
        return Origin(place)
    header, metadata = _request(shell)
    # JupyterLab and VS Code say which cell it is. Where nobody does, the text of the cell stands for it: it is what
    # the name of its code's file is made of.
    cell = metadata.get("cellId") or f"text {outermost.f_code.co_filename}"
    execution = header.get("msg_id") or str(shell.execution_count)
    return Origin(f"cell [{shell.execution_count}]", str(cell), str(execution))


def _shell() -> Any:
    """Return the IPython shell that runs, without importing IPython where it is not loaded."""
    ipython = sys.modules.get("IPython")
    return ipython.get_ipython() if ipython is not None else None


def _request(shell: Any) -> tuple[dict[str, Any], dict[str, Any]]:
    kernel = getattr(shell, "kernel", None)
    if kernel is None:
        return {}, {}
    parent = kernel.get_parent("shell")
    return parent.get("header", {}), parent.get("metadata", {})


class Running(Protocol):
    """A server that holds a port."""

    origin: Origin
    listener: Listener

    def halt(self) -> None:
        """Stop it."""


lock = threading.RLock()
running: dict[int, Running] = {}
"""The servers of this process by port. It holds them, so that a lost handle stops nothing and `stop_all` finds it."""


def free(host: str, port: int, started: Origin, *, replace: bool) -> None:
    """Stop the server of this process that holds `port`, if the call at `started` may replace it.

    Raises:
        BindError: It may not.
    """
    other = running.get(port)
    if other is None:
        return
    if not (replace or started.reruns(other.origin)):
        raise BindError(
            host,
            port,
            f"{other!r} of this process, started at {other.origin.place}, holds it; stop it with .stop(), replace it "
            "with serve(replace=True), or serve on any free port with port=0",
        )
    other.halt()


def stop_all() -> None:
    """Stop every server of this process, also those whose handle is lost."""
    for server in list(running.values()):
        server.halt()


def _at_exit() -> None:
    stop_all()
    close_loop()


atexit.register(_at_exit)


def _forget() -> None:
    """In a forked child: the servers are the parent's, and so are the ports and the connections."""
    global lock
    lock = threading.RLock()
    for server in running.values():
        server.listener.forget()
    running.clear()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget)
