"""The shelf: what an archive has of one shard."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import AsyncGenerator
from hashlib import sha256

import orjson

from ..errors import RoostError
from ..keys import Keys
from ..position import Position
from ..shard import Shard
from .line import Entry
from .manifest import DamagedArchive, Manifest, SegmentEntry
from .segment import check_digest, entries_in, unpack
from .store import NotInArchive, Store

PAGE = 500


class Shelf:
    """Reads what an archive has of a shard. Every file is checked against the manifest, and that against the server."""

    def __init__(self, store: Store, keys: Keys) -> None:
        self.store = store
        self.keys = keys
        self._prefix = f"{keys.flock}/{keys.shard}"
        self._held: tuple[str, list[Entry]] | None = None  # the segment that was read last

    @property
    def manifest_path(self) -> str:
        """The newest manifest, for people, and for who looks whether the server has forgotten some."""
        return f"{self._prefix}/manifest.json"

    def recorded_path(self, digest: str) -> str:
        """A manifest under its digest: no archivist that was held up can put an older one in its place."""
        return f"{self._prefix}/manifest-{digest}.json"

    def segment_path(self, first: str, last: str) -> str:
        return f"{self._prefix}/{first}--{last}.jsonl.zst"

    def state_path(self, at: str) -> str:
        return f"{self._prefix}/state-{at}.jsonl.zst"

    def blob_path(self, digest: str) -> str:
        return f"{self._prefix}/blobs/{digest[:2]}/{digest}.zst"

    async def read_manifest(self) -> Manifest | None:
        """As it stands there; None in an archive that has nothing of this shard. Raises DamagedArchive."""
        where = f"{self.store.place}/{self.manifest_path}"
        try:
            return self._parsed(await self.store.get(self.manifest_path), where)
        except NotInArchive:
            return None

    async def recorded(self, digest: str) -> Manifest:
        """The manifest that the server knows by this digest. Raises DamagedArchive."""
        where = f"{self.store.place}/{self.recorded_path(digest)}"
        try:
            content = await self.store.get(self.recorded_path(digest))
        except NotInArchive:
            raise DamagedArchive(f"{where} is missing") from None
        if sha256(content).hexdigest() != digest:
            raise DamagedArchive(f"{where} is not the manifest that this flock has written last")
        return self._parsed(content, where)

    async def strays(self, manifest: Manifest) -> list[str]:
        """Segments behind the archive's end, and manifests: of archivists that died before the server knew of them."""
        known = {self.recorded_path(manifest.digest), self.recorded_path(manifest.before)}
        found: list[str] = []
        for path in await self.store.list(self._prefix):
            name = path.rpartition("/")[2]
            first, dashes, _ = name.partition("--")
            is_segment = dashes != "" and _place(first) > _place(manifest.last)
            if is_segment or (name.startswith("manifest-") and path not in known):
                found.append(path)
        return found

    def _parsed(self, content: bytes, where: str) -> Manifest:
        manifest = Manifest.parse(content, where)
        if (manifest.flock, manifest.shard) != (self.keys.flock, self.keys.shard):
            raise DamagedArchive(f"{where} is of flock {manifest.flock!r}, not of {self.keys.flock!r}")
        return manifest

    async def entries_of(self, segment: SegmentEntry) -> list[Entry]:
        """A segment's events. Raises DamagedArchive for one that is missing or not as it was written."""
        if self._held is not None and self._held[0] == segment.digest:
            return self._held[1]
        try:
            packed = await self.store.get(segment.path)
        except NotInArchive as error:
            raise DamagedArchive(f"a segment is missing: {error}") from error
        entries = entries_in(packed, segment, f"{self.store.place}/{segment.path}")
        self._held = (segment.digest, entries)
        return entries

    async def pages(self, manifest: Manifest, after: Position, until: Position) -> AsyncGenerator[list[Entry]]:
        """Entries behind `after`, up to and with `until`, in order. Raises DamagedArchive."""
        lasts = [_place(segment.last) for segment in manifest.segments]
        for segment in manifest.segments[bisect_right(lasts, after[1:]) :]:
            if _place(segment.first) > until[1:]:
                return
            entries = await self.entries_of(segment)
            places = [_place(entry[0].decode()) for entry in entries]
            first, end = bisect_right(places, after[1:]), bisect_right(places, until[1:])
            for start in range(first, end, PAGE):
                yield entries[start : min(start + PAGE, end)]

    async def pages_back(self, manifest: Manifest, until: Position) -> AsyncGenerator[list[Entry]]:
        """Entries up to and with `until`, the newest first. Raises DamagedArchive."""
        for segment in reversed(manifest.segments):
            if _place(segment.first) > until[1:]:
                continue
            entries = await self.entries_of(segment)
            end = bisect_right([_place(entry[0].decode()) for entry in entries], until[1:])
            for stop in range(end, 0, -PAGE):
                yield entries[max(0, stop - PAGE) : stop][::-1]

    async def at(self, manifest: Manifest, position: Position) -> Entry | None:
        """The entry at a position, if there is one."""
        lasts = [_place(segment.last) for segment in manifest.segments]
        index = bisect_left(lasts, position[1:])
        if index == len(lasts) or _place(manifest.segments[index].first) > position[1:]:
            return None
        wanted = position.entry.encode()
        return next((entry for entry in await self.entries_of(manifest.segments[index]) if entry[0] == wanted), None)

    async def blob(self, digest: str) -> bytes | None:
        """Content that went along; None when it had been forgotten by then. Raises DamagedArchive."""
        path = self.blob_path(digest)
        try:
            content = unpack(await self.store.get(path), path)
        except NotInArchive:
            return None
        if sha256(content).hexdigest() != digest:
            raise DamagedArchive(f"{path} is not the content that its name tells")
        return content

    async def read_state(self, manifest: Manifest) -> list[bytes] | None:
        """The lines of the state, None where there is none. Raises DamagedArchive."""
        state = manifest.state
        if state is None:
            return None
        try:
            packed = await self.store.get(state.path)
        except NotInArchive as error:
            raise DamagedArchive(f"a state is missing: {error}") from error
        check_digest(packed, state.digest, state.path)
        return unpack(packed, state.path).splitlines()


