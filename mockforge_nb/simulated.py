"""`Mock.simulate`: its arguments, and what stands for a server there."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import timedelta
from typing import TYPE_CHECKING, Any, TypeVar

from .connections import Connection
from .core.message import encoded
from .core.routes import PathPattern, Routes
from .core.simulation import Said, Simulation
from .core.units import seconds
from .errors import OptionError, raise_first
from .traffic import Traffic

if TYPE_CHECKING:
    from .mock import Mock

T = TypeVar("T")


class _Simulated:
    """What connections ask their server for, of a simulation."""

    def __init__(self, simulation: Simulation) -> None:
        self.listener: Any = simulation
        self.traffic = Traffic(simulation.log)

    def call(self, function: Callable[..., T], *args: Any) -> T:
        """Call a function: there is one thread."""
        return function(*args)


def simulate(
    mock: Mock,
    client: Sequence[tuple[float | str | timedelta, object]],
    *,
    until: float | str | timedelta,
    connections: int,
    path: str,
    check: bool,
) -> Traffic:
    """Play a mock in virtual time; arguments and errors are those of `Mock.simulate`."""
    says = []
    for index, each in enumerate(client):
        if not isinstance(each, (tuple, list)) or len(each) != 2:
            raise OptionError("simulate(client)", each, f"at {index} is no pair of a time and a message")
        at = seconds(each[0], "simulate(client)")
        says.append(Said(at) if each[1] is None else Said(at, *encoded(each[1], "simulate(client)")))
    if isinstance(connections, bool) or not isinstance(connections, int) or connections < 1:
        raise OptionError("simulate(connections=)", connections, "is no number from 1 on")
    plain, _, query = path.partition("?") if isinstance(path, str) else (path, "", "")
    asked = PathPattern.parse(plain, "simulate(path=)")
    root = PathPattern.parse("/ws", "simulate(path=)") if mock._routes else asked
    routes = Routes(mock._plans(root))
    found = routes.find(plain)
    if found is None:
        raise OptionError("simulate(path=)", path, "is no path of this mock", routes.missing(plain))
    simulation = Simulation(routes, found, plain, query, mock._seed or 0)
    owner = _Simulated(simulation)
    simulation.connect = lambda peer: Connection(owner, peer)
    simulation.run(says, seconds(until, "simulate(until=)"), connections)
    if check:
        raise_first(simulation.failed)
    return owner.traffic
