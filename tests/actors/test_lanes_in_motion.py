"""Lanes that are to be given up, and kept after all; workers of a full server; what is left by who stops."""

# pyright: reportPrivateUsage=false
# What a worker has in hand, and what it is about to do, nobody else needs to know of.

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from datetime import timedelta
from typing import Any, ClassVar

import pytest
from roost_tests.crew import Added, Sum, Summed, Summer, events_of, open_flock
from roost_tests.waiting import wait_until

from roost.actors import Actor, Circuit, Context, Flock, Retry, on
from roost.actors.keyed import KeyedWorker
from roost.streams import Inbox, Unit
from roost.streams.answer import Fenced, Written
from roost.streams.lanes import Lanes, lane_of

Join = Callable[..., Awaitable[Flock]]


class Guarded(Summer):
    """Lets a delivery pass when its door is opened."""

    lanes = 1
    retry = Retry(attempts=5)

    def __init__(self) -> None:
        self.begun: list[tuple[str, int]] = []
        self.doors: dict[tuple[str, int], asyncio.Event] = {}

    def open(self, key: str, n: int) -> None:
        self.doors.setdefault((key, n), asyncio.Event()).set()

    @on(Added, key=lambda added: added.key)
    async def add(self, added: Added, ctx: Context[Sum]) -> Summed:
        self.begun.append((added.key, added.n))
        await self.doors.setdefault((added.key, added.n), asyncio.Event()).wait()
        return Summed(added.key, ctx.state.total + added.n, added.n)


def keyed(worker: Any) -> KeyedWorker:
    assert isinstance(worker, KeyedWorker)
    return worker


async def has_handled(flock: Flock, count: int) -> bool:
    return len(await events_of(flock, "delivery.handled")) >= count


def is_leaving(worker: KeyedWorker) -> list[bool]:
    return [held.leaving for held in worker._lines.held.values()]


async def test_a_lane_that_need_not_be_given_up_after_all_goes_on_with_all_its_keys(join: Join) -> None:
    flock, actor = await join(lease_s=20), Guarded()
    async with flock.work(actor) as (any_worker,):
        worker = keyed(any_worker)
        await flock.append(Added("a", 1), Added("b", 1), Added("b", 2))
        await wait_until(lambda: len(actor.begun) == 2)
        # 1. Another comes, who has a right to the lane: it is left when nothing of it runs.
        other = Lanes(flock.shard, actor.name, "0", 1)
        await other.keep(timedelta(seconds=20))
        await wait_until(lambda: is_leaving(worker) == [True])
        actor.open("b", 1)
        await wait_until(lambda: has_handled(flock, 1))
        assert len(actor.begun) == 2, "nothing more of it begins"
        # 2. The other goes before that.
        await other.leave()
        await wait_until(lambda: is_leaving(worker) == [False])
        await wait_until(lambda: ("b", 2) in actor.begun, timeout=2)
        for key, n in (("a", 1), ("b", 2)):
            actor.open(key, n)
        await wait_until(lambda: has_handled(flock, 3))


async def test_a_keyed_worker_outlives_a_server_that_is_full_for_a_while(own_server: Any) -> None:
    server = await own_server()
    async with open_flock({"url": server.url, "flock": "f", "lease_s": 0.6}) as flock, flock.work(Summer) as (worker,):
        client = flock.connection.client
        await flock.append(*[Added(f"k{n}", n) for n in range(50)])
        await client.execute_command("CONFIG", "SET", "maxmemory", "1mb")
        kept_at = keyed(worker)._keep_at
        await wait_until(lambda: worker.failed.done() or keyed(worker)._keep_at > kept_at + 0.5)
        assert not worker.failed.done()
        await client.execute_command("CONFIG", "SET", "maxmemory", "0")
        await wait_until(lambda: has_handled(flock, 50), timeout=10)


async def test_many_lanes_are_looked_through_after_one_pause_not_each_after_its_own(flock: Flock) -> None:
    async with flock.work(Summer) as (any_worker,):
        worker = keyed(any_worker)
        await wait_until(
            lambda: len(worker._lines.held) == 16 and all(held.taken for held in worker._lines.held.values())
        )
        worker._lines.unsettled = 4  # in a row: it pauses for 0.4 s at least
        for held in worker._lines.held.values():
            held.taken = False
        worker._wake.set()
        await wait_until(lambda: all(held.taken for held in worker._lines.held.values()), timeout=2)


class Fickle(Actor):
    """Fails of its own the first time, then of an outage as long as there is one."""

    lanes = 1
    retry = Retry(attempts=2, first_delay=timedelta(milliseconds=1))
    circuit = Circuit(failures=1, reset=timedelta(minutes=1))
    is_down: ClassVar[bool] = True

    @on(Added, key=lambda added: added.key)
    async def add(self, added: Added, ctx: Context[None]) -> None:
        if ctx.attempt == 1:
            raise ValueError("the first time")
        if self.is_down:
            raise ConnectionError("nobody there")


class Recovered(Fickle):
    name = "Fickle"
    is_down = False


async def test_a_last_attempt_that_the_circuit_did_not_let_in_is_still_to_come_for_the_next_owner(join: Join) -> None:
    flock, other = await join(lease_s=20), await join(lease_s=20)
    async with flock.work(Fickle) as (any_worker,):
        lines = keyed(any_worker)._lines
        await flock.suspects.turn.acquire()  # last attempts come one after the other: none before both are there
        await flock.append(Added("a", 1), Added("b", 2))
        await wait_until(lambda: len(lines._given) == 2 and all(token.count == 1 for token in lines._given))
        await wait_until(lambda: all(line.places[0].delivery.attempt == 2 for line in lines._given.values()))
        flock.suspects.turn.release()
        await wait_until(lambda: is_told(flock, "circuit.opened"))
        await wait_until(lambda: not lines._given)
    async with other.work(Recovered):
        await wait_until(lambda: has_ended(flock, 2))
    assert await events_of(flock, "delivery.parked") == []


