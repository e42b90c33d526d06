"""What the command line says, and how: lines, JSON, errors, warnings."""

from __future__ import annotations

import json
import os
import sys
import traceback
import warnings
from typing import Any, Final, TextIO

from mockforge_nb.errors import MockForgeError, OptionError

DEBUG: Final = "MOCKFORGE_NB_DEBUG"
"""The variable that says whether errors show where they came from."""

RED, YELLOW, DIM, PLAIN = "\x1b[31m", "\x1b[33m", "\x1b[2m", "\x1b[0m"

SPELLED: Final = {
    **{f"replay({name}=)": f"--{name}" for name in ("time", "unit", "rate", "speed", "duration", "loop", "then", "by")},
    **{f"serve({name}=)": f"--{name}" for name in ("port", "host", "path")},
    "template=": "--template",
    "latency()": "--latency",
    "bandwidth()": "--bandwidth",
    "clock()": "--clock",
    "record(path=)": "--record",
    "proxy()": "--proxy",
    "proxy(record=)": "--record",
    "tls(certificate=)": "--cert",
    "tls(key=)": "--key",
    "tls(password=)": "--key-password",
    "load(connection=)": "--connection",
    "load(url=)": "--url",
}
"""What an argument of the library is called here."""


class Failed(Exception):  # noqa: N818  # it is the end of a command, raised on purpose
    """The end of a command that has said already what is wrong.

    Args:
        code: The exit code.
    """

    def __init__(self, code: int = 1) -> None:
        self.code = code
        super().__init__(code)


def prepare() -> None:
    """Let any text be written, whatever the terminal's encoding is, and let a warning be a line."""
    for stream in (sys.stdout, sys.stderr):
        reconfigure = getattr(stream, "reconfigure", None)
        if reconfigure is not None:
            reconfigure(errors="replace")
    warnings.showwarning = _warned


def finish(code: int) -> int:
    """Write what is left; return the exit code.

    Who reads our output may have gone (``| head``): that is its right, and no error of ours.
    """
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except BrokenPipeError:
            # Else the interpreter would try again at its end, and complain.
            os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())
    return code


def _warned(
    message: Warning | str, category: type[Warning], filename: str, lineno: int, file: TextIO | None = None,
    line: str | None = None,
) -> None:  # fmt: skip
    if issubclass(category, UserWarning):
        aside(coloured(f"warning: {message}", YELLOW, sys.stderr))


def coloured(text: str, colour: str, stream: TextIO) -> str:
    """Return a text in a colour, where there are colours (https://no-color.org)."""
    return f"{colour}{text}{PLAIN}" if stream.isatty() and not os.environ.get("NO_COLOR") else text


def say(text: str = "") -> None:
    """Write a line to the standard output, at once."""
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


def aside(text: str) -> None:
    """Write a line to the standard error: what is not the command's result."""
    sys.stderr.write(text + "\n")
    sys.stderr.flush()


def say_json(value: Any, *, indent: int | None = None) -> None:
    """Write a JSON value."""
    ascii_only = (getattr(sys.stdout, "encoding", None) or "ascii").lower().replace("-", "") != "utf8"
    say(json.dumps(value, ensure_ascii=ascii_only, indent=indent, default=str))


def report(error: Exception) -> int:
    """Write what went wrong, a line a problem; return the exit code: 2 if it was used in a wrong way."""
    if os.environ.get(DEBUG):
        aside("".join(traceback.format_exception(error)).rstrip())
    aside(coloured(f"error: {told(error)}", RED, sys.stderr))
    return 2 if isinstance(error, (OptionError, FileNotFoundError)) else 1


def told(error: BaseException) -> str:
    """Return an error's text, in the words of the command line."""
    if isinstance(error, OptionError):
        text, there = str(error), error.where
        return SPELLED[there] + text[len(there) :] if there in SPELLED else text
    if isinstance(error, MockForgeError):
        return str(error)
    if isinstance(error, OSError) and error.strerror:
        return f"{error.filename}: {error.strerror}" if error.filename else error.strerror
    return f"{type(error).__name__}: {error} ({DEBUG}=1 or --debug shows where)"


def counted(count: int, noun: str) -> str:
    """Return how many there are."""
    return f"{count:,} {noun}{'s' if count != 1 else ''}"


def sized(size: float) -> str:
    """Return a number of bytes as people say it."""
    for unit in ("B", "kB", "MB", "GB"):
        if size < 1000 or unit == "GB":
            return f"{size:,.0f} {unit}" if unit == "B" or size >= 100 else f"{size:.1f} {unit}"
        size /= 1000
    raise AssertionError  # the loop ends with GB
