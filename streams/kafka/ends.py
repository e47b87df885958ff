"""Where partitions end: behind everything that has been written, committed or not.

A consumer that reads only what was committed is told an end before the first open transaction, and that may be one
that was committed just now: Kafka answers a commit before it has written so into every partition.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

from .access import KafkaAccess
from .closing import close_quietly


async def ends_of(access: KafkaAccess, partitions: Collection[Any]) -> dict[Any, int]:
    """By aiokafka's TopicPartition. Whoever reads up to there waits for what is under way now. Raises aiokafka's
    errors."""
    from aiokafka import AIOKafkaConsumer

    consumer: Any = AIOKafkaConsumer(**access.client_options(), group_id=None, enable_auto_commit=False)
    await consumer.start()
    try:
        ends: dict[Any, int] = await consumer.end_offsets(list(partitions))
    finally:
        await close_quietly(consumer.stop())
    return ends
