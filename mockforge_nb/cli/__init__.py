"""The command line: ``mockforge-nb`` and ``python -m mockforge_nb``.

Exit codes: 0: done, also when `serve` or `record` was ended with Ctrl-C, or nobody reads what it writes any more
(``| head``); 1: it failed, or found what it looked for (`validate`, `play`, `doctor`, errors of a served mock); 2: used
in a wrong way, of which a file that is not there is one, but for `validate`; 130: broken off with Ctrl-C.

A module a command or family; each loads what it needs when it runs, so that help comes at once.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from .say import Failed, finish, prepare, report, wrong

INTERRUPTED = 130
"""The exit code of what Ctrl-C broke off: 128 and SIGINT's number, as of any shell's command."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line.

    Args:
        arguments: What follows the program's name; `sys.argv` unless given.

    Returns:
        The exit code.
    """
    code: int = 0
    try:
        prepare()
        code = _run(arguments)
    except KeyboardInterrupt:
        code = INTERRUPTED
    except SystemExit as end:
        code = end.code if isinstance(end.code, int) else int(end.code is not None)
    except Failed as failed:
        code = failed.code
    except Exception as error:  # noqa: BLE001  # whatever it was, it is told in a line
        code = report(error)
    return finish(code)


def _run(arguments: Sequence[str] | None) -> int:
    from typer.main import get_command

    from .app import app

    try:
        code = get_command(app).main(arguments, prog_name="mockforge-nb", standalone_mode=False)
    except Exception as error:
        if not hasattr(error, "format_message"):  # Typer's own, which it keeps in a private module
            raise
        return wrong(error)
    return code if isinstance(code, int) else 0


def program(interrupted: Any = None) -> int:
    """Run the command line as all that this process does.

    Args:
        interrupted: What Ctrl-C does from now on; None: what it did.

    Returns:
        The exit code.
    """
    import os
    import signal

    if interrupted is not None:
        signal.signal(signal.SIGINT, interrupted)
    code = main()
    # What is left is the interpreter's end, in which Ctrl-C would be a traceback.
    signal.signal(signal.SIGINT, lambda *_: os._exit(code))
    return code
