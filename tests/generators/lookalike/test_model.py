import ipaddress
import re
import warnings
from itertools import islice
from random import Random
from typing import Any
from uuid import UUID

import matplotlib as mpl
import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from scipy.stats import ks_2samp, norm
from vega_datasets import local_data

from mockforge_nb.errors import GeneratorError, OptionError
from mockforge_nb.generators.lookalike.copula import cdf
from mockforge_nb.generators.lookalike.model import TableModel
from mockforge_nb.generators.lookalike.patterns import TextPattern


def real(name: str) -> pd.DataFrame:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # vega_datasets reads its JSON with a deprecated keyword
        frame: pd.DataFrame = getattr(local_data, name)()
    return frame


STOCKS = real("stocks")
CARS = real("cars")
WEATHER = real("seattle_weather")
NUMBERS = ["Miles_per_Gallon", "Displacement", "Horsepower", "Weight_in_lbs", "Acceleration"]


def more(df: pd.DataFrame, n: int = 4000, **options: Any) -> pd.DataFrame:
    return TableModel(**options).fit(df).sample(n)


def cell(report: Any, row: str, column: str) -> Any:
    return report.loc[row, column]


def error_of(call: Any, *args: Any, **options: Any) -> str:
    with pytest.raises((OptionError, GeneratorError)) as caught:
        call(*args, **options)
    return str(caught.value)


# Rows that are independent.


def test_quantiles_are_as_in_the_source() -> None:
    made = more(CARS)
    for name in NUMBERS:
        distance = ks_2samp(CARS[name].dropna(), made[name].dropna()).statistic
        assert distance < 0.05, name
        assert made[name].min() >= CARS[name].min()
        assert made[name].max() <= CARS[name].max()


def test_correlations_survive() -> None:
    made = more(CARS)
    rng = np.random.default_rng(1)
    independent = pd.DataFrame({name: rng.choice(CARS[name].dropna(), 4000) for name in NUMBERS})
    gaps = [
        (CARS[NUMBERS].corr(method="spearman") - each[NUMBERS].corr(method="spearman")).abs().max().max()
        for each in (made, independent)
    ]
    assert gaps[0] < 0.06
    assert gaps[1] > 0.8  # so the bound would find a sampler that knows no correlations
    assert (CARS[NUMBERS].corr() - made[NUMBERS].corr()).abs().max().max() < 0.1


def test_categories_have_their_shares_and_go_with_numbers() -> None:
    made = more(CARS)
    shares = CARS["Origin"].value_counts(normalize=True) - made["Origin"].value_counts(normalize=True)
    assert shares.abs().max() < 0.03
    means = [each.groupby("Origin")["Horsepower"].mean() for each in (CARS, made)]
    assert means[1]["USA"] - means[1]["Japan"] == pytest.approx(means[0]["USA"] - means[0]["Japan"], abs=6)


def test_few_whole_numbers_stay_what_they_are() -> None:
    made = more(CARS)
    assert set(made["Cylinders"]) <= {3, 4, 5, 6, 8}
    strength = [each["Cylinders"].corr(each["Displacement"], method="spearman") for each in (CARS, made)]
    assert strength[1] == pytest.approx(strength[0], abs=0.04)  # though ties weaken what is drawn


def test_numbers_have_the_digits_of_the_source() -> None:
    made = more(CARS)["Miles_per_Gallon"].dropna()
    assert (made == made.round(1)).all()
    assert not made.isin(CARS["Miles_per_Gallon"]).all()  # and yet there are new ones
    day = pd.DataFrame({"day": pd.to_datetime("2024-01-01") + pd.to_timedelta([9, 3, 70, 20, 11, 8, 90, 2, 77], "D")})
    assert (more(day)["day"].dt.normalize() == more(day)["day"]).all()


def test_what_is_missing_together_is_so_in_the_sample() -> None:
    rng = np.random.default_rng(1)
    df = pd.DataFrame(rng.normal(size=(500, 3)), columns=list("abc"))
    df.loc[rng.random(500) < 0.2, ["a", "b"]] = np.nan
    df.loc[rng.random(500) < 0.1, "c"] = np.nan
    made = more(df)
    assert (made["a"].isna() == made["b"].isna()).all()
    assert made.isna().mean().to_numpy() == pytest.approx(df.isna().mean().to_numpy(), abs=0.02)


def test_what_follows_from_another_column_still_does() -> None:
    names = {"MSFT": "Microsoft", "AAPL": "Apple", "IBM": "IBM Corp.", "GOOG": None}
    rng = np.random.default_rng(2)
    symbols = rng.choice([*names], 400, p=[0.4, 0.3, 0.2, 0.1])
    lots = {"MSFT": 100, "AAPL": 10, "IBM": 100, "GOOG": 1}
    df = pd.DataFrame({"name": [names[s] for s in symbols], "symbol": symbols, "lot": [lots[s] for s in symbols]})
    made = more(df)
    known = made["symbol"] != "GOOG"
    assert (made["name"][known] == made["symbol"][known].map(names)).all()
    assert made["name"].isna().equals(~known)
    assert (made["lot"] == made["symbol"].map(lots)).all()
    assert made["symbol"].value_counts(normalize=True)["MSFT"] == pytest.approx(0.4, abs=0.06)


