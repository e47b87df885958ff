"""The memory, one idea at a time. Read from top to bottom."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from datetime import timedelta

import pytest
from roost_tests.crew import events_of
from roost_tests.waiting import wait_until

from roost.actors import Flock, fingerprint
from roost.streams import NoteNotFound


@pytest.fixture
async def flock(server_url: str, flock_name: str) -> AsyncIterator[Flock]:
    async with Flock.open(flock_name, server_url, agent="ada") as flock:
        yield flock


async def test_what_one_puts_others_get_by_its_id(flock: Flock, server_url: str) -> None:
    note = await flock.memory.put("Geese sleep with one eye open.")
    async with Flock.open(flock.name, server_url, agent="bob") as elsewhere:
        assert (await elsewhere.memory.get(note.id)).content == "Geese sleep with one eye open."


async def test_a_note_says_who_wrote_it_and_what_it_builds_on(flock: Flock) -> None:
    source = await flock.memory.put("a page")
    await flock.memory.get(source.id)
    note = await flock.memory.put("what the page says, in short")
    assert (note.author, note.sources) == ("ada", (source.id,))


async def test_a_note_is_found_by_its_key(flock: Flock) -> None:
    await flock.memory.put("the page", key="page/geese")
    found = await flock.memory.find("page/geese")
    assert found is not None
    assert found.content == "the page"
    assert await flock.memory.find("page/ducks") is None


async def test_a_key_moves_on_and_a_note_stays_what_it_is(flock: Flock) -> None:
    old = await flock.memory.put("old", key="page")
    await flock.memory.put("new", key="page")
    found = await flock.memory.find("page")
    assert found is not None
    assert found.content == "new"
    assert (await flock.memory.get(old.id)).content == "old"


async def test_work_asked_for_twice_is_done_once(flock: Flock) -> None:
    calls = 0

    async def download() -> str:
        nonlocal calls
        calls += 1
        await asyncio.sleep(0.01)
        return "the page"

    key = fingerprint("fetch", "https://example.org/geese")
    notes = await asyncio.gather(*[flock.memory.once(key, download) for _ in range(10)])
    notes.append(await flock.memory.once(key, download))
    assert calls == 1
    assert len({note.id for note in notes}) == 1


async def test_equal_questions_have_equal_keys(flock: Flock) -> None:
    assert fingerprint("ask", {"a": 1, "b": 2}) == fingerprint("ask", {"b": 2, "a": 1})
    assert fingerprint("ask", 1) != fingerprint("ask", "1")


async def test_a_function_may_be_shared(flock: Flock) -> None:
    calls: list[str] = []

    @flock.shared(version=1)
    async def length(text: str) -> int:
        calls.append(text)
        return len(text)

    assert [await length("goose"), await length("goose"), await length("duck")] == [5, 5, 4]
    assert calls == ["goose", "duck"]


async def test_a_note_lives_until_its_deadline(flock: Flock) -> None:
    note = await flock.memory.put("news", ttl=timedelta(milliseconds=20))
    await wait_until(lambda: not note.is_live)  # as seen from here, which is never later than on the server

    async def is_gone() -> bool:
        try:
            await flock.memory.get(note.id)
        except NoteNotFound:
            return True
        return False

    await wait_until(is_gone)


async def test_a_note_may_be_forgotten_before(flock: Flock) -> None:
    note = await flock.memory.put("a secret")
    await flock.memory.forget(note.id)
    with pytest.raises(NoteNotFound):
        await flock.memory.get(note.id)


async def test_reading_is_an_event_like_writing(flock: Flock) -> None:
    note = await flock.memory.put("text")
    async with flock.acting("bob"):
        await flock.memory.get(note.id)
    assert [(event.type, event.actor) for event in await events_of(flock)] == [
        ("note.written", "ada"),
        ("note.read", "bob"),
    ]
