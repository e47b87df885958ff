"""Limits of agents in a flock with several shards: never passed, and none of it left unused in another shard."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack
from typing import Any

import pytest
from roost_tests.crew import LEASE, Doubled, Given
from roost_tests.peer import Peer, peers
from roost_tests.waiting import wait_until

from roost.actors import Actor, Context, Flock, Retry, on
from roost.projections.verify import verify
from roost.streams import AgentLimitExceeded, AgentLimits, Reader, Shard
from roost.streams.agent_limits import Held, limit_agent, read_held
from roost.streams.placement import Placement

N = 3
Join = Callable[..., Awaitable[Flock]]


@pytest.fixture
async def join(server_url: str, flock_name: str) -> AsyncIterator[Join]:
    async with AsyncExitStack() as stack:

        async def open_one(**more: Any) -> Flock:
            terms: dict[str, Any] = {"shards": N, "url": server_url, "claim_lease": LEASE, "delivery_lease": LEASE}
            return await stack.enter_async_context(Flock.open(flock_name, **terms, **more))

        yield open_one


@pytest.fixture
async def flock(join: Join) -> Flock:
    return await join()


def shards_of(flock: Flock) -> list[Shard]:
    return [writer._shard for writer in flock.writers]  # pyright: ignore[reportPrivateUsage]


async def limit(flock: Flock, agent: str, **limits: Any) -> None:
    await limit_agent(shards_of(flock), agent, AgentLimits(**limits) if limits else None, Reader("operator"))


async def held(flock: Flock, agent: str = "main") -> Held:
    counted, whole = await read_held(shards_of(flock))
    assert whole
    return counted.get(agent, Held())


async def shares(flock: Flock, agent: str = "main") -> list[int]:
    """How many notes each shard may have."""
    return [int((await shard.run("share", agent, "look"))[0]) for shard in shards_of(flock)]


def keys_of(shard: int) -> list[str]:
    """Keys that one shard has."""
    return [f"k{n}" for n in range(300) if Placement(N).of_key(f"k{n}") == shard]


async def test_one_shard_gets_what_the_others_do_not_need(flock: Flock) -> None:
    await limit(flock, "main", notes=20)
    assert await shares(flock) == [7, 7, 6]
    keys = keys_of(1)
    for key in keys[:20]:
        await flock.memory.put("x", key=key)
    with pytest.raises(AgentLimitExceeded, match="may keep 20 notes and has 20: 1 more"):
        await flock.memory.put("x", key=keys[20])
    assert await shares(flock) == [0, 20, 0]
    note = await flock.memory.find(keys[0])
    assert note is not None
    await flock.memory.forget(note.id)
    await flock.memory.put("x", key=keys_of(2)[0])
    assert (sum(await shares(flock)), await held(flock)) == (20, Held(20, 20))


async def test_a_note_larger_than_any_share_finds_room(flock: Flock) -> None:
    await limit(flock, "*", bytes=3000)
    await flock.memory.put("x" * 2900, key="large")
    with pytest.raises(AgentLimitExceeded, match="may keep 3,000 bytes of notes and has 2,900: 101 more"):
        await flock.memory.put("y" * 101, key="more")
    await flock.memory.put("y" * 100, key="more")
    assert await held(flock) == Held(2, 3000)


async def test_processes_race_for_the_last_places_of_all_shards(
    flock: Flock, server_url: str, flock_name: str
) -> None:  # fmt: skip
    await limit(flock, "filler", notes=40)
    filling = [Peer("fill", url=server_url, flock=flock_name, agent="filler", count=60) for _ in range(2)]
    async with peers(*filling):
        for peer in filling:
            peer.go()
        written = [await peer.hear("done", timeout=40) for peer in filling]
        refused = [await peer.hear("refused") for peer in filling]
    assert sum(written) == 40
    assert {text.partition(":")[0] for text in refused} == {"agent filler may keep 40 notes and has 40"}
    assert (sum(await shares(flock, "filler")), (await held(flock, "filler")).notes) == (40, 40)


async def test_many_at_once_get_all_that_there_is(flock: Flock) -> None:
    await limit(flock, "main", notes=30)
    keys = [key for shard in (0, 1) for key in keys_of(shard)[:30]]
    written = await asyncio.gather(*[flock.memory.put("x", key=key) for key in keys], return_exceptions=True)
    refused = [one for one in written if isinstance(one, BaseException)]
    assert {type(one) for one in refused} == {AgentLimitExceeded}
    assert len(refused) == 30
    assert (await held(flock)).notes == 30


class Spreader(Actor):
    """Puts a note under a key that any shard may have."""

    retry = Retry(1)

    @on(Given)
    async def put(self, given: Given, ctx: Context[Any]) -> Doubled:
        await ctx.memory.put(f"{given.n:5}", key=f"spread/{given.n}", sources=())
        return Doubled(given.n, "")


async def test_notes_that_go_through_outboxes_are_judged_where_they_are_put(flock: Flock) -> None:
    await limit(flock, "Spreader", notes=12)
    async with flock.work(Spreader):
        await asyncio.gather(*[flock.append(Given(n)) for n in range(30)])
        await wait_until(lambda: has_parked(flock, 18), timeout=30)
        await wait_until(lambda: holds(flock, "Spreader", 12), timeout=30)
        assert sum(await shares(flock, "Spreader")) == 12
        errors = {parked.error async for parked in flock.dead.list()}
        assert errors == {"AgentLimitExceeded"}
    assert await held(flock, "Spreader") == Held(12, 60)
    assert (await verify(shards_of(flock))).is_clean


async def has_parked(flock: Flock, count: int) -> bool:
    return await flock.dead.count() == count


async def holds(flock: Flock, agent: str, count: int) -> bool:
    return (await held(flock, agent)).notes == count


async def test_a_share_that_was_lost_is_told_of_and_comes_back_with_the_limit(flock: Flock) -> None:
    await limit(flock, "main", notes=9)
    first, second, _ = shards_of(flock)
    name = (await first.run("share", "main", "look"))[4]
    assert await first.run("share", "main", "take", 0, 2**53, name) == [b"3", b"0"]  # and its process died
    keys = keys_of(1)
    for key in keys[:6]:
        await flock.memory.put("x", key=key)
    with pytest.raises(AgentLimitExceeded, match="may keep 9 notes and has 9"):
        await flock.memory.put("x", key=keys[6])
    await limit(flock, "main", notes=9)
    assert await second.run("share", "main", "give", 3, 0, name) == [b"none"], "of limits that are no more"
    for key in keys[6:9]:
        await flock.memory.put("x", key=key)
    with pytest.raises(AgentLimitExceeded):
        await flock.memory.put("x", key=keys[9])
    assert sum(await shares(flock)) == 9
