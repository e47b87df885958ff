"""The sweeper: looks after an inbox for the whole fleet: what waits until it is due, and what the dead have left."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Callable
from datetime import timedelta

import structlog

from roost.streams import Delivery, Inbox, ServerUnavailable, Shard

log = structlog.get_logger(__name__)

GONE_LEASES = 10
"""A consumer without anything pending that has been silent for so many leases is taken for gone."""
MOST_AT_ONCE = 100
SOON_S = 0.05
"""Until the next look, while there is more than one sweep may take."""


class Sweeper:
    """One worker's part in it: whoever has the lease does it, as long as there is room for what it finds.

    `room` is how many deliveries can be begun, `take` is given them.
    """

    def __init__(
        self, shard: Shard, inbox: Inbox, lease: timedelta, room: Callable[[], int],
        take: Callable[[list[Delivery]], None],
    ) -> None:  # fmt: skip
        self._shard = shard
        self._inbox = inbox
        self._lease = lease
        self._room = room
        self._take = take
        self._every_s = lease.total_seconds() / 3
        self._cursor = "0-0"
        self._next = 0.0
        """When to sweep next."""
        self._full_since: float | None = None

    async def run(self) -> None:
        """Until it is cancelled."""
        pause = 0.0
        try:
            while True:
                await asyncio.sleep(pause)
                try:
                    pause = await self._look()
                except ServerUnavailable as error:  # whether the worker ends of it is for the reads to say
                    log.debug("no sweep this time", error=str(error))
                    pause = self._every_s
        finally:
            try:
                await asyncio.shield(self.lead(timedelta(0)))
            except ServerUnavailable as error:
                log.debug("a lease ends by itself", error=str(error))

    async def lead(self, lease: timedelta) -> bool:
        """Be the one who sweeps, for a lease; for no time to let another be."""
        lease_ms = round(lease.total_seconds() * 1000)
        return bool(await self._shard.run("lease", f"sweep:{self._inbox.name}", self._inbox.consumer, lease_ms))

    async def _look(self) -> float:
        """Do what is to be done now; seconds until there may be more."""
        if not await self.lead(self._lease):
            return self._every_s * random.uniform(0.75, 1.25)
        moved, next_ms = await self._inbox.due()
        soon = min(1.0, self._every_s)
        pause = 0.0 if moved == 100 else min(soon, next_ms / 1000) if next_ms >= 0 else soon / 4
        now = time.monotonic()
        if now < self._next:
            return pause
        room = self._room()
        if room <= 0:
            self._full_since = self._full_since or now
            if now - self._full_since > self._every_s / 4:  # others may have room for what the dead have left
                await self.lead(timedelta(0))
                return self._every_s * random.uniform(0.25, 0.75)
            return min(pause, SOON_S)
        self._full_since = None
        if await self._sweep(min(room, MOST_AT_ONCE)):
            return min(pause, SOON_S * random.uniform(0.5, 1.5))
        self._next = now + self._every_s
        return pause

    async def _sweep(self, most: int) -> bool:
        """Take over what dead workers had, at most so much, and remove consumers that are gone. Whether there may be
        more."""
        self._cursor, deliveries = await self._inbox.take_over(self._lease, self._cursor, most)
        self._take(deliveries)
        if self._cursor != "0-0":
            return True
        gone_ms = GONE_LEASES * self._lease.total_seconds() * 1000
        for name, pending, idle_ms in await self._inbox.consumers():
            if name != self._inbox.consumer and not pending and idle_ms > gone_ms:
                await self._inbox.retire(name)
        return False
