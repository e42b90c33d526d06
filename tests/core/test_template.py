from __future__ import annotations

import json
import re
import subprocess
import sys
import uuid
from collections.abc import Callable
from datetime import date
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mockforge_nb.core.match import pattern
from mockforge_nb.core.message import BINARY, Message
from mockforge_nb.core.template import KNOWN, Context, JsonTemplate, TextTemplate, stream
from mockforge_nb.errors import TemplateError, nearest

NOW = 1_705_314_600_123_456_789  # 2024-01-15T10:30:00.123Z
NAMES: dict[str, Any] = {"price": lambda *args: [9, *args] if args else 9, "desk": {"name": "FX"}, "bad": lambda: 1 / 0}


def context(message: object = None, **fields: Any) -> Context:
    ctx = Context(key=(1, "/ws", 1, "template"), connection=4, names=NAMES)
    ctx.now_ns = NOW
    if message is not None:
        payload = message if isinstance(message, str | bytes) else json.dumps(message)
        ctx.message = Message(payload.encode()) if isinstance(payload, str) else Message(payload, BINARY)
    for name, value in fields.items():
        setattr(ctx, name, value)
    return ctx


def render(source: str, message: object = None, **fields: Any) -> str:
    return TextTemplate.parse(source, names=NAMES).render(context(message, **fields))


def value(source: str, message: object = None, **fields: Any) -> Any:
    return TextTemplate.parse(source, names=NAMES).value(context(message, **fields))


def refused(source: str, **options: Any) -> str:
    with pytest.raises(TemplateError) as caught:
        TextTemplate.parse(source, **options)
    assert caught.value.source == source
    return caught.value.problem


def failed(source: str, message: object = None, **fields: Any) -> str:
    template = TextTemplate.parse(source, names=NAMES)
    with pytest.raises(TemplateError) as caught:
        template.render(context(message, **fields))
    with pytest.raises(TemplateError):
        template.value(context(message, **fields))
    return caught.value.problem


# The tokens


def test_uuid_is_one_of_version_4_and_anew_each_time() -> None:
    one, other = render("{{uuid}} {{ uuid }}").split()
    assert uuid.UUID(one).version == uuid.UUID(other).version == 4
    assert uuid.UUID(one).variant == uuid.RFC_4122
    assert one != other


@pytest.mark.parametrize(
    ("token", "time"),
    [
        ("{{now}}", "2024-01-15T10:30:00.123Z"),
        ("{{now+1m}}", "2024-01-15T10:31:00.123Z"),
        ("{{now+1h}}", "2024-01-15T11:30:00.123Z"),
        ("{{now-90s}}", "2024-01-15T10:28:30.123Z"),
        ("{{ now + 2 h }}", "2024-01-15T12:30:00.123Z"),
        ("{{now-123ms}}", "2024-01-15T10:30:00.000Z"),
        ("{{now-15d}}", "2023-12-31T10:30:00.123Z"),
        ("{{ (now+1d)[:10] }}", "2024-01-16"),
        ("{{ now+1d | lower }}", "2024-01-16t10:30:00.123z"),
    ],
)
def test_now(token: str, time: str) -> None:
    assert render(token) == time


def test_rand_int_has_both_ends() -> None:
    template, ctx = TextTemplate.parse("{{randInt -1 1}}"), context()
    assert {template.value(ctx) for _ in range(100)} == {-1, 0, 1}
    assert render("{{randInt 7 7}}") == "7"


def test_rand_float_and_choice() -> None:
    assert 0.5 <= value("{{randFloat 0.5 1.5}}") <= 1.5
    template, ctx = TextTemplate.parse('{{choice a 2 true 1.50 "c d"}}'), context()
    assert {repr(template.value(ctx)) for _ in range(100)} == {"'a'", "2", "True", "'1.50'", "'c d'"}


def test_seq_counts_messages_not_tokens_and_skips_failures() -> None:
    ctx = context({"id": 1})
    twice, other = TextTemplate.parse("{{seq}}/{{seq}}"), TextTemplate.parse("{{uuid}}")
    fails = TextTemplate.parse("{{seq}} {{message.nope}}")
    assert twice.render(ctx) == "1/1"
    other.render(ctx)
    with pytest.raises(TemplateError):
        fails.render(ctx)
    assert twice.render(ctx) == "2/2"
    assert JsonTemplate.parse({"a": "{{seq}}", "b": ["{{seq + 10}}"]}).render(ctx) == {"a": 3, "b": [13]}


