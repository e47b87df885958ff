"""The memory of one recorded run as it was at a position: what it had written, and of others what it read or reused."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator, Iterable
from contextlib import aclosing
from datetime import datetime

from roost.projections.notes import ListedNote, NotesFold
from roost.projections.recorded import OddData, data_of, optional_text
from roost.streams import Event, NoteNotFound, Position, SettingsError
from roost.streams.event import now_ms
from roost.streams.merging import in_order, order_of
from roost.streams.notes import check_key

from ..actor import Actor
from ..past import END, Mark, PastNote
from ..search import LOOK_AT, READ_BYTES, Found, Hit, best_of
from ..state import adapter_of_state
from .recorded_run import RecordedRun

Place = tuple[int, int, int]


class RunMemory:
    """What `Replay.at` answers: as `Flock.at`, of the notes that the run's record holds. It needs no server."""

    def __init__(self, run: RecordedRun, place: Place, fold: NotesFold, forgotten: set[str]) -> None:
        self._run = run
        self._place = place
        self._fold = fold
        self._forgotten = forgotten

    @classmethod
    async def at(cls, run: RecordedRun, position: Position | str | datetime) -> RunMemory:
        """Folded from what is recorded. Raises SettingsError for what is no position."""
        place, fold, forgotten = place_of(position), NotesFold(), set[str]()
        async with aclosing(all_events(run)) as events:
            async for event in events:
                if order_of(event) <= place:
                    fold.evolve(event)
                elif event.type in ("note.forgotten", "note.written") and (note := _note_of(event)) is not None:
                    (forgotten.add if event.type == "note.forgotten" else forgotten.discard)(note)
        return cls(run, place, fold, forgotten)

    async def get(self, note_id: str) -> PastNote:
        """The note of that ID. Raises NoteNotFound when there was none then, or it had expired or been forgotten."""
        found = self._fold.by_id.get(note_id)
        if found is None or not self._is_live(found):
            raise NoteNotFound(note_id)
        return await self._opened(found)

    async def find(self, key: str) -> PastNote | None:
        """The note that the key meant then, or None."""
        found = self._fold.find(check_key(key))
        return await self._opened(found) if found is not None and self._is_live(found) else None

    async def notes(self, *, tags: Iterable[str] = (), author: str | None = None) -> AsyncGenerator[PastNote]:
        """The notes that lived then, the newest first: those that have all the tags, and are the author's."""
        for found in self._newest(frozenset(tags), author):
            yield await self._opened(found)

    async def search(
        self, text: str, *, tags: Iterable[str] = (), author: str | None = None, limit: int = 10
    ) -> Found:  # fmt: skip
        """The notes that lived then and have words of the text, as `search` finds them; of the newest thousand."""
        listed = self._newest(frozenset(tags), author)
        hits: list[Hit] = []
        for note in listed[:LOOK_AT]:
            raw = None if note.record.form == "bytes" else await self._run.content(note.record.digest)
            hits.append(Hit(note.record, None if raw is None else raw[:READ_BYTES].decode(errors="ignore")))
        return await best_of(text, hits, limit, complete=len(listed) <= LOOK_AT)

    async def state(self, actor: Actor, key: str) -> object:
        """The state that a keyed actor had for that key. Raises SettingsError for an actor without state."""
        from roost.streams import decode

        if actor.state is None:
            raise SettingsError(f"{actor.name} keeps no state")
        _, state = adapter_of_state(actor)
        async with aclosing(all_events(self._run)) as events:
            async for event in events:
                if event.subject == f"actor/{actor.name}/{key}" and order_of(event) <= self._place:
                    state = actor.evolve(state, decode(event))
        return state

    def __len__(self) -> int:
        """How many notes lived then."""
        return len(self._newest(frozenset(), None))

    def _is_live(self, note: ListedNote) -> bool:
        return note.is_live(self._place[0])

    def _newest(self, tags: frozenset[str], author: str | None) -> list[ListedNote]:
        listed = [
            note
            for note in self._fold
            if self._is_live(note) and tags <= set(note.record.tags) and author in (None, note.record.author)
        ]
        return sorted(listed, key=lambda note: (note.position.ms, note.position.seq), reverse=True)

    async def _opened(self, note: ListedNote) -> PastNote:
        mark: Mark = "live" if note.is_live(now_ms()) else "expired"
        raw = None if note.id in self._forgotten else await self._run.content(note.record.digest)
        return PastNote(
            note.record, note.position, mark if raw is not None else "forgotten", raw, note.deadline_ms, note.work
        )


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


def _note_of(event: Event) -> str | None:
    try:
        return optional_text(data_of(event), "note")
    except OddData:
        return None
