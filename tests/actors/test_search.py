"""Search over the live notes of a flock."""

from __future__ import annotations

from datetime import timedelta

from roost_tests.crew import Given, events_of

from roost.actors import Flock
from roost.actors.search import newest_notes, search
from roost.streams.log import PAGE


async def found_by(flock: Flock, text: str, **more: object) -> list[str | None]:
    found = await search(flock.shard, text, **more)  # type: ignore[arg-type]  # a test passes them on
    return [hit.record.key for hit in found.hits]


async def test_the_note_that_says_most_of_it_comes_first(flock: Flock) -> None:
    await flock.memory.put("Wrens sing. Owls do not.", key="both")
    await flock.memory.put("Owls, owls and owls at night.", key="owls")
    await flock.memory.put("Herons fish.", key="herons")
    assert await found_by(flock, "An owl at night?") == ["owls", "both"]
    assert await found_by(flock, "fishing") == ["herons"]
    assert await found_by(flock, "the and of") == []
    assert await found_by(flock, "cormorants") == []


async def test_keys_and_tags_count_and_binary_content_does_not(flock: Flock) -> None:
    await flock.memory.put(b"owls in bytes", key="image/heron.png")
    await flock.memory.put({"bird": "wren"}, key="data", tags=["cormorant"])
    assert await found_by(flock, "owls") == []
    assert await found_by(flock, "heron") == ["image/heron.png"]
    assert await found_by(flock, "cormorant") == await found_by(flock, "wren") == ["data"]


async def test_only_live_notes_with_all_tags_of_that_author_are_found(flock: Flock) -> None:
    await flock.memory.put("owls", key="old", ttl=timedelta(milliseconds=1))
    forgotten = await flock.memory.put("owls", key="forgotten")
    await flock.memory.forget(forgotten.id)
    await flock.memory.put("owls", key="one", tags=["a"])
    await flock.memory.put("owls", key="two", tags=["a", "b"])
    async with flock.acting("wren"):
        await flock.memory.put("owls", key="three", tags=["b", "a"])
    assert set(await found_by(flock, "owls")) == {"one", "two", "three"}
    assert set(await found_by(flock, "owls", tags=["b", "a"])) == {"two", "three"}
    assert await found_by(flock, "owls", author="wren") == ["three"]


async def test_a_bounded_number_of_the_newest_is_compared_and_said(flock: Flock) -> None:
    for n in range(8):
        await flock.memory.put(f"owl number {n}", key=str(n))
    found = await search(flock.shard, "owl", look_at=5, limit=3)
    assert (len(found.hits), found.looked_at, found.complete) == (3, 5, False)
    assert {hit.record.key for hit in found.hits} <= {"3", "4", "5", "6", "7"}
    assert (await search(flock.shard, "owl", look_at=8)).complete
    assert [record.key async for record in newest_notes(flock.shard) if record] == list("76543210")


async def test_what_is_compared_is_not_logged_as_read(flock: Flock) -> None:
    await flock.memory.put("owls", key="a")
    before = [event.id for event in await events_of(flock)]
    await search(flock.shard, "owls")
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
