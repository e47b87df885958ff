"""The shuffler: the barrier. When all parts of all streams are in, it groups them by ID."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from roost.streams import Event, decode

from ..actor import Actor, Failure, on
from ..context import Context
from .events import (
    BatchCounted,
    BatchMapped,
    GroupsListed,
    JobFinished,
    JobShuffled,
    Missing,
    StreamClosed,
    StreamCounted,
)
from .failing import GiveUp, failed
from .job import Mapped, MapReduce


@dataclass(frozen=True)
class Progress:
    """What the shuffler knows: how many streams there are, the batches of those that have ended, the manifests."""

    streams: int | None = None
    batches: dict[str, int] = field(default_factory=dict[str, int])
    manifests: dict[str, str] = field(default_factory=dict[str, str])
    missing: tuple[Missing, ...] = ()
    unnamed: int = 0
    shuffled: bool = False

    @property
    def is_complete(self) -> bool:
        ended = self.streams is not None and len(self.batches) == self.streams
        return ended and len(self.manifests) == sum(self.batches.values())


class Shuffler(Actor):
    """Waits for all batches of all streams, and groups what they were mapped to."""

    name = "shuffler"
    state = Progress
    circuit = None  # a job ends, with what is missing, while somebody waits for it

    def __init__(self, job: MapReduce) -> None:
        self.job = job
        self.code = job.code

    @on(StreamClosed, key=lambda closed: closed.job)
    async def closed(self, closed: StreamClosed, ctx: Context[Progress]) -> Sequence[Any]:
        counted = StreamCounted(closed.stream, closed.batches, closed.streams, closed.error, closed.label)
        return [counted, *await self._shuffle(closed.job, self.evolve(ctx.state, counted), ctx)]

    @on(BatchMapped, key=lambda batch: batch.job)
    async def batch(self, batch: BatchMapped, ctx: Context[Progress]) -> Sequence[Any]:
        counted = BatchCounted(batch.stream, batch.batch, batch.manifest, batch.missing)
        return [counted, *await self._shuffle(batch.job, self.evolve(ctx.state, counted), ctx)]

    async def parked(self, event: Event, failure: Failure) -> JobFinished:
        return failed(self.name, decode(event).job, failure)

    def evolve(self, state: Progress, event: Any) -> Progress:
        match event:
            case StreamCounted(stream, batches, streams, error, label):
                missing = () if error is None else (Missing(label or stream, error),)
                ended = replace(state, streams=streams, batches=state.batches | {stream: batches})
                return self._without(ended, missing)
            case BatchCounted(stream, batch, manifest, missing):
                manifests = state.manifests | {f"{stream}/{batch:08}": manifest}
                return self._without(replace(state, manifests=manifests), missing)
            case JobShuffled():
                return replace(state, shuffled=True)
            case _:
                return state

    def _without(self, state: Progress, missing: Sequence[Missing]) -> Progress:
        """Missing parts noted: some by name, further ones by number, since a job may miss thousands."""
        named = missing[: max(0, self.job.max_missing - len(state.missing))]
        return replace(state, missing=(*state.missing, *named), unnamed=state.unnamed + len(missing) - len(named))

    async def _shuffle(self, job: str, progress: Progress, ctx: Context[Progress]) -> Sequence[Any]:
        if not progress.is_complete or ctx.state.shuffled:
            return []
        parts: list[Mapped] = []
        for name in sorted(progress.manifests):
            manifest = await ctx.memory.get(progress.manifests[name])
            parts.extend(Mapped(*row) for row in manifest.content)
        groups: Mapping[str, Sequence[str]] = await self.job.shuffle(parts, ctx) if parts else {}
        if len(groups) > self.job.max_groups:
            raise GiveUp(f"a job has up to {self.job.max_groups} groups, not {len(groups):,}: choose coarser keys")
        labels = {part.mapped: part.label for part in parts} | {part.note: part.label for part in parts}
        shuffled = JobShuffled(job, len(groups), len(parts), progress.missing, progress.unnamed)
        if not groups:
            return [shuffled]
        rows = [[group, [[note, labels.get(note, "")] for note in members]] for group, members in groups.items()]
        listing = await ctx.memory.put(rows, sources=[], tags=["groups"])
        return [shuffled, GroupsListed(job, len(groups), listing.id)]
