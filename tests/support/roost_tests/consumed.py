"""What a consumer has who knows nothing of Roost, beside what stands in the log."""

from __future__ import annotations

import orjson

from roost.streams import Shard
from roost.streams.event import pairs

from .mirrored import Records


async def assert_consumed(records: Records, shards: list[Shard]) -> None:
    """By Kafka's own means alone: each event of the logs once, as a CloudEvent whose value is what is stored, and those
    of a subject in one partition and in order."""
    consumed: dict[tuple[int, bytes], list[tuple[bytes, ...]]] = {}
    partitions: dict[bytes, set[int]] = {}
    for partition, key, value, headers in records:
        told = dict(headers)
        assert key is not None
        assert value is not None
        assert told["ce_subject"] == key
        names = (told["ce_position"], told["ce_id"], told["ce_type"], value)
        consumed.setdefault((int(told["ce_shard"]), key), []).append(names)
        partitions.setdefault(key, set()).add(partition)
    assert {len(each) for each in partitions.values()} <= {1}
    logged: dict[tuple[int, bytes], list[tuple[bytes, ...]]] = {}
    for shard in shards:
        for entry, flat in await shard.command("XRANGE", shard.keys.log, "-", "+", raw=True):
            fields = pairs(flat)
            names = (entry, orjson.loads(fields[b"meta"])["id"].encode(), fields[b"type"], fields[b"data"])
            logged.setdefault((shard.number, fields[b"subject"]), []).append(names)
    assert len(records) == sum(map(len, logged.values()))
    assert consumed == logged
