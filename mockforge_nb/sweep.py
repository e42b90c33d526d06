"""One client against many networks: what breaks it, and when."""

from __future__ import annotations

import asyncio
import inspect
import itertools
import threading
import time
from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Any

import pandas as pd

from .core.faults import FAULTS
from .core.rules import Call
from .core.units import seconds
from .errors import OptionError, nearest

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from .mock import Mock

CONDITIONS = ("latency", "bandwidth")
MEASURED = ("result", "error", "seconds", "messages_in", "messages_out", "struck", "errors")


class Sweep(pd.DataFrame):
    """What came of each run: a row a run, its parameters first; a DataFrame that draws itself as a heat map.

    Example:
        >>> def client(url, server):
        ...     with server.client() as one:
        ...         one.send("hi")
        ...         return one.recv()
        >>> runs = Mock().sweep(client, abort=[0, 1], progress=False)
        >>> runs["error"].notna().tolist()
        [False, True]
    """

    _metadata = ["parameters"]  # noqa: RUF012  # pandas' own way, which copies these
    parameters: tuple[str, ...] = ()

    @property
    def _constructor(self) -> Callable[..., Sweep]:
        return Sweep

    def plot(self, value: str = "failed", x: str | None = None, y: str | None = None) -> Axes:  # type: ignore[override]
        """Draw the mean of a column over two parameters, or over one.

        Args:
            value: The column; ``"failed"`` is the share of runs with an error.
            x: The parameter from left to right; the first unless given.
            y: The parameter from bottom to top; the second unless given.

        Raises:
            OptionError: There is no such column or parameter.
        """
        from matplotlib import pyplot as plt

        frame = pd.DataFrame(self).assign(failed=self["error"].notna().astype(float))
        if value not in frame:
            raise OptionError("plot(value=)", value, "is no column" + nearest(str(value), frame.columns))
        for name, given in (("x", x), ("y", y)):
            if given is not None and given not in self.parameters:
                raise OptionError(f"plot({name}=)", given, valid=self.parameters)
        x = self.parameters[0] if x is None else x
        others = [name for name in self.parameters if name != x]
        y = y if y is not None else others[0] if others else None
        for name in (x, *([y] if y is not None else [])):
            frame[name] = _axis(frame[name])
        frame["_y"] = "" if y is None else frame[y]
        cells = frame.pivot_table(index="_y", columns=x, values=value, aggfunc="mean", observed=True)
        _, axes = plt.subplots(figsize=(1.5 + len(cells.columns), 1.5 + 0.6 * len(cells)))
        means = cells.to_numpy(dtype=float)
        image = axes.imshow(means, origin="lower", aspect="auto", cmap="RdYlGn_r")
        axes.set_xticks(range(len(cells.columns)), [str(label) for label in cells.columns.tolist()])
        axes.set_yticks(range(len(cells)), [str(label) for label in cells.index.tolist()])
        axes.set_xlabel(x)
        axes.set_ylabel(y or "")
        for row, column in itertools.product(range(len(cells)), range(len(cells.columns))):
            label = {"facecolor": "white", "alpha": 0.6, "edgecolor": "none"}
            axes.text(column, row, f"{means[row, column]:.3g}", ha="center", va="center", bbox=label)
        axes.figure.colorbar(image, label="share of runs that failed" if value == "failed" else f"mean {value}")
        return axes


def _axis(values: pd.Series[Any]) -> Any:
    """Return parameters as texts, in the order in which they were given."""
    texts = [str(value) for value in values.tolist()]
    return pd.Categorical(texts, categories=list(dict.fromkeys(texts)), ordered=True)


