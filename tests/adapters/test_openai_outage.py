"""A memory that is away stops no program: the provider is called without it, and that is said once."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from datetime import timedelta
from typing import Any

import pytest
from roost_tests.asking import ANSWER, MakeClient, StartProvider, ask, gather, read_stream, text_of
from roost_tests.own_server import OwnServer
from roost_tests.waiting import wait_until
from structlog.testing import capture_logs

from roost.actors import Flock
from roost.adapters.openai import door, outage
from roost.openai import AsyncOpenAI, reuse_of
from roost.streams import RoostError, ServerUnavailable, SettingsError

StartServer = Callable[[], Awaitable[OwnServer]]
NOWHERE = "redis://127.0.0.1:9"


def warnings_in(logs: list[Any]) -> list[str]:
    return [line["event"] for line in logs if line["log_level"] == "warning" and "provider" in line["event"]]


async def test_a_flock_that_cannot_be_opened_is_gone_without(
    provider: StartProvider, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ROOST_URL", NOWHERE)
    server = await provider()
    with capture_logs() as logs:
        async with AsyncOpenAI(base_url=server.base_url, api_key="k") as client:
            started = time.monotonic()
            answers = await gather(*[ask(client) for _ in range(5)], read_stream(client))
            assert time.monotonic() - started < 30
            assert text_of(await ask(client)) == ANSWER
    assert [text_of(answer) for answer in answers[:5]] == [ANSWER] * 5
    assert answers[5][0] == ANSWER
    assert server.calls == 7
    assert warnings_in(logs) == ["the memory is away: the provider is called without it"]


async def test_a_server_that_does_not_answer_holds_up_neither_a_call_nor_the_end(
    provider: StartProvider, own_server: StartServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    memory, server = await own_server(), await provider()
    memory.freeze()
    monkeypatch.setenv("ROOST_URL", memory.url)
    monkeypatch.setattr(door, "WAIT", timedelta(seconds=1))
    started = time.monotonic()
    async with AsyncOpenAI(base_url=server.base_url, api_key="k") as client:
        answers = await gather(*[ask(client) for _ in range(3)])
    assert time.monotonic() - started < 20
    assert [text_of(answer) for answer in answers] == [ANSWER] * 3
    memory.thaw()


async def test_who_wants_to_know_gets_the_error(provider: StartProvider, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ROOST_URL", NOWHERE)
    server = await provider()
    async with AsyncOpenAI(base_url=server.base_url, api_key="k", unavailable="raise") as client:
        for _ in range(2):
            with pytest.raises(ServerUnavailable, match="refuses connections"):
                await ask(client)
        assert server.calls == 0
        assert text_of(await ask(client.with_options(share=False))) == ANSWER


async def test_a_setting_that_cannot_be_is_told_at_once(
    provider: StartProvider, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ROOST_URL", "http://example.com")
    server = await provider()
    async with AsyncOpenAI(base_url=server.base_url, api_key="k") as client:
        with pytest.raises(SettingsError):
            await ask(client)
    async with AsyncOpenAI(base_url=server.base_url, api_key="k", flock="no such name!") as client:
        with pytest.raises(SettingsError):
            await ask(client)


@pytest.mark.parametrize("how", ["kill", "freeze"])
async def test_a_server_that_goes_away_is_gone_without_and_used_again_when_it_is_back(
    how: str, provider: StartProvider, own_server: StartServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(outage, "PAUSE", timedelta(seconds=0.5))
    memory, server = await own_server(), await provider()
    async with Flock.open("away", memory.url) as flock, AsyncOpenAI(
        base_url=server.base_url, api_key="k", flock=flock
    ) as client:  # fmt: skip
        await ask(client)
        await (memory.kill() if how == "kill" else _freeze(memory))
        started = time.monotonic()
        with capture_logs() as logs:
            assert text_of(await ask(client)) == ANSWER
            assert time.monotonic() - started < 30
            assert text_of(await ask(client)) == ANSWER
        assert len(warnings_in(logs)) == 1
        assert server.calls == 3
        await (memory.start() if how == "kill" else _thaw(memory))
        await wait_until(lambda: _is_reused(client), timeout=20, every=0.2)


async def test_an_answer_reaches_its_caller_though_the_memory_goes_away_meanwhile(
    provider: StartProvider, own_server: StartServer
) -> None:
    memory, server = await own_server(), await provider(latency=timedelta(milliseconds=500))
    async with Flock.open("away", memory.url, patience=timedelta(seconds=1)) as flock, AsyncOpenAI(
        base_url=server.base_url, api_key="k", flock=flock
    ) as client:  # fmt: skip
        asking = asyncio.create_task(gather(ask(client), read_stream(client, "Wrens sing. Loudly.")))
        await wait_until(lambda: server.calls == 2)
        await memory.kill()
        started = time.monotonic()
        whole, (streamed, _) = await asking
        assert time.monotonic() - started < 30
    assert (text_of(whole), streamed, server.calls) == (ANSWER, "You said: Wrens sing.", 2)


async def test_a_flock_that_was_closed_is_gone_without(
    provider: StartProvider, make_client: MakeClient, server_url: str, flock_name: str
) -> None:
    server = await provider()
    async with Flock.open(flock_name, server_url) as flock:
        client = make_client(server, flock=flock)
    assert text_of(await ask(client)) == ANSWER
    with pytest.raises(RoostError):
        await ask(make_client(server, flock=flock, unavailable="raise"))


async def _is_reused(client: AsyncOpenAI) -> bool:
    reuse = reuse_of(await ask(client))
    return reuse is not None and reuse.is_reused


async def _freeze(memory: OwnServer) -> None:
    memory.freeze()


async def _thaw(memory: OwnServer) -> None:
    memory.thaw()
