"""Warnings, on the line of the author's that they are about, however deep in this package they are found."""

from __future__ import annotations

import sys
import warnings
from types import FrameType
from typing import Final

_PACKAGE: Final = __name__.partition(".")[0]


def warn(text: str) -> None:
    """Warn on the line outside of this package that led here."""
    level, frame = 2, sys._getframe(1)
    while frame.f_back is not None and _ours(frame):
        level, frame = level + 1, frame.f_back
    warnings.warn(text, stacklevel=level)


def _ours(frame: FrameType) -> bool:
    return str(frame.f_globals.get("__name__", "")).partition(".")[0] == _PACKAGE
