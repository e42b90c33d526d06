"""A script by hand, a step a call: ``Script().send("hello").wait("^ACK$").send("tick", after=0.1).close()``."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterable
from dataclasses import replace
from datetime import timedelta
from typing import Any, Self

from .core.jsonl import read
from .core.program import Program, Step
from .core.units import seconds
from .errors import Problem, ScriptError

Value = str | bytes | bool | int | float | dict[str, Any] | list[Any] | None


class ByHand:
    """The words that add a step to a script; each returns a new one."""

    __slots__ = ()

    _name: str
    _delays: bool

    @property
    @abstractmethod
    def steps(self) -> tuple[Step, ...]:
        """The steps, in order."""

    @property
    @abstractmethod
    def program(self) -> Program:
        """The steps as a session plays them."""

    @abstractmethod
    def _with(self, steps: Iterable[Step]) -> Self:
        """Return a script of other steps with the same rules."""

    def send(
        self,
        data: Value,
        *,
        after: float | str | timedelta = 0,
        id: str | None = None,
        template: bool = True,
        repeat: int | None = None,
        every: float | str | timedelta | None = None,
    ) -> Self:
        """Add a message: text, bytes, or anything else as JSON; texts are templates.

        Args:
            data: What is sent.
            after: How long after the step before, in seconds.
            id: What `goto` and branches call it.
            template: Whether it is a template; otherwise it is sent as it stands.
            repeat: How often it is sent in all; without end if only `every` is given.
            every: The time between two, in seconds.

        Raises:
            ScriptError: It cannot be sent, or is no template.

        Example:
            >>> script = Script().send("tick {{seq}}", repeat=3, every="1s").send({"done": True}, after=5)
            >>> script.preview()[["at", "message"]].values.tolist()
            [[0.0, 'tick 1'], [1.0, 'tick 2'], [2.0, 'tick 3'], [5.0, '{"done":true}']]
        """
        kind = "text" if isinstance(data, str) else "binary" if isinstance(data, (bytes, bytearray)) else "json"
        keys: dict[str, Any] = {kind: data}
        if not template:
            keys["template"] = False
        if every is not None or repeat is not None:
            keys["repeat"] = True if repeat is None else repeat
        if every is not None:
            keys["every_ms"] = seconds(every, "send(every=)") * 1000
        return self._add(keys, after, id)

    def wait(
        self,
        pattern: object = None,
        *,
        timeout: float | str | timedelta | None = None,
        on_timeout: str = "fail",
        branches: dict[str, str] | None = None,
        id: str | None = None,
    ) -> Self:
        """Wait for a client's message; the time of what follows counts from it.

        Args:
            pattern: A regular expression, a JSONPath, a JSON subset as a dict, a function; None: any message.
            timeout: How long, in seconds; None: without end.
            on_timeout: ``"fail"`` (an error for `server.check()`, and the script ends), ``"close"``, or the id of a
                step to go on with.
            branches: Patterns, and the ids of the steps to go on with if the message matches.
            id: What `goto` and branches call it.

        Raises:
            OptionError: A pattern that cannot be used.

        Example:
            >>> script = Script().wait("^[ab]$", branches={"a": "yes"}).send("no").close().send("yes", id="yes")
            >>> Mock().replay(script).simulate([(1, "a")]).select(direction="out", opcode="text").df["text"].tolist()
            ['yes']
        """
        from .core.match import any_message, subset
        from .core.match import pattern as compiled

        keys: dict[str, Any] = {"dir": "in", "on_timeout": on_timeout}
        if branches:
            keys["branches"] = branches
        if timeout is not None:
            keys["timeout_ms"] = seconds(timeout, "wait(timeout=)") * 1000
        if isinstance(pattern, dict):
            match = subset(pattern, where="wait()")
            if _is_json(pattern):
                return self._add({**keys, "json": pattern}, 0, id)
        else:
            match = any_message() if pattern is None else compiled(pattern, where="wait()")
        if isinstance(pattern, str):
            return self._add({**keys, "text": pattern}, 0, id)
        steps = self._add(keys, 0, id).steps
        return self._with([*steps[:-1], replace(steps[-1], match=match)])

    def goto(self, id: str) -> Self:
        """Go on with the step that has this id, which may still have to be added.

        Raises:
            ScriptError: There is no step to go from.

        Example:
            >>> script = Script().wait("^ping$", id="again").send("pong").goto("again")
            >>> traffic = Mock().replay(script).simulate([(1, "ping"), (2, "ping")])
            >>> traffic.select(direction="out", opcode="text").df["text"].tolist()
            ['pong', 'pong']
        """
        steps = self.steps
        if not steps:
            raise ScriptError(self._name, f"goto({id!r}) follows a step, and there is none yet")
        return self._with([*steps[:-1], replace(steps[-1], next_step=id)])

    def close(self, code: int = 1000, reason: str = "", *, after: float | str | timedelta = 0) -> Self:
        """Close the connection with a close frame.

        Raises:
            ScriptError: A code or reason that RFC 6455 §7.4 does not allow.

        Example:
            >>> script = Script().send("bye").close(4000, "enough")
            >>> Mock().replay(script).simulate().df["close_reason"].dropna().unique().tolist()
            ['enough']
        """
        return self._add({"close": True, "code": code, "reason": reason}, after, None)

    def abort(self, *, after: float | str | timedelta = 0) -> Self:
        """End the TCP connection without a close frame.

        Example:
            >>> Mock().replay(Script().send("he").abort(after=0.1)).simulate().df["opcode"].tolist()
            ['handshake', 'text', 'abort']
        """
        return self._add({"error": True}, after, None)

    def _add(self, keys: dict[str, Any], after: float | str | timedelta, id: str | None) -> Self:
        steps = self.steps
        pause = seconds(after, "after=") * 1000
        keys["ts"] = pause if self._delays else pause + (self.program.at[-1] if steps else 0.0)
        if id is not None:
            keys["step_id"] = id
        return self._with([*steps, replace(self._read(keys, len(steps) + 1), line=0)])

    def _read(self, keys: dict[str, Any], number_: int) -> Step:
        problems: list[Problem] = []
        for step in read(keys, number_, problems):
            if isinstance(step, Step):
                return step
        raise ScriptError(self._name, problems)


def _is_json(value: object) -> bool:
    import json

    try:
        json.dumps(value, allow_nan=False)
    except (TypeError, ValueError):
        return False
    return True