async def is_told(flock: Flock, kind: str) -> bool:
    return bool(await events_of(flock, kind))


async def has_ended(flock: Flock, count: int) -> bool:
    return len(await events_of(flock, "delivery.handled", "delivery.parked")) >= count


class Wide(Guarded):
    lanes = 2
    concurrency = 2
    timeout = timedelta(minutes=1)


async def test_a_suspect_whose_worker_stops_before_it_began_keeps_no_other_waiting(join: Join) -> None:
    flock, actor = await join(lease_s=1), Wide()
    async with flock.work(actor, grace=timedelta(seconds=0.2)) as (any_worker,):
        worker = keyed(any_worker)
        # 1. Another worker has a lane, and takes a delivery of it; here all slots are taken meanwhile.
        other = Lanes(flock.shard, actor.name, "0", 2)
        await wait_until(lambda: has_lanes(other, 1))
        (lane, generation), *_ = (await other.keep(timedelta(seconds=20))).lanes.items()
        there = next(f"k{n}" for n in range(99) if lane_of(f"k{n}", 2) == lane)
        here = [f"k{n}" for n in range(99) if lane_of(f"k{n}", 2) != lane][:2]
        await flock.append(*[Added(key, 1) for key in (there, *here)])
        await wait_until(lambda: len(actor.begun) == 2)
        await wait_until(lambda: has_read(other, lane, generation))
        # 2. It dies: the delivery is a suspect, and waits for a slot.
        key = flock.shard.keys.key
        await flock.connection.client.execute_command("ZADD", key("crew", actor.name), 1, "0")
        await flock.connection.client.hset(key("lanes", actor.name), mapping={str(lane): f"{generation} 1 0"})
        await wait_until(lambda: flock.suspects._begun is not None)
        assert worker.busy == 3
    assert flock.suspects._begun is None


async def has_lanes(lanes: Lanes, count: int) -> bool:
    return len((await lanes.keep(timedelta(seconds=20))).lanes) == count


async def has_read(lanes: Lanes, lane: int, generation: int) -> bool:
    return bool((await lanes.read({lane: generation}, 10))[1])


async def test_what_failed_before_its_actor_had_keys_comes_back_when_its_time_has_come(flock: Flock) -> None:
    inbox = Inbox(flock.shard, "Summer", "before")
    await inbox.subscribe(["crew.added"])
    await flock.append(Added("k", 1))
    (delivery,) = await inbox.read(flock.connection.client, 1, timedelta(seconds=1))
    answer = await flock.writer.write(Unit().postpone(delivery.token, timedelta(seconds=2), 1, b"{}"))
    assert isinstance(answer, Written)
    async with flock.work(Summer):
        await flock.append(Added("k", 2))
        await wait_until(lambda: has_handled(flock, 2), timeout=8)
    assert [event.data["attempt"] for event in await events_of(flock, "delivery.handled")] == [1, 2]


async def test_what_a_worker_without_keys_has_in_hand_is_not_settled_twice_when_its_actor_gets_keys(
    flock: Flock,
) -> None:
    inbox = Inbox(flock.shard, "Summer", "before")
    await inbox.subscribe(["crew.added"])
    await flock.append(Added("k", 1))
    (delivery,) = await inbox.read(flock.connection.client, 1, timedelta(seconds=1))
    async with flock.work(Summer):
        await wait_until(lambda: has_handled(flock, 1))
        answer = await flock.writer.write(Unit().acknowledge(delivery.token))
    assert isinstance(answer, Fenced)
    assert (await inbox.state()).pending == 0


class Strict(Summer):
    """Halts."""

    halt = True
    retry = Retry(attempts=1)

    @on(Added, key=lambda added: added.key)
    async def add(self, added: Added, ctx: Context[Sum]) -> Summed:
        raise ValueError("not today")


class Mended(Summer):
    """The same actor later, which does not halt."""

    name = "Strict"


async def test_a_key_that_halted_goes_on_when_it_is_retried_though_its_actor_halts_no_more(flock: Flock) -> None:
    async with flock.work(Strict):
        await flock.append(Added("k", 1), Added("k", 2))
        await wait_until(lambda: is_told(flock, "delivery.parked"))
    async with flock.work(Mended):
        (parked,) = [each async for each in flock.dead.list()]
        await flock.dead.retry(parked)
        await wait_until(lambda: has_handled(flock, 2))
    assert [event.data["n"] for event in await flock.log.subject("actor/Strict/k")] == [1, 2]


async def test_what_was_read_by_one_who_stops_before_it_heard_of_it_has_lost_no_attempt(
    join: Join, monkeypatch: pytest.MonkeyPatch
) -> None:
    flock, other = await join(lease_s=20), await join(lease_s=20)
    read, unheard = Lanes.read, asyncio.Event()

    async def read_unheard(lanes: Lanes, *args: Any) -> Any:
        answer = await read(lanes, *args)
        if answer[1]:
            unheard.set()
            await asyncio.Event().wait()
        return answer

    monkeypatch.setattr(Lanes, "read", read_unheard)
    async with flock.work(Summer):
        await flock.append(*[Added("k", n) for n in range(3)])
        await unheard.wait()
    monkeypatch.setattr(Lanes, "read", read)
    async with other.work(Summer) as (worker,):
        await wait_until(lambda: has_handled(flock, 3))
        assert worker.busy == 0
    handled = await events_of(flock, "delivery.handled")
    assert [event.data["attempt"] for event in handled] == [1, 1, 1]
