"""From ``model="openai:gpt-5-mini"`` to a model of pydantic-ai."""

from __future__ import annotations

import asyncio
import importlib.util
import os
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlsplit

from mockforge_nb.core.recorded import shown_url
from mockforge_nb.errors import GeneratorError, OptionError, nearest

from . import local
from .secret import Hider, Secret

if TYPE_CHECKING:
    from pydantic_ai.models import Model

EXTRA: Final = "pip install 'mockforge_nb[llm]'"
OLLAMA: Final = "http://localhost:11434/v1"
PROVIDERS: Final[dict[str, tuple[str, ...]]] = {
    "anthropic": ("ANTHROPIC_API_KEY",),
    "google": ("GOOGLE_API_KEY", "GEMINI_API_KEY"),
    "ollama": ("OLLAMA_API_KEY",),
    "openai": ("OPENAI_API_KEY",),
    "openai-chat": ("OPENAI_API_KEY",),
}
"""The providers that are known here and their keys' variables; all others of pydantic-ai go by its own names."""

_VALID: Final = (
    'valid: "openai:…", "anthropic:…", "google:…", "ollama:…", "local", a model of pydantic-ai, '
    "or any name with base_url="
)


class Chosen:
    """The model that was chosen; made when it is used, so that a cached result needs neither it nor a key.

    Args:
        model: ``"provider:name"``, ``"local"``, or a model of pydantic-ai.
        base_url: The address of an OpenAI-compatible server, or of the provider's API behind another address.
        api_key: The key; unless given, the provider's environment variable.
        call: What errors call the call.

    Attributes:
        name: What it is called.
        local: Whether it is the small one in this process.
        given: Whether it is a model of pydantic-ai made by the user.
        made_up: Whether it is one of pydantic-ai's for tests, which tells no model apart from another by its name.
        base_url: The address, if one was given, as it may be shown.
        hide: Hides keys in texts.

    Raises:
        OptionError: A wrong argument.
    """

    def __init__(
        self,
        model: str | Model,
        *,
        base_url: str | None = None,
        api_key: str | Secret | None = None,
        call: str = "from_llm",
    ) -> None:
        key = Secret(api_key) if isinstance(api_key, str) else api_key
        del api_key
        if key is not None and not isinstance(key, Secret):
            raise OptionError(f"{call}(api_key=)", type(key).__name__, "is the type of no key", "give a text")
        self._call, self._key, self.name = call, key, "?"  # shown where what follows raises
        self.hide = Hider([] if key is None else [key])
        self.base_url = ""
        self.base_url = _checked(base_url, f"{call}(base_url=)")
        self._own: Any = None
        self._made: Model | None = None
        self.local = model == "local"
        if isinstance(model, str):
            self.name = model
            self._check_name()
        else:
            self._own = model
            if not (hasattr(model, "request") and hasattr(model, "model_name")):
                raise OptionError(f"{call}(model=)", model, f"is a {type(model).__name__}", _VALID)
            for option, value in (("base_url", base_url), ("api_key", key)):
                if value is not None:
                    raise OptionError(f"{call}({option}=)", value, "goes with a model's name", "the model has its own")
            self.name = f"{model.system}:{model.model_name}"
        self.given = self._own is not None
        self.made_up = self.given and self._own.system in ("function", "test")

    def __repr__(self) -> str:
        return f"<Chosen {self.name}{' at ' + self.base_url if self.base_url else ''}>"

    def _check_name(self) -> None:
        where = f"{self._call}(model=)"
        provider, colon, name = self.name.partition(":")
        if self.local:
            for option, value in (("base_url", self.base_url), ("api_key", self._key)):
                if value:
                    raise OptionError(f"{self._call}({option}=)", value, 'does not go with model="local"')
        elif not self.name.strip() or (colon and not (provider and name)) or not (colon or self.base_url):
            known = ("local", *(f"{each}:…" for each in PROVIDERS))
            raise OptionError(where, self.name, f"names no model{nearest(self.name, known)}", _VALID)

    def check(self) -> None:
        """Raise what is missing before anything is asked.

        Raises:
            OptionError: An unknown provider; a key that is missing.
            GeneratorError: A package that is not installed.
        """
        if importlib.util.find_spec("pydantic_ai") is None:
            raise GeneratorError(f"a model is asked with pydantic-ai, which is not installed: {EXTRA}")
        if self.local:
            local.weights()
        elif not self.given and self._made is None:
            self._made = self._named()

    def opened(self) -> AbstractAsyncContextManager[Model]:
        """Return the model, ready to be asked on the running loop, for a ``async with``; errors as of `check`."""
        self.check()
        if self.local:
            return _local()
        model: Model | None = self._own or self._made
        assert model is not None
        return model

    def _named(self) -> Model:
        provider, colon, name = self.name.partition(":")
        if self.base_url and (provider not in PROVIDERS or provider.startswith("openai")):
            # A name such as llama3.2:1b has a colon of its own.
            return self._compatible(name if provider.startswith("openai") and colon else self.name)
        try:
            return self._of_provider(provider, name)
        except ImportError as error:
            wanted = f"pydantic-ai-slim[{provider.partition('-')[0]}]"
            raise GeneratorError(
                f"{self.name} needs a package that is not installed ({error}): pip install '{wanted}'"
            ) from None

    def _compatible(self, name: str) -> Model:
        from pydantic_ai.models.openai import OpenAIChatModel
        from pydantic_ai.providers.openai_compatible import OpenAICompatibleProvider

        # Without a key of its own a server gets none: that of OpenAI is not for others.
        key = self._key.reveal() if self._key else "none"
        return OpenAIChatModel(
            name, provider=OpenAICompatibleProvider("compatible", base_url=self.base_url, api_key=key)
        )

    def _of_provider(self, provider: str, name: str) -> Model:
        where = f"{self._call}(model=)"
        if provider in ("openai", "openai-chat"):
            from pydantic_ai.models.openai import OpenAIChatModel
            from pydantic_ai.providers.openai import OpenAIProvider

            return OpenAIChatModel(name, provider=OpenAIProvider(api_key=self._needed(provider)))
        if provider == "ollama":
            from pydantic_ai.models.ollama import OllamaModel
            from pydantic_ai.providers.ollama import OllamaProvider

            url = self.base_url or os.environ.get("OLLAMA_BASE_URL") or OLLAMA
            key = self._key.reveal() if self._key else None
            return OllamaModel(name, provider=OllamaProvider(base_url=url, api_key=key))
        if provider == "anthropic":
            from pydantic_ai.models.anthropic import AnthropicModel
            from pydantic_ai.providers.anthropic import AnthropicProvider

            made = AnthropicProvider(api_key=self._needed(provider), **self._address)
            return AnthropicModel(name, provider=made)
        if provider == "google":
            from pydantic_ai.models.google import GoogleModel
            from pydantic_ai.providers.google import GoogleProvider

            return GoogleModel(name, provider=GoogleProvider(api_key=self._needed(provider), **self._address))
        from pydantic_ai.exceptions import UserError
        from pydantic_ai.models import infer_model
        from pydantic_ai.providers import infer_provider_class

        try:
            kind = infer_provider_class(provider)
        except ValueError:
            known = sorted({*PROVIDERS, "local"})
            raise OptionError(where, self.name, f"names no provider{nearest(provider, known)}", _VALID) from None
        problem = ""
        try:
            if self._key is None:
                return infer_model(self.name)
            options: Any = {"api_key": self._key.reveal()}
            return infer_model(self.name, lambda _: kind(**options))
        except (UserError, TypeError) as error:
            problem = self.hide(str(error))
        raise OptionError(
            where, self.name, f"cannot be made: {problem}", "give a model of pydantic-ai made by yourself"
        )

    @property
    def _address(self) -> dict[str, Any]:
        return {"base_url": self.base_url} if self.base_url else {}

    def _needed(self, provider: str) -> str:
        """Return the key."""
        names = PROVIDERS[provider]
        found = self._key.reveal() if self._key else next(filter(None, map(os.environ.get, names)), None)
        if not found:
            way = f"set the environment variable {names[0]}, or give api_key="
            raise OptionError(f"{self._call}(model=)", self.name, "needs a key", way)
        return found


