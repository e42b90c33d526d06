"""The command line: ``mockforge-nb`` and ``python -m mockforge_nb``.

Exit codes: 0: done, also when it was ended with Ctrl-C; 1: it failed, or found what it looked for (`validate`, `play`,
`doctor`, errors of a served mock); 2: used in a wrong way.

A module a command or family; each loads what it needs when it runs, so that help comes at once.
"""

from __future__ import annotations

from collections.abc import Sequence

from .say import Failed, finish, prepare, report


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line.

    Args:
        arguments: What follows the program's name; `sys.argv` unless given.

    Returns:
        The exit code.
    """
    from typer.main import get_command

    from .app import app

    prepare()
    code: int = 0
    try:
        get_command(app).main(arguments, prog_name="mockforge-nb")
    except SystemExit as end:
        code = end.code if isinstance(end.code, int) else int(end.code is not None)
    except Failed as failed:
        code = failed.code
    except Exception as error:  # noqa: BLE001  # whatever it was, it is told in a line
        code = report(error)
    return finish(code)
