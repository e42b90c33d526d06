"""``mockforge-nb generate``: replay files of messages that are made up."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from . import targets, words
from .files import COLUMNS, FORCE, TEMPLATE, TIME, UNIT, load, table_options
from .group import Group
from .say import aside, write

if TYPE_CHECKING:
    from mockforge_nb.script import Script

NUMBER: Final = 100

app = typer.Typer(
    cls=Group,
    help="Make a replay file: of a table, by Faker, like a file, of a ready feed, or by a language model.",
    no_args_is_help=True,
    epilog="Examples:\n\nmockforge-nb generate feed trades -n 1000 --rate 20 --seed 1 -o trades.jsonl",
)

OUT = Annotated[
    Path | None, typer.Option("-o", "--out", metavar="FILE", help="The file; the standard output unless given.")
]
N = Annotated[int, typer.Option("-n", "--number", min=1, help="How many messages.")]
RATE = Annotated[float | None, typer.Option(help="Messages a second.")]
SEED = Annotated[int | None, typer.Option(help="The same messages on every run.")]


def _written(script: Script, out: Path | None, *, force: bool) -> None:
    if out is None:
        # A replay file is UTF-8, whatever the terminal is.
        return write(script.text().encode())
    targets.new(out, "-o", force=force)
    script.save(out)
    return aside(f"{out}: {script.summary()}")


def _said(**options: Any) -> dict[str, Any]:
    return {name: value for name, value in options.items() if value is not None}


@app.command(epilog="Examples:\n\nmockforge-nb generate table ticks.csv --time at -o ticks.jsonl")
def table(
    file: Annotated[Path, typer.Argument(help="A table: .csv, .tsv, .parquet, .feather, .arrow.")],
    time: TIME = None,
    unit: UNIT = None,
    rate: RATE = None,
    columns: COLUMNS = None,
    template: TEMPLATE = None,
    number: Annotated[int | None, typer.Option("-n", "--number", min=1, help="How many of its rows.")] = None,
    out: OUT = None,
    force: FORCE = False,
) -> None:
    """A message of each row of a table."""  # it is said of what is made
    script = load(file, **table_options(time, unit, rate, columns, template))
    _written(script if number is None else script[:number], out, force=force)


@app.command(epilog="Examples:\n\nmockforge-nb generate faker id=uuid4,name=name -n 3 --rate 5 --seed 1")
def faker(
    schema: Annotated[str, typer.Argument(help=f"A schema: {words.SCHEMA}.")],
    number: N = NUMBER,
    rate: RATE = None,
    seed: SEED = None,
    locale: Annotated[str | None, typer.Option(help="Faker's, such as de_DE.")] = None,
    out: OUT = None,
    force: FORCE = False,
) -> None:
    """Messages of a schema, by Faker."""
    from mockforge_nb.script import Script

    made = Script.from_faker(words.schema(schema, "SCHEMA"), n=number, rate=rate, seed=seed, locale=locale)
    _written(made, out, force=force)


@app.command(epilog="Examples:\n\nmockforge-nb generate llm 'A calm market, then a flash crash' -n 20 --rate 2")
def llm(
    narrative: Annotated[str, typer.Argument(help="What happens, in words.")],
    number: N = 20,
    rate: RATE = None,
    schema: Annotated[str | None, typer.Option(help="A JSON Schema or an example, as JSON or a file of it.")] = None,
    model: Annotated[str, typer.Option(help="local, openai:gpt-5-mini, …")] = "local",
    seed: Annotated[int, typer.Option(help="The model's seed.")] = 1,
    temperature: Annotated[float, typer.Option(min=0, help="How freely it writes.")] = 0.0,
    base_url: Annotated[str | None, typer.Option(help="The address of an OpenAI-compatible model.")] = None,
    out: OUT = None,
    force: FORCE = False,
) -> None:
    """A story that a language model writes."""
    from mockforge_nb.script import Script

    wished = None if schema is None else words.json_object(schema, "--schema")
    options = _said(rate=rate, schema=wished, base_url=base_url)
    made = Script.from_llm(narrative, n=number, model=model, seed=seed, temperature=temperature, **options)
    _written(made, out, force=force)


@app.command(epilog="Examples:\n\nmockforge-nb generate like ticks.csv --time at --by symbol -n 1000 -o more.jsonl")
def like(
    file: Annotated[Path, typer.Argument(help="A table, or a recording.")],
    number: N = NUMBER,
    time: TIME = None,
    by: Annotated[str | None, typer.Option(metavar="COLUMN", help="A table's column of keys.")] = None,
    rate: RATE = None,
    seed: SEED = None,
    out: OUT = None,
    force: FORCE = False,
) -> None:
    """More messages like those of a file."""
    from mockforge_nb.script import Script

    made = Script.like(str(file), n=number, **_said(time=time, by=by, rate=rate, seed=seed))
    _written(made, out, force=force)


@app.command(epilog="Examples:\n\nmockforge-nb generate feed trades -n 3 --seed 1")
def feed(
    name: Annotated[str, typer.Argument(help="trades, chat, iot, orders, presence or logs.")],
    number: N = NUMBER,
    rate: RATE = None,
    seed: SEED = None,
    start: Annotated[str | None, typer.Option(metavar="TIME", help="When it begins: 2024-01-15T10:30Z.")] = None,
    out: OUT = None,
    force: FORCE = False,
) -> None:
    """A ready feed that looks like a real one."""
    _written(words.feed(name, where="NAME", n=number, rate=rate, seed=seed, start=start), out, force=force)
