"""A topic of a real Apache Kafka in a flock: each record once, whoever dies, and nothing that was not committed."""

from __future__ import annotations

import asyncio
import random
import signal
from collections.abc import AsyncIterator
from typing import Any

import orjson
import pytest
from aiokafka import AIOKafkaProducer
from aiokafka.admin import AIOKafkaAdminClient, NewPartitions, NewTopic, RecordsToDelete
from aiokafka.structs import TopicPartition
from roost_tests.command import RoostCommand
from roost_tests.kafka import KafkaBroker
from roost_tests.waiting import wait_until

from roost.actors import Flock
from roost.streams.kafka.access import KafkaAccess
from roost.streams.kafka.faults import KafkaRefused, MissingRecords
from roost.streams.kafka.ingest.consumer import KafkaSource
from roost.streams.kafka.ingest.ingest import Ingested, Ingesting, ingest

ONCE = Ingesting(once=True)
HEADERS = [("ce_specversion", b"1.0"), ("ce_source", b"/shop"), ("ce_type", b"order.placed")]


@pytest.fixture
async def topic(access: KafkaAccess, flock_name: str) -> AsyncIterator[str]:
    """Of two partitions, that of this test alone."""
    name = f"orders-{flock_name}"
    admin: Any = AIOKafkaAdminClient(**access.client_options())
    await admin.start()
    await admin.create_topics([NewTopic(name, 2, 1)])
    yield name
    await admin.delete_topics([name])
    await admin.close()


async def order(access: KafkaAccess, topic: str, *numbers: int, **more: Any) -> None:
    """Send orders; `more` are the producer's options, and `abort` lets none of them happen."""
    abort = more.pop("abort", False)
    producer: Any = AIOKafkaProducer(**access.client_options(), **more)
    await producer.start()
    try:
        if "transactional_id" in more:
            await producer.begin_transaction()
        for number in numbers:
            key, value = str(number).encode(), orjson.dumps({"number": number})
            await producer.send(topic, value, key, partition=number % 2, headers=[*HEADERS, ("ce_id", key)])
        await producer.flush()
        if "transactional_id" in more:
            await (producer.abort_transaction() if abort else producer.commit_transaction())
    finally:
        await producer.stop()


async def orders(flock: Flock) -> list[int]:
    """The numbers of the orders in the log, in its order."""
    return [event.data["number"] async for event in flock.log.read() if event.type == "order.placed"]


async def take_all(flock: Flock, access: KafkaAccess, topic: str, how: Ingesting = ONCE) -> Ingested:
    done = Ingested()
    await ingest([flock.shard], KafkaSource(access, topic), how, progress=done)
    return done


async def test_records_become_events_once_and_in_the_order_of_their_partition(
    flock: Flock, access: KafkaAccess, topic: str
) -> None:
    await order(access, topic, *range(1000))
    await take_all(flock, access, topic)
    await order(access, topic, 1000, 1001)
    assert (await take_all(flock, access, topic)).records == 2
    found = await orders(flock)
    assert sorted(found) == list(range(1002))
    assert [number for number in found if number % 2] == list(range(1, 1002, 2))
    events = [event async for event in flock.log.read() if event.type == "order.placed"]
    assert {event.subject for event in events} == {f"kafka/{topic}/{number}" for number in range(1002)}


async def test_what_was_not_committed_is_none(flock: Flock, access: KafkaAccess, topic: str) -> None:
    await order(access, topic, 0, 1, transactional_id=f"{topic}-a")
    await order(access, topic, 2, 3, transactional_id=f"{topic}-a", abort=True)
    await take_all(flock, access, topic)
    await order(access, topic, 4, 5, transactional_id=f"{topic}-a")
    await take_all(flock, access, topic)
    assert sorted(await orders(flock)) == [0, 1, 4, 5]


async def test_records_that_were_deleted_are_missed_by_their_offsets(
    flock: Flock, access: KafkaAccess, topic: str
) -> None:
    await order(access, topic, *range(10))
    await take_all(flock, access, topic)
    await order(access, topic, *range(10, 30))
    admin: Any = AIOKafkaAdminClient(**access.client_options())
    await admin.start()
    await admin.delete_records({TopicPartition(topic, 1): RecordsToDelete(before_offset=9)})
    await admin.close()
    with pytest.raises(MissingRecords, match="partition 1: Kafka does not have the offsets 5 to 8 any more"):
        await take_all(flock, access, topic)
    await take_all(flock, access, topic, Ingesting(once=True, accept_gap=True))
    assert sorted(await orders(flock)) == sorted({*range(30)} - {11, 13, 15, 17})


async def test_a_partition_that_is_added_is_taken_in_too(flock: Flock, access: KafkaAccess, topic: str) -> None:
    done = Ingested()
    source = KafkaSource(access, topic)
    task = asyncio.create_task(ingest([flock.shard], source, Ingesting(look_s=0.3, pause_s=0.05), progress=done))
    await order(access, topic, 0, 1)
    await wait_until(lambda: done.records == 2, timeout=20)
    admin: Any = AIOKafkaAdminClient(**access.client_options())
    await admin.start()
    await admin.create_partitions({topic: NewPartitions(3)})
    await admin.close()
    producer: Any = AIOKafkaProducer(**access.client_options())
    await producer.start()
    await producer.send_and_wait(topic, b'{"number":2}', b"2", partition=2, headers=[*HEADERS, ("ce_id", b"2")])
    await producer.stop()
    await wait_until(lambda: done.records == 3, timeout=20)
    task.cancel()
    await asyncio.wait([task])
    assert sorted(await orders(flock)) == [0, 1, 2]