def test_faker_is_drawn_from_the_stream() -> None:
    assert render('{{faker "name"}}') == render("{{ faker name }}") != ""
    assert 1 <= value('{{faker "pyint" 1 5}}') <= 5
    assert re.fullmatch(r"\d{4}-\d\d-\d\d", JsonTemplate.parse(['{{faker "date_object"}}']).render(context())[0])


def test_the_client_s_message() -> None:
    text = '{ "id": 7,"items":[true,null] }'
    assert (
        render("{{message}}|{{message.id}}|{{message.items}}|{{message.items.0}}", text) == f"{text}|7|[true,null]|true"
    )
    assert render('{{json "$.items[1]"}} {{ json "$.nope" | default("-") }}', text) == "null -"
    assert render("{{message}} {{ message | upper }}", "hello") == "hello HELLO"
    assert render("{{message}}", b"bytes") == "bytes"
    assert value("{{message}}", text) == {"id": 7, "items": [True, None]}
    assert value("{{message}}", "7") == "7"


def test_match_state_and_the_handshake() -> None:
    message = Message(b"SUB AAPL")
    found = pattern(r"(\w+) (?P<what>\w+)").match(message)
    assert (
        render("{{match.1}} {{match.what}} {{ match.what | lower }} {{match.0}}", match=found)
        == "SUB AAPL aapl SUB AAPL"
    )
    assert (
        render("{{state.score + 10}} {{state.score}} {{request.ws.state.score + 10}}", state={"score": 5}) == "15 5 15"
    )
    fields = {"path": {"symbol": "A", "x-y": "1"}, "query": {"q": "b"}, "headers": {"User-Agent": "c"}}
    assert render("{{path.symbol}}{{path.x-y}}{{query.q}} {{request.ws.connection}}", **fields) == "A1b 4"
    assert render("{{headers.user_agent}}{{headers.User-Agent}}{{ headers['USER-AGENT'] }}", **fields) == "ccc"
    assert render("{{request.ws.message}}", "hi") == "hi"


def test_rows() -> None:
    row = {"price": 1.5, "none": None, "yes": True, "unit price": 2, "nested": {"a": [1, "é"]}, "nan": float("nan")}
    assert render("{{row.price}} {{row.none}} {{row.yes}} {{ row['unit price'] }}", row=row) == "1.5 null true 2"
    assert render("{{row.nested}} {{row.nan}}", row=row) == '{"a":[1,"é"]} null'
    assert (
        refused("{{row.prise}}", columns=["price"])
        == "{{row.prise}}: the table has no column 'prise'; did you mean 'price'?"
    )
    assert "no column" in refused("{{ row.prise + 1 }}", columns=["price"])
    assert "no column" in refused("{{ row['prise'] }}", columns=["price"])


def test_the_user_s_functions_and_values() -> None:
    assert (
        render("{{price}} {{price()}} {{ price + 1 }} {{price 2 'x'}} {{ price(3) }} {{desk.name}}")
        == '9 9 10 [9,2,"x"] [9,3] FX'
    )
    assert render("{{price 2 | length}} {{ price if price else 1 }} {{ price - 1 }}") == "2 9 8"
    assert value("{{price}}") == 9
    assert render("{% for price in [1] %}{{price}}{% endfor %}{{ price is defined }}") == "1true"
    assert failed("{{bad}}") == failed("{{ bad + 1 }}") == "bad() raised ZeroDivisionError: division by zero"


# The language


def test_expressions_filters_and_statements() -> None:
    assert render("{% if message.id == 7 %}yes{% else %}no{% endif %}\n", {"id": 7}) == "yes\n"
    assert render("{% for one in message.items %}{{one}},{% endfor %}", {"items": [1, None]}) == "1,null,"
    assert render("a{# a comment {{ #}b {%- raw %} {{x}} {% endraw -%} c") == "ab {{x}} c"
    assert render("{{ 'a' ~ none ~ true ~ 1.0 }} {{ randInt 5 5 | string }}") == "anulltrue1.0 5"
    assert render("{{ message | tojson }}", {"a": "<é>"}) == '{"a":"<é>"}'
    assert render("{{ message.nope | default('-') }}{{ nope is defined }}", {}) == "-false"
    assert render("{{ message.keys() | list }}", {"id": 1}) == '["id"]'
    assert render("a\r\n{{ 1 + 1 }}\r\n") == "a\r\n2\r\n"


