"""The mapper: maps one part after the other, wherever there is room."""

from __future__ import annotations

from typing import Any

from roost.streams import Event, NoteNotFound, decode

from ..actor import Actor, Failure, on
from ..context import Context
from .events import (
    PartMapped,
    PartOffered,
)
from .failing import GiveUp, shorten
from .job import MapReduce, as_note


class Mapper(Actor):
    """Maps one part after the other."""

    name = "mapper"
    circuit = None  # a job ends, with what is missing, while somebody waits for it

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
        part.job,
        part.stream,
        part.batch,
        part.index,
        part.size,
        part.note,
        mapped,
        part.label,
        None if error is None else shorten(error),
    )
