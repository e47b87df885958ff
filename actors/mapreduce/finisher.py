"""The finisher: joins the results of all groups."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from roost.streams import Event, decode

from ..actor import Actor, Failure, on
from ..context import Context
from .events import (
    GroupCounted,
    GroupReduced,
    JobFinished,
    JobShuffled,
    Missing,
    MissingCounted,
)
from .failing import GiveUp, failed, shorten
from .job import MapReduce, as_note


@dataclass(frozen=True)
class Results:
    """The groups' results that are in."""

    groups: int | None = None
    results: dict[str, str | None] = field(default_factory=dict[str, "str | None"])
    members: dict[str, str] = field(default_factory=dict[str, str])
    missing: tuple[Missing, ...] = ()
    unnamed: int = 0
    shuffled: bool = False


class Finisher(Actor):
    """Waits for all groups, and joins their results."""

    name = "finisher"
    state = Results
    circuit = None  # a job ends, with what is missing, while somebody waits for it

    def __init__(self, job: MapReduce) -> None:
        self.job = job
        self.code = job.code

    @on(GroupReduced, key=lambda reduced: reduced.job)
    async def reduced(self, reduced: GroupReduced, ctx: Context[Results]) -> Sequence[Any]:
        counted = GroupCounted(reduced.group, reduced.groups, reduced.result, reduced.notes, reduced.error)
        return [counted, *await self._finish(reduced.job, self.evolve(ctx.state, counted), ctx)]

    @on(JobShuffled, key=lambda shuffled: shuffled.job)
    async def shuffled(self, shuffled: JobShuffled, ctx: Context[Results]) -> Sequence[Any]:
        counted = MissingCounted(shuffled.missing, shuffled.unnamed)
        state = self.evolve(ctx.state, counted)
        return [counted, *await self._finish(shuffled.job, replace(state, groups=shuffled.groups), ctx)]

    async def parked(self, event: Event, failure: Failure) -> JobFinished:
        return failed(self.name, decode(event).job, failure)

    def evolve(self, state: Results, event: Any) -> Results:
        match event:
            case GroupCounted(group, groups, result, notes, error):
                failed = () if error is None else (Missing(self.job.title(group), error),)
                return replace(
                    state,
                    groups=groups,
                    results=state.results | {group: result},
                    members=state.members | {group: notes},
                    missing=(*state.missing, *failed),
                )
            case MissingCounted(missing, unnamed):
                return replace(state, missing=(*missing, *state.missing), unnamed=unnamed, shuffled=True)
            case _:
                return state

    async def _finish(self, job: str, state: Results, ctx: Context[Results]) -> Sequence[Any]:
        if not state.shuffled or state.groups is None or len(state.results) < state.groups:
            return []
        more = (Missing(f"{state.unnamed:,} more", "their part.mapped events say why"),) if state.unnamed else ()
        try:
            result = await self.job.finish(state.results, state.members, (*state.missing, *more), ctx)
        except GiveUp as error:
            missing = (*state.missing, Missing("the whole", shorten(str(error))))
            return [JobFinished(job, state.results, None, missing, state.unnamed)]
        note = None if result is None else await as_note(result, ctx)
        return [JobFinished(job, state.results, note.id if note else None, state.missing, state.unnamed)]
