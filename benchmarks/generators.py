"""What messages cost that come from tables and from nothing, beside the code that one would write by hand.

CPU time of this process, each the best of several rounds that take turns. Sessions are driven without a socket, so
that what is compared is how messages are made and put in order, not how they are sent.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable, Iterator
from itertools import islice
from typing import Any, cast

import numpy as np
import pandas as pd
from faker import Faker

from mockforge_nb import Mock, Script, TableModel, feeds
from mockforge_nb.core.events import Burst, Next, Opened, Received, Returned, Send, Woke
from mockforge_nb.core.identity import Identity
from mockforge_nb.core.message import TEXT
from mockforge_nb.core.routes import PathPattern
from mockforge_nb.core.session import Session

SCHEMA = {
    "user": "name", "mail": "email", "amount": ("pyfloat", {"min_value": 1, "max_value": 99}), "at": "{{now}}",
    "tags": ["word", "word"],
}  # fmt: skip
SUBSCRIBE = json.dumps({"symbols": [f"S{i}" for i in range(50)]}).encode()


def table(rows: int) -> pd.DataFrame:
    """Return trades of 500 symbols, in order."""
    rng = np.random.default_rng(1)
    return pd.DataFrame(
        {
            "at": pd.Timestamp("2024-01-01") + pd.to_timedelta(np.arange(rows), unit="ms"),
            "symbol": [f"S{i}" for i in rng.integers(0, 500, rows)],
            "price": rng.normal(100, 5, rows).round(2),
            "size": rng.integers(1, 1000, rows),
        }
    )


def by_hand(df: pd.DataFrame) -> int:
    """Make the messages of a table as a handler does that one writes: a dict a row, its JSON."""
    count = 0
    for row in df.to_dict("records"):
        row["at"] = row["at"].isoformat()
        count += len(json.dumps(row)) > 0
    return count


def faker_by_hand(count: int) -> int:
    """Make messages of `SCHEMA` as one writes it with Faker."""
    fake = Faker("de_DE")
    fake.seed_instance(1)
    size = 0
    for _ in range(count):
        row = {
            "user": fake.name(), "mail": fake.email(), "amount": fake.pyfloat(min_value=1, max_value=99),
            "tags": [fake.word(), fake.word()],
        }  # fmt: skip
        size += len(json.dumps(row)) > 0
    return size


def played(mock: Mock, most: int, *, says: bytes | None = None) -> int:
    """Play a mock's session as a driver does whose client reads at once; return how many messages it sent."""
    [(_, plan)] = mock._plans(PathPattern.parse("/ws", "path"))
    session = Session(plan, Identity(1))
    out = session.handle(Opened(), 0.0)
    if says is not None:
        out += session.handle(Received([(TEXT, [says])]), 0.0)
    count = 0
    while count < most:
        before = count
        for command in out:
            if isinstance(command, Burst):
                count += command.last - command.first
            elif isinstance(command, Send):
                count += 1
        asked = [command for command in out if isinstance(command, Next)]
        out = session.handle(Woke(), 1e9)
        for one in asked:
            out += session.handle(Returned(one.key, list(islice(cast(Iterator[Any], one.source), one.most))), 1e9)
        if count == before and not out:
            break  # nothing is left
    return count


def cost(count: int, work: Callable[[], object]) -> float:
    """Return the µs of CPU that each of so many messages costs."""
    began = time.process_time()
    work()
    return (time.process_time() - began) / count * 1e6


def measure(works: dict[str, tuple[int, Callable[[], object]]], rounds: int) -> dict[str, float]:
    """Return the least of what each costs, in rounds in which all take their turn."""
    found = {name: float("inf") for name in works}
    for _ in range(rounds):
        for name, (count, work) in works.items():
            found[name] = min(found[name], cost(count, work))
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="fewer messages and rounds")
    quick = parser.parse_args().quick
    rows, fakes, rounds = (20_000, 2_000, 2) if quick else (200_000, 20_000, 3)
    df = table(rows)

    def replay(**options: Any) -> Mock:
        return Mock().replay(df, time="at", speed="max", **options)

    mine = int(df.symbol.isin([f"S{i}" for i in range(50)]).sum())
    asked = {"by": "symbol", "subscribe": "$.symbols[*]"}
    endless = Script.from_faker(SCHEMA, n=None, locale="de_DE", seed=1)
    works: dict[str, tuple[int, Callable[[], object]]] = {
        "table: json.dumps of dicts, by hand": (rows, lambda: by_hand(df)),
        "table: replay(df)": (rows, lambda: played(replay(), rows)),
        "table: its keys (by=) are found, a row": (rows, lambda: replay(by="symbol")),
        "table: subscribed to 50 of 500 keys, all that it takes": (
            mine, lambda: played(replay(**asked), mine, says=SUBSCRIBE)
        ),
        "table: rebase='now'": (rows, lambda: played(replay(rebase="now"), rows)),
        "table: batch='1s', a row": (rows, lambda: played(replay(batch="1s"), rows)),
        "faker: Faker and json.dumps, by hand": (fakes, lambda: faker_by_hand(fakes)),
        "faker: Script.from_faker": (fakes, lambda: Script.from_faker(SCHEMA, n=fakes, locale="de_DE", seed=1)),
        "faker: without end, made and rendered while it is played": (
            fakes, lambda: played(Mock().replay(endless, speed="max"), fakes)
        ),
        "like: fit, and sample as many": (rows, lambda: TableModel(time="at", by="symbol").fit(df).sample(rows)),
        "feeds: trades": (fakes, lambda: feeds.trades(fakes, seed=1)),
        "feeds: orders": (fakes, lambda: feeds.orders(fakes, seed=1)),
        "feeds: logs": (fakes, lambda: feeds.logs(fakes, seed=1)),
    }  # fmt: skip
    for name, micros in measure(works, rounds).items():
        print(f"{name:<64} {micros:8.2f} µs a message")


if __name__ == "__main__":
    main()
