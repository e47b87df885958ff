"""Deliveries when workers die, freeze and block, replies are lost, the server goes: once, whoever dies when."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Awaitable, Callable
from datetime import timedelta
from typing import Any

import orjson
import pytest
from roost_tests.crew import LEASE, Doubler, Given, events_of, open_flock
from roost_tests.own_server import OwnServer
from roost_tests.peer import Peer, peers
from roost_tests.proxy import Proxy
from roost_tests.waiting import wait_until

from roost.actors import Actor, Context, Flock, on
from roost.actors.worker import Worker
from roost.streams import Event, Inbox, ServerUnavailable, derived_id
from roost.streams.position import start_of
from roost.streams.script import script

LEASE_S = LEASE.total_seconds()

Join = Callable[..., Awaitable[Flock]]


async def has_ended(flock: Flock, count: int) -> bool:
    return len(await events_of(flock, "delivery.handled", "delivery.parked")) >= count


async def check_once(flock: Flock, count: int) -> None:
    """Each event given has led to its effects once, under the IDs that belong to it, and is out of the inbox."""
    given = await events_of(flock, "crew.given")
    doubled = await events_of(flock, "crew.doubled")
    assert len(given) == count
    expected = [derived_id("", event.id, "Doubler", "double", index) for event in given for index in range(2)]
    assert sorted(event.id for event in doubled) == sorted(expected)
    written = Counter(event.data["key"] for event in await events_of(flock, "note.written"))
    assert written == {f"double/{event.data['n']}": 1 for event in given}
    handled = Counter(event.data["event"] for event in await events_of(flock, "delivery.handled"))
    assert handled == {event.id: 1 for event in given}
    assert await left_in(flock) == (0, 0, 0)


async def left_in(flock: Flock, inbox: str = "Doubler") -> tuple[int, int, int]:
    state = await Inbox(flock.shard, inbox, "nobody").state()
    return state.length, state.pending, state.waiting


@pytest.mark.parametrize("fault", ["die", "die after"])
async def test_a_killed_worker_leaves_nothing_half_done(flock: Flock, settings: dict[str, Any], fault: str) -> None:
    async with peers(Peer("work", **settings, actors=["Doubler"])) as (doomed,):
        await flock.append(*[Given(n, act=fault if n == 3 else "sleep:0.05") for n in range(8)])
        await doomed.end()
        died = time.monotonic()
        assert len(await events_of(flock, "delivery.handled")) < 8
        async with flock.work(Doubler):
            await wait_until(lambda: has_ended(flock, 8), timeout=10)
        assert time.monotonic() - died < 3 * LEASE_S + 15
    await check_once(flock, 8)
    attempts = {event.data["event"]: event.data["attempt"] for event in await events_of(flock, "delivery.handled")}
    (fatal,) = [event.id for event in await events_of(flock, "crew.given") if event.data["n"] == 3]
    assert attempts[fatal] == 2  # the attempt whose worker died counts


@pytest.mark.parametrize("killed", [False, True])
async def test_a_lost_reply_to_the_commit_does_not_repeat_it(
    flock: Flock, settings: dict[str, Any], proxy: Any, killed: bool
) -> None:
    faulty: Proxy = await proxy(settings["url"])
    lost = faulty.lose_reply(lambda request: any(b"delivery.handled" in word for word in request))
    async with peers(Peer("work", **settings | {"url": faulty.url}, actors=["Doubler"])) as (worker,):
        await flock.append(Given(1))
        await asyncio.wait_for(lost.happened.wait(), 30)
        if killed:
            worker.kill()
            await worker.end()
        await flock.append(Given(2))
        if killed:
            async with flock.work(Doubler):
                await wait_until(lambda: has_ended(flock, 2), timeout=10)
        else:
            await wait_until(lambda: has_ended(flock, 2), timeout=10)
            await wait_until(lambda: is_empty(flock))
    await check_once(flock, 2)


async def is_empty(flock: Flock) -> bool:
    return await left_in(flock) == (0, 0, 0)


async def test_a_lost_reply_to_a_read_strands_nothing(flock: Flock, settings: dict[str, Any], proxy: Any) -> None:
    faulty: Proxy = await proxy(settings["url"])
    async with open_flock(settings | {"url": faulty.url}) as cut_off, cut_off.work(Doubler):
        await flock.append(Given(1))
        await wait_until(lambda: has_ended(flock, 1))
        lost = faulty.lose_reply("XREADGROUP")  # the next one: that which waits now has gone through
        await flock.append(Given(2))
        await wait_until(lambda: has_ended(flock, 2))
        await flock.append(Given(3))
        await asyncio.wait_for(lost.happened.wait(), 30)
        started = time.monotonic()
        await wait_until(lambda: has_ended(flock, 3))
        assert time.monotonic() - started < LEASE_S  # by the worker itself, before any sweep
    await check_once(flock, 3)


async def test_a_delivery_that_kills_its_workers_is_parked_at_the_limit(flock: Flock, settings: dict[str, Any]) -> None:
    await flock.shard.open()
    await Inbox(flock.shard, "Doubler", "nobody").subscribe(["crew.given"])
    await flock.append(Given(7, act="always die"))
    for _ in range(Doubler.retry.attempts):
        async with peers(Peer("work", **settings, actors=["Doubler"])) as (doomed,):
            await doomed.end()
    await flock.append(Given(8))
    async with flock.work(Doubler):
        await wait_until(lambda: has_ended(flock, 2), timeout=10)
    (parked,) = await events_of(flock, "delivery.parked")
    assert parked.data["attempts"] == Doubler.retry.attempts
    assert "workers died" in parked.data["message"]
    ((_, fields),) = await flock.connection.client.xrange(flock.shard.keys.key("dead", "Doubler"))
    assert orjson.loads(fields[b"data"])["n"] == 7
    assert {event.data["n"] for event in await events_of(flock, "crew.doubled")} == {16, -16}
    assert await left_in(flock) == (0, 0, 0)


async def test_a_frozen_worker_is_fenced_when_it_wakes(flock: Flock, settings: dict[str, Any]) -> None:
    async with peers(Peer("work", **settings, actors=["Doubler"])) as (frozen,):
        await flock.append(Given(1, act="sleep:0.3"))
        await wait_until(lambda: is_pending(flock))
        frozen.freeze()
        async with flock.work(Doubler):
            await wait_until(lambda: has_ended(flock, 1), timeout=10)
            frozen.thaw()
            await flock.append(*[Given(n) for n in range(2, 6)])
            await wait_until(lambda: has_ended(flock, 5))
            frozen.go()
            await frozen.hear("left")
    await check_once(flock, 5)


async def is_pending(flock: Flock) -> bool:
    return (await left_in(flock))[1] == 1


async def test_a_worker_whose_event_loop_is_blocked_keeps_its_delivery(flock: Flock, settings: dict[str, Any]) -> None:
    async with peers(Peer("work", **settings, actors=["Doubler"])) as (blocked,):
        await flock.append(Given(1, act=f"block:{2.5 * LEASE_S}"))
        await wait_until(lambda: is_pending(flock))
        async with flock.work(Doubler):
            await wait_until(lambda: has_ended(flock, 1), timeout=10)
        blocked.go()
        await blocked.hear("left")
    await check_once(flock, 1)
    (handled,) = await events_of(flock, "delivery.handled")
    assert handled.data["attempt"] == 1


async def test_a_worker_that_stops_finishes_or_hands_back_what_it_has(flock: Flock, settings: dict[str, Any]) -> None:
    async with peers(Peer("work", **settings, actors=["Doubler"], grace_s=0.3)) as (leaving,):
        await flock.append(Given(1, act="sleep:0.2"), Given(2, act="sleep:4"))
        await wait_until(lambda: has_pending(flock, 2))
        leaving.go()
        await leaving.hear("left")
        assert await leaving.end() == 0
    assert len(await events_of(flock, "delivery.handled")) == 1
    assert (await left_in(flock))[:2] == (1, 0)
    assert await consumers(flock) == []
    started = time.monotonic()
    async with flock.work(Doubler):
        await wait_until(lambda: has_ended(flock, 2))
        assert time.monotonic() - started < LEASE_S  # nobody waits for the lease of one who has said good-bye
    await check_once(flock, 2)


async def has_pending(flock: Flock, count: int) -> bool:
    return (await left_in(flock))[1] == count


async def test_consumers_that_are_gone_are_removed(flock: Flock, settings: dict[str, Any]) -> None:
    quick = settings | {"lease_s": 0.15}
    async with peers(Peer("work", **quick, actors=["Doubler"])) as (doomed,):
        await flock.append(Given(1))  # Redis 7.0 knows no consumer that has read nothing yet
        await wait_until(lambda: has_ended(flock, 1))
        assert len(await consumers(flock)) == 1
        doomed.kill()
        await doomed.end()
    async with open_flock(quick) as other, other.work(Doubler):
        await flock.append(Given(2))
        await wait_until(lambda: has_ended(flock, 2))
        await wait_until(lambda: are_consumers(flock, 1), timeout=8)
    assert await consumers(flock) == []


async def consumers(flock: Flock) -> list[tuple[str, int, int]]:
    return await Inbox(flock.shard, "Doubler", "nobody").consumers()


async def are_consumers(flock: Flock, count: int) -> bool:
    return len(await consumers(flock)) == count


async def test_a_full_worker_lets_others_sweep_for_the_dead(flock: Flock, settings: dict[str, Any], join: Join) -> None:
    class Slow(Actor):
        name = "Doubler"
        concurrency = 1

        @on(Given)
        async def double(self, given: Given, ctx: Context[None]) -> None:
            await asyncio.sleep(60)

    async with peers(Peer("work", **settings, actors=["Doubler"])) as (doomed,), flock.work(Slow, grace=LEASE / 10):
        await flock.append(*[Given(n, act="sleep:60") for n in range(8)])
        await wait_until(lambda: has_pending(flock, 8))
        doomed.kill()  # seven were with it, and whoever sweeps may well be the one that has no room
        await doomed.end()
        async with (await join()).work(Doubler):
            await wait_until(lambda: has_ended(flock, 7), timeout=10)


async def test_what_the_sweep_brings_counts_among_what_is_handled_at_once(
    flock: Flock, settings: dict[str, Any]
) -> None:
    at_once = most = 0

    class Alone(Actor):
        name = "Doubler"
        concurrency = 1

        @on(Given)
        async def double(self, given: Given, ctx: Context[None]) -> None:
            nonlocal at_once, most
            at_once += 1
            most = max(most, at_once)
            await asyncio.sleep(0.3)
            at_once -= 1

    async with peers(Peer("work", **settings, actors=["Doubler"])) as (doomed,):
        await flock.append(Given(1, act="sleep:4"))
        await wait_until(lambda: has_pending(flock, 1))
        doomed.kill()
        await doomed.end()
    async with flock.work(Alone):  # it waits for something new, with room for one, when the sweep fills the room
        await wait_until(lambda: at_once == 1)
        await flock.append(Given(2))
        await wait_until(lambda: has_ended(flock, 2))
    assert most == 1


@pytest.mark.parametrize("ending", ["restart", "kill"])
async def test_a_server_that_restarts_loses_and_doubles_nothing(own_server: Any, ending: str) -> None:
    server: OwnServer = await own_server()
    settings = {"url": server.url, "flock": "f"}
    async with open_flock(settings) as flock, open_flock(settings) as other:
        async with flock.work(Doubler), other.work(Doubler):
            await flock.append(*[Given(n, act="sleep:0.3") for n in range(10)])
            await asyncio.sleep(1.1)  # the file is written through once a second
            await flock.append(*[Given(n, act="sleep:0.3") for n in range(10, 20)])
            await (server.restart() if ending == "restart" else kill_and_start(server))
            await flock.append(*[Given(n) for n in range(20, 30)])
            count = len(await events_of(flock, "crew.given"))
            await wait_until(lambda: has_ended(flock, count), timeout=20)
        if ending == "restart":
            assert count == 30
        await check_once(flock, count)


async def kill_and_start(server: OwnServer) -> None:
    await server.kill()
    await server.start()


async def test_workers_go_on_when_the_log_has_started_anew(own_server: Any) -> None:
    server: OwnServer = await own_server()
    async with open_flock({"url": server.url, "flock": "f"}) as flock, flock.work(Doubler):
        await flock.append(Given(1))
        await wait_until(lambda: has_ended(flock, 1))
        await flock.connection.client.execute_command("FLUSHALL")
        await wait_until(lambda: is_subscribed(flock), timeout=10)
        await flock.append(Given(2))
        await wait_until(lambda: has_ended(flock, 1))
        assert [event.data["n"] for event in await events_of(flock, "crew.given")] == [2]


async def is_subscribed(flock: Flock) -> bool:
    return bool(await flock.connection.client.exists(flock.shard.keys.key("inbox", "Doubler")))


async def test_several_processes_share_the_work_and_do_each_piece_once(flock: Flock, settings: dict[str, Any]) -> None:
    async with peers(Peer("work", **settings, actors=["Doubler"], processes=3)) as (crowd,):
        await flock.append(*[Given(n) for n in range(100)])
        await flock.append(*[Given(n) for n in range(100, 200)])
        await wait_until(lambda: has_ended(flock, 200), timeout=15)
        crowd.go()
        await crowd.hear_all("left")
    await check_once(flock, 200)
    doubled = await events_of(flock, "crew.doubled")
    assert {event.data["n"] for event in doubled} == {n * sign for n in range(0, 400, 2) for sign in (1, -1)}


async def test_routes_that_a_writer_did_not_know_of_miss_nothing(flock: Flock, join: Join) -> None:
    writer = await join()
    await writer.append(Given(0))  # it has learned the routes: there are none
    async with flock.work(Doubler):
        await writer.append(Given(1))
        await wait_until(lambda: has_ended(flock, 1))
    assert {event.data["n"] for event in await events_of(flock, "crew.doubled")} == {2, -2}


async def test_an_entry_that_is_no_event_is_parked_and_the_worker_goes_on(flock: Flock) -> None:
    async with flock.work(Doubler) as (worker,):
        await write_raw(flock, Given(1), b'{"id":"abc"}')  # the writer of another language has left out the time
        await flock.append(Given(2))
        await wait_until(lambda: is_followed(flock, "delivery.parked", "delivery.handled"))
        assert not worker.failed.done()
    (parked,) = await followed(flock, "delivery.parked")
    assert (parked.data["error"], parked.data["attempts"], parked.data["type"]) == ("DamagedEvent", 1, "crew.given")
    assert await left_in(flock) == (0, 0, 0)


async def write_raw(flock: Flock, payload: Given, meta: bytes) -> None:
    event = Event(type="crew.given", subject="thing/1", body=orjson.dumps({"n": payload.n, "act": ""}))
    unit = ["e", event.subject, event.type, meta, event.body, "Doubler"]
    args = (flock.shard.routes.generation, "foreign", 1, "token", 60_000, 1, 1, *unit)
    assert (await flock.shard.script("write")(flock.shard.client, flock.shard.keys.log, *args))[0] == b"ok"


async def is_followed(flock: Flock, *kinds: str) -> bool:
    return all([await followed(flock, kind) for kind in kinds])


async def followed(flock: Flock, kind: str) -> list[Event]:
    """The log's events of a type, without those that are none."""
    client = flock.connection.dedicated(block=timedelta(seconds=1))
    try:
        async for batch in flock.log.tail(client, start_of(0), block=timedelta(milliseconds=10)):
            return [event for event in batch if event.type == kind]
        return []
    finally:
        await client.aclose()


