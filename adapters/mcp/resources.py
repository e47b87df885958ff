"""Notes as resources: the newest in a list, all of them by address."""

from __future__ import annotations

import base64

from mcp import types
from mcp.shared.exceptions import MCPError

from roost.actors import Flock
from roost.actors.searching.newest import newest_notes
from roost.streams import Note, NoteNotFound, NoteRecord

from .content import BY_KEY, SCHEME, media_type_of, named_by, uri_of_note

LISTED = 50
MAX_BYTES = 1024 * 1024
"""Of a note that is read as a resource, which cannot be read in parts."""

TEMPLATES = [
    types.ResourceTemplate(
        name="note", title="A note by its ID", uri_template=f"{SCHEME}{{id}}",
        description="A note of the flock. It never changes; subscribe to hear when it is gone.",
    ),
    types.ResourceTemplate(
        name="note of a key", title="A note by its key", uri_template=f"{BY_KEY}{{+key}}",
        description="The note that a key means now. Subscribe to hear when another takes its place.",
    ),
]  # fmt: skip


async def list_notes(flock: Flock) -> list[types.Resource]:
    """The newest notes, without what they hold."""
    found: list[types.Resource] = []
    async for record in newest_notes(flock.shard):
        if record is not None:
            found.append(_resource(record))
        if record is None or len(found) == LISTED:
            break
    return found


def _resource(record: NoteRecord) -> types.Resource:
    by = f"by {record.author}" if record.author else "by nobody known"
    tags = f", tagged {', '.join(record.tags)}" if record.tags else ""
    return types.Resource(
        uri=uri_of_note(record.id), name=record.key or record.id, description=f"A note {by}{tags}",
        mime_type=media_type_of(record), size=record.size,
    )  # fmt: skip


async def read_note(flock: Flock, uri: str) -> tuple[Note, types.ReadResourceResult]:
    """The note at an address, the read logged. Raises MCPError when there is none, or when it is too large."""
    target = named_by(uri)
    if target is None:
        raise _missing(uri, f"{uri[:100]!r} is no note's address: they are note://ID and note://key/KEY")
    name, is_key = target
    try:
        note = await flock.memory.find(name) if is_key else await flock.memory.get(name)
    except NoteNotFound as error:
        raise _missing(uri, str(error)) from error
    if note is None:
        raise _missing(uri, f"no note has the key {name!r}: none was written, or it has expired or was forgotten")
    if note.size > MAX_BYTES:
        raise _missing(
            uri, f"the note has {note.size:,} bytes, a resource up to {MAX_BYTES:,}: read it in parts by recall"
        )
    return note, types.ReadResourceResult(contents=[_contents(uri, note)])


def _contents(uri: str, note: Note) -> types.TextResourceContents | types.BlobResourceContents:
    media_type = media_type_of(note.record)
    if note.record.form == "bytes":
        return types.BlobResourceContents(uri=uri, mime_type=media_type, blob=base64.b64encode(note.raw).decode())
    return types.TextResourceContents(uri=uri, mime_type=media_type, text=note.text)


def _missing(uri: str, message: str) -> MCPError:
    return MCPError(code=types.INVALID_PARAMS, message=message, data={"uri": uri[:1000]})
