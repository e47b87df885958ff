"""A flock with several shards: spread evenly, computed once, and what goes between shards comes there exactly once."""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack
from datetime import timedelta
from typing import Any

import pytest
from roost_tests.bare_cluster import BareCluster
from roost_tests.bare_server import BareServer
from roost_tests.crew import LEASE, Added, Cut, Cutter, Doubled, Given, Summer, Weighed, Weigher
from roost_tests.peer import Peer, peers
from roost_tests.proxy import Proxy
from roost_tests.waiting import wait_until

from roost.actors import Actor, Context, Flock, Retry, on
from roost.streams import Event, LimitExceeded, Note, NoteNotFound, Position, SettingsError
from roost.streams.merging import MergedLog, Since

N = 4
Join = Callable[..., Awaitable[Flock]]


@pytest.fixture
async def join(server_url: str, flock_name: str) -> AsyncIterator[Join]:
    async with AsyncExitStack() as stack:

        async def open_one(*, shards: int | None = N, **more: Any) -> Flock:
            terms: dict[str, Any] = {"url": server_url, "claim_lease": LEASE, "delivery_lease": LEASE, **more}
            return await stack.enter_async_context(Flock.open(flock_name, shards=shards, **terms))

        yield open_one


@pytest.fixture
async def flock(join: Join) -> Flock:
    return await join()


async def logged(flock: Flock, *kinds: str) -> list[Event]:
    return [one async for one in flock.log.read() if not kinds or one.type in kinds]


async def has(flock: Flock, kind: str, count: int) -> bool:
    return len(await logged(flock, kind)) >= count


def shard_of(one: Event | Note) -> int:
    assert one.position is not None
    return one.position.shard


class Noter(Actor):
    """Puts a note under a key that any shard may have, and one without, and says so."""

    def __init__(self, size: int = 10) -> None:
        self.size = size

    @on(Given)
    async def note(self, given: Given, ctx: Context[None]) -> Doubled:
        note = await ctx.memory.put("x" * self.size + str(given.n), key=f"made/{given.n}", sources=())
        own = await ctx.memory.put(f"without a key {given.n}")
        assert (await ctx.memory.get(note.id)).id == note.id
        return Doubled(given.n, own.id)


async def test_a_flock_keeps_the_shards_that_it_was_made_with(flock: Flock, join: Join) -> None:
    assert flock.shards == N
    assert (await join(shards=None)).shards == N
    with pytest.raises(SettingsError, match="was made with 4 shards"):
        await join(shards=2)
    with pytest.raises(SettingsError, match="1 to 64 shards"):
        await join(shards=65)


async def test_keys_are_spread_evenly(flock: Flock) -> None:
    await asyncio.gather(*[flock.memory.put(str(n), key=f"key {n}") for n in range(400)])
    counts = Counter(shard_of(one) for one in await logged(flock, "note.written"))
    assert sorted(counts) == [0, 1, 2, 3]
    assert min(counts.values()) > 60


async def test_a_note_is_found_by_key_and_by_id_in_whatever_shard_it_is(flock: Flock, join: Join) -> None:
    other = await join(agent="other")
    shards: set[int] = set()
    for n in range(16):
        key = f"key {n}" if n % 2 else None
        note = await flock.memory.put(f"text {n}", key=key)
        assert (await other.memory.get(note.id)).text == f"text {n}"
        if key is not None:
            found = await other.memory.find(key)
            assert found is not None
            assert found.id == note.id
        shards.add(shard_of(note))
        await other.memory.forget(note.id)
        with pytest.raises(NoteNotFound):
            await flock.memory.get(note.id)
    assert len(shards) > 1
    for text in ("nothing like it", "", "é" * 20):
        with pytest.raises(NoteNotFound):
            await flock.memory.get(text)


async def test_reads_are_logged_where_the_note_is(flock: Flock, join: Join) -> None:
    other = await join(agent="other")
    notes = [await flock.memory.put(f"text {n}") for n in range(8)]
    for note in notes * 3:
        await other.memory.get(note.id)
    await asyncio.sleep(1)  # outside handlers a note is logged once a second
    await other.flush()
    read = await logged(flock, "note.read")
    assert Counter(shard_of(one) for one in read) == Counter(2 * [shard_of(note) for note in notes])
    assert sum(one.data["count"] for one in read) == 24


async def test_notes_are_watched_in_all_shards_and_watching_goes_on_from_positions(flock: Flock) -> None:
    assert isinstance(flock.log, MergedLog)
    ends = await flock.log.ends()
    notes = [await flock.memory.put(str(n), key=f"seen/{n}", tags=["t"]) for n in range(12)]
    await flock.memory.put("another", key="other")
    places: tuple[Since, ...] = (ends, ", ".join(map(str, ends)), ends[0])
    for since in places:
        seen: list[Note] = []
        async for note in flock.memory.watch("seen/", tags=["t"], since=since):
            seen.append(note)
            if len(seen) == 12:
                break
        assert {note.id for note in seen} == {note.id for note in notes}
    given = await flock.wait_for(
        "note.written", since=Position(0, 0, 0), where=lambda one: one.data["key"] == "seen/5",
        timeout=timedelta(seconds=5),
    )  # fmt: skip
    assert shard_of(given) == shard_of(notes[5])


