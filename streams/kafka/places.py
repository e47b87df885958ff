"""Reading a place from Kafka: the last one that was committed."""

from __future__ import annotations

import asyncio
from typing import Any

from .access import KafkaAccess
from .closing import close_quietly
from .ends import ends_of
from .faults import KafkaUnavailable
from .place import Place, key_of
from .topics import Topics

FEW = 64
"""Messages to look at first, from the end on: the last of them are marks of transactions."""
PATIENCE_S = 60


async def read_place(access: KafkaAccess, topics: Topics, shard: int) -> Place | None:
    """None: nothing of the shard has been mirrored. Raises KafkaUnavailable, NotMirrored, aiokafka's errors."""
    from aiokafka import AIOKafkaConsumer, TopicPartition

    consumer: Any = AIOKafkaConsumer(
        **access.client_options(), group_id=None, enable_auto_commit=False, isolation_level="read_committed"
    )
    where = TopicPartition(topics.positions, shard)
    end = -1
    await consumer.start()
    try:
        async with asyncio.timeout(PATIENCE_S):
            consumer.assign([where])
            first = (await consumer.beginning_offsets([where]))[where]
            end = (await ends_of(access, [where]))[where]
            back = FEW
            while True:
                start = max(first, end - back)
                found = await _last_in(consumer, where, start, end, key_of(shard))
                if found is not None or start == first:
                    return None if found is None else Place.parse(found)
                back *= 16
    except TimeoutError:
        at = f"committed up to {consumer.last_stable_offset(where)} of {end}" if end >= 0 else "it does not answer"
        raise KafkaUnavailable(
            f"topic {topics.positions} cannot be read in {PATIENCE_S} s (partition {shard}: {at})"
        ) from None
    finally:
        await close_quietly(consumer.stop())


async def has_records(access: KafkaAccess, topic: str) -> bool:
    """Whether anything that was committed stands in a topic. Raises KafkaUnavailable, aiokafka's errors."""
    from aiokafka import AIOKafkaConsumer, TopicPartition

    consumer: Any = AIOKafkaConsumer(
        topic, **access.client_options(), group_id=None, enable_auto_commit=False, isolation_level="read_committed"
    )
    await consumer.start()
    try:
        async with asyncio.timeout(PATIENCE_S):
            where = [TopicPartition(topic, number) for number in consumer.partitions_for_topic(topic) or ()]
            first, end = await consumer.beginning_offsets(where), await ends_of(access, where)
            left = [one for one in where if first[one] < end[one]]
            for one in left:
                consumer.seek(one, first[one])
            while left:
                if await consumer.getmany(*left, timeout_ms=500, max_records=1):
                    return True
                left = [one for one in left if await consumer.position(one) < end[one]]
            return False
    except TimeoutError:
        raise KafkaUnavailable(f"topic {topic} cannot be read in {PATIENCE_S} s") from None
    finally:
        await close_quietly(consumer.stop())


async def _last_in(consumer: Any, where: Any, start: int, end: int, key: bytes) -> bytes | None:
    """The last value of a key among what was committed from `start` up to `end`."""
    found: bytes | None = None
    consumer.seek(where, start)
    while await consumer.position(where) < end:
        for records in (await consumer.getmany(where, timeout_ms=500)).values():
            for record in records:
                if record.key == key and record.value is not None and record.offset < end:
                    found = record.value
    return found
