"""The epoch of a flock's log, as who looks on sees it."""

from __future__ import annotations

from collections.abc import Sequence

from roost.streams import Shard


async def epoch_of(shards: Sequence[Shard]) -> bytes | None:
    """What tells a flock's log from another of the same name; None of a flock that nobody has opened yet."""
    epoch: bytes | None = await shards[0].command("HGET", shards[0].keys.key("meta"), "epoch")
    return epoch
