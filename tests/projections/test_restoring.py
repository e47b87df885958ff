"""A flock that was lost comes back from its mirror as it was: every event byte for byte, every note with its content."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from roost_tests.core import happened
from roost_tests.crew import events_of
from roost_tests.mirror_source import Messages, mirror_of, read_logs
from roost_tests.playing import LARGE
from roost_tests.waiting import wait_until

from roost.actors import Actor, Context, Flock, on
from roost.actors.stored_states import StoredStates
from roost.projections.mirror_reading import MirrorIncomplete, MirrorReading
from roost.projections.restoring import Restored, find_bounds, restore
from roost.projections.retention import archive
from roost.projections.verify import verify
from roost.streams import Connection, Event, Keys, NoteNotFound, Position, RoostError, Shard
from roost.streams import event as declare
from roost.streams.archive.store import Store
from roost.streams.every_shard import find_shards
from roost.streams.kafka.chunk import chunks_of
from roost.streams.kafka.spool import Spool, SpoolFull

PATIENCE = timedelta(seconds=60)
BLINK = timedelta(milliseconds=1)


@declare("restored.counted")
@dataclass(frozen=True, slots=True)
class Counted:
    n: int


@declare("restored.added")
@dataclass(frozen=True, slots=True)
class Added:
    n: int


@dataclass(frozen=True, slots=True)
class Sum:
    n: int = 0


class Adder(Actor):
    """Adds up, and tells the world."""

    state = Sum

    def evolve(self, state: Sum, event: object) -> Sum:
        return Sum(state.n + event.n) if isinstance(event, Added) else state

    @on(Counted, key=lambda counted: f"k{counted.n % 3}")
    async def add(self, counted: Counted, ctx: Context[Sum]) -> Added:
        await ctx.effect(f"told/{counted.n}", self.tell)
        page = await ctx.memory.once(f"page/{counted.n}", lambda: self.read(counted.n))
        return Added(len(page.text))

    async def tell(self, key: str) -> str:
        return key

    async def read(self, n: int) -> str:
        return f"page {n}"


async def play(flock: Flock) -> None:
    """Something of all that a log may have."""
    async with flock.work(Adder(), run="r1"):
        await flock.append(*[Counted(n) for n in range(6)], run="r1")

        async def handled() -> bool:
            return len(await events_of(flock, "delivery.handled")) == 6

        await wait_until(handled)
    await flock.memory.put("kept", tags=["t"])
    await flock.memory.put(LARGE * 12, key="large")
    await flock.memory.put("")
    await flock.memory.forget((await flock.memory.put("forgotten")).id)
    await flock.memory.put("kept by another")
    await flock.memory.forget((await flock.memory.put("kept by another")).id)
    await flock.memory.put("soon over", key="over", ttl=BLINK)

    async def expired() -> bool:
        return bool(await events_of(flock, "note.expired"))

    for notes in [flock.notes] if flock.shards == 1 else []:
        await notes.expire()
    await wait_until(expired)


async def shards_of(connection: Connection, name: str) -> list[Shard]:
    shards = await find_shards(connection.client, name, patience=PATIENCE)
    for shard in shards:
        await shard.open()
    return shards


async def make(connection: Connection, name: str, count: int = 1) -> list[Shard]:
    await Shard(connection.client, Keys(name), patience=PATIENCE).make(None, count)
    return await shards_of(connection, name)


async def bring_back(
    messages: Messages, shards: Sequence[Shard], *, until_ms: int | None = None, partial: bool = False
) -> Restored:
    spool = Spool()
    try:
        reading = MirrorReading(messages, spool, until_ms=until_ms, partial=partial)
        await reading.find_places()
        await reading.read(await find_bounds(shards, messages.name, messages.flock, until_ms))
        return await restore(reading, shards, messages.flock)
    finally:
        spool.close()


@pytest.mark.parametrize("count", [1, 3])
async def test_every_event_and_every_note_comes_back_as_it_was(
    connection: Connection, server_url: str, flock_name: str, count: int
) -> None:
    async with Flock.open(flock_name, server_url, shards=count) as flock:
        await play(flock)
    origin = await shards_of(connection, flock_name)
    messages = await mirror_of(origin)
    assert any(message.value is None for message in messages.parts)

    target = await make(connection, f"{flock_name}-back", count)
    done = await bring_back(messages, target)
    logs = await read_logs(origin)
    assert await read_logs(target) == logs
    assert (done.events, done.forgotten, done.resumed) == (sum(map(len, logs)), 0, False)
    verdict = await verify(target, content=True)
    assert (verdict.is_clean, verdict.causes_checked) == (True, True), verdict.findings
    assert verdict.contents == (await verify(origin, content=True)).contents
    for shard, back in zip(origin, target, strict=True):
        for kind in ("versions", "keys", "refs", "expired"):
            assert await back.command("HGETALL", back.keys.key(kind)) == await shard.command(
                "HGETALL", shard.keys.key(kind)
            )
    forgotten = hashlib.sha256(b"forgotten").hexdigest()
    assert not [1 for shard in target if await shard.command("EXISTS", shard.keys.key("blob", forgotten))]

    # It goes on from there: states are folded of what came back, effects are known.
    async with Flock.open(f"{flock_name}-back", server_url) as flock:
        async with flock.work(Adder(), run="r2"):
            await flock.append(*[Counted(n) for n in range(6)], run="r2")

            async def handled() -> bool:
                return len(await events_of(flock, "delivery.handled")) == 12

            await wait_until(handled)
        assert len(await events_of(flock, "effect.intended")) == 6
        assert [difference async for difference in StoredStates(target, Adder()).differences()] == []
        states = [await shard.command("HGETALL", shard.keys.key("state", "Adder")) for shard in target]
        assert sorted(value for held in states for value in _flat(held)) == [b'4 {"n":24}'] * 3
    assert (await verify(target, content=True)).is_clean


def _flat(reply: Any) -> list[bytes]:
    return list(reply.values()) if isinstance(reply, dict) else reply[1::2]
