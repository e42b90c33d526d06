"""`Script.preview`: the first messages of a script, as a connection would get them."""

from __future__ import annotations

import time
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pandas as pd

from .core.plan import Behaviour, Plan, Replay
from .core.routes import PathPattern, Routes
from .core.simulation import Simulation
from .core.units import epoch_ns
from .errors import OptionError, raise_first

if TYPE_CHECKING:
    from .script import Script

PATH = "/preview"


class Preview(pd.DataFrame):
    """The first messages of a script, a row each: when it is due (s), its size (bytes), and the message."""

    @property
    def _constructor(self) -> type[Preview]:
        return Preview

    def __repr__(self) -> str:
        with pd.option_context("display.max_colwidth", 100, "display.expand_frame_repr", False):
            return super().__repr__()

    def _repr_html_(self) -> str | None:
        from .notebook.display import preview_html

        return preview_html(self)


def preview(script: Script, n: int, key: object, seed: int, clock: object) -> Preview:
    """Return the first messages; arguments and errors are those of `Script.preview`."""
    if isinstance(n, bool) or not isinstance(n, int) or n < 1:
        raise OptionError("preview(n=)", n, "is no number from 1 on")
    began = time.time_ns() if clock is None else epoch_ns(clock, "preview(clock=)")
    behaviour, params = _behaviour(script, key)
    path = PathPattern.parse(PATH, "preview()")
    routes = Routes([(path, Plan(behaviour, clock_ns=began))])
    simulation = Simulation(routes, (routes.first, params), PATH, "", seed)
    simulation.run((), float("inf"), most=n + 1)  # one row is the handshake's
    raise_first(simulation.failed)
    from .traffic import Traffic

    rows: Any = Traffic(simulation.log).df
    rows = rows[(rows["direction"] == "out") & rows["opcode"].isin(["text", "binary"])].head(n)
    message = rows["text"].astype(object).where(rows["text"].notna(), rows["data"])
    columns = {"at": rows["due_ms"] / 1000, "size": rows["size"], "message": message}
    return Preview(pd.DataFrame(columns).reset_index(drop=True))


def _behaviour(script: Script, key: object) -> tuple[Behaviour, dict[str, str]]:
    """Return what is played, and the parameters of the path that says which key is wanted."""
    if script.endless:
        if key is not None:
            raise OptionError("preview(key=)", key, "goes with a table and by=")
        return script.stream(1.0, shared=False), {}
    program = script.program
    cuts = program.cuts
    keys = None if cuts is None else cuts.keys
    if key is not None and keys is None:
        raise OptionError("preview(key=)", key, "goes with a table and by=")
    if key is not None and keys is not None and str(key) not in keys:
        raise OptionError("preview(key=)", key, f"is no {keys.name} of the table{keys.nearest(str(key))}")
    if cuts is not None and cuts.subscription is not None:
        program = replace(program, cuts=replace(cuts, subscription=None))
    return Replay(program), {} if keys is None or key is None else {keys.name: str(key)}
