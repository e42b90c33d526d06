"""Plays a recording's client to a real server, and says where the server is not as it was recorded."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

from .core.carry import Carry, carried
from .core.compare import HOW, Comparison, How, paths
from .core.half import Awaited, Half, Said, half_of
from .core.message import NOT_JSON, Message, encoded, to_json
from .core.recorded import Recorded, shown_url
from .core.rules import Call
from .core.units import number, seconds
from .core.verdicts import WORDS, Judge, Progress, Verdict, counts, diff
from .dialing import headers_of, is_token, tls_of, url_of
from .errors import ExpectationError, OptionError

if TYPE_CHECKING:
    import ssl as tls

    import pandas as pd

    from .script import Script

Match: TypeAlias = How | Callable[[Message], object]

COLUMNS = ("step", "line", "ts_ms", "elapsed", "direction", "verdict", "recorded", "received", "differences")


@dataclass(frozen=True, eq=False, repr=False)
class Verdicts:
    """What a server said against what was recorded; true if it is as it was recorded.

    Attributes:
        name: The script's name.
        url: The server's URL without what may be secret in it.
        verdicts: A verdict a step, and one for each thing of the server's that stands for no step.

    Example:
        >>> recorded = Mock().when("^price$", {"price": 7}).simulate([(0, "price")]).script()
        >>> with Mock().when("^price$", {"price": 8}).serve(port=0) as server:
        ...     verdicts = recorded.play_against(server.url)
        >>> bool(verdicts), verdicts.counts, verdicts.failures["differences"].tolist()
        (False, {'sent': 1, 'differs': 1}, ['$.price: recorded 7, got 8'])
    """

    name: str
    url: str
    verdicts: tuple[Verdict, ...]

    @property
    def ok(self) -> bool:
        """Whether nothing failed."""
        return not any(one.failed for one in self.verdicts)

    def __bool__(self) -> bool:
        # So that `assert script.play_against(url)` says what it seems to say.
        return self.ok

    @property
    def counts(self) -> dict[str, int]:
        """How often each verdict was given, those that were."""
        return dict(counts(self.verdicts))

    @property
    def df(self) -> pd.DataFrame:
        """A row a verdict.

        ``step`` (from 0) and ``line``: of the script, missing for what stands for no step. ``ts_ms``: when it was due
        in the recording. ``elapsed``: when it was sent or came (s). ``direction``: ``in``: ours, ``out``: the
        server's. ``verdict``: ``sent``, ``skipped`` (`transform` returned None), ``unsent`` (the connection had
        ended), ``ok``, ``differs``, ``missing``, ``unexpected``, and ``received`` where nothing is compared.
        ``recorded`` and ``received``: text or bytes; what the server received of ours stands there, too.
        ``differences``: what differs, as text.
        """
        return self._frame(self.verdicts)

    @property
    def failures(self) -> pd.DataFrame:
        """The rows of `df` that say that the server is not as it was recorded."""
        df = self.df
        return df[[one.failed for one in self.verdicts]]

    def raise_for_failures(self) -> None:
        """Raise if the server is not as it was recorded.

        Raises:
            ExpectationError: It is not; the text has the first differences.
        """
        if not self.ok:
            raise ExpectationError(
                f"{self.url} is not as {self.name} recorded it: {self._counted()}\n{self.differences()}"
            )

    def __repr__(self) -> str:
        head = f"<Verdicts {self.name}, {self._counted()}>"
        return head if self.ok else f"{head}\n{self.differences()}"

    def _repr_html_(self) -> str:
        from .notebook.display import verdicts_html

        return verdicts_html(self)

    def differences(self, most: int = 10) -> str:
        """Return the first failures, so many at most, to be read."""
        return diff(self.verdicts, most)

    def _counted(self) -> str:
        return ", ".join(f"{count:,} {word}" for word, count in self.counts.items()) or "nothing to play"

    @staticmethod
    def _frame(verdicts: Sequence[Verdict]) -> pd.DataFrame:
        import pandas as pd

        columns: dict[str, Any] = {
            "step": pd.array([one.step for one in verdicts], dtype="Int64"),
            "line": pd.array([one.line or None for one in verdicts], dtype="Int64"),
            "ts_ms": pd.array([one.ts_ms for one in verdicts], dtype="Float64"),
            "elapsed": pd.array([one.elapsed for one in verdicts], dtype="Float64"),
            "direction": pd.Categorical([one.direction for one in verdicts], categories=["in", "out"]),
            "verdict": pd.Categorical([one.word for one in verdicts], categories=WORDS),
            "recorded": pd.Series([one.recorded for one in verdicts], dtype=object),
            "received": pd.Series([one.got for one in verdicts], dtype=object),
            "differences": pd.Series(["\n".join(one.differences) for one in verdicts], dtype=object),
        }
        return pd.DataFrame(columns, columns=COLUMNS)


def play_against(
    script: Script,
    url: str,
    *,
    speed: float | Literal["max"],
    expect: bool,
    match: Match,
    ignore: Sequence[str],
    order: bool,
    extra: bool,
    carry: Sequence[str] | Mapping[str, str],
    transform: Callable[[Message], object] | None,
    timeout: float | str | timedelta,
    headers: Mapping[str, str] | None,
    ssl: tls.SSLContext | str | bool | None,
    subprotocols: Sequence[str] | None,
) -> Verdicts:
    """Play a script's client to a server; arguments, result and errors are those of `Script.play_against`."""
    where = "play_against"
    url = url_of(url, f"{where}()")
    for name, flag in (("expect", expect), ("order", order), ("extra", extra)):
        if not isinstance(flag, bool):
            raise OptionError(f"{where}({name}=)", flag, "is neither True nor False")
    pace = float("inf") if speed == "max" else number(speed)
    if not pace > 0:
        raise OptionError(f"{where}(speed=)", speed, "is no number greater than 0", 'valid: 1, 10, "max"')
    limit = seconds(timeout, f"{where}(timeout=)")
    if not limit:
        raise OptionError(f"{where}(timeout=)", timeout, "is no time greater than 0")
    said = headers_of(headers, f"{where}(headers=)", removable=False)
    trusted = tls_of(ssl, f"{where}(ssl=)")
    if ssl is not None and not url.startswith("wss:"):
        raise OptionError(f"{where}(ssl=)", ssl, f"does not go with {shown_url(url)}", "valid: a wss:// URL")
    pairs = carried(carry, f"{where}(carry=)")
    offered, wanted = _subprotocols(subprotocols, script.recorded, f"{where}(subprotocols=)")
    judge = Judge(
        # What is carried is another value each time.
        Comparison(_how(match), (*paths(ignore, f"{where}(ignore=)"), *(source for source, _ in pairs))),
        match if callable(match) else None,
        order,
        extra,
        expect,
        wanted,
    )
    change = _transform(transform, f"{where}(transform=)")
    half = half_of(script.program, script.steps, script.rules, carried=pairs, hidden=change is not None)
    from .wire.caller import call

    played = call(
        url,
        shown_url(url),
        half,
        speed=pace,
        timeout=limit,
        prepare=_Preparing(half, judge, Carry(pairs) if pairs else None, change),
        # What is not recorded must not count for what is.
        reached=Progress(judge, half.awaited) if extra and expect else None,
        settled=lambda came: judge.settled(half, came),
        headers=[(name, value) for name, value in said if value is not None],
        tls=trusted,
        subprotocols=offered,
    )
    return Verdicts(script.program.name, shown_url(url), tuple(judge.verdicts(half, played)))


