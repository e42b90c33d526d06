import json
import os
import subprocess
import sys
from collections import Counter
from itertools import islice, pairwise
from random import Random
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mockforge_nb.core.moved import time_of
from mockforge_nb.core.template import Slot
from mockforge_nb.errors import GeneratorError, OptionError
from mockforge_nb.generators.lookalike.talk import TalkModel

Talk = list[tuple[float, str, Any]]


def market(seed: int, length: int = 300) -> Talk:
    """A client subscribes; then trades of three symbols, now and then a heartbeat, and a pong to each ping."""
    rng = Random(seed)
    prices = {"BTC": 60_000.0, "ETH": 3_000.0, "SOL": 150.0}
    said: Talk = [(5, "in", {"op": "subscribe", "channel": "trades"}), (12, "out", {"type": "subscribed", "id": seed})]
    ms = 12.0
    for number in range(1, length + 1):
        ms += rng.expovariate(1 / 50)
        symbol = rng.choice([*prices])
        prices[symbol] *= 1 + rng.gauss(0, 0.002)
        data = {"q": f"{rng.random():.4f}", "n": number, "sides": rng.choice([["buy"], ["sell", "x"]])}
        trade: dict[str, Any] = {"type": "trade", "symbol": symbol, "price": round(prices[symbol], 2), "data": data}
        if rng.random() < 0.3:
            trade["note"] = None
        said.append((ms, "out", trade))
        if rng.random() < 0.1:
            said.append((ms + 1, "out", {"type": "heartbeat", "ok": True}))
        if number % 50 == 0:
            said += [(ms + 2, "in", f"ping {number}"), (ms + 5, "out", f"pong {number}")]
    return said


MODEL = TalkModel().fit([market(seed) for seed in range(4)])


def trades(seed: int, count: int = 2000) -> list[dict[str, Any]]:
    said = (value for _, value in MODEL.messages(seed, endless=True) if isinstance(value, dict))
    return list(islice((value for value in said if value["type"] == "trade"), count))


def shares(model: TalkModel) -> dict[tuple[str, str], float]:
    table = model.transitions()
    return dict(zip(zip(table["from"], table["to"], strict=True), table["share"], strict=True))


def test_what_follows_what_and_after_how_long() -> None:
    assert MODEL.key == "type"
    table = MODEL.transitions()
    assert list(table.columns) == ["from", "to", "share", "count", "gap_ms"]
    assert table.groupby("from")["share"].sum().to_numpy() == pytest.approx(1.0)
    told = shares(MODEL)
    assert told["begin", "in object {channel, op}"] == 1
    assert told["in text ping #", "out text pong #"] == 1
    assert told["out type=trade", "out type=heartbeat"] == pytest.approx(0.1, abs=0.03)
    pong = table[table["to"] == "out text pong #"]
    assert pong["gap_ms"].tolist() == pytest.approx([3.0])
    assert pong["count"].tolist() == [24]


def test_it_says_its_side_in_the_learned_order() -> None:
    said = list(MODEL.messages(1))
    assert said[0][0] == 12  # 5 ms until the client subscribes, and 7 more
    assert said[0][1]["type"] == "subscribed"
    assert all(now <= then for (now, _), (then, _) in pairwise(said))
    kinds = [value["type"] if isinstance(value, dict) else value.rstrip("0123456789") for _, value in said]
    assert set(kinds) <= {"subscribed", "trade", "heartbeat", "pong "}
    assert "subscribed" not in kinds[1:]
    after = Counter(pairwise(kinds))
    assert not after["heartbeat", "heartbeat"]  # as there never were two


