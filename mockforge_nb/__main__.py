"""The command line, as ``python -m mockforge_nb``."""

from __future__ import annotations

import signal
import sys

if __name__ == "__main__":
    # Until the command line is there to tell it, Ctrl-C ends the process without a traceback.
    interrupted = signal.getsignal(signal.SIGINT)
    if interrupted is signal.default_int_handler:
        signal.signal(signal.SIGINT, signal.SIG_DFL)

    from .cli import program

    sys.exit(program(interrupted))
