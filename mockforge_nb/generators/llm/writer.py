"""A model as the writer of a story: asked in batches, each event checked, what is wrong asked for again."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from mockforge_nb.core.origin import Usage
from mockforge_nb.core.units import number, seconds
from mockforge_nb.errors import ModelError, OptionError

from .answers import Answer, read
from .failures import failure_of, refusal_of, shortly, usage_of
from .models import Chosen, takes_schema, takes_temperature
from .pace import Pace
from .prompts import INSTRUCTIONS, again_prompt, prompt
from .schemas import answer_schema, bounded
from .secret import UNMISTAKABLE
from .story import Story, same
from .wishes import Wishes

if TYPE_CHECKING:
    from datetime import timedelta

    from pydantic_ai.messages import ModelMessage, ModelResponse
    from pydantic_ai.models import Model, ModelRequestParameters

BATCH: Final = 10
LOCAL_BATCH: Final = 2
_LOCAL_TOKENS: Final = 700
"""After how many tokens a local answer is cut: bounded ones are shorter, and what runs on ends."""


@dataclass(frozen=True, slots=True)
class _Written:
    """What came of one batch: its events, and why there are no more of them, if that is an error."""

    events: list[Any]
    error: ModelError | None = None


@dataclass(frozen=True, slots=True)
class _Asked:
    """A batch: its first event's number (from 0), how many are asked for, and what was known when it was asked."""

    first: int
    count: int
    told: str


