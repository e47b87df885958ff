"""Agents keep within what they may, whatever way they write: processes, handlers, computations, several shards."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import pytest
from roost_tests.crew import events_of
from roost_tests.peer import Peer, peers
from roost_tests.waiting import wait_until

from roost.actors import Actor, Context, Flock, Retry, on
from roost.projections import compare_with_server
from roost.projections.rebuild import rebuild
from roost.streams import AgentLimitExceeded, AgentLimits, LimitExceeded, Reader, event
from roost.streams.agent_limits import Held, limit_agent, read_held
from roost.streams.every_shard import find_shards

Join = Callable[..., Awaitable[Flock]]
PATIENCE = timedelta(seconds=20)


async def limit(flock: Flock, agent: str, **limits: Any) -> None:
    shards = await find_shards(flock.connection.client, flock.name, patience=PATIENCE)
    for shard in shards:
        await shard.open(shards[0].settings)
    await limit_agent(shards, agent, AgentLimits(**limits) if limits else None, Reader("operator"))


async def held(flock: Flock, agent: str) -> Held:
    counted, whole = await read_held(await find_shards(flock.connection.client, flock.name, patience=PATIENCE))
    assert whole
    return counted.get(agent, Held())


async def test_processes_of_an_agent_share_its_places(flock: Flock, settings: dict[str, Any]) -> None:
    await limit(flock, "filler", notes=50)
    filling = [Peer("fill", **settings, agent="filler", count=60) for _ in range(2)]
    async with peers(*filling):
        for peer in filling:
            peer.go()
        written = [await peer.hear("done", timeout=30) for peer in filling]
        refused = [await peer.hear("refused") for peer in filling]
    assert sum(written) == 50
    assert {text.partition(":")[0] for text in refused} == {"agent filler may keep 50 notes and has 50"}
    assert (await held(flock, "filler")).notes == 50
    assert len(await events_of(flock, "note.written")) == 50


async def test_an_agent_at_its_limit_computes_nothing_and_gets_what_others_have(join: Join) -> None:
    full, other = await join(agent="full"), await join(agent="other")
    await limit(full, "full", notes=1)
    await full.memory.put("all there is room for")
    computed: list[str] = []

    async def compute() -> str:
        computed.append("once")
        return "an answer"

    for _ in range(2):
        with pytest.raises(AgentLimitExceeded):
            await full.memory.once("k", compute)
    assert computed == []
    await other.memory.once("k", compute)
    assert (await full.memory.once("k", compute)).text == "an answer"
    assert computed == ["once"]


async def test_a_computed_note_that_is_too_large_leaves_no_claim_behind(join: Join) -> None:
    small, other = await join(agent="small"), await join(agent="other")
    await limit(small, "small", bytes=100)

    async def compute() -> str:
        return "x" * 200

    with pytest.raises(LimitExceeded, match="may keep 100 bytes of notes and has 0: 200 more are refused"):
        await small.memory.once("k", compute)
    assert [event.data["error"] for event in await events_of(small, "work.failed")] == ["AgentLimitExceeded"]
    assert (await other.memory.once("k", compute)).size == 200
    with pytest.raises(LimitExceeded):
        await small.memory.put("y" * 70_000)  # one that is uploaded first


@event("limits.page_found")
@dataclass(frozen=True, slots=True)
class PageFound:
    n: int


@event("limits.page_kept")
@dataclass(frozen=True, slots=True)
class PageKept:
    n: int


class Hoarder(Actor):
    """Keeps each page, and tells of it."""

    retry = Retry(2, timedelta(milliseconds=10))

    @on(PageFound)
    async def keep(self, found: PageFound, ctx: Context[Any]) -> PageKept:
        await ctx.memory.put(f"page {found.n}")
        return PageKept(found.n)


async def test_a_delivery_that_would_pass_a_limit_is_parked_whole_and_goes_on_when_there_is_room(flock: Flock) -> None:
    await limit(flock, "Hoarder", notes=2)
    async with flock.work(Hoarder):
        await flock.append(*[PageFound(n) for n in range(3)])
        await wait_until(flock.dead.count, timeout=20)
        await wait_until(lambda: has_kept(flock, 2), timeout=20)
        [parked] = [parked async for parked in flock.dead.list()]
        assert (parked.error, parked.attempts) == ("AgentLimitExceeded", 2)
        assert await held(flock, "Hoarder") == Held(2, 12)
        await limit(flock, "Hoarder", notes=3)
        await flock.dead.retry(parked)
        await wait_until(lambda: has_kept(flock, 3), timeout=20)
    assert (await held(flock, "Hoarder")).notes == 3


async def has_kept(flock: Flock, count: int) -> bool:
    return len(await events_of(flock, "limits.page_kept")) == count


async def test_a_rebuild_keeps_the_counts_also_of_notes_that_it_puts_right(flock: Flock) -> None:
    await limit(flock, "*", notes=10)
    notes = [await flock.memory.put(f"note {number}") for number in range(6)]
    await flock.memory.forget(notes[0].id)
    key, ask = flock.shard.keys.key, flock.shard.command
    before = await ask("HGETALL", key("counted"))
    # Somebody has written by hand: one is another's now, one is gone, one never was.
    await ask("HSET", key("note", notes[1].id), "record", b'{"author":"other"}')
    await ask("DEL", key("note", notes[2].id))
    await ask("HSET", key("note", "f" * 24), "record", b"{}", "size", 9, "counted", "x main")
    await rebuild(flock.shard, "notes")
    after = await ask("HGETALL", key("counted"))
    assert int(after.pop(b"notes main")) == int(before.pop(b"notes main")) + 1, "who took it away told no count"
    assert await compare_with_server(flock.shard) is None
    for note in notes[1:]:
        await flock.memory.forget(note.id)
    assert (await held(flock, "main")).notes == 1
    await limit(flock, "*")
    await limit(flock, "*", notes=10)
    assert await held(flock, "main") == Held(), "counted anew"
