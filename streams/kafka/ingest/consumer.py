"""A topic of Kafka's as a source: a consumer without a group, to which all partitions are assigned by hand."""

from __future__ import annotations

import asyncio
from typing import Any

from ..access import KafkaAccess
from ..closing import close_quietly
from ..ends import ends_of
from ..faults import KafkaRefused, KafkaUnavailable
from .record import Bounds, Record, Taken

FETCH_BYTES = 1024 * 1024
"""Of a partition, and less than this of a small one. A batch that is larger comes all the same, by itself."""
FETCH_BYTES_IN_ALL = 16 * 1024 * 1024
REQUEST_MS = 15_000
NO_ERROR = 0
LOOKS, LOOK_S = 5, 0.4
"""For a topic that is not there, before that is believed."""
IS_PASSING = (5, 9)
"""Codes of a partition or a topic that has no leader, or too few copies, just now."""


class KafkaSource:
    """Only what is committed is read."""

    def __init__(self, access: KafkaAccess, topic: str) -> None:
        self._access = access
        self._topic = topic
        self._consumer: Any = None
        self._admin: Any = None
        self._was_there = False

    @property
    def topic(self) -> str:
        return self._topic

    @property
    def where(self) -> str:
        return self._access.bootstrap

    async def open(self) -> None:
        from aiokafka import AIOKafkaConsumer
        from aiokafka.admin import AIOKafkaAdminClient

        options = self._access.client_options()
        self._admin = AIOKafkaAdminClient(**options, request_timeout_ms=REQUEST_MS)
        await self._admin.start()
        self._consumer = AIOKafkaConsumer(
            **options,
            group_id=None,
            enable_auto_commit=False,
            auto_offset_reset="none",
            isolation_level="read_committed",
            max_partition_fetch_bytes=FETCH_BYTES,
            fetch_max_bytes=FETCH_BYTES_IN_ALL,
            request_timeout_ms=REQUEST_MS,
        )
        await self._consumer.start()

    async def close(self) -> None:
        consumer, admin = self._consumer, self._admin
        self._consumer = self._admin = None
        if consumer is not None:
            await close_quietly(consumer.stop())
        if admin is not None:
            await close_quietly(admin.close())

    async def cluster(self) -> str:
        return str((await self._admin.describe_cluster()).get("cluster_id") or "")

    async def partitions(self) -> frozenset[int]:
        for _ in range(LOOKS):
            (told,) = await self._admin.describe_topics([self._topic])
            code = told["error_code"]
            if code == NO_ERROR or code in IS_PASSING:
                self._was_there = True
                return frozenset(int(one["partition"]) for one in told["partitions"])
            if self._was_there:  # a broker that has just begun may not know its topics yet
                raise KafkaUnavailable(f"Kafka at {self.where} does not know the topic {self._topic!r} any more")
            await asyncio.sleep(LOOK_S)
        raise KafkaRefused(f"Kafka at {self.where} has no topic {self._topic!r}: make it first, or see its name")

    async def assign(self, starts: dict[int, int]) -> None:
        self._consumer.assign([self._at(partition) for partition in starts])
        for partition, offset in starts.items():
            self.seek(partition, offset)

    async def bounds(self, partitions: frozenset[int]) -> dict[int, Bounds]:
        where = [self._at(partition) for partition in partitions]
        first, end = await self._consumer.beginning_offsets(where), await self._consumer.end_offsets(where)
        return {one.partition: Bounds(first[one], end[one]) for one in where}

    async def ends(self, partitions: frozenset[int]) -> dict[int, int]:
        found = await ends_of(self._access, [self._at(partition) for partition in partitions])
        return {one.partition: end for one, end in found.items()}

    def seek(self, partition: int, offset: int) -> None:
        self._consumer.seek(self._at(partition), offset)

    async def take(self, partition: int, most: int, wait_s: float) -> Taken:
        one = self._at(partition)
        found = await self._consumer.getmany(one, timeout_ms=round(wait_s * 1000), max_records=most)
        records = [
            Record(partition, each.offset, each.key, each.value, each.headers, each.timestamp)
            for each in found.get(one, ())
        ]
        return Taken(records, await self._consumer.position(one))

    def _at(self, partition: int) -> Any:
        from aiokafka import TopicPartition

        return TopicPartition(self._topic, partition)
