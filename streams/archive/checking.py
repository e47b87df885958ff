"""Checking an archive: every file is read and compared with what was written."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from typing import Any

import orjson

from ..errors import RoostError
from ..event import pairs
from ..shard import Shard
from .manifest import chain_of
from .shelf import open_shelf

MAX_FAULTS = 100


@dataclass(slots=True)
class Checked:
    """What was read, and what was wrong: at most 100 faults, `more` beside them."""

    shard: int
    segments: int = 0
    events: int = 0
    blobs: int = 0
    faults: list[str] = field(default_factory=list[str])
    more: int = 0

    def add(self, fault: str) -> None:
        if len(self.faults) < MAX_FAULTS:
            self.faults.append(fault)
        else:
            self.more += 1

    def to_data(self) -> dict[str, Any]:
        return asdict(self)


async def check_archive(shard: Shard, *, begin: Callable[[str, int], None], progress: Callable[[int], None]) -> Checked:
    """Read a shard's whole archive: segments, their chain and order, contents, the state. Raises DamagedArchive when
    there is no manifest to go by, ArchiveUnusable, RoostError for a flock without an archive."""
    shelf, manifest = await open_shelf(shard)
    found = Checked(shard.number)
    begin("checking the archive", manifest.passed)
    chain, last, passed = "", (0, 0), 0
    contents: set[str] = set()
    for segment in manifest.segments:
        chain = chain_of(chain, segment.digest)
        passed += segment.events
        if (segment.chain, segment.passed) != (chain, passed):
            found.add(f"{segment.path} does not follow the segment before it: one was taken away, or put in")
        try:
            entries = await shelf.entries_of(segment)
        except RoostError as error:
            found.add(str(error))
            continue
        for entry, fields in entries:
            ms, _, seq = entry.partition(b"-")
            place = (int(ms), int(seq))
            if place <= last:
                found.add(f"{segment.path}: {entry.decode()} does not come after the event before it")
            last = place
            digest = _digest(pairs(fields))
            if digest is not None:
                contents.add(digest)
        found.segments += 1
        found.events += len(entries)
        progress(found.events)
    for digest in sorted(contents):
        try:
            if await shelf.blob(digest) is not None:
                found.blobs += 1
            elif await shard.command("HEXISTS", shard.keys.key("refs"), digest):
                found.add(f"content {digest} is missing, and a note that lives has it")
        except RoostError as error:
            found.add(str(error))
    try:
        await shelf.read_state(manifest)
    except RoostError as error:
        found.add(str(error))
    return found


def _digest(fields: dict[bytes, bytes]) -> str | None:
    if fields.get(b"type") != b"note.written":
        return None
    try:
        digest = orjson.loads(fields[b"data"])["digest"]
    except (ValueError, KeyError, TypeError):
        return None
    return digest if isinstance(digest, str) and len(digest) == 64 and digest.isalnum() else None
