"""What the command line says, and how: lines, JSON, errors, warnings."""

from __future__ import annotations

import json
import os
import re
import sys
import time
import traceback
import warnings
from typing import TYPE_CHECKING, Any, Final, NoReturn, TextIO

from mockforge_nb.errors import MockForgeError, OptionError

if TYPE_CHECKING:
    from rich.console import Console

DEBUG: Final = "MOCKFORGE_NB_DEBUG"
"""The variable that says whether errors show where they came from."""

RED, YELLOW, DIM, PLAIN = "\x1b[31m", "\x1b[33m", "\x1b[2m", "\x1b[0m"

FEEDS: Final = ("trades", "chat", "iot", "orders", "presence", "logs")

SPELLED: Final = {
    **{f"replay({name}=)": f"--{name}" for name in ("time", "unit", "rate", "speed", "duration", "loop", "then", "by")},
    **{f"serve({name}=)": f"--{name}" for name in ("port", "host", "path")},
    "template=": "--template",
    "latency()": "--latency",
    "bandwidth()": "--bandwidth",
    "clock()": "--clock",
    "record(path=)": "--record",
    "record(redact=)": "--redact",
    "trace(otlp=)": "--otlp",
    "metrics(otlp=)": "--otlp",
    "preset()": "--preset",
    "seed()": "--seed",
    "narrate(events=)": "--number",
    "narrate(rate=)": "--rate",
    "from_faker(n=)": "--number",
    "from_faker(rate=)": "--rate",
    "from_faker(locale=)": "--locale",
    **{
        f"{feed}({name}=)": f"--{said}"
        for feed in FEEDS
        for name, said in (("rate", "rate"), ("n", "number"), ("start", "start"))
    },
    "play_against(speed=)": "--speed",
    "play_against(timeout=)": "--timeout",
    "play_against(ssl=)": "--trust",
    "proxy()": "--proxy",
    "proxy(record=)": "--record",
    "tls(certificate=)": "--cert",
    "tls(key=)": "--key",
    "tls(password=)": "--key-password",
    "load(connection=)": "--connection",
    "load(url=)": "--url",
}
"""What an argument of the library is called here."""


_CONTROLS: Final = re.compile("[\x00-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069]")
"""What a terminal does something at, or shows as another order: C0, C1, line separators, marks of direction."""

AT_ONCE: Final = 4096
"""How many bytes a pipe takes without a wait that has room for any (PIPE_BUF)."""


class Failed(Exception):  # noqa: N818  # it is the end of a command, raised on purpose
    """The end of a command that has said already what is wrong.

    Args:
        code: The exit code.
    """

    def __init__(self, code: int = 1) -> None:
        self.code = code
        super().__init__(code)


def prepare() -> None:
    """Let there be streams, let any text be written, whatever the terminal's encoding is, and a warning be a line."""
    # A stream that is closed (`<&-`) is None, and the next file that is opened, such as a socket, gets its number.
    for number, name, mode in ((0, "stdin", "r"), (1, "stdout", "w"), (2, "stderr", "w")):
        if getattr(sys, name) is None:
            try:
                os.fstat(number)
            except OSError:
                _nowhere(number)
            setattr(sys, name, open(number, mode, encoding="utf-8", closefd=False))  # noqa: SIM115  # the process's
    for stream in (sys.stdout, sys.stderr):
        reconfigure = getattr(stream, "reconfigure", None)
        if reconfigure is not None:
            reconfigure(errors="replace")
    warnings.showwarning = _warned
    _hurry.clear()


def _nowhere(number: int) -> None:
    """Let a descriptor lead to where all is taken and nothing comes from."""
    null = os.open(os.devnull, os.O_RDWR)
    if null != number:
        os.dup2(null, number)
        os.close(null)


def finish(code: int) -> int:
    """Write what is left; return the exit code.

    Who reads our output may have gone (``| head``): that is its right, and no error of ours.
    """
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except OSError:
            _nowhere(stream.fileno())  # else the interpreter would try again at its end, and complain
    return code


def _warned(
    message: Warning | str, category: type[Warning], filename: str, lineno: int, file: TextIO | None = None,
    line: str | None = None,
) -> None:  # fmt: skip
    if issubclass(category, UserWarning):
        aside(coloured(f"warning: {printable(message)}", YELLOW, sys.stderr))


def coloured(text: str, colour: str, stream: TextIO) -> str:
    """Return a text in a colour, where there are colours (https://no-color.org)."""
    return f"{colour}{text}{PLAIN}" if stream.isatty() and not os.environ.get("NO_COLOR") else text


