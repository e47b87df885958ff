"""Reading that believes no one: a note is what the event that wrote it says, or it is refused."""

from __future__ import annotations

import asyncio
from hashlib import sha256

from roost.streams import ContentChanged, Log, Note, NoteRecord, Shard
from roost.streams.event import DamagedEvent

from .sealing import sealed_again

LARGE = 1024 * 1024
"""Bytes from which on a digest is made in a thread."""


async def check_note(shard: Shard, note: Note) -> Note:
    """The note. Its content must have the digest that its record says, and its record must be what the log has, or its
    archive. Raises ContentChanged, ServerUnavailable."""
    raw = note.raw if not note.record.about else await sealed_again(shard, note)
    hashed = sha256(raw) if len(raw) < LARGE else await asyncio.to_thread(sha256, raw)
    if hashed.hexdigest() != note.record.digest or len(raw) != note.record.size:
        raise ContentChanged(note.id, f"its content has the SHA-256 {hashed.hexdigest()}, not {note.record.digest}")
    if note.position is None:
        return note  # it has been written by this process
    try:
        event = await Log(shard).at(note.position)
        told = None if event is None or event.type != "note.written" else NoteRecord.from_data(event.data)
    except (DamagedEvent, ValueError, KeyError, TypeError):
        told = None
    if told is None:
        raise ContentChanged(note.id, f"the log has no event at {note.position} that wrote it")
    if told != note.record:
        raise ContentChanged(note.id, f"its record is not what the event at {note.position} says")
    return note
