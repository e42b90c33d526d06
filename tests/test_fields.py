from typing import Any

import pytest

from mockforge_nb import fields
from mockforge_nb.errors import OptionError
from mockforge_nb.generators.fakes.words import Choice, Const, Counter, Many, Maybe, Recurring, Unique, Walk


def test_a_word_is_plain_data() -> None:
    assert fields.const("trade") == Const("trade")
    assert fields.choice(["a", "b"]) == Choice(("a", "b"))
    assert fields.choice({"buy": 3, "sell": 1}) == Choice(("buy", "sell"), (3, 1))
    assert fields.choice(["a", "b"], weights=[1, 0.5]) == Choice(("a", "b"), (1, 0.5))
    assert fields.maybe("name", 0.1, null=True) == Maybe("name", 0.1, True)
    assert fields.unique("email") == Unique("email")
    assert fields.many("word", 1, 5) == Many("word", 1, 5)
    assert fields.recurring("iban", size=20) == Recurring("iban", 20)
    assert fields.walk(start=5, low=1, high=9, digits=0) == Walk(5, 1.0, 1, 9, 0)
    assert fields.counter(10, -1) == Counter(10, -1)


def test_the_module_shows_its_words_only() -> None:
    assert dir(fields) == sorted(fields.__all__)


@pytest.mark.parametrize(
    ("call", "text"),
    [
        (lambda: fields.choice([]), "choice(): [] is empty; give at least one value"),
        (lambda: fields.choice("buy"), "choice(): 'buy' is no list of values; such as choice(['buy'])"),
        (lambda: fields.choice({"a", "b"} - {"b"}), "has no order, so a seed would not settle it; use a list"),
        (lambda: fields.choice(["a", "b"], weights=[1]), "choice(weights=): [1] are 1 for 2 values"),
        (lambda: fields.choice(["a"], weights=[-1]), "choice(weights=): -1 is no number from 0 on"),
        (lambda: fields.choice(["a"], weights=["x"]), "choice(weights=): 'x' is no number from 0 on"),  # type: ignore[list-item]
        (lambda: fields.choice(["a"], weights=[0]), "choose nothing; at least one is greater than 0"),
        (lambda: fields.choice({"a": 1}, weights=[1]), "is said twice; the mapping has weights already"),
        (lambda: fields.maybe("name", 1.5), "maybe(probability=): 1.5 is no number from 0 to 1"),
        (lambda: fields.maybe("name", True), "maybe(probability=): True is no number from 0 to 1"),
        (lambda: fields.maybe("name", null=0), "maybe(null=): 0 is neither True nor False"),  # type: ignore[arg-type]
        (lambda: fields.many("word", 5, 1), "many(): (5, 1) goes from more to less; write many(…, 1, 5)"),
        (lambda: fields.many("word", -1, 1), "many(low=): -1 is no whole number from 0 on"),
        (lambda: fields.recurring("name", 0), "recurring(size=): 0 is no whole number from 1 on"),
        (lambda: fields.walk("1"), "walk(start=): '1' is no number"),  # type: ignore[arg-type]
        (lambda: fields.walk(float("nan")), "walk(start=): nan is no number"),
        (lambda: fields.walk(step=-1), "walk(step=): -1 is less than 0; it goes both ways anyway"),
        (lambda: fields.walk(digits=-1), "walk(digits=): -1 is no whole number from 0 to 15"),
        (lambda: fields.walk(5, low=5, high=5), "walk(): (5, 5) has no room; low is less than high"),
        (lambda: fields.walk(0, low=1), "walk(start=): 0 is not within low=1 and high=None"),
        (lambda: fields.choice(["a"], weights=3), "choice(weights=): 3 is no list of numbers; one for each of the 1"),  # type: ignore[arg-type]
        (
            lambda: fields.walk(0.123, 0.01, 0.123, 0.129),
            "0.123 has more digits than digits=2; write digits=3",
        ),
        (
            lambda: fields.walk(0.5, high=1 / 3 + 1),
            "walk(high=): 1.3333333333333333 has more digits than digits=2; round it",
        ),
        (lambda: fields.walk(1e308, 1e308), "walk(start=): 1e+308 is too great; the limit is 1e+300"),
        (lambda: fields.counter(1.5), "counter(start=): 1.5 is no whole number"),  # type: ignore[arg-type]
    ],
)
def test_a_wrong_argument_is_an_error_at_the_call(call: Any, text: str) -> None:
    with pytest.raises(OptionError) as caught:
        call()
    assert text in str(caught.value)
