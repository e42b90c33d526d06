"""Scripts that a language model writes."""

from __future__ import annotations

import os
from abc import abstractmethod
from typing import TYPE_CHECKING, Any, Self

from .errors import OptionError
from .sources import Made

if TYPE_CHECKING:
    from datetime import timedelta

    from pydantic_ai.models import Model


class FromModel:
    """The way to a script of which a model writes the messages."""

    __slots__ = ()

    @classmethod
    @abstractmethod
    def _of(cls, made: Made) -> Self:
        """Return the script of what was made."""

    @classmethod
    def from_llm(
        cls,
        narrative: str,
        *,
        n: int = 20,
        rate: float | None = None,
        schema: Any = None,
        model: str | Model = "local",
        seed: int = 1,
        temperature: float = 0.0,
        batch: int | None = None,
        cache: bool | str | os.PathLike[str] | None = True,
        progress: bool | None = None,
        base_url: str | None = None,
        api_key: str | None = None,
        concurrency: int = 1,
        requests_per_minute: float | None = None,
        timeout: float | str | timedelta = 60,
        retries: int = 3,
        event_type: str | None = None,
        envelope: bool = False,
        evolve: bool = True,
        repeats: bool = False,
    ) -> Self:
        """Let a language model write the messages of a story.

        Each is checked by the schema, and what is wrong is asked for again. The result is kept in a replay file, under
        the hash of all that decided it, so that the same call again asks no model; `Script.written` and the repr say
        which it was. What was written before an error or an interruption is kept too, and the same call goes on.

        Args:
            narrative: What happens: ``"stock trading: a calm opening, a flash crash at 30 s, a slow recovery"``.
            n: How many messages.
            rate: Messages a second, which the model is told; all are due at once unless given.
            schema: What one message is: a pydantic model, a dataclass, a TypedDict or other type, a JSON Schema, an
                example dict or a list of them, a DataFrame (its columns, and some of its rows as examples); an object
                with a type and free text unless given.
            model: ``"openai:gpt-5-mini"``, ``"anthropic:…"``, ``"google:…"``, ``"ollama:llama3.2"`` or another
                provider of pydantic-ai; a model of pydantic-ai; with `base_url` the name of a model there;
                ``"local"``: a very small one in this process, whose events fit the schema and make little sense.
            seed: What settles the model's choices, as far as it lets it; the local one writes the same text again.
            temperature: How freely it chooses, from 0 to 2.
            batch: How many messages are asked for in one request: 10, of the local model 2, unless given.
            cache: A folder where results are kept; True: one in the user's cache directory, where results of
                pydantic-ai's models for tests are not kept; False: none.
            progress: Whether a progress bar is shown; where somebody sees it unless given.
            base_url: The address of an OpenAI-compatible server, or of the provider behind another one.
            api_key: The key; the provider's environment variable unless given. It is never shown or kept; one of less
                than 16 characters may be a word of the messages, and is left there.
            concurrency: How many requests are under way at once; each is told what had happened when it was asked.
            requests_per_minute: How many requests are begun in a minute at most.
            timeout: How long one answer may take, in seconds.
            retries: How often in a row the model is asked again for what was wrong.
            event_type: What the messages are called, which the model is told.
            envelope: Whether a message is sent as ``{"type", "timestamp", "sequence", "data"}``, `timestamp` being
                when it is sent; otherwise as it was written.
            evolve: Whether the model is told with each request what happened so far.
            repeats: Whether a message may come again as it was; one of few possible values always may.

        Raises:
            OptionError: A wrong argument, a schema that nothing fits, an unknown provider, a key that is missing.
            ModelError: The model does not write what it is asked for, or does not answer; it has what was written
                before in `events`.
            GeneratorError: A package is missing, or the cache cannot be used.

        Example:
            >>> from pydantic_ai.models.test import TestModel
            >>> model = TestModel(custom_output_text='{"events": [{"celsius": 3.5}, {"celsius": 3.1}]}')
            >>> schema = {"celsius": 1.5}
            >>> script = Script.from_llm("A cold night", n=2, schema=schema, model=model, cache=False, progress=False)
            >>> script.preview()["message"].tolist()
            ['{"celsius":3.5}', '{"celsius":3.1}']
        """
        from .generators.llm.frozen import Cache
        from .generators.llm.models import Chosen
        from .generators.llm.run import NAME, program_of, story_of
        from .generators.llm.secret import Secret
        from .generators.llm.wishes import Wishes
        from .generators.llm.writer import Writer

        key = Secret(api_key) if isinstance(api_key, str) else api_key
        api_key = None  # a traceback that shows variables does not show it
        if isinstance(n, bool) or not isinstance(n, int) or n < 1:
            raise OptionError("from_llm(n=)", n, "is no number from 1 on", "a story that is kept has an end")
        for option, value in {"envelope": envelope, "evolve": evolve, "repeats": repeats}.items():
            if not isinstance(value, bool):
                raise OptionError(f"from_llm({option}=)", value, "is neither True nor False")
        if progress is not None and not isinstance(progress, bool):
            raise OptionError("from_llm(progress=)", progress, "is neither True, False nor None")
        chosen = Chosen(model, base_url=base_url, api_key=key)
        wishes = Wishes.of(narrative, schema=schema, event_type=event_type, rate=rate, total=n, repeats=repeats)
        writer = Writer(
            wishes, chosen, seed=seed, temperature=temperature, batch=batch, retries=retries, timeout=timeout,
            evolve=evolve, concurrency=concurrency, requests_per_minute=requests_per_minute,
        )  # fmt: skip
        place = Cache.of(False if cache is True and chosen.made_up else cache, "from_llm(cache=)")
        kept = story_of(wishes, writer, count=n, seed=seed, cache=place, progress=progress)
        program = program_of(kept.events, rate=wishes.rate, event_type=event_type, envelope=envelope)
        return cls._of(Made(NAME, program=program, written=kept.origin))
