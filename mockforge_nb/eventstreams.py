"""MockForge's generator of events for a connection that a handler holds."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import aclosing
from dataclasses import replace
from datetime import timedelta
from time import monotonic
from typing import TYPE_CHECKING, Any

from .augmentation import ReplayAugmentationConfig, WebSocketAiConfig, in_range
from .connections import Connection
from .core.events import Pushed
from .core.narrative import STARVED, Dated, MakeAuthor, Told
from .errors import ConnectionClosedError, OptionError
from .narratives import of_config

if TYPE_CHECKING:
    from .wire.telling import Listening


class AiEventGenerator:
    """Tells a story to connections, to each anew; `Mock.narrate` does the same without a handler.

    Args:
        config: What is told.
        seed: The model's seed; this and the next ones as in `Mock.narrate`.
        temperature: How freely the model writes.
        batch: How many events are asked for at once, and written ahead.
        repeats: Whether an event may come again as it was.
        author: Who writes in the model's place.
        timeout: How long a request may take.
        retries: How often an event that does not fit the schema is asked for again.

    Attributes:
        config: As given.

    Raises:
        OptionError: Something in the config is wrong.
        GeneratorError: The packages for the model are not installed.

    Example:
        >>> async def handle(connection):
        ...     config = ReplayAugmentationConfig(narrative="Simulate stock market trading")
        ...     await AiEventGenerator(config).stream_events(connection, 100)
    """

    def __init__(
        self,
        config: ReplayAugmentationConfig,
        *,
        seed: int = 1,
        temperature: float = 0.0,
        batch: int | None = None,
        repeats: bool = True,
        author: MakeAuthor | None = None,
        timeout: float | str | timedelta = 60,
        retries: int = 3,
    ) -> None:
        given: object = config
        if not isinstance(given, ReplayAugmentationConfig):
            way = "AiEventGenerator.of(config) takes it" if isinstance(given, WebSocketAiConfig) else ""
            raise OptionError("AiEventGenerator()", given, "is no ReplayAugmentationConfig", way)
        self.config = config
        self._options: dict[str, Any] = {
            "seed": seed, "temperature": temperature, "batch": batch, "repeats": repeats, "author": author,
            "timeout": timeout, "retries": retries,
        }  # fmt: skip
        of_config(config, None, self._options, "AiEventGenerator")

    @classmethod
    def of(cls, config: WebSocketAiConfig, **options: Any) -> AiEventGenerator:
        """Return the generator of a switch's events, at its rate; its `max_events` is for `stream_events`.

        Raises:
            OptionError: It has none, or is no switch.
        """
        given: object = config
        if not isinstance(given, WebSocketAiConfig):
            way = "AiEventGenerator(config) takes it" if isinstance(given, ReplayAugmentationConfig) else ""
            raise OptionError("AiEventGenerator.of()", given, "is no WebSocketAiConfig", way)
        return cls(given.merged(), **options)

    async def stream_events(self, connection: Connection, max_events: int | None = None) -> int:
        """Send events to a connection at the config's rate, until there are no more or it is closed.

        When the client leaves the writing stops, and this returns.

        Args:
            connection: The connection that a handler is given.
            max_events: How many events there are at most; None: as the config says.

        Returns:
            How many were sent.

        Raises:
            OptionError: It is no connection, or no number.
            GeneratorError: The model does not write the events; those before it were sent.
        """
        return await self._stream(connection, max_events, self.config, "stream_events()")

    async def stream_events_with_rate(
        self, connection: Connection, max_events: int | None, events_per_second: float
    ) -> int:
        """Send events at another rate; everything else is as of `stream_events`."""
        if not in_range(events_per_second):
            where = "stream_events_with_rate(events_per_second)"
            raise OptionError(where, events_per_second, "is no number greater than 0")
        config = replace(self.config, event_rate=events_per_second)
        return await self._stream(connection, max_events, config, "stream_events_with_rate()")

    async def _stream(
        self, connection: Connection, most: int | None, config: ReplayAugmentationConfig, call: str
    ) -> int:
        from .wire.telling import Telling

        given: object = connection
        if not isinstance(given, Connection):
            problem = f"is a {type(given).__name__}, not the connection that a handler is given"
            raise OptionError(call, given, problem, "Mock().handle(handler)")
        if most is not None and (isinstance(most, bool) or not isinstance(most, int) or most < 1):
            raise OptionError(f"{call[:-2]}(max_events=)", most, "is no number of events from 1 on")
        tale, author = of_config(config, most, self._options, call[:-2])
        listening = Telling(tale, author).listen()
        ended = asyncio.ensure_future(connection.wait_closed())
        sent = 0
        try:
            async with aclosing(_due(listening, ended)) as events:
                async for one in events:
                    await connection._push(_message(connection, one))
                    listening.pace.tell(one)
                    sent += 1
        except ConnectionClosedError:
            # That the client is gone is no error: nothing more is written for it.
            if connection.open:
                raise
        finally:
            ended.cancel()
            await listening.aclose()
        return sent

    def __repr__(self) -> str:
        return f"<AiEventGenerator {self.config.resolved_mode()}, {self.config.strategy}>"


async def _due(listening: Listening, ended: asyncio.Future[None]) -> AsyncGenerator[Told, None]:
    """Yield each event when it is due, until there are no more or the connection has ended."""
    while (one := await _unless(ended, listening)) is not None:
        due = listening.pace.set(one, monotonic())
        while (left := due - monotonic()) > 0:  # some loops wake a little early
            await asyncio.wait({ended}, timeout=left)
            if ended.done():
                return
        yield one


async def _unless(ended: asyncio.Future[None], listening: Listening) -> Told | None:
    """Return the next event; None: there is none, or the connection ended before it was written."""

    async def ask() -> Told | None:
        return await anext(listening, None)

    asking = asyncio.ensure_future(ask())
    try:
        both: set[asyncio.Future[Any]] = {asking, ended}
        await asyncio.wait(both, return_when=asyncio.FIRST_COMPLETED)
        return None if ended.done() else await asking
    finally:
        if not asking.done():
            asking.cancel()
            await asyncio.wait({asking})


def _message(connection: Connection, one: Told) -> Pushed:
    payload = one.answer
    if isinstance(payload, Dated):
        payload = payload.at(connection._time_ns(monotonic(), one.ms))
    fault = STARVED if one.starved else None
    return Pushed(payload.opcode, payload.literal(), one.number, one.ms, fault)
