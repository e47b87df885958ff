"""Spooled files: what was downloaded, converted, re-encoded or read from standard input, kept for cutting."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path
from typing import BinaryIO

from .errors import DocumentTooLarge


def make_spool(directory: Path) -> Path:
    """A new empty file in `directory`, which is made if need be; only this user can read either."""
    directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    descriptor, path = tempfile.mkstemp(prefix="spool-", dir=directory)
    os.close(descriptor)
    return Path(path)


class SpoolWriter:
    """Writes a spool and keeps it within `limit` bytes: past it, DocumentTooLarge with the words given."""

    def __init__(self, file: BinaryIO, limit: int, complaint: str) -> None:
        self._file = file
        self._limit = limit
        self._complaint = complaint
        self.size = 0

    def write(self, data: bytes) -> None:
        self.size += len(data)
        if self.size > self._limit:
            raise DocumentTooLarge(self._complaint)
        self._file.write(data)


def in_megabytes(size: int) -> str:
    return f"{size / 1_048_576:,.0f} MB" if size >= 1_048_576 else f"{size:,} bytes"


def remove(path: Path) -> None:
    """Remove a spool, if it is still there."""
    path.unlink(missing_ok=True)
