"""Who waits for another's computation gets the note with the news of it, and its reads are logged all the same."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Awaitable, Callable
from datetime import timedelta
from typing import Any

import pytest
from roost_tests.core import ME, SOON, Core, claim_unit, note_unit, open_core
from roost_tests.crew import events_of, is_listened_to, open_flock
from roost_tests.proxy import Proxy
from roost_tests.waiting import wait_until

from roost.actors import Flock
from roost.streams import Bell, Note, Unit
from roost.streams.answer import Granted
from roost.streams.bell import Rung
from roost.streams.connection import Connection

Join = Callable[..., Awaitable[Flock]]


class Kitchen:
    """A computation that goes on until its door is opened."""

    def __init__(self, answer: Any = "bread") -> None:
        self.answer = answer
        self.begun, self.door = asyncio.Event(), asyncio.Event()

    async def __call__(self) -> Any:
        self.begun.set()
        await self.door.wait()
        return self.answer


async def never() -> str:
    raise AssertionError("another computes")


@pytest.fixture
async def core(connection: Connection, flock_name: str) -> Any:
    async with open_core(connection, flock_name) as core:
        yield core


@pytest.fixture
async def bell(core: Core) -> Any:
    bell = Bell(core.connection.pushes(), core.shard.keys)
    await bell.start()
    yield bell
    await bell.close()


async def complete(core: Core, content: bytes, ttl: timedelta | None = None) -> str:
    """A note under a claim; its ID."""
    granted = await core.writer.write(claim_unit("k", "n"))
    assert isinstance(granted, Granted)
    await wait_until(lambda: time.time() * 1000 > granted.at_ms + 5)
    unit, record = note_unit(await core.notes.store(content), key="k", ttl=ttl, unit=Unit().complete("k", "n"))
    await core.writer.write(unit)
    return record.id


async def taken(core: Core, rung: Rung, since: float) -> Note | None:
    await asyncio.wait_for(rung.event.wait(), 30)
    carried = rung.take()
    return None if carried is None else await core.notes.pushed(carried, since)


async def test_the_news_of_a_computed_note_brings_it_along(core: Core, bell: Bell) -> None:
    since, rung = time.monotonic(), await bell.listen("k")
    note_id = await complete(core, b"first line\nsecond line", timedelta(minutes=1))
    note = await taken(core, rung, since)
    assert note == await core.notes.get(note_id, ME)
    assert note is not None
    assert note.expires is not None
    assert note.expires <= since + 60
    assert rung.take() is None, "it is given once"


@pytest.mark.parametrize("size", [0, 10_000, 20_000, 100_000])
async def test_only_little_notes_travel_with_their_news(core: Core, bell: Bell, size: int) -> None:
    rung = await bell.listen("k")
    await complete(core, b"x" * size)
    note = await taken(core, rung, time.monotonic())
    assert (note is not None) == (size <= 10_000)


async def test_a_note_that_nobody_had_to_wait_for_does_not_travel(core: Core, bell: Bell) -> None:
    rung = await bell.listen("k")
    await core.put(b"x", key="k")
    assert await taken(core, rung, time.monotonic()) is None


async def test_a_note_past_its_deadline_is_not_taken_from_its_news(core: Core, bell: Bell) -> None:
    since, rung = time.monotonic(), await bell.listen("k")
    await complete(core, b"x", SOON)
    await wait_until(lambda: time.monotonic() > since + 0.2)
    assert await taken(core, rung, since) is None


async def test_a_note_that_was_forgotten_before_it_was_taken_is_not_served(core: Core, bell: Bell) -> None:
    heard: list[str] = []
    bell.on_news(heard.append)
    rung, other = await bell.listen("k"), await bell.listen("other")
    note_id = await complete(core, b"secret")
    other.receive(b"note abc - 1-1 1 1\n")
    await core.notes.forget(note_id, ME)
    await wait_until(lambda: heard == [f"forgotten {note_id}"])
    assert rung.event.is_set()
    assert rung.take() is None
    assert other.take() is not None


@pytest.mark.parametrize("news", ["down", "epoch 7"])
async def test_after_a_cut_or_in_a_new_epoch_nothing_is_in_hand(core: Core, bell: Bell, news: str) -> None:
    rung = await bell.listen("k")
    rung.receive(b"note abc - 1-1 1 1\n")
    rung.hear(news)
    assert rung.take() is None
    assert not bell.carrying


@pytest.mark.parametrize(
    "message",
    [
        b"note a\n",
        b"note a - 1-1 5 0\n{}",
        b"note a - 1-1 x 0\n",
        b"note a - 1 2 0\n{}",
        b"\n",
        b"note a b 1-1 2 0\n{}",
    ],
)
async def test_news_that_cannot_be_read_brings_nothing(message: bytes) -> None:
    from roost.streams import Keys, Notes, Shard

    class Nobody:
        async def execute_command(self, *args: Any, **options: Any) -> Any:
            raise AssertionError

    assert await Notes(Shard(Nobody(), Keys("f"))).pushed(message, time.monotonic()) is None


async def test_a_channel_is_left_when_nobody_waits_any_more(core: Core, bell: Bell) -> None:
    rung = await bell.listen("k")
    bell.leave(rung)
    rung.receive(b"note abc - 1-1 1 1\n")  # it is still listened to for a moment
    await wait_until(lambda: is_left(core))
    await wait_until(lambda: not bell.carrying)
    bell.leave(rung)
    again = await bell.listen("k")
    await core.put(b"x", key="k")
    await asyncio.wait_for(again.event.wait(), 30)


async def is_left(core: Core) -> bool:
    channel = core.shard.keys.key("bell", "k")
    reply = await core.connection.client.execute_command("PUBSUB", "SHARDNUMSUB", channel)
    return int(reply[-1]) == 0


async def test_who_waits_elsewhere_asks_nothing_more_and_all_reads_are_logged(
    flock: Flock, settings: dict[str, Any], proxy: Any
) -> None:
    watched: Proxy = await proxy(settings["url"])
    kitchen = Kitchen()
    leading = asyncio.create_task(flock.memory.once("k", kitchen))
    await kitchen.begun.wait()
    async with open_flock(settings | {"url": watched.url, "agent": "waiter"}) as waiter:
        waiting = [asyncio.create_task(waiter.memory.once("k", never)) for _ in range(8)]
        await wait_until(lambda: held_twice(watched))
        watched.requests.clear()
        kitchen.door.set()
        notes = await asyncio.gather(*waiting)
        asked = [words for words in watched.requests if words[0] == b"EVALSHA" and b"key" in words]
        assert asked == [], "no read script: the note came with the news"
        assert {note.id for note in notes} == {(await leading).id}
        assert notes[0].content == "bread"
        assert (await waiter.memory.get(notes[0].id)) is notes[0], "and it is cached"
    events = [event for event in await events_of(flock, "note.read", "work.reused") if event.actor == "waiter"]
    assert sum(event.data["count"] for event in events if event.type == "note.read") == 9
    assert Counter(event.data["how"] for event in events if event.type == "work.reused") == {"joined": 8}
    assert all(event.data["work"]["kind"] == "work" for event in events if event.type == "work.reused")


def held_twice(watched: Proxy) -> bool:
    """It has asked, subscribed, and asked again."""
    claims = sum(any(b"work.claimed" in word for word in words) for words in watched.requests)
    return claims >= 2 and any(words[0] == b"SSUBSCRIBE" and words[1].endswith(b":k") for words in watched.requests)


async def test_a_note_that_was_computed_since_is_fresh(flock: Flock, join: Join) -> None:
    kitchen = Kitchen()
    await flock.memory.put("of yesterday", key="k")
    leading = asyncio.create_task(flock.memory.once("k", kitchen, fresh=True))
    await kitchen.begun.wait()
    waiting = asyncio.create_task((await join()).memory.once("k", never, fresh=True))
    await wait_until(lambda: is_listened_to(flock, "k"))
    kitchen.door.set()
    assert (await waiting).id == (await leading).id
