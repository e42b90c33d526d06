"""The command line, as ``python -m mockforge_nb``."""

from __future__ import annotations

import sys

from .cli import program

if __name__ == "__main__":
    sys.exit(program())
