"""``play`` and ``demo``: a recording's client against a server, and the main job on real input."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import typer

from . import words
from .say import Failed, printable, say, say_json


class Match(StrEnum):
    """When a message is as recorded."""

    JSON = "json"
    EQUAL = "equal"
    TYPES = "types"


def play(
    file: Annotated[Path, typer.Argument(help="A recording.")],
    url: Annotated[str, typer.Argument(help="The server: ws://… or wss://…")],
    speed: Annotated[str, typer.Option(help="How many times as fast as recorded: 10, or max.")] = "1",
    match: Annotated[Match, typer.Option(help="When a message is as recorded.")] = Match.JSON,
    ignore: Annotated[list[str] | None, typer.Option(metavar="JSONPATH", help="What does not count: '$.id'.")] = None,
    carry: Annotated[
        list[str] | None, typer.Option(metavar="JSONPATH", help="What the server says anew each time: '$.session'.")
    ] = None,
    order: Annotated[bool, typer.Option("--order/--no-order", help="Whether the order counts.")] = True,
    extra: Annotated[bool, typer.Option("--extra", help="It may say more than was recorded.")] = False,
    timeout: Annotated[str, typer.Option(help="How long is waited in vain.")] = "10s",
    connection: Annotated[int | None, typer.Option(help="Which connection of the recording.")] = None,
    header: Annotated[
        list[str] | None, typer.Option(metavar="'NAME: VALUE'", help="A header of the handshake.")
    ] = None,
    trust: Annotated[str | None, typer.Option(metavar="PEM", help="A file of certificates to trust.")] = None,
    insecure: Annotated[bool, typer.Option("--insecure", help="Do not verify its certificate.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="The verdicts as JSON.")] = False,
) -> None:
    """Say a recording's client side to a server, and compare what it answers; the exit code is 1 if that differs."""
    from mockforge_nb.script import Script

    script = Script.load(file, connection=connection)
    options: dict[str, Any] = {"ssl": False if insecure else trust} if insecure or trust else {}
    verdicts = script.play_against(
        url,
        speed=words.speed(speed),
        match=match.value,
        ignore=ignore or (),
        carry=carry or (),
        order=order,
        extra=extra,
        timeout=words.number(timeout),
        headers=words.headers(header or ()),
        **options,
    )
    if as_json:
        rows = [
            {
                "verdict": each.word,
                "step": each.step,
                "line": each.line or None,
                "dir": each.direction,
                "recorded": each.recorded,
                "received": each.got,
                "differences": [*each.differences],
                "failed": each.failed,
            }
            for each in verdicts.verdicts
        ]
        say_json({"ok": verdicts.ok, "url": verdicts.url, "counts": verdicts.counts, "verdicts": rows}, indent=2)
    else:
        said = ", ".join(f"{count:,} {word}" for word, count in verdicts.counts.items()) or "nothing to play"
        say(f"{printable(verdicts.url)} is {'as' if verdicts.ok else 'not as'} {file} recorded it: {said}")
        if not verdicts.ok:
            say(printable(verdicts.differences(), keep="\n"))
    if not verdicts.ok:
        raise Failed


def demo() -> None:
    """Serve a real table, read it with a real client, show the traffic."""
    from mockforge_nb.demo import main

    code = main()
    if code:
        raise Failed(code)