def test_what_is_missing_is_so_for_its_cause() -> None:
    rng = np.random.default_rng(0)
    event, x = rng.choice(["click", "view", "buy"], 300), rng.normal(size=300)
    df = pd.DataFrame({"amount": np.where(event == "buy", rng.normal(size=300), np.nan), "event": event, "x": x})
    df["page"] = pd.Series(rng.choice(["a", "b", "c"], 300)).where(event == "view")
    df["debt"] = np.where(x < 0, rng.normal(size=300), np.nan)
    made = more(df)
    assert (made["amount"].notna() == (made["event"] == "buy")).all()
    assert (made["page"].notna() == (made["event"] == "view")).all()
    assert made["debt"][made["x"] > 0.3].isna().all()
    assert made["debt"][made["x"] < -0.3].notna().all()
    # Chance is no cause.
    df["amount"] = np.where(rng.random(300) < 0.3, np.nan, 1.5 * x)
    shares = more(df)["amount"].isna().groupby(made["event"]).mean()
    assert shares.max() - shares.min() < 0.06


def test_texts_that_hardly_come_again_keep_what_they_tell() -> None:
    origin = CARS.groupby("Name")["Origin"].first()
    made = more(CARS)
    assert (made["Name"].map(origin) == made["Origin"]).all()
    airports = real("airports")
    model = TableModel().fit(airports)
    made = model.sample(3000)
    known = set(zip(airports["city"], airports["state"], strict=True))
    assert all(pair in known for pair in zip(made["city"], made["state"], strict=True))
    told = [each["latitude"].corr(each.groupby("state")["latitude"].transform("mean")) for each in (airports, made)]
    assert told[1] == pytest.approx(told[0], abs=0.01)
    assert not made["latitude"].isin(airports["latitude"]).all()  # and yet there are new ones
    report = model.report()
    assert cell(report, "city", "pairs") == 1
    assert (
        cell(model.report(made.assign(state=made["state"].sample(frac=1, random_state=1).array)), "city", "pairs") < 1
    )
    # Names that tell nothing are drawn for themselves.
    rng = np.random.default_rng(5)
    df = pd.DataFrame({"name": [f"n{i}" for i in rng.integers(0, 400, 500)], "side": rng.choice([*"abc"], 500)})
    made = more(df)
    known = set(zip(df["name"], df["side"], strict=True))
    assert sum(pair in known for pair in zip(made["name"], made["side"], strict=True)) < 3000


@pytest.mark.parametrize("options", [{}, {"time": "date"}])
def test_what_is_never_above_another_is_never(options: Any) -> None:
    made = more(WEATHER, **options)
    assert (made["temp_min"] <= made["temp_max"]).all()
    rng = np.random.default_rng(6)
    bid = rng.lognormal(0, 1, 500).round(2)
    ask = (bid + rng.exponential(0.3, 500) + 0.01).round(2)
    quotes = pd.DataFrame({"bid": bid, "ask": ask, "low": (bid / 2).round(2), "noise": rng.normal(size=500)})
    quotes.loc[rng.random(500) < 0.1, "ask"] = np.nan
    made = more(quotes)
    assert (made["bid"] < made["ask"])[made["ask"].notna()].all()
    assert (made["low"] <= made["bid"]).all()
    assert ks_2samp(quotes["ask"].dropna(), made["ask"].dropna()).statistic < 0.06


def test_ids_grow_and_texts_that_are_all_different_are_new() -> None:
    rng = np.random.default_rng(3)
    uuids = [str(UUID(bytes=rng.bytes(16), version=4)) for _ in range(300)]
    df = pd.DataFrame({"id": np.cumsum(rng.integers(1, 4, 300)) + 1000, "key": uuids, "unit": "mm"})
    made = more(df)
    assert made["id"].is_monotonic_increasing
    assert made["id"].is_unique
    assert made["id"].iloc[0] == df["id"].iloc[0]
    assert set(made["id"].diff().iloc[1:]) == {1, 2, 3}
    assert made["key"].is_unique
    assert not made["key"].isin(uuids).any()
    assert {str(UUID(each)) for each in made["key"]} == set(made["key"])
    assert {each[14] for each in made["key"]} == {"4"}  # the version, the same in all
    assert set(made["unit"]) == {"mm"}


def test_an_id_that_its_type_cannot_hold_begins_again() -> None:
    made = more(pd.DataFrame({"id": np.arange(100, dtype=np.int8)}), 300)["id"]
    assert made.dtype == np.int8
    assert made.tolist() == [*range(128), *range(128), *range(44)]


@given(st.lists(st.text(max_size=6), min_size=8, max_size=40, unique=True))
def test_any_texts_have_more_like_them(texts: list[str]) -> None:
    made = list(islice(TextPattern.of_texts(texts).made(Random(1)), 300))
    assert len(made) == 300
    assert made == list(islice(TextPattern.of_texts(texts).made(Random(1)), 300))
    assert all(len(each) <= 2 * max(map(len, texts)) + 2 for each in made)


