"""What an author says of how clients ask for keys, checked, to a Subscription of the core."""

from __future__ import annotations

from typing import Any

from .core.compare import paths
from .core.match import pattern
from .core.rules import Call
from .core.subscribing import Keyed, Subscription
from .errors import OptionError
from .rules import answers

VALID = (
    "valid: a JSONPath of the keys, '$.symbols[*]'; a pattern of the message and that, "
    "(\"$.op == 'subscribe'\", '$.symbols[*]'); a function of the message that returns its keys, or None"
)


def subscription(subscribe: object, unsubscribe: object, ack: object) -> Subscription | None:
    """Return the subscription; arguments are those of `Script.from_frame`. None: nothing is said.

    Raises:
        OptionError: An argument that is wrong, or does not go with the others.
        TemplateError: `ack` is no template.
    """
    if subscribe is None:
        for name, value in (("unsubscribe=", unsubscribe), ("ack=", ack)):
            if value is not None:
                raise OptionError(name, value, "goes with subscribe=", VALID)
        return None
    if unsubscribe is not None and unsubscribe == subscribe:
        problem = "takes the same messages as subscribe="
        way = "tell them apart: unsubscribe=(\"$.op == 'unsubscribe'\", '$.symbols[*]')"
        raise OptionError("unsubscribe=", unsubscribe, problem, way)
    return Subscription(
        _keyed(subscribe, "subscribe="),
        None if unsubscribe is None else _keyed(unsubscribe, "unsubscribe="),
        answers(ack, "ack="),
    )


def _keyed(given: Any, where: str) -> Keyed:
    if callable(given) and not isinstance(given, type):
        return Keyed(function=Call.of(given, where, "message"))
    path = given
    of = None
    if isinstance(given, (tuple, list)):
        if len(given) != 2:
            raise OptionError(where, given, "is no pattern and a path", VALID)
        of, path = pattern(given[0], where=where), given[1]
    if not isinstance(path, str) or not path.startswith("$"):
        raise OptionError(where, given, "does not say where the keys are", VALID)
    try:
        return Keyed(pattern=of, path=paths([path], where)[0])
    except OptionError as error:
        raise OptionError(where, given, error.problem, VALID) from None
