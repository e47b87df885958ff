"""Expiry: one process of the fleet lets notes past their deadline go, in each shard."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Sequence
from datetime import timedelta

import structlog

from roost.streams import Notes, RoostError, Shard, new_id
from roost.streams.agent_limits import count_notes

log = structlog.get_logger(__name__)

EXPIRY = timedelta(seconds=5)
EXPIRE_AT_ONCE = 200


async def expire_often(shards: Sequence[Shard]) -> None:
    """Expire notes of these, now and then, without end."""
    lease_ms, who = round(EXPIRY.total_seconds() * 3000), new_id()
    while True:
        await asyncio.sleep(EXPIRY.total_seconds() * random.uniform(0.5, 1.0))
        for shard in shards:
            try:
                if not await shard.run("lease", "expiry", who, lease_ms):
                    continue
                while await Notes(shard).expire(EXPIRE_AT_ONCE) == EXPIRE_AT_ONCE:
                    continue
                await count_notes(shard)  # what somebody has begun who was killed
            except RoostError as error:
                log.warning("expired notes could not be removed yet", error=str(error))
