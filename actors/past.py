"""Memory as it was: the notes of a flock as of a position in its log, to be read and never written."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal

import orjson

from roost.projections.notes import ListedNote, NotesFold
from roost.projections.notes_then import fold_until, forgotten_since
from roost.streams import Log, NoteNotFound, NoteRecord, Position, SettingsError, Shard, decode
from roost.streams.contents import find_content
from roost.streams.merging import MergedLog, Since
from roost.streams.notes import check_key
from roost.streams.placement import Placement

from .actor import Actor
from .search import LOOK_AT, READ_BYTES, Found, Hit, best_of
from .state import adapter_of_state

Mark = Literal["live", "expired", "forgotten"]
END = 2**63
"""Behind all events of a millisecond."""
AT_ONCE = 50


@dataclass(frozen=True, slots=True)
class PastNote:
    """A note that was live then. `mark` is what has become of it since; of one that was forgotten there is no content.

    `raw` is its stored form; `deadline_ms` and `position` are by the server's clock.
    """

    record: NoteRecord
    position: Position
    mark: Mark
    raw: bytes | None
    deadline_ms: int | None = None
    work: dict[str, Any] | None = None

    @property
    def id(self) -> str:
        return self.record.id

    @property
    def key(self) -> str | None:
        return self.record.key

    @property
    def content(self) -> Any:
        """What was put; None when it was forgotten."""
        if self.raw is None:
            return None
        match self.record.form:
            case "text":
                return self.raw.decode()
            case "json":
                return orjson.loads(self.raw)
            case _:
                return self.raw

    @property
    def text(self) -> str | None:
        """The content as text; None when it was forgotten."""
        return None if self.raw is None else self.raw.decode(errors="replace")


class PastMemory:
    """What `Flock.at` answers. Reading it leaves no trace in the log."""

    def __init__(self, shards: Sequence[Shard], positions: Sequence[Position], folds: Sequence[NotesFold]) -> None:
        self._shards = list(shards)
        self._placement = Placement(len(shards))
        self._folds = list(folds)
        self._forgotten: list[set[str] | None] = [None] * len(shards)
        self.positions = tuple(positions)
        """As of where, for each shard."""

    async def get(self, note_id: str) -> PastNote:
        """The note of that ID. Raises NoteNotFound when there was none then, or it had expired or been forgotten."""
        number = self._placement.of_note(note_id) if len(self._shards) > 1 else 0
        found = self._live(number, self._folds[number].by_id.get(note_id))
        if found is None:
            raise NoteNotFound(note_id)
        return await self._opened(number, found)

    async def find(self, key: str) -> PastNote | None:
        """The note that the key meant then, or None."""
        number = self._placement.of_key(check_key(key)) if len(self._shards) > 1 else 0
        found = self._live(number, self._folds[number].find(key))
        return None if found is None else await self._opened(number, found)

    async def notes(self, *, tags: Iterable[str] = (), author: str | None = None) -> AsyncGenerator[PastNote]:
        """The notes that lived then, the newest first: those that have all the tags, and are the author's."""
        for number, found in self._newest(frozenset(tags), author):
            yield await self._opened(number, found)

    async def search(
        self, text: str, *, tags: Iterable[str] = (), author: str | None = None, limit: int = 10
    ) -> Found:  # fmt: skip
        """The notes that lived then and have words of the text, as `search` finds them; of the newest thousand."""
        listed = self._newest(frozenset(tags), author)
        hits: list[Hit] = []
        for first in range(0, min(len(listed), LOOK_AT), AT_ONCE):
            some = listed[first : min(first + AT_ONCE, LOOK_AT)]
            hits += await asyncio.gather(*[self._begins(found) for _, found in some])
        return await best_of(text, hits, limit, complete=len(listed) <= LOOK_AT)

    async def state(self, actor: Actor, key: str) -> Any:
        """The state that a keyed actor had for that key. Raises SettingsError for an actor without state."""
        if actor.state is None:
            raise SettingsError(f"{actor.name} keeps no state")
        _, state = adapter_of_state(actor)
        log = Log(self._shards[0]) if len(self._shards) == 1 else MergedLog(self._shards)
        for event in await log.subject(f"actor/{actor.name}/{key}"):
            at = event.position
            if at is not None and at <= self.positions[at.shard]:
                state = actor.evolve(state, decode(event))
        return state

    def __len__(self) -> int:
        """How many notes lived then."""
        return len(self._newest(frozenset(), None))

    def _newest(self, tags: frozenset[str], author: str | None) -> list[tuple[int, ListedNote]]:
        listed = [
            (number, note)
            for number, fold in enumerate(self._folds)
            for note in fold
            if self._live(number, note) is not None
            and tags <= set(note.record.tags)
            and (author is None or note.record.author == author)
        ]
        listed.sort(key=lambda each: (each[1].position.ms, each[1].position.seq), reverse=True)
        return listed

    def _live(self, number: int, note: ListedNote | None) -> ListedNote | None:
        return note if note is not None and note.is_live(self.positions[number].ms) else None

    async def _begins(self, note: ListedNote) -> Hit:
        raw = None if note.record.form == "bytes" else await find_content(self._shards, note.record.digest)
        return Hit(note.record, None if raw is None else raw[:READ_BYTES].decode(errors="ignore"))

    async def _opened(self, number: int, note: ListedNote) -> PastNote:
        mark = await self._mark(number, note)
        raw = None if mark == "forgotten" else await find_content(self._shards, note.record.digest)
        return PastNote(note.record, note.position, mark, raw, note.deadline_ms, note.work)

    async def _mark(self, number: int, note: ListedNote) -> Mark:
        """What has become of it since: the log's own words, since another note may have the same content."""
        forgotten = self._forgotten[number]
        if forgotten is None:
            forgotten = self._forgotten[number] = await forgotten_since(self._shards[number], self.positions[number])
        if note.id in forgotten:
            return "forgotten"
        shard = self._shards[number]
        if note.deadline_ms is None:
            return "live"
        seconds, micros = await shard.command("TIME")
        return "live" if note.is_live(int(seconds) * 1000 + int(micros) // 1000) else "expired"


async def places_of(shards: Sequence[Shard], position: Since | datetime) -> tuple[Position, ...]:
    """Where each shard stood. By a position of one shard, the others stood where they had come to by that time.

    Raises SettingsError for what is no position, for a shard that is not there, and for what is still to come.
    """
    if isinstance(position, datetime):
        if position.tzinfo is None:
            raise SettingsError("a time needs its time zone: datetime.now(UTC), or .astimezone()")
        ms = int(position.timestamp() * 1000)
        await _check_ahead(shards, ms)
        return tuple(Position(shard.number, ms, END) for shard in shards)
    if isinstance(position, str):
        position = [Position.parse(text.strip()) for text in position.split(",")]
    given = [position] if isinstance(position, Position) else list(position or ())
    if not given or any(each.shard >= len(shards) for each in given):
        raise SettingsError(f"{position!s} is no position of a flock with {len(shards)} shards")
    await _check_ahead(shards, max(each.ms for each in given))
    own = {each.shard: each for each in given}
    latest = max(each.ms for each in given)
    return tuple(own.get(shard.number) or Position(shard.number, latest, END) for shard in shards)


async def _check_ahead(shards: Sequence[Shard], ms: int) -> None:
    seconds, micros = await shards[0].command("TIME")
    if ms > int(seconds) * 1000 + int(micros) // 1000 + 1000:
        raise SettingsError("that is still to come: name a position or a time that has been")


async def memory_at(
    shards: Sequence[Shard], position: Since | datetime, known: dict[int, NotesFold] | None = None
) -> PastMemory:
    """The memory of a flock as it was. `known` keeps the folds of the last call, so that a later place goes on from
    there."""
    places = await places_of(shards, position)
    folds: list[NotesFold] = []
    for shard, place in zip(shards, places, strict=True):
        before = None if known is None else known.get(shard.number)
        usable = before is not None and before.position is not None and before.position <= place
        fold = await fold_until(shard, place, before.copy() if before is not None and usable else None)
        folds.append(fold)
        if known is not None:
            known[shard.number] = fold
    return PastMemory(shards, places, folds)
