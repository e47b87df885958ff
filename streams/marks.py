"""Marks: how far those have come who read the log beside projections, such as bridges."""

from __future__ import annotations

from contextlib import aclosing
from dataclasses import dataclass

import orjson

from .event import pairs
from .log import Log
from .position import Position, start_of
from .shard import Shard

BRIDGE = "bridge/"


@dataclass(frozen=True, slots=True)
class Mark:
    """`events` is how many the log has up to there, trimmed ones with them; None: who has put the mark counts none."""

    position: Position
    events: int | None


@dataclass(frozen=True, slots=True)
class Holder:
    """A process that has a lease, as far as it tells who it is."""

    host: str = ""
    process: int = 0

    def __str__(self) -> str:
        return f"process {self.process} on {self.host}" if self.process else "another process"

    @classmethod
    def parse(cls, text: bytes) -> Holder:
        try:
            told = orjson.loads(text)
            return cls(str(told["host"]), int(told["process"]))
        except (ValueError, KeyError, TypeError):
            return cls()


async def read_marks(shard: Shard) -> dict[str, Mark]:
    """By who has put them."""
    stored = pairs(await shard.command("HGETALL", shard.keys.key("marks")))
    return {name.decode(): _parse(text.decode(), shard.number) for name, text in sorted(stored.items())}


async def holder_of(shard: Shard, job: str) -> Holder | None:
    """Who has the lease of a job; None: nobody."""
    stored: bytes | None = await shard.command("GET", shard.keys.key("lease", job))
    return None if stored is None else Holder.parse(stored)


async def events_added(shard: Shard) -> int:
    """Since the shard was made, those that have been trimmed with them."""
    if not await shard.command("EXISTS", shard.keys.log):
        return 0
    return int(pairs(await shard.command("XINFO", "STREAM", shard.keys.log))[b"entries-added"])


async def count_up_to(shard: Shard, position: Position) -> int:
    """How many events the log has up to a position, and at it. Reads what is behind it."""
    if position == start_of(shard.number):
        return 0
    behind, added = 0, await events_added(shard)
    async with aclosing(Log(shard).pages(position)) as pages:
        async for page in pages:
            behind += len(page)
    return max(0, added - behind)


def _parse(text: str, shard: int) -> Mark:
    entry, _, events = text.partition(" ")
    position = Position.parse(entry, shard=shard)
    if events.isdigit():
        return Mark(position, int(events))
    return Mark(position, 0 if position == start_of(shard) else None)
