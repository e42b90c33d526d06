"""A session's words: its templates rendered, and the state that they read and set."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from .context import Context
from .identity import Identity
from .message import Message, to_json
from .pattern import Match
from .plan import Plan, Shared
from .program import Payload
from .template import JsonTemplate


class Speech:
    """Renders what one connection says.

    Attributes:
        state: The connection's state; the server's is in `shared`.
        script_ms: The script's time, at which ``{{now}}`` and the traffic stand under a clock.
    """

    __slots__ = ("_contexts", "_plan", "_shared", "_who", "_word", "script_ms", "state")

    def __init__(self, plan: Plan, who: Identity, shared: Shared) -> None:
        self.state: dict[str, Any] = {}
        self.script_ms = 0.0
        self._word: str | None = None
        self._contexts: dict[str, Context] = {}
        self.configure(plan, who, shared)

    def configure(self, plan: Plan, who: Identity, shared: Shared) -> None:
        """Take over the words of a plan; the state stays."""
        self._plan, self._who, self._shared = plan, who, shared
        self._contexts.clear()

    def time_ns(self, now: float, script_ms: float) -> int:
        """Return the UTC time (ns) of what is said at `now`: the real one, or under a clock the script's."""
        clock = self._plan.clock_ns
        return self._who.epoch_ns + int(now * 1e9) if clock is None else clock + int(script_ms * 1e6)

    def context(self, purpose: str, *, shared: bool = False) -> Context:
        """Return a new context whose random numbers are those of `purpose`, `shared` by all connections or not."""
        who = self._who
        return Context(
            key=(who.seed, who.path, 0 if shared else who.number, purpose),
            path=dict(who.params),
            query=who.asked,
            headers={name.lower(): value for name, value in who.headers},
            connection=who.number,
            names=self._plan.names,
            state=self.state,
            server=self._shared.state,
        )

    def kept(self, purpose: str) -> Context:
        """Return the context of `purpose`, the same each time."""
        context = self._contexts.get(purpose)
        if context is None:
            context = self._contexts[purpose] = self.context(purpose)
        return context

    def about(
        self, context: Context, now: float, script_ms: float, message: Message | None, match: Match | None
    ) -> Context:
        """Let a context stand at a time, and be about a message and what a pattern found in it."""
        context.now_ns = self.time_ns(now, script_ms)
        context.message, context.match, context.row = message, match, None
        return context

    def render(self, payload: Payload, context: Context) -> bytes:
        """Return the bytes of a payload.

        Raises:
            TemplateError: As `TextTemplate.render`.
        """
        template = payload.template
        if template is None or not self._plan.expand:
            return payload.literal()
        context.row = payload.row
        text = to_json(template.render(context)) if isinstance(template, JsonTemplate) else template.render(context)
        # A client's JSON may hold half a character ("\ud800"), which has no form in UTF-8.
        return text.encode(errors="replace")

    def set(self, sets: Mapping[str, JsonTemplate], word: str | None, context: Context, *, server: bool) -> None:
        """Set names of the state to the values of their templates, and let `word` be the one that is true.

        Args:
            sets: Names and templates; all are rendered before the first is set.
            word: The name that becomes true, and the one before it false; None: as it was.
            context: What the templates read.
            server: Whether it is the server's state.

        Raises:
            TemplateError: As `JsonTemplate.render`; nothing is set.
        """
        if not sets and word is None:
            return
        values = {name: template.render(context) for name, template in sets.items()}
        state = self._shared.state if server else self.state
        if word is not None:
            before = self._shared.word if server else self._word
            if before is not None:
                state[before] = False
            state[word] = True
            if server:
                self._shared.word = word
            else:
                self._word = word
        state.update(values)
