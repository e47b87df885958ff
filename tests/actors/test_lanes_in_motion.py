"""Lanes that are to be given up, and kept after all; workers of a full server; what is left by who stops."""

# pyright: reportPrivateUsage=false
# What a worker has in hand, and what it is about to do, nobody else needs to know of.

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from datetime import timedelta
from typing import Any

from roost_tests.crew import Added, Sum, Summed, Summer, events_of, open_flock
from roost_tests.waiting import wait_until

from roost.actors import Context, Flock, Retry, on
from roost.actors.keyed import KeyedWorker
from roost.streams.lanes import Lanes

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
