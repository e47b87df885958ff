"""The topics of a mirror, read from their beginnings to where they end now."""

from __future__ import annotations

import time
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from typing import Any

from ..errors import RoostError
from .access import KafkaAccess
from .closing import close_quietly
from .ends import ends_of
from .faults import KafkaUnavailable, explain
from .place import Place
from .places import read_place
from .source import Record
from .topics import Topics, find_topics

EVENTS, CHUNKS = 2_000, 32
"""Messages that are handed on together: chunks are up to 512 KiB each."""
POLL_MS = 1_000
PATIENCE_S = 90
"""For so long a topic may give nothing. A transaction that was left open keeps what is behind it for 60 s."""


class MirrorTopics:
    """A Source of one flock. Nobody's offsets are moved, and no group is joined."""

    def __init__(self, access: KafkaAccess, topics: Topics) -> None:
        self._access = access
        self._topics = topics
        self._partitions: dict[str, int] = {}

    @property
    def name(self) -> str:
        return self._topics.events

    async def places(self) -> list[Place]:
        """Raises KafkaUnavailable, KafkaRefused, and RoostError where there is no mirror."""
        topics, where = self._topics, self._access.bootstrap
        self._partitions = found = await find_topics(self._access, topics)
        if topics.events not in found:
            raise RoostError(
                f"Kafka at {where} has no topic {topics.events}: name the flock that was mirrored by --flock, and how "
                "its topics begin by --topic-prefix"
            )
        known: dict[int, Place] = {}
        for number in range(found.get(topics.positions, 0)):
            place = await self._place(number)
            if place is not None:
                known[number] = place
        if not known:
            raise RoostError(
                f"nothing of a flock {topics.flock!r} is mirrored in {topics.events} at {where}: its topic "
                f"{topics.positions} has no place"
            )
        first = next(iter(known.values()))
        return [
            known.get(number) or Place(number, first.shards, durability=first.durability, vault=first.vault)
            for number in range(first.shards)
        ]  # fmt: skip

    def events(self) -> AsyncGenerator[Sequence[Record]]:
        """Raises KafkaUnavailable, KafkaRefused."""
        return self._pages(self._topics.events, EVENTS)

    def contents(self) -> AsyncGenerator[Sequence[Record]]:
        """Raises KafkaUnavailable, KafkaRefused."""
        return self._pages(self._topics.contents, CHUNKS)

    async def _place(self, number: int) -> Place | None:
        try:
            return await read_place(self._access, self._topics, number)
        except RoostError:
            raise
        except Exception as error:
            raise self._explained(error) from error

    async def _pages(self, topic: str, most: int) -> AsyncGenerator[Sequence[Record]]:
        from aiokafka import AIOKafkaConsumer

        consumer: Any = AIOKafkaConsumer(
            **self._access.client_options(), group_id=None, enable_auto_commit=False, isolation_level="read_committed"
        )
        try:
            await consumer.start()
            async with aclosing(self._pages_of(consumer, topic, most)) as pages:
                async for page in pages:
                    yield page
        except RoostError:
            raise
        except Exception as error:
            raise self._explained(error) from error
        finally:
            await close_quietly(consumer.stop())

    async def _pages_of(self, consumer: Any, topic: str, most: int) -> AsyncGenerator[Sequence[Record]]:
        from aiokafka import TopicPartition

        where = [TopicPartition(topic, number) for number in range(self._partitions.get(topic, 0))]
        consumer.assign(where)
        first, end = await consumer.beginning_offsets(where), await ends_of(self._access, where)
        for one in where:
            consumer.seek(one, first[one])
        left = {one for one in where if first[one] < end[one]}
        heard = time.monotonic()
        while left:
            for one, records in (await consumer.getmany(*left, timeout_ms=POLL_MS, max_records=most)).items():
                heard = time.monotonic()
                yield [record for record in records if record.offset < end[one]]
            there = {one: await consumer.position(one) for one in left}
            left = {one for one, position in there.items() if position < end[one]}
            if time.monotonic() - heard > PATIENCE_S:
                raise KafkaUnavailable(
                    f"topic {topic} at {self._access.bootstrap} gives nothing more for {PATIENCE_S} s, and its end is "
                    "not reached: try again"
                )

    def _explained(self, error: Exception) -> Exception:
        from aiokafka.errors import KafkaError

        if isinstance(error, KafkaError | OSError | TimeoutError):
            return explain(error, self._access.bootstrap)
        return error