class Writer:
    """Writes the events of a story, and goes on where it stopped when it is asked for more.

    Args:
        wishes: What is asked for.
        model: The model.
        seed: What settles its choices, as far as the model lets it.
        temperature: How freely it chooses: 0, always the likeliest word, to 2.
        batch: How many events are asked for at once; as many as the model can be trusted with unless given.
        retries: How often in a row it is asked again for what was wrong.
        timeout: How long an answer may take, in seconds.
        evolve: Whether it is told what happened so far.
        concurrency: How many requests are under way at once; each is told what had happened when it was asked. A
            local model answers one after the other.
        requests_per_minute: How many requests are begun in a minute at most.

    Attributes:
        model: What the model is called.
        usage: What it was asked so far, and what that cost.
        story: What happened so far.

    Raises:
        OptionError: A wrong argument.
    """

    def __init__(
        self,
        wishes: Wishes,
        model: str | Model | Chosen,
        *,
        seed: int = 1,
        temperature: float = 0.0,
        batch: int | None = None,
        retries: int = 3,
        timeout: float | str | timedelta = 60.0,
        evolve: bool = True,
        concurrency: int = 1,
        requests_per_minute: float | None = None,
        call: str = "from_llm",
    ) -> None:
        self._wishes = wishes
        self._chosen = model if isinstance(model, Chosen) else Chosen(model, call=call)
        self.model = self._chosen.name
        self._seed = _whole(seed, f"{call}(seed=)", None)
        if not 0 <= number(temperature) <= 2:
            raise OptionError(f"{call}(temperature=)", temperature, "is no number from 0 to 2")
        self._temperature = float(temperature)
        self._batch = _whole(batch if batch is not None else self._usual_batch, f"{call}(batch=)", 1)
        self._retries = _whole(retries, f"{call}(retries=)", 0)
        self._timeout = seconds(timeout, f"{call}(timeout=)")
        if not self._timeout:
            raise OptionError(f"{call}(timeout=)", timeout, "is no time in which a model can answer")
        self._evolve = evolve
        asked = _whole(concurrency, f"{call}(concurrency=)", 1)
        self._concurrency = 1 if self._chosen.local else asked
        self._pace = Pace(requests_per_minute, f"{call}(requests_per_minute=)")
        self.usage = Usage()
        self.story = Story()

    @property
    def _usual_batch(self) -> int:
        return LOCAL_BATCH if self._chosen.local else BATCH

    @property
    def written(self) -> int:
        """How many events were written so far."""
        return self.story.count

    def resume(self, events: Iterable[Any], usage: Usage = Usage()) -> None:  # noqa: B008  # it never changes
        """Go on behind events that were written before, and what they took."""
        for event in events:
            self.story.add(event)
        self.usage += usage

    def keys(self) -> dict[str, Any]:
        """Return as JSON all that decides what is written, keys excepted."""
        return {
            **self._wishes.keys(),
            "model": self.model,
            "base_url": self._chosen.base_url,
            "seed": self._seed,
            "temperature": self._temperature,
            "batch": self._batch,
            "evolve": self._evolve,
            "concurrency": self._concurrency,
        }

    def check(self) -> None:
        """Raise what is missing before anything is asked: a package, a key, a provider that there is not.

        Raises:
            OptionError: An unknown provider; a key that is missing.
            GeneratorError: A package that is not installed.
        """
        self._chosen.check()

    async def write(self, count: int) -> AsyncIterator[Any]:
        """Yield the next events, each as soon as it is known to be as asked for.

        Requests that are under way when the iteration is left are cancelled.

        Args:
            count: How many.

        Raises:
            ModelError: The model does not write them; what it wrote before was yielded.
            GeneratorError: A package or the local model is missing.
        """
        if count < 1:
            return
        end = self.story.count + count
        under_way: deque[tuple[_Asked, asyncio.Task[_Written]]] = deque()
        empty = 0
        async with self._chosen.opened() as model:
            try:
                while self.story.count < end:
                    ahead = self.story.count + sum(asked.count for asked, _ in under_way)
                    while ahead < end and len(under_way) < self._concurrency:
                        told = self.story.told(2 if self._chosen.local else 6) if self._evolve else ""
                        asked = _Asked(ahead, min(self._batch, end - ahead), told)
                        under_way.append((asked, asyncio.create_task(self._asked(model, asked))))
                        ahead += asked.count
                    asked, task = under_way.popleft()
                    came = await task
                    # Two that were asked at the same time may say the same.
                    new = [each for each in came.events if self._is_new(each)]
                    for event in new[: end - self.story.count]:
                        self.story.add(event)
                        yield event
                    if came.error is not None:
                        raise self._error(came.error.problem, came.error.way, came.error.answer)
                    empty = 0 if new else empty + 1
                    if empty > self._retries:
                        raise self._error("it says again and again what was written before", _REPEATS)
            finally:
                tasks = [task for _, task in under_way]
                for task in tasks:
                    task.cancel()
                await asyncio.gather(*tasks, return_exceptions=True)

    def _is_new(self, event: Any) -> bool:
        return self._wishes.repeats or not self.story.again(event)

    async def _asked(self, model: Model, asked: _Asked) -> _Written:
        """Ask for a batch, and again for what was wrong, as long as something comes of it."""
        kept: list[Any] = []
        answer, text, failed = Answer(), "", 0

        came: set[bytes] = set()

        def again(event: Any) -> bool:
            if self._wishes.repeats:
                return False
            form = same(event)
            known = form in came or self.story.again(event)
            came.add(form)
            return known

        count = asked.count
        while failed <= self._retries:
            first = asked.first + len(kept)
            count = min(count, asked.count - len(kept))
            messages = self._messages(asked, kept, first, count, answer, text)
            response, error = await self._response(model, messages, first, count, failed if answer.repeated else 0)
            if response is None or error is not None:
                return _Written(kept, error)
            # Events stay as they were written: a short key ("test") may be a word of theirs.
            text = self._chosen.hide(response.text or "", UNMISTAKABLE)
            refused = refusal_of(response)
            if refused:
                way = "say the story in other words, or ask another model"
                return _Written(kept, self._error("it refuses to write this", way, refused))
            cut = response.finish_reason == "length"
            answer = read(text, self._wishes.problem, again, asked.count - len(kept), cut=cut)
            kept += answer.events
            if len(kept) >= asked.count or (answer.events and not answer.problem):
                return _Written(kept[: asked.count])
            failed = 0 if answer.events else failed + 1
            if cut:
                count = max(1, count // 2)
        problem = shortly(answer.problem, self._chosen.hide)
        times = f"asked {failed} times, the last time " if failed > 1 else ""
        return _Written(kept, self._error(f"{times}{problem}", _way(answer.problem), text))

    def _messages(
        self, asked: _Asked, kept: list[Any], first: int, count: int, answer: Answer, text: str
    ) -> list[ModelMessage]:
        from pydantic_ai.messages import ModelRequest, ModelResponse, TextPart, UserPromptPart

        told = asked.told
        # A small model that is shown what it must not say again says it again.
        parrots = self._chosen.local and answer.repeated > 0
        if parrots:
            told = ""
        elif kept and self._evolve:
            story = Story()
            for event in kept:
                story.add(event)
            told = story.told(2) if not told else f"{told}\n" + story.told(2).partition("\n")[2]
        said = prompt(self._wishes, first, count, told, small=self._chosen.local)
        wrong = shortly(answer.problem, self._chosen.hide)
        if answer.problem and (answer.events or answer.repeated) and not parrots:
            said += f"\nMind what was wrong with your last answer: {wrong}."
        messages: list[Any] = [ModelRequest([UserPromptPart(said)], instructions=INSTRUCTIONS)]
        if answer.problem and not answer.events and not answer.repeated:
            shown = text if len(text) <= 2000 else text[:2000] + "…"
            messages.append(ModelResponse([TextPart(shown or "…")]))
            messages.append(ModelRequest([UserPromptPart(again_prompt(wrong, count))], instructions=INSTRUCTIONS))
        return messages

    async def _response(
        self, model: Model, messages: list[ModelMessage], first: int, count: int, repeated: int
    ) -> tuple[ModelResponse | None, ModelError | None]:
        """Return the model's answer, or why there is none."""
        from pydantic_ai.direct import model_request
        from pydantic_ai.exceptions import AgentRunError, UserError

        await self._pace.wait()
        settings: Any = {"seed": self._seed + first + repeated, "request_timeout": self._timeout}
        if takes_temperature(model):
            # One that repeats itself is given more freedom: asked the same way it would say the same.
            settings["temperature"] = max(self._temperature, min(1.0, self._temperature + 0.5 * repeated))
        if self._chosen.local:
            settings["max_tokens"] = _LOCAL_TOKENS
        asked = self._parameters(model, count)
        try:
            response = await model_request(model, messages, model_settings=settings, model_request_parameters=asked)
        except Exception as error:
            if self._chosen.given and not isinstance(error, (AgentRunError, UserError)):
                raise  # of the user's own code, as it is
            problem, way = failure_of(error, self._timeout, self._chosen.hide)
        else:
            self.usage += usage_of(response, free=self._chosen.local)
            return response, None
        # Outside the except block: the error of the library, whose text may hold a key, is not its context.
        return None, self._error(problem, way)

    def _parameters(self, model: Model, count: int) -> ModelRequestParameters:
        from pydantic_ai.models import ModelRequestParameters
        from pydantic_ai.output import OutputObjectDefinition

        event = bounded(self._wishes.schema) if self._chosen.local else self._wishes.schema
        output = OutputObjectDefinition(
            json_schema=answer_schema(event, count), name="events", description="The next events of the stream."
        )
        return ModelRequestParameters(output_mode="native" if takes_schema(model) else "prompted", output_object=output)

    def _error(self, problem: str, way: str = "", answer: str = "") -> ModelError:
        name = self.model + (f" at {self._chosen.base_url}" if self._chosen.base_url else "")
        return ModelError(name, problem, way, answer=self._chosen.hide(answer), written=self.story.count)


_REPEATS: Final = "raise temperature=, say in the narrative what changes, or allow it: repeats=True"


def _way(problem: str) -> str:
    """Return the way out of what an answer has wrong."""
    if "again what was written" in problem:
        return _REPEATS
    if "cut off" in problem:
        return "give a schema with fewer or shorter fields"
    return "raise retries=, ask a larger model, or loosen the schema"


def _whole(value: Any, where: str, least: int | None) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or (least is not None and value < least):
        raise OptionError(where, value, "is no whole number" + (f" from {least} on" if least is not None else ""))
    return value
