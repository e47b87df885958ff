"""The memory of one recorded run as it was at a position: what it had written, and of others what it read or reused."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator, Container
from contextlib import aclosing
from datetime import datetime

from roost.projections.notes import NotesFold
from roost.projections.recorded import OddData, data_of, optional_text
from roost.streams import Event, Position, SettingsError
from roost.streams.event import now_ms
from roost.streams.merging import in_order, order_of

from ..past import END, PastMemory
from .recorded_run import RecordedRun

Place = tuple[int, int, int]


class RecordedPast:
    """A run's, by its record: one part, and no server. What was forgotten is known as of when it was read."""

    def __init__(self, run: RecordedRun, place: Place) -> None:
        self._run = run
        self._place = place
        self.since: set[str] = set()

    def part_of_note(self, note_id: str) -> int:
        return 0

    def part_of_key(self, key: str) -> int:
        return 0

    async def content(self, digest: str) -> bytes | None:
        return await self._run.content(digest)

    async def forgotten(self, part: int) -> Container[str]:
        return self.since

    async def now_ms(self) -> int:
        return now_ms()

    async def about(self, subject: str) -> AsyncGenerator[Event]:
        async with aclosing(all_events(self._run)) as events:
            async for event in events:
                if event.subject == subject and order_of(event) <= self._place:
                    yield event


async def run_memory_at(run: RecordedRun, position: Position | str | datetime) -> PastMemory:
    """Folded from what is recorded. Raises SettingsError for what is no position."""
    place, fold = place_of(position), NotesFold()
    past = RecordedPast(run, place)
    async with aclosing(all_events(run)) as events:
        async for event in events:
            if order_of(event) <= place:
                fold.evolve(event)
            elif event.type == "note.forgotten" and (note := forgotten_in(event)) is not None:
                past.since.add(note)
    return PastMemory(past, [fold], [place[0]])


async def all_events(run: RecordedRun) -> AsyncGenerator[Event]:
    """All that is recorded, in the log's order: the run's, what it needs from before, what was forgotten since."""
    sources = (run.before(), run.events(), run.forgotten())
    async with aclosing(in_order([_closing(source) for source in sources], order_of)) as events:
        async for event in events:
            yield event


async def _closing(events: AsyncGenerator[Event]) -> AsyncIterator[Event]:
    async with aclosing(events):
        async for event in events:
            yield event


def place_of(position: Position | str | datetime) -> Place:
    """A position, or its text, or a time that has its time zone, as events are ordered. Raises SettingsError."""
    if isinstance(position, datetime):
        if position.tzinfo is None:
            raise SettingsError("a time needs its time zone: datetime.now(UTC), or .astimezone()")
        return int(position.timestamp() * 1000), END, END
    if isinstance(position, str):
        position = Position.parse(position.strip())
    return position.ms, position.seq, position.shard


def forgotten_in(event: Event) -> str | None:
    """The note that an event tells to be forgotten; None where that is not as Roost writes it."""
    try:
        return optional_text(data_of(event), "note")
    except OddData:
        return None
