"""Keys that are never shown."""

from __future__ import annotations

import pickle

import pytest

from mockforge_nb.generators.llm.secret import Hider, Secret


def test_a_secret_shows_nothing() -> None:
    one = Secret("sk-0123456789")
    assert one.reveal() == "sk-0123456789"
    for shown in (repr(one), str(one), f"{one}", f"{[one]}"):
        assert "sk-" not in shown
    with pytest.raises(TypeError, match="not pickled"):
        pickle.dumps(one)


def test_keys_are_hidden_in_texts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OTHER_API_KEY", "another-long-key")
    monkeypatch.setenv("SHORT_TOKEN", "price")
    monkeypatch.setenv("HARMLESS", "a-harmless-long-value")
    hide = Hider([Secret("sk-0123"), Secret("sk-0123456789")])
    assert hide("bad key sk-0123456789, sk-0123 or another-long-key") == "bad key ***, *** or ***"
    assert hide("the price of a-harmless-long-value") == "the price of a-harmless-long-value"
    assert "sk-" not in repr(hide)
