"""The tokens of templates: what they read, what they draw, and how their values are written.

A token means the same wherever it stands, so each is one function over a `Context`: templates of plain tokens call
it straight away (`plain`), and Jinja calls it for those that need Jinja (`ROOTS`).
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import lru_cache, partial
from typing import Any, Final, TypeAlias

from mockforge_nb.errors import OptionError, nearest

from .context import Context, faker_generator
from .jsonpath import jsonpath
from .message import NOT_JSON, Message, to_json
from .pattern import Match, Pattern


class MissingError(LookupError):
    """A name that a template reads and that is not there; its text is a clause for the author."""


# How values are written


class Json:
    """A client's JSON object or array: its parts are read like a dict's, and as a text it is what came."""

    text: str

    def __str__(self) -> str:
        return self.text


class JsonObject(Json, dict[str, Any]):
    """An object of JSON that came as a message."""


class JsonArray(Json, list[Any]):
    """An array of JSON that came as a message."""


class State(dict[str, Any]):
    """A connection's state or the server's, in which a name that was never set is false in a condition."""


def to_text(value: Any) -> str:
    """Return `value` as it stands in a text: texts raw, everything else as JSON writes it."""
    if type(value) is str:
        return value
    if type(value) is int:
        return str(value)
    if type(value) is float:
        return repr(value) if math.isfinite(value) else "null"
    if isinstance(value, str | Json):
        return str(value)
    if callable(value) and isinstance(getattr(value, "__name__", None), str):
        raise MissingError(f"{value.__name__} is a function: call it, {value.__name__}()")
    plain = jsonable(value)
    return plain if isinstance(plain, str) else to_json(plain)


def jsonable(value: Any) -> Any:
    """Return the JSON value nearest to `value`: what is no number is null, times are RFC 3339, others are text."""
    if value is None or isinstance(value, bool | int) or type(value) is str:
        return value
    if isinstance(value, float):
        return float(value) if math.isfinite(value) else None
    if isinstance(value, Mapping):
        return {to_text(key): jsonable(one) for key, one in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [jsonable(one) for one in value]
    if isinstance(value, bytes):
        return value.decode(errors="replace")
    for convert in ("tolist", "isoformat"):  # what is numpy's, a time
        if hasattr(type(value), convert):
            made = getattr(value, convert)()
            return None if isinstance(made, str) and made == "NaT" else jsonable(made)
    return None if type(value).__name__ == "NAType" else str(value)


# What the tokens do


def uuid(ctx: Context) -> str:
    """Return a UUID of version 4 (RFC 9562 §5.4)."""
    bits = ctx.rng.getrandbits(128) & ~(0xF << 76 | 3 << 62) | 4 << 76 | 2 << 62
    digits = f"{bits:032x}"
    return f"{digits[:8]}-{digits[8:12]}-{digits[12:16]}-{digits[16:20]}-{digits[20:]}"


_EPOCH: Final = datetime(1970, 1, 1)  # written with a Z


def now(ctx: Context, shift_ms: int = 0) -> str:
    """Return the time, shifted, as RFC 3339 with milliseconds."""
    return rfc3339(ctx.now_ns // 1_000_000 + shift_ms)


@lru_cache(16)
def rfc3339(milliseconds: int) -> str:
    """Return a time (UTC, ms) as RFC 3339 with milliseconds."""
    # Kept, as a turn's messages have one time.
    return (_EPOCH + timedelta(milliseconds=milliseconds)).isoformat(timespec="milliseconds") + "Z"


def seq(ctx: Context) -> int:
    """Return the number of this message among those with a ``{{seq}}``, from 1."""
    return ctx.seq


def rand_int(ctx: Context, low: int, high: int) -> int:
    """Return a whole number from `low` to `high`, both included."""
    # What random.randint does, without its four calls.
    draw, width = ctx.rng.getrandbits, high - low + 1
    bits = width.bit_length()
    drawn = draw(bits)
    while drawn >= width:
        drawn = draw(bits)
    return low + drawn


def rand_float(ctx: Context, low: float, high: float) -> float:
    """Return a number from `low` to `high`."""
    return ctx.rng.uniform(low, high)


def choice(ctx: Context, *values: Any) -> Any:
    """Return one of the values."""
    return ctx.rng.choice(values)


def fake(ctx: Context, provider: str, *args: Any) -> Any:
    """Return what a provider of Faker makes, drawn from the connection's stream."""
    faker = ctx.faker
    if provider not in vars(faker):
        raise MissingError(f"Faker has no provider {provider!r}{nearest(provider, vars(faker))}")
    return getattr(faker, provider)(*args)


def find(ctx: Context, path: str) -> Any:
    """Return the first value that a JSONPath finds in the client's message."""
    if ctx.message is None:
        raise MissingError("there is no client message here")
    found = _path(path).match(ctx.message)
    if found is None:
        raise MissingError(f"the client's message has nothing at {path}")
    return found.value


