"""The sender: batches of messages to Kafka, all of a transaction or none."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from contextlib import suppress
from functools import lru_cache
from typing import Any, Literal, cast

from .access import KafkaAccess
from .closing import close_quietly
from .message import Message

Guarantee = Literal["exactly-once", "idempotent", "at-least-once"]
GUARANTEES: tuple[Guarantee, ...] = ("exactly-once", "idempotent", "at-least-once")
Compression = Literal["none", "gzip", "snappy", "lz4", "zstd"]
COMPRESSIONS: tuple[Compression, ...] = ("none", "gzip", "snappy", "lz4", "zstd")
BATCH_BYTES = 384 * 1024
TRANSACTION_S = 120
"""For how long Kafka leaves a transaction open of which it hears nothing."""
REQUEST_S = 30
STOP_S = 5


class Sender:
    """One producer, from its start to its end. After any error it is of no use: make another."""

    def __init__(
        self, access: KafkaAccess, transactional_id: str, guarantee: Guarantee, compression: Compression
    ) -> None:
        from aiokafka import AIOKafkaProducer

        more: dict[str, Any] = {"enable_idempotence": guarantee != "at-least-once", "acks": "all"}
        if guarantee == "exactly-once":
            more |= {"transactional_id": transactional_id, "transaction_timeout_ms": TRANSACTION_S * 1000}
        self._is_transactional = guarantee == "exactly-once"
        self._producer: Any = AIOKafkaProducer(
            **access.client_options(),
            **more,
            compression_type=None if compression == "none" else compression,
            max_batch_size=BATCH_BYTES,
            max_request_size=4 * BATCH_BYTES,
            request_timeout_ms=REQUEST_S * 1000,
        )
        self._partitions: dict[str, int] = {}
        self._open: dict[tuple[str, int], Any] = {}
        self._sent: list[asyncio.Future[Any]] = []
        self._has_begun = False
        self.bytes = 0
        """Of all messages so far, before compression."""

    async def start(self) -> None:
        """From here on nobody else writes under the same transactional ID, and what others left open is settled."""
        await self._producer.start()

    async def begin(self) -> None:
        if self._is_transactional:
            await self._producer.begin_transaction()
            self._has_begun = True

    async def add(self, topic: str, message: Message, partition: int | None = None) -> None:
        """Of one key, in order. Waits while too much is on its way."""
        if partition is None:
            partition = _partition_of(message.key, await self._count(topic))
        batch = self._open.get((topic, partition))
        if batch is None:
            batch = self._open[topic, partition] = self._producer.create_batch()
        size = self._put(batch, message)
        if not size:
            await self._send(topic, partition)
            batch = self._open[topic, partition] = self._producer.create_batch()
            size = self._put(batch, message)
        self.bytes += size

    async def flush(self) -> None:
        """Everything so far is with Kafka. Raises what kept a part of it from there."""
        for topic, partition in list(self._open):
            await self._send(topic, partition)
        sent, self._sent = self._sent, []
        for failed in await asyncio.gather(*sent, return_exceptions=True):
            if isinstance(failed, BaseException):
                raise failed

    async def commit(self) -> None:
        """Raises what leaves open whether it has happened: the next sender's start settles it."""
        await self.flush()
        if self._is_transactional:
            await self._producer.commit_transaction()
            self._has_begun = False

    async def stop(self) -> None:
        """Whatever it was in is not committed."""
        for future in self._sent:
            future.cancel()
        if self._has_begun:
            with suppress(Exception):  # or readers of what is committed wait until Kafka does it
                async with asyncio.timeout(STOP_S):
                    await self._producer.abort_transaction()
        await close_quietly(self._producer.stop())

    async def _send(self, topic: str, partition: int) -> None:
        batch = self._open.pop((topic, partition))
        if batch.record_count():
            self._sent.append(await self._producer.send_batch(batch, topic, partition=partition))

    async def _count(self, topic: str) -> int:
        known = self._partitions.get(topic)
        if known is None:
            known = self._partitions[topic] = len(await self._producer.partitions_for(topic))
        return known

    @staticmethod
    def _put(batch: Any, message: Message) -> int:
        """How many bytes that takes; 0: it does not fit in any more."""
        # A broker refuses times that are ahead of its own.
        stamp = min(message.time_ms, time.time_ns() // 1_000_000)
        added = batch.append(timestamp=stamp, key=message.key, value=message.value, headers=message.headers)
        return 0 if added is None else cast(int, added.size)


@lru_cache(maxsize=100_000)
def _partition_of(key: bytes, partitions: int) -> int:
    """As Kafka's own producers choose it, so that others' topics with the same keys can be joined."""
    import aiokafka.partitioner as partitioner

    murmur2: Callable[[bytes], int] = cast(Any, partitioner).murmur2
    return (murmur2(key) & 0x7FFFFFFF) % partitions
