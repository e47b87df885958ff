"""A mirror that is no topic: messages made of a real log, for tests of the way back."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Sequence
from dataclasses import replace
from typing import Any

import orjson

from roost.streams import Log, Shard
from roost.streams.contents import find_content
from roost.streams.event import pairs
from roost.streams.kafka.chunk import chunks_of, tombstones_of
from roost.streams.kafka.message import Message, message_of
from roost.streams.kafka.place import Place, Void
from roost.streams.kafka.source import Record
from roost.streams.shard import ENCRYPTED

Logs = list[list[tuple[bytes, dict[bytes, bytes]]]]
PAGE = 50


class Messages:
    """What a bridge would have sent of a flock; tests spoil it."""

    def __init__(self, flock: str) -> None:
        self.flock = flock
        self.name = f"roost.{flock}"
        self.sent: list[Message] = []
        self.parts: list[Message] = []
        self.held: list[Place] = []
        self.pages = 0
        """How many of the events have been asked for."""

    async def places(self) -> list[Place]:
        return self.held

    async def events(self) -> AsyncGenerator[Sequence[Record]]:
        for start in range(0, len(self.sent), PAGE):
            self.pages += 1
            yield self.sent[start : start + PAGE]

    async def contents(self) -> AsyncGenerator[Sequence[Record]]:
        for start in range(0, len(self.parts), PAGE):
            yield self.parts[start : start + PAGE]

    def forget_lost(self, number: int, since: str, mirror: int) -> None:
        """The server has lost what stands behind `since`, and mirror `mirror` went on there."""
        place = self.held[number]
        self.held[number] = replace(place, mirror=mirror, voids=(*place.voids, Void(mirror, since)))


async def read_logs(shards: Sequence[Shard]) -> Logs:
    """All that a flock's log has, and its archive."""
    return [
        [(entry, pairs(fields)) async for page in Log(shard).pages() for entry, fields in page] for shard in shards
    ]  # fmt: skip


async def mirror_of(shards: Sequence[Shard], *, mirror: int = 1) -> Messages:
    """All of a flock as it is now, with contents that nobody has forgotten."""
    flock = shards[0].keys.flock
    messages = Messages(flock)
    for shard, entries in zip(shards, await read_logs(shards), strict=True):
        for entry, fields in entries:
            messages.sent.append(message_of(flock, shard.number, mirror, entry, fields))
            messages.parts += await _parts_of(shard, fields)
        last = entries[-1][0].decode() if entries else "0-0"
        messages.held.append(
            Place(
                shard.number,
                len(shards),
                last,
                epoch=shard.epoch,
                mirror=mirror,
                events=len(entries),
                durability=str(shard.durability),
                vault=str(shard.home.settings.get(ENCRYPTED, "")),
            )
        )
    return messages


async def _parts_of(shard: Shard, fields: dict[bytes, bytes]) -> list[Message]:
    kind = fields.get(b"type")
    if kind not in (b"note.written", b"note.forgotten"):
        return []
    data: Any = orjson.loads(fields[b"data"])
    digest, size = str(data["digest"]), int(data["size"])
    content = await find_content([shard], digest)
    if kind == b"note.written":
        return [] if content is None else list(chunks_of(shard.number, digest, content))
    return [] if content is not None else list(tombstones_of(shard.number, digest, size))
