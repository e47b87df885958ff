"""Bridges are killed at all moments, and the broker with them: what stands in Kafka is the log, each event once."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import timedelta

import pytest
from roost_tests.command import RoostCommand
from roost_tests.consumed import assert_consumed
from roost_tests.crew import tell
from roost_tests.doomed_bridge import MOMENTS, DoomedBridge, Fate
from roost_tests.kafka import KafkaBroker
from roost_tests.mirrored import assert_mirrored, contents_in, records_of

from roost import event
from roost.actors import Flock
from roost.streams import Shard
from roost.streams.every_shard import find_shards
from roost.streams.kafka.access import KafkaAccess
from roost.streams.kafka.topics import Topics

LOT = 25
SUBJECTS = 40
CONTENTS = 20


@event("storm.hail_fell")
@dataclass(frozen=True, slots=True)
class HailFell:
    number: int
    where: str
    text: str


@dataclass
class Storm:
    """What is to be, and what has been so far. `share`: how much of the events there may be yet."""

    flock: Flock
    chance: random.Random
    events: int
    share: float = 0.0
    appended: int = 0
    contents: list[bytes] = field(default_factory=list[bytes])
    fates: list[str] = field(default_factory=list[str])

    async def append(self) -> None:
        """All events, in lots, of which each goes to one subject; large contents now and then."""
        while self.appended < self.events:
            if self.appended >= self.share * self.events:
                await asyncio.sleep(0.01)
                continue
            count = min(self.chance.randint(1, 2 * LOT), self.events - self.appended)
            subject = f"field/{self.chance.randrange(SUBJECTS)}"
            texts = ["ab\u00ff\u2603\n" * self.chance.randint(0, 60) for _ in range(count)]
            lot = [HailFell(self.appended + number, subject, text) for number, text in enumerate(texts)]
            await self.flock.append(*lot, subject=subject)
            self.appended += count
            if len(self.contents) < CONTENTS * self.appended / self.events:
                content = self.chance.randbytes(self.chance.randint(100_000, 1_200_000))
                await self.flock.memory.put(content)
                self.contents.append(content)
            await asyncio.sleep(self.chance.uniform(0, 0.05))


@pytest.mark.parametrize(
    ("kills", "events", "seed"), [(5, 3_000, 1), pytest.param(50, 50_000, 2, marks=pytest.mark.long)]
)
@pytest.mark.timeout(1_500)
async def test_whenever_bridges_are_killed_and_the_broker_too_each_event_stands_once_and_in_order(
    broker: KafkaBroker, roost: RoostCommand, server_url: str, flock_name: str, kills: int, events: int, seed: int
) -> None:
    chance = random.Random(seed)
    broker.start()
    await broker.ready()
    async with Flock.open(flock_name, server_url, shards=2) as flock:
        storm = Storm(flock, chance, events)
        appending = asyncio.create_task(storm.append())
        try:
            for number in range(1, kills + 1):
                storm.share = number / kills
                away = {(kills + 1) // 2: broker.stop, 3 * kills // 4 + 1: broker.kill}.get(number)
                await _live(storm, roost, broker, away)
            await appending
            last = await DoomedBridge.start(roost, broker.bootstrap, "--standby", "--once")
            assert await last.end() == 0, last.said[-3000:]
            shards = await find_shards(flock.connection.client, flock_name, patience=timedelta(seconds=5))
            await _compare(shards, KafkaAccess(broker.bootstrap), Topics("roost", flock_name), storm)
        except BaseException as error:
            error.add_note(f"seed {seed}, {storm.appended} events; ends: {', '.join(storm.fates)}")
            raise
        finally:
            appending.cancel()
            await asyncio.wait([appending])
    tell(f"seed {seed}: {storm.appended} events, {len(storm.contents)} contents, ends: {', '.join(storm.fates)}")


async def _live(storm: Storm, roost: RoostCommand, broker: KafkaBroker, away: Callable[[], None] | None) -> None:
    """One bridge, from its start to its end by SIGKILL; `away` has the broker end under it."""
    chance = storm.chance
    fate = None if away or chance.random() < 0.4 else Fate(chance.choice(list(MOMENTS)), chance.randint(1, 3))
    bridge = await DoomedBridge.start(roost, broker.bootstrap, "--standby", fate=fate)
    if away is not None:
        await asyncio.sleep(chance.uniform(1.5, 2.5))  # it has begun by then, mostly
        await asyncio.to_thread(away)
        await asyncio.sleep(chance.uniform(0, 1))
        broker.start()
        if chance.random() < 0.5:
            await broker.ready()
    with suppress(TimeoutError):  # nobody knows how often the moment comes
        async with asyncio.timeout(12 if fate else chance.uniform(0, 4)):
            await bridge.process.wait()
            storm.fates.append(str(fate))
    if bridge.process.returncode is None:
        storm.fates.append(away.__name__ if away else "at random")
        bridge.kill()
    assert await bridge.end() == -9, bridge.said[-3000:]
    await broker.ready()


async def _compare(shards: list[Shard], access: KafkaAccess, topics: Topics, storm: Storm) -> None:
    records = await records_of(access, topics.events)
    await assert_consumed(records, shards)
    assert sum(1 for *_, headers in records if dict(headers)["ce_type"] == b"storm.hail_fell") == storm.events
    for shard in shards:
        await assert_mirrored(access, topics, shard)
    assert sorted((await contents_in(access, topics)).values()) == sorted(storm.contents)
