"""The network's words: how they add up, show themselves and travel; live on a server; presets; sweeps."""

from __future__ import annotations

import pickle
from typing import Any

import matplotlib as mpl
import pandas as pd
import pytest
from websockets.asyncio.client import connect as connect_async
from websockets.sync.client import connect

from mockforge_nb import LatencyProfile, Mock, MockServer, OptionError
from mockforge_nb.core.conditions import NONE, Conditions
from mockforge_nb.core.routes import PathPattern
from mockforge_nb.pytest_plugin import WsMock

PATIENCE = 20
WS = PathPattern.parse("/ws", "test")


def conditions(mock: Mock) -> Conditions:
    return mock._plans(WS)[0][1].conditions


def upper(text: str) -> str:
    return text.upper()


# How they add up


def test_faults_accumulate_and_everything_else_takes_its_place() -> None:
    mock = Mock().latency("slow").latency(5).bandwidth("3g").bandwidth(1000).fault("drop").fault("drop", only="x")
    mock = mock.connect_delay(3).connect_delay([1, 0]).phases([(1, "satellite")]).phases([(2, Mock())])
    made = conditions(mock)
    assert [each.delays for each in made.delays] == [LatencyProfile(base_ms=5)]
    assert [each.rate for each in made.bandwidths] == [1000]
    assert [each.name for each in made.faults] == ["drop", "drop"]
    assert (made.connect_delay, [each.seconds for each in made.phases]) == ((1, 0), [2])


def test_latency_has_a_place_for_each_direction_and_pattern() -> None:
    mock = (
        Mock().latency(1).latency(2, direction="in").latency(3, only="^a").latency(4, only="^b").latency(5, only="^a")
    )
    assert [each.delays.describe() for each in conditions(mock).delays] == ["1 ms", "2 ms", "4 ms", "5 ms"]
    mock = mock.latency(None).latency(None, only="^b").bandwidth(None)
    assert [each.delays.describe() for each in conditions(mock).delays] == ["2 ms", "5 ms"]


def test_a_mock_without_conditions_costs_nothing() -> None:
    assert conditions(Mock()) == NONE
    assert conditions(Mock().latency("slow").latency(None)) == NONE
    assert not conditions(Mock().reject()).crossing
    assert Mock().connect_delay(3).connect_delay(None) == Mock().latency(5).latency(None) == Mock()


def test_a_mock_shows_its_network_as_it_was_said() -> None:
    mock = (
        Mock()
        .latency("slow")
        .latency(LatencyProfile(base_ms=3, tag_overrides={"x": 9}), direction="in", only="a")
        .bandwidth("3g", burst="10kB")
        .fault("drop", probability=0.1, after="5s")
        .fault("close", code=1012)
        .reject(503, times=2)
        .connect_delay([6, 3, 0])
        .preset("train")
    )
    assert repr(mock) == (
        "Mock().latency(300-800 ms).latency(3 ms, x 9 ms, direction='in', only='a').bandwidth('3g', burst='10kB')"
        ".fault('drop', probability=0.1, after='5s').fault('close', code=1012).reject(503, times=2)"
        ".connect_delay([6, 3, 0]).preset('train')"
    )


def test_mocks_with_equal_networks_are_equal_and_travel() -> None:
    def make(**options: Any) -> Mock:
        return Mock().echo().latency((1, 2), only="x").fault("corrupt", how=upper, **options).preset("satellite")

    assert make() == make()
    assert make() != make(times=2)
    again = pickle.loads(pickle.dumps(make()))
    assert again == make()
    assert again.simulate([(0, "x")]).df.equals(make().simulate([(0, "x")]).df)


def test_routed_mocks_have_the_network_of_the_one_above_them_and_their_own() -> None:
    mock = (
        Mock().latency(100).fault("drop", only="lost").route("/a", Mock().echo().latency(5)).route("/b", Mock().echo())
    )
    for path, delay in (("/a", 5), ("/b", 100)):
        rows = mock.simulate([(0, "lost"), (0, "kept")], path=path).df.query("direction == 'out'")
        assert rows.fault.fillna("").tolist() == ["drop", ""]
        assert rows.delay_ms.iloc[1] == delay


@pytest.mark.parametrize("name", ["train", "flaky_wifi", "satellite", "deploy"])
def test_presets_do_something_to_a_feed_of_two_minutes(name: Any) -> None:
    mock = Mock().seed(1).replay([{"n": n} for n in range(1200)], rate=10).preset(name)
    rows = mock.simulate(until="5min", connections=5).df
    assert rows.equals(mock.simulate(until="5min", connections=5).df)
    if name in ("train", "satellite"):
        assert rows.delay_ms.notna().any()
    if name == "deploy":
        assert set(rows.close_code.dropna()) == {1012}
    elif name != "satellite":
        assert rows.fault.notna().any()


def test_a_preset_s_handshakes_let_a_client_back_in_after_a_while(ws_mock: WsMock) -> None:
    server = ws_mock(Mock().echo().preset("deploy").connect_delay(0))
    outcomes = []
    for _ in range(3):
        try:
            with connect(server.url, proxy=None):
                outcomes.append("in")
        except Exception as error:  # noqa: BLE001  # whatever a client makes of it
            outcomes.append(str(error)[-3:])
    assert outcomes == ["in", "503", "in"]


# On a server that runs


