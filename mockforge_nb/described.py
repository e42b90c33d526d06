"""The mock that the environment variables describe: for `Mock.from_env`, and MockForge's own names."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from .environment import REPLAY_FILE, UPSTREAM, expands, replay_file, upstream, warn_of_mistyped
from .errors import OptionError, ScriptError, ScriptFileNotFoundError
from .script import Script
from .sources import TABLES

if TYPE_CHECKING:
    from .mock import Mock


def described(mock: Mock, environ: Mapping[str, str], *, relays: bool) -> Mock:
    """Return a mock with what the variables say it does.

    Args:
        mock: The mock, without a behaviour.
        environ: The variables.
        relays: Whether the upstream's URL is one of these.

    Raises:
        OptionError: A variable cannot be used, or two say what the mock does.
        ScriptError: The replay file cannot be played; a missing one is a FileNotFoundError, too.

    Warns:
        UserWarning: A variable is called much like one of these.
    """
    warn_of_mistyped(environ)
    expand, file, url = expands(environ), replay_file(environ), upstream(environ) if relays else None
    if file is not None and url is not None:
        problem = f"and {UPSTREAM} say two things of what the mock does"
        raise OptionError(REPLAY_FILE, file, problem, "unset one of them")
    mock = mock.templates(expand)
    if file is not None:
        return _replaying(mock, file, expand)
    if url is not None:
        try:
            return mock.proxy(url)
        except OptionError as error:
            raise OptionError(UPSTREAM, error.value, error.problem, error.valid) from None  # without its secrets
    return mock


def _replaying(mock: Mock, file: str, expand: bool) -> Mock:
    try:
        return mock.replay(file if _has_a_kind(file) else _lines(file))
    except ScriptFileNotFoundError as error:
        way = f"{REPLAY_FILE} names it: give it an absolute path, or unset it"
        raise ScriptFileNotFoundError(file, f"{error.problems[0].text}; {way}") from None
    except ScriptError as error:
        error.add_note(f"the file is named by {REPLAY_FILE}")
        if not expand and any("template" in each.text for each in error.problems):
            error.add_note('templates are checked though they are not expanded; "template": false in a line says none')
        raise


def _has_a_kind(file: str) -> bool:
    """Return whether a file's suffix says what is in it; the original reads any as JSON Lines."""
    from .formats.lines import READ

    return Path(file).suffix.lower() in (*READ, *TABLES) or os.path.isdir(file)


def _lines(file: str) -> Script:
    try:
        return Script.parse(Path(file).read_bytes().decode("utf-8-sig"), file)
    except FileNotFoundError:
        raise ScriptFileNotFoundError(file, f"there is no such file in {Path.cwd()}") from None
    except OSError as error:
        raise ScriptError(file, f"it cannot be read: {error.strerror or error}") from error
    except UnicodeDecodeError as error:
        raise ScriptError(file, f"it is no text of JSON Lines: {error}") from None
    except ValueError as error:  # a zero in its name
        raise ScriptError(file, f"it cannot be read: {error}") from None