def texts_like(texts: list[str], count: int = 1000) -> list[str]:
    return list(islice(TextPattern.of_texts(texts).made(Random(1)), count))


def test_texts_that_count_go_on_counting() -> None:
    orders = [f"ORD-{i:06d}" for i in range(2000)]
    assert texts_like(orders, 3) == ["ORD-002000", "ORD-002001", "ORD-002002"]
    assert texts_like(Random(1).sample(orders, 2000), 2) == ["ORD-002000", "ORD-002001"]
    assert texts_like([f"#{i}." for i in range(5, 100, 5)], 2) == ["#100.", "#105."]


def test_numbers_in_texts_lie_between_those_of_their_place() -> None:
    rng = Random(2)
    known = {".".join(str(rng.randrange(256)) for _ in range(4)) for _ in range(1000)}
    made = texts_like(sorted(known))
    assert all(str(ipaddress.IPv4Address(each)) == each for each in made)
    assert len(set(made)) == 1000
    assert not known & set(made)


def test_words_stay_whole() -> None:
    rng = Random(3)
    first, last = ["ann", "bo", "carla", "dimitri", "eve"], ["smith", "ng", "garcia", "li"]
    mails = sorted({f"{rng.choice(first)}.{rng.choice(last)}{rng.randrange(1000)}@mail.com" for _ in range(50)})
    for each in texts_like(mails):
        match = re.fullmatch(r"([a-z]+)\.([a-z]+)\d{1,3}@mail\.com", each)
        assert match
        assert match[1] in first
        assert match[2] in last
    sentences = [f"The {one} of {two} is late." for one in first for two in last]
    assert set(texts_like(sentences)) == set(sentences)
    names = ["Oslo", "Bergen", "Rome", "Lima", "Kyoto", "Quito", "Accra", "Hanoi"]
    assert set(texts_like(names)) == set(names)


def test_codes_are_new_sign_by_sign() -> None:
    rng = Random(4)
    macs = [":".join(f"{rng.randrange(256):02x}" for _ in range(6)) for _ in range(200)]
    made = texts_like(macs)
    assert all(re.fullmatch(r"([0-9a-f]{2}:){5}[0-9a-f]{2}", each) for each in made)
    assert not set(made) & set(macs)
    plates = [f"{rng.choice('ABC')}{rng.choice('XYZ')}{rng.randrange(1000):03d}" for _ in range(60)]
    assert all(re.fullmatch(r"[ABC][XYZ]\d{3}", each) for each in texts_like(sorted(set(plates))))


def test_instants_in_texts_are_instants() -> None:
    rng = Random(5)
    start = pd.Timestamp("2026-01-01T00:00:00Z")
    texts = [f"{start + pd.Timedelta(rng.randrange(10**9), 's'):%Y-%m-%dT%H:%M:%SZ}" for _ in range(200)]
    made = pd.to_datetime(pd.Series(texts_like(texts)), format="%Y-%m-%dT%H:%M:%SZ")
    assert made.between(*pd.to_datetime([min(texts), max(texts)]).tz_localize(None)).all()
    days = [f"{day:%Y-%m-%d}" for day in pd.date_range("2026-01-01", periods=60)]
    assert texts_like(days, 2) == ["2026-03-02", "2026-03-03"]


def test_the_normal_distribution() -> None:
    points = np.array([-3.1, -1.96, 0.0, 0.8416, 3.7, 9.0])
    assert cdf(points) == pytest.approx(norm.cdf(points), abs=1e-6)


# Rows that follow each other.


def volatility(df: pd.DataFrame) -> pd.Series:
    return df.groupby("symbol")["price"].agg(lambda prices: np.log(prices).diff().std())


def test_stocks_walk_on_each_from_its_first_price() -> None:
    made = more(STOCKS, 2000, time="date", by="symbol")
    assert (made["price"] > 0).all()
    assert (made["price"] == made["price"].round(2)).all()
    first = [each.groupby("symbol")["price"].first() for each in (STOCKS, made)]
    pd.testing.assert_series_equal(first[0], first[1])
    ratio = volatility(made) / volatility(STOCKS)
    assert ratio.between(0.75, 1.33).all()
    # Prices drawn independently of each other, of the same distribution, would move several times as much.
    shuffled = STOCKS.sample(frac=1, random_state=1).assign(date=STOCKS["date"].array)
    assert (volatility(shuffled) / volatility(STOCKS) > 3).any()
    lowest, highest = STOCKS.groupby("symbol")["price"].min(), STOCKS.groupby("symbol")["price"].max()
    assert (made.groupby("symbol")["price"].min() > lowest * 0.4).all()
    assert (made.groupby("symbol")["price"].max() < highest * 2.5).all()


