"""``mockforge-nb serve``: a mock that runs until Ctrl-C."""

from __future__ import annotations

import sys
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from . import targets, words
from .mocks import Wanted
from .say import YELLOW, Failed, aside, coloured, printable, say, say_json

if TYPE_CHECKING:
    from mockforge_nb.mock import Mock
    from mockforge_nb.tls import Tls

KEY_PASSWORD: Final = "MOCKFORGE_NB_KEY_PASSWORD"
"""The variable for a password, as what is written at a command line others may see."""

DOES, PLAYS, NETWORK, WHERE, SHOWS = (
    "What it does (one of these, or FILE)",
    "How FILE is played",
    "The network",
    "Where it is served and recorded",
    "What is shown",
)


class Then(StrEnum):
    """What follows the last step."""

    HOLD = "hold"
    CLOSE = "close"


class Timing(StrEnum):
    """What a step's time counts from."""

    OFFSET = "offset"
    DELAY = "delay"


def serve(
    file: Annotated[
        str | None, typer.Argument(metavar="FILE", help="A replay file, a recording or a table to play.")
    ] = None,
    echo: Annotated[bool, typer.Option("--echo", help="Send each message back.", rich_help_panel=DOES)] = False,
    proxy: Annotated[
        str | None,
        typer.Option(
            metavar="URL", help="Stand in front of a real server; --record records it.", rich_help_panel=DOES
        ),
    ] = None,
    faker: Annotated[
        str | None,
        typer.Option(metavar="SCHEMA", help=f"Messages made by Faker: {words.SCHEMA}.", rich_help_panel=DOES),
    ] = None,
    feed: Annotated[
        str | None,
        typer.Option(
            metavar="NAME",
            help="A ready feed: trades, chat, iot, orders, presence or logs.",
            rich_help_panel=DOES,
        ),
    ] = None,
    llm: Annotated[
        str | None,
        typer.Option(
            metavar="NARRATIVE", help="A story that a language model writes while it is sent.", rich_help_panel=DOES
        ),
    ] = None,
    model: Annotated[
        str | None, typer.Option(help="Which model, for --llm; local unless given.", rich_help_panel=DOES)
    ] = None,
    number: Annotated[
        int | None,
        typer.Option("-n", "--number", help="How many messages, for --faker, --feed, --llm.", rich_help_panel=DOES),
    ] = None,
    rate: Annotated[float | None, typer.Option(help="Messages a second.", rich_help_panel=PLAYS)] = None,
    time: Annotated[
        str | None, typer.Option(metavar="COLUMN", help="A table's column of times.", rich_help_panel=PLAYS)
    ] = None,
    unit: Annotated[
        str | None, typer.Option(help="The unit of a numeric time column: s, ms, us, ns.", rich_help_panel=PLAYS)
    ] = None,
    by: Annotated[
        str | None,
        typer.Option(
            metavar="COLUMN", help="A table's column of keys, with --path '/ws/{COLUMN}'.", rich_help_panel=PLAYS
        ),
    ] = None,
    columns: Annotated[
        list[str] | None, typer.Option("--column", help="A column to send; again for more.", rich_help_panel=PLAYS)
    ] = None,
    template: Annotated[
        str | None, typer.Option(help="What a row is sent as: '{{row.price}}'.", rich_help_panel=PLAYS)
    ] = None,
    rebase: Annotated[
        str | None, typer.Option(help="Where a table's times are moved to: 'now', or one.", rich_help_panel=PLAYS)
    ] = None,
    speed: Annotated[
        str | None, typer.Option(help="How many times as fast: 10, or max.", rich_help_panel=PLAYS)
    ] = None,
    duration: Annotated[
        str | None, typer.Option(help="How long the whole takes: 60s.", rich_help_panel=PLAYS)
    ] = None,
    loop: Annotated[bool, typer.Option("--loop", help="Play it again and again.", rich_help_panel=PLAYS)] = False,
    shared: Annotated[
        bool,
        typer.Option("--shared", help="One play-head for all: who joins late enters now.", rich_help_panel=PLAYS),
    ] = False,
    then: Annotated[
        Then | None, typer.Option(help="What follows the last message.", rich_help_panel=PLAYS)
    ] = None,
    timing: Annotated[
        Timing | None, typer.Option(help="Whether ts counts from the start or step to step.", rich_help_panel=PLAYS)
    ] = None,
    connection: Annotated[
        int | None, typer.Option(help="Which connection of a recording.", rich_help_panel=PLAYS)
    ] = None,
    templates: Annotated[
        bool, typer.Option("--templates/--no-templates", help="Expand templates.", rich_help_panel=PLAYS)
    ] = True,
    seed: Annotated[
        int | None, typer.Option(help="The same random numbers on every run.", rich_help_panel=PLAYS)
    ] = None,
    clock: Annotated[
        str | None, typer.Option(metavar="TIME", help="Where {{now}} starts: 2024-01-15T10:30Z.", rich_help_panel=PLAYS)
    ] = None,
    latency: Annotated[str | None, typer.Option(help=f"{words.LATENCY} (ms).", rich_help_panel=NETWORK)] = None,
    bandwidth: Annotated[
        str | None, typer.Option(help="Bytes a second: 100kB, 3g, 56k, …", rich_help_panel=NETWORK)
    ] = None,
    fault: Annotated[
        list[str] | None,
        typer.Option(help=f"{words.FAULT}; again for more.", rich_help_panel=NETWORK),
    ] = None,
    preset: Annotated[
        str | None, typer.Option(help="train, flaky_wifi, satellite or deploy.", rich_help_panel=NETWORK)
    ] = None,
    port: Annotated[
        int | None,
        typer.Option(help="0: any free one; MOCKFORGE_WS_PORT or 3001 unless given.", rich_help_panel=WHERE),
    ] = None,
    host: Annotated[
        str | None, typer.Option(help="MOCKFORGE_WS_HOST or 127.0.0.1 unless given.", rich_help_panel=WHERE)
    ] = None,
    path: Annotated[str, typer.Option(help="The path.", rich_help_panel=WHERE)] = "/ws",
    tls: Annotated[
        bool, typer.Option("--tls", help="Serve wss://, with a certificate made here.", rich_help_panel=WHERE)
    ] = False,
    cert: Annotated[
        str | None, typer.Option(metavar="PEM", help="Serve wss:// with this certificate.", rich_help_panel=WHERE)
    ] = None,
    key: Annotated[str | None, typer.Option(metavar="PEM", help="Its private key.", rich_help_panel=WHERE)] = None,
    key_password: Annotated[
        str | None,
        typer.Option(envvar=KEY_PASSWORD, help="What the key is encrypted with.", rich_help_panel=WHERE),
    ] = None,
    ca: Annotated[
        Path | None,
        typer.Option(metavar="PEM", help="Write by what clients trust it to this file.", rich_help_panel=WHERE),
    ] = None,
    record: Annotated[
        str | None, typer.Option(metavar="FILE", help="Record to a .jsonl or .parquet file.", rich_help_panel=WHERE)
    ] = None,
    redact: Annotated[
        list[str] | None,
        typer.Option(metavar="JSONPATH", help="What is not recorded: '$..password'.", rich_help_panel=WHERE),
    ] = None,
    force: Annotated[
        bool, typer.Option("--force", "-f", help="Replace a recording that is there.", rich_help_panel=WHERE)
    ] = False,
    prometheus: Annotated[
        bool,
        typer.Option("--prometheus", help="Let Prometheus read metrics at /metrics.", rich_help_panel=WHERE),
    ] = False,
    otlp: Annotated[
        str | None,
        typer.Option(metavar="URL", help="Send spans and metrics to an OTLP receiver.", rich_help_panel=WHERE),
    ] = None,
    header: Annotated[
        list[str] | None,
        typer.Option(metavar="'NAME: VALUE'", help="A header for --proxy's server.", rich_help_panel=WHERE),
    ] = None,
    insecure: Annotated[
        bool, typer.Option("--insecure", help="Do not verify --proxy's certificate.", rich_help_panel=WHERE)
    ] = False,
    for_: Annotated[
        str | None, typer.Option("--for", metavar="TIME", help="End after this time: 10s.", rich_help_panel=SHOWS)
    ] = None,
    quiet: Annotated[
        bool, typer.Option("-q", "--quiet", help="Say the URL and the summary alone.", rich_help_panel=SHOWS)
    ] = False,
    as_json: Annotated[
        bool, typer.Option("--json", help="A JSON line an event, the last the summary.", rich_help_panel=SHOWS)
    ] = False,
) -> None:  # fmt: skip
    """Serve a mock until Ctrl-C, with a live view on a terminal and a line an event elsewhere.

    Without FILE or what stands for it, MOCKFORGE_WS_REPLAY_FILE or MOCKFORGE_WS_PROXY_UPSTREAM_URL say what is served.

    The summary comes at the end; the exit code is 1 if something went wrong by the author's doing (a template that
    cannot be rendered, an assertion that failed), else 0. A second Ctrl-C ends at once.
    """
    sources = {"file": file, "echo": echo, "proxy": proxy, "faker": faker, "feed": feed, "llm": llm}
    wanted = Wanted(
        sources={name: value for name, value in sources.items() if value not in (None, False)},
        playing={
            "time": time, "unit": unit, "by": by, "columns": columns or None, "template": template, "rebase": rebase,
            "speed": None if speed is None else words.speed(speed), "duration": duration, "loop": loop,
            "shared": shared, "then": None if then is None else then.value,
            "timing": None if timing is None else timing.value,
        },
        network={"latency": latency, "bandwidth": bandwidth, "fault": fault, "preset": preset},
        # A password may be of the environment, which says nothing of whether there is a key.
        secured={"certificate": cert, "key": key, "password": key_password if cert or key else None}
        if tls or cert or key else None,
        prometheus=prometheus, otlp=otlp, record=record, redact=tuple(redact or ()), seed=seed, clock=clock,
        rate=rate, n=number, model=model, connection=connection, templates=templates,
        headers=words.headers(header or ()), verify=False if insecure else None,
    )  # fmt: skip
    mock = wanted.mock()
    if otlp is not None:
        _tell_once()
    if record is not None:
        targets.new(Path(record), "--record", force=force, reads=file)
    where = {"port": port, "host": host, "path": path}
    run(mock, where, ca=ca, seconds=limit(for_), quiet=quiet, as_json=as_json)