@pytest.mark.parametrize("source", ['{"a":{"b":1}}', "x }} y %} #}", "", "{ {", "plain"])
def test_text_without_tokens_is_literal(source: str) -> None:
    template = TextTemplate.parse(source)
    assert template.literal
    assert template.render(context()) == template.value(context()) == source


def test_braces_of_json_around_a_token_stay() -> None:
    assert render('{"data":{{randInt 5 5}}}') == '{"data":5}'
    assert render('{"a":{"b":{{randInt 5 5}}}}') == '{"a":{"b":5}}'
    assert render("{{ {'a': {'b': 1}} }}{{ '}}' }}{{ '{{' }}") == '{"a":{"b":1}}}}{{'


def test_one_expression_keeps_its_type() -> None:
    assert value("{{message.id}}", {"id": 7}) == 7
    assert value("{{ state.score + 10 }}", state={"score": 1.5}) == 11.5
    assert value("{{message.id}} ", {"id": 7}) == "7 "


def test_json() -> None:
    source = {"id": "{{message.id}}", "{{message.key}}": ["{{ 1 + 1 }}", "n{{message.id}}", 1, None, {"deep": "x"}]}
    template = JsonTemplate.parse(source)
    assert not template.literal
    assert template.render(context({"id": 7, "key": "k"})) == {"id": 7, "k": [2, "n7", 1, None, {"deep": "x"}]}
    assert JsonTemplate.parse(["{{message}}"]).render(context('{"a":NaN}')) == [{"a": None}]
    assert JsonTemplate.parse("{{price}}", names=NAMES).render(context()) == 9
    literal = JsonTemplate.parse({"a": ["b", 1]})
    assert literal.literal
    assert literal.render(context()) == {"a": ["b", 1]}
    assert JsonTemplate.parse({"a": "{{x}}", "{{y}}": ["{{z.q}}"]}, names=["z"]).variables == {"x", "y"}


def test_values_of_other_libraries_become_json() -> None:
    numpy, pandas = pytest.importorskip("numpy"), pytest.importorskip("pandas")
    row = {
        "a": numpy.int64(3),
        "b": numpy.array([1, 2]),
        "c": pandas.NaT,
        "d": pandas.NA,
        "e": date(2024, 1, 2),
        "f": b"x",
    }
    assert JsonTemplate.parse("{{row}}").render(context(row=row)) == {
        "a": 3, "b": [1, 2], "c": None, "d": None, "e": "2024-01-02", "f": "x",
    }  # fmt: skip
    assert render("{{row.a}} {{row.b}} {{row.c}} {{row.e}}", row=row) == "3 [1,2] null 2024-01-02"


def test_conditions() -> None:
    ctx = context({"op": "sub"}, state={"ready": True, "n": 2})
    for source, holds in [
        ("state.ready and message.op == 'sub'", True),
        ("{{ state.n > 2 }}", False),
        ("state.never_set", False),
        ("not state.never_set", True),
        ("request.ws.state.n == 2", True),
    ]:
        assert TextTemplate.condition(source).value(ctx) is holds
    assert TextTemplate.condition("state.x and foo").variables == {"foo"}
    for source in ("", "a b", "1 }} {{ 2", "state."):
        with pytest.raises(TemplateError) as caught:
            TextTemplate.condition(source)
        assert caught.value.source == source


def test_variables_are_what_nobody_defines() -> None:
    assert TextTemplate.parse(
        "{{foo}} {{ bar.x | upper }} {% for i in range(3) %}{{i}}{{price}}{% endfor %}"
    ).variables == {
        "foo",
        "bar",
        "price",
    }
    everything = "{{uuid}}{{now}}{{seq}}{{message.x + match.y}}{{ randInt(1, 2) }}{{request.ws.state.z}}{{price}}"
    assert TextTemplate.parse(everything, names=["price"]).variables == frozenset()
    assert nearest("mesage", KNOWN) == "; did you mean 'message'?"


# What goes wrong


