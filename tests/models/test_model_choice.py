"""From a name to a model, and what is said when that is impossible."""

from __future__ import annotations

import json
import subprocess
import sys
from datetime import timedelta

import pytest

import roost.actors.models as models
from roost.actors.models import Model, ModelNotConfigured, UnknownModel, model_from_name
from roost.streams.errors import SettingsError


def test_without_a_name_the_model_is_offline_even_where_there_is_a_key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "sk-x")
    assert model_from_name().name == "offline"


def test_a_latency_makes_the_offline_model_slow_and_says_so() -> None:
    assert model_from_name("offline", latency=timedelta(seconds=1)).label == "offline (simulated latency 1000 ms)"


@pytest.mark.parametrize("name", ["openai/gpt-x", "openai/meta/llama-3:8b"])
async def test_openai_and_a_name_is_that_model(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "sk-x")
    model: Model = model_from_name(name, prices={name: {"input": 1, "output": 2}})
    assert (model.name, model.label) == (name, name)
    assert model.cost(models.Usage(1_000_000, 0)) == 1
    await model.close()


@pytest.mark.parametrize(
    "name", ["", "openai", "openai/", "openai/ ", "gpt-4o", "Offline", "anthropic/claude", "openai/\x1b[31m"]
)
def test_a_name_that_is_none_is_refused_with_those_that_exist(name: str) -> None:
    with pytest.raises(UnknownModel, match=r"use offline, or openai/<name>") as caught:
        model_from_name(name)
    assert isinstance(caught.value, SettingsError)
    assert str(caught.value).isprintable()


def test_a_latency_for_a_model_that_has_its_own_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "sk-x")
    with pytest.raises(ModelNotConfigured, match="simulated for offline only"):
        model_from_name("openai/gpt-x", latency=timedelta(milliseconds=5))


def test_importing_the_models_loads_none_of_the_slow_libraries() -> None:
    code = "import json, sys, roost.actors.models; print(json.dumps([*sys.modules]))"
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    loaded = {name.partition(".")[0] for name in json.loads(ran.stdout)}
    assert {"openai", "sumy", "nltk", "numpy", "sentencex", "genai_prices"} & loaded == set()


def test_every_error_says_whether_to_try_again_and_what_to_do() -> None:
    errors = [value for name in models.__all__ if isinstance(value := getattr(models, name), type)]
    leaves = [error for error in errors if issubclass(error, models.ModelError)]
    assert {error.__name__ for error in leaves if error.retryable} == {"ModelBusy", "ModelUnavailable"}
    assert len(leaves) == 14
    assert all(str(error()) and "\n" not in str(error()) for error in leaves)
