"""The newest live notes of a flock, read back and compared where there is no index."""

from __future__ import annotations

from roost_tests.crew import Given, events_of

from roost.actors import Flock
from roost.actors.searching.newest import newest_notes, search_newest
from roost.actors.searching.question import Question
from roost.streams.log import PAGE


async def test_a_bounded_number_of_the_newest_is_compared_and_said(flock: Flock) -> None:
    for n in range(8):
        await flock.memory.put(f"owl number {n}", key=str(n))
    found = await search_newest([flock.shard], Question("owl", limit=3), look_at=5)
    assert (len(found.hits), found.looked_at, found.complete) == (3, 5, False)
    assert {hit.record.key for hit in found.hits} <= {"3", "4", "5", "6", "7"}
    assert (await search_newest([flock.shard], Question("owl"), look_at=8)).complete
    assert [record.key async for record in newest_notes(flock.shard) if record] == list("76543210")


async def test_what_is_compared_is_not_logged_as_read(flock: Flock) -> None:
    await flock.memory.put("owls", key="a")
    before = [event.id for event in await events_of(flock)]
    await search_newest([flock.shard], Question("owls"))
    await flock.flush()
    assert [event.id for event in await events_of(flock)] == before


async def test_a_long_log_is_read_back_so_far_and_no_further(flock: Flock) -> None:
    await flock.memory.put("owls", key="old")
    for _ in range(PAGE // 50):
        await flock.append(*[Given(n) for n in range(50)])
    await flock.memory.put("owls", key="new")
    seen = [record and record.key async for record in newest_notes(flock.shard, pages=1)]
    assert seen == ["new", None]
    assert [record and record.key async for record in newest_notes(flock.shard)] == ["new", "old"]