def _tell_once() -> None:
    """Have a receiver of telemetry that is not there told once, in a line, not at each try."""
    import logging

    class Once(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            logger.removeHandler(self)
            logger.addHandler(logging.NullHandler())
            aside(coloured(f"warning: --otlp: {printable(record.getMessage())}", YELLOW, sys.stderr))

    logger = logging.getLogger("opentelemetry")
    logger.addHandler(Once())
    logger.propagate = False


def limit(text: str | None) -> float | None:
    """Return what ``--for`` says, in seconds."""
    from mockforge_nb.core.units import seconds

    return None if text is None else seconds(words.number(text), "--for")


def run(
    mock: Mock,
    where: dict[str, Any],
    *,
    ca: Path | None = None,
    seconds: float | None = None,
    quiet: bool = False,
    as_json: bool = False,
) -> None:
    """Serve a mock until it is ended, and show it.

    Raises:
        Failed: Something went wrong by the author's doing.
    """
    from mockforge_nb.errors import OptionError

    from .ending import Ending
    from .live import show, tell
    from .watching import Watch

    if ca is not None:
        if mock._tls is None:
            raise OptionError("--ca", str(ca), "goes with --tls")
        secured: Tls = mock._tls.made
        targets.authority(ca, (secured.certificate, secured.key))
    with Ending() as ending:
        server = mock.serve(**where)
        try:
            if ca is not None and server.ca is not None:
                ca.write_text(server.ca, "ascii")
            watch = Watch(server)
            ending.after(seconds)
            show(watch, ending, quiet=quiet, as_json=as_json)
        finally:
            server.stop()
        tell(watch, quiet=quiet, as_json=as_json)
        counts = watch.look()
        if as_json:
            say_json({"event": "summary", **counts.as_json()})
        else:
            for line in counts.lines():
                say(line)
    if counts.errors:
        raise Failed
