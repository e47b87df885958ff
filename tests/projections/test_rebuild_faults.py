"""A rebuild that dies, is doubled, or meets others at work: what is served stays right, and can be made anew."""

from __future__ import annotations

import asyncio
import os
import random
import signal
import sys
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager, suppress
from datetime import timedelta
from functools import partial

import orjson
from roost_tests.playing import computing
from roost_tests.waiting import wait_until

from roost.actors import Flock
from roost.projections.rebuild import rebuild
from roost.projections.verify import verify
from roost.streams import Event, Keys, Shard, Unit, connect
from roost.streams.refold import Folded, Hold, Refold

PROGRAM = """
import asyncio, os, signal, sys
from datetime import timedelta
from roost.projections.rebuild import rebuild
from roost.streams import Keys, Shard, connect

async def again_and_again():
    async with await connect(sys.argv[1]) as connection:
        while True:
            await rebuild(Shard(connection.client, Keys(sys.argv[2])))

signal.signal(signal.SIGCHLD, signal.SIG_IGN)
for line in sys.stdin:
    child = os.fork()
    if not child:
        asyncio.run(again_and_again())
    print(child, flush=True)
"""


async def leftovers(shard: Shard) -> list[bytes]:
    found: list[bytes] = []
    for kind in ("fresh", "refold"):
        found += await shard.command("KEYS", f"{shard.keys.prefix}{kind}:*")
    return found


@asynccontextmanager
async def writing(flock: Flock, writers: int = 4) -> AsyncGenerator[list[str]]:
    """Notes are put, found, computed, forgotten and expire meanwhile; the IDs of those put by key."""
    ended, written = asyncio.Event(), list[str]()

    async def write(number: int) -> None:
        while not ended.is_set():
            note = await flock.memory.put("content", key=f"k{number}/{len(written) % 50}")
            written.append(note.id)
            await flock.memory.put("soon gone", ttl=timedelta(milliseconds=1))
            if random.random() < 0.1:
                await flock.memory.once(f"c{len(written)}", computing("computed"))
                await flock.memory.forget(note.id)
                await flock.notes.expire()

    tasks = [asyncio.create_task(write(number)) for number in range(writers)]
    try:
        yield written
    finally:
        ended.set()
        await asyncio.gather(*tasks)


async def test_a_rebuilder_that_is_killed_at_any_moment_leaves_a_flock_that_works(
    server_url: str, flock_name: str
) -> None:
    async with Flock.open(flock_name, server_url) as flock:
        await flock.writer.write(_many())
        pipe = asyncio.subprocess.PIPE
        program = await asyncio.create_subprocess_exec(
            sys.executable, "-c", PROGRAM, server_url, flock_name, stdin=pipe, stdout=pipe
        )
        assert program.stdin is not None
        assert program.stdout is not None
        async with writing(flock) as written:
            for _ in range(12):
                program.stdin.write(b"\n")
                child = int(await program.stdout.readline())
                before = len(written)
                await asyncio.sleep(random.uniform(0.01, 0.15))  # any moment of the rebuild
                os.kill(child, signal.SIGKILL)
                await wait_until(partial(_has_more, written, before))
        program.stdin.close()
        await program.wait()
        assert (await verify([flock.shard])).is_clean
        await rebuild(flock.shard)
        assert (await verify([flock.shard], content=True)).is_clean
        assert await leftovers(flock.shard) == []


def _has_more(written: list[str], before: int) -> bool:
    return len(written) > before


def _many() -> Unit:
    unit = Unit()
    for number in range(250):
        unit.event(Event(type="thing.happened", subject=f"thing/{number}"))
    return unit


async def test_rebuilders_at_once_fold_nothing_twice(server_url: str, flock_name: str) -> None:
    async with Flock.open(flock_name, server_url) as flock, await connect(server_url) as connection:
        others = [Shard(connection.client, Keys(flock_name)) for _ in range(3)]
        await flock.writer.write(_many())
        async with writing(flock):
            for _ in range(3):
                done = await asyncio.gather(*[rebuild(shard) for shard in others], rebuild(flock.shard, "notes"))
                assert all(each.events for each in done)
        assert (await verify([flock.shard])).is_clean
        assert await leftovers(flock.shard) == []


