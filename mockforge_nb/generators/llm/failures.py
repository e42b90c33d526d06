"""What pydantic-ai says of an answer, or of there being none, in our words."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from mockforge_nb.core.origin import Usage

from .secret import Hider

if TYPE_CHECKING:
    from pydantic_ai.messages import ModelResponse

_SHOWN: Final = 500


def shortly(text: str, hide: Hider, most: int = _SHOWN) -> str:
    """Return a text on one line, cut after its keys are hidden: half a key would not be known as one."""
    shown = " ".join(hide(text).split())
    return shown if len(shown) <= most else shown[:most] + "…"


def failure_of(error: Exception, timeout: float, hide: Hider) -> tuple[str, str]:
    """Return what went wrong and the way out.

    Args:
        error: What was raised.
        timeout: How long an answer was waited for (s).
        hide: Hides keys in what it says.
    """
    from pydantic_ai import exceptions as known

    shown = shortly(str(error), hide)
    if isinstance(error, (known.ModelRequestTimeout, known.ModelTimeoutError)):
        return f"no answer came in {timeout:g} s", "raise timeout=, or lower batch="
    if isinstance(error, known.ContentFilterError):
        return f"its provider's filter refuses this: {shown}", "say the story in other words, or ask another model"
    ways: dict[type[Exception], str] = {
        known.ModelAuthenticationError: "check api_key=, or the environment variable of the key",
        known.ModelNotFoundError: "check the model's name",
        known.ModelContextWindowExceededError: "lower batch=, or shorten the story or the schema",
        known.ModelQuotaExceededError: "the account has nothing left",
        known.ModelRateLimitError: "give requests_per_minute=, or lower concurrency=",
        known.ModelRequestRejectedError: "simplify the schema, or ask another model",
        known.ModelConnectionError: "check base_url= and whether the server runs",
        known.ModelUnavailableError: "try again later",
        known.ModelServerError: "try again later",
    }
    if not isinstance(error, (known.AgentRunError, known.UserError)):
        return f"its answer cannot be read ({type(error).__name__}: {shown})", "check base_url=, or ask another model"
    way = next((way for kind, way in ways.items() if isinstance(error, kind)), "")
    return f"it could not be asked: {shown}", way


def refusal_of(response: ModelResponse) -> str:
    """Return the words in which a model refuses; empty: it does not."""
    refusal = (response.provider_details or {}).get("refusal")
    if refusal:
        return str(refusal)
    return (response.text or "a filter of its provider") if response.finish_reason == "content_filter" else ""


def usage_of(response: ModelResponse, *, free: bool) -> Usage:
    """Return what one answer took.

    Args:
        response: The answer.
        free: Whether it costs nothing.
    """
    said = response.usage
    cost: float | None = 0.0
    if not free:
        try:
            cost = float(response.cost().total_price)
        except (LookupError, ValueError, AssertionError):  # a model whose prices nobody knows
            cost = None
    return Usage(1, said.input_tokens or 0, said.output_tokens or 0, cost)
