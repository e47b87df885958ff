"""The follower: keeps views at the log's end, one process of the fleet for each projection and shard."""

from __future__ import annotations

import asyncio
import time
from contextlib import suppress
from datetime import timedelta
from typing import Any

import structlog

from roost.otel import active
from roost.streams import Log, ServerFull, ServerUnavailable, Shard, new_id
from roost.streams.absence import Absence
from roost.streams.views import StaleCheckpoint, StoredView

from .folder import Folder
from .projection import Projection
from .view import ViewReplaced

log = structlog.get_logger(__name__)

LEASE = timedelta(seconds=5)
SHORTEST_S, LONGEST_S = 0.01, 0.2
"""Between looks at the log: after something has come, and when nothing comes."""


class Follower:
    """Follows with one projection in one shard, whenever it has the lease to. Who has lost it and does not know yet
    does no harm: each step is stored by one alone."""

    def __init__(self, shard: Shard, projection: Projection[Any], *, lease: timedelta = LEASE) -> None:
        self._shard = shard
        self.projection = projection
        self._view = StoredView(shard, projection.name, projection.version)
        self._folder = Folder(shard, projection, view=self._view)
        self._lease = lease
        self._who = new_id()
        self._renewed = float("-inf")
        self.leads = False

    async def run(self) -> None:
        """Until it is cancelled. A server that is away, or full, is waited for. Raises ProjectionStopped and
        ViewReplaced."""
        absence = Absence(log, "a projection cannot be followed", "the projection is followed again")
        try:
            while True:
                try:
                    if await self._lead():
                        await self._follow()
                    absence.ended()
                except (ServerUnavailable, ServerFull) as error:
                    self.leads = False
                    absence.noticed(error)
                await asyncio.sleep(self._lease.total_seconds() / 3)
        finally:
            if self.leads:
                with suppress(ServerUnavailable):  # then it ends by itself
                    await asyncio.shield(self._keep(timedelta(0)))

    async def _follow(self) -> None:
        """As long as it leads."""
        standing, pause = await self._folder.begin(), SHORTEST_S
        while True:
            try:
                async for page in Log(self._shard).pages(standing.position):
                    began_ns = time.time_ns()
                    await self._folder.fold_page(page)
                    if active.tracing is not None:
                        active.tracing.fold(self.projection.name, self._shard.number, len(page), began_ns)
                    pause = SHORTEST_S
                    if not await self._lead():
                        return
                standing = self._folder.standing
            except StaleCheckpoint:  # somebody caught up by hand, or leads as well
                standing = await self._folder.begin()
            if await self._folder.is_elsewhere():  # dropped, perhaps: with no new event no step would show that
                standing = await self._folder.begin()
                continue
            live = await self._view.take()
            if live > self.projection.version:
                raise ViewReplaced(self.projection.name, self.projection.version, live)
            await asyncio.sleep(pause)
            pause = min(2 * pause, LONGEST_S, self._lease.total_seconds() / 3)
            if not await self._lead():
                return

    async def _lead(self) -> bool:
        """Whether this one leads; asked again when a third of the lease is over."""
        now = time.monotonic()
        if self.leads and now - self._renewed < self._lease.total_seconds() / 3:
            return True
        self.leads = await self._keep(self._lease)
        self._renewed = now
        return self.leads

    async def _keep(self, lease: timedelta) -> bool:
        job = f"follow/{self._view.name}"
        return bool(await self._shard.run("lease", job, self._who, round(lease.total_seconds() * 1000)))
