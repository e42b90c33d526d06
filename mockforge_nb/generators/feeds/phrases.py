"""What people write in a chat: a small grammar of English, by topic; Faker's sentences in other languages."""

from __future__ import annotations

import random
from collections import deque
from typing import Final

from .common import fake

SLOTS: Final = {
    "service": ("checkout", "search", "the API", "billing", "the login page", "the mobile app", "staging"),
    "thing": ("the release", "the dashboard", "that ticket", "the migration", "the new design", "the report"),
    "when": ("today", "tomorrow", "on Monday", "after lunch", "next week", "in an hour", "before the demo"),
    "food": ("pizza", "ramen", "the Thai place", "salad", "tacos", "leftovers", "that new bakery"),
    "minutes": ("2", "5", "10", "15", "20", "30"),
    "percent": ("3", "5", "12", "20", "40"),
    "tool": ("pandas", "Postgres", "Docker", "the linter", "GitHub Actions", "Grafana", "git"),
    "city": ("Lisbon", "Berlin", "Oslo", "Kyoto", "the lake", "the mountains"),
    "fix": ("a restart", "a rollback", "clearing the cache", "a bigger timeout", "updating the package"),
    "number": ("412", "1187", "903", "77", "2045", "1310"),
}  # fmt: skip

TOPICS: Final = (
    (
        "Anyone else seeing errors on {service}?", "{service} is slow again, about {percent}% of requests time out",
        "Looks like {service} went down around {minutes} minutes ago", "I'm looking into it now",
        "Could it be {tool}? We updated it this morning", "Can somebody check the logs?",
        "Try {fix}, it helped last time",
        "{fix} fixed it for me", "Okay, {service} is back", "Still seeing it here :(",
        "Error rate is down to {percent}%",
        "I'll write it up {when}",
    ),
    (
        "What's the status of {thing}?", "{thing} should be ready {when}", "I opened PR #{number}, reviews welcome",
        "Can you take a look at #{number} {when}?", "Reviewed #{number}, two small comments",
        "Merged #{number}, thanks!",
        "Let's ship {thing} {when}", "I need {minutes} more minutes", "Blocked on {thing}, need access to {tool}",
        "{thing} has to wait, sorry", "Tests are green", "Who owns {thing} these days?",
    ),
    (
        "Lunch?", "Who's up for {food}?", "I could go for {food}", "Leaving in {minutes} minutes",
        "Not {food} again...",
        "Count me in", "I brought {food} today", "Meet downstairs {when}?", "Can't make it, have fun",
        "There's cake in the kitchen", "Coffee first",
    ),
    (
        "Any plans for the weekend?", "Thinking about {city}", "We went to {city} last month, loved it",
        "Take a jacket, it's cold there", "Send pictures!", "I'm off {when}", "How was {city}?",
        "Way too short, as always",
        "Mostly sleeping, to be honest", "Is anybody watching the game {when}?",
    ),
    (
        "How do I do a group-by in pandas?", "Does anybody know {tool} well?", "It works on my machine",
        "What does the error say?", "Here's a snippet that works for me", "That's a known problem with {tool}",
        "Did you try {fix}?", "The numbers in {thing} look off by {percent}%", "Oh, it was a typo",
        "Good catch", "The docs of {tool} have an example", "Let me share my screen {when}",
    ),
)  # fmt: skip

REPLIES: Final = (
    "+1", "thanks {name}!", "Thanks!", "Makes sense", "Same here", "lol", "Agreed", "On it", "Sure", "Sounds good",
    "Hmm, not sure about that", "Really?", "Yes, {when}", "No, sorry", "Good point, {name}", "@{handle} can you check?",
    "haha", "Nice one", "I think so too", "Let me check", "Done", "What do you mean?", "ok", "Great, thank you",
)  # fmt: skip

EMOJI: Final = ("👍", "❤️", "😂", "🎉", "👀", "🚀", "🙏", "✅", "🔥", "😮")

SENTENCES: Final = 400
"""How many sentences of Faker's there are in a run: its words are few, and sentences are slow to make."""


class English:
    """What is said by topic, with what varies filled in."""

    topics = len(TOPICS)

    def __init__(self, rng: random.Random) -> None:
        self._rng = rng
        self._before: deque[str] = deque(maxlen=8)  # fewer than a topic has

    def say(self, topic: int) -> str:
        """Return something of a topic that was not said just before."""
        text = self._rng.choice(TOPICS[topic])
        while text in self._before:
            text = self._rng.choice(TOPICS[topic])
        self._before.append(text)
        return self._filled(text, {})

    def answer(self, topic: int, name: str, handle: str) -> str:
        """Return a reply to somebody."""
        if self._rng.random() < 0.4:
            return self.say(topic)
        return self._filled(self._rng.choice(REPLIES), {"name": name, "handle": handle})

    def _filled(self, text: str, known: dict[str, str]) -> str:
        parts = text.split("{")
        made = parts[0]
        for part in parts[1:]:
            slot, _, rest = part.partition("}")
            made += (known[slot] if slot in known else self._rng.choice(SLOTS[slot])) + rest
        return made[:1].upper() + made[1:] if text[0] == "{" else made


class Foreign:
    """Sentences of a locale, of which Faker has the words."""

    topics = 1

    def __init__(self, rng: random.Random, locale: str) -> None:
        faker = fake(rng, locale)
        self._rng = rng
        self._long = [str(faker.sentence(nb_words=rng.randint(4, 11))) for _ in range(SENTENCES)]
        self._short = [str(faker.sentence(nb_words=rng.randint(1, 3))) for _ in range(SENTENCES // 4)]

    def say(self, topic: int) -> str:  # as English has it
        """Return a sentence."""
        return self._rng.choice(self._long)

    def answer(self, topic: int, name: str, handle: str) -> str:
        """Return a reply to somebody."""
        if self._rng.random() < 0.15:
            return f"@{handle} {self._rng.choice(self._short)}"
        return self._rng.choice(self._short if self._rng.random() < 0.6 else self._long)


def speech(rng: random.Random, locale: str) -> English | Foreign:
    """Return how people of a locale write."""
    return English(rng) if locale.startswith("en") else Foreign(rng, locale)
