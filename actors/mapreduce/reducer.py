"""The reducer: forms the groups, and reduces each wherever there is room."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from roost.streams import Event, Note, NoteNotFound, decode

from ..actor import Actor, Failure, on
from ..context import Context
from .events import (
    GroupFormed,
    GroupReduced,
    GroupsListed,
    JobFinished,
)
from .failing import GiveUp, failed, shorten
from .job import MapReduce, Step, as_note

STEPS_AT_ONCE = 8
GROUPS_AT_ONCE = 32


class Reducer(Actor):
    """Opens the notes of a group by ID, and reduces them: in steps, where there are too many."""

    name = "reducer"
    circuit = None  # a job ends, with what is missing, while somebody waits for it

    def __init__(self, job: MapReduce) -> None:
        self.job = job
        self.code = job.code

    @on(GroupsListed)
    async def form(self, listed: GroupsListed, ctx: Context[Any]) -> Sequence[Any]:
        """A few groups at a time, since what a handler emits at once is bounded."""
        listing = (await ctx.memory.get(listed.listing)).content
        after = listed.first + GROUPS_AT_ONCE
        formed: list[Any] = [] if after >= listed.groups else [replace(listed, first=after)]
        for group, rows in listing[listed.first : after]:
            members = await ctx.memory.put(rows, sources=[], tags=["group"])
            formed.append(GroupFormed(listed.job, group, listed.groups, members.id))
        return formed

    @on(GroupFormed)
    async def reduce(self, formed: GroupFormed, ctx: Context[Any]) -> GroupReduced:
        try:
            members = await ctx.memory.get(formed.notes)
            result = await self._reduce(formed.group, [note for note, _ in members.content], ctx)
        except (GiveUp, NoteNotFound) as error:
            return _reduced(formed, None, str(error))
        return _reduced(formed, result.id, None)

    async def parked(self, event: Event, failure: Failure) -> GroupReduced | JobFinished:
        payload: GroupFormed | GroupsListed = decode(event)
        if isinstance(payload, GroupsListed):
            return failed(self.name, payload.job, failure)
        return _reduced(payload, None, failure.message)

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
    return GroupReduced(
        formed.job, formed.group, formed.groups, formed.notes, result, None if error is None else shorten(error)
    )
