"""The notes that fit some words, by the index on this machine. They are looked at for people, so nothing is logged."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from roost.actors.searching.finder import Finder
from roost.actors.searching.place import Place
from roost.actors.searching.question import Question
from roost.streams.every_shard import shard_of_note

from .live_notes import LiveNote, find_live
from .reading_progress import show_reading

if TYPE_CHECKING:
    from pathlib import Path

    from roost.actors.searching.found import Found, Hit
    from roost.streams import Connection, Shard


@dataclass(frozen=True, slots=True)
class FoundNote:
    """A hit, and how its note stands now."""

    hit: Hit
    note: LiveNote


async def find_notes(
    shards: Sequence[Shard], home: Path, connection: Connection, question: Question
) -> tuple[Found, list[FoundNote]]:
    """What was found, and of that what still lives, the best first. The first time, the log is indexed: that is shown.

    Raises ServerUnavailable."""
    finder = Finder(shards, Place.of(home, connection.url))
    try:
        with show_reading() as reading:
            reading.begin("indexing", await events_in(shards))
            found = await finder.find(question, within=None, progress=reading.add)
    finally:
        finder.close()
    notes: list[FoundNote] = []
    for hit in found:
        [note] = await find_live(shard_of_note(shards, hit.id), [hit.id])
        if note is not None:
            notes.append(FoundNote(hit, note))
    return found, notes


async def make_anew(shards: Sequence[Shard], home: Path, connection: Connection) -> list[dict[str, Any]]:
    """Throw the indexes of a flock away that this machine has, and make them of the log. Raises RoostError."""
    from time import monotonic

    from roost.actors.searching.place import IndexUnusable
    from roost.streams import RoostError

    rows: list[dict[str, Any]] = []
    for shard in shards:
        finder, begun, read = Finder([shard], Place.of(home, connection.url)), monotonic(), list[int]()
        try:
            with show_reading() as reading:
                reading.begin("search", await events_in([shard]))

                def count(events: int, reading: Any = reading, read: list[int] = read) -> None:
                    reading.add(events)
                    read.append(events)

                done = await finder.catch_up(anew=True, progress=count, patience=timedelta(minutes=1))
        except IndexUnusable as error:
            raise RoostError(f"there can be no index: {error}") from error
        finally:
            finder.close()
        if not done:
            raise RoostError("another process has been at the index for a minute: try again when it has ended")
        rows.append(
            {"name": "search", "shard": shard.number, "events": sum(read), "seconds": round(monotonic() - begun, 3)}
        )
    return rows


async def events_in(shards: Sequence[Shard]) -> int:
    return sum([int(await shard.command("XLEN", shard.keys.log)) for shard in shards])
