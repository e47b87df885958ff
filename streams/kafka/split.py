"""Where the log and its mirror part: after a failover, Kafka may have events that the server has lost."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import orjson

from ..log import Log
from ..position import Position, start_of
from ..shard import Shard
from .access import KafkaAccess
from .closing import close_quietly
from .ends import ends_of
from .faults import KafkaUnavailable
from .message import Mirrored, NotMirrored, mirrored_of
from .place import Place, is_void
from .topics import Topics, find_topics

FIRST_LOOK = timedelta(minutes=1)
"""How far back of the end the search begins; each further look goes eight times as far."""
PATIENCE_S = 600
PAGE = 500


@dataclass(frozen=True, slots=True)
class Split:
    """`since` is the last event that both have, the start where there is none; behind it Kafka has `events` that the
    log has not, from `first` to `last` (type, position and ID)."""

    since: Position
    events: int
    first: str
    last: str

    def __str__(self) -> str:
        if self.events == 1:
            return f"one event behind {self.since} that the log has not: {self.first}"
        return f"{self.events:,} events behind {self.since} that the log has not, from {self.first} to {self.last}"


async def find_split(access: KafkaAccess, topics: Topics, shard: Shard, place: Place, *, is_anew: bool) -> Split:
    """`is_anew`: the log is another one, and has nothing of what was mirrored. Raises KafkaUnavailable, aiokafka's and
    the server's errors."""
    from aiokafka import AIOKafkaConsumer

    partitions = (await find_topics(access, topics)).get(topics.events, 0)
    consumer: Any = AIOKafkaConsumer(
        **access.client_options(), group_id=None, enable_auto_commit=False, isolation_level="read_committed"
    )
    await consumer.start()
    try:
        async with asyncio.timeout(PATIENCE_S):
            back_ms = 0 if is_anew else FIRST_LOOK // timedelta(milliseconds=1)
            while True:
                found, is_all = await _newest(access, consumer, topics.events, partitions, place, back_ms)
                split = None if is_anew else await _compare(shard, found)
                if split is None and is_all:
                    return _split_at(start_of(shard.number), found)
                if split is not None:
                    return split
                back_ms *= 8
    except TimeoutError:
        raise KafkaUnavailable(f"topic {topics.events} cannot be read in {PATIENCE_S} s") from None
    finally:
        await close_quietly(consumer.stop())


async def _newest(
    access: KafkaAccess, consumer: Any, topic: str, partitions: int, place: Place, back_ms: int
) -> tuple[list[Mirrored], bool]:
    """What counts of the shard in the last so many milliseconds (0: ever), in the order of the log, and whether that
    is all there is."""
    from aiokafka import TopicPartition

    where = [TopicPartition(topic, number) for number in range(partitions)]
    consumer.assign(where)
    first, end = await consumer.beginning_offsets(where), await ends_of(access, where)
    starts = dict(first)
    if back_ms:
        since = max(0, place.at.ms - back_ms)
        for one, told in (await consumer.offsets_for_times(dict.fromkeys(where, since))).items():
            starts[one] = end[one] if told is None else told.offset
    for one in where:
        consumer.seek(one, starts[one])
    found: list[Mirrored] = []
    left = {one for one in where if starts[one] < end[one]}
    while left:
        for one, records in (await consumer.getmany(*left, timeout_ms=500)).items():
            for record in records:
                if record.offset < end[one]:
                    _collect(record, place, found)
        left = {one for one in left if await consumer.position(one) < end[one]}
    found.sort(key=lambda one: _at(one))
    return found, starts == first


def _collect(record: Any, place: Place, found: list[Mirrored]) -> None:
    try:
        mirrored = mirrored_of(record.key, record.value, record.headers)
    except NotMirrored:
        return  # somebody else's: it is none that could be lost
    if mirrored.shard == place.shard and not is_void(place.voids, mirrored.epoch, _at(mirrored)):
        found.append(mirrored)


async def _compare(shard: Shard, found: list[Mirrored]) -> Split | None:
    """None: the log has none of these."""
    log = Log(shard)
    for number in range(len(found) - 1, -1, -1):
        event = await log.at(_at(found[number]))
        if event is not None and event.id == _id(found[number]):
            return _split_at(_at(found[number]), found[number + 1 :])
    return None


def _split_at(since: Position, lost: list[Mirrored]) -> Split:
    if not lost:
        return Split(since, 0, "", "")
    return Split(since, len(lost), _shown(lost[0]), _shown(lost[-1]))


def _at(one: Mirrored) -> Position:
    return Position.parse(one.entry.decode(), shard=one.shard)


def _id(one: Mirrored) -> str:
    try:
        return str(orjson.loads(one.fields.get(b"meta", b"{}")).get("id", ""))
    except (ValueError, AttributeError):
        return ""


def _shown(one: Mirrored) -> str:
    kind = one.fields.get(b"type", b"?").decode(errors="replace")
    return f"{kind} at {_at(one)} (ID {_id(one) or '?'})"