@pytest.mark.parametrize(
    ("source", "problem"),
    [
        ("{{foo 1 2}}", "there is no helper 'foo' (there are randInt,"),
        ("{{randint 1 2}}", "did you mean 'randInt'?"),
        ("{{randInt 1}}", "randInt wants two whole numbers; write {{randInt 1 100}}"),
        ("{{randInt a b}}", "randInt wants two whole numbers"),
        ("{{randInt 1.5 2}}", "randInt wants two whole numbers"),
        ("{{randInt 5 1}}", "randInt wants the smaller number first (5 > 1)"),
        ("{{randInt}}", "randInt wants two whole numbers"),
        ("{{randFloat x 1}}", "randFloat wants two numbers"),
        ("{{ choice }}", "choice wants at least one value"),
        ('{{faker "nam"}}', "faker has no provider 'nam'; did you mean 'name'?"),
        ('{{json "$["}}', "is no JSONPath"),
        ("{{ 5 == randInt 1 2 }}", "in a larger expression write randInt(…)"),
        ("{{now+1}}", "'now+1' has no unit: write {{now+1m}}"),
        ("{{ x | uper }}", "there is no filter 'uper'; did you mean 'upper'?"),
        ("{{", "the {{ at column 1 is not closed with }}; to send the braces themselves write {{ '{{' }}"),
        ('a {"b": {{now}', "the {{ at column 9 is not closed"),
        ("{# a", "the {# at column 1 is not closed"),
        ("{% raw %} {{", "{% raw %} has no {% endraw %}"),
        ("{% if 1 %}", ""),
        ("{{ }}", ""),
        ("{% include 'x' %}", "include has no meaning here"),
    ],
)
def test_what_cannot_be_parsed(source: str, problem: str) -> None:
    assert problem in refused(source)


def test_what_is_missing_is_named() -> None:
    assert failed("{{message.idd}}", {"id": 1}) == "message.idd: there is no 'idd'; did you mean 'id'?"
    assert failed("{{ message.idd | upper }}", {"id": 1}) == "there is no 'idd'; did you mean 'id'?"
    assert failed("{{message}}") == failed("{{ message | upper }}") == "there is no client message here"
    assert "no pattern" in failed("{{match.1}}")
    assert "no table's row" in failed("{{row.x}}")
    assert "'foo' is undefined" in failed("{{foo}}")
    assert "nothing at $.x" in failed('{{json "$.x"}}', {})
    assert "binary and no UTF-8" in failed("{{message}}", b"\xff")
    assert "there is no 'never'" in failed("{{state.never}}")
    assert "there is no 'never'" in failed("{{ state.never + 1 }}")
    assert "TypeError" in failed("{{ uuid + 1 }}")
    assert "is a function: call it" in failed("{{ message.keys }}{{ 1 + 1 }}", {})
    assert "Faker has no provider" in failed("{{ faker('nope') }}")
    assert "OverflowError" in failed("{{now+999999999d}}")


def test_a_message_is_data_and_never_a_template() -> None:
    for source in ("{{message}}", "{{ message ~ '' }}", "{% if true %}{{message}}{% endif %}"):
        assert render(source, "{{7*7}} {% if %}") == "{{7*7}} {% if %}"
    assert render("{{message.a}} {{ message.a | lower }}", {"a": "{{7*7}}"}) == "{{7*7}} {{7*7}}"


@pytest.mark.parametrize(
    "source",
    [
        "{{ message.__class__ }}",
        "{{ ''.__class__.__mro__ }}",
        "{{ message['__class__'] }}",
        "{{ ''['__class__'] }}",
        "{{ price.__globals__ }}",
        "{{ ''|attr('__class__') }}",
        "{{ '{0.__class__}'.format(message) }}",
        "{{ message.update({'a': 1}) }}",
        "{{ state.clear() }}",
    ],
)
def test_the_sandbox_holds(source: str) -> None:
    failed(source, {"id": 1}, state={"a": 1})


# One meaning, two ways


_PLAIN = st.sampled_from([
    "{{uuid}}", "{{ now }}", "{{now+1m}}", "{{now - 90 s}}", "{{randInt -5 5}}", "{{randFloat 0 1}}", "{{seq}}",
    "{{choice a 1 1.50 'it\\'s' \"c\\\\d}}\" null}}", "{{row.price}}", "{{row.no}}", "{{message}}", "{{message.id}}",
    "{{message.l.1}}", "{{path.symbol}}", "{{path.x-y}}", "{{query.q}}", "{{headers.user_agent}}", "{{state.items}}",
    "{{match.1}}", "{{match.n}}", "{{connection}}", "{{price}}", "{{price 1}}", '{{json "$.id"}}', "{{- uuid -}}",
    "{{request.ws.message.id}}", "{# #}", "{% raw %}{{x}}{% endraw %}",
])  # fmt: skip
_LITERAL = st.sampled_from(
    ["{", "}", "}}", "\r\n", "\n", " ", "é", "\\", "'", '"', "a", "%}", "\ud800", "\x00"]
) | st.text(st.characters(exclude_characters="{"))