def test_shares_and_pauses_of_what_is_said() -> None:
    said = list(islice(MODEL.messages(2, endless=True), 6000))
    beats = sum(isinstance(value, dict) and value["type"] == "heartbeat" for _, value in said)
    learned = [each for talk in range(4) for each in market(talk) if each[1] == "out"]
    wanted = sum(isinstance(value, dict) and value["type"] == "heartbeat" for _, _, value in learned) / len(learned)
    assert beats / len(said) == pytest.approx(wanted, abs=0.02)
    pauses = [
        then - now
        for (now, one), (then, other) in pairwise(said)
        if isinstance(one, dict) and isinstance(other, dict) and one["type"] == other["type"] == "trade"
    ]
    assert np.mean(pauses) == pytest.approx(50, rel=0.15)
    assert np.std(pauses) == pytest.approx(50, rel=0.25)  # as of exponential ones; 0 if all were the same


def test_prices_walk_by_symbol() -> None:
    made = trades(3)
    for symbol, first in {"BTC": 60_000, "ETH": 3_000, "SOL": 150}.items():
        prices = np.array([trade["price"] for trade in made if trade["symbol"] == symbol])
        assert len(prices) > 500
        assert prices[0] == pytest.approx(first, rel=0.02)
        assert np.diff(np.log(prices)).std() == pytest.approx(0.002, rel=0.15)
        assert all(round(price, 2) == price for price in prices.tolist())


def test_a_sequence_number_goes_on_whatever_the_symbol() -> None:
    assert [trade["data"]["n"] for trade in trades(4, 500)] == [*range(1, 501)]


def test_keys_their_order_and_the_optional_ones() -> None:
    made = trades(5)
    assert {tuple(trade) for trade in made} == {
        ("type", "symbol", "price", "data"),
        ("type", "symbol", "price", "data", "note"),
    }
    assert {tuple(trade["data"]) for trade in made} == {("q", "n", "sides")}
    assert sum("note" in trade for trade in made) / len(made) == pytest.approx(0.3, abs=0.04)
    assert all(trade.get("note") is None for trade in made)


def test_values_have_the_types_of_the_source() -> None:
    made = trades(6, 300)
    assert json.loads(json.dumps(made)) == made  # nothing of numpy's
    assert {type(trade["data"]["n"]) for trade in made} == {int}
    assert {type(trade["price"]) for trade in made} == {float}
    quantities = {trade["data"]["q"] for trade in made}
    assert all(len(each) == 6 and 0 <= float(each) <= 1 for each in quantities)
    assert len(quantities) > 200
    assert {tuple(trade["data"]["sides"]) for trade in made} == {("buy",), ("sell", "x")}


def test_it_ends_as_learned_or_begins_anew() -> None:
    hello: Talk = [(1, "out", {"type": "hi"}), (3, "out", {"type": "bye", "n": 2})]
    model = TalkModel().fit([hello, hello])
    assert list(model.messages(0)) == [(1.0, {"type": "hi"}), (3.0, {"type": "bye", "n": 2})]
    at = [ms for ms, _ in islice(model.messages(0, endless=True), 6)]
    assert at == [1, 3, 4, 6, 7, 9]


def test_the_same_seed_says_the_same() -> None:
    def said(seed: int | None) -> list[Any]:
        return list(islice(MODEL.messages(seed, endless=True), 300))

    assert said(7) == said(7)
    assert said(7) != said(8)
    assert said(None) == said(0)


def test_the_same_seed_says_the_same_in_any_process() -> None:
    code = (
        "from itertools import islice; from tests.generators.lookalike.test_talk import MODEL;"
        "print(list(islice(MODEL.messages(9, endless=True), 200)))"
    )
    said = []
    for hash_seed in ("1", "2"):
        environment = {**os.environ, "PYTHONHASHSEED": hash_seed}
        made = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True)
        said.append(made.stdout)
    assert said[0] == said[1]
    assert said[0].strip() == repr(list(islice(MODEL.messages(9, endless=True), 200)))


