"""Recovery: what kills its worker is parked and takes nothing else with it; whoever leaves keeps nobody waiting."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import AsyncGenerator
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import timedelta
from itertools import pairwise
from typing import Any

import pytest
from roost_tests.crew import LEASE, Doubler, Given, HastyDoubler, OnceDoubler, events_of, open_flock, tell
from roost_tests.peer import Peer, peers
from roost_tests.waiting import wait_until

from roost.actors import Actor, Context, Flock, on
from roost.cli.watchdog import BLOCKED
from roost.streams import Inbox

LEASE_S = LEASE.total_seconds()


@asynccontextmanager
async def workers(settings: dict[str, Any], count: int, **more: Any) -> AsyncGenerator[list[int]]:
    """Processes that work; one that dies is replaced. What they have died with so far."""
    codes: list[int] = []

    async def keep() -> None:
        while True:
            async with peers(Peer("work", **settings, **more)) as (one,):
                codes.append(await one.end())

    keepers = [asyncio.create_task(keep()) for _ in range(count)]
    try:
        yield codes
    finally:
        for keeper in keepers:
            keeper.cancel()
        await asyncio.gather(*keepers, return_exceptions=True)


async def subscribe(flock: Flock, actor: str = "Doubler") -> None:
    """So that what is appended before anybody works is there."""
    await Inbox(flock.shard, actor, "nobody").subscribe(["crew.given"])


async def ended(flock: Flock) -> tuple[Counter[int], Counter[int]]:
    """How often each was handled, and parked, by its number."""
    numbers = {event.id: event.data["n"] for event in await events_of(flock, "crew.given")}
    handled, parked = [
        Counter(numbers[event.data["event"]] for event in await events_of(flock, kind))
        for kind in ("delivery.handled", "delivery.parked")
    ]
    return handled, parked


async def is_done(flock: Flock, count: int) -> bool:
    handled, parked = await ended(flock)
    return handled.total() + parked.total() >= count


async def test_a_delivery_that_kills_its_process_is_parked_alone(flock: Flock, settings: dict[str, Any]) -> None:
    await subscribe(flock)
    given = [Given(n, act="always die" if n == 11 else "always sleep:0.02") for n in range(40)]
    await flock.append(*given)
    began = time.monotonic()
    async with workers(settings | {"lease_s": 0.5}, 2, actors=["Doubler"]) as deaths:
        await wait_until(lambda: is_done(flock, 40), timeout=30)
        assert deaths == [-9] * Doubler.retry.attempts
    handled, parked = await ended(flock)
    assert handled == {n: 1 for n in range(40) if n != 11}
    assert parked == {11: 1}
    (event,) = await events_of(flock, "delivery.parked")
    assert event.data["attempts"] == Doubler.retry.attempts
    most = max(event.data["attempt"] for event in await events_of(flock, "delivery.handled"))
    tell(f"40 deliveries, {len(deaths)} workers killed: {time.monotonic() - began:.1f} s; most attempts {most}")
    assert not await flock.connection.client.exists(flock.shard.keys.key("tries", "Doubler"))


@pytest.mark.long
async def test_what_has_one_attempt_is_begun_once_and_not_parked_for_what_its_neighbour_did(
    flock: Flock, settings: dict[str, Any]
) -> None:
    await subscribe(flock, "OnceDoubler")
    await flock.append(*[Given(n, act="die" if n == 0 else "") for n in range(12)])
    async with workers(settings, 1, actors=["OnceDoubler"]) as deaths:
        await wait_until(lambda: is_done(flock, 12), timeout=20)
        assert deaths == [-9]
    handled, parked = await ended(flock)
    assert (set(handled), set(parked)) == (set(range(1, 12)), {0})
    assert {event.data["attempt"] for event in await events_of(flock, "delivery.handled")} == {1}
    assert OnceDoubler.retry.attempts == 1


@pytest.mark.long
async def test_a_delivery_that_blocks_its_event_loop_is_parked_alone(
    flock: Flock, settings: dict[str, Any], capfd: pytest.CaptureFixture[str]
) -> None:
    await subscribe(flock, "HastyDoubler")
    await flock.append(*[Given(n, act="always block:1000000" if n == 3 else "always sleep:0.02") for n in range(20)])
    began = time.monotonic()
    async with workers(settings | {"lease_s": 0.4}, 2, actors=["HastyDoubler"], watched=True) as ends:
        await wait_until(lambda: is_done(flock, 20), timeout=30)
        assert ends == [BLOCKED] * HastyDoubler.retry.attempts
    handled, parked = await ended(flock)
    assert (handled, parked) == ({n: 1 for n in range(20) if n != 3}, {3: 1})
    took_s = time.monotonic() - began
    lines = capfd.readouterr().err.splitlines()
    tell(f"20 deliveries, {len(ends)} event loops blocked for ever: {took_s:.1f} s")
    said = [line for line in lines if "has kept the event loop" in line]
    assert len(said) == len(ends)
    given = next(event for event in await events_of(flock, "crew.given") if event.data["n"] == 3)
    assert all("HastyDoubler.double has kept" in line and f"event {given.id}" in line for line in said)
    assert any("time.sleep(float(seconds))" in line for line in lines), "where"


@pytest.mark.long
async def test_a_delivery_that_lets_no_thread_run_is_parked_too(
    flock: Flock, settings: dict[str, Any], capfd: pytest.CaptureFixture[str]
) -> None:
    await subscribe(flock, "HastyDoubler")
    await flock.append(Given(1, act="always hog"), Given(2))
    async with workers(settings | {"lease_s": 0.4}, 1, actors=["HastyDoubler"], watched=True) as ends:
        await wait_until(lambda: is_done(flock, 2), timeout=40)
        assert ends == [1] * HastyDoubler.retry.attempts
    assert await ended(flock) == ({2: 1}, {1: 1})
    assert "in _act" in capfd.readouterr().err


@pytest.mark.long
async def test_a_blocked_program_of_somebody_elses_goes_on_and_keeps_nothing_meanwhile(
    flock: Flock, settings: dict[str, Any], capfd: pytest.CaptureFixture[str]
) -> None:
    quick = settings | {"lease_s": 0.3}
    async with peers(Peer("work", **quick, actors=["HastyDoubler"])) as (blocked,):
        await flock.append(Given(1, act="block:3"))
        await wait_until(lambda: has_pending(flock, 1, "HastyDoubler"))
        before = time.monotonic()
        async with open_flock(quick) as other, other.work(HastyDoubler):
            await wait_until(lambda: is_done(flock, 1))
        assert time.monotonic() - before < 2.5
        blocked.go()
        await blocked.hear("left")
        assert await blocked.end() == 0
    (handled,) = await events_of(flock, "delivery.handled")
    assert handled.data["attempt"] == 2, "by the other, while this one was blocked"
    said = [line for line in capfd.readouterr().err.splitlines() if "the event loop is blocked" in line]
    assert len(said) == 1


@pytest.mark.long
async def test_suspects_take_turns_and_what_is_new_goes_on_beside_them(flock: Flock, settings: dict[str, Any]) -> None:
    async with peers(Peer("work", **settings, actors=["Doubler"])) as (doomed,):
        await flock.append(*[Given(n, act="always sleep:0.4") for n in range(8)])
        await wait_until(lambda: has_pending(flock, 8))
        doomed.kill()
        await doomed.end()
    await asyncio.sleep(LEASE_S)  # so that all of them are found by the first sweep
    async with open_flock(settings) as one, one.work(Doubler):
        await wait_until(lambda: has_begun(flock, 1), timeout=10)
        before = time.monotonic()
        await flock.append(Given(100))
        await wait_until(lambda: is_handled(flock, 100))
        assert time.monotonic() - before < 2, "they take 3.2 s, one after the other"
        await wait_until(lambda: is_done(flock, 9), timeout=10)
    times = sorted(event.data["ms"] for event in await events_of(flock, "delivery.handled"))
    assert times[1] >= 400
    handled = [event for event in await events_of(flock, "delivery.handled") if event.data["attempt"] > 1]
    ends = [event.position.ms for event in handled if event.position is not None]
    assert all(later - earlier > 350 for earlier, later in pairwise(ends))


async def test_what_the_dead_have_left_is_taken_without_a_pause_until_there_is_no_more(flock: Flock) -> None:
    await subscribe(flock)
    await flock.append(*[Given(n) for n in range(120)])
    client = flock.connection.dedicated(block=timedelta(seconds=1))
    assert len(await Inbox(flock.shard, "Doubler", "dead").read(client, 120, timedelta(seconds=1))) == 120
    died = time.monotonic()
    async with flock.work(Doubler):
        await wait_until(lambda: is_done(flock, 120), timeout=15)
        tell(f"120 deliveries of one that died were handled {time.monotonic() - died:.1f} s later, one at a time")
        assert time.monotonic() - died < LEASE_S + 6
    await client.aclose()


class Reader(Actor):
    concurrency = 100

    @on(Given)
    async def read(self, given: Given, ctx: Context[None]) -> None:
        return None


@pytest.mark.long
async def test_an_inbox_takes_no_memory_for_what_is_done(flock: Flock) -> None:
    async def used() -> int:
        return int(await flock.connection.client.execute_command("MEMORY USAGE", key, "SAMPLES", 0) or 0)

    await subscribe(flock, "Reader")
    key = flock.shard.keys.key("inbox", "Reader")
    empty = await used()
    for first in range(0, 20_000, 200):
        await flock.append(*[Given(n, act="x" * 100) for n in range(first, first + 200)])
    full = await used()
    async with flock.work(Reader):
        await wait_until(lambda: is_empty(flock, "Reader"), timeout=30)
    assert full > 100 * empty
    assert await used() < 2 * empty + 4096
    tell(f"20,000 entries took {full:,} bytes; behind them {await used():,}, before {empty:,}")


async def is_empty(flock: Flock, actor: str) -> bool:
    state = await Inbox(flock.shard, actor, "nobody").state()
    return (state.length, state.pending, state.waiting) == (0, 0, 0)


async def has_pending(flock: Flock, count: int, actor: str = "Doubler") -> bool:
    return (await Inbox(flock.shard, actor, "nobody").state()).pending == count


async def has_begun(flock: Flock, count: int) -> bool:
    return len(await flock.connection.client.hgetall(flock.shard.keys.key("tries", "Doubler"))) >= count


async def is_handled(flock: Flock, n: int) -> bool:
    return (await ended(flock))[0][n] == 1


@pytest.mark.parametrize("hurried", [False, True])
async def test_whoever_stops_leaves_nothing_behind_and_keeps_nobody_waiting(
    flock: Flock, settings: dict[str, Any], hurried: bool
) -> None:
    unhurried = settings | {"lease_s": 30}
    grace = timedelta(seconds=20 if hurried else 0.3)
    async with open_flock(unhurried) as leaving, open_flock(unhurried) as other, AsyncExitStack() as neighbours:
        async with leaving.work(Doubler, grace=grace) as (worker,):
            given = [Given(n, act="sleep:60") for n in range(8)] + [Given(n) for n in range(8, 20)]
            await flock.append(*given)
            await wait_until(lambda: has_pending(flock, 8))
            (left,) = [name for name, _, _ in await consumers(flock)]
            await neighbours.enter_async_context(other.work(Doubler))
            if hurried:
                asyncio.get_running_loop().call_later(0.2, worker.hurry)
            before = time.monotonic()
        assert time.monotonic() - before < 15
        assert left not in [name for name, _, _ in await consumers(flock)]
        await wait_until(lambda: is_done(flock, 20))
        tell(f"all done {time.monotonic() - before:.2f} s after the stop began; the lease is 30 s")
    handled, _ = await ended(flock)
    assert handled == dict.fromkeys(range(20), 1)
    attempts = Counter(event.data["attempt"] for event in await events_of(flock, "delivery.handled"))
    assert attempts == {1: 12, 2: 8}, "what was begun counts, and nothing else"


async def consumers(flock: Flock) -> list[tuple[str, int, int]]:
    return await Inbox(flock.shard, "Doubler", "nobody").consumers()


async def test_a_handler_that_lives_keeps_its_delivery_and_one_that_dies_loses_it_within_a_lease_and_a_sweep(
    flock: Flock, settings: dict[str, Any]
) -> None:
    lease_s = 0.4
    quick = settings | {"lease_s": lease_s}
    async with peers(*[Peer("work", **quick, actors=["Doubler"]) for _ in range(2)]) as both:
        await flock.append(Given(1, act=f"always sleep:{10 * lease_s}"))
        await wait_until(lambda: is_done(flock, 1), timeout=15)
        (handled,) = await events_of(flock, "delivery.handled")
        assert handled.data["attempt"] == 1
        tell(f"a handler of {handled.data['ms'] / 1000:.1f} s with a lease of {lease_s} s was begun once")

        await flock.append(Given(2, act="sleep:30"))
        holder = await wait_until(lambda: holder_of(flock))
        doomed = next(peer for peer in both if f"-{peer.process.pid}-" in holder)
        doomed.kill()
        await doomed.end()
        killed = time.monotonic()
        await wait_until(lambda: is_done(flock, 2))
        taken_s = time.monotonic() - killed
        tell(f"taken over {taken_s:.2f} s after its worker was killed")
        most_s = lease_s + lease_s / 3 * 1.25 + lease_s / 3  # a lease, until another one leads, until it sweeps
        assert taken_s < most_s + 5


async def holder_of(flock: Flock) -> str:
    return next((name for name, pending, _ in await consumers(flock) if pending), "")
