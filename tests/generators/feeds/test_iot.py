"""Sensors: readings that follow the day, devices that say when they are gone, alerts that are cleared."""

from __future__ import annotations

import itertools
from collections import defaultdict
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mockforge_nb.errors import OptionError
from mockforge_nb.generators.feeds import Iot
from mockforge_nb.generators.feeds.iot import METRICS


def check(feed: Iot, seed: int, count: int) -> list[tuple[float, dict[str, Any]]]:
    """Return events, of which each is one that may follow those before it."""
    events = list(itertools.islice(feed.events(seed), count))
    online: dict[str, bool] = {}
    places: dict[str, str] = {}
    raised: dict[str, tuple[str, str, float]] = {}
    read: dict[tuple[str, str], Any] = {}
    seen: set[str] = set()
    for ms, message in events:
        device = message["device"]
        if message["type"] == "status":
            assert online.get(device, False) == (message["status"] == "offline")
            online[device] = message["status"] == "online"
            assert places.setdefault(device, message["place"]) == message["place"]
            continue
        assert online[device]
        metric = METRICS[message["metric"]]
        assert message["metric"] in feed.metrics
        if message["type"] == "reading":
            assert message["unit"] == metric.unit
            assert message["value"] == round(message["value"], metric.digits)
            assert message["battery"] is None or 0 < message["battery"] <= 100
            assert -110 < message["rssi"] < -20
            read[device, message["metric"]] = message["value"]
            continue
        name = message["alert_id"]
        assert message["value"] == read[device, message["metric"]]
        if message["state"] == "raised":
            assert name not in seen
            assert message["value"] > message["threshold"]
            assert (device, message["metric"]) not in {known[:2] for known in raised.values()}
            seen.add(name)
            raised[name] = device, message["metric"], ms
        else:
            assert message["value"] < message["threshold"]
            began = raised.pop(name)
            assert began[:2] == (device, message["metric"])
            assert message["duration_s"] == pytest.approx((ms - began[2]) / 1000, abs=0.002)
    assert len(places) <= feed.devices
    return events


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_a_long_run_of_sensors(seed: int) -> None:
    check(Iot(day=1800), seed, 20_000)


@settings(max_examples=30)
@given(
    seed=st.integers(),
    devices=st.integers(1, 40),
    rate=st.floats(0.001, 1e4),
    metrics=st.lists(st.sampled_from(list(METRICS)), min_size=1, unique=True),
    start_hour=st.floats(0, 24),
    day=st.floats(1, 1e6),
)
def test_any_options_make_sensors(
    seed: int, devices: int, rate: float, metrics: list[str], start_hour: float, day: float
) -> None:
    check(Iot(devices=devices, rate=rate, metrics=metrics, start_hour=start_hour, day=day), seed, 300)


Series = dict[str, list[tuple[float, dict[str, Any]]]]


def series(feed: Iot, metric: str, count: int = 40_000) -> Series:
    """Return each device's readings of a metric."""
    found: defaultdict[str, list[tuple[float, dict[str, Any]]]] = defaultdict(list)
    for ms, message in check(feed, 1, count):
        if message["type"] == "reading" and message["metric"] == metric:
            found[message["device"]].append((ms / 1000, message))
    return found


def values(readings: list[tuple[float, dict[str, Any]]]) -> np.ndarray[Any, Any]:
    return np.array([message["value"] for _, message in readings])


def test_the_afternoon_is_warmest_and_humidity_goes_against_it() -> None:
    feed = Iot(day=3600)
    for name, readings in series(feed, "temperature").items():
        hours = np.array([(8 + at / 150) % 24 for at, _ in readings])
        warmth = values(readings)
        afternoon, night = warmth[abs(hours - 15) < 2], warmth[abs(hours - 3) < 2]
        assert np.median(afternoon) > np.median(night) + 1, name
    warm, moist = series(feed, "temperature"), series(feed, "humidity")
    for name, readings in warm.items():
        other = {at: message["value"] for at, message in moist[name]}
        pairs = np.array([(message["value"], other[at]) for at, message in readings if at in other])
        ranks = pairs.argsort(axis=0).argsort(axis=0)
        assert np.corrcoef(ranks[:, 0], ranks[:, 1])[0, 1] < -0.5, name


def test_the_start_hour_is_where_the_day_begins() -> None:
    night, noon = (
        np.median(np.concatenate([values(r) for r in series(Iot(start_hour=h), "co2", 2000).values()]))
        for h in (2.0, 10.5)
    )
    assert night < 500 < 700 < noon


def test_a_device_reports_at_its_interval_with_jitter() -> None:
    for readings in series(Iot(), "temperature").values():
        gaps = np.diff([at for at, _ in readings])
        usual = np.median(gaps)
        regular = gaps[gaps < 1.5 * usual]
        assert len(regular) > 0.97 * len(gaps)
        assert 0.005 < regular.std() / usual < 0.05
        assert gaps.max() > 3 * usual  # an outage leaves a gap


def test_a_battery_drains_slowly_and_is_replaced() -> None:
    first, *_ = series(Iot(devices=2, metrics=["temperature"]), "temperature", 100_000).values()
    charge = [message["battery"] for _, message in first]
    rises = [(a, b) for a, b in itertools.pairwise(charge) if b > a]
    assert 1 <= len(rises) <= 4
    assert all(a < 4 and b > 99 for a, b in rises)
    assert max(a - b for a, b in itertools.pairwise(charge)) < 0.2


def test_a_sensor_sticks_or_spikes_at_times() -> None:
    warmth = [values(readings) for readings in series(Iot(day=3600), "temperature").values()]
    steps = np.concatenate([np.diff(each) for each in warmth])
    assert 1 < (abs(steps) > 10).sum() < 0.005 * len(steps)
    stuck = [
        len(list(run))
        for _, run in itertools.groupby(np.concatenate([values(r) for r in series(Iot(day=3600), "co2").values()]))
    ]
    assert max(stuck) > 8


def test_alerts_are_raised_and_cleared() -> None:
    states = [m["state"] for _, m in check(Iot(day=1800), 1, 20_000) if m["type"] == "alert"]
    assert states.count("raised") > 20
    assert 0 <= states.count("raised") - states.count("cleared") <= 12


@pytest.mark.parametrize(
    ("options", "problem"),
    [
        ({"metrics": ["temprature"]}, r"metrics=\)\[0\]: 'temprature' .*did you mean 'temperature'\? \(valid: "),
        ({"metrics": []}, r"metrics=\): \[\] is no list of texts"),
        ({"devices": 0}, r"devices=\): 0 is out of bounds"),
        ({"start_hour": 25}, r"start_hour=\): 25 is out of bounds; valid: a number from 0 to 24"),
        ({"day": 0}, r"day=\): 0 is out of bounds"),
    ],
)
def test_wrong_options(options: Any, problem: str) -> None:
    with pytest.raises(OptionError, match=r"iot\(" + problem):
        Iot(**options)
