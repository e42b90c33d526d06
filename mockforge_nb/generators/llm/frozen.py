"""The replay file of what a model wrote, and the cache of such files.

A result is kept under the hash of all that decided it. While it is written, each event is appended to a file beside
that; what was interrupted goes on from there, and takes its place when it is whole.
"""

from __future__ import annotations

import hashlib
import json
import os
import secrets
import sys
from collections.abc import Iterable, Mapping
from io import FileIO
from pathlib import Path
from typing import Any, Final, NamedTuple

from mockforge_nb.core.jsonl import HEADER_VERSION, parse
from mockforge_nb.core.origin import KEY, Origin, Usage
from mockforge_nb.core.recording import written as line_text
from mockforge_nb.errors import GeneratorError, OptionError, ScriptError

from .answers import Problem
from .prompts import VERSION

if sys.platform != "win32":
    import fcntl

_SPENT: Final = "// spent "
_FOLDER: Final = "mockforge_nb"
_ELSEWHERE: Final = "give another cache=, or cache=False"
_CHANGED: Final = "it was changed since it was kept: delete it to have it written again"


def _nothing(_: Any) -> str:
    """Say that nothing is wrong with an event."""
    return ""


class Kept(NamedTuple):
    """What a file keeps.

    Attributes:
        events: The events.
        origin: Who wrote them.
    """

    events: list[Any]
    origin: Origin


def file_lines(events: Iterable[Any], origin: Origin, rate: float | None) -> Iterable[str]:
    """Yield the lines of the replay file of some events: literal ones, due at a rate."""
    yield line_text({"mockforge": HEADER_VERSION, "templates": False, **origin.header()})
    for number, event in enumerate(events):
        yield line_text(line(event, number, rate))


def line(event: Any, number: int, rate: float | None) -> dict[str, Any]:
    """Return the line of an event."""
    ts = 0.0 if rate is None else number * 1000.0 / rate
    return {"ts": round(ts, 3), "text" if isinstance(event, str) else "json": event}