@lru_cache(256)
def _path(path: str) -> Pattern:
    return jsonpath(path, where="json")


def message(ctx: Context) -> Any:
    """Return the client's message: an object or array of JSON with its text, else the text itself.

    ``7`` and ``true`` stay texts, so that what a person types does not change its type with its spelling.
    """
    if ctx.message is None:
        raise MissingError("there is no client message here")
    value = ctx.message.parsed()
    view: JsonObject | JsonArray
    if value is not NOT_JSON and isinstance(value, dict):
        view = JsonObject(value)
    elif isinstance(value, list):
        view = JsonArray(value)
    else:
        return _text(ctx.message)
    view.text = _text(ctx.message)
    return view


def _text(of: Message) -> str:
    try:
        return of.payload.decode()
    except UnicodeDecodeError:
        raise MissingError(f"the client's message is binary and no UTF-8: {of!r}") from None


def _match(ctx: Context) -> Match:
    if ctx.match is None:
        raise MissingError("no pattern with groups took a message here")
    return ctx.match


def _row(ctx: Context) -> Mapping[Any, Any]:
    if ctx.row is None:
        raise MissingError("there is no table's row here")
    return ctx.row


def _rows(ctx: Context) -> Any:
    if ctx.row is None:
        raise MissingError("there is no list of a table's rows here")
    return ctx.row


class Headers(dict[str, str]):
    """Headers by their name in any case, and with ``_`` for ``-`` (RFC 9110 §5.1)."""

    def __init__(self, headers: Mapping[str, str]) -> None:
        super().__init__({name.lower(): value for name, value in headers.items()})

    def __missing__(self, name: str) -> str:
        folded = name.lower().replace("_", "-")
        if folded == name:
            raise KeyError(name)
        return self[folded]


ROOTS: Final[Mapping[str, Callable[[Context], Any]]] = {
    "message": message,
    "match": _match,
    "state": lambda ctx: State(ctx.state),
    "server": lambda ctx: State(ctx.server),
    "path": lambda ctx: ctx.path,
    "query": lambda ctx: ctx.query,
    "headers": lambda ctx: Headers(ctx.headers),
    "row": _row,
    "rows": _rows,
    "connection": lambda ctx: ctx.connection,
}
"""What a template reads by name."""


def _message_parts(ctx: Context) -> Any:
    """Return what `message` returns, but for a part of it, which needs no copy with a text of its own."""
    value = NOT_JSON if ctx.message is None else ctx.message.parsed()
    return value if isinstance(value, dict | list) else message(ctx)


_READS: Final[Mapping[str, Callable[[Context], Any]]] = {
    "message": _message_parts,
    "state": lambda ctx: ctx.state,
    "server": lambda ctx: ctx.server,
}
"""The same for a part of it by its name, where no copy is needed."""


BARE: Final[Mapping[str, Callable[..., Any]]] = {"uuid": uuid, "now": now, "seq": seq}
"""What is made anew each time that its name stands in a template."""


def member(of: Any, name: str | int) -> Any:
    """Return a part of a value: of a dict its key and never its method, so that ``{{message.items}}`` is data.

    Raises:
        MissingError: There is none of that name.
    """
    if type(of) is dict and name in of:
        return of[name]
    try:
        if isinstance(of, Mapping):
            return of[name if name in of or isinstance(of, Headers) else str(name)]
        if isinstance(of, Match):
            return of[name]
        if isinstance(of, list | tuple | str) and isinstance(name, int):
            return of[name]
    except LookupError:
        pass
    known = [str(key) for key in (of if isinstance(of, Mapping) else of.names if isinstance(of, Match) else ())]
    among = f" (there are {', '.join(known[:8])})" if known else f" in a value of type {type(of).__name__}"
    raise MissingError(f"there is no {name!r}{nearest(name, known) or among}")


# The spelling of the original: {{helper argument argument}}


@dataclass(frozen=True, slots=True)
class Helper:
    """A function of templates: how it is written, what it does, and what is wrong with these arguments."""

    usage: str
    call: Callable[..., Any]
    problem: Callable[[list[Any]], str | None]


_NUMBER: Final = re.compile(r"-?(?:0|[1-9][0-9]{0,30})(?:\.[0-9]{1,30})?(?:e[+-]?[0-9]{1,3})?", re.IGNORECASE)


def number(word: str) -> int | float | None:
    """Return the number that `word` writes, or None."""
    if not _NUMBER.fullmatch(word):
        return None
    value: int | float = json.loads(word)
    return value if math.isfinite(value) else None


def _ordered(kind: type | tuple[type, ...], what: str, args: list[Any]) -> str | None:
    if len(args) != 2 or not all(isinstance(arg, kind) and not isinstance(arg, bool) for arg in args):
        return f"wants two {what}"
    return f"wants the smaller number first ({args[0]} > {args[1]})" if args[0] > args[1] else None


