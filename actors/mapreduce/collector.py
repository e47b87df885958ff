"""The collector: the bounded first step of the barrier, one batch of parts at a time."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from roost.streams import Event, decode

from ..actor import Actor, Failure, on
from ..context import Context
from .events import (
    BatchMapped,
    JobFinished,
    Missing,
    PartCollected,
    PartMapped,
)
from .failing import failed


@dataclass(frozen=True)
class Batch:
    """The parts of a batch that are in."""

    parts: dict[int, PartCollected] = field(default_factory=dict[int, PartCollected])


class Collector(Actor):
    """Waits for all parts of a batch: the bounded first step of the barrier."""

    name = "collector"
    state = Batch

    @on(PartMapped, key=lambda part: f"{part.job}/{part.stream}/{part.batch}")
    async def collect(self, part: PartMapped, ctx: Context[Batch]) -> Sequence[Any]:
        collected = PartCollected(part.index, part.size, part.note, part.mapped, part.label, part.error)
        parts = ctx.state.parts | {part.index: collected}
        if len(parts) < part.size or len(ctx.state.parts) == part.size:
            return [collected]
        ordered = [parts[index] for index in sorted(parts)]
        rows = [[row.note, row.mapped, row.label] for row in ordered if row.mapped is not None]
        manifest = await ctx.memory.put(rows, sources=[], tags=["manifest"])
        missing = tuple(
            Missing(row.label or row.note, row.error or "it could not be mapped") for row in ordered if not row.mapped
        )
        return [collected, BatchMapped(part.job, part.stream, part.batch, manifest.id, missing)]

    async def parked(self, event: Event, failure: Failure) -> JobFinished:
        return failed(self.name, decode(event).job, failure)

    def evolve(self, state: Batch, event: Any) -> Batch:
        if not isinstance(event, PartCollected):
            return state
        return Batch(state.parts | {event.index: event})
