"""Where a script came from that a language model wrote: the header line of its replay file says so."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Final

KEY: Final = "narrative"
"""The key of a header line by which such a file is known."""


@dataclass(frozen=True, slots=True)
class Usage:
    """What a model was asked, and what that cost.

    Attributes:
        requests: How many requests were answered.
        input_tokens: How many tokens they had.
        output_tokens: How many tokens the answers had.
        cost: What they cost (US dollars); None: the prices are not known.
    """

    requests: int = 0
    input_tokens: int = 0
    output_tokens: int = 0
    cost: float | None = 0.0

    def __add__(self, other: Usage) -> Usage:
        """Return both together."""
        known = self.cost is not None and other.cost is not None
        return Usage(
            self.requests + other.requests,
            self.input_tokens + other.input_tokens,
            self.output_tokens + other.output_tokens,
            (self.cost or 0.0) + (other.cost or 0.0) if known else None,
        )

    def __str__(self) -> str:
        requests = f"{self.requests:,} request{'s' if self.requests != 1 else ''}"
        cost = "" if not self.cost else f", ${self.cost:.4f}"
        return f"{requests}, {self.input_tokens:,} tokens in and {self.output_tokens:,} out{cost}"

    def keys(self) -> dict[str, Any]:
        """Return it as JSON."""
        return {name: getattr(self, name) for name in ("requests", "input_tokens", "output_tokens", "cost")}

    @classmethod
    def read(cls, value: object) -> Usage:
        """Return it of JSON; what is missing there, or of another type, is not known."""
        said = value if isinstance(value, Mapping) else {}
        found = [said.get(name) for name in ("requests", "input_tokens", "output_tokens")]
        requests, tokens_in, tokens_out = (each if isinstance(each, int) else 0 for each in found)
        cost = said.get("cost")
        return cls(requests, tokens_in, tokens_out, float(cost) if isinstance(cost, (int, float)) else None)


@dataclass(frozen=True, slots=True)
class Origin:
    """Who wrote a script's messages, and what for.

    Attributes:
        model: The model.
        narrative: What it was asked to tell.
        seed: The seed.
        schema: A hash of the schema of one event.
        usage: What it took to write them; that of the run that wrote them, also if this one found them in the cache.
        cached: Whether they came from the cache, without the model.
        path: The file that keeps them; empty: none does.
    """

    model: str
    narrative: str
    seed: int
    schema: str = ""
    usage: Usage = Usage()
    cached: bool = False
    path: str = ""

    def __str__(self) -> str:
        where = "from the cache" if self.cached else str(self.usage)
        return f"written by {self.model}, seed {self.seed}, {where}"

    def header(self) -> dict[str, Any]:
        """Return the keys of the header line of its replay file."""
        said = {"model": self.model, "seed": self.seed, "schema": self.schema, "usage": self.usage.keys()}
        return {KEY: self.narrative, **said}

    @classmethod
    def of_header(cls, header: Mapping[str, Any]) -> Origin | None:
        """Return what a header line says; None: that of a file that no model wrote."""
        texts = [header.get(name) for name in ("model", KEY, "schema")]
        seed = header.get("seed")
        if not all(isinstance(each, str) for each in texts[:2]):
            return None
        model, narrative, schema = (each if isinstance(each, str) else "" for each in texts)
        known = isinstance(seed, int) and not isinstance(seed, bool)
        usage = Usage.read(header.get("usage"))
        return cls(model, narrative, seed if known and isinstance(seed, int) else 0, schema, usage)

    def found(self, path: str) -> Origin:
        """Return the same, found in the cache."""
        return replace(self, cached=True, path=path)
