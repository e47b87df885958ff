"""Memory as it was: the notes of a flock as of a position in its log, to be read and never written."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Container, Iterable, Sequence
from contextlib import aclosing
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal, Protocol

from roost.projections.notes import ListedNote, NotesFold
from roost.projections.notes_then import ForgottenSince, fold_until
from roost.streams import Event, Log, NoteNotFound, NoteRecord, Position, SettingsError, Shard, decode
from roost.streams.contents import find_opened
from roost.streams.merging import MergedLog, Since
from roost.streams.note import content_of
from roost.streams.notes import check_key
from roost.streams.placement import Placement

from .actor import Actor
from .searching.found import Found, Hit
from .searching.newest import LOOK_AT, READ_BYTES, best_of
from .state import adapter_of_state

Mark = Literal["live", "expired", "forgotten"]
END = 2**63
"""Behind all events of a millisecond."""
AT_ONCE = 50
CLOCKS_APART_MS = 1000
"""By so much the clock of the program may be ahead of the server's: its present is no time to come."""


@dataclass(frozen=True, slots=True)
class PastNote:
    """A note that was live then. `mark` is what has become of it since; of one that was forgotten there is no content,
    nor of one whose content has left the server without an archive.

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
        return None if self.raw is None else content_of(self.record.form, self.raw)

    @property
    def text(self) -> str | None:
        """The content as text; None when it was forgotten."""
        return None if self.raw is None else self.raw.decode(errors="replace")


class Past(Protocol):
    """Where a past memory is kept: a flock's shards, or the record of one run."""

    def part_of_note(self, note_id: str) -> int:
        """The number of the part that has a note."""
        ...

    def part_of_key(self, key: str) -> int:
        """The number of the part that has a key."""
        ...

    async def content(self, digest: str) -> bytes | None:
        """None when it is nowhere any more."""
        ...

    async def forgotten(self, part: int) -> Container[str]:
        """The notes that were forgotten between then and this moment."""
        ...

    async def now_ms(self) -> int:
        """What the clock that deadlines go by tells now."""
        ...

    def about(self, subject: str) -> AsyncGenerator[Event]:
        """The events of a subject up to then."""
        ...


class PastMemory:
    """What `Flock.at` and `Replay.at` answer. Reading it leaves no trace in the log."""

    def __init__(self, past: Past, folds: Sequence[NotesFold], times_ms: Sequence[int]) -> None:
        self._past = past
        self._folds = list(folds)
        self._times_ms = list(times_ms)
        """The moment at which each part is looked at: deadlines are judged by it."""

    async def get(self, note_id: str) -> PastNote:
        """The note of that ID. Raises NoteNotFound when there was none then, or it had expired or been forgotten."""
        part = self._past.part_of_note(note_id)
        found = self._live(part, self._folds[part].by_id.get(note_id))
        if found is None:
            raise NoteNotFound(note_id)
        return await self._opened(part, found)

    async def find(self, key: str) -> PastNote | None:
        """The note that the key meant then, or None."""
        part = self._past.part_of_key(check_key(key))
        found = self._live(part, self._folds[part].find(key))
        return None if found is None else await self._opened(part, found)

    async def notes(self, *, tags: Iterable[str] = (), author: str | None = None) -> AsyncGenerator[PastNote]:
        """The notes that lived then, the newest first: those that have all the tags, and are the author's."""
        for part, found in self._newest(frozenset(tags), author):
            yield await self._opened(part, found)

    async def search(
        self, text: str, *, tags: Iterable[str] = (), author: str | None = None, limit: int = 10
    ) -> Found:  # fmt: skip
        """The notes that lived then and have words of the text, as `search` finds them; of the newest thousand.
        What was forgotten since is known by its key and tags alone."""
        listed = self._newest(frozenset(tags), author)
        hits: list[Hit] = []
        for first in range(0, min(len(listed), LOOK_AT), AT_ONCE):
            some = listed[first : min(first + AT_ONCE, LOOK_AT)]
            opened = await asyncio.gather(*[self._opened(part, found) for part, found in some])
            hits += [Hit(note.record, _beginning(note)) for note in opened]
        return await best_of(text, hits, limit, complete=len(listed) <= LOOK_AT)

    async def state(self, actor: Actor, key: str) -> Any:
        """The state that a keyed actor had for that key. Raises SettingsError for an actor without state."""
        if actor.state is None:
            raise SettingsError(f"{actor.name} keeps no state")
        _, state = adapter_of_state(actor)
        async with aclosing(self._past.about(f"actor/{actor.name}/{key}")) as events:
            async for event in events:
                state = actor.evolve(state, decode(event))
        return state

    def __len__(self) -> int:
        """How many notes lived then."""
        return len(self._newest(frozenset(), None))

    def _newest(self, tags: frozenset[str], author: str | None) -> list[tuple[int, ListedNote]]:
        listed = [
            (part, note)
            for part, fold in enumerate(self._folds)
            for note in fold
            if self._live(part, note) is not None
            and tags <= set(note.record.tags)
            and (author is None or note.record.author == author)
        ]
        listed.sort(key=lambda each: (each[1].position.ms, each[1].position.seq), reverse=True)
        return listed

    def _live(self, part: int, note: ListedNote | None) -> ListedNote | None:
        return note if note is not None and note.is_live(self._times_ms[part]) else None

    async def _opened(self, part: int, note: ListedNote) -> PastNote:
        """The content first: should the note be forgotten at this moment, the look at the log that follows tells. The
        content itself does not: another note may have the same, and the archive may have it still."""
        raw = await self._past.content(note.record.digest)
        mark: Mark = "live"
        if note.id in await self._past.forgotten(part):
            mark, raw = "forgotten", None
        elif note.deadline_ms is not None and not note.is_live(await self._past.now_ms()):
            mark = "expired"
        return PastNote(note.record, note.position, mark, raw, note.deadline_ms, note.work)


def _beginning(note: PastNote) -> str | None:
    if note.raw is None or note.record.form == "bytes":
        return None
    return note.raw[:READ_BYTES].decode(errors="ignore")


class LoggedPast:
    """A flock's, by its log and its archive."""

    def __init__(self, shards: Sequence[Shard], places: Sequence[Position]) -> None:
        self._shards = list(shards)
        self._placement = Placement(len(shards))
        self._places = list(places)
        self._since = [ForgottenSince(shard, place) for shard, place in zip(shards, places, strict=True)]

    def part_of_note(self, note_id: str) -> int:
        return self._placement.of_note(note_id) if len(self._shards) > 1 else 0

    def part_of_key(self, key: str) -> int:
        return self._placement.of_key(key) if len(self._shards) > 1 else 0

    async def content(self, digest: str) -> bytes | None:
        return await find_opened(self._shards, digest)

    async def forgotten(self, part: int) -> Container[str]:
        return await self._since[part].look()

    async def now_ms(self) -> int:
        return await server_ms(self._shards[0])

    async def about(self, subject: str) -> AsyncGenerator[Event]:
        log = Log(self._shards[0]) if len(self._shards) == 1 else MergedLog(self._shards)
        for event in await log.subject(subject):
            at = event.position
            if at is not None and at <= self._places[at.shard]:
                yield event


async def server_ms(shard: Shard) -> int:
    """The server's clock."""
    seconds, micros = await shard.command("TIME")
    return int(seconds) * 1000 + int(micros) // 1000


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
    if ms > await server_ms(shards[0]) + CLOCKS_APART_MS:
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
    return PastMemory(LoggedPast(shards, places), folds, [place.ms for place in places])
