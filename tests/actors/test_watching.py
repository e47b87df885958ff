"""Watching: the server looks through the log for what one wants; nothing is missed, nothing piles up."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import aclosing
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import pytest
from roost_tests.crew import open_flock, tell
from roost_tests.proxy import Proxy
from roost_tests.shared_server import plain_client
from roost_tests.waiting import wait_until

from roost.actors import Actor, Context, Flock, on
from roost.streams import Event, LimitExceeded, Position, SettingsError, UndeclaredEvent, event
from roost.streams.matching import FOUND_AT_ONCE, LOOKED_AT_ONCE, Wanted, matching

Join = Callable[..., Awaitable[Flock]]


@event("test.egg_found")
@dataclass(frozen=True)
class EggFound:
    nest: str


@event("test.nest_left")
@dataclass(frozen=True)
class NestLeft:
    nest: str


async def take(watching: Any, count: int, timeout: float = 20) -> list[Any]:
    found: list[Any] = []
    async with asyncio.timeout(timeout), aclosing(watching) as items:
        async for item in items:
            found.append(item)
            if len(found) == count:
                break
    return found


async def fill(flock: Flock, count: int, kind: str = "test.noise") -> None:
    """So many events that nobody wants."""
    for first in range(0, count, 200):
        await flock.append(*[Event(type=kind, subject="noise") for _ in range(min(200, count - first))])


async def test_all_that_is_asked_of_a_note_must_be_so(flock: Flock) -> None:
    start = await flock.log.last()
    for agent, run in (("robin", "r1"), ("robin", "r2"), ("wren", "r1")):
        async with flock.acting(agent, run=run):
            for key, tags in (("nest/1", ["bird"]), ("nest/2", ["bird", "egg"]), ("tree/1", ["bird", "egg"])):
                await flock.memory.put(f"{agent} {run} {key}", key=key, tags=tags)
    await flock.memory.put("the end", key="nest/end", tags=["egg", "bird"])
    cases: list[tuple[dict[str, Any], list[str]]] = [
        ({"prefix": "nest/", "tags": ["egg"], "author": "robin", "run": "r2"}, ["robin r2 nest/2"]),
        ({"run": "r1", "author": "wren"}, [f"wren r1 {key}" for key in ("nest/1", "nest/2", "tree/1")]),
        ({"prefix": "nest/", "tags": ["bird", "egg"], "author": "wren"}, ["wren r1 nest/2"]),
        ({"prefix": "nest/end", "tags": ["bird", "egg"]}, ["the end"]),
    ]
    for wanted, expected in cases:
        notes = await take(flock.memory.watch(since=start, **wanted), len(expected))
        assert [note.content for note in notes] == expected


async def test_a_watch_goes_on_from_the_text_of_a_position(flock: Flock, join: Join) -> None:
    start = str(await flock.log.last())
    for n in range(3):
        await flock.memory.put(n)
    (first,) = await take(flock.memory.watch(since=start), 1)
    rest = await take((await join()).memory.watch(since=str(first.position)), 2)
    assert [note.content for note in rest] == [1, 2]
    with pytest.raises(SettingsError, match="'yesterday' is no position"):
        await take(flock.memory.watch(since="yesterday"), 1)
    with pytest.raises(LimitExceeded, match="tags are a list of words"):
        await take(flock.memory.watch(tags="egg"), 1)


async def test_nothing_is_missed_between_much_that_nobody_wants(flock: Flock) -> None:
    start = await flock.log.last()
    expected: list[int] = []
    for n in range(6):
        await fill(flock, 400)
        expected.append(n)
        await flock.memory.put(n, tags=["wanted"])
    await flock.append(*[EggFound(f"{n}") for n in range(FOUND_AT_ONCE + 50)])
    await fill(flock, LOOKED_AT_ONCE)
    await flock.append(EggFound("last"))
    assert [note.content for note in await take(flock.memory.watch(tags=["wanted"], since=start), 6)] == expected
    eggs = await take(flock.watch_events(EggFound, since=start), FOUND_AT_ONCE + 51)
    assert [egg.data["nest"] for egg in eggs] == [*[f"{n}" for n in range(FOUND_AT_ONCE + 50)], "last"]


async def test_a_look_is_bounded_and_tells_how_far_it_went(flock: Flock) -> None:
    start = (await flock.log.last()).entry
    await fill(flock, LOOKED_AT_ONCE + 100)
    wanted = Wanted(types=("test.egg_found",))
    first = await matching(flock.shard, wanted, start)
    assert (first.events, first.more) == ([], True)
    assert first.last is not None
    assert 0 < len([e async for e in flock.log.read(Position.parse(first.last))]) <= 150
    second = await matching(flock.shard, wanted, first.last)
    assert (second.events, second.more, second.last) == ([], False, (await flock.log.last()).entry)
    assert await matching(flock.shard, wanted, second.last or "") == type(second)([], None, False)
    large = [Event(type="test.large", subject="s", body=b'"%s"' % (b"x" * 200_000)) for _ in range(8)]
    for each in large:
        await flock.append(each)
    some = await matching(flock.shard, Wanted(types=("test.large",)), second.last or "")
    assert (len(some.events), some.more) == (6, True)


async def test_a_watch_waits_and_sees_at_once_what_comes(flock: Flock, join: Join) -> None:
    start = await flock.log.last()
    other = await join(agent="other")
    watching = asyncio.create_task(take(flock.watch_events(NestLeft, since=start), 2))
    for _ in range(3):
        await other.append(EggFound("oak"))
    await other.append(NestLeft("oak"))
    await fill(other, 10)
    await other.append(NestLeft("elm"))
    assert [each.data["nest"] for each in await watching] == ["oak", "elm"]


async def test_events_are_chosen_by_type_subject_actor_and_run(flock: Flock) -> None:
    start = await flock.log.last()
    async with flock.acting("robin", run="r1"):
        await flock.append(EggFound("a"), subject="nest/a")
        await flock.append(NestLeft("a"), subject="nest/a")
    async with flock.acting("wren", run="r1"):
        await flock.append(EggFound("b"), subject="nest/b")
    await flock.append(EggFound("end"), NestLeft("end"), subject="nest/end")

    async def seen(count: int, *kinds: Any, **wanted: Any) -> list[str]:
        events = await take(flock.watch_events(*kinds, since=start, **wanted), count)
        return [f"{event.type.removeprefix('test.')} {event.data['nest']}" for event in events]

    assert await seen(3, EggFound) == ["egg_found a", "egg_found b", "egg_found end"]
    assert await seen(3, "test.egg_found") == await seen(3, EggFound)
    assert await seen(5, EggFound, NestLeft) == await seen(5)
    assert await seen(1, subject="nest/b") == ["egg_found b"]
    assert await seen(2, actor="robin") == ["egg_found a", "nest_left a"]
    assert await seen(2, EggFound, run="r1") == ["egg_found a", "egg_found b"]
    with pytest.raises(UndeclaredEvent, match="int is not declared as an event"):
        await seen(1, int)


async def test_one_event_can_be_waited_for(flock: Flock, join: Join) -> None:
    start = await flock.log.last()
    other = await join()
    waiting = asyncio.create_task(
        flock.wait_for(EggFound, where=lambda event: event.data["nest"] == "elm", since=start)
    )
    await other.append(EggFound("oak"))
    await other.append(EggFound("elm"))
    found = await asyncio.wait_for(waiting, 30)
    assert (found.type, found.data) == ("test.egg_found", {"nest": "elm"})
    with pytest.raises(TimeoutError):
        await flock.wait_for(NestLeft, since=start, timeout=timedelta(milliseconds=50))


async def test_a_slow_watcher_misses_nothing_and_holds_little(
    flock: Flock, settings: dict[str, Any], proxy: Any
) -> None:
    watched: Proxy = await proxy(settings["url"])
    start = await flock.log.last()
    await flock.append(*[EggFound(f"{n}") for n in range(200)])
    await flock.append(*[EggFound(f"{n}") for n in range(200, 350)])
    async with open_flock(settings | {"url": watched.url}) as slow:
        watched.requests.clear()
        async with aclosing(slow.watch_events(EggFound, since=start)) as events:
            assert (await anext(events)).data == {"nest": "0"}
            looks = [request for request in watched.requests if request[0].upper().startswith(b"EVAL")]
            assert len(looks) <= 2  # the second, if the server had to learn the script
            rest = [(await anext(events)).data["nest"] for _ in range(349)]
    assert rest == [f"{n}" for n in range(1, 350)]


async def test_a_closed_watch_leaves_no_connection(flock: Flock, settings: dict[str, Any]) -> None:
    client = plain_client(settings["url"], settings["flock"], decode_responses=True)
    try:

        async def blocked() -> int:
            return int((await client.info("clients"))["blocked_clients"])

        before = await blocked()
        watching = flock.watch_events(EggFound)
        waiting = asyncio.ensure_future(anext(watching))
        await wait_until(lambda: blocked_more(blocked, before))
        waiting.cancel()
        await asyncio.gather(waiting, return_exceptions=True)
        await watching.aclose()
        await wait_until(lambda: blocked_as(blocked, before))
    finally:
        await client.aclose()


async def blocked_more(blocked: Callable[[], Awaitable[int]], before: int) -> bool:
    return await blocked() > before


async def blocked_as(blocked: Callable[[], Awaitable[int]], before: int) -> bool:
    return await blocked() <= before


async def test_an_event_that_cannot_be_read_does_not_end_a_watch(flock: Flock, settings: dict[str, Any]) -> None:
    start = await flock.log.last()
    client = plain_client(settings["url"], settings["flock"])
    try:
        damaged: dict[str, Any] = {"type": "note.written", "subject": "s", "ver": 1, "meta": "{", "data": "{"}
        for fields in ({"type": "note.written"}, damaged):
            await client.xadd(flock.shard.keys.log, fields)
        meta = '{"id":"x","time":1}'
        for data in ("[]", "{", '{"key":7,"tags":"red"}'):
            odd = {"type": "note.written", "subject": "s", "ver": 1, "meta": meta, "data": data}
            await client.xadd(flock.shard.keys.log, odd)
    finally:
        await client.aclose()
    await flock.memory.put("good", key="page/1", tags=["red"])
    cases: list[dict[str, Any]] = [{}, {"prefix": "page/"}, {"tags": ["red"]}, {"author": "main"}]
    for wanted in cases:
        (note,) = await take(flock.memory.watch(since=start, **wanted), 1)
        assert note.content == "good"


async def test_the_server_sends_what_is_wanted_and_little_else(flock: Flock, settings: dict[str, Any]) -> None:
    start = await flock.log.last()
    body = b'{"said":"%s"}' % (b"tweet " * 40)
    for _ in range(20):
        await flock.append(*[Event(type="test.noise", subject="noise", body=body) for _ in range(99)])
        await flock.append(EggFound("oak"))
    client = plain_client(settings["url"], settings["flock"], decode_responses=True)

    async def sent(read: Callable[[], Awaitable[list[Any]]]) -> int:
        before = (await client.info("stats"))["total_net_output_bytes"]
        assert len(await read()) == 20
        return int((await client.info("stats"))["total_net_output_bytes"] - before)

    async def whole_log() -> list[Event]:
        return [each async for each in flock.log.read(start) if each.type == "test.egg_found"]

    try:
        filtered, whole = await sent(lambda: take(flock.watch_events(EggFound, since=start), 20)), await sent(whole_log)
    finally:
        await client.aclose()
    tell(f"who watches 1 % of the log is sent {filtered:,} bytes; the whole of it are {whole:,}")
    assert filtered < whole / 20


@event("note.written")
@dataclass(frozen=True)
class NoteWritten:
    note: str
    key: str | None = None
    tags: tuple[str, ...] = ()


class Shelver(Actor):
    """Reacts to notes by its inbox, as docs/actors.md shows."""

    shelved: list[str]

    @on(NoteWritten)
    async def shelve(self, written: NoteWritten, ctx: Context[None]) -> None:
        if "page" in written.tags:
            self.shelved.append((await ctx.memory.get(written.note)).text)


async def test_an_inbox_keeps_notes_for_an_actor_that_is_away(flock: Flock) -> None:
    first, second = Shelver(), Shelver()
    first.shelved, second.shelved = [], []
    async with flock.work(first):
        await flock.memory.put("owls", tags=["page"])
        await flock.memory.put("not shelved")
        await wait_until(lambda: first.shelved)
    await flock.memory.put("storks", key="storks", tags=["page", "new"])
    async with flock.work(second):
        await wait_until(lambda: second.shelved)
    assert (first.shelved, second.shelved) == (["owls"], ["storks"])


async def test_a_look_through_large_events_that_nobody_wants_is_bounded_too(flock: Flock) -> None:
    start = (await flock.log.last()).entry
    for _ in range(30):
        await flock.append(Event(type="test.large", subject="s", body=b'"%s"' % (b"x" * 200_000)))
    await flock.append(EggFound("last"))
    wanted, looks, found = Wanted(types=("test.egg_found",)), 0, list[Event]()
    last, more = start, True
    while more:
        look = await matching(flock.shard, wanted, last)
        last, more, looks = look.last or last, look.more, looks + 1
        found += look.events
    assert looks == 2
    assert [egg.data["nest"] for egg in found] == ["last"]
