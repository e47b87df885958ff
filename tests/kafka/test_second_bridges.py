"""Two bridges of one flock, as processes: one mirrors, and the other says why it does not."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import pytest
from roost_tests.command import RoostCommand
from roost_tests.doomed_bridge import MOMENTS, DoomedBridge, Fate
from roost_tests.mirrored import assert_mirrored
from roost_tests.waiting import wait_until

from roost import event
from roost.actors import Flock
from roost.streams.kafka.access import KafkaAccess
from roost.streams.kafka.places import read_place
from roost.streams.kafka.topics import Topics

SOON_S = 60
Start = Callable[..., Awaitable[DoomedBridge]]


@event("tide.turned")
@dataclass(frozen=True, slots=True)
class Turned:
    number: int


@pytest.fixture
async def start(roost: RoostCommand, bootstrap: str) -> AsyncIterator[Start]:
    """Starts bridges as processes of their own: `one = await start("--standby", log="one")`."""
    bridges: list[DoomedBridge] = []

    async def begin(*options: str, **more: Any) -> DoomedBridge:
        bridges.append(await DoomedBridge.start(roost, bootstrap, *options, **more))
        return bridges[-1]

    yield begin
    for bridge in bridges:
        bridge.kill()
        await bridge.end()


async def turn(flock: Flock, count: int) -> None:
    await flock.append(*[Turned(number) for number in range(count)], subject="tide")


async def wait_until_mirrored(flock: Flock, access: KafkaAccess, topics: Topics) -> None:
    last = await flock.log.last()

    async def is_there() -> bool:
        place = await read_place(access, topics, flock.shard.number)
        return place is not None and place.at == last

    await wait_until(is_there, timeout=SOON_S, every=0.1)


async def test_a_second_bridge_says_that_there_is_one_and_ends(
    flock: Flock, start: Start, access: KafkaAccess, topics: Topics
) -> None:
    await turn(flock, 10)
    first = await start(log="first", lease=timedelta(seconds=15))
    await wait_until_mirrored(flock, access, topics)
    second = await start(log="second", lease=timedelta(seconds=15))
    assert await second.end() == 1
    told = second.said.splitlines()[-1]
    assert f"process {first.process.pid} on " in told
    assert "--standby" in told
    assert "Traceback" not in second.said
    await turn(flock, 10)
    await wait_until_mirrored(flock, access, topics)
    first.process.terminate()
    assert await first.end() == 0, first.said
    await assert_mirrored(access, topics, flock.shard)


@pytest.mark.parametrize("moment", [*MOMENTS])
async def test_a_bridge_that_stood_still_for_too_long_is_fenced_by_its_heir_and_says_so(
    flock: Flock, start: Start, access: KafkaAccess, topics: Topics, moment: str
) -> None:
    """Whatever it was about to do when it stopped."""
    await turn(flock, 90)
    zombie = await start(log="zombie", fate=Fate(moment, 1 if moment == "fenced" else 2, "STOP"), batch=30)
    await wait_until(lambda: zombie.stands_still, timeout=SOON_S)
    heir = await start("--standby", log="heir")
    await turn(flock, 100)
    await wait_until_mirrored(flock, access, topics)
    zombie.thaw()
    assert await zombie.end() == 1, zombie.said
    told = zombie.said.splitlines()[-1]
    assert f"process {heir.process.pid} on " in told
    assert "has taken the mirror of flock" in told
    assert "Traceback" not in zombie.said
    await turn(flock, 10)
    await wait_until_mirrored(flock, access, topics)
    heir.process.terminate()
    assert await heir.end() == 0, heir.said
    await assert_mirrored(access, topics, flock.shard)


async def test_who_stands_by_goes_on_when_the_other_is_killed_or_ends(
    flock: Flock, start: Start, access: KafkaAccess, topics: Topics
) -> None:
    await turn(flock, 60)
    bridges = [await start(log="bridge 0")]
    await wait_until_mirrored(flock, access, topics)  # or the next one may be the first
    for number in (1, 2):
        bridges.append(await start("--standby", log=f"bridge {number}"))
        await wait_until(lambda: "waiting until it ends" in bridges[-1].said, timeout=SOON_S)
        await turn(flock, 60)
        await wait_until_mirrored(flock, access, topics)
        if number == 1:
            bridges[0].kill()
        else:
            bridges[1].process.terminate()
        assert await bridges[number - 1].end() == (-9 if number == 1 else 0)
        await turn(flock, 60)
        await wait_until_mirrored(flock, access, topics)
    await assert_mirrored(access, topics, flock.shard)
