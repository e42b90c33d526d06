"""Messages that are made of a list's entries, or by a function of the user's."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from mockforge_nb.errors import ScriptError

from .forms import NoJSONError, article, to_bytes
from .sources import Kind, Messages, Shape


def shaped(rows: Iterable[tuple[Any, Any]], function: Shape, script: str) -> Messages:
    """Make a message of each row with the user's function."""
    messages = Messages()
    for label, row in rows:
        messages.add(*make_message(function, label, row, script))
    return messages


def make_message(function: Shape, label: Any, row: Any, script: str) -> tuple[bytes, Kind]:
    """Return what the user's function makes of a row, or of a list of them: a payload and its kind.

    Args:
        function: The function.
        label: What errors call the row.
        row: The row.
        script: What errors call the script.

    Raises:
        ScriptError: It raised, or returned what cannot be sent.
    """
    try:
        made = function(row)
    except Exception as error:
        raise ScriptError(script, f"template failed in row {label}: {type(error).__name__}: {error}") from error
    if not isinstance(made, (str, bytes, bytearray, memoryview, dict, list)):
        hint = " (does it return at all?)" if made is None else ""
        way = "valid: str, bytes, a dict or a list"
        raise ScriptError(script, f"template returned {article(made)}{hint} in row {label}; {way}")
    return message(made, f"what template returned in row {label}", script, listed=True)


def message(value: Any, where: str, script: str, *, listed: bool = False) -> tuple[bytes, Kind]:
    """Return a value as a message: its payload and kind."""
    if isinstance(value, str):
        try:
            return value.encode(), "text"
        except UnicodeEncodeError as error:
            raise ScriptError(
                script, f"{where} is no text that UTF-8 can carry ({error.reason}); send its bytes"
            ) from None
    if isinstance(value, (bytes, bytearray, memoryview)):
        return bytes(value), "binary"
    if not isinstance(value, dict) and not (listed and isinstance(value, list)):
        ways = "valid: a dict, a text or bytes; json.dumps(row) makes a text of other JSON"
        raise ScriptError(script, f"{where} is {article(value)}; {ways}")
    try:
        return to_bytes(value), "json"
    except NoJSONError as error:
        inner = next((f"{key!r} of " for key, each in _items(value) if not _has_form(each)), "")
        raise ScriptError(
            script, f"{inner}{where} has no JSON form: {error}; make it a text first, or send bytes"
        ) from None


def _items(value: dict[Any, Any] | list[Any]) -> Iterable[tuple[Any, Any]]:
    return value.items() if isinstance(value, dict) else enumerate(value)


def _has_form(value: Any) -> bool:
    try:
        to_bytes(value)
    except NoJSONError:
        return False
    return True
