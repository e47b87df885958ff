"""Models behind OpenAI's protocol: the real client against a server that counts and fails on demand."""

from __future__ import annotations

import time
import traceback
from collections.abc import Awaitable, Callable
from datetime import timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from roost_tests.fake_openai import FAILURES, Failure, FakeOpenAI
from roost_tests.ports import free_port

from roost.actors.models import (
    AnswerCutOff,
    AnswerRefused,
    EmptyAnswer,
    Input,
    ModelBusy,
    ModelError,
    ModelNotAllowed,
    ModelNotConfigured,
    ModelRefusedRequest,
    ModelUnavailable,
    NoSuchModel,
    QuotaExhausted,
    Request,
    Usage,
)
from roost.actors.models.openai_client import OpenAIModel
from roost.streams import SettingsError

StartServer = Callable[..., Awaitable[FakeOpenAI]]

OWLS = Input("[1]", "Owls hunt at night. They sleep by day.")
CORN = Input("[2]", "Corn grows in summer! Mice eat it.")
REQUEST = Request("Answer, and cite.", (OWLS, CORN), "What do owls do?")

ENDINGS: dict[str, type[ModelError]] = {
    "busy": ModelBusy,
    "quota": QuotaExhausted,
    "key": ModelNotAllowed,
    "forbidden": ModelNotAllowed,
    "model": NoSuchModel,
    "request": ModelRefusedRequest,
    "error": ModelUnavailable,
    "overloaded": ModelUnavailable,
    "hang": ModelUnavailable,
    "drip": ModelUnavailable,
    "drop": ModelUnavailable,
    "empty": EmptyAnswer,
    "cut": AnswerCutOff,
    "filter": AnswerRefused,
    "refusal": AnswerRefused,
    "no-choice": EmptyAnswer,
    "garbage": ModelUnavailable,
    "inside": ModelUnavailable,
    "page": NoSuchModel,
    "strange": NoSuchModel,
}
RETRYABLE = {ModelBusy, ModelUnavailable}


async def ask(request: Request = REQUEST, *, timeout: timedelta = timedelta(seconds=10), **options: Any) -> Any:
    model = OpenAIModel("gpt-x", timeout=timeout, **options)
    try:
        return await model.complete(request)
    finally:
        await model.close()


async def test_an_answer_comes_with_the_tokens_that_the_server_counted(openai_server: StartServer) -> None:
    server = await openai_server(cached_tokens=5)
    answer = await ask(prices={"openai/gpt-x": {"input": 2, "cached": 1, "output": 10}})
    assert answer.text == "Owls hunt at night. [1] Corn grows in summer! [2]"
    assert (answer.model, answer.answered_by) == ("openai/gpt-x", "gpt-x-2026-01-01")
    sent = len(" ".join(message["content"] for message in server.requests[0]["messages"]).split())
    assert (answer.input_tokens, answer.output_tokens, answer.cached_tokens) == (sent, 10, 5)
    assert answer.cost_usd == Decimal((sent - 5) * 2 + 5 * 1 + 10 * 10) / 1_000_000
    assert answer.cost_cached_usd == Decimal(sent * 1 + 10 * 10) / 1_000_000
    assert not answer.tokens_estimated
    assert answer.duration_ms > 0