async def test_replies_lost_before_the_work_began_are_no_attempts(
    flock: Flock, settings: dict[str, Any], proxy: Any
) -> None:
    faulty: Proxy = await proxy(settings["url"])
    async with open_flock(settings | {"url": faulty.url, "lease_s": 20}) as cut_off, cut_off.work(Doubler):
        await flock.append(Given(1))
        await wait_until(lambda: has_ended(flock, 1))
        lost = faulty.lose_reply("XREADGROUP")
        others = [faulty.lose_reply(is_mine) for _ in range(3)]
        await flock.append(Given(2))
        await wait_until(lambda: has_ended(flock, 2))
        await flock.append(Given(3))
        await asyncio.wait_for(lost.happened.wait(), 30)
        await wait_until(lambda: has_ended(flock, 3), timeout=15)
        assert all(other.happened.is_set() for other in others)
    assert {event.data["attempt"] for event in await events_of(flock, "delivery.handled")} == {1}


def is_mine(request: list[bytes]) -> bool:
    forms = [script("mine", clustered=clustered) for clustered in (False, True)]
    words = {word for form in forms for word in (form.sha, form.text)}
    return request[0].upper() in (b"EVALSHA", b"EVAL") and request[1].decode() in words


async def test_a_block_of_work_ends_when_a_worker_can_go_on_no_more(flock: Flock) -> None:
    async def work() -> None:
        async with asyncio.timeout(10), flock.work(Doubler):
            await spoil_inbox(flock)
            await asyncio.Event().wait()

    with pytest.raises(ServerUnavailable, match="WRONGTYPE"):
        await work()
    task = asyncio.current_task()
    assert task is not None
    assert task.cancelling() == 0


