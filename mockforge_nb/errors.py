"""What can go wrong, as a small tree.

    MockForgeError
    ├── OptionError         a wrong argument to the builder or the handle  (also ValueError)
    ├── BindError           the port cannot be had                         (also OSError)
    ├── ProtocolError       a peer broke RFC 6455 or the HTTP handshake
    │   └── ConnectionClosedError   the connection is closed, so nothing can be sent or will come
    ├── ScriptError         a replay file or table that cannot be played   (also ValueError)
    │   └── ScriptFileNotFoundError                                        (also FileNotFoundError)
    ├── TemplateError       a template that cannot be parsed or rendered   (also ValueError)
    ├── GeneratorError      a source of messages that cannot make them
    │   └── ModelError              a language model that does not write what it is asked for
    ├── ProxyError          a function that finds no upstream for a proxy
    ├── UnreachableError    a server that does not answer or refuses       (also ConnectionError)
    ├── ExpectationError    what a test expected did not come              (also AssertionError)
    │   └── ExpectationTimeoutError                                        (also TimeoutError)
    └── RecordingError      a recording that cannot be read or written
        └── NotRecordedError        what a client said of which a cassette has no recording

Each error carries its facts as fields and builds its own text from them: the place, the value, the way out.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any


class MockForgeError(Exception):
    """The root of every error that this package raises on purpose.

    Example:
        >>> try:
        ...     Mock().latency("slwo")
        ... except MockForgeError as error:
        ...     print(type(error).__name__, isinstance(error, ValueError))
        OptionError True
    """


def nearest(word: object, known: Iterable[str]) -> str:
    """Return ``"; did you mean 'x'?"`` for the known word most like `word`, or an empty text."""
    close = closest(word, known)
    return "" if close is None else f"; did you mean {close!r}?"


def closest(word: object, known: Iterable[str], cutoff: float = 0.6) -> str | None:
    """Return the known word most like `word`; None: none is as like it as `cutoff` (from 0, anything, to 1)."""
    close = difflib.get_close_matches(str(word), list(known), n=1, cutoff=cutoff)
    return close[0] if close else None


def joined(text: str, more: str) -> str:
    """Return a text and what follows it, without a second mark after one that ends with a question."""
    return f"{text}{'' if text.endswith('?') else ';'} {more}" if more else text


@dataclass(frozen=True, slots=True)
class AuthorError:
    """Something of the author's that went wrong while a mock was served.

    Attributes:
        error: What was raised, or what would be.
        connection: The connection's number; 0: unknown.
        step: The script's step, from 0; -1: none.
        rule: The rule, from 0; -1: none.
    """

    error: Exception
    connection: int = 0
    step: int = -1
    rule: int = -1

    @property
    def place(self) -> str:
        """Where it was."""
        where = f"connection {self.connection or '?'}" + (f", rule {self.rule}" if self.rule >= 0 else "")
        return where + (f", step {self.step}" if self.step >= 0 else "")


def raise_first(failed: Sequence[AuthorError]) -> None:
    """Raise the first of these errors, if there is one; the others are its notes."""
    if not failed:
        return
    first, *others = failed
    error = first.error
    # Raised twice, the same error must not grow the same notes again.
    error.__notes__ = [first.place, *(f"also: {each.error} ({each.place})" for each in others[:10])]
    if len(others) > 10:
        error.add_note(f"and {len(others) - 10} more")
    raise error


def _shown(value: object) -> str:
    # A function's repr has its address, which differs from run to run.
    name = getattr(value, "__qualname__", None)
    if callable(value) and isinstance(name, str):
        return name
    try:
        return repr(value)
    except RecursionError:  # lists in lists without end
        return f"a {type(value).__name__}, deep in itself,"


class OptionError(MockForgeError, ValueError):
    """A wrong argument, raised at the call that has it.

    Args:
        where: The call and the argument, as the user wrote it (``"latency()"``).
        value: The value that was given.
        problem: What is wrong with it.
        valid: The right values, or a sentence that describes them.

    Example:
        >>> try:
        ...     Mock().preset("tran")
        ... except OptionError as error:
        ...     print(error)
        preset(): 'tran' is no preset; valid: 'train', 'flaky_wifi', 'satellite', 'deploy'
    """

    def __init__(self, where: str, value: object, problem: str = "", valid: Sequence[str] | str = ()) -> None:
        self.where, self.value, self.problem, self.valid = where, value, problem, valid
        shown = _shown(value)
        text = f"{where}: {shown if len(shown) < 200 else shown[:197] + '...'}"
        text += f" {problem}" if problem else " is not one of the valid values"
        if isinstance(valid, str):
            text = joined(text, valid)
        elif valid:
            text += nearest(value, valid) + f" (valid: {', '.join(map(repr, valid))})"
        super().__init__(text)


class BindError(MockForgeError, OSError):
    """A port that cannot be had.

    Args:
        host: The host that was asked for.
        port: The port that was asked for.
        problem: Who holds it, or why it cannot be bound, and the ways out.

    Example:
        >>> with Mock().serve(port=0) as server:
        ...     try:
        ...         Mock().serve(port=server.port)
        ...     except BindError as error:
        ...         print(error.port == server.port, "replace=True" in error.problem)
        True True
    """

    def __init__(self, host: str, port: int, problem: str) -> None:
        self.host, self.port, self.problem = host, port, problem
        super().__init__(f"cannot serve on {host}:{port}: {problem}")


class ProtocolError(MockForgeError):
    """A peer that broke RFC 6455 or the HTTP handshake before it.

    Example:
        >>> server = Mock().serve(port=0)
        >>> server.stop()
        >>> try:
        ...     server.send("hi")
        ... except ProtocolError as error:
        ...     print("serve the mock again" in str(error))
        True
    """


class ConnectionClosedError(ProtocolError):
    """A connection that is closed, so that nothing can be sent and nothing more will come.

    Example:
        >>> with Mock().serve(port=0) as server:
        ...     with server.client():
        ...         conn = server.wait_connected()
        ...     try:
        ...         conn.send("hi")
        ...     except ConnectionClosedError as error:
        ...         print(error)
        connection 1 is closed (1000)
    """


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing wrong with a script: the line it stands on (1-based, 0: the whole) and what it is."""

    line: int
    text: str


