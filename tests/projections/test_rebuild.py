"""Rebuilding what the server keeps by itself: from the log alone, beside what is served."""

from __future__ import annotations

import asyncio
import itertools
from datetime import timedelta
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from roost_tests.playing import LEASE, Playing, computing, steps

from roost.actors import Flock
from roost.projections import compare_with_server
from roost.projections.rebuild import rebuild
from roost.streams import Shard

numbers = itertools.count()


async def served(shard: Shard) -> dict[str, Any]:
    """All that the server keeps of notes and versions."""
    key, ask = shard.keys.key, shard.command
    deadlines = await ask("ZRANGE", key("deadlines"), 0, -1, "WITHSCORES")
    found = {kind: await ask("HGETALL", key(kind)) for kind in ("versions", "keys", "expired", "refs")}
    notes = {note: await ask("HGETALL", key("note", note.decode())) for note in deadlines[::2]}
    return {**found, "deadlines": deadlines, "notes": notes}


async def leftovers(shard: Shard) -> list[bytes]:
    return sorted(
        await shard.command("KEYS", f"{shard.keys.prefix}fresh:*")
        + await shard.command("KEYS", f"{shard.keys.prefix}refold:*")
    )


@given(st.lists(steps, max_size=14))
@settings(max_examples=12, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
async def test_a_rebuild_serves_what_was_served_before_byte_by_byte(
    server_url: str, flock_name: str, played: list[tuple[Any, ...]]
) -> None:
    name = f"{flock_name}-{next(numbers)}"
    async with (
        Flock.open(name, server_url, claim_lease=LEASE) as flock,
        Flock.open(name, server_url, claim_lease=LEASE, agent="other") as other,
        Flock.open(name, server_url, claim_lease=LEASE, agent="aside", sharing="cache") as aside,
    ):
        playing = Playing(flock, other, aside)
        for step in played:
            await playing.play(step)
        before = await served(flock.shard)
        done = await rebuild(flock.shard)
        assert await served(flock.shard) == before
        assert (done.events, done.missing, done.strangers) == (await flock.log.length(), [], 0)
        assert await leftovers(flock.shard) == []


async def test_appends_go_on_behind_a_rebuild(server_url: str, flock_name: str) -> None:
    async with Flock.open(flock_name, server_url) as flock:
        written: list[str] = []
        ended = asyncio.Event()

        async def write() -> None:
            while not ended.is_set():
                written.append((await flock.memory.put("content", key=f"k{len(written) % 7}")).id)

        writers = [asyncio.create_task(write()) for _ in range(8)]
        done = [await rebuild(flock.shard) for _ in range(5)]
        ended.set()
        await asyncio.gather(*writers)
        assert await compare_with_server(flock.shard) is None
        assert (
            len(set(written))
            == len(written)
            == int(await flock.shard.command("ZCARD", flock.shard.keys.key("deadlines")))
        )
        assert all(each.held_s < 1 for each in done)


async def test_a_hold_that_its_holder_left_ends_by_itself(server_url: str, flock_name: str) -> None:
    from roost.streams.refold import Hold

    async with Flock.open(flock_name, server_url) as flock, Flock.open(flock_name, server_url) as other:
        await flock.memory.put("before")
        hold = Hold(flock.shard, "dead")
        assert await hold.take(timedelta(seconds=1)) == 0
        assert await Hold(flock.shard, "another").take(timedelta(seconds=1)) > 0
        begun = asyncio.get_running_loop().time()
        await asyncio.gather(flock.memory.put("after"), other.memory.once("k", computing("x")))
        assert 0.2 < asyncio.get_running_loop().time() - begun < 20
