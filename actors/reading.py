"""Reading a file: once for all agents of a host, and again when it has changed."""

from __future__ import annotations

import asyncio
import os
import socket
import stat
import time
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from roost.streams.notes import MAX_NOTE_BYTES

from .documents.encoding import encoding_of
from .documents.errors import DocumentChanged, DocumentTooLarge, NoSuchDocument, NotAFile
from .documents.media import media_of
from .documents.spool import in_megabytes
from .memory import Memory, Ttl, fingerprint
from .resource import Resource
from .visit import content_of
from .work import Computed, Work

SETTLED_NS = 2_000_000_000
"""A file that was written to less than this ago may be written to again without its time telling: it is read again."""
TRIES = 3
LIMIT = timedelta(minutes=5)


@dataclass(frozen=True, slots=True)
class Facts:
    """What a file system tells of a file: while it is the same, so is the content."""

    device: int
    inode: int
    size: int
    modified_ns: int
    changed_ns: int

    @classmethod
    def of(cls, told: os.stat_result) -> Facts:
        return cls(told.st_dev, told.st_ino, told.st_size, told.st_mtime_ns, told.st_ctime_ns)

    def is_settled(self, now_ns: int) -> bool:
        return now_ns - max(self.modified_ns, self.changed_ns) > SETTLED_NS


async def read(memory: Memory, path: Path | str, *, ttl: Ttl, tags: tuple[str, ...], max_bytes: int) -> Resource:
    """See `Flock.read`."""
    place, limit = Path(os.path.abspath(path)), min(max_bytes, MAX_NOTE_BYTES)  # noqa: ASYNC240  # links are kept
    for _ in range(TRIES):
        checked_s = time.time()
        facts = await asyncio.to_thread(_look, place, limit)

        async def compute(facts: Facts = facts) -> Computed:
            raw = await asyncio.to_thread(_read, place, limit, facts)
            return Computed(content_of(raw), Work(kind="read"), sources=())

        # What was read of a file that may still change unseen is not for those who find it settled.
        is_settled = facts.is_settled(time.time_ns())
        key = fingerprint("read", 1, socket.gethostname(), str(place), facts, is_settled)
        try:
            note = await memory.once(
                key, compute, ttl=ttl, fresh=not is_settled, tags=tags, limit=LIMIT,
                label=f"reading {place}",
            )  # fmt: skip
        except DocumentChanged:
            continue
        return Resource(
            location=str(place), media=media_of(place.name, note.raw[:1024]), encoding=encoding_of(note.raw),
            checked=datetime.fromtimestamp(checked_s, UTC), raw=note.raw, kept=note,
        )  # fmt: skip
    raise DocumentChanged(f"{place}: changes all the time while it is being read; try again later")


def _look(path: Path, limit: int) -> Facts:
    try:
        told = path.stat()
    except OSError as error:
        raise _explained(path, error) from None
    return _checked(path, told, limit)


def _checked(path: Path, told: os.stat_result, limit: int) -> Facts:
    if stat.S_ISDIR(told.st_mode):
        raise NotAFile(f"{path}: is a folder; name a file in it")
    if not stat.S_ISREG(told.st_mode):
        raise NotAFile(f"{path}: is a pipe, socket or device, and only files are read")
    if told.st_size > limit:
        raise DocumentTooLarge(f"{path}: is over {in_megabytes(limit)}; split it, or raise max_bytes (64 MB at most)")
    return Facts.of(told)


def _read(path: Path, limit: int, facts: Facts) -> bytes:
    """The file's bytes. Raises DocumentChanged when it is not, or no longer, what these facts tell."""
    try:
        # Without O_NONBLOCK a pipe that has just taken the file's place would hold this thread for ever.
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    except OSError as error:
        raise _explained(path, error) from None
    with os.fdopen(descriptor, "rb") as file:
        before = _checked(path, os.fstat(descriptor), limit)
        raw = file.read(facts.size + 1)
        if before != facts or len(raw) != facts.size or Facts.of(os.fstat(descriptor)) != facts:
            raise DocumentChanged(f"{path}: changed while it was being read; read it anew")
    return raw


def _explained(path: Path, error: OSError) -> NoSuchDocument:
    if isinstance(error, FileNotFoundError | NotADirectoryError):
        return NoSuchDocument(f"{path}: there is no such file")
    return NoSuchDocument(f"{path}: cannot be read ({(error.strerror or str(error)).lower()})")
