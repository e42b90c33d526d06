"""What is written at the command line, as the library takes it."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

from mockforge_nb.errors import OptionError

FAULT: Final = "NAME[:PROBABILITY][,OPTION=VALUE…], as drop:0.1 or close:after=3,code=1012"
LATENCY: Final = "fast, normal, slow, 250, 250ms or 50-200"
SCHEMA: Final = "a file of JSON, JSON, or NAME=PROVIDER,…, as id=uuid4,user=name"

_RANGE: Final = re.compile(r"\s*(\d+(?:\.\d+)?)\s*-\s*(\d+(?:\.\d+)?)\s*(?:ms)?\s*")
_COMMA: Final = re.compile(r"(?<!\\),")


def number(text: str) -> Any:
    """Return a text as the number that it is, or else as it is."""
    for kind in (int, float):
        try:
            return kind(text)
        except ValueError:
            continue
    return text


def latency(text: str) -> Any:
    """Return what ``--latency`` says: a name, a duration, or a pair of ms."""
    pair = _RANGE.fullmatch(text)
    return (float(pair[1]), float(pair[2])) if pair else number(text)


def speed(text: str) -> Any:
    """Return what ``--speed`` says: a number, or ``"max"``."""
    return number(text)


def fault(text: str) -> tuple[str, dict[str, Any]]:
    r"""Return the name of a fault and its options; ``\,`` is a comma in a value.

    Raises:
        OptionError: A part of it is neither a probability nor an option.
    """
    name, _, rest = text.partition(":")
    if not rest and "," in name:  # "close,after=3": the first mark does not matter
        name, _, rest = name.partition(",")
    options: dict[str, Any] = {}
    for place, part in enumerate(_COMMA.split(rest) if rest else []):
        key, equals, value = part.replace("\\,", ",").partition("=")
        if equals and key.strip():
            if key.strip() in options:
                raise OptionError("--fault", text, f"says {key.strip()!r} twice", f"write {FAULT}")
            options[key.strip()] = number(value)
        elif not place:
            options["probability"] = _probability(key, text)
        else:
            raise OptionError("--fault", text, f"has {part!r} in it, which is no option", f"write {FAULT}")
    return name.strip(), options


def _probability(part: str, text: str) -> float:
    share = part.strip()
    value = number(share.removesuffix("%"))
    if isinstance(value, str):
        raise OptionError("--fault", text, f"has {part!r} in it, which is no probability", f"write {FAULT}")
    return float(value) / (100 if share.endswith("%") else 1)


def schema(text: str, where: str = "--faker") -> Any:
    """Return a schema of Faker's providers, or a JSON Schema.

    JSON has no tuples: ``["pyint", {"max_value": 9}]`` is a provider with its arguments, ``["word", [1, 5]]`` a list of
    one to five.

    Raises:
        OptionError: It is neither JSON nor pairs, or the file cannot be read.
    """
    said = text.strip()
    if not said.startswith("{") and "=" in said and not Path(said).exists():
        return _pairs(said, where)
    value = json_object(text, where)
    return value if "$schema" in value or isinstance(value.get("properties"), dict) else _tuples(value)


def json_object(text: str, where: str) -> dict[str, Any]:
    """Return a JSON object, which may be in a file.

    Raises:
        OptionError: It is none, or the file cannot be read.
    """
    said = text.strip()
    if not said.startswith("{"):
        try:
            said = Path(text).read_text("utf-8")
        except FileNotFoundError:
            raise OptionError(where, text, "is no file that is there, and no schema", f"valid: {SCHEMA}") from None
        except (OSError, UnicodeDecodeError) as error:
            raise OptionError(where, text, f"cannot be read: {error}") from None
    try:
        value = json.loads(said)
    except (ValueError, RecursionError) as error:
        raise OptionError(where, text, f"is no JSON: {error}", f"valid: {SCHEMA}") from None
    if not isinstance(value, dict):
        raise OptionError(where, text, "is no JSON object", f"valid: {SCHEMA}")
    return value


def _pairs(text: str, where: str) -> dict[str, str]:
    found: dict[str, str] = {}
    for part in _COMMA.split(text):
        name, equals, provider = part.replace("\\,", ",").partition("=")
        if not equals or not name.strip() or not provider.strip():
            raise OptionError(where, text, f"has {part!r} in it, which is no NAME=PROVIDER", f"valid: {SCHEMA}")
        if name.strip() in found:
            raise OptionError(where, text, f"has the name {name.strip()!r} twice")
        found[name.strip()] = provider.strip()
    return found


def _tuples(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _tuples(each) for key, each in value.items()}
    if not isinstance(value, list):
        return value
    if len(value) == 2 and isinstance(value[0], str) and isinstance(value[1], dict):
        return value[0], value[1]
    if len(value) == 2 and isinstance(value[1], list) and all(type(each) is int for each in value[1]):
        return [_tuples(value[0]), tuple(value[1])]
    return [_tuples(each) for each in value]


def headers(lines: Sequence[str]) -> dict[str, str] | None:
    """Return headers that were written as ``NAME: VALUE``; None: there are none.

    Raises:
        OptionError: One is not written so.
    """
    found: dict[str, str] = {}
    for line in lines:
        name, colon, value = line.partition(":")
        if not colon or not name.strip():
            # What it is may be a secret, put in the wrong way.
            raise OptionError("--header", "…", "is not written NAME: VALUE", "such as 'Authorization: Bearer …'")
        found[name.strip()] = value.strip()
    return found or None


def feed(name: str, *, where: str = "--feed", **options: Any) -> Any:
    """Return a ready feed.

    Raises:
        OptionError: There is none of that name, or an argument is wrong.
    """
    from mockforge_nb import feeds

    if name not in feeds.__all__:
        raise OptionError(where, name, valid=feeds.__all__)
    return getattr(feeds, name)(**{key: value for key, value in options.items() if value is not None})
