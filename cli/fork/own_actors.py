"""Working for a fork of what a user's own actors have made, until nothing of it is pending any more."""

from __future__ import annotations

import asyncio
from typing import Any

import orjson

from roost.actors import Flock
from roost.actors.keyed import AnyWorker
from roost.actors.mapreduce import unless_failed
from roost.actors.replay.fork import Fork
from roost.actors.worker import inbox_name
from roost.streams import Inbox

LOOK_S = 0.2


async def work_until_done(flock: Flock, fork: Fork) -> dict[str, Any]:
    """What its deliveries came to. Its inboxes are taken away in the end, with what they hold if it is stopped."""
    workers: list[AnyWorker] = []
    done = False
    try:
        async with flock.work(*fork.crew, run=fork.run) as workers:
            await unless_failed(workers, _until_done(flock, fork))
        done = True
    finally:
        for worker in workers:
            await worker.take_away(drop=not done)
    counts = {"handled": 0, "retried": 0, "parked": 0}
    async for event in flock.log.read(fork.since):
        name = event.type.removeprefix("delivery.")
        if event.run == fork.run and event.type.startswith("delivery.") and name in counts:
            counts[name] += 1
    return counts


async def _until_done(flock: Flock, fork: Fork) -> None:
    """Until its inboxes are empty, nothing of it is in hand, and no timer of it is set."""
    while True:
        before = await flock.log.last()
        if await _is_done(flock, fork) and await flock.log.last() == before:  # each commit would show in the log
            return
        await asyncio.sleep(LOOK_S)


async def _is_done(flock: Flock, fork: Fork) -> bool:
    for actor in fork.crew:
        state = await Inbox(flock.shard, inbox_name(actor.name, fork.run), "").state()
        if state.length or state.pending or state.waiting:
            return False
    cursor: Any = 0
    letters, name = flock.shard.keys.key("letters"), fork.run.encode()
    while True:
        cursor, page = await flock.shard.command("HSCAN", letters, cursor, "COUNT", 500)
        if any(name in letter and _run_of(letter) == fork.run for letter in page.values()):
            return False
        if int(cursor) == 0:
            return True


def _run_of(letter: bytes) -> str | None:
    meta: dict[str, Any] = orjson.loads(orjson.loads(letter)[2])
    return meta.get("run")
