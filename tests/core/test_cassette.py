"""What a cassette says to one connection: event in, commands out."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mockforge_nb import NotRecordedError, ScriptError
from mockforge_nb.core.cassette import Cassette, tape_of
from mockforge_nb.core.compare import Comparison, paths
from mockforge_nb.core.events import Came, Dial, Failed, Forward, Joined, Opened, Send, Spoke
from mockforge_nb.core.jsonl import each_connection, entries, parse
from mockforge_nb.core.log import CHANGED, DROPPED, FORWARDED, REPLAYED
from mockforge_nb.core.message import TEXT
from mockforge_nb.core.plan import Plan, Relay, Replay, Shared, Upstream
from mockforge_nb.core.program import Program
from mockforge_nb.core.rules import Call

from .playbook import Playbook, of

OPENED = "2024-01-15T10:30:00.000Z"
HEAD = {"mockforge": 1, "url": "wss://feed.example", "templates": False}


def recorded(*lines: dict[str, Any], connection: int = 1, path: str = "/ws") -> list[dict[str, Any]]:
    head = {"connection": connection, "opened": OPENED, "path": path}
    return [head, *({"connection": connection, **line} for line in lines)]


def say(ts: float, value: Any) -> dict[str, Any]:
    return {"ts": ts, "text" if isinstance(value, str) else "json": value}


def hear(ts: float, value: Any, match: str | None = None) -> dict[str, Any]:
    return {**say(ts, value), "dir": "in", "match": match or ("exact" if isinstance(value, str) else "json")}


TALK = recorded(
    say(0, "welcome"),
    hear(1000, {"op": "login", "id": 1}),
    say(1100, {"ok": True, "id": 1}),
    hear(2000, {"op": "subscribe", "id": 2}),
    say(2050, {"ok": True, "id": 2}),
    say(2100, {"tick": 1, "id": 2}),
    say(3100, {"tick": 2, "id": 2}),
)


def cassette(lines: list[dict[str, Any]], **options: Any) -> Cassette:
    text = "\n".join(map(json.dumps, [HEAD, *lines]))
    key = options.get("match") if callable(options.get("match")) else None
    connections = each_connection(entries(text, []), "feed.jsonl", [])
    carry, ignore = options.get("carry", ()), paths(options.get("ignore", ()), "ignore")
    if "ignore" in options:
        del options["ignore"]
        options["comparison"] = Comparison(options.pop("how", "equal"), ignore)
    tapes = [
        tape_of(index, one.recorded, one.steps, "feed.jsonl", key, carry, ignore)
        for index, one in enumerate(connections)
    ]
    return Cassette("feed.jsonl", tuple(tapes), **options)


def book(played: Cassette, *, path: str = "/ws", shared: Shared | None = None, fallback: Any = None) -> Playbook:
    common = shared or Shared()
    plan = Plan(Relay(Upstream(lambda who: "ws://x.example"), cassette=played, fallback=fallback))
    return Playbook(plan, shared=common).open(Opened(played.claim(path, common.played)))


def misses(playbook: Playbook) -> list[str]:
    errors = [one.error for one in of(playbook.commands, Failed)]
    assert all(isinstance(error, NotRecordedError) for error in errors)
    return [str(error) for error in errors]


def test_what_followed_a_message_follows_it_now_after_the_recorded_time() -> None:
    playbook = book(cassette(TALK))
    assert playbook.sent == [(0, "welcome")]
    playbook.until(5).receive('{"id": 1, "op": "login"}')  # JSON is compared by its values
    assert playbook.texts()[1:] == []
    playbook.until(10)
    assert playbook.sent[1:] == [(5100, '{"ok":true,"id":1}')]
    playbook.receive('{"op":"subscribe","id":2}').until(20)
    assert [at for at, _ in playbook.sent[2:]] == [10_050, 10_100, 11_100]
    assert {send.relay for send in playbook.rows if isinstance(send, Send)} == {REPLAYED}
    assert [one.message.relay for one in of(playbook.commands, Came)] == [REPLAYED, REPLAYED]
    assert misses(playbook) == []


def test_who_speaks_sooner_than_was_recorded_hears_what_came_before_that_at_once() -> None:
    lines = recorded(hear(0, "a"), *(say(n * 1000, f"a{n}") for n in range(5)), hear(9000, "b"), say(9000, "b0"))
    playbook = book(cassette(lines)).receive("a").until(1.5).receive("b").until(1.5)
    assert playbook.sent == [(0, "a0"), (1000, "a1"), *((1500, text) for text in ("a2", "a3", "a4", "b0"))]
    # What comes behind that keeps its time.
    other = (
        book(cassette(TALK)).receive('{"op":"subscribe","id":2}').until(0.06).receive('{"op":"login","id":1}').until(9)
    )
    assert [at for at, _ in other.sent] == [0, 50, 100, 160, 1100]


def test_a_reply_belongs_to_the_message_whose_id_it_has() -> None:
    (path,) = paths(["$.id"], "test")
    asked = [hear(n, {"id": n, "q": n}) for n in range(3)]
    told = [say(100 + n, {"id": n, "part": part}) for part in range(2) for n in range(3)]
    for line in told:
        line["ts"] += 1000 * line["json"]["part"]
    played = cassette(recorded(*asked, *told), ignore=["$.id"], carry=((path, path),))
    playbook = book(played).receive('{"id":"x","q":1}').until(0.5)
    assert playbook.texts() == ['{"id":"x","part":0}']
    playbook.receive('{"id":"y","q":0}').until(5)
    assert playbook.texts()[1:] == ['{"id":"y","part":0}', '{"id":"x","part":1}', '{"id":"y","part":1}']


def test_a_transform_holds_for_what_is_played_too() -> None:
    played = cassette(recorded(hear(0, "A"), say(0, "b"), say(5, "c")))
    relay = Relay(
        Upstream(lambda who: "ws://x.example"),
        into=Call(lambda message: message.text.upper(), 1),
        out=Call(lambda message: None if message.text == "c" else f"<{message.text}>", 1),
        cassette=played,
    )
    shared = Shared()
    playbook = Playbook(Plan(relay), shared=shared).open(Opened(played.claim("/ws", shared.played)))
    playbook.receive("a").until(1)
    sent = [send for send in playbook.rows if isinstance(send, Send)]
    assert [(send.payload, send.relay, send.step) for send in sent] == [(b"<b>", CHANGED, 1), (b"c", DROPPED, 2)]
    assert misses(playbook) == []


def test_speed_divides_the_times_and_max_leaves_none() -> None:
    fast = book(cassette(TALK, speed=10)).receive('{"op":"subscribe","id":2}').until(9)
    assert [at for at, _ in fast.sent] == [0, 5, 10, 110]
    at_once = book(cassette(TALK, speed=float("inf"))).receive('{"op":"subscribe","id":2}').until(0)
    assert [at for at, _ in at_once.sent] == [0, 0, 0, 0]


def test_a_miss_names_the_nearest_and_what_differs_and_closes() -> None:
    playbook = book(cassette(TALK)).receive('{"op":"subscribe","id":9,"x":1}')
    assert playbook.until(1).closed == 1011
    assert misses(playbook) == [
        'feed.jsonl: the client said <Message \'{"op":"subscribe","id":9,"x":1}\'>, which was not recorded; '
        'the nearest that was recorded is <Message \'{"op":"subscribe","id":2}\'> ($.id: recorded 2, got 9; '
        '$.x: recorded nothing, got 1); record_mode="new_episodes" records what is missing, "all" everything anew'
    ]


def test_what_was_played_is_played_again_only_where_that_is_allowed() -> None:
    login = '{"op":"login","id":1}'
    playbook = book(cassette(TALK)).receive(login, login).until(1)
    assert "once more: it was recorded once" in misses(playbook)[0]
    assert "allow_playback_repeats=True" in misses(playbook)[0]
    again = book(cassette(TALK, repeats=True)).receive(login, login, login).until(9)
    assert again.texts() == ["welcome", *['{"ok":true,"id":1}'] * 3]


def test_equal_messages_are_answered_in_the_order_of_the_recording() -> None:
    lines = recorded(*(line for n in range(3) for line in (hear(n, "ping"), say(n, f"pong {n}"))))
    playbook = book(cassette(lines)).receive("ping", "ping", "ping").until(1)
    assert playbook.texts() == ["pong 0", "pong 1", "pong 2"]
    rounds = book(cassette(lines, repeats=True)).receive(*["ping"] * 7).until(1)
    assert rounds.texts() == ["pong 0", "pong 1", "pong 2"] * 2 + ["pong 0"]


def test_json_may_have_more_than_was_recorded_and_what_is_ignored_does_not_count() -> None:
    asked = '{"op":"login","id":77,"more":true}'
    for options in ({}, {"ignore": ["$.id"]}, {"ignore": [], "how": "json"}):
        assert misses(book(cassette(TALK, **options)).receive(asked).until(1))
    playbook = book(cassette(TALK, ignore=["$.id"], how="json")).receive(asked).until(1)
    assert playbook.texts() == ["welcome", '{"ok":true,"id":1}']


def test_ids_of_the_client_take_the_place_of_the_recorded_ones_from_then_on() -> None:
    (path,) = paths(["$.id"], "test")
    played = cassette(TALK, ignore=["$.id"], carry=((path, path),))
    playbook = book(played).receive('{"op":"login","id":"a"}').until(1).receive('{"op":"subscribe","id":[7]}').until(9)
    assert [json.loads(text)["id"] for text in playbook.texts()[1:]] == ["a", [7], [7], [7]]
    other, reply = paths(["$.id", "$.tick"], "test")
    carried = book(
        cassette(recorded(hear(0, {"id": 1}), say(0, {"id": 1, "tick": 1})), ignore=["$.id"], carry=((other, reply),))
    )
    assert carried.receive('{"id":5}').texts() == ['{"id":1,"tick":5}']


def test_a_key_function_says_what_is_the_same() -> None:
    played = cassette(TALK, match=lambda message: message.json["op"])
    playbook = book(played).receive('{"op":"login","whatever":1}').until(1)
    assert playbook.texts() == ["welcome", '{"ok":true,"id":1}']
    playbook.receive("no json").until(2)
    assert playbook.closed == 1011
    assert isinstance(of(playbook.commands, Failed)[0].error, ValueError)  # as the author's function raised it


def test_in_order_the_nth_message_is_the_nth_whatever_it_says() -> None:
    playbook = book(cassette(TALK, match="order")).receive("x", "y").until(9)
    assert len(playbook.sent) == 5
    playbook.receive("z")
    assert "it was recorded with 2 messages" in misses(playbook)[0]
    assert len(book(cassette(TALK, match="order", repeats=True)).receive(*"xyz").until(9).sent) == 6


def test_times_are_moved_from_then_to_now() -> None:
    at = 1_705_314_600  # OPENED
    lines = recorded(
        say(500, {"t": at + 0.5}), hear(1000, "x"), say(1200, {"t": at + 1.1, "when": "2024-01-15T10:30:01Z"})
    )
    played = cassette(lines, rebase=paths(["$.t", "$.when"], "rebase"))
    playbook = book(played).until(100).receive("x").until(200)
    first, second = map(json.loads, playbook.texts())
    assert first["t"] == 0.5 or abs(first["t"] - 0.5) < 1e-6
    assert second["t"] == pytest.approx(100.1)
    assert second["when"] == "1970-01-01T00:01:40Z"


def test_a_time_that_the_client_said_is_its_own() -> None:
    at = 1_705_314_600
    (path,) = paths(["$.t"], "test")
    lines = recorded(hear(0, {"t": at}), say(0, {"t": at}), say(0, {"t": at + 1}))
    played = cassette(lines, ignore=["$.t"], carry=((path, path),), rebase=(path,))
    assert book(played).receive('{"t":2000000000}').texts() == ['{"t":2000000000}', '{"t":1}']


def test_ten_thousand_exchanges_are_found_in_a_moment() -> None:
    lines = recorded(*(line for n in range(10_000) for line in (hear(n, {"id": n}), say(n, f"{n}"))))
    playbook = book(cassette(lines, ignore=["$.id"], speed=float("inf")))
    playbook.receive(*(json.dumps({"id": f"x{n}"}) for n in range(10_000))).until(1)
    assert playbook.texts() == [f"{n}" for n in range(10_000)]


@pytest.mark.parametrize("opened", ["", "2010-01-01T00:00:00Z"])
def test_times_of_another_day_are_counted_from_the_first(opened: str) -> None:
    lines = recorded(say(0, {"t": 1_705_314_600_000}), say(2000, {"t": 1_705_314_607_000}))
    lines[0]["opened"] = opened
    playbook = book(cassette(lines, rebase=paths(["$.t"], "rebase"))).until(9)
    assert [json.loads(text)["t"] for text in playbook.texts()] == [0, 7000]


def test_what_was_hidden_is_as_anything_and_a_pattern_is_a_pattern() -> None:
    lines = recorded(hear(0, {"token": "***", "n": 1}, "any"), say(0, "in"), hear(1, "^a+$", "regex"), say(1, "as"))
    assert book(cassette(lines)).receive('{"token":"s3cret","n":1}', "aaa").until(1).texts() == ["in", "as"]
    assert misses(book(cassette(lines)).receive('{"token":"s3cret","n":2}').until(1))


def test_each_connection_has_its_own_tape_and_may_take_from_the_others() -> None:
    lines = [
        *recorded(say(0, "one"), hear(1, "x"), say(1, "x1")),
        *recorded(say(0, "two"), hear(1, "x"), say(1, "x2"), hear(2, "y"), say(2, "y2"), connection=2),
        *recorded(say(0, "elsewhere"), connection=3, path="/other"),
    ]
    played, shared = cassette(lines), Shared()
    first, second = book(played, shared=shared), book(played, shared=shared)
    assert [first.texts(), second.texts()] == [["one"], ["two"]]
    first.receive("y").until(1)
    second.receive("x").until(1)
    assert [first.texts()[1:], second.texts()[1:]] == [["y2"], ["x2"]]
    assert book(played, path="/other").texts() == ["elsewhere"]
    third = book(played, shared=shared)
    assert misses(third) == [
        "feed.jsonl: connection 3 at /ws was not recorded; it has 2 there; allow_playback_repeats=True plays what was "
        'played once more, record_mode="new_episodes" records what is missing, "all" everything anew'
    ]
    assert third.closed == 1011
    assert played.claim("/nowhere", Shared().played) is None


def test_what_is_new_goes_to_the_upstream_which_hears_nothing_else() -> None:
    playbook = book(cassette(TALK, live=True)).receive('{"op":"login","id":1}', "new")
    assert len(of(playbook.commands, Dial)) == 1
    assert [each.text for each in of(playbook.commands, Dial)[0].greeted] == ["welcome"]
    assert of(playbook.commands, Forward) == []  # it is not there yet
    playbook.tell(Joined()).tell(Spoke([(TEXT, [b"live"])])).receive("newer").until(1)
    assert playbook.texts() == ["welcome", "live", '{"ok":true,"id":1}']
    assert [each.runs for each in of(playbook.commands, Forward)] == [[(TEXT, [b"new"])], [(TEXT, [b"newer"])]]
    came = [(one.message.payload.decode(), one.message.relay) for one in of(playbook.commands, Came)]
    assert came == [('{"op":"login","id":1}', REPLAYED), ("new", FORWARDED), ("newer", FORWARDED)]
    assert len(of(playbook.commands, Dial)) == 1
    assert misses(playbook) == []


def test_a_close_and_an_abort_of_the_server_s_are_played() -> None:
    closed = book(
        cassette(recorded(hear(0, "x"), say(1, "bye"), {"ts": 1, "close": True, "code": 4001, "reason": "r"}))
    )
    assert closed.receive("x").until(1).closed == 4001
    assert closed.texts() == ["bye"]
    aborted = book(cassette(recorded(hear(0, "x"), {"ts": 1, "error": True}))).receive("x").until(1)
    assert [type(one).__name__ for one in aborted.commands if type(one).__name__ == "Drop"] == ["Drop"]


def test_a_fallback_is_played_where_the_upstream_is_down() -> None:
    script = Program.of(parse('{"text": "a"}\n{"ts": 5, "text": "b"}', "x", expand=False).steps)
    plan = Plan(Relay(Upstream(lambda who: "ws://x.example"), fallback=Replay(script)))
    playbook = Playbook(plan).open(Opened(down=True)).until(1)
    assert playbook.texts() == ["a", "b"]
    assert of(playbook.commands, Dial) == []


@pytest.mark.parametrize(
    ("line", "problem"),
    [
        ({"text": "a", "waitFor": "b"}, '"waitFor": a cassette plays messages alone'),
        ({"text": "a", "next_step": "b", "step_id": "b"}, '"next_step"'),
        ({"text": "a", "every_ms": 5}, '"every_ms"'),
        ({"text": "{{uuid}}", "template": True}, "is a template"),
    ],
)
def test_what_is_more_than_messages_is_told_with_its_line(line: dict[str, Any], problem: str) -> None:
    with pytest.raises(ScriptError) as raised:
        cassette(recorded(line))
    assert "feed.jsonl:3: " in str(raised.value)
    assert problem in str(raised.value)


VALUES = st.sampled_from(["a", "b", {"n": 1}, {"n": 2, "m": [1, {"x": None}]}, [1], 7, ""])
LINES = st.lists(st.tuples(st.booleans(), st.floats(0, 100), VALUES), min_size=1, max_size=12).map(
    lambda lines: [(hear if client else say)(ts, value) for client, ts, value in sorted(lines, key=lambda one: one[1])]
)
SAYS = st.lists(st.tuples(VALUES, st.floats(0, 1)), max_size=12)


@settings(deadline=None)
@given(LINES, SAYS, st.booleans(), st.sampled_from(["compare", "order"]))
def test_a_cassette_answers_whatever_a_client_says(lines: Any, says: Any, repeats: bool, match: str) -> None:
    playbook = book(cassette(recorded(*lines), repeats=repeats, match=match))
    for value, pause in says:
        playbook.receive(value if isinstance(value, str) else json.dumps(value)).until(playbook.now + pause)
    playbook.until(playbook.now + 1)
    assert len(misses(playbook)) <= 1
    if misses(playbook):
        assert playbook.closed == 1011
    if not repeats:
        said = [line for line in lines if line.get("dir") != "in"]
        assert len(playbook.sent) <= len(said)


@given(LINES)
def test_the_same_client_hears_the_same_again(lines: Any) -> None:
    playbook = book(cassette(recorded(*lines), speed=float("inf")))
    said: list[str] = []
    for line in lines:
        message = line.get("text", json.dumps(line.get("json"), separators=(",", ":")))
        if line.get("dir") == "in":
            playbook.receive(message)
        else:
            said.append(message)
    assert playbook.until(1).texts() == said
    assert misses(playbook) == []
