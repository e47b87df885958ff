"""What stands in Kafka of a mirror, as consumers see it who read only what was committed."""

from __future__ import annotations

import hashlib
from collections import defaultdict
from typing import Any

from roost.streams import Shard
from roost.streams.event import pairs
from roost.streams.kafka.access import KafkaAccess
from roost.streams.kafka.chunk import chunk_in
from roost.streams.kafka.ends import ends_of
from roost.streams.kafka.message import Mirrored, mirrored_of
from roost.streams.kafka.place import Place
from roost.streams.kafka.places import read_place
from roost.streams.kafka.topics import Topics

Records = list[tuple[int, bytes | None, bytes | None, tuple[tuple[str, bytes], ...]]]
"""Partition, key, value, headers, in the order of each partition."""


async def records_of(access: KafkaAccess, topic: str) -> Records:
    """All of a topic up to its end as it is now."""
    from aiokafka import AIOKafkaConsumer, TopicPartition

    consumer: Any = AIOKafkaConsumer(
        topic, **access.client_options(), group_id=None, enable_auto_commit=False, isolation_level="read_committed",
        auto_offset_reset="earliest",
    )  # fmt: skip
    found: Records = []
    await consumer.start()
    try:
        where = [TopicPartition(topic, number) for number in sorted(consumer.partitions_for_topic(topic) or ())]
        ends = await ends_of(access, where)
        left = {one for one in where if ends[one]}
        while left:
            for one, records in (await consumer.getmany(*left, timeout_ms=300)).items():
                found += [(one.partition, record.key, record.value, record.headers) for record in records]
            left = {one for one in left if await consumer.position(one) < ends[one]}
    finally:
        await consumer.stop()
    return found


async def mirrored_in(access: KafkaAccess, topics: Topics) -> list[Mirrored]:
    """Events in the order of their partitions."""
    return [mirrored_of(key, value, headers) for _, key, value, headers in await records_of(access, topics.events)]


async def contents_in(access: KafkaAccess, topics: Topics) -> dict[str, bytes]:
    """What compaction will leave, by digest; whole, or it is an error."""
    chunks: dict[str, dict[int, tuple[bytes, int]]] = defaultdict(dict)
    for _, key, value, headers in await records_of(access, topics.contents):
        chunk = chunk_in(key, value, headers)
        if chunk.value is None:
            chunks[chunk.digest].pop(chunk.number, None)
        else:
            chunks[chunk.digest][chunk.number] = (chunk.value, chunk.chunks)
    whole: dict[str, bytes] = {}
    for digest, parts in chunks.items():
        if parts:
            assert sorted(parts) == list(range(next(iter(parts.values()))[1]))
            whole[digest] = b"".join(parts[number][0] for number in sorted(parts))
            assert hashlib.sha256(whole[digest]).hexdigest() == digest
    return whole


async def assert_mirrored(access: KafkaAccess, topics: Topics, shard: Shard) -> Place:
    """Every event of a shard's log is in Kafka exactly once, byte for byte, those of a subject in order, and nothing
    else; the place is the log's end."""
    entries: list[tuple[bytes, Any]] = await shard.command("XRANGE", shard.keys.log, "-", "+", raw=True)
    log = {name: _without_prev(pairs(fields)) for name, fields in entries}
    found = [one for one in await mirrored_in(access, topics) if one.shard == shard.number]
    names = [one.entry for one in found]
    assert len(names) == len(set(names)), f"{len(names) - len(set(names))} events stand twice in Kafka"
    assert set(names) == set(log), f"missing {sorted(set(log) - set(names))[:3]}, strange {set(names) - set(log)}"
    assert {one.entry: one.fields for one in found} == log
    order = {name: number for number, name in enumerate(log)}
    last: dict[bytes, int] = {}
    for one in found:  # a subject is in one partition
        subject = one.fields[b"subject"]
        assert order[one.entry] > last.get(subject, -1), f"{subject!r} is out of order"
        last[subject] = order[one.entry]
    place = await read_place(access, topics, shard.number)
    assert place is not None
    assert (place.position.encode(), place.events) == (entries[-1][0], len(log))
    return place


def _without_prev(fields: dict[bytes, bytes]) -> dict[bytes, bytes]:
    return {name: value for name, value in fields.items() if name != b"prev"}
