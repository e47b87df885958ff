"""Spooled files: what was downloaded, converted, re-encoded or read from standard input, kept for cutting."""

from __future__ import annotations

import os
import tempfile
import threading
from pathlib import Path
from typing import BinaryIO

from .errors import DocumentError, DocumentTooLarge


class Spool:
    """The files that one piece of work makes in `directory`; all that are not kept go when it is discarded.

    Threads may use it. A thread cannot be cancelled: once discarded, the spool gives no file to one that goes on all
    the same.
    """

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._paths: set[Path] = set()
        self._lock = threading.Lock()
        self.discarded = False

    def file(self) -> BinaryIO:
        """A new file, open for writing, that only this user can read; the directory is made if need be."""
        with self._lock:
            if self.discarded:
                raise DocumentError("reading was broken off")
            self._directory.mkdir(mode=0o700, parents=True, exist_ok=True)
            descriptor, path = tempfile.mkstemp(prefix="spool-", dir=self._directory)
            os.close(descriptor)
            self._paths.add(Path(path))
            return open(path, "wb")

    def adopt(self, path: Path) -> None:
        """Take on a file that was made elsewhere."""
        with self._lock:
            self._paths.add(path)

    def keep(self, path: Path) -> bool:
        """Leave one file to the caller; answers whether it is of this spool."""
        with self._lock:
            kept = path in self._paths
            self._paths.discard(path)
            return kept

    def discard(self) -> None:
        """Remove all files that were not kept."""
        with self._lock:
            self.discarded = True
            for path in self._paths:
                path.unlink(missing_ok=True)


class SpoolWriter:
    """Writes a spooled file and keeps it within `limit` bytes: past it, DocumentTooLarge with the words given."""

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


def path_of(file: BinaryIO) -> Path:
    return Path(os.fsdecode(file.name))


def in_megabytes(size: int) -> str:
    return f"{size / 1_048_576:,.0f} MB" if size >= 1_048_576 else f"{size:,} bytes"
