"""Checking an archive: every file is read and compared with what was written."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from typing import Any

from ..errors import RoostError
from ..shard import Shard
from .archivist import digest_in
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
        for entry in entries:
            ms, _, seq = entry[0].partition(b"-")
            place = (int(ms), int(seq))
            if place <= last:
                found.add(f"{segment.path}: {entry[0].decode()} does not come after the event before it")
            last = place
            digest = digest_in(entry)
            if digest is not None and digest not in segment.gone:
                contents.add(digest)
        found.segments += 1
        found.events += len(entries)
        progress(found.events)
    for digest in sorted(contents):
        try:
            if await shelf.blob(digest) is not None:
                found.blobs += 1
            else:
                found.add(f"content {digest} is missing, which an event in the archive names")
        except RoostError as error:
            found.add(str(error))
    try:
        await shelf.read_state(manifest)
    except RoostError as error:
        found.add(str(error))
    return found
