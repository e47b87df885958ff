"""The flocks on a server, and how much each of them holds."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from datetime import timedelta

import orjson

from roost.streams import Connection, Inbox, InboxState, SettingsError, Shard
from roost.streams.durability import Durability
from roost.streams.every_shard import find_shards, parked_in
from roost.streams.outbox import Outbox
from roost.streams.scan import scan_keys
from roost.streams.shard import ENCRYPTED
from roost.streams.unavailable import FAILURES, explain

from .bridges import BridgeStanding, measure_bridges
from .halfway import find_halfway
from .holding import Holding, measure_holding

MAX_LOOKED_AT = 200_000
"""Keys that are looked at to find flocks and count notes. What is beyond is said to be there."""
MAX_FLOCKS = 100
MAX_INBOXES = 200
_KEY = re.compile(rb"roost:\{(.+)\.(\d+)\}:(meta$|note:)")


@dataclass(frozen=True, slots=True)
class FlockSize:
    """What a flock holds. `inboxes` are at most 200 of them; `inbox_count` tells how many there are.

    `durability` is what it waits for before it acknowledges; "?" where a newer Roost has chosen one that this does not
    know. `parked` counts the deliveries of all, also of inboxes that are no more. `relaying` counts units on
    their way between shards; `relay_lag_s` is for how many seconds the oldest has been. `log` is what its events take.
    `halfway` are runs that nobody works for any more, and that have not ended. `bridges` mirror it elsewhere.
    `encrypted`: contents are sealed.
    """

    name: str
    durability: str
    events: int
    notes: int
    parked: int
    inbox_count: int
    inboxes: tuple[InboxState, ...]
    shards: int = 1
    relaying: int = 0
    relay_lag_s: float = 0.0
    log: Holding = field(default_factory=Holding)
    halfway: tuple[str, ...] = ()
    bridges: tuple[BridgeStanding, ...] = ()
    encrypted: bool = False


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
        async for count, page in scan_keys(connection.client, "roost:{*}:[mn]*"):
            looked_at += count
            _count(page, notes, found)
            if looked_at >= MAX_LOOKED_AT:
                complete = False
                break
    except FAILURES as error:
        raise explain(error, connection.shown_url) from error
    complete = complete and len(found) <= MAX_FLOCKS
    sizes = [
        await measure_flock(await find_shards(connection.client, name, patience=patience), notes.get(name, 0))
        for name in sorted(found)[:MAX_FLOCKS]
    ]
    return FlockSizes(sizes, complete)


async def measure_only(connection: Connection, name: str, patience: timedelta) -> FlockSizes:
    """One flock, for who may not look for others. Raises ServerUnavailable."""
    shards = await find_shards(connection.client, name, patience=patience)
    if not await shards[0].command("EXISTS", shards[0].keys.key("meta")):
        return FlockSizes()
    notes = sum([int(await shard.command("ZCARD", shard.keys.key("deadlines"))) for shard in shards])
    return FlockSizes([await measure_flock(shards, notes)])


def _count(page: Iterable[bytes], notes: dict[str, int], found: set[str]) -> None:
    for key in page:
        match = _KEY.match(key)
        if match is None:
            continue
        name = match[1].decode(errors="replace")
        if match[3] == b"meta":
            found.update([name] if match[2] == b"0" else [])
        else:
            notes[name] = notes.get(name, 0) + 1


async def measure_flock(shards: Sequence[Shard], notes: int = 0) -> FlockSize:
    """One flock, with that many notes. Raises ServerUnavailable."""
    events = sum([int(await shard.command("XLEN", shard.keys.log)) for shard in shards])
    parked = await parked_in(shards).count()
    names: set[str] = set()
    for shard in shards:
        names.update(name.decode() for name in await shard.command("HKEYS", shard.keys.key("routes")))
    inboxes = [await _inbox(shards, name) for name in sorted(names)[:MAX_INBOXES]]
    name, durability = shards[0].keys.flock, await _durability_of(shards[0])
    size = FlockSize(name, durability, events, notes, parked, len(names), tuple(inboxes), len(shards))
    size = replace(size, log=await measure_holding(shards), halfway=await find_halfway(shards[0], names))
    size = replace(size, bridges=await measure_bridges(shards), encrypted=shards[0].settings.get(ENCRYPTED) is not None)
    if len(shards) == 1:
        return size
    lags = [await Outbox(shard, len(shards)).lag() for shard in shards]
    return replace(size, relaying=sum(count for count, _ in lags), relay_lag_s=max(ms for _, ms in lags) / 1000)


async def _inbox(shards: Sequence[Shard], name: str) -> InboxState:
    """An inbox in all shards, as one."""
    each = [await Inbox(shard, name, "").state() for shard in shards]
    length, pending = sum(one.length for one in each), sum(one.pending for one in each)
    waiting, parked = sum(one.waiting for one in each), sum(one.parked for one in each)
    limits = [one.limit for one in each if one.limit is not None]
    limit = sum(limits) if len(limits) == len(each) else None
    oldest_s = max((one.oldest_s for one in each if one.oldest_s is not None), default=None)
    return InboxState(name, length, pending, waiting, parked, limit, oldest_s)


async def _durability_of(shard: Shard) -> str:
    stored = await shard.command("HGET", shard.keys.key("meta"), "settings")
    try:
        return str(Durability.parse(orjson.loads(stored or b"{}").get("durability", "memory")))
    except (SettingsError, orjson.JSONDecodeError):
        return "?"