@asynccontextmanager
async def _local() -> AsyncIterator[Model]:
    import httpx2
    from pydantic_ai.models.openai import OpenAIChatModel
    from pydantic_ai.providers.openai_compatible import OpenAICompatibleProvider

    served = await asyncio.to_thread(local.server)
    # A proxy of the environment is not asked: it would look for the port on its own machine.
    async with httpx2.AsyncClient(trust_env=False, timeout=None) as client:
        options: Any = {"http_client": client, "api_key": served.key.reveal()}
        provider = OpenAICompatibleProvider("local", base_url=served.url, **options)
        yield OpenAIChatModel("local", provider=provider)


def _checked(base_url: object, where: str) -> str:
    if base_url is None:
        return ""
    if not isinstance(base_url, str):
        raise OptionError(where, base_url, "is no URL", "such as 'http://localhost:8000/v1'")
    parts = urlsplit(base_url)
    shown = shown_url(base_url)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise OptionError(where, shown, "is no URL", "such as 'http://localhost:8000/v1'")
    if shown.rstrip("/") != base_url.rstrip("/"):
        raise OptionError(where, shown, "had a user, a query or a fragment, which may be secret", "give api_key=")
    return base_url


def takes_schema(model: Model) -> bool:
    """Return whether a model keeps to a JSON Schema by itself; another is told it in words."""
    return bool(_profile(model).get("supports_json_schema_output", False))


def takes_temperature(model: Model) -> bool:
    """Return whether a model can be told how freely to choose; those that reason first mostly cannot."""
    profile = _profile(model)
    reasons = profile.get("openai_supports_reasoning", False)
    may_not = profile.get("openai_supports_reasoning_effort_none", False)
    return not ((reasons and not may_not) or profile.get("anthropic_disallows_sampling_settings", False))


def _profile(model: Model) -> dict[str, Any]:
    try:
        return {**model.profile}
    except NotImplementedError:  # one that asks several models in turn has none of its own
        return {"supports_json_schema_output": True}
