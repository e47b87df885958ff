"""Lanes: each key in order and one at a time, whoever comes, goes, dies or stands still; other keys go on."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, ClassVar

import pytest
from roost_tests.crew import Added, Sum, Summed, Summer, events_of
from roost_tests.peer import Peer, peers
from roost_tests.waiting import wait_until

from roost.actors import Actor, Context, Flock, Retry, on
from roost.actors.keyed import AnyWorker
from roost.streams import Delivery, Event, Inbox, ServerUnavailable, SettingsError
from roost.streams.lanes import Lanes, lane_of

Join = Callable[..., Awaitable[Flock]]


async def has_handled(flock: Flock, count: int) -> bool:
    return len(await events_of(flock, "delivery.handled")) >= count


async def owners(flock: Flock, actor: str) -> Counter[str]:
    """How many lanes each worker has."""
    stored = await flock.connection.client.hgetall(flock.shard.keys.key("lanes", actor))
    lanes = [value.decode().split(" ") for field, value in stored.items() if field.isdigit()]
    return Counter(owner for _, _, owner in lanes)


async def order_of(flock: Flock, key: str, actor: str = "Summer") -> list[int]:
    """The numbers of a key, in the order in which they took effect."""
    return [event.data["n"] for event in await flock.log.subject(f"actor/{actor}/{key}")]


@asynccontextmanager
async def working(flock: Flock, *actors: type[Actor], **options: Any) -> AsyncGenerator[AnyWorker]:
    async with flock.work(*actors, **options) as (worker,):
        yield worker


class Picky(Summer):
    """Fails for some."""

    retry = Retry(attempts=3, first_delay=timedelta(milliseconds=30))
    refused: ClassVar[set[str]] = set()

    @on(Added, key=lambda added: added.key)
    async def add(self, added: Added, ctx: Context[Sum]) -> Summed:
        if added.key in self.refused:
            raise ValueError("refused")
        return Summed(added.key, ctx.state.total + added.n, added.n)


async def test_lanes_are_shared_out_when_a_worker_comes_and_at_once_when_one_leaves(flock: Flock, join: Join) -> None:
    other = await join(lease_s=20)
    first = await join(lease_s=20)
    async with working(first, Summer):
        assert list((await owners(flock, "Summer")).values()) == [16]
        async with working(other, Summer):
            await wait_until(lambda: is_spread(flock, [8, 8]), timeout=2)
        await wait_until(lambda: is_spread(flock, [16]), timeout=2)
    assert list(await owners(flock, "Summer")) == [""], "who has left has no lane"


async def is_spread(flock: Flock, expected: list[int]) -> bool:
    return sorted((await owners(flock, "Summer")).values()) == expected


async def test_a_number_of_lanes_that_is_not_the_inboxs_is_refused(flock: Flock, join: Join) -> None:
    class Wide(Summer):
        name = "Summer"
        lanes = 32

    async with working(flock, Summer):
        await flock.append(Added("k", 1))
        with pytest.raises(SettingsError, match="has 16 lanes, the actor says 32"):
            async with working(await join(), Wide):
                pass
        await wait_until(lambda: has_handled(flock, 1))


async def test_a_worker_without_keys_is_refused_at_a_keyed_inbox(flock: Flock) -> None:
    class Keyless(Actor):
        name = "Summer"

        @on(Added)
        async def add(self, added: Added, ctx: Context[Any]) -> None:
            raise AssertionError("it would read what is for the one who sorts")

    async with working(flock, Summer):
        with pytest.raises(SettingsError, match="is that of a keyed actor, and Summer has no keys"):
            async with flock.work(Keyless):
                pass


@pytest.mark.parametrize("lanes", [0, 257])
def test_an_actor_has_a_bounded_number_of_lanes(lanes: int) -> None:
    with pytest.raises(SettingsError, match="choose 1 to 256"):
        type("Odd", (Summer,), {"lanes": lanes})


async def test_one_poisoned_key_among_a_thousand_holds_up_only_itself(flock: Flock) -> None:
    class Choosy(Picky):
        retry = Retry(attempts=3, first_delay=timedelta(minutes=1))
        refused: ClassVar[set[str]] = {"k7"}

    async with working(flock, Choosy, concurrency=4):
        for first in range(0, 3000, 200):
            await flock.append(*[Added(f"k{n % 1000}", n) for n in range(first, first + 200)])
        await wait_until(lambda: holds_only(flock, "Choosy", 3), timeout=15)
        retried = await events_of(flock, "delivery.retried")
    assert {event.data["attempt"] for event in retried} == {1}, "it is in its first pause, and all others are done"
    assert await order_of(flock, "k8", "Choosy") == [8, 1008, 2008]


async def holds_only(flock: Flock, actor: str, count: int) -> bool:
    return (await Inbox(flock.shard, actor, "").state()).length == count


async def test_a_key_that_cannot_go_on_with_hundreds_behind_it_leaves_the_room_to_others(flock: Flock) -> None:
    door = asyncio.Event()

    class Stuck(Summer):
        lanes = 2
        concurrency = 2

        @on(Added, key=lambda added: added.key)
        async def add(self, added: Added, ctx: Context[Sum]) -> Summed:
            if added.key == "stuck":
                await door.wait()
            return Summed(added.key, ctx.state.total + added.n, added.n)

    async with working(flock, Stuck) as worker:
        for first in range(0, 300, 100):
            await flock.append(*[Added("stuck", n) for n in range(first, first + 100)])
        await flock.append(*[Added(f"k{n}", n) for n in range(50)])
        await wait_until(lambda: has_handled(flock, 50), timeout=10)
        assert worker.busy < 100, "what waits is aside, on the server"
        state = await Inbox(flock.shard, "Stuck", "").state()
        assert state.length == 300
        door.set()
        await flock.append(Added("stuck", 300))
        await wait_until(lambda: has_handled(flock, 351), timeout=30)
        assert await order_of(flock, "stuck", "Stuck") == list(range(301))
        await wait_until(lambda: is_empty(flock, "Stuck"))
    assert [key for key in await kinds(flock) if key in ("aside", "stalled")] == [], "nothing is left of it"


async def kinds(flock: Flock) -> set[str]:
    pattern = flock.shard.keys.key("log").replace("{", "\\{").removesuffix("log") + "*"
    keys: list[bytes] = await flock.connection.client.execute_command("KEYS", pattern)
    return {key.decode().split(":")[2] for key in keys}


async def is_empty(flock: Flock, actor: str) -> bool:
    return await holds_only(flock, actor, 0)


async def test_a_lane_that_was_read_empty_is_heard_of_again(flock: Flock, join: Join) -> None:
    async with working(await join(lease_s=60), Summer, concurrency=2):  # it looks by itself every twenty seconds
        for burst in range(8):
            await flock.append(*[Added(f"k{n}", 1) for n in range(30 + burst * 20)])
            await wait_until(lambda: is_empty(flock, "Summer"), timeout=8)


async def test_a_failing_delivery_stays_the_first_of_its_key_and_takes_no_slot(flock: Flock) -> None:
    is_mended = False

    class Failing(Summer):
        concurrency = 1
        retry = Retry(attempts=1000, first_delay=timedelta(milliseconds=300), factor=1)

        @on(Added, key=lambda added: added.key)
        async def add(self, added: Added, ctx: Context[Sum]) -> Summed:
            if added.key.startswith("bad") and not is_mended:
                raise ValueError("not yet")
            return Summed(added.key, ctx.state.total + added.n, added.n)

    async with working(flock, Failing):
        await flock.append(*[Added(f"bad{n % 20}", n) for n in range(60)], *[Added("good", n) for n in range(20)])
        await wait_until(lambda: has_handled(flock, 20), timeout=20)
        assert await order_of(flock, "good", "Failing") == list(range(20))
        is_mended = True
        await wait_until(lambda: has_handled(flock, 80), timeout=20)
    for key in range(20):
        assert await order_of(flock, f"bad{key}", "Failing") == [key, key + 20, key + 40]


async def test_a_worker_that_dies_leaves_its_keys_to_the_next_one_in_order(
    flock: Flock, settings: dict[str, Any]
) -> None:
    crew = [Peer("work", **settings, actors=["Summer"]) for _ in range(3)]
    async with peers(*crew) as (first, *_):
        for start in range(0, 300, 60):
            await flock.append(*[Added(f"k{n % 10}", n) for n in range(start, start + 60)])
            if start == 60:
                first.kill()
        await wait_until(lambda: has_handled(flock, 300), timeout=30)
    for key in range(10):
        assert await order_of(flock, f"k{key}") == list(range(key, 300, 10))
    assert await events_of(flock, "delivery.parked") == []


async def test_a_late_commit_of_a_lanes_former_owner_is_refused(flock: Flock, join: Join) -> None:
    door, late = asyncio.Event(), await join(lease_s=20)

    class Late(Summer):
        name = "Summer"

        @on(Added, key=lambda added: added.key)
        async def add(self, added: Added, ctx: Context[Sum]) -> Summed:
            await door.wait()
            return Summed(added.key, ctx.state.total + added.n, -1)

    lane = lane_of("k", 16)
    table = flock.shard.keys.key("lanes", "Summer")
    async with working(late, Late, concurrency=1, grace=timedelta(seconds=1)) as worker:
        await flock.append(Added("k", 1))
        await wait_until(lambda: worker.busy == 1)
        # It is frozen, and its lease is over; it holds on to its lane when it wakes.
        stored = await flock.connection.client.hgetall(table)
        generation, _, owner = stored[str(lane).encode()].decode().split(" ")
        crew = flock.shard.keys.key("crew", "Summer")
        await flock.connection.client.execute_command("ZADD", crew, 1, owner)
        await flock.connection.client.hset(table, mapping={str(lane): f"{generation} 1 {owner}"})
        async with working(await join(lease_s=20), Summer):
            await wait_until(lambda: has_handled(flock, 1))
            door.set()
            await wait_until(lambda: worker.busy == 0)
    assert await order_of(flock, "k") == [1], "only the new owner's took effect"


@dataclass(frozen=True)
class Nothing:
    pass


class Halting(Picky):
    halt = True
    retry = Retry(attempts=1)
    refused: ClassVar[set[str]] = set()


async def word_of_a_person(flock: Flock, actor: str, word: str) -> None:
    """As `roost dead retry` and `drop` do: back into the inbox, marked."""
    client, key = flock.connection.client, flock.shard.keys.key
    ((entry, fields),) = await client.xrange(key("dead", actor))
    await client.xadd(key("inbox", actor), fields | {b"retry": word.encode()})
    await client.execute_command("XDEL", key("dead", actor), entry)


@pytest.mark.parametrize(("word", "expected"), [("1", [0, 10, 20, 30, 40]), ("drop", [10, 20, 30, 40])])
async def test_a_key_that_halts_stands_still_until_a_person_decides(
    flock: Flock, join: Join, word: str, expected: list[int]
) -> None:
    Halting.refused = {"k0"}
    async with working(await join(), Halting):
        await flock.append(*[Added(f"k{n % 10}", n) for n in range(40)])
        await wait_until(lambda: has_handled(flock, 36))
        assert len(await events_of(flock, "delivery.parked")) == 1
    async with working(flock, Halting):  # another worker: it stands still there, too
        await flock.append(*[Added(f"k{n % 10}", n) for n in range(40, 50)])
        await wait_until(lambda: has_handled(flock, 45))
        Halting.refused = set()
        await word_of_a_person(flock, "Halting", word)
        await wait_until(lambda: has_handled(flock, 45 + len(expected)))
        assert await order_of(flock, "k0", "Halting") == expected
        await wait_until(lambda: is_empty(flock, "Halting"))
    assert not await kinds(flock) & {"aside", "stalled"}


async def test_a_key_that_is_parked_again_halts_again(flock: Flock) -> None:
    Halting.refused = {"k"}
    async with working(flock, Halting):
        await flock.append(Added("k", 1), Added("k", 2))
        await wait_until(lambda: has_parked(flock, 1))
        await word_of_a_person(flock, "Halting", "1")
        await wait_until(lambda: has_parked(flock, 2))
        Halting.refused = set()
        await word_of_a_person(flock, "Halting", "1")
        await wait_until(lambda: has_handled(flock, 2))
    assert await order_of(flock, "k", "Halting") == [1, 2]


async def has_parked(flock: Flock, count: int) -> bool:
    return len(await events_of(flock, "delivery.parked")) >= count


async def test_without_halt_a_key_goes_on_behind_what_was_parked(flock: Flock) -> None:
    class Going(Picky):
        retry = Retry(attempts=1)

        @on(Added, key=lambda added: added.key)
        async def add(self, added: Added, ctx: Context[Sum]) -> Summed:
            if added.n == 1:
                raise ValueError("refused")
            return Summed(added.key, ctx.state.total + added.n, added.n)

    async with working(flock, Going):
        await flock.append(*[Added("k", n) for n in range(4)])
        await wait_until(lambda: has_handled(flock, 3))
    assert await order_of(flock, "k", "Going") == [0, 2, 3]


async def test_what_has_no_usable_key_is_parked_and_holds_up_nothing(flock: Flock) -> None:
    class Keyless(Summer):
        @on(Added, key=lambda added: added.key if added.n else "")
        async def add(self, added: Added, ctx: Context[Sum]) -> Summed:
            return Summed(added.key, ctx.state.total + added.n, added.n)

    async with working(flock, Keyless):
        await flock.append(Added("k", 0), Added("k", 1))
        await flock.append(Event(type="crew.added", subject="odd", body=b"[]"), Added("k", 2))
        await wait_until(lambda: has_handled(flock, 2))
        await wait_until(lambda: has_parked(flock, 2))
    assert await order_of(flock, "k", "Keyless") == [1, 2]


async def test_an_idle_worker_of_a_keyed_actor_asks_for_little(flock: Flock, join: Join) -> None:
    async with working(await join(lease_s=15), Summer):
        await flock.append(Added("k", 1))
        await wait_until(lambda: has_handled(flock, 1))
        before, started = await commands(flock), time.monotonic()
        await asyncio.sleep(1)
        rate = (await commands(flock) - before) / (time.monotonic() - started)
    assert rate < 100, "some for each lane and lease, and nothing beside"


async def commands(flock: Flock) -> int:
    info: dict[str, Any] = await flock.connection.client.execute_command("INFO", "stats")
    return int(info["total_commands_processed"])


class Once(Summer):
    """Its first attempt is its last, which is marked before it begins."""

    lanes = 1
    retry = Retry(attempts=1)


async def test_what_ends_without_the_servers_word_amid_a_look_at_the_lane_is_looked_at_too(
    flock: Flock, monkeypatch: pytest.MonkeyPatch
) -> None:
    begin, take = Inbox.begin, Lanes.take
    refused: list[str] = []
    looked, second_refused = asyncio.Event(), asyncio.Event()

    async def begin_later(inbox: Inbox, delivery: Delivery) -> bool:
        entry = delivery.token.entry
        if entry in refused or len(refused) == 2:
            return await begin(inbox, delivery)
        refused.append(entry)
        if len(refused) == 2:
            await looked.wait()
            second_refused.set()
        raise ServerUnavailable("not now")

    async def take_slowly(lanes: Lanes, lane: int, generation: int, in_hand: Sequence[str] = ()) -> Any:
        taken = await take(lanes, lane, generation, in_hand)
        if refused and not second_refused.is_set():  # the look for the first, while the second is in hand
            looked.set()
            await second_refused.wait()
        return taken

    monkeypatch.setattr(Inbox, "begin", begin_later)
    monkeypatch.setattr(Lanes, "take", take_slowly)
    async with working(flock, Once):
        await flock.append(Added("a", 1), Added("b", 2))
        await wait_until(lambda: has_handled(flock, 2))
    assert len(refused) == 2
