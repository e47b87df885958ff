"""A view: a projection as it is read, and taken on to the log's end by who reads it."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator, Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import timedelta
from heapq import merge as merged
from typing import Any, Generic, TypeVar

from roost.streams import Log, Position, RoostError, Shard
from roost.streams.marks import events_added
from roost.streams.views import Failure, StaleCheckpoint, Standing, StoredView, live_version

from .folder import Folder
from .projection import Projection

Row = TypeVar("Row")
PAGE = 500
SHORTEST_S, LONGEST_S = 0.005, 0.1
"""Between looks at how far a view has come."""

Progress = Callable[[int, int], None]
"""Told how many events are folded, and of how many."""


class ViewReplaced(RoostError):
    """A newer version of a projection is what is read now."""

    def __init__(self, name: str, version: int, live: int) -> None:
        super().__init__(
            f"projection {name} is read in version {live} now, this program has version {version}: update the program"
        )


@dataclass(frozen=True, slots=True)
class Lag:
    """How far a view is behind the log: events, and seconds since the first of them was appended."""

    events: int
    seconds: float


class View(Generic[Row]):
    """A projection's rows in all shards of a flock. What has been folded so far is what is read."""

    def __init__(self, shards: Sequence[Shard], projection: Projection[Row]) -> None:
        projection.check()
        self._shards = list(shards)
        self.projection = projection
        self._adapter = projection.adapter()
        self._stored = [StoredView(shard, projection.name, projection.version) for shard in self._shards]

    async def get(self, key: str) -> Row | None:
        """A row, or None. Raises ViewReplaced when a newer version has taken over."""
        return (await self.get_many([key]))[0]

    async def get_many(self, keys: Sequence[str]) -> list[Row | None]:
        """Rows by their keys, None where there is none."""
        found = await asyncio.gather(*[stored.get_many(keys) for stored in self._stored])
        await self._check_version()  # not before: rows may have gone since
        return [self._one_of(parts) for parts in zip(*found, strict=True)]

    async def range(
        self, prefix: str = "", *, after: str = "", limit: int | None = None
    ) -> AsyncGenerator[tuple[str, Row]]:
        """Rows whose key begins so, in the order of their keys, those behind `after`, at most `limit`. In pages."""
        await self._check_version()
        given = 0
        while limit is None or given < limit:
            count = PAGE if limit is None else min(PAGE, limit - given)
            pages = await asyncio.gather(*[stored.range(prefix, after, count) for stored in self._stored])
            rows: dict[str, list[bytes | None]] = {}
            for key, part in merged(*pages, key=lambda pair: pair[0].encode()):
                rows.setdefault(key, []).append(part)
            page = list(rows.items())[:count]  # each shard has told that many: what comes first is complete
            for key, parts in page:
                row = self._one_of(parts)
                if row is not None:
                    given += 1
                    yield key, row
            if len(page) < count:
                await self._check_version()  # rows that went because another took over are no end
                return
            after = page[-1][0]

    async def count(self, prefix: str = "") -> int:
        """How many rows have a key that begins so; one that stands in several shards counts in each."""
        await self._check_version()
        return sum(await asyncio.gather(*[stored.count(prefix) for stored in self._stored]))

    async def standings(self) -> list[Standing]:
        """How far it has come, shard by shard."""
        return [standing for _, standing in await asyncio.gather(*[each.read_standing() for each in self._stored])]

    async def lag(self) -> Lag:
        """How far it is behind the log's end, all shards together; of seconds the most."""
        lags = await asyncio.gather(*[self._lag_in(*each) for each in zip(self._shards, self._stored, strict=True)])
        return Lag(sum(lag.events for lag in lags), max(lag.seconds for lag in lags))

    async def failures(self, limit: int = 100) -> list[Failure]:
        """The last events that could not be folded, in each shard; the newest first."""
        found = await asyncio.gather(*[stored.failures(limit) for stored in self._stored])
        listed = [each for part in found for each in part]
        return sorted(listed, key=lambda each: each.position[1:], reverse=True)[:limit]

    async def wait(
        self, positions: Position | Iterable[Position], *, timeout: timedelta = timedelta(seconds=10)
    ) -> None:
        """Until these positions have been folded, by whoever follows. Raises TimeoutError, which says how far it is."""
        wanted = [positions] if isinstance(positions, Position) else list(positions)
        pause = SHORTEST_S
        missing: list[str] = []
        try:
            async with asyncio.timeout(timeout.total_seconds()):
                while True:
                    reached = {standing.position.shard: standing for standing in await self.standings()}
                    missing = [_say_missing(position, reached.get(position.shard)) for position in wanted]
                    missing = [each for each in missing if each]
                    if not missing:
                        return
                    await asyncio.sleep(pause)
                    pause = min(2 * pause, LONGEST_S)
        except TimeoutError:
            name = f"{self.projection.name}/{self.projection.version}"
            why = missing[0] if missing else "the server did not answer"
            raise TimeoutError(f"view {name} has not come as far within {timeout}: {why}") from None

    async def catch_up(self, progress: Progress | None = None) -> None:
        """Fold, here and now, up to where the log's end is; then this version is the one that is read.

        Others may follow at the same time. Raises ProjectionStopped, ViewReplaced, ServerFull, ServerUnavailable.
        """
        ends = [await Log(shard).last() for shard in self._shards]
        if progress is not None:
            totals = await asyncio.gather(*[events_added(shard) for shard in self._shards])
            progress = _sum_of(progress, sum(totals))
        folders = [
            Folder(shard, self.projection, view=stored)
            for shard, stored in zip(self._shards, self._stored, strict=True)
        ]
        for shard, folder, end in zip(self._shards, folders, ends, strict=True):
            await fold_to(shard, folder, end, progress)
        # A version that is complete in some shards only is not to be read: all of it is folded before it takes over.
        for shard, folder, stored in zip(self._shards, folders, self._stored, strict=True):
            if len(folders) > 1:
                await fold_to(shard, folder, await Log(shard).last())
            live = await stored.take()
            if live > self.projection.version:
                raise ViewReplaced(self.projection.name, self.projection.version, live)

    async def _check_version(self) -> None:
        told = await asyncio.gather(*[live_version(shard, self.projection.name) for shard in self._shards])
        live = max((version for version in told if version is not None), default=0)
        if live > self.projection.version:
            raise ViewReplaced(self.projection.name, self.projection.version, live)

    def _one_of(self, parts: Iterable[bytes | None]) -> Row | None:
        """A row of its parts in the shards."""
        row: Row | None = None
        for part in parts:
            if part is not None:
                each: Row = self._adapter.validate_json(part)
                row = each if row is None else self.projection.merge(row, each)
        return row

    async def _lag_in(self, shard: Shard, stored: StoredView) -> Lag:
        _, standing = await stored.read_standing()
        page = await shard.command("XRANGE", shard.keys.log, f"({standing.position.entry}", "+", "COUNT", 1)
        if not page:
            return Lag(0, 0.0)
        added = await events_added(shard)
        seconds, micros = await shard.command("TIME")
        now_ms = int(seconds) * 1000 + int(micros) // 1000
        behind_ms = now_ms - Position.parse(page[0][0].decode()).ms
        return Lag(max(1, added - standing.passed), max(0, behind_ms) / 1000)


