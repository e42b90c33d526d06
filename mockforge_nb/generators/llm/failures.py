"""What pydantic-ai says of an answer, or of there being none, in our words."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mockforge_nb.core.origin import Usage

if TYPE_CHECKING:
    from pydantic_ai.messages import ModelResponse

_SHOWN = 500


def failure_of(error: Exception, timeout: float) -> tuple[str, str]:
    """Return what went wrong and the way out.

    Args:
        error: What was raised.
        timeout: How long an answer was waited for (s).
    """
    from pydantic_ai import exceptions as known

    text = " ".join(str(error).split())
    shown = text if len(text) <= _SHOWN else text[:_SHOWN] + "…"
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