def test_what_is_said_to_a_server_holds_on_all_paths_and_over_an_update(ws_mock: WsMock) -> None:
    server = ws_mock(Mock().echo().route("/b", Mock().echo()))
    drop = server.fault("drop", only="lost")
    server.update(Mock().echo("> ").route("/b", Mock().echo("b ")))
    for path, prefix in (("/ws", "> "), ("/b", "b ")):
        with server.client(path) as client:
            client.send("lost")
            client.send("kept")
            assert client.recv(PATIENCE) == f"{prefix}kept"
    assert repr(drop) == "<fault('drop', only='lost'), holds>"
    assert server.live == ["fault('drop', only='lost')"]
    assert "fault(&#x27;drop&#x27;, only=&#x27;lost&#x27;)" in server._repr_html_()
    drop.end()
    assert server.live == []
    with server.client() as client:
        client.send("lost")
        assert client.recv(PATIENCE) == "> lost"


def test_a_running_script_goes_on_under_new_conditions(ws_mock: WsMock) -> None:
    server = ws_mock(Mock().replay([{"n": n} for n in range(200)], rate=100, then="close"))
    with server.client() as client:
        client.recv(PATIENCE)
        with server.bandwidth("1MB"), server.latency((1, 2)):
            for _ in range(20):
                client.recv(PATIENCE)
        got = len(client.drain())
    assert got == 179
    assert server.traffic.df.delay_ms.between(1, 3).any()
    assert server.traffic.df.step.dropna().is_monotonic_increasing


def test_a_wrong_word_changes_nothing_on_a_server(ws_mock: WsMock) -> None:
    server = ws_mock(Mock().echo())
    with pytest.raises(OptionError, match="did you mean 'drop'"):
        server.fault("dropp")
    with server.client() as client:
        client.send("a")
        assert client.recv(PATIENCE) == "a"


def test_a_rejection_while_it_runs_is_for_new_clients(ws_mock: WsMock) -> None:
    server = ws_mock(Mock().echo())
    with server.client() as client:
        with server.reject(503):
            with pytest.raises(Exception, match="503"):
                connect(server.url, proxy=None)
            client.send("still here")
            assert client.recv(PATIENCE) == "still here"
        with server.client() as other:
            other.send("a")
            assert other.recv(PATIENCE) == "a"


# Sweeps


def ask(url: str) -> str:
    with connect(url, proxy=None, compression=None) as client:
        client.send("a")
        return str(client.recv(timeout=0.3))


async def ask_async(url: str, server: MockServer) -> int:
    async with connect_async(url, proxy=None, compression=None) as client:
        await client.send("a")
        await client.recv()
    return len(server.connections)


def test_a_sweep_is_a_tidy_frame_that_draws_itself() -> None:
    swept = Mock().echo().seed(1).sweep(ask, latency=[0, 1], drop=[0, 1], repeat=2, progress=False)
    assert list(swept.columns) == [
        "latency", "drop", "repeat", "result", "error", "seconds", "messages_in", "messages_out", "struck", "errors",
    ]  # fmt: skip
    assert swept["drop"].tolist() == [0, 0, 1, 1] * 2
    assert (
        swept["error"].map(lambda error: type(error).__name__).tolist()
        == ["NoneType"] * 2 + ["TimeoutError"] * 2 + ["NoneType"] * 2 + ["TimeoutError"] * 2
    )
    assert swept["result"].fillna("-").tolist() == ["a", "a", "-", "-"] * 2
    assert swept["struck"].tolist() == [0, 0, 1, 1] * 2
    assert isinstance(swept.query("drop == 0"), pd.DataFrame)
    mpl.use("Agg")
    axes = swept.plot()
    assert (axes.get_xlabel(), axes.get_ylabel()) == ("latency", "drop")
    assert [text.get_text() for text in axes.texts] == ["0", "0", "1", "1"]
    assert swept.plot("seconds", x="drop").get_ylabel() == "latency"
    with pytest.raises(OptionError, match="did you mean 'seconds'"):
        swept.plot("second")


def test_a_sweep_takes_coroutines_a_server_and_arguments_of_faults(capfd: pytest.CaptureFixture[str]) -> None:
    swept = Mock().echo().sweep(ask_async, close=[{"probability": 0}, {"code": 1012}])
    assert swept["result"].iloc[0] == 1
    assert "1012" in str(swept["error"].iloc[1])
    assert "2/2" in capfd.readouterr().err


def test_a_client_that_never_ends_is_an_error_of_its_run() -> None:
    def forever(url: str) -> None:
        with connect(url, proxy=None) as client:
            client.recv()

    (row,) = Mock().echo().sweep(forever, latency=[0], timeout=0.2, progress=False).to_dict("records")
    assert isinstance(row["error"], TimeoutError)


@pytest.mark.parametrize(
    ("options", "problem"),
    [
        ({}, "has no parameter"),
        ({"drp": [0]}, "did you mean 'drop'?"),
        ({"drop": 0.1}, "is no list of values"),
        ({"drop": []}, "is empty"),
        ({"drop": [0, 7]}, "is no number from 0 to 1"),
        ({"latency": ["slwo"]}, "is no latency"),
        ({"drop": [0], "repeat": 0}, "sweep(repeat=)"),
    ],
)
def test_what_is_wrong_with_a_sweep_is_said_before_it_runs(options: dict[str, Any], problem: str) -> None:
    def never(url: str) -> None:
        pytest.fail("it was run")

    with pytest.raises(OptionError) as raised:
        Mock().echo().sweep(never, **options)
    assert problem in str(raised.value)