class ScriptError(MockForgeError, ValueError):
    """A script that cannot be played; it names every problem at once and spells out the first ten.

    Args:
        path: The file, or what stands for it (``"<text>"``, ``"<DataFrame>"``).
        problems: What is wrong, in the order of the lines.

    Example:
        >>> try:
        ...     Script.parse('{"txt": "hi"}', "hi.jsonl")
        ... except ScriptError as error:
        ...     print(error)
        hi.jsonl:1: unknown key 'txt'; did you mean 'text'? (known: ts, dir, text, json, binary, templat...
    """

    def __init__(self, path: str, problems: Sequence[Problem] | str) -> None:
        if isinstance(problems, str):
            problems = (Problem(0, problems),)
        self.path, self.problems = path, tuple(problems)
        lines = [f"{path}:{p.line}: {p.text}" if p.line else f"{path}: {p.text}" for p in self.problems[:10]]
        if len(self.problems) > 10:
            lines.append(f"… and {len(self.problems) - 10} more problems")
        super().__init__("\n".join(lines))


class ScriptFileNotFoundError(ScriptError, FileNotFoundError):
    """A replay file that is not there.

    Example:
        >>> try:
        ...     Script.load("no-such.jsonl")
        ... except FileNotFoundError as error:
        ...     print(type(error).__name__)
        ScriptFileNotFoundError
    """

    def __str__(self) -> str:
        return ScriptError.__str__(self) if not self.problems else f"{self.path}: {self.problems[0].text}"


class TemplateError(MockForgeError, ValueError):
    """A template that cannot be parsed or rendered.

    Args:
        source: The template's text.
        problem: What is wrong with it and the way out.

    Example:
        >>> try:
        ...     Mock().when("^now$", "{{nwo}}").simulate()
        ... except TemplateError as error:
        ...     print(error)
        template '{{nwo}}': no variable 'nwo' is known; did you mean 'now'? give it with .templates(nwo=…)
    """

    def __init__(self, source: str, problem: str) -> None:
        self.source, self.problem = source, problem
        shown = source if len(source) < 120 else source[:117] + "..."
        super().__init__(f"template {shown!r}: {problem}")


class GeneratorError(MockForgeError):
    """A source of messages (a table, Faker, a model) that cannot make them.

    Example:
        >>> try:
        ...     Script.from_faker({"n": fields.unique(fields.choice([1, 2]))}, n=3, seed=1)
        ... except GeneratorError as error:
        ...     print(error)
        <faker, seed 1>: field n: 1000 draws gave no value that was not there before; it has had 2 diffe...
    """