async def test_a_rebuild_that_is_cut_off_anywhere_is_gone_on_with(server_url: str, flock_name: str) -> None:
    async with Flock.open(flock_name, server_url) as flock, await connect(server_url) as connection:
        other = Shard(connection.client, Keys(flock_name))
        async with writing(flock, 2):
            for _ in range(40):
                task = asyncio.create_task(rebuild(other))
                await asyncio.sleep(random.uniform(0, 0.03))  # any moment of the rebuild
                task.cancel()
                with suppress(asyncio.CancelledError):
                    await task
        assert (await verify([flock.shard])).is_clean
        await rebuild(flock.shard)
        assert (await verify([flock.shard])).is_clean
        assert await leftovers(flock.shard) == []


async def test_a_flock_at_work_is_verified_and_a_change_by_hand_is_found_meanwhile(
    server_url: str, flock_name: str
) -> None:
    async with Flock.open(flock_name, server_url) as flock:
        quiet = await flock.memory.put("stays")
        async with writing(flock):
            assert (await verify([flock.shard])).is_clean
            await flock.shard.command("HSET", flock.shard.keys.key("note", quiet.id), "size", "9")
            found = await verify([flock.shard])
            assert [finding.what for finding in found.findings] == [f"size of note {quiet.id}"]


async def test_a_checkpoint_that_is_not_the_stored_one_folds_nothing(server_url: str, flock_name: str) -> None:
    async with Flock.open(flock_name, server_url) as flock:
        await flock.writer.write(_many())
        refold = Refold(flock.shard, "notes")
        first, again = await refold.fold("", 100), await refold.fold("", 100)
        assert isinstance(first, Folded)
        assert again == Folded(first.checkpoint, first.events, is_stale=True)
        while await refold.drop(whole=True) == "more":
            pass
        assert await leftovers(flock.shard) == []


async def test_what_was_changed_after_a_crashed_rebuild_had_compared_it_is_mended_all_the_same(
    server_url: str, flock_name: str
) -> None:
    async with Flock.open(flock_name, server_url) as flock:
        note = await flock.memory.put("a finding")
        crashed = Refold(flock.shard, "both")
        assert isinstance(await crashed.fold(""), Folded)
        assert await crashed.compare("") == "end"
        await flock.shard.command("HSET", flock.shard.keys.key("note", note.id), "size", "99")
        assert (await rebuild(flock.shard)).mended == 1
        assert (await verify([flock.shard])).is_clean


async def test_a_plain_client_writes_when_the_hold_has_ended(server_url: str, flock_name: str) -> None:
    async with Flock.open(flock_name, server_url) as flock:
        await flock.memory.put("before")
        generation = await flock.shard.command("HGET", flock.shard.keys.key("meta"), "generation")
        await Hold(flock.shard, "dead").take(timedelta(milliseconds=200))
        held = await flock.shard.command("HGET", flock.shard.keys.key("meta"), "generation")
        event = ["e", "thing/1", "thing.happened", b'{"id":"a","time":1}', b"{}", ""]

        async def write(generation: bytes) -> list[bytes]:
            words = [generation, "plain", 1, "token", 60_000, 1, 1, *event]
            answer: list[bytes] = await flock.shard.run("write", *words)
            return answer

        assert (await write(generation))[0] == (await write(held))[0] == b"routes"

        async def hold_is_over() -> bool:
            return not (await write(held))[1].startswith(b"held:")

        await wait_until(hold_is_over)
        _, after = await write(held)
        assert (await write(after))[0] == b"ok"


async def test_who_subscribes_during_a_hold_does_not_end_it(server_url: str, flock_name: str) -> None:
    async with Flock.open(flock_name, server_url) as flock:
        hold = Hold(flock.shard, "mine")
        await hold.take(timedelta(seconds=5))
        await flock.shard.run("subscribe", "A", orjson.dumps({"types": ["t"], "run": None}))
        held = await flock.shard.command("HGET", flock.shard.keys.key("meta"), "generation")
        assert held.startswith(b"held:")
        await hold.end()
        await flock.writer.write(Unit().event(Event(type="t", subject="s")))
        assert int(await flock.shard.command("XLEN", flock.shard.keys.key("inbox", "A"))) == 1
