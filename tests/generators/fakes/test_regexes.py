import random
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mockforge_nb.errors import GeneratorError
from mockforge_nb.generators.fakes.regexes import Texts

ATOMS = st.sampled_from(
    ["a", "[a-f]", "[^x]", r"\d", r"\W", r"\S", ".", "(?:ab|c)", "(d)", "[^\\W_]", "é", r"[\s.]", "(?i:q)", r"\."]
)
PARTS = st.builds("".join, st.tuples(ATOMS, st.sampled_from(["", "?", "*", "+", "{2}", "{1,3}", "{2,}", "*?", "++"])))
PATTERNS = st.builds("".join, st.lists(PARTS, min_size=1, max_size=4))
ENDS = st.sampled_from([("", ""), ("^", "$"), ("^", ""), ("", "$"), (r"\A", r"\Z")])


@given(PATTERNS, ENDS, st.integers(0, 99))
def test_what_is_drawn_fits(pattern: str, ends: tuple[str, str], seed: int) -> None:
    pattern = ends[0] + pattern + ends[1]
    if "++" not in pattern:  # a possessive repetition takes what comes after it, so not every such pattern has texts
        assert re.search(pattern, Texts(pattern).draw(random.Random(seed)))


@pytest.mark.parametrize(
    ("pattern", "low", "high"),
    [
        ("^[a-z]+$", 40, 50),
        ("^[a-z]+$", 1, 1),
        ("^[a-f0-9]+$", 40, 40),
        ("^[a-f0-9]*$", 64, 64),
        ("^[a-z]+$", 30, 31),
        ("^([a-f0-9]{2})+$", 40, 40),
        ("^[a-z]+-[a-z]+$", 20, 20),
        ("^(sha1|sha256):[a-f0-9]+$", 40, 40),
        ("^([a-z]+[.])+com$", 63, 63),
        ("^([a-z]?)+$", 20, 20),
        (r"^\w+@\w+\.(com|org|info)$", 100, 254),
        ("^(ab)*$", 0, 3),
        ("x", 10, 12),
        (r"^(\w)(?P<q>[\"'])\1(?P=q)$", 4, 4),
        (r"^(?=.{6,8}$)(?!1)[0-9]+$", 0, None),
        ("^(a)?(?(1)b|c)$", 1, 2),
        ("^(?>ab|c)d$", 0, None),
        ("^$", 0, 0),
        ("", 3, 3),
        ("^[^ -~]$", 1, 1),
    ],
)
def test_texts_have_the_length(pattern: str, low: int, high: int | None) -> None:
    texts = Texts(pattern, low, high)
    rng = random.Random(1)
    for text in [texts.draw(rng) for _ in range(50)]:
        assert re.search(pattern, text)
        assert low <= len(text) <= (1000 if high is None else high)


def test_an_open_repetition_is_short_unless_it_must_be_long() -> None:
    rng = random.Random(1)
    assert {len(Texts("^a*$").draw(rng)) for _ in range(200)} == set(range(9))


@pytest.mark.parametrize(
    ("pattern", "low", "high", "text"),
    [("^abc$", 0, 2, "at least 3 characters"), ("^[ab]{2}$", 3, None, "at most 2 characters")],
)
def test_a_length_that_no_text_has(pattern: str, low: int, high: int | None, text: str) -> None:
    with pytest.raises(ValueError, match=text):
        Texts(pattern, low, high)


def test_a_pattern_without_texts_is_given_up() -> None:
    with pytest.raises(GeneratorError, match=r"200 draws gave no text of 0 characters or more that fits .*a\(\?!b\)b"):
        Texts("^a(?!b)b$").draw(random.Random(1))
