"""What a stream is made of: generators, iterables and functions, each connection with its own."""

from __future__ import annotations

import inspect
import math
from collections.abc import AsyncIterable, AsyncIterator, Callable, Iterable, Iterator, Mapping
from typing import Any, Literal, TypeAlias

from .core.plan import Stream
from .core.rules import Call, Connected
from .core.units import number
from .errors import OptionError

Source: TypeAlias = Iterator[Any] | AsyncIterator[Any]
Open: TypeAlias = Callable[[Connected | None], Source]

VALID = "valid: a generator function or another function, a list or other iterable, plain or asynchronous"


def stream(source: object, rate: float | None, then: Literal["hold", "close"]) -> Stream:
    """Return the stream; arguments and errors are those of `Mock.stream`."""
    if rate is not None and not 0 < number(rate) < math.inf:
        raise OptionError("stream(rate=)", rate, "is no number of messages a second greater than 0")
    return Stream(opener(source), None if rate is None else float(rate), then)


def opener(source: object) -> Open:
    """Return what gives each connection its own iterator.

    Raises:
        OptionError: It cannot be iterated, or a function wants more than the connection.
    """
    if isinstance(source, (str, bytes, bytearray, Mapping)):
        raise OptionError("stream()", source, "is one message", "give a list of them, or .replay([…]) for a script")
    if hasattr(source, "play_against"):
        raise OptionError("stream()", source, "is a Script", ".replay(script) plays it")
    if hasattr(source, "__dataframe__") or hasattr(source, "__arrow_c_stream__"):
        raise OptionError("stream()", source, "is a table", ".replay(table, rate=…) sends its rows")
    if isinstance(source, (Iterator, AsyncIterator)):
        return _shared(source)
    if isinstance(source, Iterable):
        return lambda _: iter(source)
    if isinstance(source, AsyncIterable):
        return lambda _: aiter(source)
    if not callable(source) or isinstance(source, type):
        raise OptionError("stream()", source, f"is a {type(source).__name__}, which gives no messages", VALID)
    call = Call.of(source, "stream()", "connection")
    if inspect.isgeneratorfunction(source) or inspect.isasyncgenfunction(source):
        return lambda connection: call(connection)
    if inspect.iscoroutinefunction(source):
        return lambda connection: _awaited(call, connection)
    return lambda connection: _called(call, connection)


def _called(call: Call, connection: Connected | None) -> Source:
    """Return what a plain function gives: its iterator if it returns one, else one message for each call."""
    first = call(connection)
    if isinstance(first, (Iterator, AsyncIterator)):
        return first
    if inspect.isawaitable(first):
        return _awaited(call, connection, first)
    return _repeated(call, connection, first)


def _repeated(call: Call, connection: Connected | None, first: Any) -> Iterator[Any]:
    yield first
    while True:
        try:
            item = call(connection)
        except StopIteration:  # how `next` of something ends, if that is what the function asks
            return
        yield item


async def _awaited(call: Call, connection: Connected | None, first: Any = None) -> AsyncIterator[Any]:
    if first is not None:
        yield await first
    while True:
        try:
            item = await call(connection)
        except StopAsyncIteration:
            return
        yield item


def _shared(source: Source) -> Open:
    """Return what lets each connection read all of an iterator that can be read only once."""
    from .wire.spool import Spool

    spool = Spool(source)
    return lambda _: spool.read()
