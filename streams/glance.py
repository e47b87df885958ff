"""A glance: the records of notes and how their contents begin, for who ranks or lists them. Nobody reads them by it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

import orjson

from .contents import beginning_of
from .note import NoteRecord
from .shard import Shard
from .together import together

AT_ONCE = 100
"""Notes in one call at most."""
BYTES_AT_ONCE = 512 * 1024
"""Of contents in one call, after which the next is made: one call must not keep many others waiting."""


@dataclass(frozen=True, slots=True)
class Glimpse:
    """A note's record, its deadline by the server's clock, when it was written, and its first bytes, opened
    where they are sealed; none of what nobody can open any more."""

    record: NoteRecord
    deadline_ms: int | None
    written_ms: int
    begins: bytes


async def glance(
    shard: Shard, note_ids: Sequence[str], first: int, *, which: Literal["live", "there"] = "live"
) -> list[Glimpse | None]:
    """For each ID what the server has of it now, or None. Past its deadline a note is still `there` until that is an
    event. Raises ServerUnavailable."""
    found: list[Glimpse | None] = []
    while len(found) < len(note_ids):
        some = note_ids[len(found) : len(found) + AT_ONCE]
        answer = await shard.run("glance", first, BYTES_AT_ONCE, which, *some)
        found += await together(*[_opened(shard, _seen(each), first) for each in answer])
    return found


async def _opened(shard: Shard, seen: Glimpse | None, first: int) -> Glimpse | None:
    """What is sealed is opened as a whole, or not at all."""
    if seen is None or not seen.record.about or first <= 0:
        return seen
    if len(seen.begins) == seen.record.size:
        raw = await shard.keyholder.opened(seen.begins) or b""
    else:
        raw = await beginning_of(shard, seen.record.digest, first)
    return replace(seen, begins=raw[:first])


def _seen(told: list[bytes] | bytes) -> Glimpse | None:
    if isinstance(told, bytes):
        return None
    body, deadline, entry, begins = told
    record = NoteRecord.from_data(orjson.loads(body))
    written = int(entry.partition(b"-")[0]) if entry else record.written_ms
    return Glimpse(record, int(deadline) if deadline else None, written, begins)