def _say_missing(position: Position, standing: Standing | None) -> str:
    """Why it cannot be said that a position has been folded; nothing where it has."""
    if standing is None:
        return f"{position} is in no shard of this flock"
    if standing.position >= position:
        return ""
    if standing.stopped is not None:
        return f"it stops before the event at {standing.stopped}, which it cannot fold"
    return f"it stands at {standing.position}, before {position}; is it followed?"


async def fold_to(shard: Shard, folder: Folder, end: Position, progress: Progress | None = None) -> None:
    """Fold on to a position, together with whoever does the same. Raises as `Folder.fold_page`."""
    standing = await folder.begin()
    while standing.position < end:
        try:
            async for page in Log(shard).pages(standing.position, until=end):
                await folder.fold_page(page)
                if progress is not None:
                    progress(shard.number, folder.standing.passed)
            return
        except StaleCheckpoint:
            standing = await folder.begin()


def _sum_of(progress: Progress, total: int) -> Progress:
    passed: dict[int, int] = {}
    last = 0.0

    def told(shard: int, count: int) -> None:
        nonlocal last
        passed[shard] = count
        if time.monotonic() - last > 0.05 or sum(passed.values()) >= total:
            last = time.monotonic()
            progress(sum(passed.values()), max(total, sum(passed.values())))

    return told


def view_of(shards: Sequence[Shard], projection: Projection[Row] | type[Projection[Row]]) -> View[Row]:
    """The view of a projection, given as an object or as its class."""
    made: Any = projection() if isinstance(projection, type) else projection
    return View(shards, made)
