"""The real small model in this process: that its events are as asked for, never what they say."""

from __future__ import annotations

import json
import socket
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any, Literal
from urllib.parse import urlsplit

import pydantic
import pytest
from annotated_types import Len

from mockforge_nb import Script
from mockforge_nb.generators.llm import local
from mockforge_nb.generators.llm.wishes import Wishes
from mockforge_nb.generators.llm.writer import Writer
from tests.conftest import Scripts

from .models import STORY, needs_local, run

pytestmark = needs_local


class Fill(pydantic.BaseModel):
    venue: str
    shares: int


class Order(pydantic.BaseModel):
    symbol: str
    side: Literal["buy", "sell"]
    price: float
    fills: Annotated[list[Fill], Len(max_length=2)]


@pytest.fixture(scope="module", autouse=True)
def stopped() -> Iterator[None]:
    """The server is gone after these tests."""
    yield
    local.stop()
    assert not local.running()


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("cache")


def orders(cache: Path | bool) -> Script:
    return Script.from_llm(STORY, n=3, rate=2, schema=Order, model="local", cache=cache, retries=5)


@pytest.fixture(scope="module")
def script(cache: Path) -> Script:
    return orders(cache)


def values(script: Script) -> list[Any]:
    return [step.payload.value for step in script if step.payload is not None]


def test_each_event_is_as_asked_for_and_no_two_are_the_same(script: Script) -> None:
    events = values(script)
    assert len(events) == 3
    for event in events:
        order = Order.model_validate(event)
        assert len(order.symbol) <= 40
    assert len({json.dumps(event) for event in events}) == 3
    assert script.duration == 1.0


def test_it_says_who_wrote_it_and_what_that_took(script: Script) -> None:
    assert script.written is not None
    usage = script.written.usage
    assert script.written.model == "local"
    assert usage.requests >= 2
    assert min(usage.input_tokens, usage.output_tokens) > 0
    assert usage.cost == 0.0
    assert "written by local, seed 1" in repr(script)


def test_the_same_text_comes_twice(script: Script) -> None:
    again = orders(False)
    assert again.written is not None
    assert not again.written.cached
    assert again.text() == script.text()


def test_the_cached_result_starts_no_server(script: Script, cache: Path) -> None:
    local.stop()
    again = orders(cache)
    assert values(again) == values(script)
    assert again.written is not None
    assert again.written.cached
    assert not local.running()


def test_it_plays_as_any_other(script: Script) -> None:
    rows = script.preview()
    assert [json.loads(each) for each in rows["message"]] == values(script)


def test_free_text_ends_soon_and_goes_on() -> None:
    one = Writer(Wishes.of("A chat of two friends about a match", event_type="chat"), "local", batch=1, retries=5)
    first, second = run(one, 1), run(one, 1)
    for event in (*first, *second):
        assert event["type"] == "chat"
        assert len(event["text"]) <= 40
    assert first != second
    assert one.written == 2


def test_it_listens_on_loopback_alone_and_only_we_may_ask() -> None:
    served = local.server()
    assert local.server() is served
    parts = urlsplit(served.url)
    assert parts.hostname == "127.0.0.1"
    body = json.dumps({"messages": [{"role": "user", "content": "hello"}], "max_tokens": 1}).encode()
    request = urllib.request.Request(f"{served.url}/chat/completions", body, {"content-type": "application/json"})
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    with pytest.raises(urllib.error.HTTPError, match="401"):
        opener.open(request)
    request.add_header("authorization", f"Bearer {served.key.reveal()}")
    with opener.open(request) as answer:
        assert answer.status == 200
    assert served.key.reveal() not in repr(served)


def test_a_proxy_of_the_environment_is_not_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.socket() as nobody:
        nobody.bind(("127.0.0.1", 0))
        for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"):
            monkeypatch.setenv(name, f"http://127.0.0.1:{nobody.getsockname()[1]}")
        assert len(run(Writer(Wishes.of("A light", schema=Literal["on", "off"]), "local", batch=1), 1)) == 1


CHILD = """
import os, sys
from mockforge_nb import GeneratorError
from mockforge_nb.generators.llm import local

served = local.server()
assert local.running()
child = os.fork()
if not child:
    print("child", local.running(), flush=True)
    try:
        local.server()
    except GeneratorError as error:
        print(error, flush=True)
    sys.exit(3)
_, status = os.waitpid(child, 0)
print("parent", local.running(), os.waitstatus_to_exitcode(status), local.server() is served)
"""


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="forks and ends otherwise there")
def test_a_forked_child_has_no_server_and_both_end(script_in: Scripts) -> None:
    ran = script_in(CHILD)
    first, error, last = ran.out.splitlines()
    assert (first, last) == ("child False", "parent True 3 True")
    assert 'multiprocessing.get_context("spawn")' in error
    assert (ran.code, ran.err) == (0, "")


@pytest.fixture
def script_in(tmp_path: Path) -> Iterator[Scripts]:
    """Run scripts in processes of their own."""
    scripts = Scripts(tmp_path)
    yield scripts
    for process in scripts.processes:
        if process.poll() is None:
            process.kill()
        process.communicate()


def test_it_says_nothing_on_its_own_and_stops_with_the_process(script_in: Scripts) -> None:
    ran = script_in(
        """
        from mockforge_nb import Script
        script = Script.from_llm("A light", n=2, schema={"on": True}, model="local", cache=False)
        print(len(script))
        """
    )
    assert (ran.code, ran.out, ran.err) == (0, "2\n", "")


def test_a_schema_that_it_cannot_meet_is_an_error_that_shows_its_answer() -> None:
    from mockforge_nb import ModelError

    schema = {
        "type": "object", "properties": {"code": {"type": "string", "pattern": "Zürich-[0-9]{7}"}},
        "required": ["code"],
    }  # fmt: skip
    with pytest.raises(ModelError, match=r"asked 2 times, .*does not match 'Zürich.*its answer was") as caught:
        Script.from_llm(STORY, n=1, schema=schema, model="local", cache=False, retries=1)
    assert caught.value.written == 0
