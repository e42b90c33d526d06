"""``mockforge-nb doctor``: whether all that is needed is there."""

from __future__ import annotations

import os
import platform
import re
import sys
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from importlib import import_module
from pathlib import Path
from typing import Annotated, Final, Literal

import typer

from .say import RED, YELLOW, Failed, coloured, say, say_json, told

PACKAGE: Final = "mockforge_nb"
MODULES: Final = {
    "google-re2": "re2",
    "opentelemetry-sdk": "opentelemetry.sdk",
    "python-jsonpath": "jsonpath",
}
"""The names by which packages are imported, where these are others than their own."""

PYTHON: Final = (3, 11)
WORDS: Final = ("ok", "note", "broken")
_NAME: Final = re.compile(r"[A-Za-z0-9._-]+")
_EXTRA: Final = re.compile(r"""extra\s*==\s*['"]([^'"]+)['"]""")
_BOUND: Final = re.compile(r"(>=|<)\s*(\d+(?:\.\d+)*)")


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that was looked at.

    Attributes:
        what: What it is.
        word: ``ok``; ``note``: something is missing that need not be there; ``broken``: it must.
        text: What was found, and the way out.
    """

    what: str
    word: Literal["ok", "note", "broken"]
    text: str


def doctor(
    port: Annotated[
        int | None, typer.Option(min=1, max=65_535, help="The port; MOCKFORGE_WS_PORT or 3001 unless given.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="The findings as JSON.")] = False,
) -> None:
    """Look whether all that is needed is there: packages, extras, the port, the environment's variables."""
    findings = [*_python(), *_packages(), *_extras(), *_loop(), *_environment(), *_port(port)]
    if as_json:
        say_json([asdict(each) for each in findings], indent=2)
    else:
        wide = max(len(each.what) for each in findings)
        for each in findings:
            colour = {"note": YELLOW, "broken": RED}.get(each.word)
            word = f"{each.word:6}"
            say(f"{coloured(word, colour, sys.stdout) if colour else word} {each.what:{wide}}  {each.text}")
    if any(each.word == "broken" for each in findings):
        raise Failed


def _python() -> Iterator[Finding]:
    from mockforge_nb import __version__

    good = sys.version_info >= PYTHON
    needed = ".".join(map(str, PYTHON))
    said = f"{platform.python_version()} ({platform.python_implementation()}, {platform.system()})"
    yield Finding("python", "ok" if good else "broken", said if good else f"{said}; it needs {needed} or newer")
    yield Finding(PACKAGE, "ok", f"{__version__} in {Path(__file__).parents[1]}")


def _required() -> dict[str, list[str]]:
    """Return what the package requires, by extra; empty: always."""
    from importlib import metadata

    found: dict[str, list[str]] = {}
    for line in metadata.requires(PACKAGE) or ():
        extra = _EXTRA.search(line)
        found.setdefault(extra[1] if extra else "", []).append(line)
    return found


def _packages() -> Iterator[Finding]:
    from importlib import metadata

    try:
        required = _required()
    except metadata.PackageNotFoundError:
        yield Finding("packages", "note", f"{PACKAGE} is not installed, so what it needs is not known: pip install .")
        return
    for line in required.get("", ()):
        name, _, marker = line.partition(";")
        if "sys_platform != 'win32'" in marker.replace('"', "'") and sys.platform == "win32":
            continue
        yield _package(name.strip(), loads=True)


def _package(line: str, *, loads: bool) -> Finding:
    from importlib import metadata

    found = _NAME.match(line)
    assert found is not None  # as it is in the package's metadata
    name = found[0]
    try:
        version = metadata.version(name)
    except metadata.PackageNotFoundError:
        return Finding(name, "broken", f"is missing: pip install {name!r}")
    for sign, bound in _BOUND.findall(line):
        if _older(version, bound) is (sign == ">="):
            return Finding(name, "broken", f"{version}, and it needs {line}: pip install '{line}'")
    if loads:
        try:
            import_module(MODULES.get(name.lower(), name.lower().replace("-", "_")))
        except Exception as error:  # noqa: BLE001  # whatever its import does is what is asked
            return Finding(name, "broken", f"{version} cannot be imported: {told(error)}")
    return Finding(name, "ok", version)


def _older(version: str, bound: str) -> bool:
    """Return whether a version is older than another, by their numbers."""
    a, b = (tuple(map(int, re.findall(r"\d+", text.partition("+")[0]))) for text in (version, bound))
    return a[: len(b)] < b


