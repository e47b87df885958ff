"""Limits on calls of models hold over all processes of a flock, whatever their clocks say, and whoever dies."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import timedelta
from typing import Any

import pytest
from roost_tests.crew import Given, events_of
from roost_tests.fake_openai import Failure, FakeOpenAI
from roost_tests.peer import Peer, peers
from roost_tests.waiting import wait_until

from roost.actors import Flock
from roost.actors.models import ModelBusy
from roost.openai import AsyncOpenAI
from roost.streams import AgentLimits, ModelLimits, Reader
from roost.streams.agent_limits import limit_agent

Join = Callable[..., Awaitable[Flock]]
MODEL = "openai/gpt-x"
FIVE_HOURS_S = 5 * 3600


@pytest.fixture
async def provider(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Callable[..., Awaitable[FakeOpenAI]]]:
    """Starts the model server that all processes of the test ask."""
    servers: list[FakeOpenAI] = []

    async def start(**options: Any) -> FakeOpenAI:
        server = await FakeOpenAI(**options).__aenter__()
        servers.append(server)
        monkeypatch.setenv("OPENAI_BASE_URL", server.base_url)
        monkeypatch.setenv("OPENAI_API_KEY", "none")
        return server

    yield start
    for server in servers:
        await server.__aexit__()


Start = Callable[..., Awaitable[FakeOpenAI]]


def most_within(times: list[float], window_s: float) -> int:
    return max(sum(begin <= one < begin + window_s for one in times) for begin in times)


async def test_processes_with_wrong_clocks_keep_the_limits_together(
    provider: Start, join: Join, settings: dict[str, Any]
) -> None:
    server = await provider(latency=timedelta(milliseconds=30))
    flock = await join()
    skews = (-FIVE_HOURS_S, 0, FIVE_HOURS_S)
    asking = [Peer("ask", **settings, model=MODEL, count=8, about=str(skew), skew_s=skew, warm=True) for skew in skews]
    async with peers(*asking):
        before, server.most_at_once = server.calls, 0
        await flock.turnstile.limit(MODEL, ModelLimits(3, 8, window=timedelta(seconds=1.5)))
        for peer in asking:
            peer.go()
        for peer in asking:
            assert await peer.hear("done", timeout=30)
    times = list(server.times)[before:]
    assert len(times) == 24
    assert server.most_at_once <= 3
    # They are counted as they are let go; on their way to the provider some are quicker than others.
    assert most_within(times, 1.0) <= 8
    assert times[-1] - times[0] > 2.5


async def test_the_permit_of_a_killed_process_comes_back_after_its_lease(
    provider: Start, join: Join, settings: dict[str, Any]
) -> None:
    server = await provider(failures=(Failure("hang", 1),))
    flock = await join(model=MODEL)
    await flock.turnstile.limit(MODEL, ModelLimits(concurrent=1))
    async with peers(Peer("ask", **settings, model=MODEL)) as (asking,):
        asking.go()
        await wait_until(lambda: server.calls == 1)
        ours = asyncio.create_task(flock.complete("What else?"))
        await asyncio.sleep(1.5)  # more than a lease, in which the other is renewed
        assert server.calls == 1
        asking.kill()
        killed = time.monotonic()
        await ours
    assert time.monotonic() - killed < 20
    assert server.calls == 2


async def test_a_provider_that_asks_for_a_pause_is_left_alone_by_all(
    provider: Start, join: Join, settings: dict[str, Any]
) -> None:
    server = await provider(failures=(Failure("busy", 1),), retry_after={"retry-after": "1.5"})
    flock = await join(model=MODEL)
    async with peers(Peer("ask", **settings, model=MODEL)) as (asking,):
        asking.go()
        assert await asking.hear("busy") == 1.5
        refused = server.times[0]
        await flock.complete("And now?")
        assert await asking.end() == 0
    assert server.calls == 2
    assert server.times[1] - refused >= 1.45


async def test_the_error_is_the_callers_and_the_pause_everybodys(provider: Start, join: Join) -> None:
    server = await provider(failures=(Failure("busy", 1),), retry_after={"retry-after-ms": "300"})
    flock = await join(model=MODEL)
    with pytest.raises(ModelBusy):
        await flock.complete("First?")
    note = await flock.complete("Second?")
    assert note.text
    assert server.times[1] - server.times[0] >= 0.28


async def test_openais_client_keeps_the_limits_for_what_it_really_asks(provider: Start, join: Join) -> None:
    server = await provider(latency=timedelta(milliseconds=50))
    flock = await join()
    await flock.turnstile.limit(MODEL, ModelLimits(concurrent=2))
    async with AsyncOpenAI(flock=flock, max_retries=0) as client:

        async def ask(number: int) -> Any:
            return await client.chat.completions.create(
                model="gpt-x", messages=[{"role": "user", "content": f"{number}?"}]
            )

        await asyncio.gather(*[ask(number) for number in range(6)])
        assert server.most_at_once == 2
        await flock.turnstile.limit(MODEL, ModelLimits(requests_per_minute=1))
        await ask(99)
        async with asyncio.timeout(30):  # what is known takes no permit
            await asyncio.gather(*[ask(number) for number in range(6)])
    assert server.calls == 7


async def test_openais_client_tells_the_flock_of_a_pause(provider: Start, join: Join) -> None:
    server = await provider(failures=(Failure("busy", 1),), retry_after={"retry-after-ms": "400"})
    flock = await join(model=MODEL)
    async with AsyncOpenAI(flock=flock, max_retries=2) as client:
        await client.chat.completions.create(model="gpt-x", messages=[{"role": "user", "content": "?"}])
    assert server.calls == 2
    assert server.times[1] - server.times[0] >= 0.39
    assert MODEL in flock.turnstile.limits


async def test_tokens_that_were_thought_of_are_put_right_by_those_that_were_used(provider: Start, join: Join) -> None:
    server = await provider()
    flock = await join(model=MODEL)
    await flock.turnstile.limit(MODEL, ModelLimits(tokens_per_minute=100))
    long = "word " * 60  # 75 tokens are thought of
    await flock.complete(f"{long} one?")
    waiting = asyncio.create_task(flock.complete(f"{long} two?"))
    usage = flock.shard.keys.key("usage", MODEL)
    stored = await flock.shard.command("HGETALL", usage)
    (computed,) = await events_of(flock, "work.computed")
    assert int(stored[b" tokens"]) == computed.data["input_tokens"] + computed.data["output_tokens"] != 75
    assert server.calls == 1
    waiting.cancel()
    await asyncio.wait([waiting])
    await wait_until(lambda: no_permits(flock))


async def no_permits(flock: Flock) -> bool:
    return int(await flock.shard.command("ZCARD", flock.shard.keys.key("permits", MODEL))) == 0


async def test_a_flock_is_opened_with_limits_for_all(settings: dict[str, Any]) -> None:
    limits = ModelLimits(concurrent=4)
    async with Flock.open(settings["flock"], settings["url"], model=MODEL, limits=limits):
        async with Flock.open(settings["flock"], settings["url"]) as other:
            assert other.turnstile.limits == {MODEL: limits}
        async with Flock.open(settings["flock"], settings["url"], limits={MODEL: None}) as other:
            assert other.turnstile.limits == {}


async def test_workers_claims_and_timers_go_by_the_servers_clock(flock: Flock, settings: dict[str, Any]) -> None:
    early, late = (
        Peer("work", **settings, actors=["Doubler"], lease_s=0.5, skew_s=skew) for skew in (-FIVE_HOURS_S, FIVE_HOURS_S)
    )
    async with peers(early, late):
        since = time.monotonic()
        await flock.later(Given(3), delay=timedelta(seconds=0.5))
        await flock.append(*[Given(n, "sleep:0.05") for n in range(20)], Given(100, "die"), Given(200, "sleep:1.5"))
        await wait_until(lambda: has_doubled(flock, 2 * 23), timeout=20)
        assert time.monotonic() - since > 0.5
    handled = await events_of(flock, "delivery.handled")
    attempts = {event.data["event"]: event.data["attempt"] for event in handled}
    assert len(attempts) == len(handled) == 23, "each was handled once"
    slow = next(event.id for event in await events_of(flock, "crew.given") if event.data["n"] == 200)
    assert attempts[slow] <= 2, "three leases are not too long for who lives"


async def has_doubled(flock: Flock, count: int) -> bool:
    return len(await events_of(flock, "crew.doubled")) == count


async def test_a_claim_of_a_process_with_a_wrong_clock_lasts_as_long_as_any(
    flock: Flock, settings: dict[str, Any]
) -> None:
    ahead = Peer("once", **settings, key="k", sleep_s=1.5, answer="theirs", lease_s=0.5, skew_s=FIVE_HOURS_S)
    async with peers(ahead):
        ahead.go()
        await ahead.hear("computing")
        note = await flock.memory.once("k", lambda: asyncio.sleep(0, "ours"))
    assert note.text == "theirs"


async def test_an_agents_calls_wait_for_its_own_limits_whichever_models_they_ask(provider: Start, join: Join) -> None:
    server = await provider()
    flock, other = await join(model=MODEL, agent="map"), await join(model=MODEL, agent="reduce")
    window = timedelta(milliseconds=800)
    await limit_agent([flock.shard], "map", AgentLimits(requests_per_minute=3, window=window), Reader("me"))
    await flock.memory.put("anything")  # by which it learns of it
    began = time.monotonic()
    async with asyncio.timeout(60):
        await asyncio.gather(*[flock.complete(f"{number}?") for number in range(7)])
    assert time.monotonic() - began >= 2 * 0.75, "the seventh comes in the third window: it waits, and does not fail"
    assert server.calls == 7
    assert flock.turnstile.limits == {}, "models have none"
    # Another agent has limits of its own, which here are none.
    assert not await other.shard.command("EXISTS", other.shard.keys.key("calls", "@reduce"))
    await asyncio.gather(*[other.complete(f"{number}, again?") for number in range(7)])
    assert not await other.shard.command("EXISTS", other.shard.keys.key("calls", "@reduce"))


async def test_each_agent_has_what_each_may_ask(provider: Start, join: Join) -> None:
    server = await provider(latency=timedelta(milliseconds=50))
    flocks = [await join(model=MODEL, agent=name) for name in ("a", "b")]
    await limit_agent([flocks[0].shard], "*", AgentLimits(concurrent=1), Reader("me"))
    for flock in flocks:
        await flock.memory.put("anything")
    await asyncio.gather(*[flock.complete(f"{flock} {number}?") for number in range(4) for flock in flocks])
    assert server.calls == 8
    assert server.most_at_once <= 2
    await wait_until(lambda: no_permits_of(flocks[0], "@a"))


async def no_permits_of(flock: Flock, name: str) -> bool:
    return int(await flock.shard.command("ZCARD", flock.shard.keys.key("permits", name))) == 0


async def test_openais_client_calls_as_an_agent(provider: Start, join: Join) -> None:
    server = await provider(latency=timedelta(milliseconds=50))
    flock = await join(agent="asker")
    await limit_agent([flock.shard], "asker", AgentLimits(concurrent=2), Reader("me"))
    await flock.memory.put("anything")
    async with AsyncOpenAI(flock=flock, max_retries=0) as client:

        async def ask(number: int) -> Any:
            return await client.chat.completions.create(
                model="gpt-x", messages=[{"role": "user", "content": f"{number}?"}]
            )

        await asyncio.gather(*[ask(number) for number in range(6)])
    assert server.most_at_once == 2
