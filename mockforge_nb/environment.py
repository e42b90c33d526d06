"""The environment variables of MockForge's WebSocket module: what each is called, may say, and is unless it is set."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Final

from .errors import OptionError, closest
from .warned import warn

DEFAULT_HOST: Final = "127.0.0.1"
DEFAULT_PORT: Final = 3001
"""Where a mock is served unless a port is given; 0 is any free one."""
DEFAULT_PATH: Final = "/ws"
"""The path of a mock unless one is given."""

HOST: Final = "MOCKFORGE_WS_HOST"
PORT: Final = "MOCKFORGE_WS_PORT"
REPLAY_FILE: Final = "MOCKFORGE_WS_REPLAY_FILE"
EXPAND: Final = "MOCKFORGE_RESPONSE_TEMPLATE_EXPAND"
UPSTREAM: Final = "MOCKFORGE_WS_PROXY_UPSTREAM_URL"
KNOWN: Final = (HOST, PORT, REPLAY_FILE, EXPAND, UPSTREAM)
"""The variables that are read here."""

_OURS: Final = "MOCKFORGE_WS_"
_OTHERS: Final = frozenset(
    _OURS + name
    for name in (
        "BIND", "CONNECTION_TIMEOUT", "CONNECTION_TIMEOUT_SECS", "ENABLED", "HOTRELOAD", "MAX_CONNECTIONS",
        "MAX_MESSAGE_SIZE", "PATH", "PING_INTERVAL",
    )
)  # fmt: skip
"""Variables of MockForge itself that begin the same and say nothing to this package."""

_ON: Final = ("1", "true")
_OFF: Final = ("0", "false", "")


def of_process(environ: Mapping[str, str] | None) -> Mapping[str, str]:
    """Return the variables: those given or, for None, the process's own.

    Raises:
        OptionError: They are no mapping, or one that is read is no text.
    """
    if environ is None:
        return os.environ
    given: object = environ
    if not isinstance(given, Mapping):
        raise OptionError("from_env()", given, "is no mapping of variables to texts")
    for name in KNOWN:
        if not isinstance(given.get(name, ""), str):
            raise OptionError(name, given[name], "is no text, as the value of a variable is")
    return environ


def kept(environ: Mapping[str, str]) -> dict[str, str]:
    """Return those of the variables that count after a mock was made: where it is served, and how it shows itself."""
    return {name: environ[name] for name in (HOST, PORT, EXPAND) if name in environ}


def host(environ: Mapping[str, str] | None = None) -> str:
    """Return the address that servers listen on; an empty one does not open them to the network."""
    return of_process(environ).get(HOST) or DEFAULT_HOST


def port(environ: Mapping[str, str] | None = None) -> int:
    """Return the port that servers listen on.

    Raises:
        OptionError: The variable is no port.
    """
    value = of_process(environ).get(PORT)
    if value is None:
        return DEFAULT_PORT
    digits = value.strip()
    if not (digits.isascii() and digits.isdecimal()) or len(digits) > 5:  # int() reads each script's, up to a length
        raise not_a_port(PORT, value)
    return checked_port(int(digits), PORT)


def checked_port(value: object, where: str) -> int:
    """Return a port if it is one.

    Raises:
        OptionError: It is none.
    """
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value <= 65_535:
        raise not_a_port(where, value)
    return value


def not_a_port(where: str, value: object) -> OptionError:
    """Return the error for what is no port."""
    return OptionError(where, value, "is no port", "valid: 1 to 65535, or 0 for any free port")


def expands(environ: Mapping[str, str] | None = None) -> bool:
    """Return whether templates are expanded: ``1`` or ``true``, in any case, as in MockForge.

    Raises:
        OptionError: The variable says neither that nor ``0``, ``false`` or nothing; MockForge takes all else for off.
    """
    value = of_process(environ).get(EXPAND, "")
    said = value.lower()
    if said not in (*_ON, *_OFF):
        raise OptionError(EXPAND, value, "says neither on nor off", "valid: '1' or 'true'; '0', 'false' or empty")
    return said in _ON


def replay_file(environ: Mapping[str, str] | None = None) -> str | None:
    """Return the path of the replay file; None: there is none, as the variable is not set or empty."""
    return of_process(environ).get(REPLAY_FILE) or None


def upstream(environ: Mapping[str, str] | None = None) -> str | None:
    """Return the URL that is relayed to; None: there is none, as the variable is not set or empty."""
    return of_process(environ).get(UPSTREAM) or None


def warn_of_mistyped(environ: Mapping[str, str]) -> None:
    """Warn of a variable that is nearly one of those that are read: it would change nothing, and say nothing."""
    for name in sorted(name for name in environ if isinstance(name, str)):
        if not name.startswith("MOCKFORGE_") or name in KNOWN or name in _OTHERS:
            continue
        if name.startswith(_OURS):
            # Beyond the common beginning, which makes any two of them alike.
            like = closest(name.removeprefix(_OURS), [each.removeprefix(_OURS) for each in KNOWN])
            meant = None if like is None else next(each for each in KNOWN if each.removeprefix(_OURS) == like)
        else:
            meant = closest(name, (EXPAND, REPLAY_FILE), cutoff=0.8)
        if meant is not None:
            warn(f"the environment variable {name} is not read; did you mean {meant}?")
