"""A part of a row's key: a name, whoever wrote it, as short as a key needs it, and without what parts keys."""

from __future__ import annotations

from hashlib import blake2b

MAX_BYTES = 200


def part(name: str | None, parting: str = "\t") -> str:
    """The name itself, as nearly all are; of one that is longer, or has a character that parts, its beginning and a
    digest, so that no two names share a row."""
    if not name:
        return ""
    stored = name.encode(errors="surrogatepass")
    if len(stored) <= MAX_BYTES and not any(character in name for character in parting):
        return name
    plain = stored[: MAX_BYTES - 20].decode(errors="ignore").translate({ord(each): " " for each in parting})
    return f"{plain}…{blake2b(stored, digest_size=8).hexdigest()}"


def note_part(note: str) -> str:
    """Of a note's ID in a key that goes on after it: whoever writes to the log can give an ID with a slash."""
    return part(note, "\t/")