def test_stocks_move_together_as_in_the_source() -> None:
    def correlation(df: pd.DataFrame) -> float:
        wide = df.pivot(index="date", columns="symbol", values="price")
        return float(np.log(wide["AAPL"]).diff().corr(np.log(wide["MSFT"]).diff()))

    made = more(STOCKS, 4000, time="date", by="symbol")
    assert correlation(made) == pytest.approx(correlation(STOCKS), abs=0.12)
    assert correlation(STOCKS) > 0.3  # which independent walks have not


def test_all_keys_share_each_time_as_in_the_source() -> None:
    made = more(STOCKS, 2000, time="date", by="symbol")
    ticks = made.groupby("date")["symbol"].agg(tuple).iloc[:-1]
    assert set(ticks) <= set(STOCKS.groupby("date")["symbol"].agg(tuple))
    assert ticks.map(len).between(4, 5).all()
    assert made["date"].is_monotonic_increasing
    assert made["date"].iloc[0] == STOCKS["date"].min()
    assert set(made["date"].drop_duplicates().diff().dropna().dt.days) <= {28, 29, 30, 31}


def test_gaps_and_bursts_remain() -> None:
    rng = np.random.default_rng(4)
    gaps = np.where(rng.random(600) < 0.3, 0, rng.exponential(40, 600).round())
    times = pd.Timestamp("2024-03-01", tz="Europe/Berlin") + pd.to_timedelta(np.cumsum(gaps), "ms")
    df = pd.DataFrame({"at": times, "value": rng.normal(size=600)})
    made = more(df.sample(frac=1, random_state=1), 5000, time="at")  # in whatever order
    assert made["at"].is_monotonic_increasing
    sampled = made["at"].diff().iloc[1:].dt.total_seconds() * 1000
    assert (sampled == 0).mean() == pytest.approx((gaps[1:] == 0).mean(), abs=0.05)
    assert ks_2samp(sampled, gaps[1:]).statistic < 0.06
    assert made["at"].dtype == df["at"].dtype


def test_the_season_remains() -> None:
    model = TableModel(time="date").fit(WEATHER)
    made = model.sample(1461)
    months = [each.groupby(each["date"].dt.month)["temp_max"].mean() for each in (WEATHER, made)]
    assert (months[1] - months[0]).abs().max() < 2.5
    assert made["temp_max"].iloc[0] < 18
    assert len(made["date"].diff().dropna().unique()) == 1
    report = model.report()
    assert cell(report, "temp_max", "period") == "year"
    assert cell(report, "temp_max", "season") > 0.5
    for name in ("season", "lag1"):
        assert cell(report, "temp_max", f"{name}_sample") == pytest.approx(cell(report, "temp_max", name), abs=0.1)
    later = model.sample(40, start="2030-07-15")
    assert later["temp_max"].mean() > 20


@pytest.mark.parametrize("zone", [None, "UTC", "America/New_York"])
def test_the_time_of_the_day_remains(zone: str | None) -> None:
    rng = np.random.default_rng(9)
    at = pd.date_range("2025-01-01", periods=24 * 40, freq="h", tz=zone)
    load = 100 + 50 * np.sin(2 * np.pi * at.hour / 24) + rng.normal(0, 3, len(at))
    report = TableModel(time="at").fit(pd.DataFrame({"at": at, "load": load.round(1)})).report()
    assert cell(report, "load", "period") == "day"
    assert cell(report, "load", "season") > 0.95
    assert cell(report, "load", "season_sample") > 0.95


def test_what_has_no_season_gets_none() -> None:
    rng = np.random.default_rng(10)
    at = pd.date_range("2021-01-01", periods=1500, freq="D")
    report = TableModel(time="at").fit(pd.DataFrame({"at": at, "v": np.cumsum(rng.normal(size=1500))})).report()
    assert cell(report, "v", "kind") == "walk"
    assert np.isnan(cell(report, "v", "season"))


@pytest.mark.parametrize("zone", [None, "UTC"])
def test_gaps_keep_to_the_calendar(zone: str | None) -> None:
    rng = np.random.default_rng(11)

    def made(freq: str, count: int) -> pd.Series:
        at = pd.date_range("2024-01-31", periods=count, freq=freq, tz=zone)
        return more(pd.DataFrame({"at": at, "v": rng.normal(size=count)}), 500, time="at")["at"]

    assert made("B", 300).dt.day_of_week.max() == 4
    for freq, is_so in (("MS", "is_month_start"), ("ME", "is_month_end")):
        at = made(freq, 40)
        assert getattr(at.dt, is_so).all()
        assert at.is_monotonic_increasing
        assert at.is_unique
    assert (more(STOCKS, 3000, time="date", by="symbol")["date"].dt.day == 1).all()


@pytest.mark.parametrize(
    "form",
    [
        lambda at: at.date(),
        lambda at: at.to_pydatetime(),
        lambda at: f"{at:%Y-%m-%d}",
        lambda at: f"{at:%Y-%m-%dT%H:%M:%S}.250+02:00",
    ],
)
def test_times_that_pandas_has_no_type_for_keep_their_form(form: Any) -> None:
    days = pd.date_range("2026-01-01", periods=40, freq="D")
    df = pd.DataFrame({"at": pd.Series([form(each) for each in days], dtype=object), "v": np.arange(40) % 7 / 2})
    made = more(df, 60, time="at")
    assert made["at"].tolist() == [form(each) for each in pd.date_range("2026-01-01", periods=60, freq="D")]
    assert cell(TableModel(time="at").fit(df).report(), "at", "gap") == pd.Timedelta("1D")