class ModelError(GeneratorError):
    """A language model that does not write what it is asked for, or does not answer.

    Args:
        model: What it is called.
        problem: What is wrong with its answer.
        way: The way out.
        answer: What it answered; empty: nothing.
        written: How many events it wrote before.
        events: These events: they are not lost.
        kept: The file that keeps them; empty: none does.

    Example:
        >>> error = ModelError("a model", "wrote prose", "ask for less", answer="Sure!", written=2)
        >>> print(error)
        a model: wrote prose; its answer was 'Sure!' (2 events written before); ask for less
    """

    def __init__(
        self,
        model: str,
        problem: str,
        way: str = "",
        *,
        answer: str = "",
        written: int = 0,
        events: Sequence[Any] = (),
        kept: str = "",
    ) -> None:
        self.model, self.problem, self.way, self.answer = model, problem, way, answer
        self.written, self.events, self.kept = written, tuple(events), kept
        text = f"{model}: {problem}"
        if answer:
            shown = " ".join(answer.split())
            text += f"; its answer was {shown if len(shown) < 400 else shown[:280] + ' … ' + shown[-100:]!r}"
        counted = f"{self.written} event{'s' if self.written != 1 else ''} written before"
        counted += f", kept in {kept}: the same call goes on from there" if kept else ""
        super().__init__(f"{text} ({counted})" + (f"; {way}" if way else ""))


class ProxyError(MockForgeError):
    """An upstream that cannot be reached or does not answer as asked.

    Example:
        >>> server = Mock().proxy(lambda request: "nowhere").serve(port=0)
        >>> try:
        ...     server.client()
        ... except Exception as refused:
        ...     print(refused)
        server rejected WebSocket connection: HTTP 500
        >>> [type(error).__name__ for error in server.errors]
        ['ProxyError']
        >>> server.stop()
    """


class UnreachableError(MockForgeError, ConnectionError):
    """A server that cannot be reached, or refuses the handshake.

    Args:
        url: Where it is, without what may be secret in it.
        problem: What it answered, or why it did not.
        status: The HTTP status that it answered with; None: it did not answer.

    Example:
        >>> with Mock().reject(503).serve(port=0) as server:
        ...     try:
        ...         Script().send("hi").play_against(server.url)
        ...     except UnreachableError as error:
        ...         print(error.status)
        503
    """

    def __init__(self, url: str, problem: str, status: int | None = None) -> None:
        self.url, self.problem, self.status = url, problem, status
        super().__init__(f"cannot connect to {url}: {problem}")


class ExpectationError(MockForgeError, AssertionError):
    """What a test expected of the traffic did not come.

    Example:
        >>> verdicts = Mock().when("^a$", "b").simulate([(0, "a")]).script()
        >>> with Mock().when("^a$", "c").serve(port=0) as server:
        ...     try:
        ...         verdicts.play_against(server.url).raise_for_failures()
        ...     except ExpectationError as error:
        ...         print("1 differs" in str(error))
        True
    """


class ExpectationTimeoutError(ExpectationError, TimeoutError):
    """What was waited for did not come in time; the text shows what came instead.

    Example:
        >>> with Mock().serve(port=0) as server:
        ...     try:
        ...         server.wait_for("^hi$", timeout="10ms")
        ...     except ExpectationTimeoutError as error:
        ...         print(error)
        a message that matches '^hi$' did not come within 0.01 s; nothing came
    """


class RecordingError(MockForgeError):
    """A recording that cannot be read or written.

    Example:
        >>> from pathlib import Path
        >>> Path("notes.jsonl").write_text("mine")
        4
        >>> try:
        ...     Mock().record("notes.jsonl").serve(port=0)
        ... except RecordingError as error:
        ...     print(error)
        notes.jsonl is there and is no recording; move it, or record to another file
    """


class NotRecordedError(RecordingError):
    """Something of which a cassette has no recording.

    Args:
        cassette: What it is called.
        problem: What was not recorded.
        nearest: The recorded message that is most like it; None: there is none.
        differences: What differs from that.
        ways: The ways out.

    Example:
        >>> Mock().replay(["hi"]).simulate().save("feed.jsonl")
        >>> mock = Mock().proxy("ws://feed.example.com", record="feed.jsonl", record_mode="none")
        >>> server = mock.serve(port=0)
        >>> with server.client() as client:
        ...     client.recv()
        ...     client.send("price?")
        ...     client.drain()
        'hi'
        []
        >>> try:
        ...     server.check()
        ... except NotRecordedError as error:
        ...     print(error)
        feed.jsonl: the client said <Message 'price?'>, which was not recorded; the client said nothing ...
        >>> server.stop()
    """

    def __init__(
        self, cassette: str, problem: str, nearest: object = None, differences: Sequence[object] = (), ways: str = ""
    ) -> None:
        self.cassette, self.problem, self.nearest, self.differences = cassette, problem, nearest, tuple(differences)
        text = f"{cassette}: {problem}"
        if nearest is not None:
            text += f"; the nearest that was recorded is {nearest!r}"
            shown = [str(each) for each in differences[:5]] + (["…"] if len(differences) > 5 else [])
            text += f" ({'; '.join(shown)})" if shown else ""
        super().__init__(text + (f"; {ways}" if ways else ""))
