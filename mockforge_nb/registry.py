"""Which server of this process holds which port, and which notebook cell asked for it."""

from __future__ import annotations

import atexit
import os
import re
import sys
import threading
from dataclasses import dataclass
from types import FrameType
from typing import Any, Protocol
from weakref import WeakSet

from .errors import BindError
from .wire.listener import Listener
from .wire.portal import close_loop, stuck

PACKAGE = __name__.partition(".")[0]
EXIT_SECONDS = 2.0
"""How long a loop that is busy may keep the interpreter from its end."""


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
    shell = _shell()
    namespace = getattr(shell, "user_global_ns", None)
    frame: FrameType | None = sys._getframe(1)
    user = cell = None
    while frame is not None:
        if user is None and frame.f_globals.get("__name__", "").partition(".")[0] != PACKAGE:
            user = frame
        # The outermost: under %%time and %run the cell is further out than the code that calls.
        if frame.f_globals is namespace and frame.f_code.co_name == "<module>":
            cell = frame
        frame = frame.f_back
    if shell is None or cell is None:
        return Origin(f"{user.f_code.co_filename}:{user.f_lineno}" if user else "somewhere")
    header, metadata = _request(shell)
    # JupyterLab and VS Code say which cell it is. Where nobody does, the text of the cell stands for it: it is what
    # the name of its code's file is made of, in a terminal after the cell's number.
    name = metadata.get("cellId") or "text " + _NUMBERED.sub("", cell.f_code.co_filename)
    return Origin(f"cell [{shell.execution_count}]", str(name), str(header.get("msg_id") or shell.execution_count))


_NUMBERED = re.compile(r"^<ipython-input-\d+-")


def _shell() -> Any:
    """Return the IPython shell that runs, without importing IPython where it is not loaded."""
    get = getattr(sys.modules.get("IPython"), "get_ipython", None)
    return get() if get is not None else None


def _request(shell: Any) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return header and metadata of the request that the kernel works on; empty where there is none to ask."""
    get_parent = getattr(getattr(shell, "kernel", None), "get_parent", None)
    parent = get_parent("shell") if get_parent is not None else {}
    return parent.get("header") or {}, parent.get("metadata") or {}


class Running(Protocol):
    """A server that holds a port."""

    origin: Origin
    listener: Listener

    def halt(self) -> None:
        """Stop it."""


lock = threading.RLock()
running: dict[int, Running] = {}
"""The servers of this process by port. It holds them, so that a lost handle stops nothing and `stop_all` finds it."""


applications: WeakSet[Running] = WeakSet()
"""Its ASGI applications, which hold no port."""


def free(host: str, port: int, started: Origin, *, replace: bool) -> None:
    """Stop the server of this process that holds `port`, if the call at `started` may replace it.

    Raises:
        BindError: It may not.
    """
    other = running.get(port)
    if other is None:
        return
    if not (replace or started.reruns(other.origin)):
        again = ", in this same run of it," if started.cell is not None and started == other.origin else ","
        raise BindError(
            host,
            port,
            f"{other!r} of this process, started at {other.origin.place}{again} holds it; stop it with .stop(), "
            "replace it with serve(replace=True), or serve on any free port with port=0",
        )
    other.halt()


def stop_all() -> None:
    """Stop every server of this process, also those whose handle is lost, and then every ASGI application.

    Raises:
        ProtocolError: An application cannot be stopped from the event loop that it runs on.

    Example:
        >>> server = Mock().serve(port=0)
        >>> stop_all()
        >>> server.running
        False
    """
    _stop_servers()
    for application in list(applications):
        application.halt()


def _stop_servers() -> None:
    for server in list(running.values()):
        server.halt()


def _at_exit() -> None:
    # A callable of the author's that never returns must not keep the process: its ports go with it anyway.
    if not stuck(EXIT_SECONDS):
        _stop_servers()  # applications end with the loops of others
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
