"""A topic in memory, as a source of records: with partitions that come, offsets that go, and brokers that are away."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field

import orjson

from roost.streams.kafka.faults import KafkaUnavailable
from roost.streams.kafka.ingest.record import Bounds, Record, Taken


class OffsetOutOfRangeError(Exception):
    """As aiokafka's is called."""


@dataclass
class Topic:
    """What all who read the topic have before them. `first`: of each partition, the offset that is still there."""

    name: str = "orders"
    parts: list[list[Record]] = field(default_factory=lambda: [list[Record]()])
    first: dict[int, int] = field(default_factory=dict[int, int])
    cluster: str = "c1"
    is_away: bool = False
    changed: asyncio.Event = field(default_factory=asyncio.Event)

    def add(self, value: bytes | None, *, partition: int = 0, key: bytes | None = None, **headers: str) -> Record:
        """A record with these headers; `content_type` is `content-type`."""
        held = [(name.replace("content_type", "content-type"), text.encode()) for name, text in headers.items()]
        record = Record(partition, len(self.parts[partition]), key, value, held, 1_700_000_000_000)
        self.parts[partition].append(record)
        self.wake()
        return record

    def order(self, number: int, *, partition: int = 0, **more: str) -> Record:
        """A CloudEvent `order.placed`."""
        told = {"ce_specversion": "1.0", "ce_id": str(number), "ce_source": "/shop", "ce_type": "order.placed"}
        told |= {"ce_subject": f"order/{number}"} | more
        return self.add(orjson.dumps({"number": number}), partition=partition, key=None, **told)

    def wake(self) -> None:
        self.changed.set()
        self.changed = asyncio.Event()


class TopicSource:
    """One consumer of it."""

    where = "nowhere:9092"

    def __init__(self, of: Topic) -> None:
        self._of = of
        self._at: dict[int, int] = {}
        self.takes = 0

    @property
    def topic(self) -> str:
        return self._of.name

    async def open(self) -> None:
        self._see()

    async def close(self) -> None:
        self._at = {}

    async def cluster(self) -> str:
        self._see()
        return self._of.cluster

    async def partitions(self) -> frozenset[int]:
        self._see()
        return frozenset(range(len(self._of.parts)))

    async def assign(self, starts: dict[int, int]) -> None:
        self._at = dict(starts)

    async def bounds(self, partitions: frozenset[int]) -> dict[int, Bounds]:
        self._see()
        return {one: Bounds(self._of.first.get(one, 0), len(self._of.parts[one])) for one in partitions}

    async def ends(self, partitions: frozenset[int]) -> dict[int, int]:
        return {one: len(self._of.parts[one]) for one in partitions}

    def seek(self, partition: int, offset: int) -> None:
        self._at[partition] = offset

    async def take(self, partition: int, most: int, wait_s: float) -> Taken:
        self.takes += 1
        at = self._at[partition]
        if at >= len(self._of.parts[partition]):
            try:
                async with asyncio.timeout(wait_s):
                    await self._of.changed.wait()
            except TimeoutError:
                return Taken((), at)
        self._see()
        if at < self._of.first.get(partition, 0):
            raise OffsetOutOfRangeError
        records = self._of.parts[partition][at : at + most]
        self._at[partition] = at + len(records)
        return Taken(records, at + len(records))

    def _see(self) -> None:
        if self._of.is_away:
            raise KafkaUnavailable("Kafka at nowhere:9092 cannot be used: it is away")
