"""A segment: lines of events in one compressed file."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from hashlib import sha256
from typing import Any

from .line import DamagedLine, Entry, entry_of
from .manifest import DamagedArchive, SegmentEntry

MAX_EVENTS = 20_000
MAX_BYTES = 16 * 1024 * 1024
LARGEST = 256 * 1024 * 1024
"""Bytes that a file may have when it is unpacked: a segment has less, and a file made to fill the memory has more."""
LEVEL = 6


def pack(content: bytes) -> bytes:
    """Compressed, with its size and a checksum of its own."""
    return bytes(_library().ZstdCompressor(level=LEVEL, write_checksum=True).compress(content))


def unpack(packed: bytes, where: str) -> bytes:
    """Raises DamagedArchive."""
    library = _library()
    try:
        size = library.frame_content_size(packed)
        if not 0 <= size <= LARGEST:
            raise DamagedArchive(f"{where} would unpack to {size:,} bytes: no file of an archive does")
        return bytes(library.ZstdDecompressor().decompress(packed, max_output_size=LARGEST))
    except library.ZstdError as error:
        raise DamagedArchive(f"{where} is damaged: {error}") from error


def check_digest(packed: bytes, entry_digest: str, where: str) -> None:
    """Raises DamagedArchive when a file is not the one that was written."""
    found = sha256(packed).hexdigest()
    if found != entry_digest:
        digests = f"SHA-256 {found[:12]}…, not {entry_digest[:12]}…"
        raise DamagedArchive(f"{where} is not as it was written ({digests}): put a copy of it back")


def entries_in(packed: bytes, segment: SegmentEntry, where: str) -> list[Entry]:
    """The events of a segment's file, which is called `where`. Raises DamagedArchive."""
    check_digest(packed, segment.digest, where)
    lines = unpack(packed, where).splitlines()
    if len(lines) != segment.events:
        raise DamagedArchive(f"{segment.path} has {len(lines):,} events, not {segment.events:,}")
    try:
        return [entry_of(line) for line in lines]
    except DamagedLine as error:
        raise DamagedArchive(f"{segment.path}: {error}") from error


def joined(lines: Iterable[bytes]) -> bytes:
    """Lines as they stand in a file."""
    return b"".join(_ended(lines))


def _ended(lines: Iterable[bytes]) -> Iterator[bytes]:
    for line in lines:
        yield line
        yield b"\n"


def _library() -> Any:
    try:
        import zstandard
    except ImportError as error:
        from ..errors import SettingsError

        raise SettingsError("archives need the extra `archive`: pip install 'roost[archive]'") from error
    return zstandard
