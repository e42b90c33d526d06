"""How a served mock is shown: a line an event, JSON lines, or a live view."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import TYPE_CHECKING, Final

from .say import aside, console, printable, say, say_json

if TYPE_CHECKING:
    from .ending import Ending
    from .watching import Watch

LOOK_SECONDS: Final = 0.25
"""How often it is looked whether something has happened."""

ENTER, LEAVE = b"\x1b[?1049h\x1b[?25l", b"\x1b[?25h\x1b[?1049l"
"""The terminal's other screen, without a cursor, and back (xterm's modes, which all have)."""


def show(watch: Watch, ending: Ending, *, quiet: bool, as_json: bool) -> None:
    """Show what happens until it is over."""
    url = watch.server.url
    if as_json:
        say_json({"event": "listening", "url": url, "port": watch.server.port, "seed": watch.server.seed})
        return _lines(watch, ending.wait, as_json=True)
    if quiet or not sys.stdout.isatty():
        say(f"listening on {url}")
        return _lines(watch, ending.wait, quiet=quiet)
    screen = console()
    if not screen.is_terminal or screen.is_dumb_terminal:
        aside("this terminal cannot be drawn on: a line an event")
        say(f"listening on {url}")
        return _lines(watch, ending.wait)
    told = False
    while ending.why is None:
        if foreground():
            _live(watch, ending)
        else:  # the terminal is the shell's, or another program's
            if not told:
                say(f"listening on {url}")
                told = True
            _lines(watch, lambda seconds: ending.wait(seconds) or foreground())
    return say(f"{url} {printable(repr(watch.server.mock))}")


def foreground() -> bool:
    """Return whether the terminal is ours, not that of a shell which runs us with an ampersand."""
    try:
        return os.tcgetpgrp(1) == os.getpgrp()
    except (OSError, AttributeError):  # a terminal that controls no jobs; Windows
        return True


def tell(watch: Watch, *, quiet: bool = False, as_json: bool = False) -> None:
    """Write what has happened since the last time, a line an event."""
    from .watching import line_of

    for event in watch.news():
        if as_json:
            say_json(event)
        elif not quiet:
            say(line_of(event))


def _lines(watch: Watch, over: Callable[[float], bool], *, quiet: bool = False, as_json: bool = False) -> None:
    """Write a line an event until it is over."""
    while not over(LOOK_SECONDS):
        tell(watch, quiet=quiet, as_json=as_json)
        watch.look()  # now and then, so that not all is left to count at the end


def _live(watch: Watch, ending: Ending) -> None:
    """Show the view, on the terminal's other screen, until it is over or the terminal is not ours any more."""
    from rich.live import Live

    with (
        _suspended(),
        Live(watch.view(), console=console(), auto_refresh=False, screen=True, vertical_overflow="crop") as live,
    ):
        ending.parting = LEAVE
        while not ending.wait(LOOK_SECONDS) and foreground():
            for _ in watch.news():
                pass
            watch.look()
            live.update(watch.view(), refresh=True)
    ending.parting = b""


@contextmanager
def _suspended() -> Iterator[None]:
    """Give the shell its screen back as long as Ctrl-Z has us stopped."""
    if not hasattr(signal, "SIGTSTP"):
        yield
        return

    def stop(number: int, frame: FrameType | None) -> None:
        os.write(1, LEAVE)
        os.kill(os.getpid(), signal.SIGSTOP)
        if foreground():
            os.write(1, ENTER)

    before = signal.signal(signal.SIGTSTP, stop)
    try:
        yield
    finally:
        signal.signal(signal.SIGTSTP, before)
