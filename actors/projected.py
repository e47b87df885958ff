"""What a flock has of projections: to read them, and to follow with them."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Iterable, Sequence
from contextlib import asynccontextmanager
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any, TypeVar

import structlog

from roost.projections.folder import ProjectionStopped
from roost.projections.follower import LEASE, Follower
from roost.projections.projection import Projection
from roost.projections.view import View, ViewReplaced, view_of
from roost.streams import RoostError, Shard
from roost.streams.views import StoredView

from .ending import end, ended_by
from .parts import Parts

if TYPE_CHECKING:
    from roost.projections.notes import NotesFold
    from roost.projections.retention import Retained, Retention
    from roost.streams.merging import Since

    from .past import PastMemory
    from .replay import Replay

log = structlog.get_logger(__name__)
Row = TypeVar("Row")

__all__ = ["Projected", "ProjectionStopped", "ViewReplaced"]


class Projected:
    """The part of a flock that has to do with projections."""

    shard: Shard
    _parts: Parts | None
    _past: dict[int, NotesFold] | None = None
    """What was folded for the last look at the past."""
    followed: Sequence[tuple[Projection[Any], Sequence[Shard]]] = ()
    """Projections that this process follows, and in which shards."""

    def _all_shards(self) -> list[Shard]:
        return [self.shard] if self._parts is None else [part.shard for part in self._parts.all]

    def view(self, projection: Projection[Row] | type[Projection[Row]]) -> View[Row]:
        """A projection's rows. `catch_up` folds them up to now, unless somebody follows."""
        return view_of(self._all_shards(), projection)

    async def at(self, position: Since | datetime) -> PastMemory:
        """The memory as it was at a position in the log, or at a time: to be read, and never written.

        The log is folded up to there; a later place in the same process goes on from the last. Raises SettingsError for
        what is no position, or still to come; ServerUnavailable; of a log that was trimmed, the errors of its archive.
        """
        from .past import memory_at

        self._past = {} if self._past is None else self._past
        return await memory_at(self._all_shards(), position, self._past)

    def replay(self, run: str) -> Replay:
        """A past run, as the log and the archive have it: its events, and whether it would come to the same again."""
        from .replay import LoggedRun, Replay

        return Replay(LoggedRun(self._all_shards(), run))

    @asynccontextmanager
    async def follow(
        self, *projections: Projection[Any] | type[Projection[Any]], lease: timedelta = LEASE
    ) -> AsyncGenerator[None]:
        """Keep these projections at the log's end while the block runs, or some other process does that does the same:
        one of them leads for each projection, and another takes over within the lease when it dies.

        Should a projection be unable to go on, the block is cancelled, and ProjectionStopped raised here; ViewReplaced
        when a newer version of it has taken over.
        """
        followers = [
            Follower(shard, projection() if isinstance(projection, type) else projection, lease=lease)
            for projection in projections
            for shard in self._all_shards()
        ]
        followed = [(follower.projection, self._all_shards()) for follower in followers[:: len(self._all_shards())]]
        self.followed = [*self.followed, *followed]
        tasks = [asyncio.create_task(follower.run(), name="roost follow") for follower in followers]
        try:
            async with ended_by(tasks):
                yield
        finally:
            self.followed = [each for each in self.followed if each not in followed]
            await end(tasks)

    async def retain(self, retention: Retention, *, projections: Iterable[Projection[Any]] = ()) -> Retained:
        """Archive what may leave the server, and let it leave: one round. What was done in all shards together.

        Views of these projections are caught up first; others keep what they have not folded: see `kept_by`. Raises
        ArchiveBusy, DamagedArchive, ArchiveUnusable, SettingsError without the extra `archive`, ServerUnavailable.
        """
        from roost.projections.retention import Retained, retain
        from roost.streams.archive.store import Store

        store, known = Store(retention.place), list(projections)
        whole = Retained()
        for shard in self._all_shards():
            whole.add(await retain(shard, store, retention, projections=known))
        return whole

    @asynccontextmanager
    async def retaining(
        self, retention: Retention, *, every: timedelta = timedelta(minutes=10),
        projections: Iterable[Projection[Any]] = (),
    ) -> AsyncGenerator[None]:  # fmt: skip
        """Do so again and again while the block runs. Of several processes that do, one does it at a time; what fails
        is logged, and tried again the next time."""
        from roost.streams.archive.archivist import ArchiveBusy

        known = list(projections)

        async def again() -> None:
            while True:
                try:
                    await self.retain(retention, projections=known)
                except ArchiveBusy as busy:  # another process does it
                    log.debug("another process archives", told=str(busy))
                except RoostError as error:
                    log.warning("events could not be archived this time", error=str(error))
                await asyncio.sleep(every.total_seconds())

        task = asyncio.create_task(again(), name="roost retain")
        try:
            yield
        finally:
            await end([task])

    async def drop_view(self, name: str, version: int, *, live: bool = False) -> bool:
        """Take a version of a projection away, whose rows nobody needs; whether it was there. Its events stay.

        One that is read now goes only with `live`: raises SettingsError otherwise.
        """
        from roost.streams import SettingsError

        answers = [await StoredView(shard, name, version).drop(live=live) for shard in self._all_shards()]
        if "live" in answers:
            raise SettingsError(f"version {version} of projection {name} is what is read: drop it with live=True")
        return "dropped" in answers