class _Preparing:
    """Makes what is sent for a step: with the server's values in place of the recorded ones, then the author's way."""

    def __init__(
        self, half: Half, judge: Judge, carry: Carry | None, change: Callable[[Message], Message | None] | None
    ) -> None:
        self._half, self._judge, self._carry, self._change = half, judge, carry, change
        self._learnt = 0  # how many acts were learnt from
        self._came = 0  # how many messages were

    def __call__(self, act: Said, came: Sequence[Message]) -> Message | None:
        message = act.message
        if self._carry is not None:
            self._learn(self._carry, act, came)
            value = message.parsed()
            made = value if value is NOT_JSON else self._carry.put(value)[0]
            if made is not value:
                message = Message(to_json(made).encode(), message.opcode)
        return message if self._change is None else self._change(message)

    def _learn(self, carry: Carry, act: Said, came: Sequence[Message]) -> None:
        place = self._half.acts.index(act, self._learnt)
        awaited = [one for one in self._half.acts[self._learnt : place] if isinstance(one, Awaited)]
        news = came[self._came :]
        for i, j in self._judge.pairs(awaited, news):
            if i is not None and j is not None:
                carry.learn(awaited[i].message, news[j])
        self._learnt, self._came = place, len(came)


def _how(match: object) -> How:
    if callable(match) and not inspect.iscoroutinefunction(match):
        return "equal"
    if isinstance(match, str) and match in HOW:
        how: How = match  # type: ignore[assignment]  # it is one of them
        return how
    raise OptionError("play_against(match=)", match, valid=(*HOW, "a function of the message"))


def _subprotocols(given: object, recorded: Recorded, where: str) -> tuple[tuple[str, ...], str | None]:
    """Return which subprotocols are offered, and which must be selected; None: that is not looked at."""
    if given is None:
        return (() if recorded.subprotocol is None else (recorded.subprotocol,)), recorded.subprotocol
    if isinstance(given, str) or not isinstance(given, Sequence) or not all(isinstance(one, str) for one in given):
        raise OptionError(where, given, "is no list of subprotocols", "such as ['graphql-transport-ws']")
    for one in given:
        if not is_token(one):
            raise OptionError(where, one, "is no name of a subprotocol (RFC 6455 §4.1)", "letters, digits and -._")
    return tuple(given), recorded.subprotocol if recorded.subprotocol in given else None


def _transform(given: object, where: str) -> Callable[[Message], Message | None] | None:
    """Return what makes the message that is sent, once it is known that it can be called."""
    if given is None:
        return None
    if not callable(given) or isinstance(given, type) or inspect.iscoroutinefunction(given):
        raise OptionError(where, given, "is no plain function of a message")
    function = Call.of(given, where, "message")

    def change(message: Message) -> Message | None:
        made = function(message)
        if made is None or isinstance(made, Message):
            return made
        opcode, payload = encoded(made, where)
        return Message(payload, opcode)

    return change