async def test_tokens_that_nobody_counted_are_estimated_and_flagged(openai_server: StartServer) -> None:
    server = await openai_server(failures=(Failure("no-usage"),))
    answer = await ask()
    characters = sum(len(message["content"]) for message in server.requests[0]["messages"])
    assert answer.tokens_estimated
    assert abs(answer.input_tokens * 4 - characters) < 4 * 2
    assert (answer.output_tokens, answer.cached_tokens) == (-(-len(answer.text) // 4), 0)
    assert answer.cost_cached_usd is None


async def test_a_server_of_one_s_own_does_not_charge_what_openai_does(openai_server: StartServer) -> None:
    server = await openai_server()
    model = OpenAIModel("gpt-4o-mini")
    assert (await model.complete(REQUEST)).cost_usd is None
    await model.close()
    assert server.answered == 1


async def test_openai_s_own_models_have_their_public_price(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "sk-x")
    model = OpenAIModel("gpt-4o-mini")
    assert model.cost(Usage(1_000_000, 0))
    await model.close()


async def test_the_key_comes_from_a_file(
    openai_server: StartServer, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, secret_key: str
) -> None:
    server = await openai_server()
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    monkeypatch.setenv("OPENAI_API_KEY_FILE", str(tmp_path / "key"))
    with pytest.raises(SettingsError, match="OPENAI_API_KEY_FILE"):
        OpenAIModel("gpt-4o-mini")
    (tmp_path / "key").write_text(f"{secret_key}\n")
    (tmp_path / "key").chmod(0o600)
    model = OpenAIModel("gpt-4o-mini")
    assert (await model.complete(REQUEST)).text
    await model.close()
    assert server.answered == 1


async def test_nothing_is_sent_that_was_not_asked_for(openai_server: StartServer) -> None:
    server = await openai_server()
    await ask()
    assert set(server.requests[0]) == {"model", "messages"}
    assert server.requests[0]["model"] == "gpt-x"


async def test_what_was_asked_for_is_sent_by_the_name_that_most_servers_know(openai_server: StartServer) -> None:
    server = await openai_server()
    await ask(Request("Answer.", (OWLS,), max_output_tokens=9, temperature=0, seed=3, sentences=2))
    sent = server.requests[0]
    assert {"max_tokens": 9, "temperature": 0, "seed": 3}.items() <= sent.items()
    assert "max_completion_tokens" not in sent


async def test_the_same_request_is_the_same_bytes(openai_server: StartServer) -> None:
    server = await openai_server()
    assert (await ask()).text == (await ask()).text
    assert (server.calls, server.distinct) == (2, 1)


def test_every_way_to_fail_has_an_expected_ending() -> None:
    others = {"break", "stall", "error-inside", "no-done", "endless", "linger", "tool", "long", "no-usage"}
    assert set(ENDINGS) == set(FAILURES) - others


@pytest.mark.parametrize("kind", ENDINGS)
async def test_each_failure_is_one_clear_line_after_one_call(
    kind: str, openai_server: StartServer, secret_key: str
) -> None:
    server = await openai_server(failures=(Failure(kind),))
    started = time.perf_counter()
    with pytest.raises(ModelError) as caught:
        await ask(timeout=timedelta(seconds=0.5 if kind in ("hang", "drip") else 60))
    assert type(caught.value) is ENDINGS[kind]
    assert caught.value.retryable == (ENDINGS[kind] in RETRYABLE)
    assert str(caught.value).isprintable()
    assert len(str(caught.value)) < 400
    assert secret_key not in "".join(traceback.format_exception(caught.value)) + repr(caught.value)
    assert server.calls == 1  # retries belong to the log
    assert time.perf_counter() - started < 30


async def test_after_its_failures_a_server_answers_again(openai_server: StartServer) -> None:
    server = await openai_server(failures=(Failure("busy", 1), Failure("error", 1)))
    with pytest.raises(ModelBusy):
        await ask()
    with pytest.raises(ModelUnavailable):
        await ask()
    assert (await ask()).text
    assert (server.calls, server.answered) == (3, 1)


@pytest.mark.parametrize("kind", ["busy", "overloaded"])
async def test_the_server_s_wish_to_be_left_alone_is_passed_on(kind: str, openai_server: StartServer) -> None:
    await openai_server(failures=(Failure(kind),), retry_after={"retry-after": "7"})
    with pytest.raises(ModelError) as caught:
        await ask()
    assert caught.value.retry_after == timedelta(seconds=7)


async def test_a_server_that_is_not_there_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    port = free_port()
    monkeypatch.setenv("OPENAI_BASE_URL", f"http://127.0.0.1:{port}/v1")
    with pytest.raises(ModelUnavailable, match=f"127.0.0.1:{port}/v1 cannot be reached .* is it running"):
        await ask()


async def test_a_wrong_key_is_never_repeated_though_the_server_quotes_it(
    openai_server: StartServer, secret_key: str
) -> None:
    server = await openai_server(key="another")
    with pytest.raises(ModelNotAllowed, match="check OPENAI_API_KEY") as caught:
        await ask()
    assert list(server.keys) == [secret_key]
    shown = "".join(traceback.format_exception(caught.value))
    assert secret_key not in shown
    assert caught.value.__cause__ is None


async def test_neither_key_nor_password_shows_in_name_label_identity_or_repr(
    monkeypatch: pytest.MonkeyPatch, secret_key: str
) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", secret_key)
    monkeypatch.setenv("OPENAI_BASE_URL", "http://me:hunter2@127.0.0.1:9/v1/?token=hunter3")
    model = OpenAIModel("gpt-x")
    shown = f"{model!r} {model} {model.name} {model.label} {model.identity}"
    with pytest.raises(ModelUnavailable) as caught:
        await model.complete(REQUEST)
    shown += "".join(traceback.format_exception(caught.value))
    assert not [secret for secret in (secret_key, "hunter2", "hunter3", "me:") if secret in shown]
    assert "http://127.0.0.1:9/v1" in shown
    await model.close()


async def test_a_server_of_one_s_own_needs_no_key(openai_server: StartServer, monkeypatch: pytest.MonkeyPatch) -> None:
    server = await openai_server()
    monkeypatch.delenv("OPENAI_API_KEY")
    assert (await ask()).text
    assert list(server.keys) == ["none"]


@pytest.mark.parametrize("key", [None, "", "  "])
def test_without_key_and_server_it_says_what_to_set(key: str | None, monkeypatch: pytest.MonkeyPatch) -> None:
    if key is not None:
        monkeypatch.setenv("OPENAI_API_KEY", key)
    with pytest.raises(ModelNotConfigured, match=r"needs OPENAI_API_KEY, or OPENAI_BASE_URL .* use offline"):
        OpenAIModel("gpt-x")


@pytest.mark.parametrize("key", ["sk-one two", "sk-one\ntwo", "sk-ö"])
def test_a_key_that_cannot_be_one_is_refused_and_not_shown(key: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", key)
    with pytest.raises(ModelNotConfigured, match="set it again") as caught:
        OpenAIModel("gpt-x")
    assert "sk-" not in str(caught.value)


@pytest.mark.parametrize(
    "url", ["localhost:11434", "ftp://host/v1", "http://", "http://[::1/v1", "http://host:port/v1"]
)
def test_a_base_url_that_is_none_is_refused(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_BASE_URL", url)
    with pytest.raises(ModelNotConfigured, match="not an http or https URL"):
        OpenAIModel("gpt-x")


async def test_the_identity_holds_server_and_model(monkeypatch: pytest.MonkeyPatch) -> None:
    identities: list[str] = []
    for url in ("", "http://127.0.0.1:9/v1", "http://127.0.0.1:9/v1/", "http://[::1]:9/v1"):
        monkeypatch.setenv("OPENAI_API_KEY", "sk-x")
        monkeypatch.setenv("OPENAI_BASE_URL", url)
        model = OpenAIModel("gpt-x")
        identities.append(model.identity)
        await model.close()
    assert identities == [
        "openai/chat/1 https://api.openai.com/v1 gpt-x",
        "openai/chat/1 http://127.0.0.1:9/v1 gpt-x",
        "openai/chat/1 http://127.0.0.1:9/v1 gpt-x",
        "openai/chat/1 http://[::1]:9/v1 gpt-x",
    ]
