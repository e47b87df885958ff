"""The agents of a job. Map and reduce scale out; collecting, shuffling and finishing are keyed, one at a time."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from roost.streams import Event, Note, NoteNotFound, decode

from ..actor import Actor, Failure, on
from ..context import Context
from .events import (
    BatchCounted,
    BatchMapped,
    GroupCounted,
    GroupFormed,
    GroupReduced,
    JobFinished,
    JobShuffled,
    Missing,
    MissingCounted,
    PartCollected,
    PartMapped,
    PartOffered,
    StreamClosed,
    StreamCounted,
)
from .job import GiveUp, Mapped, MapReduce, Step

STEPS_AT_ONCE = 8


async def as_note(result: Any, ctx: Context[Any]) -> Note:
    """What a job's function returned, as a note."""
    return result if isinstance(result, Note) else await ctx.memory.put(result)


class Mapper(Actor):
    """Maps one part after the other."""

    name = "mapper"

    def __init__(self, job: MapReduce) -> None:
        self.job = job
        self.code = job.code

    @on(PartOffered)
    async def map(self, part: PartOffered, ctx: Context[Any]) -> PartMapped:
        try:
            note = await ctx.memory.get(part.note)
            mapped = await as_note(await self.job.map(note, part.label, ctx), ctx)
        except (GiveUp, NoteNotFound) as error:
            return _mapped(part, None, str(error))
        return _mapped(part, mapped.id, None)

    async def parked(self, event: Event, failure: Failure) -> PartMapped:
        return _mapped(decode(event), None, failure.message)


def _mapped(part: PartOffered, mapped: str | None, error: str | None) -> PartMapped:
    return PartMapped(
        part.job, part.stream, part.batch, part.index, part.size, part.note, mapped, part.label, _short(error)
    )


def _failed(agent: str, job: str, failure: Failure) -> JobFinished:
    """Without this agent the job has no end of its own: tell whoever waits for it."""
    return JobFinished(job, {}, None, (Missing(agent, failure.message),))


def _short(error: str | None) -> str | None:
    return None if error is None else error[:300]


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
        return _failed(self.name, decode(event).job, failure)

    def evolve(self, state: Batch, event: Any) -> Batch:
        if not isinstance(event, PartCollected):
            return state
        return Batch(state.parts | {event.index: event})


@dataclass(frozen=True)
class Progress:
    """What the shuffler knows: how many streams there are, the batches of those that have ended, the manifests."""

    streams: int | None = None
    batches: dict[str, int] = field(default_factory=dict[str, int])
    manifests: dict[str, str] = field(default_factory=dict[str, str])
    missing: tuple[Missing, ...] = ()
    shuffled: bool = False

    @property
    def is_complete(self) -> bool:
        ended = self.streams is not None and len(self.batches) == self.streams
        return ended and len(self.manifests) == sum(self.batches.values())


class Shuffler(Actor):
    """Waits for all batches of all streams, and groups what they were mapped to."""

    name = "shuffler"
    state = Progress

    def __init__(self, job: MapReduce) -> None:
        self.job = job
        self.code = job.code

    @on(StreamClosed, key=lambda closed: closed.job)
    async def closed(self, closed: StreamClosed, ctx: Context[Progress]) -> Sequence[Any]:
        counted = StreamCounted(closed.stream, closed.batches, closed.streams, closed.error)
        return [counted, *await self._shuffle(closed.job, self.evolve(ctx.state, counted), ctx)]

    @on(BatchMapped, key=lambda batch: batch.job)
    async def batch(self, batch: BatchMapped, ctx: Context[Progress]) -> Sequence[Any]:
        counted = BatchCounted(batch.stream, batch.batch, batch.manifest, batch.missing)
        return [counted, *await self._shuffle(batch.job, self.evolve(ctx.state, counted), ctx)]

    async def parked(self, event: Event, failure: Failure) -> JobFinished:
        return _failed(self.name, decode(event).job, failure)

    def evolve(self, state: Progress, event: Any) -> Progress:
        match event:
            case StreamCounted(stream, batches, streams, error):
                missing = state.missing if error is None else (*state.missing, Missing(stream, error))
                return replace(state, streams=streams, batches=state.batches | {stream: batches}, missing=missing)
            case BatchCounted(stream, batch, manifest, missing):
                manifests = state.manifests | {f"{stream}/{batch:08}": manifest}
                named = (*state.missing, *missing)[: self.job.max_missing]
                return replace(state, manifests=manifests, missing=named)
            case JobShuffled():
                return replace(state, shuffled=True)
            case _:
                return state

    async def _shuffle(self, job: str, progress: Progress, ctx: Context[Progress]) -> Sequence[Any]:
        if not progress.is_complete or ctx.state.shuffled:
            return []
        parts: list[Mapped] = []
        for name in sorted(progress.manifests):
            manifest = await ctx.memory.get(progress.manifests[name])
            parts.extend(Mapped(*row) for row in manifest.content)
        groups = await self.job.shuffle(parts, ctx) if parts else {}
        labels = {part.mapped: part.label for part in parts} | {part.note: part.label for part in parts}
        formed: list[Any] = []
        for group, members in groups.items():
            rows = [[note, labels.get(note, "")] for note in members]
            listed = await ctx.memory.put(rows, sources=[], tags=["group"])
            formed.append(GroupFormed(job, group, len(groups), listed.id))
        return [JobShuffled(job, len(groups), len(parts), progress.missing), *formed]


