"""Logs: the lines of a request share its trace, come in order, and end with how long it took."""

from __future__ import annotations

import itertools
from collections import Counter, defaultdict
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mockforge_nb.errors import OptionError
from mockforge_nb.generators.feeds import Logs
from mockforge_nb.generators.feeds.logs import SERVICES

FIELDS = {"type", "at", "level", "service", "host", "logger", "msg", "trace_id"}
Trace = list[tuple[float, dict[str, Any]]]


def check(feed: Logs, seed: int, count: int) -> dict[str, Trace]:
    """Return the requests that are complete, of which each is one that may be."""
    traces: defaultdict[str, Trace] = defaultdict(list)
    for ms, line in itertools.islice(feed.events(seed), count):
        assert line.keys() >= FIELDS
        assert line["level"] in {"DEBUG", "INFO", "WARNING", "ERROR"}
        assert feed.debug or line["level"] != "DEBUG"
        assert line["service"] in {"gateway", *feed.services}
        assert line["host"].startswith(line["service"] + "-")
        assert not set("{}") & set(line["msg"].replace("{id}", ""))
        if line["trace_id"] is not None:
            traces[line["trace_id"]].append((ms, line))
    done = {}
    for name, lines in traces.items():
        (began, opening), (ended, last) = lines[0], lines[-1]
        assert opening["service"] == "gateway"
        assert "status" not in opening
        assert all("status" not in line for _, line in lines[:-1])
        hosts = {(line["service"], line["host"]) for _, line in lines}
        assert len(dict(hosts)) == len(hosts)  # a request stays where it is
        if "status" not in last:
            continue  # it was not over yet
        done[name] = lines
        assert last["msg"] == f"{opening['msg']} {last['status']} in {last['duration_ms']} ms"
        assert last["duration_ms"] == pytest.approx(ended - began, abs=0.1)
        wanted = "ERROR" if last["status"] >= 500 else "WARNING" if last["status"] >= 400 else "INFO"
        assert last["level"] == wanted
        stacks = [line["stack"] for _, line in lines if "stack" in line]
        assert len(stacks) == (last["status"] >= 500)
        for stack in stacks:
            assert stack.startswith("Traceback (most recent call last):\n")
        queries = [line["duration_ms"] for _, line in lines[:-1] if "duration_ms" in line]
        assert sum(queries) <= last["duration_ms"] + 0.1
    return done


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_a_long_run_of_logs(seed: int) -> None:
    assert len(check(Logs(), seed, 20_000)) > 3000


@settings(max_examples=30)
@given(
    seed=st.integers(),
    services=st.lists(st.sampled_from(SERVICES), min_size=1, unique=True),
    hosts=st.integers(1, 5),
    rate=st.floats(0.001, 1e4),
    errors=st.floats(0, 1),
    incidents=st.one_of(st.just(0.0), st.floats(1e-3, 1e6)),
    debug=st.booleans(),
)
def test_any_options_make_logs(
    seed: int, services: list[str], hosts: int, rate: float, errors: float, incidents: float, debug: bool
) -> None:
    options = {"services": services, "hosts": hosts, "rate": rate, "errors": errors, "incidents": incidents}
    check(Logs(**options, debug=debug), seed, 300)  # type: ignore[arg-type]  # each is of its kind


def test_a_request_crosses_services_in_order() -> None:
    checkout = [
        [line["service"] for _, line in lines]
        for lines in check(Logs(errors=0, incidents=0), 1, 20_000).values()
        if lines[0][1]["msg"] == "POST /api/orders" and lines[-1][1]["status"] == 201 and len(lines) == 5
    ]
    assert len(checkout) > 50
    assert {tuple(each) for each in checkout} == {("gateway", "orders", "orders", "payments", "gateway")}


def test_requests_overlap() -> None:
    traces = [line["trace_id"] for _, line in itertools.islice(Logs(rate=200).events(1), 2000)]
    runs = sum(1 for _ in itertools.groupby(traces))
    assert runs > 1.5 * len(set(traces))


def test_durations_are_lognormal() -> None:
    took = [
        lines[-1][1]["duration_ms"]
        for lines in check(Logs(incidents=0, errors=0, services=["users"]), 1, 20_000).values()
        if lines[0][1]["msg"].startswith("GET /api/users/") and all("attempt" not in line for _, line in lines)
    ]
    logs = np.log(took)
    assert np.exp(np.median(logs)) == pytest.approx(14, rel=0.05)
    assert logs.std() == pytest.approx(0.55, rel=0.1)
    assert abs(((logs - logs.mean()) ** 3).mean() / logs.std() ** 3) < 0.15


def test_the_share_of_errors_is_as_told_while_all_is_well() -> None:
    ends = [lines[-1][1]["status"] for lines in check(Logs(errors=0.2, incidents=0), 1, 20_000).values()]
    assert sum(status >= 500 for status in ends) / len(ends) == pytest.approx(0.2, abs=0.02)
    calm = [lines[-1][1]["status"] for lines in check(Logs(errors=0, incidents=0), 1, 20_000).values()]
    assert {status for status in calm if status < 500} == set(calm) == {200, 201, 400, 401, 404}


def test_incidents_bring_bursts_of_errors_and_slow_times() -> None:
    minutes: Counter[int] = Counter()
    slow: defaultdict[int, list[float]] = defaultdict(list)
    for ms, line in itertools.islice(Logs(rate=50, incidents=120).events(1), 60_000):
        if "status" in line:
            minutes[int(ms / 10_000)] += line["status"] >= 500
            slow[int(ms / 10_000)].append(line["duration_ms"])
    counts = np.array([minutes[each] for each in range(max(minutes))])
    assert counts.max() > 10
    assert np.median(counts) <= 3
    medians = np.array([np.median(each) for each in slow.values()])
    assert medians.max() > 1.5 * np.median(medians)


def test_retries_count_up_and_take_as_long_as_they_say() -> None:
    seen = 0
    for lines in check(Logs(errors=0.2), 1, 20_000).values():
        retries = [(ms, line) for ms, line in lines if "attempt" in line]
        assert [line["attempt"] for _, line in retries] == list(range(1, len(retries) + 1))
        for ms, line in retries:
            after = next(later for later, other in lines if later > ms)
            assert after - ms >= int(line["msg"].split()[-2]) - 0.01
        seen += len(retries)
    assert seen > 100


def test_hosts_are_the_same_few() -> None:
    hosts = {line["host"] for _, line in itertools.islice(Logs(hosts=3).events(1), 5000)}
    assert len(hosts) == 3 * 7


@pytest.mark.parametrize(
    ("options", "problem"),
    [
        ({"services": ["order"]}, r"services=\)\[0\]: 'order' .*did you mean 'orders'\? \(valid: "),
        ({"hosts": 0}, r"hosts=\): 0 is out of bounds"),
        ({"errors": 1.1}, r"errors=\): 1.1 is out of bounds; valid: a number from 0 to 1"),
        ({"incidents": -1}, r"incidents=\): -1 is out of bounds"),
        ({"debug": "INFO"}, r"debug=\): 'INFO' is no switch"),
    ],
)
def test_wrong_options(options: Any, problem: str) -> None:
    with pytest.raises(OptionError, match=r"logs\(" + problem):
        Logs(**options)
