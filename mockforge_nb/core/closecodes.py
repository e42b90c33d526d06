"""Which codes and reasons a close frame may carry, RFC 6455 §7.4."""

from __future__ import annotations

from mockforge_nb.errors import OptionError

REASON_BYTES = 123
"""A control frame's 125 bytes (RFC 6455 §5.5) without the code."""


def may_close(code: object) -> bool:
    """Return whether a close frame may carry `code`."""
    if not isinstance(code, int) or isinstance(code, bool):
        return False
    return code in (1000, 1001, 1002, 1003, *range(1007, 1015)) or 3000 <= code < 5000


def may_say(reason: object) -> bool:
    """Return whether a close frame may carry `reason`."""
    return isinstance(reason, str) and len(reason.encode(errors="replace")) <= REASON_BYTES


def check_close(code: object, reason: object) -> None:
    """Raise OptionError unless code and reason may stand in a close frame."""
    if not may_close(code):
        valid = "valid: 1000-1003, 1007-1014, 3000-4999"
        raise OptionError("close(code=)", code, "may not stand in a close frame", valid)
    if not may_say(reason):
        raise OptionError("close(reason=)", reason, f"is no text of at most {REASON_BYTES} bytes in UTF-8")
