"""A mock's words to the plans of its paths: what `serve`, `update` and `simulate` run."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .cassettes import Proxied
from .core.plan import Behaviour, Echo, Plan, Recording, Relay, Replay, Silent
from .core.routes import PathPattern
from .core.rules import Rule, Rules
from .errors import OptionError, TemplateError, joined, nearest
from .narratives import Narrated
from .network import conditions_of
from .replays import Played
from .rules import check_names

if TYPE_CHECKING:
    from .mock import Mock

OF_THE_SERVER = ("connections", "handshake_seconds", "log_bytes")
"""Limits that are no path's own."""


def plans(mock: Mock, root: PathPattern) -> list[tuple[PathPattern, Plan]]:
    """Return the plan of each path; `root` is the path of the mock itself.

    Raises:
        OptionError: A mock that is routed to has a limit of the whole server, a rule goes after one that is not
            there, or something is said that can never be.
        TemplateError: A template has a variable that nothing defines.
    """
    return list(_plans(mock, root, ""))


def _plans(mock: Mock, root: PathPattern, prefix: str) -> Iterator[tuple[PathPattern, Plan]]:
    says = mock._behaviour or mock._rules or mock._otherwise
    if says or not mock._routes:
        plan = _plan(mock, root)
        yield root, plan
        if mock._below:
            yield PathPattern.parse(root.text.rstrip("/") + "/{path:path}", "below()"), plan
    for path, routed in mock._routes:
        for word in (routed._trace, routed._metrics, routed._tls):
            if word is not None:
                problem = f"is of the whole server, and this mock is one path of it ({path})"
                raise OptionError(f"{word.call}()", word, problem, "say it of the mock that is served")
        for name in OF_THE_SERVER:
            if name in routed._limits:
                value = routed._limits[name]
                problem = f"is a limit of the whole server, and this mock is one path of it ({path})"
                raise OptionError(f"limits({name}=)", value, problem, "give it to the mock that is served")
        text = prefix + path if path != "/" or not prefix else prefix
        yield from _plans(_inheriting(routed, mock), PathPattern.parse(text, "route()"), text.rstrip("/"))


def _inheriting(mock: Mock, above: Mock) -> Mock:
    """Return a mock that is routed to with the conditions of the one above it where it says none itself."""
    return replace(
        mock,
        _network=above._network + mock._network,
        _compression=mock._compression or above._compression,
        _record=mock._record or above._record,
        _clock_ns=above._clock_ns if mock._clock_ns is None else mock._clock_ns,
        _seed=above._seed if mock._seed is None else mock._seed,
        _expand=mock._expand and above._expand,
        _names={**above._names, **mock._names},
        _limits={**{k: v for k, v in above._limits.items() if k not in OF_THE_SERVER}, **mock._limits},
    )


def _check_keys(replay: Replay, path: PathPattern) -> None:
    """Raise OptionError if a table has keys (``by=``) that nothing chooses."""
    cuts = replay.program.cuts
    if cuts is None or cuts.keys is None or cuts.snapshot or cuts.subscription is not None:
        return
    name = cuts.keys.name
    if name not in path.names:
        problem = f"chooses by the path's {{{name}}}, and {path.text!r} has no such parameter"
        way = (
            f"route('/some/{{{name}}}', Mock().replay(…, by={name!r}))" if name.isidentifier() else "rename the column"
        )
        raise OptionError("replay(by=)", name, problem, f"{way}, or subscribe= or snapshot=")


def _plan(mock: Mock, path: PathPattern) -> Plan:
    rules: list[Rule] = [word.made for word in mock._rules]
    made = mock._behaviour.made if mock._behaviour is not None else None
    if isinstance(made, Played):
        rules += made.script.rules
    unsaid: Behaviour = Silent() if mock._rules or mock._otherwise else Echo()
    recordings: tuple[Recording, ...] = (mock._record.made,) if mock._record is not None else ()
    behaviour: Behaviour
    subprotocol: str | None = None
    if isinstance(made, Played):
        behaviour, subprotocol = made.behaviour, made.script.recorded.subprotocol
    elif isinstance(made, Proxied):
        behaviour, more = made.now()
        recordings, subprotocol = recordings + more, made.subprotocol
    elif isinstance(made, Narrated):
        behaviour = made.now()
    else:
        behaviour = made or unsaid
    otherwise = mock._otherwise.made if mock._otherwise is not None else ()
    if isinstance(behaviour, Echo) and mock._otherwise is not None:
        raise OptionError("otherwise()", mock, "never comes to it, as echo() answers every message")
    if isinstance(behaviour, Replay):
        _check_keys(behaviour, path)
        for each in recordings:
            if Path(each.path).resolve() == Path(behaviour.program.name).resolve():
                raise OptionError("record(path=)", each.path, "is the file that is played", "record to another one")
    if isinstance(behaviour, Relay):
        unknown = [name for name in behaviour.upstream.names if name not in path.names]
        if unknown:
            problem = f"names {{{unknown[0]}}}, and the path {path.text!r} has no such parameter"
            raise OptionError(
                "proxy()", behaviour.upstream.url, problem, f"route('/some/{{{unknown[0]}}}', Mock().proxy(…))"
            )
    sizes: dict[str, Any] = {
        name: int(mock._limits[name]) for name in ("message_bytes", "queue_bytes") if name in mock._limits
    }
    plan = Plan(
        behaviour=behaviour,
        compression=mock._compression,
        rules=Rules(tuple(rules)),
        otherwise=otherwise,
        conditions=conditions_of(mock._network),
        clock_ns=mock._clock_ns,
        expand=mock._expand,
        names=dict(mock._names),
        seed=mock._seed,
        recordings=recordings,
        subprotocol=subprotocol,
        **sizes,
    )
    check_names(plan.rules)
    undefined = sorted(plan.variables - set(mock._names)) if mock._expand else []
    if undefined:
        from .core.template import KNOWN

        known = [*mock._names, *KNOWN]
        problem = f"no variable {undefined[0]!r} is known{nearest(undefined[0], known)}"
        raise TemplateError("{{" + undefined[0] + "}}", joined(problem, f"give it with .templates({undefined[0]}=…)"))
    return plan