def test_binary_messages_and_lists_are_drawn_whole() -> None:
    talk: Talk = [(i, "out", value) for i, value in enumerate([b"\x00\x01", [1, {"a": 2}], b"\xff", [3]] * 5)]
    said = [value for _, value in TalkModel().fit([talk]).messages(1)]
    assert {value for value in said if isinstance(value, bytes)} == {b"\x00\x01", b"\xff"}
    assert all(value in ([1, {"a": 2}], [3]) for value in said if isinstance(value, list))
    assert all(isinstance(one, bytes) != isinstance(other, bytes) for one, other in pairwise(said))


@pytest.mark.parametrize(
    ("messages", "key"),
    [
        ([{"e": "trade", "p": 1}, {"e": "depth", "b": []}, {"e": "trade", "p": 2}] * 4, "e"),
        ([{"s": f"s{i % 2}", "kind": "a" if i % 3 else "b", **({"x": 1} if i % 3 else {})} for i in range(30)], "kind"),
        ([{"event": "tick", "s": f"s{i % 3}"} for i in range(12)], "event"),
        ([{"id": f"id{i}", **({"x": 1} if i % 2 else {})} for i in range(12)], None),
        ([{"a": 1}, {"b": 2}], None),
    ],
)
def test_the_key_that_tells_messages_apart(messages: list[Any], key: str | None) -> None:
    assert TalkModel().fit([[(i, "out", each) for i, each in enumerate(messages)]]).key == key


def test_texts_of_too_many_sketches_are_one_kind() -> None:
    rng = Random(1)
    words = ["".join(rng.choices("abcdefghij", k=8)) for _ in range(200)]
    talk: Talk = [(i, "out", each) for i, each in enumerate(words)]
    model = TalkModel().fit([talk])
    assert model.transitions()["to"].tolist() == ["out text", "out text", "end"]
    said = [value for _, value in islice(model.messages(1, endless=True), 500)]
    assert len(set(said)) == 500
    assert all(len(each) == 8 and set(each) <= set("abcdefghij") for each in said)


def test_whole_numbers_beside_others_stay_so() -> None:
    talk: Talk = [(i, "out", {"v": [1, 2.5, 3, 0.5][i % 4], "b": i % 3 == 0, "z": None}) for i in range(40)]
    said = [value for _, value in TalkModel().fit([talk]).messages(2)]
    assert {json.dumps(value["v"]) for value in said} <= {"1", "2.5", "3", "0.5"}
    assert {type(value["b"]) for value in said} == {bool}
    assert {value["z"] for value in said} == {None}


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=4),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=6,
)
TALKS = st.lists(
    st.lists(st.tuples(st.floats(0, 1e6), st.sampled_from(["in", "out"]), JSON | st.binary(max_size=3)), max_size=12),
    min_size=1,
    max_size=3,
)


@settings(deadline=None)
@given(TALKS)
def test_any_conversation_has_more_like_it(talks: list[Talk]) -> None:
    model = TalkModel()
    if not any(talks):
        with pytest.raises(GeneratorError, match="no message"):
            model.fit(talks)
        return
    model.fit(talks)
    heard = {type(value) for talk in talks for _, direction, value in talk if direction == "out"}
    if not heard:
        with pytest.raises(GeneratorError, match="nothing to say"):
            model.messages(1)
        return
    said = list(islice(model.messages(1, endless=True), 40))
    assert len(said) == 40
    assert {type(value) for _, value in said} <= heard | ({int, float} if heard & {int, float} else set())
    assert repr(said) == repr(list(islice(model.messages(1, endless=True), 40)))
    json.dumps([value for _, value in said if not isinstance(value, bytes)])


def test_wrong_conversations() -> None:
    def error_of(talks: Any) -> str:
        with pytest.raises(OptionError) as caught:
            TalkModel().fit(talks)
        return str(caught.value)

    assert "conversation 0, message 1: 'b' is no message; valid: (ms, direction, value)" in error_of(
        [[(1, "in", 1), "b"]]
    )
    assert "did you mean 'out'?" in error_of([[(1, "outt", 1)]])
    assert "is no time in ms" in error_of([[(None, "out", 1)]])
    assert "is no time in ms" in error_of([[(float("nan"), "out", 1)]])


