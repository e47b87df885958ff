"""Edits: the notes that a fork has instead of others."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from hashlib import sha256
from typing import Any

import orjson

from roost.streams import Note, SettingsError

from ..edited import Edit
from ..flock import Flock
from ..memory import fingerprint
from .origin import OriginFold

AUTHOR = "fork"


async def write_edits(
    flock: Flock, origin: OriginFold, contents: Mapping[str, bytes], before: Sequence[Edit]
) -> tuple[Edit, ...]:
    """Put the new contents as notes: their IDs, with what the origin had edited before. Raises NoteNotFound,
    SettingsError for content that is not of the note's form."""
    edits: list[Edit] = list(before)
    async with flock.acting(AUTHOR):
        for note_id, raw in contents.items():
            note = await flock.memory.get(note_id)
            content = content_of(note, raw)
            key = fingerprint("edit", note.id, sha256(raw).hexdigest())
            known = await flock.memory.find(key)
            put = known or await flock.memory.put(content, key=key, tags=note.record.tags, sources=[note.id])
            edits = [replace(edit, instead=put.id) if edit.instead == note.id else edit for edit in edits]
            edits = [edit for edit in edits if edit.note != note.id]
            edits.append(Edit(note.id, put.id, note.key))
    return tuple(edits)


def content_of(note: Note, raw: bytes) -> Any:
    """New content, of the form that the note has. Raises SettingsError."""
    form = note.record.form
    try:
        if form == "json":
            return orjson.loads(raw)
        return raw if form == "bytes" else raw.decode()
    except ValueError as error:
        wanted = "JSON" if form == "json" else "text in UTF-8"
        raise SettingsError(
            f"the note {note.id} holds {wanted}, and what stands in its place must too: {error}"
        ) from None