def _faker_problem(args: list[Any]) -> str | None:
    if not args or not isinstance(args[0], str):
        return "wants the name of a provider"
    known = [name for name in vars(faker_generator()) if not name.startswith("_")]
    return None if args[0] in known else f"has no provider {args[0]!r}{nearest(args[0], known)}"


def _json_problem(args: list[Any]) -> str | None:
    if len(args) != 1 or not isinstance(args[0], str):
        return "wants one JSONPath"
    try:
        _path(args[0])
    except OptionError as error:
        return error.problem
    return None


HELPERS: Final[Mapping[str, Helper]] = {
    "randInt": Helper("{{randInt 1 100}}", rand_int, lambda args: _ordered(int, "whole numbers", args)),
    "randFloat": Helper("{{randFloat 0.5 1.5}}", rand_float, lambda args: _ordered((int, float), "numbers", args)),
    "choice": Helper('{{choice a b "c d"}}', choice, lambda args: None if args else "wants at least one value"),
    "faker": Helper('{{faker "name"}}', fake, _faker_problem),
    "json": Helper('{{json "$.id"}}', find, _json_problem),
}

KNOWN: Final = frozenset({*ROOTS, *BARE, *HELPERS})
"""Every name that a template has of itself."""

_ARGUMENT: Final = r"""(?:"(?:[^"\\]|\\.)*"|'(?:[^'\\]|\\.)*'|[^\s"'|,(){}\[\]]+)"""
_CALL: Final = re.compile(rf"(?P<name>[A-Za-z_]\w*)(?P<args>(?:\s+{_ARGUMENT})*)\s*(?P<filters>\|.*)?", re.DOTALL)
_ARGUMENTS: Final = re.compile(_ARGUMENT, re.DOTALL)


@dataclass(frozen=True, slots=True)
class Call:
    """``{{name a b | filters}}``, taken apart."""

    name: str
    args: list[Any]
    filters: str


def spelled(body: str) -> Call | None:
    """Return the call that `body` spells with blanks between name and arguments, or None."""
    found = _CALL.fullmatch(body)
    if found is None:
        return None
    return Call(found["name"], [_argument(word) for word in _ARGUMENTS.findall(found["args"])], found["filters"] or "")


def _argument(word: str) -> Any:
    if word[0] in "\"'":
        return re.sub(r"\\(.)", r"\1", word[1:-1], flags=re.DOTALL)
    # A bare word has a type only if JSON would write that value just so: 1.50 stays the text that it is.
    if word in ("true", "false", "null"):
        return json.loads(word)
    value = number(word)
    return value if value is not None and to_json(value) == word else word


Maker: TypeAlias = Callable[[Context], Any]

_NOW: Final = re.compile(r"now\((-?[0-9]+)\)")
_DOTTED: Final = re.compile(rf"({'|'.join(ROOTS)})((?:\.(?:[A-Za-z_]\w*|[0-9]+))*)", re.ASCII)
DASHED: Final = re.compile(r"(headers|query|path)\.([A-Za-z_]\w*-[\w-]*)", re.ASCII)
"""A name with dashes, which Jinja would read as a difference."""


def plain(body: str, names: Collection[str]) -> Maker | None:
    """Return the function that makes the value of a plain token, or None if `body` is an expression for Jinja."""
    if body in BARE:
        return BARE[body]
    if body in names and body not in KNOWN:
        return partial(_users, body)
    if shifted := _NOW.fullmatch(body):
        shift = int(shifted[1])
        return lambda ctx: now(ctx, shift)
    if dashed := DASHED.fullmatch(body):
        return _dotted(body, ROOTS[dashed[1]], (dashed[2],))
    if dotted := _DOTTED.fullmatch(body):
        root, parts = dotted[1], dotted[2].split(".")[1:]
        if not parts:
            return ROOTS[root]
        read = _READS.get(root) or ROOTS[root]
        return _dotted(body, read, tuple(int(part) if part.isdigit() else part for part in parts))
    return None


def _dotted(body: str, root: Maker, parts: tuple[str | int, ...]) -> Maker:
    def read(ctx: Context) -> Any:
        value = root(ctx)
        try:
            for part in parts:
                value = member(value, part)
        except MissingError as error:
            raise MissingError(f"{body}: {error}") from None
        return value

    return read


def _users(name: str, ctx: Context) -> Any:
    if name not in ctx.names:
        raise MissingError(f"{name!r} is undefined")
    value = ctx.names[name]
    return call_named(name, value) if callable(value) else value


class CallError(Exception):
    """A user's function that raised; its text names the function and the cause."""


def call_named(name: str, function: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
    """Call a user's function; what it raises comes out with its name."""
    try:
        return function(*args, **kwargs)
    except Exception as error:
        raise CallError(f"{name}() raised {type(error).__name__}: {error}") from error