def test_what_has_learned_nothing_says_so() -> None:
    with pytest.raises(GeneratorError, match="call fit"):
        TalkModel().messages(1)
    with pytest.raises(GeneratorError, match="call fit"):
        TalkModel().transitions()
    with pytest.raises(OptionError, match="from 0 on"):
        TalkModel(seed=-1)
    assert repr(TalkModel()) == "<TalkModel unfitted>"
    assert repr(MODEL) == "<TalkModel of 4 kinds of messages>"


INSTANTS: list[Any] = [
    lambda ms: pd.Timestamp("2026-01-01T08:00:00Z") + pd.Timedelta(ms, "ms"),
    lambda ms: (
        (pd.Timestamp("2026-01-01T10:00") + pd.Timedelta(ms, "ms")).isoformat(timespec="milliseconds") + "+02:00"
    ),
    lambda ms: 1_767_254_400_000 + int(ms),
    lambda ms: round(1_767_254_400 + ms / 1000, 3),
    lambda ms: str(1_767_254_400_000 + int(ms)),
]


@pytest.mark.parametrize("form", INSTANTS[1:])
@pytest.mark.parametrize("later", [0, 86_400_000])
def test_instants_follow_the_time_of_the_message(form: Any, later: int) -> None:
    rng = Random(3)
    talk: Talk = []
    ms = 0.0
    for i in range(300):
        kind = rng.choice(["a", "b"])
        talk.append((ms, "out", {"type": kind, "at": form(ms + later), **({"n": i} if kind == "a" else {})}))
        ms += rng.expovariate(1 / 40)
    said = list(islice(TalkModel().fit([talk]).messages(1, endless=True), 1000))
    assert {type(each["at"]) for _, each in said} == {type(form(0))}
    first = INSTANTS[0](later).value
    for now, each in said:
        assert abs((time_of(each["at"]) or 0) - first - now * 1e6) < 2.1e6
        assert len(str(each["at"])) <= len(str(form(2.0)))
    assert all((time_of(a["at"]) or 0) <= (time_of(b["at"]) or 0) for (_, a), (_, b) in pairwise(said))


def test_instants_of_their_own_go_on_by_their_gaps() -> None:
    days = pd.date_range("2026-01-01", periods=60, freq="D")
    talk: Talk = [(0, "out", {"day": f"{day:%Y-%m-%d}", "at": f"{day:%Y-%m-%d}T23:59:59Z"}) for day in days]
    said = [each for _, each in islice(TalkModel().fit([talk]).messages(1, endless=True), 90)]
    assert [each["day"] for each in said] == [f"{day:%Y-%m-%d}" for day in pd.date_range("2026-01-01", periods=90)]
    assert [each["at"][:10] for each in said] == [each["day"] for each in said]


def test_numbers_as_large_as_epochs_are_no_instants() -> None:
    rng = Random(4)
    numbers = [rng.randrange(10**9, 2 * 10**9) for _ in range(200)]
    talk: Talk = [(i * 100, "out", {"volume": number}) for i, number in enumerate(numbers)]
    said = [each["volume"] for _, each in islice(TalkModel().fit([talk]).messages(1, endless=True), 200)]
    assert abs(np.mean(said) - np.mean(numbers)) < 1e8
    assert min(said) >= min(numbers)
    assert max(said) <= max(numbers)


def test_templates_stay_what_they_are() -> None:
    def message(i: int) -> Any:
        return {"type": "x", "at": Slot("{{now}}"), "id": Slot(f"{{{{randInt 0 {i}}}}}"), "l": [Slot("{{uuid}}"), i]}

    talk: Talk = [(i, "out", message(i)) for i in range(20)]
    for _, each in islice(TalkModel().fit([talk]).messages(1, endless=True), 60):
        assert [type(part) for part in (each["at"], each["id"], each["l"][0])] == [Slot] * 3
        assert each["id"] in {f"{{{{randInt 0 {i}}}}}" for i in range(20)}
