"""The flocks on a server, and how much each of them holds."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import timedelta

import orjson

from roost.streams import Connection, Inbox, InboxState, Keys, SettingsError, Shard
from roost.streams.dead import ParkedDeliveries
from roost.streams.durability import Durability
from roost.streams.scan import scan_keys
from roost.streams.unavailable import FAILURES, explain

from .flock_shards import find_shards

MAX_LOOKED_AT = 200_000
"""Keys that are looked at to find flocks and count notes. What is beyond is said to be there."""
MAX_FLOCKS = 100
MAX_INBOXES = 200
_KEY = re.compile(rb"roost:\{(.+)\.0\}:(meta$|note:)")


@dataclass(frozen=True, slots=True)
class FlockSize:
    """What a flock holds. `inboxes` are at most 200 of them; `inbox_count` tells how many there are.

    `durability` is what it waits for before it acknowledges; "?" where a newer Roost has chosen one that this does not
    know. `parked` counts the deliveries of all, also of inboxes that are no more.
    """

    name: str
    durability: str
    events: int
    notes: int
    parked: int
    inbox_count: int
    inboxes: tuple[InboxState, ...]


@dataclass(slots=True)
class FlockSizes:
    """`complete` is False when the server holds more keys than were looked at: there may be more notes, and flocks."""

    flocks: list[FlockSize] = field(default_factory=list[FlockSize])
    complete: bool = True


async def measure_flocks(connection: Connection, patience: timedelta) -> FlockSizes:
    """Every flock on the server, by name. Raises ServerUnavailable."""
    notes: dict[str, int] = {}
    found: set[str] = set()
    looked_at, complete = 0, True
    try:
        async for count, page in scan_keys(connection.client, "roost:{*.0}:[mn]*"):
            looked_at += count
            _count(page, notes, found)
            if looked_at >= MAX_LOOKED_AT:
                complete = False
                break
    except FAILURES as error:
        raise explain(error, connection.shown_url) from error
    complete = complete and len(found) <= MAX_FLOCKS
    sizes = [
        await _measure(connection, Shard(connection.client, Keys(name), patience=patience), notes.get(name, 0))
        for name in sorted(found)[:MAX_FLOCKS]
    ]
    return FlockSizes(sizes, complete)


def _count(page: Iterable[bytes], notes: dict[str, int], found: set[str]) -> None:
    for key in page:
        match = _KEY.match(key)
        if match is None:
            continue
        name = match[1].decode(errors="replace")
        if match[2] == b"meta":
            found.add(name)
        else:
            notes[name] = notes.get(name, 0) + 1


async def _measure(connection: Connection, shard: Shard, notes: int) -> FlockSize:
    events = await shard.command("XLEN", shard.keys.log)
    parked = sum(
        [await ParkedDeliveries(one).count() for one in await find_shards(connection, shard.keys.flock, shard.patience)]
    )
    names = sorted(name.decode() for name in await shard.command("HKEYS", shard.keys.key("routes")))
    inboxes = [await Inbox(shard, name, "").state() for name in names[:MAX_INBOXES]]
    durability = await _durability_of(shard)
    return FlockSize(shard.keys.flock, durability, int(events), notes, parked, len(names), tuple(inboxes))


async def _durability_of(shard: Shard) -> str:
    stored = await shard.command("HGET", shard.keys.key("meta"), "settings")
    try:
        return str(Durability.parse(orjson.loads(stored or b"{}").get("durability", "memory")))
    except (SettingsError, orjson.JSONDecodeError):
        return "?"
