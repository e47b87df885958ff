"""Memory: what is put is got, found, watched and forgotten; every read is in the log."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import timedelta
from typing import Any

import pytest
from roost_tests.crew import events_of
from roost_tests.waiting import wait_until

from roost.actors import Flock
from roost.streams import LimitExceeded, Note, NoteNotFound
from roost.streams.notes import MAX_NOTE_BYTES

Join = Callable[..., Awaitable[Flock]]


async def reads_of(flock: Flock, note_id: str) -> list[dict[str, Any]]:
    """Who has read a note, how often: as the log tells it."""
    return [
        {"actor": event.actor, "count": event.data["count"]}
        for event in await events_of(flock, "note.read")
        if event.data["note"] == note_id
    ]


@pytest.mark.parametrize(
    "content",
    [
        "text, ö 語 🙂",
        "",
        b"\x00\xff bytes",
        b"",
        {"json": [1, 2.5, None, "x"]},
        [],
        7,
        None,
        "x" * 70_000,
        b"y" * 1_000_000,
    ],
)
async def test_content_comes_back_as_what_it_was(flock: Flock, join: Join, content: Any) -> None:
    note = await flock.memory.put(content)
    assert note.content == content
    elsewhere = await (await join()).memory.get(note.id)
    assert (elsewhere.content, elsewhere.size, elsewhere.id) == (content, note.size, note.id)


async def test_a_note_of_64_mib_is_the_largest(flock: Flock, join: Join) -> None:
    largest = await flock.memory.put(b"z" * MAX_NOTE_BYTES)
    assert (await (await join()).memory.get(largest.id)).size == MAX_NOTE_BYTES
    with pytest.raises(LimitExceeded, match="bytes"):
        await flock.memory.put(b"z" * (MAX_NOTE_BYTES + 1))


async def test_content_that_is_not_json_is_refused(flock: Flock) -> None:
    with pytest.raises(TypeError):
        await flock.memory.put(object())


@pytest.mark.parametrize(
    "bad",
    [{"key": ""}, {"key": "k" * 513}, {"ttl": timedelta(0)}, {"tags": "one"}, {"tags": [""]}, {"tags": ["t"] * 33}],
)
async def test_what_a_note_cannot_have_is_refused(flock: Flock, bad: dict[str, Any]) -> None:
    with pytest.raises(LimitExceeded):
        await flock.memory.put("text", **bad)


async def test_a_key_means_the_note_put_last(flock: Flock, join: Join) -> None:
    await flock.memory.put("old", key="k")
    new = await flock.memory.put("new", key="k")
    found = await (await join()).memory.find("k")
    assert found is not None
    assert (found.id, found.content) == (new.id, "new")
    assert await flock.memory.find("other") is None
    assert [event.data for event in await events_of(flock, "note.missed")] == [{"key": "other"}]


async def test_a_note_that_never_was_is_not_found_and_the_miss_is_logged(flock: Flock) -> None:
    with pytest.raises(NoteNotFound, match="never written"):
        await flock.memory.get("0" * 24)
    assert [event.data for event in await events_of(flock, "note.missed")] == [{"note": "0" * 24}]


async def test_a_note_past_its_deadline_is_gone_cached_or_not(flock: Flock, join: Join) -> None:
    note = await flock.memory.put("short", key="k", ttl=timedelta(seconds=2))
    other = await join()
    await other.memory.get(note.id)
    await wait_until(lambda: not note.is_live)
    for one in (flock, other):
        with pytest.raises(NoteNotFound):
            await one.memory.get(note.id)
        assert await one.memory.find("k") is None


async def test_a_note_may_be_kept_for_ever(flock: Flock) -> None:
    note = await flock.memory.put("kept", ttl=None)
    assert (await flock.memory.get(note.id)).expires is None


async def test_what_is_forgotten_is_gone_at_once_here_and_soon_everywhere(flock: Flock, join: Join) -> None:
    note = await flock.memory.put("secret", key="k")
    other = await join()
    for one in (flock, other):
        await one.memory.get(note.id)
        await one.memory.get(note.id)
    await other.memory.forget(note.id)
    with pytest.raises(NoteNotFound):
        await other.memory.get(note.id)
    assert await flock.memory.find("k") is None
    await wait_until(lambda: is_gone(flock, note.id))
    with pytest.raises(NoteNotFound):
        await flock.memory.forget(note.id)


async def is_gone(flock: Flock, note_id: str) -> bool:
    try:
        await flock.memory.get(note_id)
    except NoteNotFound:
        return True
    return False


async def test_sources_outside_are_what_was_read_before(flock: Flock) -> None:
    async with flock.acting("writer"):
        first, second = await flock.memory.put("1"), await flock.memory.put("2")
        assert second.sources == ()
        await flock.memory.get(first.id)
        await flock.memory.get(second.id)
        await flock.memory.get(second.id)
        built = await flock.memory.put("3")
        assert set(built.sources) == {first.id, second.id}
        assert (await flock.memory.put("4", sources=[first.id])).sources == (first.id,)
    async with flock.acting("another"):
        assert (await flock.memory.put("5")).sources == ()


async def test_reads_outside_are_logged_once_a_second_with_their_count(flock: Flock) -> None:
    note = await flock.memory.put("much read")
    for _ in range(10):
        await flock.memory.get(note.id)
    assert await reads_of(flock, note.id) == [{"actor": "main", "count": 1}]  # the one that Redis served
    await wait_until(lambda: has_reads(flock, note.id, 2), timeout=4)
    assert await reads_of(flock, note.id) == [{"actor": "main", "count": 1}, {"actor": "main", "count": 9}]
    times = [event.time_ms for event in await events_of(flock, "note.read")]
    assert times[1] - times[0] >= 950


async def has_reads(flock: Flock, note_id: str, count: int) -> bool:
    return len(await reads_of(flock, note_id)) >= count


async def test_each_reader_has_its_own_reads_in_the_log(flock: Flock) -> None:
    note = await flock.memory.put("read by two")
    for agent in ("one", "two"):
        async with flock.acting(agent, run="r1"):
            await flock.memory.get(note.id)
    assert [read["actor"] for read in await reads_of(flock, note.id)] == ["one", "two"]
    assert {event.run for event in await events_of(flock, "note.read")} == {"r1"}


async def test_leaving_logs_the_reads_that_nobody_has_logged_yet(flock: Flock, join: Join) -> None:
    note = await flock.memory.put("read at last")
    await flock.memory.get(note.id)
    async with flock.acting("brief"):
        for _ in range(3):
            await flock.memory.get(note.id)
    assert await reads_of(flock, note.id) == [{"actor": "main", "count": 1}, {"actor": "brief", "count": 3}]


async def test_a_cached_read_stands_in_the_log_before_its_effect(flock: Flock) -> None:
    note = await flock.memory.put("source")
    await flock.memory.get(note.id)
    async with flock.acting("writer"):
        await flock.memory.get(note.id)  # from the cache: nothing has been logged yet
        effect = await flock.memory.put("effect")
        kinds = [(event.type, event.actor) for event in await events_of(flock)]
    assert kinds.index(("note.read", "writer")) < kinds.index(("note.written", "writer"))
    assert effect.sources == (note.id,)


async def test_a_refused_append_does_not_swallow_the_reads_before_it(flock: Flock) -> None:
    from roost_tests.crew import Given

    from roost.streams import Conflict

    note = await flock.memory.put("read")
    await flock.memory.get(note.id)
    async with flock.acting("writer"):
        await flock.memory.get(note.id)
        with pytest.raises(Conflict):
            await flock.append(Given(1), subject="s", expected=5)
    assert {"actor": "writer", "count": 1} in await reads_of(flock, note.id)


async def test_more_reads_than_one_step_takes_are_all_logged(flock: Flock) -> None:
    notes = await asyncio.gather(*[flock.memory.put(f"note {n}") for n in range(450)])
    await flock.memory.get_all(note.id for note in notes)
    async with flock.acting("reader"):
        await flock.memory.get_all(note.id for note in notes)
        await flock.memory.put("effect", sources=[])
        read = {event.data["note"] for event in await events_of(flock, "note.read") if event.actor == "reader"}
    assert read == {note.id for note in notes}


async def test_several_notes_come_in_the_order_asked_for(flock: Flock) -> None:
    notes = [await flock.memory.put(f"{n}") for n in range(5)]
    got = await flock.memory.get_all([note.id for note in reversed(notes)])
    assert [note.content for note in got] == ["4", "3", "2", "1", "0"]


async def take(watched: AsyncIterator[Note], count: int) -> list[Any]:
    found: list[Any] = []
    async for note in watched:
        found.append(note.content)
        if len(found) == count:
            break
    return found


@pytest.mark.parametrize(
    ("wanted", "expected"),
    [
        ({"prefix": "page/"}, ["page 1", "page 2"]),
        ({"tags": ["red"]}, ["page 1", "red"]),
        ({"tags": ["red", "big"]}, ["red"]),
        ({"author": "other"}, ["page 2"]),
        ({}, ["page 1", "page 2", "red", "plain"]),
    ],
)
async def test_watching_tells_of_the_notes_that_one_wants(
    flock: Flock, wanted: dict[str, Any], expected: list[str]
) -> None:
    start = await flock.log.last()
    await flock.memory.put("page 1", key="page/1", tags=["red"])
    async with flock.acting("other"):
        await flock.memory.put("page 2", key="page/2")
    await flock.memory.put("red", tags=["big", "red"])
    await flock.memory.put("plain", key="text/1")
    watched = flock.memory.watch(since=start, **wanted)
    assert await asyncio.wait_for(take(watched, len(expected)), 30) == expected


async def test_watching_goes_on_where_one_has_been(flock: Flock) -> None:
    start = await flock.log.last()
    for n in range(4):
        await flock.memory.put(f"{n}")
    seen: list[Note] = []
    async for note in flock.memory.watch(since=start):
        seen.append(note)
        if len(seen) == 2:
            break
    assert await asyncio.wait_for(take(flock.memory.watch(since=seen[-1].position), 2), 30) == ["2", "3"]


async def test_watching_from_now_on_waits_for_what_comes(flock: Flock, join: Join) -> None:
    await flock.memory.put("before")
    other = await join()
    watching = asyncio.create_task(take(flock.memory.watch(), 2))

    async def is_seen() -> bool:  # put again and again: nobody can tell when the watch has begun
        gone = await other.memory.put("gone again")
        await other.memory.forget(gone.id)
        await other.memory.put("after")
        return watching.done()

    await wait_until(is_seen, timeout=10)
    assert set(watching.result()) <= {"after", "gone again"}
