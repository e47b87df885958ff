"""The process cache serves nothing that the server may have taken back."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable
from datetime import timedelta
from typing import Any

import pytest
from roost_tests.crew import open_flock
from roost_tests.own_server import OwnServer
from roost_tests.proxy import Proxy
from roost_tests.waiting import wait_until

from roost.actors import Flock
from roost.actors.cache import OVERHEAD_BYTES, NoteCache
from roost.streams import Note, NoteNotFound, NoteRecord

Join = Callable[..., Awaitable[Flock]]


class FakeBell:
    """A bell that rings when it is told to."""

    def __init__(self) -> None:
        self.is_up = True
        self.tell: Callable[[str], None] = lambda news: None

    def on_news(self, hear: Callable[[str], None]) -> None:
        self.tell = hear


@pytest.fixture
def bell() -> FakeBell:
    return FakeBell()


@pytest.fixture
def cache(bell: FakeBell) -> NoteCache:
    return NoteCache(bell, size=10 * (OVERHEAD_BYTES + 100))  # type: ignore[arg-type]  # as much of a bell as it needs


def a_note(name: str, *, expires: float | None = None, size: int = 100) -> Note:
    return Note(record=NoteRecord(id=name, digest=name, size=size), raw=b"x", expires=expires)


def test_a_cached_note_is_served(cache: NoteCache) -> None:
    cache.add(a_note("a"), cache.asked())
    assert cache.get("a") is not None
    assert cache.get("b") is None


def test_what_is_forgotten_while_it_is_read_is_not_added(cache: NoteCache, bell: FakeBell) -> None:
    asked = cache.asked()
    bell.tell("forgotten a")
    cache.add(a_note("a"), asked)
    cache.add(a_note("b"), asked)
    assert cache.get("a") is None
    assert cache.get("b") is not None


@pytest.mark.parametrize("news", ["epoch 7", "down"])
def test_a_new_epoch_or_a_cut_empties_it_and_stops_reads_under_way(cache: NoteCache, bell: FakeBell, news: str) -> None:
    cache.add(a_note("a"), cache.asked())
    asked = cache.asked()
    bell.tell(news)
    cache.add(a_note("b"), asked)
    assert len(cache) == 0


def test_a_read_begun_while_pushes_did_not_arrive_is_not_added_when_they_do(cache: NoteCache, bell: FakeBell) -> None:
    bell.is_up = False
    asked = cache.asked()
    bell.is_up = True
    cache.add(a_note("a"), asked)
    assert cache.get("a") is None


def test_what_is_past_its_deadline_is_not_served(cache: NoteCache) -> None:
    cache.add(a_note("a", expires=time.monotonic() - 1), cache.asked())
    cache.add(a_note("b", expires=time.monotonic() + 60), cache.asked())
    assert cache.get("a") is None
    assert cache.get("b") is not None


def test_it_keeps_what_was_used_last_within_its_size(cache: NoteCache) -> None:
    for n in range(10):
        cache.add(a_note(f"{n}"), cache.asked())
    cache.get("0")
    cache.add(a_note("10"), cache.asked())
    assert (cache.get("0") is not None, cache.get("1")) == (True, None)


def test_notes_without_content_do_not_fill_it_for_ever(cache: NoteCache) -> None:
    for n in range(1000):
        cache.add(a_note(f"{n}", size=0), cache.asked())
    assert len(cache) <= 11


async def test_a_cached_note_needs_no_server(flock: Flock, settings: dict[str, Any], proxy: Any) -> None:
    watched: Proxy = await proxy(settings["url"])
    async with open_flock(settings | {"url": watched.url}) as reader:
        note = await flock.memory.put("cached")
        await reader.memory.get(note.id)
        watched.requests.clear()
        for _ in range(1000):
            await reader.memory.get(note.id)
        assert len(watched.requests) <= 20  # what was read is told in between


async def test_while_pushes_do_not_arrive_nothing_is_served_from_it(
    flock: Flock, settings: dict[str, Any], proxy: Any
) -> None:
    faulty: Proxy = await proxy(settings["url"])
    note = await flock.memory.put("to be forgotten")
    async with open_flock(settings | {"url": faulty.url, "patience_s": 0.2}) as reader:
        await reader.memory.get(note.id)
        await reader.memory.get(note.id)
        faulty.refuse()
        await flock.memory.forget(note.id)
        await wait_until(lambda: fails_for_want_of_a_server(reader, note.id))
        faulty.accept()
        await wait_until(lambda: is_known_as_gone(reader, note.id))


async def fails_for_want_of_a_server(flock: Flock, note_id: str) -> bool:
    from roost.streams import ServerUnavailable

    try:
        await flock.memory.get(note_id)
    except ServerUnavailable:
        return True
    return False


async def is_known_as_gone(flock: Flock, note_id: str) -> bool:
    from roost.streams import ServerUnavailable

    try:
        await flock.memory.get(note_id)
    except NoteNotFound:
        return True
    except ServerUnavailable:
        return False
    return False


async def test_a_log_that_starts_anew_empties_every_cache(own_server: Any) -> None:
    server: OwnServer = await own_server()
    async with (
        open_flock({"url": server.url, "flock": "f"}) as one,
        open_flock({"url": server.url, "flock": "f"}) as two,
    ):
        note = await one.memory.put("of the old log", ttl=timedelta(days=1))
        for flock in (one, two):
            await flock.memory.get(note.id)
        await one.connection.client.execute_command("FLUSHALL")
        await one.memory.put("of the new log")  # whoever writes first tells the others
        await wait_until(lambda: is_known_as_gone(two, note.id))
        assert await is_known_as_gone(one, note.id)