class Reducer(Actor):
    """Opens the notes of a group by ID, and reduces them: in steps, where there are too many."""

    name = "reducer"

    def __init__(self, job: MapReduce) -> None:
        self.job = job
        self.code = job.code

    @on(GroupFormed)
    async def reduce(self, formed: GroupFormed, ctx: Context[Any]) -> GroupReduced:
        try:
            members = await ctx.memory.get(formed.notes)
            result = await self._reduce(formed.group, [note for note, _ in members.content], ctx)
        except (GiveUp, NoteNotFound) as error:
            return _reduced(formed, None, str(error))
        return _reduced(formed, result.id, None)

    async def parked(self, event: Event, failure: Failure) -> GroupReduced:
        return _reduced(decode(event), None, failure.message)

    async def _reduce(self, group: str, members: Sequence[str], ctx: Context[Any]) -> Note:
        fan_in = max(2, self.job.fan_in)
        level = 0
        while len(members) > fan_in:
            members = await self._level(group, level, members, fan_in, ctx)
            level += 1
        return await self._step(Step(group, level), members, ctx)

    async def _level(
        self, group: str, level: int, members: Sequence[str], fan_in: int, ctx: Context[Any]
    ) -> Sequence[str]:
        """What steps of `fan_in` make of the members: a few at a time, since a group may hold thousands."""
        starts = range(0, len(members), fan_in)
        partial: list[str] = []
        for some in range(0, len(starts), STEPS_AT_ONCE):
            steps = [
                self._step(Step(group, level, first), members[first : first + fan_in], ctx)
                for first in starts[some : some + STEPS_AT_ONCE]
            ]
            partial.extend(note.id for note in await asyncio.gather(*steps))
        return partial

    async def _step(self, step: Step, members: Sequence[str], ctx: Context[Any]) -> Note:
        notes = await ctx.memory.get_all(members)
        return await as_note(await self.job.reduce(step, notes, ctx), ctx)


def _reduced(formed: GroupFormed, result: str | None, error: str | None) -> GroupReduced:
    return GroupReduced(formed.job, formed.group, formed.groups, formed.notes, result, _short(error))


@dataclass(frozen=True)
class Results:
    """The groups' results that are in."""

    groups: int | None = None
    results: dict[str, str | None] = field(default_factory=dict[str, "str | None"])
    members: dict[str, str] = field(default_factory=dict[str, str])
    missing: tuple[Missing, ...] = ()
    shuffled: bool = False


class Finisher(Actor):
    """Waits for all groups, and joins their results."""

    name = "finisher"
    state = Results

    def __init__(self, job: MapReduce) -> None:
        self.job = job
        self.code = job.code

    @on(GroupReduced, key=lambda reduced: reduced.job)
    async def reduced(self, reduced: GroupReduced, ctx: Context[Results]) -> Sequence[Any]:
        counted = GroupCounted(reduced.group, reduced.groups, reduced.result, reduced.notes, reduced.error)
        return [counted, *await self._finish(reduced.job, self.evolve(ctx.state, counted), ctx)]

    @on(JobShuffled, key=lambda shuffled: shuffled.job)
    async def shuffled(self, shuffled: JobShuffled, ctx: Context[Results]) -> Sequence[Any]:
        counted = MissingCounted(shuffled.missing)
        state = self.evolve(ctx.state, counted)
        return [counted, *await self._finish(shuffled.job, replace(state, groups=shuffled.groups), ctx)]

    async def parked(self, event: Event, failure: Failure) -> JobFinished:
        return _failed(self.name, decode(event).job, failure)

    def evolve(self, state: Results, event: Any) -> Results:
        match event:
            case GroupCounted(group, groups, result, notes, error):
                missing = state.missing if error is None else (*state.missing, Missing(group, error))
                return replace(
                    state,
                    groups=groups,
                    results=state.results | {group: result},
                    members=state.members | {group: notes},
                    missing=missing,
                )
            case MissingCounted(missing):
                return replace(state, missing=(*missing, *state.missing), shuffled=True)
            case _:
                return state

    async def _finish(self, job: str, state: Results, ctx: Context[Results]) -> Sequence[Any]:
        if not state.shuffled or state.groups is None or len(state.results) < state.groups:
            return []
        result = await self.job.finish(state.results, state.members, state.missing, ctx)
        note = None if result is None else await as_note(result, ctx)
        return [JobFinished(job, state.results, note.id if note else None, state.missing)]
