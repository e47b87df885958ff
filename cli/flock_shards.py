"""The shards of a flock that is there already, for a command that opens none."""

from __future__ import annotations

from datetime import timedelta

import orjson

from roost.streams import Connection, Keys, Shard
from roost.streams.placement import Placement, shards_of


async def find_shards(connection: Connection, flock: str, patience: timedelta) -> list[Shard]:
    """All of them, the first one first; of a flock that is not there, that one. Raises ServerUnavailable."""
    home = Shard(connection.client, Keys(flock), patience=patience)
    stored = await home.command("HGET", home.keys.key("meta"), "settings")
    count = shards_of(flock, orjson.loads(stored or b"{}"), None)
    if count == 1:
        return [home]
    others = [Shard(connection.client, Keys(flock, number), patience=patience) for number in range(1, count)]
    for shard in (home, *others):
        shard.placement = Placement(count)
    for shard in others:
        shard.home = home
    return [home, *others]
