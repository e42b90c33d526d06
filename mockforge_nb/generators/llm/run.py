"""One story from its beginning to its end: looked up, or written and kept."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import closing
from typing import TYPE_CHECKING, Any, Final

from mockforge_nb.core.origin import Origin, Usage
from mockforge_nb.core.template import Slot
from mockforge_nb.errors import ModelError
from mockforge_nb.generators.endless import Endless, Items

from .frozen import Cache, Kept
from .outside import iterate
from .wishes import Wishes
from .writer import Writer

if TYPE_CHECKING:
    from mockforge_nb.core.program import Program

NAME: Final = "<story>"
_NOW: Final = "{{now}}"


def story_of(
    wishes: Wishes, writer: Writer, *, count: int, seed: int, cache: Cache | None, progress: bool | None
) -> Kept:
    """Return a story's events: those in the cache, or written now and put there.

    Args:
        wishes: What is asked for.
        writer: Who writes it.
        count: How many events.
        seed: The writer's seed.
        cache: Where results are kept; None: nowhere.
        progress: Whether a progress bar is shown; None: where somebody sees it.

    Raises:
        ModelError: The model does not write it; the error has what it wrote before.
        GeneratorError: A package is missing, or the cache cannot be used.
        OptionError: An unknown provider, or a key that is missing.
    """
    key = cache.key(writer.keys()) if cache is not None else ""
    if cache is not None and (found := cache.find(key, count, wishes.problem)) is not None:
        return found
    writer.check()
    origin = Origin(writer.model, wishes.narrative, seed, wishes.schema_hash)
    if cache is None:
        events: list[Any] = []
        _write(writer, count, events, events.append, "", progress)
        return Kept(events, _with_usage(origin, writer.usage))
    with closing(cache.draft(key, origin, count, wishes.problem)) as draft:
        writer.resume(draft.events, draft.usage)

        def keep(event: Any) -> None:
            draft.add(event, wishes.rate, writer.usage)

        try:
            _write(writer, count - len(draft.events), draft.events, keep, draft.kept, progress)
        except KeyboardInterrupt as error:
            if draft.kept:
                error.add_note(f"{len(draft.events)} events are kept in {draft.kept}: the same call goes on from there")
            raise
        finally:
            draft.spend(writer.usage)
        path = draft.finish(_with_usage(origin, writer.usage), wishes.rate)
    return Kept(draft.events, _with_usage(origin, writer.usage, str(path)))


def _with_usage(origin: Origin, usage: Usage, path: str = "") -> Origin:
    return Origin(origin.model, origin.narrative, origin.seed, origin.schema, usage, path=path)


def _write(
    writer: Writer, count: int, events: list[Any], keep: Callable[[Any], None], kept: str, progress: bool | None
) -> None:
    """Let new events be written, each kept before the next is asked for, and show how far it is.

    Args:
        writer: Who writes them.
        count: How many.
        events: All so far, for the bar and the error.
        keep: Puts one there.
        kept: The file where they are.
        progress: Whether a bar is shown.
    """
    from tqdm.auto import tqdm

    async def written() -> AsyncIterator[None]:
        async for event in writer.write(count):
            keep(event)
            yield

    problem: ModelError | None = None
    # None: tqdm shows nothing where the output is no terminal and no notebook.
    disable = None if progress is None else not progress
    done = len(events)
    with (
        tqdm(total=done + count, initial=done, desc=writer.model, unit="event", disable=disable) as bar,
        closing(iterate(written)) as came,
    ):
        try:
            for _ in came:
                bar.update()
                bar.set_postfix_str(str(writer.usage))
        except ModelError as error:
            problem = error
    if problem is not None:
        raise ModelError(
            problem.model, problem.problem, problem.way, answer=problem.answer,
            written=len(events), events=events, kept=kept,
        )  # fmt: skip


def program_of(events: list[Any], *, rate: float | None, event_type: str | None, envelope: bool) -> Program:
    """Return the script of a story's events.

    Args:
        events: The events.
        rate: Events a second; all are due at once unless given.
        event_type: The type that envelopes have.
        envelope: Whether each is sent as ``{"type", "timestamp", "sequence", "data"}``.
    """
    gap = 0.0 if rate is None else 1000.0 / rate

    def items() -> Items:
        for number, event in enumerate(events):
            yield number * gap, _in_envelope(event, number, event_type) if envelope else event

    return Endless.of(NAME, items, [_NOW] if envelope else []).program(len(events))


def _in_envelope(event: Any, number: int, event_type: str | None) -> dict[str, Any]:
    own = event.get("type") if isinstance(event, dict) else None
    kind = event_type or (own if isinstance(own, str) else "event")
    return {"type": kind, "timestamp": Slot(_NOW), "sequence": number, "data": event}