@given(st.lists(_PLAIN | _LITERAL, max_size=8).map("".join), st.integers(0, 3))
def test_plain_tokens_mean_the_same_to_both_engines(source: str, seed: int) -> None:
    def run(*, jinja: bool) -> tuple[object, ...]:
        ctx = context(
            {"id": 7, "l": [1, {"a": None}]},
            row={"price": 1.5, "no": None}, path={"symbol": "A", "x-y": "z"}, query={"q": ""},
            headers={"User-Agent": "me"}, state={"items": [True]}, key=(seed, "/", 1, "template"),
            match=pattern(r"(?P<n>\d)").match(Message(b"5")),
        )  # fmt: skip
        try:
            template = TextTemplate.parse(source, names=NAMES, _force_jinja=jinja)
        except TemplateError as error:
            return (error.problem,)
        text, kept = template.render(ctx), template.value(ctx)
        return text, kept, type(kept), ctx.seq, template.variables, template.literal, ctx.rng.random()

    assert run(jinja=False) == run(jinja=True)


_ANY = st.sampled_from([
    "{{", "}}", "{%", "%}", "{#", "#}", "-", "+", " ", "'", '"', "\\", "(", ")", "[", "]", "|", ".", ",", "now", "1m",
    "3", "randInt", "choice", "message", "foo", "if", "endif", "raw", "endraw", "uuid", "json", "$.a", "=", "~",
    "request.ws.",
])  # fmt: skip


@given(st.text() | st.lists(_ANY).map("".join) | st.lists(_ANY).map(lambda some: "{{ " + " ".join(some) + " }}"))
def test_any_text_is_a_template_or_a_template_error(source: str) -> None:
    try:
        template = TextTemplate.parse(source)
        template.render(context({"a": 1}))
    except TemplateError:
        return
    assert template == TextTemplate.parse(source)


@given(st.text())
def test_any_message_comes_out_as_it_came(text: str) -> None:
    assert render("{{message}}|{{ message ~ '' }}", text) == f"{text}|{text}"


def test_plain_templates_do_not_load_jinja() -> None:
    code = """
import sys
from mockforge_nb.core.template import Context, TextTemplate
from mockforge_nb.core.message import Message
source = "{{uuid}} {{now+1m}} {{randInt 1 6}} {{choice a b}} {{seq}} {{message.id}} {{path.x}} {{price}}"
ctx = Context(message=Message(b'{"id": 1}'), path={"x": "y"}, names={"price": 1})
TextTemplate.parse(source, names=["price"]).render(ctx)
print([name for name in ("jinja2", "re2", "jsonpath", "faker", "pandas") if name in sys.modules])
"""
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "[]\n"


# Chance


def test_a_stream_is_its_four_parts() -> None:
    keys: list[tuple[int, str, int, str]] = [
        (1, "/ws", 1, "a"), (2, "/ws", 1, "a"), (1, "/w", 1, "a"), (1, "/ws", 2, "a"), (1, "/ws", 1, "b"),
        (1, "/ws", 11, ""),
    ]  # fmt: skip
    draw: Callable[[tuple[int, str, int, str]], float] = lambda key: stream(*key).random()  # noqa: E731
    assert len({draw(key) for key in keys}) == len(keys)
    assert draw(keys[0]) == draw(keys[0]) == 0.16559591290041564


def test_the_same_seed_gives_the_same_text() -> None:
    template = TextTemplate.parse("{{uuid}} {{ [1, 2, 3] | random }} {{randFloat 0 1}}")
    assert template.render(context()) == template.render(context())
    assert template.render(context()) != template.render(context(key=(2, "/ws", 1, "template")))


def test_templates_compare_by_source() -> None:
    assert TextTemplate.parse("{{uuid}}") == TextTemplate.parse("{{uuid}}") != TextTemplate.parse("{{now}}")
    assert hash(TextTemplate.parse("a")) == hash(TextTemplate.parse("a"))
    assert JsonTemplate.parse({"a": "{{uuid}}"}) == JsonTemplate.parse({"a": "{{uuid}}"}) != JsonTemplate.parse([])
    assert repr(TextTemplate.parse("{{uuid}}")) == "<TextTemplate '{{uuid}}'>"
    assert repr(JsonTemplate.parse(["{{uuid}}"])) == "<JsonTemplate ['{{uuid}}']>"
