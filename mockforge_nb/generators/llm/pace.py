"""How many requests are begun in a minute."""

from __future__ import annotations

import asyncio

from mockforge_nb.core.units import number
from mockforge_nb.errors import OptionError


class Pace:
    """Spaces requests evenly.

    Args:
        per_minute: How many may be begun in a minute; None: any number.
        where: What errors call the argument.

    Raises:
        OptionError: It is no number greater than 0.
    """

    def __init__(self, per_minute: float | None, where: str) -> None:
        if per_minute is not None and not 1e-3 < number(per_minute) < 1e9:
            raise OptionError(where, per_minute, "is no number of requests greater than 0")
        self._gap = 0.0 if per_minute is None else 60.0 / float(per_minute)
        self._next = 0.0

    async def wait(self) -> None:
        """Wait for the next request's turn."""
        if not self._gap:
            return
        now = asyncio.get_running_loop().time()
        turn = max(now, self._next)
        self._next = turn + self._gap  # taken before the wait, so that two do not take the same turn
        await asyncio.sleep(turn - now)
