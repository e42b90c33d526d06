"""Does what a script's steps say, as its Player comes to them, and says what a stream gives."""

from __future__ import annotations

from mockforge_nb.errors import ExpectationError, ExpectationTimeoutError, TemplateError

from .context import Context
from .events import NAN, Burst, Close, Command, Drop, Failed, Late, Send
from .feed import Poured
from .message import Message
from .narrative import Dated
from .outbox import MESSAGE_COST, TURN_MESSAGES, Outbox
from .player import Player, Run, TimedOut
from .program import BLOCK_BYTES, Assertion, Payload, Step
from .speech import Speech


class Stage:
    """Where the players of one connection play: they send into one outbox and speak with one voice.

    Args:
        outbox: Where they send into.
        speech: The voice.
        noting: Whether waits, branches and what is late are noted.
    """

    __slots__ = ("_noting", "_outbox", "_speech")

    def __init__(self, outbox: Outbox, speech: Speech, *, noting: bool = False) -> None:
        self._outbox = outbox
        self._speech = speech
        self._noting = noting

    def play(self, player: Player, now: float, out: list[Command], *, clocked: bool) -> int:
        """Take the script's next run and put it on its way; return about how many bytes it was, 0 for none."""
        if not self._noting:
            return self._play(player, now, out, clocked=clocked)
        player.notes = out
        try:
            return self._play(player, now, out, clocked=clocked)
        finally:
            player.notes = None

    def _play(self, player: Player, now: float, out: list[Command], *, clocked: bool) -> int:
        direct = self._outbox.direct
        if not direct and not self._outbox.room:
            return 0
        run = player.take(now, most=TURN_MESSAGES, framed=direct, together=not clocked)
        if run is None:
            return 0
        if self._noting and isinstance(run, Run) and player.scale > 0:  # else it has no times to keep
            out.append(Late(max(0.0, now - run.due)))
        if isinstance(run, TimedOut):
            size = self._timed_out(run, player, now, out)
        elif player.program.plain or (step := player.program.steps[run.first]).plain:
            size = self._plain(run, player, out, direct=direct)
        elif step.speaks:
            size = self._speak(run, player, now, out)
        else:
            size = self._step(step, run, player, now, out)
        player.turn()
        return size

    def _plain(self, run: Run, player: Player, out: list[Command], *, direct: bool) -> int:
        """Send steps that are the same for every connection, framed beforehand where nothing delays them."""
        program = player.program
        self._speech.script_ms = player.script_ms(run.last - 1)
        if direct:
            frames = program.block(run.first).slice(run.first, run.last)
            out.append(Burst(program, run.first, run.last, frames, player.start_ms, player.scale, player.rule))
            return max(len(frames), MESSAGE_COST)
        size = 0
        for index in range(run.first, run.last):
            payload = program.payload(index)
            size += len(payload) + MESSAGE_COST
            number = program.number(index)
            send = Send(program.opcode(index), payload, number, player.script_ms(index), rule=player.rule)
            self._outbox.offer(send, player.due_of(index), out, program.tag(index))
        return size

    def _speak(self, run: Run, player: Player, now: float, out: list[Command]) -> int:
        """Render steps that do no more than send, until they are a turn's worth."""
        steps, speech, offer = player.program.steps, self._speech, self._outbox.offer
        size = 0
        for index in range(run.first, run.last):
            script_ms = speech.script_ms = player.script_ms(index)
            payload = steps[index].payload
            assert payload is not None  # it speaks
            try:
                data = speech.render(payload, self._context(index, script_ms, player, now))
            except Exception as error:  # noqa: BLE001  # whatever a user's function raises is the author's error
                out.append(Failed(error, player.program.number(index), player.rule))
                continue
            send = Send(payload.opcode, data, player.program.number(index), script_ms, NAN, player.rule)
            offer(send, player.due_of(index), out, steps[index].step_id)
            size += MESSAGE_COST + len(data)
            if size >= BLOCK_BYTES:
                player.leave(index + 1)
                break
        return max(size, MESSAGE_COST)

    def _step(self, step: Step, run: Run, player: Player, now: float, out: list[Command]) -> int:
        """Do all that one step says; return about how many bytes it sent."""
        index, size = run.first, MESSAGE_COST
        self._speech.script_ms = run.script_ms
        payload = step.payload if step.dir == "out" else None
        try:
            if payload is not None:
                data = self._speech.render(payload, self._context(index, run.script_ms, player, now))
                send = Send(payload.opcode, data, index, run.script_ms, rule=player.rule)
                self._outbox.offer(send, run.due, out, step.step_id)
                size += len(data)
            if (step.sets or step.state is not None) and not run.again:
                context = self._context(index, run.script_ms, player, now)
                self._speech.set(step.sets, step.state, context, server=step.scope == "server")
        except Exception as error:  # noqa: BLE001  # whatever a user's function raises is the author's error
            out.append(Failed(error, index, player.rule))
        if run.again:
            return size
        try:
            for assertion in step.assertions:
                self._assert(assertion, player.message, index, player.rule, out)
            player.follow(index)
        except Exception as error:  # noqa: BLE001  # a predicate is the author's too; the script goes straight on
            out.append(Failed(error, index, player.rule))
        if step.ends:
            self._outbox.offer(Drop() if step.error else Close(step.close or 1000, step.reason), run.due, out)
        return size

    def pour(self, poured: Poured, now: float, out: list[Command]) -> int:
        """Put a stream's item on its way; return about how many bytes it was."""
        speech, answer = self._speech, poured.answer
        if isinstance(answer, Dated):
            answer = answer.at(speech.time_ns(now, poured.script_ms))
        if not isinstance(answer, Payload):
            assert isinstance(answer, (Close, Drop))
            self._outbox.close(answer, now, out)
            return MESSAGE_COST
        speech.script_ms = poured.script_ms
        try:
            # A template stands at the time at which it is due, so that all who watch one stream read the same.
            context = speech.about(speech.kept("template"), poured.due, poured.script_ms, None, None)
            data = speech.render(answer, context)
        except TemplateError as error:
            out.append(Failed(error, poured.index))
            return MESSAGE_COST
        send = Send(answer.opcode, data, poured.index, poured.script_ms, fault=poured.fault)
        self._outbox.offer(send, poured.due, out)
        return MESSAGE_COST + len(data)

    def _context(self, index: int, script_ms: float, player: Player, now: float) -> Context:
        """Return what the templates of a step read."""
        if player.shared:
            # All who watch one play-head read the same text, also who joined late.
            context = self._speech.context(f"template {player.round} {index} {script_ms}", shared=True)
        else:
            context = player.context or self._speech.kept("template")
        return self._speech.about(context, now, script_ms, player.message, player.match)

    def _assert(self, assertion: Assertion, message: Message | None, index: int, rule: int, out: list[Command]) -> None:
        """Check the message that the step waited for; what does not hold is kept for `server.check()`."""
        found = None if message is None else assertion.pattern.match(message)
        wanted = assertion.expected
        if isinstance(wanted, bool):
            holds = (found is not None) is wanted
            problem = f"{'does not match' if wanted else 'matches'} {assertion.pattern.source}"
        else:
            got = None if found is None else found.value if found.value is not None else found.get(1, found[0])
            holds = found is not None and got == wanted
            problem = f"{assertion.pattern.source} gives {got!r}, not {wanted!r}"
        if not holds:
            title = f"{assertion.description}: " if assertion.description else ""
            out.append(Failed(ExpectationError(f"{title}{message!r} {problem}"), index, rule))

    def _timed_out(self, wait: TimedOut, player: Player, now: float, out: list[Command]) -> int:
        step = player.program.steps[wait.index]
        if step.on_timeout == "fail":
            wanted = f"a message that matches {step.expected.source}" if step.expected is not None else "a message"
            heard = f"; the last that came was {wait.heard!r}" if wait.heard is not None else "; nothing came"
            text = f"step {step.step_id or wait.index}: {wanted} did not come within {step.timeout_ms:g} ms{heard}"
            out.append(Failed(ExpectationTimeoutError(text), wait.index, player.rule))
        elif step.on_timeout == "close":
            self._outbox.offer(Close(1000, "timed out"), now, out)
        return MESSAGE_COST
