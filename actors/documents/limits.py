"""How much of everything: what reading documents may cost at most."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta

MIB = 1024 * 1024


@dataclass(frozen=True, slots=True)
class Limits:
    """Bounds of discovery, of downloads and of conversions; sizes are in bytes."""

    files: int = 10_000
    skips: int = 1_000
    """Skipped places that are listed one by one; further ones are counted."""
    entries: int = 1_000_000
    """Directory entries looked at."""
    file_bytes: int = 2_048 * MIB
    input_bytes: int = 256 * MIB
    """Of standard input."""
    download_bytes: int = 50 * MIB
    download_time: timedelta = timedelta(seconds=60)
    connect_time: timedelta = timedelta(seconds=10)
    redirects: int = 5
    convert_bytes: int = 100 * MIB
    """Of a file to be converted."""
    converted_bytes: int = 64 * MIB
    """Of the text a conversion gives."""
    unpacked_bytes: int = 512 * MIB
    """Of what a zip-based document unpacks to."""
    unpacked_entries: int = 20_000
    convert_time: timedelta = timedelta(minutes=5)
    convert_memory_bytes: int = 2_048 * MIB
    """Of address space, which is more than what is used."""