def test_times_of_arrow_are_a_clock() -> None:
    for dtype in ("timestamp[us][pyarrow]", "date32[day][pyarrow]"):
        df = pd.DataFrame({"at": pd.Series(pd.date_range("2026-01-01", periods=20), dtype="M8[us]")})
        df = df.astype({"at": dtype})
        made = more(df, 30, time="at")["at"]
        assert made.dtype == dtype
        assert str(made.iloc[-1])[:10] == "2026-01-30"


def test_start_is_when_the_first_row_is() -> None:
    model = TableModel(time="date", by="symbol").fit(STOCKS)
    later = model.sample(50, start="2030-01-01")
    assert later["date"].iloc[0] == pd.Timestamp("2030-01-01")
    assert later["price"].equals(model.sample(50)["price"])
    first = next(model.batches(10, start="2031-05-05"))
    assert first["date"].iloc[0] == pd.Timestamp("2031-05-05")
    assert "is no time of the column 'date'" in error_of(model.sample, 1, start="soon")
    assert "has a time zone" in error_of(model.sample, 1, start="2030-01-01T00:00Z")
    assert "which column they are: time=" in error_of(TableModel().fit(CARS).sample, 1, start=0)


def test_the_weather_does_not_walk() -> None:
    made = more(WEATHER, 4000, time="date")
    assert (made["temp_max"] + 1 >= made["temp_min"]).mean() > 0.99
    assert made["temp_max"].between(WEATHER["temp_max"].min(), WEATHER["temp_max"].max()).all()
    rain = [each.loc[each["weather"] == "rain", "precipitation"].mean() for each in (WEATHER, made)]
    assert rain[1] == pytest.approx(rain[0], rel=0.15)
    # Warm days follow warm ones.
    assert made["temp_max"].autocorr() > 0.6


def quotes() -> pd.DataFrame:
    rng = np.random.default_rng(5)
    bid = 100 * np.exp(np.cumsum(rng.normal(0, 0.002, 800)))
    size = rng.integers(1, 50, 800)
    return pd.DataFrame(
        {
            "at": np.arange(800) * 0.5,
            "bid": bid.round(2),
            "ask": (bid + rng.integers(1, 6, 800) / 100).round(2),
            "volume": np.cumsum(size),
            "level": np.cumsum(rng.normal(0, 1, 800)).round(3),
        }
    )


def test_what_goes_with_a_walk_does_not_cross_it() -> None:
    made = more(quotes(), 5000, time="at")
    spread = made["ask"] - made["bid"]
    assert spread.min() >= 0
    assert spread.max() < 0.15
    assert made["bid"].nunique() > 500


def test_a_counter_keeps_growing_and_a_walk_may_be_negative() -> None:
    df = quotes()
    made = more(df, 5000, time="at")
    assert made["volume"].is_monotonic_increasing
    assert set(made["volume"].diff().iloc[1:]) <= set(range(1, 50))
    assert made["volume"].iloc[-1] > 5 * df["volume"].max()
    assert made["level"].min() < 0
    assert made["level"].diff().std() == pytest.approx(df["level"].diff().std(), rel=0.1)
    widest = 0.25 * (df["level"].max() - df["level"].min()) + 0.001
    assert made["level"].between(df["level"].min() - widest, df["level"].max() + widest).all()


def test_a_number_that_counts_whatever_the_key_goes_on_so() -> None:
    df = STOCKS.sort_values("date", kind="stable").assign(seq=range(1, 561))
    df.loc[df.index[::7], "seq"] -= 1  # some twice, so that it is no id
    made = more(df, 1000, time="date", by="symbol")
    assert made["seq"].is_monotonic_increasing


def test_calm_and_wild_times_remain() -> None:
    rng = np.random.default_rng(6)
    sigma = np.repeat(np.tile([0.001, 0.02], 20), 50)
    df = pd.DataFrame({"t": range(2000), "price": 100 * np.exp(np.cumsum(rng.normal(0, sigma)))})
    sizes = np.log(more(df, 6000, time="t")["price"]).diff().abs()
    assert sizes.rolling(5).mean().autocorr(5) > 0.4  # 0 if moves were drawn one by one


def test_times_beside_the_clock_stay_beside_it() -> None:
    rng = np.random.default_rng(7)
    sent = pd.Timestamp("2024-01-01") + pd.to_timedelta(np.cumsum(rng.integers(1, 500, 300)), "ms")
    df = pd.DataFrame({"sent": sent, "received": sent + pd.to_timedelta(rng.integers(5, 50, 300), "ms")})
    made = more(df, 3000, time="sent")
    assert (made["received"] - made["sent"]).between(pd.Timedelta("5ms"), pd.Timedelta("49ms")).all()


