"""The commands, put together; importing it loads Typer and nothing heavy."""

from __future__ import annotations

import os
from typing import Annotated

import typer

from . import doctor, files, generating, playing, recording, serving
from .group import Group
from .say import DEBUG, say

app = typer.Typer(
    name="mockforge-nb",
    cls=Group,
    help="A WebSocket mock: serve, record, look at, make and play replay files.",
    epilog="Exit codes: 0 done, also when Ctrl-C ended it; 1 it failed; 2 used in a wrong way.",
    no_args_is_help=True,
    rich_markup_mode="rich",
    pretty_exceptions_enable=False,
    add_completion=False,  # its options make Typer load pydantic before every help
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _version(wanted: bool) -> None:
    if wanted:
        from mockforge_nb import __version__

        say(f"mockforge-nb {__version__}")
        raise typer.Exit


@app.callback()
def common(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Show the version.")
    ] = False,
    debug: Annotated[bool, typer.Option("--debug", help=f"Show where an error came from, as {DEBUG}=1 does.")] = False,
) -> None:
    """Take what is said of every command."""
    if debug:
        os.environ[DEBUG] = "1"


def example(*lines: str) -> str:
    """Return an epilog with examples."""
    return "\n\n".join(("Examples:", *lines))


app.command(
    epilog=example(
        "mockforge-nb serve ticks.csv --time at --speed 10 --latency slow",
        "mockforge-nb serve --echo --fault drop:0.1 --fault close:after=100,code=1012",
        "mockforge-nb serve --proxy wss://feed.example.com/v1 --record feed.jsonl",
        "mockforge-nb serve --faker id=uuid4,name=name --rate 5 --tls --ca ca.pem",
    )
)(serving.serve)
app.command(
    epilog=example(
        'mockforge-nb record wss://feed.example.com/v1 -o feed.jsonl --for 10s --send \'{"op": "subscribe"}\'',
        "mockforge-nb record wss://feed.example.com/v1 -o feed.jsonl --listen 3001",
    )
)(recording.record)
app.command(epilog=example("mockforge-nb validate replays/*.jsonl"))(files.validate)
app.command(
    epilog=example(
        "mockforge-nb convert session.har session.jsonl", "mockforge-nb convert ticks.csv ticks.jsonl --time at"
    )
)(files.convert)
app.command(epilog=example("mockforge-nb show feed.jsonl --head 20"))(files.show)
app.add_typer(generating.app, name="generate")
app.command(epilog=example("mockforge-nb play feed.jsonl wss://staging.example.com/v1 --ignore '$.id'"))(playing.play)
app.command(epilog=example("mockforge-nb demo"))(playing.demo)
app.command(name="doctor", epilog=example("mockforge-nb doctor --port 3001"))(doctor.doctor)
