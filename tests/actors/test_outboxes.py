"""Outboxes: what a unit has for other shards comes there exactly once and in order, whatever relays do and lose."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from datetime import timedelta
from hashlib import sha256
from typing import Any, cast

import pytest
from redis.exceptions import ConnectionError as LostReply
from roost_tests.waiting import wait_until

from roost.actors.relay import Relay
from roost.actors.ringer import Ringer
from roost.streams import (
    Connection,
    Event,
    Keys,
    Log,
    Note,
    Notes,
    Reader,
    Rung,
    ServerUnavailable,
    Shard,
    Unit,
    Writer,
)
from roost.streams.answer import Behind, BlobMissing, Written
from roost.streams.note import NoteRecord
from roost.streams.outbox import Outbox, part_sizes, spread
from roost.streams.placement import MAX_SHARDS, Placement, check_shards, one_shard, stays
from roost.streams.spreading import SpreadingWriter
from roost.streams.timers import due
from roost.streams.unit import StoredContent

PLACEMENT = Placement(3)
LEASE = timedelta(milliseconds=150)


class Silent:
    """A bell that nobody rings: whoever listens looks by itself."""

    def __init__(self) -> None:
        self.carrying: set[Rung] = set()

    async def listen(self, key: str) -> Rung:
        return Rung(cast(Any, self), key)

    def leave(self, rung: Any) -> None: ...


class Lossy:
    """A client that loses requests and replies, as it is told by a random generator."""

    def __init__(self, client: Any) -> None:
        self._client = client
        self.chance: random.Random | None = None

    async def execute_command(self, *args: Any, **options: Any) -> Any:
        drawn = self.chance.random() if self.chance is not None and args[0] == "EVALSHA" else 1.0
        if drawn < 0.1:
            raise LostReply("connecting to nowhere")
        reply = await self._client.execute_command(*args, **options)
        if drawn < 0.3:
            raise LostReply("the reply was lost")
        return reply


@dataclass
class Side:
    """The three shards as one process has them."""

    client: Lossy
    shards: list[Shard] = field(default_factory=list[Shard])
    writers: list[Writer] = field(default_factory=list[Writer])

    def relay(self, number: int) -> Relay:
        others = {n: (self.shards[n], self.writers[n]) for n in range(3) if n != number}
        return Relay(self.shards[number], cast(Any, Silent()), others, LEASE)


@pytest.fixture
async def sides(connection: Connection, flock_name: str) -> AsyncIterator[list[Side]]:
    made: list[Side] = []
    for _ in range(3):
        side = Side(Lossy(connection.client))
        for number in range(3):
            shard = Shard(side.client, Keys(flock_name, number), patience=timedelta(seconds=5))
            await shard.open({"shards": 3})
            side.shards.append(shard)
            side.writers.append(SpreadingWriter(shard, PLACEMENT, most=200))
        made.append(side)
    yield made
    for side in made:
        side.client.chance = None
        await asyncio.gather(*[writer.close() for writer in side.writers])


def subject_in(number: int, name: str) -> str:
    return next(text for n in range(1000) if PLACEMENT.of(text := f"{name}/{n}") == number)


def unit_of(*subjects: str, body: bytes = b"{}") -> Unit:
    unit = Unit()
    for subject in subjects:
        unit.event(Event(type="thing.happened", subject=subject, body=body))
    return unit


async def story(shard: Shard) -> list[Event]:
    return [event async for event in Log(shard).read()]


async def is_empty(side: Side) -> bool:
    return all([(await Outbox(shard, 3).lag())[0] == 0 for shard in side.shards])


def test_subjects_are_spread_evenly_and_a_note_tells_its_shard() -> None:
    counts = [0] * 8
    for n in range(8000):
        counts[Placement(8).of(f"key/{n}")] += 1
    assert min(counts) > 800
    assert max(counts) < 1200
    marked = [Placement(8).mark("0123456789abcdef01234567", number) for number in range(8)]
    assert [Placement(8).of(f"note/{note}") for note in marked] == list(range(8))
    assert Placement(8).of_note("what people type") in range(8)
    assert stays("actor/Summer")
    assert not stays("actor/Summer/key")


@pytest.mark.parametrize("shards", [0, -1, MAX_SHARDS + 1])
def test_a_flock_has_a_bounded_number_of_shards(shards: int) -> None:
    with pytest.raises(Exception, match="a flock has 1 to"):
        check_shards(shards)
    with pytest.raises(Exception, match="stands or falls together"):
        one_shard({subject_in(0, "a"), subject_in(1, "a")}, PLACEMENT)


def test_a_unit_that_is_all_of_one_shard_is_written_as_it_is() -> None:
    unit = unit_of(subject_in(1, "a"), "actor/Somebody")
    assert spread(unit, 1, PLACEMENT) is unit
    assert set(part_sizes()) >= set("EDHPLAWCcenTsOI")


async def test_what_is_for_others_comes_there_with_nothing_changed_but_versions(sides: list[Side]) -> None:
    (side, *_) = sides
    there = subject_in(1, "a")
    await side.writers[1].write(unit_of(there))
    event = Event(type="thing.happened", subject=there, body=b'{"n":1}', run="r", cause="c", traceparent="00-a-b-01")
    assert await side.writers[0].write(Unit().event(event)) == Written((), ())
    assert await story(side.shards[0]) == []
    relay = side.relay(0)
    relay.start()
    await wait_until(lambda: is_empty(side))
    await relay.close()
    _, came = await story(side.shards[1])
    assert came.version == 2
    assert (came.id, came.body, came.run, came.cause, came.traceparent) == (event.id, b'{"n":1}', "r", "c", "00-a-b-01")


async def test_what_came_is_refused_when_it_comes_again_or_too_early(sides: list[Side]) -> None:
    (side, *_) = sides
    for _ in range(3):
        await side.writers[0].write(unit_of(subject_in(1, "a")))
    first, second, third = (await Outbox(side.shards[0], 3).look("me", LEASE)).sent[1]
    writer = side.writers[1]
    assert await writer.write(second.unit(0, first.name)) == Behind("")
    assert isinstance(await writer.write(first.unit(0, "")), Written)
    assert await writer.write(first.unit(0, "")) == Behind(first.name)
    answers = await asyncio.gather(
        writer.write(second.unit(0, first.name)), writer.write(second.unit(0, first.name)),
        writer.write(third.unit(0, second.name)),
    )  # fmt: skip
    assert [type(answer) for answer in answers] == [Written, Behind, Written]
    assert len(await story(side.shards[1])) == 3
    outbox = Outbox(side.shards[0], 3)
    assert await outbox.clear(1, "0-1/stranger") == 0
    assert await outbox.clear(1, third.name) == 3


async def test_large_content_is_held_until_it_has_come_there(sides: list[Side], connection: Connection) -> None:
    (side, *_) = sides
    raw, key = b"x" * 100_000, subject_in(1, "key").removeprefix("key/")
    record = NoteRecord(
        id=PLACEMENT.mark("a" * 24, 1), key=key, digest=sha256(raw).hexdigest(), size=len(raw), author="me",
        run=None, written_ms=1, ttl_ms=60_000,
    )  # fmt: skip

    def unit() -> Unit:
        made = Unit().event(Event(id=record.id, type="note.written", subject=f"key/{key}", body=record.to_json()))
        stored = StoredContent(record.digest, record.size, None)
        return made.note(record.id, key, stored, timedelta(minutes=1), record.to_json(), b"")

    assert await side.writers[0].write(unit()) == BlobMissing(record.digest)
    await Notes(side.shards[0]).upload(record.digest, raw)
    assert isinstance(await side.writers[0].write(unit()), Written)
    blob = side.shards[0].keys.key("blob", record.digest)
    assert await connection.client.execute_command("PTTL", blob) == -1
    relay = side.relay(0)
    relay.start()
    await wait_until(lambda: is_empty(side))
    await relay.close()
    note = await Notes(side.shards[1]).find(key, Reader("me"))
    assert isinstance(note, Note)
    assert note.raw == raw
    assert await connection.client.execute_command("EXISTS", blob, side.shards[0].keys.key("refs")) == 0


async def test_who_finds_an_outbox_full_waits_and_nothing_is_lost(sides: list[Side]) -> None:
    (side, *_) = sides
    await asyncio.gather(*[side.writers[0].write(unit_of(subject_in(1, "a"))) for _ in range(200)])
    one_more = asyncio.create_task(side.writers[0].write(unit_of(subject_in(1, "b"), "actor/A")))
    told: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
    side.writers[0].post(unit_of(subject_in(1, "c")), told)
    await asyncio.wait([one_more], timeout=0.2)
    assert not one_more.done()
    assert not told.done()
    assert (await Outbox(side.shards[0], 3).lag())[0] == 200
    relay = side.relay(0)
    relay.start()
    assert isinstance(await one_more, Written)
    assert isinstance(await told, Written)
    await wait_until(lambda: is_empty(side))
    await relay.close()
    assert len(await story(side.shards[1])) == 202


@pytest.mark.parametrize("way", ["written", "posted"])
async def test_what_leads_a_unit_is_not_lost_where_an_outbox_has_no_room_for_it(sides: list[Side], way: str) -> None:
    (side, *_), here, there = sides, subject_in(0, "here"), subject_in(1, "there")
    writer, answers = SpreadingWriter(side.shards[0], PLACEMENT, most=1), list[Any]()
    await writer.write(unit_of(there))
    answered: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
    if way == "posted":
        writer.post(unit_of(here), answered, lead=unit_of(there).past())
    else:
        answered = asyncio.ensure_future(writer.write(unit_of(here), lead=unit_of(there).past()))
    await wait_until(lambda: has_come(side.shards[0], 1))
    relay = side.relay(0)
    relay.start()
    try:
        answers.append(await answered)
        await wait_until(lambda: has_come(side.shards[1], 2))
    finally:
        await relay.close()
        await writer.close()
    assert isinstance(answers[0], Written)
    assert [event.subject for event in await story(side.shards[0])] == [here]


async def test_an_outbox_without_room_keeps_no_timers_waiting_but_those_that_go_there(sides: list[Side]) -> None:
    (side, *_) = sides
    writer = SpreadingWriter(side.shards[0], PLACEMENT, most=1)
    await writer.write(unit_of(subject_in(1, "there")))
    for subject, ms in ((subject_in(1, "stays"), 0), (subject_in(0, "here"), 300)):
        event = Event(type="thing.happened", subject=subject)
        await writer.write(Unit().later(event, due(timedelta(milliseconds=ms), None)))
    ringer = Ringer(side.shards[0], writer, cast(Any, Silent()), LEASE)
    ringer.start()
    try:
        await wait_until(lambda: has_come(side.shards[0], 1), timeout=2.5)
    finally:
        await ringer.close()
        await writer.close()


async def has_come(shard: Shard, count: int) -> bool:
    return len(await story(shard)) >= count


async def test_an_outbox_that_stays_full_is_a_server_that_is_away(connection: Connection, flock_name: str) -> None:
    shard = Shard(connection.client, Keys(flock_name, 0), patience=timedelta(milliseconds=200))
    await shard.open({"shards": 3})
    writer = SpreadingWriter(shard, PLACEMENT, most=1)
    await writer.write(unit_of(subject_in(1, "a")))
    with pytest.raises(ServerUnavailable, match="on its way to shard 1"):
        await writer.write(unit_of(subject_in(1, "a")))
    told: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
    writer.post(unit_of(subject_in(1, "a")), told)
    with pytest.raises(ServerUnavailable, match="on its way to shard 1"):
        await told
    await writer.close()


@pytest.mark.parametrize("seed", [1, *[pytest.param(seed, marks=pytest.mark.long) for seed in range(2, 20)]])
async def test_relays_that_die_double_and_lose_replies_bring_everything_once_in_order(
    sides: list[Side], seed: int
) -> None:
    chance = random.Random(seed)
    subjects = [subject_in(number, name) for number in range(3) for name in "ab"]
    ends: dict[tuple[int, str], list[int]] = {}
    for side in sides:
        side.client.chance = chance

    async def produce(number: int) -> None:
        for n in range(60):
            chosen = chance.sample(subjects, 2)
            while True:
                try:
                    await sides[number].writers[number].write(unit_of(*chosen, body=b"[%d,%d]" % (number, n)))
                    break
                except Exception as error:
                    if "never" not in str(error):  # the outcome is unknown: not for this test to say
                        raise
            for subject in chosen:
                ends.setdefault((number, subject), []).append(n)
            await asyncio.sleep(chance.random() * 0.01)

    async def relay_for_a_while(side: Side, number: int) -> None:
        while not done.is_set():
            relay: Any = side.relay(number)
            relay._who = f"side {sides.index(side) if chance.random() < 0.5 else 0}"  # two at once, now and then
            relay.start()
            await asyncio.sleep(chance.random() * 0.3)
            task = relay._task
            assert task is not None
            for each in (task, *relay._busy.values()):  # it dies: nobody is told
                each.cancel()
            await asyncio.wait([task, *relay._busy.values()])

    done = asyncio.Event()
    relays = [asyncio.create_task(relay_for_a_while(side, number)) for side in sides for number in range(3)]
    await asyncio.gather(*[produce(number) for number in range(3)])
    await wait_until(lambda: is_empty(sides[0]), timeout=20)
    done.set()
    await asyncio.gather(*relays)
    for side in sides:
        side.client.chance = None
    for number, shard in enumerate(sides[0].shards):
        came: dict[tuple[int, str], list[int]] = {}
        versions: dict[str, int] = {}
        for event in await story(shard):
            assert PLACEMENT.of(event.subject) == number
            source, n = event.data
            came.setdefault((source, event.subject), []).append(n)
            assert event.version == versions.get(event.subject, 0) + 1
            versions[event.subject] = event.version or 0
        assert came == {whose: ns for whose, ns in ends.items() if PLACEMENT.of(whose[1]) == number}
