"""The archivist: writes what the log has beyond the archive into it, segment by segment."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable, Iterable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from datetime import timedelta
from hashlib import sha256
from typing import Any

import orjson

from ..errors import RoostError, SettingsError
from ..event import new_id, pairs
from ..position import Position
from ..shard import Shard
from .line import Entry, line_of
from .manifest import DamagedArchive, Manifest, SegmentEntry, StateEntry, chain_of
from .segment import MAX_BYTES, MAX_EVENTS, check_digest, joined, pack
from .shelf import ArchiveRecord, Shelf
from .store import Store

LEASE = timedelta(seconds=30)
AT_ONCE = 16
"""Contents that are written at the same time."""

Progress = Callable[[int], None]
"""Told how many events have been archived so far."""


class ArchiveBusy(RoostError):
    """Another process archives this flock."""


@dataclass(slots=True)
class Archived:
    """What was written."""

    segments: int = 0
    events: int = 0
    blobs: int = 0
    gone: int = 0
    """Contents that events name and that have been forgotten."""
    bytes: int = 0


class Archivist:
    """Brings a shard's archive on. Whatever it is cut off in, the next one goes on from what was finished."""

    def __init__(self, shard: Shard, store: Store) -> None:
        self.shard = shard
        self.shelf = Shelf(store, shard.keys)
        self.manifest = Manifest(shard.keys.flock, shard.keys.shard)
        self._record = b""
        self._who = new_id()

    @asynccontextmanager
    async def leading(self) -> AsyncGenerator[Archivist]:
        """While the block runs nobody else archives this shard. Raises ArchiveBusy, DamagedArchive, SettingsError."""
        if not await self._lease(LEASE):
            raise ArchiveBusy(f"another process is archiving flock {self.shard.keys.flock!r}; wait until it has ended")
        renewing = asyncio.create_task(self._renew(), name="roost archive lease")
        try:
            await self._begin()
            yield self
        finally:
            renewing.cancel()
            await self._lease(timedelta(0))

    async def _renew(self) -> None:
        """Large contents take their time. Whoever loses the lease all the same is refused by `_tell`."""
        while True:
            await asyncio.sleep(LEASE.total_seconds() / 3)
            with suppress(RoostError):  # whoever archives meets it, too
                await self._lease(LEASE)

    async def _lease(self, lease: timedelta) -> bool:
        return bool(await self.shard.run("lease", "archive", self._who, round(lease.total_seconds() * 1000)))

    async def _begin(self) -> None:
        """Where the last one came to, and whether that is this log's."""
        record = await ArchiveRecord.read(self.shard)
        if record is not None and record.place != self.shelf.store.place:
            raise SettingsError(f"flock {self.shard.keys.flock!r} is archived in {record.place}: archive it there")
        # 1. What the server knows counts; but for what its writer could not tell it any more, or it has lost.
        newest = await self.shelf.read_manifest()
        if record is not None:
            self._record = record.to_json()
            self.manifest = await self.shelf.recorded(record.manifest)
        known = self.manifest
        if newest is not None and newest.number > known.number:
            self.manifest = newest
        await self._check_tail()
        strays = await self.shelf.strays(self.manifest)
        if newest is None and not known.segments and sum("--" in path for path in strays) > 1:
            raise DamagedArchive(
                f"{self.shelf.store.place} has segments of flock {self.shard.keys.flock!r} and no manifest: "
                "choose another place, or put the manifest back"
            )
        # 2. From here on one that was held up is refused, whatever it has written meanwhile.
        if record is None or self.manifest is not known:
            await self.shelf.store.put(self.shelf.recorded_path(self.manifest.digest), self.manifest.to_json())
        await self._tell(self.manifest)
        if newest is None or newest.digest != self.manifest.digest:
            await self.shelf.store.put(self.shelf.manifest_path, self.manifest.to_json())
        # 3. What nobody has named will be written again, and a segment perhaps ends elsewhere then.
        for path in await self.shelf.strays(self.manifest):
            await self.shelf.store.delete(path)

    async def _check_tail(self) -> None:
        """The log must have what was archived last: one that has lost its tail goes on with other events."""
        if not self.manifest.segments:
            return
        last = self.manifest.last
        horizon = (await self.shard.command("HGET", self.shard.keys.key("meta"), "horizon") or b"0-0").decode()
        if Position.parse(horizon) >= Position.parse(last):
            return
        page = await self.shard.command("XRANGE", self.shard.keys.log, last, last)
        archived = (await self.shelf.entries_of(self.manifest.segments[-1]))[-1]
        if not page or line_of(page[0]) != line_of(archived):
            raise DamagedArchive(
                f"the archive {self.shelf.store.place} has an event at {last} that the log of flock "
                f"{self.shard.keys.flock!r} has not: the server has lost events that it had acknowledged, or the "
                "archive is of another flock of this name"
            )

    async def archive(self, until: Position, *, progress: Progress | None = None) -> Archived:
        """Write all events up to and with `until` that the archive has not yet. Raises ArchiveBusy, RoostError when
        content is missing that nobody has forgotten, ArchiveUnusable, ServerUnavailable."""
        done = Archived()
        async for entries in self._batches(until):
            if not await self._lease(LEASE):
                raise ArchiveBusy("another process has taken the archiving over")
            gone = await self._write_blobs(entries, done)
            await self._write_segment(entries, gone, done)
            if progress is not None:
                progress(done.events)
        return done

    async def _batches(self, until: Position) -> AsyncGenerator[list[Entry]]:
        """Entries behind the archive's end, as many as a segment may have."""
        last, size, batch = self.manifest.last, 0, list[Entry]()
        while True:
            page = await self.shard.command("XRANGE", self.shard.keys.log, f"({last}", until.entry, "COUNT", 500)
            for entry in page:
                batch.append(entry)
                size += sum(map(len, pairs(entry[1]).values()))
                if len(batch) >= MAX_EVENTS or size >= MAX_BYTES:
                    yield batch
                    batch, size = [], 0
            if len(page) < 500:
                break
            last = page[-1][0].decode()
        if batch:
            yield batch

    async def _write_blobs(self, entries: Iterable[Entry], done: Archived) -> tuple[str, ...]:
        """Each content once; a segment is only written when all that it names are safe, but for what is gone."""
        wanted = {digest for entry in entries if (digest := digest_in(entry)) is not None}
        limit = asyncio.Semaphore(AT_ONCE)
        gone: list[str] = []

        async def write(digest: str) -> None:
            async with limit:
                if not await self._write_blob(digest, done):
                    gone.append(digest)

        try:
            async with asyncio.TaskGroup() as group:
                for digest in sorted(wanted):
                    group.create_task(write(digest))
        except BaseExceptionGroup as failed:
            raise failed.exceptions[0] from None
        done.gone += len(gone)
        return tuple(sorted(gone))

    async def _write_blob(self, digest: str, done: Archived) -> bool:
        """False: it has been forgotten."""
        path = self.shelf.blob_path(digest)
        if await self.shelf.store.has(path):
            return True
        key = self.shard.keys.key
        content: bytes | None = await self.shard.command("GET", key("blob", digest))
        if content is None and await self.shard.command("HEXISTS", key("refs"), digest):
            content = await self.shard.command("GET", key("blob", digest))  # just now it was written again
            if content is None:
                raise RoostError(f"content {digest} is missing, and nobody has forgotten it: it cannot be archived")
        if content is None:
            return False
        packed = await asyncio.to_thread(pack, content)
        await self.shelf.store.put(path, packed)
        done.blobs += 1
        done.bytes += len(packed)
        return True

    async def _write_segment(self, entries: list[Entry], gone: tuple[str, ...], done: Archived) -> None:
        first, last = entries[0][0].decode(), entries[-1][0].decode()
        path = self.shelf.segment_path(first, last)
        packed = await asyncio.to_thread(lambda: pack(joined(map(line_of, entries))))
        digest = sha256(packed).hexdigest()
        await self.shelf.store.put(path, packed)
        check_digest(await self.shelf.store.get(path), digest, path)  # before anybody relies on it
        before = self.manifest.segments[-1].chain if self.manifest.segments else ""
        segment = SegmentEntry(
            path=path, first=first, last=last, events=len(entries), passed=self.manifest.passed + len(entries),
            size=len(packed), digest=digest, chain=chain_of(before, digest), gone=gone,
        )  # fmt: skip
        await self._write_manifest(self.manifest.with_segment(segment))
        done.segments += 1
        done.events += len(entries)
        done.bytes += len(packed)

    async def write_state(self, at: Position, lines: Iterable[bytes]) -> None:
        """Store what has been folded up to there. Raises ArchiveUnusable."""
        path = self.shelf.state_path(at.entry)
        packed = await asyncio.to_thread(lambda: pack(joined(lines)))
        digest = sha256(packed).hexdigest()
        await self.shelf.store.put(path, packed)
        check_digest(await self.shelf.store.get(path), digest, path)
        await self._write_manifest(self.manifest.with_state(StateEntry(path, at.entry, len(packed), digest)))

    async def _write_manifest(self, manifest: Manifest) -> None:
        """First under its digest, then the server's word for it, then for people: whoever dies in between leaves one
        that the server knows, and whoever was held up cannot put an older one in its place."""
        before = self.manifest.before
        await self.shelf.store.put(self.shelf.recorded_path(manifest.digest), manifest.to_json())
        await self._tell(manifest)
        await self.shelf.store.put(self.shelf.manifest_path, manifest.to_json())
        if before:  # not the last one: a reader may be about to read it
            await self.shelf.store.delete(self.shelf.recorded_path(before))

    async def _tell(self, manifest: Manifest) -> None:
        record = ArchiveRecord(self.shelf.store.place, manifest.digest, self._who).to_json()
        answer = await self.shard.run(
            "archived", self._record, manifest.last, record, "" if manifest.state is None else manifest.state.at
        )
        if answer[0] == b"stale":
            raise ArchiveBusy(f"another process has archived up to {answer[1].decode()} meanwhile: archive again")
        self.manifest, self._record = manifest, record


def digest_in(entry: Entry) -> str | None:
    """The content that an event names, if it wrote a note."""
    fields = pairs(entry[1])
    if fields.get(b"type") != b"note.written":
        return None
    try:
        digest: Any = orjson.loads(fields[b"data"])["digest"]
    except (ValueError, KeyError, TypeError):
        return None  # nothing of Roost's: it is kept as it is
    return digest if isinstance(digest, str) and len(digest) == 64 and digest.isalnum() else None
