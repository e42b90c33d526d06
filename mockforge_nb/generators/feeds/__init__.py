"""Ready feeds that look like real ones: endless messages with their times, the same for the same seed."""

from __future__ import annotations

from .chat import Chat
from .common import AT, Events, Feed
from .iot import Iot
from .logs import Logs
from .orders import Orders
from .presence import Presence
from .trades import Trades

__all__ = ["AT", "FEEDS", "Chat", "Events", "Feed", "Iot", "Logs", "Orders", "Presence", "Trades"]

FEEDS: tuple[type[Feed], ...] = (Chat, Iot, Logs, Orders, Presence, Trades)
"""All there are."""
