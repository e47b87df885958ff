"""`python -m benchmarks.kafka`: how fast a log is mirrored into Kafka, beside aiokafka's bare transactional producer.

All send the same messages in transactions of as many, compressed alike, into topics with as many partitions. The mirror
reads them from the server, compares, and writes its place; the others have them in memory, ready to be sent.
"""

from __future__ import annotations

import asyncio
import gc
import os
import statistics
import tempfile
import time
from collections import defaultdict
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient

from benchmarks.place import open_place
from roost.actors import Flock
from roost.streams import event
from roost.streams.kafka.access import KafkaAccess
from roost.streams.kafka.bridge import Bridge
from roost.streams.kafka.message import Message, message_of
from roost.streams.kafka.mirror import Mirroring
from roost.streams.kafka.reader import MAX_EVENTS, Reader
from roost.streams.kafka.sender import BATCH_BYTES, Compression
from roost.streams.kafka.topics import Layout, Topics, settle_topics
from roost.streams.position import start_of

LAYOUT = Layout(partitions=6, replication=1)
SUBJECTS = 1_000
COMPRESSION: Compression = "zstd"
TEXT = "What an agent has found out about a section, in a sentence or two, as it is usual among them. " * 2


@event("bench.found")
@dataclass(frozen=True, slots=True)
class Found:
    number: int
    text: str


@dataclass(frozen=True, slots=True)
class Stage:
    """What all of them work with."""

    access: KafkaAccess
    flock: Flock
    messages: list[Message]


Contestant = Callable[[Stage, Topics], Awaitable[float]]
"""Sends all messages into the topics, which are there and empty; the seconds that took."""


async def write_log(flock: Flock, events: int) -> None:
    for first in range(0, events, 100):
        lot = [Found(number, f"{number}: {TEXT}") for number in range(first, min(first + 100, events))]
        await flock.append(*lot, subject=f"section/{first // 100 % SUBJECTS}", run="run-1")


async def messages_of(flock: Flock) -> list[Message]:
    """What the mirror will send."""
    shard, found = flock.shard, list[Message]()
    reader = Reader(shard, start_of(shard.number), once=True)
    while (batch := await reader.next()) is not None:
        found += [message_of(flock.name, shard.number, 1, entry, fields) for entry, fields in batch.entries]
    await reader.close()
    return found


async def mirror(stage: Stage, topics: Topics) -> float:
    """With what it takes to begin and to end, half a second or more, which is not counted of the others: taken off, it
    would be a guess."""
    how = Mirroring(stage.access, topics, compression=COMPRESSION, once=True)
    began = time.perf_counter()
    await Bridge([stage.flock.shard], how).run()
    return time.perf_counter() - began


async def send(stage: Stage, topics: Topics) -> float:
    """One by one, as its documentation shows."""
    producer = await _start(stage, topics)
    try:
        began = time.perf_counter()
        for first in range(0, len(stage.messages), MAX_EVENTS):
            async with producer.transaction():
                for one in stage.messages[first : first + MAX_EVENTS]:
                    await producer.send(
                        topics.events, one.value, key=one.key, headers=one.headers, timestamp_ms=one.time_ms
                    )
        return time.perf_counter() - began
    finally:
        await producer.stop()


async def send_batch(stage: Stage, topics: Topics) -> float:
    """The fastest way that aiokafka has, for whoever chooses partitions and fills batches."""
    producer = await _start(stage, topics)
    try:
        began = time.perf_counter()
        for first in range(0, len(stage.messages), MAX_EVENTS):
            async with producer.transaction():
                await _send_batches(producer, topics.events, stage.messages[first : first + MAX_EVENTS])
        return time.perf_counter() - began
    finally:
        await producer.stop()


async def _send_batches(producer: Any, topic: str, messages: list[Message]) -> None:
    chosen: dict[int, list[Message]] = defaultdict(list)
    for one in messages:
        chosen[hash(one.key) % LAYOUT.partitions].append(one)
    for partition, mine in chosen.items():
        batch = producer.create_batch()
        for one in mine:
            given = {"key": one.key, "value": one.value, "headers": one.headers, "timestamp": one.time_ms}
            if batch.append(**given) is None:
                await producer.send_batch(batch, topic, partition=partition)
                batch = producer.create_batch()
                batch.append(**given)
        await producer.send_batch(batch, topic, partition=partition)


