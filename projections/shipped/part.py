"""A part of a row's key: a name, whoever wrote it, as short as a key needs it, and without what parts keys."""

from __future__ import annotations

from hashlib import blake2b

MAX_BYTES = 200


def part(name: str | None) -> str:
    """The name itself, as nearly all are; of a longer one its beginning and a digest."""
    if not name:
        return ""
    plain = name.replace("\t", " ")
    stored = plain.encode(errors="surrogatepass")
    if len(stored) <= MAX_BYTES:
        return plain
    digest = blake2b(stored, digest_size=8).hexdigest()
    return f"{stored[: MAX_BYTES - 20].decode(errors='ignore')}…{digest}"
