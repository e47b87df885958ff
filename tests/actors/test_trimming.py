"""Events leave the server at any moment of a flock's life: what is read, kept and refused stays what it was."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Awaitable, Callable
from datetime import timedelta
from pathlib import Path

import pytest
from roost_tests.bare_server import BareServer
from roost_tests.crew import Added, Given, Summer, open_flock, tell
from roost_tests.subjects_seen import Subjects
from roost_tests.waiting import wait_until

from roost.actors import Actor, Context, Flock, Retry, on
from roost.actors.state import States
from roost.projections.retention import Retention, archive, used_memory
from roost.projections.verify import verify
from roost.streams import Event, Log, ServerFull, Shard
from roost.streams.archive.archivist import Archivist
from roost.streams.archive.checking import check_archive
from roost.streams.archive.store import Store
from roost.streams.event import pairs
from roost.streams.log import read_horizon
from roost.streams.trimming import TrimRefused, trim

MIB = 1024 * 1024
Join = Callable[..., Awaitable[Flock]]


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(str(tmp_path / "archive"))


def seen(number: int, body: bytes = b"{}") -> Event:
    return Event(type="page.seen", subject=f"page/{number % 7}", body=body)


async def raw(shard: Shard) -> list[tuple[bytes, dict[bytes, bytes]]]:
    return [(entry, pairs(fields)) async for page in Log(shard).pages() for entry, fields in page]


async def versions_of(shard: Shard, prefix: str) -> set[str]:
    stored: list[bytes] = await shard.command("HKEYS", shard.keys.key("versions"))
    return {name.decode() for name in stored if name.startswith(prefix.encode())}


class Life:
    """Does at random what flocks do, and remembers what must be found again."""

    def __init__(self, flock: Flock, seed: int) -> None:
        self.flock, self.rng = flock, random.Random(seed)
        self.live: dict[str, str] = {}  # notes without a deadline, by ID
        self.keys: dict[str, str] = {}
        self.gone: set[str] = set()
        self.effects: dict[str, int] = {}
        self.sums: dict[str, int] = {}

    async def step(self) -> None:
        await self.rng.choice(
            [self.append, self.put, self.put, self.pass_by, self.once, self.forget, self.act, self.add]
        )()

    async def append(self) -> None:
        await self.flock.append(*[seen(self.rng.randrange(99)) for _ in range(self.rng.randrange(1, 30))])

    async def put(self) -> None:
        text, key = f"text {self.rng.randrange(40)}", self.rng.choice([None, f"key/{self.rng.randrange(12)}"])
        note = await self.flock.memory.put(text, key=key)
        self.live[note.id] = text
        if key is not None:
            self.keys[key] = note.id

    async def pass_by(self) -> None:
        """A note that is soon over, under a key that nothing else has."""
        ttl = timedelta(milliseconds=self.rng.choice([20, 300]))
        key = self.rng.choice([None, f"short/{self.rng.randrange(10**6)}"])
        self.gone.add((await self.flock.memory.put(f"text {self.rng.randrange(40)}", key=key, ttl=ttl)).id)

    async def once(self) -> None:
        key = f"key/{self.rng.randrange(12)}"

        async def compute() -> str:
            return f"computed for {key}"

        note = await self.flock.memory.once(key, compute)
        assert self.keys.get(key, note.id) == note.id
        self.keys[key], self.live[note.id] = note.id, note.text

    async def forget(self) -> None:
        if self.live:
            note = self.rng.choice(sorted(self.live))
            await self.flock.memory.forget(note)
            del self.live[note]
            self.gone.add(note)
            self.keys = {key: ident for key, ident in self.keys.items() if ident != note}

    async def act(self) -> None:
        key = f"mail/{self.rng.randrange(6)}"

        async def send(_: str) -> str:
            self.effects[key] = self.effects.get(key, 0) + 1
            return f"sent {key}"

        assert await self.flock.effect(key, send) == f"sent {key}"

    async def add(self) -> None:
        key, n = f"k{self.rng.randrange(3)}", self.rng.randrange(9)
        await self.flock.append(Added(key, n))
        self.sums[key] = self.sums.get(key, 0) + n

    async def check(self) -> None:
        for note, text in self.live.items():
            assert (await self.flock.memory.get(note)).text == text
        for key, note in self.keys.items():
            found = await self.flock.memory.find(key)
            assert found is not None
            assert found.id == note
        assert set(self.effects.values()) <= {1}

    async def has_summed(self) -> bool:
        states = States(self.flock.shard, Summer())
        return [(await states.load(key)).value.total for key in self.sums] == list(self.sums.values())


@pytest.mark.parametrize("seed", [0, *[pytest.param(seed, marks=pytest.mark.long) for seed in range(1, 12)]])
async def test_whatever_a_flock_does_between_trims_is_found_again(flock: Flock, store: Store, seed: int) -> None:
    life, rng = Life(flock, seed), random.Random(seed)
    async with flock.work(Summer):
        for step in range(90):
            await life.step()
            if step % 12 == 11:
                before = await raw(flock.shard)
                places = [event.position async for event in flock.log.read()]
                done = await archive(flock.shard, store, rng.choice(places[len(places) // 2 :]))
                assert done.kept_by is None
                assert (await raw(flock.shard))[: len(before)] == before
                await life.check()
        await wait_until(life.has_summed)

    async def have_gone() -> bool:
        return all(
            [not await flock.shard.command("EXISTS", flock.shard.keys.key("note", ident)) for ident in life.gone]
        )

    await wait_until(have_gone, timeout=10)
    before = await raw(flock.shard)
    await archive(flock.shard, store)
    assert (await raw(flock.shard))[: len(before)] == before  # the sweeper may tell of a note meanwhile
    await life.check()
    await life.once()
    verdict = await verify([flock.shard], content=True)
    assert verdict.is_clean, verdict.findings
    digests = {await flock.shard.command("HGET", flock.shard.keys.key("note", ident), "digest") for ident in life.live}
    assert set(await flock.shard.command("HKEYS", flock.shard.keys.key("refs"))) >= digests
    assert await versions_of(flock.shard, "key/short/") == set(), "their keys are over"
    assert {name.removeprefix("note/") for name in await versions_of(flock.shard, "note/")} & life.gone == set()
    states = States(flock.shard, Summer())
    for key, total in life.sums.items():
        stored, folded = await states.load(key), await states.fold(key)
        assert (stored.value.total, stored.version) == (total, folded.version)
    assert (await check_archive(flock.shard, begin=lambda what, events: None, progress=lambda _: None)).faults == []


async def test_a_key_whose_events_have_left_begins_anew_and_is_computed_once(flock: Flock, store: Store) -> None:
    """Also when its note outlives its event, and while somebody computes it."""
    shard, computed = flock.shard, list[int]()
    begun, go_on = asyncio.Event(), asyncio.Event()

    async def compute() -> str:
        computed.append(1)
        begun.set()
        await go_on.wait()
        return "found out"

    short = await flock.memory.put("soon over", key="a")
    await flock.memory.forget((await flock.memory.put("to be computed anew", key="b")).id)
    working = asyncio.create_task(flock.memory.once("b", compute))
    await begun.wait()
    await archive(shard, store)
    assert await versions_of(shard, "key/") == {"key/a", "key/b"}, "the one has a note, the other a claim"
    go_on.set()
    note = await working

    await flock.memory.forget(short.id)
    assert await versions_of(shard, "key/") == {"key/b"}
    again = await flock.memory.once("a", compute)
    assert again.id != short.id
    assert (await flock.memory.once("b", compute)).id == note.id
    assert len(computed) == 2
    assert (await verify([shard])).findings == []
    await archive(shard, store)
    await flock.memory.forget(note.id)
    assert await versions_of(shard, "key/") == {"key/a"}
    assert (await verify([shard])).findings == []


async def test_nothing_leaves_before_a_state_is_stored_and_the_furthest_behind_is_told(
    flock: Flock, store: Store
) -> None:
    shard = flock.shard
    await flock.append(*[seen(number) for number in range(50)])
    end = await flock.log.last()
    await archive(shard, store, keep=True)
    with pytest.raises(TrimRefused, match="the state that is stored in the archive has not come further") as refused:
        await trim(shard, end)
    assert refused.value.keeper == "state"
    places = [event.position async for event in flock.log.read()]
    await flock.view(Subjects).catch_up()
    marks = {f"bridge/{number}": place.entry for number in (40, 10, 30) if (place := places[number])}
    await shard.command("HSET", shard.keys.key("marks"), *[word for pair in marks.items() for word in pair])
    done = await archive(shard, store)
    assert (done.kept_by is not None and done.kept_by.keeper, done.trimmed.events) == ("bridge/10", 11)
    await shard.command("HDEL", shard.keys.key("marks"), *marks)
    assert (await archive(shard, store)).trimmed.events == 39
    async with Archivist(shard, store).leading() as archivist:
        assert (await archivist.archive(end)).events == 0


class Failing(Actor):
    retry = Retry(attempts=1)

    @on(Given)
    async def fail(self, given: Given, ctx: Context[None]) -> None:
        raise ValueError(given.n)


async def _steady(server: BareServer, place: str, megabytes: int) -> str:
    """Writes so much to a server that has 24 MiB, of which retention keeps 10 free; all must be found in the end."""
    limit, most, sent, kept = 24 * MIB, 0, 0, list[str]()
    async with open_flock({"url": server.url, "flock": "steady"}) as flock:
        policy = Retention(place=place, memory_bytes=14 * MIB)
        async with flock.work(Failing):
            await flock.append(Given(7))
            await wait_until(lambda: _parked(flock))
        begun, rng = time.monotonic(), random.Random(5)
        async with flock.retaining(policy, every=timedelta(milliseconds=100)):
            while sent * 2048 < megabytes * MIB:
                body = b'{"text":"%s"}' % rng.randbytes(1000).hex().encode()
                await flock.append(*[seen(number, body) for number in range(50)])
                sent += 50
                await flock.memory.put(f"short {sent} " * 50, key=f"short/{sent}", ttl=timedelta(milliseconds=500))
                if sent % 1000 == 0:
                    kept.append((await flock.memory.put(f"kept {sent}", key=f"kept/{sent}")).id)
                    used = await used_memory(flock.shard)
                    most = max(most, used)
                    while used > 18 * MIB:  # a writer that is told of headroom waits for it
                        await asyncio.sleep(0.02)
                        used = await used_memory(flock.shard)
                    most = max(most, used)
        assert await read_horizon(flock.shard) is not None
        assert most < limit
        seconds = time.monotonic() - begun
        for ident in kept:
            assert (await flock.memory.get(ident)).text.startswith("kept ")
        assert await _parked(flock)
        got = 0
        async for event in flock.log.read():
            got += event.type == "page.seen"
        assert got == sent
        assert (await verify([flock.shard])).findings == []
        held = await flock.log.length()
        await flock.retain(Retention(place=place, memory_bytes=1))

        async def short_ones_are_over() -> bool:
            return not await versions_of(flock.shard, "key/short/")

        await wait_until(short_ones_are_over, timeout=20)
        return (
            f"{sent:,} events of 2 KB in {seconds:.1f} s ({sent / seconds:,.0f} a second), {held:,} held at the end, "
            f"memory at most {most / MIB:.1f} of 24 MiB"
        )


async def _parked(flock: Flock) -> bool:
    return bool(await flock.shard.command("ZCARD", flock.shard.keys.key("parked")))


async def test_steady_writes_with_a_memory_cap_do_not_reach_it(
    bare_server: Callable[..., Awaitable[BareServer]], tmp_path: Path
) -> None:
    server = await bare_server("--maxmemory", "24mb", "--maxmemory-policy", "noeviction")
    tell(await _steady(server, str(tmp_path / "archive"), 26))


@pytest.mark.long
@pytest.mark.timeout(900)
async def test_steady_writes_for_long_do_not_reach_the_cap(
    bare_server: Callable[..., Awaitable[BareServer]], tmp_path: Path
) -> None:
    server = await bare_server("--maxmemory", "24mb", "--maxmemory-policy", "noeviction")
    tell(await _steady(server, str(tmp_path / "archive"), 1000))


async def test_a_full_server_is_emptied_by_archiving(
    bare_server: Callable[..., Awaitable[BareServer]], tmp_path: Path
) -> None:
    server = await bare_server("--maxmemory", "40mb", "--maxmemory-policy", "noeviction")
    async with open_flock({"url": server.url, "flock": "full", "patience_s": 1}) as flock:
        await flock.memory.put("kept", key="kept")
        await flock.view(Subjects).catch_up()
        body = b'{"text":"%s"}' % (b"x" * 4000)
        for _ in range(40):
            await flock.append(*[seen(number, body) for number in range(50)])
        await flock.connection.client.execute_command("CONFIG", "SET", "maxmemory", "4mb")
        with pytest.raises(ServerFull):
            await flock.append(seen(1))
        held = await flock.log.length()
        store = Store(str(tmp_path / "archive"))
        kept = await archive(flock.shard, store, projections=[Subjects()])
        assert kept.kept_by is not None, "the projection cannot be folded on, and keeps what it needs"
        await flock.drop_view("subjects", 1, live=True)
        done = await flock.retain(Retention(place=store.place, memory_bytes=3 * MIB))
        assert done.trimmed.events > held // 3
        assert done.above_bytes == 0
        await flock.append(seen(1))
        assert (await verify([flock.shard])).findings == []
        much = await flock.retain(Retention(place=store.place, memory_bytes=1000))
        assert much.above_bytes > 0
        assert await flock.log.length() == 0
        kept_note = await flock.memory.find("kept")
        assert kept_note is not None
        assert kept_note.text == "kept"
