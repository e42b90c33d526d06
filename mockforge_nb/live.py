"""What is said to the network while a server runs: to stay, or for a `with` block."""

from __future__ import annotations

from collections.abc import Callable
from types import TracebackType


class Live:
    """A condition that holds from now on; at the end of a `with` block, or with `end()`, what was before comes back.

    Conditions of several blocks may end in any order.

    Args:
        text: What was said.
        undo: What puts it back.

    Example:
        >>> server = Mock().serve(port=0)
        >>> slow = server.latency("slow")
        >>> slow
        <latency(300-800 ms), holds>
        >>> slow.end()
        >>> slow.holds
        False
        >>> server.stop()
    """

    def __init__(self, text: str, undo: Callable[[], None]) -> None:
        self._text = text
        self._undo: Callable[[], None] | None = undo

    @property
    def holds(self) -> bool:
        """Whether it was not ended."""
        return self._undo is not None

    def end(self) -> None:
        """Put back what was before; twice is fine."""
        undo, self._undo = self._undo, None
        if undo is not None:
            undo()

    def __enter__(self) -> Live:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.end()

    def __repr__(self) -> str:
        return f"<{self._text}, {'holds' if self.holds else 'over'}>"
