"""The sorter: one worker of a keyed actor moves what comes in into the lanes of its keys, in order."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Callable
from datetime import timedelta
from typing import TYPE_CHECKING

import structlog

from roost.streams import Event, Inbox, ServerUnavailable
from roost.streams.lanes import LaneLost, Lanes, lane_of
from roost.streams.outbox import OUTBOX_MOST
from roost.streams.patience import explain, is_passing

if TYPE_CHECKING:
    from .flock import Flock

log = structlog.get_logger(__name__)

AT_ONCE = 500
MAX_IN_LANES = 4096
"""Entries in all lanes together, from which on no more are sorted; half of the inbox's limit where that is less. The
limit itself is for what is not sorted."""
PAUSE_S = 0.05
BLOCK = timedelta(seconds=5)
OLD_S = 60.0
"""Between looks at timers that workers without lanes may have set."""


class Sorter:
    """Sorts the front of a keyed inbox, as long as it is its worker's to sort."""

    def __init__(self, flock: Flock, lanes: Lanes, key_of: Callable[[Event], str | None], limit: int | None) -> None:
        self._lanes = lanes
        self._key_of = key_of
        self._connection = flock.connection
        self._patience_s = flock.shard.patience.total_seconds()
        self._most = MAX_IN_LANES if limit is None else min(MAX_IN_LANES, max(1, limit // 2))
        self._placement, self._number = flock.shard.placement, flock.shard.number
        self._actor = lanes.name.partition("@")[0]
        self._timed = Inbox(flock.shard, lanes.name, lanes.consumer)
        self._due_at = 0.0
        """When to look at the inbox's timers next."""
        self._generation = 0
        self._task: asyncio.Task[None] | None = None
        self.failed: Exception | None = None
        """What ended it, should it not be able to go on."""

    def sort(self, generation: int) -> None:
        """Sort since that generation; 0: another does."""
        if generation == self._generation and (self._task is None or not self._task.done()):
            return
        self.stop()
        self._generation = generation
        if generation:
            self._task = asyncio.create_task(self._run(generation), name=f"roost sort {self._lanes.name}")

    def stop(self) -> None:
        if self._task is not None:
            self._task.cancel()
            self._task = None

    @property
    def tasks(self) -> list[asyncio.Task[None]]:
        return [] if self._task is None else [self._task]

    async def _run(self, generation: int) -> None:
        client = self._connection.dedicated(block=BLOCK)
        away_since: float | None = None
        try:
            while True:
                try:
                    block = await self._bring_due()
                    entries = await self._lanes.incoming(client, AT_ONCE, block)
                    away_since = None
                except Exception as error:
                    away_since = away_since or time.monotonic()
                    if not is_passing(error) or time.monotonic() - away_since > self._patience_s:
                        raise explain(error) from error
                    await asyncio.sleep(random.uniform(0.05, 0.5))
                    continue
                stay = await self._forward(generation, entries)
                places = [(entry, self._lane_of(event)) for entry, event in stay]
                while await self._lanes.sort(generation, places) > self._most:
                    await asyncio.sleep(PAUSE_S)
                    places = []
        except LaneLost:
            log.debug("another worker sorts", inbox=self._lanes.name)
        except ServerUnavailable as error:
            self.failed = error
        finally:
            await client.aclose()

    async def _bring_due(self) -> timedelta:
        """What failed before its actor had keys waits in the inbox's timers, and comes in when its time has come.

        For how long to wait then for what comes in.
        """
        left_s = self._due_at - time.monotonic()
        if left_s <= 0:
            moved, next_ms = await self._timed.due()
            left_s = 0.0 if moved else min(OLD_S, next_ms / 1000) if next_ms >= 0 else OLD_S
            self._due_at = time.monotonic() + left_s
        return min(BLOCK, timedelta(seconds=left_s))

    async def _forward(
        self, generation: int, entries: list[tuple[str, Event | None]]
    ) -> list[tuple[str, Event | None]]:
        """Send those whose keys another shard has there; those that stay."""
        if self._placement is None:
            return entries
        stay: list[tuple[str, Event | None]] = []
        away: dict[int, list[str]] = {}
        for entry, event in entries:
            key = None if event is None else self._key_of(event)
            home = self._number if key is None else self._placement.of(f"actor/{self._actor}/{key}")
            if home == self._number:
                stay.append((entry, event))
            else:
                away.setdefault(home, []).append(entry)
        for home, gone in away.items():
            sent = await self._lanes.forward(generation, home, gone, OUTBOX_MOST)
            while not sent:
                await asyncio.sleep(PAUSE_S)
                sent = await self._lanes.forward(generation, home, gone, OUTBOX_MOST)
        return stay

    def _lane_of(self, event: Event | None) -> int:
        """What has no key is parked by the owner of the first lane."""
        key = None if event is None else self._key_of(event)
        return 0 if key is None else lane_of(key, self._lanes.count)