async def test_a_key_is_computed_once_by_several_processes(flock: Flock, server_url: str, flock_name: str) -> None:
    settings = {"url": server_url, "flock": flock_name, "key": "k1", "tasks": 4, "sleep_s": 0.1}
    async with peers(*[Peer("once", **settings) for _ in range(2)]) as crew:
        for one in crew:
            one.go()
        notes = [await one.hear("notes") for one in crew]
        assert len({note for each in notes for note in each}) == 1
        assert sum(len(one.said("computing")) for one in crew) == 1
    assert shard_of(await flock.memory.get(notes[0][0])) != 0


async def test_a_unit_is_of_one_shard(flock: Flock) -> None:
    with pytest.raises(LimitExceeded, match="stands or falls together"):
        await flock.append(*[Cut(1, part) for part in range(8)])
    done = await flock.append(Given(1), Given(2), subject="numbers")
    assert done.versions == (1, 2)
    await flock.append(Given(3), subject="numbers", expected=2)


async def test_a_key_has_one_shard_and_its_events_keep_their_order(flock: Flock, join: Join) -> None:
    other, keys, count = await join(agent="other"), "abcdefgh", 12
    async with flock.work(Summer()), other.work(Summer()):

        async def give(key: str) -> None:
            for n in range(1, count + 1):  # from one place, in this order
                await flock.append(Added(key, n), subject=f"from {key}")

        await asyncio.gather(*[give(key) for key in keys])
        await wait_until(lambda: has(flock, "crew.summed", count * len(keys)), timeout=15)
    homes: set[int] = set()
    for key in keys:
        summed = await flock.log.subject(f"actor/Summer/{key}")
        assert [one.data["n"] for one in summed] == list(range(1, count + 1))
        assert [one.data["total"] for one in summed] == [n * (n + 1) // 2 for n in range(1, count + 1)]
        homes.update(shard_of(one) for one in summed)
    assert len(homes) > 1
    assert len(await logged(flock, "crew.summed")) == count * len(keys)
    await check_versions(flock)
    assert await on_their_way(flock) == 0


@pytest.mark.parametrize("size", [10, 100_000])
async def test_what_a_handler_does_in_other_shards_is_done_once(flock: Flock, size: int) -> None:
    count = 40 if size == 10 else 8
    async with flock.work(Noter(size)):
        await asyncio.gather(*[flock.append(Given(n), subject=f"given/{n}", run=f"r{n}") for n in range(count)])
        await wait_until(lambda: has(flock, "crew.doubled", count), timeout=10)
        await wait_until(lambda: has(flock, "note.written", 2 * count), timeout=10)
    for n in range(count):
        note = await flock.memory.find(f"made/{n}")
        assert note is not None
        assert note.text == "x" * size + str(n)
    handled = {one.data["event"]: shard_of(one) for one in await logged(flock, "delivery.handled")}
    doubled = await logged(flock, "crew.doubled")
    assert len(doubled) == count
    for one in doubled:
        assert shard_of(await flock.memory.get(one.data["note"])) == handled[one.cause or ""]
    assert await on_their_way(flock) == 0


async def on_their_way(flock: Flock) -> int:
    keys = [f"roost:{{{flock.name}.{source}}}:outbox:{target}" for source in range(N) for target in range(N)]
    return sum([await flock.connection.client.execute_command("XLEN", key) for key in keys])


async def test_an_event_set_for_later_comes_to_its_shard(flock: Flock) -> None:
    class Setter(Actor):
        @on(Given)
        async def set(self, given: Given, ctx: Context[None]) -> None:
            ctx.later(Weighed(given.n, 0, ""), delay=timedelta(milliseconds=20))

    async with flock.work(Setter()):
        await asyncio.gather(*[flock.append(Given(n), subject=f"s/{n}") for n in range(8)])
        await wait_until(lambda: has(flock, "crew.weighed", 8), timeout=10)
    assert len({shard_of(one) for one in await logged(flock, "crew.weighed")}) > 1
    event = await flock.later(Weighed(1, 1, ""), delay=timedelta(hours=1))
    assert await flock.cancel_later(event)
    assert not await flock.cancel_later(event)


async def test_every_effect_is_there_once_when_workers_and_relays_are_killed_and_replies_lost(
    server_url: str, flock_name: str, join: Join, proxy: Callable[[str], Awaitable[Proxy]]
) -> None:
    chance, count = random.Random(5), 60
    async with Flock.open(flock_name, server_url, shards=N):
        pass  # made; the processes below are to have the relays
    faulty = await proxy(server_url)
    settings: dict[str, Any] = {"url": faulty.url, "flock": flock_name, "actors": ["Cutter", "Weigher"], "lease_s": 0.6}
    async with peers(*[Peer("work", **settings) for _ in range(3)]) as crew:
        flock = await join()
        appends = [flock.append(Given(n), subject=f"given/{n}", run=f"r{n}") for n in range(count)]
        for _ in range(30):
            faulty.lose_reply("EVALSHA", nth=chance.randint(1, 60))
        await asyncio.gather(*appends)
        for victim in crew[:2]:
            await asyncio.sleep(0.15)
            victim.kill()
        await wait_until(lambda: has(flock, "crew.weighed", 3 * count), timeout=30, every=0.1)
        await wait_until(lambda: on_their_way_is_none(flock), timeout=10, every=0.1)
        await wait_until(lambda: has(flock, "delivery.handled", 4 * count), timeout=10, every=0.1)
        crew[2].go()
        await crew[2].hear("left")
    expected = {(n, part) for n in range(count) for part in range(3)}
    for kind in ("crew.cut", "crew.weighed"):
        assert Counter((one.data["n"], one.data["part"]) for one in await logged(flock, kind)) == Counter(expected)
    written = await logged(flock, "note.written")
    assert Counter(one.data["key"] for one in written) == Counter(f"weight/{n}/{part}" for n, part in expected)
    await check_versions(flock)


async def on_their_way_is_none(flock: Flock) -> bool:
    return await on_their_way(flock) == 0


async def check_versions(flock: Flock) -> None:
    """Gapless, in the one shard that a subject has; what is about an actor as a whole, in each shard."""
    versions: dict[tuple[int, str], int] = {}
    for one in await logged(flock):
        subject = (shard_of(one), one.subject)
        assert one.version == versions.get(subject, 0) + 1
        versions[subject] = one.version or 0
    subjects = Counter(subject for _, subject in versions if not subject.startswith("actor/"))
    assert set(subjects.values()) == {1}


async def test_shards_lie_on_several_nodes_of_a_cluster(
    bare_cluster: Callable[..., Awaitable[BareCluster]], flock_name: str
) -> None:
    cluster = await bare_cluster(3)
    async with Flock.open(flock_name, cluster.url, shards=6, claim_lease=LEASE, delivery_lease=LEASE) as flock:
        async with flock.work(Cutter(), Weigher()):
            await asyncio.gather(*[flock.append(Given(n), subject=f"given/{n}") for n in range(20)])
            await wait_until(lambda: has(flock, "crew.weighed", 60), timeout=20, every=0.1)
            await wait_until(lambda: has(flock, "note.written", 60), timeout=10, every=0.1)
        primaries = {id(await cluster.primary_of(f"roost:{{{flock_name}.{shard}}}:log")) for shard in range(6)}
        assert len(primaries) > 1
        assert Counter((one.data["n"], one.data["part"]) for one in await logged(flock, "crew.weighed")) == Counter(
            (n, part) for n in range(20) for part in range(3)
        )
        await check_versions(flock)


async def test_one_shard_pays_nothing(bare_server: Callable[..., Awaitable[BareServer]], flock_name: str) -> None:
    server = await bare_server()
    async with Flock.open(flock_name, server.url) as flock, flock.work(Cutter(), Weigher()):
        assert flock.shards == 1
        await asyncio.gather(*[flock.append(Given(n), subject=f"given/{n}") for n in range(10)])
        await wait_until(lambda: has(flock, "note.written", 30))
        keys = await flock.connection.client.execute_command("KEYS", "*")
        assert all(key.startswith(b"roost:{%b.0}:" % flock_name.encode()) for key in keys)
        assert not [key for key in keys if b":outbox" in key or b":came" in key or b"relay" in key]
        assert not [task for task in asyncio.all_tasks() if "relay" in task.get_name()]
        assert flock.shard.settings == {}


async def test_effects_and_parked_deliveries_are_found_in_whatever_shard_they_are(flock: Flock) -> None:
    called: Counter[str] = Counter()

    class Payer(Actor):
        retry = Retry(attempts=1)

        @on(Given)
        async def pay(self, given: Given, ctx: Context[None]) -> None:
            async def act(key: str) -> None:
                called[key] += 1
                if given.n % 4 == 3:
                    raise ValueError("half way")

            await ctx.effect(f"pay {given.n % 4}", act)

    async with flock.work(Payer()):
        await asyncio.gather(*[flock.append(Given(n), subject=f"s/{n}") for n in range(8)])
        await wait_until(lambda: has(flock, "delivery.handled", 6), timeout=10)
        await wait_until(lambda: has(flock, "delivery.parked", 2), timeout=10)
        assert called == {f"pay {n}": 1 for n in range(4)}
        parked = [one async for one in flock.dead.list()]
        assert await flock.dead.count() == len(parked) == 2
        assert (await flock.dead.get(parked[1].id)).event.id == parked[1].event.id
        await flock.settle_effect("pay 3", done=True)
        await flock.dead.drop(parked[0])
        await flock.dead.retry(parked[1])
        await wait_until(lambda: has(flock, "delivery.handled", 7), timeout=10)
    assert await flock.dead.count() == 0