async def test_a_block_of_work_that_is_cancelled_is_cancelled_though_a_worker_has_failed(flock: Flock) -> None:
    failing = asyncio.Event()

    async def work() -> None:
        async with flock.work(Doubler) as (worker,):
            try:
                await asyncio.Event().wait()
            finally:
                assert worker.failed.done()
                failing.set()
                await asyncio.sleep(30)

    working = asyncio.create_task(work())
    await wait_until(lambda: is_subscribed(flock))
    await spoil_inbox(flock)
    await asyncio.wait_for(failing.wait(), 30)
    working.cancel()
    with pytest.raises(asyncio.CancelledError):
        await working


async def test_an_error_of_the_block_goes_before_that_of_a_worker(flock: Flock) -> None:
    async def work() -> None:
        async with flock.work(Doubler):
            await spoil_inbox(flock)
            try:
                await asyncio.wait_for(asyncio.Event().wait(), 10)
            finally:
                raise ValueError("the block's own")

    with pytest.raises(ValueError, match="the block's own"):
        await work()


async def test_both_loops_of_a_worker_end_together(flock: Flock) -> None:
    async with flock.work(Doubler, run="r1") as (worker,):
        assert isinstance(worker, Worker)
        assert await worker.take_away()
        await wait_until(lambda: all(loop.done() for loop in loops_of(worker)))


async def spoil_inbox(flock: Flock) -> None:
    """Nobody can read it any more."""
    key = flock.shard.keys.key("inbox", "Doubler")
    await flock.connection.client.execute_command("SET", key, "no stream")


def loops_of(worker: Worker) -> list[asyncio.Task[None]]:
    """Those in which it takes deliveries and looks after those of others."""
    return worker._loops  # pyright: ignore[reportPrivateUsage]  # nobody else needs to know of them
