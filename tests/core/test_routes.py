"""Which mock takes a path, and what its parameters are."""

from __future__ import annotations

from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mockforge_nb.core.plan import Echo, Plan, Silent
from mockforge_nb.core.rooms import Rooms
from mockforge_nb.core.routes import PathPattern, Routes
from mockforge_nb.errors import OptionError


def routes(*paths: str) -> Routes:
    return Routes([(PathPattern.parse(path, "test"), Plan(Echo())) for path in paths])


def found(routes: Routes, path: str) -> tuple[str, dict[str, str]] | None:
    taken = routes.find(path)
    return None if taken is None else (taken[0].path.text, taken[1])


def test_a_literal_goes_before_a_parameter_and_the_rest_of_a_path_comes_last() -> None:
    all_ = routes("/{any:path}", "/prices/{symbol}", "/prices/all", "/{kind}/all")
    assert found(all_, "/prices/all") == ("/prices/all", {})
    assert found(all_, "/prices/AAPL") == ("/prices/{symbol}", {"symbol": "AAPL"})
    assert found(all_, "/news/all") == ("/{kind}/all", {"kind": "news"})
    assert found(all_, "/a/b/c") == ("/{any:path}", {"any": "a/b/c"})


@pytest.mark.parametrize("path", ["/prices", "/prices/", "/prices/a/b", "/Prices/a", "/", "//", "/prices//"])
def test_what_is_no_such_path_is_not_found(path: str) -> None:
    assert found(routes("/prices/{symbol}"), path) is None


def test_parameters_and_literals_are_decoded() -> None:
    assert found(routes("/prices/{symbol}"), "/prices/BTC%2FUSD%20x") == ("/prices/{symbol}", {"symbol": "BTC/USD x"})
    assert found(routes("/größe/{n}"), "/gr%C3%B6%C3%9Fe/7") == ("/größe/{n}", {"n": "7"})


@pytest.mark.parametrize(
    ("path", "problem"),
    [
        ("prices", "begins with '/'"),
        (7, "is no path"),
        ("/a?b=1", "is no path"),
        ("/a b", "is no path"),
        ("/x{y}", "a parameter is a whole segment"),
        ("/{a}/{a}", "two parameters 'a'"),
        ("/{a:path}/b", "only the last may be"),
        ("/{1a}", "a parameter is a whole segment"),
        ("/{a", "a parameter is a whole segment"),
    ],
)
def test_what_is_no_path_says_so(path: object, problem: str) -> None:
    with pytest.raises(OptionError, match="route") as raised:
        PathPattern.parse(path, "route()")
    assert problem in str(raised.value)


def test_two_mocks_on_the_same_paths_are_an_error_that_names_both() -> None:
    for first, second in [("/a", "/a"), ("/{x}", "/{y}"), ("/a/{x:path}", "/a/{rest:path}")]:
        with pytest.raises(OptionError) as raised:
            routes(first, second)
        assert repr(first) in str(raised.value)
        assert repr(second) in str(raised.value)
    assert len(list(routes("/{x}", "/{x:path}", "/a"))) == 3


def test_a_path_that_is_missing_names_the_nearest() -> None:
    assert "/prices/{symbol}" in routes("/prices/{symbol}").missing("/price")
    assert "did you mean '/prices'?" in routes("/prices", "/news").missing("/price")


def test_all_routes_have_the_server_s_state_and_each_its_own_counts() -> None:
    state = {"n": 1}
    first, second = Routes([(PathPattern.parse(p, "test"), Plan(Silent())) for p in ("/a", "/b")], state)
    assert first.shared.state is second.shared.state is state
    assert first.shared.taken is not second.shared.taken


SEGMENTS = st.text(min_size=1, max_size=5).filter(lambda text: max(text) < "\ud800" or max(text) > "\udfff")


@given(st.lists(SEGMENTS, min_size=1, max_size=4))
def test_any_value_comes_back_from_its_place_in_a_path(values: list[str]) -> None:
    names = [f"p{index}" for index in range(len(values))]
    pattern = PathPattern.parse("/x" + "".join(f"/{{{name}}}" for name in names), "test")
    path = "/x" + "".join("/" + quote(value, safe="") for value in values)
    assert pattern.match(path) == dict(zip(names, values, strict=True))


@given(st.text(max_size=20))
def test_any_request_s_path_is_found_or_not_and_nothing_else(path: str) -> None:
    taken = found(routes("/{a}", "/x/{rest:path}", "/x"), "/" + path)
    assert taken is None or all(taken[1].values())


# Rooms


def test_rooms_are_there_while_somebody_is_in_them() -> None:
    rooms: Rooms[str] = Rooms()
    rooms.join("ann", "tea")
    rooms.join("bob", "tea")
    rooms.join("ann", "tea")
    rooms.join("ann", "cake")
    assert (rooms.members("tea"), rooms.of("ann"), rooms.names()) == (["ann", "bob"], ["tea", "cake"], ["tea", "cake"])
    assert (rooms.leave("ann", "tea"), rooms.leave("ann", "tea"), rooms.leave("ann", "nowhere")) == (True, False, False)
    rooms.gone("bob")
    assert (rooms.members("tea"), rooms.names()) == ([], ["cake"])
    rooms.gone("ann")
    rooms.gone("nobody")
    assert (rooms.names(), rooms.of("ann")) == ([], [])


@given(st.lists(st.tuples(st.sampled_from(["join", "leave", "gone"]), st.integers(0, 3), st.sampled_from("xyz"))))
def test_rooms_are_sets_of_members_by_name(steps: list[tuple[str, int, str]]) -> None:
    rooms: Rooms[int] = Rooms()
    model: set[tuple[int, str]] = set()
    for what, member, room in steps:
        if what == "join":
            rooms.join(member, room)
            model.add((member, room))
        elif what == "leave":
            assert rooms.leave(member, room) is ((member, room) in model)
            model.discard((member, room))
        else:
            rooms.gone(member)
            model = {pair for pair in model if pair[0] != member}
    assert {(member, room) for room in rooms.names() for member in rooms.members(room)} == model
    assert {(member, room) for member in range(4) for room in rooms.of(member)} == model