def test_without_a_time_the_rows_of_a_key_still_follow_each_other() -> None:
    made = more(STOCKS, 1000, by="symbol")
    assert (volatility(made) / volatility(STOCKS)).between(0.6, 1.6).all()


# Types, batches, seeds.

TYPES = pd.DataFrame(
    {
        "i8": pd.Series([1, 2, 3, 9] * 5, dtype="int8"),
        "u64": pd.Series([2**64 - 1 - i * i for i in range(20)], dtype="uint64"),
        "i64": pd.Series([(-1) ** i * 2**62 + i * i for i in range(20)], dtype="int64"),
        "f32": pd.Series(np.linspace(0.1, 2.0, 20).round(1)[::-1], dtype="float32"),
        "nullable": pd.Series([1, None, 3, 4] * 5, dtype="Int64"),
        "truth": pd.Series([True, None, False, True] * 5, dtype="boolean"),
        "flag": [True, False] * 10,
        "size": pd.Categorical(["S", "L", None, "M"] * 5, ["S", "M", "L", "XL"], ordered=True),
        "zoned": pd.date_range("2024", periods=20, freq="37min", tz="Europe/Berlin", unit="ns")[::-1],
        "took": pd.to_timedelta([5, 1, 7, 3] * 5, "s").as_unit("ms"),
        "object": pd.Series(["a", None, "b", "a"] * 5, dtype=object),
        "dicts": [{"a": 1}, [1, 2], {"b": {}}, None] * 5,
        "mixed": pd.Series([1, "1", 2.5, True] * 5, dtype=object),
        "arrow": pd.Series([1, 5, None, 7] * 5, dtype=pd.ArrowDtype(pa.int32())),
        "arrow_text": pd.Series(["a", None, "b", "a"] * 5, dtype=pd.ArrowDtype(pa.string())),
        "arrow_list": pd.Series([[1], None, [2, 3], []] * 5, dtype=pd.ArrowDtype(pa.list_(pa.int64()))),
        "arrow_time": pd.Series([1, 5, None, 7] * 5, dtype=pd.ArrowDtype(pa.timestamp("us"))),
        "half": pd.Series([60_000 + i * 32 for i in range(20)], dtype="float16"),
        "complex": [1j, 2j] * 10,
        "period": pd.period_range("2024-01", periods=20, freq="M"),
        "sparse": pd.Series(pd.arrays.SparseArray([0, 0, 1, 2] * 5)),
        "none": [None] * 20,
    }
)


@pytest.mark.parametrize("options", [{}, {"by": "flag"}], ids=["independent", "following"])
def test_types_stay(options: Any) -> None:
    made = more(TYPES, 300, **options)
    pd.testing.assert_series_equal(made.dtypes, TYPES.dtypes)
    assert made.index.equals(pd.RangeIndex(300))
    assert {repr(each) for each in made["dicts"]} == {repr(each) for each in TYPES["dicts"]}
    assert {repr(each) for each in made["mixed"]} == {repr(each) for each in TYPES["mixed"]}
    assert made["nullable"].isna().mean() == pytest.approx(0.25, abs=0.08)
    assert made["u64"].between(TYPES["u64"].min(), TYPES["u64"].max()).all() or made["u64"].is_monotonic_decreasing
    assert made["i64"].between(TYPES["i64"].min(), TYPES["i64"].max()).all()
    assert (made["f32"] == made["f32"].round(1)).all()


def test_columns_of_two_names_and_of_levels() -> None:
    twice = pd.DataFrame([[i, i * 0.5, i % 3] for i in (3, 1, 2, 5, 9, 8, 7, 6, 4)], columns=["a", "b", "a"])
    assert list(more(twice, 10).columns) == ["a", "b", "a"]
    assert "is 2 columns" in error_of(TableModel(by="a").fit, twice)
    levels = STOCKS.set_axis(pd.MultiIndex.from_tuples([("key", "symbol"), ("key", "date"), ("price", "")]), axis=1)
    made = more(levels, 50, time="key.date", by="key.symbol")
    assert made.columns.equals(levels.columns)
    assert made["price"].notna().all()


def test_columns_chosen_in_their_order() -> None:
    made = more(STOCKS, 10, time="date", by="symbol", columns=["price", "symbol"])
    assert list(made.columns) == ["price", "symbol"]
    assert made["price"].tolist() == more(STOCKS, 10, time="date", by="symbol")["price"].tolist()


def test_a_table_of_arrow() -> None:
    made = TableModel(time="date", by="symbol").fit(pa.Table.from_pandas(STOCKS)).sample(20)
    assert made["symbol"].tolist() == more(STOCKS, 20, time="date", by="symbol")["symbol"].tolist()


