"""Keyed state: one at a time, in order, equal to the fold of its events, whoever else writes."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import pytest
from roost_tests.crew import LEASE, Added, Sum, Summed, Summer, events_of
from roost_tests.peer import Peer, peers
from roost_tests.waiting import wait_until

from roost.actors import Actor, Context, Failure, Flock, Retry, desk, on
from roost.actors.state import States
from roost.streams import Event, LimitExceeded, SettingsError
from roost.streams.lanes import lane_of

Join = Callable[..., Awaitable[Flock]]


async def has_ended(flock: Flock, count: int) -> bool:
    return len(await events_of(flock, "delivery.handled", "delivery.parked")) >= count


async def check_sums(flock: Flock, expected: dict[str, int], actor: type[Actor] = Summer) -> None:
    """What is stored is the fold of the events, at their version, and both are right."""
    states = States(flock.shard, actor())
    for key, total in expected.items():
        stored, folded = await states.load(key), await states.fold(key)
        assert (stored.value, stored.version) == (folded.value, folded.version)
        assert stored.value.total == total
        events = await flock.log.subject(f"actor/{actor.name}/{key}")
        assert [event.version for event in events] == list(range(1, len(events) + 1))


async def test_one_key_is_handled_one_at_a_time_and_in_order(flock: Flock) -> None:
    at_once: dict[str, int] = {}

    class Watched(Summer):
        @on(Added, key=lambda added: added.key)
        async def add(self, added: Added, ctx: Context[Sum]) -> Summed:
            at_once[added.key] = at_once.get(added.key, 0) + 1
            assert at_once[added.key] == 1
            await asyncio.sleep(0.001)
            at_once[added.key] -= 1
            return Summed(added.key, ctx.state.total + added.n, added.n)

    async with flock.work(Watched):
        await flock.append(*[Added(f"k{n % 3}", n) for n in range(60)])
        await wait_until(lambda: has_ended(flock, 60))
    assert await events_of(flock, "delivery.retried") == []
    for key in range(3):
        events = await flock.log.subject(f"actor/Watched/k{key}")
        assert [event.data["n"] for event in events] == list(range(key, 60, 3))
    await check_sums(flock, {f"k{key}": sum(range(key, 60, 3)) for key in range(3)}, Watched)


async def test_keys_do_not_wait_for_one_another(flock: Flock) -> None:
    door = asyncio.Event()

    class Waiting(Summer):
        @on(Added, key=lambda added: added.key)
        async def add(self, added: Added, ctx: Context[Sum]) -> Summed:
            if added.key == "slow":
                await door.wait()
            return Summed(added.key, ctx.state.total + added.n, added.n)

    async with flock.work(Waiting):
        await flock.append(Added("slow", 1), Added("quick", 2), Added("quick", 3))
        await wait_until(lambda: has_ended(flock, 2))
        door.set()
        await wait_until(lambda: has_ended(flock, 3))
    await check_sums(flock, {"slow": 1, "quick": 5}, Waiting)


async def test_who_waits_in_line_longer_than_a_lease_is_not_taken_for_dead(
    flock: Flock, join: Join, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(desk, "COMMIT_MARGIN", timedelta(milliseconds=100))

    class Slow(Summer):
        timeout = timedelta(seconds=1)

        @on(Added, key=lambda added: added.key)
        async def add(self, added: Added, ctx: Context[Sum]) -> Summed:
            await asyncio.sleep(0.45)
            return Summed(added.key, ctx.state.total + added.n, added.n)

    quick = await join(lease_s=0.8)
    async with quick.work(Slow), (await join(lease_s=0.8)).work(Slow, concurrency=1):
        await flock.append(*[Added("k", 1) for _ in range(6)])
        await wait_until(lambda: has_ended(flock, 6), timeout=15)
    attempts = [event.data["attempt"] for event in await events_of(flock, "delivery.handled")]
    assert attempts == [1] * 6
    await check_sums(flock, {"k": 6}, Slow)


async def test_several_processes_on_the_same_keys_count_right(flock: Flock, settings: dict[str, Any]) -> None:
    async with peers(Peer("work", **settings, actors=["Summer"], processes=3)) as (crowd,):
        for first in range(0, 240, 60):
            await flock.append(*[Added(f"k{n % 4}", n) for n in range(first, first + 60)])
        await wait_until(lambda: has_ended(flock, 240), timeout=30)
        crowd.go()
        await crowd.hear_all("left")
    assert await events_of(flock, "delivery.parked") == []
    await check_sums(flock, {f"k{key}": sum(range(key, 240, 4)) for key in range(4)})


async def test_state_written_by_another_while_it_is_handled_is_loaded_again(flock: Flock) -> None:
    seen: list[int] = []

    class Overtaken(Summer):
        @on(Added, key=lambda added: added.key)
        async def add(self, added: Added, ctx: Context[Sum]) -> Summed:
            seen.append(ctx.state.total)
            if len(seen) == 1:
                await flock.append(Summed("k", 10, 10), subject="actor/Overtaken/k")
            return Summed(added.key, ctx.state.total + added.n, added.n)

    async with flock.work(Overtaken, concurrency=1):
        await flock.append(Added("k", 1))
        await wait_until(lambda: has_ended(flock, 1))
    assert seen == [0, 10]
    await check_sums(flock, {"k": 11}, Overtaken)


async def test_an_event_written_about_a_key_from_outside_is_folded_in(flock: Flock) -> None:
    async with flock.work(Summer):
        await flock.append(Added("k", 1))
        await wait_until(lambda: has_ended(flock, 1))
        await flock.append(Summed("k", 100, 99), subject="actor/Summer/k")
        await flock.append(Added("k", 5))
        await wait_until(lambda: has_ended(flock, 2))
    await check_sums(flock, {"k": 105})


@dataclass(frozen=True)
class Count:
    total: int = 0


class Elsewhere(Actor):
    """Tells of other subjects, too."""

    state = Count

    @on(Added, key=lambda added: added.key)
    async def add(self, added: Added, ctx: Context[Count]) -> Summed:
        ctx.emit(Summed("other", 0, 1000), subject="report/all")
        return Summed(added.key, ctx.state.total + added.n, added.n)

    def evolve(self, state: Count, event: Summed) -> Count:
        return Count(state.total + event.n)


async def test_what_is_told_about_other_subjects_is_not_the_keys_state(flock: Flock) -> None:
    async with flock.work(Elsewhere):
        await flock.append(Added("k", 1), Added("k", 2))
        await wait_until(lambda: has_ended(flock, 2))
    assert len(await flock.log.subject("report/all")) == 2
    await check_sums(flock, {"k": 3}, Elsewhere)


async def test_a_failing_delivery_holds_its_key_until_it_is_parked_and_then_the_key_goes_on(flock: Flock) -> None:
    order: list[int] = []

    class Stubborn(Summer):
        retry = Retry(attempts=3, first_delay=timedelta(milliseconds=20))

        @on(Added, key=lambda added: added.key)
        async def add(self, added: Added, ctx: Context[Sum]) -> Summed:
            order.append(added.n)
            if added.n == 1:
                raise ValueError("never")
            return Summed(added.key, ctx.state.total + added.n, added.n)

        async def parked(self, event: Event, failure: Failure) -> Summed:
            return Summed("parked", 0, 0)

    async with flock.work(Stubborn):
        await flock.append(Added("k", 1), Added("k", 2), Added("k", 3))
        await wait_until(lambda: has_ended(flock, 3))
    assert order == [1, 1, 1, 2, 3]
    assert len(await events_of(flock, "delivery.retried")) == 2
    await check_sums(flock, {"k": 5}, Stubborn)


async def test_a_key_goes_to_another_worker_when_its_own_is_killed(flock: Flock, settings: dict[str, Any]) -> None:
    async with peers(Peer("work", **settings, actors=["Summer"])) as (doomed,):
        await flock.append(*[Added("k", n) for n in range(50)])
        await wait_until(lambda: has_ended(flock, 5))
        doomed.freeze()
        doomed.kill()
        await doomed.end()
    started = time.monotonic()
    async with flock.work(Summer):
        await wait_until(lambda: has_ended(flock, 50), timeout=15)
    assert time.monotonic() - started < 3 * LEASE.total_seconds() + 15
    await check_sums(flock, {"k": sum(range(50))})


def test_an_actor_whose_handlers_do_not_agree_about_keys_is_refused() -> None:
    with pytest.raises(SettingsError, match="all of its handlers"):

        class Mixed(Actor):  # pyright: ignore[reportUnusedClass]  # making it is the test
            @on(Added, key=lambda added: added.key)
            async def one(self, added: Added, ctx: Context[None]) -> None: ...

            @on(Summed)
            async def other(self, summed: Summed, ctx: Context[None]) -> None: ...


def test_state_without_a_key_is_refused() -> None:
    with pytest.raises(SettingsError, match="no key"):

        class Keyless(Actor):  # pyright: ignore[reportUnusedClass]  # making it is the test
            state = Sum

            @on(Added)
            async def one(self, added: Added, ctx: Context[Sum]) -> None: ...


@pytest.mark.parametrize("attempt", [1, 2, 50, 10_000])
def test_pauses_between_attempts_grow_within_bounds(attempt: int) -> None:
    retry = Retry(first_delay=timedelta(seconds=1), factor=10, max_delay=timedelta(seconds=30))
    expected = min(10 ** min(attempt - 1, 32), 30)
    assert expected / 2 <= retry.delay(attempt).total_seconds() <= expected
    assert retry.delay(attempt, timedelta(hours=1)) == timedelta(hours=1)


async def test_who_has_lost_a_lane_records_no_retry_in_it(flock: Flock) -> None:
    tried: list[int] = []

    class Overtaken(Summer):
        @on(Added, key=lambda added: added.key)
        async def add(self, added: Added, ctx: Context[Sum]) -> Summed:
            tried.append(added.n)
            await flock.connection.client.hset(
                flock.shard.keys.key("lanes", "Overtaken"),
                mapping={lane_of("k", Overtaken.lanes): f"7 {2**52} another"},
            )
            raise ValueError("never")

    async with flock.work(Overtaken) as (worker,):
        await flock.append(Added("k", 1))
        await wait_until(lambda: tried and worker.busy == 0)
    assert await events_of(flock, "delivery.retried", "delivery.parked", "delivery.handled") == []


async def test_a_state_whose_first_events_are_out_of_reach_is_not_folded(flock: Flock) -> None:
    async with flock.work(Summer):
        await flock.append(Added("k", 1), Added("k", 2))
        await wait_until(lambda: has_ended(flock, 2))
    states = States(flock.shard, Summer())
    assert (await states.fold("k")).value == Sum(3, 2)
    last = (await flock.log.subject("actor/Summer/k"))[-1].position
    assert last is not None
    await flock.connection.client.execute_command("XTRIM", flock.shard.keys.log, "MINID", last.entry)
    with pytest.raises(LimitExceeded, match="cannot be folded"):
        await states.fold("k")