def sweep(
    mock: Mock,
    client: Callable[..., Any],
    *,
    repeat: int,
    timeout: Any,
    progress: bool,
    grid: Mapping[str, Iterable[Any]],
) -> Sweep:
    """Run a client against each combination; arguments and errors are those of `Mock.sweep`."""
    run = Call.of(client, "sweep(client)", "url", "server") if callable(client) else None
    if run is None:
        raise OptionError("sweep(client)", client, "is no function", "give one that takes the url")
    if isinstance(repeat, bool) or not isinstance(repeat, int) or repeat < 1:
        raise OptionError("sweep(repeat=)", repeat, "is no number from 1 on")
    most = seconds(timeout, "sweep(timeout=)")
    axes = {name: _values(name, values) for name, values in grid.items()}
    if not axes:
        raise OptionError("sweep()", {}, "has no parameter", "such as latency=[0, 200] or drop=[0, 0.1]")
    cases = [dict(zip(axes, values, strict=True)) for values in itertools.product(*axes.values())]
    under = [_under(mock, case) for case in cases]  # what is wrong with one is told before the first runs
    seed = mock._seed or 0
    rows = []
    runs = [(case, number, one) for case, one in zip(cases, under, strict=True) for number in range(repeat)]
    for case, number, one in _shown(runs, progress):
        rows.append({**case, "repeat": number, **_measured(one.seed(seed + number), run, most)})
    made = Sweep(rows, columns=[*axes, "repeat", *MEASURED])
    made.parameters = tuple(axes)
    return made


def _values(name: str, values: object) -> list[Any]:
    known = list(dict.fromkeys((*CONDITIONS, *FAULTS)))
    if name not in known:
        raise OptionError(
            "sweep()", name, "is no condition or fault" + nearest(name, known), f"valid: {', '.join(known)}"
        )
    if isinstance(values, (str, bytes, Mapping)) or not isinstance(values, Iterable):
        raise OptionError(f"sweep({name}=)", values, "is no list of values")
    listed = list(values)
    if not listed:
        raise OptionError(f"sweep({name}=)", values, "is empty")
    return listed


def _under(mock: Mock, case: Mapping[str, Any]) -> Mock:
    """Return the mock under the conditions of a case."""
    for name, value in case.items():
        if name in CONDITIONS:
            mock = getattr(mock, name)(value)
        elif isinstance(value, Mapping):
            mock = mock.fault(name, **value)
        elif value is not None and value != 0:
            mock = mock.fault(name, probability=value)
    return mock


def _shown(runs: list[Any], progress: bool) -> Iterable[Any]:
    if not progress:
        return runs
    from tqdm.auto import tqdm

    return tqdm(runs, desc="sweep", unit="run")


def _measured(mock: Mock, client: Call, timeout: float) -> dict[str, Any]:
    """Serve a mock, run the client against it, and return what came of it."""
    server = mock.serve(port=0)
    began = time.perf_counter()
    try:
        result, error = _ran(client, timeout, server.url, server)
        took = time.perf_counter() - began
    finally:
        server.stop()
    rows = server.traffic.df
    text = rows["opcode"].isin(["text", "binary"])
    return {
        "result": result,
        "error": error,
        "seconds": took,
        "messages_in": int((text & (rows["direction"] == "in")).sum()),
        "messages_out": int((text & (rows["direction"] == "out")).sum()),
        "struck": int(rows["fault"].notna().sum()),
        "errors": len(server.errors),
    }


def _ran(client: Call, timeout: float, *offered: Any) -> tuple[Any, BaseException | None]:
    """Run a client on a thread of its own, where a coroutine has an event loop; return its result or exception."""
    came: list[tuple[Any, BaseException | None]] = []

    async def awaited(value: Any) -> Any:
        return await asyncio.wait_for(value, timeout)

    def work() -> None:
        try:
            made = client(*offered)
            came.append((asyncio.run(awaited(made)) if inspect.isawaitable(made) else made, None))
        except BaseException as error:  # noqa: BLE001  # whatever it is, it is the row's
            came.append((None, error))

    thread = threading.Thread(target=work, name="mockforge_nb sweep", daemon=True)
    thread.start()
    thread.join(timeout + 1)
    return came[0] if came else (None, TimeoutError(f"the client did not end within {timeout:g} s"))