async def _start(stage: Stage, topics: Topics) -> Any:
    producer: Any = AIOKafkaProducer(
        **stage.access.client_options(), transactional_id=f"{topics.events}/bare", compression_type=COMPRESSION,
        max_batch_size=BATCH_BYTES, max_request_size=4 * BATCH_BYTES,
    )  # fmt: skip
    await producer.start()
    return producer


CONTESTANTS: dict[str, Contestant] = {"mirror": mirror, "send": send, "send_batch": send_batch}


async def count_of(access: KafkaAccess, topic: str) -> int:
    """How many events a topic has, without the marks of transactions."""
    consumer: Any = AIOKafkaConsumer(
        topic, **access.client_options(), isolation_level="read_committed", auto_offset_reset="earliest"
    )
    await consumer.start()
    try:
        where, found = [TopicPartition(topic, number) for number in range(LAYOUT.partitions)], 0
        while records := await consumer.getmany(*where, timeout_ms=2_000):
            found += sum(map(len, records.values()))
    finally:
        await consumer.stop()
    return found


async def remove(access: KafkaAccess, topics: Topics) -> None:
    admin: Any = AIOKafkaAdminClient(**access.client_options())
    await admin.start()
    try:
        await admin.delete_topics(list(topics.all))
    finally:
        await admin.close()


async def measure(access: KafkaAccess, events: int, rounds: int) -> None:
    rates: dict[str, list[float]] = {name: [] for name in CONTESTANTS}
    async with open_place(quick=False) as place, Flock.open(place.fresh_name(), place.url) as flock:
        await write_log(flock, events)
        stage = Stage(access, flock, await messages_of(flock))
        gc.collect()
        gc.freeze()  # or who makes new objects would look through those that wait to be sent, again and again
        size = sum(one.size for one in stage.messages) / len(stage.messages)
        for number in range(rounds):
            for name in list(CONTESTANTS)[:: 1 if number % 2 == 0 else -1]:
                topics = Topics(f"bench-{number}-{name}", flock.name)
                await settle_topics(access, topics, 1, LAYOUT)
                try:
                    rates[name].append(len(stage.messages) / await CONTESTANTS[name](stage, topics))
                    assert await count_of(access, topics.events) == len(stage.messages)
                finally:
                    await remove(access, topics)
    click.echo(f"{len(stage.messages):,} messages of {size:,.0f} bytes, {rounds} rounds, {COMPRESSION}, in turns:")
    median = {name: statistics.median(each) for name, each in rates.items()}
    for name, each in rates.items():
        ratio = "" if name == "mirror" else f"; the mirror has {median['mirror'] / median[name]:.2f} of it"
        click.echo(f"{name:10}: {median[name]:9,.0f} a second ({min(each):,.0f} to {max(each):,.0f}){ratio}")


@asynccontextmanager
async def reach_kafka(bootstrap: str | None) -> AsyncGenerator[KafkaAccess]:
    """The one that is named, or one of its own from the jars that `make bench-kafka` has gathered."""
    jars = os.environ.get("ROOST_TEST_KAFKA", "")
    if not jars or bootstrap or os.environ.get("KAFKA_BOOTSTRAP"):
        yield KafkaAccess.read(bootstrap=bootstrap)
        return
    from roost_tests.kafka import KafkaBroker

    with tempfile.TemporaryDirectory(prefix="roost-bench-kafka-") as home:
        broker = KafkaBroker(jars, Path(home))
        broker.format()
        broker.start()
        try:
            await broker.ready()
            yield KafkaAccess(broker.bootstrap)
        finally:
            broker.kill()


@click.command()
@click.option("--bootstrap", metavar="HOST:PORT", help="Where Kafka is, instead of KAFKA_BOOTSTRAP.")
@click.option("--events", type=click.IntRange(100), default=50_000, show_default=True)
@click.option("--rounds", type=click.IntRange(1), default=5, show_default=True)
def command(bootstrap: str | None, events: int, rounds: int) -> None:
    """Mirror a log into Kafka, and send the same messages without Roost, in turns."""

    async def run() -> None:
        async with reach_kafka(bootstrap) as access:
            await measure(access, events, rounds)

    asyncio.run(run())


if __name__ == "__main__":
    command()