class Cache:
    """A folder of results.

    Args:
        folder: The folder; it is made when something is kept.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    @classmethod
    def of(cls, option: object, where: str) -> Cache | None:
        """Return the cache that is meant.

        Args:
            option: True: the one in the user's cache directory; False or None: none; or a folder.
            where: What errors call the argument.

        Raises:
            OptionError: It is none of these.
        """
        if option is None or isinstance(option, bool):
            return cls(default_folder()) if option else None
        if not isinstance(option, (str, os.PathLike)) or not os.fspath(option):
            raise OptionError(where, option, "is no folder", "valid: a folder, True: a default one, False: none")
        folder = Path(option).expanduser()
        if folder.exists() and not folder.is_dir():
            raise OptionError(where, str(folder), "is a file", "give a folder")
        return cls(folder)

    @staticmethod
    def key(keys: Mapping[str, Any]) -> str:
        """Return the hash of what decides a result."""
        text = json.dumps({**keys, "version": VERSION}, sort_keys=True, ensure_ascii=False)
        return hashlib.blake2b(text.encode("utf-8", "surrogatepass"), digest_size=16).hexdigest()

    def path(self, key: str) -> Path:
        """Return where a result is kept."""
        return self._folder / f"{key}.jsonl"

    def find(self, key: str, count: int, problem: Problem = _nothing) -> Kept | None:
        """Return a result; None: there is none.

        Args:
            key: Its key.
            count: How many events it has.
            problem: Says what is wrong with an event.

        Raises:
            GeneratorError: Its file cannot be read, or something else is in it.
        """
        path = self.path(key)
        try:
            parsed = parse(path.read_text(encoding="utf-8"), str(path))
        except FileNotFoundError:
            return None
        except (OSError, UnicodeDecodeError, ScriptError) as error:
            raise GeneratorError(f"{path} cannot be read: {error}; {_CHANGED}") from error
        origin = Origin.of_header(parsed.header)
        events = [step.payload.value for step in parsed.steps if step.payload is not None]
        if origin is None:
            raise GeneratorError(f"{path} has no {KEY!r} in its first line; {_CHANGED}")
        if len(events) != count:
            raise GeneratorError(f"{path} has {len(events)} events in place of {count}; {_CHANGED}")
        for number, event in enumerate(events, 1):
            if wrong := problem(event):
                raise GeneratorError(f"{path}: event {number} is not as it should be: {wrong[:300]}; {_CHANGED}")
        return Kept(events, origin.found(str(path)))

    def draft(self, key: str, origin: Origin, count: int | None = None, problem: Problem = _nothing) -> Draft:
        """Return the file of a result that is not whole yet; what an interrupted run left is in it.

        Args:
            key: Its key.
            origin: Who writes it.
            count: How many events it has; None: any number.
            problem: Says what is wrong with an event.

        Raises:
            GeneratorError: It cannot be written.
        """
        try:
            self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            return Draft(self._folder / f"{key}.part.jsonl", self.path(key), origin, count, problem)
        except OSError as error:
            raise GeneratorError(
                f"the cache cannot be written: {error}; give another folder, or cache=False"
            ) from error


class Draft:
    """A result while it is written: each event is on disk before the next is asked for.

    Args:
        part: Where it is written.
        whole: Where it comes to be when it is whole.
        origin: Who writes it.
        count: How many events it has; None: any number.
        problem: Says what is wrong with an event.

    Attributes:
        events: What was written before.
        usage: What that took.
        kept: Where it is written; empty: another process writes the same, and this one's events are not kept until
            they are whole.
    """

    def __init__(
        self, part: Path, whole: Path, origin: Origin, count: int | None = None, problem: Problem = _nothing
    ) -> None:
        self._whole = whole
        self.events: list[Any] = []
        self.usage = Usage()
        self._part, self.kept = part, str(part)
        # Without a buffer: what could not be written would be tried again when it is closed.
        self._file = FileIO(os.open(part, os.O_RDWR | os.O_CREAT, 0o600), "r+b")
        if not _locked(self._file):
            self._file.close()
            self.kept = ""
            return
        end = self._read(origin, count, problem)
        self._file.seek(end)
        self._file.truncate()
        if not end:
            header = {"mockforge": HEADER_VERSION, "templates": False, **origin.header()}
            self._append(line_text(header))

    def _read(self, origin: Origin, count: int | None, problem: Problem) -> int:
        """Read what is there; return where the last whole line of it ends: 0, if it was not written by us."""
        data = self._file.read()
        end = data.rfind(b"\n") + 1
        events: list[Any] = []
        usage = Usage()
        try:
            header, *lines = data[:end].decode("utf-8").split("\n")[:-1]
            if json.loads(header)[KEY] != origin.narrative:
                return 0
            for raw in lines:
                entry = json.loads(raw.removeprefix(_SPENT))
                if raw.startswith(_SPENT):
                    usage = Usage.read(entry)
                else:
                    events.append(entry["text"] if "text" in entry else entry["json"])
        except (ValueError, LookupError, TypeError, RecursionError):
            return 0
        if (count is not None and len(events) > count) or any(map(problem, events)):
            return 0
        self.events, self.usage = events, usage
        return end

    def _append(self, text: str) -> None:
        if not self.kept:
            return
        try:
            data = text.encode("utf-8", "backslashreplace")
            while data:
                data = data[self._file.write(data) :]
        except OSError as error:
            raise GeneratorError(f"{self.kept} cannot be written: {error}; {_ELSEWHERE}") from error

    def add(self, event: Any, rate: float | None, usage: Usage) -> None:
        """Keep an event, and what was spent so far.

        Args:
            event: The event.
            rate: Events a second.
            usage: What all events so far took.
        """
        self.spend(usage)
        self._append(line_text(line(event, len(self.events), rate)))
        self.events.append(event)

    def spend(self, usage: Usage) -> None:
        """Keep what all so far took, also what came to nothing."""
        if usage != self.usage:
            self._append(f"{_SPENT}{json.dumps(usage.keys())}\n")
            self.usage = usage

    def finish(self, origin: Origin, rate: float | None) -> Path:
        """Put the whole result in its place, at once and for its owner only.

        Raises:
            GeneratorError: It cannot be written there.
        """
        fresh = self._whole.with_name(f".{self._whole.stem}.{secrets.token_hex(4)}")
        lines = (text.encode("utf-8", "backslashreplace") for text in file_lines(self.events, origin, rate))
        try:
            with os.fdopen(os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
                file.writelines(lines)
            os.replace(fresh, self._whole)
        except OSError as error:
            fresh.unlink(missing_ok=True)
            raise GeneratorError(f"{self._whole} cannot be written: {error}; {_ELSEWHERE}") from error
        if self.kept:
            self.close()
            self._part.unlink(missing_ok=True)
        return self._whole

    def close(self) -> None:
        """Let go of the file, which stays for the next run unless the result is whole."""
        self._file.close()


def default_folder() -> Path:
    """Return where results are kept unless said."""
    if sys.platform == "win32":
        base = os.environ.get("LOCALAPPDATA") or Path.home() / "AppData" / "Local"
    elif sys.platform == "darwin":
        base = Path.home() / "Library" / "Caches"
    else:
        base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(base) / _FOLDER / "written"


def _locked(file: FileIO) -> bool:
    """Return whether this process alone writes a file from now on, where the system can say so."""
    if sys.platform != "win32":
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
    return True
