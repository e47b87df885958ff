"""Deliveries that come and are committed together: each ends as it would alone."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextvars import ContextVar
from datetime import timedelta
from typing import Any

import pytest
import structlog
from roost_tests.crew import LEASE, Doubled, Given, events_of, open_flock
from roost_tests.own_server import OwnServer
from roost_tests.proxy import Proxy
from roost_tests.waiting import wait_until

from roost.actors import Actor, Context, Flock, Retry, on
from roost.streams import Inbox
from roost.streams.inbox import InboxState
from roost.streams.keys import GROUP

WHO: ContextVar[int | None] = ContextVar("who", default=None)
Act = Callable[[Given, Context[Any]], Any]


class Each(Actor):
    """Handles as the test says."""

    name = "Each"
    concurrency = 50
    timeout = timedelta(seconds=0.4)
    retry = Retry(attempts=1)
    act: Act

    def __init__(self, act: Act) -> None:
        self.act = act

    @on(Given)
    async def each(self, given: Given, ctx: Context[None]) -> Any:
        return await self.act(given, ctx)


async def filled(flock: Flock, count: int) -> Inbox:
    """The inbox of Each with that many events in it, before any worker reads."""
    inbox = Inbox(flock.shard, "Each", "nobody")
    await inbox.subscribe(["crew.given"])
    await flock.append(*[Given(n) for n in range(count)])
    return inbox


async def ended(flock: Flock, count: int) -> bool:
    return len(await events_of(flock, "delivery.handled", "delivery.parked")) >= count


async def numbers(flock: Flock, kind: str) -> dict[int, dict[str, Any]]:
    """The records of that type by the number of the event that was delivered."""
    given = {event.id: event.data["n"] for event in await events_of(flock, "crew.given")}
    return {given[event.data["event"]]: event.data for event in await events_of(flock, kind)}


async def test_of_a_batch_each_delivery_ends_as_it_would_alone(flock: Flock) -> None:
    inbox = await filled(flock, 12)
    stream = flock.shard.keys.key("inbox", "Each")

    async def page() -> list[tuple[bytes, dict[bytes, bytes]]]:
        return list(await flock.connection.client.xrange(stream))

    async def act(given: Given, ctx: Context[Any]) -> Doubled | None:
        if given.n == 2:
            raise ValueError("not this one")
        if given.n == 4:
            await asyncio.sleep(5)
        if given.n == 6:
            taken = [entry for entry, fields in await page() if b'"n":6,' in fields[b"data"]]
            await flock.connection.client.execute_command("XCLAIM", stream, GROUP, "thief", 0, *taken)
            return Doubled(given.n, "fenced")
        if given.n == 8:
            raise asyncio.CancelledError
        if given.n == 10:
            await asyncio.sleep(0.01)
        return Doubled(given.n, "")

    async with flock.work(Each(act)) as (worker,):
        await wait_until(lambda: ended(flock, 12), timeout=15)  # the sixth and the eighth count as an attempt more
        await wait_until(lambda: worker.busy == 0)
        assert await inbox.state() == InboxState("Each", 0, 0, 0, 4, limit=Each.inbox_limit)
    doubled = [event.data["n"] for event in await events_of(flock, "crew.doubled")]
    assert sorted(doubled) == [0, 1, 3, 5, 7, 9, 10, 11]
    assert sorted(await numbers(flock, "delivery.handled")) == sorted(doubled)
    parked = await numbers(flock, "delivery.parked")
    assert {n: record["error"] for n, record in parked.items()} == {
        2: "ValueError", 4: "HandlerTimeout", 6: "WorkersDied", 8: "WorkersDied"
    }  # fmt: skip


async def test_handlers_of_a_batch_see_nothing_of_each_other(flock: Flock) -> None:
    await filled(flock, 9)
    bound: list[dict[str, Any]] = []
    sources: dict[int, tuple[str, ...]] = {}

    async def act(given: Given, ctx: Context[Any]) -> None:
        assert WHO.get() is None
        WHO.set(given.n)
        note = await ctx.memory.put(f"text {given.n}")
        if given.n % 3 == 0:
            await asyncio.sleep(0.005)
        assert WHO.get() == given.n
        sources[given.n] = (await ctx.memory.put(f"more {given.n}")).record.sources
        assert sources[given.n] in {(), (note.id,)}
        bound.append(dict(structlog.contextvars.get_contextvars()))

    async with flock.work(Each(act)):
        await wait_until(lambda: ended(flock, 9))
    assert len(await numbers(flock, "delivery.handled")) == 9
    assert {one["actor"] for one in bound} == {"Each"}
    assert {one["flock"] for one in bound} == {flock.name}
    assert len({one["delivery"] for one in bound}) == 9
    authors = {event.cause for event in await events_of(flock, "note.written")}
    assert authors == {event.id for event in await events_of(flock, "crew.given")}


async def test_a_batch_travels_in_few_calls(flock: Flock) -> None:
    await filled(flock, 50)
    calls: list[int] = []
    post = flock.writer.post

    def counting(*args: Any, **more: Any) -> None:
        calls.append(len(asyncio.all_tasks()))
        post(*args, **more)

    flock.writer.post = counting  # type: ignore[method-assign]  # to be looked at, not changed

    async def act(given: Given, ctx: Context[Any]) -> None:
        return None

    each = Each(act)
    each.retry = Retry(attempts=2)  # type: ignore[misc]  # a last attempt is marked first, and waits for that
    before = await scripts_run(flock)
    async with flock.work(each):
        await wait_until(lambda: ended(flock, 50))
    assert len(calls) == 50
    assert max(calls) - min(calls) <= 3, "no task for each delivery"
    assert await scripts_run(flock) - before < 30


async def scripts_run(flock: Flock) -> int:
    stats: Any = await flock.connection.client.execute_command("INFO", "commandstats")
    return int(stats.get("cmdstat_evalsha", {"calls": 0})["calls"])


async def test_who_handles_one_at_a_time_begins_the_next_when_that_one_is_in_the_log(flock: Flock) -> None:
    await filled(flock, 5)
    known: list[int] = []

    async def act(given: Given, ctx: Context[Any]) -> None:
        known.append(len(await events_of(flock, "delivery.handled")))

    alone = Each(act)
    alone.concurrency = 1  # type: ignore[misc]  # for this one actor
    async with flock.work(alone):
        await wait_until(lambda: ended(flock, 5))
    assert known == [0, 1, 2, 3, 4]


async def test_what_is_on_its_way_when_a_worker_stops_is_committed_once(
    settings: dict[str, Any], flock: Flock, proxy: Callable[[str], Awaitable[Proxy]]
) -> None:
    await filled(flock, 4)
    faulty = await proxy(settings["url"])
    lost = faulty.lose_reply(lambda request: any(b"delivery.handled" in word for word in request))

    async def act(given: Given, ctx: Context[Any]) -> Doubled:
        return Doubled(given.n, "")

    async with open_flock(settings | {"url": faulty.url}) as cut_off, cut_off.work(Each(act), grace=LEASE * 5):
        await asyncio.wait_for(lost.happened.wait(), 30)
    async with flock.work(Each(act)):
        await wait_until(lambda: ended(flock, 4), timeout=10)
        await wait_until(lambda: is_empty(flock))
    assert sorted(event.data["n"] for event in await events_of(flock, "crew.doubled")) == [0, 1, 2, 3]
    assert len(await events_of(flock, "delivery.handled")) == 4


async def is_empty(flock: Flock) -> bool:
    return (await Inbox(flock.shard, "Each", "nobody").state()).length == 0


async def test_a_full_server_makes_a_batch_wait_and_each_is_handled_once(own_server: Any) -> None:
    server: OwnServer = await own_server()
    handled: list[int] = []
    full = asyncio.Event()

    async def act(given: Given, ctx: Context[Any]) -> Doubled:
        handled.append(given.n)
        await full.wait()
        return Doubled(given.n, "")

    async with open_flock({"url": server.url, "flock": "f"}) as flock:
        inbox = await filled(flock, 6)
        each = Each(act)
        each.timeout = timedelta(seconds=20)  # type: ignore[misc]  # for this one actor
        async with flock.work(each) as (worker,):
            await wait_until(lambda: len(handled) == 6)
            await flock.connection.client.execute_command("CONFIG SET", "maxmemory", "1")
            full.set()
            await wait_until(lambda: refused(flock))
            assert worker.busy == 6
            await flock.connection.client.execute_command("CONFIG SET", "maxmemory", "0")
            await wait_until(lambda: ended(flock, 6), timeout=15)
            await wait_until(lambda: worker.busy == 0)
        assert (await inbox.state()).length == 0
        assert sorted(event.data["n"] for event in await events_of(flock, "crew.doubled")) == list(range(6))
    assert sorted(handled) == list(range(6))


async def refused(flock: Flock) -> bool:
    """Whether the server has refused a call for want of memory."""
    stats: Any = await flock.connection.client.execute_command("INFO", "errorstats")
    return "errorstat_OOM" in stats


async def test_a_generator_in_a_batch_may_wait_between_what_it_yields(flock: Flock) -> None:
    await filled(flock, 4)

    class Yields(Actor):
        name = "Each"

        @on(Given)
        async def each(self, given: Given, ctx: Context[None]) -> AsyncGenerator[Doubled]:
            yield Doubled(given.n, "1")
            if given.n % 2:
                await asyncio.sleep(0.005)
            yield Doubled(given.n, "2")

    async with flock.work(Yields):
        await wait_until(lambda: ended(flock, 4))
    doubled = [(event.data["n"], event.data["note"]) for event in await events_of(flock, "crew.doubled")]
    assert sorted(doubled) == [(n, note) for n in range(4) for note in ("1", "2")]


@pytest.mark.parametrize("waits", [False, True])
async def test_a_handler_of_a_batch_that_fails_is_tried_again_alone(flock: Flock, waits: bool) -> None:
    await filled(flock, 6)
    tries: dict[int, int] = {}

    async def act(given: Given, ctx: Context[Any]) -> None:
        tries[given.n] = tries.get(given.n, 0) + 1
        if waits:
            await asyncio.sleep(0.001)
        if given.n == 3 and ctx.attempt < 3:
            raise ValueError("again")

    each = Each(act)
    each.retry = Retry(attempts=3, first_delay=timedelta(milliseconds=5))  # type: ignore[misc]  # for this one actor
    async with flock.work(each):
        await wait_until(lambda: ended(flock, 6))
    assert tries == {n: 3 if n == 3 else 1 for n in range(6)}