def printable(text: object, keep: str = "") -> str:
    r"""Return a text with its controls written out, as ``\x1b``.

    What clients and servers said is shown, and must neither forge a line nor tell the terminal what to do.

    Args:
        text: The text.
        keep: Controls that are left, such as the line breaks of a text of several lines.
    """
    return _CONTROLS.sub(lambda found: found[0] if found[0] in keep else repr(found[0])[1:-1], str(text))


def say(text: str = "") -> None:
    """Write a line to the standard output, at once.

    Raises:
        Failed: Nobody reads it any more, which ends a command with exit code 0.
    """
    stream = sys.stdout
    data = f"{text}\n".encode(getattr(stream, "encoding", None) or "utf-8", "replace")
    write(data)


def write(data: bytes) -> None:
    """Write bytes to the standard output.

    Raises:
        Failed: Nobody reads it any more.
    """
    stream = sys.stdout
    buffer = getattr(stream, "buffer", None)
    try:
        stream.flush()
        if buffer is None:  # a notebook's
            stream.write(data.decode(errors="replace"))
            stream.flush()
            return
        for first in range(0, len(data), AT_ONCE):
            if not _has_room(stream):
                return
            buffer.write(data[first : first + AT_ONCE])
            buffer.flush()
    except OSError:  # a pipe whose reader has gone, a terminal that was closed
        gone()


def gone() -> NoReturn:
    """End the command, as nobody reads what it writes any more."""
    _nowhere(sys.stdout.fileno())
    raise Failed(0)


_hurry: list[float] = []


def hurry(seconds: float) -> None:
    """From now on wait so long, all in all, for a reader that does not read; then leave out what it would get."""
    _hurry[:] = [time.monotonic() + seconds]


def _has_room(stream: TextIO) -> bool:
    """Wait until a stream can be written to; False: it could not in time, once there is a hurry.

    A write that waits itself could not be ended: after a signal, Python goes on with it.
    """
    if os.name != "posix":
        return True
    import select

    try:
        waiter = select.poll()
        waiter.register(stream.fileno(), select.POLLOUT)
    except (OSError, ValueError):  # a stream of no descriptor, as in tests
        return True
    while True:
        late = bool(_hurry) and time.monotonic() > _hurry[0]
        if waiter.poll(0 if late else 200):
            return True
        if late:
            return False


def console(**options: Any) -> Console:
    """Return a console of rich's that ends like `say` once nobody reads it."""
    from rich.console import Console

    class Ours(Console):
        def on_broken_pipe(self) -> None:
            gone()

    return Ours(**options)


def aside(text: str) -> None:
    """Write a line to the standard error: what is not the command's result."""
    try:
        sys.stderr.write(text + "\n")
        sys.stderr.flush()
    except OSError:  # nobody reads it
        _nowhere(sys.stderr.fileno())


def say_json(value: Any, *, indent: int | None = None) -> None:
    """Write a JSON value."""
    ascii_only = (getattr(sys.stdout, "encoding", None) or "ascii").lower().replace("-", "") != "utf8"
    say(json.dumps(value, ensure_ascii=ascii_only, indent=indent, default=str))


def report(error: Exception) -> int:
    """Write what went wrong, a line a problem; return the exit code: 2 if it was used in a wrong way."""
    if os.environ.get(DEBUG):
        aside("".join(traceback.format_exception(error)).rstrip())
    aside(coloured("error: " + printable(told(error), keep="\n"), RED, sys.stderr))
    return 2 if isinstance(error, (OptionError, FileNotFoundError)) else 1


def wrong(error: Any) -> int:
    """Write in a line what Typer does not take; return the exit code."""
    ctx, param = getattr(error, "ctx", None), getattr(error, "param", None)
    if type(error).__name__ == "NoArgsIsHelpError":  # the help itself
        error.show()
        return int(error.exit_code)
    what = ""
    if param is not None:
        what = param.opts[0] if param.opts[0].startswith("-") else param.metavar or param.name.upper()
    if not what:
        text = error.format_message().rstrip(".")
    elif not error.message:
        text = f"{what} is missing"
    else:
        text = f"{what}: {error.message.removeprefix('Value error, ').rstrip('.')}"
        problems = getattr(error.__cause__, "errors", None)  # pydantic's, which does not say what it was given
        if problems is not None and (value := repr(problems()[0]["input"])) not in text:
            text = f"{what}: {value}: {error.message.rstrip('.')}"
    way = "" if ctx is None else f"; see {ctx.command_path} --help"
    aside(coloured(f"error: {printable(text)}{way}", RED, sys.stderr))
    return int(error.exit_code)


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
