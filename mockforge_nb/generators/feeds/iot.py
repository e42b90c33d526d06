"""Sensors of a building: readings that follow the day, batteries that drain, outages, faults and alerts."""

from __future__ import annotations

import math
import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import ClassVar, Final

from .common import (
    AT,
    Agenda,
    Events,
    Feed,
    Message,
    around,
    check_count,
    check_number,
    check_rate,
    check_texts,
)


@dataclass(frozen=True, slots=True)
class Metric:
    """Something that is measured.

    Attributes:
        unit: What it is in.
        digits: How many digits after the point a sensor shows.
        alert: The value above which an alert is raised.
        calm: How far below that it must fall for the alert to be cleared.
        spike: How far off a faulty reading is.
    """

    unit: str
    digits: int
    alert: float
    calm: float
    spike: float


METRICS: Final = {
    "temperature": Metric("°C", 1, 25.0, 0.6, 25.0),
    "humidity": Metric("%", 1, 65.0, 3.0, 35.0),
    "co2": Metric("ppm", 0, 1000, 100, 1500),
    "pressure": Metric("hPa", 1, 1030.0, 1.0, 60.0),
    "power": Metric("W", 1, 2200, 300, 2500),
}
KINDS: Final = {
    "climate": ("temperature", "humidity", "pressure"),
    "air": ("temperature", "humidity", "co2"),
    "plug": ("power",),
}
"""What each kind of device measures; all but plugs have a battery."""
ROOMS: Final = ("lobby", "office", "meeting", "kitchen", "lab", "storage", "server", "workshop")
OUTAGE, STUCK, SPIKE = 1 / 350, 1 / 600, 1 / 2500
"""How likely an outage is, a report, and the faults, a reading."""
OUTAGE_REPORTS: Final = 14.0
"""How many reports an outage skips in the mean."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Iot(Feed):
    """Devices that report what they measure at regular intervals.

    The interval follows from the rate and the number of devices. A device says that it is online before it reads; an
    alert is raised by the reading that crosses its threshold, and cleared by a later one.

    Attributes:
        devices: How many there are.
        rate: Messages a second, of all devices together.
        metrics: What is measured.
        start_hour: The hour of the day at which the feed begins, from 0 to 24.
        day: How long a day takes (s): fewer than 86,400 show its course in a short time.
    """

    name: ClassVar[str] = "iot"
    types: ClassVar[tuple[str, ...]] = ("reading", "status", "alert")

    devices: int = 12
    rate: float = 5.0
    metrics: Sequence[str] = ("temperature", "humidity", "co2", "power")
    start_hour: float = 8.0
    day: float = 86_400.0

    def __post_init__(self) -> None:
        check_count("iot(devices=)", self.devices)
        check_rate("iot(rate=)", self.rate)
        object.__setattr__(self, "metrics", check_texts("iot(metrics=)", self.metrics, METRICS))
        check_number("iot(start_hour=)", self.start_hour, 0, 24)
        check_number("iot(day=)", self.day, 1, 1e7)

    def _run(self, rng: random.Random) -> Events:
        kinds = {kind: tuple(each for each in has if each in self.metrics) for kind, has in KINDS.items()}
        kinds = {kind: has for kind, has in kinds.items() if has}
        order = list(kinds)
        devices = []
        for number in range(self.devices):
            # Two climate sensors for each other kind, and each kind that there is.
            kind = order[(0, 1, 0, 2)[number % 4] % len(order)]
            devices.append(_Device(number, kind, kinds[kind], rng))
        # Reports that an outage skips are no messages, and it has two of its own.
        online = 1 / (1 + OUTAGE * OUTAGE_REPORTS)
        readings = sum(len(each.metrics) for each in devices) + 2 * OUTAGE * len(devices)
        interval = readings * online / self.rate * 1000.0
        weather = _Weather(rng)
        agenda: Agenda[_Device] = Agenda()
        for device in devices:
            device.slot = rng.random()
            agenda.add(round(device.slot * interval, 3), device)
        while True:
            ms, device = agenda.pop()
            weather.advance(self.start_hour + ms / 1000.0 * 24.0 / self.day)
            for says in device.report(ms, weather):
                yield ms, says
            # Late or early by a few percent, of which nothing adds up.
            device.slot += device.skips or 1.0
            device.skips = 0
            late = max(-0.2, min(0.2, rng.gauss(0.0, 0.02)))
            agenda.add(max(ms, round((device.slot + late) * interval, 3)), device)


class _Weather:
    """What all sensors share: the hour, and slow changes of warmth, moisture and pressure."""

    def __init__(self, rng: random.Random) -> None:
        self._rng, self.hour, self.warm, self.moist, self.pressure = rng, -1.0, 0.0, 0.0, rng.gauss(0.0, 7.0)
        self.sun = self.busy = 0.0

    def advance(self, hour: float) -> None:
        """Go on to an hour, counted from the midnight before the start."""
        step, self.hour = (max(0.0, hour - self.hour) if self.hour >= 0 else 1000.0), hour
        self.warm = self._drift(self.warm, step, 20.0, 0.7)
        self.moist = self._drift(self.moist, step, 12.0, 3.0)
        self.pressure = self._drift(self.pressure, step, 40.0, 7.0)
        clock = hour % 24.0
        self.sun = math.sin((clock - 9.0) * math.pi / 12.0)  # warmest at three in the afternoon
        # How many people are in: they come about eight, some have lunch, and they leave about six.
        self.busy = 1 / (1 + math.exp(-2.2 * (clock - 8.3))) - 1 / (1 + math.exp(-1.8 * (clock - 17.6)))
        self.busy *= 1 - 0.35 * math.exp(-(((clock - 12.6) / 0.6) ** 2))

    def _drift(self, value: float, hours: float, memory: float, spread: float) -> float:
        keep = math.exp(-hours / memory)
        return value * keep + self._rng.gauss(0.0, spread * math.sqrt(1 - keep * keep))


@dataclass(slots=True)
class _Alert:
    id: str
    began: float


@dataclass(slots=True)
class _Sensor:
    """One metric of a device: its own offset and slow error, what it shows while it is stuck, and its alert."""

    offset: float
    drift: float = 0.0
    stuck: int = 0
    shown: float = 0.0
    alert: _Alert | None = field(default=None)


class _Device:
    """A device and its sensors."""

    def __init__(self, number: int, kind: str, metrics: tuple[str, ...], rng: random.Random) -> None:
        self._rng, self.metrics, self._kind, self._number = rng, metrics, kind, number
        self._place = f"{ROOMS[number % len(ROOMS)]}-{1 + number // len(ROOMS)}"
        self.id = f"{kind}-{number + 1:03d}"
        self.slot, self.skips = 0.0, 0.0
        self._online = False
        self._dark = 0  # reports that the outage still lasts
        self._rssi = rng.uniform(-82.0, -48.0)
        self._charge = rng.uniform(45.0, 100.0)
        self._life = around(rng, 25_000, 0.3)  # reports that a battery lasts
        self._swing = around(rng, 2.6, 0.35)  # degrees between the mean and the afternoon
        self._people = around(rng, 550.0, 0.35)
        self._sensors = {name: _Sensor(rng.gauss(0.0, 1.0)) for name in metrics}
        self._alerts = 0
        self._load = 0.0
        self._makes: dict[str, Callable[[_Weather, _Sensor], float]] = {
            "temperature": self._temperature, "humidity": self._humidity, "co2": self._co2, "pressure": self._pressure,
            "power": self._power,
        }  # fmt: skip

    def report(self, ms: float, weather: _Weather) -> list[Message]:
        """Return what a device says at a time: its readings, or that it is no longer online."""
        rng = self._rng
        if self._online and rng.random() < OUTAGE:
            self._online = False
            self.skips = float(max(1, round(rng.expovariate(1 / OUTAGE_REPORTS))))
            return [self._status("offline")]
        says = []
        if not self._online:
            self._online = True
            if self._charge < 4.0:
                self._charge = 100.0
            says.append(self._status("online"))
        if self._kind != "plug":
            self._charge -= 100.0 / self._life * rng.uniform(0.5, 1.5)
        if self._charge < 3.0:
            self._online, self.skips = False, OUTAGE_REPORTS  # until somebody has a new battery
            return [*says, self._status("offline")]
        self._rssi += 0.1 * (-65.0 - self._number % 5 * 3 - self._rssi) + rng.gauss(0.0, 1.2)
        for name in self.metrics:
            says += self._reading(name, ms, weather)
        return says

    def _status(self, status: str) -> Message:
        says = {"type": "status", "device": self.id, "kind": self._kind, "place": self._place}
        return says | {"status": status, "at": AT}

    def _reading(self, name: str, ms: float, weather: _Weather) -> list[Message]:
        rng, metric, sensor = self._rng, METRICS[name], self._sensors[name]
        sensor.drift = 0.97 * sensor.drift + rng.gauss(0.0, 0.243)  # of variance 1
        value = self._makes[name](weather, sensor)
        if sensor.stuck:
            sensor.stuck -= 1
            value = sensor.shown
        elif rng.random() < STUCK:
            sensor.stuck = rng.randrange(8, 40)
        elif rng.random() < SPIKE:
            value += metric.spike * rng.uniform(0.7, 1.3) * rng.choice((1, 1, -1))
        if name != "temperature":
            value = min(99.0, max(4.0, value)) if name == "humidity" else max(0.0, value)
        sensor.shown = value = round(value, metric.digits) if metric.digits else round(value)
        reading = {"type": "reading", "device": self.id, "metric": name, "value": value, "unit": metric.unit}
        battery = None if self._kind == "plug" else round(self._charge, 1)
        says = [reading | {"battery": battery, "rssi": round(self._rssi), "at": AT}]
        if sensor.alert is None and value > metric.alert:
            self._alerts += 1
            sensor.alert = _Alert(f"{self.id}/{name}/{self._alerts}", ms)
            says.append(self._alert(sensor.alert, "raised", name, value))
        elif sensor.alert is not None and value < metric.alert - metric.calm:
            lasted = round((ms - sensor.alert.began) / 1000.0, 3)
            says.append(self._alert(sensor.alert, "cleared", name, value) | {"duration_s": lasted, "at": AT})
            sensor.alert = None
        return says

    def _alert(self, alert: _Alert, state: str, name: str, value: float) -> Message:
        says = {"type": "alert", "alert_id": alert.id, "device": self.id, "metric": name, "state": state}
        return says | {"value": value, "threshold": METRICS[name].alert, "at": AT}

    def _temperature(self, weather: _Weather, sensor: _Sensor) -> float:
        heat = self._swing * weather.sun + weather.warm + 0.5 * weather.busy
        return 21.5 + 1.2 * sensor.offset + heat + 0.12 * sensor.drift + self._rng.gauss(0.0, 0.06)

    def _humidity(self, weather: _Weather, sensor: _Sensor) -> float:
        dry = 2.4 * (self._swing * weather.sun + weather.warm)
        return 47.0 + 3.0 * sensor.offset - dry + weather.moist + 0.5 * sensor.drift + self._rng.gauss(0.0, 0.3)

    def _co2(self, weather: _Weather, sensor: _Sensor) -> float:
        people = self._people * weather.busy * (1 + 0.12 * sensor.drift)
        return 425.0 + 8.0 * sensor.offset + people + self._rng.gauss(0.0, 6.0)

    def _pressure(self, weather: _Weather, sensor: _Sensor) -> float:
        return 1014.0 + weather.pressure + 0.6 * sensor.offset + self._rng.gauss(0.0, 0.08)

    def _power(self, weather: _Weather, sensor: _Sensor) -> float:
        rng = self._rng
        # Something large is switched on now and then, and off again: more often while people are in.
        if self._load and rng.random() < 0.06:
            self._load = 0.0
        elif not self._load and rng.random() < 0.004 + 0.02 * weather.busy:
            self._load = rng.choice((650.0, 1100.0, 1900.0, 2150.0))
        base = (45.0 + 120.0 * weather.busy) * math.exp(0.25 * sensor.offset + 0.05 * sensor.drift)
        return (base + self._load) * math.exp(rng.gauss(0.0, 0.015))
