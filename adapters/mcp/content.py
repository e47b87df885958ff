"""A note's content as clients get it: facts, slices of bounded length, media types, addresses."""

from __future__ import annotations

import base64
import re
from datetime import UTC, datetime
from mimetypes import guess_type
from urllib.parse import quote, unquote

from mcp import types

from roost.streams import Note, NoteRecord

from .answers import NoteFacts, Slice

SCHEME = "note://"
BY_KEY = f"{SCHEME}key/"
LAST_MS = 253_402_300_799_000.0
"""The end of the year 9999."""
MEDIA_TYPE = re.compile(r"(application|audio|font|image|model|text|video)/[A-Za-z0-9.+-]{1,80}")


def uri_of_note(note_id: str) -> str:
    return f"{SCHEME}{note_id}"


def uri_of_key(key: str) -> str:
    return f"{BY_KEY}{quote(key, safe='/')}"


def named_by(uri: str) -> tuple[str, bool] | None:
    """What a URI names: an ID (False) or a key (True); None if it is no note's."""
    if uri.startswith(BY_KEY) and len(uri) > len(BY_KEY):
        return unquote(uri.removeprefix(BY_KEY)), True
    rest = uri.removeprefix(SCHEME) if uri.startswith(SCHEME) else ""
    return (unquote(rest), False) if rest and "/" not in rest else None


def media_type_of(record: NoteRecord) -> str:
    """A tag such as `image/png` says it; else what the key ends in; else the form of the content."""
    for tag in record.tags:
        if MEDIA_TYPE.fullmatch(tag):
            return tag
    if record.form == "json":
        return "application/json"
    guessed = guess_type(record.key, strict=True)[0] if record.key else None
    if record.form == "bytes":
        return guessed or "application/octet-stream"
    return guessed if guessed is not None and guessed.startswith("text/") else "text/plain"


def facts_of(record: NoteRecord) -> NoteFacts:
    return NoteFacts(
        id=record.id, uri=uri_of_note(record.id), key=record.key, author=record.author, run=record.run,
        tags=list(record.tags), sources=list(record.sources), trust=record.trust,
        media_type=media_type_of(record), size_bytes=record.size, written_at=time_of(record.written_ms),
    )  # fmt: skip


def time_of(ms: float) -> str:
    """Milliseconds since 1970 as people and models read them, in UTC."""
    within = min(max(ms, 0.0), LAST_MS)  # whoever reaches the log can write any number
    return datetime.fromtimestamp(within / 1000, UTC).isoformat(timespec="seconds").replace("+00:00", "Z")


def slice_of(note: Note, offset: int, limit: int) -> tuple[Slice, types.EmbeddedResource | None]:
    """At most `limit` characters from `offset` on; of binary content as many bytes, as a resource to embed."""
    if note.record.form == "bytes":
        part = note.raw[offset : offset + limit]
        blob = types.BlobResourceContents(
            uri=uri_of_note(note.id), mime_type=media_type_of(note.record), blob=base64.b64encode(part).decode()
        )
        resource = types.EmbeddedResource(resource=blob)
        return _slice(note, "bytes", offset, len(part), len(note.raw), None), resource
    text = note.text
    part_of = text[offset : offset + limit]
    return _slice(note, "characters", offset, len(part_of), len(text), part_of), None


def _slice(note: Note, unit: str, offset: int, length: int, total: int, text: str | None) -> Slice:
    end = offset + length
    return Slice(
        note=facts_of(note.record), unit="bytes" if unit == "bytes" else "characters", offset=offset, total=total,
        next_offset=end if end < total else None, text=text,
    )  # fmt: skip