class ArchiveRecord:
    """What a shard remembers of its archive: its place, the digest of the manifest written last, and by whom."""

    def __init__(self, place: str, manifest: str, writer: str) -> None:
        self.place = place
        self.manifest = manifest
        self.writer = writer

    def to_json(self) -> bytes:
        return orjson.dumps({"place": self.place, "manifest": self.manifest, "writer": self.writer})

    @classmethod
    async def read(cls, shard: Shard) -> ArchiveRecord | None:
        stored: bytes | None = await shard.command("HGET", shard.keys.key("meta"), "archive")
        if stored is None:
            return None
        told = orjson.loads(stored)
        return cls(told["place"], told["manifest"], told["writer"])


async def open_shelf(shard: Shard, known: tuple[Shelf, Manifest] | None = None) -> tuple[Shelf, Manifest]:
    """What the shard's archive has of it, as the shard knows it; `known` if that is it still.

    Raises DamagedArchive, ArchiveUnusable, RoostError where it has none, SettingsError without the extra `archive`.
    """
    record = await ArchiveRecord.read(shard)
    while record is not None:
        if known is not None and known[0].store.place == record.place and known[1].digest == record.manifest:
            return known
        shelf = Shelf(Store(record.place, make=False), shard.keys)
        try:
            return shelf, await shelf.recorded(record.manifest)
        except DamagedArchive:
            read, record = record, await ArchiveRecord.read(shard)
            if record is not None and record.manifest == read.manifest:
                raise
            # The archive has gone on meanwhile, and has taken an old manifest away.
    raise RoostError(f"flock {shard.keys.flock!r} has no archive")


def _place(entry: str) -> tuple[int, int]:
    ms, _, seq = entry.partition("-")
    return int(ms), int(seq)
