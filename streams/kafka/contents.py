"""Contents for the mirror: what events name goes to Kafka before them, and what was forgotten leaves it."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable, Sequence
from typing import Any

import orjson

from ..contents import find_content
from ..errors import RoostError
from ..shard import Shard
from .chunk import chunks_of, tombstones_of
from .sender import Sender

REMEMBERED = 200_000
"""Digests of contents of which this process knows that Kafka has them."""
SMALL = 64 * 1024
AT_ONCE = 32
"""Small contents are asked for together."""
FLUSH_BYTES = 8 * 1024 * 1024

Named = tuple[str, int]
"""A digest, and how many bytes have it."""


class Contents:
    """Of one shard. What is written again is written over: the topic keeps the last one of each."""

    def __init__(self, shard: Shard, topic: str) -> None:
        self._shard = shard
        self._topic = topic
        self._known: OrderedDict[str, None] = OrderedDict()
        self._written: list[str] = []

    async def send(self, entries: Iterable[tuple[bytes, dict[bytes, bytes]]], sender: Sender) -> int:
        """Within the sender's transaction; how many were sent. Raises RoostError for what is missing though nobody has
        forgotten it, and what sending raises."""
        self._written = []
        count = 0
        wanted: dict[str, int] = {}
        for _, fields in entries:
            kind = fields.get(b"type")
            if kind == b"note.written" and (named := named_in(fields)) and named[0] not in self._known:
                wanted[named[0]] = named[1]
            elif kind == b"note.forgotten" and (named := named_in(fields)) and await self._forget(named, sender):
                wanted.pop(named[0], None)
        small = [digest for digest, size in wanted.items() if size <= SMALL]
        for start in range(0, len(small), AT_ONCE):
            count += await self._send_small(small[start : start + AT_ONCE], sender)
        for digest, size in wanted.items():
            if size > SMALL:
                count += await self._send(digest, await self._find(digest), sender)
        return count

    def committed(self) -> None:
        """What was sent last is in Kafka."""
        for digest in self._written:
            self._known[digest] = None
            self._known.move_to_end(digest)
        while len(self._known) > REMEMBERED:
            self._known.popitem(last=False)

    async def _send_small(self, digests: Sequence[str], sender: Sender) -> int:
        keys = [self._shard.keys.key("blob", digest) for digest in digests]
        found: list[bytes | None] = await self._shard.command("MGET", *keys)
        count = 0
        for digest, content in zip(digests, found, strict=True):
            count += await self._send(digest, content if content is not None else await self._find(digest), sender)
        return count

    async def _send(self, digest: str, content: bytes | None, sender: Sender) -> int:
        """0: it has been forgotten."""
        if content is None:
            return 0
        sent = 0
        for message in chunks_of(self._shard.number, digest, content):
            await sender.add(self._topic, message)
            sent += message.size
            if sent > FLUSH_BYTES:  # a large one is on its way in parts
                await sender.flush()
                sent = 0
        self._written.append(digest)
        return 1

    async def _find(self, digest: str) -> bytes | None:
        for _ in range(2):
            content = await find_content([self._shard], digest)
            if content is not None:
                return content
            if not await self._shard.command("HEXISTS", self._shard.keys.key("refs"), digest):
                return None
        raise RoostError(f"content {digest} is missing, and nobody has forgotten it: it cannot be mirrored")

    async def _forget(self, named: Named, sender: Sender) -> bool:
        """False: another note has the same content."""
        digest, size = named
        if await self._shard.command("EXISTS", self._shard.keys.key("blob", digest)):
            return False
        self._known.pop(digest, None)
        for message in tombstones_of(self._shard.number, digest, size):
            await sender.add(self._topic, message)
        return True


def named_in(fields: dict[bytes, bytes]) -> Named | None:
    """The content that an event names."""
    try:
        data: Any = orjson.loads(fields[b"data"])
        digest, size = data["digest"], int(data["size"])
    except (ValueError, KeyError, TypeError):
        return None  # nothing of Roost's: it goes as it is
    return (digest, size) if isinstance(digest, str) and len(digest) == 64 and digest.isalnum() else None
