"""Contents of notes, looked at for people: no read of an agent, so nothing is logged."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from roost.actors.past import server_ms
from roost.actors.searching.found import Found, Hit
from roost.actors.searching.newest import READ_BYTES, best_of
from roost.streams import Log, NoteRecord, Shard
from roost.streams.contents import beginning_of, find_opened
from roost.streams.every_shard import shard_of_note
from roost.streams.together import together

from .annals.note_listing import ListedThen

Why = Literal["", "expired", "forgotten", "gone"]
AT_ONCE = 50
LAST_EVENTS = 200
"""Of a note, among which it is looked for whether it was forgotten: after that, nobody reads it any more."""
MOST_ARCHIVED = 16 * 1024 * 1024
READABLE = 0.9
"""Share of characters of stored bytes that must be readable to be shown as text."""


@dataclass(frozen=True, slots=True)
class Looked:
    """The beginning of a content, as it is stored; None where there is none to show, and `why`. `since`: the note has
    expired since the moment that is shown."""

    raw: bytes | None
    why: Why = ""
    since: bool = False


async def look_into(shards: Sequence[Shard], note: ListedThen, most: int, *, past: bool) -> Looked:
    """The first bytes of a note. Of one that has gone there are none, unless it is looked at as of a moment when it
    lived and has only expired since. Raises ServerUnavailable, and the errors of an archive."""
    shard = shard_of_note(shards, note.id)
    raw = await beginning_of(shard, note.digest, most)
    if await _is_live(shard, note.id):  # looked at last: what was forgotten meanwhile is not shown
        return Looked(raw[:most]) if raw or not note.size else Looked(None, "gone")
    if not past:
        return Looked(None, "gone")
    if not raw and 0 < note.size <= MOST_ARCHIVED:
        raw = (await find_opened(shards, note.digest) or b"")[:most]
    for each in shards:  # one with a key is told of in that key's shard, too
        told = await Log(each).subject(f"note/{note.id}", limit=LAST_EVENTS)
        if any(event.type == "note.forgotten" for event in told):
            return Looked(None, "forgotten")
    return Looked(raw[:most], since=True) if raw or not note.size else Looked(None, "gone")


async def _is_live(shard: Shard, note_id: str) -> bool:
    record, deadline = await shard.command("HMGET", shard.keys.key("note", note_id), "record", "deadline")
    return record is not None and not (deadline and int(deadline) <= await server_ms(shard))


async def search_contents(shards: Sequence[Shard], notes: Sequence[ListedThen], words: str, complete: bool) -> Found:
    """Those of these notes that have words in their key, tags or the first 8 KiB, best first. Of what no longer lives,
    nothing is read. Raises ServerUnavailable."""
    hits: list[Hit] = []
    for first in range(0, len(notes), AT_ONCE):
        hits += await together(*[_begun(shards, note) for note in notes[first : first + AT_ONCE]])
    return await best_of(words, hits, len(hits), complete=complete)


async def _begun(shards: Sequence[Shard], note: ListedThen) -> Hit:
    record = NoteRecord(id=note.id, key=f"{note.key or ''} {note.title}", tags=note.tags)
    if note.form == "bytes" or note.fate != "kept":
        return Hit(record, None)
    looked = await look_into(shards, note, READ_BYTES, past=False)
    return Hit(record, None if looked.raw is None else looked.raw.decode(errors="ignore"))


def readable(form: str, raw: bytes, *, whole: bool) -> str | None:
    """A content as text; None for what is none. What is no UTF-8 in it becomes visible escapes."""
    if form == "json" and whole:
        try:
            return json.dumps(json.loads(raw), ensure_ascii=False, indent=2)
        except (ValueError, RecursionError):
            pass  # as it is
    if not whole:
        raw = _whole_characters(raw)
    if form == "bytes":
        text = raw.decode(errors="replace")
        odd = text.count("�") + sum(letter < " " and letter not in "\t\r\n" for letter in text)
        if odd > len(text) * (1 - READABLE):
            return None
    return raw.decode(errors="backslashreplace")


def _whole_characters(raw: bytes) -> bytes:
    """Without a character at the end that is cut in two."""
    for back in range(1, min(4, len(raw)) + 1):
        letter = raw[-back]
        if letter & 0xC0 == 0x80:
            continue
        length = 1 if letter < 0x80 else 2 if letter < 0xE0 else 3 if letter < 0xF0 else 4
        return raw[:-back] if length > back else raw
    return raw