def _extras() -> Iterator[Finding]:
    from importlib import metadata

    try:
        required = _required()
    except metadata.PackageNotFoundError:
        return
    for extra, lines in required.items():
        if not extra:
            continue
        missing = [each for each in (_package(line.partition(";")[0].strip(), loads=False) for line in lines)
                   if each.word != "ok"]  # fmt: skip
        way = f"pip install '{PACKAGE}[{extra}]'"
        lacks = f"without {', '.join(each.what for each in missing)}: {way}"
        yield Finding(f"[{extra}]", "note" if missing else "ok", lacks if missing else "is there")


def _loop() -> Iterator[Finding]:
    from importlib import metadata

    from mockforge_nb.wire.portal import UVLOOP

    if UVLOOP:
        yield Finding("event loop", "ok", f"uvloop {metadata.version('uvloop')}")
    else:
        yield Finding("event loop", "note", "asyncio's own; uvloop, where there is one, is faster: pip install uvloop")


# The environment


def _host(value: str) -> str:
    from mockforge_nb.wire.listener import bind

    for one in bind(value, 0):
        one.close()
    return "can be listened at"


def _file(value: str) -> str:
    from mockforge_nb.script import Script

    return Script.load(value).summary() if value else "no file"


def _url(value: str) -> str:
    from mockforge_nb.dialing import url_of

    url_of(value, "MOCKFORGE_WS_PROXY_UPSTREAM_URL")
    return "is relayed to"


def _checks() -> dict[str, Callable[[str], str]]:
    """Return what says what a variable's value means; it raises what is wrong with it."""
    from mockforge_nb import environment

    return {
        environment.HOST: _host,
        environment.PORT: lambda value: f"port {environment.port({environment.PORT: value})}",
        environment.REPLAY_FILE: _file,
        environment.EXPAND: lambda value: "on" if environment.expands({environment.EXPAND: value}) else "off",
        environment.UPSTREAM: _url,
    }


def _environment() -> Iterator[Finding]:
    from mockforge_nb import environment
    from mockforge_nb.errors import MockForgeError, nearest

    checks = _checks()
    for name, value in sorted(os.environ.items()):
        if not name.startswith("MOCKFORGE_") or name.startswith("MOCKFORGE_NB_"):
            continue
        if name not in checks:
            # What it is for may be secret, such as another program's key.
            yield Finding(name, "note", "is not read by this package" + nearest(name, checks))
            continue
        try:
            said = checks[name](value)
            # A URL may have a password in it.
            yield Finding(name, "ok", said if name == environment.UPSTREAM else f"{value!r}: {said}")
        except (MockForgeError, OSError) as error:
            yield Finding(name, "broken", told(error))


# The port


def _port(port: int | None) -> Iterator[Finding]:
    from mockforge_nb import environment
    from mockforge_nb.errors import BindError, OptionError
    from mockforge_nb.wire.listener import bind

    host = environment.host()
    try:
        _host(host)
    except BindError:
        host = environment.DEFAULT_HOST  # the variable's own finding says what is wrong with it
    try:
        wanted = environment.port() if port is None else port
    except OptionError:
        return  # the variable's own finding says so
    try:
        for one in bind(host, wanted):
            one.close()
    except BindError as error:
        who = holder(wanted)
        yield Finding(f"port {wanted}", "broken", f"{error}" + (f"; it is {who}" if who else ""))
    else:
        yield Finding(f"port {wanted}", "ok", f"is free at {host}")


def holder(port: int, proc: Path = Path("/proc")) -> str | None:
    """Return which process listens on a port, where Linux says so and we may know; None: that is not known."""
    inodes = set()
    for table in ("tcp", "tcp6"):
        try:
            lines = (proc / "net" / table).read_text().splitlines()[1:]
        except OSError:
            continue
        for line in lines:
            fields = line.split()
            if fields[3] == "0A" and int(fields[1].rpartition(":")[2], 16) == port:  # 0A: it listens
                inodes.add(f"socket:[{fields[9]}]")
    if not inodes:
        return None
    for process in proc.iterdir():
        if not process.name.isdigit():
            continue
        try:
            if any(os.readlink(one) in inodes for one in (process / "fd").iterdir()):
                command = (process / "comm").read_text().strip()
                return f"process {process.name} ({command})"
        except OSError:
            continue  # somebody else's, or gone meanwhile
    return None