@pytest.mark.parametrize("options", [{}, {"time": "date", "by": "symbol"}], ids=["independent", "following"])
def test_a_sample_is_the_first_rows_of_the_batches(options: Any) -> None:
    model = TableModel(**options).fit(STOCKS)
    batches = list(islice(model.batches(700, seed=5), 3))
    assert [len(each) for each in batches] == [700] * 3
    pd.testing.assert_frame_equal(pd.concat(batches, ignore_index=True), model.sample(2100, seed=5))
    pd.testing.assert_frame_equal(model.sample(3, seed=5), model.sample(2100, seed=5).iloc[:3])
    assert not model.sample(50, seed=5).equals(model.sample(50, seed=6))
    pd.testing.assert_frame_equal(model.sample(50), TableModel(**options, seed=0).fit(STOCKS).sample(50, seed=0))
    unsown = TableModel(**options, seed=None).fit(STOCKS)
    assert not unsown.sample(50).equals(unsown.sample(50))


KINDS: dict[str, st.SearchStrategy[Any]] = {
    "whole": st.integers(-(2**63), 2**63 - 1),
    "few": st.integers(0, 3),
    "real": st.floats(),
    "single": st.floats(width=32),
    "text": st.text(max_size=4) | st.none(),
    "truth": st.booleans(),
    "instant": st.datetimes(),
    "nullable": st.integers(-9, 9) | st.none(),
    "any": st.none() | st.integers() | st.text(max_size=2) | st.lists(st.integers(), max_size=1),
    "small": st.integers(-128, 127),
}
DTYPES: dict[str, Any] = {
    **{"whole": "int64", "few": "uint8", "single": "float32", "instant": "datetime64[us]"},
    **{"nullable": "Int64", "any": object, "small": "int8"},
}


@st.composite
def frames(draw: st.DrawFn) -> pd.DataFrame:
    count = draw(st.integers(1, 25))
    columns: dict[str, pd.Series] = {}
    for number, kind in enumerate(draw(st.lists(st.sampled_from([*KINDS]), min_size=1, max_size=5))):
        values: Any = draw(st.lists(KINDS[kind], min_size=count, max_size=count))
        values = sorted(values) if kind in ("whole", "real", "small") and draw(st.booleans()) else values
        columns[f"{kind}{number}"] = pd.Series(values, dtype=DTYPES.get(kind))
    return pd.DataFrame(columns)


@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(frames(), st.data())
def test_any_table_has_more_like_it(df: pd.DataFrame, data: st.DataObject) -> None:
    by = data.draw(st.none() | st.sampled_from([*df.columns]).filter(lambda name: not name.startswith("any")))
    time = data.draw(st.none() | st.just("at"))
    if time is not None:
        offsets = data.draw(st.lists(st.integers(0, 10**6), min_size=len(df), max_size=len(df)))
        df = df.assign(at=pd.Timestamp("2024-01-01") + pd.to_timedelta(offsets, "ms"))
    model = TableModel(by=by, time=time).fit(df)
    made = model.sample(150, seed=1)
    if time is not None:
        assert made["at"].is_monotonic_increasing
    assert len(made) == 150
    pd.testing.assert_series_equal(made.dtypes, df.dtypes)
    pd.testing.assert_frame_equal(made, model.sample(150, seed=1))
    pd.testing.assert_frame_equal(made.iloc[:40], next(model.batches(40, seed=1)))
    for name in df:
        assert made[name].isna().any() <= df[name].isna().any()
        assert made[name].notna().any() <= df[name].notna().any()
    model.report(made)


# What is odd or wrong.


def test_tables_of_little() -> None:
    one = more(CARS.iloc[:1], 5)
    assert one["Name"].tolist() == [CARS["Name"].iloc[0]] * 5
    assert len(more(CARS[[]], 3)) == 3
    assert more(STOCKS.iloc[:1], 3, time="date")["date"].nunique() == 1
    empty = TableModel().fit(CARS.iloc[:0])
    assert empty.sample(0).dtypes.equals(CARS.dtypes)
    assert "has no rows, so none" in error_of(empty.sample, 1)
    assert "no rows with a time" in error_of(
        TableModel(time="date").fit(STOCKS.assign(date=STOCKS["date"].where(STOCKS["price"] < 0))).sample, 1
    )


def test_infinite_numbers() -> None:
    values = pd.Series([1.5, np.inf, -np.inf, 2.25, 7.0, 8.5, 9.5, 3.25, 4.5, np.nan])
    made = more(pd.DataFrame({"v": values}), 1000)["v"]
    assert np.isinf(made).mean() == pytest.approx(0.2, abs=0.06)
    assert made[np.isfinite(made)].between(1.5, 9.5).all()


def test_infinite_numbers_do_not_count_or_walk() -> None:
    df = pd.DataFrame({"k": [*"ab"] * 10, "v": [*np.arange(18) / 4, np.inf, np.inf]})
    made = more(df, 100, by="k")["v"]
    assert made[np.isfinite(made)].between(0, 4.25).all()


def test_very_many_columns() -> None:
    rng = np.random.default_rng(8)
    wide = pd.DataFrame(rng.normal(size=(30, 10_000)))
    assert more(wide, 20).shape == (20, 10_000)


