"""The notes that live now, as the server's records tell. No content is read, so nothing is logged."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Sequence
from dataclasses import dataclass
from datetime import timedelta

import orjson

from roost.projections.notes import record_of
from roost.projections.recorded import OddData
from roost.streams import NoteNotFound, NoteRecord, Notes, RoostError, Shard

from .newest_first import newest_first

AT_ONCE = 50
"""Records that are asked for at the same time."""


@dataclass(frozen=True, slots=True)
class LiveNote:
    """A note's record. `age` and `remaining` are by the server's clock; without a deadline nothing is remaining."""

    record: NoteRecord
    age: timedelta
    remaining: timedelta | None


@dataclass(frozen=True, slots=True)
class NoteFilter:
    """Takes notes whose key begins with `prefix`, that have all the tags, that are the author's and the run's.

    The run may be given by its beginning.
    """

    prefix: str | None = None
    tags: tuple[str, ...] = ()
    author: str | None = None
    run: str | None = None

    def takes(self, record: NoteRecord) -> bool:
        if self.prefix is not None and not (record.key or "").startswith(self.prefix):
            return False
        if self.author is not None and record.author != self.author:
            return False
        if self.run is not None and not (record.run or "").startswith(self.run):
            return False
        return set(self.tags) <= set(record.tags)


async def list_notes(shard: Shard, wanted: NoteFilter) -> AsyncGenerator[LiveNote]:
    """Live notes, the newest first. The log is read only as far back as the caller goes on."""
    async for page in newest_first(shard):
        found: list[NoteRecord] = []
        for event in page:
            if event.type != "note.written":
                continue
            try:
                record = record_of(event)
            except OddData:
                continue  # written by something that is not Roost; the server has no such note
            if wanted.takes(record):
                found.append(record)
        for first in range(0, len(found), AT_ONCE):
            for note in await find_live(shard, [record.id for record in found[first : first + AT_ONCE]]):
                if note is not None:
                    yield note


async def find_live(shard: Shard, note_ids: Sequence[str]) -> list[LiveNote | None]:
    """For each ID the note as it is now, or None when it has expired, was forgotten, or never was."""
    seconds, micros = await shard.command("TIME")
    now_ms = int(seconds) * 1000 + int(micros) // 1000
    stored: list[list[bytes | None]] = await asyncio.gather(
        *[
            shard.command("HMGET", shard.keys.key("note", note_id), "record", "deadline", "entry")
            for note_id in note_ids
        ]
    )
    return [_live(each, now_ms) for each in stored]


def _live(stored: list[bytes | None], now_ms: int) -> LiveNote | None:
    record, deadline, entry = stored
    if record is None:
        return None
    remaining = timedelta(milliseconds=int(deadline) - now_ms) if deadline else None
    if remaining is not None and remaining <= timedelta(0):
        return None  # past its deadline, whether or not it has been removed yet
    read = NoteRecord.from_data(orjson.loads(record))
    written_ms = int(entry.partition(b"-")[0]) if entry else read.written_ms
    return LiveNote(read, timedelta(milliseconds=max(0, now_ms - written_ms)), remaining)


async def look_up(shards: Sequence[Shard], text: str) -> str:
    """The ID of the live note meant by an ID, by the beginning of one, or by a key. Raises NoteNotFound."""
    for shard in shards:  # a key has one of them
        by_key: bytes | None = await shard.command("HGET", shard.keys.key("keys"), text)
        if by_key is not None:
            return by_key.decode()
    found = [await Notes(shard).resolve(text) for shard in shards] if text else []
    ids = [note_id for note_id in found if note_id is not None]
    if len(ids) > 1:
        raise RoostError(f"{text!r} begins the IDs of {len(ids)} notes: give more digits")
    if not ids:
        raise NoteNotFound(text)
    return ids[0]
