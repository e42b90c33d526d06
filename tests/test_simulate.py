from __future__ import annotations

import time
from typing import Any

import pandas as pd
import pytest
from vega_datasets import data

from mockforge_nb import ExpectationError, Mock, OptionError, Script

SHOWN = [
    "connection",
    "path",
    "direction",
    "opcode",
    "text",
    "size",
    "step",
    "due_ms",
    "delay_ms",
    "fault",
    "close_code",
]

LOGIN = (
    Script()
    .send("who are you?", after=0.05)
    .wait("^I am (.*)$", timeout=30)
    .send({"hello": "{{match.1}}", "id": "{{uuid}}", "n": "{{randInt 1 1000}}"}, after=0.02)
    .send("tick {{seq}} {{now}}", after=0.02, repeat=3, every=0.05)
    .wait("^bye$")
    .send("bye", after=0.01)
    .close(4000, "done")
)


def test_ten_minutes_are_over_at_once_and_the_same_on_every_run() -> None:
    mock = Mock().replay(data.stocks(), time="date", duration="10min").latency("slow").seed(1)
    began = time.process_time()
    first = mock.simulate(until="11min").df
    assert time.process_time() - began < 60
    assert len(first) == 561
    assert first.elapsed.iloc[-1] > 600
    pd.testing.assert_frame_equal(first, mock.simulate(until="11min").df)
    assert not first.equals(mock.seed(2).simulate(until="11min").df)


def test_a_simulation_has_the_same_messages_order_and_due_times_as_a_real_socket(ws_mock: Any) -> None:
    mock = Mock().replay(LOGIN).latency((5, 30)).seed(7).clock("2024-01-15T10:30:00Z")
    server = ws_mock(mock)
    with server.client() as client:
        assert client.recv() == "who are you?"
        client.send("I am Ada")
        real = [client.recv() for _ in range(4)]
        client.send("bye")
        real += client.drain()
    simulated = mock.simulate([(0.2, "I am Ada"), (5, "bye")])
    columns = [name for name in SHOWN if name != "elapsed"]
    pd.testing.assert_frame_equal(server.traffic.df[["time", *columns]], simulated.df[["time", *columns]])
    assert real[0] == simulated.df.text[simulated.df.direction == "out"].iloc[1]


def test_many_connections_each_have_their_own_numbers() -> None:
    df = Mock().replay([{"text": "{{uuid}}"}, {"text": "{{connection}}"}]).simulate(connections=3).df
    said = df[df.direction == "out"].groupby("connection").text.agg(list)
    assert [texts[1] for texts in said] == ["1", "2", "3"]
    assert len({texts[0] for texts in said}) == 3


def test_a_client_that_closes_and_a_script_that_does() -> None:
    df = Mock().simulate([(1, "a"), (2, {"b": 1}), (3, b"\x00"), (4, None), (5, "late")]).df
    assert list(zip(df.direction, df.opcode, df.elapsed, strict=True)) == [
        ("in", "handshake", 0),
        ("in", "text", 1),
        ("out", "text", 1),
        ("in", "text", 2),
        ("out", "text", 2),
        ("in", "binary", 3),
        ("out", "binary", 3),
        ("in", "close", 4),
        ("out", "close", 4),
    ]
    df = Mock().replay([{"ts": 100, "text": "x", "error": True}]).simulate().df
    assert list(df.opcode) == ["handshake", "text", "abort"]


def test_until_ends_a_replay_without_end() -> None:
    df = Mock().replay(["tick"], rate=10, loop=True).simulate(until="1s").df
    assert (df.opcode == "text").sum() == 11
    with pytest.raises(OptionError, match=r"is never reached: at 0 s the mock lets no time pass"):
        Mock().replay(["tick"], loop=True, speed="max").simulate(until=1)


def test_what_the_author_did_wrong_is_raised_unless_one_asks_for_the_traffic_alone() -> None:
    mock = Mock().replay([{"dir": "in", "assertions": [{"pattern": "^x"}]}, {"text": "on"}])
    with pytest.raises(ExpectationError, match=r"does not match '\^x'") as caught:
        mock.simulate([(0, "y")])
    assert caught.value.__notes__ == ["connection 1, step 0"]
    assert "on" in set(mock.simulate([(0, "y")], check=False).df.text)


def test_templates_can_be_off_and_have_names_of_ones_own() -> None:
    mock = Mock().replay([{"text": "{{price}} {{twice(4)}}"}]).templates(price=101.5, twice=lambda n: 2 * n)
    assert mock.simulate().df.text.iloc[1] == "101.5 8"
    assert mock.templates(False).simulate().df.text.iloc[1] == "{{price}} {{twice(4)}}"
    assert "templates(False, price, twice)" in repr(mock.templates(False))
    with pytest.raises(OptionError, match=r"templates\(\): 'off' is neither True nor False"):
        mock.templates("off")  # type: ignore[arg-type]  # wrong on purpose


@pytest.mark.parametrize(
    ("options", "problem"),
    [
        ({"client": ["x"]}, "simulate(client): 'x' at 0 is no pair of a time and a message"),
        ({"client": [("soon", "x")]}, "simulate(client): 'soon' is no duration"),
        ({"client": [(0, {1})]}, "cannot be sent"),
        ({"until": -1}, "simulate(until=): -1 is no duration"),
        ({"connections": 0}, "simulate(connections=): 0 is no number from 1 on"),
    ],
)
def test_wrong_arguments(options: dict[str, Any], problem: str) -> None:
    with pytest.raises(OptionError) as caught:
        Mock().simulate(**options)
    assert problem in str(caught.value)
