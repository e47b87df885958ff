"""A topic's records in a flock: each once, whoever dies, comes second, waits, or finds something gone."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import Any

import pytest
from roost_tests.core import Core, make_core
from roost_tests.own_server import OwnServer
from roost_tests.proxy import Proxy
from roost_tests.topic import Topic, TopicSource
from roost_tests.waiting import wait_until

from roost.streams import Connection, Event, Keys, Log, RoostError, Shard
from roost.streams.connection import connect
from roost.streams.kafka.closing import close_quietly
from roost.streams.kafka.faults import KafkaRefused, MissingRecords
from roost.streams.kafka.ingest.batch import RecordRefused
from roost.streams.kafka.ingest.bookmark import find_bookmark
from roost.streams.kafka.ingest.cloudevent import OwnMirror
from roost.streams.kafka.ingest.ingest import Ingested, Ingesting, ingest
from roost.streams.kafka.ingest.record import Record
from roost.streams.placement import Placement
from roost.streams.unit import Unit

QUICK = Ingesting(look_s=0.02, pause_s=0.01)
ONCE = Ingesting(once=True, pause_s=0.01)


async def orders(core: Core) -> list[int]:
    """The numbers of the orders in the log, in its order."""
    return [event.data["number"] for event in await core.events() if event.type == "order.placed"]


async def take_all(core: Core, topic: Topic, how: Ingesting = ONCE) -> Ingested:
    done = Ingested()
    await ingest([core.shard], TopicSource(topic), how, progress=done)
    return done


@asynccontextmanager
async def ingesting(
    core: Core, topic: Topic, how: Ingesting = QUICK, **more: Any
) -> AsyncGenerator[asyncio.Task[None]]:
    """One that runs until the block ends."""
    task = asyncio.create_task(ingest([core.shard], TopicSource(topic), how, **more))
    try:
        yield task
    finally:
        task.cancel()
        await asyncio.wait([task])


async def mark(core: Core, partition: int = 0) -> tuple[int, int]:
    """Version and next offset of a partition."""
    found = await find_bookmark(core.shard, f"topic/orders/{partition}")
    return found.version, found.offset


async def test_each_record_becomes_an_event_and_the_last_tells_how_far_it_is(core: Core) -> None:
    topic = Topic()
    for number in range(3):
        topic.order(number)
    done = await take_all(core, topic)
    events = await core.events()
    assert [event.type for event in events] == ["order.placed"] * 3 + ["records.ingested"]
    assert [event.subject for event in events] == ["order/0", "order/1", "order/2", "topic/orders/0"]
    assert {event.actor for event in events} == {"kafka/orders"}
    told = {"topic": "orders", "partition": 0, "offset": 3, "records": 3, "refused": 0, "cluster": "c1"}
    assert events[-1].data == told
    assert (done.records, done.refused) == (3, 0)


async def test_another_ingest_goes_on_where_the_last_one_ended(core: Core) -> None:
    topic = Topic()
    for number in range(700):  # more than a unit takes
        topic.order(number)
    await take_all(core, topic)
    await take_all(core, topic)
    topic.order(700)
    assert (await take_all(core, topic)).records == 1
    assert await orders(core) == list(range(701))


async def test_what_comes_in_goes_to_the_inboxes_of_those_who_handle_it(core: Core) -> None:
    inbox, topic = core.inbox("Packer"), Topic()
    await inbox.subscribe(["order.placed"])
    topic.order(1)
    topic.order(2, ce_type="order.cancelled")
    await take_all(core, topic)
    (delivery,) = await core.read(inbox)
    assert (delivery.event.type, delivery.event.subject, delivery.event.data) == (
        "order.placed",
        "order/1",
        {"number": 1},
    )


async def test_what_cannot_be_taken_is_told_and_does_not_stand_in_the_way(core: Core) -> None:
    topic = Topic()
    topic.order(0)
    topic.add(b"no json", ce_type="order.placed")
    topic.order(2, ce_type="note.written")
    topic.order(3)
    done = await take_all(core, topic)
    refused = [event.data for event in await core.events() if event.type == "record.refused"]
    assert [(data["topic"], data["partition"], data["offset"], data["size"]) for data in refused] == [
        ("orders", 0, 1, 7), ("orders", 0, 2, 12),
    ]  # fmt: skip
    assert "no JSON" in refused[0]["reason"]
    assert "only Roost itself" in refused[1]["reason"]
    assert await orders(core) == [0, 3]
    assert (done.records, done.refused, done.partitions[0].events, await mark(core)) == (4, 2, 2, (3, 4))


async def test_it_stops_at_what_cannot_be_taken_where_that_is_wanted(core: Core) -> None:
    topic, strict = Topic(), Ingesting(once=True, stop_at_refused=True)
    topic.order(0)
    topic.add(b"no json", ce_type="order.placed")
    for _ in range(2):
        with pytest.raises(RecordRefused, match="topic orders, partition 0, offset 1: its data is no JSON"):
            await take_all(core, topic, strict)
    await take_all(core, topic)
    assert await orders(core) == [0]


async def test_a_flocks_own_mirror_is_not_taken_in(core: Core, flock_name: str) -> None:
    topic = Topic()
    topic.order(0, ce_source=f"/roost/{flock_name}/0")
    with pytest.raises(OwnMirror):
        await take_all(core, topic)
    assert await core.events() == []


async def test_two_at_once_take_nothing_twice_and_leave_nothing_out(core: Core) -> None:
    topic, first, second = Topic(parts=[[], []]), Ingested(), Ingested()
    async with ingesting(core, topic, progress=first), ingesting(core, topic, progress=second):
        for number in range(400):
            topic.order(number, partition=number % 2)
            if number % 7 == 0:
                await asyncio.sleep(0)
        await wait_until(lambda: first.records + second.records == 400)
    found = await orders(core)
    assert sorted(found) == list(range(400))
    for partition in range(2):
        assert [number for number in found if number % 2 == partition] == list(range(partition, 400, 2))


@pytest.mark.parametrize("seed", range(4))
async def test_whenever_it_is_cut_off_each_record_comes_once(core: Core, seed: int) -> None:
    rng, topic, numbers = random.Random(seed), Topic(parts=[[], [], []]), iter(range(10_000))
    for _ in range(12):
        for _ in range(rng.randrange(60)):
            topic.order(next(numbers), partition=rng.randrange(3))
        async with ingesting(core, topic, Ingesting(once=True)):
            for _ in range(rng.randrange(40)):
                await asyncio.sleep(0)
    await take_all(core, topic)
    assert sorted(await orders(core)) == list(range(next(numbers)))


async def test_a_lost_reply_makes_nothing_twice(
    server_url: str, proxy: Callable[[str], Awaitable[Proxy]], flock_name: str
) -> None:
    faulty, topic = await proxy(server_url), Topic()
    for number in range(3):
        topic.order(number)
    async with await connect(faulty.url) as connection:
        core = await make_core(connection, flock_name)
        lost = faulty.lose_reply(lambda request: any(word == b"order.placed" for word in request))
        await take_all(core, topic)
        assert lost.happened.is_set()
        assert await orders(core) == [0, 1, 2]
        await core.writer.close()


async def test_a_full_inbox_makes_the_topic_wait_and_loses_nothing(core: Core) -> None:
    inbox, topic, done = core.inbox("Packer"), Topic(), Ingested()
    await inbox.subscribe(["order.placed"], limit=2, when_full="refuse")
    for number in range(1000):
        topic.order(number)
    source = TopicSource(topic)
    task = asyncio.create_task(ingest([core.shard], source, ONCE, progress=done))
    await wait_until(lambda: done.records == 255)
    taken: list[int] = []
    while len(taken) < 1000:
        deliveries = await core.read(inbox, 100)
        taken += [delivery.event.data["number"] for delivery in deliveries]
        for delivery in deliveries:
            await core.writer.write(Unit().acknowledge(delivery.token))
        assert source.takes * 255 < len(taken) + 3 * 255  # it reads no further than it has written
        await asyncio.sleep(0)
    await task
    assert taken == list(range(1000))


async def test_from_its_end_a_new_topic_gives_what_comes_from_then_on(core: Core) -> None:
    topic, end = Topic(parts=[[], []]), Ingesting(once=True, from_end=True)
    topic.order(0)
    topic.order(1, partition=1)
    await take_all(core, topic, end)
    topic.order(2)
    topic.order(3, partition=1)
    # Begun again, it goes on; and a partition that has come since is read whole.
    topic.parts.append([])
    topic.order(4, partition=2)
    await take_all(core, topic, end)
    assert sorted(await orders(core)) == [2, 3, 4]


async def test_a_partition_that_comes_later_is_found(core: Core) -> None:
    topic, done = Topic(), Ingested()
    async with ingesting(core, topic, progress=done):
        topic.order(0)
        await wait_until(lambda: done.records == 1)
        topic.parts.append([])
        topic.order(1, partition=1)
        await wait_until(lambda: done.records == 2)
    assert await orders(core) == [0, 1]


async def test_records_that_kafka_has_no_more_are_an_error_that_names_them(core: Core) -> None:
    topic = Topic()
    for number in range(9):
        topic.order(number)
        if number == 2:
            await take_all(core, topic)
    topic.first[0] = 7
    with pytest.raises(
        MissingRecords, match=r"partition 0: Kafka does not have the offsets 3 to 6 any more.*accept-gap"
    ):
        await take_all(core, topic)
    await take_all(core, topic, Ingesting(once=True, accept_gap=True))
    assert await orders(core) == [0, 1, 2, 7, 8]
    (missed,) = [event.data for event in await core.events() if event.type == "records.missed"]
    assert (missed["offset"], missed["instead"]) == (3, 7)
    await take_all(core, topic)


async def test_records_that_leave_while_it_waits_are_missed_too(core: Core) -> None:
    topic, done = Topic(), Ingested()
    async with ingesting(core, topic, progress=done) as task:
        topic.order(0)
        await wait_until(lambda: done.records == 1)
        topic.parts[0] += [topic.parts[0][0]] * 4
        topic.first[0] = 4
        topic.wake()
        await asyncio.wait([task])
        with pytest.raises(MissingRecords, match="the offsets 1 to 3"):
            task.result()


@pytest.mark.parametrize(
    ("change", "why"),
    [
        ({"cluster": "c2"}, "it was read in the Kafka cluster c1, and this is the cluster c2"),
        ({"parts": [list[Record]()]}, "Kafka has it only up to offset 0, and 2 comes next: it was made anew"),
    ],
)
async def test_another_topic_of_that_name_is_not_taken_for_the_same(
    core: Core, change: dict[str, Any], why: str
) -> None:
    topic = Topic()
    topic.order(0)
    topic.order(1)
    await take_all(core, topic)
    other = Topic(**change)
    if other.cluster == "c2":
        other.order(7)
    with pytest.raises(MissingRecords, match=why):
        await take_all(core, other)
    await take_all(core, other, Ingesting(once=True, accept_gap=True, pause_s=0.01))
    other.order(8)
    await take_all(core, other)
    assert (await orders(core))[:2] == [0, 1]
    assert (await orders(core))[-1] == 8


async def test_it_waits_for_a_kafka_that_is_away_and_says_so_once(core: Core) -> None:
    topic, done, lines = Topic(is_away=True), Ingested(), list[str]()
    async with ingesting(core, topic, progress=done, tell=lines.append):
        await wait_until(lambda: lines)
        topic.order(0)
        topic.is_away = False
        await wait_until(lambda: done.records == 1)
        topic.is_away = True
        await wait_until(lambda: len(lines) == 3)
        topic.is_away = False
        await wait_until(lambda: len(lines) == 4)
    away = (
        "Kafka at nowhere:9092 cannot be used: it is away; what is in the topic waits, and is taken in when it can be"
    )
    assert lines == [away, "topic orders is taken in again"] * 2


async def test_it_waits_for_a_server_that_is_away_and_goes_on(
    own_server: Callable[[], Awaitable[OwnServer]], flock_name: str
) -> None:
    server, topic, done, lines = await own_server(), Topic(), Ingested(), list[str]()
    async with await connect(server.url) as connection:
        core = await make_core(connection, flock_name, patience=timedelta(milliseconds=200))
        async with ingesting(core, topic, progress=done, tell=lines.append):
            topic.order(0)
            await wait_until(lambda: done.records == 1)
            await server.stop()
            topic.order(1)
            await wait_until(lambda: lines, timeout=20)
            assert "the server is gone" in lines[0] or "server" in lines[0]
            await server.start()
            await wait_until(lambda: done.records == 2, timeout=20)
        assert await orders(core) == [0, 1]
        await core.writer.close()


async def test_what_waiting_does_not_mend_is_raised(core: Core) -> None:
    class Nowhere(TopicSource):
        async def partitions(self) -> frozenset[int]:
            raise KafkaRefused("there is no topic")

    with pytest.raises(KafkaRefused):
        await ingest([core.shard], Nowhere(Topic()), QUICK)


async def test_a_subject_that_others_have_written_is_none_to_go_on_from(core: Core) -> None:
    await core.append(Event(type="thing.happened", subject="topic/orders/0"))
    with pytest.raises(RoostError, match=r"the last event about topic/orders/0 is thing\.happened"):
        await take_all(core, Topic())


async def test_a_log_that_begins_anew_takes_the_topic_from_its_beginning(core: Core) -> None:
    topic, done = Topic(), Ingested()
    async with ingesting(core, topic, progress=done):
        topic.order(0)
        await wait_until(lambda: done.records == 1)
        keys = [core.shard.keys.key(kind) for kind in ("log", "versions")]
        await core.shard.command("DEL", *keys)
        topic.order(1)
        await wait_until(lambda: done.records == 3)
    assert await orders(core) == [0, 1]


async def test_how_far_it_is_stays_known_when_the_event_has_left_the_server(core: Core) -> None:
    topic = Topic(parts=[[], []])
    for number in range(4):
        topic.order(number, partition=number % 2)
    await take_all(core, topic)
    last = await core.log.last()
    keys = core.shard.keys
    for who in ("archive", "state"):
        await core.shard.command("HSET", keys.key("marks"), who, last.entry)
    assert (await core.shard.run("trim", last.entry, 100))[:2] == [b"ok", 6]
    assert await mark(core) == await mark(core, 1) == (1, 2)
    # Of its events only the last is kept.
    assert len(await core.shard.command("HKEYS", keys.key("last"))) == 2
    topic.order(4)
    await take_all(core, topic)
    kinds = [fields[b"type"] for _, fields in await core.shard.command("XRANGE", keys.log, "-", "+")]
    assert kinds == [b"order.placed", b"records.ingested"]


async def test_where_nothing_tells_how_far_it_is_it_does_not_begin_again(core: Core) -> None:
    topic = Topic()
    topic.order(0)
    await take_all(core, topic)
    await core.shard.command("DEL", core.shard.keys.log)
    with pytest.raises(RoostError, match="the last event about topic/orders/0 has left the server"):
        await take_all(core, topic)


async def test_in_a_flock_with_several_shards_each_event_comes_to_its_own(
    connection: Connection, flock_name: str
) -> None:
    shards = [Shard(connection.client, Keys(flock_name, number)) for number in range(3)]
    for shard in shards:
        await shard.open({"shards": 3})
        shard.home, shard.placement = shards[0], Placement(3)
    topic = Topic(parts=[[], []])
    for number in range(60):
        topic.order(number, partition=number % 2)
    await ingest(shards, TopicSource(topic), ONCE)
    await ingest(shards, TopicSource(topic), ONCE)
    here, on_the_way = 0, 0
    for shard in shards:
        events = [event async for event in Log(shard).read()]
        assert all(Placement(3).of(event.subject) == shard.number for event in events)
        here += sum(event.type == "order.placed" for event in events)
        for number in {0, 1, 2} - {shard.number}:
            boxes = await connection.client.execute_command("XRANGE", shard.keys.key("outbox", str(number)), "-", "+")
            on_the_way += sum(fields[b"unit"].count(b'"order.placed"') for _, fields in boxes)
    assert here + on_the_way == 60
    assert on_the_way > 0


async def test_a_client_that_is_cancelled_while_it_is_closed_cancels_nobody_else() -> None:
    async def close() -> None:
        raise asyncio.CancelledError

    await close_quietly(close())
    task = asyncio.current_task()
    assert task is not None
    assert not task.cancelling()