def test_times_of_many_zones_are_drawn_whole_and_as_a_clock_get_that_of_one() -> None:
    times = [pd.Timestamp("2024-01-01", tz=zone) for zone in ("Asia/Tokyo", "Europe/Rome")] * 4
    df = pd.DataFrame({"at": pd.Series(times, dtype=object)})
    assert set(map(str, more(df, 50)["at"])) == set(map(str, times))
    made = more(df, 50, time="at")["at"]
    assert len(set(map(str, made.map(lambda each: each.tzinfo)))) == 1
    assert made.is_monotonic_increasing


def test_times_end_where_their_type_does() -> None:
    far = pd.DataFrame({"at": pd.to_datetime(["1700", "1900", "2100", "2261"]).astype("M8[ns]")})
    assert ".dt.as_unit('us')" in error_of(TableModel(time="at").fit(far).sample, 50)


def test_wrong_arguments() -> None:
    assert "did you mean 'date'?" in error_of(TableModel(time="dat").fit, STOCKS)
    assert "did you mean 'symbol'?" in error_of(TableModel(by="symbl").fit, STOCKS)
    assert "did you mean 'price'?" in error_of(TableModel(columns=["prise"]).fit, STOCKS)
    assert "df.reset_index()" in error_of(TableModel(time="date").fit, STOCKS.set_index("date"))
    assert "such as ['price']" in error_of(TableModel, columns="price")
    assert "names 'price' twice" in error_of(TableModel(columns=["price", "price"]).fit, STOCKS)
    assert "also the column of the times" in error_of(TableModel, time="date", by="date")
    assert "has no times but str" in error_of(TableModel(time="symbol").fit, STOCKS)
    assert "is no table" in error_of(TableModel().fit, [1, 2])
    assert "values that are no keys" in error_of(TableModel(by="a").fit, pd.DataFrame({"a": [[1], [2]]}))
    assert "call fit(df) first" in error_of(TableModel().sample, 1)
    model = TableModel().fit(CARS)
    assert "is below 0" in error_of(model.sample, -1)
    for wrong in (1.5, "1", None, True):
        assert "is no whole number" in error_of(model.sample, wrong)
        assert "is no whole number" in error_of(model.batches, wrong)
    assert "is no whole number from 0 on" in error_of(model.sample, 1, seed=-1)
    assert "is no whole number from 0 on" in error_of(TableModel, seed="x")


# The report.


def test_a_report_measures_what_remains() -> None:
    report = TableModel(time="date", by="symbol").fit(STOCKS).report()
    assert report["kind"].to_dict() == {"symbol": "category", "date": "clock", "price": "walk"}
    assert cell(report, "symbol", "distance") < 0.05
    assert cell(report, "price", "change_sample") == pytest.approx(cell(report, "price", "change"), rel=0.2)
    assert cell(report, "date", "gap") == pd.Timedelta("31D")
    assert cell(report, "price", "q50") == STOCKS["price"].quantile(0.5, "nearest")
    cars = TableModel().fit(CARS)
    assert cars.report().correlation_gap < 0.12
    alone = CARS.apply(lambda column: column.sample(frac=1, random_state=column.nunique()).array)
    assert cars.report(alone).correlation_gap > 0.8
    assert cell(cars.report(), "Horsepower", "distance") < 0.1
    assert cell(cars.report(cars.sample(400).assign(Horsepower=1.0)), "Horsepower", "distance") > 0.9
    assert "are other columns" in error_of(cars.report, STOCKS)


@pytest.mark.parametrize(("df", "options"), [(CARS, {}), (STOCKS, {"time": "date", "by": "symbol"}), (TYPES, {})])
def test_a_report_draws_each_column(df: pd.DataFrame, options: Any) -> None:
    mpl.use("agg")
    from matplotlib import pyplot as plt

    figure = TableModel(**options).fit(df).report().plot()[0, 0].figure
    figure.canvas.draw()
    titles = [axes.get_title() for axes in figure.axes if axes.get_title()]
    assert [title.rsplit(" (", 1)[0] for title in titles] == [str(name) for name in df.columns[:12]]
    plt.close(figure)


def test_a_report_shows_all_its_columns() -> None:
    report = TableModel().fit(CARS).report()
    for name in report.columns:
        assert name in repr(report)
        assert name in (report._repr_html_() or "")
    assert "..." not in repr(report)


def test_a_plot_of_very_many_texts_says_how_many() -> None:
    mpl.use("agg")
    from matplotlib import pyplot as plt

    figure = TableModel(columns=["city", "state"]).fit(real("airports")).report().plot()[0, 0].figure
    texts = [text.get_text() for text in figure.axes[0].texts]
    assert "2674 different in the source" in texts[0]
    assert "100% of its rows have one of the source's" in texts[0]
    plt.close(figure)


def test_a_plot_without_matplotlib_names_the_way(monkeypatch: pytest.MonkeyPatch) -> None:
    import sys

    report = TableModel().fit(CARS).report()
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    monkeypatch.delitem(sys.modules, "matplotlib.pyplot", raising=False)
    assert "pip install 'mockforge_nb[notebook]'" in error_of(report.plot)
