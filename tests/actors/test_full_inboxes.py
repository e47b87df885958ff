"""A slow actor holds up those who feed it, and fills neither their memory nor the server's."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import pytest
import structlog
from roost_tests.crew import Slow, events_of, open_flock
from roost_tests.peer import Peer, peers
from roost_tests.waiting import wait_until

from roost.actors import Actor, Context, Flock, on
from roost.streams import Inbox, InboxFull, RoostError, SettingsError, event, gates
from roost.streams.errors import Closed

Join = Callable[..., Awaitable[Flock]]


@event("test.first")
@dataclass(frozen=True)
class First:
    n: int


@event("test.second")
@dataclass(frozen=True)
class Second:
    n: int


@event("test.third")
@dataclass(frozen=True)
class Third:
    n: int


class Fast(Actor):
    """Doubles without waiting: what it is given becomes two for the next."""

    inbox_limit = 10

    @on(First)
    def go(self, first: First, ctx: Context[None]) -> list[Second]:
        return [Second(2 * first.n), Second(2 * first.n + 1)]


class Between(Actor):
    inbox_limit = 10

    @on(Second)
    def go(self, second: Second, ctx: Context[None]) -> Third:
        return Third(second.n)


class Late(Actor):
    """Handles nothing before its gate is opened, and then takes its time."""

    inbox_limit = 10
    concurrency = 2

    def __init__(self) -> None:
        self.gate = asyncio.Event()
        self.handled: list[int] = []

    @on(Third)
    async def go(self, third: Third, ctx: Context[None]) -> None:
        await self.gate.wait()
        await asyncio.sleep(0.002)
        self.handled.append(third.n)


async def lengths(flock: Flock, *inboxes: str) -> list[int]:
    return [int(await flock.shard.command("XLEN", flock.shard.keys.key("inbox", inbox))) for inbox in inboxes]


@asynccontextmanager
async def measured(flock: Flock, *inboxes: str) -> AsyncGenerator[dict[str, int]]:
    """The most that each of these inboxes held while the block ran."""
    most = dict.fromkeys(inboxes, 0)

    async def look() -> None:
        while True:
            for inbox, length in zip(inboxes, await lengths(flock, *inboxes), strict=True):
                most[inbox] = max(most[inbox], length)
            await asyncio.sleep(0.002)

    looking = asyncio.create_task(look())
    try:
        yield most
    finally:
        looking.cancel()
        await asyncio.wait([looking])


async def test_who_feeds_a_slow_actor_waits_and_all_is_done_in_the_end(flock: Flock) -> None:
    late = Late()
    async with flock.work(late), measured(flock, "Late") as most:
        appending = asyncio.gather(*[flock.append(Third(n)) for n in range(200)])
        await wait_until(lambda: has_length(flock, "Late", 10))
        waiting = 200 - len(await events_of(flock, "test.third"))
        assert waiting == 190
        late.gate.set()
        await appending
        await wait_until(lambda: len(late.handled) == 200)
    assert sorted(late.handled) == list(range(200))
    assert most["Late"] == 10


async def has_length(flock: Flock, inbox: str, least: int) -> bool:
    return (await lengths(flock, inbox))[0] >= least


async def test_who_came_first_is_let_go_first(flock: Flock) -> None:
    late = Late()
    done: list[int] = []

    async def append(n: int) -> None:
        await flock.append(Third(n))
        done.append(n)

    async with flock.work(late):
        await flock.append(*[Third(-1)] * 10)
        appending = [asyncio.create_task(append(n)) for n in range(30)]
        await wait_until(lambda: len(flock.writer.gates) == 30)
        late.gate.set()
        await asyncio.gather(*appending)
    early, later = done[:10], done[20:]
    assert sum(early) / 10 < 10, "the first third is mostly of those who came first"
    assert sum(later) / 10 > 19


async def test_a_chain_waits_from_its_end_to_its_beginning(flock: Flock) -> None:
    late = Late()
    async with flock.work(Fast, Between, late), measured(flock, "Fast", "Between", "Late") as most:
        appending = asyncio.gather(*[flock.append(First(n)) for n in range(150)])
        await wait_until(lambda: has_length(flock, "Late", 20))
        await wait_until(lambda: has_length(flock, "Between", 20))
        await wait_until(lambda: has_length(flock, "Fast", 10))
        assert not appending.done()
        late.gate.set()
        await appending
        await wait_until(lambda: len(late.handled) == 300, timeout=15)
    assert sorted(late.handled) == list(range(300))
    assert most["Fast"] <= 10
    assert most["Between"] <= 21
    assert most["Late"] <= 20
    assert await events_of(flock, "delivery.retried", "delivery.parked") == []


async def test_a_commit_that_waits_keeps_its_deliveries_for_many_leases(join: Join, monkeypatch: Any) -> None:
    monkeypatch.setattr("roost.actors.settlement.KEPT_S", 0.1)
    flock, other = await join(lease_s=0.3), await join(lease_s=0.3)
    late = Late()
    async with flock.work(late), flock.work(Fast, Between), other.work(Fast, Between):
        appending = asyncio.gather(*[flock.append(First(n)) for n in range(60)])
        await wait_until(lambda: has_length(flock, "Late", 20))
        await asyncio.sleep(1.5)  # five leases
        late.gate.set()
        await appending
        await wait_until(lambda: len(late.handled) == 120, timeout=15)
    handled = await events_of(flock, "delivery.handled")
    assert {event.data["attempt"] for event in handled} == {1}


class Crawler(Actor):
    """Finds two more for each that it is given, up to a depth: all into its own inbox."""

    inbox_limit = 4
    concurrency = 4

    @on(First)
    def go(self, first: First, ctx: Context[None]) -> list[First]:
        return [First(first.n - 1)] * 2 if first.n else []


async def test_an_actor_that_emits_to_itself_goes_on_however_full_its_inbox_is(flock: Flock) -> None:
    async with flock.work(Crawler):
        await flock.append(First(6))
        await wait_until(lambda: count_is(flock, "delivery.handled", 127))
        assert await lengths(flock, "Crawler") == [0]


async def count_is(flock: Flock, kind: str, count: int) -> bool:
    return len(await events_of(flock, kind)) == count


class Ping(Actor):
    inbox_limit = 3

    @on(First)
    def go(self, first: First, ctx: Context[None]) -> Second:
        return Second(first.n)


class Pong(Actor):
    inbox_limit = 3

    @on(Second)
    def go(self, second: Second, ctx: Context[None]) -> First | None:
        return First(second.n - 1) if second.n else None


async def test_a_ring_of_full_inboxes_goes_round(flock: Flock) -> None:
    async with flock.work(Ping, Pong):
        await asyncio.gather(*[flock.append(First(5)) for _ in range(30)])
        await wait_until(lambda: count_is(flock, "delivery.handled", 30 * 12))


class Strict(Late):
    inbox_limit = 3
    when_full = "refuse"


async def test_an_inbox_that_refuses_says_so_and_nothing_was_written(flock: Flock) -> None:
    strict = Strict()
    async with flock.work(strict):
        await flock.append(*[Third(n) for n in range(3)])
        with pytest.raises(InboxFull, match=r"inbox of Strict holds its limit of 3 .* inbox_limit") as refused:
            await flock.append(First(7), Third(7))
        assert (refused.value.inbox, refused.value.limit) == ("Strict", 3)
        assert isinstance(refused.value, RoostError)
        assert await events_of(flock, "test.first") == []
        strict.gate.set()
        await wait_until(lambda: len(strict.handled) == 3)
        await flock.append(Third(3))


async def test_an_append_waits_no_longer_than_it_was_told_to(flock: Flock) -> None:
    late = Late()
    async with flock.work(late):
        await flock.append(*[Third(n) for n in range(10)])
        with pytest.raises(InboxFull):
            await flock.append(Third(10), timeout=timedelta(milliseconds=50))
        assert len(await events_of(flock, "test.third")) == 10
        late.gate.set()


async def test_how_long_an_append_waits_is_a_timedelta(flock: Flock) -> None:
    with pytest.raises(SettingsError, match=r"timeout= is a timedelta, such as timedelta\(seconds=3\): not 3"):
        await flock.append(Third(1), timeout=3)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]  # wrong
    assert await events_of(flock, "test.third") == []


async def test_notes_wait_too_and_what_was_computed_is_not_refused(flock: Flock) -> None:
    await subscribe(flock, "notes", "note.written", limit=2, when_full="refuse")
    await flock.memory.put("one")
    await flock.memory.put("two")
    with pytest.raises(InboxFull):
        await flock.memory.put("three")
    computing = asyncio.create_task(flock.memory.once("k", lambda: asyncio.sleep(0, "computed")))
    await wait_until(lambda: len(flock.writer.gates) == 1)
    assert not computing.done()
    await subscribe(flock, "notes", "note.written", limit=3, when_full="refuse")
    assert (await computing).text == "computed"


async def subscribe(flock: Flock, inbox: str, kind: str, **bound: Any) -> None:
    await Inbox(flock.shard, inbox, "c").subscribe([kind], **bound)


async def test_what_waits_is_told_when_the_flock_is_closed(join: Join, settings: dict[str, Any]) -> None:
    async with open_flock(settings) as flock:
        await subscribe(flock, "thirds", "test.third", limit=1)
        await flock.append(Third(0))
        waiting = asyncio.create_task(flock.append(Third(1)))
        await wait_until(lambda: len(flock.writer.gates) == 1)
    with pytest.raises(Closed, match="nothing of it was written"):
        await waiting


async def test_a_long_wait_is_told_once(flock: Flock, monkeypatch: Any) -> None:
    monkeypatch.setattr(gates, "LONG_S", 0.05)
    await subscribe(flock, "thirds", "test.third", limit=1)
    await flock.append(Third(0))
    with structlog.testing.capture_logs() as logs:
        for _ in range(2):
            with pytest.raises(InboxFull):
                await flock.append(Third(1), timeout=timedelta(seconds=0.4))
    told = [line for line in logs if line["log_level"] == "warning"]
    assert [(line["inbox"], line["limit"], line["length"], line["waiting"]) for line in told] == [("thirds", 1, 1, 1)]


async def test_a_cancelled_append_leaves_no_trace(flock: Flock) -> None:
    await subscribe(flock, "thirds", "test.third", limit=1)
    await flock.append(Third(0))
    waiting = asyncio.create_task(flock.append(Third(1)))
    await wait_until(lambda: len(flock.writer.gates) == 1)
    waiting.cancel()
    await wait_until(lambda: len(flock.writer.gates) == 0)
    assert len(await events_of(flock, "test.third")) == 1


def test_limits_that_make_no_sense_are_refused() -> None:
    with pytest.raises(SettingsError, match="inbox_limit"):
        type("Never", (Actor,), {"inbox_limit": 0})
    with pytest.raises(SettingsError, match="when_full"):
        type("Never", (Actor,), {"when_full": "drop"})


async def test_producers_and_workers_in_processes_of_their_own_keep_the_bound(
    flock: Flock, settings: dict[str, Any]
) -> None:
    producers = [Peer("give", **settings, count=60, first=60 * number) for number in range(2)]
    workers = [Peer("work", **settings, actors=["Slow"]) for _ in range(2)]
    async with peers(*workers), peers(*producers), measured(flock, "Slow") as most:
        for producer in producers:
            producer.go()
        for producer in producers:
            assert await producer.hear("given", timeout=20) == 60
        await wait_until(lambda: count_is(flock, "delivery.handled", 120), timeout=20)
        for worker in workers:
            worker.go()
            assert await worker.end() == 0
    assert Slow.inbox_limit is not None
    assert 0 < most["Slow"] <= Slow.inbox_limit
    assert sorted(doubled.data["n"] for doubled in await events_of(flock, "crew.doubled")) == list(range(0, 240, 2))
