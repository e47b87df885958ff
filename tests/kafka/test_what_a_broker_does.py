"""What the mirror takes for granted of Kafka and of its client, without the mirror."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack
from functools import partial
from typing import Any

import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from aiokafka.errors import KafkaConnectionError, KafkaError, ProducerFenced
from roost_tests.kafka import KafkaBroker
from roost_tests.waiting import wait_until

from roost.streams.kafka.access import KafkaAccess

Make = Callable[..., Awaitable[Any]]


@pytest.fixture
async def producer() -> AsyncIterator[Make]:
    """Starts transactional producers: `one = await producer(bootstrap, "id")`."""
    async with AsyncExitStack() as stack:

        async def make(bootstrap: str, ident: str, *, timeout_ms: int = 60_000) -> Any:
            made: Any = AIOKafkaProducer(
                **KafkaAccess(bootstrap).client_options(), transactional_id=ident, transaction_timeout_ms=timeout_ms
            )
            stack.push_async_callback(made.stop)
            await made.start()
            return made

        yield make


async def make_topic(bootstrap: str) -> str:
    """One partition."""
    name = f"t-{secrets.token_hex(6)}"
    admin: Any = AIOKafkaAdminClient(**KafkaAccess(bootstrap).client_options())
    await admin.start()
    try:
        made = await admin.create_topics([NewTopic(name, 1, 1)])
        assert [error for _, error, *_ in made.topic_errors] == [0]
    finally:
        await admin.close()
    return name


async def seen(bootstrap: str, topic: str) -> list[bytes | None]:
    """What nobody can take back any more, up to the first open transaction."""
    consumer: Any = AIOKafkaConsumer(
        topic, **KafkaAccess(bootstrap).client_options(), isolation_level="read_committed", auto_offset_reset="earliest"
    )
    await consumer.start()
    try:
        one = TopicPartition(topic, 0)
        end, found = (await consumer.end_offsets([one]))[one], list[bytes | None]()
        while await consumer.position(one) < end:
            for records in (await consumer.getmany(one, timeout_ms=300)).values():
                found += [record.value for record in records]
    finally:
        await consumer.stop()
    return found


async def wait_until_seen(bootstrap: str, topic: str, *values: bytes) -> None:
    """A commit is answered before all who read see it."""

    async def are_seen() -> bool:
        return len(await seen(bootstrap, topic)) >= len(values)

    await wait_until(are_seen, timeout=60, every=0.1)
    assert await seen(bootstrap, topic) == list(values)


async def test_what_is_aborted_or_open_is_seen_by_nobody_who_reads_what_was_committed(
    bootstrap: str, producer: Make
) -> None:
    topic = await make_topic(bootstrap)
    one = await producer(bootstrap, f"{topic}/one")
    for value, ends in ((b"first", one.commit_transaction), (b"aborted", one.abort_transaction)):
        await one.begin_transaction()
        await one.send_and_wait(topic, value)
        await ends()
    other = await producer(bootstrap, f"{topic}/other")
    await other.begin_transaction()
    await other.send_and_wait(topic, b"open")
    await wait_until_seen(bootstrap, topic, b"first")
    await other.commit_transaction()
    await wait_until_seen(bootstrap, topic, b"first", b"open")


@pytest.mark.parametrize("late", ["begin", "send", "commit", "abort"])
async def test_a_second_of_the_same_name_fences_the_first_and_settles_what_it_left_open(
    bootstrap: str, producer: Make, late: str
) -> None:
    topic = await make_topic(bootstrap)
    zombie = await producer(bootstrap, topic)
    if late != "begin":
        await zombie.begin_transaction()
    if late in ("commit", "abort"):
        await zombie.send_and_wait(topic, b"of the zombie")
    heir = await producer(bootstrap, topic)
    if late == "begin":
        await zombie.begin_transaction()  # says nothing yet
    act: Callable[[], Awaitable[Any]] = {
        "commit": zombie.commit_transaction,
        "abort": zombie.abort_transaction,
    }.get(late, partial(zombie.send_and_wait, topic, b"of the zombie"))
    with pytest.raises(ProducerFenced):
        await act()
    with pytest.raises(AssertionError, match="FATAL_ERROR"):  # no KafkaError: it is of no use any more
        await zombie.begin_transaction()
    await heir.begin_transaction()
    await heir.send_and_wait(topic, b"of the heir")
    await heir.commit_transaction()
    await wait_until_seen(bootstrap, topic, b"of the heir")


async def test_a_transaction_that_takes_too_long_is_ended_by_the_broker(bootstrap: str, producer: Make) -> None:
    topic = await make_topic(bootstrap)
    slow = await producer(bootstrap, topic, timeout_ms=1_000)
    await slow.begin_transaction()
    await slow.send_and_wait(topic, b"lost")
    other = await producer(bootstrap, f"{topic}/other")
    await other.begin_transaction()
    await other.send_and_wait(topic, b"behind it")
    await other.commit_transaction()

    await wait_until_seen(bootstrap, topic, b"behind it")  # nobody reads on behind an open transaction
    with pytest.raises(KafkaError) as refused:
        await slow.send_and_wait(topic, b"too late")
    assert type(refused.value).__name__ in ("ProducerFenced", "InvalidProducerEpoch")
    await wait_until_seen(bootstrap, topic, b"behind it")


@pytest.mark.parametrize("way", ["stop", "kill"])
async def test_a_producer_waits_for_a_broker_that_is_away_and_goes_on(
    broker: KafkaBroker, producer: Make, way: str
) -> None:
    broker.start()
    await broker.ready()
    topic = await make_topic(broker.bootstrap)
    one = await producer(broker.bootstrap, topic)
    await one.begin_transaction()
    await one.send_and_wait(topic, b"before")
    await asyncio.to_thread(broker.stop) if way == "stop" else broker.kill()

    async def finish() -> None:
        await one.send_and_wait(topic, b"while it is away")
        await one.commit_transaction()

    finishing = asyncio.create_task(finish())
    with pytest.raises(KafkaConnectionError):  # a new one does not wait
        await producer(broker.bootstrap, f"{topic}/other")
    broker.start()
    await broker.ready()
    async with asyncio.timeout(60):
        await finishing
    await wait_until_seen(broker.bootstrap, topic, b"before", b"while it is away")
