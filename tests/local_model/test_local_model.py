"""A real model: small, slow, not clever, and behind the same protocol as the large ones."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest
from roost_tests.command import RoostCommand
from roost_tests.handbook import QUESTIONS, write_handbook

from roost import Flock
from roost.actors import Ask
from roost.actors.models import model_from_name
from roost.openai import AsyncOpenAI

pytestmark = [pytest.mark.local_model, pytest.mark.timeout(300)]


async def test_a_run_asks_a_real_model_once_for_each_section_and_a_second_run_not_at_all(
    roost: RoostCommand, tmp_path: Path
) -> None:
    path = write_handbook(tmp_path / "handbook.md", 3)
    words = ("run", str(path), "-q", QUESTIONS[0], "-q", QUESTIONS[1], "--model", "openai/gemma", "--json")
    ran = await roost(*words, "--processes", "2")
    assert ran.code == 0, ran.err
    document = ran.json
    assert document["model"]["calls"] == 3 + 2
    assert document["model"]["tokens_estimated"] is False  # the server counts
    assert document["model"]["cost_usd"] is None
    second = await roost(*words)
    assert second.code == 0, second.err
    again = second.json
    assert again["model"]["calls"] == 0
    assert again["report"] == document["report"]


async def test_two_agents_who_ask_the_same_get_one_answer(
    server_url: str, flock_name: str, model_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OPENAI_BASE_URL", model_url)
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    model = model_from_name("openai/gemma")
    async with Flock.open(flock_name, server_url, model=model) as one, Flock.open(flock_name, server_url) as other:
        text = await one.memory.put("Barn owls hunt by ear.")
        ask = Ask(instructions="Say in one sentence how barn owls hunt.")
        first, second = await asyncio.gather(
            one.complete(ask, text), other.complete(ask, text, model=model), return_exceptions=False
        )
    assert first.id == second.id
    assert first.text.endswith(".")
    assert first.work is not None
    assert first.work["calls"] == 1
    assert first.work["output_tokens"] > 0


async def test_the_shared_client_streams_a_real_models_answer_to_all_who_ask(
    server_url: str, flock_name: str, model_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")

    async def ask(client: AsyncOpenAI) -> str:
        messages: Any = [{"role": "user", "content": "Say in one sentence how barn owls hunt."}]
        stream = await client.chat.completions.create(model="gemma", messages=messages, stream=True)
        return "".join([choice.delta.content or "" async for chunk in stream for choice in chunk.choices])

    async with Flock.open(flock_name, server_url) as one, Flock.open(flock_name, server_url) as other:
        clients = [AsyncOpenAI(flock=flock, base_url=model_url, api_key="none") for flock in (one, other)]
        first, second = await asyncio.gather(*[ask(client) for client in clients])
        assert first == second == await ask(clients[0])
        assert first.endswith(".")
        assert len([event async for event in one.log.read() if event.type == "work.computed"]) == 1
        for client in clients:
            await client.close()