async def test_a_topic_that_is_not_there_is_an_error(flock: Flock, access: KafkaAccess) -> None:
    with pytest.raises(KafkaRefused, match="has no topic 'nowhere'"):
        await take_all(flock, access, "nowhere")


async def test_killed_at_any_moment_every_record_comes_once(
    flock: Flock, access: KafkaAccess, topic: str, roost: RoostCommand
) -> None:
    rng, total = random.Random(7), 20_000
    sending = asyncio.create_task(order(access, topic, *range(total)))
    words = ("bridge", "kafka", "--bootstrap", access.bootstrap, "--ingest", topic)
    kills = 0
    while not sending.done() or kills < 8:
        process = await roost.start(*words)
        before = await flock.log.length()

        async def moves(before: int = before) -> bool:
            return sending.done() or await flock.log.length() > before

        await wait_until(moves, timeout=30)
        await asyncio.sleep(rng.random() / 5)  # the moment of the kill is what is drawn here
        process.kill()
        await process.communicate()
        kills += 1
    await sending
    ran = await roost(*words, "--once", "--json")
    assert ran.code == 0, ran.err
    assert ran.json["partitions"][0]["offset"] == ran.json["partitions"][1]["offset"] == total // 2
    found = await orders(flock)
    assert len(found) == total
    assert [number for number in found if number % 2] == list(range(1, total, 2))
    assert [number for number in found if number % 2 == 0] == list(range(0, total, 2))


async def test_it_goes_on_when_the_broker_comes_back(flock: Flock, broker: KafkaBroker) -> None:
    broker.start()
    await broker.ready()
    access, lines, done = KafkaAccess(broker.bootstrap), list[str](), Ingested()
    admin: Any = AIOKafkaAdminClient(**access.client_options())
    await admin.start()
    await admin.create_topics([NewTopic("orders", 2, 1)])
    await admin.close()
    source, how = KafkaSource(access, "orders"), Ingesting(look_s=0.3, pause_s=0.1)
    task = asyncio.create_task(ingest([flock.shard], source, how, progress=done, tell=lines.append))
    await order(access, "orders", 0, 1)
    await wait_until(lambda: done.records == 2, timeout=20)
    broker.kill()
    await wait_until(lambda: lines, timeout=30)
    assert "what is in the topic waits" in lines[0]
    broker.start()
    await broker.ready()
    await order(access, "orders", 2, 3)
    await wait_until(lambda: done.records == 4 or task.done(), timeout=60)
    task.cancel()
    await asyncio.wait([task])
    assert sorted(await orders(flock)) == [0, 1, 2, 3]
    assert lines[-1] == "topic orders is taken in again"


async def test_the_command_tells_what_it_has_done(
    flock: Flock, access: KafkaAccess, topic: str, roost: RoostCommand
) -> None:
    await order(access, topic, 0, 1, 2)
    producer: Any = AIOKafkaProducer(**access.client_options())
    await producer.start()
    await producer.send_and_wait(topic, b"tea", partition=1)
    await producer.stop()
    words = ("bridge", "kafka", "--bootstrap", access.bootstrap, "--ingest", topic, "--once")
    ran = await roost(*words)
    assert ran.code == 0, ran.err
    assert f"taking topic {topic} at {access.bootstrap} into flock" in ran.err
    assert "1 of 4 records were refused: roost log --type record.refused" in ran.err
    assert [line.split() for line in ran.out.splitlines()[-2:]] == [["0", "2", "0", "2"], ["1", "2", "1", "2"]]
    again = (await roost(*words, "--json")).json
    assert [one["records"] for one in again["partitions"]] == [0, 0]


async def test_two_at_once_and_one_of_them_interrupted_take_each_record_once(
    flock: Flock, access: KafkaAccess, topic: str, roost: RoostCommand
) -> None:
    words = ("bridge", "kafka", "--bootstrap", access.bootstrap, "--ingest", topic)
    first, second = await roost.start(*words), await roost.start(*words)
    await order(access, topic, *range(5000))

    async def are_there() -> bool:
        return len(await orders(flock)) >= 2000

    await wait_until(are_there, timeout=60, every=0.1)
    first.send_signal(signal.SIGINT)
    told, _ = await first.communicate()
    assert first.returncode == 0
    assert b"Next offset" in told
    await order(access, topic, *range(5000, 6000))

    async def is_all() -> bool:
        return len(await orders(flock)) >= 6000

    await wait_until(is_all, timeout=60, every=0.1)
    second.send_signal(signal.SIGTERM)
    await second.communicate()
    assert second.returncode == 0
    found = await orders(flock)
    assert [number for number in found if number % 2] == list(range(1, 6000, 2))
    assert [number for number in found if number % 2 == 0] == list(range(0, 6000, 2))


async def test_in_a_flock_with_several_shards_the_command_brings_each_event_to_its_own(
    server_url: str, flock_name: str, access: KafkaAccess, topic: str, roost: RoostCommand
) -> None:
    async with Flock.open(flock_name, server_url, shards=3):
        pass
    await order(access, topic, *range(500))
    ran = await roost("bridge", "kafka", "--bootstrap", access.bootstrap, "--ingest", topic, "--once")
    assert ran.code == 0, ran.err
    async with Flock.open(flock_name, server_url) as flock:

        async def is_all() -> bool:
            return len(await orders(flock)) >= 500

        await wait_until(is_all, timeout=30)
        assert sorted(await orders(flock)) == list(range(500))
        shards = {event.position.shard async for event in flock.log.read() if event.position and event.data}
        assert shards == {0, 1, 2}
