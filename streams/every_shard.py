"""All shards of a flock, for who looks at it without opening it."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta

import orjson

from .dead import ParkedDeliveries
from .dead_spread import SpreadParkedDeliveries
from .errors import SettingsError
from .keys import Keys
from .placement import Placement
from .script import Commands
from .shard import Shard


async def find_shards(client: Commands, flock: str, *, patience: timedelta) -> list[Shard]:
    """A flock's shards, in their order; of a flock that is not there yet the one that it would have."""
    home = Shard(client, Keys(flock), patience=patience)
    stored: bytes | None = await home.command("HGET", home.keys.key("meta"), "settings")
    try:
        home.settings = orjson.loads(stored or b"{}")
        count = int(home.settings.get("shards", 1))
    except orjson.JSONDecodeError:  # not of Roost's making: opening it will say so
        count = 1
    if count == 1:
        return [home]
    home.placement = Placement(count)
    shards = [home]
    for number in range(1, count):
        shard = Shard(client, Keys(flock, number), patience=patience)
        shard.home, shard.placement = home, home.placement
        shards.append(shard)
    return shards


async def find_only_shard(client: Commands, flock: str, *, patience: timedelta, what: str) -> Shard:
    """The shard of a flock with one. Raises SettingsError where `what` would show a part of it only."""
    shards = await find_shards(client, flock, patience=patience)
    if len(shards) > 1:
        raise SettingsError(f"flock {flock!r} has {len(shards)} shards, and {what} is for flocks with one")
    return shards[0]


def shard_of_note(shards: Sequence[Shard], note_id: str) -> Shard:
    """The one of a flock's shards that has that note, if any has."""
    placement = shards[0].placement
    return shards[0] if placement is None else shards[placement.of_note(note_id)]


def parked_in(shards: Sequence[Shard], agent: str = "main") -> ParkedDeliveries:
    """What is parked in a flock's shards."""
    return ParkedDeliveries(shards[0], agent) if len(shards) == 1 else SpreadParkedDeliveries(shards, agent)
