"""One partition of a topic into the flock: what is taken, written together with how far it goes."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Callable
from dataclasses import dataclass

from roost.otel import active

from ...answer import Conflicted, Full, Written
from ...errors import OutcomeUnknown, RoostError
from ...shard import Shard
from ...unit import Unit
from ...writer import Writer
from ..faults import MissingRecords
from .batch import MOST_RECORDS, Batch, batches_of
from .bookmark import Bookmark, Place, find_bookmark
from .record import Bounds, Source

WAIT_S = 1.0
"""For records; whoever ends the ingest need not wait for it."""
CONFLICT_S = 0.05


class Overtaken(RoostError):
    """Somebody else has begun this partition meanwhile, or the log has begun anew: look where it is."""


@dataclass(slots=True)
class Progress:
    """Of one partition, since this process began. `events` came of `records`, but for `refused`. `offset`: the next."""

    records: int = 0
    refused: int = 0
    conflicts: int = 0
    offset: int | None = None

    @property
    def events(self) -> int:
        return self.records - self.refused


class Partition:
    """Its shard is the one that has its subject; what its events have for other shards goes by their outboxes."""

    def __init__(
        self, source: Source, place: Place, shard: Shard, writer: Writer, progress: Progress, *,
        stop_at_refused: bool, told: Callable[[int], None],
    ) -> None:  # fmt: skip
        self._source = source
        self._place = place
        self._shard = shard
        self._writer = writer
        self._progress = progress
        self._stop_at_refused = stop_at_refused
        self._told = told
        self.mark = Bookmark()

    async def find(self) -> Bookmark:
        """Look up how far it is."""
        self.mark = await find_bookmark(self._shard, self._place.subject)
        return self.mark

    async def begin(self, bounds: Bounds, *, at_end: bool, accept_gap: bool) -> int:
        """The offset to begin with. Raises MissingRecords, and Overtaken where another has come further meanwhile."""
        mark, place = self.mark, self._place
        if not mark.version and not at_end:
            return bounds.first
        if not mark.version:  # kept at once: a restart would find another end
            unit, offset = Unit().expect(place.subject, 0), bounds.end
        elif (reason := _gap(mark, bounds, place)) is None:
            return mark.offset
        elif not accept_gap:
            raise MissingRecords(
                f"topic {place.topic}, partition {place.partition}: {reason}. Nothing more is taken in; to go on at "
                f"offset {bounds.first:,}: --accept-gap"
            )
        else:
            unit, offset = Unit().expect(place.subject, mark.version), bounds.first
            unit.event(place.missed(mark.offset, offset, reason))
        if not await self._commit(unit.event(place.ingested(offset, 0, 0)), offset):
            raise Overtaken
        return offset

    async def run(self, offset: int, until: int | None) -> None:
        """From that offset on, up to and without `until`, where one is given. Raises the errors of the source, of
        the server, of faults.py, and Overtaken."""
        self._progress.offset = offset
        while until is None or offset < until:
            taken = await self._source.take(self._place.partition, MOST_RECORDS, WAIT_S)
            offset = taken.next
            for batch in batches_of(self._shard.keys.flock, self._place, taken, stop_at_refused=self._stop_at_refused):
                if not await self._commit(batch.unit(self._place, self.mark.version), batch.offset):
                    offset = self.mark.offset
                    self._source.seek(self._place.partition, offset)
                    break
                self._count(batch)
            self._progress.offset = offset

    async def _commit(self, unit: Unit, offset: int) -> bool:
        """Whether it was written; if not, another has come further, and `mark` says how far. Raises Overtaken where it
        cannot go on from there."""
        since: float | None = None
        while True:
            try:
                answer = await self._writer.write(unit)
            except OutcomeUnknown:  # the subject tells; and should the lost call still arrive, the next one conflicts
                break
            match answer:
                case Written(versions, _):
                    self.mark = Bookmark(versions[-1], offset, self._place.cluster)
                    return True
                case Full():
                    since = time.monotonic() if since is None else since
                    await self._writer.gates.wait(answer, since)
                case Conflicted():
                    break
                case _:
                    raise RoostError(f"an append of records was answered with {answer}")
        self._progress.conflicts += 1
        await asyncio.sleep(random.uniform(0, CONFLICT_S))
        mark = await self.find()
        if not mark.version or mark.cluster != self._place.cluster:
            raise Overtaken
        return False

    def _count(self, batch: Batch) -> None:
        self._progress.records += batch.records
        self._progress.refused += batch.refused
        if active.meters is not None:
            active.meters.ingested(self._shard.keys.flock, self._place.topic, batch.records, batch.refused)
        self._told(batch.records)


def _gap(mark: Bookmark, bounds: Bounds, place: Place) -> str | None:
    """Why the records that come next cannot be had, or None."""
    if mark.cluster and place.cluster and mark.cluster != place.cluster:
        return f"it was read in the Kafka cluster {mark.cluster}, and this is the cluster {place.cluster}"
    if mark.offset < bounds.first:
        return f"Kafka does not have the offsets {mark.offset:,} to {bounds.first - 1:,} any more"
    if mark.offset > bounds.end:
        return f"Kafka has it only up to offset {bounds.end:,}, and {mark.offset:,} comes next: it was made anew"
    return None
