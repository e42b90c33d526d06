"""One connection's answers: which rule takes a message, what is said, and the scripts that answer."""

from __future__ import annotations

import inspect
from dataclasses import dataclass
from typing import Any

from mockforge_nb.errors import TemplateError

from .context import Context
from .events import Await, Command, Failed, Send
from .message import Message
from .outbox import Outbox
from .pattern import Match
from .plan import Plan, Shared
from .player import Player
from .program import Payload, Program
from .rules import Answer, Call, Connected, Taken, said
from .speech import Speech

MOST_REPLIES = 256
"""How many scripts that answer by a rule one connection plays at once; one more ends the oldest."""


@dataclass(frozen=True, slots=True, eq=False)
class Asked:
    """The message, and the rule (-1: none, it was `otherwise`), that a function of the author's answers."""

    message: Message
    rule: int
    match: Match | None


class Answers:
    """Answers a connection's messages.

    Args:
        outbox: Where answers go.
        speech: What renders them.
        connection: What functions of the author's are given for the connection; None: there is none.

    Attributes:
        players: Those of the scripts that answer, oldest first.
    """

    __slots__ = ("_connection", "_outbox", "_plan", "_shared", "_speech", "_taken", "players")

    def __init__(self, outbox: Outbox, speech: Speech, connection: Connected | None) -> None:
        self._outbox = outbox
        self._speech = speech
        self._connection = connection
        self.players: list[Player] = []
        self._plan: Plan
        self._shared: Shared
        self._taken: Taken

    def configure(self, plan: Plan, shared: Shared) -> None:
        """Take over the rules of a plan, of which none took a message yet."""
        self._plan, self._shared, self._taken = plan, shared, Taken()

    def answer(self, message: Message, now: float, out: list[Command]) -> bool:
        """Answer by the first rule that takes a message; return whether one did."""
        rules = self._plan.rules
        if not rules:
            return False

        def context(index: int, message: Message, match: Match) -> Context:
            kept = self._speech.kept(f"rule {index}")
            return self._speech.about(kept, now, self._speech.script_ms, message, match)

        found = rules.find(message, self._taken, self._shared.taken, context)
        if found is None:
            return False
        index, match = found
        self._taken.note(index)
        self._shared.taken.note(index)
        rule = rules.all[index]
        about = context(index, message, match)
        try:
            self.say(rule.answers, Asked(message.matched(match), index, match), about, now, out)
            self._speech.set(rule.sets, rule.state, about, server=rule.scope == "server")
        except TemplateError as error:
            out.append(Failed(error, rule=index))
        except Exception as error:  # noqa: BLE001  # of the author's function
            self._outbox.fail(error, now, out, index)
        return True

    def answer_otherwise(self, answers: tuple[Answer, ...], message: Message, now: float, out: list[Command]) -> None:
        """Say what a message is answered that nobody took.

        Raises:
            Exception: What a template or a function of the author's raised.
        """
        self._answer(answers, "otherwise", message, None, now, out)

    def acknowledge(
        self, answers: tuple[Answer, ...], message: Message, match: Match, now: float, out: list[Command]
    ) -> None:
        """Say what a message is answered that asked for keys; `match` has them.

        Raises:
            Exception: What a template or a function of the author's raised.
        """
        self._answer(answers, "acknowledge", message, match, now, out)

    def _answer(
        self,
        answers: tuple[Answer, ...],
        purpose: str,
        message: Message,
        match: Match | None,
        now: float,
        out: list[Command],
    ) -> None:
        if answers:
            context = self._speech.about(self._speech.kept(purpose), now, self._speech.script_ms, message, match)
            self.say(answers, Asked(message if match is None else message.matched(match), -1, match), context, now, out)

    def returned(self, asked: Asked, value: Any, now: float, out: list[Command]) -> None:
        """Say what a coroutine of the author's returned."""
        try:
            self.say(said(value, "the reply"), asked, self._speech.context("returned"), now, out)
        except Exception as error:  # noqa: BLE001  # what it returned cannot be sent
            self._outbox.fail(error, now, out, asked.rule)

    def say(self, answers: tuple[Answer, ...], asked: Asked, context: Context, now: float, out: list[Command]) -> None:
        """Say the answers to a message, in order."""
        for answer in answers:
            if isinstance(answer, Payload):
                data = self._speech.render(answer, context)
                tag = self._plan.rules.all[asked.rule].name if asked.rule >= 0 else None
                self._outbox.offer(Send(answer.opcode, data, rule=asked.rule), now, out, tag)
            elif isinstance(answer, Program):
                self._play(answer, asked, now)
            elif isinstance(answer, Call):
                value = answer(asked.message, self._connection)
                if inspect.isawaitable(value):
                    out.append(Await(value, asked))
                else:
                    self.say(said(value, "the reply"), asked, context, now, out)
            else:
                self._outbox.close(answer, now, out)

    def _play(self, program: Program, asked: Asked, now: float) -> None:
        start_ms = self._speech.script_ms
        player = Player.answering(program, now, start_ms, asked.rule, asked.message, asked.match)
        player.context = self._speech.context(f"rule {asked.rule} {self._taken.counts.get(asked.rule, 0)}")
        self.players.append(player)
        if len(self.players) > MOST_REPLIES:
            del self.players[0]
